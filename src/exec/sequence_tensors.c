/* exec/sequence_tensors.c - see sequence_tensors.h. */
#include "exec/sequence_tensors.h"

#include <stdio.h>

#include "exec/batch.h"
#include "tensor/dtype.h"

#define STATE_ALIGN 64

static const struct trp_sequence_config *config_of(const struct trp_version *v)
{
    return v->config.sequences;
}

static const struct trp_io *hidden_input(const struct trp_version *v, uint32_t i)
{
    return &v->signature.inputs[v->signature.inputs_n + i];
}

/* ---- ids ---- */

static uint64_t largest(int32_t dtype)
{
    return dtype == TROUPE_INT32    ? (uint64_t)INT32_MAX
           : dtype == TROUPE_UINT32 ? (uint64_t)UINT32_MAX
           : dtype == TROUPE_INT64  ? (uint64_t)INT64_MAX
                                    : UINT64_MAX;
}

trp_status trp_sequence_tensors_check(const struct trp_version *v, const struct trp_call *call,
                                      struct trp_error *err)
{
    const struct trp_sequence_config *c = config_of(v);
    for (uint32_t i = 0; i < c->controls_n; i++) {
        const struct trp_io *io = hidden_input(v, c->controls[i].input);
        if (c->controls[i].kind != TRP_SEQUENCE_CORRID || io->dtype == TROUPE_BYTES)
            continue;
        if (call->sequence_text.len != 0)
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "the correlation ID of a sequence of model '%.*s' is a number (%s), "
                            "not a text",
                            TRP_STR(v->target.name), trp_dtype_name(io->dtype));
        if (call->sequence_number > largest(io->dtype))
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "the correlation ID %llu of a sequence of model '%.*s' does not fit "
                            "%s",
                            (unsigned long long)call->sequence_number, TRP_STR(v->target.name),
                            trp_dtype_name(io->dtype));
    }
    return trp_ok();
}

/* ---- their memory ---- */

size_t trp_sequence_tensors_size(const struct trp_version *v)
{
    const struct trp_sequence_tensors *t = NULL;
    return config_of(v)->states_n * (sizeof *t->states + sizeof *t->next + sizeof *t->places);
}

void trp_sequence_tensors_init(struct trp_sequence_tensors *t, const struct trp_version *v,
                               void *memory)
{
    const struct trp_sequence_config *c = config_of(v);
    *t = (struct trp_sequence_tensors){ .is_fresh = true, .states = memory };
    t->next = t->states + c->states_n;
    t->places = (uint32_t *)(void *)(t->next + c->states_n);
    for (uint32_t i = 0; i < c->states_n; i++)
        t->states[i] = c->states[i].initial; /* borrowed from the version */
}

static void let_go(struct troupe_tensor *t)
{
    if (t->release)
        t->release(t->release_user, t->data);
    *t = (struct troupe_tensor){ .dtype = t->dtype };
}

void trp_sequence_tensors_deinit(struct trp_sequence_tensors *t, const struct trp_version *v)
{
    for (uint32_t i = 0; i < config_of(v)->states_n; i++)
        let_go(&t->states[i]);
}

/* ---- to the model ---- */

static bool flag_of(const struct trp_sequence_tensors *t, const struct trp_call *call,
                    enum trp_sequence_control_kind kind)
{
    return kind == TRP_SEQUENCE_START ? t->is_fresh
           : kind == TRP_SEQUENCE_END ? call->sequence_end
                                      : true;
}

/* The bytes of one control, at `room`; their number. */
static uint64_t write_control(const struct trp_sequence_tensors *t, const struct trp_call *call,
                              const struct trp_sequence_control *c, int32_t dtype, char *room)
{
    char digits[24];
    struct trp_str text = call->sequence_text;
    if (c->kind != TRP_SEQUENCE_CORRID) {
        memcpy(room, &c->values[flag_of(t, call, c->kind)], trp_dtype_bytes(dtype));
        return trp_dtype_bytes(dtype);
    }
    if (dtype != TROUPE_BYTES) { /* little-endian: the low bytes come first */
        memcpy(room, &call->sequence_number, trp_dtype_bytes(dtype));
        return trp_dtype_bytes(dtype);
    }
    if (text.len == 0)
        text = trp_str_make(digits, (size_t)snprintf(digits, sizeof digits, "%llu",
                                                     (unsigned long long)call->sequence_number));
    const uint32_t len = (uint32_t)text.len;
    memcpy(room, &len, sizeof len);
    memcpy(room + sizeof len, text.ptr, len);
    return sizeof len + (uint64_t)len;
}

static size_t control_room(const struct trp_call *call)
{
    return (sizeof(uint32_t) + 24 + call->sequence_text.len + 15) / 16 * 16; /* aligned, as all */
}

static void give_control(const struct trp_sequence_tensors *t, const struct trp_version *v,
                         const struct trp_call *call, const struct trp_sequence_control *c,
                         struct trp_call_tensor *in, char *room)
{
    const struct trp_io *io = hidden_input(v, c->input);
    *in = (struct trp_call_tensor){ .name = io->name };
    in->tensor.dtype = io->dtype;
    in->tensor.rank = io->any_rank ? 1u + (v->signature.batch_max > 0) : io->rank;
    for (uint32_t d = 0; d < in->tensor.rank; d++)
        in->tensor.shape[d] = 1;
    in->tensor.data = room;
    in->tensor.bytes = write_control(t, call, c, io->dtype, room);
}

/* Whatever becomes of its first request: none that follows may go on with what was before. */
static void begin_anew(struct trp_sequence_tensors *t, const struct trp_version *v)
{
    const struct trp_sequence_config *c = config_of(v);
    for (uint32_t i = 0; i < c->states_n; i++) {
        let_go(&t->states[i]);
        t->states[i] = c->states[i].initial;
    }
    t->is_fresh = true;
}

static void give_states(struct trp_sequence_tensors *t, const struct trp_version *v,
                        struct trp_call_tensor *hidden)
{
    const struct trp_sequence_config *c = config_of(v);
    for (uint32_t i = 0; i < c->states_n; i++) {
        hidden[c->states[i].input] =
            (struct trp_call_tensor){ .name = hidden_input(v, c->states[i].input)->name,
                                      .account = &v->activations.alloc,
                                      .tensor = t->states[i] };
        t->states[i] = (struct troupe_tensor){ .dtype = t->states[i].dtype };
    }
}

/* A state is one more output, unless the client wants it as well. */
static void want_states(struct trp_sequence_tensors *t, const struct trp_version *v,
                        struct trp_call *call, struct trp_wanted *wanted)
{
    const struct trp_sequence_config *c = config_of(v);
    t->wanted_n = call->wanted_n;
    if (t->wanted_n)
        memcpy(wanted, call->wanted, t->wanted_n * sizeof *wanted);
    call->wanted = wanted;
    for (uint32_t i = 0; i < c->states_n; i++) {
        const uint32_t index = v->signature.outputs_n + c->states[i].output;
        const struct trp_str name = v->signature.outputs[index].name;
        uint32_t at = 0;
        while (at < t->wanted_n && !trp_str_is_equal(wanted[at].name, name))
            at++;
        if (at == t->wanted_n) {
            at = call->wanted_n++;
            wanted[at] = (struct trp_wanted){ .name = name, .index = index };
        }
        t->places[i] = at;
    }
}

trp_status trp_sequence_tensors_give(struct trp_sequence_tensors *t, const struct trp_version *v,
                                     struct trp_call *call, struct trp_error *err)
{
    const struct trp_sequence_config *c = config_of(v);
    const struct trp_signature *s = &v->signature;
    const size_t inputs_n = (size_t)s->inputs_n + s->hidden_inputs_n + 1, room = control_room(call);
    struct trp_call_tensor *inputs = trp_arena_zeroed(&call->arena, inputs_n, sizeof *inputs);
    struct trp_wanted *wanted =
        trp_arena_zeroed(&call->arena, (size_t)call->wanted_n + c->states_n + 1, sizeof *wanted);
    char *controls = trp_arena_get(&call->arena, c->controls_n * room + 1);
    if (call->sequence_start)
        begin_anew(t, v);
    if (!inputs || !wanted || !controls)
        return trp_fail_limit(err, TRP_OUT_OF_MEMORY, TRP_LIMIT_MEMORY,
                              "%u inputs of a request of a sequence", (uint32_t)inputs_n);
    if (s->inputs_n)
        memcpy(inputs, call->inputs, s->inputs_n * sizeof *inputs);
    struct trp_call_tensor *hidden = inputs + s->inputs_n;
    for (uint32_t i = 0; i < c->controls_n; i++)
        give_control(t, v, call, &c->controls[i], &hidden[c->controls[i].input],
                     controls + i * room);
    give_states(t, v, hidden);
    call->inputs = inputs;
    call->inputs_n = s->inputs_n + s->hidden_inputs_n;
    want_states(t, v, call, wanted);
    t->is_given = true;
    return trp_ok();
}

/* ---- and back ---- */

static void free_copy(void *alloc, void *copy)
{
    trp_alloc_free(alloc, copy);
}

static bool copy_state(const struct trp_version *v, const struct troupe_tensor *from,
                       struct troupe_tensor *out)
{
    const struct trp_alloc *alloc = &v->activations.alloc;
    void *copy = trp_alloc_aligned(alloc, from->bytes ? (size_t)from->bytes : 1, STATE_ALIGN);
    if (!copy)
        return false;
    if (from->bytes)
        memcpy(copy, from->data, (size_t)from->bytes);
    *out = *from;
    out->data = copy;
    out->release = free_copy;
    out->release_user = (void *)(uintptr_t)alloc;
    return true;
}

static bool is_to_be_copied(const struct trp_sequence_tensors *t, uint32_t i,
                            const struct troupe_tensor *from)
{
    return t->places[i] < t->wanted_n || !from->release || trp_batch_is_view(from);
}

/* All of them or none. */
static bool take_new(struct trp_sequence_tensors *t, const struct trp_version *v,
                     struct trp_call *call)
{
    const uint32_t n = config_of(v)->states_n;
    bool is_whole = true;
    for (uint32_t i = 0; i < n; i++) {
        struct troupe_tensor *from = &call->outputs[t->places[i]].tensor;
        t->next[i] = (struct troupe_tensor){ 0 };
        if (is_whole && is_to_be_copied(t, i, from))
            is_whole = copy_state(v, from, &t->next[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        struct troupe_tensor *from = &call->outputs[t->places[i]].tensor;
        if (!is_whole) {
            let_go(&t->next[i]);
        } else if (t->next[i].data) {
            t->states[i] = t->next[i];
            if (t->places[i] >= t->wanted_n)
                let_go(from);
        } else {
            t->states[i] = *from;
            from->release = NULL;
        }
    }
    return is_whole;
}

static void take_old(struct trp_sequence_tensors *t, const struct trp_version *v,
                     struct trp_call *call)
{
    const struct trp_sequence_config *c = config_of(v);
    for (uint32_t i = 0; i < call->outputs_n; i++)
        let_go(&call->outputs[i].tensor); /* they may be views of the states */
    call->outputs_n = 0;
    for (uint32_t i = 0; i < c->states_n; i++)
        t->states[i] = call->inputs[v->signature.inputs_n + c->states[i].input].tensor;
    call->inputs_n = v->signature.inputs_n;
    call->wanted_n = t->wanted_n;
}

void trp_sequence_tensors_take(struct trp_sequence_tensors *t, const struct trp_version *v,
                               struct trp_call *call)
{
    const bool is_answered =
        !trp_failed(call->error.status) && trp_oneshot_get(&call->outcome) == TRP_OUTCOME_DONE;
    if (!t->is_given)
        return;
    t->is_given = false;
    if (is_answered && take_new(t, v, call)) {
        t->is_fresh = false;
        call->wanted_n = call->outputs_n = t->wanted_n;
        return;
    }
    if (is_answered)
        (void)trp_fail_limit(&call->error, TRP_OUT_OF_MEMORY, TRP_LIMIT_MEMORY,
                             "no memory for the state of a sequence");
    take_old(t, v, call);
}

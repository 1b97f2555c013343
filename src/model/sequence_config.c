/* model/sequence_config.c - see sequence_config.h. */
#include "model/sequence_config.h"

#include "tensor/dtype.h"
#include "tensor/shape.h"

#define IDLE_US_DEFAULT UINT64_C(1000000)
#define IDLE_US_MAX (UINT64_C(365) * 24 * 3600 * 1000000)

struct reader {
    struct trp_arena *arena;
    const struct trp_sequence_request *request;
    struct trp_sequence_config *c;
    struct trp_sequence_control *controls;
    struct trp_io *inputs, *outputs; /* hidden */
    struct trp_error *err;
};

static const struct trp_str nothing = { NULL, 0 };

static trp_status no_memory(const struct reader *r)
{
    return trp_fail(r->err, TRP_OUT_OF_MEMORY, "no memory for sequence_batching");
}

static uint32_t count(const struct trp_node *list)
{
    return list ? list->children_n : 0;
}

/* ---- what is hidden ---- */

/* Finds a tensor of the file that may be hidden, and notes it as the next one of its side. */
static trp_status hide(const struct reader *r, const struct trp_node *at, struct trp_str name,
                       bool is_output, struct trp_io **out)
{
    const struct trp_signature *file = r->request->file;
    const char *kind = is_output ? "output" : "input";
    const struct trp_io *from =
        is_output ? trp_signature_output(file, name) : trp_signature_input(file, name);
    struct trp_io *list = is_output ? r->outputs : r->inputs;
    uint32_t *n = is_output ? &r->c->outputs_n : &r->c->inputs_n;
    if (name.len == 0)
        return trp_node_fail(at, r->err, TRP_INVALID_ARGUMENT,
                             "sequence_batching: an %s without a name", kind);
    if (!from)
        return trp_node_fail(at, r->err, TRP_INVALID_ARGUMENT,
                             "sequence_batching: the file has no %s \"%.*s\"", kind, TRP_STR(name));
    if (trp_signature_place(list, *n, name, 0) != UINT32_MAX)
        return trp_node_fail(at, r->err, TRP_INVALID_ARGUMENT,
                             "sequence_batching: %s \"%.*s\" is there twice", kind, TRP_STR(name));
    const bool has_batch = from->any_rank || (from->rank > 0 && from->dims[0] == -1);
    if (r->request->batch_max > 0 && !has_batch)
        return trp_node_fail(at, r->err, TRP_INVALID_ARGUMENT,
                             "max_batch_size is %d, but %s \"%.*s\" has no free first dimension in "
                             "the file",
                             r->request->batch_max, kind, TRP_STR(name));
    *out = &list[*n];
    **out = *from;
    (*out)->name = trp_arena_dup(r->arena, name);
    (*out)->dim_names = NULL;
    ++*n;
    return (*out)->name.ptr ? trp_ok() : no_memory(r);
}

/* ---- controls ---- */

static enum trp_sequence_control_kind kind_of(struct trp_str name)
{
    static const char *const names[TRP_SEQUENCE_CONTROL_KINDS] = {
        [TRP_SEQUENCE_START] = "CONTROL_SEQUENCE_START",
        [TRP_SEQUENCE_READY] = "CONTROL_SEQUENCE_READY",
        [TRP_SEQUENCE_END] = "CONTROL_SEQUENCE_END",
        [TRP_SEQUENCE_CORRID] = "CONTROL_SEQUENCE_CORRID",
    };
    int kind = TRP_SEQUENCE_CORRID;
    while (kind > TRP_SEQUENCE_START && !trp_str_is(name, names[kind]))
        kind--;
    return (enum trp_sequence_control_kind)kind; /* START is what absence means */
}

/* The two values of a flag, as elements of one of three types; false: not of this one. */
static bool read_flag(const struct trp_node *control, int32_t *out_dtype, uint32_t values[2])
{
    const struct trp_node *ints = trp_node_get(control, "int32_false_true");
    const struct trp_node *floats = trp_node_get(control, "fp32_false_true");
    const struct trp_node *bools = trp_node_get(control, "bool_false_true");
    const struct trp_node *list = count(ints) ? ints : count(floats) ? floats : bools;
    uint32_t i = 0;
    if (count(list) != 2 || count(ints) + count(floats) + count(bools) != 2)
        return false;
    *out_dtype = list == ints ? TROUPE_INT32 : list == floats ? TROUPE_FP32 : TROUPE_BOOL;
    for (const struct trp_node *n = list->first; n; n = n->next, i++) {
        if (list == bools) {
            values[i] = n->v.b;
        } else if (list == ints) {
            values[i] = (uint32_t)(int32_t)n->v.i;
        } else {
            const float f = (float)n->v.d;
            memcpy(&values[i], &f, sizeof f);
        }
    }
    return true;
}

static bool is_id_type(int32_t dtype)
{
    return dtype == TROUPE_UINT64 || dtype == TROUPE_INT64 || dtype == TROUPE_UINT32 ||
           dtype == TROUPE_INT32 || dtype == TROUPE_BYTES;
}

static trp_status check_control(const struct reader *r, const struct trp_node *at,
                                const struct trp_io *io, int32_t dtype)
{
    if (io->dtype != dtype)
        return trp_node_fail(at, r->err, TRP_INVALID_ARGUMENT,
                             "sequence_batching: control \"%.*s\" is %s, the file says %s",
                             TRP_STR(io->name), trp_dtype_config_name(dtype),
                             trp_dtype_config_name(io->dtype));
    for (uint32_t d = 0; !io->any_rank && d < io->rank; d++)
        if (io->dims[d] > 1 || io->dims[d] == 0)
            return trp_node_fail(at, r->err, TRP_INVALID_ARGUMENT,
                                 "sequence_batching: control \"%.*s\" has more than one element in "
                                 "the file",
                                 TRP_STR(io->name));
    return trp_ok();
}

static trp_status take_control(const struct reader *r, const struct trp_node *input)
{
    const struct trp_node *list = trp_node_get(input, "control");
    const struct trp_node *control = list ? list->first : NULL;
    struct trp_sequence_control *c = &r->controls[r->c->controls_n];
    struct trp_io *io = NULL;
    if (count(list) != 1)
        return trp_node_fail(input, r->err, TRP_INVALID_ARGUMENT,
                             "sequence_batching: a control_input has one control");
    *c = (struct trp_sequence_control){ .kind = kind_of(trp_node_str(control, "kind", nothing)),
                                        .input = r->c->inputs_n };
    for (uint32_t i = 0; i < r->c->controls_n; i++)
        if (r->controls[i].kind == c->kind)
            return trp_node_fail(control, r->err, TRP_INVALID_ARGUMENT,
                                 "sequence_batching: two controls are of one kind");
    TRP_CHECK(hide(r, input, trp_node_str(input, "name", nothing), false, &io));
    TRP_ASSERT(io);
    int32_t dtype = (int32_t)trp_dtype_parse_config(trp_node_str(control, "data_type", nothing));
    if (c->kind == TRP_SEQUENCE_CORRID) {
        dtype = dtype == TROUPE_NO_DTYPE ? io->dtype : dtype;
        if (!is_id_type(dtype))
            return trp_node_fail(control, r->err, TRP_INVALID_ARGUMENT,
                                 "sequence_batching: a correlation id is TYPE_UINT64, TYPE_INT64, "
                                 "TYPE_UINT32, TYPE_INT32 or TYPE_STRING");
    } else if (!read_flag(control, &dtype, c->values)) {
        return trp_node_fail(control, r->err, TRP_INVALID_ARGUMENT,
                             "sequence_batching: control \"%.*s\" needs one of int32_false_true, "
                             "fp32_false_true and bool_false_true, with two values",
                             TRP_STR(io->name));
    }
    r->c->controls_n++;
    return check_control(r, control, io, dtype);
}

/* ---- states ---- */

static trp_status check_state(const struct reader *r, const struct trp_node *at,
                              const struct trp_io *in, const struct trp_io *out)
{
    const int32_t dtype = (int32_t)trp_dtype_parse_config(trp_node_str(at, "data_type", nothing));
    if (in->dtype != out->dtype || (dtype != TROUPE_NO_DTYPE && dtype != in->dtype))
        return trp_node_fail(at, r->err, TRP_INVALID_ARGUMENT,
                             "sequence_batching: state \"%.*s\" is %s, the file takes %s and gives "
                             "%s",
                             TRP_STR(in->name),
                             trp_dtype_config_name(dtype == TROUPE_NO_DTYPE ? in->dtype : dtype),
                             trp_dtype_config_name(in->dtype), trp_dtype_config_name(out->dtype));
    return trp_ok();
}

/* A state's sizes in the file, without the batch, and where they are free those that are
 * written; 1 where nobody says one. */
static trp_status initial_shape(const struct reader *r, const struct trp_node *at,
                                const struct trp_node *dims, const struct trp_io *in,
                                struct troupe_tensor *t)
{
    const uint32_t batch = r->request->batch_max > 0;
    const struct trp_node *n = dims ? dims->first : NULL;
    const bool is_written = n != NULL;
    t->dtype = in->dtype;
    t->rank = in->any_rank ? batch + count(dims) : in->rank;
    if (t->rank > TROUPE_RANK_MAX || (is_written && batch + count(dims) != t->rank))
        return trp_node_fail(dims, r->err, TRP_INVALID_ARGUMENT,
                             "sequence_batching: state \"%.*s\" has %u dimensions in the file%s",
                             TRP_STR(in->name), in->rank - batch,
                             batch ? " beside that of the batch" : "");
    for (uint32_t d = 0; d < t->rank; d++) {
        const int64_t file = in->any_rank ? -1 : in->dims[d];
        int64_t size = file;
        if (d >= batch && n) {
            size = n->v.i >= 0 ? n->v.i : file;
            n = n->next;
        }
        if (size < -1 || (d >= batch && file >= 0 && size != file))
            return trp_node_fail(at, r->err, TRP_INVALID_ARGUMENT,
                                 "sequence_batching: state \"%.*s\": the configuration says %lld "
                                 "where the file says %lld",
                                 TRP_STR(in->name), (long long)size, (long long)file);
        t->shape[d] = size < 0 || d < batch ? 1 : size;
    }
    return trp_ok();
}

static trp_status take_initial(const struct reader *r, const struct trp_node *state,
                               const struct trp_io *in, struct trp_sequence_state *s)
{
    const struct trp_node *list = trp_node_get(state, "initial_state");
    const struct trp_node *initial = list ? list->first : NULL;
    const struct trp_node *dims = trp_node_get(initial, "dims");
    const int32_t dtype =
        (int32_t)trp_dtype_parse_config(trp_node_str(initial, "data_type", nothing));
    if (count(list) > 1)
        return trp_node_fail(list, r->err, TRP_INVALID_ARGUMENT,
                             "sequence_batching: state \"%.*s\" has more than one initial_state",
                             TRP_STR(in->name));
    if (dtype != TROUPE_NO_DTYPE && dtype != in->dtype)
        return trp_node_fail(initial, r->err, TRP_INVALID_ARGUMENT,
                             "sequence_batching: the initial state of \"%.*s\" is %s, the state %s",
                             TRP_STR(in->name), trp_dtype_config_name(dtype),
                             trp_dtype_config_name(in->dtype));
    if (!dims || !dims->first)
        dims = trp_node_get(state, "dims");
    TRP_CHECK(initial_shape(r, state, dims, in, &s->initial));
    const struct trp_str file = trp_node_str(initial, "data_file", nothing);
    s->data_file = file.len ? trp_arena_dup(r->arena, file) : nothing;
    if (file.len && !s->data_file.ptr)
        return no_memory(r);
    uint64_t elements = 0;
    bool fits = trp_shape_elements(s->initial.shape, s->initial.rank, &elements);
    if (in->dtype == TROUPE_BYTES)
        s->initial.bytes = elements * sizeof(uint32_t); /* empty ones */
    else
        fits = trp_shape_bytes(s->initial.shape, s->initial.rank, in->dtype, &s->initial.bytes);
    if (!fits || elements > (uint64_t)1 << 40)
        return trp_node_fail(state, r->err, TRP_INVALID_ARGUMENT,
                             "sequence_batching: state \"%.*s\" is too large", TRP_STR(in->name));
    return trp_ok();
}

static trp_status take_state(const struct reader *r, const struct trp_node *state)
{
    struct trp_sequence_state *s = &r->c->states[r->c->states_n++];
    struct trp_io *in = NULL, *out = NULL;
    *s = (struct trp_sequence_state){ .input = r->c->inputs_n, .output = r->c->outputs_n };
    TRP_CHECK(hide(r, state, trp_node_str(state, "input_name", nothing), false, &in));
    TRP_CHECK(hide(r, state, trp_node_str(state, "output_name", nothing), true, &out));
    TRP_ASSERT(in && out); /* as it went well */
    TRP_CHECK(check_state(r, state, in, out));
    return take_initial(r, state, in, s);
}

/* ---- the whole ---- */

static trp_status take_strategy(const struct reader *r)
{
    const struct trp_node *written = r->request->written;
    const struct trp_node *oldest = trp_node_get(written, "oldest");
    const uint64_t idle_us = trp_node_u64(written, "max_sequence_idle_microseconds", 0);
    const int64_t candidates = trp_node_i64(oldest, "max_candidate_sequences", 0);
    r->c->idle_ns = 1000 * (int64_t)(idle_us == 0            ? IDLE_US_DEFAULT
                                     : idle_us < IDLE_US_MAX ? idle_us
                                                             : IDLE_US_MAX);
    r->c->is_oldest = oldest != NULL;
    if (oldest && candidates < 1)
        return trp_node_fail(oldest, r->err, TRP_INVALID_ARGUMENT,
                             "sequence_batching: max_candidate_sequences is %lld; it is 1 or more",
                             (long long)candidates);
    r->c->candidates_max = (uint32_t)candidates;
    return trp_ok();
}

static bool is_listed(const struct trp_node *list, struct trp_str name)
{
    for (const struct trp_node *n = list ? list->first : NULL; n; n = n->next)
        if (trp_str_is_equal(trp_node_str(n, "name", nothing), name))
            return true;
    return false;
}

/* The file's, but for what is hidden. */
static trp_status show_rest(const struct reader *r, struct trp_signature *out)
{
    const struct trp_signature *file = r->request->file;
    struct trp_io *in = trp_arena_get(r->arena, (file->inputs_n + (size_t)1) * sizeof *in);
    struct trp_io *outs = trp_arena_get(r->arena, (file->outputs_n + (size_t)1) * sizeof *outs);
    if (!in || !outs)
        return no_memory(r);
    *out = *file;
    out->inputs = in;
    out->outputs = outs;
    out->inputs_n = out->outputs_n = 0;
    for (uint32_t i = 0; i < file->inputs_n; i++)
        if (trp_signature_place(r->inputs, r->c->inputs_n, file->inputs[i].name, 0) == UINT32_MAX)
            in[out->inputs_n++] = file->inputs[i];
    for (uint32_t i = 0; i < file->outputs_n; i++) {
        const struct trp_str name = file->outputs[i].name;
        if (trp_signature_place(r->outputs, r->c->outputs_n, name, 0) == UINT32_MAX ||
            is_listed(r->request->outputs, name))
            outs[out->outputs_n++] = file->outputs[i];
    }
    return trp_ok();
}

static trp_status take_all(struct reader *r)
{
    const struct trp_node *controls = trp_node_get(r->request->written, "control_input");
    const struct trp_node *states = trp_node_get(r->request->written, "state");
    const uint32_t controls_n = count(controls), states_n = count(states);
    if ((uint64_t)controls_n + states_n > TRP_IO_MAX)
        return trp_node_fail(r->request->written, r->err, TRP_TOO_LARGE,
                             "sequence_batching: more than %d controls and states", TRP_IO_MAX);
    const size_t inputs_max = (size_t)controls_n + states_n + 1;
    r->controls = trp_arena_get(r->arena, inputs_max * sizeof *r->controls);
    r->inputs = trp_arena_get(r->arena, inputs_max * sizeof *r->inputs);
    r->outputs = trp_arena_get(r->arena, inputs_max * sizeof *r->outputs);
    r->c->states = trp_arena_get(r->arena, inputs_max * sizeof *r->c->states);
    if (!r->controls || !r->inputs || !r->outputs || !r->c->states)
        return no_memory(r);
    r->c->controls = r->controls;
    r->c->inputs = r->inputs;
    r->c->outputs = r->outputs;
    TRP_CHECK(take_strategy(r));
    for (const struct trp_node *n = controls ? controls->first : NULL; n; n = n->next)
        TRP_CHECK(take_control(r, n));
    for (const struct trp_node *n = states ? states->first : NULL; n; n = n->next)
        TRP_CHECK(take_state(r, n));
    return trp_ok();
}

trp_status trp_sequence_config_take(struct trp_arena *a, const struct trp_sequence_request *request,
                                    struct trp_sequence_config **out_config,
                                    struct trp_signature *out_visible, struct trp_error *err)
{
    struct reader r = { .arena = a, .request = request, .err = err };
    struct trp_signature visible;
    *out_config = NULL;
    r.c = trp_arena_zeroed(a, 1, sizeof *r.c);
    if (!r.c)
        return no_memory(&r);
    TRP_CHECK(take_all(&r));
    TRP_ASSERT(r.inputs && r.outputs); /* as it went well */
    TRP_CHECK(show_rest(&r, &visible));
    *out_visible = visible;
    *out_config = r.c;
    return trp_ok();
}

static const struct trp_io *behind(struct trp_arena *a, const struct trp_io *seen, uint32_t seen_n,
                                   const struct trp_io *hidden, uint32_t hidden_n)
{
    struct trp_io *all = trp_arena_get(a, ((size_t)seen_n + hidden_n + 1) * sizeof *all);
    if (all && seen_n)
        memcpy(all, seen, seen_n * sizeof *all);
    if (all && hidden_n)
        memcpy(all + seen_n, hidden, hidden_n * sizeof *all);
    return all;
}

trp_status trp_sequence_config_hide(struct trp_arena *a, const struct trp_sequence_config *c,
                                    struct trp_signature *seen, struct trp_error *err)
{
    const struct trp_io *inputs = behind(a, seen->inputs, seen->inputs_n, c->inputs, c->inputs_n);
    const struct trp_io *outputs =
        behind(a, seen->outputs, seen->outputs_n, c->outputs, c->outputs_n);
    if (!inputs || !outputs)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for sequence_batching");
    seen->inputs = inputs;
    seen->outputs = outputs;
    seen->hidden_inputs_n = (uint16_t)c->inputs_n; /* at most TRP_IO_MAX */
    seen->hidden_outputs_n = (uint16_t)c->outputs_n;
    return trp_ok();
}

trp_status trp_sequence_config_zero(struct trp_arena *a, struct trp_sequence_config *c,
                                    struct trp_error *err)
{
    for (uint32_t i = 0; i < c->states_n; i++) {
        struct troupe_tensor *t = &c->states[i].initial;
        if (t->data)
            continue;
        t->data = t->bytes < SIZE_MAX ? trp_arena_zeroed(a, 1, (size_t)t->bytes + 1) : NULL;
        if (!t->data)
            return trp_fail(err, TRP_OUT_OF_MEMORY,
                            "no memory for a state of %llu bytes to begin with",
                            (unsigned long long)t->bytes);
    }
    return trp_ok();
}

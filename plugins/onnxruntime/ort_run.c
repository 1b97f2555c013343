/* onnxruntime/ort_run.c - running a model.
 *
 * The hot path: no allocation of ours for up to SLOTS inputs and outputs.  Names were copied when
 * the model was opened, inputs are wrapped and not copied, run options and output handles are
 * reused.
 *
 *  1. A run takes a ticket before it looks at its cancel flag.  Whoever cancels raises the flag and
 *     then asks for the ticket; both go through the lock.  So either the run sees the flag, or the
 *     canceller finds the ticket: no cancellation falls between.
 *  2. Memory that was given for an output is handed to ONNX Runtime only when every size is
 *     declared.  When the declaration is false the run fails; it is done again without, once, and
 *     never tried again for that output.
 *  3. After a failure no output holds memory.
 *  4. From its ticket on, what the run allocates is paid by the run's account; what the run gave
 *     back stays with the ticket. */
#include "ort_plugin.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS 16
/* Whether an older host knew of a field. */
#define HAS_FIELD(run, field) \
    ((run)->struct_size >= offsetof(struct troupe_run, field) + sizeof(run)->field)
#define GIVEN_ALIGN 16u /* less aligned memory is filled by a copy */

/* Arrays as Run() wants them, on the stack or in one block. */
struct call {
    struct ort_model *m;
    struct OrtSession *session; /* the device's that the run is for */
    const struct troupe_run *run;
    const struct troupe_tensor *inputs;
    struct troupe_tensor *outputs;
    const char **in_names, **out_names;
    struct OrtValue **in_values, **out_values;
    uint32_t sent_n; /* inputs that were sent */
    bool has_given;  /* an output's memory was handed over */
};

static bool is_raised(const volatile int32_t *flag)
{
    return flag && __atomic_load_n(flag, __ATOMIC_ACQUIRE) != 0;
}

/* --- tickets ---------------------------------------------------------------------------------- */

static struct ort_ticket *create_ticket(struct ort_model *m, struct troupe_error *error)
{
    const struct OrtApi *api = m->plugin->api;
    struct ort_ticket *t = calloc(1, sizeof *t);
    if (!t) {
        ort_words_fail(error, TROUPE_OUT_OF_MEMORY, "run options");
        return NULL;
    }
    struct OrtStatus *status = api->CreateRunOptions(&t->options);
    if (!status) /* a failure is returned, so it need not be logged as well */
        status = api->RunOptionsSetRunLogSeverityLevel(t->options, ORT_SEVERITY_FATAL);
    if (!status)
        return t;
    ort_words_of_status(api, status, ORT_PHASE_RUN, error);
    if (t->options)
        api->ReleaseRunOptions(t->options);
    free(t);
    return NULL;
}

/* NULL: no memory, words are in the run's error. */
static struct ort_ticket *take_ticket(struct ort_model *m, const struct troupe_run *run)
{
    pthread_mutex_lock(&m->lock);
    struct ort_ticket *t = m->idle;
    if (t)
        m->idle = t->next;
    else
        t = create_ticket(m, run->error);
    if (t) {
        t->is_stale = false;
        t->id = run->id;
        t->next = m->active;
        m->active = t;
    }
    pthread_mutex_unlock(&m->lock);
    return t;
}

static void retire_ticket(struct ort_model *m, struct ort_ticket *t)
{
    pthread_mutex_lock(&m->lock);
    struct ort_ticket **at = &m->active;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    if (t->is_terminated) {
        struct OrtStatus *status = m->plugin->api->RunOptionsUnsetTerminate(t->options);
        if (status)
            m->plugin->api->ReleaseStatus(status); /* it only writes a bool */
        t->is_terminated = false;
    }
    t->next = m->idle;
    m->idle = t;
    pthread_mutex_unlock(&m->lock);
}

static bool was_terminated(struct ort_model *m, const struct ort_ticket *t)
{
    pthread_mutex_lock(&m->lock);
    const bool is = t->is_terminated;
    pthread_mutex_unlock(&m->lock);
    return is;
}

static struct ort_block *spare_of(void *user)
{
    return ort_run_detach_idle(user);
}

/* A ticket's blocks are in the name of the account that paid for them. */
static void enter_payer(struct ort_model *m, struct ort_ticket *t, const struct troupe_run *run)
{
    const bool knows_limit = HAS_FIELD(run, memory_bytes_max);
    if (t->payer.account != run->account)
        ort_cache_free(ort_cache_detach(&t->cache));
    t->payer = (struct ort_payer){ .account = run->account,
                                   .cache = &t->cache,
                                   .home = m->shrinks ? NULL : m->home,
                                   .bytes_max = knows_limit ? run->memory_bytes_max : 0,
                                   .peak_bytes = t->payer.peak_bytes,
                                   .spare = spare_of,
                                   .spare_user = m };
    ort_memory_enter(&t->payer);
}

static void leave_payer(const struct ort_model *m, struct ort_ticket *t,
                        const struct troupe_run *run)
{
    ort_memory_leave();
    if (HAS_FIELD(run, out_peak_bytes) && run->out_peak_bytes)
        *run->out_peak_bytes = t->payer.run_peak_bytes;
    if (m->shrinks)
        ort_cache_free(ort_cache_detach(&t->cache));
}

struct ort_block *ort_run_detach_stale(struct ort_model *m)
{
    struct ort_block *all = NULL;
    if (m->keeps_memory)
        return NULL;
    pthread_mutex_lock(&m->lock);
    for (struct ort_ticket *t = m->idle; t; t = t->next) {
        if (t->is_stale) {
            all = ort_cache_join(ort_cache_detach(&t->cache), all);
            t->payer.peak_bytes = 0;
        }
        t->is_stale = true;
    }
    pthread_mutex_unlock(&m->lock);
    return ort_cache_join(ort_home_detach(m->home, true), all);
}

struct ort_block *ort_run_detach_idle(struct ort_model *m)
{
    struct ort_block *all = NULL;
    pthread_mutex_lock(&m->lock);
    for (struct ort_ticket *t = m->idle; t; t = t->next) {
        all = ort_cache_join(ort_cache_detach(&t->cache), all);
        t->payer.peak_bytes = 0;
    }
    pthread_mutex_unlock(&m->lock);
    return ort_cache_join(ort_home_detach(m->home, false), all);
}

int32_t ort_run_cancel(void *model, uint64_t run_id)
{
    struct ort_model *m = model;
    int32_t code = TROUPE_NOT_FOUND;
    pthread_mutex_lock(&m->lock);
    for (struct ort_ticket *t = m->active; t; t = t->next) {
        if (t->id != run_id)
            continue;
        struct OrtStatus *status = m->plugin->api->RunOptionsSetTerminate(t->options);
        if (status)
            m->plugin->api->ReleaseStatus(status);
        t->is_terminated = true;
        code = TROUPE_OK;
    }
    pthread_mutex_unlock(&m->lock);
    return code;
}

void ort_run_free_tickets(struct ort_model *m)
{
    for (struct ort_ticket *t = m->idle, *next; t; t = next) {
        next = t->next;
        m->plugin->api->ReleaseRunOptions(t->options);
        ort_cache_free(ort_cache_detach(&t->cache));
        free(t);
    }
    m->idle = NULL;
}

/* --- values in and out ------------------------------------------------------------------------ */

static int32_t wrap_inputs(struct call *c)
{
    for (uint32_t i = 0; i < c->m->inputs_n; i++) {
        if (!c->inputs[i].data && c->m->inputs[i].is_optional)
            continue; /* ONNX Runtime takes the initialiser */
        if (!c->inputs[i].data)
            return ort_words_fail(c->run->error, TROUPE_INVALID_ARGUMENT, "input '%s' was not sent",
                                  c->m->inputs[i].name);
        c->in_names[c->sent_n] = c->m->inputs[i].name;
        struct OrtValue **value = &c->in_values[c->sent_n++];
        const int32_t code =
            ort_value_of_tensor(c->m, &c->m->inputs[i], &c->inputs[i], value, c->run->error);
        if (code != TROUPE_OK)
            return code;
    }
    return TROUPE_OK;
}

static bool can_hand_over(struct ort_io *io, const struct troupe_tensor *t)
{
    return t->data && io->fixed_bytes <= t->bytes && io->fixed_bytes > 0 &&
           (uintptr_t)t->data % GIVEN_ALIGN == 0 &&
           !atomic_load_explicit(&io->is_misdeclared, memory_order_relaxed);
}

static int32_t name_outputs(struct call *c)
{
    const struct OrtApi *api = c->m->plugin->api;
    for (uint32_t i = 0; i < c->run->outputs_n; i++)
        c->out_values[i] = NULL;
    for (uint32_t i = 0; i < c->run->outputs_n; i++) {
        struct ort_io *io = &c->m->outputs[c->run->output_index[i]];
        struct troupe_tensor *t = &c->outputs[i];
        c->out_names[i] = io->name;
        if (!can_hand_over(io, t))
            continue;
        struct OrtStatus *status =
            api->CreateTensorWithDataAsOrtValue(c->m->plugin->cpu, t->data, io->fixed_bytes,
                                                io->dims, io->rank, io->element, &c->out_values[i]);
        if (status)
            return ort_words_of_status(api, status, ORT_PHASE_RUN, c->run->error);
        c->has_given = true;
    }
    return TROUPE_OK;
}

static void release_values(const struct OrtApi *api, struct OrtValue **values, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (values[i])
            api->ReleaseValue(values[i]);
        values[i] = NULL;
    }
}

static void drop_outputs(struct troupe_tensor *outputs, uint32_t n)
{
    for (struct troupe_tensor *t = outputs; t < outputs + n; t++) {
        if (t->release)
            t->release(t->release_user, t->data);
        t->release = NULL;
        t->data = NULL;
    }
}

/* Remembers a declaration that turned out false. */
static void compare_shape(struct ort_io *io, const struct troupe_tensor *t)
{
    if (t->rank != io->rank || memcmp(t->shape, io->dims, t->rank * sizeof t->shape[0]) != 0)
        atomic_store_explicit(&io->is_misdeclared, true, memory_order_relaxed);
}

static int32_t take_outputs(struct call *c, bool was_repeated)
{
    const struct troupe_run *run = c->run;
    uint64_t bytes = 0;
    int32_t code = TROUPE_OK;
    for (uint32_t i = 0; code == TROUPE_OK && i < run->outputs_n; i++) {
        struct ort_io *io = &c->m->outputs[run->output_index[i]];
        struct troupe_tensor *t = &c->outputs[i];
        struct OrtValue *value = c->out_values[i];
        c->out_values[i] = NULL;
        code = ort_value_to_tensor(c->m, run, io, value, t);
        if (code != TROUPE_OK)
            break;
        bytes += t->bytes;
        if (was_repeated)
            compare_shape(io, t);
        if (run->output_bytes_max && bytes > run->output_bytes_max)
            code = ort_words_fail(run->error, TROUPE_TOO_LARGE,
                                  "the outputs have %llu bytes or more; at most %llu are allowed",
                                  (unsigned long long)bytes,
                                  (unsigned long long)run->output_bytes_max);
    }
    if (code != TROUPE_OK)
        drop_outputs(c->outputs, run->outputs_n);
    return code;
}

/* --- the run ---------------------------------------------------------------------------------- */

/* Which of the sessions makes the run. */
static uint32_t place_of(const struct troupe_run *run)
{
    return HAS_FIELD(run, device) ? run->device : 0;
}

static struct OrtStatus *call_session(struct call *c, const struct ort_ticket *ticket)
{
    return c->m->plugin->api->Run(c->session, ticket->options, c->in_names,
                                  (const struct OrtValue *const *)c->in_values, c->sent_n,
                                  c->out_names, c->run->outputs_n, c->out_values);
}

static int32_t run_session(struct call *c, const struct ort_ticket *ticket)
{
    const struct OrtApi *api = c->m->plugin->api;
    bool is_again = false;
    if (is_raised(c->run->cancel))
        return ort_words_fail(c->run->error, TROUPE_CANCELLED, "the run was cancelled");
    struct OrtStatus *status = call_session(c, ticket);
    if (status && c->has_given && !is_raised(c->run->cancel)) {
        api->ReleaseStatus(status); /* perhaps a shape that was declared wrongly */
        release_values(api, c->out_values, c->run->outputs_n);
        is_again = true;
        status = call_session(c, ticket);
    }
    if (!status)
        return take_outputs(c, is_again);
    if (!was_terminated(c->m, ticket))
        return ort_words_of_status(api, status, ORT_PHASE_RUN, c->run->error);
    api->ReleaseStatus(status);
    return ort_words_fail(c->run->error, TROUPE_CANCELLED, "the run was cancelled");
}

/* ONNX Runtime only says that there was no memory. */
static int32_t explain_refusal(const struct troupe_run *run, const struct ort_payer *payer)
{
    const unsigned long long held = payer->held_bytes, asked = payer->refused_bytes;
    if (payer->is_over_limit)
        return ort_words_fail(run->error, TROUPE_TOO_LARGE,
                              "the run holds %llu bytes and asked for %llu more; a run may hold "
                              "%llu",
                              held, asked, (unsigned long long)payer->bytes_max);
    return ort_words_fail(run->error, TROUPE_OUT_OF_MEMORY,
                          "the run holds %llu bytes, and %llu more were refused", held, asked);
}

static int32_t run_ticketed(struct call *c, struct ort_ticket *ticket)
{
    const struct OrtApi *api = c->m->plugin->api;
    enter_payer(c->m, ticket, c->run);
    int32_t code = wrap_inputs(c);
    if (code == TROUPE_OK) {
        code = name_outputs(c);
        if (code == TROUPE_OK)
            code = run_session(c, ticket);
        release_values(api, c->out_values, c->run->outputs_n);
    }
    if (code != TROUPE_OK && code != TROUPE_CANCELLED && ticket->payer.refused_bytes)
        code = explain_refusal(c->run, &ticket->payer);
    release_values(api, c->in_values, c->sent_n);
    leave_payer(c->m, ticket, c->run);
    return code;
}

static int32_t run_call(struct call *c)
{
    struct ort_ticket *ticket = take_ticket(c->m, c->run);
    if (!ticket)
        return TROUPE_OUT_OF_MEMORY;
    const int32_t code = run_ticketed(c, ticket);
    retire_ticket(c->m, ticket);
    return code;
}

/* More inputs or outputs than the stack has room for. */
static int32_t run_wide(struct call *c)
{
    const size_t in_n = c->m->inputs_n + 1u, out_n = c->run->outputs_n + 1u;
    void **block = calloc(2 * (in_n + out_n), sizeof *block);
    if (!block)
        return ort_words_fail(c->run->error, TROUPE_OUT_OF_MEMORY, "a run of %u inputs",
                              c->m->inputs_n);
    c->in_names = (const char **)block;
    c->in_values = (struct OrtValue **)(block + in_n);
    c->out_names = (const char **)(block + 2 * in_n);
    c->out_values = (struct OrtValue **)(block + 2 * in_n + out_n);
    const int32_t code = run_call(c);
    free(block);
    return code;
}

int32_t ort_run_model(void *model, const struct troupe_run *run, const struct troupe_tensor *inputs,
                      struct troupe_tensor *outputs)
{
    struct call c = { .m = model, .run = run, .inputs = inputs, .outputs = outputs };
    const uint32_t at = place_of(run);
    if (at >= c.m->sessions_n)
        return ort_words_fail(run->error, TROUPE_INVALID_ARGUMENT, "the model has no device %u",
                              at);
    c.session = c.m->sessions[at];
    if (c.m->inputs_n > SLOTS || run->outputs_n > SLOTS)
        return run_wide(&c);
    const char *in_names[SLOTS], *out_names[SLOTS]; /* not zeroed: this is the hot path */
    struct OrtValue *in_values[SLOTS], *out_values[SLOTS];
    c.in_names = in_names;
    c.in_values = in_values;
    c.out_names = out_names;
    c.out_values = out_values;
    return run_call(&c);
}

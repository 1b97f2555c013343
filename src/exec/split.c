/* exec/split.c - see split.h.
 *
 *   can never fit ──► begin ──► ask ──NEVER──► half as many rows ──► ask ... one row: refused
 *                                │ ▲ NOT_NOW: the queue
 *                           DONE ▼ │ more rows
 *                               run ──► join ──► all rows: answered
 *
 * How much a part will hold is a hope at first, in proportion to what the whole was seen to ask
 * for; it is ended when it asks for more than there is, and tried again with what it asked for. */
#include "exec/split.h"

#include "exec/batch.h"
#include "model/version.h"

struct trp_split {
    int64_t rows, done, part;      /* of the call; of them answered; in the next part */
    uint64_t least_bytes;          /* that the next part is known to hold; 0: not known */
    uint64_t joined_bytes;         /* held for the outputs of all */
    int64_t run_ns;                /* of the parts so far, without what was between them */
    struct troupe_tensor *outputs; /* of one part */
};

static struct trp_version *version_of(const struct trp_call *call)
{
    return trp_version_of(call->target);
}

/* ---- whether ---- */

static bool is_cut_by(const struct troupe_tensor *t, int64_t rows)
{
    return t->dtype != TROUPE_BYTES && t->rank > 0 && t->shape[0] == rows &&
           t->bytes % (uint64_t)rows == 0;
}

/* 0: it cannot be cut.  Who could find out whether it may be is told, for the next one. */
static int64_t rows_of(const struct trp_call *call)
{
    struct trp_version *v = version_of(call);
    int64_t rows = 0;
    const bool is_apart = !trp_call_is_in_sequence(call);
    const bool has_rows = v->signature.batch_max > 0 || (is_apart && trp_batch_limit(v) > 0);
    for (uint32_t i = 0; has_rows && i < call->inputs_n; i++) {
        const struct troupe_tensor *t = &call->inputs[i].tensor;
        if (!t->data)
            continue;
        rows = rows ? rows : t->rank > 0 ? t->shape[0] : 0;
        if (rows < 2 || !is_cut_by(t, rows))
            return 0;
    }
    for (uint32_t i = 0; i < call->wanted_n; i++)
        if (v->signature.outputs[call->wanted[i].index].dtype == TROUPE_BYTES)
            return 0;
    if (!has_rows)
        trp_batch_want(v);
    return rows;
}

bool trp_split_begin(struct trp_call *call)
{
    const int64_t rows = rows_of(call);
    struct trp_split *s = rows ? trp_arena_zeroed(&call->arena, 1, sizeof *s) : NULL;
    if (!s)
        return false;
    s->outputs = trp_arena_zeroed(&call->arena, call->wanted_n + 1, sizeof *s->outputs);
    if (!s->outputs)
        return false;
    s->rows = rows;
    s->part = rows - rows / 2;
    call->split = s;
    call->batch_key = 0; /* from now on it meets nobody */
    call->error = (struct trp_error){ 0 };
    return true;
}

/* ---- room ---- */

enum trp_reserve trp_split_ask(const struct trp_run_place *p, struct trp_call *call, int64_t now_ns,
                               struct trp_admitted *out)
{
    struct trp_split *s = call->split;
    *out = (struct trp_admitted){ .size = 0 };
    if (call->deadline_ns != 0 && call->deadline_ns <= now_ns)
        (void)trp_call_try_expire(call);
    if (trp_oneshot_get(&call->outcome) != TRP_OUTCOME_OPEN)
        return TRP_RESERVE_NEVER;
    for (;;) {
        s->part = s->part < s->rows - s->done ? s->part : s->rows - s->done;
        const uint64_t row_bytes = trp_run_input_bytes(call) / (uint64_t)s->rows;
        const struct trp_admission_wish wish = { .size = row_bytes * (uint64_t)s->part,
                                                 .is_part = true,
                                                 .least_bytes = s->least_bytes,
                                                 .kept_bytes = s->joined_bytes };
        const enum trp_reserve r =
            trp_admission_begin(p->admission, call, &wish, p->metrics, now_ns, out);
        if (r != TRP_RESERVE_NEVER || !out->is_hopeless || s->part == 1)
            return r;
        call->error = (struct trp_error){ 0 };
        s->part -= s->part / 2;
        s->least_bytes = 0;
    }
}

/* ---- joining ---- */

static void free_joined(void *user, void *data)
{
    trp_alloc_free(user, data);
}

static trp_status cannot_join(struct trp_call *call, const struct trp_wanted *w)
{
    return trp_fail_limit(&call->error, TRP_OVER_BUDGET, TRP_LIMIT_BUDGET,
                          "model '%s': a run: it fits into memory.budget in parts only, and output "
                          "'%.*s' has no row for each row of the inputs",
                          version_of(call)->id, TRP_STR(w->name));
}

/* The place for all rows of one output, by what it is for the first part. */
static trp_status make_joined(const struct trp_run_place *p, struct trp_call *call, uint32_t i,
                              const struct troupe_tensor *first)
{
    struct trp_split *s = call->split;
    const struct trp_wanted *w = &call->wanted[i];
    struct troupe_tensor *all = &call->outputs[i].tensor;
    struct trp_account *account = &version_of(call)->activations;
    uint64_t bytes;
    if (!is_cut_by(first, s->part))
        return cannot_join(call, w);
    if (__builtin_mul_overflow(first->bytes / (uint64_t)s->part, (uint64_t)s->rows, &bytes) ||
        (p->output_bytes_max != 0 && bytes > p->output_bytes_max - s->joined_bytes))
        return trp_fail_limit(&call->error, TRP_TOO_LARGE, TRP_LIMIT_OUTPUT,
                              "model '%s': its outputs have more than %llu bytes",
                              version_of(call)->id, (unsigned long long)p->output_bytes_max);
    if (w->memory && bytes > w->memory_bytes)
        return trp_fail(&call->error, TRP_INVALID_ARGUMENT,
                        "shared memory region too small: output '%.*s' needs %llu bytes, region "
                        "has %llu",
                        TRP_STR(w->name), (unsigned long long)bytes,
                        (unsigned long long)w->memory_bytes);
    *all = *first;
    all->shape[0] = s->rows;
    all->bytes = bytes;
    all->release = NULL;
    all->data = w->memory ? w->memory : trp_alloc_aligned(&account->alloc, bytes ? bytes : 1, 64);
    if (!all->data)
        return trp_fail_limit(&call->error, TRP_OUT_OF_MEMORY, TRP_LIMIT_RUN_MEMORY,
                              "model '%s': output '%.*s' of %llu bytes", version_of(call)->id,
                              TRP_STR(w->name), (unsigned long long)bytes);
    if (w->memory)
        return trp_ok();
    all->release = free_joined;
    all->release_user = &account->alloc;
    s->joined_bytes += bytes;
    return trp_ok();
}

static trp_status make_all(const struct trp_run_place *p, struct trp_call *call)
{
    TRP_CHECK(trp_run_make_outputs(call));
    call->outputs_n = call->wanted_n;
    for (uint32_t i = 0; i < call->wanted_n; i++)
        TRP_CHECK(make_joined(p, call, i, &call->split->outputs[i]));
    return trp_ok();
}

/* Whether it continues what the parts before have begun. */
static bool is_more_of(const struct troupe_tensor *part, const struct troupe_tensor *all,
                       int64_t rows)
{
    return is_cut_by(part, rows) && part->dtype == all->dtype && part->rank == all->rank &&
           memcmp(part->shape + 1, all->shape + 1, (part->rank - 1) * sizeof *part->shape) == 0;
}

static trp_status join(const struct trp_run_place *p, struct trp_call *call)
{
    const struct trp_split *s = call->split;
    if (s->done == 0)
        TRP_CHECK(make_all(p, call));
    for (uint32_t i = 0; i < call->wanted_n; i++) {
        const struct troupe_tensor *part = &s->outputs[i], *all = &call->outputs[i].tensor;
        if (!is_more_of(part, all, s->part))
            return cannot_join(call, &call->wanted[i]);
        const uint64_t at = all->bytes / (uint64_t)s->rows * (uint64_t)s->done;
        if (part->bytes > 0)
            memmove((char *)all->data + at, part->data, part->bytes); /* an echo may be its input */
        trp_metric_add(p->metrics, TRP_METRIC_BYTES_COPIED, part->bytes);
    }
    return trp_ok();
}

/* What the backend does not tell is at least its outputs. */
static uint64_t release_part(struct trp_call *call)
{
    uint64_t bytes = 1;
    for (uint32_t i = 0; i < call->wanted_n; i++) {
        struct troupe_tensor *t = &call->split->outputs[i];
        if (t->release) {
            bytes += t->bytes;
            t->release(t->release_user, t->data);
        }
        *t = (struct troupe_tensor){ 0 };
    }
    return call->run_peak_bytes > bytes ? call->run_peak_bytes : bytes;
}

/* ---- running ---- */

static void stamp_and_count(const struct trp_run_place *p, struct trp_call *call)
{
    int64_t *at = call->stamps_ns;
    at[TRP_PHASE_INPUT_END] = at[TRP_PHASE_OUTPUT_START] - call->split->run_ns;
    at[TRP_PHASE_RUN_END] = trp_clock_now_ns(p->clock);
    trp_metric_add(p->metrics, TRP_METRIC_RUNS_SPLIT, 1);
    trp_run_count(call, 0);
}

/* Of what there is room for, what the outputs that were joined so far do not take. */
static uint64_t own_bytes(const struct trp_split *s, uint64_t bytes)
{
    return bytes == 0 ? UINT64_MAX : bytes > s->joined_bytes ? bytes - s->joined_bytes : 1;
}

/* The part was too large for its room, and has not happened: it asks for more, or waits for what
 * it had asked for. */
static enum trp_split_end fell_short(const struct trp_run_place *p, struct trp_call *call,
                                     struct trp_admitted *room)
{
    struct trp_split *s = call->split;
    const bool is_more = trp_admission_fell_short(p->admission, call, room, s->joined_bytes);
    s->least_bytes = is_more ? call->run_peak_bytes : s->least_bytes;
    return is_more ? TRP_SPLIT_GOES_ON : TRP_SPLIT_WAITS;
}

enum trp_split_end trp_split_run(const struct trp_run_place *p, struct trp_call *call,
                                 struct trp_admitted *room)
{
    struct trp_split *s = call->split;
    const struct trp_run_slice rows = { s->done, s->part, s->rows };
    if (s->done == 0)
        call->stamps_ns[TRP_PHASE_RUN_START] = trp_clock_now_ns(p->clock);
    if (!trp_run_part(p, call, &rows, own_bytes(s, room->bytes_max), s->outputs))
        return fell_short(p, call, room);
    s->run_ns += call->stamps_ns[TRP_PHASE_OUTPUT_START] - call->stamps_ns[TRP_PHASE_INPUT_END];
    trp_status st = call->error.status;
    const bool has_run = !trp_failed(st);
    if (has_run)
        st = join(p, call);
    const uint64_t peak = has_run ? release_part(call) : call->run_peak_bytes;
    trp_admission_end(p->admission, version_of(call), room, peak);
    s->done += s->part;
    s->least_bytes = 0;
    if (!trp_failed(st) && s->done < s->rows)
        return TRP_SPLIT_GOES_ON;
    if (!trp_failed(st))
        stamp_and_count(p, call);
    trp_run_settle(call);
    return TRP_SPLIT_DONE;
}

/* ---- giving up ---- */

bool trp_split_is_under_way(const struct trp_call *call)
{
    return call->split && call->split->done > 0;
}

void trp_split_drop(struct trp_call *call)
{
    if (!call->split)
        return;
    for (uint32_t i = 0; i < call->outputs_n; i++) {
        struct troupe_tensor *t = &call->outputs[i].tensor;
        if (t->release)
            t->release(t->release_user, t->data);
    }
    call->outputs_n = 0;
    call->split = NULL;
}

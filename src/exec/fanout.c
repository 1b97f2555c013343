/* exec/fanout.c - see fanout.h.
 *
 * A part is a call like a batch's joint one: it has inputs that are views of some rows, words of
 * its own for a failure, a token of its own, and nobody waits for it.  So a backend and exec/run.c
 * see nothing new.  All parts of a run lie in one block, which goes when the run has ended; names
 * that cancel() knows them by are never used again.
 *
 * Not done: parts of unlike sizes for cores of unlike speed; a second run divided while the first
 * one still is (there is nobody idle then). */
#include "exec/fanout.h"

#include "backend/backend_host.h"
#include "exec/fanout_join.h"
#include "exec/seating.h"
#include "sched/splitting.h"

#define JOIN_NS INT64_C(100000) /* to wake a thread and to wait for it, generously */
#define TRY_EVERY 64u           /* runs that were better left whole: costs may have changed */
#define ARENA_BLOCK_BYTES 1024
#define ARENA_BYTES_MAX ((size_t)1 << 20)
#define ID_BIT (UINT64_C(1) << 63) /* no address has it: calls are known by theirs */

static struct trp_version *version_of(const struct trp_call *call)
{
    return trp_version_of(call->target);
}

static struct trp_lines *lines_of(const struct trp_call *call)
{
    return version_of(call)->exec_slot;
}

static struct trp_fanout_part *part_of(struct trp_call *call)
{
    return TRP_CONTAINER_OF(call, struct trp_fanout_part, call);
}

void trp_fanout_init(struct trp_fanout *f)
{
    trp_signal_init(&f->ended);
    f->parts_n = 1;
}

void trp_fanout_deinit(struct trp_fanout *f)
{
    TRP_ASSERT(!f->parts);
    trp_signal_deinit(&f->ended);
}

/* ---- whether ---- */

/* Nobody knows yet whether its rows are independent; who can find out is told. */
static void wish(const struct trp_call *call)
{
    struct trp_version *v = version_of(call);
    if (trp_batch_limit(v) == 0 && call->inputs_n > 0 &&
        trp_rows_count(&call->inputs[0].tensor) > 1)
        trp_batch_want(v);
}

/* Executors that could take a part: that sleep uncalled, as far as the version has slots.  Under
 * the queue's lock. */
static uint32_t helpers_for(const struct trp_runqueue *q, const struct trp_sched_model *m)
{
    const uint32_t idle = q->sleeping - q->told;
    if (m->slots == 0)
        return idle;
    const uint32_t slots =
        trp_sched_wanted(m) == 0 && m->slots > m->running ? m->slots - m->running : 0;
    return idle < slots ? idle : slots;
}

static uint32_t choose(struct trp_fanout *f, const struct trp_call *call, uint64_t rows)
{
    struct trp_runqueue *q = f->queue;
    if (call->is_aside || /* which leaves an executor free */
        f->part_min_ns == 0 || trp_gauge_get(&q->idle) <= 0 || rows > UINT32_MAX ||
        version_of(call)->config.hint == TRP_HINT_LATENCY || /* it has threads of the backend */
        trp_run_cost_ns(call) < 2 * f->part_min_ns)          /* or it is not known */
        return 1;
    if (rows < 2) {
        wish(call);
        return 1;
    }
    trp_lock_enter(&q->lock);
    struct trp_lines *l = lines_of(call);
    const struct trp_splitting_rules rules = { .parts_max = 1 + helpers_for(q, &l->model),
                                               .part_min_ns = f->part_min_ns,
                                               .join_ns = JOIN_NS,
                                               .is_try = f->refusals % TRY_EVERY == TRY_EVERY - 1 };
    const uint32_t parts = trp_splitting_parts(&rules, &l->curve, (uint32_t)rows);
    trp_lock_leave(&q->lock);
    if (rules.parts_max > 1)
        f->refusals = parts > 1 ? 0 : f->refusals + 1;
    return parts;
}

/* ---- dividing ---- */

static bool init_part(struct trp_fanout *f, struct trp_fanout_part *part)
{
    struct trp_call *c = &part->call;
    const struct trp_call *whole = f->whole;
    c->error.status = trp_ok();
    c->number = whole->number;
    c->target = whole->target; /* which the whole has pinned */
    c->model = whole->model;
    c->deadline_ns = whole->deadline_ns;
    c->slot_group = whole->slot_group; /* until it has one of its own */
    c->inputs = trp_arena_get(&c->arena, whole->inputs_n * sizeof *c->inputs);
    c->wanted = trp_arena_zeroed(&c->arena, whole->wanted_n + 1, sizeof *c->wanted);
    if (!c->inputs || !c->wanted)
        return false;
    c->inputs_n = whole->inputs_n;
    c->wanted_n = whole->wanted_n;
    for (uint32_t i = 0; i < c->wanted_n; i++) {
        c->wanted[i].name = whole->wanted[i].name;
        c->wanted[i].index = whole->wanted[i].index;
    }
    return true;
}

/* Each part's rows of one input. */
static bool cut_input(struct trp_fanout *f, uint32_t i)
{
    const struct trp_call_tensor *in = &f->whole->inputs[i];
    struct trp_rows_cursor at = { 0 };
    for (uint32_t k = 0; k < f->parts_n; k++) {
        struct trp_call_tensor *own = &f->parts[k].call.inputs[i];
        *own = (struct trp_call_tensor){ .name = in->name, .tensor = in->tensor };
        own->tensor.release = NULL;
        if (in->tensor.data && !trp_rows_cut(&in->tensor, f->parts[k].rows, &at, &own->tensor))
            return false;
    }
    return true;
}

static void free_parts(struct trp_fanout *f)
{
    for (uint32_t k = 0; k < f->parts_n; k++)
        trp_arena_deinit(&f->parts[k].call.arena);
    trp_alloc_free(f->alloc, f->parts);
    f->parts = NULL;
    f->whole = NULL;
}

/* False: it cannot be, for want of memory or of well-formed strings; nothing has happened. */
static bool divide(struct trp_fanout *f, struct trp_call *call, uint32_t rows, uint32_t parts)
{
    f->parts = trp_alloc_zeroed(f->alloc, parts, sizeof *f->parts);
    if (!f->parts)
        return false;
    f->whole = call;
    f->parts_n = parts;
    f->failed = NULL;
    bool is_whole = true;
    for (uint32_t k = 0; k < parts; k++) {
        f->parts[k].fan = f;
        f->parts[k].rows = trp_splitting_rows(rows, parts, k);
        f->parts[k].call.fanout = f;
        trp_arena_init(&f->parts[k].call.arena, f->alloc, ARENA_BLOCK_BYTES, ARENA_BYTES_MAX);
        is_whole &= init_part(f, &f->parts[k]);
    }
    for (uint32_t i = 0; is_whole && i < call->inputs_n; i++)
        is_whole = cut_input(f, i);
    return is_whole;
}

/* ---- handing out ---- */

/* False: nobody could help, or nobody wants it any more.  From now on whoever cancels the whole
 * reaches its parts. */
static bool post(struct trp_fanout *f)
{
    struct trp_runqueue *q = f->queue;
    uint32_t woken = 0;
    trp_lock_enter(&q->lock);
    struct trp_sched_model *m = &lines_of(f->whole)->model;
    const bool is_wanted = !trp_cancel_is_raised(&f->whole->cancel) && helpers_for(q, m) > 0;
    f->first_id = (q->parts_named + 1) | ID_BIT;
    f->away = 0;
    for (uint32_t k = 0; is_wanted && k < f->parts_n; k++) {
        struct trp_call *part = &f->parts[k].call;
        part->run_id = ++q->parts_named | ID_BIT;
        f->parts[k].has_slot = k > 0 && trp_sched_try_begin(m);
        f->away += f->parts[k].has_slot;
        trp_call_list_push(f->parts[k].has_slot ? &q->parts : &f->kept, part);
    }
    if (is_wanted) {
        f->whole->fanout = f;
        woken = trp_runqueue_call_up(q, f->away);
    }
    trp_lock_leave(&q->lock);
    trp_runqueue_signal(q, woken);
    return is_wanted;
}

/* ---- running one ---- */

uint32_t trp_fanout_stop(struct trp_fanout *f, uint64_t *out_first)
{
    for (uint32_t k = 0; k < f->parts_n; k++)
        trp_flag_raise(&f->parts[k].call.cancel.raised);
    *out_first = f->first_id;
    return f->parts_n;
}

/* A part has failed: the others need not go on.  Before it is over itself, so that the version
 * stays. */
static void stop_others(struct trp_fanout *f, struct trp_fanout_part *part)
{
    uint64_t first = 0;
    uint32_t n = 0;
    struct trp_version *v = version_of(&part->call);
    trp_lock_enter(&f->queue->lock);
    if (!f->failed) {
        f->failed = part;
        n = trp_fanout_stop(f, &first);
    }
    trp_lock_leave(&f->queue->lock);
    for (uint32_t k = 0; k < n; k++)
        if (first + k != part->call.run_id)
            trp_backend_cancel(v->model, first + k);
}

static void run_part(const struct trp_run_place *p, struct trp_fanout_part *part)
{
    struct trp_fanout *f = part->fan;
    const int64_t waited_before = p->waited_ns ? p->waited_ns() : 0;
    if (trp_cancel_is_raised(&part->call.cancel)) {
        (void)trp_fail(&part->call.error, TRP_CANCELLED, "the request was cancelled");
    } else {
        part->is_short = !trp_run_piece(p, &part->call, f->bytes_max);
        part->waited_ns = p->waited_ns ? p->waited_ns() - waited_before : 0;
    }
    if (trp_failed(part->call.error.status))
        stop_others(f, part);
    else if (!part->is_short)
        trp_fanout_join_place(p, part);
}

/* The last moment at which a part may be looked at by who has run it: its whole may be answered,
 * and its version go. */
static void end_part(struct trp_fanout_part *part)
{
    struct trp_fanout *f = part->fan;
    struct trp_runqueue *q = f->queue;
    struct trp_sched_model *m = &lines_of(&part->call)->model;
    if (!part->has_slot)
        return;
    trp_lock_enter(&q->lock);
    (void)trp_seating_leave(&part->call);
    trp_sched_end(&q->sched, m);
    const uint32_t woken =
        trp_runqueue_call_up(q, m->slots != 0 && m->queued > 0); /* who waits for a slot */
    if (--f->away == 0)
        trp_signal_one(&f->ended);
    trp_lock_leave(&q->lock);
    trp_runqueue_signal(q, woken);
}

bool trp_fanout_is_part(const struct trp_call *call)
{
    return call->fanout != NULL; /* whoever is divided waits nowhere, and runs as its parts */
}

void trp_fanout_help(const struct trp_run_place *p, struct trp_call *part)
{
    struct trp_runqueue *q = part_of(part)->fan->queue;
    trp_gauge_add(&q->long_runs, 1);
    run_part(p, part_of(part));
    trp_gauge_add(&q->long_runs, -1);
    end_part(part_of(part));
}

/* ---- the one who has divided it ---- */

/* What nobody took has a slot all the same, and so a place among its version's. */
static void take_seat(struct trp_call *part)
{
    const struct trp_call_list alone = { part, part, 1 };
    if (part_of(part)->has_slot)
        trp_seating_take(&alone, TRP_SEATING_NOWHERE);
}

static struct trp_call *take_back(struct trp_fanout *f)
{
    struct trp_call_list others = { 0 };
    struct trp_call *part, *mine = trp_call_list_pop(&f->kept);
    while (!mine && (part = trp_call_list_pop(&f->queue->parts)) != NULL) {
        if (part_of(part)->fan == f)
            mine = part;
        else
            trp_call_list_push(&others, part);
    }
    while ((part = trp_call_list_pop(&f->queue->parts)) != NULL)
        trp_call_list_push(&others, part);
    f->queue->parts = others;
    if (mine)
        take_seat(mine);
    return mine;
}

/* What nobody else does; NULL: all have ended. */
static struct trp_call *next_here(struct trp_fanout *f)
{
    struct trp_runqueue *q = f->queue;
    trp_lock_enter(&q->lock);
    struct trp_call *part = take_back(f);
    while (!part && f->away > 0)
        trp_signal_wait(&f->ended, &q->lock);
    trp_lock_leave(&q->lock);
    return part;
}

/* Runs again, one after the other, what found too little room beside the others.  False: it is
 * too little for one as well. */
static bool run_short_ones(struct trp_fanout *f, const struct trp_run_place *p)
{
    for (uint32_t k = 0; !f->failed && k < f->parts_n; k++) {
        if (!f->parts[k].is_short)
            continue;
        f->parts[k].ran_after = true;
        f->parts[k].call.slot_group = f->whole->slot_group; /* its own went back */
        run_part(p, &f->parts[k]);
        if (f->parts[k].is_short)
            return false;
    }
    return true;
}

/* What the parts held together, or one that had to be run after them. */
static uint64_t held_at_once(const struct trp_fanout *f)
{
    uint64_t together = 0, after = 0;
    for (uint32_t k = 0; k < f->parts_n; k++) {
        const uint64_t peak = f->parts[k].call.run_peak_bytes;
        if (!f->parts[k].ran_after)
            together += peak;
        else if (peak > after)
            after = peak;
    }
    return together > after ? together : after;
}

/* Nobody reaches the parts any more; their costs are learned. */
static void end_run(struct trp_fanout *f)
{
    struct trp_runqueue *q = f->queue;
    struct trp_call *whole = f->whole;
    struct trp_lines *l = lines_of(whole);
    whole->run_peak_bytes = held_at_once(f);
    trp_lock_enter(&q->lock);
    whole->fanout = NULL;
    for (uint32_t k = 0; k < f->parts_n; k++) {
        const struct trp_fanout_part *part = &f->parts[k];
        const int64_t *at = part->call.stamps_ns;
        if (!trp_failed(part->call.error.status) && !part->is_short)
            trp_cost_curve_learn_part(&l->curve, (uint32_t)part->rows,
                                      at[TRP_PHASE_RUN_END] - at[TRP_PHASE_RUN_START] -
                                          part->waited_ns);
    }
    trp_lock_leave(&q->lock);
    for (uint32_t k = 0; k < f->parts_n; k++)
        if (!trp_failed(f->parts[k].call.error.status) && !f->parts[k].is_short)
            trp_run_learn(&f->parts[k].call, f->parts[k].waited_ns);
}

/* The whole's outputs, or what failed.  WHOLE: rows that are not those of the inputs. */
static enum trp_fanout_end end_well_or_not(struct trp_fanout *f, const struct trp_run_place *p)
{
    struct trp_call *whole = f->whole;
    if (f->failed) {
        whole->error = f->failed->call.error;
        return TRP_FANOUT_DONE;
    }
    if (!trp_fanout_join_all(p, whole, f->parts, f->parts_n)) {
        trp_batch_rule_out(p, version_of(whole));
        return TRP_FANOUT_WHOLE;
    }
    if (!trp_failed(whole->error.status)) {
        trp_metric_add(p->metrics, TRP_METRIC_FANOUTS, 1);
        trp_metric_add(p->metrics, TRP_METRIC_FANOUT_PARTS, f->parts_n);
    }
    return TRP_FANOUT_DONE;
}

static enum trp_fanout_end run_posted(struct trp_fanout *f, const struct trp_run_place *p)
{
    struct trp_call *whole = f->whole, *part;
    trp_counter_add(&version_of(whole)->stats->execution_count, 1); /* its parts are one */
    whole->stamps_ns[TRP_PHASE_INPUT_END] = trp_clock_now_ns(p->clock);
    while ((part = next_here(f)) != NULL) {
        run_part(p, part_of(part));
        end_part(part_of(part));
    }
    const bool is_enough = run_short_ones(f, p);
    whole->stamps_ns[TRP_PHASE_OUTPUT_START] = trp_clock_now_ns(p->clock);
    end_run(f);
    const enum trp_fanout_end end = is_enough ? end_well_or_not(f, p) : TRP_FANOUT_TOO_LITTLE;
    trp_fanout_join_clear(whole, f->parts, f->parts_n,
                          end == TRP_FANOUT_DONE && !trp_failed(whole->error.status));
    return end;
}

enum trp_fanout_end trp_fanout_run(struct trp_fanout *f, const struct trp_run_place *p,
                                   struct trp_call *call, uint64_t rows, uint64_t bytes_max)
{
    enum trp_fanout_end end = TRP_FANOUT_WHOLE;
    f->parts_n = 1;
    const uint32_t parts = choose(f, call, rows);
    if (parts < 2)
        return TRP_FANOUT_WHOLE;
    f->bytes_max = bytes_max;
    if (divide(f, call, (uint32_t)rows, parts) &&
        trp_fanout_join_prepare(p, call, rows, f->parts, parts)) {
        if (post(f))
            end = run_posted(f, p);
        else
            trp_fanout_join_clear(call, f->parts, parts, false);
    }
    if (f->parts)
        free_parts(f);
    if (end == TRP_FANOUT_WHOLE)
        f->parts_n = 1;
    return end;
}

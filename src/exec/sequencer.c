/* exec/sequencer.c - see sequencer.h.
 *
 * Idle sequences are ended by one timer of the control loop.  It is armed by a mail when a sequence
 * becomes idle and it is not armed yet, and from then on by itself for as long as one is idle;
 * so what is busy costs no mail. */
#include "exec/sequencer.h"

#include <stdio.h>

#include "base/thread.h"
#include "exec/quota.h"
#include "exec/run.h"
#include "exec/sequence_tensors.h"
#include "sched/sequences.h"

#define closed_words "the sequence was ended, its model is let go"

struct open_sequence {
    struct trp_sequence seat; /* first */
    struct trp_sequencer *owner;
    struct trp_sequence_tensors tensors; /* its running call's; what it points to lies behind */
};

struct trp_sequencer {
    const struct trp_alloc *alloc;
    struct trp_sequencer_opts opts;
    struct trp_version *version;
    int64_t number; /* the version's, which may be gone */
    struct trp_refs refs;
    struct trp_lock lock;
    struct trp_sequences table;       /* lock, as is all that follows but the timer and the mail */
    uint32_t told_open, told_backlog; /* what the metrics know of */
    struct trp_sequencer *before;
    bool is_closed;
    bool is_watched; /* the mail is out, or the timer armed; with a reference */
    bool is_armed;   /* control's */
    struct trp_mail mail;
    struct trp_timer timer;
};

/* ---- one of them ---- */

trp_status trp_sequencer_create(const struct trp_alloc *alloc, struct trp_version *v,
                                const struct trp_sequencer_opts *opts,
                                struct trp_sequencer **out_sequencer, struct trp_error *err)
{
    struct trp_sequencer *s = trp_alloc_zeroed(alloc, 1, sizeof *s);
    *out_sequencer = s;
    if (!s)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "a place for sequences");
    s->alloc = alloc;
    s->opts = *opts;
    s->version = v;
    s->number = v->target.version;
    s->table = (struct trp_sequences){ .slots_n = opts->slots_n,
                                       .open_max = opts->open_max,
                                       .calls_max = opts->calls_max,
                                       .idle_ns = opts->idle_ns,
                                       .seed = opts->seed };
    trp_refs_init(&s->refs);
    trp_lock_init(&s->lock, TRP_LOCK_SEQUENCES);
    return trp_ok();
}

void trp_sequencer_ref(struct trp_sequencer *s)
{
    trp_refs_up(&s->refs);
}

void trp_sequencer_unref(struct trp_sequencer *s)
{
    while (s && trp_refs_down(&s->refs)) {
        struct trp_sequencer *before = s->before;
        TRP_ASSERT(s->table.open_n == 0 && !s->is_watched);
        trp_lock_deinit(&s->lock);
        trp_alloc_free(s->alloc, s);
        s = before;
    }
}

/* Under the lock. */
static void tell_metrics(struct trp_sequencer *s)
{
    const uint32_t open_n = s->table.open_n, backlog_n = s->table.backlog_n;
    trp_metrics_add(s->opts.metrics, TRP_METRIC_SEQUENCES, (uint64_t)open_n - s->told_open);
    trp_metrics_add(s->opts.metrics, TRP_METRIC_SEQUENCES_WAITING,
                    (uint64_t)backlog_n - s->told_backlog);
    s->told_open = open_n;
    s->told_backlog = backlog_n;
}

/* ---- open sequences ---- */

static struct open_sequence *make_open(struct trp_sequencer *s, const struct trp_call *call,
                                       struct trp_error *err)
{
    struct trp_version *v = s->version;
    const struct trp_sequence_id id = trp_sequence_id_of(call);
    const size_t tensors = trp_sequence_tensors_size(v);
    struct open_sequence *o =
        trp_alloc_get(&v->activations.alloc, 1, sizeof *o + tensors + id.text.len);
    if (!o) {
        (void)trp_fail_limit(err, TRP_OUT_OF_MEMORY, TRP_LIMIT_MEMORY, "no memory for a sequence");
        return NULL;
    }
    *o = (struct open_sequence){ .owner = s, .seat.id = id };
    trp_sequence_tensors_init(&o->tensors, v, o + 1);
    char *text = (char *)(o + 1) + tensors;
    if (id.text.len)
        memcpy(text, id.text.ptr, id.text.len);
    o->seat.id.text.ptr = text;
    return o;
}

static void free_open(struct trp_version *v, struct trp_sequence *seat)
{
    struct open_sequence *o = (struct open_sequence *)seat;
    if (!o)
        return;
    trp_sequence_tensors_deinit(&o->tensors, v);
    trp_alloc_free(&v->activations.alloc, o);
}

/* It keeps its version as a call does, which is in flight now. */
static void hold_version(struct trp_version *v)
{
    trp_version_ref(v);
    trp_gauge_add(&v->stats->in_flight, 1);
    trp_gauge_add(&v->stats->sequences, 1);
}

static void end_open(struct trp_version *v, struct trp_sequence *seat)
{
    free_open(v, seat);
    trp_gauge_add(&v->stats->sequences, -1);
    trp_door_leave(&v->stats->in_flight);
    trp_version_unref(v);
}

/* ---- a call's way ---- */

static void on_done(struct trp_call *call, void *user);

/* It is its sequence's running call, and here is its loop. */
static void begin(struct trp_sequencer *s, struct open_sequence *o, struct trp_call *call)
{
    struct trp_version *v = s->version;
    trp_call_push(call, on_done, o);
    if (trp_failed(trp_sequence_tensors_give(&o->tensors, v, call, &call->error))) {
        trp_run_settle(call);
        trp_call_finish_soon(call);
        return;
    }
    s->opts.collect(v->runner, call);
}

static void arrive(struct trp_call *call)
{
    struct open_sequence *o = call->sequence;
    call->is_held = false;
    begin(o->owner, o, call);
}

/* What follows from an end; `v` is held by somebody else meanwhile. */
static void follow_up(struct trp_version *v, struct trp_sequence_step *step)
{
    struct trp_call *call;
    while ((call = trp_call_list_pop(&step->ready)) != NULL) {
        if (trp_loop_is_mine(call->loop))
            arrive(call);
        else
            trp_call_send_home(call, arrive);
    }
    if (step->gone)
        end_open(v, step->gone);
}

static void watch(struct trp_mail *mail);

/* Under the lock: somebody is to look after idle ones.  True: the mail is to be posted. */
static bool must_watch(struct trp_sequencer *s)
{
    if (s->is_watched || s->is_closed || trp_sequences_due_ns(&s->table) == 0)
        return false;
    s->is_watched = true;
    trp_refs_up(&s->refs);
    s->mail.deliver = watch;
    return true;
}

static void on_done(struct trp_call *call, void *user)
{
    struct open_sequence *o = user;
    struct trp_sequencer *s = o->owner;
    struct trp_version *v = s->version; /* which the call has pinned */
    struct trp_sequence_step step;
    trp_sequence_tensors_take(&o->tensors, v, call);
    call->sequence = NULL;
    trp_lock_enter(&s->lock);
    trp_sequences_end(&s->table, &o->seat, trp_loop_now_ns(call->loop), &step);
    const bool must_post = must_watch(s);
    tell_metrics(s);
    trp_lock_leave(&s->lock);
    if (must_post)
        trp_loop_post(s->opts.control, &s->mail);
    follow_up(v, &step);
    trp_call_finish(call);
}

/* ---- in ---- */

static trp_status check(const struct trp_sequencer *s, struct trp_call *call)
{
    struct trp_error *err = &call->error;
    const struct trp_str name = s->version->target.name;
    const struct trp_sequence_id id = trp_sequence_id_of(call);
    if (trp_sequence_id_is_none(&id))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "inference request to model '%.*s' must specify a non-zero or non-empty "
                        "correlation ID",
                        TRP_STR(name));
    if (trp_run_rows(call) != 1)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "inference request to model '%.*s' must specify batch-size 1 due to "
                        "requirements of sequence batcher",
                        TRP_STR(name));
    return trp_sequence_tensors_check(s->version, call, err);
}

static bool is_closed(struct trp_sequencer *s)
{
    trp_lock_enter(&s->lock);
    const bool closed = s->is_closed;
    trp_lock_leave(&s->lock);
    return closed;
}

static void refuse(struct trp_sequencer *s, struct trp_call *call, enum trp_sequence_push verdict)
{
    const struct trp_str name = s->version->target.name;
    const struct trp_str text = call->sequence_text;
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%llu", (unsigned long long)call->sequence_number);
    if (verdict == TRP_SEQUENCE_UNKNOWN)
        (void)trp_fail(&call->error, TRP_INVALID_ARGUMENT,
                       "inference request for sequence %.*s to model '%.*s' must specify the START "
                       "flag on the first request of the sequence",
                       (int)(text.len ? text.len : strlen(digits)), text.len ? text.ptr : digits,
                       TRP_STR(name));
    else if (verdict == TRP_SEQUENCE_TOO_MANY)
        (void)trp_fail_limit(&call->error, TRP_QUEUE_FULL, TRP_LIMIT_SEQUENCES,
                             "model '%.*s' has %u open sequences (limits.sequences)", TRP_STR(name),
                             s->opts.open_max);
    else if (is_closed(s))
        (void)trp_fail(&call->error, TRP_UNAVAILABLE, closed_words);
    else
        (void)trp_fail_limit(&call->error, TRP_QUEUE_FULL, TRP_LIMIT_QUEUE,
                             "Exceeds maximum queue size: %u requests of sequences of model '%.*s' "
                             "wait (sched.model_queue_max)",
                             s->opts.calls_max, TRP_STR(name));
}

/* Where the sequence of a call is open that did not begin here: with a reference, or NULL. */
static struct trp_version *find_before(struct trp_sequencer *s, const struct trp_call *call)
{
    const struct trp_sequence_id id = trp_sequence_id_of(call);
    struct trp_version *found = NULL;
    struct trp_sequencer *at = s;
    trp_sequencer_ref(s);
    while (at && !found) {
        trp_lock_enter(&at->lock);
        if (at != s && (call->version <= 0 || call->version == at->number) &&
            trp_sequences_find(&at->table, &id)) {
            found = at->version;
            trp_version_ref(found); /* as its sequence has */
        }
        struct trp_sequencer *next = at->before;
        if (next)
            trp_sequencer_ref(next);
        trp_lock_leave(&at->lock);
        trp_sequencer_unref(at);
        at = next;
    }
    trp_sequencer_unref(at);
    return found;
}

static enum trp_sequencer_enter go_before(struct trp_sequencer *s, struct trp_call *call)
{
    struct trp_version *v = find_before(s, call);
    if (!v) {
        refuse(s, call, TRP_SEQUENCE_UNKNOWN);
        return TRP_SEQUENCER_REFUSED;
    }
    if (trp_failed(trp_call_unbind(call, &call->error))) {
        trp_version_unref(v);
        return TRP_SEQUENCER_REFUSED;
    }
    trp_quota_end(
        call); /* which is asked there again; it may hold a limit of the version that it leaves */
    trp_call_pin(call, &v->target, trp_version_release_target);
    return TRP_SEQUENCER_ELSEWHERE;
}

/* As trp_sequences_push(), under the lock. */
static enum trp_sequence_push push(struct trp_sequencer *s, struct trp_call *call,
                                   struct open_sequence **inout_memory)
{
    const bool had_memory = *inout_memory != NULL;
    struct trp_sequence *memory = had_memory ? &(*inout_memory)->seat : NULL, *seat = NULL;
    trp_lock_enter(&s->lock);
    const enum trp_sequence_push verdict =
        s->is_closed ? TRP_SEQUENCE_FULL : trp_sequences_push(&s->table, call, &memory, &seat);
    call->sequence = seat;
    call->is_held = verdict == TRP_SEQUENCE_HELD;
    if (had_memory && !memory) {
        *inout_memory = NULL;
        hold_version(s->version);
        trp_metrics_add(s->opts.metrics, TRP_METRIC_SEQUENCES_STARTED, 1);
    }
    tell_metrics(s);
    trp_lock_leave(&s->lock);
    return verdict;
}

enum trp_sequencer_enter trp_sequencer_enter(struct trp_sequencer *s, struct trp_call *call)
{
    struct open_sequence *memory = NULL;
    enum trp_sequence_push verdict;
    if (trp_failed(check(s, call)))
        return TRP_SEQUENCER_REFUSED;
    verdict = push(s, call, &memory);
    if (verdict == TRP_SEQUENCE_NEW && (memory = make_open(s, call, &call->error)) == NULL)
        return TRP_SEQUENCER_REFUSED;
    if (verdict == TRP_SEQUENCE_NEW)
        verdict = push(s, call, &memory); /* perhaps somebody else has begun it meanwhile */
    free_open(s->version, memory ? &memory->seat : NULL);
    if (verdict == TRP_SEQUENCE_RUNS)
        begin(s, call->sequence, call);
    if (verdict == TRP_SEQUENCE_RUNS || verdict == TRP_SEQUENCE_HELD)
        return TRP_SEQUENCER_TAKEN;
    if (verdict == TRP_SEQUENCE_UNKNOWN)
        return go_before(s, call);
    refuse(s, call, verdict);
    return TRP_SEQUENCER_REFUSED;
}

/* ---- out ---- */

bool trp_sequencer_remove(struct trp_sequencer *s, struct trp_call *call)
{
    struct trp_sequence_step step = { .gone = NULL };
    trp_lock_enter(&s->lock);
    const bool is_here = call->queue == call->sequence;
    if (is_here) {
        trp_sequences_remove(&s->table, call, trp_loop_now_ns(call->loop), &step);
        call->is_held = false;
        call->sequence = NULL;
    }
    tell_metrics(s);
    trp_lock_leave(&s->lock);
    follow_up(s->version, &step); /* which the call has pinned */
    return is_here;
}

/* ---- idle ones ---- */

/* Ends those that were idle for too long; when the next will have been.  On the control loop. */
static int64_t end_idle(struct trp_sequencer *s, int64_t now_ns)
{
    struct trp_sequence_step step;
    for (;;) {
        trp_lock_enter(&s->lock);
        struct trp_version *v = s->version;
        const bool has_ended = trp_sequences_expire(&s->table, now_ns, &step);
        const int64_t next_ns = s->is_closed ? 0 : trp_sequences_due_ns(&s->table);
        if (!has_ended && next_ns == 0)
            s->is_watched = false;
        tell_metrics(s);
        trp_lock_leave(&s->lock);
        if (!has_ended)
            return next_ns;
        trp_metrics_add(s->opts.metrics, TRP_METRIC_SEQUENCES_EXPIRED, 1);
        follow_up(v, &step);
    }
}

static void arm(struct trp_sequencer *s, int64_t now_ns)
{
    const int64_t next_ns = end_idle(s, now_ns);
    if (next_ns != 0 && !trp_failed(trp_timer_arm(s->opts.control, &s->timer, next_ns, NULL))) {
        s->is_armed = true;
        return;
    }
    if (next_ns != 0) { /* no memory for a timer: the next call that ends asks again */
        trp_lock_enter(&s->lock);
        s->is_watched = false;
        trp_lock_leave(&s->lock);
    }
    trp_sequencer_unref(s);
}

static void due(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_sequencer *s = TRP_CONTAINER_OF(timer, struct trp_sequencer, timer);
    s->is_armed = false;
    arm(s, now_ns);
}

static void watch(struct trp_mail *mail)
{
    struct trp_sequencer *s = TRP_CONTAINER_OF(mail, struct trp_sequencer, mail);
    s->timer.due = due;
    arm(s, trp_loop_now_ns(s->opts.control));
}

/* ---- the end, and what came before ---- */

void trp_sequencer_follow(struct trp_sequencer *s, struct trp_sequencer *before)
{
    while (before &&
           is_closed(before)) { /* its version is gone: whoever came before it may be left */
        struct trp_sequencer *earlier = before->before;
        if (earlier)
            trp_sequencer_ref(earlier);
        trp_sequencer_unref(before);
        before = earlier;
    }
    trp_lock_enter(&s->lock);
    TRP_ASSERT(!s->before);
    s->before = before;
    trp_lock_leave(&s->lock);
}

void trp_sequencer_resize(struct trp_sequencer *s, uint32_t slots_n)
{
    struct trp_sequence_step step;
    trp_lock_enter(&s->lock);
    struct trp_version *v = s->version;
    trp_sequences_resize(&s->table, slots_n, &step);
    tell_metrics(s);
    trp_lock_leave(&s->lock);
    follow_up(v, &step);
}

static void refuse_at_home(struct trp_call *call)
{
    call->is_held = false;
    call->sequence = NULL;
    trp_run_settle(call);
    trp_call_finish(call);
}

void trp_sequencer_close(struct trp_sequencer *s)
{
    struct trp_call_list refused = { 0 };
    struct trp_sequence *gone;
    struct trp_call *call;
    bool is_left = true;
    while (is_left) {
        trp_lock_enter(&s->lock);
        struct trp_version *v = s->version;
        s->is_closed = true;
        is_left = trp_sequences_drop(&s->table, &refused, &gone);
        tell_metrics(s);
        trp_lock_leave(&s->lock);
        while ((call = trp_call_list_pop(&refused)) != NULL) {
            (void)trp_fail(&call->error, TRP_UNAVAILABLE, closed_words);
            trp_call_send_home(call, refuse_at_home);
        }
        if (gone)
            end_open(v, gone);
    }
    if (!s->is_armed)
        return;
    trp_timer_disarm(s->opts.control, &s->timer);
    s->is_armed = false;
    trp_lock_enter(&s->lock);
    s->is_watched = false;
    trp_lock_leave(&s->lock);
    trp_sequencer_unref(s);
}

void trp_sequencer_forget(struct trp_sequencer *s)
{
    for (struct trp_sequencer *at = s; at; at = at->before) /* each holds the one before it */
        trp_sequencer_close(at);
    trp_sequencer_unref(s);
}

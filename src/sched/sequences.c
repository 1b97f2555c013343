/* sched/sequences.c - see sequences.h.
 *
 * A sequence stands in a bucket while it is open, and in one row at most: the backlog while it
 * waits for a slot, the idle ones while it has one and no call.  All sequences of a model may be
 * idle for equally long, so the row of idle ones is ordered by itself. */
#include "sched/sequences.h"

/* ---- ids ---- */

bool trp_sequence_id_is_equal(const struct trp_sequence_id *a, const struct trp_sequence_id *b)
{
    if (a->text.len != 0 || b->text.len != 0)
        return trp_str_is_equal(a->text, b->text);
    return a->number == b->number;
}

static uint64_t mix(uint64_t key, uint64_t value)
{
    uint64_t z = key ^ (value + UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t hash_of(const struct trp_sequences *t, const struct trp_sequence_id *id)
{
    uint64_t key = t->seed;
    if (id->text.len == 0)
        return mix(key, id->number);
    for (size_t i = 0; i < id->text.len; i++)
        key = mix(key, (uint8_t)id->text.ptr[i]);
    return key;
}

static struct trp_sequence *find(const struct trp_sequences *t, const struct trp_sequence_id *id,
                                 uint64_t hash)
{
    struct trp_sequence *s = t->buckets[hash % TRP_SEQUENCE_BUCKETS];
    while (s && (s->hash != hash || !trp_sequence_id_is_equal(&s->id, id)))
        s = s->same_bucket;
    return s;
}

struct trp_sequence *trp_sequences_find(const struct trp_sequences *t,
                                        const struct trp_sequence_id *id)
{
    return find(t, id, hash_of(t, id));
}

/* ---- rows ---- */

static void append(struct trp_sequence_row *row, struct trp_sequence *s)
{
    s->next = NULL;
    s->prev = row->last;
    if (row->last)
        row->last->next = s;
    else
        row->first = s;
    row->last = s;
}

static void take_out(struct trp_sequence_row *row, struct trp_sequence *s)
{
    if (s->prev)
        s->prev->next = s->next;
    else
        row->first = s->next;
    if (s->next)
        s->next->prev = s->prev;
    else
        row->last = s->prev;
    s->next = s->prev = NULL;
}

/* ---- calls that wait ---- */

static struct trp_call *call_of(struct trp_queue_node *node)
{
    return node ? TRP_CONTAINER_OF(node, struct trp_call, queue_node) : NULL;
}

static void hold(struct trp_sequences *t, struct trp_sequence *s, struct trp_call *call)
{
    call->queue = s;
    trp_queue_chain_append(&s->calls, &call->queue_node);
    t->held_n++;
}

static void let_out(struct trp_sequences *t, struct trp_sequence *s, struct trp_call *call)
{
    trp_queue_chain_remove(&s->calls, &call->queue_node);
    call->queue = NULL;
    t->held_n--;
}

/* ---- opening and closing ---- */

static bool has_free_slot(const struct trp_sequences *t)
{
    return t->slots_n == 0 || t->slots_taken < t->slots_n;
}

static void open(struct trp_sequences *t, struct trp_sequence *s, uint64_t hash)
{
    struct trp_sequence **bucket = &t->buckets[hash % TRP_SEQUENCE_BUCKETS];
    s->hash = hash;
    s->same_bucket = *bucket;
    *bucket = s;
    s->is_open = true;
    t->open_n++;
    /* Whoever waits for a slot already has it before those who come later. */
    s->has_slot = !t->backlog.first && has_free_slot(t);
    t->slots_taken += s->has_slot;
    t->backlog_n += !s->has_slot;
    if (!s->has_slot)
        append(&t->backlog, s);
}

static void close_one(struct trp_sequences *t, struct trp_sequence *s)
{
    struct trp_sequence **at = &t->buckets[s->hash % TRP_SEQUENCE_BUCKETS];
    while (*at != s)
        at = &(*at)->same_bucket;
    *at = s->same_bucket;
    s->is_open = false;
    t->open_n--;
    t->slots_taken -= s->has_slot;
    t->backlog_n -= !s->has_slot;
    if (!s->has_slot)
        take_out(&t->backlog, s);
}

static void begin_next(struct trp_sequences *t, struct trp_sequence *s, struct trp_call_list *ready)
{
    struct trp_call *call = call_of(s->calls.first);
    let_out(t, s, call);
    s->is_running = true;
    s->running_ends = call->sequence_end;
    trp_call_list_push(ready, call);
}

static void give_slots(struct trp_sequences *t, struct trp_call_list *ready)
{
    while (t->backlog.first && has_free_slot(t)) {
        struct trp_sequence *s = t->backlog.first;
        take_out(&t->backlog, s);
        t->backlog_n--;
        s->has_slot = true;
        t->slots_taken++;
        begin_next(t, s, ready); /* one without a call does not wait there */
    }
}

/* ---- what happens ---- */

static enum trp_sequence_push admit(const struct trp_sequences *t, const struct trp_sequence *s,
                                    const struct trp_call *call)
{
    if (!call->sequence_start && (!s || s->is_ending))
        return TRP_SEQUENCE_UNKNOWN;
    if (!s && t->open_n >= t->open_max)
        return TRP_SEQUENCE_TOO_MANY;
    const bool runs = s ? s->has_slot && !s->is_running : !t->backlog.first && has_free_slot(t);
    if (!runs && t->held_n >= t->calls_max)
        return TRP_SEQUENCE_FULL;
    return s ? TRP_SEQUENCE_HELD : TRP_SEQUENCE_NEW;
}

enum trp_sequence_push trp_sequences_push(struct trp_sequences *t, struct trp_call *call,
                                          struct trp_sequence **inout_memory,
                                          struct trp_sequence **out_sequence)
{
    const struct trp_sequence_id id = trp_sequence_id_of(call);
    const uint64_t hash = hash_of(t, &id);
    struct trp_sequence *s = find(t, &id, hash);
    const enum trp_sequence_push verdict = admit(t, s, call);
    if (verdict == TRP_SEQUENCE_NEW && *inout_memory) {
        s = *inout_memory;
        *inout_memory = NULL;
        open(t, s, hash);
    } else if (verdict != TRP_SEQUENCE_HELD) {
        return verdict;
    }
    *out_sequence = s;
    call->sequence_start = call->sequence_start || s->begins_anew;
    s->begins_anew = false;
    s->is_ending = call->sequence_end;
    if (!s->has_slot || s->is_running) {
        hold(t, s, call);
        return TRP_SEQUENCE_HELD;
    }
    if (verdict == TRP_SEQUENCE_HELD)
        take_out(&t->idle, s);
    s->is_running = true;
    s->running_ends = call->sequence_end;
    return TRP_SEQUENCE_RUNS;
}

static void settle(struct trp_sequences *t, struct trp_sequence *s, int64_t now_ns)
{
    s->idle_since_ns = now_ns;
    append(&t->idle, s);
}

void trp_sequences_end(struct trp_sequences *t, struct trp_sequence *s, int64_t now_ns,
                       struct trp_sequence_step *out)
{
    *out = (struct trp_sequence_step){ .gone = NULL };
    const bool ends = s->running_ends;
    s->is_running = s->running_ends = false;
    if (s->calls.first) {
        begin_next(t, s, &out->ready);
    } else if (ends) {
        close_one(t, s);
        out->gone = s;
        give_slots(t, &out->ready);
    } else {
        settle(t, s, now_ns);
    }
}

/* What the last of those says that are left. */
static bool ends_now(const struct trp_sequence *s)
{
    return s->calls.last ? call_of(s->calls.last)->sequence_end : s->running_ends;
}

void trp_sequences_remove(struct trp_sequences *t, struct trp_call *call, int64_t now_ns,
                          struct trp_sequence_step *out)
{
    struct trp_sequence *s = call->queue;
    struct trp_call *behind = call_of(call->queue_node.next);
    *out = (struct trp_sequence_step){ .gone = NULL };
    (void)now_ns; /* it waits behind another one, or for a slot: it is not idle now */
    let_out(t, s, call);
    s->is_ending = ends_now(s);
    if (call->sequence_start && behind)
        behind->sequence_start = true; /* what would have followed begins it now */
    else if (call->sequence_start)
        s->begins_anew = !s->is_ending;
    if (s->has_slot || s->calls.first)
        return;
    close_one(t, s);
    out->gone = s;
}

int64_t trp_sequences_due_ns(const struct trp_sequences *t)
{
    return t->idle.first ? t->idle.first->idle_since_ns + t->idle_ns : 0;
}

static void close_idle(struct trp_sequences *t, struct trp_sequence *s)
{
    take_out(&t->idle, s);
    close_one(t, s);
}

bool trp_sequences_expire(struct trp_sequences *t, int64_t now_ns, struct trp_sequence_step *out)
{
    struct trp_sequence *s = t->idle.first;
    *out = (struct trp_sequence_step){ .gone = NULL };
    if (!s || trp_sequences_due_ns(t) > now_ns)
        return false;
    close_idle(t, s);
    out->gone = s;
    give_slots(t, &out->ready);
    return true;
}

void trp_sequences_resize(struct trp_sequences *t, uint32_t slots_n, struct trp_sequence_step *out)
{
    *out = (struct trp_sequence_step){ .gone = NULL };
    t->slots_n = slots_n;
    give_slots(t, &out->ready);
}

static void refuse_held(struct trp_sequences *t, struct trp_sequence *s,
                        struct trp_call_list *refused)
{
    while (s->calls.first) {
        struct trp_call *call = call_of(s->calls.first);
        let_out(t, s, call);
        trp_call_list_push(refused, call);
    }
}

bool trp_sequences_drop(struct trp_sequences *t, struct trp_call_list *out_refused,
                        struct trp_sequence **out_gone)
{
    struct trp_sequence *s = t->backlog.first;
    *out_gone = NULL;
    if (s) {
        refuse_held(t, s, out_refused);
        close_one(t, s);
    } else if (t->idle.first) {
        s = t->idle.first;
        close_idle(t, s);
    }
    *out_gone = s;
    for (uint32_t i = 0; !s && i < TRP_SEQUENCE_BUCKETS; i++) {
        for (struct trp_sequence *r = t->buckets[i]; r; r = r->same_bucket) {
            refuse_held(t, r, out_refused);
            r->is_ending = r->running_ends = true;
        }
    }
    return s != NULL;
}

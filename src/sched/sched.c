/* sched/sched.c - see sched.h.
 *
 * Two levels: each model orders its own waiting calls, and the scheduler orders the models that may run one by the first call
 * of each.  So a model whose slots are taken is simply not among the runnable ones, and nobody searches past its calls.
 * Calls with a deadline stand in a second queue as well, by deadline alone: an expired call is found whatever its class. */
#include "sched/sched.h"

static struct trp_call *call_of(const struct trp_queue_node *node)
{
    return TRP_CONTAINER_OF(node, struct trp_call, queue_node);
}

static struct trp_call *call_of_expiry(const struct trp_queue_node *node)
{
    return TRP_CONTAINER_OF(node, struct trp_call, expiry_node);
}

static struct trp_sched_model *model_of(const struct trp_queue_node *node)
{
    return TRP_CONTAINER_OF(node, struct trp_sched_model, node);
}

static int rank_of(enum trp_priority_class class)
{
    static const int ranks[] = {
        [TRP_PRIORITY_INTERACTIVE] = 0,
        [TRP_PRIORITY_NORMAL] = 1,
        [TRP_PRIORITY_BATCH] = 2,
    };
    return ranks[class];
}

static int64_t deadline_of(const struct trp_call *call)
{
    return call->deadline_ns != 0 ? call->deadline_ns : INT64_MAX;
}

/* The order of all things here.  Deadlines order calls of one class, because whoever has less time should not wait for
 * whoever has more.
 * Source: earliest deadline first; Liu & Layland, JACM 20(1), 1973, section 7. */
static bool is_call_before(const struct trp_call *a, const struct trp_call *b)
{
    if (a->priority_class != b->priority_class)
        return rank_of(a->priority_class) < rank_of(b->priority_class);
    if (deadline_of(a) != deadline_of(b))
        return deadline_of(a) < deadline_of(b);
    return a->queue_key < b->queue_key;
}

static bool call_before(const struct trp_queue_node *a, const struct trp_queue_node *b)
{
    return is_call_before(call_of(a), call_of(b));
}

static bool model_before(const struct trp_queue_node *a, const struct trp_queue_node *b)
{
    return is_call_before(call_of(trp_pairing_first(&model_of(a)->calls)),
                          call_of(trp_pairing_first(&model_of(b)->calls)));
}

static bool expiry_before(const struct trp_queue_node *a, const struct trp_queue_node *b)
{
    return call_of_expiry(a)->deadline_ns < call_of_expiry(b)->deadline_ns;
}

void trp_sched_init(struct trp_sched *s, uint32_t queue_max, uint32_t model_queue_max)
{
    *s = (struct trp_sched){ .runnable.before = model_before,
                             .expiry.before = expiry_before,
                             .queue_max = queue_max,
                             .model_queue_max = model_queue_max };
}

static bool has_slot(const struct trp_sched_model *m)
{
    return m->slots == 0 || m->running < m->slots;
}

/* Puts a model where its first call and its slots say.  Taking a node out compares it with no other (pairing.c), so this may
 * come after its first call has changed. */
static void replace(struct trp_sched *s, struct trp_sched_model *m)
{
    if (m->is_runnable)
        trp_pairing_remove(&s->runnable, &m->node);
    m->is_runnable = m->queued > 0 && has_slot(m) && !m->is_blocked;
    if (m->is_runnable)
        trp_pairing_push(&s->runnable, &m->node);
}

static void link_waiting(struct trp_sched *s, struct trp_sched_model *m)
{
    m->prev = NULL;
    m->next = s->waiting;
    if (s->waiting)
        s->waiting->prev = m;
    s->waiting = m;
}

static void unlink_waiting(struct trp_sched *s, struct trp_sched_model *m)
{
    if (m->prev)
        m->prev->next = m->next;
    else
        s->waiting = m->next;
    if (m->next)
        m->next->prev = m->prev;
    m->next = m->prev = NULL;
}

static void set_blocked(struct trp_sched *s, struct trp_sched_model *m, bool is_blocked)
{
    s->blocked += is_blocked;
    s->blocked -= m->is_blocked;
    m->is_blocked = is_blocked;
}

static void enqueue(struct trp_sched *s, struct trp_sched_model *model, struct trp_call *call)
{
    model->calls.before = call_before;
    call->queue = model;
    trp_pairing_push(&model->calls, &call->queue_node);
    if (model->queued++ == 0)
        link_waiting(s, model);
    s->queued++;
    if (trp_pairing_first(&model->calls) == &call->queue_node)
        replace(s, model);
    if (call->deadline_ns != 0)
        trp_pairing_push(&s->expiry, &call->expiry_node);
}

enum trp_sched_push trp_sched_push(struct trp_sched *s, struct trp_sched_model *model,
                                   struct trp_call *call)
{
    TRP_ASSERT(!call->queue);
    if (s->queued >= s->queue_max)
        return TRP_SCHED_FULL;
    if (model->queued >= s->model_queue_max)
        return TRP_SCHED_MODEL_FULL;
    call->queue_key = s->arrivals++;
    enqueue(s, model, call);
    return TRP_SCHED_QUEUED;
}

/* Takes a waiting call out of everything but `runnable`, which the caller puts right. */
static void unqueue(struct trp_sched *s, struct trp_sched_model *m, struct trp_call *call)
{
    trp_pairing_remove(&m->calls, &call->queue_node);
    if (call->deadline_ns != 0)
        trp_pairing_remove(&s->expiry, &call->expiry_node);
    call->queue = NULL;
    if (--m->queued == 0) {
        unlink_waiting(s, m);
        set_blocked(s, m, false); /* whoever comes next asks for itself */
    }
    s->queued--;
}

bool trp_sched_remove(struct trp_sched *s, struct trp_call *call)
{
    struct trp_sched_model *const m = call->queue;
    if (!m)
        return false;
    const bool was_first = trp_pairing_first(&m->calls) == &call->queue_node;
    unqueue(s, m, call);
    if (was_first)
        replace(s, m);
    return true;
}

struct trp_call *trp_sched_take(struct trp_sched *s, struct trp_sched_model **out_model)
{
    struct trp_queue_node *const first = trp_pairing_first(&s->runnable);
    *out_model = NULL;
    if (!first)
        return NULL;
    struct trp_sched_model *const m = model_of(first);
    struct trp_call *const call = call_of(trp_pairing_first(&m->calls));
    unqueue(s, m, call);
    m->running++;
    replace(s, m);
    *out_model = m;
    return call;
}

void trp_sched_return(struct trp_sched *s, struct trp_sched_model *model, struct trp_call *call)
{
    TRP_ASSERT(!call->queue);
    enqueue(s, model, call);
}

void trp_sched_join(struct trp_sched *s, struct trp_sched_model *model,
                    const struct trp_sched_company *company, struct trp_call_list *out)
{
    struct trp_call_list others = { 0 };
    struct trp_call *call;
    uint64_t rows_left = company->rows_max;
    uint32_t calls_left = company->calls_max;
    for (uint32_t i = 0; i < company->looks_max && model->queued > 0; i++) {
        if (calls_left == 0 || rows_left == 0)
            break;
        call = call_of(trp_pairing_first(&model->calls));
        trp_sched_remove(s, call);
        if (call->batch_rows > rows_left || !company->may_meet(company->call, call)) {
            trp_call_list_push(&others, call);
            continue;
        }
        rows_left -= call->batch_rows;
        calls_left--;
        trp_call_list_push(out, call);
    }
    while ((call = trp_call_list_pop(&others)) != NULL)
        trp_sched_return(s, model, call);
}

void trp_sched_put_back(struct trp_sched *s, struct trp_sched_model *model, struct trp_call *call)
{
    TRP_ASSERT(!call->queue && model->running > 0);
    model->running--;
    set_blocked(s, model, true);
    enqueue(s, model, call);
    replace(s, model); /* also when others of its calls are first by now */
}

void trp_sched_unblock(struct trp_sched *s)
{
    for (struct trp_sched_model *m = s->blocked > 0 ? s->waiting : NULL; m; m = m->next) {
        if (!m->is_blocked)
            continue;
        set_blocked(s, m, false);
        replace(s, m);
    }
}

bool trp_sched_try_begin(struct trp_sched_model *model)
{
    if (!has_slot(model) || (model->slots != 0 && model->queued > 0))
        return false;
    model->running++;
    return true;
}

void trp_sched_end(struct trp_sched *s, struct trp_sched_model *model)
{
    TRP_ASSERT(model->running > 0);
    model->running--;
    if (model->slots != 0 && !model->is_runnable)
        replace(s, model);
}

struct trp_call *trp_sched_expire(struct trp_sched *s, int64_t now_ns)
{
    struct trp_queue_node *const first = trp_pairing_first(&s->expiry);
    if (!first || call_of_expiry(first)->deadline_ns > now_ns)
        return NULL;
    struct trp_call *const call = call_of_expiry(first);
    trp_sched_remove(s, call);
    return call;
}

int64_t trp_sched_next_expiry_ns(const struct trp_sched *s)
{
    const struct trp_queue_node *const first = trp_pairing_first(&s->expiry);
    return first ? call_of_expiry(first)->deadline_ns : 0;
}

struct trp_call *trp_sched_drain(struct trp_sched *s)
{
    struct trp_sched_model *const m = s->waiting;
    if (!m)
        return NULL;
    struct trp_call *const call = call_of(trp_pairing_first(&m->calls));
    trp_sched_remove(s, call);
    return call;
}

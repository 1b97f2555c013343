/* sched/sched.c - see sched.h.
 *
 *   class ----- lanes: tenants with something that may run, by the work done for them   (lane.c)
 *                 |
 *               lane ----- shown flows, by their first call: one of each line at most
 *                            |
 *   model --- lines ------- flows: what waits of one tenant here, by its tenant's work   (flow.c)
 *                            |
 *                           calls, by deadline, arrival                                  (sorted.c)
 *
 * A line shows in each class one flow, that of the tenant who had least, and only while a slot of
 * its model is free.  So a model whose slots are taken is simply not there, nobody searches past
 * its calls, and taking or giving back a slot touches three flows of each of its lines, however
 * many tenants wait.  The first call of a flow has its first deadline, so a queue of flows finds
 * an expired call, whatever its class. */
#include "sched/lane.h"
#include "sched/resting.h"

#define UNKNOWN_NS 1000000     /* charged for a run whose cost nobody knows */
#define FLOOR_MAX_NS 500000000 /* a class whose next call costs more need not be owed all of it */
#define RESHOWS_MAX 8
#define FAMILY_MAX 65536 /* calls of one root that stand at its place; later ones come last */

uint32_t trp_sched_way_of(enum trp_priority_class class)
{
    static const uint32_t ways[] = {
        [TRP_PRIORITY_INTERACTIVE] = 0,
        [TRP_PRIORITY_NORMAL] = 1,
        [TRP_PRIORITY_BATCH] = 2,
    };
    return ways[class];
}

uint32_t trp_sched_way_of_call(const struct trp_call *call)
{
    return call->is_aside ? TRP_SCHED_ASIDE : trp_sched_way_of(call->priority_class);
}

enum trp_priority_class trp_sched_class_of(uint64_t number, uint64_t usual)
{
    if (number == 0 || number == usual)
        return TRP_PRIORITY_NORMAL;
    return number < usual ? TRP_PRIORITY_INTERACTIVE : TRP_PRIORITY_BATCH;
}

static struct trp_queue_flow *flow_of_expiry(const struct trp_queue_node *node)
{
    return TRP_CONTAINER_OF(node, struct trp_queue_flow, of_expiry);
}

static bool expiry_before(const struct trp_queue_node *a, const struct trp_queue_node *b)
{
    return flow_of_expiry(a)->due_ns < flow_of_expiry(b)->due_ns;
}

void trp_sched_tenant_init(struct trp_sched *s, struct trp_sched_tenant *tenant, uint32_t weight)
{
    TRP_ASSERT(weight >= 1 && weight <= 1000);
    struct trp_random mixed = { .state = s->tenants++ };
    *tenant = (struct trp_sched_tenant){ .hash = trp_random_next(&mixed), .weight = weight };
    for (uint32_t way = 0; way < TRP_SCHED_WAYS; way++) {
        tenant->lanes[way].tenant = tenant;
        tenant->lanes[way].way = way;
    }
}

void trp_sched_init(struct trp_sched *s, uint32_t queue_max, uint32_t model_queue_max)
{
    *s = (struct trp_sched){ .expiry.before = expiry_before,
                             .aside_expiry.before = expiry_before,
                             .queue_max = queue_max,
                             .model_queue_max = model_queue_max };
    trp_sched_tenant_init(s, &s->anyone, 1);
}

void trp_sched_set_floor(struct trp_sched *s, enum trp_priority_class class, uint32_t permille)
{
    uint32_t all = 0;
    s->classes[trp_sched_way_of(class)].floor_permille = permille;
    for (uint32_t way = 0; way < TRP_SCHED_WAYS; way++)
        all += s->classes[way].floor_permille;
    TRP_ASSERT(all < 1000);
}

static bool has_slot(const struct trp_sched_model *m)
{
    return m->slots == 0 || m->running < m->slots;
}

/* Shows of a line what may run now. */
static void reshow(struct trp_sched *s, struct trp_sched_line *line, uint32_t way)
{
    const struct trp_sched_model *const m = line->model;
    struct trp_queue_flow *const shown = line->ways[way].shown;
    struct trp_queue_flow *const want =
        has_slot(m) && !m->is_blocked && !line->is_resting ? trp_lane_best(line, way) : NULL;
    if (want == shown)
        return;
    if (shown) {
        trp_lane_hide(shown);
        trp_lane_settle(&s->classes[way], trp_flow_lane(shown));
    }
    if (want) {
        trp_lane_show(want);
        trp_lane_settle(&s->classes[way], trp_flow_lane(want));
    }
}

void trp_sched_reshow(struct trp_sched *s, struct trp_sched_line *line)
{
    for (uint32_t way = 0; way < TRP_SCHED_WAYS; way++)
        reshow(s, line, way);
}

static void reshow_model(struct trp_sched *s, struct trp_sched_model *m)
{
    for (struct trp_sched_line *line = m->lines; line; line = line->next)
        trp_sched_reshow(s, line);
}

static void link_model(struct trp_sched *s, struct trp_sched_model *m)
{
    m->prev = NULL;
    m->next = s->waiting;
    if (s->waiting)
        s->waiting->prev = m;
    s->waiting = m;
}

static void unlink_model(struct trp_sched *s, struct trp_sched_model *m)
{
    if (m->prev)
        m->prev->next = m->next;
    else
        s->waiting = m->next;
    if (m->next)
        m->next->prev = m->prev;
    m->next = m->prev = NULL;
}

static void link_line(struct trp_sched_line *line)
{
    struct trp_sched_model *const m = line->model;
    line->prev = NULL;
    line->next = m->lines;
    if (m->lines)
        m->lines->prev = line;
    m->lines = line;
}

static void unlink_line(struct trp_sched_line *line)
{
    if (line->prev)
        line->prev->next = line->next;
    else
        line->model->lines = line->next;
    if (line->next)
        line->next->prev = line->prev;
    line->next = line->prev = NULL;
}

static void set_blocked(struct trp_sched *s, struct trp_sched_model *m, bool is_blocked)
{
    s->blocked += is_blocked;
    s->blocked -= m->is_blocked;
    m->is_blocked = is_blocked;
}

static void count_in(struct trp_sched *s, struct trp_sched_line *line, struct trp_call *call)
{
    const struct trp_queue_seat *const seat = &call->seat;
    struct trp_sched_class *const class = &s->classes[call->seat.way];
    line->model->ways[seat->way]++;
    if (line->model->queued++ == 0)
        link_model(s, line->model);
    if (line->queued++ == 0)
        link_line(line);
    line->rows += seat->way == TRP_SCHED_ASIDE ? 0 : seat->rows;
    s->queued++;
    class->queued++;
    class->work_ns += seat->cost_ns;
    seat->tenant->lanes[seat->way].work_ns += seat->cost_ns;
    trp_lane_count(class, &seat->tenant->lanes[seat->way], 1);
}

static void count_out(struct trp_sched *s, struct trp_sched_line *line, struct trp_call *call)
{
    const struct trp_queue_seat *const seat = &call->seat;
    struct trp_sched_class *const class = &s->classes[call->seat.way];
    line->rows -= seat->way == TRP_SCHED_ASIDE ? 0 : seat->rows;
    if (--line->queued == 0) {
        trp_resting_end(s, line);
        line->has_rested = false; /* whoever comes next has not waited */
        unlink_line(line);
    }
    line->model->ways[seat->way]--;
    if (--line->model->queued == 0) {
        unlink_model(s, line->model);
        set_blocked(s, line->model, false); /* whoever comes next asks for itself */
    }
    s->queued--;
    if (--class->queued == 0)
        class->owed_ns = 0;
    class->work_ns -= seat->cost_ns;
    seat->tenant->lanes[seat->way].work_ns -= seat->cost_ns;
    trp_lane_count(class, &seat->tenant->lanes[seat->way], -1);
}

static struct trp_pairing *expiry_of(struct trp_sched *s, uint32_t way)
{
    return way == TRP_SCHED_ASIDE ? &s->aside_expiry : &s->expiry;
}

/* Notes which call of a flow comes first, and puts the flow where that one's deadline says.  The
 * flow is not shown. */
static void set_first(struct trp_sched *s, struct trp_queue_flow *flow)
{
    const struct trp_queue_spot *const first = trp_sorted_first(&flow->calls);
    const int64_t due_ns = first ? first->key : INT64_MAX;
    flow->first = first ? first->arrival : INT64_MAX;
    if (due_ns == flow->due_ns)
        return;
    if (flow->due_ns != INT64_MAX)
        trp_pairing_remove(expiry_of(s, flow->way), &flow->of_expiry);
    flow->due_ns = due_ns;
    if (due_ns != INT64_MAX)
        trp_pairing_push(expiry_of(s, flow->way), &flow->of_expiry);
}

static bool is_first(const struct trp_queue_flow *flow, const struct trp_call *call)
{
    return call->seat.turn.arrival == flow->first;
}

/* Puts a call whose seat is filled into all queues. */
static void enqueue(struct trp_sched *s, struct trp_sched_line *line, struct trp_call *call)
{
    const uint32_t way = call->seat.way;
    struct trp_queue_seat *const seat = &call->seat;
    struct trp_sched_tenant *const tenant = seat->tenant;
    struct trp_queue_flow *flow = trp_flow_find(line, way, tenant);
    call->queue = line;
    const bool is_new = flow == NULL;
    const bool leads = is_new || seat->turn.key < flow->due_ns ||
                       (seat->turn.key == flow->due_ns && seat->turn.arrival < flow->first);
    const bool moves = !is_new && leads && flow->is_shown;
    if (is_new) {
        trp_lane_begin(&s->classes[way], &tenant->lanes[way]);
        flow = trp_flow_open(line, way, tenant, call);
        flow->since = seat->turn.arrival;
        trp_lane_wait(flow);
    } else if (moves)
        trp_lane_hide(flow);
    trp_flow_push(flow, call);
    if (leads)
        set_first(s, flow);
    if (moves)
        trp_lane_show(flow);
    count_in(s, line, call);
    if (is_new)
        reshow(s, line, way);
}

static uint32_t places_of(const struct trp_sched *s, const struct trp_sched_model *m)
{
    return m->queue_max != 0 && m->queue_max < s->model_queue_max ? m->queue_max
                                                                  : s->model_queue_max;
}

/* What a call asks others stands where the first of it stood, each with a number of its own: what
 * was begun is ended before more is begun, and while its tensors still lie in a cache. */
static int64_t arrival_of(struct trp_sched *s, struct trp_call *call)
{
    struct trp_call *root = call;
    while (root->parent)
        root = root->parent;
    if (root != call && root->place % FAMILY_MAX != 0)
        return root->place++;
    const int64_t arrival = s->arrivals * FAMILY_MAX;
    s->arrivals++;
    if (root != call)
        root->place = arrival + 1;
    return arrival;
}

enum trp_sched_push trp_sched_push_as(struct trp_sched *s, const struct trp_sched_ask *ask,
                                      struct trp_call *call)
{
    TRP_ASSERT(!call->queue && ask->line->model);
    if (ask->line->model->queued >= places_of(s, ask->line->model))
        return TRP_SCHED_MODEL_FULL; /* first: room made there is room in all */
    if (s->queued >= s->queue_max)
        return TRP_SCHED_FULL;
    call->seat.turn.key = call->deadline_ns != 0 ? call->deadline_ns : INT64_MAX;
    call->seat.turn.arrival = arrival_of(s, call);
    call->seat.way = trp_sched_way_of_call(call);
    call->seat.line = ask->line;
    call->seat.tenant = ask->tenant ? ask->tenant : &s->anyone;
    call->seat.cost_ns = ask->cost_ns > 0 ? ask->cost_ns : UNKNOWN_NS;
    call->seat.rows = ask->rows > 0 ? ask->rows : 1;
    call->seat.billed_ns = 0;
    enqueue(s, ask->line, call);
    trp_resting_joined(s, ask->line, call);
    return TRP_SCHED_QUEUED;
}

enum trp_sched_push trp_sched_push(struct trp_sched *s, struct trp_sched_model *model,
                                   struct trp_call *call)
{
    model->own.model = model;
    return trp_sched_push_as(s, &(struct trp_sched_ask){ .line = &model->own }, call);
}

/* Takes a waiting call out of all queues, charging its tenant. */
static void unqueue(struct trp_sched *s, struct trp_call *call, int64_t charge_ns)
{
    const uint32_t way = call->seat.way;
    struct trp_sched_line *const line = call->queue;
    struct trp_sched_class *const class = &s->classes[way];
    struct trp_sched_lane *const lane = &call->seat.tenant->lanes[way];
    struct trp_queue_flow *flow = trp_flow_find(line, way, call->seat.tenant);
    const bool was_first = is_first(flow, call), moves = flow->is_shown && was_first;
    if (moves)
        trp_lane_hide(flow);
    trp_flow_remove(flow, call);
    if (was_first)
        set_first(s, flow);
    if (flow->count == 0)
        trp_pairing_remove(&line->ways[way].flows, &flow->of_line);
    flow = trp_flow_tidy(flow, call, expiry_of(s, way));
    if (moves && flow)
        trp_lane_show(flow);
    if (charge_ns != 0)
        trp_lane_charge(class, lane, charge_ns);
    else
        trp_lane_settle(class, lane);
    call->queue = NULL;
    count_out(s, line, call);
    if (moves)
        reshow(s, line, way);
}

bool trp_sched_remove(struct trp_sched *s, struct trp_call *call)
{
    if (!call->queue)
        return false;
    unqueue(s, call, 0);
    return true;
}

static struct trp_call *first_of(const struct trp_sched_class *class)
{
    const struct trp_queue_flow *const flow = trp_lane_first(class);
    return flow ? trp_flow_first(flow) : NULL;
}

/* The class whose turn it is: the most urgent one, or a lesser one that is owed its next call;
 * TRP_SCHED_WAYS: none. */
static uint32_t choose_way(const struct trp_sched *s)
{
    uint32_t found = 0;
    while (found < TRP_SCHED_WAYS && !trp_pairing_first(&s->classes[found].lanes))
        found++;
    if (found == TRP_SCHED_ASIDE && s->holds_aside)
        return TRP_SCHED_WAYS;
    int64_t most_ns = 0;
    for (uint32_t way = found + 1; way < TRP_SCHED_WAYS; way++) {
        const struct trp_sched_class *const class = &s->classes[way];
        if (class->owed_ns <= most_ns || !trp_pairing_first(&class->lanes))
            continue;
        const int64_t cost_ns = first_of(class)->seat.cost_ns;
        if (class->owed_ns < (cost_ns < FLOOR_MAX_NS ? cost_ns : FLOOR_MAX_NS))
            continue;
        most_ns = class->owed_ns;
        found = way;
    }
    return found;
}

bool trp_sched_next(struct trp_sched *s, struct trp_sched_turn *out_turn)
{
    const uint32_t way = choose_way(s);
    if (way == TRP_SCHED_WAYS)
        return false;
    struct trp_queue_flow *flow = trp_lane_first(&s->classes[way]);
    for (uint32_t i = 0; i < RESHOWS_MAX; i++) { /* others of its line may have had less by now */
        reshow(s, flow->line, way);
        struct trp_queue_flow *const first = trp_lane_first(&s->classes[way]);
        if (first == flow)
            break;
        flow = first;
    }
    *out_turn = (struct trp_sched_turn){ flow->line, trp_flow_first(flow), way };
    return true;
}

/* Each class that waits is owed its floor of the work; the one that gets it was paid. */
static void bill(struct trp_sched *s, struct trp_call *call, int64_t cost_ns)
{
    struct trp_sched_class *const served = &s->classes[call->seat.way];
    for (struct trp_sched_class *c = s->classes; c < s->classes + TRP_SCHED_WAYS; c++)
        if (trp_pairing_first(&c->lanes))
            c->owed_ns += cost_ns * c->floor_permille / 1000;
    served->owed_ns = served->owed_ns > cost_ns ? served->owed_ns - cost_ns : 0;
}

static void charge_and_unqueue(struct trp_sched *s, struct trp_call *call, int64_t cost_ns)
{
    call->seat.billed_ns = cost_ns > 0 ? cost_ns : call->seat.cost_ns;
    bill(s, call, call->seat.billed_ns);
    unqueue(s, call, call->seat.billed_ns);
}

void trp_sched_take_turn(struct trp_sched *s, const struct trp_sched_turn *turn, int64_t cost_ns)
{
    struct trp_sched_model *const m = turn->line->model;
    m->running++;
    charge_and_unqueue(s, turn->call, cost_ns);
    if (!has_slot(m))
        reshow_model(s, m);
}

struct trp_call *trp_sched_take(struct trp_sched *s, struct trp_sched_model **out_model)
{
    struct trp_sched_turn turn;
    *out_model = NULL;
    if (!trp_sched_next(s, &turn))
        return NULL;
    *out_model = turn.line->model;
    trp_sched_take_turn(s, &turn, 0);
    return turn.call;
}

static struct trp_call *first_of_line(struct trp_sched_line *line, uint32_t ways)
{
    for (uint32_t way = 0; way < ways; way++) {
        const struct trp_queue_flow *const flow = trp_lane_best(line, way);
        if (flow)
            return trp_flow_first(flow);
    }
    return NULL;
}

struct trp_call *trp_sched_mate(struct trp_sched *s, struct trp_sched_line *line)
{
    (void)s;
    return first_of_line(line, TRP_SCHED_CLASSES);
}

void trp_sched_take_mate(struct trp_sched *s, struct trp_call *call, int64_t cost_ns)
{
    charge_and_unqueue(s, call, cost_ns);
}

void trp_sched_put_back(struct trp_sched *s, struct trp_sched_model *model, struct trp_call *call)
{
    TRP_ASSERT(!call->queue && model->running > 0);
    const uint32_t way = call->seat.way;
    model->running--;
    set_blocked(s, model, true);
    trp_lane_charge(&s->classes[way], &call->seat.tenant->lanes[way], -call->seat.billed_ns);
    enqueue(s, call->seat.line, call);
    reshow_model(s, model);
}

void trp_sched_give_back(struct trp_sched *s, struct trp_sched_line *line, struct trp_call *call)
{
    const uint32_t way = call->seat.way;
    if (line)
        call->seat.line = line;
    TRP_ASSERT(!call->queue);
    trp_lane_charge(&s->classes[way], &call->seat.tenant->lanes[way], -call->seat.billed_ns);
    call->seat.billed_ns = 0;
    enqueue(s, call->seat.line, call);
}

void trp_sched_unblock(struct trp_sched *s)
{
    for (struct trp_sched_model *m = s->blocked > 0 ? s->waiting : NULL; m; m = m->next) {
        if (!m->is_blocked)
            continue;
        set_blocked(s, m, false);
        reshow_model(s, m);
    }
}

bool trp_sched_try_begin(struct trp_sched_model *model)
{
    if (!has_slot(model) || (model->slots != 0 && trp_sched_wanted(model) > 0))
        return false;
    model->running++;
    return true;
}

void trp_sched_end(struct trp_sched *s, struct trp_sched_model *model)
{
    TRP_ASSERT(model->running > 0);
    model->running--;
    if (model->slots != 0)
        reshow_model(s, model);
}

void trp_sched_resize(struct trp_sched *s, struct trp_sched_model *model, uint32_t slots)
{
    model->slots = slots;
    reshow_model(s, model);
}

static const struct trp_queue_node *first_to_expire(const struct trp_sched *s)
{
    const struct trp_queue_node *const first = trp_pairing_first(&s->expiry),
                                       *const aside = trp_pairing_first(&s->aside_expiry);
    return !first || (aside && expiry_before(aside, first)) ? aside : first;
}

struct trp_call *trp_sched_expire(struct trp_sched *s, int64_t now_ns)
{
    const struct trp_queue_node *const first = first_to_expire(s);
    if (!first || flow_of_expiry(first)->due_ns > now_ns)
        return NULL;
    struct trp_call *const call = trp_flow_first(flow_of_expiry(first));
    unqueue(s, call, 0);
    return call;
}

int64_t trp_sched_next_expiry_ns(const struct trp_sched *s)
{
    const struct trp_queue_node *const first = first_to_expire(s);
    return first ? flow_of_expiry(first)->due_ns : 0;
}

struct trp_call *trp_sched_drain(struct trp_sched *s)
{
    return s->waiting ? trp_sched_drain_model(s, s->waiting) : NULL;
}

struct trp_call *trp_sched_drain_model(struct trp_sched *s, struct trp_sched_model *model)
{
    struct trp_call *const call = model->lines ? first_of_line(model->lines, TRP_SCHED_WAYS) : NULL;
    if (call)
        unqueue(s, call, 0);
    return call;
}

/* tune/simulator.c - see simulator.h.
 *
 * Four kinds of events: a loop's next step, an executor's (it comes, or its run ends), the first
 * deadline of all that wait, and the first rest that is over.  The last two are the scheduler's, in
 * O(1); executors stand in a heap; loops are few.  At one moment runs end first, then deadlines
 * pass, then rests end, then loops go on: so the order of events is the same every time. */
#include "tune/simulator.h"

#include "sched/forecast.h"
#include "sched/placement.h"
#include "sched/resting.h"
#include "sched/shedding.h"
#include "tune/chance.h"
#include "tune/due_heap.h"

#define CALLS_A_BLOCK 64
#define NOBODY UINT32_MAX

struct model {
    struct trp_sched_model place; /* first */
    struct trp_sched_line shared;
    struct trp_cost_curve learned;
    const struct trp_price *price;
    uint32_t rows_most; /* of one arrival */
};

struct loop {
    int64_t due_ns;  /* its next step */
    int64_t free_ns; /* when what it is doing has ended */
    uint32_t next;   /* arrival; every loops_n-th is its own */
    uint32_t inside; /* arrival that it runs; NOBODY: none */
    struct trp_turn_budget budget;
};

struct executor {
    struct trp_call_list calls; /* of its run; none: it is being woken */
    struct model *model;
    uint32_t rows;
    bool is_long, is_cut;
};

struct sim {
    const struct trp_sim_opts *opts;
    const struct trp_workload *workload;
    struct trp_sim_result *results;
    struct trp_sim_totals totals;
    struct trp_random random;
    struct trp_sched sched;
    struct model *models;
    struct trp_sched_tenant *tenants;
    struct loop *loops;
    struct executor *executors;
    struct trp_due_heap due; /* executors that are woken, or run */
    uint32_t *sleepers, asleep, running, long_runs;
    int64_t now_ns;
    struct trp_arena arena; /* everything; calls are used again */
    struct trp_call *spare;
    bool is_short_of_memory, is_too_long;
};

/* ---- calls ---- */

static struct trp_call *take_call(struct sim *s)
{
    if (!s->spare) {
        struct trp_call *block = trp_arena_zeroed(&s->arena, CALLS_A_BLOCK, sizeof *block);
        for (uint32_t i = 0; block && i < CALLS_A_BLOCK; i++) {
            block[i].queue_next = s->spare;
            s->spare = &block[i];
        }
    }
    struct trp_call *const call = s->spare;
    if (call)
        s->spare = call->queue_next;
    else
        s->is_short_of_memory = true;
    return call;
}

static void drop_call(struct sim *s, struct trp_call *call)
{
    call->queue_next = s->spare;
    s->spare = call;
}

/* 0: none. */
static int64_t deadline_of(const struct trp_arrival *a)
{
    const bool is_one = a->timeout_ns > 0 && a->timeout_ns < TRP_SIM_LENGTH_MAX_NS;
    return is_one ? a->at_ns + a->timeout_ns : 0;
}

static bool is_over(int64_t deadline_ns, int64_t now_ns)
{
    return deadline_ns != 0 && deadline_ns <= now_ns;
}

static struct model *model_of(const struct trp_sched_line *line)
{
    return TRP_CONTAINER_OF(line->model, struct model, place);
}

/* ---- answers: a loop sends them ---- */

static void set_due(const struct sim *s, struct loop *l)
{
    if (l->inside != NOBODY)
        return; /* the end of that run comes first */
    if (l->next >= s->workload->arrivals_n) {
        l->due_ns = INT64_MAX;
        return;
    }
    const int64_t at_ns = s->workload->arrivals[l->next].at_ns;
    l->due_ns = (at_ns > l->free_ns ? at_ns : l->free_ns) + s->opts->request_ns;
}

static void send(struct sim *s, uint32_t number, enum trp_sim_end end, int64_t since_ns)
{
    struct trp_sim_result *r = &s->results[number];
    struct loop *l = &s->loops[number % s->opts->loops_n];
    l->free_ns = (since_ns > l->free_ns ? since_ns : l->free_ns) + s->opts->answer_ns;
    r->answered_ns = l->free_ns;
    r->end = (uint8_t)end;
    s->totals.loops_ns += (double)s->opts->answer_ns;
    if (l->free_ns > s->totals.end_ns)
        s->totals.end_ns = l->free_ns;
    set_due(s, l);
}

static void send_and_drop(struct sim *s, struct trp_call *call, enum trp_sim_end end)
{
    send(s, (uint32_t)call->number, end, s->now_ns);
    drop_call(s, call);
}

static void expire(struct sim *s)
{
    struct trp_call *call;
    while ((call = trp_sched_expire(&s->sched, s->now_ns)) != NULL)
        send_and_drop(s, call, TRP_SIM_EXPIRED);
}

/* ---- executors ---- */

static void wake(struct sim *s, uint32_t wanted)
{
    for (; wanted > 0 && s->asleep > 0; wanted--)
        trp_due_heap_push(&s->due, s->sleepers[--s->asleep], s->now_ns + s->opts->wake_ns);
}

static double luck(struct sim *s)
{
    if (s->opts->is_memoryless)
        return trp_chance_exponential(&s->random, 1);
    return s->opts->jitter > 0 ? trp_chance_lognormal(&s->random, s->opts->jitter) : 1;
}

static int64_t run_ns(struct sim *s, const struct model *m, uint32_t rows)
{
    const double ns = (double)trp_price_run_ns(m->price, rows) * luck(s);
    return ns < 1 ? 1 : ns < TRP_SIM_LENGTH_MAX_NS ? (int64_t)ns : TRP_SIM_LENGTH_MAX_NS;
}

/* When nobody of a run waits for it any more; 0: never. */
static int64_t last_deadline(const struct trp_call_list *calls)
{
    int64_t last_ns = 0;
    for (const struct trp_call *call = calls->first; call; call = call->queue_next) {
        if (call->deadline_ns == 0)
            return 0;
        last_ns = call->deadline_ns > last_ns ? call->deadline_ns : last_ns;
    }
    return last_ns;
}

static void note_run(struct sim *s, const struct trp_call_list *calls, uint32_t rows,
                     int64_t start_ns, int64_t end_ns)
{
    for (const struct trp_call *call = calls->first; call; call = call->queue_next) {
        struct trp_sim_result *r = &s->results[call->number];
        r->start_ns = start_ns;
        r->run_end_ns = end_ns;
        r->run_rows = rows;
        r->leads = call == calls->first;
    }
}

static void begin_run(struct sim *s, uint32_t index, struct model *m,
                      const struct trp_call_list *calls)
{
    struct executor *e = &s->executors[index];
    *e = (struct executor){ .calls = *calls, .model = m };
    for (const struct trp_call *call = calls->first; call; call = call->queue_next)
        e->rows += call->seat.rows;
    const int64_t start_ns = s->now_ns + s->opts->turn_ns, cut_ns = last_deadline(calls);
    const int64_t took_ns = run_ns(s, m, e->rows);
    int64_t end_ns = start_ns + took_ns;
    e->is_cut = cut_ns != 0 && cut_ns < end_ns;
    if (e->is_cut)
        end_ns = cut_ns > start_ns ? cut_ns : start_ns;
    e->is_long = took_ns > s->opts->inline_turn_ns;
    s->long_runs += e->is_long;
    s->running++;
    s->totals.runs++;
    s->totals.executors_ns += (double)(end_ns - s->now_ns);
    note_run(s, calls, e->rows, start_ns, end_ns);
    trp_due_heap_push(&s->due, index, end_ns);
}

static void end_run(struct sim *s, struct executor *e)
{
    struct trp_call *call;
    const struct trp_sim_result *first = &s->results[e->calls.first->number];
    trp_sched_end(&s->sched, &e->model->place);
    if (!e->is_cut)
        trp_cost_curve_learn(&e->model->learned, e->rows, first->run_end_ns - first->start_ns);
    s->running--;
    s->long_runs -= e->is_long;
    while ((call = trp_call_list_pop(&e->calls)) != NULL) {
        const bool is_late = is_over(call->deadline_ns, s->now_ns);
        send(s, (uint32_t)call->number, is_late ? TRP_SIM_EXPIRED : TRP_SIM_ANSWERED,
             is_late ? call->deadline_ns : s->now_ns);
        drop_call(s, call);
    }
}

/* As exec takes: who shares runs brings company, or rests. */
static bool take_run(struct sim *s, struct model **out_model, struct trp_call_list *out)
{
    struct trp_sched_turn turn;
    const struct trp_batching_now now = { .now_ns = s->now_ns,
                                          .idle = s->asleep + s->due.n - s->running };
    while (trp_sched_next(&s->sched, &turn)) {
        struct model *m = model_of(turn.line);
        *out_model = m;
        if (turn.line != &m->shared) {
            trp_sched_take_turn(&s->sched, &turn, 0);
            trp_call_list_push(out, turn.call);
            return true;
        }
        if (trp_batching_take(&s->sched, &turn, &m->price->rules, &m->learned, &now, out))
            return true;
    }
    return false;
}

static void go_on(struct sim *s, uint32_t index)
{
    struct executor *e = &s->executors[index];
    struct trp_call_list calls = { 0 };
    struct model *m;
    if (e->calls.first)
        end_run(s, e);
    trp_resting_end_all(&s->sched, s->now_ns);
    expire(s);
    if (take_run(s, &m, &calls))
        begin_run(s, index, m, &calls);
    else
        s->sleepers[s->asleep++] = index;
}

/* ---- loops ---- */

static void fill_call(const struct sim *s, struct trp_call *call, uint32_t number)
{
    const struct trp_arrival *a = &s->workload->arrivals[number];
    call->number = number;
    call->priority_class = a->class;
    call->deadline_ns = deadline_of(a);
    call->stamps_ns[TRP_PHASE_QUEUED] = s->now_ns;
    call->queue = NULL;
}

/* As exec counts: a call that will share a run costs its part of it, of as many rows as wait
 * there with it. */
static int64_t cost_of(const struct model *m, const struct trp_sched_line *line, uint32_t rows,
                       int64_t alone_ns)
{
    const uint64_t most = m->price->rules.rows_max;
    if (line != &m->shared)
        return alone_ns;
    uint64_t joined = line->rows + rows < most ? line->rows + rows : most;
    joined = joined > rows ? joined : rows;
    const int64_t run_ns = trp_cost_curve_estimate(&m->learned, (uint32_t)joined);
    return run_ns > 0 ? (int64_t)((double)run_ns * rows / (double)joined) : alone_ns;
}

/* All executors are busy at least until the first of them has ended; 0: one of them has time. */
static int64_t busy_ns(const struct sim *s)
{
    if (s->running < s->opts->executors_n)
        return 0;
    const int64_t least_ns = trp_due_heap_first_ns(&s->due) - s->now_ns;
    return (least_ns < TRP_SIM_RUN_MAX_NS ? least_ns : TRP_SIM_RUN_MAX_NS) * s->opts->executors_n;
}

/* A call of a model of which nothing waits or runs is let in whatever its run is thought to
 * cost. */
static bool is_hopeless(const struct sim *s, const struct trp_sched_ask *ask,
                        const struct trp_call *call)
{
    const struct trp_sched_model *m = ask->line->model;
    const struct trp_forecast_view view = { .now_ns = s->now_ns,
                                            .executors = s->opts->executors_n,
                                            .busy_ns = busy_ns(s) };
    if (!s->opts->forecasts || call->deadline_ns == 0)
        return false;
    const struct trp_forecast f = trp_forecast_call(&s->sched, ask, call, &view);
    return !f.is_met && !(m->queued == 0 && m->running == 0 && f.start_ns < call->deadline_ns);
}

/* False: there is no room for it, and nobody makes any. */
static bool try_push(struct sim *s, const struct trp_sched_ask *ask, struct trp_call *call)
{
    enum trp_sched_push pushed;
    while ((pushed = trp_sched_push_as(&s->sched, ask, call)) != TRP_SCHED_QUEUED) {
        struct trp_call *shed =
            s->opts->sheds ? trp_shedding_take(&s->sched, ask, call, pushed) : NULL;
        if (!shed)
            return false;
        send_and_drop(s, shed, TRP_SIM_SHED);
    }
    return true;
}

static void hand_over(struct sim *s, uint32_t number, struct model *m, int64_t cost_ns)
{
    const struct trp_arrival *a = &s->workload->arrivals[number];
    struct trp_call *call = take_call(s);
    if (!call)
        return;
    fill_call(s, call, number);
    struct trp_sched_line *line = m->price->rules.rows_max > 1 ? &m->shared : &m->place.own;
    const struct trp_sched_ask ask = { .line = line,
                                       .tenant = a->tenant > 0 ? &s->tenants[a->tenant] : NULL,
                                       .cost_ns = cost_of(m, line, a->rows, cost_ns),
                                       .rows = a->rows };
    if (is_hopeless(s, &ask, call)) {
        send_and_drop(s, call, TRP_SIM_REFUSED);
        return;
    }
    if (!try_push(s, &ask, call)) {
        send_and_drop(s, call, TRP_SIM_SHED);
        return;
    }
    if (s->sched.queued > s->totals.queued_most)
        s->totals.queued_most = s->sched.queued;
    wake(s, line->is_resting ? 0 : 1);
}

static struct trp_turn_budget fresh_budget(const struct trp_sim_opts *o)
{
    return (struct trp_turn_budget){ .run_max_ns = o->inline_run_ns,
                                     .left_ns = o->inline_turn_ns,
                                     .turn_ns = o->inline_turn_ns };
}

/* Whether a loop runs it itself: in this turn, or as the first of the next. */
static bool stays(const struct sim *s, struct loop *l, int64_t cost_ns)
{
    const struct trp_executors_seen seen = { .idle = s->asleep, .has_long_run = s->long_runs > 0 };
    const enum trp_place place = trp_place_call(&l->budget, cost_ns, &seen);
    if (place == TRP_PLACE_LATER)
        l->budget = fresh_budget(s->opts);
    return place != TRP_PLACE_EXECUTOR;
}

static void run_inside(struct sim *s, struct loop *l, uint32_t number, struct model *m)
{
    struct trp_sim_result *r = &s->results[number];
    const uint32_t rows = s->workload->arrivals[number].rows;
    const int64_t took_ns = run_ns(s, m, rows);
    *r = (struct trp_sim_result){ .queued_ns = s->now_ns,
                                  .start_ns = s->now_ns,
                                  .run_end_ns = s->now_ns + took_ns,
                                  .run_rows = rows,
                                  .leads = true,
                                  .is_inline = true };
    l->inside = number;
    l->due_ns = r->run_end_ns;
    l->budget.used = true;
    l->budget.left_ns -= took_ns;
    s->totals.runs_inline++;
    s->totals.loops_ns += (double)took_ns;
}

static void end_inside(struct sim *s, struct loop *l)
{
    const uint32_t number = l->inside;
    const struct trp_sim_result *r = &s->results[number];
    const struct trp_arrival *a = &s->workload->arrivals[number];
    struct model *m = &s->models[a->model];
    l->inside = NOBODY;
    trp_cost_curve_learn(&m->learned, r->run_rows, r->run_end_ns - r->start_ns);
    trp_sched_end(&s->sched, &m->place);
    if (m->place.slots != 0 && m->place.queued > 0)
        wake(s, 1);
    send(s, number, is_over(deadline_of(a), s->now_ns) ? TRP_SIM_EXPIRED : TRP_SIM_ANSWERED,
         s->now_ns);
}

static void read_request(struct sim *s, struct loop *l)
{
    const uint32_t number = l->next;
    const struct trp_arrival *a = &s->workload->arrivals[number];
    struct model *m = &s->models[a->model];
    const int64_t cost_ns = trp_cost_curve_estimate(&m->learned, a->rows);
    if (a->at_ns >= l->free_ns) /* it had nothing else to do: a turn begins */
        l->budget = fresh_budget(s->opts);
    l->next += s->opts->loops_n;
    l->free_ns = s->now_ns;
    s->totals.loops_ns += (double)s->opts->request_ns;
    s->results[number] = (struct trp_sim_result){ .queued_ns = s->now_ns };
    if (is_over(deadline_of(a), s->now_ns))
        send(s, number, TRP_SIM_EXPIRED, s->now_ns);
    else if (stays(s, l, cost_ns) && trp_sched_try_begin(&m->place))
        run_inside(s, l, number, m);
    else
        hand_over(s, number, m, cost_ns);
    set_due(s, l);
}

/* ---- events ---- */

static struct loop *first_loop(const struct sim *s)
{
    struct loop *first = s->loops;
    for (struct loop *l = s->loops + 1; l < s->loops + s->opts->loops_n; l++)
        if (l->due_ns < first->due_ns)
            first = l;
    return first;
}

static int64_t or_never(int64_t ns)
{
    return ns != 0 ? ns : INT64_MAX;
}

static int64_t sooner(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static void end_rests(struct sim *s)
{
    const uint32_t before = s->sched.queued > 0 ? s->opts->executors_n : 0;
    trp_resting_end_all(&s->sched, s->now_ns);
    wake(s, before < s->sched.queued ? before : s->sched.queued);
}

/* False: nothing happens any more. */
static bool step(struct sim *s)
{
    struct loop *l = first_loop(s);
    const int64_t executor_ns = trp_due_heap_first_ns(&s->due);
    const int64_t expiry_ns = or_never(trp_sched_next_expiry_ns(&s->sched));
    const int64_t rest_ns = or_never(trp_resting_next_ns(&s->sched));
    const int64_t due_ns = sooner(sooner(l->due_ns, executor_ns), sooner(expiry_ns, rest_ns));
    s->is_too_long = due_ns != INT64_MAX && due_ns > 2 * TRP_SIM_LENGTH_MAX_NS;
    if (due_ns == INT64_MAX || s->is_short_of_memory || s->is_too_long)
        return false;
    s->now_ns = due_ns > s->now_ns ? due_ns : s->now_ns;
    if (executor_ns == due_ns)
        go_on(s, trp_due_heap_pop(&s->due));
    else if (expiry_ns == due_ns)
        expire(s);
    else if (rest_ns == due_ns)
        end_rests(s);
    else if (l->inside != NOBODY)
        end_inside(s, l);
    else
        read_request(s, l);
    return true;
}

/* ---- the whole ---- */

static trp_status check(const struct trp_sim_question *q, struct trp_error *err)
{
    const struct trp_sim_opts *o = q->opts;
    uint32_t floors = 0;
    for (size_t i = 0; i < TRP_SCHED_CLASSES; i++)
        floors += o->floors_permille[i] < 1000 ? o->floors_permille[i] : 1000;
    if (o->executors_n == 0 || o->executors_n > TRP_SIM_EXECUTORS_MAX || o->loops_n == 0 ||
        o->loops_n > TRP_SIM_LOOPS_MAX)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "1 to %u executors, and 1 to %u loops",
                        TRP_SIM_EXECUTORS_MAX, TRP_SIM_LOOPS_MAX);
    if (floors >= 1000)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "floors of all classes together must be less than all of the work");
    const struct trp_workload *w = q->workload;
    if (w->arrivals_n > 0 && w->arrivals[w->arrivals_n - 1].at_ns > TRP_SIM_LENGTH_MAX_NS)
        return trp_fail(err, TRP_TOO_LARGE, "arrivals of more than a year");
    TRP_ASSERT(w->is_sorted && o->queue_max > 0 && o->model_queue_max > 0);
    return trp_ok();
}

static bool make(struct sim *s)
{
    const struct trp_sim_opts *o = s->opts;
    const struct trp_workload *w = s->workload;
    s->models = trp_arena_zeroed(&s->arena, w->models.n + 1, sizeof *s->models);
    s->tenants = trp_arena_zeroed(&s->arena, w->tenants.n, sizeof *s->tenants);
    s->loops = trp_arena_zeroed(&s->arena, o->loops_n, sizeof *s->loops);
    s->executors = trp_arena_zeroed(&s->arena, o->executors_n, sizeof *s->executors);
    s->sleepers = trp_arena_zeroed(&s->arena, o->executors_n, sizeof *s->sleepers);
    return s->models && s->tenants && s->loops && s->executors && s->sleepers &&
           trp_due_heap_init(&s->due, &s->arena, o->executors_n);
}

static trp_status check_price(const struct model *m, struct trp_str name, struct trp_error *err)
{
    const uint32_t joined = m->price->rules.rows_max,
                   most = m->rows_most > joined ? m->rows_most : joined;
    const int64_t believed_ns = trp_cost_curve_estimate(&m->learned, most > 0 ? most : 1);
    if (trp_price_run_ns(m->price, most > 0 ? most : 1) <= TRP_SIM_RUN_MAX_NS &&
        believed_ns <= TRP_SIM_RUN_MAX_NS)
        return trp_ok();
    return trp_fail(err, TRP_INVALID_ARGUMENT,
                    "model '%.*s': a run of %u rows would take longer than %d s", TRP_STR(name),
                    most, (int)(TRP_SIM_RUN_MAX_NS / 1000000000));
}

static trp_status begin(struct sim *s, const struct trp_price_list *prices, struct trp_error *err)
{
    const struct trp_sim_opts *o = s->opts;
    const struct trp_workload *w = s->workload;
    trp_sched_init(&s->sched, o->queue_max, o->model_queue_max);
    for (int i = 0; i < TRP_SCHED_CLASSES; i++)
        trp_sched_set_floor(&s->sched, (enum trp_priority_class)i, o->floors_permille[i]);
    for (uint32_t i = 0; i < w->tenants.n; i++)
        trp_sched_tenant_init(&s->sched, &s->tenants[i], o->weights ? o->weights[i] : 1);
    for (uint32_t i = 0; i < w->arrivals_n; i++)
        if (w->arrivals[i].rows > s->models[w->arrivals[i].model].rows_most)
            s->models[w->arrivals[i].model].rows_most = w->arrivals[i].rows;
    for (uint32_t i = 0; i < w->models.n; i++) {
        struct model *m = &s->models[i];
        m->price = trp_price_list_find(prices, w->models.names[i]);
        if (!m->price || m->price->points.n == 0)
            return trp_fail(
                err, TRP_NOT_FOUND,
                "nobody says what runs of model '%.*s' take: the server says so once it "
                "has run it, or --cost %.*s=5ms",
                TRP_STR(w->models.names[i]), TRP_STR(w->models.names[i]));
        m->place.slots = m->price->slots;
        m->place.own.model = m->shared.model = &m->place;
        trp_price_teach(m->price, &m->learned);
        TRP_CHECK(check_price(m, w->models.names[i], err));
    }
    for (uint32_t i = 0; i < o->loops_n; i++) {
        s->loops[i] = (struct loop){ .next = i, .inside = NOBODY, .budget = fresh_budget(o) };
        set_due(s, &s->loops[i]);
    }
    while (s->asleep < o->executors_n) {
        s->sleepers[s->asleep] = o->executors_n - 1 - s->asleep;
        s->asleep++;
    }
    return trp_ok();
}

/* Not the numbers that somebody else draws from the same seed, such as the arrivals'. */
static struct trp_random own_chance(uint64_t seed)
{
    struct trp_random mixed = { .state = ~seed };
    return (struct trp_random){ .state = trp_random_next(&mixed) };
}

trp_status trp_simulator_run(const struct trp_alloc *alloc, const struct trp_sim_question *question,
                             struct trp_sim_result *results, struct trp_sim_totals *out_totals,
                             struct trp_error *err)
{
    struct sim s = { .opts = question->opts,
                     .workload = question->workload,
                     .results = results,
                     .random = own_chance(question->opts->seed) };
    TRP_CHECK(check(question, err));
    trp_arena_init(&s.arena, alloc, CALLS_A_BLOCK * sizeof(struct trp_call), 0);
    trp_status st = make(&s) ? begin(&s, question->prices, err)
                             : trp_fail(err, TRP_OUT_OF_MEMORY, "a simulated server");
    while (!trp_failed(st) && step(&s)) {
    }
    if (!trp_failed(st) && s.is_short_of_memory)
        st = trp_fail(err, TRP_OUT_OF_MEMORY, "%u simulated requests that wait", s.sched.queued);
    if (!trp_failed(st) && s.is_too_long)
        st = trp_fail(err, TRP_TOO_LARGE, "the last answer would come years after the arrivals");
    if (!trp_failed(st)) {
        TRP_ASSERT(s.sched.queued == 0 && s.running == 0);
        *out_totals = s.totals;
    }
    trp_arena_deinit(&s.arena);
    return st;
}

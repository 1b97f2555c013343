/* The laws of scheduling, over random and adversarial arrivals with a fake clock: nothing is lost
 * or given out twice, shares and floors are kept, nobody starves.  TROUPE_SEED=N replays one
 * seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sched/lane.h"
#include "sched/resting.h"
#include "sched/shedding.h"

#define CALLS 200
#define MODELS 5
#define LINES 3
#define TENANTS 6

enum place { OUTSIDE, WAITING, RUNNING };

static struct world {
    struct trp_sched s;
    struct trp_sched_model models[MODELS];
    struct trp_sched_line lines[MODELS][LINES];
    struct trp_sched_tenant tenants[TENANTS];
    struct trp_call calls[CALLS];
    enum place places[CALLS];
    bool holds_slot[CALLS];
    uint64_t pushed, ended;
    struct trp_random random;
    int64_t now_ns;
} w;

static uint64_t dice(uint64_t sides)
{
    return trp_random_next(&w.random) % sides;
}

static void make_world(uint64_t seed, uint32_t queue_max, uint32_t model_queue_max)
{
    w = (struct world){ .random = { seed } };
    trp_sched_init(&w.s, queue_max, model_queue_max);
    for (uint32_t m = 0; m < MODELS; m++) {
        w.models[m].slots = m; /* 0: no limit */
        for (uint32_t l = 0; l < LINES; l++)
            w.lines[m][l].model = &w.models[m];
    }
    for (uint32_t t = 0; t < TENANTS; t++)
        trp_sched_tenant_init(&w.s, &w.tenants[t], t % 3 + 1);
}

static size_t number_of(const struct trp_call *call)
{
    return (size_t)(call - w.calls);
}

static void leaves(struct trp_call *call, enum place to)
{
    assert_int_equal(w.places[number_of(call)], WAITING);
    assert_null(call->queue);
    w.places[number_of(call)] = to;
    w.ended += to == OUTSIDE;
}

static void push_some_call(void)
{
    struct trp_call *const call = &w.calls[dice(CALLS)];
    if (w.places[number_of(call)] != OUTSIDE)
        return;
    const struct trp_sched_ask ask = {
        .line = &w.lines[dice(MODELS)][dice(LINES)],
        .tenant = dice(4) ? &w.tenants[dice(TENANTS)] : NULL,
        .cost_ns = (int64_t)dice(3) * TRP_MS(1),
        .rows = (uint32_t)dice(4),
    };
    call->priority_class = (enum trp_priority_class)dice(3);
    call->is_aside = dice(6) == 0;
    call->deadline_ns = dice(2) ? w.now_ns + (int64_t)dice(200) + 1 : 0;
    enum trp_sched_push pushed = trp_sched_push_as(&w.s, &ask, call);
    if (pushed != TRP_SCHED_QUEUED) {
        struct trp_call *const shed = trp_shedding_take(&w.s, &ask, call, pushed);
        if (!shed)
            return;
        assert_true(trp_sched_way_of_call(shed) >= trp_sched_way_of_call(call));
        leaves(shed, OUTSIDE);
        /* room in the model is not yet room in the whole queue */
        pushed = trp_sched_push_as(&w.s, &ask, call);
        if (pushed != TRP_SCHED_QUEUED)
            return;
    }
    w.places[number_of(call)] = WAITING;
    w.pushed++;
}

/* Nothing of the same tenant, class and line that waits comes before it. */
static void is_first_of_its_flow(const struct trp_call *call)
{
    for (size_t i = 0; i < CALLS; i++) {
        const struct trp_call *const other = &w.calls[i];
        if (w.places[i] == WAITING && other != call && other->seat.line == call->seat.line &&
            other->seat.tenant == call->seat.tenant &&
            trp_sched_way_of_call(other) == trp_sched_way_of_call(call))
            assert_true(trp_sorted_is_before(&call->seat.turn, &other->seat.turn));
    }
}

static void take_some_run(void)
{
    struct trp_sched_turn turn;
    w.s.holds_aside = dice(2) == 0;
    if (!trp_sched_next(&w.s, &turn))
        return;
    assert_false(turn.call->is_aside && w.s.holds_aside);
    struct trp_sched_model *const m = turn.line->model;
    assert_false(m->is_blocked || turn.line->is_resting);
    is_first_of_its_flow(turn.call);
    trp_sched_take_turn(&w.s, &turn, (int64_t)dice(2) * TRP_MS(3));
    assert_true(m->slots == 0 || m->running <= m->slots);
    leaves(turn.call, RUNNING);
    w.holds_slot[number_of(turn.call)] = true;
    for (uint64_t n = dice(4); n > 0; n--) {
        struct trp_call *const more = trp_sched_mate(&w.s, turn.line);
        if (!more)
            return;
        assert_ptr_equal(more->seat.line, turn.line);
        assert_false(more->is_aside);
        is_first_of_its_flow(more);
        trp_sched_take_mate(&w.s, more, TRP_MS(1));
        leaves(more, RUNNING);
        w.holds_slot[number_of(more)] = false;
    }
}

static void end_some_run(void)
{
    const size_t i = dice(CALLS);
    if (w.places[i] != RUNNING)
        return;
    struct trp_sched_model *const m = w.calls[i].seat.line->model;
    if (w.holds_slot[i] && dice(4) == 0) {
        trp_sched_put_back(&w.s, m, &w.calls[i]);
        w.places[i] = WAITING;
        return;
    }
    if (w.holds_slot[i])
        trp_sched_end(&w.s, m);
    w.places[i] = OUTSIDE;
    w.ended++;
}

static void rest_or_rouse(void)
{
    struct trp_sched_line *const line = &w.lines[dice(MODELS)][dice(LINES)];
    if (line->is_resting)
        trp_resting_end(&w.s, line);
    else if (line->queued > 0)
        trp_resting_begin(&w.s, line, w.now_ns + (int64_t)dice(50),
                          (uint32_t)(line->rows + dice(9)));
}

static void let_time_pass(void)
{
    struct trp_call *late;
    w.now_ns += (int64_t)dice(20);
    while ((late = trp_sched_expire(&w.s, w.now_ns)) != NULL) {
        assert_true(late->deadline_ns != 0 && late->deadline_ns <= w.now_ns);
        leaves(late, OUTSIDE);
    }
    const int64_t next_ns = trp_sched_next_expiry_ns(&w.s);
    assert_true(next_ns == 0 || next_ns > w.now_ns);
    trp_resting_end_all(&w.s, w.now_ns);
    assert_true(trp_resting_next_ns(&w.s) == 0 || trp_resting_next_ns(&w.s) > w.now_ns);
}

static void counts_agree(void)
{
    uint32_t waiting = 0, ways[TRP_SCHED_WAYS] = { 0 }, rows = 0, counted_rows = 0, lanes = 0;
    int64_t work_ns = 0, counted_ns = 0;
    for (size_t i = 0; i < CALLS; i++) {
        if (w.places[i] != WAITING)
            continue;
        waiting++;
        ways[trp_sched_way_of_call(&w.calls[i])]++;
        rows += w.calls[i].is_aside ? 0 : w.calls[i].seat.rows;
        work_ns += w.calls[i].seat.cost_ns;
    }
    assert_int_equal(w.s.queued, waiting);
    for (uint32_t way = 0; way < TRP_SCHED_WAYS; way++) {
        assert_int_equal(w.s.classes[way].queued, ways[way]);
        counted_ns += w.s.classes[way].work_ns;
        lanes += w.s.anyone.lanes[way].queued;
        for (uint32_t t = 0; t < TENANTS; t++)
            lanes += w.tenants[t].lanes[way].queued;
    }
    for (uint32_t m = 0; m < MODELS; m++)
        for (uint32_t l = 0; l < LINES; l++)
            counted_rows += (uint32_t)w.lines[m][l].rows;
    assert_int_equal(counted_rows, rows);
    assert_int_equal(counted_ns, work_ns);
    assert_int_equal(lanes, waiting);
}

static void remove_some_call(void)
{
    const size_t i = dice(CALLS);
    const bool waits = w.places[i] == WAITING;
    assert_int_equal(trp_sched_remove(&w.s, &w.calls[i]), waits);
    if (waits)
        leaves(&w.calls[i], OUTSIDE);
}

static void step(void)
{
    switch (dice(16)) {
    case 0:
        let_time_pass();
        return;
    case 1:
        trp_sched_unblock(&w.s);
        return;
    case 2:
        rest_or_rouse();
        return;
    case 3:
        remove_some_call();
        return;
    case 4:
    case 5:
    case 6:
        take_some_run();
        return;
    case 7:
    case 8:
    case 9:
        end_some_run();
        return;
    default:
        push_some_call();
    }
}

static void replay(uint64_t seed)
{
    print_message("seed %llu\n", (unsigned long long)seed);
    make_world(seed, 60 + (uint32_t)(seed % 100), 20 + (uint32_t)(seed % 30));
    if (seed % 2) {
        trp_sched_set_floor(&w.s, TRP_PRIORITY_NORMAL, 100);
        trp_sched_set_floor(&w.s, TRP_PRIORITY_BATCH, 50);
    }
    for (int i = 0; i < 20000; i++) {
        step();
        if (i % 64 == 0)
            counts_agree();
    }
    struct trp_call *left;
    while ((left = trp_sched_drain(&w.s)) != NULL)
        leaves(left, OUTSIDE);
    uint64_t running = 0;
    for (size_t i = 0; i < CALLS; i++) {
        assert_int_not_equal(w.places[i], WAITING);
        running += w.places[i] == RUNNING;
    }
    assert_int_equal(w.pushed, w.ended + running);
    assert_int_equal(w.s.queued, 0);
    assert_null(w.s.waiting);
    assert_null(trp_pairing_first(&w.s.expiry));
    assert_null(trp_sorted_first(&w.s.resting));
    assert_int_equal(w.s.blocked, 0);
}

static void every_call_comes_out_exactly_once(void **state)
{
    (void)state;
    const char *const seed = getenv("TROUPE_SEED");
    if (seed)
        replay(strtoull(seed, NULL, 10));
    for (uint64_t i = 1; i <= 20 && !seed; i++)
        replay(i);
}

/* Shares: tenants that always have calls waiting, one executor, `runs` runs; the work done for
 * each. */
struct offer {
    struct trp_sched_tenant *tenant;
    uint32_t model, backlog; /* kept waiting */
    int64_t cost_ns;
    enum trp_priority_class class;
    int64_t work_ns;
};

static struct offer *offer_of(struct offer *offers, size_t n, const struct trp_call *call)
{
    for (size_t i = 0; i < n; i++)
        if (offers[i].tenant == call->seat.tenant && offers[i].class == call->priority_class &&
            &w.lines[offers[i].model][0] == call->seat.line)
            return &offers[i];
    return NULL;
}

static void keep_backlog(struct offer *o)
{
    const struct trp_sched_line *const line = &w.lines[o->model][0];
    for (size_t i = 0; i < CALLS; i++) {
        const struct trp_queue_flow *const flow =
            trp_flow_find(line, trp_sched_way_of(o->class), o->tenant);
        if (flow && flow->count >= o->backlog)
            return;
        if (w.places[i] != OUTSIDE)
            continue;
        const struct trp_sched_ask ask = { &w.lines[o->model][0], o->tenant, o->cost_ns, 1 };
        w.calls[i].priority_class = o->class;
        assert_int_equal(trp_sched_push_as(&w.s, &ask, &w.calls[i]), TRP_SCHED_QUEUED);
        w.places[i] = WAITING;
    }
}

static int64_t serve(struct offer *offers, size_t n, int runs)
{
    int64_t all_ns = 0;
    struct trp_sched_model *m;
    for (int run = 0; run < runs; run++) {
        for (size_t i = 0; i < n; i++)
            keep_backlog(&offers[i]);
        struct trp_call *const call = trp_sched_take(&w.s, &m);
        offer_of(offers, n, call)->work_ns += call->seat.cost_ns;
        all_ns += call->seat.cost_ns;
        leaves(call, OUTSIDE);
        trp_sched_end(&w.s, m);
    }
    return all_ns;
}

static void within_percent(int64_t got, int64_t want, int64_t percent)
{
    print_message("%lld of %lld\n", (long long)got, (long long)want);
    assert_true(100 * got >= (100 - percent) * want && 100 * got <= (100 + percent) * want);
}

static void tenants_get_fair_shares_whatever_they_offer(void **state)
{
    (void)state;
    make_world(1, CALLS, CALLS);
    trp_sched_tenant_init(&w.s, &w.tenants[1], 1);
    struct offer offers[] = { { &w.tenants[0], 1, 5, TRP_MS(1), TRP_PRIORITY_NORMAL, 0 },
                              { &w.tenants[1], 1, 50, TRP_MS(1), TRP_PRIORITY_NORMAL, 0 } };
    const int64_t all_ns = serve(offers, 2, 2000);
    within_percent(offers[0].work_ns, all_ns / 2, 1);
    within_percent(offers[1].work_ns, all_ns / 2, 1);
}

static void shares_are_of_work_by_weight_across_models(void **state)
{
    (void)state;
    make_world(2, CALLS, CALLS);
    trp_sched_tenant_init(&w.s, &w.tenants[0], 3);
    trp_sched_tenant_init(&w.s, &w.tenants[1], 1);
    struct offer offers[] = { { &w.tenants[0], 0, 20, TRP_MS(10), TRP_PRIORITY_NORMAL, 0 },
                              { &w.tenants[1], 2, 60, TRP_MS(1), TRP_PRIORITY_NORMAL, 0 },
                              { &w.tenants[1], 0, 3, TRP_MS(4), TRP_PRIORITY_NORMAL, 0 } };
    const int64_t all_ns = serve(offers, 3, 5000);
    within_percent(offers[0].work_ns, all_ns * 3 / 4, 2);
    within_percent(offers[1].work_ns + offers[2].work_ns, all_ns / 4, 5);
}

static void a_waiting_class_gets_its_floor_and_no_more(void **state)
{
    (void)state;
    make_world(3, CALLS, CALLS);
    trp_sched_set_floor(&w.s, TRP_PRIORITY_NORMAL, 100);
    trp_sched_set_floor(&w.s, TRP_PRIORITY_BATCH, 50);
    struct offer offers[] = { { &w.tenants[0], 1, 5, TRP_MS(1), TRP_PRIORITY_INTERACTIVE, 0 },
                              { &w.tenants[0], 0, 5, TRP_MS(2), TRP_PRIORITY_NORMAL, 0 },
                              { &w.tenants[1], 2, 5, TRP_MS(20), TRP_PRIORITY_BATCH, 0 } };
    const int64_t all_ns = serve(offers, 3, 20000);
    within_percent(offers[1].work_ns, all_ns / 10, 5);
    within_percent(offers[2].work_ns, all_ns / 20, 5);
}

static void without_a_floor_the_more_urgent_class_goes_first_always(void **state)
{
    (void)state;
    make_world(3, CALLS, CALLS);
    struct offer offers[] = { { &w.tenants[0], 1, 5, TRP_MS(1), TRP_PRIORITY_INTERACTIVE, 0 },
                              { &w.tenants[0], 0, 5, TRP_MS(1), TRP_PRIORITY_NORMAL, 0 } };
    serve(offers, 2, 500);
    assert_int_equal(offers[1].work_ns, 0);
}

/* An adversary asks under a new name each time, with an earlier deadline than anybody. */
static void newcomers_without_end_starve_nobody(void **state)
{
    (void)state;
    static struct trp_sched_tenant names[3000];
    static struct trp_call theirs[3000];
    make_world(4, CALLS, CALLS);
    struct trp_call *const mine = w.calls, *got;
    struct trp_sched_model *m;
    int served = 0;
    for (int i = 0; i < 10; i++) {
        const struct trp_sched_ask ask = { &w.lines[1][0], &w.tenants[0], TRP_MS(1), 1 };
        assert_int_equal(trp_sched_push_as(&w.s, &ask, &mine[i]), TRP_SCHED_QUEUED);
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct trp_sched_ask ask = { &w.lines[i % 2][0], &names[i], TRP_MS(1), 1 };
        trp_sched_tenant_init(&w.s, &names[i], 1);
        theirs[i] = (struct trp_call){ .deadline_ns = 1 };
        assert_int_equal(trp_sched_push_as(&w.s, &ask, &theirs[i]), TRP_SCHED_QUEUED);
        got = trp_sched_take(&w.s, &m);
        served += got >= mine && got < mine + 10;
        trp_sched_end(&w.s, m);
    }
    assert_int_equal(served, 10);
    while ((got = trp_sched_drain(&w.s)) != NULL)
        ;
}

/* Someone who keeps many calls waiting for models that have no slot saves nothing up against
 * those who come later. */
static void a_tenant_that_was_idle_has_saved_nothing(void **state)
{
    (void)state;
    make_world(5, CALLS, CALLS);
    trp_sched_tenant_init(&w.s, &w.tenants[1], 1);
    struct offer offers[] = { { &w.tenants[0], 1, 5, TRP_MS(1), TRP_PRIORITY_NORMAL, 0 },
                              { &w.tenants[1], 2, 0, TRP_MS(1), TRP_PRIORITY_NORMAL, 0 } };
    serve(offers, 2, 1000);
    const int64_t before_ns = offers[0].work_ns;
    offers[1].backlog = 5;
    const int64_t all_ns = serve(offers, 2, 200);
    within_percent(offers[0].work_ns - before_ns, all_ns / 2, 3);
}

static void who_floods_a_full_queue_makes_room_for_others(void **state)
{
    (void)state;
    for (int whole = 0; whole < 2; whole++) {
        make_world(6, whole ? 100 : CALLS, whole ? CALLS : 100);
        trp_sched_tenant_init(&w.s, &w.tenants[1], 1);
        const struct trp_sched_ask flood = { &w.lines[1][0], &w.tenants[0], 0, 1 },
                                   mine = { &w.lines[1][1], &w.tenants[1], 0, 1 };
        const enum trp_sched_push why = whole ? TRP_SCHED_FULL : TRP_SCHED_MODEL_FULL;
        for (int i = 0; i < 100; i++)
            assert_int_equal(trp_sched_push_as(&w.s, &flood, &w.calls[i]), TRP_SCHED_QUEUED);
        assert_int_equal(trp_sched_push_as(&w.s, &flood, &w.calls[100]), why);
        assert_null(trp_shedding_take(&w.s, &flood, &w.calls[100], why)); /* itself */
        for (int i = 0; i < 60; i++) {
            struct trp_call *const call = &w.calls[101 + i];
            assert_int_equal(trp_sched_push_as(&w.s, &mine, call), why);
            struct trp_call *const shed = trp_shedding_take(&w.s, &mine, call, why);
            if (i >= 50) {
                assert_null(shed); /* half is its share */
                continue;
            }
            assert_ptr_equal(shed, &w.calls[99 - i]); /* the newest */
            assert_int_equal(trp_sched_push_as(&w.s, &mine, call), TRP_SCHED_QUEUED);
        }
        w.calls[170].priority_class = TRP_PRIORITY_INTERACTIVE; /* more urgent: always */
        assert_non_null(trp_shedding_take(&w.s, &flood, &w.calls[170], why));
        w.calls[171].priority_class = TRP_PRIORITY_BATCH;
        assert_null(trp_shedding_take(&w.s, &mine, &w.calls[171], why));
        while (trp_sched_drain(&w.s))
            ;
    }
}

static void numbers_of_clients_are_classes_around_the_usual_one(void **state)
{
    (void)state;
    assert_int_equal(trp_sched_class_of(0, 3), TRP_PRIORITY_NORMAL);
    assert_int_equal(trp_sched_class_of(3, 3), TRP_PRIORITY_NORMAL);
    assert_int_equal(trp_sched_class_of(1, 3), TRP_PRIORITY_INTERACTIVE);
    assert_int_equal(trp_sched_class_of(4, 3), TRP_PRIORITY_BATCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_comes_out_exactly_once),
        cmocka_unit_test(tenants_get_fair_shares_whatever_they_offer),
        cmocka_unit_test(shares_are_of_work_by_weight_across_models),
        cmocka_unit_test(a_waiting_class_gets_its_floor_and_no_more),
        cmocka_unit_test(without_a_floor_the_more_urgent_class_goes_first_always),
        cmocka_unit_test(newcomers_without_end_starve_nobody),
        cmocka_unit_test(a_tenant_that_was_idle_has_saved_nothing),
        cmocka_unit_test(who_floods_a_full_queue_makes_room_for_others),
        cmocka_unit_test(numbers_of_clients_are_classes_around_the_usual_one),
    };
    return cmocka_run_group_tests_name("sched_laws", tests, NULL, NULL);
}

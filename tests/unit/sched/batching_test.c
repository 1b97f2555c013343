/* Who shares a run: by cost, delay, preferred sizes, deadlines and whoever else waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sched/batching.h"
#include "sched/resting.h"

/* A model whose runs cost 1 ms and 0.1 ms a row: joining pays. */
static struct trp_cost_curve curve_of(int64_t once_ns, int64_t row_ns)
{
    struct trp_cost_curve curve = { 0 };
    for (uint32_t rows = 1; rows <= 64; rows *= 2)
        for (int i = 0; i < 8; i++)
            trp_cost_curve_learn(&curve, rows, once_ns + row_ns * rows);
    curve.asked = 10; /* no try is due */
    return curve;
}

static void decides_by_cost_rules_and_hurry(void **state)
{
    (void)state;
    struct trp_cost_curve pays = curve_of(TRP_MS(1), TRP_US(100)),
                          does_not = curve_of(TRP_US(10), TRP_MS(1)), unknown = { 0 };
    const struct trp_batching_rules plain = { .rows_max = 64 }, none = { .rows_max = 1 },
                                    forced = { .rows_max = 64, .is_forced = true },
                                    short_runs = { .rows_max = 64, .run_max_ns = TRP_MS(2) },
                                    liked = { .rows_max = 64,
                                              .preferred = { 4, 16 },
                                              .preferred_n = 2 };
    const int64_t never = INT64_MAX;
    const struct row {
        const char *what;
        const struct trp_batching_rules *rules;
        struct trp_cost_curve *curve;
        struct trp_batching_view view;
        uint32_t rows;
    } rows[] = {
        { "all that wait", &plain, &pays, { 1, 1, 20, 0, 1, 0, never }, 20 },
        { "no more than the rules", &plain, &pays, { 1, 1, 200, 0, 1, 0, never }, 64 },
        { "no joining", &none, &pays, { 1, 1, 20, 0, 1, 0, never }, 1 },
        { "does not pay", &plain, &does_not, { 1, 1, 20, 0, 1, 0, never }, 1 },
        { "forced", &forced, &does_not, { 1, 1, 20, 0, 1, 0, never }, 20 },
        { "not known yet", &plain, &unknown, { 1, 1, 20, 0, 1, 0, never }, 1 },
        { "forced and not known", &forced, &unknown, { 1, 1, 20, 0, 1, 0, never }, 20 },
        { "a large one alone", &plain, &pays, { 1, 100, 120, 0, 1, 0, never }, 100 },
        { "divided among the idle", &plain, &pays, { 1, 1, 21, 2, 1, 0, never }, 7 },
        { "short runs", &short_runs, &pays, { 1, 1, 60, 0, 1, 0, never }, 10 },
        { "a deadline", &plain, &pays, { 1, 1, 60, 0, 1, TRP_MS(3) + 1, never }, 20 },
        { "a deadline that is too near", &plain, &pays, { 1, 1, 60, 0, 1, TRP_US(10), never }, 1 },
        { "others' deadline", &plain, &pays, { 1, 1, 60, 0, 1, 0, TRP_MS(2) }, 10 },
        { "more urgent work", &plain, &pays, { 1, 1, 60, 0, 1, 0, 0 }, 1 },
        { "more urgent, larger first", &plain, &pays, { 1, 4, 60, 0, 1, 0, 0 }, 4 },
        { "preferred", &liked, &pays, { 1, 1, 20, 0, 1, 0, never }, 16 },
        { "preferred, fewer", &liked, &pays, { 1, 1, 7, 0, 1, 0, never }, 4 },
        { "fewer than preferred", &liked, &pays, { 1, 1, 3, 0, 1, 0, never }, 3 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("%s\n", r->what);
        const struct trp_batching_plan plan = trp_batching_choose(r->rules, r->curve, &r->view);
        assert_int_equal(plan.rows, r->rows);
        assert_int_equal(plan.until_ns, 0);
    }
}

static void waits_for_company_only_with_a_delay_and_while_time_allows(void **state)
{
    (void)state;
    struct trp_cost_curve pays = curve_of(TRP_MS(1), TRP_US(100)),
                          does_not = curve_of(TRP_US(10), TRP_MS(1));
    const struct trp_batching_rules rules = { .rows_max = 8, .delay_ns = TRP_MS(5) };
    struct trp_batching_view view = { TRP_MS(11), 1, 3, 0, TRP_MS(10), 0, INT64_MAX };
    assert_int_equal(trp_batching_choose(&rules, &pays, &view).until_ns, TRP_MS(15));
    assert_int_equal(trp_batching_choose(&rules, &does_not, &view).until_ns, 0);
    view.deadline_ns = TRP_MS(15); /* and 1.3 ms to run, and 0.2 to begin */
    assert_int_equal(trp_batching_choose(&rules, &pays, &view).until_ns, TRP_MS(15) - 1500000);
    struct trp_cost_curve unknown = { 0 };
    const struct trp_batching_rules forced = { .rows_max = 8,
                                               .delay_ns = TRP_MS(5),
                                               .is_forced = true };
    assert_int_equal(trp_batching_choose(&forced, &unknown, &view).until_ns, TRP_MS(13)); /* half */
    view.deadline_ns = 0;
    view.rows_waiting = 8;
    assert_int_equal(trp_batching_choose(&rules, &pays, &view).until_ns, 0);
    assert_int_equal(trp_batching_choose(&rules, &pays, &view).rows, 8);
    view.rows_waiting = 3;
    view.now_ns = TRP_MS(15);
    assert_int_equal(trp_batching_choose(&rules, &pays, &view).until_ns, 0);
    assert_int_equal(trp_batching_choose(&rules, &pays, &view).rows, 3);
}

static void a_preferred_number_is_waited_for_and_not_beyond(void **state)
{
    (void)state;
    struct trp_cost_curve pays = curve_of(TRP_MS(1), TRP_US(100));
    const struct trp_batching_rules rules = {
        .rows_max = 8, .delay_ns = TRP_MS(5), .preferred = { 4, 6 }, .preferred_n = 2
    };
    static const struct row {
        uint32_t waiting, idle, rows;
        bool waits;
    } rows[] = { { 1, 0, 4, true },  { 3, 2, 4, true },  { 4, 0, 4, false }, { 4, 3, 4, false },
                 { 5, 0, 4, false }, { 7, 0, 6, false }, { 9, 0, 6, false } };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        const struct trp_batching_view view = { TRP_MS(11), 1, r->waiting, r->idle,
                                                TRP_MS(10), 0, INT64_MAX };
        const struct trp_batching_plan plan = trp_batching_choose(&rules, &pays, &view);
        print_message("%u wait\n", r->waiting);
        assert_int_equal(plan.rows, r->rows);
        assert_int_equal(plan.until_ns, r->waits ? TRP_MS(15) : 0);
    }
    struct trp_batching_view late = { TRP_MS(16), 1, 3, 2, TRP_MS(10), 0, INT64_MAX };
    assert_int_equal(trp_batching_choose(&rules, &pays, &late).rows, 3); /* all, beside idle ones */
}

static void what_is_called_enough_is_waited_for_and_more_may_come_along(void **state)
{
    (void)state;
    struct trp_cost_curve pays = curve_of(TRP_MS(1), TRP_US(100));
    const struct trp_batching_rules rules = {
        .rows_max = 8, .delay_ns = TRP_MS(5), .rows_enough = 3, .is_forced = true
    };
    struct trp_batching_view view = { TRP_MS(11), 1, 2, 0, TRP_MS(10), 0, INT64_MAX };
    assert_int_equal(trp_batching_choose(&rules, &pays, &view).until_ns, TRP_MS(15));
    assert_int_equal(trp_batching_choose(&rules, &pays, &view).rows, 3);
    view.rows_waiting = 5;
    assert_int_equal(trp_batching_choose(&rules, &pays, &view).until_ns, 0);
    assert_int_equal(trp_batching_choose(&rules, &pays, &view).rows, 5);
    view.rows_waiting = 2;
    view.now_ns = TRP_MS(15);
    assert_int_equal(trp_batching_choose(&rules, &pays, &view).until_ns, 0);
    assert_int_equal(trp_batching_choose(&rules, &pays, &view).rows, 2);
}

#define CALLS 64
struct floor {
    struct trp_sched s;
    struct trp_sched_model model, other;
    struct trp_sched_line lines[2];
    struct trp_sched_tenant tenants[2];
    struct trp_call calls[CALLS];
    struct trp_cost_curve curve;
    struct trp_batching_rules rules;
};

static void make_floor(struct floor *f)
{
    *f = (struct floor){ .curve = curve_of(TRP_MS(1), TRP_US(100)), .rules.rows_max = 8 };
    trp_sched_init(&f->s, CALLS, CALLS);
    for (int i = 0; i < 2; i++) {
        trp_sched_tenant_init(&f->s, &f->tenants[i], 1);
        f->lines[i].model = &f->model;
    }
    f->other.own.model = &f->other;
}

static void push(struct floor *f, size_t call, struct trp_sched_line *line, int tenant,
                 uint32_t rows)
{
    const struct trp_sched_ask ask = { line, &f->tenants[tenant], TRP_MS(1), rows };
    assert_int_equal(trp_sched_push_as(&f->s, &ask, &f->calls[call]), TRP_SCHED_QUEUED);
}

static bool take_beside(struct floor *f, int64_t now_ns, uint32_t idle, struct trp_call_list *calls)
{
    struct trp_sched_turn turn;
    const struct trp_batching_now now = { now_ns, idle };
    *calls = (struct trp_call_list){ 0 };
    return trp_sched_next(&f->s, &turn) &&
           trp_batching_take(&f->s, &turn, &f->rules, &f->curve, &now, calls);
}

static bool take(struct floor *f, int64_t now_ns, struct trp_call_list *calls)
{
    return take_beside(f, now_ns, 0, calls);
}

static uint32_t rows_of(const struct trp_call_list *calls)
{
    uint32_t rows = 0;
    for (const struct trp_call *call = calls->first; call; call = call->queue_next)
        rows += call->seat.rows;
    return rows;
}

static void unlike_shapes_never_meet(void **state)
{
    (void)state;
    static struct floor f;
    struct trp_call_list calls;
    make_floor(&f);
    for (size_t i = 0; i < 10; i++)
        push(&f, i, &f.lines[i % 2], 0, 1);
    assert_true(take(&f, 1, &calls));
    assert_int_equal(calls.count, 5);
    for (const struct trp_call *call = calls.first; call; call = call->queue_next)
        assert_ptr_equal(call->seat.line, &f.lines[0]);
    assert_int_equal(f.model.running, 1); /* one slot, however many calls */
    assert_true(take(&f, 1, &calls));
    assert_int_equal(calls.count, 5);
    assert_false(take(&f, 1, &calls));
    assert_int_equal(f.s.queued, 0);
}

static void rows_are_not_exceeded_and_the_order_is_kept(void **state)
{
    (void)state;
    static struct floor f;
    struct trp_call_list calls;
    make_floor(&f);
    const uint32_t rows[] = { 3, 3, 4, 1 };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        push(&f, i, &f.lines[0], 0, rows[i]);
    assert_true(take(&f, 1, &calls));
    assert_int_equal(rows_of(&calls), 6); /* the third does not fit, and nobody overtakes it */
    assert_true(take(&f, 1, &calls));
    assert_ptr_equal(calls.first, &f.calls[2]);
    assert_int_equal(rows_of(&calls), 5);
}

/* [4294967295, 0] is a shape that costs its sender nothing. */
static void any_number_of_rows_may_wait(void **state)
{
    (void)state;
    static struct floor f;
    struct trp_call_list calls;
    const uint32_t half = (uint32_t)1 << 31;
    make_floor(&f);
    push(&f, 0, &f.lines[0], 0, half);
    push(&f, 1, &f.lines[0], 0, half); /* in 32 bits none at all */
    push(&f, 2, &f.lines[0], 0, 1);
    push(&f, 3, &f.lines[0], 0, UINT32_MAX); /* with the one before it, too */
    push(&f, 4, &f.lines[0], 0, 1);
    for (size_t i = 0; i < 5; i++) { /* each alone: no two of them are few enough */
        assert_true(take(&f, 1, &calls));
        assert_int_equal(calls.count, 1);
        assert_ptr_equal(calls.first, &f.calls[i]);
    }
    assert_int_equal(f.lines[0].rows, 0);
}

static void company_is_fair_between_tenants(void **state)
{
    (void)state;
    static struct floor f;
    struct trp_call_list calls;
    uint32_t taken[2] = { 0, 0 };
    make_floor(&f);
    for (size_t i = 0; i < 50; i++)
        push(&f, i, &f.lines[0], i < 40 ? 0 : 1, 1);
    for (int run = 0; run < 2; run++) {
        assert_true(take(&f, 1, &calls));
        assert_int_equal(calls.count, 8);
        for (const struct trp_call *call = calls.first; call; call = call->queue_next)
            taken[call->seat.tenant == &f.tenants[1]]++;
    }
    assert_int_equal(taken[0], 8);
    assert_int_equal(taken[1], 8);
    while (trp_sched_drain(&f.s))
        ;
}

static void the_earliest_deadline_in_the_batch_is_kept(void **state)
{
    (void)state;
    static struct floor f;
    struct trp_call_list calls;
    make_floor(&f);
    for (size_t i = 0; i < 8; i++) {
        f.calls[i].deadline_ns = i == 2 ? TRP_US(1350) : TRP_S(1);
        push(&f, i, &f.lines[0], i % 2, 1);
    }
    assert_true(take(&f, 1, &calls)); /* 3 rows are 1.3 ms, 4 would be 1.4 */
    assert_ptr_equal(calls.first, &f.calls[2]);
    assert_int_equal(calls.count, 3);
    assert_true(take(&f, 1, &calls));
    assert_int_equal(calls.count, 5);
}

static void a_batch_shrinks_while_more_urgent_work_waits(void **state)
{
    (void)state;
    static struct floor f;
    struct trp_call_list calls;
    make_floor(&f);
    trp_sched_set_floor(&f.s, TRP_PRIORITY_BATCH, 500);
    for (size_t i = 0; i < 20; i++) {
        f.calls[i].priority_class = TRP_PRIORITY_BATCH;
        push(&f, i, &f.lines[0], 0, 1);
    }
    for (size_t i = 20; i < 30; i++) {
        f.calls[i].priority_class = TRP_PRIORITY_INTERACTIVE;
        push(&f, i, &f.other.own, 1, 1);
    }
    f.rules.rows_max = 1;
    assert_true(take(&f, 1, &calls)); /* urgent */
    assert_true(take(&f, 1, &calls)); /* urgent: now the other class is owed a run */
    f.rules.rows_max = 8;
    assert_true(take(&f, 1, &calls));
    assert_int_equal(calls.first->priority_class, TRP_PRIORITY_BATCH);
    assert_int_equal(calls.count, 1);
    while (f.s.classes[0].queued > 0)
        assert_true(take(&f, 1, &calls));
    assert_true(take(&f, 1, &calls));
    assert_int_equal(calls.count, 8);
    while (trp_sched_drain(&f.s))
        ;
}

static void a_delay_ends_by_time_by_rows_or_by_a_deadline(void **state)
{
    (void)state;
    static struct floor f;
    struct trp_call_list calls;
    make_floor(&f);
    f.rules = (struct trp_batching_rules){ .rows_max = 4, .delay_ns = TRP_MS(5) };
    for (size_t i = 0; i < CALLS; i++)
        f.calls[i].stamps_ns[TRP_PHASE_QUEUED] = TRP_MS(10);
    push(&f, 0, &f.lines[0], 0, 1);
    assert_false(take(&f, TRP_MS(10), &calls));
    assert_int_equal(trp_resting_next_ns(&f.s), TRP_MS(15));
    trp_resting_end_all(&f.s, TRP_MS(14));
    assert_false(take(&f, TRP_MS(14), &calls));
    trp_resting_end_all(&f.s, TRP_MS(15));
    assert_true(take(&f, TRP_MS(15), &calls));
    assert_int_equal(calls.count, 1);

    for (size_t i = 1; i < 5; i++) {
        assert_false(take(&f, TRP_MS(10), &calls));
        push(&f, i, &f.lines[0], 0, 1);
    }
    assert_true(take(&f, TRP_MS(10), &calls)); /* enough are there */
    assert_int_equal(calls.count, 4);

    push(&f, 5, &f.lines[0], 0, 1);
    assert_false(take(&f, TRP_MS(10), &calls));
    f.calls[6].deadline_ns = TRP_MS(13);
    push(&f, 6, &f.lines[0], 0, 1); /* cannot wait so long, and nobody rests twice */
    assert_true(take(&f, TRP_MS(10), &calls));
    assert_ptr_equal(calls.first, &f.calls[6]);
    assert_int_equal(calls.count, 2);

    push(&f, 7, &f.lines[0], 0, 1);
    assert_false(take(&f, TRP_MS(10), &calls));
    assert_true(trp_sched_remove(&f.s, &f.calls[7])); /* with its last call a rest ends */
    assert_int_equal(trp_resting_next_ns(&f.s), 0);

    f.calls[8].stamps_ns[TRP_PHASE_QUEUED] = TRP_MS(20);
    push(&f, 8, &f.lines[0], 0, 1); /* and whoever comes next may rest */
    assert_false(take(&f, TRP_MS(20), &calls));
    assert_int_equal(trp_resting_next_ns(&f.s), TRP_MS(25));
    assert_ptr_equal(trp_sched_drain(&f.s), &f.calls[8]);
}

/* Of 15 that sleep those can help that would have a slot. */
static void what_waits_is_divided_among_no_more_than_may_run(void **state)
{
    (void)state;
    static const struct row {
        uint32_t slots, calls[4]; /* of one run after the other, none of which ends */
    } rows[] = { { 0, { 1, 1, 1, 1 } },
                 { 1, { 8 } },
                 { 2, { 8, 8 } },
                 { 3, { 6, 5, 5 } },
                 { 16, { 1, 1, 1, 1 } } };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        static struct floor f;
        struct trp_call_list calls;
        make_floor(&f);
        f.model.slots = r->slots;
        f.rules.is_forced = true;
        for (size_t i = 0; i < 16; i++)
            push(&f, i, &f.lines[0], 0, 1);
        for (size_t i = 0; i < ARRAY_LEN(r->calls); i++) {
            assert_int_equal(take_beside(&f, 1, 15 - (uint32_t)i, &calls), r->calls[i] > 0);
            assert_int_equal(calls.count, r->calls[i]);
        }
        while (trp_sched_drain(&f.s))
            ;
    }
}

/* One executor, clients that ask again as soon as they are answered: batches form by themselves. */
static void batches_form_while_the_executor_is_busy(void **state)
{
    (void)state;
    static struct floor f;
    struct trp_call_list calls;
    int64_t now_ns = 1;
    uint64_t rows = 0, runs = 0;
    make_floor(&f);
    f.rules.rows_max = 64;
    for (size_t i = 0; i < 32; i++)
        push(&f, i, &f.lines[0], 0, 1);
    for (int i = 0; i < 500; i++) {
        assert_true(take(&f, now_ns, &calls));
        const int64_t cost_ns = TRP_MS(1) + TRP_US(100) * (int64_t)calls.count;
        trp_cost_curve_learn(&f.curve, calls.count, cost_ns);
        now_ns += cost_ns;
        rows += calls.count;
        runs++;
        trp_sched_end(&f.s, &f.model);
        struct trp_call *call;
        while ((call = trp_call_list_pop(&calls)) != NULL)
            push(&f, (size_t)(call - f.calls), &f.lines[0], 0, 1);
    }
    print_message("%g rows a run\n", (double)rows / (double)runs);
    assert_true(rows > 25 * runs);
    while (trp_sched_drain(&f.s))
        ;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decides_by_cost_rules_and_hurry),
        cmocka_unit_test(waits_for_company_only_with_a_delay_and_while_time_allows),
        cmocka_unit_test(a_preferred_number_is_waited_for_and_not_beyond),
        cmocka_unit_test(what_is_called_enough_is_waited_for_and_more_may_come_along),
        cmocka_unit_test(unlike_shapes_never_meet),
        cmocka_unit_test(rows_are_not_exceeded_and_the_order_is_kept),
        cmocka_unit_test(any_number_of_rows_may_wait),
        cmocka_unit_test(company_is_fair_between_tenants),
        cmocka_unit_test(the_earliest_deadline_in_the_batch_is_kept),
        cmocka_unit_test(a_batch_shrinks_while_more_urgent_work_waits),
        cmocka_unit_test(a_delay_ends_by_time_by_rows_or_by_a_deadline),
        cmocka_unit_test(what_waits_is_divided_among_no_more_than_may_run),
        cmocka_unit_test(batches_form_while_the_executor_is_busy),
    };
    return cmocka_run_group_tests_name("batching", tests, NULL, NULL);
}

/* The simulated server, against what is known of queues, and against its own laws.
 * TROUPE_SEED=N replays one seed of the laws. */
#include "unit/tune/sim_world.h"

#include <math.h>
#include <stdlib.h>

static void is_near(double measured, double expected, double tolerance)
{
    print_message("measured %.4g, expected %.4g\n", measured, expected);
    assert_true(fabs(measured - expected) <= tolerance * expected);
}

/* ---- theory: mean waits of queues with Poisson arrivals ---- */

static void a_queue_with_runs_of_one_length_waits_as_theory_says(void **state)
{
    struct sim_world w;
    (void)state;
    sim_begin(&w, 1);
    sim_price(&w, "m", "1ms");
    sim_stream(&w, "poisson:model=m,rate=700", TRP_S(400));
    sim_run(&w);
    is_near(w.report.all.wait_ns, 0.7 * 1e6 / (2 * 0.3), 0.03); /* M/D/1 */
    is_near(w.report.executors_used, 0.7, 0.01);
    sim_end(&w);
}

static void a_queue_with_random_runs_waits_as_theory_says(void **state)
{
    struct sim_world w;
    (void)state;
    sim_begin(&w, 2);
    w.opts.is_memoryless = true;
    sim_price(&w, "m", "1ms");
    sim_stream(&w, "poisson:model=m,rate=700", TRP_S(400));
    sim_run(&w);
    is_near(w.report.all.wait_ns, 0.7 * 1e6 / 0.3, 0.04); /* M/M/1 */
    sim_end(&w);
}

static void several_executors_share_a_queue_as_theory_says(void **state)
{
    struct sim_world w;
    (void)state;
    sim_begin(&w, 3);
    w.opts.is_memoryless = true;
    w.opts.executors_n = 4;
    w.opts.loops_n = 2;
    sim_price(&w, "m", "1ms");
    sim_model(&w, "m")->slots = 0;
    sim_stream(&w, "poisson:model=m,rate=3200", TRP_S(100));
    sim_run(&w);
    /* M/M/4 at 0.8: Erlang's C is 0.5964 */
    is_near(w.report.all.wait_ns, 0.5964 * 1e6 / (4 * 0.2), 0.05);
    sim_end(&w);
}

static void jitter_lengthens_waits_as_theory_says(void **state)
{
    struct sim_world w;
    (void)state;
    sim_begin(&w, 4);
    w.opts.jitter = 0.5;
    sim_price(&w, "m", "1ms");
    sim_stream(&w, "poisson:model=m,rate=600", TRP_S(400));
    sim_run(&w);
    is_near(w.report.all.wait_ns, (1 + 0.25) * 0.6 * 1e6 / (2 * 0.4), 0.04); /* M/G/1 */
    sim_end(&w);
}

/* ---- what is played ---- */

static void what_a_request_costs_besides_its_run_is_in_its_latency(void **state)
{
    struct sim_world w;
    (void)state;
    sim_begin(&w, 1);
    w.opts.request_ns = TRP_US(10);
    w.opts.wake_ns = TRP_US(20);
    w.opts.turn_ns = TRP_US(3);
    w.opts.answer_ns = TRP_US(7);
    sim_price(&w, "m", "2ms");
    sim_stream(&w, "even:model=m,rate=10", TRP_S(2));
    sim_run(&w);
    assert_int_equal(w.report.all.p50_ns, TRP_MS(2) + TRP_US(40));
    assert_int_equal(w.report.all.max_ns, TRP_MS(2) + TRP_US(40));
    sim_end(&w);
}

static void a_tiny_run_stays_on_its_loop(void **state)
{
    struct sim_world w;
    (void)state;
    sim_begin(&w, 1);
    w.opts.inline_run_ns = TRP_US(50);
    w.opts.inline_turn_ns = TRP_US(200);
    sim_price(&w, "tiny", "20us");
    sim_price(&w, "long", "5ms");
    sim_stream(&w, "even:model=tiny,rate=1000", TRP_S(1));
    sim_stream(&w, "even:model=long,rate=190", TRP_S(1));
    sim_run(&w);
    assert_int_equal(w.totals.runs_inline, w.report.models[0].arrived);
    assert_true(w.report.models[0].max_ns <= TRP_US(60));
    assert_int_equal(w.totals.runs, w.report.models[1].arrived);
    sim_end(&w);
}

static void classes_go_first_and_floors_keep_the_last_alive(void **state)
{
    struct sim_world w;
    (void)state;
    for (int has_floor = 0; has_floor < 2; has_floor++) {
        sim_begin(&w, 5);
        w.opts.floors_permille[TRP_PRIORITY_BATCH] = has_floor ? 200 : 0;
        sim_price(&w, "m", "1ms");
        sim_stream(&w, "poisson:model=m,rate=1200,class=interactive,until=10s", TRP_S(60));
        sim_stream(&w, "even:model=m,rate=50,class=batch,until=10s", TRP_S(60));
        sim_run(&w);
        const struct trp_sim_line *batch = &w.report.classes[2];
        print_message("floor %d: batch p50 %.3f s\n", has_floor, (double)batch->p50_ns / 1e9);
        assert_true(has_floor ? batch->p50_ns < TRP_MS(200) : batch->p50_ns > TRP_S(2));
        sim_end(&w);
    }
}

static void a_deadline_ends_a_wait_and_a_run(void **state)
{
    struct sim_world w;
    (void)state;
    sim_begin(&w, 6);
    sim_price(&w, "m", "10ms");
    for (int i = 0; i < 3; i++) /* the first is in time, the second is cut, the third never runs */
        sim_stream(&w, "even:model=m,rate=1000,timeout=15ms,until=1500us", TRP_S(1));
    sim_run(&w);
    assert_int_equal(w.report.all.ends[TRP_SIM_ANSWERED], 1);
    assert_int_equal(w.report.all.ends[TRP_SIM_EXPIRED], 2);
    assert_int_equal(w.report.all.runs, 2);
    for (int i = 0; i < 3; i++)
        assert_true(trp_sim_latency_ns(&w.workload.arrivals[i], &w.results[i]) <= TRP_MS(15));
    assert_int_equal(w.results[2].start_ns, 0);
    sim_end(&w);
}

static void what_cannot_be_in_time_is_refused_at_once(void **state)
{
    struct sim_world w;
    (void)state;
    uint64_t good[2];
    for (int forecasts = 0; forecasts < 2; forecasts++) {
        sim_begin(&w, 7);
        w.opts.forecasts = forecasts;
        sim_price(&w, "m", "10ms");
        sim_stream(&w, "poisson:model=m,rate=200,timeout=50ms", TRP_S(10));
        sim_run(&w);
        good[forecasts] = w.report.all.ends[TRP_SIM_ANSWERED];
        assert_int_equal(w.report.all.ends[TRP_SIM_REFUSED] > 0, forecasts);
        for (uint32_t i = 0; i < w.workload.arrivals_n; i++)
            if (w.results[i].end == TRP_SIM_REFUSED)
                assert_int_equal(trp_sim_latency_ns(&w.workload.arrivals[i], &w.results[i]), 0);
        sim_end(&w);
    }
    assert_true(good[1] >= good[0]);
}

static void a_full_queue_sheds_the_least_important(void **state)
{
    struct sim_world w;
    (void)state;
    sim_begin(&w, 8);
    w.opts.queue_max = 10;
    w.opts.sheds = true;
    sim_price(&w, "m", "10ms");
    sim_stream(&w, "poisson:model=m,rate=60,class=interactive", TRP_S(10));
    sim_stream(&w, "poisson:model=m,rate=200,class=batch", TRP_S(10));
    sim_run(&w);
    assert_int_equal(w.report.classes[0].ends[TRP_SIM_SHED], 0);
    assert_true(w.report.classes[2].ends[TRP_SIM_SHED] > 1000);
    assert_true(w.report.queued_most <= 10);
    sim_end(&w);
}

static void tenants_that_offer_too_much_get_equal_shares(void **state)
{
    struct sim_world w;
    double served[3] = { 0 };
    (void)state;
    sim_begin(&w, 9);
    sim_price(&w, "m", "1ms");
    sim_stream(&w, "poisson:model=m,rate=700,tenant=modest", TRP_S(10));
    sim_stream(&w, "poisson:model=m,rate=7000,tenant=greedy", TRP_S(10));
    sim_run(&w);
    for (uint32_t i = 0; i < w.workload.arrivals_n; i++)
        if (w.results[i].run_end_ns < TRP_S(10)) /* while both have something waiting */
            served[w.workload.arrivals[i].tenant]++;
    is_near(served[1], served[2], 0.05);
    is_near(served[1], 5000, 0.05);
    sim_end(&w);
}

static void batches_form_while_executors_are_busy(void **state)
{
    struct sim_world w;
    (void)state;
    sim_begin(&w, 10);
    sim_price(&w, "m", "1:1ms,8:1.2ms"); /* joining pays */
    sim_model(&w, "m")->rules.rows_max = 8;
    sim_stream(&w, "poisson:model=m,rate=3000", TRP_S(10));
    sim_run(&w);
    const double rows = (double)w.report.all.rows / (double)w.report.all.runs;
    print_message("%.2f rows a run\n", rows);
    assert_true(rows > 2.5 && rows <= 8);
    assert_true(w.report.all.p99_ns <
                TRP_MS(6)); /* alone, it would have three times too much to do */
    assert_int_equal(w.report.all.rows, w.workload.arrivals_n);
    sim_end(&w);
}

static void a_batch_waits_for_company_as_long_as_it_may(void **state)
{
    struct sim_world w;
    (void)state;
    sim_begin(&w, 11);
    sim_price(&w, "m", "1:1ms,8:1ms");
    sim_model(&w, "m")->rules =
        (struct trp_batching_rules){ .rows_max = 8, .is_forced = true, .delay_ns = TRP_MS(5) };
    sim_stream(&w, "even:model=m,rate=10", TRP_S(1)); /* nobody ever comes */
    sim_run(&w);
    assert_int_equal(w.report.all.p50_ns, TRP_MS(6));
    sim_end(&w);
}

static void slots_bound_a_model_whatever_is_idle(void **state)
{
    struct sim_world w;
    (void)state;
    sim_begin(&w, 12);
    w.opts.executors_n = 8;
    sim_price(&w, "m", "1ms");
    sim_model(&w, "m")->slots = 2;
    sim_stream(&w, "even:model=m,rate=4000", TRP_S(1));
    sim_run(&w);
    is_near(w.report.executors_used, 2.0 / 8, 0.01);
    sim_end(&w);
}

/* ---- laws ---- */

static void draw_world(struct sim_world *w, uint64_t seed)
{
    static const char *const streams[] = {
        "poisson:model=a,rate=400,class=interactive,timeout=20ms,tenant=x",
        "bursts:model=b,rate=200,on=100ms,off=300ms,rows=1-4,tenant=y",
        "diurnal:model=c,rate=150,period=1s,class=batch,timeout=300ms",
        "even:model=a,rate=100,class=batch",
        "poisson:model=d,rate=900,rows=1-2",
    };
    sim_begin(w, seed);
    sim_price(w, "a", "1:2ms,4:3ms");
    sim_price(w, "b", "1:4ms,8:9ms");
    sim_price(w, "c", "7ms");
    sim_price(w, "d", "30us");
    sim_model(w, "a")->rules.rows_max = 4;
    sim_model(w, "b")->rules = (struct trp_batching_rules){ .rows_max = 8, .delay_ns = TRP_MS(2) };
    sim_model(w, "c")->slots = 0;
    for (size_t i = 0; i < ARRAY_LEN(streams); i++)
        if (trp_random_next(&w->random) % 4 > 0)
            sim_stream(w, streams[i], TRP_S(2));
    w->opts.executors_n = 1 + (uint32_t)(trp_random_next(&w->random) % 4);
    w->opts.loops_n = 1 + (uint32_t)(trp_random_next(&w->random) % 3);
    w->opts.queue_max = 1 + (uint32_t)(trp_random_next(&w->random) % 200);
    w->opts.model_queue_max = 1 + (uint32_t)(trp_random_next(&w->random) % 100);
    w->opts.forecasts = trp_random_next(&w->random) % 2;
    w->opts.sheds = trp_random_next(&w->random) % 2;
    w->opts.jitter = 0.2;
    w->opts.inline_run_ns = TRP_US(50);
    w->opts.inline_turn_ns = TRP_US(200);
    w->opts.request_ns = TRP_US(10);
    w->opts.answer_ns = TRP_US(5);
    w->opts.wake_ns = TRP_US(20);
    w->opts.turn_ns = TRP_US(2);
    w->opts.floors_permille[TRP_PRIORITY_BATCH] = 100;
}

/* What can be said of every single arrival. */
static void is_lawful(const struct sim_world *w, uint32_t i)
{
    const struct trp_arrival *a = &w->workload.arrivals[i];
    const struct trp_sim_result *r = &w->results[i];
    assert_true(r->end < TRP_SIM_ENDS);
    assert_true(r->queued_ns >= a->at_ns && r->answered_ns >= r->queued_ns);
    if (r->end == TRP_SIM_ANSWERED) {
        assert_true(r->start_ns >= r->queued_ns && r->run_end_ns > r->start_ns);
        assert_true(r->answered_ns >= r->run_end_ns && r->run_rows >= a->rows);
        assert_true(a->timeout_ns == 0 || r->run_end_ns < a->at_ns + a->timeout_ns);
    }
    if (r->end == TRP_SIM_REFUSED || r->end == TRP_SIM_SHED)
        assert_int_equal(r->start_ns, 0);
    if (r->end == TRP_SIM_EXPIRED)
        assert_true(a->timeout_ns > 0);
}

static void each_arrival_ends_once_and_lawfully(void **state)
{
    const char *asked = getenv("TROUPE_SEED");
    const uint64_t first = asked ? strtoull(asked, NULL, 10) : 1, last = asked ? first : 40;
    (void)state;
    for (uint64_t seed = first; seed <= last; seed++) {
        struct sim_world w;
        uint64_t ended = 0;
        draw_world(&w, seed);
        sim_run(&w);
        for (uint32_t i = 0; i < w.workload.arrivals_n; i++)
            is_lawful(&w, i);
        for (int end = 0; end < TRP_SIM_ENDS; end++)
            ended += w.report.all.ends[end];
        assert_int_equal(ended, w.workload.arrivals_n);
        assert_true(w.report.executors_used <= 1 && w.report.loops_used <= 1);
        assert_true(w.report.queued_most <= w.opts.queue_max);
        sim_end(&w);
    }
}

static void the_same_seed_gives_the_same_day(void **state)
{
    struct sim_world a, b;
    (void)state;
    draw_world(&a, 17);
    draw_world(&b, 17);
    sim_run(&a);
    sim_run(&b);
    assert_int_equal(a.workload.arrivals_n, b.workload.arrivals_n);
    for (uint32_t i = 0; i < a.workload.arrivals_n; i++) {
        assert_int_equal(a.results[i].answered_ns, b.results[i].answered_ns);
        assert_int_equal(a.results[i].end, b.results[i].end);
    }
    sim_end(&a);
    sim_end(&b);
}

static void what_cannot_be_played_is_refused(void **state)
{
    struct sim_world w;
    struct trp_error err = { 0 };
    struct trp_sim_result result[8];
    (void)state;
    sim_begin(&w, 1);
    sim_price(&w, "known", "1ms");
    sim_stream(&w, "even:model=unknown,rate=2", TRP_S(1));
    const struct trp_sim_question q = { &w.opts, &w.workload, &w.prices };
    assert_int_equal(trp_simulator_run(trp_heap(), &q, result, &w.totals, &err).code,
                     TRP_NOT_FOUND);
    assert_non_null(strstr(err.text, "'unknown'"));
    w.opts.executors_n = 0;
    assert_int_equal(trp_simulator_run(trp_heap(), &q, result, &w.totals, &err).code,
                     TRP_INVALID_ARGUMENT);
    w.opts.executors_n = 1;
    sim_price(&w, "unknown", "16m");
    assert_int_equal(trp_simulator_run(trp_heap(), &q, result, &w.totals, &err).code,
                     TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "longer than 900 s"));
    w.opts.floors_permille[TRP_PRIORITY_BATCH] = 1000;
    assert_int_equal(trp_simulator_run(trp_heap(), &q, result, &w.totals, &err).code,
                     TRP_INVALID_ARGUMENT);
    sim_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_with_runs_of_one_length_waits_as_theory_says),
        cmocka_unit_test(a_queue_with_random_runs_waits_as_theory_says),
        cmocka_unit_test(several_executors_share_a_queue_as_theory_says),
        cmocka_unit_test(jitter_lengthens_waits_as_theory_says),
        cmocka_unit_test(what_a_request_costs_besides_its_run_is_in_its_latency),
        cmocka_unit_test(a_tiny_run_stays_on_its_loop),
        cmocka_unit_test(classes_go_first_and_floors_keep_the_last_alive),
        cmocka_unit_test(a_deadline_ends_a_wait_and_a_run),
        cmocka_unit_test(what_cannot_be_in_time_is_refused_at_once),
        cmocka_unit_test(a_full_queue_sheds_the_least_important),
        cmocka_unit_test(tenants_that_offer_too_much_get_equal_shares),
        cmocka_unit_test(batches_form_while_executors_are_busy),
        cmocka_unit_test(a_batch_waits_for_company_as_long_as_it_may),
        cmocka_unit_test(slots_bound_a_model_whatever_is_idle),
        cmocka_unit_test(each_arrival_ends_once_and_lawfully),
        cmocka_unit_test(the_same_seed_gives_the_same_day),
        cmocka_unit_test(what_cannot_be_played_is_refused),
    };
    return cmocka_run_group_tests_name("simulator", tests, NULL, NULL);
}

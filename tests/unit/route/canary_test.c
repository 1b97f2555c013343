/* A new version gets more and more of the requests, or none. */
#include "route/canary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"

#define T0 TRP_S(1000)

static const struct trp_canary_step steps[] = { { 0.05, TRP_S(60), 100 },
                                                { 0.5, TRP_S(60), 100 },
                                                { 1, TRP_S(60), 100 } };
static const struct trp_canary_opts three_steps = { .steps = steps, .steps_n = ARRAY_LEN(steps) };

/* One of the two, as it answers. */
struct nature {
    uint32_t failures_in_1000;
    int64_t usual_ns, slow_ns; /* one of 30 is slow */
};

struct world {
    struct trp_random random;
    struct trp_canary canary;
    struct trp_canary_tally tallies[2]; /* the old one, the new one */
    struct nature natures[2];
    int64_t now_ns;
    uint32_t calls_per_s;
    uint64_t failed[2], calls[2];
};

static void init_world(struct world *w, uint64_t seed, const struct trp_canary_opts *opts,
                       struct nature old_one, struct nature new_one)
{
    const struct trp_canary_counts none = { 0 };
    *w = (struct world){
        .random = { seed }, .natures = { old_one, new_one }, .now_ns = T0, .calls_per_s = 200
    };
    trp_canary_start(&w->canary, opts, w->now_ns, &none, &none);
}

static void request(struct world *w)
{
    const uint64_t draw = trp_random_next(&w->random);
    const bool is_new = trp_canary_takes(&w->canary, (uint32_t)trp_random_next(&w->random));
    const struct nature *n = &w->natures[is_new];
    const bool fails = draw % 1000 < n->failures_in_1000;
    const int64_t base_ns = draw >> 32 & 31 ? n->usual_ns : n->slow_ns;
    trp_canary_count(&w->tallies[is_new], fails, base_ns + (int64_t)(draw >> 40) % (base_ns / 2));
    w->calls[is_new]++;
    w->failed[is_new] += fails;
}

static struct trp_canary_decision tick(struct world *w)
{
    struct trp_canary_counts counts[2];
    for (int i = 0; i < 2; i++)
        trp_canary_read(&w->tallies[i], &counts[i]);
    return trp_canary_tick(&w->canary, w->now_ns, &counts[0], &counts[1]);
}

/* A second of traffic at a time, until it is decided, or so long at most. */
static struct trp_canary_decision run(struct world *w, int64_t most_ns)
{
    const int64_t till_ns = w->now_ns + most_ns;
    struct trp_canary_decision d;
    do {
        for (uint32_t i = 0; i < w->calls_per_s; i++)
            request(w);
        w->now_ns += TRP_S(1);
        d = tick(w);
        assert_true(strlen(d.reason) > 0);
    } while (d.move != TRP_CANARY_ROLL_BACK && d.move != TRP_CANARY_FINISH && w->now_ns < till_ns);
    return d;
}

static const struct nature good = { 10, TRP_MS(4), TRP_MS(40) };

static void one_that_is_as_good_goes_all_the_way_in_its_time(void **state)
{
    (void)state;
    struct world w;
    init_world(&w, 1, &three_steps, good, good);
    struct trp_canary_decision d = run(&w, TRP_S(58));
    assert_int_equal(d.move, TRP_CANARY_HOLD);
    assert_non_null(strstr(d.reason, "step 1 of 3: 5 % for"));
    assert_in_range(w.calls[1] * 1000 / (w.calls[0] + w.calls[1]), 40, 60);
    d = run(&w, TRP_S(600));
    assert_int_equal(d.move, TRP_CANARY_FINISH);
    assert_true(d.share >= 1);
    assert_in_range(w.now_ns - T0, TRP_S(180), TRP_S(200));
    assert_string_equal(trp_canary_phase_name(w.canary.phase), "done");
    assert_int_equal(tick(&w).move, TRP_CANARY_HOLD); /* it stays */
    assert_true(trp_canary_takes(&w.canary, UINT32_MAX));
}

static void a_quiet_one_waits_for_its_answers(void **state)
{
    (void)state;
    struct world w;
    init_world(&w, 2, &three_steps, good, good);
    w.calls_per_s = 10; /* 5 % of them: 30 a minute */
    const struct trp_canary_decision d = run(&w, TRP_S(120));
    assert_int_equal(d.move, TRP_CANARY_HOLD);
    assert_non_null(strstr(d.reason, "of 100 answers"));
    assert_int_equal(w.canary.step, 0);
}

/* Of many that are as good as the old one, next to none is taken back; whatever "good" is. */
static void noise_takes_nobody_back(void **state)
{
    (void)state;
    static const struct nature natures[] = { { 0, TRP_MS(1), TRP_MS(1) },
                                             { 3, TRP_MS(4), TRP_MS(400) },
                                             { 20, TRP_MS(4), TRP_MS(40) },
                                             { 150, TRP_MS(4), TRP_S(2) } };
    uint32_t taken_back = 0, done = 0, rounds = 0;
    for (uint64_t seed = 1; seed <= 60; seed++)
        for (size_t i = 0; i < ARRAY_LEN(natures); i++, rounds++) {
            struct world w;
            init_world(&w, seed * 100 + i, &three_steps, natures[i], natures[i]);
            w.calls_per_s = 20u << seed % 4;
            const struct trp_canary_decision d = run(&w, TRP_S(1800));
            if (d.move == TRP_CANARY_ROLL_BACK)
                print_message("nature %zu, seed %u: %s\n", i, (unsigned)seed, d.reason);
            taken_back += d.move == TRP_CANARY_ROLL_BACK;
            done += d.move == TRP_CANARY_FINISH;
        }
    assert_in_range(taken_back, 0, 1);
    assert_in_range(done, rounds * 9 / 10, rounds);
}

static void one_that_always_fails_is_taken_back_at_once(void **state)
{
    (void)state;
    struct world w;
    init_world(&w, 3, &three_steps, good, (struct nature){ 1000, TRP_MS(4), TRP_MS(40) });
    const struct trp_canary_decision d = run(&w, TRP_S(600));
    assert_int_equal(d.move, TRP_CANARY_ROLL_BACK);
    assert_true(d.share <= 0);
    assert_in_range(w.now_ns - T0, 0, TRP_S(6));
    assert_in_range(w.failed[1], 1, 60);
    assert_non_null(strstr(d.reason, "100 % of its"));
    assert_false(trp_canary_takes(&w.canary, 0));
    const uint64_t calls = w.calls[1];
    (void)run(&w, TRP_S(10));
    assert_int_equal(w.calls[1], calls);
    assert_string_equal(trp_canary_phase_name(w.canary.phase), "rolled_back");
}

static void a_little_worse_is_found_in_time(void **state)
{
    (void)state;
    static const struct row {
        struct nature new_one;
        const char *reason;
    } rows[] = {
        { { 50, TRP_MS(4), TRP_MS(40) }, "failed" }, /* 5 % instead of 1 */
        { { 10, TRP_MS(60), TRP_MS(80) }, "p95" },   /* slow in general */
        { { 10, TRP_MS(30), TRP_MS(40) }, "p95" },   /* the usual ones are slower */
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++)
        for (uint64_t seed = 1; seed <= 10; seed++) {
            struct world w;
            init_world(&w, seed, &three_steps, good, r->new_one);
            const struct trp_canary_decision d = run(&w, TRP_S(180));
            if (d.move != TRP_CANARY_ROLL_BACK || !strstr(d.reason, r->reason))
                fail_msg("row %zu, seed %u: %s", (size_t)(r - rows), (unsigned)seed, d.reason);
            assert_int_equal(w.canary.step, 0); /* before more than 5 % saw it */
        }
}

static void within_the_margins_it_may_be_worse(void **state)
{
    (void)state;
    struct trp_canary_opts opts = three_steps;
    struct world w;
    opts.error_margin = 0.05;
    opts.latency_ratio = -1;
    init_world(&w, 4, &opts, good, (struct nature){ 30, TRP_MS(90), TRP_MS(900) });
    assert_int_equal(run(&w, TRP_S(600)).move, TRP_CANARY_FINISH);
}

/* Something behind both breaks for a while: that is nobody's fault. */
static void what_hits_both_takes_nobody_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world w;
        init_world(&w, seed, &three_steps, good, good);
        (void)run(&w, TRP_S(70)); /* the second step */
        assert_int_equal(w.canary.step, 1);
        w.natures[0].failures_in_1000 = w.natures[1].failures_in_1000 = 400;
        assert_int_equal(run(&w, TRP_S(20)).move, TRP_CANARY_HOLD);
        w.natures[0].failures_in_1000 = w.natures[1].failures_in_1000 = 10;
        const struct trp_canary_decision d = run(&w, TRP_S(300));
        if (d.move != TRP_CANARY_FINISH)
            fail_msg("%s", d.reason);
    }
}

static void the_last_step_is_compared_with_the_one_before(void **state)
{
    (void)state;
    struct world w;
    init_world(&w, 5, &three_steps, good, good);
    while (w.canary.step < 2)
        (void)run(&w, TRP_S(1));
    assert_true(trp_canary_takes(&w.canary, UINT32_MAX));
    w.natures[1].failures_in_1000 = 100;
    const struct trp_canary_decision d = run(&w, TRP_S(60));
    assert_int_equal(d.move, TRP_CANARY_ROLL_BACK);
    assert_int_equal(w.canary.step, 2);
}

static void what_may_be_chance_holds_the_step(void **state)
{
    (void)state;
    const struct trp_canary_counts none = { 0 };
    struct trp_canary_counts old_one = { .calls = 2000, .failures = 20 },
                             new_one = { .calls = 100, .failures = 3 };
    struct trp_canary c;
    trp_canary_start(&c, &three_steps, T0, &none, &none);
    struct trp_canary_decision d = trp_canary_tick(&c, T0 + TRP_S(100), &old_one, &new_one);
    assert_int_equal(d.move, TRP_CANARY_HOLD);
    assert_non_null(strstr(d.reason, "3 % of its 100 answers failed, 1 % of the old one's 2000"));
    assert_non_null(strstr(d.reason, "may be chance"));
    new_one = (struct trp_canary_counts){ .calls = 400, .failures = 5 };
    d = trp_canary_tick(&c, T0 + TRP_S(101), &old_one, &new_one);
    assert_int_equal(d.move, TRP_CANARY_ADVANCE);
    assert_non_null(strstr(d.reason, "step 2 of 3 begins with 50 %"));
    assert_true(d.share > 0.49 && d.share < 0.51);
}

static void it_can_be_started_again(void **state)
{
    (void)state;
    struct world w;
    struct trp_canary_counts counts[2];
    init_world(&w, 6, NULL, good, (struct nature){ 1000, TRP_MS(4), TRP_MS(40) });
    assert_int_equal(run(&w, TRP_S(600)).move, TRP_CANARY_ROLL_BACK);
    w.natures[1] = good;
    for (int i = 0; i < 2; i++)
        trp_canary_read(&w.tallies[i], &counts[i]);
    trp_canary_start(&w.canary, NULL, w.now_ns, &counts[0], &counts[1]);
    assert_true(trp_canary_takes(&w.canary, 0)); /* 1 % */
    assert_false(trp_canary_takes(&w.canary, UINT32_MAX / 50));
    assert_int_equal(run(&w, TRP_S(1700)).move, TRP_CANARY_FINISH);
}

static void who_is_in_stays_in_while_it_grows(void **state)
{
    (void)state;
    const struct trp_canary_counts none = { 0 };
    struct trp_canary small, large;
    const struct trp_canary_step one[] = { { 0.05, 0, 0 } }, other[] = { { 0.5, 0, 0 } };
    trp_canary_start(&small, &(struct trp_canary_opts){ .steps = one, .steps_n = 1 }, T0, &none,
                     &none);
    trp_canary_start(&large, &(struct trp_canary_opts){ .steps = other, .steps_n = 1 }, T0, &none,
                     &none);
    struct trp_random random = { 7 };
    for (int i = 0; i < 10000; i++) {
        const uint32_t place = (uint32_t)trp_random_next(&random);
        assert_true(!trp_canary_takes(&small, place) || trp_canary_takes(&large, place));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_is_as_good_goes_all_the_way_in_its_time),
        cmocka_unit_test(a_quiet_one_waits_for_its_answers),
        cmocka_unit_test(noise_takes_nobody_back),
        cmocka_unit_test(one_that_always_fails_is_taken_back_at_once),
        cmocka_unit_test(a_little_worse_is_found_in_time),
        cmocka_unit_test(within_the_margins_it_may_be_worse),
        cmocka_unit_test(what_hits_both_takes_nobody_back),
        cmocka_unit_test(the_last_step_is_compared_with_the_one_before),
        cmocka_unit_test(what_may_be_chance_holds_the_step),
        cmocka_unit_test(it_can_be_started_again),
        cmocka_unit_test(who_is_in_stays_in_while_it_grows),
    };
    return cmocka_run_group_tests_name("canary", tests, NULL, NULL);
}

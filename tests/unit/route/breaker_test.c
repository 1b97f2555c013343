/* What fails is left alone, and tried again. */
#include "route/breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/thread.h"

#define MIDDLE (UINT64_MAX / 2) /* of chance: neither sooner nor later */

static const struct trp_breaker_opts by_share = { .window_ns = TRP_S(10),
                                                  .calls_min = 10,
                                                  .failure_share = 0.5,
                                                  .open_ns = TRP_S(1),
                                                  .open_max_ns = TRP_S(60),
                                                  .probes = 3 };

/* Asks, and tells how it ended; false: it was refused. */
static bool call(struct trp_breaker *b, bool fails, int64_t now_ns)
{
    const struct trp_breaker_answer answer = trp_breaker_ask(b, now_ns);
    if (answer.allowed)
        trp_breaker_report(b, answer.ticket, fails, now_ns, MIDDLE);
    return answer.allowed;
}

static struct trp_breaker opened(const struct trp_breaker_opts *opts, int64_t now_ns)
{
    struct trp_breaker b;
    trp_breaker_init(&b, opts);
    for (int i = 0; i < 100 && trp_breaker_get(&b, now_ns).phase == TRP_BREAKER_CLOSED; i++)
        call(&b, true, now_ns);
    assert_int_equal(trp_breaker_get(&b, now_ns).phase, TRP_BREAKER_OPEN);
    return b;
}

static void it_opens_at_the_share_but_not_for_few_calls(void **state)
{
    (void)state;
    struct trp_breaker b;
    trp_breaker_init(&b, &by_share);
    for (int i = 0; i < 9; i++)
        assert_true(call(&b, true, TRP_S(100)));
    assert_int_equal(trp_breaker_get(&b, TRP_S(100)).phase, TRP_BREAKER_CLOSED);
    assert_true(call(&b, true, TRP_S(100)));
    assert_int_equal(trp_breaker_get(&b, TRP_S(100)).phase, TRP_BREAKER_OPEN);
    const struct trp_breaker_answer no = trp_breaker_ask(&b, TRP_S(100));
    assert_false(no.allowed);
    assert_in_range(no.retry_after_ns, TRP_MS(990), TRP_MS(1010));
    assert_int_equal(trp_breaker_get(&b, TRP_S(100)).refused, 1);
}

static void less_than_the_share_never_opens_it(void **state)
{
    (void)state;
    struct trp_breaker b;
    trp_breaker_init(&b, &by_share);
    for (int i = 0; i < 100000; i++)
        assert_true(call(&b, i % 5 > 2, TRP_S(100) + i * TRP_MS(1)));
    assert_int_equal(trp_breaker_get(&b, TRP_S(200)).opened, 0);
}

static void failures_in_a_row_open_it_whatever_the_share(void **state)
{
    (void)state;
    struct trp_breaker_opts opts = by_share;
    struct trp_breaker b;
    opts.failure_share = 0;
    opts.row_max = 4;
    trp_breaker_init(&b, &opts);
    for (int i = 0; i < 1000; i++) {
        assert_true(call(&b, i % 4 != 0, TRP_S(1))); /* three in a row */
        assert_in_range(trp_breaker_get(&b, TRP_S(1)).row, 0, 3);
    }
    assert_true(call(&b, true, TRP_S(1)));
    assert_int_equal(trp_breaker_get(&b, TRP_S(1)).phase, TRP_BREAKER_OPEN);
}

static void probes_close_it_and_what_was_is_forgotten(void **state)
{
    (void)state;
    struct trp_breaker b = opened(&by_share, TRP_S(50));
    struct trp_breaker_answer probes[3];
    const int64_t later_ns = TRP_S(52);
    assert_false(trp_breaker_is_refusing(&b, later_ns));
    for (int i = 0; i < 3; i++) {
        probes[i] = trp_breaker_ask(&b, later_ns);
        assert_true(probes[i].allowed && probes[i].ticket != 0);
    }
    assert_true(trp_breaker_is_refusing(&b, later_ns));
    assert_false(trp_breaker_ask(&b, later_ns).allowed); /* no fourth */
    assert_int_equal(trp_breaker_get(&b, later_ns).phase, TRP_BREAKER_HALF_OPEN);
    assert_int_equal(trp_breaker_get(&b, later_ns).probes_out, 3);
    for (int i = 0; i < 3; i++)
        trp_breaker_report(&b, probes[i].ticket, false, later_ns, MIDDLE);
    const struct trp_breaker_view view = trp_breaker_get(&b, later_ns);
    assert_int_equal(view.phase, TRP_BREAKER_CLOSED);
    assert_int_equal(view.calls, 0);
    assert_int_equal(view.row, 0);
    for (int i = 0; i < 9; i++)
        assert_true(call(&b, true, later_ns));
}

static void one_probe_that_fails_opens_it_for_longer(void **state)
{
    (void)state;
    struct trp_breaker b = opened(&by_share, TRP_S(50));
    static const int64_t delays_s[] = { 1, 2, 4, 8, 16, 32, 60, 60, 60 };
    int64_t now_ns = TRP_S(50);
    for (const int64_t *delay_s = delays_s; delay_s < delays_s + ARRAY_LEN(delays_s); delay_s++) {
        const int64_t left_ns = trp_breaker_get(&b, now_ns).retry_after_ns;
        assert_in_range(left_ns, TRP_S(*delay_s) - TRP_MS(5), TRP_S(*delay_s) + TRP_MS(5));
        assert_false(trp_breaker_ask(&b, now_ns + left_ns - 1).allowed);
        now_ns += left_ns;
        assert_true(call(&b, false, now_ns)); /* one works, the next one does not */
        assert_true(call(&b, true, now_ns));
        assert_int_equal(trp_breaker_get(&b, now_ns).phase, TRP_BREAKER_OPEN);
    }
    assert_int_equal(trp_breaker_get(&b, now_ns).openings, 1 + ARRAY_LEN(delays_s));
}

static void close_all(struct trp_breaker *b, int64_t now_ns)
{
    for (uint32_t i = 0; i < b->opts.probes; i++)
        assert_true(call(b, false, now_ns));
    assert_int_equal(trp_breaker_get(b, now_ns).phase, TRP_BREAKER_CLOSED);
}

static int64_t delay_after(struct trp_breaker *b, int64_t now_ns)
{
    for (int i = 0; i < 100 && trp_breaker_get(b, now_ns).phase == TRP_BREAKER_CLOSED; i++)
        call(b, true, now_ns);
    return trp_breaker_get(b, now_ns).retry_after_ns / TRP_MS(100);
}

static void who_fails_again_at_once_waits_longer_and_who_held_out_does_not(void **state)
{
    (void)state;
    struct trp_breaker b = opened(&by_share, TRP_S(50));
    close_all(&b, TRP_S(52));
    assert_in_range(delay_after(&b, TRP_S(53)), 19, 20); /* 2 s, as it follows at once */
    close_all(&b, TRP_S(60));
    assert_in_range(delay_after(&b, TRP_S(90)), 9, 10); /* 1 s again */
}

static void chance_spreads_the_delay_by_a_fifth(void **state)
{
    (void)state;
    struct trp_random random = { 5 };
    int64_t least_ns = INT64_MAX, most_ns = 0;
    for (int i = 0; i < 2000; i++) {
        struct trp_breaker_opts opts = by_share;
        struct trp_breaker b;
        opts.row_max = 1;
        trp_breaker_init(&b, &opts);
        trp_breaker_report(&b, 0, true, TRP_S(9), trp_random_next(&random));
        const int64_t ns = trp_breaker_get(&b, TRP_S(9)).retry_after_ns;
        least_ns = ns < least_ns ? ns : least_ns;
        most_ns = ns > most_ns ? ns : most_ns;
    }
    assert_in_range(least_ns, TRP_MS(798), TRP_MS(810));
    assert_in_range(most_ns, TRP_MS(1190), TRP_MS(1203));
}

static void late_answers_to_older_questions_count_nowhere(void **state)
{
    (void)state;
    struct trp_breaker b = opened(&by_share, TRP_S(50));
    trp_breaker_report(&b, 0, false, TRP_S(50), MIDDLE); /* asked while it was closed */
    assert_int_equal(trp_breaker_get(&b, TRP_S(50)).phase, TRP_BREAKER_OPEN);
    const struct trp_breaker_answer first = trp_breaker_ask(&b, TRP_S(52)),
                                    second = trp_breaker_ask(&b, TRP_S(52));
    trp_breaker_report(&b, 0, true, TRP_S(52), MIDDLE);
    assert_int_equal(trp_breaker_get(&b, TRP_S(52)).phase, TRP_BREAKER_HALF_OPEN);
    trp_breaker_report(&b, first.ticket, true, TRP_S(52), MIDDLE);
    assert_int_equal(trp_breaker_get(&b, TRP_S(52)).phase, TRP_BREAKER_OPEN);
    assert_true(trp_breaker_ask(&b, TRP_S(60)).allowed);
    trp_breaker_report(&b, second.ticket, true, TRP_S(60), MIDDLE); /* of the half-open before */
    assert_int_equal(trp_breaker_get(&b, TRP_S(60)).phase, TRP_BREAKER_HALF_OPEN);
    assert_int_equal(trp_breaker_get(&b, TRP_S(60)).probes_out, 1);
}

static void a_probe_that_says_nothing_makes_room_for_another(void **state)
{
    (void)state;
    struct trp_breaker b = opened(&by_share, TRP_S(50));
    struct trp_breaker_answer probe = { 0 };
    for (int i = 0; i < 3; i++)
        probe = trp_breaker_ask(&b, TRP_S(52));
    assert_false(trp_breaker_ask(&b, TRP_S(52)).allowed);
    trp_breaker_forget(&b, probe.ticket);
    trp_breaker_forget(&b, 0); /* no probe: nothing happens */
    assert_true(trp_breaker_ask(&b, TRP_S(52)).allowed);
    assert_false(trp_breaker_ask(&b, TRP_S(52)).allowed);
    /* The three never come back.  After the longest delay there are new ones. */
    assert_false(trp_breaker_ask(&b, TRP_S(111)).allowed);
    assert_true(trp_breaker_ask(&b, TRP_S(113)).allowed);
}

static void odd_options_are_made_possible(void **state)
{
    (void)state;
    const struct trp_breaker_opts odd = { .row_max = 1, .probes = 0 };
    struct trp_breaker b;
    trp_breaker_init(&b, &odd);
    assert_true(call(&b, true, TRP_S(1)));
    assert_false(call(&b, true, TRP_S(1)));
    assert_true(call(&b, false, TRP_S(1) + TRP_MS(5)));
    assert_int_equal(trp_breaker_get(&b, TRP_S(2)).phase, TRP_BREAKER_CLOSED);
    assert_string_equal(trp_breaker_phase_name(TRP_BREAKER_HALF_OPEN), "half_open");
}

/* Threads ask and tell; whatever they do, there are never more probes out than may be, and it
 * closes in the end. */
/* Whoever asked the old one reports there: its probes are nobody's any more. */
static void what_takes_its_place_lets_probes_out_again(void **state)
{
    (void)state;
    struct trp_breaker old = opened(&by_share, TRP_S(1)), b;
    trp_breaker_init(&b, &by_share);
    trp_breaker_carry(&b, &old);
    assert_true(trp_breaker_is_refusing(&b, TRP_S(1)));
    assert_true(call(&old, false, TRP_S(3))); /* one has answered, two are out */
    const struct trp_breaker_answer out = trp_breaker_ask(&old, TRP_S(3));
    assert_true(trp_breaker_ask(&old, TRP_S(3)).allowed);
    assert_true(trp_breaker_is_refusing(&old, TRP_S(3)));
    trp_breaker_init(&b, &by_share);
    trp_breaker_carry(&b, &old);
    trp_breaker_report(&old, out.ticket, false, TRP_S(3), MIDDLE);
    assert_int_equal(trp_breaker_get(&b, TRP_S(3)).probes_answered, 1);
    assert_true(call(&b, false, TRP_S(3)));
    assert_true(call(&b, false, TRP_S(3)));
    assert_int_equal(trp_breaker_get(&b, TRP_S(3)).phase, TRP_BREAKER_CLOSED);
}

struct shared {
    struct trp_breaker breaker;
    struct trp_counter moment_ms, threads;
    struct trp_flag has_too_many;
};

static void storm(void *user)
{
    struct shared *s = user;
    struct trp_random random = { trp_counter_add(&s->threads, 1) };
    for (int i = 0; i < 20000; i++) {
        const int64_t now_ns = TRP_S(1) + TRP_MS(trp_counter_add(&s->moment_ms, 1));
        const uint64_t draw = trp_random_next(&random);
        const struct trp_breaker_answer answer = trp_breaker_ask(&s->breaker, now_ns);
        if (trp_breaker_get(&s->breaker, now_ns).probes_out > 3)
            trp_flag_raise(&s->has_too_many); /* cmocka is for one thread */
        if (!answer.allowed)
            continue;
        if (draw % 16 == 0)
            trp_breaker_forget(&s->breaker, answer.ticket);
        else
            trp_breaker_report(&s->breaker, answer.ticket, draw % 4 != 0, now_ns, draw);
    }
}

static void threads_agree_about_it(void **state)
{
    (void)state;
    struct shared s = { 0 };
    struct trp_thread threads[4] = { 0 };
    trp_breaker_init(&s.breaker, &by_share);
    for (uint32_t i = 0; i < ARRAY_LEN(threads); i++)
        (void)trp_thread_start(&threads[i], "storm", storm, &s, NULL);
    for (uint32_t i = 0; i < ARRAY_LEN(threads); i++)
        trp_thread_join(&threads[i]);
    assert_false(trp_flag_is_up(&s.has_too_many));
    int64_t now_ns = TRP_S(1) + TRP_MS(trp_counter_get(&s.moment_ms));
    for (int i = 0; i < 10; i++) { /* what is still out is given up, then it recovers */
        now_ns += TRP_S(100);
        for (int k = 0; k < 20; k++)
            call(&s.breaker, false, now_ns);
    }
    assert_int_equal(trp_breaker_get(&s.breaker, now_ns).phase, TRP_BREAKER_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_opens_at_the_share_but_not_for_few_calls),
        cmocka_unit_test(less_than_the_share_never_opens_it),
        cmocka_unit_test(failures_in_a_row_open_it_whatever_the_share),
        cmocka_unit_test(probes_close_it_and_what_was_is_forgotten),
        cmocka_unit_test(one_probe_that_fails_opens_it_for_longer),
        cmocka_unit_test(who_fails_again_at_once_waits_longer_and_who_held_out_does_not),
        cmocka_unit_test(chance_spreads_the_delay_by_a_fifth),
        cmocka_unit_test(late_answers_to_older_questions_count_nowhere),
        cmocka_unit_test(a_probe_that_says_nothing_makes_room_for_another),
        cmocka_unit_test(what_takes_its_place_lets_probes_out_again),
        cmocka_unit_test(odd_options_are_made_possible),
        cmocka_unit_test(threads_agree_about_it),
    };
    return cmocka_run_group_tests_name("breaker", tests, NULL, NULL);
}

/* Two counts of the last while. */
#include "route/recent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/thread.h"

#define WINDOW TRP_S(8) /* slots of a second */

static void what_is_older_than_the_window_is_forgotten(void **state)
{
    (void)state;
    struct trp_recent r = { 0 };
    trp_recent_add(&r, WINDOW, 3, 1, TRP_S(100));
    trp_recent_add(&r, WINDOW, 2, 2, TRP_S(104));
    struct trp_recent_sums sums = trp_recent_get(&r, WINDOW, TRP_S(107));
    assert_int_equal(sums.all, 5);
    assert_int_equal(sums.some, 3);
    sums = trp_recent_get(&r, WINDOW, TRP_S(108)); /* the first one's slot has gone */
    assert_int_equal(sums.all, 2);
    assert_int_equal(sums.some, 2);
    assert_int_equal(trp_recent_get(&r, WINDOW, TRP_S(200)).all, 0);
    trp_recent_add(&r, WINDOW, 1, 0, TRP_S(108)); /* the slot of 100 is used again */
    assert_int_equal(trp_recent_get(&r, WINDOW, TRP_S(108)).all, 3);
    trp_recent_clear(&r);
    assert_int_equal(trp_recent_get(&r, WINDOW, TRP_S(108)).all, 0);
}

static void it_counts_as_a_list_of_moments_would(void **state)
{
    (void)state;
    struct trp_random random = { 31 };
    struct trp_recent r = { 0 };
    static int64_t moments_ns[20000];
    uint32_t n = 0;
    int64_t now_ns = TRP_S(1000);
    for (; n < ARRAY_LEN(moments_ns); n++) {
        now_ns += (int64_t)(trp_random_next(&random) % (uint64_t)TRP_MS(n % 2000 == 0 ? 9000 : 20));
        moments_ns[n] = now_ns;
        trp_recent_add(&r, WINDOW, 1, n % 3 == 0, now_ns);
        uint32_t all = 0, some = 0;
        for (uint32_t i = n + 1; i-- > 0 && moments_ns[i] / TRP_S(1) > now_ns / TRP_S(1) - 8;) {
            all++;
            some += i % 3 == 0;
        }
        const struct trp_recent_sums sums = trp_recent_get(&r, WINDOW, now_ns);
        if (sums.all != all || sums.some != some)
            fail_msg("after %u: %u and %u, should be %u and %u", n, sums.all, sums.some, all, some);
    }
}

static void a_clock_that_is_a_little_behind_adds_all_the_same(void **state)
{
    (void)state;
    struct trp_recent r = { 0 };
    trp_recent_add(&r, WINDOW, 1, 1, TRP_S(50));
    trp_recent_add(&r, WINDOW, 1, 1, TRP_S(49));
    assert_int_equal(trp_recent_get(&r, WINDOW, TRP_S(49)).all, 2);
    assert_int_equal(trp_recent_get(&r, WINDOW, TRP_S(50)).all, 2);
}

static void a_machine_that_is_up_for_long_counts_no_worse(void **state)
{
    (void)state;
    /* Half of all epochs later an empty slot must not look like one of the future. */
    const int64_t starts_ns[] = { TRP_S(8388607), TRP_S(8388609), TRP_S(16777215), TRP_S(16777217),
                                  TRP_S(100000000) };
    for (const int64_t *at = starts_ns; at < starts_ns + ARRAY_LEN(starts_ns); at++) {
        struct trp_recent r = { 0 };
        for (int64_t s = 0; s < 20; s++)
            trp_recent_add(&r, WINDOW, 1, 0, *at + s * TRP_S(1));
        assert_int_equal(trp_recent_get(&r, WINDOW, *at + TRP_S(19)).all, 8);
        assert_int_equal(trp_recent_get(&r, WINDOW, *at + TRP_S(40)).all, 0);
    }
}

static void a_full_slot_keeps_the_share(void **state)
{
    (void)state;
    struct trp_recent r = { 0 };
    for (int i = 0; i < 30; i++)
        trp_recent_add(&r, WINDOW, 100000, 25000, TRP_S(5));
    const struct trp_recent_sums sums = trp_recent_get(&r, WINDOW, TRP_S(5));
    assert_in_range(sums.all, 400000, 1048575);
    assert_in_range(sums.some * 100 / sums.all, 24, 26);
}

static void add_many(void *user)
{
    for (int i = 0; i < 20000; i++)
        trp_recent_add(user, WINDOW, 1, i % 2 == 0, TRP_S(7));
}

static void threads_lose_nothing(void **state)
{
    (void)state;
    struct trp_recent r = { 0 };
    struct trp_thread threads[4] = { 0 };
    uint32_t started = 0;
    for (uint32_t i = 0; i < ARRAY_LEN(threads); i++)
        started += !trp_failed(trp_thread_start(&threads[i], "adds", add_many, &r, NULL));
    for (uint32_t i = 0; i < ARRAY_LEN(threads); i++)
        trp_thread_join(&threads[i]);
    assert_int_equal(trp_recent_get(&r, WINDOW, TRP_S(7)).all, started * 20000);
    assert_int_equal(trp_recent_get(&r, WINDOW, TRP_S(7)).some, started * 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_older_than_the_window_is_forgotten),
        cmocka_unit_test(it_counts_as_a_list_of_moments_would),
        cmocka_unit_test(a_clock_that_is_a_little_behind_adds_all_the_same),
        cmocka_unit_test(a_machine_that_is_up_for_long_counts_no_worse),
        cmocka_unit_test(a_full_slot_keeps_the_share),
        cmocka_unit_test(threads_lose_nothing),
    };
    return cmocka_run_group_tests_name("recent", tests, NULL, NULL);
}

/* An executor goes to the cores of the model that it runs, and home again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "exec/station.h"

static struct trp_metrics *metrics;

static int set_up(void **state)
{
    struct trp_error err;
    (void)state;
    return trp_failed(trp_metrics_create(trp_heap(), 1, &metrics, &err)) ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    trp_metrics_destroy(metrics);
    return 0;
}

static uint64_t moves(enum trp_metric id)
{
    return (uint64_t)trp_metrics_get(metrics, id);
}

static struct trp_cores first_of(const struct trp_cores *all)
{
    struct trp_cores one = { { 0 } };
    size_t i = 0;
    while (!all->words[i])
        i++;
    one.words[i] = all->words[i] & (~all->words[i] + 1);
    return one;
}

static void it_moves_only_when_it_has_to(void **state)
{
    (void)state;
    struct trp_station s = { 0 };
    struct trp_cores now;
    struct trp_metrics_shard *shard = trp_metrics_shard(metrics, 0);
    trp_station_begin(&s, 0, TRP_CORES_MAX + 1); /* more than there are cores */
    const struct trp_cores one = first_of(&s.home), same = one;
    const uint64_t needs =
        trp_cores_is_equal(&one, &s.home) ? 0 : 1; /* on a machine with one core */
    trp_station_go(&s, NULL, shard);
    assert_int_equal(moves(TRP_METRIC_CORES_MOVED), 0);
    trp_station_go(&s, &one, shard);
    trp_station_go(&s, &same, shard); /* of another model */
    assert_int_equal(moves(TRP_METRIC_CORES_MOVED), needs);
    assert_true(trp_cores_of_thread(&now));
    assert_true(trp_cores_is_equal(&now, &one));
    assert_true(trp_cores_of_work(&now) && trp_cores_is_equal(&now, &one));
    trp_station_go(&s, NULL, shard);
    trp_station_go(&s, NULL, shard);
    assert_int_equal(moves(TRP_METRIC_CORES_MOVED), 2 * needs);
    assert_false(trp_cores_of_work(&now));
    assert_true(trp_cores_of_thread(&now));
    assert_true(trp_cores_is_equal(&now, &s.home));
}

static void cores_that_are_refused_are_counted_and_the_run_goes_on_here(void **state)
{
    (void)state;
    struct trp_station s = { 0 };
    struct trp_cores now;
    const struct trp_cores none = { { 0 } };
    trp_station_begin(&s, 0, TRP_CORES_MAX + 1); /* more than there are cores */
    trp_station_go(&s, &none, trp_metrics_shard(metrics, 0));
    assert_int_equal(moves(TRP_METRIC_CORES_REFUSED), 1);
    assert_true(trp_cores_of_thread(&now));
    assert_true(trp_cores_is_equal(&now, &s.home));
}

static void each_has_a_core_of_its_own_until_others_want_it(void **state)
{
    (void)state;
    struct trp_station s = { 0 };
    struct trp_cores all, now;
    struct trp_metrics_shard *shard = trp_metrics_shard(metrics, 0);
    assert_true(trp_cores_of_thread(&all));
    const uint32_t cores = trp_cores_count(&all);
    const struct trp_cores last = trp_cores_at(&all, cores - 1);
    trp_station_begin(&s, cores - 1, cores);
    trp_station_go(&s, NULL, shard);
    assert_true(trp_cores_of_thread(&now) && trp_cores_is_equal(&now, &last));
    static const struct {
        int64_t at_ns, waited_ns;
        bool is_free; /* then */
    } runs[] = {
        { TRP_S(10), TRP_MS(2), false }, /* a loop's turns */
        { TRP_S(10), TRP_MS(3), false }, { TRP_S(10), TRP_MS(3), false },
        { TRP_S(10), 0, false }, /* once more from the beginning */
        { TRP_S(10), TRP_MS(3), false }, { TRP_S(10), TRP_MS(3), false },
        { TRP_S(11), TRP_MS(3), true },  { TRP_S(12) - 1, TRP_MS(9), true },
        { TRP_S(12), TRP_MS(9), false }, /* it tries again, whatever there was while it roamed */
        { TRP_S(12), TRP_MS(3), false }, { TRP_S(12), TRP_MS(3), false },
        { TRP_S(12), TRP_MS(3), true }, /* again: for longer */
        { TRP_S(14) - 1, 0, true },      { TRP_S(14), 0, false },
        { TRP_S(19), TRP_MS(3), false }, { TRP_S(19), TRP_MS(3), false },
        { TRP_S(19), TRP_MS(3), true }, /* after a while in peace it is as the first time */
        { TRP_S(20) - 1, 0, true },      { TRP_S(20), 0, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        trp_station_hear(&s, runs[i].at_ns, TRP_MS(10), runs[i].waited_ns);
        trp_station_go(&s, NULL, shard);
        assert_true(trp_cores_of_thread(&now));
        assert_true(trp_cores_is_equal(&now, runs[i].is_free ? &all : &last));
    }
    assert_true(trp_cores_keep_thread(&all));
}

static void a_home_that_is_refused_is_asked_for_once(void **state)
{
    (void)state;
    struct trp_station s = { 0 };
    const struct trp_cores none = { { 0 } };
    trp_station_begin(&s, 0, TRP_CORES_MAX + 1);
    s.home = s.own = none; /* taken away meanwhile */
    s.is_away = true;
    trp_station_go(&s, NULL, trp_metrics_shard(metrics, 0));
    trp_station_go(&s, NULL, trp_metrics_shard(metrics, 0));
    assert_int_equal(moves(TRP_METRIC_CORES_REFUSED), 1);
    for (int i = 0; i < 5; i++)
        trp_station_hear(&s, TRP_S(1), TRP_MS(10), TRP_MS(9));
    trp_station_go(&s, NULL, trp_metrics_shard(metrics, 0));
    assert_int_equal(moves(TRP_METRIC_CORES_REFUSED) + moves(TRP_METRIC_CORES_MOVED), 1);
}

int main(void)
{
#define STATION_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STATION_TEST(it_moves_only_when_it_has_to),
        STATION_TEST(each_has_a_core_of_its_own_until_others_want_it),
        STATION_TEST(a_home_that_is_refused_is_asked_for_once),
        STATION_TEST(cores_that_are_refused_are_counted_and_the_run_goes_on_here),
    };
    return cmocka_run_group_tests_name("station", tests, NULL, NULL);
}

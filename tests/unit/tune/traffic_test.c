/* Streams that are made up: what their words mean, and that so many come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "tune/chance.h"
#include "tune/traffic.h"

static void make(struct trp_workload *w, const char *spec, int64_t length_ns, uint64_t seed)
{
    struct trp_traffic t;
    struct trp_random random = { seed };
    assert_false(trp_failed(trp_workload_init(w, trp_heap(), NULL)));
    assert_false(trp_failed(trp_traffic_parse(trp_str_of(spec), &t, NULL)));
    assert_false(trp_failed(trp_traffic_add(&t, length_ns, &random, w, NULL)));
}

static void every_kind_comes_as_often_as_it_says(void **state)
{
    static const struct row {
        const char *spec;
        double share;     /* how far the count may be off */
        double variation; /* of the counts of seconds: their variance by their mean, about */
    } rows[] = {
        { "even:model=m,rate=100", 0.0005, 0 },
        { "poisson:model=m,rate=100", 0.02, 1 },
        { "bursts:model=m,rate=100,on=1s,off=4s", 0.12, 150 },
        { "diurnal:model=m,rate=100,period=40s,swing=0.5", 0.02, 13 },
    };
    (void)state;
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_workload w;
        double counts[1000] = { 0 }, variance = 0;
        make(&w, r->spec, TRP_S(1000), 7);
        const double mean = w.arrivals_n / 1000.0;
        for (uint32_t i = 0; i < w.arrivals_n; i++)
            counts[w.arrivals[i].at_ns / TRP_S(1)]++;
        for (size_t i = 0; i < 1000; i++)
            variance += (counts[i] - mean) * (counts[i] - mean) / 1000;
        print_message("%s: %.1f a second, variation %.2f\n", r->spec, mean, variance / mean);
        assert_true(fabs(mean - 100) <= 100 * r->share);
        assert_true(variance / mean >= r->variation * 0.7 &&
                    variance / mean < r->variation * 3 + 0.1);
        assert_true(w.is_sorted);
        trp_workload_deinit(&w);
    }
}

static void a_day_begins_low(void **state)
{
    struct trp_workload w;
    uint32_t first = 0, middle = 0;
    (void)state;
    make(&w, "diurnal:model=m,rate=100,period=40s,swing=1", TRP_S(40), 3);
    for (uint32_t i = 0; i < w.arrivals_n; i++) {
        first += w.arrivals[i].at_ns < TRP_S(4);
        middle += w.arrivals[i].at_ns >= TRP_S(18) && w.arrivals[i].at_ns < TRP_S(22);
    }
    assert_true(first < 50 && middle > 700);
    trp_workload_deinit(&w);
}

static void what_is_said_of_a_stream_is_said_of_each_arrival(void **state)
{
    struct trp_workload w;
    uint32_t seen[4] = { 0 };
    (void)state;
    make(&w,
         "even:model=m,rate=100,class=batch,tenant=alice,timeout=50ms,rows=1-3,from=1s,until=2s",
         TRP_S(10), 1);
    assert_in_range(w.arrivals_n, 99, 100);
    for (uint32_t i = 0; i < w.arrivals_n; i++) {
        const struct trp_arrival *a = &w.arrivals[i];
        assert_true(a->at_ns >= TRP_S(1) && a->at_ns < TRP_S(2));
        assert_int_equal(a->class, TRP_PRIORITY_BATCH);
        assert_int_equal(a->timeout_ns, TRP_MS(50));
        assert_int_equal(a->tenant, trp_workload_find_tenant(&w, TRP_STR_LIT("alice")));
        assert_in_range(a->rows, 1, 3);
        seen[a->rows]++;
    }
    assert_true(seen[1] > 15 && seen[2] > 15 && seen[3] > 15);
    trp_workload_deinit(&w);
}

/* A thousand years of bursts of a millisecond would pass before the first one. */
static void who_comes_after_the_end_is_not_waited_for(void **state)
{
    struct trp_workload w;
    (void)state;
    make(&w, "bursts:model=m,rate=1e-9,on=1ms,off=1ms", TRP_S(10), 1);
    assert_int_equal(w.arrivals_n, 0);
    trp_workload_deinit(&w);
}

static void refuses_words_that_mean_nothing(void **state)
{
    static const char *const specs[] = { "steady:model=m,rate=1",
                                         "poisson:",
                                         "poisson:model=m",
                                         "poisson:rate=5",
                                         "poisson:model=m,rate=0",
                                         "poisson:model=m,rate=-1",
                                         "poisson:model=m,rate=fast",
                                         "poisson:model=m,rate=nan",
                                         "poisson:model=m,rate=1,colour=red",
                                         "poisson:model=m,rate=1,on=1s",
                                         "bursts:model=m,rate=1,on=0s",
                                         "diurnal:model=m,rate=1,swing=2",
                                         "poisson:model=m,rate=1,rows=0",
                                         "poisson:model=m,rate=1,rows=3-2",
                                         "poisson:model=m,rate=1,rows=",
                                         "poisson:model=m,rate=1,class=urgent",
                                         "poisson:model=m,rate=1,timeout=5",
                                         "poisson:model=m,,rate=1" };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        struct trp_traffic t;
        struct trp_error err = { 0 };
        print_message("%s\n", specs[i]);
        assert_int_equal(trp_traffic_parse(trp_str_of(specs[i]), &t, &err).code,
                         TRP_INVALID_ARGUMENT);
        assert_true(err.text[0] != '\0');
    }
    assert_true(trp_traffic_is_spec(TRP_STR_LIT("poisson:x")));
    assert_false(trp_traffic_is_spec(TRP_STR_LIT("poisson.csv")));
    assert_false(trp_traffic_is_spec(TRP_STR_LIT("poisson")));
}

static void numbers_that_are_drawn_have_their_mean_and_deviation(void **state)
{
    struct trp_random random = { 5 };
    double even = 0, exponential = 0, normal = 0, squares = 0;
    enum { N = 200000 };
    (void)state;
    for (int i = 0; i < N; i++) {
        const double e = trp_chance_even(&random), l = trp_chance_lognormal(&random, 0.3);
        assert_true(e > 0 && e < 1 && l > 0);
        even += e / N;
        exponential += trp_chance_exponential(&random, 4) / N;
        normal += l / N;
        squares += l * l / N;
    }
    assert_true(fabs(even - 0.5) < 0.005);
    assert_true(fabs(exponential - 4) < 0.05);
    assert_true(fabs(normal - 1) < 0.01);
    assert_true(fabs(sqrt(squares - normal * normal) - 0.3) < 0.01);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_comes_as_often_as_it_says),
        cmocka_unit_test(a_day_begins_low),
        cmocka_unit_test(what_is_said_of_a_stream_is_said_of_each_arrival),
        cmocka_unit_test(who_comes_after_the_end_is_not_waited_for),
        cmocka_unit_test(refuses_words_that_mean_nothing),
        cmocka_unit_test(numbers_that_are_drawn_have_their_mean_and_deviation),
    };
    return cmocka_run_group_tests_name("traffic", tests, NULL, NULL);
}

/* Metrics: sums over shards, buckets, and the text that Prometheus reads. */
#include "obs/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/thread.h"
#include "unit/base/scarce.h"

static struct trp_metrics *make_metrics(uint32_t shards)
{
    struct trp_metrics *m;
    assert_int_equal(trp_metrics_create(trp_heap(), shards, &m, NULL).code, TRP_OK);
    return m;
}

static void a_number_is_the_sum_of_all_shards(void **state)
{
    (void)state;
    struct trp_metrics *m = make_metrics(3);
    assert_int_equal((uintptr_t)trp_metrics_shard(m, 1) % 64, 0);
    trp_metric_add(trp_metrics_shard(m, 0), TRP_METRIC_BYTES_IN, 5);
    trp_metric_add(trp_metrics_shard(m, 2), TRP_METRIC_BYTES_IN, 7);
    trp_metrics_add(m, TRP_METRIC_BYTES_IN, 30);
    assert_int_equal(trp_metrics_get(m, TRP_METRIC_BYTES_IN), 42);
    assert_int_equal(trp_metrics_get(m, TRP_METRIC_BYTES_OUT), 0);
    /* A gauge may go up on one thread and down on another. */
    trp_metric_add(trp_metrics_shard(m, 0), TRP_METRIC_CONNECTIONS, 3);
    trp_metric_sub(trp_metrics_shard(m, 1), TRP_METRIC_CONNECTIONS, 2);
    assert_int_equal(trp_metrics_get(m, TRP_METRIC_CONNECTIONS), 1);
    trp_metric_sub(trp_metrics_shard(m, 1), TRP_METRIC_CONNECTIONS, 2);
    assert_int_equal(trp_metrics_get(m, TRP_METRIC_CONNECTIONS), -1);
    trp_metrics_set(m, TRP_METRIC_IN_FLIGHT, 9);
    trp_metrics_set(m, TRP_METRIC_IN_FLIGHT, 8);
    assert_int_equal(trp_metrics_get(m, TRP_METRIC_IN_FLIGHT), 8);
    trp_metrics_destroy(m);
    trp_metrics_destroy(NULL);
}

enum { THREADS = 4, COUNTS = 50000 };

struct counter {
    struct trp_metrics *metrics;
    struct trp_histogram *histogram;
    uint32_t shard;
};

static void count(void *user)
{
    struct counter *c = user;
    for (int i = 0; i < COUNTS; i++) {
        trp_metric_add(trp_metrics_shard(c->metrics, c->shard), TRP_METRIC_INLINE_RUNS, 1);
        trp_metrics_add(c->metrics, TRP_METRIC_EXECUTOR_RUNS, 1);
        trp_histogram_add(c->histogram, i);
    }
}

static void no_count_of_any_thread_is_lost(void **state)
{
    (void)state;
    struct trp_metrics *m = make_metrics(THREADS);
    struct trp_histogram h = { 0 };
    struct trp_thread threads[THREADS];
    struct counter counters[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        counters[i] = (struct counter){ m, &h, i };
        assert_int_equal(trp_thread_start(&threads[i], "counter", count, &counters[i], NULL).code,
                         TRP_OK);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        trp_thread_join(&threads[i]);
    assert_int_equal(trp_metrics_get(m, TRP_METRIC_INLINE_RUNS), THREADS * COUNTS);
    assert_int_equal(trp_metrics_get(m, TRP_METRIC_EXECUTOR_RUNS), THREADS * COUNTS);
    assert_int_equal(trp_histogram_count(&h), THREADS * COUNTS);
    trp_metrics_destroy(m);
}

static void a_duration_falls_into_the_first_bucket_that_holds_it(void **state)
{
    (void)state;
    static const struct row {
        int64_t ns;
        uint32_t bucket;
    } rows[] = {
        { -5, 0 },
        { 0, 0 },
        { 1000, 0 },
        { 1001, 1 },
        { 2000, 1 },
        { 5000, 2 },
        { 5001, 3 },
        { TRP_MS(1), 9 },
        { TRP_S(1), 18 },
        { TRP_S(100), 24 },
        { TRP_S(100) + 1, 25 },
        { INT64_MAX, 25 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_histogram h = { 0 };
        print_message("%lld ns\n", (long long)r->ns);
        trp_histogram_add(&h, r->ns);
        assert_int_equal(trp_counter_get(&h.buckets[r->bucket]), 1);
        assert_int_equal(trp_counter_get(&h.sum_ns), r->ns > 0 ? r->ns : 0);
        assert_true((double)r->ns / 1e9 <= trp_histogram_bound_s(r->bucket));
    }
    for (uint32_t i = 0; i < TRP_HISTOGRAM_BUCKETS - 1; i++) {
        const int64_t bound_ns = llround(trp_histogram_bound_s(i) * 1e9);
        struct trp_histogram h = { 0 };
        trp_histogram_add(&h, bound_ns);
        trp_histogram_add(&h, bound_ns + 1);
        assert_int_equal(trp_counter_get(&h.buckets[i]), 1);
        assert_int_equal(trp_counter_get(&h.buckets[i + 1]), 1);
    }
    assert_true(isinf(trp_histogram_bound_s(TRP_HISTOGRAM_BUCKETS - 1)));
    for (uint32_t i = 1; i < TRP_HISTOGRAM_BUCKETS; i++)
        assert_true(trp_histogram_bound_s(i) > trp_histogram_bound_s(i - 1));
}

static void all_rows_are_printed_with_one_head_per_name(void **state)
{
    (void)state;
    struct trp_metrics *m = make_metrics(1);
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 1 << 16);
    trp_metric_add(trp_metrics_shard(m, 0), TRP_METRIC_REQUESTS_GRPC, 12);
    trp_metric_sub(trp_metrics_shard(m, 0), TRP_METRIC_CONNECTIONS, 1);
    trp_metrics_write(m, &b);
    const char *text = trp_buf_text(&b);
    assert_non_null(strstr(text, "# HELP troupe_requests_total Requests received, by protocol.\n"
                                 "# TYPE troupe_requests_total counter\n"
                                 "troupe_requests_total{protocol=\"http1\"} 0\n"
                                 "troupe_requests_total{protocol=\"http2\"} 0\n"
                                 "troupe_requests_total{protocol=\"grpc\"} 12\n"));
    assert_non_null(strstr(text, "# TYPE troupe_connections gauge\ntroupe_connections -1\n"));
    const char *names[] = {
#define X(id, kind, name, label_key, label_value, help) "# TYPE " name " ",
#include "obs/metrics.def"
#undef X
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *first = strstr(text, names[i]);
        assert_non_null(first);
        assert_null(strstr(first + 1, names[i]));
    }
    trp_buf_deinit(&b);
    trp_metrics_destroy(m);
}

static void a_histogram_prints_cumulative_buckets(void **state)
{
    (void)state;
    struct trp_histogram h = { 0 };
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 1 << 16);
    trp_histogram_add(&h, 1500);
    trp_histogram_add(&h, TRP_MS(3));
    trp_histogram_add(&h, TRP_S(200));
    trp_metrics_write_histogram(&b, "t_seconds", "model=\"a\"", &h);
    const char *text = trp_buf_text(&b);
    assert_non_null(strstr(text, "t_seconds_bucket{model=\"a\",le=\"1e-06\"} 0\n"
                                 "t_seconds_bucket{model=\"a\",le=\"2e-06\"} 1\n"));
    assert_non_null(strstr(text, "t_seconds_bucket{model=\"a\",le=\"0.005\"} 2\n"));
    assert_non_null(strstr(text, "t_seconds_bucket{model=\"a\",le=\"100\"} 2\n"
                                 "t_seconds_bucket{model=\"a\",le=\"+Inf\"} 3\n"
                                 "t_seconds_sum{model=\"a\"} 200.0030015\n"
                                 "t_seconds_count{model=\"a\"} 3\n"));
    trp_buf_reset(&b);
    trp_metrics_write_histogram(&b, "t", "", &h);
    text = trp_buf_text(&b);
    assert_non_null(strstr(text, "t_bucket{le=\"+Inf\"} 3\nt_sum 200.0030015\nt_count 3\n"));
    trp_buf_deinit(&b);
}

static void labels_and_help_are_escaped(void **state)
{
    (void)state;
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 1000);
    trp_metrics_write_label(&b, "model", TRP_STR_LIT("a\"b\\c\nd\xff\xc3\xa9"));
    assert_string_equal(trp_buf_text(&b), "model=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\xc3\xa9\"");
    trp_buf_reset(&b);
    trp_metrics_write_head(&b, "n", "gauge", "says \"x\\y\"\n");
    assert_string_equal(trp_buf_text(&b), "# HELP n says \"x\\\\y\"\\n\n# TYPE n gauge\n");
    trp_buf_deinit(&b);
}

static void without_memory_there_are_no_metrics(void **state)
{
    (void)state;
    struct scarce scarce;
    struct trp_metrics *m;
    assert_int_equal(trp_metrics_create(scarce_init(&scarce, 0), 1, &m, NULL).code,
                     TRP_OUT_OF_MEMORY);
    assert_null(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_the_sum_of_all_shards),
        cmocka_unit_test(no_count_of_any_thread_is_lost),
        cmocka_unit_test(a_duration_falls_into_the_first_bucket_that_holds_it),
        cmocka_unit_test(all_rows_are_printed_with_one_head_per_name),
        cmocka_unit_test(a_histogram_prints_cumulative_buckets),
        cmocka_unit_test(labels_and_help_are_escaped),
        cmocka_unit_test(without_memory_there_are_no_metrics),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}

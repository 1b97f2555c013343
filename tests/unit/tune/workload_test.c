/* A workload: names, order, scale; and the heap and the words that the room counts with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/clock.h"
#include "tune/due_heap.h"
#include "tune/span.h"
#include "tune/workload.h"

static void names_have_numbers_and_nobody_is_the_first_tenant(void **state)
{
    struct trp_workload w;
    uint32_t a, b, again, tenant;
    (void)state;
    assert_false(trp_failed(trp_workload_init(&w, trp_heap(), NULL)));
    assert_false(trp_failed(trp_workload_model(&w, TRP_STR_LIT("a"), &a, NULL)));
    assert_false(trp_failed(trp_workload_model(&w, TRP_STR_LIT("b"), &b, NULL)));
    assert_false(trp_failed(trp_workload_model(&w, TRP_STR_LIT("a"), &again, NULL)));
    assert_false(trp_failed(trp_workload_tenant(&w, TRP_STR_LIT("a"), &tenant, NULL)));
    assert_int_equal(a, again);
    assert_int_not_equal(a, b);
    assert_int_equal(tenant, 1);
    assert_int_equal(trp_workload_find_model(&w, TRP_STR_LIT("c")), UINT32_MAX);
    for (uint32_t i = 0; i < 1000; i++) {
        char name[16];
        uint32_t n;
        (void)snprintf(name, sizeof name, "model %u", i);
        assert_false(trp_failed(trp_workload_model(&w, trp_str_of(name), &n, NULL)));
        assert_true(trp_str_is(w.models.names[n], name));
    }
    assert_true(trp_str_is(w.models.names[b], "b"));
    trp_workload_deinit(&w);
}

static void arrivals_of_one_moment_stay_in_their_order(void **state)
{
    struct trp_workload w;
    struct trp_random random = { 3 };
    (void)state;
    assert_false(trp_failed(trp_workload_init(&w, trp_heap(), NULL)));
    for (uint32_t i = 0; i < 3001; i++) {
        const struct trp_arrival a = { .at_ns = (int64_t)(trp_random_next(&random) % 500),
                                       .rows = 1 + i };
        assert_false(trp_failed(trp_workload_add(&w, &a, NULL)));
    }
    assert_false(w.is_sorted);
    assert_false(trp_failed(trp_workload_sort(&w, NULL)));
    assert_int_equal(w.arrivals_n, 3001);
    for (uint32_t i = 1; i < w.arrivals_n; i++) {
        const struct trp_arrival *a = &w.arrivals[i - 1], *b = &w.arrivals[i];
        assert_true(a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->rows < b->rows));
    }
    trp_workload_scale(&w, 2);
    assert_true(w.arrivals[w.arrivals_n - 1].at_ns < 250);
    trp_workload_scale(&w, 1e-300); /* later than any clock can say, and not before the beginning */
    assert_int_equal(w.arrivals[w.arrivals_n - 1].at_ns, INT64_MAX);
    trp_workload_deinit(&w);
}

static void who_is_due_first_comes_first(void **state)
{
    struct trp_arena arena;
    struct trp_due_heap h;
    struct trp_random random = { 9 };
    int64_t last_ns = -1;
    uint32_t last = 0;
    (void)state;
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    const bool is_made = trp_due_heap_init(&h, &arena, 500);
    assert_true(is_made);
    assert_int_equal(trp_due_heap_first_ns(&h), INT64_MAX);
    for (uint32_t i = 0; i < 500; i++)
        trp_due_heap_push(&h, i, (int64_t)(trp_random_next(&random) % 100));
    for (uint32_t i = 0; i < 500; i++) {
        const int64_t due_ns = trp_due_heap_first_ns(&h);
        const uint32_t number = trp_due_heap_pop(&h);
        assert_true(due_ns > last_ns || (due_ns == last_ns && number > last));
        last_ns = due_ns;
        last = number;
    }
    trp_arena_deinit(&arena);
}

static void reads_and_writes_times_as_people_do(void **state)
{
    static const struct row {
        const char *text;
        int64_t ns;
        const char *written;
    } rows[] = {
        { "0s", 0, "0 ns" },
        { "250ns", 250, "250 ns" },
        { "12.5us", 12500, "12.5 us" },
        { "5ms", TRP_MS(5), "5.00 ms" },
        { "42ms", TRP_MS(42), "42.0 ms" },
        { "0.25s", TRP_MS(250), "250 ms" },
        { "3s", TRP_S(3), "3.00 s" },
        { "2m", TRP_S(120), "120 s" },
        { "1h", TRP_S(3600), "3600 s" },
    };
    static const char *const bad[] = {
        "", "5", "ms", "-1ms", "nans", "infs", "1e300h", "5 parsecs"
    };
    char text[32];
    int64_t ns;
    (void)state;
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        assert_true(trp_span_parse(trp_str_of(r->text), &ns));
        assert_int_equal(ns, r->ns);
        trp_span_format(ns, text, sizeof text);
        assert_string_equal(text, r->written);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(trp_span_parse(trp_str_of(bad[i]), &ns));
    trp_span_format(-1, text, sizeof text);
    assert_string_equal(text, "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_numbers_and_nobody_is_the_first_tenant),
        cmocka_unit_test(arrivals_of_one_moment_stay_in_their_order),
        cmocka_unit_test(who_is_due_first_comes_first),
        cmocka_unit_test(reads_and_writes_times_as_people_do),
    };
    return cmocka_run_group_tests_name("workload", tests, NULL, NULL);
}

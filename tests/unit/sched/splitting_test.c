/* One large run, or several side by side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"
#include "sched/splitting.h"

static struct trp_cost_curve curve_of(int64_t once_ns, int64_t row_ns)
{
    struct trp_cost_curve curve = { 0 };
    for (uint32_t rows = 1; rows <= 1024; rows *= 2)
        for (int i = 0; i < 4; i++)
            trp_cost_curve_learn(&curve, rows, once_ns + row_ns * rows);
    return curve;
}

static void parts_are_in_order_and_as_equal_as_can_be(void **state)
{
    (void)state;
    for (uint32_t rows = 1; rows < 70; rows++)
        for (uint32_t parts = 1; parts <= rows; parts++) {
            uint32_t all = 0;
            for (uint32_t i = 0; i < parts; i++) {
                const uint32_t n = trp_splitting_rows(rows, parts, i);
                assert_in_range(n, rows / parts, rows / parts + 1);
                assert_true(i == 0 || n <= trp_splitting_rows(rows, parts, i - 1));
                all += n;
            }
            assert_int_equal(all, rows);
        }
}

static void divides_where_it_saves_time_and_costs_little(void **state)
{
    (void)state;
    const struct trp_cost_curve even = curve_of(TRP_US(10), TRP_MS(1)),
                                flat = curve_of(TRP_MS(10), TRP_US(10)),
                                between = curve_of(TRP_MS(8), TRP_MS(1)), unknown = { 0 };
    const struct row {
        const char *what;
        const struct trp_cost_curve *curve;
        struct trp_splitting_rules rules;
        uint32_t rows, want;
    } rows[] = {
        { "one slot", &even, { 1, 0, 0, false }, 64, 1 },
        { "two slots", &even, { 2, 0, TRP_US(20), false }, 64, 2 },
        { "four slots", &even, { 4, 0, TRP_US(20), false }, 64, 4 },
        { "fewer rows than slots", &even, { 8, 0, TRP_US(20), false }, 3, 3 },
        { "a single row", &even, { 8, 0, TRP_US(20), false }, 1, 1 },
        { "parts too short", &even, { 4, TRP_MS(20), 0, false }, 64, 3 },
        { "much too short", &even, { 4, TRP_MS(60), 0, false }, 64, 1 },
        { "runs as long whatever their rows", &flat, { 4, 0, 0, false }, 64, 1 },
        { "half as much work again at most", &between, { 8, 0, 0, false }, 64, 5 },
        { "joining is dear", &even, { 8, 0, TRP_MS(15), false }, 64, 2 },
        { "not known", &unknown, { 4, 0, 0, false }, 64, 1 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("%s\n", r->what);
        assert_int_equal(trp_splitting_parts(&r->rules, r->curve, r->rows), r->want);
    }
}

static void what_is_not_known_of_parts_is_hoped_until_they_have_told(void **state)
{
    (void)state;
    struct trp_cost_curve curve = { 0 };
    struct trp_splitting_rules rules = { .parts_max = 2 };
    trp_cost_curve_learn(&curve, 64, TRP_MS(64));
    assert_int_equal(trp_splitting_parts(&rules, &curve, 64), 2); /* nothing smaller was seen */
    for (int i = 0; i < 4; i++)
        trp_cost_curve_learn(&curve, 32, TRP_MS(60)); /* as long as the whole: nothing is gained */
    assert_int_equal(trp_splitting_parts(&rules, &curve, 64), 1);
    rules.is_try = true; /* now and then it is hoped again */
    assert_int_equal(trp_splitting_parts(&rules, &curve, 64), 2);
    rules.is_try = false;
    for (int i = 0; i < 40; i++)
        trp_cost_curve_learn(&curve, 32, TRP_MS(33));
    assert_int_equal(trp_splitting_parts(&rules, &curve, 64), 2);
}

/* Runs of half the rows that were made beside others' work must not keep it from being divided
 * for good. */
static void fewer_rows_never_cost_more(void **state)
{
    (void)state;
    const struct trp_splitting_rules rules = { .parts_max = 2, .part_min_ns = TRP_MS(2) };
    struct trp_cost_curve curve = { 0 };
    for (int i = 0; i < 4; i++) {
        trp_cost_curve_learn(&curve, 256, TRP_MS(493));
        trp_cost_curve_learn(&curve, 512, TRP_MS(88));
    }
    for (int run = 0; run < 25; run++) {
        assert_int_equal(trp_splitting_parts(&rules, &curve, 512), 2);
        for (int part = 0; part < 2; part++)
            trp_cost_curve_learn_part(&curve, 256, TRP_MS(45));
    }
    assert_in_range(trp_cost_curve_estimate(&curve, 256), TRP_MS(45), TRP_MS(46));
}

/* Parts that are in each other's way are not tried again and again. */
static void parts_that_take_longer_than_the_whole_are_soon_left_whole(void **state)
{
    (void)state;
    const struct trp_splitting_rules rules = { .parts_max = 2, .part_min_ns = TRP_MS(2) };
    struct trp_cost_curve curve = { 0 };
    int divided = 0;
    for (int i = 0; i < 4; i++)
        trp_cost_curve_learn(&curve, 512, TRP_MS(88));
    for (int run = 0; run < 100; run++)
        if (trp_splitting_parts(&rules, &curve, 512) > 1) {
            divided++;
            for (int part = 0; part < 2; part++)
                trp_cost_curve_learn_part(&curve, 256, TRP_MS(170));
        }
    assert_in_range(divided, 1, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_in_order_and_as_equal_as_can_be),
        cmocka_unit_test(divides_where_it_saves_time_and_costs_little),
        cmocka_unit_test(what_is_not_known_of_parts_is_hoped_until_they_have_told),
        cmocka_unit_test(fewer_rows_never_cost_more),
        cmocka_unit_test(parts_that_take_longer_than_the_whole_are_soon_left_whole),
    };
    return cmocka_run_group_tests_name("splitting", tests, NULL, NULL);
}

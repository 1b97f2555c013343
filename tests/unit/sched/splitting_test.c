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
        { "one slot", &even, { 1, 0, 0 }, 64, 1 },
        { "two slots", &even, { 2, 0, TRP_US(20) }, 64, 2 },
        { "four slots", &even, { 4, 0, TRP_US(20) }, 64, 4 },
        { "fewer rows than slots", &even, { 8, 0, TRP_US(20) }, 3, 3 },
        { "a single row", &even, { 8, 0, TRP_US(20) }, 1, 1 },
        { "parts too short", &even, { 4, TRP_MS(20), 0 }, 64, 3 },
        { "much too short", &even, { 4, TRP_MS(60), 0 }, 64, 1 },
        { "runs as long whatever their rows", &flat, { 4, 0, 0 }, 64, 1 },
        { "half as much work again at most", &between, { 8, 0, 0 }, 64, 5 },
        { "joining is dear", &even, { 8, 0, TRP_MS(15) }, 64, 2 },
        { "not known", &unknown, { 4, 0, 0 }, 64, 1 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("%s\n", r->what);
        assert_int_equal(trp_splitting_parts(&r->rules, r->curve, r->rows), r->want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_in_order_and_as_equal_as_can_be),
        cmocka_unit_test(divides_where_it_saves_time_and_costs_little),
    };
    return cmocka_run_group_tests_name("splitting", tests, NULL, NULL);
}

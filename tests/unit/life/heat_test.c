/* When copies of a model's weights are worth their bytes. */
#include "life/heat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define GIB 1073741824.0

static void time_saved_is_weighed_against_bytes(void **state)
{
    (void)state;
    static const struct row {
        const char *what;
        struct trp_heat heat;
        bool pays;
    } rows[] = {
        { "busy", { .cores = 0.5, .gain = 0.25, .bytes = 330 << 20 }, true },
        { "rarely asked", { .cores = 0.05, .gain = 0.25, .bytes = 330 << 20 }, false },
        { "rarely asked and small", { .cores = 0.05, .gain = 0.25, .bytes = 30 << 20 }, true },
        { "nothing to gain", { .cores = 2, .gain = 0.02, .bytes = 1 }, false },
        { "never tried", { .cores = 2 }, false },
        { "not quite, and mapped", { .cores = 0.1, .gain = 0.25, .bytes = 150 << 20 }, false },
        { "not quite, but packed already",
          { .cores = 0.1, .gain = 0.25, .bytes = 150 << 20, .is_packed = true },
          true },
        { "not even half of that",
          { .cores = 0.04, .gain = 0.25, .bytes = 150 << 20, .is_packed = true },
          false },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("%s\n", r->what);
        assert_int_equal(trp_heat_pays(&r->heat, 4 * GIB), r->pays);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(time_saved_is_weighed_against_bytes) };
    return cmocka_run_group_tests_name("heat", tests, NULL, NULL);
}

/* tests/unit/memory/usage_test.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/str.h"
#include "memory/usage.h"

static void the_least_of_three_differences_is_the_program_s_own(void **state)
{
    (void)state;
    static const struct step {
        uint64_t process, accounted, want;
    } steps[] = {
        { 100, 60, 40 }, { 190, 60, 40 }, /* memory moved while it was measured */
        { 105, 60, 40 }, { 110, 60, 45 }, { 115, 60, 45 },
        { 120, 60, 50 }, { 50, 60, 0 }, /* mapped and never read */
        { 120, 60, 0 },  { 120, 60, 0 },  { 120, 60, 60 },
    };
    struct trp_usage u = { .samples_n = 0 };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        print_message("step %zu\n", i);
        assert_int_equal(trp_usage_note(&u, steps[i].process, steps[i].accounted), steps[i].want);
        assert_int_equal(trp_counter_get(&u.process_bytes), steps[i].process);
        assert_int_equal(trp_counter_get(&u.accounted_bytes), steps[i].accounted);
        assert_int_equal(trp_counter_get(&u.unaccounted_bytes), steps[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_of_three_differences_is_the_program_s_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

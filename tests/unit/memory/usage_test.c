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
        const struct trp_usage_seen seen = { .process_bytes = steps[i].process,
                                             .accounted_bytes = steps[i].accounted };
        assert_int_equal(trp_usage_note(&u, &seen), steps[i].want);
        assert_int_equal(trp_counter_get(&u.process_bytes), steps[i].process);
        assert_int_equal(trp_counter_get(&u.accounted_bytes), steps[i].accounted);
        assert_int_equal(trp_counter_get(&u.unaccounted_bytes), steps[i].want);
    }
}

/* Of 30 private bytes the accounts know 10, and the 60 that are mapped nobody has touched. */
static void what_is_mapped_and_not_read_hides_nothing_that_is_private(void **state)
{
    (void)state;
    static const struct row {
        struct trp_usage_seen seen;
        uint64_t want;
    } rows[] = {
        { { 40, 70, 30, 10 },
          20 }, /* 10 of the library's pages are hidden, which are no more than that */
        { { 100, 70, 30, 10 }, 30 }, /* all of them touched: the library's pages count again */
        { { 40, 70, 30, 50 }, 0 },   /* more accounted than taken */
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_usage u = { .samples_n = 0 };
        assert_int_equal(trp_usage_note(&u, &r->seen), r->want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_of_three_differences_is_the_program_s_own),
        cmocka_unit_test(what_is_mapped_and_not_read_hides_nothing_that_is_private),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

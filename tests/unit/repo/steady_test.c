/* When a change counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "repo/steady.h"

static void what_is_found_waits_until_it_has_stayed(void **state)
{
    struct trp_steady s = { 0 };
    (void)state;
    assert_false(trp_steady_has_stayed(&s, 7, 100, 1000));
    assert_false(trp_steady_has_stayed(&s, 7, 100, 1099));
    assert_true(trp_steady_has_stayed(&s, 7, 100, 1100));
    assert_true(trp_steady_has_stayed(&s, 7, 100, 1500)); /* until it is forgotten */
}

static void what_changes_waits_anew(void **state)
{
    struct trp_steady s = { 0 };
    (void)state;
    assert_false(trp_steady_has_stayed(&s, 7, 100, 1000));
    assert_false(trp_steady_has_stayed(&s, 9, 100, 1099));
    assert_false(trp_steady_has_stayed(&s, TRP_STEADY_ABSENT, 100, 1150));
    assert_false(trp_steady_has_stayed(&s, 7, 100, 1200)); /* it is back, and may go again */
    assert_true(trp_steady_has_stayed(&s, 7, 100, 1300));
}

static void what_was_forgotten_is_found_for_the_first_time(void **state)
{
    struct trp_steady s = { 0 };
    (void)state;
    assert_false(trp_steady_has_stayed(&s, 7, 100, 1000));
    trp_steady_forget(&s);
    assert_false(trp_steady_has_stayed(&s, 7, 100, 2000));
    assert_true(trp_steady_has_stayed(&s, 7, 100, 2100));
}

static void nothing_waits_where_nothing_settles(void **state)
{
    struct trp_steady s = { 0 };
    (void)state;
    assert_true(trp_steady_has_stayed(&s, 7, 0, 1000));
    assert_int_equal(s.digest, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_found_waits_until_it_has_stayed),
        cmocka_unit_test(what_changes_waits_anew),
        cmocka_unit_test(what_was_forgotten_is_found_for_the_first_time),
        cmocka_unit_test(nothing_waits_where_nothing_settles),
    };
    return cmocka_run_group_tests_name("steady", tests, NULL, NULL);
}

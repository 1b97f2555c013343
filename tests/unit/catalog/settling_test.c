/* When a file is taken for what it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "catalog/settling.h"

#define OLD "routes: { r: [ { use: a } ] }\n"
#define NEW "routes: { r: [ { use: b } ] }\n"
#define HALF "routes: { r: [ {"

enum { TAKE = TRP_SETTLING_TAKE, WAIT = TRP_SETTLING_WAIT, REFUSE = TRP_SETTLING_REFUSE };

/* At this moment; `text` NULL: there is no file. */
static int look(struct trp_settling *s, int64_t now_ms, const char *text, bool is_patient)
{
    const struct trp_settling_look l = { .text = trp_str_of(text ? text : ""),
                                         .is_there = text != NULL,
                                         .serves = s->taken != 0,
                                         .is_patient = is_patient,
                                         .settle_ns = TRP_MS(500),
                                         .now_ns = TRP_MS(now_ms) };
    return (int)trp_settling_judge(s, &l);
}

static struct trp_settling serving(void)
{
    struct trp_settling s = { 0 };
    assert_int_equal(look(&s, 0, OLD, false), TAKE);
    return s;
}

static void what_has_changed_is_taken_up_when_it_stayed_so(void **state)
{
    (void)state;
    struct trp_settling s = serving();
    assert_int_equal(look(&s, 1, OLD, true), TAKE);
    assert_int_equal(look(&s, 100, HALF, true), WAIT);
    assert_int_equal(look(&s, 599, HALF, true), WAIT);
    assert_int_equal(look(&s, 599, NEW, true), WAIT);
    assert_int_equal(look(&s, 1098, NEW, true), WAIT);
    assert_int_equal(look(&s, 1099, NEW, true), TAKE);
    assert_int_equal(look(&s, 1100, NEW, true), TAKE);
}

static void whoever_asks_gets_it_at_once(void **state)
{
    (void)state;
    struct trp_settling s = serving();
    assert_int_equal(look(&s, 100, NEW, true), WAIT);
    assert_int_equal(look(&s, 101, NEW, false), TAKE);
}

static void an_empty_file_is_never_taken_up_where_something_serves(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "\n \t\r\n", "# only words",
                                         "---\n# and marks\n...\n" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct trp_settling s = serving();
        for (int asks = 0; asks < 2; asks++) {
            assert_int_equal(look(&s, 100, texts[i], asks), WAIT);
            assert_int_equal(look(&s, 599, texts[i], !asks), WAIT);
            assert_int_equal(look(&s, 600, texts[i], asks), REFUSE);
            assert_int_equal(look(&s, 601, texts[i], asks), REFUSE);
            assert_int_equal(look(&s, 602, OLD, asks), TAKE);
        }
        struct trp_settling first = { 0 };
        assert_int_equal(look(&first, 0, texts[i], false), TAKE);
    }
    assert_false(trp_settling_is_empty(trp_str_of("routes: {}")));
    assert_false(trp_settling_is_empty(trp_str_of("#\n\n  - x")));
}

static void a_file_that_stays_away_is_taken_for_none(void **state)
{
    (void)state;
    struct trp_settling s = serving();
    for (int asks = 0; asks < 2; asks++) {
        assert_int_equal(look(&s, 100, NULL, asks), WAIT);
        assert_int_equal(look(&s, 200, OLD, asks), TAKE); /* it was moved, and is back */
    }
    assert_int_equal(look(&s, 300, NULL, false), WAIT);
    assert_int_equal(look(&s, 300, "", false), WAIT); /* the time of the other does not count */
    assert_int_equal(look(&s, 799, NULL, true), WAIT);
    assert_int_equal(look(&s, 1299, NULL, true), TAKE);
}

static void without_a_time_nothing_waits(void **state)
{
    (void)state;
    struct trp_settling s = serving();
    struct trp_settling_look l = {
        .text = trp_str_of(NEW), .is_there = true, .serves = true, .is_patient = true
    };
    assert_int_equal(trp_settling_judge(&s, &l), TAKE);
    l.text = trp_str_of("");
    assert_int_equal(trp_settling_judge(&s, &l), REFUSE);
    l.is_there = false;
    assert_int_equal(trp_settling_judge(&s, &l), TAKE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_changed_is_taken_up_when_it_stayed_so),
        cmocka_unit_test(whoever_asks_gets_it_at_once),
        cmocka_unit_test(an_empty_file_is_never_taken_up_where_something_serves),
        cmocka_unit_test(a_file_that_stays_away_is_taken_for_none),
        cmocka_unit_test(without_a_time_nothing_waits),
    };
    return cmocka_run_group_tests_name("settling", tests, NULL, NULL);
}

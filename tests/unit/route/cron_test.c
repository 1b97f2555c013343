/* Windows of time: which minutes they hold in, and what is said of those that are none. */
#include "route/cron.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Monday 3 March 2025, at an hour and minute. */
static struct trp_civil monday(uint8_t hour, uint8_t minute)
{
    return (struct trp_civil){
        .year = 2025, .month = 3, .day = 3, .weekday = 1, .hour = hour, .minute = minute
    };
}

static struct trp_civil day(uint8_t month, uint8_t of_month, uint8_t weekday)
{
    return (struct trp_civil){ .year = 2025, .month = month, .day = of_month, .weekday = weekday };
}

static bool holds(const char *text, struct trp_civil at)
{
    struct trp_error err = { .text = "" };
    struct trp_cron cron;
    if (trp_failed(trp_cron_parse(trp_str_of(text), &cron, &err)))
        fail_msg("'%s': %s", text, err.text);
    return trp_cron_holds(&cron, &at);
}

static void a_window_holds_in_its_minutes_and_in_no_other(void **state)
{
    (void)state;
    static const struct row {
        const char *text;
        uint8_t hour, minute;
        bool want;
    } rows[] = {
        { "* * * * *", 0, 0, true },          { "? ? ? ? ?", 23, 59, true },
        { "* 1-4 * * mon-fri", 1, 0, true },  { "* 1-4 * * mon-fri", 4, 59, true },
        { "* 1-4 * * mon-fri", 5, 0, false }, { "* 1-4 * * sat,sun", 2, 0, false },
        { "*/15 * * * *", 3, 45, true },      { "*/15 * * * *", 3, 46, false },
        { "5/20 * * * *", 3, 5, true },       { "5/20 * * * *", 3, 45, true },
        { "5/20 * * * *", 3, 4, false },      { "10-30/10 * * * *", 3, 20, true },
        { "10-30/10 * * * *", 3, 40, false }, { "0,30 * * * *", 3, 30, true },
        { "0,30 * * * *", 3, 31, false },     { "* 22-4 * * *", 23, 0, true }, /* over midnight */
        { "* 22-4 * * *", 2, 0, true },       { "* 22-4 * * *", 12, 0, false },
        { "* 8-18/2 * * *", 10, 0, true },    { "* 8-18/2 * * *", 11, 0, false },
        { "\t*  * *  * 1 ", 0, 0, true },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("'%s' at %u:%u\n", r->text, r->hour, r->minute);
        assert_int_equal(holds(r->text, monday(r->hour, r->minute)), r->want);
    }
}

static void days_are_of_the_month_or_of_the_week_as_in_crontabs(void **state)
{
    (void)state;
    static const struct row {
        const char *text;
        uint8_t month, of_month, weekday;
        bool want;
    } rows[] = {
        { "* * 13 * fri", 6, 13, 5, true },
        { "* * 13 * fri", 6, 12, 4, false },
        { "* * 13 * fri", 6, 13, 1, true }, /* either is enough */
        { "* * 13 * fri", 6, 20, 5, true },
        { "* * 13 * *", 6, 20, 5, false },
        { "* * * * fri", 6, 13, 4, false },
        { "* * */2 * fri", 6, 3, 5, true }, /* one begins with a star: both must hold */
        { "* * */2 * fri", 6, 4, 5, false },
        { "* * */2 * fri", 6, 3, 4, false },
        { "* * * * 0", 1, 1, 0, true },
        { "* * * * 7", 1, 1, 0, true }, /* Sunday has two numbers */
        { "* * * * sun", 1, 1, 0, true },
        { "* * * * 5-7", 1, 1, 0, true },
        { "* * * * 5-7", 1, 1, 4, false },
        { "* * * * fri-mon", 1, 1, 6, true },
        { "* * * * fri-mon", 1, 1, 1, true },
        { "* * * * fri-mon", 1, 1, 3, false },
        { "* * * * */2", 1, 1, 6, true },
        { "* * * * */2", 1, 1, 1, false },
        { "* * * nov-feb *", 12, 1, 1, true },
        { "* * * nov-feb *", 1, 1, 1, true },
        { "* * * NOV-Feb *", 3, 1, 1, false },
        { "* * * 1,3,5 *", 3, 1, 1, true },
        { "* * 31 * *", 1, 31, 1, true },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("'%s' on %u-%u, weekday %u\n", r->text, r->month, r->of_month, r->weekday);
        assert_int_equal(holds(r->text, day(r->month, r->of_month, r->weekday)), r->want);
    }
}

static void what_is_no_window_is_refused_with_the_field_and_what_was_expected(void **state)
{
    (void)state;
    static const struct row {
        const char *text, *want;
    } rows[] = {
        { "", "the minute is missing; expected five fields" },
        { "* *", "the day of month is missing" },
        { "* * * *", "the day of week is missing" },
        { "* * * * * *", "'*' behind the five fields" },
        { "60 * * * *", "minute '60': expected 0 to 59" },
        { "* 24 * * *", "hour '24': expected 0 to 23" },
        { "* * 0 * *", "day of month '0': expected 1 to 31" },
        { "* * * 13 *", "month '13': expected 1 to 12, or jan to dec" },
        { "* * * * 8", "day of week '8': expected 0 to 7, or sun to sat" },
        { "* * * * monday", "day of week 'monday'" },
        { "* * * mon *", "month 'mon'" },
        { "jan * * * *", "minute 'jan'" },
        { "1,,2 * * * *", "minute ''" },
        { "1, * * * *", "minute ''" },
        { "1- * * * *", "minute '1-'" },
        { "-1 * * * *", "minute '-1'" },
        { "1-2-3 * * * *", "minute '1-2-3'" },
        { "*/0 * * * *", "minute '*/0': expected a step of 1 to 60" },
        { "*/x * * * *", "expected a step" },
        { "*/ * * * *", "expected a step" },
        { "*/99999999999999999999 * * * *", "expected a step" },
        { "* * 20-10 * *", "day of month '20-10': the range ends before it begins" },
        { "+5 * * * *", "minute '+5'" },
        { "5x * * * *", "minute '5x'" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_error err = { .text = "" };
        struct trp_cron cron = { .minutes = 77 };
        print_message("'%s'\n", r->text);
        assert_int_equal(trp_cron_parse(trp_str_of(r->text), &cron, &err).code,
                         TRP_INVALID_ARGUMENT);
        if (!strstr(err.text, r->want))
            fail_msg("said: %s", err.text);
        assert_int_equal(cron.minutes, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_holds_in_its_minutes_and_in_no_other),
        cmocka_unit_test(days_are_of_the_month_or_of_the_week_as_in_crontabs),
        cmocka_unit_test(what_is_no_window_is_refused_with_the_field_and_what_was_expected),
    };
    return cmocka_run_group_tests_name("cron", tests, NULL, NULL);
}

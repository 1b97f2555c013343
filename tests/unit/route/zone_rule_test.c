/* Time zones as one line, and days as dates. */
#include "route/zone_rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int64_t moment(int64_t year, int32_t month, int32_t day, int64_t hour, int64_t minute)
{
    return trp_zone_day_of((struct trp_zone_date){ year, month, day }) * 86400 + hour * 3600 +
           minute * 60;
}

static void each_day_of_a_thousand_years_follows_the_one_before(void **state)
{
    (void)state;
    static const int32_t months[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    struct trp_zone_date d = { 1600, 1, 1 };
    for (int64_t day = trp_zone_day_of(d); d.year < 2600; day++) {
        const struct trp_zone_date got = trp_zone_date_of(day);
        assert_int_equal(got.year, d.year);
        assert_int_equal(got.month, d.month);
        assert_int_equal(got.day, d.day);
        assert_int_equal(trp_zone_day_of(d), day);
        const bool is_leap = d.year % 4 == 0 && (d.year % 100 != 0 || d.year % 400 == 0);
        if (++d.day > months[d.month - 1] + (d.month == 2 && is_leap)) {
            d.day = 1;
            d.month++;
        }
        if (d.month > 12) {
            d.month = 1;
            d.year++;
        }
    }
    assert_int_equal(trp_zone_day_of((struct trp_zone_date){ 1970, 1, 1 }), 0);
}

static void a_rule_tells_the_offset_up_to_the_second_in_which_it_changes(void **state)
{
    (void)state;
    const struct row {
        const char *text;
        int64_t at_s;
        int32_t want_s;
    } rows[] = {
        { "UTC0", 0, 0 },
        { "JST-9", moment(2050, 6, 1, 0, 0), 9 * 3600 },
        { "<+0330>-3:30", 0, 12600 },
        { "<-03>3", 0, -10800 },
        { "CET-1CEST,M3.5.0,M10.5.0/3", moment(2050, 3, 27, 1, 0) - 1, 3600 },
        { "CET-1CEST,M3.5.0,M10.5.0/3", moment(2050, 3, 27, 1, 0), 7200 },
        { "CET-1CEST,M3.5.0,M10.5.0/3", moment(2050, 10, 30, 1, 0) - 1, 7200 },
        { "CET-1CEST,M3.5.0,M10.5.0/3", moment(2050, 10, 30, 1, 0), 3600 },
        { "CET-1CEST,M3.5.0,M10.5.0/3", moment(2050, 1, 1, 0, 0), 3600 },
        { "EST5EDT,M3.2.0,M11.1.0", moment(2050, 3, 13, 7, 0) - 1, -18000 },
        { "EST5EDT,M3.2.0,M11.1.0", moment(2050, 3, 13, 7, 0), -14400 },
        { "EST5EDT,M3.2.0,M11.1.0", moment(2050, 11, 6, 6, 0), -18000 },
        /* south of the equator the year begins in summer */
        { "AEST-10AEDT,M10.1.0,M4.1.0/3", moment(2050, 1, 1, 0, 0), 39600 },
        { "AEST-10AEDT,M10.1.0,M4.1.0/3", moment(2050, 6, 1, 0, 0), 36000 },
        { "AEST-10AEDT,M10.1.0,M4.1.0/3", moment(2050, 12, 31, 23, 0), 39600 },
        /* Ireland: winter time is the exception */
        { "IST-1GMT0,M10.5.0,M3.5.0/1", moment(2050, 1, 1, 0, 0), 0 },
        { "IST-1GMT0,M10.5.0,M3.5.0/1", moment(2050, 7, 1, 0, 0), 3600 },
        /* a change the day before, in hours of the day after: Godthab */
        { "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", moment(2050, 3, 27, 1, 0) - 1, -7200 },
        { "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", moment(2050, 3, 27, 1, 0), -3600 },
        /* summer all the year: RFC 9636, 3.3.1 */
        { "XXX3EDT4,0/0,J365/23", moment(2050, 1, 1, 2, 0), -14400 },
        { "XXX3EDT4,0/0,J365/23", moment(2050, 1, 1, 3, 0), -14400 },
        { "XXX3EDT4,0/0,J365/23", moment(2050, 12, 31, 23, 59), -14400 },
        /* numbered days: J60 is the first of March in every year, 60 is not */
        { "AAA0BBB,J60/0,J300/0", moment(2048, 3, 1, 0, 0) - 1, 0 },
        { "AAA0BBB,J60/0,J300/0", moment(2048, 3, 1, 0, 0), 3600 },
        { "AAA0BBB,J60/0,J300/0", moment(2049, 3, 1, 0, 0), 3600 },
        { "AAA0BBB,60/0,300/0", moment(2048, 2, 29, 23, 0), 0 },
        { "AAA0BBB,60/0,300/0", moment(2048, 3, 1, 0, 0), 3600 },
        { "AAA0BBB,60/0,300/0", moment(2049, 3, 1, 23, 0), 0 },
        { "AAA0BBB-2:30,M1.1.1,M12.5.6", moment(2050, 6, 1, 0, 0), 9000 },
    };
    for (uint32_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct trp_zone_rule rule;
        print_message("row %u: %s\n", i, rows[i].text);
        assert_true(trp_zone_rule_parse(trp_str_of(rows[i].text), &rule));
        assert_int_equal(trp_zone_rule_offset(&rule, rows[i].at_s), rows[i].want_s);
    }
}

static void what_is_no_rule_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "CET",
        "CE-1",
        "CET-25",
        "CET-1CEST",
        "CET-1CEST,",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M3.5.0,",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M0.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.0.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,M3.5.0,M10.5.0/168",
        "CET-1CEST,M3.5.0,M10.5.0/3x",
        "CET-1CEST,J0,J365",
        "CET-1CEST,J1,J366",
        "CET-1CEST,366,1",
        "<CET-1",
        "<>1",
        "CET-1:60",
        "CET-1:00:60",
        "CET-1:",
        "CET--1",
        "CET-99999999999999999999",
        "CET-1CEST,M3.5.0;M10.5.0",
    };
    for (uint32_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct trp_zone_rule rule;
        print_message("'%s'\n", texts[i]);
        assert_false(trp_zone_rule_parse(trp_str_of(texts[i]), &rule));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_day_of_a_thousand_years_follows_the_one_before),
        cmocka_unit_test(a_rule_tells_the_offset_up_to_the_second_in_which_it_changes),
        cmocka_unit_test(what_is_no_rule_is_refused),
    };
    return cmocka_run_group_tests_name("zone_rule", tests, NULL, NULL);
}

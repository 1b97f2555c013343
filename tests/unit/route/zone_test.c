/* Time zones: the system's, against the C library's reading of the same files; and files that
 * are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "route/zone.h"
#include "scratch.h"

#define FOLDER "/usr/share/zoneinfo"
#define MOMENTS 300u

static void expect_same(const struct trp_zone *zone, const char *name, time_t at_s)
{
    struct trp_civil got;
    struct tm want;
    assert_non_null(localtime_r(&at_s, &want));
    trp_zone_civil(zone, (int64_t)at_s * TRP_S(1), &got);
    if (got.year != want.tm_year + 1900 || got.month != want.tm_mon + 1 ||
        got.day != want.tm_mday || got.hour != want.tm_hour || got.minute != want.tm_min ||
        got.second != want.tm_sec || got.weekday != want.tm_wday ||
        got.yearday != want.tm_yday + 1 || got.offset_s != want.tm_gmtoff)
        fail_msg("%s at %lld: %d-%u-%u %u:%u:%u (offset %d), the C library has %d-%d-%d %d:%d:%d "
                 "(offset %ld)",
                 name, (long long)at_s, got.year, got.month, got.day, got.hour, got.minute,
                 got.second, got.offset_s, want.tm_year + 1900, want.tm_mon + 1, want.tm_mday,
                 want.tm_hour, want.tm_min, want.tm_sec, want.tm_gmtoff);
}

/* Around each hour of some days, and anywhere between 1910 and 2250. */
static void compare(struct trp_zone *zone, const char *name, struct trp_random *r)
{
    char variable[96];
    (void)snprintf(variable, sizeof variable, ":%s", name);
    assert_int_equal(setenv("TZ", variable, 1), 0);
    tzset();
    for (uint32_t i = 0; i < MOMENTS; i++) {
        const int64_t any_s = (int64_t)(trp_random_next(r) % UINT64_C(10700000000)) - 1890000000;
        expect_same(zone, name, any_s);
        expect_same(zone, name, any_s - any_s % 3600);
        expect_same(zone, name, any_s - any_s % 3600 - 1);
    }
}

/* The names are in a file of their own, one a line, in the third column. */
static void every_zone_of_the_system_has_the_times_that_the_c_library_has(void **state)
{
    (void)state;
    char *text;
    size_t len;
    uint32_t zones = 0;
    struct trp_random r = { 11 };
    if (trp_failed(trp_file_read(trp_heap(), FOLDER "/zone1970.tab", 1 << 20, &text, &len, NULL)))
        skip(); /* no tzdata here */
    for (char *save, *line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        char name[64];
        if (line[0] == '#' || sscanf(line, "%*s\t%*s\t%63s", name) != 1)
            continue;
        struct trp_error err = { .text = "" };
        struct trp_zone *zone;
        if (trp_failed(trp_zone_open_in(trp_heap(), FOLDER, trp_str_of(name), &zone, &err)))
            fail_msg("%s", err.text);
        compare(zone, name, &r);
        trp_zone_close(zone);
        zones++;
    }
    trp_alloc_free(trp_heap(), text);
    print_message("%u zones\n", zones);
    assert_true(zones > 200);
}

static void utc_needs_no_file_and_neither_does_no_zone_at_all(void **state)
{
    (void)state;
    struct trp_zone *zone;
    struct trp_civil a, b;
    assert_int_equal(trp_zone_open_in(trp_heap(), "/nowhere", TRP_STR_LIT("UTC"), &zone, NULL).code,
                     TRP_OK);
    const int64_t at_ns =
        (INT64_C(951782399) * TRP_S(1)) + 999999999; /* 28 February 2000, 23:59:59 */
    trp_zone_civil(zone, at_ns, &a);
    trp_zone_civil(NULL, at_ns, &b);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(a.year, 2000);
    assert_int_equal(a.month, 2);
    assert_int_equal(a.day, 28);
    assert_int_equal(a.weekday, 1);
    assert_int_equal(a.second, 59);
    assert_int_equal(a.yearday, 59);
    trp_zone_civil(zone, -1, &a); /* a nanosecond before the epoch */
    assert_int_equal(a.year, 1969);
    assert_int_equal(a.hour, 23);
    assert_int_equal(a.second, 59);
    trp_zone_civil(zone, INT64_MIN, &a);
    assert_int_equal(a.year, 1677);
    trp_zone_civil(zone, INT64_MAX, &a);
    assert_int_equal(a.year, 2262);
    trp_zone_close(zone);
}

static void a_zone_that_is_not_there_says_what_to_do(void **state)
{
    (void)state;
    char folder[SCRATCH_PATH_MAX];
    struct trp_zone *zone = (void *)folder;
    struct trp_error err = { .text = "" };
    scratch_folder(folder, "zone");
    assert_int_equal(
        trp_zone_open_in(trp_heap(), folder, TRP_STR_LIT("Europe/Berlim"), &zone, &err).code,
        TRP_NOT_FOUND);
    assert_null(zone);
    assert_non_null(strstr(err.text, "no time zone 'Europe/Berlim' in"));
    assert_int_equal(
        trp_zone_open_in(trp_heap(), "/nowhere", TRP_STR_LIT("Europe/Berlin"), &zone, &err).code,
        TRP_NOT_FOUND);
    assert_non_null(strstr(err.text, "install tzdata, or set TZDIR"));
    static const char *const names[] = { "",     "/etc/passwd", "../zone", "a/../../b", "Europe/",
                                         "a//b", "a b",         "a\nb",    "a.b" };
    for (uint32_t i = 0; i < ARRAY_LEN(names); i++) {
        print_message("'%s'\n", names[i]);
        assert_int_equal(
            trp_zone_open_in(trp_heap(), folder, trp_str_of(names[i]), &zone, &err).code,
            TRP_INVALID_ARGUMENT);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void a_folder_can_be_named_by_the_environment(void **state)
{
    (void)state;
    struct trp_error err = { .text = "" };
    struct trp_zone *zone;
    assert_int_equal(setenv("TZDIR", "/nowhere/at/all", 1), 0);
    const trp_status st = trp_zone_open(trp_heap(), TRP_STR_LIT("Europe/Berlin"), &zone, &err);
    assert_int_equal(unsetenv("TZDIR"), 0);
    assert_int_equal(st.code, TRP_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nowhere/at/all"));
}

/* ---- files ---- */

/* Version 2: an empty first part, then one change at 1000 s from +60 s to +120 s, and no rule
 * behind it. */
static const char small[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                            "\0\0\0\0"
                            "\0\0\0\0"
                            "\0\0\0\0"
                            "\0\0\0\0"
                            "\0\0\0\1"
                            "\0\0\0\4"
                            "\0\0\0\0\0\0UTC\0"
                            "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                            "\0\0\0\0"
                            "\0\0\0\0"
                            "\0\0\0\0"
                            "\0\0\0\1"
                            "\0\0\0\2"
                            "\0\0\0\4"
                            "\0\0\0\0\0\0\3\xe8"
                            "\1"
                            "\0\0\0\x3c\0\0"
                            "\0\0\0\x78\1\0"
                            "ABC\0"
                            "\n\n";

static int32_t offset(const struct trp_zone *zone, int64_t at_s)
{
    struct trp_civil c;
    trp_zone_civil(zone, at_s * TRP_S(1), &c);
    return c.offset_s;
}

static void a_small_file_is_read_and_each_piece_of_it_refused(void **state)
{
    (void)state;
    struct trp_zone *zone;
    struct trp_error err = { .text = "" };
    assert_int_equal(trp_zone_parse(trp_heap(), small, sizeof small - 1, &zone, &err).code, TRP_OK);
    assert_int_equal(offset(zone, 999), 60);
    assert_int_equal(offset(zone, 1000), 120);
    assert_int_equal(offset(zone, INT64_C(9000000000)), 120);
    trp_zone_close(zone);
    for (size_t n = 0; n < sizeof small - 1; n++) {
        char *piece = malloc(n + 1); /* so that a sanitizer sees who reads on */
        assert_non_null(piece);
        memcpy(piece, small, n);
        assert_int_equal(trp_zone_parse(trp_heap(), piece, n, &zone, &err).code,
                         TRP_INVALID_ARGUMENT);
        assert_null(zone);
        free(piece);
    }
}

static void a_damaged_file_is_read_or_refused_and_nothing_else(void **state)
{
    (void)state;
    struct trp_random r = { 3 };
    char bytes[sizeof small - 1];
    for (uint32_t i = 0; i < 20000; i++) {
        struct trp_zone *zone;
        memcpy(bytes, small, sizeof bytes);
        for (uint64_t k = 1 + trp_random_next(&r) % 3; k > 0; k--)
            bytes[trp_random_next(&r) % sizeof bytes] = (char)trp_random_next(&r);
        const trp_status st = trp_zone_parse(trp_heap(), bytes, sizeof bytes, &zone, NULL);
        if (trp_failed(st)) {
            assert_int_equal(st.code, TRP_INVALID_ARGUMENT);
            continue;
        }
        (void)offset(zone, 0);
        (void)offset(zone, INT64_C(9000000000));
        trp_zone_close(zone);
    }
}

static void a_file_that_counts_leap_seconds_is_refused(void **state)
{
    (void)state;
    struct trp_zone *zone;
    struct trp_error err = { .text = "" };
    /* Version 1, one type, one leap second. */
    static const char leap[] = "TZif\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                               "\0\0\0\0"
                               "\0\0\0\0"
                               "\0\0\0\1"
                               "\0\0\0\0"
                               "\0\0\0\1"
                               "\0\0\0\4"
                               "\0\0\0\0\0\0UTC\0"
                               "\0\0\3\xe8\0\0\0\1";
    assert_int_equal(trp_zone_parse(trp_heap(), leap, sizeof leap - 1, &zone, &err).code,
                     TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "leap seconds"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_zone_of_the_system_has_the_times_that_the_c_library_has),
        cmocka_unit_test(utc_needs_no_file_and_neither_does_no_zone_at_all),
        cmocka_unit_test(a_zone_that_is_not_there_says_what_to_do),
        cmocka_unit_test(a_folder_can_be_named_by_the_environment),
        cmocka_unit_test(a_small_file_is_read_and_each_piece_of_it_refused),
        cmocka_unit_test(a_damaged_file_is_read_or_refused_and_nothing_else),
        cmocka_unit_test(a_file_that_counts_leap_seconds_is_refused),
    };
    return cmocka_run_group_tests_name("zone", tests, NULL, NULL);
}

/* tests/unit/memory/peaks_test.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/str.h"
#include "memory/peaks.h"

static void nothing_is_known_at_first(void **state)
{
    (void)state;
    struct trp_peaks p = { 0 };
    assert_int_equal(trp_peaks_estimate(&p, 8), 0);
    assert_int_equal(trp_peaks_rows_within(&p, 8, 1), 8);
}

static void what_was_measured_is_told_and_what_lies_around_it_errs_to_the_safe_side(void **state)
{
    (void)state;
    static const struct row {
        uint64_t rows, want;
    } rows[] = {
        { 1, 1000 },              /* all that is known of so few: no more than 4 of them */
        { 4, 1000 }, { 5, 1250 }, /* in proportion */
        { 6, 1500 }, { 7, 1600 }, /* no more than 8 of them */
        { 8, 1600 }, { 16, 3200 },
    };
    struct trp_peaks p = { 0 };
    trp_peaks_learn(&p, 4, 1000);
    trp_peaks_learn(&p, 8, 1600);
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("%d rows\n", (int)r->rows);
        assert_int_equal(trp_peaks_estimate(&p, r->rows), r->want);
    }
}

static void more_is_believed_at_once_and_less_slowly(void **state)
{
    (void)state;
    struct trp_peaks p = { 0 };
    trp_peaks_learn(&p, 4, 800);
    trp_peaks_learn(&p, 4, 1600);
    assert_int_equal(trp_peaks_estimate(&p, 4), 1600);
    trp_peaks_learn(&p, 4, 800);
    assert_int_equal(trp_peaks_estimate(&p, 4), 1500);
    for (int i = 0; i < 60; i++)
        trp_peaks_learn(&p, 4, 800);
    assert_in_range(trp_peaks_estimate(&p, 4), 800, 808);
}

static void fewer_rows_that_hold_less_are_no_news_of_more_rows(void **state)
{
    (void)state;
    struct trp_peaks p = { 0 };
    trp_peaks_learn(&p, 7, 700);
    trp_peaks_learn(&p, 5, 500);
    assert_int_equal(trp_peaks_estimate(&p, 7), 700);
    trp_peaks_learn(&p, 5, 900); /* but if they hold more, so will the larger one */
    assert_int_equal(trp_peaks_estimate(&p, 7), 900);
}

static void a_run_is_split_into_pieces_that_fit(void **state)
{
    (void)state;
    static const struct row {
        uint64_t rows, bytes, want;
    } rows[] = {
        { 64, 6400, 64 }, { 64, 6399, 63 }, { 64, 3200, 32 },
        { 64, 150, 0 }, /* one row was never seen: it is taken to hold what two do */
        { 64, 200, 2 },   { 64, 0, 0 },     { 1, 10, 0 },
    };
    struct trp_peaks p = { 0 };
    trp_peaks_learn(&p, 2, 200);
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("%d rows in %d bytes\n", (int)r->rows, (int)r->bytes);
        assert_int_equal(trp_peaks_rows_within(&p, r->rows, r->bytes), r->want);
    }
}

static void absurd_numbers_end_instead_of_wrapping(void **state)
{
    (void)state;
    struct trp_peaks p = { 0 };
    trp_peaks_learn(&p, 3, UINT64_MAX / 2);
    assert_true(trp_peaks_estimate(&p, UINT64_MAX) == UINT64_MAX);
    trp_peaks_learn(&p, UINT64_MAX, UINT64_MAX);
    assert_true(trp_peaks_estimate(&p, UINT64_MAX) == UINT64_MAX);
    assert_int_equal(trp_peaks_rows_within(&p, UINT64_MAX, 1), 0);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Whatever is learned of runs that hold something fixed and something for each row: no run holds
 * more than was estimated, what was measured at a point's rows is exact, and the estimate grows. */
static void no_run_holds_more_than_was_estimated(void **state)
{
    (void)state;
    uint32_t seed = 3;
    for (int round = 0; round < 300; round++) {
        const uint64_t fixed = next_random(&seed) % 5000, each = 1 + next_random(&seed) % 700;
        struct trp_peaks p = { 0 };
        for (uint32_t n = 1 + next_random(&seed) % 8; n > 0; n--) {
            const uint64_t rows = 1 + next_random(&seed) % 200;
            trp_peaks_learn(&p, rows, fixed + each * rows);
        }
        uint64_t before = 0;
        for (uint64_t rows = 1; rows <= 300; rows++) {
            const uint64_t told = trp_peaks_estimate(&p, rows);
            assert_true(told >= fixed + each * rows);
            assert_true(told >= before);
            before = told;
        }
        for (const struct trp_peak *at = p.points; at < p.points + TRP_PEAKS_POINTS; at++)
            if (at->rows)
                assert_int_equal(trp_peaks_estimate(&p, at->rows), fixed + each * at->rows);
    }
}

static void hope_is_in_proportion_where_only_more_is_known(void **state)
{
    (void)state;
    struct trp_peaks p = { 0 };
    assert_int_equal(trp_peaks_hope(&p, 10), 0);
    trp_peaks_learn(&p, 64, 6400);
    assert_int_equal(trp_peaks_estimate(&p, 32), 6400); /* safe */
    assert_int_equal(trp_peaks_hope(&p, 32), 3200);
    assert_int_equal(trp_peaks_hope(&p, 64), 6400);
    assert_int_equal(trp_peaks_hope(&p, 128), 12800);
    trp_peaks_learn(&p, 8, 5000); /* something fixed, then */
    assert_int_equal(trp_peaks_hope(&p, 32), trp_peaks_estimate(&p, 32));
    assert_int_equal(trp_peaks_hope(&p, 4), 2500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hope_is_in_proportion_where_only_more_is_known),
        cmocka_unit_test(nothing_is_known_at_first),
        cmocka_unit_test(what_was_measured_is_told_and_what_lies_around_it_errs_to_the_safe_side),
        cmocka_unit_test(more_is_believed_at_once_and_less_slowly),
        cmocka_unit_test(fewer_rows_that_hold_less_are_no_news_of_more_rows),
        cmocka_unit_test(a_run_is_split_into_pieces_that_fit),
        cmocka_unit_test(absurd_numbers_end_instead_of_wrapping),
        cmocka_unit_test(no_run_holds_more_than_was_estimated),
    };
    return cmocka_run_group_tests_name("peaks", tests, NULL, NULL);
}

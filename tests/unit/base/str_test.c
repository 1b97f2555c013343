/* Byte ranges: comparing, parsing, cutting, UTF-8. */
#include "base/str.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void ranges_compare_by_bytes(void **state)
{
    (void)state;
    const struct trp_str none = { NULL, 0 };
    assert_true(trp_str_is_equal(none, TRP_STR_LIT("")));
    assert_true(trp_str_is(none, ""));
    assert_true(trp_str_is_equal(TRP_STR_LIT("a\0b"), trp_str_make("a\0b", 3)));
    assert_false(trp_str_is_equal(TRP_STR_LIT("ab"), TRP_STR_LIT("abc")));
    assert_true(trp_str_is_equal_nocase(TRP_STR_LIT("Content-TYPE"), TRP_STR_LIT("content-type")));
    assert_false(trp_str_is_equal_nocase(TRP_STR_LIT("a["), TRP_STR_LIT("a{")));
    assert_false(trp_str_is_equal_nocase(TRP_STR_LIT("a"), TRP_STR_LIT("ab")));
    assert_true(trp_str_starts_with(TRP_STR_LIT("abc"), TRP_STR_LIT("ab")));
    assert_true(trp_str_starts_with(none, none));
    assert_false(trp_str_starts_with(TRP_STR_LIT("a"), TRP_STR_LIT("ab")));
    assert_true(trp_str_ends_with(TRP_STR_LIT("m.onnx"), TRP_STR_LIT(".onnx")));
    assert_false(trp_str_ends_with(TRP_STR_LIT("onnx"), TRP_STR_LIT(".onnx")));
    assert_true(trp_str_compare(TRP_STR_LIT("a"), TRP_STR_LIT("b")) < 0);
    assert_true(trp_str_compare(TRP_STR_LIT("b"), TRP_STR_LIT("a")) > 0);
    assert_true(trp_str_compare(TRP_STR_LIT("a"), TRP_STR_LIT("ab")) < 0);
    assert_true(trp_str_compare(TRP_STR_LIT("ab"), TRP_STR_LIT("a")) > 0);
    assert_true(trp_str_compare(TRP_STR_LIT("\xff"), TRP_STR_LIT("a")) > 0);
    assert_int_equal(trp_str_compare(none, TRP_STR_LIT("")), 0);
    assert_int_equal(trp_str_of(NULL).len, 0);
}

static void numbers_parse_whole_or_not_at_all(void **state)
{
    (void)state;
    static const struct row {
        const char *text;
        bool is_unsigned, is_signed, is_float;
        double value;
    } rows[] = {
        { "0", true, true, true, 0 },
        { "007", true, true, true, 7 },
        { "9223372036854775807", true, true, true, 9223372036854775807.0 },
        { "9223372036854775808", true, false, true, 9223372036854775808.0 },
        { "18446744073709551615", true, false, true, 18446744073709551615.0 },
        { "18446744073709551616", false, false, true, 18446744073709551616.0 },
        { "-1", false, true, true, -1 },
        { "-9223372036854775808", false, true, true, -9223372036854775808.0 },
        { "-9223372036854775809", false, false, true, -9223372036854775808.0 },
        { "1.5", false, false, true, 1.5 },
        { "-2.5e-3", false, false, true, -2.5e-3 },
        { "", false, false, false, 0 },
        { "-", false, false, false, 0 },
        { "--1", false, false, false, 0 },
        { "+1", false, false, true, 1 },
        { " 1", false, false, false, 0 },
        { "\n1", false, false, false, 0 },
        { "1 ", false, false, false, 0 },
        { "1x", false, false, false, 0 },
        { "one", false, false, false, 0 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        uint64_t u = 77;
        int64_t i = 77;
        double d = 77;
        print_message("'%s'\n", r->text);
        assert_int_equal(trp_str_parse_u64(trp_str_of(r->text), &u), r->is_unsigned);
        assert_int_equal(trp_str_parse_i64(trp_str_of(r->text), &i), r->is_signed);
        assert_int_equal(trp_str_parse_f64(trp_str_of(r->text), &d), r->is_float);
        assert_true((double)u == (r->is_unsigned ? r->value : 77));
        assert_true((double)i == (r->is_signed ? r->value : 77));
        assert_true(d == (r->is_float ? r->value : 77));
    }
    double d;
    assert_false(trp_str_parse_f64(trp_str_make("1\0", 2), &d)); /* a NUL is no end */
}

static void digits_are_written(void **state)
{
    (void)state;
    static const struct row {
        uint64_t v;
        const char *want;
    } rows[] = { { 0, "0" }, { 9, "9" }, { 10, "10" }, { UINT64_MAX, "18446744073709551615" } };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        char room[TRP_STR_DIGITS];
        assert_true(trp_str_is_equal(trp_str_of_u64(r->v, room), trp_str_of(r->want)));
    }
}

static void a_copy_is_cut_and_terminated(void **state)
{
    (void)state;
    char out[4];
    assert_true(trp_str_copy(TRP_STR_LIT("abc"), out, sizeof out));
    assert_string_equal(out, "abc");
    assert_false(trp_str_copy(TRP_STR_LIT("abcd"), out, sizeof out));
    assert_string_equal(out, "abc");
    assert_true(trp_str_copy(trp_str_of(NULL), out, 1));
    assert_string_equal(out, "");
}

static void the_distance_counts_edits_up_to_a_limit(void **state)
{
    (void)state;
    static const struct row {
        const char *a, *b;
        uint32_t limit, want;
    } rows[] = {
        { "", "", 3, 0 },
        { "max_batch_size", "max_batch_size", 3, 0 },
        { "max_batchsize", "max_batch_size", 3, 1 },
        { "inptu", "input", 3, 2 },
        { "kitten", "sitting", 3, 3 },
        { "abc", "xyz", 2, 3 },
        { "", "abcdef", 2, 3 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("'%s' '%s'\n", r->a, r->b);
        assert_int_equal(trp_str_distance(trp_str_of(r->a), trp_str_of(r->b), r->limit), r->want);
        assert_int_equal(trp_str_distance(trp_str_of(r->b), trp_str_of(r->a), r->limit), r->want);
    }
}

static void only_well_formed_utf8_passes(void **state)
{
    (void)state;
    static const struct row {
        const char *text;
        bool want;
    } rows[] = {
        { "", true },
        { "ascii\x7f", true },
        { "\xc2\x80 \xdf\xbf", true },
        { "\xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf", true },
        { "\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf", true },
        { "\x80", false },             /* a lone follower */
        { "\xc3", false },             /* cut off */
        { "\xe2\x82", false },         /* cut off */
        { "\xc0\xaf", false },         /* overlong */
        { "\xc1\xbf", false },         /* overlong */
        { "\xe0\x9f\xbf", false },     /* overlong */
        { "\xf0\x8f\xbf\xbf", false }, /* overlong */
        { "\xed\xa0\x80", false },     /* a surrogate */
        { "\xf4\x90\x80\x80", false }, /* beyond U+10FFFF */
        { "\xf5\x80\x80\x80", false },
        { "\xc3(", false },
        { "\xff", false },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("row %zu\n", (size_t)(r - rows));
        assert_int_equal(trp_str_is_utf8(trp_str_of(r->text)), r->want);
    }
    assert_int_equal(trp_str_utf8_length("\xe2\x82\xac", 3), 3);
    static const uint32_t codes[] = { 0,     0x41,   0x7f,   0x80,    0xe9,    0x7ff,
                                      0x800, 0x20ac, 0xffff, 0x10000, 0x1f600, 0x10ffff };
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) { /* what is written is read */
        char out[4];
        const size_t n = trp_str_put_utf8(out, codes[i]);
        assert_int_equal(n, codes[i] < 0x80      ? 1
                            : codes[i] < 0x800   ? 2
                            : codes[i] < 0x10000 ? 3
                                                 : 4);
        assert_int_equal(trp_str_utf8_length(out, n), n);
    }
    char euro[4];
    assert_int_equal(trp_str_put_utf8(euro, 0x20ac), 3);
    assert_memory_equal(euro, "\xe2\x82\xac", 3);
    assert_int_equal(trp_str_utf8_length("\xe2\x82\xac", 2), 0);
}

/* Every byte at every place of every text of up to two words and a rest, from every place on. */
static void a_plain_run_ends_where_a_byte_is_not_plain(void **state)
{
    (void)state;
    char text[19];
    for (size_t len = 0; len <= sizeof text; len++) {
        for (size_t at = 0; at <= len; at++) {
            for (int c = 0; c < 256; c++) {
                memset(text, 'x', sizeof text);
                if (at < len)
                    text[at] = (char)c;
                const bool is_plain = at == len || (c >= 0x20 && c < 0x80 && c != '%' && c != 0x7f);
                for (size_t from = 0; from <= len; from++) {
                    const size_t want = is_plain || from > at ? len - from : at - from;
                    const struct trp_str s = trp_str_make(text, len);
                    assert_int_equal(trp_str_plain_run(s, from, '%', 0x7f), want);
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_compare_by_bytes),
        cmocka_unit_test(numbers_parse_whole_or_not_at_all),
        cmocka_unit_test(digits_are_written),
        cmocka_unit_test(a_copy_is_cut_and_terminated),
        cmocka_unit_test(the_distance_counts_edits_up_to_a_limit),
        cmocka_unit_test(only_well_formed_utf8_passes),
        cmocka_unit_test(a_plain_run_ends_where_a_byte_is_not_plain),
    };
    return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}

/* JSON in and out: what is read, what is refused and with which words, what is printed. */
#include "base/json.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/footprint.h"
#include "base/half.h"
#include "troupe/tensor.h"

#define DEPTH 8

/* What sanitizers keep of freed memory says nothing about us. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RUNS_SANITIZED true
#else
#define RUNS_SANITIZED false
#endif

struct fixture {
    struct trp_json_parser *parser;
    struct trp_error err;
};

static int make_parser(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_int_equal(trp_json_parser_create(1 << 20, DEPTH, &f->parser, &f->err).code, TRP_OK);
    *state = f;
    return 0;
}

static int drop_parser(void **state)
{
    struct fixture *f = *state;
    trp_json_parser_destroy(f->parser);
    free(f);
    return 0;
}

/* Parses a copy of exactly its length, so that a sanitizer sees every byte read behind it. */
static trp_status parse_len(struct fixture *f, const char *text, size_t len, struct trp_json *out)
{
    char *copy = malloc(len ? len : 1);
    memcpy(copy, text, len);
    f->err = (struct trp_error){ 0 };
    const trp_status st = trp_json_parse(f->parser, trp_str_make(copy, len), false, out, &f->err);
    free(copy);
    return st;
}

static trp_status parse(struct fixture *f, const char *text, struct trp_json *out)
{
    return parse_len(f, text, strlen(text), out);
}

static struct trp_json parsed(struct fixture *f, const char *text)
{
    struct trp_json root = { 0 };
    if (trp_failed(parse(f, text, &root)))
        fail_msg("%s: %s", text, f->err.text);
    return root;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void every_type_is_told_apart(void **state)
{
    struct fixture *f = *state;
    static const struct row {
        const char *text;
        enum trp_json_type want;
    } rows[] = {
        { "null", TRP_JSON_NULL },
        { "true", TRP_JSON_BOOL },
        { " false ", TRP_JSON_BOOL },
        { "0", TRP_JSON_INT },
        { "-9223372036854775808", TRP_JSON_INT },
        { "9223372036854775807", TRP_JSON_INT },
        { "9223372036854775808", TRP_JSON_UINT },
        { "18446744073709551615", TRP_JSON_UINT },
        { "18446744073709551616", TRP_JSON_FLOAT },
        { "-9223372036854775809", TRP_JSON_FLOAT },
        { "1.0", TRP_JSON_FLOAT },
        { "\"\"", TRP_JSON_STRING },
        { "NaN", TRP_JSON_STRING },
        { "[]", TRP_JSON_ARRAY },
        { "{}", TRP_JSON_OBJECT },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("%s\n", r->text);
        assert_int_equal(trp_json_type(parsed(f, r->text)), r->want);
    }
    assert_string_equal(trp_json_type_name(TRP_JSON_ARRAY), "an array");
    assert_string_equal(trp_json_type_name((enum trp_json_type)99), "unknown");
}

static void a_value_is_given_only_as_what_it_is(void **state)
{
    struct fixture *f = *state;
    bool b;
    int64_t i;
    uint64_t u;
    double d;
    struct trp_str s;
    assert_true(trp_json_as_bool(parsed(f, "true"), &b) && b);
    assert_false(trp_json_as_bool(parsed(f, "1"), &b));
    assert_true(trp_json_as_i64(parsed(f, "-9223372036854775808"), &i) && i == INT64_MIN);
    assert_false(trp_json_as_i64(parsed(f, "9223372036854775808"), &i));
    assert_false(trp_json_as_i64(parsed(f, "1.0"), &i));
    assert_true(trp_json_as_u64(parsed(f, "18446744073709551615"), &u) && u == UINT64_MAX);
    assert_true(trp_json_as_u64(parsed(f, "7"), &u) && u == 7);
    assert_false(trp_json_as_u64(parsed(f, "-1"), &u));
    assert_true(trp_json_as_f64(parsed(f, "3"), &d) && d == 3);
    assert_true(trp_json_as_f64(parsed(f, "18446744073709551615"), &d) && d == 0x1p64);
    assert_true(trp_json_as_f64(parsed(f, "-Infinity"), &d) && isinf(d) && d < 0);
    assert_true(trp_json_as_f64(parsed(f, "\"Infinity\""), &d) && isinf(d) && d > 0);
    assert_false(trp_json_as_f64(parsed(f, "\"inf\""), &d));
    assert_false(trp_json_as_f64(parsed(f, "[1]"), &d));
    assert_true(trp_json_as_str(parsed(f, "\"a\\u00e9\\n\""), &s) && trp_str_is(s, "a\xc3\xa9\n"));
    assert_false(trp_json_as_str(parsed(f, "7"), &s));
}

static void arrays_and_objects_are_walked_in_order(void **state)
{
    struct fixture *f = *state;
    const struct trp_json root = parsed(f, "{\"a\":[1,[2,3],{}],\"b\":{\"x\":null},\"\":4.5}");
    static const char *const keys[] = { "a", "b", "" };
    static const enum trp_json_type types[] = { TRP_JSON_ARRAY, TRP_JSON_OBJECT, TRP_JSON_FLOAT };
    struct trp_json_iter it;
    struct trp_str key;
    struct trp_json value;
    size_t n = 0;
    assert_int_equal(trp_json_count(root), 3);
    assert_true(trp_json_begin(root, &it));
    for (; trp_json_next(&it, &key, &value); n++) {
        assert_true(trp_str_is(key, keys[n]));
        assert_int_equal(trp_json_type(value), types[n]);
    }
    assert_int_equal(n, 3);
    assert_true(trp_json_find(root, "a", &value));
    assert_int_equal(trp_json_count(value), 3);
    assert_true(trp_json_begin(value, &it));
    for (n = 0; trp_json_next(&it, NULL, &value);)
        n++;
    assert_int_equal(n, 3);
    assert_false(trp_json_next(&it, NULL, &value));
}

static void empty_containers_and_scalars_have_no_children(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = { "[]", "{}", "7", "1.5", "\"s\"", "null", "true" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct trp_json_iter it;
        struct trp_json value;
        const struct trp_json v = parsed(f, texts[i]);
        assert_int_equal(trp_json_count(v), 0);
        assert_false(trp_json_begin(v, &it));
        assert_false(trp_json_next(&it, NULL, &value));
        assert_false(trp_json_find(v, "a", &value));
    }
}

static void the_last_of_duplicate_keys_wins(void **state)
{
    struct fixture *f = *state;
    struct trp_json v;
    int64_t i;
    assert_true(trp_json_find(parsed(f, "{\"a\":1,\"b\":2,\"a\":3}"), "a", &v));
    assert_true(trp_json_as_i64(v, &i));
    assert_int_equal(i, 3);
}

static void bad_texts_say_what_is_wrong_and_where(void **state)
{
    struct fixture *f = *state;
    static const struct row {
        const char *text, *want;
    } rows[] = {
        { "", "byte 0: the text ends, expected a value" },
        { "  ", "byte 2: the text ends, expected a value" },
        { "[1,]", "byte 3: ']', expected a value" },
        { "[1 2]", "byte 3: '2', expected ',' or ']'" },
        { "{\"a\" 1}", "byte 5: '1', expected ':'" },
        { "{\"a\":1,}", "byte 7: '}', expected a key in quotes" },
        { "{a:1}", "byte 1: 'a', expected a key in quotes or '}'" },
        { "{\"a\":1]", "byte 6: ']', expected ',' or '}'" },
        { "[1}", "byte 2: '}', expected ',' or ']'" },
        { "[,1]", "byte 1: ',', expected a value or ']'" },
        { "[1", "byte 2: the text ends, expected ',' or ']'" },
        { "[1] x", "byte 4: 'x', expected nothing more" },
        { "[tru]", "byte 1: 'tru' is no JSON value" },
        { "[01]", "byte 1: '01' is no JSON value" },
        { "[1.]", "byte 1: '1.' is no JSON value" },
        { "[1e]", "byte 1: '1e' is no JSON value" },
        { "[-]", "byte 1: '-' is no JSON value" },
        { "[+1]", "byte 1: '+1' is no JSON value" },
        { "[0x10]", "byte 1: '0x10' is no JSON value" },
        { "['a']", "byte 1: ''a'' is no JSON value" },
        { "[nan]", "byte 1: 'nan' is no JSON value" },
        { "[1e999]", "byte 1: 1e999 does not fit a 64-bit float" },
        { "[NaN, -Infinity, 1e999]", "byte 17: 1e999 does not fit a 64-bit float" },
        { "[\"ab", "byte 1: a string that is not closed" },
        { "[\"\\x\"]", "byte 2: a bad escape in a string" },
        { "[\"\\u12g4\"]", "byte 2: a bad escape in a string" },
        { "[\"a\nb\"]", "byte 3: a control character in a string" },
        { "[\"\xff\"]", "byte 2: bytes that are not UTF-8 in a string" },
        { "[\"\\ud800\"]", "not valid JSON: " },
        { "[[[[[[[[[1]]]]]]]]]", "byte 8: nested deeper than 8" },
        { "abcdefghijklmnopqrstuvwxyz0123456789",
          "byte 0: 'abcdefghijklmnopqrstuvwxyz012345...' is no JSON value" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_json root;
        assert_int_equal(parse(f, r->text, &root).code, TRP_INVALID_ARGUMENT);
        print_message("%s -> %s\n", r->text, f->err.text);
        assert_memory_equal(f->err.text, r->want, strlen(r->want));
    }
}

static void nesting_is_allowed_up_to_the_limit(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(trp_json_type(parsed(f, "[[[[[[[[1]]]]]]]]")), TRP_JSON_ARRAY);
}

static void a_text_above_the_limit_is_too_large(void **state)
{
    struct fixture *f = *state;
    struct trp_json_parser *small;
    struct trp_json root;
    assert_int_equal(trp_json_parser_create(10, 2, &small, NULL).code, TRP_OK);
    assert_int_equal(trp_json_parse(small, trp_str_of("[1,2,3,4]"), false, &root, &f->err).code,
                     TRP_OK);
    assert_int_equal(trp_json_parse(small, trp_str_of("[NaN,NaN] "), false, &root, &f->err).code,
                     TRP_OK);
    assert_int_equal(trp_json_parse(small, trp_str_of("[1,2,3,4,5]"), false, &root, &f->err).code,
                     TRP_TOO_LARGE);
    trp_json_parser_destroy(small);
    trp_json_parser_destroy(NULL);
}

static void whatever_lies_behind_a_padded_text_is_not_read_as_part_of_it(void **state)
{
    struct fixture *f = *state;
    char text[8 + TRP_JSON_PADDING];
    int32_t out[2] = { 0 };
    struct trp_json root;
    memset(text, '9', sizeof text);
    memcpy(text, "[1,2]", 5);
    assert_int_equal(trp_json_parse(f->parser, trp_str_make(text, 5), true, &root, &f->err).code,
                     TRP_OK);
    assert_int_equal(trp_json_fill(root, TROUPE_INT32, out, 2, &f->err).code, TRP_OK);
    assert_int_equal(out[1], 2);
    assert_int_equal(
        trp_json_parse(f->parser, trp_str_make(text + 1, 1), true, &root, &f->err).code, TRP_OK);
    assert_int_equal(trp_json_fill(root, TROUPE_INT32, out, 1, &f->err).code, TRP_OK);
    assert_int_equal(out[0], 1);
}

static void a_parser_is_as_good_after_large_texts_and_failures(void **state)
{
    (void)state;
    struct trp_json_parser *p;
    struct trp_json root;
    const size_t len = 5 << 20;
    char *text = malloc(len);
    memset(text, ' ', len);
    text[0] = '7';
    assert_int_equal(trp_json_parser_create(len, DEPTH, &p, NULL).code, TRP_OK);
    assert_int_equal(trp_json_parse(p, trp_str_make(text, len), false, &root, NULL).code, TRP_OK);
    for (int i = 0; i < 200; i++) { /* gives the memory back on the way */
        int64_t v;
        assert_int_equal(trp_json_parse(p, trp_str_of("[["), false, &root, NULL).code,
                         TRP_INVALID_ARGUMENT);
        assert_int_equal(trp_json_parse(p, trp_str_of("42"), false, &root, NULL).code, TRP_OK);
        assert_true(trp_json_as_i64(root, &v) && v == 42);
    }
    assert_int_equal(trp_json_parse(p, trp_str_make(text, len), false, &root, NULL).code, TRP_OK);
    trp_json_parser_destroy(p);
    free(text);
}

/* ---- filling tensors ------------------------------------------------------------------------- */

/* Private bytes of this process; 0 when the system does not say. */
static uint64_t private_bytes(void)
{
    struct trp_footprint now;
    return trp_footprint_glance("", &now) ? now.private_bytes : 0;
}

static void what_a_large_text_needed_is_given_back_when_none_comes_again(void **state)
{
    (void)state;
    const size_t len = 8u << 20;
    struct trp_json_parser *p;
    struct trp_json root;
    assert_int_equal(trp_json_parser_create(len, DEPTH, &p, NULL).code, TRP_OK);
    char *text = malloc(len);
    assert_non_null(text);
    text[0] = '[';
    for (size_t i = 1; i + 1 < len; i++)
        text[i] = i % 2 ? '7' : ',';
    text[len - 2] = ' ';
    text[len - 1] = ']';
    const struct trp_str large = { text, len };
    assert_int_equal(trp_json_parse(p, large, false, &root, NULL).code, TRP_OK);
    trp_json_parser_age(p); /* it was needed since the last look */
    const uint64_t before = private_bytes();
    assert_int_equal(trp_json_parse(p, TRP_STR_LIT("[1]"), false, &root, NULL).code, TRP_OK);
    trp_json_parser_age(p);
    const uint64_t after = private_bytes();
    assert_true(before == 0 || after == 0 || RUNS_SANITIZED || after + 2 * len < before);
    assert_int_equal(trp_json_parse(p, large, false, &root, NULL).code, TRP_OK);
    assert_int_equal(trp_json_type(root), TRP_JSON_ARRAY);
    free(text);
    trp_json_parser_destroy(p);
}

static void nested_and_flat_arrays_fill_alike(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = { "[1,2.5,-3,4e0]", "[[1,2.5],[-3,4.0]]",
                                         "[[[[1]],[[2.5]]],[[-3,4]]]" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        float out[4] = { 0 };
        assert_int_equal(trp_json_fill(parsed(f, texts[i]), TROUPE_FP32, out, 4, &f->err).code,
                         TRP_OK);
        assert_true(out[0] == 1 && out[1] == 2.5f && out[2] == -3 && out[3] == 4);
    }
    float scalar = 0;
    assert_int_equal(trp_json_fill(parsed(f, "6.5"), TROUPE_FP32, &scalar, 1, &f->err).code,
                     TRP_OK);
    assert_true(scalar == 6.5f);
    assert_int_equal(trp_json_fill(parsed(f, "[[],[]]"), TROUPE_FP32, &scalar, 0, &f->err).code,
                     TRP_OK);
}

static void the_extremes_of_every_integer_type_are_exact(void **state)
{
    struct fixture *f = *state;
    static const struct row {
        int32_t dtype;
        const char *text;
        uint64_t low, high; /* as stored, zero-extended */
        size_t width;
    } rows[] = {
        { TROUPE_INT8, "[-128,127]", 0x80, 0x7f, 1 },
        { TROUPE_UINT8, "[0,255]", 0, 0xff, 1 },
        { TROUPE_INT16, "[-32768,32767]", 0x8000, 0x7fff, 2 },
        { TROUPE_UINT16, "[0,65535]", 0, 0xffff, 2 },
        { TROUPE_INT32, "[-2147483648,2147483647]", 0x80000000, 0x7fffffff, 4 },
        { TROUPE_UINT32, "[0,4294967295]", 0, 0xffffffff, 4 },
        { TROUPE_INT64, "[-9223372036854775808,9223372036854775807]", UINT64_C(1) << 63, INT64_MAX,
          8 },
        { TROUPE_UINT64, "[0,18446744073709551615]", 0, UINT64_MAX, 8 },
        { TROUPE_INT8, "[-128.0,1.27e2]", 0x80, 0x7f, 1 },
        { TROUPE_UINT8, "[-0.0,255.0]", 0, 0xff, 1 },
        { TROUPE_BOOL, "[false,true]", 0, 1, 1 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        unsigned char out[16] = { 0 };
        uint64_t low = 0, high = 0;
        print_message("%s\n", r->text);
        assert_int_equal(trp_json_fill(parsed(f, r->text), r->dtype, out, 2, &f->err).code, TRP_OK);
        memcpy(&low, out, r->width);
        memcpy(&high, out + r->width, r->width);
        assert_true(low == r->low && high == r->high);
    }
}

static void what_does_not_fit_names_the_element_the_value_and_the_type(void **state)
{
    struct fixture *f = *state;
    static const struct row {
        int32_t dtype;
        const char *text, *want;
    } rows[] = {
        { TROUPE_INT8, "[1,128]", "element 1: 128 does not fit INT8" },
        { TROUPE_INT8, "[-129,1]", "element 0: -129 does not fit INT8" },
        { TROUPE_UINT8, "[1,-1]", "element 1: -1 does not fit UINT8" },
        { TROUPE_INT32, "[1,99999999999]", "element 1: 99999999999 does not fit INT32" },
        { TROUPE_INT64, "[0,9223372036854775808]",
          "element 1: 9223372036854775808 does not fit INT64" },
        { TROUPE_INT64, "[0,9223372036854775808.0]",
          "element 1: 9223372036854775808 does not fit INT64" },
        { TROUPE_INT64, "[0,-9223372036854775809]", /* as a float it is one that would fit */
          "element 1: -9223372036854775808 does not fit INT64" },
        { TROUPE_INT64, "[0,9007199254740993.0]",
          "element 1: 9007199254740992 does not fit INT64" },
        { TROUPE_UINT64, "[0,18446744073709551616]",
          "element 1: 18446744073709551616 does not fit UINT64" },
        { TROUPE_INT32, "[1.5,1]", "element 0: 1.5 is no whole number, expected INT32" },
        { TROUPE_INT32, "[\"1\",1]", "element 0: the string '1', expected INT32" },
        { TROUPE_INT32, "[NaN,1]", "element 0: the string 'NaN', expected INT32" },
        { TROUPE_INT32, "[true,1]", "element 0: true, expected INT32" },
        { TROUPE_INT32, "[1,null]", "element 1: null, expected INT32" },
        { TROUPE_INT32, "[1,{\"a\":1}]", "element 1: an object, expected INT32" },
        { TROUPE_BOOL, "[1,0]", "element 0: 1, expected BOOL" },
        { TROUPE_BOOL, "[true,0.5]", "element 1: 0.5, expected BOOL" },
        { TROUPE_FP32, "[1,1e39]", "element 1: 1e+39 does not fit FP32" },
        { TROUPE_FP32, "[1,-3.5e38]", "element 1: -3.5e+38 does not fit FP32" },
        { TROUPE_FP16, "[65520,1]", "element 0: 65520 does not fit FP16" },
        { TROUPE_BF16, "[3.4e38,1]", "element 0: 3.4e+38 does not fit BF16" },
        { TROUPE_FP32, "[false,1]", "element 0: false, expected FP32" },
        { TROUPE_FP32, "[\"inf\",1]", "element 0: the string 'inf', expected FP32" },
        { TROUPE_FP32, "[1,2,3]", "more than 2 elements" },
        { TROUPE_FP32, "[[1],[]]", "1 elements, expected 2" },
        { TROUPE_BYTES, "[1,2]", "data type 13 has no numbers" },
        { 77, "[1,2]", "data type 77 has no numbers" },
        { TROUPE_FP32, "[\"0123456789012345678901234567890123456789-\",1]",
          "element 0: the string '0123456789012345678901234567890123456789...', expected FP32" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        unsigned char out[16];
        const trp_status st = trp_json_fill(parsed(f, r->text), r->dtype, out, 2, &f->err);
        print_message("%s -> %s\n", r->text, f->err.text);
        assert_int_equal(st.code, TRP_INVALID_ARGUMENT);
        assert_string_equal(f->err.text, r->want);
    }
}

static void non_finite_numbers_come_bare_or_quoted(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "{\"NaN\":\"x NaN, Infinity \\\" "
                               "NaN\",\"d\":[NaN,\"NaN\",Infinity,-Infinity,\"-Infinity\"]}";
    struct trp_json data;
    float out[5];
    double wide[5];
    uint16_t half[5], brain[5];
    assert_true(trp_json_find(parsed(f, text), "d", &data));
    assert_int_equal(trp_json_fill(data, TROUPE_FP32, out, 5, &f->err).code, TRP_OK);
    assert_int_equal(trp_json_fill(data, TROUPE_FP64, wide, 5, &f->err).code, TRP_OK);
    assert_int_equal(trp_json_fill(data, TROUPE_FP16, half, 5, &f->err).code, TRP_OK);
    assert_int_equal(trp_json_fill(data, TROUPE_BF16, brain, 5, &f->err).code, TRP_OK);
    assert_true(isnan(out[0]) && isnan(out[1]) && isnan(wide[0]) && isnan(trp_fp16_to(half[0])));
    assert_true(out[2] == INFINITY && out[3] == -INFINITY && out[4] == -INFINITY);
    assert_true(wide[2] == INFINITY && half[2] == 0x7c00 && brain[3] == 0xff80);
    assert_true(trp_json_find(parsed(f, text), "NaN", &data));
    struct trp_str s;
    assert_true(trp_json_as_str(data, &s) && trp_str_is(s, "x NaN, Infinity \" NaN"));
}

static void integers_beyond_64_bits_are_floats_to_float_tensors(void **state)
{
    struct fixture *f = *state; /* JavaScript prints 1e20 as 100000000000000000000 */
    double out[2];
    assert_int_equal(trp_json_fill(parsed(f, "[100000000000000000000,-9223372036854775809]"),
                                   TROUPE_FP64, out, 2, &f->err)
                         .code,
                     TRP_OK);
    assert_true(out[0] == 1e20 && out[1] == -0x1p63);
}

static void halves_are_rounded_once(void **state)
{
    struct fixture *f = *state;
    static const struct row {
        const char *text;
        uint16_t fp16, bf16;
    } rows[] = {
        { "[1]", 0x3c00, 0x3f80 },
        { "[0.1]", 0x2e66, 0x3dcd },
        { "[1.00048828125]", 0x3c00, 0x3f80 }, /* halfway in FP16: to even */
        /* A hair above halfway; rounding to float first would land on the middle and go down. */
        { "[1.0004882812500000001]", 0x3c00, 0x3f80 },
        { "[1.00048828125001]", 0x3c01, 0x3f80 },
        { "[1.00390625000001]", 0x3c04, 0x3f81 },
        { "[-65504]", 0xfbff, 0xc780 },
        { "[65519]", 0x7bff, 0x4780 },
        { "[5.9604645e-8]", 0x0001, 0x3380 },
        { "[1e-300]", 0x0000, 0x0000 },
        { "[-0.0]", 0x8000, 0x8000 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        uint16_t half = 1, brain = 1;
        print_message("%s\n", r->text);
        assert_int_equal(trp_json_fill(parsed(f, r->text), TROUPE_FP16, &half, 1, &f->err).code,
                         TRP_OK);
        assert_int_equal(trp_json_fill(parsed(f, r->text), TROUPE_BF16, &brain, 1, &f->err).code,
                         TRP_OK);
        assert_int_equal(half, r->fp16);
        assert_int_equal(brain, r->bf16);
    }
}

static trp_status join(void *user, struct trp_str s, struct trp_error *err)
{
    struct trp_buf *b = user;
    if (trp_str_is(s, "stop"))
        return trp_fail(err, TRP_CANCELLED, "stopped");
    trp_buf_add_str(b, s);
    trp_buf_add_char(b, '|');
    return trp_ok();
}

static void strings_are_visited_in_order_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 100);
    assert_int_equal(
        trp_json_each_string(parsed(f, "[[\"a\",\"\"],[\"\\u0000\",\"d\"]]"), join, &b, &f->err)
            .code,
        TRP_OK);
    assert_memory_equal(b.ptr, "a||\0|d|", 7);
    assert_int_equal(trp_json_each_string(parsed(f, "\"s\""), join, &b, &f->err).code, TRP_OK);
    assert_int_equal(trp_json_each_string(parsed(f, "[\"a\",1]"), join, &b, &f->err).code,
                     TRP_INVALID_ARGUMENT);
    assert_string_equal(f->err.text, "element 1: 1, expected a string");
    assert_int_equal(trp_json_each_string(parsed(f, "[\"stop\"]"), join, &b, &f->err).code,
                     TRP_CANCELLED);
    trp_buf_deinit(&b);
}

/* ---- printing -------------------------------------------------------------------------------- */

static void numbers_print_with_the_fewest_digits(void **state)
{
    (void)state;
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 1000);
    static const float floats[] = { 0.1f,  -0.0f,   0,         1,        16777216, 1e30f,
                                    3e-5f, FLT_MAX, -INFINITY, INFINITY, NAN,      1.5f };
    trp_json_write_values(&b, TROUPE_FP32, floats, ARRAY_LEN(floats));
    assert_string_equal(trp_buf_text(&b), "0.1,-0.0,0,1,16777216,1e+30,3e-05,3.4028235e+38,"
                                          "\"-Infinity\",\"Infinity\",\"NaN\",1.5");
    trp_buf_reset(&b);
    static const double doubles[] = { 0.1, 1e300, -1.7976931348623157e308, 0.30000000000000004 };
    trp_json_write_values(&b, TROUPE_FP64, doubles, ARRAY_LEN(doubles));
    assert_string_equal(trp_buf_text(&b),
                        "0.1,1e+300,-1.7976931348623157e+308,0.30000000000000004");
    trp_buf_reset(&b);
    static const int64_t longs[] = { INT64_MIN, -1, 0, INT64_MAX };
    trp_json_write_values(&b, TROUPE_INT64, longs, ARRAY_LEN(longs));
    assert_string_equal(trp_buf_text(&b), "-9223372036854775808,-1,0,9223372036854775807");
    trp_buf_reset(&b);
    static const int8_t bytes[] = { -128, 65, 127 };
    trp_json_write_values(&b, TROUPE_INT8, bytes, ARRAY_LEN(bytes));
    trp_json_write_values(&b, TROUPE_BOOL, "\0\1", 2);
    static const uint16_t halves[] = { 0x3c00, 0x2e66, 0xfc00 };
    trp_json_write_values(&b, TROUPE_FP16, halves, ARRAY_LEN(halves));
    trp_json_write_f64(&b, -0.0);
    trp_json_write_f32(&b, 2.5f);
    trp_json_write_values(&b, TROUPE_BYTES, "", 1); /* no numbers: nothing */
    assert_string_equal(trp_buf_text(&b),
                        "-128,65,127false,true1,0.099975586,\"-Infinity\"-0.02.5");
    trp_buf_deinit(&b);
}

static void many_numbers_come_back_bit_for_bit(void **state)
{
    (void)state;
    enum { N = 150000 };
    uint32_t *in = malloc(N * sizeof *in), *out = malloc(N * sizeof *out);
    struct trp_json_parser *p;
    struct trp_json root;
    struct trp_error err = { 0 };
    struct trp_buf b;
    uint64_t seed = 42;
    for (size_t i = 0; i < N; i++) {
        do {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            in[i] = (uint32_t)(seed >> 32);
        } while ((in[i] & 0x7f800000) == 0x7f800000); /* NaNs do not keep their payload */
    }
    trp_buf_init(&b, trp_heap(), 1 << 24);
    trp_buf_add_char(&b, '[');
    trp_json_write_values(&b, TROUPE_FP32, in, N);
    trp_buf_add_char(&b, ']');
    assert_int_equal(trp_json_parser_create(1 << 24, 4, &p, &err).code, TRP_OK);
    assert_int_equal(trp_json_parse(p, trp_buf_str(&b), false, &root, &err).code, TRP_OK);
    assert_int_equal(trp_json_count(root), N);
    assert_int_equal(trp_json_fill(root, TROUPE_FP32, out, N, &err).code, TRP_OK);
    assert_memory_equal(in, out, N * sizeof *in);
    trp_json_parser_destroy(p);
    trp_buf_deinit(&b);
    free(in);
    free(out);
}

static void a_buffer_is_filled_to_its_last_byte_and_no_further(void **state)
{
    (void)state;
    static const int32_t ones[600] = { 0 };
    for (size_t missing = 0; missing < 2; missing++) {
        struct trp_buf b;
        trp_buf_init(&b, trp_heap(), 600 * 2 - 1 - missing);
        trp_json_write_values(&b, TROUPE_INT32, ones, 600);
        assert_int_equal(b.failed, missing ? TRP_TOO_LARGE : TRP_OK);
        trp_buf_deinit(&b);
    }
}

static void strings_are_escaped_and_always_utf8(void **state)
{
    (void)state;
    static const struct row {
        const char *in, *want;
    } rows[] = {
        { "", "\"\"" },
        { "plain", "\"plain\"" },
        { "a\"b\\c/", "\"a\\\"b\\\\c/\"" },
        { "\b\f\n\r\t\x01\x1f\x7f", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"" },
        { "h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
          "\"h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"" },
        { "\xff"
          "a\xc3",
          "\"\xef\xbf\xbd"
          "a\xef\xbf\xbd\"" },
        { "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_buf b;
        trp_buf_init(&b, trp_heap(), 100);
        trp_json_write_str(&b, trp_str_of(r->in));
        assert_string_equal(trp_buf_text(&b), r->want);
        trp_buf_deinit(&b);
    }
}

/* Plain ones are taken eight at a time. */
static void each_character_is_seen_at_each_place(void **state)
{
    (void)state;
    enum { LENGTH = 20 };
    for (unsigned c = 0; c < 0x80; c++) {
        for (size_t at = 0; at < LENGTH; at++) {
            char in[LENGTH];
            struct trp_buf b, one;
            memset(in, 'x', sizeof in);
            in[at] = (char)c;
            trp_buf_init(&one, trp_heap(), 16);
            trp_json_write_str(&one, trp_str_make(in + at, 1));
            trp_buf_init(&b, trp_heap(), 100);
            trp_json_write_str(&b, trp_str_make(in, sizeof in));
            assert_int_equal(b.len, sizeof in + one.len - 1);
            assert_memory_equal(b.ptr + 1 + at, one.ptr + 1, one.len - 2);
            for (size_t i = 0; i < at; i++)
                assert_int_equal(b.ptr[1 + i], 'x');
            for (size_t i = at + 1; i < sizeof in; i++)
                assert_int_equal(b.ptr[b.len - 1 - sizeof in + i], 'x');
            trp_buf_deinit(&one);
            trp_buf_deinit(&b);
        }
    }
}

#define ON_PARSER(f) cmocka_unit_test_setup_teardown(f, make_parser, drop_parser)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_PARSER(every_type_is_told_apart),
        ON_PARSER(a_value_is_given_only_as_what_it_is),
        ON_PARSER(arrays_and_objects_are_walked_in_order),
        ON_PARSER(empty_containers_and_scalars_have_no_children),
        ON_PARSER(the_last_of_duplicate_keys_wins),
        ON_PARSER(bad_texts_say_what_is_wrong_and_where),
        ON_PARSER(nesting_is_allowed_up_to_the_limit),
        ON_PARSER(a_text_above_the_limit_is_too_large),
        ON_PARSER(whatever_lies_behind_a_padded_text_is_not_read_as_part_of_it),
        cmocka_unit_test(a_parser_is_as_good_after_large_texts_and_failures),
        cmocka_unit_test(what_a_large_text_needed_is_given_back_when_none_comes_again),
        ON_PARSER(nested_and_flat_arrays_fill_alike),
        ON_PARSER(the_extremes_of_every_integer_type_are_exact),
        ON_PARSER(what_does_not_fit_names_the_element_the_value_and_the_type),
        ON_PARSER(non_finite_numbers_come_bare_or_quoted),
        ON_PARSER(integers_beyond_64_bits_are_floats_to_float_tensors),
        ON_PARSER(halves_are_rounded_once),
        ON_PARSER(strings_are_visited_in_order_and_nothing_else),
        cmocka_unit_test(numbers_print_with_the_fewest_digits),
        cmocka_unit_test(many_numbers_come_back_bit_for_bit),
        cmocka_unit_test(a_buffer_is_filled_to_its_last_byte_and_no_further),
        cmocka_unit_test(strings_are_escaped_and_always_utf8),
        cmocka_unit_test(each_character_is_seen_at_each_place),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}

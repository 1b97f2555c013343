/* The schema's work on trees: normal form, JSON, protobuf bytes both ways, descriptors.  A small
 * message table of its own holds every type and label. */
#include "tree.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/pbwire.h"
#include "conf/schema.h"

static const struct trp_enum_value colour_values[] = { { "COLOUR_NONE", 0 },
                                                       { "COLOUR_RED", 1 },
                                                       { "COLOUR_DEEP_BLUE", 7 } };
static const struct trp_enum colour = { "t.Colour", colour_values, ARRAY_LEN(colour_values) };

static const struct trp_field inner_fields[] = {
    { "text", 1, TRP_FIELD_STRING, TRP_FIELD_ONE, NULL, NULL, NULL, NULL, TRP_USE_ACTS, "" },
    { "numbers", 2, TRP_FIELD_INT64, TRP_FIELD_MANY, NULL, NULL, NULL, NULL, TRP_USE_LATER, "" },
};
static const struct trp_message inner = { "t.Inner", inner_fields, ARRAY_LEN(inner_fields) };

static const struct trp_message unit = { "t.All.Unit", NULL, 0 };

#define ROW(name, number, type, label)                                                           \
    {                                                                                            \
        name, number, TRP_FIELD_##type, TRP_FIELD_##label, NULL, NULL, NULL, NULL, TRP_USE_ACTS, \
            ""                                                                                   \
    }
static const struct trp_field all_fields[] = {
    ROW("i32", 1, INT32, ONE),
    ROW("u32", 2, UINT32, ONE),
    ROW("i64", 3, INT64, ONE),
    ROW("u64", 4, UINT64, ONE),
    ROW("flag", 5, BOOL, ONE),
    ROW("f32", 6, FLOAT, ONE),
    ROW("f64", 7, DOUBLE, ONE),
    ROW("text", 8, STRING, ONE),
    ROW("raw", 9, BYTES, ONE),
    { "colour", 10, TRP_FIELD_ENUM, TRP_FIELD_ONE, NULL, &colour, NULL, NULL, TRP_USE_ACTS, "" },
    { "inner", 11, TRP_FIELD_MESSAGE, TRP_FIELD_ONE, &inner, NULL, NULL, NULL, TRP_USE_ACTS, "" },
    ROW("many_i32", 12, INT32, MANY),
    ROW("many_f64", 13, DOUBLE, MANY),
    ROW("many_f32", 14, FLOAT, MANY),
    ROW("many_text", 15, STRING, MANY),
    { "many_inner", 16, TRP_FIELD_MESSAGE, TRP_FIELD_MANY, &inner, NULL, NULL, NULL, TRP_USE_ACTS,
      "" },
    ROW("by_name", 17, STRING, MAP_STRING),
    { "by_u64", 18, TRP_FIELD_MESSAGE, TRP_FIELD_MAP_UINT64, &inner, NULL, NULL, NULL, TRP_USE_ACTS,
      "" },
    ROW("by_u32", 19, INT64, MAP_UINT32),
    { "one_a", 20, TRP_FIELD_MESSAGE, TRP_FIELD_ONE, &unit, NULL, "pick", NULL, TRP_USE_ACTS, "" },
    { "one_b", 21, TRP_FIELD_INT32, TRP_FIELD_ONE, NULL, NULL, "pick", NULL, TRP_USE_ACTS, "" },
    { "later", 22, TRP_FIELD_MESSAGE, TRP_FIELD_ONE, &inner, NULL, NULL, NULL, TRP_USE_LATER, "" },
    { "never", 23, TRP_FIELD_BOOL, TRP_FIELD_ONE, NULL, NULL, NULL, NULL, TRP_USE_NO, "no use" },
    { "ours", 24, TRP_FIELD_STRING, TRP_FIELD_ONE, NULL, NULL, NULL, NULL, TRP_USE_OURS, "" },
    { "colours", 25, TRP_FIELD_ENUM, TRP_FIELD_MANY, NULL, &colour, NULL, NULL, TRP_USE_ACTS, "" },
    { "preset", 26, TRP_FIELD_INT32, TRP_FIELD_ONE, NULL, NULL, NULL, "5", TRP_USE_ACTS, "" },
};
static const struct trp_message all = { "t.All", all_fields, ARRAY_LEN(all_fields) };

/* ---- normal form ---- */

static trp_status normalise(struct fixture *f, const char *file, const char *text,
                            struct trp_node **out)
{
    struct trp_node *written;
    const struct trp_str s = trp_str_of(text);
    const bool is_yaml = strstr(file, "yaml") != NULL;
    assert_works(f, is_yaml ? trp_node_from_yaml(&f->arena, s, file, 10000, &written, &f->err)
                            : trp_node_from_pbtxt(&f->arena, s, file, 10000, &written, &f->err));
    return trp_schema_normalise(&f->arena, &all, written, NULL, NULL, out, &f->err);
}

static void both_spellings_have_one_normal_form(void **state)
{
    (void)state;
    static const struct row {
        const char *yaml, *pbtxt, *json;
    } rows[] = {
        { "", "", "{}" },
        { "i32: -5", "i32: -5", "{\"i32\":-5}" },
        { "i32: 0x10", "i32: 0x10", "{\"i32\":16}" },
        { "u64: 18446744073709551615", "u64: 18446744073709551615",
          "{\"u64\":18446744073709551615}" },
        { "i64: \"-9223372036854775808\"", "i64: -9223372036854775808",
          "{\"i64\":-9223372036854775808}" },
        { "i32: 2.0e0\n", "i32: 2.0", NULL },
        { "flag: true", "flag: true", "{\"flag\":true}" },
        { "flag: False", "flag: f", "{\"flag\":false}" },
        { "f64: 1e3\nf32: 0.1", "f64: 1e3 f32: 0.1", "{\"f32\":0.10000000149011612,\"f64\":1000}" },
        { "f64: .inf", "f64: inf", "{\"f64\":\"Infinity\"}" },
        { "f64: -.inf", "f64: -inf", "{\"f64\":\"-Infinity\"}" },
        { "f64: NaN", "f64: nan", "{\"f64\":\"NaN\"}" },
        { "f64: 3", "f64: 3", "{\"f64\":3}" },
        { "text: yes", "text: \"yes\"", "{\"text\":\"yes\"}" },
        { "text: 0x10", "text: \"0x10\"", "{\"text\":\"0x10\"}" },
        { "text: \"\"", "text: ''", "{\"text\":\"\"}" },
        { "colour: COLOUR_RED", "colour: COLOUR_RED", "{\"colour\":\"COLOUR_RED\"}" },
        { "colour: \"COLOUR_RED\"", "colour: 1", "{\"colour\":\"COLOUR_RED\"}" },
        { "inner: {text: a}", "inner { text: 'a' }", "{\"inner\":{\"text\":\"a\"}}" },
        { "inner:", "inner {}", "{\"inner\":{}}" },
        { "many_i32: 4", "many_i32: 4", "{\"many_i32\":[4]}" },
        { "many_i32: [1, 2, 3]", "many_i32: 1 many_i32: [2, 3]", "{\"many_i32\":[1,2,3]}" },
        { "many_i32:", "many_i32: []", "{\"many_i32\":[]}" },
        { "many_text: [no, 1]", "many_text: 'no' many_text: '1'",
          "{\"many_text\":[\"no\",\"1\"]}" },
        { "many_inner: [{text: a}, {}]", "many_inner [{ text: 'a' }] many_inner {}",
          "{\"many_inner\":[{\"text\":\"a\"},{}]}" },
        { "many_inner: {text: a}", "many_inner { text: 'a' }",
          "{\"many_inner\":[{\"text\":\"a\"}]}" },
        { "by_name: {a: 1, b: x}",
          "by_name { key: 'a' value: '1' } by_name: [{ key: 'b', value: 'x' }]",
          "{\"by_name\":{\"a\":\"1\",\"b\":\"x\"}}" },
        { "by_name: {}", "by_name: []", "{\"by_name\":{}}" },
        { "by_name: [{key: a, value: b}]", "by_name { value: 'b' key: 'a' }",
          "{\"by_name\":{\"a\":\"b\"}}" },
        { "by_name: {a: \"\"}", "by_name { key: 'a' }", "{\"by_name\":{\"a\":\"\"}}" },
        { "by_u64: {7: {text: x}, 18446744073709551615: {}}",
          "by_u64 { key: 7 value { text: 'x' } } by_u64 { key: 18446744073709551615 }",
          "{\"by_u64\":{\"7\":{\"text\":\"x\"},\"18446744073709551615\":{}}}" },
        { "by_u32: {4294967295: -1}", "by_u32 { key: 4294967295 value: -1 }",
          "{\"by_u32\":{\"4294967295\":-1}}" },
        { "one_a:", "one_a {}", "{\"one_a\":{}}" },
        { "one_b: 0", "one_b: 0", "{\"one_b\":0}" },
        { "one_a: null\none_b: 1", "one_b: 1", "{\"one_b\":1}" },
        { "text: ~\ninner: null\nmany_i32: ~", "", "{}" },
        { "never: false", "never: false", "{\"never\":false}" },
        { "text: b\ni32: 1\ninner: {numbers: [1], text: x}",
          "inner { numbers: 1 text: 'x' } text: 'b' i32: 1",
          "{\"i32\":1,\"text\":\"b\",\"inner\":{\"text\":\"x\",\"numbers\":[1]}}" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        struct trp_node *n;
        fixture_init(&f);
        print_message("%s\n", r->pbtxt);
        const trp_status yaml = normalise(&f, "y.yaml", r->yaml, &n);
        if (r->json) {
            assert_works(&f, yaml);
            assert_string_equal(fixture_json(&f, n), r->json);
        }
        assert_works(&f, normalise(&f, "p.pbtxt", r->pbtxt, &n));
        assert_string_equal(fixture_json(&f, n), r->json ? r->json : "{\"i32\":2}");
        fixture_deinit(&f);
    }
}

static void what_does_not_fit_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct row {
        const char *file, *text, *want;
    } rows[] = {
        { "y.yaml", "i32: 1\ni33: 2", "y.yaml:2: unknown key \"i33\"; did you mean \"i32\"?" },
        { "y.yaml", "wholly_different: 2", "y.yaml:1: unknown key \"wholly_different\"" },
        { "y.yaml", "inner:\n  txet: a",
          "y.yaml:2: unknown key \"txet\" in \"inner\"; did you mean \"text\"?" },
        { "p.pbtxt", "i32: 1\ni32: 1", "p.pbtxt:2: \"i32\" is there twice (first in line 1)" },
        { "p.pbtxt", "inner {}\ninner {}",
          "p.pbtxt:2: \"inner\" is there twice (first in line 1)" },
        { "y.yaml", "i32: x",
          "y.yaml:1: \"i32\": expected a whole number of 32 bits, found \"x\"" },
        { "y.yaml",
          "i32:", "y.yaml:1: \"i32\": expected a whole number of 32 bits, found nothing" },
        { "y.yaml", "i32: [1]",
          "y.yaml:1: \"i32\": expected a whole number of 32 bits, found a list" },
        { "y.yaml", "i32: 2147483648",
          "y.yaml:1: \"i32\": expected a whole number of 32 bits, found \"2147483648\"" },
        { "p.pbtxt", "i32: -2147483649",
          "p.pbtxt:1: \"i32\": expected a whole number of 32 bits, found -2147483649" },
        { "p.pbtxt", "i32: 1.5",
          "p.pbtxt:1: \"i32\": expected a whole number of 32 bits, found 1.5" },
        { "y.yaml", "i32: 1_000",
          "y.yaml:1: \"i32\": expected a whole number of 32 bits, found \"1_000\"" },
        { "y.yaml", "i32: --1",
          "y.yaml:1: \"i32\": expected a whole number of 32 bits, found \"--1\"" },
        { "p.pbtxt", "u32: -1",
          "p.pbtxt:1: \"u32\": expected a whole number of 32 bits, not negative, found -1" },
        { "p.pbtxt", "u32: 4294967296",
          "p.pbtxt:1: \"u32\": expected a whole number of 32 bits, not negative, found "
          "4294967296" },
        { "p.pbtxt", "i64: 9223372036854775808",
          "p.pbtxt:1: \"i64\": expected a whole number of 64 bits, found 9223372036854775808" },
        { "y.yaml", "u64: 18446744073709551616",
          "y.yaml:1: \"u64\": expected a whole number of 64 bits, not negative, found "
          "\"18446744073709551616\"" },
        { "y.yaml", "flag: yes", "y.yaml:1: \"flag\": expected true or false, found \"yes\"" },
        { "p.pbtxt", "flag: 2", "p.pbtxt:1: \"flag\": expected true or false, found 2" },
        { "y.yaml", "f64: 0x1p3", "y.yaml:1: \"f64\": expected a number, found \"0x1p3\"" },
        { "y.yaml", "f64: 1e999", "y.yaml:1: \"f64\": expected a number, found \"1e999\"" },
        { "p.pbtxt", "f32: 1e39",
          "p.pbtxt:1: \"f32\": expected a number that fits 32 bits, found 1e+39" },
        { "p.pbtxt", "text: 5", "p.pbtxt:1: \"text\": expected a text, found 5" },
        { "y.yaml", "text: {}", "y.yaml:1: \"text\": expected a text, found a map of keys" },
        { "p.pbtxt", "text: '\\377'", "p.pbtxt:1: \"text\": not valid UTF-8" },
        { "p.pbtxt", "text: 'a\\000b'", "p.pbtxt:1: \"text\": holds a zero byte" },
        { "y.yaml", "colour: COLOUR_RDE",
          "y.yaml:1: \"colour\": unknown value \"COLOUR_RDE\"; did you mean \"COLOUR_RED\"?" },
        { "y.yaml", "colour: deep_blue",
          "y.yaml:1: \"colour\": unknown value \"deep_blue\"; did you mean "
          "\"COLOUR_DEEP_BLUE\"?" },
        { "p.pbtxt", "colour: 3", "p.pbtxt:1: \"colour\": unknown value 3" },
        { "y.yaml", "inner: 5", "y.yaml:1: \"inner\": expected a map of keys, found \"5\"" },
        { "y.yaml", "many_i32: [1, [2]]",
          "y.yaml:1: \"many_i32\": expected a whole number of 32 bits, found a list" },
        { "y.yaml", "many_text: [a, ~]", "y.yaml:1: \"many_text\": expected a text, found null" },
        { "p.pbtxt", "by_name { key: 'a' value: '1' }\nby_name { key: 'a' value: '2' }",
          "p.pbtxt:2: \"by_name\": the key \"a\" is there twice" },
        { "p.pbtxt", "by_name { key: '\\xff' }", "p.pbtxt:1: \"by_name\": not valid UTF-8" },
        { "p.pbtxt", "by_name { key: 'a\\0' }", "p.pbtxt:1: \"by_name\": holds a zero byte" },
        { "y.yaml", "by_name: 5", "y.yaml:1: \"by_name\": expected a map of keys, found \"5\"" },
        { "y.yaml", "by_name: [5]",
          "y.yaml:1: \"by_name\": expected a map of \"key\" and \"value\", found \"5\"" },
        { "p.pbtxt", "by_name { key: 1.5 value: '1' }",
          "p.pbtxt:1: \"by_name\": expected a text as key, found 1.5" },
        { "y.yaml", "by_u64: {x: {}}",
          "y.yaml:1: \"by_u64\": the key \"x\" is not a whole number" },
        { "y.yaml", "by_u32: {4294967296: 1}",
          "y.yaml:1: \"by_u32\": the key \"4294967296\" is not a whole number" },
        { "y.yaml", "one_a:\none_b: 1",
          "y.yaml:2: \"one_a\" and \"one_b\" exclude each other; write one of them" },
        { "y.yaml", "never: true", "y.yaml:1: \"never\" is not supported: no use" },
        { "y.yaml", "[1]", "y.yaml:1: expected a map of keys, found a list" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        struct trp_node *n;
        fixture_init(&f);
        print_message("%s\n", r->text);
        assert_fails(&f, normalise(&f, r->file, r->text, &n), TRP_INVALID_ARGUMENT, r->want);
        assert_null(n);
        fixture_deinit(&f);
    }
}

static void count_fields(void *user, const struct trp_field *f, const struct trp_node *n)
{
    (void)n;
    trp_buf_addf(user, "%s ", f->name);
}

static void whoever_asks_is_told_of_what_was_written(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_node *written, *n;
    fixture_init(&f);
    const struct trp_str text = TRP_STR_LIT("i32: 1\ni64: 0\nmany_i32: []\ninner: {numbers: 1}\n"
                                            "later: {numbers: 1}\none_a:\nby_name: {}\n");
    assert_works(&f, trp_node_from_yaml(&f.arena, text, "y.yaml", 100, &written, &f.err));
    assert_works(&f,
                 trp_schema_normalise(&f.arena, &all, written, count_fields, &f.out, &n, &f.err));
    /* Zeros say nothing; what stands in `later` is covered by it. */
    assert_string_equal(trp_buf_text(&f.out), "i32 numbers inner one_a later ");
    fixture_deinit(&f);
}

static void nothing_written_is_an_empty_tree(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_node *n;
    fixture_init(&f);
    assert_works(&f, trp_schema_normalise(&f.arena, &all, NULL, NULL, NULL, &n, &f.err));
    assert_string_equal(fixture_json(&f, n), "{}");
    fixture_deinit(&f);
}

/* ---- JSON ---- */

static const char *write_json(struct fixture *f, const struct trp_node *n, bool defaults)
{
    trp_buf_reset(&f->out);
    trp_schema_write_json(&f->out, &all, n, defaults);
    return trp_buf_text(&f->out);
}

static void json_shows_defaults_when_asked(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_node *n;
    fixture_init(&f);
    assert_works(
        &f, normalise(&f, "p.pbtxt", "inner {} ours: 'x' f32: 0.1 raw: '\\000\\377' one_b: 0", &n));
    assert_string_equal(write_json(&f, n, false),
                        "{\"f32\":0.1,\"raw\":\"AP8=\",\"inner\":{},\"one_b\":0}");
    assert_string_equal(
        write_json(&f, n, true),
        "{\"i32\":0,\"u32\":0,\"i64\":0,\"u64\":0,\"flag\":false,\"f32\":0.1,\"f64\":0,"
        "\"text\":\"\",\"raw\":\"AP8=\",\"colour\":\"COLOUR_NONE\",\"inner\":{\"text\":\"\","
        "\"numbers\":[]},\"many_i32\":[],\"many_f64\":[],\"many_f32\":[],\"many_text\":[],"
        "\"many_inner\":[],\"by_name\":{},\"by_u64\":{},\"by_u32\":{},\"one_b\":0,"
        "\"never\":false,\"colours\":[],\"preset\":5}");
    fixture_deinit(&f);
}

static void base64_pads_every_length(void **state)
{
    (void)state;
    static const struct row {
        const char *pbtxt, *json;
    } rows[] = {
        { "raw: ''", "{\"raw\":\"\"}" },
        { "raw: 'a'", "{\"raw\":\"YQ==\"}" },
        { "raw: 'ab'", "{\"raw\":\"YWI=\"}" },
        { "raw: 'abc'", "{\"raw\":\"YWJj\"}" },
        { "raw: '\\373\\377\\277x'", "{\"raw\":\"+/+/eA==\"}" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        struct trp_node *n;
        fixture_init(&f);
        assert_works(&f, normalise(&f, "p.pbtxt", r->pbtxt, &n));
        assert_string_equal(write_json(&f, n, false), r->json);
        fixture_deinit(&f);
    }
}

/* ---- protobuf ---- */

static trp_status decode(struct fixture *f, const char *bytes, size_t len, struct trp_node **out)
{
    return trp_schema_decode(&f->arena, &all, trp_str_make(bytes, len), out, &f->err);
}

static void every_type_survives_the_wire(void **state)
{
    (void)state;
    static const char text[] =
        "i32: -5 u32: 4294967295 i64: -9223372036854775808 u64: 18446744073709551615 flag: true "
        "f32: 0.5 f64: -1e300 text: 'h\\u00e9' raw: '\\000\\001' colour: COLOUR_DEEP_BLUE "
        "inner { text: 'x' numbers: [1, -1, 300] } many_i32: [0, -1, 5] many_f64: [0, -2.5] "
        "many_f32: [1, 0.25] many_text: ['', 'b'] many_inner [{}, { text: 'y' }] "
        "by_name { key: 'a' value: '1' } by_name { key: '' value: 'z' } "
        "by_u64 { key: 18446744073709551615 value { text: 'v' } } by_u32 { key: 0 value: -3 } "
        "one_b: 0 colours: [COLOUR_RED, COLOUR_NONE]";
    struct fixture f;
    struct trp_node *n, *back;
    struct trp_buf wire;
    fixture_init(&f);
    trp_buf_init(&wire, trp_heap(), 1 << 20);
    assert_works(&f, normalise(&f, "p.pbtxt", text, &n));
    trp_schema_encode(&wire, &all, n);
    assert_int_equal(wire.failed, TRP_OK);
    assert_works(&f, decode(&f, wire.ptr, wire.len, &back));
    char want[2048];
    snprintf(want, sizeof want, "%s", fixture_json(&f, n));
    assert_string_equal(fixture_json(&f, back), want);
    assert_int_equal(trp_node_get(back, "colour")->kind, TRP_NODE_WORD);
    trp_buf_deinit(&wire);
    fixture_deinit(&f);
}

static void zeros_stay_at_home(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_node *n;
    fixture_init(&f);
    assert_works(&f, normalise(&f, "p.pbtxt",
                               "i32: 0 flag: false text: '' f64: 0 colour: COLOUR_NONE "
                               "many_i32: [] by_name: [] ours: 'x'",
                               &n));
    trp_buf_reset(&f.out);
    trp_schema_encode(&f.out, &all, n);
    assert_int_equal(f.out.len, 0);
    assert_works(&f, normalise(&f, "p.pbtxt", "f64: -0.0 one_b: 0 inner {}", &n));
    trp_buf_reset(&f.out);
    trp_schema_encode(&f.out, &all, n);
    assert_int_equal(f.out.len, 9 + 2 + 3); /* -0 is no zero; members of a oneof and messages are */
    fixture_deinit(&f);
}

static void decoding_takes_what_protobuf_allows(void **state)
{
    (void)state;
#define BYTES(literal) literal, sizeof(literal) - 1
    static const struct row {
        const char *bytes;
        size_t len;
        const char *json;
    } rows[] = {
        { BYTES(""), "{}" },
        { BYTES("\x08\x01\x08\x02"), "{\"i32\":2}" }, /* the last one wins */
        { BYTES("\x60\x01\x62\x02\x02\x03\x60\x04"), "{\"many_i32\":[1,2,3,4]}" },
        { BYTES("\x5a\x03\x0a\x01\x78\x5a\x02\x10\x05"), /* merged */
          "{\"inner\":{\"text\":\"x\",\"numbers\":[5]}}" },
        { BYTES("\xa2\x01\x00\xa8\x01\x07"), "{\"one_b\":7}" }, /* the last of a oneof */
        { BYTES("\xa8\x01\x07\xa2\x01\x00"), "{\"one_a\":{}}" },
        { BYTES("\x50\x09"), "{\"colour\":9}" }, /* an unknown number stays */
        { BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "{\"i32\":-1}" },
        { BYTES("\x10\xff\xff\xff\xff\x1f"), "{\"u32\":4294967295}" }, /* cut to 32 bits */
        { BYTES("\x28\x02"), "{\"flag\":true}" },
        { BYTES("\x9a\x06\x00\x08\x01"), "{\"i32\":1}" }, /* unknown field 99 */
        { BYTES("\x0a\x01\x41\x08\x01"), "{\"i32\":1}" }, /* wrong wire type */
        { BYTES("\xc2\x01\x01\x78"), "{}" },              /* ours is nobody else's */
        { BYTES("\x8a\x01\x06\x0a\x01\x61\x12\x01\x31\x8a\x01\x06\x0a\x01\x61\x12\x01\x32"),
          "{\"by_name\":{\"a\":\"2\"}}" },
        { BYTES("\x8a\x01\x00"), "{\"by_name\":{\"\":\"\"}}" },
        { BYTES("\x92\x01\x02\x08\x05"), "{\"by_u64\":{\"5\":{}}}" },
        { BYTES("\x18\x01\x08\x02"), "{\"i32\":2,\"i64\":1}" }, /* in the table's order */
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        struct trp_node *n;
        fixture_init(&f);
        print_message("%s\n", r->json);
        assert_works(&f, decode(&f, r->bytes, r->len, &n));
        assert_string_equal(fixture_json(&f, n), r->json);
        fixture_deinit(&f);
    }
}

static void malformed_bytes_are_refused(void **state)
{
    (void)state;
    static const struct row {
        const char *bytes;
        size_t len;
        const char *want;
    } rows[] = {
        { BYTES("\x08"), "t.All: malformed at byte 0 of 1" },
        { BYTES("\x08\x01\x0a\x05"), "t.All: malformed at byte 2 of 4" },
        { BYTES("\x5a\x02\x0a\x05"), "t.Inner: malformed at byte 0 of 2" },
        { BYTES("\x42\x01\xff"), "text: not valid UTF-8" },
        { BYTES("\x62\x01\x80"), "many_i32: a packed number is cut short" },
        { BYTES("\x6a\x03\x01\x02\x03"), "many_f64: a packed number is cut short" },
        { BYTES("\x8a\x01\x02\x0a\x05"), "by_name: a map entry is malformed" },
        { BYTES("\x8a\x01\x03\x0a\x01\xff"), "by_name: a key is not valid UTF-8" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        struct trp_node *n;
        fixture_init(&f);
        assert_fails(&f, decode(&f, r->bytes, r->len, &n), TRP_INVALID_ARGUMENT, r->want);
        assert_null(n);
        fixture_deinit(&f);
    }
}

/* A message that holds itself, so that depth has no end but the limit's. */
extern const struct trp_message nest;
static const struct trp_field nest_fields[] = {
    { "in", 1, TRP_FIELD_MESSAGE, TRP_FIELD_ONE, &nest, NULL, NULL, NULL, TRP_USE_ACTS, "" },
    { "many", 2, TRP_FIELD_INT32, TRP_FIELD_MANY, NULL, NULL, NULL, NULL, TRP_USE_ACTS, "" },
};
const struct trp_message nest = { "t.Nest", nest_fields, ARRAY_LEN(nest_fields) };

static void depth_and_number_of_values_have_limits(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_node *n;
    fixture_init(&f);
    for (uint32_t depth = TRP_MESSAGE_DEPTH_MAX; depth <= TRP_MESSAGE_DEPTH_MAX + 1; depth++) {
        size_t marks[TRP_MESSAGE_DEPTH_MAX + 1];
        trp_buf_reset(&f.out);
        for (uint32_t i = 0; i < depth; i++)
            marks[i] = trp_pb_begin(&f.out, 1);
        for (uint32_t i = depth; i-- > 0;)
            trp_pb_end(&f.out, marks[i]);
        const trp_status st = trp_schema_decode(&f.arena, &nest, trp_buf_str(&f.out), &n, &f.err);
        assert_int_equal(st.code, depth > TRP_MESSAGE_DEPTH_MAX ? TRP_TOO_LARGE : TRP_OK);
    }
    fixture_deinit(&f);
    fixture_init(&f);
    f.arena.limit = 0;
    const size_t mark = trp_pb_begin(&f.out, 2);
    for (uint32_t i = 0; i < TRP_MESSAGE_NODES_MAX; i++)
        trp_buf_add_char(&f.out, 1);
    trp_pb_end(&f.out, mark);
    assert_fails(&f, trp_schema_decode(&f.arena, &nest, trp_buf_str(&f.out), &n, &f.err),
                 TRP_TOO_LARGE, "many: more than 1048576 values in one message");
    fixture_deinit(&f);
}

/* ---- looking up ---- */

static void names_are_found_and_suggested(void **state)
{
    (void)state;
    assert_ptr_equal(trp_message_field(&all, TRP_STR_LIT("i32")), &all_fields[0]);
    assert_null(trp_message_field(&all, TRP_STR_LIT("i3")));
    assert_ptr_equal(trp_message_field_numbered(&all, 10), &all_fields[9]);
    assert_null(trp_message_field_numbered(&all, 99));
    assert_string_equal(trp_message_nearest(&all, TRP_STR_LIT("Many_Texts")), "many_text");
    assert_string_equal(trp_message_nearest(&all, TRP_STR_LIT("i64x")), "i64");
    assert_null(trp_message_nearest(&all, TRP_STR_LIT("something_else")));
    assert_null(trp_message_nearest(&unit, TRP_STR_LIT("x")));
    assert_string_equal(trp_enum_nearest(&colour, TRP_STR_LIT("red")), "COLOUR_RED");
    assert_string_equal(trp_enum_nearest(&colour, TRP_STR_LIT("COLOR_RED")), "COLOUR_RED");
    assert_null(trp_enum_nearest(&colour, TRP_STR_LIT("purple")));
    assert_null(trp_enum_nearest(&colour, TRP_STR_LIT("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_spellings_have_one_normal_form),
        cmocka_unit_test(what_does_not_fit_is_refused_with_its_place),
        cmocka_unit_test(whoever_asks_is_told_of_what_was_written),
        cmocka_unit_test(nothing_written_is_an_empty_tree),
        cmocka_unit_test(json_shows_defaults_when_asked),
        cmocka_unit_test(base64_pads_every_length),
        cmocka_unit_test(every_type_survives_the_wire),
        cmocka_unit_test(zeros_stay_at_home),
        cmocka_unit_test(decoding_takes_what_protobuf_allows),
        cmocka_unit_test(malformed_bytes_are_refused),
        cmocka_unit_test(depth_and_number_of_values_have_limits),
        cmocka_unit_test(names_are_found_and_suggested),
    };
    return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}

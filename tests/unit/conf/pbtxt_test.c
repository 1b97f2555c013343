/* protobuf's text format: every spelling that it has, and what is refused, with its line. */
#include "tree.h"

#include <math.h>
#include <string.h>

static trp_status read(struct fixture *f, const char *text, struct trp_node **out)
{
    return trp_node_from_pbtxt(&f->arena, trp_str_of(text), "c.pbtxt", 1000, out, &f->err);
}

static void every_spelling_becomes_the_same_kind_of_tree(void **state)
{
    (void)state;
    static const struct row {
        const char *pbtxt, *json;
    } rows[] = {
        { "", "{}" },
        { " # nothing\n#", "{}" },
        { "a: 1", "{\"a\":1}" },
        { "a : 1 b:2;c:3,", "{\"a\":1,\"b\":2,\"c\":3}" },
        { "a: -5 b: - 6", "{\"a\":-5,\"b\":-6}" },
        { "a: 0x1F b: 017 c: 0 d: 18446744073709551615",
          "{\"a\":31,\"b\":15,\"c\":0,\"d\":18446744073709551615}" },
        { "a: -9223372036854775808", "{\"a\":-9223372036854775808}" },
        { "a: 1.5 b: .5f c: 1e3 d: 2F e: -1.5E-2",
          "{\"a\":1.5,\"b\":0.5,\"c\":1000,\"d\":2,\"e\":-0.015}" },
        { "a: true b: TYPE_FP32 c: inf", "{\"a\":\"true\",\"b\":\"TYPE_FP32\",\"c\":\"inf\"}" },
        { "a { b: 1 } a: { b: 2 } a < b: 3 > a: <>",
          "{\"a\":{\"b\":1},\"a\":{\"b\":2},\"a\":{\"b\":3},\"a\":{}}" },
        { "a: [1, 2] b: [] c [ { d: 1 }, < d: 2 > ]",
          "{\"a\":[1,2],\"b\":[],\"c\":[{\"d\":1},{\"d\":2}]}" },
        { "a: [ [1], \"x\" ]", "{\"a\":[[1],\"x\"]}" },
        { "a: 'one' \"two\"\n 'three' # glued\n b: ''", "{\"a\":\"onetwothree\",\"b\":\"\"}" },
        { "a: \"q\\\"\\'\\\\\\n\\x41\\101\\u00e9\\U0001F600\"",
          "{\"a\":\"q\\\"'\\\\\\nAA\xc3\xa9\xf0\x9f\x98\x80\"}" },
        { "a: \"it's\" b: 'say \"x\"' c: \"# no\"",
          "{\"a\":\"it's\",\"b\":\"say \\\"x\\\"\",\"c\":\"# no\"}" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        struct trp_node *n;
        fixture_init(&f);
        print_message("%s\n", r->pbtxt);
        assert_works(&f, read(&f, r->pbtxt, &n));
        assert_string_equal(fixture_json(&f, n), r->json);
        fixture_deinit(&f);
    }
}

static void kinds_follow_from_the_spelling(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_node *n;
    fixture_init(&f);
    assert_works(
        &f, read(&f, "i: 1 u: 9223372036854775808 f: 1.0 s: \"1\" w: one m: -inf n: -nan", &n));
    assert_int_equal(trp_node_get(n, "i")->kind, TRP_NODE_INT);
    assert_int_equal(trp_node_get(n, "u")->kind, TRP_NODE_UINT);
    assert_int_equal(trp_node_get(n, "f")->kind, TRP_NODE_FLOAT);
    assert_int_equal(trp_node_get(n, "s")->kind, TRP_NODE_STR);
    assert_int_equal(trp_node_get(n, "w")->kind, TRP_NODE_WORD);
    assert_true(isinf(trp_node_f64(n, "m", 0)));
    assert_true(isnan(trp_node_f64(n, "n", 0)));
    fixture_deinit(&f);
}

static void every_node_knows_its_line(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_node *n;
    fixture_init(&f);
    assert_works(&f, read(&f, "a: 1 # x\n\nb {\n  c:\n 2\n}\ne: [\n1,\n2]", &n));
    assert_int_equal(trp_node_get(n, "a")->line, 1);
    assert_int_equal(trp_node_get(n, "b")->line, 3);
    assert_int_equal(trp_node_get(trp_node_get(n, "b"), "c")->line, 4);
    assert_int_equal(trp_node_get(n, "e")->last->line, 9);
    fixture_deinit(&f);
}

static void mistakes_are_refused_with_their_line(void **state)
{
    (void)state;
    static const struct row {
        const char *pbtxt, *want;
    } rows[] = {
        { "a", "c.pbtxt:1: expected \":\" or \"{\", found the end" },
        { "a 1", "c.pbtxt:1: expected \":\" or \"{\", found \"1\"" },
        { "a:", "c.pbtxt:1: expected a value, found the end" },
        { "a: }", "c.pbtxt:1: expected a value, found \"}\"" },
        { "a: 1\n}", "c.pbtxt:2: expected the name of a field, found \"}\"" },
        { "1: 2", "c.pbtxt:1: expected the name of a field, found \"1\"" },
        { "a {\n b: 1\n",
          "c.pbtxt:3: expected \"}\" for the message that begins in line 1, found the end" },
        { "a { b: 1 >", "c.pbtxt:1: expected the name of a field, found \">\"" },
        { "a: [1 2]", "c.pbtxt:1: expected \",\" or \"]\", found \"2\"" },
        { "a: [1,]", "c.pbtxt:1: expected a value, found \"]\"" },
        { "a: \"x", "c.pbtxt:1: a text does not end" },
        { "a: \"x\n\"", "c.pbtxt:1: a text ends before its line does; write \\n for a line break" },
        { "a: \"\\q\"", "c.pbtxt:1: unknown escape in a text" },
        { "a: \"\\", "c.pbtxt:1: unknown escape in a text" },
        { "a: \"\\400\"", "c.pbtxt:1: an octal escape is at most \\377" },
        { "a: \"\\xg\"", "c.pbtxt:1: \\x needs one or two hexadecimal digits" },
        { "a: \"\\u12\"", "c.pbtxt:1: \\u needs four, \\U eight digits of a Unicode character" },
        { "a: \"\\ud800\"", "c.pbtxt:1: \\u needs four, \\U eight digits of a Unicode character" },
        { "a: 12x", "c.pbtxt:1: \"12x\" is not a number" },
        { "a: 0x", "c.pbtxt:1: \"0x\" is not a number" },
        { "a: 09", "c.pbtxt:1: \"09\" is not a number" },
        { "a: 1.2.3", "c.pbtxt:1: \"1.2.3\" is not a number" },
        { "a: 1e", "c.pbtxt:1: \"1e\" is not a number" },
        { "a: .", "c.pbtxt:1: \".\" is not a number" },
        { "a: -9223372036854775809", "c.pbtxt:1: the number does not fit 64 bits" },
        { "a: -word", "c.pbtxt:1: \"-\" stands before something that is not a number" },
        { "[x.y/z] { }", "c.pbtxt:1: extensions and Any messages ([...]) are not supported" },
        { "a: 1\n\x01", "c.pbtxt:2: expected the name of a field, found byte 0x01" },
        { "a: \xc3\xa9", "c.pbtxt:1: expected a value, found byte 0xc3" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        struct trp_node *n;
        fixture_init(&f);
        print_message("%s\n", r->pbtxt);
        assert_fails(&f, read(&f, r->pbtxt, &n), TRP_INVALID_ARGUMENT, r->want);
        assert_null(n);
        fixture_deinit(&f);
    }
}

static void a_zero_byte_is_no_end(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_node *n;
    fixture_init(&f);
    const struct trp_str text = trp_str_make("a: 1\0b: 2", 9);
    assert_fails(&f, trp_node_from_pbtxt(&f.arena, text, "c.pbtxt", 10, &n, &f.err),
                 TRP_INVALID_ARGUMENT, "c.pbtxt:1: expected the name of a field, found byte 0x00");
    fixture_deinit(&f);
}

static void a_number_too_large_for_whole_ones_becomes_a_fraction(void **state)
{
    (void)state; /* as protobuf's own parser reads it for float and double fields */
    struct fixture f;
    struct trp_node *n;
    fixture_init(&f);
    assert_works(&f, read(&f, "a: 18446744073709551616", &n));
    assert_int_equal(trp_node_get(n, "a")->kind, TRP_NODE_FLOAT);
    fixture_deinit(&f);
}

static void depth_and_number_of_values_have_limits(void **state)
{
    (void)state;
    static const struct row {
        const char *open;
        char close;
    } rows[] = { { "a{", '}' }, { "a<", '>' }, { "[", ']' } };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        struct trp_node *n;
        fixture_init(&f);
        trp_buf_reset(&f.out);
        trp_buf_add_text(&f.out, r->open[0] == '[' ? "a:" : "");
        for (int i = 0; i < 100000; i++)
            trp_buf_add_text(&f.out, r->open);
        for (int i = 0; i < 100000; i++)
            trp_buf_add_char(&f.out, r->close);
        const trp_status st =
            trp_node_from_pbtxt(&f.arena, trp_buf_str(&f.out), "c", 1000000, &n, &f.err);
        assert_fails(&f, st, TRP_TOO_LARGE, "c:1: nested deeper than 64 levels");
        fixture_deinit(&f);
    }
    struct fixture f;
    struct trp_node *n;
    fixture_init(&f);
    const struct trp_str text = TRP_STR_LIT("a:1 b:[2,3] c{d:4}");
    assert_works(&f, trp_node_from_pbtxt(&f.arena, text, "c", 6, &n, &f.err));
    assert_fails(&f, trp_node_from_pbtxt(&f.arena, text, "c", 5, &n, &f.err), TRP_TOO_LARGE,
                 "c:1: too many values");
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spelling_becomes_the_same_kind_of_tree),
        cmocka_unit_test(kinds_follow_from_the_spelling),
        cmocka_unit_test(every_node_knows_its_line),
        cmocka_unit_test(mistakes_are_refused_with_their_line),
        cmocka_unit_test(a_zero_byte_is_no_end),
        cmocka_unit_test(a_number_too_large_for_whole_ones_becomes_a_fraction),
        cmocka_unit_test(depth_and_number_of_values_have_limits),
    };
    return cmocka_run_group_tests_name("pbtxt", tests, NULL, NULL);
}

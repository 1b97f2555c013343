/* Trees from JSON, and as JSON and YAML. */
#include "tree.h"

#include <string.h>

static trp_status from_json(struct fixture *f, const char *text, struct trp_node **out)
{
    struct trp_json_parser *p;
    struct trp_json root;
    assert_works(f, trp_json_parser_create(1 << 20, 200, &p, &f->err));
    assert_works(f, trp_json_parse(p, trp_str_of(text), false, &root, &f->err));
    const trp_status st = trp_node_from_json(&f->arena, root, "override", out, &f->err);
    trp_json_parser_destroy(p); /* the tree must not need it any more */
    return st;
}

static void json_comes_back_as_it_was(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "[]",
        "null",
        "true",
        "-9223372036854775808",
        "18446744073709551615",
        "0.25",
        "\"a\\\"b\"",
        "{\"a\":null,\"b\":[1,-2,[3,{}]],\"c\":{\"d\":\"\",\"e\":false}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct fixture f;
        struct trp_node *n;
        fixture_init(&f);
        assert_works(&f, from_json(&f, texts[i], &n));
        assert_string_equal(fixture_json(&f, n), texts[i]);
        assert_string_equal(n->file, "override");
        fixture_deinit(&f);
    }
}

static void json_keys_that_stand_twice_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_node *n;
    fixture_init(&f);
    assert_fails(&f, from_json(&f, "{\"a\":{\"x\":1,\"y\":2,\"x\":3}}", &n), TRP_INVALID_ARGUMENT,
                 "override: key \"x\" is there twice");
    assert_null(n);
    fixture_deinit(&f);
}

static void json_deeper_than_the_limit_is_refused(void **state)
{
    (void)state;
    for (uint32_t depth = TRP_NODE_DEPTH_MAX; depth <= TRP_NODE_DEPTH_MAX + 1; depth++) {
        struct fixture f;
        struct trp_node *n;
        char text[256] = { 0 };
        fixture_init(&f);
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        const trp_status st = from_json(&f, text, &n);
        assert_int_equal(st.code, depth > TRP_NODE_DEPTH_MAX ? TRP_TOO_LARGE : TRP_OK);
        fixture_deinit(&f);
    }
}

static void yaml_for_people_reads_back_as_the_same_tree(void **state)
{
    (void)state;
    static const struct row {
        const char *json, *yaml;
    } rows[] = {
        { "{}", "{}\n" },
        { "[]", "[]\n" },
        { "\"yes\"", "\"yes\"\n" },
        { "{\"name\":\"resnet50\",\"on\":\"no\",\"empty\":\"\",\"s\":\"a b\",\"v\":\"1.5\"}",
          "name: resnet50\n\"on\": \"no\"\nempty: \"\"\ns: \"a b\"\nv: \"1.5\"\n" },
        { "{\"dims\":[3,224],\"none\":[],\"map\":{}}", "dims: [3, 224]\nnone: []\nmap: {}\n" },
        { "{\"input\":[{\"name\":\"x\",\"dims\":[-1]},{\"name\":\"z\",\"r\":{\"s\":[]}}]}",
          "input:\n  - name: x\n    dims: [-1]\n  - name: z\n    r:\n      s: []\n" },
        { "[[[1,2],[]],\"~\"]", "- - [1, 2]\n  - []\n- \"~\"\n" },
        { "{\"line\\nbreak\":\"tab\\t: #\"}", "\"line\\nbreak\": \"tab\\t: #\"\n" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        struct trp_node *n;
        fixture_init(&f);
        assert_works(&f, from_json(&f, r->json, &n));
        trp_buf_reset(&f.out);
        trp_node_write_yaml(&f.out, n);
        assert_string_equal(trp_buf_text(&f.out), r->yaml);
        assert_works(&f, trp_node_from_yaml(&f.arena, trp_str_of(r->yaml), "y", 1000, &n, &f.err));
        const char *again =
            fixture_json(&f, n); /* numbers are words now, so compare without quotes */
        char bare[2][256] = { { 0 }, { 0 } };
        const char *texts[2] = { again, r->json };
        for (int t = 0; t < 2; t++) {
            size_t len = 0;
            for (const char *c = texts[t]; *c; c++) {
                if (*c != '"')
                    bare[t][len++] = *c;
            }
        }
        assert_string_equal(bare[0], bare[1]);
        fixture_deinit(&f);
    }
}

static void yaml_escapes_what_yaml_would_not_read(void **state)
{
    (void)state;
    static const struct row {
        const char *text, *yaml;
    } rows[] = {
        { "a\x7f", "\"a\\u007f\"\n" },       { "\xc2\x85", "\"\\u0085\"\n" },
        { "\xe2\x80\xa8", "\"\\u2028\"\n" }, { "\xef\xbb\xbf", "\"\\ufeff\"\n" },
        { "\xc3\xa9", "\"\xc3\xa9\"\n" },    { "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"\n" },
        { "q\"\\", "\"q\\\"\\\\\"\n" },      { "\x01\r", "\"\\u0001\\u000d\"\n" },
        { "\xff", "\"\\ufffd\"\n" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        struct trp_node *again;
        fixture_init(&f);
        struct trp_node *n = trp_node_new(&f.arena, TRP_NODE_STR);
        assert_non_null(n);
        n->v.s = trp_str_of(r->text);
        trp_node_write_yaml(&f.out, n);
        assert_string_equal(trp_buf_text(&f.out), r->yaml);
        assert_works(&f, trp_node_from_yaml(&f.arena, trp_buf_str(&f.out), "y", 9, &again, &f.err));
        if (trp_str_is_utf8(n->v.s))
            assert_true(trp_str_is(again->v.s, r->text));
        fixture_deinit(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_comes_back_as_it_was),
        cmocka_unit_test(json_keys_that_stand_twice_are_refused),
        cmocka_unit_test(json_deeper_than_the_limit_is_refused),
        cmocka_unit_test(yaml_escapes_what_yaml_would_not_read),
        cmocka_unit_test(yaml_for_people_reads_back_as_the_same_tree),
    };
    return cmocka_run_group_tests_name("node_text", tests, NULL, NULL);
}

/* YAML: what is read, what is refused, and where the words point. */
#include "tree.h"

#include <stdio.h>
#include <string.h>

#define NODES_MAX 1000u
#ifdef TRP_SANITIZED
#define LINES_10 "300" /* memrchr() looks at all of its bytes each time there */
#else
#define LINES_10 "30000"
#endif
#define IN_FLOW " needs quotes around it: inside { } and [ ], [ and { begin a list or a map"

static trp_status read(struct fixture *f, const char *text, struct trp_node **out)
{
    return trp_node_from_yaml(&f->arena, trp_str_of(text), "m.yaml", NODES_MAX, out, &f->err);
}

static void yaml_becomes_the_tree_that_it_shows(void **state)
{
    (void)state;
    static const struct row {
        const char *yaml, *json;
    } rows[] = {
        { "", "{}" },
        { "# only a comment\n", "{}" },
        { "---\n...\n", "{}" },
        { "a: 1\n", "{\"a\":\"1\"}" },
        { "a: yes\nb: 0x10\nc: 010\ne: 1_000\nf: 1e3\n",
          "{\"a\":\"yes\",\"b\":\"0x10\",\"c\":\"010\",\"e\":\"1_000\",\"f\":\"1e3\"}" },
        { "a:\nb: ~\nc: null\ne: \"null\"\n", "{\"a\":\"\",\"b\":null,\"c\":null,\"e\":\"null\"}" },
        { "- 1\n- [2, {x: 3}]\n- - 4\n", "[\"1\",[\"2\",{\"x\":\"3\"}],[\"4\"]]" },
        { "a: |\n  two\n  lines\n", "{\"a\":\"two\\nlines\\n\"}" },
        { "a: !!str 5\n", "{\"a\":\"5\"}" },
        { "? a\n: b\n", "{\"a\":\"b\"}" },
        { "{\"a\": \"\\u00e9\"}", "{\"a\":\"\xc3\xa9\"}" },
        { "word\n", "\"word\"" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        struct trp_node *n;
        fixture_init(&f);
        assert_works(&f, read(&f, r->yaml, &n));
        assert_string_equal(fixture_json(&f, n), r->json);
        fixture_deinit(&f);
    }
}

static void plain_scalars_are_words_and_quoted_ones_texts(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_node *n;
    fixture_init(&f);
    assert_works(&f, read(&f, "a: 1\nb: '1'\nc: \"x\"\ne: !!str 1\n", &n));
    assert_int_equal(trp_node_get(n, "a")->kind, TRP_NODE_WORD);
    assert_int_equal(trp_node_get(n, "b")->kind, TRP_NODE_STR);
    assert_int_equal(trp_node_get(n, "c")->kind, TRP_NODE_STR);
    assert_int_equal(trp_node_get(n, "e")->kind, TRP_NODE_STR);
    fixture_deinit(&f);
}

static void every_node_knows_its_line(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_node *n;
    fixture_init(&f);
    assert_works(&f, read(&f, "a:\n  b: 1\n\n  c:\n    - x\n    - y\n", &n));
    const struct trp_node *a = trp_node_get(n, "a"), *c = trp_node_get(a, "c");
    assert_int_equal(a->line, 1); /* a key's line, not its value's */
    assert_int_equal(trp_node_get(a, "b")->line, 2);
    assert_int_equal(c->line, 4);
    assert_int_equal(c->last->line, 6);
    assert_string_equal(c->last->file, "m.yaml");
    fixture_deinit(&f);
}

static void every_scalar_knows_its_column(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_node *n;
    fixture_init(&f);
    assert_works(&f, read(&f,
                          "a: plain\nb:   'quoted'\nc: { d: \"twice\", e: \xc3\xa4, f: x }\n"
                          "g:\n  later\nh: |\n  block\ni: [ x,  y ]\n",
                          &n));
    assert_int_equal(trp_node_get(n, "a")->column, 4);
    assert_int_equal(trp_node_get(n, "b")->column, 7); /* within the quotes */
    const struct trp_node *c = trp_node_get(n, "c");
    assert_int_equal(c->column, 0);
    assert_int_equal(trp_node_get(c, "d")->column, 10);
    assert_int_equal(trp_node_get(c, "f")->column, 27); /* in characters */
    assert_int_equal(trp_node_get(n, "g")->column, 0);  /* it stands in another line than its key */
    assert_int_equal(trp_node_get(n, "h")->column, 0);
    assert_int_equal(trp_node_get(n, "i")->last->column, 10);
    const struct trp_node *copy = trp_node_dup(&f.arena, n);
    assert_int_equal(trp_node_get(copy, "b")->column, 7);
    fixture_deinit(&f);
}

static void traps_and_mistakes_are_refused_with_their_line(void **state)
{
    (void)state;
    static const struct row {
        const char *yaml, *want;
    } rows[] = {
        { "a: 1\nb: 2\na: 3\n", "m.yaml:3: key \"a\" is there twice (first in line 1)" },
        { "a: &x [1]\nb: *x\n",
          "m.yaml:1: anchors (&x) and aliases (*x) are not supported; write the value out" },
        { "a: 1\n<<: *x\n",
          "m.yaml:2: anchors (&x) and aliases (*x) are not supported; write the value out" },
        { "a: !!int 5\n", "m.yaml:1: tags (!) are not supported" },
        { "when: !has(params.user)\n",
          "m.yaml:1: tags (!) are not supported; a rule that begins with !, ' or \" stands in "
          "quotes: when: \"!has(params.user)\"" },
        { "a: !mine {}\n", "m.yaml:1: tags (!) are not supported" },
        { "a: !mine []\n", "m.yaml:1: tags (!) are not supported" },
        { "a: 1\n---\nb: 2\n", "m.yaml:2: a second document" },
        { "? [a]\n: b\n", "m.yaml:1: a key must be a text" },
        { "a: [1, 2\nb: 3\n",
          "m.yaml:2: did not find expected ',' or ']', while parsing a flow sequence" },
        { "- { when: params.n in [1, 2], use: a }\n", "m.yaml:1: `params.n in [1, 2]`" IN_FLOW },
        { "a: [ { when: x[0] > 3 && y, use: a } ]\n", "m.yaml:1: `x[0] > 3 && y`" IN_FLOW },
        { "a:\n  - { use: a, when: b == {x} }\n", "m.yaml:2: `b == {x}`" IN_FLOW },
        { "a: { b: 'c[1]', d: e[1] }\n", "m.yaml:1: `e[1]`" IN_FLOW },
        { "a: { b: 'c' d: 2 }\n",
          "m.yaml:1: did not find expected ',' or '}', while parsing a flow mapping" },
        { "a: b: c\n", "m.yaml:1: mapping values are not allowed in this context" },
        { "a:\n\t- 1\n",
          "m.yaml:2: found character that cannot start any token, while scanning for the next "
          "token; it is a tab: YAML wants spaces" },
        { "when: 'a' == params.x\nuse: b\n",
          "m.yaml:1: did not find expected key, while parsing a block mapping; a rule that begins "
          "with !, ' or \" stands in quotes: when: \"!has(params.user)\"" },
        { "- when: params.n == 1\n   use: b\n", "m.yaml:2: mapping values are not allowed in this "
                                                "context; the keys of a rule begin in one column" },
        { "- when: \"params.n == 1\"\n   use: b\n",
          "m.yaml:2: did not find expected key, while parsing a block mapping; the keys of a rule "
          "begin in one column" },
        { "a:\n  - when: x\n   use: b\n",
          "m.yaml:3: did not find expected '-' indicator, while parsing a block collection; the "
          "keys of a rule begin in one column" },
        { "a:\n  - name: x\n    use: b\n     timeout: 3ms\n",
          "m.yaml:4: mapping values are not allowed in this context; the keys of one item of a "
          "list, as of a rule, begin in one column" },
        { "a:\n  - use: x\n   timeout: 3ms\n",
          "m.yaml:3: did not find expected '-' indicator, while parsing a block collection; the "
          "keys of one item of a list, as of a rule, begin in one column" },
        { "a:\n  digit\n    - use: x\n", "m.yaml:2: no colon behind the name in this line" },
        { "a:\n  x: [1]\n  # so\n  digit\n\n  b: 3\n",
          "m.yaml:4: no colon behind the name in this line" },
        { "a:\n  two words\n    b: 3\n",
          "m.yaml:3: mapping values are not allowed in this context" },
        { "- when: 'a == x\n  use: b\n",
          "m.yaml:3: found unexpected end of stream, while scanning a quoted scalar; a rule that "
          "begins with !, ' or \" stands in quotes: when: \"!has(params.user)\"" },
        { "a: \"\\q\"\n", "m.yaml:1: found unknown escape character, while parsing a quoted "
                          "scalar" },
        { "a: \xff\n", "m.yaml: invalid leading UTF-8 octet at byte 3" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        struct trp_node *n;
        fixture_init(&f);
        print_message("%s", r->yaml);
        assert_fails(&f, read(&f, r->yaml, &n), TRP_INVALID_ARGUMENT, r->want);
        assert_null(n);
        fixture_deinit(&f);
    }
}

/* Who counted each of these lines from the beginning would be at it for minutes. */
static void a_mistake_below_very_many_lines_is_told_at_once(void **state)
{
    (void)state;
    enum { LINES = sizeof LINES_10 == sizeof "300" ? 3000 : 300000 };
    static char text[2 * LINES + 64];
    static const struct {
        const char *above, *line, *below, *want;
    } rows[] = {
        { "a: 1\n", "#\n", "b: ]\n",
          "m.yaml:" LINES_10 "2: did not find expected node content, while parsing a block node" },
        { "a:\n  x: [1]\n  digit\n", " \n", "  b: 3\n",
          "m.yaml:3: no colon behind the name in this line" },
        { "a:\n  x: [1]\n  two words\n", " \n", "  b: 3\n",
          "m.yaml:" LINES_10 "4: could not find expected ':', while scanning a simple key" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        struct trp_node *n;
        char *at = text + snprintf(text, sizeof text, "%s", rows[i].above);
        for (int line = 0; line < LINES; line++, at += 2)
            memcpy(at, rows[i].line, 2);
        (void)snprintf(at, 32, "%s", rows[i].below);
        fixture_init(&f);
        assert_fails(&f, read(&f, text, &n), TRP_INVALID_ARGUMENT, rows[i].want);
        fixture_deinit(&f);
    }
}

static void depth_and_number_of_values_have_limits(void **state)
{
    (void)state;
    char text[4 * NODES_MAX + 1] = { 0 };
    for (uint32_t depth = TRP_NODE_DEPTH_MAX; depth <= TRP_NODE_DEPTH_MAX + 1; depth++) {
        struct fixture f;
        struct trp_node *n;
        fixture_init(&f);
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        text[2 * depth] = '\0';
        assert_int_equal(read(&f, text, &n).code,
                         depth > TRP_NODE_DEPTH_MAX ? TRP_TOO_LARGE : TRP_OK);
        fixture_deinit(&f);
    }
    for (uint32_t values = NODES_MAX - 1; values <= NODES_MAX; values++) {
        struct fixture f;
        struct trp_node *n;
        fixture_init(&f);
        for (uint32_t i = 0; i < values; i++)
            snprintf(text + 4 * (size_t)i, 5, "- 1\n");
        assert_int_equal(read(&f, text, &n).code, values < NODES_MAX ? TRP_OK : TRP_TOO_LARGE);
        fixture_deinit(&f);
    }
}

static void fifty_thousand_keys_are_compared_in_good_time(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_node *n;
    fixture_init(&f);
    trp_buf_reset(&f.out);
    for (int i = 0; i < 50000; i++)
        trp_buf_addf(&f.out, "key%d: 1\n", i);
    assert_works(&f,
                 trp_node_from_yaml(&f.arena, trp_buf_str(&f.out), "m.yaml", 60000, &n, &f.err));
    assert_int_equal(n->children_n, 50000);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yaml_becomes_the_tree_that_it_shows),
        cmocka_unit_test(plain_scalars_are_words_and_quoted_ones_texts),
        cmocka_unit_test(every_node_knows_its_line),
        cmocka_unit_test(every_scalar_knows_its_column),
        cmocka_unit_test(traps_and_mistakes_are_refused_with_their_line),
        cmocka_unit_test(a_mistake_below_very_many_lines_is_told_at_once),
        cmocka_unit_test(depth_and_number_of_values_have_limits),
        cmocka_unit_test(fifty_thousand_keys_are_compared_in_good_time),
    };
    return cmocka_run_group_tests_name("yaml", tests, NULL, NULL);
}

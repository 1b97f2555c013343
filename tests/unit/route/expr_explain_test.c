/* What a rule was for one request, part by part. */
#include "rules.h"

#include "conf/node.h"

#include <stdlib.h>

static void fill(struct rules *r)
{
    static const char text[] = "\x05\0\0\0hello";
    rules_init(r);
    rules_param(r, "purchases", TRP_PARAM_INT)->v.i = 3;
    (void)rules_input(r, "query", TROUPE_BYTES, 1, text, sizeof text - 1);
}

/* As JSON. */
static const char *written(struct rules *r, const char *text)
{
    struct trp_expr *e = rules_compile(r, text);
    assert_non_null(e);
    rules_begin(r);
    trp_buf_reset(&r->out);
    trp_expr_explain(e, &r->facts, &r->out);
    trp_expr_destroy(e);
    return rules_text(r);
}

static void add_line(struct trp_buf *b, const struct trp_node *part, const char *key)
{
    const struct trp_node *value = trp_node_get(part, "value"), *why = trp_node_get(part, "why");
    for (int64_t depth = trp_node_i64(part, "depth", 0); depth > 0; depth--)
        trp_buf_add_text(b, "  ");
    trp_buf_add_str(b, trp_node_get(part, key)->v.s);
    trp_buf_add_text(b, why ? " = unknown: " : " = ");
    if (why)
        trp_buf_add_str(b, why->v.s);
    else
        trp_node_write_json(b, value);
    trp_buf_add_char(b, '\n');
}

/* As lines, parts indented below the whole. */
static const char *explained(struct rules *r, const char *text)
{
    struct trp_arena arena;
    struct trp_json_parser *parser;
    struct trp_json json;
    struct trp_node *root;
    (void)written(r, text);
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    assert_false(trp_failed(trp_json_parser_create(10000, 10, &parser, NULL)));
    assert_false(trp_failed(trp_json_parse(parser, trp_buf_str(&r->out), false, &json, NULL)));
    assert_false(trp_failed(trp_node_from_json(&arena, json, NULL, &root, NULL)));
    trp_json_parser_destroy(parser);
    trp_buf_reset(&r->out);
    add_line(&r->out, root, "rule");
    for (const struct trp_node *n = trp_node_get(root, "parts")->first; n; n = n->next)
        add_line(&r->out, n, "text");
    trp_arena_deinit(&arena);
    return rules_text(r);
}

static void each_part_is_told_below_the_whole(void **state)
{
    (void)state;
    struct rules r;
    fill(&r);
    assert_string_equal(
        explained(&r, "params.purchases == 0 || inputs.query.kind == 'text' && time.hour < 5"),
        "params.purchases == 0 || inputs.query.kind == 'text' && time.hour < 5 = true\n"
        "  params.purchases == 0 = false\n"
        "    params.purchases = 3\n"
        "  inputs.query.kind == 'text' && time.hour < 5 = true\n"
        "    inputs.query.kind == 'text' = true\n"
        "      inputs.query.kind = \"text\"\n"
        "    time.hour < 5 = true\n"
        "      time.hour = 4\n");
    rules_deinit(&r);
}

static void what_is_unknown_is_told_with_the_reason(void **state)
{
    (void)state;
    struct rules r;
    fill(&r);
    assert_string_equal(
        explained(&r, "params.user in [1, 2] && has(params.purchases)"),
        "params.user in [1, 2] && has(params.purchases) = unknown: params.user is missing\n"
        "  params.user in [1, 2] = unknown: params.user is missing\n"
        "    params.user = unknown: params.user is missing\n"
        "  has(params.purchases) = true\n");
    rules_deinit(&r);
}

static void parts_that_were_left_out_are_told_all_the_same(void **state)
{
    (void)state;
    struct rules r;
    fill(&r);
    assert_string_equal(
        explained(&r, "params.purchases > 1 ? models.fast.p99 < 10ms : params.purchases + 1 > 2"),
        "params.purchases > 1 ? models.fast.p99 < 10ms : params.purchases + 1 > 2 = true\n"
        "  params.purchases > 1 = true\n"
        "    params.purchases = 3\n"
        "  models.fast.p99 < 10ms = true\n"
        "    models.fast.p99 = \"9ms\"\n"
        "  params.purchases + 1 > 2 = true\n"
        "    params.purchases + 1 = 4\n"
        "      params.purchases = 3\n");
    rules_deinit(&r);
}

static void json_has_the_same(void **state)
{
    (void)state;
    struct rules r;
    fill(&r);
    assert_string_equal(written(&r, "params.purchases == 3 && params.user == 'a'"),
                        "{\"rule\":\"params.purchases == 3 && params.user == 'a'\",\"value\":null,"
                        "\"why\":\"params.user is missing\",\"parts\":["
                        "{\"text\":\"params.purchases == 3\",\"depth\":1,\"value\":true},"
                        "{\"text\":\"params.purchases\",\"depth\":2,\"value\":3},"
                        "{\"text\":\"params.user == "
                        "'a'\",\"depth\":1,\"value\":null,\"why\":\"params.user is missing\"},"
                        "{\"text\":\"params.user\",\"depth\":2,\"value\":null,\"why\":\"params."
                        "user is missing\"}]}");
    rules_deinit(&r);
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    struct rules r;
    enum { LENGTH = 5000 };
    char *text = test_malloc(LENGTH);
    fill(&r);
    memset(text, 'a', LENGTH);
    rules_param(&r, "long", TRP_PARAM_STR)->v.s = trp_str_make(text, LENGTH);
    assert_true(strlen(written(&r, "params.long == 'b'")) < 600);
    test_free(text);
    rules_deinit(&r);
}

/* Its type is not known before the request comes. */
static void a_parameter_that_is_no_condition_is_unknown_and_told(void **state)
{
    (void)state;
    struct rules r;
    fill(&r);
    assert_string_equal(explained(&r, "params.purchases"),
                        "params.purchases = unknown: params.purchases got an int\n");
    rules_param(&r, "yes", TRP_PARAM_BOOL)->v.b = true;
    assert_string_equal(explained(&r, "params.yes"), "params.yes = true\n");
    r.env.purpose = TRP_EXPR_VALUE; /* the key of a split may be anything */
    assert_string_equal(explained(&r, "params.purchases"), "params.purchases = 3\n");
    rules_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_is_told_below_the_whole),
        cmocka_unit_test(what_is_unknown_is_told_with_the_reason),
        cmocka_unit_test(parts_that_were_left_out_are_told_all_the_same),
        cmocka_unit_test(json_has_the_same),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(a_parameter_that_is_no_condition_is_unknown_and_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

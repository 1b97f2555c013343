/* What a rule was for one request, part by part. */
#include "rules.h"

#include <stdlib.h>

static void fill(struct rules *r)
{
    static const char text[] = "\x05\0\0\0hello";
    rules_init(r);
    rules_param(r, "purchases", TRP_PARAM_INT)->v.i = 3;
    (void)rules_input(r, "query", TROUPE_BYTES, 1, text, sizeof text - 1);
}

static const char *explained(struct rules *r, const char *text, bool as_json)
{
    struct trp_expr *e = rules_compile(r, text);
    assert_non_null(e);
    rules_begin(r);
    trp_buf_reset(&r->out);
    if (as_json)
        trp_expr_explain_json(e, &r->facts, &r->out);
    else
        trp_expr_explain(e, &r->facts, &r->out);
    trp_expr_destroy(e);
    return rules_text(r);
}

static void each_part_is_told_below_the_whole(void **state)
{
    (void)state;
    struct rules r;
    fill(&r);
    assert_string_equal(
        explained(&r, "params.purchases == 0 || inputs.query.kind == 'text' &&\n   time.hour < 5",
                  false),
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
        explained(&r, "params.user in [1, 2] && has(params.purchases)", false),
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
        explained(&r, "params.purchases > 1 ? models.fast.p99 < 10ms : params.purchases + 1 > 2",
                  false),
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
    assert_string_equal(explained(&r, "params.purchases == 3 && params.user == 'a'", true),
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
    const char *told = explained(&r, "params.long == 'b'", false);
    assert_non_null(strstr(told, "... (5000 bytes)\n"));
    assert_true(strlen(told) < 300);
    assert_true(strlen(explained(&r, "params.long == 'b'", true)) < 600);
    test_free(text);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The rule language: what each operator and function makes of what, and what is unknown. */
#include "rules.h"

#include <stdlib.h>

static void fill(struct rules *r)
{
    static const int64_t ages[] = { 17, 40, 65 };
    static const float scores[] = { 0.5f, -1.0f, 2.0f, 0.0f };
    static const char texts[] = "\x05\0\0\0hello\x02\0\0\0ok";
    rules_init(r);
    r->env.purpose = TRP_EXPR_VALUE;
    rules_param(r, "n", TRP_PARAM_INT)->v.i = 3;
    rules_param(r, "zero", TRP_PARAM_INT)->v.i = 0;
    rules_param(r, "x", TRP_PARAM_DOUBLE)->v.d = 2.5;
    rules_param(r, "yes", TRP_PARAM_BOOL)->v.b = true;
    rules_param(r, "name", TRP_PARAM_STR)->v.s = TRP_STR_LIT("anna");
    rules_param(r, "digits", TRP_PARAM_STR)->v.s = TRP_STR_LIT("42");
    rules_param(r, "huge", TRP_PARAM_UINT)->v.u = UINT64_MAX;
    rules_param(r, "most", TRP_PARAM_INT)->v.i = INT64_MAX;
    rules_header(r, "x-tier", "gold");
    rules_header(r, "count", "12");
    (void)rules_input(r, "age", TROUPE_INT64, 3, ages, sizeof ages);
    (void)rules_input(r, "score", TROUPE_FP32, 4, scores, sizeof scores);
    (void)rules_input(r, "text", TROUPE_BYTES, 2, texts, sizeof texts - 1);
}

#define CHECK(rows)                             \
    do {                                        \
        struct rules r;                         \
        fill(&r);                               \
        rules_check(&r, rows, ARRAY_LEN(rows)); \
        rules_deinit(&r);                       \
    } while (0)

static void literals_are_what_they_say(void **state)
{
    (void)state;
    static const struct rules_row rows[] = {
        { "1", "1" },
        { "0x1F", "31" },
        { "5u", "5" },
        { "1.5", "1.5" },
        { ".5", "0.5" },
        { "1e3", "1000" },
        { "2.5e-1", "0.25" },
        { "9223372036854775807", "9223372036854775807" },
        { "-9223372036854775807", "-9223372036854775807" },
        { "true", "true" },
        { "'a'", "\"a\"" },
        { "\"it's\"", "\"it's\"" },
        { "'a\\n\\'\\x41\\u00e9\\101'", "\"a\\n'A\xc3\xa9"
                                        "A\"" },
        { "'\\U0001F600'", "\"\xf0\x9f\x98\x80\"" },
        { "r'a\\d'", "\"a\\\\d\"" },
        { "30ms", "\"30ms\"" },
        { "1.5s", "\"1.5s\"" },
        { "2m", "\"120s\"" },
        { "duration('250us')", "\"250us\"" },
        { "64KiB", "65536" },
        { "1.5MiB", "1572864" },
        { "1 // and no more", "1" },
        { "1 +\n  2", "3" },
    };
    CHECK(rows);
}

static void operators_bind_as_in_c(void **state)
{
    (void)state;
    static const struct rules_row rows[] = {
        { "1 + 2 * 3", "7" },
        { "(1 + 2) * 3", "9" },
        { "10 - 3 - 2", "5" },
        { "7 / 2", "3" },
        { "-7 / 2", "-3" },
        { "7 % 4", "3" },
        { "-7 % 4", "-3" },
        { "7.0 / 2", "3.5" },
        { "1 + 0.5", "1.5" },
        { "- - 3", "3" },
        { "!!true", "true" },
        { "!false && false", "false" },
        { "true || false && false", "true" },
        { "1 < 2 == true", "true" },
        { "2 > 1 ? 'a' : 'b'", "\"a\"" },
        { "false ? 1 : true ? 2 : 3", "2" },
        { "1 in [1, 2] && true", "true" },
        { "params.n + 1 == 4", "true" },
        { "params.n * params.x", "7.5" },
        { "-params.n", "-3" },
        { "-params.x", "-2.5" },
    };
    CHECK(rows);
}

static void comparisons_are_exact_between_ints_and_doubles(void **state)
{
    (void)state;
    static const struct rules_row rows[] = {
        { "params.n == 3", "true" },
        { "params.n == 3.0", "true" },
        { "params.n != 3", "false" },
        { "params.n < 3.5", "true" },
        { "params.n > 3.5", "false" },
        { "params.x >= 2.5", "true" },
        { "params.x <= 2", "false" },
        { "2 < params.x", "true" },
        { "params.most == 9223372036854775808.0", "false" },
        { "params.most < 9223372036854775808.0", "true" },
        { "9007199254740993 == 9007199254740992.0", "false" },
        { "9007199254740993 > 9007199254740992.0", "true" },
        { "params.name == 'anna'", "true" },
        { "params.name < 'b'", "true" },
        { "'B' < 'a'", "true" },
        { "params.yes == true", "true" },
        { "params.yes", "true" },
        { "double('nan') == double('nan')", "false" },
        { "double('nan') != 1", "true" },
        { "double('nan') < 1.0 || double('nan') > 1.0", "false" },
        { "1s == 1000ms", "true" },
        { "30ms < 1s", "true" },
        { "inputs.age.shape == [3]", "true" },
        { "inputs.age.shape != [3, 1]", "true" },
    };
    CHECK(rows);
}

static void what_cannot_be_told_is_unknown_and_says_why(void **state)
{
    (void)state;
    static const struct rules_row rows[] = {
        { "params.none == 1", "unknown: params.none is missing" },
        { "params['no such'] == 1", "unknown: params['no such'] is missing" },
        { "headers.none == 'a'", "unknown: headers.none is missing" },
        { "inputs.none.rows > 1", "unknown: inputs.none.rows is missing" },
        { "params.digits == 42", "unknown: params.digits == 42 has a text and an int" },
        { "params.digits < params.n", "unknown: params.digits < params.n has a text and an int" },
        { "params.name && true", "unknown: params.name && true got a text" },
        { "!params.n", "unknown: !params.n got an int" },
        { "params.n ? 1 : 2", "unknown: params.n ? 1 : 2 got an int" },
        { "params.yes < true || true",
          "routes.yaml:7:26: a bool has no order; only == and != "
          "compare it\n  params.yes < true || true\n               ^" },
        { "params.yes < params.yes", "unknown: params.yes < params.yes has a bool and a bool" },
        { "1 / params.zero", "unknown: 1 / params.zero divides by zero" },
        { "1 % params.zero", "unknown: 1 % params.zero divides by zero" },
        { "1.0 / params.zero", "unknown: 1.0 / params.zero divides by zero" },
        { "params.most + 1", "unknown: params.most + 1 is beyond 64 bits" },
        { "params.most * 2", "unknown: params.most * 2 is beyond 64 bits" },
        { "-params.most - 2", "unknown: -params.most - 2 is beyond 64 bits" },
        { "params.huge > 1", "unknown: params.huge is beyond 64 bits" },
        { "params.name + 1", "unknown: params.name + 1 has a text and an int" },
        { "params.x % 2", "unknown: params.x % 2 has a double and an int" },
        { "int(params.name)", "unknown: int(params.name) cannot be converted" },
        { "int(params.yes)", "unknown: int(params.yes) got a bool" },
        { "int(double('inf'))", "routes.yaml:7:13: this constant is beyond 64 bits\n"
                                "  int(double('inf'))\n  ^" },
        { "inputs.age[3] > 1", "unknown: inputs.age[3] has no such element" },
        { "inputs.age.shape[params.n]", "unknown: inputs.age.shape[params.n] has no such element" },
        { "inputs.text.mean > 1", "unknown: inputs.text.mean has no numbers" },
        { "params.n in ['a']", "unknown: params.n in ['a'] has an int and a text" },
        { "params.n.startsWith('a')", "unknown: params.n.startsWith('a') has an int and a text" },
        { "models.none.queue > 1", "unknown: models.none.queue is not measured, or not yet" },
        { "models.idle.p99 > 1s", "unknown: models.idle.p99 is not measured, or not yet" },
    };
    CHECK(rows);
}

static void unknown_is_absorbed_where_the_answer_is_clear(void **state)
{
    (void)state;
    static const struct rules_row rows[] = {
        { "false && params.none", "false" },
        { "params.none && false", "false" },
        { "params.none == 1 && 1 > 2", "false" },
        { "true || params.none", "true" },
        { "params.none || true", "true" },
        { "params.n && false", "false" },
        { "params.n || true", "true" },
        { "params.none && true", "unknown: params.none is missing" },
        { "true && params.none", "unknown: params.none is missing" },
        { "params.none || false", "unknown: params.none is missing" },
        { "params.a && params.b", "unknown: params.a is missing" },
        { "params.a || params.b", "unknown: params.a is missing" },
        { "!params.none", "unknown: params.none is missing" },
        { "true ? 1 : params.none", "1" },
        { "false ? params.none : 2", "2" },
        { "params.none ? 1 : 2", "unknown: params.none is missing" },
        { "params.yes ? params.none : 2", "unknown: params.none is missing" },
        { "(params.none == 1 || false) || params.n == 3", "true" },
        { "params.none + 1", "unknown: params.none is missing" },
        { "1 + params.none", "unknown: params.none is missing" },
    };
    CHECK(rows);
}

static void has_and_a_default_ask_without_a_risk(void **state)
{
    (void)state;
    static const struct rules_row rows[] = {
        { "has(params.n)", "true" },
        { "has(params.none)", "false" },
        { "has(headers['X-Tier'])", "true" },
        { "has(inputs.age)", "true" },
        { "has(inputs.none)", "false" },
        { "has(inputs.age[2])", "true" },
        { "has(inputs.age[3])", "false" },
        { "has(inputs.age.shape[1])", "false" },
        { "has(models.idle.p99)", "false" },
        { "has(models.fast.p99)", "true" },
        { "has(params.none) && params.none > 1", "false" },
        { "params.none.orValue(7)", "7" },
        { "params.n.orValue(7)", "3" },
        { "params.none.orValue(params.n)", "3" },
        { "params.none.orValue(params.nothing).orValue('c')", "\"c\"" },
        { "int(params.name).orValue(-1)", "-1" },
        { "headers.none.orValue('basic') == 'basic'", "true" },
        { "models.idle.p99.orValue(0s) < 1ms", "true" },
        { "(1 / params.zero).orValue(9)", "9" },
    };
    CHECK(rows);
}

static void functions_do_what_their_names_say(void **state)
{
    (void)state;
    static const struct rules_row rows[] = {
        { "size('h\xc3\xa9llo')", "5" },
        { "'abc'.size()", "3" },
        { "size(params.name)", "4" },
        { "size(inputs.age)", "3" },
        { "size(inputs.age.shape)", "1" },
        { "size([1, 2])", "2" },
        { "params.name.startsWith('an')", "true" },
        { "params.name.startsWith('na')", "false" },
        { "params.name.endsWith('na')", "true" },
        { "params.name.contains('nn')", "true" },
        { "params.name.contains('')", "true" },
        { "params.name.contains('x')", "false" },
        { "''.contains('x')", "false" },
        { "'anna'.startsWith('anna!')", "false" },
        { "params.name.matches('^a.+a$')", "true" },
        { "params.name.matches('[0-9]')", "false" },
        { "headers['x-tier'].matches(r'^(gold|silver)$')", "true" },
        { "int('42')", "42" },
        { "int(' 42')", "routes.yaml:7:13: this constant cannot be converted\n  int(' 42')\n  ^" },
        { "int(2.9)", "2" },
        { "int(-2.9)", "-2" },
        { "int(params.digits) + 1", "43" },
        { "int(headers.count) > 10", "true" },
        { "double('1e3')", "1000" },
        { "double(3)", "3" },
        { "double(params.digits)", "42" },
        { "string(params.n)", "\"3\"" },
        { "string(params.x)", "\"2.5\"" },
        { "string(params.yes)", "\"true\"" },
        { "string(0.1)", "\"0.1\"" },
        { "string(params.n) == '3' && string(7) == '7'", "true" },
        { "abs(-3)", "3" },
        { "abs(-2.5)", "2.5" },
        { "abs(params.n)", "3" },
        { "min(3, 1, 2)", "1" },
        { "max(3, 1.5, params.n)", "3" },
        { "max(params.n, 10)", "10" },
        { "max(1ms, 2s)", "\"2s\"" },
        { "min(params.none, 1)", "unknown: params.none is missing" },
    };
    CHECK(rows);
}

static void membership_is_found_in_sets_shapes_and_not_among_others(void **state)
{
    (void)state;
    static const struct rules_row rows[] = {
        { "params.n in [1, 2, 3]", "true" },
        { "params.n in [1, 2]", "false" },
        { "params.n in [-5, 3, 100000, 9223372036854775807]", "true" },
        { "params.n in [3.0]", "true" },
        { "params.x in [1, 2.5]", "true" },
        { "params.x in [1, 2, 3]", "false" },
        { "2.0 in [1, 2]", "true" },
        { "params.name in ['otto', 'anna']", "true" },
        { "params.name in ['a', 'b', 'c', 'd', 'e', 'anna', 'g']", "true" },
        { "params.name in ['a', 'b', 'c', 'd', 'e', 'f', 'g']", "false" },
        { "'' in ['a', 'b', 'c', 'd', 'e', 'f', '']", "true" },
        { "!(params.n in [4])", "true" },
        { "3 in inputs.age.shape", "true" },
        { "params.none in [1]", "unknown: params.none is missing" },
        { "time.hour in [1, 2, 3, 4]", "true" },
        { "time.weekday in ['sat', 'sun']", "false" },
        { "inputs.age.shape[0] in [3, 4]", "true" },
    };
    CHECK(rows);
}

static void a_condition_is_true_false_or_unknown(void **state)
{
    (void)state;
    struct rules r;
    struct trp_fact why;
    struct trp_expr *e;
    fill(&r);
    r.env.purpose = TRP_EXPR_CONDITION;
    static const struct {
        const char *text;
        enum trp_truth want;
    } rows[] = { { "params.n == 3", TRP_TRUTH_TRUE },
                 { "params.n == 4", TRP_TRUTH_FALSE },
                 { "params.none == 4", TRP_TRUTH_UNKNOWN },
                 { "params.yes", TRP_TRUTH_TRUE },
                 { "params.n", TRP_TRUTH_UNKNOWN } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        e = rules_compile(&r, rows[i].text);
        assert_non_null(e);
        rules_begin(&r);
        assert_int_equal(trp_expr_holds(e, &r.facts, &why), rows[i].want);
        assert_int_equal(trp_expr_holds(e, &r.facts, NULL), rows[i].want);
        assert_string_equal(trp_expr_text(e).ptr, rows[i].text);
        if (i == ARRAY_LEN(rows) - 1) {
            trp_buf_reset(&r.out);
            trp_expr_why(e, &why, &r.out);
            assert_string_equal(rules_text(&r), "params.n got an int");
        }
        trp_expr_destroy(e);
    }
    rules_deinit(&r);
}

static void a_rule_tells_which_models_it_looks_at(void **state)
{
    (void)state;
    struct rules r;
    struct trp_str name;
    uint32_t cursor = 0;
    fill(&r);
    struct trp_expr *e =
        rules_compile(&r, "models.fast.ready && models['a@canary'].p99 < 1s && params.n > 1 || "
                          "models.fast.queue < 3");
    assert_non_null(e);
    assert_true(trp_expr_next_model(e, &cursor, &name));
    assert_true(trp_str_is(name, "fast"));
    assert_true(trp_expr_next_model(e, &cursor, &name));
    assert_true(trp_str_is(name, "a@canary"));
    assert_true(trp_expr_next_model(e, &cursor, &name));
    assert_true(trp_str_is(name, "fast"));
    assert_false(trp_expr_next_model(e, &cursor, &name));
    trp_expr_destroy(e);
    rules_deinit(&r);
}

/* Without limits this pattern takes longer than the universe has. */
static void a_pattern_that_would_take_for_ever_is_unknown(void **state)
{
    (void)state;
    struct rules r;
    char text[64];
    char *large = test_malloc(20000);
    fill(&r);
    memset(text, 'a', sizeof text);
    rules_param(&r, "long", TRP_PARAM_STR)->v.s = trp_str_make(text, sizeof text);
    assert_string_equal(
        rules_value(&r, "params.long.matches('^(a|aa)+[^a]')"),
        "unknown: params.long.matches('^(a|aa)+[^a]') takes longer to match than it may");
    memset(large, 'a', 20000);
    r.params[r.call.params_n - 1].v.s = trp_str_make(large, 20000);
    assert_string_equal(rules_value(&r, "params.long.matches('b')"),
                        "unknown: params.long.matches('b') is larger than rules look at");
    r.params[r.call.params_n - 1].v.s = TRP_STR_LIT("\xff\xfe");
    assert_string_equal(rules_value(&r, "params.long.matches('.')"), "false"); /* no UTF-8 */
    test_free(large);
    rules_deinit(&r);
}

static void without_a_matcher_a_pattern_is_unknown(void **state)
{
    (void)state;
    struct rules r;
    struct trp_fact v;
    fill(&r);
    struct trp_expr *e = rules_compile(&r, "params.name.matches('a')");
    assert_non_null(e);
    rules_begin(&r);
    r.facts.matcher = NULL;
    trp_expr_value(e, &r.facts, &v);
    assert_int_equal(v.kind, TRP_FACT_UNKNOWN);
    trp_expr_destroy(e);
    rules_deinit(&r);
}

/* What string() writes has a limited place. */
static void many_texts_of_numbers_are_unknown_not_an_overflow(void **state)
{
    (void)state;
    struct rules r;
    char text[2000] = "string(params.most) == 'x'";
    fill(&r);
    for (int i = 0; i < 30; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text),
                       " || string(params.most) == 'x'");
    assert_string_equal(rules_value(&r, text),
                        "unknown: string(params.most) is larger than rules look at");
    rules_deinit(&r);
}

/* Memory of which the n-th piece is not there. */
struct scarce {
    struct trp_alloc alloc;
    int left, out;
};

static void *scarce_get(const struct trp_alloc *a, size_t bytes, size_t align)
{
    struct scarce *s = a->user;
    if (s->left-- == 0)
        return NULL;
    void *block = trp_alloc_aligned(trp_heap(), bytes, align);
    s->out += block != NULL;
    return block;
}

static void scarce_free(const struct trp_alloc *a, void *block)
{
    struct scarce *s = a->user;
    s->out -= block != NULL;
    trp_alloc_free(trp_heap(), block);
}

static void a_rule_without_memory_fails_and_leaves_nothing_behind(void **state)
{
    (void)state;
    static const struct trp_expr_place place = { "routes.yaml", 1, 1, NULL };
    struct scarce s = { .alloc = { .alloc = scarce_get, .free = scarce_free, .name = "scarce" } };
    struct rules r;
    struct trp_expr *e = NULL;
    struct trp_matcher *matcher = NULL;
    int failures = 0;
    fill(&r);
    s.alloc.user = &s;
    for (int n = 0; !e; n++, failures++) {
        s.left = n;
        (void)trp_expr_compile(&s.alloc,
                               TRP_STR_LIT("params.name.matches('^a+(b|c)') || headers['X-A'] in "
                                           "['a', 'b', 'c', 'd', 'e'] || params.n in [1, 2.5] || "
                                           "time.within('* * * * *') || inputs.age.shape == [3]"),
                               &place, &r.env, &e, &r.err);
        assert_true(e || r.err.status.code == TRP_OUT_OF_MEMORY);
        assert_true(e || s.out == 0);
    }
    assert_true(failures > 5);
    trp_expr_destroy(e);
    assert_int_equal(s.out, 0);
    for (int n = 0; !matcher; n++) {
        s.left = n;
        (void)trp_matcher_create(&s.alloc, &matcher, &r.err);
        assert_true(matcher || s.out == 0);
    }
    trp_matcher_destroy(matcher);
    assert_int_equal(s.out, 0);
    rules_deinit(&r);
}

/* The page that people copy from: what stands in its first block compiles, as a condition. */
static void the_examples_of_the_documents_are_rules(void **state)
{
    (void)state;
    static const struct trp_str lists[] = { { "with_history", 12 } };
    struct rules r;
    char line[300];
    int rules_n = 0, fences = 0;
    fill(&r);
    r.env = (struct trp_expr_env){ .lists = lists, .lists_n = 1 };
    FILE *page = fopen("docs/rules.md", "r");
    assert_non_null(page);
    while (fences < 2 && fgets(line, sizeof line, page)) {
        if (strncmp(line, "```", 3) == 0) {
            fences++;
            continue;
        }
        if (fences == 0)
            continue;
        line[strcspn(line, "#\n")] = '\0';
        struct trp_expr *e = rules_compile(&r, line);
        if (!e)
            print_error("%s\n", r.err.text);
        assert_non_null(e);
        trp_expr_destroy(e);
        rules_n++;
    }
    assert_int_equal(fclose(page), 0);
    assert_int_equal(rules_n, 8);
    rules_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_are_what_they_say),
        cmocka_unit_test(operators_bind_as_in_c),
        cmocka_unit_test(comparisons_are_exact_between_ints_and_doubles),
        cmocka_unit_test(what_cannot_be_told_is_unknown_and_says_why),
        cmocka_unit_test(unknown_is_absorbed_where_the_answer_is_clear),
        cmocka_unit_test(has_and_a_default_ask_without_a_risk),
        cmocka_unit_test(functions_do_what_their_names_say),
        cmocka_unit_test(membership_is_found_in_sets_shapes_and_not_among_others),
        cmocka_unit_test(a_condition_is_true_false_or_unknown),
        cmocka_unit_test(a_rule_tells_which_models_it_looks_at),
        cmocka_unit_test(a_pattern_that_would_take_for_ever_is_unknown),
        cmocka_unit_test(without_a_matcher_a_pattern_is_unknown),
        cmocka_unit_test(a_rule_without_memory_fails_and_leaves_nothing_behind),
        cmocka_unit_test(the_examples_of_the_documents_are_rules),
        cmocka_unit_test(many_texts_of_numbers_are_unknown_not_an_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

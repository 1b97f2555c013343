/* What is wrong with a rule is told before it is used: where, what, and what may have been
 * meant. */
#include "rules.h"

#include "tensor/signature.h"

static struct trp_str lists[] = { { "known_users", 11 }, { "blocked", 7 } };
static struct trp_str models[] = { { "ranker", 6 }, { "popularity", 10 } };

static const struct trp_io ios[] = {
    { .name = { "image", 5 }, .dtype = TROUPE_FP32, .rank = 4, .dims = { -1, 3, 224, 224 } },
    { .name = { "text", 4 }, .dtype = TROUPE_BYTES, .rank = 1, .dims = { -1 } },
    { .name = { "age", 3 }, .dtype = TROUPE_INT64, .rank = 1, .dims = { -1 } },
    { .name = { "flag", 4 }, .dtype = TROUPE_BOOL, .rank = 1, .dims = { -1 } },
};
static const struct trp_signature signature = { .inputs = ios, .inputs_n = ARRAY_LEN(ios) };

/* Another model, which takes some of the inputs, and one as another type. */
static const struct trp_io other_ios[] = {
    { .name = { "age", 3 }, .dtype = TROUPE_BYTES, .rank = 1, .dims = { -1 } },
    { .name = { "text", 4 }, .dtype = TROUPE_BYTES, .rank = 1, .dims = { -1 } },
    { .name = { "user", 4 }, .dtype = TROUPE_INT64, .rank = 1, .dims = { -1 } },
};
static const struct trp_signature other = { .inputs = other_ios, .inputs_n = ARRAY_LEN(other_ios) };
static const struct trp_signature *const signatures[] = { &signature, &other };

static void fill(struct rules *r)
{
    rules_init(r);
    r->env.lists = lists;
    r->env.lists_n = ARRAY_LEN(lists);
    r->env.models = models;
    r->env.models_n = ARRAY_LEN(models);
    r->env.signatures = signatures;
    r->env.signatures_n = 1;
}

#define REFUSED(rows)                                   \
    do {                                                \
        struct rules r;                                 \
        fill(&r);                                       \
        rules_check_refused(&r, rows, ARRAY_LEN(rows)); \
        rules_deinit(&r);                               \
    } while (0)

static void what_is_no_rule_is_refused(void **state)
{
    (void)state;
    static const struct rules_row rows[] = {
        { "", "the rule is empty" },
        { " \n ", "the rule is empty" },
        { "1 +", "expected a value, but the rule ends here" },
        { "(1", "expected ')', but the rule ends here" },
        { "1 2", "expected an operator or the end, found 2" },
        { "a.b.c d", "expected an operator or the end, found d" },
        { "params.a == 1 and params.b == 2",
          "expected an operator or the end, found and; write &&" },
        { "(params.a == 1 or true)", "expected ')', found or; write ||" },
        { "not has(params.a)", "there is no 'not'; write !" },
        { "params.a == 1 && not true", "expected an operator or the end, found true" },
        { "params.", "expected a name after '.', but the rule ends here" },
        { "params.?x == 1", "no '?' is needed: write x.name.orValue(...)" },
        { "params.x = 1", "one '=' compares nothing; write ==" },
        { "params.x & params.y", "write &&" },
        { "params.x | params.y", "write ||" },
        { "params.x ?? 1", "write x.orValue(y) for y where there is no x" },
        { "params.x == null", "there is no null; has(x) tells whether x is there" },
        { "params.x == 'abc", "this text does not end" },
        { "params.x == 'a\nb'", "this text does not end" },
        { "params.x == '\\q'", "no such escape; r'...' takes backslashes as they are" },
        { "params.x == '\\ud800'", "no such escape; r'...' takes backslashes as they are" },
        { "params.x == #1", "a character that means nothing here" },
        { "params.x == 99999999999999999999", "a number beyond 64 bits" },
        { "params.x == 0xFFFFFFFFFFFFFFFFF", "a number beyond 64 bits" },
        { "params.x == 0xg", "not a number" },
        { "params.x == 5 q", "expected an operator or the end, found q" },
        { "params.x == 5days",
          "'days' is no unit, or too much of it; there are ns, us, ms, s, m, h "
          "and KiB, MiB, GiB, TiB" },
        { "true ? 1", "expected ':', but the rule ends here" },
        { "[1, 2", "expected ']', but the rule ends here" },
        { "in == 1", "expected a value, found in" },
        { "\xff", "the rule is not UTF-8" },
    };
    REFUSED(rows);
}

static void a_wrong_name_is_told_with_the_nearest_right_one(void **state)
{
    (void)state;
    static const struct rules_row rows[] = {
        { "paramz.x == 1", "no name 'paramz'; did you mean 'params'?" },
        { "user == 1", "no name 'user'; a text needs quotes, and a parameter is params.user" },
        { "inputs.imge.rows > 1", "no input 'imge'; did you mean 'image'?" },
        { "inputs.image.row > 1", "no fact of a tensor 'row'; did you mean 'rows'?" },
        { "inputs.image.width > 1",
          "no fact of a tensor 'width'; there are dtype, shape, rows, bytes, "
          "kind, min, max, mean, nonzero" },
        { "models.rankr.ready", "no model 'rankr'; did you mean 'ranker'?" },
        { "models.other.ready", "no model 'other'" },
        { "models.ranker.readz", "no fact of a model 'readz'; did you mean 'ready'?" },
        { "server.cpus > 1.0", "no server fact 'cpus'; did you mean 'cpu'?" },
        { "time.hours == 1", "no time fact 'hours'; did you mean 'hour'?" },
        { "request.row == 1", "no request fact 'row'; did you mean 'rows'?" },
        { "params.user in lists.known_user", "no list 'known_user'; did you mean 'known_users'?" },
        { "params.x.startWith('a')", "no function 'startWith'; did you mean 'startsWith'?" },
        { "len(params.x) > 1", "no function 'len'; did you mean 'size'?" },
        { "matches(params.x, 'a')", "write x.matches('^a+$')" },
        { "params.x.int() == 1", "write int(x)" },
        { "len(params.x) == 1", "no function 'len'; did you mean 'size'?" },
        { "params.x.match('a')", "no function 'match'; did you mean 'matches'?" },
        { "has()", "write has(params.name)" },
        { "min(1) == 1", "write min(x, y, ...)" },
        { "inputs.text.kind == 'picture'",
          "it is never 'picture'; it may be text, image, audio, video, "
          "pdf, other, tensor" },
        { "inputs.text.kind == 'imag'", "it is never 'imag'; did you mean 'image'?" },
        { "inputs.image.dtype == 'FP31'", "it is never 'FP31'; did you mean 'FP32'?" },
        { "time.weekday in ['sat', 'sunday']",
          "it is never 'sunday'; it may be mon, tue, wed, thu, "
          "fri, sat, sun" },
        { "'htp' == request.protocol", "it is never 'htp'; did you mean 'http'?" },
        { "request.class != 'urgent'",
          "it is never 'urgent'; it may be normal, interactive, batch" },
        { "time.hour in [22, 25]", "it is 0 to 23, never 25" },
        { "time.hour == 24", "it is 0 to 23, never 24" },
        { "time.hour > 25", "it is 0 to 23, never 25" },
        { "0 == time.day", "it is 1 to 31, never 0" },
        { "time.month != 13", "it is 1 to 12, never 13" },
        { "time.minute in [0, 60]", "it is 0 to 59, never 60" },
        { "server.cpu > 90", "it is 0 to 1, never 90; 90 % is 0.9" },
        { "server.memory >= 2.5", "it is 0 to 1, never 2.5; 2.5 % is 0.025" },
        { "-1 > models.ranker.errors", "it is 0 to 1, never -1" },
    };
    REFUSED(rows);
}

static void types_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const struct rules_row rows[] = {
        { "'5' == 5", "cannot compare a text with an int; without quotes 5 is a number" },
        { "5 < '5'", "cannot compare an int with a text; without quotes 5 is a number" },
        { "true == 1", "cannot compare a bool with an int" },
        { "1 == 'a'", "cannot compare an int with a text" },
        { "headers.count > 5", "cannot compare a text with an int; headers are texts: int(...) or "
                               "double(...) makes a number of one" },
        { "models.ranker.p99 > 30",
          "cannot compare a duration with an int; a duration has a unit, as "
          "30ms" },
        { "time.hour == '1'", "cannot compare an int with a text; without quotes 1 is a number" },
        { "inputs.image.shape == 3", "cannot compare a list with an int" },
        { "inputs.image.shape < [3]", "a list has no order; only == and != compare it" },
        { "true < false", "a bool has no order; only == and != compare it" },
        { "inputs.text[0] > 1", "cannot compare a text with an int" },
        { "inputs.flag[0] > 1", "cannot compare a bool with an int" },
        { "inputs.age[0] == 'a'", "cannot compare an int with a text" },
        { "inputs.text.mean > 1.0", "input 'text' is of texts (BYTES) and has no mean" },
        { "'a' + 'b' == 'ab'", "texts are not joined in rules" },
        { "'a' - 1 == 1", "- takes numbers, not a text" },
        { "1 * true == 1", "* takes numbers, not a bool" },
        { "1s + 1s == 2s", "+ takes numbers, not a duration" },
        { "1.5 % 2 == 1.0", "% takes ints, not a double" },
        { "-'a' == 1", "- takes numbers, not a text" },
        { "!1", "! takes true or false, not an int" },
        { "1 && true", "&& takes true or false, not an int" },
        { "true || 'a'", "|| takes true or false, not a text" },
        { "1 ? true : false", "?: takes true or false, not an int" },
        { "true ? 1 : 'a'", "a text here, but an int before: both must be of one type" },
        { "time.hour.orValue('a') == 1",
          "a text here, but an int before: both must be of one type" },
        { "1 < 2 < 3", "cannot compare a bool with an int" },
        { "1 in ['a']", "cannot find an int in a list of texts" },
        { "1 in [1, 'a']", "a text in a list that begins with an int" },
        { "1 in []", "nothing is in an empty list" },
        { "1 in [params.x]", "a list behind 'in' is of constants" },
        { "true in [true]", "a list is of numbers or of texts, not of a bool" },
        { "1 in 2", "'in' takes a list, as [1, 2], lists.name or a shape, not an int" },
        { "'a' in inputs.image.shape", "a shape takes numbers, not a text" },
        { "1.5 in lists.blocked", "a list takes texts and ints, not a double" },
        { "[params.x] == inputs.image.shape", "such a list is of constant ints, as a shape is" },
        { "int(true) == 1", "int() takes a number or a text, not a bool" },
        { "double(1s) == 1.0", "double() takes a number or a text, not a duration" },
        { "string(1s) == ''", "string() takes a number, a bool or a text, not a duration" },
        { "size(1) == 1", "size() takes a text, a tensor or a list, not an int" },
        { "abs('a') == 1", "abs() takes numbers, not a text" },
        { "min(1, 'a') == 1", "min() takes numbers, or durations, not a text" },
        { "max(1, 1s) == 1", "max() of an int and a duration" },
        { "params.x.startsWith(1)", "startsWith takes texts, not an int" },
        { "params.x.matches(params.y)", "matches() takes a constant pattern" },
        { "params.x.matches('(')", "pattern, at character 1: missing closing parenthesis" },
        { "duration('soon') == 1s", "no duration; one is a number and a unit, as '30ms'" },
        { "duration('3') == 1s", "no duration; one is a number and a unit, as '30ms'" },
        { "duration(params.x) == 1s", "duration() takes a constant text, as '30ms', not anything" },
        { "1 / 0 == 1", "this constant divides by zero" },
        { "9223372036854775807 + 1 == 1", "this constant is beyond 64 bits" },
    };
    REFUSED(rows);
}

static void names_that_are_no_values_are_refused(void **state)
{
    (void)state;
    static const struct rules_row rows[] = {
        { "params == 1", "'params' is no value: write params.name or params['name']" },
        { "time == 1", "'time' is no value: write time.hour" },
        { "inputs.image == 1", "a tensor is no value: ask for its kind, dtype, shape, rows, bytes, "
                               "min, max, mean, nonzero, or an element [0]" },
        { "models.ranker", "a model is no value: ask for its ready, queue, wait, p50, p99, errors, "
                           "busy or bytes" },
        { "models.ranker[0] == 1", "a model has no elements" },
        { "lists.blocked", "a list is for 'in': x in lists.name" },
        { "lists.blocked.size() == 1", "a list is for 'in': x in lists.name" },
        { "params.x.y == 1", "a value has no member 'y'" },
        { "time.hour[0] == 1", "an int has no elements" },
        { "time.hour.x == 1", "an int has no member 'x'" },
        { "params[1] == 1", "params[...] takes a constant text" },
        { "inputs.age['a'] == 1", "the place of an element is an int, not a text" },
        { "inputs.age[-1] == 1", "elements are counted from 0" },
        { "inputs.age.shape[1.5] == 1", "the place of an element is an int, not a double" },
        { "has(1)", "has() takes a name, as params.user" },
        { "has(models.ranker)", "a model is no value: ask for its ready, queue, wait, p50, p99, "
                                "errors, busy or bytes" },
        { "server.within('* * * * *')", "write time.within('* 1-4 * * mon-fri')" },
        { "1", "a rule is true or false; this is an int" },
        { "time.hour", "a rule is true or false; this is an int" },
        { "'a'", "a rule is true or false; this is a text" },
        { "params.a + 1", "a rule is true or false; this is a number" },
        { "-params.a", "a rule is true or false; this is a number" },
        { "abs(params.a)", "a rule is true or false; this is a number" },
        { "max(params.a, params.b)", "a rule is true or false; this is a number" },
        { "params.a ? 1 : params.b * 2", "a rule is true or false; this is none" },
        { "params.a == 1 && params.b - 1", "&& takes true or false, not a number" },
        { "!(params.a % 2)", "! takes true or false, not a number" },
        { "params.a + 1 ? true : false", "?: takes true or false, not a number" },
    };
    REFUSED(rows);
}

static void inputs_are_of_the_type_that_all_models_agree_on(void **state)
{
    (void)state;
    struct rules r;
    fill(&r);
    assert_null(rules_compile(&r, "inputs.user[0] == 1"));
    r.env.signatures_n = 2;
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        { "inputs.user[0] == 1", true },   { "inputs.user[0] == 'a'", false },
        { "inputs.age[0] == 1", true },    { "inputs.age[0] == 'a'", true },
        { "inputs.age.mean > 1.0", true }, { "inputs.text.mean > 1.0", false },
        { "inputs.text[0] == 1", false },  { "inputs.none.rows == 1", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct trp_expr *e = rules_compile(&r, rows[i].text);
        assert_int_equal(e != NULL, rows[i].good);
        trp_expr_destroy(e);
    }
    rules_deinit(&r);
}

static void a_window_of_time_that_is_none_is_refused(void **state)
{
    (void)state;
    struct rules r;
    fill(&r);
    assert_null(rules_compile(&r, "time.within('61 * * * *')"));
    assert_non_null(strstr(r.err.text, "routes.yaml:7:25: "));
    assert_null(rules_compile(&r, "time.within(params.x)"));
    rules_deinit(&r);
}

static void the_caret_stands_below_the_mistake(void **state)
{
    (void)state;
    struct rules r;
    fill(&r);
    assert_null(rules_compile(&r, "params.a == 1 && inputs.imge.rows > 2"));
    assert_string_equal(r.err.text, "routes.yaml:7:37: no input 'imge'; did you mean 'image'?\n"
                                    "  params.a == 1 && inputs.imge.rows > 2\n"
                                    "                          ^");
    /* Of several lines the one with the mistake; only the first begins within a line of the
     * file. */
    assert_null(rules_compile(&r, "params.a == 1 &&\n   '\xc3\xa4' == 2"));
    assert_string_equal(r.err.text, "routes.yaml:8:4: cannot compare a text with an int\n"
                                    "     '\xc3\xa4' == 2\n"
                                    "     ^");
    /* Characters are counted, not bytes. */
    assert_null(rules_compile(&r, "'\xc3\xa4' == params.x && tme.hour == 1"));
    assert_string_equal(r.err.text, "routes.yaml:7:32: no name 'tme'; did you mean 'time'?\n"
                                    "  '\xc3\xa4' == params.x && tme.hour == 1\n"
                                    "                     ^");
    rules_deinit(&r);
}

static void a_long_line_is_shown_around_the_mistake(void **state)
{
    (void)state;
    struct rules r;
    char text[800] = "";
    fill(&r);
    for (int i = 0; i < 25; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "params.abc == 1 && ");
    (void)snprintf(text + strlen(text), sizeof text - strlen(text), "foo == 1 && params.abc == 1");
    assert_null(rules_compile(&r, text));
    const char *caret = strrchr(r.err.text, '\n');
    assert_non_null(caret);
    const char *line = caret - 1;
    while (line[-1] != '\n')
        line--;
    assert_true(caret - line <= 110);
    assert_int_equal(strncmp(line + strcspn(caret + 1, "^"), "foo", 3), 0);
    rules_deinit(&r);
}

static void what_is_too_large_is_refused_and_not_tried(void **state)
{
    (void)state;
    struct rules r;
    enum { LENGTH = 70000 };
    char *text = test_malloc(LENGTH + 1);
    fill(&r);
    memset(text, '(', LENGTH);
    text[LENGTH] = '\0';
    assert_null(rules_compile(&r, text));
    assert_int_equal(r.err.status.code, TRP_TOO_LARGE);
    text[60000] = '\0';
    assert_null(rules_compile(&r, text)); /* deep, not long */
    assert_string_equal(r.err.text, "routes.yaml:7:77: nested too deep");
    memset(text, '!', 60000);
    assert_null(rules_compile(&r, text));
    assert_int_equal(r.err.status.code, TRP_TOO_LARGE);
    memset(text, '-', 60000);
    assert_null(rules_compile(&r, text));
    assert_int_equal(r.err.status.code, TRP_TOO_LARGE);
    text[0] = '\0';
    size_t n = 0;
    for (int i = 0; i < 500; i++, n += 8)
        memcpy(text + n, "true && ", 8);
    memcpy(text + n, "true", 5);
    assert_null(rules_compile(&r, text)); /* a chain */
    assert_int_equal(r.err.status.code, TRP_TOO_LARGE);
    n = 0;
    for (int i = 0; i < 40; i++, n += 5)
        memcpy(text + n, "1 + (", 5);
    memcpy(text + n, "params.x", 8);
    n += 8;
    memset(text + n, ')', 40);
    memcpy(text + n + 40, " > 1", 5);
    assert_null(rules_compile(&r, text)); /* more values at once than the stack holds */
    assert_int_equal(r.err.status.code, TRP_TOO_LARGE);
    test_free(text);
    rules_deinit(&r);
}

static void ten_thousand_constants_are_one_set_or_too_many(void **state)
{
    (void)state;
    struct rules r;
    enum { LENGTH = 100000 };
    char *text = test_malloc(LENGTH);
    fill(&r);
    for (int limit = 8000; limit <= 9000; limit += 1000) {
        int n = snprintf(text, LENGTH, "params.x in [0");
        for (int i = 1; i < limit; i++)
            n += snprintf(text + n, (size_t)(LENGTH - n), ",%d", i);
        (void)snprintf(text + n, (size_t)(LENGTH - n), "]");
        struct trp_expr *e = rules_compile(&r, text);
        assert_int_equal(e != NULL, limit == 8000);
        trp_expr_destroy(e);
    }
    assert_int_equal(r.err.status.code, TRP_TOO_LARGE);
    test_free(text);
    rules_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_rule_is_refused),
        cmocka_unit_test(a_wrong_name_is_told_with_the_nearest_right_one),
        cmocka_unit_test(types_that_do_not_fit_are_refused),
        cmocka_unit_test(names_that_are_no_values_are_refused),
        cmocka_unit_test(inputs_are_of_the_type_that_all_models_agree_on),
        cmocka_unit_test(a_window_of_time_that_is_none_is_refused),
        cmocka_unit_test(the_caret_stands_below_the_mistake),
        cmocka_unit_test(a_long_line_is_shown_around_the_mistake),
        cmocka_unit_test(what_is_too_large_is_refused_and_not_tried),
        cmocka_unit_test(ten_thousand_constants_are_one_set_or_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

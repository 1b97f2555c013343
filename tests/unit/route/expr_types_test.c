/* Every operator and function of rules with operands of every type: what does not fit is refused
 * where it stands, in words that name both types; what fits has a type, which `duration(...)`
 * tells, because it refuses whatever it is given. */
#include "rules.h"

#include "tensor/signature.h"

enum { BOOL, INT, DOUBLE, TEXT, DURATION, LIST, ANY, TYPES };

/* Not one of them is a constant: constants are folded, which other tests are about. */
static const struct {
    const char *text, *name;
} of[TYPES] = {
    [BOOL] = { "models.ranker.ready", "a bool" },
    [INT] = { "time.hour", "an int" },
    [DOUBLE] = { "server.cpu", "a double" },
    [TEXT] = { "request.id", "a text" },
    [DURATION] = { "models.ranker.p99", "a duration" },
    [LIST] = { "inputs.image.shape", "a list" },
    [ANY] = { "params.x", "anything" },
};

#define SET(type) (1u << (type))
#define NUMBERS (SET(INT) | SET(DOUBLE) | SET(ANY))

static struct trp_str lists[] = { { "blocked", 7 } };
static struct trp_str models[] = { { "ranker", 6 } };
static const struct trp_io ios[] = {
    { .name = { "image", 5 }, .dtype = TROUPE_FP32, .rank = 4, .dims = { -1, 3, 224, 224 } },
    { .name = { "age", 3 }, .dtype = TROUPE_INT64, .rank = 1, .dims = { -1 } },
};
static const struct trp_signature signature = { .inputs = ios, .inputs_n = ARRAY_LEN(ios) };
static const struct trp_signature *const signatures[] = { &signature };

static int set_up(void **state)
{
    static struct rules r; /* one test at a time */
    rules_init(&r);
    r.env = (struct trp_expr_env){ .purpose = TRP_EXPR_VALUE,
                                   .lists = lists,
                                   .lists_n = ARRAY_LEN(lists),
                                   .models = models,
                                   .models_n = ARRAY_LEN(models),
                                   .signatures = signatures,
                                   .signatures_n = ARRAY_LEN(signatures) };
    *state = &r;
    return 0;
}

static int tear_down(void **state)
{
    rules_deinit(*state);
    return 0;
}

/* It does not compile, for these words, where `at` stands first. */
static void refused(struct rules *r, const char *text, const char *at, const char *words)
{
    char want[400];
    const char *place = strstr(text, at);
    assert_non_null(place);
    (void)snprintf(want, sizeof want, "routes.yaml:7:%d: %s\n", 13 + (int)(place - text), words);
    struct trp_expr *e = rules_compile(r, text);
    if (e || strncmp(r->err.text, want, strlen(want)) != 0)
        print_error("%s\nis:    %s\nshall: %s\n", text, e ? "taken" : r->err.text, want);
    assert_null(e);
    assert_int_equal(strncmp(r->err.text, want, strlen(want)), 0);
    assert_int_equal(r->err.status.code, TRP_INVALID_ARGUMENT);
}

/* It is of this type; a list is no value for a whole rule. */
static void is_of(struct rules *r, const char *text, unsigned type)
{
    char probe[300], want[100];
    struct trp_expr *e = type == LIST ? NULL : rules_compile(r, text);
    if (!e && type != LIST)
        print_error("%s: %s\n", text, r->err.text);
    assert_true(e || type == LIST);
    trp_expr_destroy(e);
    (void)snprintf(probe, sizeof probe, "duration(%s)", text);
    (void)snprintf(want, sizeof want, "duration() takes a constant text, as '30ms', not %s",
                   of[type].name);
    assert_null(rules_compile(r, probe));
    if (!strstr(r->err.text, want))
        print_error("%s\nis no %s: %s\n", text, of[type].name, r->err.text);
    assert_non_null(strstr(r->err.text, want));
}

static bool is_number(unsigned type)
{
    return (SET(type) & (SET(INT) | SET(DOUBLE))) != 0;
}

/* Which may stand on both sides of == and on both branches of ?: : a picture, row by row. */
static bool fit_together(unsigned a, unsigned b)
{
    static const char *const table[TYPES] = {
        /* BIDTSLA */
        "+-----+", /* bool */
        "-++---+", /* int */
        "-++---+", /* double */
        "---+--+", /* text */
        "----+-+", /* duration */
        "-----++", /* list */
        "+++++++", /* anything */
    };
    return table[a][b] == '+';
}

/* ---- one operand ---- */

struct one {
    const char *format; /* where the operand stands */
    unsigned fits;      /* types */
    int gives;          /* a type; -1: what it is given */
    const char *words;  /* %s: what came */
};

static void an_operand_of_another_type_is_refused(void **state)
{
    static const struct one rows[] = {
        { "!%s", SET(BOOL) | SET(ANY), BOOL, "! takes true or false, not %s" },
        { "-%s", NUMBERS, -1, "- takes numbers, not %s" },
        { "%s ? 1 : 2", SET(BOOL) | SET(ANY), INT, "?: takes true or false, not %s" },
        { "%s in [1, 0.5]", NUMBERS, BOOL, "cannot find %s in a list of numbers" },
        { "%s in ['a']", SET(TEXT) | SET(ANY), BOOL, "cannot find %s in a list of texts" },
        { "%s in lists.blocked", SET(TEXT) | SET(INT) | SET(ANY), BOOL,
          "a list takes texts and ints, not %s" },
        { "2 in %s", SET(LIST), BOOL,
          "'in' takes a list, as [1, 2], lists.name or a shape, not %s" },
        { "int(%s)", NUMBERS | SET(TEXT), INT, "int() takes a number or a text, not %s" },
        { "double(%s)", NUMBERS | SET(TEXT), DOUBLE, "double() takes a number or a text, not %s" },
        { "string(%s)", NUMBERS | SET(TEXT) | SET(BOOL), TEXT,
          "string() takes a number, a bool or a text, not %s" },
        { "size(%s)", SET(TEXT) | SET(LIST) | SET(ANY), INT,
          "size() takes a text, a tensor or a list, not %s" },
        { "%s.size()", SET(TEXT) | SET(LIST) | SET(ANY), INT,
          "size() takes a text, a tensor or a list, not %s" },
        { "abs(%s)", NUMBERS, -1, "abs() takes numbers, not %s" },
        { "%s.matches('^a')", SET(TEXT) | SET(ANY), BOOL, "matches takes texts, not %s" },
        { "inputs.age[%s]", SET(INT) | SET(ANY), INT, "the place of an element is an int, not %s" },
        { "duration(%s)", 0, DURATION, "duration() takes a constant text, as '30ms', not %s" },
        { "time.within(%s)", 0, BOOL, "time.within() takes a constant text, not %s" },
    };
    struct rules *r = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *item = strstr(rows[i].format, "in ["); /* what does not fit is a list's */
        for (unsigned type = 0; type < TYPES; type++) {
            char text[200], words[200];
            const char *s = strstr(rows[i].format, "%s"), *w = strstr(rows[i].words, "%s");
            (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(s - rows[i].format), rows[i].format,
                           of[type].text, s + 2);
            (void)snprintf(words, sizeof words, "%.*s%s%s", (int)(w - rows[i].words), rows[i].words,
                           of[type].name, w + 2);
            if (rows[i].fits & SET(type))
                is_of(r, text, rows[i].gives < 0 ? type : (unsigned)rows[i].gives);
            else
                refused(r, text, item ? item + 4 : of[type].text, words);
        }
    }
}

static void a_shape_is_searched_for_numbers(void **state)
{
    struct rules *r = *state;
    is_of(r, "time.hour in inputs.image.shape", BOOL);
    is_of(r, "params.x in inputs.image.shape", BOOL);
    refused(r, "request.id in inputs.image.shape", "request.id",
            "a shape takes numbers, not a text");
    refused(r, "inputs.image.shape in inputs.image.shape", "inputs",
            "a shape takes numbers, not a list");
    refused(r, "inputs.image.shape[server.cpu]", "server.cpu",
            "the place of an element is an int, not a double");
    is_of(r, "inputs.image.shape[time.hour]", INT);
    is_of(r, "inputs.image.shape[params.x]", INT);
}

/* Of the whole: a rule decides. */
static void a_rule_is_true_or_false(void **state)
{
    struct rules *r = *state;
    r->env.purpose = TRP_EXPR_CONDITION;
    for (unsigned type = 0; type < TYPES; type++) {
        char words[100];
        (void)snprintf(words, sizeof words, "a rule is true or false; this is %s", of[type].name);
        if (type == BOOL || type == ANY) {
            struct trp_expr *e = rules_compile(r, of[type].text);
            assert_non_null(e);
            trp_expr_destroy(e);
        } else {
            refused(r, of[type].text, of[type].text, words);
        }
    }
}

/* ---- two operands ---- */

static void both_sides_of_a_comparison_are_of_one_type(void **state)
{
    static const char *const ops[] = { "==", "!=", "<", "<=", ">", ">=" };
    struct rules *r = *state;
    for (size_t op = 0; op < ARRAY_LEN(ops); op++)
        for (unsigned a = 0; a < TYPES; a++)
            for (unsigned b = 0; b < TYPES; b++) {
                char text[200], words[200];
                const bool is_order = op >= 2;
                const unsigned unordered = a == BOOL || a == LIST ? a : b;
                const bool has_unit =
                    (a == DURATION && is_number(b)) || (b == DURATION && is_number(a));
                (void)snprintf(text, sizeof text, "%s %s %s", of[a].text, ops[op], of[b].text);
                if (!fit_together(a, b)) {
                    (void)snprintf(words, sizeof words, "cannot compare %s with %s%s", of[a].name,
                                   of[b].name, has_unit ? "; a duration has a unit, as 30ms" : "");
                    refused(r, text, of[a].text, words);
                } else if (is_order && (unordered == BOOL || unordered == LIST)) {
                    (void)snprintf(words, sizeof words,
                                   "%s has no order; only == and != compare it",
                                   of[unordered].name);
                    refused(r, text, of[unordered].text, words);
                } else {
                    is_of(r, text, BOOL);
                }
            }
}

static void calculating_takes_numbers(void **state)
{
    static const char *const ops[] = { "+", "-", "*", "/", "%" };
    struct rules *r = *state;
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        for (unsigned a = 0; a < TYPES; a++)
            for (unsigned b = 0; b < TYPES; b++) {
                char text[200], words[200];
                const bool is_rest = ops[i][0] == '%';
                const unsigned fits = is_rest ? SET(INT) | SET(ANY) : NUMBERS;
                const unsigned bad = fits & SET(a) ? b : a;
                (void)snprintf(text, sizeof text, "%s %s %s", of[a].text, ops[i], of[b].text);
                if (bad == TEXT && ops[i][0] == '+')
                    (void)snprintf(words, sizeof words, "texts are not joined in rules");
                else
                    (void)snprintf(words, sizeof words, "%s takes %s, not %s", ops[i],
                                   is_rest && bad == DOUBLE ? "ints" : "numbers", of[bad].name);
                if (!(fits & SET(bad)))
                    refused(r, text, of[bad].text, words);
                else
                    is_of(r, text,
                          a == DOUBLE || b == DOUBLE ? DOUBLE
                          : a == ANY || b == ANY     ? ANY
                                                     : INT);
            }
}

static void logic_takes_what_is_true_or_false(void **state)
{
    static const char *const ops[] = { "&&", "||" };
    struct rules *r = *state;
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        for (unsigned a = 0; a < TYPES; a++)
            for (unsigned b = 0; b < TYPES; b++) {
                char text[200], words[200];
                const unsigned bad = a == BOOL || a == ANY ? b : a;
                (void)snprintf(text, sizeof text, "%s %s %s", of[a].text, ops[i], of[b].text);
                (void)snprintf(words, sizeof words, "%s takes true or false, not %s", ops[i],
                               of[bad].name);
                if (bad == BOOL || bad == ANY)
                    is_of(r, text, BOOL);
                else
                    refused(r, text, of[bad].text, words);
            }
}

static void of_two_values_one_is_taken_only_when_they_are_of_one_type(void **state)
{
    struct rules *r = *state;
    for (int is_method = 0; is_method < 2; is_method++)
        for (unsigned a = 0; a < TYPES; a++)
            for (unsigned b = 0; b < TYPES; b++) {
                char text[200], words[200];
                (void)snprintf(text, sizeof text, is_method ? "%s%s.orValue(%s)" : "%s%s : %s",
                               is_method ? "" : "headers.h == 'a' ? ", of[a].text, of[b].text);
                (void)snprintf(words, sizeof words,
                               "%s here, but %s before: both must be of one type", of[b].name,
                               of[a].name);
                if (fit_together(a, b))
                    is_of(r, text, a == b ? a : ANY);
                else
                    refused(r, text, of[b].text, words);
            }
}

static void the_least_is_of_numbers_or_of_durations(void **state)
{
    static const char *const names[] = { "min", "max" };
    const unsigned fits = NUMBERS | SET(DURATION);
    struct rules *r = *state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        for (unsigned a = 0; a < TYPES; a++)
            for (unsigned b = 0; b < TYPES; b++) {
                char text[200], words[200];
                const unsigned bad = fits & SET(a) ? b : a;
                (void)snprintf(text, sizeof text, "%s(%s, %s)", names[i], of[a].text, of[b].text);
                if (!(fits & SET(bad)))
                    (void)snprintf(words, sizeof words, "%s() takes numbers, or durations, not %s",
                                   names[i], of[bad].name);
                else
                    (void)snprintf(words, sizeof words, "%s() of %s and %s", names[i], of[a].name,
                                   of[b].name);
                if (!(fits & SET(bad)) || !fit_together(a, b))
                    refused(r, text, of[bad].text, words);
                else
                    is_of(r, text, a == b ? a : ANY);
            }
}

static void texts_are_looked_for_in_texts(void **state)
{
    static const char *const names[] = { "startsWith", "endsWith", "contains" };
    struct rules *r = *state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        for (unsigned a = 0; a < TYPES; a++)
            for (unsigned b = 0; b < TYPES; b++) {
                char text[200], words[200];
                const unsigned bad = a == TEXT || a == ANY ? b : a;
                (void)snprintf(text, sizeof text, "%s.%s(%s)", of[a].text, names[i], of[b].text);
                (void)snprintf(words, sizeof words, "%s takes texts, not %s", names[i],
                               of[bad].name);
                if (bad == TEXT || bad == ANY)
                    is_of(r, text, BOOL);
                else
                    refused(r, text, of[bad].text, words);
            }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_operand_of_another_type_is_refused),
        TEST(a_shape_is_searched_for_numbers),
        TEST(a_rule_is_true_or_false),
        TEST(both_sides_of_a_comparison_are_of_one_type),
        TEST(calculating_takes_numbers),
        TEST(logic_takes_what_is_true_or_false),
        TEST(of_two_values_one_is_taken_only_when_they_are_of_one_type),
        TEST(the_least_is_of_numbers_or_of_durations),
        TEST(texts_are_looked_for_in_texts),
    };
    return cmocka_run_group_tests_name("expr_types", tests, NULL, NULL);
}

/* The compiled evaluator against a slow one, on random rules.
 *
 * A rule is made as a tree of this file's own, with its text: so the lexer, the parser, the
 * checker, folding, the compiler and the evaluator all stand against one walk over the tree that
 * does what docs/rules.md says, in the plainest way.  Values are typed, as rules must be to
 * compile; what is unknown comes from missing parameters, headers, elements and inputs, from
 * parameters of a type that the rule does not expect, and from arithmetic.  Half of the rules have
 * all parentheses, half of them only those that they need: what binds how is tried as well. */
#include "rules.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"

#ifdef TRP_SANITIZED
enum { CASES = 6000 };
#else
enum { CASES = 60000 };
#endif
enum {
    TREE_MAX = 64,
    STRINGS_MAX = 4, /* of one rule: what string() writes has little room */
    STRING_BYTES = 32
};

enum kind { UNKNOWN, BOOL, NUMBER_INT, NUMBER_DOUBLE, TEXT, DURATION };

/* What a rule may name, beside parameters.  Of the first ones each request has others, or none; the
 * rest is as rules.h tells it. */
enum named { TIER, TENANT, FIRST_INT, LAST_INT, NO_INT, REAL, WORD, DRAWN };

static const struct fact {
    const char *text;
    enum kind kind; /* as a rule knows it when it is read; UNKNOWN: any */
    int64_t i;
    double d;
    bool is_there;
} facts[] = {
    [TIER] = { "headers['X-Tier']", TEXT, 0, 0, true },
    [TENANT] = { "request.tenant", TEXT, 0, 0, true },
    [FIRST_INT] = { "inputs.ints[0]", UNKNOWN, 0, 0, true },
    [LAST_INT] = { "inputs.ints[1]", UNKNOWN, 0, 0, true },
    [NO_INT] = { "inputs.ints[2]", UNKNOWN, 0, 0, true },
    [REAL] = { "inputs.reals[1]", UNKNOWN, 0, 0, true },
    [WORD] = { "inputs.words[0]", UNKNOWN, 0, 0, true },
    { "inputs.ints.rows", NUMBER_INT, 2, 0, true },
    { "inputs.reals.shape[0]", NUMBER_INT, 2, 0, true },
    { "size(inputs.reals)", NUMBER_INT, 2, 0, true },
    { "inputs.none.bytes", NUMBER_INT, 0, 0, false },
    { "models.fast.queue", NUMBER_INT, 2, 0, true },
    { "models['none'].queue", NUMBER_INT, 0, 0, false },
    { "time.hour", NUMBER_INT, 4, 0, true },
    { "time.day", NUMBER_INT, 26, 0, true },
    { "server.cpu", NUMBER_DOUBLE, 0, 0.75, true },
    { "models.slow.errors", NUMBER_DOUBLE, 0, 0.25, true },
    { "inputs.none.mean", NUMBER_DOUBLE, 0, 0, false },
    { "models.fast.ready", BOOL, 1, 0, true },
    { "models.slow.ready", BOOL, 0, 0, true },
    { "time.within('* 4 * * thu')", BOOL, 1, 0, true },
    { "models.fast.p99", DURATION, 9000000, 0, true },
    { "models.slow.wait", DURATION, 300000000, 0, true },
    { "models.idle.p99", DURATION, 0, 0, false },
    { "9ms", DURATION, 9000000, 0, true },
    { "duration('300ms')", DURATION, 300000000, 0, true },
    { "0.5s", DURATION, 500000000, 0, true },
};

struct value {
    enum kind kind;
    bool b;
    int64_t i;
    double d;
    const char *s;
};

struct tree {
    char op[12];
    int param; /* of a leaf: which; -1: a constant */
    int fact;  /* of a leaf: which, + 1; 0: none */
    struct value value;
    struct tree *kids[3];
    char *written; /* by string() */
};

struct maker {
    struct trp_random random;
    struct tree trees[TREE_MAX];
    int trees_n;
    char strings[STRINGS_MAX][STRING_BYTES];
    int strings_n;
    struct value params[8];
    bool has_param[8];
    struct value drawn[DRAWN]; /* of `facts` */
    int64_t ints[2];
    double reals[2];
    char words[16];
};

static uint32_t draw(struct maker *m, uint32_t n)
{
    return (uint32_t)((trp_random_next(&m->random) >> 16) % n);
}

/* ---- the slow evaluator ---- */

static const struct value unknown = { .kind = UNKNOWN };

static struct value of_bool(bool b)
{
    return (struct value){ .kind = BOOL, .b = b };
}

static bool is_number(struct value v)
{
    return v.kind == NUMBER_INT || v.kind == NUMBER_DOUBLE;
}

/* long double has 64 bits of mantissa here: both kinds of number fit. */
static long double wide(struct value v)
{
    return v.kind == NUMBER_INT ? (long double)v.i : (long double)v.d;
}

static struct value slow_compare(const char *op, struct value a, struct value b)
{
    int order;
    if (a.kind == UNKNOWN || b.kind == UNKNOWN)
        return unknown;
    if (is_number(a) && is_number(b)) {
        if (isnan((double)wide(a)) || isnan((double)wide(b)))
            return of_bool(strcmp(op, "!=") == 0);
        order = wide(a) < wide(b) ? -1 : wide(a) > wide(b);
    } else if (a.kind != b.kind) {
        return unknown;
    } else if (a.kind == TEXT) {
        order = strcmp(a.s, b.s);
    } else {
        if (a.kind == BOOL && strcmp(op, "==") != 0 && strcmp(op, "!=") != 0)
            return unknown;
        order = a.kind == BOOL ? a.b != b.b : a.i < b.i ? -1 : a.i > b.i;
    }
    if (strcmp(op, "==") == 0)
        return of_bool(order == 0);
    if (strcmp(op, "!=") == 0)
        return of_bool(order != 0);
    if (strcmp(op, "<") == 0)
        return of_bool(order < 0);
    if (strcmp(op, "<=") == 0)
        return of_bool(order <= 0);
    return of_bool(strcmp(op, ">") == 0 ? order > 0 : order >= 0);
}

static struct value slow_ints(char op, int64_t a, int64_t b)
{
    __extension__ typedef __int128 int128;
    if ((op == '/' || op == '%') && b == 0)
        return unknown;
    const int128 x = a, y = b;
    const int128 out = op == '+'   ? x + y
                       : op == '-' ? x - y
                       : op == '*' ? x * y
                       : op == '/' ? x / y
                                   : x % y;
    if (out > INT64_MAX || out < INT64_MIN || (op == '%' && a == INT64_MIN && b == -1))
        return unknown;
    return (struct value){ .kind = NUMBER_INT, .i = (int64_t)out };
}

static double plain(struct value v)
{
    return v.kind == NUMBER_INT ? (double)v.i : v.d;
}

static struct value slow_arithmetic(char op, struct value a, struct value b)
{
    struct value out = { .kind = NUMBER_DOUBLE };
    if (!is_number(a) || !is_number(b))
        return unknown;
    if (a.kind == NUMBER_INT && b.kind == NUMBER_INT)
        return slow_ints(op, a.i, b.i);
    const double x = plain(a), y = plain(b);
    if (op == '%' || (op == '/' && y == 0))
        return unknown;
    out.d = op == '+' ? x + y : op == '-' ? x - y : op == '*' ? x * y : x / y;
    return out;
}

static struct value slow(const struct maker *m, const struct tree *t);

/* The table of Kleene's logic, with 0, 1 and 2 for unknown. */
static int truth(struct value v)
{
    return v.kind == BOOL ? v.b : 2;
}

static struct value slow_logic(const char *op, int a, int b)
{
    static const int and_table[3][3] = { { 0, 0, 0 }, { 0, 1, 2 }, { 0, 2, 2 } };
    static const int or_table[3][3] = { { 0, 1, 2 }, { 1, 1, 1 }, { 2, 1, 2 } };
    const int out = op[0] == '&' ? and_table[a][b] : or_table[a][b];
    return out == 2 ? unknown : of_bool(out == 1);
}

static struct value slow_in(const struct maker *m, const struct tree *t)
{
    const struct value v = slow(m, t->kids[0]);
    bool found = false;
    if (v.kind == UNKNOWN)
        return unknown;
    for (int i = 1; i < 3; i++) {
        const struct value same = slow_compare("==", v, t->kids[i]->value);
        if (same.kind == UNKNOWN)
            return unknown;
        found = found || same.b;
    }
    return of_bool(found);
}

/* ---- functions ---- */

static struct value slow_abs(struct value a)
{
    if (a.kind == NUMBER_DOUBLE)
        return (struct value){ .kind = NUMBER_DOUBLE, .d = a.d < 0 ? -a.d : a.d == 0 ? 0 : a.d };
    return a.kind != NUMBER_INT ? unknown : a.i < 0 ? slow_ints('-', 0, a.i) : a;
}

static struct value slow_int(struct value a)
{
    if (a.kind == NUMBER_INT)
        return a;
    if (a.kind == NUMBER_DOUBLE && a.d >= -9223372036854775808.0 && a.d < 9223372036854775808.0)
        return (struct value){ .kind = NUMBER_INT, .i = (int64_t)a.d };
    if (a.kind == TEXT && strcmp(a.s, "7") == 0) /* the only number among the texts */
        return (struct value){ .kind = NUMBER_INT, .i = 7 };
    return unknown;
}

static struct value slow_double(struct value a)
{
    if (is_number(a))
        return (struct value){ .kind = NUMBER_DOUBLE, .d = plain(a) };
    return a.kind == TEXT && strcmp(a.s, "7") == 0 ? (struct value){ .kind = NUMBER_DOUBLE, .d = 7 }
                                                   : unknown;
}

/* Of a double as many digits as it takes to read it again. */
static struct value slow_string(struct value a, char *out)
{
    if (a.kind == UNKNOWN || a.kind == TEXT)
        return a;
    if (a.kind == BOOL)
        (void)snprintf(out, STRING_BYTES, "%s", a.b ? "true" : "false");
    else if (a.kind == NUMBER_INT)
        (void)snprintf(out, STRING_BYTES, "%lld", (long long)a.i);
    else if (snprintf(out, STRING_BYTES, "%.15g", a.d) > 0 && strtod(out, NULL) != a.d)
        (void)snprintf(out, STRING_BYTES, "%.17g", a.d);
    return (struct value){ .kind = TEXT, .s = out };
}

/* One of `patterns`. */
static struct value slow_matches(struct value a, const char *pattern)
{
    if (a.kind != TEXT)
        return unknown;
    const size_t n = strlen(a.s);
    if (strcmp(pattern, "^a") == 0)
        return of_bool(a.s[0] == 'a');
    if (strcmp(pattern, "b$") == 0)
        return of_bool(n > 0 && a.s[n - 1] == 'b');
    return of_bool(n == 0 || strspn(a.s, "0123456789") == n); /* ^[0-9]*$ */
}

static struct value slow_size(struct value a)
{
    struct value out = { .kind = NUMBER_INT };
    if (a.kind != TEXT)
        return unknown;
    for (const char *c = a.s; *c; c++)
        out.i += ((unsigned char)*c >> 6) != 2;
    return out;
}

static struct value slow_extreme(bool is_min, struct value a, struct value b)
{
    if (!is_number(a) || !is_number(b))
        return unknown;
    if (isnan((double)wide(a)) || isnan((double)wide(b)))
        return (struct value){ .kind = NUMBER_DOUBLE, .d = NAN };
    return (wide(a) <= wide(b)) == is_min ? a : b;
}

static struct value slow_texts(const char *op, struct value a, struct value b)
{
    if (a.kind != TEXT || b.kind != TEXT)
        return unknown;
    const char *found = strstr(a.s, b.s);
    if (strcmp(op, "startsWith") == 0)
        return of_bool(found == a.s);
    if (strcmp(op, "contains") == 0)
        return of_bool(found != NULL);
    const size_t n = strlen(a.s), m = strlen(b.s);
    return of_bool(n >= m && strcmp(a.s + n - m, b.s) == 0);
}

static bool is_one_of(const char *op, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(op, names[i]) == 0)
            return true;
    return false;
}

static const char *const functions[] = { "has",    "abs",  "int", "double",
                                         "string", "size", "min", "max" };
static const char *const methods[] = { "orValue", "startsWith", "endsWith", "contains", "matches" };
static const char *const patterns[] = { "^a", "b$", "^[0-9]*$" };

static struct value slow_fact(const struct maker *m, int which)
{
    const struct fact *f = &facts[which];
    if (which < DRAWN)
        return m->drawn[which];
    return f->is_there ? (struct value){ .kind = f->kind, .b = f->i != 0, .i = f->i, .d = f->d }
                       : unknown;
}

static struct value slow_leaf(const struct maker *m, const struct tree *t)
{
    if (t->fact > 0)
        return slow_fact(m, t->fact - 1);
    if (t->param < 0)
        return t->value;
    return m->has_param[t->param] ? m->params[t->param] : unknown;
}

static struct value slow(const struct maker *m, const struct tree *t)
{
    const char *op = t->op;
    if (!op[0])
        return slow_leaf(m, t);
    if (strcmp(op, "in") == 0)
        return slow_in(m, t);
    const struct value a = slow(m, t->kids[0]);
    if (strcmp(op, "has") == 0)
        return of_bool(a.kind != UNKNOWN);
    if (strcmp(op, "!") == 0)
        return a.kind == BOOL ? of_bool(!a.b) : unknown;
    if (strcmp(op, "neg") == 0)
        return a.kind == NUMBER_DOUBLE ? (struct value){ .kind = NUMBER_DOUBLE, .d = -a.d }
               : a.kind == NUMBER_INT  ? slow_ints('-', 0, a.i)
                                       : unknown;
    if (strcmp(op, "abs") == 0)
        return slow_abs(a);
    if (strcmp(op, "int") == 0)
        return slow_int(a);
    if (strcmp(op, "double") == 0)
        return slow_double(a);
    if (strcmp(op, "string") == 0)
        return slow_string(a, t->written);
    if (strcmp(op, "size") == 0)
        return slow_size(a);
    const struct value b = slow(m, t->kids[1]);
    if (strcmp(op, "min") == 0 || strcmp(op, "max") == 0) {
        const struct value two = slow_extreme(op[1] == 'i', a, b);
        return t->kids[2] ? slow_extreme(op[1] == 'i', two, slow(m, t->kids[2])) : two;
    }
    if (strcmp(op, "matches") == 0)
        return slow_matches(a, b.s);
    if (is_one_of(op, methods + 1, ARRAY_LEN(methods) - 1))
        return slow_texts(op, a, b);
    if (strcmp(op, "orValue") == 0)
        return a.kind != UNKNOWN ? a : b;
    if (strcmp(op, "?") == 0)
        return a.kind != BOOL ? unknown : a.b ? b : slow(m, t->kids[2]);
    if (strcmp(op, "&&") == 0 || strcmp(op, "||") == 0)
        return slow_logic(op, truth(a), truth(b));
    if (strchr("+-*/%", op[0]))
        return slow_arithmetic(op[0], a, b);
    return slow_compare(op, a, b);
}

/* ---- making ---- */

static struct tree *leaf(struct maker *m, enum kind kind)
{
    static const int64_t ints[] = { 0, 1, -1, 2, 3, 7, 63, 64, 1000, INT64_MAX, INT64_MIN + 1 };
    static const double doubles[] = { 0, 0.5, -1.5, 2, 3, 1e18, 9223372036854775808.0, 1e-9 };
    static const char *const texts[] = { "", "a", "ab", "b", "7", "\xc3\xa9" };
    struct tree *t = &m->trees[m->trees_n++];
    *t = (struct tree){ .param = -1 };
    t->value.kind = kind;
    t->value.b = draw(m, 2);
    t->value.i = ints[draw(m, ARRAY_LEN(ints))];
    t->value.d = doubles[draw(m, ARRAY_LEN(doubles))];
    t->value.s = texts[draw(m, ARRAY_LEN(texts))];
    return t;
}

/* One of a kind, or of any. */
static struct tree *named(struct maker *m, enum kind kind)
{
    struct tree *t = leaf(m, UNKNOWN);
    int which;
    do
        which = (int)draw(m, ARRAY_LEN(facts));
    while (facts[which].kind != kind);
    t->fact = which + 1;
    return t;
}

/* Of whatever type comes. */
static struct tree *param(struct maker *m)
{
    if (draw(m, 4) == 0)
        return named(m, UNKNOWN);
    struct tree *t = leaf(m, UNKNOWN);
    t->param = (int)draw(m, 8);
    return t;
}

/* A constant, or what has this type whatever comes. */
static struct tree *typed(struct maker *m, enum kind kind)
{
    return draw(m, 3) ? leaf(m, kind) : named(m, kind);
}

static struct tree *node(struct maker *m, const char *op, struct tree *a, struct tree *b,
                         struct tree *c)
{
    struct tree *t = &m->trees[m->trees_n++];
    *t = (struct tree){ .param = -1, .kids = { a, b, c } };
    (void)snprintf(t->op, sizeof t->op, "%s", op);
    return t;
}

static struct tree *make(struct maker *m, enum kind kind, int depth);

static struct tree *make_text(struct maker *m)
{
    if (draw(m, 4) == 0 && m->strings_n < STRINGS_MAX) {
        struct tree *t = node(m, "string", draw(m, 3) ? param(m) : leaf(m, NUMBER_INT), NULL, NULL);
        t->written = m->strings[m->strings_n++];
        return t;
    }
    return draw(m, 2) ? param(m) : typed(m, TEXT);
}

static struct tree *make_number(struct maker *m, int depth)
{
    static const char *const ops[] = { "+", "-", "*", "/" };
    if (depth <= 0 || m->trees_n > TREE_MAX - 16 || draw(m, 3) == 0)
        return draw(m, 2) ? param(m) : typed(m, draw(m, 2) ? NUMBER_INT : NUMBER_DOUBLE);
    switch (draw(m, 14)) {
    case 12:
        return node(m, "double", draw(m, 2) ? param(m) : make_number(m, depth - 1), NULL, NULL);
    case 13: {
        struct tree *a = make_number(m, depth - 1), *b = make_number(m, depth - 1);
        return node(m, draw(m, 2) ? "min" : "max", a, b, draw(m, 2) ? param(m) : NULL);
    }
    case 8:
        return node(m, "abs", make_number(m, depth - 1), NULL, NULL);
    case 9:
        return node(m, "int", draw(m, 2) ? param(m) : make_number(m, depth - 1), NULL, NULL);
    case 10:
        return node(m, "size", make_text(m), NULL, NULL);
    case 11: {
        struct tree *a = make_number(m, depth - 1);
        return node(m, draw(m, 2) ? "min" : "max", a, make_number(m, depth - 1), NULL);
    }
    case 0:
        return node(m, "neg", make_number(m, depth - 1), NULL, NULL);
    case 1:
        return node(m, "orValue", param(m), make_number(m, depth - 1), NULL);
    case 2: {
        struct tree *cond = make(m, BOOL, depth - 1), *yes = make_number(m, depth - 1);
        return node(m, "?", cond, yes, make_number(m, depth - 1));
    }
    case 3: /* of what may be an int only */
        return node(m, "%", param(m), leaf(m, NUMBER_INT), NULL);
    default: {
        struct tree *a = make_number(m, depth - 1);
        return node(m, ops[draw(m, ARRAY_LEN(ops))], a, make_number(m, depth - 1), NULL);
    }
    }
}

static struct tree *make_bool(struct maker *m, int depth)
{
    static const char *const compares[] = { "==", "!=", "<", "<=", ">", ">=" };
    const char *compare = compares[draw(m, ARRAY_LEN(compares))];
    struct tree *a, *b;
    if (depth <= 0 || m->trees_n > TREE_MAX - 16)
        return draw(m, 2) ? param(m) : typed(m, BOOL);
    switch (draw(m, 12)) {
    case 11:
        a = named(m, DURATION);
        a = draw(m, 4) ? a : node(m, "orValue", a, named(m, DURATION), NULL);
        return node(m, compare, a, draw(m, 4) ? named(m, DURATION) : param(m), NULL);
    case 10:
        a = make_text(m);
        b = leaf(m, TEXT);
        b->value.s = patterns[draw(m, ARRAY_LEN(patterns))];
        return node(m, "matches", a, b, NULL);
    case 9:
        a = make_text(m);
        return node(m, methods[1 + draw(m, 3)], a, make_text(m), NULL);
    case 0:
        return node(m, "!", make_bool(m, depth - 1), NULL, NULL);
    case 1:
    case 2:
        a = make_bool(m, depth - 1);
        return node(m, draw(m, 2) ? "&&" : "||", a, make_bool(m, depth - 1), NULL);
    case 3:
        a = make_text(m);
        return node(m, compare, a, make_text(m), NULL);
    case 4:
        return node(m, "has", param(m), NULL, NULL);
    case 5:
        a = make_number(m, depth - 1);
        b = leaf(m, draw(m, 2) ? NUMBER_INT : NUMBER_DOUBLE);
        return node(m, "in", a, b, leaf(m, NUMBER_INT));
    case 6:
        a = make_text(m);
        b = leaf(m, TEXT);
        return node(m, "in", a, b, leaf(m, TEXT));
    default:
        a = make_number(m, depth - 1);
        return node(m, compare, a, make_number(m, depth - 1), NULL);
    }
}

static struct tree *make(struct maker *m, enum kind kind, int depth)
{
    return kind == BOOL ? make_bool(m, depth) : make_number(m, depth);
}

/* ---- as text ---- */

/* How closely it binds, as docs/rules.md has it. */
enum binding { CONDITION, OR, AND, RELATION, SUM, PRODUCT, SIGN, PATH };

static enum binding binding_of(const struct tree *t)
{
    static const char *const loose[] = { "?", "||", "&&" };
    for (int i = 0; i < 3; i++)
        if (strcmp(t->op, loose[i]) == 0)
            return (enum binding)i;
    if (strcmp(t->op, "!") == 0 || strcmp(t->op, "neg") == 0)
        return SIGN;
    if (!t->op[0] || is_one_of(t->op, functions, ARRAY_LEN(functions)) ||
        is_one_of(t->op, methods, ARRAY_LEN(methods)))
        return PATH;
    if (strchr("+-", t->op[0]))
        return SUM;
    return strchr("*/%", t->op[0]) ? PRODUCT : RELATION;
}

struct writer {
    struct trp_buf *b;
    bool is_sparing; /* only the parentheses that it takes */
};

static void write_leaf(struct trp_buf *b, const struct tree *t)
{
    if (t->fact > 0 || t->param >= 0) {
        if (t->fact > 0)
            trp_buf_add_text(b, facts[t->fact - 1].text);
        else
            trp_buf_addf(b, "params.p%d", t->param);
        return;
    }
    switch (t->value.kind) {
    case BOOL:
        trp_buf_add_text(b, t->value.b ? "true" : "false");
        break;
    case NUMBER_INT:
        trp_buf_addf(b, t->value.i < 0 ? "(%lld)" : "%lld", (long long)t->value.i);
        break;
    case NUMBER_DOUBLE:
        trp_buf_addf(b, t->value.d < 0 ? "(%.17e)" : "%.17e", t->value.d);
        break;
    default:
        trp_buf_addf(b, "'%s'", t->value.s);
        break;
    }
}

static void write_tree(const struct writer *w, const struct tree *t, enum binding least);

static void write_call(const struct writer *w, const struct tree *t)
{
    const bool is_method = is_one_of(t->op, methods, ARRAY_LEN(methods));
    const struct tree *first = t->kids[0];
    if (is_method) {
        /* 5.orValue(1) would begin with a number that has a point */
        const bool is_number = !first->op[0] && first->param < 0 && first->fact == 0;
        trp_buf_add_text(w->b, is_number ? "(" : "");
        write_tree(w, first, PATH);
        trp_buf_addf(w->b, "%s.%s(", is_number ? ")" : "", t->op);
    } else {
        trp_buf_addf(w->b, "%s(", t->op);
        write_tree(w, first, CONDITION);
    }
    for (int i = 1; i < 3 && t->kids[i]; i++) {
        trp_buf_add_text(w->b, i > 1 || !is_method ? ", " : "");
        write_tree(w, t->kids[i], CONDITION);
    }
    trp_buf_add_text(w->b, ")");
}

static void write_bare(const struct writer *w, const struct tree *t, enum binding own)
{
    switch (own) {
    case CONDITION:
        write_tree(w, t->kids[0], OR);
        trp_buf_add_text(w->b, " ? ");
        write_tree(w, t->kids[1], OR);
        trp_buf_add_text(w->b, " : ");
        write_tree(w, t->kids[2], CONDITION);
        return;
    case SIGN:
        trp_buf_add_text(w->b, t->op[0] == '!' ? "!" : "-");
        write_tree(w, t->kids[0], SIGN);
        return;
    case PATH:
        if (t->op[0])
            write_call(w, t);
        else
            write_leaf(w->b, t);
        return;
    default: /* of equals, from left to right */
        write_tree(w, t->kids[0], own);
        trp_buf_addf(w->b, " %s ", t->op);
        if (strcmp(t->op, "in") != 0) {
            write_tree(w, t->kids[1], (enum binding)(own + 1));
            return;
        }
        trp_buf_add_text(w->b, "[");
        write_tree(w, t->kids[1], CONDITION);
        trp_buf_add_text(w->b, ", ");
        write_tree(w, t->kids[2], CONDITION);
        trp_buf_add_text(w->b, "]");
        return;
    }
}

/* Where something that binds less closely than `least` needs parentheses. */
static void write_tree(const struct writer *w, const struct tree *t, enum binding least)
{
    const enum binding own = binding_of(t);
    const bool is_wrapped = own < least || (!w->is_sparing && t->op[0]);
    trp_buf_add_text(w->b, is_wrapped ? "(" : "");
    write_bare(w, t, own);
    trp_buf_add_text(w->b, is_wrapped ? ")" : "");
}

/* ---- the two against each other ---- */

static struct value drawn_text(const char *s)
{
    return s ? (struct value){ .kind = TEXT, .s = s } : unknown;
}

/* A header, a tenant and three inputs, or fewer of them. */
static void draw_facts(struct maker *m, struct rules *r)
{
    static const char *const words[] = { "a", "ab", "7", "gold", NULL };
    const int used = m->trees_n;
    const char *tier = words[draw(m, 5)], *tenant = words[draw(m, 5)], *word = words[draw(m, 5)];
    r->call.headers_n = r->call.inputs_n = 0;
    if (tier)
        rules_header(r, "x-tier", tier);
    r->call.tenant = tenant ? trp_str_of(tenant) : trp_str_make(NULL, 0);
    for (int i = 0; i < 2; i++) {
        m->ints[i] = leaf(m, NUMBER_INT)->value.i;
        m->reals[i] = leaf(m, NUMBER_DOUBLE)->value.d;
    }
    m->trees_n = used;
    (void)rules_input(r, "ints", TROUPE_INT64, 2, m->ints, sizeof m->ints);
    (void)rules_input(r, "reals", TROUPE_FP64, 2, m->reals, sizeof m->reals);
    const uint32_t length = word ? (uint32_t)strlen(word) : 0;
    memcpy(m->words, &length, sizeof length);
    memcpy(m->words + sizeof length, word ? word : "", length);
    if (word)
        (void)rules_input(r, "words", TROUPE_BYTES, 1, m->words, sizeof length + length);
    m->drawn[TIER] = drawn_text(tier);
    m->drawn[TENANT] = drawn_text(tenant);
    m->drawn[WORD] = drawn_text(word);
    m->drawn[FIRST_INT] = (struct value){ .kind = NUMBER_INT, .i = m->ints[0] };
    m->drawn[LAST_INT] = (struct value){ .kind = NUMBER_INT, .i = m->ints[1] };
    m->drawn[NO_INT] = unknown;
    m->drawn[REAL] = (struct value){ .kind = NUMBER_DOUBLE, .d = m->reals[1] };
}

static void draw_params(struct maker *m, struct rules *r)
{
    static const char *const names[] = { "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7" };
    const int used = m->trees_n;
    r->call.params_n = 0;
    for (int i = 0; i < 8; i++) {
        m->has_param[i] = draw(m, 5) > 0;
        m->params[i] = leaf(m, (enum kind)(BOOL + draw(m, 4)))->value;
        m->trees_n = used;
        if (!m->has_param[i])
            continue;
        struct trp_param *p = rules_param(r, names[i], TRP_PARAM_BOOL);
        const struct value v = m->params[i];
        p->v.b = v.b;
        if (v.kind == NUMBER_INT) {
            p->kind = TRP_PARAM_INT;
            p->v.i = v.i;
        } else if (v.kind == NUMBER_DOUBLE) {
            p->kind = TRP_PARAM_DOUBLE;
            p->v.d = v.d;
        } else if (v.kind == TEXT) {
            p->kind = TRP_PARAM_STR;
            p->v.s = trp_str_of(v.s);
        }
    }
}

static bool is_same(struct value want, const struct trp_fact *got)
{
    switch (want.kind) {
    case BOOL:
        return got->kind == TRP_FACT_BOOL && got->v.b == want.b;
    case NUMBER_INT:
        return got->kind == TRP_FACT_INT && got->v.i == want.i;
    case NUMBER_DOUBLE:
        return got->kind == TRP_FACT_DOUBLE &&
               (got->v.d == want.d || (isnan(got->v.d) && isnan(want.d)));
    case TEXT:
        return got->kind == TRP_FACT_TEXT && trp_str_is(got->v.s, want.s);
    default:
        return got->kind == TRP_FACT_UNKNOWN;
    }
}

/* Some are refused: constants that overflow, a text where a rule can tell that none may be. */
static bool try_one(struct maker *m, struct rules *r, uint32_t *requests)
{
    struct trp_fact got;
    m->trees_n = m->strings_n = 0;
    const struct tree *t = make(m, draw(m, 4) ? BOOL : NUMBER_INT, 5);
    trp_buf_reset(&r->out);
    const struct writer w = { &r->out, draw(m, 2) };
    write_tree(&w, t, CONDITION);
    struct trp_expr *e = rules_compile(r, rules_text(r));
    if (!e)
        return false;
    for (int i = 0; i < 4; i++, (*requests)++) {
        draw_params(m, r);
        draw_facts(m, r);
        rules_begin(r);
        trp_expr_value(e, &r->facts, &got);
        if (!is_same(slow(m, t), &got)) {
            print_error("rule: %s\n", trp_buf_text(&r->out));
            trp_fact_write_json(&got, &r->out);
            print_error("it is %d, %d, %lld, %g; %s\n", (int)slow(m, t).kind, slow(m, t).b,
                        (long long)slow(m, t).i, slow(m, t).d, trp_buf_text(&r->out));
            for (int k = 0; k < 8; k++)
                print_error("p%d: %d %d %d %lld %g %s\n", k, m->has_param[k],
                            (int)m->params[k].kind, m->params[k].b, (long long)m->params[k].i,
                            m->params[k].d, m->params[k].s);
        }
        assert_true(is_same(slow(m, t), &got));
    }
    trp_expr_destroy(e);
    return true;
}

static void random_rules_are_what_a_slow_evaluator_says(void **state)
{
    (void)state;
    struct rules r;
    uint32_t compiled = 0, requests = 0;
    struct maker *m = test_calloc(1, sizeof *m);
    m->random.state = 20261126;
    rules_init(&r);
    r.env.purpose = TRP_EXPR_VALUE;
    for (int i = 0; i < CASES; i++)
        compiled += try_one(m, &r, &requests);
    print_message("%u of %d rules compiled, %u decisions\n", compiled, CASES, requests);
    assert_true(compiled > CASES / 2);
    test_free(m);
    rules_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_rules_are_what_a_slow_evaluator_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* route/expr_check.c - do the types of a rule fit together?  See expr_tree.h.
 *
 * Types are known where a rule says them: of literals, of load, time and headers, of inputs whose
 * model's metadata were handed in.  A parameter is of whatever type comes (UNKNOWN here): it fits
 * everything when the rule is read, and is looked at when it is evaluated.  Constants are folded
 * on the way, by the evaluator's own operators. */
#include <stdio.h>

#include "route/expr_tree.h"

#define ANY TRP_FACT_UNKNOWN

static const char *op_text(enum trp_expr_op op)
{
    static const char *const texts[TRP_OPS] = {
        [TRP_OP_NOT] = "!", [TRP_OP_NEG] = "-",     [TRP_OP_ADD] = "+",  [TRP_OP_SUB] = "-",
        [TRP_OP_MUL] = "*", [TRP_OP_DIV] = "/",     [TRP_OP_MOD] = "%",  [TRP_OP_EQ] = "==",
        [TRP_OP_NE] = "!=", [TRP_OP_LT] = "<",      [TRP_OP_LE] = "<=",  [TRP_OP_GT] = ">",
        [TRP_OP_GE] = ">=", [TRP_OP_IN] = "in",     [TRP_OP_AND] = "&&", [TRP_OP_OR] = "||",
        [TRP_OP_IF] = "?:", [TRP_OP_ABS] = "abs()",
    };
    return texts[op] ? texts[op] : "this";
}

static const char *type_text(uint32_t type)
{
    return type == ANY ? "anything" : trp_fact_kind_name(type);
}

static bool is_numeric(uint32_t type)
{
    return type == TRP_FACT_INT || type == TRP_FACT_DOUBLE || type == ANY;
}

static bool is_const(const struct trp_expr_node *n)
{
    return n->op == TRP_OP_CONST;
}

/* ---- folding ---- */

static bool refuse_fold(struct trp_expr_work *w, const struct trp_expr_node *n,
                        enum trp_unknown_why why)
{
    return trp_expr_refuse(w, n->from, "this constant %s", trp_unknown_words(why));
}

static bool fold(struct trp_expr_work *w, struct trp_expr_node *n)
{
    const struct trp_expr_node *a = n->first, *b = n->last;
    if (!is_const(a) || !is_const(b) || n->kids_n > 2)
        return true;
    const struct trp_fact v = n->kids_n == 1 ? trp_expr_apply1(n->op, &a->value)
                                             : trp_expr_apply2(n->op, &a->value, &b->value);
    if (v.kind == TRP_FACT_UNKNOWN)
        return refuse_fold(w, n, v.v.why);
    n->op = TRP_OP_CONST;
    n->value = v;
    n->type = v.kind;
    n->first = n->last = NULL;
    n->kids_n = 0;
    return true;
}

/* ---- what does not fit ---- */

static bool refuse_type(struct trp_expr_work *w, const struct trp_expr_node *n, const char *wanted,
                        const char *by)
{
    return trp_expr_refuse(w, n->from, "%s takes %s, not %s", by, wanted, type_text(n->type));
}

/* A hint for what is likely meant. */
static const char *hint_for(const struct trp_expr_node *a, const struct trp_expr_node *b, char *out,
                            size_t out_size)
{
    double d;
    const struct trp_expr_node *text = a->type == TRP_FACT_TEXT ? a : b;
    const bool has_time = a->type == TRP_FACT_DURATION || b->type == TRP_FACT_DURATION;
    if (has_time && is_numeric(a->type == TRP_FACT_DURATION ? b->type : a->type))
        return "; a duration has a unit, as 30ms";
    if (is_const(text) && text->type == TRP_FACT_TEXT && trp_str_parse_f64(text->value.v.s, &d)) {
        (void)snprintf(out, out_size, "; without quotes %.*s is a number",
                       TRP_STR(text->value.v.s));
        return out;
    }
    if (text->op == TRP_OP_FACT && text->ref.what == TRP_FACT_HEADER)
        return "; headers are texts: int(...) or double(...) makes a number of one";
    return "";
}

static bool refuse_pair(struct trp_expr_work *w, const struct trp_expr_node *n)
{
    char hint[96];
    return trp_expr_refuse(w, n->first->from, "cannot compare %s with %s%s",
                           type_text(n->first->type), type_text(n->last->type),
                           hint_for(n->first, n->last, hint, sizeof hint));
}

static bool are_comparable(uint32_t a, uint32_t b)
{
    return a == ANY || b == ANY || a == b || (is_numeric(a) && is_numeric(b));
}

/* 'sunday' is no weekday: what a fact can never be is a mistake. */
static bool check_word(struct trp_expr_work *w, const struct trp_expr_node *fact,
                       const struct trp_expr_node *word)
{
    char all[160];
    size_t used = 0;
    uint32_t n = 0;
    const char *const *words = fact->op == TRP_OP_FACT ? trp_expr_words_of(fact->ref.what) : NULL;
    if (!words || !is_const(word) || word->type != TRP_FACT_TEXT)
        return true;
    for (; words[n]; n++) {
        if (trp_str_is(word->value.v.s, words[n]))
            return true;
        const int more =
            snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", words[n]);
        if (more > 0 && (size_t)more < sizeof all - used)
            used += (size_t)more;
    }
    const size_t length = word->value.v.s.len < 40 ? word->value.v.s.len : 40;
    const char *near = trp_expr_nearest(word->value.v.s, words, n);
    if (near)
        return trp_expr_refuse(w, word->from, "it is never '%.*s'; did you mean '%s'?", (int)length,
                               word->value.v.s.ptr, near);
    return trp_expr_refuse(w, word->from, "it is never '%.*s'; it may be %s", (int)length,
                           word->value.v.s.ptr, all);
}

/* No hour is 25, and no share of the cores 90: who writes that means another unit.  What is
 * compared by size may name the next one (hour < 24). */
static bool check_range(struct trp_expr_work *w, const struct trp_expr_node *fact,
                        const struct trp_expr_node *number, bool is_order)
{
    double least, most;
    char hint[64] = "";
    if (fact->op != TRP_OP_FACT || !is_const(number) || !is_numeric(number->type) ||
        !trp_expr_range_of(fact->ref.what, &least, &most))
        return true;
    const double n = number->type == TRP_FACT_INT ? (double)number->value.v.i : number->value.v.d;
    const bool is_share = most <= 1;
    const double slack = is_order && !is_share ? 1 : 0;
    if (n >= least - slack && n <= most + slack)
        return true;
    if (is_share && n > 1 && n <= 100)
        (void)snprintf(hint, sizeof hint, "; %g %% is %g", n, n / 100);
    return trp_expr_refuse(w, number->from, "it is %g to %g, never %g%s", least, most, n, hint);
}

/* ---- what is true or false ---- */

/* What is calculated is a number, whatever type a parameter has when it comes. */
bool trp_expr_is_never_bool(const struct trp_expr_node *n)
{
    if (n->type != ANY)
        return n->type != TRP_FACT_BOOL;
    switch (n->op) {
    case TRP_OP_NEG:
    case TRP_OP_ADD:
    case TRP_OP_SUB:
    case TRP_OP_MUL:
    case TRP_OP_DIV:
    case TRP_OP_MOD:
    case TRP_OP_ABS:
    case TRP_OP_MIN:
    case TRP_OP_MAX:
        return true;
    case TRP_OP_IF:
        return trp_expr_is_never_bool(n->first->next) && trp_expr_is_never_bool(n->last);
    default:
        return false;
    }
}

const char *trp_expr_type_words(const struct trp_expr_node *n)
{
    return n->type != ANY ? type_text(n->type) : n->op == TRP_OP_IF ? "none" : "a number";
}

/* ---- operators ---- */

static bool check_compare(struct trp_expr_work *w, struct trp_expr_node *n)
{
    const struct trp_expr_node *a = n->first, *b = n->last;
    if (!are_comparable(a->type, b->type))
        return refuse_pair(w, n);
    const bool is_order = n->op != TRP_OP_EQ && n->op != TRP_OP_NE;
    for (const struct trp_expr_node *k = a; is_order && k; k = k->next)
        if (k->type == TRP_FACT_BOOL || k->type == TRP_FACT_LIST)
            return trp_expr_refuse(w, k->from, "%s has no order; only == and != compare it",
                                   type_text(k->type));
    n->type = TRP_FACT_BOOL;
    if (!is_order && (!check_word(w, a, b) || !check_word(w, b, a)))
        return false;
    return check_range(w, a, b, is_order) && check_range(w, b, a, is_order) && fold(w, n);
}

static bool check_arithmetic(struct trp_expr_work *w, struct trp_expr_node *n)
{
    bool is_double = false, is_any = false;
    for (const struct trp_expr_node *k = n->first; k; k = k->next) {
        if (k->type == TRP_FACT_TEXT && n->op == TRP_OP_ADD)
            return trp_expr_refuse(w, k->from, "texts are not joined in rules");
        if (n->op == TRP_OP_MOD && k->type == TRP_FACT_DOUBLE)
            return refuse_type(w, k, "ints", "%");
        if (!is_numeric(k->type))
            return refuse_type(w, k, "numbers", op_text(n->op));
        is_double = is_double || k->type == TRP_FACT_DOUBLE;
        is_any = is_any || k->type == ANY;
    }
    n->type = is_double ? TRP_FACT_DOUBLE : is_any ? ANY : TRP_FACT_INT;
    return fold(w, n);
}

static bool check_bools(struct trp_expr_work *w, struct trp_expr_node *n)
{
    for (const struct trp_expr_node *k = n->first; k; k = k->next)
        if (trp_expr_is_never_bool(k))
            return trp_expr_refuse(w, k->from, "%s takes true or false, not %s", op_text(n->op),
                                   trp_expr_type_words(k));
    n->type = TRP_FACT_BOOL;
    return n->op == TRP_OP_NOT ? fold(w, n) : true;
}

/* The type of two values of which one is taken. */
static bool join(struct trp_expr_work *w, const struct trp_expr_node *a,
                 const struct trp_expr_node *b, uint32_t *out_type)
{
    if (!are_comparable(a->type, b->type))
        return trp_expr_refuse(w, b->from, "%s here, but %s before: both must be of one type",
                               type_text(b->type), type_text(a->type));
    *out_type = a->type == b->type ? a->type : ANY;
    return true;
}

static bool check_if(struct trp_expr_work *w, struct trp_expr_node *n)
{
    const struct trp_expr_node *cond = n->first;
    if (trp_expr_is_never_bool(cond))
        return trp_expr_refuse(w, cond->from, "?: takes true or false, not %s",
                               trp_expr_type_words(cond));
    return join(w, cond->next, n->last, &n->type);
}

/* ---- in ---- */

static bool check_item(struct trp_expr_work *w, const struct trp_expr_node *n,
                       const struct trp_expr_node *first, const struct trp_expr_node *item)
{
    if (!is_const(item))
        return trp_expr_refuse(w, item->from, "a list behind 'in' is of constants");
    if (item->type != TRP_FACT_TEXT && (!is_numeric(item->type) || item->type == ANY))
        return trp_expr_refuse(w, item->from, "a list is of numbers or of texts, not of %s",
                               type_text(item->type));
    if (!are_comparable(item->type, first->type))
        return trp_expr_refuse(w, item->from, "%s in a list that begins with %s",
                               type_text(item->type), type_text(first->type));
    if (!are_comparable(n->first->type, item->type))
        return trp_expr_refuse(w, item->from, "cannot find %s in a list of %s",
                               type_text(n->first->type),
                               item->type == TRP_FACT_TEXT ? "texts" : "numbers");
    return check_word(w, n->first, item) && check_range(w, n->first, item, false);
}

static bool check_in_items(struct trp_expr_work *w, struct trp_expr_node *n)
{
    struct trp_expr_node *items = n->last;
    if (!items->first)
        return trp_expr_refuse(w, items->from, "nothing is in an empty list");
    for (struct trp_expr_node *i = items->first; i; i = i->next)
        if (!trp_expr_check(w, i) || !check_item(w, n, items->first, i))
            return false;
    n->op = TRP_OP_IN_SET;
    n->items = items->first;
    return true;
}

static bool check_in(struct trp_expr_work *w, struct trp_expr_node *n)
{
    enum trp_expr_thing thing = TRP_THING_VALUE;
    struct trp_expr_node *value = n->first, *list = n->last;
    if (!trp_expr_check(w, value))
        return false;
    n->type = TRP_FACT_BOOL;
    if (list->op == TRP_OP_ITEMS) {
        if (!check_in_items(w, n))
            return false;
    } else if (!trp_expr_resolve(w, list, &thing)) {
        return false;
    } else if (thing == TRP_THING_LIST) {
        if (value->type != TRP_FACT_TEXT && value->type != TRP_FACT_INT && value->type != ANY)
            return refuse_type(w, value, "texts and ints", "a list");
        n->op = TRP_OP_IN_FILE;
        n->list = list->list;
    } else if (thing != TRP_THING_VALUE) {
        return trp_expr_refuse_thing(w, list, thing);
    } else if (list->type != TRP_FACT_LIST) {
        return refuse_type(w, list, "a list, as [1, 2], lists.name or a shape", "'in'");
    } else {
        return is_numeric(value->type) ? fold(w, n) : refuse_type(w, value, "numbers", "a shape");
    }
    value->next = NULL; /* the list is no operand any more */
    n->last = value;
    n->kids_n = 1;
    return true;
}

/* ---- functions ---- */

static const struct function {
    const char *name, *usage;
    enum trp_expr_op op;
    bool is_method;
    uint32_t args_min, args_max; /* the method's own value is the first */
} functions[] = {
    { "has", "has(params.name)", TRP_OP_HAS, false, 1, 1 },
    { "size", "size(x)", TRP_OP_SIZE, false, 1, 1 },
    { "int", "int(x)", TRP_OP_INT, false, 1, 1 },
    { "double", "double(x)", TRP_OP_DOUBLE, false, 1, 1 },
    { "string", "string(x)", TRP_OP_STRING, false, 1, 1 },
    { "abs", "abs(x)", TRP_OP_ABS, false, 1, 1 },
    { "min", "min(x, y, ...)", TRP_OP_MIN, false, 2, 16 },
    { "max", "max(x, y, ...)", TRP_OP_MAX, false, 2, 16 },
    { "duration", "duration('30ms')", TRP_OP_CONST, false, 1, 1 },
    { "startsWith", "x.startsWith('a')", TRP_OP_STARTS, true, 2, 2 },
    { "endsWith", "x.endsWith('a')", TRP_OP_ENDS, true, 2, 2 },
    { "contains", "x.contains('a')", TRP_OP_CONTAINS, true, 2, 2 },
    { "matches", "x.matches('^a+$')", TRP_OP_MATCHES, true, 2, 2 },
    { "orValue", "x.orValue(0)", TRP_OP_OR_VALUE, true, 2, 2 },
    { "size", "x.size()", TRP_OP_SIZE, true, 1, 1 },
    { "within", "time.within('* 1-4 * * mon-fri')", TRP_OP_FACT, true, 2, 2 },
};

static const struct function *function_of(const struct trp_expr_node *n)
{
    for (const struct function *f = functions; f < functions + ARRAY_LEN(functions); f++)
        if (f->is_method == n->is_method && trp_str_is(n->name, f->name))
            return f;
    return NULL;
}

/* What other languages call it. */
static const char *function_meant(struct trp_str name)
{
    static const struct {
        const char *word, *meant;
    } synonyms[] = { { "len", "size" },       { "length", "size" },   { "count", "size" },
                     { "exists", "has" },     { "defined", "has" },   { "float", "double" },
                     { "str", "string" },     { "match", "matches" }, { "regex", "matches" },
                     { "default", "orValue" } };
    for (size_t i = 0; i < ARRAY_LEN(synonyms); i++)
        if (trp_str_is(name, synonyms[i].word))
            return synonyms[i].meant;
    return NULL;
}

static bool refuse_function(struct trp_expr_work *w, const struct trp_expr_node *n)
{
    const char *names[ARRAY_LEN(functions)];
    const int length = (int)(n->name.len < 60 ? n->name.len : 60);
    /* A method's name stands behind what it is called on. */
    const uint32_t at = n->is_method ? n->first->to + 1 : n->from;
    for (const struct function *f = functions; f < functions + ARRAY_LEN(functions); f++) {
        names[f - functions] = f->name;
        if (trp_str_is(n->name, f->name))
            return trp_expr_refuse(w, at, "write %s", f->usage);
    }
    const char *near = function_meant(n->name);
    near = near ? near : trp_expr_nearest(n->name, names, ARRAY_LEN(names));
    return trp_expr_refuse(w, at, "no function '%.*s'%s%s%s", length, n->name.ptr,
                           near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static void become_const(struct trp_expr_node *n, struct trp_fact v)
{
    n->op = TRP_OP_CONST;
    n->value = v;
    n->type = v.kind;
    n->first = n->last = NULL;
    n->kids_n = 0;
}

static bool check_duration(struct trp_expr_work *w, struct trp_expr_node *n)
{
    struct trp_fact v;
    const struct trp_expr_node *arg = n->first;
    if (!is_const(arg) || arg->type != TRP_FACT_TEXT)
        return refuse_type(w, arg, "a constant text, as '30ms'", "duration()");
    struct trp_str text = arg->value.v.s;
    size_t digits = 0;
    while (digits < text.len && strchr("0123456789.", text.ptr[digits]) && text.ptr[digits])
        digits++;
    if (!trp_expr_scale(trp_str_make(text.ptr, digits),
                        trp_str_make(text.ptr + digits, text.len - digits), &v) ||
        v.kind != TRP_FACT_DURATION)
        return trp_expr_refuse(w, arg->from, "no duration; one is a number and a unit, as '30ms'");
    become_const(n, v);
    return true;
}

static bool check_within(struct trp_expr_work *w, struct trp_expr_node *n)
{
    struct trp_error cron_error = { 0 };
    const struct trp_expr_node *arg = n->last;
    if (n->first->op != TRP_OP_NAME || !trp_str_is(n->first->name, "time"))
        return trp_expr_refuse(w, n->first->from, "write time.within('* 1-4 * * mon-fri')");
    if (!trp_expr_check(w, n->last))
        return false;
    if (!is_const(arg) || arg->type != TRP_FACT_TEXT)
        return refuse_type(w, arg, "a constant text", "time.within()");
    struct trp_cron *cron = trp_arena_zeroed(w->keep, 1, sizeof *cron);
    if (!cron)
        return trp_expr_no_memory(w);
    if (trp_failed(trp_cron_parse(arg->value.v.s, cron, &cron_error)))
        return trp_expr_refuse(w, arg->from, "%s", cron_error.text);
    n->op = TRP_OP_FACT;
    n->type = TRP_FACT_BOOL;
    n->ref = (struct trp_fact_ref){ .what = TRP_FACT_TIME_WITHIN, .cron = cron };
    n->first = n->last = NULL;
    n->kids_n = 0;
    return true;
}

/* has(path): the path is asked for, not its value. */
static bool check_has(struct trp_expr_work *w, struct trp_expr_node *n)
{
    enum trp_expr_thing thing;
    struct trp_expr_node *path = n->first;
    if (!trp_expr_resolve(w, path, &thing))
        return false;
    if (thing == TRP_THING_INPUT) {
        path->op = TRP_OP_FACT;
        path->first = path->last = NULL;
        path->kids_n = 0;
        path->type = TRP_FACT_BOOL;
    } else if (thing != TRP_THING_VALUE) {
        return trp_expr_refuse_thing(w, path, thing);
    } else if (path->op != TRP_OP_FACT && path->op != TRP_OP_ELEMENT && path->op != TRP_OP_INDEX) {
        return trp_expr_refuse(w, path->from, "has() takes a name, as params.user");
    }
    n->type = TRP_FACT_BOOL;
    return true;
}

static bool check_size(struct trp_expr_work *w, struct trp_expr_node *n)
{
    enum trp_expr_thing thing = TRP_THING_VALUE;
    struct trp_expr_node *of = n->first;
    if (of->op == TRP_OP_ITEMS ? !trp_expr_check(w, of) : !trp_expr_resolve(w, of, &thing))
        return false;
    n->type = TRP_FACT_INT;
    if (thing == TRP_THING_INPUT) {
        n->op = TRP_OP_FACT;
        n->ref = (struct trp_fact_ref){ .what = TRP_FACT_INPUT_SIZE, .name = of->ref.name };
        n->first = n->last = NULL;
        n->kids_n = 0;
        return true;
    }
    if (thing != TRP_THING_VALUE)
        return trp_expr_refuse_thing(w, of, thing);
    if (of->type != TRP_FACT_TEXT && of->type != TRP_FACT_LIST && of->type != ANY)
        return refuse_type(w, of, "a text, a tensor or a list", "size()");
    return fold(w, n);
}

static bool check_kids(struct trp_expr_work *w, struct trp_expr_node *n)
{
    for (struct trp_expr_node *k = n->first; k; k = k->next)
        if (!trp_expr_check(w, k))
            return false;
    return true;
}

static bool check_conversion(struct trp_expr_work *w, struct trp_expr_node *n)
{
    const uint32_t type = n->first->type;
    const bool is_string = n->op == TRP_OP_STRING;
    if (!is_numeric(type) && type != TRP_FACT_TEXT && !(is_string && type == TRP_FACT_BOOL))
        return refuse_type(w, n->first,
                           is_string ? "a number, a bool or a text" : "a number or a text",
                           n->op == TRP_OP_INT      ? "int()"
                           : n->op == TRP_OP_DOUBLE ? "double()"
                                                    : "string()");
    n->type = n->op == TRP_OP_INT      ? TRP_FACT_INT
              : n->op == TRP_OP_DOUBLE ? TRP_FACT_DOUBLE
                                       : TRP_FACT_TEXT;
    return is_string ? true : fold(w, n);
}

/* min(a, b, c) becomes min(min(a, b), c). */
static bool check_extreme(struct trp_expr_work *w, struct trp_expr_node *n)
{
    const char *name = n->op == TRP_OP_MIN ? "min()" : "max()";
    uint32_t type = n->first->type;
    for (const struct trp_expr_node *k = n->first; k; k = k->next) {
        if (!is_numeric(k->type) && k->type != TRP_FACT_DURATION)
            return refuse_type(w, k, "numbers, or durations", name);
        if (!are_comparable(n->first->type, k->type))
            return trp_expr_refuse(w, k->from, "%s of %s and %s", name, type_text(n->first->type),
                                   type_text(k->type));
        type = k->type == type ? type : ANY;
    }
    struct trp_expr_node *left = n->first, *right = left->next;
    while (right->next) {
        struct trp_expr_node *pair = trp_expr_node_new(w, n->op, left->from, right->to), *rest;
        if (!pair)
            return false;
        rest = right->next;
        left->next = right->next = NULL;
        if (!trp_expr_node_add(w, pair, left) || !trp_expr_node_add(w, pair, right))
            return false;
        pair->type = type;
        left = pair;
        right = rest;
    }
    n->first = left;
    left->next = n->last = right;
    n->kids_n = 2;
    n->height = left->height + right->height;
    n->type = type;
    return true;
}

static bool check_texts(struct trp_expr_work *w, struct trp_expr_node *n)
{
    const struct trp_expr_node *arg = n->last;
    for (const struct trp_expr_node *k = n->first; k; k = k->next)
        if (k->type != TRP_FACT_TEXT && k->type != ANY)
            return refuse_type(w, k, "texts", function_of(n) ? function_of(n)->name : "this");
    n->type = TRP_FACT_BOOL;
    if (n->op != TRP_OP_MATCHES)
        return fold(w, n);
    if (!is_const(arg))
        return trp_expr_refuse(w, arg->from, "matches() takes a constant pattern");
    if (!trp_pattern_compile(w, arg->from, arg->value.v.s, &n->pattern))
        return false;
    n->last = n->first;
    n->first->next = NULL;
    n->kids_n = 1;
    return true;
}

static bool check_call(struct trp_expr_work *w, struct trp_expr_node *n)
{
    const struct function *f = function_of(n);
    if (!f)
        return refuse_function(w, n);
    if (n->kids_n < f->args_min || n->kids_n > f->args_max)
        return trp_expr_refuse(w, n->from, "write %s", f->usage);
    n->op = f->op;
    switch (f->op) {
    case TRP_OP_HAS:
        return check_has(w, n);
    case TRP_OP_SIZE:
        return check_size(w, n);
    case TRP_OP_FACT:
        return check_within(w, n);
    default:
        break;
    }
    if (!check_kids(w, n))
        return false;
    switch (f->op) {
    case TRP_OP_CONST:
        return check_duration(w, n);
    case TRP_OP_INT:
    case TRP_OP_DOUBLE:
    case TRP_OP_STRING:
        return check_conversion(w, n);
    case TRP_OP_ABS:
        return check_arithmetic(w, n);
    case TRP_OP_MIN:
    case TRP_OP_MAX:
        return check_extreme(w, n);
    case TRP_OP_OR_VALUE:
        return join(w, n->first, n->last, &n->type);
    default:
        return check_texts(w, n);
    }
}

/* ---- the whole ---- */

static bool check_path(struct trp_expr_work *w, struct trp_expr_node *n)
{
    enum trp_expr_thing thing;
    if (!trp_expr_resolve(w, n, &thing))
        return false;
    if (thing != TRP_THING_VALUE)
        return trp_expr_refuse_thing(w, n, thing);
    return n->op == TRP_OP_INDEX ? fold(w, n) : true;
}

/* A list as a value is a shape to compare with. */
static bool check_items(struct trp_expr_work *w, struct trp_expr_node *n)
{
    int64_t *list = trp_arena_get(w->keep, (n->kids_n + 1) * sizeof *list);
    uint32_t i = 0;
    if (!list)
        return trp_expr_no_memory(w);
    for (struct trp_expr_node *k = n->first; k; k = k->next) {
        if (!trp_expr_check(w, k))
            return false;
        if (!is_const(k) || k->type != TRP_FACT_INT)
            return trp_expr_refuse(w, k->from, "such a list is of constant ints, as a shape is");
        list[i++] = k->value.v.i;
    }
    struct trp_fact v = { .kind = TRP_FACT_LIST, .n = i };
    v.v.list = list;
    become_const(n, v);
    return true;
}

static bool check_operator(struct trp_expr_work *w, struct trp_expr_node *n)
{
    if (!check_kids(w, n))
        return false;
    switch (n->op) {
    case TRP_OP_NOT:
    case TRP_OP_AND:
    case TRP_OP_OR:
        return check_bools(w, n);
    case TRP_OP_IF:
        return check_if(w, n);
    case TRP_OP_EQ:
    case TRP_OP_NE:
    case TRP_OP_LT:
    case TRP_OP_LE:
    case TRP_OP_GT:
    case TRP_OP_GE:
        return check_compare(w, n);
    default:
        return check_arithmetic(w, n);
    }
}

bool trp_expr_check(struct trp_expr_work *w, struct trp_expr_node *n)
{
    switch (n->op) {
    case TRP_OP_CONST:
    case TRP_OP_FACT:
        return true;
    case TRP_OP_NAME:
    case TRP_OP_MEMBER:
    case TRP_OP_INDEX:
        return check_path(w, n);
    case TRP_OP_ITEMS:
        return check_items(w, n);
    case TRP_OP_CALL:
        return check_call(w, n);
    case TRP_OP_IN:
        return check_in(w, n);
    default:
        return check_operator(w, n);
    }
}

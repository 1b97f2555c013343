/* route/expr_eval.c - runs a compiled rule.  See expr_program.h.
 *
 * The stack is on the machine's own; nothing is allocated, and since jumps go forward only, a run
 * ends after at most as many steps as the program is long.  What is unknown travels like any
 * value, and carries which part of the rule made it. */
#include <stdio.h>
#include <stdlib.h>

#include "route/expr_program.h"

static struct trp_fact mismatch(uint32_t left, uint32_t right)
{
    struct trp_fact unknown = trp_fact_unknown(TRP_UNKNOWN_MISMATCH);
    unknown.v.left = left;
    unknown.v.right = right;
    return unknown;
}

/* The kinds that met are told where they did not fit, and which part made it. */
static void blame(struct trp_fact *v, uint32_t part, uint32_t left, uint32_t right)
{
    if (v->v.why == TRP_UNKNOWN_MISMATCH)
        *v = mismatch(left, right);
    v->n = part;
}

/* What is unknown only as long as nothing was run: then nobody knows whether it is there,
 * either. */
static inline bool is_later(const struct trp_fact *v)
{
    return v->kind == TRP_FACT_UNKNOWN && v->v.why == TRP_UNKNOWN_LATER;
}

static void read_fact(const struct trp_expr *e, uint32_t at, struct trp_facts *f,
                      struct trp_fact *out)
{
    trp_facts_read(f, &e->facts[at].ref, out);
    if (out->kind == TRP_FACT_UNKNOWN)
        out->n = e->facts[at].part;
}

static void read_element(const struct trp_expr *e, const struct trp_expr_instr *i,
                         struct trp_facts *f, struct trp_fact *v)
{
    struct trp_fact_ref ref = e->facts[i->a].ref;
    if (v->kind != TRP_FACT_INT) {
        *v = mismatch(v->kind, 0);
        return;
    }
    ref.index = v->v.i;
    trp_facts_read(f, &ref, v);
}

/* ---- string(): the one value that has to be written somewhere ---- */

static int write_double(char *out, size_t out_size, double d)
{
    const int n = snprintf(out, out_size, "%.15g", d);
    return strtod(out, NULL) == d ? n : snprintf(out, out_size, "%.17g", d);
}

static struct trp_fact to_text(struct trp_facts *f, const struct trp_fact *v)
{
    char text[40];
    int n = 0;
    if (v->kind == TRP_FACT_TEXT)
        return *v;
    if (v->kind == TRP_FACT_BOOL)
        return trp_fact_text(v->v.b ? TRP_STR_LIT("true") : TRP_STR_LIT("false"));
    if (v->kind == TRP_FACT_INT)
        n = snprintf(text, sizeof text, "%lld", (long long)v->v.i);
    else if (v->kind == TRP_FACT_DOUBLE)
        n = write_double(text, sizeof text, v->v.d);
    else
        return mismatch(v->kind, 0);
    if ((size_t)n > sizeof f->scratch - f->scratch_n)
        return trp_fact_unknown(TRP_UNKNOWN_TOO_LARGE);
    char *place = f->scratch + f->scratch_n;
    memcpy(place, text, (size_t)n);
    f->scratch_n = (uint8_t)(f->scratch_n + n);
    return trp_fact_text(trp_str_make(place, (size_t)n));
}

/* ---- operators of one ---- */

static struct trp_fact apply_one(const struct trp_expr *e, const struct trp_expr_instr *i,
                                 struct trp_facts *f, const struct trp_fact *v)
{
    struct trp_fact out;
    switch (i->op) {
    case TRP_OP_STRING:
        return to_text(f, v);
    case TRP_OP_MATCHES:
        return v->kind == TRP_FACT_TEXT ? trp_pattern_matches(e->patterns[i->a], f->matcher, v->v.s)
                                        : mismatch(v->kind, 0);
    case TRP_OP_IN_SET:
        return trp_expr_set_has(&e->sets[i->a], v);
    case TRP_OP_IN_FILE:
        trp_facts_in_list(f, i->a, v, &out);
        return out;
    default:
        return trp_expr_apply1((enum trp_expr_op)i->op, v);
    }
}

static void step_one(const struct trp_expr *e, const struct trp_expr_instr *i, struct trp_facts *f,
                     struct trp_fact *top)
{
    if (i->op == TRP_OP_HAS) {
        if (!is_later(top))
            *top = trp_fact_bool(top->kind != TRP_FACT_UNKNOWN);
        return;
    }
    if (top->kind == TRP_FACT_UNKNOWN)
        return;
    const uint32_t kind = top->kind;
    if (i->op == TRP_OP_ELEMENT)
        read_element(e, i, f, top);
    else
        *top = apply_one(e, i, f, top);
    if (top->kind == TRP_FACT_UNKNOWN)
        blame(top, i->part, kind, top->v.why == TRP_UNKNOWN_MISMATCH ? top->v.right : 0);
}

/* ---- operators of two ---- */

static bool is_bool(const struct trp_fact *v, bool b)
{
    return v->kind == TRP_FACT_BOOL && v->v.b == b;
}

/* What is neither true nor false is unknown here, whatever else it is. */
static void need_bool(const struct trp_expr_instr *i, struct trp_fact *v)
{
    if (v->kind == TRP_FACT_BOOL || v->kind == TRP_FACT_UNKNOWN)
        return;
    *v = mismatch(v->kind, 0);
    v->n = i->part;
}

/* Kleene's: the one that decides, else the first unknown (one that may be known later before the
 * others), else the other one. */
static void step_logic(const struct trp_expr_instr *i, struct trp_fact *a, struct trp_fact *b)
{
    const bool decides = i->op == TRP_OP_OR;
    need_bool(i, b);
    if (is_bool(a, decides))
        return;
    if (a->kind != TRP_FACT_UNKNOWN || is_bool(b, decides) || is_later(b))
        *a = *b;
}

static void step_two(const struct trp_expr_instr *i, struct trp_fact *a, const struct trp_fact *b)
{
    if (a->kind == TRP_FACT_UNKNOWN)
        return;
    if (b->kind == TRP_FACT_UNKNOWN) {
        *a = *b;
        return;
    }
    const uint32_t left = a->kind, right = b->kind;
    *a = trp_expr_apply2((enum trp_expr_op)i->op, a, b);
    if (a->kind == TRP_FACT_UNKNOWN)
        blame(a, i->part, left, right);
}

/* Ints with ints, and whether texts are equal, are most of all comparisons: without a call. */
static inline bool compare_at_once(uint32_t op, const struct trp_fact *a, const struct trp_fact *b,
                                   bool *out)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == TRP_FACT_TEXT && (op == TRP_OP_EQ || op == TRP_OP_NE)) {
        *out = trp_str_is_equal(a->v.s, b->v.s) == (op == TRP_OP_EQ);
        return true;
    }
    if (a->kind != TRP_FACT_INT && a->kind != TRP_FACT_DURATION)
        return false;
    const int64_t x = a->v.i, y = b->v.i;
    switch (op) {
    case TRP_OP_EQ:
        *out = x == y;
        return true;
    case TRP_OP_NE:
        *out = x != y;
        return true;
    case TRP_OP_LT:
        *out = x < y;
        return true;
    case TRP_OP_LE:
        *out = x <= y;
        return true;
    case TRP_OP_GT:
        *out = x > y;
        return true;
    default:
        *out = x >= y;
        return true;
    }
}

static void step_compare(const struct trp_expr *e, const struct trp_expr_instr *i,
                         struct trp_facts *f, struct trp_fact *out)
{
    const struct trp_fact *constant = &e->consts[i->b];
    bool holds;
    read_fact(e, i->a, f, out);
    if (out->kind == TRP_FACT_UNKNOWN)
        return;
    if (compare_at_once(i->sub, out, constant, &holds)) {
        out->kind = TRP_FACT_BOOL;
        out->v.b = holds;
        return;
    }
    const uint32_t kind = out->kind;
    *out = trp_expr_apply2((enum trp_expr_op)i->sub, out, constant);
    if (out->kind == TRP_FACT_UNKNOWN)
        blame(out, i->part, kind, constant->kind);
}

/* ---- what may be left out ---- */

/* Where to go on. */
static uint32_t step_skip(const struct trp_expr_instr *i, uint32_t at, struct trp_fact *top,
                          uint32_t *depth)
{
    switch (i->op) {
    case TRP_OP_SKIP_FALSE:
        need_bool(i, top);
        return is_bool(top, false) ? i->a : at + 1;
    case TRP_OP_SKIP_TRUE:
        need_bool(i, top);
        return is_bool(top, true) ? i->a : at + 1;
    case TRP_OP_SKIP_KNOWN:
        if (top->kind != TRP_FACT_UNKNOWN || is_later(top))
            return i->a;
        (*depth)--;
        return at + 1;
    case TRP_OP_BRANCH:
        need_bool(i, top);
        if (top->kind == TRP_FACT_UNKNOWN)
            return i->b;
        (*depth)--;
        return top->v.b ? at + 1 : i->a;
    default:
        return i->a;
    }
}

void trp_expr_run(const struct trp_expr *e, uint32_t from, uint32_t to, struct trp_facts *f,
                  struct trp_fact *out)
{
    struct trp_fact stack[TRP_EXPR_STACK_MAX + 1];
    uint32_t depth = 0;
#ifdef __clang_analyzer__ /* which does not know that what is taken was put there */
    memset(stack, 0, sizeof stack);
#endif
    for (uint32_t at = from; at < to;) {
        const struct trp_expr_instr *i = &e->code[at];
        if (i->op == TRP_OP_COMPARE)
            step_compare(e, i, f, &stack[depth++]);
        else if (i->op == TRP_OP_CONST)
            stack[depth++] = e->consts[i->a];
        else if (i->op == TRP_OP_FACT)
            read_fact(e, i->a, f, &stack[depth++]);
        else if (i->op >= TRP_OP_SKIP_FALSE) {
            at = step_skip(i, at, &stack[depth - 1], &depth);
            continue;
        } else if (i->op <= TRP_OP_IN_FILE) {
            step_one(e, i, f, &stack[depth - 1]);
        } else {
            depth--;
            if (i->op == TRP_OP_AND || i->op == TRP_OP_OR)
                step_logic(i, &stack[depth - 1], &stack[depth]);
            else
                step_two(i, &stack[depth - 1], &stack[depth]);
        }
        at++;
    }
    *out = stack[0];
}

void trp_expr_value(const struct trp_expr *e, struct trp_facts *f, struct trp_fact *out)
{
    f->scratch_n = 0;
    trp_expr_run(e, 0, e->code_n, f, out);
}

enum trp_truth trp_expr_holds(const struct trp_expr *e, struct trp_facts *f,
                              struct trp_fact *out_why)
{
    struct trp_fact v;
    trp_expr_value(e, f, &v);
    if (v.kind == TRP_FACT_BOOL)
        return v.v.b ? TRP_TRUTH_TRUE : TRP_TRUTH_FALSE;
    if (!out_why)
        return TRP_TRUTH_UNKNOWN;
    *out_why = v.kind == TRP_FACT_UNKNOWN ? v : mismatch(v.kind, 0);
    if (v.kind != TRP_FACT_UNKNOWN)
        out_why->n = 0; /* the whole */
    return TRP_TRUTH_UNKNOWN;
}

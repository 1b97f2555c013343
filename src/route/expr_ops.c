/* route/expr_ops.c - what operators make of values.  See expr_tree.h.
 *
 * One meaning for the compiler, which folds constants, and for the evaluator.  An int and a double
 * are compared exactly, not by rounding one to the other; arithmetic on both gives a double.
 * Whatever has no answer is unknown. */
#include <math.h>

#include "route/expr_tree.h"

/* ---- order ---- */

enum order { LESS, EQUAL, GREATER, UNORDERED, UNLIKE };

static enum order order_of_ints(int64_t a, int64_t b)
{
    return a < b ? LESS : a > b ? GREATER : EQUAL;
}

static enum order order_of_doubles(double a, double b)
{
    if (isnan(a) || isnan(b))
        return UNORDERED;
    return a < b ? LESS : a > b ? GREATER : EQUAL;
}

/* 2^63 is a double; what lies within is compared by its whole part, then by the rest. */
static enum order order_of_mixed(int64_t a, double b)
{
    if (isnan(b))
        return UNORDERED;
    if (b >= 0x1p63)
        return LESS;
    if (b < -0x1p63)
        return GREATER;
    const double whole = trunc(b);
    const enum order o = order_of_ints(a, (int64_t)whole);
    return o != EQUAL ? o : order_of_doubles(whole, b);
}

static enum order reversed(enum order o)
{
    return o == LESS ? GREATER : o == GREATER ? LESS : o;
}

static enum order order_of_texts(struct trp_str a, struct trp_str b)
{
    const int c = trp_str_compare(a, b);
    return c < 0 ? LESS : c > 0 ? GREATER : EQUAL;
}

static bool is_number(const struct trp_fact *v)
{
    return v->kind == TRP_FACT_INT || v->kind == TRP_FACT_DOUBLE;
}

static enum order order_of_numbers(const struct trp_fact *a, const struct trp_fact *b)
{
    if (a->kind == TRP_FACT_INT)
        return b->kind == TRP_FACT_INT ? order_of_ints(a->v.i, b->v.i)
                                       : order_of_mixed(a->v.i, b->v.d);
    return b->kind == TRP_FACT_INT ? reversed(order_of_mixed(b->v.i, a->v.d))
                                   : order_of_doubles(a->v.d, b->v.d);
}

static bool are_lists_equal(const struct trp_fact *a, const struct trp_fact *b)
{
    return a->n == b->n &&
           (a->n == 0 || memcmp(a->v.list, b->v.list, a->n * sizeof *a->v.list) == 0);
}

/* Lists, and true and false, are equal or not: unordered, but like. */
static enum order order_of(const struct trp_fact *a, const struct trp_fact *b)
{
    if (is_number(a) && is_number(b))
        return order_of_numbers(a, b);
    if (a->kind != b->kind)
        return UNLIKE;
    switch (a->kind) {
    case TRP_FACT_TEXT:
        return order_of_texts(a->v.s, b->v.s);
    case TRP_FACT_DURATION:
        return order_of_ints(a->v.i, b->v.i);
    case TRP_FACT_BOOL:
        return a->v.b == b->v.b ? EQUAL : UNORDERED;
    case TRP_FACT_LIST:
        return are_lists_equal(a, b) ? EQUAL : UNORDERED;
    default:
        return UNLIKE;
    }
}

static bool has_order(const struct trp_fact *v)
{
    return v->kind != TRP_FACT_BOOL && v->kind != TRP_FACT_LIST;
}

static struct trp_fact compare(enum trp_expr_op op, const struct trp_fact *a,
                               const struct trp_fact *b)
{
    const enum order o = order_of(a, b);
    if (o == UNLIKE || (op != TRP_OP_EQ && op != TRP_OP_NE && !has_order(a)))
        return trp_fact_unknown(TRP_UNKNOWN_MISMATCH);
    switch (op) {
    case TRP_OP_EQ:
        return trp_fact_bool(o == EQUAL);
    case TRP_OP_NE:
        return trp_fact_bool(o != EQUAL);
    case TRP_OP_LT:
        return trp_fact_bool(o == LESS);
    case TRP_OP_LE:
        return trp_fact_bool(o == LESS || o == EQUAL);
    case TRP_OP_GT:
        return trp_fact_bool(o == GREATER);
    default:
        return trp_fact_bool(o == GREATER || o == EQUAL);
    }
}

/* ---- arithmetic ---- */

static struct trp_fact of_ints(enum trp_expr_op op, int64_t a, int64_t b)
{
    int64_t out = 0;
    bool too_large = false;
    switch (op) {
    case TRP_OP_ADD:
        too_large = __builtin_add_overflow(a, b, &out);
        break;
    case TRP_OP_SUB:
        too_large = __builtin_sub_overflow(a, b, &out);
        break;
    case TRP_OP_MUL:
        too_large = __builtin_mul_overflow(a, b, &out);
        break;
    default: /* towards zero, the remainder with the sign of `a`, as CEL's */
        if (b == 0)
            return trp_fact_unknown(TRP_UNKNOWN_ZERO);
        too_large = a == INT64_MIN && b == -1;
        if (!too_large)
            out = op == TRP_OP_DIV ? a / b : a % b;
        break;
    }
    return too_large ? trp_fact_unknown(TRP_UNKNOWN_OVERFLOW) : trp_fact_int(out);
}

static struct trp_fact of_doubles(enum trp_expr_op op, double a, double b)
{
    switch (op) {
    case TRP_OP_ADD:
        return trp_fact_double(a + b);
    case TRP_OP_SUB:
        return trp_fact_double(a - b);
    case TRP_OP_MUL:
        return trp_fact_double(a * b);
    case TRP_OP_DIV:
        return b == 0 ? trp_fact_unknown(TRP_UNKNOWN_ZERO) : trp_fact_double(a / b);
    default:
        return trp_fact_unknown(TRP_UNKNOWN_MISMATCH); /* % is for ints */
    }
}

static double double_of(const struct trp_fact *v)
{
    return v->kind == TRP_FACT_INT ? (double)v->v.i : v->v.d;
}

static struct trp_fact calculate(enum trp_expr_op op, const struct trp_fact *a,
                                 const struct trp_fact *b)
{
    if (!is_number(a) || !is_number(b))
        return trp_fact_unknown(TRP_UNKNOWN_MISMATCH);
    if (a->kind == TRP_FACT_INT && b->kind == TRP_FACT_INT)
        return of_ints(op, a->v.i, b->v.i);
    return of_doubles(op, double_of(a), double_of(b));
}

/* ---- texts and lists ---- */

static bool contains(struct trp_str s, struct trp_str part)
{
    return part.len == 0 || (s.len > 0 && memmem(s.ptr, s.len, part.ptr, part.len) != NULL);
}

static struct trp_fact of_texts(enum trp_expr_op op, const struct trp_fact *a,
                                const struct trp_fact *b)
{
    if (a->kind != TRP_FACT_TEXT || b->kind != TRP_FACT_TEXT)
        return trp_fact_unknown(TRP_UNKNOWN_MISMATCH);
    if (op == TRP_OP_STARTS)
        return trp_fact_bool(trp_str_starts_with(a->v.s, b->v.s));
    if (op == TRP_OP_ENDS)
        return trp_fact_bool(trp_str_ends_with(a->v.s, b->v.s));
    return trp_fact_bool(contains(a->v.s, b->v.s));
}

static struct trp_fact list_element(const struct trp_fact *list, const struct trp_fact *at)
{
    if (list->kind != TRP_FACT_LIST || at->kind != TRP_FACT_INT)
        return trp_fact_unknown(TRP_UNKNOWN_MISMATCH);
    if (at->v.i < 0 || at->v.i >= (int64_t)list->n)
        return trp_fact_unknown(TRP_UNKNOWN_NO_ELEMENT);
    return trp_fact_int(list->v.list[at->v.i]);
}

static struct trp_fact is_in_list(const struct trp_fact *v, const struct trp_fact *list)
{
    if (list->kind != TRP_FACT_LIST || !is_number(v))
        return trp_fact_unknown(TRP_UNKNOWN_MISMATCH);
    bool found = false;
    for (uint32_t i = 0; i < list->n && !found; i++) {
        const struct trp_fact item = trp_fact_int(list->v.list[i]);
        found = order_of_numbers(v, &item) == EQUAL;
    }
    return trp_fact_bool(found);
}

/* A NaN is neither the less nor the greater of two: the result is NaN, as a tensor's. */
static struct trp_fact extreme(enum trp_expr_op op, const struct trp_fact *a,
                               const struct trp_fact *b)
{
    const enum order o = order_of(a, b);
    if (o == UNLIKE || (!is_number(a) && a->kind != TRP_FACT_DURATION))
        return trp_fact_unknown(TRP_UNKNOWN_MISMATCH);
    if (o == UNORDERED)
        return a->kind == TRP_FACT_DOUBLE && isnan(a->v.d) ? *a : *b;
    return (op == TRP_OP_MIN) == (o != GREATER) ? *a : *b;
}

struct trp_fact trp_expr_apply2(enum trp_expr_op op, const struct trp_fact *a,
                                const struct trp_fact *b)
{
    if (op >= TRP_OP_EQ && op <= TRP_OP_GE)
        return compare(op, a, b);
    if (op >= TRP_OP_ADD && op <= TRP_OP_MOD)
        return calculate(op, a, b);
    switch (op) {
    case TRP_OP_INDEX:
        return list_element(a, b);
    case TRP_OP_IN:
        return is_in_list(a, b);
    case TRP_OP_MIN:
    case TRP_OP_MAX:
        return extreme(op, a, b);
    default:
        return of_texts(op, a, b);
    }
}

/* ---- of one ---- */

static struct trp_fact negated(const struct trp_fact *a)
{
    if (a->kind == TRP_FACT_DOUBLE)
        return trp_fact_double(-a->v.d);
    if (a->kind != TRP_FACT_INT)
        return trp_fact_unknown(TRP_UNKNOWN_MISMATCH);
    return of_ints(TRP_OP_SUB, 0, a->v.i);
}

static struct trp_fact absolute(const struct trp_fact *a)
{
    if (a->kind == TRP_FACT_DOUBLE)
        return trp_fact_double(fabs(a->v.d));
    return a->kind == TRP_FACT_INT && a->v.i >= 0 ? *a : negated(a);
}

/* In characters, as CEL counts. */
static struct trp_fact size_of(const struct trp_fact *a)
{
    int64_t n = 0;
    if (a->kind == TRP_FACT_LIST)
        return trp_fact_int(a->n);
    if (a->kind != TRP_FACT_TEXT)
        return trp_fact_unknown(TRP_UNKNOWN_MISMATCH);
    for (size_t i = 0; i < a->v.s.len; i++)
        n += ((unsigned char)a->v.s.ptr[i] & 0xc0u) != 0x80u;
    return trp_fact_int(n);
}

static struct trp_fact to_int(const struct trp_fact *a)
{
    int64_t i;
    if (a->kind == TRP_FACT_INT)
        return *a;
    if (a->kind == TRP_FACT_DOUBLE) {
        const bool fits = a->v.d >= -0x1p63 && a->v.d < 0x1p63; /* false for NaN */
        return fits ? trp_fact_int((int64_t)a->v.d) : trp_fact_unknown(TRP_UNKNOWN_OVERFLOW);
    }
    if (a->kind != TRP_FACT_TEXT)
        return trp_fact_unknown(TRP_UNKNOWN_MISMATCH);
    return trp_str_parse_i64(a->v.s, &i) ? trp_fact_int(i)
                                         : trp_fact_unknown(TRP_UNKNOWN_CONVERSION);
}

static struct trp_fact to_double(const struct trp_fact *a)
{
    double d;
    if (is_number(a))
        return trp_fact_double(double_of(a));
    if (a->kind != TRP_FACT_TEXT)
        return trp_fact_unknown(TRP_UNKNOWN_MISMATCH);
    return trp_str_parse_f64(a->v.s, &d) ? trp_fact_double(d)
                                         : trp_fact_unknown(TRP_UNKNOWN_CONVERSION);
}

struct trp_fact trp_expr_apply1(enum trp_expr_op op, const struct trp_fact *a)
{
    switch (op) {
    case TRP_OP_NOT:
        return a->kind == TRP_FACT_BOOL ? trp_fact_bool(!a->v.b)
                                        : trp_fact_unknown(TRP_UNKNOWN_MISMATCH);
    case TRP_OP_NEG:
        return negated(a);
    case TRP_OP_ABS:
        return absolute(a);
    case TRP_OP_SIZE:
        return size_of(a);
    case TRP_OP_INT:
        return to_int(a);
    default:
        return to_double(a);
    }
}

/* route/expr_set.c - constants behind `in`.  See expr_program.h. */
#include <math.h>
#include <stdlib.h>
#include <xxhash.h>

#include "route/expr_program.h"

#define FEW_TEXTS 4u /* found faster by looking at each */

static int by_int(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int by_double(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A double that is a whole number of 64 bits is looked up as that. */
static bool is_whole(double d, int64_t *out)
{
    if (!(d >= -0x1p63 && d < 0x1p63) || d != trunc(d))
        return false;
    *out = (int64_t)d;
    return true;
}

static void find_bits(struct trp_expr_set *s)
{
    s->is_bits = s->ints_n > 0 && s->ints[0] >= 0 && s->ints[s->ints_n - 1] < 64;
    for (uint32_t i = 0; s->is_bits && i < s->ints_n; i++)
        s->bits |= UINT64_C(1) << s->ints[i];
}

static bool make_numbers(struct trp_expr_work *w, const struct trp_expr_node *items, uint32_t n,
                         struct trp_expr_set *out)
{
    int64_t *ints = trp_arena_get(w->keep, n * sizeof *ints);
    double *doubles = trp_arena_get(w->keep, n * sizeof *doubles);
    int64_t whole;
    if (!ints || !doubles)
        return trp_expr_no_memory(w);
    for (; items; items = items->next) {
        const struct trp_fact *v = &items->value;
        if (v->kind == TRP_FACT_INT)
            ints[out->ints_n++] = v->v.i;
        else if (is_whole(v->v.d, &whole))
            ints[out->ints_n++] = whole;
        else if (!isnan(v->v.d)) /* nothing equals it */
            doubles[out->doubles_n++] = v->v.d;
    }
    qsort(ints, out->ints_n, sizeof *ints, by_int);
    qsort(doubles, out->doubles_n, sizeof *doubles, by_double);
    out->ints = ints;
    out->doubles = doubles;
    find_bits(out);
    return true;
}

static struct trp_str *place_of(struct trp_str *texts, uint32_t n, struct trp_str text)
{
    if (!text.ptr)
        text.ptr = "";
    uint32_t at = (uint32_t)XXH3_64bits(text.ptr, text.len) & (n - 1);
    while (texts[at].ptr && !trp_str_is_equal(texts[at], text))
        at = (at + 1) & (n - 1);
    return &texts[at];
}

static bool make_texts(struct trp_expr_work *w, const struct trp_expr_node *items, uint32_t n,
                       struct trp_expr_set *out)
{
    uint32_t places = FEW_TEXTS;
    if (n > FEW_TEXTS)
        while (places < 2 * n)
            places *= 2;
    struct trp_str *texts = trp_arena_zeroed(w->keep, places, sizeof *texts);
    if (!texts)
        return trp_expr_no_memory(w);
    uint32_t i = 0;
    for (; items; items = items->next)
        if (n <= FEW_TEXTS)
            texts[i++] = items->value.v.s;
        else
            *place_of(texts, places, items->value.v.s) = items->value.v.s;
    out->is_texts = true;
    out->texts = texts;
    out->texts_n = places;
    return true;
}

bool trp_expr_set_make(struct trp_expr_work *w, const struct trp_expr_node *items,
                       struct trp_expr_set *out)
{
    uint32_t n = 0;
    TRP_ASSERT(items); /* an empty list is refused */
    for (const struct trp_expr_node *i = items; i; i = i->next)
        n++;
    *out = (struct trp_expr_set){ 0 };
    return items->type == TRP_FACT_TEXT ? make_texts(w, items, n, out)
                                        : make_numbers(w, items, n, out);
}

static bool has_int(const struct trp_expr_set *s, int64_t i)
{
    if (s->is_bits)
        return i >= 0 && i < 64 && (s->bits >> i & 1);
    return s->ints_n > 0 && bsearch(&i, s->ints, s->ints_n, sizeof i, by_int) != NULL;
}

static bool has_double(const struct trp_expr_set *s, double d)
{
    int64_t whole;
    if (is_whole(d, &whole))
        return has_int(s, whole);
    return s->doubles_n > 0 && !isnan(d) &&
           bsearch(&d, s->doubles, s->doubles_n, sizeof d, by_double) != NULL;
}

static bool has_text(const struct trp_expr_set *s, struct trp_str text)
{
    if (!text.ptr)
        text.ptr = "";
    if (s->texts_n > FEW_TEXTS) {
        uint32_t at = (uint32_t)XXH3_64bits(text.ptr, text.len) & (s->texts_n - 1);
        while (s->texts[at].ptr && !trp_str_is_equal(s->texts[at], text))
            at = (at + 1) & (s->texts_n - 1);
        return s->texts[at].ptr != NULL;
    }
    for (uint32_t i = 0; i < s->texts_n && s->texts[i].ptr; i++)
        if (trp_str_is_equal(s->texts[i], text))
            return true;
    return false;
}

struct trp_fact trp_expr_set_has(const struct trp_expr_set *s, const struct trp_fact *v)
{
    if (s->is_texts && v->kind == TRP_FACT_TEXT)
        return trp_fact_bool(has_text(s, v->v.s));
    if (!s->is_texts && v->kind == TRP_FACT_INT)
        return trp_fact_bool(has_int(s, v->v.i));
    if (!s->is_texts && v->kind == TRP_FACT_DOUBLE)
        return trp_fact_bool(has_double(s, v->v.d));
    struct trp_fact unknown = trp_fact_unknown(TRP_UNKNOWN_MISMATCH);
    unknown.v.left = v->kind;
    unknown.v.right = s->is_texts ? TRP_FACT_TEXT : TRP_FACT_INT;
    return unknown;
}

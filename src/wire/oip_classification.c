/* wire/oip_classification.c - a bounded heap for each item: its root is the worst of the best n so
 * far. Integers are compared as integers, so that 64-bit scores keep their order. */
#include "wire/oip_classification.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/buf.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define TEXT_BYTES_MAX ((size_t)256 << 20)
#define VALUE_TEXT_MAX 384 /* "%f" of the largest double has 316 characters */

/* One item's scores. */
struct scores {
    int32_t dtype;
    const void *values;
};

static bool has_order(int32_t dtype)
{
    return dtype != TROUPE_NO_DTYPE && dtype != TROUPE_BOOL && dtype != TROUPE_BYTES &&
           dtype != TROUPE_FP16 && dtype != TROUPE_BF16;
}

static double float_at(const struct scores *s, uint64_t i)
{
    return s->dtype == TROUPE_FP32 ? (double)((const float *)s->values)[i]
                                   : ((const double *)s->values)[i];
}

/* An integer of any width but UINT64. */
static int64_t int_at(const struct scores *s, uint64_t i)
{
    switch (s->dtype) {
    case TROUPE_UINT8:
        return ((const uint8_t *)s->values)[i];
    case TROUPE_UINT16:
        return ((const uint16_t *)s->values)[i];
    case TROUPE_UINT32:
        return ((const uint32_t *)s->values)[i];
    case TROUPE_INT8:
        return ((const int8_t *)s->values)[i];
    case TROUPE_INT16:
        return ((const int16_t *)s->values)[i];
    case TROUPE_INT32:
        return ((const int32_t *)s->values)[i];
    default:
        return ((const int64_t *)s->values)[i];
    }
}

static uint64_t uint_at(const struct scores *s, uint64_t i)
{
    return ((const uint64_t *)s->values)[i];
}

/* -1, 0, 1 by value; NaN is below everything. */
static int compare_floats(double a, double b)
{
    if (isnan(a) || isnan(b))
        return isnan(b) - isnan(a);
    return (a > b) - (a < b);
}

static bool is_better(const struct scores *s, uint64_t a, uint64_t b)
{
    int by_value = 0;
    if (s->dtype == TROUPE_FP32 || s->dtype == TROUPE_FP64)
        by_value = compare_floats(float_at(s, a), float_at(s, b));
    else if (s->dtype == TROUPE_UINT64)
        by_value = (uint_at(s, a) > uint_at(s, b)) - (uint_at(s, a) < uint_at(s, b));
    else
        by_value = (int_at(s, a) > int_at(s, b)) - (int_at(s, a) < int_at(s, b));
    return by_value != 0 ? by_value > 0 : a < b;
}

/* ---- the best n, best first ------------------------------------------------------------------ */

static void swap(uint64_t *a, uint64_t *b)
{
    const uint64_t kept = *a;
    *a = *b;
    *b = kept;
}

static void sift_down(const struct scores *s, uint64_t *heap, uint64_t n, uint64_t at)
{
    for (;;) {
        uint64_t worst = at;
        for (uint64_t child = 2 * at + 1; child <= 2 * at + 2 && child < n; child++)
            if (is_better(s, heap[worst], heap[child]))
                worst = child;
        if (worst == at)
            return;
        swap(&heap[at], &heap[worst]);
        at = worst;
    }
}

static void sift_up(const struct scores *s, uint64_t *heap, uint64_t at)
{
    for (; at > 0 && is_better(s, heap[(at - 1) / 2], heap[at]); at = (at - 1) / 2)
        swap(&heap[(at - 1) / 2], &heap[at]);
}

static void select_best(const struct scores *s, uint64_t elements, uint64_t *heap, uint64_t n)
{
    uint64_t held = 0;
    for (uint64_t i = 0; i < elements && n > 0; i++) {
        if (held < n) {
            heap[held] = i;
            sift_up(s, heap, held++);
        } else if (is_better(s, i, heap[0])) {
            heap[0] = i;
            sift_down(s, heap, n, 0);
        }
    }
    for (uint64_t left = held; left > 1; left--) { /* the worst that is left goes to the end */
        swap(&heap[0], &heap[left - 1]);
        sift_down(s, heap, left - 1, 0);
    }
}

/* ---- text ------------------------------------------------------------------------------------ */

static size_t format_value(const struct scores *s, uint64_t i, char *out, size_t size)
{
    int n = 0;
    if (s->dtype == TROUPE_FP32 || s->dtype == TROUPE_FP64)
        n = snprintf(out, size, "%f:%" PRIu64, float_at(s, i), i);
    else if (s->dtype == TROUPE_UINT64)
        n = snprintf(out, size, "%" PRIu64 ":%" PRIu64, uint_at(s, i), i);
    else
        n = snprintf(out, size, "%" PRId64 ":%" PRIu64, int_at(s, i), i);
    return n > 0 ? (size_t)n : 0;
}

static void write_class(const struct trp_classes *c, const struct scores *s, uint64_t i,
                        struct trp_buf *b)
{
    char value[VALUE_TEXT_MAX];
    const size_t value_len = format_value(s, i, value, sizeof value);
    const struct trp_str label = i < c->labels_n ? c->labels[i] : trp_str_make(NULL, 0);
    const uint32_t len = (uint32_t)(value_len + (label.len > 0 ? 1 + label.len : 0));
    trp_buf_add(b, &len, sizeof len); /* little-endian, as the raw layout wants it */
    trp_buf_add(b, value, value_len);
    if (label.len == 0)
        return;
    trp_buf_add_char(b, ':');
    trp_buf_add_str(b, label);
}

/* Sets items and n; *out_each is the number of elements of an item. */
static trp_status measure(struct trp_classes *c, uint64_t *out_each, struct trp_error *err)
{
    uint64_t elements = 0, bytes = 0;
    const bool split = c->batched && c->rank > 0;
    if (!has_order(c->dtype))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "class result not available for output due to unsupported type '%s'",
                        trp_dtype_name(c->dtype));
    if (!trp_shape_elements(c->shape, c->rank, &elements) ||
        !trp_shape_bytes(c->shape, c->rank, c->dtype, &bytes) || bytes != c->bytes)
        return trp_fail(err, TRP_BACKEND_FAILED, "its shape and its %llu bytes do not agree",
                        (unsigned long long)c->bytes);
    if (elements > TRP_CLASSES_MAX)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "%llu elements are too many to be classified, at most %d",
                        (unsigned long long)elements, TRP_CLASSES_MAX);
    c->items = split ? (uint64_t)c->shape[0] : 1;
    *out_each = c->items > 0 ? elements / c->items : 0;
    c->n = c->n < *out_each ? c->n : *out_each;
    return trp_ok();
}

trp_status trp_classes_format(struct trp_classes *c, const struct trp_alloc *alloc,
                              struct trp_arena *arena, struct trp_str *out, struct trp_error *err)
{
    uint64_t each = 0;
    TRP_CHECK(measure(c, &each, err));
    uint64_t *const heap = trp_arena_get(arena, (size_t)(c->n > 0 ? c->n : 1) * sizeof *heap);
    if (!heap)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "classes: out of memory");
    struct trp_buf b;
    trp_buf_init(&b, alloc, TEXT_BYTES_MAX);
    for (uint64_t item = 0; item < c->items && c->n > 0; item++) {
        const size_t skipped = (size_t)(item * each) * trp_dtype_bytes(c->dtype);
        const struct scores s = { c->dtype, (const char *)c->data + skipped };
        select_best(&s, each, heap, c->n);
        for (uint64_t i = 0; i < c->n; i++)
            write_class(c, &s, heap[i], &b);
    }
    trp_status st = trp_buf_check(&b, "classes", err);
    if (!trp_failed(st)) {
        *out = trp_arena_dup(arena, trp_buf_str(&b));
        if (!out->ptr)
            st = trp_fail(err, TRP_OUT_OF_MEMORY, "classes: out of memory");
    }
    trp_buf_deinit(&b);
    return st;
}

/* compose/op_axis.c - steps along one axis: softmax, argmax, top_k; see tensor_ops.h.
 *
 * A slice is made doubles first, wherever its elements lie; what is done with it does not see
 * strides or types. */
#include <math.h>
#include <string.h>

#include "compose/numbers.h"
#include "compose/op_parts.h"
#include "tensor/dtype.h"

uint32_t trp_op_axis_of(int32_t axis, uint32_t rank)
{
    const int64_t at = axis < 0 ? (int64_t)axis + rank : axis;
    return at >= 0 && at < (int64_t)rank ? (uint32_t)at : UINT32_MAX;
}

struct trp_op_axis trp_op_axis_split(const int64_t *shape, uint32_t rank, uint32_t axis)
{
    struct trp_op_axis a = { 1, (uint64_t)shape[axis], 1 };
    for (uint32_t d = 0; d < axis; d++)
        a.outer *= (uint64_t)shape[d];
    for (uint32_t d = axis + 1; d < rank; d++)
        a.inner *= (uint64_t)shape[d];
    return a;
}

static struct trp_op_axis split(const struct trp_tensor_op *op, const struct troupe_tensor *t)
{
    return trp_op_axis_split(t->shape, t->rank, trp_op_axis_of(op->axis, t->rank));
}

static void read_slice(const struct troupe_tensor *t, const struct trp_op_axis *a, uint64_t start,
                       double *out)
{
    if (a->inner == 1) {
        trp_numbers_read(t->dtype, t->data, start, (size_t)a->n, out);
        return;
    }
    for (uint64_t i = 0; i < a->n; i++)
        trp_numbers_read(t->dtype, t->data, start + i * a->inner, 1, out + i);
}

static void write_slice(struct troupe_tensor *t, const struct trp_op_axis *a, uint64_t start,
                        const double *v)
{
    if (a->inner == 1) {
        trp_numbers_write(t->dtype, v, (size_t)a->n, t->data, start);
        return;
    }
    for (uint64_t i = 0; i < a->n; i++)
        trp_numbers_write(t->dtype, v + i, 1, t->data, start + i * a->inner);
}

static void soften(double *v, uint64_t n)
{
    double top = -INFINITY, sum = 0;
    for (uint64_t i = 0; i < n; i++)
        top = isnan(top) || v[i] <= top ? top : v[i]; /* takes NaN, and keeps it */
    for (uint64_t i = 0; i < n; i++) {
        v[i] = isfinite(top) ? exp(v[i] - top) : (double)NAN;
        sum += v[i];
    }
    for (uint64_t i = 0; i < n; i++)
        v[i] /= sum;
}

void trp_op_softmax(const struct trp_tensor_op *op, const struct troupe_tensor *in,
                    struct troupe_tensor *out, double *scratch)
{
    const struct trp_op_axis a = split(op, in);
    for (uint64_t o = 0; o < a.outer; o++) {
        for (uint64_t i = 0; i < a.inner; i++) {
            const uint64_t start = o * a.n * a.inner + i;
            read_slice(in, &a, start, scratch);
            soften(scratch, a.n);
            write_slice(out, &a, start, scratch);
        }
    }
}

/* NaN stands below every number; of equal ones the first is the better. */
static bool is_better(const double *v, uint64_t a, uint64_t b)
{
    if (isnan(v[a]) || isnan(v[b])) {
        if (isnan(v[a]) && isnan(v[b]))
            return a < b;
        return isnan(v[b]);
    }
    return v[a] != v[b] ? v[a] > v[b] : a < b;
}

void trp_op_argmax(const struct trp_tensor_op *op, const struct troupe_tensor *in,
                   struct troupe_tensor *out, double *scratch)
{
    const struct trp_op_axis a = split(op, in);
    for (uint64_t o = 0; o < a.outer; o++) {
        for (uint64_t i = 0; i < a.inner; i++) {
            int64_t best = 0;
            read_slice(in, &a, o * a.n * a.inner + i, scratch);
            for (uint64_t x = 1; x < a.n; x++)
                best = is_better(scratch, x, (uint64_t)best) ? (int64_t)x : best;
            memcpy((char *)out->data + (o * a.inner + i) * sizeof best, &best, sizeof best);
        }
    }
}

/* A heap of indices whose root is the worst. */
static void sift(const double *v, uint64_t *heap, uint64_t at, uint64_t n)
{
    for (uint64_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && is_better(v, heap[child], heap[child + 1]))
            child++;
        if (!is_better(v, heap[at], heap[child]))
            return;
        const uint64_t kept = heap[at];
        heap[at] = heap[child];
        heap[child] = kept;
        at = child;
    }
}

/* The k best indices of n, best first. */
static void choose(const double *v, uint64_t n, uint64_t *heap, uint64_t k)
{
    for (uint64_t i = 0; i < k; i++)
        heap[i] = i;
    for (uint64_t i = k / 2; i-- > 0;)
        sift(v, heap, i, k);
    for (uint64_t i = k; i < n; i++) {
        if (!is_better(v, i, heap[0]))
            continue;
        heap[0] = i;
        sift(v, heap, 0, k);
    }
    for (uint64_t left = k; left-- > 1;) { /* the worst goes to the end */
        const uint64_t worst = heap[0];
        heap[0] = heap[left];
        heap[left] = worst;
        sift(v, heap, 0, left);
    }
}

void trp_op_top_k(const struct trp_tensor_op *op, const struct troupe_tensor *in,
                  struct troupe_tensor *out, double *scratch)
{
    const struct trp_op_axis a = split(op, in);
    const uint64_t k = (uint64_t)op->k, width = trp_dtype_bytes(in->dtype);
    uint64_t *heap = (uint64_t *)(void *)(scratch + a.n);
    for (uint64_t o = 0; o < a.outer; o++) {
        for (uint64_t i = 0; i < a.inner; i++) {
            const uint64_t start = o * a.n * a.inner + i;
            read_slice(in, &a, start, scratch);
            choose(scratch, a.n, heap, k);
            for (uint64_t x = 0; x < k; x++) {
                const uint64_t to = (o * k + x) * a.inner + i, from = start + heap[x] * a.inner;
                if (out[0].data)
                    memcpy((char *)out[0].data + to * width, (const char *)in->data + from * width,
                           width);
                if (out[1].data)
                    memcpy((char *)out[1].data + to * sizeof heap[x], &heap[x], sizeof heap[x]);
            }
        }
    }
}

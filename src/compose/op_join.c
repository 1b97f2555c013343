/* compose/op_join.c - steps that put pieces of tensors together: concatenate and gather; see
 * tensor_ops.h.
 *
 * Both copy runs of elements.  Of fixed-size types a run is so many bytes; of BYTES its strings are
 * measured on the way, and nothing that a length or an index says is believed before it was
 * compared with what there is. */
#include <string.h>

#include "compose/op_parts.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define LENGTH_BYTES ((uint64_t)4) /* in front of each element of BYTES */

static trp_status shifted(struct trp_error *err)
{
    return trp_fail(err, TRP_INVALID_ARGUMENT,
                    "strings do not fill their bytes, or changed while they were read");
}

/* How many bytes `n` strings at `at` take; false when they pass `left`. */
static bool measure(const char *at, uint64_t left, uint64_t n, uint64_t *out)
{
    uint64_t used = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t length;
        if (left - used < LENGTH_BYTES)
            return false;
        memcpy(&length, at + used, sizeof length);
        used += LENGTH_BYTES;
        if (left - used < length)
            return false;
        used += length;
    }
    *out = used;
    return true;
}

/* ---- concatenate ---- */

trp_status trp_op_concatenate_bytes(const struct troupe_tensor *in, uint32_t in_n, uint64_t *out,
                                    struct trp_error *err)
{
    *out = 0;
    for (uint32_t i = 0; i < in_n; i++) {
        uint64_t elements;
        if (!trp_shape_elements(in[i].shape, in[i].rank, &elements))
            return shifted(err);
        TRP_TRY(trp_bytes_check(in[i].data, in[i].bytes, elements, err), err, "input %u", i);
        if (__builtin_add_overflow(*out, in[i].bytes, out))
            return trp_fail(err, TRP_TOO_LARGE, "the inputs together");
    }
    return trp_ok();
}

trp_status trp_op_concatenate(const struct trp_tensor_op *op, const struct troupe_tensor *in,
                              uint32_t in_n, struct troupe_tensor *out, struct trp_error *err)
{
    const uint32_t axis = trp_op_axis_of(op->axis, out->rank);
    const struct trp_op_axis all = trp_op_axis_split(out->shape, out->rank, axis);
    uint64_t offsets[TRP_TENSOR_OP_INPUTS_MAX] = { 0 }, to = 0;
    const uint32_t width = trp_dtype_bytes(out->dtype);
    for (uint64_t o = 0; o < all.outer; o++) {
        for (uint32_t i = 0; i < in_n; i++) {
            const uint64_t n = (uint64_t)in[i].shape[axis] * all.inner;
            const char *from = (const char *)in[i].data + offsets[i];
            uint64_t bytes = n * width;
            if (width == 0 && !measure(from, in[i].bytes - offsets[i], n, &bytes))
                return shifted(err);
            if (bytes > out->bytes - to || bytes > in[i].bytes - offsets[i])
                return shifted(err);
            if (bytes > 0)
                memcpy((char *)out->data + to, from, bytes);
            offsets[i] += bytes;
            to += bytes;
        }
    }
    return to == out->bytes ? trp_ok() : shifted(err);
}

/* ---- gather ---- */

static int64_t index_at(const struct troupe_tensor *t, uint64_t i)
{
    if (t->dtype == TROUPE_INT64) {
        int64_t v;
        memcpy(&v, (const char *)t->data + i * sizeof v, sizeof v);
        return v;
    }
    int32_t v;
    memcpy(&v, (const char *)t->data + i * sizeof v, sizeof v);
    return v;
}

static trp_status checked_index(const struct troupe_tensor *indices, uint64_t i, uint64_t n,
                                uint64_t *out, struct trp_error *err)
{
    const int64_t said = index_at(indices, i), at = said < 0 ? said + (int64_t)n : said;
    if (at < 0 || at >= (int64_t)n)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "index %lld, of %llu elements", (long long)said,
                        (unsigned long long)n);
    *out = (uint64_t)at;
    return trp_ok();
}

struct gathering {
    struct trp_op_axis a;
    uint64_t indices_n, elements;
};

static struct gathering look_at(const struct trp_tensor_op *op, const struct troupe_tensor *in)
{
    struct gathering g = { .a = trp_op_axis_split(in[0].shape, in[0].rank,
                                                  trp_op_axis_of(op->axis, in[0].rank)) };
    if (!trp_shape_elements(in[1].shape, in[1].rank, &g.indices_n))
        g.indices_n = 0;
    g.elements = g.a.outer * g.a.n * g.a.inner;
    return g;
}

uint64_t trp_op_gather_scratch(const struct troupe_tensor *in)
{
    uint64_t elements, bytes;
    if (in[0].dtype != TROUPE_BYTES)
        return 0;
    if (!trp_shape_elements(in[0].shape, in[0].rank, &elements) ||
        __builtin_mul_overflow(elements + 1, sizeof(uint64_t), &bytes))
        return UINT64_MAX;
    return bytes;
}

static bool find_strings(const struct troupe_tensor *data, uint64_t elements, uint64_t *offsets)
{
    offsets[0] = 0;
    for (uint64_t i = 0; i < elements; i++) {
        uint64_t bytes;
        if (!measure((const char *)data->data + offsets[i], data->bytes - offsets[i], 1, &bytes))
            return false;
        offsets[i + 1] = offsets[i] + bytes;
    }
    return true;
}

static trp_status add_chosen(const struct trp_tensor_op *op, const struct troupe_tensor *in,
                             uint64_t *offsets, uint64_t *out, struct trp_error *err)
{
    const struct gathering g = look_at(op, in);
    if (!find_strings(&in[0], g.elements, offsets))
        return shifted(err);
    for (uint64_t o = 0; o < g.a.outer; o++) {
        for (uint64_t i = 0; i < g.indices_n; i++) {
            uint64_t index;
            TRP_CHECK(checked_index(&in[1], i, g.a.n, &index, err));
            const uint64_t first = (o * g.a.n + index) * g.a.inner;
            if (__builtin_add_overflow(*out, offsets[first + g.a.inner] - offsets[first], out))
                return trp_fail(err, TRP_TOO_LARGE, "what these indices choose");
        }
    }
    return trp_ok();
}

trp_status trp_op_gather_bytes(const struct trp_tensor_op *op, const struct trp_alloc *alloc,
                               const struct troupe_tensor *in, uint64_t *out, struct trp_error *err)
{
    const uint64_t bytes = trp_op_gather_scratch(in);
    const struct gathering g = look_at(op, in);
    *out = 0;
    if (g.indices_n == 0)
        return trp_ok(); /* `outer` may be any number where there are no elements */
    uint64_t *offsets = bytes == UINT64_MAX ? NULL : trp_alloc_get(alloc, 1, bytes);
    if (!offsets)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "where the strings of input 0 begin");
    const trp_status st = add_chosen(op, in, offsets, out, err);
    trp_alloc_free(alloc, offsets);
    return st;
}

trp_status trp_op_gather(const struct trp_tensor_op *op, const struct troupe_tensor *in,
                         struct troupe_tensor *out, void *scratch, struct trp_error *err)
{
    const struct gathering g = look_at(op, in);
    const uint64_t width = trp_dtype_bytes(in[0].dtype);
    uint64_t *offsets = width == 0 ? scratch : NULL, to = 0;
    if (offsets && !find_strings(&in[0], g.elements, offsets))
        return shifted(err);
    for (uint64_t o = 0; o < g.a.outer; o++) {
        for (uint64_t i = 0; i < g.indices_n; i++) {
            uint64_t index;
            TRP_CHECK(checked_index(&in[1], i, g.a.n, &index, err));
            const uint64_t first = (o * g.a.n + index) * g.a.inner, next = first + g.a.inner;
            const uint64_t from = offsets ? offsets[first] : first * width;
            const uint64_t bytes = (offsets ? offsets[next] : next * width) - from;
            if (bytes > out->bytes - to)
                return shifted(err);
            if (bytes > 0)
                memcpy((char *)out->data + to, (const char *)in[0].data + from, bytes);
            to += bytes;
        }
    }
    return to == out->bytes ? trp_ok() : shifted(err);
}

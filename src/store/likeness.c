/* store/likeness.c - see likeness.h. */
#include "store/likeness.h"

#include <math.h>
#include <string.h>

#include "base/half.h"
#include "tensor/dtype.h"

#define RELATIVE 1e-4
#define ABSOLUTE 1e-5

static double value_at(const struct troupe_tensor *t, uint64_t i)
{
    switch (t->dtype) {
    case TROUPE_FP64:
        return ((const double *)t->data)[i];
    case TROUPE_FP32:
        return ((const float *)t->data)[i];
    case TROUPE_FP16:
        return trp_fp16_to(((const uint16_t *)t->data)[i]);
    default:
        return trp_bf16_to(((const uint16_t *)t->data)[i]);
    }
}

/* Four steps of the half types are more than the tolerance of the others. */
static double relative_of(int32_t dtype)
{
    if (dtype == TROUPE_FP16)
        return 4.0 / 1024;
    return dtype == TROUPE_BF16 ? 4.0 / 128 : RELATIVE;
}

static bool is_close(double a, double b, double relative)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    if (isinf(a) || isinf(b))
        return a == b;
    return fabs(a - b) <= ABSOLUTE + relative * fabs(b);
}

static bool has_fraction(int32_t dtype)
{
    return dtype == TROUPE_FP64 || dtype == TROUPE_FP32 || dtype == TROUPE_FP16 ||
           dtype == TROUPE_BF16;
}

static trp_status compare_numbers(const struct trp_io *io, const struct troupe_tensor *want,
                                  const struct troupe_tensor *got, struct trp_error *err)
{
    const uint64_t n = want->bytes / trp_dtype_bytes(want->dtype);
    for (uint64_t i = 0; i < n; i++) {
        const double a = value_at(got, i), b = value_at(want, i);
        if (!is_close(a, b, relative_of(want->dtype)))
            return trp_fail(err, TRP_FAILED_PRECONDITION,
                            "output '%.*s' differs: element %llu is %.9g, not %.9g",
                            TRP_STR(io->name), (unsigned long long)i, a, b);
    }
    return trp_ok();
}

trp_status trp_likeness_check(const struct trp_io *io, const struct troupe_tensor *want,
                              const struct troupe_tensor *got, struct trp_error *err)
{
    if (want->dtype != got->dtype || want->rank != got->rank || want->bytes != got->bytes ||
        memcmp(want->shape, got->shape, want->rank * sizeof *want->shape) != 0)
        return trp_fail(err, TRP_FAILED_PRECONDITION, "output '%.*s' has another type or shape",
                        TRP_STR(io->name));
    if (has_fraction(want->dtype))
        return compare_numbers(io, want, got, err);
    if (want->bytes == 0 || memcmp(want->data, got->data, want->bytes) == 0)
        return trp_ok();
    return trp_fail(err, TRP_FAILED_PRECONDITION, "output '%.*s' differs", TRP_STR(io->name));
}

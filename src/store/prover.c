/* store/prover.c - see prover.h.
 *
 * A free size, and the range of integers that a model accepts (they may be indices), are not written anywhere.  So inputs are
 * tried: a trial is a pair of a size for all free dimensions and a largest integer.  A trial that the plain session refuses says
 * nothing; one that it answers twice in two ways ends the proof, for such a model cannot be compared; any other must be answered
 * alike by both.  At least one trial must have counted. */
#include "store/prover.h"

#include <math.h>
#include <time.h>

#include "base/half.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define INPUT_BYTES_MAX \
    (UINT64_C(64) << 20) /* of one input; a larger one makes its trial count for nothing */
#define RELATIVE 1e-4
#define ABSOLUTE 1e-5
#define STRING "troupe"
#define RACE_ROUNDS 9
#define RACE_ROUNDS_LEAST 3
#define RACE_TIMES_MAX 6 /* as long as usual */
#define RACE_NS_MAX INT64_C(1000000000)
#define RACE_CLOSE \
    0.2 /* to the usual time, by the logarithm of their ratio: no other input says more */

/* An encoder that tells two kinds of tokens apart takes no integer above 1: for the race there are steps between its smallest
 * input, which says nothing of what it usually takes, and one that takes minutes. */
static const struct trial {
    int64_t free_size;
    uint32_t integer_top;
} trials[] = { { 2, 1 }, { 1, 1 },  { 5, 100 }, { 16, 3 },
               { 4, 1 }, { 11, 1 }, { 128, 1 }, { 224, 1 } };

#define TRIALS_ENOUGH \
    3 /* when one of these has counted; the larger ones take long, and are for models that take no small input */

struct bench {
    const struct trp_proof *proof;
    struct troupe_tensor *inputs, *first, *again, *prepared; /* arrays */
    uint32_t *places;
    uint64_t seed;
};

/* splitmix64: the same inputs on every machine. */
static uint64_t next(uint64_t *seed)
{
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* --- inputs ----------------------------------------------------------------------------------- */

static void fill_integers(void *data, uint64_t n, uint32_t width, uint32_t top, uint64_t *seed)
{
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t value = next(seed) % (top + UINT64_C(1));
        memcpy((char *)data + i * width, &value, width); /* little-endian */
    }
}

static void fill_fractions(void *data, uint64_t n, int32_t dtype, uint64_t *seed)
{
    for (uint64_t i = 0; i < n; i++) {
        const double value = (double)(next(seed) >> 11) / (double)(UINT64_C(1) << 52) - 1;
        if (dtype == TROUPE_FP64)
            ((double *)data)[i] = value;
        else if (dtype == TROUPE_FP32)
            ((float *)data)[i] = (float)value;
        else
            ((uint16_t *)data)[i] =
                dtype == TROUPE_FP16 ? trp_fp16_of((float)value) : trp_bf16_of((float)value);
    }
}

static void fill_strings(void *data, uint64_t n)
{
    char *at = data;
    const uint32_t length = sizeof STRING - 1;
    for (uint64_t i = 0; i < n; i++, at += sizeof length + length) {
        memcpy(at, &length, sizeof length);
        memcpy(at + sizeof length, STRING, length);
    }
}

static void fill(struct troupe_tensor *t, uint64_t n, uint32_t top, uint64_t *seed)
{
    switch (t->dtype) {
    case TROUPE_FP16:
    case TROUPE_BF16:
    case TROUPE_FP32:
    case TROUPE_FP64:
        fill_fractions(t->data, n, t->dtype, seed);
        break;
    case TROUPE_BYTES:
        fill_strings(t->data, n);
        break;
    default:
        fill_integers(t->data, n, trp_dtype_bytes(t->dtype), t->dtype == TROUPE_BOOL ? 1 : top,
                      seed);
    }
}

/* False when it would be too large. */
static bool shape_input(const struct trp_io *io, int64_t free_size, struct troupe_tensor *t,
                        uint64_t *out_elements)
{
    t->dtype = io->dtype;
    t->rank = io->any_rank ? 1 : io->rank;
    for (uint32_t i = 0; i < t->rank; i++)
        t->shape[i] = io->any_rank || io->dims[i] < 0 ? free_size : io->dims[i];
    if (!trp_shape_elements(t->shape, t->rank, out_elements) || *out_elements > INPUT_BYTES_MAX)
        return false;
    const uint64_t width =
        t->dtype == TROUPE_BYTES ? sizeof(uint32_t) + sizeof STRING - 1 : trp_dtype_bytes(t->dtype);
    t->bytes = *out_elements * width;
    return t->bytes <= INPUT_BYTES_MAX;
}

static void free_inputs(struct bench *b)
{
    for (uint32_t i = 0; i < b->proof->signature->inputs_n; i++) {
        trp_alloc_free(trp_heap(), b->inputs[i].data);
        b->inputs[i] = (struct troupe_tensor){ 0 };
    }
}

/* Optional inputs are left out.  False: this trial says nothing. */
static bool make_inputs(struct bench *b, const struct trial *trial)
{
    const struct trp_signature *signature = b->proof->signature;
    for (uint32_t i = 0; i < signature->inputs_n; i++) {
        struct troupe_tensor *t = &b->inputs[i];
        uint64_t n;
        if (signature->inputs[i].optional)
            continue;
        if (!shape_input(&signature->inputs[i], trial->free_size, t, &n))
            return false;
        t->data = trp_alloc_get(trp_heap(), 1, t->bytes ? t->bytes : 1);
        if (!t->data)
            return false;
        fill(t, n, trial->integer_top, &b->seed);
    }
    return true;
}

/* --- runs ------------------------------------------------------------------------------------- */

static void release(struct bench *b, struct troupe_tensor *outputs)
{
    for (uint32_t i = 0; i < b->proof->signature->outputs_n; i++) {
        if (outputs[i].release)
            outputs[i].release(outputs[i].release_user, outputs[i].data);
        outputs[i] = (struct troupe_tensor){ 0 };
    }
}

static trp_status run(struct bench *b, struct trp_backend_model *model,
                      struct troupe_tensor *outputs, struct trp_error *err)
{
    const struct trp_proof *p = b->proof;
    struct troupe_error words = { 0 };
    struct troupe_run once = { .inputs_n = p->signature->inputs_n,
                               .outputs_n = p->signature->outputs_n,
                               .id = UINT64_MAX, /* nobody cancels it by number */
                               .cancel = p->cancel,
                               .account = p->account,
                               .error = &words,
                               .output_index = b->places,
                               .memory_bytes_max = p->memory_bytes_max };
    return trp_backend_run(model, &once, b->inputs, outputs, err);
}

/* --- comparing -------------------------------------------------------------------------------- */

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

static trp_status compare_output(const struct trp_io *io, const struct troupe_tensor *want,
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

static trp_status compare_all(const struct bench *b, const struct troupe_tensor *want,
                              const struct troupe_tensor *got, struct trp_error *err)
{
    const struct trp_signature *signature = b->proof->signature;
    for (uint32_t i = 0; i < signature->outputs_n; i++)
        TRP_CHECK(compare_output(&signature->outputs[i], &want[i], &got[i], err));
    return trp_ok();
}

/* --- trials ----------------------------------------------------------------------------------- */

static trp_status judge(struct bench *b, bool *out_counts, struct trp_error *err)
{
    const struct trp_proof *p = b->proof;
    struct trp_error ignored;
    if (trp_failed(run(b, p->plain, b->first, &ignored)))
        return trp_ok(); /* it does not take this, which is no fault */
    TRP_TRY(run(b, p->plain, b->again, err), err, "the second of two equal runs");
    if (trp_failed(compare_all(b, b->first, b->again, err)))
        return trp_fail(err, TRP_UNIMPLEMENTED, "the model's own answers differ from run to run");
    TRP_TRY(run(b, p->prepared, b->prepared, err), err, "the prepared model fails");
    TRP_TRY(compare_all(b, b->first, b->prepared, err), err, "the prepared model");
    *out_counts = true;
    return trp_ok();
}

static trp_status try_one(struct bench *b, const struct trial *trial, bool *out_counts,
                          struct trp_error *err)
{
    trp_status st = trp_ok();
    if (make_inputs(b, trial))
        st = judge(b, out_counts, err);
    release(b, b->first);
    release(b, b->again);
    release(b, b->prepared);
    free_inputs(b);
    return st;
}

static bool is_raised(const volatile int32_t *flag)
{
    return flag && __atomic_load_n(flag, __ATOMIC_ACQUIRE) != 0;
}

static trp_status try_all(struct bench *b, void *user, struct trp_error *err)
{
    (void)user;
    bool counts = false;
    for (size_t i = 0; i < ARRAY_LEN(trials) && !(counts && i >= TRIALS_ENOUGH); i++) {
        if (is_raised(b->proof->cancel))
            return trp_fail(err, TRP_CANCELLED, "given up");
        TRP_CHECK(try_one(b, &trials[i], &counts, err));
    }
    return counts ? trp_ok()
                  : trp_fail(err, TRP_UNIMPLEMENTED,
                             "the model takes none of the generated inputs, so that nothing can be "
                             "compared");
}

/* --- the race --------------------------------------------------------------------------------- */

/* Of this thread: who else wants the processor changes it little. */
static int64_t cpu_ns(void)
{
    struct timespec t = { 0 };
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static trp_status time_run(struct bench *b, struct trp_backend_model *model,
                           struct troupe_tensor *outputs, int64_t *best_ns, struct trp_error *err)
{
    release(b, outputs);
    const int64_t begun_ns = cpu_ns();
    TRP_CHECK(run(b, model, outputs, err));
    const int64_t ns = cpu_ns() - begun_ns;
    if (*best_ns == 0 || ns < *best_ns)
        *best_ns = ns > 0 ? ns : 1;
    return trp_ok();
}

/* The first run of each warms it, and says whether they agree. */
static trp_status race_one(struct bench *b, struct trp_race *out, bool *out_counts,
                           struct trp_error *err)
{
    const struct trp_proof *p = b->proof;
    struct trp_error ignored;
    int64_t ignored_ns = 0;
    if (trp_failed(run(b, p->plain, b->first, &ignored)))
        return trp_ok(); /* it does not take this */
    TRP_CHECK(time_run(b, p->prepared, b->prepared, &ignored_ns, err));
    TRP_CHECK(compare_all(b, b->first, b->prepared, err));
    const int64_t begun_ns = cpu_ns();
    for (int i = 0; i < RACE_ROUNDS; i++) {
        if (i >= RACE_ROUNDS_LEAST && cpu_ns() - begun_ns > RACE_NS_MAX)
            break;
        if (p->cancel && __atomic_load_n(p->cancel, __ATOMIC_ACQUIRE))
            return trp_fail(err, TRP_CANCELLED, "given up");
        TRP_CHECK(time_run(b, p->plain, b->again, &out->plain_ns, err));
        TRP_CHECK(time_run(b, p->prepared, b->prepared, &out->prepared_ns, err));
    }
    *out_counts = true;
    return trp_ok();
}

static double distance(int64_t a, int64_t b)
{
    return fabs(log((double)a / (double)b));
}

static uint64_t input_bytes(const struct bench *b)
{
    uint64_t bytes = 1;
    for (uint32_t i = 0; i < b->proof->signature->inputs_n; i++)
        bytes += b->inputs[i].bytes;
    return bytes;
}

static trp_status race_trial(struct bench *b, struct trp_race *out, bool *out_counts,
                             struct trp_error *err)
{
    const struct trp_race last = *out;
    const double growth = last.bytes ? (double)input_bytes(b) / (double)last.bytes : 1;
    *out = (struct trp_race){ .usual_ns = last.usual_ns, .bytes = input_bytes(b) };
    if (growth > 1 && (double)last.plain_ns * growth > RACE_TIMES_MAX * (double)last.usual_ns)
        return trp_ok(); /* a run of this would take too long */
    return race_one(b, out, out_counts, err);
}

static trp_status race(struct bench *b, void *user, struct trp_error *err)
{
    struct trp_race *out = user, one = *out;
    trp_status st = trp_ok();
    bool has_any = false;
    for (size_t i = 0; i < ARRAY_LEN(trials) && !trp_failed(st); i++) {
        struct trp_race next = one;
        if (has_any && distance(out->plain_ns, out->usual_ns) < RACE_CLOSE)
            break;
        bool counts = false;
        if (make_inputs(b, &trials[i]))
            st = race_trial(b, &next, &counts, err);
        release(b, b->first);
        release(b, b->again);
        release(b, b->prepared);
        free_inputs(b);
        if (!counts || trp_failed(st))
            continue;
        one = next;
        if (!has_any ||
            distance(one.plain_ns, one.usual_ns) < distance(out->plain_ns, one.usual_ns))
            *out = one;
        has_any = true;
    }
    if (trp_failed(st) || has_any)
        return st;
    return trp_fail(err, TRP_UNIMPLEMENTED, "the model takes none of the generated inputs");
}

/* --- both ------------------------------------------------------------------------------------- */

static trp_status with_bench(const struct trp_proof *p,
                             trp_status (*body)(struct bench *b, void *user, struct trp_error *err),
                             void *user, struct trp_error *err)
{
    const size_t inputs_n = p->signature->inputs_n, outputs_n = p->signature->outputs_n;
    struct bench b = { .proof = p, .seed = 1 };
    struct troupe_tensor *block =
        trp_alloc_zeroed(trp_heap(), inputs_n + 3 * outputs_n + 1, sizeof *block);
    b.places = trp_alloc_zeroed(trp_heap(), outputs_n + 1, sizeof *b.places);
    b.inputs = block;
    b.first = block ? block + inputs_n : NULL;
    b.again = block ? b.first + outputs_n : NULL;
    b.prepared = block ? b.again + outputs_n : NULL;
    for (uint32_t i = 0; b.places && i < outputs_n; i++)
        b.places[i] = i;
    const trp_status st = block && b.places
                              ? body(&b, user, err)
                              : trp_fail(err, TRP_OUT_OF_MEMORY, "no memory to compare");
    trp_alloc_free(trp_heap(), b.places);
    trp_alloc_free(trp_heap(), block);
    return st;
}

trp_status trp_prover_compare(const struct trp_proof *p, struct trp_error *err)
{
    return with_bench(p, try_all, NULL, err);
}

trp_status trp_prover_race(const struct trp_proof *p, struct trp_race *r, struct trp_error *err)
{
    *r = (struct trp_race){ .usual_ns = r->usual_ns > 0 ? r->usual_ns : 1 };
    return with_bench(p, race, r, err);
}

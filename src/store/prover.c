/* store/prover.c - see prover.h.
 *
 * A free size, and the range of integers that a model accepts (they may be indices), are not
 * written anywhere.  So inputs are tried: a trial is a pair of a size for all free dimensions and a
 * largest integer.  A trial that the plain session refuses says nothing; one that it answers twice
 * in two ways ends the proof, for such a model cannot be compared; any other must be answered
 * alike by both.  At least one trial must have counted. */
#include "store/prover.h"

#include <math.h>
#include <time.h>

#include "store/likeness.h"
#include "store/sample.h"

#define RACE_ROUNDS 9
#define RACE_ROUNDS_LEAST 3
#define RACE_TIMES_MAX 6 /* as long as usual */
#define RACE_NS_MAX INT64_C(1000000000)
#define RACE_CLOSE \
    0.2 /* to the usual time, by the logarithm of their ratio: no other input says more */

/* An encoder that tells two kinds of tokens apart takes no integer above 1: for the race there are
 * steps between its smallest input, which says nothing of what it usually takes, and one that
 * takes minutes. */
static const struct trial {
    int64_t free_size;
    uint32_t integer_top;
} trials[] = { { 2, 1 }, { 1, 1 },  { 5, 100 }, { 16, 3 },
               { 4, 1 }, { 11, 1 }, { 128, 1 }, { 224, 1 } };

#define TRIALS_ENOUGH \
    3 /* when one of these has counted; the larger ones take long, and are for models that take no
       * small input */

struct bench {
    const struct trp_proof *proof;
    struct troupe_tensor *inputs, *first, *again, *prepared; /* arrays */
    uint32_t *places;
    uint64_t seed;
};

/* --- inputs ----------------------------------------------------------------------------------- */

static void free_inputs(struct bench *b)
{
    for (uint32_t i = 0; i < b->proof->signature->inputs_n; i++)
        trp_sample_drop(&b->inputs[i]);
}

/* Optional inputs are left out.  False: this trial says nothing. */
static bool make_inputs(struct bench *b, const struct trial *trial)
{
    const struct trp_signature *signature = b->proof->signature;
    const struct trp_sample_size size = { .free = trial->free_size, .top = trial->integer_top };
    for (uint32_t i = 0; i < signature->inputs_n; i++)
        if (!signature->inputs[i].optional &&
            !trp_sample_make(&signature->inputs[i], &size, &b->seed, &b->inputs[i]))
            return false;
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

static trp_status compare_all(const struct bench *b, const struct troupe_tensor *want,
                              const struct troupe_tensor *got, struct trp_error *err)
{
    const struct trp_signature *signature = b->proof->signature;
    for (uint32_t i = 0; i < signature->outputs_n; i++)
        TRP_CHECK(trp_likeness_check(&signature->outputs[i], &want[i], &got[i], err));
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

static trp_status try_all(struct bench *b, void *user, struct trp_error *err)
{
    (void)user;
    bool counts = false;
    for (size_t i = 0; i < ARRAY_LEN(trials) && !(counts && i >= TRIALS_ENOUGH); i++) {
        if (trp_flag_word_is_up(b->proof->cancel))
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
        if (trp_flag_word_is_up(p->cancel))
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

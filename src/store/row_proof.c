/* store/row_proof.c - see row_proof.h.
 *
 * As in prover.c, a trial is a size for all free dimensions and a largest integer.  One whose rows
 * the model refuses alone says nothing, and neither does one for which there was too little memory:
 * that is how things are now, not how the model is.  Of any other, the rows are run alone, one
 * of them twice, then all together; the joint answer is cut by rows. */
#include "store/row_proof.h"

#include "store/likeness.h"
#include "store/sample.h"
#include "tensor/rows.h"

#define ROWS_MOST 8
#define LONG_NS INT64_C(100000000) /* of a run: then few rows must do */

static const struct trp_sample_size trials[] = {
    { .free = 2, .top = 1 },  { .free = 1, .top = 1 },   { .free = 5, .top = 100 },
    { .free = 16, .top = 3 }, { .free = 128, .top = 1 }, { .free = 224, .top = 1 }
};
#define TRIALS_ENOUGH 3 /* when one of these has counted */

struct rows_bench {
    const struct trp_row_proof *proof;
    struct troupe_tensor *inputs, *parts;         /* of all rows, and views of one */
    struct troupe_tensor *alone, *again, *joined; /* outputs: `alone` has a set for each row */
    struct trp_rows_cursor *at;                   /* of each input, or output */
    uint32_t *places;
    uint64_t seed;
    int64_t rows, run_ns;
    bool is_short; /* a trial came to nothing for want of memory */
};

/* --- runs ------------------------------------------------------------------------------------- */

static void release(const struct rows_bench *b, struct troupe_tensor *outputs)
{
    for (uint32_t i = 0; i < b->proof->signature->outputs_n; i++) {
        if (outputs[i].release)
            outputs[i].release(outputs[i].release_user, outputs[i].data);
        outputs[i] = (struct troupe_tensor){ 0 };
    }
}

static struct troupe_tensor *alone_of(const struct rows_bench *b, int64_t row)
{
    return b->alone + (size_t)row * b->proof->signature->outputs_n;
}

static void drop_all(struct rows_bench *b)
{
    for (int64_t row = 0; row < ROWS_MOST; row++)
        release(b, alone_of(b, row));
    release(b, b->again);
    release(b, b->joined);
    for (uint32_t i = 0; i < b->proof->signature->inputs_n; i++)
        trp_sample_drop(&b->inputs[i]);
}

static bool is_shortage(int32_t code)
{
    return code == TRP_OUT_OF_MEMORY || code == TRP_OVER_BUDGET;
}

static uint64_t bytes_of(const struct rows_bench *b, const struct troupe_tensor *inputs)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < b->proof->signature->inputs_n; i++)
        bytes += inputs[i].bytes;
    return bytes;
}

static trp_status run(struct rows_bench *b, const struct troupe_tensor *inputs,
                      struct troupe_tensor *outputs, struct trp_error *err)
{
    const struct trp_row_proof *p = b->proof;
    struct troupe_error words = { 0 };
    uint64_t peak_bytes = 0, bytes_max = p->memory_bytes_max;
    if (p->may_run) {
        const trp_status st = p->may_run(p->user, bytes_of(b, inputs), &bytes_max, err);
        b->is_short = b->is_short || is_shortage(st.code);
        if (trp_failed(st))
            return st;
    }
    struct troupe_run once = { .struct_size = sizeof once,
                               .inputs_n = p->signature->inputs_n,
                               .outputs_n = p->signature->outputs_n,
                               .id = UINT64_MAX, /* nobody cancels it by number */
                               .cancel = p->cancel,
                               .account = p->account,
                               .error = &words,
                               .output_index = b->places,
                               .memory_bytes_max = bytes_max,
                               .out_peak_bytes = &peak_bytes };
    const int64_t begun_ns = trp_clock_now_ns(p->clock);
    const trp_status st = trp_backend_run(p->model, &once, inputs, outputs, err);
    b->run_ns = trp_clock_now_ns(p->clock) - begun_ns;
    b->is_short = b->is_short || is_shortage(st.code);
    if (p->ran)
        p->ran(p->user, peak_bytes);
    return st;
}

/* --- one trial -------------------------------------------------------------------------------- */

static bool make_inputs(struct rows_bench *b, const struct trp_sample_size *trial)
{
    const struct trp_signature *s = b->proof->signature;
    struct trp_sample_size size = *trial;
    size.first = b->rows;
    size.is_varied = true;
    for (uint32_t i = 0; i < s->inputs_n; i++)
        if (!s->inputs[i].optional &&
            !trp_sample_make(&s->inputs[i], &size, &b->seed, &b->inputs[i]))
            return false;
    return true;
}

static void cut_row(struct rows_bench *b)
{
    for (uint32_t i = 0; i < b->proof->signature->inputs_n; i++) {
        b->parts[i] = (struct troupe_tensor){ .dtype = b->proof->signature->inputs[i].dtype };
        if (b->inputs[i].data)
            TRP_ASSERT(trp_rows_cut(&b->inputs[i], 1, &b->at[i], &b->parts[i])); /* made so */
    }
}

/* The first run says whether the model takes such rows; *out_counts stays false if not. */
static trp_status run_alone(struct rows_bench *b, bool *out_counts, struct trp_error *err)
{
    struct trp_error ignored = { 0 };
    memset(b->at, 0, b->proof->signature->inputs_n * sizeof *b->at);
    for (int64_t row = 0; row < b->rows; row++) {
        cut_row(b);
        const trp_status st = run(b, b->parts, alone_of(b, row), &ignored);
        if (st.code == TRP_CANCELLED)
            return trp_fail(err, TRP_CANCELLED, "given up");
        if (trp_failed(st))
            return trp_ok();
    }
    *out_counts = true;
    return trp_ok();
}

/* The row that was cut last, once more. */
static trp_status check_again(struct rows_bench *b, struct trp_error *err)
{
    const struct trp_signature *s = b->proof->signature;
    const struct troupe_tensor *first = alone_of(b, b->rows - 1);
    TRP_TRY(run(b, b->parts, b->again, err), err, "the second of two equal runs");
    for (uint32_t i = 0; i < s->outputs_n; i++)
        if (trp_failed(trp_likeness_check(&s->outputs[i], &first[i], &b->again[i], err)))
            return trp_fail(err, TRP_UNIMPLEMENTED,
                            "the model's own answers differ from run to run");
    return trp_ok();
}

static trp_status check_output(struct rows_bench *b, uint32_t i, struct trp_error *err)
{
    const struct trp_io *io = &b->proof->signature->outputs[i];
    const struct troupe_tensor *joined = &b->joined[i];
    struct trp_rows_cursor at = { 0 };
    struct troupe_tensor part;
    if (trp_rows_count(joined) != (uint64_t)b->rows)
        return trp_fail(err, TRP_FAILED_PRECONDITION, "output '%.*s' has %llu rows for %lld",
                        TRP_STR(io->name), (unsigned long long)trp_rows_count(joined),
                        (long long)b->rows);
    for (int64_t row = 0; row < b->rows; row++) {
        if (!trp_rows_cut(joined, 1, &at, &part))
            return trp_fail(err, TRP_FAILED_PRECONDITION, "output '%.*s' cannot be cut by rows",
                            TRP_STR(io->name));
        TRP_TRY(trp_likeness_check(io, &alone_of(b, row)[i], &part, err), err,
                "row %lld of %lld, alone and together", (long long)row + 1, (long long)b->rows);
    }
    return trp_ok();
}

static trp_status judge(struct rows_bench *b, bool *out_counts, struct trp_error *err)
{
    bool counts = false;
    TRP_CHECK(run_alone(b, &counts, err));
    if (!counts)
        return trp_ok();
    TRP_CHECK(check_again(b, err));
    const trp_status st = run(b, b->inputs, b->joined, err);
    if (is_shortage(st.code))
        return trp_ok();
    if (trp_failed(st)) {
        trp_error_within(err, "%lld rows together", (long long)b->rows);
        err->status.code = st.code == TRP_CANCELLED ? TRP_CANCELLED : TRP_FAILED_PRECONDITION;
        return err->status;
    }
    for (uint32_t i = 0; i < b->proof->signature->outputs_n; i++)
        TRP_CHECK(check_output(b, i, err));
    *out_counts = true;
    return trp_ok();
}

static trp_status try_one(struct rows_bench *b, const struct trp_sample_size *trial, int64_t rows,
                          bool *out_counts, struct trp_error *err)
{
    trp_status st = trp_ok();
    b->rows = rows;
    if (make_inputs(b, trial))
        st = judge(b, out_counts, err);
    drop_all(b);
    return st;
}

static trp_status try_all(struct rows_bench *b, struct trp_error *err)
{
    const int64_t most = b->proof->rows_max;
    const int64_t few = most > 0 && most < 3 ? most : 3,
                  many = most > 0 && most < ROWS_MOST ? most : ROWS_MOST;
    bool counts = false;
    for (size_t i = 0; i < ARRAY_LEN(trials) && !(counts && i >= TRIALS_ENOUGH); i++) {
        bool one = false;
        TRP_CHECK(try_one(b, &trials[i], few, &one, err));
        if (one && many > few && b->run_ns < LONG_NS)
            TRP_CHECK(try_one(b, &trials[i], many, &one, err));
        counts = counts || one;
    }
    if (counts)
        return trp_ok();
    if (b->is_short)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "there was too little memory to compare rows");
    return trp_fail(err, TRP_UNIMPLEMENTED,
                    "the model takes none of the generated inputs, so that nothing can be "
                    "compared");
}

/* --- the whole -------------------------------------------------------------------------------- */

trp_status trp_row_proof_run(const struct trp_row_proof *p, struct trp_error *err)
{
    const size_t inputs_n = p->signature->inputs_n, outputs_n = p->signature->outputs_n;
    struct rows_bench b = { .proof = p, .seed = 1 };
    struct troupe_tensor *block =
        trp_alloc_zeroed(trp_heap(), 2 * inputs_n + (ROWS_MOST + 2) * outputs_n + 1, sizeof *block);
    b.at = trp_alloc_zeroed(trp_heap(), inputs_n + 1, sizeof *b.at);
    b.places = trp_alloc_zeroed(trp_heap(), outputs_n + 1, sizeof *b.places);
    trp_status st;
    if (block && b.at && b.places) {
        b.inputs = block;
        b.parts = b.inputs + inputs_n;
        b.alone = b.parts + inputs_n;
        b.again = b.alone + ROWS_MOST * outputs_n;
        b.joined = b.again + outputs_n;
        for (uint32_t i = 0; i < outputs_n; i++)
            b.places[i] = i;
        st = try_all(&b, err);
    } else {
        st = trp_fail(err, TRP_OUT_OF_MEMORY, "no memory to compare rows");
    }
    trp_alloc_free(trp_heap(), b.places);
    trp_alloc_free(trp_heap(), b.at);
    trp_alloc_free(trp_heap(), block);
    return st;
}

/* life/warmup_input.c - see warmup_input.h
 *
 * A sample describes one row, as Triton has it; a batch is the row again and again.  What comes
 * from a file is checked like what comes from a client, because it is written by hand, and perhaps
 * at this moment: a file that is half there fails the load with both sizes in the words, and the
 * watcher tries again when it has grown (warmup/ belongs to a version's digest). */
#include "life/warmup_input.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/half.h"
#include "repo/repo.h"
#include "tensor/dtype.h"
#include "tensor/reshape.h"
#include "tensor/shape.h"

#define LENGTH_BYTES 4u /* in front of each element of BYTES */
#define ALIGNMENT 64u
#define PATH_BLOCK_BYTES 1024u

/* ---- the shape ---- */

/* `batch` is 0 where the model takes none. */
static trp_status read_shape(const struct trp_node *entry, const struct trp_io *io, int64_t batch,
                             struct troupe_tensor *t, struct trp_error *err)
{
    const struct trp_node *dims = trp_node_get(entry, "dims");
    char said[400], takes[400];
    if (batch > 0)
        t->shape[t->rank++] = batch;
    for (const struct trp_node *d = dims ? dims->first : NULL; d; d = d->next) {
        if (t->rank == TROUPE_RANK_MAX)
            return trp_fail(err, TRP_INVALID_ARGUMENT, "rank above %d", TROUPE_RANK_MAX);
        t->shape[t->rank++] = d->kind == TRP_NODE_INT ? d->v.i : -1;
    }
    if (trp_reshape_fits(io, t))
        return trp_ok();
    return trp_fail(err, TRP_INVALID_ARGUMENT, "the sample has shape %s, the model takes %s",
                    trp_shape_format(t->shape, t->rank, said, sizeof said),
                    trp_shape_format(io->dims, io->rank, takes, sizeof takes));
}

static trp_status read_type(const struct trp_node *entry, const struct trp_io *io,
                            struct troupe_tensor *t, struct trp_error *err)
{
    const struct trp_str type = trp_node_str(entry, "data_type", (struct trp_str){ 0 });
    t->dtype = (int32_t)trp_dtype_parse_config(type);
    if (t->dtype == io->dtype)
        return trp_ok();
    return trp_fail(err, TRP_INVALID_ARGUMENT, "data_type is '%.*s', the model takes %s",
                    TRP_STR(type), trp_dtype_config_name(io->dtype));
}

/* The row that a sample describes: its elements, its bytes (for BYTES those of empty strings),
 * how often it is there. */
struct row {
    uint64_t elements, bytes, times;
};

static trp_status measure_row(const struct troupe_tensor *t, bool is_batched, struct row *out,
                              struct trp_error *err)
{
    const uint32_t first = is_batched, width = trp_dtype_bytes(t->dtype);
    out->times = is_batched ? (uint64_t)t->shape[0] : 1;
    if (!trp_shape_elements(t->shape + first, t->rank - first, &out->elements) ||
        __builtin_mul_overflow(out->elements, (uint64_t)(width ? width : LENGTH_BYTES),
                               &out->bytes))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "dims are not sizes, or too large");
    return trp_ok();
}

/* ---- numbers ---- */

static void fill_element(int32_t dtype, uint64_t random, char *out)
{
    const float unit = (float)(random >> 40) / 16777216.0f; /* 24 bits: exact, and below 1 */
    const uint16_t half = dtype == TROUPE_BF16 ? trp_bf16_of(unit) : trp_fp16_of(unit);
    const double wide = (double)unit;
    switch (dtype) {
    case TROUPE_FP32:
        memcpy(out, &unit, sizeof unit);
        break;
    case TROUPE_FP64:
        memcpy(out, &wide, sizeof wide);
        break;
    case TROUPE_FP16:
    case TROUPE_BF16:
        memcpy(out, &half, sizeof half);
        break;
    default: /* an index or a flag more often than a quantity: 0 and 1 are the safe ones */
        out[0] = (char)(random & 1);
    }
}

/* `row` is zero already, which is what BYTES stays: empty strings. */
static void fill_random(int32_t dtype, char *row, uint64_t bytes)
{
    struct trp_random random = { 42 }; /* the same each time: a failure can be repeated */
    const uint32_t width = trp_dtype_bytes(dtype);
    for (uint64_t at = 0; width && at < bytes; at += width)
        fill_element(dtype, trp_random_next(&random), row + at);
}

/* ---- a file ---- */

static trp_status check_file(const struct troupe_tensor *t, struct trp_str bytes,
                             const struct row *row, struct trp_error *err)
{
    if (t->dtype == TROUPE_BYTES)
        return trp_bytes_check(bytes.ptr, bytes.len, row->elements, err);
    if (bytes.len == row->bytes)
        return trp_ok();
    return trp_fail(err, TRP_INVALID_ARGUMENT,
                    "it has %zu bytes, one row of %llu %s has %llu (half written?)", bytes.len,
                    (unsigned long long)row->elements, trp_dtype_name(t->dtype),
                    (unsigned long long)row->bytes);
}

static trp_status read_inside(const struct trp_warmup *w, struct trp_str file,
                              struct trp_arena *scratch, struct trp_str *out, struct trp_error *err)
{
    struct trp_str path;
    char *ptr;
    if (w->folder.len == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "a model that is a single file has no folder for it");
    const struct trp_str folder =
        trp_arena_format(scratch, "%.*s/" TRP_REPO_WARMUP_FOLDER, TRP_STR(w->folder));
    if (!folder.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for its path");
    TRP_CHECK(trp_repo_inside(folder, file, scratch, &path, err));
    TRP_CHECK(trp_file_read(&w->account->alloc, path.ptr, (size_t)w->input_bytes_max, &ptr,
                            &out->len, err));
    out->ptr = ptr;
    return trp_ok();
}

static trp_status read_file(const struct trp_warmup *w, struct trp_str file, struct trp_str *out,
                            struct trp_error *err)
{
    struct trp_arena scratch;
    trp_arena_init(&scratch, trp_heap(), PATH_BLOCK_BYTES, 0);
    const trp_status st = read_inside(w, file, &scratch, out, err);
    trp_arena_deinit(&scratch);
    return st;
}

/* ---- the tensor ---- */

/* Room for all rows, the first one zero. */
static trp_status make_room(const struct trp_warmup *w, const struct row *row,
                            struct troupe_tensor *t, struct trp_error *err)
{
    if (__builtin_mul_overflow(row->bytes, row->times, &t->bytes) || t->bytes > w->input_bytes_max)
        return trp_fail(err, TRP_TOO_LARGE,
                        "%llu rows of %llu bytes, the limit is %llu bytes (limits.body_bytes)",
                        (unsigned long long)row->times, (unsigned long long)row->bytes,
                        (unsigned long long)w->input_bytes_max);
    t->data = trp_alloc_aligned(&w->account->alloc, t->bytes ? t->bytes : 1, ALIGNMENT);
    if (!t->data)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%llu bytes", (unsigned long long)t->bytes);
    memset(t->data, 0, row->bytes);
    return trp_ok();
}

static void repeat_row(struct troupe_tensor *t, uint64_t row_bytes)
{
    for (uint64_t at = row_bytes; row_bytes && at < t->bytes; at += row_bytes)
        memcpy((char *)t->data + at, t->data, row_bytes);
}

static trp_status make_from_file(const struct trp_warmup *w, struct trp_str file, struct row *row,
                                 struct troupe_tensor *t, struct trp_error *err)
{
    struct trp_str bytes;
    TRP_CHECK(read_file(w, file, &bytes, err));
    trp_status st = check_file(t, bytes, row, err);
    row->bytes = bytes.len; /* strings have lengths of their own */
    if (!trp_failed(st))
        st = make_room(w, row, t, err);
    if (!trp_failed(st) && bytes.len) {
        memcpy(t->data, bytes.ptr, bytes.len);
        repeat_row(t, bytes.len);
    }
    trp_alloc_free(&w->account->alloc, (char *)(uintptr_t)bytes.ptr);
    return st;
}

trp_status trp_warmup_input_make(const struct trp_warmup *w, const struct trp_node *entry,
                                 const struct trp_io *io, int64_t batch, struct troupe_tensor *out,
                                 struct trp_error *err)
{
    const bool is_batched = w->seen->batch_max > 0;
    const struct trp_str file = trp_node_str(entry, "input_data_file", (struct trp_str){ 0 });
    struct row row;
    *out = (struct troupe_tensor){ 0 };
    TRP_CHECK(read_type(entry, io, out, err));
    TRP_CHECK(read_shape(entry, io, is_batched ? batch : 0, out, err));
    TRP_CHECK(measure_row(out, is_batched, &row, err));
    if (trp_node_get(entry, "input_data_file")) {
        TRP_TRY(make_from_file(w, file, &row, out, err), err, "input_data_file '%.*s'",
                TRP_STR(file));
        return trp_ok();
    }
    TRP_CHECK(make_room(w, &row, out, err));
    if (trp_node_bool(entry, "random_data", false))
        fill_random(out->dtype, out->data, row.bytes);
    repeat_row(out, row.bytes);
    return trp_ok();
}

/* ---- what no sample has to say ---- */

/* One row of a hidden input, and where its bytes are. */
static const void *hidden_row(const struct trp_warmup *w, uint32_t index, struct troupe_tensor *out)
{
    static const uint64_t zero;
    const struct trp_sequence_config *c = w->sequences;
    const struct trp_io *io = &c->inputs[index];
    const void *bytes = &zero;
    for (uint32_t i = 0; i < c->states_n; i++) {
        if (c->states[i].input != index)
            continue;
        *out = c->states[i].initial;
        return out->data;
    }
    *out = (struct troupe_tensor){ .dtype = io->dtype,
                                   .rank = io->any_rank ? 1u + (w->seen->batch_max > 0) : io->rank,
                                   .bytes = trp_dtype_bytes(io->dtype) };
    if (out->bytes == 0)
        out->bytes = LENGTH_BYTES; /* an empty string */
    for (uint32_t d = 0; d < out->rank; d++)
        out->shape[d] = 1;
    for (uint32_t i = 0; i < c->controls_n; i++)
        if (c->controls[i].input == index && c->controls[i].kind != TRP_SEQUENCE_CORRID)
            bytes = &c->controls[i].values[c->controls[i].kind != TRP_SEQUENCE_END];
    return bytes;
}

trp_status trp_warmup_input_hidden(const struct trp_warmup *w, uint32_t index, int64_t batch,
                                   struct troupe_tensor *out, struct trp_error *err)
{
    const void *bytes = hidden_row(w, index, out);
    const struct row row = { .bytes = out->bytes, .times = (uint64_t)batch };
    out->data = NULL;
    TRP_CHECK(make_room(w, &row, out, err));
    if (w->seen->batch_max > 0)
        out->shape[0] = batch;
    if (row.bytes)
        memcpy(out->data, bytes, row.bytes);
    repeat_row(out, row.bytes);
    return trp_ok();
}

/* tensor/signature.c - copies what a backend tells into an arena, then never changes it. */
#include "tensor/signature.h"

#include <string.h>

void trp_signature_builder_init(struct trp_signature_builder *b, struct trp_arena *arena)
{
    *b = (struct trp_signature_builder){ .arena = arena };
}

static void fail(struct trp_signature_builder *b, int32_t code)
{
    if (b->failed == TRP_OK)
        b->failed = code;
}

static struct trp_str dup_str(struct trp_signature_builder *b, struct trp_str s)
{
    if (s.len == 0)
        return trp_str_make(NULL, 0);
    const struct trp_str copy = trp_arena_dup(b->arena, s);
    if (!copy.ptr)
        fail(b, TRP_OUT_OF_MEMORY);
    return copy;
}

/* Room for one more; the smaller array stays in the arena, which costs as much again at most. */
static struct trp_io *next_io(struct trp_signature_builder *b, bool is_output)
{
    struct trp_io **ios = is_output ? &b->outputs : &b->inputs;
    uint32_t *n = is_output ? &b->outputs_n : &b->inputs_n;
    uint32_t *capacity = is_output ? &b->outputs_capacity : &b->inputs_capacity;
    if (*n == TRP_IO_MAX) {
        fail(b, TRP_TOO_LARGE);
        return NULL;
    }
    if (*n == *capacity) {
        const uint32_t wanted = *capacity ? *capacity * 2 : 4;
        struct trp_io *larger = trp_arena_get(b->arena, wanted * sizeof **ios);
        if (!larger) {
            fail(b, TRP_OUT_OF_MEMORY);
            return NULL;
        }
        if (*n)
            memcpy(larger, *ios, *n * sizeof **ios);
        *ios = larger;
        *capacity = wanted;
    }
    return &(*ios)[(*n)++];
}

static const struct trp_str *dup_labels(struct trp_signature_builder *b,
                                        const struct trp_str *labels, uint32_t n)
{
    if (n == 0)
        return NULL;
    struct trp_str *copy = trp_arena_zeroed(b->arena, n, sizeof *copy);
    if (!copy)
        fail(b, TRP_OUT_OF_MEMORY);
    for (uint32_t i = 0; copy && i < n; i++)
        copy[i] = dup_str(b, labels[i]);
    return copy;
}

bool trp_signature_dup_dim_names(struct trp_arena *arena, const struct trp_str *names,
                                 uint32_t rank, const struct trp_str **out)
{
    uint32_t named = 0;
    for (uint32_t i = 0; names && i < rank; i++)
        named += names[i].len > 0;
    struct trp_str *copy = named > 0 ? trp_arena_zeroed(arena, rank, sizeof *copy) : NULL;
    bool is_whole = named == 0 || copy;
    for (uint32_t i = 0; copy && i < rank; i++) {
        if (names[i].len > 0)
            copy[i] = trp_arena_dup(arena, names[i]);
        is_whole = is_whole && (names[i].len == 0 || copy[i].ptr);
    }
    *out = copy;
    return is_whole;
}

void trp_signature_builder_add(struct trp_signature_builder *b, bool is_output,
                               const struct trp_io *io)
{
    if (!io->any_rank && io->rank > TROUPE_RANK_MAX)
        fail(b, TRP_TOO_LARGE);
    struct trp_io *mine = b->failed == TRP_OK ? next_io(b, is_output) : NULL;
    if (!mine)
        return;
    *mine = *io;
    mine->rank = io->any_rank ? 0 : io->rank;
    mine->name = dup_str(b, io->name);
    if (!trp_signature_dup_dim_names(b->arena, io->dim_names, mine->rank, &mine->dim_names))
        fail(b, TRP_OUT_OF_MEMORY);
    mine->labels = dup_labels(b, io->labels, io->labels_n);
}

/* ---- the callbacks of a backend -------------------------------------------------------------- */

static void sink_io(struct trp_signature_builder *b, bool is_output, const struct troupe_io *from)
{
    struct trp_str dim_names[TROUPE_RANK_MAX];
    struct trp_io io = { .name = trp_str_of(from->name),
                         .dtype = from->dtype,
                         .rank = from->rank,
                         .dim_names = dim_names,
                         .optional = from->optional != 0,
                         .any_rank = from->any_rank != 0 };
    for (uint32_t i = 0; i < TROUPE_RANK_MAX && i < from->rank; i++) {
        io.dims[i] = from->dims[i] < 0 ? -1 : from->dims[i];
        dim_names[i] = trp_str_of(from->dim_names[i]);
    }
    if (from->labels && from->labels_n > 0) {
        struct trp_str *labels = trp_arena_zeroed(b->arena, from->labels_n, sizeof *labels);
        if (!labels)
            fail(b, TRP_OUT_OF_MEMORY);
        for (uint32_t i = 0; labels && i < from->labels_n; i++)
            labels[i] = trp_str_of(from->labels[i]);
        io.labels = labels;
        io.labels_n = labels ? from->labels_n : 0;
    }
    trp_signature_builder_add(b, is_output, &io);
}

static void sink_input(void *user, const struct troupe_io *io)
{
    sink_io(user, false, io);
}

static void sink_output(void *user, const struct troupe_io *io)
{
    sink_io(user, true, io);
}

static void sink_platform(void *user, const char *name)
{
    struct trp_signature_builder *b = user;
    b->platform = dup_str(b, trp_str_of(name));
}

struct troupe_sink trp_signature_sink(struct trp_signature_builder *b)
{
    return (struct troupe_sink){ .struct_size = sizeof(struct troupe_sink),
                                 .user = b,
                                 .input = sink_input,
                                 .output = sink_output,
                                 .platform = sink_platform };
}

trp_status trp_signature_build(struct trp_signature_builder *b, struct trp_signature *out,
                               struct trp_error *err)
{
    if (b->failed == TRP_TOO_LARGE)
        return trp_fail(err, TRP_TOO_LARGE,
                        "signature: more than %d inputs or outputs, or a rank above %d", TRP_IO_MAX,
                        TROUPE_RANK_MAX);
    if (b->failed != TRP_OK)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "signature");
    *out = (struct trp_signature){ .inputs = b->inputs,
                                   .outputs = b->outputs,
                                   .inputs_n = b->inputs_n,
                                   .outputs_n = b->outputs_n,
                                   .platform = b->platform };
    return trp_ok();
}

/* Texts first and tensors together behind them: ten thousand signatures are kept, and a block
 * half full is half lost. */
static bool dup_names(struct trp_io *to, const struct trp_io *from, uint32_t n,
                      struct trp_arena *arena)
{
    bool is_whole = true;
    for (uint32_t i = 0; i < n; i++) {
        to[i] = from[i];
        to[i].labels = NULL;
        to[i].labels_n = 0;
        to[i].name = trp_arena_dup(arena, from[i].name);
        is_whole = is_whole && to[i].name.ptr;
        is_whole = is_whole && trp_signature_dup_dim_names(arena, from[i].dim_names, from[i].rank,
                                                           &to[i].dim_names);
    }
    return is_whole;
}

trp_status trp_signature_dup(const struct trp_signature *from, struct trp_arena *arena,
                             struct trp_signature *out, struct trp_error *err)
{
    const uint32_t n = from->inputs_n + from->outputs_n;
    struct trp_signature s = *from;
    s.hidden_inputs_n = s.hidden_outputs_n = 0;
    s.platform = trp_arena_dup(arena, from->platform);
    struct trp_io *ios = trp_alloc_get(arena->alloc, (size_t)n + 1, sizeof *ios);
    const bool is_whole = ios && s.platform.ptr &&
                          dup_names(ios, from->inputs, from->inputs_n, arena) &&
                          dup_names(ios + from->inputs_n, from->outputs, from->outputs_n, arena);
    struct trp_io *kept = is_whole ? trp_arena_get(arena, n * sizeof *ios) : NULL;
    if (kept && n)
        memcpy(kept, ios, n * sizeof *ios);
    trp_alloc_free(arena->alloc, ios);
    if (!kept)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "signature");
    s.inputs = kept;
    s.outputs = kept + from->inputs_n;
    *out = s;
    return trp_ok();
}

static const struct trp_io *find(const struct trp_io *ios, uint32_t n, struct trp_str name)
{
    const uint32_t at = trp_signature_place(ios, n, name, 0);
    return at < n ? &ios[at] : NULL;
}

int64_t trp_signature_rows_max(const struct trp_signature *s)
{
    if (s->batch_max > 0)
        return s->batch_max;
    for (uint32_t i = 0; i < s->inputs_n; i++) {
        const struct trp_io *io = &s->inputs[i];
        if (!io->any_rank && !io->shape_unchecked && (io->rank == 0 || io->dims[0] >= 0))
            return 0;
    }
    return s->inputs_n > 0 ? INT64_MAX : 0;
}

const struct trp_io *trp_signature_input(const struct trp_signature *s, struct trp_str name)
{
    return find(s->inputs, s->inputs_n, name);
}

const struct trp_io *trp_signature_output(const struct trp_signature *s, struct trp_str name)
{
    return find(s->outputs, s->outputs_n, name);
}

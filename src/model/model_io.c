/* model/model_io.c - see model_io.h.
 *
 * Each tensor of the file gets one entry in the tree: the written one, completed, or one made from
 * the file.  What clients see is then read from the entry and the file together, so that both roads
 * meet in one place.  Rules:
 *   1. Nothing of the configuration may contradict the file; what the file leaves open, the
 *      configuration may fix.
 *   2. Written entries keep their order; those added from the file follow.  Clients see outputs in
 *      that order, inputs in the file's.  Runs find the file's tensors by name.
 *   3. Of outputs, whoever lists some hides the others.  An input may be missing only if the file
 *      does not need it.
 *   4. Names of dimensions are hints: they are shown, never compared. */
#include "model/model_io.h"

#include <stdio.h>

#include "tensor/dtype.h"
#include "tensor/shape.h"

struct completer {
    struct trp_arena *arena;
    const struct trp_model_side *side;
    struct trp_node *list; /* the tree's, being built */
    struct trp_io *ios;
    uint32_t *ios_n;  /* how many clients see */
    bool *is_written; /* one for each tensor of the file */
    struct trp_error *err;
};

/* A shape with its batch dimension taken off, or as clients and configuration give it. */
struct dims {
    int64_t at[TROUPE_RANK_MAX];
    uint32_t rank;
};

static trp_status no_memory(const struct completer *c)
{
    return trp_fail(c->err, TRP_OUT_OF_MEMORY, "no memory for the configuration");
}

static bool is_input(const struct completer *c)
{
    return strcmp(c->side->kind, "input") == 0;
}

/* ---- the file's side ---- */

static trp_status check_batchable(const struct completer *c, const struct trp_io *io)
{
    char shape[512];
    if (c->side->batch_max == 0 || io->any_rank || (io->rank > 0 && io->dims[0] == -1))
        return trp_ok();
    return trp_fail(
        c->err, TRP_INVALID_ARGUMENT,
        "max_batch_size is %d, but %s \"%.*s\" has no free first dimension in the file: "
        "its shape is %s",
        c->side->batch_max, c->side->kind, TRP_STR(io->name),
        trp_shape_format(io->dims, io->rank, shape, sizeof shape));
}

static struct dims item_dims(const struct completer *c, const struct trp_io *io)
{
    struct dims d = { .rank = 0 };
    for (uint32_t i = c->side->batch_max > 0; !io->any_rank && i < io->rank; i++)
        d.at[d.rank++] = io->dims[i];
    return d;
}

static trp_status unknown_name(const struct completer *c, const struct trp_node *entry,
                               struct trp_str name)
{
    char names[256];
    size_t n = 0;
    names[0] = '\0';
    for (uint32_t i = 0; i < c->side->file_n && n < sizeof names; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s\"%.*s\"", i ? ", " : "",
                              TRP_STR(c->side->file[i].name));
    return trp_node_fail(entry, c->err, TRP_INVALID_ARGUMENT,
                         "the file has no %s \"%.*s\"; its %ss are %s", c->side->kind,
                         TRP_STR(name), c->side->kind, names);
}

static trp_status find_io(const struct completer *c, const struct trp_node *entry, uint32_t *out)
{
    const struct trp_str name = trp_node_str(entry, "name", (struct trp_str){ 0 });
    if (name.len == 0)
        return trp_node_fail(entry, c->err, TRP_INVALID_ARGUMENT, "an %s without a name",
                             c->side->kind);
    for (uint32_t i = 0; i < c->side->file_n; i++) {
        if (!trp_str_is_equal(c->side->file[i].name, name))
            continue;
        if (c->is_written[i])
            return trp_node_fail(entry, c->err, TRP_INVALID_ARGUMENT, "%s \"%.*s\" is there twice",
                                 c->side->kind, TRP_STR(name));
        *out = i;
        return trp_ok();
    }
    return unknown_name(c, entry, name);
}

/* ---- the written side ---- */

static trp_status check_dtype(const struct completer *c, const struct trp_node *entry,
                              const struct trp_io *io)
{
    const struct trp_str written = trp_node_str(entry, "data_type", TRP_STR_LIT("TYPE_INVALID"));
    const enum troupe_dtype dtype = trp_dtype_parse_config(written);
    if (dtype == TROUPE_NO_DTYPE || (int32_t)dtype == io->dtype)
        return trp_ok();
    return trp_node_fail(entry, c->err, TRP_INVALID_ARGUMENT,
                         "%s \"%.*s\": the configuration says %.*s, the file %s", c->side->kind,
                         TRP_STR(io->name), TRP_STR(written), trp_dtype_config_name(io->dtype));
}

static trp_status read_dims(const struct completer *c, const struct trp_node *list,
                            const struct trp_io *io, struct dims *out)
{
    const uint32_t rank_max = TROUPE_RANK_MAX - (c->side->batch_max > 0);
    out->rank = 0;
    for (const struct trp_node *n = list->first; n; n = n->next) {
        if (out->rank == rank_max)
            return trp_node_fail(list, c->err, TRP_INVALID_ARGUMENT,
                                 "%s \"%.*s\": more than %u dimensions", c->side->kind,
                                 TRP_STR(io->name), rank_max);
        if (n->kind != TRP_NODE_INT || n->v.i < -1)
            return trp_node_fail(n, c->err, TRP_INVALID_ARGUMENT,
                                 "%s \"%.*s\": a dimension is a size, or -1 for any", c->side->kind,
                                 TRP_STR(io->name));
        out->at[out->rank++] = n->v.i;
    }
    return trp_ok();
}

static bool agrees(const struct dims *written, const struct dims *file)
{
    if (written->rank != file->rank)
        return false;
    for (uint32_t i = 0; i < file->rank; i++) {
        if (written->at[i] != file->at[i] && written->at[i] != -1 && file->at[i] != -1)
            return false;
    }
    return true;
}

static trp_status check_dims(const struct completer *c, const struct trp_node *entry,
                             const struct trp_io *io, const struct dims *written)
{
    char said[256], is[256];
    const struct dims file = item_dims(c, io);
    if (io->any_rank || io->shape_unchecked || agrees(written, &file))
        return trp_ok();
    return trp_node_fail(entry, c->err, TRP_INVALID_ARGUMENT,
                         "%s \"%.*s\": the configuration says %s, the file %s%s", c->side->kind,
                         TRP_STR(io->name),
                         trp_shape_format(written->at, written->rank, said, sizeof said),
                         trp_shape_format(file.at, file.rank, is, sizeof is),
                         c->side->batch_max > 0 ? " (both without the batch dimension)" : "");
}

/* Number of free dimensions, and the product of the others, which a test for equality may cut to
 * 64 bits. */
static void measure(const struct dims *d, uint32_t *out_free, uint64_t *out_product)
{
    *out_free = 0;
    *out_product = 1;
    for (uint32_t i = 0; i < d->rank; i++) {
        if (d->at[i] == -1)
            ++*out_free;
        else
            *out_product *= (uint64_t)d->at[i];
    }
}

/* What clients see and what the model gets must hold the same elements, free sizes one to one. */
static trp_status check_reshape(const struct completer *c, const struct trp_node *entry,
                                const struct trp_io *io, const struct dims *outside,
                                const struct dims *inside)
{
    uint32_t free_outside, free_inside;
    uint64_t product_outside, product_inside;
    char from[256], to[256];
    measure(outside, &free_outside, &product_outside);
    measure(inside, &free_inside, &product_inside);
    if (free_outside == free_inside && product_outside == product_inside)
        return trp_ok();
    return trp_node_fail(entry, c->err, TRP_INVALID_ARGUMENT,
                         "%s \"%.*s\": %s cannot be reshaped to %s", c->side->kind,
                         TRP_STR(io->name),
                         trp_shape_format(outside->at, outside->rank, from, sizeof from),
                         trp_shape_format(inside->at, inside->rank, to, sizeof to));
}

static trp_status read_optional(const struct completer *c, const struct trp_node *entry,
                                const struct trp_io *io, bool *out)
{
    *out = trp_node_bool(entry, "optional", io->optional);
    if (*out && !io->optional)
        return trp_node_fail(
            entry, c->err, TRP_INVALID_ARGUMENT,
            "input \"%.*s\": the configuration says optional, but the file needs it",
            TRP_STR(io->name));
    return trp_ok();
}

/* ---- what clients see ---- */

/* Where only the file fixes a size, clients are held to it as well: the backend would refuse
 * others. */
static void merge(struct dims *written, const struct dims *file)
{
    for (uint32_t i = 0; i < written->rank; i++) {
        if (written->at[i] == -1)
            written->at[i] = file->at[i];
    }
}

static void set_client_dims(const struct completer *c, struct trp_io *io, const struct dims *d,
                            bool keep_names)
{
    const uint32_t batch = c->side->batch_max > 0;
    io->any_rank = false;
    io->rank = d->rank + batch;
    io->dims[0] = -1;
    for (uint32_t i = 0; i < d->rank; i++)
        io->dims[i + batch] = d->at[i];
    if (!keep_names)
        io->dim_names = NULL;
}

static trp_status apply_dims(const struct completer *c, const struct trp_node *entry,
                             struct trp_io *io)
{
    const struct trp_node *dims = trp_node_get(entry, "dims");
    const struct trp_node *reshape = trp_node_get(entry, "reshape");
    const struct trp_node none = { .kind = TRP_NODE_LIST };
    struct dims outside, inside;
    const struct dims file = item_dims(c, io);
    const bool is_open = io->any_rank;
    if (!dims)
        return trp_ok(); /* a tensor of any rank: there is nothing to say */
    TRP_CHECK(read_dims(c, dims, io, &outside));
    inside = outside;
    if (reshape) {
        const struct trp_node *shape = trp_node_get(reshape, "shape");
        TRP_CHECK(read_dims(c, shape ? shape : &none, io, &inside));
        TRP_CHECK(check_reshape(c, entry, io, &outside, &inside));
    }
    TRP_CHECK(check_dims(c, entry, io, &inside));
    if (!reshape && !is_open && !io->shape_unchecked)
        merge(&outside, &file);
    set_client_dims(c, io, &outside, !reshape && !is_open);
    return trp_ok();
}

/* Turns one entry of the tree into what clients see of the file's tensor. */
static trp_status apply(const struct completer *c, const struct trp_node *entry,
                        const struct trp_io *file, struct trp_io *out)
{
    *out = *file;
    TRP_CHECK(check_dtype(c, entry, file));
    TRP_CHECK(apply_dims(c, entry, out));
    return is_input(c) ? read_optional(c, entry, file, &out->optional) : trp_ok();
}

static trp_status copy_texts(const struct completer *c, struct trp_io *io)
{
    io->name = trp_arena_dup(c->arena, io->name);
    if (!io->name.ptr)
        return no_memory(c);
    if (!trp_signature_dup_dim_names(c->arena, io->dim_names, io->rank, &io->dim_names))
        return no_memory(c);
    if (io->labels_n == 0)
        return trp_ok();
    struct trp_str *labels = trp_arena_get(c->arena, io->labels_n * sizeof *labels);
    for (uint32_t i = 0; labels && i < io->labels_n; i++) {
        labels[i] = trp_arena_dup(c->arena, io->labels[i]);
        if (!labels[i].ptr)
            return no_memory(c);
    }
    io->labels = labels;
    return labels ? trp_ok() : no_memory(c);
}

/* ---- entries from the file ---- */

static bool add_dims(const struct completer *c, struct trp_node *entry, const struct dims *d)
{
    struct trp_node *list = trp_node_add_list(c->arena, entry, "dims");
    bool ok = list != NULL;
    for (uint32_t i = 0; ok && i < d->rank; i++)
        ok = trp_node_add_i64(c->arena, list, NULL, d->at[i]) != NULL;
    return ok;
}

/* With a batch dimension an item that is a scalar is shown as [1], as Triton shows it: its
 * clients cannot say []. */
static bool add_shape(const struct completer *c, struct trp_node *entry, const struct trp_io *io)
{
    const struct dims item = item_dims(c, io), one = { .at = { 1 }, .rank = 1 };
    if (io->any_rank)
        return true;
    if (item.rank > 0 || c->side->batch_max == 0)
        return add_dims(c, entry, &item);
    struct trp_node *reshape;
    return add_dims(c, entry, &one) &&
           (reshape = trp_node_add_map(c->arena, entry, "reshape")) != NULL &&
           trp_node_add_list(c->arena, reshape, "shape") != NULL;
}

static bool add_data_type(const struct completer *c, struct trp_node *entry,
                          const struct trp_io *io)
{
    struct trp_node *n = trp_node_add(c->arena, entry, TRP_STR_LIT("data_type"), TRP_NODE_WORD);
    if (n)
        n->v.s = trp_str_of(trp_dtype_config_name(io->dtype));
    return n != NULL;
}

/* Copies one key of what was written; nothing to do when it was not. */
static bool keep(const struct completer *c, struct trp_node *entry, const struct trp_node *written,
                 const char *key)
{
    const struct trp_node *n = trp_node_get(written, key);
    return !n || trp_node_add_copy(c->arena, entry, n) != NULL;
}

static bool is_absent(const struct trp_node *written, const char *key)
{
    const struct trp_node *n = trp_node_get(written, key);
    return !n || trp_str_is(trp_node_str(written, key, (struct trp_str){ 0 }), "TYPE_INVALID") ||
           (n->kind == TRP_NODE_LIST && n->children_n == 0);
}

/* Adds the entry of one tensor: what was written (NULL: nothing), the rest from the file.  Keys
 * come in the order of their numbers, which differs between inputs and outputs only where one
 * side lacks a key. */
static trp_status add_entry(const struct completer *c, const struct trp_node *written,
                            const struct trp_io *io, struct trp_node **out)
{
    struct trp_node *entry = trp_node_add_map(c->arena, c->list, NULL);
    const bool dims_absent = is_absent(written, "dims");
    const struct trp_str name = trp_arena_dup(c->arena, io->name);
    bool ok = entry && name.ptr && trp_node_add_str(c->arena, entry, "name", name);
    if (ok && written) {
        entry->file = written->file;
        entry->line = written->line;
    }
    ok = ok && (is_absent(written, "data_type") ? add_data_type(c, entry, io)
                                                : keep(c, entry, written, "data_type"));
    ok = ok && keep(c, entry, written, "format");
    ok = ok && (dims_absent ? add_shape(c, entry, io) : keep(c, entry, written, "dims"));
    ok = ok && keep(c, entry, written, "label_filename");
    ok = ok && (dims_absent || keep(c, entry, written, "reshape"));
    ok = ok && keep(c, entry, written, "allow_ragged_batch");
    if (ok && io->optional && !trp_node_get(written, "optional"))
        ok = trp_node_add_bool(c->arena, entry, "optional", true) != NULL;
    ok = ok && keep(c, entry, written, "optional");
    *out = entry;
    return ok ? trp_ok() : no_memory(c);
}

static trp_status take_tensor(const struct completer *c, const struct trp_node *written, uint32_t i)
{
    const struct trp_io *file = &c->side->file[i];
    struct trp_io *seen = &c->ios[is_input(c) ? i : *c->ios_n];
    struct trp_node *entry;
    TRP_CHECK(check_batchable(c, file));
    if (trp_node_get(written, "reshape") && is_absent(written, "dims"))
        return trp_node_fail(written, c->err, TRP_INVALID_ARGUMENT,
                             "%s \"%.*s\": a reshape needs dims", c->side->kind,
                             TRP_STR(file->name));
    TRP_CHECK(add_entry(c, written, file, &entry));
    TRP_CHECK(apply(c, entry, file, seen));
    ++*c->ios_n;
    return copy_texts(c, seen);
}

static trp_status take_written(const struct completer *c)
{
    const struct trp_node *list = c->side->written;
    for (const struct trp_node *n = list ? list->first : NULL; n; n = n->next) {
        uint32_t i = 0;
        TRP_CHECK(find_io(c, n, &i));
        c->is_written[i] = true;
        TRP_CHECK(take_tensor(c, n, i));
    }
    return trp_ok();
}

static trp_status take_rest(const struct completer *c)
{
    const bool any = c->side->written && c->side->written->first;
    if (any && !is_input(c))
        return trp_ok();
    for (uint32_t i = 0; i < c->side->file_n; i++) {
        const struct trp_io *io = &c->side->file[i];
        if (c->is_written[i])
            continue;
        if (any && !io->optional)
            return trp_node_fail(c->side->written, c->err, TRP_INVALID_ARGUMENT,
                                 "input \"%.*s\" of the file is missing; list every input, or "
                                 "none",
                                 TRP_STR(io->name));
        TRP_CHECK(take_tensor(c, NULL, i));
    }
    return trp_ok();
}

trp_status trp_model_io_complete(struct trp_arena *a, const struct trp_model_side *side,
                                 struct trp_node *tree, const struct trp_io **out_ios,
                                 uint32_t *out_n, struct trp_error *err)
{
    struct completer c = { .arena = a, .side = side, .ios_n = out_n, .err = err };
    *out_ios = NULL;
    *out_n = 0;
    c.list = trp_node_add_list(a, tree, side->kind);
    c.ios = trp_arena_zeroed(a, (size_t)side->file_n + 1, sizeof *c.ios);
    c.is_written = trp_arena_zeroed(a, (size_t)side->file_n + 1, sizeof *c.is_written);
    if (!c.list || !c.ios || !c.is_written)
        return no_memory(&c);
    TRP_CHECK(take_written(&c));
    TRP_CHECK(take_rest(&c));
    *out_ios = c.ios;
    return trp_ok();
}

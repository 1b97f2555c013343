/* exec/fanout_join.c - see fanout_join.h. */
#include "exec/fanout_join.h"

#include "model/version.h"
#include "tensor/shape.h"

#define OUTPUT_ALIGN 64

static struct trp_version *version_of(const struct trp_call *call)
{
    return trp_version_of(call->target);
}

static void free_joined(void *user, void *data)
{
    trp_alloc_free(user, data);
}

static void let_go(struct troupe_tensor *t)
{
    if (t->release)
        t->release(t->release_user, t->data);
    *t = (struct troupe_tensor){ 0 };
}

/* ---- before ---- */

/* Bytes of so many rows of an output; false: it does not say. */
static bool declared_bytes(const struct trp_io *io, uint64_t rows, uint64_t *out)
{
    int64_t shape[TROUPE_RANK_MAX];
    if (io->dtype == TROUPE_BYTES || io->any_rank || io->shape_unchecked || io->rank == 0)
        return false;
    memcpy(shape, io->dims, sizeof shape);
    shape[0] = (int64_t)rows;
    for (uint32_t d = 1; d < io->rank; d++)
        if (shape[d] < 0)
            return false;
    return trp_shape_bytes(shape, io->rank, io->dtype, out);
}

/* An input that lies in the client's region as well would be overwritten before another part has
 * read it. */
static bool is_apart(const struct trp_call *whole, const char *memory, uint64_t bytes)
{
    for (uint32_t i = 0; i < whole->inputs_n; i++) {
        const struct troupe_tensor *in = &whole->inputs[i].tensor;
        const uintptr_t begins = (uintptr_t)in->data, at = (uintptr_t)memory;
        if (in->data && begins < at + bytes && at < begins + in->bytes)
            return false;
    }
    return true;
}

/* Without memory for it parts are joined when they have ended, and then there may be. */
static void make_buffer(struct trp_call *whole, uint32_t i, uint64_t bytes)
{
    const struct trp_wanted *w = &whole->wanted[i];
    struct troupe_tensor *all = &whole->outputs[i].tensor;
    const struct trp_alloc *alloc = &version_of(whole)->activations.alloc;
    if (w->memory && bytes <= w->memory_bytes && is_apart(whole, w->memory, bytes)) {
        all->data = w->memory;
    } else {
        all->data = trp_alloc_aligned(alloc, bytes, OUTPUT_ALIGN);
        all->release = all->data ? free_joined : NULL;
        all->release_user = (void *)(uintptr_t)alloc;
    }
    all->bytes = all->data ? bytes : 0;
}

static void show_places(const struct troupe_tensor *all, uint64_t row_bytes, uint32_t i,
                        struct trp_fanout_part *parts, uint32_t parts_n)
{
    char *at = all->data;
    for (uint32_t k = 0; k < parts_n; k++) {
        parts[k].call.wanted[i].memory = at;
        parts[k].call.wanted[i].memory_bytes = parts[k].rows * row_bytes;
        at += parts[k].rows * row_bytes;
    }
}

bool trp_fanout_join_prepare(const struct trp_run_place *p, struct trp_call *whole, uint64_t rows,
                             struct trp_fanout_part *parts, uint32_t parts_n)
{
    uint64_t bytes, left = p->output_bytes_max != 0 ? p->output_bytes_max : UINT64_MAX;
    if (trp_failed(trp_run_make_outputs(whole))) {
        whole->error = (struct trp_error){ 0 };
        return false;
    }
    for (uint32_t i = 0; i < whole->wanted_n; i++) {
        const struct trp_io *io = &version_of(whole)->signature.outputs[whole->wanted[i].index];
        if (!declared_bytes(io, rows, &bytes) || bytes == 0 || bytes > left)
            continue;
        left -= bytes;
        make_buffer(whole, i, bytes);
        if (whole->outputs[i].tensor.data)
            show_places(&whole->outputs[i].tensor, bytes / rows, i, parts, parts_n);
    }
    return true;
}

/* ---- a part has run ---- */

void trp_fanout_join_place(const struct trp_run_place *p, struct trp_fanout_part *part)
{
    for (uint32_t i = 0; i < part->call.outputs_n; i++) {
        const struct trp_wanted *w = &part->call.wanted[i];
        struct troupe_tensor *t = &part->call.outputs[i].tensor;
        if (!w->memory || t->data == w->memory || t->bytes != w->memory_bytes)
            continue;
        memcpy(w->memory, t->data, t->bytes);
        trp_metric_add(p->metrics, TRP_METRIC_BYTES_COPIED, t->bytes);
        if (t->release)
            t->release(t->release_user, t->data);
        t->release = NULL;
        t->data = w->memory;
    }
}

/* ---- all have run ---- */

static bool is_row_for_row(const struct trp_fanout_part *parts, uint32_t parts_n, uint32_t i)
{
    const struct troupe_tensor *first = &parts[0].call.outputs[i].tensor;
    for (uint32_t k = 0; k < parts_n; k++) {
        const struct troupe_tensor *t = &parts[k].call.outputs[i].tensor;
        if (trp_rows_count(t) != parts[k].rows || t->dtype != first->dtype ||
            t->rank != first->rank ||
            memcmp(t->shape + 1, first->shape + 1, (t->rank - 1) * sizeof *t->shape) != 0)
            return false;
    }
    return true;
}

static bool is_in_place(const struct trp_fanout_part *parts, uint32_t parts_n, uint32_t i)
{
    for (uint32_t k = 0; k < parts_n; k++) {
        const struct trp_wanted *w = &parts[k].call.wanted[i];
        if (!w->memory || parts[k].call.outputs[i].tensor.data != w->memory)
            return false;
    }
    return true;
}

/* Lays the parts behind one another in memory of their own. */
static trp_status lay_together(const struct trp_run_place *p, struct trp_call *whole, uint32_t i,
                               const struct trp_fanout_part *parts, uint32_t parts_n)
{
    struct troupe_tensor *all = &whole->outputs[i].tensor;
    const struct trp_alloc *alloc = &version_of(whole)->activations.alloc;
    uint64_t bytes = 0;
    for (uint32_t k = 0; k < parts_n; k++)
        bytes += parts[k].call.outputs[i].tensor.bytes;
    struct troupe_tensor joined = parts[0].call.outputs[i].tensor;
    joined.data = trp_alloc_aligned(alloc, bytes ? bytes : 1, OUTPUT_ALIGN);
    if (!joined.data)
        return trp_fail_limit(&whole->error, TRP_OUT_OF_MEMORY, TRP_LIMIT_RUN_MEMORY,
                              "model '%s': output '%.*s' of %llu bytes", version_of(whole)->id,
                              TRP_STR(whole->wanted[i].name), (unsigned long long)bytes);
    joined.release = free_joined;
    joined.release_user = (void *)(uintptr_t)alloc;
    joined.bytes = 0;
    joined.shape[0] = 0;
    for (uint32_t k = 0; k < parts_n; k++)
        trp_rows_append(&joined, &parts[k].call.outputs[i].tensor);
    trp_metric_add(p->metrics, TRP_METRIC_BYTES_COPIED, bytes);
    let_go(all);
    *all = joined;
    return trp_ok();
}

static trp_status join_output(const struct trp_run_place *p, struct trp_call *whole, uint32_t i,
                              const struct trp_fanout_part *parts, uint32_t parts_n)
{
    struct troupe_tensor *all = &whole->outputs[i].tensor;
    const struct troupe_tensor *first = &parts[0].call.outputs[i].tensor;
    if (!is_in_place(parts, parts_n, i))
        return lay_together(p, whole, i, parts, parts_n);
    all->dtype = first->dtype;
    all->rank = first->rank;
    memcpy(all->shape, first->shape, sizeof all->shape);
    for (uint32_t k = 1; k < parts_n; k++)
        all->shape[0] += (int64_t)parts[k].rows;
    return trp_ok();
}

static trp_status check_limit(const struct trp_run_place *p, struct trp_call *whole,
                              const struct trp_fanout_part *parts, uint32_t parts_n)
{
    uint64_t bytes = 0;
    for (uint32_t k = 0; k < parts_n; k++)
        for (uint32_t i = 0; i < whole->wanted_n; i++)
            bytes += parts[k].call.outputs[i].tensor.bytes;
    if (p->output_bytes_max == 0 || bytes <= p->output_bytes_max)
        return trp_ok();
    return trp_fail_limit(&whole->error, TRP_TOO_LARGE, TRP_LIMIT_OUTPUT,
                          "model '%s': its outputs have more than %llu bytes",
                          version_of(whole)->id, (unsigned long long)p->output_bytes_max);
}

bool trp_fanout_join_all(const struct trp_run_place *p, struct trp_call *whole,
                         struct trp_fanout_part *parts, uint32_t parts_n)
{
    for (uint32_t i = 0; i < whole->wanted_n; i++)
        if (!is_row_for_row(parts, parts_n, i))
            return false;
    trp_status st = check_limit(p, whole, parts, parts_n);
    for (uint32_t i = 0; !trp_failed(st) && i < whole->wanted_n; i++) {
        st = join_output(p, whole, i, parts, parts_n);
        if (whole->outputs[i].tensor.release)
            whole->run_peak_bytes += whole->outputs[i].tensor.bytes;
    }
    whole->outputs_n = trp_failed(st) ? 0 : whole->wanted_n;
    return true;
}

void trp_fanout_join_clear(struct trp_call *whole, struct trp_fanout_part *parts, uint32_t parts_n,
                           bool keeps)
{
    for (uint32_t k = 0; k < parts_n; k++) {
        struct trp_call *part = &parts[k].call;
        for (uint32_t i = 0; i < part->outputs_n; i++)
            let_go(&part->outputs[i].tensor);
        part->outputs_n = 0;
    }
    for (uint32_t i = 0; !keeps && i < whole->wanted_n; i++)
        let_go(&whole->outputs[i].tensor);
}

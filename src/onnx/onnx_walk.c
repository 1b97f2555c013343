/* onnx/onnx_walk.c - see onnx_walk.h. */
#include "onnx/onnx_walk.h"

#include <stdarg.h>
#include <stdio.h>

#define SCRATCH_BLOCK_BYTES 4096
#define TEXT_FACTOR 16 /* see name_max */

static uint32_t or_default(uint32_t given, uint32_t fallback)
{
    return given ? given : fallback;
}

static struct trp_onnx_opts resolve(const struct trp_onnx_opts *opts)
{
    const struct trp_onnx_opts o = opts ? *opts : (struct trp_onnx_opts){ 0 };
    return (struct trp_onnx_opts){
        .signature_only = o.signature_only,
        .depth_max = or_default(o.depth_max, 32),
        .nodes_max = or_default(o.nodes_max, 1000000),
        .tensors_max = or_default(o.tensors_max, 1000000),
        .names_max = or_default(o.names_max, 4000000),
        .ops_max = or_default(o.ops_max, 4096),
        .entries_max = or_default(o.entries_max, 4096),
        .name_max = or_default(o.name_max, 4096),
        .hazards_max = or_default(o.hazards_max, 256),
    };
}

void trp_onnx_walk_init(struct trp_onnx_walk *w, struct trp_str file,
                        const struct trp_onnx_opts *opts, struct trp_arena *arena,
                        struct trp_error *err)
{
    *w = (struct trp_onnx_walk){
        .file = file, .opts = resolve(opts), .arena = arena, .err = err, .status = trp_ok()
    };
    trp_arena_init(&w->scratch, arena->alloc, SCRATCH_BLOCK_BYTES, 0);
    trp_onnx_names_init(&w->names, arena->alloc, w->opts.names_max);
    w->status = trp_table_create(arena->alloc, w->opts.ops_max, &w->ops, err);
}

void trp_onnx_walk_deinit(struct trp_onnx_walk *w)
{
    trp_table_destroy(w->ops);
    trp_onnx_names_deinit(&w->names);
    trp_arena_deinit(&w->scratch);
}

void trp_onnx_stop(struct trp_onnx_walk *w, enum trp_code code, const char *format, ...)
{
    if (trp_failed(w->status))
        return;
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    w->status = trp_fail(w->err, code, "%s", text);
}

size_t trp_onnx_offset(const struct trp_onnx_walk *w, const void *at)
{
    return (size_t)((const char *)at - w->file.ptr);
}

bool trp_onnx_next(struct trp_onnx_walk *w, struct trp_pb_reader *r, const char *what,
                   struct trp_pb_field *f)
{
    if (trp_failed(w->status))
        return false;
    const enum trp_pb_next next = trp_pb_next(r, f);
    if (next == TRP_PB_CORRUPT)
        trp_onnx_stop(w, TRP_DATA_LOSS, "cut off or corrupt at byte %zu of %zu, in %s",
                      trp_onnx_offset(w, r->at), w->file.len, what);
    return next == TRP_PB_FIELD;
}

static struct trp_str keep(struct trp_onnx_walk *w, struct trp_str s)
{
    if (trp_failed(w->status) || s.len == 0)
        return (struct trp_str){ 0 };
    const struct trp_str copy = trp_arena_dup(w->arena, s);
    if (!copy.ptr)
        trp_onnx_stop(w, TRP_OUT_OF_MEMORY, "a text of %zu bytes", s.len);
    return copy.ptr ? copy : (struct trp_str){ 0 };
}

struct trp_str trp_onnx_keep_name(struct trp_onnx_walk *w, struct trp_str name, const char *what)
{
    if (name.len > w->opts.name_max) {
        trp_onnx_stop(w, TRP_TOO_LARGE, "%s at byte %zu has %zu bytes, at most %u are read", what,
                      trp_onnx_offset(w, name.ptr), name.len, w->opts.name_max);
        return (struct trp_str){ 0 };
    }
    return keep(w, name);
}

struct trp_str trp_onnx_keep_text(struct trp_onnx_walk *w, struct trp_str text)
{
    const size_t max = (size_t)w->opts.name_max * TEXT_FACTOR;
    if (text.len > max) {
        text.len = max;
        while (text.len > 0 && ((unsigned char)text.ptr[text.len] & 0xc0) == 0x80)
            text.len--; /* not inside a character */
    }
    return keep(w, text);
}

void *trp_onnx_list_add(struct trp_onnx_walk *w, struct trp_onnx_list *list, size_t item_bytes,
                        uint32_t max, const char *what)
{
    if (trp_failed(w->status))
        return NULL;
    if (list->n >= max) {
        trp_onnx_stop(w, TRP_TOO_LARGE, "more than %u %s", max, what);
        return NULL;
    }
    if (list->n == list->capacity) {
        const uint32_t capacity = list->capacity ? 2 * list->capacity : 8;
        char *const items = trp_arena_zeroed(&w->scratch, capacity, item_bytes);
        if (!items) {
            trp_onnx_stop(w, TRP_OUT_OF_MEMORY, "%u %s", capacity, what);
            return NULL;
        }
        if (list->n > 0)
            memcpy(items, list->items, list->n * item_bytes);
        list->items = items;
        list->capacity = capacity;
    }
    return (char *)list->items + item_bytes * list->n++;
}

const void *trp_onnx_list_keep(struct trp_onnx_walk *w, const struct trp_onnx_list *list,
                               size_t item_bytes)
{
    if (trp_failed(w->status) || list->n == 0)
        return NULL;
    void *const items = trp_arena_get(w->arena, list->n * item_bytes);
    if (!items)
        trp_onnx_stop(w, TRP_OUT_OF_MEMORY, "%u items", list->n);
    else
        memcpy(items, list->items, list->n * item_bytes);
    return items;
}

bool trp_onnx_enter(struct trp_onnx_walk *w, const void *at, const char *what)
{
    if (trp_failed(w->status))
        return false;
    if (w->depth >= w->opts.depth_max) {
        trp_onnx_stop(w, TRP_TOO_LARGE, "%s at byte %zu is nested more than %u deep", what,
                      trp_onnx_offset(w, at), w->opts.depth_max);
        return false;
    }
    w->depth++;
    return true;
}

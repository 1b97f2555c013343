/* onnx/onnx_names.c - see onnx_names.h.
 *
 * Entries stand in one array in the order in which they were put, so a scope is its tail.  Each
 * bucket is a chain from the newest entry to the oldest: an inner name hides an outer one because
 * it is met first, and closing a scope takes entries off the end of the array, each of which is
 * then the head of its chain. */
#include "onnx/onnx_names.h"

#include <xxhash.h>

struct trp_onnx_name {
    struct trp_str name;
    uint64_t hash;
    uint32_t next; /* older entry of the bucket + 1 */
    struct trp_onnx_fact fact;
};

void trp_onnx_names_init(struct trp_onnx_names *t, const struct trp_alloc *alloc,
                         uint32_t entries_max)
{
    *t = (struct trp_onnx_names){ .alloc = alloc, .entries_max = entries_max };
}

void trp_onnx_names_deinit(struct trp_onnx_names *t)
{
    trp_alloc_free(t->alloc, t->entries);
    trp_alloc_free(t->alloc, t->buckets);
    *t = (struct trp_onnx_names){ 0 };
}

/* The address is different in every process, so that no file can be made whose names all
 * collide. */
static uint64_t hash_of(const struct trp_onnx_names *t, struct trp_str name)
{
    return XXH3_64bits_withSeed(name.ptr, name.len, (uint64_t)(uintptr_t)t->buckets);
}

static struct trp_onnx_name *find(const struct trp_onnx_names *t, struct trp_str name)
{
    if (name.len == 0 || t->entries_n == 0)
        return NULL;
    const uint64_t hash = hash_of(t, name);
    for (uint32_t at = t->buckets[hash & (t->buckets_n - 1)]; at; at = t->entries[at - 1].next) {
        struct trp_onnx_name *const e = &t->entries[at - 1];
        if (e->hash == hash && trp_str_is_equal(e->name, name))
            return e;
    }
    return NULL;
}

static void link_entry(struct trp_onnx_names *t, uint32_t index)
{
    struct trp_onnx_name *const e = &t->entries[index];
    e->hash = hash_of(t, e->name);
    uint32_t *const bucket = &t->buckets[e->hash & (t->buckets_n - 1)];
    e->next = *bucket;
    *bucket = index + 1;
}

static trp_status grow(struct trp_onnx_names *t, struct trp_error *err)
{
    if (t->entries_n >= t->entries_max)
        return trp_fail(err, TRP_TOO_LARGE, "more than %u names in scope", t->entries_max);
    const uint32_t capacity = t->entries_capacity ? 2 * t->entries_capacity : 64;
    struct trp_onnx_name *const entries =
        trp_alloc_resize(t->alloc, t->entries, t->entries_capacity * sizeof *entries,
                         (size_t)capacity * sizeof *entries);
    if (!entries)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%u names", capacity);
    t->entries = entries;
    uint32_t *const buckets = trp_alloc_zeroed(t->alloc, capacity, sizeof *buckets);
    if (!buckets)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%u names", capacity);
    trp_alloc_free(t->alloc, t->buckets);
    t->buckets = buckets;
    t->buckets_n = capacity;
    t->entries_capacity = capacity;
    for (uint32_t i = 0; i < t->entries_n; i++) /* oldest first, as they were put */
        link_entry(t, i);
    return trp_ok();
}

uint32_t trp_onnx_names_open(struct trp_onnx_names *t)
{
    const uint32_t outer = t->scope;
    t->scope = t->entries_n;
    return outer;
}

void trp_onnx_names_close(struct trp_onnx_names *t, uint32_t outer)
{
    while (t->entries_n > t->scope) {
        const struct trp_onnx_name *const e = &t->entries[--t->entries_n];
        t->buckets[e->hash & (t->buckets_n - 1)] = e->next;
    }
    t->scope = outer;
}

struct trp_onnx_fact trp_onnx_names_get(const struct trp_onnx_names *t, struct trp_str name)
{
    const struct trp_onnx_name *const e = find(t, name);
    return e ? e->fact : (struct trp_onnx_fact){ 0 };
}

bool trp_onnx_names_is_local(const struct trp_onnx_names *t, struct trp_str name,
                             struct trp_onnx_fact *out)
{
    const struct trp_onnx_name *const e = find(t, name);
    if (!e || e < t->entries + t->scope)
        return false;
    if (out)
        *out = e->fact;
    return true;
}

trp_status trp_onnx_names_put(struct trp_onnx_names *t, struct trp_str name,
                              const struct trp_onnx_fact *fact, struct trp_error *err)
{
    struct trp_onnx_name *const old = find(t, name);
    if (old && old >= t->entries + t->scope) {
        old->fact = *fact;
        return trp_ok();
    }
    if (t->entries_n == t->entries_capacity)
        TRP_CHECK(grow(t, err));
    t->entries[t->entries_n] = (struct trp_onnx_name){ .name = name, .fact = *fact };
    link_entry(t, t->entries_n++);
    return trp_ok();
}

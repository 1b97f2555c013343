/* base/table.c - see table.h.  Linear probing; a taken entry is closed up by moving its followers
 * back, so there are no tombstones. */
#include "base/table.h"

#include <xxhash.h>

#define FIRST_SLOTS 16u /* a power of two; at most 7/8 of the slots are used */

struct slot {
    char *key; /* NULL: free; owned */
    size_t key_len;
    uint64_t hash;
    void *value;
};

struct trp_table {
    const struct trp_alloc *alloc;
    struct slot *slots;
    uint32_t slots_n, count, entries_max;
    uint64_t seed;
};

trp_status trp_table_create(const struct trp_alloc *alloc, uint32_t entries_max,
                            struct trp_table **out_table, struct trp_error *err)
{
    *out_table = NULL;
    struct trp_table *t = trp_alloc_zeroed(alloc, 1, sizeof *t);
    if (t) {
        t->alloc = alloc;
        t->entries_max = entries_max;
        t->seed = (uint64_t)(uintptr_t)t; /* differs from run to run: address space is randomised */
        t->slots_n = FIRST_SLOTS;
        t->slots = trp_alloc_zeroed(alloc, FIRST_SLOTS, sizeof *t->slots);
    }
    if (!t || !t->slots) {
        trp_table_destroy(t);
        return trp_fail(err, TRP_OUT_OF_MEMORY, "table");
    }
    *out_table = t;
    return trp_ok();
}

void trp_table_destroy(struct trp_table *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; t->slots && i < t->slots_n; i++)
        trp_alloc_free(t->alloc, t->slots[i].key);
    trp_alloc_free(t->alloc, t->slots);
    trp_alloc_free(t->alloc, t);
}

static uint32_t find(const struct trp_table *t, struct trp_str key, uint64_t hash)
{
    const uint32_t mask = t->slots_n - 1;
    uint32_t i = (uint32_t)hash & mask;
    for (;; i = (i + 1) & mask) {
        const struct slot *s = &t->slots[i];
        if (!s->key || (s->hash == hash && trp_str_is_equal(trp_str_make(s->key, s->key_len), key)))
            return i;
    }
}

static uint64_t hash_of(const struct trp_table *t, struct trp_str key)
{
    return XXH3_64bits_withSeed(key.len ? key.ptr : "", key.len, t->seed);
}

static bool grow(struct trp_table *t)
{
    const uint32_t slots_n = t->slots_n * 2;
    struct slot *slots =
        slots_n > t->slots_n ? trp_alloc_zeroed(t->alloc, slots_n, sizeof *slots) : NULL;
    if (!slots)
        return false;
    for (uint32_t i = 0; i < t->slots_n; i++) {
        if (!t->slots[i].key)
            continue;
        uint32_t at = (uint32_t)t->slots[i].hash & (slots_n - 1);
        while (slots[at].key)
            at = (at + 1) & (slots_n - 1);
        slots[at] = t->slots[i];
    }
    trp_alloc_free(t->alloc, t->slots);
    t->slots = slots;
    t->slots_n = slots_n;
    return true;
}

trp_status trp_table_put(struct trp_table *t, struct trp_str key, void *value, void **out_old,
                         struct trp_error *err)
{
    const uint64_t hash = hash_of(t, key);
    uint32_t i = find(t, key, hash);
    if (out_old)
        *out_old = t->slots[i].key ? t->slots[i].value : NULL;
    if (t->slots[i].key) {
        t->slots[i].value = value;
        return trp_ok();
    }
    if (t->count >= t->entries_max)
        return trp_fail(err, TRP_TOO_LARGE, "table: more than %u entries", t->entries_max);
    if (t->count + 1 > t->slots_n - t->slots_n / 8) {
        if (!grow(t))
            return trp_fail(err, TRP_OUT_OF_MEMORY, "table of %u entries", t->count);
        i = find(t, key, hash);
    }
    char *copy = trp_alloc_text(t->alloc, key.ptr, key.len);
    if (!copy)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "table key of %zu bytes", key.len);
    t->slots[i] = (struct slot){ copy, key.len, hash, value };
    t->count++;
    return trp_ok();
}

void *trp_table_get(const struct trp_table *t, struct trp_str key)
{
    const struct slot *s = &t->slots[find(t, key, hash_of(t, key))];
    return s->key ? s->value : NULL;
}

void *trp_table_take(struct trp_table *t, struct trp_str key)
{
    const uint32_t mask = t->slots_n - 1;
    uint32_t hole = find(t, key, hash_of(t, key));
    if (!t->slots[hole].key)
        return NULL;
    void *value = t->slots[hole].value;
    trp_alloc_free(t->alloc, t->slots[hole].key);
    t->slots[hole].key = NULL;
    t->count--;
    for (uint32_t i = (hole + 1) & mask; t->slots[i].key; i = (i + 1) & mask) {
        const uint32_t home = (uint32_t)t->slots[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* it is between its home and here: the hole is not on its way */
        t->slots[hole] = t->slots[i];
        t->slots[i].key = NULL;
        hole = i;
    }
    return value;
}

uint32_t trp_table_count(const struct trp_table *t)
{
    return t->count;
}

bool trp_table_next(const struct trp_table *t, uint32_t *cursor, struct trp_str *out_key,
                    void **out_value)
{
    while (*cursor < t->slots_n) {
        const struct slot *s = &t->slots[(*cursor)++];
        if (!s->key)
            continue;
        *out_key = trp_str_make(s->key, s->key_len);
        *out_value = s->value;
        return true;
    }
    return false;
}

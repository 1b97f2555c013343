/* model/name_index.c - a persistent hash table of names
 *
 * The registry's tree is sorted, which a list wants; but a search in it visits log n nodes, each a
 * wait for memory, and with ten thousand names that costs many times what it costs with ten.  Here
 * it is the same four steps for any number:
 *
 *   hash ──6 bits──► page ──6 bits──► bucket ──whole hash──► entry
 *
 * With 10,000 names a bucket has two or three, with 100,000 some 25, compared by their hashes,
 * which lie side by side.
 *
 *  1. Everything is immutable once it was handed out.  A change copies the table, one page and one
 *     bucket.
 *  2. Counts are plain numbers: only the control thread touches them; readers are known by epoch
 *     (registry.c). */
#include "model/name_index.h"

#include <xxhash.h>

#include "model/registry.h"

#define FAN 64u
#define FAN_BITS 6u

struct trp_name_slot {
    uint64_t hash;
    const struct trp_entry *entry;
};

struct trp_name_bucket {
    uint32_t refs, n;
    struct trp_name_slot slots[];
};

struct trp_name_page {
    uint32_t refs;
    struct trp_name_bucket *buckets[FAN];
};

struct trp_name_index {
    uint32_t refs;
    struct trp_name_page *pages[FAN];
};

static uint64_t hash_of(struct trp_str name)
{
    return XXH3_64bits(name.len ? name.ptr : "", name.len);
}

static uint32_t page_of(uint64_t hash)
{
    return (uint32_t)hash % FAN;
}

static uint32_t bucket_of(uint64_t hash)
{
    return (uint32_t)(hash >> FAN_BITS) % FAN;
}

const struct trp_entry *trp_name_index_find(const struct trp_name_index *index, struct trp_str name)
{
    const uint64_t hash = hash_of(name);
    const struct trp_name_page *page = index ? index->pages[page_of(hash)] : NULL;
    const struct trp_name_bucket *bucket = page ? page->buckets[bucket_of(hash)] : NULL;
    for (uint32_t i = 0; bucket && i < bucket->n; i++) {
        const struct trp_name_slot *slot = &bucket->slots[i];
        if (slot->hash == hash && trp_str_is_equal(slot->entry->name, name))
            return slot->entry;
    }
    return NULL;
}

/* ---- owners ---- */

static void drop_bucket(const struct trp_alloc *alloc, struct trp_name_bucket *bucket)
{
    if (bucket && --bucket->refs == 0)
        trp_alloc_free(alloc, bucket);
}

static void drop_page(const struct trp_alloc *alloc, struct trp_name_page *page)
{
    if (!page || --page->refs)
        return;
    for (uint32_t i = 0; i < FAN; i++)
        drop_bucket(alloc, page->buckets[i]);
    trp_alloc_free(alloc, page);
}

struct trp_name_index *trp_name_index_share(struct trp_name_index *index)
{
    if (index)
        index->refs++;
    return index;
}

void trp_name_index_drop(const struct trp_alloc *alloc, struct trp_name_index *index)
{
    if (!index || --index->refs)
        return;
    for (uint32_t i = 0; i < FAN; i++)
        drop_page(alloc, index->pages[i]);
    trp_alloc_free(alloc, index);
}

/* ---- changes ---- */

static struct trp_name_index *copy_index(const struct trp_alloc *alloc,
                                         const struct trp_name_index *from)
{
    struct trp_name_index *index = trp_alloc_zeroed(alloc, 1, sizeof *index);
    if (!index)
        return NULL;
    index->refs = 1;
    for (uint32_t i = 0; from && i < FAN; i++)
        if ((index->pages[i] = from->pages[i]))
            index->pages[i]->refs++;
    return index;
}

static struct trp_name_page *copy_page(const struct trp_alloc *alloc,
                                       const struct trp_name_page *from)
{
    struct trp_name_page *page = trp_alloc_zeroed(alloc, 1, sizeof *page);
    if (!page)
        return NULL;
    page->refs = 1;
    for (uint32_t i = 0; from && i < FAN; i++)
        if ((page->buckets[i] = from->buckets[i]))
            page->buckets[i]->refs++;
    return page;
}

/* A copy without the name, and with the entry, if there is one; an empty bucket is one of no
 * slots. */
static struct trp_name_bucket *copy_bucket(const struct trp_alloc *alloc,
                                           const struct trp_name_bucket *from, uint64_t hash,
                                           struct trp_str name, const struct trp_entry *entry)
{
    const size_t room = (from ? from->n : 0u) + 1u;
    struct trp_name_bucket *bucket =
        trp_alloc_get(alloc, 1, sizeof *bucket + room * sizeof bucket->slots[0]);
    if (!bucket)
        return NULL;
    bucket->refs = 1;
    bucket->n = 0;
    for (uint32_t i = 0; from && i < from->n; i++) {
        const struct trp_name_slot *slot = &from->slots[i];
        if (slot->hash != hash || !trp_str_is_equal(slot->entry->name, name))
            bucket->slots[bucket->n++] = *slot;
    }
    if (entry)
        bucket->slots[bucket->n++] = (struct trp_name_slot){ hash, entry };
    return bucket;
}

static trp_status change(const struct trp_alloc *alloc, struct trp_name_index *old,
                         struct trp_str name, const struct trp_entry *entry,
                         struct trp_name_index **out_index, struct trp_error *err)
{
    const uint64_t hash = hash_of(name);
    const uint32_t at = page_of(hash), place = bucket_of(hash);
    const struct trp_name_page *old_page = old ? old->pages[at] : NULL;
    const struct trp_name_bucket *old_bucket = old_page ? old_page->buckets[place] : NULL;
    struct trp_name_index *index = copy_index(alloc, old);
    struct trp_name_page *page = copy_page(alloc, old_page);
    struct trp_name_bucket *bucket = copy_bucket(alloc, old_bucket, hash, name, entry);
    *out_index = NULL;
    if (!index || !page || !bucket) {
        drop_bucket(alloc, bucket);
        drop_page(alloc, page);
        trp_name_index_drop(alloc, index);
        return trp_fail(err, TRP_OUT_OF_MEMORY, "index of names");
    }
    drop_bucket(alloc, page->buckets[place]);
    page->buckets[place] = bucket;
    drop_page(alloc, index->pages[at]);
    index->pages[at] = page;
    *out_index = index;
    return trp_ok();
}

trp_status trp_name_index_put(const struct trp_alloc *alloc, struct trp_name_index *index,
                              const struct trp_entry *entry, struct trp_name_index **out_index,
                              struct trp_error *err)
{
    return change(alloc, index, entry->name, entry, out_index, err);
}

trp_status trp_name_index_remove(const struct trp_alloc *alloc, struct trp_name_index *index,
                                 struct trp_str name, struct trp_name_index **out_index,
                                 struct trp_error *err)
{
    return change(alloc, index, name, NULL, out_index, err);
}

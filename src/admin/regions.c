/* admin/regions.c - see regions.h.
 *
 * Regions live in a list under one lock: there are few, and a request names at most a few of them.
 * A region is counted by the table and by each request that uses it; the last one unmaps, outside
 * the lock.  A segment that its owner has cut short after registration would kill this process with
 * SIGBUS on the first touch, so the size is looked at again for every hold; a client that cuts
 * it while a request runs can still do harm, which is why registration is for local clients
 * only. */
#include "admin/regions.h"

#include "base/atomic.h"
#include "base/shm.h"
#include "base/thread.h"

struct region {
    struct region *next;
    struct trp_refs refs;
    const struct trp_alloc *alloc;
    char *name, *key;
    uint64_t offset, bytes;
    struct trp_shm shm;
};

struct trp_regions {
    const struct trp_alloc *alloc;
    struct trp_lock lock;
    struct region *first;
    uint64_t bytes, bytes_max;
    uint32_t count, count_max;
};

trp_status trp_regions_create(const struct trp_alloc *alloc, uint64_t bytes_max,
                              uint32_t regions_max, struct trp_regions **out_regions,
                              struct trp_error *err)
{
    *out_regions = NULL;
    struct trp_regions *r = trp_alloc_zeroed(alloc, 1, sizeof *r);
    if (!r)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "shared memory regions");
    r->alloc = alloc;
    r->bytes_max = bytes_max;
    r->count_max = regions_max;
    trp_lock_init(&r->lock, TRP_LOCK_SHM);
    *out_regions = r;
    return trp_ok();
}

static void unref(struct region *region)
{
    if (!trp_refs_down(&region->refs))
        return;
    trp_shm_close(&region->shm);
    trp_alloc_free(region->alloc, region->name);
    trp_alloc_free(region->alloc, region->key);
    trp_alloc_free(region->alloc, region);
}

void trp_regions_destroy(struct trp_regions *r)
{
    if (!r)
        return;
    trp_regions_remove(r, trp_str_make(NULL, 0));
    trp_lock_deinit(&r->lock);
    trp_alloc_free(r->alloc, r);
}

static struct region *find(const struct trp_regions *r, struct trp_str name)
{
    struct region *region = r->first;
    while (region && !trp_str_is(name, region->name))
        region = region->next;
    return region;
}

static struct region *make(struct trp_regions *r, struct trp_str name, struct trp_str key)
{
    struct region *region = trp_alloc_zeroed(r->alloc, 1, sizeof *region);
    if (!region)
        return NULL;
    trp_refs_init(&region->refs);
    region->alloc = r->alloc;
    region->name = trp_alloc_text(r->alloc, name.ptr, name.len);
    region->key = trp_alloc_text(r->alloc, key.ptr, key.len);
    if (!region->name || !region->key) {
        unref(region);
        return NULL;
    }
    return region;
}

/* Puts a region into the table, when its limits and names still allow it. */
static trp_status insert(struct trp_regions *r, struct region *region, struct trp_error *err)
{
    trp_status st = trp_ok();
    trp_lock_enter(&r->lock);
    if (find(r, trp_str_of(region->name)))
        st = trp_fail(err, TRP_ALREADY_EXISTS, "shared memory region '%s' already in manager",
                      region->name);
    else if (r->count >= r->count_max)
        st = trp_fail_limit(err, TRP_TOO_LARGE, TRP_LIMIT_SHM_REGIONS,
                            "%u shared memory regions are registered, no more are allowed "
                            "(limits.shared_memory_regions)",
                            r->count);
    else if (region->shm.bytes > r->bytes_max - r->bytes)
        st = trp_fail_limit(
            err, TRP_TOO_LARGE, TRP_LIMIT_SHM_BYTES,
            "shared memory region '%s': %llu bytes more, at most %llu are mapped at once "
            "(limits.shared_memory_bytes)",
            region->name, (unsigned long long)region->shm.bytes, (unsigned long long)r->bytes_max);
    if (!trp_failed(st)) {
        region->next = r->first;
        r->first = region;
        r->bytes += region->shm.bytes;
        r->count++;
    }
    trp_lock_leave(&r->lock);
    return st;
}

trp_status trp_regions_add(struct trp_regions *r, struct trp_str name, struct trp_str key,
                           uint64_t offset, uint64_t bytes, struct trp_error *err)
{
    uint64_t end;
    if (name.len == 0 || key.len == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "a shared memory region needs a name and a key");
    if (trp_str_starts_with(name, TRP_STR_LIT("triton_python_backend_shm_region_")) ||
        trp_str_starts_with(key, TRP_STR_LIT("triton_python_backend_shm_region_")) ||
        trp_str_starts_with(key, TRP_STR_LIT("/triton_python_backend_shm_region_")))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "the name of shared memory region '%.*s' is reserved", TRP_STR(name));
    if (bytes == 0 || __builtin_add_overflow(offset, bytes, &end))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "shared memory region '%.*s': offset %llu and byte_size %llu; expected at "
                        "least 1 byte, and a sum below 2^64",
                        TRP_STR(name), (unsigned long long)offset, (unsigned long long)bytes);
    struct region *region = make(r, name, key);
    if (!region)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "shared memory region");
    region->offset = offset;
    region->bytes = bytes;
    trp_status st = trp_shm_open(region->key, end, &region->shm, err);
    if (!trp_failed(st))
        st = insert(r, region, err);
    if (trp_failed(st))
        unref(region);
    return st;
}

void trp_regions_remove(struct trp_regions *r, struct trp_str name)
{
    struct region *removed = NULL;
    trp_lock_enter(&r->lock);
    for (struct region **at = &r->first; *at;) {
        struct region *region = *at;
        if (name.len && !trp_str_is(name, region->name)) {
            at = &region->next;
            continue;
        }
        *at = region->next;
        r->bytes -= region->shm.bytes;
        r->count--;
        region->next = removed;
        removed = region;
    }
    trp_lock_leave(&r->lock);
    while (removed) {
        struct region *next = removed->next;
        unref(removed);
        removed = next;
    }
}

/* The regions of a moment, held: for whoever takes longer than a lock may last. */
struct picture {
    struct region **regions;
    uint32_t n, capacity;
};

/* Fills it, or says in `capacity` how much room is needed. */
static bool hold_all(struct trp_regions *r, struct trp_str name, struct picture *p)
{
    trp_lock_enter(&r->lock);
    const uint32_t needed = name.len ? 1 : r->count;
    const bool fits = needed <= p->capacity;
    for (struct region *region = r->first; fits && region && p->n < p->capacity;
         region = region->next) {
        if (name.len && !trp_str_is(name, region->name))
            continue;
        trp_refs_up(&region->refs);
        p->regions[p->n++] = region;
    }
    trp_lock_leave(&r->lock);
    p->capacity = fits ? p->capacity : needed;
    return fits;
}

static bool take_picture(struct trp_regions *r, struct trp_str name, struct picture *p)
{
    while (!hold_all(r, name, p)) { /* again only when others came in between */
        trp_alloc_free(r->alloc, p->regions);
        p->regions = trp_alloc_get(r->alloc, p->capacity, sizeof(struct region *));
        if (!p->regions)
            return false;
    }
    return true;
}

trp_status trp_regions_each(struct trp_regions *r, struct trp_str name,
                            void (*each)(void *user, const struct trp_region_facts *facts),
                            void *user, struct trp_error *err)
{
    struct picture p = { 0 };
    if (!take_picture(r, name, &p))
        return trp_fail(err, TRP_OUT_OF_MEMORY, "shared memory status");
    for (uint32_t i = 0; i < p.n; i++) {
        const struct region *region = p.regions[i];
        each(user, &(struct trp_region_facts){ trp_str_of(region->name), trp_str_of(region->key),
                                               region->offset, region->bytes });
        unref(p.regions[i]);
    }
    trp_alloc_free(r->alloc, p.regions);
    if (name.len && p.n == 0)
        return trp_fail(err, TRP_NOT_FOUND, "Unable to find system shared memory region: '%.*s'",
                        TRP_STR(name));
    return trp_ok();
}

trp_status trp_regions_hold(struct trp_regions *r, struct trp_str name, uint64_t offset,
                            uint64_t bytes, void **out_ptr, void **out_hold, struct trp_error *err)
{
    trp_lock_enter(&r->lock);
    struct region *region = find(r, name);
    if (region)
        trp_refs_up(&region->refs);
    trp_lock_leave(&r->lock);
    if (!region)
        return trp_fail(err, TRP_NOT_FOUND, "Unable to find shared memory region: '%.*s'",
                        TRP_STR(name));
    trp_status st = trp_ok();
    if (offset > region->bytes || bytes > region->bytes - offset)
        st = trp_fail(err, TRP_INVALID_ARGUMENT,
                      "Invalid offset + byte size for shared memory region: '%.*s': %llu + %llu, "
                      "the region holds %llu",
                      TRP_STR(name), (unsigned long long)offset, (unsigned long long)bytes,
                      (unsigned long long)region->bytes);
    else if (!trp_shm_is_whole(&region->shm))
        st = trp_fail(
            err, TRP_FAILED_PRECONDITION,
            "shared memory region '%.*s': its segment is shorter than when it was registered",
            TRP_STR(name));
    if (trp_failed(st)) {
        unref(region);
        return st;
    }
    *out_ptr = region->shm.ptr + region->offset + offset;
    *out_hold = region;
    return st;
}

void trp_region_release(void *hold, void *ptr)
{
    (void)ptr;
    if (hold)
        unref(hold);
}

/* admin/regions.h - shared memory that clients registered.
 * Answers "which memory does this region name mean?".  Counted: a region that is unregistered while
 * requests use it stays mapped until the last of them has ended. */
#ifndef TRP_REGIONS_H
#define TRP_REGIONS_H

#include "base/alloc.h"
#include "base/status.h"
#include "base/str.h"

struct trp_regions;

/* Makes an empty table.
 *   Units : bytes_max: mapped at once, all regions; regions_max: how many.
 *   Owns  : the caller destroys, after all holds are let go.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_regions_create(const struct trp_alloc *alloc, uint64_t bytes_max,
                              uint32_t regions_max, struct trp_regions **out_regions,
                              struct trp_error *err);
void trp_regions_destroy(struct trp_regions *r);

/* Registers a segment: `key` is its shm_open() name, the region is [offset, offset + bytes) of it.
 *   Owns  : texts are copied.
 *   Thread: any.
 *   Blocks: device.
 *   Errors: ALREADY_EXISTS, INVALID_ARGUMENT, TOO_LARGE (a limit), and those of trp_shm_open(). */
trp_status trp_regions_add(struct trp_regions *r, struct trp_str name, struct trp_str key,
                           uint64_t offset, uint64_t bytes, struct trp_error *err);

/* Forgets one region, or (empty name) all; one that does not exist is no error, as Triton has it.
 *   Owns  : unmapped when the last hold goes.
 *   Thread: any.
 *   Errors: none. */
void trp_regions_remove(struct trp_regions *r, struct trp_str name);

/* Visits one region (empty name: all) as they are now.  No lock is held meanwhile: `each` may call
 * back into the table.
 *   Owns  : borrowed for the call.
 *   Thread: any.
 *   Errors: NOT_FOUND (a named one does not exist), OUT_OF_MEMORY; nothing was visited then. */
struct trp_region_facts {
    struct trp_str name, key;
    uint64_t offset, bytes;
};
trp_status trp_regions_each(struct trp_regions *r, struct trp_str name,
                            void (*each)(void *user, const struct trp_region_facts *facts),
                            void *user, struct trp_error *err);

/* Turns a range of a region into memory and holds it.
 *   Owns  : let go with trp_region_release(*out_hold, ...).
 *   Thread: any.
 *   Errors: NOT_FOUND, INVALID_ARGUMENT (the range leaves the region), FAILED_PRECONDITION (the
 *           segment shrank). */
trp_status trp_regions_hold(struct trp_regions *r, struct trp_str name, uint64_t offset,
                            uint64_t bytes, void **out_ptr, void **out_hold, struct trp_error *err);
void trp_region_release(void *hold, void *ptr);

#endif

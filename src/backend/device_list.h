/* backend/device_list.h - what a backend can run on besides the CPU, as it has told it.
 * Answers "which devices are there, and what are they called?". */
#ifndef TRP_DEVICE_LIST_H
#define TRP_DEVICE_LIST_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "troupe/backend.h"

#define TRP_DEVICE_TEXT_MAX 16 /* "gpu4294967295" */

struct trp_device {
    struct troupe_device_id id;
    const char *name;      /* for people; empty: none */
    uint64_t memory_bytes; /* 0: not known */
};

struct trp_device_list {
    struct trp_device *all; /* TROUPE_DEVICES_MAX places; in the order in which they were told */
    uint32_t n;
    struct trp_arena *arena;
    const char *fault; /* NULL, or what is wrong with what was told */
    bool is_short_of_memory;
};

/* Makes an empty list; adds what a backend tells (its `tell`, with the list as `user`).  Kinds of a
 * later ABI are passed over.
 *   Owns  : in `arena`, names too.
 *   Thread: owner.
 *   Errors: init: OUT_OF_MEMORY; tell: none, see trp_device_list_check(). */
trp_status trp_device_list_init(struct trp_device_list *l, struct trp_arena *arena,
                                struct trp_error *err);
void trp_device_list_tell(void *list, const struct troupe_device *device);

/* Whether all that was told could be added.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: INTERNAL: too many, the same one twice; OUT_OF_MEMORY. */
trp_status trp_device_list_check(const struct trp_device_list *l, struct trp_error *err);

/* The one with this number; NULL: there is none.
 *   Owns  : borrowed from the list.
 *   Thread: any.
 *   Errors: none. */
const struct trp_device *trp_device_list_find(const struct trp_device_list *l,
                                              struct troupe_device_id id);

/* Whether two are the same one.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
static inline bool trp_device_is_same(struct troupe_device_id a, struct troupe_device_id b)
{
    return a.kind == b.kind && a.ordinal == b.ordinal;
}

/* "cpu", "gpu0".
 *   Owns  : written to `out`, terminated.
 *   Thread: any.
 *   Errors: none. */
void trp_device_format(struct troupe_device_id id, char out[TRP_DEVICE_TEXT_MAX]);

/* Appends the names of some, with `between` between them: "gpu0, gpu1".
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: see b->failed. */
void trp_device_add_names(struct trp_buf *b, const struct troupe_device_id *ids, uint32_t n,
                          const char *between);

#endif

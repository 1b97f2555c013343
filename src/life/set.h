/* life/set.h - some versions of one model.
 * Answers "which of them are meant, and who keeps them?".  Private to this room. */
#ifndef TRP_SET_H
#define TRP_SET_H

#include "model/version.h"

/* Versions, each with one reference held by the set.  Zero is an empty one. */
struct trp_set {
    struct trp_version **items; /* ascending by number */
    uint32_t n;
};

/* Make room for `n`; take the same versions again; drop them all.
 *   Owns  : the caller drops, with the allocator that made it.
 *   Thread: control.
 *   Errors: false when there is no memory: the set is empty. */
bool trp_set_init(const struct trp_alloc *alloc, struct trp_set *set, uint32_t n);
bool trp_set_dup(const struct trp_alloc *alloc, struct trp_set *set, const struct trp_set *from);
void trp_set_drop(const struct trp_alloc *alloc, struct trp_set *set);

/* Puts one more in, in place of another of its number.
 *   Owns  : moves a reference to the set.
 *   Thread: control.
 *   Errors: false when there is no memory: the set is as it was. */
bool trp_set_put(const struct trp_alloc *alloc, struct trp_set *set, struct trp_version *v);

/* Whether a version is in it.
 *   Owns  : borrowed.
 *   Thread: control.
 *   Errors: none. */
bool trp_set_has(const struct trp_set *set, const struct trp_version *v);

/* The version of a number.
 *   Owns  : borrowed.
 *   Thread: control.
 *   Errors: NULL: there is none. */
struct trp_version *trp_set_numbered(const struct trp_set *set, int64_t number);

#endif

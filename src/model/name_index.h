/* model/name_index.h - from a name to its entry, in a handful of steps however many names there
 * are.
 * Answers "where is this one?" for one snapshot of the registry.  Immutable: a change makes a new
 * index that shares all but a few hundred bytes with the old one, so snapshots keep theirs. */
#ifndef TRP_NAME_INDEX_H
#define TRP_NAME_INDEX_H

#include "base/alloc.h"
#include "base/status.h"
#include "base/str.h"

struct trp_entry;
struct trp_name_index; /* NULL is an empty one */

/* Make an index with an entry in place of the one of its name, or without a name; the old one stays
 * as it is.
 *   Owns  : the caller drops *out_index; entries are borrowed and must outlive all indexes that
 *           have them.
 *   Thread: control.
 *   Cost  : three allocations, some 1.5 KB of copying.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_name_index_put(const struct trp_alloc *alloc, struct trp_name_index *index,
                              const struct trp_entry *entry, struct trp_name_index **out_index,
                              struct trp_error *err);
trp_status trp_name_index_remove(const struct trp_alloc *alloc, struct trp_name_index *index,
                                 struct trp_str name, struct trp_name_index **out_index,
                                 struct trp_error *err);

/* One owner more; one less.
 *   Owns  : counted.
 *   Thread: control.
 *   Errors: none; NULL is passed over. */
struct trp_name_index *trp_name_index_share(struct trp_name_index *index);
void trp_name_index_drop(const struct trp_alloc *alloc, struct trp_name_index *index);

/* Looks a name up.
 *   Owns  : borrowed.
 *   Thread: any that keeps the index from being dropped.
 *   Cost  : one hash, four steps; no allocation.
 *   Errors: NULL when absent. */
const struct trp_entry *trp_name_index_find(const struct trp_name_index *index,
                                            struct trp_str name);

#endif

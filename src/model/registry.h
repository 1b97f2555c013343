/* model/registry.h - every name, as one immutable picture.
 * Answers "what stands behind this name, now?".
 *
 * The control thread changes the registry and publishes snapshots; loops look names up in theirs
 * without any shared write. A snapshot is a persistent search tree beside a persistent hash table:
 * a change copies the path to one entry (O(log n)) in one and a page in the other, and shares the
 * rest.  Each has an epoch; an old one is freed when every loop has said that it holds a newer
 * one. */
#ifndef TRP_REGISTRY_H
#define TRP_REGISTRY_H

#include "base/alloc.h"
#include "base/status.h"
#include "base/str.h"
#include "model/version.h"
#include "model/version_label.h"

/* A name and what stands behind it.  Immutable once published. */
struct trp_entry {
    struct trp_str name;
    uint32_t versions_n; /* sorted by number; GONE ones are left out */
    struct trp_version *const *versions;
    const char
        *reason; /* why there is no version at all, or why the newest files were not taken up while
                         * older ones go on serving; NULL: neither */
    bool wanted; /* it was asked to be loaded */
    bool is_unloaded; /* by an operator, and no load was asked for since; whatever its files are */
    const struct trp_version_label *labels; /* each of a version in the table */
    uint32_t labels_n;
};

struct trp_registry;
struct trp_snapshot;

/* Makes an empty registry at epoch 1.
 *   Owns  : the caller destroys; `alloc` is borrowed.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_registry_create(const struct trp_alloc *alloc, uint32_t readers_n,
                               struct trp_registry **out_registry, struct trp_error *err);
void trp_registry_destroy(struct trp_registry *r);

/* Put an entry (replacing the one of its name) or remove a name; nothing is visible before publish.
 *   Owns  : the entry is copied, its versions are referenced.  Removing an absent name is no
 *           failure.
 *   Thread: control.
 *   Cost  : O(log n) allocations.
 *   Errors: OUT_OF_MEMORY; unchanged then. */
trp_status trp_registry_put(struct trp_registry *r, const struct trp_entry *entry,
                            struct trp_error *err);
trp_status trp_registry_remove(struct trp_registry *r, struct trp_str name, struct trp_error *err);

/* Makes what was put the current snapshot and returns it; post it to every reader, who calls
 * trp_registry_seen().
 *   Owns  : borrowed from the registry.
 *   Thread: control.
 *   Errors: none (NULL never). */
const struct trp_snapshot *trp_registry_publish(struct trp_registry *r);
const struct trp_snapshot *trp_registry_current(const struct trp_registry *r); /* control */

/* Reader `index` holds no snapshot older than `epoch` any more; frees what nobody holds.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_registry_seen(struct trp_registry *r, uint32_t index, uint64_t epoch);

/* The oldest epoch that any reader may still hold; the current one's when there are no readers.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
uint64_t trp_registry_oldest_seen(const struct trp_registry *r);

/* Look up; walk in order of name.
 *   Owns  : borrowed from the snapshot.
 *   Thread: any that may hold the snapshot.
 *   Cost  : find: the same for any number of names but for the caches; no allocation.
 *   Errors: NULL when absent. */
uint64_t trp_snapshot_epoch(const struct trp_snapshot *s);
uint32_t trp_snapshot_count(const struct trp_snapshot *s);
const struct trp_entry *trp_snapshot_find(const struct trp_snapshot *s, struct trp_str name);
void trp_snapshot_each(const struct trp_snapshot *s,
                       void (*each)(void *user, const struct trp_entry *e), void *user);

/* Walks the same way from the first name that is not before `from`, as long as `each` says true.
 *   Owns  : borrowed from the snapshot.
 *   Thread: any that may hold the snapshot.
 *   Cost  : O(log n) and what is visited; no allocation.
 *   Errors: none. */
void trp_snapshot_walk(const struct trp_snapshot *s, struct trp_str from,
                       bool (*each)(void *user, const struct trp_entry *e), void *user);

/* Picks the version that a call is sent to: the asked one, or that of a label (below 0:
 * version_label.h), or (0) the highest that takes calls: it serves, or it is cold and the call has
 * its model loaded.  look: the one that is asked about: it serves, or is cold and never loaded;
 * what failed says why.
 *   Owns  : moves one reference to the caller.
 *   Thread: any that may hold the snapshot.
 *   Errors: NOT_FOUND, NOT_READY with the words that Triton's clients match ("Request for unknown
 *           model: ..."), and the code of what kept it from being loaded, as
 *           trp_version_refuse() says it. */
trp_status trp_snapshot_pick(const struct trp_snapshot *s, struct trp_str name, int64_t version,
                             struct trp_version **out_version, struct trp_error *err);
trp_status trp_snapshot_look(const struct trp_snapshot *s, struct trp_str name, int64_t version,
                             struct trp_version **out_version, struct trp_error *err);

/* Says why a version of `name` takes no calls.  Triton knows neither loads by demand nor a budget:
 * what failed so says that it cannot be loaded, and why ("model 'm' version 1 cannot be loaded:
 * ..."), for its name is known; all else has Triton's words.
 *   Owns  : as trp_fail().
 *   Thread: any that holds a reference to the version.
 *   Errors: returns what kept it from being loaded, or NOT_READY. */
trp_status trp_version_refuse(const struct trp_version *v, struct trp_str name,
                              struct trp_error *err);

/* Which number a version, or the key of a label, means for a name; 0 stays 0.
 *   Owns  : nothing.
 *   Thread: any that may hold the snapshot.
 *   Errors: NOT_FOUND: no such label (a name or a number that is not there is no error here). */
trp_status trp_snapshot_number(const struct trp_snapshot *s, struct trp_str name, int64_t version,
                               int64_t *out_number, struct trp_error *err);

#endif

/* catalog/declared.h - what declares routes and compositions, as one listing of the repository
 * found it.
 * Answers "what is written, and which of it is left out because it is wrong?". */
#ifndef TRP_DECLARED_H
#define TRP_DECLARED_H

#include "base/arena.h"
#include "catalog/refused_names.h"
#include "repo/repo.h"

struct trp_declared_folder {
    struct trp_str name;
    const struct trp_node *tree;
    struct trp_str text;           /* of the file that it is written in */
    const struct trp_node *labels; /* of its outputs, as the listing has them */
    const char *kind;              /* static: "route", "ensemble", "cascade", "pipeline" */
    struct trp_str why;            /* it is left out, because; empty: it is not */
    struct trp_str suspicion;      /* what the check that is at work has found; empty: nothing */
};

struct trp_declared {
    struct trp_arena *arena;
    struct trp_str text;                 /* of routes.yaml; empty: there is none */
    struct trp_declared_folder *folders; /* sorted by name, as the listing is */
    uint32_t folders_n;
    struct trp_error file_why;      /* routes.yaml is left out, because; OK: it is not */
    struct trp_refused_names names; /* that it would declare, if it is left out */
};

/* Copies what a listing has.
 *   Owns  : everything lives in `arena`.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_declared_copy(struct trp_declared *d, struct trp_arena *arena,
                             const struct trp_repo_listing *listing, struct trp_str text,
                             struct trp_error *err);

/* Reads the names that routes.yaml would declare, should it be left out; without those that the
 * listing has models of.
 *   Owns  : everything lives in its arena.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_declared_read_names(struct trp_declared *d, const struct trp_repo_listing *listing,
                                   struct trp_error *err);

/* One of these names, which a file that is left out has, and no folder; NULL: it is none.
 *   Owns  : borrowed.
 *   Thread: control.
 *   Cost  : O(log names).
 *   Errors: NULL. */
const struct trp_refused_name *trp_declared_find_refused(const struct trp_declared *d,
                                                         struct trp_str name);

/* Digests of all that is written (names and places count, too); and of that with what is left out,
 * and why.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
uint64_t trp_declared_digest(const struct trp_alloc *alloc, const struct trp_repo_listing *listing,
                             struct trp_str text);
uint64_t trp_declared_verdict(const struct trp_declared *d, uint64_t digest);

/* The folder of this name: one that is not left out; one that is (find_out); leaves one out.
 *   Owns  : borrowed; `why` is copied.
 *   Thread: control.
 *   Cost  : find: O(log folders).
 *   Errors: NULL: there is none; leave_out: OUT_OF_MEMORY, also when that is what was wrong with
 *           it. */
struct trp_declared_folder *trp_declared_find(const struct trp_declared *d, struct trp_str name);
struct trp_declared_folder *trp_declared_find_out(const struct trp_declared *d,
                                                  struct trp_str name);
trp_status trp_declared_leave_out(struct trp_declared *d, struct trp_declared_folder *folder,
                                  const struct trp_error *why, struct trp_error *err);

/* Keeps what a check has found, until all have been checked; the first that it finds counts.
 *   Owns  : `why` is copied.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY, also when that is what it found. */
trp_status trp_declared_suspect(struct trp_declared *d, struct trp_declared_folder *folder,
                                const struct trp_error *why, struct trp_error *err);

/* Shows the place that an error tells by its line: in routes.yaml (`path`), or in the file of a
 * folder.
 *   Owns  : the error is the caller's.
 *   Thread: control.
 *   Errors: none: it stays as it is where there is no such place. */
void trp_declared_point(const struct trp_declared *d, const char *path, struct trp_error *err);

/* Is anything left out?
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
bool trp_declared_is_partial(const struct trp_declared *d);

#endif

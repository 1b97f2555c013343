/* call/directory.h - the names that stand for something else than a model: routes, ensembles,
 * cascades, pipelines.
 * Answers "what stands behind this name, besides models?".
 *
 * One immutable, counted picture of all of them.  The control thread makes a new one when any of
 * them changes; each loop holds one and lets it go when it gets the next.  A call in flight
 * keeps its own target. */
#ifndef TRP_DIRECTORY_H
#define TRP_DIRECTORY_H

#include "base/alloc.h"
#include "base/status.h"
#include "base/str.h"
#include "call/target.h"

#define TRP_DIRECTORY_MAX 10000u /* names in one picture */

struct trp_directory;

struct trp_directory_item {
    struct trp_str name;
    const char *kind;          /* static: "route", "ensemble", "cascade", "pipeline" */
    struct trp_str place;      /* where it is declared: "routes.yaml:3" */
    struct trp_str reason;     /* what is wrong with what is written there now; empty: nothing is */
    struct trp_target *target; /* counted by the two functions, which any thread may call; NULL:
                                * nothing answers, for that reason */
    void (*retain)(struct trp_target *target);
    void (*release)(struct trp_target *target);
};

/* The word before its kind: an ensemble, a route. */
static inline const char *trp_directory_article(const struct trp_directory_item *item)
{
    return item->kind[0] == 'e' ? "an" : "a";
}

/* Says that a name is another one's already, with both places.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: returns ALREADY_EXISTS. */
trp_status trp_directory_fail_twin(const struct trp_directory_item *item,
                                   const struct trp_directory_item *first, struct trp_error *err);

/* Makes a picture of `n` items; `trouble` says why the newest files are not in it (empty: they
 * are).
 *   Owns  : counted, with one reference for the caller; texts are copied, each target is retained.
 *   Thread: control.
 *   Errors: ALREADY_EXISTS: two have one name, as trp_directory_fail_twin() says it; TOO_LARGE;
 *           OUT_OF_MEMORY. */
trp_status trp_directory_build(const struct trp_alloc *alloc,
                               const struct trp_directory_item *items, uint32_t n,
                               struct trp_str trouble, struct trp_directory **out_directory,
                               struct trp_error *err);
void trp_directory_ref(struct trp_directory *d);
void trp_directory_unref(struct trp_directory *d); /* accepts NULL */

/* Before anybody else sees it: more is missing than its items tell.  Whether all that is declared
 * was taken up in some form: no item lacks its target, and it was not marked.  A target may still
 * be not ready, because of models that are not: its state says so.
 *   Owns  : nothing.
 *   Thread: mark: control; is_whole: any that holds it.
 *   Errors: none; of NULL nothing is known, so it is not whole. */
void trp_directory_mark_partial(struct trp_directory *d);
bool trp_directory_is_whole(const struct trp_directory *d);

/* Look up, walk in the order in which they were given, ask for the trouble.
 *   Owns  : borrowed from the picture.
 *   Thread: any that holds it.
 *   Cost  : find: the same for any number of names; no allocation.
 *   Errors: NULL: it has no such name, or `d` is NULL. */
const struct trp_directory_item *trp_directory_find(const struct trp_directory *d,
                                                    struct trp_str name);
uint32_t trp_directory_count(const struct trp_directory *d); /* NULL: 0 */
const struct trp_directory_item *trp_directory_at(const struct trp_directory *d, uint32_t index);
struct trp_str trp_directory_trouble(const struct trp_directory *d);

/* Finds the target of a name for a call, and retains it; *out_target is NULL when the name is not
 * in the picture.
 *   Owns  : one reference moves to the caller; *out_release gives it back.
 *   Thread: any that holds the picture.
 *   Errors: NOT_FOUND: the name is there, the version is not (there is 1 only, and 0 stands for
 *           it); NOT_READY, with the reason. */
trp_status trp_directory_pick(const struct trp_directory *d, struct trp_str name, int64_t version,
                              struct trp_target **out_target,
                              void (**out_release)(struct trp_target *), struct trp_error *err);

#endif

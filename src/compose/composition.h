/* compose/composition.h - a name behind which several models answer together.
 * Answers "what stands behind the name of an ensemble, a cascade or a pipeline?".
 *
 * A composition is a target.  It is read from what somebody wrote, and checked against the
 * signatures of the models that it names as soon as these are known; until then it is not ready.
 * Constant from then on.  Counted: directories and calls in flight keep it. */
#ifndef TRP_COMPOSITION_H
#define TRP_COMPOSITION_H

#include "call/directory.h"
#include "call/target.h"
#include "compose/cook.h"
#include "model/stats.h"

struct trp_composition;
struct trp_route_file;

/* What is to be made. */
struct trp_composition_order {
    struct trp_str name;
    const char *kind; /* as trp_model_definition_kind(), but for "route": static */
    /* What stands under that key; of "ensemble_scheduling" the whole configuration. */
    const struct trp_node *at;
    struct trp_route_file *file; /* whose lists and time zone its conditions have; NULL: none */
    struct trp_str text; /* of the file that it is written in; empty: it is that of `file` */
    /* Of "ensemble_scheduling": a text for each output whose classes it names; NULL: none. */
    const struct trp_node *labels;
};

/* Reads it: what is written is understood, but compared with nothing yet.
 *   Owns  : one reference for the caller; what is written is copied, the file is retained; alloc
 *           and env are borrowed until the last reference goes.
 *   Thread: control.
 *   Errors: INVALID_ARGUMENT with file:line; TOO_LARGE; OUT_OF_MEMORY. */
trp_status trp_composition_create(const struct trp_alloc *alloc, const struct trp_cook_env *env,
                                  const struct trp_composition_order *order,
                                  struct trp_composition **out_composition, struct trp_error *err);

/* Reads the same once more, as if nobody had checked it.
 *   Owns  : one reference for the caller; as above.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_composition_again(const struct trp_composition *c,
                                 struct trp_composition **out_composition, struct trp_error *err);

/* Compares it with what its models take and give, until that has gone well; loops see it from then
 * on.
 *   Owns  : signatures are copied.
 *   Thread: control.
 *   Errors: INVALID_ARGUMENT with file:line; the lookup's; it is not ready, and says why. */
trp_status trp_composition_check(struct trp_composition *c, const struct trp_recipe_lookup *lookup,
                                 struct trp_error *err);

/* Shows the place of an error of its check, which tells a line of the file that it is written in,
 * as trp_route_source_point(); what it says of itself shows it already.
 *   Owns  : the error is the caller's.
 *   Thread: control.
 *   Errors: none: it stays as it is where there is no such place. */
void trp_composition_point(const struct trp_composition *c, struct trp_error *err);

/* What is wrong with the numbers of rows that its models take, for whoever tells people: each once,
 * also when it was read again.  Its state and explanation say so while it serves, unless there is
 * worse: a name that is gone.
 *   Owns  : borrowed.
 *   Thread: control.
 *   Errors: empty: nothing, or it was taken before. */
struct trp_str trp_composition_take_rows(struct trp_composition *c);

/* Looks once more at how many rows the models of one that serves take: another version may take
 * fewer, or more again.
 *   Owns  : nothing.
 *   Thread: control.
 *   Cost  : a question for each model; no allocation unless there is something else to say.
 *   Errors: none; without memory it is said in plainer words. */
struct trp_composition_rows {
    void *user;
    /* INT64_MAX: any number; 0: nobody can say; below: nobody knows now, and what was known
     * holds. */
    int64_t (*most)(void *user, struct trp_str model, int64_t version);
};
void trp_composition_look_at_rows(struct trp_composition *c,
                                  const struct trp_composition_rows *rows);

/* Whether one that is at work goes on with what `again`, the same one read and checked anew, has
 * found.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: FAILED_PRECONDITION with its place, as trp_recipe_goes_on(); OK when either was not
 *           checked. */
trp_status trp_composition_goes_on(const struct trp_composition *c,
                                   const struct trp_composition *again, struct trp_error *err);

/* What stands for it in a directory, with how it is kept and let go.
 *   Owns  : borrowed, nothing is counted.
 *   Thread: any.
 *   Errors: none. */
struct trp_directory_item trp_composition_item(struct trp_composition *c);

/* As struct trp_directory_item has them; its target, and back.
 *   Owns  : counted; borrowed.
 *   Thread: any.
 *   Errors: NULL: the target is something else. */
void trp_composition_retain(struct trp_target *t);
void trp_composition_release(struct trp_target *t);
struct trp_target *trp_composition_target(struct trp_composition *c);
struct trp_composition *trp_composition_of(struct trp_target *t);

/* Its kind ("ensemble", "cascade", "pipeline"), where it is written ("routes.yaml:3"), what it
 * takes and gives, who learns its weights.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: NULL: it was not checked yet; it learns nothing, or is no composition. */
const char *trp_composition_kind(const struct trp_composition *c);
struct trp_str trp_composition_place(const struct trp_composition *c);
const struct trp_signature *trp_composition_signature(const struct trp_composition *c);
struct trp_learner *trp_composition_learner(const struct trp_target *t);

/* Takes over what another one has counted, if the same is written there.
 *   Owns  : copied; nobody sees `now` yet.
 *   Thread: control.
 *   Errors: none; it begins at 0 where they differ. */
void trp_composition_carry(struct trp_target *now, struct trp_target *before);

/* How often each step of a cascade was needed: *cursor begins at 0.
 *   Units : rows, of requests whose confidence was measured; those that it answered are those that
 *           the next one was not asked about.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: false: there is no further one; it is no cascade, or was not checked yet. */
struct trp_composition_step {
    struct trp_str name;
    uint64_t asked, answered;
};
bool trp_composition_next_step(const struct trp_target *t, uint32_t *cursor,
                               struct trp_composition_step *out);

/* How many answers of an ensemble were made without each member that may be missing: *cursor begins
 * at 0; and how many without any of them.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: false: there is no further one; 0: all must answer, it is no ensemble, or it was not
 *           checked yet. */
struct trp_composition_absence {
    struct trp_str name;
    uint64_t answers;
};
bool trp_composition_next_absence(const struct trp_target *t, uint32_t *cursor,
                                  struct trp_composition_absence *out);
uint64_t trp_composition_partial(const struct trp_target *t);

/* The names that it asks: *cursor begins at 0.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: false: there is no further one. */
bool trp_composition_next_name(const struct trp_composition *c, uint32_t *cursor,
                               struct trp_str *out_name);

/* One of these names, by its place among them, is nobody's any more (UINT32_MAX: all are
 * somebody's): its state and explanation say so while it serves.  True: that is news.
 *   Owns  : nothing.
 *   Thread: control.
 *   Cost  : no allocation but for the first time of each name.
 *   Errors: false, when there is no memory to say it. */
bool trp_composition_set_gone(struct trp_composition *c, uint32_t index);

/* What is said of that; empty: nothing.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
struct trp_str trp_composition_gone(const struct trp_composition *c);

/* The names whose load its conditions ask for: *cursor begins at 0; *out_at (may be NULL) is where.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: false: there is no further one. */
bool trp_composition_next_load(const struct trp_composition *c, uint32_t *cursor,
                               struct trp_str *out_name, const struct trp_node **out_at);

/* Where the name is written that next_name gave last.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
const struct trp_node *trp_composition_name_at(const struct trp_composition *c, uint32_t cursor);

#endif

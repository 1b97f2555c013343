/* life/proposal.h - versions that are about to stand behind a name.
 * Answers "may these take over, or would they break something that is made of them?".
 *
 * Routes and compositions were checked against what their models took when they were read.  So
 * whoever knows them is asked once more before other versions, or a label that moves, change what a
 * name takes.  What it refuses is held back: what serves goes on, the index says why.  Where
 * nothing would go on, or an operator insists, it is taken up all the same, and the log says
 * what it breaks. */
#ifndef TRP_PROPOSAL_H
#define TRP_PROPOSAL_H

#include "model/version.h"
#include "model/version_label.h"

struct trp_member;
struct trp_repo_model;
struct trp_set;

struct trp_proposed_version {
    int64_t number;
    const struct trp_signature *signature; /* NULL: not known */
};

/* All that would stand behind a name. */
struct trp_proposal {
    struct trp_str model;
    const struct trp_proposed_version *versions; /* ascending */
    uint32_t versions_n;
    const struct trp_version_label *labels; /* may name versions that are not there */
    uint32_t labels_n;
};

/* What a number, the key of a label, or 0 would stand for.
 *   Owns  : borrowed from the proposal.
 *   Thread: control.
 *   Errors: false: nothing; *out_signature is NULL where it is not known. */
bool trp_proposal_look(const struct trp_proposal *p, int64_t version,
                       const struct trp_signature **out_signature);

/* What is asked, and by whom: `signature_of` says what each version of `next` takes; labels are
 *   those that hold, or `next_labelling`. held: what serves goes on if it may not. */
struct trp_proposal_ask {
    const struct trp_set *next;
    const struct trp_set *now; /* cold ones; NULL or empty: what the index has */
    const struct trp_signature *(*signature_of)(void *user, const struct trp_version *v);
    void *user;
    bool is_forced, is_held;
};

/* What a version that is not being loaded takes, as the index has it: a `signature_of`.
 *   Owns  : borrowed from the version.
 *   Thread: control.
 *   Errors: NULL: not known. */
const struct trp_signature *trp_proposal_face(void *user, const struct trp_version *v);

/* Asks whoever knows what is made of models (trp_life_opts.fits): only that, or with what follows
 * from it.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: FAILED_PRECONDITION with what would break, counted and logged: hold it back;
 *           OUT_OF_MEMORY.  OK where it may take over, and where it does anyway. */
trp_status trp_proposal_try(const struct trp_member *m, const struct trp_proposal_ask *ask,
                            struct trp_error *err);
trp_status trp_proposal_judge(const struct trp_member *m, const struct trp_proposal_ask *ask,
                              struct trp_error *err);

/* Other files have been found of a model that is not loaded: what stands in the index is kept as
 * `m->before`, until it is known whether these fit.  It is not where they are in its place
 * (`found`), because it could not be loaded again.
 *   Owns  : references of the versions.
 *   Thread: control.
 *   Errors: without memory nothing is kept, and nothing held back. */
void trp_proposal_remember(struct trp_member *m, const struct trp_repo_model *found);

/* What would come back if others were held back, when nothing serves; keep: it does, when it is
 * asked for.
 *   Owns  : borrowed from the member; moves from `before` to `older`.
 *   Thread: control.
 *   Errors: NULL: nothing would. */
const struct trp_set *trp_proposal_now(const struct trp_member *m);
void trp_proposal_keep(struct trp_member *m);

/* What was kept stands in the index again, in place of what does not fit; the next call tries both,
 * as with files that do not load.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: false: no memory; nothing has changed. */
bool trp_proposal_hold(struct trp_member *m, const struct trp_error *why);

#endif

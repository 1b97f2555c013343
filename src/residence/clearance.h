/* residence/clearance.h - room for what is wanted in memory.
 * Answers "who leaves for it?": shows everybody who is in memory to the policy (memory/eviction.h),
 * and has the victims evicted. Private to this room. */
#ifndef TRP_CLEARANCE_H
#define TRP_CLEARANCE_H

#include "residence/residence.h"

struct trp_clearance;

/* Makes the tables that a decision is made on; they grow with the guests and shares.
 *   Owns  : the caller destroys.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_clearance_create(const struct trp_alloc *alloc, struct trp_clearance **out_clearance,
                                struct trp_error *err);
void trp_clearance_destroy(struct trp_clearance *c); /* accepts NULL */

/* What is wanted, and by whom. */
struct trp_clearance_wish {
    const struct trp_guest *newcomer; /* its waiting stays; NULL: a run, or nobody */
    struct trp_amounts amounts;
    struct trp_amounts already; /* is counted twice: not to be made room for */
    const char *for_whom;       /* in the words of an eviction */
    enum trp_metric counted_as;
};

/* What all waiting stays of a guest need together, beside the shares that are in memory.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
struct trp_amounts trp_clearance_need(struct trp_residence *r, const struct trp_guest *newcomer);

/* Decides who leaves so that the wish fits, once all that is leaving has left.  FREE: nobody needs
 * to.
 *   Owns  : *out is the caller's; nobody is evicted yet.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY; else OK, and out->fit tells. */
trp_status trp_clearance_decide(struct trp_residence *r, const struct trp_clearance_wish *wish,
                                struct trp_eviction *out, struct trp_error *err);

/* Writes how every guest stands into its `prospect`, and the order in which the first
 * TRP_RANKED_MAX would go.
 *   Owns  : nothing; nobody is evicted.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_clearance_rank(struct trp_residence *r, struct trp_error *err);

/* Has the victims of the last decision hibernate, or evicted.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: how many of them could not be told to go just now. */
uint32_t trp_clearance_carry_out(struct trp_residence *r, const struct trp_clearance_wish *wish,
                                 const struct trp_eviction *decision);

/* What loads hold for a while besides what they will keep.  The process is measured meanwhile, and
 * what a backend takes in nobody's name is seen then; so while it lasts, as much as that may count
 * twice.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
struct trp_amounts trp_clearance_loading(const struct trp_residence *r);

/* Has those who are asleep evicted whom it costs least to be without, until the others keep to
 * their limit.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none: who cannot go just now is asked at the next look. */
void trp_clearance_thin_out(struct trp_residence *r);

/* What is on its way out.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
struct trp_amounts trp_clearance_leaving(const struct trp_residence *r,
                                         const struct trp_guest *newcomer);

#endif

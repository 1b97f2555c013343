/* route/route_hedge.h - the second request of a rule, for an answer that is late.
 * Answers "who is asked as well, and when?".  When and whether is route/hedge.h's; the rule's first
 * choice is what it knows the latencies of. */
#ifndef TRP_ROUTE_HEDGE_H
#define TRP_ROUTE_HEDGE_H

#include "route/hedge.h"
#include "route/route_plan.h"

struct trp_route_hedge {
    uint32_t goal;      /* + 1, of whom is asked as well; 0: the first choice once more */
    struct trp_str why; /* "route recommend, rule 2: hedge" */
    struct trp_hedge hedge;
};

/* Reads what stands behind `hedge:`; the target that it names was found already (goal + 1; 0:
 * none).
 *   Owns  : lives in the reader's arena.
 *   Thread: control.
 *   Errors: as trp_policy_read_hedge(), with file:line:column; OUT_OF_MEMORY. */
trp_status trp_route_hedge_read(const struct trp_route_reader *reader, const struct trp_node *at,
                                uint32_t goal, struct trp_route_rule *rule, struct trp_error *err);

/* Writes what was decided so far, as a JSON object.
 *   Owns  : copied.
 *   Thread: any.
 *   Errors: see b->failed. */
void trp_route_hedge_write_json(const struct trp_route_plan *p, const struct trp_route_rule *rule,
                                struct trp_buf *b);

#endif

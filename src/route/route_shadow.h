/* route/route_shadow.h - a second model that is asked the same, and whose answer nobody gets.
 * Answers "would that one have said the same?".  It is asked after the first, as work of class
 * batch, and compared with the answer that the client gets (route/agreement.h).  The client
 * waits for nothing of it. */
#ifndef TRP_ROUTE_SHADOW_H
#define TRP_ROUTE_SHADOW_H

#include "route/route_parts.h"

struct trp_route_shadow;

/* Prepares a shadow of a call that is neither fitted nor bound yet; NULL: it has none, there are
 * too many under way, or the model that was chosen keeps the state of its sequence and would be
 * asked twice.
 *   Owns  : lives in the call's arena; the call stays until the shadow has ended.
 *   Thread: loop.
 *   Errors: counted as dropped. */
struct trp_route_shadow *trp_route_shadow_prepare(struct trp_router *r, struct trp_route_rule *rule,
                                                  const struct trp_route_goal *chosen,
                                                  struct trp_call *call);

/* Starts it: after the call itself has been.  And: the call has been answered, or not; its outputs
 * stay where they are until it is given back.
 *   Owns  : borrowed.
 *   Thread: loop.
 *   Errors: counted. */
void trp_route_shadow_start(struct trp_route_shadow *s);
void trp_route_shadow_answered(struct trp_route_shadow *s);

#endif

/* route/route_sign.h - what an answer says of who gave it.
 * Answers "which route, which rule, which model and version?", in one line, which replies carry as
 * troupe_choice:
 *
 *     route recommend, rule night -> popularity/3
 *     route recommend, rule 3: fallback after a timeout -> collaborative/1 */
#ifndef TRP_ROUTE_SIGN_H
#define TRP_ROUTE_SIGN_H

#include "call/call.h"
#include "route/attempts.h"

/* Writes it into a call that was answered by another one, or by itself; `rule` is "route recommend,
 * rule 3", `why` how it came to whoever answered.  A route behind this one has said who that is,
 * but not why this one asked it.
 *   Owns  : copied into the call.
 *   Thread: loop.
 *   Errors: without memory nothing is said. */
void trp_route_sign(struct trp_call *call, const struct trp_call *answered, struct trp_str rule,
                    enum trp_attempts_why why);

/* And of one that was not answered: who failed last; where a route behind this one has said who
 * that is, by that name.
 *   Owns  : copied into the call.
 *   Thread: loop.
 *   Errors: without memory nothing is said. */
void trp_route_sign_failure(struct trp_call *call, struct trp_str rule, struct trp_str target);

#endif

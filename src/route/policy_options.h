/* route/policy_options.h - policies as people write them.
 * Answers "what does `hedge: p95` mean?".  Each key of a rule or route becomes the options of its
 * policy, with the defaults for what is not said; shares are written as 5%, times as 30ms.
 *
 *   breaker: off  or  { errors: 50%, calls: 20, row: 10, window: 10s, pause: 1s, pause_most: 1m,
 *   probes: 3 } budget:  10%  or  { share: 10%, floor: 1, window: 10s }
 *   hedge:   p95  or  20ms  or  { use: TARGET, after: p95, least: 5ms, answers: 100 }
 *   canary:  [1%, 10%, 100%]  or  { use: TARGET, steps: [...], hold: 5m, answers: 100, errors:
 *   1%, slower: 1.25, quantile: p95 } */
#ifndef TRP_POLICY_OPTIONS_H
#define TRP_POLICY_OPTIONS_H

#include "conf/node.h"
#include "route/breaker.h"
#include "route/canary.h"
#include "route/hedge.h"
#include "route/retry_budget.h"

/* Reads "5%" as 5.  Without its sign a number is refused: 0.05 would mean a share to some and a
 * twentieth of a percent to others.
 *   Units : percent, any number.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: false: no such text; *out is then undefined. */
bool trp_policy_parse_percent(struct trp_str text, double *out);

#define TRP_POLICY_WHY_MAX 80u

/* Why a text is no time above 0, to stand behind "expected a time such as 30ms": what is lacking.
 *   Owns  : copied; empty: nothing to say.
 *   Thread: any.
 *   Errors: none. */
void trp_policy_why_no_time(struct trp_str text, char out[TRP_POLICY_WHY_MAX]);

/* Reads one.  *out_on of a breaker is false for `off`.  Steps of a canary lie in the arena; their
 * shares must rise.
 *   Units : ns; shares 0..1.
 *   Owns  : nodes are borrowed.
 *   Thread: control.
 *   Errors: INVALID_ARGUMENT in words without a place, and *out_at is the node that is wrong;
 *           canary also OUT_OF_MEMORY, *out_at NULL.  Options are then undefined. */
trp_status trp_policy_read_breaker(const struct trp_node *n, struct trp_breaker_opts *out,
                                   bool *out_on, const struct trp_node **out_at,
                                   struct trp_error *err);
trp_status trp_policy_read_budget(const struct trp_node *n, struct trp_retry_budget_opts *out,
                                  const struct trp_node **out_at, struct trp_error *err);
trp_status trp_policy_read_hedge(const struct trp_node *n, struct trp_hedge_opts *out,
                                 const struct trp_node **out_at, struct trp_error *err);
trp_status trp_policy_read_canary(struct trp_arena *arena, const struct trp_node *n,
                                  struct trp_canary_opts *out, const struct trp_node **out_at,
                                  struct trp_error *err);

#endif

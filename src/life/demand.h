/* life/demand.h - models that are not loaded, and those that are not meant to stay.
 * Answers "what is said of a model that is not in memory, who waits for it, and when does it come
 * or go by itself?".  The parts of life_parts.h about that; control's, and private to this room. */
#ifndef TRP_DEMAND_H
#define TRP_DEMAND_H

#include "life/life_parts.h"

/* ---- survey.c ---- */

/* Shows the versions of a model that is not loaded at once, and looks into their files in the
 * background, a few models at a time.  ask: the same, with a look at what the repository holds
 * first.
 *   Owns  : takes references of the catalog.
 *   Thread: control.
 *   Errors: logged; the index then lacks inputs and outputs, and the next look finds the model
 *           again. */
void trp_survey_begin(struct trp_member *m, struct trp_catalog *catalog,
                      const struct trp_repo_model *found);
void trp_survey_ask(struct trp_member *m);

/* Answers an order when all that can be known of the model without loading it is in the index, and
 * sees to it now.
 *   Owns  : moves the order back to its owner then.
 *   Thread: control.
 *   Errors: UNAVAILABLE (stopping). */
void trp_survey_await(struct trp_member *m, struct trp_order *order);

/* What was seen, or is still looked at, is not true any more.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_survey_forget(struct trp_member *m);

/* ---- cold.c ---- */

/* Before what is wrong with the files of a model that an operator has unloaded. */
#define TRP_COLD_UNLOADED_WRONG "unloaded; its files are wrong: "

/* What the index says of a version that is not loaded; makes the room for calls that wait for a
 * model.
 *   Owns  : static; the member's.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY. */
const char *trp_cold_reason(const struct trp_member *m);
trp_status trp_cold_open(struct trp_member *m, struct trp_error *err);

/* Nobody waits for it any more, now or later.
 *   Owns  : the room's reference goes.
 *   Thread: control.
 *   Errors: none. */
void trp_cold_close(struct trp_member *m);

/* Shows NEW versions in place of these, with the reason of the moment.
 *   Owns  : borrows `was`.
 *   Thread: control.
 *   Errors: false: no memory; nothing has changed. */
bool trp_cold_show(struct trp_member *m, const struct trp_set *was);

/* An op has ended: whoever waits is sent on to what serves, or told why nothing does.
 *   Owns  : moves calls home.
 *   Thread: control.
 *   Errors: none. */
void trp_cold_ended(struct trp_member *m, const struct trp_op *op, const struct trp_error *err);

/* Nothing is in hand: true when somebody waits and a load was queued for it.
 *   Owns  : moves calls home.
 *   Thread: control.
 *   Errors: none; whoever cannot be helped is told why. */
bool trp_cold_attend(struct trp_member *m);

/* Lets a loaded model go: its versions drain, cold ones stand in their place in the same snapshot,
 * and the next call has it loaded again, whatever its policy.  Requests in flight end well, and
 * those that come meanwhile are served or wait.
 *   Owns  : `why` is copied to the log.
 *   Thread: control.
 *   Errors: false: not now: nothing serves, something is in hand, memory is short, or an order's
 *           own files could not be loaded again. */
bool trp_member_evict(struct trp_member *m, const char *why);

/* The same while an op is in hand, which is the caller's own.
 *   Owns  : `why` is copied to the log.
 *   Thread: control.
 *   Errors: false: as above. */
bool trp_cold_let_go(struct trp_member *m, const char *why);

/* ---- backoff.c ---- */

/* A load failed: counts it and arms the next try; one went well, or everything is different:
 * forgets the failures.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: logged: without memory for a timer it may be tried at once. */
void trp_backoff_failed(struct trp_member *m);
void trp_backoff_reset(struct trp_member *m);

/* Whether a load that failed is tried again without anybody asking; how long its pause still lasts,
 * 0: it is over.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
bool trp_backoff_is_by_itself(const struct trp_member *m);
int64_t trp_backoff_left_ns(const struct trp_member *m);

/* ---- idle.c ---- */

/* Begins to watch whether anybody asks for a model that was loaded; stops.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: logged: without memory for a timer it stays. */
void trp_idle_begin(struct trp_member *m);
void trp_idle_end(struct trp_member *m);
bool trp_idle_is_pinned(const struct trp_member *m); /* never let go by itself */
int64_t
trp_idle_stay_ns(const struct trp_member *m); /* without a request; < 0: as long as there is room */

/* ---- keeping.c ---- */

/* Does what the op in hand orders: unpin, evict.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: FAILED_PRECONDITION (pinned; cannot be loaded again), OUT_OF_MEMORY. */
trp_status trp_keeping_order(struct trp_member *m, struct trp_error *err);

/* From now on it stays as an order to load or to pin it says.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_keeping_pin(struct trp_member *m, const struct trp_order *order);

/* What an op that ends with `err` means for who stays: a pin holds when it went well.  An order for
 * what is hibernated ends with why it could not be woken, unless it was.
 *   Owns  : nothing.
 *   Thread: control; before the next op begins.
 *   Errors: into *err, where it was OK. */
void trp_keeping_ended(struct trp_member *m, const struct trp_op *op, struct trp_error *err);

/* ---- backlog.c ---- */

/* Puts a model behind those that are loaded by themselves; takes it out; one of their loads has
 * ended.
 *   Owns  : borrowed from life.
 *   Thread: control.
 *   Errors: none. */
void trp_backlog_add(struct trp_member *m);
void trp_backlog_drop(struct trp_member *m);
void trp_backlog_ended(struct trp_life *l);

#endif

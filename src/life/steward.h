/* life/steward.h - room in memory for what is loaded.
 * Answers "how does a load get its room, and what is known of a model when it comes to who
 * leaves?".  Control's, and private to this room. */
#ifndef TRP_STEWARD_H
#define TRP_STEWARD_H

#include "life/life_parts.h"

/* Makes the residence, when there is a ledger; life destroys it.
 *   Owns  : life's.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_steward_create(struct trp_life *l, struct trp_error *err);

/* A version of a model is to be loaded: it waits for room with the model's next ask.
 *   Owns  : until trp_stay_end() of its stay; `size` is copied.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_steward_expect(struct trp_member *m, const struct trp_version *v,
                              const struct trp_size *size, struct trp_error *err);

/* Asks for all of them, as urgently as the op in hand wants them.
 *   Owns  : `ask` is borrowed until it is answered.
 *   Thread: control.
 *   Errors: as trp_residence_ask(). */
void trp_steward_ask(struct trp_member *m, struct trp_ask *ask);

/* It is loaded, and takes what was measured.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_steward_settle(const struct trp_version *v, const struct trp_loaded *loaded,
                        int64_t load_ns);

#endif

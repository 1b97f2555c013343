/* life/change.h - one set of versions on its way to READY.
 * Answers "how does a set of versions become READY, all or none?".  Control's, and private to
 * this room. */
#ifndef TRP_CHANGE_H
#define TRP_CHANGE_H

#include "life/life_parts.h"

/* Loads what `found` has and replaces what serves; ends in trp_member_finish().
 *   Owns  : takes a reference of the catalog.
 *   Thread: control.
 *   Errors: by trp_member_finish(). */
void trp_change_begin(struct trp_member *m, struct trp_catalog *catalog,
                      const struct trp_repo_model *found, bool is_forced);

/* Makes the loads in hand give up.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_change_cancel(struct trp_change *c);

#endif

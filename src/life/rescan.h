/* life/rescan.h - what the repository holds now.
 * Answers "what is there now, against what was taken up?".  Control's, and private to this room. */
#ifndef TRP_RESCAN_H
#define TRP_RESCAN_H

#include "life/life_parts.h"

/* Lists the repository, now or as soon as the running listing has ended.  `is_watched`: changes are
 * taken up only when they have settled.
 *   Owns  : `order` (may be NULL) is answered by it.
 *   Thread: control.
 *   Errors: in the order, and logged. */
void trp_rescan_begin(struct trp_life *l, bool is_watched, struct trp_order *order);

#endif

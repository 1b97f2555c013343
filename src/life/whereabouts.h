/* life/whereabouts.h - one model: is it in memory, and if not, why not?
 * Answers "where is it, why, since when, and when does that change?", in words for whoever asks
 * after one model. */
#ifndef TRP_WHEREABOUTS_H
#define TRP_WHEREABOUTS_H

#include "life/life.h"

enum trp_place {
    TRP_PLACE_UNKNOWN,  /* no repository has it */
    TRP_PLACE_OUT,      /* not in memory; nothing is wrong */
    TRP_PLACE_WAITING,  /* for room in memory */
    TRP_PLACE_LOADING,  /* on its way */
    TRP_PLACE_IN,       /* in memory */
    TRP_PLACE_ASLEEP,   /* hibernated, on the way there or back */
    TRP_PLACE_FAILED,   /* it could not be loaded */
    TRP_PLACE_UNLOADED, /* an operator unloaded it */
    TRP_PLACES
};

struct trp_whereabouts {
    enum trp_place place;
    char why[1024];   /* cut where it does not fit */
    int64_t since_ns; /* monotonic; 0: not known */
    int64_t retry_ns; /* FAILED: so long until it is tried again, 0: from now on; < 0: it is not */
};

/* "unknown", "not in memory", "waiting for room", "loading", "in memory", "hibernated", "failed",
 * "unloaded".
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const char *trp_place_name(enum trp_place place);

/* Says where a model is.  How it stands should room be wanted is as of the last
 * trp_presence_rank().
 *   Owns  : copied.
 *   Thread: control.
 *   Errors: none. */
void trp_whereabouts_tell(struct trp_life *l, struct trp_str name, struct trp_whereabouts *out);

#endif

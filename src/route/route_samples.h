/* route/route_samples.h - a few of the last decisions, for the operator.
 * Answers "what has this route decided of late, for whom, and who answered in the end?".  At most
 * ten a second are kept, and the last 32 of them. */
#ifndef TRP_ROUTE_SAMPLES_H
#define TRP_ROUTE_SAMPLES_H

#include "base/atomic.h"
#include "base/buf.h"
#include "base/thread.h"
#include "call/call.h"

#define TRP_ROUTE_SAMPLES_MAX 32u

struct trp_route_sample {
    int64_t wall_ns;
    uint32_t rule, goal; /* goal UINT32_MAX: no rule matched */
    bool is_sticky;
    char id[32], tenant[32]; /* of the request; cut */
    /* How it ended: by whom it was answered and how the route came to him (static), or what it
     * failed of; NULL and OK: it has not ended, or nobody was told. */
    const char *because;
    int32_t code;
    int64_t version;
    char answered_by[64]; /* cut */
};

struct trp_route_samples {
    struct trp_lock lock; /* of what follows but `due_ns` */
    struct trp_counter due_ns;
    struct trp_route_sample items[TRP_ROUTE_SAMPLES_MAX];
    uint64_t n; /* ever */
};

/* Zeroed before; deinit after the last caller.
 *   Owns  : the caller's storage.
 *   Thread: owner.
 *   Errors: none. */
void trp_route_samples_init(struct trp_route_samples *s);
void trp_route_samples_deinit(struct trp_route_samples *s);

/* Whether it is time for one; true for one caller only.
 *   Units : ns, monotonic.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : a load, until it is time.
 *   Errors: none. */
bool trp_route_samples_are_due(struct trp_route_samples *s, int64_t now_ns);

/* Keeps one, and returns its number, from 1; tells how that one ended, where it is still kept;
 * copies the newest first, at most TRP_ROUTE_SAMPLES_MAX, and returns how many.
 *   Owns  : copied; `because` is static.
 *   Thread: any.
 *   Errors: none. */
uint64_t trp_route_samples_add(struct trp_route_samples *s, const struct trp_route_sample *sample);
void trp_route_samples_end(struct trp_route_samples *s, uint64_t number,
                           const struct trp_call *call, const char *because);
uint32_t trp_route_samples_copy(struct trp_route_samples *s, struct trp_route_sample *out);

#endif

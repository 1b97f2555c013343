/* front/front_state.h - what the files of this room share.
 * Answers "what does a loop's front own?". */
#ifndef TRP_FRONT_STATE_H
#define TRP_FRONT_STATE_H

#include "base/low_water.h"
#include "front/exchange.h"
#include "front/front.h"

#define TRP_SCRATCH_BYTES 65536u /* one recv() */

struct trp_front {
    const struct trp_alloc *alloc;
    struct trp_front_opts opts;
    struct trp_loop *loop;
    struct trp_metrics_shard *metrics;
    struct trp_oip_codec codec;
    struct trp_call_pool *calls;
    struct trp_h2_memory h2_memory; /* of all HTTP/2 sessions */
    struct trp_lease *scratch;      /* where sockets are read to before it is known what comes */

    struct trp_conn *conns;     /* all */
    struct trp_conn *dirty;     /* have something to write */
    struct trp_conn *dead;      /* closed; freed at the end of the turn */
    struct trp_counter conns_n; /* read by the acceptor */
    struct trp_exchange *idle;  /* exchanges, chained by `next` */
    struct trp_low_water low;   /* of the idle ones */
    uint32_t exchanges_n;       /* taken */
    struct trp_timer age_timer;
    struct trp_packing *packing_first, *packing_last; /* the line of front/pack.h ... */
    uint64_t packed_bytes;                            /* ... and what this turn has done of it */
    int64_t packed_ns;
    struct trp_hook hook;

    bool is_draining;
    void (*drained)(void *user);
    void *drained_user;
    struct trp_task drained_task;

    char date[40]; /* "Tue, 15 Nov 1994 08:12:31 GMT" */
    size_t date_len;
    int64_t date_until_ns;
};

static inline void trp_front_count(struct trp_front *f, enum trp_metric id, uint64_t n)
{
    trp_metric_add(f->metrics, id, n);
}
static inline int64_t trp_front_now_ns(const struct trp_front *f)
{
    return trp_loop_now_ns(f->loop);
}

/* The value of a Date field, renewed once a second.
 *   Owns  : borrowed from the front.
 *   Thread: loop.
 *   Errors: none. */
struct trp_str trp_front_date(struct trp_front *f);

/* Counts the limit that an error tells of, once: it tells of none then.  Memory that a request
 * could not have is that of limits.request_memory.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_front_count_error(struct trp_front *f, struct trp_error *err);

/* Called when a connection or an exchange has gone: a drain may be over.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_front_check_drained(struct trp_front *f);

#endif

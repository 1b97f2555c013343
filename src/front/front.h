/* front/front.h - listeners and connections.
 * Answers "who is on the line?".  One front per loop; it owns its connections for life.  Every
 * listener speaks HTTP/1.1, HTTP/2 with prior knowledge and gRPC: the first bytes and the
 * content type tell. */
#ifndef TRP_FRONT_H
#define TRP_FRONT_H

#include "base/alloc.h"
#include "base/loop.h"
#include "base/status.h"
#include "call/control.h"
#include "conf/settings.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "obs/trace.h"
#include "tensor/pool.h"

struct trp_front;

struct trp_front_limits {
    uint64_t body_bytes, output_bytes;
    uint32_t header_bytes, headers_n, json_depth, tensors_n, params_n, connections_n, streams_n,
        stream_requests_n, calls_n;
    int64_t idle_ns, header_ns, body_ns;
    uint64_t compress_min_bytes;
    bool half_close_cancels, admin_remote;
    const char *const *cors, *const *admin_hosts; /* lists of texts */
    uint32_t cors_n, admin_hosts_n;
};

struct trp_front_opts {
    uint32_t loop_index;
    struct trp_loop *loop;
    struct trp_handlers handlers;
    struct trp_front_limits limits;
    const struct trp_clock *clock;
    struct trp_log *log;
    struct trp_metrics_shard *metrics;
    struct trp_trace *trace;
    struct trp_pool *pool;            /* body buffers, this loop's */
    const struct trp_alloc *requests; /* the request account */
    struct trp_counter *connections;  /* shared by all fronts: open now */
    int64_t age_ns;                   /* what lay idle for so long is freed; 0: it is kept */
};

/* Makes a loop's front; `trp_front_take` gives it an accepted socket (moved), trp_front_drain()
 * stops keep-alive, sends GOAWAY and calls `done` when the last connection has gone;
 * trp_front_give_up() closes those that are left, which cancels their calls; so does destroy, which
 * then waits for what is out to come back: runs on executors, and control requests, whose handlers
 * must still be at work or have answered.
 *   Owns  : the caller destroys; opts copied, everything in them borrowed.
 *   Thread: startup (create, destroy), loop (take, drain, give_up).
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_front_create(const struct trp_alloc *alloc, const struct trp_front_opts *opts,
                            struct trp_front **out_front, struct trp_error *err);
void trp_front_destroy(struct trp_front *f);
void trp_front_take(struct trp_front *f, int fd, bool is_local);
void trp_front_drain(struct trp_front *f, void (*done)(void *user), void *user);
void trp_front_give_up(struct trp_front *f);
uint32_t trp_front_connections(const struct trp_front *f); /* any thread */

/* Opens a listening socket from "ADDR:PORT", "[ADDR6]:PORT" or "unix:PATH" (a stale socket file is
 * replaced).
 *   Owns  : the caller closes *out_fd.
 *   Thread: startup.
 *   Errors: INVALID_ARGUMENT (spelling), ALREADY_EXISTS (address in use), IO. */
trp_status trp_listen(const char *address, int *out_fd, struct trp_error *err);

/* Accepts on one loop and hands each socket to the front with the fewest connections.
 *   Owns  : the caller destroys; the listeners move in when it succeeds, the arrays are copied, the
 *           rest is borrowed.
 *   Thread: startup; stop on its loop.
 *   Errors: OUT_OF_MEMORY, IO. */
struct trp_acceptor;
struct trp_acceptor_opts {
    struct trp_loop *loop;           /* the one that accepts */
    struct trp_front *const *fronts; /* fronts_n ... */
    struct trp_loop *const *loops;   /* ... and the loop of each */
    uint32_t fronts_n, listeners_n;
    const int *listeners;              /* of trp_listen() */
    struct trp_metrics_shard *metrics; /* that loop's */
    struct trp_log *log;               /* NULL: none */
};
trp_status trp_acceptor_create(const struct trp_alloc *alloc, const struct trp_acceptor_opts *opts,
                               struct trp_acceptor **out_acceptor, struct trp_error *err);
void trp_acceptor_stop(struct trp_acceptor *a); /* closes the listeners */
void trp_acceptor_destroy(struct trp_acceptor *a);

#endif

/* app/server.h - the whole server, put together.
 * Answers "how is it all wired, and in which order does it start and end?".  The only room that
 * knows all others.
 *
 *   main thread = control loop: signals, life, shutdown
 *   loop threads: one front each, a pool of buffers, a registry snapshot
 *   executor threads (exec), loader threads (life) */
#ifndef TRP_SERVER_H
#define TRP_SERVER_H

#include "base/alloc.h"
#include "base/status.h"
#include "conf/settings.h"

struct trp_server;

struct trp_server_opts {
    const struct trp_settings *settings;
    const char *const *repositories; /* folders, in order of precedence; at least one */
    uint32_t repositories_n;
    const char *const *load_at_start; /* names, besides what their configurations say */
    uint32_t load_at_start_n;
    const char *worker_program; /* see backend_host.h; NULL: no model is isolated */
    /* Called on the main thread when the ports are open, with each address; may be NULL. */
    void (*on_listening)(void *user, const char *address);
    void *user;
};

/* Opens the ports and makes everything; no thread runs yet.
 *   Owns  : the caller destroys; opts and settings are borrowed and outlive it.
 *   Thread: startup.
 *   Errors: INVALID_ARGUMENT, ALREADY_EXISTS (address in use), NOT_FOUND (repository),
 *           OUT_OF_MEMORY, IO. */
trp_status trp_server_create(const struct trp_alloc *alloc, const struct trp_server_opts *opts,
                             struct trp_server **out_server, struct trp_error *err);
void trp_server_destroy(struct trp_server *s); /* accepts NULL */

/* Serves until SIGTERM, SIGINT or trp_server_stop(); drains; SIGHUP rescans the repository.
 * Signals of the process must be blocked (trp_server_block_signals()) before any thread starts.
 *   Owns  : nothing.
 *   Thread: startup (the caller's thread becomes the control thread).
 *   Blocks: until stopped.
 *   Errors: IO; DEADLINE_EXCEEDED when requests were still in flight after timeouts.drain. */
trp_status trp_server_run(struct trp_server *s, struct trp_error *err);

/* Asks trp_server_run() to end, as SIGTERM does.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
void trp_server_stop(struct trp_server *s);

/* Blocks the signals that the control loop reads, ignores SIGPIPE and SIGXFSZ.
 *   Owns  : nothing.
 *   Thread: startup, before any thread.
 *   Errors: none. */
void trp_server_block_signals(void);

#endif

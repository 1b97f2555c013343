/* route/load_view.h - how busy models and the server are, as rules see it.
 * Answers "how long is its queue, and how slow has it been?".  A table of functions that app fills
 * in; route reads it on the loops.  The numbers are published some ten times a second by the
 * control thread, and each is a moment old: a rule is no lock. */
#ifndef TRP_LOAD_VIEW_H
#define TRP_LOAD_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

/* A model, a route or a composition.  Of a model all of its versions together, or of "model@label"
 * and "model@3" the one, of clients' requests as well as of routes and compositions. */
struct trp_model_load {
    bool ready;             /* a request may be sent to it: it serves, or is loaded on demand */
    uint32_t queued;        /* requests that wait to be run */
    uint32_t busy;          /* runs that are going on */
    int64_t wait_ns;        /* likely time until a run of a request that came now would begin */
    int64_t p50_ns, p99_ns; /* of requests answered in the window; below 0: there were none */
    double error_ratio;     /* 0..1, of requests answered in the window; 0: there were none */
    uint64_t requests;      /* answered in the window, well or not */
    uint64_t bytes;         /* of memory that it holds: weights and activations */
    bool is_composed;       /* a route or composition: it has no queue, runs and bytes of its own;
                             * whether it is ready is asked for by the function of that name */
};

struct trp_server_load {
    double cpu_ratio;    /* 0..1, of the last second and of the processors that it may use */
    double memory_ratio; /* of memory.budget in use; 0 without a budget */
    uint32_t in_flight;  /* requests that wait or run, of all models */
};

#define TRP_LOAD_VIEW_WINDOW_S \
    10 /* which the figures of a window are of, in whole seconds; up to one more */
#define TRP_LOAD_VIEW_MODELS_MAX \
    4096u /* names that rules may ask for, as long as the server lives */

struct trp_load_view {
    void *user;
    /* From now on the numbers of this name are kept: for each model that a rule names, before it is
     * asked; there need not be such a model.  unwatch: one watch less.
     * Owns: copied.  Thread: control.  Errors: OUT_OF_MEMORY, TOO_LARGE: more than MODELS_MAX. */
    trp_status (*watch)(void *user, struct trp_str name, struct trp_error *err);
    void (*unwatch)(void *user, struct trp_str name);
    /* The numbers of a model that is watched; false, and untouched: it is not, or there is no such
     * model.
     * Thread: loop.  Cost: tens of ns, no allocation, no lock. */
    bool (*model)(void *user, uint32_t loop_index, struct trp_str name, struct trp_model_load *out);
    /* Whether a route or composition could answer now, by the names that this loop sees; NULL: none
     * can.
     * Thread: loop.  Cost: a look-up of each model that it may ask. */
    bool (*ready)(void *user, uint32_t loop_index, struct trp_str name);
    /* Thread: loop.  Cost: a few ns. */
    void (*server)(void *user, struct trp_server_load *out);
};

#endif

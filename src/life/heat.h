/* life/heat.h - mapped models that are asked so often that copies of their weights pay.
 * Answers "how hot is it, what would it gain, and is that worth the bytes?".  Mapping costs
 * nothing, and runs on some models a quarter slower than with weights that were packed for this
 * processor, which are private.  Private to this room. */
#ifndef TRP_HEAT_H
#define TRP_HEAT_H

#include "life/life.h"
#include "life/set.h"

/* Of one open version; zero: nothing is known. */
struct trp_heat {
    uint64_t runs_n; /* at the last look */
    int64_t looked_ns;
    double cores; /* that its runs keep busy; a moving average */
    bool is_tried, is_trying;
    double gain;            /* of a run's time, by packed weights; 0: none */
    uint64_t bytes;         /* that these take */
    bool is_packed;         /* it has them */
    bool has_blobs;         /* its weights are mapped */
    bool stays;             /* could_map has led to nothing once */
    bool could_map;         /* it was opened plainly, and prepared since */
    bool wants_packed;      /* how the next object of the same files is to be opened */
    uint32_t hot_n, cold_n; /* looks in a row that would have it so */
};

/* Whether the time that is saved is worth the memory: a machine of C cores and M bytes gives M/C
 * bytes for a core.  A model that is packed stays so until it is worth less than half.
 *   Units : cores: busy with its runs; gain: 0..1 of that; bytes_per_core: the machine's.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
bool trp_heat_pays(const struct trp_heat *h, double bytes_per_core);

/* Begins to look now and then, when there is a store and store.pack_interval is not 0; stops.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: logged: models stay as they are. */
void trp_heat_start(struct trp_life *l);
void trp_heat_stop(struct trp_life *l);

/* It was opened plainly, and was prepared since.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_heat_prepared(struct trp_version *v);

/* How the version that replaces one of `serving` with the same number is to be opened, and what it
 * knows from the start.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
bool trp_heat_wants_packed(const struct trp_set *serving, int64_t number);
void trp_heat_inherit(const struct trp_set *serving, struct trp_version *v);

#endif

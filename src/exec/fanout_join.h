/* exec/fanout_join.h - the outputs of parts, made one.
 * Answers "where does a part write, and how do all of them become the whole's outputs?".  Where the
 * size of a row is declared, there is one buffer before the run, and each part writes into its
 * place of it; what a backend gives elsewhere is copied there by who has run the part.  Where it
 * is not, or rows are strings, the parts are laid behind one another afterwards. */
#ifndef TRP_FANOUT_JOIN_H
#define TRP_FANOUT_JOIN_H

#include "exec/run.h"
#include "tensor/rows.h"

struct trp_fanout;

/* Some rows of a run. */
struct trp_fanout_part {
    struct trp_call call; /* first: what the backend sees */
    struct trp_fanout *fan;
    uint64_t rows;
    int64_t waited_ns;       /* for a processor */
    bool has_slot, is_short; /* it found too little room */
    bool ran_after;          /* the others, because of that */
};

/* Makes the whole's outputs, as far as their size is known, and shows each part its place in them.
 *   Owns  : what is made is the whole's; clear() frees it.
 *   Thread: executor that holds the whole.
 *   Errors: false: no memory. */
bool trp_fanout_join_prepare(const struct trp_run_place *p, struct trp_call *whole, uint64_t rows,
                             struct trp_fanout_part *parts, uint32_t parts_n);

/* Brings what a part's run has given to its place.
 *   Owns  : what was copied is given back to the backend.
 *   Thread: executor that has run the part.
 *   Errors: none; what does not belong there is found by all(). */
void trp_fanout_join_place(const struct trp_run_place *p, struct trp_fanout_part *part);

/* Makes the outputs of all parts the whole's; adds what they hold to whole->run_peak_bytes.
 *   Owns  : clear() takes what is left of the parts.
 *   Thread: executor that holds the whole.
 *   Errors: false: they are not one row for each row of the inputs; in whole->error:
 *           OUT_OF_MEMORY, TOO_LARGE. */
bool trp_fanout_join_all(const struct trp_run_place *p, struct trp_call *whole,
                         struct trp_fanout_part *parts, uint32_t parts_n);

/* Gives back what the parts hold; with `keeps` the whole has its outputs, else these go as well.
 *   Owns  : frees.
 *   Thread: executor that holds the whole.
 *   Errors: none. */
void trp_fanout_join_clear(struct trp_call *whole, struct trp_fanout_part *parts, uint32_t parts_n,
                           bool keeps);

#endif

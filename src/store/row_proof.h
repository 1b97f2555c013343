/* store/row_proof.h - evidence that a model answers each row by itself.
 * Answers "may requests of strangers share a run?".  Rows are run alone and together, and every
 * output is compared: real models exist whose rows depend on each other, such as those that are
 * quantised while they run by the largest of all rows. */
#ifndef TRP_ROW_PROOF_H
#define TRP_ROW_PROOF_H

#include "backend/backend_host.h"

struct trp_row_proof {
    struct trp_backend_model *model;
    const struct trp_signature *signature; /* of the file */
    const struct troupe_account *account;  /* pays for the runs */
    int64_t rows_max;                      /* of a run; 0: no limit */
    uint64_t memory_bytes_max;             /* of one run; 0: no limit */
    const struct trp_clock *clock;
    const volatile int32_t *cancel; /* raised: its run stops; NULL: none does */
    /* Asked before each run, with the bytes of its inputs; may lower what it may hold.  NULL:
     * nobody is asked.
     *   Errors: CANCELLED: the proof is given up; OVER_BUDGET: there is no room for this run. */
    trp_status (*may_run)(void *user, uint64_t input_bytes, uint64_t *bytes_max,
                          struct trp_error *err);
    void (*ran)(void *user, uint64_t peak_bytes); /* told after each that began; NULL: nobody is */
    void *user;
};

/* Runs rows that differ in scale by a factor of 100 alone and together; what is alike is said by
 * likeness.h.
 *   Shape : the first axis of every input and output is free.
 *   Owns  : borrowed.
 *   Thread: any; the model may be run by others meanwhile.
 *   Blocks: device; some 15 runs of a few rows.
 *   Errors: FAILED_PRECONDITION: they depend on each other, or are not counted by the first axis
 *           (which output, how); UNIMPLEMENTED: nothing can be said, because no generated input is
 *           accepted or the model's own answers differ from run to run; CANCELLED: given up;
 *           OUT_OF_MEMORY: there was too little for any trial, so that nothing is known. */
trp_status trp_row_proof_run(const struct trp_row_proof *p, struct trp_error *err);

#endif

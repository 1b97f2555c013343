/* store/prover.h - evidence that two sessions are one model.
 * Answers "does what was prepared still say what the model says?".  Both are run on generated
 * inputs of several sizes, and every output is compared. */
#ifndef TRP_PROVER_H
#define TRP_PROVER_H

#include "backend/backend_host.h"

struct trp_proof {
    struct trp_backend_model *plain, *prepared;
    const struct trp_signature *signature; /* of the file */
    const struct troupe_account *account;  /* pays for the runs */
    uint64_t memory_bytes_max;             /* of one run; 0: no limit */
    const volatile int32_t *cancel;        /* may be NULL */
};

/* Compares.  Numbers with a fraction may differ by 1e-4 of their size and 1e-5 (more for the half
 * types, whose own steps are larger); all others are equal.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Blocks: device; a few runs of each.
 *   Errors: FAILED_PRECONDITION: an output differs (which, where, by how much); UNIMPLEMENTED:
 *           nothing can be said, because no generated input is accepted or because the model's
 *           own answers differ from run to run; CANCELLED; OUT_OF_MEMORY. */
trp_status trp_prover_compare(const struct trp_proof *p, struct trp_error *err);

/* Which of the two is faster, on inputs whose run takes about as long as runs of this model usually
 * do.
 *   Units : ns of this thread's CPU time, the best of several runs.
 *   Owns  : borrowed; `r` has usual_ns, and gets the others.
 *   Thread: any.
 *   Blocks: device; some seconds at most, for a model whose runs take less.
 *   Errors: as trp_prover_compare(); nothing is known then. */
struct trp_race {
    int64_t usual_ns, plain_ns, prepared_ns;
    uint64_t bytes; /* of the inputs */
};
trp_status trp_prover_race(const struct trp_proof *p, struct trp_race *r, struct trp_error *err);

#endif

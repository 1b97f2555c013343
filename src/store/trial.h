/* store/trial.h - what a mapped model would gain from copies of its weights.
 * Answers "how much faster is it with packed weights, and for how many bytes?". */
#ifndef TRP_TRIAL_H
#define TRP_TRIAL_H

#include "memory/account.h"
#include "store/maker.h"

struct trp_trial {
    int64_t mapped_ns, packed_ns; /* of a run: CPU time */
    uint64_t private_bytes;       /* that the packed one holds more */
};

/* Opens what was prepared in both ways, beside whatever serves, and lets them race.
 *   Units : usual_ns: how long a run usually takes.
 *   Owns  : borrowed; `account` pays meanwhile.
 *   Thread: loader, in the background.
 *   Blocks: disk, device.
 *   Errors: NOT_FOUND, DATA_LOSS (it is not there any more), FAILED_PRECONDITION (they answer
 *           differently), CANCELLED, OUT_OF_MEMORY, and those of the backend. */
trp_status trp_trial_run(const struct trp_making *m, const struct trp_sha256 *key,
                         struct trp_account *account, int64_t usual_ns, struct trp_trial *out,
                         struct trp_error *err);

#endif

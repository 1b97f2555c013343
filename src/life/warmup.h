/* life/warmup.h - a model's first runs, before anybody asks it.
 * Answers "does it run at all, and are its first answers slow?".  Private to this room. */
#ifndef TRP_WARMUP_H
#define TRP_WARMUP_H

#include "backend/backend_host.h"
#include "base/clock.h"
#include "conf/node.h"
#include "exec/admission.h"
#include "memory/account.h"
#include "model/sequence_config.h"

struct trp_warmup {
    struct trp_backend_model *model;
    struct trp_version *version;           /* whose runs these are */
    const struct trp_admission *admission; /* NULL: nobody is asked for their memory */
    const struct trp_clock *clock;
    const struct trp_node *config;    /* the model's tree: `model_warmup` */
    const struct trp_signature *seen; /* what clients send; samples are written in its shapes */
    const struct trp_signature *signature; /* what the backend takes */
    const struct trp_sequence_config
        *sequences;              /* hidden inputs that samples leave out; NULL: none */
    struct trp_str folder;       /* the model's; empty: it is a single file */
    struct trp_account *account; /* inputs and outputs */
    const struct trp_flag *stop; /* raised: give up */
    uint32_t device,
        devices_n; /* of those that the model is open on: its runs' (set here); all, 0: none */
    uint64_t input_bytes_max; /* of one input */
    uint64_t output_bytes_max, run_bytes_max;
};

/* Runs each sample of `model_warmup` as often as its `count` says (0: once), on each device of the
 * model, with the inputs of warmup_input.h.  Each run waits for room in memory as requests do, and
 * teaches what it held.
 *   Owns  : nothing is kept.
 *   Thread: loader.
 *   Blocks: disk, device.
 *   Errors: INVALID_ARGUMENT (an input that the model lacks, or one that is missing; a batch that
 *           it does not take), CANCELLED, OUT_OF_MEMORY, OVER_BUDGET, as
 *           trp_warmup_input_make(), or the backend's; the sample's name in the words. */
trp_status trp_warmup_run(const struct trp_warmup *w, struct trp_error *err);

/* One run on each device of a model whose owner names no samples, with inputs of store/sample.h,
 * one row of them: whoever takes over from a version that serves has all that a first run makes or
 * maps, and its first answer is no slower than the last one of the other.  Where there is no room
 * for it at once it is not made: nobody leaves for a run that no client has asked for.
 *   Owns  : nothing is kept.
 *   Thread: loader.
 *   Blocks: device; whoever wants it ended after a while has `stop` raised (rehearsal.h).
 *   Errors: as trp_warmup_run(); numbers that nobody has chosen say nothing of the model when it
 *           refuses them. */
trp_status trp_warmup_rehearse(const struct trp_warmup *w, struct trp_error *err);

#endif

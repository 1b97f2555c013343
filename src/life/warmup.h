/* life/warmup.h - a model's first runs, before anybody asks it.
 * Answers "does it run at all, and are its first answers slow?".  Private to this room. */
#ifndef TRP_WARMUP_H
#define TRP_WARMUP_H

#include "backend/backend_host.h"
#include "conf/node.h"
#include "memory/account.h"
#include "obs/log.h"
#include "tensor/signature.h"

struct trp_warmup {
    struct trp_backend_model *model;
    const char *id;                        /* "resnet50/3" */
    const struct trp_node *config;         /* the model's tree: `model_warmup` */
    const struct trp_signature *signature; /* what the backend takes */
    struct trp_account *account;           /* inputs and outputs */
    const struct trp_flag *stop;           /* raised: give up */
    uint64_t output_bytes_max;
    struct trp_log *log;
};

/* Runs each sample of `model_warmup` as often as its `count` says: zero_data are zeros (empty strings), random_data are
 * numbers in [0, 1), integers 0 or 1.  A sample with input_data_file is passed over with a warning.
 *   Owns  : nothing is kept.
 *   Thread: loader.
 *   Blocks: device.
 *   Errors: INVALID_ARGUMENT (an input that the model lacks, or one that is missing; sizes), CANCELLED, OUT_OF_MEMORY, or
 *           the backend's; the sample's name in the words. */
trp_status trp_warmup_run(const struct trp_warmup *w, struct trp_error *err);

#endif

/* model/model_io.h - the inputs and outputs of a configuration, held against those of the file.
 * Answers "do the owner and the file speak of the same tensors?".  Used by model/model_config.c
 * only. */
#ifndef TRP_MODEL_IO_H
#define TRP_MODEL_IO_H

#include "conf/node.h"
#include "tensor/signature.h"

/* Completes one side of a configuration.
 *   Shape : `file` is the file's, batch dimension included; with batch_max > 0 clients see [-1,
 *           dims of the configuration], otherwise the dims.  A dimension of -1 on either side
 *           agrees with anything; where only one side fixes it, that size holds.
 *   Owns  : everything lives in `a`; `tree` gets a child `input` or `output`.  *out_ios is what
 *           clients see: all inputs in the file's order; outputs in the configuration's, without
 *           those that it leaves out.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT: which one, what the file says, what the configuration says;
 *           OUT_OF_MEMORY. */
struct trp_model_side {
    const char *kind; /* "input" or "output", the key as well as the word in messages */
    const struct trp_io *file;
    uint32_t file_n;
    const struct trp_node *written; /* a list, or NULL */
    int32_t batch_max;
};
trp_status trp_model_io_complete(struct trp_arena *a, const struct trp_model_side *side,
                                 struct trp_node *tree, const struct trp_io **out_ios,
                                 uint32_t *out_n, struct trp_error *err);

#endif

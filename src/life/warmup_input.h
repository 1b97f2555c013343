/* life/warmup_input.h - one input of a warm-up run.
 * Answers "which bytes does the model get before anybody sends some?".  Private to this room. */
#ifndef TRP_WARMUP_INPUT_H
#define TRP_WARMUP_INPUT_H

#include "life/warmup.h"

/* Makes the tensor that one entry of a sample's `inputs` describes: a row of its dims, repeated
 * `batch` times when the model takes batches.  zero_data (and nothing at all) are zeros, empty
 * strings; random_data are numbers in [0, 1), integers 0 or 1, the same each time; input_data_file
 * is a file in the folder `warmup` of the model's: the row's bytes as they lie in memory, for BYTES
 * each element with its length in four bytes in front.
 *   Shape : [batch, dims...] when seen->batch_max > 0, else dims; must fit `io`, one of w->seen's
 *           inputs.
 *   Owns  : out->data is the caller's, from w->account; NULL after a failure.
 *   Thread: loader.
 *   Blocks: disk.
 *   Errors: INVALID_ARGUMENT (type, dims; a path that leaves the folder; a file that is larger or
 *           smaller than the row), TOO_LARGE (input_bytes_max), OUT_OF_MEMORY; as
 *           trp_fail_errno() for the file. */
trp_status trp_warmup_input_make(const struct trp_warmup *w, const struct trp_node *entry,
                                 const struct trp_io *io, int64_t batch, struct troupe_tensor *out,
                                 struct trp_error *err);

/* What the server fills in for a sequence that has just begun: a state as it is then, a control as
 * it is told with the first request.
 *   Owns  : out->data is of w->account->alloc, the caller frees it.
 *   Thread: loader.
 *   Blocks: never.
 *   Errors: TOO_LARGE, OUT_OF_MEMORY. */
trp_status trp_warmup_input_hidden(const struct trp_warmup *w, uint32_t index, int64_t batch,
                                   struct troupe_tensor *out, struct trp_error *err);

#endif

/* life/initial_states.h - what the sequences of a model begin with.
 * Answers "which bytes are the state of a sequence that has just begun?".  Files of the folder
 * `initial_state` beside the versions, zeros where none is named. */
#ifndef TRP_INITIAL_STATES_H
#define TRP_INITIAL_STATES_H

#include "base/arena.h"
#include "model/sequence_config.h"

/* Fills in the initial states of a configuration.
 *   Units : bytes_max: of one file.
 *   Owns  : they live in `arena`; `folder` is the model's, empty for a single file.
 *   Thread: loader.
 *   Blocks: disk.
 *   Errors: INVALID_ARGUMENT: which state, what the file has and what it needs; as
 *           trp_file_read(), OUT_OF_MEMORY. */
trp_status trp_initial_states_read(struct trp_arena *arena, struct trp_str folder,
                                   uint64_t bytes_max, struct trp_sequence_config *config,
                                   struct trp_error *err);

#endif

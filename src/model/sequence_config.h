/* model/sequence_config.h - what a configuration says of sequences: Triton's `sequence_batching`.
 * Answers "which inputs does the server fill in, and which outputs does it keep for the next
 * request?".  Control inputs and states are part of the file's signature and not of the one that
 * clients see; there they stand behind the visible ones. */
#ifndef TRP_SEQUENCE_CONFIG_H
#define TRP_SEQUENCE_CONFIG_H

#include "conf/node.h"
#include "tensor/signature.h"

/* The numbers of Triton's ModelSequenceBatching.Control.Kind. */
enum trp_sequence_control_kind {
    TRP_SEQUENCE_START,
    TRP_SEQUENCE_READY,
    TRP_SEQUENCE_END,
    TRP_SEQUENCE_CORRID,
    TRP_SEQUENCE_CONTROL_KINDS
};

struct trp_sequence_control {
    enum trp_sequence_control_kind kind;
    uint32_t input;     /* among the hidden inputs, as is that of a state */
    uint32_t values[2]; /* not CORRID: false and true, as elements of the input's type */
};

struct trp_sequence_state {
    uint32_t input, output;
    struct trp_str data_file; /* in the model's folder initial_state; empty: zeros */
    struct troupe_tensor
        initial; /* of a sequence that begins; `data` is filled in by whoever loads the model */
};

struct trp_sequence_config {
    int64_t idle_ns;         /* a sequence may be without a request for so long */
    bool is_oldest;          /* the strategy; else direct */
    uint32_t candidates_max; /* oldest: sequences that have a slot at once */
    const struct trp_sequence_control *controls;
    struct trp_sequence_state *states;
    uint32_t controls_n, states_n;
    /* Of the file, in full shape: inputs first those of the controls, then of the states;
     * outputs of the states. */
    const struct trp_io *inputs, *outputs;
    uint32_t inputs_n, outputs_n;
};

struct trp_sequence_request {
    const struct trp_node *written; /* the node `sequence_batching` */
    const struct trp_node *outputs; /* what was written as `output`; NULL: nothing */
    const struct trp_signature *file;
    int32_t batch_max;
};

/* Reads the node and holds it against the file.  *out_visible is the file's signature without what
 * is hidden; a state's output that is listed as an output as well is visible, too.
 *   Shape : with batch_max > 0 all that is hidden must have a free first dimension in the file.
 *   Owns  : everything lives in `a`.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT with file:line: what is written twice, is not in the file, or has
 *           another type or shape there; OUT_OF_MEMORY. */
trp_status trp_sequence_config_take(struct trp_arena *a, const struct trp_sequence_request *request,
                                    struct trp_sequence_config **out_config,
                                    struct trp_signature *out_visible, struct trp_error *err);

/* Puts what is hidden behind the inputs and outputs of what clients see.
 *   Owns  : everything lives in `a`.
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_sequence_config_hide(struct trp_arena *a, const struct trp_sequence_config *c,
                                    struct trp_signature *seen, struct trp_error *err);

/* Gives the states that no file fills in, and have no data yet, zeros to begin with.
 *   Owns  : they live in `a`.
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_sequence_config_zero(struct trp_arena *a, struct trp_sequence_config *c,
                                    struct trp_error *err);

#endif

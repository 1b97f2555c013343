/* life/labels.h - the names of classes, read from a file.
 * Answers "what is number 3 of this output called?".  For loads, and for what is made of models. */
#ifndef TRP_LABELS_H
#define TRP_LABELS_H

#include "base/arena.h"
#include "conf/node.h"
#include "tensor/signature.h"

/* Reads the `label_filename` of each output in a model's configuration and hangs its lines at that
 * output: one label a line, carriage returns and empty lines at the end dropped.
 *   Owns  : labels live in `arena`; the outputs of *signature are replaced by a copy when there are
 *           any.
 *   Thread: loader.
 *   Blocks: disk.
 *   Errors: INVALID_ARGUMENT (the path leaves `folder`, or there is no folder), NOT_FOUND,
 *           TOO_LARGE (bytes_max,
 *           1,000,000 labels), OUT_OF_MEMORY; which output, in the words. */
trp_status trp_labels_attach(struct trp_arena *arena, struct trp_str folder,
                             const struct trp_node *config, uint64_t bytes_max,
                             struct trp_signature *signature, struct trp_error *err);

/* Hangs the lines of a text at an output, in the same way.
 *   Owns  : the list lives in `arena`; what it names is borrowed from the text.
 *   Thread: any.
 *   Errors: TOO_LARGE (1,000,000 labels), OUT_OF_MEMORY. */
trp_status trp_labels_split(struct trp_arena *arena, struct trp_str text, struct trp_io *io,
                            struct trp_error *err);

#endif

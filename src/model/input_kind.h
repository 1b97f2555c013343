/* model/input_kind.h - what kind of thing a tensor carries.
 * Answers "is this an image, a text, a sound, or just numbers?", by name, element type and shape
 * alone: a guess, and shown as one.  The rule is in docs/models.md. */
#ifndef TRP_INPUT_KIND_H
#define TRP_INPUT_KIND_H

#include "base/str.h"
#include "tensor/signature.h"

enum trp_input_kind {
    TRP_INPUT_TENSOR, /* numbers, and nothing more is known */
    TRP_INPUT_IMAGE,
    TRP_INPUT_TEXT,
    TRP_INPUT_AUDIO,
    TRP_INPUT_KINDS
};

/* "tensor", "image", "text", "audio"; and back, in any case of letters: TRP_INPUT_KINDS when it is
 * none.
 *   Owns  : static; borrowed.
 *   Thread: any.
 *   Errors: none. */
const char *trp_input_kind_name(enum trp_input_kind kind);
enum trp_input_kind trp_input_kind_parse(struct trp_str name);

/* Derives it:
 *   text  : BYTES; or INT32 or INT64 of rank 1 or 2 with a name of token numbers ("input_ids",
 *   "tokens", ...) audio : floats or INT16 of rank 1 to 3 with a name of sound ("audio",
 *   "waveform", ...) image : UINT8 or floats of rank 4, or of rank 3 without a batch, with 1, 3 or
 *           4 channels (rank 3: 3 or 4) in front of or behind two sizes that are open or at least 8
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none: TRP_INPUT_TENSOR when nothing speaks for another. */
enum trp_input_kind trp_input_kind_derive(const struct trp_io *io);

#endif

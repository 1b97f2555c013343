/* model/card.h - what a model is for, in its owner's words.
 * Answers "which task, how good, and which kind of thing goes in?".  The owner says it in the
 * configuration, or whoever made the file in its metadata; where both do, the configuration
 * holds.  Nothing here is guessed: a card without a task has none. */
#ifndef TRP_CARD_H
#define TRP_CARD_H

#include "base/arena.h"
#include "conf/node.h"
#include "model/input_kind.h"
#include "onnx/onnx_reader.h"
#include "tensor/signature.h"

#define TRP_CARD_WORD_MAX 64u   /* bytes of a task, a tag, the name of a quality */
#define TRP_CARD_TEXT_MAX 2000u /* bytes of a description */
#define TRP_CARD_TAGS_MAX 64u

/* How good a model is: a number, and what it counts.  Without a name there is none. */
struct trp_quality {
    struct trp_str name; /* "accuracy" */
    double value;
    bool lower_is_better; /* an error, a loss */
};

struct trp_card_kind { /* what the owner, or the file, says of one input */
    struct trp_str input;
    enum trp_input_kind kind;
};

struct trp_card {
    struct trp_str task, description; /* empty: none */
    const struct trp_str *tags;
    uint32_t tags_n;
    struct trp_quality quality;
    const struct trp_card_kind *kinds;
    uint32_t kinds_n;
};

/* Whether a text can be a task or a tag: 1 to 64 bytes of a-z, 0-9, '-', '_', '.'.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
bool trp_card_is_word(struct trp_str s);

/* Reads `task`, `tags`, `description`, `quality`, `input_kinds` and the `format` of inputs from a
 * configuration in normal form (NULL: nothing was written).
 *   Owns  : everything in *out lives in `a`.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT with file:line, OUT_OF_MEMORY. */
trp_status trp_card_from_config(struct trp_arena *a, const struct trp_node *written,
                                struct trp_card *out, struct trp_error *err);

/* Reads what a file says: the metadata properties `task`, `tags` (with commas), `description`,
 * `quality` ("accuracy=0.97"), else the model's own text as its description, and the denotations of
 * its inputs.  The words that known exporters write for a task become ours ("detect" is
 * "detection").  What is no word or no number is left out: files are written for many readers.
 *   Owns  : everything in *out lives in `a`.
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_card_from_file(struct trp_arena *a, const struct trp_onnx_model *model,
                              struct trp_card *out, struct trp_error *err);

/* Fills what `card` leaves open from `file`.
 *   Owns  : copied into `a`.
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY; *card may hold a part then. */
trp_status trp_card_complete(struct trp_arena *a, const struct trp_card *file,
                             struct trp_card *card, struct trp_error *err);

/* Refuses kinds of inputs that the model does not have.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT: which one, and which there are. */
trp_status trp_card_check(const struct trp_card *card, const struct trp_node *written,
                          const struct trp_signature *signature, struct trp_error *err);

/* What an input carries: as declared, or derived (see input_kind.h), and then *out_is_derived is
 * set.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
enum trp_input_kind trp_card_kind_of(const struct trp_card *card, const struct trp_io *io,
                                     bool *out_is_derived);

#endif

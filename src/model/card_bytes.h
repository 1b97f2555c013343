/* model/card_bytes.h - a card as a row of bytes.
 * Answers "how is it kept where no program runs?".  For files of our own: a protobuf message
 * whose fields are in card_bytes.c. */
#ifndef TRP_CARD_BYTES_H
#define TRP_CARD_BYTES_H

#include "base/buf.h"
#include "model/card.h"

/* Appends it; reads it back.
 *   Owns  : copied; what decode gives lives in `arena`.
 *   Thread: any.
 *   Errors: see b->failed (encode); DATA_LOSS: these are no such bytes, OUT_OF_MEMORY (decode). */
void trp_card_bytes_encode(const struct trp_card *card, struct trp_buf *b);
trp_status trp_card_bytes_decode(struct trp_str bytes, struct trp_arena *arena,
                                 struct trp_card *out, struct trp_error *err);

#endif

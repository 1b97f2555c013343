/* tensor/signature_bytes.h - a signature as a row of bytes.
 * Answers "how is it kept where no program runs?".  For files of our own on this machine: numbers
 * in the machine's order, no compatibility beyond the format's number.  Names of classes are not
 * in it: they belong to the configuration. */
#ifndef TRP_SIGNATURE_BYTES_H
#define TRP_SIGNATURE_BYTES_H

#include "base/buf.h"
#include "tensor/signature.h"

/* Appends it; reads it back.
 *   Owns  : copied; what decode gives lives in `arena`.
 *   Thread: any.
 *   Errors: see b->failed (encode); DATA_LOSS: these are no such bytes, OUT_OF_MEMORY (decode). */
void trp_signature_bytes_encode(const struct trp_signature *s, struct trp_buf *b);
trp_status trp_signature_bytes_decode(struct trp_str bytes, struct trp_arena *arena,
                                      struct trp_signature *out, struct trp_error *err);

#endif

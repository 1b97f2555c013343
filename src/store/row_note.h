/* store/row_note.h - whether a model answers each row by itself, written down.
 * Answers "was that found out before?".
 *
 *   STORE/rows/KEY     under the key that its prepared form has, or would have (store_key.h): yes, or why not
 *
 * Anything that is not exactly right is as good as nothing: it is found out again.  So notes may
 * be removed at any time. */
#ifndef TRP_ROW_NOTE_H
#define TRP_ROW_NOTE_H

#include "base/sha256.h"
#include "store/store.h"

#define TRP_ROW_NOTE_MAX 256

/* Recalls; writes down.  `why` is empty for a model whose rows are independent.
 *   Owns  : copied.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: get: false: it is not known.  put: none: what cannot be written is found out again. */
bool trp_row_note_get(const struct trp_store *s, const struct trp_sha256 *key,
                      char out_why[TRP_ROW_NOTE_MAX]);
void trp_row_note_put(struct trp_store *s, const struct trp_sha256 *key, const char *why);

#endif

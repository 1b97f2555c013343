/* store/known_signature.h - what a model file takes and gives, and what it says it is for, written
 * down.
 * Answers "what did this file declare when it was read last?".  Ten thousand models that nobody has
 * loaded still say what they take; with this, a server reads each of their files once, and not once
 * a start.
 *
 *   STORE/signatures/PATH-HASH   for a file of this path, size, time and inode
 *
 * Anything that is not exactly right is as good as nothing: the file is read again.  So they are
 * written without waiting for the disk, and may be removed at any time. */
#ifndef TRP_KNOWN_SIGNATURE_H
#define TRP_KNOWN_SIGNATURE_H

#include "base/file.h"
#include "model/card.h"
#include "store/store.h"
#include "tensor/signature.h"

/* Recalls the signature of a model file, or notes how the file is now (`out_stat`), before it is
 * read.
 *   Owns  : what is recalled lives in `arena`.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: false: it is not known; out_stat->kind is 'f' if there is a file to be read. */
bool trp_known_signature_get(const struct trp_store *s, const char *path, struct trp_arena *arena,
                             struct trp_file_stat *out_stat, struct trp_signature *out,
                             struct trp_card *out_card);

/* Writes down what was read from a file that is still as `stat` says.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: none: what cannot be written is read again. */
void trp_known_signature_put(struct trp_store *s, const char *path,
                             const struct trp_file_stat *stat,
                             const struct trp_signature *signature, const struct trp_card *card);

#endif

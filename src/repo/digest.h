/* repo/digest.h - one number for many facts.
 * Answers "is this still the same?".  Not for secrets: it tells changed files apart, nobody is
 * kept from forging one. */
#ifndef TRP_DIGEST_H
#define TRP_DIGEST_H

#include "base/file.h"
#include "base/str.h"

/* Mix a fact into a digest (begin with any number): a number, a text, a file's name, size, time and
 * inode.  Order counts.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
uint64_t trp_digest_add(uint64_t digest, uint64_t value);
uint64_t trp_digest_add_str(uint64_t digest, struct trp_str s);
uint64_t trp_digest_add_file(uint64_t digest, const char *name, const struct trp_file_stat *stat);

#endif

/* route/key_set.h - a set of keys from a file.
 * Answers "is this one of them?", for up to ten million, in the same time for any number.  The file
 * is read whole, and beside it lies a table with some 12 bytes for each key: where in the text it
 * is, and a part of its hash, so that every answer is exact and costs two places of memory.  A
 * set is constant and counted; one that follows its file is a key_list. */
#ifndef TRP_KEY_SET_H
#define TRP_KEY_SET_H

#include "base/alloc.h"
#include "base/file.h"
#include "base/status.h"
#include "base/str.h"

struct trp_key_set;

struct trp_key_set_limits { /* 0: the largest that can be: 2^30 keys, 4 GiB less one */
    uint64_t keys_max, bytes_max;
};

/* Reads a file with one key a line.  Blanks around a key, empty lines, a carriage return at a
 * line's end and a byte order mark are left out, and so are lines that begin with `#`; a key that
 * stands there twice counts once.
 *   Units : bytes of the file.
 *   Owns  : one reference for the caller; `alloc` is borrowed as long as the set lives.
 *   Thread: any but a loop.
 *   Blocks: disk; some 100 ns a key.
 *   Errors: as trp_file_read(); TOO_LARGE: more keys or bytes than the limits. */
trp_status trp_key_set_load(const struct trp_alloc *alloc, const char *path,
                            const struct trp_key_set_limits *limits, struct trp_key_set **out_set,
                            struct trp_error *err);

/* Owners; the last one destroys.
 *   Owns  : counted; unref accepts NULL.
 *   Thread: any.
 *   Errors: none. */
void trp_key_set_ref(struct trp_key_set *set);
void trp_key_set_unref(struct trp_key_set *set);

/* Tells whether a key is in the set, byte for byte.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Cost  : O(1), no allocation; two misses of the cache when the set is large.
 *   Errors: none. */
bool trp_key_set_has(const struct trp_key_set *set, struct trp_str key);

/* How many keys it has, and how many bytes it takes; the file that it was read from, as it was
 * then.
 *   Units : bytes.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
uint64_t trp_key_set_count(const struct trp_key_set *set);
uint64_t trp_key_set_bytes(const struct trp_key_set *set);
const struct trp_file_stat *trp_key_set_source(const struct trp_key_set *set);

#endif

/* wire/query.h - what stands behind the question mark.
 * Answers "which parameters does this request line have?", for operations that know what they take:
 * a name that they do not know is refused with the nearest one, so that a misspelt filter does
 * not find everything. */
#ifndef TRP_QUERY_H
#define TRP_QUERY_H

#include "base/arena.h"
#include "base/status.h"
#include "conf/node.h"

#define TRP_QUERY_VALUES_MAX 64u

struct trp_query_key {
    const char *name;
    bool is_many; /* may come several times; the tree then has a list */
};

/* Adds each parameter to `root`, as a text, percent-decoded ('+' is a blank); a value that is empty
 * is as good as none.
 *   Owns  : texts live in `a`.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT: an unknown name, one that comes twice, bad percent-encoding, not
 *           UTF-8 or a control character, more than TRP_QUERY_VALUES_MAX values; OUT_OF_MEMORY. */
trp_status trp_query_read(struct trp_arena *a, struct trp_str query,
                          const struct trp_query_key *keys, uint32_t keys_n, struct trp_node *root,
                          struct trp_error *err);

#endif

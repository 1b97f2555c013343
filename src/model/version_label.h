/* model/version_label.h - names for versions, such as `stable` and `canary`.
 * Answers "which version does this label mean?".  A request names a label wherever it may name a
 * version.  So that nothing between the wire and the registry has to carry a second field, a label
 * travels as a number below zero that is made of its name; the registry finds the label with
 * that number.  (Two names of one model share a number once in 2^63 pairs; such a pair is
 * refused.) */
#ifndef TRP_VERSION_LABEL_H
#define TRP_VERSION_LABEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define TRP_VERSION_LABELS_MAX 64u /* of one model */

struct trp_version_label {
    struct trp_str name;
    int64_t version;
};

/* True for a letter or `_`, then letters, digits, `_`, `-` and `.`, at most 64 in all: never what
 * could be a number.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
bool trp_version_label_is_name(struct trp_str text);

/* The number below zero for a name.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
int64_t trp_version_label_key(struct trp_str name);

/* Reads what a client wrote where a version stands: a number from 1, or a label, which gives its
 * key.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: false when it is neither; *out is untouched. */
bool trp_version_label_parse(struct trp_str text, int64_t *out);

/* The label of a key; NULL: none has it.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
const struct trp_version_label *trp_version_label_find(const struct trp_version_label *labels,
                                                       uint32_t n, int64_t key);

#endif

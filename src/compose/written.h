/* compose/written.h - what somebody wrote of an ensemble, a cascade or a pipeline, value by value.
 * Answers "is that what may stand here?", with file:line and the name that may have been meant. */
#ifndef TRP_WRITTEN_H
#define TRP_WRITTEN_H

#include "conf/node.h"

/* Checks that a node is a map, and has no other keys than these.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT with file:line, and the nearest known key. */
trp_status trp_written_keys(const struct trp_node *map, const char *const *known, uint32_t known_n,
                            struct trp_error *err);

/* Refuses a word where a list is meant: "{ steps: a, b }" has a step 'a' and a key 'b', so this is
 * asked before the keys are.  `expected` says what may stand there, and shows it.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT with file:line: it is a word. */
trp_status trp_written_brackets(const struct trp_node *map, const char *key, const char *expected,
                                struct trp_error *err);

/* Read a value; what is not written leaves *io as it is.  scalar: of a node itself.
 *   Units : low <= number <= high; ns.
 *   Owns  : texts are borrowed from the tree.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT with file:line: of another kind, or out of range. */
trp_status trp_written_scalar(const struct trp_node *n, struct trp_str *out, struct trp_error *err);
trp_status trp_written_text(const struct trp_node *map, const char *key, struct trp_str *io,
                            struct trp_error *err);
trp_status trp_written_number(const struct trp_node *map, const char *key, double low, double high,
                              double *io, struct trp_error *err);
trp_status trp_written_whole(const struct trp_node *map, const char *key, int64_t low, int64_t high,
                             int64_t *io, struct trp_error *err);
trp_status trp_written_bool(const struct trp_node *map, const char *key, bool *io,
                            struct trp_error *err);
trp_status trp_written_duration(const struct trp_node *map, const char *key, int64_t *io,
                                struct trp_error *err);

/* Reads a number, or true or false, that stands alone.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: false: it is none. */
bool trp_written_is_number(const struct trp_node *n, double *out);
bool trp_written_is_bool(const struct trp_node *n, bool *out);

#endif

/* conf/node_written.h - where a part of a text stands in the file that it was read from.
 * Answers "in which line of a rule of several lines is the mistake?".  YAML joins lines, takes
 * indentation away and replaces what is escaped; what is left does not say where it stood. */
#ifndef TRP_NODE_WRITTEN_H
#define TRP_NODE_WRITTEN_H

#include "conf/node.h"

/* How a text stands in its file, quotes and all. */
struct trp_node_written {
    struct trp_str text;
    uint32_t line, column; /* of its first character, from 1 */
};

/* Where a byte of a scalar's text stands.
 *   Units : lines, and columns in characters, from 1.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Cost  : O(bytes before it).
 *   Errors: false, and the outputs are untouched: the text stands there as it is, or its reader kept
 *           nothing of that. */
bool trp_node_written_at(const struct trp_node *n, size_t at, uint32_t *out_line,
                         uint32_t *out_column);

#endif

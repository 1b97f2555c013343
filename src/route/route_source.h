/* route/route_source.h - where something is written in a file of routes, shown to whoever wrote it.
 * Answers "which word is wrong, and what was probably meant?": file:line:column, the line, a
 * caret under the word. */
#ifndef TRP_ROUTE_SOURCE_H
#define TRP_ROUTE_SOURCE_H

#include "conf/node.h"

struct trp_route_source {
    const char *file;    /* as messages call it */
    struct trp_str text; /* all of it; empty: only the line is told */
};

/* Fails at a node; the caret stands under `focus` (a key or value as it is written; empty: the
 * node's own text), or under the first word of the line where that is not found.
 *   Owns  : as trp_fail().
 *   Thread: control.
 *   Errors: returns INVALID_ARGUMENT. */
trp_status trp_route_source_fail(const struct trp_route_source *s, const struct trp_node *at,
                                 struct trp_str focus, struct trp_error *err, const char *format,
                                 ...) TRP_PRINTF(5, 6);

/* Shows the place of an error that tells the file and a line only ("routes.yaml:3: 'a' is ..."):
 * the column, the line, and a caret under the first quoted word of the message that stands in it.
 *   Owns  : the error is the caller's; left as it is where its place is not one of this file, or is
 *           told already.
 *   Thread: control.
 *   Errors: none. */
void trp_route_source_point(const struct trp_route_source *s, struct trp_error *err);

/* The line of a node and the column, from 1, at which `focus` stands in it (0: it does not).
 *   Owns  : borrowed from the text.
 *   Thread: any.
 *   Errors: an empty line: there is no text. */
struct trp_str trp_route_source_line(const struct trp_route_source *s, uint32_t line,
                                     struct trp_str focus, uint32_t *out_column);

/* Whichever of `known` is nearest to a word, if any is near; appends "; did you mean 'x'?" to a
 * text.
 *   Owns  : `out` is the caller's.
 *   Thread: any.
 *   Errors: none; empty when nothing is near. */
#define TRP_ROUTE_HINT_MAX 128
void trp_route_hint(char out[TRP_ROUTE_HINT_MAX], struct trp_str word, const struct trp_str *known,
                    uint32_t known_n);

#endif

/* cli/explain_print.h - a decision, for people.
 * Answers "which rule or which steps, and why?", from the server's JSON. */
#ifndef TRP_EXPLAIN_PRINT_H
#define TRP_EXPLAIN_PRINT_H

#include "base/json.h"
#include "cli/cli.h"

/* Prints what POST /api/routes/R/explain has answered: of a route each rule with its value and the
 * values of its parts, then what was chosen; of a composition its steps, and which of them are
 * done; then the same of what stands behind.  `takes` says which inputs it has, where the request
 * lacks one; NULL: it is not known.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT: it is no such answer. */
trp_status cli_print_explained(struct trp_json_parser *parser, struct trp_str body,
                               const char *takes, struct trp_error *err);

#endif

/* cli/answer_print.h - the answer of an inference as a table.
 * Answers "what did the model say?". */
#ifndef TRP_ANSWER_PRINT_H
#define TRP_ANSWER_PRINT_H

#include "base/json.h"
#include "cli/cli.h"

/* Prints name, type, shape and the first values of each output.
 *   Owns  : borrowed; the parser is used for the reply.
 *   Thread: owner.
 *   Errors: those of trp_json_parse(). */
trp_status cli_print_answer(struct cli *cli, struct trp_json_parser *parser, struct trp_str reply,
                            struct trp_error *err);

#endif

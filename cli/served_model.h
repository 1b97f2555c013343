/* cli/served_model.h - one model as a running server has it.
 * Answers "what does the server say of this name?", in the shape in which `troupe inspect FILE`
 * tells of a file. */
#ifndef TRP_SERVED_MODEL_H
#define TRP_SERVED_MODEL_H

#include "cli/cli.h"

/* Prints what the server knows: versions and states, inputs and outputs, configuration; JSON with
 * --json.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Blocks: until the server has answered.
 *   Errors: returns the exit code; CLI_FAILED when no version serves and one failed. */
int cli_print_served_model(struct cli *cli, const char *name);

#endif

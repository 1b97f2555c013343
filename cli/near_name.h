/* cli/near_name.h - a name that a server does not know, and the one that was meant.
 * Answers "which name of this server did they mean?". */
#ifndef TRP_NEAR_NAME_H
#define TRP_NEAR_NAME_H

#include "cli/cli.h"

/* As cli_fail_asking(); where the server knows no such name, the hint is the nearest one that it
 * has: a model, a route, a composition.  Of NAME@VERSION it says how a version is asked for.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Blocks: as cli_ask(), twice, after a NOT_FOUND only.
 *   Errors: returns the exit code of `err`; what goes wrong meanwhile costs the hint only. */
int cli_fail_of_name(struct cli *cli, const char *name, const struct trp_error *err);

#endif

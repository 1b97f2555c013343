/* cli/composed.h - the names of a server that are no models: routes, ensembles, cascades,
 * pipelines.
 * Answers "which of them are there, and what is behind one?". */
#ifndef TRP_COMPOSED_H
#define TRP_COMPOSED_H

#include "base/json.h"
#include "cli/cli.h"

struct cli_composed {
    struct trp_json_parser *parser;
    struct trp_str body;     /* the server's JSON; empty: it knows nothing of routes */
    struct trp_json_iter it; /* over the names */
    bool has_any;
    bool is_read;           /* the server has read them once: this is all */
    struct trp_str trouble; /* why the newest files are not in force; empty: they are */
};

/* Asks for all of them, or for one (`name` not NULL); a server that does not know routes, or the
 * name, has none.
 *   Owns  : the reply lives in cli->arena, the parser is freed by cli_composed_free(), which
 *           accepts a failed one.
 *   Thread: owner.
 *   Blocks: as cli_ask().
 *   Errors: as cli_ask(), but NOT_FOUND. */
trp_status cli_composed_ask(struct cli *cli, const char *name, struct cli_composed *out,
                            struct trp_error *err);
void cli_composed_free(struct cli_composed *c);

/* Prints what is behind one name, for people or with --json.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Blocks: as cli_ask().
 *   Errors: false: the server has no such name besides models, and nothing was printed; else
 *           *out_code is the exit code. */
bool cli_print_composed(struct cli *cli, const char *name, int *out_code);

#endif

/* cli/reply_fields.h - what people read in a reply of the server.
 * Answers "what does this part of the reply say, in a cell of a table?". */
#ifndef TRP_REPLY_FIELDS_H
#define TRP_REPLY_FIELDS_H

#include "base/buf.h"
#include "base/json.h"
#include "cli/cli.h"

/* A text, a whole number, a shape as "[-1,64]"; "" for a text that is not there, "-" for the
 * others.
 *   Owns  : the text is borrowed from the parser; the others live in the command's arena.
 *   Thread: owner.
 *   Errors: none. */
struct trp_str cli_field_text(struct trp_json object, const char *key);
struct trp_str cli_field_number(struct cli *cli, struct trp_json object, const char *key);
struct trp_str cli_field_shape(struct cli *cli, struct trp_json object);

/* Whether it says false; what is not there, or no boolean, does not.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
bool cli_field_is_false(struct trp_json object, const char *key);

/* Asks for `path`; prints the reply as it is with --json, otherwise as `print` does.
 *   Owns  : `root` is borrowed for the call.
 *   Thread: owner.
 *   Blocks: until the server has answered.
 *   Errors: returns the exit code. */
int cli_show_reply(struct cli *cli, const char *path,
                   int (*print)(struct cli *cli, struct trp_json root, struct trp_error *err));

#endif

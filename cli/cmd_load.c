/* cli/cmd_load.c - troupe load, unload, pin, unpin, evict: one request each. */
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/near_name.h"

#define LOAD_TIMEOUT_MS (15 * 60 * 1000) /* longer than the server's own timeouts.load */

static const struct cli_option options[] = { CLI_SERVER_OPTION };

static const struct cli_option load_options[] = {
    CLI_SERVER_OPTION,
    { "force", 'f', CLI_FLAG, NULL, "though it breaks routes or compositions that ask the model" },
};

static int ask_with(struct cli *cli, const char *path_format, struct trp_str body, const char *done)
{
    struct trp_error err = { 0 };
    struct cli_reply reply;
    const char *model = cli->operands[0];
    const struct cli_request request = { .method = "POST",
                                         .path = cli_path(cli, path_format, model),
                                         .body = body,
                                         .json_bytes = -1,
                                         .timeout_ms = LOAD_TIMEOUT_MS };
    if (trp_failed(cli_ask(cli, &request, &reply, &err)))
        return cli_fail_of_name(cli, model, &err);
    printf("%s %s\n", model, done);
    return CLI_OK;
}

static int ask(struct cli *cli, const char *path_format, const char *done)
{
    return ask_with(cli, path_format, TRP_STR_LIT("{}"), done);
}

static int run_load(struct cli *cli)
{
    const struct trp_str body = cli_flag(cli, "force")
                                    ? TRP_STR_LIT("{\"parameters\":{\"force\":true}}")
                                    : TRP_STR_LIT("{}");
    return ask_with(cli, "/v2/repository/models/%s/load", body, "is loaded");
}

/* The server takes the unloading of a name that it never heard for done; whoever typed it wants
 * to know. */
static int run_unload(struct cli *cli)
{
    struct trp_error err = { 0 };
    struct cli_reply reply;
    const struct cli_request request = { .method = "GET",
                                         .path =
                                             cli_path(cli, "/v2/models/%s/ready", cli->operands[0]),
                                         .json_bytes = -1 };
    const trp_status st = cli_ask(cli, &request, &reply, &err);
    if (st.code == TRP_NOT_FOUND || st.code == TRP_UNAVAILABLE)
        return cli_fail_of_name(cli, cli->operands[0], &err);
    return ask(cli, "/v2/repository/models/%s/unload", "is unloaded");
}

static int run_pin(struct cli *cli)
{
    return ask(cli, "/api/models/%s/pin", "is loaded and pinned");
}

static int run_unpin(struct cli *cli)
{
    return ask(cli, "/api/models/%s/unpin", "is not pinned");
}

static int run_evict(struct cli *cli)
{
    return ask(cli, "/api/models/%s/evict",
               "is not in memory; the next request loads it, unless it was unloaded by name");
}

const struct cli_command cmd_load = {
    .name = "load",
    .operands = "MODEL",
    .help = "load a model, or load it again when its files changed",
    .details = "Returns when the model is ready, or has failed: then it says why and ends with 1, "
               "and what was\n"
               "served before goes on.  A folder that is new in the repository is found as well.\n"
               "A version is held back that a route or composition would not work with; --force "
               "takes it up.",
    .example = "troupe load digits_cnn",
    .options = load_options,
    .options_n = ARRAY_LEN(load_options),
    .operands_min = 1,
    .operands_max = 1,
    .run = run_load,
};

const struct cli_command cmd_unload = {
    .name = "unload",
    .operands = "MODEL",
    .help = "unload a model; requests in flight are answered first",
    .details =
        "It stays in `troupe ls` as UNLOADED until it is loaded again or its files are gone.",
    .example = "troupe unload digits_cnn",
    .options = options,
    .options_n = ARRAY_LEN(options),
    .operands_min = 1,
    .operands_max = 1,
    .run = run_unload,
};

const struct cli_command cmd_pin = {
    .name = "pin",
    .operands = "MODEL",
    .help = "load a model, unless it is, and keep it in memory",
    .details =
        "It is not let go by itself any more, whatever room is wanted, until it is unpinned or "
        "unloaded.",
    .example = "troupe pin digits_cnn",
    .options = options,
    .options_n = ARRAY_LEN(options),
    .operands_min = 1,
    .operands_max = 1,
    .run = run_pin,
};

const struct cli_command cmd_unpin = {
    .name = "unpin",
    .operands = "MODEL",
    .help = "let a model go again when its room is wanted",
    .details = "Also one that its configuration pins, until it is pinned or loaded again.",
    .example = "troupe unpin digits_cnn",
    .options = options,
    .options_n = ARRAY_LEN(options),
    .operands_min = 1,
    .operands_max = 1,
    .run = run_unpin,
};

const struct cli_command cmd_evict = {
    .name = "evict",
    .operands = "MODEL",
    .help = "let a model go from memory; the next request has it loaded again",
    .details = "Requests in flight are answered.  A pinned model is refused: unpin it first.",
    .example = "troupe evict digits_cnn",
    .options = options,
    .options_n = ARRAY_LEN(options),
    .operands_min = 1,
    .operands_max = 1,
    .run = run_evict,
};

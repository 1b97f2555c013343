/* cli/cmd_version.c - troupe version. */
#include "cli/commands.h"

static const struct cli_option options[] = {
    { "json", 'j', CLI_FLAG, NULL, "print JSON" },
};

static int run(struct cli *cli)
{
    if (cli_flag(cli, "json"))
        printf("{\"version\": \"%s\", \"compiler\": \"%s\"}\n", TRP_VERSION, __VERSION__);
    else
        printf("troupe %s (compiler %s)\n", TRP_VERSION, __VERSION__);
    return CLI_OK;
}

const struct cli_command cmd_version = {
    .name = "version",
    .operands = "",
    .help = "print the version",
    .options = options,
    .options_n = ARRAY_LEN(options),
    .run = run,
};

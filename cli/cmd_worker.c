/* cli/cmd_worker.c - troupe worker: a process that runs one model for a server. */
#include "backend/worker_frame.h"
#include "backend/worker_main.h"
#include "cli/commands.h"

static int run(struct cli *cli)
{
    (void)cli;
    return trp_worker_main_run(TRP_WORKER_FD) == 0 ? CLI_OK : CLI_USAGE;
}

const struct cli_command cmd_worker = {
    .name = "worker",
    .operands = "",
    .help = "what a server starts itself as, to run one model in a process of its own",
    .details = "Nobody else starts it: see `isolation` in docs/models.md.",
    .run = run,
};

/* cli/commands.h - every sub-command; each stands in its own cmd_*.c. */
#ifndef TRP_COMMANDS_H
#define TRP_COMMANDS_H

#include "cli/cli.h"

extern const struct cli_command cmd_serve, cmd_ls, cmd_inspect, cmd_infer, cmd_load, cmd_unload,
    cmd_ps, cmd_label, cmd_pin, cmd_unpin, cmd_evict, cmd_prepare, cmd_store, cmd_config,
    cmd_version, cmd_simulate, cmd_scale, cmd_worker, cmd_explain, cmd_calibrate;

#endif

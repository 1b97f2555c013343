/* cli/settings_options.h - options that `serve` and `config` share: which settings, from where.
 * Answers "what does the command line say about the server?". */
#ifndef TRP_SETTINGS_OPTIONS_H
#define TRP_SETTINGS_OPTIONS_H

#include "cli/cli.h"
#include "conf/settings.h"

#define CLI_SETTINGS_OPTIONS                                                      \
    { "listen", 'l', CLI_LIST, "ADDR:PORT",                                       \
      "listen here; any number of times; ADDR:PORT, [ADDR6]:PORT or unix:PATH" }, \
        { "memory-budget", 0, CLI_TEXT, "BYTES|PERCENT",                          \
          "most memory, such as 4GiB or 50%; the setting memory.budget" },        \
        CLI_SET_OPTIONS

/* Of commands that need settings and serve nobody. */
#define CLI_SET_OPTIONS                                                                          \
    { "set", 0, CLI_LIST, "KEY=VALUE",                                                           \
      "set any key of troupe.yaml; troupe config --explain lists them" },                        \
    {                                                                                            \
        "config", 'c', CLI_TEXT, "FILE",                                                         \
            "the server's configuration; default: troupe.yaml in the repository, or here where " \
            "none is named"                                                                      \
    }

/* Builds the settings: defaults, then the file, then the environment, then the command line.
 *   Owns  : the caller destroys *out_settings.
 *   Thread: owner.
 *   Errors: those of conf/settings.h. */
trp_status cli_settings(const struct cli *cli, const char *repository,
                        struct trp_settings **out_settings, struct trp_error *err);

/* Checks that a repository is a folder: one that is not there is a slip, not a repository that is
 * empty for now.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Blocks: disk.
 *   Errors: NOT_FOUND, INVALID_ARGUMENT. */
trp_status cli_check_repository(const char *path, struct trp_error *err);

/* What an unknown option most likely means: an option of Triton's that is spelt otherwise here, or
 * a key of troupe.yaml.
 *   Owns  : static, or in the command's arena.
 *   Thread: owner.
 *   Errors: NULL: nobody knows. */
const char *cli_advise_setting(struct cli *cli, struct trp_str option);

/* Fails for the reader; a value that is not understood is a wrong command line (or file).
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Errors: returns the exit code. */
int cli_fail_settings(const struct cli *cli, const struct trp_error *err);

#endif

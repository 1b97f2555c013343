/* cli/main.c - the `troupe` command: finds the sub-command, reads its options, runs it. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"

const struct cli_command *const cli_commands[] = {
    &cmd_serve,   &cmd_ls,        &cmd_ps,     &cmd_inspect, &cmd_infer,
    &cmd_explain, &cmd_calibrate, &cmd_load,   &cmd_unload,  &cmd_pin,
    &cmd_unpin,   &cmd_evict,     &cmd_label,  &cmd_scale,   &cmd_prepare,
    &cmd_store,   &cmd_simulate,  &cmd_config, &cmd_version, NULL
};

const struct cli_option cli_common_options[] = {
    { "help", 'h', CLI_FLAG, NULL, "print this help" },
};
const size_t cli_common_options_n = ARRAY_LEN(cli_common_options);

static const struct cli_option *find_in(const struct cli_option *options, size_t n,
                                        const char *name, size_t len)
{
    for (size_t i = 0; i < n; i++) {
        const bool is_letter = len == 1 && options[i].letter == name[0];
        if (is_letter || trp_str_is(trp_str_make(name, len), options[i].name))
            return &options[i];
    }
    return NULL;
}

static const struct cli_option *find_option(const struct cli_command *c, const char *name,
                                            size_t len)
{
    const struct cli_option *own = find_in(c->options, c->options_n, name, len);
    return own ? own : find_in(cli_common_options, cli_common_options_n, name, len);
}

/* Asserts on a name that the table does not have: a bug of ours, not of the user's. */
static void check_known(const struct cli *cli, const char *name)
{
    TRP_ASSERT(find_option(cli->command, name, strlen(name)) != NULL);
}

bool cli_has(const struct cli *cli, const char *name)
{
    return find_option(cli->command, name, strlen(name)) != NULL;
}

const char *cli_bytes_text(struct cli *cli, uint64_t bytes)
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
    double n = (double)bytes;
    size_t unit = 0;
    while (n >= 1024 && unit + 1 < ARRAY_LEN(units)) {
        n /= 1024;
        unit++;
    }
    const char *text =
        trp_arena_format(&cli->arena, unit ? "%.1f %s" : "%.0f %s", n, units[unit]).ptr;
    return text ? text : "?";
}

bool cli_flag(const struct cli *cli, const char *name)
{
    return cli_text(cli, name, NULL) != NULL;
}

const char *cli_text(const struct cli *cli, const char *name, const char *otherwise)
{
    const char *value = otherwise;
    check_known(cli, name);
    for (uint32_t i = 0; i < cli->values_n; i++) {
        if (strcmp(cli->values[i].option->name, name) == 0)
            value = cli->values[i].value;
    }
    return value;
}

const char *cli_list(const struct cli *cli, const char *name, uint32_t index)
{
    check_known(cli, name);
    for (uint32_t i = 0; i < cli->values_n; i++) {
        if (strcmp(cli->values[i].option->name, name) == 0 && index-- == 0)
            return cli->values[i].value;
    }
    return NULL;
}

static int exit_code_of(int32_t code)
{
    switch (code) {
    case TRP_NOT_FOUND:
        return CLI_NOT_FOUND;
    case TRP_UNAVAILABLE:
        return CLI_UNREACHABLE;
    default:
        return CLI_FAILED;
    }
}

int cli_fail(const struct cli *cli, const struct trp_error *err, const char *hint)
{
    fprintf(stderr, "troupe %s: %s\n", cli->command->name, err->text);
    if (hint)
        fprintf(stderr, "  %s\n", hint);
    return exit_code_of(err->status.code);
}

int cli_usage(const struct cli *cli, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "troupe %s: ", cli->command->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n  try: troupe %s --help\n", cli->command->name);
    return CLI_USAGE;
}

static int unknown_option(struct cli *cli, const char *name, size_t len)
{
    const char *best = NULL;
    uint32_t best_distance = 3;
    for (size_t i = 0; i < cli->command->options_n; i++) {
        const char *known = cli->command->options[i].name;
        const uint32_t d = trp_str_distance(trp_str_make(name, len), trp_str_of(known), 3);
        if (d < best_distance) {
            best = known;
            best_distance = d;
        }
    }
    const char *advice =
        cli->command->advise ? cli->command->advise(cli, trp_str_make(name, len)) : NULL;
    if (advice)
        return cli_usage(cli, "unknown option --%.*s; here it is: %s", (int)len, name, advice);
    if (best)
        return cli_usage(cli, "unknown option --%.*s; did you mean --%s?", (int)len, name, best);
    return cli_usage(cli, "unknown option --%.*s", (int)len, name);
}

/* Reads one option at argv[*at]; returns CLI_OK or a usage error. */
static int read_option(struct cli *cli, char **argv, int argc, int *at)
{
    const char *arg = argv[*at];
    const bool is_long = arg[1] == '-';
    const char *name = arg + (is_long ? 2 : 1);
    const char *equals = is_long ? strchr(name, '=') : NULL;
    const size_t len = is_long ? (equals ? (size_t)(equals - name) : strlen(name)) : 1;
    const struct cli_option *option = find_option(cli->command, name, len);
    if (!option || (!is_long && option->letter != name[0]) || (is_long && len == 1))
        return unknown_option(cli, name, is_long ? len : strlen(name));
    const char *value = "";
    if (option->kind == CLI_FLAG) {
        if (equals || (!is_long && name[1]))
            return cli_usage(cli, "--%s takes no value", option->name);
    } else if (equals) {
        value = equals + 1;
    } else if (!is_long && name[1]) {
        value = name + 1;
    } else if (*at + 1 < argc) {
        value = argv[++*at];
    } else {
        return cli_usage(cli, "--%s needs a value: %s", option->name, option->argument);
    }
    if (cli->values_n == CLI_VALUES_MAX)
        return cli_usage(cli, "more than %d options", CLI_VALUES_MAX);
    cli->values[cli->values_n].option = option;
    cli->values[cli->values_n++].value = value;
    return CLI_OK;
}

static int read_arguments(struct cli *cli, int argc, char **argv)
{
    bool only_operands = false;
    for (int i = 0; i < argc; i++) {
        if (!only_operands && strcmp(argv[i], "--") == 0) {
            only_operands = true;
        } else if (!only_operands && argv[i][0] == '-' && argv[i][1]) {
            const int code = read_option(cli, argv, argc, &i);
            if (code != CLI_OK)
                return code;
        } else {
            cli->operands[cli->operands_n++] = argv[i];
        }
    }
    return CLI_OK;
}

static int run_command(const struct cli_command *command, int argc, char **argv)
{
    struct cli cli = { .command = command };
    trp_arena_init(&cli.arena, trp_heap(), 16384, 0);
    cli.operands = trp_arena_zeroed(&cli.arena, (size_t)argc + 1, sizeof *cli.operands);
    int code = cli.operands ? read_arguments(&cli, argc, argv) : CLI_FAILED;
    if (code == CLI_OK && cli_flag(&cli, "help"))
        cli_print_help(command, stdout);
    else if (code == CLI_OK && cli.operands_n < command->operands_min)
        code = cli_usage(&cli, "something is missing: %s", command->operands);
    else if (code == CLI_OK && cli.operands_n > command->operands_max)
        code = cli_usage(&cli, "'%s' is one word too many", cli.operands[command->operands_max]);
    else if (code == CLI_OK)
        code = command->run(&cli);
    trp_arena_deinit(&cli.arena);
    return code;
}

/* `worker` is for the server alone, and in no list. */
static const struct cli_command *find_command(const char *name)
{
    if (strcmp(name, cmd_worker.name) == 0)
        return &cmd_worker;
    for (size_t i = 0; cli_commands[i]; i++) {
        if (strcmp(name, cli_commands[i]->name) == 0)
            return cli_commands[i];
    }
    return NULL;
}

static int unknown_command(const char *name)
{
    if (name[0] == '-') {
        fprintf(stderr,
                "troupe: a command comes first, options after it: troupe COMMAND %s\n"
                "  try: troupe --help\n",
                name);
        return CLI_USAGE;
    }
    const char *best = NULL;
    uint32_t best_distance = 3;
    for (size_t i = 0; cli_commands[i]; i++) {
        const uint32_t d = trp_str_distance(trp_str_of(name), trp_str_of(cli_commands[i]->name), 3);
        if (d < best_distance) {
            best = cli_commands[i]->name;
            best_distance = d;
        }
    }
    fprintf(stderr, "troupe: there is no command '%s'", name);
    if (best)
        fprintf(stderr, "; did you mean '%s'?", best);
    fprintf(stderr, "\n  try: troupe --help\n");
    return CLI_USAGE;
}

int main(int argc, char **argv)
{
    /* No telemetry, ever: the runtime reads this once, at its first call. */
    setenv("ORT_DISABLE_TELEMETRY", "1", 1);
    if (argc < 2) {
        cli_print_overview(stderr);
        return CLI_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        const struct cli_command *asked = argc > 2 ? find_command(argv[2]) : NULL;
        if (argc > 2 && !asked)
            return unknown_command(argv[2]);
        if (asked)
            cli_print_help(asked, stdout);
        else
            cli_print_overview(stdout);
        return CLI_OK;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0 || strcmp(name, "-v") == 0)
        name = "version";
    if (strcmp(name, "--manual") == 0)
        return cli_print_manual(stdout), CLI_OK;
    if (strcmp(name, "--bash-completion") == 0)
        return cli_print_completion(stdout), CLI_OK;
    const struct cli_command *command = find_command(name);
    return command ? run_command(command, argc - 2, argv + 2) : unknown_command(name);
}

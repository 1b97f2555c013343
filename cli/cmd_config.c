/* cli/cmd_config.c - troupe config: what is in force, and who said so. */
#include <string.h>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/routes_check.h"
#include "cli/settings_options.h"

static const struct cli_option options[] = {
    CLI_SETTINGS_OPTIONS,
    { "json", 'j', CLI_FLAG, NULL, "print JSON" },
    { "explain", 'e', CLI_FLAG, NULL, "print what each key means, and which values it takes" },
};

static void print_json(const struct trp_settings *s, struct trp_buf *b)
{
    struct trp_buf value;
    trp_buf_init(&value, trp_heap(), 1 << 20);
    trp_buf_add_char(b, '{');
    for (int i = 0; i < TRP_SETTINGS; i++) {
        const enum trp_setting id = (enum trp_setting)i;
        trp_buf_reset(&value);
        trp_settings_value_text(s, id, &value);
        trp_buf_add_text(b, i ? ",\n " : "\n ");
        trp_json_write_str(b, trp_str_of(trp_setting_row(id)->key));
        trp_buf_add_text(b, ": {\"value\": ");
        trp_json_write_str(b, trp_buf_str(&value));
        trp_buf_add_text(b, ", \"source\": ");
        trp_json_write_str(b, trp_str_of(trp_settings_source(s, id)));
        trp_buf_add_char(b, '}');
    }
    trp_buf_add_text(b, "\n}\n");
    trp_buf_deinit(&value);
}

static void print_table(struct cli *cli, const struct trp_settings *s)
{
    static const char *const titles[] = { "KEY", "VALUE", "FROM", "ALLOWED", "MEANING" };
    const bool explain = cli_flag(cli, "explain");
    struct cli_table t;
    struct trp_buf value, allowed;
    cli_table_init(&t, &cli->arena, titles, explain ? 5 : 3);
    trp_buf_init(&value, trp_heap(), 1 << 20);
    trp_buf_init(&allowed, trp_heap(), 1 << 20);
    for (int i = 0; i < TRP_SETTINGS; i++) {
        const enum trp_setting id = (enum trp_setting)i;
        trp_buf_reset(&value);
        trp_buf_reset(&allowed);
        trp_settings_value_text(s, id, &value);
        trp_setting_allowed_text(id, &allowed);
        const struct trp_str cells[] = { trp_str_of(trp_setting_row(id)->key), trp_buf_str(&value),
                                         trp_str_of(trp_settings_source(s, id)),
                                         trp_buf_str(&allowed),
                                         trp_str_of(trp_setting_row(id)->doc) };
        cli_table_row(&t, cells);
    }
    cli_table_print(&t, stdout);
    trp_buf_deinit(&value);
    trp_buf_deinit(&allowed);
}

static int run(struct cli *cli)
{
    struct trp_error err = { 0 };
    struct trp_settings *s;
    int code = CLI_OK;
    const char *repository = cli->operands_n ? cli->operands[0] : ".";
    if (trp_failed(cli_check_repository(repository, &err)))
        return cli_fail(cli, &err, NULL);
    if (trp_failed(cli_settings(cli, repository, &s, &err)))
        return cli_fail_settings(cli, &err);
    if (cli_flag(cli, "json")) {
        struct trp_buf text;
        trp_buf_init(&text, trp_heap(), 1 << 20);
        print_json(s, &text);
        if (trp_failed(trp_buf_check(&text, "configuration", &err)))
            code = cli_fail(cli, &err, NULL);
        else
            fwrite(text.ptr, 1, text.len, stdout);
        trp_buf_deinit(&text);
    } else {
        print_table(cli, s);
    }
    if (trp_failed(cli_check_routes(s, repository, &err)))
        code = cli_fail(cli, &err, NULL);
    trp_settings_destroy(s);
    return code;
}

const struct cli_command cmd_config = {
    .name = "config",
    .operands = "[REPO]",
    .help = "print the effective configuration and where each value came from",
    .details = "What `troupe serve` with the same words would use, whether or not one runs: values "
               "of options,\n"
               "then of the environment (TROUPE_ and the key: TROUPE_LIMITS_BODY_BYTES), then of "
               "troupe.yaml,\n"
               "then defaults.  A mistake in the file of routes is told, too.  A threads value of "
               "0 means: as many as fit the machine.",
    .example = "troupe config examples/models --set limits.body_bytes=64MiB\n"
               "troupe config --explain | grep timeouts",
    .advise = cli_advise_setting,
    .options = options,
    .options_n = ARRAY_LEN(options),
    .operands_max = 1,
    .run = run,
};

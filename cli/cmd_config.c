/* cli/cmd_config.c - troupe config: what is in force, and who said so. */
#include <string.h>

#include "app/foresight.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/places.h"
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

static int print_settings(struct cli *cli, const struct trp_settings *s)
{
    struct trp_error err = { 0 };
    struct trp_buf text;
    if (!cli_flag(cli, "json")) {
        print_table(cli, s);
        return CLI_OK;
    }
    int code = CLI_OK;
    trp_buf_init(&text, trp_heap(), 1 << 20);
    print_json(s, &text);
    if (trp_failed(trp_buf_check(&text, "configuration", &err)))
        code = cli_fail(cli, &err, NULL);
    else
        fwrite(text.ptr, 1, text.len, stdout);
    trp_buf_deinit(&text);
    return code;
}

/* What a server would refuse ends with 1, whatever it is; what it would only doubt is told. */
static int check_routes(struct cli *cli, const struct trp_settings *s)
{
    struct trp_error err = { 0 };
    struct cli_places places = { .n = 0 };
    struct trp_foresight foresight;
    int code = CLI_OK;
    if (trp_failed(cli_find_places(cli, s, &places, &err)))
        return cli_fail(cli, &err, NULL);
    const struct trp_foresight_opts opts = { .settings = s,
                                             .repositories = places.paths,
                                             .repositories_n = places.n };
    fflush(stdout); /* the settings stand before what is wrong */
    if (trp_failed(trp_foresight_run(&foresight, trp_heap(), &opts, &err)))
        code = cli_fail(cli, &err, NULL);
    for (uint32_t i = 0; i < foresight.n; i++) {
        const struct trp_foreseen *it = &foresight.items[i];
        fprintf(stderr, "troupe config: %s%s\n", it->is_doubt ? "warning: " : "", it->text);
        code = it->is_doubt ? code : CLI_FAILED;
    }
    trp_foresight_deinit(&foresight);
    return code;
}

static int run(struct cli *cli)
{
    struct trp_error err = { 0 };
    struct trp_settings *s;
    const char *repository = cli_first_place(cli);
    if (trp_failed(cli_check_repository(repository, &err)))
        return cli_fail(cli, &err, NULL);
    if (trp_failed(cli_settings(cli, repository, &s, &err)))
        return cli_fail_settings(cli, &err);
    int code = print_settings(cli, s);
    if (code == CLI_OK)
        code = check_routes(cli, s);
    trp_settings_destroy(s);
    return code;
}

const struct cli_command cmd_config = {
    .name = "config",
    .operands = "[REPO...]",
    .help = "print the effective configuration and where each value came from, and check routes",
    .details =
        "What `troupe serve` with the same words would use, whether or not one runs: values "
        "of options,\n"
        "then of the environment (TROUPE_ and the key: TROUPE_LIMITS_BODY_BYTES), then of "
        "troupe.yaml,\n"
        "then defaults.  A threads value of 0 means: as many as fit the machine.\n"
        "Routes and compositions of the REPOs are checked against the models that lie there, "
        "as a\n"
        "server would, without loading any: what it would refuse is told and ends with 1, "
        "what it\n"
        "would doubt is a warning.",
    .example = "troupe config examples/models --set limits.body_bytes=64MiB\n"
               "troupe config --explain | grep timeouts",
    .advise = cli_advise_setting,
    .options = options,
    .options_n = ARRAY_LEN(options),
    .operands_max = CLI_PLACES_MAX,
    .run = run,
};

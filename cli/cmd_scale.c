/* cli/cmd_scale.c - troupe scale: how many runs of a model may go on at once: shown, or changed
 * while the server runs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/reply_fields.h"

static const struct cli_option options[] = {
    CLI_SERVER_OPTION,
    { "version", 'v', CLI_TEXT, "N",
      "this version, or label, of the models; default: all of them" },
    { "json", 'j', CLI_FLAG, NULL, "print the server's JSON" },
};

/* "m" shows, "m=3" sets, "m=" takes back what was set.  A name may hold '=' only where a number,
 * or nothing, is behind the last. */
struct wish {
    const char *model;
    bool has_count;
    uint64_t count; /* 0: what the configuration says */
};

static bool read_wish(struct cli *cli, const char *operand, struct wish *out)
{
    const char *equals = strrchr(operand, '=');
    *out = (struct wish){ .model = operand };
    if (!equals)
        return true;
    out->has_count = true;
    out->model = trp_arena_format(&cli->arena, "%.*s", (int)(equals - operand), operand).ptr;
    if (!out->model || out->model[0] == '\0')
        return false;
    return equals[1] == '\0' ||
           (trp_str_parse_u64(trp_str_of(equals + 1), &out->count) && out->count > 0);
}

static const char *path_of(struct cli *cli, const struct wish *w)
{
    const char *version = cli_text(cli, "version", NULL);
    const char *base = cli_path(cli, "/api/models/%s", w->model);
    const struct trp_str path =
        version ? trp_arena_format(&cli->arena, "%s/versions/%s/instances", base, version)
                : trp_arena_format(&cli->arena, "%s/instances", base);
    return path.ptr ? path.ptr : "";
}

static int change(struct cli *cli, const struct wish *w)
{
    struct trp_error err = { 0 };
    struct cli_reply reply;
    const struct trp_str body =
        w->count ? trp_arena_format(&cli->arena, "{\"count\":%" PRIu64 "}", w->count)
                 : TRP_STR_LIT("{\"count\":null}");
    const struct cli_request request = {
        .method = "POST", .path = path_of(cli, w), .body = body, .json_bytes = -1
    };
    return trp_failed(cli_ask(cli, &request, &reply, &err)) ? cli_fail_asking(cli, &err) : CLI_OK;
}

static int print(struct cli *cli, struct trp_json root, struct trp_error *err)
{
    static const char *const titles[] = { "MODEL",       ">VERSION",   ">INSTANCES",
                                          ">CONFIGURED", ">IN FLIGHT", "WHY" };
    struct cli_table table;
    struct trp_json versions, v;
    struct trp_json_iter it;
    const struct trp_str name = cli_field_text(root, "name"), zero = TRP_STR_LIT("0");
    if (!trp_json_find(root, "versions", &versions) || !trp_json_begin(versions, &it)) {
        (void)cli_fail_foreign(cli, err);
        return cli_fail_asking(cli, err);
    }
    cli_table_init(&table, &cli->arena, titles, ARRAY_LEN(titles));
    while (trp_json_next(&it, NULL, &v)) {
        struct trp_str now = cli_field_number(cli, v, "instances");
        struct trp_str configured = cli_field_number(cli, v, "configured");
        if (trp_str_is_equal(now, zero))
            now = TRP_STR_LIT("no limit");
        if (trp_str_is_equal(configured, zero))
            configured = TRP_STR_LIT("no limit");
        const struct trp_str cells[] = {
            name,       cli_field_number(cli, v, "version"),   now,
            configured, cli_field_number(cli, v, "in_flight"), cli_field_text(v, "why")
        };
        cli_table_row(&table, cells);
    }
    cli_table_print(&table, stdout);
    return CLI_OK;
}

/* All operands are read before the first is done. */
static int run(struct cli *cli)
{
    struct wish w;
    int code = CLI_OK;
    for (uint32_t i = 0; i < cli->operands_n; i++)
        if (!read_wish(cli, cli->operands[i], &w))
            return cli_usage(cli,
                             "'%s' is neither MODEL, nor MODEL=COUNT with a count from 1 on, nor "
                             "MODEL=, which takes it back",
                             cli->operands[i]);
    for (uint32_t i = 0; i < cli->operands_n && code == CLI_OK; i++) {
        (void)read_wish(cli, cli->operands[i], &w);
        if (w.has_count)
            code = change(cli, &w);
        if (code == CLI_OK)
            code = cli_show_reply(cli, path_of(cli, &w), print);
    }
    return code;
}

const struct cli_command cmd_scale = {
    .name = "scale",
    .operands = "MODEL[=COUNT] ...",
    .help = "show how many runs of a model may go on at once, or change it while it serves",
    .details =
        "Instances are run slots, not copies: changing them is instant and takes no memory.  More "
        "are used at\n"
        "once; with less, what runs goes on to its end.  MODEL= takes back what was set.  It holds "
        "until the\n"
        "model's files change, or the server ends.  INSTANCES `no limit`: as many as there are "
        "threads that\n"
        "run models (threads.executors).",
    .example = "troupe scale digits_cnn\n"
               "troupe scale digits_cnn=3 digits_mlp=1\n"
               "troupe scale digits_cnn=",
    .options = options,
    .options_n = ARRAY_LEN(options),
    .operands_min = 1,
    .operands_max = 64,
    .run = run,
};

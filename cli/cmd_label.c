/* cli/cmd_label.c - troupe label: the names of a model's versions, which requests use like
 * numbers: shown, moved, taken away. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/reply_fields.h"

#define BODY_BYTES_MAX ((size_t)1 << 20)

static const struct cli_option options[] = {
    CLI_SERVER_OPTION,
    { "json", 'j', CLI_FLAG, NULL, "print the server's JSON" },
    { "force", 'f', CLI_FLAG, NULL, "though it breaks routes or compositions that ask the model" },
};

/* "stable=3" moves, "canary=" takes away. */
static bool add_change(struct trp_buf *b, const char *wish, bool is_first)
{
    const char *equals = strchr(wish, '=');
    uint64_t version = 0;
    if (!equals || equals == wish)
        return false;
    const struct trp_str number = trp_str_of(equals + 1);
    if (number.len && (!trp_str_parse_u64(number, &version) || version == 0 || version > INT64_MAX))
        return false;
    trp_buf_add_text(b, is_first ? "" : ",");
    trp_json_write_str(b, trp_str_make(wish, (size_t)(equals - wish)));
    trp_buf_add_char(b, ':');
    if (number.len)
        trp_buf_add_u64(b, version);
    else
        trp_buf_add_text(b, "null");
    return true;
}

static int move(struct cli *cli, const char *path)
{
    struct trp_error err = { 0 };
    struct cli_reply reply;
    struct trp_buf body;
    int code = CLI_OK;
    trp_buf_init(&body, trp_heap(), BODY_BYTES_MAX);
    trp_buf_add_text(&body, "{\"labels\":{");
    for (uint32_t i = 1; i < cli->operands_n && code == CLI_OK; i++)
        if (!add_change(&body, cli->operands[i], i == 1))
            code = cli_usage(cli, "'%s' is neither LABEL=VERSION nor LABEL=, which takes it away",
                             cli->operands[i]);
    trp_buf_add_text(&body, cli_flag(cli, "force") ? "},\"force\":true}" : "}}");
    const struct cli_request request = {
        .method = "POST", .path = path, .body = trp_buf_str(&body), .json_bytes = -1
    };
    if (code == CLI_OK && (trp_failed(trp_buf_check(&body, "labels", &err)) ||
                           trp_failed(cli_ask(cli, &request, &reply, &err))))
        code = cli_fail_asking(cli, &err);
    trp_buf_deinit(&body);
    return code;
}

static int print(struct cli *cli, struct trp_json root, struct trp_error *err)
{
    static const char *const titles[] = { "LABEL", ">VERSION" };
    struct cli_table table;
    struct trp_json labels, item;
    struct trp_json_iter it;
    struct trp_str name;
    int64_t version;
    (void)err;
    cli_table_init(&table, &cli->arena, titles, ARRAY_LEN(titles));
    if (trp_json_find(root, "labels", &labels) && trp_json_begin(labels, &it)) {
        while (trp_json_next(&it, &name, &item)) {
            if (!trp_json_as_i64(item, &version))
                continue;
            const struct trp_str cells[] = { name,
                                             trp_arena_format(&cli->arena, "%" PRId64, version) };
            cli_table_row(&table, cells);
        }
    }
    if (table.first)
        cli_table_print(&table, stdout);
    else
        printf("%s has no labels: troupe label %s NAME=VERSION gives it one\n", cli->operands[0],
               cli->operands[0]);
    return CLI_OK;
}

/* What was moved is shown as it is now: with several operators that may be more than was asked
 * for. */
static int run(struct cli *cli)
{
    const char *path = cli_path(cli, "/api/models/%s/labels", cli->operands[0]);
    const int code = cli->operands_n > 1 ? move(cli, path) : CLI_OK;
    return code == CLI_OK ? cli_show_reply(cli, path, print) : code;
}

const struct cli_command cmd_label = {
    .name = "label",
    .operands = "MODEL [LABEL=VERSION ...]",
    .help = "show the labels of a model's versions, or move them",
    .details =
        "A label is a name that requests use in the place of a version's number.  "
        "LABEL=VERSION moves it,\n"
        "LABEL= takes it away; all of them at once or none.  It holds until the labels of the "
        "model's\n"
        "configuration change, or the server ends.",
    .example = "troupe label resnet50\n"
               "troupe label resnet50 stable=4 canary=",
    .options = options,
    .options_n = ARRAY_LEN(options),
    .operands_min = 1,
    .operands_max = 65,
    .run = run,
};

/* cli/cmd_ls.c - troupe ls: the models of a running server, their states, and why. */
#include <inttypes.h>

#include "base/buf.h"
#include "base/json.h"
#include "cli/client.h"
#include "cli/commands.h"

static const struct cli_option options[] = {
    CLI_SERVER_OPTION,
    { "json", 'j', CLI_FLAG, NULL, "print the server's JSON" },
};

static struct trp_str text_of(struct trp_json object, const char *key)
{
    struct trp_json v;
    struct trp_str s = TRP_STR_LIT("");
    if (trp_json_find(object, key, &v))
        trp_json_as_str(v, &s);
    return s;
}

static struct trp_str number_of(struct cli *cli, struct trp_json object, const char *key)
{
    struct trp_json v;
    int64_t n;
    if (!trp_json_find(object, key, &v) || !trp_json_as_i64(v, &n))
        return TRP_STR_LIT("-");
    return trp_arena_format(&cli->arena, "%" PRId64, n);
}

/* "image FP32[-1,64], mask BOOL[1]" */
static struct trp_str tensors_of(struct cli *cli, struct trp_json object, const char *key)
{
    struct trp_json list, tensor, shape, dim;
    struct trp_json_iter it, dims;
    struct trp_buf b;
    if (!trp_json_find(object, key, &list) || !trp_json_begin(list, &it))
        return TRP_STR_LIT("-");
    trp_buf_init(&b, trp_heap(), 65536);
    while (trp_json_next(&it, NULL, &tensor)) {
        if (b.len)
            trp_buf_add_text(&b, ", ");
        trp_buf_add_str(&b, text_of(tensor, "name"));
        trp_buf_add_char(&b, ' ');
        trp_buf_add_str(&b, text_of(tensor, "datatype"));
        trp_buf_add_char(&b, '[');
        bool more = trp_json_find(tensor, "shape", &shape) && trp_json_begin(shape, &dims);
        for (bool first = true; more && trp_json_next(&dims, NULL, &dim); first = false) {
            int64_t d = 0;
            if (!first)
                trp_buf_add_char(&b, ',');
            trp_json_as_i64(dim, &d);
            trp_buf_add_i64(&b, d);
        }
        trp_buf_add_char(&b, ']');
    }
    const struct trp_str out = trp_arena_dup(&cli->arena, trp_buf_str(&b));
    trp_buf_deinit(&b);
    return out;
}

static int print_models(struct cli *cli, struct trp_json root)
{
    static const char *const titles[] = { "MODEL",  ">VERSION", "STATE", ">ANSWERED",
                                          "INPUTS", "OUTPUTS",  "REASON" };
    struct trp_json models, model;
    struct trp_json_iter it;
    struct cli_table t;
    cli_table_init(&t, &cli->arena, titles, ARRAY_LEN(titles));
    if (!trp_json_find(root, "models", &models) || !trp_json_begin(models, &it))
        return puts("no models: the repository is empty"), CLI_OK;
    while (trp_json_next(&it, NULL, &model)) {
        const struct trp_str cells[] = {
            text_of(model, "name"),           number_of(cli, model, "version"),
            text_of(model, "state"),          number_of(cli, model, "inferences"),
            tensors_of(cli, model, "inputs"), tensors_of(cli, model, "outputs"),
            text_of(model, "reason")
        };
        cli_table_row(&t, cells);
    }
    cli_table_print(&t, stdout);
    return CLI_OK;
}

static int run(struct cli *cli)
{
    struct trp_error err = { 0 };
    struct cli_reply reply;
    struct trp_json root;
    struct trp_json_parser *parser;
    const struct cli_request request = { .method = "GET", .path = "/api/models", .json_bytes = -1 };
    if (trp_failed(cli_ask(cli, &request, &reply, &err)))
        return cli_fail_asking(cli, &err);
    if (cli_flag(cli, "json"))
        return printf("%.*s\n", TRP_STR(reply.body)), CLI_OK;
    if (trp_failed(trp_json_parser_create((size_t)1 << 31, 64, &parser, &err)))
        return cli_fail(cli, &err, NULL);
    const trp_status st = trp_json_parse(parser, reply.body, false, &root, &err);
    const int code = trp_failed(st) ? cli_fail(cli, &err, NULL) : print_models(cli, root);
    trp_json_parser_destroy(parser);
    return code;
}

const struct cli_command cmd_ls = {
    .name = "ls",
    .operands = "",
    .help = "list the models of a running server, their states and reasons",
    .options = options,
    .options_n = ARRAY_LEN(options),
    .run = run,
};

/* cli/reply_fields.c - see reply_fields.h. */
#include "cli/reply_fields.h"

#include <inttypes.h>

#include "cli/client.h"

#define REPLY_BYTES_MAX ((size_t)1 << 28)

struct trp_str cli_field_text(struct trp_json object, const char *key)
{
    struct trp_json v;
    struct trp_str s = TRP_STR_LIT("");
    if (trp_json_find(object, key, &v))
        trp_json_as_str(v, &s);
    return s;
}

bool cli_field_is_false(struct trp_json object, const char *key)
{
    struct trp_json v;
    bool is = true;
    return trp_json_find(object, key, &v) && trp_json_as_bool(v, &is) && !is;
}

struct trp_str cli_field_number(struct cli *cli, struct trp_json object, const char *key)
{
    struct trp_json v;
    int64_t n;
    if (!trp_json_find(object, key, &v) || !trp_json_as_i64(v, &n))
        return TRP_STR_LIT("-");
    return trp_arena_format(&cli->arena, "%" PRId64, n);
}

struct trp_str cli_field_shape(struct cli *cli, struct trp_json object)
{
    struct trp_json shape, dim, any;
    struct trp_json_iter it;
    struct trp_buf b;
    int64_t d = 0;
    if (trp_json_find(object, "any_rank", &any))
        return TRP_STR_LIT("[any]");
    if (!trp_json_find(object, "shape", &shape))
        return TRP_STR_LIT("-");
    if (!trp_json_begin(shape, &it))
        return TRP_STR_LIT("[]"); /* nothing in it: a scalar */
    trp_buf_init(&b, trp_heap(), 65536);
    trp_buf_add_char(&b, '[');
    for (bool first = true; trp_json_next(&it, NULL, &dim); first = false) {
        trp_json_as_i64(dim, &d);
        trp_buf_addf(&b, "%s%" PRId64, first ? "" : ",", d);
    }
    trp_buf_add_char(&b, ']');
    const struct trp_str out = trp_arena_dup(&cli->arena, trp_buf_str(&b));
    trp_buf_deinit(&b);
    return out;
}

int cli_show_reply(struct cli *cli, const char *path,
                   int (*print)(struct cli *cli, struct trp_json root, struct trp_error *err))
{
    const struct cli_request request = { .method = "GET", .path = path, .json_bytes = -1 };
    struct trp_json_parser *parser = NULL;
    struct trp_error err = { 0 };
    struct cli_reply reply;
    struct trp_json root;
    if (trp_failed(cli_ask(cli, &request, &reply, &err)))
        return cli_fail_asking(cli, &err);
    if (cli_flag(cli, "json")) {
        printf("%.*s\n", TRP_STR(reply.body));
        return CLI_OK;
    }
    trp_status st = trp_json_parser_create(REPLY_BYTES_MAX, 64, &parser, &err);
    if (!trp_failed(st))
        st = trp_json_parse(parser, reply.body, false, &root, &err);
    const int code = trp_failed(st) ? cli_fail_asking(cli, &err) : print(cli, root, &err);
    trp_json_parser_destroy(parser);
    return code;
}

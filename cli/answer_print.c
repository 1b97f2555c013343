/* cli/answer_print.c - see answer_print.h. */
#include "cli/answer_print.h"

#include "base/buf.h"
#include "cli/reply_fields.h"

#define VALUES_SHOWN 12

static struct trp_str values_text(struct cli *cli, struct trp_json data)
{
    struct trp_json v;
    struct trp_json_iter it;
    struct trp_buf b;
    uint32_t n = 0;
    trp_buf_init(&b, trp_heap(), 1 << 20);
    for (bool more = trp_json_begin(data, &it); more && trp_json_next(&it, NULL, &v); n++) {
        struct trp_str s;
        double d;
        int64_t i64;
        bool yes;
        if (n == VALUES_SHOWN) {
            trp_buf_addf(&b, " ... (%zu in all)", trp_json_count(data));
            break;
        }
        if (n)
            trp_buf_add_char(&b, ' ');
        if (trp_json_type(v) == TRP_JSON_STRING && trp_json_as_str(v, &s))
            trp_buf_add_str(&b, s);
        else if (trp_json_as_i64(v, &i64))
            trp_buf_add_i64(&b, i64);
        else if (trp_json_as_f64(v, &d))
            trp_buf_addf(&b, "%.4g", d);
        else if (trp_json_as_bool(v, &yes))
            trp_buf_add_text(&b, yes ? "true" : "false");
    }
    const struct trp_str out = trp_arena_dup(&cli->arena, trp_buf_str(&b));
    trp_buf_deinit(&b);
    return out;
}

/* Of a route or a composition: who answered, why that one, and who did not. */
static void print_choice(struct trp_json root)
{
    struct trp_json params, v;
    bool is_partial = false;
    if (!trp_json_find(root, "parameters", &params))
        return;
    const struct trp_str choice = cli_field_text(params, "troupe_choice"),
                         missing = cli_field_text(params, "troupe_missing"),
                         because = cli_field_text(params, "troupe_missing_because"),
                         model = cli_field_text(root, "model_name");
    if (choice.len)
        printf("\n%.*s answered (%.*s)\n", TRP_STR(model), TRP_STR(choice));
    if (trp_json_find(params, "troupe_partial", &v) && trp_json_as_bool(v, &is_partial) &&
        is_partial)
        printf("%spartial: without %.*s%s%.*s%s\n", choice.len ? "" : "\n", TRP_STR(missing),
               because.len ? " (" : "", TRP_STR(because), because.len ? ")" : "");
}

trp_status cli_print_answer(struct cli *cli, struct trp_json_parser *parser, struct trp_str reply,
                            struct trp_error *err)
{
    static const char *const titles[] = { "OUTPUT", "TYPE", "SHAPE", "VALUES" };
    struct trp_json root, list, output, data;
    struct trp_json_iter it;
    struct cli_table t;
    cli_table_init(&t, &cli->arena, titles, ARRAY_LEN(titles));
    TRP_CHECK(trp_json_parse(parser, reply, false, &root, err));
    bool more = trp_json_find(root, "outputs", &list) && trp_json_begin(list, &it);
    while (more && trp_json_next(&it, NULL, &output)) {
        const bool has_data = trp_json_find(output, "data", &data);
        const struct trp_str cells[] = { cli_field_text(output, "name"),
                                         cli_field_text(output, "datatype"),
                                         cli_field_shape(cli, output),
                                         has_data ? values_text(cli, data) : TRP_STR_LIT("") };
        cli_table_row(&t, cells);
    }
    cli_table_print(&t, stdout);
    print_choice(root);
    return trp_ok();
}

/* cli/served_model.c - see served_model.h.
 *
 * The server's own list knows a model in every state; metadata and configuration are there for one
 * that serves.  So the list comes first, and the others are asked only when it says that they
 * will answer. */
#include "cli/served_model.h"

#include <inttypes.h>
#include <string.h>

#include "cli/client.h"
#include "cli/composed.h"
#include "cli/model_list.h"
#include "cli/near_name.h"
#include "cli/reply_fields.h"

struct report {
    struct cli *cli;
    const char *name;
    struct cli_table facts, versions, inputs, outputs;
    struct trp_buf versions_json;
    uint32_t versions_n;
    bool has_tensors, is_serving, is_failed, is_unloaded;
    struct trp_str metadata, config; /* JSON; empty: no version serves */
};

static void add_fact(struct report *r, const char *key, struct trp_str value)
{
    if (value.len > 0)
        cli_table_row(&r->facts, (const struct trp_str[]){ trp_str_of(key), value });
}

static void add_tensors(struct report *r, struct cli_table *table, struct trp_json version,
                        const char *key)
{
    struct trp_json list, tensor;
    struct trp_json_iter it;
    bool more = trp_json_find(version, key, &list) && trp_json_begin(list, &it);
    while (more && trp_json_next(&it, NULL, &tensor)) {
        const struct trp_str cells[] = { cli_field_text(tensor, "name"),
                                         cli_field_text(tensor, "datatype"),
                                         cli_field_shape(r->cli, tensor) };
        cli_table_row(table, cells);
        r->has_tensors = true;
    }
}

static void add_tensors_json(struct report *r, struct trp_json version, const char *key)
{
    struct trp_buf *b = &r->versions_json;
    struct trp_json list, tensor;
    struct trp_json_iter it;
    if (!trp_json_find(version, key, &list) || !trp_json_begin(list, &it))
        return;
    trp_buf_addf(b, ",\"%s\":[", key);
    for (bool first = true; trp_json_next(&it, NULL, &tensor); first = false) {
        trp_buf_add_text(b, first ? "{\"name\":" : ",{\"name\":");
        trp_json_write_str(b, cli_field_text(tensor, "name"));
        trp_buf_addf(b, ",\"datatype\":\"%.*s\",\"shape\":%.*s}",
                     TRP_STR(cli_field_text(tensor, "datatype")),
                     TRP_STR(cli_field_shape(r->cli, tensor)));
    }
    trp_buf_add_char(b, ']');
}

static void add_version_json(struct report *r, struct trp_json version)
{
    static const char *const numbers[] = { "version", "inferences", "weights_bytes" };
    struct trp_buf *b = &r->versions_json;
    struct trp_json v;
    int64_t n;
    trp_buf_add_text(b, r->versions_n ? ",{\"state\":" : "{\"state\":");
    trp_json_write_str(b, cli_field_text(version, "state"));
    trp_buf_add_text(b, ",\"reason\":");
    trp_json_write_str(b, cli_field_text(version, "reason"));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (trp_json_find(version, numbers[i], &v) && trp_json_as_i64(v, &n))
            trp_buf_addf(b, ",\"%s\":%" PRId64, numbers[i], n);
    }
    add_tensors_json(r, version, "inputs");
    add_tensors_json(r, version, "outputs");
    trp_buf_add_char(b, '}');
}

static void add_version(struct report *r, struct trp_json version)
{
    const struct trp_str state = cli_field_text(version, "state");
    struct trp_json v;
    int64_t weights = -1;
    if (trp_json_find(version, "weights_bytes", &v))
        trp_json_as_i64(v, &weights);
    const bool is_unloaded = trp_str_is(state, "UNLOADED");
    const bool is_serving = trp_str_is(state, "READY");
    struct trp_str reason = cli_field_text(version, "reason");
    if (is_unloaded && trp_str_is(reason, "unloaded"))
        reason = TRP_STR_LIT("");
    const struct trp_str cells[] = {
        cli_field_number(r->cli, version, "version"),
        state,
        is_serving ? trp_str_of(cli_bytes_text(r->cli, (uint64_t)weights)) : TRP_STR_LIT(""),
        is_serving ? trp_arena_format(&r->cli->arena, "%.*s answered",
                                      TRP_STR(cli_field_number(r->cli, version, "inferences")))
                   : TRP_STR_LIT(""),
        cli_first_line(reason),
    };
    cli_table_row(&r->versions, cells);
    if (cells[4].len < reason.len) /* all of it stands above */
        cli_table_lines(&r->facts, TRP_STR_LIT("reason"), reason);
    add_version_json(r, version);
    r->versions_n++;
    r->is_serving |= is_serving;
    r->is_failed |= trp_str_is(state, "FAILED");
    r->is_unloaded |= is_unloaded;
    if (!r->has_tensors) {
        add_tensors(r, &r->inputs, version, "inputs");
        add_tensors(r, &r->outputs, version, "outputs");
    }
}

static void add_if_it(void *user, struct trp_json model)
{
    struct report *r = user;
    if (trp_str_is(cli_field_text(model, "name"), r->name))
        add_version(r, model);
}

static trp_status read_list(struct report *r, struct trp_error *err)
{
    struct cli_model_list list;
    const char *query = strchr(r->name, '*') ? "" : cli_path(r->cli, "name=%s", r->name);
    const trp_status st = cli_model_list_ask(r->cli, query, &list, err);
    if (!trp_failed(st))
        cli_model_list_each(&list, add_if_it, r);
    cli_model_list_free(&list);
    TRP_CHECK(st);
    if (r->versions_n == 0)
        return trp_fail(err, TRP_NOT_FOUND, "no file and no model of %s is called '%s'",
                        cli_server(r->cli), r->name);
    return trp_ok();
}

static trp_status ask_text(struct report *r, const char *format, struct trp_str *out,
                           struct trp_error *err)
{
    struct cli_reply reply;
    const struct cli_request request = { .method = "GET",
                                         .path = cli_path(r->cli, format, r->name),
                                         .json_bytes = -1 };
    TRP_CHECK(cli_ask(r->cli, &request, &reply, err));
    *out = reply.body;
    return trp_ok();
}

/* Batching is what surprises people most, so it is said in words. */
static void add_config_facts(struct report *r, struct trp_json config)
{
    struct trp_json v;
    int64_t batch = 0;
    if (trp_json_find(config, "max_batch_size", &v))
        trp_json_as_i64(v, &batch);
    add_fact(r, "backend", cli_field_text(config, "backend"));
    add_fact(r, "platform", cli_field_text(config, "platform"));
    add_fact(r, "batches",
             batch > 0 ? trp_arena_format(&r->cli->arena,
                                          "of up to %" PRId64 " rows (max_batch_size); the first "
                                          "dimension below is the row",
                                          batch)
                       : TRP_STR_LIT("none assumed (max_batch_size 0): shapes are as the file "
                                     "says"));
}

static trp_status read_config(struct report *r, struct trp_error *err)
{
    struct trp_json_parser *parser = NULL;
    struct trp_json root;
    TRP_CHECK(ask_text(r, "/v2/models/%s", &r->metadata, err));
    TRP_CHECK(ask_text(r, "/v2/models/%s/config", &r->config, err));
    TRP_CHECK(trp_json_parser_create(r->config.len + 1, 64, &parser, err));
    const trp_status st = trp_json_parse(parser, r->config, false, &root, err);
    if (!trp_failed(st))
        add_config_facts(r, root);
    trp_json_parser_destroy(parser);
    return st;
}

static void print_json(struct report *r)
{
    static const struct trp_str null = { "null", 4 };
    struct trp_buf name;
    trp_buf_init(&name, trp_heap(), 1 << 20);
    trp_json_write_str(&name, trp_str_of(r->name));
    printf("{\"name\":%.*s,\"versions\":[%.*s],\"metadata\":%.*s,\"config\":%.*s}\n",
           TRP_STR(trp_buf_str(&name)), TRP_STR(trp_buf_str(&r->versions_json)),
           TRP_STR(r->metadata.len ? r->metadata : null),
           TRP_STR(r->config.len ? r->config : null));
    trp_buf_deinit(&name);
}

static void print_text(struct report *r)
{
    printf("%s at %s\n", r->name, cli_server(r->cli));
    if (r->facts.first)
        cli_table_print_section(&r->facts, "model", stdout);
    cli_table_print_section(&r->versions, "versions", stdout);
    if (r->has_tensors) {
        cli_table_print_section(&r->inputs, "inputs", stdout);
        cli_table_print_section(&r->outputs, "outputs", stdout);
    }
    if (r->is_unloaded && !r->is_serving)
        printf("\nto load it: troupe load %s\n", r->name);
}

static void init_tables(struct report *r)
{
    static const char *const two[] = { "", "" }, *const three[] = { "", "", "" },
                             *const five[] = { ">", "", ">", ">", "" };
    struct trp_arena *arena = &r->cli->arena;
    cli_table_init(&r->facts, arena, two, ARRAY_LEN(two));
    cli_table_init(&r->versions, arena, five, ARRAY_LEN(five));
    cli_table_init(&r->inputs, arena, three, ARRAY_LEN(three));
    cli_table_init(&r->outputs, arena, three, ARRAY_LEN(three));
}

int cli_print_served_model(struct cli *cli, const char *name)
{
    struct report r = { .cli = cli, .name = name };
    struct trp_error err = { 0 };
    init_tables(&r);
    trp_buf_init(&r.versions_json, trp_heap(), 1 << 24);
    trp_status st = read_list(&r, &err);
    if (!trp_failed(st) && r.is_serving)
        st = read_config(&r, &err);
    if (!trp_failed(st))
        st = trp_buf_check(&r.versions_json, "versions", &err);
    if (!trp_failed(st) && cli_flag(cli, "json"))
        print_json(&r);
    else if (!trp_failed(st))
        print_text(&r);
    trp_buf_deinit(&r.versions_json);
    int code;
    if (st.code == TRP_NOT_FOUND && r.versions_n == 0 && cli_print_composed(cli, name, &code))
        return code;
    if (trp_failed(st))
        return cli_fail_of_name(cli, name, &err);
    return r.is_failed && !r.is_serving ? CLI_FAILED : CLI_OK;
}

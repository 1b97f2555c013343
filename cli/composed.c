/* cli/composed.c - see composed.h. */
#include "cli/composed.h"

#include <string.h>

#include "cli/client.h"
#include "cli/reply_fields.h"

#define LIST_BYTES_MAX ((size_t)1 << 28)

trp_status cli_composed_ask(struct cli *cli, const char *name, struct cli_composed *out,
                            struct trp_error *err)
{
    struct cli_reply reply;
    struct trp_json root, routes;
    const struct cli_request request = {
        .method = "GET",
        .path = name ? cli_path(cli, "/api/routes/%s", name) : "/api/routes",
        .json_bytes = -1,
    };
    *out = (struct cli_composed){ .is_read = true };
    const trp_status st = cli_ask(cli, &request, &reply, err);
    if (st.code == TRP_NOT_FOUND)
        return trp_ok();
    TRP_CHECK(st);
    TRP_CHECK(trp_json_parser_create(LIST_BYTES_MAX, 64, &out->parser, err));
    TRP_CHECK(trp_json_parse(out->parser, reply.body, false, &root, err));
    if (!trp_json_find(root, "routes", &routes) || trp_json_type(routes) != TRP_JSON_ARRAY)
        return cli_fail_foreign(cli, err);
    out->body = reply.body;
    out->has_any = trp_json_begin(routes, &out->it);
    out->is_read = !cli_field_is_false(root, "read");
    out->trouble = cli_field_text(root, "trouble");
    return trp_ok();
}

void cli_composed_free(struct cli_composed *c)
{
    trp_json_parser_destroy(c->parser);
    *c = (struct cli_composed){ 0 };
}

/* ---- one of them, for people ---- */

static bool is_true(struct trp_json object, const char *key)
{
    struct trp_json v;
    bool yes = false;
    return trp_json_find(object, key, &v) && trp_json_as_bool(v, &yes) && yes;
}

/* "a, b" of a list of texts, or of `key` of a list of objects. */
static struct trp_str joined(struct cli *cli, struct trp_json object, const char *list_key,
                             const char *key)
{
    struct trp_json list, item;
    struct trp_json_iter it;
    struct trp_str out = TRP_STR_LIT(""), text;
    bool more = trp_json_find(object, list_key, &list) && trp_json_begin(list, &it);
    while (more && trp_json_next(&it, NULL, &item)) {
        if (key)
            text = cli_field_text(item, key);
        else if (!trp_json_as_str(item, &text))
            continue;
        out = trp_arena_format(&cli->arena, "%.*s%s%.*s", TRP_STR(out), out.len ? ", " : "",
                               TRP_STR(text));
    }
    return out;
}

static void print_facts(struct cli *cli, struct trp_json item)
{
    static const char *const titles[] = { "", "" };
    struct cli_table t;
    const struct trp_str kind = cli_field_text(item, "kind");
    const struct trp_str reason = cli_field_text(item, "reason");
    const struct trp_str asks = joined(cli, item, "asks", NULL);
    const struct trp_str title = trp_arena_dup(&cli->arena, kind);
    cli_table_init(&t, &cli->arena, titles, ARRAY_LEN(titles));
    cli_table_row(
        &t, (const struct trp_str[]){ TRP_STR_LIT("declared"), cli_field_text(item, "place") });
    cli_table_row(&t,
                  (const struct trp_str[]){ TRP_STR_LIT("state"),
                                            is_true(item, "ready") ? TRP_STR_LIT("READY")
                                                                   : TRP_STR_LIT("UNAVAILABLE") });
    if (reason.len)
        cli_table_lines(&t, TRP_STR_LIT("reason"), reason);
    if (asks.len)
        cli_table_row(&t, (const struct trp_str[]){ TRP_STR_LIT("asks"), asks });
    cli_table_print_section(&t, title.ptr ? title.ptr : "", stdout);
}

/* "shadow c", or "shadow c (10 %)" where it is asked a part of the requests only. */
static struct trp_str shadow_text(struct cli *cli, struct trp_json shadow)
{
    const struct trp_str target = cli_field_text(shadow, "target");
    struct trp_json v;
    double share = 1;
    if (trp_json_find(shadow, "share", &v) && trp_json_as_f64(v, &share) && share < 1)
        return trp_arena_format(&cli->arena, "shadow %.*s (%.4g %%)", TRP_STR(target), share * 100);
    return trp_arena_format(&cli->arena, "shadow %.*s", TRP_STR(target));
}

/* "shadow c, canary d (5 %, watching), hedge": what a rule does besides. */
static struct trp_str besides(struct cli *cli, struct trp_json rule)
{
    struct trp_json shadow, canary, hedge, v;
    struct trp_str out = TRP_STR_LIT("");
    double share = 0;
    if (trp_json_find(rule, "shadow", &shadow) && trp_json_type(shadow) == TRP_JSON_OBJECT)
        out = shadow_text(cli, shadow);
    if (trp_json_find(rule, "canary", &canary) && trp_json_type(canary) == TRP_JSON_OBJECT) {
        if (trp_json_find(canary, "share", &v))
            (void)trp_json_as_f64(v, &share);
        out = trp_arena_format(&cli->arena, "%.*s%scanary %.*s (%.4g %%, %.*s)", TRP_STR(out),
                               out.len ? ", " : "", TRP_STR(cli_field_text(canary, "target")),
                               share * 100, TRP_STR(cli_field_text(canary, "state")));
    }
    if (trp_json_find(rule, "hedge", &hedge) && trp_json_type(hedge) == TRP_JSON_OBJECT)
        out = trp_arena_format(&cli->arena, "%.*s%shedge", TRP_STR(out), out.len ? ", " : "");
    return out;
}

/* Of a route whom it may ask, how often it did, and whether it is left alone; of a cascade how
 * often each step was needed. */
static void print_counts(struct cli *cli, struct trp_json item, const char *key, const char *count)
{
    static const char *const titles[] = { "", ">", ">", "" };
    struct trp_json list, one, breaker;
    struct trp_json_iter it;
    struct cli_table t;
    cli_table_init(&t, &cli->arena, titles, ARRAY_LEN(titles));
    bool more = trp_json_find(item, key, &list) && trp_json_begin(list, &it);
    while (more && trp_json_next(&it, NULL, &one)) {
        const struct trp_str target = cli_field_text(one, "target");
        const bool has_breaker = trp_json_find(one, "breaker", &breaker);
        const struct trp_str cells[] = {
            target.len ? target : cli_field_text(one, "name"),
            trp_arena_format(&cli->arena, "%.*s asked",
                             TRP_STR(cli_field_number(cli, one, "asked"))),
            trp_arena_format(&cli->arena, "%.*s %s", TRP_STR(cli_field_number(cli, one, count)),
                             count),
            has_breaker ? trp_arena_format(&cli->arena, "breaker %.*s",
                                           TRP_STR(cli_field_text(breaker, "state")))
                        : TRP_STR_LIT("")
        };
        cli_table_row(&t, cells);
    }
    if (t.first)
        cli_table_print_section(&t, key, stdout);
}

static void print_rules(struct cli *cli, struct trp_json item)
{
    static const char *const titles[] = { "", "", "", "", "", ">" };
    struct trp_json rules, rule;
    struct trp_json_iter it;
    struct cli_table t;
    cli_table_init(&t, &cli->arena, titles, ARRAY_LEN(titles));
    bool more = trp_json_find(item, "rules", &rules) && trp_json_begin(rules, &it);
    while (more && trp_json_next(&it, NULL, &rule)) {
        const struct trp_str when = cli_field_text(rule, "when");
        const struct trp_str then = joined(cli, rule, "fallback", NULL);
        const struct trp_str cells[] = {
            cli_field_text(rule, "name"),
            when.len ? when : TRP_STR_LIT("always"),
            joined(cli, rule, "targets", "target"),
            then.len ? trp_arena_format(&cli->arena, "else %.*s", TRP_STR(then)) : then,
            besides(cli, rule),
            trp_arena_format(&cli->arena, "%.*s matched",
                             TRP_STR(cli_field_number(cli, rule, "matched")))
        };
        cli_table_row(&t, cells);
    }
    if (t.first)
        cli_table_print_section(&t, "rules", stdout);
}

static void print_tensors(struct cli *cli, struct trp_json item, const char *key)
{
    static const char *const titles[] = { "", "", "" };
    struct trp_json list, tensor;
    struct trp_json_iter it;
    struct cli_table t;
    cli_table_init(&t, &cli->arena, titles, ARRAY_LEN(titles));
    bool more = trp_json_find(item, key, &list) && trp_json_begin(list, &it);
    while (more && trp_json_next(&it, NULL, &tensor)) {
        const struct trp_str cells[] = { cli_field_text(tensor, "name"),
                                         cli_field_text(tensor, "datatype"),
                                         cli_field_shape(cli, tensor) };
        cli_table_row(&t, cells);
    }
    if (t.first)
        cli_table_print_section(&t, key, stdout);
}

/* The one object of the list, as it was sent.  Nothing inside a text looks like the end, because
 * its quotes are escaped. */
static struct trp_str cut_item(struct trp_str body)
{
    static const char head[] = "{\"routes\":[", tail[] = "],\"trouble\":\"";
    if (!trp_str_starts_with(body, trp_str_of(head)))
        return TRP_STR_LIT("null");
    for (size_t at = body.len; at-- > strlen(head);)
        if (trp_str_starts_with(trp_str_make(body.ptr + at, body.len - at), trp_str_of(tail)))
            return trp_str_make(body.ptr + strlen(head), at - strlen(head));
    return TRP_STR_LIT("null");
}

bool cli_print_composed(struct cli *cli, const char *name, int *out_code)
{
    struct trp_error err = { 0 };
    struct cli_composed c;
    struct trp_json item;
    const trp_status st = cli_composed_ask(cli, name, &c, &err);
    const bool is_there = !trp_failed(st) && c.has_any && trp_json_next(&c.it, NULL, &item);
    if (is_there && cli_flag(cli, "json")) {
        printf("%.*s\n", TRP_STR(cut_item(c.body)));
    } else if (is_there) {
        printf("%s at %s\n", name, cli_server(cli));
        print_facts(cli, item);
        print_rules(cli, item);
        print_counts(cli, item, "targets", "failed");
        print_counts(cli, item, "steps", "answered");
        print_tensors(cli, item, "inputs");
        print_tensors(cli, item, "outputs");
    }
    if (is_there)
        *out_code = is_true(item, "ready") ? CLI_OK : CLI_FAILED;
    cli_composed_free(&c);
    if (trp_failed(st))
        *out_code = cli_fail_asking(cli, &err);
    return is_there || trp_failed(st);
}

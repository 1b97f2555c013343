/* cli/model_list.c - see model_list.h. */
#include "cli/model_list.h"

#include "cli/client.h"
#include "cli/reply_fields.h"

#define LIST_BYTES_MAX ((size_t)1 << 31)
#define PAGES_MAX 100000u

/* The models as they were sent: `{"models":[ ... ],"next_page_token": ...` without what is around
 * them.  Nothing inside a text looks like the end, because its quotes are escaped. */
static bool cut_models(struct trp_str body, struct trp_str *out)
{
    static const char head[] = "{\"models\":[", tail[] = "],\"next_page_token\":\"";
    if (!trp_str_starts_with(body, trp_str_of(head)))
        return false;
    size_t end = body.len;
    while (end && body.ptr[end - 1] != ']')
        end--;
    for (size_t at = body.len; at-- > strlen(head);)
        if (trp_str_starts_with(trp_str_make(body.ptr + at, body.len - at), trp_str_of(tail))) {
            end = at + 1;
            break;
        }
    if (end < sizeof head)
        return false;
    *out = trp_str_make(body.ptr + strlen(head), end - 1 - strlen(head));
    return true;
}

static trp_status add_page(struct cli *cli, struct cli_model_list *list, struct trp_str body,
                           struct trp_str *out_token, struct trp_error *err)
{
    struct trp_json root, models;
    if (list->pages_n == list->capacity) {
        const uint32_t more = list->capacity ? list->capacity * 2 : 4;
        struct cli_model_page *pages = trp_arena_zeroed(&cli->arena, more, sizeof *pages);
        if (!pages)
            return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the list of models");
        for (uint32_t i = 0; i < list->pages_n; i++)
            pages[i] = list->pages[i];
        list->pages = pages;
        list->capacity = more;
    }
    struct cli_model_page *page = &list->pages[list->pages_n++];
    TRP_CHECK(trp_json_parser_create(LIST_BYTES_MAX, 64, &page->parser, err));
    TRP_CHECK(trp_json_parse(page->parser, body, false, &root, err));
    if (!trp_json_find(root, "models", &models) || trp_json_type(models) != TRP_JSON_ARRAY ||
        !cut_models(body, &page->text))
        return cli_fail_foreign(cli, err);
    (void)trp_json_begin(models, &page->models); /* false for a page of no models */
    list->is_listed = !cli_field_is_false(root, "listed");
    *out_token = cli_field_text(root, "next_page_token");
    return trp_ok();
}

trp_status cli_model_list_ask(struct cli *cli, const char *query, struct cli_model_list *out,
                              struct trp_error *err)
{
    struct trp_str token = { 0 };
    *out = (struct cli_model_list){ 0 };
    do {
        const char *next = "";
        if (token.len) {
            const struct trp_str text = trp_arena_dup(&cli->arena, token);
            next = text.ptr ? cli_path(cli, "&page_token=%s", text.ptr) : "";
        }
        if (token.len && !next[0])
            return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the list of models");
        const struct trp_str path = trp_arena_format(&cli->arena, "/api/models%s%s%s",
                                                     query[0] || next[0] ? "?" : "", query, next);
        if (!path.ptr)
            return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the list of models");
        const struct cli_request request = { .method = "GET", .path = path.ptr, .json_bytes = -1 };
        struct cli_reply reply;
        TRP_CHECK(cli_ask(cli, &request, &reply, err));
        TRP_CHECK(add_page(cli, out, reply.body, &token, err));
    } while (token.len && out->pages_n < PAGES_MAX);
    return trp_ok();
}

void cli_model_list_free(struct cli_model_list *list)
{
    for (uint32_t i = 0; i < list->pages_n; i++)
        trp_json_parser_destroy(list->pages[i].parser);
    *list = (struct cli_model_list){ 0 };
}

void cli_model_list_each(const struct cli_model_list *list,
                         void (*each)(void *user, struct trp_json model), void *user)
{
    for (uint32_t i = 0; i < list->pages_n; i++) {
        struct trp_json_iter it = list->pages[i].models;
        struct trp_json model;
        while (trp_json_next(&it, NULL, &model))
            each(user, model);
    }
}

/* cli/near_name.c - see near_name.h. */
#include "cli/near_name.h"

#include <string.h>

#include "cli/client.h"
#include "cli/composed.h"
#include "cli/model_list.h"
#include "cli/reply_fields.h"

struct search {
    struct cli *cli;
    struct trp_str wanted; /* up to its '@' */
    struct trp_str best;   /* in the command's arena; empty: none is near */
    uint32_t limit;        /* letters that may be wrong; of the best one: that are */
    bool is_there;         /* it is no slip: something else is wrong */
};

/* A third of the letters may be wrong, and two from four on, because two in the wrong order are
 * two; of a single letter none, which would be another name. */
static uint32_t slips_of(struct trp_str name)
{
    return name.len < 2    ? 0
           : name.len < 4  ? 1
           : name.len < 9  ? 2
           : name.len < 64 ? (uint32_t)name.len / 3
                           : 21;
}

static void consider(void *user, struct trp_json item)
{
    struct search *s = user;
    const struct trp_str name = cli_field_text(item, "name");
    const uint32_t distance = trp_str_distance(s->wanted, name, s->limit);
    s->is_there |= trp_str_is_equal(s->wanted, name);
    if (name.len == 0 || distance > s->limit || (s->best.len > 0 && distance == s->limit))
        return;
    s->best = trp_arena_dup(&s->cli->arena, name);
    s->limit = distance;
}

static void look_around(struct search *s)
{
    struct trp_error ignored = { 0 };
    struct cli_model_list models;
    struct cli_composed composed;
    struct trp_json item;
    if (!trp_failed(cli_model_list_ask(s->cli, "", &models, &ignored)))
        cli_model_list_each(&models, consider, s);
    cli_model_list_free(&models);
    const bool is_told = !trp_failed(cli_composed_ask(s->cli, NULL, &composed, &ignored));
    while (is_told && composed.has_any && trp_json_next(&composed.it, NULL, &item))
        consider(s, item);
    cli_composed_free(&composed);
}

/* NULL: nothing better than a list of all is known. */
static const char *hint_for(struct cli *cli, const char *name)
{
    const char *at = strchr(name, '@');
    const struct trp_str wanted = at ? trp_str_make(name, (size_t)(at - name)) : trp_str_of(name);
    struct search s = { .cli = cli, .wanted = wanted, .limit = slips_of(wanted) };
    uint64_t version;
    look_around(&s);
    if (at && s.is_there && trp_str_parse_u64(trp_str_of(at + 1), &version) &&
        cli_has(cli, "version"))
        return trp_arena_format(&cli->arena,
                                "a version is asked for by: troupe %s %.*s --version %s",
                                cli->command->name, TRP_STR(wanted), at + 1)
            .ptr;
    if (s.best.len == 0 || (s.is_there && !at))
        return NULL;
    return trp_arena_format(&cli->arena, "did you mean '%.*s'? what there is: troupe ls",
                            TRP_STR(s.best))
        .ptr;
}

int cli_fail_of_name(struct cli *cli, const char *name, const struct trp_error *err)
{
    const char *hint = err->status.code == TRP_NOT_FOUND ? hint_for(cli, name) : NULL;
    return hint ? cli_fail(cli, err, hint) : cli_fail_asking(cli, err);
}

/* cli/places.c - see places.h. */
#include "cli/places.h"

#include "cli/settings_options.h"

const char *cli_first_place(const struct cli *cli)
{
    return cli->operands_n ? cli->operands[0] : ".";
}

static trp_status add_place(struct cli_places *p, const char *path, struct trp_error *err)
{
    if (p->n == CLI_PLACES_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "more than %u repositories", CLI_PLACES_MAX);
    TRP_CHECK(cli_check_repository(path, err));
    TRP_CHECK(trp_file_stat(path, &p->stats[p->n], err));
    for (uint32_t i = 0; i < p->n; i++)
        if (p->stats[i].inode == p->stats[p->n].inode &&
            p->stats[i].device == p->stats[p->n].device)
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "%s and %s are the same folder: a repository is given once",
                            p->paths[i], path);
    p->paths[p->n++] = path;
    return trp_ok();
}

trp_status cli_find_places(const struct cli *cli, const struct trp_settings *settings,
                           struct cli_places *out, struct trp_error *err)
{
    const uint32_t n = trp_settings_list_n(settings, TRP_SETTING_ID_REPOSITORIES);
    for (uint32_t i = 0; i < cli->operands_n; i++)
        TRP_CHECK(add_place(out, cli->operands[i], err));
    for (uint32_t i = 0; i < n; i++)
        TRP_TRY(add_place(out, trp_settings_list_at(settings, TRP_SETTING_ID_REPOSITORIES, i), err),
                err, "repository.paths");
    return out->n ? trp_ok() : add_place(out, ".", err);
}

/* cli/settings_options.c - see settings_options.h. */
#include "cli/settings_options.h"

#include "base/file.h"

extern char **environ;

static trp_status read_file(const struct cli *cli, const char *repository, struct trp_settings *s,
                            struct trp_error *err)
{
    const char *named = cli_text(cli, "config", NULL);
    if (named)
        return trp_settings_read_file(s, named, err);
    struct trp_file_stat st;
    char path[4096];
    const int n = snprintf(path, sizeof path, "%s/troupe.yaml", repository);
    if (n < 0 || (size_t)n >= sizeof path || trp_failed(trp_file_stat(path, &st, NULL)))
        return trp_ok();
    return trp_settings_read_file(s, path, err);
}

static trp_status fill(const struct cli *cli, const char *repository, struct trp_settings *s,
                       struct trp_error *err)
{
    const char *value;
    TRP_CHECK(read_file(cli, repository, s, err));
    TRP_CHECK(trp_settings_read_env(s, environ, err));
    for (uint32_t i = 0; (value = cli_list(cli, "listen", i)); i++)
        TRP_CHECK(
            trp_settings_append(s, TRP_SETTING_ID_LISTEN, trp_str_of(value), "--listen", err));
    for (uint32_t i = 0; (value = cli_list(cli, "set", i)); i++)
        TRP_CHECK(trp_settings_set(s, trp_str_of(value), "--set", err));
    return trp_ok();
}

trp_status cli_settings(const struct cli *cli, const char *repository,
                        struct trp_settings **out_settings, struct trp_error *err)
{
    struct trp_settings *s;
    *out_settings = NULL;
    TRP_CHECK(trp_settings_create(trp_heap(), &s, err));
    const trp_status st = fill(cli, repository, s, err);
    if (trp_failed(st))
        trp_settings_destroy(s);
    else
        *out_settings = s;
    return st;
}

int cli_fail_settings(const struct cli *cli, const struct trp_error *err)
{
    const int code = cli_fail(cli, err, "all keys and values: troupe config --explain");
    return err->status.code == TRP_INVALID_ARGUMENT ? CLI_USAGE : code;
}

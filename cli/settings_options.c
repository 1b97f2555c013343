/* cli/settings_options.c - see settings_options.h. */
#include "cli/settings_options.h"

#include <string.h>

#include "base/file.h"
#include "exec/tenants.h"

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
    for (uint32_t i = 0; cli_has(cli, "listen") && (value = cli_list(cli, "listen", i)); i++)
        TRP_CHECK(
            trp_settings_append(s, TRP_SETTING_ID_LISTEN, trp_str_of(value), "--listen", err));
    if (cli_has(cli, "memory-budget") && (value = cli_text(cli, "memory-budget", NULL))) {
        char assignment[256];
        (void)snprintf(assignment, sizeof assignment, "memory.budget=%s", value); /* cut: refused */
        TRP_CHECK(trp_settings_set(s, trp_str_of(assignment), "--memory-budget", err));
    }
    for (uint32_t i = 0; (value = cli_list(cli, "set", i)); i++)
        TRP_CHECK(trp_settings_set(s, trp_str_of(value), "--set", err));
    return trp_ok();
}

/* What a server would refuse when it starts is refused by whoever reads its settings. */
static trp_status check_tenants(const struct trp_settings *s, struct trp_error *err)
{
    const uint32_t n = trp_settings_list_n(s, TRP_SETTING_ID_TENANTS);
    const char *source = trp_settings_source(s, TRP_SETTING_ID_TENANTS);
    if (n > TRP_TENANT_RULES_MAX)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "sched.tenants: more than %u (%s)",
                        TRP_TENANT_RULES_MAX, source);
    for (uint32_t i = 0; i < n; i++) {
        struct trp_tenant_rule rule;
        const char *text = trp_settings_list_at(s, TRP_SETTING_ID_TENANTS, i);
        TRP_TRY(trp_tenant_rule_parse(trp_str_of(text), &rule, err), err, "sched.tenants (%s)",
                source);
    }
    return trp_ok();
}

trp_status cli_settings(const struct cli *cli, const char *repository,
                        struct trp_settings **out_settings, struct trp_error *err)
{
    struct trp_settings *s;
    *out_settings = NULL;
    TRP_CHECK(trp_settings_create(trp_heap(), &s, err));
    trp_status st = fill(cli, repository, s, err);
    if (!trp_failed(st))
        st = check_tenants(s, err);
    if (trp_failed(st))
        trp_settings_destroy(s);
    else
        *out_settings = s;
    return st;
}

trp_status cli_check_repository(const char *path, struct trp_error *err)
{
    struct trp_file_stat st;
    TRP_TRY(trp_file_stat(path, &st, err), err, "repository");
    if (st.kind != 'd')
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "repository: %s is not a folder; give the folder that holds the models",
                        path);
    return trp_ok();
}

/* "watch", "body-bytes": the last part of a key. */
static bool is_end_of_key(const char *key, struct trp_str option)
{
    const char *dot = strrchr(key, '.');
    const char *end = dot ? dot + 1 : key;
    if (strlen(end) != option.len)
        return false;
    for (size_t i = 0; i < option.len; i++) {
        if (end[i] != (option.ptr[i] == '-' ? '_' : option.ptr[i]))
            return false;
    }
    return true;
}

const char *cli_advise_setting(struct cli *cli, struct trp_str option)
{
    static const char every_port[] = "--listen ADDR:PORT (every port speaks HTTP and gRPC)";
    static const struct {
        const char *theirs, *ours;
    } known[] = {
        { "http-port", every_port },
        { "grpc-port", every_port },
        { "metrics-port", every_port },
        { "http-address", every_port },
        { "grpc-address", every_port },
        { "port", every_port },
        { "host", every_port },
        { "model-repository", "an operand: troupe serve FOLDER" },
        { "model-store", "an operand: troupe serve FOLDER" },
        { "model-control-mode", "--set models.load=explicit, or --set repository.watch=poll" },
        { "repository-poll-secs", "--set repository.watch=poll --set repository.poll=15s" },
        { "strict-readiness", "--set health.strict_readiness=true" },
        { "exit-timeout-secs", "--set timeouts.drain=30s" },
        { "backend-directory", "--set backends.path=FOLDER" },
        { "model-load-thread-count", "--set threads.loaders=2" },
        { "log-verbose", "--set log.level=debug" },
        { "log-format", "--set log.format=default|iso8601|json" },
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (trp_str_is(option, known[i].theirs))
            return known[i].ours;
    }
    for (int i = 0; i < TRP_SETTINGS; i++) {
        const char *key = trp_setting_row((enum trp_setting)i)->key;
        if (is_end_of_key(key, option))
            return trp_arena_format(&cli->arena, "--set %s=VALUE", key).ptr;
    }
    return NULL;
}

int cli_fail_settings(const struct cli *cli, const struct trp_error *err)
{
    const bool is_wrong = err->status.code == TRP_INVALID_ARGUMENT;
    const int code =
        cli_fail(cli, err, is_wrong ? "all keys and values: troupe config --explain" : NULL);
    return is_wrong ? CLI_USAGE : code;
}

/* cli/cmd_serve.c - troupe serve: the server itself. */
#include <stdio.h>
#include <string.h>

#include "app/listing_opts.h"
#include "app/server.h"
#include "base/buf.h"
#include "cli/commands.h"
#include "cli/places.h"
#include "cli/port_owner.h"
#include "cli/settings_options.h"

#define NAMES_MAX CLI_VALUES_MAX
#define NAMES_SHOWN 20u

static const struct cli_option options[] = {
    CLI_SETTINGS_OPTIONS,
    { "load-model", 0, CLI_LIST, "NAME",
      "load this model at start, besides what loads by itself; * is all; any number of times" },
    { "exit-on-error", 0, CLI_TEXT, "BOOL",
      "end when the repository has no model of a --load-model; default true" },
};

static void print_address(void *user, const char *address)
{
    (void)user;
    fprintf(stderr, "troupe: listening on %s\n", address);
}

/* "port 8000 is held by troupe (process 4711); ..." */
static const char *port_hint(struct cli *cli, const struct trp_settings *settings)
{
    static const char otherwise[] = "choose another: --listen 127.0.0.1:9000, any number of times; "
                                    "each speaks HTTP and gRPC";
    const uint32_t n = trp_settings_list_n(settings, TRP_SETTING_ID_LISTEN);
    char owner[CLI_OWNER_MAX];
    for (uint32_t i = 0; i < n; i++) {
        const char *colon = strrchr(trp_settings_list_at(settings, TRP_SETTING_ID_LISTEN, i), ':');
        uint64_t port;
        if (colon && trp_str_parse_u64(trp_str_of(colon + 1), &port) && cli_port_owner(port, owner))
            return trp_arena_format(&cli->arena, "port %llu is held by %s; %s",
                                    (unsigned long long)port, owner, otherwise)
                .ptr;
    }
    return otherwise;
}

static int serve(struct cli *cli, const struct cli_places *places, struct trp_settings *settings)
{
    struct trp_error err = { 0 };
    const char *names[NAMES_MAX];
    struct trp_server_opts opts = { .settings = settings,
                                    .repositories = places->paths,
                                    .repositories_n = places->n,
                                    .load_at_start = names,
                                    .worker_program = "/proc/self/exe",
                                    .on_listening = print_address };
    struct trp_server *server;
    while ((names[opts.load_at_start_n] = cli_list(cli, "load-model", opts.load_at_start_n)) &&
           opts.load_at_start_n + 1 < NAMES_MAX)
        opts.load_at_start_n++;
    trp_server_block_signals();
    if (trp_failed(trp_server_create(trp_heap(), &opts, &server, &err))) {
        const bool is_taken = err.status.code == TRP_ALREADY_EXISTS;
        const int code = cli_fail(cli, &err, is_taken ? port_hint(cli, settings) : NULL);
        return err.status.code == TRP_INVALID_ARGUMENT ? CLI_USAGE : code;
    }
    const trp_status st = trp_server_run(server, &err);
    trp_server_destroy(server);
    return trp_failed(st) ? cli_fail(cli, &err, NULL) : CLI_OK;
}

/* -- what cannot be meant -- */

/* "it holds: a, b, c, ..." */
static const char *names_hint(struct cli *cli, const struct trp_repo_opts *opts)
{
    struct trp_repo_listing listing = { .models_n = 0 };
    struct trp_buf b;
    if (trp_failed(trp_repo_list(opts, &cli->arena, &listing, NULL)) || listing.models_n == 0)
        return "it holds no models; to serve all the same: --exit-on-error=false";
    trp_buf_init(&b, trp_heap(), 65536);
    trp_buf_add_text(&b, "it holds: ");
    for (uint32_t i = 0; i < listing.models_n && i < NAMES_SHOWN; i++) {
        trp_buf_add_text(&b, i ? ", " : "");
        trp_buf_add_str(&b, listing.models[i]->name);
    }
    trp_buf_add_text(&b, listing.models_n > NAMES_SHOWN ? ", ..." : "");
    trp_buf_add_text(&b, "; to serve without it: --exit-on-error=false");
    const struct trp_str text = trp_arena_dup(&cli->arena, trp_buf_str(&b));
    trp_buf_deinit(&b);
    return text.ptr;
}

/* Whoever names a model at start means one that is there.  One that is there and broken is another
 * matter: it is in the index with its reason, and the others are served. */
static int check_names(struct cli *cli, const struct cli_places *places,
                       const struct trp_settings *settings)
{
    const struct trp_repo_opts opts = trp_listing_opts_make(settings, places->paths, places->n);
    struct trp_error err = { 0 };
    struct trp_repo_model found;
    const char *name;
    for (uint32_t i = 0; (name = cli_list(cli, "load-model", i)); i++) {
        if (strcmp(name, "*") == 0)
            continue;
        const int32_t code = trp_repo_find(&opts, trp_str_of(name), &cli->arena, &found, &err).code;
        if (code == TRP_NOT_FOUND || code == TRP_INVALID_ARGUMENT) {
            (void)trp_fail(&err, TRP_NOT_FOUND, "--load-model: %s has no model '%s'%s", opts.path,
                           name, opts.further_n ? ", nor has one after it" : "");
            return cli_fail(cli, &err, names_hint(cli, &opts));
        }
    }
    return CLI_OK;
}

static int run(struct cli *cli)
{
    struct trp_error err = { 0 };
    struct trp_settings *settings;
    const char *repository = cli_first_place(cli);
    const char *is_strict = cli_text(cli, "exit-on-error", "true");
    if (strcmp(is_strict, "true") != 0 && strcmp(is_strict, "false") != 0)
        return cli_usage(cli, "--exit-on-error is true or false, not '%s'", is_strict);
    if (trp_failed(cli_check_repository(repository, &err)))
        return cli_fail(cli, &err, NULL);
    if (trp_failed(cli_settings(cli, repository, &settings, &err)))
        return cli_fail_settings(cli, &err);
    struct cli_places places = { .n = 0 };
    int code = trp_failed(cli_find_places(cli, settings, &places, &err)) ? cli_fail(cli, &err, NULL)
                                                                         : CLI_OK;
    if (code == CLI_OK && strcmp(is_strict, "true") == 0)
        code = check_names(cli, &places, settings);
    if (code == CLI_OK)
        code = serve(cli, &places, settings);
    trp_settings_destroy(settings);
    return code;
}

const struct cli_command cmd_serve = {
    .name = "serve",
    .operands = "[REPO...]",
    .help = "serve the models of a folder, or several, until SIGTERM or Ctrl-C",
    .details =
        "REPO is a folder of models (default: the current one): m.onnx, m/model.onnx,\n"
        "m/1/model.onnx, with config.pbtxt or model.yaml beside them, or none.\n"
        "Of several, and those of repository.paths behind them, the first that has a name serves "
        "it.\n"
        "Options stand in troupe.yaml of the first REPO, in the environment, or behind --set; the\n"
        "last wins.\n"
        "SIGTERM and Ctrl-C drain and end with 0; SIGHUP looks at the folders again.",
    .example = "troupe serve examples/models\n"
               "troupe serve examples/models --listen 0.0.0.0:9000 --set repository.watch=notify\n"
               "troupe serve examples/models --set models.load=explicit --load-model digits_mlp",
    .advise = cli_advise_setting,
    .options = options,
    .options_n = ARRAY_LEN(options),
    .operands_max = CLI_PLACES_MAX,
    .run = run,
};

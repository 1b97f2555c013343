/* cli/cmd_serve.c - troupe serve: the server itself. */
#include "app/server.h"
#include "base/file.h"
#include "cli/commands.h"
#include "cli/settings_options.h"

#define NAMES_MAX CLI_VALUES_MAX

static const struct cli_option options[] = {
    CLI_SETTINGS_OPTIONS,
    { "load-model", 0, CLI_LIST, "NAME",
      "load this model at start, with models.load: explicit; any number of times" },
};

static void print_address(void *user, const char *address)
{
    (void)user;
    fprintf(stderr, "troupe: listening on %s\n", address);
}

static int serve(const struct cli *cli, const char *repository, struct trp_settings *settings)
{
    struct trp_error err = { 0 };
    const char *names[NAMES_MAX];
    struct trp_server_opts opts = { .settings = settings,
                                    .repository = repository,
                                    .load_at_start = names,
                                    .on_listening = print_address };
    while ((names[opts.load_at_start_n] = cli_list(cli, "load-model", opts.load_at_start_n)) &&
           opts.load_at_start_n + 1 < NAMES_MAX)
        opts.load_at_start_n++;
    struct trp_server *server;
    trp_server_block_signals();
    if (trp_failed(trp_server_create(trp_heap(), &opts, &server, &err)))
        return cli_fail(cli, &err,
                        err.status.code == TRP_ALREADY_EXISTS
                            ? "another server is there; choose a port with --listen 127.0.0.1:9000"
                            : NULL);
    const trp_status st = trp_server_run(server, &err);
    trp_server_destroy(server);
    return trp_failed(st) ? cli_fail(cli, &err, NULL) : CLI_OK;
}

/* A repository that is not there is a typing mistake, not a repository that is empty for now. */
static trp_status check_repository(const char *path, struct trp_error *err)
{
    struct trp_file_stat st;
    TRP_TRY(trp_file_stat(path, &st, err), err, "repository");
    if (st.kind != 'd')
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "repository: %s is not a folder; give the folder that holds the models",
                        path);
    return trp_ok();
}

static int run(struct cli *cli)
{
    struct trp_error err = { 0 };
    struct trp_settings *settings;
    const char *repository = cli->operands_n ? cli->operands[0] : ".";
    if (trp_failed(check_repository(repository, &err)))
        return cli_fail(cli, &err, NULL);
    if (trp_failed(cli_settings(cli, repository, &settings, &err)))
        return cli_fail_settings(cli, &err);
    const int code = serve(cli, repository, settings);
    trp_settings_destroy(settings);
    return code;
}

const struct cli_command cmd_serve = {
    .name = "serve",
    .operands = "[REPO]",
    .help = "serve the models of a folder until SIGTERM or Ctrl-C",
    .details = "REPO is a folder of models (default: the current one): m.onnx, m/model.onnx,\n"
               "m/1/model.onnx, with config.pbtxt or model.yaml beside them, or none.\n"
               "SIGTERM drains and ends with 0; SIGHUP looks at the folder again.",
    .options = options,
    .options_n = ARRAY_LEN(options),
    .operands_max = 1,
    .run = run,
};

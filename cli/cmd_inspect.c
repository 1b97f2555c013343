/* cli/cmd_inspect.c - troupe inspect: what is inside a model file, or what a server says of a
 * model.
 *
 * A file is read by our own reader, so no runtime and no server are needed; a name is asked of
 * the server. */
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/served_model.h"
#include "onnx/onnx_reader.h"
#include "onnx/onnx_report.h"
#include "repo/repo.h"

#define ENTRIES_MAX 100000u
#define REPORT_BYTES_MAX ((size_t)64 << 20)

static const struct cli_option options[] = {
    CLI_SERVER_OPTION,
    { "json", 'j', CLI_FLAG, NULL, "print JSON" },
};

static struct trp_str folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? trp_str_make(path, (size_t)(slash - path)) : TRP_STR_LIT(".");
}

/* What would stop a load before the runtime sees the file: inputs and outputs that cannot be
 * served, external data that is not where it may be. */
static trp_status check_loadable(struct cli *cli, const char *path,
                                 const struct trp_onnx_model *model, struct trp_error *err)
{
    struct trp_signature signature;
    for (uint32_t i = 0; i < model->externals_n; i++) {
        const struct trp_onnx_external *e = &model->externals[i];
        struct trp_str place;
        TRP_TRY(trp_repo_inside(folder_of(path), e->path, &cli->arena, &place, err), err,
                "%s will not load: external data of tensor '%.*s'", path, TRP_STR(e->tensor));
    }
    TRP_TRY(trp_onnx_signature(model, &cli->arena, &signature, err), err, "%s will not load", path);
    return trp_ok();
}

static int print_file(struct cli *cli, const char *path)
{
    struct trp_error err = { 0 };
    struct trp_onnx_model model;
    struct trp_buf text;
    const struct trp_onnx_opts opts = { 0 };
    if (trp_failed(trp_onnx_read_file(path, &opts, &cli->arena, &model, &err)))
        return cli_fail(cli, &err, NULL);
    trp_buf_init(&text, trp_heap(), REPORT_BYTES_MAX);
    if (cli_flag(cli, "json"))
        trp_onnx_report_json(&model, trp_str_of(path), &text);
    else
        trp_onnx_report_text(&model, trp_str_of(path), &text);
    int code = CLI_OK;
    if (trp_failed(trp_buf_check(&text, "report", &err)))
        code = cli_fail(cli, &err, NULL);
    else
        fwrite(text.ptr, 1, text.len, stdout);
    trp_buf_deinit(&text);
    if (code == CLI_OK && trp_failed(check_loadable(cli, path, &model, &err))) {
        fflush(stdout); /* the report stands before what is wrong with it */
        (void)cli_fail(cli, &err, NULL);
        code = CLI_FAILED;
    }
    return code;
}

/* The file that a folder of a repository would be served from: m/model.onnx, or the highest
 * version's. */
static const char *file_in(struct cli *cli, const char *folder)
{
    struct trp_file_stat st;
    struct trp_str path = trp_arena_format(&cli->arena, "%s/model.onnx", folder);
    for (int version = 1; path.ptr && version <= 1000; version++) {
        if (!trp_failed(trp_file_stat(path.ptr, &st, NULL)) && st.kind == 'f')
            return path.ptr;
        path = trp_arena_format(&cli->arena, "%s/%d/model.onnx", folder, version);
    }
    return NULL;
}

struct folder {
    struct cli *cli;
    const char *path, *first; /* its first model; NULL: none was met */
};

static trp_status find_first(void *user, const char *name, struct trp_error *err)
{
    struct folder *f = user;
    (void)err;
    if (f->first || name[0] == '.')
        return trp_ok();
    const size_t n = strlen(f->path);
    const char *slash = n > 0 && f->path[n - 1] == '/' ? "" : "/";
    const char *path = trp_arena_format(&f->cli->arena, "%s%s%s", f->path, slash, name).ptr;
    if (path &&
        (trp_str_ends_with(trp_str_of(name), TRP_STR_LIT(".onnx")) || file_in(f->cli, path)))
        f->first = path;
    return trp_ok();
}

/* Of a folder that is a repository, which was meant to be one model: one of those that are in
 * it.  NULL: none is. */
static const char *model_of(struct cli *cli, const char *path)
{
    struct folder f = { .cli = cli, .path = path };
    struct trp_error ignored = { 0 };
    (void)trp_dir_each(path, ENTRIES_MAX, find_first, &f, &ignored);
    return f.first;
}

/* The server was asked before: it may have a model of this name. */
static int tell_of_folder(struct cli *cli, const char *path, int code)
{
    const char *model = model_of(cli, path);
    if (model)
        fprintf(stderr,
                "  '%s' here is a folder of models, and one is told of by: troupe inspect %s\n",
                path, model);
    return code;
}

static int run(struct cli *cli)
{
    struct trp_error err = { 0 };
    struct trp_file_stat st;
    const char *what = cli->operands[0];
    const bool is_there = !trp_failed(trp_file_stat(what, &st, &err));
    if (is_there && st.kind == 'f')
        return print_file(cli, what);
    if (is_there && st.kind == 'd') {
        const char *file = file_in(cli, what);
        if (file)
            return print_file(cli, file);
    }
    const bool looks_like_a_path =
        strchr(what, '/') || trp_str_ends_with(trp_str_of(what), TRP_STR_LIT(".onnx"));
    const bool is_folder = is_there && st.kind == 'd';
    if (looks_like_a_path && !is_there)
        return cli_fail(cli, &err, NULL);
    const int code = looks_like_a_path ? cli_usage(cli, "'%s' holds no model.onnx", what)
                                       : cli_print_served_model(cli, what);
    const bool is_nobody = code == CLI_USAGE || code == CLI_NOT_FOUND || code == CLI_UNREACHABLE;
    return is_folder && is_nobody ? tell_of_folder(cli, what, code) : code;
}

const struct cli_command cmd_inspect = {
    .name = "inspect",
    .operands = "FILE|MODEL",
    .help = "tell what is inside a model file, or what a running server says of a model",
    .details =
        "FILE is an .onnx file (or a folder that holds one): inputs, outputs, operators, "
        "parameters,\n"
        "size and hazards, from troupe's own reader.  MODEL is a name that a running server "
        "knows:\n"
        "its versions and their states, inputs, outputs and configuration.  A file in the current\n"
        "folder comes before a model of the same name.",
    .example = "troupe inspect examples/models/digits_linear.onnx\n"
               "troupe inspect digits_cnn\n"
               "troupe inspect --json digits_cnn | jq .config",
    .options = options,
    .options_n = ARRAY_LEN(options),
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};

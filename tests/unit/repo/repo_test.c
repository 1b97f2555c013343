/* Folders as people and scripts leave them, and what the list says of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "repo/repo.h"
#include "scratch.h"

#define TEXT(literal)                \
    {                                \
        literal, sizeof(literal) - 1 \
    }

struct fixture {
    char base[SCRATCH_PATH_MAX], root[80];
    struct trp_arena arena;
    struct trp_repo_opts opts;
    struct trp_repo_listing listing;
};

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    scratch_folder(f->base, "repo");
    (void)snprintf(f->root, sizeof f->root, "%s/repo", f->base);
    assert_int_equal(mkdir(f->root, 0755), 0);
    trp_arena_init(&f->arena, trp_heap(), 1 << 16, 0);
    f->opts = (struct trp_repo_opts){
        .path = f->root, .models_max = 5000, .versions_max = 20, .config_bytes_max = 1 << 16
    };
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    trp_arena_deinit(&f->arena);
    (void)nftw(f->base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

/* Writes a file below the repository's parent ("repo/m/1/model.onnx"), folders included. */
static void put(struct fixture *f, const char *path, const char *text)
{
    char full[512];
    (void)snprintf(full, sizeof full, "%s/%s", f->base, path);
    for (char *slash = full + strlen(f->base) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    if (full[strlen(full) - 1] == '/')
        return; /* a folder only */
    FILE *out = fopen(full, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static void put_link(struct fixture *f, const char *path, const char *target)
{
    char full[512];
    (void)snprintf(full, sizeof full, "%s/%s", f->base, path);
    assert_int_equal(symlink(target, full), 0);
}

static void list(struct fixture *f)
{
    struct trp_error err = { 0 };
    if (trp_failed(trp_repo_list(&f->opts, &f->arena, &f->listing, &err)))
        fail_msg("list: %s", err.text);
}

static const struct trp_repo_model *get(const struct fixture *f, const char *name)
{
    for (uint32_t i = 0; i < f->listing.models_n; i++)
        if (trp_str_is(f->listing.models[i]->name, name))
            return f->listing.models[i];
    return NULL;
}

/* The one usable version of a model, by the end of its file's path. */
static void check_one(const struct fixture *f, const char *name, int64_t number, const char *path)
{
    const struct trp_repo_model *m = get(f, name);
    assert_non_null(m);
    if (trp_failed(m->error.status))
        fail_msg("%s: %s", name, m->error.text);
    assert_int_equal(m->versions_n, 1);
    assert_int_equal(m->versions[0].number, number);
    char full[512];
    (void)snprintf(full, sizeof full, "%s/%s", f->root, path);
    assert_true(trp_str_is(m->versions[0].path, full));
}

static void check_broken(const struct fixture *f, const char *name, const char *words)
{
    const struct trp_repo_model *m = get(f, name);
    assert_non_null(m);
    assert_true(trp_failed(m->error.status));
    if (!strstr(m->error.text, words))
        fail_msg("%s: '%s' does not say '%s'", name, m->error.text, words);
    assert_int_equal(m->versions_n, 0);
}

static void every_plain_layout_is_a_model(void **state)
{
    struct fixture *f = *state;
    put(f, "repo/a.onnx", "x");
    put(f, "repo/b/model.onnx", "x");
    put(f, "repo/c/1/model.onnx", "x");
    put(f, "repo/d/3/model.onnx/model.onnx", "x");
    put(f, "repo/d/3/model.onnx/weights.bin", "x");
    put(f, "repo/e.echo", "");
    put(f, "repo/g/2/model.null", "");
    list(f);
    assert_int_equal(f->listing.models_n, 6);
    check_one(f, "a", 1, "a.onnx");
    check_one(f, "b", 1, "b/model.onnx");
    check_one(f, "c", 1, "c/1/model.onnx");
    check_one(f, "d", 3, "d/3/model.onnx/model.onnx");
    check_one(f, "e", 1, "e.echo");
    check_one(f, "g", 2, "g/2/model.null");
    assert_true(trp_str_is(get(f, "a")->peek.backend, "onnxruntime"));
    assert_true(trp_str_is(get(f, "d")->peek.backend, "onnxruntime"));
    assert_true(trp_str_is(get(f, "e")->peek.backend, "echo"));
    assert_true(trp_str_is(get(f, "g")->peek.backend, "null"));
    assert_int_equal(get(f, "a")->folder.len, 0);
    assert_int_equal(get(f, "a")->peek.load, TRP_LOAD_ON_DEMAND);
}

static void what_is_no_model_is_passed_over(void **state)
{
    struct fixture *f = *state;
    put(f, "repo/troupe.yaml", "x");
    put(f, "repo/routes.yaml", "x");
    put(f, "repo/README.md", "x");
    put(f, "repo/weights.bin", "x");
    put(f, "repo/.git/config", "x");
    put(f, "repo/.onnx", "x");
    list(f);
    assert_int_equal(f->listing.models_n, 0);
}

static void names_are_sorted(void **state)
{
    struct fixture *f = *state;
    put(f, "repo/m.onnx", "x");
    put(f, "repo/m-a/model.onnx", "x");
    put(f, "repo/m0.onnx", "x");
    put(f, "repo/A.onnx", "x");
    list(f);
    assert_int_equal(f->listing.models_n, 4);
    static const char *const want[] = { "A", "m", "m-a", "m0" };
    for (uint32_t i = 0; i < 4; i++)
        assert_true(trp_str_is(f->listing.models[i]->name, want[i]));
}

static void a_broken_model_is_an_entry_that_says_why_and_hides_nobody(void **state)
{
    struct fixture *f = *state;
    put(f, "repo/good.onnx", "x");
    put(f, "repo/empty/", "");
    put(f, "repo/other/net.onnx", "x");
    put(f, "repo/half/1/", "");
    put(f, "repo/half/1/notes.txt", "x");
    put(f, "repo/twice.onnx", "x");
    put(f, "repo/twice/model.onnx", "x");
    put(f, "repo/both/model.onnx", "x");
    put(f, "repo/both/config.pbtxt", "");
    put(f, "repo/both/model.yaml", "");
    put(f, "repo/typo/model.onnx", "x");
    put(f, "repo/typo/config.pbtxt", "max_batch_sise: 4\n");
    put(f, "repo/renamed/model.onnx", "x");
    put(f, "repo/renamed/config.pbtxt", "name: \"before\"\n");
    put(f, "repo/python/1/model.py", "x");
    put(f, "repo/python/config.pbtxt", "backend: \"python\"\n");
    list(f);
    assert_int_equal(f->listing.models_n, 9);
    check_one(f, "good", 1, "good.onnx");
    check_broken(f, "empty", "expected empty/model.onnx or empty/1/model.onnx");
    check_broken(f, "other", "found 'net.onnx'");
    check_broken(f, "half", "expected half/1/model.onnx");
    check_broken(f, "twice", "twice");
    check_broken(f, "both", "both config.pbtxt and model.yaml");
    check_broken(f, "typo", "typo/config.pbtxt:1");
    check_broken(f, "typo", "max_batch_size");
    check_broken(f, "renamed", "'before'");
    check_broken(f, "python", "default_model_filename");
}

static void a_configuration_too_large_to_read_is_refused(void **state)
{
    struct fixture *f = *state;
    f->opts.config_bytes_max = 8;
    put(f, "repo/m/model.onnx", "x");
    put(f, "repo/m/config.pbtxt", "# a long comment\n");
    list(f);
    check_broken(f, "m", "limit");
}

static void a_default_file_name_is_what_counts(void **state)
{
    struct fixture *f = *state;
    put(f, "repo/m/1/net.onnx", "x");
    put(f, "repo/m/config.pbtxt", "default_model_filename: \"net.onnx\"\n");
    list(f);
    check_one(f, "m", 1, "m/1/net.onnx");
}

/* It could name any file of the machine, and once did: names were joined and only the last one
 * was looked at. */
static void a_default_file_name_does_not_lead_out_of_the_version(void **state)
{
    struct fixture *f = *state;
    static const struct row {
        const char *name, *words; /* NULL: found */
    } rows[] = {
        { "net.onnx", NULL },
        { "deep/net.onnx", NULL },
        { "fine/net.onnx", NULL },
        { "absent/net.onnx", "no model file" },
        { "../../../outside/net.onnx", "leaves the version's folder" },
        { "deep/../net.onnx", "leaves the version's folder" },
        { "deep/./net.onnx", "leaves the version's folder" },
        { "deep//net.onnx", "leaves the version's folder" },
        { "/etc/passwd", "leaves the version's folder" },
        { "out/net.onnx", "leaves the repository" },
    };
    put(f, "outside/net.onnx", "x");
    put(f, "repo/m/1/net.onnx", "x");
    put(f, "repo/m/1/deep/net.onnx", "x");
    put_link(f, "repo/m/1/fine", "deep");
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        char text[128];
        print_message("'%s'\n", r->name);
        if (strncmp(r->name, "out/", 4) == 0)
            put_link(f, "repo/m/1/out", "../../../outside");
        (void)snprintf(text, sizeof text, "default_model_filename: \"%s\"\n", r->name);
        put(f, "repo/m/config.pbtxt", text);
        list(f);
        if (r->words) {
            check_broken(f, "m", r->words);
            continue;
        }
        (void)snprintf(text, sizeof text, "m/1/%s", r->name);
        check_one(f, "m", 1, text);
    }
}

static void links_in_circles_are_not_followed_for_ever(void **state)
{
    struct fixture *f = *state;
    put(f, "repo/good.onnx", "x");
    put(f, "repo/m/1/model.onnx", "x");
    for (int i = 0; i < 400; i++) { /* 400 ways, four folders deep: 25,600,000,000 files */
        char path[64];
        (void)snprintf(path, sizeof path, "repo/m/1/around%03d", i);
        put_link(f, path, ".");
    }
    list(f);
    check_broken(f, "m", "more than 20000 files");
    check_one(f, "good", 1, "good.onnx");
}

static void only_proper_numbers_are_versions(void **state)
{
    struct fixture *f = *state;
    put(f, "repo/m/2/model.onnx", "x");
    put(f, "repo/m/007/model.onnx", "x");
    put(f, "repo/m/0/model.onnx", "x");
    put(f, "repo/m/99999999999999999999/model.onnx", "x");
    put(f, "repo/m/warmup/data", "x");
    put(f, "repo/m/v3/model.onnx", "x");
    list(f);
    check_one(f, "m", 2, "m/2/model.onnx");
    assert_int_not_equal(get(f, "m")->warnings.len, 0);
}

static void the_policy_chooses_among_versions(void **state)
{
    struct fixture *f = *state;
    static const struct row {
        const char *name, *config;
        uint32_t versions_n;
        int64_t want[3];
    } rows[] = {
        { "default", "", 1, { 10 } },
        { "latest", "version_policy { latest { num_versions: 2 } }", 2, { 9, 10 } },
        { "more", "version_policy { latest { num_versions: 7 } }", 3, { 2, 9, 10 } },
        { "all", "version_policy { all { } }", 3, { 2, 9, 10 } },
        { "some", "version_policy { specific { versions: [ 2, 5, 10 ] } }", 2, { 2, 10 } },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        static const char *const files[] = { "10/model.echo", "9/model.echo", "2/model.echo" };
        char path[128];
        for (size_t k = 0; k < ARRAY_LEN(files); k++) {
            (void)snprintf(path, sizeof path, "repo/%s/%s", rows[i].name, files[k]);
            put(f, path, "");
        }
        (void)snprintf(path, sizeof path, "repo/%s/config.pbtxt", rows[i].name);
        put(f, path, rows[i].config);
    }
    put(f, "repo/none/1/model.echo", "");
    put(f, "repo/none/config.pbtxt", "version_policy { specific { versions: [ 4 ] } }");
    list(f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct trp_repo_model *m = get(f, rows[i].name);
        print_message("%s %s\n", rows[i].name, m->error.text);
        assert_int_equal(m->versions_n, rows[i].versions_n);
        for (uint32_t k = 0; k < m->versions_n; k++)
            assert_int_equal(m->versions[k].number, rows[i].want[k]);
    }
    assert_non_null(strstr(get(f, "some")->warnings.ptr, "version 5"));
    check_broken(f, "none", "no version is available");
}

static void too_many_versions_are_refused_and_too_many_models_end_the_list(void **state)
{
    struct fixture *f = *state;
    f->opts.versions_max = 2;
    put(f, "repo/m/1/model.echo", "");
    put(f, "repo/m/2/model.echo", "");
    put(f, "repo/m/3/model.echo", "");
    list(f);
    check_broken(f, "m", "more than 2 versions");
    put(f, "repo/n.echo", "");
    f->opts.models_max = 1;
    struct trp_error err = { 0 };
    assert_int_equal(trp_repo_list(&f->opts, &f->arena, &f->listing, &err).code, TRP_TOO_LARGE);
}

static uint64_t digest_of(struct fixture *f, const char *name)
{
    struct trp_repo_model m;
    struct trp_error err = { 0 };
    if (trp_failed(trp_repo_find(&f->opts, trp_str_of(name), &f->arena, &m, &err)))
        fail_msg("find: %s", err.text);
    assert_int_equal(m.versions_n, 1);
    return m.versions[0].digest;
}

static void a_digest_changes_with_the_files_and_only_with_them(void **state)
{
    struct fixture *f = *state;
    put(f, "repo/m/1/model.echo", "");
    put(f, "repo/m/1/data/weights.bin", "one");
    put(f, "repo/m/warmup/digit", "half of i");
    put(f, "repo/m/config.pbtxt", "");
    uint64_t last = digest_of(f, "m");
    assert_int_equal(digest_of(f, "m"), last);
    static const char *const changes[] = { "repo/m/1/model.echo", "repo/m/1/data/weights.bin",
                                           "repo/m/config.pbtxt", "repo/m/labels.txt",
                                           "repo/m/warmup/digit" };
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        put(f, changes[i], "# something longer\n");
        const uint64_t now = digest_of(f, "m");
        assert_int_not_equal(now, last);
        last = now;
    }
    put(f, "repo/m/.swap", "x"); /* editors leave these */
    put(f, "repo/n.echo", "");
    assert_int_equal(digest_of(f, "m"), last);
}

static void links_may_not_leave_the_repository(void **state)
{
    struct fixture *f = *state;
    put(f, "outside/1/model.onnx", "x");
    put(f, "repo/inside/1/model.onnx", "x");
    put(f, "repo/file/1/", "");
    put_link(f, "repo/folder", "../outside");
    put_link(f, "repo/bare.onnx", "../outside/1/model.onnx");
    put_link(f, "repo/file/1/model.onnx", "../../../outside/1/model.onnx");
    put(f, "repo/version/", "");
    put_link(f, "repo/version/1", "../../outside/1");
    put_link(f, "repo/fine", "inside");
    put_link(f, "repo/loop.onnx", "loop.onnx");
    list(f);
    check_one(f, "inside", 1, "inside/1/model.onnx");
    check_one(f, "fine", 1, "fine/1/model.onnx");
    check_broken(f, "folder", "leaves the repository");
    check_broken(f, "bare", "leaves the repository");
    check_broken(f, "file", "leaves the repository");
    check_broken(f, "version", "leaves the repository");
    check_broken(f, "loop", "loop.onnx");
}

static void one_model_is_found_as_the_list_has_it(void **state)
{
    struct fixture *f = *state;
    put(f, "repo/a.onnx", "x");
    put(f, "repo/b/4/model.onnx", "x");
    put(f, "repo/c.onnx", "x");
    put(f, "repo/c.echo", "x");
    put(f, "repo/d/config.pbtxt", "");
    list(f);
    for (uint32_t i = 0; i < f->listing.models_n; i++) {
        const struct trp_repo_model *listed = f->listing.models[i];
        struct trp_repo_model found;
        assert_false(trp_failed(trp_repo_find(&f->opts, listed->name, &f->arena, &found, NULL)));
        assert_string_equal(found.error.text, listed->error.text);
        assert_int_equal(found.versions_n, listed->versions_n);
        for (uint32_t k = 0; k < found.versions_n; k++)
            assert_int_equal(found.versions[k].digest, listed->versions[k].digest);
    }
}

static void a_name_that_is_none_is_refused_before_the_disk_is_asked(void **state)
{
    struct fixture *f = *state;
    put(f, "outside.onnx", "x");
    static const struct row {
        struct trp_str name;
        enum trp_code code;
    } rows[] = {
        { { "", 0 }, TRP_INVALID_ARGUMENT },          { TEXT("  "), TRP_INVALID_ARGUMENT },
        { TEXT("."), TRP_INVALID_ARGUMENT },          { TEXT(".."), TRP_INVALID_ARGUMENT },
        { TEXT("../outside"), TRP_INVALID_ARGUMENT }, { TEXT("a/b"), TRP_INVALID_ARGUMENT },
        { { "a\0b", 3 }, TRP_INVALID_ARGUMENT },      { TEXT("absent"), TRP_NOT_FOUND },
        { TEXT(".hidden"), TRP_NOT_FOUND },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct trp_repo_model m;
        struct trp_error err = { 0 };
        assert_int_equal(trp_repo_find(&f->opts, rows[i].name, &f->arena, &m, &err).code,
                         rows[i].code);
        assert_int_not_equal(err.text[0], '\0');
    }
}

static void an_absent_repository_is_said_so(void **state)
{
    struct fixture *f = *state;
    struct trp_error err = { 0 };
    f->opts.path = "/nonexistent/models";
    assert_int_equal(trp_repo_list(&f->opts, &f->arena, &f->listing, &err).code, TRP_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nonexistent/models"));
    char file[128];
    put(f, "plain", "x");
    (void)snprintf(file, sizeof file, "%s/plain", f->base);
    f->opts.path = file;
    assert_int_equal(trp_repo_list(&f->opts, &f->arena, &f->listing, &err).code,
                     TRP_INVALID_ARGUMENT);
}

static void what_a_model_names_must_lie_beside_it(void **state)
{
    struct fixture *f = *state;
    put(f, "repo/m/data/weights.bin", "x");
    put(f, "repo/secret", "x");
    put_link(f, "repo/m/out", "../secret");
    put_link(f, "repo/m/in", "data/weights.bin");
    char folder[128];
    (void)snprintf(folder, sizeof folder, "%s/m", f->root);
    static const struct row {
        struct trp_str path;
        enum trp_code code;
    } rows[] = {
        { TEXT("data/weights.bin"), TRP_OK },
        { TEXT("in"), TRP_OK },
        { TEXT("./data/weights.bin"), TRP_OK },
        { TEXT("..weights"), TRP_NOT_FOUND },
        { TEXT("absent"), TRP_NOT_FOUND },
        { TEXT("../secret"), TRP_INVALID_ARGUMENT },
        { TEXT("data/../../secret"), TRP_INVALID_ARGUMENT },
        { TEXT("data/../data/weights.bin"), TRP_INVALID_ARGUMENT },
        { TEXT("/etc/passwd"), TRP_INVALID_ARGUMENT },
        { TEXT("out"), TRP_INVALID_ARGUMENT },
        { { "", 0 }, TRP_INVALID_ARGUMENT },
        { { "in\0", 3 }, TRP_INVALID_ARGUMENT },
        { TEXT("data"), TRP_INVALID_ARGUMENT },
        { TEXT("pipe"), TRP_INVALID_ARGUMENT }, /* opening it would wait for a writer, for ever */
    };
    char pipe[160];
    (void)snprintf(pipe, sizeof pipe, "%s/pipe", folder);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct trp_str path = { 0 };
        struct trp_error err = { 0 };
        print_message("'%.*s'\n", TRP_STR(rows[i].path));
        assert_int_equal(
            trp_repo_inside(trp_str_of(folder), rows[i].path, &f->arena, &path, &err).code,
            rows[i].code);
        assert_int_equal(path.len != 0, rows[i].code == TRP_OK);
    }
}

#define ENSEMBLE(file)                                                        \
    "platform: \"ensemble\"\noutput { name: \"y\" label_filename: \"" file    \
    "\" }\noutput { name: \"z\" }\nensemble_scheduling { step { model_name: " \
    "\"a\" } }\n"

/* What is made of models is not loaded, so the list has what it names. */
static void labels_of_ensembles_come_with_the_list(void **state)
{
    struct fixture *f = *state;
    put(f, "repo/good/config.pbtxt", ENSEMBLE("l.txt"));
    put(f, "repo/good/l.txt", "ant\nbee\n");
    put(f, "repo/lacks/config.pbtxt", ENSEMBLE("l.txt"));
    put(f, "repo/leaves/config.pbtxt", ENSEMBLE("../good/l.txt"));
    list(f);
    const struct trp_repo_model *good = get(f, "good");
    assert_non_null(good->definition);
    assert_int_equal(good->error.status.code, TRP_FAILED_PRECONDITION);
    assert_int_equal(good->labels_why.len, 0);
    assert_non_null(good->labels);
    assert_true(trp_str_is(good->labels->first->key, "y"));
    assert_true(trp_str_is(good->labels->first->v.s, "ant\nbee\n"));
    assert_null(good->labels->first->next);
    static const char *const bad[] = { "lacks", "leaves" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const struct trp_repo_model *m = get(f, bad[i]);
        assert_non_null(m->definition);
        assert_null(m->labels);
        assert_non_null(strstr(m->labels_why.ptr, "config.pbtxt:2: labels of output 'y': "));
    }
}

static void a_thousand_models_are_listed_at_once(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 1000; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "repo/m%03d/1/model.onnx", i);
        put(f, path, "x");
        (void)snprintf(path, sizeof path, "repo/m%03d/config.pbtxt", i);
        put(f, path, "max_batch_size: 8\n");
    }
    const struct trp_clock *clock = trp_clock_system();
    const int64_t start = trp_clock_now_ns(clock);
    list(f);
    print_message("1,000 models in %lld us\n", (long long)(trp_clock_now_ns(clock) - start) / 1000);
    assert_int_equal(f->listing.models_n, 1000);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(f->listing.models[i]->versions_n, 1);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(every_plain_layout_is_a_model),
        WITH_FOLDER(what_is_no_model_is_passed_over),
        WITH_FOLDER(names_are_sorted),
        WITH_FOLDER(a_broken_model_is_an_entry_that_says_why_and_hides_nobody),
        WITH_FOLDER(a_configuration_too_large_to_read_is_refused),
        WITH_FOLDER(a_default_file_name_is_what_counts),
        WITH_FOLDER(a_default_file_name_does_not_lead_out_of_the_version),
        WITH_FOLDER(links_in_circles_are_not_followed_for_ever),
        WITH_FOLDER(only_proper_numbers_are_versions),
        WITH_FOLDER(the_policy_chooses_among_versions),
        WITH_FOLDER(too_many_versions_are_refused_and_too_many_models_end_the_list),
        WITH_FOLDER(a_digest_changes_with_the_files_and_only_with_them),
        WITH_FOLDER(links_may_not_leave_the_repository),
        WITH_FOLDER(one_model_is_found_as_the_list_has_it),
        WITH_FOLDER(a_name_that_is_none_is_refused_before_the_disk_is_asked),
        WITH_FOLDER(an_absent_repository_is_said_so),
        WITH_FOLDER(what_a_model_names_must_lie_beside_it),
        WITH_FOLDER(labels_of_ensembles_come_with_the_list),
        WITH_FOLDER(a_thousand_models_are_listed_at_once),
    };
    return cmocka_run_group_tests_name("repo", tests, NULL, NULL);
}

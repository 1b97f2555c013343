/* repo/model_folder.c - see model_folder.h
 *
 *   m/config.pbtxt or m/model.yaml     how it wants to be served (at most one of them)
 *   m/model.onnx                       version 1, or
 *   m/<number>/model.onnx              a version each (Triton's layout), or
 *   m/<number>/model.onnx/model.onnx   the same with external data in a folder of its own
 *
 * A version's folder may hold a manifest (manifest.h); here it is only noted where.
 *
 * The digest of a version is made of names, sizes, times and inodes: of its own files, of the plain
 * files beside the configuration (which labels may be), and of those in `warmup/` and
 * `initial_state/`.  A model is looked at, never opened: 1,000 of them are listed in some 20 ms. */
#include "repo/model_folder.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "conf/model_schema.h"
#include "repo/digest.h"
#include "repo/manifest.h"

#define FILES_MAX 10000u /* in one folder of a model */
#define TREE_MAX 20000u  /* in a version's folder and all below it: a link may lead in circles */
#define DEPTH_MAX 4u     /* of folders inside a version */

/* What a model file may be called when nobody said, and who runs it. */
static const struct kind {
    const char *file, *ending, *backend;
} kinds[] = {
    { "model.onnx", ".onnx", "onnxruntime" },
    { "model.echo", ".echo", "echo" },
    { "model.null", ".null", "null" },
};

struct trp_str trp_model_file_backend(struct trp_str file, size_t *out_stem_len)
{
    for (const struct kind *k = kinds; k < kinds + ARRAY_LEN(kinds); k++) {
        const struct trp_str ending = trp_str_of(k->ending);
        if (file.len <= ending.len || !trp_str_ends_with(file, ending))
            continue;
        *out_stem_len = file.len - ending.len;
        return trp_str_of(k->backend);
    }
    return (struct trp_str){ 0 };
}

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "model: no memory");
}

/* ---- what lies in a folder ---- */

struct scan {
    struct trp_repo_walk *walk;
    uint32_t depth, seen_n;
    uint64_t digest;
    struct trp_str manifest; /* of a version's folder only */
    /* of a model's own folder only */
    struct trp_repo_model *model;
    bool has_pbtxt, has_yaml;
    int64_t *numbers; /* version folders */
    uint32_t numbers_n, numbers_capacity;
    const char *stray; /* a model file by another name than expected */
};

static trp_status digest_folder(struct scan *s, struct trp_error *err);

/* Files come sorted by name: a manifest.json stands in place of a SHA256SUMS beside it. */
static trp_status note_manifest(struct scan *s, const char *name, struct trp_error *err)
{
    if (strcmp(name, TRP_MANIFEST_JSON) != 0 && strcmp(name, TRP_MANIFEST_SUMS) != 0)
        return trp_ok();
    s->manifest = trp_arena_dup(s->walk->arena, trp_str_make(s->walk->path, s->walk->len));
    return s->manifest.ptr ? trp_ok() : no_memory(err);
}

/* Adds what the walk stands on: a file, or a folder and all in it. */
static trp_status digest_here(struct scan *s, const char *name, struct trp_error *err)
{
    struct trp_file_stat st;
    const trp_status look = trp_repo_walk_look(s->walk, &st, err);
    if (look.code == TRP_NOT_FOUND)
        return trp_ok(); /* went away just now; the next listing sees it */
    TRP_CHECK(look);
    if (++s->seen_n > TREE_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "%s: more than %u files in one tree",
                        trp_repo_walk_place(s->walk), TREE_MAX);
    s->digest = trp_digest_add_file(s->digest, name, &st);
    if (st.kind == 'f' && s->depth == 0)
        TRP_CHECK(note_manifest(s, name, err));
    if (st.kind != 'd' || s->depth == DEPTH_MAX)
        return trp_ok();
    s->depth++;
    const trp_status below = digest_folder(s, err);
    s->depth--;
    return below;
}

static trp_status digest_entry(void *user, const char *name, struct trp_error *err)
{
    struct scan *s = user;
    const size_t len = s->walk->len;
    if (trp_repo_is_hidden(name))
        return trp_ok();
    TRP_CHECK(trp_repo_walk_push(s->walk, name, err));
    const trp_status st = digest_here(s, name, err);
    trp_repo_walk_pop(s->walk, len);
    return st;
}

/* Adds everything in the folder where the walk stands. */
static trp_status digest_folder(struct scan *s, struct trp_error *err)
{
    return trp_dir_each(s->walk->path, FILES_MAX, digest_entry, s, err);
}

/* Triton's rule: digits, and no 0 in front.  Version 0 would be mistaken for "the default one". */
static bool is_version_name(const char *name, int64_t *out_number)
{
    return name[0] >= '1' && name[0] <= '9' && trp_str_parse_i64(trp_str_of(name), out_number);
}

static trp_status add_number(struct scan *s, int64_t number, struct trp_error *err)
{
    if (s->numbers_n == s->walk->opts->versions_max)
        return trp_fail_limit(err, TRP_TOO_LARGE, TRP_LIMIT_VERSIONS,
                              "more than %u versions (limits.versions_per_model)", s->numbers_n);
    if (s->numbers_n == s->numbers_capacity) {
        const uint32_t capacity = s->numbers_capacity ? s->numbers_capacity * 2 : 4;
        int64_t *grown = trp_arena_get(s->walk->arena, capacity * sizeof *grown);
        if (!grown)
            return no_memory(err);
        if (s->numbers_n)
            memcpy(grown, s->numbers, s->numbers_n * sizeof *grown);
        s->numbers = grown;
        s->numbers_capacity = capacity;
    }
    s->numbers[s->numbers_n++] = number;
    return trp_ok();
}

static trp_status add_warnings(struct scan *s, struct trp_str lines, struct trp_error *err)
{
    struct trp_str *all = &s->model->warnings;
    if (lines.len == 0)
        return trp_ok();
    *all = trp_arena_format(s->walk->arena, "%.*s%s%.*s", TRP_STR(*all), all->len ? "\n" : "",
                            TRP_STR(lines));
    return all->ptr ? trp_ok() : no_memory(err);
}

static trp_status add_warning(struct scan *s, const char *text, struct trp_error *err)
{
    const struct trp_str line =
        trp_arena_format(s->walk->arena, "%.*s: %s", TRP_STR(s->model->name), text);
    return line.ptr ? add_warnings(s, line, err) : no_memory(err);
}

static trp_status note_file(struct scan *s, const char *name, const struct trp_file_stat *st,
                            struct trp_error *err)
{
    size_t stem;
    s->digest = trp_digest_add_file(s->digest, name, st);
    if (strcmp(name, "config.pbtxt") == 0)
        s->has_pbtxt = true;
    else if (strcmp(name, "model.yaml") == 0)
        s->has_yaml = true;
    else if (!s->stray && trp_model_file_backend(trp_str_of(name), &stem).len) {
        s->stray = trp_arena_dup(s->walk->arena, trp_str_of(name)).ptr;
        if (!s->stray)
            return no_memory(err);
    }
    return trp_ok();
}

static trp_status scan_entry(void *user, const char *name, struct trp_error *err)
{
    struct scan *s = user;
    struct trp_file_stat st;
    int64_t number;
    if (trp_repo_is_hidden(name))
        return trp_ok();
    const size_t len = s->walk->len;
    TRP_CHECK(trp_repo_walk_push(s->walk, name, err));
    const trp_status look = trp_repo_walk_look(s->walk, &st, err);
    trp_repo_walk_pop(s->walk, len);
    if (look.code == TRP_NOT_FOUND)
        return trp_ok(); /* a link to nothing, or gone just now; a file that is needed is missed
                          * later */
    TRP_CHECK(look);
    if (st.kind == 'f')
        return note_file(s, name, &st, err);
    if (st.kind != 'd')
        return trp_ok();
    if (is_version_name(name, &number))
        return add_number(s, number, err);
    if (strcmp(name, TRP_REPO_WARMUP_FOLDER) == 0 || strcmp(name, TRP_REPO_STATE_FOLDER) == 0)
        return digest_entry(s, name, err);
    if (name[0] >= '0' && name[0] <= '9')
        return add_warning(s,
                           "a folder with a number of this form is no version (versions are 1, "
                           "2, ... without zeros in front)",
                           err);
    return trp_ok();
}

/* ---- configuration ---- */

static trp_status read_config(struct scan *s, const char *name, struct trp_error *err)
{
    struct trp_repo_walk *w = s->walk;
    struct trp_repo_model *m = s->model;
    const size_t len = w->len;
    TRP_CHECK(trp_repo_walk_push(w, name, err));
    char *text;
    size_t text_len;
    const struct trp_str place = trp_arena_format(w->arena, "%s", trp_repo_walk_place(w));
    trp_status st = trp_file_read(w->arena->alloc, w->path, (size_t)w->opts->config_bytes_max,
                                  &text, &text_len, err);
    trp_repo_walk_pop(w, len);
    if (st.code == TRP_TOO_LARGE) {
        trp_error_within(err, "limits.config_bytes");
        if (err)
            err->limit = TRP_LIMIT_CONFIG;
    }
    TRP_CHECK(st);
    struct trp_node *tree = NULL, *definition = NULL;
    struct trp_str warnings = { 0 };
    st = place.ptr ? trp_model_file_parse(w->arena, trp_str_make(text, text_len), place.ptr, &tree,
                                          &definition, &warnings, err)
                   : no_memory(err);
    if (!trp_failed(st) && definition)
        m->definition_text = trp_arena_dup(w->arena, trp_str_make(text, text_len));
    trp_alloc_free(w->arena->alloc, text);
    TRP_CHECK(st);
    if (definition && !m->definition_text.ptr)
        return no_memory(err);
    m->config = tree;
    m->definition = definition;
    return add_warnings(s, warnings, err);
}

static trp_status take_config(struct scan *s, struct trp_error *err)
{
    struct trp_repo_model *m = s->model;
    if (s->walk->opts->override)
        m->config = s->walk->opts->override;
    else if (s->has_pbtxt && s->has_yaml)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "both config.pbtxt and model.yaml are there; keep one of them");
    else if (s->has_pbtxt || s->has_yaml)
        TRP_CHECK(read_config(s, s->has_pbtxt ? "config.pbtxt" : "model.yaml", err));
    TRP_CHECK(trp_model_config_peek(s->walk->arena, m->config, &m->peek, err));
    if (m->peek.name.len && !trp_str_is_equal(m->peek.name, m->name))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "the configuration's name is '%.*s', but the folder is '%.*s'",
                        TRP_STR(m->peek.name), TRP_STR(m->name));
    return trp_ok();
}

/* ---- labels of what is made of models ---- */

static trp_status read_label_file(struct scan *s, struct trp_str file, struct trp_str *out_text,
                                  struct trp_error *err)
{
    struct trp_arena *arena = s->walk->arena;
    struct trp_str path;
    char *text;
    size_t len;
    TRP_CHECK(trp_repo_inside(s->model->folder, file, arena, &path, err));
    const trp_status st = trp_file_read(arena->alloc, path.ptr,
                                        (size_t)s->walk->opts->config_bytes_max, &text, &len, err);
    if (st.code == TRP_TOO_LARGE) {
        trp_error_within(err, "limits.config_bytes");
        err->limit = TRP_LIMIT_CONFIG;
    }
    TRP_CHECK(st);
    *out_text = trp_arena_dup(arena, trp_str_make(text, len));
    trp_alloc_free(arena->alloc, text);
    return out_text->ptr ? trp_ok() : no_memory(err);
}

static trp_status read_label_files(struct scan *s, const struct trp_node *outputs,
                                   struct trp_node *to, struct trp_error *err)
{
    const struct trp_str none = { 0 };
    for (const struct trp_node *o = outputs ? outputs->first : NULL; o; o = o->next) {
        const struct trp_str file = trp_node_str(o, "label_filename", none);
        const struct trp_str name = trp_node_str(o, "name", none);
        struct trp_error own = { 0 };
        struct trp_str text;
        if (file.len == 0)
            continue;
        if (trp_failed(read_label_file(s, file, &text, &own)))
            return trp_node_fail(o, err, (enum trp_code)own.status.code,
                                 "labels of output '%.*s': %s", TRP_STR(name), own.text);
        struct trp_node *n = trp_node_add(s->walk->arena, to, name, TRP_NODE_STR);
        if (!n)
            return no_memory(err);
        n->v.s = text;
    }
    return trp_ok();
}

/* Of a model whoever loads it reads them; what is made of models is not loaded.  What is wrong with
 * the tree is told by whoever reads all of it. */
static trp_status take_label_files(struct scan *s, struct trp_error *err)
{
    struct trp_repo_model *m = s->model;
    struct trp_arena *arena = s->walk->arena;
    struct trp_error own = { 0 };
    struct trp_node *tree;
    if (strcmp(trp_model_definition_kind(m->definition), "ensemble_scheduling") != 0 ||
        trp_failed(trp_schema_normalise(arena, &trp_model_config_message, m->definition, NULL, NULL,
                                        &tree, &own)))
        return trp_ok();
    struct trp_node *labels = trp_arena_zeroed(arena, 1, sizeof *labels);
    if (!labels)
        return no_memory(err);
    labels->kind = TRP_NODE_MAP;
    const trp_status st = read_label_files(s, trp_node_get(tree, "output"), labels, &own);
    m->labels = labels->first ? labels : NULL;
    if (!trp_failed(st))
        return trp_ok();
    m->labels_why = trp_arena_dup(arena, trp_str_of(own.text));
    return m->labels_why.ptr ? trp_ok() : no_memory(err);
}

/* ---- the model file ---- */

/* The names to look for, most likely first. */
static uint32_t expected_files(const struct trp_model_config *peek, const char **out)
{
    if (peek->default_file.len) {
        out[0] = peek->default_file.ptr;
        return 1;
    }
    uint32_t n = 0;
    for (const struct kind *k = kinds; k < kinds + ARRAY_LEN(kinds); k++)
        if (peek->backend.len == 0 || trp_str_is(peek->backend, k->backend))
            out[n++] = k->file;
    return n;
}

/* Goes down to a file that the configuration names, which may lie in a folder of its own.  Each
 * name on the way is looked at: the way may not lead out of the version's folder, nor a link out
 * of the repository. */
static trp_status push_named(struct trp_repo_walk *w, const char *path, bool *out_there,
                             struct trp_error *err)
{
    struct trp_str rest = trp_str_of(path);
    *out_there = true;
    while (*out_there) {
        const char *slash = memchr(rest.ptr, '/', rest.len);
        const struct trp_str name = trp_arena_dup(
            w->arena, trp_str_make(rest.ptr, slash ? (size_t)(slash - rest.ptr) : rest.len));
        if (!name.ptr)
            return no_memory(err);
        if (name.len == 0 || trp_str_is(name, ".") || trp_str_is(name, ".."))
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "default_model_filename '%s' leaves the version's folder", path);
        TRP_CHECK(trp_repo_walk_push(w, name.ptr, err));
        if (!slash)
            return trp_ok();
        struct trp_file_stat st;
        const trp_status look = trp_repo_walk_look(w, &st, err);
        *out_there = look.code != TRP_NOT_FOUND;
        if (*out_there)
            TRP_CHECK(look);
        rest = trp_str_make(slash + 1, rest.len - name.len - 1);
    }
    return trp_ok();
}

/* The walk stands on a candidate: a file, or a folder that holds `model.onnx` and its external
 * data. */
static trp_status file_here(struct trp_repo_walk *w, bool *out_found, struct trp_error *err)
{
    struct trp_file_stat st;
    trp_status look = trp_repo_walk_look(w, &st, err);
    if (!trp_failed(look) && st.kind == 'd') {
        TRP_CHECK(trp_repo_walk_push(w, "model.onnx", err));
        look = trp_repo_walk_look(w, &st, err);
    }
    if (look.code == TRP_NOT_FOUND)
        return trp_ok();
    TRP_CHECK(look);
    *out_found = st.kind == 'f';
    return trp_ok();
}

static trp_status missing_file(const struct scan *s, const char *const *names, uint32_t names_n,
                               struct trp_error *err)
{
    const char *place = trp_repo_walk_place(s->walk);
    if (names_n == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "backend '%.*s' has no usual file name: set default_model_filename",
                        TRP_STR(s->model->peek.backend));
    if (s->stray && s->numbers_n == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "no model file: expected %s/%s, found '%s' (rename it, or set "
                        "default_model_filename)",
                        place, names[0], s->stray);
    if (s->numbers_n == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "no model file: expected %s/%s or %s/1/%s",
                        place, names[0], place, names[0]);
    return trp_fail(err, TRP_INVALID_ARGUMENT, "no model file: expected %s/%s", place, names[0]);
}

/* Finds the model file in the folder where the walk stands. */
static trp_status find_file(struct scan *s, struct trp_str *out_path, struct trp_error *err)
{
    const char *names[ARRAY_LEN(kinds)];
    struct trp_repo_walk *w = s->walk;
    const uint32_t names_n = expected_files(&s->model->peek, names);
    const size_t len = w->len;
    for (uint32_t i = 0; i < names_n; i++) {
        bool found = false, is_there;
        trp_status st = push_named(w, names[i], &is_there, err);
        if (!trp_failed(st) && is_there)
            st = file_here(w, &found, err);
        if (!trp_failed(st) && found)
            *out_path = trp_arena_dup(w->arena, trp_str_make(w->path, w->len));
        trp_repo_walk_pop(w, len);
        TRP_CHECK(st);
        if (found)
            return out_path->ptr ? trp_ok() : no_memory(err);
    }
    return missing_file(s, names, names_n, err);
}

/* Unless the configuration says it, the file's ending decides who runs it. */
static void choose_backend(struct trp_repo_model *m, struct trp_str file)
{
    size_t stem;
    if (m->peek.backend.len == 0)
        m->peek.backend = trp_model_file_backend(file, &stem);
}

/* ---- versions ---- */

static trp_status add_version(struct scan *s, int64_t number, uint64_t common,
                              struct trp_error *err)
{
    struct trp_repo_model *m = s->model;
    struct trp_repo_version *v = &m->versions[m->versions_n];
    struct scan files = { .walk = s->walk, .digest = trp_digest_add(common, (uint64_t)number) };
    TRP_CHECK(find_file(s, &v->path, err));
    TRP_CHECK(digest_folder(&files, err));
    v->number = number;
    v->digest = files.digest;
    v->manifest = files.manifest;
    m->versions_n++;
    choose_backend(m, v->path);
    return trp_ok();
}

static trp_status add_numbered(struct scan *s, int64_t number, struct trp_error *err)
{
    struct trp_repo_walk *w = s->walk;
    const size_t len = w->len;
    const struct trp_str name = trp_arena_format(w->arena, "%lld", (long long)number);
    if (!name.ptr)
        return no_memory(err);
    TRP_CHECK(trp_repo_walk_push(w, name.ptr, err));
    const trp_status st = add_version(s, number, s->digest, err);
    trp_repo_walk_pop(w, len);
    return st;
}

static bool has(const int64_t *numbers, uint32_t n, int64_t number)
{
    for (uint32_t i = 0; i < n; i++)
        if (numbers[i] == number)
            return true;
    return false;
}

static bool is_wanted(const struct scan *s, uint32_t index)
{
    const struct trp_model_config *c = &s->model->peek;
    const struct trp_repo_opts *opts = s->walk->opts;
    if (opts->only_n)
        return has(opts->only, opts->only_n, s->numbers[index]);
    switch (c->versions.kind) {
    case TRP_VERSIONS_ALL:
        return true;
    case TRP_VERSIONS_SPECIFIC:
        return has(c->versions.specific, c->versions.specific_n, s->numbers[index]);
    case TRP_VERSIONS_LATEST:
    default:
        return s->numbers_n - index <= (c->versions.latest_n ? c->versions.latest_n : 1);
    }
}

/* A version that was asked for by number and is not there is no reason to refuse the others. */
static trp_status warn_absent(struct scan *s, struct trp_error *err)
{
    const struct trp_model_config *c = &s->model->peek;
    for (uint32_t i = 0; c->versions.kind == TRP_VERSIONS_SPECIFIC && i < c->versions.specific_n;
         i++) {
        char text[96];
        if (has(s->numbers, s->numbers_n, c->versions.specific[i]))
            continue;
        (void)snprintf(text, sizeof text,
                       "version_policy asks for version %lld, which is not there",
                       (long long)c->versions.specific[i]);
        TRP_CHECK(add_warning(s, text, err));
    }
    return trp_ok();
}

/* Whoever asks for a label must get a version. */
static trp_status check_labels(const struct scan *s, struct trp_error *err)
{
    const struct trp_repo_model *m = s->model;
    for (uint32_t i = 0; i < m->peek.labels_n && s->walk->opts->only_n == 0; i++) {
        const struct trp_version_label *l = &m->peek.labels[i];
        uint32_t at = 0;
        while (at < m->versions_n && m->versions[at].number != l->version)
            at++;
        if (at == m->versions_n)
            return trp_fail(err, TRP_INVALID_ARGUMENT, "label '%.*s' is for version %lld, which %s",
                            TRP_STR(l->name), (long long)l->version,
                            has(s->numbers, s->numbers_n, l->version) ? "version_policy leaves out"
                                                                      : "is not there");
    }
    return trp_ok();
}

static int by_number(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static trp_status take_versions(struct scan *s, struct trp_error *err)
{
    struct trp_repo_model *m = s->model;
    m->versions = trp_arena_zeroed(s->walk->arena, s->numbers_n + 1, sizeof *m->versions);
    if (!m->versions)
        return no_memory(err);
    if (s->numbers_n == 0)
        return add_version(s, 1, trp_digest_add(0, 1), err);
    qsort(s->numbers, s->numbers_n, sizeof *s->numbers, by_number);
    TRP_CHECK(warn_absent(s, err));
    for (uint32_t i = 0; i < s->numbers_n; i++)
        if (is_wanted(s, i))
            TRP_CHECK(add_numbered(s, s->numbers[i], err));
    if (m->versions_n == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "no version is available: version_policy leaves none of the %u that are "
                        "there",
                        s->numbers_n);
    return trp_ok();
}

trp_status trp_model_folder_read(struct trp_repo_walk *w, struct trp_repo_model *m,
                                 struct trp_error *err)
{
    struct scan s = { .walk = w, .model = m };
    m->folder = trp_arena_dup(w->arena, trp_str_make(w->path, w->len));
    if (!m->folder.ptr)
        return no_memory(err);
    TRP_CHECK(trp_dir_each(w->path, FILES_MAX, scan_entry, &s, err));
    TRP_CHECK(take_config(&s, err));
    if (m->definition) {
        TRP_CHECK(take_label_files(&s, err));
        return trp_fail(err, TRP_FAILED_PRECONDITION,
                        "'%.*s' is no model: its configuration declares '%s'", TRP_STR(m->name),
                        trp_model_definition_kind(m->definition));
    }
    TRP_CHECK(take_versions(&s, err));
    TRP_CHECK(check_labels(&s, err));
    if (s.numbers_n && s.stray && m->peek.default_file.len == 0)
        TRP_CHECK(add_warning(&s, "a model file beside version folders is ignored", err));
    return trp_ok();
}

trp_status trp_model_file_read(struct trp_repo_walk *w, const struct trp_file_stat *st,
                               struct trp_repo_model *m, struct trp_error *err)
{
    m->config = w->opts->override;
    TRP_CHECK(trp_model_config_peek(w->arena, m->config, &m->peek, err));
    m->versions = trp_arena_zeroed(w->arena, 1, sizeof *m->versions);
    const struct trp_str path = trp_arena_dup(w->arena, trp_str_make(w->path, w->len));
    if (!m->versions || !path.ptr)
        return no_memory(err);
    m->versions[0] = (struct trp_repo_version){ .number = 1,
                                                .path = path,
                                                .digest = trp_digest_add_file(0, path.ptr, st) };
    m->versions_n = 1;
    choose_backend(m, path);
    return trp_ok();
}

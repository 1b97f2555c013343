/* repo/repo.c - see repo.h.
 *
 * Problem: a repository is whatever people and scripts have put into a folder, perhaps at this very
 * moment.  One half-copied or broken model must not hide the others, and the list must be there
 * before anybody waits for it.
 *
 * There may be several repositories.  A name that more than one of them has is the first one's: so
 * a team lays its own models over those of a shared folder.  Within one repository there is no
 * order, and a name that stands for two things is an error.
 *
 *  1. Every model is an entry; what is wrong with it is in the entry.
 *  2. Only configurations are read; model files are looked at by name, size and time.
 *  3. Nothing outside the repository is looked at, whatever links say (repo_path.c). */
#include "repo/repo.h"

#include <stdlib.h>

#include "repo/model_folder.h"
#include "repo/repo_path.h"

#define OTHER_FILES_MAX 100000u /* in the repository's folder, beside models */

struct list {
    struct trp_repo_walk walk;
    struct trp_repo_model **models;
    uint32_t models_n, capacity;
    uint32_t rank; /* of the repository that is walked */
};

static const char *root_of(const struct trp_repo_opts *opts, uint32_t rank)
{
    return rank ? opts->further[rank - 1] : opts->path;
}

static trp_status add_model(struct list *l, struct trp_str name, struct trp_repo_model **out_model,
                            struct trp_error *err)
{
    struct trp_arena *a = l->walk.arena;
    if (l->models_n == l->walk.opts->models_max)
        return trp_fail_limit(err, TRP_TOO_LARGE, TRP_LIMIT_MODELS,
                              "repository: more than %u models (limits.models)", l->models_n);
    if (l->models_n == l->capacity) {
        const uint32_t capacity = l->capacity ? l->capacity * 2 : 64;
        struct trp_repo_model **grown =
            trp_arena_get(a, capacity * sizeof(struct trp_repo_model *));
        if (!grown)
            return trp_fail(err, TRP_OUT_OF_MEMORY, "repository: list of %u models", capacity);
        if (l->models_n)
            memcpy(grown, l->models, l->models_n * sizeof(struct trp_repo_model *));
        l->models = grown;
        l->capacity = capacity;
    }
    struct trp_repo_model *m = trp_arena_zeroed(a, 1, sizeof *m);
    const struct trp_str copy = trp_arena_dup(a, name);
    if (!m || !copy.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "repository: model '%.*s'", TRP_STR(name));
    m->name = copy;
    m->root = root_of(l->walk.opts, l->rank);
    m->rank = l->rank;
    l->models[l->models_n++] = m;
    *out_model = m;
    return trp_ok();
}

/* What went wrong stays with the model; only the lack of memory ends the listing. */
static trp_status keep_error(struct trp_repo_model *m, trp_status st, struct trp_error *err)
{
    if (st.code == TRP_OUT_OF_MEMORY)
        return st;
    m->error = *err;
    *err = (struct trp_error){ 0 };
    return trp_ok();
}

static trp_status read_here(struct list *l, struct trp_str name, const struct trp_file_stat *st,
                            struct trp_error *err)
{
    struct trp_repo_model *m;
    TRP_CHECK(add_model(l, name, &m, err));
    if (!trp_str_is_utf8(name)) {
        (void)trp_fail(&m->error, TRP_INVALID_ARGUMENT, "the name is not UTF-8");
        return trp_ok();
    }
    const trp_status read = st->kind == 'd' ? trp_model_folder_read(&l->walk, m, err)
                                            : trp_model_file_read(&l->walk, st, m, err);
    if (!trp_failed(read))
        return trp_ok();
    m->versions_n = 0;
    return keep_error(m, read, err);
}

static bool is_ours(const char *name)
{
    return strcmp(name, "troupe.yaml") == 0 || strcmp(name, "routes.yaml") == 0;
}

/* The walk stands on an entry of the repository's folder. */
static trp_status take_here(struct list *l, const char *name, struct trp_error *err)
{
    struct trp_file_stat st;
    struct trp_str model = trp_str_of(name);
    size_t stem_len = 0;
    const bool has_ending = trp_model_file_backend(model, &stem_len).len != 0;
    const trp_status look = trp_repo_walk_look(&l->walk, &st, err);
    const bool is_file = trp_failed(look) ? has_ending : st.kind == 'f';
    if (is_file && !has_ending)
        return trp_ok(); /* external data, a README, ... */
    if (is_file)
        model.len = stem_len;
    if (trp_failed(look)) { /* a link that leaves or leads nowhere, a folder that may not be read */
        struct trp_repo_model *m;
        TRP_CHECK(add_model(l, model, &m, err));
        return keep_error(m, look, err);
    }
    if (st.kind == 'o')
        return trp_ok();
    return read_here(l, model, &st, err);
}

static trp_status list_entry(void *user, const char *name, struct trp_error *err)
{
    struct list *l = user;
    if (trp_repo_is_hidden(name) || is_ours(name))
        return trp_ok();
    const size_t len = l->walk.len;
    struct trp_error local = { 0 }; /* errors of single models must not leave traces in `err` */
    TRP_CHECK(trp_repo_walk_push(&l->walk, name, err));
    const trp_status st = take_here(l, name, &local);
    trp_repo_walk_pop(&l->walk, len);
    if (trp_failed(st) && err)
        *err = local;
    return st;
}

static int by_name(const void *a, const void *b)
{
    const struct trp_repo_model *const *x = a, *const *y = b;
    const int order = trp_str_compare((*x)->name, (*y)->name);
    return order ? order : ((*x)->rank > (*y)->rank) - ((*x)->rank < (*y)->rank);
}

/* `m.onnx` beside `m/` gives one name twice: neither is the right one to guess.  In another
 * repository the name is hidden. */
static void merge_doubles(struct list *l)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < l->models_n; i++) {
        struct trp_repo_model *m = l->models[i];
        if (kept && trp_str_is_equal(l->models[kept - 1]->name, m->name)) {
            struct trp_repo_model *first = l->models[kept - 1];
            if (first->rank != m->rank) {
                if (first->hidden_in.len == 0)
                    first->hidden_in = trp_str_of(m->root);
                continue;
            }
            first->versions_n = 0;
            (void)trp_fail(&first->error, TRP_ALREADY_EXISTS,
                           "the model is there twice, as a folder and as a file of this name, or "
                           "as two files");
            continue;
        }
        l->models[kept++] = m;
    }
    l->models_n = kept;
}

static void finish(struct list *l)
{
    if (l->models_n)
        qsort(l->models, l->models_n, sizeof(struct trp_repo_model *), by_name);
    merge_doubles(l);
    for (uint32_t i = 0; i < l->models_n; i++) {
        const struct trp_repo_opts *opts = l->walk.opts;
        trp_model_config_default(&l->models[i]->peek, opts->load_default,
                                 opts->keeping.priority ? &opts->keeping : NULL);
    }
}

trp_status trp_repo_list(const struct trp_repo_opts *opts, struct trp_arena *arena,
                         struct trp_repo_listing *out, struct trp_error *err)
{
    struct list l = { 0 };
    const uint32_t entries_max = opts->models_max > UINT32_MAX - OTHER_FILES_MAX
                                     ? UINT32_MAX
                                     : opts->models_max + OTHER_FILES_MAX;
    for (l.rank = 0; l.rank <= opts->further_n; l.rank++) {
        TRP_CHECK(trp_repo_walk_init(&l.walk, opts, root_of(opts, l.rank), arena, err));
        TRP_CHECK(trp_dir_each(l.walk.path, entries_max, list_entry, &l, err));
    }
    finish(&l);
    *out = (struct trp_repo_listing){ .models = l.models, .models_n = l.models_n };
    return trp_ok();
}

static trp_status check_name(struct trp_str name, struct trp_error *err)
{
    size_t blanks = 0;
    for (size_t i = 0; i < name.len; i++)
        blanks += name.ptr[i] == ' ' || (name.ptr[i] >= '\t' && name.ptr[i] <= '\r');
    if (blanks == name.len || trp_str_is(name, ".") || trp_str_is(name, "..") ||
        memchr(name.ptr, '/', name.len) || memchr(name.ptr, '\0', name.len) || name.len > 255)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "'%.*s' is no name of a model", TRP_STR(name));
    return trp_ok();
}

/* Takes one entry of the repository's folder if it is there. */
static trp_status try_entry(struct list *l, struct trp_str name, const char *ending, bool folder,
                            struct trp_error *err)
{
    struct trp_file_stat st;
    struct trp_error local = { 0 };
    const struct trp_str file = trp_arena_format(l->walk.arena, "%.*s%s", TRP_STR(name), ending);
    if (!file.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "model '%.*s'", TRP_STR(name));
    const size_t len = l->walk.len;
    TRP_CHECK(trp_repo_walk_push(&l->walk, file.ptr, err));
    trp_status look = trp_repo_walk_look(&l->walk, &st, &local);
    if (look.code == TRP_NOT_FOUND) {
        look = trp_ok();
    } else if (trp_failed(look) || (st.kind == 'd') == folder) {
        look = take_here(l, file.ptr, &local);
    }
    trp_repo_walk_pop(&l->walk, len);
    if (trp_failed(look) && err)
        *err = local;
    return look;
}

static trp_status find_here(struct list *l, struct trp_str name, struct trp_error *err)
{
    static const char *const endings[] = { ".onnx", ".echo", ".null" };
    TRP_CHECK(try_entry(l, name, "", true, err));
    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        TRP_CHECK(try_entry(l, name, endings[i], false, err));
    return trp_ok();
}

trp_status trp_repo_find(const struct trp_repo_opts *opts, struct trp_str name,
                         struct trp_arena *arena, struct trp_repo_model *out, struct trp_error *err)
{
    struct list l = { 0 };
    TRP_CHECK(check_name(name, err));
    for (l.rank = 0; l.rank <= opts->further_n; l.rank++) {
        TRP_CHECK(trp_repo_walk_init(&l.walk, opts, root_of(opts, l.rank), arena, err));
        if (name.ptr[0] != '.') /* hidden ones are not there, as in the list */
            TRP_CHECK(find_here(&l, name, err));
    }
    finish(&l);
    if (l.models_n == 0)
        return trp_fail(err, TRP_NOT_FOUND, "no model '%.*s' in %s%s", TRP_STR(name), opts->path,
                        opts->further_n ? " and the repositories after it" : "");
    *out = *l.models[0];
    return trp_ok();
}

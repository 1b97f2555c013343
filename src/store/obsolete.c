/* store/obsolete.c - see obsolete.h.
 *
 * First what nobody who is known has (the candidates), then a walk that looks for these alone: of
 * ten thousand models that were never read, only those are that have the size of a candidate.  A
 * candidate is struck out by its content, which several may have.
 *
 *  1. To err is to keep: what is found too much only stays in the store, so every file counts, also
 *     of versions that no policy wants.
 *  2. What cannot be looked at may be what somebody needs: it ends the look. */
#include "store/obsolete.h"

#include <stdio.h>
#include <time.h>

#include "base/file.h"
#include "base/table.h"
#include "store/store_key.h"
#include "store/sweeper.h"

#define NAMES_MAX 100000000u
#define ENTRIES_MAX 1000000u /* of one folder */
#define BLOCK_BYTES 65536u
#define DEPTH_MAX 8u /* REPO/model/version/model.onnx/model.onnx is 4 */

struct obsolete_candidate {
    struct trp_sha256 content;
};

struct trp_obsolete {
    struct trp_store *store;
    struct trp_arena arena;
    struct trp_table *candidates; /* by key */
    struct trp_table *needed;     /* by content */
    struct trp_table *sizes;      /* of the candidates' model files */
    int64_t since_ns;
};

static struct trp_str digest_str(const struct trp_sha256 *digest)
{
    return trp_str_make((const char *)digest->bytes, sizeof digest->bytes);
}

static struct trp_str size_str(const uint64_t *bytes)
{
    return trp_str_make((const char *)bytes, sizeof *bytes);
}

/* ---- what is known ---- */

static trp_status note_needed(void *user, const struct trp_sha256 *content, struct trp_error *err)
{
    struct trp_obsolete *o = user;
    return trp_table_put(o->needed, digest_str(content), o, NULL, err);
}

static trp_status note_candidate(void *user, const struct trp_stored *what, struct trp_error *err)
{
    struct trp_obsolete *o = user;
    if (!what->has_content || what->is_held || trp_table_get(o->needed, digest_str(&what->content)))
        return trp_ok();
    struct obsolete_candidate *c = trp_arena_zeroed(&o->arena, 1, sizeof *c);
    if (!c)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the store's list");
    c->content = what->content;
    TRP_CHECK(trp_table_put(o->candidates, digest_str(&what->key), c, NULL, err));
    return trp_table_put(o->sizes, size_str(&what->model_bytes), o, NULL, err);
}

/* ---- the walk ---- */

struct obsolete_walk {
    struct trp_obsolete *o;
    char path[TRP_STORE_PATH_MAX];
    size_t len;
    struct trp_file_stat above[DEPTH_MAX + 1]; /* the folders that lead here */
    uint32_t depth;
    struct trp_file_stat store; /* may lie in the repository */
    bool has_model;
};

static bool is_same(const struct trp_file_stat *a, const struct trp_file_stat *b)
{
    return a->inode == b->inode && a->device == b->device;
}

/* What a file cannot be that is no model, or none that could be loaded: nothing was prepared of
 * it. */
static bool is_no_model(int32_t code)
{
    return code == TRP_NOT_FOUND || code == TRP_INVALID_ARGUMENT || code == TRP_DATA_LOSS ||
           code == TRP_UNIMPLEMENTED || code == TRP_TOO_LARGE;
}

static trp_status visit_file(struct obsolete_walk *w, const struct trp_file_stat *st,
                             struct trp_error *err)
{
    struct trp_sha256 content;
    struct trp_error why = { 0 };
    if (trp_str_ends_with(trp_str_make(w->path, w->len), TRP_STR_LIT(".onnx")))
        w->has_model = true;
    if (!trp_table_get(w->o->sizes, size_str(&st->bytes)))
        return trp_ok();
    const trp_status read = trp_store_content(w->o->store, w->path, NULL, &content, &why);
    if (!trp_failed(read)) {
        w->has_model = true;
        return note_needed(w->o, &content, err);
    }
    if (is_no_model(read.code))
        return trp_ok();
    if (err)
        *err = why;
    return read;
}

static trp_status visit_entry(void *user, const char *name, struct trp_error *err);

static trp_status visit_folder(struct obsolete_walk *w, const struct trp_file_stat *st,
                               struct trp_error *err)
{
    if (w->depth == DEPTH_MAX || is_same(st, &w->store))
        return trp_ok();
    for (uint32_t i = 0; i < w->depth; i++)
        if (is_same(st, &w->above[i])) /* a link that leads back */
            return trp_ok();
    w->above[w->depth++] = *st;
    const trp_status below = trp_dir_each(w->path, ENTRIES_MAX, visit_entry, w, err);
    w->depth--;
    return below.code == TRP_NOT_FOUND ? trp_ok() : below; /* it went just now */
}

static trp_status visit_here(struct obsolete_walk *w, struct trp_error *err)
{
    struct trp_file_stat st;
    struct trp_error why = { 0 };
    const trp_status look = trp_file_stat(w->path, &st, &why);
    if (look.code == TRP_NOT_FOUND)
        return trp_ok(); /* it went just now, or a link to nothing */
    if (trp_failed(look)) {
        if (err)
            *err = why;
        return look;
    }
    if (st.kind == 'd')
        return visit_folder(w, &st, err);
    return st.kind == 'f' ? visit_file(w, &st, err) : trp_ok();
}

static trp_status visit_entry(void *user, const char *name, struct trp_error *err)
{
    struct obsolete_walk *w = user;
    const size_t len = w->len;
    if (name[0] == '.') /* in a repository these are not there */
        return trp_ok();
    const int n = snprintf(w->path + len, sizeof w->path - len, "/%s", name);
    if (n < 0 || (size_t)n >= sizeof w->path - len) {
        w->path[len] = '\0';
        return trp_fail(err, TRP_TOO_LARGE, "%s/%s: path too long", w->path, name);
    }
    w->len = len + (size_t)n;
    const trp_status st = visit_here(w, err);
    w->len = len;
    w->path[len] = '\0';
    return st;
}

static trp_status look_into(struct trp_obsolete *o, const char *folder, struct trp_error *err)
{
    struct obsolete_walk w = { .o = o };
    struct trp_file_stat st;
    TRP_CHECK(trp_file_stat(trp_store_path(o->store), &w.store, err));
    TRP_CHECK(trp_file_stat(folder, &st, err));
    if (st.kind != 'd' || !trp_str_copy(trp_str_of(folder), w.path, sizeof w.path))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s is no folder", folder);
    w.len = strlen(w.path);
    TRP_CHECK(visit_folder(&w, &st, err));
    return w.has_model ? trp_ok()
                       : trp_fail(err, TRP_FAILED_PRECONDITION,
                                  "%s holds no model at all: which models are gone cannot be told "
                                  "from that",
                                  folder);
}

/* ---- all of it ---- */

/* The clock of the file system's times, which lags behind the other by a tick. */
static int64_t files_now_ns(void)
{
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static trp_status find(struct trp_obsolete *o, const char *const *folders, uint32_t folders_n,
                       struct trp_error *err)
{
    TRP_CHECK(trp_table_create(trp_heap(), NAMES_MAX, &o->candidates, err));
    TRP_CHECK(trp_table_create(trp_heap(), NAMES_MAX, &o->needed, err));
    TRP_CHECK(trp_table_create(trp_heap(), NAMES_MAX, &o->sizes, err));
    TRP_CHECK(trp_store_content_each(o->store, note_needed, o, err));
    TRP_CHECK(trp_sweeper_list(o->store, note_candidate, o, err));
    for (uint32_t i = 0; i < folders_n && trp_table_count(o->candidates) > 0; i++)
        TRP_CHECK(look_into(o, folders[i], err));
    return trp_ok();
}

trp_status trp_obsolete_find(struct trp_store *s, const char *const *folders, uint32_t folders_n,
                             struct trp_obsolete **out, struct trp_error *err)
{
    *out = NULL;
    struct trp_obsolete *o = trp_alloc_zeroed(trp_heap(), 1, sizeof *o);
    if (!o)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the store's list");
    o->store = s;
    o->since_ns = files_now_ns();
    trp_arena_init(&o->arena, trp_heap(), BLOCK_BYTES, 0);
    const trp_status st = find(o, folders, folders_n, err);
    if (trp_failed(st)) {
        trp_obsolete_destroy(o);
        return st;
    }
    *out = o;
    return st;
}

void trp_obsolete_destroy(struct trp_obsolete *o)
{
    if (!o)
        return;
    trp_table_destroy(o->sizes);
    trp_table_destroy(o->needed);
    trp_table_destroy(o->candidates);
    trp_arena_deinit(&o->arena);
    trp_alloc_free(trp_heap(), o);
}

bool trp_obsolete_has(const struct trp_obsolete *o, const struct trp_sha256 *key, int64_t used_ns)
{
    const struct obsolete_candidate *c = trp_table_get(o->candidates, digest_str(key));
    return c && used_ns < o->since_ns && !trp_table_get(o->needed, digest_str(&c->content));
}

/* catalog/settled_folders.c - see settled_folders.h.
 *
 * Of what was taken up only the text is kept, which is a tenth of its tree: it is parsed again for
 * the few that wait.  A look makes a new row of folders, in which those that did not change are the
 * old ones; the old row goes when the new one is whole. */
#include "catalog/settled_folders.h"

#include "conf/model_schema.h"
#include "repo/digest.h"
#include "repo/steady.h"

struct folder {
    struct trp_str name, text; /* text: of the file, as it was taken up; empty: it never was */
    const char *place;         /* of the file, for messages */
    const char *root;          /* of the repository, which outlives us */
    uint32_t rank;
    uint64_t digest; /* of what was taken up; TRP_STEADY_ABSENT: nothing was */
    struct trp_steady found;
    bool is_kept; /* by the new row, too */
};

struct trp_settled_folders {
    const struct trp_alloc *alloc;
    struct trp_arena arena;  /* of the last look: what it shows */
    struct folder **folders; /* sorted by name */
    uint32_t n;
};

/* One look at work. */
struct sight {
    struct trp_settled_folders *f;
    const struct trp_settled_folders_look *look;
    struct folder **folders; /* the new row */
    struct trp_repo_model **shown;
    uint32_t n, shown_n;
    bool waits;
};

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "folders of routes and compositions");
}

trp_status trp_settled_folders_create(const struct trp_alloc *alloc,
                                      struct trp_settled_folders **out_folders,
                                      struct trp_error *err)
{
    struct trp_settled_folders *f = trp_alloc_zeroed(alloc, 1, sizeof *f);
    *out_folders = f;
    if (!f)
        return no_memory(err);
    f->alloc = alloc;
    trp_arena_init(&f->arena, alloc, 4096, 0);
    return trp_ok();
}

static void free_folders(struct trp_settled_folders *f, struct folder **folders, uint32_t n,
                         bool with_kept)
{
    for (uint32_t i = 0; i < n; i++)
        if (with_kept || !folders[i]->is_kept)
            trp_alloc_free(f->alloc, folders[i]);
    trp_alloc_free(f->alloc, folders);
}

void trp_settled_folders_destroy(struct trp_settled_folders *f)
{
    if (!f)
        return;
    free_folders(f, f->folders, f->n, true);
    trp_arena_deinit(&f->arena);
    trp_alloc_free(f->alloc, f);
}

/* ---- one folder ---- */

static uint64_t digest_of(const struct trp_repo_model *m)
{
    if (!m || !m->definition)
        return TRP_STEADY_ABSENT;
    return trp_digest_add_str(trp_digest_add(1, m->rank), m->definition_text) | 1;
}

static char *put_text(char *at, struct trp_str text)
{
    if (text.len > 0)
        memcpy(at, text.ptr, text.len);
    at[text.len] = '\0';
    return at + text.len + 1;
}

/* With what is written in `m`; or, if it is not to be taken up yet, only with the name. */
static struct folder *make_folder(struct trp_settled_folders *f, const struct trp_repo_model *m,
                                  bool is_taken)
{
    const struct trp_node *first = m->definition->first;
    const struct trp_str place = trp_str_of(first && first->file ? first->file : "");
    const struct trp_str text = is_taken ? m->definition_text : trp_str_make("", 0);
    struct folder *made =
        trp_alloc_zeroed(f->alloc, 1, sizeof *made + m->name.len + text.len + place.len + 3);
    if (!made)
        return NULL;
    char *at = (char *)(made + 1);
    *made = (struct folder){ .root = m->root,
                             .rank = m->rank,
                             .digest = is_taken ? digest_of(m) : TRP_STEADY_ABSENT };
    made->name = trp_str_make(at, m->name.len);
    at = put_text(at, m->name);
    made->text = trp_str_make(at, text.len);
    at = put_text(at, text);
    made->place = at;
    (void)put_text(at, place);
    return made;
}

/* As the listing would show it, had it not changed; class names are those that lie there now. */
static trp_status show_old(struct sight *s, const struct folder *old,
                           const struct trp_repo_model *now, struct trp_error *err)
{
    struct trp_arena *arena = &s->f->arena;
    struct trp_node *tree = NULL, *definition = NULL;
    struct trp_str warnings = { NULL, 0 };
    struct trp_repo_model *m = trp_arena_zeroed(arena, 1, sizeof *m);
    const struct trp_str name = trp_arena_dup(arena, old->name);
    const struct trp_str text = trp_arena_dup(arena, old->text);
    const struct trp_str place = trp_arena_dup(arena, trp_str_of(old->place));
    if (!m || !name.ptr || !text.ptr || !place.ptr)
        return no_memory(err);
    TRP_CHECK(trp_model_file_parse(arena, text, place.ptr, &tree, &definition, &warnings, err));
    *m = (struct trp_repo_model){ .name = name,
                                  .folder = name,
                                  .root = old->root,
                                  .rank = old->rank,
                                  .definition = definition,
                                  .definition_text = text,
                                  .labels = now ? now->labels : NULL };
    s->shown[s->shown_n++] = m;
    return trp_ok();
}

/* Counts from now on, whatever was there. */
static trp_status take(struct sight *s, struct trp_repo_model *m, struct trp_error *err)
{
    if (!m)
        return trp_ok();
    s->shown[s->shown_n++] = m;
    if (!m->definition)
        return trp_ok();
    struct folder *made = make_folder(s->f, m, true);
    if (!made)
        return no_memory(err);
    s->folders[s->n++] = made;
    return trp_ok();
}

static void keep(struct sight *s, struct folder *old)
{
    old->is_kept = true;
    s->folders[s->n++] = old;
}

/* `old`: what is known of the name; `m`: what lies there; either may be NULL. */
static trp_status judge(struct sight *s, struct folder *old, struct trp_repo_model *m,
                        struct trp_error *err)
{
    const struct trp_settled_folders_look *look = s->look;
    const uint64_t digest = digest_of(m);
    if (digest == (old ? old->digest : TRP_STEADY_ABSENT)) {
        if (m)
            s->shown[s->shown_n++] = m;
        if (old && m && m->definition) { /* else it was found for a moment, and is no folder */
            trp_steady_forget(&old->found);
            keep(s, old);
        }
        return trp_ok();
    }
    if (!look->is_patient)
        return take(s, m, err);
    struct folder *waiting = old ? old : make_folder(s->f, m, false);
    if (!waiting)
        return no_memory(err);
    if (trp_steady_has_stayed(&waiting->found, digest, look->settle_ns, look->now_ns)) {
        if (!old)
            trp_alloc_free(s->f->alloc, waiting); /* nothing waits */
        return take(s, m, err);
    }
    s->waits = true;
    if (old)
        keep(s, old);
    else
        s->folders[s->n++] = waiting;
    return waiting->digest == TRP_STEADY_ABSENT ? trp_ok() : show_old(s, waiting, m, err);
}

/* ---- all of them ---- */

static trp_status judge_all(struct sight *s, struct trp_error *err)
{
    const struct trp_settled_folders *f = s->f;
    const struct trp_repo_listing *l = s->look->listing;
    uint32_t i = 0, k = 0;
    while (i < f->n || k < l->models_n) {
        const int order = i == f->n ? 1
                          : k == l->models_n
                              ? -1
                              : trp_str_compare(f->folders[i]->name, l->models[k]->name);
        struct folder *old = order <= 0 ? f->folders[i++] : NULL;
        struct trp_repo_model *m = order >= 0 ? l->models[k++] : NULL;
        TRP_CHECK(judge(s, old, m, err));
    }
    return trp_ok();
}

static trp_status make_rows(struct sight *s, struct trp_error *err)
{
    const size_t most = (size_t)s->f->n + s->look->listing->models_n + 1;
    trp_arena_reset(&s->f->arena);
    s->shown = trp_arena_zeroed(&s->f->arena, most, sizeof(struct trp_repo_model *));
    s->folders = trp_alloc_zeroed(s->f->alloc, most, sizeof(struct folder *));
    return s->shown && s->folders ? judge_all(s, err) : no_memory(err);
}

trp_status trp_settled_folders_look(struct trp_settled_folders *f,
                                    const struct trp_settled_folders_look *look,
                                    struct trp_repo_listing *out_listing, bool *out_waits,
                                    struct trp_error *err)
{
    struct sight s = { .f = f, .look = look };
    for (uint32_t i = 0; i < f->n; i++)
        f->folders[i]->is_kept = false;
    const trp_status st = make_rows(&s, err);
    if (trp_failed(st)) { /* those that were made for it */
        free_folders(f, s.folders, s.n, false);
        return st;
    }
    free_folders(f, f->folders, f->n, false);
    f->folders = s.folders;
    f->n = s.n;
    *out_listing = (struct trp_repo_listing){ s.shown, s.shown_n };
    *out_waits = s.waits;
    return st;
}

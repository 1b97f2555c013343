/* catalog/declared.c - see declared.h. */
#include "catalog/declared.h"

#include "conf/model_schema.h"
#include "repo/digest.h"
#include "route/route_source.h"

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "what declares routes and compositions");
}

trp_status trp_declared_copy(struct trp_declared *d, struct trp_arena *arena,
                             const struct trp_repo_listing *listing, struct trp_str text,
                             struct trp_error *err)
{
    *d = (struct trp_declared){ .arena = arena, .text = trp_arena_dup(arena, text) };
    d->folders = trp_arena_zeroed(arena, listing->models_n + (size_t)1, sizeof *d->folders);
    if (!d->text.ptr || !d->folders)
        return no_memory(err);
    for (uint32_t i = 0; i < listing->models_n; i++) {
        const struct trp_repo_model *m = listing->models[i];
        if (!m->definition)
            continue;
        const char *kind = trp_model_definition_kind(m->definition);
        struct trp_declared_folder *f = &d->folders[d->folders_n++];
        *f = (struct trp_declared_folder){ .name = trp_arena_dup(arena, m->name),
                                           .tree = trp_node_dup(arena, m->definition),
                                           .text = trp_arena_dup(arena, m->definition_text),
                                           .kind = strcmp(kind, "ensemble_scheduling") == 0
                                                       ? "ensemble"
                                                       : kind };
        if (m->labels)
            f->labels = trp_node_dup(arena, m->labels);
        if (m->labels_why.len > 0)
            f->why = trp_arena_dup(arena, m->labels_why);
        if (!f->name.ptr || !f->tree || !f->text.ptr || (m->labels && !f->labels) ||
            (m->labels_why.len > 0 && !f->why.ptr))
            return no_memory(err);
    }
    return trp_ok();
}

trp_status trp_declared_read_names(struct trp_declared *d, const struct trp_repo_listing *listing,
                                   struct trp_error *err)
{
    struct trp_refused_names *names = &d->names;
    uint32_t n = 0, k = 0;
    TRP_CHECK(trp_refused_names_read(d->arena, d->text, names, err));
    for (uint32_t i = 0; i < names->n; i++) { /* both are sorted by name */
        while (k < listing->models_n &&
               trp_str_compare(listing->models[k]->name, names->items[i].name) < 0)
            k++;
        const struct trp_repo_model *m = k < listing->models_n ? listing->models[k] : NULL;
        if (!m || m->definition || !trp_str_is_equal(m->name, names->items[i].name))
            names->items[n++] = names->items[i];
    }
    names->n = n;
    return trp_ok();
}

const struct trp_refused_name *trp_declared_find_refused(const struct trp_declared *d,
                                                         struct trp_str name)
{
    if (!trp_failed(d->file_why.status) || trp_declared_find(d, name) ||
        trp_declared_find_out(d, name))
        return NULL;
    return trp_refused_names_find(&d->names, name);
}

uint64_t trp_declared_digest(const struct trp_alloc *alloc, const struct trp_repo_listing *listing,
                             struct trp_str text)
{
    uint64_t digest = trp_digest_add_str(1, text);
    for (uint32_t i = 0; i < listing->models_n; i++) {
        const struct trp_repo_model *m = listing->models[i];
        struct trp_buf json;
        if (!m->definition)
            continue;
        trp_buf_init(&json, alloc, 16 << 20);
        trp_node_write_json(&json, m->definition);
        digest = trp_digest_add_str(trp_digest_add_str(digest, m->name), trp_buf_str(&json));
        trp_buf_deinit(&json);
        digest = trp_digest_add_str(digest, m->labels_why);
        for (const struct trp_node *n = m->labels ? m->labels->first : NULL; n; n = n->next)
            digest = trp_digest_add_str(trp_digest_add_str(digest, n->key), n->v.s);
    }
    return digest;
}

uint64_t trp_declared_verdict(const struct trp_declared *d, uint64_t digest)
{
    digest = trp_digest_add_str(digest, trp_str_of(d->file_why.text));
    for (uint32_t i = 0; trp_failed(d->file_why.status) && i < d->names.n; i++)
        digest = trp_digest_add_str(digest, d->names.items[i].name);
    for (uint32_t i = 0; i < d->folders_n; i++)
        if (d->folders[i].why.len)
            digest = trp_digest_add_str(trp_digest_add_str(digest, d->folders[i].name),
                                        d->folders[i].why);
    return digest;
}

static struct trp_declared_folder *find(const struct trp_declared *d, struct trp_str name,
                                        bool is_out)
{
    uint32_t first = 0, end = d->folders_n;
    while (first < end) {
        const uint32_t middle = first + (end - first) / 2;
        struct trp_declared_folder *f = &d->folders[middle];
        const int order = trp_str_compare(f->name, name);
        if (order == 0)
            return (f->why.len > 0) == is_out ? f : NULL;
        if (order < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return NULL;
}

struct trp_declared_folder *trp_declared_find(const struct trp_declared *d, struct trp_str name)
{
    return find(d, name, false);
}

struct trp_declared_folder *trp_declared_find_out(const struct trp_declared *d, struct trp_str name)
{
    return find(d, name, true);
}

/* The words of an error, as long as this reading. */
static trp_status keep_words(const struct trp_declared *d, const struct trp_error *why,
                             struct trp_str *out, struct trp_error *err)
{
    struct trp_str text = { NULL, 0 };
    if (why->status.code != TRP_OUT_OF_MEMORY)
        text = trp_arena_dup(d->arena, trp_str_of(why->text[0] ? why->text : "it is wrong"));
    if (!text.ptr)
        return no_memory(err);
    *out = text;
    return trp_ok();
}

trp_status trp_declared_leave_out(struct trp_declared *d, struct trp_declared_folder *folder,
                                  const struct trp_error *why, struct trp_error *err)
{
    return keep_words(d, why, &folder->why, err);
}

trp_status trp_declared_suspect(struct trp_declared *d, struct trp_declared_folder *folder,
                                const struct trp_error *why, struct trp_error *err)
{
    return folder->suspicion.len ? trp_ok() : keep_words(d, why, &folder->suspicion, err);
}

bool trp_declared_is_partial(const struct trp_declared *d)
{
    for (uint32_t i = 0; i < d->folders_n; i++)
        if (d->folders[i].why.len)
            return true;
    return trp_failed(d->file_why.status);
}

/* Its nodes call the file as messages do. */
static bool is_in(const struct trp_error *err, const struct trp_node *tree)
{
    const char *file = tree->first ? tree->first->file : NULL;
    const size_t len = file ? strlen(file) : 0;
    return len > 0 && strncmp(err->text, file, len) == 0 && err->text[len] == ':';
}

/* That an error begins with: "folder/model.yaml:3: ...". */
static const struct trp_declared_folder *folder_told(const struct trp_declared *d,
                                                     const struct trp_error *err)
{
    const struct trp_str name = trp_str_make(err->text, strcspn(err->text, "/"));
    const struct trp_declared_folder *f = trp_declared_find(d, name);
    f = f ? f : trp_declared_find_out(d, name);
    return f && is_in(err, f->tree) ? f : NULL;
}

void trp_declared_point(const struct trp_declared *d, const char *path, struct trp_error *err)
{
    const struct trp_route_source file = { .file = path, .text = d->text };
    trp_route_source_point(&file, err);
    const struct trp_declared_folder *f = folder_told(d, err);
    if (!f)
        return;
    const struct trp_route_source source = { f->tree->first->file, f->text };
    trp_route_source_point(&source, err);
}

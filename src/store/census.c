/* store/census.c - see census.h.
 *
 * The order matters, for drafts are published while this looks: first the pins are read, then the
 * artefacts.  A draft that is published in between is seen twice, and never not at all. */
#include "store/census.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "store/store_lease.h"

#define ENTRIES_MAX 10000000u
#define NAMES_MAX 100000000u
#define BLOCK_BYTES 65536u

struct taking {
    struct trp_census *c;
    const struct trp_store *store;
};

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the store's list");
}

struct trp_census_blob *trp_census_find(const struct trp_census *c, const char *name)
{
    return trp_table_get(c->blobs, trp_str_of(name));
}

/* The one under this name, made when need be. */
static trp_status get_blob(struct trp_census *c, const struct trp_blob *blob,
                           struct trp_census_blob **out, struct trp_error *err)
{
    *out = trp_census_find(c, blob->name);
    if (*out)
        return trp_ok();
    *out = trp_arena_zeroed(&c->arena, 1, sizeof **out);
    if (!*out)
        return no_memory(err);
    (*out)->blob = *blob;
    return trp_table_put(c->blobs, trp_str_of(blob->name), *out, NULL, err);
}

/* --- who uses what ---------------------------------------------------------------------------- */

static trp_status note_pin(void *user, const char *name, struct trp_error *err)
{
    struct taking *t = user;
    struct trp_census_blob *found;
    struct trp_blob blob = { .bytes = 0 };
    (void)trp_str_copy(trp_str_of(name), blob.name, sizeof blob.name);
    TRP_CHECK(get_blob(t->c, &blob, &found, err));
    found->is_pinned = true;
    return trp_ok();
}

static trp_status note_hold(void *user, const struct trp_sha256 *key, struct trp_error *err)
{
    struct taking *t = user;
    return trp_table_put(t->c->held, trp_str_make((const char *)key->bytes, sizeof key->bytes),
                         t->c, NULL, err);
}

/* --- artefacts -------------------------------------------------------------------------------- */

static trp_status add_blobs(struct trp_census *c, struct trp_census_made *made,
                            const struct trp_artefact *a, struct trp_error *err)
{
    made->blobs = trp_arena_zeroed(&c->arena, a->blobs_n + 1, sizeof(struct trp_census_blob *));
    if (!made->blobs)
        return no_memory(err);
    for (uint32_t i = 0; i < a->blobs_n; i++) {
        struct trp_census_blob *b;
        TRP_CHECK(get_blob(c, &a->blobs[i], &b, err));
        if (b->blob.bytes == 0) /* a pin knew its name only */
            b->blob = a->blobs[i];
        c->bytes += b->artefacts_n == 0 ? b->blob.bytes : 0;
        b->artefacts_n++;
        made->blobs[i] = b;
    }
    return trp_ok();
}

static trp_status add_artefact(struct trp_census *c, struct trp_census_made *made,
                               const struct trp_artefact *a, struct trp_error *err)
{
    const struct trp_str source = trp_arena_dup(&c->arena, trp_str_of(a->source));
    const struct trp_str made_by = trp_arena_dup(&c->arena, trp_str_of(a->made_by));
    if (!source.ptr || !made_by.ptr)
        return no_memory(err);
    made->stored.source = source.ptr;
    made->stored.made_by = made_by.ptr;
    made->stored.has_content = a->has_content;
    made->stored.content = a->content;
    made->stored.model_bytes = a->model_bytes;
    made->stored.skeleton_bytes = a->skeleton_bytes;
    made->stored.blob_bytes = a->blob_bytes;
    made->stored.blobs_n = a->blobs_n;
    c->bytes += a->skeleton_bytes;
    return add_blobs(c, made, a, err);
}

static trp_status append(struct trp_census *c, struct trp_census_made *made, struct trp_error *err)
{
    if (c->made_n == c->capacity) {
        const uint32_t capacity = c->capacity ? 2 * c->capacity : 64;
        struct trp_census_made **grown =
            trp_arena_zeroed(&c->arena, capacity, sizeof(struct trp_census_made *));
        if (!grown)
            return no_memory(err);
        if (c->made_n)
            memcpy(grown, c->made, c->made_n * sizeof(struct trp_census_made *));
        c->made = grown;
        c->capacity = capacity;
    }
    c->made[c->made_n++] = made;
    return trp_ok();
}

static int64_t last_use(const struct trp_store *s, const char *name)
{
    char path[TRP_STORE_PATH_MAX], file[TRP_SHA256_TEXT + 16];
    struct trp_file_stat st;
    (void)snprintf(file, sizeof file, "%s/manifest", name);
    return trp_store_part(s, "made", file, path) && !trp_failed(trp_file_stat(path, &st, NULL))
               ? st.mtime_ns
               : 0;
}

/* A damaged manifest is noted, and one that went meanwhile is not; what keeps us from reading one
 * ends the census: its blobs would look as if nobody needed them. */
static trp_status visit_made(void *user, const char *name, struct trp_error *err)
{
    struct taking *t = user;
    struct trp_artefact a;
    struct trp_error why = { 0 };
    struct trp_sha256 key;
    if (!trp_sha256_parse(name, &key))
        return trp_ok();
    struct trp_census_made *made = trp_arena_zeroed(&t->c->arena, 1, sizeof *made);
    if (!made)
        return no_memory(err);
    made->stored = (struct trp_stored){
        .key = key, .source = "", .made_by = "", .used_ns = last_use(t->store, name)
    };
    made->stored.is_held =
        trp_table_get(t->c->held, trp_str_make((const char *)key.bytes, sizeof key.bytes)) != NULL;
    trp_status st = trp_artefact_read(t->store, &key, &a, &why);
    if (!trp_failed(st)) {
        st = add_artefact(t->c, made, &a, err);
        trp_artefact_deinit(&a);
        TRP_CHECK(st);
    } else if (st.code == TRP_NOT_FOUND || st.code == TRP_DATA_LOSS) {
        made->stored.damage = why;
        made->stored.damage.status.code = TRP_DATA_LOSS;
    } else {
        if (err)
            *err = why;
        return st;
    }
    return append(t->c, made, err);
}

static int compare_use(const void *a, const void *b)
{
    const struct trp_census_made *const *x = a, *const *y = b;
    const int64_t left = (*x)->stored.used_ns, right = (*y)->stored.used_ns;
    return left < right ? -1 : left > right;
}

/* What nobody else has can be counted when all are known. */
static void count_own(struct trp_census_made *made)
{
    made->stored.own_bytes = made->stored.skeleton_bytes;
    for (uint32_t i = 0; i < made->stored.blobs_n; i++) {
        const struct trp_census_blob *b = made->blobs[i];
        if (b->artefacts_n == 1 && !b->is_pinned)
            made->stored.own_bytes += b->blob.bytes;
    }
}

static trp_status take_all(struct taking *t, struct trp_error *err)
{
    char folder[TRP_STORE_PATH_MAX];
    if (!trp_store_part(t->store, "made", NULL, folder))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: path too long", trp_store_path(t->store));
    TRP_CHECK(trp_pins_each(t->store, note_pin, t, err));
    TRP_CHECK(trp_store_lease_each(t->store, note_hold, t, err));
    return trp_dir_each(folder, ENTRIES_MAX, visit_made, t, err);
}

trp_status trp_census_take(struct trp_census *c, const struct trp_store *s, struct trp_error *err)
{
    struct taking t = { c, s };
    *c = (struct trp_census){ .bytes = 0 };
    trp_arena_init(&c->arena, trp_heap(), BLOCK_BYTES, 0);
    TRP_CHECK(trp_table_create(trp_heap(), NAMES_MAX, &c->blobs, err));
    TRP_CHECK(trp_table_create(trp_heap(), NAMES_MAX, &c->held, err));
    TRP_CHECK(take_all(&t, err));
    if (c->made_n)
        qsort(c->made, c->made_n, sizeof(struct trp_census_made *), compare_use);
    for (uint32_t i = 0; i < c->made_n; i++)
        count_own(c->made[i]);
    return trp_ok();
}

void trp_census_deinit(struct trp_census *c)
{
    trp_table_destroy(c->held);
    trp_table_destroy(c->blobs);
    trp_arena_deinit(&c->arena);
}

void trp_census_strike(struct trp_census *c, struct trp_census_made *made)
{
    made->is_gone = true;
    c->bytes -= made->stored.skeleton_bytes;
    for (uint32_t i = 0; i < made->stored.blobs_n; i++) {
        struct trp_census_blob *b = made->blobs[i];
        if (--b->artefacts_n == 0)
            c->bytes -= b->blob.bytes;
    }
}

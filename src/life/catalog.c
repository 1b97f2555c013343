/* life/catalog.c - see catalog.h */
#include "life/catalog.h"

#include "life/override.h"
#include "repo/digest.h"

#define ARENA_BLOCK_BYTES (16u << 10)

static trp_status apply_override(struct trp_catalog *c, struct trp_repo_opts *opts,
                                 struct trp_error *err)
{
    const struct trp_order *order = c->order;
    struct trp_node *tree = NULL;
    if (order->files_n && order->config.len == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "files can only be given together with a 'config'");
    if (order->config.len) {
        /* The config override stands in for the folder's own, whole. */
        TRP_TRY(trp_model_config_parse(&c->arena, order->config, "config", &tree, NULL, err), err,
                "Invalid config override");
        opts->override = tree;
        c->override_digest = trp_digest_add_str(1, order->config) | 1;
    }
    if (order->files_n) {
        TRP_CHECK(trp_override_write(order, &c->arena, &c->temporary, err));
        opts->path = c->temporary.ptr;
        opts->further_n = 0;
    }
    return trp_ok();
}

static trp_status find_one(struct trp_catalog *c, struct trp_error *err)
{
    struct trp_repo_opts opts = c->opts;
    struct trp_repo_model *m = trp_arena_zeroed(&c->arena, 1, sizeof *m);
    struct trp_repo_model **list = trp_arena_zeroed(&c->arena, 1, sizeof(struct trp_repo_model *));
    if (!m || !list)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory to look for the model");
    if (c->order)
        TRP_CHECK(apply_override(c, &opts, err));
    TRP_CHECK(trp_repo_find(&opts, c->name, &c->arena, m, err));
    list[0] = m;
    c->listing = (struct trp_repo_listing){ .models = list, .models_n = 1 };
    return trp_ok();
}

static void look(struct trp_job *job)
{
    struct trp_catalog *c = (struct trp_catalog *)job;
    struct trp_error err = { 0 };
    const trp_status st =
        c->name.len ? find_one(c, &err) : trp_repo_list(&c->opts, &c->arena, &c->listing, &err);
    if (trp_failed(st))
        c->error = err;
}

static void answer(struct trp_job *job)
{
    struct trp_catalog *c = (struct trp_catalog *)job;
    c->answer(c);
}

static void free_catalog(struct trp_job *job)
{
    struct trp_catalog *c = (struct trp_catalog *)job;
    const struct trp_alloc *alloc = c->alloc;
    trp_arena_deinit(&c->arena);
    trp_alloc_free(alloc, c);
}

static void tidy(struct trp_job *job)
{
    trp_override_remove(((struct trp_catalog *)job)->temporary);
}

static bool copy_numbers(struct trp_catalog *c, const struct trp_set *only)
{
    if (!only || only->n == 0)
        return true;
    int64_t *numbers = trp_arena_zeroed(&c->arena, only->n, sizeof *numbers);
    for (uint32_t i = 0; numbers && i < only->n; i++)
        numbers[i] = only->items[i]->target.version;
    c->opts.only = numbers;
    c->opts.only_n = only->n;
    return numbers != NULL;
}

trp_status trp_catalog_ask(const struct trp_alloc *alloc, struct trp_loaders *loaders,
                           const struct trp_catalog_request *request, struct trp_error *err)
{
    struct trp_catalog *c = trp_alloc_zeroed(alloc, 1, sizeof *c);
    if (!c)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory to look into the repository");
    c->alloc = alloc;
    c->refs = 1;
    c->opts = *request->opts;
    c->order = request->order;
    c->user = request->user;
    c->loaders = loaders;
    trp_arena_init(&c->arena, alloc, ARENA_BLOCK_BYTES, 0); /* bounded by limits.models */
    c->job.work = look;
    c->job.done = answer;
    c->answer = request->done;
    c->name = trp_arena_dup(&c->arena, request->name);
    if (!c->name.ptr || !copy_numbers(c, request->only)) {
        free_catalog(&c->job);
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory to look into the repository");
    }
    trp_loaders_submit(loaders, TRP_LANE_CHORE, &c->job);
    return trp_ok();
}

void trp_catalog_ref(struct trp_catalog *c)
{
    c->refs++;
}

void trp_catalog_unref(struct trp_catalog *c)
{
    if (!c || --c->refs)
        return;
    if (c->temporary.len == 0) {
        free_catalog(&c->job);
        return;
    }
    c->job.work = tidy;
    c->job.done = free_catalog;
    trp_loaders_submit(c->loaders, TRP_LANE_CHORE, &c->job);
}

uint64_t trp_catalog_digest(const struct trp_repo_model *m)
{
    uint64_t digest = 1;
    if (trp_failed(m->error.status))
        return trp_digest_add_str(digest, trp_str_of(m->error.text)) | 1;
    for (uint32_t i = 0; i < m->versions_n; i++) {
        digest = trp_digest_add(digest, (uint64_t)m->versions[i].number);
        digest = trp_digest_add(digest, m->versions[i].digest);
    }
    if (m->hidden_in.len) /* that is to be told, once */
        digest = trp_digest_add_str(digest, m->hidden_in);
    return digest | 1; /* 0 is "no files at all" */
}

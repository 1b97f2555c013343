/* life/survey.c - what a model that is not loaded would take and give
 *
 * With models.load: explicit nothing is loaded before somebody asks, but the index and the dashboard should still say what each
 * model takes.  Files are looked into on loader threads that have nothing better to do; each result becomes a NEW version
 * with its signature.  A result that comes after the model was loaded, unloaded or changed is dropped (`survey_key`). */
#include "life/life_parts.h"

struct look {
    struct trp_loading loading; /* first */
    struct trp_member *member;
    struct trp_catalog *catalog;
    struct trp_version *version;
    const char *reason; /* static */
    uint32_t key;
};

static void free_look(struct look *k)
{
    struct trp_member *m = k->member;
    trp_version_unref(k->version);
    trp_catalog_unref(k->catalog);
    trp_alloc_free(m->life->alloc, k);
    m->surveys_n--;
    trp_member_tidy(m);
}

static void fill_in(struct look *k)
{
    struct trp_version *v = k->version;
    const struct trp_loaded *r = &k->loading.loaded;
    const bool has_failed = trp_failed(r->error.status);
    (void)trp_str_copy(trp_str_of(has_failed ? r->error.text : k->reason), v->reason,
                       sizeof v->reason);
    if (has_failed)
        return;
    v->config = r->config;
    v->signature = r->signature;
}

static void looked_into(struct trp_job *job)
{
    struct look *k = (struct look *)job;
    struct trp_member *m = k->member;
    if (k->key == m->survey_key && !m->life->is_stopping) {
        fill_in(k);
        if (trp_set_put(m->life->alloc, &m->shown, k->version))
            k->version = NULL; /* moved */
        trp_life_show(m, true);
    }
    free_look(k);
}

static void work(struct trp_job *job)
{
    trp_loading_work((struct trp_loading *)job);
}

static trp_status begin_one(struct trp_member *m, struct trp_catalog *catalog,
                            const struct trp_repo_model *found,
                            const struct trp_repo_version *files, const char *reason)
{
    struct trp_life *l = m->life;
    struct trp_error err = { 0 };
    struct look *k = trp_alloc_zeroed(l->alloc, 1, sizeof *k);
    if (!k)
        return trp_fail(&err, TRP_OUT_OF_MEMORY, "survey");
    const trp_status st = trp_tenure_begin(l, m->name, files, 0, &k->version, &err);
    if (trp_failed(st)) {
        trp_alloc_free(l->alloc, k);
        return st;
    }
    trp_catalog_ref(catalog);
    m->surveys_n++;
    k->member = m;
    k->catalog = catalog;
    k->reason = reason;
    k->key = m->survey_key;
    k->loading = (struct trp_loading){ .job = { .work = work, .done = looked_into },
                                       .env = &l->env,
                                       .version = k->version,
                                       .source = found,
                                       .survey = true };
    trp_loaders_submit(l->loaders, TRP_LANE_BACKGROUND, &k->loading.job);
    return trp_ok();
}

void trp_survey_begin(struct trp_member *m, struct trp_catalog *catalog,
                      const struct trp_repo_model *found, const char *reason)
{
    m->survey_key++;
    if (trp_failed(found->error.status))
        return;
    for (uint32_t i = 0; i < found->versions_n; i++)
        if (trp_failed(begin_one(m, catalog, found, &found->versions[i], reason)))
            TRP_WARN(m->life->opts.log, "life", "'%.*s' is not looked into: no memory",
                     TRP_STR(m->name));
}

/* life/survey.c - what a model that is not loaded would take and give
 *
 * The index shows its versions at once, NEW and with the reason of the moment.  Their files are looked into on loader threads that
 * have nothing better to do, a few models at a time: ten thousand models make a queue of names, not of jobs.  Each result becomes
 * a NEW version with its signature, in the place of the one without.  A result that comes after the model was loaded, unloaded or
 * changed is dropped (`survey_key`).
 *
 *   begin ──► shown ──► queue ──► looks, as jobs ──► shown with signature ──► askers answered
 *                         ▲
 *   await ── in front ────┘ */
#include "life/demand.h"
#include "life/life_parts.h"
#include "life/tenure.h"

#define AT_ONCE 4u /* models whose files are looked into */

struct look {
    struct trp_loading loading; /* first */
    struct trp_member *member;
    struct trp_catalog *catalog;
    struct trp_version *version;
    uint32_t key;
};

static void begin_some(struct trp_life *l);

/* ---- askers ---- */

static void answer_askers(struct trp_member *m)
{
    while (m->askers && !m->surveys_n && !m->survey.catalog) {
        struct trp_order *order = m->askers;
        m->askers = order->next;
        if (m->life->is_stopping)
            (void)trp_fail(&order->error, TRP_UNAVAILABLE, "the server is stopping");
        trp_life_answer(m->life, order);
    }
}

/* ---- the queue ---- */

static void enqueue(struct trp_member *m, struct trp_catalog *catalog,
                    const struct trp_repo_model *found)
{
    struct trp_life *l = m->life;
    trp_catalog_ref(catalog);
    m->survey.catalog = catalog;
    m->survey.found = found;
    m->survey.next = NULL;
    *l->surveys_end = m;
    l->surveys_end = &m->survey.next;
}

static void dequeue(struct trp_member *m)
{
    struct trp_life *l = m->life;
    struct trp_member **at = &l->surveys;
    while (*at != m)
        at = &(*at)->survey.next;
    *at = m->survey.next;
    if (!*at)
        l->surveys_end = at;
    m->survey.next = NULL;
}

static void move_to_front(struct trp_member *m)
{
    struct trp_life *l = m->life;
    dequeue(m);
    m->survey.next = l->surveys;
    l->surveys = m;
    if (!m->survey.next)
        l->surveys_end = &m->survey.next;
}

void trp_survey_forget(struct trp_member *m)
{
    m->survey_key++;
    if (!m->survey.catalog)
        return;
    dequeue(m);
    trp_catalog_unref(m->survey.catalog);
    m->survey.catalog = NULL;
    answer_askers(m);
}

/* ---- looks ---- */

static void free_look(struct look *k)
{
    struct trp_member *m = k->member;
    struct trp_life *l = m->life;
    trp_version_unref(k->version);
    trp_catalog_unref(k->catalog);
    trp_alloc_free(l->alloc, k);
    m->surveys_n--;
    l->surveys_out--;
    answer_askers(m);
    trp_member_tidy(m);
    begin_some(l);
}

static void fill_in(struct look *k)
{
    struct trp_version *v = k->version;
    const struct trp_loaded *r = &k->loading.loaded;
    const bool has_failed = trp_failed(r->error.status);
    const char *reason = has_failed ? r->error.text : trp_cold_reason(k->member);
    (void)trp_str_copy(trp_str_of(reason), v->reason, sizeof v->reason);
    v->failure = r->error.status.code;
    if (has_failed)
        return;
    v->config = r->config;
    v->signature = r->signature;
    v->has_signature = true;
}

static void looked_into(struct trp_job *job)
{
    struct look *k = (struct look *)job;
    struct trp_member *m = k->member;
    if (k->key == m->survey_key && !m->life->is_stopping) {
        const struct trp_version *known = trp_set_numbered(&m->shown, k->version->target.version);
        if (known)
            trp_version_take_times(k->version, known);
        fill_in(k);
        if (trp_set_put(m->life->alloc, &m->shown, k->version))
            k->version = NULL; /* moved */
        trp_life_show(m, m->askers == NULL);
    }
    free_look(k);
}

static void work(struct trp_job *job)
{
    trp_loading_work((struct trp_loading *)job);
}

static trp_status begin_one(struct trp_member *m, struct trp_catalog *catalog,
                            const struct trp_repo_model *found,
                            const struct trp_repo_version *files)
{
    struct trp_life *l = m->life;
    struct trp_error err = { 0 };
    struct look *k = trp_alloc_zeroed(l->alloc, 1, sizeof *k);
    if (!k)
        return trp_fail(&err, TRP_OUT_OF_MEMORY, "survey");
    const trp_status st = trp_tenure_begin(m, files, 0, &k->version, &err);
    if (trp_failed(st)) {
        trp_alloc_free(l->alloc, k);
        return st;
    }
    trp_catalog_ref(catalog);
    m->surveys_n++;
    l->surveys_out++;
    k->member = m;
    k->catalog = catalog;
    k->key = m->survey_key;
    k->loading = (struct trp_loading){ .job = { .work = work, .done = looked_into },
                                       .env = &l->env,
                                       .version = k->version,
                                       .source = found,
                                       .survey = true };
    trp_loaders_submit(l->loaders, TRP_LANE_BACKGROUND, &k->loading.job);
    return trp_ok();
}

static void begin_first(struct trp_life *l)
{
    struct trp_member *m = l->surveys;
    struct trp_catalog *catalog = m->survey.catalog;
    const struct trp_repo_model *found = m->survey.found;
    dequeue(m);
    m->survey.catalog = NULL;
    for (uint32_t i = 0; i < found->versions_n; i++)
        if (trp_failed(begin_one(m, catalog, found, &found->versions[i])))
            TRP_WARN(l->opts.log, "life", "'%.*s' is not looked into: no memory", TRP_STR(m->name));
    trp_catalog_unref(catalog);
    answer_askers(m); /* when none has begun */
    trp_member_tidy(m);
}

static void begin_some(struct trp_life *l)
{
    while (l->surveys && l->surveys_out < AT_ONCE)
        begin_first(l);
}

/* ---- what is shown meanwhile ---- */

static bool show(struct trp_member *m, const struct trp_repo_model *found)
{
    struct trp_life *l = m->life;
    struct trp_set fresh;
    if (!trp_set_init(l->alloc, &fresh, found->versions_n))
        return false;
    for (uint32_t i = 0; i < found->versions_n; i++) {
        struct trp_version *v;
        if (trp_failed(trp_tenure_begin(m, &found->versions[i], 0, &v, NULL))) {
            trp_set_drop(l->alloc, &fresh);
            return false;
        }
        (void)trp_str_copy(trp_str_of(trp_cold_reason(m)), v->reason, sizeof v->reason);
        fresh.items[fresh.n++] = v;
    }
    trp_set_drop(l->alloc, &m->shown);
    m->shown = fresh;
    return true;
}

void trp_survey_begin(struct trp_member *m, struct trp_catalog *catalog,
                      const struct trp_repo_model *found)
{
    struct trp_life *l = m->life;
    trp_survey_forget(m);
    if (trp_failed(found->error.status))
        return;
    const bool is_shown = show(m, found);
    trp_member_show(m);
    if (is_shown) {
        enqueue(m, catalog, found);
        begin_some(l);
        return;
    }
    m->taken = 0; /* the next look finds it again */
    TRP_WARN(l->opts.log, "life", "'%.*s' is not shown as it is: no memory", TRP_STR(m->name));
}

static bool is_at_rest(const struct trp_member *m)
{
    for (uint32_t i = 0; i < m->shown.n; i++)
        if (trp_lifecycle_get(&m->shown.items[i]->life) != TRP_MODEL_NEW)
            return false;
    return m->shown.n > 0 && m->serving.n == 0 && !m->life->is_stopping;
}

static void found_again(struct trp_catalog *c)
{
    struct trp_member *m = c->user;
    m->surveys_n--;
    if (is_at_rest(m) && !trp_failed(c->error.status))
        trp_survey_begin(m, c, c->listing.models[0]);
    trp_catalog_unref(c);
    answer_askers(m);
    trp_member_tidy(m);
}

void trp_survey_ask(struct trp_member *m)
{
    struct trp_life *l = m->life;
    const struct trp_catalog_request request = {
        .opts = &l->opts.repo, .name = m->name, .done = found_again, .user = m
    };
    if (!trp_failed(trp_catalog_ask(l->alloc, l->loaders, &request, NULL)))
        m->surveys_n++;
}

static bool lacks_signature(const struct trp_member *m)
{
    for (uint32_t i = 0; i < m->shown.n; i++)
        if (!m->shown.items[i]->has_signature && m->shown.items[i]->failure == 0)
            return true;
    return false;
}

void trp_survey_await(struct trp_member *m, struct trp_order *order)
{
    order->next = m->askers;
    m->askers = order;
    if (m->survey.catalog)
        move_to_front(m);
    else if (!m->surveys_n && is_at_rest(m) && lacks_signature(m))
        trp_survey_ask(m);
    answer_askers(m);
}

/* life/survey.c - what a model that is not loaded would take and give
 *
 * The index shows its versions at once, NEW and with the reason of the moment.  Their files are
 * looked into on loader threads that have nothing better to do, a few models at a time: ten
 * thousand models make a queue of names, not of jobs.  Each result becomes a NEW version with its
 * signature, in the place of the one without.  A result that comes after the model was loaded,
 * unloaded or changed is dropped (`survey_key`).
 *
 *   begin ──► shown ──► queue ──► looks, as jobs ──► shown with signature ──► askers answered
 *                         ▲
 *   await ── in front ────┘ */
#include <stdio.h>

#include "life/demand.h"
#include "life/life_parts.h"
#include "life/proposal.h"
#include "life/tenure.h"

#define MANY 500u  /* surveys after which the heap is looked through */
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

static bool is_at_rest(const struct trp_member *m)
{
    for (uint32_t i = 0; i < m->shown.n; i++)
        if (trp_lifecycle_get(&m->shown.items[i]->life) != TRP_MODEL_NEW)
            return false;
    return m->shown.n > 0 && m->serving.n == 0 && !m->life->is_stopping;
}

/* Something is not known that whoever asks could be told. */
static bool lacks_something(const struct trp_member *m)
{
    for (uint32_t i = 0; i < m->shown.n; i++) {
        const struct trp_version *v = m->shown.items[i];
        if (v->failure == 0 && (!v->has_signature || !v->config.tree))
            return true;
    }
    return false;
}

static void answer_askers(struct trp_member *m)
{
    while (m->askers && !m->surveys_n && !m->survey.catalog) {
        struct trp_order *order = m->askers;
        if (is_at_rest(m) && lacks_something(m) && !m->has_asked) {
            m->has_asked = true; /* once more, for all that can be known, and then the answer */
            trp_survey_ask(m);
            continue;
        }
        m->askers = order->next;
        m->has_asked = m->has_asked && m->askers;
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
    char wrong[sizeof TRP_COLD_UNLOADED_WRONG + sizeof r->error.text];
    (void)snprintf(wrong, sizeof wrong, "%s%s", k->member->held_back ? TRP_COLD_UNLOADED_WRONG : "",
                   r->error.text);
    trp_version_say(v, trp_str_of(has_failed ? wrong : trp_cold_reason(k->member)));
    v->failure = r->error.status.code;
    if (has_failed)
        return;
    v->config = r->config;
    v->signature = r->signature;
    v->has_signature = true;
}

/* ---- do they fit what is made of the model? ---- */

static bool has_all(const struct trp_repo_model *found, const struct trp_set *set)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < found->versions_n; i++) {
        const struct trp_version *v = trp_set_numbered(set, found->versions[i].number);
        n += v && v->digest == found->versions[i].digest;
    }
    return n == set->n && !trp_failed(found->error.status);
}

/* Only what can be loaded again is held on to. */
static void found_before(struct trp_catalog *c)
{
    struct trp_member *m = c->user;
    m->surveys_n--;
    if (is_at_rest(m) && m->before.n && m->older.n == 0 && !m->op) {
        struct trp_error why = { 0 };
        const struct trp_proposal_ask ask = {
            .next = &m->shown,
            .now = &m->before,
            .signature_of = trp_proposal_face,
            .is_held = !trp_failed(c->error.status) && has_all(c->listing.models[0], &m->before)
        };
        const trp_status st = trp_proposal_judge(m, &ask, &why);
        if (st.code == TRP_FAILED_PRECONDITION)
            (void)trp_proposal_hold(m, &why); /* without memory the next call is told */
        else
            trp_set_drop(m->life->alloc, &m->before);
    }
    trp_catalog_unref(c);
    answer_askers(m);
    trp_member_tidy(m);
}

/* All that was found has been looked into. */
static void judge(struct trp_member *m)
{
    struct trp_life *l = m->life;
    struct trp_error why = { 0 };
    const struct trp_proposal_ask ask = { .next = &m->shown,
                                          .now = &m->before,
                                          .signature_of = trp_proposal_face };
    const struct trp_catalog_request request = {
        .opts = &l->opts.repo, .name = m->name, .only = &m->before, .done = found_before, .user = m
    };
    if (m->before.n == 0 || !is_at_rest(m) || m->op)
        return; /* an op in hand ends with what is true then */
    if (!trp_failed(trp_proposal_try(m, &ask, &why)))
        trp_set_drop(l->alloc, &m->before);
    else if (!trp_failed(trp_catalog_ask(l->alloc, l->loaders, &request, NULL)))
        m->surveys_n++;
}

static void looked_into(struct trp_job *job)
{
    struct look *k = (struct look *)job;
    struct trp_member *m = k->member;
    if (k->key == m->survey_key && !m->life->is_stopping) {
        const struct trp_version *known = trp_set_numbered(&m->shown, k->version->target.version);
        if (known && known->digest == k->version->digest)
            trp_version_take_times(k->version, known);
        fill_in(k);
        if (trp_set_put(m->life->alloc, &m->shown, k->version))
            k->version = NULL; /* moved */
        trp_life_show(m, m->askers == NULL);
        if (m->surveys_n == 1 && !m->survey.catalog)
            judge(m);
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
    const trp_status st = trp_tenure_begin(m, files, 0, TRP_TENURE_SHOWS, &k->version, &err);
    if (trp_failed(st)) {
        trp_alloc_free(l->alloc, k);
        return st;
    }
    trp_catalog_ref(catalog);
    m->surveys_n++;
    l->surveys_out++;
    l->surveyed_n++;
    k->member = m;
    k->catalog = catalog;
    k->key = m->survey_key;
    k->loading = (struct trp_loading){ .job = { .work = work, .done = looked_into },
                                       .env = &l->env,
                                       .version = k->version,
                                       .source = found,
                                       .survey = true,
                                       .whole = m->askers != NULL };
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

static void trim_heap(struct trp_job *job)
{
    (void)job;
    trp_heap_trim();
}

static void trimmed(struct trp_job *job)
{
    TRP_CONTAINER_OF(job, struct trp_life, heap_job)->is_trimming = false;
}

/* The listing that a thousand surveys worked from goes with the last of them, and leaves holes. */
static void trim_after_many(struct trp_life *l)
{
    if (l->surveys || l->surveys_out || l->surveyed_n < MANY || l->is_trimming || l->is_stopping)
        return;
    l->surveyed_n = 0;
    l->is_trimming = true;
    l->heap_job.work = trim_heap;
    l->heap_job.done = trimmed;
    trp_loaders_submit(l->loaders, TRP_LANE_CHORE, &l->heap_job);
}

static void begin_some(struct trp_life *l)
{
    while (l->surveys && l->surveys_out < AT_ONCE)
        begin_first(l);
    trim_after_many(l);
}

/* ---- what is shown meanwhile ---- */

/* Of the same files, the same is true. */
static void take_known(const struct trp_member *m, struct trp_version *v)
{
    const struct trp_version *shown = trp_set_numbered(&m->shown, v->target.version);
    const struct trp_version *face = shown ? trp_version_face(shown) : NULL;
    if (face && shown->digest == v->digest)
        (void)trp_version_take_face(v, face);
}

static bool show(struct trp_member *m, const struct trp_repo_model *found)
{
    struct trp_life *l = m->life;
    struct trp_set fresh;
    if (!trp_set_init(l->alloc, &fresh, found->versions_n))
        return false;
    for (uint32_t i = 0; i < found->versions_n; i++) {
        struct trp_version *v;
        if (trp_failed(trp_tenure_begin(m, &found->versions[i], 0, TRP_TENURE_SHOWS, &v, NULL))) {
            trp_set_drop(l->alloc, &fresh);
            return false;
        }
        trp_version_say(v, trp_str_of(trp_cold_reason(m)));
        take_known(m, v);
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
        .opts = &l->opts.repo, .name = m->name, .only = &m->older, .done = found_again, .user = m
    };
    if (!trp_failed(trp_catalog_ask(l->alloc, l->loaders, &request, NULL)))
        m->surveys_n++;
}

void trp_survey_await(struct trp_member *m, struct trp_order *order)
{
    order->next = m->askers;
    m->askers = order;
    if (m->survey.catalog)
        move_to_front(m);
    answer_askers(m);
}

/* life/proposal.c - see proposal.h. */
#include "life/proposal.h"

#include "life/demand.h"
#include "life/life_parts.h"

bool trp_proposal_look(const struct trp_proposal *p, int64_t version,
                       const struct trp_signature **out_signature)
{
    const struct trp_version_label *label =
        version < 0 ? trp_version_label_find(p->labels, p->labels_n, version) : NULL;
    const int64_t number = label ? label->version : version;
    *out_signature = NULL;
    for (uint32_t i = p->versions_n; i-- > 0;) {
        if (number != 0 && p->versions[i].number != number)
            continue;
        *out_signature = p->versions[i].signature;
        return true;
    }
    return false;
}

const struct trp_signature *trp_proposal_face(void *user, const struct trp_version *v)
{
    const struct trp_version *face = trp_version_face(v);
    (void)user;
    return face && face->has_signature ? &face->signature : NULL;
}

static bool is_known(const struct trp_member *m)
{
    for (uint32_t i = 0; i < m->shown.n; i++)
        if (trp_proposal_face(NULL, m->shown.items[i]))
            return true;
    return false;
}

/* Nobody may hold it back: what it breaks is told all the same.  Of a model that nobody knew before
 * it is told by whoever asks it, who waits for what it takes. */
static trp_status let_pass(const struct trp_member *m, const struct trp_proposal_ask *ask,
                           const struct trp_error *why)
{
    if (ask->is_forced || is_known(m))
        TRP_WARN(m->life->opts.log, "life",
                 "'%.*s' is taken up%s, and breaks what is made of it: %s", TRP_STR(m->name),
                 ask->is_forced ? " because it is forced" : "", why->text);
    return trp_ok();
}

static void propose(const struct trp_set *set, const struct trp_proposal_ask *ask, bool is_next,
                    struct trp_proposed_version *out)
{
    for (uint32_t i = 0; i < set->n; i++) {
        const struct trp_version *v = set->items[i];
        out[i] = (struct trp_proposed_version){ v->target.version,
                                                is_next ? ask->signature_of(ask->user, v)
                                                        : trp_proposal_face(NULL, v) };
    }
}

trp_status trp_proposal_try(const struct trp_member *m, const struct trp_proposal_ask *ask,
                            struct trp_error *err)
{
    const struct trp_life *l = m->life;
    const struct trp_labelling *labels =
        m->next_labelling.labels ? &m->next_labelling : &m->labelling;
    const uint32_t next_n = ask->next->n, now_n = ask->now ? ask->now->n : 0;
    if (!l->opts.fits || next_n == 0)
        return trp_ok();
    struct trp_proposed_version *versions =
        trp_alloc_zeroed(l->alloc, (size_t)next_n + now_n, sizeof *versions);
    if (!versions)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "what is made of '%.*s'", TRP_STR(m->name));
    struct trp_proposal next = { .model = m->name,
                                 .versions = versions,
                                 .versions_n = next_n,
                                 .labels = labels->labels,
                                 .labels_n = labels->n };
    struct trp_proposal now = { .model = m->name,
                                .versions = versions + next_n,
                                .versions_n = now_n,
                                .labels = m->labelling.labels,
                                .labels_n = m->labelling.n };
    propose(ask->next, ask, true, versions);
    if (now_n)
        propose(ask->now, ask, false, versions + next_n);
    const trp_status st = l->opts.fits(l->opts.fits_user, &next, now_n ? &now : NULL, err);
    trp_alloc_free(l->alloc, versions);
    return st;
}

trp_status trp_proposal_judge(const struct trp_member *m, const struct trp_proposal_ask *ask,
                              struct trp_error *err)
{
    const struct trp_life *l = m->life;
    struct trp_error why = { 0 };
    const trp_status st = trp_proposal_try(m, ask, &why);
    if (!trp_failed(st))
        return st;
    if (st.code == TRP_FAILED_PRECONDITION && (ask->is_forced || !ask->is_held))
        return let_pass(m, ask, &why);
    *err = why;
    if (st.code == TRP_FAILED_PRECONDITION) {
        trp_metrics_add(l->opts.metrics, TRP_METRIC_LOADS_HELD, 1);
        trp_error_within(err, "held back");
        TRP_ERROR_LOG(l->opts.log, "life", "'%.*s' stays as it is, unless it is forced: %s",
                      TRP_STR(m->name), err->text);
    }
    return st;
}

/* ---- models that are not loaded ---- */

static bool is_replaced(const struct trp_set *set, const struct trp_repo_model *found)
{
    for (uint32_t i = 0; i < found->versions_n; i++) {
        const struct trp_version *v = trp_set_numbered(set, found->versions[i].number);
        if (v && v->digest != found->versions[i].digest)
            return true;
    }
    return false;
}

void trp_proposal_remember(struct trp_member *m, const struct trp_repo_model *found)
{
    bool are_known = m->shown.n > 0 && m->life->opts.fits;
    for (uint32_t i = 0; are_known && i < m->shown.n; i++)
        are_known = trp_proposal_face(NULL, m->shown.items[i]) != NULL &&
                    trp_lifecycle_get(&m->shown.items[i]->life) == TRP_MODEL_NEW;
    if (m->before.n == 0 && are_known)
        (void)trp_set_dup(m->life->alloc, &m->before, &m->shown);
    if (is_replaced(&m->before, found))
        trp_set_drop(m->life->alloc, &m->before);
}

const struct trp_set *trp_proposal_now(const struct trp_member *m)
{
    if (m->serving.n)
        return NULL;
    return m->older.n ? &m->older : m->before.n ? &m->before : NULL;
}

void trp_proposal_keep(struct trp_member *m)
{
    if (m->serving.n || m->older.n)
        return;
    m->older = m->before;
    m->before = (struct trp_set){ 0 };
}

bool trp_proposal_hold(struct trp_member *m, const struct trp_error *why)
{
    struct trp_set again;
    if (!trp_set_dup(m->life->alloc, &again, &m->before))
        return false;
    trp_proposal_keep(m);
    trp_survey_forget(m);
    trp_set_drop(m->life->alloc, &m->shown);
    m->shown = again;
    trp_member_say(m, "newer files are not taken up: ", why->text);
    trp_member_show(m);
    return true;
}

/* life/presence.c - see presence.h. */
#include "life/presence.h"

#include "life/demand.h"
#include "life/hibernation.h"
#include "life/life_parts.h"
#include "life/tenure.h"

const char *trp_presence_kept(const struct trp_member *m)
{
    if (trp_hibernation_is_asleep(m) && !trp_idle_is_pinned(m))
        return trp_idle_stay_ns(m) < 0 ? "hibernated until the rest of its room is wanted"
                                       : "hibernated, and then until nobody asks for it";
    if (m->is_overridden)
        return "loaded with an order's own files or configuration: could not be loaded again";
    if (m->is_last_copy)
        return "its files were replaced by some that do not load: could not be loaded again";
    if (m->is_pinned)
        return "pinned by an operator";
    if (trp_idle_is_pinned(m))
        return "pinned by its configuration";
    return trp_idle_stay_ns(m) < 0 ? "until its room is wanted" : "until nobody asks for it";
}

static void tell(const struct trp_member *m, const struct trp_version *v,
                 void (*each)(void *user, const struct trp_presence *p), void *user)
{
    const struct trp_blob_use *use = trp_tenure_blobs(v);
    struct trp_presence p = { .version = v,
                              .kept = trp_presence_kept(m),
                              .keep_alive_ns = trp_idle_stay_ns(m),
                              .is_pinned = trp_idle_is_pinned(m) };
    if (m->guest && trp_gauge_get(&v->residency) == TRP_RESIDENCY_HIBERNATED)
        p.asleep_ns = m->guest->sleep.since_ns;
    if (m->guest)
        p.wake_ns = m->guest->sleep.wake_ns;
    if (m->guest && m->guest->prospect.is_known)
        p.prospect = &m->guest->prospect;
    if (use) {
        p.shared_bytes = trp_blob_use_bytes(use);
        p.frees_bytes = trp_blob_use_frees(use);
        p.blobs = trp_blob_use_list(use, &p.blobs_n);
    }
    each(user, &p);
}

static bool is_coming(const struct trp_version *v)
{
    const enum trp_model_state state = trp_lifecycle_get(&v->life);
    return state == TRP_MODEL_LOADING || state == TRP_MODEL_WARMING;
}

void trp_presence_each(struct trp_life *l, void (*each)(void *user, const struct trp_presence *p),
                       void *user)
{
    for (const struct trp_member *m = l->members; m; m = m->next) {
        for (uint32_t i = 0; i < m->serving.n; i++)
            tell(m, m->serving.items[i], each, user);
        for (uint32_t i = 0; i < m->shown.n; i++)
            if (is_coming(m->shown.items[i]))
                tell(m, m->shown.items[i], each, user);
    }
}

trp_status trp_presence_rank(struct trp_life *l, struct trp_error *err)
{
    return l->residence ? trp_residence_rank(l->residence, err) : trp_ok();
}

/* ---- who went ---- */

void trp_presence_note_out(struct trp_member *m, const char *why)
{
    const struct trp_alloc *alloc = m->life->alloc;
    trp_alloc_free(alloc, m->went.why);
    m->went.why = trp_alloc_text(alloc, why, strlen(why));
    m->went.at_ns = trp_loop_now_ns(m->life->opts.control);
}

void trp_presence_note(struct trp_member *m, const char *why)
{
    struct trp_life *l = m->life;
    trp_presence_note_out(m, why);
    struct trp_gone *gone = &l->gone[l->gone_n % TRP_DEPARTURES_MAX];
    char *name = trp_alloc_text(l->alloc, m->name.ptr, m->name.len);
    char *words = name ? trp_alloc_text(l->alloc, why, strlen(why)) : NULL;
    if (!words) {
        trp_alloc_free(l->alloc, name);
        return;
    }
    trp_alloc_free(l->alloc, gone->name);
    trp_alloc_free(l->alloc, gone->why);
    *gone = (struct trp_gone){ name, words, trp_loop_now_ns(l->opts.control) };
    l->gone_n++;
}

void trp_presence_each_gone(struct trp_life *l,
                            void (*each)(void *user, const struct trp_departure *d), void *user)
{
    for (uint64_t i = l->gone_n; i-- > 0 && l->gone_n - i <= TRP_DEPARTURES_MAX;) {
        const struct trp_gone *gone = &l->gone[i % TRP_DEPARTURES_MAX];
        const struct trp_departure d = { trp_str_of(gone->name), gone->why, gone->at_ns };
        each(user, &d);
    }
}

void trp_presence_forget(struct trp_life *l)
{
    for (uint32_t i = 0; i < TRP_DEPARTURES_MAX; i++) {
        trp_alloc_free(l->alloc, l->gone[i].name);
        trp_alloc_free(l->alloc, l->gone[i].why);
    }
}

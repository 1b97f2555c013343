/* life/steward.c - room in memory for what is loaded
 *
 * The residence knows guests and numbers, a member knows its files, orders and pins; here they
 * meet.  A model becomes a guest when it is loaded for the first time, so thousands that nobody
 * asks for cost nothing. */
#include "life/steward.h"

#include "life/demand.h"
#include "life/hibernation.h"
#include "life/tenure.h"

#define WAIT_NS TRP_S(60) /* for room, then a load is refused with the numbers */

enum { RANK_BY_ITSELF, RANK_FOR_CALLS, RANK_ORDERED };

/* ---- what the residence asks ---- */

static bool evict(void *user, struct trp_guest *guest, const char *why)
{
    (void)user;
    return trp_member_evict(guest->owner, why);
}

static bool hibernate(void *user, struct trp_guest *guest, const char *why)
{
    (void)user;
    return trp_hibernation_begin(guest->owner, why);
}

static void describe(void *user, struct trp_guest *guest)
{
    const struct trp_member *m = guest->owner;
    (void)user;
    guest->is_pinned = trp_idle_is_pinned(m) || m->is_overridden;
    guest->is_held = m->op != NULL;
    guest->weight = m->keeping.priority;
    guest->sleep.is_able = trp_hibernation_is_able(m);
    const char *unfit = trp_guest_unfit(guest);
    for (uint32_t i = 0; unfit && i < m->serving.n; i++)
        trp_tenure_explain(m->serving.items[i], unfit); /* also when it was loaded again since */
}

static void idle(void *user)
{
    trp_life_check(user);
}

trp_status trp_steward_create(struct trp_life *l, struct trp_error *err)
{
    const struct trp_residence_opts opts = { .ledger = l->opts.ledger,
                                             .control = l->opts.control,
                                             .log = l->opts.log,
                                             .metrics = l->opts.metrics,
                                             .policy = l->opts.policy,
                                             .loads_max = l->opts.loaders_n,
                                             .loading_bytes_max = l->opts.loading_bytes_max,
                                             .wait_ns_max = WAIT_NS,
                                             .stay_ns = l->opts.stay_ns,
                                             .evict = evict,
                                             .hibernate =
                                                 l->opts.hibernated_bytes_max ? hibernate : NULL,
                                             .asleep_bytes_max = l->opts.hibernated_bytes_max,
                                             .describe = describe,
                                             .idle = idle,
                                             .user = l };
    return l->opts.ledger ? trp_residence_create(l->alloc, &opts, &l->residence, err) : trp_ok();
}

/* ---- what a load asks ---- */

trp_status trp_steward_expect(struct trp_member *m, const struct trp_version *v,
                              const struct trp_size *size, struct trp_error *err)
{
    if (!m->guest)
        TRP_CHECK(trp_guest_create(m->life->residence, m->name, m, &m->guest, err));
    TRP_CHECK(trp_stay_expect(m->guest, trp_tenure_stay(v), size, v->stats, err));
    trp_tenure_stay(v)->digest = v->digest;
    return trp_ok();
}

/* Whoever is loaded by itself, with nobody waiting, throws nobody out. */
void trp_steward_ask(struct trp_member *m, struct trp_ask *ask)
{
    const struct trp_op *op = m->op;
    ask->guest = m->guest;
    ask->is_asked_for = op->order || op->is_by_call || m->serving.n > 0;
    ask->rank = op->order ? RANK_ORDERED : op->is_by_call ? RANK_FOR_CALLS : RANK_BY_ITSELF;
    trp_residence_ask(m->life->residence, ask);
}

void trp_steward_settle(const struct trp_version *v, const struct trp_loaded *loaded,
                        int64_t load_ns)
{
    struct trp_stay *stay = trp_tenure_stay(v);
    struct trp_guest *g = stay->guest;
    const bool is_mapped = loaded->mapping.is_mapped;
    const bool has_shared = is_mapped && stay->shares_n > 0;
    if (!g)
        return;
    struct trp_amounts own = { { loaded->bytes } };
    if (is_mapped && !has_shared) /* it was prepared since its size was estimated */
        own.of[TRP_RESOURCE_BYTES] += loaded->mapping.mapped_bytes;
    else if (!loaded->mapping.is_packed) /* the next load of it is not, unless it is hot again */
        trp_sizing_learn(g->measured, v->digest, is_mapped, loaded->bytes, load_ns);
    own.of[TRP_RESOURCE_MAPPINGS] = stay->own.of[TRP_RESOURCE_MAPPINGS];
    const struct trp_measured *known = trp_sizing_measured(g->measured, v->digest);
    const int64_t mapped_ns = known ? known->load_ns[true] : 0;
    trp_stay_settle(stay, own, has_shared, mapped_ns > 0 ? mapped_ns : load_ns);
}

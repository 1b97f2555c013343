/* life/scaling.c - see scaling.h
 *
 * What an operator says holds for the files that he said it of, by their digest: it outlives an
 * eviction, an unload and a load, and ends when the version's files or its configuration change,
 * when another number is said, or when the server ends.  So a hot swap takes what the new files
 * say, and nobody wonders a year later where a number came from.
 *
 *   order ──► a wish for each version that is shown now ──► exec, at once
 *                     └──► tenure: a version that is made of the same files later begins with it */
#include "life/scaling.h"

#include "life/life_parts.h"

static const struct trp_set *available(const struct trp_member *m)
{
    return m->serving.n ? &m->serving : &m->shown;
}

static const struct trp_scale *find(const struct trp_scaling *s, const struct trp_version *v)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->all[i].version == v->target.version && s->all[i].digest == v->digest)
            return &s->all[i];
    return NULL;
}

static bool is_meant(const struct trp_order *order, const struct trp_version *v)
{
    return order->version == 0 || order->version == v->target.version;
}

static trp_status check(const struct trp_member *m, const struct trp_order *order,
                        struct trp_error *err)
{
    const struct trp_set *set = available(m);
    uint32_t meant_n = 0;
    for (uint32_t i = 0; i < set->n; i++) {
        const struct trp_version *v = set->items[i];
        if (!is_meant(order, v))
            continue;
        meant_n++;
        if (order->instances > 1 && v->model &&
            !(trp_backend_capabilities(v->model) & TROUPE_CAN_CONCURRENT))
            return trp_fail(err, TRP_FAILED_PRECONDITION,
                            "'%s' keeps one instance: its backend makes one run at a time", v->id);
    }
    if (meant_n > 0)
        return trp_ok();
    if (order->version == 0)
        return trp_fail(err, TRP_NOT_FOUND,
                        "Request for unknown model: '%.*s' has no available versions",
                        TRP_STR(m->name));
    return trp_fail(err, TRP_NOT_FOUND,
                    "Request for unknown model: '%.*s' version %lld is not found", TRP_STR(m->name),
                    (long long)order->version);
}

/* What holds afterwards; what was said of files that are gone is left behind. */
static bool make_next(const struct trp_member *m, const struct trp_order *order,
                      struct trp_scaling *out)
{
    const struct trp_set *set = available(m);
    *out = (struct trp_scaling){ 0 };
    out->all = trp_alloc_zeroed(m->life->alloc, (size_t)set->n + 1, sizeof *out->all);
    for (uint32_t i = 0; out->all && i < set->n; i++) {
        const struct trp_version *v = set->items[i];
        const struct trp_scale *old = find(&m->scaling, v);
        const uint32_t instances = is_meant(order, v) ? order->instances : old ? old->instances : 0;
        if (instances > 0)
            out->all[out->n++] = (struct trp_scale){ v->target.version, v->digest, instances };
    }
    return out->all != NULL;
}

trp_status trp_scaling_order(struct trp_member *m, struct trp_error *err)
{
    const struct trp_order *order = m->op->order;
    const struct trp_set *set = available(m);
    struct trp_life *l = m->life;
    struct trp_scaling next;
    TRP_CHECK(check(m, order, err));
    if (!make_next(m, order, &next))
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the instances of '%.*s'",
                        TRP_STR(m->name));
    trp_scaling_forget(m);
    m->scaling = next;
    for (uint32_t i = 0; i < set->n; i++) {
        struct trp_version *v = set->items[i];
        if (!is_meant(order, v) || (uint32_t)trp_gauge_get(&v->instances) == order->instances)
            continue;
        trp_exec_resize(l->opts.exec, v, order->instances);
        trp_metrics_add(l->opts.metrics, TRP_METRIC_INSTANCE_CHANGES, 1);
        TRP_INFO(l->opts.log, "life", "'%s': %u instances%s", v->id, trp_exec_instances(v),
                 order->instances == 0        ? ", as its configuration says"
                 : trp_exec_instances(v) == 0 ? " (no limit)"
                                              : "");
    }
    return trp_ok();
}

void trp_scaling_apply(const struct trp_member *m, struct trp_version *v)
{
    const struct trp_scale *said = find(&m->scaling, v);
    if (said)
        trp_gauge_set(&v->instances, said->instances);
}

void trp_scaling_forget(struct trp_member *m)
{
    trp_alloc_free(m->life->alloc, m->scaling.all);
    m->scaling = (struct trp_scaling){ 0 };
}

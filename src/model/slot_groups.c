/* model/slot_groups.c - see slot_groups.h. */
#include "model/slot_groups.h"

#define COUNT_MAX (INT64_C(1) << 20) /* of a group: so many runs never go on at once */

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the groups of instances");
}

static trp_status parse(const struct trp_node *n, struct trp_cores *out, struct trp_error *err)
{
    if (trp_cores_parse(n->v.s, out))
        return trp_ok();
    return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                         "cores is \"%.*s\"; it is a list of cores, such as 0-3,6",
                         TRP_STR(n->v.s));
}

/* ---- what was written ---- */

/* A group's own, or the model's. */
trp_status trp_slot_groups_read(const struct trp_node *g, const struct trp_node *own,
                                struct trp_slot_group *out, struct trp_error *err)
{
    const struct trp_node *written = trp_node_get(g, "cores");
    const struct trp_node *n = written ? written : own;
    const int64_t count = trp_node_i64(g, "count", 0); /* 0 or more: that was checked */
    *out = (struct trp_slot_group){ .count = (uint32_t)(count < COUNT_MAX ? count : COUNT_MAX),
                                    .is_bound = n };
    return n ? parse(n, &out->cores, err) : trp_ok();
}

static bool is_like(const struct trp_slot_group *a, const struct trp_slot_group *b)
{
    return a->is_bound == b->is_bound && trp_cores_is_equal(&a->cores, &b->cores);
}

/* A number without a limit has no slots to bind. */
static trp_status check_unlike(const struct trp_node *list, struct trp_error *err)
{
    if (list->children_n > TRP_SLOT_GROUPS_MAX)
        return trp_node_fail(list, err, TRP_INVALID_ARGUMENT,
                             "instance_group: %u groups with cores of their own; at most %u",
                             list->children_n, TRP_SLOT_GROUPS_MAX);
    for (const struct trp_node *g = list->first; g; g = g->next)
        if (trp_node_i64(g, "count", 0) <= 0)
            return trp_node_fail(g, err, TRP_INVALID_ARGUMENT,
                                 "instance_group: where groups have unlike cores, each says how "
                                 "many runs it makes at once: count is missing");
    return trp_ok();
}

static trp_status take_unlike(struct trp_arena *a, const struct trp_node *list,
                              const struct trp_node *own, const struct trp_slot_groups **out,
                              struct trp_error *err)
{
    struct trp_slot_groups *all;
    TRP_CHECK(check_unlike(list, err));
    all = trp_arena_zeroed(a, 1, sizeof *all + list->children_n * sizeof all->groups[0]);
    if (!all)
        return no_memory(err);
    for (const struct trp_node *g = list->first; g; g = g->next) {
        struct trp_slot_group *group = &all->groups[all->groups_n++];
        TRP_CHECK(trp_slot_groups_read(g, own, group, err));
        all->count += group->count;
    }
    *out = all;
    return trp_ok();
}

trp_status trp_slot_groups_take(struct trp_arena *a, const struct trp_node *tree,
                                const struct trp_cores **out_cores,
                                const struct trp_slot_groups **out_groups, struct trp_error *err)
{
    const struct trp_node *own = trp_node_get(tree, "cores");
    const struct trp_node *list = trp_node_get(tree, "instance_group");
    struct trp_slot_group first = { .count = 0 }, other;
    struct trp_cores *kept;
    *out_cores = NULL;
    *out_groups = NULL;
    TRP_CHECK(trp_slot_groups_read(list ? list->first : NULL, own, &first, err));
    for (const struct trp_node *g = list ? list->first : NULL; g; g = g->next) {
        TRP_CHECK(trp_slot_groups_read(g, own, &other, err));
        if (!is_like(&first, &other))
            return take_unlike(a, list, own, out_groups, err);
    }
    if (!first.is_bound)
        return trp_ok();
    kept = trp_arena_get(a, sizeof *kept);
    if (!kept)
        return no_memory(err);
    *kept = first.cores;
    *out_cores = kept;
    return trp_ok();
}

static trp_status check_one(const struct trp_node *n, const struct trp_cores *allowed,
                            struct trp_error *err)
{
    char text[TRP_CORES_TEXT_MAX];
    struct trp_cores cores;
    if (!n)
        return trp_ok();
    TRP_CHECK(parse(n, &cores, err));
    if (trp_cores_is_within(&cores, allowed))
        return trp_ok();
    trp_cores_format(allowed, text, sizeof text);
    return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                         "cores is \"%.*s\"; this server may run on %s", TRP_STR(n->v.s), text);
}

trp_status trp_slot_groups_check(const struct trp_node *tree, const struct trp_cores *allowed,
                                 struct trp_error *err)
{
    const struct trp_node *list = trp_node_get(tree, "instance_group");
    TRP_CHECK(check_one(trp_node_get(tree, "cores"), allowed, err));
    for (const struct trp_node *g = list ? list->first : NULL; g; g = g->next)
        TRP_CHECK(check_one(trp_node_get(g, "cores"), allowed, err));
    return trp_ok();
}

/* ---- who takes which ---- */

/* Of so many slots, those of the groups before and up to this one: rounded up, so that a single
 * slot is the first group's. */
static uint64_t dealt(uint64_t slots, uint64_t up_to, uint64_t all)
{
    return (slots * up_to + all - 1) / all;
}

uint32_t trp_slot_groups_share(const struct trp_slot_groups *g, uint32_t slots, uint32_t group)
{
    uint64_t before = 0;
    for (uint32_t i = 0; i < group; i++)
        before += g->groups[i].count;
    return (uint32_t)(dealt(slots, before + g->groups[group].count, g->count) -
                      dealt(slots, before, g->count));
}

/* Whether a has the smaller part of its share taken. */
static bool is_freer(uint32_t busy_a, uint32_t share_a, uint32_t busy_b, uint32_t share_b)
{
    const bool a_has = busy_a < share_a, b_has = busy_b < share_b;
    if (a_has != b_has)
        return a_has;
    if (!a_has)
        return (uint64_t)busy_a + share_b < (uint64_t)busy_b + share_a;
    return (uint64_t)busy_a * share_b < (uint64_t)busy_b * share_a;
}

uint32_t trp_slot_groups_choose(const struct trp_slot_groups *g, const uint32_t *busy,
                                uint32_t slots, uint32_t usual)
{
    uint32_t best = usual < g->groups_n ? usual : 0;
    uint32_t best_share = trp_slot_groups_share(g, slots, best);
    for (uint32_t i = 0; i < g->groups_n; i++) {
        const uint32_t share = trp_slot_groups_share(g, slots, i);
        if (!is_freer(busy[i], share, busy[best], best_share))
            continue;
        best = i;
        best_share = share;
    }
    return best;
}

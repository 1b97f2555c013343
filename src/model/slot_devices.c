/* model/slot_devices.c - see slot_devices.h. */
#include "model/slot_devices.h"

static const struct troupe_device_id cpu = { .kind = TROUPE_DEVICE_CPU };

/* What is being settled. */
struct placing {
    const struct trp_device_list *there;
    const struct trp_node *list, *own_cores;
    struct troupe_device_id *devices; /* those that are used, each once */
    uint32_t devices_n;
    struct trp_slot_groups *groups;
    struct trp_error *err;
};

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the groups of instances");
}

static struct trp_str kind_of(const struct trp_node *group)
{
    return trp_node_str(group, "kind", TRP_STR_LIT(""));
}

static const struct trp_node *gpus_of(const struct trp_node *group)
{
    const struct trp_node *gpus = trp_node_get(group, "gpus");
    return gpus && gpus->first ? gpus : NULL;
}

/* ---- where a group goes ---- */

/* NULL: there is no such one. */
static const struct trp_device *named(const struct trp_device_list *there, const struct trp_node *n)
{
    if (n->v.i < 0)
        return NULL;
    return trp_device_list_find(
        there, (struct troupe_device_id){ .kind = TROUPE_DEVICE_GPU, .ordinal = (uint32_t)n->v.i });
}

static const struct trp_node *missing(const struct trp_device_list *there,
                                      const struct trp_node *group)
{
    const struct trp_node *gpus = gpus_of(group);
    for (const struct trp_node *n = gpus ? gpus->first : NULL; n; n = n->next)
        if (!named(there, n))
            return n;
    return NULL;
}

/* Where there is one. */
static bool may_be_on_gpus(const struct trp_node *group)
{
    const struct trp_str kind = kind_of(group);
    return trp_str_is(kind, "KIND_GPU") || trp_str_is(kind, "KIND_AUTO") ||
           (kind.len == 0 && gpus_of(group));
}

bool trp_slot_devices_is_asked_for(const struct trp_node *tree)
{
    const struct trp_node *list = trp_node_get(tree, "instance_group");
    const struct trp_node *group = list ? list->first : NULL;
    while (group && !may_be_on_gpus(group))
        group = group->next;
    return group != NULL;
}

/* One that names its kind wants all that it names, and is refused without. */
static bool is_on_gpus(const struct trp_device_list *there, const struct trp_node *group)
{
    if (there->n == 0 || !may_be_on_gpus(group))
        return false;
    return trp_str_is(kind_of(group), "KIND_GPU") || !missing(there, group);
}

/* How many devices a group is on. */
static uint32_t width_of(const struct trp_device_list *there, const struct trp_node *group)
{
    if (!is_on_gpus(there, group))
        return 1;
    const struct trp_node *gpus = gpus_of(group);
    return gpus ? gpus->children_n : there->n;
}

static trp_status fail_missing(const struct placing *p, const struct trp_str backend,
                               const struct trp_node *n)
{
    struct trp_buf names;
    trp_buf_init(&names, trp_heap(), 4096);
    for (uint32_t i = 0; i < p->there->n; i++)
        trp_buf_addf(&names, "%s%u", i > 0 ? ", " : "", p->there->all[i].id.ordinal);
    const char *text = trp_buf_text(&names);
    const trp_status st =
        trp_node_fail(n, p->err, TRP_INVALID_ARGUMENT, "instance_group wants GPU %lld; %.*s has %s",
                      (long long)n->v.i, TRP_STR(backend), text ? text : "others");
    trp_buf_deinit(&names);
    return st;
}

/* ---- the groups that come of it ---- */

static uint32_t place_of(struct placing *p, struct troupe_device_id id)
{
    for (uint32_t i = 0; i < p->devices_n; i++)
        if (trp_device_is_same(p->devices[i], id))
            return i;
    p->devices[p->devices_n] = id;
    return p->devices_n++;
}

static void add(struct placing *p, const struct trp_slot_group *like, struct troupe_device_id id)
{
    struct trp_slot_group *g = &p->groups->groups[p->groups->groups_n++];
    *g = *like;
    g->device = place_of(p, id);
    p->groups->count += g->count;
}

static trp_status place_group(struct placing *p, const struct trp_node *group)
{
    struct trp_slot_group like;
    TRP_CHECK(trp_slot_groups_read(group, p->own_cores, &like, p->err));
    like.count = like.count ? like.count : 1;
    if (!is_on_gpus(p->there, group)) {
        add(p, &like, cpu);
        return trp_ok();
    }
    const struct trp_node *gpus = gpus_of(group);
    for (const struct trp_node *n = gpus ? gpus->first : NULL; n; n = n->next)
        add(p, &like, named(p->there, n)->id);
    for (uint32_t i = 0; !gpus && i < p->there->n; i++)
        add(p, &like, p->there->all[i].id);
    return trp_ok();
}

/* How many groups there will be; 0: all are on the CPU. */
static uint64_t count_groups(const struct placing *p)
{
    uint64_t n = 0;
    bool is_any = false;
    for (const struct trp_node *g = p->list ? p->list->first : NULL; g; g = g->next) {
        is_any = is_any || is_on_gpus(p->there, g);
        n += width_of(p->there, g);
    }
    return is_any ? n : 0;
}

trp_status trp_slot_devices_take(struct trp_arena *a, const struct trp_device_list *there,
                                 struct trp_model_config *c, struct trp_error *err)
{
    struct placing p = { .there = there,
                         .list = trp_node_get(c->tree, "instance_group"),
                         .own_cores = trp_node_get(c->tree, "cores"),
                         .err = err };
    const uint64_t n = count_groups(&p);
    if (n == 0)
        return trp_ok();
    if (n > TRP_SLOT_GROUPS_MAX)
        return trp_node_fail(p.list, err, TRP_INVALID_ARGUMENT,
                             "instance_group: %llu groups, each device of each counted; at most %u",
                             (unsigned long long)n, TRP_SLOT_GROUPS_MAX);
    for (const struct trp_node *g = p.list->first; g; g = g->next)
        if (is_on_gpus(there, g) && missing(there, g))
            return fail_missing(&p, c->backend, missing(there, g));
    p.groups = trp_arena_zeroed(a, 1, sizeof *p.groups + n * sizeof p.groups->groups[0]);
    p.devices = trp_arena_zeroed(a, n, sizeof *p.devices);
    if (!p.groups || !p.devices)
        return no_memory(err);
    for (const struct trp_node *g = p.list->first; g; g = g->next)
        TRP_CHECK(place_group(&p, g));
    c->groups = p.groups;
    c->cores = NULL;
    c->devices = p.devices;
    c->devices_n = p.devices_n;
    c->instances = (uint32_t)p.groups->count; /* COUNT_MAX of a group */
    return trp_ok();
}

/* What of a group asks for a GPU that is not there, and is not refused for it. */
static const struct trp_node *vain_of(const struct trp_device_list *there,
                                      const struct trp_node *group)
{
    const struct trp_str kind = kind_of(group);
    const struct trp_node *gpus = gpus_of(group);
    if (there->n > 0)
        return (kind.len == 0 || trp_str_is(kind, "KIND_AUTO")) && missing(there, group) ? gpus
                                                                                         : NULL;
    if (trp_str_is(kind, "KIND_GPU"))
        return gpus ? gpus : trp_node_get(group, "kind");
    return kind.len == 0 ? gpus : NULL;
}

const struct trp_node *trp_slot_devices_in_vain(const struct trp_device_list *there,
                                                const struct trp_node *tree)
{
    const struct trp_node *list = trp_node_get(tree, "instance_group"), *vain = NULL;
    for (const struct trp_node *g = list ? list->first : NULL; g && !vain; g = g->next)
        vain = vain_of(there, g);
    return vain;
}

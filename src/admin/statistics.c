/* admin/statistics.c - Triton's statistics extension, from the counters in each version's slot. */
#include <inttypes.h>

#include "admin/admin_internal.h"
#include "call/target.h"

/* Builds one reply; the first failure sticks. */
struct builder {
    struct trp_arena *arena;
    bool failed;
    int64_t epoch_ns; /* on the monotonic clock */
};

static void add_u64(struct builder *b, struct trp_node *node, const char *key, uint64_t v)
{
    if (!b->failed && !trp_node_add_u64(b->arena, node, key, v))
        b->failed = true;
}

static struct trp_node *add_map(struct builder *b, struct trp_node *node, const char *key)
{
    struct trp_node *map = b->failed ? NULL : trp_node_add_map(b->arena, node, key);
    b->failed |= !map;
    return map;
}

static void add_duration(struct builder *b, struct trp_node *node, const char *key,
                         const struct trp_duration *d)
{
    struct trp_node *map = add_map(b, node, key);
    add_u64(b, map, "count", d ? trp_counter_get(&d->count) : 0);
    add_u64(b, map, "ns", d ? trp_counter_get(&d->ns) : 0);
}

static void add_batches(struct builder *b, struct trp_node *node, const struct trp_stats *s)
{
    struct trp_node *list = b->failed ? NULL : trp_node_add_list(b->arena, node, "batch_stats");
    b->failed |= !list;
    for (size_t i = 0; i < TRP_STATS_BATCH_SIZES && !b->failed; i++) {
        const uint64_t size = trp_counter_get(&s->batches[i].size);
        if (size == 0)
            continue;
        struct trp_node *entry = trp_node_add(b->arena, list, trp_str_make(NULL, 0), TRP_NODE_MAP);
        b->failed |= !entry;
        add_u64(b, entry, "batch_size", size);
        add_duration(b, entry, "compute_input", &s->batches[i].compute_input);
        add_duration(b, entry, "compute_infer", &s->batches[i].compute_infer);
        add_duration(b, entry, "compute_output", &s->batches[i].compute_output);
    }
}

static void add_memory(struct builder *b, struct trp_node *node, const struct trp_version *v)
{
    struct trp_node *list = b->failed ? NULL : trp_node_add_list(b->arena, node, "memory_usage");
    struct trp_node *entry =
        list ? trp_node_add(b->arena, list, trp_str_make(NULL, 0), TRP_NODE_MAP) : NULL;
    b->failed |= !entry || !trp_node_add_str(b->arena, entry, "type", TRP_STR_LIT("CPU")) ||
                 !trp_node_add_i64(b->arena, entry, "id", 0);
    add_u64(b, entry, "byte_size", trp_counter_get(&v->weights.bytes));
}

/* One target, with the numbers of its slot; `v` has memory, what is made of others (NULL) has
 * none of its own. */
static void add_target(struct builder *b, struct trp_node *list, const struct trp_target *t,
                       const struct trp_stats *s, const struct trp_version *v)
{
    struct trp_node *node = trp_node_add(b->arena, list, trp_str_make(NULL, 0), TRP_NODE_MAP);
    const struct trp_str name = trp_arena_dup(b->arena, t->name);
    const struct trp_str number = trp_arena_format(b->arena, "%" PRId64, t->version);
    if (!node || !name.ptr || !number.ptr || !trp_node_add_str(b->arena, node, "name", name) ||
        !trp_node_add_str(b->arena, node, "version", number)) {
        b->failed = true;
        return;
    }
    const uint64_t last_ns = trp_counter_get(&s->last_inference_ns);
    add_u64(b, node, "last_inference",
            last_ns ? (uint64_t)((int64_t)last_ns - b->epoch_ns) / 1000000 : 0);
    add_u64(b, node, "inference_count", trp_counter_get(&s->inference_count));
    add_u64(b, node, "execution_count", trp_counter_get(&s->execution_count));
    struct trp_node *times = add_map(b, node, "inference_stats");
    add_duration(b, times, "success", &s->success);
    add_duration(b, times, "fail", &s->fail);
    add_duration(b, times, "queue", &s->queue);
    add_duration(b, times, "compute_input", &s->compute_input);
    add_duration(b, times, "compute_infer", &s->compute_infer);
    add_duration(b, times, "compute_output", &s->compute_output);
    add_duration(b, times, "cache_hit", NULL);
    add_duration(b, times, "cache_miss", NULL);
    add_batches(b, node, s);
    if (v)
        add_memory(b, node, v);
}

struct walk {
    struct builder builder;
    struct trp_node *list;
    int64_t version; /* 0: all */
    bool is_named;   /* one model: cold ones have numbers, too, if only zeros */
    uint32_t found;
};

static void add_entry(void *user, const struct trp_entry *e)
{
    struct walk *w = user;
    for (uint32_t i = 0; i < e->versions_n && !w->builder.failed; i++) {
        const struct trp_version *v = e->versions[i];
        if ((w->version && v->target.version != w->version) ||
            !(trp_lifecycle_is_serving(&v->life) ||
              (w->is_named && trp_version_counts_as_ready(v))))
            continue;
        w->found++;
        add_target(&w->builder, w->list, &v->target, trp_version_counts(v), v);
    }
}

/* Of a route or composition: its answers count as inferences. */
static void add_item(struct walk *w, const struct trp_directory_item *item)
{
    const struct trp_stats *s = item->target ? item->target->ops->stats(item->target) : NULL;
    if (!s || w->builder.failed)
        return;
    w->found++;
    add_target(&w->builder, w->list, item->target, s, NULL);
}

static void add_items(struct walk *w, const struct trp_directory *d)
{
    for (uint32_t i = 0; i < trp_directory_count(d); i++)
        add_item(w, trp_directory_at(d, i));
}

/* Triton answers INVALID_ARGUMENT for statistics of what is not there, and its clients match the
 * words. */
static trp_status walk_one(struct trp_admin *a, struct trp_control *c, struct walk *w,
                           struct trp_error *err)
{
    const struct trp_entry *e = trp_snapshot_find(trp_admin_snapshot(a, c), c->model);
    const struct trp_directory_item *item = trp_admin_composed(a, c);
    if (item && c->version <= 1)
        add_item(w, item);
    else if (e)
        add_entry(w, e);
    if (w->found)
        return trp_ok();
    if (c->version)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "requested model version is not available for model '%.*s'",
                        TRP_STR(c->model));
    return trp_fail(err, TRP_INVALID_ARGUMENT, "requested model '%.*s' is not available",
                    TRP_STR(c->model));
}

trp_status trp_answer_statistics(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    struct trp_node *root = trp_node_new(c->arena, TRP_NODE_MAP);
    const struct trp_clock *clock = a->opts.clock;
    const int64_t epoch_ns = trp_clock_now_ns(clock) - trp_clock_wall_ns(clock);
    struct walk w = { { c->arena, false, epoch_ns },
                      trp_node_add_list(c->arena, root, "model_stats"),
                      c->version,
                      c->model.len > 0,
                      0 };
    w.builder.failed = !w.list;
    if (!w.builder.failed && c->model.len)
        TRP_CHECK(walk_one(a, c, &w, err));
    else if (!w.builder.failed)
        trp_snapshot_each(trp_admin_snapshot(a, c), add_entry, &w);
    if (c->model.len == 0)
        add_items(&w, trp_admin_directory(a, c->loop_index));
    if (w.builder.failed)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the reply");
    c->reply = root;
    return trp_ok();
}

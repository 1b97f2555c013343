/* admin/model_answers.c - what the server and its models say of themselves.
 * Everything is read from the asking loop's snapshot, through the target table where a model is
 * concerned, so that whatever stands behind a name answers alike. */
#include <inttypes.h>
#include <stdio.h>

#include "admin/admin_internal.h"
#include "tensor/dtype.h"

static const struct trp_str nothing = { NULL, 0 };

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the reply");
}

static trp_status reply_bool(struct trp_control *c, const char *key, bool value,
                             struct trp_error *err)
{
    struct trp_node *root = trp_node_new(c->arena, TRP_NODE_MAP);
    if (!trp_node_add_bool(c->arena, root, key, value))
        return no_memory(err);
    c->reply = root;
    return trp_ok();
}

trp_status trp_answer_server_live(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    (void)a;
    return reply_bool(c, "live", true, err);
}

/* Whether all that is made of models was taken up in some form; what of it was not knows why.  One
 * that was may still wait for models, of which life knows whether they should be loaded. */
static bool is_all_taken_up(const struct trp_admin *a, uint32_t loop_index)
{
    return !a->opts.directory || trp_directory_is_whole(trp_admin_directory(a, loop_index));
}

/* Ready when the first loads have ended; strict: while everything that should be loaded is, and
 * everything that is declared is taken up in some form. */
static bool is_server_ready(const struct trp_admin *a, uint32_t loop_index)
{
    const struct trp_life *life = a->opts.life;
    if (trp_flag_is_up(&a->draining) || !trp_life_is_started(life))
        return false;
    return !trp_settings_bool(a->opts.settings, TRP_SETTING_ID_READY_STRICT) ||
           (trp_life_is_settled(life) && is_all_taken_up(a, loop_index));
}

trp_status trp_answer_server_ready(struct trp_admin *a, struct trp_control *c,
                                   struct trp_error *err)
{
    return reply_bool(c, "ready", is_server_ready(a, c->loop_index), err);
}

trp_status trp_answer_server_metadata(struct trp_admin *a, struct trp_control *c,
                                      struct trp_error *err)
{
    static const char *const extensions[] = { "classification",
                                              "sequence",
                                              "model_repository",
                                              "model_repository(unload_dependents)",
                                              "schedule_policy",
                                              "model_configuration",
                                              "system_shared_memory",
                                              "cuda_shared_memory",
                                              "binary_tensor_data",
                                              "parameters",
                                              "statistics",
                                              "trace",
                                              "logging" };
    const char *name = trp_settings_text(a->opts.settings, TRP_SETTING_ID_SERVER_NAME);
    struct trp_node *root = trp_node_new(c->arena, TRP_NODE_MAP);
    bool ok = trp_node_add_str(c->arena, root, "name", trp_str_of(name)) &&
              trp_node_add_str(c->arena, root, "version", trp_str_of(a->opts.version));
    struct trp_node *list = trp_node_add_list(c->arena, root, "extensions");
    for (size_t i = 0; ok && i < ARRAY_LEN(extensions); i++)
        ok = trp_node_add_str(c->arena, list, "", trp_str_of(extensions[i])) != NULL;
    if (!ok)
        return no_memory(err);
    c->reply = root;
    return trp_ok();
}

/* -- one model -- */

static trp_status pick(struct trp_admin *a, const struct trp_control *c,
                       struct trp_version **out_version, struct trp_error *err)
{
    const struct trp_snapshot *s = trp_admin_snapshot(a, c);
    const struct trp_sought sought = { c->model, c->version, NULL };
    if (trp_task_of_name(c->model).len)
        return trp_admin_pick(a, c->loop_index, &sought, out_version, err);
    return trp_snapshot_look(s, c->model, c->version, out_version, err);
}

/* One whose files nobody could read so far says why; asking again does not help. */
static trp_status pick_known(struct trp_admin *a, const struct trp_control *c,
                             struct trp_version **out_version, struct trp_error *err)
{
    TRP_CHECK(pick(a, c, out_version, err));
    const struct trp_version *v = *out_version;
    if (v->has_signature)
        return trp_ok();
    const struct trp_str why = trp_version_reason(v);
    const trp_status st = trp_fail(err, TRP_NOT_READY,
                                   "Request for unknown model: '%.*s' version %" PRId64
                                   " is not at ready state: %.*s",
                                   TRP_STR(c->model), v->target.version, TRP_STR(why));
    trp_version_unref(*out_version);
    *out_version = NULL;
    return st;
}

bool trp_answer_needs_survey(struct trp_admin *a, const struct trp_control *c)
{
    struct trp_version *v;
    if ((c->op != TRP_CONTROL_MODEL_METADATA && c->op != TRP_CONTROL_MODEL_CONFIG) ||
        trp_failed(pick(a, c, &v, NULL)))
        return false;
    const bool is_known =
        v->has_signature && (c->op == TRP_CONTROL_MODEL_METADATA || v->config.tree);
    const bool needs = !is_known && v->failure == 0;
    trp_version_unref(v);
    return needs;
}

trp_status trp_answer_model_ready(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    struct trp_version *v = NULL;
    const trp_status st = pick(a, c, &v, err);
    const bool is_ready = !trp_failed(st) && trp_version_counts_as_ready(v);
    const bool drains = !trp_failed(st) && trp_lifecycle_is_serving(&v->life);
    if (!trp_failed(st))
        trp_version_unref(v);
    if (st.code == TRP_NOT_FOUND && !trp_snapshot_find(trp_admin_snapshot(a, c), c->model))
        return st; /* a name that nobody knows is an error, not "false"; nor a task that nothing
                    * has */
    *err = (struct trp_error){ 0 };
    return reply_bool(c, "ready", is_ready || drains, err);
}

/* The protocol has no word for a tensor of any rank: its shape looks like a scalar's. */
static bool add_tensor(struct trp_arena *arena, struct trp_node *list, const struct trp_io *io)
{
    struct trp_node *tensor = trp_node_add(arena, list, nothing, TRP_NODE_MAP);
    const struct trp_str name = trp_arena_dup(arena, io->name);
    struct trp_node *shape;
    if (!tensor || !name.ptr || !trp_node_add_str(arena, tensor, "name", name) ||
        !trp_node_add_str(arena, tensor, "datatype", trp_str_of(trp_dtype_name(io->dtype))) ||
        !(shape = trp_node_add_list(arena, tensor, "shape")))
        return false;
    for (uint32_t d = 0; !io->any_rank && d < io->rank; d++) {
        if (!trp_node_add_i64(arena, shape, "", io->dims[d]))
            return false;
    }
    return true;
}

bool trp_admin_add_tensors(struct trp_arena *arena, struct trp_node *root, const char *key,
                           const struct trp_io *ios, uint32_t n)
{
    struct trp_node *list = trp_node_add_list(arena, root, key);
    bool ok = list != NULL;
    for (uint32_t i = 0; ok && i < n; i++)
        ok = add_tensor(arena, list, &ios[i]);
    return ok;
}

static bool add_versions(struct trp_arena *arena, struct trp_node *root,
                         const struct trp_entry *entry, int64_t only)
{
    struct trp_node *list = trp_node_add_list(arena, root, "versions");
    bool ok = list != NULL;
    for (uint32_t i = 0; ok && i < entry->versions_n; i++) {
        const struct trp_version *v = entry->versions[i];
        if ((only && v->target.version != only) ||
            !(trp_lifecycle_is_serving(&v->life) || trp_version_counts_as_ready(v)))
            continue;
        const struct trp_str text = trp_arena_format(arena, "%" PRId64, v->target.version);
        ok = text.ptr && trp_node_add_str(arena, list, "", text);
    }
    return ok;
}

trp_status trp_answer_model_metadata(struct trp_admin *a, struct trp_control *c,
                                     struct trp_error *err)
{
    struct trp_version *v = NULL;
    TRP_CHECK(pick_known(a, c, &v, err));
    const struct trp_signature *sig = &v->signature;
    const struct trp_entry *entry = trp_snapshot_find(trp_admin_snapshot(a, c), v->target.name);
    const struct trp_str name = trp_arena_dup(c->arena, v->target.name);
    const struct trp_str platform = trp_arena_dup(c->arena, sig->platform);
    struct trp_node *root = trp_node_new(c->arena, TRP_NODE_MAP);
    const bool ok = name.ptr && platform.ptr && entry &&
                    trp_node_add_str(c->arena, root, "name", name) &&
                    add_versions(c->arena, root, entry, c->version) &&
                    trp_node_add_str(c->arena, root, "platform", platform) &&
                    trp_admin_add_tensors(c->arena, root, "inputs", sig->inputs, sig->inputs_n) &&
                    trp_admin_add_tensors(c->arena, root, "outputs", sig->outputs, sig->outputs_n);
    trp_version_unref(v);
    if (!ok)
        return no_memory(err);
    c->reply = root;
    return trp_ok();
}

trp_status trp_answer_with_config(struct trp_control *c, struct trp_node *config,
                                  struct trp_error *err)
{
    struct trp_node *root = trp_node_new(c->arena, TRP_NODE_MAP);
    if (!root || !config)
        return no_memory(err);
    config->key = TRP_STR_LIT("config");
    config->next = NULL;
    root->first = root->last = config;
    root->children_n = 1;
    c->reply = root;
    return trp_ok();
}

trp_status trp_answer_model_config(struct trp_admin *a, struct trp_control *c,
                                   struct trp_error *err)
{
    struct trp_version *v = NULL;
    TRP_CHECK(pick_known(a, c, &v, err));
    const struct trp_node *config = v->target.ops->config(&v->target);
    if (!config) { /* its files changed while it was looked up */
        trp_version_unref(v);
        return trp_fail(err, TRP_UNAVAILABLE, "the configuration of '%.*s' is being looked up",
                        TRP_STR(c->model));
    }
    struct trp_node *copy = trp_node_dup(c->arena, config);
    trp_version_unref(v);
    return trp_answer_with_config(c, copy, err);
}

/* -- all models -- */

struct listing {
    struct trp_arena *arena;
    struct trp_node *list;
    bool only_ready, failed;
};

/* What clients see of a version's state; empty for one that was never loaded, and that no call
 * loads. */
static const char *index_state(const struct trp_version *v, struct trp_str reason)
{
    const enum trp_model_state state = v ? trp_lifecycle_get(&v->life) : TRP_MODEL_NEW;
    if (v && trp_version_counts_as_ready(v))
        return trp_model_state_wire_name(TRP_MODEL_READY);
    if (state != TRP_MODEL_NEW)
        return trp_model_state_wire_name(state);
    return reason.len ? "UNAVAILABLE" : "";
}

/* Why a version, or a model that has none, is in its state.  The model's own reason comes first:
 * there is one beside versions only while they serve in place of newer files, and nothing else
 * would tell an operator. */
struct trp_str trp_admin_reason(const struct trp_entry *e, const struct trp_version *v)
{
    const struct trp_str reason = trp_str_of(e->reason);
    return v && reason.len == 0 ? trp_version_reason(v) : reason;
}

/* Adds a copy of a text under a key, unless it is empty. */
static bool add_text(struct trp_arena *arena, struct trp_node *node, const char *key,
                     struct trp_str text)
{
    if (text.len == 0)
        return true;
    const struct trp_str copy = trp_arena_dup(arena, text);
    return copy.ptr && trp_node_add_str(arena, node, key, copy);
}

static void add_index_entry(struct listing *l, const struct trp_entry *e,
                            const struct trp_version *v)
{
    const struct trp_str reason = trp_admin_reason(e, v);
    if (l->only_ready && !(v && trp_version_counts_as_ready(v)))
        return;
    struct trp_node *node = trp_node_add(l->arena, l->list, nothing, TRP_NODE_MAP);
    const struct trp_str name = trp_arena_dup(l->arena, e->name);
    const struct trp_str number =
        v ? trp_arena_format(l->arena, "%" PRId64, v->target.version) : nothing;
    const bool ok = node && name.ptr && trp_node_add_str(l->arena, node, "name", name) &&
                    (!v || number.ptr) && add_text(l->arena, node, "version", number) &&
                    add_text(l->arena, node, "state", trp_str_of(index_state(v, reason))) &&
                    add_text(l->arena, node, "reason", reason);
    l->failed |= !ok;
}

static void add_index(void *user, const struct trp_entry *e)
{
    struct listing *l = user;
    if (e->versions_n == 0)
        add_index_entry(l, e, NULL);
    for (uint32_t i = 0; i < e->versions_n; i++)
        add_index_entry(l, e, e->versions[i]);
}

trp_status trp_answer_repository_index(struct trp_admin *a, struct trp_control *c,
                                       struct trp_error *err)
{
    if (trp_node_str(c->request, "repository_name", nothing).len)
        return trp_fail(err, TRP_UNIMPLEMENTED, "'repository_name' specification is not supported");
    struct trp_node *root = trp_node_new(c->arena, TRP_NODE_MAP);
    struct listing l = { c->arena, trp_node_add_list(c->arena, root, "models"),
                         trp_node_bool(c->request, "ready", false), false };
    if (l.list)
        trp_snapshot_each(trp_admin_snapshot(a, c), add_index, &l);
    l.failed |= l.list && !trp_composed_index(a, c, l.list, l.only_ready);
    if (!l.list || l.failed)
        return no_memory(err);
    c->reply = root;
    return trp_ok();
}

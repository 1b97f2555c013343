/* admin/composed_answers.c - what routes and compositions say of themselves, where models say it.
 *
 * Metadata, readiness, configuration, statistics and the index are asked of the target, as of a
 * model's.  What only models have (labels, residency, instances) is refused in words.  Loading
 * one reads its file again, and loads the models that it needs. */
#include <inttypes.h>

#include "admin/admin_internal.h"
#include "call/target.h"
#include "tensor/dtype.h"

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the reply");
}

const struct trp_directory *trp_admin_directory(const struct trp_admin *a, uint32_t loop_index)
{
    return a->opts.directory ? a->opts.directory(a->opts.directory_user, loop_index) : NULL;
}

const struct trp_directory_item *trp_admin_composed(const struct trp_admin *a,
                                                    const struct trp_control *c)
{
    return c->model.len ? trp_directory_find(trp_admin_directory(a, c->loop_index), c->model)
                        : NULL;
}

trp_status trp_composed_describe(const struct trp_directory_item *item, const struct trp_control *c,
                                 struct trp_signature *out, struct trp_error *err)
{
    const struct trp_target *t = item->target;
    struct trp_target_state state;
    if (!t)
        return trp_fail(err, TRP_NOT_READY,
                        "Request for unknown model: '%.*s' is not at ready state: %.*s",
                        TRP_STR(item->name), TRP_STR(item->reason));
    if (t->ops->describe)
        return t->ops->describe(t, c->loop_index, c->arena, out, err);
    t->ops->state(t, &state);
    if (!state.ready)
        return trp_fail(err, TRP_NOT_READY, "%.*s", TRP_STR(state.reason));
    const struct trp_signature *s = trp_target_signature(t);
    if (out && s)
        *out = *s;
    return !out || s ? trp_ok() : trp_fail(err, TRP_NOT_READY, "it is not known yet");
}

struct trp_str trp_composed_reason(const struct trp_directory_item *item, bool is_ready,
                                   const struct trp_error *why)
{
    struct trp_target_state state = { 0 };
    if (item->reason.len > 0)
        return item->reason;
    if (!is_ready)
        return trp_str_of(why->text);
    item->target->ops->state(item->target, &state); /* it serves, and says what is doubtful */
    return state.reason;
}

static trp_status answer_ready(const struct trp_directory_item *item, struct trp_control *c)
{
    struct trp_error why = { 0 };
    struct trp_node *root = trp_node_new(c->arena, TRP_NODE_MAP);
    const bool is_ready = !trp_failed(trp_composed_describe(item, c, NULL, &why));
    if (!trp_node_add_bool(c->arena, root, "ready", is_ready))
        return no_memory(&c->error);
    c->reply = root;
    return trp_ok();
}

/* Compositions say it themselves; a route's signature is another's. */
static struct trp_str platform_of(const struct trp_directory_item *item,
                                  const struct trp_signature *s)
{
    const bool is_route = strcmp(item->kind, "route") == 0;
    return is_route || s->platform.len == 0 ? trp_str_of(item->kind) : s->platform;
}

static trp_status answer_metadata(const struct trp_directory_item *item, struct trp_control *c)
{
    struct trp_signature s;
    TRP_CHECK(trp_composed_describe(item, c, &s, &c->error));
    struct trp_node *root = trp_node_new(c->arena, TRP_NODE_MAP);
    const struct trp_str name = trp_arena_dup(c->arena, item->name);
    const bool has_name =
        root && name.ptr && trp_node_add_str(c->arena, root, "name", name) != NULL;
    struct trp_node *versions = trp_node_add_list(c->arena, root, "versions");
    const bool ok = has_name && versions &&
                    trp_node_add_str(c->arena, versions, "", TRP_STR_LIT("1")) &&
                    trp_node_add_str(c->arena, root, "platform", platform_of(item, &s)) &&
                    trp_admin_add_tensors(c->arena, root, "inputs", s.inputs, s.inputs_n) &&
                    trp_admin_add_tensors(c->arena, root, "outputs", s.outputs, s.outputs_n);
    if (!ok)
        return no_memory(&c->error);
    c->reply = root;
    return trp_ok();
}

/* As a configuration has it: without the batch dimension. */
static bool add_config_io(struct trp_arena *arena, struct trp_node *config, const char *key,
                          const struct trp_io *ios, uint32_t n, bool is_batched)
{
    struct trp_node *list = trp_node_add_list(arena, config, key);
    bool ok = list != NULL;
    for (uint32_t i = 0; ok && i < n; i++) {
        struct trp_node *io = trp_node_add(arena, list, trp_str_make(NULL, 0), TRP_NODE_MAP);
        const struct trp_str name = trp_arena_dup(arena, ios[i].name);
        struct trp_node *type = io ? trp_node_add_str(arena, io, "name", name) : NULL;
        ok = io && name.ptr && type;
        type = ok ? trp_node_add_str(arena, io, "data_type",
                                     trp_str_of(trp_dtype_config_name(ios[i].dtype)))
                  : NULL;
        if (type)
            type->kind = TRP_NODE_WORD;
        struct trp_node *dims = type ? trp_node_add_list(arena, io, "dims") : NULL;
        ok = dims != NULL;
        for (uint32_t d = is_batched; ok && !ios[i].any_rank && d < ios[i].rank; d++)
            ok = trp_node_add_i64(arena, dims, "", ios[i].dims[d]) != NULL;
    }
    return ok;
}

static struct trp_node *make_config(const struct trp_directory_item *item, struct trp_control *c,
                                    const struct trp_signature *s)
{
    struct trp_node *config = trp_node_new(c->arena, TRP_NODE_MAP);
    const struct trp_str name = trp_arena_dup(c->arena, item->name);
    const bool ok =
        config && name.ptr && trp_node_add_str(c->arena, config, "name", name) &&
        trp_node_add_str(c->arena, config, "platform", trp_str_of(item->kind)) &&
        trp_node_add_i64(c->arena, config, "max_batch_size", s->batch_max) &&
        add_config_io(c->arena, config, "input", s->inputs, s->inputs_n, s->batch_max > 0) &&
        add_config_io(c->arena, config, "output", s->outputs, s->outputs_n, s->batch_max > 0);
    return ok ? config : NULL;
}

static trp_status answer_config(const struct trp_directory_item *item, struct trp_control *c)
{
    const struct trp_target *t = item->target;
    const struct trp_node *own = t ? t->ops->config(t) : NULL;
    struct trp_node *config = NULL;
    struct trp_signature s;
    if (own) {
        config = trp_node_dup(c->arena, own);
    } else {
        TRP_CHECK(trp_composed_describe(item, c, &s, &c->error));
        config = make_config(item, c, &s);
    }
    return trp_answer_with_config(c, config, &c->error);
}

static trp_status refuse(const struct trp_directory_item *item, struct trp_control *c)
{
    const bool is_unload = c->op == TRP_CONTROL_MODEL_UNLOAD;
    return trp_fail(&c->error, TRP_INVALID_ARGUMENT,
                    is_unload ? "'%.*s' is %s %s and leaves with the file that declares it: %.*s"
                              : "'%.*s' is %s %s (%.*s), and this is for models only",
                    TRP_STR(item->name), trp_directory_article(item), item->kind,
                    TRP_STR(item->place));
}

bool trp_composed_answer(struct trp_admin *a, struct trp_control *c)
{
    const struct trp_directory_item *item = trp_admin_composed(a, c);
    if (!item || c->op == TRP_CONTROL_MODEL_STATISTICS || c->op == TRP_CONTROL_API_ROUTES)
        return false;
    if (c->version > 1) {
        c->error.status = trp_fail(&c->error, TRP_NOT_FOUND,
                                   "Request for unknown model: '%.*s' version %" PRId64
                                   " is not found: this %s has no versions",
                                   TRP_STR(c->model), c->version, item->kind);
        return true;
    }
    switch (c->op) {
    case TRP_CONTROL_MODEL_READY:
        c->error.status = answer_ready(item, c);
        return true;
    case TRP_CONTROL_MODEL_METADATA:
        c->error.status = answer_metadata(item, c);
        return true;
    case TRP_CONTROL_MODEL_CONFIG:
        c->error.status = answer_config(item, c);
        return true;
    case TRP_CONTROL_MODEL_UNLOAD:
    case TRP_CONTROL_API_LABELS_GET:
    case TRP_CONTROL_API_LABELS_SET:
    case TRP_CONTROL_API_PIN:
    case TRP_CONTROL_API_UNPIN:
    case TRP_CONTROL_API_EVICT:
    case TRP_CONTROL_API_COST:
    case TRP_CONTROL_API_INSTANCES_GET:
    case TRP_CONTROL_API_INSTANCES_SET:
        c->error.status = refuse(item, c);
        return true;
    default:
        return false;
    }
}

/* ---- the index ---- */

static bool add_index_item(struct trp_control *c, struct trp_node *list,
                           const struct trp_directory_item *item, bool only_ready)
{
    struct trp_error why = { 0 };
    struct trp_arena *arena = c->arena;
    const bool is_ready = !trp_failed(trp_composed_describe(item, c, NULL, &why));
    const struct trp_str reason = trp_composed_reason(item, is_ready, &why);
    if (only_ready && !is_ready)
        return true;
    struct trp_node *node = trp_node_add(arena, list, trp_str_make(NULL, 0), TRP_NODE_MAP);
    const struct trp_str name = trp_arena_dup(arena, item->name);
    const struct trp_str said = trp_arena_dup(arena, reason);
    return node && name.ptr && said.ptr && trp_node_add_str(arena, node, "name", name) &&
           trp_node_add_str(arena, node, "version", TRP_STR_LIT("1")) &&
           trp_node_add_str(arena, node, "state", trp_str_of(is_ready ? "READY" : "UNAVAILABLE")) &&
           (said.len == 0 || trp_node_add_str(arena, node, "reason", said));
}

/* A file that was never taken up has no names to put its trouble to: it stands there itself. */
static bool add_trouble(struct trp_arena *arena, struct trp_node *list, struct trp_str trouble)
{
    struct trp_node *node = trp_node_add(arena, list, trp_str_make(NULL, 0), TRP_NODE_MAP);
    const struct trp_str said = trp_arena_dup(arena, trouble);
    return node && said.ptr && trp_node_add_str(arena, node, "name", TRP_STR_LIT("routes.yaml")) &&
           trp_node_add_str(arena, node, "state", TRP_STR_LIT("UNAVAILABLE")) &&
           trp_node_add_str(arena, node, "reason", said);
}

bool trp_composed_index(const struct trp_admin *a, struct trp_control *c, struct trp_node *list,
                        bool only_ready)
{
    const struct trp_directory *d = trp_admin_directory(a, c->loop_index);
    const struct trp_str trouble = trp_directory_trouble(d);
    const uint32_t n = trp_directory_count(d);
    bool ok = true, is_told = false;
    for (uint32_t i = 0; ok && i < n; i++) {
        const struct trp_directory_item *item = trp_directory_at(d, i);
        is_told |= trp_str_is_equal(item->reason, trouble);
        ok = add_index_item(c, list, item, only_ready);
    }
    if (ok && !is_told && trouble.len && !only_ready)
        ok = add_trouble(c->arena, list, trouble);
    return ok;
}

/* ---- reading the file again ---- */

struct reload {
    struct trp_mail mail;
    struct trp_control *control;
    struct trp_admin *admin;
    struct trp_routing_order request;
};

/* On the control thread. */
static void reloaded(struct trp_routing_order *request)
{
    struct reload *r = TRP_CONTAINER_OF(request, struct reload, request);
    struct trp_control *c = r->control;
    c->error = request->error;
    if (!request->is_there && !trp_failed(c->error.status))
        (void)trp_fail(&c->error, TRP_NOT_FOUND,
                       "failed to load '%.*s', failed to poll from model repository: it is not "
                       "declared any more",
                       TRP_STR(c->model));
    trp_control_finish_from(c);
}

static void submit(struct trp_mail *mail)
{
    struct reload *r = TRP_CONTAINER_OF(mail, struct reload, mail);
    r->admin->opts.reload(r->admin->opts.directory_user, &r->request);
}

static trp_status refuse_override(const struct trp_control *c, struct trp_error *err)
{
    const struct trp_node *params = trp_node_get(c->request, "parameters");
    for (const struct trp_node *p = params ? params->first : NULL; p; p = p->next)
        if (trp_str_is(p->key, "config") || trp_str_starts_with(p->key, TRP_STR_LIT("file:")))
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "load of '%.*s': it is what the file says that declares it, and takes "
                            "no '%.*s' from a request",
                            TRP_STR(c->model), TRP_STR(p->key));
    return trp_ok();
}

void trp_composed_reload_begin(struct trp_admin *a, struct trp_control *c)
{
    struct reload *r = trp_arena_zeroed(c->arena, 1, sizeof *r);
    if (!r)
        c->error.status = no_memory(&c->error);
    else if (trp_flag_is_up(&a->draining) || !a->opts.reload)
        c->error.status = trp_fail(&c->error, TRP_UNAVAILABLE, "Server not ready: it is stopping");
    else
        c->error.status = refuse_override(c, &c->error);
    if (!r || trp_failed(c->error.status)) {
        trp_control_finish_soon(c);
        return;
    }
    r->control = c;
    r->admin = a;
    r->request.name = c->model;
    r->request.loads = true;
    r->request.done = reloaded;
    r->mail.deliver = submit;
    trp_loop_post(a->opts.control, &r->mail);
}

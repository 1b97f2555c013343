/* admin/region_answers.c - the shared memory operations.
 * System shared memory is served (unless it is switched off); of CUDA's there is none, and what
 * clients do before they begin (forget all regions, list them) succeeds all the same. */
#include "admin/admin_internal.h"

struct status_reply {
    struct trp_arena *arena;
    struct trp_node *regions;
    bool failed;
};

static void add_status(void *user, const struct trp_region_facts *facts)
{
    struct status_reply *reply = user;
    const struct trp_str name = trp_arena_dup(reply->arena, facts->name);
    const struct trp_str key = trp_arena_dup(reply->arena, facts->key);
    struct trp_node *entry = trp_node_add(reply->arena, reply->regions, name, TRP_NODE_MAP);
    if (!name.ptr || !key.ptr || !entry || !trp_node_add_str(reply->arena, entry, "name", name) ||
        !trp_node_add_str(reply->arena, entry, "key", key) ||
        !trp_node_add_u64(reply->arena, entry, "offset", facts->offset) ||
        !trp_node_add_u64(reply->arena, entry, "byte_size", facts->bytes))
        reply->failed = true;
}

trp_status trp_answer_shm_status(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    const struct trp_str name = trp_node_str(c->request, "name", trp_str_make(NULL, 0));
    struct trp_node *root = trp_node_new(c->arena, TRP_NODE_MAP);
    struct status_reply reply = { c->arena, trp_node_add_map(c->arena, root, "regions"), false };
    if (!reply.regions)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "shared memory status");
    TRP_CHECK(trp_regions_each(a->regions, name, add_status, &reply, err));
    if (reply.failed)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "shared memory status");
    c->reply = root;
    return trp_ok();
}

static trp_status refuse_when_off(const struct trp_admin *a, struct trp_error *err)
{
    if (trp_settings_bool(a->opts.settings, TRP_SETTING_ID_SHARED_MEMORY))
        return trp_ok();
    return trp_fail(err, TRP_UNIMPLEMENTED,
                    "shared memory is switched off (http.shared_memory: false)");
}

trp_status trp_answer_shm_register(struct trp_admin *a, struct trp_control *c,
                                   struct trp_error *err)
{
    const struct trp_str none = { NULL, 0 };
    TRP_CHECK(refuse_when_off(a, err));
    return trp_regions_add(
        a->regions, trp_node_str(c->request, "name", none), trp_node_str(c->request, "key", none),
        trp_node_u64(c->request, "offset", 0), trp_node_u64(c->request, "byte_size", 0), err);
}

trp_status trp_answer_shm_unregister(struct trp_admin *a, struct trp_control *c,
                                     struct trp_error *err)
{
    TRP_CHECK(refuse_when_off(a, err));
    trp_regions_remove(a->regions, trp_node_str(c->request, "name", trp_str_make(NULL, 0)));
    return trp_ok();
}

/* CUDA shared memory is not there: there is nothing to list, and nothing to forget, which
 * clients do before they begin. */
trp_status trp_answer_cuda_status(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    (void)a;
    const struct trp_str name = trp_node_str(c->request, "name", trp_str_make(NULL, 0));
    if (name.len)
        return trp_fail(err, TRP_NOT_FOUND, "Unable to find cuda shared memory region: '%.*s'",
                        TRP_STR(name));
    struct trp_node *root = trp_node_new(c->arena, TRP_NODE_MAP);
    if (!trp_node_add_map(c->arena, root, "regions"))
        return trp_fail(err, TRP_OUT_OF_MEMORY, "shared memory status");
    c->reply = root;
    return trp_ok();
}

trp_status trp_answer_cuda_register(struct trp_admin *a, struct trp_control *c,
                                    struct trp_error *err)
{
    (void)a;
    return trp_fail(
        err, TRP_INVALID_ARGUMENT,
        "failed to register CUDA shared memory region: '%.*s': this server has no GPU support",
        TRP_STR(trp_node_str(c->request, "name", trp_str_make(NULL, 0))));
}

trp_status trp_answer_cuda_unregister(struct trp_admin *a, struct trp_control *c,
                                      struct trp_error *err)
{
    (void)a;
    (void)c;
    (void)err;
    return trp_ok();
}

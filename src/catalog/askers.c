/* catalog/askers.c - whoever has asked for a reload. */
#include "catalog/routing_parts.h"

#include "catalog/unloaded.h"

static void load_next(struct trp_routing_order *request);

static void loaded(struct trp_order *order, void *user)
{
    struct trp_routing_order *request = user;
    request->loaded_n++;
    if (trp_failed(order->error.status)) {
        request->error = order->error;
        request->loaded_n = request->models_n; /* without it the others do not help */
        trp_error_within(&request->error, "'%.*s'", TRP_STR(request->name));
    }
    load_next(request);
}

/* What the newest picture says of it. */
static const struct trp_directory_item *see(const struct trp_routing *r,
                                            struct trp_routing_order *request)
{
    const struct trp_directory_item *item =
        trp_directory_find(r->opts.directories->newest, request->name);
    request->is_there = item != NULL;
    request->error = item ? (struct trp_error){ 0 } : r->trouble;
    if (item && item->reason.len)
        (void)trp_fail(&request->error, TRP_INVALID_ARGUMENT, "%.*s", TRP_STR(item->reason));
    return item;
}

/* Whether its models fit is known only now, when it is known what they take. */
static void judge_load(const struct trp_routing *r, struct trp_routing_order *request)
{
    const struct trp_directory_item *item = see(r, request);
    struct trp_target_state state;
    if (!item || !item->target || trp_failed(request->error.status))
        return;
    item->target->ops->state(item->target, &state);
    if (!state.ready)
        (void)trp_fail(&request->error, TRP_INVALID_ARGUMENT, "%.*s", TRP_STR(state.reason));
}

void trp_askers_judge_loaded(struct trp_routing *r)
{
    struct trp_routing_order *request = r->loaded;
    r->loaded = NULL;
    while (request) {
        struct trp_routing_order *next = request->slot;
        judge_load(r, request);
        request->done(request);
        request = next;
    }
}

static void end_load(struct trp_routing_order *request)
{
    struct trp_routing *r = request->routing;
    trp_arena_deinit(&request->arena);
    if (!request->loads || !request->is_there || trp_failed(request->error.status)) {
        request->done(request);
        return;
    }
    request->slot = r->loaded;
    r->loaded = request;
    if (!r->next) /* else what serves was not looked at again */
        trp_askers_judge_loaded(r);
}

static void load_next(struct trp_routing_order *request)
{
    const struct trp_routing *r = request->routing;
    if (request->loaded_n == request->models_n) {
        end_load(request);
        return;
    }
    request->load = (struct trp_order){ .kind = TRP_ORDER_LOAD,
                                        .model = request->models[request->loaded_n],
                                        .done = loaded,
                                        .user = request };
    r->life.submit(r->life.user, &request->load);
}

/* Told, or loaded first. */
static void tell(struct trp_routing *r, struct trp_routing_order *request)
{
    request->routing = r;
    request->models_n = request->loaded_n = 0;
    trp_arena_init(&request->arena, r->alloc, 1024, 0);
    if (request->loads && request->is_there && !trp_failed(request->error.status))
        request->error.status =
            trp_unloaded_find(&request->arena, r->opts.directories->newest, r->snapshot,
                              request->name, &request->models, &request->models_n, &request->error);
    load_next(request);
}

static void answer_waiting(struct trp_routing *r, const struct trp_error *failure)
{
    struct trp_routing_order *request = r->waiting;
    r->waiting = NULL;
    while (request) {
        struct trp_routing_order *next = request->slot;
        (void)see(r, request);
        if (failure)
            request->error = *failure;
        tell(r, request);
        request = next;
    }
}

/* What they asked about was listed while an older listing was read, or somebody was writing it, and
 * not looked at: with the next one. */
static void ask_again(struct trp_routing *r)
{
    while (r->waiting) {
        struct trp_routing_order *request = r->waiting;
        r->waiting = request->slot;
        request->slot = r->asked;
        r->asked = request;
    }
}

void trp_askers_settle(struct trp_routing *r, const struct trp_error *failure)
{
    if ((r->is_stale || r->is_unsettled) && !failure)
        ask_again(r);
    else
        answer_waiting(r, failure);
}

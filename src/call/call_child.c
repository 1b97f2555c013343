/* call/call_child.c - see call_child.h.
 *
 * Who looks at whose memory decides when a call may go.  A child looks at its parent's inputs,
 * headers and texts, and at outputs of children that were kept; a parent looks at the outputs of
 * kept children while it is answered.  So a parent stays while a child is at work (`lent_n`),
 * and a kept child stays as long as its parent does (`kept`). */
#include "call/call_child.h"

#include "call/target.h"

#define FEW 4u /* inputs or outputs of most children */

static void copy_request(struct trp_call *child, const struct trp_call *parent)
{
    const int64_t now_ns = trp_loop_now_ns(child->loop);
    child->id = parent->id;
    child->protocol = TRP_PROTOCOL_INTERNAL;
    child->tenant = parent->tenant;
    child->sequence_number = parent->sequence_number;
    child->sequence_text = parent->sequence_text;
    child->sequence_start = parent->sequence_start;
    child->sequence_end = parent->sequence_end;
    child->trace_context = parent->trace_context;
    child->deadline_ns = parent->deadline_ns;
    child->spare_ns = parent->spare_ns;
    child->priority_class = parent->priority_class;
    child->is_aside = parent->is_aside;
    child->priority = parent->priority;
    child->is_class_named = parent->is_class_named;
    child->headers = parent->headers;
    child->headers_n = parent->headers_n;
    child->params = parent->params;
    child->params_n = parent->params_n;
    child->stamps_ns[TRP_PHASE_ARRIVED] = now_ns;
    child->stamps_ns[TRP_PHASE_RECEIVED] = now_ns;
    child->stamps_ns[TRP_PHASE_DECODED] = now_ns;
}

struct trp_call *trp_call_child(struct trp_call *parent, uint32_t step, struct trp_error *err)
{
    if (parent->depth >= TRP_CHILD_DEPTH_MAX) {
        (void)trp_fail(err, TRP_TOO_LARGE,
                       "'%.*s': names stand for others more than %u times in a row",
                       TRP_STR(parent->model), TRP_CHILD_DEPTH_MAX);
        return NULL;
    }
    struct trp_call *child = trp_call_take(parent->pool);
    if (!child) {
        (void)trp_fail_limit(err, TRP_QUEUE_FULL, TRP_LIMIT_CALLS,
                             "no call is left for a step of the request (limits.calls)");
        return NULL;
    }
    copy_request(child, parent);
    child->parent = parent;
    child->step = step;
    child->depth = parent->depth + 1;
    trp_cancel_attach(&parent->cancel, &child->cancel);
    parent->lent_n++;
    return child;
}

/* Lists grow in the arena, each time to twice their size: full when their number is a power of
 * two. */
static void *room_for_one_more(struct trp_call *child, void *list, uint32_t n, size_t size)
{
    if (n != 0 && (n < FEW || (n & (n - 1)) != 0))
        return list;
    const uint32_t room = n == 0 ? FEW : n * 2;
    void *grown = trp_arena_zeroed(&child->arena, room, size);
    if (grown && n > 0)
        memcpy(grown, list, n * size);
    return grown;
}

trp_status trp_call_child_input(struct trp_call *child, struct trp_str name,
                                const struct trp_call_tensor *lent, struct trp_error *err)
{
    const struct trp_str copy = trp_arena_dup(&child->arena, name);
    struct trp_call_tensor *inputs =
        room_for_one_more(child, child->inputs, child->inputs_n, sizeof *inputs);
    if (!inputs || !copy.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for an input of a step");
    child->inputs = inputs;
    struct trp_call_tensor *in = &inputs[child->inputs_n++];
    *in = (struct trp_call_tensor){ .name = copy, .tensor = lent->tensor };
    in->tensor.release = NULL; /* whoever lends it lets it go */
    in->tensor.release_user = NULL;
    return trp_ok();
}

trp_status trp_call_child_want(struct trp_call *child, struct trp_str name, struct trp_error *err)
{
    const struct trp_str copy = trp_arena_dup(&child->arena, name);
    struct trp_wanted *wanted =
        room_for_one_more(child, child->wanted, child->wanted_n, sizeof *wanted);
    if (!wanted || !copy.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for an output of a step");
    child->wanted = wanted;
    wanted[child->wanted_n++] = (struct trp_wanted){ .name = copy };
    child->wanted_named = true;
    return trp_ok();
}

int64_t trp_call_patience_end_ns(const struct trp_call *call, int64_t from_ns)
{
    const struct trp_target *const t = call->target;
    const int64_t patience_ns = t->ops->patience_ns ? t->ops->patience_ns(t, call) : 0;
    return patience_ns > 0 && patience_ns < INT64_MAX - from_ns ? from_ns + patience_ns : 0;
}

static void heed_target(struct trp_call *child)
{
    const int64_t end_ns = trp_call_patience_end_ns(child, child->stamps_ns[TRP_PHASE_ARRIVED]);
    if (end_ns != 0 && (child->deadline_ns == 0 || end_ns < child->deadline_ns))
        child->deadline_ns = end_ns;
}

static trp_status find_target(struct trp_call *child, const struct trp_finder *finder,
                              struct trp_error *err)
{
    const struct trp_sought sought = { child->model, child->version, child };
    struct trp_target *target = NULL;
    void (*release)(struct trp_target *) = NULL;
    TRP_CHECK(trp_finder_find(finder, trp_call_loop_index(child), &sought, &target, &release, err));
    trp_call_pin(child, target, release);
    return trp_ok();
}

trp_status trp_call_child_start(struct trp_call *child, const struct trp_finder *finder,
                                const struct trp_child_ask *ask, struct trp_error *err)
{
    if (trp_cancel_is_raised(&child->cancel))
        return trp_fail(err, TRP_CANCELLED, "the request was cancelled");
    child->model = trp_arena_dup(&child->arena, ask->model);
    child->version = ask->version;
    if (!child->model.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for a step of the request");
    TRP_CHECK(find_target(child, finder, err));
    heed_target(child);
    const struct trp_signature *signature = trp_target_signature(child->target);
    child->is_unbound = !signature;
    if (signature)
        TRP_CHECK(trp_call_bind(child, signature, err));
    trp_call_push(child, ask->done, ask->user);
    trp_target_start(child->target, child);
    return trp_ok();
}

static void wake(struct trp_call *child)
{
    if (child->target && child->target->ops->cancel)
        child->target->ops->cancel(child->target, child);
}

bool trp_call_child_cancel(struct trp_call *child)
{
    if (!trp_call_try_cancel(child))
        return false;
    wake(child);
    return true;
}

bool trp_call_child_expire(struct trp_call *child)
{
    if (!trp_call_try_expire(child))
        return false;
    wake(child);
    return true;
}

void trp_call_child_detach(struct trp_call *child)
{
    trp_cancel_detach(&child->cancel);
}

static void count(struct trp_call *child, const struct trp_finder *finder)
{
    if (!child->target)
        return;
    if (child->stamps_ns[TRP_PHASE_ENCODED] == 0)
        child->stamps_ns[TRP_PHASE_ENCODED] = trp_loop_now_ns(child->loop);
    if (finder->finished)
        finder->finished(finder->user, trp_call_loop_index(child), child);
}

/* The parent is told last: it may be given back at once. */
static void give_freedom(struct trp_call *parent)
{
    TRP_ASSERT(parent->lent_n > 0);
    if (--parent->lent_n > 0 || !parent->on_free)
        return;
    void (*const told)(struct trp_call *, void *) = parent->on_free;
    told(parent, parent->on_free_user);
}

static void give_back(struct trp_call *child, void *user)
{
    struct trp_call *parent = child->parent;
    (void)user;
    trp_call_give_back(child);
    give_freedom(parent);
}

static void hang_on_parent(struct trp_call *child, void *user)
{
    struct trp_call *parent = child->parent;
    (void)user;
    child->on_free = NULL;
    trp_cancel_detach(&child->cancel);
    child->queue_next = parent->kept;
    parent->kept = child;
    give_freedom(parent);
}

/* At once, or when its own children have ended. */
static void when_free(struct trp_call *child, void (*then)(struct trp_call *, void *))
{
    if (child->lent_n > 0) {
        child->on_free = then;
        child->on_free_user = NULL;
    } else {
        then(child, NULL);
    }
}

void trp_call_child_end(struct trp_call *child, const struct trp_finder *finder)
{
    count(child, finder);
    when_free(child, give_back);
}

void trp_call_child_keep(struct trp_call *child, const struct trp_finder *finder)
{
    count(child, finder);
    when_free(child, hang_on_parent);
}

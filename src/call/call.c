/* call/call.c - the pool of calls, and the way back of each.  See call.h. */
#include "call/call.h"

#include "base/low_water.h"
#include "call/call_memory.h"
#include "call/target.h"

/* Calls kept for reuse.  A burst may lease more (up to calls_max); what comes back above this is
 * freed, so that the memory of a burst does not stay.  Twice 16 connections of 64 streams find a
 * call without asking the allocator. */
#define IDLE_MAX 2048

struct trp_call_pool {
    const struct trp_alloc *alloc;
    struct trp_loop *loop;
    size_t arena_bytes, arena_max;
    uint32_t calls_max;
    struct trp_call *idle; /* chained by queue_next, arenas reset */
    struct trp_low_water low;
    struct trp_counter out; /* written by the loop, read by any */
    uint64_t next_number;
    uint32_t loop_index;
};

const char *trp_call_protocol_name(enum trp_protocol protocol)
{
    switch (protocol) {
    case TRP_PROTOCOL_GRPC:
        return "grpc";
    case TRP_PROTOCOL_INTERNAL:
        return "internal";
    default:
        return "http";
    }
}

bool trp_call_protocol_parse(struct trp_str text, enum trp_protocol *out)
{
    static const enum trp_protocol all[] = { TRP_PROTOCOL_HTTP1, TRP_PROTOCOL_GRPC,
                                             TRP_PROTOCOL_INTERNAL };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (!trp_str_is(text, trp_call_protocol_name(all[i])))
            continue;
        *out = all[i];
        return true;
    }
    return false;
}

trp_status trp_call_pool_create(const struct trp_alloc *alloc, struct trp_loop *loop,
                                size_t arena_bytes, size_t arena_max, uint32_t calls_max,
                                struct trp_call_pool **out_pool, struct trp_error *err)
{
    *out_pool = NULL;
    struct trp_call_pool *p = trp_alloc_zeroed(alloc, 1, sizeof *p);
    if (!p)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "pool of calls");
    p->alloc = alloc;
    p->loop = loop;
    p->arena_bytes = arena_bytes;
    p->arena_max = arena_max;
    p->calls_max = calls_max;
    p->next_number = 1;
    *out_pool = p;
    return trp_ok();
}

static void free_call(struct trp_call_pool *p, struct trp_call *call)
{
    trp_arena_deinit(&call->arena);
    trp_alloc_free(p->alloc, call);
}

static void free_idle(struct trp_call_pool *p, uint32_t n)
{
    for (; n > 0; n--) {
        struct trp_call *call = p->idle;
        p->idle = call->queue_next;
        trp_low_water_take(&p->low);
        free_call(p, call);
    }
}

void trp_call_pool_age(struct trp_call_pool *p)
{
    free_idle(p, trp_low_water_age(&p->low));
}

void trp_call_pool_destroy(struct trp_call_pool *p)
{
    if (!p)
        return;
    TRP_ASSERT(trp_counter_get(&p->out) == 0); /* a call that is out still points here */
    free_idle(p, p->low.idle_n);
    trp_alloc_free(p->alloc, p);
}

void trp_call_pool_number_from(struct trp_call_pool *p, uint64_t first)
{
    p->next_number = first;
}

void trp_call_pool_set_index(struct trp_call_pool *p, uint32_t loop_index)
{
    p->loop_index = loop_index;
}

uint32_t trp_call_loop_index(const struct trp_call *call)
{
    return call->pool->loop_index;
}

uint32_t trp_call_pool_out(const struct trp_call_pool *p)
{
    return (uint32_t)trp_counter_get(&p->out);
}

static void finish_task(struct trp_task *task)
{
    trp_call_finish(TRP_CONTAINER_OF(task, struct trp_call, finish_task));
}

static void finish_mail(struct trp_mail *mail)
{
    trp_call_finish(TRP_CONTAINER_OF(mail, struct trp_call, finish_mail));
}

/* An idle call, or a fresh one; its arena is empty. */
static struct trp_call *get_call(struct trp_call_pool *p)
{
    struct trp_call *call = p->idle;
    if (call) {
        p->idle = call->queue_next;
        trp_low_water_take(&p->low);
        return call;
    }
    call = trp_alloc_get(p->alloc, 1, sizeof *call);
    if (call)
        trp_arena_init(&call->arena, p->alloc, p->arena_bytes, p->arena_max);
    return call;
}

struct trp_call *trp_call_take(struct trp_call_pool *p)
{
    if (trp_counter_get(&p->out) >= p->calls_max)
        return NULL;
    struct trp_call *call = get_call(p);
    if (!call)
        return NULL;
    memset(call, 0, offsetof(struct trp_call, seat));
    call->error.status = trp_ok();
    call->error.text[0] = '\0';
    call->pool = p;
    call->loop = p->loop;
    call->number = p->next_number++;
    call->finish_task.run = finish_task;
    call->finish_mail.deliver = finish_mail;
    trp_counter_own_add(&p->out, 1);
    return call;
}

static void release_tensors(struct trp_call_tensor *tensors, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct troupe_tensor *t = &tensors[i].tensor;
        if (t->release)
            t->release(t->release_user, t->data);
    }
}

static void release_regions(struct trp_wanted *wanted, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (wanted[i].hold_release)
            wanted[i].hold_release(wanted[i].hold, wanted[i].memory);
}

/* What they hold may be views of each other's: they go together. */
static void give_back_kept(struct trp_call *call)
{
    while (call->kept) {
        struct trp_call *child = call->kept;
        call->kept = child->queue_next;
        trp_call_give_back(child);
    }
}

static void unpin(struct trp_call *call)
{
    struct trp_target *target = call->target;
    call->target = NULL;
    if (target && call->target_release)
        call->target_release(target);
    call->target_release = NULL;
}

void trp_call_give_back(struct trp_call *call)
{
    struct trp_call_pool *p = call->pool;
    TRP_ASSERT(!call->queue && call->done_n == 0);   /* somebody still counts on it */
    TRP_ASSERT(call->lent_n == 0);                   /* a child looks at what is about to go */
    release_tensors(call->outputs, call->outputs_n); /* these may be views into the inputs */
    give_back_kept(call);
    release_tensors(call->inputs, call->inputs_n);
    trp_call_memory_free(call, NULL);
    release_regions(call->wanted, call->wanted_n);
    trp_lease_release(call->body);
    unpin(call);
    trp_cancel_detach(&call->cancel);
    trp_arena_reset(&call->arena);
    trp_counter_own_add(&p->out, (uint64_t)0 - 1);
    if (p->low.idle_n >= IDLE_MAX) {
        free_call(p, call);
        return;
    }
    call->queue_next = p->idle;
    p->idle = call;
    trp_low_water_put(&p->low);
}

void trp_call_push(struct trp_call *call, trp_done_fn fn, void *user)
{
    TRP_ASSERT(call->done_n < TRP_CALL_DONE_MAX);
    call->done[call->done_n].fn = fn;
    call->done[call->done_n].user = user;
    call->done_n++;
}

void trp_call_finish(struct trp_call *call)
{
    TRP_ASSERT(call->done_n > 0);
    call->done_n--;
    call->done[call->done_n].fn(call, call->done[call->done_n].user);
}

void trp_call_finish_soon(struct trp_call *call)
{
    trp_loop_ready(call->loop, &call->finish_task);
}

void trp_call_finish_from(struct trp_call *call)
{
    trp_loop_post(call->loop, &call->finish_mail);
}

static void come_home(struct trp_mail *mail)
{
    struct trp_call *call = TRP_CONTAINER_OF(mail, struct trp_call, finish_mail);
    call->finish_mail.deliver = finish_mail;
    call->home(call);
}

void trp_call_send_home(struct trp_call *call, void (*fn)(struct trp_call *call))
{
    call->home = fn;
    call->finish_mail.deliver = come_home;
    trp_loop_post(call->loop, &call->finish_mail);
}

bool trp_call_try_done(struct trp_call *call)
{
    return trp_oneshot_try(&call->outcome, TRP_OUTCOME_DONE);
}

bool trp_call_try_cancel(struct trp_call *call)
{
    if (!trp_oneshot_try(&call->outcome, TRP_OUTCOME_CANCELLED))
        return false;
    trp_cancel_raise(&call->cancel);
    return true;
}

bool trp_call_try_expire(struct trp_call *call)
{
    if (!trp_oneshot_try(&call->outcome, TRP_OUTCOME_EXPIRED))
        return false;
    if (trp_loop_is_mine(call->loop))
        trp_cancel_raise(&call->cancel);
    else
        trp_flag_raise(
            &call->cancel.raised); /* the tree is the loop's; this call has no children */
    return true;
}

void trp_call_pin(struct trp_call *call, struct trp_target *target,
                  void (*release)(struct trp_target *target))
{
    unpin(call);
    call->target = target;
    call->target_release = release;
}

const struct trp_signature *trp_call_answer_signature(const struct trp_call *call)
{
    const struct trp_signature *own = call->target ? trp_target_signature(call->target) : NULL;
    return own ? own : call->answered_as;
}

const struct trp_param *trp_call_param(const struct trp_call *call, struct trp_str name)
{
    for (uint32_t i = 0; i < call->params_n; i++)
        if (trp_str_is_equal(call->params[i].name, name))
            return &call->params[i];
    return NULL;
}

struct trp_str trp_call_header(const struct trp_call *call, struct trp_str name)
{
    for (uint32_t i = 0; i < call->headers_n; i++)
        if (trp_str_is_equal(call->headers[i].name, name))
            return call->headers[i].value;
    return (struct trp_str){ NULL, 0 };
}

/* What stands behind the front in the tests of this room.  Model "echo" answers at once, "held"
 * when the test says so, "bad" fails; each gives its input back.  Control requests are answered
 * from the ready list, or when the test says so. */
#ifndef FRONT_FAKE_H
#define FRONT_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "call/target.h"
#include "front/front.h"
#include "unit/base/scarce.h"

#define HELD_MAX 512

struct fixture;
struct fake_target {
    struct trp_target target;
    struct fixture *owner;
    enum fake_kind { FAKE_ECHO, FAKE_HELD, FAKE_BAD } kind;
};

struct fixture {
    struct trp_clock clock;
    int64_t now_ns;
    int64_t age_ns;                /* of the front's options */
    struct scarce loops, requests; /* the loop's memory, and the requests' */
    struct trp_loop *loop;
    struct trp_pool *pool;
    struct trp_metrics *metrics;
    struct trp_trace *trace;
    struct trp_log *log; /* NULL: none */
    struct trp_front *front;
    struct trp_front_limits limits;
    struct trp_counter connections;
    struct fake_target targets[3];
    struct trp_call *held[HELD_MAX]; /* started, not released */
    uint32_t held_n;
    uint32_t started_n, cancelled_n, finished_n;
    int64_t finished_ns; /* how long the last one took */
    bool is_ready;       /* what SERVER_READY says */
    bool controls_wait;
    struct trp_control *control; /* the last one, while controls_wait */
    uint32_t controls_n;
    float region[64];
    int regions_held;
    uint64_t aligned_n; /* inputs of `echo` whose data lay on a 64-byte boundary */
};

static struct trp_io fixture_inputs[] = {
    { .name = { "x", 1 }, .dtype = TROUPE_FP32, .rank = 2, .dims = { -1, -1 } }
};
static struct trp_io fixture_outputs[] = {
    { .name = { "y", 1 }, .dtype = TROUPE_FP32, .rank = 2, .dims = { -1, -1 } }
};
static const struct trp_signature fixture_signature = { .inputs = fixture_inputs,
                                                        .outputs = fixture_outputs,
                                                        .inputs_n = 1,
                                                        .outputs_n = 1,
                                                        .platform = { "fake", 4 } };

static inline const struct trp_signature *fake_signature(const struct trp_target *t)
{
    (void)t;
    return &fixture_signature;
}

static inline void fake_answer(struct trp_call *call)
{
    call->outputs = trp_arena_zeroed(&call->arena, call->wanted_n, sizeof *call->outputs);
    call->outputs_n = call->wanted_n;
    for (uint32_t i = 0; i < call->wanted_n; i++) {
        call->outputs[i].name = call->wanted[i].name;
        call->outputs[i].tensor = call->inputs[0].tensor;
        call->outputs[i].tensor.release = NULL; /* borrowed from the input */
        if (call->wanted[i].memory)
            memcpy(call->wanted[i].memory, call->inputs[0].tensor.data,
                   call->inputs[0].tensor.bytes);
        if (call->wanted[i].memory)
            call->outputs[i].tensor.data = call->wanted[i].memory;
    }
    call->stamps_ns[TRP_PHASE_RUN_END] = 1;
    (void)trp_call_try_done(call);
}

static inline void fake_start(struct trp_target *t, struct trp_call *call)
{
    struct fake_target *fake = TRP_CONTAINER_OF(t, struct fake_target, target);
    fake->owner->started_n++;
    if (((uintptr_t)call->inputs[0].tensor.data & 63) == 0)
        fake->owner->aligned_n++;
    if (fake->kind == FAKE_HELD) {
        assert_true(fake->owner->held_n < HELD_MAX);
        fake->owner->held[fake->owner->held_n++] = call;
        return;
    }
    if (fake->kind == FAKE_BAD)
        (void)trp_fail(&call->error, TRP_BACKEND_FAILED, "it broke: 100%%");
    else
        fake_answer(call);
    trp_call_finish_soon(call);
}

static inline void fake_cancel(struct trp_target *t, struct trp_call *call)
{
    (void)call;
    TRP_CONTAINER_OF(t, struct fake_target, target)->owner->cancelled_n++;
}

static inline void fake_state(const struct trp_target *t, struct trp_target_state *out)
{
    (void)t;
    *out = (struct trp_target_state){ .ready = true, .state = "READY" };
}

static const struct trp_target_ops fake_ops = {
    .signature = fake_signature, .start = fake_start, .cancel = fake_cancel, .state = fake_state
};

static inline void fake_release(struct trp_target *t)
{
    (void)t;
}

static inline trp_status fake_find(void *user, uint32_t loop_index, const struct trp_sought *sought,
                                   struct trp_target **out_target,
                                   void (**out_release)(struct trp_target *), struct trp_error *err)
{
    struct fixture *f = user;
    (void)loop_index;
    for (size_t i = 0; i < ARRAY_LEN(f->targets); i++) {
        if (!trp_str_is_equal(f->targets[i].target.name, sought->model))
            continue;
        *out_target = &f->targets[i].target;
        *out_release = fake_release;
        return trp_ok();
    }
    return trp_fail(err, TRP_NOT_FOUND, "Request for unknown model: '%.*s' is not found",
                    TRP_STR(sought->model));
}

static inline void fake_control_answer(struct fixture *f, struct trp_control *c)
{
    struct trp_node *reply = trp_node_new(c->arena, TRP_NODE_MAP);
    if (c->op == TRP_CONTROL_SERVER_READY)
        trp_node_add_bool(c->arena, reply, "ready", f->is_ready);
    else if (c->op == TRP_CONTROL_MODEL_READY && trp_str_is(c->model, "echo"))
        trp_node_add_bool(c->arena, reply, "ready", true);
    else if (c->op == TRP_CONTROL_MODEL_READY)
        (void)trp_fail(&c->error, TRP_NOT_FOUND, "no model '%.*s'", TRP_STR(c->model));
    else if (c->op == TRP_CONTROL_SERVER_METADATA)
        trp_node_add_str(c->arena, reply, "name", TRP_STR_LIT("fake"));
    c->reply = reply;
    c->done(c, c->done_user);
}

static inline void fake_control_run(struct trp_task *task)
{
    struct trp_control *c = TRP_CONTAINER_OF(task, struct trp_control, task);
    fake_control_answer(c->handler_slot, c);
}

static inline void fake_control(void *user, struct trp_control *c)
{
    struct fixture *f = user;
    f->controls_n++;
    c->handler_slot = f;
    if (f->controls_wait) {
        f->control = c;
        return;
    }
    c->task.run = fake_control_run;
    trp_loop_ready(c->loop, &c->task);
}

static inline trp_status fake_region(void *user, struct trp_str name, uint64_t offset,
                                     uint64_t bytes, void **out_ptr, void **out_hold,
                                     struct trp_error *err)
{
    struct fixture *f = user;
    if (!trp_str_is(name, "shm") || offset + bytes > sizeof f->region)
        return trp_fail(err, TRP_NOT_FOUND, "no region '%.*s'", TRP_STR(name));
    *out_ptr = (char *)f->region + offset;
    *out_hold = f;
    f->regions_held++;
    return trp_ok();
}

static inline void fake_region_release(void *hold, void *ptr)
{
    (void)ptr;
    ((struct fixture *)hold)->regions_held--;
}

static inline void fake_finished(void *user, uint32_t loop_index, struct trp_call *call)
{
    struct fixture *f = user;
    (void)loop_index;
    assert_non_null(call->target);
    f->finished_n++;
    f->finished_ns = call->stamps_ns[TRP_PHASE_ENCODED] - call->stamps_ns[TRP_PHASE_ARRIVED];
}

#endif

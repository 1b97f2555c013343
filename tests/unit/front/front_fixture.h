/* What the tests of this room share: a front on a loop with a clock of its own, sockets into it, and a target that the
 * test releases.  Model "echo" answers at once, "held" when the test says so, "bad" fails; each gives its input back. */
#ifndef FRONT_FIXTURE_H
#define FRONT_FIXTURE_H

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

#define HELD_MAX 512

struct fixture;
struct fake_target {
    struct trp_target target;
    struct fixture *owner;
    enum { FAKE_ECHO, FAKE_HELD, FAKE_BAD } kind;
};

struct fixture {
    struct trp_clock clock;
    int64_t now_ns;
    struct trp_loop *loop;
    struct trp_pool *pool;
    struct trp_metrics *metrics;
    struct trp_trace *trace;
    struct trp_front *front;
    struct trp_front_limits limits;
    struct trp_counter connections;
    struct fake_target targets[3];
    struct trp_call *held[HELD_MAX]; /* started, not released */
    uint32_t held_n;
    uint32_t started_n, cancelled_n, finished_n;
    bool is_ready; /* what SERVER_READY says */
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

static inline trp_status fake_find(void *user, uint32_t loop_index, struct trp_str model,
                                   int64_t version, struct trp_target **out_target,
                                   void (**out_release)(struct trp_target *), struct trp_error *err)
{
    struct fixture *f = user;
    (void)loop_index;
    (void)version;
    for (size_t i = 0; i < ARRAY_LEN(f->targets); i++) {
        if (!trp_str_is_equal(f->targets[i].target.name, model))
            continue;
        *out_target = &f->targets[i].target;
        *out_release = fake_release;
        return trp_ok();
    }
    return trp_fail(err, TRP_NOT_FOUND, "Request for unknown model: '%.*s' is not found",
                    TRP_STR(model));
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
}

static inline int64_t fixture_now(void *user)
{
    return ((struct fixture *)user)->now_ns;
}

static inline int64_t fixture_wall(void *user)
{
    return ((struct fixture *)user)->now_ns + TRP_S(784887151); /* 15 Nov 1994 08:12:31 */
}

static inline void fixture_open(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->clock = (struct trp_clock){ fixture_now, fixture_wall, f };
    f->now_ns = TRP_S(1);
    f->is_ready = true;
    f->limits = (struct trp_front_limits){
        .body_bytes = 4 << 20,
        .output_bytes = 8 << 20,
        .header_bytes = 4096,
        .headers_n = 20,
        .json_depth = 20,
        .tensors_n = 16,
        .params_n = 16,
        .connections_n = 8,
        .streams_n = 100,
        .stream_requests_n = 4,
        .calls_n = 256,
        .idle_ns = TRP_S(60),
        .header_ns = TRP_S(5),
        .body_ns = TRP_S(10),
        .compress_min_bytes = 256,
        .half_close_cancels = true,
    };
    static const char *const names[] = { "echo", "held", "bad" };
    for (size_t i = 0; i < ARRAY_LEN(f->targets); i++)
        f->targets[i] = (struct fake_target){ .target = { &fake_ops, trp_str_of(names[i]), 1 },
                                              .owner = f,
                                              .kind = (int)i };
}

static inline void fixture_start(struct fixture *f)
{
    struct trp_error err = { 0 };
    const struct trp_loop_opts loop = { .name = "test", .clock = &f->clock };
    const struct trp_pool_opts pool = { 0 };
    assert_int_equal(trp_loop_create(trp_heap(), &loop, &f->loop, &err).code, TRP_OK);
    assert_int_equal(trp_pool_create(trp_heap(), &pool, &f->pool, &err).code, TRP_OK);
    assert_int_equal(trp_metrics_create(trp_heap(), 1, &f->metrics, &err).code, TRP_OK);
    assert_int_equal(trp_trace_create(trp_heap(), "/dev/null", &f->trace, &err).code, TRP_OK);
    const struct trp_front_opts opts = { .loop = f->loop,
                                         .handlers = { f, fake_find, fake_control, fake_region,
                                                       fake_region_release, fake_finished },
                                         .limits = f->limits,
                                         .clock = &f->clock,
                                         .metrics = trp_metrics_shard(f->metrics, 0),
                                         .trace = f->trace,
                                         .pool = f->pool,
                                         .requests = trp_heap(),
                                         .connections = &f->connections };
    assert_int_equal(trp_front_create(trp_heap(), &opts, &f->front, &err).code, TRP_OK);
}

static inline void fixture_turns(struct fixture *f, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(trp_loop_turn(f->loop, 0, NULL).code, TRP_OK);
}

static inline void fixture_close(struct fixture *f)
{
    trp_front_destroy(f->front);
    assert_int_equal(trp_counter_get(&f->connections), 0);
    assert_int_equal(f->regions_held, 0);
    assert_int_equal(trp_metrics_get(f->metrics, TRP_METRIC_IN_FLIGHT), 0);
    trp_pool_trim(f->pool); /* takes in what was returned */
    assert_int_equal(trp_pool_leased_bytes(f->pool), 0);
    trp_pool_destroy(f->pool);
    trp_trace_destroy(f->trace);
    trp_metrics_destroy(f->metrics);
    trp_loop_destroy(f->loop);
}

/* A client's end of a new connection. */
static inline int fixture_connect(struct fixture *f, bool is_local)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    trp_front_take(f->front, fds[0], is_local);
    return fds[1];
}

static inline void fixture_send(int fd, const void *ptr, size_t len)
{
    assert_int_equal(send(fd, ptr, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Reads what is there; terminated.  -1: the server closed before anything came. */
static inline ssize_t fixture_receive(int fd, char *out, size_t room)
{
    size_t n = 0;
    for (;;) {
        const ssize_t got = recv(fd, out + n, room - 1 - n, MSG_DONTWAIT);
        if (got <= 0) {
            out[n] = '\0';
            return n == 0 && (got == 0 || errno == ECONNRESET) ? -1 : (ssize_t)n;
        }
        n += (size_t)got;
    }
}

static inline void fixture_release(struct fixture *f, uint32_t index)
{
    struct trp_call *call = f->held[index];
    memmove(f->held + index, f->held + index + 1,
            (f->held_n - index - 1) * sizeof(struct trp_call *));
    f->held_n--;
    fake_answer(call);
    trp_call_finish_soon(call);
}

static inline uint64_t fixture_metric(const struct fixture *f, enum trp_metric id)
{
    return (uint64_t)trp_metrics_get(f->metrics, id);
}

#endif

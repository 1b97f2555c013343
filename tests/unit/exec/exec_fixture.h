/* tests/unit/exec/exec_fixture.h - a loop, a clock and models of the echo backend, for the tests
 * of exec. */
#ifndef TRP_EXEC_FIXTURE_H
#define TRP_EXEC_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/backend_host.h"
#include "base/file.h"
#include "base/loop.h"
#include "call/call.h"
#include "exec/exec.h"
#include "exec/run.h"
#include "model/version.h"
#include "scratch.h"

#define VERSIONS_MAX 8
#define CALLS_MAX 256

struct fake_clock {
    struct trp_clock clock;
    int64_t now_ns, step_ns; /* each look moves it on */
};

struct world {
    struct fake_clock time;
    struct trp_loop *loop;
    struct trp_call_pool *pool;
    struct trp_backends *backends;
    struct trp_metrics *metrics;
    struct trp_version *versions[VERSIONS_MAX];
    uint32_t versions_n;
    struct trp_call *finished[CALLS_MAX]; /* in the order in which they came back */
    uint32_t finished_n;
};

static inline int64_t fake_now_ns(void *user)
{
    struct fake_clock *c = user;
    c->now_ns += c->step_ns;
    return c->now_ns;
}

static inline void make_world(struct world *w, const struct trp_clock *clock)
{
    *w = (struct world){ .time = { .now_ns = TRP_S(1) } };
    w->time.clock = (struct trp_clock){ fake_now_ns, fake_now_ns, &w->time };
    const struct trp_loop_opts loop_opts = { .clock = clock ? clock : &w->time.clock };
    static const struct troupe_option two = { "echo.devices", "2" };
    const struct trp_backends_opts backends_opts = { .clock = trp_clock_system(),
                                                     .options = &two,
                                                     .options_n = 1 };
    struct trp_error err = { 0 };
    assert_false(trp_failed(trp_loop_create(trp_heap(), &loop_opts, &w->loop, &err)));
    assert_false(trp_failed(
        trp_call_pool_create(trp_heap(), w->loop, 4096, 1 << 20, CALLS_MAX, &w->pool, &err)));
    assert_false(trp_failed(trp_backends_create(trp_heap(), &backends_opts, &w->backends, &err)));
    assert_false(trp_failed(trp_metrics_create(trp_heap(), 8, &w->metrics, &err)));
    assert_false(trp_failed(trp_loop_turn(w->loop, 0, &err))); /* this thread is the loop's */
}

/* The threads that run models, with the world's loop. */
static inline struct trp_exec *start_exec(struct world *w, const struct trp_exec_opts *opts)
{
    struct trp_exec *x;
    assert_false(trp_failed(trp_exec_create(trp_heap(), opts, &x, NULL)));
    assert_false(trp_failed(trp_exec_attach(x, 0, w->loop, NULL)));
    assert_false(trp_failed(trp_exec_start(x, NULL)));
    return x;
}

static inline void turn_loop(struct world *w, int64_t wait_ns)
{
    assert_false(trp_failed(trp_loop_turn(w->loop, wait_ns, NULL)));
}

/* What was posted arrives. */
static inline void settle_world(struct world *w)
{
    for (int i = 0; i < 3; i++)
        turn_loop(w, 0);
}

static inline void give_back_finished(struct world *w)
{
    for (uint32_t i = 0; i < w->finished_n; i++)
        if (w->finished[i])
            trp_call_give_back(w->finished[i]);
    w->finished_n = 0;
}

static inline void drop_world(struct world *w)
{
    give_back_finished(w);
    for (uint32_t i = 0; i < w->versions_n; i++) {
        trp_backend_close(w->versions[i]->model);
        w->versions[i]->model = NULL;
        trp_version_unref(w->versions[i]);
    }
    trp_metrics_destroy(w->metrics);
    trp_backends_destroy(w->backends);
    trp_call_pool_destroy(w->pool);
    trp_loop_destroy(w->loop);
}

/* With its executors. */
static inline void end_world(struct world *w, struct trp_exec *x)
{
    trp_exec_stop(x);
    settle_world(w);
    trp_exec_destroy(x);
    drop_world(w);
}

/* A slot on each device of the model. */
static inline void place_slots(struct trp_version *v, const struct troupe_device_id *devices,
                               uint32_t n)
{
    struct trp_slot_groups *g = trp_arena_zeroed(&v->arena, 1, sizeof *g + n * sizeof g->groups[0]);
    assert_non_null(g);
    g->groups_n = n;
    g->count = n;
    for (uint32_t i = 0; i < n; i++)
        g->groups[i] = (struct trp_slot_group){ .count = 1, .device = i };
    v->config.groups = g;
    v->config.instances = n;
    v->config.devices = devices;
    v->config.devices_n = n;
}

/* Opens a model of the echo backend from the text of its file, on so many of its two GPUs (0: on
 * the CPU). */
static inline struct trp_version *make_version_on(struct world *w, const char *script,
                                                  struct trp_exec *runner, uint32_t devices_n)
{
    static const struct troupe_device_id gpus[] = { { TROUPE_DEVICE_GPU, 0 },
                                                    { TROUPE_DEVICE_GPU, 1 } };
    char path[SCRATCH_PATH_MAX];
    struct trp_error err = { 0 };
    struct trp_backend *echo;
    struct trp_version *v;
    close(scratch_file(path, "exec"));
    assert_false(trp_failed(trp_file_replace(path, script, strlen(script), &err)));
    const struct trp_version_opts opts = {
        .model = TRP_STR_LIT("m"), .number = 1, .ops = trp_exec_version_ops(), .runner = runner
    };
    assert_false(trp_failed(trp_version_create(trp_heap(), &opts, &v, &err)));
    const struct troupe_model_desc desc = { .struct_size = sizeof desc,
                                            .name = v->id,
                                            .path = path,
                                            .devices = devices_n > 0 ? gpus : NULL,
                                            .devices_n = devices_n,
                                            .account = &v->weights.plugin };
    assert_false(trp_failed(trp_backends_get(w->backends, TRP_STR_LIT("echo"), &echo, &err)));
    const trp_status st =
        trp_backend_open(echo, &desc, &v->arena, &v->model, &v->file_signature, &err);
    unlink(path);
    if (trp_failed(st))
        fail_msg("%s", err.text);
    v->signature = v->file_signature;
    w->versions[w->versions_n++] = v;
    if (devices_n > 0)
        place_slots(v, gpus, devices_n);
    return v;
}

static inline struct trp_version *make_version(struct world *w, const char *script,
                                               struct trp_exec *runner)
{
    return make_version_on(w, script, runner, 0);
}

static inline void keep_finished(struct trp_call *call, void *user)
{
    struct world *w = user;
    w->finished[w->finished_n++] = call;
}

/* A call with one FP32 input of `n` elements, bound. */
static inline struct trp_call *make_call_of(struct world *w, struct trp_version *v, uint32_t n)
{
    static float values[4096];
    struct trp_call *call = trp_call_take(w->pool);
    struct trp_error err = { 0 };
    assert_non_null(call);
    for (uint32_t i = 0; i < ARRAY_LEN(values); i++)
        values[i] = (float)i;
    call->inputs = trp_arena_zeroed(&call->arena, 1, sizeof *call->inputs);
    call->inputs_n = 1;
    call->inputs[0].name = v->signature.inputs[0].name;
    call->inputs[0].tensor = (struct troupe_tensor){
        .dtype = TROUPE_FP32, .rank = 1, .shape = { n }, .data = values, .bytes = 4ull * n
    };
    trp_version_ref(v);
    trp_call_pin(call, &v->target, trp_version_release_target);
    if (trp_failed(trp_call_bind(call, &v->signature, &err)))
        fail_msg("%s", err.text);
    trp_call_push(call, keep_finished, w);
    return call;
}

static inline struct trp_call *make_call(struct world *w, struct trp_version *v)
{
    return make_call_of(w, v, 4);
}

/* Turns until `n` calls have come back; a second of nothing is a failure. */
static inline void turn_until_finished(struct world *w, uint32_t n)
{
    for (int idle = 0; w->finished_n < n; idle++) {
        if (idle > 100)
            fail_msg("%u of %u calls came back", w->finished_n, n);
        const uint32_t before = w->finished_n;
        turn_loop(w, TRP_MS(50));
        if (w->finished_n != before)
            idle = 0;
    }
}

#endif

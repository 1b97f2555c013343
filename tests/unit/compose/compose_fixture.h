/* What the tests of compositions share: a loop with a clock of its own, models that multiply, and a
 * client.
 * Model m takes x [-1, 3] and gives y = factor * x of the same shape; it answers in the next
 * turn, when the test says so, or fails. */
#ifndef COMPOSE_FIXTURE_H
#define COMPOSE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "compose/cookbook.h"
#include "exec/crew.h"
#include "unit/base/scarce.h"

#define FAKES_MAX 8

enum fake_way { FAKE_SOON, FAKE_HELD, FAKE_FAILS };

struct fake_model {
    struct trp_target target;
    const struct trp_signature *signature;
    float factor;
    enum fake_way way;
    bool is_unready; /* it is found, and could not answer now */
    uint32_t asked_n, cancelled_n;
    const void *seen; /* where its input lay */
    uint64_t seen_rows;
    struct trp_call *held[8];
    uint32_t held_n;
};

struct fixture {
    struct trp_clock clock;
    int64_t now_ns;
    struct scarce requests;
    struct trp_loop *loop;
    struct trp_crew *crew; /* without threads: the test does the work */
    struct trp_call_pool *pool;
    struct trp_pool *bodies; /* the loop's */
    struct trp_metrics *metrics;
    struct fake_model fakes[FAKES_MAX];
    uint32_t fakes_n;
    struct trp_cookbook_opts opts;
    struct trp_arena arena; /* of trees */
    struct trp_cookbook *book;
    struct trp_error err;
    uint32_t finished_n, released_n;
    struct trp_call *call; /* the client's, while it is out */
    uint32_t answered_n;
    int32_t dtype;      /* that the client sends, of 4 or 8 bytes; 0: FP32 */
    const char *wanted; /* the output that the client names; NULL: none */
    int64_t time_ns;    /* that it gives its requests; 0: any */
};

static struct fixture fx; /* one test at a time */

/* Any number of rows. */
#define FAKE_ROWS(word, type, columns)                                               \
    {                                                                                \
        .name = { "" word, sizeof(word) - 1 }, .dtype = (type), .rank = 2, .dims = { \
            -1,                                                                      \
            (columns)                                                                \
        }                                                                            \
    }

static const struct trp_io fake_x = FAKE_ROWS("x", TROUPE_FP32, 3);
static const struct trp_io fake_y = FAKE_ROWS("y", TROUPE_FP32, 3);
static const struct trp_signature fake_signature = { &fake_x, &fake_y, 1, 1, .batch_max = 8 };
static const struct trp_signature fake_unbounded = { &fake_x, &fake_y, 1, 1, .batch_max = 0 };

/* The same, but its classes have names. */
static const struct trp_str fake_colours[] = { { "red", 3 }, { "green", 5 }, { "blue", 4 } };
static const struct trp_io fake_coloured_y = { .name = { "y", 1 },
                                               .dtype = TROUPE_FP32,
                                               .rank = 2,
                                               .dims = { -1, 3 },
                                               .labels = fake_colours,
                                               .labels_n = 3 };
static const struct trp_signature fake_coloured = { &fake_x, &fake_coloured_y, 1, 1,
                                                    .batch_max = 8 };

static struct fake_model *fake_of(const struct trp_target *t)
{
    return TRP_CONTAINER_OF((struct trp_target *)(uintptr_t)t, struct fake_model, target);
}

static const struct trp_signature *fake_get_signature(const struct trp_target *t)
{
    return fake_of(t)->signature;
}

static void fake_free(void *user, void *data)
{
    (void)user;
    fx.released_n++;
    free(data);
}

static void fake_answer(struct fake_model *m, struct trp_call *call)
{
    const struct troupe_tensor *x = &call->inputs[0].tensor;
    float *y = malloc(x->bytes + 1);
    assert_non_null(y);
    memcpy(y, x->data, x->bytes); /* of other types it is an echo */
    for (uint64_t i = 0; x->dtype == TROUPE_FP32 && i < x->bytes / sizeof *y; i++)
        y[i] = ((const float *)x->data)[i] * m->factor;
    call->outputs = trp_arena_zeroed(&call->arena, call->wanted_n + 1, sizeof *call->outputs);
    if (!call->outputs) {
        free(y);
        (void)trp_fail(&call->error, TRP_OUT_OF_MEMORY, "no memory");
        return;
    }
    call->outputs_n = call->wanted_n;
    call->outputs[0].name = call->wanted[0].name;
    call->outputs[0].tensor = *x;
    call->outputs[0].tensor.data = y;
    call->outputs[0].tensor.release = fake_free;
    for (uint32_t i = 1; i < call->wanted_n; i++) { /* views of the first */
        call->outputs[i] = call->outputs[0];
        call->outputs[i].name = call->wanted[i].name;
        call->outputs[i].tensor.release = NULL;
    }
}

static void fake_settle(struct trp_call *call)
{
    if (!trp_call_try_done(call))
        (void)trp_fail(&call->error, TRP_CANCELLED, "it was told to stop");
    trp_call_finish_soon(call);
}

static void fake_start(struct trp_target *t, struct trp_call *call)
{
    struct fake_model *m = fake_of(t);
    m->asked_n++;
    m->seen = call->inputs[0].tensor.data;
    m->seen_rows = (uint64_t)call->inputs[0].tensor.shape[0];
    if (m->way == FAKE_HELD) {
        assert_true(m->held_n < ARRAY_LEN(m->held));
        m->held[m->held_n++] = call;
        return;
    }
    if (m->way == FAKE_FAILS)
        (void)trp_fail(&call->error, TRP_BACKEND_FAILED, "it broke");
    else
        fake_answer(m, call);
    fake_settle(call);
}

/* A held call comes back when it is cancelled, as one that waits in a queue does. */
static void fake_cancel(struct trp_target *t, struct trp_call *call)
{
    struct fake_model *m = fake_of(t);
    m->cancelled_n++;
    for (uint32_t i = 0; i < m->held_n; i++) {
        if (m->held[i] != call)
            continue;
        m->held[i] = m->held[--m->held_n];
        fake_settle(call);
        return;
    }
}

static void fake_state(const struct trp_target *t, struct trp_target_state *out)
{
    *out = (struct trp_target_state){ .ready = !fake_of(t)->is_unready, .state = "READY" };
}

static const struct trp_target_ops fake_ops = {
    .signature = fake_get_signature, .start = fake_start, .cancel = fake_cancel, .state = fake_state
};

static struct fake_model *fake_named(struct trp_str name)
{
    for (uint32_t i = 0; i < fx.fakes_n; i++)
        if (trp_str_is_equal(fx.fakes[i].target.name, name))
            return &fx.fakes[i];
    return NULL;
}

static inline struct fake_model *fake(const char *name)
{
    struct fake_model *m = fake_named(trp_str_of(name));
    assert_non_null(m);
    return m;
}

static struct fake_model *add_fake(const char *name, float factor)
{
    struct fake_model *m = &fx.fakes[fx.fakes_n++];
    *m = (struct fake_model){ .target = { &fake_ops, trp_str_of(name), 1 },
                              .signature = &fake_signature,
                              .factor = factor };
    return m;
}

static trp_status fixture_find(void *user, uint32_t loop_index, const struct trp_sought *sought,
                               struct trp_target **out_target,
                               void (**out_release)(struct trp_target *), struct trp_error *err)
{
    struct fake_model *m = fake_named(sought->model);
    struct trp_composition *c = m ? NULL : trp_cookbook_find(fx.book, sought->model);
    (void)user;
    (void)loop_index;
    if (!m && !c)
        return trp_fail(err, TRP_NOT_FOUND, "no '%.*s'", TRP_STR(sought->model));
    *out_target = m ? &m->target : trp_composition_target(c);
    *out_release = m ? NULL : trp_composition_release;
    if (c)
        trp_composition_retain(*out_target);
    return trp_ok();
}

static void fixture_finished(void *user, uint32_t loop_index, struct trp_call *call)
{
    (void)user;
    (void)loop_index;
    assert_non_null(call->target);
    fx.finished_n++;
}

static bool fixture_known(void *user, struct trp_str name, int64_t version)
{
    (void)user;
    (void)version;
    return fake_named(name) != NULL;
}

static const struct trp_signature *fixture_signature(void *user, struct trp_str name,
                                                     int64_t version)
{
    (void)user;
    (void)version;
    const struct fake_model *m = fake_named(name);
    return m ? m->signature : NULL;
}

static int64_t fixture_now(void *user)
{
    return ((struct fixture *)user)->now_ns;
}

static int fixture_set_up(void **state)
{
    (void)state;
    fx = (struct fixture){ .now_ns = TRP_S(1) };
    fx.clock = (struct trp_clock){ fixture_now, fixture_now, &fx };
    const struct trp_loop_opts loop = { .name = "test", .clock = &fx.clock };
    (void)scarce_init(&fx.requests, UINT64_MAX);
    assert_false(trp_failed(trp_loop_create(trp_heap(), &loop, &fx.loop, NULL)));
    const struct trp_crew_opts crew = { .jobs_max = 4, .limit = "sched.queue_max" };
    assert_false(trp_failed(trp_crew_create(trp_heap(), &crew, &fx.crew, NULL)));
    assert_false(trp_failed(
        trp_call_pool_create(&fx.requests.alloc, fx.loop, 8192, 1 << 24, 200, &fx.pool, NULL)));
    const struct trp_pool_opts bodies = { 0 };
    assert_false(trp_failed(trp_pool_create(&fx.requests.alloc, &bodies, &fx.bodies, NULL)));
    assert_false(trp_failed(trp_metrics_create(trp_heap(), 1, &fx.metrics, NULL)));
    assert_false(trp_failed(trp_loop_turn(fx.loop, 0, NULL))); /* this thread is the loop's now */
    trp_arena_init(&fx.arena, trp_heap(), 4096, 0);
    fx.opts =
        (struct trp_cookbook_opts){ .alloc = trp_heap(),
                                    .env = { .finder = { &fx, fixture_find, fixture_finished },
                                             .requests = &fx.requests.alloc,
                                             .pools = &fx.bodies,
                                             .metrics = fx.metrics,
                                             .clock = &fx.clock,
                                             .crew = fx.crew } };
    assert_false(trp_failed(trp_cookbook_create(&fx.opts, &fx.book, &fx.err)));
    return 0;
}

static int fixture_tear_down(void **state)
{
    (void)state;
    if (fx.call)
        trp_call_give_back(fx.call);
    trp_cookbook_destroy(fx.book);
    assert_int_equal(trp_call_pool_out(fx.pool), 0);
    trp_call_pool_destroy(fx.pool);
    trp_pool_destroy(fx.bodies);
    assert_int_equal(trp_counter_get(&fx.requests.out), 0);
    trp_metrics_destroy(fx.metrics);
    trp_arena_deinit(&fx.arena);
    trp_crew_destroy(fx.crew);
    trp_loop_destroy(fx.loop);
    return 0;
}

/* Reads sections of routes.yaml. */
static inline trp_status fixture_read(const char *yaml)
{
    struct trp_node *root;
    TRP_CHECK(
        trp_node_from_yaml(&fx.arena, trp_str_of(yaml), "routes.yaml", 100000, &root, &fx.err));
    for (const struct trp_node *n = root->first; n; n = n->next)
        TRP_CHECK(trp_cookbook_read_section(fx.book, n, NULL, &fx.err));
    const struct trp_route_check check = { .known = fixture_known, .signature = fixture_signature };
    return trp_cookbook_check(fx.book, &check, &fx.err);
}

/* The target of a composition of the book. */
static inline struct trp_target *fixture_target(const char *name)
{
    struct trp_composition *c = trp_cookbook_find(fx.book, trp_str_of(name));
    assert_non_null(c);
    return trp_composition_target(c);
}

static inline void fixture_serve(const char *yaml)
{
    const trp_status st = fixture_read(yaml);
    if (trp_failed(st))
        print_message("%s\n", fx.err.text);
    assert_false(trp_failed(st));
}

static void fixture_done(struct trp_call *call, void *user)
{
    (void)user;
    assert_ptr_equal(call, fx.call);
    fx.answered_n++;
}

static inline void fixture_turns(int n)
{
    for (int i = 0; i < n; i++)
        assert_false(trp_failed(trp_loop_turn(fx.loop, 0, NULL)));
}

/* A client asks: one input, `rows` rows of three. */
static inline struct trp_call *fixture_start(const char *name, void *x, int64_t rows)
{
    struct trp_call *call = trp_call_take(fx.pool);
    assert_non_null(call);
    struct trp_target *target = NULL;
    void (*release)(struct trp_target *) = NULL;
    const struct trp_sought sought = { trp_str_of(name), 0, call };
    fx.call = call;
    fx.answered_n = 0;
    call->model = trp_str_of(name);
    call->deadline_ns = fx.time_ns > 0 ? fx.now_ns + fx.time_ns : 0;
    call->inputs = trp_arena_zeroed(&call->arena, 1, sizeof *call->inputs);
    call->inputs_n = 1;
    call->inputs[0] =
        (struct trp_call_tensor){ .name = TRP_STR_LIT("x"),
                                  .tensor = { .dtype = fx.dtype ? fx.dtype : TROUPE_FP32,
                                              .rank = 2,
                                              .shape = { rows, 3 },
                                              .data = x,
                                              .bytes = (uint64_t)rows * (fx.dtype ? 24 : 12) } };
    assert_false(trp_failed(fixture_find(NULL, 0, &sought, &target, &release, &fx.err)));
    TRP_ASSERT(target != NULL);
    if (fx.wanted) {
        call->wanted = trp_arena_zeroed(&call->arena, 1, sizeof *call->wanted);
        call->wanted[0].name = trp_str_of(fx.wanted);
        call->wanted_n = 1;
        call->wanted_named = true;
    }
    trp_call_pin(call, target, release);
    const trp_status st = trp_call_bind(call, trp_target_signature(target), &fx.err);
    if (trp_failed(st))
        print_message("%s\n", fx.err.text);
    assert_false(trp_failed(st));
    trp_call_push(call, fixture_done, NULL);
    trp_target_start(target, call);
    assert_int_equal(fx.answered_n, 0); /* never from inside */
    return call;
}

static inline struct trp_call *fixture_ask(const char *name, void *x, int64_t rows)
{
    struct trp_call *call = fixture_start(name, x, rows);
    fixture_turns(20);
    assert_int_equal(fx.answered_n, 1);
    return call;
}

static inline void fixture_give_back(void)
{
    assert_int_equal(fx.call->lent_n, 0);
    trp_call_give_back(fx.call);
    fx.call = NULL;
    assert_int_equal(trp_call_pool_out(fx.pool), 0);
}

/* Asks with one piece of memory more each time, from what the client's own call needs on, until it
 * is answered: whatever is lacking, everything is given back. */
static inline void fixture_lacks_memory(const char *name, float *values, int64_t rows)
{
    bool is_whole = false;
    for (uint64_t left = 3; !is_whole; left++) {
        trp_call_pool_age(fx.pool);
        trp_call_pool_age(fx.pool);
        trp_pool_trim(fx.bodies);
        trp_counter_set(&fx.requests.left, UINT64_MAX);
        struct trp_call *warm = trp_call_take(fx.pool);
        (void)trp_arena_get(&warm->arena, 1);
        trp_call_give_back(warm);
        trp_counter_set(&fx.requests.left, left);
        is_whole = !trp_failed(fixture_ask(name, values, rows)->error.status);
        trp_counter_set(&fx.requests.left, UINT64_MAX);
        fixture_give_back();
        assert_true(left < 100);
    }
}

static inline void fixture_expect(const struct trp_call *call, const float *want, uint32_t n)
{
    if (trp_failed(call->error.status))
        print_message("%s\n", call->error.text);
    assert_int_equal(call->error.status.code, TRP_OK);
    assert_int_equal(call->outputs[0].tensor.bytes, n * sizeof *want);
    const float *is = call->outputs[0].tensor.data;
    for (uint32_t i = 0; i < n; i++)
        assert_true(is[i] > want[i] - 1e-5F && is[i] < want[i] + 1e-5F);
}

/* The names of the classes of its first output: 0: it has none. */
static inline uint32_t fixture_colours(const struct trp_call *call)
{
    const struct trp_call_tensor *out = &call->outputs[0];
    assert_true(out->labels_n == 0 || trp_str_is(out->labels[out->labels_n - 1], "blue"));
    return out->labels ? out->labels_n : 0;
}

/* The text of a note of the answer; "true" of one that is; "none": there is none. */
static inline const char *fixture_note(const struct trp_call *call, const char *name)
{
    for (uint32_t i = 0; i < call->notes_n; i++) {
        if (!trp_str_is(call->notes[i].name, name))
            continue;
        return call->notes[i].kind == TRP_PARAM_STR ? call->notes[i].v.s.ptr
               : call->notes[i].v.b                 ? "true"
                                                    : "false";
    }
    return "none";
}

static inline uint64_t fixture_metric(enum trp_metric id)
{
    return (uint64_t)trp_metrics_get(fx.metrics, id);
}

/* With models that multiply by 1, 2 and 6. */
static inline int fixture_set_up_three(void **state)
{
    (void)fixture_set_up(state);
    add_fake("one", 1);
    add_fake("two", 2);
    add_fake("six", 6);
    return 0;
}

#endif

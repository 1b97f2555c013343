/* Which model a task's name means: who is asked, what is kept from request to request, and what
 * is said when nobody answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "admin/task_names.h"
#include "unit/base/scarce.h"

#define TASK TRP_STR_LIT("ranking")

static const struct trp_io input = {
    .name = { "x", 1 }, .dtype = TROUPE_FP32, .rank = 1, .dims = { 4 }
};

struct fixture {
    struct trp_clock clock;
    int64_t now_ns;
    struct trp_registry *registry;
    struct trp_task_names *names;
    struct trp_loop *loop;
    struct trp_call_pool *pool;
    struct trp_call *call;
    struct trp_call_tensor tensor;
    struct trp_error err;
    struct scarce memory;
};

static int64_t now(void *user)
{
    return ((struct fixture *)user)->now_ns;
}

static int set_up(void **state)
{
    static struct fixture f; /* one test at a time */
    f = (struct fixture){ .now_ns = TRP_S(1000) };
    f.clock = (struct trp_clock){ .now_ns = now, .wall_ns = now, .user = &f };
    (void)scarce_init(&f.memory, UINT64_MAX / 2);
    assert_false(trp_failed(trp_registry_create(trp_heap(), 0, &f.registry, NULL)));
    assert_false(trp_failed(trp_task_names_create(&f.memory.alloc, &f.clock, &f.names, NULL)));
    assert_false(
        trp_failed(trp_loop_create(trp_heap(), &(struct trp_loop_opts){ 0 }, &f.loop, NULL)));
    assert_false(
        trp_failed(trp_call_pool_create(trp_heap(), f.loop, 4096, 1 << 20, 3, &f.pool, NULL)));
    f.call = trp_call_take(f.pool);
    f.tensor =
        (struct trp_call_tensor){ .name = TRP_STR_LIT("x"),
                                  .tensor = { .dtype = TROUPE_FP32, .rank = 1, .shape = { 4 } } };
    f.call->inputs = &f.tensor;
    f.call->inputs_n = 1;
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    f->call->inputs_n = 0;
    trp_call_give_back(f->call);
    trp_call_pool_destroy(f->pool);
    trp_loop_destroy(f->loop);
    trp_task_names_destroy(f->names);
    trp_registry_destroy(f->registry);
    assert_int_equal(trp_counter_get(&f->memory.out), 0);
    return 0;
}

static void move(struct trp_version *v, enum trp_model_state to)
{
    static const enum trp_model_state road[] = { TRP_MODEL_LOADING, TRP_MODEL_WARMING,
                                                 TRP_MODEL_READY };
    for (size_t i = 0; i < ARRAY_LEN(road) && trp_lifecycle_get(&v->life) != to; i++)
        assert_false(trp_failed(trp_lifecycle_move(&v->life, road[i], 1, NULL)));
}

/* Puts a model into the next snapshot; NULL: without a task. */
static struct trp_version *put(struct fixture *f, const char *name, const char *task,
                               double accuracy, enum trp_model_state to)
{
    const struct trp_version_opts opts = { .model = trp_str_of(name), .number = 1 };
    struct trp_version *v;
    assert_false(trp_failed(trp_version_create(trp_heap(), &opts, &v, NULL)));
    v->signature = (struct trp_signature){ .inputs = &input, .inputs_n = 1 };
    v->config.card.task = trp_str_of(task);
    v->config.card.quality = (struct trp_quality){ TRP_STR_LIT("accuracy"), accuracy, false };
    v->has_signature = true;
    v->is_cold = true;
    trp_gauge_set(&v->stats->run_ns, TRP_MS(1));
    trp_gauge_set(&v->load_ns, TRP_MS(64));
    move(v, to);
    struct trp_version *versions[] = { v };
    const struct trp_entry e = { .name = trp_str_of(name), .versions = versions, .versions_n = 1 };
    assert_false(trp_failed(trp_registry_put(f->registry, &e, NULL)));
    trp_version_unref(v);
    (void)trp_registry_publish(f->registry);
    return v;
}

static int32_t pick(struct fixture *f, bool with_inputs, const char *want)
{
    struct trp_version *v = NULL;
    f->err = (struct trp_error){ 0 };
    const trp_status st = trp_task_names_pick(f->names, trp_registry_current(f->registry), TASK,
                                              with_inputs ? f->call : NULL, &v,
                                              with_inputs ? &f->call->answered_why : NULL, &f->err);
    if (trp_failed(st))
        assert_null(v);
    else if (!trp_str_is(v->target.name, want))
        fail_msg("%s", v->id);
    trp_version_unref(v);
    return st.code;
}

static void the_best_of_those_who_take_the_inputs_answers(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "ranking", 0.8, TRP_MODEL_READY);
    put(f, "b", "ranking", 0.9, TRP_MODEL_READY);
    put(f, "c", "text", 1.0, TRP_MODEL_READY);
    put(f, "d", NULL, 1.0, TRP_MODEL_READY);
    assert_int_equal(pick(f, true, "b"), TRP_OK);
    assert_true(trp_str_is(f->call->answered_why, "b/1 (accuracy 0.9, 1.000 ms) of 2; next a/1 "
                                                  "(accuracy 0.8, 1.000 ms)"));
    assert_int_equal(pick(f, false, "b"), TRP_OK);
    f->tensor.tensor.shape[0] = 5;
    assert_int_equal(pick(f, true, ""), TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(f->err.text, "none of the 2 models"));
    assert_int_equal(pick(f, false, "b"), TRP_OK);
}

static void a_cold_one_counts_with_its_load(void **state)
{
    struct fixture *f = *state;
    put(f, "cold", "ranking", 0.9, TRP_MODEL_NEW);
    put(f, "warm", "ranking", 0.88, TRP_MODEL_READY);
    assert_int_equal(pick(f, true, "warm"), TRP_OK);
    assert_non_null(strstr(f->call->answered_why.ptr, "cold/1 (accuracy 0.9, 65.000 ms with its "
                                                      "load)"));
    put(f, "warm", "ranking", 0.5, TRP_MODEL_READY);
    f->now_ns += TRP_S(1);
    assert_int_equal(pick(f, true, "cold"), TRP_OK);
}

static void one_that_is_loading_is_known_by_what_it_came_from(void **state)
{
    struct fixture *f = *state;
    struct trp_version *v = put(f, "m", "ranking", 0.9, TRP_MODEL_NEW);
    trp_version_ref(v);
    struct trp_version *loading = put(f, "m", "", 0, TRP_MODEL_LOADING);
    loading->has_signature = false;
    loading->before = v; /* with its reference */
    assert_int_equal(pick(f, true, "m"), TRP_OK);
}

static void a_new_name_is_found_when_the_list_is_stale(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "ranking", 0.8, TRP_MODEL_READY);
    assert_int_equal(pick(f, true, "a"), TRP_OK);
    put(f, "b", "ranking", 0.9, TRP_MODEL_READY);
    f->now_ns += TRP_MS(50);
    assert_int_equal(pick(f, true, "a"), TRP_OK);
    f->now_ns += TRP_MS(50);
    assert_int_equal(pick(f, true, "b"), TRP_OK);
    assert_false(trp_failed(trp_registry_remove(f->registry, TRP_STR_LIT("a"), NULL)));
    assert_false(trp_failed(trp_registry_remove(f->registry, TRP_STR_LIT("b"), NULL)));
    put(f, "c", "ranking", 0.1, TRP_MODEL_READY);
    assert_int_equal(pick(f, true, "c"), TRP_OK); /* nobody was left: looked for at once */
}

static void who_is_not_there_or_not_ready_is_told_apart(void **state)
{
    struct fixture *f = *state;
    (void)trp_registry_publish(f->registry);
    assert_int_equal(pick(f, true, ""), TRP_NOT_FOUND);
    assert_non_null(strstr(f->err.text, "'task:ranking' is not found"));
    struct trp_version *v = put(f, "m", "ranking", 0.9, TRP_MODEL_NEW);
    v->is_cold = false; /* an operator loads it, and nobody else */
    assert_int_equal(pick(f, true, ""), TRP_NOT_READY);
    assert_non_null(strstr(f->err.text, "none of the 1 models"));
}

static void more_tasks_than_are_kept_are_looked_for_anew(void **state)
{
    struct fixture *f = *state;
    put(f, "m", "ranking", 0.9, TRP_MODEL_READY);
    for (uint32_t i = 0; i < 100; i++) {
        char task[32];
        struct trp_version *v;
        (void)snprintf(task, sizeof task, "task-%u", i);
        f->now_ns += 1;
        assert_int_equal(trp_task_names_pick(f->names, trp_registry_current(f->registry),
                                             trp_str_of(task), f->call, &v, NULL, NULL)
                             .code,
                         TRP_NOT_FOUND);
    }
    assert_int_equal(pick(f, true, "m"), TRP_OK);
}

static void without_memory_it_is_said(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "ranking", 0.8, TRP_MODEL_READY);
    int32_t code = TRP_OUT_OF_MEMORY;
    for (uint64_t blocks = 0; code == TRP_OUT_OF_MEMORY && blocks < 10; blocks++) {
        trp_counter_set(&f->memory.left, blocks);
        code = pick(f, true, "a");
    }
    assert_int_equal(code, TRP_OK);
    trp_counter_set(&f->memory.left, UINT64_MAX / 2);
    assert_int_equal(pick(f, true, "a"), TRP_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_best_of_those_who_take_the_inputs_answers),
        TEST(a_cold_one_counts_with_its_load),
        TEST(one_that_is_loading_is_known_by_what_it_came_from),
        TEST(a_new_name_is_found_when_the_list_is_stale),
        TEST(who_is_not_there_or_not_ready_is_told_apart),
        TEST(more_tasks_than_are_kept_are_looked_for_anew),
        TEST(without_memory_it_is_said),
    };
    return cmocka_run_group_tests_name("task_names", tests, NULL, NULL);
}

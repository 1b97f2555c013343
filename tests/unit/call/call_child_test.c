/* Children of calls: what they inherit, what they lend, and who is given back when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "call/call_child.h"
#include "call/target.h"

struct world {
    struct trp_loop *loop;
    struct trp_call_pool *pool;
    struct trp_call *parent;
    struct trp_target target;
    struct trp_call *held; /* started, not answered */
    struct trp_finder finder;
    uint32_t finished_n, done_n, freed_n, cancelled_n, released_n, unpinned_n;
    int64_t patience_ns;
    struct trp_error err;
};

static struct world w; /* one test at a time */
static float numbers[4] = { 1, 2, 3, 4 };

static const struct trp_io io_x = {
    .name = { "x", 1 }, .dtype = TROUPE_FP32, .rank = 1, .dims = { 4 }
};
static const struct trp_io io_y = {
    .name = { "y", 1 }, .dtype = TROUPE_FP32, .rank = 1, .dims = { 4 }
};
static const struct trp_signature signature = {
    .inputs = &io_x, .outputs = &io_y, .inputs_n = 1, .outputs_n = 1
};

static const struct trp_signature *get_signature(const struct trp_target *t)
{
    (void)t;
    return &signature;
}

static int64_t get_patience(const struct trp_target *t, const struct trp_call *call)
{
    (void)t;
    (void)call;
    return w.patience_ns;
}

static void start(struct trp_target *t, struct trp_call *call)
{
    (void)t;
    assert_null(w.held);
    w.held = call;
}

static void cancel(struct trp_target *t, struct trp_call *call)
{
    (void)t;
    assert_ptr_equal(call, w.held);
    w.cancelled_n++;
    w.held = NULL;
    trp_call_finish_soon(call);
}

static const struct trp_target_ops ops = {
    .signature = get_signature, .patience_ns = get_patience, .start = start, .cancel = cancel
};

static void unpin(struct trp_target *t)
{
    (void)t;
    w.unpinned_n++;
}

static trp_status find(void *user, uint32_t loop_index, const struct trp_sought *sought,
                       struct trp_target **out_target, void (**out_release)(struct trp_target *),
                       struct trp_error *err)
{
    struct world *world = user;
    assert_int_equal(loop_index, 3);
    if (!trp_str_is(sought->model, "m"))
        return trp_fail(err, TRP_NOT_FOUND, "no '%.*s'", TRP_STR(sought->model));
    *out_target = &world->target;
    *out_release = unpin;
    return trp_ok();
}

static void finished(void *user, uint32_t loop_index, struct trp_call *call)
{
    struct world *world = user;
    assert_int_equal(loop_index, 3);
    assert_true(call->stamps_ns[TRP_PHASE_ENCODED] != 0);
    world->finished_n++;
}

static void on_free(struct trp_call *call, void *user)
{
    assert_ptr_equal(call, w.parent);
    assert_int_equal(call->lent_n, 0);
    ((struct world *)user)->freed_n++;
}

static int set_up(void **state)
{
    (void)state;
    w = (struct world){ .target = { &ops, { "m", 1 }, 1 } };
    w.finder = (struct trp_finder){ &w, find, finished };
    assert_false(
        trp_failed(trp_loop_create(trp_heap(), &(struct trp_loop_opts){ 0 }, &w.loop, NULL)));
    assert_false(
        trp_failed(trp_call_pool_create(trp_heap(), w.loop, 4096, 1 << 20, 12, &w.pool, NULL)));
    trp_call_pool_set_index(w.pool, 3);
    assert_false(trp_failed(trp_loop_turn(w.loop, 0, NULL))); /* this thread is the loop's now */
    w.parent = trp_call_take(w.pool);
    assert_non_null(w.parent);
    w.parent->model = TRP_STR_LIT("p");
    w.parent->on_free = on_free;
    w.parent->on_free_user = &w;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    trp_call_give_back(w.parent);
    assert_int_equal(trp_call_pool_out(w.pool), 0);
    trp_call_pool_destroy(w.pool);
    trp_loop_destroy(w.loop);
    return 0;
}

static void turn(void)
{
    assert_false(trp_failed(trp_loop_turn(w.loop, 0, NULL)));
}

static void note_done(struct trp_call *call, void *user)
{
    assert_non_null(call);
    ((struct world *)user)->done_n++;
}

static trp_status ask(struct trp_call *child, const char *model)
{
    const struct trp_child_ask asked = { trp_str_of(model), 0, note_done, &w };
    return trp_call_child_start(child, &w.finder, &asked, &w.err);
}

static void release(void *user, void *data)
{
    (void)data;
    ((struct world *)user)->released_n++;
}

static struct trp_call_tensor lent_tensor(void)
{
    return (struct trp_call_tensor){ .name = TRP_STR_LIT("whatever"),
                                     .tensor = { .dtype = TROUPE_FP32,
                                                 .rank = 1,
                                                 .shape = { 4 },
                                                 .data = numbers,
                                                 .bytes = sizeof numbers,
                                                 .release = release,
                                                 .release_user = &w } };
}

static struct trp_call *make_child(void)
{
    struct trp_call *child = trp_call_child(w.parent, 7, &w.err);
    assert_non_null(child);
    return child;
}

static struct trp_call *started_child(void)
{
    struct trp_call *child = make_child();
    const struct trp_call_tensor x = lent_tensor();
    assert_false(trp_failed(trp_call_child_input(child, TRP_STR_LIT("x"), &x, &w.err)));
    assert_false(trp_failed(ask(child, "m")));
    assert_ptr_equal(w.held, child);
    return child;
}

/* The target answers with memory that it wants back. */
static void answer(struct trp_call *child)
{
    w.held = NULL;
    child->outputs = trp_arena_zeroed(&child->arena, 1, sizeof *child->outputs);
    child->outputs[0] = lent_tensor();
    child->outputs_n = 1;
    assert_true(trp_call_try_done(child));
    trp_call_finish_soon(child);
    turn();
}

static void a_child_asks_in_its_parents_name(void **state)
{
    (void)state;
    static const struct trp_header header = { { "h", 1 }, { "1", 1 } };
    static const struct trp_param param = { .name = { "p", 1 }, .kind = TRP_PARAM_BOOL };
    w.parent->deadline_ns = 99;
    w.parent->priority_class = TRP_PRIORITY_BATCH;
    w.parent->priority = 2;
    w.parent->tenant = TRP_STR_LIT("t");
    w.parent->headers = &header;
    w.parent->headers_n = 1;
    w.parent->params = &param;
    w.parent->params_n = 1;
    w.parent->trace_context.trace_id[5] = 8;
    struct trp_call *child = make_child();
    assert_ptr_equal(child->parent, w.parent);
    assert_int_equal(child->step, 7);
    assert_int_equal(child->depth, 1);
    assert_int_equal(child->deadline_ns, 99);
    assert_int_equal(child->priority_class, TRP_PRIORITY_BATCH);
    assert_int_equal(child->priority, 2);
    assert_true(trp_str_is(child->tenant, "t"));
    assert_true(trp_str_is(trp_call_header(child, TRP_STR_LIT("h")), "1"));
    assert_non_null(trp_call_param(child, TRP_STR_LIT("p")));
    assert_int_equal(child->trace_context.trace_id[5], 8);
    assert_int_equal(child->protocol, TRP_PROTOCOL_INTERNAL);
    assert_int_equal(w.parent->lent_n, 1);
    trp_call_child_end(child, &w.finder);
    assert_int_equal(w.finished_n, 0); /* it was nobody's */
    assert_int_equal(w.freed_n, 1);
}

static void inputs_are_lent_without_a_copy(void **state)
{
    (void)state;
    struct trp_call *child = started_child();
    assert_int_equal(child->inputs_n, 1);
    assert_ptr_equal(child->inputs[0].tensor.data, numbers);
    assert_true(trp_str_is(child->inputs[0].name, "x"));
    assert_int_equal(child->wanted_n, 1);
    answer(child);
    assert_int_equal(w.done_n, 1);
    trp_call_child_end(child, &w.finder);
    assert_int_equal(w.released_n, 1); /* its output; its input is still its parent's */
    assert_int_equal(w.finished_n, 1);
    assert_int_equal(w.unpinned_n, 1);
    assert_int_equal(w.freed_n, 1);
}

static void many_inputs_and_outputs_find_room(void **state)
{
    (void)state;
    char texts[40][8];
    const struct trp_call_tensor x = lent_tensor();
    struct trp_call *child = make_child();
    for (uint32_t i = 0; i < ARRAY_LEN(texts); i++) {
        (void)snprintf(texts[i], sizeof texts[i], "t%u", i);
        assert_false(trp_failed(trp_call_child_input(child, trp_str_of(texts[i]), &x, &w.err)));
        assert_false(trp_failed(trp_call_child_want(child, trp_str_of(texts[i]), &w.err)));
    }
    assert_int_equal(child->inputs_n, ARRAY_LEN(texts));
    assert_int_equal(child->wanted_n, ARRAY_LEN(texts));
    assert_true(child->wanted_named);
    for (uint32_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_true(trp_str_is(child->inputs[i].name, texts[i]));
        assert_true(trp_str_is(child->wanted[i].name, texts[i]));
    }
    trp_call_child_end(child, &w.finder);
}

static void a_kept_child_goes_with_its_parent(void **state)
{
    (void)state;
    struct trp_call *child = started_child();
    answer(child);
    trp_call_child_keep(child, &w.finder);
    assert_int_equal(w.finished_n, 1);
    assert_int_equal(w.released_n, 0);
    assert_int_equal(w.freed_n, 1);
    assert_int_equal(trp_call_pool_out(w.pool), 2);
    w.parent->outputs = trp_arena_zeroed(&w.parent->arena, 1, sizeof *w.parent->outputs);
    w.parent->outputs[0].tensor = child->outputs[0].tensor;
    w.parent->outputs[0].tensor.release = NULL; /* a view */
    w.parent->outputs_n = 1;
    trp_call_give_back(w.parent);
    assert_int_equal(w.released_n, 1);
    assert_int_equal(trp_call_pool_out(w.pool), 0);
    w.parent = trp_call_take(w.pool); /* for tear_down() */
}

static void what_cannot_be_found_or_bound_is_not_started(void **state)
{
    (void)state;
    struct trp_call *child = make_child();
    assert_int_equal(ask(child, "other").code, TRP_NOT_READY); /* the client named another */
    assert_string_equal(w.err.text, "no 'other'");
    trp_call_child_end(child, &w.finder);
    child = make_child();
    assert_int_equal(ask(child, "m").code, TRP_INVALID_ARGUMENT);
    assert_null(w.held);
    trp_call_child_end(child, &w.finder);
    assert_int_equal(w.done_n, 0);
    assert_int_equal(w.unpinned_n, 1);
}

static void a_targets_patience_shortens_a_childs_deadline(void **state)
{
    (void)state;
    w.patience_ns = 5;
    struct trp_call *child = started_child();
    assert_int_equal(child->deadline_ns, child->stamps_ns[TRP_PHASE_ARRIVED] + 5);
    answer(child);
    trp_call_child_end(child, &w.finder);
    w.parent->deadline_ns = 1;
    child = started_child();
    assert_int_equal(child->deadline_ns, 1);
    answer(child);
    trp_call_child_end(child, &w.finder);
}

static void a_child_that_nobody_wants_comes_back_at_once(void **state)
{
    (void)state;
    struct trp_call *child = started_child();
    assert_true(trp_call_child_cancel(child));
    assert_false(trp_call_child_cancel(child));
    assert_int_equal(w.cancelled_n, 1);
    assert_int_equal(w.done_n, 0); /* not from inside */
    turn();
    assert_int_equal(w.done_n, 1);
    assert_int_equal(trp_oneshot_get(&child->outcome), TRP_OUTCOME_CANCELLED);
    trp_call_child_end(child, &w.finder);
    child = started_child();
    assert_true(trp_call_child_expire(child));
    turn();
    assert_int_equal(trp_oneshot_get(&child->outcome), TRP_OUTCOME_EXPIRED);
    trp_call_child_end(child, &w.finder);
}

static void a_cancelled_parent_raises_its_children_but_for_detached_ones(void **state)
{
    (void)state;
    struct trp_call *child = make_child(), *other = make_child();
    trp_call_child_detach(other);
    assert_true(trp_call_try_cancel(w.parent));
    assert_true(trp_cancel_is_raised(&child->cancel));
    assert_false(trp_cancel_is_raised(&other->cancel));
    assert_int_equal(ask(child, "m").code, TRP_CANCELLED);
    trp_call_child_end(child, &w.finder);
    assert_int_equal(w.freed_n, 0);
    trp_call_child_end(other, &w.finder);
    assert_int_equal(w.freed_n, 1);
}

static void nobody_goes_before_those_who_look_at_it(void **state)
{
    (void)state;
    struct trp_call *child = make_child();
    struct trp_call *grandchild = trp_call_child(child, 0, &w.err);
    trp_call_child_keep(child, &w.finder);
    assert_int_equal(w.parent->lent_n, 1); /* the child waits for the grandchild */
    trp_call_child_end(grandchild, &w.finder);
    assert_int_equal(w.parent->lent_n, 0);
    assert_int_equal(w.freed_n, 1);
    child = make_child();
    grandchild = trp_call_child(child, 0, &w.err);
    trp_call_child_end(child, &w.finder);
    assert_int_equal(w.parent->lent_n, 1);
    trp_call_child_keep(grandchild, &w.finder);
    assert_int_equal(w.parent->lent_n, 0);
    assert_int_equal(trp_call_pool_out(w.pool), 2); /* the parent and the first kept one */
}

static void depth_has_an_end(void **state)
{
    (void)state;
    w.parent->depth = TRP_CHILD_DEPTH_MAX - 2;
    struct trp_call *one = make_child();
    struct trp_call *last = trp_call_child(one, 0, &w.err);
    assert_non_null(last);
    assert_null(trp_call_child(last, 0, &w.err));
    assert_int_equal(w.err.status.code, TRP_TOO_LARGE);
    trp_call_child_end(last, &w.finder);
    trp_call_child_end(one, &w.finder);
}

static void there_are_no_more_children_than_calls(void **state)
{
    (void)state;
    struct trp_call *all[11];
    for (uint32_t i = 0; i < ARRAY_LEN(all); i++)
        all[i] = make_child();
    assert_null(trp_call_child(w.parent, 0, &w.err));
    assert_int_equal(w.err.status.code, TRP_QUEUE_FULL);
    assert_int_equal(w.err.limit, TRP_LIMIT_CALLS);
    for (uint32_t i = 0; i < ARRAY_LEN(all); i++)
        trp_call_child_end(all[i], &w.finder);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_child_asks_in_its_parents_name),
        TEST(inputs_are_lent_without_a_copy),
        TEST(many_inputs_and_outputs_find_room),
        TEST(a_kept_child_goes_with_its_parent),
        TEST(what_cannot_be_found_or_bound_is_not_started),
        TEST(a_targets_patience_shortens_a_childs_deadline),
        TEST(a_child_that_nobody_wants_comes_back_at_once),
        TEST(a_cancelled_parent_raises_its_children_but_for_detached_ones),
        TEST(nobody_goes_before_those_who_look_at_it),
        TEST(depth_has_an_end),
        TEST(there_are_no_more_children_than_calls),
    };
    return cmocka_run_group_tests_name("child", tests, NULL, NULL);
}

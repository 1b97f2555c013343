/* Calls: where they come from, how they are finished, and what they let go of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/thread.h"
#include "call/call.h"
#include "call/target.h"

struct world {
    struct trp_loop *loop;
    struct trp_call_pool *pool;
};

/* Calls that are out; a test that fails half way leaves them to tear_down(). */
static struct trp_call *taken[8];
static size_t taken_n;

static struct trp_call *take(struct world *w)
{
    struct trp_call *call = trp_call_take(w->pool);
    assert_non_null(call);
    taken[taken_n++] = call;
    return call;
}

static void give_back(struct trp_call *call)
{
    for (size_t i = 0; i < taken_n; i++)
        if (taken[i] == call)
            taken[i] = taken[--taken_n];
    trp_call_give_back(call);
}

static int set_up(void **state)
{
    static struct world w; /* one test at a time */
    w = (struct world){ 0 };
    assert_false(
        trp_failed(trp_loop_create(trp_heap(), &(struct trp_loop_opts){ 0 }, &w.loop, NULL)));
    assert_false(
        trp_failed(trp_call_pool_create(trp_heap(), w.loop, 4096, 1 << 20, 3, &w.pool, NULL)));
    assert_false(trp_failed(trp_loop_turn(w.loop, 0, NULL))); /* this thread is the loop's now */
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    while (taken_n > 0) {
        taken[taken_n - 1]->done_n = 0;
        give_back(taken[taken_n - 1]);
    }
    trp_call_pool_destroy(w->pool);
    trp_loop_destroy(w->loop);
    return 0;
}

static void turn(struct world *w)
{
    assert_false(trp_failed(trp_loop_turn(w->loop, 0, NULL)));
}

static void a_call_is_zero_when_taken_even_the_second_time(void **state)
{
    struct world *w = *state;
    struct trp_call *call = take(w);
    assert_ptr_equal(call->loop, w->loop);
    assert_int_equal(call->number, 1);
    assert_non_null(trp_arena_get(&call->arena, 100));
    call->deadline_ns = 5;
    call->priority = 3;
    (void)trp_fail(&call->error, TRP_INTERNAL, "words");
    assert_true(trp_call_try_done(call));
    give_back(call);

    struct trp_call *again = take(w);
    assert_ptr_equal(again, call); /* reused, not allocated */
    assert_int_equal(again->number, 2);
    assert_int_equal(again->deadline_ns, 0);
    assert_int_equal(again->priority, 0);
    assert_int_equal(again->error.status.code, TRP_OK);
    assert_int_equal(trp_oneshot_get(&again->outcome), TRP_OUTCOME_OPEN);
    give_back(again);
}

static void no_more_than_calls_max_are_out(void **state)
{
    struct world *w = *state;
    struct trp_call *calls[3];
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        calls[i] = take(w);
    assert_null(trp_call_take(w->pool));
    assert_int_equal(trp_call_pool_out(w->pool), 3);
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        give_back(calls[i]);
    assert_int_equal(trp_call_pool_out(w->pool), 0);
    calls[0] = take(w);
    give_back(calls[0]);
}

static void a_pool_numbers_from_where_it_is_told(void **state)
{
    struct world *w = *state;
    trp_call_pool_number_from(w->pool, 2ull << 48);
    struct trp_call *call = take(w);
    assert_int_equal(call->number, 2ull << 48);
    give_back(call);
}

struct trail {
    char text[16];
    size_t len;
};

static void leave(struct trp_call *call, struct trail *trail, char letter)
{
    assert_non_null(call);
    trail->text[trail->len++] = letter;
}

static void outer_done(struct trp_call *call, void *user)
{
    leave(call, user, 'o');
    give_back(call);
}

static void outer_done_of_pool(struct trp_call *call, void *user)
{
    leave(call, user, 'o');
    trp_call_give_back(call);
}

static void inner_done(struct trp_call *call, void *user)
{
    leave(call, user, 'i');
    trp_call_finish(call);
}

static void finish_climbs_from_the_last_pushed_to_the_first(void **state)
{
    struct world *w = *state;
    struct trail trail = { 0 };
    struct trp_call *call = take(w);
    trp_call_push(call, outer_done, &trail);
    trp_call_push(call, inner_done, &trail);
    trp_call_finish(call);
    assert_string_equal(trail.text, "io");
}

static void finish_soon_and_finish_from_run_in_a_turn_of_the_loop(void **state)
{
    struct world *w = *state;
    struct trail trail = { 0 };
    struct trp_call *soon = take(w), *mailed = take(w);
    trp_call_push(soon, outer_done, &trail);
    trp_call_push(mailed, outer_done, &trail);
    trp_call_finish_soon(soon);
    trp_call_finish_from(mailed);
    assert_int_equal(trail.len, 0);
    turn(w);
    turn(w);
    assert_string_equal(trail.text, "oo");
}

static void only_the_first_outcome_counts(void **state)
{
    struct world *w = *state;
    static const struct row {
        bool (*first)(struct trp_call *call);
        enum trp_outcome want;
        bool raised;
    } rows[] = {
        { trp_call_try_done, TRP_OUTCOME_DONE, false },
        { trp_call_try_cancel, TRP_OUTCOME_CANCELLED, true },
        { trp_call_try_expire, TRP_OUTCOME_EXPIRED, true },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct trp_call *call = take(w);
        assert_true(rows[i].first(call));
        for (size_t k = 0; k < ARRAY_LEN(rows); k++)
            assert_false(rows[k].first(call));
        assert_int_equal(trp_oneshot_get(&call->outcome), rows[i].want);
        assert_int_equal(trp_cancel_is_raised(&call->cancel), rows[i].raised);
        give_back(call);
    }
}

static void cancelling_reaches_the_calls_below(void **state)
{
    struct world *w = *state;
    struct trp_call *parent = take(w), *child = take(w);
    trp_cancel_attach(&parent->cancel, &child->cancel);
    assert_true(trp_call_try_cancel(parent));
    assert_true(trp_cancel_is_raised(&child->cancel));
    give_back(parent); /* detaches its children */
    assert_null(child->cancel.parent);
    give_back(child);
}

/* A step of a pipeline to come: its token tells it that nobody wants it any more, and its own
 * outcome follows, once. */
static void cancel_step(struct trp_cancel *token)
{
    assert_true(trp_call_try_cancel(TRP_CONTAINER_OF(token, struct trp_call, cancel)));
}

static void a_step_hangs_below_its_parent_and_ends_with_it(void **state)
{
    struct world *w = *state;
    struct trp_call *parent = take(w), *step = take(w), *other = take(w);
    step->parent = other->parent = parent;
    step->step = 2;
    step->attempt = 1;
    trp_cancel_attach(&parent->cancel, &step->cancel);
    trp_cancel_attach(&parent->cancel, &other->cancel);
    step->cancel.on_raise = other->cancel.on_raise = cancel_step;
    assert_true(trp_call_try_done(other)); /* the fast one has answered */
    other->cancel.on_raise = NULL;
    assert_true(trp_call_try_expire(parent));
    assert_int_equal(trp_oneshot_get(&step->outcome), TRP_OUTCOME_CANCELLED);
    assert_int_equal(trp_oneshot_get(&other->outcome), TRP_OUTCOME_DONE);
    assert_false(trp_call_try_done(step));
    give_back(step);
    give_back(other);
    give_back(parent);

    struct trp_call *again = take(w); /* nothing of it is left for the next one */
    assert_null(again->parent);
    assert_int_equal(again->step + again->attempt, 0);
    assert_null(again->cancel.on_raise);
    give_back(again);
}

/* ---- one outcome, whoever comes first ---- */

#define ROUNDS 5000

struct race {
    struct trp_call *call;
    struct trp_counter round; /* which one may begin */
    struct trp_counter won[2];
};

static void finish_or_expire(void *user)
{
    struct race *r = user;
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        while (trp_counter_get(&r->round) != 2 * i - 1)
            ;
        const bool won = i % 2 ? trp_call_try_done(r->call) : trp_call_try_expire(r->call);
        trp_counter_add(&r->won[0], won);
        trp_counter_set(&r->round, 2 * i);
    }
}

static void of_an_executor_and_a_loop_exactly_one_decides(void **state)
{
    struct world *w = *state;
    struct race r = { .call = take(w) };
    struct trp_thread executor = { 0 };
    assert_false(trp_failed(trp_thread_start(&executor, "executor", finish_or_expire, &r, NULL)));
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        trp_oneshot_reset(&r.call->outcome);
        trp_flag_lower(&r.call->cancel.raised);
        const uint64_t before = trp_counter_get(&r.won[0]) + trp_counter_get(&r.won[1]);
        trp_counter_set(&r.round, 2 * i - 1);
        const bool won = trp_call_try_cancel(r.call);
        trp_counter_add(&r.won[1], won);
        while (trp_counter_get(&r.round) != 2 * i)
            ;
        assert_int_equal(trp_counter_get(&r.won[0]) + trp_counter_get(&r.won[1]), before + 1);
        assert_int_equal(won, trp_oneshot_get(&r.call->outcome) == TRP_OUTCOME_CANCELLED);
    }
    trp_thread_join(&executor);
    give_back(r.call);
}

/* ---- memory ---- */

static uint64_t taken_blocks;
static void *count_block(const struct trp_alloc *a, size_t bytes, size_t align)
{
    (void)a;
    taken_blocks++;
    return trp_heap()->alloc(trp_heap(), bytes, align);
}

static void free_block(const struct trp_alloc *a, void *block)
{
    (void)a;
    trp_heap()->free(trp_heap(), block);
}

/* With TRP_ARENA_MALLOC each piece of an arena is a block of its own, on purpose. */
static void a_call_that_takes_one_step_allocates_nothing(void **state)
{
    struct world *w = *state;
    const struct trp_alloc counting = { .alloc = count_block, .free = free_block };
    struct trp_call_pool *pool;
    struct trail trail;
    assert_false(
        trp_failed(trp_call_pool_create(&counting, w->loop, 4096, 1 << 20, 3, &pool, NULL)));
    for (int i = 0; i < 3; i++) { /* the first one makes the call and its first block */
        const uint64_t before = taken_blocks;
        struct trp_call *call = trp_call_take(pool);
        assert_non_null(call);
        call->inputs = trp_arena_zeroed(&call->arena, 2, sizeof *call->inputs);
        call->wanted = trp_arena_zeroed(&call->arena, 2, sizeof *call->wanted);
        call->outputs = trp_arena_zeroed(&call->arena, 2, sizeof *call->outputs);
        assert_true(call->inputs && call->wanted && call->outputs);
        trail = (struct trail){ 0 };
        trp_call_push(call, outer_done_of_pool, &trail);
        assert_true(trp_call_try_done(call));
        trp_call_finish_soon(call);
        turn(w);
        assert_string_equal(trail.text, "o");
#ifndef TRP_ARENA_MALLOC
        if (i > 0)
            assert_int_equal(taken_blocks, before);
#else
        (void)before;
#endif
    }
    trp_call_pool_destroy(pool);
}

static void count_release(void *user, void *data)
{
    (void)data;
    ++*(int *)user;
}

static void count_hold(void *hold, void *ptr)
{
    assert_ptr_equal(ptr, hold);
    ++*(int *)hold;
}

static int unpinned;
static void count_unpin(struct trp_target *target)
{
    assert_non_null(target);
    unpinned++;
}

static void giving_back_releases_everything_once(void **state)
{
    struct world *w = *state;
    int inputs = 0, outputs = 0, held = 0;
    struct trp_target target = { 0 }, other = { 0 };
    struct trp_call_tensor in[2] = { { .tensor = { .release = count_release,
                                                   .release_user = &inputs } },
                                     { .tensor = { .data = &inputs } } };
    struct trp_call_tensor out = { .tensor = { .release = count_release,
                                               .release_user = &outputs } };
    struct trp_wanted wanted[2] = { { .memory = &held, .hold = &held, .hold_release = count_hold },
                                    { .memory = NULL } };
    struct trp_call *call = take(w);
    call->inputs = in;
    call->inputs_n = 2;
    call->outputs = &out;
    call->outputs_n = 1;
    call->wanted = wanted;
    call->wanted_n = 2;
    unpinned = 0;
    trp_call_pin(call, &target, count_unpin);
    trp_call_pin(call, &other, count_unpin);
    assert_int_equal(unpinned, 1); /* the older pin went */
    give_back(call);
    assert_int_equal(unpinned, 2);
    assert_int_equal(inputs, 1);
    assert_int_equal(outputs, 1);
    assert_int_equal(held, 1);
}

static void a_body_goes_home_with_its_call(void **state)
{
    struct world *w = *state;
    struct trp_pool *buffers;
    assert_false(
        trp_failed(trp_pool_create(trp_heap(), &(struct trp_pool_opts){ 0 }, &buffers, NULL)));
    struct trp_call *call = take(w);
    call->body = trp_pool_acquire(buffers, 1000);
    assert_non_null(call->body);
    give_back(call);
    trp_pool_trim(buffers);
    assert_int_equal(trp_pool_leased_bytes(buffers), 0);
    trp_pool_destroy(buffers);
}

static void parameters_and_headers_are_found_by_name(void **state)
{
    struct world *w = *state;
    const struct trp_param params[] = {
        { .name = TRP_STR_LIT("a"), .kind = TRP_PARAM_INT, .v.i = 1 },
        { .name = TRP_STR_LIT("b"), .kind = TRP_PARAM_BOOL, .v.b = true },
    };
    const struct trp_header headers[] = { { TRP_STR_LIT("host"), TRP_STR_LIT("here") } };
    struct trp_call *call = take(w);
    call->params = params;
    call->params_n = 2;
    call->headers = headers;
    call->headers_n = 1;
    assert_ptr_equal(trp_call_param(call, TRP_STR_LIT("b")), &params[1]);
    assert_null(trp_call_param(call, TRP_STR_LIT("c")));
    assert_true(trp_str_is(trp_call_header(call, TRP_STR_LIT("host")), "here"));
    assert_int_equal(trp_call_header(call, TRP_STR_LIT("accept")).len, 0);
    give_back(call);
}

int main(void)
{
#define CALL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CALL_TEST(a_call_is_zero_when_taken_even_the_second_time),
        CALL_TEST(no_more_than_calls_max_are_out),
        CALL_TEST(a_pool_numbers_from_where_it_is_told),
        CALL_TEST(finish_climbs_from_the_last_pushed_to_the_first),
        CALL_TEST(finish_soon_and_finish_from_run_in_a_turn_of_the_loop),
        CALL_TEST(only_the_first_outcome_counts),
        CALL_TEST(cancelling_reaches_the_calls_below),
        CALL_TEST(a_step_hangs_below_its_parent_and_ends_with_it),
        CALL_TEST(of_an_executor_and_a_loop_exactly_one_decides),
        CALL_TEST(a_call_that_takes_one_step_allocates_nothing),
        CALL_TEST(giving_back_releases_everything_once),
        CALL_TEST(a_body_goes_home_with_its_call),
        CALL_TEST(parameters_and_headers_are_found_by_name),
    };
    return cmocka_run_group_tests_name("call", tests, NULL, NULL);
}

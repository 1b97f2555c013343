/* Runs that never fit as a whole: done in parts by rows, joined in order.  Real threads, models
 * that hold so much for each row. */
#include "unit/exec/books_fixture.h"

#define IO "input x FP32 [-1]\noutput y FP32 [-1]\n"
#define ROW_4_MIB IO "holds_row 4194304\n"
#define ROWS 64u

static struct world w;
static struct trp_exec *x;
static struct books books;

static int set_up(void **state)
{
    (void)state;
    make_world(&w, trp_clock_system());
    make_books(&books, 0);
    x = start_exec_with(&w, &books,
                        &(struct trp_exec_opts){ .executors_n = 2, .room_wait_ns = TRP_S(60) });
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    end_world_with(&w, x, &books);
    return 0;
}

static struct trp_version *make_model(const char *script, int32_t batch_max)
{
    struct trp_version *v = make_version(&w, script, x);
    v->signature.batch_max = batch_max;
    return v;
}

static struct trp_call *start(struct trp_version *v, uint32_t rows)
{
    struct trp_call *call = make_call_of(&w, v, rows);
    trp_target_start(&v->target, call);
    return call;
}

/* Some 30 s without anything coming back is a failure. */
static void turn_until(uint32_t n)
{
    for (int idle = 0; w.finished_n < n; idle++) {
        assert_true(idle < 600);
        turn_loop(&w, TRP_MS(50));
    }
}

static void check_echo(const struct trp_call *call, uint32_t rows)
{
    print_message("%s\n", call->error.text);
    assert_int_equal(call->error.status.code, TRP_OK);
    assert_int_equal(call->outputs_n, 1);
    assert_int_equal(call->outputs[0].tensor.shape[0], rows);
    assert_int_equal(call->outputs[0].tensor.bytes, 4 * rows);
    assert_memory_equal(call->outputs[0].tensor.data, call->inputs[0].tensor.data, 4 * rows);
}

static int64_t splits(void)
{
    return trp_metrics_get(w.metrics, TRP_METRIC_RUNS_SPLIT);
}

static void a_batch_that_never_fits_is_done_in_parts_and_joined_in_order(void **state)
{
    (void)state;
    struct trp_version *v = make_model(ROW_4_MIB, 64);
    for (uint32_t i = 0; i < 3; i++) {
        const struct trp_call *call = start(v, i == 1 ? ROWS - 1 : ROWS); /* odd ones as well */
        turn_until(i + 1);
        check_echo(call, i == 1 ? ROWS - 1 : ROWS);
        assert_int_equal(splits(), i + 1);
    }
    assert_true(trp_counter_get(&v->activations.peak) <= 100 * MIB);
    assert_int_equal(trp_counter_get(&v->stats->inference_count), 3 * ROWS - 1);
    assert_int_equal(trp_gauge_get(&v->stats->in_flight), 0);
    assert_int_equal(trp_call_pool_out(w.pool), 3);
}

static void what_is_learned_of_parts_serves_the_next_one(void **state)
{
    (void)state;
    struct trp_version *v = make_model(ROW_4_MIB, 64);
    start(v, ROWS);
    turn_until(1);
    const uint64_t before = trp_counter_get(&v->stats->execution_count);
    start(v, ROWS);
    turn_until(2);
    check_echo(w.finished[1], ROWS);
    assert_int_equal(trp_counter_get(&v->stats->execution_count) - before, 4); /* of 16 rows */
}

static void without_the_promise_that_rows_are_apart_it_is_refused(void **state)
{
    (void)state;
    start(make_model(ROW_4_MIB, 0), ROWS);
    turn_until(1);
    assert_int_equal(w.finished[0]->error.status.code, TRP_OVER_BUDGET);
    assert_non_null(strstr(w.finished[0]->error.text, "needs 268435456 bytes; at most 104857600"));
    assert_int_equal(splits(), 0);
}

static void rows_that_were_found_to_be_apart_are_as_good_as_that_promise(void **state)
{
    (void)state;
    struct trp_company company = { .ask = NULL };
    struct trp_version *v = make_model(ROW_4_MIB, 0);
    trp_gauge_set(&company.rows_max, 64);
    v->company = &company;
    const struct trp_call *call = start(v, ROWS);
    turn_until(1);
    check_echo(call, ROWS);
    assert_int_equal(splits(), 1);
    trp_call_give_back(w.finished[0]);
    w.finished_n = 0;
    v->company = NULL;
}

static void a_single_row_that_never_fits_is_refused_with_its_numbers(void **state)
{
    (void)state;
    start(make_model(IO "holds_row 209715200\n", 64), 4);
    turn_until(1);
    assert_int_equal(w.finished[0]->error.status.code, TRP_OVER_BUDGET);
    assert_non_null(strstr(w.finished[0]->error.text, "needs 209715200 bytes; at most 104857600"));
}

static void outputs_without_a_row_for_each_row_cannot_be_joined(void **state)
{
    (void)state;
    start(make_model(ROW_4_MIB "grow 2\n", 64), ROWS);
    turn_until(1);
    assert_int_equal(w.finished[0]->error.status.code, TRP_OVER_BUDGET);
    assert_non_null(strstr(w.finished[0]->error.text, "output 'y' has no row for each row"));
}

static void a_part_that_fails_fails_the_call(void **state)
{
    (void)state;
    start(make_model(ROW_4_MIB "fail BACKEND_FAILED the fan stopped\nfail_every 3\n", 64), ROWS);
    turn_until(1);
    assert_int_equal(w.finished[0]->error.status.code, TRP_BACKEND_FAILED);
    assert_non_null(strstr(w.finished[0]->error.text, "model 'm/1': the fan stopped"));
    assert_int_equal(splits(), 0);
}

static void outputs_go_where_the_client_wants_them(void **state)
{
    (void)state;
    static float region[ROWS + 1];
    struct trp_version *v = make_model(ROW_4_MIB, 64);
    for (uint32_t i = 0; i < 2; i++) {
        struct trp_call *call = make_call_of(&w, v, ROWS);
        call->wanted[0].memory = region;
        call->wanted[0].memory_bytes = i == 0 ? sizeof region : sizeof region - 8;
        trp_target_start(&v->target, call);
        turn_until(i + 1);
    }
    check_echo(w.finished[0], ROWS);
    assert_ptr_equal(w.finished[0]->outputs[0].tensor.data, region);
    assert_int_equal(w.finished[1]->error.status.code, TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(w.finished[1]->error.text, "needs 256 bytes, region has 252"));
}

static void parts_wait_for_room_like_any_run_and_can_be_cancelled(void **state)
{
    (void)state;
    struct trp_hold load = { .is_committed = false };
    struct trp_version *v = make_model(ROW_4_MIB, 64);
    trp_headroom_learn(books.headrooms, &v->headroom, &v->activations, 4, 4 * MIB);
    assert_int_equal(trp_ledger_reserve(books.ledger, (struct trp_amounts){ { 90 * MIB } }, &load),
                     TRP_RESERVE_DONE);
    struct trp_call *waits = start(v, ROWS), *leaves = start(v, ROWS);
    for (int i = 0; i < 600 && trp_metrics_get(w.metrics, TRP_METRIC_RUNS_SHORT) == 0; i++)
        turn_loop(&w, TRP_MS(50));
    assert_int_equal(w.finished_n, 0);
    assert_true(trp_call_try_cancel(leaves));
    trp_exec_cancel_call(&v->target, leaves);
    turn_until(1);
    assert_ptr_equal(w.finished[0], leaves);
    assert_int_equal(leaves->error.status.code, TRP_CANCELLED);
    trp_ledger_release(books.ledger, &load);
    turn_until(2);
    check_echo(waits, ROWS);
}

int main(void)
{
#define SPLIT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        SPLIT_TEST(a_batch_that_never_fits_is_done_in_parts_and_joined_in_order),
        SPLIT_TEST(what_is_learned_of_parts_serves_the_next_one),
        SPLIT_TEST(without_the_promise_that_rows_are_apart_it_is_refused),
        SPLIT_TEST(rows_that_were_found_to_be_apart_are_as_good_as_that_promise),
        SPLIT_TEST(a_single_row_that_never_fits_is_refused_with_its_numbers),
        SPLIT_TEST(outputs_without_a_row_for_each_row_cannot_be_joined),
        SPLIT_TEST(a_part_that_fails_fails_the_call),
        SPLIT_TEST(outputs_go_where_the_client_wants_them),
        SPLIT_TEST(parts_wait_for_room_like_any_run_and_can_be_cancelled),
    };
    return cmocka_run_group_tests_name("split", tests, NULL, NULL);
}

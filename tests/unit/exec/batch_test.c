/* Several calls that run together: who meets, what each gets, and what becomes of those whose batch
 * fails.  Real threads, but one executor only, which is kept busy while calls gather. */
#include "unit/exec/exec_fixture.h"

#define ROWS "input x FP32 [-1,2]\noutput y FP32 [-1,2]\n"
#define WIDE "input x FP32 [-1,-1]\noutput y FP32 [-1,-1]\n"
#define TEXTS "input x BYTES [-1]\noutput y BYTES [-1]\n"

static struct world w;
static struct trp_exec *x;
static struct trp_version *gate; /* a model whose run keeps the executor until it is opened */
static struct trp_call *in_gate;

static int set_up_for(int64_t inline_run_ns)
{
    make_world(&w, trp_clock_system());
    const struct trp_exec_opts opts = { .executors_n = 1,
                                        .loops_n = 1,
                                        .inline_run_ns = inline_run_ns,
                                        .inline_turn_ns = TRP_S(10),
                                        .queue_max = 200,
                                        .model_queue_max = 200,
                                        .clock = trp_clock_system(),
                                        .metrics = w.metrics };
    x = start_exec(&w, &opts);
    in_gate = NULL;
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    return set_up_for(0);
}

/* Known short runs stay on the loop. */
static int set_up_here(void **state)
{
    (void)state;
    return set_up_for(TRP_S(1));
}

static int tear_down(void **state)
{
    (void)state;
    end_world(&w, x);
    return 0;
}

static int64_t metric(enum trp_metric id)
{
    return trp_metrics_get(w.metrics, id);
}

static struct trp_version *make_batched_on(const char *script, uint32_t devices_n)
{
    static struct trp_company companies[VERSIONS_MAX];
    struct trp_company *c = &companies[w.versions_n];
    struct trp_version *v = make_version_on(&w, script, x, devices_n);
    *c = (struct trp_company){ .ask = NULL };
    trp_gauge_set(&c->rows_max, 8);
    v->company = c;
    v->config.batching = TRP_BATCHING_ON; /* whatever it costs */
    return v;
}

static struct trp_version *make_batched(const char *script)
{
    return make_batched_on(script, 0);
}

/* The executor is busy until open_gate(). */
static void close_gate(void)
{
    gate = make_version(&w, "input x FP32 [-1]\noutput y FP32 [-1]\nsleep 60s\n", x);
    in_gate = make_call(&w, gate);
    trp_target_start(&gate->target, in_gate);
    while (trp_counter_get(&gate->stats->execution_count) == 0)
        turn_loop(&w, TRP_MS(1));
}

/* ... and by now everything that was started waits. */
static void open_gate(void)
{
    turn_loop(&w, 0);
    assert_true(trp_call_try_cancel(in_gate));
    trp_exec_cancel_call(&gate->target, in_gate);
}

static struct trp_call *make_rows(struct trp_version *v, int64_t rows, int64_t columns, float first)
{
    struct trp_call *call = trp_call_take(w.pool);
    struct trp_error err = { 0 };
    assert_non_null(call);
    const uint64_t n = (uint64_t)(rows * columns);
    float *values = trp_arena_get(&call->arena, n * sizeof *values + 1);
    assert_non_null(values);
    for (uint64_t i = 0; i < n; i++)
        values[i] = first + (float)i;
    call->inputs = trp_arena_zeroed(&call->arena, 1, sizeof *call->inputs);
    assert_non_null(call->inputs);
    call->inputs_n = 1;
    call->inputs[0].name = v->signature.inputs[0].name;
    call->inputs[0].tensor = (struct troupe_tensor){ .dtype = TROUPE_FP32,
                                                     .rank = 2,
                                                     .shape = { rows, columns },
                                                     .data = values,
                                                     .bytes = n * sizeof *values };
    trp_version_ref(v);
    trp_call_pin(call, &v->target, trp_version_release_target);
    if (trp_failed(trp_call_bind(call, &v->signature, &err)))
        fail_msg("%s", err.text);
    trp_call_push(call, keep_finished, &w);
    return call;
}

static struct trp_call *start(struct trp_call *call)
{
    trp_target_start(call->target, call);
    return call;
}

static void assert_echoed(const struct trp_call *call)
{
    const struct troupe_tensor *in = &call->inputs[0].tensor;
    assert_int_equal(call->error.status.code, TRP_OK);
    assert_int_equal(trp_oneshot_get(&call->outcome), TRP_OUTCOME_DONE);
    assert_int_equal(call->outputs_n, 1);
    const struct troupe_tensor *out = &call->outputs[0].tensor;
    assert_int_equal(out->rank, in->rank);
    assert_memory_equal(out->shape, in->shape, in->rank * sizeof *in->shape);
    assert_int_equal(out->bytes, in->bytes);
    if (in->bytes)
        assert_memory_equal(out->data, in->data, in->bytes);
}

static void give_all_back(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        trp_call_give_back(w.finished[i]);
        w.finished[i] = NULL;
    }
}

static void calls_that_wait_run_together_and_each_gets_its_rows(void **state)
{
    (void)state;
    struct trp_version *v = make_batched(ROWS);
    struct trp_call *calls[4];
    close_gate();
    for (int i = 0; i < 4; i++)
        calls[i] = start(make_rows(v, 1 + i % 2, 2, 100.0F * (float)i));
    open_gate();
    turn_until_finished(&w, 5);
    for (int i = 0; i < 4; i++)
        assert_echoed(calls[i]);
    const struct trp_stats *s = v->stats;
    assert_int_equal(trp_counter_get(&s->execution_count), 1);
    assert_int_equal(trp_counter_get(&s->inference_count), 4);
    assert_int_equal(trp_counter_get(&s->queue.count), 4);
    assert_int_equal(trp_counter_get(&s->compute_infer.count), 4);
    assert_int_equal(trp_counter_get(&s->batches[0].compute_infer.count), 1);
    assert_int_equal(trp_counter_get(&s->batches[0].size), 6);
    assert_int_equal(trp_gauge_get(&s->in_flight), 0);
    assert_int_equal(trp_gauge_get(&s->queued), 0);
    assert_int_equal(metric(TRP_METRIC_BATCHES), 1);
    assert_int_equal(metric(TRP_METRIC_BATCHED_CALLS), 4);
}

static void a_batch_runs_on_the_device_of_its_slot(void **state)
{
    (void)state;
    struct trp_version *v = make_batched_on(ROWS "device where\n", 2);
    struct trp_slot_groups *g = (struct trp_slot_groups *)(uintptr_t)v->config.groups;
    struct trp_call *calls[3];
    g->groups[0].device = 1; /* the first slot that is taken */
    close_gate();
    for (int i = 0; i < 3; i++)
        calls[i] = start(make_rows(v, 2, 2, (float)i));
    open_gate();
    turn_until_finished(&w, 4);
    assert_int_equal(trp_counter_get(&v->stats->execution_count), 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(calls[i]->error.status.code, TRP_OK);
        const int32_t *where = calls[i]->outputs[1].tensor.data;
        assert_int_equal(calls[i]->outputs[1].tensor.shape[0], 2);
        assert_int_equal(where[0], 1);
        assert_int_equal(where[1], 1);
    }
}

static void a_batch_has_no_more_rows_than_it_may(void **state)
{
    (void)state;
    struct trp_version *v = make_batched(ROWS);
    struct trp_call *calls[11];
    v->signature.batch_max = 8;
    close_gate();
    for (int i = 0; i < 11; i++)
        calls[i] = start(make_rows(v, 3, 2, (float)i));
    open_gate();
    turn_until_finished(&w, 12);
    for (int i = 0; i < 11; i++)
        assert_echoed(calls[i]);
    assert_int_equal(trp_counter_get(&v->stats->execution_count), 6); /* two at a time */
    assert_int_equal(trp_counter_get(&v->stats->inference_count), 33);
}

static void unlike_shapes_and_sequences_never_meet(void **state)
{
    (void)state;
    struct trp_version *v = make_batched(WIDE);
    struct trp_call *calls[6];
    close_gate();
    for (int i = 0; i < 4; i++)
        calls[i] = start(make_rows(v, 1, 2 + i % 2, (float)i));
    calls[4] = make_rows(v, 1, 2, 50);
    calls[4]->sequence_number = 7;
    start(calls[4]);
    calls[5] = start(make_rows(v, 0, 2, 0)); /* no row */
    open_gate();
    turn_until_finished(&w, 7);
    for (int i = 0; i < 6; i++)
        assert_echoed(calls[i]);
    assert_int_equal(trp_counter_get(&v->stats->execution_count), 4);
    assert_int_equal(metric(TRP_METRIC_BATCHES), 2);
}

static void calls_whose_keys_happen_to_be_one_are_told_apart(void **state)
{
    (void)state;
    struct trp_version *v = make_batched(WIDE);
    struct trp_call *calls[4];
    close_gate();
    for (int i = 0; i < 4; i++) {
        calls[i] = start(make_rows(v, 1, 2 + i % 2, (float)i));
        calls[i]->batch_key = calls[0]->batch_key;
    }
    open_gate();
    turn_until_finished(&w, 5);
    for (int i = 0; i < 4; i++)
        assert_echoed(calls[i]);
}

static struct trp_call *make_text(struct trp_version *v, const char *text)
{
    struct trp_call *call = trp_call_take(w.pool);
    const uint32_t length = (uint32_t)strlen(text);
    char *raw = trp_arena_get(&call->arena, sizeof length + length);
    assert_non_null(raw);
    memcpy(raw, &length, sizeof length);
    memcpy(raw + sizeof length, text, length);
    call->inputs = trp_arena_zeroed(&call->arena, 1, sizeof *call->inputs);
    assert_non_null(call->inputs);
    call->inputs_n = 1;
    call->inputs[0].name = v->signature.inputs[0].name;
    call->inputs[0].tensor = (struct troupe_tensor){ .dtype = TROUPE_BYTES,
                                                     .rank = 1,
                                                     .shape = { 1 },
                                                     .data = raw,
                                                     .bytes = sizeof length + length };
    trp_version_ref(v);
    trp_call_pin(call, &v->target, trp_version_release_target);
    assert_false(trp_failed(trp_call_bind(call, &v->signature, NULL)));
    trp_call_push(call, keep_finished, &w);
    return call;
}

static void strings_are_joined_with_their_lengths(void **state)
{
    (void)state;
    static const char *const texts[] = { "one", "", "three of them" };
    struct trp_version *v = make_batched(TEXTS);
    struct trp_call *calls[3];
    close_gate();
    for (int i = 0; i < 3; i++)
        calls[i] = start(make_text(v, texts[i]));
    open_gate();
    turn_until_finished(&w, 4);
    for (int i = 0; i < 3; i++)
        assert_echoed(calls[i]);
    assert_int_equal(trp_counter_get(&v->stats->execution_count), 1);
}

static void those_whose_batch_fails_are_run_alone(void **state)
{
    (void)state;
    struct trp_version *v =
        make_batched(ROWS "fail_every 2\nfail BACKEND_FAILED the fan stopped\n");
    start(make_rows(v, 1, 2, 0)); /* the first run is well; the batch is the second */
    turn_until_finished(&w, 1);
    struct trp_call *calls[3];
    close_gate();
    for (int i = 0; i < 3; i++)
        calls[i] = start(make_rows(v, 1, 2, (float)i));
    open_gate();
    turn_until_finished(&w, 5);
    int failed = 0;
    for (int i = 0; i < 3; i++) {
        failed += calls[i]->error.status.code == TRP_BACKEND_FAILED;
        if (calls[i]->error.status.code == TRP_OK)
            assert_echoed(calls[i]);
    }
    assert_int_equal(failed, 1); /* of the runs 3, 4 and 5 the even one */
    assert_int_equal(trp_counter_get(&v->stats->execution_count), 5);
    assert_int_equal(metric(TRP_METRIC_BATCHES_FAILED), 1);
    assert_int_equal(trp_gauge_get(&v->stats->in_flight), 0);
}

static void rows_that_are_not_those_of_the_calls_end_batching(void **state)
{
    (void)state;
    struct trp_version *v = make_batched(ROWS "grow 2\n");
    struct trp_call *calls[3];
    close_gate();
    for (int i = 0; i < 3; i++)
        calls[i] = start(make_rows(v, 1, 2, (float)i));
    open_gate();
    turn_until_finished(&w, 4);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(calls[i]->error.status.code, TRP_OK);
        assert_int_equal(calls[i]->outputs[0].tensor.shape[0], 2);
    }
    assert_int_equal(trp_gauge_get(&v->company->rows_max), 0);
    assert_int_equal(metric(TRP_METRIC_BATCHES_BROKEN), 1);
    give_all_back(4);
    assert_int_equal(trp_counter_get(&v->activations.bytes), 0);
}

static void cancelled_ones_leave_before_the_run(void **state)
{
    (void)state;
    struct trp_version *v = make_batched(ROWS);
    struct trp_call *calls[3];
    close_gate();
    for (int i = 0; i < 3; i++)
        calls[i] = start(make_rows(v, 1, 2, (float)i));
    turn_loop(&w, 0);
    assert_true(trp_call_try_cancel(calls[1])); /* and nobody tells: it is found when it is taken */
    open_gate();
    turn_until_finished(&w, 4);
    assert_echoed(calls[0]);
    assert_int_equal(calls[1]->error.status.code, TRP_CANCELLED);
    assert_echoed(calls[2]);
    assert_int_equal(trp_counter_get(&v->stats->batches[0].size), 2);
}

static void a_run_is_stopped_when_the_last_of_its_calls_is_cancelled(void **state)
{
    (void)state;
    struct trp_version *v = make_batched(ROWS "sleep 60s\n");
    struct trp_call *calls[2];
    close_gate();
    for (int i = 0; i < 2; i++)
        calls[i] = start(make_rows(v, 1, 2, (float)i));
    open_gate();
    while (trp_counter_get(&v->stats->execution_count) == 0)
        turn_loop(&w, TRP_MS(1));
    const uint32_t before = w.finished_n;
    assert_true(trp_call_try_cancel(calls[0]));
    trp_exec_cancel_call(&v->target, calls[0]);
    turn_loop(&w, TRP_MS(1));
    assert_true(w.finished_n <= before + 1); /* the gate's, perhaps: the batch goes on */
    assert_true(trp_call_try_cancel(calls[1]));
    trp_exec_cancel_call(&v->target, calls[1]);
    turn_until_finished(&w, 3);
    for (int i = 0; i < 2; i++)
        assert_int_equal(calls[i]->error.status.code, TRP_CANCELLED);
    assert_int_equal(metric(TRP_METRIC_BATCHES_FAILED), 0);
}

static void calls_of_a_run_that_was_stopped_do_not_wait_behind_others(void **state)
{
    (void)state;
    struct trp_version *v = make_batched(ROWS "sleep 60s\n"),
                       *other = make_batched(ROWS "sleep 60s\n");
    struct trp_call *calls[3];
    close_gate();
    for (int i = 0; i < 2; i++)
        calls[i] = start(make_rows(v, 1, 2, (float)i));
    open_gate();
    while (trp_counter_get(&v->stats->execution_count) == 0)
        turn_loop(&w, TRP_MS(1));
    calls[2] = make_rows(other, 1, 2, 0);
    calls[2]->priority_class = TRP_PRIORITY_INTERACTIVE; /* it is next, for a minute */
    start(calls[2]);
    turn_loop(&w, 0);
    for (int i = 0; i < 2; i++) {
        assert_true(trp_call_try_cancel(calls[i]));
        trp_exec_cancel_call(&v->target, calls[i]);
    }
    turn_until_finished(&w, 3); /* with the gate's */
    for (int i = 0; i < 2; i++)
        assert_int_equal(calls[i]->error.status.code, TRP_CANCELLED);
    assert_true(trp_call_try_cancel(calls[2]));
    trp_exec_cancel_call(&other->target, calls[2]);
    turn_until_finished(&w, 4);
}

/* A shape of no elements may have any number of rows, and costs its sender nothing. */
static void any_number_of_rows_is_run(void **state)
{
    (void)state;
    struct trp_version *v = make_batched(WIDE);
    static const int64_t rows[] = { INT64_C(1) << 31, INT64_C(1) << 31, 1, UINT32_MAX,
                                    INT64_C(1) << 40 };
    struct trp_call *calls[ARRAY_LEN(rows)];
    close_gate();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        calls[i] = start(make_rows(v, rows[i], 0, 0));
    open_gate();
    turn_until_finished(&w, 1 + ARRAY_LEN(rows));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_echoed(calls[i]);
    assert_int_equal(metric(TRP_METRIC_BATCHES), 0);
}

static void outputs_go_into_the_memory_that_was_given(void **state)
{
    (void)state;
    struct trp_version *v = make_batched(ROWS);
    float room[2] = { 0 }, little[1];
    close_gate();
    struct trp_call *calls[3];
    for (int i = 0; i < 3; i++)
        calls[i] = make_rows(v, 1, 2, 10.0F * (float)i);
    calls[1]->wanted[0].memory = room;
    calls[1]->wanted[0].memory_bytes = sizeof room;
    calls[2]->wanted[0].memory = little;
    calls[2]->wanted[0].memory_bytes = sizeof little;
    for (int i = 0; i < 3; i++)
        start(calls[i]);
    open_gate();
    turn_until_finished(&w, 4);
    assert_echoed(calls[0]);
    assert_echoed(calls[1]);
    assert_ptr_equal(calls[1]->outputs[0].tensor.data, room);
    assert_int_equal(calls[2]->error.status.code, TRP_INVALID_ARGUMENT); /* its own fault only */
    assert_int_equal(trp_counter_get(&v->stats->execution_count), 1);
}

static void nothing_is_held_when_all_answers_were_given_back(void **state)
{
    (void)state;
    struct trp_version *v = make_batched(ROWS);
    close_gate();
    for (int i = 0; i < 6; i++)
        start(make_rows(v, 1, 2, (float)i));
    open_gate();
    turn_until_finished(&w, 7);
    assert_true(trp_counter_get(&v->activations.bytes) > 0); /* views of what was gathered */
    give_all_back(7);
    assert_int_equal(trp_counter_get(&v->activations.bytes), 0);
}

static void make_tiny(struct trp_version *v)
{
    trp_gauge_set(&v->stats->run_ns, TRP_US(1));
    trp_gauge_set(&v->stats->run_bytes, 8);
}

static void tiny_ones_of_one_turn_run_together_on_the_loop(void **state)
{
    (void)state;
    struct trp_version *v = make_batched(WIDE);
    struct trp_call *calls[6];
    make_tiny(v);
    for (int i = 0; i < 6; i++)
        calls[i] = start(make_rows(v, 1, 2 + i % 2, (float)i));
    turn_until_finished(&w, 6);
    for (int i = 0; i < 6; i++)
        assert_echoed(calls[i]);
    assert_int_equal(metric(TRP_METRIC_INLINE_RUNS), 2);
    assert_int_equal(metric(TRP_METRIC_EXECUTOR_RUNS), 0);
    assert_int_equal(metric(TRP_METRIC_BATCHED_CALLS), 6);
    assert_int_equal(trp_gauge_get(&v->stats->in_flight), 0);
    assert_true(trp_gauge_get(&v->company->share_ns) > 0);
}

static void late_and_cancelled_ones_do_not_run_on_the_loop(void **state)
{
    (void)state;
    struct trp_version *v = make_batched(ROWS);
    struct trp_call *calls[6];
    make_tiny(v);
    for (int i = 0; i < 6; i++) {
        calls[i] = make_rows(v, 1, 2, (float)i);
        if (i % 3 == 0)
            calls[i]->deadline_ns = trp_loop_now_ns(w.loop); /* now */
        start(calls[i]);
    }
    assert_true(trp_call_try_cancel(calls[4]));
    turn_until_finished(&w, 6);
    for (int i = 0; i < 6; i++) {
        const int32_t want = i % 3 == 0 ? TRP_DEADLINE_EXCEEDED : i == 4 ? TRP_CANCELLED : TRP_OK;
        assert_int_equal(calls[i]->error.status.code, want);
    }
    assert_int_equal(metric(TRP_METRIC_BATCHED_CALLS), 3);
    assert_int_equal(trp_gauge_get(&v->stats->in_flight), 0);
}

static void those_whose_batch_fails_on_the_loop_go_to_executors_alone(void **state)
{
    (void)state;
    struct trp_version *v = make_batched(ROWS "grow 2\n");
    struct trp_call *calls[3];
    make_tiny(v);
    for (int i = 0; i < 3; i++)
        calls[i] = start(make_rows(v, 1, 2, (float)i));
    turn_until_finished(&w, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(calls[i]->error.status.code, TRP_OK);
    assert_int_equal(metric(TRP_METRIC_INLINE_RUNS), 1);
    assert_int_equal(metric(TRP_METRIC_EXECUTOR_RUNS), 3);
    assert_int_equal(trp_gauge_get(&v->company->rows_max), 0);
}

static int asked;
static void ask(struct trp_version *v)
{
    (void)v;
    asked++;
}

static void whoever_can_find_out_is_asked_once_when_two_wait_together(void **state)
{
    (void)state;
    struct trp_version *v = make_batched(ROWS);
    trp_gauge_set(&v->company->rows_max, 0);
    v->company->ask = ask;
    asked = 0;
    make_tiny(v);
    start(make_rows(v, 1, 2, 0));
    turn_until_finished(&w, 1);
    assert_int_equal(asked, 0); /* nobody was with it */
    for (int i = 0; i < 4; i++)
        start(make_rows(v, 1, 2, (float)i));
    turn_until_finished(&w, 5);
    assert_int_equal(asked, 1);
    assert_int_equal(metric(TRP_METRIC_BATCHES), 0);
}

int main(void)
{
#define TEST_HERE(f) cmocka_unit_test_setup_teardown(f, set_up_here, tear_down)
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(calls_that_wait_run_together_and_each_gets_its_rows),
        TEST(a_batch_runs_on_the_device_of_its_slot),
        TEST(a_batch_has_no_more_rows_than_it_may),
        TEST(unlike_shapes_and_sequences_never_meet),
        TEST(calls_whose_keys_happen_to_be_one_are_told_apart),
        TEST(strings_are_joined_with_their_lengths),
        TEST(those_whose_batch_fails_are_run_alone),
        TEST(rows_that_are_not_those_of_the_calls_end_batching),
        TEST(cancelled_ones_leave_before_the_run),
        TEST(a_run_is_stopped_when_the_last_of_its_calls_is_cancelled),
        TEST(calls_of_a_run_that_was_stopped_do_not_wait_behind_others),
        TEST(any_number_of_rows_is_run),
        TEST(outputs_go_into_the_memory_that_was_given),
        TEST(nothing_is_held_when_all_answers_were_given_back),
        TEST_HERE(tiny_ones_of_one_turn_run_together_on_the_loop),
        TEST_HERE(late_and_cancelled_ones_do_not_run_on_the_loop),
        TEST_HERE(those_whose_batch_fails_on_the_loop_go_to_executors_alone),
        TEST_HERE(whoever_can_find_out_is_asked_once_when_two_wait_together),
    };
    return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}

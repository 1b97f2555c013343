/* One run: what it stamps, counts and learns, where outputs go, and what each failure says.  Time
 * is a fake clock that moves 10 us with every look. */
#include "unit/exec/exec_fixture.h"

#define X_ONLY "input x FP32 [-1]\noutput y FP32 [-1]\n"

static struct world w;
static struct trp_run_place here;

static int set_up(void **state)
{
    (void)state;
    make_world(&w, NULL);
    w.time.step_ns = TRP_US(10);
    here = (struct trp_run_place){ .clock = &w.time.clock,
                                   .metrics = trp_metrics_shard(w.metrics, 0),
                                   .runs = TRP_METRIC_INLINE_RUNS };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    drop_world(&w);
    return 0;
}

static struct trp_call *run(struct trp_call *call)
{
    trp_gauge_add(&trp_version_of(call->target)->stats->in_flight, 1); /* as its start would have */
    call->stamps_ns[TRP_PHASE_QUEUED] = w.time.now_ns - TRP_US(5);
    trp_run_call(&here, call, w.time.now_ns);
    trp_call_finish(call);
    return call;
}

static void stamps_phases_and_counts_them(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    const struct trp_call *call = run(make_call(&w, v));
    assert_int_equal(call->error.status.code, TRP_OK);
    assert_int_equal(call->outputs_n, 1);
    assert_true(trp_str_is(call->outputs[0].name, "y"));
    assert_int_equal(call->outputs[0].tensor.bytes, 16);
    assert_memory_equal(call->outputs[0].tensor.data, call->inputs[0].tensor.data, 16);
    assert_ptr_equal(call->outputs[0].account, &v->activations.alloc);
    assert_int_equal(trp_oneshot_get(&call->outcome), TRP_OUTCOME_DONE);
    const struct trp_stats *s = v->stats;
    assert_int_equal(trp_counter_get(&s->execution_count), 1);
    assert_int_equal(trp_counter_get(&s->inference_count), 1);
    assert_int_equal(trp_counter_get(&s->queue.ns), TRP_US(5));
    assert_int_equal(trp_counter_get(&s->compute_input.ns), TRP_US(10));
    assert_int_equal(trp_counter_get(&s->compute_infer.ns), TRP_US(10));
    assert_int_equal(trp_counter_get(&s->compute_output.ns), TRP_US(10));
    assert_int_equal(trp_counter_get(&s->batches[0].size), 1);
    assert_int_equal(trp_gauge_get(&s->run_ns), TRP_US(10));
    assert_int_equal(trp_gauge_get(&s->run_bytes), 16);
    assert_int_equal(trp_gauge_get(&s->in_flight), 0);
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_INLINE_RUNS), 1);
}

static void a_batch_counts_its_rows(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    v->signature.batch_max = 8;
    run(make_call_of(&w, v, 6));
    assert_int_equal(trp_counter_get(&v->stats->inference_count), 6);
    assert_int_equal(trp_counter_get(&v->stats->execution_count), 1);
    assert_int_equal(trp_counter_get(&v->stats->batches[0].size), 6);
}

static void a_failing_backend_is_named_with_its_model(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY "fail BACKEND_FAILED the fan stopped\n", NULL);
    const struct trp_call *call = run(make_call(&w, v));
    assert_int_equal(call->error.status.code, TRP_BACKEND_FAILED);
    assert_non_null(strstr(call->error.text, "model 'm/1'"));
    assert_non_null(strstr(call->error.text, "the fan stopped"));
    assert_int_equal(call->outputs_n, 0);
    assert_int_equal(trp_counter_get(&v->stats->execution_count), 1);
    assert_int_equal(trp_counter_get(&v->stats->inference_count), 0);
    assert_int_equal(trp_gauge_get(&v->stats->run_ns), 0);
}

static void what_nobody_wants_is_not_run(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    struct trp_call *cancelled = make_call(&w, v), *late = make_call(&w, v);
    assert_true(trp_call_try_cancel(cancelled));
    run(cancelled);
    assert_int_equal(cancelled->error.status.code, TRP_CANCELLED);
    late->deadline_ns = w.time.now_ns;
    run(late);
    assert_int_equal(late->error.status.code, TRP_DEADLINE_EXCEEDED);
    assert_string_equal(late->error.text, "Request timeout expired");
    assert_int_equal(trp_counter_get(&v->stats->execution_count), 0);
}

static void outputs_are_written_where_the_client_wants_them(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    float region[4] = { 0 };
    struct trp_call *call = make_call(&w, v);
    call->wanted[0].memory = region;
    call->wanted[0].memory_bytes = sizeof region;
    call->wanted[0].region = TRP_STR_LIT("r");
    call->wanted[0].region_offset = 8;
    call->wanted[0].region_bytes = sizeof region;
    run(call);
    assert_int_equal(call->error.status.code, TRP_OK);
    assert_ptr_equal(call->outputs[0].tensor.data, region);
    assert_true(region[3] == 3.0f);
    assert_true(trp_str_is(call->outputs[0].region, "r"));
    assert_int_equal(call->outputs[0].region_offset, 8);
}

static void too_small_a_region_is_said_with_both_sizes(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    float region[2] = { 0 };
    struct trp_call *call = make_call(&w, v);
    call->wanted[0].memory = region;
    call->wanted[0].memory_bytes = sizeof region;
    run(call);
    assert_int_equal(call->error.status.code, TRP_INVALID_ARGUMENT);
    assert_string_equal(call->error.text,
                        "shared memory region too small: output 'y' needs 16 bytes, region has 8");
}

static void shapes_are_given_as_the_file_wants_and_returned_as_clients_see(void **state)
{
    (void)state;
    struct trp_version *v =
        make_version(&w, "input x FP32 [-1,2,1]\noutput y FP32 [-1,2,1]\n", NULL);
    /* the configuration says dims [ 4 ], reshape { shape [ -1, 2, 1 ] } */
    static const struct trp_io in = {
        .name = { "x", 1 }, .dtype = TROUPE_FP32, .rank = 1, .dims = { 4 }
    };
    static const struct trp_io out = {
        .name = { "y", 1 }, .dtype = TROUPE_FP32, .rank = 1, .dims = { 4 }
    };
    v->signature.inputs = &in;
    v->signature.outputs = &out;
    const struct trp_call *call = run(make_call(&w, v));
    assert_int_equal(call->error.status.code, TRP_OK);
    assert_int_equal(call->outputs[0].tensor.rank, 1);
    assert_int_equal(call->outputs[0].tensor.shape[0], 4);
    assert_int_equal(call->inputs[0].tensor.rank, 1); /* the call's own view is untouched */
}

static void only_the_wanted_outputs_come_in_their_order(void **state)
{
    (void)state;
    struct trp_version *v = make_version(
        &w, "input x FP32 [-1]\ninput z FP32 [-1] optional\noutput a FP32 [-1]\n", NULL);
    struct trp_call *call = run(make_call(&w, v));
    assert_int_equal(call->error.status.code, TRP_OK);
    assert_int_equal(call->inputs_n, 2);
    assert_null(call->inputs[1].tensor.data);
    assert_true(trp_str_is(call->outputs[0].name, "a"));
}

/* The configuration lists two of the file's three outputs, the other way round. */
static void outputs_are_found_by_their_place_in_the_file(void **state)
{
    (void)state;
    struct trp_version *v = make_version(
        &w, "input x FP32 [-1]\ninput y INT32 [-1] optional\ninput z FP32 [-1] optional\n", NULL);
    float third[] = { 9, 8, 7 };
    assert_int_equal(v->file_signature.outputs_n, 3);
    const struct trp_io listed[] = { v->file_signature.outputs[2], v->file_signature.outputs[0] };
    v->signature.outputs = listed;
    v->signature.outputs_n = ARRAY_LEN(listed);
    struct trp_call *call = make_call(&w, v);
    call->inputs[2].tensor = (struct troupe_tensor){
        .dtype = TROUPE_FP32, .rank = 1, .shape = { 3 }, .data = third, .bytes = sizeof third
    };
    run(call);
    assert_int_equal(call->error.status.code, TRP_OK);
    assert_int_equal(call->outputs_n, 2);
    assert_true(trp_str_is(call->outputs[0].name, "OUTPUT2"));
    assert_ptr_equal(call->outputs[0].tensor.data, third);
    assert_true(trp_str_is(call->outputs[1].name, "OUTPUT0"));
    assert_ptr_equal(call->outputs[1].tensor.data, call->inputs[0].tensor.data);
}

static void outputs_together_are_bounded(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY "grow 100\n", NULL);
    here.output_bytes_max = 64;
    const struct trp_call *call = run(make_call(&w, v));
    assert_int_equal(call->error.status.code, TRP_TOO_LARGE);
    assert_int_equal(call->error.limit, TRP_LIMIT_OUTPUT);
}

static void a_call_without_memory_fails_before_the_backend_is_asked(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    struct trp_call *call = make_call(&w, v);
    while (trp_arena_get(&call->arena, 64 << 10) || trp_arena_get(&call->arena, 16))
        ;
    run(call);
    assert_int_equal(call->error.status.code, TRP_OUT_OF_MEMORY);
    assert_int_equal(trp_counter_get(&v->stats->execution_count), 0);
}

static bool no_more(void *user, uint64_t bytes)
{
    (void)user;
    return bytes == 0;
}

static void a_run_that_is_refused_what_others_have_may_be_tried_again(void **state)
{
    (void)state;
    int64_t now_ns = w.time.now_ns;
    struct trp_version *v = make_version(&w, X_ONLY "holds 100000\n", NULL);
    trp_account_guard(&v->activations, no_more, v, 50000);
    struct trp_call *call = make_call(&w, v);
    trp_gauge_add(&v->stats->in_flight, 1);
    assert_false(trp_run_try(&here, call, 1 << 20, &now_ns));
    assert_int_equal(trp_oneshot_get(&call->outcome), TRP_OUTCOME_OPEN);
    assert_int_equal(call->error.status.code, TRP_OK);
    trp_run_call(&here, call, now_ns); /* who has nowhere to wait is told */
    assert_int_equal(call->error.status.code, TRP_OUT_OF_MEMORY);
    trp_call_finish(call);
    trp_account_guard(&v->activations, NULL, NULL, 0);
    assert_int_equal(run(make_call(&w, v))->error.status.code, TRP_OK);
}

static void an_interrupted_run_is_not_learned_but_a_second_one_is(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    run(make_call(&w, v));
    w.time.step_ns = TRP_MS(5);
    run(make_call(&w, v));
    assert_int_equal(trp_gauge_get(&v->stats->run_ns), TRP_US(10));
    run(make_call(&w, v));
    assert_true(trp_gauge_get(&v->stats->run_ns) > TRP_US(40));
}

static int64_t waited_so_far_ns(void)
{
    return w.time.now_ns; /* all the time that passes */
}

static void the_time_in_which_a_run_had_no_processor_is_not_learned(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    run(make_call(&w, v));
    w.time.step_ns = TRP_MS(5);
    here.waited_ns = waited_so_far_ns;
    for (int i = 0; i < 5; i++)
        run(make_call(&w, v));
    assert_true(trp_gauge_get(&v->stats->run_ns) <= TRP_US(10));
}

static void large_inputs_are_expected_to_cost_more(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    struct trp_call *small = make_call_of(&w, v, 4), *large = make_call_of(&w, v, 4000);
    assert_int_equal(trp_run_cost_ns(large), 0); /* not known yet */
    run(small);
    assert_int_equal(trp_run_input_bytes(large), 16000);
    assert_int_equal(trp_run_cost_ns(large), TRP_US(10) * 1000);
    run(large);
}

int main(void)
{
#define RUN_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        RUN_TEST(stamps_phases_and_counts_them),
        RUN_TEST(a_batch_counts_its_rows),
        RUN_TEST(a_failing_backend_is_named_with_its_model),
        RUN_TEST(what_nobody_wants_is_not_run),
        RUN_TEST(outputs_are_written_where_the_client_wants_them),
        RUN_TEST(too_small_a_region_is_said_with_both_sizes),
        RUN_TEST(shapes_are_given_as_the_file_wants_and_returned_as_clients_see),
        RUN_TEST(only_the_wanted_outputs_come_in_their_order),
        RUN_TEST(outputs_are_found_by_their_place_in_the_file),
        RUN_TEST(outputs_together_are_bounded),
        RUN_TEST(a_call_without_memory_fails_before_the_backend_is_asked),
        RUN_TEST(a_run_that_is_refused_what_others_have_may_be_tried_again),
        RUN_TEST(an_interrupted_run_is_not_learned_but_a_second_one_is),
        RUN_TEST(the_time_in_which_a_run_had_no_processor_is_not_learned),
        RUN_TEST(large_inputs_are_expected_to_cost_more),
    };
    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}

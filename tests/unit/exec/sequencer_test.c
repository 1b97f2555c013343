/* Requests of sequences, from their start to their end: what the model is told, what is kept for
 * the next one, who waits.  The model echoes: `before` is the state, which is the `x` of the
 * request before. */
#include "unit/exec/exec_fixture.h"

#include "conf/model_schema.h"
#include "exec/sequencer.h"

#define MODEL                                                                                \
    "input x FP32 [-1]\ninput s FP32 [-1]\ninput start INT32 [1]\ninput id UINT64 [1]\n"     \
    "output s_out FP32 [-1]\noutput before FP32 [-1]\noutput started INT32 [1]\noutput who " \
    "UINT64 [1]\n"
#define STATE "state [ { input_name: 's' output_name: 's_out' data_type: TYPE_FP32 dims: [ 1 ] } ]"
#define CONTROLS                                                                \
    "control_input [ { name: 'start' control [ { kind: CONTROL_SEQUENCE_START " \
    "int32_false_true: [ 0, 1 ] } ] }, { name: 'id' control [ { kind: "         \
    "CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } ] } ]"
#define LONG "max_sequence_idle_microseconds: 600000000 "
#define DIRECT "sequence_batching { " LONG CONTROLS " " STATE " }"
#define ONE_AT_A_TIME \
    "sequence_batching { " LONG "oldest { max_candidate_sequences: 1 } " STATE " " CONTROLS " }"

static struct world w;
static struct trp_exec *x;

static int set_up_for(int64_t inline_run_ns)
{
    make_world(&w, trp_clock_system());
    const struct trp_exec_opts opts = { .executors_n = 1,
                                        .loops_n = 1,
                                        .inline_run_ns = inline_run_ns,
                                        .inline_turn_ns = TRP_S(10),
                                        .queue_max = 200,
                                        .model_queue_max = 3,
                                        .sequences_max = 5,
                                        .control = w.loop,
                                        .clock = trp_clock_system(),
                                        .metrics = w.metrics };
    x = start_exec(&w, &opts);
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
    trp_exec_stop(x);
    settle_world(&w);
    for (uint32_t i = 0; i < w.versions_n; i++)
        if (w.versions[i]->sequencer)
            trp_sequencer_close(w.versions[i]->sequencer);
    settle_world(&w);
    give_back_finished(&w);
    for (uint32_t i = 0; i < w.versions_n; i++) {
        struct trp_version *v = w.versions[i];
        assert_int_equal(trp_gauge_get(&v->stats->in_flight), 0);
        assert_int_equal(trp_gauge_get(&v->stats->sequences), 0);
        assert_int_equal(trp_counter_get(&v->activations.bytes), 0);
        trp_sequencer_unref(v->sequencer);
    }
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_SEQUENCES), 0);
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_SEQUENCES_WAITING), 0);
    trp_exec_destroy(x);
    drop_world(&w);
    return 0;
}

/* As life does it, with the file's signature. */
static struct trp_version *make_stateful(const char *script, const char *config)
{
    struct trp_version *v = make_version(&w, script, x);
    struct trp_node *tree;
    struct trp_error err = { 0 };
    trp_status st =
        trp_model_config_parse(&v->arena, trp_str_of(config), "config.pbtxt", &tree, NULL, &err);
    if (!trp_failed(st))
        st = trp_model_config_complete(&v->arena, v->target.name, tree, &v->file_signature,
                                       &v->config, &v->signature, &err);
    if (!trp_failed(st))
        st = trp_sequence_config_zero(&v->arena, v->config.sequences, &err);
    if (!trp_failed(st))
        st = trp_exec_keep_sequences(x, v, &v->config, &v->sequencer, &err);
    if (trp_failed(st))
        fail_msg("%s", err.text);
    return v;
}

enum { PLAIN = 0, START = 1, END = 2 };

static struct trp_call *make_step(struct trp_version *v, uint64_t id, int flags, float value)
{
    struct trp_call *call = make_call_of(&w, v, 1);
    float *own = trp_arena_get(&call->arena, sizeof *own);
    assert_non_null(own);
    *own = value;
    call->inputs[0].tensor.data = own;
    call->sequence_number = id;
    call->sequence_start = (flags & START) != 0;
    call->sequence_end = (flags & END) != 0;
    return call;
}

static struct trp_call *start(struct trp_call *call)
{
    trp_target_start(call->target, call);
    return call;
}

static const struct troupe_tensor *output(const struct trp_call *call, const char *name)
{
    if (trp_failed(call->error.status))
        fail_msg("%s", call->error.text);
    for (uint32_t i = 0; i < call->outputs_n; i++)
        if (trp_str_is(call->outputs[i].name, name))
            return &call->outputs[i].tensor;
    fail_msg("no output %s", name);
    return NULL;
}

static float before(const struct trp_call *call)
{
    return *(const float *)output(call, "before")->data;
}

static int32_t started(const struct trp_call *call)
{
    return *(const int32_t *)output(call, "started")->data;
}

static void clients_see_neither_states_nor_controls(void **state)
{
    (void)state;
    struct trp_version *v = make_stateful(MODEL, DIRECT);
    assert_int_equal(v->signature.inputs_n, 1);
    assert_int_equal(v->signature.outputs_n, 3);
    struct trp_call *call = start(make_step(v, 7, START | END, 1));
    turn_until_finished(&w, 1);
    assert_float_equal(before(call), 0, 0);
    assert_int_equal(call->outputs_n, 3);
    assert_int_equal(*(const uint64_t *)output(call, "who")->data, 7);
    assert_int_equal(output(call, "who")->rank, 1);
}

static void a_state_goes_from_one_request_to_the_next(void **state)
{
    (void)state;
    struct trp_version *v = make_stateful(MODEL, DIRECT);
    struct trp_call *calls[6];
    for (uint32_t i = 0; i < 6; i++) { /* two sequences, one request of each in turn */
        calls[i] = start(make_step(v, 1 + i % 2,
                                   i < 2   ? START
                                   : i > 3 ? END
                                           : PLAIN,
                                   (float)(i + 1)));
        turn_until_finished(&w, i + 1);
    }
    for (uint32_t i = 0; i < 6; i++) {
        assert_float_equal(before(calls[i]), i < 2 ? 0 : (float)(i - 1), 0);
        assert_int_equal(started(calls[i]), i < 2);
    }
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_SEQUENCES_STARTED), 2);
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_SEQUENCES), 0);
}

static void requests_that_are_sent_at_once_run_in_order(void **state)
{
    (void)state;
    struct trp_version *v = make_stateful(MODEL, DIRECT);
    struct trp_call *calls[4];
    for (int i = 0; i < 4; i++)
        calls[i] = start(make_step(v, 5, i == 0 ? START : i == 3 ? END : PLAIN, (float)(i + 1)));
    struct trp_call *refused = start(make_step(v, 6, START, 1));
    struct trp_call *waits = start(make_step(v, 6, PLAIN, 2));
    (void)refused;
    turn_until_finished(&w, 6);
    for (int i = 0; i < 4; i++)
        assert_float_equal(before(calls[i]), (float)i, 0);
    assert_int_equal(waits->error.status.code, TRP_QUEUE_FULL);
    assert_int_equal(trp_gauge_get(&v->stats->in_flight), 1); /* 6 is open */
    assert_int_equal(trp_stats_calls(v->stats), 0);
}

static void a_start_begins_anew(void **state)
{
    (void)state;
    struct trp_version *v = make_stateful(MODEL, DIRECT);
    start(make_step(v, 5, START, 3));
    struct trp_call *anew = start(make_step(v, 5, START, 4)),
                    *next = start(make_step(v, 5, END, 5));
    turn_until_finished(&w, 3);
    assert_float_equal(before(anew), 0, 0);
    assert_int_equal(started(anew), 1);
    assert_float_equal(before(next), 4, 0);
    assert_int_equal(started(next), 0);
}

static void a_client_is_told_what_is_wrong_with_its_sequence(void **state)
{
    (void)state;
    struct trp_version *v = make_stateful(MODEL, DIRECT);
    struct trp_call *none = start(make_step(v, 0, START, 1)),
                    *unknown = start(make_step(v, 9, PLAIN, 1)), *text = make_step(v, 0, START, 1);
    text->sequence_text = TRP_STR_LIT("nine");
    start(text);
    turn_until_finished(&w, 3);
    assert_int_equal(none->error.status.code, TRP_INVALID_ARGUMENT);
    assert_non_null(
        strstr(none->error.text, "must specify a non-zero or non-empty correlation ID"));
    assert_int_equal(unknown->error.status.code, TRP_INVALID_ARGUMENT);
    assert_non_null(
        strstr(unknown->error.text, "sequence 9 to model 'm' must specify the START flag"));
    assert_int_equal(text->error.status.code, TRP_INVALID_ARGUMENT);
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_SEQUENCES), 0);
}

static void what_failed_has_not_happened(void **state)
{
    (void)state;
    struct trp_version *v = make_stateful(MODEL "fail_every 2\n", DIRECT);
    struct trp_call *calls[4];
    for (int i = 0; i < 4; i++) {
        calls[i] = start(make_step(v, 5, i == 0 ? START : PLAIN, (float)(i + 1)));
        turn_until_finished(&w, (uint32_t)i + 1);
    }
    assert_float_equal(before(calls[0]), 0, 0);
    assert_true(trp_failed(calls[1]->error.status));
    assert_float_equal(before(calls[2]), 1, 0);
    assert_true(trp_failed(calls[3]->error.status));
}

static void a_start_that_failed_is_told_to_the_next(void **state)
{
    (void)state;
    struct trp_version *v = make_stateful(MODEL "fail_every 2\n", DIRECT);
    start(make_step(v, 1, START | END, 1));
    turn_until_finished(&w, 1);
    struct trp_call *failed = start(make_step(v, 5, START, 2));
    turn_until_finished(&w, 2);
    assert_true(trp_failed(failed->error.status));
    struct trp_call *next = start(make_step(v, 5, PLAIN, 3));
    turn_until_finished(&w, 3);
    assert_int_equal(started(next), 1);
    assert_float_equal(before(next), 0, 0);
}

/* It could not even be given its state: what follows does not go on with that of the sequence
 * before. */
static void a_start_without_memory_begins_anew_as_well(void **state)
{
    (void)state;
    struct trp_version *v = make_stateful(MODEL, DIRECT);
    start(make_step(v, 5, START, 3));
    turn_until_finished(&w, 1);
    struct trp_call *failed = make_step(v, 5, START, 4);
    while (trp_arena_get(&failed->arena, 16))
        ;
    start(failed);
    turn_until_finished(&w, 2);
    assert_int_equal(failed->error.status.code, TRP_OUT_OF_MEMORY);
    struct trp_call *next = start(make_step(v, 5, END, 5));
    turn_until_finished(&w, 3);
    assert_float_equal(before(next), 0, 0);
    assert_int_equal(started(next), 1);
}

static void idle_sequences_end(void **state)
{
    (void)state;
    struct trp_version *v =
        make_stateful(MODEL, "sequence_batching { max_sequence_idle_microseconds: 20000 " STATE
                             " " CONTROLS " }");
    start(make_step(v, 5, START, 3));
    turn_until_finished(&w, 1);
    for (int i = 0; i < 1000 && trp_metrics_get(w.metrics, TRP_METRIC_SEQUENCES) != 0; i++)
        turn_loop(&w, TRP_MS(10));
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_SEQUENCES), 0);
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_SEQUENCES_EXPIRED), 1);
    assert_int_equal(trp_gauge_get(&v->stats->in_flight), 0);
    struct trp_call *late = start(make_step(v, 5, PLAIN, 5));
    turn_until_finished(&w, 2);
    assert_int_equal(late->error.status.code, TRP_INVALID_ARGUMENT);
}

static void surplus_sequences_wait_until_one_ends(void **state)
{
    (void)state;
    struct trp_version *v = make_stateful(MODEL, ONE_AT_A_TIME);
    start(make_step(v, 1, START, 1));
    struct trp_call *second = start(make_step(v, 2, START | END, 2));
    turn_until_finished(&w, 1);
    settle_world(&w);
    assert_int_equal(w.finished_n, 1);
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_SEQUENCES_WAITING), 1);
    start(make_step(v, 1, END, 3));
    turn_until_finished(&w, 3);
    assert_float_equal(before(second), 0, 0);
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_SEQUENCES_WAITING), 0);
}

static void more_instances_are_more_slots(void **state)
{
    (void)state;
    struct trp_version *v = make_stateful(MODEL, "instance_group { count: 1 } " DIRECT);
    start(make_step(v, 1, START, 1));
    struct trp_call *second = start(make_step(v, 2, START | END, 2));
    turn_until_finished(&w, 1);
    settle_world(&w);
    assert_int_equal(w.finished_n, 1);
    trp_exec_resize(x, v, 2);
    turn_until_finished(&w, 2);
    assert_float_equal(before(second), 0, 0);
}

static void who_waits_can_be_cancelled(void **state)
{
    (void)state;
    struct trp_version *v = make_stateful(MODEL, ONE_AT_A_TIME);
    start(make_step(v, 1, START, 1));
    turn_until_finished(&w, 1);
    struct trp_call *second = start(make_step(v, 2, START, 2));
    settle_world(&w);
    assert_true(trp_call_try_cancel(second));
    trp_exec_cancel_call(&v->target, second);
    turn_until_finished(&w, 2);
    assert_int_equal(second->error.status.code, TRP_CANCELLED);
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_SEQUENCES), 1);
}

static void an_open_sequence_keeps_its_version_busy(void **state)
{
    (void)state;
    struct trp_version *v = make_stateful(MODEL, DIRECT);
    start(make_step(v, 1, START, 1));
    turn_until_finished(&w, 1);
    assert_int_equal(trp_stats_busy(v->stats), 1);
    assert_false(trp_door_shut(&v->door, &v->stats->in_flight));
    trp_door_open(&v->door);
    start(make_step(v, 1, END, 1));
    turn_until_finished(&w, 2);
    assert_int_equal(trp_stats_busy(v->stats), 0);
}

static void closing_answers_who_waits(void **state)
{
    (void)state;
    struct trp_version *v = make_stateful(MODEL, ONE_AT_A_TIME);
    start(make_step(v, 1, START, 1));
    struct trp_call *waits = start(make_step(v, 2, START, 2));
    turn_until_finished(&w, 1);
    trp_sequencer_close(v->sequencer);
    turn_until_finished(&w, 2);
    assert_int_equal(waits->error.status.code, TRP_UNAVAILABLE);
    struct trp_call *late = start(make_step(v, 3, START, 2));
    turn_until_finished(&w, 3);
    assert_int_equal(late->error.status.code, TRP_UNAVAILABLE);
    assert_int_equal(trp_gauge_get(&v->stats->in_flight), 0);
}

static void a_sequence_stays_on_the_version_it_began_on(void **state)
{
    (void)state;
    struct trp_version *old = make_stateful(MODEL, DIRECT), *v = make_stateful(MODEL, DIRECT);
    trp_sequencer_ref(old->sequencer);
    trp_sequencer_follow(v->sequencer, old->sequencer);
    start(make_step(old, 1, START, 1));
    turn_until_finished(&w, 1);
    struct trp_call *next = start(make_step(v, 1, END, 2)),
                    *fresh = start(make_step(v, 2, START | END, 3));
    turn_until_finished(&w, 3);
    assert_float_equal(before(next), 1, 0);
    assert_ptr_equal(next->target, &old->target);
    assert_ptr_equal(fresh->target, &v->target);
    struct trp_call *gone = start(make_step(v, 1, PLAIN, 2));
    turn_until_finished(&w, 4);
    assert_int_equal(gone->error.status.code, TRP_INVALID_ARGUMENT);
}

static void a_state_that_is_an_output_too_is_seen(void **state)
{
    (void)state;
    struct trp_version *v =
        make_stateful(MODEL, "output [ { name: 's_out' }, { name: 'before' } ] " DIRECT);
    struct trp_call *first = start(make_step(v, 1, START, 4)),
                    *last = start(make_step(v, 1, END, 5));
    turn_until_finished(&w, 2);
    assert_int_equal(first->outputs_n, 2);
    assert_float_equal(*(const float *)output(first, "s_out")->data, 4, 0);
    assert_float_equal(before(last), 4, 0);
}

#define ROWS                                                               \
    "input x FP32 [-1,1]\ninput s FP32 [-1,1]\noutput s_out FP32 [-1,1]\n" \
    "output before FP32 [-1,1]\nsleep 20ms\n"
#define ROWS_CONFIG \
    "max_batch_size: 8 instance_group [ { count: 1 } ] sequence_batching { " LONG STATE " }"

static struct trp_call *make_row(struct trp_version *v, uint64_t id, int flags, float value)
{
    struct trp_call *call = trp_call_take(w.pool);
    struct trp_error err = { 0 };
    assert_non_null(call);
    float *own = trp_arena_get(&call->arena, sizeof *own);
    call->inputs = trp_arena_zeroed(&call->arena, 1, sizeof *call->inputs);
    assert_true(own && call->inputs);
    *own = value;
    call->inputs_n = 1;
    call->inputs[0].name = v->signature.inputs[0].name;
    call->inputs[0].tensor = (struct troupe_tensor){
        .dtype = TROUPE_FP32, .rank = 2, .shape = { 1, 1 }, .data = own, .bytes = sizeof *own
    };
    call->sequence_number = id;
    call->sequence_start = (flags & START) != 0;
    call->sequence_end = (flags & END) != 0;
    trp_version_ref(v);
    trp_call_pin(call, &v->target, trp_version_release_target);
    if (trp_failed(trp_call_bind(call, &v->signature, &err)))
        fail_msg("%s", err.text);
    trp_call_push(call, keep_finished, &w);
    return call;
}

/* One step of each of three sequences, all started at once. */
static void sequences_share_runs(void **state)
{
    (void)state;
    static struct trp_company company;
    struct trp_version *v = make_stateful(ROWS, ROWS_CONFIG);
    company = (struct trp_company){ .ask = NULL };
    trp_gauge_set(&company.rows_max, 8);
    v->company = &company;
    assert_int_equal(v->config.batching, TRP_BATCHING_ON);
    for (uint32_t step = 0; step < 5; step++) {
        struct trp_call *calls[3];
        for (uint64_t id = 1; id <= 3; id++)
            calls[id - 1] = start(make_row(v, id,
                                           step == 0   ? START
                                           : step == 4 ? END
                                                       : PLAIN,
                                           (float)(100 * id + step)));
        turn_until_finished(&w, 3 * (step + 1));
        for (uint64_t id = 1; id <= 3; id++)
            assert_float_equal(before(calls[id - 1]), step == 0 ? 0 : (float)(100 * id + step - 1),
                               0);
    }
    assert_true(trp_metrics_get(w.metrics, TRP_METRIC_BATCHES) > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_HERE(name) cmocka_unit_test_setup_teardown(name, set_up_here, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(clients_see_neither_states_nor_controls),
        TEST(a_state_goes_from_one_request_to_the_next),
        TEST_HERE(a_state_goes_from_one_request_to_the_next),
        TEST(requests_that_are_sent_at_once_run_in_order),
        TEST(a_start_begins_anew),
        TEST_HERE(a_start_begins_anew),
        TEST(a_client_is_told_what_is_wrong_with_its_sequence),
        TEST(what_failed_has_not_happened),
        TEST(a_start_that_failed_is_told_to_the_next),
        TEST(a_start_without_memory_begins_anew_as_well),
        TEST(idle_sequences_end),
        TEST(surplus_sequences_wait_until_one_ends),
        TEST(more_instances_are_more_slots),
        TEST(who_waits_can_be_cancelled),
        TEST(an_open_sequence_keeps_its_version_busy),
        TEST(closing_answers_who_waits),
        TEST(a_sequence_stays_on_the_version_it_began_on),
        TEST(a_state_that_is_an_output_too_is_seen),
        TEST(sequences_share_runs),
    };
    return cmocka_run_group_tests_name("sequencer", tests, NULL, NULL);
}

/* sequence_batching against a file: what clients do not see any more, what a sequence begins
 * with, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "model/model_config.h"
#include "tensor/dtype.h"

struct fixture {
    struct trp_arena arena;
    struct trp_error err;
    struct trp_io inputs[6], outputs[4];
    struct trp_signature file, seen;
    struct trp_model_config config;
};

static struct trp_io io(const char *name, int32_t dtype, uint32_t rank, int64_t d0, int64_t d1)
{
    return (struct trp_io){
        .name = trp_str_of(name), .dtype = dtype, .rank = rank, .dims = { d0, d1, 128 }
    };
}

/* A file with everything: two inputs for clients, a state, three controls. */
static void set_up(struct fixture *f)
{
    *f = (struct fixture){ 0 };
    trp_arena_init(&f->arena, trp_heap(), 4096, 16u << 20);
    f->inputs[0] = io("start", TROUPE_FP32, 2, -1, 1);
    f->inputs[1] = io("sound", TROUPE_FP32, 2, -1, -1);
    f->inputs[2] = io("state", TROUPE_FP32, 3, -1, 2);
    f->inputs[3] = io("end", TROUPE_INT32, 1, -1, 0);
    f->inputs[4] = io("rate", TROUPE_INT64, 2, -1, 1);
    f->inputs[5] = io("id", TROUPE_INT64, 2, -1, 1);
    f->outputs[0] = io("next", TROUPE_FP32, 3, -1, 2);
    f->outputs[1] = io("voice", TROUPE_FP32, 2, -1, 1);
    f->file = (struct trp_signature){ .inputs = f->inputs,
                                      .outputs = f->outputs,
                                      .inputs_n = 6,
                                      .outputs_n = 2,
                                      .platform = TRP_STR_LIT("onnxruntime_onnx") };
}

static void tear_down(struct fixture *f)
{
    trp_arena_deinit(&f->arena);
}

static trp_status complete(struct fixture *f, const char *pbtxt)
{
    struct trp_node *written;
    TRP_CHECK(trp_model_config_parse(&f->arena, trp_str_of(pbtxt), "config.pbtxt", &written, NULL,
                                     &f->err));
    return trp_model_config_complete(&f->arena, TRP_STR_LIT("m"), written, &f->file, &f->config,
                                     &f->seen, &f->err);
}

#define START \
    "{ name: 'start' control { kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 2.5 ] } } "
#define END "{ name: 'end' control { kind: CONTROL_SEQUENCE_END int32_false_true: [ 7, -1 ] } } "
#define ID "{ name: 'id' control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_INT64 } } "
#define STATE "state { input_name: 'state' output_name: 'next' dims: [ 2, 128 ] "
#define ALL                                                                                     \
    "max_batch_size: 4 sequence_batching { control_input [ " START ", " END ", " ID " ] " STATE \
    "} }"

static void what_the_server_fills_in_is_hidden_behind_the_rest(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    if (trp_failed(complete(&f, ALL)))
        fail_msg("%s", f.err.text);
    static const char *const want[] = { "sound", "rate", "start", "end", "id", "state" };
    assert_int_equal(f.seen.inputs_n, 2);
    assert_int_equal(f.seen.hidden_inputs_n, 4);
    for (uint32_t i = 0; i < ARRAY_LEN(want); i++)
        assert_true(trp_str_is(f.seen.inputs[i].name, want[i]));
    assert_int_equal(f.seen.outputs_n, 1);
    assert_int_equal(f.seen.hidden_outputs_n, 1);
    assert_true(trp_str_is(f.seen.outputs[0].name, "voice"));
    assert_true(trp_str_is(f.seen.outputs[1].name, "next"));
    assert_int_equal(trp_node_get(f.config.tree, "input")->children_n, 2);
    assert_int_equal(f.config.batching, TRP_BATCHING_ON);
    const struct trp_sequence_config *c = f.config.sequences;
    float told;
    memcpy(&told, &c->controls[0].values[1], sizeof told);
    assert_float_equal(told, 2.5, 0);
    assert_int_equal((int32_t)c->controls[1].values[0], 7);
    assert_int_equal((int32_t)c->controls[1].values[1], -1);
    assert_int_equal(c->controls[2].kind, TRP_SEQUENCE_CORRID);
    assert_int_equal(c->idle_ns, TRP_S(1));
    assert_false(c->is_oldest);
    assert_int_equal(c->states[0].initial.rank, 3);
    assert_int_equal(c->states[0].initial.shape[0], 1);
    assert_int_equal(c->states[0].initial.bytes, 2 * 128 * 4);
    tear_down(&f);
}

static void a_state_that_is_listed_is_seen(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    if (trp_failed(complete(&f, "output [ { name: 'voice' }, { name: 'next' } ] " ALL)))
        fail_msg("%s", f.err.text);
    assert_int_equal(f.seen.outputs_n, 2);
    assert_int_equal(f.seen.hidden_outputs_n, 1);
    tear_down(&f);
}

static void without_sequences_nothing_is_hidden(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    if (trp_failed(complete(&f, "max_batch_size: 4")))
        fail_msg("%s", f.err.text);
    assert_null(f.config.sequences);
    assert_int_equal(f.seen.inputs_n, 6);
    assert_int_equal(f.seen.hidden_inputs_n, 0);
    tear_down(&f);
}

static void a_model_without_rows_has_runs_of_its_own(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    f.inputs[2] = io("state", TROUPE_FP32, 3, 2, -1);
    f.outputs[0] = io("next", TROUPE_FP32, 3, 2, -1);
    if (trp_failed(complete(&f,
                            "sequence_batching { max_sequence_idle_microseconds: 5000 oldest { "
                            "max_candidate_sequences: 3 } state { input_name: 'state' "
                            "output_name: 'next' data_type: TYPE_FP32 dims: [ 2, -1, 128 ] } }")))
        fail_msg("%s", f.err.text);
    const struct trp_sequence_config *c = f.config.sequences;
    assert_int_equal(f.config.batching, TRP_BATCHING_OFF);
    assert_int_equal(c->idle_ns, TRP_MS(5));
    assert_int_equal(c->candidates_max, 3);
    assert_int_equal(c->states[0].initial.shape[1], 1); /* nobody says more */
    assert_true(!trp_failed(trp_sequence_config_zero(&f.arena, f.config.sequences, &f.err)));
    assert_int_equal(((const char *)c->states[0].initial.data)[1023], 0);
    tear_down(&f);
}

static void what_does_not_fit_the_file_is_refused(void **state)
{
    (void)state;
    static const struct row {
        const char *text, *want;
    } rows[] = {
        { "sequence_batching { control_input { name: 'begin' control { int32_false_true: [ 0, 1 ] "
          "} } }",
          "the file has no input \"begin\"" },
        { "sequence_batching { control_input { control { int32_false_true: [ 0, 1 ] } } }",
          "an input without a name" },
        { "sequence_batching { control_input { name: 'start' control { int32_false_true: [ 0, 1 ] "
          "} } }",
          "control \"start\" is TYPE_INT32, the file says TYPE_FP32" },
        { "sequence_batching { control_input { name: 'end' control { int32_false_true: [ 0 ] } } }",
          "with two values" },
        { "sequence_batching { control_input { name: 'end' } }", "has one control" },
        { "sequence_batching { control_input { name: 'sound' control { kind: "
          "CONTROL_SEQUENCE_CORRID } } }",
          "a correlation id is" },
        { "sequence_batching { control_input { name: 'state' control { fp32_false_true: [ 0, 1 ] } "
          "} }",
          "has more than one element" },
        { "sequence_batching { control_input [ " START
          ", { name: 'end' control { int32_false_true: [ 0, 1 ] } } ] }",
          "two controls are of one kind" },
        { "sequence_batching { control_input [ " START
          "] state { input_name: 'start' output_name: 'next' } }",
          "input \"start\" is there twice" },
        { "sequence_batching { state { input_name: 'state' output_name: 'after' } }",
          "the file has no output \"after\"" },
        { "sequence_batching { state { input_name: 'end' output_name: 'next' } }",
          "the file takes TYPE_INT32 and gives TYPE_FP32" },
        { "sequence_batching { " STATE " data_type: TYPE_FP16 } }", "is TYPE_FP16" },
        { "max_batch_size: 4 sequence_batching { state { input_name: 'state' output_name: 'next' "
          "dims: [ 128 ] } }",
          "has 2 dimensions in the file" },
        { "max_batch_size: 4 sequence_batching { state { input_name: 'state' output_name: 'next' "
          "dims: [ 2, 64 ] } }",
          "the configuration says 64 where the file says 128" },
        { "max_batch_size: 4 sequence_batching { " STATE
          " initial_state { data_type: TYPE_INT8 } } }",
          "the initial state of \"state\" is TYPE_INT8" },
        { "max_batch_size: 4 sequence_batching { " STATE " initial_state [ { }, { } ] } }",
          "more than one initial_state" },
        { "sequence_batching { oldest { } }", "max_candidate_sequences is 0" },
        { "input { name: 'start' } sequence_batching { control_input " START "}",
          "the file has no input \"start\"" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        set_up(&f);
        print_message("%s\n", r->text);
        assert_int_equal(complete(&f, r->text).code, TRP_INVALID_ARGUMENT);
        if (!strstr(f.err.text, r->want))
            fail_msg("%s", f.err.text);
        tear_down(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_server_fills_in_is_hidden_behind_the_rest),
        cmocka_unit_test(a_state_that_is_listed_is_seen),
        cmocka_unit_test(without_sequences_nothing_is_hidden),
        cmocka_unit_test(a_model_without_rows_has_runs_of_its_own),
        cmocka_unit_test(what_does_not_fit_the_file_is_refused),
    };
    return cmocka_run_group_tests_name("sequence_config", tests, NULL, NULL);
}

/* The table of a model's keys: it agrees with Triton's, warns of what waits, and one configuration
 * means the same in both spellings. */
#include "tree.h"

#include <string.h>

#include "base/pbwire.h"
#include "conf/model_schema.h"
#include "unit/base/scarce.h"

static trp_status parse(struct fixture *f, const char *file, const char *text,
                        struct trp_node **out, struct trp_str *warnings)
{
    return trp_model_config_parse(&f->arena, trp_str_of(text), file, out, warnings, &f->err);
}

static const char *written_json(struct fixture *f, const struct trp_node *n)
{
    trp_buf_reset(&f->out);
    trp_schema_write_json(&f->out, &trp_model_config_message, n, false);
    return trp_buf_text(&f->out);
}

static const char pbtxt[] =
    "name: \"m\" platform: \"onnxruntime_onnx\" max_batch_size: 8\n"
    "input [ { name: \"x\" data_type: TYPE_FP32 dims: [ -1, 3 ] reshape { } } ]\n"
    "output { name: \"y\" data_type: TYPE_STRING dims: 1 }\n"
    "version_policy: { specific { versions: [1, 300] } }\n"
    "instance_group { count: 2 kind: KIND_CPU gpus: [0, 1] }\n"
    "dynamic_batching {\n"
    "  max_queue_delay_microseconds: 18446744073709551615\n"
    "  priority_queue_policy { key: 7 value { timeout_action: DELAY } }\n"
    "}\n"
    "parameters { key: \"a\" value { string_value: \"b\" } }\n"
    "model_warmup {\n"
    "  name: \"w\"\n"
    "  inputs { key: \"x\" value { data_type: TYPE_FP32 dims: 3 zero_data: false } }\n"
    "}\n"
    "model_metrics { metric_control { histogram_options { buckets: [0.5, 1e3] } } }\n";

static const char yaml[] = "name: m\n"
                           "platform: onnxruntime_onnx\n"
                           "max_batch_size: 8\n"
                           "input:\n"
                           "  - name: x\n"
                           "    data_type: TYPE_FP32\n"
                           "    dims: [-1, 3]\n"
                           "    reshape: {}\n"
                           "output: {name: y, data_type: TYPE_STRING, dims: 1}\n"
                           "version_policy: {specific: {versions: [1, 300]}}\n"
                           "instance_group: {count: 2, kind: KIND_CPU, gpus: [0, 1]}\n"
                           "dynamic_batching:\n"
                           "  max_queue_delay_microseconds: 18446744073709551615\n"
                           "  priority_queue_policy: {7: {timeout_action: DELAY}}\n"
                           "parameters: {a: {string_value: b}}\n"
                           "model_warmup:\n"
                           "  name: w\n"
                           "  inputs: {x: {data_type: TYPE_FP32, dims: 3, zero_data: false}}\n"
                           "model_metrics:\n"
                           "  metric_control: {histogram_options: {buckets: [0.5, 1e3]}}\n";

/* The same configuration, as Google's protobuf wrote it from the descriptor and the pbtxt above. */
static const char wire[] =
    "\x0a\x01\x6d\x12\x10\x6f\x6e\x6e\x78\x72\x75\x6e\x74\x69\x6d\x65\x5f\x6f\x6e\x6e\x78\x1a\x07"
    "\x1a\x05\x0a\x03\x01\xac\x02\x20\x08\x2a\x14\x0a\x01\x78\x10\x0b\x22\x0b\xff\xff\xff\xff\xff"
    "\xff\xff\xff\xff\x01\x03\x2a\x00\x32\x08\x0a\x01\x79\x10\x0d\x1a\x01\x01\x3a\x08\x10\x02\x1a"
    "\x02\x00\x01\x20\x02\x5a\x13\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x3a\x06\x08\x07\x12"
    "\x02\x08\x01\x72\x08\x0a\x01\x61\x12\x03\x0a\x01\x62\x82\x01\x11\x0a\x01\x77\x1a\x0c\x0a\x01"
    "\x78\x12\x07\x08\x0b\x12\x01\x03\x18\x00\xd2\x01\x16\x0a\x14\x12\x12\x0a\x10\x00\x00\x00\x00"
    "\x00\x00\xe0\x3f\x00\x00\x00\x00\x00\x40\x8f\x40";

static void one_configuration_in_every_spelling(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_node *from_pbtxt, *from_yaml, *from_json, *from_wire;
    fixture_init(&f);
    assert_works(&f, parse(&f, "m/config.pbtxt", pbtxt, &from_pbtxt, NULL));
    const struct trp_str json = trp_arena_dup(&f.arena, trp_str_of(written_json(&f, from_pbtxt)));
    assert_works(&f, parse(&f, "m/model.yaml", yaml, &from_yaml, NULL));
    assert_string_equal(written_json(&f, from_yaml), json.ptr);
    assert_works(&f, parse(&f, "config", json.ptr, &from_json, NULL));
    assert_string_equal(written_json(&f, from_json), json.ptr);
    assert_works(&f, trp_schema_decode(&f.arena, &trp_model_config_message,
                                       trp_str_make(wire, sizeof wire - 1), &from_wire, &f.err));
    assert_string_equal(written_json(&f, from_wire), json.ptr);
    trp_buf_reset(&f.out);
    trp_schema_encode(&f.out, &trp_model_config_message, from_yaml);
    assert_int_equal(f.out.len, sizeof wire - 1);
    assert_memory_equal(f.out.ptr, wire, sizeof wire - 1);
    fixture_deinit(&f);
}

static void what_config_prints_can_be_given_back(void **state)
{
    (void)state; /* a client reads /config, changes a value, and loads with it: zeros are no
                * demands */
    struct fixture f;
    struct trp_node *n;
    struct trp_str warnings;
    fixture_init(&f);
    assert_works(&f, parse(&f, "model.yaml",
                           "name: m\ninput: {name: x}\noutput: {name: y}\n"
                           "instance_group: {count: 1, kind: KIND_CPU}\nload: explicit\n",
                           &n, &warnings));
    assert_int_equal(warnings.len, 0);
    trp_buf_reset(&f.out);
    trp_schema_write_json(&f.out, &trp_model_config_message, n, true);
    const struct trp_str shown = trp_arena_dup(&f.arena, trp_buf_str(&f.out));
    assert_null(strstr(shown.ptr, "\"load\""));
    assert_non_null(strstr(shown.ptr, "\"is_shape_tensor\":false"));
    assert_non_null(strstr(shown.ptr, "\"batch_input\":[]"));
    assert_non_null(strstr(shown.ptr, "\"profile\":[]"));
    assert_null(strstr(shown.ptr, "dynamic_batching"));
    assert_works(&f, parse(&f, "config", shown.ptr, &n, &warnings));
    assert_int_equal(warnings.len, 0);
    trp_buf_reset(&f.out);
    trp_schema_write_json(&f.out, &trp_model_config_message, n, true);
    assert_string_equal(trp_buf_text(&f.out), shown.ptr);
    fixture_deinit(&f);
}

static void what_waits_is_named_in_a_warning(void **state)
{
    (void)state;
    static const struct row {
        const char *file, *text, *want;
    } rows[] = {
        { "model.yaml", "max_batch_size: 4\nparameters: {a: {string_value: b}}\n", "" },
        { "model.yaml", "dynamic_batching:\n  preserve_ordering: true\n",
          "model.yaml:2: \"preserve_ordering\" is understood but not acted upon yet\n" },
        { "config.pbtxt", "\ndynamic_batching { }\nresponse_cache { enable: true }\n",
          "config.pbtxt:3: \"response_cache\" is understood but not acted upon yet\n" },
        { "config.pbtxt",
          "instance_group [\n{ count: 1\n gpus: [0, 1] },\n{ kind: KIND_GPU host_policy: \"a\" } "
          "]\n",
          "config.pbtxt:4: \"host_policy\" is understood but not acted upon yet\n" },
        { "model.yaml",
          "optimization:\n  input_pinned_memory: {enable: true}\n  graph: {level: 1}\n",
          "model.yaml:2: \"input_pinned_memory\" is understood but not acted upon yet\n" },
        { "config", "{\"metric_tags\": {\"a\": \"b\"}, \"model_warmup\": []}",
          "config: \"metric_tags\" is understood but not acted upon yet\n" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        struct trp_node *n;
        struct trp_str warnings;
        fixture_init(&f);
        assert_works(&f, parse(&f, r->file, r->text, &n, &warnings));
        assert_string_equal(warnings.ptr, r->want);
        fixture_deinit(&f);
    }
}

static void mistakes_are_named_with_their_place(void **state)
{
    (void)state;
    static const struct row {
        const char *file, *text, *want;
    } rows[] = {
        { "m/config.pbtxt", "name: \"m\"\nmax_batchsize: 4\n",
          "m/config.pbtxt:2: unknown key \"max_batchsize\"; did you mean \"max_batch_size\"?" },
        { "m/config.pbtxt", "input [ { name: \"x\"\n dim: [1] } ]",
          "m/config.pbtxt:2: unknown key \"dim\" in \"input\"; did you mean \"dims\"?" },
        { "m/model.yaml", "input: {name: x, data_type: FP32}\n",
          "m/model.yaml:1: \"data_type\": unknown value \"FP32\"; did you mean \"TYPE_FP32\"?" },
        { "m/model.yml", "load: sometimes\n",
          "m/model.yml:1: \"load\": unknown value \"sometimes\"; it is one of default, startup, "
          "explicit, on_demand, background" },
        { "m/model.yaml", "batching: yes\n",
          "m/model.yaml:1: \"batching\": unknown value \"yes\"; it is one of default, auto, on, "
          "off" },
        { "m/model.yaml", "model_transaction_policy: {decoupled: true}\n",
          "m/model.yaml:1: \"decoupled\" is not supported: a model that answers a request several "
          "times cannot be served" },
        { "m/model.yaml", "batch_input: {kind: BATCH_ITEM_SHAPE}\n",
          "m/model.yaml:1: \"batch_input\" is not supported: ragged batches cannot be served" },
        { "m/model.yaml", "version_policy: {all: , latest: {num_versions: 1}}\n",
          "m/model.yaml:1: \"latest\" and \"all\" exclude each other; write one of them" },
        { "config", "{\"max_batch_size\": 1.5}",
          "config: \"max_batch_size\": expected a whole number of 32 bits, found 1.5" },
        { "config", "[]", "config: expected a map of keys, found a list" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        struct trp_node *n;
        struct trp_str warnings;
        fixture_init(&f);
        assert_fails(&f, parse(&f, r->file, r->text, &n, &warnings), TRP_INVALID_ARGUMENT, r->want);
        assert_null(n);
        fixture_deinit(&f);
    }
    struct fixture f;
    struct trp_node *n;
    fixture_init(&f);
    assert_int_equal(parse(&f, "config", "{\"a\":", &n, NULL).code, TRP_INVALID_ARGUMENT);
    assert_int_equal(strncmp(f.err.text, "config: ", 8), 0);
    fixture_deinit(&f);
}

static void json_may_quote_its_numbers(void **state)
{
    (void)state; /* protobuf's JSON mapping does so with 64-bit ones */
    struct fixture f;
    struct trp_node *n;
    fixture_init(&f);
    assert_works(&f, parse(&f, "config",
                           "{\"max_batch_size\": \"16\", \"input\": [{\"dims\": [\"-1\", 3]}],"
                           " \"version_policy\": null}",
                           &n, NULL));
    assert_string_equal(written_json(&f, n),
                        "{\"max_batch_size\":16,\"input\":[{\"dims\":[-1,3]}]}");
    fixture_deinit(&f);
}

/* Does everything that this room does to a configuration with an arena that gets so many blocks. */
static trp_status read_with_little_memory(const char *file, const char *text, uint64_t blocks)
{
    struct scarce scarce;
    struct trp_arena a;
    struct trp_node *tree, *back, *copy;
    struct trp_str warnings;
    struct trp_buf bytes;
    struct trp_error err = { 0 };
    trp_arena_init(&a, scarce_init(&scarce, blocks), 1, 0); /* a block for each piece */
    trp_buf_init(&bytes, trp_heap(), 1 << 20);
    trp_status st = trp_model_config_parse(&a, trp_str_of(text), file, &tree, &warnings, &err);
    if (!trp_failed(st)) {
        trp_schema_encode(&bytes, &trp_model_config_message, tree);
        st = trp_schema_decode(&a, &trp_model_config_message, trp_buf_str(&bytes), &back, &err);
    }
    if (!trp_failed(st)) {
        copy = trp_node_dup(&a, back);
        st = copy ? trp_ok() : trp_fail(&err, TRP_OUT_OF_MEMORY, "copy");
    }
    assert_int_equal(st.code, err.status.code);
    trp_buf_deinit(&bytes);
    trp_arena_deinit(&a);
    assert_int_equal(trp_counter_get(&scarce.out), 0);
    return st;
}

static void too_little_memory_is_said_wherever_it_ends(void **state)
{
    (void)state;
    static const struct row {
        const char *file, *text;
    } rows[] = {
        { "config.pbtxt", pbtxt },
        { "model.yaml", yaml },
        { "config", "{\"name\":\"m\",\"input\":[{\"name\":\"x\",\"dims\":[1]}],\"metric_tags\":"
                    "{\"a\":\"b\",\"c\":\"d\"}}" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        uint64_t blocks = 0;
        trp_status st;
        do {
            st = read_with_little_memory(r->file, r->text, blocks++);
            assert_true(!trp_failed(st) || st.code == TRP_OUT_OF_MEMORY);
        } while (trp_failed(st));
        print_message("%s: %u blocks\n", r->file, (unsigned)blocks);
        assert_true(blocks > 20);
    }
}

/* ---- the table itself ---- */

static bool is_listed(const struct trp_message *m)
{
    for (uint32_t i = 0; i < trp_model_config_messages_n; i++) {
        if (trp_model_config_messages[i] == m)
            return true;
    }
    return false;
}

static void every_table_is_in_order_and_complete(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < trp_model_config_messages_n; i++) {
        const struct trp_message *m = trp_model_config_messages[i];
        uint32_t number = 0;
        print_message("%s\n", m->name);
        assert_true(m->fields_n <= TRP_MESSAGE_FIELDS_MAX);
        for (uint32_t k = 0; k < m->fields_n; k++) {
            const struct trp_field *f = &m->fields[k];
            assert_true(f->number > number);
            number = f->number;
            assert_true(f->doc && f->doc[0]);
            assert_true((f->type == TRP_FIELD_MESSAGE) == (f->message != NULL));
            assert_true((f->type == TRP_FIELD_ENUM) == (f->enumeration != NULL));
            assert_true(!f->message || is_listed(f->message));
            assert_ptr_equal(trp_message_field(m, trp_str_of(f->name)), f);
        }
    }
    for (uint32_t i = 0; i < trp_model_config_enums_n; i++)
        assert_int_equal(trp_model_config_enums[i]->values[0].number, 0); /* as proto3 demands */
}

/* The nested part with this number that is named `name`; empty: none. */
static struct trp_str find_part(struct trp_str in, uint32_t number, const char *name)
{
    struct trp_pb_reader r = trp_pb_reader_of(in);
    struct trp_pb_field w, first;
    while (trp_pb_next(&r, &w) == TRP_PB_FIELD) {
        struct trp_pb_reader inner = trp_pb_reader_of(w.bytes);
        if (w.number == number && w.type == TRP_PB_BYTES &&
            trp_pb_next(&inner, &first) == TRP_PB_FIELD && trp_str_is(first.bytes, name))
            return w.bytes;
    }
    return (struct trp_str){ 0 };
}

static uint64_t number_in(struct trp_str in, uint32_t number)
{
    struct trp_pb_reader r = trp_pb_reader_of(in);
    struct trp_pb_field w;
    while (trp_pb_next(&r, &w) == TRP_PB_FIELD) {
        if (w.number == number)
            return w.scalar;
    }
    return 0;
}

static struct trp_str text_in(struct trp_str in, uint32_t number)
{
    struct trp_pb_reader r = trp_pb_reader_of(in);
    struct trp_pb_field w;
    while (trp_pb_next(&r, &w) == TRP_PB_FIELD) {
        if (w.number == number)
            return w.bytes;
    }
    return (struct trp_str){ 0 };
}

static void the_descriptor_nests_as_the_proto_file_does(void **state)
{
    (void)state; /* numbers are those of descriptor.proto */
    static const struct trp_method methods[] = { { "Get", &trp_model_config_message,
                                                   &trp_model_config_message, false, true } };
    static const struct trp_service service = { "inference.Configs", methods, 1 };
    struct fixture f;
    fixture_init(&f);
    const struct trp_proto_file proto = { .name = "model_config.proto",
                                          .package = "inference",
                                          .messages = trp_model_config_messages,
                                          .messages_n = trp_model_config_messages_n,
                                          .enums = trp_model_config_enums,
                                          .enums_n = trp_model_config_enums_n,
                                          .service = &service };
    trp_schema_write_descriptor(&f.out, &proto);
    assert_int_equal(f.out.failed, TRP_OK);
    const struct trp_str file = trp_buf_str(&f.out);
    assert_true(trp_str_is(text_in(file, 1), "model_config.proto"));
    assert_true(trp_str_is(text_in(file, 2), "inference"));
    assert_true(trp_str_is(text_in(file, 12), "proto3"));
    assert_true(find_part(file, 5, "DataType").len > 0);
    assert_int_equal(find_part(file, 4, "Latest").len, 0); /* nested, not on top */

    const struct trp_str config = find_part(file, 4, "ModelConfig");
    assert_int_equal(number_in(find_part(config, 2, "backend"), 3), 17);
    assert_int_equal(find_part(config, 2, "load").len, 0); /* ours */
    const struct trp_str batching = find_part(config, 2, "dynamic_batching");
    assert_true(trp_str_is(text_in(batching, 6), ".inference.ModelDynamicBatching"));
    assert_true(trp_str_is(text_in(config, 8), "\n\x11scheduling_choice"));
    const struct trp_str tags = find_part(config, 2, "metric_tags");
    assert_int_equal(number_in(tags, 4), 3); /* repeated */
    assert_true(trp_str_is(text_in(tags, 6), ".inference.ModelConfig.MetricTagsEntry"));
    const struct trp_str entry = find_part(config, 3, "MetricTagsEntry");
    assert_int_equal(number_in(text_in(entry, 7), 7), 1); /* options.map_entry */
    assert_int_equal(number_in(find_part(entry, 2, "value"), 5), TRP_FIELD_STRING);

    const struct trp_str group = find_part(file, 4, "ModelInstanceGroup");
    assert_true(find_part(group, 4, "Kind").len > 0);
    const struct trp_str device = find_part(group, 3, "SecondaryDevice");
    assert_true(find_part(device, 4, "SecondaryDeviceKind").len > 0);
    const struct trp_str get = find_part(find_part(file, 6, "Configs"), 2, "Get");
    assert_true(trp_str_is(text_in(get, 2), ".inference.ModelConfig"));
    assert_int_equal(number_in(get, 5), 0);
    assert_int_equal(number_in(get, 6), 1);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_configuration_in_every_spelling),
        cmocka_unit_test(what_config_prints_can_be_given_back),
        cmocka_unit_test(what_waits_is_named_in_a_warning),
        cmocka_unit_test(mistakes_are_named_with_their_place),
        cmocka_unit_test(json_may_quote_its_numbers),
        cmocka_unit_test(too_little_memory_is_said_wherever_it_ends),
        cmocka_unit_test(every_table_is_in_order_and_complete),
        cmocka_unit_test(the_descriptor_nests_as_the_proto_file_does),
    };
    return cmocka_run_group_tests_name("model_schema", tests, NULL, NULL);
}

/* A configuration against a file: what is filled in, what clients see, what is refused. */
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
#include "tensor/shape.h"
#include "unit/base/scarce.h"

struct fixture {
    struct trp_arena arena;
    struct trp_error err;
    struct trp_buf out;
    struct trp_io inputs[4], outputs[4];
    struct trp_signature file, seen;
    struct trp_model_config config;
};

static void set_up(struct fixture *f)
{
    *f = (struct fixture){ 0 };
    trp_arena_init(&f->arena, trp_heap(), 4096, 16u << 20);
    trp_buf_init(&f->out, trp_heap(), 1u << 20);
    f->file.inputs = f->inputs;
    f->file.outputs = f->outputs;
    f->file.platform = TRP_STR_LIT("onnxruntime_onnx");
}

static void tear_down(struct fixture *f)
{
    trp_arena_deinit(&f->arena);
    trp_buf_deinit(&f->out);
}

/* "x FP32 -1 3" with "?" behind the name for optional, "*" in place of dims for any rank. */
static struct trp_io io_of(struct fixture *f, const char *text)
{
    struct trp_io io = { 0 };
    char name[32], dtype[16];
    int used = 0;
    assert_int_equal(sscanf(text, "%31s %15s%n", name, dtype, &used), 2);
    const size_t len = strlen(name);
    io.optional = name[len - 1] == '?';
    io.name = trp_arena_dup(&f->arena, trp_str_make(name, len - io.optional));
    io.dtype = (int32_t)trp_dtype_parse(trp_str_of(dtype));
    for (const char *at = text + used; *at;) {
        int n = 0;
        long long dim;
        if (strchr(at, '*')) {
            io.any_rank = true;
            break;
        }
        if (sscanf(at, "%lld%n", &dim, &n) != 1)
            break;
        io.dims[io.rank++] = dim;
        at += n;
    }
    return io;
}

static void input(struct fixture *f, const char *text)
{
    f->inputs[f->file.inputs_n++] = io_of(f, text);
}

static void output(struct fixture *f, const char *text)
{
    f->outputs[f->file.outputs_n++] = io_of(f, text);
}

static void image_model(struct fixture *f)
{
    input(f, "image FP32 -1 3 224 224");
    output(f, "logits FP32 -1 1000");
}

static trp_status complete(struct fixture *f, const char *yaml)
{
    struct trp_node *written = NULL;
    if (yaml) {
        const trp_status st = trp_model_config_parse(&f->arena, trp_str_of(yaml), "model.yaml",
                                                     &written, NULL, &f->err);
        if (trp_failed(st))
            return st;
    }
    return trp_model_config_complete(&f->arena, TRP_STR_LIT("m"), written, &f->file, &f->config,
                                     &f->seen, &f->err);
}

static void completes(struct fixture *f, const char *yaml)
{
    const trp_status st = complete(f, yaml);
    if (trp_failed(st))
        print_error("%s\n", f->err.text);
    assert_int_equal(st.code, TRP_OK);
}

static const char *json(struct fixture *f)
{
    trp_buf_reset(&f->out);
    trp_schema_write_json(&f->out, &trp_model_config_message, f->config.tree, false);
    return trp_buf_text(&f->out);
}

/* "image FP32 [-1,3,224,224]; ..." of what clients see. */
static const char *seen(struct fixture *f)
{
    trp_buf_reset(&f->out);
    for (uint32_t i = 0; i < f->seen.inputs_n + f->seen.outputs_n; i++) {
        const bool is_input = i < f->seen.inputs_n;
        const struct trp_io *io =
            is_input ? &f->seen.inputs[i] : &f->seen.outputs[i - f->seen.inputs_n];
        char shape[128];
        trp_buf_addf(&f->out, "%s%.*s%s %s %s", i ? "; " : "", TRP_STR(io->name),
                     io->optional ? "?" : "", trp_dtype_name(io->dtype),
                     io->any_rank ? "any"
                                  : trp_shape_format(io->dims, io->rank, shape, sizeof shape));
    }
    return trp_buf_text(&f->out);
}

/* ---- without a configuration ---- */

static void without_configuration_a_model_is_what_its_file_says(void **state)
{
    (void)state;
    static const struct trp_str names[] = { { "batch", 5 }, { 0 } };
    struct fixture f;
    set_up(&f);
    input(&f, "x FP32 -1 3");
    input(&f, "sr? INT64");
    input(&f, "anything FP16 *");
    output(&f, "y BYTES -1");
    f.inputs[0].dim_names = names;
    completes(&f, NULL);
    assert_string_equal(seen(&f), "x FP32 [-1,3]; sr? INT64 []; anything FP16 any; y BYTES [-1]");
    assert_true(trp_str_is(f.seen.inputs[0].dim_names[0], "batch"));
    assert_int_equal(f.seen.batch_max, 0);
    assert_string_equal(
        json(&f), "{\"name\":\"m\",\"platform\":\"onnxruntime_onnx\","
                  "\"version_policy\":{\"latest\":{\"num_versions\":1}},\"max_batch_size\":0,"
                  "\"input\":[{\"name\":\"x\",\"data_type\":\"TYPE_FP32\",\"dims\":[-1,3]},"
                  "{\"name\":\"sr\",\"data_type\":\"TYPE_INT64\",\"dims\":[],\"optional\":true},"
                  "{\"name\":\"anything\",\"data_type\":\"TYPE_FP16\"}],"
                  "\"output\":[{\"name\":\"y\",\"data_type\":\"TYPE_STRING\",\"dims\":[-1]}],"
                  "\"backend\":\"onnxruntime\"}");
    assert_int_equal(f.config.instances, 0);
    assert_int_equal(f.config.load, TRP_LOAD_DEFAULT);
    tear_down(&f);
}

static void labels_of_the_file_reach_the_clients(void **state)
{
    (void)state;
    struct fixture f;
    static const struct trp_str labels[] = { { "cat", 3 }, { "dog", 3 } };
    set_up(&f);
    image_model(&f);
    f.outputs[0].labels = labels;
    f.outputs[0].labels_n = 2;
    completes(&f, NULL);
    assert_int_equal(f.seen.outputs[0].labels_n, 2);
    assert_true(trp_str_is(f.seen.outputs[0].labels[1], "dog"));
    tear_down(&f);
}

/* ---- with one ---- */

static void clients_see_file_and_configuration_together(void **state)
{
    (void)state;
    static const struct row {
        const char *yaml, *want;
    } rows[] = {
        { "", "image FP32 [-1,3,224,224]; logits FP32 [-1,1000]" },
        { "max_batch_size: 8", "image FP32 [-1,3,224,224]; logits FP32 [-1,1000]" },
        { "input: {name: image, dims: [4, 3, 224, 224]}",
          "image FP32 [4,3,224,224]; logits FP32 [-1,1000]" },
        { "input: {name: image, dims: [-1, -1, -1, -1]}",
          "image FP32 [-1,3,224,224]; logits FP32 [-1,1000]" },
        { "max_batch_size: 8\ninput: {name: image, data_type: TYPE_FP32, dims: [3, 224, 224]}\n"
          "output: {name: logits, dims: [1000]}",
          "image FP32 [-1,3,224,224]; logits FP32 [-1,1000]" },
        { "max_batch_size: 8\n"
          "output: {name: logits, dims: [10, 100], reshape: {shape: [1000]}}",
          "image FP32 [-1,3,224,224]; logits FP32 [-1,10,100]" },
        { "input: {name: image}\noutput: {name: logits}",
          "image FP32 [-1,3,224,224]; logits FP32 [-1,1000]" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        set_up(&f);
        image_model(&f);
        print_message("%s\n", r->yaml);
        completes(&f, r->yaml);
        assert_string_equal(seen(&f), r->want);
        tear_down(&f);
    }
}

static void a_batched_scalar_is_shown_as_one_element(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    input(&f, "id INT64 -1");
    output(&f, "score FP32 -1");
    completes(&f, "max_batch_size: 16");
    assert_string_equal(seen(&f), "id INT64 [-1,1]; score FP32 [-1,1]");
    assert_string_equal(
        json(&f), "{\"name\":\"m\",\"platform\":\"onnxruntime_onnx\","
                  "\"version_policy\":{\"latest\":{\"num_versions\":1}},\"max_batch_size\":16,"
                  "\"input\":[{\"name\":\"id\",\"data_type\":\"TYPE_INT64\",\"dims\":[1],"
                  "\"reshape\":{\"shape\":[]}}],"
                  "\"output\":[{\"name\":\"score\",\"data_type\":\"TYPE_FP32\",\"dims\":[1],"
                  "\"reshape\":{\"shape\":[]}}],\"backend\":\"onnxruntime\"}");
    assert_int_equal(f.seen.batch_max, 16);
    tear_down(&f);
}

static void what_was_written_is_kept_and_ordered(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    input(&f, "a FP32 -1 2");
    input(&f, "b FP32 -1 2");
    input(&f, "c? FP32 -1 2");
    output(&f, "y FP32 -1 2");
    completes(&f, "backend: onnxruntime\nload: explicit\n"
                  "parameters: {intra_op_thread_count: {string_value: 2}}\n"
                  "output: {name: y, label_filename: l.txt}\n"
                  "input:\n- {name: b, format: FORMAT_NCHW, dims: [-1, 2]}\n- {name: a}\n"
                  "version_policy: {all: {}}\nname: m\n");
    /* The tree keeps the writer's order, the signature the file's; `load` is ours and not for
     * clients. */
    assert_string_equal(
        json(&f),
        "{\"name\":\"m\",\"platform\":\"onnxruntime_onnx\",\"version_policy\":{\"all\":{}},"
        "\"max_batch_size\":0,\"input\":[{\"name\":\"b\",\"data_type\":\"TYPE_FP32\","
        "\"format\":\"FORMAT_NCHW\",\"dims\":[-1,2]},{\"name\":\"a\",\"data_type\":\"TYPE_FP32\","
        "\"dims\":[-1,2]},{\"name\":\"c\",\"data_type\":\"TYPE_FP32\",\"dims\":[-1,2],"
        "\"optional\":true}],\"output\":[{\"name\":\"y\",\"data_type\":\"TYPE_FP32\","
        "\"dims\":[-1,2],\"label_filename\":\"l.txt\"}],"
        "\"parameters\":{\"intra_op_thread_count\":{\"string_value\":\"2\"}},"
        "\"backend\":\"onnxruntime\"}");
    assert_string_equal(seen(&f), "a FP32 [-1,2]; b FP32 [-1,2]; c? FP32 [-1,2]; y FP32 [-1,2]");
    assert_int_equal(f.config.load, TRP_LOAD_EXPLICIT);
    tear_down(&f);
}

static void an_optional_input_may_be_made_required(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    input(&f, "x? FP32 2");
    output(&f, "y FP32 2");
    completes(&f, "input: {name: x, optional: false}");
    assert_string_equal(seen(&f), "x FP32 [2]; y FP32 [2]");
    completes(&f, "input: {name: x}");
    assert_string_equal(seen(&f), "x? FP32 [2]; y FP32 [2]");
    tear_down(&f);
}

static void a_tensor_of_any_rank_takes_the_rank_that_is_written(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    input(&f, "x FP32 *");
    output(&f, "y FP32 *");
    completes(&f, "max_batch_size: 4\ninput: {name: x, dims: [3, -1]}");
    assert_string_equal(seen(&f), "x FP32 [-1,3,-1]; y FP32 any");
    tear_down(&f);
}

static void an_output_known_to_be_declared_wrongly_is_not_held_to_it(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    input(&f, "x FP32 2");
    output(&f, "y FP32 1 8");
    f.outputs[0].shape_unchecked = true;
    completes(&f, "output: {name: y, dims: [-1, 1, 8210]}");
    assert_string_equal(seen(&f), "x FP32 [2]; y FP32 [-1,1,8210]");
    assert_true(f.seen.outputs[0].shape_unchecked);
    tear_down(&f);
}

static void what_contradicts_the_file_is_refused(void **state)
{
    (void)state;
    static const struct row {
        const char *yaml, *want;
    } rows[] = {
        { "name: other", "model.yaml:1: name is \"other\", but the model is called \"m\"" },
        { "backend: echo\nplatform: echo",
          "model.yaml:2: platform is \"echo\", but the file is \"onnxruntime_onnx\"" },
        { "input:\n- {name: imgae}",
          "model.yaml:2: the file has no input \"imgae\"; its inputs are \"image\"" },
        { "input:\n- {dims: [1]}", "model.yaml:2: an input without a name" },
        { "input:\n- {name: image}\n- {name: image}",
          "model.yaml:3: input \"image\" is there twice" },
        { "output:\n- {name: logits}\n- {name: probs}",
          "model.yaml:3: the file has no output \"probs\"; its outputs are \"logits\"" },
        { "input: {name: image, data_type: TYPE_UINT8}",
          "model.yaml:1: input \"image\": the configuration says TYPE_UINT8, the file TYPE_FP32" },
        { "input: {name: image, dims: [3, 224, 224]}",
          "model.yaml:1: input \"image\": the configuration says [3,224,224], the file "
          "[-1,3,224,224]" },
        { "max_batch_size: 2\ninput: {name: image, dims: [1, 224, 224]}",
          "model.yaml:2: input \"image\": the configuration says [1,224,224], the file "
          "[3,224,224] (both without the batch dimension)" },
        { "input: {name: image, dims: [-1, 3, 224, -2]}",
          "model.yaml:1: input \"image\": a dimension is a size, or -1 for any" },
        { "input: {name: image, dims: [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}",
          "model.yaml:1: input \"image\": more than 16 dimensions" },
        { "input: {name: image, reshape: {shape: [1]}}",
          "model.yaml:1: input \"image\": a reshape needs dims" },
        { "max_batch_size: 2\noutput: {name: logits, dims: [10, 10], reshape: {shape: [1000]}}",
          "model.yaml:2: output \"logits\": [10,10] cannot be reshaped to [1000]" },
        { "max_batch_size: 2\noutput: {name: logits, dims: [10, 10], reshape: {shape: [100]}}",
          "model.yaml:2: output \"logits\": the configuration says [100], the file [1000] (both "
          "without the batch dimension)" },
        { "input: {name: image, optional: true}",
          "model.yaml:1: input \"image\": the configuration says optional, but the file needs "
          "it" },
        { "max_batchsize: 4",
          "model.yaml:1: unknown key \"max_batchsize\"; did you mean \"max_batch_size\"?" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        set_up(&f);
        image_model(&f);
        print_message("%s\n", r->yaml);
        assert_int_equal(complete(&f, r->yaml).code, TRP_INVALID_ARGUMENT);
        assert_string_equal(f.err.text, r->want);
        tear_down(&f);
    }
}

static void what_the_file_needs_may_not_be_left_out(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    input(&f, "a FP32 2");
    input(&f, "b FP32 2");
    output(&f, "y FP32 2");
    output(&f, "z FP32 2");
    assert_int_equal(complete(&f, "input:\n- {name: b}").code, TRP_INVALID_ARGUMENT);
    assert_string_equal(f.err.text, "model.yaml:1: input \"a\" of the file is missing; list every "
                                    "input, or none");
    tear_down(&f);
}

/* Also the one that has no room for a batch may go, when clients never get it. */
static void outputs_that_are_not_listed_are_hidden(void **state)
{
    (void)state;
    static const struct row {
        const char *yaml, *want;
    } rows[] = {
        { NULL, "x FP32 [-1,2]; a FP32 [-1,2]; b FP32 [5]; c INT64 [-1]" },
        { "output:\n- {name: c}\n- {name: a}", "x FP32 [-1,2]; c INT64 [-1]; a FP32 [-1,2]" },
        { "output: {name: b}", "x FP32 [-1,2]; b FP32 [5]" },
        { "max_batch_size: 4\noutput: {name: a, dims: [2]}", "x FP32 [-1,2]; a FP32 [-1,2]" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        set_up(&f);
        input(&f, "x FP32 -1 2");
        output(&f, "a FP32 -1 2");
        output(&f, "b FP32 5");
        output(&f, "c INT64 -1");
        completes(&f, r->yaml);
        assert_string_equal(seen(&f), r->want);
        tear_down(&f);
    }
}

static void a_hidden_output_is_not_shown_either(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    input(&f, "x FP32 2");
    output(&f, "y FP32 2");
    output(&f, "z FP32 2");
    completes(&f, "output: {name: z}");
    assert_non_null(strstr(json(&f), "\"output\":[{\"name\":\"z\",\"data_type\":\"TYPE_FP32\","
                                     "\"dims\":[2]}],"));
    assert_int_equal(f.seen.outputs_n, 1);
    tear_down(&f);
}

static void batches_need_a_free_first_dimension_everywhere(void **state)
{
    (void)state;
    static const struct row {
        const char *input, *output, *want;
    } rows[] = {
        { "x FP32 1 3", "y FP32 -1",
          "max_batch_size is 8, but input \"x\" has no free first dimension in the file: its shape "
          "is [1,3]" },
        { "x FP32", "y FP32 -1",
          "max_batch_size is 8, but input \"x\" has no free first dimension in the file: its shape "
          "is []" },
        { "x FP32 -1", "y FP32 5",
          "max_batch_size is 8, but output \"y\" has no free first dimension in the file: its "
          "shape is [5]" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        set_up(&f);
        input(&f, r->input);
        output(&f, r->output);
        assert_int_equal(complete(&f, "max_batch_size: 8").code, TRP_INVALID_ARGUMENT);
        assert_string_equal(f.err.text, r->want);
        tear_down(&f);
    }
}

static void too_little_memory_is_said_wherever_it_ends(void **state)
{
    (void)state;
    static const struct trp_str labels[] = { { "cat", 3 }, { "dog", 3 } };
    struct fixture f;
    static const struct trp_str names[] = { { "batch", 5 }, { 0 } };
    struct trp_node *written;
    set_up(&f);
    input(&f, "x FP32 -1 3");
    input(&f, "id? INT64 -1");
    output(&f, "y FP32 -1 2");
    f.inputs[0].dim_names = names;
    f.outputs[0].labels = labels;
    f.outputs[0].labels_n = 2;
    assert_int_equal(trp_model_config_parse(&f.arena,
                                            TRP_STR_LIT("max_batch_size: 4\nname: m\n"
                                                        "input: {name: x, dims: [3]}\n"
                                                        "output: {name: y, label_filename: l}\n"
                                                        "parameters: {a: {string_value: b}}\n"
                                                        "optimization: {graph: {level: 1}}\n"),
                                            "model.yaml", &written, NULL, &f.err)
                         .code,
                     TRP_OK);
    trp_status st;
    uint64_t blocks = 0;
    do {
        struct scarce scarce;
        struct trp_arena a;
        struct trp_error err = { 0 };
        trp_arena_init(&a, scarce_init(&scarce, blocks++), 1, 0);
        st = trp_model_config_complete(&a, TRP_STR_LIT("m"), written, &f.file, &f.config, &f.seen,
                                       &err);
        assert_true(!trp_failed(st) || st.code == TRP_OUT_OF_MEMORY);
        assert_int_equal(st.code, err.status.code);
        trp_arena_deinit(&a);
        assert_int_equal(trp_counter_get(&scarce.out), 0);
    } while (trp_failed(st));
    assert_true(blocks > 50);
    tear_down(&f);
}

/* ---- before the file is looked at ---- */

static trp_status peek(struct fixture *f, const char *yaml)
{
    struct trp_node *written;
    const trp_status st =
        trp_model_config_parse(&f->arena, trp_str_of(yaml), "model.yaml", &written, NULL, &f->err);
    if (trp_failed(st))
        fail_msg("%s", f->err.text);
    return trp_model_config_peek(&f->arena, written, &f->config, &f->err);
}

static void peeking_takes_out_what_finds_the_file(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    assert_int_equal(peek(&f, "name: m\nplatform: onnxruntime_onnx\nmax_batch_size: 4\n"
                              "default_model_filename: net.onnx\nload: startup\n"
                              "version_policy: {specific: {versions: [3, 1]}}\n"
                              "instance_group: [{count: 2, kind: KIND_CPU}, {count: 3}]\n"
                              "optimization: {graph: {level: -1}}\n"
                              "parameters: {enable_mem_arena: {string_value: 0}}\n")
                         .code,
                     TRP_OK);
    const struct trp_model_config *c = &f.config;
    assert_string_equal(c->name.ptr, "m");
    assert_string_equal(c->backend.ptr, "onnxruntime");
    assert_string_equal(c->default_file.ptr, "net.onnx");
    assert_int_equal(c->batch_max, 4);
    assert_int_equal(c->load, TRP_LOAD_STARTUP);
    assert_int_equal(c->versions.kind, TRP_VERSIONS_SPECIFIC);
    assert_int_equal(c->versions.specific_n, 2);
    assert_int_equal(c->versions.specific[0], 3);
    assert_int_equal(c->instances, 5);
    assert_int_equal(c->options_n, 2);
    assert_string_equal(c->options[0].key, "enable_mem_arena");
    assert_string_equal(c->options[0].value, "0");
    assert_string_equal(c->options[1].key, "graph.level");
    assert_string_equal(c->options[1].value, "-1");
    tear_down(&f);
}

static void accelerators_of_gpus_reach_the_backend_by_name(void **state)
{
    (void)state;
    static const char *const wanted[][2] = {
        { "gpu_mem_limit", "100" },
        { "gpu_execution_accelerator", "tensorrt" },
        { "gpu_execution_accelerator.tensorrt.precision", "FP16" },
        { "gpu_execution_accelerator", "cuda" },
        { "gpu_execution_accelerator.cuda.use_tf32", "0" },
        { "gpu_execution_accelerator.cuda.prefer_nhwc", "1" },
        { "gpu_execution_accelerator", "graph" },
        { "gpu_execution_accelerator.graph.level", "99" },
        { "gpu_execution_accelerator", "" },
        { "graph.level", "1" },
    };
    struct fixture f;
    set_up(&f);
    assert_int_equal(peek(&f,
                          "parameters: {gpu_mem_limit: {string_value: 100}}\n"
                          "optimization:\n"
                          "  graph: {level: 1}\n"
                          "  execution_accelerators:\n"
                          "    gpu_execution_accelerator:\n"
                          "    - {name: tensorrt, parameters: {precision: FP16}}\n"
                          "    - {name: cuda, parameters: {use_tf32: \"0\", prefer_nhwc: \"1\"}}\n"
                          "    - {name: graph, parameters: {level: \"99\"}}\n"
                          "    - {}\n"
                          "    cpu_execution_accelerator: [{name: openvino, parameters: {a: b}}]\n")
                         .code,
                     TRP_OK);
    const struct trp_model_config *c = &f.config;
    assert_int_equal(c->options_n, ARRAY_LEN(wanted));
    for (uint32_t i = 0; i < c->options_n; i++) {
        assert_string_equal(c->options[i].key, wanted[i][0]);
        assert_string_equal(c->options[i].value, wanted[i][1]);
    }
    tear_down(&f);
}

static void peeking_at_nothing_gives_the_defaults(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    assert_int_equal(trp_model_config_peek(&f.arena, NULL, &f.config, &f.err).code, TRP_OK);
    assert_int_equal(f.config.versions.kind, TRP_VERSIONS_LATEST);
    assert_int_equal(f.config.versions.latest_n, 1);
    assert_int_equal(f.config.load, TRP_LOAD_DEFAULT);
    assert_int_equal(f.config.backend.len, 0);
    assert_int_equal(f.config.options_n, 0);
    assert_int_equal(peek(&f, "version_policy: {latest: {num_versions: 3}}").code, TRP_OK);
    assert_int_equal(f.config.versions.latest_n, 3);
    assert_int_equal(peek(&f, "version_policy: {all: }\ninstance_group: [{count: 2}, {}]").code,
                     TRP_OK);
    assert_int_equal(f.config.versions.kind, TRP_VERSIONS_ALL);
    assert_int_equal(f.config.instances, 0); /* one group has no limit */
    tear_down(&f);
}

static void cores_and_the_hint_are_taken(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_cores allowed;
    set_up(&f);
    assert_true(trp_cores_parse(TRP_STR_LIT("0-3"), &allowed));
    assert_int_equal(peek(&f, "cores: \"0-1,3\"\nhint: latency\n").code, TRP_OK);
    assert_int_equal(f.config.hint, TRP_HINT_LATENCY);
    assert_true(trp_cores_is_within(f.config.cores, &allowed));
    assert_int_equal(trp_slot_groups_check(f.config.tree, &allowed, &f.err).code, TRP_OK);
    assert_int_equal(peek(&f, "cores: 4").code, TRP_OK);
    assert_int_equal(f.config.hint, TRP_HINT_THROUGHPUT);
    assert_int_equal(trp_slot_groups_check(f.config.tree, &allowed, &f.err).code,
                     TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(f.err.text, "cores is \"4\"; this server may run on 0-3"));
    assert_int_equal(peek(&f, "name: m").code, TRP_OK);
    assert_null(f.config.cores);
    assert_int_equal(trp_slot_groups_check(f.config.tree, &allowed, &f.err).code, TRP_OK);
    assert_int_equal(peek(&f, "instance_group: [{count: 2, cores: \"0-1,3\"}]").code, TRP_OK);
    assert_true(trp_cores_is_within(f.config.cores, &allowed));
    assert_int_equal(peek(&f, "instance_group: [{cores: 5}, {count: 1, cores: 5-5}]").code, TRP_OK);
    assert_int_equal(trp_slot_groups_check(f.config.tree, &allowed, &f.err).code,
                     TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(f.err.text, "cores is \"5\"; this server may run on 0-3"));
    assert_int_equal(peek(&f, "cores: 1\ninstance_group: [{count: 2}, {cores: 1-1}]").code, TRP_OK);
    assert_non_null(f.config.cores);
    assert_null(f.config.groups);
    assert_int_equal(peek(&f, "cores: all").code, TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(f.err.text, ":1: cores is \"all\"; it is a list of cores"));
    tear_down(&f);
}

static void what_was_not_written_about_keeping_is_the_servers(void **state)
{
    (void)state;
    struct fixture f;
    const struct trp_keeping server = { TRP_S(60), 1 << 20, 20, true };
    set_up(&f);
    assert_int_equal(peek(&f, "load: background\nkeep_alive: 5m\npin: false\n").code, TRP_OK);
    assert_int_equal(f.config.keeping.keep_alive_ns, TRP_S(300));
    assert_int_equal(f.config.keeping.priority, TRP_KEEPING_PRIORITY);
    trp_model_config_default(&f.config, TRP_LOAD_STARTUP, &server);
    assert_int_equal(f.config.load, TRP_LOAD_BACKGROUND);
    assert_int_equal(f.config.keeping.keep_alive_ns, TRP_S(300));
    assert_false(f.config.keeping.pin);
    assert_int_equal(f.config.keeping.priority, 20);
    assert_int_equal(f.config.keeping.max_bytes, 1 << 20);
    tear_down(&f);

    set_up(&f);
    assert_int_equal(peek(&f, "keep_alive: forever\npriority: 7\nmax_bytes: 2MiB\n").code, TRP_OK);
    trp_model_config_default(&f.config, TRP_LOAD_DEFAULT, &server);
    assert_int_equal(f.config.load, TRP_LOAD_ON_DEMAND);
    assert_int_equal(f.config.keeping.keep_alive_ns, TRP_KEEP_ALIVE_NONE);
    assert_true(f.config.keeping.pin);
    assert_int_equal(f.config.keeping.priority, 7);
    assert_int_equal(f.config.keeping.max_bytes, 2 << 20);
    tear_down(&f);
}

static void who_asks_for_batches_is_told_apart(void **state)
{
    (void)state;
    static const struct row {
        const char *yaml;
        enum trp_batching want;
    } rows[] = {
        { "max_batch_size: 8", TRP_BATCHING_AUTO },
        { "max_batch_size: 8\ndynamic_batching: {}", TRP_BATCHING_ON },
        { "max_batch_size: 8\ndynamic_batching: {}\nbatching: off", TRP_BATCHING_OFF },
        { "max_batch_size: 1\ndynamic_batching: {}", TRP_BATCHING_AUTO },
        { "dynamic_batching: {}", TRP_BATCHING_AUTO },
        { "batching: on", TRP_BATCHING_ON },
        { "batching: 'off'", TRP_BATCHING_OFF },
        { "batching: auto", TRP_BATCHING_AUTO },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        print_message("%s\n", r->yaml);
        set_up(&f);
        assert_int_equal(peek(&f, r->yaml).code, TRP_OK);
        assert_int_equal(f.config.batching, r->want);
        tear_down(&f);
    }
}

static void how_batches_are_formed_is_taken_out_in_order(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    assert_int_equal(
        peek(&f, "max_batch_size: 32\ndynamic_batching: {preferred_batch_size: [16, 4, 8], "
                 "max_queue_delay_microseconds: 250}\n")
            .code,
        TRP_OK);
    const struct trp_joining_wishes *w = f.config.joining;
    assert_int_equal(w->delay_ns, 250000);
    assert_int_equal(w->preferred_n, 3);
    assert_int_equal(w->preferred[0], 4);
    assert_int_equal(w->preferred[1], 8);
    assert_int_equal(w->preferred[2], 16);
    assert_int_equal(peek(&f, "max_batch_size: 32\ndynamic_batching: {}\n").code, TRP_OK);
    w = f.config.joining;
    assert_int_equal(w->delay_ns, 0);
    assert_int_equal(w->preferred_n, 0);
    tear_down(&f);
}

static void runs_of_sequences_are_formed_as_their_strategy_says(void **state)
{
    (void)state;
    static const struct row {
        const char *yaml;
        int64_t delay_ns;
        uint32_t preferred_n, enough;
    } rows[] = {
        { "sequence_batching: {oldest: {max_candidate_sequences: 4, preferred_batch_size: [2, 8], "
          "max_queue_delay_microseconds: 300}}",
          300000, 2, 0 },
        { "sequence_batching: {oldest: {max_candidate_sequences: 4}}", 0, 0, 0 },
        { "sequence_batching: {direct: {max_queue_delay_microseconds: 300, "
          "minimum_slot_utilization: 0.7}}",
          300000, 0, 6 },
        { "sequence_batching: {direct: {max_queue_delay_microseconds: 300, "
          "minimum_slot_utilization: 0.5}}",
          300000, 0, 4 },
        { "sequence_batching: {direct: {max_queue_delay_microseconds: 300}}", 0, 0, 0 },
        { "sequence_batching: {direct: {max_queue_delay_microseconds: 300, "
          "minimum_slot_utilization: 0.1}}",
          0, 0, 1 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        char yaml[256];
        set_up(&f);
        (void)snprintf(yaml, sizeof yaml, "max_batch_size: 8\n%s\n", r->yaml);
        assert_int_equal(peek(&f, yaml).code, TRP_OK);
        const struct trp_joining_wishes *w = f.config.joining;
        assert_non_null(w);
        assert_int_equal(w->delay_ns, r->delay_ns);
        assert_int_equal(w->preferred_n, r->preferred_n);
        assert_int_equal(w->rows_enough, r->enough);
        tear_down(&f);
    }
}

static void peeking_refuses_what_cannot_be_served(void **state)
{
    (void)state;
    static const struct row {
        const char *yaml;
        int code;
        const char *want;
    } rows[] = {
        { "keep_alive: soon", TRP_INVALID_ARGUMENT,
          "model.yaml:1: keep_alive is \"soon\"; it is a duration, such as 5m, or forever" },
        { "max_bytes: much", TRP_INVALID_ARGUMENT,
          "model.yaml:1: max_bytes is \"much\"; it is bytes, such as 512MiB or 2GiB" },
        { "priority: 0", TRP_INVALID_ARGUMENT, "model.yaml:1: priority is 0; it is 1 to 100" },
        { "priority: 101", TRP_INVALID_ARGUMENT, "model.yaml:1: priority is 101; it is 1 to 100" },
        { "platform: tensorflow_graphdef", TRP_INVALID_ARGUMENT,
          "model.yaml:1: platform \"tensorflow_graphdef\" is not served here; onnxruntime_onnx "
          "is" },
        { "platform: onnxruntime_onnx\nbackend: echo", TRP_INVALID_ARGUMENT,
          "model.yaml:1: platform \"onnxruntime_onnx\" does not belong to backend \"echo\"" },
        { "max_batch_size: -1", TRP_INVALID_ARGUMENT,
          "model.yaml:1: max_batch_size is -1; it is 0 or more" },
        { "version_policy: {specific: {}}", TRP_INVALID_ARGUMENT,
          "model.yaml:1: version_policy: specific names no version" },
        { "version_policy:\n  specific:\n    versions: [-1]", TRP_INVALID_ARGUMENT,
          "model.yaml:3: version_policy: -1 is no version" },
        { "instance_group: {count: -1}", TRP_INVALID_ARGUMENT,
          "model.yaml:1: instance_group: count is -1; it is 0 or more" },
        { "dynamic_batching: {max_queue_delay_microseconds: 60000001}", TRP_INVALID_ARGUMENT,
          "model.yaml:1: max_queue_delay_microseconds is 60000001; it is 60000000 at most" },
        { "dynamic_batching: {preferred_batch_size: [0]}", TRP_INVALID_ARGUMENT,
          "model.yaml:1: preferred_batch_size is 0; it is 1 or more" },
        { "max_batch_size: 4\ndynamic_batching: {preferred_batch_size: [4, 5]}",
          TRP_INVALID_ARGUMENT,
          "model.yaml:2: preferred_batch_size is 5, but max_batch_size is 4" },
        { "sequence_batching: {direct: {minimum_slot_utilization: 1.5}}", TRP_INVALID_ARGUMENT,
          "model.yaml:1: minimum_slot_utilization is 1.5; it is 0 to 1" },
        { "sequence_batching: {oldest: {max_queue_delay_microseconds: 60000001}}",
          TRP_INVALID_ARGUMENT,
          "model.yaml:1: max_queue_delay_microseconds is 60000001; it is 60000000 at most" },
        { "dynamic_batching: {preferred_batch_size: "
          "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]}",
          TRP_TOO_LARGE, "model.yaml:1: preferred_batch_size: more than 16 sizes" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        set_up(&f);
        assert_int_equal(peek(&f, r->yaml).code, r->code);
        assert_string_equal(f.err.text, r->want);
        tear_down(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_configuration_a_model_is_what_its_file_says),
        cmocka_unit_test(labels_of_the_file_reach_the_clients),
        cmocka_unit_test(clients_see_file_and_configuration_together),
        cmocka_unit_test(a_batched_scalar_is_shown_as_one_element),
        cmocka_unit_test(what_was_written_is_kept_and_ordered),
        cmocka_unit_test(an_optional_input_may_be_made_required),
        cmocka_unit_test(a_tensor_of_any_rank_takes_the_rank_that_is_written),
        cmocka_unit_test(an_output_known_to_be_declared_wrongly_is_not_held_to_it),
        cmocka_unit_test(what_contradicts_the_file_is_refused),
        cmocka_unit_test(what_the_file_needs_may_not_be_left_out),
        cmocka_unit_test(outputs_that_are_not_listed_are_hidden),
        cmocka_unit_test(a_hidden_output_is_not_shown_either),
        cmocka_unit_test(batches_need_a_free_first_dimension_everywhere),
        cmocka_unit_test(too_little_memory_is_said_wherever_it_ends),
        cmocka_unit_test(peeking_takes_out_what_finds_the_file),
        cmocka_unit_test(accelerators_of_gpus_reach_the_backend_by_name),
        cmocka_unit_test(peeking_at_nothing_gives_the_defaults),
        cmocka_unit_test(what_was_not_written_about_keeping_is_the_servers),
        cmocka_unit_test(cores_and_the_hint_are_taken),
        cmocka_unit_test(who_asks_for_batches_is_told_apart),
        cmocka_unit_test(how_batches_are_formed_is_taken_out_in_order),
        cmocka_unit_test(runs_of_sequences_are_formed_as_their_strategy_says),
        cmocka_unit_test(peeking_refuses_what_cannot_be_served),
    };
    return cmocka_run_group_tests_name("model_config", tests, NULL, NULL);
}

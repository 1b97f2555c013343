/* Built-in steps: what they say of shapes at load, what they refuse, and that they run within
 * what they planned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "compose/tensor_ops.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define IO(type, ...)                                                                         \
    {                                                                                         \
        .dtype = TROUPE_##type, .rank = sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), \
        .dims = {                                                                             \
            __VA_ARGS__                                                                       \
        }                                                                                     \
    }
#define ANY(type)                                \
    {                                            \
        .dtype = TROUPE_##type, .any_rank = true \
    }
#define OP(kind_, ...) .op = { .kind = TRP_TENSOR_OP_##kind_, __VA_ARGS__ }

static const struct inferred {
    struct trp_tensor_op op;
    struct trp_io in[3];
    uint32_t in_n;
    const char *gives, *says; /* "FP32 [2,3]", or what is wrong */
} inferred[] = {
    { OP(SOFTMAX, .axis = -1), { IO(FP16, -1, 10) }, 1, "FP16 [-1,10]", "" },
    { OP(SOFTMAX, .axis = 2), { IO(FP16, -1, 10) }, 1, "", "expected a shape that has axis 2" },
    { OP(SOFTMAX, .axis = 0), { { .dtype = TROUPE_FP32 } }, 1, "", "input 0 is FP32 []" },
    { OP(SOFTMAX, .axis = -1), { IO(INT32, 4) }, 1, "", "is INT32 [4], expected FP16, BF16" },
    { OP(SOFTMAX, .axis = -1), { ANY(FP32) }, 1, "FP32 any", "" },
    { OP(ARGMAX, .axis = 1), { IO(FP32, 2, 3, 4) }, 1, "INT64 [2,4]", "" },
    { OP(ARGMAX, .axis = -1), { IO(UINT8, 5) }, 1, "INT64 []", "" },
    { OP(ARGMAX, .axis = 1, .keep_axis = true), { IO(FP32, 2, 3, 4) }, 1, "INT64 [2,1,4]", "" },
    { OP(ARGMAX, .axis = 0), { IO(FP32, 0, 3) }, 1, "", "expected at least 1 along axis 0" },
    { OP(ARGMAX, .axis = 0), { IO(BYTES, 3) }, 1, "", "expected numbers" },
    { OP(TOP_K, .axis = -1, .k = 3), { IO(BF16, -1, 5) }, 1, "BF16 [-1,3] INT64 [-1,3]", "" },
    { OP(TOP_K, .axis = -1, .k = 3), { IO(FP32, 4, -1) }, 1, "FP32 [4,3] INT64 [4,3]", "" },
    { OP(TOP_K, .axis = -1, .k = 6), { IO(FP32, -1, 5) }, 1, "", "at least 6 along axis -1" },
    { OP(TOP_K, .axis = -1, .k = 0), { IO(FP32, -1, 5) }, 1, "", "k is 0, expected 1 or more" },
    { OP(NORMALISE, .to_layout = TRP_LAYOUT_NCHW, .mean_n = 3),
      { IO(UINT8, -1, 8, 9, 3) },
      1,
      "FP32 [-1,3,8,9]",
      "" },
    { OP(NORMALISE, .layout = TRP_LAYOUT_NCHW, .to = TROUPE_FP16),
      { IO(UINT8, 3, 8, 9) },
      1,
      "FP16 [8,9,3]",
      "" },
    { OP(NORMALISE, .mean_n = 4),
      { IO(UINT8, 8, 9, 3) },
      1,
      "",
      "mean has 4 numbers, the picture 3" },
    { OP(NORMALISE, .std_n = 1), { IO(UINT8, 8, 9, 3) }, 1, "", "std is 0" },
    { OP(NORMALISE, .to = TROUPE_INT8),
      { IO(UINT8, 8, 9, 3) },
      1,
      "",
      "to is INT8, expected FP16" },
    { OP(NORMALISE), { IO(UINT8, 8, 9) }, 1, "", "expected [h, w, c] or [n, h, w, c]" },
    { OP(RESIZE, .height = 2, .width = 3),
      { IO(UINT8, -1, -1, -1, 3) },
      1,
      "UINT8 [-1,2,3,3]",
      "" },
    { OP(RESIZE, .height = 2, .width = 3, .layout = TRP_LAYOUT_NCHW),
      { IO(FP32, 3, 8, 9) },
      1,
      "FP32 [3,2,3]",
      "" },
    { OP(RESIZE, .height = 2), { IO(FP32, 3, 8, 9) }, 1, "", "size is [2, 0], expected" },
    { OP(RESIZE, .height = 2, .width = 3), { IO(FP32, 0, 8, 9) }, 1, "", "a picture with pixels" },
    { OP(DECODE), { IO(BYTES, -1) }, 1, "UINT8 [-1,-1,-1,3]", "" },
    { OP(DECODE, .channels = 1, .height = 5, .width = 6),
      { IO(BYTES, 4, 1) },
      1,
      "UINT8 [4,5,6,1]",
      "" },
    { OP(DECODE), { IO(UINT8, -1) }, 1, "", "is UINT8 [-1], expected BYTES [n] or [n, 1]" },
    { OP(DECODE), { IO(BYTES, 4, 2) }, 1, "", "expected BYTES [n] or [n, 1]" },
    { OP(DECODE, .channels = 2), { IO(BYTES, 4) }, 1, "", "channels is 2, expected 1, 3 or 4" },
    { OP(CONCATENATE, .axis = 1), { IO(FP32, -1, 2), IO(FP32, 4, 3) }, 2, "FP32 [4,5]", "" },
    { OP(CONCATENATE, .axis = 0), { IO(FP32, -1, 2), IO(FP32, 4, 2) }, 2, "FP32 [-1,2]", "" },
    { OP(CONCATENATE, .axis = 0), { IO(BYTES, 2), IO(BYTES, 4) }, 2, "BYTES [6]", "" },
    { OP(CONCATENATE, .axis = 0),
      { IO(FP32, 2, 2), IO(FP32, 4, 3) },
      2,
      "",
      "input 1 is FP32 [4,3], expected FP32 [2,2] but for axis 0" },
    { OP(CONCATENATE, .axis = 0), { IO(FP32, 2), IO(FP64, 2) }, 2, "", "input 1 is FP64 [2]" },
    { OP(CONCATENATE, .axis = 0), { IO(FP32, INT64_MAX), IO(FP32, 1) }, 2, "", "input 1 is" },
    { OP(CONCATENATE, .axis = 0), { IO(FP32, 2) }, 0, "", "0 inputs, takes 1 to 64" },
    { OP(GATHER, .axis = 1), { IO(FP32, 2, 3, 4), IO(INT64, 5, -1) }, 2, "FP32 [2,5,-1,4]", "" },
    { OP(GATHER, .axis = 0), { IO(BYTES, 10), { .dtype = TROUPE_INT32 } }, 2, "BYTES []", "" },
    { OP(GATHER, .axis = 0),
      { IO(FP32, 2), IO(FP32, 5) },
      2,
      "",
      "input 1 is FP32 [5], expected INT32" },
    { OP(GATHER, .axis = 0), { IO(FP32, 2), ANY(INT32) }, 2, "FP32 any", "" },
    { OP(GATHER, .axis = 0), { IO(FP32, 2) }, 1, "", "1 inputs, takes 2 to 2" },
    { OP(GATHER, .axis = 0),
      { IO(FP32, 1, 1, 1, 1, 1, 1, 1, 1), IO(INT64, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1) },
      2,
      "",
      "rank 16 at most" },
    { OP(THRESHOLD, .value = 0.5), { IO(FP32, 2) }, 1, "BOOL [2]", "" },
    { OP(THRESHOLD, .to = TROUPE_FP32), { IO(INT8, 2) }, 1, "FP32 [2]", "" },
    { OP(CAST, .to = TROUPE_INT64), { IO(FP32, -1) }, 1, "INT64 [-1]", "" },
    { OP(CAST), { IO(FP32, -1) }, 1, "", "to is , expected a type of numbers" },
    { OP(CAST, .to = TROUPE_INT64), { IO(BYTES, -1) }, 1, "", "is BYTES [-1], expected numbers" },
};

static void print_outputs(const struct trp_io *out, uint32_t n, char *text, size_t size)
{
    size_t used = 0;
    for (uint32_t i = 0; i < n; i++) {
        char shape[128];
        used += (size_t)snprintf(
            text + used, size - used, "%s%s %s", i > 0 ? " " : "", trp_dtype_name(out[i].dtype),
            out[i].any_rank ? "any"
                            : trp_shape_format(out[i].dims, out[i].rank, shape, sizeof shape));
    }
}

static void outputs_are_known_before_there_is_a_tensor(void **state)
{
    (void)state;
    for (const struct inferred *r = inferred; r < inferred + ARRAY_LEN(inferred); r++) {
        struct trp_io out[TRP_TENSOR_OP_OUTPUTS_MAX];
        struct trp_error err = { 0 };
        char text[300] = "";
        uint32_t least, most, out_n;
        trp_tensor_op_counts(&r->op, &least, &most, &out_n);
        if (!trp_failed(trp_tensor_op_infer(&r->op, r->in, r->in_n, out, &err)))
            print_outputs(out, out_n, text, sizeof text);
        if (strcmp(text, r->gives) != 0 || !strstr(err.text, r->says))
            fail_msg("row %d: \"%s\" \"%s\", expected \"%s\" \"%s\"", (int)(r - inferred), text,
                     err.text, r->gives, r->says);
    }
}

static void messages_name_the_input(void **state)
{
    (void)state;
    const struct trp_tensor_op op = { .kind = TRP_TENSOR_OP_SOFTMAX, .axis = -1 };
    struct trp_io in = IO(INT32, 4), out;
    struct trp_error err = { 0 };
    in.name = TRP_STR_LIT("scores");
    assert_true(trp_failed(trp_tensor_op_infer(&op, &in, 1, &out, &err)));
    assert_string_equal(err.text,
                        "input 0 (scores) is INT32 [4], expected FP16, BF16, FP32 or FP64");
}

/* ---- runs, in memory of exactly the planned size ---- */

static const struct trp_tensor_op_limits *no_limits(void)
{
    static const struct trp_tensor_op_limits none = { 0 };
    return &none;
}

struct outcome {
    struct troupe_tensor out[TRP_TENSOR_OP_OUTPUTS_MAX];
    struct trp_tensor_op_scratch scratch;
    uint32_t out_n;
    trp_status st;
    struct trp_error err;
};

static void run(const struct trp_tensor_op *op, const struct troupe_tensor *in, uint32_t in_n,
                struct outcome *o)
{
    struct trp_tensor_op_limits limits = *no_limits();
    uint32_t least, most;
    limits.alloc = trp_heap();
    *o = (struct outcome){ 0 };
    trp_tensor_op_counts(op, &least, &most, &o->out_n);
    o->st = trp_tensor_op_plan(op, &limits, in, in_n, o->out, &o->scratch, &o->err);
    if (trp_failed(o->st))
        return;
    for (uint32_t i = 0; i < o->out_n; i++) {
        o->out[i].data = malloc(o->out[i].bytes + 1);
        assert_non_null(o->out[i].data);
    }
    o->scratch.ptr = malloc(o->scratch.bytes + 1);
    assert_non_null(o->scratch.ptr);
    o->st = trp_tensor_op_run(op, &limits, in, in_n, o->out, &o->scratch, &o->err);
}

static void drop(struct outcome *o)
{
    for (uint32_t i = 0; i < o->out_n; i++)
        free(o->out[i].data);
    free(o->scratch.ptr);
}

static struct troupe_tensor floats(float *data, uint64_t bytes, int64_t rows, int64_t columns)
{
    return (struct troupe_tensor){
        .dtype = TROUPE_FP32, .rank = 2, .shape = { rows, columns }, .data = data, .bytes = bytes
    };
}

static void the_best_are_found_in_order(void **state)
{
    (void)state;
    float x[] = { 1, 5, 5, 2, 9, 0, 1, 1 };
    const struct troupe_tensor in = floats(x, sizeof x, 2, 4);
    const struct trp_tensor_op op = { .kind = TRP_TENSOR_OP_TOP_K, .axis = 1, .k = 3 };
    const float values[] = { 5, 5, 2, 9, 1, 1 };
    const int64_t indices[] = { 1, 2, 3, 0, 2, 3 };
    struct outcome o;
    run(&op, &in, 1, &o);
    assert_false(trp_failed(o.st));
    assert_memory_equal(o.out[0].data, values, sizeof values);
    assert_memory_equal(o.out[1].data, indices, sizeof indices);
    drop(&o);
}

static void an_output_that_nobody_wants_is_not_written(void **state)
{
    (void)state;
    float x[] = { 1, 5, 5, 2 };
    int64_t indices[2];
    double scratch[16];
    const struct troupe_tensor in = floats(x, sizeof x, 1, 4);
    const struct trp_tensor_op op = { .kind = TRP_TENSOR_OP_TOP_K, .axis = 1, .k = 2 };
    struct troupe_tensor out[2];
    struct trp_tensor_op_scratch room;
    assert_false(trp_failed(trp_tensor_op_plan(&op, no_limits(), &in, 1, out, &room, NULL)));
    assert_true(room.bytes <= sizeof scratch);
    room.ptr = scratch;
    assert_false(trp_failed(trp_tensor_op_run(&op, no_limits(), &in, 1, out, &room, NULL)));
    out[1].data = indices;
    assert_false(trp_failed(trp_tensor_op_run(&op, no_limits(), &in, 1, out, &room, NULL)));
    assert_int_equal(indices[0], 1);
    assert_int_equal(indices[1], 2);
}

#define ALL(text) (void *)(uintptr_t)(text), sizeof(text) - 1

static struct troupe_tensor strings(int64_t n, void *data, uint64_t bytes)
{
    return (struct troupe_tensor){
        .dtype = TROUPE_BYTES, .rank = 1, .shape = { n }, .data = data, .bytes = bytes
    };
}

static void names_of_classes_are_gathered(void **state)
{
    (void)state;
    int64_t classes[] = { 2, -3, 1 };
    const struct troupe_tensor in[] = { strings(3, ALL("\3\0\0\0cat\0\0\0\0\3\0\0\0dog")),
                                        { .dtype = TROUPE_INT64,
                                          .rank = 1,
                                          .shape = { 3 },
                                          .data = classes,
                                          .bytes = sizeof classes } };
    const struct trp_tensor_op op = { .kind = TRP_TENSOR_OP_GATHER };
    const char want[] = "\3\0\0\0dog\3\0\0\0cat\0\0\0\0";
    struct outcome o;
    run(&op, in, 2, &o);
    assert_false(trp_failed(o.st));
    assert_int_equal(o.out[0].bytes, sizeof want - 1);
    assert_memory_equal(o.out[0].data, want, sizeof want - 1);
    drop(&o);
    classes[1] = 3;
    run(&op, in, 2, &o);
    assert_int_equal(o.st.code, TRP_INVALID_ARGUMENT);
    assert_string_equal(o.err.text, "gather: index 3, of 3 elements");
    drop(&o);
}

/* A client may write to its shared memory while a step reads it. */
static void what_changed_since_the_plan_is_refused(void **state)
{
    (void)state;
    char data[] = "\1\0\0\0a\1\0\0\0b", out_data[32], scratch[64];
    int64_t indices[] = { 0, 1 };
    const struct troupe_tensor in[] = {
        strings(2, data, sizeof data - 1),
        { .dtype = TROUPE_INT64, .rank = 1, .shape = { 2 }, .data = indices, .bytes = 16 }
    };
    struct trp_tensor_op_limits limits = { .alloc = trp_heap() };
    struct trp_tensor_op op = { .kind = TRP_TENSOR_OP_GATHER };
    struct trp_tensor_op_scratch room = { scratch, 0 };
    struct troupe_tensor out;
    assert_false(trp_failed(trp_tensor_op_plan(&op, &limits, in, 2, &out, &room, NULL)));
    out.data = out_data;
    indices[1] = 2;
    assert_true(trp_failed(trp_tensor_op_run(&op, &limits, in, 2, &out, &room, NULL)));
    indices[1] = 1;
    data[0] = 2;
    assert_true(trp_failed(trp_tensor_op_run(&op, &limits, in, 2, &out, &room, NULL)));
    data[0] = 1;
    assert_false(trp_failed(trp_tensor_op_run(&op, &limits, in, 2, &out, &room, NULL)));
    op.kind = TRP_TENSOR_OP_CONCATENATE;
    assert_false(trp_failed(trp_tensor_op_plan(&op, &limits, in, 1, &out, &room, NULL)));
    out.data = out_data;
    data[0] = 127;
    assert_true(trp_failed(trp_tensor_op_run(&op, &limits, in, 1, &out, &room, NULL)));
}

static void empty_tensors_cost_nothing(void **state)
{
    (void)state;
    const struct troupe_tensor empty[] = {
        { .dtype = TROUPE_FP32, .rank = 3, .shape = { INT64_C(1) << 61, 0, INT64_C(1) << 61 } },
        { .dtype = TROUPE_INT64, .rank = 1, .shape = { 0 } },
    };
    const struct troupe_tensor texts[] = {
        { .dtype = TROUPE_BYTES, .rank = 2, .shape = { INT64_C(1) << 61, 0 } },
        { .dtype = TROUPE_INT64, .rank = 1, .shape = { 0 } },
    };
    const struct trp_tensor_op ops[] = {
        { .kind = TRP_TENSOR_OP_SOFTMAX, .axis = 0 },
        { .kind = TRP_TENSOR_OP_ARGMAX, .axis = 0 },
        { .kind = TRP_TENSOR_OP_TOP_K, .axis = 0, .k = 4 },
        { .kind = TRP_TENSOR_OP_NORMALISE },
        { .kind = TRP_TENSOR_OP_CONCATENATE, .axis = 1 },
        { .kind = TRP_TENSOR_OP_GATHER, .axis = 1 },
        { .kind = TRP_TENSOR_OP_THRESHOLD },
        { .kind = TRP_TENSOR_OP_CAST, .to = TROUPE_INT8 },
    };
    for (const struct trp_tensor_op *op = ops; op < ops + ARRAY_LEN(ops); op++) {
        struct outcome o;
        run(op, empty, op->kind == TRP_TENSOR_OP_GATHER ? 2 : 1, &o);
        if (trp_failed(o.st))
            fail_msg("%s", o.err.text);
        assert_int_equal(o.out[0].bytes, 0);
        assert_int_equal(o.scratch.bytes, 0);
        drop(&o);
    }
    struct outcome o;
    run(&ops[5], texts, 2, &o);
    assert_false(trp_failed(o.st));
    drop(&o);
}

static void limits_come_before_memory(void **state)
{
    (void)state;
    float x[] = { 1, 2, 3, 4 };
    struct troupe_tensor in = floats(x, sizeof x, 2, 2), out[2];
    const struct trp_tensor_op_limits limits = { .pixels_max = 99, .output_bytes = 15 };
    struct trp_tensor_op op = { .kind = TRP_TENSOR_OP_CAST, .to = TROUPE_FP32 };
    struct trp_tensor_op_scratch room;
    struct trp_error err = { 0 };
    assert_int_equal(trp_tensor_op_plan(&op, &limits, &in, 1, out, &room, &err).code,
                     TRP_TOO_LARGE);
    assert_int_equal(err.limit, TRP_LIMIT_OUTPUT);
    assert_string_equal(err.text, "cast: gives 16 bytes, at most 15 (limits.output_bytes)");
    in = (struct troupe_tensor){
        .dtype = TROUPE_FP32, .rank = 3, .shape = { 2, 2, 1 }, .data = x, .bytes = 16
    };
    op = (struct trp_tensor_op){ .kind = TRP_TENSOR_OP_RESIZE, .height = 10, .width = 10 };
    assert_int_equal(trp_tensor_op_plan(&op, &limits, &in, 1, out, &room, &err).code,
                     TRP_TOO_LARGE);
    assert_int_equal(err.limit, TRP_LIMIT_IMAGE);
}

static void tensors_that_are_not_what_they_say_are_refused(void **state)
{
    (void)state;
    float x[] = { 1, 2, 3, 4 };
    struct troupe_tensor in = floats(x, sizeof x, 2, 3);
    const struct trp_tensor_op op = { .kind = TRP_TENSOR_OP_THRESHOLD };
    const struct trp_tensor_op gather = { .kind = TRP_TENSOR_OP_CONCATENATE };
    struct outcome o;
    run(&op, &in, 1, &o);
    assert_string_equal(o.err.text, "threshold: input 0 has not the bytes of its shape");
    in = floats(NULL, 16, 2, 2);
    run(&op, &in, 1, &o);
    assert_string_equal(o.err.text, "threshold: input 0 is not there");
    in = floats(x, 16, -1, -4);
    run(&op, &in, 1, &o);
    assert_string_equal(o.err.text, "threshold: input 0 has no shape");
    in = strings(2, ALL("\1\0\0\0a\7\0\0\0b"));
    run(&gather, &in, 1, &o);
    assert_int_equal(o.st.code, TRP_INVALID_ARGUMENT);
}

static void steps_have_names(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < TRP_TENSOR_OPS; i++) {
        const char *name = trp_tensor_op_name((enum trp_tensor_op_kind)i);
        enum trp_tensor_op_kind kind = TRP_TENSOR_OPS;
        assert_true(trp_tensor_op_parse(trp_str_of(name), &kind));
        assert_int_equal(kind, i);
    }
    enum trp_tensor_op_kind kind;
    assert_false(trp_tensor_op_parse(TRP_STR_LIT("sort"), &kind));
    assert_string_equal(trp_tensor_op_near(TRP_STR_LIT("normalize")), "normalise");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_are_known_before_there_is_a_tensor),
        cmocka_unit_test(messages_name_the_input),
        cmocka_unit_test(the_best_are_found_in_order),
        cmocka_unit_test(an_output_that_nobody_wants_is_not_written),
        cmocka_unit_test(names_of_classes_are_gathered),
        cmocka_unit_test(what_changed_since_the_plan_is_refused),
        cmocka_unit_test(empty_tensors_cost_nothing),
        cmocka_unit_test(limits_come_before_memory),
        cmocka_unit_test(tensors_that_are_not_what_they_say_are_refused),
        cmocka_unit_test(steps_have_names),
    };
    return cmocka_run_group_tests_name("tensor_ops", tests, NULL, NULL);
}

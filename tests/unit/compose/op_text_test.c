/* Built-in steps as people write them: every key, and what is said about wrong ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compose/op_text.h"

static const char *const others[] = { "op" };

static trp_status read_text(const char *text, struct trp_tensor_op *op, struct trp_error *err)
{
    struct trp_arena a;
    struct trp_node *map;
    enum trp_tensor_op_kind kind;
    trp_arena_init(&a, trp_heap(), 4096, 0);
    trp_status st = trp_node_from_yaml(&a, trp_str_of(text), "model.yaml", 1000, &map, err);
    if (!trp_failed(st)) {
        assert_true(trp_tensor_op_parse(trp_node_str(map, "op", (struct trp_str){ 0 }), &kind));
        st = trp_op_text_read(map, kind, others, 1, op, err);
    }
    trp_arena_deinit(&a);
    return st;
}

static struct trp_tensor_op read_good(const char *text)
{
    struct trp_tensor_op op;
    struct trp_error err = { 0 };
    if (trp_failed(read_text(text, &op, &err)))
        fail_msg("%s: %s", text, err.text);
    return op;
}

static void every_key_is_read(void **state)
{
    (void)state;
    struct trp_tensor_op op = read_good("{ op: softmax }");
    assert_int_equal(op.axis, -1);
    op = read_good("{ op: concatenate }");
    assert_int_equal(op.axis, 0);
    op = read_good("{ op: argmax, axis: 1, keep_axis: true }");
    assert_int_equal(op.axis, 1);
    assert_true(op.keep_axis);
    op = read_good("{ op: top_k, k: 5, axis: -2 }");
    assert_int_equal(op.k, 5);
    assert_int_equal(op.axis, -2);
    op = read_good("{ op: cast, to: TYPE_FP16 }");
    assert_int_equal(op.to, TROUPE_FP16);
    op = read_good("{ op: threshold, value: -0.5, to: INT8 }");
    assert_true(op.value == -0.5);
    assert_int_equal(op.to, TROUPE_INT8);
    op = read_good("{ op: resize, size: [224, 112], method: area, layout: nchw }");
    assert_int_equal(op.height, 224);
    assert_int_equal(op.width, 112);
    assert_int_equal(op.method, TRP_RESIZE_AREA);
    assert_int_equal(op.layout, TRP_LAYOUT_NCHW);
    op = read_good("{ op: decode, size: [8, 8], channels: 1, upright: true, method: nearest }");
    assert_int_equal(op.channels, 1);
    assert_true(op.upright);
    op = read_good("{ op: normalise, scale: 0.5, mean: [1, 2, 3], std: 4, to_layout: nchw }");
    assert_true(op.scale == 0.5 && op.mean[2] == 3 && op.std[0] == 4);
    assert_int_equal(op.mean_n, 3);
    assert_int_equal(op.std_n, 1);
    assert_int_equal(op.to_layout, TRP_LAYOUT_NCHW);
    assert_int_equal(op.layout, TRP_LAYOUT_NHWC);
    op = read_good("{ op: normalise, layout: nchw }"); /* as it lies */
    assert_int_equal(op.to_layout, TRP_LAYOUT_NCHW);
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    (void)state;
    static const struct row {
        const char *text, *says;
    } rows[] = {
        { "op: top_k\nkk: 5", "model.yaml:2: top_k has no key \"kk\"; did you mean \"k\"?" },
        { "op: softmax\nk: 5", "model.yaml:2: softmax has no key \"k\"" },
        { "op: softmax\naxsi: 1", "did you mean \"axis\"?" },
        { "op: top_k", "top_k needs \"k\"" },
        { "op: resize", "resize needs \"size\"" },
        { "op: cast", "cast needs \"to\"" },
        { "op: threshold", "threshold needs \"value\"" },
        { "op: top_k\nk: 0", "model.yaml:2: k is \"0\", expected a whole number, 1 or more" },
        { "op: top_k\nk: 1.5", "k is \"1.5\", expected a whole number" },
        { "op: top_k\nk: [1]", "k is a list, expected a whole number" },
        { "op: softmax\naxis: 16", "axis is \"16\", expected an axis" },
        { "op: argmax\nkeep_axis: yes", "keep_axis is \"yes\", expected true or false" },
        { "op: decode\nupright: 1", "upright is \"1\", expected true or false" },
        { "op: cast\nto: FP33", "to is \"FP33\", expected a type of numbers such as FP32" },
        { "op: cast\nto: BYTES", "to is \"BYTES\", expected a type of numbers" },
        { "op: resize\nsize: 224", "size is \"224\", expected [height, width]" },
        { "op: resize\nsize: [1, 2, 3]", "size is a list, expected [height, width]" },
        { "op: resize\nsize: [0, 2]", "expected [height, width], each 1 to 65535" },
        { "op: resize\nsize: [1, 2]\nmethod: cubic", "expected bilinear, nearest or area" },
        { "op: resize\nsize: [1, 2]\nlayout: hwc", "layout is \"hwc\", expected nhwc or nchw" },
        { "op: decode\nchannels: 2", "expected 1 (grey), 3 (RGB) or 4 (RGBA)" },
        { "op: threshold\nvalue: nan", "value is \"nan\", expected a number" },
        { "op: normalise\nscale: 0", "scale is \"0\", expected a number that is not 0" },
        { "op: normalise\nmean: []", "mean is a list, expected a number, or a list of 1 to 16" },
        { "op: normalise\nmean: [a]", "mean is a list, expected a number, or a list of 1 to 16" },
        { "op: normalise\nstd: [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "a list of 1 to 16" },
        { "op: normalise\nstd: [1, 0]", "std is a list, expected numbers that are not 0" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_tensor_op op;
        struct trp_error err = { 0 };
        assert_int_equal(read_text(r->text, &op, &err).code, TRP_INVALID_ARGUMENT);
        if (!strstr(err.text, r->says))
            fail_msg("\"%s\" is not in \"%s\"", r->says, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(what_is_wrong_is_said_with_its_place),
    };
    return cmocka_run_group_tests_name("op_text", tests, NULL, NULL);
}

/* tests/unit/backend/worker_order_test.c - what a worker is told and says, as bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "backend/worker_order.h"

struct fixture {
    struct trp_buf b;
    struct trp_arena arena;
    struct trp_error err;
};

static int set_up(void **state)
{
    static struct fixture f; /* cmocka runs one test at a time */
    trp_buf_init(&f.b, trp_heap(), TRP_WORKER_ORDER_BYTES_MAX);
    trp_arena_init(&f.arena, trp_heap(), 1024, 0);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    trp_arena_deinit(&f->arena);
    trp_buf_deinit(&f->b);
    return 0;
}

static void an_order_arrives_as_it_was_given(void **state)
{
    struct fixture *f = *state;
    static const struct troupe_option all[] = { { "onnxruntime.threads", "2" }, { "x", "" } };
    static const struct troupe_option own[] = { { "intra_op_thread_count", "1" } };
    static const struct troupe_device_id devices[] = { { TROUPE_DEVICE_GPU, 3 },
                                                       { TROUPE_DEVICE_CPU, 0 } };
    const struct trp_worker_order order = { .backend = "onnxruntime",
                                            .options = all,
                                            .options_n = 2,
                                            .nice = 5,
                                            .log_format = 2,
                                            .log_levels = 7,
                                            .desc = { .name = "m/1",
                                                      .path = "/models/m.onnx",
                                                      .options = own,
                                                      .options_n = 1,
                                                      .thread_mode = TROUPE_THREADS_SHARED,
                                                      .skeleton = "/store/s",
                                                      .blobs = "/store/b",
                                                      .packed = 1,
                                                      .devices = devices,
                                                      .devices_n = 2 } };
    struct trp_worker_order out;
    trp_worker_order_encode(&order, &f->b);
    const trp_status st = trp_worker_order_decode(trp_buf_str(&f->b), &f->arena, &out, &f->err);
    assert_int_equal(st.code, TRP_OK);
    assert_string_equal(out.backend, "onnxruntime");
    assert_null(out.plugins);
    assert_int_equal(out.options_n, 2);
    assert_string_equal(out.options[0].value, "2");
    assert_string_equal(out.options[1].value, "");
    assert_int_equal(out.nice, 5);
    assert_int_equal(out.log_format, 2);
    assert_int_equal(out.log_levels, 7);
    assert_string_equal(out.desc.name, "m/1");
    assert_string_equal(out.desc.path, "/models/m.onnx");
    assert_string_equal(out.desc.options[0].key, "intra_op_thread_count");
    assert_int_equal(out.desc.thread_mode, TROUPE_THREADS_SHARED);
    assert_string_equal(out.desc.skeleton, "/store/s");
    assert_string_equal(out.desc.blobs, "/store/b");
    assert_int_equal(out.desc.packed, 1);
    assert_int_equal(out.desc.devices_n, 2);
    assert_memory_equal(out.desc.devices, devices, sizeof devices);
}

static struct trp_signature make_signature(void)
{
    static const struct trp_str labels[] = { { "cat", 3 }, { "dog", 3 } };
    static const struct trp_str names[] = { { "rows", 4 }, { "", 0 } };
    static const struct trp_io inputs[] = {
        { .name = { "x", 1 },
          .dtype = TROUPE_FP32,
          .rank = 2,
          .dims = { -1, 3 },
          .dim_names = names },
        { .name = { "hint", 4 }, .dtype = TROUPE_INT64, .any_rank = true, .optional = true },
    };
    static const struct trp_io outputs[] = {
        { .name = { "y", 1 },
          .dtype = TROUPE_BYTES,
          .rank = 1,
          .dims = { 2 },
          .labels = labels,
          .labels_n = 2 },
    };
    return (struct trp_signature){ .inputs = inputs,
                                   .inputs_n = 2,
                                   .outputs = outputs,
                                   .outputs_n = 1,
                                   .platform = { "onnxruntime_onnx", 16 } };
}

static trp_status tell(struct fixture *f, struct trp_str bytes, struct trp_signature *out)
{
    struct trp_signature_builder told;
    trp_signature_builder_init(&told, &f->arena);
    const struct troupe_sink sink = trp_signature_sink(&told);
    TRP_CHECK(trp_worker_order_tell_face(bytes, &f->arena, &sink, &f->err));
    return trp_signature_build(&told, out, &f->err);
}

static void a_face_arrives_with_all_that_it_has(void **state)
{
    struct fixture *f = *state;
    const struct trp_signature s = make_signature();
    struct trp_signature out;
    trp_worker_order_encode_face(&s, &f->b);
    assert_int_equal(tell(f, trp_buf_str(&f->b), &out).code, TRP_OK);
    assert_int_equal(out.inputs_n, 2);
    assert_int_equal(out.outputs_n, 1);
    assert_true(trp_str_is(out.platform, "onnxruntime_onnx"));
    assert_true(trp_str_is(out.inputs[0].name, "x"));
    assert_int_equal(out.inputs[0].dims[0], -1);
    assert_int_equal(out.inputs[0].dims[1], 3);
    assert_true(trp_str_is(out.inputs[0].dim_names[0], "rows"));
    assert_int_equal(out.inputs[0].dim_names[1].len, 0);
    assert_true(out.inputs[1].any_rank && out.inputs[1].optional);
    assert_int_equal(out.outputs[0].dtype, TROUPE_BYTES);
    assert_int_equal(out.outputs[0].labels_n, 2);
    assert_true(trp_str_is(out.outputs[0].labels[1], "dog"));
}

/* Who wrote them is another process. */
static void bytes_that_end_early_or_lie_are_refused(void **state)
{
    struct fixture *f = *state;
    const struct trp_signature s = make_signature();
    struct trp_signature out;
    trp_worker_order_encode_face(&s, &f->b);
    const struct trp_str whole = trp_buf_str(&f->b);
    for (size_t len = 0; len < whole.len; len++)
        assert_int_not_equal(tell(f, trp_str_make(whole.ptr, len), &out).code, TRP_OK);
    for (size_t at = 0; at + 8 <= whole.len; at += 8) {
        char saved[8];
        memcpy(saved, f->b.ptr + at, 8);
        memset(f->b.ptr + at, 0xfe, 8);
        (void)tell(f, whole, &out); /* whatever it says, it ends */
        memcpy(f->b.ptr + at, saved, 8);
    }
}

#define WITH_BUFFER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BUFFER(an_order_arrives_as_it_was_given),
        WITH_BUFFER(a_face_arrives_with_all_that_it_has),
        WITH_BUFFER(bytes_that_end_early_or_lie_are_refused),
    };
    return cmocka_run_group_tests_name("worker_order", tests, NULL, NULL);
}

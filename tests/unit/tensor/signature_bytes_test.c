/* A signature comes back as it went in, and nothing else is taken for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tensor/signature_bytes.h"

struct fixture {
    struct trp_arena arena;
    struct trp_buf bytes;
    struct trp_io inputs[2], outputs[1];
    struct trp_signature signature;
};

static int set_up(void **state)
{
    static const struct trp_str batch[4] = { { "batch", 5 } };
    struct fixture *f = calloc(1, sizeof *f);
    trp_arena_init(&f->arena, trp_heap(), 1 << 12, 0);
    trp_buf_init(&f->bytes, trp_heap(), 1 << 16);
    f->inputs[0] = (struct trp_io){ .name = TRP_STR_LIT("image"),
                                    .dtype = TROUPE_FP32,
                                    .rank = 4,
                                    .dims = { -1, 3, 224, 224 },
                                    .dim_names = batch };
    f->inputs[1] = (struct trp_io){
        .name = TRP_STR_LIT("mask"), .dtype = TROUPE_BOOL, .optional = true, .any_rank = true
    };
    f->outputs[0] = (struct trp_io){ .name = TRP_STR_LIT("scores"),
                                     .dtype = TROUPE_INT64,
                                     .rank = TROUPE_RANK_MAX,
                                     .shape_unchecked = true };
    f->signature = (struct trp_signature){ .inputs = f->inputs,
                                           .inputs_n = 2,
                                           .outputs = f->outputs,
                                           .outputs_n = 1,
                                           .batch_max = 8,
                                           .platform = TRP_STR_LIT("onnxruntime_onnx") };
    trp_signature_bytes_encode(&f->signature, &f->bytes);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    trp_arena_deinit(&f->arena);
    trp_buf_deinit(&f->bytes);
    free(f);
    return 0;
}

static void assert_same_io(const struct trp_io *a, const struct trp_io *b)
{
    assert_true(trp_str_is_equal(a->name, b->name));
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->rank, b->rank);
    assert_int_equal(a->optional, b->optional);
    assert_int_equal(a->any_rank, b->any_rank);
    assert_int_equal(a->shape_unchecked, b->shape_unchecked);
    assert_int_equal(a->dim_names != NULL, b->dim_names != NULL);
    for (uint32_t d = 0; d < a->rank; d++) {
        assert_int_equal(a->dims[d], b->dims[d]);
        if (a->dim_names && b->dim_names)
            assert_true(trp_str_is_equal(a->dim_names[d], b->dim_names[d]));
    }
}

static void a_signature_comes_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct trp_signature back;
    assert_int_equal(f->bytes.failed, TRP_OK);
    assert_int_equal(
        trp_signature_bytes_decode(trp_buf_str(&f->bytes), &f->arena, &back, NULL).code, TRP_OK);
    assert_int_equal(back.inputs_n, 2);
    assert_int_equal(back.outputs_n, 1);
    assert_int_equal(back.batch_max, 8);
    assert_true(trp_str_is(back.platform, "onnxruntime_onnx"));
    assert_same_io(&back.inputs[0], &f->inputs[0]);
    assert_same_io(&back.inputs[1], &f->inputs[1]);
    assert_same_io(&back.outputs[0], &f->outputs[0]);
}

static void half_of_it_and_more_than_it_are_no_signature(void **state)
{
    struct fixture *f = *state;
    struct trp_signature back;
    for (size_t n = 0; n < f->bytes.len; n++)
        assert_int_not_equal(
            trp_signature_bytes_decode(trp_str_make(f->bytes.ptr, n), &f->arena, &back, NULL).code,
            TRP_OK);
    trp_buf_add_char(&f->bytes, 'x');
    assert_int_not_equal(
        trp_signature_bytes_decode(trp_buf_str(&f->bytes), &f->arena, &back, NULL).code, TRP_OK);
}

/* Whatever is changed, nothing is read beyond the end, and what is taken is a signature within
 * the limits. */
static void damaged_bytes_are_refused_or_harmless(void **state)
{
    struct fixture *f = *state;
    struct trp_signature back;
    for (size_t i = 0; i < f->bytes.len; i++) {
        const char was = f->bytes.ptr[i];
        for (int flip = 1; flip < 256; flip *= 2) {
            f->bytes.ptr[i] = (char)(was ^ flip);
            char *exact = malloc(f->bytes.len); /* so that the sanitizer sees its end */
            memcpy(exact, f->bytes.ptr, f->bytes.len);
            if (!trp_failed(trp_signature_bytes_decode(trp_str_make(exact, f->bytes.len), &f->arena,
                                                       &back, NULL))) {
                assert_true(back.inputs_n <= TRP_IO_MAX && back.outputs_n <= TRP_IO_MAX);
                for (uint32_t k = 0; k < back.inputs_n; k++)
                    assert_true(back.inputs[k].rank <= TROUPE_RANK_MAX);
            }
            free(exact);
            trp_arena_reset(&f->arena);
        }
        f->bytes.ptr[i] = was;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_signature_comes_back_as_it_was),
        TEST(half_of_it_and_more_than_it_are_no_signature),
        TEST(damaged_bytes_are_refused_or_harmless),
    };
    return cmocka_run_group_tests_name("signature_bytes", tests, NULL, NULL);
}

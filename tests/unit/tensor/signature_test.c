/* Signatures: built from what a backend tells, complete, copied, bounded. */
#include "tensor/signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "unit/base/scarce.h"

static void a_backends_words_become_a_signature_of_our_own(void **state)
{
    (void)state;
    struct trp_arena arena;
    struct trp_signature_builder b;
    struct trp_signature s;
    char name[] = "image", batch[] = "N", cat[] = "cat", platform[] = "onnxruntime_onnx";
    const char *labels[] = { cat, "dog" };
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    trp_signature_builder_init(&b, &arena);
    const struct troupe_sink sink = trp_signature_sink(&b);
    assert_int_equal(sink.struct_size, sizeof sink);
    sink.platform(sink.user, platform);
    sink.input(sink.user, &(struct troupe_io){ .name = name,
                                               .dtype = TROUPE_FP32,
                                               .rank = 2,
                                               .dims = { -7, 64 },
                                               .dim_names = { batch, NULL },
                                               .optional = 1 });
    sink.output(sink.user, &(struct troupe_io){ .name = "label",
                                                .dtype = TROUPE_BYTES,
                                                .rank = 99, /* meaningless */
                                                .any_rank = 1,
                                                .labels = labels,
                                                .labels_n = 2 });
    name[0] = batch[0] = cat[0] = platform[0] = '?'; /* everything was copied */
    assert_int_equal(trp_signature_build(&b, &s, NULL).code, TRP_OK);
    assert_int_equal(s.inputs_n, 1);
    assert_int_equal(s.outputs_n, 1);
    assert_int_equal(s.batch_max, 0);
    assert_true(trp_str_is(s.platform, "onnxruntime_onnx"));
    const struct trp_io *in = trp_signature_input(&s, TRP_STR_LIT("image"));
    assert_ptr_equal(in, &s.inputs[0]);
    assert_true(in->optional && !in->any_rank && in->rank == 2 && in->dtype == TROUPE_FP32);
    assert_true(in->dims[0] == -1 && in->dims[1] == 64);
    assert_true(trp_str_is(in->dim_names[0], "N") && in->dim_names[1].len == 0);
    const struct trp_io *out = trp_signature_output(&s, TRP_STR_LIT("label"));
    assert_true(out->any_rank && out->rank == 0 && out->labels_n == 2);
    assert_true(trp_str_is(out->labels[0], "cat") && trp_str_is(out->labels[1], "dog"));
    assert_null(trp_signature_input(&s, TRP_STR_LIT("label")));
    assert_null(trp_signature_output(&s, TRP_STR_LIT("")));
    trp_arena_deinit(&arena);
}

static void inputs_keep_their_order_and_stop_at_the_limit(void **state)
{
    (void)state;
    struct trp_arena arena;
    struct trp_signature_builder b;
    struct trp_signature s;
    char name[16];
    trp_arena_init(&arena, trp_heap(), 1 << 16, 0);
    trp_signature_builder_init(&b, &arena);
    for (int i = 0; i < TRP_IO_MAX; i++) {
        (void)snprintf(name, sizeof name, "in%d", i);
        trp_signature_builder_add(&b, false, &(struct trp_io){ .name = trp_str_of(name) });
    }
    assert_int_equal(trp_signature_build(&b, &s, NULL).code, TRP_OK);
    assert_int_equal(s.inputs_n, TRP_IO_MAX);
    for (uint32_t i = 0; i < s.inputs_n; i++) {
        (void)snprintf(name, sizeof name, "in%u", i);
        assert_ptr_equal(trp_signature_input(&s, trp_str_of(name)), &s.inputs[i]);
    }
    trp_signature_builder_add(&b, false, &(struct trp_io){ .name = TRP_STR_LIT("more") });
    struct trp_error err = { 0 };
    assert_int_equal(trp_signature_build(&b, &s, &err).code, TRP_TOO_LARGE);
    assert_non_null(strstr(err.text, "1024"));
    trp_arena_deinit(&arena);
}

static void a_rank_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    struct trp_arena arena;
    struct trp_signature_builder b;
    struct trp_signature s;
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    trp_signature_builder_init(&b, &arena);
    const struct troupe_sink sink = trp_signature_sink(&b);
    sink.input(sink.user, &(struct troupe_io){ .name = "x", .rank = TROUPE_RANK_MAX + 1 });
    assert_int_equal(trp_signature_build(&b, &s, NULL).code, TRP_TOO_LARGE);
    trp_arena_deinit(&arena);
}

static void lack_of_memory_is_reported_at_the_end(void **state)
{
    (void)state;
    static const char *const labels[] = { "a", "b" };
    for (uint64_t blocks = 0; blocks < 20; blocks++) {
        struct scarce scarce;
        struct trp_arena arena;
        struct trp_signature_builder b;
        struct trp_signature s;
        trp_arena_init(&arena, scarce_init(&scarce, blocks), 16, 0); /* a block per piece */
        trp_signature_builder_init(&b, &arena);
        const struct troupe_sink sink = trp_signature_sink(&b);
        sink.platform(sink.user, "p");
        for (int i = 0; i < 2; i++)
            sink.output(sink.user, &(struct troupe_io){ .name = "x",
                                                        .rank = 1,
                                                        .dim_names = { "N" },
                                                        .labels = labels,
                                                        .labels_n = 2 });
        const trp_status st = trp_signature_build(&b, &s, NULL);
        assert_int_equal(st.code, blocks < 16 ? TRP_OUT_OF_MEMORY : TRP_OK);
        trp_arena_deinit(&arena);
        assert_int_equal(trp_counter_get(&scarce.out), 0);
    }
}

static void a_name_is_found_whatever_the_hint(void **state)
{
    (void)state;
    const struct trp_io ios[] = { { .name = TRP_STR_LIT("a") },
                                  { .name = TRP_STR_LIT("b") },
                                  { .name = TRP_STR_LIT("c") } };
    static const struct row {
        const char *name;
        uint32_t hint, want;
    } rows[] = {
        { "b", 1, 1 },          { "b", 0, 1 },          { "c", 7, 2 },
        { "a", UINT32_MAX, 0 }, { "d", 1, UINT32_MAX }, { "", 0, UINT32_MAX },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++)
        assert_int_equal(trp_signature_place(ios, 3, trp_str_of(r->name), r->hint), r->want);
    assert_int_equal(trp_signature_place(NULL, 0, trp_str_of("a"), 0), UINT32_MAX);
}

static void a_copy_is_whole_and_needs_nothing_of_the_original(void **state)
{
    (void)state;
    struct trp_arena from, to;
    struct trp_signature copy;
    trp_arena_init(&from, trp_heap(), 256, 0);
    trp_arena_init(&to, trp_heap(), 256, 0);
    const struct trp_str class_name = TRP_STR_LIT("cat");
    struct trp_io ios[3] = {
        { .name = trp_arena_dup(&from, TRP_STR_LIT("x")), .rank = 2, .dims = { -1, 4 } },
        { .name = trp_arena_dup(&from, TRP_STR_LIT("y")), .rank = 1, .dims = { 7 } },
        { .name = trp_arena_dup(&from, TRP_STR_LIT("z")), .labels = &class_name, .labels_n = 1 },
    };
    const struct trp_str names[] = { { 0 }, trp_arena_dup(&from, TRP_STR_LIT("width")) };
    ios[0].dim_names = names;
    const struct trp_signature original = { .inputs = ios,
                                            .inputs_n = 2,
                                            .outputs = ios + 2,
                                            .outputs_n = 1,
                                            .batch_max = 3,
                                            .platform =
                                                trp_arena_dup(&from, TRP_STR_LIT("platform")) };
    const trp_status st = trp_signature_dup(&original, &to, &copy, NULL);
    trp_arena_deinit(&from);
    memset(ios, 0xff, sizeof ios);
    if (trp_failed(st))
        fail_msg("no copy");
    assert_true(trp_str_is(copy.inputs[0].name, "x") && trp_str_is(copy.inputs[1].name, "y"));
    assert_true(trp_str_is(copy.inputs[0].dim_names[1], "width"));
    assert_null(copy.inputs[1].dim_names);
    assert_int_equal(copy.inputs[0].dims[1], 4);
    assert_true(trp_str_is(copy.outputs[0].name, "z") && trp_str_is(copy.platform, "platform"));
    assert_int_equal(copy.outputs[0].labels_n, 0);
    assert_int_equal(copy.batch_max, 3);
    const struct trp_signature nothing = { .inputs_n = 0 };
    assert_int_equal(trp_signature_dup(&nothing, &to, &copy, NULL).code, TRP_OK);
    trp_arena_deinit(&to);
}

static void how_many_rows_it_takes_is_its_batch_or_any_number(void **state)
{
    (void)state;
    const struct trp_io open = { .rank = 2, .dims = { -1, 4 } },
                        fixed = { .rank = 2, .dims = { 1, -1 } },
                        any = { .any_rank = true, .rank = 0 }, scalar = { .rank = 0 };
    const struct {
        struct trp_signature s;
        int64_t rows;
    } rows[] = {
        { { .inputs = &open, .inputs_n = 1, .batch_max = 64 }, 64 },
        { { .inputs = &open, .inputs_n = 1 }, INT64_MAX },
        { { .inputs = &any, .inputs_n = 1 }, INT64_MAX },
        { { .inputs = &fixed, .inputs_n = 1 }, 0 },
        { { .inputs = &scalar, .inputs_n = 1 }, 0 },
        { { .inputs_n = 0 }, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_true(trp_signature_rows_max(&rows[i].s) == rows[i].rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backends_words_become_a_signature_of_our_own),
        cmocka_unit_test(inputs_keep_their_order_and_stop_at_the_limit),
        cmocka_unit_test(a_rank_beyond_the_limit_is_refused),
        cmocka_unit_test(lack_of_memory_is_reported_at_the_end),
        cmocka_unit_test(a_name_is_found_whatever_the_hint),
        cmocka_unit_test(a_copy_is_whole_and_needs_nothing_of_the_original),
        cmocka_unit_test(how_many_rows_it_takes_is_its_batch_or_any_number),
    };
    return cmocka_run_group_tests_name("signature", tests, NULL, NULL);
}

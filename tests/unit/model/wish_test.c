/* What somebody looks for, against what a model is: a row per case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "model/wish.h"

static const struct trp_str tags[] = { { "shop", 4 }, { "beta", 4 } };
static const struct trp_card card = { .task = { "classification", 14 }, .tags = tags, .tags_n = 2 };
static const struct trp_io ios[] = {
    { .name = { "pixels", 6 }, .dtype = TROUPE_FP32, .rank = 4, .dims = { -1, 3, 224, 224 } },
    { .name = { "prompt", 6 }, .dtype = TROUPE_BYTES, .rank = 1, .dims = { 1 } },
};
static const struct trp_signature signature = { .inputs = ios, .inputs_n = 2 };

struct row {
    const char *task, *name, *tag, *other_tag, *shape; /* NULL: not asked for */
    enum trp_input_kind kind;
    int32_t dtype;
    bool want;
};
#define ANY .kind = TRP_INPUT_KINDS, .dtype = TROUPE_NO_DTYPE

static const struct row rows[] = {
    { ANY, .want = true },
    { ANY, .task = "classification", .want = true },
    { ANY, .task = "Classification", .want = true },
    { ANY, .task = "class", .want = false },
    { ANY, .tag = "shop", .want = true },
    { ANY, .tag = "beta", .other_tag = "shop", .want = true },
    { ANY, .tag = "beta", .other_tag = "alpha", .want = false },
    { ANY, .name = "sNet", .want = true },
    { ANY, .name = "resnet50", .want = true },
    { ANY, .name = "resnet51", .want = false },
    { ANY, .name = "res*50", .want = true },
    { ANY, .name = "*", .want = true },
    { ANY, .name = "R*N*5*", .want = true },
    { ANY, .name = "net*", .want = false },
    { ANY, .name = "res*5", .want = false },
    { .kind = TRP_INPUT_IMAGE, .dtype = TROUPE_NO_DTYPE, .want = true },
    { .kind = TRP_INPUT_AUDIO, .dtype = TROUPE_NO_DTYPE, .want = false },
    { .kind = TRP_INPUT_KINDS, .dtype = TROUPE_BYTES, .want = true },
    { .kind = TRP_INPUT_IMAGE, .dtype = TROUPE_BYTES, .want = false }, /* not one input */
    { .kind = TRP_INPUT_IMAGE, .dtype = TROUPE_FP32, .shape = "-1,3,224,224", .want = true },
    { .kind = TRP_INPUT_IMAGE, .dtype = TROUPE_FP32, .shape = "[8,3,-1,224]", .want = true },
    { .kind = TRP_INPUT_IMAGE, .dtype = TROUPE_FP32, .shape = "8,3,225,224", .want = false },
    { ANY, .shape = "3,224,224", .want = false },
    { ANY, .shape = "-1", .want = true },
    { ANY, .shape = "2", .want = false },
};

static void a_model_fits_or_does_not(void **state)
{
    (void)state;
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        const struct trp_str wanted[] = { trp_str_of(r->tag), trp_str_of(r->other_tag) };
        struct trp_wish w = { .task = trp_str_of(r->task),
                              .name = trp_str_of(r->name),
                              .tags = wanted,
                              .tags_n = (r->tag != NULL) + (uint32_t)(r->other_tag != NULL),
                              .kind = r->kind,
                              .dtype = r->dtype };
        if (r->shape)
            assert_int_equal(trp_wish_read_shape(&w, trp_str_of(r->shape), NULL).code, TRP_OK);
        print_message("row %zu\n", (size_t)(r - rows));
        assert_int_equal(trp_wish_fits(&w, TRP_STR_LIT("resnet50"), &card, &signature), r->want);
    }
}

static void who_is_not_known_fits_no_wish_for_an_input(void **state)
{
    (void)state;
    const struct trp_signature none = { 0 };
    struct trp_wish w = { ANY };
    assert_true(trp_wish_fits(&w, TRP_STR_LIT("m"), &card, &none));
    w.dtype = TROUPE_FP32;
    assert_false(trp_wish_fits(&w, TRP_STR_LIT("m"), &card, &none));
}

static void any_rank_takes_any_shape(void **state)
{
    (void)state;
    const struct trp_io io = { .name = { "x", 1 }, .dtype = TROUPE_FP32, .any_rank = true };
    const struct trp_signature s = { .inputs = &io, .inputs_n = 1 };
    struct trp_wish w = { ANY };
    assert_int_equal(trp_wish_read_shape(&w, TRP_STR_LIT("1,2,3"), NULL).code, TRP_OK);
    assert_true(trp_wish_fits(&w, TRP_STR_LIT("m"), &card, &s));
}

static void shapes_are_lists_of_sizes(void **state)
{
    (void)state;
    static const char *const bad[] = { "a",    "1,", ",1",
                                       "1,,2", "-2", "1 2",
                                       "[1",   "1]", "99999999999999999999" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct trp_wish w = { ANY };
        struct trp_error err = { 0 };
        print_message("'%s'\n", bad[i]);
        assert_int_equal(trp_wish_read_shape(&w, trp_str_of(bad[i]), &err).code,
                         TRP_INVALID_ARGUMENT);
        assert_false(w.has_shape);
    }
    struct trp_wish w = { ANY };
    assert_int_equal(trp_wish_read_shape(&w, TRP_STR_LIT("[]"), NULL).code, TRP_OK);
    assert_true(w.has_shape);
    assert_int_equal(w.rank, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_fits_or_does_not),
        cmocka_unit_test(who_is_not_known_fits_no_wish_for_an_input),
        cmocka_unit_test(any_rank_takes_any_shape),
        cmocka_unit_test(shapes_are_lists_of_sizes),
    };
    return cmocka_run_group_tests_name("wish", tests, NULL, NULL);
}

/* A card written down and read back, and bytes that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/card_bytes.h"
#include "unit/base/scarce.h"

static const struct trp_str tags[] = { { "shop", 4 }, { "b", 1 } };
static const struct trp_card_kind kinds[] = { { { "x", 1 }, TRP_INPUT_IMAGE },
                                              { { "y", 1 }, TRP_INPUT_TENSOR } };
static const struct trp_card whole = { .task = { "ranking", 7 },
                                       .description = { "What people want.", 17 },
                                       .tags = tags,
                                       .tags_n = 2,
                                       .quality = { { "loss", 4 }, -0.25, true },
                                       .kinds = kinds,
                                       .kinds_n = 2 };

static trp_status there_and_back(const struct trp_card *card, struct trp_arena *arena,
                                 struct trp_card *out)
{
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 4096);
    trp_card_bytes_encode(card, &b);
    const trp_status st = trp_card_bytes_decode(trp_buf_str(&b), arena, out, NULL);
    trp_buf_deinit(&b);
    return st;
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    struct trp_arena arena;
    struct trp_card got;
    trp_arena_init(&arena, trp_heap(), 1024, 0);
    assert_int_equal(there_and_back(&whole, &arena, &got).code, TRP_OK);
    assert_true(trp_str_is(got.task, "ranking"));
    assert_true(trp_str_is(got.description, "What people want."));
    assert_int_equal(got.tags_n, 2);
    assert_true(trp_str_is(got.tags[1], "b"));
    assert_true(trp_str_is(got.quality.name, "loss"));
    assert_true(got.quality.value == -0.25 && got.quality.lower_is_better);
    assert_int_equal(got.kinds_n, 2);
    assert_true(trp_str_is(got.kinds[0].input, "x"));
    assert_int_equal(got.kinds[0].kind, TRP_INPUT_IMAGE);
    trp_arena_deinit(&arena);
}

static void nothing_is_a_card_too(void **state)
{
    (void)state;
    struct trp_arena arena;
    const struct trp_card none = { 0 };
    struct trp_card got;
    trp_arena_init(&arena, trp_heap(), 1024, 0);
    assert_int_equal(there_and_back(&none, &arena, &got).code, TRP_OK);
    assert_int_equal(got.task.len + got.description.len + got.tags_n + got.kinds_n, 0);
    trp_arena_deinit(&arena);
}

/* Cut anywhere, and with any byte changed: a card or an error, nothing else (a sanitizer looks
 * on). */
static void damaged_bytes_are_survived(void **state)
{
    (void)state;
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 4096);
    trp_card_bytes_encode(&whole, &b);
    for (size_t cut = 0; cut <= b.len; cut++) {
        char *copy = trp_alloc_get(trp_heap(), 1, cut + 1);
        memcpy(copy, b.ptr, cut);
        for (int change = -1; change < 256; change += 37) {
            struct trp_arena arena;
            struct trp_card got;
            trp_arena_init(&arena, trp_heap(), 1024, 0);
            if (cut && change >= 0)
                copy[cut - 1] = (char)change;
            (void)trp_card_bytes_decode(trp_str_make(copy, cut), &arena, &got, NULL);
            trp_arena_deinit(&arena);
        }
        trp_alloc_free(trp_heap(), copy);
    }
    trp_buf_deinit(&b);
}

static void without_memory_it_is_said(void **state)
{
    (void)state;
    bool has_failed = true;
    for (uint64_t blocks = 0; has_failed && blocks < 50; blocks++) {
        struct scarce scarce;
        struct trp_arena arena;
        struct trp_card got;
        trp_arena_init(&arena, scarce_init(&scarce, blocks), 16, 0);
        const trp_status st = there_and_back(&whole, &arena, &got);
        has_failed = trp_failed(st);
        if (has_failed)
            assert_int_equal(st.code, TRP_OUT_OF_MEMORY);
        trp_arena_deinit(&arena);
    }
    assert_false(has_failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(nothing_is_a_card_too),
        cmocka_unit_test(damaged_bytes_are_survived),
        cmocka_unit_test(without_memory_it_is_said),
    };
    return cmocka_run_group_tests_name("card_bytes", tests, NULL, NULL);
}

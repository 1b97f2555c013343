/* Arenas: many pieces, one stroke, a limit. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "unit/base/scarce.h"

static void pieces_are_aligned_and_apart(void **state)
{
    (void)state;
    struct trp_arena a;
    trp_arena_init(&a, trp_heap(), 256, 0);
    char *pieces[50];
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        pieces[i] = trp_arena_get(&a, i * 3);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, i * 3);
    }
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        for (size_t k = 0; k < i * 3; k++)
            assert_int_equal(pieces[i][k], i);
    trp_arena_deinit(&a);
    trp_arena_deinit(&a);
}

static void texts_are_copied_and_formatted(void **state)
{
    (void)state;
    struct trp_arena a;
    trp_arena_init(&a, trp_heap(), 64, 0);
    const struct trp_str copy = trp_arena_dup(&a, TRP_STR_LIT("a\0b"));
    assert_int_equal(copy.len, 3);
    assert_memory_equal(copy.ptr, "a\0b", 4);
    const struct trp_str nothing = trp_arena_dup(&a, trp_str_of(NULL));
    assert_non_null(nothing.ptr);
    assert_int_equal(nothing.len, 0);
    const struct trp_str pieces[] = { TRP_STR_LIT("ab"), trp_str_of(NULL), TRP_STR_LIT("c\0") };
    const struct trp_str joined = trp_arena_join(&a, pieces, ARRAY_LEN(pieces));
    assert_int_equal(joined.len, 4);
    assert_memory_equal(joined.ptr, "abc\0", 5);
    assert_int_equal(trp_arena_join(&a, NULL, 0).len, 0);
    const struct trp_str text = trp_arena_format(&a, "%s/%d%100s", "m", 3, "");
    assert_int_equal(text.len, 103);
    assert_int_equal(strlen(text.ptr), 103);
    static const char zeros[40];
    assert_memory_equal(trp_arena_zeroed(&a, 4, 10), zeros, sizeof zeros);
    trp_arena_deinit(&a);
}

static void a_reset_arena_takes_no_new_memory_for_the_same_work(void **state)
{
    (void)state;
#ifdef TRP_ARENA_MALLOC
    skip(); /* every piece is a block of its own there */
#endif
    struct scarce scarce;
    struct trp_arena a;
    trp_arena_init(&a, scarce_init(&scarce, 1), 1024, 0);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 10; i++)
            assert_non_null(trp_arena_get(&a, 100 - 4));
        assert_null(trp_arena_get(&a, 100)); /* would need a second block */
        trp_arena_reset(&a);
    }
    trp_counter_set(&scarce.left, 5);
    for (int i = 0; i < 50; i++)
        assert_non_null(trp_arena_get(&a, 100));
    trp_arena_reset(&a);
    assert_int_equal(trp_counter_get(&scarce.out), 1);
    trp_arena_deinit(&a);
    assert_int_equal(trp_counter_get(&scarce.out), 0);
}

static void a_limit_and_an_overflow_refuse(void **state)
{
    (void)state;
    struct trp_arena a;
    trp_arena_init(&a, trp_heap(), 100, 1000);
    assert_null(trp_arena_get(&a, 1001));
    assert_null(trp_arena_get(&a, SIZE_MAX));
    assert_null(trp_arena_zeroed(&a, SIZE_MAX / 2, 3));
    assert_null(trp_arena_dup(&a, trp_str_make("", SIZE_MAX)).ptr);
    const struct trp_str over[] = { TRP_STR_LIT("a"), trp_str_make("", SIZE_MAX) };
    assert_null(trp_arena_join(&a, over, ARRAY_LEN(over)).ptr);
    assert_non_null(trp_arena_get(&a, 900));
    assert_null(trp_arena_get(&a, 200));
    assert_null(trp_arena_format(&a, "%200s", "").ptr);
    assert_int_equal(trp_arena_format(&a, "%200s", "").len, 0);
    trp_arena_reset(&a);
    assert_non_null(trp_arena_get(&a, 80));
    trp_arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_apart),
        cmocka_unit_test(texts_are_copied_and_formatted),
        cmocka_unit_test(a_reset_arena_takes_no_new_memory_for_the_same_work),
        cmocka_unit_test(a_limit_and_an_overflow_refuse),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}

/* Memory: aligned, checked, copied, and refused without harm. */
#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "unit/base/scarce.h"

static void blocks_are_aligned_as_asked(void **state)
{
    (void)state;
    for (size_t align = 1; align <= 4096; align *= 2)
        for (size_t bytes = 0; bytes < 200; bytes += 33) {
            char *block = trp_alloc_aligned(trp_heap(), bytes, align);
            assert_non_null(block);
            assert_int_equal((uintptr_t)block % align, 0);
            if (bytes)
                memset(block, 1, bytes);
            trp_alloc_free(trp_heap(), block);
        }
    char *block = trp_alloc_get(trp_heap(), 3, 5);
    assert_int_equal((uintptr_t)block % 16, 0);
    trp_alloc_free(trp_heap(), block);
    trp_alloc_free(trp_heap(), NULL);
    assert_string_equal(trp_heap()->name, "heap");
}

static void products_that_overflow_are_refused(void **state)
{
    (void)state;
    assert_null(trp_alloc_get(trp_heap(), SIZE_MAX / 2, 3));
    assert_null(trp_alloc_zeroed(trp_heap(), SIZE_MAX / 2, 3));
    assert_null(trp_alloc_aligned(trp_heap(), SIZE_MAX - 10, 64));
    assert_null(trp_alloc_text(trp_heap(), "", SIZE_MAX));
}

static void a_resized_block_keeps_its_content(void **state)
{
    (void)state;
    struct scarce scarce;
    const struct trp_alloc *alloc = scarce_init(&scarce, 3);
    char *block = trp_alloc_resize(alloc, NULL, 0, 4);
    memcpy(block, "abcd", 4);
    block = trp_alloc_resize(alloc, block, 4, 100);
    assert_memory_equal(block, "abcd", 4);
    block = trp_alloc_resize(alloc, block, 4, 2);
    assert_memory_equal(block, "ab", 2);
    assert_null(trp_alloc_resize(alloc, block, 2, 1000)); /* dry: the old block stays */
    assert_memory_equal(block, "ab", 2);
    trp_alloc_free(alloc, block);
    assert_int_equal(trp_counter_get(&scarce.out), 0);
}

static void zeroed_is_zero_and_text_is_terminated(void **state)
{
    (void)state;
    static const char zeros[64];
    char *block = trp_alloc_zeroed(trp_heap(), 8, 8);
    assert_memory_equal(block, zeros, sizeof zeros);
    trp_alloc_free(trp_heap(), block);
    char *text = trp_alloc_text(trp_heap(), "abcdef", 3);
    assert_string_equal(text, "abc");
    trp_alloc_free(trp_heap(), text);
    text = trp_alloc_text(trp_heap(), NULL, 0);
    assert_string_equal(text, "");
    trp_alloc_free(trp_heap(), text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_aligned_as_asked),
        cmocka_unit_test(products_that_overflow_are_refused),
        cmocka_unit_test(a_resized_block_keeps_its_content),
        cmocka_unit_test(zeroed_is_zero_and_text_is_terminated),
    };
    return cmocka_run_group_tests_name("alloc", tests, NULL, NULL);
}

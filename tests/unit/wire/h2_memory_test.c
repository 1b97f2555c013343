#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/h2_memory.h"

static void blocks_are_used_again(void **state)
{
    (void)state;
    struct trp_h2_memory m;
    trp_h2_memory_init(&m, trp_heap());
    for (size_t bytes = 0; bytes <= 2048; bytes++) {
        void *a = trp_h2_memory_get(&m, bytes);
        assert_non_null(a);
        assert_int_equal((uintptr_t)a % 16, 0);
        memset(a, 0xa5, bytes);
        trp_h2_memory_give(&m, a);
        assert_ptr_equal(trp_h2_memory_get(&m, bytes), a);
        trp_h2_memory_give(&m, a);
    }
    assert_int_equal(m.kept_bytes, 32 + 64 + 128 + 256 + 512 + 1024 + 2048);
    trp_h2_memory_give(&m, NULL);
    trp_h2_memory_deinit(&m);
}

static void large_blocks_are_not_kept(void **state)
{
    (void)state;
    struct trp_h2_memory m;
    trp_h2_memory_init(&m, trp_heap());
    void *a = trp_h2_memory_get(&m, 2049);
    memset(a, 1, 2049);
    trp_h2_memory_give(&m, a);
    assert_int_equal(m.kept_bytes, 0);
    assert_null(trp_h2_memory_get(&m, SIZE_MAX));
    trp_h2_memory_deinit(&m);
}

static void what_is_kept_has_a_limit(void **state)
{
    (void)state;
    enum { N = 4096 };
    struct trp_h2_memory m;
    void *all[N];
    trp_h2_memory_init(&m, trp_heap());
    for (int i = 0; i < N; i++)
        all[i] = trp_h2_memory_get(&m, 2048);
    for (int i = 0; i < N; i++)
        trp_h2_memory_give(&m, all[i]);
    assert_int_equal(m.kept_bytes, 4 << 20);
    trp_h2_memory_deinit(&m);
}

static void resizing_keeps_the_bytes(void **state)
{
    (void)state;
    struct trp_h2_memory m;
    trp_h2_memory_init(&m, trp_heap());
    char *block = NULL;
    size_t old = 0;
    static const size_t sizes[] = { 1, 40, 39, 3000, 9000, 4000, 20, 0, 100 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        block = trp_h2_memory_resize(&m, block, sizes[i]);
        assert_non_null(block);
        for (size_t k = 0; k < (old < sizes[i] ? old : sizes[i]); k++)
            assert_int_equal(block[k], (char)k);
        for (size_t k = 0; k < sizes[i]; k++)
            block[k] = (char)k;
        old = sizes[i];
    }
    trp_h2_memory_give(&m, block);
    trp_h2_memory_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_used_again),
        cmocka_unit_test(large_blocks_are_not_kept),
        cmocka_unit_test(what_is_kept_has_a_limit),
        cmocka_unit_test(resizing_keeps_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

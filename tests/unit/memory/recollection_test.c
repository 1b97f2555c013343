/* tests/unit/memory/recollection_test.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "memory/recollection.h"

static struct trp_peaks peaks_of(uint64_t bytes)
{
    struct trp_peaks p = { 0 };
    trp_peaks_learn(&p, 1, bytes);
    return p;
}

static void keep(struct trp_recollection *r, uint64_t key, uint64_t bytes)
{
    const struct trp_peaks p = peaks_of(bytes);
    trp_recollection_keep(r, key, &p, bytes / 10);
}

static uint64_t known(const struct trp_recollection *r, uint64_t key)
{
    const struct trp_recalled *at = trp_recollection_find(r, key);
    if (!at)
        return 0;
    assert_int_equal(at->small_size, trp_peaks_estimate(&at->peaks, 1) / 10);
    return trp_peaks_estimate(&at->peaks, 1);
}

static void who_left_longest_ago_is_forgotten_first(void **state)
{
    (void)state;
    struct trp_recollection r = { .alloc = trp_heap(), .most = 3 };
    assert_int_equal(known(&r, 1), 0);
    for (uint64_t key = 1; key <= 3; key++)
        keep(&r, key, key * 100);
    if (r.items) {        /* else there was no memory */
        keep(&r, 1, 150); /* it came back, and left again */
        keep(&r, 4, 400);
        assert_int_equal(known(&r, 1), 150);
        assert_int_equal(known(&r, 2), 0);
        assert_int_equal(known(&r, 3), 300);
        assert_int_equal(known(&r, 4), 400);
    }
    trp_recollection_clear(&r);
    assert_int_equal(known(&r, 1), 0);
}

static void who_has_no_name_or_no_place_is_not_remembered(void **state)
{
    (void)state;
    struct trp_recollection none = { .alloc = trp_heap() },
                            one = { .alloc = trp_heap(), .most = 1 };
    keep(&none, 1, 100);
    assert_int_equal(known(&none, 1), 0);
    keep(&one, 0, 100);
    assert_int_equal(known(&one, 0), 0);
    trp_recollection_clear(&none);
    trp_recollection_clear(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_left_longest_ago_is_forgotten_first),
        cmocka_unit_test(who_has_no_name_or_no_place_is_not_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

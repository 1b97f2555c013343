/* tests/unit/tensor/yard_test.c - pieces of memory that two processes share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/str.h"
#include "tensor/yard.h"

#define YARD_BYTES (UINT64_C(1) << 30)

static struct trp_yard yard; /* cmocka runs one test at a time */

static int set_up(void **state)
{
    struct trp_shm shm;
    (void)state;
    if (trp_failed(trp_shm_create("yard_test", YARD_BYTES, &shm, NULL)))
        return -1;
    trp_yard_init(&yard, &shm);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    trp_yard_deinit(&yard);
    return 0;
}

static void a_plot_has_what_was_asked_for_and_is_aligned(void **state)
{
    static const uint64_t sizes[] = { 0,    1,    63,    64,    65,     80,      81,      127,
                                      128,  129,  4095,  4096,  4097,   65535,   65536,   65537,
                                      5000, 9999, 12345, 99999, 614400, 1 << 20, 3000001, 1 << 26 };
    struct trp_plot *plots[ARRAY_LEN(sizes)];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        plots[i] = trp_yard_take(&yard, sizes[i]);
        print_message("%llu bytes\n", (unsigned long long)sizes[i]);
        assert_non_null(plots[i]);
        assert_true(plots[i]->bytes >= sizes[i]);
        assert_true(plots[i]->bytes <= sizes[i] + sizes[i] / 4 + 4096);
        assert_int_equal(plots[i]->at % (sizes[i] >= 4096 ? 4096 : 64), 0);
        assert_ptr_equal(plots[i]->ptr, yard.shm.ptr + plots[i]->at);
        for (size_t k = 0; k < i; k++)
            assert_true(plots[k]->at + plots[k]->bytes <= plots[i]->at ||
                        plots[i]->at + plots[i]->bytes <= plots[k]->at);
    }
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        trp_yard_give(&yard, plots[i]);
}

static void a_plot_that_came_back_is_handed_out_again(void **state)
{
    (void)state;
    struct trp_plot *first = trp_yard_take(&yard, 600000), *second = trp_yard_take(&yard, 600000);
    assert_non_null(first);
    assert_non_null(second);
    trp_yard_give(&yard, first);
    trp_yard_give(&yard, second);
    assert_ptr_equal(trp_yard_take(&yard, 600001), second);
    assert_ptr_equal(trp_yard_take(&yard, 599999), first);
    trp_yard_give(&yard, first);
    trp_yard_give(&yard, second);
    trp_yard_give(&yard, NULL);
}

static bool is_resident(const struct trp_plot *p)
{
    unsigned char pages[256] = { 0 };
    assert_int_equal(mincore(p->ptr, 4096, pages), 0);
    return pages[0] & 1;
}

static void pages_go_back_when_nobody_wanted_them_for_a_while(void **state)
{
    (void)state;
    struct trp_plot *p = trp_yard_take(&yard, 1 << 20);
    assert_non_null(p);
    p->ptr[0] = 1;
    trp_yard_give(&yard, p);
    trp_yard_trim(&yard);
    assert_true(is_resident(p)); /* it has just been used */
    trp_yard_trim(&yard);
    assert_false(is_resident(p));
    assert_ptr_equal(trp_yard_take(&yard, 1 << 20), p);
    assert_int_equal(p->ptr[0], 0);
    p->ptr[0] = 1;
    trp_yard_trim(&yard);
    trp_yard_trim(&yard);
    assert_int_equal(p->ptr[0], 1); /* it is in somebody's hands */
    trp_yard_give(&yard, p);
}

static void a_full_yard_says_so(void **state)
{
    (void)state;
    assert_null(trp_yard_take(&yard, YARD_BYTES + 1));
    assert_null(trp_yard_take(&yard, UINT64_MAX));
    struct trp_plot *p = trp_yard_take(&yard, YARD_BYTES);
    assert_non_null(p);
    assert_null(trp_yard_take(&yard, 64));
    trp_yard_give(&yard, p);
}

#define MB(n) (UINT64_C(n) * 1000000)

/* Each of these has a size of its own, and together they are more than there is. */
static void runs_of_all_sizes_have_room_one_after_the_other(void **state)
{
    static const uint64_t sizes[] = { MB(300), MB(400), MB(500), 64, MB(600), MB(800), 5000 };
    (void)state;
    struct trp_plot *order = trp_yard_take(&yard, 200); /* for ever */
    assert_non_null(order);
    for (size_t i = 0; i < 3 * ARRAY_LEN(sizes); i++) {
        struct trp_plot *p = trp_yard_take(&yard, sizes[i % ARRAY_LEN(sizes)]);
        assert_non_null(p);
        assert_true(p->at >= order->at + order->bytes && p->at + p->bytes <= YARD_BYTES);
        trp_yard_give(&yard, p);
    }
    assert_int_equal(trp_counter_get(&yard.refused), 0);
    assert_int_equal(trp_counter_get(&yard.taken), order->bytes);
}

static void never_and_not_now_are_told_apart(void **state)
{
    enum trp_yard_lack lack = TRP_YARD_LACKS_HEAP;
    (void)state;
    assert_null(trp_yard_try(&yard, UINT64_MAX, &lack));
    assert_int_equal(lack, TRP_YARD_IS_TOO_SMALL);
    struct trp_plot *p = trp_yard_try(&yard, YARD_BYTES, &lack);
    assert_non_null(p);
    assert_null(trp_yard_try(&yard, YARD_BYTES, &lack));
    assert_int_equal(lack, TRP_YARD_LACKS_ROOM);
    trp_yard_give(&yard, p);
    struct trp_plot *order = trp_yard_take(&yard, 200);
    assert_non_null(order);
    assert_null(trp_yard_try(&yard, YARD_BYTES, &lack));
    assert_int_equal(lack, TRP_YARD_LACKS_ROOM);
    trp_yard_keep(&yard, order);
    assert_null(trp_yard_try(&yard, YARD_BYTES, &lack));
    assert_int_equal(lack, TRP_YARD_IS_TOO_SMALL);
    assert_null(trp_yard_try(&yard, MB(940), &lack)); /* rounded up it is all there is */
    assert_int_equal(lack, TRP_YARD_IS_TOO_SMALL);
}

static void what_lies_behind_a_free_plot_is_left_alone(void **state)
{
    (void)state;
    struct trp_plot *low = trp_yard_take(&yard, MB(400)), *high = trp_yard_take(&yard, MB(500));
    assert_non_null(low);
    assert_non_null(high);
    trp_yard_give(&yard, low);
    struct trp_plot *p = trp_yard_take(&yard, MB(300)); /* a larger one serves */
    assert_ptr_equal(p, low);
    assert_null(trp_yard_take(&yard, MB(300)));
    trp_yard_give(&yard, p);
    assert_null(trp_yard_take(&yard, MB(500))); /* a smaller one does not */
    assert_int_equal(trp_counter_get(&yard.refused), 2);
    trp_yard_give(&yard, high);
    p = trp_yard_take(&yard, MB(800));
    assert_non_null(p);
    trp_yard_give(&yard, p);
}

static void pages_of_plots_that_are_no_more_go_back(void **state)
{
    (void)state;
    struct trp_plot *low = trp_yard_take(&yard, MB(100)), *high = trp_yard_take(&yard, MB(800));
    assert_non_null(low);
    assert_non_null(high);
    char *const far = high->ptr + MB(700) / 4096 * 4096;
    unsigned char pages[1];
    *far = 1;
    trp_yard_give(&yard, high);
    trp_yard_give(&yard, low);
    low = trp_yard_take(&yard, MB(600)); /* where `high` was */
    assert_non_null(low);
    assert_int_equal(mincore(far, 4096, pages), 0);
    assert_int_equal(pages[0] & 1, 0);
    trp_yard_give(&yard, low);
}

/* Whoever reads pages that another process has cut off is ended by SIGBUS. */
static void nobody_who_has_it_can_cut_it_off(void **state)
{
    (void)state;
    assert_int_equal(ftruncate(yard.shm.fd, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(yard.shm.fd, (off_t)YARD_BYTES * 2), -1);
    assert_int_equal(fcntl(yard.shm.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    struct trp_plot *p = trp_yard_take(&yard, 4096);
    p->ptr[0] = 1;
    trp_yard_give(&yard, p);
}

static void addresses_are_found_only_where_they_are(void **state)
{
    uint64_t at = 0;
    const struct trp_shm *shm = &yard.shm;
    (void)state;
    assert_true(trp_yard_find(shm, shm->ptr + 100, 50, &at));
    assert_int_equal(at, 100);
    assert_true(trp_yard_find(shm, shm->ptr, YARD_BYTES, &at));
    assert_false(trp_yard_find(shm, shm->ptr + 1, YARD_BYTES, &at));
    assert_false(trp_yard_find(shm, shm->ptr - 1, 1, &at));
    assert_false(trp_yard_find(shm, &at, sizeof at, &at));
    assert_true(trp_yard_has(shm, YARD_BYTES, 0));
    assert_false(trp_yard_has(shm, YARD_BYTES + 1, 0));
    assert_false(trp_yard_has(shm, 16, UINT64_MAX - 8));
    assert_false(trp_yard_has(shm, UINT64_MAX, 2));
}

#define IN_A_YARD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_YARD(a_plot_has_what_was_asked_for_and_is_aligned),
        IN_A_YARD(a_plot_that_came_back_is_handed_out_again),
        IN_A_YARD(nobody_who_has_it_can_cut_it_off),
        IN_A_YARD(pages_go_back_when_nobody_wanted_them_for_a_while),
        IN_A_YARD(a_full_yard_says_so),
        IN_A_YARD(runs_of_all_sizes_have_room_one_after_the_other),
        IN_A_YARD(never_and_not_now_are_told_apart),
        IN_A_YARD(what_lies_behind_a_free_plot_is_left_alone),
        IN_A_YARD(pages_of_plots_that_are_no_more_go_back),
        IN_A_YARD(addresses_are_found_only_where_they_are),
    };
    return cmocka_run_group_tests_name("yard", tests, NULL, NULL);
}

/* What C++ takes of the heap is seen by the thread that takes it, block by block. */
#include "base/cxx_heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/thread.h"

/* The operators as a C++ library calls them: `operator new(size_t)`, with an alignment, without
 * exceptions; and their ends. */
void *_Znwm(size_t bytes);
void *_ZnwmSt11align_val_t(size_t bytes, size_t align);
void *_ZnamRKSt9nothrow_t(size_t bytes, const char *nothrow);
void _ZdlPv(void *block);
void _ZdlPvm(void *block, size_t bytes);
void _ZdlPvSt11align_val_t(void *block, size_t align);
void _ZdaPv(void *block);

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_COUNTED 0
#else
#define IS_COUNTED 1
#endif

static void assert_holds(int64_t before, int64_t at_least)
{
    const int64_t holds = trp_cxx_heap_bytes() - before;
    if (IS_COUNTED)
        assert_in_range(holds, at_least, at_least + at_least / 8 + 64);
    else
        assert_int_equal(holds, 0);
}

static void what_is_taken_counts_until_it_is_given_back(void **state)
{
    (void)state;
    const int64_t before = trp_cxx_heap_bytes();
    void *small = _Znwm(1000);
    assert_holds(before, 1000);
    void *large = _ZnwmSt11align_val_t(1 << 20, 64);
    assert_holds(before, 1000 + (1 << 20));
    assert_int_equal((uintptr_t)large % 64, 0);
    const char nothrow = 0;
    void *array = _ZnamRKSt9nothrow_t(5000, &nothrow);
    assert_non_null(array);
    assert_holds(before, 6000 + (1 << 20));
    _ZdaPv(array);
    _ZdlPvSt11align_val_t(large, 64);
    assert_holds(before, 1000);
    _ZdlPvm(small, 1000);
    _ZdlPv(NULL);
    assert_int_equal(trp_cxx_heap_bytes(), before);
}

struct purse {
    int64_t paid, most, limit;
    int asked;
};

static bool pay(void *user, int64_t change)
{
    struct purse *p = user;
    p->asked++;
    if (change > 0 && p->paid + change > p->limit)
        return false;
    p->paid += change;
    if (p->paid > p->most)
        p->most = p->paid;
    return true;
}

static void who_pays_is_told_while_it_is_taken(void **state)
{
    (void)state;
    struct purse purse = { .limit = INT64_MAX };
    struct trp_cxx_payer payer = { .count = pay, .user = &purse };
    void *others = _Znwm(4 << 20);
    trp_cxx_heap_begin(&payer);
    void *large = _Znwm(1 << 20), *small = _Znwm(1000);
    assert_int_equal(purse.paid > 0, IS_COUNTED);
    _ZdlPv(large);
    _ZdlPv(others); /* not theirs to be paid back */
    assert_in_range(purse.paid, 0, 1 << 16);
    others = _Znwm(4 << 20);
    const int64_t stays = trp_cxx_heap_end(&payer);
    assert_int_equal(stays, purse.paid);
    if (IS_COUNTED)
        assert_in_range(purse.most, 1 << 20, (1 << 20) + (1 << 18));
    const int asked = purse.asked;
    _ZdlPv(small);
    _ZdlPv(others);
    assert_int_equal(purse.asked, asked);
}

static void who_does_not_pay_is_asked_once(void **state)
{
    (void)state;
    struct purse purse = { .limit = 1 << 20 };
    struct trp_cxx_payer payer = { .count = pay, .user = &purse };
    void *blocks[8];
    trp_cxx_heap_begin(&payer);
    for (int i = 0; i < 8; i++)
        blocks[i] = _Znwm(300 << 10);
    assert_int_equal(purse.asked, IS_COUNTED ? 4 : 0);
    assert_int_equal(trp_cxx_heap_end(&payer), purse.paid);
    assert_true(purse.paid <= purse.limit);
    for (int i = 0; i < 8; i++)
        _ZdlPv(blocks[i]);
}

struct given {
    void *block;
    int64_t left; /* of the thread that gave it back */
};

static void give_back(void *user)
{
    struct given *g = user;
    const int64_t before = trp_cxx_heap_bytes();
    _ZdlPv(g->block);
    g->left = trp_cxx_heap_bytes() - before;
}

static void each_thread_counts_what_it_does_itself(void **state)
{
    (void)state;
    struct trp_thread other = { 0 };
    struct trp_error err;
    const int64_t before = trp_cxx_heap_bytes();
    struct given given = { .block = _Znwm(5000) };
    if (trp_failed(trp_thread_start(&other, "other", give_back, &given, &err)))
        give_back(&given); /* memory was short */
    else
        assert_holds(before, 5000);
    trp_thread_join(&other);
    assert_true(IS_COUNTED ? given.left <= -5000 && given.left > -6000 : given.left == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken_counts_until_it_is_given_back),
        cmocka_unit_test(who_pays_is_told_while_it_is_taken),
        cmocka_unit_test(who_does_not_pay_is_asked_once),
        cmocka_unit_test(each_thread_counts_what_it_does_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

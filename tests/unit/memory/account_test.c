/* tests/unit/memory/account_test.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/str.h"
#include "base/thread.h"
#include "memory/account.h"

static uint64_t held(const struct trp_account *a)
{
    return trp_counter_get(&a->bytes);
}

static void a_block_is_charged_with_its_head_and_discharged_whole(void **state)
{
    (void)state;
    struct trp_account a;
    trp_account_init(&a, TRP_ACCOUNT_REQUEST, NULL, 0);
    void *block = trp_alloc_get(&a.alloc, 1, 1000);
    assert_non_null(block);
    assert_int_equal(held(&a), 1016);
    memset(block, 0xab, 1000);
    trp_alloc_free(&a.alloc, block);
    assert_int_equal(held(&a), 0);
    assert_int_equal(trp_counter_get(&a.peak), 1016);
    trp_account_deinit(&a);
}

static void every_alignment_is_kept(void **state)
{
    (void)state;
    struct trp_account a;
    trp_account_init(&a, TRP_ACCOUNT_ACTIVATIONS, NULL, 0);
    for (size_t align = 1; align <= 4096; align *= 2) {
        print_message("align %zu\n", align);
        char *ours = trp_alloc_aligned(&a.alloc, 100, align);
        assert_non_null(ours);
        assert_int_equal((uintptr_t)ours % align, 0);
        memset(ours, 1, 100);
        trp_alloc_free(&a.alloc, ours);
        char *theirs = a.plugin.alloc(a.plugin.user, 100, align);
        assert_non_null(theirs);
        assert_int_equal((uintptr_t)theirs % align, 0);
        memset(theirs, 2, 100);
        a.plugin.free(a.plugin.user, theirs, 100);
        assert_int_equal(held(&a), 0);
    }
    trp_account_deinit(&a);
}

static void a_block_may_be_empty(void **state)
{
    (void)state;
    struct trp_account a;
    trp_account_init(&a, TRP_ACCOUNT_REQUEST, NULL, 0);
    void *block = a.plugin.alloc(a.plugin.user, 0, 64);
    assert_non_null(block);
    a.plugin.free(a.plugin.user, block, 0);
    a.plugin.free(a.plugin.user, NULL, 0);
    trp_alloc_free(&a.alloc, NULL);
    trp_account_deinit(&a);
}

static void a_limit_refuses_and_counts_and_leaves_everything_as_it_was(void **state)
{
    (void)state;
    struct trp_account a;
    trp_account_init(&a, TRP_ACCOUNT_WEIGHTS, NULL, 100);
    assert_true(trp_account_try_charge(&a, 100));
    assert_false(trp_account_try_charge(&a, 1));
    assert_null(trp_alloc_get(&a.alloc, 1, 1));
    assert_int_equal(held(&a), 100);
    assert_int_equal(trp_counter_get(&a.refused), 2);
    trp_account_discharge(&a, 100);
    trp_account_deinit(&a);
}

static void a_parent_is_charged_too_and_its_refusal_undoes_the_childs_charge(void **state)
{
    (void)state;
    struct trp_account process, model, run;
    trp_account_init(&process, TRP_ACCOUNT_WEIGHTS, NULL, 150);
    trp_account_init(&model, TRP_ACCOUNT_WEIGHTS, &process, 0);
    trp_account_init(&run, TRP_ACCOUNT_ACTIVATIONS, &model, 0);
    assert_true(trp_account_try_charge(&run, 100));
    assert_int_equal(held(&run), 100);
    assert_int_equal(held(&model), 100);
    assert_int_equal(held(&process), 100);
    assert_false(trp_account_try_charge(&run, 100));
    assert_int_equal(held(&run), 100);
    assert_int_equal(held(&model), 100);
    assert_int_equal(held(&process), 100);
    assert_int_equal(trp_counter_get(&process.refused), 1);
    assert_int_equal(trp_counter_get(&run.refused), 0);
    trp_account_discharge(&run, 100);
    trp_account_deinit(&run);
    trp_account_deinit(&model);
    trp_account_deinit(&process);
}

static void absurd_sizes_and_alignments_are_refused_not_wrapped(void **state)
{
    (void)state;
    struct trp_account a;
    trp_account_init(&a, TRP_ACCOUNT_REQUEST, NULL, 0);
    assert_null(a.plugin.alloc(a.plugin.user, UINT64_MAX, 64));
    assert_null(a.plugin.alloc(a.plugin.user, UINT64_MAX - 100, 64));
    assert_null(a.plugin.alloc(a.plugin.user, 16, 8192));
    assert_null(a.plugin.alloc(a.plugin.user, 16, 48));
    assert_false(trp_account_try_charge(&a, UINT64_MAX));
    assert_int_equal(held(&a), 0);
    trp_account_deinit(&a);
}

static void every_kind_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(trp_account_kind_name(TRP_ACCOUNT_REQUEST), "request");
    assert_string_equal(trp_account_kind_name(TRP_ACCOUNT_ACTIVATIONS), "activations");
    assert_string_equal(trp_account_kind_name(TRP_ACCOUNT_WEIGHTS), "weights");
    assert_string_equal(trp_account_kind_name(TRP_ACCOUNT_SHARED), "shared");
    assert_string_equal(trp_account_kind_name(TRP_ACCOUNT_LISTS), "lists");
    assert_string_equal(trp_account_kind_name(TRP_ACCOUNT_FEEDBACK), "feedback");
    assert_string_equal(trp_account_kind_name(TRP_ACCOUNT_KINDS), "unknown");
}

/* Four threads take and give 100 bytes of an account that admits two of them at once. */
struct guard {
    struct trp_account *a;
    uint64_t left; /* that can be had */
    uint32_t asked;
};

static bool more(void *user, uint64_t bytes)
{
    struct guard *g = user;
    g->asked++;
    if (bytes > g->left)
        return false;
    g->left -= bytes;
    trp_account_set_room(g->a, trp_counter_get(&g->a->bytes) + bytes);
    return true;
}

static void a_guarded_account_asks_before_it_passes_its_room(void **state)
{
    (void)state;
    struct trp_account process, a;
    trp_account_init(&process, TRP_ACCOUNT_ACTIVATIONS, NULL, 0);
    trp_account_init(&a, TRP_ACCOUNT_ACTIVATIONS, &process, 0);
    struct guard g = { .a = &a, .left = 50 };
    trp_account_guard(&a, more, &g, 100);
    assert_true(trp_account_try_charge(&a, 100));
    assert_int_equal(g.asked, 0);
    assert_true(trp_account_try_charge(&a, 30)); /* now there is room for 130 */
    assert_int_equal(g.asked, 1);
    assert_false(trp_account_try_charge(&a, 30));
    assert_int_equal(held(&process), 130);
    assert_int_equal(trp_counter_get(&a.refused), 1);
    trp_account_discharge(&a, 60);
    assert_true(trp_account_try_charge(&a, 60));
    assert_int_equal(g.asked, 2);
    trp_account_guard(&a, NULL, NULL, 0);
    assert_true(trp_account_try_charge(&a, 1000));
    assert_int_equal(g.asked, 2);
    trp_account_discharge(&a, 1130);
    trp_account_deinit(&a);
    trp_account_deinit(&process);
}

static void take_and_give(void *user)
{
    struct trp_account *a = user;
    for (int i = 0; i < 20000; i++) {
        if (!trp_account_try_charge(a, 100))
            continue;
        TRP_ASSERT(held(a) <= 200);
        trp_account_discharge(a, 100);
    }
}

static void many_threads_never_pass_the_limit(void **state)
{
    (void)state;
    struct trp_account process, a;
    struct trp_thread threads[4];
    trp_account_init(&process, TRP_ACCOUNT_REQUEST, NULL, 0);
    trp_account_init(&a, TRP_ACCOUNT_REQUEST, &process, 200);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_false(trp_failed(trp_thread_start(&threads[i], "taker", take_and_give, &a, NULL)));
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        trp_thread_join(&threads[i]);
    assert_true(trp_counter_get(&a.peak) <= 200);
    trp_account_deinit(&a);
    trp_account_deinit(&process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_charged_with_its_head_and_discharged_whole),
        cmocka_unit_test(every_alignment_is_kept),
        cmocka_unit_test(a_block_may_be_empty),
        cmocka_unit_test(a_limit_refuses_and_counts_and_leaves_everything_as_it_was),
        cmocka_unit_test(a_parent_is_charged_too_and_its_refusal_undoes_the_childs_charge),
        cmocka_unit_test(absurd_sizes_and_alignments_are_refused_not_wrapped),
        cmocka_unit_test(every_kind_has_a_name),
        cmocka_unit_test(a_guarded_account_asks_before_it_passes_its_room),
        cmocka_unit_test(many_threads_never_pass_the_limit),
    };
    return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}

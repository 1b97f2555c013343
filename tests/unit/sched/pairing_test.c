/* The priority queue: against a plain array that is searched, over many random operations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sched/pairing.h"

struct item {
    struct trp_queue_node node;
    uint64_t key;
    bool in;
};

static struct item *item_of(const struct trp_queue_node *node)
{
    return TRP_CONTAINER_OF(node, struct item, node);
}

static bool item_before(const struct trp_queue_node *a, const struct trp_queue_node *b)
{
    return item_of(a)->key < item_of(b)->key;
}

static void an_empty_queue_has_no_first(void **state)
{
    (void)state;
    const struct trp_pairing p = { .before = item_before };
    assert_null(trp_pairing_first(&p));
}

static void sorts_what_is_pushed_in_any_order(void **state)
{
    (void)state;
    struct trp_pairing p = { .before = item_before };
    struct item items[100];
    for (uint64_t i = 0; i < ARRAY_LEN(items); i++) {
        items[i].key = i * 37 % 100;
        trp_pairing_push(&p, &items[i].node);
    }
    for (uint64_t want = 0; want < ARRAY_LEN(items); want++) {
        struct trp_queue_node *first = trp_pairing_first(&p);
        assert_int_equal(item_of(first)->key, want);
        trp_pairing_remove(&p, first);
    }
    assert_null(trp_pairing_first(&p));
}

static const struct item *smallest(const struct item *items, size_t n)
{
    const struct item *found = NULL;
    for (size_t i = 0; i < n; i++)
        if (items[i].in && (!found || items[i].key < found->key))
            found = &items[i];
    return found;
}

static void agrees_with_a_searched_array_over_random_pushes_and_removals(void **state)
{
    (void)state;
    struct trp_pairing p = { .before = item_before };
    struct trp_random random = { 7 };
    struct item items[64] = { 0 };
    for (uint64_t step = 0; step < 20000; step++) {
        struct item *it = &items[trp_random_next(&random) % ARRAY_LEN(items)];
        if (it->in)
            trp_pairing_remove(&p, &it->node);
        else {
            it->key = (trp_random_next(&random) % 50) << 32 | step; /* unique */
            trp_pairing_push(&p, &it->node);
        }
        it->in = !it->in;
        const struct item *want = smallest(items, ARRAY_LEN(items));
        struct trp_queue_node *first = trp_pairing_first(&p);
        assert_ptr_equal(first ? item_of(first) : NULL, want);
    }
}

static void a_million_in_a_row_need_no_deep_stack(void **state)
{
    (void)state;
    struct trp_pairing p = { .before = item_before };
    struct item *items = trp_alloc_zeroed(trp_heap(), 1000000, sizeof *items);
    assert_non_null(items);
    for (uint64_t i = 0; i < 1000000; i++) {
        items[i].key = i; /* ascending: all become children of the first */
        trp_pairing_push(&p, &items[i].node);
    }
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(item_of(trp_pairing_first(&p))->key, i);
        trp_pairing_remove(&p, trp_pairing_first(&p));
    }
    trp_alloc_free(trp_heap(), items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_queue_has_no_first),
        cmocka_unit_test(sorts_what_is_pushed_in_any_order),
        cmocka_unit_test(agrees_with_a_searched_array_over_random_pushes_and_removals),
        cmocka_unit_test(a_million_in_a_row_need_no_deep_stack),
    };
    return cmocka_run_group_tests_name("pairing", tests, NULL, NULL);
}

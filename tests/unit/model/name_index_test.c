/* The hash table beside the registry's tree: it finds what is there in every one of its
 * versions, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/name_index.h"
#include "model/registry.h"
#include "unit/base/scarce.h"

#define NAMES 20000u

static struct trp_entry *make_entries(char (*names)[16])
{
    struct trp_entry *entries = calloc(NAMES, sizeof *entries);
    for (uint32_t i = 0; i < NAMES; i++) {
        (void)snprintf(names[i], sizeof names[i], "m%u", i);
        entries[i].name = trp_str_of(names[i]);
    }
    return entries;
}

static struct trp_name_index *put(struct trp_name_index *old, const struct trp_entry *e)
{
    struct trp_name_index *fresh;
    assert_int_equal(trp_name_index_put(trp_heap(), old, e, &fresh, NULL).code, TRP_OK);
    trp_name_index_drop(trp_heap(), old);
    return fresh;
}

static struct trp_name_index *take_out(struct trp_name_index *old, struct trp_str name)
{
    struct trp_name_index *fresh;
    assert_int_equal(trp_name_index_remove(trp_heap(), old, name, &fresh, NULL).code, TRP_OK);
    trp_name_index_drop(trp_heap(), old);
    return fresh;
}

static void what_was_put_is_found_and_what_was_removed_is_not(void **state)
{
    (void)state;
    char(*names)[16] = calloc(NAMES, sizeof *names);
    struct trp_entry *entries = make_entries(names), other = { .name = TRP_STR_LIT("m7") };
    struct trp_name_index *index = NULL;
    assert_null(trp_name_index_find(index, TRP_STR_LIT("m0")));
    for (uint32_t i = 0; i < NAMES; i++)
        index = put(index, &entries[i]);
    for (uint32_t i = 0; i < NAMES; i++)
        assert_ptr_equal(trp_name_index_find(index, entries[i].name), &entries[i]);
    assert_null(trp_name_index_find(index, TRP_STR_LIT("m20000")));
    assert_null(trp_name_index_find(index, TRP_STR_LIT("")));
    index = put(index, &other); /* in place of the one of its name */
    assert_ptr_equal(trp_name_index_find(index, TRP_STR_LIT("m7")), &other);
    for (uint32_t i = 0; i < NAMES; i += 2)
        index = take_out(index, entries[i].name);
    index = take_out(index, TRP_STR_LIT("never there"));
    for (uint32_t i = 0; i < NAMES; i++) {
        const struct trp_entry *want = i % 2 == 0 ? NULL : i == 7 ? &other : &entries[i];
        assert_ptr_equal(trp_name_index_find(index, entries[i].name), want);
    }
    trp_name_index_drop(trp_heap(), index);
    free(entries);
    free(names);
}

static void an_older_index_stays_what_it_was(void **state)
{
    (void)state;
    static const struct trp_entry a = { .name = { "a", 1 } }, a2 = { .name = { "a", 1 } },
                                  b = { .name = { "b", 1 } };
    struct trp_name_index *first = put(NULL, &a);
    struct trp_name_index *second = put(trp_name_index_share(first), &b);
    struct trp_name_index *third = put(trp_name_index_share(second), &a2);
    struct trp_name_index *fourth = take_out(trp_name_index_share(third), a.name);
    assert_ptr_equal(trp_name_index_find(first, a.name), &a);
    assert_null(trp_name_index_find(first, b.name));
    assert_ptr_equal(trp_name_index_find(second, a.name), &a);
    assert_ptr_equal(trp_name_index_find(second, b.name), &b);
    assert_ptr_equal(trp_name_index_find(third, a.name), &a2);
    assert_null(trp_name_index_find(fourth, a.name));
    assert_ptr_equal(trp_name_index_find(fourth, b.name), &b);
    trp_name_index_drop(trp_heap(), second); /* in any order */
    assert_ptr_equal(trp_name_index_find(third, b.name), &b);
    trp_name_index_drop(trp_heap(), first);
    trp_name_index_drop(trp_heap(), fourth);
    trp_name_index_drop(trp_heap(), third);
    trp_name_index_drop(trp_heap(), NULL);
}

static void a_change_without_memory_leaves_everything_as_it_was(void **state)
{
    (void)state;
    static const struct trp_entry a = { .name = { "a", 1 } }, b = { .name = { "b", 1 } };
    struct scarce memory;
    const struct trp_alloc *alloc = scarce_init(&memory, UINT64_MAX);
    struct trp_name_index *index, *fresh;
    assert_int_equal(trp_name_index_put(alloc, NULL, &a, &index, NULL).code, TRP_OK);
    for (uint64_t left = 0; left < 3; left++) { /* of its three pieces */
        trp_counter_set(&memory.left, left);
        assert_int_equal(trp_name_index_put(alloc, index, &b, &fresh, NULL).code,
                         TRP_OUT_OF_MEMORY);
        assert_null(fresh);
        assert_ptr_equal(trp_name_index_find(index, a.name), &a);
        assert_null(trp_name_index_find(index, b.name));
    }
    trp_name_index_drop(alloc, index);
    assert_int_equal(trp_counter_get(&memory.out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_found_and_what_was_removed_is_not),
        cmocka_unit_test(an_older_index_stays_what_it_was),
        cmocka_unit_test(a_change_without_memory_leaves_everything_as_it_was),
    };
    return cmocka_run_group_tests_name("name_index", tests, NULL, NULL);
}

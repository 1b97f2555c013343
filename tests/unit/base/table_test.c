/* Tables: against a plain model, at their limit, and without memory. */
#include "base/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "unit/base/scarce.h"

static struct trp_table *make_table(uint32_t max)
{
    struct trp_table *t;
    assert_int_equal(trp_table_create(trp_heap(), max, &t, NULL).code, TRP_OK);
    return t;
}

static void a_value_is_found_replaced_and_taken(void **state)
{
    (void)state;
    struct trp_table *t = make_table(10);
    int a, b;
    void *old = &a;
    char key[] = "key";
    assert_int_equal(trp_table_put(t, trp_str_of(key), &a, &old, NULL).code, TRP_OK);
    assert_null(old);
    key[0] = 'K'; /* the key was copied */
    assert_ptr_equal(trp_table_get(t, TRP_STR_LIT("key")), &a);
    assert_null(trp_table_get(t, TRP_STR_LIT("Key")));
    assert_int_equal(trp_table_put(t, TRP_STR_LIT("key"), &b, &old, NULL).code, TRP_OK);
    assert_ptr_equal(old, &a);
    assert_int_equal(trp_table_put(t, trp_str_of(NULL), &a, NULL, NULL).code, TRP_OK);
    assert_ptr_equal(trp_table_get(t, TRP_STR_LIT("")), &a);
    assert_int_equal(trp_table_count(t), 2);
    assert_ptr_equal(trp_table_take(t, TRP_STR_LIT("key")), &b);
    assert_null(trp_table_take(t, TRP_STR_LIT("key")));
    assert_int_equal(trp_table_count(t), 1);
    trp_table_destroy(t);
    trp_table_destroy(NULL);
}

enum { KEYS = 500, STEPS = 20000 };

static struct trp_str key_of(uint64_t i, char out[16])
{
    return trp_str_make(out, (size_t)snprintf(out, 16, "k%llu", (unsigned long long)i));
}

static void any_sequence_leaves_what_a_plain_array_would(void **state)
{
    (void)state;
    struct trp_table *t = make_table(KEYS);
    static int values[KEYS];
    bool present[KEYS] = { false };
    uint32_t count = 0;
    struct trp_random random = { 1 };
    char text[16];
    for (int step = 0; step < STEPS; step++) {
        const uint64_t i = trp_random_next(&random) % KEYS;
        if (trp_random_next(&random) % 5 < 3) {
            assert_int_equal(trp_table_put(t, key_of(i, text), &values[i], NULL, NULL).code,
                             TRP_OK);
            count += !present[i];
            present[i] = true;
        } else {
            assert_ptr_equal(trp_table_take(t, key_of(i, text)), present[i] ? &values[i] : NULL);
            count -= present[i];
            present[i] = false;
        }
        assert_int_equal(trp_table_count(t), count);
    }
    for (uint64_t i = 0; i < KEYS; i++)
        assert_ptr_equal(trp_table_get(t, key_of(i, text)), present[i] ? &values[i] : NULL);
    uint32_t cursor = 0, seen = 0;
    struct trp_str key;
    void *value;
    for (; trp_table_next(t, &cursor, &key, &value); seen++) {
        const uint64_t i = (uint64_t)((int *)value - values);
        assert_true(present[i] && trp_str_is_equal(key, key_of(i, text)));
        present[i] = false; /* once each */
    }
    assert_int_equal(seen, count);
    trp_table_destroy(t);
}

static void a_full_table_refuses_new_keys_only(void **state)
{
    (void)state;
    struct trp_table *t = make_table(100);
    struct trp_error err = { 0 };
    int v;
    char text[16];
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(trp_table_put(t, key_of(i, text), &v, NULL, &err).code, TRP_OK);
    assert_int_equal(trp_table_put(t, key_of(100, text), &v, NULL, &err).code, TRP_TOO_LARGE);
    assert_string_equal(err.text, "table: more than 100 entries");
    assert_int_equal(trp_table_put(t, key_of(50, text), &v, NULL, &err).code, TRP_OK);
    trp_table_destroy(t);
}

static void lack_of_memory_leaves_the_table_as_it_was(void **state)
{
    (void)state;
    struct scarce scarce;
    struct trp_table *t;
    char text[16];
    int v;
    for (uint64_t blocks = 0; blocks < 2; blocks++) {
        assert_int_equal(trp_table_create(scarce_init(&scarce, blocks), 100, &t, NULL).code,
                         TRP_OUT_OF_MEMORY);
        assert_null(t);
        assert_int_equal(trp_counter_get(&scarce.out), 0);
    }
    assert_int_equal(trp_table_create(scarce_init(&scarce, 2 + 14), 100, &t, NULL).code, TRP_OK);
    uint64_t n = 0;
    while (trp_table_put(t, key_of(n, text), &v, NULL, NULL).code == TRP_OK)
        n++;
    assert_int_equal(n, 14); /* the next one has to grow the table */
    assert_int_equal(trp_table_count(t), 14);
    for (uint64_t i = 0; i < n; i++)
        assert_ptr_equal(trp_table_get(t, key_of(i, text)), &v);
    trp_table_destroy(t);
    assert_int_equal(trp_counter_get(&scarce.out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_found_replaced_and_taken),
        cmocka_unit_test(any_sequence_leaves_what_a_plain_array_would),
        cmocka_unit_test(a_full_table_refuses_new_keys_only),
        cmocka_unit_test(lack_of_memory_leaves_the_table_as_it_was),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}

/* Scopes of names. */
#include "onnx/onnx_names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void put(struct trp_onnx_names *t, struct trp_str name, int32_t elem)
{
    struct trp_error err;
    const struct trp_onnx_fact fact = { .elem = elem };
    assert_int_equal(trp_onnx_names_put(t, name, &fact, &err).code, TRP_OK);
}

static int32_t get(const struct trp_onnx_names *t, const char *name)
{
    return trp_onnx_names_get(t, trp_str_of(name)).elem;
}

static void an_inner_name_hides_an_outer_one_until_its_scope_closes(void **state)
{
    (void)state;
    struct trp_onnx_names t;
    trp_onnx_names_init(&t, trp_heap(), 100);
    assert_int_equal(get(&t, "a"), 0);
    const uint32_t outer = trp_onnx_names_open(&t);
    put(&t, TRP_STR_LIT("a"), 1);
    put(&t, TRP_STR_LIT("b"), 2);
    put(&t, TRP_STR_LIT("a"), 3); /* the same scope: replaced */
    assert_int_equal(get(&t, "a"), 3);
    const uint32_t inner = trp_onnx_names_open(&t);
    assert_false(trp_onnx_names_is_local(&t, TRP_STR_LIT("a"), NULL));
    put(&t, TRP_STR_LIT("a"), 4);
    assert_true(trp_onnx_names_is_local(&t, TRP_STR_LIT("a"), NULL));
    assert_int_equal(get(&t, "a"), 4);
    assert_int_equal(get(&t, "b"), 2);
    trp_onnx_names_close(&t, inner);
    assert_int_equal(get(&t, "a"), 3);
    trp_onnx_names_close(&t, outer);
    assert_int_equal(get(&t, "a"), 0);
    trp_onnx_names_deinit(&t);
}

static void thousands_of_names_in_many_scopes_stay_apart(void **state)
{
    (void)state;
    enum { SCOPES = 20, NAMES = 200 };
    static char names[NAMES][8];
    struct trp_onnx_names t;
    trp_onnx_names_init(&t, trp_heap(), SCOPES * NAMES);
    uint32_t outer[SCOPES];
    for (int i = 0; i < NAMES; i++)
        snprintf(names[i], sizeof names[i], "n%d", i);
    for (int s = 0; s < SCOPES; s++) {
        outer[s] = trp_onnx_names_open(&t);
        for (int i = s; i < NAMES; i++)
            put(&t, trp_str_of(names[i]), s + 1);
    }
    for (int s = SCOPES - 1; s >= 0; s--) {
        for (int i = 0; i < NAMES; i++)
            assert_int_equal(get(&t, names[i]), (i < s ? i : s) + 1);
        trp_onnx_names_close(&t, outer[s]);
    }
    trp_onnx_names_deinit(&t);
}

static void refuses_one_name_too_many(void **state)
{
    (void)state;
    static char names[65][8];
    struct trp_onnx_names t;
    struct trp_error err = { 0 };
    const struct trp_onnx_fact fact = { 0 };
    trp_onnx_names_init(&t, trp_heap(), 64);
    for (int i = 0; i < 64; i++) {
        snprintf(names[i], sizeof names[i], "n%d", i);
        put(&t, trp_str_of(names[i]), 1);
    }
    assert_int_equal(trp_onnx_names_put(&t, TRP_STR_LIT("more"), &fact, &err).code, TRP_TOO_LARGE);
    assert_string_equal(err.text, "more than 64 names in scope");
    put(&t, TRP_STR_LIT("n1"), 2); /* replacing is not adding */
    trp_onnx_names_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_inner_name_hides_an_outer_one_until_its_scope_closes),
        cmocka_unit_test(thousands_of_names_in_many_scopes_stay_apart),
        cmocka_unit_test(refuses_one_name_too_many),
    };
    return cmocka_run_group_tests_name("onnx_names", tests, NULL, NULL);
}

/* The table of model/lifecycle.c, move by move. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/str.h"
#include "model/lifecycle.h"

static const enum trp_model_state allowed[][2] = {
    { TRP_MODEL_NEW, TRP_MODEL_LOADING },     { TRP_MODEL_NEW, TRP_MODEL_GONE },
    { TRP_MODEL_LOADING, TRP_MODEL_WARMING }, { TRP_MODEL_LOADING, TRP_MODEL_FAILED },
    { TRP_MODEL_WARMING, TRP_MODEL_READY },   { TRP_MODEL_WARMING, TRP_MODEL_FAILED },
    { TRP_MODEL_READY, TRP_MODEL_DRAINING },  { TRP_MODEL_DRAINING, TRP_MODEL_GONE },
    { TRP_MODEL_FAILED, TRP_MODEL_GONE },
};

static bool is_allowed(int from, int to)
{
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
        if ((int)allowed[i][0] == from && (int)allowed[i][1] == to)
            return true;
    return false;
}

static void a_life_moves_forward_and_only_as_the_table_says(void **state)
{
    (void)state;
    for (int from = 0; from < TRP_MODEL_STATES; from++) {
        for (int to = 0; to < TRP_MODEL_STATES; to++) {
            struct trp_lifecycle lc = { .state = from };
            struct trp_error err = { 0 };
            const trp_status st = trp_lifecycle_move(&lc, (enum trp_model_state)to, 7, &err);
            if (is_allowed(from, to)) {
                assert_int_equal(st.code, TRP_OK);
                assert_int_equal(trp_lifecycle_get(&lc), to);
                assert_int_equal(lc.since_ns[to], 7);
            } else {
                assert_int_equal(st.code, TRP_FAILED_PRECONDITION);
                assert_int_equal(trp_lifecycle_get(&lc), from);
                assert_non_null(strstr(err.text, "cannot become"));
            }
        }
    }
}

static void a_refused_move_says_which(void **state)
{
    (void)state;
    struct trp_lifecycle lc = { .state = TRP_MODEL_READY };
    struct trp_error err = { 0 };
    assert_true(trp_failed(trp_lifecycle_move(&lc, TRP_MODEL_LOADING, 1, &err)));
    assert_string_equal(err.text, "READY cannot become LOADING");
}

static void every_state_has_our_name_and_one_that_clients_know(void **state)
{
    (void)state;
    static const struct row {
        int state;
        const char *ours, *wire;
    } rows[] = {
        { TRP_MODEL_NEW, "NEW", "UNAVAILABLE" },
        { TRP_MODEL_LOADING, "LOADING", "LOADING" },
        { TRP_MODEL_WARMING, "WARMING", "LOADING" },
        { TRP_MODEL_READY, "READY", "READY" },
        { TRP_MODEL_DRAINING, "DRAINING", "UNLOADING" },
        { TRP_MODEL_FAILED, "FAILED", "UNAVAILABLE" },
        { TRP_MODEL_GONE, "GONE", "UNAVAILABLE" },
        { 99, "UNKNOWN", "UNKNOWN" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        assert_string_equal(trp_model_state_name((enum trp_model_state)r->state), r->ours);
        assert_string_equal(trp_model_state_wire_name((enum trp_model_state)r->state), r->wire);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_moves_forward_and_only_as_the_table_says),
        cmocka_unit_test(a_refused_move_says_which),
        cmocka_unit_test(every_state_has_our_name_and_one_that_clients_know),
    };
    return cmocka_run_group_tests_name("lifecycle", tests, NULL, NULL);
}

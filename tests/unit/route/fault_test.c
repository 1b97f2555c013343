/* What a code says about whoever gave it. */
#include "route/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void every_code_has_its_fault(void **state)
{
    (void)state;
    static const struct row {
        int32_t code;
        enum trp_fault want;
    } rows[] = {
        { TRP_OK, TRP_FAULT_NONE },
        { TRP_INVALID_ARGUMENT, TRP_FAULT_CLIENT },
        { TRP_FAILED_PRECONDITION, TRP_FAULT_CLIENT },
        { TRP_PERMISSION_DENIED, TRP_FAULT_CLIENT },
        { TRP_TOO_LARGE, TRP_FAULT_CLIENT },
        { TRP_CANCELLED, TRP_FAULT_GONE },
        { TRP_DEADLINE_EXCEEDED, TRP_FAULT_TIMEOUT },
        { TRP_NOT_FOUND, TRP_FAULT_NOT_READY },
        { TRP_NOT_READY, TRP_FAULT_NOT_READY },
        { TRP_UNAVAILABLE, TRP_FAULT_NOT_READY },
        { TRP_OVER_BUDGET, TRP_FAULT_NOT_READY },
        { TRP_QUEUE_FULL, TRP_FAULT_OVERLOAD },
        { TRP_OUT_OF_MEMORY, TRP_FAULT_OVERLOAD },
        { TRP_BACKEND_FAILED, TRP_FAULT_ERROR },
        { TRP_INTERNAL, TRP_FAULT_ERROR },
        { -1, TRP_FAULT_ERROR },
        { TRP_CODES, TRP_FAULT_ERROR },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("code %d\n", r->code);
        assert_int_equal(trp_fault_of(r->code), r->want);
    }
}

static void only_ok_is_no_fault(void **state)
{
    (void)state;
    for (int32_t code = 0; code < TRP_CODES; code++)
        assert_int_equal(trp_fault_of(code) == TRP_FAULT_NONE, code == TRP_OK);
}

static void those_that_another_may_cure_have_names_to_write(void **state)
{
    (void)state;
    static const char *const names[] = { "error", "timeout", "not_ready", "overload" };
    static const char *const others[] = { "errors", "client", "gone", "none", "" };
    uint32_t all = 0;
    for (uint32_t i = 0; i < ARRAY_LEN(names); i++) {
        enum trp_fault parsed = TRP_FAULT_NONE;
        assert_true(trp_fault_parse(trp_str_of(names[i]), &parsed));
        all |= TRP_FAULT_BIT(parsed);
    }
    assert_int_equal(all, TRP_FAULTS_CURABLE);
    for (uint32_t i = 0; i < ARRAY_LEN(others); i++) {
        enum trp_fault untouched = TRP_FAULT_GONE;
        assert_false(trp_fault_parse(trp_str_of(others[i]), &untouched));
        assert_int_equal(untouched, TRP_FAULT_GONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_fault),
        cmocka_unit_test(only_ok_is_no_fault),
        cmocka_unit_test(those_that_another_may_cure_have_names_to_write),
    };
    return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}

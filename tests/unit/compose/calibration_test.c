/* Thresholds of cascades: the lowest at which two models agree often enough. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/str.h"
#include "compose/calibration.h"

static struct trp_calibration find(const struct trp_calibration_row *rows, uint64_t n,
                                   double target)
{
    struct trp_calibration_row copy[8];
    struct trp_calibration out;
    for (uint64_t i = 0; i < n; i++)
        copy[i] = rows[i];
    trp_calibration_find(copy, n, target, &out);
    return out;
}

static const struct trp_calibration_row rows[] = {
    { 0.5, false }, { 0.9, true }, { 0.8, true }, { 0.7, false }, { 0.7, true }
};

static void the_lowest_threshold_that_agrees_is_found(void **state)
{
    (void)state;
    const struct trp_calibration all = find(rows, 5, 1);
    assert_true(all.threshold == 0.8 && all.agreement == 1 && all.share == 0.4);
    const struct trp_calibration most = find(rows, 5, 0.8);
    assert_true(most.threshold == 0.7 && most.agreement == 0.8 && most.share == 0.8);
    const struct trp_calibration any = find(rows, 5, 0);
    assert_true(any.threshold == 0.5 && any.agreement == 0.6 && any.share == 1);
}

static void equal_confidences_go_together(void **state)
{
    (void)state;
    const struct trp_calibration c = find(rows, 5, 0.9); /* one of the two at 0.7 is wrong */
    assert_true(c.threshold == 0.8);
}

static void a_cheap_model_that_is_wrong_when_it_is_sure_answers_nothing(void **state)
{
    (void)state;
    static const struct trp_calibration_row bad[] = { { 1, false }, { 0.5, true } };
    const struct trp_calibration c = find(bad, 2, 0.9);
    assert_true(c.threshold > 1 && c.share == 0 && c.agreement == 1);
    assert_true(c.reachable == 0.5);
    assert_true(find(bad, 0, 0.9).threshold > 1);
}

static void a_sample_has_as_many_rows_as_the_agreement_needs(void **state)
{
    (void)state;
    assert_int_equal(trp_calibration_rows(0), 3);
    assert_int_equal(trp_calibration_rows(0.9), 30);
    assert_int_equal(trp_calibration_rows(0.99), 300);
    assert_int_equal(trp_calibration_rows(0.995), 600);
    assert_int_equal(trp_calibration_rows(0.999), 3000);
    assert_int_equal(trp_calibration_rows(0.9999), 30000);
    assert_true(trp_calibration_rows(1) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lowest_threshold_that_agrees_is_found),
        cmocka_unit_test(equal_confidences_go_together),
        cmocka_unit_test(a_cheap_model_that_is_wrong_when_it_is_sure_answers_nothing),
        cmocka_unit_test(a_sample_has_as_many_rows_as_the_agreement_needs),
    };
    return cmocka_run_group_tests_name("calibration", tests, NULL, NULL);
}

/* Whether another model would have said the same. */
#include "route/agreement.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/half.h"

static struct trp_call_tensor tensor(const char *name, int32_t dtype, int64_t rows, int64_t columns,
                                     void *data, uint64_t bytes)
{
    return (struct trp_call_tensor){ .name = trp_str_of(name),
                                     .tensor = { .dtype = dtype,
                                                 .rank = columns > 0 ? 2 : 1,
                                                 .shape = { rows, columns },
                                                 .data = data,
                                                 .bytes = bytes } };
}

#define FLOATS(name, rows, columns, array) \
    tensor((name), TROUPE_FP32, (rows), (columns), (array), sizeof(array))

static struct trp_agreement_result compare(struct trp_call_tensor a, struct trp_call_tensor b)
{
    struct trp_agreement_result result;
    trp_agreement_compare(&a, 1, &b, 1, NULL, &result);
    return result;
}

static void classes_agree_when_the_largest_is_the_same(void **state)
{
    (void)state;
    float a[] = { 0.1f, 0.7f, 0.2f, 0.9f, 0.05f, 0.05f, 0, 0, 1 },
          b[] = { 0.2f, 0.5f, 0.3f, 0.4f, 0.5f, 0.1f, 0, 0, 1 };
    const struct trp_agreement_result r = compare(FLOATS("y", 3, 3, a), FLOATS("y", 3, 3, b));
    assert_int_equal(r.kind, TRP_AGREEMENT_DIFFERS);
    assert_int_equal(r.rows, 3);
    assert_int_equal(r.rows_agreeing, 2);
    assert_true(r.worst_abs > 0.499 && r.worst_abs < 0.501);
    assert_true(r.worst_rel > 0.899 && r.worst_rel < 0.901);
    assert_true(trp_str_is(r.output, "y"));
}

static void other_numbers_agree_within_a_tolerance(void **state)
{
    (void)state;
    float a[] = { 100, 0, 5, -1 }, b[] = { 100.05f, 0.000001f, 5.1f, -1 };
    struct trp_call_tensor x = FLOATS("y", 4, 0, a), y = FLOATS("y", 4, 0, b);
    struct trp_agreement_result r = compare(x, y);
    assert_int_equal(r.rows, 4);
    assert_int_equal(r.rows_agreeing, 3);
    const struct trp_agreement_opts wide = { .rel_max = 0.05 };
    trp_agreement_compare(&x, 1, &y, 1, &wide, &r);
    assert_int_equal(r.rows_agreeing, 4);
    assert_int_equal(r.kind, TRP_AGREEMENT_SAME);
}

static void one_column_is_no_choice_of_classes(void **state)
{
    (void)state;
    float a[] = { 1, 2 }, b[] = { 1, 3 };
    assert_int_equal(compare(FLOATS("y", 2, 1, a), FLOATS("y", 2, 1, b)).rows_agreeing, 1);
}

static void what_is_no_number_has_its_rules(void **state)
{
    (void)state;
    const float nan = strtof("nan", NULL), inf = strtof("inf", NULL);
    float a[] = { nan, inf, -inf, nan, 1 }, b[] = { nan, inf, inf, 0, inf };
    const struct trp_agreement_result r = compare(FLOATS("y", 5, 0, a), FLOATS("y", 5, 0, b));
    assert_int_equal(r.rows_agreeing, 2);
    assert_true(r.worst_abs <= 0); /* only of numbers */
    float c[] = { nan, 1, 2, nan, nan, nan }, d[] = { 5, 1, 6, nan, nan, nan };
    assert_int_equal(compare(FLOATS("y", 2, 3, c), FLOATS("y", 2, 3, d)).rows_agreeing, 2);
    float e[] = { nan, nan }, f[] = { 1, nan };
    assert_int_equal(compare(FLOATS("y", 1, 2, e), FLOATS("y", 1, 2, f)).rows_agreeing, 0);
}

static void every_floating_type_is_read(void **state)
{
    (void)state;
    uint16_t half[2][3], brain[2][3];
    double wide[2][3];
    static const float values[2][3] = { { 1, 2, 3 }, { 1, 2.5f, 3 } };
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 3; k++) {
            half[i][k] = trp_fp16_of(values[i][k]);
            brain[i][k] = trp_bf16_of(values[i][k]);
            wide[i][k] = (double)values[i][k];
        }
    const struct trp_agreement_result results[] = {
        compare(tensor("y", TROUPE_FP16, 3, 0, half[0], 6),
                tensor("y", TROUPE_FP16, 3, 0, half[1], 6)),
        compare(tensor("y", TROUPE_BF16, 3, 0, brain[0], 6),
                tensor("y", TROUPE_BF16, 3, 0, brain[1], 6)),
        compare(tensor("y", TROUPE_FP64, 3, 0, wide[0], 24),
                tensor("y", TROUPE_FP64, 3, 0, wide[1], 24)),
    };
    for (size_t i = 0; i < ARRAY_LEN(results); i++) {
        assert_int_equal(results[i].rows_agreeing, 2);
        assert_true(fabs(results[i].worst_abs - 0.5) < 1e-9);
        assert_true(fabs(results[i].worst_rel - 0.2) < 1e-9);
    }
}

static void whole_numbers_are_equal_or_not(void **state)
{
    (void)state;
    int64_t a[] = { 1, 2, INT64_MAX, INT64_MAX - 1 }, b[] = { 1, 2, INT64_MAX, INT64_MAX };
    const struct trp_agreement_result r = compare(tensor("y", TROUPE_INT64, 2, 2, a, sizeof a),
                                                  tensor("y", TROUPE_INT64, 2, 2, b, sizeof b));
    assert_int_equal(r.rows, 2);
    assert_int_equal(r.rows_agreeing, 1);
}

#define TEXTS(rows, columns, literal) \
    tensor("y", TROUPE_BYTES, (rows), (columns), (void *)(uintptr_t)(literal), sizeof(literal) - 1)

static void strings_are_equal_or_not(void **state)
{
    (void)state;
    const struct trp_call_tensor a = TEXTS(3, 0, "\3\0\0\0cat\0\0\0\0\1\0\0\0x");
    assert_int_equal(compare(a, a).rows_agreeing, 3);
    assert_int_equal(compare(a, TEXTS(3, 0, "\5\0\0\0tiger\0\0\0\0\1\0\0\0x")).rows_agreeing, 2);
    assert_int_equal(compare(a, TEXTS(3, 0, "\3\0\0\0cat\0\0\0\0")).rows_agreeing, 2);
    assert_int_equal(compare(a, TEXTS(3, 0, "\377\377\377\377cat\0\0\0\0\1\0\0\0x")).rows_agreeing,
                     0);
    assert_int_equal(compare(a, TEXTS(3, 0, "")).rows_agreeing, 0);
    const struct trp_call_tensor pairs = TEXTS(2, 2, "\1\0\0\0a\1\0\0\0b\1\0\0\0c\1\0\0\0d");
    assert_int_equal(
        compare(pairs, TEXTS(2, 2, "\1\0\0\0a\1\0\0\0x\1\0\0\0c\1\0\0\0d")).rows_agreeing, 1);
}

static void what_is_unlike_agrees_in_no_row(void **state)
{
    (void)state;
    float a[] = { 1, 2, 3, 4, 5, 6 };
    double b[] = { 1, 2, 3, 4, 5, 6 };
    struct trp_call_tensor absent = FLOATS("y", 3, 2, a), cut = FLOATS("y", 3, 2, a);
    absent.tensor.data = NULL;
    cut.tensor.bytes = 20;
    const struct trp_call_tensor ours = FLOATS("y", 3, 2, a),
                                 theirs[] = { FLOATS("z", 3, 2, a),
                                              FLOATS("y", 2, 3, a),
                                              FLOATS("y", 6, 0, a),
                                              tensor("y", TROUPE_FP64, 3, 2, b, sizeof b),
                                              absent,
                                              cut };
    for (size_t i = 0; i < ARRAY_LEN(theirs); i++) {
        const struct trp_agreement_result r = compare(ours, theirs[i]);
        assert_int_equal(r.kind, TRP_AGREEMENT_UNLIKE);
        assert_int_equal(r.rows, 3);
        assert_int_equal(r.rows_agreeing, 0);
    }
}

static void outputs_are_matched_by_name_and_more_count_for_nothing(void **state)
{
    (void)state;
    float a[] = { 1, 2 }, b[] = { 3, 4 };
    const struct trp_call_tensor ours[] = { FLOATS("a", 2, 0, a), FLOATS("b", 2, 0, b) },
                                 theirs[] = { FLOATS("c", 2, 0, a), FLOATS("b", 2, 0, b),
                                              FLOATS("a", 2, 0, a) };
    struct trp_agreement_result r;
    trp_agreement_compare(ours, 2, theirs, 3, NULL, &r);
    assert_int_equal(r.kind, TRP_AGREEMENT_SAME);
    assert_int_equal(r.rows_agreeing, 4);
    trp_agreement_compare(ours, 2, theirs, 2, NULL, &r); /* "a" is one's alone */
    assert_int_equal(r.kind, TRP_AGREEMENT_SAME);
    assert_int_equal(r.rows_agreeing, 2);
    trp_agreement_compare(ours, 2, theirs, 1, NULL, &r);
    assert_int_equal(r.kind, TRP_AGREEMENT_UNLIKE);
    assert_true(trp_str_is(r.output, "b"));
    trp_agreement_compare(NULL, 0, theirs, 2, NULL, &r);
    assert_int_equal(r.kind, TRP_AGREEMENT_SAME);
    assert_int_equal(r.rows, 0);
}

static void there_is_a_limit_to_it(void **state)
{
    (void)state;
    static float a[100000], b[100000];
    b[0] = 1;
    b[99999] = 1;
    struct trp_agreement_result r = compare(FLOATS("y", 100, 1000, a), FLOATS("y", 100, 1000, b));
    assert_true(r.is_cut);
    assert_int_equal(r.rows, 17); /* 16 whole ones, and a part of the next */
    r = compare(FLOATS("y", 1, 100000, a), FLOATS("y", 1, 100000, b));
    assert_true(r.is_cut);
    assert_int_equal(r.rows, 1);
    r = compare(FLOATS("y", 100, 1000, a), FLOATS("y", 100, 1000, a)); /* bytes are compared all */
    assert_false(r.is_cut);
    assert_int_equal(r.rows_agreeing, 100);
}

static void odd_shapes_do_no_harm(void **state)
{
    (void)state;
    float a[] = { 1 };
    struct trp_call_tensor scalar = FLOATS("y", 1, 0, a), empty = FLOATS("y", 0, 0, a),
                           huge = FLOATS("y", INT64_MAX, INT64_MAX, a),
                           negative = FLOATS("y", -1, 0, a), flat = FLOATS("y", 4, 3, a);
    scalar.tensor.rank = 0;
    empty.tensor.bytes = 0;
    assert_int_equal(compare(scalar, scalar).rows_agreeing, 1);
    assert_int_equal(compare(empty, empty).kind, TRP_AGREEMENT_SAME);
    assert_int_equal(compare(huge, huge).kind, TRP_AGREEMENT_UNLIKE);
    assert_int_equal(compare(negative, negative).kind, TRP_AGREEMENT_UNLIKE);
    flat.tensor.shape[1] = 0; /* four rows of nothing */
    flat.tensor.bytes = 0;
    assert_int_equal(compare(flat, flat).kind, TRP_AGREEMENT_SAME);
}

static void comparisons_add_up(void **state)
{
    (void)state;
    struct trp_agreement sums = { 0 };
    float a[] = { 1, 2, 3, 4 }, b[] = { 1, 2, 3, 5 };
    assert_true(trp_agreement_share(&sums) >= 1);
    struct trp_agreement_result r = compare(FLOATS("y", 4, 0, a), FLOATS("y", 4, 0, b));
    trp_agreement_add(&sums, &r);
    r = compare(FLOATS("y", 4, 0, a), FLOATS("y", 4, 0, a));
    trp_agreement_add(&sums, &r);
    r = compare(FLOATS("y", 4, 0, a), FLOATS("z", 4, 0, a));
    trp_agreement_add(&sums, &r);
    trp_agreement_add_failure(&sums);
    assert_int_equal(trp_counter_get(&sums.calls), 3);
    assert_int_equal(trp_counter_get(&sums.same), 1);
    assert_int_equal(trp_counter_get(&sums.unlike), 1);
    assert_int_equal(trp_counter_get(&sums.failed), 1);
    assert_true(fabs(trp_agreement_share(&sums) - 7.0 / 12) < 1e-9);
    assert_true(fabs(trp_agreement_worst_abs(&sums) - 1) < 1e-6);
    assert_true(fabs(trp_agreement_worst_rel(&sums) - 0.2) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_agree_when_the_largest_is_the_same),
        cmocka_unit_test(other_numbers_agree_within_a_tolerance),
        cmocka_unit_test(one_column_is_no_choice_of_classes),
        cmocka_unit_test(what_is_no_number_has_its_rules),
        cmocka_unit_test(every_floating_type_is_read),
        cmocka_unit_test(whole_numbers_are_equal_or_not),
        cmocka_unit_test(strings_are_equal_or_not),
        cmocka_unit_test(what_is_unlike_agrees_in_no_row),
        cmocka_unit_test(outputs_are_matched_by_name_and_more_count_for_nothing),
        cmocka_unit_test(there_is_a_limit_to_it),
        cmocka_unit_test(odd_shapes_do_no_harm),
        cmocka_unit_test(comparisons_add_up),
    };
    return cmocka_run_group_tests_name("agreement", tests, NULL, NULL);
}

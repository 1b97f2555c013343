/* How sure a model is: each measure on rows whose answer is known by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "compose/confidence.h"

static void each_measure_of_a_row(void **state)
{
    (void)state;
    static const struct row {
        enum trp_confidence_kind kind;
        bool logits;
        float values[4];
        int64_t classes;
        double want;
    } rows[] = {
        { TRP_CONFIDENCE_MAX, false, { 0.1f, 0.7f, 0.2f }, 3, 0.7 },
        { TRP_CONFIDENCE_MARGIN, false, { 0.1f, 0.7f, 0.2f }, 3, 0.5 },
        { TRP_CONFIDENCE_MARGIN, false, { 0.5f, 0.5f }, 2, 0 },
        { TRP_CONFIDENCE_ENTROPY, false, { 1, 0, 0 }, 3, 1 },
        { TRP_CONFIDENCE_ENTROPY, false, { 0.25f, 0.25f, 0.25f, 0.25f }, 4, 0 },
        { TRP_CONFIDENCE_ENTROPY, false, { 2, 2 }, 2, 0 }, /* above 1 counts as 1 */
        { TRP_CONFIDENCE_ENTROPY, false, { 0.5f, 0.5f, 0, 0 }, 4, 0.5 },
        { TRP_CONFIDENCE_MAX, false, { -1, -2 }, 2, 0 }, /* nothing that could be right */
        { TRP_CONFIDENCE_MAX, false, { 0.9f, NAN }, 2, 0 },
        { TRP_CONFIDENCE_MAX, true, { 5, 5 }, 2, 0.5 },
        { TRP_CONFIDENCE_MAX, true, { 1000, 0 }, 2, 1 },
        { TRP_CONFIDENCE_MARGIN, true, { 5, 5 }, 2, 0 },
        { TRP_CONFIDENCE_ENTROPY, true, { 7, 7, 7 }, 3, 0 },
        { TRP_CONFIDENCE_MAX, true, { INFINITY, 0 }, 2, 0 },
        { TRP_CONFIDENCE_MAX, true, { -INFINITY, -INFINITY }, 2, 0 },
        { TRP_CONFIDENCE_MAX, true, { -INFINITY, 3 }, 2, 1 },
        { TRP_CONFIDENCE_MAX, false, { 0.2f }, 1, 0.8 }, /* of two */
        { TRP_CONFIDENCE_MARGIN, false, { 0.2f }, 1, 0.6 },
        { TRP_CONFIDENCE_MAX, true, { 0 }, 1, 0.5 },
        { TRP_CONFIDENCE_MAX, true, { INFINITY }, 1, 0 },
        { TRP_CONFIDENCE_MAX, true, { NAN }, 1, 0 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        float values[4];
        double got = -1;
        memcpy(values, r->values, sizeof values);
        const struct troupe_tensor t = { .dtype = TROUPE_FP32,
                                         .rank = 2,
                                         .shape = { 1, r->classes },
                                         .data = values,
                                         .bytes = (uint64_t)r->classes * 4 };
        assert_false(trp_failed(trp_confidence_rows(r->kind, r->logits, &t, &got, 1, NULL)));
        if (!(fabs(got - r->want) < 1e-6))
            fail_msg("row %d: %g, expected %g", (int)(r - rows), got, r->want);
    }
}

/* 300 classes are more than one piece. */
static void long_rows_are_measured_whole(void **state)
{
    (void)state;
    float values[300];
    double got;
    const struct troupe_tensor t = {
        .dtype = TROUPE_FP32, .rank = 1, .shape = { 300 }, .data = values, .bytes = sizeof values
    };
    for (int i = 0; i < 300; i++)
        values[i] = i == 290 ? 3.0f : 0.0f;
    assert_false(trp_failed(trp_confidence_rows(TRP_CONFIDENCE_MAX, true, &t, &got, 1, NULL)));
    assert_true(fabs(got - exp(3) / (exp(3) + 299)) < 1e-9);
}

static void the_least_sure_place_speaks_for_its_row(void **state)
{
    (void)state;
    float values[] = { 0.9f, 0.1f, 0.6f, 0.4f, 0, 1, 0.2f, 0.8f };
    double got[2];
    const struct troupe_tensor t = { .dtype = TROUPE_FP32,
                                     .rank = 3,
                                     .shape = { 2, 2, 2 },
                                     .data = values,
                                     .bytes = sizeof values };
    assert_false(trp_failed(trp_confidence_rows(TRP_CONFIDENCE_MAX, false, &t, got, 2, NULL)));
    assert_true(fabs(got[0] - 0.6) < 1e-6);
    assert_true(fabs(got[1] - 0.8) < 1e-6);
}

static void what_has_no_classes_is_refused(void **state)
{
    (void)state;
    float values[4] = { 0 };
    double got[4];
    struct trp_error err = { 0 };
    const struct troupe_tensor good = {
        .dtype = TROUPE_FP32, .rank = 2, .shape = { 2, 2 }, .data = values, .bytes = 16
    };
    struct troupe_tensor t = good;
#define REFUSED(rows)                                                                          \
    assert_int_equal(trp_confidence_rows(TRP_CONFIDENCE_MAX, false, &t, got, rows, &err).code, \
                     TRP_INVALID_ARGUMENT)
    REFUSED(3);
    t.rank = 0;
    REFUSED(1);
    t = good;
    t.shape[1] = 0;
    REFUSED(2);
    t = good;
    t.bytes = 8;
    REFUSED(2);
    t = good;
    t.dtype = TROUPE_BYTES;
    REFUSED(2);
    t = good;
    t.shape[0] = 0;
    assert_false(trp_failed(trp_confidence_rows(TRP_CONFIDENCE_MAX, false, &t, got, 0, &err)));
}

static void kinds_have_names(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < TRP_CONFIDENCES; i++) {
        const char *name = trp_confidence_name((enum trp_confidence_kind)i);
        enum trp_confidence_kind kind = TRP_CONFIDENCES;
        assert_true(trp_confidence_parse(trp_str_of(name), &kind));
        assert_int_equal(kind, i);
    }
    enum trp_confidence_kind kind;
    assert_false(trp_confidence_parse(TRP_STR_LIT("belief"), &kind));
    assert_string_equal(trp_confidence_near(TRP_STR_LIT("margn")), "margin");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_measure_of_a_row),
        cmocka_unit_test(long_rows_are_measured_whole),
        cmocka_unit_test(the_least_sure_place_speaks_for_its_row),
        cmocka_unit_test(what_has_no_classes_is_refused),
        cmocka_unit_test(kinds_have_names),
    };
    return cmocka_run_group_tests_name("confidence", tests, NULL, NULL);
}

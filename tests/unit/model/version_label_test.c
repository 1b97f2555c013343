/* Labels: what is one, what it travels as, and which version answers to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "model/registry.h"

static void names_are_told_from_numbers_and_from_anything_else(void **state)
{
    (void)state;
    static const struct row {
        const char *text;
        int what; /* 1: a number, -1: a label, 0: neither */
    } rows[] = {
        { "1", 1 },
        { "9223372036854775807", 1 },
        { "0", 0 },
        { "9223372036854775808", 0 },
        { "-1", 0 },
        { "", 0 },
        { "1.5", 0 },
        { "1a", 0 },
        { "stable", -1 },
        { "_x", -1 },
        { "V2.1-rc", -1 },
        { "a b", 0 },
        { "a/b", 0 },
        { "\xc3\xa4", 0 },
        { "-a", 0 },
        { ".a", 0 },
        { "x123456789012345678901234567890123456789012345678901234567890123", -1 },
        { "x1234567890123456789012345678901234567890123456789012345678901234", 0 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        int64_t out = 0;
        print_message("'%s'\n", r->text);
        assert_int_equal(trp_version_label_parse(trp_str_of(r->text), &out), r->what != 0);
        assert_true(r->what == 1 ? out > 0 : r->what ? out < 0 : out == 0);
    }
}

static void a_key_is_its_labels_and_no_others(void **state)
{
    (void)state;
    static const struct trp_version_label labels[] = { { { "stable", 6 }, 3 },
                                                       { { "canary", 6 }, 4 } };
    const struct trp_version_label *found =
        trp_version_label_find(labels, 2, trp_version_label_key(TRP_STR_LIT("canary")));
    assert_ptr_equal(found, &labels[1]);
    assert_null(trp_version_label_find(labels, 2, trp_version_label_key(TRP_STR_LIT("Canary"))));
    assert_null(trp_version_label_find(NULL, 0, -5));
}

/* A registry with versions 3 and 4 of `m`, both READY. */
static struct trp_registry *make_registry(const struct trp_version_label *labels, uint32_t n)
{
    static const enum trp_model_state way[] = { TRP_MODEL_LOADING, TRP_MODEL_WARMING,
                                                TRP_MODEL_READY };
    struct trp_registry *r;
    struct trp_version *versions[2];
    assert_int_equal(trp_registry_create(trp_heap(), 0, &r, NULL).code, TRP_OK);
    for (int64_t i = 0; i < 2; i++) {
        const struct trp_version_opts opts = { .model = TRP_STR_LIT("m"), .number = 3 + i };
        assert_int_equal(trp_version_create(trp_heap(), &opts, &versions[i], NULL).code, TRP_OK);
        for (size_t k = 0; k < ARRAY_LEN(way); k++)
            assert_int_equal(trp_lifecycle_move(&versions[i]->life, way[k], 0, NULL).code, TRP_OK);
    }
    const struct trp_entry e = { .name = TRP_STR_LIT("m"),
                                 .versions = versions,
                                 .versions_n = 2,
                                 .labels = labels,
                                 .labels_n = n };
    assert_int_equal(trp_registry_put(r, &e, NULL).code, TRP_OK);
    (void)trp_registry_publish(r);
    trp_version_unref(versions[0]);
    trp_version_unref(versions[1]);
    return r;
}

static int64_t answers(const struct trp_registry *r, const char *label, struct trp_error *err)
{
    struct trp_version *v;
    int64_t version;
    assert_true(trp_version_label_parse(trp_str_of(label), &version));
    if (trp_failed(trp_snapshot_pick(trp_registry_current(r), TRP_STR_LIT("m"), version, &v, err)))
        return 0;
    const int64_t number = v->target.version;
    trp_version_unref(v);
    return number;
}

static void the_version_of_a_label_answers(void **state)
{
    (void)state;
    struct trp_error err = { 0 };
    char stable[] = "stable"; /* the entry keeps a copy */
    const struct trp_version_label labels[] = { { trp_str_of(stable), 3 },
                                                { TRP_STR_LIT("canary"), 4 } };
    struct trp_registry *r = make_registry(labels, 2);
    memset(stable, 'x', 6);
    assert_int_equal(answers(r, "stable", &err), 3);
    assert_int_equal(answers(r, "canary", &err), 4);
    assert_int_equal(answers(r, "4", &err), 4);
    assert_int_equal(answers(r, "beta", &err), 0);
    assert_int_equal(err.status.code, TRP_NOT_FOUND);
    assert_string_equal(err.text, "Request for unknown model: 'm' has no version of this label; "
                                  "its labels are stable, canary");
    trp_registry_destroy(r);
    r = make_registry(NULL, 0);
    assert_int_equal(answers(r, "stable", &err), 0);
    assert_non_null(strstr(err.text, "it has no labels"));
    trp_registry_destroy(r);
}

static void a_label_becomes_a_number_for_whoever_knows_numbers_only(void **state)
{
    (void)state;
    const struct trp_version_label label = { TRP_STR_LIT("stable"), 3 };
    struct trp_registry *r = make_registry(&label, 1);
    const struct trp_snapshot *s = trp_registry_current(r);
    const int64_t key = trp_version_label_key(label.name);
    int64_t number = -1;
    assert_int_equal(trp_snapshot_number(s, TRP_STR_LIT("m"), key, &number, NULL).code, TRP_OK);
    assert_int_equal(number, 3);
    assert_int_equal(trp_snapshot_number(s, TRP_STR_LIT("m"), 9, &number, NULL).code, TRP_OK);
    assert_int_equal(number, 9); /* whether it is there is not asked here */
    assert_int_equal(trp_snapshot_number(s, TRP_STR_LIT("m"), key - 1, &number, NULL).code,
                     TRP_NOT_FOUND);
    assert_int_equal(trp_snapshot_number(s, TRP_STR_LIT("x"), key, &number, NULL).code, TRP_OK);
    assert_int_equal(number, 0);
    trp_registry_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_told_from_numbers_and_from_anything_else),
        cmocka_unit_test(a_key_is_its_labels_and_no_others),
        cmocka_unit_test(the_version_of_a_label_answers),
        cmocka_unit_test(a_label_becomes_a_number_for_whoever_knows_numbers_only),
    };
    return cmocka_run_group_tests_name("version_label", tests, NULL, NULL);
}

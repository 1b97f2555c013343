/* The picture of the names that are no models: who is in it, who is kept by it, and what memory
 * that runs out leaves behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "unit/base/scarce.h"
#include "unit/call/counted_target.h"

static void names_are_found_and_keep_what_stands_behind_them(void **state)
{
    (void)state;
    struct counted a = { .refs = 1 }, b = { .refs = 1 };
    const struct trp_directory_item items[] = { counted_item("a", "route", &a),
                                                counted_item("b", "ensemble", &b) };
    struct trp_directory *d;
    assert_false(
        trp_failed(trp_directory_build(trp_heap(), items, 2, TRP_STR_LIT("it rains"), &d, NULL)));
    assert_int_equal(a.refs, 2);
    assert_int_equal(trp_directory_count(d), 2);
    assert_string_equal(trp_directory_at(d, 1)->kind, "ensemble");
    assert_null(trp_directory_at(d, 2));
    assert_ptr_equal(trp_directory_find(d, TRP_STR_LIT("a"))->target, &a.target);
    assert_null(trp_directory_find(d, TRP_STR_LIT("c")));
    assert_true(trp_str_is(trp_directory_trouble(d), "it rains"));
    trp_directory_ref(d);
    trp_directory_unref(d);
    assert_int_equal(b.refs, 2);
    trp_directory_unref(d);
    assert_int_equal(a.refs, 1);
    assert_int_equal(b.refs, 1);
}

static void nobody_is_in_no_picture(void **state)
{
    (void)state;
    struct trp_target *t = NULL;
    void (*let_go)(struct trp_target *) = NULL;
    assert_null(trp_directory_find(NULL, TRP_STR_LIT("a")));
    assert_int_equal(trp_directory_count(NULL), 0);
    assert_int_equal(trp_directory_trouble(NULL).len, 0);
    assert_false(trp_failed(trp_directory_pick(NULL, TRP_STR_LIT("a"), 0, &t, &let_go, NULL)));
    assert_null(t);
    trp_directory_unref(NULL);
}

static void a_pick_keeps_its_target_and_knows_one_version(void **state)
{
    (void)state;
    struct counted a = { .refs = 1 };
    const struct trp_directory_item one = counted_item("a", "route", &a);
    struct trp_directory *d;
    struct trp_target *t = NULL;
    void (*let_go)(struct trp_target *) = NULL;
    struct trp_error err = { 0 };
    assert_false(trp_failed(trp_directory_build(trp_heap(), &one, 1, TRP_STR_LIT(""), &d, NULL)));
    for (int64_t version = 0; version <= 1; version++) {
        assert_false(
            trp_failed(trp_directory_pick(d, TRP_STR_LIT("a"), version, &t, &let_go, NULL)));
        assert_int_equal(a.refs, 3);
        let_go(t);
    }
    assert_int_equal(trp_directory_pick(d, TRP_STR_LIT("a"), 2, &t, &let_go, &err).code,
                     TRP_NOT_FOUND);
    assert_non_null(strstr(err.text, "this route has no versions"));
    trp_directory_unref(d);
}

static void two_of_one_name_are_refused_with_both_places(void **state)
{
    (void)state;
    struct counted a = { .refs = 1 }, b = { .refs = 1 };
    const struct trp_directory_item items[] = { counted_item("a", "route", &a),
                                                counted_item("a", "ensemble", &b) };
    struct trp_directory *d;
    struct trp_error err = { 0 };
    assert_int_equal(trp_directory_build(trp_heap(), items, 2, TRP_STR_LIT(""), &d, &err).code,
                     TRP_ALREADY_EXISTS);
    assert_non_null(strstr(err.text, "'a' is there already: the route of routes.yaml:7"));
    assert_int_equal(a.refs, 1);
    assert_int_equal(b.refs, 1);
}

static void without_memory_nothing_is_kept(void **state)
{
    (void)state;
    struct counted a = { .refs = 1 };
    const struct trp_directory_item one = counted_item("a", "route", &a);
    for (uint64_t left = 0;; left++) {
        struct scarce memory;
        struct trp_directory *d;
        (void)scarce_init(&memory, left);
        const trp_status st =
            trp_directory_build(&memory.alloc, &one, 1, TRP_STR_LIT(""), &d, NULL);
        if (!trp_failed(st))
            trp_directory_unref(d);
        assert_int_equal(a.refs, 1);
        assert_int_equal(trp_counter_get(&memory.out), 0);
        if (!trp_failed(st))
            break;
        assert_int_equal(st.code, TRP_OUT_OF_MEMORY);
    }
}

static void what_is_left_out_says_why(void **state)
{
    (void)state;
    const struct trp_directory_item out = { .name = TRP_STR_LIT("a"),
                                            .kind = "ensemble",
                                            .place = TRP_STR_LIT("a"),
                                            .reason = TRP_STR_LIT("a/model.yaml:1: no") };
    struct trp_directory *d;
    struct trp_target *target;
    void (*let_go)(struct trp_target *) = NULL;
    struct trp_error err = { 0 };
    assert_false(trp_failed(trp_directory_build(trp_heap(), &out, 1, TRP_STR_LIT(""), &d, NULL)));
    assert_int_equal(trp_directory_pick(d, TRP_STR_LIT("a"), 0, &target, &let_go, &err).code,
                     TRP_NOT_READY);
    assert_null(target);
    assert_non_null(strstr(err.text, "a/model.yaml:1: no"));
    assert_false(trp_directory_is_whole(d));
    trp_directory_unref(d);
    assert_false(trp_failed(trp_directory_build(trp_heap(), &out, 0, TRP_STR_LIT(""), &d, NULL)));
    assert_true(trp_directory_is_whole(d));
    trp_directory_mark_partial(d);
    assert_false(trp_directory_is_whole(d));
    trp_directory_unref(d);
    assert_false(trp_directory_is_whole(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_and_keep_what_stands_behind_them),
        cmocka_unit_test(nobody_is_in_no_picture),
        cmocka_unit_test(a_pick_keeps_its_target_and_knows_one_version),
        cmocka_unit_test(two_of_one_name_are_refused_with_both_places),
        cmocka_unit_test(without_memory_nothing_is_kept),
        cmocka_unit_test(what_is_left_out_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Cancellation trees: who is told, how often, and what may change meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/str.h"
#include "call/cancel.h"

struct token {
    struct trp_cancel cancel;
    int told;
    struct token *drops; /* detached when this one is told */
};

static void tell(struct trp_cancel *cancel)
{
    struct token *t = TRP_CONTAINER_OF(cancel, struct token, cancel);
    t->told++;
    if (t->drops)
        trp_cancel_detach(&t->drops->cancel);
}

static struct token make_token(void)
{
    return (struct token){ .cancel = { .on_raise = tell } };
}

static void zero_is_a_token_that_nobody_cancelled(void **state)
{
    (void)state;
    const struct trp_cancel token = { 0 };
    assert_false(trp_cancel_is_raised(&token));
}

static void raising_tells_the_token_and_everything_below_once(void **state)
{
    (void)state;
    struct token root = make_token(), a = make_token(), b = make_token(), below = make_token();
    trp_cancel_attach(&root.cancel, &a.cancel);
    trp_cancel_attach(&root.cancel, &b.cancel);
    trp_cancel_attach(&b.cancel, &below.cancel);
    trp_cancel_raise(&root.cancel);
    trp_cancel_raise(&root.cancel);
    trp_cancel_raise(&below.cancel);
    const struct token *const all[] = { &root, &a, &b, &below };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        assert_true(trp_cancel_is_raised(&all[i]->cancel));
        assert_int_equal(all[i]->told, 1);
    }
}

static void a_child_does_not_raise_its_parent(void **state)
{
    (void)state;
    struct token root = make_token(), a = make_token(), b = make_token();
    trp_cancel_attach(&root.cancel, &a.cancel);
    trp_cancel_attach(&root.cancel, &b.cancel);
    trp_cancel_raise(&a.cancel);
    assert_false(trp_cancel_is_raised(&root.cancel));
    assert_false(trp_cancel_is_raised(&b.cancel));
    trp_cancel_raise(&root.cancel);
    assert_int_equal(a.told, 1);
    assert_int_equal(b.told, 1);
}

static void a_child_of_a_raised_parent_is_raised_at_once(void **state)
{
    (void)state;
    struct token root = make_token(), late = make_token();
    trp_cancel_raise(&root.cancel);
    trp_cancel_attach(&root.cancel, &late.cancel);
    assert_int_equal(late.told, 1);
}

static void a_detached_token_hears_nothing_and_its_children_become_roots(void **state)
{
    (void)state;
    struct token root = make_token(), a = make_token(), b = make_token(), c = make_token(),
                 below = make_token();
    trp_cancel_attach(&root.cancel, &a.cancel);
    trp_cancel_attach(&root.cancel, &b.cancel);
    trp_cancel_attach(&root.cancel, &c.cancel);
    trp_cancel_attach(&b.cancel, &below.cancel);
    trp_cancel_detach(&b.cancel); /* the middle one of three */
    trp_cancel_raise(&root.cancel);
    assert_int_equal(a.told + c.told, 2);
    assert_int_equal(b.told + below.told, 0);
    assert_null(below.cancel.parent);
    trp_cancel_detach(&b.cancel); /* twice is allowed */
    trp_cancel_attach(&a.cancel, &b.cancel);
    assert_int_equal(b.told, 1);
}

static void a_callback_may_detach_its_neighbours_and_itself(void **state)
{
    (void)state;
    struct token root = make_token(), a = make_token(), b = make_token(), c = make_token();
    trp_cancel_attach(&root.cancel, &c.cancel);
    trp_cancel_attach(&root.cancel, &b.cancel);
    trp_cancel_attach(&root.cancel, &a.cancel); /* told first */
    a.drops = &b;
    c.drops = &c;
    trp_cancel_raise(&root.cancel);
    assert_int_equal(a.told, 1);
    assert_int_equal(b.told, 0);
    assert_int_equal(c.told, 1);
    assert_null(c.cancel.parent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_is_a_token_that_nobody_cancelled),
        cmocka_unit_test(raising_tells_the_token_and_everything_below_once),
        cmocka_unit_test(a_child_does_not_raise_its_parent),
        cmocka_unit_test(a_child_of_a_raised_parent_is_raised_at_once),
        cmocka_unit_test(a_detached_token_hears_nothing_and_its_children_become_roots),
        cmocka_unit_test(a_callback_may_detach_its_neighbours_and_itself),
    };
    return cmocka_run_group_tests_name("cancel", tests, NULL, NULL);
}

/* What serves, and models that come and go. */
#include "unit/catalog/routing_fixture.h"

/* ---- a model that leaves ---- */

static void leave(const char *name)
{
    assert_false(trp_failed(trp_registry_remove(fx.registry, trp_str_of(name), NULL)));
    trp_routing_published(fx.routing, trp_registry_publish(fx.registry));
}

static const char *reason_of(const char *name)
{
    struct trp_target_state state;
    item(name)->target->ops->state(item(name)->target, &state);
    return state.reason.len ? state.reason.ptr : "";
}

/* What goes on without it would hide that until it fails, or is read again. */
static void whoever_asks_a_model_that_leaves_says_so(void **state)
{
    (void)state;
    write_file("routes:\n  r: [ { use: a, fallback: b } ]\n  s: { missing: allow, rules: [ { use: "
               "b } ] }\n"
               "  t: [ { use: a } ]\n"
               "ensembles:\n  e: { members: [a, b, c], vote: mean, quorum: 1 }\n");
    list(NULL, 0);
    end_reading();
    assert_string_equal(reason_of("r"), "");
    leave("b");
    assert_non_null(strstr(reason_of("r"), "routes.yaml:2:28: 'b' is not there any more"));
    assert_string_equal(reason_of("s"), ""); /* it may be away */
    assert_string_equal(reason_of("t"), "");
    add_model("b");
    trp_routing_published(fx.routing, trp_registry_publish(fx.registry));
    assert_string_equal(reason_of("r"), "");
}

static const char *gone_of(const char *name)
{
    return trp_composition_gone(trp_composition_of(item(name)->target)).ptr;
}

/* Also when another one has come with the same picture, so that they are as many as before. */
static void a_composition_is_told_of_names_that_come_and_go(void **state)
{
    (void)state;
    write_file("ensembles:\n  e: { members: [a, b, c], vote: mean, quorum: 1 }\n");
    list(NULL, 0);
    end_reading();
    assert_string_equal(gone_of("e"), "");
    leave("b");
    assert_string_equal(gone_of("e"), "'b', which it asks, is not there any more");
    add_model("b");
    trp_routing_published(fx.routing, trp_registry_publish(fx.registry));
    assert_string_equal(gone_of("e"), "");
    list(NULL, 0); /* it takes one away and brings another: published behind it */
    add_model("d");
    leave("c");
    assert_string_equal(gone_of("e"), "'c', which it asks, is not there any more");
    add_model("c");
    leave("d"); /* nobody was told of a listing */
    list(NULL, 0);
    assert_string_equal(gone_of("e"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(whoever_asks_a_model_that_leaves_says_so),
        WITH_FIXTURE(a_composition_is_told_of_names_that_come_and_go),
    };
    return cmocka_run_group_tests_name("doubts", tests, NULL, NULL);
}

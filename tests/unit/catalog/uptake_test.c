/* What goes on in place of a folder that is wrong is part of what serves. */
#include "route/route_canary.h"
#include "unit/catalog/routing_fixture.h"

/* ---- nobody leads back to what goes on ---- */

/* x asked y; now y asks x, and the file of x is wrong. */
static void turn_round(const char *x, const char *y, const char *new_y, const char *way)
{
    read_two(x, y);
    is_taken_up("x");
    is_taken_up("y");
    const struct trp_target *old_x = item("x")->target, *old_y = item("y")->target;
    read_two("pipeline: { stepps: [] }\n", new_y);
    goes_on("x", old_x, "stepps");
    goes_on("y", old_y, way);
    read_two("route: [ { use: a } ]\n", new_y);
    is_taken_up("x");
    is_taken_up("y");
}

static void a_composition_may_not_ask_one_that_goes_on_and_asks_it(void **state)
{
    (void)state;
    turn_round("ensemble: { members: [a, y] }\n", "ensemble: { members: [a, b] }\n",
               "ensemble: { members: [a, x] }\n", "'y' asks 'x', which asks 'y'");
}

static void a_route_may_not_ask_one_that_goes_on_and_asks_it(void **state)
{
    (void)state;
    turn_round("route: [ { use: y } ]\n", "route: [ { use: a } ]\n",
               "route: [ { when: params.n == 1, use: x }, { use: a } ]\n", "leads back to itself");
}

static void nor_may_a_route_and_a_composition_ask_each_other(void **state)
{
    (void)state;
    turn_round("route: [ { use: y } ]\n", "ensemble: { members: [a, b] }\n",
               "ensemble: { members: [a, x] }\n", "'x' asks 'y', which asks 'x'");
}

/* ---- what goes on is looked after ---- */

static void the_load_that_it_asks_for_is_watched_as_long_as_it_serves(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        read_two("route: [ { when: 'models.a.queue > 3', use: b }, { use: c } ]\n", NULL);
        is_taken_up("x");
        assert_int_equal(fx.watches['a'], 1);
        read_two("route: [ { usee: b } ]\n", "route: [ { use: a } ]\n");
        goes_on("x", item("x")->target, "usee");
        assert_int_equal(fx.watches['a'], 1);
    }
    read_two("route: [ { when: 'models.b.queue > 3', use: b }, { use: c } ]\n", NULL);
    assert_int_equal(fx.watches['a'], 0);
    assert_int_equal(fx.watches['b'], 1);
    read_two("route: [ { usee: b } ]\n", NULL);
    assert_int_equal(fx.watches['b'], 1);
    list(NULL, 0); /* it is gone */
    end_reading();
    assert_null(item("x"));
    assert_int_equal(fx.watches['b'], 0);
}

#define CANARY "route: [ { use: a, canary: { use: b, steps: [10%, 100%] } } ]\n"

static const struct trp_route_canary *canary(void)
{
    return trp_route_plan_of(trp_route_of(item("x")->target))->rules[0].canary;
}

static void its_canaries_are_looked_at_and_go_on_when_it_is_mended(void **state)
{
    (void)state;
    read_two(CANARY, NULL);
    is_taken_up("x");
    const struct trp_target *old = item("x")->target;
    const int64_t since_ns = canary()->canary.since_ns;
    fx.now_ns += TRP_S(5);
    read_two("route: [ { usee: b } ]\n", "route: [ { use: a } ]\n");
    goes_on("x", old, "usee");
    assert_int_equal(trp_route_file_count(fx.canaries.file), 2);
    assert_ptr_equal(trp_route_target(trp_route_file_at(fx.canaries.file, 1)), old);
    assert_int_equal(canary()->canary.since_ns, since_ns);
    fx.now_ns += TRP_S(5);
    read_two(CANARY, NULL);
    is_taken_up("x");
    assert_ptr_not_equal(item("x")->target, old);
    assert_int_equal(canary()->canary.since_ns, since_ns);
}

static void versions_that_it_could_not_follow_are_held_back(void **state)
{
    static const struct trp_io x = {
        .name = { "x", 1 }, .dtype = TROUPE_FP32, .rank = 1, .dims = { 3 }
    };
    static const struct trp_io z = {
        .name = { "z", 1 }, .dtype = TROUPE_FP32, .rank = 1, .dims = { 3 }
    };
    static const struct trp_io y = {
        .name = { "y", 1 }, .dtype = TROUPE_FP32, .rank = 1, .dims = { 3 }
    };
    const struct trp_signature takes_x = { &x, &y, 1, 1, .batch_max = 0 };
    const struct trp_signature takes_z = { &z, &y, 1, 1, .batch_max = 0 };
    const struct trp_proposed_version same = { 1, &takes_x }, other = { 2, &takes_z };
    const struct trp_proposal before = { TRP_STR_LIT("a"), &same, 1, NULL, 0 };
    const struct trp_proposal after = { TRP_STR_LIT("a"), &other, 1, NULL, 0 };
    struct trp_error err = { 0 };
    (void)state;
    read_two(
        "route: { rules: [ { use: far } ], targets: { far: { model: a, inputs: { sent: x } } } }\n",
        NULL);
    is_taken_up("x");
    read_two("route: [ { usee: b } ]\n", "route: [ { use: b } ]\n");
    goes_on("x", item("x")->target, "usee");
    assert_false(trp_failed(trp_routing_fits(fx.routing, &before, &before, &err)));
    assert_int_equal(trp_routing_fits(fx.routing, &after, &before, &err).code,
                     TRP_FAILED_PRECONDITION);
    if (!strstr(err.text, "it would break route 'x'"))
        fail_msg("%s", err.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(a_composition_may_not_ask_one_that_goes_on_and_asks_it),
        WITH_FIXTURE(a_route_may_not_ask_one_that_goes_on_and_asks_it),
        WITH_FIXTURE(nor_may_a_route_and_a_composition_ask_each_other),
        WITH_FIXTURE(the_load_that_it_asks_for_is_watched_as_long_as_it_serves),
        WITH_FIXTURE(its_canaries_are_looked_at_and_go_on_when_it_is_mended),
        WITH_FIXTURE(versions_that_it_could_not_follow_are_held_back),
    };
    return cmocka_run_group_tests_name("uptake", tests, NULL, NULL);
}

/* Files that somebody is still writing. */
#include "unit/catalog/routing_fixture.h"

/* ---- a file that is being written ---- */

/* So much later. */
static void pass(int64_t ms)
{
    fx.now_ns += TRP_MS(ms);
    assert_false(trp_failed(trp_loop_turn(fx.control, 0, NULL)));
}

/* The routing has asked for another look by itself, and nobody else had to. */
static void look_is_due(void)
{
    assert_int_equal(fx.orders_n, 1);
    assert_int_equal(fx.orders[0]->kind, TRP_ORDER_RESCAN);
    assert_true(fx.orders[0]->is_patient);
    fx.is_watched = true;
    list(NULL, 0);
    end_reading();
    assert_true(answer(TRP_ORDER_RESCAN));
}

static const struct trp_target *serve_one(void)
{
    write_file("routes: { r: [ { use: a } ] }\n");
    list(NULL, 0);
    end_reading();
    is_of_file("r", "route");
    return item("r")->target;
}

static void a_half_of_a_file_is_neither_read_nor_refused(void **state)
{
    (void)state;
    const struct trp_target *old = serve_one();
    fx.is_watched = true;
    write_file("routes: { r: [ { us");
    list(NULL, 0);
    assert_ptr_equal(item("r")->target, old);
    pass(499);
    assert_int_equal(fx.orders_n, 0);
    write_file("routes: { s: [ { use: b } ] }\n");
    pass(1);
    look_is_due(); /* it is another one */
    goes_on("r", old, "");
    pass(500);
    look_is_due();
    is_of_file("s", "route");
    assert_null(item("r"));
    assert_int_equal(trp_metrics_get(fx.metrics, TRP_METRIC_ROUTES_REFUSED), 0);
    pass(5000);
    assert_int_equal(fx.orders_n, 0);
}

static void an_empty_file_takes_nothing_away(void **state)
{
    (void)state;
    const struct trp_target *old = serve_one();
    struct trp_routing_order order = { .name = TRP_STR_LIT("r"), .done = told };
    write_file("");
    trp_routing_reload(fx.routing, &order);
    list(NULL, 0);
    assert_true(answer(TRP_ORDER_RESCAN));
    assert_int_equal(fx.answered, 0); /* somebody may be writing it */
    pass(500);
    look_is_due();
    assert_int_equal(fx.answered, 1);
    assert_true(fx.is_there);
    assert_non_null(strstr(fx.error.text, "is empty"));
    goes_on("r", old, "is empty");
    write_file("routes: { r: [ { use: a } ] }\n");
    fx.is_watched = false;
    list(NULL, 0);
    end_reading();
    is_of_file("r", "route");
    write_file("routes: {}\n");
    list(NULL, 0);
    end_reading();
    assert_null(item("r"));
}

static void a_file_that_is_taken_away_and_put_back_was_never_away(void **state)
{
    (void)state;
    const struct trp_target *old = serve_one();
    assert_int_equal(remove(fx.path), 0);
    list(NULL, 0);
    write_file("routes: { r: [ { use: a } ] }\n");
    pass(500);
    look_is_due();
    goes_on("r", old, "");
    assert_int_equal(remove(fx.path), 0);
    list(NULL, 0);
    goes_on("r", old, "");
    pass(500);
    look_is_due();
    assert_null(item("r"));
}

/* The timer has found a look under way, of which it hears nothing more. */
static void nobody_waits_for_ever_for_a_file_that_is_not_whole(void **state)
{
    (void)state;
    struct trp_routing_order order = { .name = TRP_STR_LIT("r"), .done = told };
    (void)serve_one();
    fx.is_watched = true;
    write_file("routes: { s");
    list(NULL, 0);
    assert_int_equal(remove(fx.path), 0);
    trp_routing_reload(fx.routing, &order);
    list(NULL, 0);
    pass(500);
    assert_true(answer(TRP_ORDER_RESCAN));
    assert_int_equal(fx.answered, 0);
    pass(500);
    look_is_due();
    assert_int_equal(fx.answered, 1);
    assert_false(fx.is_there);
}

static void when_life_goes_nobody_looks_again(void **state)
{
    (void)state;
    const struct trp_target *old = serve_one();
    fx.is_watched = true;
    write_file("routes: { s: [ { use: b } ] }\n");
    list(NULL, 0);
    trp_routing_stop(fx.routing);
    pass(5000);
    assert_int_equal(fx.orders_n, 0);
    assert_ptr_equal(item("r")->target, old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SETTLING(a_half_of_a_file_is_neither_read_nor_refused),
        SETTLING(an_empty_file_takes_nothing_away),
        SETTLING(a_file_that_is_taken_away_and_put_back_was_never_away),
        SETTLING(nobody_waits_for_ever_for_a_file_that_is_not_whole),
        SETTLING(when_life_goes_nobody_looks_again),
    };
    return cmocka_run_group_tests_name("unsettled", tests, NULL, NULL);
}

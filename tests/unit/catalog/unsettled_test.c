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
static void look_finds(const struct folder *folders, uint32_t n)
{
    assert_int_equal(fx.orders_n, 1);
    assert_int_equal(fx.orders[0]->kind, TRP_ORDER_RESCAN);
    assert_true(fx.orders[0]->is_patient);
    fx.is_watched = true;
    list(folders, n);
    end_reading();
    assert_true(answer(TRP_ORDER_RESCAN));
}

static void look_is_due(void)
{
    look_finds(NULL, 0);
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

/* ---- folders ---- */

#define OLD_X "route: [ { use: a } ]\n"
#define NEW_X "route: [ { use: b } ]\n"
#define OLD_Y "ensemble: { members: [a, b] }\n"
#define NEW_Y "ensemble: { members: [b, c] }\n"

/* Nobody has asked from now on. */
static void serve_two(void)
{
    read_two(OLD_X, OLD_Y);
    is_taken_up("x");
    is_taken_up("y");
    fx.is_watched = true;
}

static const char *asked_by_x(void)
{
    return trp_route_plan_of(trp_route_of(item("x")->target))->goals[0].model.ptr;
}

static void half_of_a_folders_file_takes_its_name_nowhere(void **state)
{
    static const struct folder half[] = { { "x", NULL }, { "y", OLD_Y } };
    static const struct folder whole[] = { { "x", NEW_X }, { "y", OLD_Y } };
    (void)state;
    serve_two();
    const struct trp_target *const old_x = item("x")->target, *const old_y = item("y")->target;
    list(half, 2);
    goes_on("x", old_x, "");
    assert_int_equal(item("x")->reason.len, 0);
    pass(499);
    assert_int_equal(fx.orders_n, 0);
    pass(1);
    look_finds(whole, 2); /* it is another one */
    goes_on("x", old_x, "");
    pass(500);
    look_finds(whole, 2);
    is_taken_up("x");
    assert_string_equal(asked_by_x(), "b");
    assert_ptr_not_equal(item("y")->target, old_y); /* all was read, once */
    assert_int_equal(trp_metrics_get(fx.metrics, TRP_METRIC_ROUTES_READ), 2);
    pass(5000);
    assert_int_equal(fx.orders_n, 0);
}

static void what_stays_wrong_or_stays_away_is_taken_for_what_it_is(void **state)
{
    static const struct folder half[] = { { "x", NULL } };
    (void)state;
    serve_two();
    list(half, 1);
    is_taken_up("x");
    is_taken_up("y");
    pass(500);
    look_finds(half, 1);
    assert_null(item("x"));
    assert_null(item("y"));
}

static void a_folder_that_is_put_back_was_never_away(void **state)
{
    static const struct folder both[] = { { "x", OLD_X }, { "y", OLD_Y } };
    (void)state;
    serve_two();
    const struct trp_target *const old = item("x")->target;
    list(both + 1, 1);
    pass(500);
    look_finds(both, 2);
    pass(5000);
    assert_int_equal(fx.orders_n, 0);
    list(both + 1, 1); /* its time begins anew */
    goes_on("x", old, "");
    assert_int_equal(trp_metrics_get(fx.metrics, TRP_METRIC_ROUTES_READ), 1);
}

/* What is written every moment holds nobody up. */
static void each_folder_waits_by_itself(void **state)
{
    struct folder all[] = { { "x", OLD_X }, { "y", NEW_Y }, { "z", OLD_X } };
    char text[64];
    (void)state;
    serve_two();
    const struct trp_target *const old_x = item("x")->target;
    for (int i = 0; i < 3; i++) {
        assert_null(item("z"));
        (void)snprintf(text, sizeof text, "route: [ { use: b } ] # %d\n", i);
        all[0].yaml = text;
        if (i == 0) {
            list(all, 3);
        } else {
            pass(250);
            list(all, 3); /* somebody else's look */
            end_reading();
        }
    }
    is_taken_up("y");
    is_taken_up("z");
    assert_string_equal(asked_by_x(), "a");
    assert_ptr_not_equal(item("x")->target, old_x); /* read again, from what it said */
    assert_int_equal(item("x")->reason.len, 0);
}

static void whoever_asks_has_a_folder_read_at_once(void **state)
{
    static const struct folder whole[] = { { "x", NEW_X }, { "y", OLD_Y }, { "z", OLD_X } };
    struct trp_routing_order order = { .name = TRP_STR_LIT("z"), .done = told };
    (void)state;
    serve_two();
    list(whole, 3);
    assert_null(item("z"));
    trp_routing_reload(fx.routing, &order);
    assert_false(fx.orders[0]->is_patient);
    fx.is_watched = false;
    list(whole, 3);
    end_reading();
    assert_true(answer(TRP_ORDER_RESCAN));
    assert_int_equal(fx.answered, 1);
    assert_true(fx.is_there);
    is_taken_up("z");
    assert_string_equal(asked_by_x(), "b");
}

/* The timer finds a reading at work, of which it hears nothing more. */
static void a_folder_is_not_forgotten_for_a_reading_that_takes_long(void **state)
{
    static const struct folder before[] = { { "x", OLD_X }, { "y", OLD_Y } };
    static const struct folder whole[] = { { "x", NEW_X }, { "y", OLD_Y } };
    (void)state;
    serve_two();
    write_file("routes: { r: [ { use: a } ] }\n");
    list(before, 2);
    pass(400);
    list(whole, 2);
    pass(100);
    assert_true(answer(TRP_ORDER_RESCAN));
    list(whole, 2); /* the file has stayed, and x has not */
    assert_true(fx.orders_n > 0);
    pass(500);
    end_reading();
    is_of_file("r", "route");
    assert_string_equal(asked_by_x(), "a");
    assert_int_equal(fx.orders_n, 0);
    pass(500);
    look_finds(whole, 2);
    assert_string_equal(asked_by_x(), "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SETTLING(a_half_of_a_file_is_neither_read_nor_refused),
        SETTLING(an_empty_file_takes_nothing_away),
        SETTLING(a_file_that_is_taken_away_and_put_back_was_never_away),
        SETTLING(nobody_waits_for_ever_for_a_file_that_is_not_whole),
        SETTLING(when_life_goes_nobody_looks_again),
        SETTLING(half_of_a_folders_file_takes_its_name_nowhere),
        SETTLING(what_stays_wrong_or_stays_away_is_taken_for_what_it_is),
        SETTLING(a_folder_that_is_put_back_was_never_away),
        SETTLING(each_folder_waits_by_itself),
        SETTLING(whoever_asks_has_a_folder_read_at_once),
        SETTLING(a_folder_is_not_forgotten_for_a_reading_that_takes_long),
    };
    return cmocka_run_group_tests_name("unsettled", tests, NULL, NULL);
}

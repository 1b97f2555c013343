/* Whoever asks for a reload is told of what lies on disk then. */
#include "unit/catalog/routing_fixture.h"

/* ---- who asks for it is told of what lies on disk ---- */

static const struct folder before[] = { { "x", "route: [ { use: a } ]\n" } };
static const struct folder after[] = { { "x", "route: [ { use: b } ]\n" },
                                       { "y", "route: [ { use: c } ]\n" } };

/* A listing of before is read when that of the request comes; the request ends before the
 * reading or after it. */
static void ask_while_it_is_read(bool ends_first)
{
    struct trp_routing_order order = { .name = TRP_STR_LIT("y"), .done = told };
    trp_routing_reload(fx.routing, &order);
    list(before, ARRAY_LEN(before)); /* somebody else's, of before the change */
    list(after, ARRAY_LEN(after));
    if (ends_first)
        assert_true(answer(TRP_ORDER_RESCAN));
    end_reading();
    if (!ends_first)
        assert_true(answer(TRP_ORDER_RESCAN));
    assert_int_equal(fx.answered, 0); /* of what it asks about nothing has been read */
    list(after, ARRAY_LEN(after));
    assert_true(answer(TRP_ORDER_RESCAN));
    end_reading();
    assert_int_equal(fx.answered, 1);
    assert_true(fx.is_there);
    is_taken_up("y");
    assert_false(answer(TRP_ORDER_RESCAN));
}

static void a_request_is_not_answered_from_an_older_listing_that_ends_late(void **state)
{
    (void)state;
    ask_while_it_is_read(true);
}

static void a_request_is_not_answered_from_an_older_listing_that_ends_early(void **state)
{
    (void)state;
    ask_while_it_is_read(false);
}

/* A model that takes calls, each of an x of this type. */
static void arrive(const char *model, enum troupe_dtype dtype)
{
    static const struct trp_io y = {
        .name = { "y", 1 }, .dtype = TROUPE_FP32, .rank = 1, .dims = { 3 }
    };
    const struct trp_version_opts opts = { .model = trp_str_of(model), .number = 1 };
    struct trp_version *v;
    struct trp_io *x;
    assert_false(trp_failed(trp_version_create(trp_heap(), &opts, &v, NULL)));
    x = trp_arena_zeroed(&v->arena, 1, sizeof *x);
    assert_non_null(x);
    *x = (struct trp_io){ .name = { "x", 1 }, .dtype = dtype, .rank = 1, .dims = { 3 } };
    v->signature = (struct trp_signature){ x, &y, 1, 1, .batch_max = 0 };
    v->has_signature = true;
    for (int state = TRP_MODEL_LOADING; state <= TRP_MODEL_READY; state++)
        assert_false(trp_failed(trp_lifecycle_move(&v->life, state, state, NULL)));
    const struct trp_entry entry = { .name = trp_str_of(model), .versions = &v, .versions_n = 1 };
    const trp_status st = trp_registry_put(fx.registry, &entry, NULL);
    trp_version_unref(v); /* the registry has its own */
    assert_false(trp_failed(st));
    trp_routing_published(fx.routing, trp_registry_publish(fx.registry));
}

/* Answers the load of a model, which is the only one that waits; `code` OK: it is there. */
static void answer_load(const char *model, enum trp_code code)
{
    struct trp_order *load = NULL;
    for (uint32_t i = fx.orders_first; i < fx.orders_n; i++) {
        if (!fx.orders[i] || fx.orders[i]->kind != TRP_ORDER_LOAD)
            continue;
        assert_null(load);
        load = fx.orders[i];
    }
    if (!load || !trp_str_is(load->model, model)) {
        fail_msg("'%s' is not loaded", model);
        return;
    }
    if (code == TRP_OK)
        arrive(model, TROUPE_FP32);
    else
        (void)trp_fail(&load->error, code, "no luck today");
    assert_true(answer(TRP_ORDER_LOAD));
}

/* The models of the test have no version that takes calls before they are loaded. */
static void who_loads_a_composition_has_its_models_loaded_one_after_the_other(void **state)
{
    (void)state;
    static const struct folder folders[] = {
        { "r", "route: [ { use: c } ]\n" },
        { "x", "ensemble: { members: [ a, y ] }\n" },
        { "y", "ensemble: { members: [ b, r, a ] }\n" },
    };
    static const struct {
        const char *name;
        bool loads;
        const char *models[4];
        enum trp_code last;
        const char *error;
    } rows[] = {
        { "x", true, { "a", "b", "c" }, TRP_OK, "" },
        { "x", true, { "a", "b" }, TRP_NOT_FOUND, "'x': no luck today" },
        { "r", true, { NULL }, TRP_OK, "" }, /* it goes on without some of its targets */
        { "x", false, { NULL }, TRP_OK, "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct trp_routing_order order = { .name = trp_str_of(rows[i].name),
                                           .loads = rows[i].loads,
                                           .done = told };
        fx.answered = 0;
        add_model("a");
        add_model("b");
        add_model("c");
        trp_routing_published(fx.routing, trp_registry_publish(fx.registry));
        trp_routing_reload(fx.routing, &order);
        list(folders, ARRAY_LEN(folders));
        assert_true(answer(TRP_ORDER_RESCAN));
        end_reading();
        for (uint32_t m = 0; rows[i].models[m]; m++) {
            assert_int_equal(fx.answered, 0);
            answer_load(rows[i].models[m], rows[i].models[m + 1] ? TRP_OK : rows[i].last);
        }
        assert_int_equal(fx.answered, 1);
        assert_false(answer(TRP_ORDER_LOAD));
        assert_true(fx.is_there);
        assert_string_equal(fx.error.text, rows[i].error);
    }
}

/* What they take is known only then.  `is_late`: while other files are read, which have nothing to
 * do with it. */
static void load_unlike_models(bool is_late)
{
    static const struct folder folders[] = { { "x", "ensemble: { members: [ a, b ] }\n" },
                                             { "y", "route: [ { use: c } ]\n" } };
    struct trp_routing_order order = { .name = TRP_STR_LIT("x"), .loads = true, .done = told };
    trp_routing_reload(fx.routing, &order);
    list(folders, 1);
    assert_true(answer(TRP_ORDER_RESCAN));
    end_reading();
    answer_load("a", TRP_OK);
    assert_int_equal(fx.answered, 0);
    if (is_late)
        list(folders, 2);
    arrive("b", TROUPE_INT64);
    assert_true(answer(TRP_ORDER_LOAD));
    assert_int_equal(fx.answered, !is_late);
    end_reading();
    assert_int_equal(fx.answered, 1);
    assert_true(fx.is_there);
    assert_int_equal(fx.error.status.code, TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(fx.error.text, "x/model.yaml"));
    assert_non_null(strstr(fx.error.text, "INT64"));
}

static void a_load_fails_when_the_models_that_it_brought_do_not_fit(void **state)
{
    (void)state;
    load_unlike_models(false);
}

static void nor_does_a_load_succeed_that_ends_while_files_are_read(void **state)
{
    (void)state;
    load_unlike_models(true);
}

static void what_was_listed_meanwhile_is_read_without_being_asked_for(void **state)
{
    (void)state;
    list(before, ARRAY_LEN(before));
    list(after, ARRAY_LEN(after));
    end_reading();
    assert_null(item("y"));
    list(after, ARRAY_LEN(after));
    assert_true(answer(TRP_ORDER_RESCAN));
    end_reading();
    is_taken_up("y");
    assert_false(answer(TRP_ORDER_RESCAN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(a_request_is_not_answered_from_an_older_listing_that_ends_late),
        WITH_FIXTURE(a_request_is_not_answered_from_an_older_listing_that_ends_early),
        WITH_FIXTURE(who_loads_a_composition_has_its_models_loaded_one_after_the_other),
        WITH_FIXTURE(a_load_fails_when_the_models_that_it_brought_do_not_fit),
        WITH_FIXTURE(nor_does_a_load_succeed_that_ends_while_files_are_read),
        WITH_FIXTURE(what_was_listed_meanwhile_is_read_without_being_asked_for),
    };
    return cmocka_run_group_tests_name("askers", tests, NULL, NULL);
}

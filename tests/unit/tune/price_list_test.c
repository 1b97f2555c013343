/* What runs cost: as a server says it, and as one supposes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tune/price_list.h"

static trp_status parse(struct trp_price_list *l, const char *json, struct trp_error *err)
{
    trp_price_list_init(l, trp_heap());
    return trp_price_list_parse(l, trp_str_of(json), err);
}

static void reads_what_a_server_says(void **state)
{
    struct trp_price_list l;
    (void)state;
    const trp_status st = parse(
        &l,
        "{\"models\":["
        "{\"name\":\"mlp\",\"version\":2,\"instances\":3,\"batching\":\"auto\",\"rows_max\":64,"
        "\"delay_ns\":500000,\"preferred_rows\":[8,16],\"best_rows\":8,\"points\":["
        "{\"rows\":8,\"run_ns\":3000000,\"runs\":90},"
        "{\"rows\":1,\"run_ns\":1000000,\"runs\":500},"
        "{\"rows\":64,\"run_ns\":9000000,\"runs\":1}],\"measured\":["
        "{\"rows\":1,\"runs\":500,\"mean_ns\":1100000},{\"rows\":9,\"runs\":90,\"mean_ns\":3500000}"
        ","
        "{\"rows\":3,\"runs\":1,\"mean_ns\":99000000}]},"
        "{\"name\":\"cold\",\"points\":[]},"
        "{\"name\":\"alone\",\"batching\":\"off: rows depend on each other\",\"rows_max\":64,"
        "\"points\":[{\"rows\":1,\"run_ns\":7,\"runs\":1}]},"
        "{\"name\":\"forced\",\"batching\":\"on\",\"forced\":true,\"rows_max\":4,"
        "\"points\":[{\"rows\":1,\"run_ns\":7}]}]}",
        NULL);
    assert_false(trp_failed(st));
    const struct trp_price *p = trp_price_list_find(&l, TRP_STR_LIT("mlp"));
    assert_non_null(p);
    assert_int_equal(p->slots, 3);
    assert_int_equal(p->rules.rows_max, 64);
    assert_int_equal(p->rules.delay_ns, 500000);
    assert_int_equal(p->rules.preferred_n, 2);
    assert_false(p->rules.is_forced);
    assert_int_equal(p->points.n, 2); /* one run of 64 rows says little */
    assert_int_equal(p->points.at[0].rows, 1);
    assert_int_equal(p->points.at[1].run_ns, 3000000);
    assert_int_equal(p->measured.n, 2);
    assert_int_equal(trp_price_run_ns(p, 1), 1100000);
    assert_int_equal(trp_price_run_ns(p, 5), 2300000);
    assert_null(trp_price_list_find(&l, TRP_STR_LIT("cold")));
    p = trp_price_list_find(&l, TRP_STR_LIT("alone"));
    assert_non_null(p);
    assert_int_equal(p->rules.rows_max, 0);
    assert_int_equal(p->points.n, 1);
    p = trp_price_list_find(&l, TRP_STR_LIT("forced"));
    assert_non_null(p);
    assert_true(p->rules.is_forced);
    assert_int_equal(p->rules.rows_max, 4);
    trp_price_list_deinit(&l);
}

static void refuses_what_is_no_price_list(void **state)
{
    static const char *const texts[] = {
        "{}",
        "[]",
        "{\"models\":3}",
        "{\"models\":[{}]}",
        "{\"models\":[{\"name\":3,\"points\":[]}]}",
        "{\"models\":[{\"name\":\"m\",\"points\":[{\"rows\":1}]}]}",
        "{\"models\":[{\"name\":\"m\",\"points\":[{\"rows\":0,\"run_ns\":5}]}]}",
        "{\"models\":[{\"name\":\"m\",\"points\":[{\"rows\":1,\"run_ns\":-5}]}]}",
        "{\"models\":[{\"name\":\"m\",\"instances\":\"two\",\"points\":[{\"rows\":1,\"run_ns\":5}]}"
        "]}",
        "{\"models\":[{\"name\":\"m\",\"preferred_rows\":[0],\"points\":[{\"rows\":1,\"run_ns\":5}]"
        "}]}",
        "nothing",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct trp_price_list l;
        struct trp_error err = { 0 };
        print_message("%s\n", texts[i]);
        assert_int_equal(parse(&l, texts[i], &err).code, TRP_INVALID_ARGUMENT);
        assert_true(err.text[0] != '\0');
        trp_price_list_deinit(&l);
    }
}

static void a_run_costs_what_lies_between_the_points(void **state)
{
    struct trp_price_list l;
    struct trp_cost_curve curve = { .asked = 0 };
    (void)state;
    trp_price_list_init(&l, trp_heap());
    assert_false(
        trp_failed(trp_price_list_set(&l, TRP_STR_LIT("m"), TRP_STR_LIT("8:12ms,2:3ms"), NULL)));
    const struct trp_price *p = l.first;
    assert_int_equal(trp_price_run_ns(p, 1),
                     TRP_MS(3)); /* fewer rows are not trusted to cost less */
    assert_int_equal(trp_price_run_ns(p, 2), TRP_MS(3));
    assert_int_equal(trp_price_run_ns(p, 4), TRP_MS(6));
    assert_int_equal(trp_price_run_ns(p, 8), TRP_MS(12));
    assert_int_equal(trp_price_run_ns(p, 16), TRP_MS(24));
    trp_price_teach(p, &curve);
    for (uint32_t rows = 1; rows <= 16; rows *= 2)
        assert_int_equal(trp_cost_curve_estimate(&curve, rows), trp_price_run_ns(p, rows));
    trp_price_list_deinit(&l);
}

static void refuses_what_is_no_cost(void **state)
{
    static const char *const texts[] = {
        "",       "5",     "0ms",   "-1ms",           "1:", "0:5ms", "1:5ms,",
        ",1:5ms", "x:5ms", "1:2:3", "99999999999:5ms"
    };
    struct trp_price_list l;
    (void)state;
    trp_price_list_init(&l, trp_heap());
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        print_message("'%s'\n", texts[i]);
        assert_int_equal(trp_price_list_set(&l, TRP_STR_LIT("m"), trp_str_of(texts[i]), NULL).code,
                         TRP_INVALID_ARGUMENT);
    }
    trp_price_list_deinit(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_a_server_says),
        cmocka_unit_test(refuses_what_is_no_price_list),
        cmocka_unit_test(a_run_costs_what_lies_between_the_points),
        cmocka_unit_test(refuses_what_is_no_cost),
    };
    return cmocka_run_group_tests_name("price_list", tests, NULL, NULL);
}

/* The table of tenants: who has a place, who leaves for whom, and what the operator may write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "exec/tenants.h"

static struct trp_sched sched;
static struct trp_lock lock;
static struct trp_tenants table;

static void make_table(uint32_t tenants_max, const struct trp_tenant_rule *rules, uint32_t rules_n)
{
    const struct trp_tenants_opts opts = {
        .tenants_max = tenants_max, .rules = rules, .rules_n = rules_n, .seed = 7
    };
    trp_sched_init(&sched, 10, 10);
    trp_lock_init(&lock, TRP_LOCK_EXEC);
    if (trp_failed(trp_tenants_init(&table, trp_heap(), &opts, &sched, &lock)))
        fail_msg("no memory");
}

static void drop_table(void)
{
    trp_tenants_deinit(&table);
    trp_lock_deinit(&lock);
}

static struct trp_tenant *enter(const char *name)
{
    return trp_tenants_enter(&table, trp_str_of(name));
}

static void one_name_has_one_place(void **state)
{
    (void)state;
    make_table(8, NULL, 0);
    struct trp_tenant *a = enter("a"), *b = enter("b");
    assert_ptr_not_equal(a, b);
    assert_ptr_equal(enter("a"), a);
    assert_int_equal(trp_gauge_get(&a->calls), 2);
    assert_ptr_not_equal(trp_tenants_share(a), NULL);
    assert_int_not_equal(a->share.hash, b->share.hash);
    struct trp_tenant *nobody = enter("");
    assert_null(trp_tenants_share(nobody)); /* nobody in particular */
    assert_null(trp_tenants_share(NULL));
    drop_table();
}

static void who_has_no_call_leaves_for_somebody_new(void **state)
{
    (void)state;
    make_table(2, NULL, 0);
    struct trp_tenant *a = enter("a"), *b = enter("b");
    assert_ptr_equal(enter("c"), &table.strangers); /* both are here */
    assert_ptr_equal(enter("d"), &table.strangers);
    trp_tenants_leave(a);
    assert_ptr_equal(enter("a"), a); /* nobody wanted its place */
    trp_tenants_leave(a);
    struct trp_tenant *e = enter("e");
    assert_ptr_equal(e, a); /* its place */
    assert_ptr_equal(enter("e"), e);
    assert_ptr_equal(enter("b"), b);
    assert_ptr_equal(enter("a"), &table.strangers);
    drop_table();
}

static void a_thousand_come_and_go_through_ten_places(void **state)
{
    (void)state;
    make_table(10, NULL, 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++) {
            char name[16];
            snprintf(name, sizeof name, "tenant-%d", i);
            struct trp_tenant *tenant = enter(name);
            assert_ptr_not_equal(tenant, &table.strangers);
            assert_ptr_equal(enter(name), tenant);
            trp_tenants_leave(tenant);
            trp_tenants_leave(tenant);
        }
    }
    assert_int_equal(table.used, 10);
    drop_table();
}

static void without_places_all_are_strangers(void **state)
{
    (void)state;
    make_table(0, NULL, 0);
    assert_ptr_equal(enter("a"), &table.strangers);
    assert_ptr_equal(enter(""), &table.anyone);
    drop_table();
    table = (struct trp_tenants){ 0 };
    assert_null(enter("a")); /* never set up */
    trp_tenants_leave(NULL);
}

static void rules_are_by_name_and_the_star_is_for_the_others(void **state)
{
    (void)state;
    const struct trp_tenant_rule rules[] = {
        { .name = TRP_STR_LIT("gold"), .weight = 4 },
        { .name = TRP_STR_LIT("*"), .weight = 2, .requests_per_second = 10, .calls_max = 3 },
    };
    make_table(4, rules, 2);
    assert_true(table.has_rates);
    struct trp_tenant *gold = enter("gold"), *other = enter("tin");
    assert_int_equal(gold->share.weight, 4);
    assert_int_equal(gold->rate.calls_max, 0);
    assert_int_equal(other->share.weight, 2);
    assert_int_equal(other->rate.calls_max, 3);
    assert_int_equal(table.strangers.share.weight, 2);
    assert_int_equal(sched.anyone.weight, 2);
    drop_table();
}

static void a_rule_is_a_name_and_what_it_gets(void **state)
{
    (void)state;
    struct trp_tenant_rule rule;
    struct trp_error err = { 0 };
    const char *text = "gold weight=4 requests_per_second=2.5 rows_per_second=1000 concurrency=8";
    assert_int_equal(trp_tenant_rule_parse(trp_str_of(text), &rule, &err).code, TRP_OK);
    assert_true(trp_str_is(rule.name, "gold"));
    assert_int_equal(rule.weight, 4);
    assert_true(rule.requests_per_second == 2.5 && rule.rows_per_second == 1000);
    assert_int_equal(rule.calls_max, 8);
    assert_int_equal(trp_tenant_rule_parse(TRP_STR_LIT("*"), &rule, &err).code, TRP_OK);
    assert_int_equal(rule.weight, 1);
    static const char *const bad[] = { "",
                                       "a=b",
                                       "a weight",
                                       "a weight=0",
                                       "a weight=1001",
                                       "a weight=",
                                       "a requests_per_second=0",
                                       "a requests_per_second=-1",
                                       "a requests_per_second=x",
                                       "a concurrency=0",
                                       "a colour=blue" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        print_message("'%s'\n", bad[i]);
        assert_int_equal(trp_tenant_rule_parse(trp_str_of(bad[i]), &rule, &err).code,
                         TRP_INVALID_ARGUMENT);
    }
}

static void a_weight_is_what_the_first_rule_says(void **state)
{
    (void)state;
    static const struct trp_tenant_rule rules[] = { { .name = { "gold", 4 }, .weight = 4 },
                                                    { .name = { "*", 1 }, .weight = 2 } };
    assert_int_equal(trp_tenant_weight(rules, 2, TRP_STR_LIT("gold")), 4);
    assert_int_equal(trp_tenant_weight(rules, 2, TRP_STR_LIT("else")), 2);
    assert_int_equal(trp_tenant_weight(rules, 2, (struct trp_str){ 0 }), 2);
    assert_int_equal(trp_tenant_weight(rules, 1, TRP_STR_LIT("else")), 1);
    assert_int_equal(trp_tenant_weight(NULL, 0, TRP_STR_LIT("gold")), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_weight_is_what_the_first_rule_says),
        cmocka_unit_test(one_name_has_one_place),
        cmocka_unit_test(who_has_no_call_leaves_for_somebody_new),
        cmocka_unit_test(a_thousand_come_and_go_through_ten_places),
        cmocka_unit_test(without_places_all_are_strangers),
        cmocka_unit_test(rules_are_by_name_and_the_star_is_for_the_others),
        cmocka_unit_test(a_rule_is_a_name_and_what_it_gets),
    };
    return cmocka_run_group_tests_name("tenants", tests, NULL, NULL);
}

/* How many runs of a model an operator lets go on at once: for which versions, and how long it
 * holds. */
#include "life_asking.h"

#include "exec/exec.h"

#define ECHO "input X FP32 [-1]\noutput Y FP32 [-1]\n"
#define TWO "backend: \"echo\"\ninstance_group { count: 2 }\nversion_policy { all { } }\n"

static void scale(struct fixture *f, const char *name, int64_t version, uint32_t instances,
                  int code, const char *words)
{
    struct wish w = { .order = { .model = trp_str_of(name),
                                 .kind = TRP_ORDER_SCALE,
                                 .version = version,
                                 .instances = instances,
                                 .done = note_done } };
    trp_life_submit(f->life, &w.order);
    check_order(f, &w, code, words);
}

static void order(struct fixture *f, int kind, const char *name)
{
    struct wish w = { .order = { .model = trp_str_of(name), .done = note_done } };
    w.order.kind = kind;
    trp_life_submit(f->life, &w.order);
    check_order(f, &w, TRP_OK, "");
}

static uint32_t instances(const struct fixture *f, const char *name, int64_t version)
{
    struct trp_version *v = pin(f, name, version);
    const uint32_t n = trp_exec_instances(v);
    trp_version_unref(v);
    return n;
}

static void two_versions(struct fixture *f)
{
    put(f, "m/1/model.echo", ECHO);
    put(f, "m/2/model.echo", ECHO);
    put(f, "m/config.pbtxt", TWO);
    start(f);
    pump(f, is(f, "m", "READY"));
}

static void an_order_is_for_all_versions_or_for_one(void **state)
{
    struct fixture *f = *state;
    two_versions(f);
    assert_int_equal(instances(f, "m", 1), 2);
    scale(f, "m", 0, 5, TRP_OK, "");
    assert_int_equal(instances(f, "m", 1), 5);
    assert_int_equal(instances(f, "m", 2), 5);
    scale(f, "m", 2, 1, TRP_OK, "");
    assert_int_equal(instances(f, "m", 1), 5);
    assert_int_equal(instances(f, "m", 2), 1);
    scale(f, "m", 0, 0, TRP_OK, ""); /* taken back */
    assert_int_equal(instances(f, "m", 1), 2);
    assert_int_equal(instances(f, "m", 2), 2);
    assert_int_equal(metric(f, TRP_METRIC_INSTANCE_CHANGES), 5);
    assert_true(log_says(f, "'m/2': 1 instances"));
}

static void what_is_not_there_is_refused(void **state)
{
    struct fixture *f = *state;
    two_versions(f);
    scale(f, "nobody", 0, 2, TRP_NOT_FOUND, "'nobody' is not found");
    scale(f, "m", 7, 2, TRP_NOT_FOUND, "'m' version 7 is not found");
    assert_int_equal(instances(f, "m", 2), 2);
    assert_int_equal(metric(f, TRP_METRIC_INSTANCE_CHANGES), 0);
}

static void a_backend_that_makes_one_run_at_a_time_keeps_one(void **state)
{
    struct fixture *f = *state;
    put(f, "m.echo", ECHO "alone\n");
    start(f);
    pump(f, is(f, "m", "READY"));
    assert_int_equal(instances(f, "m", 1), 1);
    scale(f, "m", 0, 2, TRP_FAILED_PRECONDITION, "'m/1' keeps one instance");
    scale(f, "m", 0, 1, TRP_OK, ""); /* that it has */
    assert_int_equal(instances(f, "m", 1), 1);
}

static void it_outlives_an_eviction_and_an_unload(void **state)
{
    struct fixture *f = *state;
    struct wish w = { 0 };
    two_versions(f);
    scale(f, "m", 1, 3, TRP_OK, "");
    order(f, TRP_ORDER_EVICT, "m");
    scale(f, "m", 2, 4, TRP_OK, ""); /* of what is not in memory too */
    order(f, TRP_ORDER_UNLOAD, "m");
    submit_load(f, &w, "m");
    check_order(f, &w, TRP_OK, "");
    assert_int_equal(instances(f, "m", 1), 3);
    assert_int_equal(instances(f, "m", 2), 4);
}

static void it_ends_with_the_files_that_it_was_said_of(void **state)
{
    struct fixture *f = *state;
    struct wish w = { 0 };
    two_versions(f);
    scale(f, "m", 0, 3, TRP_OK, "");
    put(f, "m/2/model.echo", ECHO "# other files\n");
    submit_load(f, &w, "m");
    check_order(f, &w, TRP_OK, "");
    assert_int_equal(instances(f, "m", 1), 3);
    assert_int_equal(instances(f, "m", 2), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define LIFE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        LIFE_TEST(an_order_is_for_all_versions_or_for_one),
        LIFE_TEST(what_is_not_there_is_refused),
        LIFE_TEST(a_backend_that_makes_one_run_at_a_time_keeps_one),
        LIFE_TEST(it_outlives_an_eviction_and_an_unload),
        LIFE_TEST(it_ends_with_the_files_that_it_was_said_of),
    };
    return cmocka_run_group_tests_name("scaling", tests, NULL, NULL);
}

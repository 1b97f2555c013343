/* What served beside newer files that do not load goes from memory, and comes back as it was:
 * clients see nothing of it. */
#include "cold_asking.h"

#define ECHO "input X FP32 [-1]\noutput Y FP32 [-1]\n"
#define BROKEN ECHO "load_fail no luck\n"

static struct trp_member *m(struct fixture *f)
{
    return trp_member_get(f->life, TRP_STR_LIT("m"));
}

static void answered_by(struct fixture *f, int64_t number, int64_t version)
{
    struct question q;
    assert_true(ask_version(&q, "m", number));
    pump(f, q.is_done);
    if (trp_failed(q.error.status))
        fail_msg("%s", q.error.text);
    assert_int_equal(q.answered_by, version);
}

/* Version 1 serves, 2 does not load. */
static void start_beside_broken(struct fixture *f)
{
    put(f, "m/1/model.echo", ECHO);
    start_on_demand(f);
    answered_by(f, 0, 1);
    put(f, "m/2/model.echo", BROKEN);
    rescan(f);
    pump(f, entry(f, "m")->reason && !m(f)->op);
    assert_non_null(strstr(entry(f, "m")->reason, "older files are served: version 2"));
}

static void let_go(struct fixture *f)
{
    assert_true(trp_member_evict(m(f), "a test wants it"));
    assert_int_equal(m(f)->serving.n, 0);
    pump(f, is(f, "m", "NEW")); /* until then it is asked as before */
}

static void what_served_comes_back_and_the_index_goes_on_saying_why(void **state)
{
    struct fixture *f = *state;
    start_beside_broken(f);
    for (int i = 0; i < 3; i++) {
        let_go(f);
        for (int k = 0; k < 20; k++)
            turn(f); /* what is looked up of it is done, and shows no other version */
        assert_int_equal(entry(f, "m")->versions_n, 1);
        assert_int_equal(highest(f, "m")->target.version, 1);
        assert_non_null(strstr(entry(f, "m")->reason, "no luck"));
        answered_by(f, i % 2, 1); /* also by its number */
        assert_true(is(f, "m", "READY"));
        assert_non_null(strstr(entry(f, "m")->reason, "older files are served: version 2"));
        assert_non_null(strstr(entry(f, "m")->reason, "no luck"));
    }
    load(f, "m", TRP_INVALID_ARGUMENT, "no luck"); /* an operator is told, as before */
    assert_true(is(f, "m", "READY"));
}

static void an_order_finds_it_out_of_memory_and_is_told_why_the_newest_fails(void **state)
{
    struct fixture *f = *state;
    start_beside_broken(f);
    let_go(f);
    load(f, "m", TRP_INVALID_ARGUMENT, "no luck");
    assert_true(is(f, "m", "READY"));
    answered_by(f, 0, 1);
}

static void newer_files_that_load_take_its_place(void **state)
{
    struct fixture *f = *state;
    start_beside_broken(f);
    let_go(f);
    put(f, "m/2/model.echo", ECHO);
    rescan(f);
    pump(f, strstr(entry(f, "m")->reason, "tried by the next request") != NULL);
    answered_by(f, 0, 2);
    assert_int_equal(m(f)->older.n, 0);
    assert_string_equal(entry(f, "m")->reason ? entry(f, "m")->reason : "", "");
}

static void newer_files_that_still_do_not_load_change_nothing(void **state)
{
    struct fixture *f = *state;
    start_beside_broken(f);
    let_go(f);
    put(f, "m/3/model.echo", ECHO "load_fail no luck either\n");
    rescan(f);
    answered_by(f, 0, 1);
    assert_non_null(strstr(entry(f, "m")->reason, "version 3"));
}

static void when_both_fail_both_are_told_and_both_are_tried_again(void **state)
{
    struct fixture *f = *state;
    struct question q;
    start_beside_broken(f);
    let_go(f);
    put(f, "m/1/model.echo", ECHO "load_fail gone as well\n");
    assert_true(ask_version(&q, "m", 0));
    fails(f, &q, TRP_NOT_READY, "no luck");
    assert_true(is(f, "m", "FAILED"));
    assert_true(log_says(f, "gone as well"));
    put(f, "m/1/model.echo", ECHO);
    f->now_ns += TRP_S(2);
    turn(f);
    answered_by(f, 0, 1);
    take_away(f, "m/1");
    let_go(f);
    assert_true(ask_version(&q, "m", 0));
    fails(f, &q, TRP_NOT_READY, "no luck");
}

static void who_leaves_the_server_in_the_middle_of_it_is_told(void **state)
{
    struct fixture *f = *state;
    struct question q;
    start_beside_broken(f);
    let_go(f);
    assert_true(ask_version(&q, "m", 0));
    pump(f, log_says(f, "failed to load 'm/2': no luck") || q.is_done);
    stop(f);
    assert_true(q.is_done);
}

static void what_was_overwritten_stays_until_its_files_load_again(void **state)
{
    struct fixture *f = *state;
    struct wish w = { .order = {
                          .kind = TRP_ORDER_EVICT, .model = TRP_STR_LIT("m"), .done = note_done } };
    put(f, "m.echo", ECHO);
    start_on_demand(f);
    answered_by(f, 0, 1);
    put(f, "m.echo", BROKEN);
    rescan(f);
    pump(f, m(f)->is_last_copy);
    assert_false(trp_member_evict(m(f), "a test wants it"));
    trp_life_submit(f->life, &w.order);
    check_order(f, &w, TRP_FAILED_PRECONDITION, "could not be loaded again");
    assert_non_null(strstr(trp_presence_kept(m(f)), "replaced by some that do not load"));
    answered_by(f, 0, 1);
    put(f, "m.echo", ECHO "\n");
    rescan(f);
    pump(f, !m(f)->is_last_copy && !m(f)->op);
    assert_true(trp_member_evict(m(f), "a test wants it"));
    answered_by(f, 0, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, end_asking)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_served_comes_back_and_the_index_goes_on_saying_why),
        TEST(an_order_finds_it_out_of_memory_and_is_told_why_the_newest_fails),
        TEST(newer_files_that_load_take_its_place),
        TEST(newer_files_that_still_do_not_load_change_nothing),
        TEST(when_both_fail_both_are_told_and_both_are_tried_again),
        TEST(who_leaves_the_server_in_the_middle_of_it_is_told),
        TEST(what_was_overwritten_stays_until_its_files_load_again),
    };
    return cmocka_run_group_tests_name("older", tests, NULL, NULL);
}

/* Cascades: the cheap model first, and the others only where it is not sure. */
#include "unit/compose/compose_fixture.h"

/* Rows of probabilities: the first is sure of its answer, the second is not, the third is in
 * between. */
static float x[] = { 0.95F, 0.03F, 0.02F, 0.4F, 0.35F, 0.25F, 0.1F, 0.1F, 0.8F };

static int set_up(void **state)
{
    (void)fixture_set_up(state);
    add_fake("small", 1);
    add_fake("medium", 1);
    add_fake("large", 2);
    return 0;
}

static void a_sure_answer_asks_nobody_else(void **state)
{
    (void)state;
    fixture_serve("cascades: { c: { steps: [small, large], threshold: 0.9 } }");
    struct trp_call *call = fixture_ask("c", x, 1);
    fixture_expect(call, x, 3);
    assert_int_equal(fake("large")->asked_n, 0);
    assert_true(trp_str_is(call->answered_why, "small is sure: max 0.95, threshold 0.9"));
    fixture_give_back();
}

static void a_doubtful_one_asks_the_next(void **state)
{
    (void)state;
    fixture_serve("cascades: { c: { steps: [small, large], threshold: 0.9 } }");
    struct trp_call *call = fixture_ask("c", x + 3, 1);
    fixture_expect(call, (const float[]){ 0.8F, 0.7F, 0.5F }, 3);
    assert_int_equal(fake("large")->asked_n, 1);
    assert_true(
        trp_str_is(call->answered_why, "small is not sure: max 0.4, threshold 0.9; asked: large"));
    fixture_give_back();
}

static void the_least_sure_row_speaks_for_the_request(void **state)
{
    (void)state;
    fixture_serve("cascades: { c: { steps: [small, large], threshold: 0.9 } }");
    struct trp_call *call = fixture_ask("c", x, 3);
    assert_int_equal(fake("large")->seen_rows, 3);
    assert_ptr_equal(fake("large")->seen, x); /* nothing was copied */
    assert_int_equal(fixture_metric(TRP_METRIC_BYTES_COPIED), 0);
    assert_int_equal(call->error.status.code, TRP_OK);
    fixture_give_back();
}

static void each_step_has_its_own_threshold(void **state)
{
    (void)state;
    fixture_serve("cascades:\n  c:\n    steps:\n      - { model: small, threshold: 0.9 }\n"
                  "      - { model: medium, threshold: 0.3 }\n      - large\n");
    struct trp_call *call = fixture_ask("c", x + 3, 1);
    fixture_expect(call, x + 3, 3);
    assert_int_equal(fake("medium")->asked_n, 1);
    assert_int_equal(fake("large")->asked_n, 0);
    assert_true(trp_str_is(call->answered_why, "medium is sure: max 0.4, threshold 0.3"));
    fixture_give_back();
}

/* Of each step: rows that it was asked about, and those that it answered. */
static void expect_steps(const struct trp_target *cascade, const uint64_t *want)
{
    struct trp_composition_step step;
    uint32_t cursor = 0;
    while (trp_composition_next_step(cascade, &cursor, &step)) {
        assert_int_equal(step.asked, want[2 * (cursor - 1)]);
        assert_int_equal(step.answered, want[2 * (cursor - 1) + 1]);
    }
    assert_int_equal(cursor, 3);
}

static void by_row_only_doubtful_rows_go_on(void **state)
{
    (void)state;
    static const float want[] = { 0.95F, 0.03F, 0.02F, 0.8F, 0.7F, 0.5F, 0.2F, 0.2F, 1.6F };
    fixture_serve("cascades: { c: { steps: [small, large], threshold: 0.9, per: row } }");
    struct trp_call *call = fixture_ask("c", x, 3);
    assert_int_equal(fake("large")->seen_rows, 2);
    fixture_expect(call, want, 9);
    assert_int_equal(fixture_metric(TRP_METRIC_BYTES_COPIED), 24 + 36 + 24); /* out, and back */
    fixture_give_back();
}

static void by_row_three_steps_see_fewer_and_fewer(void **state)
{
    (void)state;
    static const float want[] = { 0.95F, 0.03F, 0.02F, 0.8F, 0.7F, 0.5F, 0.1F, 0.1F, 0.8F };
    fixture_serve("cascades:\n  c:\n    per: row\n    steps:\n"
                  "      - { model: small, threshold: 0.9 }\n"
                  "      - { model: medium, threshold: 0.5 }\n      - large\n");
    struct trp_call *call = fixture_ask("c", x, 3);
    assert_int_equal(fake("medium")->seen_rows, 2);
    assert_int_equal(fake("large")->seen_rows, 1);
    fixture_expect(call, want, 9);
    expect_steps(call->target, (const uint64_t[]){ 3, 1, 2, 1, 1, 1 });
    fixture_give_back();
}

static void by_row_all_or_none_copy_nothing(void **state)
{
    (void)state;
    fixture_serve("cascades: { none: { steps: [small, large], threshold: 0.1, per: row },\n"
                  "            all: { steps: [small, large], threshold: 1, per: row } }");
    fixture_expect(fixture_ask("none", x, 3), x, 9);
    assert_int_equal(fake("large")->asked_n, 0);
    fixture_give_back();
    fixture_ask("all", x, 3);
    assert_ptr_equal(fake("large")->seen, x);
    fixture_give_back();
    assert_int_equal(fixture_metric(TRP_METRIC_BYTES_COPIED), 0);
}

#define MANY 30000 /* rows, of 12 bytes: no loop is held up by these */

/* Of many rows each third is in doubt. */
static struct trp_call *start_many(void)
{
    static float many[MANY * 3];
    for (int i = 0; i < MANY; i++)
        memcpy(many + (size_t)i * 3, i % 3 == 0 ? x + 3 : x, 12);
    fake("small")->signature = fake("large")->signature = &fake_unbounded;
    fixture_serve("cascades: { c: { steps: [small, large], threshold: 0.9, per: row } }");
    struct trp_call *call = fixture_start("c", many, MANY);
    fixture_turns(3);
    assert_int_equal(fake("small")->asked_n, 1);
    return call;
}

static void helpers_look_at_many_rows_and_copy_them(void **state)
{
    (void)state;
    struct trp_call *call = start_many();
    assert_true(trp_crew_do_one(fx.crew)); /* which are in doubt? */
    fixture_turns(3);
    assert_int_equal(fake("large")->asked_n, 0);
    assert_true(trp_crew_do_one(fx.crew)); /* they are picked */
    fixture_turns(3);
    assert_int_equal(fake("large")->seen_rows, MANY / 3);
    assert_int_equal(fx.answered_n, 0);
    assert_true(trp_crew_do_one(fx.crew)); /* and put back */
    assert_false(trp_crew_do_one(fx.crew));
    fixture_turns(3);
    assert_int_equal(fx.answered_n, 1);
    assert_int_equal(call->error.status.code, TRP_OK);
    const float *y = call->outputs[0].tensor.data;
    for (int i = 0; i < MANY; i++)
        assert_true(y[i * 3] == (i % 3 == 0 ? 2 * x[3] : x[0]));
    fixture_give_back();
}

/* Only the better model says what its classes are called. */
static void rows_that_helpers_put_back_keep_the_names_of_classes(void **state)
{
    (void)state;
    const struct trp_call *call = start_many();
    struct trp_signature coloured = *fake("large")->signature;
    coloured.outputs = &fake_coloured_y;
    fake("large")->signature = &coloured;
    for (int i = 0; i < 3; i++) {
        assert_true(trp_crew_do_one(fx.crew));
        fixture_turns(3);
    }
    assert_int_equal(call->error.status.code, TRP_OK);
    assert_int_equal(fixture_colours(call), 3);
    fixture_give_back();
}

static void names_of_classes_are_those_of_the_first_model_that_has_some(void **state)
{
    (void)state;
    static const struct {
        const char *coloured;
        uint32_t kept_n; /* of the two answers, until the client has its own */
    } rows[] = { { "small", 1 }, { "large", 2 } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fake("small")->signature = fake("large")->signature = &fake_signature;
        fake(rows[i].coloured)->signature = &fake_coloured;
        fx.released_n = 0;
        fixture_serve("cascades: { c: { steps: [small, large], threshold: 0.9, per: row } }");
        assert_int_equal(fixture_colours(fixture_ask("c", x, 3)), 3);
        assert_int_equal(fx.released_n, 2 - rows[i].kept_n);
        fixture_give_back();
        trp_cookbook_destroy(fx.book);
        assert_false(trp_failed(trp_cookbook_create(&fx.opts, &fx.book, &fx.err)));
    }
}

/* Wherever it is: nothing is lost, and nothing is let go twice. */
static void one_that_is_cancelled_lets_everything_go(void **state)
{
    (void)state;
    for (int at = 0; at < 3; at++) {
        struct trp_call *call = start_many();
        for (int i = 0; i < at; i++) {
            assert_true(trp_crew_do_one(fx.crew));
            fixture_turns(3);
        }
        assert_true(trp_call_try_cancel(call));
        call->target->ops->cancel(call->target, call);
        fixture_turns(3);
        assert_int_equal(fx.answered_n, 1);
        assert_int_equal(call->error.status.code, TRP_CANCELLED);
        assert_false(trp_crew_do_one(fx.crew));
        fixture_give_back();
        trp_cookbook_destroy(fx.book);
        assert_false(trp_failed(trp_cookbook_create(&fx.opts, &fx.book, &fx.err)));
        fake("small")->asked_n = fake("large")->asked_n = 0;
    }
}

static void a_margin_is_another_confidence(void **state)
{
    (void)state;
    fixture_serve("cascades: { c: { steps: [small, large], confidence: margin, threshold: 0.1 } }");
    (void)fixture_ask("c", x + 3, 1); /* 0.4 - 0.35 */
    assert_int_equal(fake("large")->asked_n, 1);
    fixture_give_back();
    (void)fixture_ask("c", x + 6, 1); /* 0.8 - 0.1 */
    assert_int_equal(fake("large")->asked_n, 1);
    fixture_give_back();
}

static void a_step_that_fails_fails_the_whole(void **state)
{
    (void)state;
    fixture_serve("cascades: { c: { steps: [small, large], threshold: 0.9 } }");
    fake("large")->way = FAKE_FAILS;
    struct trp_call *call = fixture_ask("c", x + 3, 1);
    assert_string_equal(call->error.text, "step 'large': it broke");
    fixture_give_back();
}

static void without_memory_a_request_is_refused_and_lets_everything_go(void **state)
{
    (void)state;
    static float many[3 * 8];
    fixture_serve("cascades: { c: { steps: [small, large], threshold: 0.9, per: row } }");
    for (size_t i = 0; i < 24; i += 3)
        many[i] = i % 2 ? 1 : 0.5F;
    fixture_lacks_memory("c", many, 8);
}

static void steps_without_brackets_are_told_to_have_some(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *want;
    } rows[] = {
        { "cascades:\n  c:\n    steps: small, large\n    threshold: 0.9\n",
          "routes.yaml:3: steps are a list in brackets, the cheapest first, such as [ a, b ], not "
          "'small, large'" },
        { "cascades: { c: { steps: small, large, threshold: 0.9 } }",
          "the cheapest first, such as [ a, b ], not 'small'" },
        { "cascades: { c: { steps: [ small ], threshold: 0.9 } }",
          "a list of two or more steps, the cheapest first, such as `steps: [ a, b ]`" },
        { "cascades: { c: { threshold: 0.9 } }", "such as `steps: [ a, b ]`" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fx.err = (struct trp_error){ 0 };
        assert_true(trp_failed(fixture_read(rows[i].yaml)));
        if (!strstr(fx.err.text, rows[i].want))
            fail_msg("'%s' and not '%s'", fx.err.text, rows[i].want);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_sure_answer_asks_nobody_else),
        TEST(a_doubtful_one_asks_the_next),
        TEST(the_least_sure_row_speaks_for_the_request),
        TEST(each_step_has_its_own_threshold),
        TEST(by_row_only_doubtful_rows_go_on),
        TEST(by_row_three_steps_see_fewer_and_fewer),
        TEST(by_row_all_or_none_copy_nothing),
        TEST(helpers_look_at_many_rows_and_copy_them),
        TEST(rows_that_helpers_put_back_keep_the_names_of_classes),
        TEST(names_of_classes_are_those_of_the_first_model_that_has_some),
        TEST(one_that_is_cancelled_lets_everything_go),
        TEST(a_margin_is_another_confidence),
        TEST(a_step_that_fails_fails_the_whole),
        TEST(without_memory_a_request_is_refused_and_lets_everything_go),
        TEST(steps_without_brackets_are_told_to_have_some),
    };
    return cmocka_run_group_tests_name("cascade", tests, NULL, NULL);
}

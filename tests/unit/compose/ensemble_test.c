/* Ensembles: who is asked, whose answers count, and what if somebody does not speak. */
#include "unit/compose/compose_fixture.h"

static const struct trp_io fake_wide_y = FAKE_ROWS("y", TROUPE_FP32, 4);
static const struct trp_signature fake_wide = { &fake_x, &fake_wide_y, 1, 1, .batch_max = 8 };

static float x[] = { 0.125F, 0.25F, 0.625F, 1, 2, 3 };

static void the_mean_of_two_models_is_asked_in_ten_lines(void **state)
{
    (void)state;
    static const float want[] = { 0.1875F, 0.375F, 0.9375F };
    fixture_serve("ensembles: { both: { members: [one, two], vote: mean } }");
    struct trp_call *call = fixture_ask("both", x, 1);
    fixture_expect(call, want, 3);
    assert_ptr_equal(fake("one")->seen, x); /* where the client's request lies */
    assert_ptr_equal(fake("two")->seen, x);
    assert_true(trp_str_is(call->outputs[0].name, "y"));
    assert_int_equal(call->notes_n, 0);
    assert_int_equal(fx.finished_n, 2);
    fixture_give_back();
    assert_int_equal(fx.released_n, 2);
    assert_int_equal(fixture_metric(TRP_METRIC_BYTES_COPIED), 0);
    assert_int_equal(fixture_metric(TRP_METRIC_COMPOSED), 1);
    assert_int_equal(fixture_metric(TRP_METRIC_COMPOSED_MODELS), 2);
    assert_int_equal(fixture_metric(TRP_METRIC_COMPOSED_BUILTIN), 1);
}

static void weights_count(void **state)
{
    (void)state;
    fixture_serve("ensembles: { both: { members: { one: 1, two: { weight: 1 }, six: 2 },\n"
                  "                     vote: average } }");
    fixture_expect(fixture_ask("both", x, 1), (const float[]){ 0.46875F, 0.9375F, 2.34375F }, 3);
    fixture_give_back();
}

static void a_trimmed_mean_leaves_one_out_at_each_end_unless_more_is_said(void **state)
{
    (void)state;
    fake("one")->factor = 1;
    fake("two")->factor = 2;
    fake("six")->factor = 300;
    fixture_serve("ensembles:\n"
                  "  three: { members: [one, two, six], vote: trimmed_mean }\n"
                  "  plain: { members: [one, two, six], vote: trimmed_mean, trim: 0 }\n");
    fixture_expect(fixture_ask("three", x, 1), (const float[]){ 0.25F, 0.5F, 1.25F }, 3);
    fixture_give_back();
    fixture_expect(fixture_ask("plain", x, 1), (const float[]){ 12.625F, 25.25F, 63.125F }, 3);
    fixture_give_back();
}

static void what_would_count_for_nothing_is_refused(void **state)
{
    (void)state;
    static const struct row {
        const char *keys, *want;
    } rows[] = {
        { "members: [one, two], quorum: 1.5", "'quorum' is a whole number from 1 to 2" },
        { "members: [one, two], quorum: 3", "'quorum' is a whole number from 1 to 2" },
        { "members: [one, two], deadline: 5ms", "a 'deadline' needs a quorum" },
        { "members: [one, two], trim: 0.2",
          "'trim' would count for nothing with `vote: soft`; it is for trimmed_mean" },
        { "members: [one, two], vote: mean, logits: true",
          "'logits' would count for nothing with `vote: mean`; it is for soft and hard" },
        { "members: [one, two], vote: borda, k: 3",
          "'k' would count for nothing with `vote: borda`; it is for reciprocal_rank" },
        { "members: [one, two], vote: hard, places: 3", "'places' would count for nothing" },
        { "members: [one, two], vote: borda, places: 2.5", "'places' is a whole number from 1" },
        { "members: [one, two], vote: borda, places: 2", "'places' are of lists of ids" },
        { "members: [one, two], stack: six, trim: 0.2",
          "'trim' would count for nothing beside a stacked model" },
        { "members: [one, two], vote: trimmed_mean", "takes three members at least" },
        { "members: [one, two, six], vote: trimmed_mean, trim: 0.3",
          "'trim' of 0.3 would leave out nobody of 3 members: 0.34 leaves out one at each end" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        char text[256];
        (void)snprintf(text, sizeof text, "ensembles: { e%d: { %s } }", (int)(r - rows), r->keys);
        fx.err = (struct trp_error){ 0 };
        print_message("%s\n", text);
        assert_true(trp_failed(fixture_read(text)));
        assert_non_null(strstr(fx.err.text, r->want));
    }
}

static void the_member_that_does_not_fit_is_named(void **state)
{
    (void)state;
    fake("two")->signature = &fake_wide;
    assert_true(trp_failed(fixture_read("ensembles:\n  e:\n    vote: mean\n    members:\n"
                                        "      - one\n      - two\n      - six\n")));
    assert_string_equal(fx.err.text, "routes.yaml:6: step 'two': member 1: has shape [-1,4], the "
                                     "others have [-1,3]");
}

static void members_without_brackets_are_told_to_have_some(void **state)
{
    (void)state;
    static const char *const texts[] = { "ensembles: { e: { members: one, two } }",
                                         "ensembles:\n  e:\n    members: one, two\n" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        fx.err = (struct trp_error){ 0 };
        assert_true(trp_failed(fixture_read(texts[i])));
        assert_non_null(strstr(fx.err.text, "members are a list in brackets, such as [ a, b ]"));
    }
}

static void weights_that_would_count_for_nothing_are_refused(void **state)
{
    (void)state;
    static const struct row {
        const char *yaml, *want;
    } rows[] = {
        { "ensembles: { e: { members: { one: 1, two: 3 }, vote: median } }",
          "routes.yaml:1: the weight of 'two' would count for nothing with `vote: median`; weights "
          "are for soft, hard, average, borda and reciprocal_rank" },
        { "ensembles:\n  e:\n    vote: mean\n    members:\n      one: { weight: 0.5 }\n      two: "
          "1\n",
          "routes.yaml:5: the weight of 'one' would count for nothing with `vote: mean`; weights "
          "are for soft, hard, average, borda and reciprocal_rank" },
        { "ensembles: { e: { members: { one: 1, two: 2 }, stack: six } }",
          "routes.yaml:1: the weight of 'two' would count for nothing: a stacked model weighs what "
          "members say itself" },
    };
    static const char *const good[] = {
        "ensembles: { a: { members: { one: 1, two: 1 }, vote: median } }",
        "ensembles: { b: { members: { one: 2, two: 2 }, vote: max } }",
        "ensembles: { c: { members: { one: 1, two: 2 }, vote: average } }",
        "ensembles: { d: { members: { one: 1, two: 2 }, vote: borda } }",
        "ensembles: { e: { members: { one: 0, two: 2 } } }",
    };
    add_fake("one", 1);
    add_fake("two", 2);
    add_fake("six", 6);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fx.err = (struct trp_error){ 0 };
        assert_true(trp_failed(fixture_read(rows[i].yaml)));
        assert_string_equal(fx.err.text, rows[i].want);
    }
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        fixture_serve(good[i]);
}

#define MANY 30000

static struct trp_call *start_a_long_vote(void)
{
    static float many[MANY * 3];
    many[MANY * 3 - 1] = 4;
    fake("one")->signature = fake("two")->signature = &fake_unbounded;
    fixture_serve("ensembles: { both: { members: [one, two], vote: mean } }");
    struct trp_call *call = fixture_start("both", many, MANY);
    fixture_turns(5);
    assert_int_equal(fx.answered_n, 0);
    return call;
}

static void a_vote_over_much_is_taken_by_a_helper(void **state)
{
    (void)state;
    struct trp_call *call = start_a_long_vote();
    assert_true(trp_crew_do_one(fx.crew));
    fixture_turns(2);
    assert_int_equal(fx.answered_n, 1);
    assert_int_equal(call->error.status.code, TRP_OK);
    assert_true(((const float *)call->outputs[0].tensor.data)[MANY * 3 - 1] == 6);
    fixture_give_back();
}

/* Whoever takes the vote: a fresh block would be a page fault for each page of it. */
static void what_a_vote_has_made_is_kept_for_the_next(void **state)
{
    static float many[MANY * 3];
    static const int64_t rows[] = { 2000, MANY };
    (void)state;
    fake("one")->signature = fake("two")->signature = &fake_unbounded;
    fixture_serve("ensembles: { both: { members: [one, two], vote: mean } }");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const void *made[2] = { NULL };
        for (int turn = 0; turn < 2; turn++) {
            struct trp_call *call = fixture_start("both", many, rows[i]);
            fixture_turns(5);
            assert_int_equal(trp_crew_do_one(fx.crew), rows[i] == MANY);
            fixture_turns(2);
            assert_int_equal(call->error.status.code, TRP_OK);
            made[turn] = call->outputs[0].tensor.data;
            assert_true(trp_pool_leased_bytes(fx.bodies) >= call->outputs[0].tensor.bytes);
            fixture_give_back();
        }
        assert_ptr_equal(made[0], made[1]);
    }
}

/* The helper is at it when nobody waits any more: it is let go once it is back. */
static void a_vote_that_comes_too_late_is_let_go(void **state)
{
    (void)state;
    struct trp_call *call = start_a_long_vote();
    assert_true(trp_crew_do_one(fx.crew)); /* its mail is not delivered yet */
    assert_true(trp_call_try_cancel(call));
    call->target->ops->cancel(call->target, call);
    fixture_turns(3);
    assert_int_equal(fx.answered_n, 1);
    assert_int_equal(call->error.status.code, TRP_CANCELLED);
    fixture_give_back();
}

static void ranks_are_fused(void **state)
{
    (void)state;
    fixture_serve("ensembles: { order: { members: [one, two], vote: borda } }");
    struct trp_call *call = fixture_ask("order", x, 1);
    fixture_expect(call, (const float[]){ 1, 2, 3 }, 3);
    fixture_give_back();
}

static void lists_of_items_are_fused_with_their_scores(void **state)
{
    (void)state;
    static const struct trp_io in = FAKE_ROWS("x", TROUPE_INT64, 3);
    static const struct trp_io out = FAKE_ROWS("items", TROUPE_INT64, 3);
    static const struct trp_signature s = { &in, &out, 1, 1, .batch_max = 0 };
    static int64_t lists[] = { 7, 5, -1, 3, 2, 1 };
    add_fake("left", 1)->signature = &s;
    add_fake("right", 1)->signature = &s;
    fixture_serve("ensembles:\n  blend: { members: { left: 1, right: 3 }, vote: reciprocal_rank,\n"
                  "           places: 2 }\n");
    fx.dtype = TROUPE_INT64;
    struct trp_call *call = fixture_ask("blend", lists, 2);
    assert_int_equal(call->error.status.code, TRP_OK);
    assert_int_equal(call->outputs_n, 2);
    assert_true(trp_str_is(call->outputs[0].name, "items"));
    assert_true(trp_str_is(call->outputs[1].name, "scores"));
    assert_int_equal(call->outputs[0].tensor.shape[1], 2);
    static const int64_t want[] = { 7, 5, 3, 2 };
    assert_memory_equal(call->outputs[0].tensor.data, want, sizeof want);
    const float *scores = call->outputs[1].tensor.data;
    assert_true(scores[0] > 0.0163F && scores[0] < 0.0165F); /* 1 / 61 */
    fixture_give_back();
}

static void all_are_waited_for_without_a_quorum(void **state)
{
    (void)state;
    fixture_serve("ensembles: { both: { members: [one, two], vote: mean } }");
    fake("two")->way = FAKE_HELD;
    struct trp_call *call = fixture_start("both", x, 1);
    fixture_turns(5);
    assert_int_equal(fx.answered_n, 0);
    struct fake_model *two = fake("two");
    fake_answer(two, two->held[0]);
    fake_settle(two->held[--two->held_n]);
    fixture_turns(5);
    assert_int_equal(fx.answered_n, 1);
    fixture_expect(call, (const float[]){ 0.1875F, 0.375F, 0.9375F }, 3);
    fixture_give_back();
}

static void one_that_fails_fails_the_whole_without_a_quorum(void **state)
{
    (void)state;
    fixture_serve("ensembles: { both: { members: [one, two, six], vote: mean } }");
    fake("two")->way = FAKE_FAILS;
    fake("six")->way = FAKE_HELD;
    struct trp_call *call = fixture_start("both", x, 1);
    fixture_turns(5);
    assert_int_equal(fx.answered_n, 1);
    assert_int_equal(call->error.status.code, TRP_BACKEND_FAILED);
    assert_string_equal(call->error.text, "step 'two': it broke");
    assert_int_equal(fake("six")->cancelled_n, 1);
    fixture_give_back();
}

static void a_quorum_answers_as_soon_as_it_has_spoken(void **state)
{
    (void)state;
    fixture_serve("ensembles: { three: { members: [one, two, six], vote: mean, quorum: 2 } }");
    fake("six")->way = FAKE_HELD;
    struct trp_call *call = fixture_ask("three", x, 1);
    fixture_expect(call, (const float[]){ 0.1875F, 0.375F, 0.9375F }, 3);
    assert_string_equal(fixture_note(call, "troupe_partial"), "true");
    assert_string_equal(fixture_note(call, "troupe_missing"), "six");
    assert_string_equal(fixture_note(call, "troupe_missing_because"), "six: it was not waited for");
    assert_int_equal(fake("six")->cancelled_n, 1);
    assert_int_equal(fixture_metric(TRP_METRIC_COMPOSED_PARTIAL), 1);
    assert_int_equal(fixture_metric(TRP_METRIC_COMPOSED_LATE), 1);
    fixture_give_back();
}

static void with_a_deadline_the_others_are_waited_for(void **state)
{
    (void)state;
    fixture_serve("ensembles: { three: { members: [one, two, six], vote: mean, quorum: 2,\n"
                  "                      deadline: 20ms } }");
    fake("six")->way = FAKE_HELD;
    struct trp_call *call = fixture_start("three", x, 1);
    fixture_turns(5);
    fx.now_ns += TRP_MS(19);
    fixture_turns(5);
    assert_int_equal(fx.answered_n, 0);
    fx.now_ns += TRP_MS(2);
    fixture_turns(5);
    assert_int_equal(fx.answered_n, 1);
    fixture_expect(call, (const float[]){ 0.1875F, 0.375F, 0.9375F }, 3);
    assert_string_equal(fixture_note(call, "troupe_missing"), "six");
    assert_string_equal(fixture_note(call, "troupe_missing_because"),
                        "six: it did not answer in time");
    fixture_give_back();
}

static void after_the_deadline_the_quorum_is_enough(void **state)
{
    (void)state;
    fixture_serve("ensembles: { three: { members: [one, two, six], vote: mean, quorum: 2,\n"
                  "                      deadline: 20ms } }");
    struct fake_model *two = fake("two");
    two->way = fake("six")->way = FAKE_HELD;
    struct trp_call *call = fixture_start("three", x, 1);
    fixture_turns(3);
    fx.now_ns += TRP_MS(50);
    fixture_turns(3);
    assert_int_equal(fx.answered_n, 0); /* one is no quorum */
    fake_answer(two, two->held[0]);
    fake_settle(two->held[--two->held_n]);
    fixture_turns(5);
    assert_int_equal(fx.answered_n, 1);
    fixture_expect(call, (const float[]){ 0.1875F, 0.375F, 0.9375F }, 3);
    fixture_give_back();
}

/* What a request is given, and when those that are missing are late. */
static void a_request_of_less_time_gets_what_the_quorum_says(void **state)
{
    (void)state;
    static const struct row {
        int64_t time_ms, late_ms;
    } rows[] = {
        { 1000, 950 },               /* 50 ms for the reply at most */
        { 100, 90 },      { 10, 8 }, /* 2 ms at least */
        { 2, 0 },                    /* but a quarter is left to the members */
        { 10000, 9800 },             /* a fiftieth: so much clients may be wrong */
        { 60000, 20000 },            /* the ensemble has less */
    };
    fixture_serve("ensembles: { three: { members: [one, two, six], vote: mean, quorum: 2,\n"
                  "                      deadline: 20s } }");
    fake("six")->way = FAKE_HELD;
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        fx.time_ns = TRP_MS(r->time_ms);
        struct trp_call *call = fixture_start("three", x, 1);
        fixture_turns(5);
        if (r->late_ms > 0) {
            fx.now_ns += TRP_MS(r->late_ms) - 1;
            fixture_turns(5);
            assert_int_equal(fx.answered_n, 0);
        }
        fx.now_ns += r->late_ms > 0 ? 1 : TRP_MS(1) / 2;
        fixture_turns(5);
        assert_int_equal(fx.answered_n, 1);
        fixture_expect(call, (const float[]){ 0.1875F, 0.375F, 0.9375F }, 3);
        assert_string_equal(fixture_note(call, "troupe_missing"), "six");
        assert_string_equal(fixture_note(call, "troupe_missing_because"),
                            "six: it did not answer in time");
        fixture_give_back();
    }
    assert_int_equal(fixture_metric(TRP_METRIC_COMPOSED_LATE), ARRAY_LEN(rows));
}

static void without_a_quorum_its_time_is_up(void **state)
{
    (void)state;
    fixture_serve("ensembles: { three: { members: [one, two, six], vote: mean, quorum: 2,\n"
                  "                      deadline: 20s } }");
    fake("two")->way = fake("six")->way = FAKE_HELD;
    fx.time_ns = TRP_MS(100);
    struct trp_call *call = fixture_start("three", x, 1);
    fixture_turns(5);
    fx.now_ns += TRP_MS(95);
    fixture_turns(5);
    assert_int_equal(fx.answered_n, 0);
    fx.now_ns += TRP_MS(5);
    assert_true(trp_call_try_expire(call)); /* as front does */
    call->target->ops->cancel(call->target, call);
    fixture_turns(5);
    assert_int_equal(fx.answered_n, 1);
    assert_int_equal(call->error.status.code, TRP_DEADLINE_EXCEEDED);
    fixture_give_back();
}

/* The slow steps behind the vote, in the recipe or in one that asks for it, are known from the
 * requests before. */
static void what_stands_behind_the_vote_has_its_time(void **state)
{
    (void)state;
    struct fake_model *ten = add_fake("ten", 1);
    fixture_serve("ensembles:\n"
                  "  three: { members: [one, two, six], vote: mean, quorum: 2, deadline: 20s }\n"
                  "pipelines:\n"
                  "  then: { steps: [{ model: three, outputs: { y: z } }, { model: ten, inputs: { "
                  "x: z } }],\n"
                  "          outputs: [y] }\n");
    ten->way = FAKE_HELD;
    for (int i = 0; i < 30; i++) { /* it takes 20 ms */
        (void)fixture_start("then", x, 1);
        fixture_turns(5);
        fx.now_ns += TRP_MS(20);
        fake_answer(ten, ten->held[0]);
        fake_settle(ten->held[--ten->held_n]);
        fixture_turns(5);
        assert_int_equal(fx.answered_n, 1);
        fixture_give_back();
    }
    fake("six")->way = FAKE_HELD;
    fx.time_ns = TRP_MS(100);
    (void)fixture_start("then", x, 1);
    fixture_turns(5);
    fx.now_ns += TRP_MS(58); /* 100 - 10 - 1.5 * 20 - 1 */
    fixture_turns(5);
    assert_int_equal(ten->held_n, 0);
    fx.now_ns += TRP_MS(2);
    fixture_turns(5);
    assert_int_equal(ten->held_n, 1);
    fake_answer(ten, ten->held[0]);
    fake_settle(ten->held[--ten->held_n]);
    fixture_turns(5);
    assert_int_equal(fx.call->error.status.code, TRP_OK);
    assert_string_equal(fixture_note(fx.call, "troupe_missing"), "three/six");
    fixture_give_back();
}

static void who_fails_is_left_out_of_a_quorum(void **state)
{
    (void)state;
    fixture_serve("ensembles: { three: { members: [one, two, six], vote: mean, quorum: 1,\n"
                  "                      deadline: 20ms } }");
    fake("one")->way = fake("six")->way = FAKE_FAILS;
    struct trp_call *call = fixture_ask("three", x, 1);
    fixture_expect(call, (const float[]){ 0.25F, 0.5F, 1.25F }, 3);
    assert_string_equal(fixture_note(call, "troupe_missing"), "one, six");
    assert_string_equal(fixture_note(call, "troupe_missing_because"),
                        "one: it broke; six: it broke");
    fixture_give_back();
}

static void who_asks_for_a_partial_answer_gives_one(void **state)
{
    (void)state;
    fixture_serve("ensembles:\n"
                  "  two_of: { members: [one, two, six], vote: mean, quorum: 1, deadline: 20ms }\n"
                  "  whole: { members: [two_of, one], vote: mean }\n"
                  "  both: { members: [two_of, two], vote: mean, quorum: 1, deadline: 20ms }\n"
                  "  rows: { members: [each], vote: mean }\n"
                  "pipelines:\n"
                  "  each: { steps: [{ model: two_of, each: row }], outputs: [y] }\n");
    fake("two")->way = fake("six")->way = FAKE_FAILS;
    static const struct {
        const char *name, *missing;
        uint32_t rows;
    } rows[] = { { "whole", "two_of/two, two_of/six", 1 },
                 { "both", "two_of/two, two_of/six, two", 1 },
                 { "rows", "each/two_of/two, each/two_of/six", 3 } };
    for (uint32_t i = 0; i < ARRAY_LEN(rows); i++) {
        static float three[] = { 1, 2, 3, 1, 2, 3, 1, 2, 3 };
        struct trp_call *call = fixture_ask(rows[i].name, three, rows[i].rows);
        assert_int_equal(call->error.status.code, TRP_OK);
        assert_string_equal(fixture_note(call, "troupe_partial"), "true");
        assert_string_equal(fixture_note(call, "troupe_missing"), rows[i].missing);
        fixture_give_back();
    }
    assert_int_equal(fixture_metric(TRP_METRIC_COMPOSED_PARTIAL), 2 + 2 + 3 + 1 + 1);
}

/* One may be a part of another, or of what a member says of its own. */
static void each_reason_is_told_and_each_once(void **state)
{
    static const struct {
        const char *yaml, *missing, *because;
        uint32_t rows;
    } rows[] = {
        { "ensembles: { e: { members: [cnn, nn, one], vote: mean, quorum: 1, deadline: 20ms } }",
          "cnn, nn", "cnn: it broke; nn: it broke", 1 },
        { "ensembles:\n"
          "  pair: { members: [nn, one], vote: mean, quorum: 1, deadline: 20ms }\n"
          "  e: { members: [pair, nn], vote: mean, quorum: 1, deadline: 20ms }\n",
          "pair/nn, nn", "pair (nn: it broke); nn: it broke", 1 },
        { "ensembles:\n"
          "  four: { members: [cnn, nn, rnn, one], vote: mean, quorum: 1, deadline: 20ms }\n"
          "  e: { members: [four, nn], vote: mean, quorum: 1, deadline: 20ms }\n",
          "four/cnn, four/nn, four/rnn, nn",
          "four (cnn: it broke; nn: it broke; rnn: it broke); nn: it broke", 1 },
        { "ensembles:\n"
          "  pair: { members: [cnn, one], vote: mean, quorum: 1, deadline: 20ms }\n"
          "pipelines:\n"
          "  e: { steps: [{ model: pair, each: row }], outputs: [y] }\n",
          "pair/cnn", "pair (cnn: it broke)", 3 },
    };
    static float three[] = { 1, 2, 3, 1, 2, 3, 1, 2, 3 };
    (void)state;
    add_fake("cnn", 1)->way = FAKE_FAILS;
    add_fake("nn", 1)->way = FAKE_FAILS;
    add_fake("rnn", 1)->way = FAKE_FAILS;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        trp_cookbook_destroy(fx.book);
        assert_false(trp_failed(trp_cookbook_create(&fx.opts, &fx.book, &fx.err)));
        fixture_serve(rows[i].yaml);
        const struct trp_call *call = fixture_ask("e", three, rows[i].rows);
        assert_int_equal(call->error.status.code, TRP_OK);
        assert_string_equal(fixture_note(call, "troupe_missing"), rows[i].missing);
        assert_string_equal(fixture_note(call, "troupe_missing_because"), rows[i].because);
        fixture_give_back();
    }
}

static void reasons_that_do_not_fit_are_three_dots(void **state)
{
    static char name[1990], text[4200];
    (void)state;
    memset(name, 'n', sizeof name - 1);
    add_fake(name, 1)->way = FAKE_FAILS;
    (void)snprintf(text, sizeof text,
                   "ensembles:\n"
                   "  whole: { members: [%s, two, one], vote: mean, quorum: 1, deadline: 20ms }\n"
                   "  above: { members: [whole, one], vote: mean }\n",
                   name);
    fixture_serve(text);
    fake("two")->way = FAKE_FAILS;
    const struct trp_call *call = fixture_ask("whole", x, 1);
    const char *because = fixture_note(call, "troupe_missing_because");
    assert_int_equal(strlen(because), strlen(name) + strlen(": it broke; ..."));
    assert_string_equal(because + strlen(name), ": it broke; ...");
    fixture_give_back();
    call = fixture_ask("above", x, 1);
    assert_string_equal(fixture_note(call, "troupe_missing_because"), "...");
    fixture_give_back();
}

/* The bytes that a request has taken for itself when it was asked row by row. */
static size_t bytes_of_rows(const char *name)
{
    static float many[3 * 32];
    const struct trp_call *call = fixture_ask(name, many, 32);
    assert_int_equal(call->error.status.code, TRP_OK);
    const size_t bytes = call->arena.total;
    fixture_give_back();
    return bytes;
}

static void what_each_row_says_again_takes_no_memory(void **state)
{
    (void)state;
    fixture_serve("ensembles:\n"
                  "  two_of: { members: [one, two, six], vote: mean, quorum: 1, deadline: 20ms }\n"
                  "pipelines:\n"
                  "  each: { steps: [{ model: two_of, each: row }], outputs: [y] }\n");
    const size_t whole = bytes_of_rows("each");
    fake("two")->way = fake("six")->way = FAKE_FAILS;
    const size_t partial = bytes_of_rows("each");
    if (partial > whole + 4096)
        fail_msg("%zu bytes where all answer, %zu where some do not", whole, partial);
}

static void without_a_quorum_of_answers_the_first_reason_is_told(void **state)
{
    (void)state;
    fixture_serve("ensembles: { three: { members: [one, two, six], vote: mean, quorum: 2 } }");
    fake("one")->way = fake("six")->way = FAKE_FAILS;
    struct trp_call *call = fixture_ask("three", x, 1);
    assert_int_equal(call->error.status.code, TRP_BACKEND_FAILED);
    assert_string_equal(call->error.text,
                        "1 of 3 members can answer, 2 must (quorum); 'one': it broke");
    fixture_give_back();
}

static void who_comes_late_is_let_go_when_he_comes(void **state)
{
    (void)state;
    fixture_serve("ensembles: { three: { members: [one, two, six], vote: mean, quorum: 2 } }");
    struct fake_model *six = fake("six");
    six->way = FAKE_HELD;
    struct trp_call *call = fixture_start("three", x, 1);
    struct trp_call *late = six->held[0];
    six->held_n = 0; /* it runs, and does not look whether it is wanted */
    fixture_turns(5);
    assert_int_equal(fx.answered_n, 1);
    fixture_expect(call, (const float[]){ 0.1875F, 0.375F, 0.9375F }, 3);
    assert_int_equal(call->lent_n, 1); /* it still looks at the client's input */
    fake_answer(six, late);
    fake_settle(late);
    fixture_turns(2);
    assert_int_equal(fx.answered_n, 1);
    fixture_give_back();
    assert_int_equal(fx.released_n, 3);
}

static void a_cancelled_request_comes_back_when_its_steps_have(void **state)
{
    (void)state;
    fixture_serve("ensembles: { both: { members: [one, two], vote: mean, quorum: 1,\n"
                  "                     deadline: 1s } }");
    fake("one")->way = fake("two")->way = FAKE_HELD;
    struct trp_call *call = fixture_start("both", x, 1);
    fixture_turns(2);
    assert_true(trp_call_try_cancel(call));
    call->target->ops->cancel(call->target, call);
    fixture_turns(3);
    assert_int_equal(fx.answered_n, 1);
    assert_int_equal(call->error.status.code, TRP_CANCELLED);
    assert_int_equal(fake("one")->cancelled_n + fake("two")->cancelled_n, 2);
    fixture_give_back();
    fx.now_ns += TRP_S(2); /* its timer is gone */
    fixture_turns(2);
}

static void a_late_request_says_so(void **state)
{
    (void)state;
    fixture_serve("ensembles: { both: { members: [one, two], vote: mean } }");
    fake("one")->way = FAKE_HELD;
    struct trp_call *call = fixture_start("both", x, 1);
    assert_true(trp_call_try_expire(call));
    call->target->ops->cancel(call->target, call);
    fixture_turns(3);
    assert_int_equal(fx.answered_n, 1);
    assert_int_equal(call->error.status.code, TRP_DEADLINE_EXCEEDED);
    fixture_give_back();
}

static void a_member_that_is_not_there_counts_as_one_that_failed(void **state)
{
    (void)state;
    fixture_serve("ensembles: { three: { members: [one, two, six], vote: mean, quorum: 2 } }");
    fake("six")->target.name = TRP_STR_LIT("gone");
    struct trp_call *call = fixture_ask("three", x, 1);
    assert_string_equal(fixture_note(call, "troupe_missing"), "six");
    fixture_give_back();
}

static void a_stacked_model_sees_all_answers_side_by_side(void **state)
{
    (void)state;
    static const struct trp_io in = FAKE_ROWS("z", TROUPE_FP32, 6);
    static const struct trp_io out = FAKE_ROWS("w", TROUPE_FP32, 6);
    static const struct trp_signature s = { &in, &out, 1, 1, .batch_max = 4 };
    add_fake("meta", 10)->signature = &s;
    fixture_serve("ensembles: { stacked: { members: [one, two], stack: meta } }");
    struct trp_call *call = fixture_ask("stacked", x, 1);
    fixture_expect(call, (const float[]){ 1.25F, 2.5F, 6.25F, 2.5F, 5, 12.5F }, 6);
    assert_true(trp_str_is(call->outputs[0].name, "w"));
    assert_int_equal(trp_target_signature(call->target)->batch_max, 4);
    fixture_give_back();
}

static void its_metadata_are_composed_of_the_members(void **state)
{
    (void)state;
    fixture_serve("ensembles: { both: { members: [one, two], vote: mean } }");
    struct trp_target *both = fixture_target("both");
    const struct trp_composition *c = trp_composition_of(both);
    assert_string_equal(trp_composition_kind(c), "ensemble");
    assert_true(trp_str_is(trp_composition_place(c), "routes.yaml:1"));
    const struct trp_signature *s = trp_target_signature(both);
    assert_int_equal(s->inputs_n, 1);
    assert_true(trp_str_is(s->inputs[0].name, "x"));
    assert_true(trp_str_is(s->outputs[0].name, "y"));
    assert_int_equal(s->outputs[0].dims[1], 3);
    assert_int_equal(s->batch_max, 8);
    assert_true(trp_str_is(s->platform, "troupe_ensemble"));
    const struct trp_node *config = both->ops->config(both);
    assert_int_equal(trp_node_i64(config, "max_batch_size", 0), 8);
    const struct trp_node *input = trp_node_get(config, "input")->first;
    assert_true(trp_str_is(trp_node_str(input, "name", (struct trp_str){ 0 }), "x"));
    assert_int_equal(trp_node_get(input, "dims")->children_n, 1); /* without the batch */
    assert_false(trp_failed(both->ops->describe(both, 0, NULL, NULL, &fx.err)));
    fake("two")->target.name = TRP_STR_LIT("gone");
    assert_int_equal(both->ops->describe(both, 0, NULL, NULL, &fx.err).code, TRP_NOT_READY);
    fake_named(TRP_STR_LIT("gone"))->target.name = TRP_STR_LIT("two");
    fake("one")->is_unready = true;
    assert_int_equal(both->ops->describe(both, 0, NULL, NULL, &fx.err).code, TRP_NOT_READY);
    assert_string_equal(fx.err.text, "'one' is not ready: ");
    fixture_ask("both", x, 2);
    struct trp_stats *stats = both->ops->stats(both);
    assert_int_equal(trp_counter_get(&stats->inference_count), 2);
    assert_int_equal(trp_counter_get(&stats->execution_count), 1);
    assert_int_equal(trp_gauge_get(&stats->in_flight), 0);
    fixture_give_back();
}

/* And whoever is not needed is not spoken of, as though something were wrong. */
static void it_could_answer_while_enough_members_are_there(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *gone, *says; /* empty: nothing */
        int32_t code;
    } rows[] = {
        { "ensembles: { e: { members: [one, two], vote: mean } }", "", "", TRP_OK },
        { "ensembles: { e: { members: [one, two], vote: mean } }", "one", "no 'one'",
          TRP_NOT_READY },
        { "ensembles: { e: { members: [one, two], vote: mean, quorum: 1 } }", "one", "", TRP_OK },
        { "ensembles: { e: { members: [one, two, six], vote: mean, quorum: 2 } }", "two", "",
          TRP_OK },
        { "ensembles: { e: { members: [one, two], vote: mean, quorum: 2 } }", "two", "no 'two'",
          TRP_NOT_READY },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fake_model *gone = rows[i].gone[0] ? fake(rows[i].gone) : NULL;
        struct trp_error err = { 0 };
        trp_cookbook_destroy(fx.book);
        assert_false(trp_failed(trp_cookbook_create(&fx.opts, &fx.book, &fx.err)));
        fixture_serve(rows[i].yaml);
        struct trp_target *e = fixture_target("e");
        if (gone)
            gone->target.name = TRP_STR_LIT("gone");
        assert_int_equal(e->ops->describe(e, 0, NULL, NULL, &err).code, rows[i].code);
        assert_int_equal(err.status.code, rows[i].code);
        assert_string_equal(err.text, rows[i].says);
        if (gone)
            gone->target.name = trp_str_of(rows[i].gone);
    }
}

/* Whatever piece of memory a request lacks, it is answered, and gives everything back. */
static void without_memory_a_request_is_refused_and_lets_everything_go(void **state)
{
    (void)state;
    static float many[3 * 8 * 200];
    fixture_serve("ensembles: { three: { members: [one, two, six], vote: median } }");
    fixture_lacks_memory("three", many, 8);
    for (uint32_t i = 0; i < fx.fakes_n; i++)
        fx.fakes[i].signature = &fake_unbounded;
    fixture_serve("ensembles: { much: { members: [one, two, six], vote: median } }");
    fixture_lacks_memory("much", many, 1600); /* more than the request's own arena takes */
}

/* A request of more rows than one member takes loses it, and nobody is told why. */
static void members_that_take_unlike_numbers_of_rows_are_doubted(void **state)
{
    static const struct {
        const char *yaml, *says; /* NULL: nothing */
    } rows[] = {
        { "ensembles: { both: { members: [one, two], vote: mean, quorum: 1 } }",
          "routes.yaml:1: 'one' takes at most 8 rows, and 'two' more: a request of more is "
          "answered without it" },
        { "ensembles: { all: { members: [one, two], vote: mean } }",
          "'one' takes at most 8 rows, and 'two' more: a request of more fails where it meets it" },
        { "cascades: { first: { steps: [two, one], threshold: 0.9 } }", "'one' takes at most 8" },
        { "ensembles: { like: { members: [one, six], vote: mean, quorum: 1 } }", NULL },
        { "pipelines: { row: { steps: [ { model: two, outputs: { y: z } }, "
          "{ model: one, inputs: { x: z } } ], outputs: [ y ] } }",
          NULL },
    };
    static const char *const names[] = { "both", "all", "first", "like", "row" };
    (void)state;
    fake("two")->signature = &fake_unbounded;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fixture_serve(rows[i].yaml);
        struct trp_target *t = fixture_target(names[i]);
        struct trp_target_state now;
        t->ops->state(t, &now);
        assert_true(now.ready);
        if (rows[i].says ? now.reason.len == 0 || !strstr(now.reason.ptr, rows[i].says)
                         : now.reason.len > 0)
            fail_msg("'%s' says '%.*s'", rows[i].yaml, TRP_STR(now.reason));
        struct trp_composition *c = trp_composition_of(t);
        assert_int_equal(trp_composition_take_rows(c).len, now.reason.len);
        assert_int_equal(trp_composition_take_rows(c).len, 0); /* it is told once */
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up_three, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_mean_of_two_models_is_asked_in_ten_lines),
        TEST(weights_count),
        TEST(a_trimmed_mean_leaves_one_out_at_each_end_unless_more_is_said),
        TEST(what_would_count_for_nothing_is_refused),
        TEST(the_member_that_does_not_fit_is_named),
        TEST(members_without_brackets_are_told_to_have_some),
        TEST(weights_that_would_count_for_nothing_are_refused),
        TEST(a_vote_over_much_is_taken_by_a_helper),
        TEST(what_a_vote_has_made_is_kept_for_the_next),
        TEST(a_vote_that_comes_too_late_is_let_go),
        TEST(ranks_are_fused),
        TEST(lists_of_items_are_fused_with_their_scores),
        TEST(all_are_waited_for_without_a_quorum),
        TEST(one_that_fails_fails_the_whole_without_a_quorum),
        TEST(a_quorum_answers_as_soon_as_it_has_spoken),
        TEST(with_a_deadline_the_others_are_waited_for),
        TEST(after_the_deadline_the_quorum_is_enough),
        TEST(a_request_of_less_time_gets_what_the_quorum_says),
        TEST(without_a_quorum_its_time_is_up),
        TEST(what_stands_behind_the_vote_has_its_time),
        TEST(who_fails_is_left_out_of_a_quorum),
        TEST(who_asks_for_a_partial_answer_gives_one),
        TEST(each_reason_is_told_and_each_once),
        TEST(reasons_that_do_not_fit_are_three_dots),
        TEST(what_each_row_says_again_takes_no_memory),
        TEST(without_a_quorum_of_answers_the_first_reason_is_told),
        TEST(who_comes_late_is_let_go_when_he_comes),
        TEST(a_cancelled_request_comes_back_when_its_steps_have),
        TEST(a_late_request_says_so),
        TEST(a_member_that_is_not_there_counts_as_one_that_failed),
        TEST(a_stacked_model_sees_all_answers_side_by_side),
        TEST(its_metadata_are_composed_of_the_members),
        TEST(it_could_answer_while_enough_members_are_there),
        TEST(without_memory_a_request_is_refused_and_lets_everything_go),
        TEST(members_that_take_unlike_numbers_of_rows_are_doubted),
    };
    return cmocka_run_group_tests_name("ensemble", tests, NULL, NULL);
}

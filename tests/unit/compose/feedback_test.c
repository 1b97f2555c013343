/* Answers that wait for their outcome: found by id, once; forgotten by age and by number;
 * several threads; and ensembles that learn. */
#include "unit/compose/compose_fixture.h"

#include "base/thread.h"
#include "memory/account.h"

static float x[] = { 0.125F, 0.25F, 0.625F, 1, 2, 3 };
static struct trp_feedback *table;

static const struct trp_str names[] = { { "a", 1 }, { "b", 1 } };
static const double evenly[] = { 1, 1 };

static struct trp_learner *learner_named(const char *name)
{
    struct trp_learner *l;
    const struct trp_learner_order order = { .name = trp_str_of(name),
                                             .vote = TRP_STR_LIT("soft"),
                                             .members = names,
                                             .weights = evenly,
                                             .members_n = 2,
                                             .rate = 1,
                                             .floor = 0.01 };
    assert_false(trp_failed(trp_feedback_learner(table, &order, &l, NULL)));
    return l;
}

static void make_table(uint32_t answers, uint64_t bytes)
{
    const struct trp_feedback_opts opts = {
        .answers_max = answers, .bytes_max = bytes, .age_ns = TRP_S(60), .metrics = fx.metrics
    };
    assert_false(trp_failed(trp_feedback_create(trp_heap(), &opts, &table, NULL)));
    fx.opts.env.feedback = table;
}

static int set_up(void **state)
{
    (void)fixture_set_up(state);
    make_table(4, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)fixture_tear_down(state);
    trp_feedback_destroy(table);
    table = NULL;
    return 0;
}

static void keep(struct trp_learner *l, const char *id, int64_t now_ns)
{
    float right[] = { 1, 0 }, wrong[] = { 0, 1 };
    const struct troupe_tensor a = {
        .dtype = TROUPE_FP32, .rank = 2, .shape = { 1, 2 }, .data = right, .bytes = 8
    };
    struct troupe_tensor b = a;
    b.data = wrong;
    const struct trp_vote_member members[] = { { &a, 1 }, { &b, 1 } };
    const struct trp_vote_opts vote = { .kind = TRP_VOTE_SOFT };
    trp_feedback_keep(table, &(struct trp_feedback_answer){ .id = trp_str_of(id),
                                                            .learner = l,
                                                            .vote = &vote,
                                                            .members = members,
                                                            .members_n = 2,
                                                            .now_ns = now_ns });
}

/* What is answered, or the reason why not; valid until the next one. */
static const char *tell_of(const char *id, const char *model, int64_t label, int64_t now_ns)
{
    static char text[1024];
    static struct trp_error err;
    struct trp_buf b;
    struct trp_node node = { .kind = TRP_NODE_INT, .v.i = label };
    err = (struct trp_error){ 0 };
    trp_buf_init(&b, trp_heap(), 4096);
    const struct trp_feedback_outcome outcome = { trp_str_of(id), trp_str_of(model), &node,
                                                  now_ns };
    const trp_status st = trp_feedback_tell(table, &outcome, &b, &err);
    (void)snprintf(text, sizeof text, "%.*s", (int)b.len, b.len ? b.ptr : "");
    trp_buf_deinit(&b);
    return trp_failed(st) ? err.text : text;
}

static const char *tell(const char *id, int64_t label)
{
    return tell_of(id, "", label, TRP_S(1));
}

static bool is_unknown(const char *said)
{
    return strncmp(said, "nothing is kept of request", 26) == 0;
}

static void an_outcome_is_learned_from_once(void **state)
{
    (void)state;
    struct trp_learner *l = learner_named("e");
    keep(l, "17", TRP_S(1));
    assert_int_equal(fixture_metric(TRP_METRIC_FEEDBACK_WAITING), 1);
    assert_true(fixture_metric(TRP_METRIC_FEEDBACK_HELD) > 0);
    assert_true(is_unknown(tell("18", 0)));
    assert_string_equal(tell("17", 2), "'e': label: 2 is none of 0 to 1");
    assert_non_null(strstr(tell("17", 0), "[{\"model\":\"e\",\"learned\":{\"outcomes\":1,"));
    assert_true(trp_learner_weight(l, 0) > 1.4 && trp_learner_weight(l, 1) < 0.6);
    assert_true(is_unknown(tell("17", 0)));
    assert_int_equal(fixture_metric(TRP_METRIC_FEEDBACK_LEARNED), 1);
    assert_int_equal(fixture_metric(TRP_METRIC_FEEDBACK_UNKNOWN), 2);
    assert_int_equal(fixture_metric(TRP_METRIC_FEEDBACK_REFUSED), 1);
    assert_int_equal(fixture_metric(TRP_METRIC_FEEDBACK_WAITING), 0);
    assert_int_equal(fixture_metric(TRP_METRIC_FEEDBACK_HELD), 0);
    trp_learner_unref(l);
}

static void the_oldest_go_when_there_are_too_many(void **state)
{
    (void)state;
    struct trp_learner *l = learner_named("e");
    char id[] = "0";
    for (int i = 0; i < 6; i++, id[0]++)
        keep(l, id, TRP_S(1));
    assert_true(is_unknown(tell("0", 0)));
    assert_true(is_unknown(tell("1", 0)));
    for (id[0] = '2'; id[0] < '6'; id[0]++)
        assert_false(is_unknown(tell(id, 0)));
    assert_int_equal(fixture_metric(TRP_METRIC_FEEDBACK_FULL), 2);
    trp_learner_unref(l);
}

static void the_oldest_go_when_there_are_too_many_bytes(void **state)
{
    (void)state;
    trp_feedback_destroy(table);
    make_table(1000, 400); /* two of them */
    struct trp_learner *l = learner_named("e");
    keep(l, "1", TRP_S(1));
    keep(l, "2", TRP_S(1));
    keep(l, "3", TRP_S(1));
    assert_true(fixture_metric(TRP_METRIC_FEEDBACK_HELD) <= 400);
    assert_true(fixture_metric(TRP_METRIC_FEEDBACK_FULL) > 0);
    assert_true(is_unknown(tell("1", 0)));
    assert_false(is_unknown(tell("3", 0)));
    trp_learner_unref(l);
}

static void what_is_too_old_is_forgotten(void **state)
{
    (void)state;
    struct trp_learner *l = learner_named("e");
    keep(l, "1", TRP_S(1));
    keep(l, "2", TRP_S(31));
    assert_true(is_unknown(tell_of("1", "", 0, TRP_S(62))));
    assert_false(is_unknown(tell_of("2", "", 0, TRP_S(62))));
    assert_int_equal(fixture_metric(TRP_METRIC_FEEDBACK_OLD), 1);
    trp_learner_unref(l);
}

static void many_that_are_too_old_go_in_several_strokes(void **state)
{
    (void)state;
    char id[8];
    trp_feedback_destroy(table);
    make_table(1000, 1 << 20);
    struct trp_learner *l = learner_named("e");
    for (int i = 0; i < 100; i++) {
        (void)snprintf(id, sizeof id, "%d", i);
        keep(l, id, TRP_S(1));
    }
    keep(l, "new", TRP_S(50));
    assert_true(is_unknown(tell_of("99", "", 0, TRP_S(62)))); /* it is there still, and too old */
    const uint64_t dropped = (uint64_t)fixture_metric(TRP_METRIC_FEEDBACK_OLD);
    assert_true(dropped > 0 && dropped < 99);
    for (int i = 0; i < 10; i++) {
        (void)snprintf(id, sizeof id, "n%d", i);
        keep(l, id, TRP_S(62));
    }
    assert_int_equal(fixture_metric(TRP_METRIC_FEEDBACK_OLD), 100);
    assert_int_equal(fixture_metric(TRP_METRIC_FEEDBACK_WAITING), 11);
    assert_false(is_unknown(tell_of("new", "", 0, TRP_S(62))));
    trp_learner_unref(l);
}

static void the_same_id_again_is_the_newer_one(void **state)
{
    (void)state;
    struct trp_learner *l = learner_named("e"), *other = learner_named("f");
    keep(l, "1", TRP_S(1));
    keep(other, "1", TRP_S(1));
    keep(l, "1", TRP_S(1));
    assert_int_equal(fixture_metric(TRP_METRIC_FEEDBACK_TWICE), 1);
    assert_int_equal(fixture_metric(TRP_METRIC_FEEDBACK_WAITING), 2);
    keep(other, "1", TRP_S(1)); /* behind the first */
    assert_int_equal(fixture_metric(TRP_METRIC_FEEDBACK_WAITING), 2);
    assert_string_equal(tell_of("1", "g", 0, TRP_S(1)),
                        "'g' has not answered request '1', or does not learn: what is kept of it "
                        "is the answer of 'f', 'e', which `model` may name");
    assert_non_null(strstr(tell_of("1", "e", 0, TRP_S(1)), "\"e\""));
    assert_non_null(strstr(tell("1", 0), "\"f\""));
    trp_learner_unref(other);
    trp_learner_unref(l);
}

static void one_outcome_teaches_all_who_answered(void **state)
{
    (void)state;
    struct trp_learner *l = learner_named("e"), *other = learner_named("f");
    keep(l, "1", TRP_S(1));
    keep(other, "1", TRP_S(1));
    assert_true(is_unknown(tell("2", 0)));
    const char *said = tell("1", 1);
    assert_non_null(strstr(said, "{\"model\":\"e\""));
    assert_non_null(strstr(said, "{\"model\":\"f\""));
    assert_true(trp_learner_weight(l, 1) > 1 && trp_learner_weight(other, 1) > 1);
    trp_learner_unref(other);
    trp_learner_unref(l);
}

static void what_nobody_can_name_is_not_kept(void **state)
{
    (void)state;
    char long_id[TRP_FEEDBACK_ID_MAX + 2];
    struct trp_learner *l = learner_named("e");
    memset(long_id, 'x', sizeof long_id);
    long_id[sizeof long_id - 1] = '\0';
    keep(l, "", TRP_S(1));
    keep(l, long_id, TRP_S(1));
    assert_int_equal(fixture_metric(TRP_METRIC_FEEDBACK_WAITING), 0);
    assert_int_equal(fixture_metric(TRP_METRIC_FEEDBACK_LARGE), 1);
    trp_feedback_destroy(table); /* it may go first: it holds a reference of its own only */
    make_table(0, 0);
    keep(l, "1", TRP_S(1));
    assert_int_equal(fixture_metric(TRP_METRIC_FEEDBACK_WAITING), 0);
    trp_learner_unref(l);
}

static void learners_that_nobody_holds_are_let_go(void **state)
{
    (void)state;
    struct trp_learner *l = learner_named("e"), *same = learner_named("e");
    assert_ptr_equal(l, same);
    keep(l, "1", TRP_S(1));
    assert_false(is_unknown(tell("1", 0)));
    const double learned = trp_learner_weight(l, 0);
    trp_learner_unref(same);
    trp_learner_unref(l);
    l = learner_named("e"); /* nobody has asked for another one meanwhile */
    assert_true(trp_learner_weight(l, 0) == learned);
    trp_learner_unref(l);
    trp_learner_unref(learner_named("f"));
    l = learner_named("e");
    assert_true(trp_learner_weight(l, 0) == 1);
    trp_learner_unref(l);
}

/* ---- ensembles ---- */

static float label_y[] = { 0, 1, 0 };

static void ask(const char *id, float *input)
{
    struct trp_call *call = fixture_start("both", input, 1);
    call->id = trp_str_of(id); /* steps are asked in later turns */
    (void)call;
}

static void an_ensemble_listens_to_who_is_right(void **state)
{
    (void)state;
    static const char yaml[] =
        "ensembles: { both: { members: { zero: 1, one: 1 }, vote: soft, learn: { rate: 1 } } }";
    add_fake("zero", 0);
    add_fake("one", 1);
    fixture_serve(yaml);
    for (int i = 0; i < 5; i++) {
        ask("r", label_y);
        fixture_turns(20);
        assert_int_equal(fx.answered_n, 1);
        if (i == 0)
            fixture_expect(fx.call, (const float[]){ 0, 0.5F, 0 }, 3);
        else
            assert_true(((const float *)fx.call->outputs[0].tensor.data)[1] > 0.7F);
        fixture_give_back();
        assert_non_null(strstr(tell("r", 1), "\"outcomes\":"));
    }
    /* It is read again: it goes on. */
    struct trp_cookbook *old = fx.book;
    assert_false(trp_failed(trp_cookbook_create(&fx.opts, &fx.book, &fx.err)));
    fixture_serve(yaml);
    trp_cookbook_destroy(old);
    struct trp_call *call = fixture_ask("both", label_y, 1);
    assert_true(((const float *)call->outputs[0].tensor.data)[1] > 0.98F);
    struct trp_learner *l = trp_composition_learner(call->target);
    assert_true(trp_learner_weight(l, 1) > 1.96);
    fixture_give_back();
    /* Written otherwise, it begins anew. */
    old = fx.book;
    assert_false(trp_failed(trp_cookbook_create(&fx.opts, &fx.book, &fx.err)));
    fixture_serve("ensembles: { both: { members: { zero: 1, one: 2 }, vote: soft, learn: true } }");
    trp_cookbook_destroy(old);
    call = fixture_ask("both", label_y, 1);
    fixture_expect(call, (const float[]){ 0, 2 / 3.0F, 0 }, 3);
    fixture_give_back();
    assert_int_equal(fake("zero")->asked_n, 7);
}

static void without_an_id_nothing_is_kept(void **state)
{
    (void)state;
    add_fake("one", 1);
    add_fake("two", 2);
    fixture_serve("ensembles: { both: { members: [one, two], vote: borda, learn: true } }");
    (void)fixture_ask("both", x, 1);
    fixture_give_back();
    assert_int_equal(fixture_metric(TRP_METRIC_FEEDBACK_WAITING), 0);
    ask("1", x);
    fixture_turns(20);
    fixture_give_back();
    assert_int_equal(fixture_metric(TRP_METRIC_FEEDBACK_WAITING), 1);
    assert_non_null(strstr(tell("1", 2), "\"losses\":{\"one\":0,\"two\":0}"));
}

static void what_cannot_learn_is_refused(void **state)
{
    (void)state;
    static const struct row {
        const char *yaml, *want;
    } rows[] = {
        { "ensembles: { e: { members: [one, two], vote: mean, learn: true } }",
          "routes.yaml:1: weights are learned for votes that an outcome can be compared with: "
          "soft, "
          "hard, borda, reciprocal_rank" },
        { "ensembles: { e: { members: [one, two], learn: { rat: 1 } } }",
          "routes.yaml:1: there is no key 'rat' here; did you mean 'rate'?" },
        { "ensembles: { e: { members: [one, two], learn: { rate: 0 } } }",
          "routes.yaml:1: 'rate' is a number from 1e-06 to 10" },
        { "ensembles: { e: { members: [one, two], learn: { floor: 0.6 } } }",
          "routes.yaml:1: 'floor' is a number from 0 to 0.5" },
        { "ensembles: { e: { members: [one, two], learn: often } }",
          "routes.yaml:1: 'learn' is true or false" },
    };
    add_fake("one", 1);
    add_fake("two", 2);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fx.err = (struct trp_error){ 0 };
        assert_true(trp_failed(fixture_read(rows[i].yaml)));
        assert_string_equal(fx.err.text, rows[i].want);
    }
    fx.err = (struct trp_error){ 0 };
    fixture_serve("ensembles: { e: { members: [one, two], vote: mean, learn: false } }");
}

/* ---- several threads ---- */

enum { ROUNDS = 2000 };

static void keep_much(void *user)
{
    char id[16];
    for (int i = 0; i < ROUNDS; i++) {
        (void)snprintf(id, sizeof id, "%d", i % 16);
        keep(user, id, TRP_S(1));
    }
}

static void tell_much(void *user)
{
    struct trp_node node = { .kind = TRP_NODE_INT };
    char id[16];
    (void)user;
    for (int i = 0; i < ROUNDS; i++) {
        struct trp_buf b;
        trp_buf_init(&b, trp_heap(), 4096);
        (void)snprintf(id, sizeof id, "%d", i % 16);
        const struct trp_feedback_outcome o = { trp_str_of(id), { 0 }, &node, TRP_S(1) };
        (void)trp_feedback_tell(table, &o, &b, NULL);
        trp_buf_deinit(&b);
    }
}

static void several_threads_keep_and_tell_at_once(void **state)
{
    (void)state;
    struct trp_thread threads[4] = { 0 };
    struct trp_learner *l = learner_named("e");
    assert_false(trp_failed(trp_thread_start(&threads[0], "keep", keep_much, l, NULL)));
    assert_false(trp_failed(trp_thread_start(&threads[1], "keep", keep_much, l, NULL)));
    assert_false(trp_failed(trp_thread_start(&threads[2], "tell", tell_much, NULL, NULL)));
    assert_false(trp_failed(trp_thread_start(&threads[3], "tell", tell_much, NULL, NULL)));
    for (int i = 0; i < 4; i++)
        trp_thread_join(&threads[i]);
    assert_true(fixture_metric(TRP_METRIC_FEEDBACK_WAITING) <= 4);
    assert_int_equal(
        fixture_metric(TRP_METRIC_FEEDBACK_LEARNED) + fixture_metric(TRP_METRIC_FEEDBACK_TWICE) +
            fixture_metric(TRP_METRIC_FEEDBACK_FULL) + fixture_metric(TRP_METRIC_FEEDBACK_WAITING),
        2 * ROUNDS);
    trp_learner_unref(l);
}

static void without_memory_the_answer_is_not_kept(void **state)
{
    (void)state;
    struct scarce s;
    trp_feedback_destroy(table);
    scarce_init(&s, UINT64_MAX);
    const struct trp_feedback_opts opts = {
        .answers_max = 100, .bytes_max = 1 << 20, .age_ns = TRP_S(60), .metrics = fx.metrics
    };
    assert_false(trp_failed(trp_feedback_create(&s.alloc, &opts, &table, NULL)));
    struct trp_learner *l = learner_named("e");
    trp_counter_set(&s.left, 0);
    keep(l, "1", TRP_S(1));
    trp_counter_set(&s.left, 1); /* for itself, not for its name in the table */
    keep(l, "1", TRP_S(1));
    assert_int_equal(fixture_metric(TRP_METRIC_FEEDBACK_NO_MEMORY), 2);
    assert_true(is_unknown(tell("1", 0)));
    trp_counter_set(&s.left, UINT64_MAX);
    keep(l, "1", TRP_S(1));
    assert_false(is_unknown(tell("1", 0)));
    trp_learner_unref(l);
    trp_feedback_destroy(table);
    table = NULL;
    assert_int_equal(trp_counter_get(&s.out), 0);
}

static void keep_numbered(struct trp_learner *l, int i)
{
    char id[32];
    (void)snprintf(id, sizeof id, "request %d", i);
    keep(l, id, TRP_S(1));
}

/* What the table says that it holds is what an account has, whatever comes and goes. */
static void its_bytes_are_those_of_its_account(void **state)
{
    (void)state;
    struct trp_account account;
    enum { BYTES = 40000, FIRST = 2048 }; /* the empty table, and one learner */
    trp_feedback_destroy(table);
    trp_account_init(&account, TRP_ACCOUNT_FEEDBACK, NULL, 0);
    const struct trp_feedback_opts opts = {
        .answers_max = 100000, .bytes_max = BYTES, .age_ns = TRP_S(60), .metrics = fx.metrics
    };
    assert_false(trp_failed(trp_feedback_create(&account.alloc, &opts, &table, NULL)));
    struct trp_learner *l = learner_named("e");
    const uint64_t empty = trp_counter_get(&account.bytes);
    assert_true(empty < FIRST);
    for (int i = 0; i < 1000; i++) {
        keep_numbered(l, i);
        const uint64_t held = fixture_metric(TRP_METRIC_FEEDBACK_HELD);
        assert_true(held <= BYTES);
        assert_true(trp_counter_get(&account.bytes) <= empty + held);
    }
    assert_true(fixture_metric(TRP_METRIC_FEEDBACK_FULL) > 0);
    assert_true(fixture_metric(TRP_METRIC_FEEDBACK_HELD) > BYTES / 2);
    assert_false(is_unknown(tell("request 999", 0)));
    assert_true(is_unknown(tell("request 0", 0)));
    trp_learner_unref(l);
    trp_feedback_destroy(table);
    table = NULL;
    trp_account_deinit(&account); /* nothing is left in it */
}

static void when_memory_is_short_the_oldest_go(void **state)
{
    (void)state;
    struct trp_account account;
    trp_feedback_destroy(table);
    trp_account_init(&account, TRP_ACCOUNT_FEEDBACK, NULL, 0);
    const struct trp_feedback_opts opts = {
        .answers_max = 1000, .bytes_max = 1 << 20, .age_ns = TRP_S(60), .metrics = fx.metrics
    };
    assert_false(trp_failed(trp_feedback_create(&account.alloc, &opts, &table, NULL)));
    struct trp_learner *l = learner_named("e");
    for (int i = 10; i < 90; i++)
        keep_numbered(l, i);
    account.limit = trp_counter_get(&account.bytes);
    keep_numbered(l, 90);
    assert_false(is_unknown(tell("request 90", 0)));
    assert_true(is_unknown(tell("request 10", 0)));
    assert_false(is_unknown(tell("request 89", 0))); /* not all of them */
    assert_true(fixture_metric(TRP_METRIC_FEEDBACK_NO_MEMORY) > 0);
    trp_learner_unref(l);
    trp_feedback_destroy(table);
    table = NULL;
    trp_account_deinit(&account);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_outcome_is_learned_from_once),
        TEST(the_oldest_go_when_there_are_too_many),
        TEST(the_oldest_go_when_there_are_too_many_bytes),
        TEST(what_is_too_old_is_forgotten),
        TEST(many_that_are_too_old_go_in_several_strokes),
        TEST(the_same_id_again_is_the_newer_one),
        TEST(one_outcome_teaches_all_who_answered),
        TEST(what_nobody_can_name_is_not_kept),
        TEST(learners_that_nobody_holds_are_let_go),
        TEST(an_ensemble_listens_to_who_is_right),
        TEST(without_an_id_nothing_is_kept),
        TEST(what_cannot_learn_is_refused),
        TEST(several_threads_keep_and_tell_at_once),
        TEST(without_memory_the_answer_is_not_kept),
        TEST(its_bytes_are_those_of_its_account),
        TEST(when_memory_is_short_the_oldest_go),
    };
    return cmocka_run_group_tests_name("feedback", tests, NULL, NULL);
}

/* Other versions take over unless that would break what is made of the model: then they are held
 * back, or forced. */
#include "cold_asking.h"

#define ECHO "input X FP32 [-1]\noutput Y FP32 [-1]\n"
#define OTHER "input Z FP32 [-1]\noutput Y FP32 [-1]\n"
#define ALL "version_policy: { all: {} }\n"

/* Something is made of m, and needs its input X: of the version `asks`. */
static struct made {
    int64_t asks;
    enum trp_code code; /* for what does not fit */
    uint32_t asked_n, versions_n;
} made;

static trp_status fits(void *user, const struct trp_proposal *p, const struct trp_proposal *now,
                       struct trp_error *err)
{
    const struct trp_signature *s;
    if (now) { /* what stood in the index did fit */
        assert_true(trp_str_is(now->model, "m"));
        assert_true(trp_proposal_look(now, 0, &s));
        assert_non_null(trp_signature_input(s, TRP_STR_LIT("X")));
    }
    assert_ptr_equal(user, &made);
    made.asked_n++;
    made.versions_n = p->versions_n;
    assert_true(trp_str_is(p->model, "m"));
    for (uint32_t i = 1; i < p->versions_n; i++)
        assert_true(p->versions[i - 1].number < p->versions[i].number);
    if (trp_proposal_look(p, made.asks, &s) && s && trp_signature_input(s, TRP_STR_LIT("X")))
        return trp_ok();
    return trp_fail(err, made.code, "routes.yaml:3: there is no X any more");
}

static int set_up_made(void **state)
{
    const int rc = set_up(state);
    struct fixture *f = *state;
    made = (struct made){ .code = TRP_FAILED_PRECONDITION };
    if (rc == 0) {
        f->opts.fits = fits;
        f->opts.fits_user = &made;
    }
    return rc;
}

static struct trp_member *m(struct fixture *f)
{
    return trp_member_get(f->life, TRP_STR_LIT("m"));
}

/* It serves, or is known without being loaded, and then its files are other ones. */
static void serve_first(struct fixture *f)
{
    put(f, "m/1/model.echo", ECHO);
    start(f);
}

static void show_first(struct fixture *f)
{
    put(f, "m/1/model.echo", ECHO);
    start_on_demand(f);
    pump(f, highest(f, "m")->has_signature);
}

static void find_second(struct fixture *f, const char *text)
{
    put(f, "m/2/model.echo", text);
    rescan(f);
}

/* A call for the newest is answered by the first. */
static void first_answers(struct fixture *f)
{
    struct question q;
    assert_true(ask_version(&q, "m", 0));
    pump(f, q.is_done);
    assert_int_equal(q.error.status.code, TRP_OK);
    assert_int_equal(q.answered_by, 1);
}

static void force(struct fixture *f)
{
    struct wish w = { .order = { .is_forced = true } };
    submit_load(f, &w, "m");
    check_order(f, &w, TRP_OK, "");
}

static void a_name_stands_for_a_number_a_label_or_the_newest(void **state)
{
    static const struct trp_signature one = { .inputs_n = 1 }, three = { .inputs_n = 3 };
    const struct trp_proposed_version versions[] = { { 1, &one }, { 2, NULL }, { 3, &three } };
    const struct trp_version_label labels[] = { { TRP_STR_LIT("stable"), 1 },
                                                { TRP_STR_LIT("gone"), 7 } };
    const struct trp_proposal p = {
        .versions = versions, .versions_n = 3, .labels = labels, .labels_n = 2
    };
    const struct trp_proposal none = { .versions_n = 0 };
    const struct trp_signature *s;
    (void)state;
    assert_true(trp_proposal_look(&p, 0, &s));
    assert_ptr_equal(s, &three);
    assert_true(trp_proposal_look(&p, 1, &s));
    assert_ptr_equal(s, &one);
    assert_true(trp_proposal_look(&p, 2, &s));
    assert_null(s);
    assert_true(trp_proposal_look(&p, trp_version_label_key(TRP_STR_LIT("stable")), &s));
    assert_ptr_equal(s, &one);
    assert_false(trp_proposal_look(&p, trp_version_label_key(TRP_STR_LIT("gone")), &s));
    assert_false(trp_proposal_look(&p, trp_version_label_key(TRP_STR_LIT("never")), &s));
    assert_false(trp_proposal_look(&p, 4, &s));
    assert_false(trp_proposal_look(&none, 0, &s));
    assert_null(s);
}

static void what_does_not_fit_is_held_back_until_it_is_forced(void **state)
{
    struct fixture *f = *state;
    serve_first(f);
    assert_int_equal(made.asked_n, 1);
    put(f, "m/2/model.echo", OTHER);
    load(f, "m", TRP_INVALID_ARGUMENT, "held back: routes.yaml:3: there is no X any more");
    assert_true(is(f, "m", "READY"));
    assert_int_equal(highest(f, "m")->target.version, 1);
    assert_non_null(strstr(entry(f, "m")->reason, "held back: routes.yaml:3"));
    assert_int_equal(metric(f, TRP_METRIC_LOADS_HELD), 1);
    assert_true(log_says(f, "'m' stays as it is, unless it is forced: held back: routes.yaml:3"));
    assert_int_equal(m(f)->retry_ns, 0); /* only other files would help, or other routes */
    force(f);
    assert_int_equal(highest(f, "m")->target.version, 2);
    assert_int_equal(metric(f, TRP_METRIC_LOADS_HELD), 1);
    assert_true(log_says(f, "because it is forced, and breaks what is made of it: routes.yaml:3"));
    assert_null(entry(f, "m")->reason);
}

static void where_nothing_serves_nothing_is_held_back(void **state)
{
    struct fixture *f = *state;
    put(f, "m/1/model.echo", OTHER);
    start(f);
    assert_true(is(f, "m", "READY"));
    assert_int_equal(made.asked_n, 1);
    assert_int_equal(metric(f, TRP_METRIC_LOADS_HELD), 0);
    assert_false(
        log_says(f, "breaks what is made of it")); /* whoever asks it finds out, and says so */
}

static void what_was_held_back_is_looked_at_again_when_routes_have_changed(void **state)
{
    struct fixture *f = *state;
    serve_first(f);
    trp_life_reconsider(f->life); /* there is nothing to look at */
    find_second(f, OTHER);
    pump(f, entry(f, "m")->reason && !m(f)->op);
    trp_life_reconsider(f->life); /* what is made of it is as it was */
    pump(f, metric(f, TRP_METRIC_LOADS_HELD) == 2 && !m(f)->op);
    assert_int_equal(highest(f, "m")->target.version, 1);
    f->life->opts.fits = NULL;
    trp_life_reconsider(f->life);
    pump(f, highest(f, "m")->target.version == 2 && !m(f)->op);
    assert_null(entry(f, "m")->reason);
}

static void the_version_that_is_asked_does_not_leave(void **state)
{
    struct fixture *f = *state;
    made.asks = 1;
    serve_first(f);
    put(f, "m/2/model.echo", ECHO);
    load(f, "m", TRP_INVALID_ARGUMENT, "held back");
    assert_int_equal(made.versions_n, 1);
    assert_int_equal(highest(f, "m")->target.version, 1);
    put(f, "m/model.yaml", ALL);
    load(f, "m", TRP_OK, "");
    assert_int_equal(made.versions_n, 2);
    assert_int_equal(entry(f, "m")->versions_n, 2);
}

static void move(struct fixture *f, int64_t version, bool is_forced, int32_t code)
{
    const struct trp_version_label label = { TRP_STR_LIT("stable"), version };
    struct wish w = { .order = { .kind = TRP_ORDER_LABEL,
                                 .model = TRP_STR_LIT("m"),
                                 .labels = &label,
                                 .labels_n = 1,
                                 .is_forced = is_forced,
                                 .done = note_done } };
    trp_life_submit(f->life, &w.order);
    check_order(f, &w, code, code ? "held back: routes.yaml:3" : "");
}

static void a_label_stays_where_it_is_asked(void **state)
{
    struct fixture *f = *state;
    made.asks = trp_version_label_key(TRP_STR_LIT("stable"));
    put(f, "m/1/model.echo", ECHO);
    put(f, "m/2/model.echo", OTHER);
    put(f, "m/model.yaml", ALL "labels: { stable: 1 }\n");
    start(f);
    move(f, 2, false, TRP_FAILED_PRECONDITION);
    assert_int_equal(entry(f, "m")->labels[0].version, 1);
    move(f, 0, false, TRP_FAILED_PRECONDITION);
    assert_int_equal(entry(f, "m")->labels_n, 1);
    move(f, 1, false, TRP_OK);
    move(f, 2, true, TRP_OK);
    assert_int_equal(entry(f, "m")->labels[0].version, 2);
}

static void without_memory_to_ask_a_load_fails_and_nothing_is_held_back(void **state)
{
    struct fixture *f = *state;
    serve_first(f);
    made.code = TRP_OUT_OF_MEMORY;
    put(f, "m/2/model.echo", OTHER);
    load(f, "m", TRP_OUT_OF_MEMORY, "");
    assert_int_equal(highest(f, "m")->target.version, 1);
    assert_int_equal(metric(f, TRP_METRIC_LOADS_HELD), 0);
    assert_int_not_equal(m(f)->retry_ns, 0); /* memory may be there the next time */
    made.code = TRP_FAILED_PRECONDITION;
    force(f);
    assert_int_equal(highest(f, "m")->target.version, 2);
}

/* It goes from memory beside the one that is held back, and comes back as it was. */
static void what_served_comes_back_when_somebody_asks(void **state)
{
    struct fixture *f = *state;
    put(f, "m/1/model.echo", ECHO);
    start_on_demand(f);
    first_answers(f);
    find_second(f, OTHER);
    pump(f, entry(f, "m")->reason && !m(f)->op);
    assert_true(trp_member_evict(m(f), "a test wants it"));
    pump(f, is(f, "m", "NEW"));
    first_answers(f);
    assert_non_null(strstr(entry(f, "m")->reason, "held back"));
}

/* Found by the look at its files: nobody has to ask first. */
static void what_is_not_loaded_is_held_back_as_well(void **state)
{
    struct fixture *f = *state;
    show_first(f);
    find_second(f, OTHER);
    pump(f, entry(f, "m")->reason && highest(f, "m")->target.version == 1);
    assert_non_null(strstr(entry(f, "m")->reason, "held back: routes.yaml:3"));
    assert_int_equal(metric(f, TRP_METRIC_LOADS_HELD), 1);
    assert_true(is(f, "m", "NEW"));
    assert_true(highest(f, "m")->has_signature);
    first_answers(f);
    assert_non_null(strstr(entry(f, "m")->reason, "held back"));
    force(f);
    assert_int_equal(highest(f, "m")->target.version, 2);
    assert_int_equal(m(f)->older.n, 0);
}

static void what_fits_is_shown_and_forgets_what_was_before(void **state)
{
    struct fixture *f = *state;
    show_first(f);
    find_second(f, ECHO);
    pump(f, highest(f, "m")->target.version == 2 && highest(f, "m")->has_signature);
    pump(f, m(f)->before.n == 0);
    assert_int_equal(metric(f, TRP_METRIC_LOADS_HELD), 0);
}

/* Nothing could load what was there before: to hold on to it would leave nothing. */
static void what_is_gone_is_not_held_on_to(void **state)
{
    struct fixture *f = *state;
    show_first(f);
    put(f, "m/2/model.echo", OTHER);
    take_away(f, "m/1");
    rescan(f);
    pump(f, log_says(f, "'m' is taken up, and breaks what is made of it: routes.yaml:3"));
    assert_int_equal(highest(f, "m")->target.version, 2);
    assert_int_equal(m(f)->before.n, 0);
    put(f, "m/2/model.echo", OTHER "\n"); /* in the place of itself */
    rescan(f);
    pump(f, highest(f, "m")->has_signature && m(f)->surveys_n == 0);
    assert_int_equal(metric(f, TRP_METRIC_LOADS_HELD), 0);
}

/* The call comes before anybody has looked. */
static void a_call_that_finds_it_first_gets_what_was_there_before(void **state)
{
    struct fixture *f = *state;
    show_first(f);
    find_second(f, OTHER);
    first_answers(f);
    assert_non_null(strstr(entry(f, "m")->reason, "held back"));
    assert_int_equal(m(f)->before.n, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_made, end_asking)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_stands_for_a_number_a_label_or_the_newest),
        TEST(what_does_not_fit_is_held_back_until_it_is_forced),
        TEST(where_nothing_serves_nothing_is_held_back),
        TEST(what_was_held_back_is_looked_at_again_when_routes_have_changed),
        TEST(the_version_that_is_asked_does_not_leave),
        TEST(a_label_stays_where_it_is_asked),
        TEST(without_memory_to_ask_a_load_fails_and_nothing_is_held_back),
        TEST(what_served_comes_back_when_somebody_asks),
        TEST(what_is_not_loaded_is_held_back_as_well),
        TEST(what_fits_is_shown_and_forgets_what_was_before),
        TEST(what_is_gone_is_not_held_on_to),
        TEST(a_call_that_finds_it_first_gets_what_was_there_before),
    };
    return cmocka_run_group_tests_name("proposal", tests, NULL, NULL);
}

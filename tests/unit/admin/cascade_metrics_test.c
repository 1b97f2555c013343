/* How often the steps of cascades were needed, who was missing in which ensemble, whom it listens
 * to: whole cascades and ensembles only, however many there are. */
#include "unit/compose/compose_fixture.h"

#include "admin/admin_internal.h"
#include "unit/admin/page_lines.h"

static struct trp_buf page;
static struct trp_feedback *table;

static int set_up(void **state)
{
    const struct trp_feedback_opts feedback = { .answers_max = 4, .bytes_max = 1 << 20 };
    (void)fixture_set_up(state);
    assert_false(trp_failed(trp_feedback_create(trp_heap(), &feedback, &table, NULL)));
    fx.opts.env.feedback = table;
    add_fake("small", 1);
    add_fake("large", 2);
    trp_buf_init(&page, trp_heap(), 16 << 20);
    return 0;
}

static int tear_down(void **state)
{
    trp_buf_deinit(&page);
    (void)fixture_tear_down(state);
    trp_feedback_destroy(table);
    return 0;
}

/* As Prometheus sees it, a text. */
static const char *read_page(void)
{
    struct trp_directory_item items[400];
    struct trp_directory *d;
    const uint32_t n = trp_cookbook_count(fx.book);
    assert_in_range(n, 0, ARRAY_LEN(items));
    for (uint32_t i = 0; i < n; i++) {
        struct trp_target *t = trp_composition_target(trp_cookbook_at(fx.book, i));
        items[i] = (struct trp_directory_item){ .name = t->name,
                                                .kind = "cascade",
                                                .target = t,
                                                .retain = trp_composition_retain,
                                                .release = trp_composition_release };
    }
    assert_false(
        trp_failed(trp_directory_build(trp_heap(), items, n, (struct trp_str){ "", 0 }, &d, NULL)));
    trp_buf_reset(&page);
    trp_learner_metrics_write(d, &page);
    trp_cascade_metrics_write(d, &page);
    trp_ensemble_metrics_write(d, &page);
    trp_buf_add_char(&page, '\0');
    assert_int_equal(page.failed, TRP_OK);
    trp_directory_unref(d);
    return page.ptr;
}

static void each_step_has_its_series(void **state)
{
    static float x[] = { 0.4F, 0.35F, 0.25F };
    (void)state;
    fixture_serve("cascades: { c: { steps: [small, large], threshold: 0.9 } }");
    (void)fixture_ask("c", x, 1);
    fixture_give_back();
    const char *text = read_page();
    assert_non_null(strstr(text, "troupe_cascade_rows_total{cascade=\"c\",step=\"small\"} 1\n"));
    assert_non_null(strstr(text, "troupe_cascade_rows_total{cascade=\"c\",step=\"large\"} 1\n"));
    assert_non_null(strstr(text, "\ntroupe_cascade_metrics_left_out 0\n"));
}

static void without_a_cascade_there_is_nothing(void **state)
{
    (void)state;
    fixture_serve("ensembles: { e: { members: [small, large], vote: mean } }");
    assert_string_equal(read_page(), "");
}

static void too_many_are_left_out_whole_and_counted(void **state)
{
    enum { CASCADES = 340, STEPS = 60, WHOLE = 20000 / STEPS };
    static char yaml[CASCADES * (STEPS * 10 + 64)];
    size_t len = (size_t)snprintf(yaml, sizeof yaml, "cascades:\n");
    (void)state;
    for (int i = 0; i < CASCADES; i++) {
        len +=
            (size_t)snprintf(yaml + len, sizeof yaml - len, "  c%d: { threshold: 0.9, steps: [", i);
        for (int k = 1; k <= STEPS; k++)
            len += (size_t)snprintf(yaml + len, sizeof yaml - len, "small@%d,", k);
        len += (size_t)snprintf(yaml + len, sizeof yaml - len, "] }\n");
    }
    fixture_serve(yaml);
    const char *text = read_page();
    assert_int_equal(count_of(text, "troupe_cascade_rows_total{"), WHOLE * STEPS);
    assert_int_equal(count_of(text, "\"c332\""), STEPS);
    assert_null(strstr(text, "\"c333\""));
    char want[64];
    (void)snprintf(want, sizeof want, "\ntroupe_cascade_metrics_left_out %d\n", CASCADES - WHOLE);
    assert_non_null(strstr(text, want));
}

static void who_was_missing_in_which_ensemble_is_told(void **state)
{
    static float x[] = { 0.4F, 0.35F, 0.25F };
    (void)state;
    fixture_serve("ensembles: { e: { members: [small, large], vote: mean, quorum: 1, deadline: 1s "
                  "} }");
    (void)fixture_ask("e", x, 1);
    fixture_give_back();
    assert_non_null(strstr(read_page(), "\ntroupe_ensemble_partial_total{ensemble=\"e\"} 0\n"));
    fake("large")->way = FAKE_FAILS;
    (void)fixture_ask("e", x, 1);
    fixture_give_back();
    const char *text = read_page();
    assert_non_null(strstr(text, "\ntroupe_ensemble_partial_total{ensemble=\"e\"} 1\n"));
    assert_non_null(
        strstr(text, "troupe_ensemble_missing_total{ensemble=\"e\",member=\"small\"} 0\n"));
    assert_non_null(
        strstr(text, "troupe_ensemble_missing_total{ensemble=\"e\",member=\"large\"} 1\n"));
    assert_non_null(strstr(text, "\ntroupe_ensemble_metrics_left_out 0\n"));
}

static const char *const lines[] = {
    "# HELP troupe_ensemble_weight What a member of an ensemble that learns weighs now, by "
    "ensemble and member.",
    "# TYPE troupe_ensemble_weight gauge",
    "troupe_ensemble_weight{ensemble=\"l\",member=\"small\"} 1",
    "troupe_ensemble_weight{ensemble=\"l\",member=\"large\"} 3",
    "# HELP troupe_ensemble_outcomes_total Outcomes that an ensemble has learned from since it was "
    "written as it is.",
    "# TYPE troupe_ensemble_outcomes_total counter",
    "troupe_ensemble_outcomes_total{ensemble=\"l\"} 0",
    "# HELP troupe_cascade_rows_total Rows that a step of a cascade was asked about, by cascade "
    "and step; it answered those that the next step was not asked about.",
    "# TYPE troupe_cascade_rows_total counter",
    "troupe_cascade_rows_total{cascade=\"c\",step=\"small\"} 0",
    "troupe_cascade_rows_total{cascade=\"c\",step=\"large\"} 0",
    "# HELP troupe_cascade_metrics_left_out Cascades without series of their own here: there are "
    "too many steps.",
    "# TYPE troupe_cascade_metrics_left_out gauge",
    "troupe_cascade_metrics_left_out 0",
    "# HELP troupe_ensemble_partial_total Answers of an ensemble without some of its members.",
    "# TYPE troupe_ensemble_partial_total counter",
    "troupe_ensemble_partial_total{ensemble=\"e\"} 0",
    "troupe_ensemble_partial_total{ensemble=\"f\"} 0",
    "# HELP troupe_ensemble_missing_total Answers of an ensemble without a member, by ensemble and "
    "member.",
    "# TYPE troupe_ensemble_missing_total counter",
    "troupe_ensemble_missing_total{ensemble=\"e\",member=\"small\"} 0",
    "troupe_ensemble_missing_total{ensemble=\"e\",member=\"large\"} 0",
    "troupe_ensemble_missing_total{ensemble=\"f\",member=\"large\"} 0",
    "troupe_ensemble_missing_total{ensemble=\"f\",member=\"small\"} 0",
    "# HELP troupe_ensemble_metrics_left_out Ensembles without these series here: there are too "
    "many members.",
    "# TYPE troupe_ensemble_metrics_left_out gauge",
    "troupe_ensemble_metrics_left_out 0",
};

static void the_page_of_all_kinds_is_this(void **state)
{
    (void)state;
    fixture_serve("cascades: { c: { steps: [small, large], threshold: 0.9 } }\n"
                  "ensembles:\n"
                  "  e: { members: [small, large], vote: mean, quorum: 1, deadline: 1s }\n"
                  "  l: { members: { small: 1, large: 3 }, vote: soft, learn: true }\n"
                  "  all: { members: [small, large], vote: mean }\n"
                  "  f: { members: [large, small], vote: mean, quorum: 1, deadline: 1s }\n");
    expect_lines(read_page(), lines, ARRAY_LEN(lines));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_step_has_its_series),
        TEST(without_a_cascade_there_is_nothing),
        TEST(who_was_missing_in_which_ensemble_is_told),
        TEST(too_many_are_left_out_whole_and_counted),
        TEST(the_page_of_all_kinds_is_this),
    };
    return cmocka_run_group_tests_name("cascade_metrics", tests, NULL, NULL);
}

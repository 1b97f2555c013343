/* What routes have decided, as a page of metrics tells it: whole routes only, however many there
 * are. */
#include "unit/route/routes.h"

#include "admin/admin_internal.h"
#include "unit/admin/page_lines.h"

static struct trp_buf page;

static int set_up(void **state)
{
    trp_buf_init(&page, trp_heap(), 16 << 20);
    return routes_set_up(state);
}

static int tear_down(void **state)
{
    trp_buf_deinit(&page);
    return routes_tear_down(state);
}

/* As Prometheus sees it, a text; among the routes stands a name that nothing answers. */
static const char *read_page(const struct routes *r)
{
    const uint32_t n = r->file ? trp_route_file_count(r->file) : 0;
    struct trp_directory_item *items = trp_alloc_zeroed(trp_heap(), n + 1, sizeof *items);
    struct trp_directory *d;
    assert_non_null(items);
    items[0] = (struct trp_directory_item){ .name = TRP_STR_LIT("broken"),
                                            .kind = "pipeline",
                                            .reason = TRP_STR_LIT("it is wrong") };
    for (uint32_t i = 0; i < n; i++)
        items[i + 1] = trp_route_item(trp_route_file_at(r->file, i));
    assert_false(trp_failed(
        trp_directory_build(trp_heap(), items, n + 1, (struct trp_str){ "", 0 }, &d, NULL)));
    trp_alloc_free(trp_heap(), items);
    trp_buf_reset(&page);
    trp_route_metrics_write(d, r->now_ns, &page);
    trp_buf_add_char(&page, '\0');
    assert_int_equal(page.failed, TRP_OK);
    trp_directory_unref(d);
    return page.ptr;
}

static const char *const lines[] = {
    "# HELP troupe_route_matched_total Requests that a rule of a route decided.",
    "# TYPE troupe_route_matched_total counter",
    "troupe_route_matched_total{route=\"plain\",rule=\"1\"} 2",
    "troupe_route_matched_total{route=\"whole\",rule=\"new\"} 0",
    "troupe_route_matched_total{route=\"whole\",rule=\"2\"} 0",
    "# HELP troupe_route_unknown_total Requests for which nobody could tell whether a rule holds.",
    "# TYPE troupe_route_unknown_total counter",
    "troupe_route_unknown_total{route=\"plain\",rule=\"1\"} 0",
    "troupe_route_unknown_total{route=\"whole\",rule=\"new\"} 0",
    "troupe_route_unknown_total{route=\"whole\",rule=\"2\"} 0",
    "# HELP troupe_route_fallbacks_total Attempts at a target that stands in for another, by rule.",
    "# TYPE troupe_route_fallbacks_total counter",
    "troupe_route_fallbacks_total{route=\"plain\",rule=\"1\"} 0",
    "troupe_route_fallbacks_total{route=\"whole\",rule=\"new\"} 0",
    "troupe_route_fallbacks_total{route=\"whole\",rule=\"2\"} 0",
    "# HELP troupe_route_timeouts_total Attempts that took longer than their rule gives them.",
    "# TYPE troupe_route_timeouts_total counter",
    "troupe_route_timeouts_total{route=\"plain\",rule=\"1\"} 0",
    "troupe_route_timeouts_total{route=\"whole\",rule=\"new\"} 0",
    "troupe_route_timeouts_total{route=\"whole\",rule=\"2\"} 0",
    "# HELP troupe_route_canary_step The step that the canary of a rule is at, from 1; 0: it gets "
    "nothing.",
    "# TYPE troupe_route_canary_step gauge",
    "troupe_route_canary_step{route=\"whole\",rule=\"2\"} 0",
    "# HELP troupe_route_canary_share The part of its rule's requests that the canary gets, 0 to "
    "1.",
    "# TYPE troupe_route_canary_share gauge",
    "troupe_route_canary_share{route=\"whole\",rule=\"2\"} 0",
    "# HELP troupe_route_canary_rolled_back 1: the canary of a rule did worse, and was taken back.",
    "# TYPE troupe_route_canary_rolled_back gauge",
    "troupe_route_canary_rolled_back{route=\"whole\",rule=\"2\"} 0",
    "# HELP troupe_route_hedges_total Requests that were sent a second time, because the answer "
    "was late.",
    "# TYPE troupe_route_hedges_total counter",
    "troupe_route_hedges_total{route=\"whole\",rule=\"new\"} 0",
    "# HELP troupe_route_hedges_won_total Of these, those that answered first.",
    "# TYPE troupe_route_hedges_won_total counter",
    "troupe_route_hedges_won_total{route=\"whole\",rule=\"new\"} 0",
    "# HELP troupe_route_canary_calls_total Answers and failures of the canary of a rule, as its "
    "first choice.",
    "# TYPE troupe_route_canary_calls_total counter",
    "troupe_route_canary_calls_total{route=\"whole\",rule=\"2\"} 0",
    "# HELP troupe_route_canary_failures_total Of these, failures.",
    "# TYPE troupe_route_canary_failures_total counter",
    "troupe_route_canary_failures_total{route=\"whole\",rule=\"2\"} 0",
    "# HELP troupe_route_shadows_compared_total Answers of the shadow of a rule that were compared "
    "with the one that the client got.",
    "# TYPE troupe_route_shadows_compared_total counter",
    "troupe_route_shadows_compared_total{route=\"whole\",rule=\"2\"} 0",
    "# HELP troupe_route_shadows_failed_total Shadows of a rule that had no answer.",
    "# TYPE troupe_route_shadows_failed_total counter",
    "troupe_route_shadows_failed_total{route=\"whole\",rule=\"2\"} 0",
    "# HELP troupe_route_shadows_dropped_total Shadows of a rule that were given up, for lack of a "
    "place or of time.",
    "# TYPE troupe_route_shadows_dropped_total counter",
    "troupe_route_shadows_dropped_total{route=\"whole\",rule=\"2\"} 0",
    "# HELP troupe_route_shadow_rows_total Rows of the outputs that were compared with a shadow's.",
    "# TYPE troupe_route_shadow_rows_total counter",
    "troupe_route_shadow_rows_total{route=\"whole\",rule=\"2\"} 0",
    "# HELP troupe_route_shadow_rows_agreeing_total Of these, rows that agree.",
    "# TYPE troupe_route_shadow_rows_agreeing_total counter",
    "troupe_route_shadow_rows_agreeing_total{route=\"whole\",rule=\"2\"} 0",
    "# HELP troupe_route_asked_total Attempts at a target of a route.",
    "# TYPE troupe_route_asked_total counter",
    "troupe_route_asked_total{route=\"plain\",target=\"a\"} 2",
    "troupe_route_asked_total{route=\"whole\",target=\"a\"} 0",
    "troupe_route_asked_total{route=\"whole\",target=\"b\"} 0",
    "troupe_route_asked_total{route=\"whole\",target=\"c\"} 0",
    "# HELP troupe_route_failed_total Attempts that their target failed, or that took longer than "
    "their rule or client lets them.",
    "# TYPE troupe_route_failed_total counter",
    "troupe_route_failed_total{route=\"plain\",target=\"a\"} 0",
    "troupe_route_failed_total{route=\"whole\",target=\"a\"} 0",
    "troupe_route_failed_total{route=\"whole\",target=\"b\"} 0",
    "troupe_route_failed_total{route=\"whole\",target=\"c\"} 0",
    "# HELP troupe_route_client_errors_total Attempts that were the client's own mistake; no "
    "failures of the target.",
    "# TYPE troupe_route_client_errors_total counter",
    "troupe_route_client_errors_total{route=\"plain\",target=\"a\"} 0",
    "troupe_route_client_errors_total{route=\"whole\",target=\"a\"} 0",
    "troupe_route_client_errors_total{route=\"whole\",target=\"b\"} 0",
    "troupe_route_client_errors_total{route=\"whole\",target=\"c\"} 0",
    "# HELP troupe_route_breaker_open 1: a target of a route is left alone for the moment.",
    "# TYPE troupe_route_breaker_open gauge",
    "troupe_route_breaker_open{route=\"plain\",target=\"a\"} 0",
    "troupe_route_breaker_open{route=\"whole\",target=\"a\"} 0",
    "troupe_route_breaker_open{route=\"whole\",target=\"b\"} 0",
    "troupe_route_breaker_open{route=\"whole\",target=\"c\"} 0",
    "# HELP troupe_route_breaker_opened_total Times that a target of a route began to be left "
    "alone.",
    "# TYPE troupe_route_breaker_opened_total counter",
    "troupe_route_breaker_opened_total{route=\"plain\",target=\"a\"} 0",
    "troupe_route_breaker_opened_total{route=\"whole\",target=\"a\"} 0",
    "troupe_route_breaker_opened_total{route=\"whole\",target=\"b\"} 0",
    "troupe_route_breaker_opened_total{route=\"whole\",target=\"c\"} 0",
    "# HELP troupe_route_breaker_refused_total Attempts that passed by a target of a route, "
    "because it is left alone.",
    "# TYPE troupe_route_breaker_refused_total counter",
    "troupe_route_breaker_refused_total{route=\"plain\",target=\"a\"} 0",
    "troupe_route_breaker_refused_total{route=\"whole\",target=\"a\"} 0",
    "troupe_route_breaker_refused_total{route=\"whole\",target=\"b\"} 0",
    "troupe_route_breaker_refused_total{route=\"whole\",target=\"c\"} 0",
    "# HELP troupe_route_metrics_left_out Routes without series of their own here: there are too "
    "many rules and targets.",
    "# TYPE troupe_route_metrics_left_out gauge",
    "troupe_route_metrics_left_out 0",
};

static void the_page_is_this(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes:\n"
                      "  plain: [ { use: a } ]\n"
                      "  whole:\n"
                      "    - { name: new, when: params.new == 1, use: a, fallback: b, hedge: { "
                      "after: 5ms, use: c } }\n"
                      "    - { use: a, canary: { use: b, steps: [25%, 100%], hold: 10s, answers: "
                      "40 }, shadow: { use: c, share: 50% } }\n");
    assert_int_equal(routes_ask(r, "plain"), TRP_OK);
    assert_int_equal(routes_ask(r, "plain"), TRP_OK);
    expect_lines(read_page(r), lines, ARRAY_LEN(lines));
}

static void without_a_route_only_none_is_left_out(void **state)
{
    assert_string_equal(
        read_page(*state),
        "# HELP troupe_route_metrics_left_out Routes without series of their own here: there are "
        "too many rules and targets.\n# TYPE troupe_route_metrics_left_out gauge\n"
        "troupe_route_metrics_left_out 0\n");
}

static void too_many_are_left_out_whole_and_counted(void **state)
{
    enum { ROUTES = 110, RULES = 199, WHOLE = 20000 / (RULES + 1) };
    static char yaml[ROUTES * (RULES * 40 + 64)];
    struct routes *r = *state;
    size_t len = (size_t)snprintf(yaml, sizeof yaml, "routes:\n");
    for (int i = 0; i < ROUTES; i++) {
        len += (size_t)snprintf(yaml + len, sizeof yaml - len, "  r%d: [", i);
        for (int k = 1; k < RULES; k++)
            len += (size_t)snprintf(yaml + len, sizeof yaml - len,
                                    "{ when: params.k == %d, use: a },", k);
        len += (size_t)snprintf(yaml + len, sizeof yaml - len, "{ use: a } ]\n");
    }
    routes_read_ok(r, yaml);
    const char *text = read_page(r);
    char want[64];
    assert_int_equal(count_of(text, "troupe_route_matched_total{"), WHOLE * RULES);
    assert_int_equal(count_of(text, "troupe_route_asked_total{"), WHOLE);
    (void)snprintf(want, sizeof want, "{route=\"r%d\",", WHOLE - 1);
    assert_int_equal(count_of(text, want), 4 * RULES + 6); /* of each rule, and of the target */
    (void)snprintf(want, sizeof want, "{route=\"r%d\",", WHOLE);
    assert_null(strstr(text, want));
    (void)snprintf(want, sizeof want, "\ntroupe_route_metrics_left_out %d\n", ROUTES - WHOLE);
    assert_non_null(strstr(text, want));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_page_is_this),
        TEST(without_a_route_only_none_is_left_out),
        TEST(too_many_are_left_out_whole_and_counted),
    };
    return cmocka_run_group_tests_name("route_metrics", tests, NULL, NULL);
}

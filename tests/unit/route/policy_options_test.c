/* Policies as people write them. */
#include "route/policy_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"

struct written {
    struct trp_arena arena;
    struct trp_error err;
    const struct trp_node *node, *at;
};

/* `text` is what stands behind the key. */
static void write_down(struct written *w, const char *text)
{
    struct trp_node *root;
    *w = (struct written){ 0 };
    trp_arena_init(&w->arena, trp_heap(), 4096, 1u << 20);
    const struct trp_str yaml = trp_arena_format(&w->arena, "it: %s\n", text);
    assert_non_null(yaml.ptr);
    assert_false(
        trp_failed(trp_node_from_yaml(&w->arena, yaml, "routes.yaml", 100, &root, &w->err)));
    w->node = trp_node_get(root, "it");
    assert_non_null(w->node);
}

static void is_near(double is, double should)
{
    if (is < should - 1e-9 || is > should + 1e-9)
        fail_msg("%g instead of %g", is, should);
}

static void breakers_are_read(void **state)
{
    (void)state;
    struct written w;
    struct trp_breaker_opts opts;
    bool is_on;
    write_down(&w, "{ errors: 25%, calls: 50, row: 0, window: 1m, pause: 500ms, pause_most: 2m, "
                   "probes: 7 }");
    assert_false(trp_failed(trp_policy_read_breaker(w.node, &opts, &is_on, &w.at, &w.err)));
    assert_true(is_on);
    is_near(opts.failure_share, 0.25);
    assert_int_equal(opts.calls_min, 50);
    assert_int_equal(opts.row_max, 0);
    assert_int_equal(opts.window_ns, TRP_S(60));
    assert_int_equal(opts.open_ns, TRP_MS(500));
    assert_int_equal(opts.open_max_ns, TRP_S(120));
    assert_int_equal(opts.probes, 7);
    trp_arena_deinit(&w.arena);
    write_down(&w, "{ row: 3 }");
    assert_false(trp_failed(trp_policy_read_breaker(w.node, &opts, &is_on, &w.at, &w.err)));
    assert_int_equal(opts.row_max, 3);
    assert_int_equal(opts.calls_min, TRP_BREAKER_OPTS_DEFAULT.calls_min);
    trp_arena_deinit(&w.arena);
    write_down(&w, "off");
    assert_false(trp_failed(trp_policy_read_breaker(w.node, &opts, &is_on, &w.at, &w.err)));
    assert_false(is_on);
    trp_arena_deinit(&w.arena);
}

static void budgets_are_read(void **state)
{
    (void)state;
    struct written w;
    struct trp_retry_budget_opts opts;
    write_down(&w, "20%");
    assert_false(trp_failed(trp_policy_read_budget(w.node, &opts, &w.at, &w.err)));
    is_near(opts.share, 0.2);
    is_near(opts.floor_per_s, 1);
    trp_arena_deinit(&w.arena);
    write_down(&w, "{ share: 0%, floor: 2.5, window: 30s }");
    assert_false(trp_failed(trp_policy_read_budget(w.node, &opts, &w.at, &w.err)));
    is_near(opts.share, 0);
    is_near(opts.floor_per_s, 2.5);
    assert_int_equal(opts.window_ns, TRP_S(30));
    trp_arena_deinit(&w.arena);
}

static void hedges_are_read(void **state)
{
    (void)state;
    static const struct row {
        const char *text;
        double quantile;
        int64_t least_ns;
    } rows[] = {
        { "p95", 0.95, TRP_MS(1) },
        { "p99.9", 0.999, TRP_MS(1) },
        { "90%", 0.9, TRP_MS(1) },
        { "20ms", 0, TRP_MS(20) },
        { "{ after: p90, least: 5ms }", 0.9, TRP_MS(5) },
        { "{ after: 30ms }", 0, TRP_MS(30) },
        { "{ least: 5ms, answers: 20 }", 0.95, TRP_MS(5) },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct written w;
        struct trp_hedge_opts opts;
        print_message("hedge: %s\n", r->text);
        write_down(&w, r->text);
        assert_false(trp_failed(trp_policy_read_hedge(w.node, &opts, &w.at, &w.err)));
        is_near(opts.quantile, r->quantile);
        assert_int_equal(opts.least_ns, r->least_ns);
        trp_arena_deinit(&w.arena);
    }
}

static void canaries_are_read(void **state)
{
    (void)state;
    struct written w;
    struct trp_canary_opts opts;
    write_down(&w, "[2%, 20%, 100%]");
    assert_false(trp_failed(trp_policy_read_canary(&w.arena, w.node, &opts, &w.at, &w.err)));
    assert_int_equal(opts.steps_n, 3);
    is_near(opts.steps[1].share, 0.2);
    assert_int_equal(opts.steps[2].least_ns, TRP_S(300));
    assert_int_equal(opts.steps[2].least_calls, 100);
    trp_arena_deinit(&w.arena);
    write_down(&w, "{ hold: 10s, answers: 500, errors: 2%, slower: 1.5, quantile: p99 }");
    assert_false(trp_failed(trp_policy_read_canary(&w.arena, w.node, &opts, &w.at, &w.err)));
    assert_int_equal(opts.steps_n, 5);
    is_near(opts.steps[0].share, 0.01);
    is_near(opts.steps[4].share, 1);
    assert_int_equal(opts.steps[4].least_ns, TRP_S(10));
    assert_int_equal(opts.steps[0].least_calls, 500);
    is_near(opts.error_margin, 0.02);
    is_near(opts.latency_ratio, 1.5);
    is_near(opts.quantile, 0.99);
    trp_arena_deinit(&w.arena);
    write_down(&w, "{ steps: [50%], hold: 1s }");
    assert_false(trp_failed(trp_policy_read_canary(&w.arena, w.node, &opts, &w.at, &w.err)));
    assert_int_equal(opts.steps_n, 1);
    assert_int_equal(opts.steps[0].least_ns, TRP_S(1));
    trp_arena_deinit(&w.arena);
}

enum policy { BREAKER, BUDGET, HEDGE, CANARY };

static trp_status read_any(struct written *w, enum policy policy)
{
    struct trp_breaker_opts breaker;
    struct trp_retry_budget_opts budget;
    struct trp_hedge_opts hedge;
    struct trp_canary_opts canary;
    bool is_on;
    switch (policy) {
    case BREAKER:
        return trp_policy_read_breaker(w->node, &breaker, &is_on, &w->at, &w->err);
    case BUDGET:
        return trp_policy_read_budget(w->node, &budget, &w->at, &w->err);
    case HEDGE:
        return trp_policy_read_hedge(w->node, &hedge, &w->at, &w->err);
    default:
        return trp_policy_read_canary(&w->arena, w->node, &canary, &w->at, &w->err);
    }
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    static const struct row {
        enum policy policy;
        const char *text, *want, *at; /* the key of the node that is wrong; "": in a list */
    } rows[] = {
        { BREAKER, "on", "it: expected off, or { errors: 50%, row: 10, ... }", "it" },
        { BREAKER, "{ rows: 3 }", "unknown key 'rows' of breaker; did you mean 'row'?", "rows" },
        { BREAKER, "{ frobnicate: 3 }", "unknown key 'frobnicate' of breaker", "frobnicate" },
        { BREAKER, "{ errors: 0.5 }", "errors: expected a share such as 5%", "errors" },
        { BREAKER, "{ errors: 101% }", "errors: expected a share such as 5%", "errors" },
        { BREAKER, "{ probes: 0 }", "probes: expected a number from 1 to 255", "probes" },
        { BREAKER, "{ probes: [3] }", "probes: expected a number", "probes" },
        { BREAKER, "{ pause: 0s }",
          "pause: expected a time such as 30ms; it is longer than 0, and not forever", "pause" },
        { BREAKER, "{ pause: forever }",
          "pause: expected a time such as 30ms; it is longer than 0, and not forever", "pause" },
        { BUDGET, "ten", "it: expected a share such as 5%", "it" },
        { BUDGET, "{ floor: -1 }", "floor: expected a number such as 1.25", "floor" },
        { HEDGE, "p0", "it: expected a quantile such as p95, or a time such as 20ms", "it" },
        { HEDGE, "{ after: soon }",
          "after: expected a quantile such as p95, or a time such as 20ms", "after" },
        { HEDGE, "[p95]", "it: expected a quantile such as p95, or a time such as 20ms", "it" },
        { CANARY, "[]", "it: expected 1 to 16 shares such as [1%, 10%, 100%]", "it" },
        { CANARY, "fast", "it: expected 1 to 16 shares such as [1%, 10%, 100%]", "it" },
        { CANARY, "[5%, 5%]", "canary: expected shares that rise, such as [1%, 10%, 100%]", "" },
        { CANARY, "[0%, 5%]", "canary: expected shares that rise, such as [1%, 10%, 100%]", "" },
        { CANARY, "{ slower: 0.9 }", "slower: expected a number such as 1.25", "slower" },
        { CANARY, "{ quantile: 0.95 }", "quantile: expected a quantile such as p95", "quantile" },
        { CANARY, "{ share: 10% }",
          "unknown key 'share' of canary; `steps: [10%]` gives it 10%, and no more later",
          "share" },
        { CANARY, "{ weight: [7] }",
          "unknown key 'weight' of canary; `steps: [10%]` gives it 10%, and no more later",
          "weight" },
        { CANARY, "{ step: [1%] }", "unknown key 'step' of canary; did you mean 'steps'?", "step" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct written w;
        print_message("%s\n", r->text);
        write_down(&w, r->text);
        assert_int_equal(read_any(&w, r->policy).code, TRP_INVALID_ARGUMENT);
        assert_string_equal(w.err.text, r->want);
        assert_non_null(w.at);
        assert_true(trp_str_is(w.at->key, r->at));
        trp_arena_deinit(&w.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(breakers_are_read),     cmocka_unit_test(budgets_are_read),
        cmocka_unit_test(hedges_are_read),       cmocka_unit_test(canaries_are_read),
        cmocka_unit_test(what_is_wrong_is_said),
    };
    return cmocka_run_group_tests_name("policy_options", tests, NULL, NULL);
}

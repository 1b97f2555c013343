/* Whom to ask next: chains, retries, deadlines, breakers, and storms of all of these. */
#include "route/attempts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"
#include "route/breaker.h"
#include "route/retry_budget.h"

#define T0 TRP_S(1000)

static struct trp_attempts_target plain[3];
static const struct trp_attempts_target *const two_more[] = { &plain[1], &plain[2] };

#define ASSERT_ASKS(step, t, w)                                                          \
    do {                                                                                 \
        const struct trp_attempts_step asks_ = (step);                                   \
        assert_int_equal(asks_.move, TRP_ATTEMPTS_ASK);                                  \
        assert_ptr_equal(asks_.target, (t));                                             \
        assert_string_equal(trp_attempts_why_name(asks_.why), trp_attempts_why_name(w)); \
    } while (0)
#define ASSERT_ENDS(step) assert_int_equal((step).move, TRP_ATTEMPTS_ANSWER)

static void faults_walk_down_the_chain_and_the_last_is_the_answer(void **state)
{
    (void)state;
    const struct trp_attempts_rule rule = { .fallbacks = two_more, .fallbacks_n = 2 };
    struct trp_attempts a;
    ASSERT_ASKS(trp_attempts_begin(&a, &rule, &plain[0], 0, T0), &plain[0], TRP_ATTEMPTS_FIRST);
    ASSERT_ASKS(trp_attempts_next(&a, TRP_BACKEND_FAILED, T0, 0), &plain[1],
                TRP_ATTEMPTS_AFTER_ERROR);
    ASSERT_ASKS(trp_attempts_next(&a, TRP_QUEUE_FULL, T0, 0), &plain[2],
                TRP_ATTEMPTS_AFTER_OVERLOAD);
    const struct trp_attempts_step end = trp_attempts_next(&a, TRP_NOT_READY, T0, 0);
    ASSERT_ENDS(end);
    assert_int_equal(end.place, 2);
    assert_ptr_equal(end.target, &plain[2]);
}

static void every_code_goes_its_way(void **state)
{
    (void)state;
    const struct trp_attempts_rule rule = { .fallbacks = two_more, .fallbacks_n = 2 };
    static const uint8_t whys[TRP_FAULTS] = {
        [TRP_FAULT_ERROR] = TRP_ATTEMPTS_AFTER_ERROR,
        [TRP_FAULT_TIMEOUT] = TRP_ATTEMPTS_AFTER_TIMEOUT,
        [TRP_FAULT_NOT_READY] = TRP_ATTEMPTS_AFTER_NOT_READY,
        [TRP_FAULT_OVERLOAD] = TRP_ATTEMPTS_AFTER_OVERLOAD,
    };
    for (int32_t code = 0; code < TRP_CODES; code++) {
        struct trp_attempts a;
        (void)trp_attempts_begin(&a, &rule, &plain[0], 0, T0);
        const struct trp_attempts_step step = trp_attempts_next(&a, code, T0, 0);
        const enum trp_fault fault = trp_fault_of(code);
        print_message("%s\n", trp_code_name(code));
        if ((TRP_FAULTS_CURABLE & TRP_FAULT_BIT(fault)) != 0)
            ASSERT_ASKS(step, &plain[1], (enum trp_attempts_why)whys[fault]);
        else
            ASSERT_ENDS(step);
    }
}

static void a_rule_may_name_the_faults_that_fall_back(void **state)
{
    (void)state;
    const struct trp_attempts_rule rule = { .fallbacks = two_more,
                                            .fallbacks_n = 2,
                                            .falls_back = TRP_FAULT_BIT(TRP_FAULT_TIMEOUT) };
    struct trp_attempts a;
    (void)trp_attempts_begin(&a, &rule, &plain[0], 0, T0);
    ASSERT_ENDS(trp_attempts_next(&a, TRP_BACKEND_FAILED, T0, 0));
    (void)trp_attempts_begin(&a, &rule, &plain[0], 0, T0);
    ASSERT_ASKS(trp_attempts_next(&a, TRP_DEADLINE_EXCEEDED, T0, 0), &plain[1],
                TRP_ATTEMPTS_AFTER_TIMEOUT);
}

static void errors_are_retried_within_the_budget_and_then_fall_back(void **state)
{
    (void)state;
    const struct trp_retry_budget_opts opts = { .window_ns = TRP_S(1), .floor_per_s = 3 };
    struct trp_retry_budget budget;
    trp_retry_budget_init(&budget, &opts);
    const struct trp_attempts_rule rule = {
        .fallbacks = two_more, .fallbacks_n = 1, .retries_max = 2, .budget = &budget
    };
    struct trp_attempts a;
    (void)trp_attempts_begin(&a, &rule, &plain[0], 0, T0);
    ASSERT_ASKS(trp_attempts_next(&a, TRP_INTERNAL, T0, 0), &plain[0], TRP_ATTEMPTS_RETRY);
    ASSERT_ASKS(trp_attempts_next(&a, TRP_INTERNAL, T0, 0), &plain[0], TRP_ATTEMPTS_RETRY);
    ASSERT_ASKS(trp_attempts_next(&a, TRP_INTERNAL, T0, 0), &plain[1], TRP_ATTEMPTS_AFTER_ERROR);
    ASSERT_ENDS(trp_attempts_next(&a, TRP_INTERNAL, T0, 0));
    (void)trp_attempts_begin(&a, &rule, &plain[0], 0, T0);
    ASSERT_ASKS(trp_attempts_next(&a, TRP_QUEUE_FULL, T0, 0), &plain[1],
                TRP_ATTEMPTS_AFTER_OVERLOAD); /* who has too much to do is not asked again */
    (void)trp_attempts_begin(&a, &rule, &plain[0], 0, T0);
    ASSERT_ASKS(trp_attempts_next(&a, TRP_INTERNAL, T0, 0), &plain[0], TRP_ATTEMPTS_RETRY);
    /* The budget is used up: fallbacks take nothing of it. */
    ASSERT_ASKS(trp_attempts_next(&a, TRP_INTERNAL, T0, 0), &plain[1], TRP_ATTEMPTS_AFTER_ERROR);
    assert_int_equal(trp_counter_get(&budget.taken), 3);
    assert_int_equal(trp_counter_get(&budget.refused), 1);
}

static void an_attempt_ends_by_its_own_timeout_and_with_the_call(void **state)
{
    (void)state;
    static const struct row {
        int64_t timeout_ms, deadline_ms;
        int64_t want_ms[3]; /* of attempts that begin 10 ms apart, from T0 */
    } rows[] = {
        { 0, 0, { -1, -1, -1 } },
        { 30, 0, { 30, 40, 50 } },
        { 30, 35, { 30, 35, 35 } },
        { 0, 100, { 100, 100, 100 } },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        const struct trp_attempts_rule rule = { .fallbacks = two_more,
                                                .fallbacks_n = 2,
                                                .timeout_ns = TRP_MS(r->timeout_ms) };
        struct trp_attempts a;
        print_message("row %zu\n", (size_t)(r - rows));
        struct trp_attempts_step step = trp_attempts_begin(
            &a, &rule, &plain[0], r->deadline_ms ? T0 + TRP_MS(r->deadline_ms) : 0, T0);
        for (int64_t i = 0; i < 3; i++) {
            if (i > 0)
                step = trp_attempts_next(&a, TRP_INTERNAL, T0 + TRP_MS(10 * i), 0);
            assert_int_equal(step.move, TRP_ATTEMPTS_ASK);
            assert_int_equal(step.deadline_ns, r->want_ms[i] < 0 ? 0 : T0 + TRP_MS(r->want_ms[i]));
        }
    }
}

static void nobody_is_asked_when_the_time_is_over(void **state)
{
    (void)state;
    const struct trp_attempts_rule rule = { .fallbacks = two_more,
                                            .fallbacks_n = 2,
                                            .retries_max = 5 };
    struct trp_attempts a;
    (void)trp_attempts_begin(&a, &rule, &plain[0], T0 + TRP_MS(5), T0);
    ASSERT_ENDS(trp_attempts_next(&a, TRP_DEADLINE_EXCEEDED, T0 + TRP_MS(5), 0));
    (void)trp_attempts_begin(&a, &rule, &plain[0], T0 + TRP_MS(5), T0);
    ASSERT_ENDS(trp_attempts_next(&a, TRP_INTERNAL, T0 + TRP_MS(6), 0));
}

static void nobody_is_asked_twice_in_a_chain(void **state)
{
    (void)state;
    struct trp_attempts_target same = { .identity = &plain[0] };
    const struct trp_attempts_target *const chain[] = { &plain[0], &plain[1], &same, &plain[1] };
    const struct trp_attempts_rule rule = { .fallbacks = chain, .fallbacks_n = 4 };
    struct trp_attempts a;
    (void)trp_attempts_begin(&a, &rule, &plain[0], 0, T0);
    ASSERT_ASKS(trp_attempts_next(&a, TRP_INTERNAL, T0, 0), &plain[1], TRP_ATTEMPTS_AFTER_ERROR);
    ASSERT_ENDS(trp_attempts_next(&a, TRP_INTERNAL, T0, 0));
}

/* ---- with breakers ---- */

static const struct trp_breaker_opts touchy = {
    .window_ns = TRP_S(10), .row_max = 1, .open_ns = TRP_S(1), .open_max_ns = TRP_S(8), .probes = 1
};

static void an_open_breaker_is_passed_by(void **state)
{
    (void)state;
    struct trp_breaker breakers[2];
    struct trp_attempts_target guarded[2] = { { .breaker = &breakers[0] },
                                              { .breaker = &breakers[1] } };
    const struct trp_attempts_target *const chain[] = { &guarded[1] };
    const struct trp_attempts_rule rule = { .fallbacks = chain, .fallbacks_n = 1 };
    struct trp_attempts a;
    for (int i = 0; i < 2; i++)
        trp_breaker_init(&breakers[i], &touchy);
    (void)trp_attempts_begin(&a, &rule, &guarded[0], 0, T0);
    ASSERT_ASKS(trp_attempts_next(&a, TRP_INTERNAL, T0, 0), &guarded[1], TRP_ATTEMPTS_AFTER_ERROR);
    ASSERT_ENDS(trp_attempts_next(&a, TRP_OK, T0, 0));
    ASSERT_ASKS(trp_attempts_begin(&a, &rule, &guarded[0], 0, T0), &guarded[1],
                TRP_ATTEMPTS_AFTER_OPEN);
    ASSERT_ENDS(trp_attempts_next(&a, TRP_INTERNAL, T0, 0)); /* the first is not asked instead */
    const struct trp_attempts_step none = trp_attempts_begin(&a, &rule, &guarded[0], 0, T0);
    assert_int_equal(none.move, TRP_ATTEMPTS_NOBODY);
    assert_in_range(none.retry_after_ns, TRP_MS(790), TRP_MS(1210));
    const struct trp_attempts_step probe =
        trp_attempts_begin(&a, &rule, &guarded[0], 0, T0 + TRP_S(2));
    ASSERT_ASKS(probe, &guarded[0], TRP_ATTEMPTS_FIRST);
    assert_true(probe.is_probe);
    ASSERT_ENDS(trp_attempts_next(&a, TRP_OK, T0 + TRP_S(2), 0));
    assert_int_equal(trp_breaker_get(&breakers[0], T0 + TRP_S(2)).phase, TRP_BREAKER_CLOSED);
}

static void who_was_only_refused_may_be_the_last_resort(void **state)
{
    (void)state;
    struct trp_breaker breaker;
    struct trp_attempts_target guarded = { .breaker = &breaker, .identity = &breaker },
                               bare = { .identity = &breaker };
    const struct trp_attempts_target *const chain[] = { &plain[1], &bare };
    const struct trp_attempts_rule rule = { .fallbacks = chain, .fallbacks_n = 2 };
    struct trp_attempts a;
    trp_breaker_init(&breaker, &touchy);
    trp_breaker_report(&breaker, 0, true, T0, 0);
    ASSERT_ASKS(trp_attempts_begin(&a, &rule, &guarded, 0, T0), &plain[1], TRP_ATTEMPTS_AFTER_OPEN);
    ASSERT_ASKS(trp_attempts_next(&a, TRP_INTERNAL, T0, 0), &bare, TRP_ATTEMPTS_AFTER_ERROR);
}

static void only_what_is_the_targets_fault_opens_its_breaker(void **state)
{
    (void)state;
    static const struct row {
        int32_t code;
        int64_t timeout_ms, deadline_ms;
        bool opens;
    } rows[] = {
        { TRP_BACKEND_FAILED, 0, 0, true },      { TRP_OK, 0, 0, false },
        { TRP_INVALID_ARGUMENT, 0, 0, false },   { TRP_CANCELLED, 0, 0, false },
        { TRP_QUEUE_FULL, 0, 0, false },         { TRP_NOT_READY, 0, 0, false },
        { TRP_DEADLINE_EXCEEDED, 0, 5, false },  /* the client's own hurry */
        { TRP_DEADLINE_EXCEEDED, 10, 5, false }, /* the same */
        { TRP_DEADLINE_EXCEEDED, 5, 10, true },  { TRP_DEADLINE_EXCEEDED, 5, 0, true },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_breaker breaker;
        const struct trp_attempts_target target = { .breaker = &breaker };
        const struct trp_attempts_rule rule = { .timeout_ns = TRP_MS(r->timeout_ms) };
        struct trp_attempts a;
        trp_breaker_init(&breaker, &touchy);
        print_message("row %zu\n", (size_t)(r - rows));
        (void)trp_attempts_begin(&a, &rule, &target,
                                 r->deadline_ms ? T0 + TRP_MS(r->deadline_ms) : 0, T0);
        ASSERT_ENDS(trp_attempts_next(&a, r->code, T0 + TRP_MS(20), 0));
        assert_int_equal(trp_breaker_get(&breaker, T0).phase == TRP_BREAKER_OPEN, r->opens);
        assert_int_equal(trp_counter_get(&breaker.row), r->opens);
    }
}

static void a_probe_whose_client_goes_leaves_room_for_the_next(void **state)
{
    (void)state;
    struct trp_breaker breaker;
    const struct trp_attempts_target target = { .breaker = &breaker };
    const struct trp_attempts_rule rule = { .timeout_ns = 0 };
    struct trp_attempts a, b;
    trp_breaker_init(&breaker, &touchy);
    trp_breaker_report(&breaker, 0, true, T0, 0);
    const int64_t later_ns = T0 + TRP_S(2);
    assert_int_equal(trp_attempts_begin(&a, &rule, &target, 0, later_ns).move, TRP_ATTEMPTS_ASK);
    assert_int_equal(trp_attempts_begin(&b, &rule, &target, 0, later_ns).move, TRP_ATTEMPTS_NOBODY);
    ASSERT_ENDS(trp_attempts_next(&a, TRP_CANCELLED, later_ns, 0));
    assert_int_equal(trp_attempts_begin(&b, &rule, &target, 0, later_ns).move, TRP_ATTEMPTS_ASK);
}

static void a_retry_asks_the_breaker_and_gives_its_probe_back(void **state)
{
    (void)state;
    const struct trp_retry_budget_opts none = { .window_ns = TRP_S(1) };
    struct trp_retry_budget budget;
    struct trp_breaker breaker;
    const struct trp_attempts_target target = { .breaker = &breaker };
    const struct trp_attempts_rule rule = { .retries_max = 3, .budget = &budget };
    struct trp_attempts a;
    trp_retry_budget_init(&budget, &none);
    trp_breaker_init(&breaker, &touchy);
    (void)trp_attempts_begin(&a, &rule, &target, 0, T0);
    ASSERT_ENDS(trp_attempts_next(&a, TRP_INTERNAL, T0, 0)); /* opens; no retry through it */
    assert_int_equal(trp_counter_get(&budget.refused), 0);
    const int64_t later_ns = T0 + TRP_S(2);
    (void)trp_attempts_begin(&a, &rule, &target, 0, later_ns);
    ASSERT_ENDS(trp_attempts_next(&a, TRP_QUEUE_FULL, later_ns, 0));
    assert_int_equal(trp_breaker_get(&breaker, later_ns).probes_out, 0);
}

/* ---- storms ---- */

struct storm {
    struct trp_random random;
    struct trp_breaker breaker;
    struct trp_retry_budget budget;
    struct trp_attempts_target fragile, sturdy;
    const struct trp_attempts_target *chain[1];
    struct trp_attempts_rule rule;
    uint64_t requests, errors, asked_fragile, turn;
};

/* How the fragile one answers: never, every second time, always. */
enum weather { FAILS, HALF, WORKS };

static int32_t answer_of(struct storm *s, const struct trp_attempts_target *t, enum weather w)
{
    if (t == &s->sturdy)
        return TRP_OK;
    s->asked_fragile++;
    return w == FAILS || (w == HALF && s->turn++ % 2 == 0) ? TRP_BACKEND_FAILED : TRP_OK;
}

static void request(struct storm *s, enum weather w, int64_t *now_ns)
{
    struct trp_attempts a;
    struct trp_attempts_step step = trp_attempts_begin(&a, &s->rule, &s->fragile, 0, *now_ns);
    int32_t code = TRP_UNAVAILABLE;
    while (step.move == TRP_ATTEMPTS_ASK) {
        code = answer_of(s, step.target, w);
        *now_ns += TRP_US(200);
        step = trp_attempts_next(&a, code, *now_ns, trp_random_next(&s->random));
    }
    s->requests++;
    s->errors += code != TRP_OK;
    *now_ns += (int64_t)(trp_random_next(&s->random) % (uint64_t)TRP_MS(2));
}

static void blow(struct storm *s, enum weather w, int64_t for_ns, int64_t *now_ns)
{
    const int64_t till_ns = *now_ns + for_ns;
    s->requests = s->errors = s->asked_fragile = 0;
    while (*now_ns < till_ns)
        request(s, w, now_ns);
}

static void init_storm(struct storm *s, uint64_t seed, bool has_fallback)
{
    *s = (struct storm){ .random = { seed } };
    trp_breaker_init(&s->breaker, &TRP_BREAKER_OPTS_DEFAULT);
    trp_retry_budget_init(&s->budget, &TRP_RETRY_BUDGET_OPTS_DEFAULT);
    s->fragile.breaker = &s->breaker;
    s->chain[0] = &s->sturdy;
    s->rule = (struct trp_attempts_rule){
        .fallbacks = s->chain, .fallbacks_n = has_fallback, .retries_max = 1, .budget = &s->budget
    };
}

static void with_a_fallback_clients_see_no_errors_and_the_breaker_closes_by_itself(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct storm s;
        int64_t now_ns = T0;
        init_storm(&s, seed, true);
        blow(&s, WORKS, TRP_S(20), &now_ns);
        assert_int_equal(s.asked_fragile, s.requests);
        blow(&s, FAILS, TRP_S(60), &now_ns);
        assert_int_equal(s.errors, 0);
        assert_in_range(s.asked_fragile, 1, s.requests / 500); /* it is left alone */
        blow(&s, HALF, TRP_S(60), &now_ns);
        assert_int_equal(s.errors, 0);
        assert_in_range(s.asked_fragile, 0, s.requests / 50);
        blow(&s, WORKS, TRP_S(130), &now_ns);
        assert_int_equal(s.errors, 0);
        assert_int_equal(trp_breaker_get(&s.breaker, now_ns).phase, TRP_BREAKER_CLOSED);
        blow(&s, WORKS, TRP_S(10), &now_ns);
        assert_int_equal(s.asked_fragile, s.requests);
    }
}

static void without_one_a_failing_target_is_asked_no_more_than_its_budget(void **state)
{
    (void)state;
    struct storm s;
    int64_t now_ns = T0;
    init_storm(&s, 77, false);
    s.fragile.breaker = NULL;
    s.rule.retries_max = 100;
    blow(&s, WORKS, TRP_S(20), &now_ns);
    blow(&s, FAILS, TRP_S(100), &now_ns);
    assert_int_equal(s.errors, s.requests);
    assert_in_range(s.asked_fragile, s.requests, s.requests + s.requests / 10 + 250);
}

static void one_that_flickers_is_retried_into_answers(void **state)
{
    (void)state;
    struct storm s;
    int64_t now_ns = T0;
    init_storm(&s, 78, false);
    uint64_t errors = 0;
    for (int i = 0; i < 20000; i++) { /* one of 50 calls fails */
        const enum weather w = trp_random_next(&s.random) % 50 == 0 ? FAILS : WORKS;
        struct trp_attempts a;
        struct trp_attempts_step step = trp_attempts_begin(&a, &s.rule, &s.fragile, 0, now_ns);
        int32_t code = TRP_UNAVAILABLE;
        for (bool is_first = true; step.move == TRP_ATTEMPTS_ASK; is_first = false) {
            code = answer_of(&s, step.target, is_first ? w : WORKS);
            step = trp_attempts_next(&a, code, now_ns, 0);
        }
        errors += code != TRP_OK;
        now_ns += TRP_MS(1);
    }
    assert_int_equal(errors, 0);
    assert_int_equal(trp_breaker_get(&s.breaker, now_ns).opened, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_walk_down_the_chain_and_the_last_is_the_answer),
        cmocka_unit_test(every_code_goes_its_way),
        cmocka_unit_test(a_rule_may_name_the_faults_that_fall_back),
        cmocka_unit_test(errors_are_retried_within_the_budget_and_then_fall_back),
        cmocka_unit_test(an_attempt_ends_by_its_own_timeout_and_with_the_call),
        cmocka_unit_test(nobody_is_asked_when_the_time_is_over),
        cmocka_unit_test(nobody_is_asked_twice_in_a_chain),
        cmocka_unit_test(an_open_breaker_is_passed_by),
        cmocka_unit_test(who_was_only_refused_may_be_the_last_resort),
        cmocka_unit_test(only_what_is_the_targets_fault_opens_its_breaker),
        cmocka_unit_test(a_probe_whose_client_goes_leaves_room_for_the_next),
        cmocka_unit_test(a_retry_asks_the_breaker_and_gives_its_probe_back),
        cmocka_unit_test(with_a_fallback_clients_see_no_errors_and_the_breaker_closes_by_itself),
        cmocka_unit_test(without_one_a_failing_target_is_asked_no_more_than_its_budget),
        cmocka_unit_test(one_that_flickers_is_retried_into_answers),
    };
    return cmocka_run_group_tests_name("attempts", tests, NULL, NULL);
}

/* Weights that are learned: what one outcome does, the floor, who did not speak, and what is as
 * good as the best. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "compose/learner.h"
#include "unit/base/scarce.h"

static const struct trp_str names[] = { { "a", 1 }, { "b", 1 }, { "c", 1 } };

static struct trp_learner_order order_of(const double *weights)
{
    return (struct trp_learner_order){ .name = TRP_STR_LIT("e"),
                                       .vote = TRP_STR_LIT("soft"),
                                       .members = names,
                                       .weights = weights,
                                       .members_n = 3,
                                       .rate = 0.5,
                                       .floor = 0.05 };
}

static struct trp_learner *make(const double *weights)
{
    const struct trp_learner_order order = order_of(weights);
    struct trp_learner *l = trp_learner_create(trp_heap(), &order);
    assert_non_null(l);
    return l;
}

static void expect(const struct trp_learner *l, double a, double b, double c)
{
    const double want[] = { a, b, c };
    for (uint32_t i = 0; i < 3; i++)
        if (!(fabs(trp_learner_weight(l, i) - want[i]) < 1e-9))
            fail_msg("member %u weighs %.12g, not %.12g", i, trp_learner_weight(l, i), want[i]);
}

static void weights_begin_as_they_are_written(void **state)
{
    (void)state;
    struct trp_learner *l = make((const double[]){ 1, 2, 3 });
    expect(l, 1, 2, 3);
    trp_learner_unref(l);
    l = make((const double[]){ 0, 0, 0 });
    expect(l, 1, 1, 1);
    trp_learner_unref(l);
    l = make((const double[]){ 0, 9, 0 });
    expect(l, 0.45, 8.1, 0.45); /* nobody is below the floor */
    trp_learner_unref(l);
    trp_learner_unref(NULL);
}

static void whoever_loses_more_weighs_less(void **state)
{
    (void)state;
    struct trp_learner *l = make((const double[]){ 2, 2, 2 });
    trp_learner_learn(l, (const double[]){ 1, 0, 0.5 });
    const double a = exp(-0.5), c = exp(-0.25), sum = 1 + a + c;
    expect(l, 6 * a / sum, 6 / sum, 6 * c / sum);
    trp_learner_learn(l, (const double[]){ 0.7, 0.7, 0.7 }); /* all the same: nothing is learned */
    expect(l, 6 * a / sum, 6 / sum, 6 * c / sum);
    trp_learner_unref(l);
}

static void who_did_not_speak_keeps_its_share(void **state)
{
    (void)state;
    struct trp_learner *l = make((const double[]){ 1, 1, 1 });
    trp_learner_learn(l, (const double[]){ 1, -1, 0 });
    const double a = exp(-0.5);
    expect(l, 2 * a / (1 + a), 1, 2 / (1 + a));
    trp_learner_unref(l);
}

static void nobody_falls_below_the_floor_and_whoever_becomes_better_is_heard(void **state)
{
    (void)state;
    struct trp_learner *l = make((const double[]){ 1, 1, 1 });
    for (int i = 0; i < 10000; i++)
        trp_learner_learn(l, (const double[]){ 1, 0, 1 });
    expect(l, 0.15, 2.7, 0.15);
    for (int i = 0; i < 30; i++)
        trp_learner_learn(l, (const double[]){ 0, 1, 1 });
    expect(l, 2.7, 0.15, 0.15);
    trp_learner_unref(l);
}

/* A small generator of our own: the same on every machine. */
static double chance(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(*seed >> 11) / 9007199254740992.0;
}

static void shares_stay_shares_whatever_happens(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int round = 0; round < 2000; round++) {
        const uint32_t n = 1 + (uint32_t)(chance(&seed) * 8);
        const double floor = chance(&seed) / n, rate = chance(&seed) * TRP_LEARN_RATE_MAX;
        double shares[8], losses[8], sum = 0;
        for (uint32_t i = 0; i < n; i++)
            sum += shares[i] = chance(&seed) * chance(&seed);
        for (uint32_t i = 0; i < n; i++)
            shares[i] /= sum;
        for (int step = 0; step < 20; step++) {
            for (uint32_t i = 0; i < n; i++)
                losses[i] = chance(&seed) < 0.1 ? -1 : chance(&seed);
            trp_learner_update(shares, losses, n, rate);
            trp_learner_raise(shares, n, floor);
            sum = 0;
            for (uint32_t i = 0; i < n; i++) {
                assert_true(shares[i] >= floor * (1 - 1e-9));
                sum += shares[i];
            }
            assert_true(fabs(sum - 1) < 1e-9);
        }
    }
}

/* Hedge's bound: the loss of the shares is at most that of the best, and ln(n) / rate + rate * T
 * / 8. */
static void the_mixture_is_nearly_as_good_as_the_best(void **state)
{
    (void)state;
    enum { N = 5, T = 2000 };
    const double rate = sqrt(8 * log(N) / T);
    double shares[N] = { 0.2, 0.2, 0.2, 0.2, 0.2 }, total[N] = { 0 }, mixture = 0;
    uint64_t seed = 7;
    for (int t = 0; t < T; t++) {
        double losses[N];
        for (uint32_t i = 0; i < N; i++) {
            losses[i] = chance(&seed) < 0.2 + 0.1 * i ? 1 : 0;
            mixture += shares[i] * losses[i];
            total[i] += losses[i];
        }
        trp_learner_update(shares, losses, N, rate);
    }
    double best = total[0];
    for (uint32_t i = 1; i < N; i++)
        best = total[i] < best ? total[i] : best;
    assert_true(mixture <= best + log(N) / rate + rate * T / 8);
}

static void it_is_the_same_only_when_it_is_written_so(void **state)
{
    (void)state;
    static const double weights[] = { 1, 2, 3 }, others[] = { 1, 2, 4 };
    static const struct trp_str strangers[] = { { "a", 1 }, { "b", 1 }, { "d", 1 } };
    struct trp_learner *l = make(weights);
    struct trp_learner_order order = order_of(weights);
    assert_true(trp_learner_is_of(l, &order));
    order.weights = others;
    assert_false(trp_learner_is_of(l, &order));
    order = order_of(weights);
    order.members = strangers;
    assert_false(trp_learner_is_of(l, &order));
    order = order_of(weights);
    order.members_n = 2;
    assert_false(trp_learner_is_of(l, &order));
    order = order_of(weights);
    order.rate = 0.4;
    assert_false(trp_learner_is_of(l, &order));
    order = order_of(weights);
    order.vote = TRP_STR_LIT("hard");
    assert_false(trp_learner_is_of(l, &order));
    trp_learner_unref(l);
}

static void it_says_what_it_has_learned(void **state)
{
    (void)state;
    struct trp_buf b;
    struct trp_learner *l = make((const double[]){ 1, 2, 1 });
    trp_learner_learn(l, (const double[]){ 0.5, 0.5, -1 });
    trp_learner_learn(l, (const double[]){ 0.25, 0.25, -1 });
    trp_buf_init(&b, trp_heap(), 4096);
    trp_learner_write_json(l, &b);
    trp_buf_add_char(&b, '\0');
    assert_string_equal(b.ptr, "{\"outcomes\":2,\"rate\":0.5,\"floor\":0.05,\"weights\":{\"a\":1,"
                               "\"b\":2,\"c\":1},\"losses\":{\"a\":0.375,\"b\":0.375}}");
    trp_buf_deinit(&b);
    trp_learner_unref(l);
}

static void without_memory_there_is_none(void **state)
{
    (void)state;
    static const double weights[] = { 1, 2, 3 };
    const struct trp_learner_order order = order_of(weights);
    struct trp_learner *l = NULL;
    for (uint64_t left = 0; !l; left++) {
        struct scarce s;
        l = trp_learner_create(scarce_init(&s, left), &order);
        assert_true(left < 20);
        trp_learner_unref(l);
        assert_int_equal(trp_counter_get(&s.out), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_begin_as_they_are_written),
        cmocka_unit_test(whoever_loses_more_weighs_less),
        cmocka_unit_test(who_did_not_speak_keeps_its_share),
        cmocka_unit_test(nobody_falls_below_the_floor_and_whoever_becomes_better_is_heard),
        cmocka_unit_test(shares_stay_shares_whatever_happens),
        cmocka_unit_test(the_mixture_is_nearly_as_good_as_the_best),
        cmocka_unit_test(it_is_the_same_only_when_it_is_written_so),
        cmocka_unit_test(it_says_what_it_has_learned),
        cmocka_unit_test(without_memory_there_is_none),
    };
    return cmocka_run_group_tests_name("learner", tests, NULL, NULL);
}

/* Which of several models for a task answers: a row per situation, and the order is always the
 * same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "model/task_pick.h"

#define ACCURACY(v)                 \
    {                               \
        { "accuracy", 8 }, v, false \
    }
#define LOSS(v)                \
    {                          \
        { "loss", 4 }, v, true \
    }
#define NAME(s)          \
    {                    \
        s, sizeof(s) - 1 \
    }

struct row {
    const char *what;
    struct trp_candidate of[4];
    uint32_t n;
    int64_t left_ns;
    const char *want; /* names in order */
};

static const struct row rows[] = {
    { "the better one at the same speed",
      { { .name = NAME("a"), .quality = ACCURACY(0.90), .run_ns = TRP_MS(5) },
        { .name = NAME("b"), .quality = ACCURACY(0.95), .run_ns = TRP_MS(5) } },
      2,
      0,
      "b a " },
    { "half a percent is not worth four times the time",
      { { .name = NAME("slow"), .quality = ACCURACY(0.955), .run_ns = TRP_MS(20) },
        { .name = NAME("fast"), .quality = ACCURACY(0.95), .run_ns = TRP_MS(5) } },
      2,
      0,
      "fast slow " },
    { "five percent are",
      { { .name = NAME("slow"), .quality = ACCURACY(0.95), .run_ns = TRP_MS(20) },
        { .name = NAME("fast"), .quality = ACCURACY(0.90), .run_ns = TRP_MS(5) } },
      2,
      0,
      "slow fast " },
    { "a cold one counts with its load",
      { { .name = NAME("cold"),
          .quality = ACCURACY(0.95),
          .run_ns = TRP_MS(5),
          .load_ns = TRP_S(1),
          .is_cold = true },
        { .name = NAME("warm"),
          .quality = ACCURACY(0.90),
          .run_ns = TRP_MS(5),
          .load_ns = TRP_S(9) } },
      2,
      0,
      "warm cold " },
    { "unless what is warm is much worse",
      { { .name = NAME("cold"),
          .quality = ACCURACY(0.95),
          .run_ns = TRP_MS(5),
          .load_ns = TRP_S(1),
          .is_cold = true },
        { .name = NAME("warm"), .quality = ACCURACY(0.50), .run_ns = TRP_MS(5) } },
      2,
      0,
      "cold warm " },
    { "a load that nobody measured is taken for a usual one",
      { { .name = NAME("unknown"),
          .quality = ACCURACY(0.90),
          .run_ns = TRP_MS(1),
          .is_cold = true },
        { .name = NAME("known"),
          .quality = ACCURACY(0.90),
          .run_ns = TRP_MS(1),
          .load_ns = TRP_MS(9),
          .is_cold = true } },
      2,
      0,
      "known unknown " },
    { "those that wait count",
      { { .name = NAME("busy"), .quality = ACCURACY(0.90), .run_ns = TRP_MS(5), .queued = 7 },
        { .name = NAME("idle"), .quality = ACCURACY(0.90), .run_ns = TRP_MS(9) } },
      2,
      0,
      "idle busy " },
    { "who would be late is left out",
      { { .name = NAME("best"), .quality = ACCURACY(0.99), .run_ns = TRP_MS(50) },
        { .name = NAME("good"), .quality = ACCURACY(0.60), .run_ns = TRP_MS(5) } },
      2,
      TRP_MS(20),
      "good best " },
    { "when all would be late, the fastest",
      { { .name = NAME("best"), .quality = ACCURACY(0.99), .run_ns = TRP_MS(50) },
        { .name = NAME("good"), .quality = ACCURACY(0.60), .run_ns = TRP_MS(49) } },
      2,
      TRP_MS(1),
      "good best " },
    { "lower may be better",
      { { .name = NAME("a"), .quality = LOSS(0.30), .run_ns = TRP_MS(5) },
        { .name = NAME("b"), .quality = LOSS(0.20), .run_ns = TRP_MS(5) } },
      2,
      0,
      "b a " },
    { "qualities of other names do not compare, and rank behind",
      { { .name = NAME("other"), .quality = { NAME("f1"), 100, false }, .run_ns = TRP_MS(5) },
        { .name = NAME("a"), .quality = ACCURACY(0.80), .run_ns = TRP_MS(5) },
        { .name = NAME("b"), .quality = ACCURACY(0.90), .run_ns = TRP_MS(5) },
        { .name = NAME("none"), .run_ns = TRP_MS(5) } },
      4,
      0,
      "b a none other " },
    { "the alphabet decides between names of qualities",
      { { .name = NAME("x"), .quality = { NAME("f1"), 1, false }, .run_ns = TRP_MS(5) },
        { .name = NAME("y"), .quality = ACCURACY(0.1), .run_ns = TRP_MS(5) } },
      2,
      0,
      "y x " },
    { "without quality the fastest",
      { { .name = NAME("a"), .run_ns = TRP_MS(7) }, { .name = NAME("b"), .run_ns = TRP_MS(5) } },
      2,
      0,
      "b a " },
    { "times that do not matter leave it to the names",
      { { .name = NAME("b"), .run_ns = TRP_US(20) },
        { .name = NAME("a"), .run_ns = TRP_US(20) },
        { .name = NAME("c"), .run_ns = TRP_US(90) } },
      3,
      0,
      "a b c " },
    { "nothing is known of anybody",
      { { .name = NAME("b") }, { .name = NAME("a") } },
      2,
      0,
      "a b " },
    { "no number overflows",
      { { .name = NAME("a"), .run_ns = INT64_MAX / 2, .queued = UINT32_MAX },
        { .name = NAME("b"), .run_ns = INT64_MAX, .load_ns = INT64_MAX, .is_cold = true } },
      2,
      0,
      "a b " },
};

static void rank(const struct row *r, bool backwards, char *out, size_t size)
{
    struct trp_candidate c[4];
    for (uint32_t i = 0; i < r->n; i++)
        c[backwards ? r->n - 1 - i : i] = r->of[i];
    trp_task_rank(c, r->n, r->left_ns);
    out[0] = '\0';
    for (uint32_t i = 0; i < r->n; i++) {
        const size_t used = strlen(out);
        (void)snprintf(out + used, size - used, "%.*s ", (int)c[i].name.len, c[i].name.ptr);
    }
}

static void the_best_answers_whatever_the_order_they_come_in(void **state)
{
    (void)state;
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        char order[128];
        print_message("%s\n", r->what);
        rank(r, false, order, sizeof order);
        assert_string_equal(order, r->want);
        rank(r, true, order, sizeof order);
        assert_string_equal(order, r->want);
    }
}

static void what_it_was_judged_by_is_told(void **state)
{
    (void)state;
    struct trp_candidate c[] = {
        { .name = NAME("a"), .quality = ACCURACY(0.8), .run_ns = TRP_MS(4), .queued = 1 },
        { .name = NAME("b"), .quality = ACCURACY(1.0), .load_ns = TRP_MS(92), .is_cold = true },
    };
    trp_task_rank(c, 2, TRP_MS(50));
    assert_true(trp_str_is(c[0].name, "a"));
    assert_int_equal(c[0].expected_ns, TRP_MS(8));
    assert_int_equal(c[1].expected_ns, TRP_MS(96));
    assert_true(c[1].is_late && !c[0].is_late);
    assert_true(c[0].loss > 0.19 && c[0].loss < 0.21 && c[1].loss == 0);
    trp_task_rank(c, 0, 0); /* nobody: nothing happens */
}

static void a_task_has_a_name(void **state)
{
    (void)state;
    assert_true(trp_str_is(trp_task_of_name(TRP_STR_LIT("task:ranking")), "ranking"));
    assert_int_equal(trp_task_of_name(TRP_STR_LIT("ranking")).len, 0);
    assert_int_equal(trp_task_of_name(TRP_STR_LIT("task:")).len, 0);
    assert_int_equal(trp_task_of_name(TRP_STR_LIT("")).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_answers_whatever_the_order_they_come_in),
        cmocka_unit_test(what_it_was_judged_by_is_told),
        cmocka_unit_test(a_task_has_a_name),
    };
    return cmocka_run_group_tests_name("task_pick", tests, NULL, NULL);
}

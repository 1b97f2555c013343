/* tests/unit/memory/budget_test.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/str.h"
#include "memory/budget.h"

static struct trp_amounts amounts(uint64_t bytes, uint64_t mappings, uint64_t descriptors)
{
    return (struct trp_amounts){ { bytes, mappings, descriptors } };
}

static void assert_amounts(struct trp_amounts a, uint64_t bytes, uint64_t mappings,
                           uint64_t descriptors)
{
    assert_int_equal(a.of[TRP_RESOURCE_BYTES], bytes);
    assert_int_equal(a.of[TRP_RESOURCE_MAPPINGS], mappings);
    assert_int_equal(a.of[TRP_RESOURCE_DESCRIPTORS], descriptors);
}

static void a_reservation_fits_in_every_resource_or_takes_of_none(void **state)
{
    (void)state;
    static const struct row {
        struct trp_amounts fixed, others, need;
        enum trp_reserve want;
        uint64_t refused[TRP_RESOURCES];
    } rows[] = {
        { { { 0 } }, { { 0 } }, { { 100, 10, 5 } }, TRP_RESERVE_DONE, { 0 } },
        { { { 0 } }, { { 0 } }, { { 0 } }, TRP_RESERVE_DONE, { 0 } },
        { { { 10 } }, { { 40 } }, { { 50 } }, TRP_RESERVE_DONE, { 0 } },
        { { { 10 } }, { { 40 } }, { { 51 } }, TRP_RESERVE_NOT_NOW, { 1, 0, 0 } },
        { { { 10 } }, { { 40 } }, { { 90 } }, TRP_RESERVE_NOT_NOW, { 1, 0, 0 } },
        { { { 10 } }, { { 40 } }, { { 91 } }, TRP_RESERVE_NEVER, { 1, 0, 0 } },
        { { { 0 } }, { { 0, 8, 0 } }, { { 50, 3, 0 } }, TRP_RESERVE_NOT_NOW, { 0, 1, 0 } },
        { { { 0 } }, { { 0, 8, 5 } }, { { 50, 3, 1 } }, TRP_RESERVE_NOT_NOW, { 0, 1, 1 } },
        { { { 0 } }, { { 0 } }, { { 50, 3, 6 } }, TRP_RESERVE_NEVER, { 0, 0, 1 } },
        { { { 0 } }, { { 1 } }, { { UINT64_MAX } }, TRP_RESERVE_NEVER, { 1, 0, 0 } },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_budget b = { .limit = amounts(100, 10, 5), .fixed = r->fixed };
        struct trp_hold others = { 0 }, hold = { 0 };
        print_message("row %d\n", (int)(r - rows));
        assert_int_equal(trp_budget_reserve(&b, r->others, &others), TRP_RESERVE_DONE);
        const struct trp_amounts before = trp_budget_used(&b);
        assert_int_equal(trp_budget_reserve(&b, r->need, &hold), r->want);
        if (r->want != TRP_RESERVE_DONE) {
            const struct trp_amounts after = trp_budget_used(&b);
            assert_memory_equal(&before, &after, sizeof before);
            assert_true(trp_amounts_is_zero(hold.amounts));
        }
        assert_memory_equal(b.refused, r->refused, sizeof b.refused);
        trp_budget_release(&b, &hold);
        trp_budget_release(&b, &others);
        const struct trp_amounts left = trp_budget_used(&b);
        assert_memory_equal(&left, &r->fixed, sizeof left);
    }
}

static void a_resource_without_a_limit_never_runs_out(void **state)
{
    (void)state;
    struct trp_budget b = { .limit = amounts(0, 10, 0) };
    struct trp_hold hold = { 0 };
    assert_int_equal(trp_budget_reserve(&b, amounts(UINT64_MAX, 1, 7), &hold), TRP_RESERVE_DONE);
    assert_amounts(trp_budget_left(&b), UINT64_MAX, 9, UINT64_MAX);
    assert_amounts(trp_budget_missing(&b, amounts(UINT64_MAX, 12, 9)), 0, 3, 0);
    trp_budget_release(&b, &hold);
}

static void a_commitment_is_as_much_as_was_measured(void **state)
{
    (void)state;
    struct trp_budget b = { .limit = amounts(100, 0, 0) };
    struct trp_hold hold = { 0 }, other = { 0 };
    assert_int_equal(trp_budget_reserve(&b, amounts(60, 0, 0), &hold), TRP_RESERVE_DONE);
    trp_budget_commit(&b, &hold, amounts(40, 0, 0));
    assert_int_equal(b.reserved.of[TRP_RESOURCE_BYTES], 0);
    assert_amounts(trp_budget_left(&b), 60, UINT64_MAX, UINT64_MAX);
    trp_budget_commit(&b, &hold, amounts(130, 0, 0)); /* it grew, and nobody asked */
    assert_amounts(trp_budget_left(&b), 0, UINT64_MAX, UINT64_MAX);
    assert_amounts(trp_budget_missing(&b, amounts(0, 0, 0)), 30, 0, 0);
    assert_amounts(trp_budget_missing(&b, amounts(5, 0, 0)), 35, 0, 0);
    assert_int_equal(trp_budget_reserve(&b, amounts(1, 0, 0), &other), TRP_RESERVE_NOT_NOW);
    assert_int_equal(trp_budget_reserve(&b, amounts(0, 5, 0), &other), TRP_RESERVE_DONE);
    trp_budget_release(&b, &other);
    trp_budget_release(&b, &hold);
    trp_budget_release(&b, &hold); /* once was enough */
    assert_true(trp_amounts_is_zero(trp_budget_used(&b)));
}

static void what_was_never_reserved_can_be_committed_too(void **state)
{
    (void)state;
    struct trp_budget b = { .limit = amounts(100, 0, 0) };
    struct trp_hold hold = { 0 };
    trp_budget_commit(&b, &hold, amounts(70, 2, 1));
    assert_amounts(trp_budget_used(&b), 70, 2, 1);
    trp_budget_release(&b, &hold);
    assert_true(trp_amounts_is_zero(trp_budget_used(&b)));
}

static void the_reach_is_what_fixed_and_kept_things_leave(void **state)
{
    (void)state;
    struct trp_budget b = { .limit = amounts(100, 0, 4), .fixed = amounts(20, 3, 1) };
    assert_amounts(trp_budget_reach(&b, amounts(30, 0, 0)), 50, UINT64_MAX, 3);
    assert_amounts(trp_budget_reach(&b, amounts(90, 0, 9)), 0, UINT64_MAX, 0);
}

static void sums_and_differences_end_instead_of_wrapping(void **state)
{
    (void)state;
    const struct trp_amounts most = amounts(UINT64_MAX, 5, 0), some = amounts(7, 6, 0);
    assert_amounts(trp_amounts_sum(most, some), UINT64_MAX, 11, 0);
    assert_amounts(trp_amounts_less(some, most), 0, 1, 0);
    assert_true(trp_amounts_fit(amounts(1, 2, 3), amounts(1, 2, 3)));
    assert_false(trp_amounts_fit(amounts(1, 3, 3), amounts(1, 2, 3)));
}

static void a_refusal_has_the_numbers_of_what_is_short(void **state)
{
    (void)state;
    struct trp_budget b = { .limit = amounts(100, 10, 5) };
    struct trp_error err = { 0 };
    const trp_status st =
        trp_budget_refuse(&b, amounts(90, 12, 1), amounts(95, 10, 5), "at most", &err);
    assert_int_equal(st.code, TRP_OVER_BUDGET);
    assert_string_equal(err.text, "needs 12 mappings; at most 10 of 10 can be had");
    (void)trp_budget_refuse(&b, amounts(90, 1, 1), amounts(40, 10, 5), "now", &err);
    assert_string_equal(err.text, "needs 90 bytes; now 40 of 100 can be had");
}

static void every_resource_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(trp_resource_name(TRP_RESOURCE_BYTES), "bytes");
    assert_string_equal(trp_resource_name(TRP_RESOURCE_MAPPINGS), "mappings");
    assert_string_equal(trp_resource_name(TRP_RESOURCE_DESCRIPTORS), "descriptors");
    assert_string_equal(trp_resource_name(TRP_RESOURCES), "unknown");
}

/* --- many steps beside a plain list of who holds what
 * ------------------------------------------ */

#define HOLDERS 12

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static struct trp_amounts random_amounts(uint32_t *seed)
{
    return amounts(next_random(seed) % 60, next_random(seed) % 8, next_random(seed) % 3);
}

static void assert_holds(const struct trp_budget *b, const struct trp_hold *holds)
{
    struct trp_amounts reserved = { { 0 } }, committed = { { 0 } };
    for (int i = 0; i < HOLDERS; i++)
        for (int r = 0; r < TRP_RESOURCES; r++)
            (holds[i].is_committed ? &committed : &reserved)->of[r] += holds[i].amounts.of[r];
    assert_memory_equal(&reserved, &b->reserved, sizeof reserved);
    assert_memory_equal(&committed, &b->committed, sizeof committed);
}

static void try_to_reserve(struct trp_budget *b, struct trp_hold *hold, struct trp_amounts need)
{
    bool fits = true, ever = true;
    for (int r = 0; r < TRP_RESOURCES; r++) {
        const uint64_t used = b->fixed.of[r] + b->reserved.of[r] + b->committed.of[r];
        fits = fits && (need.of[r] == 0 || used + need.of[r] <= b->limit.of[r]);
        ever = ever && b->fixed.of[r] + need.of[r] <= b->limit.of[r];
    }
    const enum trp_reserve want = fits   ? TRP_RESERVE_DONE
                                  : ever ? TRP_RESERVE_NOT_NOW
                                         : TRP_RESERVE_NEVER;
    assert_int_equal(trp_budget_reserve(b, need, hold), want);
}

static void ten_thousand_steps_agree_with_a_plain_list(void **state)
{
    (void)state;
    struct trp_budget b = { .limit = amounts(200, 24, 9), .fixed = amounts(11, 1, 1) };
    struct trp_hold holds[HOLDERS] = { 0 };
    uint32_t seed = 7;
    for (int step = 0; step < 10000; step++) {
        struct trp_hold *hold = &holds[next_random(&seed) % HOLDERS];
        const struct trp_amounts some = random_amounts(&seed);
        const bool is_held = !trp_amounts_is_zero(hold->amounts);
        if (is_held && next_random(&seed) % 3 == 0)
            trp_budget_commit(&b, hold, some);
        else if (is_held)
            trp_budget_release(&b, hold);
        else
            try_to_reserve(&b, hold, some);
        assert_holds(&b, holds);
    }
    for (int i = 0; i < HOLDERS; i++)
        trp_budget_release(&b, &holds[i]);
    assert_amounts(trp_budget_used(&b), 11, 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reservation_fits_in_every_resource_or_takes_of_none),
        cmocka_unit_test(a_resource_without_a_limit_never_runs_out),
        cmocka_unit_test(a_commitment_is_as_much_as_was_measured),
        cmocka_unit_test(what_was_never_reserved_can_be_committed_too),
        cmocka_unit_test(the_reach_is_what_fixed_and_kept_things_leave),
        cmocka_unit_test(sums_and_differences_end_instead_of_wrapping),
        cmocka_unit_test(a_refusal_has_the_numbers_of_what_is_short),
        cmocka_unit_test(every_resource_has_a_name),
        cmocka_unit_test(ten_thousand_steps_agree_with_a_plain_list),
    };
    return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}

/* Weighted splits: shares, and who moves when they change. */
#include "route/sticky.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"

#define KEYS 1000000u

static struct trp_sticky make(struct trp_arena *arena, const uint32_t *weights, uint32_t n)
{
    struct trp_sticky s = { 0 };
    assert_false(trp_failed(trp_sticky_make(arena, weights, n, &s, NULL)));
    return s;
}

/* Where the keys lie; made once. */
static uint32_t places[KEYS];

static int place_keys(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < KEYS; i++) {
        char text[32];
        const int n = snprintf(text, sizeof text, "user-%u", i);
        places[i] = trp_sticky_place_of_text(7, trp_str_make(text, (size_t)n));
    }
    return 0;
}

/* Looks at every key under two splits: how many have each choice in the second one, and how many
 * moved from where to where. */
struct moves {
    uint32_t shares[8], moved[8][8], all;
};
static struct moves compare(const struct trp_sticky *a, const struct trp_sticky *b)
{
    struct moves m = { .all = 0 };
    for (uint32_t i = 0; i < KEYS; i++) {
        const uint32_t place = places[i], from = trp_sticky_pick(a, place),
                       to = trp_sticky_pick(b, place);
        m.shares[to]++;
        m.moved[from][to] += from != to;
        m.all += from != to;
    }
    return m;
}

static double percent(uint32_t keys)
{
    return 100.0 * keys / KEYS;
}

static void shares_are_within_a_fifth_of_a_percent(void **state)
{
    (void)state;
    static const struct row {
        uint32_t n, weights[5];
    } rows[] = {
        { 1, { 1 } },           { 2, { 95, 5 } },
        { 2, { 5, 95 } },       { 2, { 1, 1 } },
        { 3, { 33, 33, 34 } },  { 3, { 0, 1, 2 } },
        { 3, { 90, 0, 10 } },   { 4, { 40, 30, 20, 10 } },
        { 4, { 1, 97, 1, 1 } }, { 5, { 1, 1, 1, 1, 96 } },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_arena arena;
        trp_arena_init(&arena, trp_heap(), 1024, 0);
        const struct trp_sticky s = make(&arena, r->weights, r->n);
        const struct moves m = compare(&s, &s);
        uint32_t sum = 0;
        for (uint32_t i = 0; i < r->n; i++)
            sum += r->weights[i];
        print_message("row %zu\n", (size_t)(r - rows));
        for (uint32_t i = 0; i < r->n; i++) {
            const double off = percent(m.shares[i]) - 100.0 * r->weights[i] / sum;
            if (off > 0.2 || off < -0.2 || (r->weights[i] == 0 && m.shares[i] > 0))
                fail_msg("choice %u has %.3f %%", i, percent(m.shares[i]));
        }
        trp_arena_deinit(&arena);
    }
}

/* From 5 to 10 %: 5 % of the keys move, all of them from the first choice to the one that grows. */
static void a_canary_takes_its_keys_from_the_first_alone(void **state)
{
    (void)state;
    static const struct row {
        uint32_t n, before[4], after[4], grows;
    } rows[] = {
        { 2, { 95, 5 }, { 90, 10 }, 1 },
        { 3, { 75, 20, 5 }, { 70, 20, 10 }, 2 },
        { 3, { 75, 5, 20 }, { 70, 10, 20 }, 1 },
        { 4, { 80, 5, 5, 10 }, { 75, 5, 10, 10 }, 2 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_arena arena;
        trp_arena_init(&arena, trp_heap(), 1024, 0);
        const struct trp_sticky a = make(&arena, r->before, r->n), b = make(&arena, r->after, r->n);
        const struct moves there = compare(&a, &b), back = compare(&b, &a);
        print_message("row %zu: %.3f %% move\n", (size_t)(r - rows), percent(there.all));
        assert_in_range(there.all, KEYS * 48 / 1000, KEYS * 52 / 1000);
        assert_int_equal(there.all, there.moved[0][r->grows]);
        assert_int_equal(back.all, there.all);
        assert_int_equal(back.all, back.moved[r->grows][0]);
        trp_arena_deinit(&arena);
    }
}

static void one_more_choice_moves_only_what_it_takes(void **state)
{
    (void)state;
    struct trp_arena arena;
    trp_arena_init(&arena, trp_heap(), 1024, 0);
    const uint32_t three[] = { 70, 20, 10, 0 }, four[] = { 62, 20, 10, 8 };
    const struct trp_sticky a = make(&arena, three, 3), b = make(&arena, four, 4);
    const struct moves m = compare(&a, &b);
    assert_int_equal(m.all, m.moved[0][3]);
    assert_in_range(m.all, KEYS * 78 / 1000, KEYS * 82 / 1000);
    trp_arena_deinit(&arena);
}

/* Whatever the change, no more than twice what must move, as long as the first choice has room
 * between the others. */
static void any_change_moves_little(void **state)
{
    (void)state;
    struct trp_random random = { 12 };
    for (int round = 0; round < 20; round++) {
        struct trp_arena arena;
        uint32_t before[3], after[3];
        trp_arena_init(&arena, trp_heap(), 1024, 0);
        for (uint32_t i = 1; i < 3; i++) {
            before[i] = (uint32_t)(trp_random_next(&random) % 250);
            after[i] = (uint32_t)(trp_random_next(&random) % 250);
        }
        before[0] = 1000 - before[1] - before[2];
        after[0] = 1000 - after[1] - after[2];
        const struct trp_sticky a = make(&arena, before, 3), b = make(&arena, after, 3);
        uint32_t must = 0;
        for (uint32_t i = 0; i < 3; i++)
            must += after[i] > before[i] ? after[i] - before[i] : 0;
        assert_in_range(compare(&a, &b).all, 0, KEYS / 1000 * (2 * must + 2));
        trp_arena_deinit(&arena);
    }
}

/* The ring is divided without a gap, by weight, for any number of choices. */
static void spans_cover_the_ring(void **state)
{
    (void)state;
    struct trp_random random = { 13 };
    for (uint32_t round = 0; round < 500; round++) {
        uint32_t weights[TRP_STICKY_CHOICES_MAX];
        uint64_t got[TRP_STICKY_CHOICES_MAX] = { 0 }, sum = 0, next = 0;
        const uint32_t n = 1 + round % TRP_STICKY_CHOICES_MAX;
        struct trp_arena arena;
        trp_arena_init(&arena, trp_heap(), 1024, 0);
        for (uint32_t i = 0; i < n; i++) {
            const uint64_t draw = trp_random_next(&random);
            weights[i] = draw % 5 == 0 ? 0 : (uint32_t)(draw >> (32 + draw % 30));
            sum += weights[i];
        }
        if (sum == 0)
            sum = weights[n - 1] = 1;
        const struct trp_sticky s = make(&arena, weights, n);
        for (uint32_t i = 0; i < s.spans_n; i++) {
            assert_in_range(s.spans[i].last, next, UINT32_MAX);
            got[s.spans[i].choice] += (uint64_t)s.spans[i].last + 1 - next;
            assert_int_equal(trp_sticky_pick(&s, (uint32_t)next), s.spans[i].choice);
            assert_int_equal(trp_sticky_pick(&s, s.spans[i].last), s.spans[i].choice);
            next = (uint64_t)s.spans[i].last + 1;
        }
        assert_int_equal(next, (uint64_t)1 << 32);
        for (uint32_t i = 0; i < n; i++) {
            const double want = 4294967296.0 * weights[i] / (double)sum;
            if ((double)got[i] < want - 1 || (double)got[i] > want + n || (!weights[i] && got[i]))
                fail_msg("%u of %u: %.0f instead of %.0f", i, n, (double)got[i], want);
        }
        trp_arena_deinit(&arena);
    }
}

static void requests_without_a_key_are_spread_evenly_at_once(void **state)
{
    (void)state;
    struct trp_arena arena;
    trp_arena_init(&arena, trp_heap(), 1024, 0);
    const uint32_t weights[] = { 90, 10 };
    const struct trp_sticky s = make(&arena, weights, 2);
    for (uint64_t seed = 0; seed < 50; seed++) {
        uint32_t second = 0;
        for (uint64_t n = 1; n <= 1000; n++) {
            second += trp_sticky_pick(&s, trp_sticky_place_of_turn(seed * 977, n));
            const double off = (double)second - (double)n / 10;
            if (off < -3 || off > 3)
                fail_msg("%u of %u", second, (uint32_t)n);
        }
    }
    trp_arena_deinit(&arena);
}

static void keys_are_what_they_are(void **state)
{
    (void)state;
    const uint32_t seven = trp_sticky_place_of_int(3, 7);
    assert_int_equal(seven, trp_sticky_place_of_double(3, 7.0));
    assert_int_equal(trp_sticky_place_of_int(3, 0), trp_sticky_place_of_double(3, -0.0));
    assert_int_not_equal(seven, trp_sticky_place_of_text(3, TRP_STR_LIT("7")));
    assert_int_not_equal(seven, trp_sticky_place_of_double(3, 7.5));
    assert_int_not_equal(seven, trp_sticky_place_of_int(4, 7));
    assert_int_equal(trp_sticky_place_of_double(3, strtod("nan", NULL)),
                     trp_sticky_place_of_double(3, -strtod("nan", NULL)));
    (void)trp_sticky_place_of_double(3, 1e300);
    (void)trp_sticky_place_of_double(3, strtod("inf", NULL));
    (void)trp_sticky_place_of_text(3, trp_str_of(NULL));
    assert_int_not_equal(trp_sticky_seed(TRP_STR_LIT("a")), trp_sticky_seed(TRP_STR_LIT("b")));
}

/* Who is in the canary of one route is so no more often in that of another. */
static void seeds_make_splits_independent(void **state)
{
    (void)state;
    struct trp_arena arena;
    trp_arena_init(&arena, trp_heap(), 1024, 0);
    const uint32_t weights[] = { 90, 10 };
    const struct trp_sticky s = make(&arena, weights, 2);
    uint32_t both = 0;
    for (int64_t i = 0; i < 100000; i++)
        both += trp_sticky_pick(&s, trp_sticky_place_of_int(1, i)) &
                trp_sticky_pick(&s, trp_sticky_place_of_int(2, i));
    assert_in_range(both, 800, 1200);
    trp_arena_deinit(&arena);
}

static void impossible_splits_are_refused(void **state)
{
    (void)state;
    struct trp_arena arena;
    struct trp_sticky s;
    struct trp_error err = { 0 };
    uint32_t weights[TRP_STICKY_CHOICES_MAX + 1] = { 0 };
    trp_arena_init(&arena, trp_heap(), 1024, 0);
    assert_int_equal(trp_sticky_make(&arena, weights, 0, &s, &err).code, TRP_INVALID_ARGUMENT);
    assert_int_equal(trp_sticky_make(&arena, weights, 3, &s, &err).code, TRP_INVALID_ARGUMENT);
    assert_string_equal(err.text, "all weights of the split are 0");
    weights[0] = 1;
    assert_int_equal(trp_sticky_make(&arena, weights, TRP_STICKY_CHOICES_MAX + 1, &s, &err).code,
                     TRP_INVALID_ARGUMENT);
    trp_arena_deinit(&arena);
    trp_arena_init(&arena, trp_heap(), 16, 16);
    assert_int_equal(trp_sticky_make(&arena, weights, 9, &s, &err).code, TRP_OUT_OF_MEMORY);
    trp_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_within_a_fifth_of_a_percent),
        cmocka_unit_test(a_canary_takes_its_keys_from_the_first_alone),
        cmocka_unit_test(one_more_choice_moves_only_what_it_takes),
        cmocka_unit_test(any_change_moves_little),
        cmocka_unit_test(spans_cover_the_ring),
        cmocka_unit_test(requests_without_a_key_are_spread_evenly_at_once),
        cmocka_unit_test(keys_are_what_they_are),
        cmocka_unit_test(seeds_make_splits_independent),
        cmocka_unit_test(impossible_splits_are_refused),
    };
    return cmocka_run_group_tests_name("sticky", tests, place_keys, NULL);
}

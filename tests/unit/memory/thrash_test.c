/* tests/unit/memory/thrash_test.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/str.h"
#include "memory/thrash.h"

#define S(n) ((int64_t)((n)*1e9))
#define GHOSTS 64

static const struct trp_thrash_opts opts = { .window_ns = S(600),
                                             .half_life_ns = S(60),
                                             .begin_ratio = 0.10,
                                             .end_ratio = 0.05,
                                             .returns_min = 3 };

static void what_was_never_evicted_is_no_loss(void **state)
{
    (void)state;
    struct trp_ghost ghosts[GHOSTS];
    struct trp_thrash t;
    trp_thrash_init(&t, &opts, ghosts, GHOSTS);
    assert_false(trp_thrash_wanted(&t, 1, S(1), S(10)));
    const struct trp_thrash_seen seen = trp_thrash_look(&t, S(10));
    assert_false(seen.is_thrashing || seen.has_changed);
    assert_true(seen.waste_ratio == 0);
    assert_int_equal(seen.cure_bytes, 0);
}

static void a_return_counts_once_and_within_the_window(void **state)
{
    (void)state;
    struct trp_ghost ghosts[GHOSTS];
    struct trp_thrash t;
    trp_thrash_init(&t, &opts, ghosts, GHOSTS);
    trp_thrash_evicted(&t, 1, 100, S(10));
    trp_thrash_evicted(&t, 2, 100, S(10));
    trp_thrash_evicted(&t, 3, 100, S(10));
    assert_true(trp_thrash_wanted(&t, 1, S(1), S(610)));
    assert_false(trp_thrash_wanted(&t, 1, S(1), S(610))); /* it is in */
    assert_false(trp_thrash_wanted(&t, 2, S(1), S(611))); /* that was rightly evicted */
    trp_thrash_forget(&t, 3);
    trp_thrash_forget(&t, 4);
    assert_false(trp_thrash_wanted(&t, 3, S(1), S(20)));
    assert_int_equal(t.evictions, 3);
    assert_int_equal(t.returns, 1);
}

/* Wants 1, 2, 3 in a circle; each takes a second to load, one each `every_s`, and the next goes. */
static int64_t go_in_circles(struct trp_thrash *t, int loads, double every_s, int64_t now_ns)
{
    for (int i = 0; i < loads; i++) {
        now_ns += S(every_s);
        (void)trp_thrash_wanted(t, 1 + (uint64_t)i % 3, S(1), now_ns);
        trp_thrash_evicted(t, 1 + (uint64_t)(i + 1) % 3, 100, now_ns);
    }
    return now_ns;
}

static void it_begins_above_one_mark_and_ends_below_a_lower_one(void **state)
{
    (void)state;
    struct trp_ghost ghosts[GHOSTS];
    struct trp_thrash t;
    trp_thrash_init(&t, &opts, ghosts, GHOSTS);
    int64_t now_ns = go_in_circles(&t, 100, 5, S(1)); /* a fifth of the time */
    struct trp_thrash_seen seen = trp_thrash_look(&t, now_ns);
    assert_true(seen.is_thrashing && seen.has_changed);
    assert_true(seen.waste_ratio > 0.15 && seen.waste_ratio < 0.25);
    seen = trp_thrash_look(&t, now_ns);
    assert_true(seen.is_thrashing && !seen.has_changed);
    now_ns = go_in_circles(&t, 40, 14, now_ns); /* a fourteenth: between the marks */
    seen = trp_thrash_look(&t, now_ns);
    assert_true(seen.waste_ratio > 0.05 && seen.waste_ratio < 0.10);
    assert_true(seen.is_thrashing && !seen.has_changed);
    now_ns += S(60);
    seen = trp_thrash_look(&t, now_ns);
    assert_true(!seen.is_thrashing && seen.has_changed);
    assert_int_equal(seen.cure_bytes, 0);
    now_ns = go_in_circles(&t, 40, 14, now_ns); /* between the marks, from below */
    assert_false(trp_thrash_look(&t, now_ns).is_thrashing);
    assert_int_equal(t.episodes, 1);
}

static void one_long_load_is_chance(void **state)
{
    (void)state;
    struct trp_ghost ghosts[GHOSTS];
    struct trp_thrash t;
    trp_thrash_init(&t, &opts, ghosts, GHOSTS);
    trp_thrash_evicted(&t, 1, 100, S(10));
    assert_true(trp_thrash_wanted(&t, 1, S(100), S(20)));
    const struct trp_thrash_seen seen = trp_thrash_look(&t, S(20));
    assert_true(seen.waste_ratio > 1);
    assert_false(seen.is_thrashing);
    assert_int_equal(seen.cure_bytes, 100);
}

static void the_ghost_without_news_for_longest_gives_up_its_place(void **state)
{
    (void)state;
    struct trp_ghost ghosts[2];
    struct trp_thrash t;
    trp_thrash_init(&t, &opts, ghosts, 2);
    trp_thrash_evicted(&t, 1, 100, S(1));
    trp_thrash_evicted(&t, 2, 100, S(2));
    trp_thrash_evicted(&t, 1, 100, S(3));
    trp_thrash_evicted(&t, 3, 100, S(4));
    assert_false(trp_thrash_wanted(&t, 2, S(1), S(5)));
    assert_true(trp_thrash_wanted(&t, 1, S(1), S(5)));
    assert_true(trp_thrash_wanted(&t, 3, S(1), S(5)));
    trp_thrash_init(&t, &opts, ghosts, 0); /* no room for any */
    trp_thrash_evicted(&t, 1, 100, S(1));
    assert_false(trp_thrash_wanted(&t, 1, S(1), S(2)));
}

/* --- the cure, tried out
 * ----------------------------------------------------------------------- */

#define MODELS 40

/* A memory of `budget` bytes that throws out whoever was asked for least recently. */
struct memory {
    uint64_t bytes[MODELS], used, budget;
    int64_t asked_ns[MODELS];
    bool is_in[MODELS];
    struct trp_ghost ghosts[GHOSTS];
    struct trp_thrash t;
};

static void memory_init(struct memory *m, const uint64_t *bytes, uint64_t budget)
{
    memset(m, 0, sizeof *m);
    memcpy(m->bytes, bytes, sizeof m->bytes);
    m->budget = budget;
    trp_thrash_init(&m->t, &opts, m->ghosts, GHOSTS);
}

static void request(struct memory *m, uint32_t id, int64_t now_ns)
{
    m->asked_ns[id] = now_ns;
    if (m->is_in[id])
        return;
    (void)trp_thrash_wanted(&m->t, id, S(0.5), now_ns);
    while (m->used + m->bytes[id] > m->budget) {
        uint32_t oldest = MODELS;
        for (uint32_t i = 0; i < MODELS; i++)
            if (m->is_in[i] && (oldest == MODELS || m->asked_ns[i] < m->asked_ns[oldest]))
                oldest = i;
        m->is_in[oldest] = false;
        m->used -= m->bytes[oldest];
        trp_thrash_evicted(&m->t, oldest, m->bytes[oldest], now_ns);
    }
    m->is_in[id] = true;
    m->used += m->bytes[id];
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Requests, one a second: in a circle over all of `n`, or mostly for the first ones of them. */
static struct trp_thrash_seen run(struct memory *m, uint32_t n, bool is_circle)
{
    uint32_t seed = 9;
    for (uint32_t i = 0; i < 2000; i++) {
        const uint32_t any = next_random(&seed) % n, skewed = any * (next_random(&seed) % n) / n;
        request(m, is_circle ? i % n : skewed, S(1 + i));
    }
    return trp_thrash_look(&m->t, S(2001));
}

static void a_circle_lacks_exactly_what_does_not_fit(void **state)
{
    (void)state;
    uint64_t bytes[MODELS];
    struct memory m;
    for (uint32_t i = 0; i < MODELS; i++)
        bytes[i] = 100;
    for (uint32_t fit = 5; fit < 30; fit += 6) {
        print_message("room for %d of 30\n", (int)fit);
        memory_init(&m, bytes, 100 * fit + 50);
        const struct trp_thrash_seen seen = run(&m, 30, true);
        assert_true(seen.is_thrashing);
        assert_int_equal(seen.cure_bytes, 100 * (30 - fit));
        memory_init(&m, bytes, 100 * fit + 50 + seen.cure_bytes);
        assert_true(run(&m, 30, true).waste_ratio == 0);
    }
}

static void with_the_cure_it_is_no_thrashing_any_more(void **state)
{
    (void)state;
    uint32_t seed = 4, thrashed = 0;
    for (int round = 0; round < 60; round++) {
        const bool is_circle = round % 2 == 0;
        uint64_t bytes[MODELS], sum = 0, largest = 0;
        struct memory m;
        for (uint32_t i = 0; i < MODELS; i++) {
            bytes[i] = 10 + next_random(&seed) % 200;
            sum += bytes[i];
            largest = bytes[i] > largest ? bytes[i] : largest;
        }
        const uint64_t budget = largest + next_random(&seed) % (sum / 2);
        memory_init(&m, bytes, budget);
        const struct trp_thrash_seen sick = run(&m, MODELS, is_circle);
        thrashed += sick.is_thrashing;
        /* Sizes differ, so what is evicted for room may leave a corner; of one model at most. */
        memory_init(&m, bytes, budget + sick.cure_bytes + largest);
        const struct trp_thrash_seen cured = run(&m, MODELS, is_circle);
        print_message("%s, %d of %d bytes: waste %.3f, lacks %d; then %.3f\n",
                      is_circle ? "circle" : "skewed", (int)budget, (int)sum, sick.waste_ratio,
                      (int)sick.cure_bytes, cured.waste_ratio);
        assert_false(cured.is_thrashing);
        assert_true(budget + sick.cure_bytes <= sum + largest); /* and not just everything */
    }
    assert_true(thrashed > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_never_evicted_is_no_loss),
        cmocka_unit_test(a_return_counts_once_and_within_the_window),
        cmocka_unit_test(it_begins_above_one_mark_and_ends_below_a_lower_one),
        cmocka_unit_test(one_long_load_is_chance),
        cmocka_unit_test(the_ghost_without_news_for_longest_gives_up_its_place),
        cmocka_unit_test(a_circle_lacks_exactly_what_does_not_fit),
        cmocka_unit_test(with_the_cure_it_is_no_thrashing_any_more),
    };
    return cmocka_run_group_tests_name("thrash", tests, NULL, NULL);
}

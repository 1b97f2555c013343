/* tests/unit/memory/eviction_test.c
 *
 * Rows for what the policy promises; then thousands of random situations, beside a plain reference
 * that adds up bytes the slow way and tries every set of residents there is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "memory/eviction.h"

#define S(n) ((int64_t)((n)*1e9))
#define NOW S(1000)
#define HALF_LIFE S(300)
#define MANY 16

static const struct trp_eviction_opts by_cost = { .half_life_ns = HALF_LIFE, .fresh_ns = S(10) };
static const struct trp_eviction_opts by_age = { .policy = TRP_EVICTION_LRU,
                                                 .half_life_ns = HALF_LIFE,
                                                 .fresh_ns = S(10) };

/* A resident that takes `bytes`, costs `cost` (reload seconds per second) and came long ago. */
static struct trp_resident resident(uint64_t bytes, double cost)
{
    struct trp_resident r = { .loaded_ns = S(1), .reload_ns = S(1) };
    r.own.of[TRP_RESOURCE_BYTES] = bytes;
    r.rate = (struct trp_rate){ .weight = cost * (double)HALF_LIFE / 1e9 / log(2), .at_ns = NOW };
    return r;
}

/* A full budget with these residents in it. */
struct house {
    struct trp_resident all[MANY];
    struct trp_shared shared[MANY];
    struct trp_residents who;
    struct trp_budget budget;
    uint32_t victims[MANY];
    struct trp_eviction e;
};

static void move_in(struct house *h, const struct trp_resident *all, uint32_t n)
{
    memcpy(h->all, all, n * sizeof *all);
    h->who = (struct trp_residents){ h->all, n, h->shared, MANY };
    for (uint32_t i = 0; i < n; i++)
        h->budget.committed = trp_amounts_sum(h->budget.committed, all[i].own);
    for (uint32_t i = 0; i < MANY; i++)
        h->budget.committed.of[TRP_RESOURCE_BYTES] += h->shared[i].bytes;
    if (h->budget.limit.of[TRP_RESOURCE_BYTES] == 0)
        h->budget.limit = h->budget.committed;
}

static enum trp_fit ask(struct house *h, const struct trp_eviction_opts *opts, uint64_t bytes)
{
    const struct trp_eviction_need need = { .budget = &h->budget, .amounts = { { bytes } } };
    return trp_eviction_decide(opts, &h->who, &need, NOW, h->victims, &h->e);
}

static void assert_victims(const struct house *h, const char *want)
{
    char got[MANY + 1] = "";
    for (uint32_t i = 0; i < h->e.victims_n; i++)
        got[i] = (char)('a' + h->victims[i]);
    assert_string_equal(got, want);
}

/* --- rows
 * -------------------------------------------------------------------------------------- */

static void who_costs_least_for_what_it_frees_goes_first(void **state)
{
    (void)state;
    static const struct row {
        struct {
            uint64_t bytes;
            double cost;
        } all[5];
        uint64_t need;
        const char *cost, *lru; /* the first one was asked for longest ago */
    } rows[] = {
        { { { 100, 1 }, { 100, 2 }, { 100, 3 } }, 100, "a", "a" },
        { { { 100, 3 }, { 100, 2 }, { 100, 1 } }, 100, "c", "a" },
        { { { 100, 3 }, { 100, 2 }, { 100, 1 } }, 200, "cb", "ab" },
        { { { 100, 3 }, { 100, 2 }, { 100, 1 } }, 300, "cba", "abc" },
        /* one of twice the size and less than twice the cost */
        { { { 100, 1 }, { 200, 1.5 }, { 100, 1 } }, 200, "b", "ab" },
        /* several small ones for a large one, where they cost less together, and only there */
        { { { 400, 5 }, { 100, 1 }, { 100, 1 }, { 100, 1 }, { 100, 1 } }, 400, "bcde", "a" },
        { { { 400, 3.9 }, { 100, 1 }, { 100, 1 }, { 100, 1 }, { 100, 1 } }, 400, "a", "a" },
        /* a small one that was taken first is not needed beside the large one */
        { { { 10, 0.01 }, { 100, 1 }, { 500, 50 } }, 100, "b", "ab" },
        /* the small one and what completes it */
        { { { 90, 0.01 }, { 100, 9 }, { 10, 1 } }, 100, "ac", "ab" },
        /* nobody asks for it any more: it costs nothing, whatever it frees */
        { { { 100, 0 }, { 900, 0.001 }, { 100, 0 } }, 150, "ac", "ac" },
        { { { 100, 1 }, { 100, 1 }, { 100, 1 } }, 100, "a", "a" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_resident all[5];
        uint32_t n = 0;
        for (; n < 5 && r->all[n].bytes; n++) {
            all[n] = resident(r->all[n].bytes, r->all[n].cost);
            all[n].loaded_ns = S(1 + n);
            all[n].rate.at_ns = r->all[n].cost > 0 ? NOW + (int64_t)n : S(n);
        }
        struct house h = { 0 }, old = { 0 };
        print_message("row %d\n", (int)(r - rows));
        move_in(&h, all, n);
        assert_int_equal(ask(&h, &by_cost, r->need), TRP_FIT_EVICT);
        assert_victims(&h, r->cost);
        move_in(&old, all, n);
        assert_int_equal(ask(&old, &by_age, r->need), TRP_FIT_EVICT);
        assert_victims(&old, r->lru);
    }
}

/* Who would go when more and more room is wanted, as letters. */
static void assert_order(struct house *h, const struct trp_eviction_opts *opts, uint32_t max,
                         const char *want)
{
    char got[MANY + 1] = "";
    const uint32_t n = trp_eviction_order(opts, &h->who, NOW, h->victims, max);
    for (uint32_t i = 0; i < n; i++)
        got[i] = (char)('a' + h->victims[i]);
    assert_string_equal(got, want);
    for (uint32_t i = 0; i < h->who.n; i++)
        assert_false(h->all[i].is_taken);
}

static void the_order_is_that_of_wishes_for_more_and_more_room(void **state)
{
    (void)state;
    struct resident_row {
        uint64_t bytes;
        double cost;
    } rows[] = { { 100, 3 }, { 100, 1 }, { 300, 6 }, { 100, 0.5 }, { 100, 0.1 } };
    struct trp_resident all[5];
    struct house h = { 0 };
    for (uint32_t i = 0; i < 5; i++) {
        all[i] = resident(rows[i].bytes, rows[i].cost);
        all[i].loaded_ns = S(1 + i);
    }
    all[4].is_pinned = true;
    all[3].in_flight = 1;
    move_in(&h, all, 5);
    assert_order(&h, &by_cost, MANY, "bca");
    assert_order(&h, &by_cost, 2, "bc");
    assert_order(&h, &by_cost, 0, "");
    assert_int_equal(h.all[4].standing, TRP_STANDING_PINNED);
    assert_int_equal(h.all[3].standing, TRP_STANDING_BUSY);
    assert_float_equal(h.all[2].score, 6.0 / 300, 1e-12);
    for (uint32_t i = 0; i < 5; i++)
        h.all[i].rate.at_ns = S(5 - i);
    assert_order(&h, &by_age, MANY, "cba");
}

static void who_share_stand_together_in_the_order(void **state)
{
    (void)state;
    static const uint32_t base[] = { 0 };
    struct trp_resident all[3] = { resident(10, 1), resident(10, 1.1), resident(100, 0.5) };
    struct house h = { .shared = { { .bytes = 1000 } } };
    all[0].shared = all[1].shared = base; /* alone neither frees much, together they free most */
    all[0].shared_n = all[1].shared_n = 1;
    move_in(&h, all, 3);
    assert_order(&h, &by_cost, MANY, "abc");
    assert_int_equal(h.all[0].frees.of[TRP_RESOURCE_BYTES], 10);
}

static void the_cost_is_rate_times_reload_seconds_times_weight(void **state)
{
    (void)state;
    struct trp_resident r = resident(1000, 2);
    struct house h = { 0 };
    r.reload_ns = S(3);
    r.weight = 0.5;
    move_in(&h, &r, 1);
    assert_int_equal(ask(&h, &by_cost, 1), TRP_FIT_EVICT);
    assert_float_equal(h.all[0].cost, 2 * 3 * 0.5, 1e-9);
    assert_float_equal(h.all[0].score, 3.0 / 1000, 1e-12);
    assert_float_equal(h.e.cost, 3, 1e-9);
    assert_int_equal(h.all[0].frees.of[TRP_RESOURCE_BYTES], 1000);
    assert_int_equal(h.e.missing.of[TRP_RESOURCE_BYTES], 1);
    assert_int_equal(h.e.freed.of[TRP_RESOURCE_BYTES], 1000);
}

static void what_has_room_throws_nobody_out(void **state)
{
    (void)state;
    const struct trp_resident all[] = { resident(100, 1) };
    struct house h = { .budget.limit = { { 150 } } };
    move_in(&h, all, 1);
    assert_int_equal(ask(&h, &by_cost, 50), TRP_FIT_FREE);
    assert_int_equal(h.e.victims_n, 0);
    assert_int_equal(ask(&h, &by_cost, 51), TRP_FIT_EVICT);
    assert_int_equal(ask(&h, &by_cost, 0), TRP_FIT_FREE);
}

static void pinned_busy_and_just_loaded_ones_are_safe(void **state)
{
    (void)state;
    static const struct row {
        bool is_pinned;
        uint32_t in_flight;
        int64_t loaded_ns, safe_until_ns, reload_ns;
        uint32_t fresh_reloads;
        enum trp_standing want;
        int64_t retry_ns;
    } rows[] = {
        { false, 0, 0, 0, 0, 0, TRP_STANDING_MAY_GO, INT64_MAX },
        { true, 0, 0, 0, 0, 0, TRP_STANDING_PINNED, INT64_MAX },
        { true, 3, NOW, 0, 0, 0, TRP_STANDING_PINNED, INT64_MAX },
        { false, 1, NOW, 0, 0, 0, TRP_STANDING_BUSY, INT64_MAX },
        { false, 0, NOW, 0, 0, 0, TRP_STANDING_FRESH, NOW + S(10) },
        { false, 0, NOW - S(10) + 1, 0, 0, 0, TRP_STANDING_FRESH, NOW + 1 },
        { false, 0, NOW - S(10), 0, 0, 0, TRP_STANDING_MAY_GO, INT64_MAX },
        { false, 0, 0, NOW + 1, 0, 0, TRP_STANDING_FRESH, NOW + 1 },
        { false, 0, 0, NOW, 0, 0, TRP_STANDING_MAY_GO, INT64_MAX },
        { false, 0, NOW - S(15), 0, S(4), 5, TRP_STANDING_FRESH, NOW + S(5) },
        { false, 0, NOW - S(15), 0, S(4), 0, TRP_STANDING_MAY_GO, INT64_MAX },
        { false, 0, NOW, 0, INT64_MAX, 9, TRP_STANDING_FRESH, INT64_MAX },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_resident one = resident(100, 1);
        struct trp_eviction_opts opts = by_cost;
        struct house h = { 0 };
        one.is_pinned = r->is_pinned;
        one.in_flight = r->in_flight;
        one.loaded_ns = r->loaded_ns;
        one.safe_until_ns = r->safe_until_ns;
        one.reload_ns = r->reload_ns;
        opts.fresh_reloads = r->fresh_reloads;
        print_message("row %d\n", (int)(r - rows));
        move_in(&h, &one, 1);
        (void)ask(&h, &opts, 100);
        assert_int_equal(h.all[0].standing, r->want);
        assert_int_equal(h.e.standing_n[r->want], 1);
        assert_int_equal(h.e.retry_ns, r->retry_ns);
        const enum trp_fit want = r->want == TRP_STANDING_MAY_GO   ? TRP_FIT_EVICT
                                  : r->want == TRP_STANDING_PINNED ? TRP_FIT_NEVER
                                                                   : TRP_FIT_NOT_NOW;
        assert_int_equal(h.e.fit, want);
    }
}

static void what_can_never_fit_is_told_before_anybody_is_thrown_out(void **state)
{
    (void)state;
    struct trp_resident all[] = { resident(100, 1), resident(200, 1), resident(300, 1) };
    struct house h = { .budget = { .limit = { { 1000 } }, .fixed = { { 150 } } } };
    const struct trp_eviction_need need = { .budget = &h.budget, .amounts = { { 651 } } };
    struct trp_error err = { 0 };
    all[1].is_pinned = true;
    all[2].in_flight = 1;
    move_in(&h, all, 3);
    assert_int_equal(ask(&h, &by_cost, 650), TRP_FIT_NOT_NOW);
    assert_int_equal(h.e.evictable.of[TRP_RESOURCE_BYTES], 100);
    assert_int_equal(h.e.victims_n, 0);
    assert_int_equal(ask(&h, &by_cost, 651), TRP_FIT_NEVER);
    assert_int_equal(h.e.victims_n, 0);
    assert_int_equal(h.e.reach.of[TRP_RESOURCE_BYTES], 650);
    assert_int_equal(trp_eviction_refuse(&h.e, &need, &err).code, TRP_OVER_BUDGET);
    assert_string_equal(err.text, "needs 651 bytes; at most 650 of 1000 can be had");
}

static void a_refusal_for_now_says_who_stands_in_the_way(void **state)
{
    (void)state;
    struct trp_resident all[] = { resident(100, 1), resident(200, 1), resident(300, 1) };
    struct house h = { 0 };
    const struct trp_eviction_need need = { .budget = &h.budget, .amounts = { { 500 } } };
    struct trp_error err = { 0 };
    all[1].loaded_ns = NOW;
    all[2].in_flight = 1;
    move_in(&h, all, 3);
    assert_int_equal(ask(&h, &by_cost, 500), TRP_FIT_NOT_NOW);
    (void)trp_eviction_refuse(&h.e, &need, &err);
    assert_string_equal(err.text,
                        "1 busy, 0 pinned, 1 just loaded: needs 500 bytes; now 100 of 600 "
                        "can be had");
}

static void what_nobody_waits_for_does_not_throw_out_what_is_worth_more(void **state)
{
    (void)state;
    const struct trp_resident all[] = { resident(100, 1), resident(100, 1), resident(100, 9) };
    static const struct row {
        double worth;
        enum trp_fit want;
    } rows[] = {
        { 0, TRP_FIT_EVICT },
        { 2.1, TRP_FIT_EVICT },
        { 2.0, TRP_FIT_NOT_WORTH },
        { 0.1, TRP_FIT_NOT_WORTH },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct house h = { 0 };
        struct trp_error err = { 0 };
        move_in(&h, all, 3);
        const struct trp_eviction_need need = { &h.budget, { { 200 } }, r->worth };
        print_message("worth %g\n", r->worth);
        assert_int_equal(trp_eviction_decide(&by_cost, &h.who, &need, NOW, h.victims, &h.e),
                         r->want);
        assert_int_equal(h.e.victims_n, 2);
        if (r->want == TRP_FIT_NOT_WORTH) {
            (void)trp_eviction_refuse(&h.e, &need, &err);
            assert_string_equal(err.text, "2 models that are worth more would have to go");
        }
    }
}

static void a_shared_blob_is_free_when_its_last_user_goes(void **state)
{
    (void)state;
    static const uint32_t base[] = { 0 };
    static const struct row {
        uint64_t need;
        bool is_wanted, is_one_busy;
        enum trp_fit want;
        const char *victims;
    } rows[] = {
        { 10, false, false, TRP_FIT_EVICT, "a" },     { 20, false, false, TRP_FIT_EVICT, "ab" },
        { 400, false, false, TRP_FIT_EVICT, "abc" }, /* with the base */
        { 430, false, false, TRP_FIT_EVICT, "abc" },  { 431, false, false, TRP_FIT_EVICT, "d" },
        { 400, false, true, TRP_FIT_EVICT, "d" }, /* the base has to stay */
        { 1010, false, true, TRP_FIT_EVICT, "ad" },   { 1030, false, true, TRP_FIT_NOT_NOW, "" },
        { 400, true, false, TRP_FIT_EVICT, "d" }, /* it is the newcomer's too */
        { 1030, true, false, TRP_FIT_EVICT, "abcd" }, { 1031, true, false, TRP_FIT_NEVER, "" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_resident all[] = { resident(10, 1), resident(10, 1.1), resident(10, 1.2),
                                      resident(1000, 1000) };
        struct house h = { 0 };
        for (int i = 0; i < 3; i++) {
            all[i].shared = base;
            all[i].shared_n = 1;
        }
        all[2].in_flight = r->is_one_busy;
        h.shared[0] = (struct trp_shared){ .bytes = 400, .is_wanted = r->is_wanted };
        print_message("row %d\n", (int)(r - rows));
        move_in(&h, all, 4);
        assert_int_equal(h.budget.limit.of[TRP_RESOURCE_BYTES], 1430);
        assert_int_equal(ask(&h, &by_cost, r->need), r->want);
        assert_victims(&h, r->victims);
    }
}

/* Eight variants of one base: alone each frees so little that a hundred others would go first. */
static void variants_are_seen_as_what_they_free_together(void **state)
{
    (void)state;
    static const uint32_t base[] = { 0 };
    struct trp_resident all[MANY];
    struct house h = { 0 };
    for (uint32_t i = 0; i < 8; i++) {
        all[i] = resident(3, 1);
        all[i].shared = base;
        all[i].shared_n = 1;
    }
    for (uint32_t i = 8; i < MANY; i++)
        all[i] = resident(50, 1.5);
    h.shared[0].bytes = 400;
    move_in(&h, all, MANY);
    assert_int_equal(ask(&h, &by_cost, 400), TRP_FIT_EVICT);
    assert_victims(&h, "abcdefgh");
    assert_float_equal(h.e.cost, 8, 1e-6);
    assert_int_equal(h.e.freed.of[TRP_RESOURCE_BYTES], 424);
    assert_int_equal(h.all[0].frees.of[TRP_RESOURCE_BYTES], 3);
    assert_int_equal(h.all[0].part_bytes, 3 + 400 / 8);
    assert_int_equal(h.all[8].part_bytes, 0);
    assert_int_equal(ask(&h, &by_cost, 45), TRP_FIT_EVICT);
    assert_victims(&h, "i");
}

static void two_that_own_nothing_free_what_they_share(void **state)
{
    (void)state;
    static const uint32_t base[] = { 0 };
    struct trp_resident all[] = { resident(0, 1), resident(0, 2) };
    struct house h = { 0 };
    all[0].shared = all[1].shared = base;
    all[0].shared_n = all[1].shared_n = 1;
    h.shared[0].bytes = 100;
    move_in(&h, all, 2);
    assert_int_equal(ask(&h, &by_cost, 100), TRP_FIT_EVICT);
    assert_int_equal(h.e.victims_n, 2);
    assert_true(isinf(h.all[0].score));
}

static void mappings_and_descriptors_are_made_room_for_too(void **state)
{
    (void)state;
    struct trp_resident all[] = { resident(500, 1), resident(100, 2), resident(100, 3) };
    struct house h = { 0 };
    all[0].own.of[TRP_RESOURCE_MAPPINGS] = 2;
    all[1].own.of[TRP_RESOURCE_MAPPINGS] = 150;
    all[2].own.of[TRP_RESOURCE_MAPPINGS] = 150;
    move_in(&h, all, 3);
    h.budget.limit.of[TRP_RESOURCE_MAPPINGS] = 310;
    struct trp_eviction_need need = { .budget = &h.budget, .amounts = { { 0, 100, 0 } } };
    assert_int_equal(trp_eviction_decide(&by_cost, &h.who, &need, NOW, h.victims, &h.e),
                     TRP_FIT_EVICT);
    assert_victims(&h, "b");
    need.amounts = (struct trp_amounts){ { 300, 100, 0 } };
    assert_int_equal(trp_eviction_decide(&by_cost, &h.who, &need, NOW, h.victims, &h.e),
                     TRP_FIT_EVICT);
    assert_victims(&h, "ab");
    need.amounts = (struct trp_amounts){ { 0, 311, 0 } };
    assert_int_equal(trp_eviction_decide(&by_cost, &h.who, &need, NOW, h.victims, &h.e),
                     TRP_FIT_NEVER);
}

/* It was measured, and is more than was reserved: who comes next has to make room for that too. */
static void what_is_used_beyond_the_limit_is_made_room_for_first(void **state)
{
    (void)state;
    const struct trp_resident all[] = { resident(100, 1), resident(100, 2), resident(100, 3) };
    struct house h = { .budget.limit = { { 250 } } };
    move_in(&h, all, 3);
    assert_int_equal(ask(&h, &by_cost, 0), TRP_FIT_EVICT);
    assert_victims(&h, "a");
    assert_int_equal(h.e.missing.of[TRP_RESOURCE_BYTES], 50);
    assert_int_equal(ask(&h, &by_cost, 60), TRP_FIT_EVICT);
    assert_victims(&h, "ab");
    assert_int_equal(ask(&h, &by_cost, 250), TRP_FIT_EVICT);
    assert_victims(&h, "abc");
}

static void an_empty_house_has_nobody_to_throw_out(void **state)
{
    (void)state;
    struct house h = { .budget = { .limit = { { 100 } }, .reserved = { { 60 } } } };
    move_in(&h, h.all, 0);
    assert_int_equal(ask(&h, &by_cost, 40), TRP_FIT_FREE);
    assert_int_equal(ask(&h, &by_cost, 41), TRP_FIT_NOT_NOW); /* until the reservation ends */
    assert_int_equal(ask(&h, &by_cost, 101), TRP_FIT_NEVER);
}

static void everything_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(trp_eviction_policy_name(TRP_EVICTION_COST), "cost");
    assert_string_equal(trp_eviction_policy_name(TRP_EVICTION_LRU), "lru");
    assert_string_equal(trp_eviction_policy_name(TRP_EVICTION_POLICIES), "unknown");
    assert_string_equal(trp_standing_name(TRP_STANDING_MAY_GO), "may go");
    assert_string_equal(trp_standing_name(TRP_STANDING_PINNED), "pinned");
    assert_string_equal(trp_standing_name(TRP_STANDING_BUSY), "busy");
    assert_string_equal(trp_standing_name(TRP_STANDING_FRESH), "just loaded");
    assert_string_equal(trp_standing_name(TRP_STANDINGS), "unknown");
}

/* --- the plain reference
 * ----------------------------------------------------------------------- */

#define FEW 9 /* residents, so that all 512 sets of them can be tried */
#define BLOBS 4

struct world {
    struct house h;
    uint32_t lists[FEW][BLOBS];
    struct trp_eviction_need need;
    bool is_shared, is_many_resources;
};

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static bool is_chance(uint32_t *seed, uint32_t of_ten)
{
    return next_random(seed) % 10 < of_ten;
}

static struct trp_resident random_resident(uint32_t *seed, bool is_many_resources)
{
    const double cost = is_chance(seed, 1) ? 0 : exp((next_random(seed) % 1000) / 200.0 - 3);
    struct trp_resident r = resident(1 + next_random(seed) % 300, cost);
    r.reload_ns = S(0.1) + (int64_t)(next_random(seed) % 1000) * 1000000;
    r.loaded_ns = is_chance(seed, 1) ? NOW - S(5) : S(next_random(seed) % 500);
    r.rate.at_ns = S(next_random(seed) % 1000);
    r.is_pinned = is_chance(seed, 1);
    r.in_flight = is_chance(seed, 1);
    if (is_many_resources) {
        r.own.of[TRP_RESOURCE_MAPPINGS] = next_random(seed) % 20;
        r.own.of[TRP_RESOURCE_DESCRIPTORS] = next_random(seed) % 4;
    }
    return r;
}

static void make_world(struct world *w, uint32_t *seed)
{
    struct trp_resident all[FEW];
    const uint32_t n = 1 + next_random(seed) % FEW;
    memset(w, 0, sizeof *w);
    w->is_shared = is_chance(seed, 5);
    w->is_many_resources = is_chance(seed, 3);
    for (uint32_t i = 0; i < n; i++) {
        all[i] = random_resident(seed, w->is_many_resources);
        for (uint32_t b = 0; w->is_shared && b < BLOBS; b++)
            if (is_chance(seed, 4))
                w->lists[i][all[i].shared_n++] = b;
        all[i].shared = w->lists[i];
    }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t b = 0; b < all[i].shared_n; b++)
            w->h.shared[w->lists[i][b]].bytes = 1 + next_random(seed) % 400;
    for (uint32_t b = 0; b < BLOBS; b++)
        w->h.shared[b].is_wanted = w->h.shared[b].bytes && is_chance(seed, 1);
    w->h.budget.fixed.of[TRP_RESOURCE_BYTES] = next_random(seed) % 50;
    move_in(&w->h, all, n);
    w->h.budget.reserved.of[TRP_RESOURCE_BYTES] = next_random(seed) % 50;
    w->h.budget.limit = trp_budget_used(&w->h.budget);
    w->h.budget.limit.of[TRP_RESOURCE_BYTES] += next_random(seed) % 200;
    if (is_chance(seed, 1)) /* somebody grew, and nobody asked */
        w->h.budget.committed.of[TRP_RESOURCE_BYTES] += next_random(seed) % 300;
    w->need = (struct trp_eviction_need){ .budget = &w->h.budget };
    w->need.amounts.of[TRP_RESOURCE_BYTES] = next_random(seed) % 900;
    if (w->is_many_resources)
        w->need.amounts.of[TRP_RESOURCE_MAPPINGS] = next_random(seed) % 60;
}

static bool has(uint32_t set, uint32_t i)
{
    return (set >> i & 1) != 0;
}

/* What becomes free if a set of residents goes: counted from nothing. */
static struct trp_amounts freed_by(const struct world *w, uint32_t set)
{
    struct trp_amounts freed = { { 0 } };
    bool stays[BLOBS], was[BLOBS] = { false };
    for (uint32_t b = 0; b < BLOBS; b++)
        stays[b] = w->h.shared[b].is_wanted;
    for (uint32_t i = 0; i < w->h.who.n; i++) {
        for (int k = 0; k < TRP_RESOURCES && has(set, i); k++)
            freed.of[k] += w->h.all[i].own.of[k];
        for (uint32_t b = 0; b < w->h.all[i].shared_n; b++) {
            was[w->lists[i][b]] = true;
            stays[w->lists[i][b]] = stays[w->lists[i][b]] || !has(set, i);
        }
    }
    for (uint32_t b = 0; b < BLOBS; b++)
        freed.of[TRP_RESOURCE_BYTES] += was[b] && !stays[b] ? w->h.shared[b].bytes : 0;
    return freed;
}

static double cost_of(const struct world *w, uint32_t set)
{
    double cost = 0;
    for (uint32_t i = 0; i < w->h.who.n; i++) {
        const struct trp_resident *r = &w->h.all[i];
        if (has(set, i))
            cost += trp_rate_per_s(&r->rate, NOW, HALF_LIFE) * (double)r->reload_ns / 1e9;
    }
    return cost;
}

/* Who may go; who would be left to go one day. */
static uint32_t set_of(const struct world *w, bool one_day)
{
    uint32_t set = 0;
    for (uint32_t i = 0; i < w->h.who.n; i++) {
        const struct trp_resident *r = &w->h.all[i];
        const bool may = !r->in_flight && NOW - r->loaded_ns >= by_cost.fresh_ns;
        if (!r->is_pinned && (may || one_day))
            set |= 1u << i;
    }
    return set;
}

/* Whether the need fits beside `used` when a set of residents goes. */
static bool fits_beside(const struct world *w, struct trp_amounts used, uint32_t set)
{
    const struct trp_amounts freed = freed_by(w, set);
    for (int k = 0; k < TRP_RESOURCES; k++) {
        const uint64_t limit = w->h.budget.limit.of[k];
        if (limit && used.of[k] + w->need.amounts.of[k] > limit + freed.of[k])
            return false;
    }
    return true;
}

static bool makes_room(const struct world *w, uint32_t set)
{
    return fits_beside(w, trp_budget_used(&w->h.budget), set);
}

/* Whether the need fits beside what is fixed and pinned, in what it needs any of. */
static bool fits_one_day(const struct world *w)
{
    struct trp_amounts all = freed_by(w, UINT32_MAX), leave = freed_by(w, set_of(w, true));
    for (int k = 0; k < TRP_RESOURCES; k++) {
        const uint64_t limit = w->h.budget.limit.of[k], need = w->need.amounts.of[k];
        for (uint32_t b = 0; k == TRP_RESOURCE_BYTES && b < BLOBS; b++)
            all.of[k] += w->h.shared[b].is_wanted ? w->h.shared[b].bytes : 0;
        if (limit && need && w->h.budget.fixed.of[k] + all.of[k] - leave.of[k] + need > limit)
            return false;
    }
    return true;
}

static enum trp_fit plain_fit(const struct world *w)
{
    if (makes_room(w, 0))
        return TRP_FIT_FREE;
    if (!fits_one_day(w))
        return TRP_FIT_NEVER;
    return makes_room(w, set_of(w, false)) ? TRP_FIT_EVICT : TRP_FIT_NOT_NOW;
}

static uint32_t victims_as_set(const struct world *w)
{
    uint32_t set = 0;
    for (uint32_t i = 0; i < w->h.e.victims_n; i++) {
        assert_true(w->h.victims[i] < w->h.who.n);
        assert_false(has(set, w->h.victims[i])); /* once each */
        set |= 1u << w->h.victims[i];
    }
    return set;
}

/* The least cost of any set that makes room, and of any single one (INFINITY: none does). */
static void cheapest(const struct world *w, double *out_any, double *out_single)
{
    const uint32_t may = set_of(w, false);
    *out_any = *out_single = INFINITY;
    for (uint32_t set = may;; set = (set - 1) & may) {
        if (set && makes_room(w, set)) {
            const double cost = cost_of(w, set);
            *out_any = cost < *out_any ? cost : *out_any;
            if ((set & (set - 1)) == 0)
                *out_single = cost < *out_single ? cost : *out_single;
        }
        if (set == 0)
            return;
    }
}

static void what_holds_for_all_victims(const struct world *w, uint32_t set)
{
    const struct trp_amounts freed = freed_by(w, set);
    assert_int_equal(set & ~set_of(w, false), 0);
    assert_true(makes_room(w, set));
    assert_memory_equal(&freed, &w->h.e.freed, sizeof freed);
    uint64_t parts = 0;
    for (uint32_t i = 0; i < w->h.e.victims_n; i++)
        parts += w->h.all[w->h.victims[i]].part_bytes;
    assert_int_equal(parts, freed.of[TRP_RESOURCE_BYTES]);
    assert_true(fabs(cost_of(w, set) - w->h.e.cost) <= 1e-9 * (1 + w->h.e.cost));
}

struct quality {
    double sum, worst; /* cost / least possible cost */
    uint32_t n;
};

static void what_holds_by_cost(const struct world *w, uint32_t set, struct quality *quality)
{
    double any, single;
    cheapest(w, &any, &single);
    const double cost = cost_of(w, set), slack = 1e-9 * (1 + cost);
    for (uint32_t i = 0; i < w->h.who.n; i++)
        assert_true(!has(set, i) || !makes_room(w, set & ~(1u << i))); /* each is needed */
    assert_true(cost <= single + slack);
    assert_true(cost >= any - slack);
    if (!w->is_shared && !w->is_many_resources)
        assert_true(cost <= 2 * any + slack);
    if (any > 0) {
        const double ratio = cost / any;
        quality->sum += ratio;
        quality->worst = ratio > quality->worst ? ratio : quality->worst;
        quality->n++;
    }
}

/* They go in the order of their last use, and the last of them was still needed. */
static void what_holds_by_age(const struct world *w, uint32_t set)
{
    int64_t before_ns = INT64_MIN;
    for (uint32_t i = 0; i < w->h.e.victims_n; i++) {
        const struct trp_resident *r = &w->h.all[w->h.victims[i]];
        const int64_t last_ns = r->rate.at_ns > r->loaded_ns ? r->rate.at_ns : r->loaded_ns;
        assert_true(last_ns >= before_ns);
        before_ns = last_ns;
    }
    for (uint32_t i = 0; i < w->h.who.n; i++) {
        const struct trp_resident *r = &w->h.all[i];
        const int64_t last_ns = r->rate.at_ns > r->loaded_ns ? r->rate.at_ns : r->loaded_ns;
        assert_true(has(set, i) || !has(set_of(w, false), i) || last_ns >= before_ns);
    }
    assert_false(makes_room(w, set & ~(1u << w->h.victims[w->h.e.victims_n - 1])));
}

static void twenty_thousand_houses_are_judged_as_a_plain_model_judges_them(void **state)
{
    (void)state;
    static struct world w;
    struct quality quality = { 0 };
    uint32_t seed = 11, fits[TRP_FIT_NEVER + 1] = { 0 };
    for (int round = 0; round < 20000; round++) {
        const bool is_lru = round % 4 == 3;
        make_world(&w, &seed);
        const enum trp_fit fit = trp_eviction_decide(is_lru ? &by_age : &by_cost, &w.h.who, &w.need,
                                                     NOW, w.h.victims, &w.h.e);
        assert_int_equal(fit, plain_fit(&w));
        fits[fit]++;
        const struct trp_amounts evictable = freed_by(&w, set_of(&w, false));
        assert_memory_equal(&evictable, &w.h.e.evictable, sizeof evictable);
        const uint32_t set = victims_as_set(&w);
        if (fit != TRP_FIT_EVICT) {
            assert_int_equal(w.h.e.victims_n, 0);
            continue;
        }
        what_holds_for_all_victims(&w, set);
        if (is_lru)
            what_holds_by_age(&w, set);
        else
            what_holds_by_cost(&w, set, &quality);
    }
    print_message(
        "free %u, evict %u, not now %u, never %u; cost / least cost: mean %.4f, worst %.2f\n",
        fits[TRP_FIT_FREE], fits[TRP_FIT_EVICT], fits[TRP_FIT_NOT_NOW], fits[TRP_FIT_NEVER],
        quality.sum / quality.n, quality.worst);
    assert_true(quality.sum / quality.n < 1.05);
    assert_true(fits[TRP_FIT_FREE] > 1000 && fits[TRP_FIT_NOT_NOW] > 1000);
    assert_true(fits[TRP_FIT_EVICT] > 1000 && fits[TRP_FIT_NEVER] > 1000);
}

static void the_same_question_has_the_same_answer(void **state)
{
    (void)state;
    static struct world w;
    uint32_t seed = 5;
    for (int round = 0; round < 500; round++) {
        make_world(&w, &seed);
        (void)trp_eviction_decide(&by_cost, &w.h.who, &w.need, NOW, w.h.victims, &w.h.e);
        const uint32_t first = victims_as_set(&w);
        (void)trp_eviction_decide(&by_cost, &w.h.who, &w.need, NOW, w.h.victims, &w.h.e);
        assert_int_equal(victims_as_set(&w), first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_costs_least_for_what_it_frees_goes_first),
        cmocka_unit_test(the_order_is_that_of_wishes_for_more_and_more_room),
        cmocka_unit_test(who_share_stand_together_in_the_order),
        cmocka_unit_test(the_cost_is_rate_times_reload_seconds_times_weight),
        cmocka_unit_test(what_has_room_throws_nobody_out),
        cmocka_unit_test(pinned_busy_and_just_loaded_ones_are_safe),
        cmocka_unit_test(what_can_never_fit_is_told_before_anybody_is_thrown_out),
        cmocka_unit_test(a_refusal_for_now_says_who_stands_in_the_way),
        cmocka_unit_test(what_nobody_waits_for_does_not_throw_out_what_is_worth_more),
        cmocka_unit_test(a_shared_blob_is_free_when_its_last_user_goes),
        cmocka_unit_test(variants_are_seen_as_what_they_free_together),
        cmocka_unit_test(two_that_own_nothing_free_what_they_share),
        cmocka_unit_test(mappings_and_descriptors_are_made_room_for_too),
        cmocka_unit_test(what_is_used_beyond_the_limit_is_made_room_for_first),
        cmocka_unit_test(an_empty_house_has_nobody_to_throw_out),
        cmocka_unit_test(everything_has_a_name),
        cmocka_unit_test(twenty_thousand_houses_are_judged_as_a_plain_model_judges_them),
        cmocka_unit_test(the_same_question_has_the_same_answer),
    };
    return cmocka_run_group_tests_name("eviction", tests, NULL, NULL);
}

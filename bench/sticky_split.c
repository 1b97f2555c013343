/* bench/sticky_split.c - how well a sticky split keeps its shares, and what it costs; prints one
 * JSON object: the largest distance of a choice's share of the keys from its weight, the share of
 * keys that move when a canary grows from 5 to 10 % and how many of these move between the others
 * (percent), and nanoseconds of placing a key and picking its choice, among 2 and among 64.
 *
 *     sticky_split [--keys 1000000] [--rounds 11]
 *
 * Keys are "user-<number>", as clients have them, and short ones of 8 bytes cost about the same.
 * The canary stands behind 1, 2 and 3 others in turn; the worst is printed. */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "bench_common.h"
#include "route/sticky.h"

#define CHOICES 4
#define SEED 7

struct keys {
    char (*texts)[24];
    uint32_t n;
};

static struct keys make_keys(uint32_t n)
{
    struct keys k = { .texts = bench_alloc(n * sizeof *k.texts), .n = n };
    if (n == 0)
        bench_die("--keys must be at least 1");
    for (uint32_t i = 0; i < n; i++)
        (void)snprintf(k.texts[i], sizeof k.texts[i], "user-%u", i);
    return k;
}

static uint32_t pick(const struct trp_sticky *s, const char *text)
{
    return trp_sticky_pick(s, trp_sticky_place_of_text(SEED, trp_str_of(text)));
}

static struct trp_sticky make(struct trp_arena *arena, const uint32_t *weights, uint32_t n)
{
    struct trp_sticky s;
    struct trp_error err = { 0 };
    if (trp_failed(trp_sticky_make(arena, weights, n, &s, &err)))
        bench_die("%s", err.text);
    return s;
}

struct seen {
    double off, moved, between_others; /* percent of the keys */
};

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* The last of n choices grows from 5 to 10 %, at the first one's cost. */
static void look(const struct keys *k, struct trp_arena *arena, uint32_t n, struct seen *out)
{
    uint32_t before[CHOICES] = { 0 }, after[CHOICES], had[CHOICES] = { 0 };
    uint32_t moved = 0, others = 0;
    for (uint32_t i = 1; i + 1 < n; i++)
        before[i] = 20;
    before[n - 1] = 5;
    before[0] = 95 - (n - 2) * 20;
    memcpy(after, before, sizeof after);
    after[0] -= 5;
    after[n - 1] += 5;
    const struct trp_sticky a = make(arena, before, n), b = make(arena, after, n);
    for (uint32_t i = 0; i < k->n; i++) {
        const uint32_t from = pick(&a, k->texts[i]), to = pick(&b, k->texts[i]);
        had[from]++;
        moved += from != to;
        others += from != to && (from != 0 || to != n - 1);
    }
    for (uint32_t i = 0; i < n; i++) {
        const double off = 100.0 * had[i] / k->n - before[i];
        out->off = larger(out->off, off < 0 ? -off : off);
    }
    const double share = 100.0 * moved / k->n;
    if (larger(share - 5, 5 - share) >= larger(out->moved - 5, 5 - out->moved))
        out->moved = share;
    out->between_others = larger(out->between_others, 100.0 * others / k->n);
}

static double cost_ns(const struct keys *k, const struct trp_sticky *s)
{
    uint64_t sum = 0;
    const int64_t begun_ns = bench_own_cpu_ns();
    for (uint32_t i = 0; i < k->n; i++)
        sum += pick(s, k->texts[i]);
    const double ns = (double)(bench_own_cpu_ns() - begun_ns) / k->n;
    if (sum == UINT64_MAX)
        bench_die("impossible"); /* so that the sum is needed */
    return ns;
}

static double median_cost(const struct keys *k, const struct trp_sticky *s, size_t rounds)
{
    double *values = bench_alloc(rounds * sizeof *values);
    for (size_t i = 0; i < rounds; i++)
        values[i] = cost_ns(k, s);
    const double median = bench_median(values, rounds);
    free(values);
    return median;
}

int main(int argc, char **argv)
{
    const struct keys k = make_keys((uint32_t)bench_number(argc, argv, "keys", "1000000"));
    const size_t rounds = bench_number(argc, argv, "rounds", "11");
    struct trp_arena arena;
    struct seen seen = { .moved = 5 };
    uint32_t weights[TRP_STICKY_CHOICES_MAX];
    if (rounds == 0)
        bench_die("--rounds must be at least 1");
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    for (uint32_t n = 2; n <= CHOICES; n++)
        look(&k, &arena, n, &seen);
    for (uint32_t i = 0; i < TRP_STICKY_CHOICES_MAX; i++)
        weights[i] = 1 + i;
    const struct trp_sticky few = make(&arena, weights, 2),
                            many = make(&arena, weights, TRP_STICKY_CHOICES_MAX);
    printf("{\"keys\": %u, \"off\": %.3f, \"moved\": %.3f, \"between_others\": %.3f, "
           "\"few_ns\": %.1f, \"many_ns\": %.1f}\n",
           k.n, seen.off, seen.moved, seen.between_others, median_cost(&k, &few, rounds),
           median_cost(&k, &many, rounds));
    trp_arena_deinit(&arena);
    free(k.texts);
    return 0;
}

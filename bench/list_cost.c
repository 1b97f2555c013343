/* bench/list_cost.c - what it costs to ask whether a key is in a list of ten million; prints one
 * JSON object: nanoseconds of a look-up in the large list and in a small one, of the floor, seconds
 * and bytes for each key that loading takes, and heap bytes allocated while it is asked.
 *
 *     list_cost [--keys 10000000] [--small 1000] [--lookups 2000000] [--rounds 11]
 *
 * The floor reads two places of memory, the second where the first says, in as much memory as the
 * table and the text take.  That is what any table must do that does not keep all keys in the
 * cache.  Keys are asked for in random order, half of them are in the list; which one comes next
 * depends on the answer before, as a request does that waits for it: nothing is looked up ahead
 * of its time. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "bench_common.h"
#include "route/key_set.h"

#define KEY_BYTES 16

struct list {
    struct trp_key_set *set;
    char (*asked)[KEY_BYTES];
    uint64_t keys;
    double load_s;
};

struct chain { /* the floor: two arrays as large as the list's */
    uint64_t *slots;
    char *text;
    uint64_t slots_n, text_bytes;
    uint32_t *asked;
};

static void must(trp_status st, const struct trp_error *err)
{
    if (trp_failed(st))
        bench_die("%s", err->text);
}

static void key_at(uint64_t i, char out[KEY_BYTES])
{
    (void)snprintf(out, KEY_BYTES, "user%llu", (unsigned long long)(10000000 + i));
}

/* Every second number is in the list. */
static void make_list(struct list *l, uint64_t keys, uint64_t lookups)
{
    char path[] = "/tmp/troupe-list-XXXXXX", key[KEY_BYTES];
    struct trp_error err = { .text = "" };
    const struct trp_key_set_limits limits = { 0 };
    struct trp_random random = { keys };
    const int fd = mkstemp(path);
    FILE *f = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (!f)
        bench_die("no file in /tmp");
    for (uint64_t i = 0; i < keys; i++) {
        key_at(2 * i, key);
        fprintf(f, "%s\n", key);
    }
    if (fclose(f) != 0)
        bench_die("/tmp is full");
    const int64_t begun_ns = bench_own_cpu_ns();
    must(trp_key_set_load(trp_heap(), path, &limits, &l->set, &err), &err);
    l->load_s = (double)(bench_own_cpu_ns() - begun_ns) * 1e-9;
    unlink(path);
    l->keys = keys;
    l->asked = bench_alloc(lookups * KEY_BYTES);
    for (uint64_t i = 0; i < lookups; i++)
        key_at(trp_random_next(&random) % (2 * keys), l->asked[i]);
}

static double lookup_ns(const struct list *l, uint64_t lookups, uint64_t *found)
{
    static const volatile uint64_t ahead[2] = { 0, 0 };
    const int64_t begun_ns = bench_own_cpu_ns();
    bool has = false;
    for (uint64_t i = 0; i < lookups; i++) {
        has = trp_key_set_has(l->set, trp_str_of(l->asked[i + ahead[has]]));
        *found += has;
    }
    return (double)(bench_own_cpu_ns() - begun_ns) / (double)lookups;
}

static void make_chain(struct chain *c, const struct list *l, uint64_t lookups)
{
    struct trp_random random = { 3 };
    c->text_bytes = trp_key_set_source(l->set)->bytes;
    c->slots_n = (trp_key_set_bytes(l->set) - c->text_bytes) / sizeof *c->slots;
    c->slots = bench_alloc(c->slots_n * sizeof *c->slots);
    c->text = bench_alloc(c->text_bytes);
    c->asked = bench_alloc(lookups * sizeof *c->asked);
    memset(c->text, 1, c->text_bytes); /* so that each page is there */
    for (uint64_t i = 0; i < c->slots_n; i++)
        c->slots[i] = trp_random_next(&random) % c->text_bytes;
    for (uint64_t i = 0; i < lookups; i++)
        c->asked[i] = (uint32_t)(trp_random_next(&random) % c->slots_n);
}

static double chain_ns(const struct chain *c, uint64_t lookups, uint64_t *found)
{
    static const volatile uint64_t ahead[2] = { 0, 0 };
    const int64_t begun_ns = bench_own_cpu_ns();
    uint64_t one = 0;
    for (uint64_t i = 0; i < lookups; i++) {
        one = (uint64_t)c->text[c->slots[c->asked[i + ahead[one]]]];
        *found += one;
    }
    return (double)(bench_own_cpu_ns() - begun_ns) / (double)lookups;
}

int main(int argc, char **argv)
{
    const uint64_t lookups = bench_number(argc, argv, "lookups", "2000000");
    const size_t rounds = bench_number(argc, argv, "rounds", "11");
    struct list large, small;
    struct chain chain;
    uint64_t found = 0, ones = 0;
    if (lookups == 0 || rounds == 0)
        bench_die("--lookups and --rounds must be at least 1");
    make_list(&large, bench_number(argc, argv, "keys", "10000000"), lookups);
    make_list(&small, bench_number(argc, argv, "small", "1000"), lookups);
    make_chain(&chain, &large, lookups);
    double *large_ns = bench_alloc(rounds * sizeof(double)),
           *small_ns = bench_alloc(rounds * sizeof(double)),
           *floor_ns = bench_alloc(rounds * sizeof(double)),
           *ratios = bench_alloc(rounds * sizeof(double));
    const size_t before = mallinfo2().uordblks;
    for (size_t i = 0; i < rounds; i++) {
        large_ns[i] = lookup_ns(&large, lookups, &found);
        floor_ns[i] = chain_ns(&chain, lookups, &ones);
        small_ns[i] = lookup_ns(&small, lookups, &found);
        ratios[i] = large_ns[i] / floor_ns[i];
    }
    const size_t allocated = mallinfo2().uordblks - before;
    const double part = (double)found / (double)(2 * rounds * lookups);
    if (part < 0.45 || part > 0.55 || ones == 0)
        bench_die("half of the keys should be there, not %.3f", part);
    printf("{\"large_ns\": %.1f, \"small_ns\": %.1f, \"floor_ns\": %.1f, \"ratio\": %.3f, "
           "\"load_s\": %.2f, \"bytes_per_key\": %.1f, \"allocated\": %zu}\n",
           bench_median(large_ns, rounds), bench_median(small_ns, rounds),
           bench_median(floor_ns, rounds), bench_median(ratios, rounds), large.load_s,
           (double)trp_key_set_bytes(large.set) / (double)large.keys, allocated);
    return 0;
}

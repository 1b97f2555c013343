/* bench/registry_cost.c - what a name costs when there are many; prints one JSON object:
 * nanoseconds of a look-up (find the name, pick its version, let it go again) with few and with
 * many models, and microseconds until one change among the most is published and the snapshot
 * before it is let go.
 *
 *     registry_cost [--few 10] [--many 10000] [--most 100000] [--lookups 1000000] [--rounds 11]
 *
 * Names are asked for in random order, each as a text of the request's own.  Rounds take turns; the
 * ratio is the median of the rounds' ratios. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bench_common.h"
#include "model/registry.h"

#define NAME_BYTES 32
#define CHANGES 2000u

struct world {
    uint32_t models_n;
    struct trp_registry *registry;
    char (*names)[NAME_BYTES];
    char (*asked)[NAME_BYTES]; /* as requests bring them: each a text of its own, just received */
    uint32_t asked_n;
};

static void must(trp_status st, const char *what)
{
    if (trp_failed(st))
        bench_die("%s failed", what);
}

/* SplitMix64: Steele, Lea, Flood, OOPSLA 2014. */
static uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void put(struct world *w, uint32_t i, const char *reason)
{
    static const enum trp_model_state way[] = { TRP_MODEL_LOADING, TRP_MODEL_WARMING,
                                                TRP_MODEL_READY };
    struct trp_version *v;
    const struct trp_str name = trp_str_of(w->names[i]);
    const struct trp_version_opts opts = { .model = name, .number = 1 };
    must(trp_version_create(trp_heap(), &opts, &v, NULL), "version");
    for (size_t n = 0; n < ARRAY_LEN(way); n++)
        must(trp_lifecycle_move(&v->life, way[n], 0, NULL), "state");
    struct trp_version *const versions[] = { v };
    const struct trp_entry e = {
        .name = name, .versions = versions, .versions_n = 1, .reason = reason
    };
    must(trp_registry_put(w->registry, &e, NULL), "put");
    trp_version_unref(v);
}

static void make_world(struct world *w, uint32_t models_n, uint32_t asked_n)
{
    uint64_t seed = 1;
    w->models_n = models_n;
    w->asked_n = asked_n;
    must(trp_registry_create(trp_heap(), 0, &w->registry, NULL), "registry");
    w->names = bench_alloc((size_t)models_n * NAME_BYTES);
    w->asked = bench_alloc((size_t)asked_n * NAME_BYTES);
    for (uint32_t i = 0; i < models_n; i++) {
        (void)snprintf(w->names[i], NAME_BYTES, "team-%03u/model-%05u", i % 100, i);
        w->names[i][8] = '.';
        put(w, i, NULL);
    }
    (void)trp_registry_publish(w->registry);
    for (uint32_t i = 0; i < asked_n; i++)
        memcpy(w->asked[i], w->names[random_next(&seed) % models_n], NAME_BYTES);
}

static double lookup_ns(const struct world *w)
{
    const struct trp_snapshot *s = trp_registry_current(w->registry);
    const int64_t begun_ns = bench_own_cpu_ns();
    for (uint32_t i = 0; i < w->asked_n; i++) {
        struct trp_version *v;
        must(trp_snapshot_pick(s, trp_str_of(w->asked[i]), 0, &v, NULL), "pick");
        trp_version_unref(v);
    }
    return (double)(bench_own_cpu_ns() - begun_ns) / w->asked_n;
}

/* A model's entry changes, and everybody sees it. */
static double publish_us(struct world *w, uint64_t *seed)
{
    const int64_t begun_ns = bench_own_cpu_ns();
    for (uint32_t i = 0; i < CHANGES; i++) {
        put(w, (uint32_t)(random_next(seed) % w->models_n), "changed");
        (void)trp_registry_publish(w->registry);
    }
    return (double)(bench_own_cpu_ns() - begun_ns) * 1e-3 / CHANGES;
}

int main(int argc, char **argv)
{
    const uint32_t lookups = (uint32_t)bench_number(argc, argv, "lookups", "1000000");
    const size_t rounds = bench_number(argc, argv, "rounds", "11");
    struct world few, many, most;
    uint64_t seed = 7;
    if (lookups == 0 || rounds == 0)
        bench_die("--lookups and --rounds must be at least 1");
    make_world(&few, (uint32_t)bench_number(argc, argv, "few", "10"), lookups);
    make_world(&many, (uint32_t)bench_number(argc, argv, "many", "10000"), lookups);
    make_world(&most, (uint32_t)bench_number(argc, argv, "most", "100000"), lookups);
    double *few_ns = bench_alloc(rounds * sizeof(double)),
           *many_ns = bench_alloc(rounds * sizeof(double)),
           *most_ns = bench_alloc(rounds * sizeof(double)),
           *ratios = bench_alloc(rounds * sizeof(double)),
           *change_us = bench_alloc(rounds * sizeof(double));
    for (size_t i = 0; i < rounds; i++) {
        few_ns[i] = lookup_ns(&few);
        many_ns[i] = lookup_ns(&many);
        most_ns[i] = lookup_ns(&most);
        ratios[i] = many_ns[i] / few_ns[i];
        change_us[i] = publish_us(&most, &seed);
    }
    printf("{\"few_ns\": %.1f, \"many_ns\": %.1f, \"most_ns\": %.1f, \"ratio\": %.3f, "
           "\"publish_us\": %.2f}\n",
           bench_median(few_ns, rounds), bench_median(many_ns, rounds),
           bench_median(most_ns, rounds), bench_median(ratios, rounds),
           bench_median(change_us, rounds));
    return 0;
}

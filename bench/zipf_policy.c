/* bench/zipf_policy.c - replays one trace of requests through both eviction policies and prints one
 * JSON object: the seconds that each of them spends on loading.  Nothing is measured, so the same
 * seed prints the same numbers anywhere.
 *
 *     zipf_policy [--seed 1] [--models 200] [--room 40] [--requests 40000]
 *
 * What is asked for follows Zipf's law with exponent 1, as a Poisson process, independent of size;
 * how often matters only in comparison with the half-life of the rates: 3,000 requests.  A worse
 * ratio with 300, and hardly a better one with 30,000.  Sizes are lognormal (median 60 MB, sigma
 * 1.2, 2 MB to 2 GB), as a company's collection of classifiers, encoders and rankers is.  A
 * prepared model is up after 30 ms and its bytes at 400 MB/s; every seventh or so cannot be
 * prepared and takes eight times as long. There is room for `room` models of average size. */
#include <math.h>
#include <stdio.h>

#include "bench_common.h"
#include "memory/eviction.h"

#define REQUESTS_PER_S 10.0
#define HALF_LIFE_NS (300 * INT64_C(1000000000))

struct model {
    struct trp_resident as_resident; /* with its rate, also while it is not one */
    bool is_in;
};

struct trace {
    uint32_t models_n, requests_n;
    struct model *models;
    uint32_t *asked; /* model of each request */
    int64_t *at_ns;
    uint64_t room_bytes;
};

struct outcome {
    double load_s;
    uint32_t loads, evictions;
};

/* SplitMix64: Steele, Lea, Flood, OOPSLA 2014. */
static double uniform(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

static double normal(uint64_t *state)
{
    const double radius = sqrt(-2 * log(uniform(state)));
    return radius * cos(2 * acos(-1.0) * uniform(state));
}

static struct model random_model(uint64_t *state)
{
    struct model m = { .is_in = false };
    const double mb = fmin(fmax(60 * exp(1.2 * normal(state)), 2), 2000);
    const double seconds = (0.030 + mb / 400) * (uniform(state) < 0.15 ? 8 : 1);
    m.as_resident.own.of[TRP_RESOURCE_BYTES] = (uint64_t)(mb * 1e6);
    m.as_resident.reload_ns = (int64_t)(seconds * 1e9);
    return m;
}

/* The model of rank i is asked for 1 / i as often as the first; sizes were drawn without regard
 * to it. */
static uint32_t random_rank(uint64_t *state, const double *cumulated, uint32_t n)
{
    const double at = uniform(state) * cumulated[n - 1];
    uint32_t low = 0, high = n - 1;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (cumulated[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void make_trace(struct trace *t, uint64_t seed, uint64_t room_models)
{
    double *cumulated = bench_alloc(t->models_n * sizeof *cumulated), bytes = 0, now_s = 0;
    t->models = bench_alloc(t->models_n * sizeof *t->models);
    t->asked = bench_alloc(t->requests_n * sizeof *t->asked);
    t->at_ns = bench_alloc(t->requests_n * sizeof *t->at_ns);
    for (uint32_t i = 0; i < t->models_n; i++) {
        t->models[i] = random_model(&seed);
        bytes += (double)t->models[i].as_resident.own.of[TRP_RESOURCE_BYTES];
        cumulated[i] = (i ? cumulated[i - 1] : 0) + 1.0 / (i + 1);
    }
    for (uint32_t i = 0; i < t->requests_n; i++) {
        now_s -= log(uniform(&seed)) / REQUESTS_PER_S;
        t->asked[i] = random_rank(&seed, cumulated, t->models_n);
        t->at_ns[i] = (int64_t)(now_s * 1e9);
    }
    t->room_bytes = (uint64_t)(bytes / t->models_n * (double)room_models);
}

/* --- one memory, one policy
 * --------------------------------------------------------------------- */

struct memory {
    const struct trp_eviction_opts *opts;
    struct model *models;
    uint32_t models_n;
    struct trp_budget budget;
    struct trp_resident *residents; /* those of `models` that are in, */
    uint32_t *index;                /* and which they are */
    uint32_t *victims;
};

static void evict(struct memory *m, uint32_t model)
{
    m->models[model].is_in = false;
    m->budget.committed = trp_amounts_less(m->budget.committed, m->models[model].as_resident.own);
}

static void make_room(struct memory *m, const struct trp_resident *newcomer, int64_t now_ns,
                      struct outcome *o)
{
    const struct trp_eviction_need need = { .budget = &m->budget, .amounts = newcomer->own };
    struct trp_residents who = { .all = m->residents };
    struct trp_eviction e;
    for (uint32_t i = 0; i < m->models_n; i++) {
        if (!m->models[i].is_in)
            continue;
        m->index[who.n] = i;
        m->residents[who.n++] = m->models[i].as_resident;
    }
    const enum trp_fit fit = trp_eviction_decide(m->opts, &who, &need, now_ns, m->victims, &e);
    if (fit != TRP_FIT_FREE && fit != TRP_FIT_EVICT)
        bench_die("a model of the trace finds no room");
    for (uint32_t i = 0; i < e.victims_n; i++)
        evict(m, m->index[m->victims[i]]);
    o->evictions += e.victims_n;
}

static struct outcome replay(const struct trace *t, enum trp_eviction_policy policy)
{
    const struct trp_eviction_opts opts = { .policy = policy, .half_life_ns = HALF_LIFE_NS };
    struct outcome o = { 0 };
    struct memory m = { .opts = &opts, .models = t->models, .models_n = t->models_n };
    m.budget.limit.of[TRP_RESOURCE_BYTES] = t->room_bytes;
    m.residents = bench_alloc(t->models_n * sizeof *m.residents);
    m.index = bench_alloc(t->models_n * sizeof *m.index);
    m.victims = bench_alloc(t->models_n * sizeof *m.victims);
    for (uint32_t i = 0; i < t->models_n; i++) {
        t->models[i].is_in = false;
        t->models[i].as_resident.rate = (struct trp_rate){ 0 };
    }
    for (uint32_t i = 0; i < t->requests_n; i++) {
        struct model *asked = &t->models[t->asked[i]];
        trp_rate_add(&asked->as_resident.rate, 1, t->at_ns[i], HALF_LIFE_NS);
        if (asked->is_in)
            continue;
        make_room(&m, &asked->as_resident, t->at_ns[i], &o);
        asked->is_in = true;
        asked->as_resident.loaded_ns = t->at_ns[i];
        m.budget.committed = trp_amounts_sum(m.budget.committed, asked->as_resident.own);
        o.load_s += (double)asked->as_resident.reload_ns * 1e-9;
        o.loads++;
    }
    return o;
}

int main(int argc, char **argv)
{
    struct trace t = { .models_n = (uint32_t)bench_number(argc, argv, "models", "200"),
                       .requests_n = (uint32_t)bench_number(argc, argv, "requests", "40000") };
    if (t.models_n == 0 || t.requests_n == 0)
        bench_die("--models and --requests must be at least 1");
    make_trace(&t, bench_number(argc, argv, "seed", "1"), bench_number(argc, argv, "room", "40"));
    const struct outcome cost = replay(&t, TRP_EVICTION_COST), lru = replay(&t, TRP_EVICTION_LRU);
    printf("{\"cost_s\": %.3f, \"lru_s\": %.3f, \"ratio\": %.4f, \"cost_loads\": %u, "
           "\"lru_loads\": %u, "
           "\"cost_evictions\": %u, \"lru_evictions\": %u, \"requests\": %u, \"room_mb\": %.0f}\n",
           cost.load_s, lru.load_s, cost.load_s / lru.load_s, cost.loads, lru.loads, cost.evictions,
           lru.evictions, t.requests_n, (double)t.room_bytes / 1e6);
    return 0;
}

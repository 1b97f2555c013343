/* bench/sched_cost.c - what the scheduler costs a request, with few and with many that wait; prints
 * one JSON object: nanoseconds of a request's whole way through sched/ (queued, taken as its turn
 * comes, its slot given back) and heap allocations meanwhile.
 *
 *     sched_cost [--few 164] [--many 100064] [--requests 200000] [--rounds 11]
 *
 * Three crowds: `usual`, 4 tenants and 8 models, half of the calls without a deadline and half with
 * one of two times from now, as clients have them; `wide`, the same with 16 tenants and 32 models,
 * of which a few calls show only some; `random`, as `usual` with any deadline within 10 s, which no
 * row of the queue keeps in order.  Classes, tenants and models are drawn at random; one of eight
 * requests is removed before its turn, as if its client had gone.  64 of the requests are
 * outside at any time.  Rounds take turns; a ratio is the median of the rounds' ratios. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bench_common.h"
#include "sched/sched.h"

#define STEP_NS 1000 /* of the fake clock, a request */
#define AT_ONCE 64

struct crowd {
    struct trp_sched sched;
    struct trp_sched_tenant *tenants;
    struct trp_sched_model *models;
    struct trp_call *calls;
    struct trp_random random;
    struct trp_call *outside[AT_ONCE];
    uint32_t gone[AT_ONCE]; /* whose clients go */
    int64_t now_ns;
    uint32_t calls_n, tenants_n, models_n;
    bool is_random;
};

static int64_t deadline_of(struct crowd *c, uint64_t draw)
{
    if (c->is_random)
        return c->now_ns + (int64_t)(draw % 10000000000u);
    return draw % 2 ? 0 : c->now_ns + (draw % 4 ? 50000000 : 1000000000);
}

/* As whoever decoded it leaves a request. */
static void arrive(struct crowd *c, struct trp_call *call, struct trp_sched_ask *out_ask)
{
    static const enum trp_priority_class classes[] = { TRP_PRIORITY_NORMAL,
                                                       TRP_PRIORITY_INTERACTIVE,
                                                       TRP_PRIORITY_NORMAL, TRP_PRIORITY_BATCH };
    const uint64_t draw = trp_random_next(&c->random);
    struct trp_sched_model *const m = &c->models[(draw >> 8) % c->models_n];
    *out_ask = (struct trp_sched_ask){ .line = &m->own,
                                       .tenant = &c->tenants[(draw >> 20) % c->tenants_n],
                                       .cost_ns = 100000 + (int64_t)(draw >> 48),
                                       .rows = 1 };
    call->priority_class = classes[draw % 4];
    call->deadline_ns = deadline_of(c, draw >> 32);
}

static void push(struct crowd *c, struct trp_call *call, const struct trp_sched_ask *ask)
{
    if (trp_sched_push_as(&c->sched, ask, call) != TRP_SCHED_QUEUED)
        bench_die("the queue is full");
}

struct kind {
    const char *name;
    uint32_t tenants_n, models_n;
    bool is_random;
};

static void make_crowd(struct crowd *c, uint32_t calls_n, const struct kind *kind)
{
    *c = (struct crowd){ .random = { 1 },
                         .calls_n = calls_n,
                         .is_random = kind->is_random,
                         .tenants_n = kind->tenants_n,
                         .models_n = kind->models_n };
    if (calls_n < 2 * AT_ONCE)
        bench_die("--few and --many must be at least 128");
    c->tenants = bench_alloc(c->tenants_n * sizeof *c->tenants);
    c->models = bench_alloc(c->models_n * sizeof *c->models);
    c->calls = bench_alloc(calls_n * sizeof *c->calls);
    trp_sched_init(&c->sched, calls_n, calls_n);
    trp_sched_set_floor(&c->sched, TRP_PRIORITY_NORMAL, 100);
    trp_sched_set_floor(&c->sched, TRP_PRIORITY_BATCH, 50);
    for (uint32_t i = 0; i < c->tenants_n; i++)
        trp_sched_tenant_init(&c->sched, &c->tenants[i], 1 + i % 4);
    for (uint32_t i = 0; i < c->models_n; i++) {
        c->models[i] = (struct trp_sched_model){ .slots = i % 4 };
        c->models[i].own.model = &c->models[i];
    }
    for (uint32_t i = 0; i < calls_n; i++) {
        struct trp_sched_ask ask;
        c->calls[i] = (struct trp_call){ .number = i };
        arrive(c, &c->calls[i], &ask);
        if (i < AT_ONCE)
            c->outside[i] = &c->calls[i];
        else
            push(c, &c->calls[i], &ask);
    }
}

/* One that leaves, for one that has come. */
static struct trp_call *leave(struct crowd *c, uint32_t i)
{
    struct trp_sched_model *m;
    struct trp_call *call = &c->calls[c->gone[i]];
    if (i % 8 == 0 && trp_sched_remove(&c->sched, call))
        return call;
    (void)trp_sched_expire(&c->sched, c->now_ns - 20000000000);
    call = trp_sched_take(&c->sched, &m);
    if (!call)
        bench_die("nothing may run");
    trp_sched_end(&c->sched, m);
    return call;
}

/* Time is taken around some requests at once; what makes them ready is not the scheduler's. */
static double cost_ns(struct crowd *c, uint32_t requests)
{
    struct trp_sched_ask asks[AT_ONCE];
    int64_t spent_ns = 0;
    for (uint32_t done = 0; done < requests; done += AT_ONCE) {
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            c->gone[i] = (uint32_t)(trp_random_next(&c->random) % c->calls_n);
            arrive(c, c->outside[i], &asks[i]);
        }
        const int64_t begun_ns = bench_own_cpu_ns();
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            push(c, c->outside[i], &asks[i]);
            c->outside[i] = leave(c, i);
        }
        spent_ns += bench_own_cpu_ns() - begun_ns;
        c->now_ns += STEP_NS * AT_ONCE;
    }
    return (double)spent_ns / requests;
}

static void measure(const struct kind *kind, int argc, char **argv)
{
    const uint32_t requests = (uint32_t)bench_number(argc, argv, "requests", "200000");
    const size_t rounds = bench_number(argc, argv, "rounds", "11");
    struct crowd few, many;
    if (requests == 0 || rounds == 0)
        bench_die("--requests and --rounds must be at least 1");
    make_crowd(&few, (uint32_t)bench_number(argc, argv, "few", "164"), kind);
    make_crowd(&many, (uint32_t)bench_number(argc, argv, "many", "100064"), kind);
    double *few_ns = bench_alloc(rounds * sizeof(double)),
           *many_ns = bench_alloc(rounds * sizeof(double)),
           *ratios = bench_alloc(rounds * sizeof(double));
    (void)cost_ns(&few, requests);
    (void)cost_ns(&many, requests); /* in its steady state */
    const size_t held = mallinfo2().uordblks;
    for (size_t i = 0; i < rounds; i++) {
        few_ns[i] = cost_ns(&few, requests);
        many_ns[i] = cost_ns(&many, requests);
        ratios[i] = many_ns[i] / few_ns[i];
    }
    const size_t allocated = mallinfo2().uordblks - held;
    printf("\"%s\": {\"few_ns\": %.1f, \"many_ns\": %.1f, \"ratio\": %.3f, \"allocated\": %zu}",
           kind->name, bench_median(few_ns, rounds), bench_median(many_ns, rounds),
           bench_median(ratios, rounds), allocated);
    free(few.calls);
    free(many.calls);
}

int main(int argc, char **argv)
{
    static const struct kind kinds[] = { { "usual", 4, 8, false },
                                         { "wide", 16, 32, false },
                                         { "random", 4, 8, true } };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        printf("%s", i == 0 ? "{" : ", ");
        measure(&kinds[i], argc, argv);
    }
    printf("}\n");
    return 0;
}

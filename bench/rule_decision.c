/* bench/rule_decision.c - what a decision by rules costs: ns for a request that is looked at by 10
 * and by 100 rules, none of which but the last holds, and how often memory was asked for meanwhile;
 * prints one JSON object.
 *
 *     rule_decision [--requests 200000] [--rounds 11]
 *
 * The rules are of the kind that people write: over parameters, headers, the inputs' names, types
 * and shapes, load and time, joined by `&&`, `||` and `in`.  Requests differ, so that no branch is
 * always the same: 64 of them take turns.  Facts are begun anew for each request, as a route does
 * it. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bench_common.h"
#include "route/expr.h"

enum { REQUESTS = 64, RULES = 100 };

static uint64_t allocations;
#ifndef TRP_SANITIZED                     /* sanitizers have one of their own */
extern void *__libc_malloc(size_t bytes); /* glibc's: counted, not replaced */
void *malloc(size_t bytes)
{
    allocations++;
    return __libc_malloc(bytes);
}
#endif

static const char *const rules[] = {
    "params.purchases == 0",
    "params.segment in ['new', 'returning'] && params.purchases > 200",
    "headers['x-tier'] == 'gold' && request.rows > 64",
    "inputs.image.dtype == 'UINT8' && inputs.image.shape[1] == 3",
    "server.cpu > 0.9 || time.hour in [1, 2, 3, 4]",
    "has(params.experiment) && params.experiment.startsWith('b')",
    "models.ranker.p99 > 200ms || models.ranker.queue > 100",
    "request.class == 'batch' && request.bytes > 1MiB",
    "params.age >= 18 && params.age < 21 && params.country in ['de', 'at', 'ch', 'fr', 'it', 'es']",
    "params.score.orValue(0.0) > 0.99 || params.user == -1",
};

struct request {
    struct trp_call call;
    struct trp_param params[5];
    struct trp_header headers[6];
    struct trp_call_tensor inputs[2];
};

static bool model_load(void *user, uint32_t loop_index, struct trp_str name,
                       struct trp_model_load *out)
{
    (void)user;
    (void)loop_index;
    (void)name;
    *out =
        (struct trp_model_load){ .ready = true, .queued = 3, .p50_ns = 2000000, .p99_ns = 9000000 };
    return true;
}

static void server_load(void *user, struct trp_server_load *out)
{
    (void)user;
    *out = (struct trp_server_load){ .cpu_ratio = 0.4, .memory_ratio = 0.5, .in_flight = 20 };
}

static void make_request(struct request *r, struct trp_random *random)
{
    static const char *const segments[] = { "new", "returning", "loyal", "gone" };
    static const char *const countries[] = { "uk", "us", "pl", "cz" };
    static float pixels[3];
    const uint64_t draw = trp_random_next(random);
    r->params[0] =
        (struct trp_param){ TRP_STR_LIT("user"), TRP_PARAM_INT, { .i = (int64_t)(draw >> 40) } };
    r->params[1] = (struct trp_param){ TRP_STR_LIT("segment"),
                                       TRP_PARAM_STR,
                                       { .s = trp_str_of(segments[draw % 4]) } };
    r->params[2] = (struct trp_param){ TRP_STR_LIT("purchases"),
                                       TRP_PARAM_INT,
                                       { .i = 1 + (int64_t)(draw >> 8 & 127) } };
    r->params[3] = (struct trp_param){ TRP_STR_LIT("age"),
                                       TRP_PARAM_INT,
                                       { .i = 21 + (int64_t)(draw >> 16 & 31) } };
    r->params[4] = (struct trp_param){ TRP_STR_LIT("country"),
                                       TRP_PARAM_STR,
                                       { .s = trp_str_of(countries[draw >> 24 & 3]) } };
    r->headers[0] = (struct trp_header){ TRP_STR_LIT("host"), TRP_STR_LIT("localhost:8000") };
    r->headers[1] =
        (struct trp_header){ TRP_STR_LIT("user-agent"), TRP_STR_LIT("python-requests/2.32") };
    r->headers[2] = (struct trp_header){ TRP_STR_LIT("accept"), TRP_STR_LIT("*/*") };
    r->headers[3] =
        (struct trp_header){ TRP_STR_LIT("content-type"), TRP_STR_LIT("application/json") };
    r->headers[4] = (struct trp_header){ TRP_STR_LIT("content-length"), TRP_STR_LIT("311") };
    r->headers[5] =
        (struct trp_header){ TRP_STR_LIT("x-tier"),
                             draw >> 32 & 1 ? TRP_STR_LIT("gold") : TRP_STR_LIT("basic") };
    r->inputs[0].name = TRP_STR_LIT("history");
    r->inputs[1].name = TRP_STR_LIT("image");
    for (int i = 0; i < 2; i++)
        r->inputs[i].tensor = (struct troupe_tensor){ .dtype = TROUPE_FP32,
                                                      .rank = 2,
                                                      .shape = { 1, 3 },
                                                      .data = pixels,
                                                      .bytes = sizeof pixels };
    r->call = (struct trp_call){ .params = r->params,
                                 .params_n = 5,
                                 .headers = r->headers,
                                 .headers_n = 6,
                                 .inputs = r->inputs,
                                 .inputs_n = 2 };
}

static void compile(struct trp_expr **out, uint32_t n)
{
    static const struct trp_expr_place place = { "rules", 1, 1, NULL };
    static const struct trp_expr_env env = { .purpose = TRP_EXPR_CONDITION };
    for (uint32_t i = 0; i < n; i++) {
        struct trp_error err = { 0 };
        const char *text = i + 1 == n ? "params.user >= 0" : rules[i % ARRAY_LEN(rules)];
        if (trp_failed(trp_expr_compile(trp_heap(), trp_str_of(text), &place, &env, &out[i], &err)))
            bench_die("%s", err.text);
    }
}

/* The first rule that holds: always the last. */
static int64_t morning_ns(void *user)
{
    (void)user;
    return INT64_C(1795688400000000000);
}

static double cost_ns(struct trp_expr *const *exprs, uint32_t n, struct request *requests,
                      uint32_t count)
{
    static const struct trp_load_view load = { .model = model_load, .server = server_load };
    static const struct trp_clock clock = { .wall_ns = morning_ns };
    struct trp_facts facts;
    uint64_t matched = 0;
    const int64_t begun_ns = bench_own_cpu_ns();
    for (uint32_t done = 0; done < count; done++) {
        trp_facts_init(&facts, &requests[done % REQUESTS].call, 0, &clock);
        facts.load = &load;
        uint32_t i = 0;
        while (i < n && trp_expr_holds(exprs[i], &facts, NULL) != TRP_TRUTH_TRUE)
            i++;
        matched += i;
    }
    const int64_t spent_ns = bench_own_cpu_ns() - begun_ns;
    if (matched != (uint64_t)count * (n - 1))
        bench_die("a rule holds that should not");
    return (double)spent_ns / count;
}

int main(int argc, char **argv)
{
    const uint32_t count = (uint32_t)bench_number(argc, argv, "requests", "200000");
    const size_t rounds = bench_number(argc, argv, "rounds", "11");
    static struct request requests[REQUESTS];
    static struct trp_expr *ten[RULES], *hundred[RULES];
    struct trp_random random = { 7 };
    if (count == 0 || rounds == 0)
        bench_die("--requests and --rounds must be at least 1");
    for (int i = 0; i < REQUESTS; i++)
        make_request(&requests[i], &random);
    compile(ten, 10);
    compile(hundred, RULES);
    double *ten_ns = bench_alloc(rounds * sizeof(double)),
           *hundred_ns = bench_alloc(rounds * sizeof(double));
    (void)cost_ns(ten, 10, requests, count);
    const uint64_t before = allocations;
    for (size_t i = 0; i < rounds; i++) {
        ten_ns[i] = cost_ns(ten, 10, requests, count);
        hundred_ns[i] = cost_ns(hundred, RULES, requests, count / 10 + 1);
    }
    const uint64_t allocated = allocations - before;
    printf("{\"ten_ns\": %.1f, \"hundred_ns\": %.1f, \"allocations\": %llu}\n",
           bench_median(ten_ns, rounds), bench_median(hundred_ns, rounds),
           (unsigned long long)allocated);
    for (int i = 0; i < RULES; i++) {
        trp_expr_destroy(ten[i]);
        trp_expr_destroy(hundred[i]);
    }
    free(ten_ns);
    free(hundred_ns);
    return 0;
}

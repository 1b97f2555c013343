/* fuzz/simulate.c - whatever is written in a file of arrivals, a stream or a list of costs, what is
 * read of it can be played: each arrival ends once, at a moment that is not before it came. */
#include "tune/arrival_log.h"
#include "tune/simulator.h"
#include "tune/traffic.h"

#define ARRIVALS_MAX 2000u

/* A text of three parts, each ended by a byte 0: arrivals, a stream, costs. */
static struct trp_str cut(struct trp_str *rest)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, 0, rest->len) : NULL;
    const struct trp_str part =
        trp_str_make(rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len);
    const size_t gone = end ? part.len + 1 : part.len;
    *rest = trp_str_make(rest->ptr ? rest->ptr + gone : NULL, rest->len - gone);
    return part;
}

/* Few enough for a fuzzer: a stream may ask for a thousand million a second. */
static void add_stream(struct trp_workload *w, struct trp_str text)
{
    struct trp_traffic t;
    struct trp_random random = { 1 };
    if (!trp_failed(trp_traffic_parse(text, &t, NULL)) && t.rate <= 1000)
        (void)trp_traffic_add(&t, TRP_S(1), &random, w, NULL);
}

static void play(struct trp_workload *w, const struct trp_price_list *prices)
{
    const struct trp_sim_opts opts = { .executors_n = 2,
                                       .loops_n = 2,
                                       .queue_max = 50,
                                       .model_queue_max = 40,
                                       .inline_run_ns = TRP_US(50),
                                       .inline_turn_ns = TRP_US(200),
                                       .forecasts = true,
                                       .sheds = true,
                                       .request_ns = 1000 };
    const struct trp_sim_question q = { &opts, w, prices };
    struct trp_sim_totals totals;
    struct trp_sim_result *results =
        trp_alloc_zeroed(trp_heap(), w->arrivals_n + 1, sizeof *results);
    if (results && !trp_failed(trp_simulator_run(trp_heap(), &q, results, &totals, NULL)))
        for (uint32_t i = 0; i < w->arrivals_n; i++)
            TRP_ASSERT(results[i].end < TRP_SIM_ENDS &&
                       results[i].answered_ns >= w->arrivals[i].at_ns);
    trp_alloc_free(trp_heap(), results);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trp_str rest = trp_str_make((const char *)data, size);
    struct trp_workload w;
    struct trp_price_list prices;
    trp_price_list_init(&prices, trp_heap());
    if (!trp_failed(trp_workload_init(&w, trp_heap(), NULL))) {
        (void)trp_arrival_log_parse(&w, cut(&rest), NULL);
        trp_workload_rebase(&w);
        add_stream(&w, cut(&rest));
        (void)trp_price_list_parse(&prices, rest, NULL);
        if (w.arrivals_n <= ARRIVALS_MAX && !trp_failed(trp_workload_sort(&w, NULL)))
            play(&w, &prices);
    }
    trp_workload_deinit(&w);
    trp_price_list_deinit(&prices);
    return 0;
}

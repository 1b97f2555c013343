/* tests/unit/tune/sim_world.h - a simulated server for a test.
 * Answers "what came of these arrivals?". */
#ifndef TRP_SIM_WORLD_H
#define TRP_SIM_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tune/sim_report.h"
#include "tune/traffic.h"

struct sim_world {
    struct trp_workload workload;
    struct trp_price_list prices;
    struct trp_sim_opts opts;
    struct trp_sim_result *results;
    struct trp_sim_totals totals;
    struct trp_sim_report report;
    struct trp_random random;
};

/* Everything but runs takes no time, nothing runs on a loop, and nothing is full. */
static inline void sim_begin(struct sim_world *w, uint64_t seed)
{
    *w = (struct sim_world){ .opts = { .executors_n = 1,
                                       .loops_n = 1,
                                       .queue_max = 1000000,
                                       .model_queue_max = 1000000,
                                       .seed = seed },
                             .random = { seed } };
    trp_price_list_init(&w->prices, trp_heap());
    assert_false(trp_failed(trp_workload_init(&w->workload, trp_heap(), NULL)));
}

static inline void sim_price(struct sim_world *w, const char *model, const char *points)
{
    assert_false(
        trp_failed(trp_price_list_set(&w->prices, trp_str_of(model), trp_str_of(points), NULL)));
}

static inline struct trp_price *sim_model(struct sim_world *w, const char *model)
{
    struct trp_price *p = trp_price_list_find(&w->prices, trp_str_of(model));
    assert_non_null(p);
    return p;
}

static inline void sim_stream(struct sim_world *w, const char *spec, int64_t length_ns)
{
    struct trp_traffic t;
    assert_false(trp_failed(trp_traffic_parse(trp_str_of(spec), &t, NULL)));
    assert_false(trp_failed(trp_traffic_add(&t, length_ns, &w->random, &w->workload, NULL)));
}

static inline void sim_run(struct sim_world *w)
{
    const struct trp_sim_question q = { &w->opts, &w->workload, &w->prices };
    assert_false(trp_failed(trp_workload_sort(&w->workload, NULL)));
    w->results = trp_alloc_zeroed(trp_heap(), w->workload.arrivals_n + 1, sizeof *w->results);
    assert_non_null(w->results);
    assert_false(trp_failed(trp_simulator_run(trp_heap(), &q, w->results, &w->totals, NULL)));
    assert_false(
        trp_failed(trp_sim_report_make(&w->report, trp_heap(), &q, w->results, &w->totals, NULL)));
}

static inline void sim_end(struct sim_world *w)
{
    trp_sim_report_deinit(&w->report);
    trp_alloc_free(trp_heap(), w->results);
    trp_price_list_deinit(&w->prices);
    trp_workload_deinit(&w->workload);
}

#endif

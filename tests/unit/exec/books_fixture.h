/* tests/unit/exec/books_fixture.h - a budget of 100 MiB that a world's runs must fit into; at
 * the end nothing of it is held. */
#ifndef TRP_BOOKS_FIXTURE_H
#define TRP_BOOKS_FIXTURE_H

#include "unit/exec/exec_fixture.h"

#define MIB (UINT64_C(1) << 20)

struct books {
    struct trp_ledger *ledger;
    struct trp_headrooms *headrooms;
};

static inline void make_books(struct books *b, uint64_t small_bytes)
{
    const struct trp_ledger_opts ledger = { .limit = { { 100 * MIB } } };
    assert_false(trp_failed(trp_ledger_create(trp_heap(), &ledger, &b->ledger, NULL)));
    const struct trp_headrooms_opts opts = { .ledger = b->ledger,
                                             .small_bytes = small_bytes,
                                             .patience_ns = TRP_S(600) };
    assert_false(trp_failed(trp_headrooms_create(trp_heap(), &opts, &b->headrooms, NULL)));
}

/* Executors that ask these books before they run. */
static inline struct trp_exec *start_exec_with(struct world *w, const struct books *b,
                                               const struct trp_exec_opts *opts)
{
    struct trp_exec_opts all = *opts;
    all.loops_n = 1;
    all.queue_max = all.model_queue_max = 200;
    all.headrooms = b->headrooms;
    all.ledger = b->ledger;
    all.clock = trp_clock_system();
    all.metrics = w->metrics;
    return start_exec(w, &all);
}

/* Whatever happened, nothing is held once the answers are given back, joined ones as well. */
static inline void end_world_with(struct world *w, struct trp_exec *x, const struct books *b)
{
    struct trp_budget budget;
    trp_exec_stop(x);
    settle_world(w);
    give_back_finished(w);
    for (uint32_t i = 0; i < w->versions_n; i++) {
        assert_int_equal(trp_counter_get(&w->versions[i]->activations.bytes), 0);
        assert_int_equal(trp_gauge_get(&w->versions[i]->stats->in_flight), 0);
    }
    trp_headrooms_refresh(b->headrooms);
    trp_ledger_look(b->ledger, &budget);
    assert_true(trp_amounts_is_zero(trp_budget_used(&budget)));
    trp_exec_destroy(x);
    drop_world(w);
    trp_headrooms_destroy(b->headrooms);
    trp_ledger_destroy(b->ledger);
}

#endif

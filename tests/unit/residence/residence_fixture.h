/* tests/unit/residence/residence_fixture.h - a residence on a clock of our own; models are names
 * and numbers here. */
#ifndef TRP_RESIDENCE_FIXTURE_H
#define TRP_RESIDENCE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "residence/residence.h"

#define MODELS 32
#define MB UINT64_C(1000000)

struct model {
    char name[16];
    struct house *house;
    struct trp_guest *guest;
    struct trp_stay stay;
    struct trp_stats stats;
    struct trp_ask ask;
    struct trp_error refused;
    int answers, evictions, sleeps;
    uint64_t bytes;
    bool ends_at_once; /* its memory is back as soon as it is evicted */
    bool is_stubborn;  /* it cannot be told to go just now */
};

struct house {
    int64_t now_ns;
    struct trp_clock clock;
    struct trp_loop *loop;
    struct trp_metrics *metrics;
    struct trp_ledger *ledger;
    struct trp_residence_opts opts;
    struct trp_residence *residence;
    struct model *models;   /* MODELS */
    char order[4 * MODELS]; /* names of who was let in */
    char why[256];
    int idles;
    bool refuses_evictions;
};

static inline int64_t clock_now(void *user)
{
    return ((struct house *)user)->now_ns;
}

static inline void must(trp_status st, const struct trp_error *err)
{
    if (trp_failed(st))
        fail_msg("%s", err->text);
}

/* ---- models ---- */

static inline void answered(struct trp_ask *ask, const struct trp_error *refused)
{
    struct model *m = TRP_CONTAINER_OF(ask, struct model, ask);
    m->answers++;
    if (refused) {
        m->refused = *refused;
        trp_stay_end(&m->stay);
        return;
    }
    assert_int_equal(m->stay.state, TRP_STAY_COMING);
    const size_t used_n = strlen(m->house->order);
    (void)snprintf(m->house->order + used_n, sizeof m->house->order - used_n, "%s", m->name);
}

static inline bool evict(void *user, struct trp_guest *guest, const char *why)
{
    struct house *h = user;
    struct model *m = guest->owner;
    assert_ptr_equal(m->guest, guest);
    if (h->refuses_evictions || m->is_stubborn)
        return false;
    (void)snprintf(h->why, sizeof h->why, "%s", why);
    m->evictions++;
    trp_stay_leave(&m->stay);
    if (m->ends_at_once)
        trp_stay_end(&m->stay);
    return true;
}

static inline void note_idle(void *user)
{
    ((struct house *)user)->idles++;
}

static inline struct model *model(struct house *h, const char *name)
{
    struct trp_error err;
    struct model *m = h->models;
    while (m->name[0] && strcmp(m->name, name) != 0)
        m++;
    if (m->name[0])
        return m;
    (void)snprintf(m->name, sizeof m->name, "%s", name);
    m->house = h;
    m->ends_at_once = true;
    must(trp_guest_create(h->residence, trp_str_of(m->name), m, &m->guest, &err), &err);
    return m;
}

static inline void turn(struct house *h)
{
    struct trp_error err;
    must(trp_loop_turn(h->loop, 0, &err), &err);
}

static inline struct model *ask_sized(struct house *h, const char *name,
                                      const struct trp_size *size)
{
    struct trp_error err;
    struct model *m = model(h, name);
    m->bytes = size->own.of[TRP_RESOURCE_BYTES];
    must(trp_stay_expect(m->guest, &m->stay, size, &m->stats, &err), &err);
    m->ask.guest = m->guest;
    m->ask.answer = answered;
    m->ask.is_asked_for = true;
    trp_residence_ask(h->residence, &m->ask);
    return m;
}

static inline struct model *ask(struct house *h, const char *name, uint64_t bytes)
{
    const struct trp_size size = { .own = { { bytes } } };
    return ask_sized(h, name, &size);
}

static inline void settle(struct model *m, int64_t load_ns)
{
    const struct trp_amounts own = { { m->bytes } };
    trp_stay_settle(&m->stay, own, true, load_ns);
}

/* Lets it in and settles it; long enough ago that it is not fresh any more. */
static inline struct model *bring(struct house *h, const char *name, uint64_t bytes,
                                  int64_t load_ns)
{
    struct model *m = ask(h, name, bytes);
    turn(h);
    assert_int_equal(m->stay.state, TRP_STAY_COMING);
    settle(m, load_ns);
    m->guest->loaded_ns -= TRP_S(11);
    turn(h);
    return m;
}

static inline void serve(struct house *h, struct model *m, uint64_t requests)
{
    trp_counter_add(&m->stats.success.count, requests);
    trp_counter_set(&m->stats.last_asked_ns, (uint64_t)h->now_ns);
}

static inline uint64_t used(const struct house *h)
{
    struct trp_budget b;
    trp_ledger_look(h->ledger, &b);
    return trp_budget_used(&b).of[TRP_RESOURCE_BYTES];
}

static inline int64_t metric(const struct house *h, enum trp_metric id)
{
    return trp_metrics_get(h->metrics, id);
}

/* ---- the house ---- */

static inline trp_status build(struct house *h, const struct trp_alloc *alloc,
                               struct trp_error *err)
{
    const struct trp_loop_opts loop = { .name = "control", .clock = &h->clock };
    const struct trp_ledger_opts ledger = { .limit = { { 100 * MB } } };
    TRP_CHECK(trp_loop_create(trp_heap(), &loop, &h->loop, err));
    TRP_CHECK(trp_metrics_create(trp_heap(), 1, &h->metrics, err));
    TRP_CHECK(trp_ledger_create(trp_heap(), &ledger, &h->ledger, err));
    h->opts.ledger = h->ledger;
    h->opts.control = h->loop;
    h->opts.metrics = h->metrics;
    return trp_residence_create(alloc, &h->opts, &h->residence, err);
}

static inline void demolish(struct house *h)
{
    for (struct model *m = h->models; m->name[0]; m++) {
        trp_residence_cancel(h->residence, &m->ask);
        trp_stay_end(&m->stay);
        trp_guest_part(m->guest);
    }
    if (h->residence) {
        trp_residence_close(h->residence);
        turn(h);
        turn(h);
        assert_false(trp_residence_is_busy(h->residence));
        assert_true(h->idles > 0);
        assert_int_equal(used(h), 0);
    }
    trp_residence_destroy(h->residence);
    trp_ledger_destroy(h->ledger);
    trp_metrics_destroy(h->metrics);
    trp_loop_destroy(h->loop);
    free(h->models);
    free(h);
}

static inline struct house *plot(void)
{
    struct house *h = calloc(1, sizeof *h);
    h->models = calloc(MODELS + 1, sizeof *h->models);
    h->now_ns = TRP_S(1000);
    h->clock = (struct trp_clock){ .now_ns = clock_now, .wall_ns = clock_now, .user = h };
    h->opts = (struct trp_residence_opts){ .loads_max = 8,
                                           .wait_ns_max = TRP_S(60),
                                           .stay_ns = TRP_S(10),
                                           .evict = evict,
                                           .idle = note_idle,
                                           .user = h };
    return h;
}

static inline int set_up(void **state)
{
    struct house *h = plot();
    struct trp_error err;
    *state = h;
    if (!trp_failed(build(h, trp_heap(), &err)))
        return 0;
    demolish(h);
    return -1;
}

static inline int tear_down(void **state)
{
    demolish(*state);
    return 0;
}

#define PIECES(list) .pieces = (list), .pieces_n = ARRAY_LEN(list)

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif

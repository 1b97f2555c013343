/* tests/unit/memory/headroom_test.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/str.h"
#include "base/thread.h"
#include "memory/headroom.h"

#define MIB (UINT64_C(1) << 20)
#define MS INT64_C(1000000)

struct model {
    struct trp_account account;
    struct trp_headroom headroom;
    uint64_t weights;
};

struct world {
    struct trp_ledger *ledger;
    struct trp_headrooms *all;
    struct model a, b, c;
    struct trp_counter words;
};

static void hear_room(void *user)
{
    trp_counter_add(&((struct world *)user)->words, 1);
}

/* 100 MiB for three models; false when memory is short. */
static bool make(struct world *w)
{
    const struct trp_ledger_opts opts = { .limit = { { 100 * MIB } } };
    *w = (struct world){ .ledger = NULL };
    if (trp_failed(trp_ledger_create(trp_heap(), &opts, &w->ledger, NULL)))
        return false;
    const struct trp_headrooms_opts all = {
        .ledger = w->ledger, .small_bytes = MIB, .patience_ns = 100 * MS, .remembered_max = 2
    };
    if (trp_failed(trp_headrooms_create(trp_heap(), &all, &w->all, NULL))) {
        trp_ledger_destroy(w->ledger);
        return false;
    }
    trp_ledger_on_room(w->ledger, hear_room, w);
    trp_account_init(&w->a.account, TRP_ACCOUNT_ACTIVATIONS, NULL, 0);
    trp_account_init(&w->b.account, TRP_ACCOUNT_ACTIVATIONS, NULL, 0);
    trp_account_init(&w->c.account, TRP_ACCOUNT_ACTIVATIONS, NULL, 0);
    return true;
}

static void drop(struct world *w)
{
    trp_headroom_close(&w->a.headroom);
    trp_headroom_close(&w->b.headroom);
    trp_headroom_close(&w->c.headroom);
    trp_account_deinit(&w->a.account);
    trp_account_deinit(&w->b.account);
    trp_account_deinit(&w->c.account);
    trp_headrooms_destroy(w->all);
    trp_ledger_destroy(w->ledger);
}

static uint64_t used(struct world *w)
{
    struct trp_budget b;
    trp_ledger_look(w->ledger, &b);
    return trp_budget_used(&b).of[TRP_RESOURCE_BYTES];
}

static enum trp_reserve begin_at(struct world *w, struct model *m, uint64_t size, uint64_t guess,
                                 int64_t now_ns, struct trp_headroom_pass *pass)
{
    struct trp_amounts need = { { 0 } };
    const struct trp_headroom_ask ask = { .account = &m->account,
                                          .size = size,
                                          .guess_bytes = guess,
                                          .beside_bytes = m->weights,
                                          .now_ns = now_ns };
    const enum trp_reserve r = trp_headroom_begin(w->all, &m->headroom, &ask, pass, &need);
    assert_true(r == TRP_RESERVE_DONE || need.of[TRP_RESOURCE_BYTES] > 0);
    return r;
}

static enum trp_reserve begin(struct world *w, struct model *m, uint64_t size, uint64_t guess,
                              struct trp_headroom_pass *pass)
{
    return begin_at(w, m, size, guess, MS, pass);
}

/* What a run does: it takes memory, and gives it back but for what its backend keeps. */
static void run(struct world *w, struct model *m, uint64_t size, uint64_t peak, uint64_t kept,
                struct trp_headroom_pass *pass)
{
    assert_true(trp_account_try_charge(&m->account, peak));
    trp_account_discharge(&m->account, peak - kept);
    trp_headroom_end(w->all, &m->headroom, size, peak, pass);
}

static void a_model_that_runs_again_finds_its_memory(void **state)
{
    (void)state;
    struct world w;
    struct trp_headroom_pass pass;
    if (!make(&w))
        return;
    assert_int_equal(begin(&w, &w.a, 1000, 10 * MIB, &pass), TRP_RESERVE_DONE);
    if (!pass.is_counted) { /* no memory for the book: it runs all the same */
        drop(&w);
        return;
    }
    assert_int_equal(used(&w), 10 * MIB);
    run(&w, &w.a, 1000, 30 * MIB, 30 * MIB, &pass); /* the guess was wrong */
    assert_int_equal(used(&w), 30 * MIB);           /* what the backend keeps counts */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(begin(&w, &w.a, 1000, 1, &pass), TRP_RESERVE_DONE);
        assert_int_equal(pass.bytes, 30 * MIB); /* learned */
        assert_int_equal(used(&w), 30 * MIB);   /* and not counted twice */
        trp_headroom_end(w.all, &w.a.headroom, 1000, 30 * MIB, &pass);
    }
    trp_account_discharge(&w.a.account, 30 * MIB); /* trimmed */
    trp_headrooms_refresh(w.all);
    assert_int_equal(used(&w), 0);
    drop(&w);
}

static void two_that_do_not_fit_together_run_one_after_the_other(void **state)
{
    (void)state;
    struct world w;
    struct trp_headroom_pass a, b;
    if (!make(&w))
        return;
    assert_int_equal(begin(&w, &w.a, 1000, 60 * MIB, &a), TRP_RESERVE_DONE);
    if (a.is_counted) {
        assert_int_equal(begin(&w, &w.b, 1000, 60 * MIB, &b), TRP_RESERVE_NOT_NOW);
        assert_int_equal(trp_counter_get(&w.words), 0);
        run(&w, &w.a, 1000, 60 * MIB, 0, &a);
        assert_int_equal(trp_counter_get(&w.words), 1);
        assert_int_equal(begin(&w, &w.b, 1000, 60 * MIB, &b), TRP_RESERVE_DONE);
        trp_headroom_end(w.all, &w.b.headroom, 1000, 60 * MIB, &b);
    } else {
        trp_headroom_end(w.all, &w.a.headroom, 1000, 60 * MIB, &a); /* nothing was held */
    }
    drop(&w);
}

static void what_does_not_fit_beside_its_weights_never_fits(void **state)
{
    (void)state;
    struct world w;
    struct trp_headroom_pass pass;
    if (!make(&w))
        return;
    struct trp_hold weights = { .is_committed = false };
    w.a.weights = 50 * MIB;
    trp_ledger_commit(w.ledger, &weights, (struct trp_amounts){ { 50 * MIB } });
    const enum trp_reserve r = begin(&w, &w.a, 1000, 51 * MIB, &pass);
    assert_true(r == TRP_RESERVE_NEVER || !pass.is_counted);
    assert_int_equal(begin(&w, &w.a, 1000, 50 * MIB, &pass), TRP_RESERVE_DONE);
    trp_headroom_end(w.all, &w.a.headroom, 1000, 50 * MIB, &pass);
    trp_ledger_release(w.ledger, &weights);
    drop(&w);
}

static void small_runs_ask_nobody_until_one_is_not_small(void **state)
{
    (void)state;
    struct world w;
    struct trp_headroom_pass pass;
    if (!make(&w))
        return;
    assert_false(trp_headroom_is_small(&w.a.headroom, 100));
    trp_headroom_learn(w.all, &w.a.headroom, &w.a.account, 1000, MIB / 2);
    if (w.a.headroom.book) {
        assert_true(trp_headroom_is_small(&w.a.headroom, 1000));
        assert_false(trp_headroom_is_small(&w.a.headroom, 1001));
        assert_int_equal(begin(&w, &w.a, 4000, 0, &pass), TRP_RESERVE_DONE);
        assert_in_range(pass.bytes, 2 * MIB, 2 * MIB + 4000); /* in proportion */
        trp_headroom_end(w.all, &w.a.headroom, 4000, 2 * MIB, &pass);
        assert_true(trp_headroom_is_small(&w.a.headroom, 1000));
        trp_headroom_learn(w.all, &w.a.headroom, &w.a.account, 900, 3 * MIB);
        assert_false(trp_headroom_is_small(&w.a.headroom, 900));
    }
    drop(&w);
}

static void nobody_passes_for_ever_who_waits_longest(void **state)
{
    (void)state;
    struct world w;
    struct trp_headroom_pass a, b, c;
    if (!make(&w))
        return;
    assert_int_equal(begin(&w, &w.a, 1, 60 * MIB, &a), TRP_RESERVE_DONE);
    const enum trp_reserve r = begin_at(&w, &w.b, 1, 80 * MIB, 10 * MS, &b);
    if (r == TRP_RESERVE_NOT_NOW) {
        /* Small ones may pass for a while, */
        assert_int_equal(begin_at(&w, &w.c, 1, 10 * MIB, 50 * MS, &c), TRP_RESERVE_DONE);
        trp_headroom_end(w.all, &w.c.headroom, 1, 10 * MIB, &c);
        assert_int_equal(begin_at(&w, &w.b, 1, 80 * MIB, 100 * MS, &b), TRP_RESERVE_NOT_NOW);
        /* but not for ever, */
        assert_int_equal(begin_at(&w, &w.c, 1, 10 * MIB, 120 * MS, &c), TRP_RESERVE_NOT_NOW);
        /* though whoever needs no more than the model has already goes on. */
        assert_int_equal(begin_at(&w, &w.a, 1, 0, 130 * MS, &c), TRP_RESERVE_DONE);
        trp_headroom_end(w.all, &w.a.headroom, 1, 0, &c);
        trp_headroom_end(w.all, &w.a.headroom, 1, 0, &a);
        assert_int_equal(begin_at(&w, &w.b, 1, 80 * MIB, 140 * MS, &b), TRP_RESERVE_DONE);
        assert_true(b.ends_wait); /* so the others are tried again */
        assert_int_equal(begin_at(&w, &w.c, 1, 10 * MIB, 150 * MS, &c), TRP_RESERVE_DONE);
        trp_headroom_end(w.all, &w.c.headroom, 1, 0, &c);
    }
    trp_headroom_end(w.all, &w.a.headroom, 1, 0, &a);
    trp_headroom_end(w.all, &w.b.headroom, 1, 0, &b);
    drop(&w);
}

/* A load may be waiting for its going, and it for what others hold: one of them has to give way. */
static void who_waits_longest_keeps_its_place_for_a_while_only(void **state)
{
    (void)state;
    struct world w;
    struct trp_headroom_pass a, b = { 0 };
    if (!make(&w))
        return;
    assert_int_equal(begin(&w, &w.a, 1, 60 * MIB, &a), TRP_RESERVE_DONE);
    int64_t now_ns = 10 * MS;
    enum trp_reserve r = begin_at(&w, &w.b, 1, 80 * MIB, now_ns, &b);
    if (r == TRP_RESERVE_NOT_NOW) {
        assert_true(b.is_first);
        for (; now_ns < 10 * MS + TRP_HEADROOM_FIRST_NS; now_ns += 1000 * MS) {
            assert_int_equal(begin_at(&w, &w.b, 1, 80 * MIB, now_ns, &b), TRP_RESERVE_NOT_NOW);
            assert_true(b.is_first);
        }
        assert_int_equal(begin_at(&w, &w.b, 1, 80 * MIB, now_ns, &b), TRP_RESERVE_NOT_NOW);
        assert_false(b.is_first);
        trp_headroom_end(w.all, &w.a.headroom, 1, 0, &a);
        assert_int_equal(begin_at(&w, &w.b, 1, 80 * MIB, now_ns, &b), TRP_RESERVE_DONE);
        assert_true(b.ends_wait); /* though its turn has stayed the next */
    }
    trp_headroom_end(w.all, &w.a.headroom, 1, 0, &a);
    trp_headroom_end(w.all, &w.b.headroom, 1, 0, &b);
    drop(&w);
}

static void who_waited_and_went_away_stands_in_nobody_s_way(void **state)
{
    (void)state;
    struct world w;
    struct trp_headroom_pass a, b, c;
    if (!make(&w))
        return;
    assert_int_equal(begin(&w, &w.a, 1, 60 * MIB, &a), TRP_RESERVE_DONE);
    const enum trp_reserve r = begin_at(&w, &w.b, 1, 80 * MIB, 10 * MS, &b);
    if (r == TRP_RESERVE_NOT_NOW) {
        assert_int_equal(begin_at(&w, &w.c, 1, 10 * MIB, 2000 * MS, &c), TRP_RESERVE_NOT_NOW);
        assert_int_equal(begin_at(&w, &w.c, 1, 10 * MIB, 4000 * MS, &c), TRP_RESERVE_DONE);
        trp_headroom_end(w.all, &w.c.headroom, 1, 0, &c);
    }
    trp_headroom_end(w.all, &w.a.headroom, 1, 0, &a);
    trp_headroom_end(w.all, &w.b.headroom, 1, 0, &b);
    drop(&w);
}

static void room_that_was_given_back_elsewhere_is_found(void **state)
{
    (void)state;
    struct world w;
    struct trp_headroom_pass a, b;
    if (!make(&w))
        return;
    assert_int_equal(begin(&w, &w.a, 1, 60 * MIB, &a), TRP_RESERVE_DONE);
    if (a.is_counted) {
        run(&w, &w.a, 1, 60 * MIB, 60 * MIB, &a); /* kept by the backend */
        trp_account_discharge(&w.a.account, 60 * MIB);
        const enum trp_reserve r = begin(&w, &w.b, 1, 80 * MIB, &b);
        assert_int_equal(r, TRP_RESERVE_DONE);
        trp_headroom_end(w.all, &w.b.headroom, 1, 80 * MIB, &b);
    }
    drop(&w);
}

static void a_model_that_comes_back_is_known(void **state)
{
    (void)state;
    struct world w;
    struct trp_headroom_pass pass;
    if (!make(&w))
        return;
    w.a.headroom.key = 7;
    trp_headroom_learn(w.all, &w.a.headroom, &w.a.account, 1000, MIB / 2);
    trp_headroom_learn(w.all, &w.a.headroom, &w.a.account, 100000, 30 * MIB);
    const bool was_learned = w.a.headroom.book != NULL;
    trp_headroom_close(&w.a.headroom); /* it is evicted, */
    w.b.headroom.key = 7;              /* and its files are loaded again */
    w.c.headroom.key = 8;
    assert_int_equal(begin(&w, &w.b, 100000, MIB, &pass), TRP_RESERVE_DONE);
    if (was_learned && pass.bytes != MIB) { /* else there was no memory to remember */
        assert_int_equal(pass.bytes, 30 * MIB);
        assert_true(trp_headroom_is_small(&w.b.headroom, 1000));
    }
    trp_headroom_end(w.all, &w.b.headroom, 100000, 30 * MIB, &pass);
    assert_int_equal(begin(&w, &w.c, 100000, MIB, &pass), TRP_RESERVE_DONE); /* others are not */
    assert_true(!pass.is_counted || pass.bytes == MIB);
    trp_headroom_end(w.all, &w.c.headroom, 100000, MIB, &pass);
    drop(&w);
}

/* Run after run keeps memory that the next one cannot use: the hold covered them all, and was
 * passed. */
static void what_was_not_expected_is_reserved_when_it_is_taken_or_refused(void **state)
{
    (void)state;
    struct world w;
    struct trp_headroom_pass a, b;
    if (!make(&w))
        return;
    assert_int_equal(begin(&w, &w.a, 1, 30 * MIB, &a), TRP_RESERVE_DONE);
    if (a.is_counted) {
        run(&w, &w.a, 1, 30 * MIB, 30 * MIB, &a); /* all of it is kept */
        assert_int_equal(begin(&w, &w.a, 1, 1, &a), TRP_RESERVE_DONE);
        assert_int_equal(used(&w), 30 * MIB);
        assert_true(trp_account_try_charge(&w.a.account, 30 * MIB)); /* and is of no use */
        assert_int_equal(used(&w), 60 * MIB);
        assert_int_equal(begin(&w, &w.b, 1, 20 * MIB, &b), TRP_RESERVE_DONE);
        if (b.is_counted) {
            assert_false(trp_account_try_charge(&w.a.account, 30 * MIB));
            assert_true(trp_account_try_charge(&w.b.account, 40 * MIB)); /* what is left, too */
            assert_int_equal(used(&w), 100 * MIB);
            run(&w, &w.b, 1, 0, 0, &b);
            trp_account_discharge(&w.b.account, 40 * MIB);
        }
        trp_account_discharge(&w.a.account, 60 * MIB);
        trp_headroom_end(w.all, &w.a.headroom, 1, 30 * MIB, &a);
    }
    drop(&w);
}

/* --- many threads ----------------------------------------------------------------------------- */

struct crowd {
    struct world *w;
    struct model *model;
    struct trp_counter *in_hand, *too_much;
};

static void run_many(void *user)
{
    const struct crowd *c = user;
    for (int i = 0; i < 300; i++) {
        struct trp_headroom_pass pass;
        const uint64_t peak = (uint64_t)(10 + i % 30) * MIB;
        if (begin_at(c->w, c->model, peak, peak, i * MS, &pass) != TRP_RESERVE_DONE)
            continue;
        if (pass.is_counted) {
            if (trp_counter_add(c->in_hand, pass.bytes) > 100 * MIB)
                trp_counter_add(c->too_much, 1);
            trp_counter_sub(c->in_hand, pass.bytes);
        }
        trp_headroom_end(c->w->all, &c->model->headroom, peak, peak, &pass);
    }
}

static void threads_never_run_more_than_there_is_room_for(void **state)
{
    (void)state;
    struct world w;
    struct trp_counter in_hand = { 0 }, too_much = { 0 };
    if (!make(&w))
        return;
    struct crowd crowds[] = { { &w, &w.a, &in_hand, &too_much },
                              { &w, &w.a, &in_hand, &too_much },
                              { &w, &w.b, &in_hand, &too_much },
                              { &w, &w.c, &in_hand, &too_much } };
    struct trp_thread threads[ARRAY_LEN(crowds)] = { { 0 } };
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        struct trp_error err = { 0 };
        (void)trp_thread_start(&threads[i], "crowd", run_many, &crowds[i], &err);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        trp_thread_join(&threads[i]);
    assert_int_equal(trp_counter_get(&too_much), 0);
    assert_int_equal(used(&w), 0);
    drop(&w);
}

/* A batch that finds no room is halved, and its model's runs go on: nobody waits, so nobody is
 * kept waiting for it. */
static void who_only_tried_keeps_nobody_from_growing(void **state)
{
    struct world w;
    struct trp_headroom_pass a, b, c;
    struct trp_amounts need = { { 0 } };
    (void)state;
    if (!make(&w))
        return;
    assert_int_equal(begin_at(&w, &w.a, 8, 60 * MIB, MS, &a), TRP_RESERVE_DONE);
    const struct trp_headroom_ask attempt = {
        .account = &w.b.account, .size = 8, .guess_bytes = 50 * MIB, .now_ns = MS, .is_try = true
    };
    if (trp_headroom_begin(w.all, &w.b.headroom, &attempt, &b, &need) == TRP_RESERVE_NOT_NOW) {
        assert_int_equal(begin_at(&w, &w.c, 8, 20 * MIB, 500 * MS, &c), TRP_RESERVE_DONE);
        trp_headroom_end(w.all, &w.c.headroom, 8, 0, &c);
    }
    trp_headroom_end(w.all, &w.b.headroom, 8, 0, &b);
    trp_headroom_end(w.all, &w.a.headroom, 8, 0, &a);
    drop(&w);
}

/* Two first runs of a model: one grows, the other is refused and tried again.  What the first
 * has grown by is still there. */
static void who_was_refused_takes_nothing_from_who_was_not(void **state)
{
    struct world w;
    struct trp_headroom_pass a, b;
    (void)state;
    if (!make(&w))
        return;
    assert_int_equal(begin(&w, &w.a, 8, 10 * MIB, &a), TRP_RESERVE_DONE);
    assert_int_equal(begin(&w, &w.a, 8, 10 * MIB, &b), TRP_RESERVE_DONE);
    if (a.is_counted && b.is_counted) {
        assert_true(trp_account_try_charge(&w.a.account, 60 * MIB));
        assert_false(trp_account_try_charge(&w.a.account, 60 * MIB));
        b.is_short = true;
        trp_headroom_end(w.all, &w.a.headroom, 8, 60 * MIB, &b);
        assert_int_equal(begin(&w, &w.a, 8, 0, &b), TRP_RESERVE_NOT_NOW);
        trp_account_discharge(&w.a.account, 60 * MIB);
    }
    trp_headroom_end(w.all, &w.a.headroom, 8, 60 * MIB, &a);
    drop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_that_runs_again_finds_its_memory),
        cmocka_unit_test(two_that_do_not_fit_together_run_one_after_the_other),
        cmocka_unit_test(what_does_not_fit_beside_its_weights_never_fits),
        cmocka_unit_test(small_runs_ask_nobody_until_one_is_not_small),
        cmocka_unit_test(nobody_passes_for_ever_who_waits_longest),
        cmocka_unit_test(who_waits_longest_keeps_its_place_for_a_while_only),
        cmocka_unit_test(who_waited_and_went_away_stands_in_nobody_s_way),
        cmocka_unit_test(room_that_was_given_back_elsewhere_is_found),
        cmocka_unit_test(a_model_that_comes_back_is_known),
        cmocka_unit_test(what_was_not_expected_is_reserved_when_it_is_taken_or_refused),
        cmocka_unit_test(threads_never_run_more_than_there_is_room_for),
        cmocka_unit_test(who_only_tried_keeps_nobody_from_growing),
        cmocka_unit_test(who_was_refused_takes_nothing_from_who_was_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Who is let into memory, and who leaves for it. */
#include "residence_fixture.h"

#include "../base/scarce.h"

/* ---- letting in ---- */

static void what_fits_is_let_in_after_the_call_and_held_as_measured(void **state)
{
    struct house *h = *state;
    const struct trp_size size = { .own = { { 30 * MB } }, .extra = { { 20 * MB } } };
    struct model *a = ask_sized(h, "a", &size);
    assert_int_equal(a->answers, 0);
    turn(h);
    assert_int_equal(a->answers, 1);
    assert_int_equal(used(h), 50 * MB);
    a->bytes = 31 * MB;
    settle(a, TRP_MS(5));
    assert_int_equal(used(h), 31 * MB);
    turn(h);
    assert_int_equal(metric(h, TRP_METRIC_RESIDENTS), 1);
    trp_stay_end(&a->stay);
    assert_int_equal(used(h), 0);
}

static void who_is_asked_for_least_leaves_and_its_memory_is_waited_for(void **state)
{
    struct house *h = *state;
    struct model *a = bring(h, "a", 40 * MB, TRP_MS(100));
    struct model *b = bring(h, "b", 40 * MB, TRP_MS(100));
    a->ends_at_once = b->ends_at_once = false;
    serve(h, a, 1);
    serve(h, b, 100);
    struct model *c = ask(h, "c", 40 * MB);
    turn(h);
    assert_int_equal(a->evictions, 1);
    assert_int_equal(c->answers, 0);
    for (int i = 0; i < 3; i++) { /* looked at again and again, nobody else goes */
        trp_residence_stir(h->residence);
        turn(h);
    }
    assert_int_equal(b->evictions, 0);
    assert_int_equal(used(h), 80 * MB);
    trp_stay_end(&a->stay);
    turn(h);
    assert_int_equal(c->stay.state, TRP_STAY_COMING);
    assert_non_null(strstr(h->why, "room for 'c': 40000000 bytes"));
    assert_int_equal(metric(h, TRP_METRIC_EVICTIONS_LOAD), 1);
    assert_int_equal(metric(h, TRP_METRIC_EVICTED_BYTES), 40 * MB);
}

static void who_leaves_and_is_kept_is_not_waited_for_for_ever(void **state)
{
    struct house *h = *state;
    struct model *a = bring(h, "a", 40 * MB, TRP_MS(100));
    struct model *b = bring(h, "b", 40 * MB, TRP_MS(100));
    a->ends_at_once = false;
    serve(h, a, 1);
    serve(h, b, 100);
    struct model *c = ask(h, "c", 40 * MB);
    turn(h);
    assert_int_equal(a->evictions, 1);
    h->now_ns += TRP_S(1);
    turn(h);
    assert_int_equal(b->evictions, 0);
    h->now_ns += TRP_S(2); /* somebody has it still */
    turn(h);
    assert_int_equal(b->evictions, 1);
    turn(h);
    assert_int_equal(c->stay.state, TRP_STAY_COMING);
    trp_stay_end(&a->stay);
}

static void what_never_fits_is_refused_with_the_numbers_and_nobody_goes(void **state)
{
    struct house *h = *state;
    struct model *a = bring(h, "a", 30 * MB, TRP_MS(1));
    struct model *b = ask(h, "b", 101 * MB);
    turn(h);
    assert_int_equal(b->refused.status.code, TRP_OVER_BUDGET);
    assert_non_null(strstr(b->refused.text, "101000000"));
    assert_non_null(strstr(b->refused.text, "100000000"));
    a->guest->is_pinned = true;
    struct model *c = ask(h, "c", 71 * MB); /* not beside what is pinned */
    turn(h);
    assert_int_equal(c->refused.status.code, TRP_OVER_BUDGET);
    assert_non_null(strstr(c->refused.text, "70000000"));
    assert_int_equal(a->evictions, 0);
    assert_int_equal(metric(h, TRP_METRIC_LOADS_OVER_BUDGET), 2);
}

static void who_is_busy_or_held_stays_until_it_is_not(void **state)
{
    struct house *h = *state;
    struct model *a = bring(h, "a", 60 * MB, TRP_MS(1));
    trp_gauge_add(&a->stats.in_flight, 1);
    struct model *b = ask(h, "b", 50 * MB);
    turn(h);
    assert_int_equal(b->answers, 0);
    trp_gauge_add(&a->stats.in_flight, -1);
    a->guest->is_held = true;
    h->now_ns += TRP_S(2);
    turn(h); /* the tick looks again */
    assert_int_equal(b->answers, 0);
    assert_int_equal(metric(h, TRP_METRIC_LOADS_WAITING), 1);
    a->guest->is_held = false;
    trp_residence_stir(h->residence);
    turn(h);
    assert_int_equal(a->evictions, 1);
    turn(h);
    assert_int_equal(b->stay.state, TRP_STAY_COMING);
    assert_int_equal(metric(h, TRP_METRIC_LOADS_WAITING), 0);
}

static void who_has_just_come_is_safe_for_a_while(void **state)
{
    struct house *h = *state;
    struct model *a = ask(h, "a", 60 * MB);
    turn(h);
    settle(a, TRP_MS(1));
    struct model *b = ask(h, "b", 60 * MB);
    for (int s = 0; s < 9; s++) {
        h->now_ns += TRP_S(1);
        turn(h);
    }
    assert_int_equal(b->answers, 0);
    h->now_ns += TRP_S(2);
    turn(h);
    turn(h);
    assert_int_equal(b->stay.state, TRP_STAY_COMING);
}

static void a_victim_that_cannot_go_just_now_is_asked_again(void **state)
{
    struct house *h = *state;
    (void)bring(h, "a", 60 * MB, TRP_MS(1));
    h->refuses_evictions = true;
    struct model *b = ask(h, "b", 60 * MB);
    turn(h);
    assert_int_equal(b->answers, 0);
    assert_int_equal(metric(h, TRP_METRIC_EVICTIONS_LOAD), 0);
    h->refuses_evictions = false;
    h->now_ns += TRP_S(2);
    turn(h);
    turn(h);
    assert_int_equal(b->stay.state, TRP_STAY_COMING);
}

static void who_waited_too_long_is_refused_with_the_numbers(void **state)
{
    struct house *h = *state;
    struct model *a = bring(h, "a", 60 * MB, TRP_MS(1));
    trp_gauge_add(&a->stats.in_flight, 1);
    struct model *b = ask(h, "b", 60 * MB);
    turn(h);
    h->now_ns += TRP_S(59);
    turn(h);
    assert_int_equal(b->answers, 0);
    h->now_ns += TRP_S(2);
    turn(h);
    assert_int_equal(b->refused.status.code, TRP_OVER_BUDGET);
    assert_non_null(strstr(b->refused.text, "60000000"));
}

static void what_nobody_asked_for_has_nobody_evicted(void **state)
{
    struct house *h = *state;
    struct model *a = bring(h, "a", 60 * MB, TRP_MS(1));
    struct model *b = ask(h, "b", 60 * MB), *c = ask(h, "c", 40 * MB);
    b->ask.is_asked_for = c->ask.is_asked_for = false;
    turn(h);
    assert_int_equal(b->refused.status.code, TRP_OVER_BUDGET);
    assert_int_equal(c->stay.state, TRP_STAY_COMING);
    assert_int_equal(a->evictions, 0);
}

static void successors_do_not_evict_what_they_replace(void **state)
{
    struct house *h = *state;
    struct trp_error err;
    struct model *a = bring(h, "a", 60 * MB, TRP_MS(1));
    struct trp_stay next = { 0 };
    const struct trp_size size = { .own = { { 50 * MB } } };
    must(trp_stay_expect(a->guest, &next, &size, NULL, &err), &err);
    trp_residence_ask(h->residence, &a->ask);
    a->answers = 0;
    turn(h);
    assert_int_equal(a->evictions, 0);
    assert_int_equal(a->answers, 1);
    assert_int_equal(a->refused.status.code, TRP_OVER_BUDGET);
    assert_non_null(strstr(a->refused.text, "40000000"));
    trp_stay_end(&next);
}

/* ---- order ---- */

static void higher_ranks_are_let_in_first_and_equals_in_order(void **state)
{
    struct house *h = *state;
    static const struct {
        const char *name;
        int32_t rank;
    } rows[] = { { "a", 0 }, { "b", 1 }, { "c", 0 }, { "d", 2 }, { "e", 1 } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct model *m = model(h, rows[i].name);
        m->ask.rank = rows[i].rank;
        (void)ask(h, rows[i].name, 1 * MB);
    }
    turn(h);
    assert_string_equal(h->order, "dbeac");
}

static void only_so_many_and_so_much_is_loaded_at_once(void **state)
{
    struct house *h = *state;
    h->residence->opts.loads_max = 2;
    h->residence->opts.loading_bytes_max = 30 * MB;
    struct model *a = ask(h, "a", 40 * MB); /* alone it may */
    struct model *b = ask(h, "b", 10 * MB), *c = ask(h, "c", 10 * MB), *d = ask(h, "d", 1 * MB);
    turn(h);
    assert_string_equal(h->order, "a");
    settle(a, 1);
    turn(h);
    assert_string_equal(h->order, "abc");
    settle(b, 1);
    turn(h);
    assert_string_equal(h->order, "abcd");
    trp_stay_end(&c->stay); /* it failed */
    settle(d, 1);
    assert_int_equal(h->residence->coming_n, 0);
    assert_int_equal(h->residence->coming_bytes, 0);
}

static void nobody_takes_what_somebody_before_waits_for(void **state)
{
    struct house *h = *state;
    struct model *a = bring(h, "a", 70 * MB, TRP_MS(1));
    a->ends_at_once = false;
    struct model *b = ask(h, "b", 80 * MB), *c = ask(h, "c", 25 * MB), *d = ask(h, "d", 15 * MB);
    turn(h);
    assert_int_equal(a->evictions, 1);
    assert_int_equal(c->answers, 0); /* would fit now, and b would not when a has gone */
    assert_int_equal(d->stay.state, TRP_STAY_COMING);
    trp_stay_end(&a->stay);
    turn(h);
    assert_int_equal(b->stay.state, TRP_STAY_COMING);
    assert_int_equal(c->answers, 0);
}

static void the_right_of_way_ends(void **state)
{
    struct house *h = *state;
    struct model *a = bring(h, "a", 70 * MB, TRP_MS(1));
    trp_gauge_add(&a->stats.in_flight, 1);
    struct model *b = ask(h, "b", 80 * MB), *c = ask(h, "c", 25 * MB);
    turn(h);
    h->now_ns += TRP_S(9);
    turn(h);
    assert_int_equal(c->answers, 0);
    h->now_ns += TRP_S(2);
    turn(h);
    assert_int_equal(c->stay.state, TRP_STAY_COMING);
    assert_int_equal(b->answers, 0);
}

static void a_wish_can_be_taken_back_at_any_time(void **state)
{
    struct house *h = *state;
    struct model *a = ask(h, "a", 10 * MB), *b = ask(h, "b", 10 * MB);
    trp_residence_cancel(h->residence, &a->ask);
    trp_stay_end(&a->stay);
    turn(h);
    assert_int_equal(a->answers, 0);
    assert_int_equal(b->answers, 1);
    trp_residence_cancel(h->residence, &b->ask); /* answered long ago */
    assert_int_equal(b->stay.state, TRP_STAY_COMING);
}

static void who_asks_a_closed_house_is_told(void **state)
{
    struct house *h = *state;
    struct model *a = bring(h, "a", 90 * MB, TRP_MS(1));
    trp_gauge_add(&a->stats.in_flight, 1);
    struct model *b = ask(h, "b", 20 * MB);
    turn(h);
    trp_residence_close(h->residence);
    struct model *c = ask(h, "c", 1 * MB);
    turn(h);
    assert_int_equal(b->refused.status.code, TRP_UNAVAILABLE);
    assert_int_equal(c->refused.status.code, TRP_UNAVAILABLE);
}

/* ---- shares ---- */

static void what_is_shared_is_held_once_and_as_long_as_anybody_has_it(void **state)
{
    struct house *h = *state;
    static const struct trp_piece base[] = { { "base", 50 * MB } },
                                  both[] = { { "base", 50 * MB }, { "head", 5 * MB } };
    const struct trp_size first = { .own = { { 1 * MB } }, PIECES(base) },
                          second = { .own = { { 2 * MB } }, PIECES(both) };
    struct model *a = ask_sized(h, "a", &first), *b = ask_sized(h, "b", &second);
    turn(h);
    assert_int_equal(used(h), 58 * MB);
    settle(a, 1);
    settle(b, 1);
    assert_int_equal(used(h), 58 * MB);
    trp_stay_leave(&a->stay);
    trp_stay_end(&a->stay);
    assert_int_equal(used(h), 57 * MB);
    const struct trp_amounts plain = { { 40 * MB } }; /* it could not be mapped after all */
    a = ask_sized(h, "a", &first);
    turn(h);
    trp_stay_settle(&a->stay, plain, false, 1);
    assert_int_equal(used(h), 97 * MB);
    trp_stay_end(&b->stay);
    assert_int_equal(used(h), 40 * MB);
}

static void what_the_newcomer_shares_is_no_room(void **state)
{
    struct house *h = *state;
    static const struct trp_piece base[] = { { "base", 40 * MB } };
    const struct trp_size variant = { .own = { { 10 * MB } }, PIECES(base) };
    struct model *a = ask_sized(h, "a", &variant);
    turn(h);
    settle(a, TRP_MS(1));
    a->guest->loaded_ns -= TRP_S(11);
    struct model *b = bring(h, "b", 45 * MB, TRP_S(100));
    serve(h, b, 50);
    a->ends_at_once = false;
    const struct trp_size large = { .own = { { 15 * MB } }, PIECES(base) };
    struct model *c = ask_sized(h, "c", &large); /* needs 15 beside the base, 5 are left */
    turn(h);
    assert_int_equal(a->evictions, 1); /* frees its own ten only, which is enough */
    assert_int_equal(b->evictions, 0);
    trp_stay_end(&a->stay);
    turn(h);
    assert_int_equal(c->stay.state, TRP_STAY_COMING);
    assert_int_equal(used(h), (45 + 40 + 15) * MB);
}

/* Counted as what really became free, also by the thrash meter: not as nothing, and the blob not
 * twice. */
static void what_goes_together_is_counted_as_what_it_frees(void **state)
{
    struct house *h = *state;
    static const struct trp_piece base[] = { { "base", 60 * MB } };
    const struct trp_size variant = { .own = { { 1 * MB } }, PIECES(base) };
    struct model *both[2];
    uint64_t ghosts = 0;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 2; i++) {
            both[i] = ask_sized(h, i ? "b" : "a", &variant);
            turn(h);
            settle(both[i], TRP_MS(10));
            both[i]->guest->loaded_ns -= TRP_S(11);
        }
        both[1]->is_stubborn = round == 0;
        struct model *c = ask(h, "c", 90 * MB);
        turn(h);
        assert_int_equal(both[0]->evictions, 1 + round);
        assert_int_equal(metric(h, TRP_METRIC_EVICTED_BYTES), round ? 1 * MB + 62 * MB : 1 * MB);
        trp_residence_cancel(h->residence, &c->ask);
        trp_stay_end(&c->stay);
        trp_stay_end(&both[1]->stay);
        turn(h);
    }
    for (size_t i = 0; i < ARRAY_LEN(h->residence->ghosts); i++)
        ghosts += h->residence->ghosts[i].bytes;
    assert_int_equal(ghosts, 62 * MB);
}

static void both_versions_of_a_model_go_together(void **state)
{
    struct house *h = *state;
    struct trp_error err;
    static const struct trp_piece base[] = { { "base", 20 * MB } };
    const struct trp_size variant = { .own = { { 10 * MB } }, PIECES(base) };
    struct trp_stay second = { 0 };
    struct model *a = model(h, "a");
    must(trp_stay_expect(a->guest, &second, &variant, NULL, &err), &err);
    (void)ask_sized(h, "a", &variant);
    turn(h);
    assert_int_equal(used(h), 40 * MB);
    assert_int_equal(h->residence->coming_n, 2);
    settle(a, TRP_MS(1));
    trp_stay_settle(&second, (struct trp_amounts){ { 10 * MB } }, true, TRP_MS(1));
    a->guest->loaded_ns -= TRP_S(11);
    a->ends_at_once = false;
    struct model *b = ask(h, "b", 90 * MB);
    turn(h);
    assert_int_equal(a->evictions, 1);
    trp_stay_leave(&second);
    trp_stay_end(&second);
    trp_stay_end(&a->stay);
    turn(h);
    assert_int_equal(b->stay.state, TRP_STAY_COMING);
}

/* ---- what else is short ---- */

static void more_than_was_thought_is_made_good(void **state)
{
    struct house *h = *state;
    struct model *a = bring(h, "a", 50 * MB, TRP_MS(1));
    struct model *b = ask(h, "b", 40 * MB);
    turn(h);
    b->bytes = 70 * MB;
    settle(b, TRP_MS(1));
    assert_int_equal(used(h), 120 * MB);
    turn(h);
    assert_int_equal(a->evictions, 1);
    assert_int_equal(metric(h, TRP_METRIC_EVICTIONS_OVER), 1);
    assert_int_equal(used(h), 70 * MB);
}

static void room_is_made_for_a_run_before_any_load(void **state)
{
    struct house *h = *state;
    struct model *a = bring(h, "a", 90 * MB, TRP_MS(1));
    const struct trp_amounts run = { { 30 * MB } };
    trp_ledger_ask_room(h->ledger, run);
    struct model *b = ask(h, "b", 80 * MB);
    turn(h); /* the word arrives */
    turn(h);
    assert_int_equal(a->evictions, 1);
    assert_int_equal(metric(h, TRP_METRIC_EVICTIONS_RUN), 1);
    struct trp_hold hold = { 0 };
    assert_int_equal(trp_ledger_reserve(h->ledger, run, &hold), TRP_RESERVE_DONE);
    turn(h);
    assert_int_equal(b->answers, 0);
    trp_ledger_release(h->ledger, &hold);
    h->now_ns += TRP_S(6);
    turn(h);
    turn(h);
    assert_int_equal(b->stay.state, TRP_STAY_COMING);
}

static void room_that_a_run_has_taken_is_not_kept_free_for_it(void **state)
{
    struct house *h = *state;
    struct model *a = bring(h, "a", 60 * MB, TRP_MS(1));
    struct model *b = bring(h, "b", 35 * MB, TRP_MS(1));
    const struct trp_amounts run = { { 30 * MB } };
    trp_ledger_ask_room(h->ledger, run);
    turn(h); /* the word arrives */
    turn(h);
    assert_int_equal(a->evictions + b->evictions, 1);
    struct trp_hold hold = { 0 };
    assert_int_equal(trp_ledger_reserve(h->ledger, run, &hold), TRP_RESERVE_DONE);
    trp_ledger_tell_served(h->ledger);
    const uint64_t left = 100 * MB - used(h);
    struct model *c = ask(h, "c", left);
    turn(h);
    turn(h);
    assert_int_equal(c->stay.state, TRP_STAY_COMING); /* no time has passed */
    assert_int_equal(a->evictions + b->evictions, 1);
    trp_ledger_release(h->ledger, &hold);
}

/* Who still waits asks again; that is not forgotten with what the first had asked for. */
static void what_the_next_run_asks_for_is_kept_free(void **state)
{
    struct house *h = *state;
    trp_ledger_ask_room(h->ledger, (struct trp_amounts){ { 90 * MB } });
    trp_ledger_tell_served(h->ledger);
    trp_ledger_ask_room(h->ledger, (struct trp_amounts){ { 30 * MB } });
    turn(h);
    turn(h);
    struct model *a = ask(h, "a", 80 * MB), *b = ask(h, "b", 60 * MB);
    turn(h);
    assert_int_equal(a->answers, 0);
    assert_int_equal(b->answers, 0); /* `a` comes first */
    trp_residence_cancel(h->residence, &a->ask);
    trp_stay_end(&a->stay);
    turn(h);
    assert_int_equal(b->stay.state, TRP_STAY_COMING);
}

static void room_that_a_run_gives_back_is_heard_of(void **state)
{
    struct house *h = *state;
    struct trp_hold run = { 0 };
    const struct trp_amounts most = { { 90 * MB } };
    assert_int_equal(trp_ledger_reserve(h->ledger, most, &run), TRP_RESERVE_DONE);
    struct model *a = ask(h, "a", 50 * MB);
    turn(h);
    assert_int_equal(a->answers, 0);
    trp_ledger_release(h->ledger, &run);
    turn(h);
    turn(h);
    assert_int_equal(a->stay.state, TRP_STAY_COMING);
}

/* ---- policy ---- */

/* `a` is asked for often, but not lately; `b` once, just now. */
static struct model *who_goes(struct house *h, enum trp_eviction_policy policy)
{
    h->residence->opts.policy = policy;
    struct model *a = bring(h, "a", 40 * MB, TRP_MS(100)), *b = bring(h, "b", 40 * MB, TRP_MS(100));
    serve(h, a, 100);
    trp_residence_stir(h->residence);
    turn(h);
    h->now_ns += TRP_S(5);
    serve(h, b, 1);
    (void)ask(h, "c", 40 * MB);
    turn(h);
    assert_int_equal(a->evictions + b->evictions, 1);
    return a->evictions ? a : b;
}

static void cost_keeps_who_is_asked_for_often(void **state)
{
    assert_string_equal(who_goes(*state, TRP_EVICTION_COST)->name, "b");
}

static void lru_keeps_who_was_asked_for_last(void **state)
{
    assert_string_equal(who_goes(*state, TRP_EVICTION_LRU)->name, "a");
}

static void who_would_go_next_is_who_goes_next(void **state)
{
    struct house *h = *state;
    struct trp_error err;
    struct model *a = bring(h, "a", 30 * MB, TRP_MS(100));
    struct model *b = bring(h, "b", 30 * MB, TRP_MS(100));
    struct model *c = bring(h, "c", 30 * MB, TRP_MS(100));
    serve(h, a, 100);
    serve(h, b, 1);
    c->guest->is_pinned = true;
    must(trp_residence_rank(h->residence, &err), &err);
    assert_int_equal(b->guest->prospect.next, 1);
    assert_int_equal(a->guest->prospect.next, 2);
    assert_int_equal(c->guest->prospect.next, 0);
    assert_int_equal(c->guest->prospect.standing, TRP_STANDING_PINNED);
    assert_int_equal(a->guest->prospect.frees_bytes, 30 * MB);
    assert_true(a->guest->prospect.score > b->guest->prospect.score);
    assert_true(a->guest->prospect.per_s > b->guest->prospect.per_s);
    assert_int_equal(a->evictions + b->evictions + c->evictions, 0);
    struct model *d = ask(h, "d", 35 * MB);
    must(trp_residence_rank(h->residence, &err), &err);
    assert_false(d->guest->prospect.is_known); /* it has nothing yet */
    turn(h);
    assert_int_equal(b->evictions, 1);
    assert_int_equal(a->evictions, 0);
}

static void a_rate_outlives_an_eviction(void **state)
{
    struct house *h = *state;
    struct model *a = bring(h, "a", 60 * MB, TRP_MS(1));
    serve(h, a, 40);
    struct model *b = bring(h, "b", 60 * MB, TRP_MS(1));
    assert_int_equal(a->evictions, 1);
    assert_int_equal(a->stay.state, TRP_STAY_OUT);
    assert_true(trp_rate_weight(&a->guest->rate, h->now_ns, TRP_S(300)) > 39);
    a = ask(h, "a", 60 * MB);
    trp_counter_set(&a->stats.success.count, 0); /* a new version counts from nothing */
    turn(h);
    turn(h);
    assert_int_equal(b->evictions, 1);
    settle(a, 1);
    turn(h);
    assert_true(trp_rate_weight(&a->guest->rate, h->now_ns, TRP_S(300)) > 39);
}

/* Three models in a circle, room for two of them: each load is one that a larger memory would
 * have saved. */
static void thrashing_is_told_with_the_bytes_that_cure_it(void **state)
{
    struct house *h = *state;
    static const char *const names[] = { "a", "b", "c" };
    for (int i = 0; i < 60; i++) {
        struct model *m = model(h, names[i % 3]);
        if (m->stay.state == TRP_STAY_OUT)
            (void)ask(h, m->name, 45 * MB);
        turn(h);
        turn(h);
        if (m->stay.state == TRP_STAY_COMING)
            settle(m, TRP_S(2));
        m->guest->loaded_ns -= TRP_S(30);
        serve(h, m, 1);
        h->now_ns += TRP_S(4);
    }
    turn(h);
    assert_int_equal(metric(h, TRP_METRIC_THRASHING), 1);
    assert_true(metric(h, TRP_METRIC_THRASH_WASTE) > 100);
    assert_in_range(metric(h, TRP_METRIC_THRASH_CURE), 40 * MB, 100 * MB);
    assert_true(metric(h, TRP_METRIC_RETURNS) > 10);
    h->now_ns += TRP_S(3600);
    turn(h);
    assert_int_equal(metric(h, TRP_METRIC_THRASHING), 0);
    assert_int_equal(metric(h, TRP_METRIC_THRASH_CURE), 0);
}

static void whose_model_has_gone_still_gives_its_memory_back(void **state)
{
    struct house *h = *state;
    struct trp_error err;
    struct trp_guest *g;
    struct trp_stay stay = { 0 };
    const struct trp_size size = { .own = { { 10 * MB } } };
    must(trp_guest_create(h->residence, TRP_STR_LIT("x"), h, &g, &err), &err);
    must(trp_stay_expect(g, &stay, &size, NULL, &err), &err);
    trp_stay_admit(&stay);
    trp_stay_settle(&stay, size.own, true, 1);
    trp_stay_leave(&stay);
    trp_guest_part(g);
    turn(h);
    assert_int_equal(used(h), 10 * MB);
    trp_stay_end(&stay);
    assert_int_equal(used(h), 0);
    assert_int_equal(h->residence->known_n, 0);
}

/* ---- short of memory ourselves ---- */

/* However much memory there is for it: everybody is answered, and nothing is left. */
static void every_lack_of_memory_is_told(void **state)
{
    (void)state;
    static const struct trp_piece pieces[] = { { "p", 10 * MB }, { "q", 1 * MB } };
    const struct trp_size size = { .own = { { 60 * MB } }, PIECES(pieces) };
    bool went_well = false;
    for (uint64_t blocks = 0; !went_well; blocks++) {
        struct scarce scarce;
        struct house *h = plot();
        struct trp_error err = { 0 };
        struct trp_guest *g;
        assert_true(blocks < 200);
        if (trp_failed(build(h, scarce_init(&scarce, blocks), &err))) {
            demolish(h);
            continue;
        }
        int asked = 0, refused = 0, in = 0;
        for (int i = 0; i < 3; i++) {
            struct model *m = &h->models[i];
            if (trp_failed(trp_guest_create(h->residence, TRP_STR_LIT("m"), m, &g, &err)))
                break;
            *m = (struct model){ .name = "m", .house = h, .guest = g, .ends_at_once = true };
            if (trp_failed(trp_stay_expect(g, &m->stay, &size, &m->stats, &err)))
                break;
            m->ask = (struct trp_ask){ .guest = g, .answer = answered, .is_asked_for = true };
            trp_residence_ask(h->residence, &m->ask);
            asked++;
            for (int k = 0; k < 3; k++)
                turn(h);
            refused += trp_failed(m->refused.status);
            in += m->stay.state == TRP_STAY_COMING;
            settle(m, 1);
            m->guest->loaded_ns -= TRP_S(20);
        }
        assert_int_equal(refused + in, asked);
        went_well = in == 3;
        demolish(h);
        assert_int_equal(trp_counter_get(&scarce.out), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_fits_is_let_in_after_the_call_and_held_as_measured),
        TEST(who_is_asked_for_least_leaves_and_its_memory_is_waited_for),
        TEST(who_leaves_and_is_kept_is_not_waited_for_for_ever),
        TEST(what_never_fits_is_refused_with_the_numbers_and_nobody_goes),
        TEST(who_is_busy_or_held_stays_until_it_is_not),
        TEST(who_has_just_come_is_safe_for_a_while),
        TEST(a_victim_that_cannot_go_just_now_is_asked_again),
        TEST(who_waited_too_long_is_refused_with_the_numbers),
        TEST(what_nobody_asked_for_has_nobody_evicted),
        TEST(successors_do_not_evict_what_they_replace),
        TEST(higher_ranks_are_let_in_first_and_equals_in_order),
        TEST(only_so_many_and_so_much_is_loaded_at_once),
        TEST(nobody_takes_what_somebody_before_waits_for),
        TEST(the_right_of_way_ends),
        TEST(a_wish_can_be_taken_back_at_any_time),
        TEST(who_asks_a_closed_house_is_told),
        TEST(what_is_shared_is_held_once_and_as_long_as_anybody_has_it),
        TEST(what_the_newcomer_shares_is_no_room),
        TEST(what_goes_together_is_counted_as_what_it_frees),
        TEST(both_versions_of_a_model_go_together),
        TEST(more_than_was_thought_is_made_good),
        TEST(room_is_made_for_a_run_before_any_load),
        TEST(room_that_a_run_has_taken_is_not_kept_free_for_it),
        TEST(what_the_next_run_asks_for_is_kept_free),
        TEST(room_that_a_run_gives_back_is_heard_of),
        TEST(cost_keeps_who_is_asked_for_often),
        TEST(lru_keeps_who_was_asked_for_last),
        TEST(who_would_go_next_is_who_goes_next),
        TEST(a_rate_outlives_an_eviction),
        TEST(thrashing_is_told_with_the_bytes_that_cure_it),
        TEST(whose_model_has_gone_still_gives_its_memory_back),
        cmocka_unit_test(every_lack_of_memory_is_told),
    };
    return cmocka_run_group_tests_name("residence", tests, NULL, NULL);
}

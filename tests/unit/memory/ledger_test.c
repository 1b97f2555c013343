/* tests/unit/memory/ledger_test.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/str.h"
#include "base/thread.h"
#include "memory/ledger.h"

static struct trp_amounts bytes(uint64_t n)
{
    return (struct trp_amounts){ { n } };
}

/* A ledger of 100 bytes and 10 mappings; NULL when memory is short. */
static struct trp_ledger *make(void)
{
    struct trp_error err = { 0 };
    struct trp_ledger *ledger = NULL;
    const struct trp_ledger_opts opts = { .limit = { { 100, 10 } } };
    const trp_status st = trp_ledger_create(trp_heap(), &opts, &ledger, &err);
    if (trp_failed(st))
        assert_int_equal(st.code, TRP_OUT_OF_MEMORY);
    return ledger;
}

static void count_up(void *user)
{
    trp_counter_add(user, 1);
}

static void what_was_reserved_is_committed_and_given_back(void **state)
{
    (void)state;
    struct trp_ledger *ledger = make();
    struct trp_hold a = { 0 }, b = { 0 };
    struct trp_budget seen;
    if (!ledger)
        return;
    assert_int_equal(trp_ledger_reserve(ledger, bytes(60), &a), TRP_RESERVE_DONE);
    assert_int_equal(trp_ledger_reserve(ledger, bytes(60), &b), TRP_RESERVE_NOT_NOW);
    trp_ledger_commit(ledger, &a, bytes(30));
    assert_int_equal(trp_ledger_reserve(ledger, bytes(60), &b), TRP_RESERVE_DONE);
    trp_ledger_look(ledger, &seen);
    assert_int_equal(seen.committed.of[TRP_RESOURCE_BYTES], 30);
    assert_int_equal(seen.reserved.of[TRP_RESOURCE_BYTES], 60);
    trp_ledger_release(ledger, &a);
    trp_ledger_release(ledger, &a); /* nothing is given back twice */
    trp_ledger_release(ledger, &b);
    trp_ledger_look(ledger, &seen);
    assert_true(trp_amounts_is_zero(trp_budget_used(&seen)));
    trp_ledger_destroy(ledger);
}

static void room_is_told_once_and_only_to_who_was_refused_for_now(void **state)
{
    (void)state;
    struct trp_ledger *ledger = make();
    struct trp_counter told = { 0 }, told_too = { 0 };
    struct trp_hold a = { 0 }, b = { 0 }, none = { 0 };
    if (!ledger)
        return;
    trp_ledger_on_room(ledger, count_up, &told);
    trp_ledger_on_room(ledger, count_up, &told_too);
    assert_int_equal(trp_ledger_reserve(ledger, bytes(40), &a), TRP_RESERVE_DONE);
    trp_ledger_release(ledger, &a); /* nobody waits */
    assert_int_equal(trp_ledger_reserve(ledger, bytes(101), &none), TRP_RESERVE_NEVER);
    assert_int_equal(trp_ledger_reserve(ledger, bytes(40), &a), TRP_RESERVE_DONE);
    assert_int_equal(trp_ledger_reserve(ledger, bytes(60), &b), TRP_RESERVE_DONE);
    trp_ledger_release(ledger, &a); /* a NEVER does not wait */
    assert_int_equal(trp_counter_get(&told), 0);
    assert_int_equal(trp_ledger_reserve(ledger, bytes(50), &none), TRP_RESERVE_NOT_NOW);
    trp_ledger_commit(ledger, &b, bytes(70)); /* takes more: no room */
    assert_int_equal(trp_counter_get(&told), 0);
    trp_ledger_commit(ledger, &b, bytes(55));
    assert_int_equal(trp_counter_get(&told), 1);
    trp_ledger_release(ledger, &b); /* who was told has not asked again */
    assert_int_equal(trp_counter_get(&told), 1);
    assert_int_equal(trp_counter_get(&told_too), 1);
    trp_ledger_destroy(ledger);
}

static void room_is_told_when_the_program_itself_takes_less(void **state)
{
    (void)state;
    struct trp_ledger *ledger = make();
    struct trp_counter told = { 0 };
    struct trp_hold a = { 0 }, b = { 0 };
    if (!ledger)
        return;
    trp_ledger_on_room(ledger, count_up, &told);
    assert_int_equal(trp_ledger_reserve(ledger, bytes(10), &b), TRP_RESERVE_DONE);
    trp_ledger_set_fixed(ledger, bytes(50));
    assert_int_equal(trp_ledger_reserve(ledger, bytes(51), &a), TRP_RESERVE_NEVER);
    assert_int_equal(trp_ledger_reserve(ledger, bytes(50), &a), TRP_RESERVE_NOT_NOW);
    trp_ledger_set_fixed(ledger, bytes(200));
    assert_int_equal(trp_counter_get(&told), 0);
    trp_ledger_set_fixed(ledger, bytes(120)); /* less, but beyond the limit still */
    assert_int_equal(trp_counter_get(&told), 0);
    trp_ledger_set_fixed(ledger, bytes(40));
    assert_int_equal(trp_counter_get(&told), 1);
    trp_ledger_release(ledger, &b);
    trp_ledger_destroy(ledger);
}

static void keep_need(void *user, struct trp_amounts need)
{
    *(struct trp_amounts *)user = need;
}

static void who_can_make_room_hears_how_much_is_wanted(void **state)
{
    (void)state;
    struct trp_ledger *ledger = make();
    struct trp_amounts heard = { { 0 } };
    if (!ledger)
        return;
    trp_ledger_ask_room(ledger, bytes(7)); /* nobody listens */
    trp_ledger_on_short(ledger, keep_need, &heard);
    trp_ledger_ask_room(ledger, (struct trp_amounts){ { 7, 3 } });
    assert_int_equal(heard.of[TRP_RESOURCE_BYTES], 7);
    assert_int_equal(heard.of[TRP_RESOURCE_MAPPINGS], 3);
    trp_ledger_forget(ledger, &heard);
    trp_ledger_ask_room(ledger, bytes(9));
    assert_int_equal(heard.of[TRP_RESOURCE_BYTES], 7);
    trp_ledger_destroy(ledger);
}

static void who_keeps_room_free_hears_that_it_was_taken(void **state)
{
    (void)state;
    struct trp_ledger *ledger = make();
    struct trp_counter told = { 0 };
    if (!ledger)
        return;
    trp_ledger_tell_served(ledger); /* nobody listens */
    trp_ledger_on_served(ledger, count_up, &told);
    trp_ledger_tell_served(ledger);
    assert_int_equal(trp_counter_get(&told), 1);
    trp_ledger_forget(ledger, &told);
    trp_ledger_tell_served(ledger);
    assert_int_equal(trp_counter_get(&told), 1);
    trp_ledger_destroy(ledger);
}

static void counted_accounts_count_as_they_are(void **state)
{
    (void)state;
    struct trp_ledger *ledger = make();
    struct trp_account requests;
    struct trp_counter told = { 0 };
    struct trp_hold a = { 0 };
    struct trp_budget seen;
    if (!ledger)
        return;
    trp_account_init(&requests, TRP_ACCOUNT_REQUEST, NULL, 0);
    trp_ledger_count(ledger, &requests, 10);
    trp_ledger_on_room(ledger, count_up, &told);
    trp_ledger_set_fixed(ledger, bytes(5));
    trp_ledger_look(ledger, &seen);
    assert_int_equal(seen.fixed.of[TRP_RESOURCE_BYTES], 15); /* kept for it */
    assert_true(trp_account_try_charge(&requests, 40));
    assert_int_equal(trp_ledger_reserve(ledger, bytes(56), &a), TRP_RESERVE_NEVER);
    assert_int_equal(trp_ledger_reserve(ledger, bytes(55), &a), TRP_RESERVE_DONE);
    trp_account_discharge(&requests, 40);
    trp_ledger_release(ledger, &a);
    assert_int_equal(trp_ledger_reserve(ledger, bytes(85), &a), TRP_RESERVE_DONE);
    trp_ledger_release(ledger, &a);
    trp_account_deinit(&requests);
    trp_ledger_destroy(ledger);
}

static void a_refusal_says_what_could_be_had(void **state)
{
    (void)state;
    struct trp_ledger *ledger = make();
    struct trp_hold a = { 0 };
    struct trp_error err = { 0 };
    if (!ledger)
        return;
    trp_ledger_set_fixed(ledger, bytes(20));
    assert_int_equal(trp_ledger_reserve(ledger, bytes(30), &a), TRP_RESERVE_DONE);
    assert_int_equal(trp_ledger_refuse(ledger, bytes(90), &err).code, TRP_OVER_BUDGET);
    assert_string_equal(err.text, "needs 90 bytes; at most 80 of 100 can be had");
    err = (struct trp_error){ 0 };
    assert_int_equal(trp_ledger_refuse(ledger, bytes(60), &err).code, TRP_OVER_BUDGET);
    assert_string_equal(err.text, "needs 60 bytes; now 50 of 100 can be had");
    trp_ledger_release(ledger, &a);
    trp_ledger_destroy(ledger);
}

/* --- many at once: more asking than there is room for, who is refused sleeps until told ------- */

struct crowd {
    struct trp_ledger *ledger;
    struct trp_lock lock;
    struct trp_signal room;
    uint64_t words;             /* under `lock` */
    struct trp_counter in_hand; /* bytes that the threads hold together */
    struct trp_counter too_much;
};

static void hear_room(void *user)
{
    struct crowd *c = user;
    trp_lock_enter(&c->lock);
    c->words++;
    trp_lock_leave(&c->lock);
    trp_signal_all(&c->room);
}

/* Asking and falling asleep happen under the lock that hear_room() takes: no word is missed. */
static void reserve_or_wait(struct crowd *c, struct trp_amounts need, struct trp_hold *hold)
{
    trp_lock_enter(&c->lock);
    while (trp_ledger_reserve(c->ledger, need, hold) != TRP_RESERVE_DONE) {
        const uint64_t heard = c->words;
        while (c->words == heard)
            trp_signal_wait(&c->room, &c->lock);
    }
    trp_lock_leave(&c->lock);
}

static void take_and_give(void *user)
{
    struct crowd *c = user;
    for (uint64_t i = 0; i < 500; i++) {
        struct trp_hold hold = { 0 };
        const uint64_t need = 20 + i * 7 % 60;
        reserve_or_wait(c, bytes(need), &hold);
        if (trp_counter_add(&c->in_hand, need) > 100)
            trp_counter_add(&c->too_much, 1);
        if (i % 3 == 0) {
            trp_counter_sub(&c->in_hand, need / 2);
            trp_ledger_commit(c->ledger, &hold, bytes(need - need / 2));
            trp_counter_sub(&c->in_hand, need - need / 2);
        } else {
            trp_counter_sub(&c->in_hand, need);
        }
        trp_ledger_release(c->ledger, &hold);
    }
}

static void threads_never_hold_more_than_the_limit_and_none_sleeps_for_ever(void **state)
{
    (void)state;
    struct crowd c = { .ledger = make() };
    struct trp_thread threads[4] = { { 0 } };
    struct trp_budget seen;
    if (!c.ledger)
        return;
    trp_lock_init(&c.lock, TRP_LOCK_EXEC);
    trp_signal_init(&c.room);
    trp_ledger_on_room(c.ledger, hear_room, &c);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        struct trp_error err = { 0 };
        (void)trp_thread_start(&threads[i], "crowd", take_and_give, &c, &err);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        trp_thread_join(&threads[i]);
    trp_ledger_look(c.ledger, &seen);
    assert_true(trp_amounts_is_zero(trp_budget_used(&seen)));
    assert_int_equal(trp_counter_get(&c.too_much), 0);
    trp_signal_deinit(&c.room);
    trp_lock_deinit(&c.lock);
    trp_ledger_destroy(c.ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_reserved_is_committed_and_given_back),
        cmocka_unit_test(room_is_told_once_and_only_to_who_was_refused_for_now),
        cmocka_unit_test(room_is_told_when_the_program_itself_takes_less),
        cmocka_unit_test(who_can_make_room_hears_how_much_is_wanted),
        cmocka_unit_test(who_keeps_room_free_hears_that_it_was_taken),
        cmocka_unit_test(counted_accounts_count_as_they_are),
        cmocka_unit_test(a_refusal_says_what_could_be_had),
        cmocka_unit_test(threads_never_hold_more_than_the_limit_and_none_sleeps_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

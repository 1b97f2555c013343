/* Those who had better sleep than go: what that frees, what they keep, and how they come back. */
#include "residence_fixture.h"

static bool hibernate(void *user, struct trp_guest *guest, const char *why)
{
    struct house *h = user;
    struct model *m = guest->owner;
    if (h->refuses_evictions)
        return false;
    (void)snprintf(h->why, sizeof h->why, "%s", why);
    m->sleeps++;
    trp_stay_doze(&m->stay);
    return true;
}

static int set_up_beds(void **state)
{
    const int is_bad = set_up(state);
    struct house *h = *state;
    if (is_bad)
        return is_bad;
    h->residence->opts.hibernate = hibernate;
    h->residence->opts.asleep_bytes_max = 10 * MB;
    return 0;
}

#define SLEEPS(name) cmocka_unit_test_setup_teardown(name, set_up_beds, tear_down)

/* A model that has 1 MB of its own, and blobs. */
static struct model *bring_mapped(struct house *h, const char *name, const struct trp_piece *pieces,
                                  uint32_t n, int64_t load_ns)
{
    const struct trp_size size = { .own = { { 1 * MB } }, .pieces = pieces, .pieces_n = n };
    struct model *m = ask_sized(h, name, &size);
    turn(h);
    assert_int_equal(m->stay.state, TRP_STAY_COMING);
    settle(m, load_ns);
    m->guest->sleep.is_able = true;
    m->guest->loaded_ns -= TRP_S(11);
    turn(h);
    return m;
}

static const struct trp_piece base[] = { { "base", 60 * MB } };
static const struct trp_piece other[] = { { "other", 30 * MB } };
#define ONE(pieces) pieces, 1

/* It has fallen asleep, and keeps so much. */
static void fall_asleep(struct house *h, struct model *m, uint64_t rest_bytes)
{
    const struct trp_amounts rest = { { rest_bytes } };
    trp_stay_doze(&m->stay);
    trp_stay_sleep(&m->stay, rest);
    turn(h);
    assert_int_equal(m->stay.state, TRP_STAY_ASLEEP);
}

static void ask_to_wake(struct house *h, struct model *m)
{
    m->answers = 0;
    trp_stay_wake(&m->stay);
    trp_residence_ask(h->residence, &m->ask);
    turn(h);
}

static void who_had_better_sleep_is_not_evicted(void **state)
{
    struct house *h = *state;
    struct model *a = bring_mapped(h, "a", ONE(base), TRP_MS(60));
    struct model *b = ask(h, "b", 70 * MB);
    turn(h);
    assert_int_equal(a->sleeps, 1);
    assert_int_equal(a->evictions, 0);
    assert_non_null(strstr(h->why, "room for 'b': 60000000 bytes"));
    assert_non_null(strstr(h->why, "ms to wake it again"));
    assert_int_equal(b->stay.state, TRP_STAY_WAITING); /* until its pages are really dropped */
    turn(h);
    assert_int_equal(a->sleeps, 1); /* it is on its way: nobody is asked twice */
    const struct trp_amounts rest = { { 1 * MB } };
    trp_stay_sleep(&a->stay, rest);
    turn(h);
    assert_int_equal(b->stay.state, TRP_STAY_COMING);
    settle(b, 1);
    assert_int_equal(used(h), 71 * MB);
    assert_int_equal(metric(h, TRP_METRIC_EVICTIONS_LOAD), 0);
    turn(h);
    assert_int_equal(metric(h, TRP_METRIC_HIBERNATED), 1);
    assert_int_equal(metric(h, TRP_METRIC_HIBERNATED_BYTES), 1 * MB);
}

static void it_wakes_with_room_for_what_it_gave_back_alone(void **state)
{
    struct house *h = *state;
    struct model *a = bring_mapped(h, "a", ONE(base), TRP_MS(60));
    fall_asleep(h, a, 1 * MB);
    assert_int_equal(used(h), 1 * MB);
    (void)bring(h, "b", 39 * MB, 1); /* 60 are left, and not a byte more */
    ask_to_wake(h, a);
    assert_int_equal(a->stay.state, TRP_STAY_COMING);
    assert_int_equal(used(h), 100 * MB);
    trp_stay_awake(&a->stay);
    assert_int_equal(a->stay.state, TRP_STAY_IN);
    assert_int_equal(used(h), 100 * MB);
    assert_int_equal(h->residence->coming_n, 0);
    assert_int_equal(h->residence->coming_bytes, 0);
}

static void who_is_not_let_in_to_wake_sleeps_on(void **state)
{
    struct house *h = *state;
    struct model *a = bring_mapped(h, "a", ONE(base), TRP_MS(60));
    fall_asleep(h, a, 1 * MB);
    struct model *b = bring(h, "b", 50 * MB, 1);
    b->guest->is_pinned = true;
    trp_stay_wake(&a->stay);
    trp_residence_ask(h->residence, &a->ask);
    turn(h);
    assert_true(a->ask.state == TRP_ASK_IDLE);
    assert_int_equal(a->refused.status.code, TRP_OVER_BUDGET); /* `answered` has ended its stay */
    assert_int_equal(used(h), 50 * MB);
    a = bring_mapped(h, "c", ONE(other), TRP_MS(60));
    fall_asleep(h, a, 1 * MB);
    trp_stay_wake(&a->stay);
    trp_stay_sleep_on(&a->stay);
    assert_int_equal(a->stay.state, TRP_STAY_ASLEEP);
    assert_int_equal(used(h), 51 * MB);
    ask_to_wake(h, a);
    assert_int_equal(used(h), 81 * MB);
    trp_stay_sleep_on(&a->stay); /* it was let in, and its backend failed */
    assert_int_equal(used(h), 51 * MB);
    assert_int_equal(h->residence->asleep_n, 1);
}

static void what_others_who_are_awake_share_is_not_freed(void **state)
{
    struct house *h = *state;
    struct model *a = bring_mapped(h, "a", ONE(base), TRP_MS(60));
    struct model *b = bring_mapped(h, "b", ONE(base), TRP_MS(60));
    fall_asleep(h, a, 1 * MB);
    assert_int_equal(used(h), 62 * MB);
    fall_asleep(h, b, 1 * MB);
    assert_int_equal(used(h), 2 * MB);
    ask_to_wake(h, a);
    trp_stay_awake(&a->stay);
    assert_int_equal(used(h), 62 * MB);
    ask_to_wake(h, b);
    trp_stay_awake(&b->stay);
    assert_int_equal(used(h), 62 * MB);
}

/* Both at once, because one of them alone would free nothing that the other does not need. */
static void two_that_share_sleep_together(void **state)
{
    struct house *h = *state;
    struct model *a = bring_mapped(h, "a", ONE(base), TRP_MS(60));
    struct model *b = bring_mapped(h, "b", ONE(base), TRP_MS(60));
    struct model *c = ask(h, "c", 80 * MB);
    turn(h);
    assert_int_equal(a->sleeps + b->sleeps, 2);
    assert_int_equal(a->evictions + b->evictions, 0);
    assert_non_null(strstr(h->why, "room for 'c': 60000000 bytes together with 1 other, asked"));
    assert_null(strstr(h->why, "score inf"));
    const struct trp_amounts rest = { { 1 * MB } };
    trp_stay_sleep(&a->stay, rest);
    trp_stay_sleep(&b->stay, rest);
    turn(h);
    assert_int_equal(c->stay.state, TRP_STAY_COMING);
}

static void where_sleep_is_not_enough_they_go(void **state)
{
    struct house *h = *state;
    struct model *a = bring_mapped(h, "a", ONE(base), TRP_MS(60));
    struct model *b = ask(h, "b", 100 * MB);
    turn(h);
    assert_int_equal(a->sleeps, 0);
    assert_int_equal(a->evictions, 1);
    turn(h);
    assert_int_equal(b->stay.state, TRP_STAY_COMING);
}

static void the_rest_of_one_that_sleeps_goes_when_it_is_wanted(void **state)
{
    struct house *h = *state;
    struct model *a = bring_mapped(h, "a", ONE(base), TRP_MS(60));
    fall_asleep(h, a, 1 * MB);
    struct model *b = ask(h, "b", 100 * MB);
    turn(h);
    assert_int_equal(a->evictions, 1);
    turn(h);
    assert_int_equal(b->stay.state, TRP_STAY_COMING);
    assert_int_equal(h->residence->asleep_n, 0);
    assert_int_equal(h->residence->asleep_bytes, 0);
}

static void who_keeps_too_much_or_does_not_gain_goes(void **state)
{
    struct house *h = *state;
    static const struct row {
        const char *what;
        struct trp_sleep sleep;
        uint64_t own_mb, limit_mb;
        bool may;
    } rows[] = {
        { "mapped", { .is_able = true }, 1, 10, true },
        { "known to pay", { .is_able = true, .wake_ns = TRP_MS(10) }, 1, 10, true },
        { "not able", { .is_able = false }, 1, 10, false },
        { "tried in vain", { .is_able = true, .is_unfit = true }, 1, 10, false },
        { "keeps an eighth and more", { .is_able = true }, 9, 10, false },
        { "keeps more than all may", { .is_able = true }, 4, 3, false },
        { "keeps less than was thought", { .is_able = true, .rest_bytes = MB }, 9, 10, true },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("%s\n", r->what);
        struct model *a = bring_mapped(h, "a", ONE(base), TRP_MS(60));
        const struct trp_amounts own = { { r->own_mb * MB } };
        a->stay.own = own;
        a->guest->sleep = r->sleep;
        h->residence->opts.asleep_bytes_max = r->limit_mb * MB;
        assert_int_equal(trp_guest_may_sleep(a->guest), r->may);
        trp_stay_end(&a->stay);
    }
}

static void what_waking_took_is_believed_the_second_time(void **state)
{
    struct house *h = *state;
    struct model *a = bring_mapped(h, "a", ONE(base), TRP_MS(20));
    assert_false(trp_guest_learn_wake(a->guest, TRP_MS(30)));
    assert_false(trp_guest_learn_wake(a->guest, TRP_MS(10)));
    assert_false(trp_guest_learn_wake(a->guest, TRP_MS(21)));
    assert_true(trp_guest_may_sleep(a->guest));
    assert_true(trp_guest_learn_wake(a->guest, TRP_MS(25)));
    assert_false(trp_guest_may_sleep(a->guest));
    assert_true(a->guest->sleep.wake_ns > 0);
}

static void beyond_their_limit_the_cheapest_go(void **state)
{
    struct house *h = *state;
    struct model *a = bring_mapped(h, "a", ONE(base), TRP_MS(60));
    struct model *b = bring_mapped(h, "b", ONE(other), TRP_MS(60));
    serve(h, a, 10);
    turn(h);
    const struct trp_amounts rest = { { 6 * MB } };
    fall_asleep(h, a, 6 * MB);
    trp_stay_doze(&b->stay);
    trp_stay_sleep(&b->stay, rest);
    turn(h);
    assert_int_equal(a->stay.state, TRP_STAY_ASLEEP);
    assert_int_equal(a->evictions, 0);
    assert_int_equal(b->evictions, 1);
    assert_non_null(strstr(h->why, "memory.hibernated_max"));
    assert_int_equal(metric(h, TRP_METRIC_EVICTIONS_ASLEEP), 1);
    assert_int_equal(metric(h, TRP_METRIC_EVICTED_BYTES), 6 * MB);
}

static void who_cannot_go_just_now_does_not_keep_the_others(void **state)
{
    struct house *h = *state;
    struct model *a = bring_mapped(h, "a", ONE(base), TRP_MS(60));
    struct model *b = bring_mapped(h, "b", ONE(other), TRP_MS(60));
    serve(h, a, 10);
    turn(h);
    b->is_stubborn = true;
    fall_asleep(h, a, 6 * MB);
    const struct trp_amounts rest = { { 6 * MB } };
    trp_stay_doze(&b->stay);
    trp_stay_sleep(&b->stay, rest);
    turn(h);
    assert_int_equal(b->stay.state, TRP_STAY_ASLEEP);
    assert_int_equal(a->evictions, 1);
    assert_int_equal(metric(h, TRP_METRIC_EVICTIONS_ASLEEP), 1);
}

/* A version of a model that has two. */
static void settle_second(struct house *h, struct model *m, struct trp_stay *second,
                          uint64_t digest)
{
    const struct trp_amounts own = { { 1 * MB } };
    const struct trp_size size = { .own = own, .pieces = other, .pieces_n = 1 };
    struct trp_error err;
    must(trp_stay_expect(m->guest, second, &size, NULL, &err), &err);
    second->digest = digest;
    trp_stay_admit(second);
    trp_stay_settle(second, own, true, TRP_MS(60));
    turn(h);
}

static void bring_both(struct house *h, struct trp_stay *second, uint64_t second_digest)
{
    struct model *m = bring_mapped(h, "m", ONE(base), TRP_MS(60));
    m->stay.digest = 1;
    m->guest->is_held = true; /* one after the other, and nothing is decided meanwhile */
    assert_int_equal(trp_guest_may_sleep(m->guest), m->guest->sleep.why[0] == '\0');
    settle_second(h, m, second, second_digest);
    m->guest->is_held = false;
}

static void what_is_known_of_sleep_is_known_of_all_versions_together(void **state)
{
    struct house *h = *state;
    struct trp_stay second = { 0 };
    bring_both(h, &second, 2);
    struct model *m = model(h, "m");
    assert_true(trp_guest_may_sleep(m->guest));
    assert_null(trp_guest_unfit(m->guest));
    trp_guest_spoil_sleep(m->guest, "it snores");
    assert_false(trp_guest_may_sleep(m->guest));
    trp_stay_end(&second);
    trp_stay_end(&m->stay);
    assert_string_equal(trp_guest_unfit(m->guest), "it snores"); /* of what will come back */
    bring_both(h, &second, 2);
    assert_false(trp_guest_may_sleep(m->guest));
    assert_string_equal(trp_guest_unfit(m->guest), "it snores");
    trp_stay_end(&second);
    settle_second(h, m, &second, 3); /* other files */
    assert_null(trp_guest_unfit(m->guest));
    assert_true(trp_guest_may_sleep(m->guest));
    trp_stay_end(&second);
}

static void lru_has_nobody_sleep(void **state)
{
    struct house *h = *state;
    h->residence->opts.policy = TRP_EVICTION_LRU;
    struct model *a = bring_mapped(h, "a", ONE(base), TRP_MS(60));
    (void)ask(h, "b", 70 * MB);
    turn(h);
    assert_int_equal(a->sleeps, 0);
    assert_int_equal(a->evictions, 1);
}

static void who_is_roused_is_as_before(void **state)
{
    struct house *h = *state;
    struct model *a = bring_mapped(h, "a", ONE(base), TRP_MS(60));
    trp_stay_doze(&a->stay);
    trp_stay_rouse(&a->stay);
    assert_int_equal(a->stay.state, TRP_STAY_IN);
    assert_int_equal(used(h), 61 * MB);
    assert_int_equal(h->residence->shares.going_bytes, 0);
}

/* Whatever it is doing when its model goes, nothing of it is left in the books. */
static void it_may_go_from_any_of_its_states(void **state)
{
    struct house *h = *state;
    const struct trp_amounts rest = { { 1 * MB } };
    for (int at = 0; at < 5; at++) {
        struct model *a = bring_mapped(h, "a", ONE(base), TRP_MS(60));
        if (at > 0)
            trp_stay_doze(&a->stay);
        if (at > 1)
            trp_stay_sleep(&a->stay, rest);
        if (at > 2)
            trp_stay_wake(&a->stay);
        if (at > 3) {
            trp_residence_ask(h->residence, &a->ask);
            turn(h);
            assert_int_equal(a->stay.state, TRP_STAY_COMING);
        }
        trp_stay_leave(&a->stay);
        assert_int_equal(a->stay.state, TRP_STAY_LEAVING);
        trp_stay_end(&a->stay);
        turn(h);
        assert_int_equal(used(h), 0);
        assert_int_equal(h->residence->asleep_n, 0);
        assert_int_equal(h->residence->coming_n, 0);
        assert_int_equal(h->residence->shares.going_bytes, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SLEEPS(who_had_better_sleep_is_not_evicted),
        SLEEPS(it_wakes_with_room_for_what_it_gave_back_alone),
        SLEEPS(who_is_not_let_in_to_wake_sleeps_on),
        SLEEPS(what_others_who_are_awake_share_is_not_freed),
        SLEEPS(two_that_share_sleep_together),
        SLEEPS(where_sleep_is_not_enough_they_go),
        SLEEPS(the_rest_of_one_that_sleeps_goes_when_it_is_wanted),
        SLEEPS(who_keeps_too_much_or_does_not_gain_goes),
        SLEEPS(what_waking_took_is_believed_the_second_time),
        SLEEPS(beyond_their_limit_the_cheapest_go),
        SLEEPS(who_cannot_go_just_now_does_not_keep_the_others),
        SLEEPS(what_is_known_of_sleep_is_known_of_all_versions_together),
        SLEEPS(lru_has_nobody_sleep),
        SLEEPS(who_is_roused_is_as_before),
        SLEEPS(it_may_go_from_any_of_its_states),
    };
    return cmocka_run_group_tests_name("sleep", tests, NULL, NULL);
}

/* Scheduling: orders, slots, limits and expiry, with time as an argument. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sched/sched.h"

static struct trp_call make_call(enum trp_priority_class class, int64_t deadline_ns)
{
    return (struct trp_call){ .priority_class = class, .deadline_ns = deadline_ns };
}

static void push(struct trp_sched *s, struct trp_sched_model *m, struct trp_call *call)
{
    assert_int_equal(trp_sched_push(s, m, call), TRP_SCHED_QUEUED);
}

static struct trp_call *take(struct trp_sched *s)
{
    struct trp_sched_model *model;
    return trp_sched_take(s, &model);
}

static void order_is_class_then_deadline_then_arrival(void **state)
{
    (void)state;
    struct trp_sched s;
    struct trp_sched_model a = { 0 }, b = { 0 };
    trp_sched_init(&s, 10, 10);
    struct trp_call batch_urgent = make_call(TRP_PRIORITY_BATCH, TRP_MS(1)),
                    normal_first = make_call(TRP_PRIORITY_NORMAL, 0),
                    normal_second = make_call(TRP_PRIORITY_NORMAL, 0),
                    normal_soon = make_call(TRP_PRIORITY_NORMAL, TRP_MS(5)),
                    normal_sooner = make_call(TRP_PRIORITY_NORMAL, TRP_MS(4)),
                    interactive = make_call(TRP_PRIORITY_INTERACTIVE, 0);
    push(&s, &a, &batch_urgent);
    push(&s, &a, &normal_first);
    push(&s, &b, &normal_second); /* across models as within one */
    push(&s, &b, &normal_soon);
    push(&s, &a, &normal_sooner);
    push(&s, &b, &interactive);
    struct trp_call *const want[] = { &interactive,  &normal_sooner, &normal_soon,
                                      &normal_first, &normal_second, &batch_urgent };
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        assert_ptr_equal(take(&s), want[i]);
    assert_null(take(&s));
    assert_int_equal(s.queued, 0);
}

static void what_a_call_asks_stands_where_the_first_of_it_stood(void **state)
{
    (void)state;
    struct trp_sched s;
    struct trp_sched_model a = { 0 }, b = { 0 };
    trp_sched_init(&s, 10, 10);
    struct trp_call root = { 0 }, route = { .parent = &root }, first_step = { .parent = &root },
                    second_step = { .parent = &root }, deeper = { .parent = &route }, alone = { 0 },
                    other = { 0 }, other_step = { .parent = &other },
                    late = { .parent = &other, .deadline_ns = TRP_S(1) };
    push(&s, &a, &first_step);
    push(&s, &a, &alone);
    push(&s, &b, &other_step);
    assert_ptr_equal(take(&s), &first_step);
    push(&s, &b, &second_step); /* begun before `alone` came */
    push(&s, &a, &deeper);
    push(&s, &b, &late); /* deadlines go before */
    struct trp_call *const want[] = { &late, &second_step, &deeper, &alone, &other_step };
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        assert_ptr_equal(take(&s), want[i]);
    assert_null(take(&s));
}

static void of_very_many_that_a_call_asks_the_rest_come_last(void **state)
{
    (void)state;
    enum { ASKED = 70000 };
    struct trp_sched s;
    struct trp_sched_model a = { 0 };
    trp_sched_init(&s, 3, 3);
    struct trp_call root = { 0 }, step = { .parent = &root }, alone = { 0 };
    push(&s, &a, &step);
    push(&s, &a, &alone);
    uint32_t before = 0;
    for (; before < ASKED && take(&s) == &step; before++)
        push(&s, &a, &step);
    assert_int_equal(before, 65536);
    assert_ptr_equal(take(&s), &step); /* `alone` was taken */
}

static void what_nobody_waits_for_goes_last_alone_and_while_it_is_let_go(void **state)
{
    (void)state;
    struct trp_sched s;
    struct trp_sched_model a = { 0 };
    struct trp_sched_turn turn;
    trp_sched_init(&s, 10, 10);
    trp_sched_set_floor(&s, TRP_PRIORITY_BATCH, 100);
    struct trp_call aside = make_call(TRP_PRIORITY_INTERACTIVE, TRP_MS(1)),
                    another = make_call(TRP_PRIORITY_INTERACTIVE, 0),
                    batch = make_call(TRP_PRIORITY_BATCH, 0);
    aside.is_aside = another.is_aside = true;
    push(&s, &a, &aside);
    push(&s, &a, &another);
    push(&s, &a, &batch);
    assert_ptr_equal(take(&s), &batch);
    s.holds_aside = true;
    assert_false(trp_sched_next(&s, &turn));
    s.holds_aside = false;
    assert_true(trp_sched_next(&s, &turn));
    assert_ptr_equal(turn.call, &aside);
    trp_sched_take_turn(&s, &turn, 0);
    assert_null(trp_sched_mate(&s, turn.line));
    s.holds_aside = true;
    assert_null(take(&s));
    assert_ptr_equal(trp_sched_drain(&s), &another); /* held or not */
}

static void a_model_without_a_free_slot_does_not_hold_up_others(void **state)
{
    (void)state;
    struct trp_sched s;
    struct trp_sched_model one = { .slots = 1 }, other = { .slots = 2 }, *got;
    trp_sched_init(&s, 10, 10);
    struct trp_call first = { 0 }, second = { 0 }, third = { 0 };
    push(&s, &one, &first);
    push(&s, &one, &second);
    push(&s, &other, &third);
    assert_ptr_equal(trp_sched_take(&s, &got), &first);
    assert_ptr_equal(got, &one);
    assert_ptr_equal(take(&s), &third);
    assert_null(take(&s)); /* `second` waits for the slot */
    trp_sched_end(&s, &one);
    assert_ptr_equal(take(&s), &second);
    trp_sched_end(&s, &one);
    trp_sched_end(&s, &other);
    assert_int_equal(one.running + other.running, 0);
}

static void a_run_beside_the_queue_takes_a_slot_and_does_not_overtake(void **state)
{
    (void)state;
    struct trp_sched s;
    struct trp_sched_model one = { .slots = 1 }, free_one = { 0 };
    struct trp_call call = { 0 };
    trp_sched_init(&s, 10, 10);
    assert_true(trp_sched_try_begin(&one));
    assert_false(trp_sched_try_begin(&one));
    push(&s, &one, &call);
    assert_null(take(&s));
    trp_sched_end(&s, &one);
    assert_false(trp_sched_try_begin(&one)); /* `call` was first */
    assert_ptr_equal(take(&s), &call);
    assert_true(trp_sched_try_begin(&free_one)); /* no limit: always */
    assert_true(trp_sched_try_begin(&free_one));
}

static void both_limits_hold_and_room_comes_back(void **state)
{
    (void)state;
    struct trp_sched s;
    struct trp_sched_model a = { 0 }, b = { 0 }, c = { 0 };
    struct trp_call calls[4] = { 0 };
    trp_sched_init(&s, 3, 2);
    push(&s, &a, &calls[0]);
    push(&s, &a, &calls[1]);
    assert_int_equal(trp_sched_push(&s, &a, &calls[2]), TRP_SCHED_MODEL_FULL);
    assert_null(calls[2].queue); /* still the caller's */
    push(&s, &b, &calls[2]);
    assert_int_equal(trp_sched_push(&s, &c, &calls[3]), TRP_SCHED_FULL);
    assert_ptr_equal(take(&s), &calls[0]);
    push(&s, &c, &calls[3]);
}

static void expired_calls_are_found_whatever_their_class_or_slots(void **state)
{
    (void)state;
    struct trp_sched s;
    struct trp_sched_model m = { .slots = 1 };
    trp_sched_init(&s, 10, 10);
    struct trp_call running = { 0 }, patient = { 0 },
                    late = make_call(TRP_PRIORITY_BATCH, TRP_MS(10)),
                    later = make_call(TRP_PRIORITY_INTERACTIVE, TRP_MS(20));
    push(&s, &m, &running);
    assert_ptr_equal(take(&s), &running);
    push(&s, &m, &later);
    push(&s, &m, &late);
    push(&s, &m, &patient);
    assert_int_equal(trp_sched_next_expiry_ns(&s), TRP_MS(10));
    assert_null(trp_sched_expire(&s, TRP_MS(9)));
    assert_ptr_equal(trp_sched_expire(&s, TRP_MS(10)), &late);
    assert_null(trp_sched_expire(&s, TRP_MS(10)));
    assert_int_equal(trp_sched_next_expiry_ns(&s), TRP_MS(20));
    assert_ptr_equal(trp_sched_expire(&s, TRP_S(1)), &later);
    assert_null(trp_sched_expire(&s, TRP_S(1)));
    assert_int_equal(trp_sched_next_expiry_ns(&s), 0);
    trp_sched_end(&s, &m);
    assert_ptr_equal(take(&s), &patient);
}

static void a_removed_call_is_gone_and_a_second_removal_says_so(void **state)
{
    (void)state;
    struct trp_sched s;
    struct trp_sched_model m = { 0 };
    struct trp_call first = make_call(TRP_PRIORITY_NORMAL, TRP_MS(1)), second = { 0 };
    trp_sched_init(&s, 10, 10);
    push(&s, &m, &first);
    push(&s, &m, &second);
    assert_true(trp_sched_remove(&s, &first));
    assert_false(trp_sched_remove(&s, &first));
    assert_null(trp_sched_expire(&s, TRP_S(1)));
    assert_ptr_equal(take(&s), &second);
    assert_false(trp_sched_remove(&s, &second));
}

static void draining_finds_calls_behind_taken_slots_too(void **state)
{
    (void)state;
    struct trp_sched s;
    struct trp_sched_model blocked = { .slots = 1 }, free_one = { 0 };
    struct trp_call calls[3] = { 0 };
    trp_sched_init(&s, 10, 10);
    assert_true(trp_sched_try_begin(&blocked));
    push(&s, &blocked, &calls[0]);
    push(&s, &blocked, &calls[1]);
    push(&s, &free_one, &calls[2]);
    for (int i = 0; i < 3; i++)
        assert_non_null(trp_sched_drain(&s));
    assert_null(trp_sched_drain(&s));
    assert_null(take(&s));
    assert_int_equal(s.queued, 0);
}

/* A small simulation against a plain model of the rules: 5 models, random classes and deadlines,
 * 20,000 steps. */
#define MODELS 5
#define CALLS 40
static bool is_better(const struct trp_call *a, const struct trp_call *b)
{
    static const int rank[] = { 1, 0, 2 };
    const int64_t da = a->deadline_ns ? a->deadline_ns : INT64_MAX,
                  db = b->deadline_ns ? b->deadline_ns : INT64_MAX;
    if (a->priority_class != b->priority_class)
        return rank[a->priority_class] < rank[b->priority_class];
    return da != db ? da < db : a->seat.turn.arrival < b->seat.turn.arrival;
}

static struct trp_call *best(struct trp_call *calls)
{
    struct trp_call *found = NULL;
    for (size_t i = 0; i < CALLS; i++) {
        const struct trp_sched_model *m = calls[i].queue ? calls[i].seat.line->model : NULL;
        if (m && (m->slots == 0 || m->running < m->slots) &&
            (!found || is_better(&calls[i], found)))
            found = &calls[i];
    }
    return found;
}

static void always_takes_what_a_search_by_the_rules_finds(void **state)
{
    (void)state;
    struct trp_sched s;
    struct trp_sched_model models[MODELS] = { 0 }, *running[CALLS], *got;
    struct trp_call calls[CALLS] = { 0 };
    struct trp_random random = { 11 };
    uint32_t running_n = 0;
    trp_sched_init(&s, CALLS, CALLS);
    for (uint32_t m = 0; m < MODELS; m++)
        models[m].slots = m % 3; /* 0: no limit */
    for (int step = 0; step < 20000; step++) {
        struct trp_call *call = &calls[trp_random_next(&random) % CALLS];
        const uint64_t dice = trp_random_next(&random) % 8;
        if (dice < 4 && !call->queue) {
            call->priority_class = (enum trp_priority_class)(trp_random_next(&random) % 3);
            call->deadline_ns = (int64_t)(trp_random_next(&random) % 4) * TRP_MS(step + 1);
            push(&s, &models[trp_random_next(&random) % MODELS], call);
        } else if (dice < 5) {
            const bool queued = call->queue != NULL;
            assert_int_equal(trp_sched_remove(&s, call), queued);
        } else if (dice < 7 && running_n < CALLS) {
            struct trp_call *const want = best(calls);
            assert_ptr_equal(trp_sched_take(&s, &got), want);
            if (got)
                running[running_n++] = got;
        } else if (running_n > 0)
            trp_sched_end(&s, running[--running_n]);
    }
}

static void a_model_whose_run_found_no_room_stands_aside_in_its_order(void **state)
{
    (void)state;
    struct trp_sched s;
    struct trp_sched_model big = { .slots = 1 }, other = { 0 }, *got;
    trp_sched_init(&s, 3, 3);
    struct trp_call first = { 0 }, second = { 0 }, third = { 0 }, late = { 0 };
    push(&s, &big, &first);
    push(&s, &big, &second);
    assert_ptr_equal(trp_sched_take(&s, &got), &first);
    push(&s, &other, &third);
    push(&s, &other, &late); /* the queue is full: what comes back is not refused all the same */
    trp_sched_put_back(&s, &big, &first);
    assert_int_equal(s.queued, 4);
    assert_int_equal(s.blocked, 1);
    assert_int_equal(big.running, 0);
    assert_ptr_equal(take(&s), &third); /* others go on */
    assert_ptr_equal(take(&s), &late);
    assert_null(take(&s));
    trp_sched_unblock(&s);
    assert_int_equal(s.blocked, 0);
    assert_ptr_equal(take(&s), &first); /* before `second`, as it came */
    assert_null(take(&s));              /* one slot */
    trp_sched_put_back(&s, &big, &first);
    assert_true(trp_sched_remove(&s, &first)); /* cancelled while it waits */
    assert_null(take(&s));
    assert_true(trp_sched_remove(&s, &second));
    assert_int_equal(s.blocked, 0); /* nobody is left who waits for room */
    push(&s, &big, &first);
    assert_ptr_equal(take(&s), &first);
    trp_sched_end(&s, &big);
    trp_sched_unblock(&s);
    trp_sched_end(&s, &other);
    trp_sched_end(&s, &other);
    assert_int_equal(s.queued, 0);
}

static void who_waits_for_room_expires_and_is_drained_like_others(void **state)
{
    (void)state;
    struct trp_sched s;
    struct trp_sched_model m = { 0 };
    trp_sched_init(&s, 10, 10);
    struct trp_call soon = make_call(TRP_PRIORITY_NORMAL, TRP_MS(5)), other = { 0 };
    push(&s, &m, &soon);
    push(&s, &m, &other);
    assert_ptr_equal(take(&s), &soon);
    trp_sched_put_back(&s, &m, &soon);
    assert_int_equal(trp_sched_next_expiry_ns(&s), TRP_MS(5));
    assert_ptr_equal(trp_sched_expire(&s, TRP_MS(6)), &soon);
    assert_null(take(&s)); /* the model still stands aside */
    assert_ptr_equal(trp_sched_drain(&s), &other);
    assert_null(trp_sched_drain(&s));
    assert_int_equal(s.blocked, 0);
}

static void who_came_along_goes_back_to_where_it_stood_or_to_another_line(void **state)
{
    (void)state;
    struct trp_sched s;
    struct trp_sched_model m = { .slots = 1 };
    struct trp_sched_line shared = { .model = &m };
    struct trp_call calls[3] = { { 0 } };
    struct trp_sched_turn turn;
    trp_sched_init(&s, 3, 3);
    m.own.model = &m;
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            trp_sched_push_as(&s, &(struct trp_sched_ask){ .line = &shared, .rows = 2 }, &calls[i]),
            TRP_SCHED_QUEUED);
    assert_true(trp_sched_next(&s, &turn));
    trp_sched_take_turn(&s, &turn, 0);
    for (int i = 1; i < 3; i++) {
        assert_ptr_equal(trp_sched_mate(&s, &shared), &calls[i]);
        trp_sched_take_mate(&s, &calls[i], 0);
    }
    assert_int_equal(shared.rows, 0);
    trp_sched_give_back(&s, NULL, &calls[2]);
    trp_sched_give_back(&s, &m.own, &calls[1]);
    assert_int_equal(shared.rows, 2);
    assert_int_equal(s.queued, 2);
    assert_int_equal(m.running, 1);
    assert_null(take(&s)); /* the slot is still the run's */
    trp_sched_end(&s, &m);
    assert_ptr_equal(take(&s), &calls[1]); /* before the third, as it came */
    trp_sched_end(&s, &m);
    assert_ptr_equal(take(&s), &calls[2]);
    trp_sched_end(&s, &m);
    assert_int_equal(s.queued, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_came_along_goes_back_to_where_it_stood_or_to_another_line),
        cmocka_unit_test(order_is_class_then_deadline_then_arrival),
        cmocka_unit_test(what_a_call_asks_stands_where_the_first_of_it_stood),
        cmocka_unit_test(of_very_many_that_a_call_asks_the_rest_come_last),
        cmocka_unit_test(what_nobody_waits_for_goes_last_alone_and_while_it_is_let_go),
        cmocka_unit_test(a_model_without_a_free_slot_does_not_hold_up_others),
        cmocka_unit_test(a_run_beside_the_queue_takes_a_slot_and_does_not_overtake),
        cmocka_unit_test(both_limits_hold_and_room_comes_back),
        cmocka_unit_test(expired_calls_are_found_whatever_their_class_or_slots),
        cmocka_unit_test(a_removed_call_is_gone_and_a_second_removal_says_so),
        cmocka_unit_test(draining_finds_calls_behind_taken_slots_too),
        cmocka_unit_test(a_model_whose_run_found_no_room_stands_aside_in_its_order),
        cmocka_unit_test(who_waits_for_room_expires_and_is_drained_like_others),
        cmocka_unit_test(always_takes_what_a_search_by_the_rules_finds),
    };
    return cmocka_run_group_tests_name("sched", tests, NULL, NULL);
}

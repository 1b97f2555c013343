/* Which request of which sequence may run now.  Calls are bare structures, the clock an
 * argument. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sched/sequences.h"

#define CALLS_MAX 512

struct world {
    struct trp_sequences table;
    struct trp_call *calls[CALLS_MAX]; /* to be freed */
    uint32_t calls_n;
    int64_t now_ns;
};

static void set_up(struct world *w, uint32_t slots_n)
{
    *w = (struct world){ .now_ns = TRP_S(10),
                         .table = { .slots_n = slots_n,
                                    .open_max = 100,
                                    .calls_max = 100,
                                    .idle_ns = TRP_S(1),
                                    .seed = 42 } };
}

static void tear_down(struct world *w)
{
    struct trp_call_list refused = { 0 };
    struct trp_sequence *gone;
    while (trp_sequences_drop(&w->table, &refused, &gone))
        free(gone);
    assert_int_equal(w->table.open_n, 0);
    assert_int_equal(w->table.slots_taken, 0);
    assert_int_equal(w->table.backlog_n, 0);
    assert_int_equal(w->table.held_n, 0);
    for (uint32_t i = 0; i < w->calls_n; i++)
        free(w->calls[i]);
}

enum { PLAIN = 0, START = 1, END = 2 };

static struct trp_call *make_call(struct world *w, uint64_t id, int flags)
{
    struct trp_call *call = calloc(1, sizeof *call);
    assert_non_null(call);
    assert_true(w->calls_n < CALLS_MAX);
    w->calls[w->calls_n++] = call;
    call->sequence_number = id;
    call->sequence_start = (flags & START) != 0;
    call->sequence_end = (flags & END) != 0;
    return call;
}

/* As an owner does it: memory when it is asked for. */
static enum trp_sequence_push push(struct world *w, struct trp_call *call)
{
    struct trp_sequence *memory = NULL, *seat = NULL;
    enum trp_sequence_push verdict = trp_sequences_push(&w->table, call, &memory, &seat);
    if (verdict == TRP_SEQUENCE_NEW) {
        memory = calloc(1, sizeof *memory);
        assert_non_null(memory);
        memory->id = trp_sequence_id_of(call);
        verdict = trp_sequences_push(&w->table, call, &memory, &seat);
        assert_null(memory);
    }
    call->sequence = seat;
    return verdict;
}

/* Its running call has ended: the call that runs next, of whichever sequence. */
static struct trp_call *end(struct world *w, struct trp_call *call)
{
    struct trp_sequence_step step;
    trp_sequences_end(&w->table, call->sequence, w->now_ns, &step);
    free(step.gone);
    assert_true(step.ready.count <= 1);
    return trp_call_list_pop(&step.ready);
}

static void take_back(struct world *w, struct trp_call *call)
{
    struct trp_sequence_step step;
    trp_sequences_remove(&w->table, call, w->now_ns, &step);
    free(step.gone);
    assert_null(step.ready.first);
}

static void requests_of_a_sequence_run_in_order_one_at_a_time(void **state)
{
    (void)state;
    struct world w;
    set_up(&w, 4);
    struct trp_call *first = make_call(&w, 7, START), *second = make_call(&w, 7, PLAIN),
                    *third = make_call(&w, 7, END);
    assert_int_equal(push(&w, first), TRP_SEQUENCE_RUNS);
    assert_int_equal(push(&w, second), TRP_SEQUENCE_HELD);
    assert_int_equal(push(&w, third), TRP_SEQUENCE_HELD);
    assert_ptr_equal(end(&w, first), second);
    assert_ptr_equal(end(&w, second), third);
    assert_int_equal(w.table.open_n, 1);
    assert_null(end(&w, third));
    assert_int_equal(w.table.open_n, 0);
    tear_down(&w);
}

static void sequences_do_not_wait_for_each_other(void **state)
{
    (void)state;
    struct world w;
    set_up(&w, 0);
    for (uint64_t id = 1; id <= 50; id++)
        assert_int_equal(push(&w, make_call(&w, id, START)), TRP_SEQUENCE_RUNS);
    assert_int_equal(w.table.open_n, 50);
    for (uint32_t i = 0; i < 50; i++)
        assert_null(end(&w, w.calls[i]));
    tear_down(&w);
}

static void without_a_start_there_is_no_sequence(void **state)
{
    (void)state;
    struct world w;
    set_up(&w, 4);
    assert_int_equal(push(&w, make_call(&w, 7, PLAIN)), TRP_SEQUENCE_UNKNOWN);
    struct trp_call *only = make_call(&w, 7, START | END);
    assert_int_equal(push(&w, only), TRP_SEQUENCE_RUNS);
    assert_int_equal(push(&w, make_call(&w, 7, PLAIN)), TRP_SEQUENCE_UNKNOWN); /* it is ending */
    struct trp_call *anew = make_call(&w, 7, START);
    assert_int_equal(push(&w, anew), TRP_SEQUENCE_HELD); /* behind it */
    assert_ptr_equal(end(&w, only), anew);
    assert_null(end(&w, anew));
    assert_int_equal(w.table.open_n, 1);
    tear_down(&w);
}

static void a_text_and_a_number_are_two_ids(void **state)
{
    (void)state;
    struct world w;
    set_up(&w, 0);
    struct trp_call *number = make_call(&w, 7, START), *text = make_call(&w, 0, START),
                    *other = make_call(&w, 0, START);
    text->sequence_text = TRP_STR_LIT("7");
    other->sequence_text = TRP_STR_LIT("seven");
    assert_int_equal(push(&w, number), TRP_SEQUENCE_RUNS);
    assert_int_equal(push(&w, text), TRP_SEQUENCE_RUNS);
    assert_int_equal(push(&w, other), TRP_SEQUENCE_RUNS);
    for (uint32_t i = 0; i < 3; i++) {
        const struct trp_sequence_id id = trp_sequence_id_of(w.calls[i]);
        assert_ptr_equal(trp_sequences_find(&w.table, &id), w.calls[i]->sequence);
        assert_null(end(&w, w.calls[i]));
    }
    tear_down(&w);
}

static void surplus_sequences_wait_for_a_slot_in_order(void **state)
{
    (void)state;
    struct world w;
    set_up(&w, 1);
    struct trp_call *a = make_call(&w, 1, START), *b = make_call(&w, 2, START),
                    *b_end = make_call(&w, 2, END), *c = make_call(&w, 3, START | END);
    assert_int_equal(push(&w, a), TRP_SEQUENCE_RUNS);
    assert_int_equal(push(&w, b), TRP_SEQUENCE_HELD);
    assert_int_equal(push(&w, c), TRP_SEQUENCE_HELD);
    assert_int_equal(push(&w, b_end), TRP_SEQUENCE_HELD);
    assert_int_equal(w.table.backlog_n, 2);
    assert_null(end(&w, a)); /* it is idle, and has its slot */
    struct trp_call *a_end = make_call(&w, 1, END);
    assert_int_equal(push(&w, a_end), TRP_SEQUENCE_RUNS);
    assert_ptr_equal(end(&w, a_end), b);
    assert_ptr_equal(end(&w, b), b_end);
    assert_ptr_equal(end(&w, b_end), c);
    assert_null(end(&w, c));
    assert_int_equal(w.table.open_n, 0);
    tear_down(&w);
}

static void who_has_no_request_for_too_long_loses_its_slot(void **state)
{
    (void)state;
    struct world w;
    set_up(&w, 1);
    struct trp_sequence_step step;
    struct trp_call *a = make_call(&w, 1, START), *b = make_call(&w, 2, START);
    assert_int_equal(push(&w, a), TRP_SEQUENCE_RUNS);
    assert_int_equal(push(&w, b), TRP_SEQUENCE_HELD);
    assert_int_equal(trp_sequences_due_ns(&w.table), 0); /* a long run is not idleness */
    assert_false(trp_sequences_expire(&w.table, w.now_ns + TRP_S(100), &step));
    assert_null(end(&w, a));
    assert_int_equal(trp_sequences_due_ns(&w.table), w.now_ns + TRP_S(1));
    assert_false(trp_sequences_expire(&w.table, w.now_ns + TRP_S(1) - 1, &step));
    assert_true(trp_sequences_expire(&w.table, w.now_ns + TRP_S(1), &step));
    assert_ptr_equal(step.gone, a->sequence);
    assert_ptr_equal(trp_call_list_pop(&step.ready), b);
    free(step.gone);
    assert_int_equal(push(&w, make_call(&w, 1, PLAIN)), TRP_SEQUENCE_UNKNOWN);
    assert_null(end(&w, b));
    tear_down(&w);
}

static void a_request_in_time_keeps_it_open(void **state)
{
    (void)state;
    struct world w;
    set_up(&w, 2);
    struct trp_sequence_step step;
    struct trp_call *a = make_call(&w, 1, START), *b = make_call(&w, 2, START);
    assert_int_equal(push(&w, a), TRP_SEQUENCE_RUNS);
    assert_int_equal(push(&w, b), TRP_SEQUENCE_RUNS);
    assert_null(end(&w, a));
    w.now_ns += TRP_MS(500);
    assert_null(end(&w, b));
    struct trp_call *more = make_call(&w, 1, PLAIN);
    assert_int_equal(push(&w, more), TRP_SEQUENCE_RUNS);
    w.now_ns += TRP_MS(500);
    assert_null(end(&w, more));
    assert_int_equal(trp_sequences_due_ns(&w.table), w.now_ns + TRP_MS(500)); /* b's */
    assert_true(trp_sequences_expire(&w.table, w.now_ns + TRP_MS(500), &step));
    assert_ptr_equal(step.gone, b->sequence);
    free(step.gone);
    tear_down(&w);
}

static void too_many_are_refused(void **state)
{
    (void)state;
    struct world w;
    set_up(&w, 1);
    w.table.open_max = 2;
    w.table.calls_max = 2;
    struct trp_call *a = make_call(&w, 1, START);
    assert_int_equal(push(&w, a), TRP_SEQUENCE_RUNS);
    assert_int_equal(push(&w, make_call(&w, 2, START)), TRP_SEQUENCE_HELD);
    assert_int_equal(push(&w, make_call(&w, 3, START)), TRP_SEQUENCE_TOO_MANY);
    assert_int_equal(push(&w, make_call(&w, 1, PLAIN)), TRP_SEQUENCE_HELD);
    assert_int_equal(push(&w, make_call(&w, 1, PLAIN)), TRP_SEQUENCE_FULL);
    struct trp_call *held = end(&w, a);
    assert_non_null(held);
    assert_null(end(&w, held));
    tear_down(&w);
}

static void a_start_that_was_taken_back_is_owed(void **state)
{
    (void)state;
    struct world w;
    set_up(&w, 1);
    struct trp_call *a = make_call(&w, 1, START), *anew = make_call(&w, 1, START),
                    *next = make_call(&w, 1, PLAIN), *b = make_call(&w, 2, START);
    assert_int_equal(push(&w, a), TRP_SEQUENCE_RUNS);
    assert_int_equal(push(&w, anew), TRP_SEQUENCE_HELD);
    take_back(&w, anew);
    assert_int_equal(push(&w, next), TRP_SEQUENCE_HELD); /* of the sequence that would have begun */
    assert_true(next->sequence_start);
    assert_int_equal(push(&w, b), TRP_SEQUENCE_HELD);
    take_back(&w, b); /* it never began: nothing is left of it */
    assert_int_equal(w.table.open_n, 1);
    assert_int_equal(push(&w, make_call(&w, 2, PLAIN)), TRP_SEQUENCE_UNKNOWN);
    assert_ptr_equal(end(&w, a), next);
    assert_null(end(&w, next));
    tear_down(&w);
}

static void an_end_that_was_taken_back_leaves_it_open(void **state)
{
    (void)state;
    struct world w;
    set_up(&w, 1);
    struct trp_call *a = make_call(&w, 1, START), *last = make_call(&w, 1, END),
                    *more = make_call(&w, 1, PLAIN);
    assert_int_equal(push(&w, a), TRP_SEQUENCE_RUNS);
    assert_int_equal(push(&w, last), TRP_SEQUENCE_HELD);
    take_back(&w, last);
    assert_int_equal(push(&w, more), TRP_SEQUENCE_HELD);
    assert_ptr_equal(end(&w, a), more);
    assert_null(end(&w, more));
    assert_int_equal(w.table.open_n, 1);
    tear_down(&w);
}

static void dropping_leaves_what_runs_to_its_end(void **state)
{
    (void)state;
    struct world w;
    set_up(&w, 1);
    struct trp_call_list refused = { 0 };
    struct trp_sequence *gone;
    struct trp_call *a = make_call(&w, 1, START), *b = make_call(&w, 2, START);
    assert_int_equal(push(&w, a), TRP_SEQUENCE_RUNS);
    assert_int_equal(push(&w, make_call(&w, 1, PLAIN)), TRP_SEQUENCE_HELD);
    assert_int_equal(push(&w, b), TRP_SEQUENCE_HELD);
    while (trp_sequences_drop(&w.table, &refused, &gone))
        free(gone);
    assert_int_equal(refused.count, 2);
    assert_int_equal(w.table.open_n, 1);
    assert_null(end(&w, a));
    assert_int_equal(w.table.open_n, 0);
    tear_down(&w);
}

/* Whatever comes in whatever order: each call that was taken on runs once or was taken back, those
 * of a sequence in order, and never more sequences than slots. */
struct model {
    uint64_t next[8], ran[8]; /* by id: the place of the next push, of the last run */
    uint64_t runs_n, taken_back_n, pushed_n;
};

static void run_it(struct model *m, const struct trp_call *call)
{
    assert_true(call->number > m->ran[call->sequence_number]);
    m->ran[call->sequence_number] = call->number;
    m->runs_n++;
}

static void check(const struct trp_sequences *t)
{
    assert_true(t->slots_taken <= 3);
    assert_int_equal(t->open_n, t->slots_taken + t->backlog_n);
    assert_true(t->backlog_n == 0 || t->slots_taken == 3);
}

static void random_steps(uint64_t seed)
{
    struct world w;
    struct model m = { 0 };
    struct trp_random random = { seed };
    struct trp_call *running[8] = { 0 }; /* by id */
    struct trp_sequence_step step;
    set_up(&w, 3);
    for (int i = 0; i < 500; i++) {
        const uint64_t roll = trp_random_next(&random), id = 1 + roll % 7;
        w.now_ns += (int64_t)(roll >> 40) % TRP_MS(300);
        struct trp_call *next = NULL;
        switch (roll >> 8 & 7) {
        case 0:
        case 1:
        case 2: {
            if (w.calls_n == CALLS_MAX)
                break;
            struct trp_call *call = make_call(&w, id, (int)(roll >> 16 & 3));
            call->number = ++m.next[id];
            const enum trp_sequence_push verdict = push(&w, call);
            m.pushed_n += verdict == TRP_SEQUENCE_RUNS || verdict == TRP_SEQUENCE_HELD;
            if (verdict == TRP_SEQUENCE_RUNS)
                next = call;
            break;
        }
        case 3:
            for (uint32_t k = 0; k < w.calls_n; k++) {
                struct trp_call *call = w.calls[(roll + k) % w.calls_n];
                if (!call->queue)
                    continue;
                take_back(&w, call);
                m.taken_back_n++;
                break;
            }
            break;
        case 4:
            if (trp_sequences_expire(&w.table, w.now_ns, &step)) {
                free(step.gone);
                next = trp_call_list_pop(&step.ready);
            }
            break;
        default:
            if (!running[id])
                break;
            next = running[id];
            running[id] = NULL;
            next = end(&w, next);
        }
        if (next) {
            assert_null(running[next->sequence_number]);
            running[next->sequence_number] = next;
            run_it(&m, next);
        }
        check(&w.table);
    }
    for (uint32_t left = 1; left;) {
        left = 0;
        for (uint32_t id = 1; id < 8; id++) {
            if (!running[id])
                continue;
            struct trp_call *call = running[id], *next;
            running[id] = NULL;
            left++;
            if ((next = end(&w, call)) != NULL) {
                running[next->sequence_number] = next;
                run_it(&m, next);
            }
        }
        if (!left && trp_sequences_expire(&w.table, INT64_MAX / 2, &step)) {
            free(step.gone);
            struct trp_call *next = trp_call_list_pop(&step.ready);
            left = 1;
            if (next) {
                running[next->sequence_number] = next;
                run_it(&m, next);
            }
        }
    }
    assert_int_equal(w.table.held_n, 0);
    assert_int_equal(m.runs_n + m.taken_back_n, m.pushed_n);
    tear_down(&w);
}

static void whatever_comes_runs_once_and_in_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++)
        random_steps(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_of_a_sequence_run_in_order_one_at_a_time),
        cmocka_unit_test(sequences_do_not_wait_for_each_other),
        cmocka_unit_test(without_a_start_there_is_no_sequence),
        cmocka_unit_test(a_text_and_a_number_are_two_ids),
        cmocka_unit_test(surplus_sequences_wait_for_a_slot_in_order),
        cmocka_unit_test(who_has_no_request_for_too_long_loses_its_slot),
        cmocka_unit_test(a_request_in_time_keeps_it_open),
        cmocka_unit_test(too_many_are_refused),
        cmocka_unit_test(a_start_that_was_taken_back_is_owed),
        cmocka_unit_test(an_end_that_was_taken_back_leaves_it_open),
        cmocka_unit_test(dropping_leaves_what_runs_to_its_end),
        cmocka_unit_test(whatever_comes_runs_once_and_in_order),
    };
    return cmocka_run_group_tests_name("sequences", tests, NULL, NULL);
}

/* The loop's promises: who is called, in which order, and who is not called any more. */
#include "base/loop.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "base/thread.h"
#include "unit/base/scarce.h"

/* A journal of what happened, as letters. */
struct stage {
    struct trp_loop *loop;
    struct trp_clock clock;
    int64_t now_ns;
    uint32_t clock_reads;
    char journal[4096];
    size_t journal_n;
};

static void note(struct stage *s, char letter)
{
    assert_true(s->journal_n < sizeof s->journal - 1);
    s->journal[s->journal_n++] = letter;
    s->journal[s->journal_n] = '\0';
}

static int64_t staged_now(void *user)
{
    struct stage *s = user;
    s->clock_reads++;
    return s->now_ns;
}

static int open_stage(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    s->clock = (struct trp_clock){ staged_now, staged_now, s };
    const struct trp_loop_opts opts = { .name = "test", .clock = &s->clock };
    assert_int_equal(trp_loop_create(trp_heap(), &opts, &s->loop, NULL).code, TRP_OK);
    *state = s;
    return 0;
}

static int close_stage(void **state)
{
    struct stage *s = *state;
    trp_loop_destroy(s->loop);
    free(s);
    return 0;
}

static void turn(struct stage *s)
{
    assert_int_equal(trp_loop_turn(s->loop, 0, NULL).code, TRP_OK);
}

/* ---- props ----------------------------------------------------------------------------------- */

struct prop {
    struct stage *stage;
    char letter;
    struct trp_watch watch;
    struct trp_timer timer;
    struct trp_task task;
    struct trp_mail mail;
    struct trp_hook hook;
    uint32_t events;
    int fds[2];
    struct prop *victim, *heir;
    void (*act)(struct prop *p);
};

static void happen(struct prop *p)
{
    note(p->stage, p->letter);
    if (p->act)
        p->act(p);
}

static void on_ready(struct trp_watch *w, uint32_t events)
{
    struct prop *p = TRP_CONTAINER_OF(w, struct prop, watch);
    p->events = events;
    happen(p);
}
static void on_due(struct trp_timer *t, int64_t now_ns)
{
    struct prop *p = TRP_CONTAINER_OF(t, struct prop, timer);
    assert_true(now_ns >= t->due_ns);
    happen(p);
}
static void on_run(struct trp_task *t)
{
    happen(TRP_CONTAINER_OF(t, struct prop, task));
}
static void on_deliver(struct trp_mail *m)
{
    happen(TRP_CONTAINER_OF(m, struct prop, mail));
}
static void on_turn_end(struct trp_hook *h)
{
    happen(TRP_CONTAINER_OF(h, struct prop, hook));
}

static struct prop prop(struct stage *s, char letter)
{
    return (struct prop){ .stage = s,
                          .letter = letter,
                          .watch = { .ready = on_ready },
                          .timer = { .due = on_due },
                          .task = { .run = on_run },
                          .mail = { .deliver = on_deliver },
                          .hook = { .turn_end = on_turn_end } };
}

static void watch_pair(struct prop *p, uint32_t events)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->fds), 0);
    assert_int_equal(trp_loop_watch(p->stage->loop, &p->watch, p->fds[0], events, NULL).code,
                     TRP_OK);
}

static void close_pair(struct prop *p)
{
    trp_loop_unwatch(p->stage->loop, &p->watch);
    close(p->fds[0]);
    close(p->fds[1]);
}

static void arm(struct prop *p, int64_t due_ns)
{
    assert_int_equal(trp_timer_arm(p->stage->loop, &p->timer, due_ns, NULL).code, TRP_OK);
}

/* ---- watches --------------------------------------------------------------------------------- */

static void a_watch_is_called_as_long_as_its_descriptor_is_ready(void **state)
{
    struct stage *s = *state;
    struct prop a = prop(s, 'a');
    char byte;
    watch_pair(&a, EPOLLIN);
    turn(s);
    assert_string_equal(s->journal, "");
    assert_int_equal(write(a.fds[1], "x", 1), 1);
    turn(s);
    turn(s);
    assert_string_equal(s->journal, "aa");
    assert_int_equal(a.events, EPOLLIN);
    assert_int_equal(read(a.fds[0], &byte, 1), 1);
    turn(s);
    assert_string_equal(s->journal, "aa");
    close_pair(&a);
    trp_loop_unwatch(s->loop, &a.watch); /* twice: nothing happens */
}

static void a_changed_watch_waits_for_the_new_events_only(void **state)
{
    struct stage *s = *state;
    struct prop a = prop(s, 'a');
    watch_pair(&a, EPOLLIN);
    assert_int_equal(trp_loop_rewatch(s->loop, &a.watch, EPOLLOUT, NULL).code, TRP_OK);
    assert_int_equal(trp_loop_rewatch(s->loop, &a.watch, EPOLLOUT, NULL).code, TRP_OK);
    assert_int_equal(write(a.fds[1], "x", 1), 1);
    turn(s);
    assert_int_equal(a.events, EPOLLOUT);
    close_pair(&a);
}

static void unwatch_victim(struct prop *p)
{
    trp_loop_unwatch(p->stage->loop, &p->victim->watch);
}

static void a_watch_removed_in_a_turn_is_not_called_in_it(void **state)
{
    struct stage *s = *state;
    struct prop a = prop(s, 'a'), b = prop(s, 'b');
    a.victim = &b;
    b.victim = &a;
    a.act = b.act = unwatch_victim;
    watch_pair(&a, EPOLLOUT);
    watch_pair(&b, EPOLLOUT);
    turn(s); /* both are ready; whoever is first removes the other */
    assert_int_equal(s->journal_n, 1);
    close_pair(&a);
    close_pair(&b);
}

/* Removes the other one and lets the heir take its slot at once. */
static void replace_victim(struct prop *p)
{
    trp_loop_unwatch(p->stage->loop, &p->victim->watch);
    if (!p->heir->watch.slot)
        watch_pair(p->heir, EPOLLOUT);
}

static void an_event_for_a_removed_watch_does_not_reach_its_heir(void **state)
{
    struct stage *s = *state;
    struct prop a = prop(s, 'a'), b = prop(s, 'b'), c = prop(s, 'c');
    a.act = b.act = replace_victim;
    a.victim = &b;
    b.victim = &a;
    a.heir = b.heir = &c;
    watch_pair(&a, EPOLLOUT);
    watch_pair(&b, EPOLLOUT);
    turn(s);
    assert_int_equal(s->journal_n, 1); /* one of the two, and not c in the other's place */
    turn(s);
    assert_non_null(strchr(s->journal, 'c'));
    close_pair(&a);
    close_pair(&b);
    close_pair(&c);
}

static void a_descriptor_that_cannot_be_watched_is_an_error(void **state)
{
    struct stage *s = *state;
    struct prop a = prop(s, 'a');
    struct trp_error err = { 0 };
    assert_int_equal(trp_loop_watch(s->loop, &a.watch, -1, EPOLLIN, &err).code, TRP_IO);
    assert_string_equal(err.text, "watch descriptor -1: Bad file descriptor");
    assert_int_equal(a.watch.slot, 0);
    watch_pair(&a, EPOLLIN);
    close(a.fds[0]); /* behind the loop's back */
    assert_int_equal(trp_loop_rewatch(s->loop, &a.watch, EPOLLOUT, &err).code, TRP_IO);
    assert_int_equal(a.watch.slot, 0);
    close(a.fds[1]);
}

static void hundreds_of_watches_are_all_served(void **state)
{
    enum { N = 300 }; /* more than one wait fetches, more than the first table holds */
    struct stage *s = *state;
    struct prop *many = calloc(N, sizeof *many);
    for (size_t i = 0; i < N; i++) {
        many[i] = prop(s, 'w');
        watch_pair(&many[i], EPOLLOUT);
    }
    turn(s);
    turn(s);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(many[i].events, EPOLLOUT);
        close_pair(&many[i]);
    }
    free(many);
}

/* ---- timers ---------------------------------------------------------------------------------- */

static void timers_fire_in_the_order_of_their_times(void **state)
{
    struct stage *s = *state;
    struct prop a = prop(s, 'a'), b = prop(s, 'b'), c = prop(s, 'c'), d = prop(s, 'd');
    arm(&c, 30);
    arm(&a, 10);
    arm(&d, 30); /* the same time: in the order of arming */
    arm(&b, 20);
    s->now_ns = 9;
    turn(s);
    assert_string_equal(s->journal, "");
    s->now_ns = 20;
    turn(s);
    assert_string_equal(s->journal, "ab");
    s->now_ns = 100;
    turn(s);
    turn(s);
    assert_string_equal(s->journal, "abcd"); /* once each */
}

static void a_timer_can_be_moved_and_disarmed(void **state)
{
    struct stage *s = *state;
    struct prop a = prop(s, 'a'), b = prop(s, 'b'), c = prop(s, 'c');
    arm(&a, 10);
    arm(&b, 20);
    arm(&c, 30);
    arm(&a, 40);
    arm(&c, 5);
    trp_timer_disarm(s->loop, &b.timer);
    trp_timer_disarm(s->loop, &b.timer);
    s->now_ns = 50;
    turn(s);
    assert_string_equal(s->journal, "ca");
}

static void disarm_victim(struct prop *p)
{
    trp_timer_disarm(p->stage->loop, &p->victim->timer);
}

static void a_timer_disarmed_by_another_of_the_same_turn_does_not_fire(void **state)
{
    struct stage *s = *state;
    struct prop a = prop(s, 'a'), b = prop(s, 'b');
    a.act = disarm_victim;
    a.victim = &b;
    arm(&a, 1);
    arm(&b, 2);
    s->now_ns = 5;
    turn(s);
    assert_string_equal(s->journal, "a");
}

static void arm_again(struct prop *p)
{
    arm(p, p->stage->now_ns);
}

static void a_timer_that_arms_itself_for_now_does_not_hold_the_turn(void **state)
{
    struct stage *s = *state;
    struct prop a = prop(s, 'a');
    a.act = arm_again;
    arm(&a, 0);
    turn(s);
    turn(s);
    assert_string_equal(s->journal, "aa");
    trp_timer_disarm(s->loop, &a.timer);
}

static void a_thousand_timers_in_any_order_fire_in_theirs(void **state)
{
    enum { N = 1000 };
    struct stage *s = *state;
    struct prop *many = calloc(N, sizeof *many);
    struct trp_random random = { 7 };
    uint32_t armed = N;
    for (size_t i = 0; i < N; i++) {
        many[i] = prop(s, (char)('A' + i % 26));
        arm(&many[i], (int64_t)(trp_random_next(&random) % 500));
    }
    for (size_t i = 0; i < N; i += 3, armed--)
        trp_timer_disarm(s->loop, &many[i].timer);
    for (size_t i = 1; i < N; i += 3)
        arm(&many[i], (int64_t)(trp_random_next(&random) % 500));
    for (s->now_ns = 0; s->now_ns < 500; s->now_ns += 50) {
        const size_t before = s->journal_n;
        size_t due = 0;
        for (size_t i = 0; i < N; i++)
            due += many[i].timer.slot && many[i].timer.due_ns <= s->now_ns;
        turn(s);
        assert_int_equal(s->journal_n - before, due);
    }
    s->now_ns = 500;
    turn(s);
    assert_int_equal(s->journal_n, armed);
    free(many);
}

/* ---- tasks, mail, hooks ---------------------------------------------------------------------- */

static void queue_victim(struct prop *p)
{
    trp_loop_ready(p->stage->loop, &p->victim->task);
    note(p->stage, '.'); /* still inside: the victim must not have run */
}

static void tasks_run_in_order_and_never_inside_the_call_that_queued_them(void **state)
{
    struct stage *s = *state;
    struct prop a = prop(s, 'a'), b = prop(s, 'b'), c = prop(s, 'c');
    a.act = queue_victim;
    a.victim = &c;
    trp_loop_ready(s->loop, &a.task);
    trp_loop_ready(s->loop, &b.task);
    trp_loop_ready(s->loop, &a.task); /* queued already: stays where it is */
    assert_string_equal(s->journal, "");
    turn(s);
    assert_string_equal(s->journal, "a.bc");
}

static void repost_once(struct prop *p)
{
    p->act = NULL;
    trp_loop_post(p->stage->loop, &p->mail);
}

static void mail_keeps_its_order_and_mail_to_oneself_waits_for_the_next_turn(void **state)
{
    struct stage *s = *state;
    struct prop a = prop(s, 'a'), b = prop(s, 'b'), c = prop(s, 'c');
    a.act = repost_once;
    trp_loop_post(s->loop, &a.mail);
    trp_loop_post(s->loop, &b.mail);
    trp_loop_post(s->loop, &c.mail);
    turn(s);
    assert_string_equal(s->journal, "abc");
    assert_int_equal(trp_loop_turn(s->loop, TRP_S(60), NULL).code, TRP_OK); /* does not sleep */
    assert_string_equal(s->journal, "abca");
}

static void a_turn_has_its_order(void **state)
{
    struct stage *s = *state;
    struct prop w = prop(s, 'w'), m = prop(s, 'm'), d = prop(s, 'd'), r = prop(s, 'r');
    struct prop h = prop(s, 'h'), i = prop(s, 'i');
    trp_loop_hook(s->loop, &h.hook);
    trp_loop_hook(s->loop, &i.hook);
    trp_loop_ready(s->loop, &r.task);
    arm(&d, 0);
    trp_loop_post(s->loop, &m.mail);
    watch_pair(&w, EPOLLOUT);
    turn(s);
    assert_string_equal(s->journal, "wmdrhi");
    close_pair(&w);
}

static void run_victim(struct prop *p)
{
    trp_loop_ready(p->stage->loop, &p->victim->task);
    trp_loop_run_ready(p->stage->loop);
    note(p->stage, '.'); /* the victim has run, and what it queued */
}

static void a_watch_with_much_to_do_runs_its_tasks_at_once(void **state)
{
    struct stage *s = *state;
    struct prop w = prop(s, 'w'), t = prop(s, 't'), u = prop(s, 'u'), m = prop(s, 'm');
    w.act = run_victim;
    w.victim = &t;
    t.act = queue_victim;
    t.victim = &u;
    trp_loop_post(s->loop, &m.mail);
    watch_pair(&w, EPOLLOUT);
    turn(s);
    assert_string_equal(s->journal, "wt.u.m");
    close_pair(&w);
}

static void work_left_behind_keeps_the_next_wait_short(void **state)
{
    struct stage *s = *state;
    struct prop h = prop(s, 'h'), t = prop(s, 't');
    h.act = queue_victim;
    h.victim = &t;
    trp_loop_hook(s->loop, &h.hook);
    turn(s);
    assert_int_equal(trp_loop_turn(s->loop, TRP_S(60), NULL).code, TRP_OK);
    h.act = NULL;
    turn(s);
    assert_string_equal(s->journal, "h.th.th");
    trp_loop_again(s->loop);
    assert_int_equal(trp_loop_turn(s->loop, TRP_S(60), NULL).code, TRP_OK);
}

static void undelivered_mail_is_delivered_when_the_loop_is_destroyed(void **state)
{
    struct stage *s = *state;
    struct prop a = prop(s, 'a'), b = prop(s, 'b'), t = prop(s, 't');
    a.act = queue_victim;
    a.victim = &t;
    t.act = NULL;
    trp_loop_post(s->loop, &a.mail);
    trp_loop_post(s->loop, &b.mail);
    trp_loop_destroy(s->loop);
    s->loop = NULL; /* accepted by destroy() */
    assert_string_equal(s->journal, "a.bt");
}

static void the_clock_is_read_once_a_turn(void **state)
{
    struct stage *s = *state;
    s->now_ns = 5;
    s->clock_reads = 0;
    turn(s);
    assert_int_equal(s->clock_reads, 1);
    s->now_ns = 6;
    assert_int_equal(trp_loop_now_ns(s->loop), 5);
    assert_int_equal(trp_loop_clock_ns(s->loop), 6);
    assert_int_equal(trp_loop_now_ns(s->loop), 6);
}

/* ---- real time, other threads ---------------------------------------------------------------- */

static void the_wait_ends_when_a_timer_is_due(void **state)
{
    (void)state;
    const struct trp_clock *clock = trp_clock_system();
    for (int64_t spin_ns = 0; spin_ns <= TRP_US(200); spin_ns += TRP_US(200)) {
        struct stage s = { 0 };
        const struct trp_loop_opts opts = { .spin_ns = spin_ns };
        struct prop a = prop(&s, 'a');
        assert_int_equal(trp_loop_create(trp_heap(), &opts, &s.loop, NULL).code, TRP_OK);
        const int64_t due_ns = trp_clock_now_ns(clock) + TRP_MS(2);
        arm(&a, due_ns);
        while (!s.journal_n)
            assert_int_equal(trp_loop_turn(s.loop, TRP_S(60), NULL).code, TRP_OK);
        assert_true(trp_clock_now_ns(clock) >= due_ns);
        trp_loop_destroy(s.loop);
    }
}

static void stop_loop(struct prop *p)
{
    trp_loop_stop(p->stage->loop);
}

static void a_stopped_loop_finishes_its_turn_and_can_run_again(void **state)
{
    struct stage *s = *state;
    struct prop m = prop(s, 'm'), t = prop(s, 't');
    m.act = stop_loop;
    for (int i = 0; i < 2; i++) {
        trp_loop_post(s->loop, &m.mail);
        trp_loop_ready(s->loop, &t.task);
        assert_int_equal(trp_loop_run(s->loop, NULL).code, TRP_OK);
    }
    assert_string_equal(s->journal, "mtmt");
    trp_loop_stop(s->loop); /* before it runs: one turn, no sleep */
    turn(s);
    assert_int_equal(trp_loop_run(s->loop, NULL).code, TRP_OK);
}

struct postman {
    struct stage *stage;
    struct prop *letters;
    uint32_t n;
    struct trp_thread thread;
};

enum { POSTMEN = 4, LETTERS = 20000 };

static void post_all(void *user)
{
    struct postman *p = user;
    assert_false(trp_loop_is_mine(p->stage->loop));
    for (uint32_t i = 0; i < p->n; i++)
        trp_loop_post(p->stage->loop, &p->letters[i].mail);
}

static void count_in_order(struct prop *p)
{
    struct prop *before = p->victim;
    assert_true(!before || before->events == 1); /* each postman's letters arrive in order */
    p->events = 1;
    p->stage->now_ns++;
    p->stage->journal_n = 0;
    if (p->stage->now_ns == POSTMEN * LETTERS)
        trp_loop_stop(p->stage->loop);
}

static void mail_from_many_threads_arrives_whole_and_in_order(void **state)
{
    (void)state;
    struct stage s = { 0 };
    struct postman men[POSTMEN] = { 0 };
    const struct trp_loop_opts opts = { .spin_ns = TRP_US(5) };
    assert_int_equal(trp_loop_create(trp_heap(), &opts, &s.loop, NULL).code, TRP_OK);
    for (size_t m = 0; m < POSTMEN; m++) {
        struct prop *letters = calloc(LETTERS, sizeof *letters);
        for (size_t i = 0; i < LETTERS; i++) {
            letters[i] = prop(&s, 'l');
            letters[i].act = count_in_order;
            letters[i].victim = i ? &letters[i - 1] : NULL;
        }
        men[m] = (struct postman){ .stage = &s, .letters = letters, .n = LETTERS };
        assert_int_equal(trp_thread_start(&men[m].thread, "postman", post_all, &men[m], NULL).code,
                         TRP_OK);
    }
    assert_int_equal(trp_loop_run(s.loop, NULL).code, TRP_OK);
    assert_true(trp_loop_is_mine(s.loop));
    for (size_t m = 0; m < POSTMEN; m++) {
        trp_thread_join(&men[m].thread);
        free(men[m].letters);
    }
    trp_loop_destroy(s.loop);
}

static void run_loop(void *user)
{
    assert_int_equal(trp_loop_run(((struct stage *)user)->loop, NULL).code, TRP_OK);
}

static void a_sleeping_loop_is_woken_by_mail_and_by_stop(void **state)
{
    struct stage *s = *state;
    struct trp_thread thread;
    struct prop m = prop(s, 'm');
    m.act = stop_loop;
    assert_int_equal(trp_thread_start(&thread, "sleeper", run_loop, s, NULL).code, TRP_OK);
    trp_loop_post(s->loop, &m.mail);
    trp_thread_join(&thread);
    assert_string_equal(s->journal, "m");
    assert_int_equal(trp_thread_start(&thread, "sleeper", run_loop, s, NULL).code, TRP_OK);
    trp_loop_stop(s->loop);
    trp_thread_join(&thread);
}

static void nothing(int number)
{
    (void)number;
}

static void a_signal_during_the_wait_is_no_error(void **state)
{
    struct stage *s = *state;
    const struct sigaction act = { .sa_handler = nothing };
    struct sigaction before;
    const struct itimerval soon = { .it_value = { .tv_usec = 1000 } };
    assert_int_equal(sigaction(SIGALRM, &act, &before), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    assert_int_equal(trp_loop_turn(s->loop, TRP_MS(500), NULL).code, TRP_OK);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
}

static void a_loop_without_memory_says_so_and_keeps_what_it_had(void **state)
{
    (void)state;
    struct scarce scarce;
    struct stage s = { 0 };
    struct trp_error err = { 0 };
    const struct trp_alloc *alloc = scarce_init(&scarce, 0);
    const struct trp_loop_opts opts = { .name = "a name longer than fifteen bytes" };
    assert_int_equal(trp_loop_create(alloc, &opts, &s.loop, &err).code, TRP_OUT_OF_MEMORY);
    assert_null(s.loop);
    scarce_init(&scarce, 1);
    assert_int_equal(trp_loop_create(alloc, &opts, &s.loop, &err).code, TRP_OK);
    struct prop a = prop(&s, 'a');
    assert_int_equal(trp_timer_arm(s.loop, &a.timer, 0, &err).code, TRP_OUT_OF_MEMORY);
    assert_int_equal(trp_loop_watch(s.loop, &a.watch, 0, EPOLLIN, &err).code, TRP_OUT_OF_MEMORY);
    trp_timer_disarm(s.loop, &a.timer);
    trp_loop_unwatch(s.loop, &a.watch);
    turn(&s);
    trp_loop_destroy(s.loop);
    assert_int_equal(trp_counter_get(&scarce.out), 0);
}

#define ON_STAGE(f) cmocka_unit_test_setup_teardown(f, open_stage, close_stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(a_watch_is_called_as_long_as_its_descriptor_is_ready),
        ON_STAGE(a_changed_watch_waits_for_the_new_events_only),
        ON_STAGE(a_watch_removed_in_a_turn_is_not_called_in_it),
        ON_STAGE(an_event_for_a_removed_watch_does_not_reach_its_heir),
        ON_STAGE(a_descriptor_that_cannot_be_watched_is_an_error),
        ON_STAGE(hundreds_of_watches_are_all_served),
        ON_STAGE(timers_fire_in_the_order_of_their_times),
        ON_STAGE(a_timer_can_be_moved_and_disarmed),
        ON_STAGE(a_timer_disarmed_by_another_of_the_same_turn_does_not_fire),
        ON_STAGE(a_timer_that_arms_itself_for_now_does_not_hold_the_turn),
        ON_STAGE(a_thousand_timers_in_any_order_fire_in_theirs),
        ON_STAGE(tasks_run_in_order_and_never_inside_the_call_that_queued_them),
        ON_STAGE(mail_keeps_its_order_and_mail_to_oneself_waits_for_the_next_turn),
        ON_STAGE(a_turn_has_its_order),
        ON_STAGE(a_watch_with_much_to_do_runs_its_tasks_at_once),
        ON_STAGE(work_left_behind_keeps_the_next_wait_short),
        ON_STAGE(undelivered_mail_is_delivered_when_the_loop_is_destroyed),
        ON_STAGE(the_clock_is_read_once_a_turn),
        cmocka_unit_test(the_wait_ends_when_a_timer_is_due),
        ON_STAGE(a_stopped_loop_finishes_its_turn_and_can_run_again),
        cmocka_unit_test(mail_from_many_threads_arrives_whole_and_in_order),
        ON_STAGE(a_sleeping_loop_is_woken_by_mail_and_by_stop),
        ON_STAGE(a_signal_during_the_wait_is_no_error),
        cmocka_unit_test(a_loop_without_memory_says_so_and_keeps_what_it_had),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}

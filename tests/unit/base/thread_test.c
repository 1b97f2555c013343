/* Threads, locks, signals, and the atomic types that stand in for locks. */
#include "base/thread.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cores.h"
#include "base/str.h"

struct report {
    char name[16];
    sigset_t blocked;
};

static void look_around(void *user)
{
    struct report *r = user;
    assert_int_equal(pthread_getname_np(pthread_self(), r->name, sizeof r->name), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &r->blocked), 0);
}

struct courtesy {
    int before, after, highest;
    uint64_t turn_ns;
    int64_t waited_ns;
};

static void be_courteous(void *user)
{
    struct courtesy *c = user;
    c->before = getpriority(PRIO_PROCESS, 0);
    trp_thread_yield_to_others(0);
    trp_thread_yield_to_others(2);
    c->after = getpriority(PRIO_PROCESS, 0);
    trp_thread_yield_to_others(19);
    c->highest = getpriority(PRIO_PROCESS, 0);
    trp_thread_take_turns(200000);
    c->turn_ns = trp_thread_turn_ns();
    assert_int_equal(getpriority(PRIO_PROCESS, 0), c->highest);
    c->waited_ns = trp_thread_waited_ns();
    const struct trp_thread_use first = trp_thread_look();
    struct trp_thread_use now = first;
    while (now.cpu_ns == first.cpu_ns)
        now = trp_thread_look(); /* which takes time itself */
    assert_true(now.cpu_ns > first.cpu_ns && now.preempted >= first.preempted);
}

/* Linux 6.12 or later. */
static bool knows_turns(void)
{
    struct utsname name;
    unsigned major = 0, minor = 0;
    assert_int_equal(uname(&name), 0);
    assert_int_equal(sscanf(name.release, "%u.%u", &major, &minor), 2);
    return major > 6 || (major == 6 && minor >= 12);
}

static void a_thread_can_let_others_go_first(void **state)
{
    (void)state;
    struct trp_thread t = { 0 };
    struct courtesy c = { 0 };
    const int mine = getpriority(PRIO_PROCESS, 0);
    assert_int_equal(trp_thread_start(&t, "courteous", be_courteous, &c, NULL).code, TRP_OK);
    trp_thread_join(&t);
    assert_int_equal(c.after, c.before + 2 < 19 ? c.before + 2 : 19);
    assert_int_equal(c.highest, 19);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), mine); /* the others stay as they were */
    assert_true(c.waited_ns >= 0);
    assert_true(c.turn_ns == 200000 || !knows_turns());
}

static uint32_t open_files(void)
{
    uint32_t n = 0;
    DIR *const folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder))
        n++;
    closedir(folder);
    return n;
}

struct crowd {
    struct trp_counter waited; /* how many of the two */
};

/* Two that never sleep, on one core: each waits for the other. */
static void crowd(void *user)
{
    struct crowd *const c = user;
    struct trp_cores all, one;
    assert_true(trp_cores_of_thread(&all));
    one = trp_cores_at(&all, 0);
    assert_true(trp_cores_keep_thread(&one));
    const int64_t first_ns = trp_thread_waited_ns();
    while (trp_thread_waited_ns() == first_ns)
        ;
    trp_counter_add(&c->waited, 1);
    while (trp_counter_get(&c->waited) < 2)
        ; /* the other one needs somebody to wait for */
}

static void how_long_a_thread_waited_is_read_anew_each_time(void **state)
{
    static struct trp_thread threads[2];
    static struct crowd c; /* which one that is alone still looks at when the other was not begun */
    (void)state;
    if (access("/proc/self/schedstat", R_OK) != 0)
        skip();
    const uint32_t before = open_files();
    for (int i = 0; i < 2; i++)
        assert_int_equal(trp_thread_start(&threads[i], "crowd", crowd, &c, NULL).code, TRP_OK);
    for (int i = 0; i < 2; i++)
        trp_thread_join(&threads[i]);
    assert_int_equal(open_files(), before);
}

static void a_thread_has_its_name_and_no_signals(void **state)
{
    (void)state;
    struct trp_thread t = { 0 };
    struct report r = { 0 };
    sigset_t mine;
    assert_int_equal(trp_thread_start(&t, "a-name-that-is-too-long", look_around, &r, NULL).code,
                     TRP_OK);
    trp_thread_join(&t);
    trp_thread_join(&t); /* joined already: nothing happens */
    assert_string_equal(r.name, "a-name-that-is-");
    assert_true(sigismember(&r.blocked, SIGTERM) && sigismember(&r.blocked, SIGCHLD));
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mine), 0);
    assert_false(sigismember(&mine, SIGTERM)); /* ours is as before */
}

enum { THREADS = 4, ROUNDS = 20000 };

struct shared {
    struct trp_lock lock;
    struct trp_signal changed;
    uint64_t plain;
    uint32_t turn;
    struct trp_counter counter;
    struct trp_gauge gauge;
    struct trp_oneshot oneshot;
    struct trp_counter winners;
    struct trp_refs refs;
    struct trp_counter last;
    struct trp_pile pile;
};

static void work(void *user)
{
    struct shared *s = user;
    for (int i = 0; i < ROUNDS; i++) {
        trp_lock_enter(&s->lock);
        s->plain++;
        trp_lock_leave(&s->lock);
        trp_counter_add(&s->counter, 2);
        trp_counter_sub(&s->counter, 1);
        trp_gauge_add(&s->gauge, i % 2 ? 3 : -4);
    }
    if (trp_oneshot_try(&s->oneshot, 7))
        trp_counter_add(&s->winners, 1);
    if (trp_refs_down(&s->refs))
        trp_counter_add(&s->last, 1);
}

static void run_threads(void (*body)(void *user), struct shared *s)
{
    struct trp_thread threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(trp_thread_start(&threads[i], "worker", body, s, NULL).code, TRP_OK);
    for (int i = 0; i < THREADS; i++)
        trp_thread_join(&threads[i]);
}

static void what_is_shared_loses_nothing(void **state)
{
    (void)state;
    struct shared s = { 0 };
    trp_lock_init(&s.lock, TRP_LOCK_LOG);
    trp_refs_init(&s.refs);
    for (int i = 1; i < THREADS; i++)
        trp_refs_up(&s.refs);
    assert_int_equal(trp_refs_get(&s.refs), THREADS);
    run_threads(work, &s);
    assert_int_equal(s.plain, THREADS * ROUNDS);
    assert_int_equal(trp_counter_get(&s.counter), THREADS * ROUNDS);
    assert_int_equal(trp_gauge_get(&s.gauge), -THREADS * ROUNDS / 2);
    assert_int_equal(trp_counter_get(&s.winners), 1);
    assert_int_equal(trp_oneshot_get(&s.oneshot), 7);
    assert_int_equal(trp_counter_get(&s.last), 1);
    trp_lock_deinit(&s.lock);
}

static void small_atomic_types_do_what_they_say(void **state)
{
    (void)state;
    struct trp_flag flag = { 0 };
    struct trp_gauge gauge = { 0 };
    struct trp_counter counter = { 0 };
    struct trp_oneshot oneshot = { 0 };
    assert_false(trp_flag_is_up(&flag));
    trp_flag_raise(&flag);
    assert_true(trp_flag_is_up(&flag));
    trp_flag_lower(&flag);
    assert_false(trp_flag_is_up(&flag));
    trp_gauge_set(&gauge, -5);
    assert_int_equal(trp_gauge_get(&gauge), -5);
    trp_counter_set(&counter, 5);
    trp_counter_own_add(&counter, 2);
    assert_int_equal(trp_counter_add(&counter, 1), 8);
    assert_int_equal(trp_counter_sub(&counter, 3), 5);
    assert_true(trp_oneshot_try(&oneshot, 1));
    assert_false(trp_oneshot_try(&oneshot, 2));
    trp_oneshot_reset(&oneshot);
    assert_true(trp_oneshot_try(&oneshot, 2));
}

/* ---- the pile -------------------------------------------------------------------------------- */

struct node {
    struct node *next;
};

static bool push(struct trp_pile *p, struct node *n)
{
    void *top = trp_pile_top(p);
    do
        n->next = top;
    while (!trp_pile_try_push(p, &top, n));
    return top == NULL;
}

static void a_pile_is_taken_whole_newest_first(void **state)
{
    (void)state;
    struct trp_pile pile = { 0 };
    struct node a, b;
    assert_null(trp_pile_take_all(&pile));
    assert_true(push(&pile, &a)); /* it was empty */
    assert_false(push(&pile, &b));
    struct node *top = trp_pile_take_all(&pile);
    assert_ptr_equal(top, &b);
    assert_ptr_equal(top->next, &a);
    assert_null(top->next->next);
    assert_null(trp_pile_take_all(&pile));
}

static void push_many(void *user)
{
    struct shared *s = user;
    for (int i = 0; i < ROUNDS; i++) {
        struct node *node = trp_alloc_get(trp_heap(), 1, sizeof *node);
        if (node)
            push(&s->pile, node);
    }
}

static void a_pile_of_many_threads_loses_nothing(void **state)
{
    (void)state;
    struct shared s = { 0 };
    size_t n = 0;
    run_threads(push_many, &s);
    for (struct node *next, *at = trp_pile_take_all(&s.pile); at; at = next, n++) {
        next = at->next;
        trp_alloc_free(trp_heap(), at);
    }
    assert_int_equal(n, THREADS * ROUNDS);
}

/* ---- locks and signals ----------------------------------------------------------------------- */

static void take_turns(void *user)
{
    struct shared *s = user;
    trp_lock_enter(&s->lock);
    const uint64_t me = s->plain++;
    for (uint32_t round = 0; round < 100; round++) {
        while (s->turn % THREADS != me)
            trp_signal_wait(&s->changed, &s->lock);
        s->turn++;
        trp_signal_all(&s->changed);
    }
    trp_lock_leave(&s->lock);
}

static void waiting_threads_are_woken(void **state)
{
    (void)state;
    struct shared s = { 0 };
    trp_lock_init(&s.lock, TRP_LOCK_EXEC);
    trp_signal_init(&s.changed);
    trp_signal_one(&s.changed); /* nobody waits: lost */
    run_threads(take_turns, &s);
    assert_int_equal(s.turn, THREADS * 100);
    trp_signal_deinit(&s.changed);
    trp_lock_deinit(&s.lock);
}

static void who_waits_for_a_while_wakes_by_itself(void **state)
{
    (void)state;
    struct shared s = { 0 };
    trp_lock_init(&s.lock, TRP_LOCK_EXEC);
    trp_signal_init(&s.changed);
    trp_lock_enter(&s.lock);
    trp_signal_wait_for(&s.changed, &s.lock, 0);
    trp_signal_wait_for(&s.changed, &s.lock, -1); /* it is over already */
    trp_signal_wait_for(&s.changed, &s.lock, 2000000);
    trp_lock_leave(&s.lock);
    trp_signal_deinit(&s.changed);
    trp_lock_deinit(&s.lock);
}

static void every_lock_has_a_name_and_ranks_only_rise(void **state)
{
    (void)state;
    for (int id = 0; id < TRP_LOCKS; id++)
        assert_true(strlen(trp_lock_name((enum trp_lock_id)id)) > 5);
    struct trp_lock low, high;
    trp_lock_init(&low, TRP_LOCK_LIFE);
    trp_lock_init(&high, TRP_LOCK_LOG);
    trp_lock_enter(&low);
    trp_lock_enter(&high);
    trp_lock_leave(&high);
    trp_lock_leave(&low);
#ifndef NDEBUG
    const pid_t child = fork();
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        trp_lock_enter(&high);
        trp_lock_enter(&low); /* the wrong way round */
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
#endif
    trp_lock_deinit(&low);
    trp_lock_deinit(&high);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(how_long_a_thread_waited_is_read_anew_each_time),
        cmocka_unit_test(a_thread_has_its_name_and_no_signals),
        cmocka_unit_test(a_thread_can_let_others_go_first),
        cmocka_unit_test(what_is_shared_loses_nothing),
        cmocka_unit_test(small_atomic_types_do_what_they_say),
        cmocka_unit_test(a_pile_is_taken_whole_newest_first),
        cmocka_unit_test(a_pile_of_many_threads_loses_nothing),
        cmocka_unit_test(waiting_threads_are_woken),
        cmocka_unit_test(who_waits_for_a_while_wakes_by_itself),
        cmocka_unit_test(every_lock_has_a_name_and_ranks_only_rise),
    };
    return cmocka_run_group_tests_name("thread", tests, NULL, NULL);
}

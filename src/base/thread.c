/* base/thread.c - see thread.h. */
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/torture.h"

struct lock_row {
    const char *name;
    int rank;
};

static const struct lock_row rows[TRP_LOCKS] = {
#define X(name, rank, what) [TRP_LOCK_##name] = { what, rank },
#include "base/locks.def"
#undef X
};

#ifndef NDEBUG
/* Ranks that this thread holds, lowest first; a debug build asserts that they only rise. */
static _Thread_local int held_ranks[TRP_LOCKS];
static _Thread_local int held_n;

static void note_enter(enum trp_lock_id id)
{
    TRP_ASSERT(held_n == 0 || held_ranks[held_n - 1] < rows[id].rank);
    held_ranks[held_n++] = rows[id].rank;
}
static void note_leave(enum trp_lock_id id)
{
    TRP_ASSERT(held_n > 0 && held_ranks[held_n - 1] == rows[id].rank);
    held_n--;
}
#else
static void note_enter(enum trp_lock_id id)
{
    (void)id;
}
static void note_leave(enum trp_lock_id id)
{
    (void)id;
}
#endif

/* What a lock guards is short: whoever finds it taken looks again for some microseconds before it
 * sleeps.  Sleepers are woken wherever the kernel has room at that moment, which may be behind
 * the one that woke them. */
void trp_lock_init(struct trp_lock *l, enum trp_lock_id id)
{
    pthread_mutexattr_t attr;
    int failed = pthread_mutexattr_init(&attr);
    failed |= pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
    failed |= pthread_mutex_init(&l->mutex, &attr);
    failed |= pthread_mutexattr_destroy(&attr);
    TRP_ASSERT(failed == 0); /* a mutex of one process takes no resource on Linux */
    l->id = id;
    trp_counter_set(&l->waits, 0);
}

void trp_lock_deinit(struct trp_lock *l)
{
    pthread_mutex_destroy(&l->mutex);
}

void trp_lock_enter(struct trp_lock *l)
{
    if (pthread_mutex_trylock(&l->mutex) != 0) {
        trp_counter_add(&l->waits, 1);
        pthread_mutex_lock(&l->mutex);
    }
    note_enter(l->id);
}

void trp_lock_leave(struct trp_lock *l)
{
    note_leave(l->id);
    pthread_mutex_unlock(&l->mutex);
}

const char *trp_lock_name(enum trp_lock_id id)
{
    return rows[id].name;
}

void trp_signal_init(struct trp_signal *s)
{
    pthread_condattr_t steady; /* whoever sets the clock must not move the end of a sleep */
    int failed = pthread_condattr_init(&steady);
    failed = failed ? failed : pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    failed = failed ? failed : pthread_cond_init(&s->cond, &steady);
    TRP_ASSERT(failed == 0);
    pthread_condattr_destroy(&steady);
}

void trp_signal_deinit(struct trp_signal *s)
{
    pthread_cond_destroy(&s->cond);
}

void trp_signal_wait(struct trp_signal *s, struct trp_lock *held)
{
    note_leave(held->id);
    pthread_cond_wait(&s->cond, &held->mutex);
    note_enter(held->id);
}

#define NS_PER_S INT64_C(1000000000)

void trp_signal_wait_for(struct trp_signal *s, struct trp_lock *held, int64_t most_ns)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    if (most_ns > 0) {
        const int64_t ns = until.tv_nsec + most_ns % NS_PER_S;
        until.tv_sec += (time_t)(most_ns / NS_PER_S + ns / NS_PER_S);
        until.tv_nsec = (long)(ns % NS_PER_S);
    }
    note_leave(held->id);
    (void)pthread_cond_timedwait(&s->cond, &held->mutex, &until); /* late or called: all the same */
    note_enter(held->id);
}

void trp_signal_one(struct trp_signal *s)
{
    pthread_cond_signal(&s->cond);
}

void trp_signal_all(struct trp_signal *s)
{
    pthread_cond_broadcast(&s->cond);
}

struct start {
    void (*body)(void *user);
    void *user;
    char name[16];
};

/* Opened when a thread first asks, for that costs more than reading. */
static _Thread_local int schedstat_fd_plus_1;

static void close_schedstat(void)
{
    if (schedstat_fd_plus_1 > 0)
        close(schedstat_fd_plus_1 - 1);
    schedstat_fd_plus_1 = 0;
}

static void *enter_thread(void *arg)
{
    struct start start = *(struct start *)arg;
    trp_alloc_free(trp_heap(), arg);
    pthread_setname_np(pthread_self(), start.name);
    start.body(start.user);
    close_schedstat();
    return NULL;
}

trp_status trp_thread_start(struct trp_thread *t, const char *name, void (*body)(void *user),
                            void *user, struct trp_error *err)
{
    sigset_t all, before;
    t->started = false;
    struct start *start = trp_alloc_zeroed(trp_heap(), 1, sizeof *start);
    if (!start)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "thread '%s'", name);
    *start = (struct start){ .body = body, .user = user };
    trp_str_copy(trp_str_of(name), start->name, sizeof start->name);
    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* a fault of the thread's own, which map_guard.c may mend */
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the new thread inherits the mask */
    const int failed = TRP_TORTURE_FAILS("thread")
                           ? 11 /* EAGAIN */
                           : pthread_create(&t->id, NULL, enter_thread, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        trp_alloc_free(trp_heap(), start);
        return trp_fail_errno(err, failed, "thread '%s'", name);
    }
    t->started = true;
    return trp_ok();
}

void trp_thread_join(struct trp_thread *t)
{
    if (t->started)
        pthread_join(t->id, NULL);
    t->started = false;
}

void trp_thread_yield_to_others(int nice)
{
    errno = 0;
    const int before = getpriority(PRIO_PROCESS, 0); /* on Linux that is the calling thread */
    if (nice > 0 && errno == 0)
        (void)setpriority(PRIO_PROCESS, 0, before + nice); /* the kernel stops at 19 */
}

/* struct sched_attr of linux/sched/types.h, which older C libraries cannot be included beside. */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
    uint32_t util_min, util_max;
};

void trp_thread_take_turns(uint64_t turn_ns)
{
    struct scheduling attr = { .size = sizeof attr };
    if (syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) != 0)
        return;
    attr.runtime_ns = turn_ns;
    (void)syscall(SYS_sched_setattr, 0, &attr, 0);
}

uint64_t trp_thread_turn_ns(void)
{
    struct scheduling attr = { .size = sizeof attr };
    return syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) == 0 ? attr.runtime_ns : 0;
}

struct trp_thread_use trp_thread_look(void)
{
    struct timespec cpu = { 0 };
    struct rusage use = { 0 };
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    (void)getrusage(RUSAGE_THREAD, &use);
    return (struct trp_thread_use){ .cpu_ns = (int64_t)cpu.tv_sec * NS_PER_S + cpu.tv_nsec,
                                    .preempted = use.ru_nivcsw };
}

int64_t trp_thread_waited_ns(void)
{
    char text[64];
    if (schedstat_fd_plus_1 == 0)
        schedstat_fd_plus_1 = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC) + 1;
    const ssize_t n =
        schedstat_fd_plus_1 == 0 ? -1 : pread(schedstat_fd_plus_1 - 1, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    const char *second = strchr(text, ' ');
    return second ? strtoll(second, NULL, 10) : 0;
}

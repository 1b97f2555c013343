/* base/loop.c - one thread that waits for sockets, mail and time.
 *
 * Problem.  A server thread has four sources of work: descriptors, other threads, the clock, and
 * itself.  All four must be served fairly, without allocation per event, and an owner must be able
 * to withdraw anything at any moment, also from inside a callback.
 *
 * Design.  One epoll instance.  Descriptors are registered with a slot number and the slot's
 * generation, never with a pointer: an event that was fetched before its watch was removed finds
 * another generation and is dropped.  Other threads push mail on a pile; whoever finds the pile
 * empty writes the one eventfd.  That is watched edge-triggered, so it is never read: a write is a
 * wake-up, and its value means nothing.  Timers are a binary heap ordered by (due, order of
 * arming), and the wait lasts until its top at most.
 *
 * Invariants.
 *  1. slots[i].watch->slot == i + 1 for every used slot; heap[i].timer->slot == i + 1 for every
 *     armed timer.
 *  2. Mail on the pile implies a pending write of the eventfd, or `again`, or that the pile is
 *     about to be taken in this turn.  Hence a loop that blocks has no mail.
 *  3. A turn is finite: mail that is posted, and timers that are armed, by callbacks of a turn
 *     beyond the number that was there wait for the next one.  Only tasks run until none is left.
 *
 * Not done: no timerfd (two system calls per change of the earliest timer), no EPOLLET for sockets
 * (a connection that stops reading for back-pressure would have to remember that), no cross-loop
 * stealing. */
#include "base/loop.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/str.h"
#include "base/thread.h"

#define EVENTS_PER_WAIT 256
#define WAKE_KEY UINT64_MAX /* no slot: the eventfd */
#define FOREVER INT64_MAX
#define TURN_NS 100000 /* on the processor: many wait for a loop, and it is soon done */

struct slot {
    struct trp_watch *watch; /* NULL: free */
    uint32_t generation;     /* grows with every removal */
    uint32_t next_free;      /* index + 1 of the next free slot, 0 at the end */
};

struct heap_entry {
    int64_t due_ns;
    uint64_t order; /* equal times fire in the order of arming */
    struct trp_timer *timer;
};

struct trp_loop {
    const struct trp_alloc *alloc;
    const struct trp_clock *clock;
    int64_t spin_ns, now_ns;
    int epoll_fd, wake_fd;
    bool again;        /* the next wait does not block */
    bool coarse_waits; /* the kernel lacks epoll_pwait2: whole milliseconds */
    char name[16];
    struct trp_counter thread; /* pthread_t of the loop's thread, 0: none yet */
    struct trp_flag stop;
    struct trp_pile mail;
    struct slot *slots;
    uint32_t slots_n, slots_capacity, free_slot;
    struct heap_entry *heap;
    uint32_t heap_n, heap_capacity;
    uint64_t heap_order;
    struct trp_task *ready, **ready_end;
    struct trp_hook *hooks, **hooks_end;
    struct epoll_event events[EVENTS_PER_WAIT];
};

/* ---- construction ---------------------------------------------------------------------------- */

static trp_status open_descriptors(struct trp_loop *loop, struct trp_error *err)
{
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        return trp_fail_errno(err, errno, "epoll_create1");
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake_fd < 0)
        return trp_fail_errno(err, errno, "eventfd");
    struct epoll_event wake = { .events = EPOLLIN | EPOLLET, .data.u64 = WAKE_KEY };
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &wake) != 0)
        return trp_fail_errno(err, errno, "epoll_ctl");
    return trp_ok();
}

trp_status trp_loop_create(const struct trp_alloc *alloc, const struct trp_loop_opts *opts,
                           struct trp_loop **out_loop, struct trp_error *err)
{
    *out_loop = NULL;
    struct trp_loop *loop = trp_alloc_zeroed(alloc, 1, sizeof *loop);
    if (!loop)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "event loop");
    loop->alloc = alloc;
    loop->clock = opts->clock ? opts->clock : trp_clock_system();
    loop->spin_ns = opts->spin_ns;
    loop->epoll_fd = loop->wake_fd = -1;
    loop->ready_end = &loop->ready;
    loop->hooks_end = &loop->hooks;
    (void)trp_str_copy(trp_str_of(opts->name), loop->name, sizeof loop->name); /* cut: fine */
    const trp_status st = open_descriptors(loop, err);
    if (trp_failed(st)) {
        trp_loop_destroy(loop);
        trp_error_within(err, "event loop");
        return st;
    }
    loop->now_ns = trp_clock_now_ns(loop->clock);
    *out_loop = loop;
    return trp_ok();
}

/* ---- mail ------------------------------------------------------------------------------------ */

bool trp_loop_is_mine(const struct trp_loop *loop)
{
    return trp_counter_get(&loop->thread) == (uint64_t)pthread_self();
}

static void become_mine(struct trp_loop *loop)
{
    trp_counter_set(&loop->thread, (uint64_t)pthread_self());
}

/* Async-signal-safe.  Fails only when the counter is full, and then a wake-up is pending already.
 * */
static void wake(struct trp_loop *loop)
{
    const int saved_errno = errno;
    const uint64_t one = 1;
    const ssize_t written = write(loop->wake_fd, &one, sizeof one);
    (void)written;
    errno = saved_errno;
}

void trp_loop_post_row(struct trp_loop *loop, struct trp_mail *newest, struct trp_mail *oldest)
{
    void *top = trp_pile_top(&loop->mail);
    do
        oldest->next = top;
    while (!trp_pile_try_push(&loop->mail, &top, newest));
    if (trp_loop_is_mine(loop))
        loop->again = true; /* covers mail that others put on top of ours, too */
    else if (!top)
        wake(loop);
}

void trp_loop_post(struct trp_loop *loop, struct trp_mail *mail)
{
    trp_loop_post_row(loop, mail, mail);
}

/* Delivers what lies in the box now, in the order of posting; what is posted meanwhile stays
 * there. */
static void deliver_mail(struct trp_loop *loop)
{
    struct trp_mail *newest = trp_pile_take_all(&loop->mail), *oldest = NULL;
    while (newest) {
        struct trp_mail *below = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = below;
    }
    while (oldest) {
        struct trp_mail *mail = oldest;
        oldest = mail->next; /* read first: deliver() may free it */
        mail->next = NULL;
        mail->deliver(mail);
    }
}

/* ---- tasks and hooks ------------------------------------------------------------------------- */

void trp_loop_ready(struct trp_loop *loop, struct trp_task *task)
{
    if (task->queued)
        return;
    task->queued = true;
    task->next = NULL;
    *loop->ready_end = task;
    loop->ready_end = &task->next;
}

void trp_loop_run_ready(struct trp_loop *loop)
{
    while (loop->ready) {
        struct trp_task *task = loop->ready;
        loop->ready = task->next;
        if (!loop->ready)
            loop->ready_end = &loop->ready;
        task->next = NULL;
        task->queued = false; /* before run(), which may queue or free it */
        task->run(task);
    }
}

void trp_loop_hook(struct trp_loop *loop, struct trp_hook *hook)
{
    hook->next = NULL;
    *loop->hooks_end = hook;
    loop->hooks_end = &hook->next;
}

void trp_loop_again(struct trp_loop *loop)
{
    loop->again = true;
}

void trp_loop_destroy(struct trp_loop *loop)
{
    if (!loop)
        return;
    while (trp_pile_top(&loop->mail) || loop->ready) {
        deliver_mail(loop);
        trp_loop_run_ready(loop);
    }
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    trp_alloc_free(loop->alloc, loop->slots);
    trp_alloc_free(loop->alloc, loop->heap);
    trp_alloc_free(loop->alloc, loop);
}

/* ---- watches --------------------------------------------------------------------------------- */

/* Doubles an array; its content stays where it was on failure. */
static trp_status grow(const struct trp_alloc *alloc, void **array, uint32_t *capacity, size_t size,
                       struct trp_error *err)
{
    const uint32_t wanted = *capacity ? *capacity * 2 : 64;
    void *larger = wanted > *capacity
                       ? trp_alloc_resize(alloc, *array, *capacity * size, wanted * size)
                       : NULL;
    if (!larger)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "event loop: no room for %u entries", wanted);
    *array = larger;
    *capacity = wanted;
    return trp_ok();
}

static uint64_t key_of(uint32_t slot, uint32_t generation)
{
    return (uint64_t)generation << 32 | slot;
}

static trp_status take_slot(struct trp_loop *loop, uint32_t *out_slot, struct trp_error *err)
{
    if (loop->free_slot) {
        *out_slot = loop->free_slot - 1;
        loop->free_slot = loop->slots[*out_slot].next_free;
        return trp_ok();
    }
    if (loop->slots_n == loop->slots_capacity) {
        void *slots = loop->slots;
        TRP_CHECK(grow(loop->alloc, &slots, &loop->slots_capacity, sizeof *loop->slots, err));
        loop->slots = slots;
    }
    *out_slot = loop->slots_n++;
    loop->slots[*out_slot] = (struct slot){ 0 };
    return trp_ok();
}

static void give_slot(struct trp_loop *loop, uint32_t slot)
{
    struct slot *s = &loop->slots[slot];
    s->watch = NULL;
    s->generation++;
    s->next_free = loop->free_slot;
    loop->free_slot = slot + 1;
}

trp_status trp_loop_watch(struct trp_loop *loop, struct trp_watch *watch, int fd, uint32_t events,
                          struct trp_error *err)
{
    TRP_ASSERT(watch->slot == 0);
    uint32_t slot;
    TRP_CHECK(take_slot(loop, &slot, err));
    struct epoll_event e = { .events = events,
                             .data.u64 = key_of(slot, loop->slots[slot].generation) };
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &e) != 0) {
        const int refused = errno;
        give_slot(loop, slot);
        return trp_fail_errno(err, refused, "watch descriptor %d", fd);
    }
    loop->slots[slot].watch = watch;
    watch->slot = slot + 1;
    watch->fd = fd;
    watch->events = events;
    return trp_ok();
}

trp_status trp_loop_rewatch(struct trp_loop *loop, struct trp_watch *watch, uint32_t events,
                            struct trp_error *err)
{
    TRP_ASSERT(watch->slot != 0);
    if (watch->events == events)
        return trp_ok();
    const uint32_t slot = watch->slot - 1;
    struct epoll_event e = { .events = events,
                             .data.u64 = key_of(slot, loop->slots[slot].generation) };
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &e) != 0) {
        const int refused = errno;
        trp_loop_unwatch(loop, watch);
        return trp_fail_errno(err, refused, "watch descriptor %d", watch->fd);
    }
    watch->events = events;
    return trp_ok();
}

void trp_loop_unwatch(struct trp_loop *loop, struct trp_watch *watch)
{
    if (!watch->slot)
        return;
    /* Fails when the descriptor was closed before, and then the kernel has dropped it itself. */
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    give_slot(loop, watch->slot - 1);
    watch->slot = 0;
    watch->events = 0;
}

static void deliver_events(struct trp_loop *loop, int n)
{
    for (int i = 0; i < n; i++) {
        const uint64_t key = loop->events[i].data.u64;
        if (key == WAKE_KEY)
            continue; /* it did its work by waking us */
        const struct slot *s = &loop->slots[(uint32_t)key];
        if (s->watch && s->generation == (uint32_t)(key >> 32))
            s->watch->ready(s->watch, loop->events[i].events);
    }
}

/* ---- timers ---------------------------------------------------------------------------------- */

static bool is_before(const struct heap_entry *a, const struct heap_entry *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void place(struct trp_loop *loop, uint32_t at, struct heap_entry entry)
{
    loop->heap[at] = entry;
    entry.timer->slot = at + 1;
}

/* Moves `entry`, for which there is a hole at `at`, to where it belongs: up, or else down. */
static void settle(struct trp_loop *loop, uint32_t at, struct heap_entry entry)
{
    for (; at > 0; at = (at - 1) / 2) {
        const uint32_t parent = (at - 1) / 2;
        if (!is_before(&entry, &loop->heap[parent]))
            break;
        place(loop, at, loop->heap[parent]);
    }
    for (uint32_t child; (child = 2 * at + 1) < loop->heap_n; at = child) {
        if (child + 1 < loop->heap_n && is_before(&loop->heap[child + 1], &loop->heap[child]))
            child++;
        if (!is_before(&loop->heap[child], &entry))
            break;
        place(loop, at, loop->heap[child]);
    }
    place(loop, at, entry);
}

trp_status trp_timer_arm(struct trp_loop *loop, struct trp_timer *timer, int64_t due_ns,
                         struct trp_error *err)
{
    if (!timer->slot && loop->heap_n == loop->heap_capacity) {
        void *heap = loop->heap;
        TRP_CHECK(grow(loop->alloc, &heap, &loop->heap_capacity, sizeof *loop->heap, err));
        loop->heap = heap;
    }
    timer->due_ns = due_ns;
    const uint32_t hole = timer->slot ? timer->slot - 1 : loop->heap_n++;
    settle(loop, hole, (struct heap_entry){ due_ns, loop->heap_order++, timer });
    return trp_ok();
}

void trp_timer_disarm(struct trp_loop *loop, struct trp_timer *timer)
{
    if (!timer->slot)
        return;
    const uint32_t hole = timer->slot - 1;
    timer->slot = 0;
    const struct heap_entry last = loop->heap[--loop->heap_n];
    if (hole < loop->heap_n)
        settle(loop, hole, last);
}

static void fire_timers(struct trp_loop *loop)
{
    for (uint32_t n = loop->heap_n; n > 0 && loop->heap_n > 0; n--) {
        struct trp_timer *timer = loop->heap[0].timer;
        if (loop->heap[0].due_ns > loop->now_ns)
            break;
        trp_timer_disarm(loop, timer);
        timer->due(timer, loop->now_ns);
    }
}

/* ---- the turn -------------------------------------------------------------------------------- */

int64_t trp_loop_now_ns(const struct trp_loop *loop)
{
    return loop->now_ns;
}

int64_t trp_loop_clock_ns(struct trp_loop *loop)
{
    return loop->now_ns = trp_clock_now_ns(loop->clock);
}

/* One system call; returns the number of events, or -1 with errno. */
static int wait_events(struct trp_loop *loop, int64_t wait_ns)
{
    if (wait_ns <= 0)
        return epoll_wait(loop->epoll_fd, loop->events, EVENTS_PER_WAIT, 0);
    if (wait_ns == FOREVER)
        return epoll_wait(loop->epoll_fd, loop->events, EVENTS_PER_WAIT, -1);
    if (!loop->coarse_waits) {
        const struct timespec span = { .tv_sec = wait_ns / TRP_S(1),
                                       .tv_nsec = wait_ns % TRP_S(1) };
        const int n = epoll_pwait2(loop->epoll_fd, loop->events, EVENTS_PER_WAIT, &span, NULL);
        if (n >= 0 || errno != ENOSYS)
            return n;
        loop->coarse_waits = true;
    }
    const int64_t wait_ms = (wait_ns - 1) / TRP_MS(1) + 1; /* up: waking early is a wasted turn */
    return epoll_wait(loop->epoll_fd, loop->events, EVENTS_PER_WAIT,
                      wait_ms < INT32_MAX ? (int)wait_ms : INT32_MAX);
}

/* Looks again and again for `spin_ns`, then sleeps for the rest.  Spinning is about real time, so
 * it never asks an injected clock, which might stand still. */
static int spin_then_wait(struct trp_loop *loop, int64_t wait_ns)
{
    const struct trp_clock *real = trp_clock_system();
    const int64_t begun_ns = trp_clock_now_ns(real);
    int64_t spent_ns = 0;
    do {
        const int n = wait_events(loop, 0);
        if (n != 0)
            return n;
        spent_ns = trp_clock_now_ns(real) - begun_ns;
        if (spent_ns >= wait_ns)
            return 0;
    } while (spent_ns < loop->spin_ns);
    return wait_events(loop, wait_ns == FOREVER ? FOREVER : wait_ns - spent_ns);
}

/* How long the coming wait may last. */
static int64_t allowed_wait_ns(struct trp_loop *loop, int64_t wait_ns)
{
    if (wait_ns <= 0 || loop->again || loop->ready || trp_flag_is_up(&loop->stop))
        return 0;
    if (!loop->heap_n)
        return wait_ns;
    /* The turn's own time is old by now; a sleep measured from it would end late by the turn's
     * length. */
    const int64_t now_ns = trp_clock_now_ns(loop->clock), due_ns = loop->heap[0].due_ns;
    if (due_ns <= now_ns)
        return 0;
    const int64_t left_ns = due_ns - now_ns;
    return left_ns < wait_ns ? left_ns : wait_ns;
}

trp_status trp_loop_turn(struct trp_loop *loop, int64_t wait_ns, struct trp_error *err)
{
    become_mine(loop);
    wait_ns = allowed_wait_ns(loop, wait_ns);
    loop->again = false;
    const bool spins = wait_ns > 0 && loop->spin_ns > 0;
    const int n = spins ? spin_then_wait(loop, wait_ns) : wait_events(loop, wait_ns);
    if (n < 0 && errno != EINTR)
        return trp_fail_errno(err, errno, "event loop: waiting");
    (void)trp_loop_clock_ns(loop);
    deliver_events(loop, n);
    deliver_mail(loop);
    fire_timers(loop);
    trp_loop_run_ready(loop);
    for (struct trp_hook *hook = loop->hooks; hook; hook = hook->next)
        hook->turn_end(hook);
    return trp_ok();
}

trp_status trp_loop_run(struct trp_loop *loop, struct trp_error *err)
{
    become_mine(loop);
    if (loop->name[0])
        (void)pthread_setname_np(pthread_self(), loop->name); /* a name is a courtesy */
    trp_thread_take_turns(TURN_NS);
    trp_status st;
    do
        st = trp_loop_turn(loop, FOREVER, err);
    while (!trp_failed(st) && !trp_flag_is_up(&loop->stop));
    trp_flag_lower(&loop->stop); /* it may be run again, for instance to drain */
    return st;
}

void trp_loop_stop(struct trp_loop *loop)
{
    trp_flag_raise(&loop->stop);
    wake(loop);
}

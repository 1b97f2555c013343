/* base/loop.h - one thread that waits for sockets, mail and time.
 * Answers "who is called when something happens?".
 *
 * A turn: wait (epoll) - read the clock once - deliver ready watches, mail, due timers - run the
 * ready list until it is empty - run the turn hooks (flush what the turn collected) - next.  While
 * the ready list or a hook leaves work, the next wait does not block.  Everything here is called
 * on the loop's thread, except trp_loop_post() and trp_loop_stop().
 *
 *  1. A watch, timer, task or mail lives in its owner's memory; the loop allocates nothing per
 *     event.
 *  2. A watch that was removed during a turn is not called again, even if its event had arrived
 *     already.
 *  3. A task is run after the call that queued it has returned, never inside it.
 *  4. Mail moves whole ownership: who posted it must not touch it again. */
#ifndef TRP_LOOP_H
#define TRP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/status.h"

struct trp_loop;

struct trp_watch {                                           /* zero it before first use */
    void (*ready)(struct trp_watch *watch, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLHUP, ... */
    int fd;
    uint32_t events; /* what is waited for now */
    uint32_t slot;   /* the loop's own: index + 1 of its registration, 0 when not watched */
};

struct trp_timer { /* zero it before first use */
    void (*due)(struct trp_timer *timer, int64_t now_ns);
    int64_t due_ns;
    uint32_t slot; /* the loop's own: index + 1 in the heap, 0 when not armed */
};

struct trp_task { /* zero it before first use */
    void (*run)(struct trp_task *task);
    struct trp_task *next;
    bool queued;
};

struct trp_mail {
    void (*deliver)(struct trp_mail *mail); /* on the receiving loop's thread */
    struct trp_mail *next;
};

struct trp_hook { /* called at the end of every turn, in order of registration */
    void (*turn_end)(struct trp_hook *hook);
    struct trp_hook *next;
};

struct trp_loop_opts {
    const char *name;              /* of its thread, at most 15 bytes */
    const struct trp_clock *clock; /* NULL: the system's */
    int64_t spin_ns;               /* look again for so long before sleeping; 0: sleep at once */
};

/* Makes a loop; nothing runs before trp_loop_run().
 *   Owns  : the caller destroys; `alloc` and opts->clock are borrowed and outlive it.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY, or as trp_fail_errno() (epoll or eventfd refused); *out_loop is NULL
 *           then. */
trp_status trp_loop_create(const struct trp_alloc *alloc, const struct trp_loop_opts *opts,
                           struct trp_loop **out_loop, struct trp_error *err);

/* Accepts NULL.  Undelivered mail is delivered first, so that nothing accepted is lost.
 *   Owns  : frees the loop; watches and timers stay their owners'.
 *   Thread: startup (after trp_loop_run() has returned).
 *   Errors: none. */
void trp_loop_destroy(struct trp_loop *loop);

/* Runs turns until trp_loop_stop().
 *   Thread: loop (whoever calls it becomes the loop's thread).
 *   Blocks: until stopped.
 *   Owns  : nothing.
 *   Errors: IO when waiting fails for good. */
trp_status trp_loop_run(struct trp_loop *loop, struct trp_error *err);

/* Runs one turn, waiting at most `wait_ns` (0: not at all); for tests and drains.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: IO when waiting fails for good. */
trp_status trp_loop_turn(struct trp_loop *loop, int64_t wait_ns, struct trp_error *err);

/* Makes trp_loop_run() return at the end of its turn.
 *   Owns  : nothing.
 *   Thread: any, and from a signal handler.
 *   Errors: none. */
void trp_loop_stop(struct trp_loop *loop);

/* The time at the start of this turn; trp_loop_clock_ns() reads the clock anew and keeps it for
 * the turn.
 *   Units : ns, monotonic.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
int64_t trp_loop_now_ns(const struct trp_loop *loop);
int64_t trp_loop_clock_ns(struct trp_loop *loop);
bool trp_loop_is_mine(const struct trp_loop *loop); /* true on the loop's own thread; any thread */

/* Starts, changes or ends waiting for a descriptor (level-triggered).  Changing to the same events
 * costs no system call.
 *   Owns  : `watch` stays the caller's and must live until trp_loop_unwatch(); the fd is the
 *           caller's.
 *   Thread: loop.
 *   Errors: as trp_fail_errno(), OUT_OF_MEMORY; not watched then. */
trp_status trp_loop_watch(struct trp_loop *loop, struct trp_watch *watch, int fd, uint32_t events,
                          struct trp_error *err);
trp_status trp_loop_rewatch(struct trp_loop *loop, struct trp_watch *watch, uint32_t events,
                            struct trp_error *err);
void trp_loop_unwatch(struct trp_loop *loop,
                      struct trp_watch *watch); /* not watched: nothing happens */

/* Arms (or re-arms) a timer; it fires once.
 *   Units : ns, monotonic.
 *   Owns  : `timer` stays the caller's and must live until it fired or was disarmed.
 *   Thread: loop.
 *   Cost  : O(log timers).
 *   Errors: OUT_OF_MEMORY when the heap cannot grow (it never shrinks: only at a new maximum). */
trp_status trp_timer_arm(struct trp_loop *loop, struct trp_timer *timer, int64_t due_ns,
                         struct trp_error *err);
void trp_timer_disarm(struct trp_loop *loop, struct trp_timer *timer);

/* Queues a task for this turn; a task that is queued already stays where it is.
 *   Owns  : borrowed until it ran.
 *   Thread: loop.
 *   Errors: none. */
void trp_loop_ready(struct trp_loop *loop, struct trp_task *task);

/* Runs the tasks that are queued, and those that they queue, now instead of at the end of the turn:
 * for a watch that has much more to do than the others.
 *   Owns  : as trp_loop_ready().
 *   Thread: loop; not from inside a task.
 *   Errors: none. */
void trp_loop_run_ready(struct trp_loop *loop);

/* Hands a mail to the loop, or a row of them, chained by `next` from the newest, which is delivered
 * last, to the oldest; wakes the loop only when its box was empty: each of many posts would find it
 * so, and a loop that is woken for each takes the processor from whoever posts.
 *   Owns  : moves all mail; the loop must outlive the call, not only the delivery.
 *   Thread: any.
 *   Errors: none. */
void trp_loop_post(struct trp_loop *loop, struct trp_mail *mail);
void trp_loop_post_row(struct trp_loop *loop, struct trp_mail *newest, struct trp_mail *oldest);

/* Adds a hook for the end of each turn.  `trp_loop_again` asks for a next turn without waiting.
 *   Owns  : borrowed; outlives the loop.
 *   Thread: startup (hook), loop (again).
 *   Errors: none. */
void trp_loop_hook(struct trp_loop *loop, struct trp_hook *hook);
void trp_loop_again(struct trp_loop *loop);

#endif

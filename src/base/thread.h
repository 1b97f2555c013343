/* base/thread.h - threads, locks and their names.
 * Answers "who runs beside whom?".  Locks are declared with a name and a rank in base/locks.def; a
 * debug build asserts that ranks only rise and that what must be held is held. */
#ifndef TRP_THREAD_H
#define TRP_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/status.h"
#include "base/str.h"

enum trp_lock_id {
#define X(name, rank, what) TRP_LOCK_##name,
#include "base/locks.def"
#undef X
    TRP_LOCKS
};

/* A mutex that knows its name.  Never held across a callback, a plugin call or I/O. */
struct trp_lock {
    pthread_mutex_t mutex;
    enum trp_lock_id id;
    struct trp_counter waits; /* how often it was found taken */
};

/* Set up, free, take, leave; the name of a lock.
 *   Owns  : `l` is the caller's storage.
 *   Thread: any.
 *   Blocks: enter: until the lock is free.
 *   Errors: none. */
void trp_lock_init(struct trp_lock *l, enum trp_lock_id id);
void trp_lock_deinit(struct trp_lock *l);
void trp_lock_enter(struct trp_lock *l);
void trp_lock_leave(struct trp_lock *l);
const char *trp_lock_name(enum trp_lock_id id);

/* A place to sleep until somebody signals. */
struct trp_signal {
    pthread_cond_t cond;
};

/* Set up, free; sleep (leaving the held lock meanwhile; may wake for no reason), or sleep so long
 * at most; wake one or all.
 *   Units : ns.
 *   Owns  : `s` is the caller's storage.
 *   Thread: any.
 *   Blocks: wait: until signalled; wait_for: or until that time has passed.
 *   Errors: none. */
void trp_signal_init(struct trp_signal *s);
void trp_signal_deinit(struct trp_signal *s);
void trp_signal_wait(struct trp_signal *s, struct trp_lock *held);
void trp_signal_wait_for(struct trp_signal *s, struct trp_lock *held, int64_t most_ns);
void trp_signal_one(struct trp_signal *s);
void trp_signal_all(struct trp_signal *s);

/* Starts a thread with all signals blocked and a name of at most 15 bytes.
 *   Owns  : the caller joins; `user` is borrowed by the thread.
 *   Thread: any.
 *   Errors: OUT_OF_MEMORY, IO (the system refuses one more). */
struct trp_thread {
    pthread_t id;
    bool started;
};
trp_status trp_thread_start(struct trp_thread *t, const char *name, void (*body)(void *user),
                            void *user, struct trp_error *err);
void trp_thread_join(struct trp_thread *t); /* not started: nothing happens */

/* Lets other threads go first when processors are short: raises the calling thread's nice value by
 * so much, as far as it goes.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none; it is a courtesy. */
void trp_thread_yield_to_others(int nice);

/* Says how long the calling thread's turns on the processor are to be: where the scheduler knows of
 * that (Linux 6.12), one that wakes goes before one in the middle of a longer turn.  Short ones are
 * for who is soon done and waited for, long ones for who can wait.  Its share stays what it was.
 *   Units : ns, 0.1 ms to 100 ms; 0: as long as everybody's.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none; it is a courtesy.
 *   Source: sched_setattr(2), sched_runtime; kernel/sched/fair.c, PREEMPT_SHORT. */
void trp_thread_take_turns(uint64_t turn_ns);

/* How long the calling thread's turns are to be.
 *   Units : ns; 0: the scheduler does not know of that.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : a system call.
 *   Errors: none. */
uint64_t trp_thread_turn_ns(void);

/* How long the calling thread has been ready to run without a processor, all its life; 0 when the
 * system does not say.
 *   Units : ns.
 *   Owns  : a file that is opened the first time and closed when the thread ends, if
 *           trp_thread_start() began it.
 *   Thread: any.
 *   Cost  : a system call; the first time, some microseconds.
 *   Errors: none.
 *   Source: the second number of /proc/thread-self/schedstat. */
int64_t trp_thread_waited_ns(void);

/* The calling thread, all its life: time on a processor, and how often that was taken from it.
 *   Units : ns.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : less than a microsecond.
 *   Errors: none; zeros when the system does not say. */
struct trp_thread_use {
    int64_t cpu_ns, preempted;
};
struct trp_thread_use trp_thread_look(void);

#endif

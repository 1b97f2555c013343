/* base/child.h - a process that this one starts.
 * Answers "is it still there, and how did it end?".  Other children of the process are never
 * waited for. */
#ifndef TRP_CHILD_H
#define TRP_CHILD_H

#include <sys/types.h>

#include "base/status.h"

#define TRP_CHILD_WORDS_MAX 64u

struct trp_child {
    pid_t pid; /* 0: none */
};

/* Starts a program with `fd` as its descriptor 3, nothing to read, and no signal blocked.
 *   Owns  : the caller waits for its end.  The fd stays the caller's.
 *   Thread: any; the child takes over the nice value of this thread, and one that asks for a signal
 *           when its parent ends (trp_child_follow_parent()) gets it when this thread ends.
 *   Errors: as trp_fail_errno(): no such program, no process more. */
trp_status trp_child_start(const char *program, const char *const *argv, int fd,
                           struct trp_child *out, struct trp_error *err);

/* Waits for its end, and says it: "ended by SIGFPE (Floating point exception)", "ended with 1".
 *   Units : ns.
 *   Owns  : nothing is left of it afterwards.
 *   Thread: any, one at a time.
 *   Blocks: as long as is said.
 *   Errors: false: it is still there. */
bool trp_child_wait(struct trp_child *c, int64_t wait_ns, char out_words[TRP_CHILD_WORDS_MAX]);
void trp_child_kill(const struct trp_child *c); /* at once; then wait for it */

/* In the child: leaves with the thread that started it, and not with a Ctrl-C or an order that was
 * meant for the parent; leaves no core file, because its end is expected.
 *   Owns  : nothing.
 *   Thread: startup.
 *   Errors: none. */
void trp_child_follow_parent(void);

#endif

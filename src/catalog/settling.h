/* catalog/settling.h - a file that is being written is not taken for what it says.
 * Answers "is routes.yaml whole now, or is somebody still at work on it?".  Pure.
 *
 *   what is found             nobody asked (a watcher)       somebody asked (SIGHUP, a load)
 *   something else            when it stayed so              at once
 *   nothing in it             nobody served: at once; else never: it is refused when it stayed so
 *   no file                   nobody served: at once; else when it stayed so */
#ifndef TRP_SETTLING_H
#define TRP_SETTLING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "repo/steady.h"

struct trp_settling {        /* zero: nothing was taken up so far */
    uint64_t taken;          /* digest of what was taken up last */
    struct trp_steady found; /* since, and waits */
};

struct trp_settling_look {
    struct trp_str text; /* that the file has now */
    bool is_there;
    bool serves;     /* names that it declares answer */
    bool is_patient; /* nobody has asked */
    int64_t settle_ns, now_ns;
};

enum trp_settling_verdict {
    TRP_SETTLING_TAKE,
    TRP_SETTLING_WAIT,  /* look again after settle_ns */
    TRP_SETTLING_REFUSE /* it has nothing in it */
};

/* Judges what was found, and keeps what was taken up.
 *   Units : ns on the monotonic clock; settle_ns 0: nothing waits.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
enum trp_settling_verdict trp_settling_judge(struct trp_settling *s,
                                             const struct trp_settling_look *look);

/* Nothing but blank lines, comments and marks of documents.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
bool trp_settling_is_empty(struct trp_str text);

#endif

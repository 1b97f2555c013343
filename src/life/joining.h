/* life/joining.h - whether calls of a version may run together.
 * Answers "are its rows independent of each other?".  Its owner may say so, or forbid it; otherwise
 * it is found out when two of its calls have waited together for the first time: a job of the
 * background runs rows alone and together (store/row_proof.h), and the store keeps what came of
 * it.  Until then, and if they are not, each call runs alone.  Private to this room. */
#ifndef TRP_JOINING_H
#define TRP_JOINING_H

#include "life/life.h"

#define TRP_JOINING_WORDS 256

/* Of one open version; zero: nothing is known. */
struct trp_joining {
    struct trp_company company; /* first */
    struct trp_mail asked;      /* calls wait that could have met */
    struct trp_version *version;
    struct trp_life *life;
    bool is_put_off;       /* it was hibernated before that was found out */
    uint32_t failures;     /* to find it out, for want of memory */
    struct trp_timer rest; /* after one: nobody tries it again until then */
    char words
        [2][TRP_JOINING_WORDS]; /* each written once, before it is shown: why not yet; what came of
                              * it */
    uint32_t words_n;
};

/* Settles what is known of a version that was just opened, or who is told when somebody wants to
 * know.
 *   Owns  : `j` is the version's.
 *   Thread: control; before its state lets calls in.
 *   Errors: none. */
void trp_joining_settle(struct trp_life *l, struct trp_version *v, struct trp_joining *j);

/* Nobody asks any more; accepts one that was never settled.
 *   Owns  : nothing.
 *   Thread: control; when the version was closed.
 *   Errors: none. */
void trp_joining_end(struct trp_life *l, struct trp_joining *j);

/* Its door is open again: what gave up because it was shut begins anew.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_joining_go_on(struct trp_version *v);

#endif

/* app/readers.h - the loop threads, and how each gets the newest registry snapshot.
 * Answers "which picture of the models does this loop see?".
 *
 * Two mails per loop travel between control and loop, back and forth.  They only say that there is
 * something new: whoever gets one takes the newest.  So publishing allocates nothing and cannot
 * fail, and what control posts to a loop after it has published comes behind what it published:
 * with one mail, that would be on its way back. */
#ifndef TRP_READERS_H
#define TRP_READERS_H

#include "base/alloc.h"
#include "base/loop.h"
#include "base/thread.h"
#include "model/registry.h"

struct trp_delivery { /* a mail, and what it says on the way back */
    struct trp_mail mail;
    struct trp_reader *reader;
    uint64_t epoch; /* that the loop holds; control's when the mail is back */
    bool is_away;   /* control's */
};

struct trp_reader { /* one loop thread */
    uint32_t index;
    struct trp_loop *loop;
    struct trp_thread thread;
    const struct trp_snapshot *snapshot; /* the loop's own: what it holds now */

    struct trp_delivery deliveries[2];
    struct trp_pointer
        newest;     /* snapshot: put by control before a mail is sent, taken by the loop when one
                 * arrives */
    bool is_behind; /* control's: both were away when it was put */
    struct trp_readers *owner;
};

struct trp_readers {
    struct trp_reader *items;
    uint32_t n;
    struct trp_loop *control;
    /* Called on the control thread: reader `index` holds the snapshot of `epoch`. */
    void (*seen)(void *user, uint32_t index, uint64_t epoch);
    void *user;
    const struct trp_alloc *alloc;
    bool closing; /* mail that still travels is let go */
};

/* Makes `n` loops that hold `initial`; start begins their threads; stop ends and joins them, and
 * delivers what had been posted to them meanwhile.  The control loop is destroyed between stop and
 * deinit: a mail of ours may lie in its box.
 *   Owns  : the caller deinits; loops are destroyed then.
 *   Thread: startup (publish: control).
 *   Errors: OUT_OF_MEMORY, IO. */
trp_status trp_readers_init(struct trp_readers *r, const struct trp_alloc *alloc, uint32_t n,
                            const struct trp_loop_opts *loop_opts,
                            const struct trp_snapshot *initial, struct trp_error *err);
trp_status trp_readers_start(struct trp_readers *r, struct trp_error *err);
void trp_readers_stop(struct trp_readers *r);
void trp_readers_deinit(struct trp_readers *r);
void trp_readers_publish(struct trp_readers *r, const struct trp_snapshot *snapshot);

#endif

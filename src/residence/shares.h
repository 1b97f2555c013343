/* residence/shares.h - blobs in memory, each counted once.
 * Answers "what does a model bring that nobody has brought yet, and what goes with it?".  Private
 * to this room.
 *
 * A share is a blob that somebody has, or means to have: it is known by its name in the store, so
 * equal weights of whatever models are one share.  Those who know it are counted apart from those
 * who use it, and of those, apart who is leaving:
 *
 *     known ── enter ──► used ── leave ──► going, when all who use it are leaving ── exit ──► gone with the last one */
#ifndef TRP_SHARES_H
#define TRP_SHARES_H

#include "base/table.h"

struct trp_share {
    struct trp_shares *shares;
    uint64_t bytes;
    uint32_t known, users, leaving;
    uint32_t mark;              /* as `round` of whoever counts each share once */
    uint32_t index, last_guest; /* a decision's own */
    char name[];
};

struct trp_shares {
    const struct trp_alloc *alloc;
    struct trp_table *names;
    uint64_t used_bytes;  /* of shares that have users */
    uint64_t going_bytes; /* of those, whose users are all leaving */
    uint32_t round;
};

/* Sets up an empty collection; takes it down, when nobody knows any share.
 *   Owns  : the caller deinits; `alloc` is borrowed.
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY; nothing needs a deinit then. */
trp_status trp_shares_init(struct trp_shares *s, const struct trp_alloc *alloc,
                           struct trp_error *err);
void trp_shares_deinit(struct trp_shares *s); /* accepts zeros */

/* Finds or makes a share by its name, and is one more who knows it.
 *   Owns  : counted: each meet() ends with a forget().
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_share_meet(struct trp_shares *s, const char *name, uint64_t bytes,
                          struct trp_share **out_share, struct trp_error *err);
void trp_share_forget(struct trp_share *h);

/* One user more; one who is about to go; one who stays after all; one less.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
void trp_share_enter(struct trp_share *h);
void trp_share_leave(struct trp_share *h);
void trp_share_stay(struct trp_share *h);
void trp_share_exit(struct trp_share *h, bool was_leaving);

static inline bool trp_share_is_going(const struct trp_share *h)
{
    return h->users > 0 && h->leaving == h->users;
}

#endif

/* exec/gather_room.h - where the rows of a batch lie behind one another.
 * Answers "into which memory are they gathered?".  What is not too large lies where the last
 * batch's lay: new pages for each run would cost some percent of it.  For models that run in
 * processes of their own it is memory where these can look, so nothing is copied again. */
#ifndef TRP_GATHER_ROOM_H
#define TRP_GATHER_ROOM_H

#include "memory/account.h"
#include "tensor/commons.h"

struct trp_gather_room {
    const struct trp_alloc *alloc;
    void *spare; /* kept from run to run */
    uint64_t spare_bytes;
    struct trp_commons *commons;
    struct trp_plot *spare_plot; /* the same, there */
};

struct trp_gathered { /* zero: nothing */
    void *ptr;
    struct trp_account *account;
    uint64_t charged_bytes;       /* beside what `from` charges */
    const struct trp_alloc *from; /* NULL: it is a plot */
    struct trp_commons *commons;
    struct trp_plot *plot;
};

/* Sets up one that has nothing.
 *   Owns  : the caller's storage; deinit when all was given back; `alloc` is borrowed.
 *   Thread: owner.
 *   Errors: none. */
void trp_gather_room_init(struct trp_gather_room *r, const struct trp_alloc *alloc);
void trp_gather_room_deinit(struct trp_gather_room *r);

/* Takes `bytes`, aligned to 64, in an account's name; from the commons where there are any (not
 * NULL) and they have room.  One at a time, but for what was kept.
 *   Units : bytes.
 *   Owns  : the caller gives it back, or keeps it; commons and account are borrowed until then,
 *           commons until deinit.
 *   Thread: owner.
 *   Errors: false: the account refuses, or there is no memory. */
bool trp_gather_room_take(struct trp_gather_room *r, struct trp_commons *commons,
                          struct trp_account *account, uint64_t bytes, struct trp_gathered *out);

/* Gives it back; or keeps it: somebody looks at it after the run, and gives it back with no room
 * (NULL), on any thread.
 *   Owns  : give: `g` is nothing afterwards.
 *   Thread: owner; give with no room: any.
 *   Errors: none. */
void trp_gather_room_give(struct trp_gather_room *r, struct trp_gathered *g);
void trp_gather_room_keep(struct trp_gather_room *r, const struct trp_gathered *g);

#endif

/* tensor/yard.h - pieces of memory that two processes share.
 * Answers "where does a tensor lie that another process must see?".  One of the two owns a yard and
 * hands out its plots; what it knows of them is in its own memory, so whatever the other one
 * writes into the yard does no harm here. */
#ifndef TRP_YARD_H
#define TRP_YARD_H

#include "base/shm.h"
#include "base/thread.h"

#define TRP_YARD_BINS 152u

struct trp_plot {
    char *ptr;
    uint64_t at, bytes;     /* in the yard; as many as were asked for, or some more */
    struct trp_plot *next;  /* of those of its size that are free */
    struct trp_plot *below; /* the one that lies in front of it */
    uint32_t bin;
    bool is_free;
    bool is_stale;     /* free since the trim before */
    bool is_forgotten; /* its pages were given back */
};

/* Why there is no plot. */
enum trp_yard_lack {
    TRP_YARD_LACKS_HEAP,  /* for what is known of it */
    TRP_YARD_LACKS_ROOM,  /* until others are given back */
    TRP_YARD_IS_TOO_SMALL /* for ever */
};

struct trp_yard {
    struct trp_shm shm;
    struct trp_counter taken;   /* bytes of plots that are in somebody's hands */
    struct trp_counter refused; /* how often there was no room */
    struct trp_lock lock;
    struct trp_plot *free[TRP_YARD_BINS];
    uint64_t floor;        /* nobody gives back what lies in front of it */
    struct trp_plot *last; /* all others lie in front of it */
};

/* Sets up over shared memory; deinit closes that.
 *   Owns  : shm moves to the yard; deinit when nobody looks at it any more, plots that were not
 *           given back included.
 *   Thread: owner.
 *   Errors: none. */
void trp_yard_init(struct trp_yard *y, const struct trp_shm *shm);
void trp_yard_deinit(struct trp_yard *y);

/* Takes a plot of `bytes` or more, aligned to 64, and to a page where it has one or more; gives it
 * back.
 *   Units : bytes.
 *   Owns  : the caller gives it back.
 *   Thread: any.
 *   Cost  : the plot of that size that was given back last, when there is one: its pages are warm.
 *           Where addresses run out, a walk through those that are free.
 *   Errors: NULL: the yard is full, or there is no memory; try: *out_lack says which, and is
 *           else as it was. */
struct trp_plot *trp_yard_take(struct trp_yard *y, uint64_t bytes);
struct trp_plot *trp_yard_try(struct trp_yard *y, uint64_t bytes, enum trp_yard_lack *out_lack);
void trp_yard_give(struct trp_yard *y, struct trp_plot *plot); /* accepts NULL */

/* Says that a plot stays taken as long as the yard lives.
 *   Owns  : moves to the yard.
 *   Thread: any.
 *   Errors: none. */
void trp_yard_keep(struct trp_yard *y, const struct trp_plot *plot);

/* Gives the pages of plots back to the system that were free since the last time.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
void trp_yard_trim(struct trp_yard *y);

/* Where an address lies in the yard; whether a range does at all.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: false: not, or not whole. */
bool trp_yard_find(const struct trp_shm *shm, const void *ptr, uint64_t bytes, uint64_t *out_at);
bool trp_yard_has(const struct trp_shm *shm, uint64_t at, uint64_t bytes);

#endif

/* residence/guest.h - a model that may be in memory, and its times there.
 * Answers "how often is it asked for, and what does it hold?".  A guest is a model, known also while it is out.  A stay is one
 * version's time in memory, from the wish to load it until its memory is back:
 *
 *     OUT - expect -> WAITING - admit -> COMING - settle -> IN - leave -> LEAVING - end -> OUT
 *
 * Each stay holds in the ledger what it alone has; blobs that several have are held once.
 * Who is let in is decided by residence.c. */
#ifndef TRP_GUEST_H
#define TRP_GUEST_H

#include "memory/eviction.h"
#include "memory/ledger.h"
#include "memory/rate.h"
#include "model/stats.h"
#include "residence/shares.h"

struct trp_residence;

enum trp_stay_state {
    TRP_STAY_OUT,
    TRP_STAY_WAITING, /* for room */
    TRP_STAY_COMING,  /* being loaded */
    TRP_STAY_IN,
    TRP_STAY_LEAVING /* its memory is not back yet */
};

struct trp_stay { /* zero it before first use */
    struct trp_guest *guest;
    struct trp_stay *next; /* of the guest */
    enum trp_stay_state state;
    struct trp_amounts own;    /* what it alone has: estimated, then measured */
    struct trp_amounts extra;  /* what it needs besides while it loads */
    struct trp_share **shares; /* what it has in common with others */
    uint32_t shares_n;
    struct trp_hold hold;
    const struct trp_stats *stats; /* of the version; may be NULL */
    uint64_t counted;              /* of its answers, those that are in the guest's rate */
};

/* What a model's files were measured to take, plain and mapped. */
struct trp_measured {
    uint64_t digest;    /* of the files; 0: nothing was measured */
    uint64_t bytes[2];  /* of its own, [is mapped]; 0: not known */
    int64_t load_ns[2]; /* as above */
};

/* How a guest stands should room be wanted, as of the last trp_residence_rank(). */
struct trp_prospect {
    bool is_known; /* it is in memory; else the rest says nothing */
    enum trp_standing standing;
    uint32_t next;        /* so many-th to go, from 1; 0: it may not, or many go before it */
    double per_s;         /* how often it is asked for */
    double score;         /* the least goes first; INFINITY: alone it frees nothing */
    uint64_t frees_bytes; /* if it alone went */
};

struct trp_guest {
    struct trp_residence *residence;
    struct trp_guest *next, *prev; /* among those who have stays */
    struct trp_stay *stays;
    struct trp_str name; /* borrowed from the model that owns it */
    void *owner;         /* for `evict`; NULL: it has gone, and the rest is leaving */
    uint64_t id;
    uint32_t refs;
    struct trp_rate rate;  /* of answers */
    int64_t loaded_ns;     /* when it came last */
    int64_t safe_until_ns; /* kept until then; 0: no such promise */
    int64_t reload_ns;     /* what loading it takes; 0: not known */
    double weight;         /* of its requests; 0: as 1 */
    struct trp_measured measured;
    struct trp_prospect prospect;
    bool is_pinned;
    bool is_held; /* something is being done with it: not now */
};

/* Makes a guest of a model; its model lets it go, and so does each stay.
 *   Owns  : counted, one reference; `name` outlives `owner`'s part in it, which trp_guest_part() ends.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_guest_create(struct trp_residence *r, struct trp_str name, void *owner,
                            struct trp_guest **out_guest, struct trp_error *err);
void trp_guest_part(struct trp_guest *g); /* accepts NULL; it will not come again */

/* What one version will take: of its own, while it loads besides, and blobs that others may have too.
 *   Owns  : names are borrowed.
 *   Thread: control.
 *   Errors: see trp_stay_expect(). */
struct trp_piece {
    const char *name;
    uint64_t bytes;
};
struct trp_size {
    struct trp_amounts own, extra;
    const struct trp_piece *pieces;
    uint32_t pieces_n;
};

/* Begins a stay: it waits, and goes with the guest's next ask.
 *   Owns  : `stay` is the caller's until trp_stay_end(), which is always needed; `size` is copied, `stats` (may be NULL) is
 *           borrowed until then.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY; the stay is OUT then. */
trp_status trp_stay_expect(struct trp_guest *g, struct trp_stay *stay, const struct trp_size *size,
                           const struct trp_stats *stats, struct trp_error *err);

/* It is let in: what it was estimated to need is held from now on.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none; the caller knows that there is room. */
void trp_stay_admit(struct trp_stay *stay);

/* What a stay holds, or will hold, while it is loading.
 *   Units : bytes without those of shares.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
uint64_t trp_stay_loading_bytes(const struct trp_stay *stay);

/* It is loaded: it has `own` in truth, and shares what it said, or nothing.
 *   Units : load_ns: how long it took without waiting.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none; more than there is counts as it is, and others go for it. */
void trp_stay_settle(struct trp_stay *stay, struct trp_amounts own, bool has_shared,
                     int64_t load_ns);

/* It is about to go (READY no more); all of its memory is back, or was never taken.
 *   Owns  : the stay is its owner's again after the end.
 *   Thread: control.
 *   Errors: none; a stay that is OUT stays out. */
void trp_stay_leave(struct trp_stay *stay);
void trp_stay_end(struct trp_stay *stay);

/* Adds what its versions have answered since the last count to the guest's rate.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_guest_count(struct trp_guest *g);

#endif

/* residence/guest.h - a model that may be in memory, and its times there.
 * Answers "how often is it asked for, and what does it hold?".  A guest is a model, known also
 * while it is out.  A stay is one version's time in memory, from the wish to load it until its
 * memory is back:
 *
 *     OUT - expect -> WAITING - admit -> COMING - settle -> IN - leave -> LEAVING - end -> OUT
 *                        ^                                  | ^
 *                        |                             doze v | rouse
 *                        +--- wake --- ASLEEP <- sleep -- DOZING        (hibernation: it keeps its session, not its pages)
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
    TRP_STAY_DOZING, /* what it has in common with others is being dropped, and what else its
                      * backend gives back */
    TRP_STAY_ASLEEP,
    TRP_STAY_LEAVING /* its memory is not back yet */
};

struct trp_stay { /* zero it before first use */
    struct trp_guest *guest;
    struct trp_stay *next; /* of the guest */
    uint64_t digest;       /* of the version's files; its owner's to set; 0: not said */
    enum trp_stay_state state;
    struct trp_amounts own;    /* what it alone has: estimated, then measured */
    struct trp_amounts extra;  /* what it needs besides while it loads */
    struct trp_share **shares; /* what it has in common with others */
    uint32_t shares_n;
    bool is_sharing;         /* and uses them now */
    bool is_waking;          /* WAITING, COMING: it was ASLEEP */
    struct trp_amounts rest; /* of `own`, what it has while it is asleep; otherwise zero */
    struct trp_hold hold;
    const struct trp_stats *stats; /* of the version; may be NULL */
    uint64_t counted;              /* of its answers, those that are in the guest's rate */
    int64_t left_ns;               /* LEAVING: since when */
};

/* What a version's files were measured to take, plain and mapped. */
#define TRP_MEASURED_MAX 4u
struct trp_measured {
    uint64_t digest;    /* of a version's files; 0: nothing was measured */
    uint64_t bytes[2];  /* of its own, [is mapped]; 0: not known */
    int64_t load_ns[2]; /* as above */
};

/* What is known of a guest's hibernation, which is that of all its versions together; zero:
 * nothing. */
#define TRP_UNFIT_MAX 128
struct trp_sleep {
    bool is_able;        /* its versions can hibernate as they are open now; told by `describe` */
    bool is_unfit;       /* it was tried, and failed, or did not pay */
    uint32_t bad_n;      /* wakes in a row that did not pay */
    int64_t since_ns;    /* when it fell asleep last */
    int64_t wake_ns;     /* what waking takes; 0: not known */
    uint64_t rest_bytes; /* what it has while it is asleep, measured; 0: not known */
    uint64_t of;         /* the sum of their digests: of others nothing is known */
    char why[TRP_UNFIT_MAX]; /* why it is unfit */
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
    struct trp_measured
        measured[TRP_MEASURED_MAX]; /* of its versions, the last one learned first */
    struct trp_sleep sleep;
    struct trp_prospect prospect;
    bool is_pinned;
    bool is_held;        /* something is being done with it: not now */
    bool is_passed_over; /* clearance.c's own */
};

/* Makes a guest of a model; its model lets it go, and so does each stay.
 *   Owns  : counted, one reference; `name` outlives `owner`'s part in it, which trp_guest_part()
 *           ends.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_guest_create(struct trp_residence *r, struct trp_str name, void *owner,
                            struct trp_guest **out_guest, struct trp_error *err);
void trp_guest_part(struct trp_guest *g); /* accepts NULL; it will not come again */

/* What one version will take: of its own, while it loads besides, and blobs that others may have
 * too.
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
 *   Owns  : `stay` is the caller's until trp_stay_end(), which is always needed; `size` is copied,
 *           `stats` (may be NULL) is borrowed until then.
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

/* What it has, or is expected to have, while it is asleep.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
struct trp_amounts trp_stay_rest(const struct trp_stay *stay);

/* It is loaded: it has `own` in truth, and shares what it said, or nothing.
 *   Units : load_ns: how long it took without waiting.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none; more than there is counts as it is, and others go for it. */
void trp_stay_settle(struct trp_stay *stay, struct trp_amounts own, bool has_shared,
                     int64_t load_ns);

/* Hibernation.  doze: what it does not need while it sleeps is about to be given back; rouse: it is
 * not, and all is as before; sleep: it has been, and `rest` is what it has now.  wake: it waits for
 * room again, with the guest's next ask; sleep_on: it does not get it; awake: it is IN again.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none; in another state than the drawing's nothing happens. */
void trp_stay_doze(struct trp_stay *stay);
void trp_stay_rouse(struct trp_stay *stay);
void trp_stay_sleep(struct trp_stay *stay, struct trp_amounts rest);
void trp_stay_wake(struct trp_stay *stay);
void trp_stay_sleep_on(struct trp_stay *stay);
void trp_stay_awake(struct trp_stay *stay);

/* Learns from a wake that has ended well.  Loading again takes the load and then the same pages
 * that waking takes, at its first run; so waking costs at most half of that when it takes no longer
 * than the load alone.  True: it does not pay, for the second time in a row, and the guest is unfit
 * from now on.
 *   Units : ns, for all its versions.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none.
 *   Source: measured by bench/run wake_bert_base. */
bool trp_guest_learn_wake(struct trp_guest *g, int64_t wake_ns);

/* It is not to hibernate again as long as its files are the same; says why, when that was so of
 * what is in memory now, else NULL.
 *   Owns  : copied; the guest's.
 *   Thread: control.
 *   Errors: none; cut to TRP_UNFIT_MAX. */
void trp_guest_spoil_sleep(struct trp_guest *g, const char *why);
const char *trp_guest_unfit(struct trp_guest *g);

/* Whether it had better hibernate than go: it can, as far as is known it pays, and what it keeps is
 * small beside what it gives back.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
bool trp_guest_may_sleep(struct trp_guest *g);
bool trp_guest_is_asleep(const struct trp_guest *g); /* each of its stays that is there */

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

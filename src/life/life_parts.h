/* life/life_parts.h - what the files of this room share.
 * Answers "who decides what?".  Everything here belongs to the control thread.  Private to this room.
 *
 *   life.c     what others may ask; publishing; answering; the end
 *   rescan.c   what the repository holds now, against what was taken up
 *   member.c   one model: its orders one after the other, what serves and what is shown
 *   change.c   one set of versions on its way to READY, all or none
 *   survey.c   what a model that is not loaded would take and give
 *   cold.c     who waits for a model that is not loaded; letting one go
 *   backoff.c  when a load that failed is tried again
 *   idle.c     who has not been asked for longer than its keep_alive
 *   keeping.c  what an operator says of who stays
 *   presence.c who is in memory, for whoever asks (presence.h)
 *   backlog.c  who is loaded by itself, a few at a time
 *   tenure.c   a version object from its making to its burial
 *   preparer.c makes what the next load maps
 *   verifier.c reads the store, slowly (verifier.h)
 *   labelling.c which labels stand for which versions
 *   set.c      some versions of one model, each with a reference (set.h)
 *   watcher.c  when to look again (watcher.h) */
#ifndef TRP_LIFE_PARTS_H
#define TRP_LIFE_PARTS_H

#include "base/table.h"
#include "exec/waiting.h"
#include "life/catalog.h"
#include "life/labelling.h"
#include "life/loading.h"
#include "life/presence.h"
#include "life/set.h"

struct trp_watcher;
struct trp_verifier;

/* One thing to be done for one model; done one after the other, in order of arrival. */
struct trp_op {
    enum {
        TRP_OP_LOAD,   /* an operator's order, or a name of load_at_start: look, then load */
        TRP_OP_UNLOAD, /* an operator's order */
        TRP_OP_LABEL,  /* an operator's order */
        TRP_OP_KEEP,   /* an operator's order: pin, unpin, evict */
        TRP_OP_TAKE,   /* its files are new or have changed: `found` says how they are now */
        TRP_OP_LEAVE,  /* its files are gone */
        TRP_OP_MEND    /* what it had mapped is gone: look, then load what is damaged */
    } kind;
    struct trp_order *order;     /* NULL: nobody waits */
    struct trp_catalog *catalog; /* one reference; NULL: not looked yet */
    const struct trp_repo_model *found;
    bool is_wanted;  /* TAKE: should be loaded, unless an operator unloaded it */
    bool is_first;   /* one of the loads that the start waits for */
    bool is_by_call; /* LOAD: calls wait for it */
    bool is_backlog; /* LOAD: from the backlog */
    struct trp_op *next;
};

struct trp_change;

struct trp_member {
    struct trp_life *life;
    struct trp_member *next, *prev; /* in life->members */
    struct trp_str name;
    struct trp_op *first, **end; /* waiting */
    struct trp_op *op;           /* being done */
    bool running;
    struct trp_set serving; /* READY */
    struct trp_set shown;   /* what the index shows while nothing serves: LOADING, FAILED or NEW */
    struct trp_change *change;
    struct trp_labelling labelling,
        next_labelling; /* what holds; what will, when its change ends well */
    const char *
        reason; /* why nothing serves, or why newer files do not; NULL: neither; see trp_member_say() */
    bool wanted;         /* should be READY */
    bool held_back;      /* an operator unloaded it: only an operator loads it again */
    bool is_present;     /* the repository has it */
    bool is_unsettled;   /* wanted, and not READY */
    bool is_stale;       /* memory was short: the registry does not show it as it is */
    uint64_t taken;      /* digest of the files taken up last, for good or ill; 0: none */
    uint64_t pending;    /* digest seen since, waiting until it settles; 0: none */
    int64_t pending_ns;  /* since when */
    uint32_t round;      /* of the last listing that had it */
    uint32_t looked;     /* listings_n when an order found it */
    uint32_t surveys_n;  /* jobs out that look at its files */
    uint32_t survey_key; /* results of older surveys are dropped */
    struct {             /* waits for its turn to be surveyed */
        struct trp_catalog *catalog; /* one reference; NULL: it does not wait */
        const struct trp_repo_model *found;
        struct trp_member *next;
    } survey;
    struct trp_order *askers; /* wait until nobody looks at its files any more */
    bool has_asked;           /* for them: what was known was not enough */

    /* loading by demand */
    struct trp_waiting *room;    /* where its calls wait */
    enum trp_load_policy policy; /* of its files, as is the next */
    struct trp_keeping keeping;
    bool on_demand; /* a call has it loaded */
    bool
        was_let_go; /* it was loaded, and went by itself: a call has it loaded, whatever its policy */
    bool is_pinned;     /* an operator loaded it to stay */
    bool is_unpinned;   /* an operator said that it may go, whatever its configuration says */
    bool is_overridden; /* what serves came with an order: nothing could load it again */
    bool has_stay;      /* an operator said how long it stays: stay_ns */
    int64_t stay_ns;
    struct trp_timer idle_timer, retry_timer;
    int64_t retry_ns; /* the pause after the last failure; 0: the last load went well */
    bool in_backlog;
    struct trp_member *backlog_next;
};

struct trp_gone { /* a model that was let go */
    char *name, *why;
    int64_t at_ns;
};

struct trp_life {
    const struct trp_alloc *alloc;
    struct trp_life_opts opts;
    struct trp_loading_env env;
    struct trp_matched matched;
    struct trp_stats cold_stats; /* calls to versions that were not loaded, all together */
    struct trp_registry *registry;
    struct trp_loaders *loaders;
    struct trp_loaders *preparers; /* NULL: no store */
    struct trp_verifier *verifier; /* NULL: none */
    struct trp_blob_uses *uses;
    bool watches_blobs;            /* see base/map_loss.h */
    uint64_t watches_repositories; /* a bit each */
    struct trp_watcher *watcher;
    struct trp_table *names; /* name -> member */
    struct trp_member *members;
    uint32_t versions_n; /* objects that live */
    struct trp_gone gone[TRP_DEPARTURES_MAX];
    uint64_t gone_n; /* so far; the last ones are in `gone` */

    /* publishing and answering */
    bool is_dirty;
    uint32_t stale_n; /* members to be shown again */
    struct trp_task publish_task;
    struct trp_timer lazy_timer;
    struct trp_order *answers, **answers_end; /* epoch 0: not published yet */

    /* listing */
    bool is_listing, list_again, again_is_watched, is_watched;
    uint32_t round;
    uint32_t listings_n; /* that have begun */
    struct {             /* a listing that is being taken up */
        struct trp_mail mail;
        struct trp_catalog *catalog; /* one reference; NULL: none is */
        uint32_t next;               /* of its models; then of */
        struct trp_member *member;   /* those that it may lack */
        bool is_unsettled;
    } taking;
    struct trp_order *rescans, **rescans_end;   /* wait for the next listing */
    struct trp_order *listings, **listings_end; /* wait for the one that runs */

    /* surveys and loads that go on by themselves */
    struct trp_member *surveys, **surveys_end;
    uint32_t surveyed_n; /* since the heap was trimmed */
    bool is_trimming;
    struct trp_job heap_job;
    struct trp_member *backlog, **backlog_end;
    uint32_t surveys_out, backlog_out;

    /* preparing */
    struct preparing *preparings; /* under way, see preparer.c */
    struct trp_flag stop_preparing;
    struct trp_timer heat_timer;

    /* memory of runs */
    struct trp_timer trim_timer;
    struct trp_job trim_job;

    /* the start and the end */
    bool has_listed;
    uint32_t first_n; /* first loads that have not ended */
    uint32_t unsettled_n;
    struct trp_flag started, settled;
    bool is_stopping;
    struct trp_task stopped_task;
    void (*stopped)(void *user);
    void *stopped_user;
};

/* ---- life.c ---- */

/* Puts what stands behind a name into the next snapshot (`lazy`: it may wait some 25 ms for company), or takes it out.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: logged; the registry stays as it was (hide: false), and all is tried again before anybody is answered. */
void trp_life_show(struct trp_member *m, bool lazy);
bool trp_life_hide(struct trp_member *m);

/* Answers an order once every reader has seen what it changed, never from inside the call.
 *   Owns  : moves the order back to its owner then.
 *   Thread: control.
 *   Errors: in order->error. */
void trp_life_answer(struct trp_life *l, struct trp_order *order);

/* Something ended: is the start over, is all ready, is the end reached?
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_life_check(struct trp_life *l);

/* ---- trimmer.c ---- */

/* Begins to ask the backends every opts.trim_ns for what runs left behind; stops asking.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: logged: memory then stays with the models until they leave. */
void trp_trimmer_start(struct trp_life *l);
void trp_trimmer_stop(struct trp_life *l);

/* ---- change.c ---- */

/* Loads what `found` has and replaces what serves; ends in trp_member_finish().
 *   Owns  : takes a reference of the catalog.
 *   Thread: control.
 *   Errors: by trp_member_finish(). */
void trp_change_begin(struct trp_member *m, struct trp_catalog *catalog,
                      const struct trp_repo_model *found, bool is_forced);

/* Makes the loads in hand give up.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_change_cancel(struct trp_change *c);

/* ---- rescan.c ---- */

/* Lists the repository, now or as soon as the running listing has ended.  `is_watched`: changes are taken up only
 * when they have settled.
 *   Owns  : `order` (may be NULL) is answered by it.
 *   Thread: control.
 *   Errors: in the order, and logged. */
void trp_rescan_begin(struct trp_life *l, bool is_watched, struct trp_order *order);

#endif

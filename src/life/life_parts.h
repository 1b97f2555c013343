/* life/life_parts.h - what the files of this room share.
 * Answers "who decides what?"; README.md says which file does.  Control's; private to this room. */
#ifndef TRP_LIFE_PARTS_H
#define TRP_LIFE_PARTS_H

#include "base/table.h"
#include "exec/waiting.h"
#include "life/catalog.h"
#include "life/labelling.h"
#include "life/loading.h"
#include "life/presence.h"
#include "life/scaling.h"
#include "life/set.h"
#include "repo/steady.h"
#include "residence/residence.h"

struct trp_verifier;
struct trp_change;

/* One thing to be done for one model; done one after the other, in order of arrival. */
struct trp_op {
    enum {
        TRP_OP_LOAD,   /* an operator's order, or a name of load_at_start: look, then load */
        TRP_OP_UNLOAD, /* an operator's order */
        TRP_OP_LABEL,  /* an operator's order */
        TRP_OP_KEEP,   /* an operator's order: pin, unpin, evict, scale */
        TRP_OP_TAKE,   /* its files are new or have changed: `found` says how they are now */
        TRP_OP_LEAVE,  /* its files are gone */
        TRP_OP_MEND,   /* what it had mapped is gone: look, then load what is damaged */
        TRP_OP_SLEEP,  /* its doors are shut: hibernation.c */
        TRP_OP_WAKE    /* somebody wants it that is hibernated */
    } kind;
    struct trp_order *order;     /* NULL: nobody waits */
    struct trp_catalog *catalog; /* one reference; NULL: not looked yet */
    const struct trp_repo_model *found;
    bool is_wanted;  /* TAKE: should be loaded, unless an operator unloaded it */
    bool is_first;   /* one of the loads that the start waits for */
    bool is_by_call; /* LOAD, WAKE: calls wait for it */
    bool is_woken; /* an order for what is hibernated: it has been woken for it, or could not be */
    bool is_backlog; /* LOAD: from the backlog */
    struct trp_op *next;
};

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
    struct trp_labelling labelling, next_labelling; /* what holds; what will, when a change ends */
    struct trp_scaling scaling;
    const char *reason;      /* why nothing serves, or why newer files do not; NULL: neither */
    bool wanted;             /* should be READY */
    bool held_back;          /* an operator unloaded it: only an operator loads it again */
    bool is_refused;         /* `reason` is of a load that was asked for */
    bool is_present;         /* the repository has it */
    bool is_unsettled;       /* wanted, and not READY */
    bool is_unfit;           /* its newest files were held back for what is made of it */
    bool is_stale;           /* memory was short: the registry does not show it as it is */
    uint64_t taken;          /* digest of the files taken up last, for good or ill; 0: none */
    uint64_t warned;         /* of files and their warnings, when these were logged last */
    uint64_t warned_devices; /* the same of what asked for devices in vain */
    struct trp_steady found; /* seen since, and waiting until it settles */
    uint32_t round;          /* of the last listing that had it */
    uint32_t looked;         /* listings_n when an order found it */
    uint32_t surveys_n;      /* jobs out that look at its files */
    uint32_t survey_key;     /* results of older surveys are dropped */
    struct trp_guest *guest; /* in memory, or was once; NULL: never */
    struct trp_sequencer *sequencers; /* of its newest version; each knows the one before it */
    struct {                          /* waits for its turn to be surveyed */
        struct trp_catalog *catalog;  /* one reference; NULL: it does not wait */
        const struct trp_repo_model *found;
        struct trp_member *next;
    } survey;
    struct trp_order *askers; /* wait until nobody looks at its files any more */
    bool has_asked;           /* for them: what was known was not enough */

    /* loading by demand */
    struct trp_waiting *room;    /* where its calls wait */
    enum trp_load_policy policy; /* of its files, as is the next */
    struct trp_keeping keeping;
    bool on_demand;       /* a call has it loaded */
    bool was_let_go;      /* it went by itself: a call has it loaded, whatever its policy */
    struct trp_gone went; /* when it was let go, hibernated or not let in, last; without a name */
    bool is_pinned;       /* an operator loaded it to stay */
    bool is_unpinned;     /* an operator said that it may go, whatever its configuration says */
    bool is_last_copy;    /* what serves has no files any more but some that do not load */
    struct trp_set older; /* cold; served when it was let go, beside newer files that do not load */
    struct trp_set before; /* cold; in the index before files were found that may not fit */
    bool is_overridden;    /* what serves came with an order: nothing could load it again */
    bool has_stay;         /* an operator said how long it stays: stay_ns */
    int64_t stay_ns;
    struct trp_timer idle_timer, retry_timer;
    int64_t retry_ns; /* the pause after the last failure; 0: the last load went well */
    bool in_backlog;
    struct trp_member *backlog_next;
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
    bool watches_blobs;              /* see base/map_loss.h */
    uint64_t watches_repositories;   /* a bit each */
    struct trp_residence *residence; /* NULL: there is room for anything */
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
    struct trp_call_list homeward; /* calls whose waiting has ended */
    struct trp_task homeward_task;

    /* preparing */
    struct preparing *preparings; /* in order, one of them under way; see preparer.c */
    struct heating *heatings;     /* trials that are under way; see heat.c */
    struct trp_timer preparing_timer, heat_timer, trial_timer;
    struct trp_flag stop_preparing;

    /* memory of runs */
    struct trp_timer trim_timer;
    struct trp_job trim_job;

    /* the start and the end */
    bool has_listed, is_stopping;
    uint32_t first_n, unsettled_n; /* first loads that have not ended; models that is_unsettled */
    struct trp_flag started, settled, listed;
    struct trp_order first_listing; /* raises `listed` */
    struct trp_task stopped_task;
    void (*stopped)(void *user);
    void *stopped_user;
};

/* ---- life.c ---- */

/* Puts what stands behind a name into the next snapshot (`lazy`: it may wait some 25 ms for
 * company), or takes it out.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: logged; the registry stays (hide: false); tried again before anybody is answered. */
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

/* ---- member.c ---- */

/* Finds a model by name, or makes an empty one.
 *   Owns  : borrowed from life; gone when nothing is left of it.
 *   Thread: control.
 *   Errors: NULL: absent; out of memory or over limits.models. */
struct trp_member *trp_member_get(struct trp_life *l, struct trp_str name);
struct trp_member *trp_member_make(struct trp_life *l, struct trp_str name);

/* Sets the reason to what `a` and `b` say together; both NULL: there is none.
 *   Owns  : copied.
 *   Thread: control.
 *   Errors: without memory for it, the reason is that. */
void trp_member_say(struct trp_member *m, const char *a, const char *b);

/* Queues an op and does it when its turn has come.
 *   Owns  : `op` is copied; its reference to the catalog moves.
 *   Thread: control.
 *   Errors: false: an order is answered with OUT_OF_MEMORY; otherwise logged. */
bool trp_member_push(struct trp_member *m, const struct trp_op *op);

/* Does what waits for its turn, when nothing is in hand; looks after the calls that wait for it.
 *   Owns  : `m` may be gone afterwards.
 *   Thread: control.
 *   Errors: none. */
void trp_member_go_on(struct trp_member *m);

/* The op in hand has ended: answers its order, goes on with the next.
 *   Owns  : `err` is copied.
 *   Thread: control.
 *   Errors: none. */
void trp_member_finish(struct trp_member *m, const struct trp_error *err);

/* What was found cannot be used: what serves goes on, the index says why, and the op has failed.
 *   Owns  : `why` is copied.
 *   Thread: control.
 *   Errors: none. */
void trp_member_refuse(struct trp_member *m, const struct trp_error *why);

/* Shows it anew and counts it as settled or not.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_member_show(struct trp_member *m);

/* Gives a model up when the server ends, and forgets it when nothing is left.
 *   Owns  : `m` may be gone afterwards.
 *   Thread: control.
 *   Errors: none. */
void trp_member_stop(struct trp_member *m);
void trp_member_tidy(struct trp_member *m);

#endif

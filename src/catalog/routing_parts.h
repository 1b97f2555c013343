/* catalog/routing_parts.h - what the files share that routing is made of.
 * Answers "how far is a reading, and who goes on with it?".  Control's; private to this room. */
#ifndef TRP_ROUTING_PARTS_H
#define TRP_ROUTING_PARTS_H

#include "catalog/declared.h"
#include "catalog/known_names.h"
#include "catalog/routing.h"
#include "catalog/settled_folders.h"
#include "catalog/settling.h"
#include "route/key_list.h"

struct look { /* a model whose files are looked into before the check */
    struct trp_order order;
    struct trp_routing *routing;
};

#define TRP_ROUTING_UNASKED UINT32_MAX /* of names_n: whatever their number, ask */

struct trp_routing {
    const struct trp_alloc *alloc;
    struct trp_routing_opts opts;
    struct trp_routing_life life;
    const struct trp_snapshot *snapshot; /* the newest; NULL: none yet */

    uint64_t taken;                        /* digest of what was read last */
    uint64_t hidden;                       /* digest of the models that a route hides */
    bool is_refused, is_at_work, is_stale; /* stale: listed again meanwhile */
    bool is_closing, is_stopped;
    struct trp_settling settling;
    struct trp_settled_folders *folders;
    struct trp_timer settle_timer;
    bool is_unsettled;           /* routes.yaml was not whole when it was looked at last */
    bool has_unsettled;          /* folders that wait; whoever has asked does not wait for them */
    bool has_suspects;           /* folders, by the check at work */
    struct trp_error trouble;    /* of the last reading */
    struct trp_route_file *file; /* that serves */
    struct trp_cookbook *book;   /* the same */
    bool has_file;    /* routes.yaml serves, too: something is written there, and it was right */
    uint64_t verdict; /* of what serves: what was written, and what of it was left out, and why */
    uint32_t names_n; /* of models, when compositions were last asked whether theirs are there */

    struct trp_arena arena; /* of the reading that is at work */
    struct trp_declared declared;
    struct trp_key_reading reading; /* the files of its lists; kept open while it is at work */
    struct trp_mail reading_mail;
    struct trp_route_file *next; /* that it has read */
    struct trp_cookbook *next_book;
    struct look *looks;
    uint32_t looks_n, looks_out;

    struct trp_order rescan; /* for requests */
    bool is_rescanning;
    struct trp_routing_order *waiting, *asked; /* for the reading at work; for the next rescan */
    struct trp_routing_order *loaded; /* all its models; judged when the reading at work ends */
};

/* ---- routing.c ---- */

/* Of the reading that is at work, or else of those that serve. */
struct trp_known_names trp_routing_names(const struct trp_routing *r);
bool trp_routing_is_of_file(const struct trp_routing *r, struct trp_str place);

/* A line of the log for each of the text's, or the caret would point at nothing. */
void trp_routing_log(const struct trp_routing *r, enum trp_log_level level, const char *lead,
                     const char *text);

/* The next steps: the lists are open; all models that are named were looked at; another look at
 * the repository, if none is under way. */
void trp_routing_read(struct trp_routing *r);
void trp_routing_conclude(struct trp_routing *r);
void trp_routing_rescan(struct trp_routing *r, bool is_patient);

/* ---- reading.c: from texts to r->next and r->next_book ---- */

trp_status trp_reading_open_lists(struct trp_routing *r, struct trp_error *err);
trp_status trp_reading_read(struct trp_routing *r, struct trp_error *err);
void trp_reading_drop(struct trp_routing *r); /* what was read */

/* While nothing of routes.yaml serves, folders do not wait until it is right; false: `err` is not
 * to be helped in this way. */
bool trp_reading_leave_file_out(struct trp_routing *r, struct trp_error *err);

/* ---- looks.c: models that are named, looked into before the check ---- */

/* trp_routing_conclude() follows when all have answered, perhaps at once. */
trp_status trp_looks_begin(struct trp_routing *r, struct trp_error *err);

/* ---- uptake.c: what was read is checked, and takes the place of what serves ---- */

/* Taken up, unless it fails or folders are suspected.  ALREADY_EXISTS: *out_is_anybody_out says
 * whether some folders gave way. */
trp_status trp_uptake_try(struct trp_routing *r, bool *out_is_anybody_out, struct trp_error *err);

/* What serves under the name of a folder, and goes on when that is left out; NULL: nothing. */
struct trp_target *trp_uptake_kept(const struct trp_routing *r,
                                   const struct trp_declared_folder *folder);

/* ---- suspects.c: folders that the check has found wrong ---- */

/* trp_route_check.spare: `user` is the routing. */
bool trp_suspects_spare(void *user, struct trp_str name, const struct trp_error *why);
void trp_suspects_leave_out(struct trp_routing *r);
void trp_suspects_forget(struct trp_routing *r);

/* ---- watched_rules.c ---- */

/* The load of each model that a rule or condition names is kept from now on, or is not wanted any
 * more; NULL: of none. */
trp_status trp_watched_rules_set(const struct trp_routing *r, const struct trp_route_file *f,
                                 const struct trp_cookbook *book, bool is_wanted,
                                 struct trp_error *err);

/* ---- doubts.c: what serves, against models that came and went ---- */

void trp_doubts_look(struct trp_routing *r);
void trp_doubts_look_at_names(struct trp_routing *r); /* as at a listing */

/* ---- askers.c: whoever has asked for a reload ---- */

/* They are answered, or ask again, where what they asked about was not looked at.
 * `failure`: the files could not even be listed; NULL: they were. */
void trp_askers_settle(struct trp_routing *r, const struct trp_error *failure);

/* Those whose models were loaded meanwhile. */
void trp_askers_judge_loaded(struct trp_routing *r);

#endif

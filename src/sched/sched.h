/* sched/sched.h - which waiting call runs next.
 * Answers "when does it run?".  Pure: no threads, no clock, no I/O; whoever owns a scheduler brings
 * the lock and the time (exec/runqueue.c, or a test or simulator, which replays it exactly).
 *
 *  1. Between classes: interactive before normal before batch; but a class that waits is owed its
 *     floor of all work done meanwhile, and goes first once it is owed its next call.
 *  2. In a class: the tenant that had least work for its weight.  A tenant's calls: earliest
 *     deadline, then arrival, across models as within one.  What a call asks others (steps,
 *     members, targets) stands where the first of it stood.
 *  3. A model (version) runs at most `slots` calls at once; while it does, its calls wait without
 *     standing in the way of other models'.
 *  4. A call whose deadline has passed is never handed out: trp_sched_expire() takes it first.
 *  5. A model whose next call found no room stands aside with all its calls until it is unblocked.
 *  6. A call that nobody waits for (call->is_aside) goes after all others, alone, and only while
 *     its owner lets such calls go.
 *  7. How many wait is bounded, in all and for each model; shedding.h says who makes room.
 *  8. Nothing is allocated: calls, models and tenants bring their own links. */
#ifndef TRP_SCHED_H
#define TRP_SCHED_H

#include "call/call.h"
#include "sched/sorted.h"

#define TRP_SCHED_CLASSES 3               /* the most urgent first: trp_sched_way_of() */
#define TRP_SCHED_ASIDE TRP_SCHED_CLASSES /* and behind them what nobody waits for */
#define TRP_SCHED_WAYS (TRP_SCHED_ASIDE + 1)

/* What a tenant has waiting in one class. */
struct trp_sched_lane {
    struct trp_queue_node node, load_node; /* among the class's lanes: that may run; that wait */
    struct trp_pairing shown;              /* flows that may run, by their first call */
    struct trp_queue_flow *flows;          /* all that wait, the one with the newest call first */
    struct trp_sched_tenant *tenant;
    int64_t time_ns, since; /* work done for it by its weight; order among equals */
    int64_t work_ns;        /* likely cost of what waits */
    int64_t load_seen;      /* calls by its weight, as `loads` is ordered by */
    uint32_t way, queued;
    bool is_in, is_loaded;
};

/* A tenant; lives as long as calls of it wait.  trp_sched_tenant_init() makes it ready. */
struct trp_sched_tenant {
    struct trp_sched_lane lanes[TRP_SCHED_WAYS];
    uint64_t hash; /* no two tenants of a scheduler have the same */
    uint32_t weight;
};

struct trp_sched_class {
    struct trp_pairing lanes; /* that may run, by their time */
    struct trp_pairing loads; /* that wait, most calls for their weight first */
    int64_t time_ns;          /* where newcomers begin, see lane.h */
    uint64_t weights;         /* of all lanes that wait */
    int64_t owed_ns, work_ns; /* by its floor; likely cost of what waits */
    int64_t turns;            /* numbers those that come in */
    uint32_t floor_permille, queued;
};

struct trp_sched {
    struct trp_sched_class classes[TRP_SCHED_WAYS];
    struct trp_sched_tenant anyone; /* of calls without a tenant */
    struct trp_pairing expiry;      /* flows whose first call has a deadline, by it; */
    struct trp_pairing
        aside_expiry;              /* those that nobody waits for apart: they are in nobody's way */
    struct trp_queue_rows resting; /* lines that wait for company, by when that ends */
    struct trp_sched_model *waiting; /* models with a waiting call, whether or not a slot is free */
    uint32_t queued, queue_max, model_queue_max;
    uint32_t blocked; /* models that stand aside */
    bool holds_aside; /* what nobody waits for has to wait; its owner's to say before each look */
    uint32_t tenants;
    int64_t arrivals;
};

/* Calls of a model that may share a run, the same but for their rows.  Zero it, set `model`. */
struct trp_sched_line {
    struct trp_sched_model *model;
    struct trp_sched_line *next, *prev; /* in model->lines */
    struct {
        struct trp_pairing flows; /* by their tenants' time */
        struct trp_queue_flow *tree, *shown;
    } ways[TRP_SCHED_WAYS];
    struct trp_queue_spot rest; /* in `resting` */
    uint64_t rows; /* of all that may share a run: a client names any number of them for one call */
    uint32_t queued, rest_rows;
    bool is_resting, has_rested; /* has_rested: since its last run; it does so once */
};

/* A model's place in a scheduler; lives while calls of it wait or run.  Zero it, set `slots`. */
struct trp_sched_model {
    struct trp_sched_line *lines;          /* with a waiting call */
    struct trp_sched_line own;             /* of calls that were pushed without a line */
    bool is_blocked;                       /* no room for its next run; see trp_sched_put_back() */
    struct trp_sched_model *next, *prev;   /* in `waiting` */
    uint32_t queued, ways[TRP_SCHED_WAYS]; /* of `queued`, in each class */
    uint32_t running;
    uint32_t slots;     /* runs at once; 0: no limit */
    uint32_t queue_max; /* calls that wait; 0: as many as of any model */
};

/* Calls of a model that somebody waits for.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
static inline uint32_t trp_sched_wanted(const struct trp_sched_model *m)
{
    return m->queued - m->ways[TRP_SCHED_ASIDE];
}

/* Sets up an empty scheduler, without floors.
 *   Units : limits in calls; all models together, and one model.
 *   Owns  : the caller's storage; nothing to deinit, but empty it by trp_sched_drain() first.
 *   Thread: owner.
 *   Errors: none. */
void trp_sched_init(struct trp_sched *s, uint32_t queue_max, uint32_t model_queue_max);

/* Sets what share of all work a class gets at least while it waits; all together leave some over.
 *   Units : thousandths; 0: none, whoever is more urgent goes first always.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
void trp_sched_set_floor(struct trp_sched *s, enum trp_priority_class class, uint32_t permille);

/* Makes a tenant ready, whose share is in proportion to its weight, 1 to 1000.
 *   Owns  : the caller's storage, borrowed while calls of it wait.
 *   Thread: owner.
 *   Errors: none. */
void trp_sched_tenant_init(struct trp_sched *s, struct trp_sched_tenant *tenant, uint32_t weight);

/* The class of a number as Triton's clients send it: less is more urgent than `usual`, which 0 is.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
enum trp_priority_class trp_sched_class_of(uint64_t number, uint64_t usual);
uint32_t trp_sched_way_of(enum trp_priority_class class);
uint32_t trp_sched_way_of_call(const struct trp_call *call);

enum trp_sched_push {
    TRP_SCHED_QUEUED,
    TRP_SCHED_FULL,       /* queue_max calls wait already */
    TRP_SCHED_MODEL_FULL, /* as many of this model as may */
};

struct trp_sched_ask {
    struct trp_sched_line *line;
    struct trp_sched_tenant *tenant; /* NULL: nobody in particular */
    int64_t cost_ns;                 /* of its run alone; 0: not known */
    uint32_t rows;                   /* 0: as 1 */
};

/* Queues a call for a model, or for a line of it, a tenant and a cost.
 *   Units : ns, rows.
 *   Owns  : QUEUED moves `call` to the scheduler until it is taken, expired, removed, shed or
 *           drained; model, line and tenant are borrowed as long.
 *   Thread: owner.
 *   Blocks: never.
 *   Cost  : O(log n) amortised, no allocation.
 *   Errors: none; see enum trp_sched_push. */
enum trp_sched_push trp_sched_push(struct trp_sched *s, struct trp_sched_model *model,
                                   struct trp_call *call);
enum trp_sched_push trp_sched_push_as(struct trp_sched *s, const struct trp_sched_ask *ask,
                                      struct trp_call *call);

/* Takes the next call and a slot of its model, for trp_sched_end(); NULL when none may run now.
 *   Owns  : moves the call to the caller; *out_model is borrowed.
 *   Thread: owner.
 *   Cost  : O(log n) amortised.
 *   Errors: none. */
struct trp_call *trp_sched_take(struct trp_sched *s, struct trp_sched_model **out_model);

/* The same in steps, for runs of several calls (batching.h).  next: whose turn it is.  take_turn:
 * its first call, with a slot; the tenant is charged cost_ns (0: the call's own).  mate: who else
 * of the line is next; take_mate: that one, without a slot.
 *   Owns  : the takes move the call to the caller; the rest is borrowed.
 *   Thread: owner.
 *   Cost  : O(log n) amortised.
 *   Errors: next: false, mate: NULL when there is none. */
struct trp_sched_turn {
    struct trp_sched_line *line;
    struct trp_call *call;
    uint32_t way;
};
bool trp_sched_next(struct trp_sched *s, struct trp_sched_turn *out_turn);
void trp_sched_take_turn(struct trp_sched *s, const struct trp_sched_turn *turn, int64_t cost_ns);
struct trp_call *trp_sched_mate(struct trp_sched *s, struct trp_sched_line *line);
void trp_sched_take_mate(struct trp_sched *s, struct trp_call *call, int64_t cost_ns);

/* Shows of a line what may run now, after a change that only the caller knows of (resting.h).
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : O(log n) amortised.
 *   Errors: none. */
void trp_sched_reshow(struct trp_sched *s, struct trp_sched_line *line);

/* Brings a taken call back to where it stood, with the slot of its model: there is no room for its
 * run now.  Its model's calls wait until trp_sched_unblock(), which lets all models that wait so be
 * taken from again.
 *   Owns  : moves the call to the scheduler; it is counted, and neither limit refuses it.
 *   Thread: owner.
 *   Cost  : O(log n) amortised; unblock: O(models with a waiting call).
 *   Errors: none. */
void trp_sched_put_back(struct trp_sched *s, struct trp_sched_model *model, struct trp_call *call);
void trp_sched_unblock(struct trp_sched *s);

/* Brings a taken call back to where it stood, or to a line (NULL: the one it stood in), without a
 * slot: it is to have another run.
 *   Owns  : moves the call to the scheduler; it is counted, and neither limit refuses it.
 *   Thread: owner.
 *   Cost  : O(log n) amortised.
 *   Errors: none. */
void trp_sched_give_back(struct trp_sched *s, struct trp_sched_line *line, struct trp_call *call);

/* Takes a slot for a run that does not come from the queue (on the loop), if one is free and no
 * call of the model waits for it; gives a slot back.
 *   Owns  : the slot is the caller's until trp_sched_end().
 *   Thread: owner.
 *   Errors: false: no slot is free, or others were first. */
bool trp_sched_try_begin(struct trp_sched_model *model);
void trp_sched_end(struct trp_sched *s, struct trp_sched_model *model);

/* Changes how many runs of a model may go on at once; 0: no limit.  Those beyond it go on.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : O(lines of the model), each O(log n) amortised.
 *   Errors: none. */
void trp_sched_resize(struct trp_sched *s, struct trp_sched_model *model, uint32_t slots);

/* Takes one call out whose deadline is at or before now_ns; NULL when there is none.  next_expiry:
 * the first deadline of all that wait, 0 when none has one.
 *   Units : ns, the clock of call->deadline_ns.
 *   Owns  : moves the call to the caller.
 *   Thread: owner.
 *   Cost  : O(log n) amortised; O(1) when nothing has expired.
 *   Errors: none. */
struct trp_call *trp_sched_expire(struct trp_sched *s, int64_t now_ns);
int64_t trp_sched_next_expiry_ns(const struct trp_sched *s);

/* Takes a certain call out; false when it does not wait here (any more).
 *   Owns  : true moves the call to the caller.
 *   Thread: owner.
 *   Errors: none. */
bool trp_sched_remove(struct trp_sched *s, struct trp_call *call);

/* Takes any call out, or any of a model's, for the end, whatever its slots; NULL: none waits.
 *   Owns  : moves the call to the caller.
 *   Thread: owner.
 *   Errors: none. */
struct trp_call *trp_sched_drain(struct trp_sched *s);
struct trp_call *trp_sched_drain_model(struct trp_sched *s, struct trp_sched_model *model);

#endif

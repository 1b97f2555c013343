/* compose/cook_state.h - how far a request has come in its recipe; shared by the cook_ files of
 * this room.
 * Answers "which steps are done, and where do the tensors lie?". */
#ifndef TRP_COOK_STATE_H
#define TRP_COOK_STATE_H

#include "compose/cook.h"
#include "exec/crew.h"

enum trp_cook_state {
    TRP_COOK_WAITS,
    TRP_COOK_RUNS,
    TRP_COOK_DONE,
    TRP_COOK_ABSENT /* it was not wanted, or failed and may */
};

/* A child of a step: one, or one for each row. */
struct trp_cook_part {
    struct trp_call *child;   /* NULL: it is over */
    struct trp_cook_job *job; /* that the child is the maker of, while a helper has it */
    bool is_back;
};

struct trp_cook_job;

/* What one does; constant. */
struct trp_cook_job_kind {
    size_t size; /* of what it is the first member of */
    trp_status (*work)(struct trp_cook_job *j, struct trp_error *err); /* any thread */
    /* On the loop, while the request goes on; the maker is kept or ended then, unless it fails. */
    trp_status (*land)(struct trp_cook_job *j, struct trp_error *err);
};

/* Work of a step that may take long.  It has a copy of all that it looks at, but for the tensors,
 * which stay as long as its maker is not over, and for what the cook's environment says, which
 * stays longer: the request may be answered meanwhile, and the recipe gone. It lies in the
 * maker's arena, as the first member of something larger. */
struct trp_cook_job {
    const struct trp_cook_job_kind *kind;
    const struct trp_cook_env *env;
    struct trp_cook *cook;
    struct trp_call *maker;
    uint32_t step;
    struct trp_pool *pool;             /* the loop's; NULL: there is none, or a helper has it */
    uint64_t copied;                   /* bytes, from one tensor to another */
    struct trp_cook_part only, *parts; /* children that it looks at, and that are over when it is */
    uint32_t parts_n;
    bool lends_names; /* the first of them: it stays as long as the request */
    struct trp_error err;
    struct trp_crew_job errand;
};

struct trp_cook_step {
    enum trp_cook_state state;
    bool has_failed;    /* ABSENT because it failed, or came too late */
    struct trp_str why; /* the same, in words; empty: nobody says */
    struct trp_cook_part one, *parts;
    uint32_t parts_n, out_n, begun_n; /* asked row by row: those that were started */
    int64_t begun_ns;                 /* by the loop's time of that turn */
    const uint64_t *rows;             /* in doubt: only these are asked; NULL: all */
    uint64_t rows_n, rows_all;
};

struct trp_cook {
    const struct trp_recipe *recipe;
    const struct trp_cook_env *env;
    struct trp_call *call;
    struct trp_metrics_shard *metrics; /* the loop's; NULL: nothing is counted */
    struct trp_cook_step *steps;
    const struct trp_call_tensor **tensors; /* NULL: not there (yet) */
    uint64_t needed;                        /* steps; a bit each */
    struct trp_timer timer, row_timer;      /* members are late; further rows are asked */
    bool is_late, is_over, is_told;         /* the last: the call was finished */
    int64_t *rest_ns; /* by step: what follows it; NULL: there is no deadline, or no memory */
    struct trp_error untold; /* why nobody could tell the first unknown condition */
    struct trp_error lost;   /* why the first that may fail did */
};

/* ---- cook.c: which step is next ---- */

/* A step has what it gives (`how` says by whose work), or fails.  A child has come back.  A step's
 * doubt was measured.
 *   Owns  : the child is the cook's again.
 *   Thread: loop.
 *   Errors: none; the request may be over. */
void trp_cook_step_done(struct trp_cook *k, uint32_t step, enum trp_metric how);
void trp_cook_step_failed(struct trp_cook *k, uint32_t step, const struct trp_error *why);
void trp_cook_child_back(struct trp_call *child, void *cook);
void trp_cook_weighed(struct trp_cook *k, uint32_t step, double least);

/* A job is back; the request goes on with what it has made, or without.
 *   Owns  : the job's maker is the cook's again, and over if nobody waits for it.
 *   Thread: loop.
 *   Errors: none; the request may be over. */
void trp_cook_job_back(struct trp_cook_job *j);

/* Fills in what the condition of a step sees: the tensors that it uses and that are there, under
 * the names that the recipe gives them.
 *   Owns  : `seen` is the caller's copy of the call; its inputs have room for all that the step
 *           uses, or are NULL: none is seen.  All is borrowed while the condition is evaluated.
 *   Thread: loop.
 *   Errors: none. */
void trp_cook_see(const struct trp_cook *k, const struct trp_recipe_step *step,
                  struct trp_call *seen, struct trp_facts *out);

/* ---- cook_time.c: until when members are waited for ---- */

/* Reckons how long what follows each step takes, for a request that has a deadline.
 *   Owns  : it lives in the call's arena.
 *   Thread: loop.
 *   Errors: none; without memory nothing is taken to follow. */
void trp_cook_reckon(struct trp_cook *k);

/* When those that a vote or ranking still waits for are late: at its own deadline, or sooner, so
 * that what it makes is sent by the request's.
 *   Units : ns on the monotonic clock; never before a quarter of what is left of the request's time.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
int64_t trp_cook_late_ns(const struct trp_cook *k, uint32_t step, int64_t now_ns);

/* What a child of a step leaves to those above it.  Learns how long a step took that is done, or
 * has taken at least that is given up.
 *   Units : ns.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
int64_t trp_cook_spare_ns(const struct trp_cook *k, uint32_t step);
void trp_cook_learn_time(struct trp_cook *k, uint32_t step);

/* ---- cook_job.c: work of a step ---- */

/* Makes a job, zeroed but for whom it works for, with a maker of `outputs_n` outputs.
 *   Owns  : it is the caller's, who does or drops it; the kind is static.
 *   Thread: loop.
 *   Errors: OUT_OF_MEMORY, as trp_call_child(). */
trp_status trp_cook_job_make(struct trp_cook *k, uint32_t step, uint32_t outputs_n,
                             const struct trp_cook_job_kind *kind, struct trp_cook_job **out_job,
                             struct trp_error *err);

/* Does it here and lands it, or has the crew do it when it works on many `bytes`: then it is the
 * step's only part, and lands in a later turn.
 *   Owns  : moves the job away, whatever happens.
 *   Thread: loop.
 *   Errors: as `work` and `land`; QUEUE_FULL. */
trp_status trp_cook_job_do(struct trp_cook_job *j, uint64_t bytes, struct trp_error *err);

/* Ends the children that it looked at, but for one that lends names; all that it has; the same,
 * because there is no memory for what it needs.
 *   Owns  : moves them, the job away.
 *   Thread: loop.
 *   Errors: starve: OUT_OF_MEMORY, always; the others: none. */
void trp_cook_job_let_go(struct trp_cook_job *j);
void trp_cook_job_drop(struct trp_cook_job *j);
trp_status trp_cook_job_starve(struct trp_cook_job *j, struct trp_error *err);

/* Memory for an output of a job's maker, from the loop's pool while the job is on the loop; or for
 * the time of a call, which the caller frees.
 *   Owns  : memory is the maker's; the caller's.
 *   Thread: any; nobody else works on that job.
 *   Errors: OUT_OF_MEMORY, TOO_LARGE (limits.output_bytes). */
trp_status trp_cook_memory(const struct trp_cook_job *j, struct troupe_tensor *t, uint64_t bytes,
                           struct trp_error *err);
trp_status trp_cook_scratch(const struct trp_cook_env *env, uint64_t bytes, void **out,
                            struct trp_error *err);

/* ---- cook_step.c: a step that asks models ---- */

/* Starts the children of a model's step, of a step that asks row by row some at a time.
 *   Owns  : children are in the step's parts.
 *   Thread: loop.
 *   Errors: as trp_call_child_start(), OUT_OF_MEMORY; the caller drops what was begun. */
trp_status trp_cook_ask(struct trp_cook *k, uint32_t step, struct trp_error *err);
trp_status trp_cook_ask_more(struct trp_cook *k, uint32_t step, struct trp_error *err);

/* All children of a step have come back: its tensors are theirs, or are joined from them.
 *   Owns  : the children are kept, over, or a job's.
 *   Thread: loop.
 *   Errors: BACKEND_FAILED: rows that do not fit together; OUT_OF_MEMORY, TOO_LARGE. */
trp_status trp_cook_take(struct trp_cook *k, uint32_t step, struct trp_error *err);

/* Gives the outputs of a child that has answered the names of classes of whoever answered; a
 * composition has put its own there.
 *   Owns  : they are borrowed from the version, as long as the child is not over.
 *   Thread: loop.
 *   Errors: none. */
void trp_cook_name_classes(struct trp_call *child);

/* What a child has made is the step's.
 *   Owns  : the child is kept.
 *   Thread: loop.
 *   Errors: none. */
void trp_cook_made(struct trp_cook *k, uint32_t step, struct trp_call *maker);

/* ---- cook_op.c, cook_vote.c: steps that need no model ---- */

/* Begins it; short ones are done afterwards.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: as trp_tensor_op_plan() and _run(); trp_vote_run(), trp_rank_lists(); OUT_OF_MEMORY,
 *           QUEUE_FULL. */
trp_status trp_cook_do_op(struct trp_cook *k, uint32_t step, struct trp_error *err);
trp_status trp_cook_do_vote(struct trp_cook *k, uint32_t step, struct trp_error *err);

/* ---- cook_rows.c: some rows of tensors ---- */

/* Finds the rows of a tensor that are in doubt, for step->rows; trp_cook_weighed() follows.
 *   Owns  : they live in the call's arena.
 *   Thread: loop.
 *   Errors: as trp_confidence_rows(); OUT_OF_MEMORY, QUEUE_FULL. */
trp_status trp_cook_weigh(struct trp_cook *k, uint32_t step, struct trp_error *err);

/* Copies the rows of step->rows of all that a step uses; `then` starts its only child, which is
 * lent them.
 *   Shape : [rows, ...] of a fixed-size type.
 *   Owns  : memory is a kept child's.
 *   Thread: loop.
 *   Errors: BACKEND_FAILED: so many rows are not there; OUT_OF_MEMORY, TOO_LARGE, QUEUE_FULL;
 *           those of `then`. */
typedef trp_status (*trp_cook_picked_fn)(struct trp_cook *k, uint32_t step,
                                         const struct trp_call *picked, struct trp_error *err);
trp_status trp_cook_pick_rows(struct trp_cook *k, uint32_t step, trp_cook_picked_fn then,
                              struct trp_error *err);

/* Puts the rows that came back into copies of earlier tensors, or joins the rows of all parts: the
 * step is done then.
 *   Owns  : the parts are the job's, and over with it.
 *   Thread: loop.
 *   Errors: BACKEND_FAILED: as many rows as were asked did not come back; OUT_OF_MEMORY,
 *           TOO_LARGE, QUEUE_FULL. */
trp_status trp_cook_unite_rows(struct trp_cook *k, uint32_t step, struct trp_error *err);

#endif

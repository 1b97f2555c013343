/* compose/feedback.h - answers of ensembles that wait until somebody says what was right.
 * Answers "what did they say about request 17, and who learns from it?".
 *
 * One table for the server, by the client's own request id: an outcome names nothing else.  Bounded
 * in answers, bytes and age; what does not fit makes the oldest go, and so does memory that is
 * short.  What is too old is not found any more, and goes some at a time, as others come.  An
 * outcome is learned from once.  A request that several ensembles have answered (one in a pipeline,
 * one behind a route) teaches all of them.
 *
 *   vote ──keep──> [ oldest ... newest ] ──tell, by id──> testimony ──losses──> learner ──weights──> next vote
 *
 * It also keeps the learners, so that an ensemble that is read again goes on with what it has
 * learned. */
#ifndef TRP_FEEDBACK_H
#define TRP_FEEDBACK_H

#include "compose/learner.h"
#include "compose/testimony.h"
#include "obs/metrics.h"

#define TRP_FEEDBACK_ID_MAX 256u /* bytes of a request id; requests with longer ones are not kept */

struct trp_feedback;

struct trp_feedback_opts {
    uint32_t answers_max; /* 0: nothing is kept, and nothing learned */
    uint64_t bytes_max;   /* of answers, ids and their table; learners are few and small */
    int64_t age_ns;
    struct trp_metrics *metrics; /* NULL: nothing is counted */
};

/* Makes an empty table.
 *   Owns  : the caller destroys, after all who hold learners but itself; alloc is borrowed.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_feedback_create(const struct trp_alloc *alloc, const struct trp_feedback_opts *opts,
                               struct trp_feedback **out_feedback, struct trp_error *err);
void trp_feedback_destroy(struct trp_feedback *f);

/* The learner of an ensemble that is written so: the one that it had before, or a new one.
 *   Owns  : one reference for the caller (trp_learner_unref); learners that nobody else holds are
 *           let go.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_feedback_learner(struct trp_feedback *f, const struct trp_learner_order *order,
                                struct trp_learner **out_learner, struct trp_error *err);

/* What a vote was made of. */
struct trp_feedback_answer {
    struct trp_str id; /* of the request; empty: nothing to find it by, and it is not kept */
    struct trp_learner *learner;
    const struct trp_vote_opts *vote;
    bool is_ranking;
    const struct trp_vote_member *members;
    uint32_t members_n;
    int64_t now_ns; /* monotonic */
};

/* Keeps it.  An earlier answer of the same ensemble to the same id is forgotten.
 *   Owns  : copied.
 *   Thread: any.
 *   Blocks: while another keeps or tells.
 *   Cost  : one allocation and a copy of at most TRP_TESTIMONY_BYTES_MAX.
 *   Errors: none: an answer that cannot be kept is counted; the request does not suffer. */
void trp_feedback_keep(struct trp_feedback *f, const struct trp_feedback_answer *answer);

/* What somebody says was right. */
struct trp_feedback_outcome {
    struct trp_str id, model;     /* the latter: of which ensemble; empty: of all */
    const struct trp_node *label; /* see trp_testimony_check() */
    int64_t now_ns;
};

/* Learns from it, and writes who did, as trp_learner_write_json():
 * [{"model":"digits","learned":{...}}, ...].
 *   Owns  : borrowed; what was kept is forgotten.
 *   Thread: any.
 *   Blocks: as above.
 *   Errors: NOT_FOUND: nothing is kept of this request; INVALID_ARGUMENT: no such label: it is
 *           kept; see out->failed. */
trp_status trp_feedback_tell(struct trp_feedback *f, const struct trp_feedback_outcome *outcome,
                             struct trp_buf *out, struct trp_error *err);

#endif

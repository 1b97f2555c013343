/* admin/admin_internal.h - what the files of this room share.
 * Answers "which file answers which operation?".  An answer reads control->request and sets
 * control->reply, on the loop's thread; it must not block.  Not for other rooms. */
#ifndef TRP_ADMIN_INTERNAL_H
#define TRP_ADMIN_INTERNAL_H

#include "admin/admin.h"
#include "admin/other_models.h"
#include "admin/regions.h"
#include "admin/task_names.h"
#include "admin/told_names.h"

struct trp_admin {
    const struct trp_alloc *alloc;
    struct trp_admin_opts opts;
    struct trp_regions *regions;
    struct trp_task_names **tasks; /* one for each loop */
    struct trp_flag draining;
    struct trp_other_models others;
};

typedef trp_status (*trp_answer_fn)(struct trp_admin *a, struct trp_control *c,
                                    struct trp_error *err);

/* server and models: admin/model_answers.c */
trp_status trp_answer_server_live(struct trp_admin *a, struct trp_control *c,
                                  struct trp_error *err);
trp_status trp_answer_server_ready(struct trp_admin *a, struct trp_control *c,
                                   struct trp_error *err);
trp_status trp_answer_server_metadata(struct trp_admin *a, struct trp_control *c,
                                      struct trp_error *err);
trp_status trp_answer_model_ready(struct trp_admin *a, struct trp_control *c,
                                  struct trp_error *err);
trp_status trp_answer_model_metadata(struct trp_admin *a, struct trp_control *c,
                                     struct trp_error *err);
trp_status trp_answer_model_config(struct trp_admin *a, struct trp_control *c,
                                   struct trp_error *err);
/* Whether what it asks for is not known yet, so that somebody must look into the model's files
 * first. */
bool trp_answer_needs_survey(struct trp_admin *a, const struct trp_control *c);
trp_status trp_answer_repository_index(struct trp_admin *a, struct trp_control *c,
                                       struct trp_error *err);

/* The reply is a configuration, which lives in the control's arena; OUT_OF_MEMORY (NULL: of it). */
trp_status trp_answer_with_config(struct trp_control *c, struct trp_node *config,
                                  struct trp_error *err);

/* Why a version (NULL: none) of a model is in its state; borrowed from either. */
struct trp_str trp_admin_reason(const struct trp_entry *e, const struct trp_version *v);

bool trp_admin_add_tensors(struct trp_arena *arena, struct trp_node *root, const char *key,
                           const struct trp_io *ios, uint32_t n);

/* admin/composed_answers.c: the names that are no models, as the request's loop has them; what they
 * answer (false: it is a question for models, or for all); their part of the index (false: no
 * memory); reading their files again, which finishes the control itself. */
const struct trp_directory *trp_admin_directory(const struct trp_admin *a, uint32_t loop_index);
const struct trp_directory_item *trp_admin_composed(const struct trp_admin *a,
                                                    const struct trp_control *c);
/* What it takes and gives (`out` NULL: only whether it could answer), or why it cannot; lives in
 * the control's arena. */
trp_status trp_composed_describe(const struct trp_directory_item *item, const struct trp_control *c,
                                 struct trp_signature *out, struct trp_error *err);
/* Why it is not ready, or goes on though its file is wrong, or may not do what was meant; empty:
 * nothing is to be said. */
struct trp_str trp_composed_reason(const struct trp_directory_item *item, bool is_ready,
                                   const struct trp_error *why);
bool trp_composed_answer(struct trp_admin *a, struct trp_control *c);
bool trp_composed_index(const struct trp_admin *a, struct trp_control *c, struct trp_node *list,
                        bool only_ready);
void trp_composed_reload_begin(struct trp_admin *a, struct trp_control *c);

/* admin/route_metrics.c: borrowed; what fails sticks to the buffer. */
void trp_route_metrics_write(const struct trp_directory *d, int64_t now_ns, struct trp_buf *b);

/* admin/learner_metrics.c: as above. */
void trp_learner_metrics_write(const struct trp_directory *d, struct trp_buf *b);

/* admin/cascade_metrics.c: as above. */
void trp_cascade_metrics_write(const struct trp_directory *d, struct trp_buf *b);

/* admin/ensemble_metrics.c: as above. */
void trp_ensemble_metrics_write(const struct trp_directory *d, struct trp_buf *b);

/* admin/route_answers.c */
trp_status trp_answer_routes(struct trp_admin *a, struct trp_control *c, struct trp_error *err);

/* admin/model_search.c */
trp_status trp_answer_api_models(struct trp_admin *a, struct trp_control *c, struct trp_error *err);

/* admin/residency.c: written on the control thread, which knows who is in memory, and why;
 * finishes the control itself. */
void trp_residency_begin(struct trp_admin *a, struct trp_control *c);

/* admin/openapi.c */
trp_status trp_answer_openapi(struct trp_admin *a, struct trp_control *c, struct trp_error *err);

/* admin/label_answers.c */
trp_status trp_answer_labels(struct trp_admin *a, struct trp_control *c, struct trp_error *err);
trp_status trp_label_order_read(struct trp_control *c, struct trp_order *order,
                                struct trp_error *err);

/* admin/cost_answers.c */
trp_status trp_answer_cost(struct trp_admin *a, struct trp_control *c, struct trp_error *err);
/* admin/instance_answers.c: what holds; also the answer to an order that changed it. */
trp_status trp_answer_instances(struct trp_admin *a, struct trp_control *c, struct trp_error *err);
void trp_instance_order_read(struct trp_control *c, struct trp_order *order);

/* admin/time_answers.c: which time rules read, and another one. */
trp_status trp_answer_time_get(struct trp_admin *a, struct trp_control *c, struct trp_error *err);
trp_status trp_answer_time_set(struct trp_admin *a, struct trp_control *c, struct trp_error *err);

/* admin/feedback_answers.c: what was right. */
trp_status trp_answer_feedback(struct trp_admin *a, struct trp_control *c, struct trp_error *err);

/* admin/statistics.c */
trp_status trp_answer_statistics(struct trp_admin *a, struct trp_control *c, struct trp_error *err);

/* admin/metrics_page.c: takes some turns of the loop, and finishes the control itself. */
void trp_scrape_begin(struct trp_admin *a, struct trp_control *c);

/* admin/region_answers.c */
trp_status trp_answer_shm_status(struct trp_admin *a, struct trp_control *c, struct trp_error *err);
trp_status trp_answer_shm_register(struct trp_admin *a, struct trp_control *c,
                                   struct trp_error *err);
trp_status trp_answer_shm_unregister(struct trp_admin *a, struct trp_control *c,
                                     struct trp_error *err);
trp_status trp_answer_cuda_status(struct trp_admin *a, struct trp_control *c,
                                  struct trp_error *err);
trp_status trp_answer_cuda_register(struct trp_admin *a, struct trp_control *c,
                                    struct trp_error *err);
trp_status trp_answer_cuda_unregister(struct trp_admin *a, struct trp_control *c,
                                      struct trp_error *err);

/* admin/observation_answers.c */
trp_status trp_answer_trace_get(struct trp_admin *a, struct trp_control *c, struct trp_error *err);
trp_status trp_answer_trace_set(struct trp_admin *a, struct trp_control *c, struct trp_error *err);
trp_status trp_answer_log_get(struct trp_admin *a, struct trp_control *c, struct trp_error *err);
trp_status trp_answer_log_set(struct trp_admin *a, struct trp_control *c, struct trp_error *err);

/* admin/trace_flush.c: finishes the control when every trace of an answer that was sent before
 * is in its file, or lost. */
void trp_trace_flush_begin(struct trp_admin *a, struct trp_control *c);

/* admin/orders.c: load and unload go to the control thread and come back; they finish the control
 * themselves.  So does a question that needs a survey: it is answered when it is back. */
void trp_order_begin(struct trp_admin *a, struct trp_control *c);

/* Answers from the snapshot of the request's loop, on that loop. */
trp_status trp_admin_answer(struct trp_admin *a, struct trp_control *c);

/* The reply is a copy of this text, in the control's arena; OUT_OF_MEMORY. */
trp_status trp_control_reply_json(struct trp_control *c, const struct trp_buf *text,
                                  struct trp_error *err);
/* The same of a text that is let go, whatever happens; `what` it is, where it failed: as
 * trp_buf_check(). */
trp_status trp_control_reply_take(struct trp_control *c, struct trp_buf *text, const char *what,
                                  struct trp_error *err);

/* Ends a control request: `done` runs from the loop's ready list, or by mail from another
 * thread. */
void trp_control_finish_soon(struct trp_control *c);
void trp_control_finish_from(struct trp_control *c);

/* What stands behind a name, which may be a task's ("task:ranking"): on that loop, from the
 * snapshot that it holds.  The caller gets a reference. */
trp_status trp_admin_pick(struct trp_admin *a, uint32_t loop_index, const struct trp_sought *sought,
                          struct trp_version **out_version, struct trp_error *err);

/* The snapshot that the request's loop holds; what that has of a model's name: NOT_FOUND,
 * nothing. */
const struct trp_snapshot *trp_admin_snapshot(const struct trp_admin *a,
                                              const struct trp_control *c);
trp_status trp_admin_entry(const struct trp_admin *a, const struct trp_control *c,
                           struct trp_str model, const struct trp_entry **out_entry,
                           struct trp_error *err);

#endif

/* life/glance.h - one look into the files of a version, without a server.
 * Answers "what would it take and give?" by the steps of the index's surveys, so that whoever
 * checks a repository beforehand hears what a server would say. */
#ifndef TRP_GLANCE_H
#define TRP_GLANCE_H

#include "backend/backend_host.h"
#include "model/version.h"
#include "obs/metrics.h"
#include "repo/repo.h"

struct trp_glance; /* what any number of looks have in common */

struct trp_glance_opts {
    struct trp_backends *backends; /* ONNX files need none of them */
    struct trp_metrics *metrics;   /* files that were read are counted there */
    uint64_t label_bytes_max;      /* of a file of labels, and of a manifest */
};

/* Makes it.
 *   Owns  : the caller destroys; what opts point to is borrowed and outlives it.
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_glance_create(const struct trp_alloc *alloc, const struct trp_glance_opts *opts,
                             struct trp_glance **out_glance, struct trp_error *err);
void trp_glance_destroy(struct trp_glance *g); /* accepts NULL */

/* Looks into the files of a NEW version, whose path and digest are set: it has its signature
 * afterwards, or the reason why it would not be loaded.
 *   Owns  : `source` is borrowed for the call; what is found lives in the version.
 *   Thread: owner.
 *   Blocks: disk.
 *   Errors: what is wrong with the files, which the version says, too; OUT_OF_MEMORY. */
trp_status trp_glance_look(struct trp_glance *g, const struct trp_repo_model *source,
                           struct trp_version *v, struct trp_error *err);

#endif

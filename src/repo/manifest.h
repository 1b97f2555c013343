/* repo/manifest.h - the list of what a version must consist of.
 * Answers "has all of it arrived, and is it what was sent?".  Whoever copies a model into a
 * repository may put a list with the SHA-256 of each file beside them; the version is taken up only
 * when all of them match:
 *
 *   manifest.json   {"files": {"model.onnx": "<64 digits>", "model.onnx.data": "<64 digits>"}}
 *   SHA256SUMS      as sha256sum(1) writes it
 *
 * It lies in the version's folder (or in the model's, when that holds the model file itself) and
 * must name the model file; files that it does not name are nobody's concern. */
#ifndef TRP_MANIFEST_H
#define TRP_MANIFEST_H

#include "base/arena.h"
#include "base/atomic.h"
#include "base/status.h"

#define TRP_MANIFEST_JSON "manifest.json"
#define TRP_MANIFEST_SUMS "SHA256SUMS"

struct trp_manifest_opts {
    struct trp_str manifest;       /* its path, terminated */
    struct trp_str model_file;     /* its path; must be named */
    uint64_t bytes_max;            /* of the manifest itself */
    const struct trp_flag *stop;   /* raised: give up; may be NULL */
    const struct trp_alloc *alloc; /* for the time of the call */
};

/* Reads every file that is named and compares.
 *   Owns  : nothing.
 *   Thread: loader.
 *   Blocks: disk, for as long as reading takes.
 *   Errors: DATA_LOSS: which file is missing or another one; INVALID_ARGUMENT: it is no manifest,
 *           names a file outside, or not the model file; TOO_LARGE (limits.config_bytes),
 *           CANCELLED, OUT_OF_MEMORY, as trp_fail_errno(). */
trp_status trp_manifest_check(const struct trp_manifest_opts *opts, struct trp_error *err);

#endif

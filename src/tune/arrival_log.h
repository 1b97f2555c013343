/* tune/arrival_log.h - arrivals that were written down.
 * Answers "who came, when, by this file?".  Two forms, told apart by how they begin:
 *
 *   CSV    a line of names, then one line an arrival: a moment (at_s, at_ms, at_us or at_ns), model, and, where you like, class
 *          (interactive, normal, batch), tenant, rows, timeout_ms.  Columns in any order; an empty
 *          field is as none.
 *   trace  what a server wrote with trace_level TIMESTAMPS, or Triton did: a JSON array.  An
 *          arrival is the first moment of a request; rows, class, tenant and timeout are there
 *          when the server is this one. */
#ifndef TRP_ARRIVAL_LOG_H
#define TRP_ARRIVAL_LOG_H

#include "tune/workload.h"

/* Reads a file, or a text of one, behind what the workload has.  Moments are kept as they are
 * written, so that files of one clock fit each other: trp_workload_rebase() follows.
 *   Owns  : copied.
 *   Thread: owner.
 *   Blocks: disk.
 *   Errors: INVALID_ARGUMENT with the line, or what is wrong; NOT_FOUND and others of
 *           base/file.h; TOO_LARGE, OUT_OF_MEMORY. */
trp_status trp_arrival_log_read(struct trp_workload *w, const char *path, struct trp_error *err);
trp_status trp_arrival_log_parse(struct trp_workload *w, struct trp_str text,
                                 struct trp_error *err);

#endif

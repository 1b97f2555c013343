/* obs/trace.h - what one request went through, written to a file when somebody asked for it.
 * Answers "where did the time of this request go?".  Triton's trace settings: level OFF,
 * TIMESTAMPS, TENSORS; rate (every n-th request), count, log_frequency, file.  A file is a JSON
 * array of objects and complete after every write; a run begins its files anew. */
#ifndef TRP_TRACE_H
#define TRP_TRACE_H

#include "base/alloc.h"
#include "base/clock.h"
#include "base/status.h"
#include "base/str.h"
#include "troupe/tensor.h"

struct trp_trace; /* process-wide: settings and the file */

struct trp_trace_settings {
    bool timestamps, tensors;
    uint64_t rate;          /* trace one of so many; >= 1 */
    int64_t count;          /* traces left; -1: no end */
    uint32_t log_frequency; /* 0: append to one file; n: a new file `<file>.<k>` every n traces */
    char file[512];         /* as given to trp_trace_create(); set() does not look at it */
};

struct trp_trace_stamp {
    const char *name; /* "QUEUE_START" */
    int64_t at_ns;
};

/* Makes the tracer, off: rate 1000, no end.  An empty `file` drops what is traced.
 *   Owns  : the caller destroys; `file` is copied.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY, TOO_LARGE (the file's name). */
trp_status trp_trace_create(const struct trp_alloc *alloc, const char *file,
                            struct trp_trace **out_trace, struct trp_error *err);
void trp_trace_destroy(struct trp_trace *t);

/* Settings: the global ones (model empty), or a model's own, which win; `clear` drops a model's
 * own. A model without its own shares the global rate and count with all such models.
 *   Owns  : copied.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT (rate 0), TOO_LARGE (more than 1,000 models have their own),
 *           OUT_OF_MEMORY. */
void trp_trace_get(struct trp_trace *t, struct trp_str model, struct trp_trace_settings *out);
trp_status trp_trace_set(struct trp_trace *t, struct trp_str model,
                         const struct trp_trace_settings *s, struct trp_error *err);
void trp_trace_clear(struct trp_trace *t, struct trp_str model);

/* Decides for one request of `model` whether it is traced; returns its trace id, 0: not.  One
 * relaxed load when nothing is traced.  NULL `t`: not.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
uint64_t trp_trace_begin(struct trp_trace *t, struct trp_str model, bool *out_tensors);

/* Writes the trace: identity and stamps, as Triton's trace file has them; then tensors, when asked.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Blocks: disk (one write).
 *   Errors: a failed write is counted, see trp_trace_lost(). */
struct trp_trace_record {
    uint64_t id;
    struct trp_str model, request_id;
    int64_t version;
    const struct trp_trace_stamp *stamps;
    uint32_t stamps_n;
};
void trp_trace_write(struct trp_trace *t, const struct trp_trace_record *r);

/* Writes a tensor of a trace behind it; of more than TRP_TRACE_ELEMENTS_MAX elements the first
 * ones.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Blocks: disk (one write).
 *   Errors: as trp_trace_write(). */
#define TRP_TRACE_ELEMENTS_MAX 4096
void trp_trace_write_tensor(struct trp_trace *t, uint64_t id, const char *activity,
                            struct trp_str name, const struct troupe_tensor *tensor);
uint64_t trp_trace_lost(const struct trp_trace *t); /* records that could not be written */

#endif

/* obs/trace.h - what one request went through, written to a file when somebody asked for it.
 * Answers "where did the time of this request go?".  Triton's trace settings: level OFF,
 * TIMESTAMPS, TENSORS; rate (every n-th request), count, log_frequency, file.  A file is a JSON
 * array of objects and complete after every write; a run begins its files anew.  A thread of its
 * own writes: a trace is handed over and, a moment later or after trp_trace_flush(), in the
 * file. */
#ifndef TRP_TRACE_H
#define TRP_TRACE_H

#include "base/alloc.h"
#include "base/clock.h"
#include "base/status.h"
#include "base/str.h"
#include "obs/log.h"
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

struct trp_trace_opts {
    const char *file;        /* empty: what is traced is lost */
    struct trp_log *log;     /* told once of each file that cannot be written; may be NULL */
    uint64_t mail_bytes_max; /* of traces that wait to be written, and of steps; 0: 16 MiB */
};

/* Makes the tracer, off: rate 1000, no end.  Destroy writes what was posted.
 *   Owns  : the caller destroys; opts->file is copied, the log borrowed.
 *   Thread: startup.
 *   Blocks: destroy: disk.
 *   Errors: OUT_OF_MEMORY, TOO_LARGE (the file's name), IO (no thread). */
trp_status trp_trace_create(const struct trp_alloc *alloc, const struct trp_trace_opts *opts,
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

/* Makes the letter of a trace: identity and stamps, as Triton's trace file has them; adds tensors,
 * when asked, of more than TRP_TRACE_ELEMENTS_MAX elements the first ones; hands it to the writer.
 * All of a trace is in one file, or none of it.
 *   Owns  : open: the caller posts what it returns; add copies; post moves the letter.
 *   Thread: any.
 *   Errors: NULL when the mailbox is full or memory is short (counted); add and post accept
 *           that. */
#define TRP_TRACE_ELEMENTS_MAX 4096
struct trp_trace_mail;
struct trp_trace_record {
    uint64_t id, parent_id; /* the latter, and the name of the step: of what another one asked */
    struct trp_str step;
    struct trp_str rules; /* whose settings hold; empty: the model's */
    struct trp_str model, request_id;
    int64_t version;
    struct trp_str tenant; /* these are ours, and left out when empty or 0 */
    const char *priority;
    uint64_t rows;
    int64_t timeout_ns;
    const struct trp_trace_stamp *stamps;
    uint32_t stamps_n;
};
struct trp_trace_mail *trp_trace_open(struct trp_trace *t, const struct trp_trace_record *r);
void trp_trace_add(struct trp_trace_mail *m, const char *activity, struct trp_str name,
                   const struct troupe_tensor *tensor); /* activity: a literal */
void trp_trace_post(struct trp_trace *t, struct trp_trace_mail *m);

/* Steps of a trace have letters of their own, which are written behind its own: an id for one; puts
 * one (NULL: it was lost) to others; hangs them all on the trace's letter.  They wait from then on:
 * those of all traces take no more than opts.mail_bytes_max together with what was posted, those of
 * one no more than half of that.
 *   Owns  : collect and join move the letters; a trace whose own letter is NULL loses them.  *list
 *           is NULL after join.
 *   Thread: any; owner of the list.
 *   Errors: none: one that finds no room is lost and counted, and the trace says how many are
 *           missing. */
uint64_t trp_trace_number(struct trp_trace *t);
void trp_trace_collect(struct trp_trace *t, struct trp_trace_mail **list, struct trp_trace_mail *m);
void trp_trace_join(struct trp_trace_mail *m, struct trp_trace_mail **list);

/* Calls `done` when everything that was posted before is in its file, or lost.
 *   Owns  : `flush` stays the caller's and must live until then.
 *   Thread: any; `done` is called on the writer's thread and must not block.
 *   Errors: none. */
struct trp_trace_flush {
    void (*done)(struct trp_trace_flush *flush);
    struct trp_trace_flush *next;
};
void trp_trace_flush(struct trp_trace *t, struct trp_trace_flush *flush);

/* How many traces are missing in the file, because they came faster than they could be written, or
 * because writing failed.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
enum trp_trace_loss { TRP_TRACE_LOST_FULL, TRP_TRACE_LOST_WRITE, TRP_TRACE_LOSSES };
uint64_t trp_trace_lost(const struct trp_trace *t, enum trp_trace_loss loss);

#endif

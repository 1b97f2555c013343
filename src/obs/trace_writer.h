/* obs/trace_writer.h - the thread that writes traces, and its mailbox.
 * Answers "how do traces reach the disk without anybody waiting for it?".  Not for other rooms.
 *
 *   any thread --post--> mailbox (so many bytes at most) --> writer: text, file
 *
 *  1. Posting moves ownership, takes one short lock and never waits for a file; what does not fit
 *     is dropped and counted.
 *  2. Letters are written in the order of posting, each whole; a flush comes back when all before
 *     it are in their file, or lost.
 *  3. Only the writer's thread touches the files. */
#ifndef TRP_TRACE_WRITER_H
#define TRP_TRACE_WRITER_H

#include "base/buf.h"
#include "obs/trace.h"

#define TRP_TRACE_TEXT_MAX ((size_t)64 << 20) /* of one trace with its tensors */

struct trp_trace_writer;

struct trp_trace_copy { /* a tensor of a trace; its text is made by the writer */
    struct trp_trace_copy *next;
    struct troupe_tensor tensor; /* data lies behind the name */
    const char *activity;
    struct trp_str name;
};

struct trp_trace_mail {
    struct trp_trace_flush flush; /* first; `done` is NULL, for it is none */
    const struct trp_alloc *alloc;
    uint64_t id, bytes; /* bytes: held by all of it */
    struct trp_trace_writer *box;
    uint64_t paid_bytes; /* of what may wait in the box */
    uint32_t log_frequency;
    uint32_t missing;     /* first of steps: how many found no room */
    uint64_t steps_bytes; /* first of steps: of all of them */
    struct trp_buf text;  /* identity and stamps */
    struct trp_trace_copy *first, **end;
    struct trp_trace_mail *step; /* written behind it, with what hangs on that */
};

/* Starts the thread; destroy writes what was posted before, and ends it.
 *   Owns  : the caller destroys; opts->file is copied, the log borrowed.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY, TOO_LARGE (the file's name), IO (no thread). */
trp_status trp_trace_writer_create(const struct trp_alloc *alloc, const struct trp_trace_opts *opts,
                                   struct trp_trace_writer **out_writer, struct trp_error *err);
void trp_trace_writer_destroy(struct trp_trace_writer *w);

/* Counts a letter as one that waits, before it is posted, until it is freed.
 *   Owns  : borrowed.
 *   Thread: any; owner of the letter.
 *   Errors: false: it does not fit, or a list of so many bytes takes more than half of the box;
 *           nothing is counted. */
bool trp_trace_writer_pay(struct trp_trace_writer *w, struct trp_trace_mail *mail,
                          uint64_t list_bytes);

/* Hands a letter over, or a flush; whether the box is full just now; what was lost.
 *   Owns  : post moves `mail`; a flush stays its owner's and must live until `done`.
 *   Thread: any.
 *   Errors: none; a letter that does not fit is freed and counted. */
void trp_trace_writer_post(struct trp_trace_writer *w, struct trp_trace_mail *mail);
void trp_trace_writer_flush(struct trp_trace_writer *w, struct trp_trace_flush *flush);
bool trp_trace_writer_is_full(const struct trp_trace_writer *w);
void trp_trace_writer_lose(struct trp_trace_writer *w, enum trp_trace_loss loss, uint64_t n);
uint64_t trp_trace_writer_lost(const struct trp_trace_writer *w, enum trp_trace_loss loss);

/* Frees a letter and what hangs on it; NULL is allowed.
 *   Owns  : moves `mail` away.
 *   Thread: any.
 *   Errors: none. */
void trp_trace_mail_free(struct trp_trace_mail *mail);

#endif

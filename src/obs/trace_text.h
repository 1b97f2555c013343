/* obs/trace_text.h - the objects of a trace file.
 * Answers "how does Triton spell this?".  Each is appended as ",\n{...}", so that a file is a
 * matter of a bracket at either end. */
#ifndef TRP_TRACE_TEXT_H
#define TRP_TRACE_TEXT_H

#include "base/buf.h"
#include "obs/trace.h"

/* What a trace is about; when it reached what; how many of its steps found no room; one tensor of
 * it (the bytes of its first elements).
 *   Owns  : copied.
 *   Thread: any.
 *   Errors: see b->failed. */
void trp_trace_text_identity(struct trp_buf *b, const struct trp_trace_record *r);
void trp_trace_text_stamps(struct trp_buf *b, const struct trp_trace_record *r);
void trp_trace_text_missing(struct trp_buf *b, uint64_t id, uint32_t steps);
void trp_trace_text_tensor(struct trp_buf *b, uint64_t id, const char *activity,
                           struct trp_str name, const struct troupe_tensor *tensor);

/* How many bytes of a tensor's data the elements take that are written.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none; strings that do not fit their tensor are left out. */
uint64_t trp_trace_text_bytes(const struct troupe_tensor *tensor);

#endif

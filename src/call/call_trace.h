/* call/call_trace.h - the trace of a call, and of those that it asked.
 * Answers "which steps did this request take, and how long was each?".
 *
 * The steps of a traced call are traced, too: each child that had a target has a record of its own,
 * with an id of its own and its parent's; so has each attempt of a route that failed on the call
 * itself, before another was asked with it.  They are collected on the client's call and handed
 * to the writer with its record, behind it: all of it is in one file. */
#ifndef TRP_CALL_TRACE_H
#define TRP_CALL_TRACE_H

#include "call/call.h"
#include "obs/trace.h"

/* Whether it, or the client's call above it, is traced.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
bool trp_call_is_traced(const struct trp_call *call);

/* A child, or an attempt (call->is_attempt) on any call, is over: its record is put to the others
 * of the client's call.  Nothing, when that is not traced.
 *   Owns  : copied.
 *   Thread: loop.
 *   Errors: none: without memory the record is lost, and counted. */
void trp_call_trace_step(struct trp_trace *t, struct trp_call *child);

/* What a connection knows of a call's way in and out; 0: it did not come so far. */
struct trp_call_trace_way {
    struct trp_trace_stamp in[2], out[2];
};

/* A client's call is over, and all that it asked: hands its record and those of its steps to the
 * writer.
 *   Owns  : copied.
 *   Thread: loop.
 *   Errors: as above. */
void trp_call_trace_write(struct trp_trace *t, struct trp_call *call,
                          const struct trp_call_trace_way *way);

#endif

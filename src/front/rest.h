/* front/rest.h - requests over HTTP that are not gRPC, whichever version carries them.
 * Answers "what does this request want, and what are the fields of its answer?". */
#ifndef TRP_REST_H
#define TRP_REST_H

#include "front/exchange.h"

/* Looks at a complete header: method, path, codings, guards.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: by the result and x->error; the body then is of no interest. */
trp_status trp_rest_head(struct trp_exchange *x);

/* True when the body may be decoded where it lies, because nothing will point into it afterwards.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
bool trp_rest_is_transient(const struct trp_exchange *x, uint64_t body_bytes);

/* The body (x->body) has grown, but is not complete; it (x->bytes) is complete: answer.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none; they are answers. */
void trp_rest_body_grew(struct trp_exchange *x);
void trp_rest_run(struct trp_exchange *x);

/* Implement ops->unpacked, ops->packed, ops->answer and ops->control_done for REST.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_rest_unpacked(struct trp_exchange *x);
void trp_rest_packed(struct trp_exchange *x);
void trp_rest_answer(struct trp_exchange *x);
void trp_rest_control_done(struct trp_exchange *x);

/* The answer's header fields; names in both spellings.
 *   Owns  : values are borrowed from the exchange, the front.
 *   Thread: loop.
 *   Errors: none. */
#define TRP_REST_FIELDS_MAX 14
struct trp_rest_field {
    const char *name, *lower;
    struct trp_str value;
};
struct trp_rest_fields {
    struct trp_rest_field at[TRP_REST_FIELDS_MAX];
    uint32_t n;
};
void trp_rest_fields(struct trp_exchange *x, struct trp_rest_fields *out);

/* "OK" for 200.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const char *trp_rest_reason(int status);

#endif

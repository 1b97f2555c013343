/* wire/accept.h - what a client would take.
 * Answers "which coding may this reply have?".  Pure. */
#ifndef TRP_ACCEPT_H
#define TRP_ACCEPT_H

#include "base/compress.h"
#include "base/str.h"

/* Chooses a coding from Accept-Encoding: the best quality wins, gzip before deflate at equal
 * quality; identity when neither is wanted, the field is empty, or identity is preferred.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none; malformed parts are passed over.
 *   Source: RFC 9110 section 12.5.3. */
enum trp_coding trp_accept_coding(struct trp_str accept_encoding);

/* True when a comma-separated list names `word`, letters' case aside (grpc-accept-encoding).
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
bool trp_accept_has(struct trp_str list, struct trp_str word);

#endif

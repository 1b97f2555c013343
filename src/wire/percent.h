/* wire/percent.h - percent-encoding.
 * Answers "which bytes do these %XX stand for?", and how bytes travel where only ASCII does. */
#ifndef TRP_PERCENT_H
#define TRP_PERCENT_H

#include "base/arena.h"
#include "base/str.h"

/* Decodes %XX in place.
 *   Owns  : the caller's; *len becomes shorter.
 *   Thread: any.
 *   Errors: false when two hexadecimal digits are missing; `text` is undefined then. */
bool trp_percent_decode(char *text, size_t *len);

/* A text as the value of a header or a trailer: %XX for what is no printable ASCII character, and
 * for the %.
 *   Owns  : the text itself where nothing is to be done, else in the arena.
 *   Thread: owner.
 *   Errors: empty without memory.
 *   Source: RFC 9110 section 5.5; gRPC over HTTP/2, Custom-Metadata (ASCII-Value), as its
 *           Percent-Encoded. */
struct trp_str trp_percent_field(struct trp_str text, struct trp_arena *arena);

#endif

/* tune/span.h - lengths of time as people write them.
 * Answers "how long is 2.5ms?". */
#ifndef TRP_SPAN_H
#define TRP_SPAN_H

#include <stdbool.h>

#include "base/str.h"

/* Parses a number with ns, us, ms, s, m or h behind it.
 *   Units : ns, 0 to some 290 years.
 *   Owns  : borrowed; *out_ns is untouched on false.
 *   Thread: any.
 *   Errors: false when it is none. */
bool trp_span_parse(struct trp_str text, int64_t *out_ns);

/* Writes one for people: "12.5 us", "3.42 ms", "1.2 s"; "-" for less than nothing.
 *   Owns  : `out` is the caller's.
 *   Thread: any.
 *   Errors: none; cut at its end. */
void trp_span_format(int64_t ns, char *out, size_t out_size);

#endif

/* wire/percent.h - percent-encoding.
 * Answers "which bytes do these %XX stand for?". */
#ifndef TRP_PERCENT_H
#define TRP_PERCENT_H

#include "base/str.h"

/* Decodes %XX in place.
 *   Owns  : the caller's; *len becomes shorter.
 *   Thread: any.
 *   Errors: false when two hexadecimal digits are missing; `text` is undefined then. */
bool trp_percent_decode(char *text, size_t *len);

#endif

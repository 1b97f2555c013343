/* compose/known_name.h - names of a short list, for what people write.
 * Answers "which of these is meant?". */
#ifndef TRP_KNOWN_NAME_H
#define TRP_KNOWN_NAME_H

#include <stdbool.h>

#include "base/str.h"

/* Where a name stands among `n`.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: UINT32_MAX: it is none of them. */
uint32_t trp_known_name_find(const char *const *names, uint32_t n, struct trp_str name);

/* The name that may have been meant: as few letters as can be are different, and not too many.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: NULL: none is near. */
const char *trp_known_name_near(const char *const *names, uint32_t n, struct trp_str name);

#endif

/* base/torture.h - a way to make any one of our calls to the system fail.
 * Answers "what happens when this fails?".  In a build with TRP_TORTURE every allocation, open,
 * read, mmap and backend call asks trp_torture_fails() first; the environment TRP_TORTURE_FAIL=n
 * makes the n-th one fail (once per call site: TRP_TORTURE_SITES=1 counts only the first visit
 * of each).  In other builds it is the constant false. */
#ifndef TRP_TORTURE_H
#define TRP_TORTURE_H

#include <stdbool.h>

#ifdef TRP_TORTURE
/* Counts a call and says whether it is the one that must fail.
 *   Owns  : `what` is static.
 *   Thread: any.
 *   Errors: none. */
bool trp_torture_fails(const char *what, const void *site);
#define TRP_TORTURE_FAILS(what) trp_torture_fails((what), __builtin_return_address(0))
#else
#define TRP_TORTURE_FAILS(what) false
#endif

#endif

/* memory/usage.h - what the process really uses, beside what accounts say.
 * Answers "does anybody take memory in nobody's name, and how much?".  The accounts are exact but
 * know only what goes through them; the kernel sees everything but says not whose it is.  What it
 * sees beyond the accounts is the program itself, libraries, thread stacks, what the heap has not
 * given back; it counts against the budget like what is reserved.
 *
 * Pure but for the counters that others read: whoever measures (app) brings the numbers. */
#ifndef TRP_USAGE_H
#define TRP_USAGE_H

#include "base/atomic.h"

#define TRP_USAGE_SAMPLES 3

struct trp_usage {                        /* zero: nothing measured */
    struct trp_counter process_bytes;     /* as measured last */
    struct trp_counter accounted_bytes;   /* at the same time */
    struct trp_counter unaccounted_bytes; /* what counts as the program's own */
    uint64_t samples[TRP_USAGE_SAMPLES];  /* the owner's */
    uint32_t samples_n;
};

/* What was measured, as the kernel sees it and as the accounts have it. */
struct trp_usage_seen {
    uint64_t process_bytes, accounted_bytes;         /* all */
    uint64_t private_bytes, private_accounted_bytes; /* without pages of files */
};

/* Notes a measurement, and returns the unaccounted bytes: the least of the last TRP_USAGE_SAMPLES
 * differences, because memory that moves while both sides are read makes one of them too large.
 * Weights that are mapped and not read yet are accounted and not used, and would hide as much of
 * the program's own: so what is private beyond the private accounts counts in any case.
 *   Units : bytes; accounted is the larger of what it was before and after measuring.
 *   Owns  : nothing.
 *   Thread: owner; the counters may be read by any.
 *   Errors: none; more accounted than used is a difference of 0. */
uint64_t trp_usage_note(struct trp_usage *u, const struct trp_usage_seen *seen);

#endif

/* route/latency.h - how long answers took, finely enough to compare.
 * Answers "how long do 95 of 100 of them take, lately or so far?".  Eight buckets for each
 * doubling, from 1 us to 137 s, so that a quantile is known within an eighth; obs has three for
 * each factor of ten, which is for people.  Shared by loops. */
#ifndef TRP_LATENCY_H
#define TRP_LATENCY_H

#include "base/atomic.h"
#include "base/word.h"

#define TRP_LATENCY_BUCKETS 216

struct trp_latency { /* zero: nothing yet */
    struct trp_counter buckets[TRP_LATENCY_BUCKETS];
    struct trp_word aged; /* the last age, see trp_latency_age() */
};

/* A copy, which does not change. */
struct trp_latency_counts {
    uint64_t n[TRP_LATENCY_BUCKETS];
};

/* Counts one; below 1 us counts as 1 us, above 137 s as that.
 *   Units : ns.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : O(1).
 *   Errors: none. */
void trp_latency_add(struct trp_latency *l, int64_t ns);

/* Takes over the counts of another one.
 *   Owns  : copied; nobody uses `l` yet.
 *   Thread: owner.
 *   Errors: none. */
void trp_latency_carry(struct trp_latency *l, const struct trp_latency *from);

/* Halves all counts once for each half-life that has passed since the last call: what is read are
 * the last while's.
 *   Units : ns, monotonic; half_life_ns > 0, the same each time.
 *   Owns  : nothing.
 *   Thread: any; one of those that come at once does it.
 *   Errors: none. */
void trp_latency_age(struct trp_latency *l, int64_t half_life_ns, int64_t now_ns);

/* Copies the counts; and what came between two copies.
 *   Owns  : copied.
 *   Thread: any.
 *   Errors: none; a glance. */
void trp_latency_get(const struct trp_latency *l, struct trp_latency_counts *out);
void trp_latency_since(const struct trp_latency_counts *now, const struct trp_latency_counts *then,
                       struct trp_latency_counts *out);

/* How many; the value that a share of them does not exceed, as finely as buckets are (0: none was
 * counted); and how many took longer than a value, which counts as the end of its bucket.
 *   Units : ns; share 0..1.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
uint64_t trp_latency_count(const struct trp_latency_counts *c);
int64_t trp_latency_quantile_ns(const struct trp_latency_counts *c, double share);
uint64_t trp_latency_slower(const struct trp_latency_counts *c, int64_t than_ns);

#endif

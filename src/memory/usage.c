/* memory/usage.c - see usage.h. */
#include "memory/usage.h"

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

uint64_t trp_usage_note(struct trp_usage *u, const struct trp_usage_seen *seen)
{
    const uint64_t all = less(seen->process_bytes, seen->accounted_bytes);
    const uint64_t own = less(seen->private_bytes, seen->private_accounted_bytes);
    const uint64_t beyond = all > own ? all : own;
    u->samples[u->samples_n++ % TRP_USAGE_SAMPLES] = beyond;
    const uint32_t n = u->samples_n < TRP_USAGE_SAMPLES ? u->samples_n : TRP_USAGE_SAMPLES;
    uint64_t least = beyond;
    for (uint32_t i = 0; i < n; i++)
        least = u->samples[i] < least ? u->samples[i] : least;
    trp_counter_set(&u->process_bytes, seen->process_bytes);
    trp_counter_set(&u->accounted_bytes, seen->accounted_bytes);
    trp_counter_set(&u->unaccounted_bytes, least);
    return least;
}

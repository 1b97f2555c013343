/* memory/usage.c - see usage.h. */
#include "memory/usage.h"

uint64_t trp_usage_note(struct trp_usage *u, uint64_t process_bytes, uint64_t accounted_bytes)
{
    const uint64_t beyond = process_bytes > accounted_bytes ? process_bytes - accounted_bytes : 0;
    u->samples[u->samples_n++ % TRP_USAGE_SAMPLES] = beyond;
    const uint32_t n = u->samples_n < TRP_USAGE_SAMPLES ? u->samples_n : TRP_USAGE_SAMPLES;
    uint64_t least = beyond;
    for (uint32_t i = 0; i < n; i++)
        least = u->samples[i] < least ? u->samples[i] : least;
    trp_counter_set(&u->process_bytes, process_bytes);
    trp_counter_set(&u->accounted_bytes, accounted_bytes);
    trp_counter_set(&u->unaccounted_bytes, least);
    return least;
}

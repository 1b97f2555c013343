/* base/shifted_clock.c - see shifted_clock.h. */
#include "base/shifted_clock.h"

static int64_t now(void *user)
{
    const struct trp_shifted_clock *c = user;
    return trp_clock_now_ns(c->below);
}

static int64_t wall(void *user)
{
    const struct trp_shifted_clock *c = user;
    const int64_t offset_ns = trp_gauge_get(&c->offset_ns);
    int64_t sum_ns;
    if (__builtin_add_overflow(trp_clock_wall_ns(c->below), offset_ns, &sum_ns))
        return offset_ns > 0 ? INT64_MAX : INT64_MIN;
    return sum_ns;
}

void trp_shifted_clock_init(struct trp_shifted_clock *c, const struct trp_clock *below,
                            int64_t offset_ns)
{
    *c = (struct trp_shifted_clock){ .clock = { now, wall, c }, .below = below };
    trp_gauge_set(&c->offset_ns, offset_ns);
}

void trp_shifted_clock_shift(struct trp_shifted_clock *c, int64_t offset_ns)
{
    trp_gauge_set(&c->offset_ns, offset_ns);
}

int64_t trp_shifted_clock_offset(const struct trp_shifted_clock *c)
{
    return trp_gauge_get(&c->offset_ns);
}

/* An account that counts, and refuses what passes a limit; for tests. */
#ifndef PURSE_H
#define PURSE_H

#include "base/atomic.h"
#include "troupe/backend.h"

struct purse {
    struct troupe_account account;
    struct trp_counter bytes;
    uint64_t most;
};

static inline int32_t purse_charge(void *user, uint64_t bytes)
{
    struct purse *p = user;
    return trp_counter_try_add(&p->bytes, bytes, p->most) ? 1 : 0;
}

static inline void purse_discharge(void *user, uint64_t bytes)
{
    struct purse *p = user;
    trp_counter_sub(&p->bytes, bytes);
}

static inline void purse_init(struct purse *p, uint64_t most)
{
    *p = (struct purse){ .most = most };
    p->account = (struct troupe_account){ .struct_size = sizeof p->account,
                                          .user = p,
                                          .charge = purse_charge,
                                          .discharge = purse_discharge };
}

#endif

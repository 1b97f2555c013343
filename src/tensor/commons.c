/* tensor/commons.c - see commons.h.
 *
 * A yard (yard.h) whose descriptor others get for reading only.  What was given back is forgotten
 * at once: whoever takes from here keeps what he will soon need again himself (pool.h).
 *
 *  1. Nothing but `paid_bytes` is touched before the flag is up, and nothing but that and the
 *     yard's own changes afterwards. */
#include "tensor/commons.h"

#include <unistd.h>

struct trp_commons {
    const struct trp_alloc *alloc;
    uint64_t bytes_max;
    struct trp_lock lock; /* of whoever opens it */
    struct trp_flag is_open;
    struct trp_yard yard;
    int reader;
    struct trp_counter paid_bytes; /* as asked for */
};

trp_status trp_commons_create(const struct trp_alloc *alloc, uint64_t bytes,
                              struct trp_commons **out_commons, struct trp_error *err)
{
    *out_commons = NULL;
    struct trp_commons *c = trp_alloc_zeroed(alloc, 1, sizeof *c);
    if (!c)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "memory that worker processes may look at");
    c->alloc = alloc;
    c->bytes_max = bytes;
    trp_lock_init(&c->lock, TRP_LOCK_COMMONS);
    *out_commons = c;
    return trp_ok();
}

void trp_commons_destroy(struct trp_commons *c)
{
    if (!c)
        return;
    if (trp_commons_is_open(c)) {
        TRP_ASSERT(trp_counter_get(&c->yard.taken) ==
                   0); /* who has it would write where nothing is */
        close(c->reader);
        trp_yard_deinit(&c->yard);
    }
    trp_lock_deinit(&c->lock);
    trp_alloc_free(c->alloc, c);
}

static trp_status make(struct trp_commons *c, struct trp_error *err)
{
    struct trp_shm shm;
    TRP_CHECK(trp_shm_create("troupe-commons", c->bytes_max, &shm, err));
    const trp_status st = trp_shm_open_reader(&shm, &c->reader, err);
    if (trp_failed(st)) {
        trp_shm_close(&shm);
        return st;
    }
    trp_yard_init(&c->yard, &shm);
    trp_flag_raise(&c->is_open);
    return st;
}

trp_status trp_commons_open(struct trp_commons *c, struct trp_error *err)
{
    trp_lock_enter(&c->lock);
    const trp_status st = trp_commons_is_open(c) ? trp_ok() : make(c, err);
    trp_lock_leave(&c->lock);
    return st;
}

bool trp_commons_is_open(const struct trp_commons *c)
{
    return trp_flag_is_up(&c->is_open);
}

struct trp_plot *trp_commons_take(struct trp_commons *c, const struct troupe_account *payer,
                                  uint64_t bytes)
{
    if (!trp_commons_is_open(c) || (payer && payer->charge(payer->user, bytes) == 0))
        return NULL;
    struct trp_plot *plot = trp_yard_take(&c->yard, bytes);
    if (plot && payer)
        trp_counter_add(&c->paid_bytes, bytes);
    else if (payer)
        payer->discharge(payer->user, bytes);
    return plot;
}

void trp_commons_give(struct trp_commons *c, const struct troupe_account *payer,
                      struct trp_plot *plot, uint64_t bytes)
{
    trp_shm_forget(&c->yard.shm, plot->at, plot->bytes);
    trp_yard_give(&c->yard, plot);
    if (!payer)
        return;
    trp_counter_sub(&c->paid_bytes, bytes);
    payer->discharge(payer->user, bytes);
}

uint64_t trp_commons_paid_bytes(const struct trp_commons *c)
{
    return trp_counter_get(&c->paid_bytes);
}

struct trp_commons_use trp_commons_look(const struct trp_commons *c)
{
    struct trp_commons_use use = { .limit_bytes = c->bytes_max };
    if (!trp_commons_is_open(c))
        return use;
    use.limit_bytes = c->yard.shm.bytes;
    use.bytes = trp_counter_get(&c->yard.taken);
    use.refused = trp_counter_get(&c->yard.refused);
    return use;
}

uint64_t trp_commons_bytes(const struct trp_commons *c, int *out_fd)
{
    const bool is_open = trp_commons_is_open(c);
    *out_fd = is_open ? c->reader : -1;
    return is_open ? c->yard.shm.bytes : 0;
}

bool trp_commons_find(const struct trp_commons *c, const void *ptr, uint64_t bytes,
                      uint64_t *out_at)
{
    return trp_commons_is_open(c) && trp_yard_find(&c->yard.shm, ptr, bytes, out_at);
}

char *trp_commons_at(const struct trp_commons *c, uint64_t at)
{
    return c->yard.shm.ptr + at;
}

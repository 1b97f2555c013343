/* residence/shares.c - see shares.h */
#include "residence/shares.h"

#define SHARES_MAX 50000000u /* names in the table: far more than there can be mappings */

trp_status trp_shares_init(struct trp_shares *s, const struct trp_alloc *alloc,
                           struct trp_error *err)
{
    *s = (struct trp_shares){ .alloc = alloc };
    return trp_table_create(alloc, SHARES_MAX, &s->names, err);
}

void trp_shares_deinit(struct trp_shares *s)
{
    TRP_ASSERT(!s->names || trp_table_count(s->names) == 0);
    TRP_ASSERT(s->used_bytes == 0 && s->going_bytes == 0);
    trp_table_destroy(s->names);
    *s = (struct trp_shares){ 0 };
}

trp_status trp_share_meet(struct trp_shares *s, const char *name, uint64_t bytes,
                          struct trp_share **out_share, struct trp_error *err)
{
    const size_t len = strlen(name);
    struct trp_share *h = trp_table_get(s->names, trp_str_make(name, len));
    *out_share = h;
    if (h) {
        h->known++;
        return trp_ok();
    }
    h = trp_alloc_zeroed(s->alloc, 1, sizeof *h + len + 1);
    if (!h)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "a share");
    h->shares = s;
    h->bytes = bytes;
    h->known = 1;
    memcpy(h->name, name, len + 1);
    const trp_status st = trp_table_put(s->names, trp_str_make(h->name, len), h, NULL, err);
    if (trp_failed(st)) {
        trp_alloc_free(s->alloc, h);
        return st;
    }
    *out_share = h;
    return st;
}

void trp_share_forget(struct trp_share *h)
{
    struct trp_shares *s = h->shares;
    if (--h->known > 0)
        return;
    TRP_ASSERT(h->users == 0);
    (void)trp_table_take(s->names, trp_str_of(h->name));
    trp_alloc_free(s->alloc, h);
}

/* Keeps the two sums while a share's counts change. */
static void add_up(struct trp_share *h, int32_t users, int32_t leaving)
{
    struct trp_shares *s = h->shares;
    s->used_bytes -= h->users > 0 ? h->bytes : 0;
    s->going_bytes -= trp_share_is_going(h) ? h->bytes : 0;
    h->users += (uint32_t)users;
    h->leaving += (uint32_t)leaving;
    TRP_DEBUG_ASSERT(h->leaving <= h->users);
    s->used_bytes += h->users > 0 ? h->bytes : 0;
    s->going_bytes += trp_share_is_going(h) ? h->bytes : 0;
}

void trp_share_enter(struct trp_share *h)
{
    add_up(h, 1, 0);
}

void trp_share_leave(struct trp_share *h)
{
    add_up(h, 0, 1);
}

void trp_share_stay(struct trp_share *h)
{
    add_up(h, 0, -1);
}

void trp_share_exit(struct trp_share *h, bool was_leaving)
{
    add_up(h, -1, was_leaving ? -1 : 0);
}

/* exec/gather_room.c - see gather_room.h. */
#include "exec/gather_room.h"

#define GATHER_ALIGN 64
#define SPARE_MAX ((uint64_t)1 << 20)
#define SPARE_FIRST 4096u

void trp_gather_room_init(struct trp_gather_room *r, const struct trp_alloc *alloc)
{
    *r = (struct trp_gather_room){ .alloc = alloc };
}

void trp_gather_room_deinit(struct trp_gather_room *r)
{
    trp_alloc_free(r->alloc, r->spare);
    if (r->spare_plot)
        trp_commons_give(r->commons, NULL, r->spare_plot, 0);
}

static void *get_spare(struct trp_gather_room *r, uint64_t bytes)
{
    uint64_t room = r->spare_bytes ? r->spare_bytes : SPARE_FIRST;
    if (bytes <= r->spare_bytes)
        return r->spare;
    while (room < bytes)
        room *= 2;
    trp_alloc_free(r->alloc, r->spare);
    r->spare = trp_alloc_aligned(r->alloc, room, GATHER_ALIGN);
    r->spare_bytes = r->spare ? room : 0;
    return r->spare;
}

static struct trp_plot *get_plot(struct trp_gather_room *r, struct trp_commons *commons,
                                 uint64_t bytes)
{
    if (r->spare_plot && r->spare_plot->bytes >= bytes)
        return r->spare_plot;
    struct trp_plot *plot = trp_commons_take(commons, NULL, bytes);
    if (!plot || bytes > SPARE_MAX)
        return plot;
    if (r->spare_plot)
        trp_commons_give(r->commons, NULL, r->spare_plot, 0);
    r->commons = commons;
    r->spare_plot = plot;
    return plot;
}

/* Where nothing is charged yet. */
static void find(struct trp_gather_room *r, struct trp_commons *commons, uint64_t bytes,
                 struct trp_gathered *out)
{
    struct trp_plot *plot = commons ? get_plot(r, commons, bytes) : NULL;
    if (plot)
        *out = (struct trp_gathered){ .ptr = plot->ptr, .commons = commons, .plot = plot };
    else if (bytes <= SPARE_MAX)
        *out = (struct trp_gathered){ .ptr = get_spare(r, bytes), .from = r->alloc };
}

bool trp_gather_room_take(struct trp_gather_room *r, struct trp_commons *commons,
                          struct trp_account *account, uint64_t bytes, struct trp_gathered *out)
{
    *out = (struct trp_gathered){ .ptr = NULL };
    find(r, commons, bytes, out);
    out->account = account;
    if (!out->ptr && bytes > SPARE_MAX) {
        out->from = &account->alloc;
        out->ptr = trp_alloc_aligned(out->from, bytes, GATHER_ALIGN);
        return out->ptr != NULL;
    }
    if (!out->ptr)
        return false;
    if (trp_account_try_charge(account, bytes)) {
        out->charged_bytes = bytes;
        return true;
    }
    trp_gather_room_give(r, out);
    return false;
}

void trp_gather_room_give(struct trp_gather_room *r, struct trp_gathered *g)
{
    if (g->plot && (!r || g->plot != r->spare_plot))
        trp_commons_give(g->commons, NULL, g->plot, 0);
    else if (g->from && (!r || g->ptr != r->spare))
        trp_alloc_free(g->from, g->ptr);
    if (g->charged_bytes > 0)
        trp_account_discharge(g->account, g->charged_bytes);
    *g = (struct trp_gathered){ .ptr = NULL };
}

void trp_gather_room_keep(struct trp_gather_room *r, const struct trp_gathered *g)
{
    if (g->plot && g->plot == r->spare_plot)
        r->spare_plot = NULL;
    if (g->from && g->ptr == r->spare) {
        r->spare = NULL;
        r->spare_bytes = 0;
    }
}

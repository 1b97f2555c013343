/* residence/guest.c - see guest.h */
#include "residence/guest.h"

#include "residence/residence.h"

/* ---- the books ---- */

/* Shared blobs are held once, whoever uses them. */
static void book_shares(struct trp_residence *r)
{
    const struct trp_amounts shared = { { r->shares.used_bytes } };
    if (r->shared_hold.amounts.of[TRP_RESOURCE_BYTES] != r->shares.used_bytes)
        trp_ledger_commit(r->opts.ledger, &r->shared_hold, shared);
}

uint64_t trp_stay_loading_bytes(const struct trp_stay *s)
{
    return trp_amounts_sum(s->own, s->extra).of[TRP_RESOURCE_BYTES];
}

static void drop_shares(struct trp_stay *s)
{
    struct trp_residence *r = s->guest->residence;
    const bool is_leaving = s->state == TRP_STAY_LEAVING;
    for (uint32_t i = 0; i < s->shares_n; i++) {
        if (s->state != TRP_STAY_WAITING)
            trp_share_exit(s->shares[i], is_leaving);
        trp_share_forget(s->shares[i]);
    }
    trp_alloc_free(r->alloc, s->shares);
    s->shares = NULL;
    s->shares_n = 0;
}

/* What the guest's versions have answered since it was looked at last. */
static void count_answers(struct trp_stay *s)
{
    if (!s->stats)
        return;
    const struct trp_residence *r = s->guest->residence;
    const uint64_t n =
        trp_counter_get(&s->stats->success.count) + trp_counter_get(&s->stats->fail.count);
    const int64_t last_ns = (int64_t)trp_counter_get(&s->stats->last_asked_ns);
    if (n > s->counted)
        trp_rate_add(&s->guest->rate, (double)(n - s->counted),
                     last_ns > 0 ? last_ns : trp_loop_now_ns(r->opts.control),
                     TRP_RESIDENCE_HALF_LIFE_NS);
    s->counted = n;
}

void trp_guest_count(struct trp_guest *g)
{
    for (struct trp_stay *s = g->stays; s; s = s->next)
        count_answers(s);
}

/* ---- guests and stays ---- */

trp_status trp_guest_create(struct trp_residence *r, struct trp_str name, void *owner,
                            struct trp_guest **out_guest, struct trp_error *err)
{
    struct trp_guest *g = trp_alloc_zeroed(r->alloc, 1, sizeof *g);
    *out_guest = g;
    if (!g)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "a guest");
    *g = (struct trp_guest){
        .residence = r, .name = name, .owner = owner, .id = ++r->last_id, .refs = 1
    };
    r->known_n++;
    return trp_ok();
}

static void unref_guest(struct trp_guest *g)
{
    struct trp_residence *r = g->residence;
    if (--g->refs > 0)
        return;
    r->known_n--;
    trp_alloc_free(r->alloc, g);
}

void trp_guest_part(struct trp_guest *g)
{
    if (!g)
        return;
    trp_thrash_forget(&g->residence->thrash, g->id);
    g->owner = NULL;
    g->name = (struct trp_str){ 0 };
    unref_guest(g);
}

static void check_in(struct trp_guest *g, struct trp_stay *s)
{
    struct trp_residence *r = g->residence;
    s->guest = g;
    s->next = g->stays;
    g->stays = s;
    g->refs++;
    if (s->next)
        return;
    g->prev = NULL;
    g->next = r->guests;
    if (g->next)
        g->next->prev = g;
    r->guests = g;
    r->guests_n++;
}

static void check_out(struct trp_stay *s)
{
    struct trp_guest *g = s->guest;
    struct trp_residence *r = g->residence;
    struct trp_stay **at = &g->stays;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    *s = (struct trp_stay){ .state = TRP_STAY_OUT };
    if (!g->stays) {
        if (g->prev)
            g->prev->next = g->next;
        else
            r->guests = g->next;
        if (g->next)
            g->next->prev = g->prev;
        g->next = g->prev = NULL;
        r->guests_n--;
    }
    unref_guest(g);
}

trp_status trp_stay_expect(struct trp_guest *g, struct trp_stay *stay, const struct trp_size *size,
                           const struct trp_stats *stats, struct trp_error *err)
{
    struct trp_residence *r = g->residence;
    struct trp_share **shares =
        size->pieces_n ? trp_alloc_zeroed(r->alloc, size->pieces_n, sizeof(struct trp_share *))
                       : NULL;
    if (size->pieces_n && !shares)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory to load the model");
    for (uint32_t i = 0; i < size->pieces_n; i++) {
        const trp_status st = trp_share_meet(&r->shares, size->pieces[i].name,
                                             size->pieces[i].bytes, &shares[i], err);
        if (!trp_failed(st))
            continue;
        while (i-- > 0)
            trp_share_forget(shares[i]);
        trp_alloc_free(r->alloc, shares);
        return st;
    }
    *stay = (struct trp_stay){ .state = TRP_STAY_WAITING,
                               .own = size->own,
                               .extra = size->extra,
                               .shares = shares,
                               .shares_n = size->pieces_n,
                               .stats = stats };
    check_in(g, stay);
    return trp_ok();
}

void trp_stay_admit(struct trp_stay *s)
{
    struct trp_residence *r = s->guest->residence;
    TRP_ASSERT(s->state == TRP_STAY_WAITING);
    s->state = TRP_STAY_COMING;
    r->coming_n++;
    r->coming_bytes += trp_stay_loading_bytes(s);
    for (uint32_t i = 0; i < s->shares_n; i++)
        trp_share_enter(s->shares[i]);
    trp_ledger_commit(r->opts.ledger, &s->hold, trp_amounts_sum(s->own, s->extra));
    book_shares(r);
}

static void end_coming(struct trp_stay *s)
{
    struct trp_residence *r = s->guest->residence;
    r->coming_n--;
    r->coming_bytes -= trp_stay_loading_bytes(s);
}

void trp_stay_settle(struct trp_stay *s, struct trp_amounts own, bool has_shared, int64_t load_ns)
{
    if (s->state != TRP_STAY_COMING)
        return;
    struct trp_guest *g = s->guest;
    struct trp_residence *r = g->residence;
    end_coming(s);
    if (!has_shared)
        drop_shares(s);
    s->state = TRP_STAY_IN;
    s->own = own;
    s->extra = (struct trp_amounts){ { 0 } };
    g->loaded_ns = trp_loop_now_ns(r->opts.control);
    g->reload_ns = load_ns;
    trp_ledger_commit(r->opts.ledger, &s->hold, own);
    book_shares(r);
    trp_residence_stir(r);
}

void trp_stay_leave(struct trp_stay *s)
{
    if (s->state != TRP_STAY_IN)
        return;
    count_answers(s);
    s->state = TRP_STAY_LEAVING;
    for (uint32_t i = 0; i < s->shares_n; i++)
        trp_share_leave(s->shares[i]);
}

void trp_stay_end(struct trp_stay *s)
{
    if (s->state == TRP_STAY_OUT)
        return;
    struct trp_residence *r = s->guest->residence;
    count_answers(s);
    if (s->state == TRP_STAY_COMING)
        end_coming(s);
    drop_shares(s);
    trp_ledger_release(r->opts.ledger, &s->hold);
    book_shares(r);
    check_out(s);
    trp_residence_stir(r);
}

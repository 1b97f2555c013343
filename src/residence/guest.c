/* residence/guest.c - see guest.h */
#include "residence/guest.h"

#include "residence/residence.h"

#define REST_PART 8u /* who hibernates keeps at most one part in so many of what that gives back */
#define PRIVATE_REST 16u /* before it was measured, of weights that nobody shares */
#define BAD_WAKES 2u

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
    return trp_amounts_less(trp_amounts_sum(s->own, s->extra), s->rest).of[TRP_RESOURCE_BYTES];
}

static void enter_shares(struct trp_stay *s)
{
    for (uint32_t i = 0; i < s->shares_n; i++)
        trp_share_enter(s->shares[i]);
    s->is_sharing = true;
}

static void exit_shares(struct trp_stay *s)
{
    const bool is_leaving = s->state == TRP_STAY_LEAVING || s->state == TRP_STAY_DOZING;
    for (uint32_t i = 0; s->is_sharing && i < s->shares_n; i++)
        trp_share_exit(s->shares[i], is_leaving);
    s->is_sharing = false;
}

static void drop_shares(struct trp_stay *s)
{
    struct trp_residence *r = s->guest->residence;
    exit_shares(s);
    for (uint32_t i = 0; i < s->shares_n; i++)
        trp_share_forget(s->shares[i]);
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
    const uint64_t n = trp_stats_asked(s->stats);
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
    enter_shares(s);
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

/* ---- hibernation ---- */

static bool is_open(const struct trp_stay *s)
{
    return s->state == TRP_STAY_IN || s->state == TRP_STAY_DOZING || s->state == TRP_STAY_ASLEEP ||
           s->is_waking;
}

/* What is known is known of all its versions together.  While they come and go one by one nothing
 * is to be forgotten, nor while none is there: only when others are there together than were. */
static void know_versions(struct trp_guest *g)
{
    uint64_t of = 0;
    bool is_there = false;
    for (const struct trp_stay *s = g->stays; s; s = s->next) {
        if (s->state == TRP_STAY_LEAVING)
            continue;
        if (!is_open(s))
            return;
        is_there = true;
        of += s->digest;
    }
    if (is_there && of != g->sleep.of)
        g->sleep = (struct trp_sleep){ .is_able = g->sleep.is_able, .of = of };
}

static void count_asleep(struct trp_stay *s, bool is_asleep)
{
    struct trp_residence *r = s->guest->residence;
    const uint64_t bytes = s->rest.of[TRP_RESOURCE_BYTES];
    r->asleep_n += is_asleep ? 1u : -1u;
    r->asleep_bytes += is_asleep ? bytes : (uint64_t)0 - bytes;
}

/* Its backend is open as before, so it keeps the same mappings and descriptors. */
struct trp_amounts trp_stay_rest(const struct trp_stay *s)
{
    const struct trp_sleep *known = &s->guest->sleep;
    struct trp_amounts rest = s->own;
    if (known->rest_bytes > 0 && known->rest_bytes < rest.of[TRP_RESOURCE_BYTES])
        rest.of[TRP_RESOURCE_BYTES] = known->rest_bytes;
    else if (known->rest_bytes == 0 && s->shares_n == 0)
        rest.of[TRP_RESOURCE_BYTES] /= PRIVATE_REST;
    return rest;
}

void trp_stay_doze(struct trp_stay *s)
{
    if (s->state != TRP_STAY_IN)
        return;
    know_versions(s->guest);
    s->state = TRP_STAY_DOZING;
    s->rest = trp_stay_rest(s);
    for (uint32_t i = 0; s->is_sharing && i < s->shares_n; i++)
        trp_share_leave(s->shares[i]);
}

void trp_stay_rouse(struct trp_stay *s)
{
    if (s->state != TRP_STAY_DOZING)
        return;
    s->state = TRP_STAY_IN;
    s->rest = (struct trp_amounts){ { 0 } };
    for (uint32_t i = 0; s->is_sharing && i < s->shares_n; i++)
        trp_share_stay(s->shares[i]);
    trp_residence_stir(s->guest->residence);
}

void trp_stay_sleep(struct trp_stay *s, struct trp_amounts rest)
{
    if (s->state != TRP_STAY_DOZING)
        return;
    struct trp_residence *r = s->guest->residence;
    exit_shares(s);
    s->state = TRP_STAY_ASLEEP;
    s->rest = rest;
    s->guest->sleep.rest_bytes = rest.of[TRP_RESOURCE_BYTES];
    s->guest->sleep.since_ns = trp_loop_now_ns(r->opts.control);
    trp_ledger_commit(r->opts.ledger, &s->hold, rest);
    book_shares(r);
    count_asleep(s, true);
    trp_residence_stir(r);
}

void trp_stay_wake(struct trp_stay *s)
{
    if (s->state != TRP_STAY_ASLEEP)
        return;
    count_asleep(s, false);
    s->state = TRP_STAY_WAITING;
    s->is_waking = true;
}

/* Back to what it has while it sleeps, from wherever it was on its way. */
static void end_waking(struct trp_stay *s)
{
    struct trp_residence *r = s->guest->residence;
    if (s->state == TRP_STAY_COMING) {
        end_coming(s);
        exit_shares(s);
        trp_ledger_commit(r->opts.ledger, &s->hold, s->rest);
        book_shares(r);
    }
    s->is_waking = false;
}

void trp_stay_sleep_on(struct trp_stay *s)
{
    if (!s->is_waking)
        return;
    end_waking(s);
    s->state = TRP_STAY_ASLEEP;
    count_asleep(s, true);
    trp_residence_stir(s->guest->residence);
}

void trp_stay_awake(struct trp_stay *s)
{
    if (s->state != TRP_STAY_COMING || !s->is_waking)
        return;
    struct trp_guest *g = s->guest;
    end_coming(s);
    s->state = TRP_STAY_IN;
    s->is_waking = false;
    s->rest = (struct trp_amounts){ { 0 } };
    g->loaded_ns = trp_loop_now_ns(g->residence->opts.control);
    trp_residence_stir(g->residence);
}

bool trp_guest_learn_wake(struct trp_guest *g, int64_t wake_ns)
{
    g->sleep.wake_ns = wake_ns > 0 ? wake_ns : 1;
    g->sleep.bad_n = wake_ns > g->reload_ns ? g->sleep.bad_n + 1 : 0;
    if (g->sleep.bad_n < BAD_WAKES)
        return false;
    g->sleep.is_unfit = true;
    return true;
}

/* Also calls that are set aside, which do not keep it from being evicted. */
static bool is_asked(const struct trp_stay *s)
{
    return s->stats && trp_gauge_get(&s->stats->in_flight) > 0;
}

void trp_guest_spoil_sleep(struct trp_guest *g, const char *why)
{
    const struct trp_str words = trp_str_of(why);
    const size_t most = sizeof g->sleep.why - 1;
    know_versions(g);
    g->sleep.is_unfit = true;
    (void)trp_str_copy(trp_str_make(words.ptr, words.len < most ? words.len : most), g->sleep.why,
                       sizeof g->sleep.why);
}

const char *trp_guest_unfit(struct trp_guest *g)
{
    if (!g->is_held)
        know_versions(g);
    return g->sleep.is_unfit ? g->sleep.why : NULL;
}

bool trp_guest_may_sleep(struct trp_guest *g)
{
    uint64_t rest = 0, freed = 0;
    if (!g->is_held)
        know_versions(g);
    if (!g->sleep.is_able || g->sleep.is_unfit)
        return false;
    for (const struct trp_stay *s = g->stays; s; s = s->next) {
        if (s->state == TRP_STAY_LEAVING)
            continue;
        if (s->state != TRP_STAY_IN || is_asked(s))
            return false;
        const uint64_t stays = trp_stay_rest(s).of[TRP_RESOURCE_BYTES];
        rest += stays;
        freed += s->own.of[TRP_RESOURCE_BYTES] - stays;
        for (uint32_t i = 0; i < s->shares_n; i++)
            freed += s->shares[i]->bytes;
    }
    return freed > 0 && rest <= freed / REST_PART && rest <= g->residence->opts.asleep_bytes_max;
}

bool trp_guest_is_asleep(const struct trp_guest *g)
{
    bool is_asleep = false;
    for (const struct trp_stay *s = g->stays; s; s = s->next) {
        if (is_open(s) && s->state != TRP_STAY_ASLEEP)
            return false;
        is_asleep = is_asleep || s->state == TRP_STAY_ASLEEP;
    }
    return is_asleep;
}

/* ---- going ---- */

void trp_stay_leave(struct trp_stay *s)
{
    if (!is_open(s))
        return;
    count_answers(s);
    if (s->state == TRP_STAY_ASLEEP)
        count_asleep(s, false);
    if (s->is_waking)
        end_waking(s);
    for (uint32_t i = 0; s->is_sharing && s->state != TRP_STAY_DOZING && i < s->shares_n; i++)
        trp_share_leave(s->shares[i]);
    s->state = TRP_STAY_LEAVING;
    s->left_ns = trp_loop_now_ns(s->guest->residence->opts.control);
    s->rest = (struct trp_amounts){ { 0 } };
}

void trp_stay_end(struct trp_stay *s)
{
    if (s->state == TRP_STAY_OUT)
        return;
    struct trp_residence *r = s->guest->residence;
    count_answers(s);
    if (s->state == TRP_STAY_ASLEEP)
        count_asleep(s, false);
    if (s->state == TRP_STAY_COMING)
        end_coming(s);
    drop_shares(s);
    trp_ledger_release(r->opts.ledger, &s->hold);
    book_shares(r);
    check_out(s);
    trp_residence_stir(r);
}

/* memory/headroom.c - see headroom.h.
 *
 *   hold of a model = max(what its account holds, what is expected of its runs under way)
 *
 * The account is exact but knows only the past, the estimate looks ahead but knows nothing of what
 * is kept between runs; each covers what the other does not see.  Most runs change neither: a model
 * that runs again and again finds the last run's memory in its backend's cache, and the hold stays
 * as it is, so the ledger is not asked. */
#include "memory/headroom.h"

#include "base/thread.h"
#include "memory/recollection.h"

#define SLACK_RUNS 4 /* so many runs that ask nobody are no reason for the ledger's lock */
#define STALE_NS INT64_C(3000000000) /* who waits is tried again each second, or has gone */

struct trp_headroom_book {
    struct trp_headrooms *all;
    struct trp_account *account;
    struct trp_headroom_book *next, **link;
    struct trp_hold hold;
    struct trp_peaks peaks;
    uint64_t running_bytes; /* expected of runs under way */
    uint64_t grown_bytes;   /* that these took beyond it */
    uint32_t running_n;
};

struct trp_headrooms {
    const struct trp_alloc *alloc;
    struct trp_headrooms_opts opts;
    struct trp_lock lock;
    struct trp_headroom_book *books; /* all of these under `lock` */
    const struct trp_headroom_book *waiter;
    int64_t waits_since_ns, asked_last_ns;
    struct trp_recollection past;
};

static struct trp_amounts only_bytes(uint64_t n)
{
    return (struct trp_amounts){ { [TRP_RESOURCE_BYTES] = n } };
}

trp_status trp_headrooms_create(const struct trp_alloc *alloc,
                                const struct trp_headrooms_opts *opts,
                                struct trp_headrooms **out_all, struct trp_error *err)
{
    *out_all = NULL;
    struct trp_headrooms *all = trp_alloc_zeroed(alloc, 1, sizeof *all);
    if (!all)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "the books of what runs hold");
    all->alloc = alloc;
    all->opts = *opts;
    all->past = (struct trp_recollection){ .alloc = alloc, .most = opts->remembered_max };
    trp_lock_init(&all->lock, TRP_LOCK_HEADROOM);
    *out_all = all;
    return trp_ok();
}

void trp_headrooms_destroy(struct trp_headrooms *all)
{
    if (!all)
        return;
    while (
        all->books) { /* of models that were never freed, because somebody still has their memory */
        struct trp_headroom_book *book = all->books;
        all->books = book->next;
        trp_account_guard(book->account, NULL, NULL, 0);
        (void)trp_ledger_settle(all->opts.ledger, &book->hold, only_bytes(0));
        trp_alloc_free(all->alloc, book);
    }
    trp_recollection_clear(&all->past);
    trp_lock_deinit(&all->lock);
    trp_alloc_free(all->alloc, all);
}

/* --- one model's hold; the lock is held ------------------------------------------------------- */

static uint64_t held_by(const struct trp_headroom_book *book)
{
    return book->hold.amounts.of[TRP_RESOURCE_BYTES];
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static bool take_more(void *user, uint64_t bytes);

/* What the hold has to be with so much more on its way. */
static uint64_t wanted_by(const struct trp_headroom_book *book, uint64_t more)
{
    return larger(trp_counter_get(&book->account->bytes),
                  book->running_bytes + book->grown_bytes + more);
}

static void guard_follows(struct trp_headroom_book *book)
{
    const uint64_t slack = SLACK_RUNS * book->all->opts.small_bytes;
    trp_account_set_room(book->account, held_by(book) + slack);
}

static void recall(struct trp_headrooms *all, struct trp_headroom *h)
{
    const struct trp_recalled *past = trp_recollection_find(&all->past, h->key);
    if (!past)
        return;
    h->book->peaks = past->peaks;
    trp_counter_set(&h->small_size, past->small_size);
}

static struct trp_headroom_book *book_of(struct trp_headrooms *all, struct trp_headroom *h,
                                         struct trp_account *account)
{
    struct trp_headroom_book *book = h->book;
    if (book)
        return book;
    book = trp_alloc_zeroed(all->alloc, 1, sizeof *book);
    if (!book)
        return NULL;
    book->all = all;
    book->account = account;
    book->next = all->books;
    book->link = &all->books;
    if (all->books)
        all->books->link = &book->next;
    all->books = book;
    h->book = book;
    trp_account_guard(account, take_more, book, 0);
    guard_follows(book);
    recall(all, h);
    return book;
}

/* Lets the hold follow what is there; small steps are not worth the ledger's lock.  True: listeners
 * have to be told. */
static bool follow(struct trp_headrooms *all, struct trp_headroom_book *book, bool exactly)
{
    const uint64_t want = wanted_by(book, 0), held = held_by(book);
    const uint64_t less = held > want ? held - want : 0;
    if (want == held || (less > 0 && want > 0 && !exactly && less < held / 16))
        return false;
    const bool tell = trp_ledger_settle(all->opts.ledger, &book->hold, only_bytes(want));
    guard_follows(book);
    return tell;
}

static bool follow_all(struct trp_headrooms *all)
{
    bool tell = false;
    for (struct trp_headroom_book *book = all->books; book; book = book->next)
        tell |= follow(all, book, true);
    return tell;
}

/* --- whose turn it is; the lock is held ------------------------------------------------------- */

static bool is_turn_of(struct trp_headrooms *all, const struct trp_headroom_book *book,
                       int64_t now_ns)
{
    if (all->waiter && now_ns - all->asked_last_ns > STALE_NS)
        all->waiter = NULL; /* its calls were cancelled, or expired */
    return !all->waiter || all->waiter == book ||
           now_ns - all->waits_since_ns < all->opts.patience_ns;
}

static void wait_for_turn(struct trp_headrooms *all, const struct trp_headroom_book *book,
                          int64_t now_ns)
{
    if (!all->waiter) {
        all->waiter = book;
        all->waits_since_ns = now_ns;
    }
    if (all->waiter == book)
        all->asked_last_ns = now_ns;
}

/* --- a run ------------------------------------------------------------------------------------ */

/* Whether a run fits when everybody goes but its own model. */
static bool can_ever_fit(struct trp_headrooms *all, uint64_t bytes, uint64_t beside)
{
    struct trp_budget b;
    uint64_t together;
    trp_ledger_look(all->opts.ledger, &b);
    const struct trp_amounts reach = trp_budget_reach(&b, (struct trp_amounts){ { 0 } });
    return !__builtin_add_overflow(bytes, beside, &together) &&
           together <= reach.of[TRP_RESOURCE_BYTES];
}

/* Reserves what the hold lacks, and joins both. */
static enum trp_reserve grow_by(struct trp_headrooms *all, struct trp_headroom_book *book,
                                uint64_t more)
{
    struct trp_hold extra = { .is_committed = false };
    const enum trp_reserve r = trp_ledger_reserve(all->opts.ledger, only_bytes(more), &extra);
    if (r == TRP_RESERVE_DONE)
        trp_ledger_join(all->opts.ledger, &book->hold, &extra);
    if (r == TRP_RESERVE_DONE)
        guard_follows(book);
    return r;
}

static uint64_t lack_of(const struct trp_headroom_book *book, uint64_t bytes)
{
    const uint64_t want = wanted_by(book, bytes), held = held_by(book);
    return want > held ? want - held : 0;
}

/* A run takes what it was not expected to.  */
static bool take_more(void *user, uint64_t bytes)
{
    struct trp_headroom_book *book = user;
    struct trp_headrooms *all = book->all;
    trp_lock_enter(&all->lock);
    const uint64_t want = trp_counter_get(&book->account->bytes) + bytes, held = held_by(book);
    const uint64_t lack = want > held ? want - held : 0;
    const bool is_more = lack == 0 || grow_by(all, book, lack) == TRP_RESERVE_DONE;
    if (is_more && book->running_n > 0)
        book->grown_bytes += lack;
    trp_lock_leave(&all->lock);
    return is_more;
}

static enum trp_reserve make_room(struct trp_headrooms *all, struct trp_headroom_book *book,
                                  const struct trp_headroom_ask *ask, uint64_t bytes, bool *tell)
{
    uint64_t lack = lack_of(book, bytes);
    enum trp_reserve r = TRP_RESERVE_NOT_NOW;
    if (lack == 0)
        return TRP_RESERVE_DONE;
    if (is_turn_of(all, book, ask->now_ns))
        r = grow_by(all, book, lack);
    if (r != TRP_RESERVE_DONE) { /* perhaps holds have more than is there by now */
        *tell = follow_all(all);
        lack = lack_of(book, bytes);
        if (*tell && is_turn_of(all, book, ask->now_ns))
            r = grow_by(all, book, lack);
    }
    if (r != TRP_RESERVE_DONE)
        r = can_ever_fit(all, bytes, ask->beside_bytes) ? TRP_RESERVE_NOT_NOW : TRP_RESERVE_NEVER;
    return r;
}

static uint64_t expected_of(const struct trp_headroom_book *book,
                            const struct trp_headroom_ask *ask, uint64_t size)
{
    uint64_t bytes =
        ask->is_part ? trp_peaks_hope(&book->peaks, size) : trp_peaks_estimate(&book->peaks, size);
    if (bytes == 0)
        bytes = ask->guess_bytes;
    bytes = larger(bytes, ask->least_bytes);
    return __builtin_add_overflow(bytes, ask->kept_bytes, &bytes) ? UINT64_MAX : bytes;
}

enum trp_reserve trp_headroom_begin(struct trp_headrooms *all, struct trp_headroom *h,
                                    const struct trp_headroom_ask *ask,
                                    struct trp_headroom_pass *pass, struct trp_amounts *out_need)
{
    const uint64_t size = larger(ask->size, 1);
    bool tell = false;
    *pass = (struct trp_headroom_pass){ .bytes = 0 };
    trp_lock_enter(&all->lock);
    struct trp_headroom_book *book = book_of(all, h, ask->account);
    if (!book) {
        trp_lock_leave(&all->lock);
        return TRP_RESERVE_DONE;
    }
    uint64_t bytes = expected_of(book, ask, size);
    enum trp_reserve r = make_room(all, book, ask, bytes, &tell);
    if (r == TRP_RESERVE_NEVER) { /* the estimate is on the safe side, and so no reason to refuse */
        struct trp_headroom_ask hopes = *ask;
        hopes.is_part = true;
        bytes = expected_of(book, &hopes, size);
        r = make_room(all, book, ask, bytes, &tell);
    }
    if (r == TRP_RESERVE_DONE) {
        book->running_bytes += bytes;
        book->running_n++;
        *pass = (struct trp_headroom_pass){ .bytes = bytes,
                                            .is_counted = true,
                                            .ends_wait = all->waiter == book };
        all->waiter = pass->ends_wait ? NULL : all->waiter;
    } else {
        *out_need =
            only_bytes(r == TRP_RESERVE_NEVER ? bytes + ask->beside_bytes : lack_of(book, bytes));
        if (r == TRP_RESERVE_NOT_NOW && !ask->is_try)
            wait_for_turn(all, book, ask->now_ns);
        pass->is_first =
            all->waiter == book && ask->now_ns - all->waits_since_ns < TRP_HEADROOM_FIRST_NS;
    }
    trp_lock_leave(&all->lock);
    if (tell)
        trp_ledger_tell_room(all->opts.ledger);
    return r;
}

/* A size up to which nobody need ask, while that is so for all that is known. */
static void learn(struct trp_headrooms *all, struct trp_headroom *h, uint64_t size,
                  uint64_t peak_bytes)
{
    struct trp_headroom_book *book = h->book;
    trp_peaks_learn(&book->peaks, size, peak_bytes);
    const uint64_t known = trp_counter_get(&h->small_size);
    const bool is_small = trp_peaks_estimate(&book->peaks, size) <= all->opts.small_bytes;
    if (is_small && size > known)
        trp_counter_set(&h->small_size, size);
    else if (!is_small && size <= known)
        trp_counter_set(&h->small_size, 0);
}

/* What a run that ends had taken beyond its pass.  Of one that was refused more, it is what is not
 * there any more: to take off what it wanted would be at the cost of others, who did get what
 * they wanted. */
static void end_growth(struct trp_headroom_book *book, const struct trp_headroom_pass *pass,
                       uint64_t peak_bytes)
{
    const uint64_t there = trp_counter_get(&book->account->bytes), running = book->running_bytes;
    const uint64_t beyond = there > running ? there - running : 0, had = book->grown_bytes;
    const uint64_t ends = peak_bytes > pass->bytes ? peak_bytes - pass->bytes : 0;
    if (book->running_n == 0)
        book->grown_bytes = 0;
    else if (pass->is_short)
        book->grown_bytes = had < beyond ? had : beyond;
    else
        book->grown_bytes = had > ends ? had - ends : 0;
}

void trp_headroom_end(struct trp_headrooms *all, struct trp_headroom *h, uint64_t size,
                      uint64_t peak_bytes, struct trp_headroom_pass *pass)
{
    if (!pass->is_counted)
        return;
    trp_lock_enter(&all->lock);
    TRP_DEBUG_ASSERT(h->book && h->book->running_bytes >= pass->bytes);
    h->book->running_bytes -= pass->bytes;
    h->book->running_n--;
    end_growth(h->book, pass, peak_bytes);
    if (peak_bytes > 0)
        learn(all, h, larger(size, 1), peak_bytes);
    const bool tell = follow(all, h->book, false);
    trp_lock_leave(&all->lock);
    *pass = (struct trp_headroom_pass){ .bytes = 0 };
    if (tell)
        trp_ledger_tell_room(all->opts.ledger);
}

void trp_headroom_learn(struct trp_headrooms *all, struct trp_headroom *h,
                        struct trp_account *account, uint64_t size, uint64_t peak_bytes)
{
    trp_lock_enter(&all->lock);
    if (peak_bytes > 0 && book_of(all, h, account))
        learn(all, h, larger(size, 1), peak_bytes);
    trp_lock_leave(&all->lock);
}

/* --- all models ------------------------------------------------------------------------------- */

void trp_headrooms_refresh(struct trp_headrooms *all)
{
    trp_lock_enter(&all->lock);
    const bool tell = follow_all(all);
    trp_lock_leave(&all->lock);
    if (tell)
        trp_ledger_tell_room(all->opts.ledger);
}

struct trp_headrooms_seen trp_headrooms_look(struct trp_headrooms *all)
{
    struct trp_headrooms_seen seen = { 0 };
    trp_lock_enter(&all->lock);
    for (const struct trp_headroom_book *book = all->books; book; book = book->next) {
        seen.held_bytes += held_by(book);
        seen.account_bytes += trp_counter_get(&book->account->bytes);
        seen.running_bytes += book->running_bytes;
    }
    trp_lock_leave(&all->lock);
    return seen;
}

void trp_headroom_close(struct trp_headroom *h)
{
    struct trp_headroom_book *book = h->book;
    if (!book)
        return;
    struct trp_headrooms *all = book->all;
    trp_lock_enter(&all->lock);
    TRP_DEBUG_ASSERT(book->running_bytes == 0);
    trp_recollection_keep(&all->past, h->key, &book->peaks, trp_counter_get(&h->small_size));
    trp_account_guard(book->account, NULL, NULL, 0);
    const bool tell = trp_ledger_settle(all->opts.ledger, &book->hold, only_bytes(0));
    *book->link = book->next;
    if (book->next)
        book->next->link = book->link;
    if (all->waiter == book)
        all->waiter = NULL;
    trp_lock_leave(&all->lock);
    trp_alloc_free(all->alloc, book);
    *h = (struct trp_headroom){ .book = NULL };
    if (tell)
        trp_ledger_tell_room(all->opts.ledger);
}

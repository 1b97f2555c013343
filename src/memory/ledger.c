/* memory/ledger.c - see ledger.h. */
#include "memory/ledger.h"

#include "base/thread.h"

#define LISTENERS 4 /* exec, life, and room for two more */

struct room_listener {
    trp_ledger_room_fn fn;
    void *user;
};
struct short_listener {
    trp_ledger_short_fn fn;
    void *user;
};
struct counted {
    const struct trp_account *account;
    uint64_t least_bytes;
};

struct trp_ledger {
    const struct trp_alloc *alloc;
    struct trp_lock lock;
    struct trp_budget budget; /* under `lock`, as is the next */
    bool is_wanted;           /* somebody was told NOT_NOW since the last word of room */
    struct trp_amounts fixed; /* without the counted accounts, which `budget.fixed` contains */
    /* Written before anybody reserves, read only afterwards: no lock. */
    struct room_listener room[LISTENERS], served[LISTENERS];
    struct short_listener wants[LISTENERS];
    struct counted counted[LISTENERS];
    uint32_t room_n, served_n, wants_n, counted_n;
};

trp_status trp_ledger_create(const struct trp_alloc *alloc, const struct trp_ledger_opts *opts,
                             struct trp_ledger **out_ledger, struct trp_error *err)
{
    *out_ledger = NULL;
    struct trp_ledger *ledger = trp_alloc_zeroed(alloc, 1, sizeof *ledger);
    if (!ledger)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "the ledger of the memory budget");
    ledger->alloc = alloc;
    ledger->budget = (struct trp_budget){ .limit = opts->limit, .fixed = opts->fixed };
    ledger->fixed = opts->fixed;
    trp_lock_init(&ledger->lock, TRP_LOCK_LEDGER);
    *out_ledger = ledger;
    return trp_ok();
}

void trp_ledger_destroy(struct trp_ledger *ledger)
{
    if (!ledger)
        return;
    /* What is still held has an owner who would give it back to freed memory. */
    TRP_ASSERT(trp_amounts_is_zero(ledger->budget.reserved) &&
               trp_amounts_is_zero(ledger->budget.committed));
    trp_lock_deinit(&ledger->lock);
    trp_alloc_free(ledger->alloc, ledger);
}

/* Takes the counted accounts as they are now; the lock is held. */
static void count_again(struct trp_ledger *ledger)
{
    uint64_t bytes = 0;
    for (const struct counted *c = ledger->counted; c < ledger->counted + ledger->counted_n; c++) {
        const uint64_t held = trp_counter_get(&c->account->bytes);
        bytes += held > c->least_bytes ? held : c->least_bytes;
    }
    const struct trp_amounts accounts = { { [TRP_RESOURCE_BYTES] = bytes } };
    ledger->budget.fixed = trp_amounts_sum(ledger->fixed, accounts);
}

/* --- asking ----------------------------------------------------------------------------------- */

enum trp_reserve trp_ledger_reserve(struct trp_ledger *ledger, struct trp_amounts need,
                                    struct trp_hold *hold)
{
    trp_lock_enter(&ledger->lock);
    count_again(ledger);
    const enum trp_reserve r = trp_budget_reserve(&ledger->budget, need, hold);
    ledger->is_wanted |= r == TRP_RESERVE_NOT_NOW;
    trp_lock_leave(&ledger->lock);
    return r;
}

void trp_ledger_look(struct trp_ledger *ledger, struct trp_budget *out_budget)
{
    trp_lock_enter(&ledger->lock);
    count_again(ledger);
    *out_budget = ledger->budget;
    trp_lock_leave(&ledger->lock);
}

trp_status trp_ledger_refuse(struct trp_ledger *ledger, struct trp_amounts need,
                             struct trp_error *err)
{
    struct trp_budget b;
    trp_ledger_look(ledger, &b);
    const struct trp_amounts reach = trp_budget_reach(&b, (struct trp_amounts){ { 0 } });
    if (!trp_amounts_fit(need, reach))
        return trp_budget_refuse(&b, need, reach, "at most", err);
    return trp_budget_refuse(&b, need, trp_budget_left(&b), "now", err);
}

/* --- giving back ------------------------------------------------------------------------------ */

/* Whether a step that began with `left_before` has to be told; the lock is held. */
static bool has_made_room(struct trp_ledger *ledger, struct trp_amounts left_before)
{
    if (!ledger->is_wanted || trp_amounts_fit(trp_budget_left(&ledger->budget), left_before))
        return false;
    ledger->is_wanted = false; /* who still finds none asks again, and is wanted again */
    return true;
}

void trp_ledger_tell_room(struct trp_ledger *ledger)
{
    for (uint32_t i = 0; i < ledger->room_n; i++)
        ledger->room[i].fn(ledger->room[i].user);
}

bool trp_ledger_settle(struct trp_ledger *ledger, struct trp_hold *hold,
                       struct trp_amounts measured)
{
    trp_lock_enter(&ledger->lock);
    const struct trp_amounts left = trp_budget_left(&ledger->budget);
    if (trp_amounts_is_zero(measured))
        trp_budget_release(&ledger->budget, hold);
    else
        trp_budget_commit(&ledger->budget, hold, measured);
    count_again(ledger);
    const bool tell = has_made_room(ledger, left);
    trp_lock_leave(&ledger->lock);
    return tell;
}

void trp_ledger_join(struct trp_ledger *ledger, struct trp_hold *hold, struct trp_hold *extra)
{
    trp_lock_enter(&ledger->lock);
    const struct trp_amounts both = trp_amounts_sum(hold->amounts, extra->amounts);
    trp_budget_release(&ledger->budget, extra);
    trp_budget_commit(&ledger->budget, hold, both);
    trp_lock_leave(&ledger->lock);
}

void trp_ledger_commit(struct trp_ledger *ledger, struct trp_hold *hold,
                       struct trp_amounts measured)
{
    if (trp_ledger_settle(ledger, hold, measured))
        trp_ledger_tell_room(ledger);
}

void trp_ledger_release(struct trp_ledger *ledger, struct trp_hold *hold)
{
    if (!trp_amounts_is_zero(hold->amounts))
        trp_ledger_commit(ledger, hold, (struct trp_amounts){ { 0 } });
    hold->is_committed = false; /* a commitment of nothing ends as well */
}

void trp_ledger_set_fixed(struct trp_ledger *ledger, struct trp_amounts fixed)
{
    trp_lock_enter(&ledger->lock);
    const struct trp_amounts left = trp_budget_left(&ledger->budget);
    ledger->fixed = fixed;
    count_again(ledger);
    const bool tell = has_made_room(ledger, left);
    trp_lock_leave(&ledger->lock);
    if (tell)
        trp_ledger_tell_room(ledger);
}

/* --- who hears -------------------------------------------------------------------------------- */

void trp_ledger_ask_room(struct trp_ledger *ledger, struct trp_amounts need)
{
    for (uint32_t i = 0; i < ledger->wants_n; i++)
        ledger->wants[i].fn(ledger->wants[i].user, need);
}

void trp_ledger_tell_served(struct trp_ledger *ledger)
{
    for (uint32_t i = 0; i < ledger->served_n; i++)
        ledger->served[i].fn(ledger->served[i].user);
}

void trp_ledger_on_room(struct trp_ledger *ledger, trp_ledger_room_fn fn, void *user)
{
    TRP_ASSERT(ledger->room_n < LISTENERS);
    ledger->room[ledger->room_n++] = (struct room_listener){ fn, user };
}

void trp_ledger_on_short(struct trp_ledger *ledger, trp_ledger_short_fn fn, void *user)
{
    TRP_ASSERT(ledger->wants_n < LISTENERS);
    ledger->wants[ledger->wants_n++] = (struct short_listener){ fn, user };
}

void trp_ledger_on_served(struct trp_ledger *ledger, trp_ledger_room_fn fn, void *user)
{
    TRP_ASSERT(ledger->served_n < LISTENERS);
    ledger->served[ledger->served_n++] = (struct room_listener){ fn, user };
}

void trp_ledger_count(struct trp_ledger *ledger, const struct trp_account *account,
                      uint64_t least_bytes)
{
    TRP_ASSERT(ledger->counted_n < LISTENERS);
    ledger->counted[ledger->counted_n++] = (struct counted){ account, least_bytes };
}

void trp_ledger_forget(struct trp_ledger *ledger, const void *user)
{
    uint32_t room = 0, served = 0, wants = 0;
    for (uint32_t i = 0; i < ledger->room_n; i++)
        if (ledger->room[i].user != user)
            ledger->room[room++] = ledger->room[i];
    for (uint32_t i = 0; i < ledger->served_n; i++)
        if (ledger->served[i].user != user)
            ledger->served[served++] = ledger->served[i];
    for (uint32_t i = 0; i < ledger->wants_n; i++)
        if (ledger->wants[i].user != user)
            ledger->wants[wants++] = ledger->wants[i];
    ledger->room_n = room;
    ledger->served_n = served;
    ledger->wants_n = wants;
}

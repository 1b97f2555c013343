/* memory/account.c - see account.h.
 *
 * A block carries its own size in the 16 bytes before it, because a `trp_alloc` frees without one;
 * that also lets both faces of an account (ours, and the one that a plugin sees) free each other's
 * blocks.  What is charged is what was taken from the heap, that head included.
 *
 *  1. A charge reaches the account and all its parents, or none of them.
 *  2. No account's `bytes` ever passes its limit, whatever many threads do at once; nobody is
 *     refused who would have fitted beside those that were admitted.
 *  3. What is guarded grows past its room only when whoever guards it has found more.
 *  4. Counters are relaxed: nothing is published through them. */
#include "memory/account.h"

#include "base/str.h"
#include "base/torture.h"

#define HEAD_BYTES 16
#define ALIGN_MAX 4096u
#define NO_LIMIT (UINT64_MAX / 2)
#define MORE_TRIES 8

struct head {
    uint64_t taken_bytes; /* from the heap */
    uint64_t lead_bytes;  /* from the heap's block to the caller's */
};
_Static_assert(sizeof(struct head) == HEAD_BYTES, "the head keeps the heap's alignment");

const char *trp_account_kind_name(enum trp_account_kind kind)
{
    static const char *const names[TRP_ACCOUNT_KINDS] = {
        [TRP_ACCOUNT_REQUEST] = "request",   [TRP_ACCOUNT_ACTIVATIONS] = "activations",
        [TRP_ACCOUNT_WEIGHTS] = "weights",   [TRP_ACCOUNT_SHARED] = "shared",
        [TRP_ACCOUNT_BACKEND] = "backend",   [TRP_ACCOUNT_LISTS] = "lists",
        [TRP_ACCOUNT_FEEDBACK] = "feedback",
    };
    return (unsigned)kind < TRP_ACCOUNT_KINDS ? names[kind] : "unknown";
}

/* --- charging --------------------------------------------------------------------------------- */

void trp_account_guard(struct trp_account *a, trp_account_more_fn more, void *user,
                       uint64_t room_bytes)
{
    trp_account_set_room(a, room_bytes);
    if (more && a->more != more)
        a->more = more; /* read by those only who have found the guard */
    trp_pointer_put(&a->guard, more ? user : NULL);
}

void trp_account_set_room(struct trp_account *a, uint64_t bytes)
{
    trp_counter_set(&a->room, bytes);
}

static uint64_t limit_of(const struct trp_account *a)
{
    const uint64_t limit = a->limit ? a->limit : NO_LIMIT;
    const uint64_t room = trp_pointer_get(&a->guard) ? trp_counter_get(&a->room) : NO_LIMIT;
    return room < limit ? room : limit;
}

/* Room that was made may be another's by the time it is taken; then more is asked for, a few
 * times. */
static bool try_add(struct trp_account *a, uint64_t bytes)
{
    for (int tries = 0; tries < MORE_TRIES; tries++) {
        if (trp_counter_try_add(&a->bytes, bytes, limit_of(a)))
            return true;
        void *user = (void *)(uintptr_t)trp_pointer_get(&a->guard);
        if (!user || !a->more(user, bytes))
            return false;
    }
    return false;
}

bool trp_account_try_charge(struct trp_account *a, uint64_t bytes)
{
    for (struct trp_account *at = a; at; at = at->parent) {
        if (try_add(at, bytes))
            continue;
        trp_counter_add(&at->refused, 1);
        for (struct trp_account *undo = a; undo != at; undo = undo->parent)
            trp_counter_sub(&undo->bytes, bytes);
        return false;
    }
    for (struct trp_account *at = a; at; at = at->parent)
        trp_counter_raise(&at->peak, trp_counter_get(&at->bytes));
    return true;
}

/* Parents first: what is free in an account is charged again at once, and must not count twice
 * for them. */
void trp_account_discharge(struct trp_account *a, uint64_t bytes)
{
    if (a->parent)
        trp_account_discharge(a->parent, bytes);
    const uint64_t left = trp_counter_sub(&a->bytes, bytes);
    TRP_DEBUG_ASSERT(left <= NO_LIMIT); /* more was given back than taken */
    (void)left;
}

/* --- blocks ----------------------------------------------------------------------------------- */

static void *take(struct trp_account *a, uint64_t bytes, uint64_t align)
{
    const uint64_t lead = align > HEAD_BYTES ? align : HEAD_BYTES;
    uint64_t taken;
    TRP_ASSERT(align <= ALIGN_MAX && (align & (align - 1)) == 0);
    if (__builtin_add_overflow(bytes, lead, &taken) || taken > SIZE_MAX)
        return NULL;
    if (!trp_account_try_charge(a, taken))
        return NULL;
    char *base = trp_heap()->alloc(trp_heap(), (size_t)taken, (size_t)lead);
    if (!base) {
        trp_account_discharge(a, taken);
        return NULL;
    }
    char *block = base + lead;
    *(struct head *)(void *)(block - HEAD_BYTES) = (struct head){ taken, lead };
    return block;
}

static void give_back(struct trp_account *a, void *block)
{
    if (!block)
        return;
    const struct head head = *(struct head *)(void *)((char *)block - HEAD_BYTES);
    trp_heap()->free(trp_heap(), (char *)block - head.lead_bytes);
    trp_account_discharge(a, head.taken_bytes);
}

/* Our face; base/alloc.c asks the torture counter before it comes here. */
static void *alloc_for_us(const struct trp_alloc *face, size_t bytes, size_t align)
{
    return take(TRP_CONTAINER_OF(face, struct trp_account, alloc), bytes, align);
}
static void free_for_us(const struct trp_alloc *face, void *block)
{
    give_back(TRP_CONTAINER_OF(face, struct trp_account, alloc), block);
}

/* A plugin's face. */
static void *alloc_for_plugin(void *user, uint64_t bytes, uint64_t align)
{
    if (TRP_TORTURE_FAILS("allocation") || align > ALIGN_MAX || (align & (align - 1)) != 0)
        return NULL;
    return take(user, bytes, align);
}
static void free_for_plugin(void *user, void *block, uint64_t bytes)
{
    (void)bytes; /* the head knows */
    give_back(user, block);
}

static int32_t charge_for_plugin(void *user, uint64_t bytes)
{
    return trp_account_try_charge(user, bytes) ? 1 : 0;
}
static void discharge_for_plugin(void *user, uint64_t bytes)
{
    trp_account_discharge(user, bytes);
}

/* --- life ------------------------------------------------------------------------------------- */

void trp_account_init(struct trp_account *a, enum trp_account_kind kind, struct trp_account *parent,
                      uint64_t limit)
{
    *a = (struct trp_account){
        .alloc = { alloc_for_us, free_for_us, NULL, trp_account_kind_name(kind) },
        .parent = parent,
        .kind = kind,
        .limit = limit,
        .plugin = { sizeof(struct troupe_account), a, alloc_for_plugin, free_for_plugin,
                    charge_for_plugin, discharge_for_plugin },
    };
}

void trp_account_deinit(struct trp_account *a)
{
    TRP_ASSERT(trp_counter_get(&a->bytes) == 0); /* somebody still holds memory in this name */
}

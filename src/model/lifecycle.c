/* model/lifecycle.c - the life of one model version; the table below is the whole law
 *
 *   NEW --load--> LOADING --> WARMING --> READY --drain--> DRAINING --refs 0--> GONE
 *    |               |           |                                               ^
 *    |               +-----------+----- any error -----> FAILED ----- forget ----+
 *    +------------------------------ forget -------------------------------------+
 *
 * A life only moves forward.  A version that is wanted again starts a new life in a new object, so
 * whatever an older snapshot or a call in flight still holds never changes its meaning.  WARMING
 * also covers the wait for the other versions of the same model: all of them become READY
 * together, or none does. */
#include "model/lifecycle.h"

#include <stdatomic.h>

#define MAY(to) (1u << TRP_MODEL_##to)
static const uint8_t may_follow[TRP_MODEL_STATES] = {
    [TRP_MODEL_NEW] = MAY(LOADING) | MAY(GONE),
    [TRP_MODEL_LOADING] = MAY(WARMING) | MAY(FAILED),
    [TRP_MODEL_WARMING] = MAY(READY) | MAY(FAILED),
    [TRP_MODEL_READY] = MAY(DRAINING),
    [TRP_MODEL_DRAINING] = MAY(GONE),
    [TRP_MODEL_FAILED] = MAY(GONE),
};
#undef MAY

static const char *const names[TRP_MODEL_STATES] = {
    [TRP_MODEL_NEW] = "NEW",     [TRP_MODEL_LOADING] = "LOADING",   [TRP_MODEL_WARMING] = "WARMING",
    [TRP_MODEL_READY] = "READY", [TRP_MODEL_DRAINING] = "DRAINING", [TRP_MODEL_FAILED] = "FAILED",
    [TRP_MODEL_GONE] = "GONE",
};

static const char *const wire_names[TRP_MODEL_STATES] = {
    [TRP_MODEL_NEW] = "UNAVAILABLE",    [TRP_MODEL_LOADING] = "LOADING",
    [TRP_MODEL_WARMING] = "LOADING",    [TRP_MODEL_READY] = "READY",
    [TRP_MODEL_DRAINING] = "UNLOADING", [TRP_MODEL_FAILED] = "UNAVAILABLE",
    [TRP_MODEL_GONE] = "UNAVAILABLE",
};

const char *trp_model_state_name(enum trp_model_state s)
{
    return (unsigned)s < TRP_MODEL_STATES ? names[s] : "UNKNOWN";
}

const char *trp_model_state_wire_name(enum trp_model_state s)
{
    return (unsigned)s < TRP_MODEL_STATES ? wire_names[s] : "UNKNOWN";
}

trp_status trp_lifecycle_move(struct trp_lifecycle *lc, enum trp_model_state to, int64_t now_ns,
                              struct trp_error *err)
{
    const enum trp_model_state from = trp_lifecycle_get(lc);
    if (!(may_follow[from] & (1u << to)))
        return trp_fail(err, TRP_FAILED_PRECONDITION, "%s cannot become %s",
                        trp_model_state_name(from), trp_model_state_name(to));
    lc->since_ns[to] = now_ns; /* every phase duration is a difference of two of these */
    /* Release: whoever sees the state sees the signature, the reason and the open model behind
     * it. */
    atomic_store_explicit(&lc->state, (int32_t)to, memory_order_release);
    return trp_ok();
}

enum trp_model_state trp_lifecycle_get(const struct trp_lifecycle *lc)
{
    return (enum trp_model_state)atomic_load_explicit(&lc->state, memory_order_acquire);
}

bool trp_lifecycle_is_serving(const struct trp_lifecycle *lc)
{
    const enum trp_model_state state = trp_lifecycle_get(lc);
    return state == TRP_MODEL_READY || state == TRP_MODEL_DRAINING;
}

/* life/whereabouts.c - see whereabouts.h
 *
 * The first thing that is true of these is the answer: it is hibernated; it serves; something is in
 * hand; an operator unloaded it; its load failed; it has no version that could be loaded; it
 * went; nobody has asked for it yet. */
#include "life/whereabouts.h"

#include <stdio.h>

#include "life/demand.h"
#include "life/hibernation.h"
#include "life/life_parts.h"

const char *trp_place_name(enum trp_place place)
{
    static const char *const names[TRP_PLACES] = {
        [TRP_PLACE_UNKNOWN] = "unknown",
        [TRP_PLACE_OUT] = "not in memory",
        [TRP_PLACE_WAITING] = "waiting for room",
        [TRP_PLACE_LOADING] = "loading",
        [TRP_PLACE_IN] = "in memory",
        [TRP_PLACE_ASLEEP] = "hibernated",
        [TRP_PLACE_FAILED] = "failed",
        [TRP_PLACE_UNLOADED] = "unloaded",
    };
    return (unsigned)place < TRP_PLACES ? names[place] : "unknown";
}

/* Adds a sentence's part; what does not fit is cut. */
static void add(struct trp_whereabouts *w, const char *before, const char *text)
{
    const size_t used = strlen(w->why);
    if (snprintf(w->why + used, sizeof w->why - used, "%s%s", used ? before : "", text) < 0)
        w->why[used] = '\0';
}

static void set(struct trp_whereabouts *w, enum trp_place place, int64_t since_ns, const char *why)
{
    w->place = place;
    w->since_ns = since_ns;
    add(w, "; ", why);
}

/* ---- in memory, or on the way there ---- */

static void tell_prospect(const struct trp_member *m, struct trp_whereabouts *w)
{
    const struct trp_prospect *p = m->guest ? &m->guest->prospect : NULL;
    char text[96];
    if (!p || !p->is_known || p->standing == TRP_STANDING_PINNED)
        return;
    if (p->standing != TRP_STANDING_MAY_GO)
        (void)snprintf(text, sizeof text, "%s, and safe as long as that holds",
                       trp_standing_name(p->standing));
    else if (p->next)
        (void)snprintf(text, sizeof text, "number %u to go when room is wanted", p->next);
    else
        (void)snprintf(text, sizeof text, "more than %u others would go before it", TRP_RANKED_MAX);
    add(w, "; ", text);
}

static void tell_newer(const struct trp_member *m, struct trp_whereabouts *w)
{
    if (m->reason)
        add(w, "; ", m->reason);
    if (m->change)
        add(w, "; ", "other files of it are being loaded");
}

static bool tell_serving(const struct trp_member *m, struct trp_whereabouts *w)
{
    int64_t since_ns = 0;
    for (uint32_t i = 0; i < m->serving.n; i++) {
        const int64_t ready_ns = m->serving.items[i]->life.since_ns[TRP_MODEL_READY];
        since_ns = ready_ns > since_ns ? ready_ns : since_ns;
    }
    if (m->serving.n == 0)
        return false;
    set(w, TRP_PLACE_IN, since_ns, trp_presence_kept(m));
    tell_prospect(m, w);
    tell_newer(m, w);
    return true;
}

static const struct trp_ask *ask_of(const struct trp_member *m)
{
    const struct trp_residence *r = m->life->residence;
    const struct trp_ask *ask = r && m->guest ? r->first : NULL;
    while (ask && ask->guest != m->guest)
        ask = ask->next;
    return ask;
}

static const char *delay_of(const struct trp_ask *ask)
{
    return trp_failed(ask->delay.status) ? ask->delay.text : "other loads have their turn first";
}

/* Why its pages went, and what brings them back. */
static bool tell_asleep(const struct trp_member *m, struct trp_whereabouts *w)
{
    const struct trp_ask *ask = ask_of(m);
    const bool is_falling = m->op && m->op->kind == TRP_OP_SLEEP;
    const bool is_waking = m->op && m->op->kind == TRP_OP_WAKE;
    if (!trp_hibernation_is_asleep(m))
        return false;
    set(w, TRP_PLACE_ASLEEP, is_falling ? 0 : m->guest->sleep.since_ns,
        m->went.why ? m->went.why : "its pages were dropped");
    if (is_falling) {
        add(w, "; ", "its pages are being dropped");
    } else if (is_waking && ask) {
        add(w, "; ", "it waits for room to wake: ");
        add(w, "", delay_of(ask));
    } else if (is_waking) {
        add(w, "; ", "it is being woken");
    } else {
        add(w, "; ", "its next request wakes it");
        tell_prospect(m, w);
    }
    tell_newer(m, w);
    return true;
}

static bool tell_in_hand(const struct trp_member *m, struct trp_whereabouts *w)
{
    const struct trp_ask *ask = ask_of(m);
    if (ask) {
        set(w, TRP_PLACE_WAITING, ask->since_ns, delay_of(ask));
        return true;
    }
    if (!m->change)
        return false;
    set(w, TRP_PLACE_LOADING, 0, "its load is under way");
    return true;
}

/* ---- not in memory ---- */

static const struct trp_version *failed_version(const struct trp_member *m)
{
    for (uint32_t i = m->shown.n; i-- > 0;)
        if (trp_lifecycle_get(&m->shown.items[i]->life) == TRP_MODEL_FAILED)
            return m->shown.items[i];
    return NULL;
}

static bool tell_failed(const struct trp_member *m, struct trp_whereabouts *w)
{
    const struct trp_version *v = failed_version(m);
    if (!v && (!m->reason || m->shown.n))
        return false;
    set(w, TRP_PLACE_FAILED, v ? v->life.since_ns[TRP_MODEL_FAILED] : 0, v ? v->reason : m->reason);
    if (trp_backoff_is_by_itself(m)) {
        w->retry_ns = trp_backoff_left_ns(m);
        add(w, "; ", "it is tried again by itself");
    } else if (m->on_demand) {
        w->retry_ns = trp_backoff_left_ns(m);
        add(w, "; ", "a request has it tried again");
    } else {
        add(w, "; ", "it is tried again when its files change, or an operator loads it");
    }
    return true;
}

/* Somebody has looked into all its files, and none could be loaded. */
static bool is_unloadable(const struct trp_member *m)
{
    for (uint32_t i = 0; i < m->shown.n; i++)
        if (m->shown.items[i]->failure == 0)
            return false;
    return m->shown.n > 0;
}

/* A version that is shown cold, and something about it is wrong. */
static const char *warning_of(const struct trp_member *m)
{
    for (uint32_t i = m->shown.n; i-- > 0;) {
        const char *reason = m->shown.items[i]->reason;
        if (reason[0] && strcmp(reason, trp_cold_reason(m)) != 0)
            return reason;
    }
    return NULL;
}

static void tell_out(const struct trp_member *m, struct trp_whereabouts *w)
{
    const char *warning = warning_of(m);
    if (!m->reason && warning && is_unloadable(m)) {
        set(w, TRP_PLACE_FAILED, 0, "it cannot be loaded");
        add(w, ": ", warning);
        return;
    }
    const char *next = m->in_backlog  ? "it is loaded by itself when its turn comes"
                       : m->on_demand ? "its next request loads it"
                                      : "no request loads it (load: explicit), `troupe load` does";
    if (m->was_let_go)
        set(w, TRP_PLACE_OUT, m->went.at_ns, m->went.why ? m->went.why : "it was let go");
    else
        set(w, TRP_PLACE_OUT, 0, "nobody has asked for it yet");
    add(w, "; ", next);
    if (m->reason)
        add(w, "; ", m->reason);
    if (warning)
        add(w, "; ", warning);
}

void trp_whereabouts_tell(struct trp_life *l, struct trp_str name, struct trp_whereabouts *out)
{
    const struct trp_member *m = trp_member_get(l, name);
    *out = (struct trp_whereabouts){ .place = TRP_PLACE_UNKNOWN, .retry_ns = -1 };
    if (!m) {
        set(out, TRP_PLACE_UNKNOWN, 0, "no repository has a model of this name");
        return;
    }
    if (tell_asleep(m, out) || tell_serving(m, out) || tell_in_hand(m, out))
        return;
    if (m->held_back)
        set(out, TRP_PLACE_UNLOADED, 0,
            "an operator unloaded it, and only an operator loads it again: `troupe load`");
    else if (!tell_failed(m, out))
        tell_out(m, out);
}

/* route/breaker.c - see breaker.h for the drawing.
 *
 * Everything that must change together is one word, so that loops need no lock and a transition
 * happens once:
 *
 *   63   62 61     56 55      48 47      40 39             0
 *   | phase | openings | out     | answered | moment in ms  |
 *
 *   CLOSED     openings: how many in a row there were; moment: until when the next one belongs to them
 *   OPEN       openings: how many in a row there were before this one; moment: when it tries again
 *   HALF_OPEN  openings: as OPEN; out, answered: probes; moment: when those that are out are given
 *   up
 *
 * A "ms" is 2^20 ns; 40 bits of them are 36 years.  A ticket of a probe is the moment of its
 * HALF_OPEN, which no other one has. */
#include "route/breaker.h"

#include <stddef.h>

#define MOMENT_BITS 40u
#define MOMENT_MASK (((uint64_t)1 << MOMENT_BITS) - 1)
#define MS_SHIFT 20u
#define OPENINGS_MAX 63u
#define PROBES_MAX 255u
#define JITTER 0.2

struct state {
    enum trp_breaker_phase phase;
    uint32_t openings, out, answered;
    uint64_t moment;
};

static uint64_t pack(struct state s)
{
    const uint64_t phase = s.phase, openings = s.openings, out = s.out, answered = s.answered;
    return phase * ((uint64_t)1 << 62) + openings * ((uint64_t)1 << 56) +
           out * ((uint64_t)1 << 48) + answered * ((uint64_t)1 << MOMENT_BITS) +
           (s.moment & MOMENT_MASK);
}

static struct state unpack(uint64_t word)
{
    return (struct state){ .phase = (enum trp_breaker_phase)(word >> 62),
                           .openings = (uint32_t)(word >> 56) & OPENINGS_MAX,
                           .out = (uint32_t)(word >> 48) & PROBES_MAX,
                           .answered = (uint32_t)(word >> MOMENT_BITS) & PROBES_MAX,
                           .moment = word & MOMENT_MASK };
}

static uint64_t moment_of(int64_t ns)
{
    return (uint64_t)ns >> MS_SHIFT;
}

static int64_t left_ns(uint64_t moment, int64_t now_ns)
{
    const int64_t left = (int64_t)(moment << MS_SHIFT) - now_ns;
    return left > 0 ? left : 0;
}

static uint64_t ticket_of(struct state s)
{
    return s.moment << 1 | 1;
}

static int64_t at_least_ms(int64_t ns)
{
    return ns > 1000000 ? ns : 1000000;
}

void trp_breaker_init(struct trp_breaker *b, const struct trp_breaker_opts *opts)
{
    *b = (struct trp_breaker){ .opts = *opts };
    b->opts.window_ns = at_least_ms(opts->window_ns);
    b->opts.open_ns = at_least_ms(opts->open_ns);
    if (b->opts.open_max_ns < b->opts.open_ns)
        b->opts.open_max_ns = b->opts.open_ns;
    if (b->opts.probes < 1)
        b->opts.probes = 1;
    if (b->opts.probes > PROBES_MAX)
        b->opts.probes = PROBES_MAX;
}

static bool is_same(const struct trp_breaker_opts *a, const struct trp_breaker_opts *b)
{
    return a->window_ns == b->window_ns && a->calls_min == b->calls_min &&
           a->failure_share == b->failure_share && a->row_max == b->row_max &&
           a->open_ns == b->open_ns && a->open_max_ns == b->open_max_ns && a->probes == b->probes;
}

void trp_breaker_carry(struct trp_breaker *b, const struct trp_breaker *from)
{
    trp_counter_set(&b->opened, trp_counter_get(&from->opened));
    trp_counter_set(&b->refused, trp_counter_get(&from->refused));
    if (!is_same(&b->opts, &from->opts))
        return;
    struct state s = unpack(trp_word_get(&from->state));
    if (s.phase == TRP_BREAKER_HALF_OPEN)
        s.out = 0;
    trp_word_set(&b->state, pack(s));
    trp_counter_set(&b->row, trp_counter_get(&from->row));
    trp_recent_carry(&b->recent, &from->recent);
}

/* How long the nth opening in a row lasts, without its jitter. */
static int64_t delay_ns(const struct trp_breaker *b, uint32_t openings)
{
    int64_t ns = b->opts.open_ns;
    for (uint32_t i = 0; i < openings && ns < b->opts.open_max_ns; i++)
        ns = ns > b->opts.open_max_ns / 2 ? b->opts.open_max_ns : ns * 2;
    return ns;
}

static struct state opened(const struct trp_breaker *b, uint32_t openings, int64_t now_ns,
                           uint64_t random)
{
    const double chance = (double)(random >> 11) / (double)(UINT64_C(1) << 53);
    const double wait_ns = (double)delay_ns(b, openings) * (1 - JITTER + 2 * JITTER * chance);
    /* One more: what is cut off below a "ms" would make it early. */
    return (struct state){ .phase = TRP_BREAKER_OPEN,
                           .openings = openings,
                           .moment = moment_of(now_ns + (int64_t)wait_ns) + 1 };
}

static struct state half_opened(const struct trp_breaker *b, struct state s, int64_t now_ns)
{
    const uint64_t moment = moment_of(now_ns + b->opts.open_max_ns) + 1;
    return (struct state){ .phase = TRP_BREAKER_HALF_OPEN,
                           .openings = s.openings,
                           .out = 1,
                           /* later than any before it, so that old tickets are worth nothing */
                           .moment = moment > s.moment ? moment : s.moment + 1 };
}

static uint32_t one_more(uint32_t openings)
{
    return openings < OPENINGS_MAX ? openings + 1 : openings;
}

/* ---- asking ---- */

/* What asking makes of a state that is not CLOSED; the same state: refused. */
static struct state asked(const struct trp_breaker *b, struct state s, int64_t now_ns)
{
    const bool is_over = left_ns(s.moment, now_ns) == 0;
    if (is_over) /* the delay is over, or probes never came back */
        return half_opened(b, s, now_ns);
    if (s.phase == TRP_BREAKER_HALF_OPEN && s.out + s.answered < b->opts.probes)
        s.out++;
    return s;
}

static int64_t retry_after(const struct trp_breaker *b, struct state s, int64_t now_ns)
{
    /* Probes are out: nobody knows, but it is no use to come back at once. */
    const int64_t ns = s.phase == TRP_BREAKER_OPEN ? left_ns(s.moment, now_ns) : b->opts.open_ns;
    return ns > 0 ? ns : 1;
}

struct trp_breaker_answer trp_breaker_ask(struct trp_breaker *b, int64_t now_ns)
{
    uint64_t seen = trp_word_get(&b->state);
    for (;;) {
        const struct state s = unpack(seen);
        if (s.phase == TRP_BREAKER_CLOSED)
            return (struct trp_breaker_answer){ .allowed = true };
        const struct state next = asked(b, s, now_ns);
        if (pack(next) == seen) {
            trp_counter_add(&b->refused, 1);
            return (struct trp_breaker_answer){ .retry_after_ns = retry_after(b, s, now_ns) };
        }
        if (trp_word_try_swap(&b->state, &seen, pack(next)))
            return (struct trp_breaker_answer){ .allowed = true, .ticket = ticket_of(next) };
    }
}

bool trp_breaker_is_refusing(const struct trp_breaker *b, int64_t now_ns)
{
    const struct state s = unpack(trp_word_get(&b->state));
    return s.phase != TRP_BREAKER_CLOSED && pack(asked(b, s, now_ns)) == pack(s);
}

/* ---- telling ---- */

static bool is_too_much(const struct trp_breaker *b, uint64_t row, int64_t now_ns)
{
    if (b->opts.row_max > 0 && row >= b->opts.row_max)
        return true;
    if (b->opts.failure_share <= 0)
        return false;
    const struct trp_recent_sums lately = trp_recent_get(&b->recent, b->opts.window_ns, now_ns);
    return lately.all > 0 && lately.all >= b->opts.calls_min &&
           lately.some >= b->opts.failure_share * lately.all;
}

static void report_closed(struct trp_breaker *b, uint64_t seen, bool failed, int64_t now_ns,
                          uint64_t random)
{
    const struct state s = unpack(seen);
    trp_recent_add(&b->recent, b->opts.window_ns, 1, failed, now_ns);
    if (!failed) {
        if (trp_counter_get(&b->row) != 0) /* seldom written, so that loops share the line */
            trp_counter_set(&b->row, 0);
        return;
    }
    if (!is_too_much(b, trp_counter_add(&b->row, 1), now_ns))
        return;
    const bool is_again = s.moment > 0 && left_ns(s.moment, now_ns) > 0;
    const struct state next = opened(b, is_again ? one_more(s.openings) : 0, now_ns, random);
    /* A swap that fails for nothing leaves it closed: the next failure opens it. */
    if (trp_word_try_swap(&b->state, &seen, pack(next)))
        trp_counter_add(&b->opened, 1);
}

/* One probe ended well; the last one closes. */
static struct state answered(const struct trp_breaker *b, struct state s, int64_t now_ns)
{
    s.out--;
    s.answered++;
    if (s.answered < b->opts.probes)
        return s;
    return (struct state){ .phase = TRP_BREAKER_CLOSED,
                           .openings = s.openings,
                           .moment = moment_of(now_ns + 2 * delay_ns(b, s.openings)) + 1 };
}

static bool is_probe_of(struct state s, uint64_t ticket)
{
    return s.phase == TRP_BREAKER_HALF_OPEN && s.out > 0 && ticket == ticket_of(s);
}

void trp_breaker_report(struct trp_breaker *b, uint64_t ticket, bool failed, int64_t now_ns,
                        uint64_t random)
{
    uint64_t seen = trp_word_get(&b->state);
    if (ticket == 0) {
        if (unpack(seen).phase == TRP_BREAKER_CLOSED)
            report_closed(b, seen, failed, now_ns, random);
        return;
    }
    for (;;) {
        const struct state s = unpack(seen);
        if (!is_probe_of(s, ticket))
            return;
        const struct state next =
            failed ? opened(b, one_more(s.openings), now_ns, random) : answered(b, s, now_ns);
        if (next.phase == TRP_BREAKER_CLOSED) { /* what made it open is no reason any more */
            trp_recent_clear(&b->recent);
            trp_counter_set(&b->row, 0);
        }
        if (trp_word_try_swap(&b->state, &seen, pack(next))) {
            if (failed)
                trp_counter_add(&b->opened, 1);
            return;
        }
    }
}

void trp_breaker_forget(struct trp_breaker *b, uint64_t ticket)
{
    uint64_t seen = trp_word_get(&b->state);
    while (ticket != 0) {
        struct state s = unpack(seen);
        if (!is_probe_of(s, ticket))
            return;
        s.out--;
        if (trp_word_try_swap(&b->state, &seen, pack(s)))
            return;
    }
}

/* ---- looking ---- */

struct trp_breaker_view trp_breaker_get(const struct trp_breaker *b, int64_t now_ns)
{
    const struct state s = unpack(trp_word_get(&b->state));
    const struct trp_recent_sums lately = trp_recent_get(&b->recent, b->opts.window_ns, now_ns);
    const bool is_closed = s.phase == TRP_BREAKER_CLOSED;
    const bool is_row = !is_closed || (s.moment > 0 && left_ns(s.moment, now_ns) > 0);
    return (struct trp_breaker_view){
        .phase = s.phase,
        .calls = lately.all,
        .failures = lately.some,
        .row = (uint32_t)trp_counter_get(&b->row),
        .openings = is_row ? one_more(s.openings) : 0,
        .probes_out = s.out,
        .probes_answered = s.answered,
        .opened = trp_counter_get(&b->opened),
        .refused = trp_counter_get(&b->refused),
        .retry_after_ns = s.phase == TRP_BREAKER_OPEN ? left_ns(s.moment, now_ns) : 0,
    };
}

const char *trp_breaker_phase_name(enum trp_breaker_phase phase)
{
    static const char *const names[] = { "closed", "open", "half_open" };
    return names[phase];
}

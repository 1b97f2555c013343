/* tune/traffic.c - see traffic.h. */
#include "tune/traffic.h"

#include <math.h>

#include "tune/chance.h"
#include "tune/span.h"

#define RATE_MAX 1e9

static const char *const kinds[TRP_TRAFFIC_KINDS] = { "poisson", "even", "bursts", "diurnal" };

static enum trp_traffic_kind kind_of(struct trp_str text, size_t *out_len)
{
    enum trp_traffic_kind kind = 0;
    for (; kind < TRP_TRAFFIC_KINDS; kind++) {
        const struct trp_str name = trp_str_of(kinds[kind]);
        if (trp_str_starts_with(text, name) && text.len > name.len && text.ptr[name.len] == ':') {
            *out_len = name.len + 1;
            break;
        }
    }
    return kind;
}

bool trp_traffic_is_spec(struct trp_str text)
{
    size_t len;
    return kind_of(text, &len) != TRP_TRAFFIC_KINDS;
}

static bool parse_rate(struct trp_str value, double *out)
{
    return trp_str_parse_f64(value, out) && *out > 0 && *out <= RATE_MAX;
}

static bool parse_rows(struct trp_str value, struct trp_traffic *t)
{
    const char *dash = memchr(value.ptr, '-', value.len);
    const struct trp_str low = dash ? trp_str_make(value.ptr, (size_t)(dash - value.ptr)) : value;
    const struct trp_str high = dash ? trp_str_make(dash + 1, value.len - low.len - 1) : value;
    uint64_t least, most;
    if (!trp_str_parse_u64(low, &least) || !trp_str_parse_u64(high, &most) || least == 0 ||
        least > most || most > TRP_WORKLOAD_ROWS_MAX)
        return false;
    t->rows_min = (uint32_t)least;
    t->rows_max = (uint32_t)most;
    return true;
}

static bool parse_long(struct trp_str value, int64_t *out_ns)
{
    return trp_span_parse(value, out_ns) && *out_ns > 0;
}

/* False: the name is not known; *is_good: whether the value is one. */
static bool set(struct trp_traffic *t, struct trp_str name, struct trp_str value, bool *is_good)
{
    *is_good = value.len > 0;
    if (trp_str_is(name, "model"))
        t->model = value;
    else if (trp_str_is(name, "tenant"))
        t->tenant = value;
    else if (trp_str_is(name, "class"))
        *is_good = trp_workload_parse_class(value, &t->class);
    else if (trp_str_is(name, "rate"))
        *is_good = parse_rate(value, &t->rate);
    else if (trp_str_is(name, "timeout"))
        *is_good = parse_long(value, &t->timeout_ns);
    else if (trp_str_is(name, "rows"))
        *is_good = *is_good && parse_rows(value, t);
    else if (trp_str_is(name, "from"))
        *is_good = trp_span_parse(value, &t->from_ns);
    else if (trp_str_is(name, "until"))
        *is_good = parse_long(value, &t->until_ns);
    else if (trp_str_is(name, "on") && t->kind == TRP_TRAFFIC_BURSTS)
        *is_good = parse_long(value, &t->on_ns);
    else if (trp_str_is(name, "off") && t->kind == TRP_TRAFFIC_BURSTS)
        *is_good = parse_long(value, &t->off_ns);
    else if (trp_str_is(name, "period") && t->kind == TRP_TRAFFIC_DIURNAL)
        *is_good = parse_long(value, &t->period_ns);
    else if (trp_str_is(name, "swing") && t->kind == TRP_TRAFFIC_DIURNAL)
        *is_good = trp_str_parse_f64(value, &t->swing) && t->swing >= 0 && t->swing <= 1;
    else
        return false;
    return true;
}

trp_status trp_traffic_parse(struct trp_str text, struct trp_traffic *out, struct trp_error *err)
{
    size_t at = 0;
    struct trp_traffic t = { .kind = kind_of(text, &at),
                             .rows_min = 1,
                             .rows_max = 1,
                             .on_ns = TRP_S(1),
                             .off_ns = TRP_S(4),
                             .period_ns = TRP_S(60),
                             .swing = 0.8 };
    if (t.kind == TRP_TRAFFIC_KINDS)
        return trp_fail(
            err, TRP_INVALID_ARGUMENT,
            "'%.*s': a stream begins with poisson:, even:, bursts: or diurnal:", TRP_STR(text));
    while (at < text.len) {
        const char *comma = memchr(text.ptr + at, ',', text.len - at);
        const size_t end = comma ? (size_t)(comma - text.ptr) : text.len;
        const struct trp_str part = trp_str_make(text.ptr + at, end - at);
        const char *equals = part.len > 0 ? memchr(part.ptr, '=', part.len) : NULL;
        const size_t name_len = equals ? (size_t)(equals - part.ptr) : part.len;
        const struct trp_str value =
            equals ? trp_str_make(equals + 1, part.len - name_len - 1) : trp_str_make("", 0);
        bool is_good;
        if (!set(&t, trp_str_make(part.ptr, name_len), value, &is_good))
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "'%.*s': '%.*s' says nothing about %s traffic; model, rate, class, "
                            "tenant, timeout, rows, from, until do%s",
                            TRP_STR(text), TRP_STR(part), kinds[t.kind],
                            t.kind == TRP_TRAFFIC_BURSTS    ? ", and on, off"
                            : t.kind == TRP_TRAFFIC_DIURNAL ? ", and period, swing"
                                                            : "");
        if (!is_good)
            return trp_fail(err, TRP_INVALID_ARGUMENT, "'%.*s': '%.*s' cannot be", TRP_STR(text),
                            TRP_STR(part));
        at = end + 1;
    }
    if (t.model.len == 0 || t.rate == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "'%.*s': %s is missing, as in %s", TRP_STR(text),
                        t.model.len == 0 ? "the model" : "the rate",
                        t.model.len == 0 ? "model=resnet50" : "rate=40");
    *out = t;
    return trp_ok();
}

/* A stream on its way: seconds since it began. */
struct flow {
    const struct trp_traffic *t;
    struct trp_random *random;
    double at, burst_from, burst_until, end;
};

static void next_burst(struct flow *f)
{
    f->burst_from = f->burst_until + trp_chance_exponential(f->random, (double)f->t->off_ns * 1e-9);
    f->burst_until = f->burst_from + trp_chance_exponential(f->random, (double)f->t->on_ns * 1e-9);
}

static void step_in_bursts(struct flow *f)
{
    const struct trp_traffic *t = f->t;
    const double on_share = (double)t->on_ns / ((double)t->on_ns + (double)t->off_ns);
    double left = trp_chance_exponential(f->random, on_share / t->rate); /* of time that is on */
    if (f->at < f->burst_from)
        f->at = f->burst_from;
    while (f->at < f->end && f->at + left > f->burst_until) { /* who comes later comes never */
        left -= f->burst_until > f->at ? f->burst_until - f->at : 0;
        next_burst(f);
        f->at = f->burst_from;
    }
    f->at += left;
}

/* Thinning: candidates at the highest rate, of which as many stay as the rate of that moment says.
 *   Source: Lewis, Shedler: Simulation of nonhomogeneous Poisson processes by thinning, 1979. */
static void step_in_day(struct flow *f)
{
    const struct trp_traffic *t = f->t;
    const double most = t->rate * (1 + t->swing), turn = 2 * M_PI / ((double)t->period_ns * 1e-9);
    double now;
    do {
        f->at += trp_chance_exponential(f->random, 1 / most);
        now = t->rate * (1 - t->swing * cos(turn * f->at));
    } while (trp_chance_even(f->random) * most > now);
}

static void step(struct flow *f)
{
    switch (f->t->kind) {
    case TRP_TRAFFIC_EVEN:
        f->at += 1 / f->t->rate;
        return;
    case TRP_TRAFFIC_BURSTS:
        step_in_bursts(f);
        return;
    case TRP_TRAFFIC_DIURNAL:
        step_in_day(f);
        return;
    default:
        f->at += trp_chance_exponential(f->random, 1 / f->t->rate);
        return;
    }
}

trp_status trp_traffic_add(const struct trp_traffic *t, int64_t length_ns,
                           struct trp_random *random, struct trp_workload *w, struct trp_error *err)
{
    const int64_t until_ns = t->until_ns > 0 && t->until_ns < length_ns ? t->until_ns : length_ns;
    struct flow f = { .t = t, .random = random, .end = (double)until_ns * 1e-9 };
    struct trp_arrival a = { .timeout_ns = t->timeout_ns, .class = t->class, .rows = t->rows_min };
    TRP_CHECK(trp_workload_model(w, t->model, &a.model, err));
    if (t->tenant.len > 0)
        TRP_CHECK(trp_workload_tenant(w, t->tenant, &a.tenant, err));
    if (t->kind == TRP_TRAFFIC_BURSTS)
        next_burst(&f);
    for (;;) {
        step(&f);
        const double at_ns = (double)t->from_ns + f.at * 1e9;
        if (at_ns >= (double)until_ns)
            return trp_ok();
        a.at_ns = (int64_t)at_ns;
        if (t->rows_max > t->rows_min)
            a.rows =
                t->rows_min + (uint32_t)(trp_random_next(random) % (t->rows_max - t->rows_min + 1));
        TRP_CHECK(trp_workload_add(w, &a, err));
    }
}

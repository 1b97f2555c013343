/* route/policy_options.c - see policy_options.h.  One table of fields for each policy; what
 * reads them is the same for all. */
#include "route/policy_options.h"

#include <stdio.h>

#include "conf/settings.h"

#define LONGEST_NS INT64_C(31536000000000000) /* a year: sums with a clock cannot overflow */

enum kind {
    SHARE,    /* "5%" -> 0.05 */
    TIME,     /* "30ms" -> ns */
    COUNT,    /* 32 bits */
    COUNT64,  /* 64 bits */
    NUMBER,   /* any */
    QUANTILE, /* "p95" or "95%" -> 0.95 */
    CHILD     /* read by whoever asked */
};

struct field {
    const char *key;
    enum kind kind;
    double least, most; /* of the number that is written */
    void *out;
};

struct reading {
    const char *of; /* "hedge" */
    const struct trp_node **out_at;
    struct trp_error *err;
};

static bool is_text(const struct trp_node *n)
{
    return (n->kind == TRP_NODE_WORD || n->kind == TRP_NODE_STR) && n->v.s.len > 0;
}

static trp_status wrong(const struct reading *r, const struct trp_node *at, const char *expected)
{
    *r->out_at = at;
    if (at->key.len > 0)
        return trp_fail(r->err, TRP_INVALID_ARGUMENT, "%.*s: expected %s", TRP_STR(at->key),
                        expected);
    return trp_fail(r->err, TRP_INVALID_ARGUMENT, "%s: expected %s", r->of, expected);
}

/* ---- single values ---- */

static bool parse_number(struct trp_str text, double least, double most, double *out)
{
    double value;
    if (!trp_str_parse_f64(text, &value) || !(value >= least) || !(value <= most))
        return false;
    *out = value;
    return true;
}

bool trp_policy_parse_percent(struct trp_str text, double *out)
{
    return text.len > 1 && text.ptr[text.len - 1] == '%' &&
           trp_str_parse_f64(trp_str_make(text.ptr, text.len - 1), out);
}

static bool parse_share(struct trp_str text, double least, double most, double *out)
{
    double percent;
    if (!trp_policy_parse_percent(text, &percent) || !(percent >= least) || !(percent <= most))
        return false;
    *out = percent / 100;
    return true;
}

static bool parse_quantile(struct trp_str text, double *out)
{
    double percent;
    if (text.len > 1 && text.ptr[0] == 'p' &&
        parse_number(trp_str_make(text.ptr + 1, text.len - 1), 1, 99.99, &percent)) {
        *out = percent / 100;
        return true;
    }
    return parse_share(text, 1, 99.99, out);
}

static bool parse_time(struct trp_str text, int64_t *out)
{
    int64_t ns;
    if (!trp_setting_parse_stay(text, &ns) || ns <= 0 || ns > LONGEST_NS)
        return false;
    *out = ns;
    return true;
}

/* The number in front. */
static size_t number_in(struct trp_str text)
{
    size_t n = 0;
    while (n < text.len && ((text.ptr[n] >= '0' && text.ptr[n] <= '9') || text.ptr[n] == '.'))
        n++;
    return n;
}

void trp_policy_why_no_time(struct trp_str text, char out[TRP_POLICY_WHY_MAX])
{
    const struct trp_str number = trp_str_make(text.ptr, number_in(text));
    const struct trp_str unit = trp_str_make(text.ptr + number.len, text.len - number.len);
    int64_t ns;
    double value;
    out[0] = '\0';
    if (text.len > 20)
        return;
    if (trp_setting_parse_stay(text, &ns) || (text.len > 1 && text.ptr[0] == '-') ||
        (unit.len == 0 && trp_str_parse_f64(text, &value) && value == 0))
        (void)snprintf(out, TRP_POLICY_WHY_MAX, "; it is longer than 0, and not forever");
    else if (number.len == 0)
        return;
    else if (unit.len == 0)
        (void)snprintf(out, TRP_POLICY_WHY_MAX, "; %.*s has no unit: %.*sms or %.*ss?",
                       TRP_STR(number), TRP_STR(number), TRP_STR(number));
    else if (memchr(unit.ptr, ' ', unit.len))
        (void)snprintf(out, TRP_POLICY_WHY_MAX, "; without the space");
    else
        (void)snprintf(out, TRP_POLICY_WHY_MAX, "; units are ns, us, ms, s, m, h and d, not '%.*s'",
                       TRP_STR(unit));
}

static trp_status wrong_time(const struct reading *r, const struct trp_node *n,
                             const char *expected)
{
    char text[160], why[TRP_POLICY_WHY_MAX] = "";
    if (is_text(n))
        trp_policy_why_no_time(n->v.s, why);
    (void)snprintf(text, sizeof text, "%s%s", expected, why);
    return wrong(r, n, text);
}

static trp_status read_count(const struct reading *r, const struct trp_node *n,
                             const struct field *f)
{
    uint64_t count;
    if (!trp_str_parse_u64(n->v.s, &count) || (double)count < f->least || (double)count > f->most) {
        char text[80];
        (void)snprintf(text, sizeof text, "a number from %.0f to %.0f", f->least, f->most);
        return wrong(r, n, text);
    }
    if (f->kind == COUNT64)
        *(uint64_t *)f->out = count;
    else
        *(uint32_t *)f->out = (uint32_t)count;
    return trp_ok();
}

static trp_status read_value(const struct reading *r, const struct trp_node *n,
                             const struct field *f)
{
    const struct trp_str text = is_text(n) ? n->v.s : (struct trp_str){ "", 0 };
    switch (f->kind) {
    case SHARE:
        return parse_share(text, f->least, f->most, f->out) ? trp_ok()
                                                            : wrong(r, n, "a share such as 5%");
    case TIME:
        return parse_time(text, f->out) ? trp_ok() : wrong_time(r, n, "a time such as 30ms");
    case QUANTILE:
        return parse_quantile(text, f->out) ? trp_ok() : wrong(r, n, "a quantile such as p95");
    case NUMBER:
        return parse_number(text, f->least, f->most, f->out) ? trp_ok()
                                                             : wrong(r, n, "a number such as 1.25");
    case COUNT:
    case COUNT64:
        return is_text(n) ? read_count(r, n, f) : wrong(r, n, "a number");
    case CHILD:
        break;
    }
    *(const struct trp_node **)f->out = n;
    return trp_ok();
}

/* ---- maps of them ---- */

/* A canary's share is that of its steps, one after the other: one of them is a share that stays. */
static trp_status share_of_canary(const struct reading *r, const struct trp_node *n)
{
    double share;
    const bool is_share = is_text(n) && n->v.s.len < 20 && parse_share(n->v.s, 0, 100, &share);
    const struct trp_str shown = is_share ? n->v.s : trp_str_of("10%");
    *r->out_at = n;
    return trp_fail(
        r->err, TRP_INVALID_ARGUMENT,
        "unknown key '%.*s' of canary; `steps: [%.*s]` gives it %.*s, and no more later",
        TRP_STR(n->key), TRP_STR(shown), TRP_STR(shown));
}

static trp_status unknown_key(const struct reading *r, const struct trp_node *n,
                              const struct field *fields, uint32_t fields_n)
{
    const char *nearest = NULL;
    uint32_t best = 3;
    if (strcmp(r->of, "canary") == 0 &&
        (trp_str_is(n->key, "share") || trp_str_is(n->key, "weight") ||
         trp_str_is(n->key, "percent")))
        return share_of_canary(r, n);
    for (uint32_t i = 0; i < fields_n; i++) {
        const uint32_t distance = trp_str_distance(n->key, trp_str_of(fields[i].key), best);
        if (distance < best) {
            best = distance;
            nearest = fields[i].key;
        }
    }
    *r->out_at = n;
    return trp_fail(r->err, TRP_INVALID_ARGUMENT, "unknown key '%.*s' of %s%s%s%s", TRP_STR(n->key),
                    r->of, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                    nearest ? "'?" : "");
}

static trp_status read_map(const struct reading *r, const struct trp_node *map,
                           const struct field *fields, uint32_t fields_n)
{
    for (const struct trp_node *n = map->first; n; n = n->next) {
        uint32_t i = 0;
        while (i < fields_n && !trp_str_is(n->key, fields[i].key))
            i++;
        if (i == fields_n)
            return unknown_key(r, n, fields, fields_n);
        TRP_CHECK(read_value(r, n, &fields[i]));
    }
    return trp_ok();
}

trp_status trp_policy_read_breaker(const struct trp_node *n, struct trp_breaker_opts *out,
                                   bool *out_on, const struct trp_node **out_at,
                                   struct trp_error *err)
{
    const struct reading r = { "breaker", out_at, err };
    const struct field fields[] = {
        { "errors", SHARE, 0, 100, &out->failure_share },
        { "calls", COUNT, 1, 1e6, &out->calls_min },
        { "row", COUNT, 0, 1e6, &out->row_max },
        { "window", TIME, 0, 0, &out->window_ns },
        { "pause", TIME, 0, 0, &out->open_ns },
        { "pause_most", TIME, 0, 0, &out->open_max_ns },
        { "probes", COUNT, 1, 255, &out->probes },
    };
    *out = TRP_BREAKER_OPTS_DEFAULT;
    /* YAML's `off` may have been read as false. */
    *out_on = !(n->kind == TRP_NODE_BOOL && !n->v.b) && !(is_text(n) && trp_str_is(n->v.s, "off"));
    if (!*out_on)
        return trp_ok();
    if (n->kind != TRP_NODE_MAP)
        return wrong(&r, n, "off, or { errors: 50%, row: 10, ... }");
    return read_map(&r, n, fields, ARRAY_LEN(fields));
}

trp_status trp_policy_read_budget(const struct trp_node *n, struct trp_retry_budget_opts *out,
                                  const struct trp_node **out_at, struct trp_error *err)
{
    const struct reading r = { "budget", out_at, err };
    const struct field fields[] = {
        { "share", SHARE, 0, 1000, &out->share },
        { "floor", NUMBER, 0, 1e6, &out->floor_per_s },
        { "window", TIME, 0, 0, &out->window_ns },
    };
    *out = TRP_RETRY_BUDGET_OPTS_DEFAULT;
    if (n->kind != TRP_NODE_MAP)
        return read_value(&r, n, &fields[0]);
    return read_map(&r, n, fields, ARRAY_LEN(fields));
}

/* "p95", or a time: then that is all that counts. */
static trp_status read_after(const struct reading *r, const struct trp_node *n,
                             struct trp_hedge_opts *out)
{
    if (is_text(n) && parse_quantile(n->v.s, &out->quantile))
        return trp_ok();
    if (!is_text(n) || !parse_time(n->v.s, &out->least_ns))
        return wrong_time(r, n, "a quantile such as p95, or a time such as 20ms");
    out->quantile = 0;
    return trp_ok();
}

trp_status trp_policy_read_hedge(const struct trp_node *n, struct trp_hedge_opts *out,
                                 const struct trp_node **out_at, struct trp_error *err)
{
    const struct reading r = { "hedge", out_at, err };
    const struct trp_node *after = NULL, *use = NULL;
    const struct field fields[] = {
        { "use", CHILD, 0, 0, &use }, /* who asks has read it */
        { "after", CHILD, 0, 0, &after },
        { "least", TIME, 0, 0, &out->least_ns },
        { "answers", COUNT, 1, 1e6, &out->answers_min },
    };
    *out = TRP_HEDGE_OPTS_DEFAULT;
    if (n->kind != TRP_NODE_MAP)
        return read_after(&r, n, out);
    TRP_CHECK(read_map(&r, n, fields, ARRAY_LEN(fields)));
    return after ? read_after(&r, after, out) : trp_ok();
}

/* ---- canaries ---- */

static trp_status read_steps(const struct reading *r, struct trp_arena *arena,
                             const struct trp_node *list, const struct trp_canary_step *each,
                             struct trp_canary_opts *out)
{
    if (list->kind != TRP_NODE_LIST || list->children_n == 0 ||
        list->children_n > TRP_CANARY_STEPS_MAX)
        return wrong(r, list, "1 to 16 shares such as [1%, 10%, 100%]");
    struct trp_canary_step *steps = trp_arena_zeroed(arena, list->children_n, sizeof *steps);
    if (!steps)
        return trp_fail(r->err, TRP_OUT_OF_MEMORY, "steps of a canary");
    double before = 0;
    for (const struct trp_node *n = list->first; n; n = n->next) {
        struct trp_canary_step *step = &steps[out->steps_n++];
        *step = *each;
        if (!is_text(n) || !parse_share(n->v.s, 0, 100, &step->share) || step->share <= before)
            return wrong(r, n, "shares that rise, such as [1%, 10%, 100%]");
        before = step->share;
    }
    out->steps = steps;
    return trp_ok();
}

trp_status trp_policy_read_canary(struct trp_arena *arena, const struct trp_node *n,
                                  struct trp_canary_opts *out, const struct trp_node **out_at,
                                  struct trp_error *err)
{
    const struct reading r = { "canary", out_at, err };
    struct trp_canary_step each = { .least_ns = 300000000000, .least_calls = 100 };
    const struct trp_node *steps = n->kind == TRP_NODE_MAP ? NULL : n, *use = NULL;
    const struct field fields[] = {
        { "use", CHILD, 0, 0, &use }, /* as above */
        { "steps", CHILD, 0, 0, &steps },
        { "hold", TIME, 0, 0, &each.least_ns },
        { "answers", COUNT64, 1, 1e9, &each.least_calls },
        { "errors", SHARE, 0.01, 100, &out->error_margin },
        { "slower", NUMBER, 1, 1000, &out->latency_ratio },
        { "quantile", QUANTILE, 0, 0, &out->quantile },
    };
    *out = (struct trp_canary_opts){ 0 };
    *out_at = NULL;
    if (n->kind == TRP_NODE_MAP)
        TRP_CHECK(read_map(&r, n, fields, ARRAY_LEN(fields)));
    if (steps)
        return read_steps(&r, arena, steps, &each, out);
    /* How long each of the usual steps is held may be said without naming them. */
    struct trp_canary_step *usual = trp_arena_zeroed(arena, 5, sizeof *usual);
    if (!usual)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "steps of a canary");
    static const double shares[] = { 0.01, 0.05, 0.25, 0.5, 1 };
    for (uint32_t i = 0; i < ARRAY_LEN(shares); i++) {
        usual[i] = each;
        usual[i].share = shares[i];
    }
    out->steps = usual;
    out->steps_n = ARRAY_LEN(shares);
    return trp_ok();
}

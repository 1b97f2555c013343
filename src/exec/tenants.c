/* exec/tenants.c - see tenants.h. */
#include "exec/tenants.h"

#include "base/clock.h"

#define LOOKS_MAX 64u /* places that are looked at for one that can leave */
#define WEIGHT_MAX 1000u

/* ---- rules ---- */

static const struct trp_tenant_rule usual = { .name = { "*", 1 }, .weight = 1 };

static bool is_name(struct trp_str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] <= ' ' || name.ptr[i] == '=' || name.ptr[i] == 0x7f)
            return false;
    return name.len > 0;
}

static struct trp_str take_word(struct trp_str *rest)
{
    while (rest->len > 0 && rest->ptr[0] == ' ')
        *rest = trp_str_make(rest->ptr + 1, rest->len - 1);
    size_t len = 0;
    while (len < rest->len && rest->ptr[len] != ' ')
        len++;
    const struct trp_str word = trp_str_make(rest->ptr, len);
    *rest = trp_str_make(rest->ptr + len, rest->len - len);
    return word;
}

static bool take_rate(struct trp_str value, double *out)
{
    return trp_str_parse_f64(value, out) && *out > 0 && *out <= 1e9;
}

static bool take_count(struct trp_str value, uint64_t most, uint32_t *out)
{
    uint64_t n = 0;
    if (!trp_str_parse_u64(value, &n) || n < 1 || n > most)
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool take_member(struct trp_str key, struct trp_str value, struct trp_tenant_rule *rule)
{
    if (trp_str_is(key, "weight"))
        return take_count(value, WEIGHT_MAX, &rule->weight);
    if (trp_str_is(key, "requests_per_second"))
        return take_rate(value, &rule->requests_per_second);
    if (trp_str_is(key, "rows_per_second"))
        return take_rate(value, &rule->rows_per_second);
    return trp_str_is(key, "concurrency") && take_count(value, UINT32_MAX, &rule->calls_max);
}

trp_status trp_tenant_rule_parse(struct trp_str text, struct trp_tenant_rule *out,
                                 struct trp_error *err)
{
    struct trp_str rest = text, word;
    struct trp_tenant_rule rule = { .name = take_word(&rest), .weight = 1 };
    if (!is_name(rule.name))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "\"%.*s\" does not begin with a tenant's name",
                        TRP_STR(text));
    while ((word = take_word(&rest)).len > 0) {
        const char *equals = memchr(word.ptr, '=', word.len);
        const size_t len = equals ? (size_t)(equals - word.ptr) : word.len;
        if (!equals || !take_member(trp_str_make(word.ptr, len),
                                    trp_str_make(equals + 1, word.len - len - 1), &rule))
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "\"%.*s\": \"%.*s\" is none of weight=1...%u, requests_per_second=N, "
                            "rows_per_second=N, concurrency=N",
                            TRP_STR(text), TRP_STR(word), WEIGHT_MAX);
    }
    *out = rule;
    return trp_ok();
}

static const struct trp_tenant_rule *find_rule(const struct trp_tenant_rule *rules,
                                               uint32_t rules_n, struct trp_str name)
{
    const struct trp_tenant_rule *found = &usual;
    for (uint32_t i = 0; i < rules_n; i++) {
        const struct trp_tenant_rule *const rule = &rules[i];
        if (name.len > 0 && trp_str_is_equal(rule->name, name))
            return rule;
        if (trp_str_is(rule->name, "*"))
            found = rule;
    }
    return found;
}

static const struct trp_tenant_rule *rule_of(const struct trp_tenants *t, struct trp_str name)
{
    return find_rule(t->opts.rules, t->opts.rules_n, name);
}

uint32_t trp_tenant_weight(const struct trp_tenant_rule *rules, uint32_t rules_n,
                           struct trp_str name)
{
    return find_rule(rules, rules_n, name)->weight;
}

/* ---- places ---- */

static struct trp_rate_flow flow_of(double per_second)
{
    return (struct trp_rate_flow){ .per_second = per_second, .burst = per_second };
}

static void furnish(struct trp_tenants *t, struct trp_tenant *tenant,
                    const struct trp_tenant_rule *rule)
{
    trp_sched_tenant_init(t->sched, &tenant->share, rule->weight);
    tenant->all = t;
    tenant->rate = (struct trp_rate_limit){ .requests = flow_of(rule->requests_per_second),
                                            .rows = flow_of(rule->rows_per_second),
                                            .calls_max = rule->calls_max };
}

static bool has_limits(const struct trp_tenant_rule *rule)
{
    return rule->requests_per_second > 0 || rule->rows_per_second > 0 || rule->calls_max > 0;
}

static trp_status get_places(struct trp_tenants *t)
{
    t->buckets_n = 16;
    while (t->buckets_n < 2 * (uint64_t)t->opts.tenants_max)
        t->buckets_n *= 2;
    t->places = trp_alloc_zeroed(t->alloc, t->opts.tenants_max + (size_t)1, sizeof *t->places);
    t->buckets = trp_alloc_zeroed(t->alloc, t->buckets_n, sizeof(struct trp_tenant *));
    if (t->places && t->buckets)
        return trp_ok();
    trp_tenants_deinit(t);
    return trp_fail(NULL, TRP_OUT_OF_MEMORY, "%u tenants", t->opts.tenants_max);
}

trp_status trp_tenants_init(struct trp_tenants *t, const struct trp_alloc *alloc,
                            const struct trp_tenants_opts *opts, struct trp_sched *s,
                            struct trp_lock *lock)
{
    *t = (struct trp_tenants){ .alloc = alloc, .opts = *opts, .sched = s, .lock = lock };
    TRP_CHECK(get_places(t));
    for (uint32_t i = 0; i < opts->rules_n; i++)
        t->has_rates = t->has_rates || has_limits(&opts->rules[i]);
    const struct trp_tenant_rule *const others = rule_of(t, (struct trp_str){ 0 });
    furnish(t, &t->anyone, others);
    furnish(t, &t->strangers, others);
    trp_sched_tenant_init(s, &s->anyone, others->weight); /* whose share `anyone` takes */
    return trp_ok();
}

void trp_tenants_deinit(struct trp_tenants *t)
{
    if (!t->alloc)
        return;
    trp_alloc_free(t->alloc, t->places);
    trp_alloc_free(t->alloc, t->buckets);
    t->places = NULL;
    t->buckets = NULL;
}

/* FNV-1a, and splitmix64's last steps so that all bits count. */
static uint64_t hash_of(const struct trp_tenants *t, struct trp_str name)
{
    uint64_t h = t->opts.seed ^ UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < name.len; i++)
        h = (h ^ (unsigned char)name.ptr[i]) * UINT64_C(0x100000001b3);
    struct trp_random mixed = { .state = h };
    return trp_random_next(&mixed);
}

static struct trp_tenant **bucket_of(const struct trp_tenants *t, uint64_t name)
{
    return &t->buckets[name & (t->buckets_n - 1)];
}

static void unlink_place(struct trp_tenants *t, const struct trp_tenant *tenant)
{
    struct trp_tenant **at = bucket_of(t, tenant->name);
    while (*at != tenant)
        at = &(*at)->next;
    *at = tenant->next;
}

/* A free place, or that of somebody who has no call here and was not asked for of late. */
static struct trp_tenant *find_place(struct trp_tenants *t)
{
    if (t->used < t->opts.tenants_max) {
        if (t->opts.metrics)
            trp_metrics_set(t->opts.metrics, TRP_METRIC_TENANTS, t->used + 1);
        return &t->places[t->used++];
    }
    for (uint32_t looks = 0; t->used > 0 && looks < LOOKS_MAX; looks++) {
        struct trp_tenant *const tenant = &t->places[t->hand];
        t->hand = (t->hand + 1) % t->used;
        if (trp_gauge_get(&tenant->calls) > 0)
            continue;
        if (tenant->is_asked && looks < LOOKS_MAX / 2) {
            tenant->is_asked = false;
            continue;
        }
        unlink_place(t, tenant);
        return tenant;
    }
    return NULL;
}

static struct trp_tenant *move_in(struct trp_tenants *t, struct trp_str name, uint64_t hash)
{
    struct trp_tenant *const tenant = find_place(t);
    if (!tenant) {
        if (t->opts.metrics)
            trp_metrics_add(t->opts.metrics, TRP_METRIC_TENANTS_STRANGERS, 1);
        return &t->strangers;
    }
    struct trp_tenant **const bucket = bucket_of(t, hash);
    furnish(t, tenant, rule_of(t, name));
    tenant->name = hash;
    tenant->next = *bucket;
    *bucket = tenant;
    return tenant;
}

struct trp_tenant *trp_tenants_enter(struct trp_tenants *t, struct trp_str name)
{
    if (!t->places)
        return NULL;
    struct trp_tenant *tenant = &t->anyone;
    if (name.len > 0) {
        const uint64_t hash = hash_of(t, name);
        tenant = *bucket_of(t, hash);
        while (tenant && tenant->name != hash)
            tenant = tenant->next;
        if (!tenant)
            tenant = move_in(t, name, hash);
    }
    tenant->is_asked = true;
    trp_gauge_add(&tenant->calls, 1);
    return tenant;
}

void trp_tenants_leave(struct trp_tenant *tenant)
{
    if (tenant)
        trp_gauge_add(&tenant->calls, -1);
}

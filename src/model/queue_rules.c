/* model/queue_rules.c - see queue_rules.h. */
#include "model/queue_rules.h"

#include "conf/settings.h"

#define RATE_MAX 1e9

static const struct trp_str nothing = { NULL, 0 };

/* A late request is dropped (REJECT), or waits on (DELAY): then its time is none that ends
 * anything. */
static trp_status take_policy(const struct trp_node *n, struct trp_queue_policy *out,
                              struct trp_error *err)
{
    const uint64_t us = trp_node_u64(n, "default_timeout_microseconds", 0);
    const bool waits_on = trp_str_is(trp_node_str(n, "timeout_action", nothing), "DELAY");
    if (us > INT64_MAX / 1000)
        return trp_node_fail(trp_node_get(n, "default_timeout_microseconds"), err,
                             TRP_INVALID_ARGUMENT, "default_timeout_microseconds: %llu is too much",
                             (unsigned long long)us);
    out->timeout_ns = waits_on ? 0 : (int64_t)us * 1000;
    out->calls_max = (uint32_t)trp_node_u64(n, "max_queue_size", 0);
    return trp_ok();
}

static trp_status take_levels(const struct trp_node *batching, struct trp_queue_rules *r,
                              struct trp_error *err)
{
    const struct trp_node *levels = trp_node_get(batching, "priority_levels");
    const struct trp_node *usual = trp_node_get(batching, "default_priority_level");
    r->levels = trp_node_u64(batching, "priority_levels", 0);
    r->usual = trp_node_u64(batching, "default_priority_level", 0);
    if (r->levels > TRP_QUEUE_LEVELS_MAX)
        return trp_node_fail(levels, err, TRP_INVALID_ARGUMENT,
                             "priority_levels is %llu; %u are possible",
                             (unsigned long long)r->levels, TRP_QUEUE_LEVELS_MAX);
    if (r->levels > 0 && (r->usual < 1 || r->usual > r->levels))
        return trp_node_fail(usual ? usual : levels, err, TRP_INVALID_ARGUMENT,
                             "default_priority_level is %llu; with %llu priority_levels it is 1 to "
                             "%llu",
                             (unsigned long long)r->usual, (unsigned long long)r->levels,
                             (unsigned long long)r->levels);
    return trp_ok();
}

static trp_status take_level_policies(struct trp_arena *a, const struct trp_node *map,
                                      struct trp_queue_rules *r, struct trp_error *err)
{
    const uint32_t n = map ? map->children_n : 0;
    if (n == 0)
        return trp_ok();
    struct trp_queue_level *of_level = trp_arena_zeroed(a, n, sizeof *of_level);
    if (!of_level)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the configuration");
    for (const struct trp_node *l = map->first; l; l = l->next) {
        struct trp_queue_level level = { 0 };
        TRP_CHECK(take_policy(l, &level.policy, err));
        if (!trp_str_parse_u64(l->key, &level.level) || level.level < 1 || level.level > r->levels)
            continue; /* there is no such level, so no request is of it */
        of_level[r->of_level_n++] = level;
    }
    r->of_level = of_level;
    return trp_ok();
}

static trp_status take_deadline(const struct trp_node *tree, struct trp_queue_rules *r,
                                struct trp_error *err)
{
    const struct trp_node *n = trp_node_get(tree, "deadline");
    const struct trp_str text = trp_node_str(tree, "deadline", nothing);
    if (!n)
        return trp_ok();
    if (!trp_setting_parse_stay(text, &r->deadline_ns) || r->deadline_ns <= 0)
        return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                             "deadline is \"%.*s\"; it is a duration, such as 200ms",
                             TRP_STR(text));
    return trp_ok();
}

static trp_status take_per_second(const struct trp_node *limit, const char *key, double *out,
                                  struct trp_error *err)
{
    const struct trp_node *n = trp_node_get(limit, key);
    *out = trp_node_f64(limit, key, 0);
    if (!n || (*out > 0 && *out <= RATE_MAX))
        return trp_ok();
    return trp_node_fail(n, err, TRP_INVALID_ARGUMENT, "rate_limit: %s is %g; it is above 0", key,
                         *out);
}

static trp_status take_rate(const struct trp_node *limit, struct trp_queue_rules *r,
                            struct trp_error *err)
{
    TRP_CHECK(take_per_second(limit, "requests_per_second", &r->requests_per_second, err));
    TRP_CHECK(take_per_second(limit, "rows_per_second", &r->rows_per_second, err));
    r->calls_max = (uint32_t)trp_node_u64(limit, "concurrency", 0);
    return trp_ok();
}

static const struct trp_queue_rules *copy(struct trp_arena *a, const struct trp_queue_rules *from)
{
    struct trp_queue_rules *rules = trp_arena_zeroed(a, 1, sizeof *rules);
    if (rules)
        *rules = *from;
    return rules;
}

trp_status trp_queue_rules_take(struct trp_arena *a, const struct trp_node *tree,
                                const struct trp_queue_rules **out_rules, struct trp_error *err)
{
    const struct trp_node *batching = trp_node_get(tree, "dynamic_batching");
    const struct trp_node *limit = trp_node_get(tree, "rate_limit");
    struct trp_queue_rules r = { 0 };
    *out_rules = NULL;
    if (!(batching && batching->first) && !limit && !trp_node_get(tree, "deadline"))
        return trp_ok();
    TRP_CHECK(take_levels(batching, &r, err));
    TRP_CHECK(take_policy(trp_node_get(batching, "default_queue_policy"), &r.policy, err));
    TRP_CHECK(take_level_policies(a, trp_node_get(batching, "priority_queue_policy"), &r, err));
    TRP_CHECK(take_deadline(tree, &r, err));
    TRP_CHECK(take_rate(limit, &r, err));
    *out_rules = copy(a, &r);
    return *out_rules ? trp_ok()
                      : trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the configuration");
}

bool trp_queue_rules_dup(struct trp_arena *a, const struct trp_queue_rules *from,
                         const struct trp_queue_rules **out_rules)
{
    struct trp_queue_rules r;
    *out_rules = NULL;
    if (!from)
        return true;
    r = *from;
    if (r.of_level_n > 0) {
        struct trp_queue_level *levels = trp_arena_get(a, r.of_level_n * sizeof *levels);
        if (!levels)
            return false;
        memcpy(levels, from->of_level, r.of_level_n * sizeof *levels);
        r.of_level = levels;
    }
    *out_rules = copy(a, &r);
    return *out_rules != NULL;
}

uint64_t trp_queue_rules_level(const struct trp_queue_rules *r, uint64_t number)
{
    if (!r || r->levels == 0)
        return 0;
    return number == 0 || number > r->levels ? r->usual : number;
}

static const struct trp_queue_policy *policy_of(const struct trp_queue_rules *r, uint64_t number)
{
    const uint64_t level = trp_queue_rules_level(r, number);
    for (uint32_t i = 0; level > 0 && i < r->of_level_n; i++)
        if (r->of_level[i].level == level)
            return &r->of_level[i].policy;
    return NULL;
}

int64_t trp_queue_rules_timeout_ns(const struct trp_queue_rules *r, uint64_t number)
{
    if (!r)
        return 0;
    const struct trp_queue_policy *const own = policy_of(r, number);
    const int64_t timeout_ns = own ? own->timeout_ns : r->policy.timeout_ns;
    if (timeout_ns == 0 || r->deadline_ns == 0)
        return timeout_ns + r->deadline_ns;
    return timeout_ns < r->deadline_ns ? timeout_ns : r->deadline_ns;
}

uint32_t trp_queue_rules_level_max(const struct trp_queue_rules *r, uint64_t number)
{
    const struct trp_queue_policy *const own = policy_of(r, number);
    return own ? own->calls_max : 0;
}

uint32_t trp_queue_rules_calls_max(const struct trp_queue_rules *r)
{
    return r ? r->policy.calls_max : 0;
}

bool trp_queue_rules_has_rate(const struct trp_queue_rules *r)
{
    return r && (r->requests_per_second > 0 || r->rows_per_second > 0 || r->calls_max > 0);
}

/* route/route_hedge.c - see route_hedge.h. */
#include "route/route_hedge.h"

#include "base/json.h"
#include "route/policy_options.h"

trp_status trp_route_hedge_read(const struct trp_route_reader *reader, const struct trp_node *at,
                                uint32_t goal, struct trp_route_rule *rule, struct trp_error *err)
{
    const struct trp_node *wrong = NULL;
    struct trp_error why = { 0 };
    struct trp_hedge_opts opts;
    if (trp_failed(trp_policy_read_hedge(at, &opts, &wrong, &why)))
        return trp_route_source_fail(reader->source, wrong, wrong->key, err, "%s", why.text);
    struct trp_route_hedge *h = trp_arena_zeroed(reader->arena, 1, sizeof *h);
    const struct trp_str text = trp_arena_format(reader->arena, "%.*s: hedge", TRP_STR(rule->why));
    if (!h || !text.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "routes: no memory for a hedge");
    h->goal = goal;
    h->why = text;
    trp_hedge_init(&h->hedge, &opts);
    rule->hedge = h;
    return trp_ok();
}

void trp_route_hedge_write_json(const struct trp_route_plan *p, const struct trp_route_rule *rule,
                                struct trp_buf *b)
{
    const struct trp_route_hedge *h = rule->hedge;
    const bool is_fixed = h->hedge.opts.quantile <= 0;
    const int64_t wait_ns = is_fixed ? h->hedge.opts.least_ns : trp_gauge_get(&h->hedge.wait_ns);
    trp_buf_add_text(b, "{\"target\":");
    if (h->goal)
        trp_json_write_str(b, p->goals[h->goal - 1].text);
    else
        trp_buf_add_text(b, "null");
    trp_buf_addf(b, ",\"wait_ms\":%.10g,\"sent\":", (double)wait_ns / 1e6);
    trp_buf_add_u64(b, trp_counter_get(&h->hedge.sent));
    trp_buf_add_text(b, ",\"won\":");
    trp_buf_add_u64(b, trp_counter_get(&h->hedge.won));
    trp_buf_add_text(b, ",\"refused\":");
    trp_buf_add_u64(b, trp_counter_get(&h->hedge.refused));
    trp_buf_add_char(b, '}');
}

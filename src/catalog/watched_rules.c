/* catalog/watched_rules.c - models whose load rules ask for. */
#include "catalog/routing_parts.h"

static trp_status watch(const struct trp_routing *r, struct trp_str name, bool is_wanted,
                        struct trp_error *err)
{
    const struct trp_load_view *load = r->opts.env->load;
    if (is_wanted)
        return load->watch(load->user, name, err);
    load->unwatch(load->user, name);
    return trp_ok();
}

static trp_status watch_conditions(const struct trp_routing *r, const struct trp_cookbook *book,
                                   bool is_wanted, struct trp_error *err)
{
    struct trp_str name;
    for (uint32_t i = 0; i < trp_cookbook_count(book); i++) {
        uint32_t cursor = 0;
        while (trp_composition_next_load(trp_cookbook_at(book, i), &cursor, &name, NULL))
            TRP_CHECK(watch(r, name, is_wanted, err));
    }
    return trp_ok();
}

trp_status trp_watched_rules_set(const struct trp_routing *r, const struct trp_route_file *f,
                                 const struct trp_cookbook *book, bool is_wanted,
                                 struct trp_error *err)
{
    struct trp_str name;
    if (!r->opts.env->load)
        return trp_ok();
    for (uint32_t i = 0; f && i < trp_route_file_count(f); i++) {
        const struct trp_route_plan *p = trp_route_plan_of(trp_route_file_at(f, i));
        for (uint32_t k = 0; k < 2 * p->rules_n; k++) {
            const struct trp_route_rule *rule = &p->rules[k / 2];
            const struct trp_expr *expr = k % 2 == 0 ? rule->when : rule->sticky;
            uint32_t cursor = 0;
            while (expr && trp_expr_next_model(expr, &cursor, &name))
                TRP_CHECK(watch(r, name, is_wanted, err));
        }
    }
    return watch_conditions(r, book, is_wanted, err);
}

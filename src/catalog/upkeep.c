/* catalog/upkeep.c - see upkeep.h. */
#include "catalog/upkeep.h"

/* Only its first line: the picture of the place is for whoever edits that file. */
static trp_status breaks(const char *kind, struct trp_str name, const struct trp_error *why,
                         struct trp_error *err)
{
    const char *end = strchr(why->text, '\n');
    const size_t len = end ? (size_t)(end - why->text) : strlen(why->text);
    return trp_fail(err, TRP_FAILED_PRECONDITION, "it would break %s '%.*s': %.*s", kind,
                    TRP_STR(name), (int)len, why->text);
}

/* Itself, or by a route behind it; what serves leads nowhere back, so this ends. */
static bool asks(const struct trp_known_names *names, const struct trp_route_plan *p,
                 struct trp_str model)
{
    for (uint32_t i = 0; p && i < p->goals_n; i++) {
        const struct trp_str name = p->goals[i].model;
        if (trp_str_is_equal(name, model) || asks(names, trp_known_names_route(names, name), model))
            return true;
    }
    return false;
}

static trp_status judge_routes(const struct trp_known_names *names,
                               const struct trp_route_check *next,
                               const struct trp_route_check *now, struct trp_error *err)
{
    for (uint32_t i = 0; names->file && i < trp_route_file_count(names->file); i++) {
        const struct trp_route_plan *p = trp_route_plan_of(trp_route_file_at(names->file, i));
        struct trp_error why = { 0 }, before = { 0 };
        if (!asks(names, p, names->proposal->model))
            continue;
        const trp_status st = trp_route_file_check_one(names->file, i, next, &why);
        if (st.code == TRP_OUT_OF_MEMORY) {
            *err = why;
            return st;
        }
        if (trp_failed(st) && !trp_failed(trp_route_file_check_one(names->file, i, now, &before)))
            return breaks("route", p->name, &why, err);
    }
    return trp_ok();
}

trp_status trp_upkeep_judge(const struct trp_known_names *names, const struct trp_proposal *now,
                            struct trp_error *err)
{
    struct trp_known_names with = *names, without = *names;
    struct trp_composition *broken;
    struct trp_error why = { 0 };
    without.proposal = now;
    const struct trp_route_check next = trp_known_names_check(&with);
    const struct trp_route_check as_it_is = trp_known_names_check(&without);
    TRP_CHECK(judge_routes(names, &next, &as_it_is, err));
    const struct trp_route_trial trial = { names->proposal->model, &next, &as_it_is };
    const trp_status st = trp_cookbook_judge(names->book, &trial, &broken, &why);
    if (!trp_failed(st))
        return st;
    if (st.code != TRP_OUT_OF_MEMORY)
        return breaks(trp_composition_kind(broken), trp_composition_target(broken)->name, &why,
                      err);
    *err = why;
    return st;
}

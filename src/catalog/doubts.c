/* catalog/doubts.c - what serves, looked at again. */
#include "catalog/routing_parts.h"

#include <stdio.h>

#define LOOKS_AT_ONCE 64u /* compositions with each publication */

/* A route that serves does not fit a model that became known, or does by now. */
static void tell_doubt(void *user, const struct trp_router *route, const char *doubt)
{
    const struct trp_routing *r = user;
    const struct trp_str name = trp_route_plan_of(route)->name;
    char lead[320];
    (void)snprintf(lead, sizeof lead,
                   "route '%.*s' goes on, and may not fit its targets: ", TRP_STR(name));
    if (doubt)
        trp_routing_log(r, TRP_LOG_WARNING, lead, doubt);
    else
        TRP_INFO(r->opts.log, "route", "route '%.*s' fits its targets now", TRP_STR(name));
}

/* The same of a composition, which does not go on. */
static void tell_unfit(void *user, const struct trp_error *why)
{
    trp_routing_log(user, TRP_LOG_ERROR, "", why->text);
}

/* Somebody that it asks has left, or all are there again. */
static void tell_gone(void *user, struct trp_composition *c, const char *doubt)
{
    const struct trp_routing *r = user;
    const char *kind = trp_composition_kind(c);
    const struct trp_str name = trp_composition_target(c)->name;
    if (doubt)
        TRP_WARN(r->opts.log, "route", "%s '%.*s': %s", kind, TRP_STR(name), doubt);
    else
        TRP_INFO(r->opts.log, "route", "all that %s '%.*s' asks are there now", kind,
                 TRP_STR(name));
}

/* Of those that serve and may lose a member, for the rows of a request. */
static void tell_rows(struct trp_routing *r)
{
    for (uint32_t i = 0; i < trp_cookbook_count(r->book); i++) {
        struct trp_composition *c = trp_cookbook_at(r->book, i);
        const struct trp_str rows = trp_composition_take_rows(c);
        char lead[320];
        (void)snprintf(lead, sizeof lead, "%s '%.*s' goes on: ", trp_composition_kind(c),
                       TRP_STR(trp_composition_target(c)->name));
        if (rows.len > 0)
            trp_routing_log(r, TRP_LOG_WARNING, lead, rows.ptr);
    }
}

/* Thousands of models that are loaded are as many publications, and compositions may ask thousands
 * of names: all of them where some may have come or gone, else the next few. */
static void look_at_members(struct trp_routing *r, const struct trp_route_check *check,
                            const struct trp_cookbook_news *news)
{
    const uint32_t names_n = r->snapshot ? trp_snapshot_count(r->snapshot) : 0;
    const bool may_be_others = names_n != r->names_n;
    r->names_n = names_n;
    trp_cookbook_look_at_members(r->book, check, news, may_be_others ? UINT32_MAX : LOOKS_AT_ONCE);
}

/* What could not be checked before, because models were not known, may be now. */
void trp_doubts_look(struct trp_routing *r)
{
    struct trp_known_names names = trp_routing_names(r);
    const struct trp_route_check check = trp_known_names_check(&names);
    if (r->next || r->is_closing) /* names are those of a reading; when it ends */
        return;
    const struct trp_cookbook_news news = { r, tell_unfit, tell_gone };
    if (r->book) {
        trp_cookbook_look_again(r->book, &check, &news);
        look_at_members(r, &check, &news);
    }
    tell_rows(r);
    if (r->file)
        trp_route_file_look_again(r->file, &check, tell_doubt, r);
}

/* What it brings and takes away is published before or after it. */
void trp_doubts_look_at_names(struct trp_routing *r)
{
    r->names_n = TRP_ROUTING_UNASKED;
    trp_doubts_look(r);
    r->names_n = TRP_ROUTING_UNASKED;
}

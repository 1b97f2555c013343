/* route/route_sign.c - see route_sign.h. */
#include "route/route_sign.h"

#include <string.h>

#include "call/target.h"

void trp_route_sign(struct trp_call *call, const struct trp_call *answered, struct trp_str rule,
                    enum trp_attempts_why why)
{
    const char *const came = why == TRP_ATTEMPTS_FIRST ? "" : trp_attempts_why_name(why);
    if (call->answered_by.len == 0) {
        call->answered_by =
            answered->answered_by.len ? answered->answered_by : answered->target->name;
        call->answered_version =
            answered->answered_version ? answered->answered_version : answered->target->version;
    }
    char room[TRP_STR_DIGITS];
    const struct trp_str pieces[] = { rule,
                                      trp_str_of(*came ? ": " : ""),
                                      trp_str_of(came),
                                      TRP_STR_LIT(" -> "),
                                      call->answered_by,
                                      TRP_STR_LIT("/"),
                                      trp_str_of_u64((uint64_t)call->answered_version, room) };
    call->answered_why = trp_arena_join(&call->arena, pieces, sizeof pieces / sizeof *pieces);
}

/* Whom a route behind this one has named. */
static struct trp_str named_behind(struct trp_str why, struct trp_str otherwise)
{
    static const char arrow[] = " -> ";
    if (!trp_str_starts_with(why, TRP_STR_LIT("route ")))
        return otherwise;
    for (size_t at = why.len - strlen(arrow); at > 0; at--)
        if (memcmp(why.ptr + at, arrow, strlen(arrow)) == 0)
            return trp_str_make(why.ptr + at + strlen(arrow), why.len - at - strlen(arrow));
    return otherwise;
}

void trp_route_sign_failure(struct trp_call *call, struct trp_str rule, struct trp_str target)
{
    target = named_behind(call->answered_why, target);
    call->answered_why =
        trp_arena_format(&call->arena, "%.*s -> %.*s", TRP_STR(rule), TRP_STR(target));
}

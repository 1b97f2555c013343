/* route/route_sign.c - see route_sign.h. */
#include "route/route_sign.h"

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

void trp_route_sign_failure(struct trp_call *call, struct trp_str rule, struct trp_str target)
{
    if (call->answered_why.len == 0)
        call->answered_why =
            trp_arena_format(&call->arena, "%.*s -> %.*s", TRP_STR(rule), TRP_STR(target));
}

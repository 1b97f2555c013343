/* admin/time_answers.c - which time rules read, and how it is moved. */
#include <stdio.h>

#include "admin/admin_internal.h"
#include "base/json_members.h"
#include "route/zone.h"

static trp_status write_answer(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    const int64_t now_ns = trp_clock_wall_ns(&a->opts.rule_clock->clock);
    const int64_t offset_ns = trp_shifted_clock_offset(a->opts.rule_clock);
    struct trp_civil utc;
    struct trp_buf b;
    char text[32];
    trp_zone_civil(NULL, now_ns, &utc);
    (void)snprintf(text, sizeof text, "%04d-%02u-%02uT%02u:%02u:%02uZ", utc.year, utc.month,
                   utc.day, utc.hour, utc.minute, utc.second);
    trp_buf_init(&b, c->arena->alloc, SIZE_MAX / 2);
    trp_buf_add_char(&b, '{');
    trp_json_add_str(&b, "time", trp_str_of(text));
    trp_json_add_i64(&b, "unix_ms", now_ns / TRP_MS(1));
    trp_json_add_i64(&b, "offset_ms", offset_ns / TRP_MS(1));
    trp_json_add_bool(&b, "adjustable",
                      trp_settings_bool(a->opts.settings, TRP_SETTING_ID_TIME_ADJUSTABLE));
    trp_buf_add_char(&b, '}');
    return trp_control_reply_take(c, &b, "time", err);
}

static trp_status check_clock(const struct trp_admin *a, struct trp_error *err)
{
    if (a->opts.rule_clock)
        return trp_ok();
    return trp_fail(err, TRP_UNIMPLEMENTED, "this server has no clock that rules read");
}

trp_status trp_answer_time_get(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    TRP_CHECK(check_clock(a, err));
    return write_answer(a, c, err);
}

trp_status trp_answer_time_set(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    const struct trp_str text = trp_node_str(c->request, "offset", TRP_STR_LIT(""));
    int64_t offset_ns;
    TRP_CHECK(check_clock(a, err));
    if (!trp_settings_bool(a->opts.settings, TRP_SETTING_ID_TIME_ADJUSTABLE))
        return trp_fail(err, TRP_PERMISSION_DENIED,
                        "the time that rules read is not to be changed: time.adjustable is false");
    if (!trp_setting_parse_offset(text, &offset_ns))
        return trp_fail(
            err, TRP_INVALID_ARGUMENT,
            "offset: expected a duration of at most a hundred years, such as 3h or -90m, "
            "found \"%.*s\"",
            TRP_STR(text));
    trp_shifted_clock_shift(a->opts.rule_clock, offset_ns);
    trp_metrics_set(a->opts.metrics, TRP_METRIC_TIME_OFFSET, (uint64_t)(offset_ns / TRP_S(1)));
    TRP_INFO(a->opts.log, "admin", "rules read another time: the clock's and %.*s", TRP_STR(text));
    return write_answer(a, c, err);
}

/* app/server_facts.c - what rules see besides the request: a wall clock, the load, lists. */
#include "app/server_internal.h"
#include "base/machine.h"

#define LOOK_NS TRP_MS(100)

static trp_status set_clock(struct trp_server *s, struct trp_error *err)
{
    const char *text = trp_settings_text(s->opts.settings, TRP_SETTING_ID_TIME_OFFSET);
    int64_t offset_ns;
    if (!trp_setting_parse_offset(trp_str_of(text), &offset_ns))
        return trp_fail(
            err, TRP_INVALID_ARGUMENT,
            "time.offset: expected a duration of at most a hundred years, such as 3h or "
            "-90m, found \"%s\"",
            text);
    trp_shifted_clock_init(&s->rule_clock, trp_clock_system(), offset_ns);
    trp_metrics_set(s->metrics, TRP_METRIC_TIME_OFFSET, (uint64_t)(offset_ns / TRP_S(1)));
    if (offset_ns != 0)
        TRP_WARN(s->log, "app", "time.offset: rules read another time than the clock's: %s", text);
    return trp_ok();
}

static trp_status make_load(struct trp_server *s, struct trp_error *err)
{
    const struct trp_load_facts_opts opts = { .control = s->control,
                                              .clock = trp_clock_system(),
                                              .interval_ns = LOOK_NS,
                                              .processors = trp_machine_processors(""),
                                              .exec = s->exec,
                                              .ledger = s->ledger,
                                              .metrics = s->metrics,
                                              .directories = &s->directories,
                                              .backends = s->backends };
    TRP_CHECK(trp_load_facts_create(s->alloc, &opts, &s->facts, err));
    trp_load_facts_show(s->facts, trp_registry_current(s->before));
    return trp_load_facts_start(s->facts, err);
}

static trp_status make_lists(struct trp_server *s, struct trp_error *err)
{
    const struct trp_settings *set = s->opts.settings;
    const struct trp_key_lists_opts opts = {
        .limits = { .keys_max = trp_settings_u64(set, TRP_SETTING_ID_LIST_KEYS),
                    .bytes_max = trp_settings_u64(set, TRP_SETTING_ID_LIST_BYTES) },
        .poll_ns = (int64_t)trp_settings_u64(set, TRP_SETTING_ID_LISTS_POLL),
        .keys = &s->accounts[TRP_ACCOUNT_LISTS].alloc,
        .clock = trp_clock_system(),
        .metrics = s->metrics,
        .log = s->log,
    };
    return trp_key_lists_create(s->alloc, &opts, &s->lists, err);
}

trp_status trp_server_make_facts(struct trp_server *s, struct trp_error *err)
{
    TRP_CHECK(set_clock(s, err));
    TRP_CHECK(make_load(s, err));
    return make_lists(s, err);
}

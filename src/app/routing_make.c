/* app/routing_make.c - what routes of this server are given. */
#include "app/server_internal.h"

static trp_status make_matchers(struct trp_server *s, struct trp_error *err)
{
    s->matchers = trp_alloc_zeroed(s->alloc, s->readers.n, sizeof(struct trp_matcher *));
    if (!s->matchers)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "patterns of routes");
    s->route_env.loops_n = s->readers.n;
    for (uint32_t i = 0; i < s->readers.n; i++)
        TRP_CHECK(trp_matcher_create(s->alloc, &s->matchers[i], err));
    return trp_ok();
}

/* What ensembles learn from; lives longer than all of them. */
static trp_status make_feedback(struct trp_server *s, struct trp_error *err)
{
    const struct trp_settings *set = s->opts.settings;
    const struct trp_feedback_opts opts = {
        .answers_max = (uint32_t)trp_settings_u64(set, TRP_SETTING_ID_FEEDBACK_ANSWERS),
        .bytes_max = trp_settings_u64(set, TRP_SETTING_ID_FEEDBACK_BYTES),
        .age_ns = (int64_t)trp_settings_u64(set, TRP_SETTING_ID_FEEDBACK_AGE),
        .metrics = s->metrics,
    };
    return trp_feedback_create(&s->accounts[TRP_ACCOUNT_FEEDBACK].alloc, &opts, &s->feedback, err);
}

/* What compositions are given; the finder's user is the admin, which is made later. */
static void set_cookbook(struct trp_server *s)
{
    const struct trp_settings *set = s->opts.settings;
    s->cookbook_opts = (struct trp_cookbook_opts){
        .alloc = s->alloc,
        .env = { .finder = { .find = trp_admin_find, .finished = trp_admin_finished },
                 .requests = &s->accounts[TRP_ACCOUNT_REQUEST].alloc,
                 .pools = s->pools,
                 .metrics = s->metrics,
                 .clock = &s->rule_clock.clock,
                 .load = trp_load_facts_view(s->facts),
                 .matchers = s->matchers,
                 .crew = s->crew,
                 .pixels_max = trp_settings_u64(set, TRP_SETTING_ID_IMAGE_PIXELS),
                 .output_bytes = trp_settings_u64(set, TRP_SETTING_ID_OUTPUT_BYTES),
                 .feedback = s->feedback }
    };
}

static trp_status make_crew(struct trp_server *s, struct trp_error *err)
{
    const struct trp_settings *set = s->opts.settings;
    const uint64_t asked = trp_settings_u64(set, TRP_SETTING_ID_HELPERS);
    const struct trp_crew_opts opts = {
        .threads_n = asked ? (uint32_t)asked : (trp_server_cores() + 1) / 2,
        .jobs_max = (uint32_t)trp_settings_u64(set, TRP_SETTING_ID_QUEUE_MAX),
        .floor_normal_permille = 10 * (uint32_t)trp_settings_u64(set, TRP_SETTING_ID_FLOOR_NORMAL),
        .floor_batch_permille = 10 * (uint32_t)trp_settings_u64(set, TRP_SETTING_ID_FLOOR_BATCH),
        .tenant_rules = s->tenant_rules,
        .tenant_rules_n = trp_settings_list_n(set, TRP_SETTING_ID_TENANTS),
        .seed = (uint64_t)trp_clock_now_ns(trp_clock_system()) ^ (uintptr_t)s,
        .nice = (int)trp_settings_u64(set, TRP_SETTING_ID_EXECUTOR_NICE),
        .limit = "sched.queue_max",
    };
    return trp_crew_create(s->alloc, &opts, &s->crew, err);
}

trp_status trp_server_make_routing(struct trp_server *s, struct trp_error *err)
{
    TRP_CHECK(
        trp_routes_place_find(s->opts.settings, s->opts.repositories[0], &s->routes_place, err));
    TRP_CHECK(make_matchers(s, err));
    TRP_CHECK(
        trp_directories_init(&s->directories, s->alloc, s->loops, s->readers.n, s->control, err));
    s->route_env = (struct trp_route_env){
        .finder = { .find = trp_admin_find, .finished = trp_admin_finished },
        .clock = &s->rule_clock.clock,
        .load = trp_load_facts_view(s->facts),
        .matchers = s->matchers,
        .loops_n = s->readers.n,
    };
    s->canaries = (struct trp_canary_watch){
        .control = s->control, .clock = trp_clock_system(), .log = s->log, .metrics = s->metrics
    };
    TRP_CHECK(trp_canary_watch_start(&s->canaries, err));
    TRP_CHECK(make_crew(s, err));
    s->route_env.crew = s->crew;
    TRP_CHECK(make_feedback(s, err));
    set_cookbook(s);
    const struct trp_routing_opts opts = {
        .path = s->routes_place.path,
        .folder = s->routes_place.folder,
        .bytes_max = trp_settings_u64(s->opts.settings, TRP_SETTING_ID_FILE_BYTES),
        .env = &s->route_env,
        .cookbook = &s->cookbook_opts,
        .lists = s->lists,
        .control = s->control,
        .clock = trp_clock_system(),
        .settle_ns = (int64_t)trp_settings_u64(s->opts.settings, TRP_SETTING_ID_SETTLE),
        .directories = &s->directories,
        .canaries = &s->canaries,
        .log = s->log,
        .metrics = s->metrics,
    };
    return trp_routing_create(s->alloc, &opts, &s->routing, err);
}

void trp_server_end_routing(struct trp_server *s)
{
    trp_crew_destroy(s->crew);
    trp_directories_deinit(&s->directories);
    trp_routing_destroy(s->routing);
    for (uint32_t i = 0; s->matchers && i < s->route_env.loops_n; i++)
        trp_matcher_destroy(s->matchers[i]);
    trp_alloc_free(s->alloc, s->matchers);
    trp_feedback_destroy(s->feedback);
}

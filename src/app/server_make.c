/* app/server_make.c - the parts of the server, made from the bottom up: one function per layer. */
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/backend_set.h"
#include "app/listing_opts.h"
#include "app/server_internal.h"
#include "base/machine.h"

#define OWN_DESCRIPTORS 128 /* listeners, loops, logs, the store's folders */
#define REQUEST_SHARE_MAX (UINT64_C(16) << 20)
#define SMALL_RUN_BYTES \
    (UINT64_C(256) << 10)       /* for each thread that runs models; nobody is asked */
#define PATIENCE_NS TRP_MS(100) /* then nobody passes who waits for memory */
#define REMEMBERED_MAX 512u     /* models that have gone: some 700 bytes each */

static uint64_t setting(const struct trp_server *s, enum trp_setting id)
{
    return trp_settings_u64(s->opts.settings, id);
}

uint32_t trp_server_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    const int n = CPU_COUNT(&set);
    return n > 0 ? (uint32_t)n : 1;
}

/* -- making: one function per layer -- */

static trp_status open_ports(struct trp_server *s, struct trp_error *err)
{
    const uint32_t n = trp_settings_list_n(s->opts.settings, TRP_SETTING_ID_LISTEN);
    if (n == 0 || n > LISTEN_MAX)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "listen: %u addresses, 1 to %d are possible", n,
                        LISTEN_MAX);
    for (uint32_t i = 0; i < n; i++) {
        const char *address = trp_settings_list_at(s->opts.settings, TRP_SETTING_ID_LISTEN, i);
        TRP_TRY(trp_listen(address, &s->listeners[s->listeners_n], err), err, "listen");
        s->listeners_n++;
    }
    return trp_ok();
}

static trp_status make_observation(struct trp_server *s, uint32_t shards, struct trp_error *err)
{
    const struct trp_settings *set = s->opts.settings;
    TRP_CHECK(trp_log_create(s->alloc, trp_clock_system(), STDERR_FILENO, &s->log, err));
    const char *format = trp_settings_text(set, TRP_SETTING_ID_LOG_FORMAT);
    trp_log_set_format(s->log, strcmp(format, "json") == 0      ? TRP_LOG_FORMAT_JSON
                               : strcmp(format, "iso8601") == 0 ? TRP_LOG_FORMAT_ISO8601
                                                                : TRP_LOG_FORMAT_DEFAULT);
    static const char *const levels[] = { "error", "warning", "info", "debug" };
    const char *level = trp_settings_text(set, TRP_SETTING_ID_LOG_LEVEL);
    bool on = true;
    for (int i = TRP_LOG_ERROR; i <= TRP_LOG_INFO; i++) {
        trp_log_enable(s->log, (enum trp_log_level)i, on);
        on = on && strcmp(level, levels[i]) != 0;
    }
    trp_log_set_verbose(s->log, strcmp(level, "debug") == 0 ? 1 : 0);
    TRP_CHECK(trp_metrics_create(s->alloc, shards, &s->metrics, err));
    const struct trp_trace_opts trace = { .file = trp_settings_text(set, TRP_SETTING_ID_TRACE_FILE),
                                          .log = s->log };
    return trp_trace_create(s->alloc, &trace, &s->trace, err);
}

static trp_status make_backends(struct trp_server *s, struct trp_error *err)
{
    const uint64_t common_bytes = setting(s, TRP_SETTING_ID_COMMONS_BYTES);
    if (common_bytes > 0)
        TRP_CHECK(trp_commons_create(s->alloc, common_bytes, &s->commons, err));
    const struct trp_backend_set_opts opts = { .settings = s->opts.settings,
                                               .log = s->log,
                                               .metrics = s->metrics,
                                               .account = &s->accounts[TRP_ACCOUNT_BACKEND].plugin,
                                               .worker_program = s->opts.worker_program,
                                               .commons = s->commons };
    return trp_backend_set_create(s->alloc, &opts, &s->backends, err);
}

static void publish(void *user, const struct trp_snapshot *snapshot)
{
    struct trp_server *s = user;
    trp_routing_published(s->routing, snapshot);
    if (s->facts)
        trp_load_facts_show(s->facts, snapshot);
    trp_readers_publish(&s->readers, snapshot);
}

static void seen(void *user, uint32_t index, uint64_t epoch)
{
    struct trp_server *s = user;
    trp_life_seen(s->life, index, epoch);
}

static const struct trp_snapshot *snapshot_of(void *user, uint32_t loop_index)
{
    const struct trp_server *s = user;
    return s->readers.items[loop_index].snapshot;
}

static trp_status make_loops(struct trp_server *s, uint32_t loops_n, struct trp_error *err)
{
    const struct trp_loop_opts control = { .name = "control" };
    const struct trp_loop_opts opts = { .name = "loop",
                                        .spin_ns = (int64_t)setting(s, TRP_SETTING_ID_SPIN) };
    TRP_CHECK(trp_loop_create(s->alloc, &control, &s->control, err));
    TRP_CHECK(trp_registry_create(s->alloc, loops_n, &s->before, err));
    TRP_CHECK(trp_readers_init(&s->readers, s->alloc, loops_n, &opts,
                               trp_registry_current(s->before), err));
    s->readers.control = s->control;
    s->readers.seen = seen;
    s->readers.user = s;
    s->loops = trp_alloc_zeroed(s->alloc, loops_n, sizeof(struct trp_loop *));
    s->fronts = trp_alloc_zeroed(s->alloc, loops_n, sizeof(struct trp_front *));
    s->rooms = trp_alloc_zeroed(s->alloc, loops_n, sizeof *s->rooms);
    s->pools = trp_alloc_zeroed(s->alloc, loops_n, sizeof(struct trp_pool *));
    if (!s->loops || !s->fronts || !s->rooms || !s->pools)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%u loops", loops_n);
    for (uint32_t i = 0; i < loops_n; i++)
        s->loops[i] = s->readers.items[i].loop;
    return trp_ok();
}

/* What may be had of everything that runs out; see docs/memory.md.  Connections and the store
 * need descriptors too. */
static struct trp_amounts budget_limits(const struct trp_server *s, uint64_t descriptors)
{
    const uint64_t kept = setting(s, TRP_SETTING_ID_CONNECTIONS) + OWN_DESCRIPTORS;
    uint64_t mappings = setting(s, TRP_SETTING_ID_MAPPINGS_MAX);
    uint64_t models = setting(s, TRP_SETTING_ID_DESCRIPTORS_MAX);
    if (mappings == 0)
        mappings = trp_machine_mappings("") / 4 * 3;
    if (models == 0 && descriptors > 0)
        models = kept < descriptors / 2 ? descriptors - kept : descriptors / 2;
    return (struct trp_amounts){ { [TRP_RESOURCE_BYTES] = setting(s, TRP_SETTING_ID_MEMORY_BUDGET),
                                   [TRP_RESOURCE_MAPPINGS] = mappings,
                                   [TRP_RESOURCE_DESCRIPTORS] = models } };
}

/* Bodies and replies are nobody's reservation: so much stays free for them in any case. */
static uint64_t request_share(uint64_t budget)
{
    return budget / 64 < REQUEST_SHARE_MAX ? budget / 64 : REQUEST_SHARE_MAX;
}

static trp_status make_budget(struct trp_server *s, struct trp_error *err)
{
    const struct trp_ledger_opts opts = { .limit =
                                              budget_limits(s, trp_server_raise_descriptors()) };
    const uint64_t bytes = opts.limit.of[TRP_RESOURCE_BYTES];
    if (bytes == 0 &&
        strcmp(trp_settings_source(s->opts.settings, TRP_SETTING_ID_MEMORY_BUDGET), "default") == 0)
        TRP_WARN(s->log, "app", "memory.budget: how much memory there is, is not known: no limit");
    TRP_CHECK(trp_ledger_create(s->alloc, &opts, &s->ledger, err));
    trp_ledger_count(s->ledger, &s->accounts[TRP_ACCOUNT_REQUEST], request_share(bytes));
    trp_ledger_count(s->ledger, &s->accounts[TRP_ACCOUNT_BACKEND], 0);
    trp_ledger_count(s->ledger, &s->accounts[TRP_ACCOUNT_LISTS], 0);
    trp_ledger_count(s->ledger, &s->accounts[TRP_ACCOUNT_FEEDBACK], 0);
    const struct trp_headrooms_opts runs = { .ledger = s->ledger,
                                             .small_bytes = SMALL_RUN_BYTES,
                                             .patience_ns = PATIENCE_NS,
                                             .remembered_max = REMEMBERED_MAX };
    return trp_headrooms_create(s->alloc, &runs, &s->headrooms, err);
}

static trp_status make_meter(struct trp_server *s, struct trp_error *err)
{
    const struct trp_meter_opts opts = {
        .root = "",
        .interval_ns = (int64_t)setting(s, TRP_SETTING_ID_METER),
        .clock = trp_clock_system(),
        .ledger = s->ledger,
        .headrooms = s->headrooms,
        .accounts = s->account_list,
        .exec = s->exec,
        .backends = s->backends,
        .commons = s->commons,
        .usage = &s->usage,
        .log = s->log,
    };
    TRP_CHECK(trp_meter_init(&s->meter, s->alloc, &opts, err));
    trp_meter_look(&s->meter); /* so that the first load knows what the program itself takes */
    return trp_ok();
}

/* The texts are the settings', which outlive the server. */
static trp_status read_tenants(struct trp_server *s, struct trp_error *err)
{
    const struct trp_settings *set = s->opts.settings;
    const uint32_t n = trp_settings_list_n(set, TRP_SETTING_ID_TENANTS);
    if (n > TRP_TENANT_RULES_MAX)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "sched.tenants: more than %u",
                        TRP_TENANT_RULES_MAX);
    s->tenant_rules = trp_alloc_zeroed(s->alloc, n + (size_t)1, sizeof *s->tenant_rules);
    if (!s->tenant_rules)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "sched.tenants: %u tenants", n);
    for (uint32_t i = 0; i < n; i++) {
        const char *text = trp_settings_list_at(set, TRP_SETTING_ID_TENANTS, i);
        TRP_TRY(trp_tenant_rule_parse(trp_str_of(text), &s->tenant_rules[i], err), err,
                "sched.tenants");
    }
    return trp_ok();
}

static trp_status make_exec(struct trp_server *s, uint32_t executors_n, struct trp_error *err)
{
    TRP_CHECK(read_tenants(s, err));
    const struct trp_exec_opts opts = {
        .executors_n = executors_n,
        .loops_n = s->readers.n,
        .executors_nice = (int)setting(s, TRP_SETTING_ID_EXECUTOR_NICE),
        .inline_run_ns = (int64_t)setting(s, TRP_SETTING_ID_INLINE_RUN),
        .inline_turn_ns = (int64_t)setting(s, TRP_SETTING_ID_INLINE_TURN),
        .split_part_ns = trp_settings_bool(s->opts.settings, TRP_SETTING_ID_SPLIT)
                             ? (int64_t)setting(s, TRP_SETTING_ID_SPLIT_PART)
                             : 0,
        .queue_max = (uint32_t)setting(s, TRP_SETTING_ID_QUEUE_MAX),
        .model_queue_max = (uint32_t)setting(s, TRP_SETTING_ID_MODEL_QUEUE_MAX),
        .sequences_max = (uint32_t)setting(s, TRP_SETTING_ID_SEQUENCES_MAX),
        .control = s->control,
        .floor_normal_permille = 10 * (uint32_t)setting(s, TRP_SETTING_ID_FLOOR_NORMAL),
        .floor_batch_permille = 10 * (uint32_t)setting(s, TRP_SETTING_ID_FLOOR_BATCH),
        .tenants_max = (uint32_t)setting(s, TRP_SETTING_ID_TENANTS_MAX),
        .tenant_rules = s->tenant_rules,
        .tenant_rules_n = trp_settings_list_n(s->opts.settings, TRP_SETTING_ID_TENANTS),
        .forecasts = trp_settings_bool(s->opts.settings, TRP_SETTING_ID_FORECAST),
        .output_bytes_max = setting(s, TRP_SETTING_ID_OUTPUT_BYTES),
        .run_bytes_max = s->accounts[TRP_ACCOUNT_ACTIVATIONS].limit,
        .headrooms = s->headrooms,
        .ledger = s->ledger,
        .room_wait_ns = (int64_t)setting(s, TRP_SETTING_ID_RUN_WAIT),
        .clock = trp_clock_system(),
        .commons = s->commons,
        .metrics = s->metrics,
    };
    TRP_CHECK(trp_exec_create(s->alloc, &opts, &s->exec, err));
    for (uint32_t i = 0; i < s->readers.n; i++)
        TRP_CHECK(trp_exec_attach(s->exec, i, s->loops[i], err));
    return trp_ok();
}

static enum trp_watch_mode watch_mode(const struct trp_settings *set)
{
    const char *mode = trp_settings_text(set, TRP_SETTING_ID_WATCH);
    return strcmp(mode, "poll") == 0     ? TRP_WATCH_POLL
           : strcmp(mode, "notify") == 0 ? TRP_WATCH_NOTIFY
                                         : TRP_WATCH_OFF;
}

/* A server that cannot use its store serves all the same. */
static void open_store(struct trp_server *s)
{
    const char *path = trp_settings_text(s->opts.settings, TRP_SETTING_ID_STORE_PATH);
    const struct trp_store_opts opts = { .path = path, .log = s->log };
    struct trp_error err;
    if (*path && trp_failed(trp_store_open(s->alloc, &opts, &s->store, &err)))
        TRP_ERROR_LOG(s->log, "store", "serving without a store: %s", err.text);
}

static enum trp_load_policy default_load(const struct trp_settings *set)
{
    const char *word = trp_settings_text(set, TRP_SETTING_ID_MODELS_LOAD);
    return strcmp(word, "startup") == 0      ? TRP_LOAD_STARTUP
           : strcmp(word, "background") == 0 ? TRP_LOAD_BACKGROUND
           : strcmp(word, "explicit") == 0   ? TRP_LOAD_EXPLICIT
                                             : TRP_LOAD_ON_DEMAND;
}

static trp_status default_keeping(const struct trp_server *s, struct trp_keeping *out,
                                  struct trp_error *err)
{
    const struct trp_settings *set = s->opts.settings;
    const char *stay = trp_settings_text(set, TRP_SETTING_ID_MODELS_KEEP_ALIVE);
    *out = (struct trp_keeping){ .priority = (uint32_t)setting(s, TRP_SETTING_ID_MODELS_PRIORITY),
                                 .pin = trp_settings_bool(set, TRP_SETTING_ID_MODELS_PIN),
                                 .max_bytes = setting(s, TRP_SETTING_ID_MODELS_MAX_BYTES) };
    if (trp_setting_parse_stay(trp_str_of(stay), &out->keep_alive_ns))
        return trp_ok();
    return trp_fail(err, TRP_INVALID_ARGUMENT,
                    "models.keep_alive: expected a duration, such as 5m, or forever, found \"%s\"",
                    stay);
}

/* A core is worth its part of the memory that there is. */
static double bytes_per_core(const struct trp_server *s)
{
    const uint64_t budget = setting(s, TRP_SETTING_ID_MEMORY_BUDGET);
    const uint64_t bytes = budget ? budget : trp_machine_memory("");
    return (double)bytes / trp_server_cores();
}

static uint64_t hibernated_bytes(const struct trp_server *s, const struct trp_budget *budget)
{
    const uint64_t limit = budget->limit.of[TRP_RESOURCE_BYTES];
    const uint64_t set = setting(s, TRP_SETTING_ID_HIBERNATED_MAX);
    if (!trp_settings_bool(s->opts.settings, TRP_SETTING_ID_HIBERNATE))
        return 0;
    return set ? set : (limit ? limit : trp_machine_memory("")) / 10;
}

/* What the routing asks of it. */
static void submit_order(void *user, struct trp_order *order)
{
    trp_life_submit(user, order);
}

static void reconsider(void *user)
{
    trp_life_reconsider(user);
}

static trp_status make_life(struct trp_server *s, struct trp_error *err)
{
    struct trp_keeping keeping;
    struct trp_budget budget;
    const uint64_t loading = setting(s, TRP_SETTING_ID_MEMORY_LOADING);
    TRP_CHECK(default_keeping(s, &keeping, err));
    trp_ledger_look(s->ledger, &budget);
    struct trp_repo_opts repo =
        trp_listing_opts_make(s->opts.settings, s->opts.repositories, s->opts.repositories_n);
    repo.load_default = default_load(s->opts.settings);
    repo.keeping = keeping;
    const struct trp_life_opts opts = {
        .repo = repo,
        .load_at_start = s->opts.load_at_start,
        .load_at_start_n = s->opts.load_at_start_n,
        .loaders_n = (uint32_t)setting(s, TRP_SETTING_ID_LOADERS),
        .loaders_nice = (int)setting(s, TRP_SETTING_ID_LOADER_NICE),
        .waiting_max = (uint32_t)setting(s, TRP_SETTING_ID_MODEL_QUEUE_MAX),
        .load_ns_max = (int64_t)setting(s, TRP_SETTING_ID_LOAD_TIME),
        .warmup_input_bytes_max = setting(s, TRP_SETTING_ID_BODY_BYTES),
        .watch = watch_mode(s->opts.settings),
        .poll_ns = (int64_t)setting(s, TRP_SETTING_ID_POLL),
        .settle_ns = (int64_t)setting(s, TRP_SETTING_ID_SETTLE),
        .trim_ns = (int64_t)setting(s, TRP_SETTING_ID_TRIM),
        .run_bytes_max = s->accounts[TRP_ACCOUNT_ACTIVATIONS].limit,
        .clock = trp_clock_system(),
        .control = s->control,
        .backends = s->backends,
        .store = s->store,
        .store_bytes_max = setting(s, TRP_SETTING_ID_STORE_BYTES),
        .store_pack_ns = (int64_t)setting(s, TRP_SETTING_ID_STORE_PACK),
        .bytes_per_core = bytes_per_core(s),
        .store_verify_ns = (int64_t)setting(s, TRP_SETTING_ID_STORE_VERIFY),
        .store_verify_rate = setting(s, TRP_SETTING_ID_STORE_RATE),
        .ledger = s->ledger,
        .policy =
            strcmp(trp_settings_text(s->opts.settings, TRP_SETTING_ID_MEMORY_POLICY), "lru") == 0
                ? TRP_EVICTION_LRU
                : TRP_EVICTION_COST,
        .stay_ns = (int64_t)setting(s, TRP_SETTING_ID_MEMORY_STAY),
        .hibernated_bytes_max = hibernated_bytes(s, &budget),
        .loading_bytes_max = loading > 0 ? loading : budget.limit.of[TRP_RESOURCE_BYTES] / 2,
        .exec = s->exec,
        .log = s->log,
        .metrics = s->metrics,
        .weights = &s->accounts[TRP_ACCOUNT_WEIGHTS],
        .activations = &s->accounts[TRP_ACCOUNT_ACTIVATIONS],
        .shared = &s->accounts[TRP_ACCOUNT_SHARED],
        .readers_n = s->readers.n,
        .publish = publish,
        .publish_user = s,
        .listed = trp_routing_listed,
        .listed_user = s->routing,
        .is_made = trp_routing_is_made,
        .is_made_user = s->routing,
        .fits = trp_routing_fits,
        .fits_user = s->routing,
    };
    TRP_CHECK(trp_life_create(s->alloc, &opts, &s->life, err));
    const struct trp_routing_life life = { s->life, submit_order, reconsider };
    trp_routing_set_life(s->routing, &life);
    return trp_ok();
}

static const struct trp_directory *directory_of(void *user, uint32_t loop_index)
{
    const struct trp_server *s = user;
    return trp_directories_of(&s->directories, loop_index);
}

static void reload_routes(void *user, struct trp_routing_order *request)
{
    const struct trp_server *s = user;
    trp_routing_reload(s->routing, request);
}

static trp_status make_admin(struct trp_server *s, struct trp_error *err)
{
    const struct trp_admin_opts opts = { .settings = s->opts.settings,
                                         .version = TRP_VERSION,
                                         .log = s->log,
                                         .trace = s->trace,
                                         .metrics = s->metrics,
                                         .life = s->life,
                                         .control = s->control,
                                         .loops = s->loops,
                                         .loops_n = s->readers.n,
                                         .clock = trp_clock_system(),
                                         .rule_clock = &s->rule_clock,
                                         .accounts = s->account_list,
                                         .accounts_n = TRP_ACCOUNT_KINDS,
                                         .backends = s->backends,
                                         .commons = s->commons,
                                         .ledger = s->ledger,
                                         .headrooms = s->headrooms,
                                         .usage = &s->usage,
                                         .metrics_models_max =
                                             (uint32_t)setting(s, TRP_SETTING_ID_METRICS_MODELS),
                                         .snapshot = snapshot_of,
                                         .snapshot_user = s,
                                         .directory = directory_of,
                                         .reload = reload_routes,
                                         .directory_user = s,
                                         .feedback = s->feedback };
    TRP_CHECK(trp_admin_create(s->alloc, &opts, &s->admin, err));
    s->route_env.finder.user = s->admin;
    s->cookbook_opts.env.finder.user = s->admin;
    return trp_ok();
}

static uint32_t list_of(const struct trp_server *s, enum trp_setting id, const char *const **out)
{
    *out = trp_settings_list(s->opts.settings, id);
    return trp_settings_list_n(s->opts.settings, id);
}

static struct trp_front_limits front_limits(const struct trp_server *s)
{
    const struct trp_settings *set = s->opts.settings;
    struct trp_front_limits l = {
        .body_bytes = setting(s, TRP_SETTING_ID_BODY_BYTES),
        .output_bytes = setting(s, TRP_SETTING_ID_OUTPUT_BYTES),
        .header_bytes = (uint32_t)setting(s, TRP_SETTING_ID_HEADER_BYTES),
        .headers_n = (uint32_t)setting(s, TRP_SETTING_ID_HEADERS_N),
        .json_depth = (uint32_t)setting(s, TRP_SETTING_ID_JSON_DEPTH),
        .tensors_n = (uint32_t)setting(s, TRP_SETTING_ID_TENSORS_N),
        .params_n = (uint32_t)setting(s, TRP_SETTING_ID_PARAMS_N),
        .connections_n = (uint32_t)setting(s, TRP_SETTING_ID_CONNECTIONS),
        .streams_n = (uint32_t)setting(s, TRP_SETTING_ID_STREAMS),
        .stream_requests_n = (uint32_t)setting(s, TRP_SETTING_ID_PIPELINE),
        .calls_n = (uint32_t)setting(s, TRP_SETTING_ID_CALLS),
        .idle_ns = (int64_t)setting(s, TRP_SETTING_ID_IDLE),
        .header_ns = (int64_t)setting(s, TRP_SETTING_ID_HEADER_TIME),
        .body_ns = (int64_t)setting(s, TRP_SETTING_ID_BODY_TIME),
        .compress_min_bytes = setting(s, TRP_SETTING_ID_COMPRESS_MIN),
        .half_close_cancels =
            strcmp(trp_settings_text(set, TRP_SETTING_ID_HALF_CLOSE), "cancel") == 0,
        .admin_remote = trp_settings_bool(set, TRP_SETTING_ID_ADMIN_REMOTE),
    };
    l.cors_n = list_of(s, TRP_SETTING_ID_CORS, &l.cors);
    l.admin_hosts_n = list_of(s, TRP_SETTING_ID_ADMIN_HOSTS, &l.admin_hosts);
    return l;
}

static trp_status make_fronts(struct trp_server *s, struct trp_error *err)
{
    const struct trp_alloc *requests = &s->accounts[TRP_ACCOUNT_REQUEST].alloc;
    for (uint32_t i = 0; i < s->readers.n; i++) {
        const struct trp_pool_opts pool = { .commons = s->commons,
                                            .payer = &s->accounts[TRP_ACCOUNT_REQUEST].plugin };
        s->rooms[i].server = s;
        TRP_CHECK(trp_pool_create(requests, &pool, &s->pools[i], err));
        const struct trp_front_opts opts = {
            .loop_index = i,
            .loop = s->loops[i],
            .handlers = { .user = s->admin,
                          .find = trp_admin_find,
                          .control = trp_admin_control,
                          .region = trp_admin_region,
                          .region_release = trp_admin_region_release,
                          .explain = trp_admin_explain,
                          .finished = trp_admin_finished },
            .limits = front_limits(s),
            .clock = trp_clock_system(),
            .log = s->log,
            .metrics = trp_metrics_shard(s->metrics, i),
            .trace = s->trace,
            .pool = s->pools[i],
            .requests = requests,
            .connections = &s->connections,
            .age_ns = (int64_t)setting(s, TRP_SETTING_ID_TRIM),
        };
        TRP_CHECK(trp_front_create(s->alloc, &opts, &s->rooms[i].front, err));
        s->fronts[i] = s->rooms[i].front;
    }
    const struct trp_acceptor_opts opts = {
        .loop = s->loops[0],
        .fronts = s->fronts,
        .loops = s->loops,
        .fronts_n = s->readers.n,
        .listeners = s->listeners,
        .listeners_n = s->listeners_n,
        .metrics = trp_metrics_shard(s->metrics, 0),
        .log = s->log,
    };
    return trp_acceptor_create(s->alloc, &opts, &s->acceptor, err);
}

/* glibc keeps freed memory unless told otherwise; both must be set, or it adjusts them itself. */
static void tune_heap(void)
{
    mallopt(M_MMAP_THRESHOLD, 64 * 1024);
    mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
}

/* The lesser; 0 is no limit. */
static uint64_t least(uint64_t a, uint64_t b)
{
    return a != 0 && (b == 0 || a < b) ? a : b;
}

static uint64_t account_limit(const struct trp_server *s, enum trp_account_kind kind)
{
    const uint64_t budget = setting(s, TRP_SETTING_ID_MEMORY_BUDGET);
    if (kind == TRP_ACCOUNT_REQUEST)
        return least(setting(s, TRP_SETTING_ID_REQUEST_MEMORY), budget / 2);
    if (kind != TRP_ACCOUNT_ACTIVATIONS)
        return 0;
    const uint64_t asked = setting(s, TRP_SETTING_ID_RUN_MEMORY);
    return least(asked ? asked : trp_machine_memory("") / 2, budget);
}

trp_status trp_server_assemble(struct trp_server *s, struct trp_error *err)
{
    const uint64_t asked_loops = setting(s, TRP_SETTING_ID_LOOPS);
    const uint64_t asked_executors = setting(s, TRP_SETTING_ID_EXECUTORS);
    const uint32_t loops_n = asked_loops ? (uint32_t)asked_loops : (trp_server_cores() + 3) / 4;
    const uint32_t executors_n = asked_executors ? (uint32_t)asked_executors : trp_server_cores();
    tune_heap();
    for (int i = 0; i < TRP_ACCOUNT_KINDS; i++) {
        trp_account_init(&s->accounts[i], (enum trp_account_kind)i, NULL,
                         account_limit(s, (enum trp_account_kind)i));
        s->account_list[i] = &s->accounts[i];
    }
    TRP_CHECK(open_ports(s, err));
    TRP_CHECK(make_observation(s, loops_n + executors_n, err));
    TRP_CHECK(make_backends(s, err));
    TRP_CHECK(make_loops(s, loops_n, err));
    TRP_CHECK(make_budget(s, err));
    TRP_CHECK(make_exec(s, executors_n, err));
    TRP_CHECK(make_meter(s, err));
    TRP_CHECK(trp_server_make_facts(s, err));
    open_store(s);
    TRP_CHECK(trp_server_make_routing(s, err));
    TRP_CHECK(make_life(s, err));
    TRP_CHECK(make_admin(s, err));
    return make_fronts(s, err);
}

/* cli/cmd_simulate.c - troupe simulate: who would have waited how long, on a machine or by
 * settings that are not there yet. */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/composed.h"
#include "cli/reply_fields.h"
#include "cli/settings_options.h"
#include "exec/tenants.h"
#include "tune/arrival_log.h"
#include "tune/sim_plot.h"
#include "tune/span.h"
#include "tune/traffic.h"

#define COSTS_BYTES_MAX ((size_t)256 << 20)
#define PICTURE_BYTES_MAX ((size_t)16 << 20)
#define JSON_BYTES_MAX ((size_t)256 << 20)

static const struct cli_option options[] = {
    CLI_SERVER_OPTION,
    { "costs", 0, CLI_TEXT, "FILE",
      "what runs cost: the JSON that a server answers to GET /api/cost; default: ask the server" },
    { "cost", 0, CLI_LIST, "MODEL=TIME",
      "what a run of this model takes: 5ms, or 1:5ms,8:12ms for 1 and for 8 rows" },
    { "instances", 0, CLI_LIST, "MODEL=N", "runs of this model at once; 0: no limit" },
    { "batch", 0, CLI_LIST, "MODEL=ROWS",
      "most rows in a run of this model; 1: nothing is joined" },
    { "delay", 0, CLI_LIST, "MODEL=TIME", "how long a batch of this model may wait for company" },
    { "executors", 0, CLI_TEXT, "N", "threads that run models; default: the settings'" },
    { "loops", 0, CLI_TEXT, "N", "threads that own connections; default: the settings'" },
    { "floor", 0, CLI_LIST, "CLASS=PERCENT",
      "share of all work that this class gets at least; default: the settings'" },
    { "weight", 0, CLI_LIST, "TENANT=N",
      "share of this tenant, 1 to 1000; default: the settings'" },
    { "overhead", 0, CLI_LIST, "WHAT=TIME",
      "of a request besides its run: request (read), answer (sent), wake (of a thread), turn "
      "(between runs)" },
    { "jitter", 0, CLI_TEXT, "PERCENT|random",
      "how far runs of one size differ: their standard deviation; random: exponential" },
    { "rate-scale", 0, CLI_TEXT, "X", "let everything come X times as often" },
    { "seconds", 0, CLI_TEXT, "N", "how long streams last; default 60" },
    { "seed", 0, CLI_TEXT, "N", "of all chance; default 1" },
    { "plot", 0, CLI_TEXT, "FILE.svg", "draw latency, queue and use over time" },
    CLI_SET_OPTIONS,
    { "json", 'j', CLI_FLAG, NULL, "print JSON" },
};

struct simulation {
    struct trp_workload workload;
    struct trp_price_list prices;
    struct trp_settings *settings;
    struct trp_sim_opts opts;
    uint32_t *weights;
    struct trp_sim_result *results;
    struct trp_sim_totals totals;
    struct trp_sim_report report;
    struct trp_random random;
};

/* ---- options ---- */

static trp_status wrong(const char *option, const char *value, const char *expected,
                        struct trp_error *err)
{
    return trp_fail(err, TRP_INVALID_ARGUMENT, "--%s %s: %s", option, value, expected);
}

static trp_status read_number(const struct cli *cli, const char *option, double *out,
                              struct trp_error *err)
{
    const char *value = cli_text(cli, option, NULL);
    if (!value || (trp_str_parse_f64(trp_str_of(value), out) && *out > 0 && *out < 1e9))
        return trp_ok();
    return wrong(option, value, "a number above 0 is expected", err);
}

static trp_status read_count(const struct cli *cli, const char *option, uint32_t *out,
                             struct trp_error *err)
{
    const char *value = cli_text(cli, option, NULL);
    uint64_t n;
    if (!value)
        return trp_ok();
    if (!trp_str_parse_u64(trp_str_of(value), &n) || n == 0 || n > UINT32_MAX)
        return wrong(option, value, "a whole number above 0 is expected", err);
    *out = (uint32_t)n;
    return trp_ok();
}

/* "NAME=VALUE", the name up to the last sign, which a model's may have too. */
static bool split(const char *text, struct trp_str *name, struct trp_str *value)
{
    const char *equals = strrchr(text, '=');
    if (!equals || equals == text)
        return false;
    *name = trp_str_make(text, (size_t)(equals - text));
    *value = trp_str_of(equals + 1);
    return true;
}

typedef trp_status (*pair_fn)(struct simulation *s, struct trp_str name, struct trp_str value,
                              struct trp_error *err);

static trp_status each_pair(const struct cli *cli, const char *option, struct simulation *s,
                            pair_fn take, struct trp_error *err)
{
    const char *text;
    for (uint32_t i = 0; (text = cli_list(cli, option, i)) != NULL; i++) {
        struct trp_str name, value;
        if (!split(text, &name, &value))
            return wrong(option, text, "NAME=VALUE is expected", err);
        TRP_TRY(take(s, name, value, err), err, "--%s %s", option, text);
    }
    return trp_ok();
}

static trp_status take_cost(struct simulation *s, struct trp_str name, struct trp_str value,
                            struct trp_error *err)
{
    return trp_price_list_set(&s->prices, name, value, err);
}

static trp_status find_price(struct simulation *s, struct trp_str name, struct trp_price **out,
                             struct trp_error *err)
{
    *out = trp_price_list_find(&s->prices, name);
    return *out ? trp_ok() : trp_fail(err, TRP_NOT_FOUND, "nobody knows a model of this name");
}

static trp_status read_u32(struct trp_str value, uint32_t *out, struct trp_error *err)
{
    uint64_t n;
    if (!trp_str_parse_u64(value, &n) || n > UINT32_MAX)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "a whole number is expected");
    *out = (uint32_t)n;
    return trp_ok();
}

static trp_status take_instances(struct simulation *s, struct trp_str name, struct trp_str value,
                                 struct trp_error *err)
{
    struct trp_price *p;
    TRP_CHECK(find_price(s, name, &p, err));
    return read_u32(value, &p->slots, err);
}

static trp_status take_batch(struct simulation *s, struct trp_str name, struct trp_str value,
                             struct trp_error *err)
{
    struct trp_price *p;
    TRP_CHECK(find_price(s, name, &p, err));
    return read_u32(value, &p->rules.rows_max, err);
}

static trp_status take_span(struct trp_str value, int64_t *out_ns, struct trp_error *err)
{
    return trp_span_parse(value, out_ns)
               ? trp_ok()
               : trp_fail(err, TRP_INVALID_ARGUMENT, "a time is expected, such as 20us or 5ms");
}

static trp_status take_delay(struct simulation *s, struct trp_str name, struct trp_str value,
                             struct trp_error *err)
{
    struct trp_price *p;
    TRP_CHECK(find_price(s, name, &p, err));
    return take_span(value, &p->rules.delay_ns, err);
}

static trp_status take_floor(struct simulation *s, struct trp_str name, struct trp_str value,
                             struct trp_error *err)
{
    enum trp_priority_class class;
    double percent;
    if (!trp_workload_parse_class(name, &class))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "classes are interactive, normal and batch");
    if (value.len > 0 && value.ptr[value.len - 1] == '%')
        value.len--;
    if (!trp_str_parse_f64(value, &percent) || !(percent >= 0 && percent < 100))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "a share from 0 to less than 100 is expected");
    s->opts.floors_permille[class] = (uint32_t)(percent * 10 + 0.5);
    return trp_ok();
}

static trp_status take_weight(struct simulation *s, struct trp_str name, struct trp_str value,
                              struct trp_error *err)
{
    const uint32_t tenant = trp_workload_find_tenant(&s->workload, name);
    uint32_t weight = 0;
    TRP_CHECK(read_u32(value, &weight, err));
    if (weight < 1 || weight > 1000)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "1 to 1000 are expected");
    if (tenant == UINT32_MAX)
        return trp_fail(err, TRP_NOT_FOUND, "no arrival is of this tenant");
    s->weights[tenant] = weight;
    return trp_ok();
}

static trp_status take_overhead(struct simulation *s, struct trp_str name, struct trp_str value,
                                struct trp_error *err)
{
    const struct {
        const char *name;
        int64_t *ns;
    } known[] = { { "request", &s->opts.request_ns },
                  { "answer", &s->opts.answer_ns },
                  { "wake", &s->opts.wake_ns },
                  { "turn", &s->opts.turn_ns } };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (trp_str_is(name, known[i].name))
            return take_span(value, known[i].ns, err);
    return trp_fail(err, TRP_INVALID_ARGUMENT, "request, answer, wake and turn are expected");
}

static trp_status read_jitter(const struct cli *cli, struct trp_sim_opts *o, struct trp_error *err)
{
    const char *text = cli_text(cli, "jitter", NULL);
    struct trp_str value = trp_str_of(text);
    double percent;
    if (!text)
        return trp_ok();
    o->is_memoryless = trp_str_is(value, "random");
    if (o->is_memoryless)
        return trp_ok();
    if (value.len > 0 && value.ptr[value.len - 1] == '%')
        value.len--;
    if (!trp_str_parse_f64(value, &percent) || !(percent >= 0 && percent <= 1000))
        return wrong("jitter", text, "0 to 1000 (percent) or random is expected", err);
    o->jitter = percent / 100;
    return trp_ok();
}

/* ---- what is asked ---- */

/* As the server: one executor a core, one loop for each four. */
static uint32_t count_or_cores(const struct trp_settings *s, enum trp_setting id,
                               uint32_t cores_each)
{
    const uint64_t asked = trp_settings_u64(s, id);
    cpu_set_t set;
    const int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    const uint32_t cores = n > 0 ? (uint32_t)n : 1;
    return asked ? (uint32_t)asked : (cores + cores_each - 1) / cores_each;
}

static void set_opts(struct simulation *s)
{
    const struct trp_settings *set = s->settings;
    s->opts = (struct trp_sim_opts){
        .executors_n = count_or_cores(set, TRP_SETTING_ID_EXECUTORS, 1),
        .loops_n = count_or_cores(set, TRP_SETTING_ID_LOOPS, 4),
        .queue_max = (uint32_t)trp_settings_u64(set, TRP_SETTING_ID_QUEUE_MAX),
        .model_queue_max = (uint32_t)trp_settings_u64(set, TRP_SETTING_ID_MODEL_QUEUE_MAX),
        .floors_permille = { [TRP_PRIORITY_NORMAL] =
                                 10 * (uint32_t)trp_settings_u64(set, TRP_SETTING_ID_FLOOR_NORMAL),
                             [TRP_PRIORITY_BATCH] =
                                 10 * (uint32_t)trp_settings_u64(set, TRP_SETTING_ID_FLOOR_BATCH) },
        .forecasts = trp_settings_bool(set, TRP_SETTING_ID_FORECAST),
        .sheds = true,
        .inline_run_ns = (int64_t)trp_settings_u64(set, TRP_SETTING_ID_INLINE_RUN),
        .inline_turn_ns = (int64_t)trp_settings_u64(set, TRP_SETTING_ID_INLINE_TURN),
        .request_ns = TRP_SIM_REQUEST_NS,
        .answer_ns = TRP_SIM_ANSWER_NS,
        .wake_ns = TRP_SIM_WAKE_NS,
        .turn_ns = TRP_SIM_TURN_NS,
        .seed = 1
    };
}

static trp_status read_opts(const struct cli *cli, struct simulation *s, struct trp_error *err)
{
    const char *seed = cli_text(cli, "seed", NULL);
    set_opts(s);
    TRP_CHECK(read_count(cli, "executors", &s->opts.executors_n, err));
    TRP_CHECK(read_count(cli, "loops", &s->opts.loops_n, err));
    TRP_CHECK(each_pair(cli, "floor", s, take_floor, err));
    TRP_CHECK(each_pair(cli, "overhead", s, take_overhead, err));
    TRP_CHECK(read_jitter(cli, &s->opts, err));
    if (seed && !trp_str_parse_u64(trp_str_of(seed), &s->opts.seed))
        return wrong("seed", seed, "a whole number is expected", err);
    return trp_ok();
}

/* A stream whose kind has a slip in it ("poison:model=a,rate=1") would be looked for as a file. */
static bool is_meant_as_stream(const char *operand)
{
    const char *colon = strchr(operand, ':');
    struct trp_file_stat st;
    return colon && strchr(colon, '=') && trp_failed(trp_file_stat(operand, &st, NULL));
}

static trp_status read_files(const struct cli *cli, struct simulation *s, struct trp_error *err)
{
    for (uint32_t i = 0; i < cli->operands_n; i++) {
        const char *operand = cli->operands[i];
        struct trp_traffic stream;
        if (trp_traffic_is_spec(trp_str_of(operand)))
            continue;
        if (is_meant_as_stream(operand))
            TRP_CHECK(trp_traffic_parse(trp_str_of(operand), &stream, err)); /* says which kinds */
        TRP_CHECK(trp_arrival_log_read(&s->workload, operand, err));
    }
    trp_workload_rebase(&s->workload);
    return trp_ok();
}

/* Each stream has chance of its own, so that one more leaves the others as they are. */
static trp_status read_streams(const struct cli *cli, struct simulation *s, struct trp_error *err)
{
    double seconds = 60;
    TRP_CHECK(read_number(cli, "seconds", &seconds, err));
    s->random.state = s->opts.seed;
    for (uint32_t i = 0; i < cli->operands_n; i++) {
        const struct trp_str text = trp_str_of(cli->operands[i]);
        struct trp_random own = { .state = trp_random_next(&s->random) };
        struct trp_traffic traffic;
        if (!trp_traffic_is_spec(text))
            continue;
        TRP_CHECK(trp_traffic_parse(text, &traffic, err));
        TRP_TRY(trp_traffic_add(&traffic, (int64_t)(seconds * 1e9), &own, &s->workload, err), err,
                "%s", cli->operands[i]);
    }
    return trp_ok();
}

/* The rules of the settings, those of everybody (*) or those of one. */
static trp_status take_rules(struct simulation *s, bool of_all, struct trp_error *err)
{
    for (uint32_t i = 0; i < trp_settings_list_n(s->settings, TRP_SETTING_ID_TENANTS); i++) {
        const char *text = trp_settings_list_at(s->settings, TRP_SETTING_ID_TENANTS, i);
        struct trp_tenant_rule rule;
        TRP_CHECK(trp_tenant_rule_parse(trp_str_of(text), &rule, err));
        const uint32_t tenant = trp_workload_find_tenant(&s->workload, rule.name);
        if (trp_str_is(rule.name, "*") != of_all)
            continue;
        for (uint32_t t = 1; of_all && t < s->workload.tenants.n; t++)
            s->weights[t] = rule.weight;
        if (!of_all && tenant != UINT32_MAX)
            s->weights[tenant] = rule.weight;
    }
    return trp_ok();
}

static trp_status read_weights(const struct cli *cli, struct simulation *s, struct trp_error *err)
{
    const uint32_t n = s->workload.tenants.n;
    s->weights = trp_alloc_get(trp_heap(), n, sizeof *s->weights);
    if (!s->weights)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%u tenants", n);
    for (uint32_t i = 0; i < n; i++)
        s->weights[i] = 1;
    s->opts.weights = s->weights;
    TRP_CHECK(take_rules(s, true, err));
    TRP_CHECK(take_rules(s, false, err));
    return each_pair(cli, "weight", s, take_weight, err);
}

static trp_status read_workload(const struct cli *cli, struct simulation *s, struct trp_error *err)
{
    double scale = 1;
    TRP_CHECK(trp_workload_init(&s->workload, trp_heap(), err));
    TRP_CHECK(read_files(cli, s, err));
    TRP_CHECK(read_streams(cli, s, err));
    TRP_CHECK(read_number(cli, "rate-scale", &scale, err));
    if (s->workload.arrivals_n == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "nobody comes");
    TRP_CHECK(trp_workload_sort(&s->workload, err));
    trp_workload_scale(&s->workload, scale);
    return read_weights(cli, s, err);
}

/* ---- what runs cost ---- */

static trp_status read_costs_file(struct simulation *s, const char *path, struct trp_error *err)
{
    char *text;
    size_t len;
    TRP_CHECK(trp_file_read(trp_heap(), path, COSTS_BYTES_MAX, &text, &len, err));
    const trp_status st = trp_price_list_parse(&s->prices, trp_str_make(text, len), err);
    trp_alloc_free(trp_heap(), text);
    if (trp_failed(st))
        trp_error_within(err, "%s", path);
    return st;
}

static trp_status ask_costs(struct cli *cli, struct simulation *s, struct trp_error *err)
{
    const struct cli_request request = { .method = "GET", .path = "/api/cost", .json_bytes = -1 };
    struct cli_reply reply;
    TRP_TRY(cli_ask(cli, &request, &reply, err), err, "what runs cost");
    TRP_TRY(trp_price_list_parse(&s->prices, reply.body, err), err, "costs of %s", cli_server(cli));
    return trp_ok();
}

static bool has_all_costs(const struct simulation *s)
{
    for (uint32_t i = 0; i < s->workload.models.n; i++)
        if (!trp_price_list_find(&s->prices, s->workload.models.names[i]))
            return false;
    return true;
}

/* Routes and compositions make no runs: of their names no server will ever say what they take. */
static trp_status check_models(struct cli *cli, const struct simulation *s, struct trp_error *err)
{
    for (uint32_t i = 0; i < s->workload.models.n; i++) {
        struct trp_error ignored = { 0 };
        struct cli_composed composed;
        struct trp_json item;
        if (trp_price_list_find(&s->prices, s->workload.models.names[i]))
            continue;
        const struct trp_str name = trp_arena_dup(&cli->arena, s->workload.models.names[i]);
        if (!name.ptr)
            return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the names of models");
        trp_status st = cli_composed_ask(cli, name.ptr, &composed, &ignored);
        if (!trp_failed(st) && composed.has_any && trp_json_next(&composed.it, NULL, &item))
            st = trp_fail(err, TRP_NOT_FOUND,
                          "'%.*s' is no model but a %.*s, which makes no runs itself: name the "
                          "models that it asks (troupe inspect %.*s)",
                          TRP_STR(name), TRP_STR(cli_field_text(item, "kind")), TRP_STR(name));
        else
            st = trp_ok(); /* of a model the simulator says what is missing */
        cli_composed_free(&composed);
        TRP_CHECK(st);
    }
    return trp_ok();
}

/* The server is asked only where the command line leaves something open; and the command line
 * has the last word. */
static trp_status read_prices(struct cli *cli, struct simulation *s, struct trp_error *err)
{
    const char *path = cli_text(cli, "costs", NULL);
    TRP_CHECK(each_pair(cli, "cost", s, take_cost, err));
    if (path)
        TRP_CHECK(read_costs_file(s, path, err));
    else if (!has_all_costs(s))
        TRP_CHECK(ask_costs(cli, s, err));
    TRP_CHECK(each_pair(cli, "cost", s, take_cost, err));
    if (!path)
        TRP_CHECK(check_models(cli, s, err));
    TRP_CHECK(each_pair(cli, "instances", s, take_instances, err));
    TRP_CHECK(each_pair(cli, "batch", s, take_batch, err));
    return each_pair(cli, "delay", s, take_delay, err);
}

/* ---- the answer ---- */

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct trp_str span_text(struct cli *cli, const struct trp_sim_line *line, int64_t ns)
{
    char text[32];
    trp_span_format(line->ends[TRP_SIM_ANSWERED] > 0 ? ns : -1, text, sizeof text);
    return trp_arena_dup(&cli->arena, trp_str_of(text));
}

static struct trp_str count_text(struct cli *cli, uint64_t n)
{
    return trp_arena_format(&cli->arena, "%" PRIu64, n);
}

static void add_line(struct cli *cli, struct cli_table *t, const struct trp_sim_report *r,
                     const struct trp_sim_line *line)
{
    if (line->arrived == 0)
        return;
    const double rows = line->runs > 0 ? (double)line->rows / (double)line->runs : 0;
    const double busy = r->length_ns > 0 ? 100.0 * line->busy_ns / (double)r->length_ns : 0;
    const struct trp_str cells[] = { line->name,
                                     count_text(cli, line->arrived),
                                     count_text(cli, line->ends[TRP_SIM_ANSWERED]),
                                     span_text(cli, line, line->p50_ns),
                                     span_text(cli, line, line->p90_ns),
                                     span_text(cli, line, line->p99_ns),
                                     span_text(cli, line, line->max_ns),
                                     count_text(cli, line->ends[TRP_SIM_EXPIRED]),
                                     count_text(cli, line->ends[TRP_SIM_REFUSED]),
                                     count_text(cli, line->ends[TRP_SIM_SHED]),
                                     trp_arena_format(&cli->arena, "%.1f", rows),
                                     trp_arena_format(&cli->arena, "%.0f %%", busy) };
    cli_table_row(t, cells);
}

static void print_lines(struct cli *cli, const struct trp_sim_report *r, const char *title,
                        const struct trp_sim_line *lines, uint32_t n)
{
    const char *const titles[] = {
        title,  ">ARRIVED", ">ANSWERED", ">P50",  ">P90",      ">P99",
        ">MAX", ">EXPIRED", ">REFUSED",  ">SHED", ">ROWS/RUN", ">RUNNING"
    };
    struct cli_table t;
    cli_table_init(&t, &cli->arena, titles, ARRAY_LEN(titles));
    for (uint32_t i = 0; i < n; i++)
        add_line(cli, &t, r, &lines[i]);
    puts("");
    cli_table_print(&t, stdout);
}

static void print_tables(struct cli *cli, const struct simulation *s)
{
    const struct trp_sim_report *r = &s->report;
    const double spent = cpu_seconds();
    printf("%u arrivals in %.1f s, on %u executors and %u loops; simulated in %.2f s, %.0f a "
           "second\n",
           s->workload.arrivals_n, (double)r->length_ns / 1e9, s->opts.executors_n, s->opts.loops_n,
           spent, s->workload.arrivals_n / spent);
    print_lines(cli, r, "CLASS", r->classes, TRP_SCHED_CLASSES);
    print_lines(cli, r, "MODEL", r->models, r->models_n);
    if (r->tenants_n > 1)
        print_lines(cli, r, "TENANT", r->tenants, r->tenants_n);
    printf("\nexecutors were busy for %.0f %% of the time, loops for %.0f %%; at most %u waited\n",
           100 * r->executors_used, 100 * r->loops_used, r->queued_most);
}

static trp_status print_json(const struct simulation *s, struct trp_error *err)
{
    const double spent = cpu_seconds();
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), JSON_BYTES_MAX);
    trp_buf_addf(
        &b, "{\"arrivals\":%u,\"cpu_seconds\":%.6f,\"executors\":%u,\"loops\":%u,\n\"result\":",
        s->workload.arrivals_n, spent, s->opts.executors_n, s->opts.loops_n);
    trp_sim_report_write(&s->report, &b);
    trp_buf_add_text(&b, "}\n");
    const trp_status st = trp_buf_check(&b, "report", err);
    if (!trp_failed(st))
        fwrite(b.ptr, 1, b.len, stdout);
    trp_buf_deinit(&b);
    return st;
}

static trp_status write_plot(const struct trp_sim_question *q, const struct simulation *s,
                             const char *path, struct trp_error *err)
{
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), PICTURE_BYTES_MAX);
    trp_status st = trp_sim_plot_write(trp_heap(), q, s->results, &b, err);
    if (!trp_failed(st))
        st = trp_file_replace(path, b.ptr, b.len, err);
    trp_buf_deinit(&b);
    return st;
}

static trp_status simulate(struct cli *cli, struct simulation *s, struct trp_error *err)
{
    const char *plot = cli_text(cli, "plot", NULL);
    const struct trp_sim_question q = { .opts = &s->opts,
                                        .workload = &s->workload,
                                        .prices = &s->prices };
    TRP_CHECK(cli_settings(cli, ".", &s->settings, err));
    TRP_CHECK(read_opts(cli, s, err));
    TRP_CHECK(read_workload(cli, s, err));
    TRP_CHECK(read_prices(cli, s, err));
    s->results = trp_alloc_zeroed(trp_heap(), s->workload.arrivals_n, sizeof *s->results);
    if (!s->results)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "results of %u arrivals", s->workload.arrivals_n);
    TRP_CHECK(trp_simulator_run(trp_heap(), &q, s->results, &s->totals, err));
    TRP_CHECK(trp_sim_report_make(&s->report, trp_heap(), &q, s->results, &s->totals, err));
    if (plot)
        TRP_CHECK(write_plot(&q, s, plot, err));
    if (cli_flag(cli, "json"))
        return print_json(s, err);
    print_tables(cli, s);
    return trp_ok();
}

static int run(struct cli *cli)
{
    struct trp_error err = { 0 };
    struct simulation s = { .settings = NULL };
    trp_price_list_init(&s.prices, trp_heap());
    const trp_status st = simulate(cli, &s, &err);
    trp_sim_report_deinit(&s.report);
    trp_alloc_free(trp_heap(), s.results);
    trp_alloc_free(trp_heap(), s.weights);
    trp_price_list_deinit(&s.prices);
    trp_workload_deinit(&s.workload);
    trp_settings_destroy(s.settings);
    if (!trp_failed(st))
        return CLI_OK;
    if (st.code == TRP_UNAVAILABLE)
        return cli_fail(cli, &err, "without a server: --costs FILE, or --cost MODEL=5ms");
    const int code = cli_fail(cli, &err, NULL);
    return st.code == TRP_INVALID_ARGUMENT ? CLI_USAGE : code;
}

const struct cli_command cmd_simulate = {
    .name = "simulate",
    .operands = "TRACE...",
    .help = "play arrivals through the scheduler, and tell who would have waited how long",
    .details =
        "A TRACE is a file or a stream, and several are played together. A file is a CSV (the "
        "first line names\n"
        "its columns: at_s, model, and class, tenant, rows, timeout_ms where you like), or a "
        "trace file of a server.\n"
        "A stream is made up: poisson:model=NAME,rate=40 or even:, bursts: (on=1s,off=4s), "
        "diurnal:\n"
        "(period=60s,swing=0.8); class=, tenant=, rows=1-8, timeout=50ms, from=, until= may "
        "follow.\n"
        "What runs cost is asked from a running server, read from a file, or said by --cost; "
        "threads and limits are\n"
        "those of the settings (troupe.yaml here, --config, --set).",
    .example = "troupe simulate poisson:model=digits_mlp,rate=400 --executors 4\n"
               "troupe simulate monday.csv --rate-scale 2 --plot monday.svg\n"
               "troupe simulate poisson:model=a,rate=150,class=interactive even:model=b,rate=8 "
               "--cost a=4ms --cost b=50ms --floor batch=10",
    .options = options,
    .options_n = ARRAY_LEN(options),
    .operands_min = 1,
    .operands_max = 64,
    .run = run,
};

/* cli/cmd_prepare.c - troupe prepare: the models of a folder into the store, before a server
 * asks for them. */
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "app/preparation.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/places.h"
#include "cli/settings_options.h"

#define JOBS_MAX 1024u
#define BAR_CELLS 30u

static const struct cli_option options[] = {
    { "store", 0, CLI_TEXT, "DIR", "the store; default: the setting store.path" },
    { "jobs", 'J', CLI_TEXT, "N", "models at once; default: one a core" },
    CLI_SET_OPTIONS,
    { "json", 'j', CLI_FLAG, NULL, "print JSON" },
};

/* [###########-------------------]  12/40  resnet50/3 */
static void draw(void *user, uint32_t done, uint32_t of, const struct trp_prepared *last)
{
    static const char full[] = "##############################";
    static const char rest[] = "------------------------------";
    const int cells = (int)((uint64_t)done * BAR_CELLS / of);
    (void)user;
    fprintf(stderr, "\r[%.*s%.*s] %u/%u %.*s\033[K", cells, full, (int)BAR_CELLS - cells, rest,
            done, of, last->id.len < 40 ? (int)last->id.len : 40, last->id.ptr);
    if (done == of)
        fputs("\r\033[K", stderr);
}

static void print_troubles(struct cli *cli, const struct trp_preparation *p)
{
    static const char *const titles[] = { "MODEL", "STATE", "REASON" };
    struct cli_table t;
    bool any = false;
    cli_table_init(&t, &cli->arena, titles, ARRAY_LEN(titles));
    for (uint32_t i = 0; i < p->n; i++) {
        const struct trp_prepared *item = &p->items[i];
        if (item->state != TRP_PREPARED_REFUSED && item->state != TRP_PREPARED_FAILED)
            continue;
        const struct trp_str cells[] = { item->id, trp_str_of(trp_prepared_state_name(item->state)),
                                         trp_str_of(item->why.text) };
        cli_table_row(&t, cells);
        any = true;
    }
    if (!any)
        return;
    cli_table_print(&t, stdout);
    putchar('\n');
}

static void print_totals(struct cli *cli, const struct trp_preparation *p, double seconds)
{
    print_troubles(cli, p);
    printf("%u models: %u prepared, %u already there, %u refused, %u failed", p->n,
           p->counts[TRP_PREPARED_NOW], p->counts[TRP_PREPARED_BEFORE],
           p->counts[TRP_PREPARED_REFUSED], p->counts[TRP_PREPARED_FAILED]);
    if (p->counts[TRP_PREPARED_NOT_YET])
        printf(", %u not tried", p->counts[TRP_PREPARED_NOT_YET]);
    if (p->others_n)
        printf("; %u of other backends", p->others_n);
    printf("\n%s of weights in %s of files, %s shared; %.1f s\n",
           cli_bytes_text(cli, p->weights_bytes), cli_bytes_text(cli, p->stored_bytes),
           cli_bytes_text(cli, p->weights_bytes - p->stored_bytes), seconds);
    if (p->counts[TRP_PREPARED_REFUSED])
        puts("what is refused is served all the same: it loads plainly");
    if (p->removed_n)
        printf("%u prepared models went again, the least recently used: store.max_bytes\n",
               p->removed_n);
}

static void print_json_list(struct trp_buf *b, const char *name, const struct trp_preparation *p,
                            enum trp_prepared_state state)
{
    bool first = true;
    trp_buf_addf(b, ",\n \"%s\": [", name);
    for (uint32_t i = 0; i < p->n; i++) {
        if (p->items[i].state != state)
            continue;
        trp_buf_add_text(b, first ? "\n  {\"model\": " : ",\n  {\"model\": ");
        trp_json_write_str(b, p->items[i].id);
        trp_buf_add_text(b, ", \"reason\": ");
        trp_json_write_str(b, trp_str_of(p->items[i].why.text));
        trp_buf_add_char(b, '}');
        first = false;
    }
    trp_buf_add_char(b, ']');
}

static void print_json(const struct trp_preparation *p, double seconds)
{
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), (size_t)256 << 20);
    trp_buf_addf(&b,
                 "{\"models\": %u, \"prepared\": %u, \"already_there\": %u, \"not_tried\": %u, "
                 "\"other_backends\": %u,\n \"weights_bytes\": %llu, \"stored_bytes\": %llu, "
                 "\"shared_bytes\": %llu, \"removed\": %u, \"seconds\": %.3f",
                 p->n, p->counts[TRP_PREPARED_NOW], p->counts[TRP_PREPARED_BEFORE],
                 p->counts[TRP_PREPARED_NOT_YET], p->others_n, (unsigned long long)p->weights_bytes,
                 (unsigned long long)p->stored_bytes,
                 (unsigned long long)(p->weights_bytes - p->stored_bytes), p->removed_n, seconds);
    print_json_list(&b, "refused", p, TRP_PREPARED_REFUSED);
    print_json_list(&b, "failed", p, TRP_PREPARED_FAILED);
    trp_buf_add_text(&b, "}\n");
    if (b.failed)
        fputs("troupe prepare: no memory to print\n", stderr);
    else
        fwrite(b.ptr, 1, b.len, stdout);
    trp_buf_deinit(&b);
}

static bool is_begun(const struct trp_preparation *p)
{
    return p->counts[TRP_PREPARED_NOW] || p->counts[TRP_PREPARED_BEFORE] ||
           p->counts[TRP_PREPARED_REFUSED] || p->counts[TRP_PREPARED_FAILED];
}

static int prepare(struct cli *cli, const struct trp_preparation_opts *opts)
{
    struct trp_error err = { 0 };
    struct trp_preparation p;
    const int64_t begun_ns = trp_clock_now_ns(trp_clock_system());
    const trp_status st = trp_preparation_run(&p, opts, &err);
    const double seconds = (double)(trp_clock_now_ns(trp_clock_system()) - begun_ns) / 1e9;
    if (trp_failed(st) && opts->on_progress)
        fputc('\n', stderr);
    if (cli_flag(cli, "json"))
        print_json(&p, seconds);
    else if (!trp_failed(st) || is_begun(&p))
        print_totals(cli, &p, seconds);
    fflush(stdout); /* the totals stand before what ended them */
    if (trp_failed(st))
        (void)cli_fail(cli, &err, NULL);
    const bool is_well = !trp_failed(st) && p.counts[TRP_PREPARED_FAILED] == 0;
    trp_preparation_deinit(&p);
    return is_well ? CLI_OK : CLI_FAILED;
}

static uint32_t cores(void)
{
    cpu_set_t set;
    const int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > 0 ? (uint32_t)n : 1;
}

static int run(struct cli *cli)
{
    struct trp_error err = { 0 };
    struct trp_settings *settings;
    const char *jobs = cli_text(cli, "jobs", NULL);
    uint64_t n = cores();
    if (jobs && (!trp_str_parse_u64(trp_str_of(jobs), &n) || n == 0 || n > JOBS_MAX))
        return cli_usage(cli, "--jobs is a number from 1 to %u, not '%s'", JOBS_MAX, jobs);
    const char *first = cli_first_place(cli);
    if (trp_failed(cli_check_repository(first, &err)))
        return cli_fail(cli, &err, NULL);
    if (trp_failed(cli_settings(cli, first, &settings, &err)))
        return cli_fail_settings(cli, &err);
    struct cli_places places = { .n = 0 };
    if (trp_failed(cli_find_places(cli, settings, &places, &err))) {
        trp_settings_destroy(settings);
        return cli_fail(cli, &err, NULL);
    }
    const struct trp_preparation_opts opts = {
        .settings = settings,
        .repositories = places.paths,
        .repositories_n = places.n,
        .store = cli_text(cli, "store", trp_settings_text(settings, TRP_SETTING_ID_STORE_PATH)),
        .jobs = (uint32_t)n,
        .on_progress = isatty(STDERR_FILENO) ? draw : NULL,
    };
    (void)signal(SIGXFSZ,
                 SIG_IGN); /* a file that may not grow is an error of write(), not the end */
    const int code = *opts.store ? prepare(cli, &opts)
                                 : cli_usage(cli, "which store?  --store DIR, or the setting "
                                                  "store.path");
    trp_settings_destroy(settings);
    return code;
}

const struct cli_command cmd_prepare = {
    .name = "prepare",
    .operands = "[REPO...]",
    .help = "prepare the models of a folder, or several, ahead of time, so that a server maps them",
    .details =
        "REPO are the folders of models as `troupe serve` has them: of several, and those of\n"
        "repository.paths behind them, the first that has a name is meant by it.\n"
        "Each ONNX model is optimised, its weights stored once however many models have them, and "
        "what\n"
        "was made is compared with the model on generated inputs.  A model that cannot be prepared "
        "is\n"
        "refused with its reason and loads plainly; that is no failure.  Ends with 1 when a model "
        "would\n"
        "not load, or when the store cannot be written.",
    .example = "troupe prepare models --store /var/lib/troupe\n"
               "troupe prepare models --store /var/lib/troupe --jobs 8 --json | jq .refused",
    .advise = cli_advise_setting,
    .options = options,
    .options_n = ARRAY_LEN(options),
    .operands_max = CLI_PLACES_MAX,
    .run = run,
};

/* cli/cmd_ps.c - troupe ps: what is in memory, how big, with whom it shares, why it stays, and who
 * would go next; of one model also why it is not in memory. */
#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/near_name.h"
#include "cli/reply_fields.h"

#define GONE_SHOWN 5

static const struct cli_option options[] = {
    CLI_SERVER_OPTION,
    { "json", 'j', CLI_FLAG, NULL, "print the server's JSON" },
    { "cost", 'c', CLI_FLAG, NULL,
      "show what runs take by their rows, and whether requests share them" },
};

static struct trp_str bytes_of(struct cli *cli, struct trp_json object, const char *key)
{
    struct trp_json v;
    int64_t n;
    if (!trp_json_find(object, key, &v) || !trp_json_as_i64(v, &n))
        return TRP_STR_LIT("-");
    return trp_str_of(n ? cli_bytes_text(cli, (uint64_t)n) : "0");
}

/* "850 ms", "12 s", "3 h 20 min"; "" when it is not there. */
static struct trp_str time_of(struct cli *cli, struct trp_json object, const char *key)
{
    struct trp_json v;
    double seconds = 0;
    struct trp_arena *a = &cli->arena;
    if (!trp_json_find(object, key, &v) || !trp_json_as_f64(v, &seconds))
        return TRP_STR_LIT("");
    const int64_t s = (int64_t)seconds;
    if (seconds < 1)
        return trp_arena_format(a, "%.0f ms", seconds * 1000);
    if (s < 60)
        return trp_arena_format(a, "%" PRId64 " s", s);
    if (s < 3600)
        return trp_arena_format(a, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    return trp_arena_format(a, "%" PRId64 " h %" PRId64 " min", s / 3600, s % 3600 / 60);
}

static struct trp_str list_of(struct cli *cli, struct trp_json object, const char *key)
{
    struct trp_json list, item;
    struct trp_json_iter it;
    struct trp_str out = TRP_STR_LIT(""), text;
    if (!trp_json_find(object, key, &list) || !trp_json_begin(list, &it))
        return out;
    while (trp_json_next(&it, NULL, &item))
        if (trp_json_as_str(item, &text))
            out = trp_arena_format(&cli->arena, "%.*s%s%.*s", TRP_STR(out), out.len ? ", " : "",
                                   TRP_STR(text));
    return out;
}

static struct trp_str sharers_of(struct cli *cli, struct trp_json m)
{
    struct trp_json more;
    const struct trp_str names = list_of(cli, m, "shared_with");
    if (!trp_json_find(m, "shared_with_more", &more))
        return names;
    return trp_arena_format(&cli->arena, "%.*s, and more", TRP_STR(names));
}

/* Its place among those who would go, or why it is not among them. */
static struct trp_str next_of(struct cli *cli, struct trp_json m)
{
    const struct trp_str standing = cli_field_text(m, "standing");
    return trp_str_is(standing, "may go") ? cli_field_number(cli, m, "next") : standing;
}

static struct trp_str instances_of(struct cli *cli, struct trp_json m)
{
    const struct trp_str n = cli_field_number(cli, m, "instances");
    return trp_str_is(n, "0") ? TRP_STR_LIT("-") : n;
}

static void add_model(struct cli *cli, struct cli_table *table, struct trp_json m)
{
    const struct trp_str state = cli_field_text(m, "state");
    const struct trp_str residency = cli_field_text(m, "residency");
    const struct trp_str opened = cli_field_text(m, "opened");
    struct trp_str kept = cli_field_text(m, "kept");
    if (opened.len && !trp_str_is(opened, "mapped"))
        kept = trp_arena_format(&cli->arena, "%.*s; opened %.*s", TRP_STR(kept), TRP_STR(opened));
    const struct trp_str cells[] = { cli_field_text(m, "name"),
                                     cli_field_number(cli, m, "version"),
                                     trp_str_is(state, "READY") ? residency : state,
                                     time_of(cli, m, "for_seconds"),
                                     bytes_of(cli, m, "private_bytes"),
                                     bytes_of(cli, m, "shared_bytes"),
                                     bytes_of(cli, m, "activation_bytes"),
                                     time_of(cli, m, "idle_seconds"),
                                     sharers_of(cli, m),
                                     next_of(cli, m),
                                     instances_of(cli, m),
                                     list_of(cli, m, "devices"),
                                     kept };
    cli_table_row(table, cells);
}

/* A row for each model of an answer. */
static trp_status add_models(struct cli *cli, struct cli_table *table, struct trp_json root,
                             void (*add)(struct cli *cli, struct cli_table *table,
                                         struct trp_json m),
                             struct trp_error *err)
{
    struct trp_json models, m;
    struct trp_json_iter it;
    if (!trp_json_find(root, "models", &models) || trp_json_type(models) != TRP_JSON_ARRAY)
        return cli_fail_foreign(cli, err);
    for (bool more = trp_json_begin(models, &it); more && trp_json_next(&it, NULL, &m);)
        add(cli, table, m);
    return trp_ok();
}

/* How much of the memory that worker processes look at is in use; and that it was full once,
 * which makes their models slower. */
static void print_commons(struct cli *cli, struct trp_json root)
{
    struct trp_json commons;
    if (!trp_json_find(root, "commons", &commons))
        return;
    const struct trp_str refused = cli_field_number(cli, commons, "refused");
    printf("worker processes look at %s of %s", bytes_of(cli, commons, "bytes").ptr,
           bytes_of(cli, commons, "limit_bytes").ptr);
    if (!trp_str_is(refused, "0"))
        printf("; it was full %.*s times, and requests were copied for them (limits.commons_bytes)",
               TRP_STR(refused));
    printf("\n");
}

static void print_totals(struct cli *cli, struct trp_json root)
{
    struct trp_json accounts, budget;
    if (trp_json_find(root, "accounts", &accounts))
        printf("held: weights %s, shared %s, activations %s, requests %s, backends %s, lists %s, "
               "feedback %s\n",
               bytes_of(cli, accounts, "weights").ptr, bytes_of(cli, accounts, "shared").ptr,
               bytes_of(cli, accounts, "activations").ptr, bytes_of(cli, accounts, "request").ptr,
               bytes_of(cli, accounts, "backend").ptr, bytes_of(cli, accounts, "lists").ptr,
               bytes_of(cli, accounts, "feedback").ptr);
    if (!trp_json_find(root, "budget", &budget))
        return;
    const struct trp_str limit = bytes_of(cli, budget, "limit_bytes");
    printf("budget: %s; committed %s, reserved %s, fixed %s\n",
           trp_str_is(limit, "-") ? "none" : limit.ptr,
           bytes_of(cli, budget, "committed_bytes").ptr,
           bytes_of(cli, budget, "reserved_bytes").ptr, bytes_of(cli, budget, "fixed_bytes").ptr);
}

static void print_gone(struct cli *cli, struct trp_json root)
{
    struct trp_json list, item;
    struct trp_json_iter it;
    bool more = trp_json_find(root, "let_go", &list) && trp_json_begin(list, &it);
    for (int shown = 0; more && shown < GONE_SHOWN && trp_json_next(&it, NULL, &item); shown++)
        printf("let go %.*s ago: %.*s (%.*s)\n", TRP_STR(time_of(cli, item, "seconds_ago")),
               TRP_STR(cli_field_text(item, "name")), TRP_STR(cli_field_text(item, "why")));
}

/* One model: where it is, and why; then its line, when it has one. */
static int print_asked(struct cli *cli, struct trp_json asked)
{
    const struct trp_str where = cli_field_text(asked, "where");
    const struct trp_str since = time_of(cli, asked, "for_seconds");
    struct trp_str retry = time_of(cli, asked, "retry_seconds");
    if (trp_str_is(retry, "0 ms"))
        retry = TRP_STR_LIT(""); /* at once */
    if (trp_str_is(where, "unknown")) {
        struct trp_error err = { 0 };
        (void)trp_fail(&err, TRP_NOT_FOUND, "'%s': %.*s", cli->operands[0],
                       TRP_STR(cli_field_text(asked, "why")));
        return cli_fail_of_name(cli, cli->operands[0], &err);
    }
    printf("%s is %.*s%s%.*s: %.*s%s%.*s%s\n", cli->operands[0], TRP_STR(where),
           since.len ? ", for " : "", TRP_STR(since), TRP_STR(cli_field_text(asked, "why")),
           retry.len ? " (in " : "", TRP_STR(retry), retry.len ? " at the earliest)" : "");
    return CLI_OK;
}

static int print(struct cli *cli, struct trp_json root, struct trp_error *err)
{
    static const char *const titles[] = { "MODEL",       ">VERSION", "IN MEMORY",  ">FOR",
                                          ">PRIVATE",    ">SHARED",  ">RUNS",      ">IDLE",
                                          "SHARED WITH", ">NEXT",    ">INSTANCES", "DEVICES",
                                          "STAYS" };
    struct cli_table table;
    struct trp_json asked;
    const bool is_one = trp_json_find(root, "asked", &asked);
    cli_table_init(&table, &cli->arena, titles, ARRAY_LEN(titles));
    if (trp_failed(add_models(cli, &table, root, add_model, err)))
        return cli_fail_asking(cli, err);
    const int code = is_one ? print_asked(cli, asked) : CLI_OK;
    if (code != CLI_OK)
        return code;
    if (table.first)
        cli_table_print(&table, stdout);
    else if (!is_one)
        puts("nothing is in memory: a model is loaded by its first request");
    if (is_one)
        return CLI_OK;
    puts("");
    print_totals(cli, root);
    print_commons(cli, root);
    print_gone(cli, root);
    return CLI_OK;
}

/* ---- what runs take ---- */

static int64_t whole_of(struct trp_json object, const char *key)
{
    struct trp_json v;
    int64_t n = 0;
    return trp_json_find(object, key, &v) && trp_json_as_i64(v, &n) ? n : 0;
}

/* "1: 213 us, 16: 0.95 ms": rows, and what they take. */
static struct trp_str points_of(struct cli *cli, struct trp_json m)
{
    struct trp_json list, point;
    struct trp_json_iter it;
    struct trp_str out = TRP_STR_LIT("");
    if (!trp_json_find(m, "points", &list) || !trp_json_begin(list, &it))
        return out;
    while (trp_json_next(&it, NULL, &point)) {
        const double us = (double)whole_of(point, "run_ns") / 1e3;
        out = trp_arena_format(&cli->arena, "%.*s%s%" PRId64 ": %.3g %s", TRP_STR(out),
                               out.len ? ", " : "", whole_of(point, "rows"),
                               us < 1000 ? us : us / 1e3, us < 1000 ? "us" : "ms");
    }
    return out;
}

static void add_cost(struct cli *cli, struct cli_table *table, struct trp_json m)
{
    const int64_t most = whole_of(m, "rows_max"), best = whole_of(m, "rows_best");
    const int64_t slots = whole_of(m, "instances"), delay_ns = whole_of(m, "delay_ns");
    struct trp_arena *a = &cli->arena;
    const struct trp_str cells[] = {
        cli_field_text(m, "name"),
        cli_field_number(cli, m, "version"),
        slots ? cli_field_number(cli, m, "instances") : TRP_STR_LIT("-"),
        cli_field_text(m, "batching"),
        best ? trp_arena_format(a, "%" PRId64 " of %" PRId64, best, most) : TRP_STR_LIT("-"),
        delay_ns ? trp_arena_format(a, "%.3g ms", (double)delay_ns / 1e6) : TRP_STR_LIT("-"),
        points_of(cli, m),
        cli_field_text(m, "batching_reason"),
    };
    cli_table_row(table, cells);
}

static int print_cost(struct cli *cli, struct trp_json root, struct trp_error *err)
{
    static const char *const titles[] = { "MODEL", ">VERSION", ">INSTANCES",  "JOINS",
                                          ">ROWS", ">DELAY",   "ROWS: A RUN", "WHY" };
    struct cli_table table;
    cli_table_init(&table, &cli->arena, titles, ARRAY_LEN(titles));
    if (trp_failed(add_models(cli, &table, root, add_cost, err)))
        return cli_fail_asking(cli, err);
    if (table.first)
        cli_table_print(&table, stdout);
    else
        puts("nothing is in memory: a model is loaded by its first request");
    return CLI_OK;
}

static int run(struct cli *cli)
{
    if (cli_flag(cli, "cost"))
        return cli_show_reply(
            cli,
            cli->operands_n ? cli_path(cli, "/api/models/%s/cost", cli->operands[0]) : "/api/cost",
            print_cost);
    const char *path = cli->operands_n ? cli_path(cli, "/api/residency?name=%s", cli->operands[0])
                                       : "/api/residency";
    return cli_show_reply(cli, path, print);
}

const struct cli_command cmd_ps = {
    .name = "ps",
    .operands = "[MODEL]",
    .help = "show what is in memory, how big it is, why it stays, and what would go next",
    .details =
        "IN MEMORY is mapped (runs at once), hibernated (its pages are dropped, it wakes for a "
        "request) or LOADING.\n"
        "PRIVATE is the model's own, SHARED is mapped from the store, together with others "
        "that have it;\n"
        "of a hibernated model it is what waking brings back. RUNS is held by requests.\n"
        "NEXT is the order in which models would go for others, or why one would not: "
        "pinned, busy, just loaded.\n"
        "INSTANCES is how many of its runs may go on at once, - any number: see troupe scale.\n"
        "STAYS says why it is there; behind `opened as it is` stands why its weights are not "
        "those of the store.\n"
        "With a MODEL: why it is in memory, or why it is not, and what would change that.\n"
        "With --cost: JOINS is on where requests that wait together share a run; ROWS is how many "
        "pay, of those allowed;\n"
        "DELAY is how long they wait for company; then what runs of so many rows take.",
    .example = "troupe ps\n"
               "troupe ps digits_cnn\n"
               "troupe ps --cost\n"
               "troupe ps --json | jq '.models[] | select(.idle_seconds > 600).name'",
    .options = options,
    .options_n = ARRAY_LEN(options),
    .operands_max = 1,
    .run = run,
};

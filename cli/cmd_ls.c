/* cli/cmd_ls.c - troupe ls: the models of a running server, their states, and why.
 *
 * What is wrong with several models at once (no runtime, most of all) is said once, below the
 * table; there stands all of a reason of several lines, too. */
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/composed.h"
#include "cli/model_list.h"
#include "cli/reply_fields.h"

#define PATIENCE_NS TRP_S(5) /* with a server that has only just begun to look around */
#define PAUSE_NS TRP_MS(20)
#define NOTES_MAX 16u
#define NOTE_BYTES_MIN 40u /* shorter reasons are repeated: a mark would not save anything */

static const struct cli_option options[] = {
    CLI_SERVER_OPTION,
    { "task", 't', CLI_TEXT, "TASK", "only models for this, such as classification" },
    { "tag", 0, CLI_LIST, "TAG", "only models that have this tag; several: all of them" },
    { "input", 'i', CLI_TEXT, "KIND", "only models with an input of image, text, audio or tensor" },
    { "dtype", 'd', CLI_TEXT, "DTYPE", "that input's element type, such as FP32" },
    { "shape", 0, CLI_TEXT, "SIZES", "that input's shape, such as -1,3,224,224; -1: any" },
    { "name", 'n', CLI_TEXT, "TEXT", "only models with this in their name; * stands for anything" },
    { "state", 0, CLI_TEXT, "STATE", "only models in this state, such as ready" },
    { "json", 'j', CLI_FLAG, NULL, "print the server's JSON" },
};

struct listing {
    struct cli *cli;
    struct cli_table table;
    struct note {
        struct trp_str reason;
        uint32_t models_n, mark; /* mark 0: not needed yet */
    } notes[NOTES_MAX];
    uint32_t notes_n, marks_n, models_n;
    bool has_tasks, has_kinds;
    struct trp_str trouble;  /* of the routes' file, which is printed whole in any case */
    struct trp_str unloaded; /* the first such model's name */
};

#define TENSORS_SHOWN \
    4 /* a model of 64 inputs would make every line of the table a thousand columns wide */

/* "image FP32[-1,64], mask BOOL[1]" */
static struct trp_str tensors_of(struct cli *cli, struct trp_json object, const char *key)
{
    struct trp_json list, tensor;
    struct trp_json_iter it;
    struct trp_buf b;
    uint32_t n = 0;
    if (!trp_json_find(object, key, &list) || !trp_json_begin(list, &it))
        return TRP_STR_LIT("-");
    trp_buf_init(&b, trp_heap(), 65536);
    while (trp_json_next(&it, NULL, &tensor)) {
        if (n++ >= TENSORS_SHOWN)
            continue;
        trp_buf_add_text(&b, b.len ? ", " : "");
        trp_buf_add_str(&b, cli_field_text(tensor, "name"));
        trp_buf_add_char(&b, ' ');
        trp_buf_add_str(&b, cli_field_text(tensor, "datatype"));
        trp_buf_add_str(&b, cli_field_shape(cli, tensor));
    }
    if (n > TENSORS_SHOWN)
        trp_buf_addf(&b, ", %u more", n - TENSORS_SHOWN);
    const struct trp_str out = trp_arena_dup(&cli->arena, trp_buf_str(&b));
    trp_buf_deinit(&b);
    return out;
}

static struct note *find_note(struct listing *l, struct trp_str reason)
{
    for (uint32_t i = 0; i < l->notes_n; i++) {
        if (trp_str_is_equal(l->notes[i].reason, reason))
            return &l->notes[i];
    }
    return NULL;
}

static bool has_lines(struct trp_str reason)
{
    return cli_first_line(reason).len < reason.len;
}

static void note_reason(struct listing *l, struct trp_str reason)
{
    struct note *n = find_note(l, reason);
    if (n)
        n->models_n++;
    else if ((reason.len >= NOTE_BYTES_MIN || has_lines(reason)) && l->notes_n < NOTES_MAX)
        l->notes[l->notes_n++] = (struct note){ .reason = reason, .models_n = 1 };
}

static void look_through(void *user, struct trp_json model)
{
    struct listing *l = user;
    l->has_tasks |= cli_field_text(model, "task").len > 0;
    note_reason(l, cli_field_text(model, "reason"));
}

static struct trp_str reason_cell(struct listing *l, struct trp_str reason)
{
    const struct trp_str first = cli_first_line(reason);
    struct note *n = find_note(l, reason);
    if (reason.len > 0 && trp_str_is_equal(reason, l->trouble))
        return TRP_STR_LIT("older files serve, see below");
    if (!n || (n->models_n < 2 && !has_lines(reason)))
        return first;
    if (n->mark == 0)
        n->mark = ++l->marks_n;
    return n->models_n > 1 ? trp_arena_format(&l->cli->arena, "see [%u]", n->mark)
                           : trp_arena_format(&l->cli->arena, "%.*s [%u]", TRP_STR(first), n->mark);
}

/* That it is unloaded is said already; what is wrong with its files besides is not. */
static struct trp_str reason_of(const struct trp_json model, bool is_unloaded)
{
    const struct trp_str reason = cli_field_text(model, "reason");
    return is_unloaded && trp_str_is(reason, "unloaded") ? TRP_STR_LIT("") : reason;
}

static void add_model(void *user, struct trp_json model)
{
    struct listing *l = user;
    const struct trp_str state = cli_field_text(model, "state");
    const bool is_unloaded = trp_str_is(state, "UNLOADED");
    struct trp_str cells[CLI_COLUMNS_MAX];
    uint32_t n = 0;
    cells[n++] = cli_field_text(model, "name");
    if (l->has_kinds)
        cells[n++] = TRP_STR_LIT("model");
    cells[n++] = cli_field_number(l->cli, model, "version");
    cells[n++] = state;
    if (l->has_tasks)
        cells[n++] = cli_field_text(model, "task");
    cells[n++] = cli_field_number(l->cli, model, "inferences");
    cells[n++] = tensors_of(l->cli, model, "inputs");
    cells[n++] = tensors_of(l->cli, model, "outputs");
    cells[n++] = reason_cell(l, reason_of(model, is_unloaded));
    cli_table_row(&l->table, cells);
    l->models_n++;
    if (is_unloaded && !l->unloaded.ptr)
        l->unloaded = cells[0];
}

/* A route, an ensemble and so on: it has no version and no task. */
static void add_composed(struct listing *l, struct trp_json item)
{
    struct trp_json v;
    bool is_ready = false;
    struct trp_str cells[CLI_COLUMNS_MAX];
    uint32_t n = 0;
    if (trp_json_find(item, "ready", &v))
        (void)trp_json_as_bool(v, &is_ready);
    cells[n++] = cli_field_text(item, "name");
    cells[n++] = cli_field_text(item, "kind");
    cells[n++] = TRP_STR_LIT("-");
    cells[n++] = is_ready ? TRP_STR_LIT("READY") : TRP_STR_LIT("UNAVAILABLE");
    if (l->has_tasks)
        cells[n++] = TRP_STR_LIT("");
    cells[n++] = cli_field_number(l->cli, item, "inferences");
    cells[n++] = tensors_of(l->cli, item, "inputs");
    cells[n++] = tensors_of(l->cli, item, "outputs");
    cells[n++] = reason_cell(l, cli_field_text(item, "reason"));
    cli_table_row(&l->table, cells);
    l->models_n++;
}

static void print_notes(const struct listing *l)
{
    if (l->marks_n > 0 || l->unloaded.ptr)
        fputc('\n', stdout);
    for (uint32_t mark = 1; mark <= l->marks_n; mark++) {
        for (uint32_t i = 0; i < l->notes_n; i++) {
            if (l->notes[i].mark == mark)
                printf("[%u] %.*s\n", mark, TRP_STR(l->notes[i].reason));
        }
    }
    if (l->unloaded.ptr)
        printf("UNLOADED models wait for: troupe load MODEL, as in: troupe load %.*s\n",
               TRP_STR(l->unloaded));
}

static bool is_shown(const struct listing *l, const char *title)
{
    return (l->has_tasks || strcmp(title, "TASK") != 0) &&
           (l->has_kinds || strcmp(title, "KIND") != 0);
}

static bool is_all(const struct cli_model_list *list, const struct cli_composed *composed,
                   bool is_filtered)
{
    return list->is_listed && (is_filtered || composed->is_read);
}

static void print_emptiness(bool is_filtered, bool is_all)
{
    puts(is_filtered ? "no such models"
         : is_all    ? "no models: the repository is empty"
                     : "no models yet");
}

static void print_models(struct listing *l, const struct cli_model_list *list,
                         struct cli_composed *composed, bool is_filtered)
{
    static const char *const titles[] = { "MODEL",     "KIND",   ">VERSION", "STATE", "TASK",
                                          ">ANSWERED", "INPUTS", "OUTPUTS",  "REASON" };
    struct trp_json item;
    const char *shown[ARRAY_LEN(titles)];
    uint32_t n = 0;
    struct trp_json_iter it = composed->it;
    l->has_kinds = composed->has_any;
    l->trouble = composed->trouble;
    cli_model_list_each(list, look_through, l);
    while (composed->has_any && trp_json_next(&it, NULL, &item))
        note_reason(l, cli_field_text(item, "reason"));
    for (size_t i = 0; i < ARRAY_LEN(titles); i++)
        if (is_shown(l, titles[i]))
            shown[n++] = titles[i];
    cli_table_init(&l->table, &l->cli->arena, shown, n);
    cli_model_list_each(list, add_model, l);
    while (composed->has_any && trp_json_next(&composed->it, NULL, &item))
        add_composed(l, item);
    if (l->models_n == 0)
        print_emptiness(is_filtered, is_all(list, composed, is_filtered));
    else
        cli_table_print(&l->table, stdout);
    print_notes(l);
    if (composed->trouble.len)
        printf("\nnot taken up: %.*s\n", TRP_STR(composed->trouble));
    if (!is_all(list, composed, is_filtered))
        puts("\nthe server is still looking through its repository: more may come");
}

static void print_json(const struct cli_model_list *list, struct trp_str composed)
{
    bool is_first = true;
    fputs("{\"models\":[", stdout);
    for (uint32_t i = 0; i < list->pages_n; i++) {
        const struct trp_str text = list->pages[i].text;
        if (text.len == 0)
            continue;
        if (!is_first)
            fputc(',', stdout);
        fwrite(text.ptr, 1, text.len, stdout);
        is_first = false;
    }
    printf("],\"listed\":%s", list->is_listed ? "true" : "false");
    if (composed.len) /* `{"routes":[ ... ],"trouble":"","read":true}` */
        printf(",%.*s\n", (int)composed.len - 1, composed.ptr + 1);
    else
        puts("}");
}

/* "task=ranking&tag=shop": what the options ask for. */
static const char *query_of(struct cli *cli)
{
    static const char *const keys[] = { "task", "input", "dtype", "shape", "name", "state" };
    const char *query = "";
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *value = cli_text(cli, keys[i], NULL);
        if (!value)
            continue;
        const struct trp_str more =
            trp_arena_format(&cli->arena, "%s%s%s=%s", query, query[0] ? "&" : "", keys[i],
                             cli_path(cli, "%s", value));
        query = more.ptr ? more.ptr : query;
    }
    const char *tag;
    for (uint32_t i = 0; (tag = cli_list(cli, "tag", i)) != NULL; i++) {
        const struct trp_str more = trp_arena_format(&cli->arena, "%s%stag=%s", query,
                                                     query[0] ? "&" : "", cli_path(cli, "%s", tag));
        query = more.ptr ? more.ptr : query;
    }
    return query;
}

/* False: there was patience enough. */
static bool wait_a_little(int64_t until_ns)
{
    const struct timespec pause = { .tv_nsec = PAUSE_NS };
    if (trp_clock_now_ns(trp_clock_system()) >= until_ns)
        return false;
    (void)nanosleep(&pause, NULL);
    return true;
}

/* What a server that was started a moment ago has not seen yet is waited for. */
static trp_status ask(struct cli *cli, const char *query, struct cli_model_list *list,
                      struct cli_composed *composed, struct trp_error *err)
{
    const int64_t until_ns = trp_clock_now_ns(trp_clock_system()) + PATIENCE_NS;
    TRP_CHECK(cli_model_list_ask(cli, query, list, err));
    while (!list->is_listed && wait_a_little(until_ns)) {
        cli_model_list_free(list);
        TRP_CHECK(cli_model_list_ask(cli, query, list, err));
    }
    if (query[0]) /* the options ask for what only models have */
        return trp_ok();
    TRP_CHECK(cli_composed_ask(cli, NULL, composed, err));
    while (!composed->is_read && wait_a_little(until_ns)) {
        cli_composed_free(composed);
        TRP_CHECK(cli_composed_ask(cli, NULL, composed, err));
    }
    return trp_ok();
}

static int run(struct cli *cli)
{
    struct trp_error err = { 0 };
    struct cli_model_list list = { 0 };
    struct cli_composed composed = { 0 };
    struct listing l = { .cli = cli };
    const char *query = query_of(cli);
    const trp_status st = ask(cli, query, &list, &composed, &err);
    if (!trp_failed(st) && cli_flag(cli, "json"))
        print_json(&list, composed.body);
    else if (!trp_failed(st))
        print_models(&l, &list, &composed, query[0] != '\0');
    cli_composed_free(&composed);
    cli_model_list_free(&list);
    return trp_failed(st) ? cli_fail_asking(cli, &err) : CLI_OK;
}

const struct cli_command cmd_ls = {
    .name = "ls",
    .operands = "",
    .help = "list the models and routes of a running server, their states and reasons",
    .details =
        "STATE is READY, LOADING, WARMING (runs before it is ready), DRAINING (on its way out), "
        "FAILED\n"
        "(REASON says why), COLD (the next request has it loaded), UNLOADED (nobody asked for it) "
        "or\nWAITING (its turn comes soon).\n"
        "Routes, ensembles, cascades and pipelines stand behind the models, unless options narrow "
        "the "
        "list.\n"
        "Of a server that has only just begun to look through its repository the end of that is "
        "waited\n"
        "for, 5 s at most.\n"
        "ANSWERED counts rows of batches, as Triton does; what a route or composition answered "
        "counts "
        "with\nthe models that it asked, too.  --input, --dtype and --shape ask for one input that "
        "is "
        "all of\nthese; models that are not loaded are found as well.",
    .example = "troupe ls\n"
               "troupe ls --task classification --tag shop --input image --shape -1,3,224,224\n"
               "troupe ls --json | jq '.models[].name'",
    .options = options,
    .options_n = ARRAY_LEN(options),
    .run = run,
};

/* cli/cmd_ls.c - troupe ls: the models of a running server, their states, and why.
 *
 * What is wrong with several models at once (no runtime, most of all) is said once, below the table. */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/reply_fields.h"

#define NOTES_MAX 16u
#define NOTE_BYTES_MIN 40u /* shorter reasons are repeated: a mark would not save anything */

static const struct cli_option options[] = {
    CLI_SERVER_OPTION,
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

static void count_reason(struct listing *l, struct trp_str reason)
{
    struct note *n = find_note(l, reason);
    if (n)
        n->models_n++;
    else if (reason.len >= NOTE_BYTES_MIN && l->notes_n < NOTES_MAX)
        l->notes[l->notes_n++] = (struct note){ .reason = reason, .models_n = 1 };
}

static struct trp_str reason_cell(struct listing *l, struct trp_str reason)
{
    struct note *n = find_note(l, reason);
    if (!n || n->models_n < 2)
        return reason;
    if (n->mark == 0)
        n->mark = ++l->marks_n;
    return trp_arena_format(&l->cli->arena, "see [%u]", n->mark);
}

static void add_model(struct listing *l, struct trp_json model)
{
    const struct trp_str state = cli_field_text(model, "state");
    const bool is_unloaded = trp_str_is(state, "UNLOADED");
    const struct trp_str cells[] = { cli_field_text(model, "name"),
                                     cli_field_number(l->cli, model, "version"),
                                     state,
                                     cli_field_number(l->cli, model, "inferences"),
                                     tensors_of(l->cli, model, "inputs"),
                                     tensors_of(l->cli, model, "outputs"),
                                     is_unloaded
                                         ? TRP_STR_LIT("")
                                         : reason_cell(l, cli_field_text(model, "reason")) };
    cli_table_row(&l->table, cells);
    l->models_n++;
    if (is_unloaded && !l->unloaded.ptr)
        l->unloaded = cells[0];
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

static void print_models(struct listing *l, struct trp_json_iter models)
{
    static const char *const titles[] = { "MODEL",  ">VERSION", "STATE", ">ANSWERED",
                                          "INPUTS", "OUTPUTS",  "REASON" };
    struct trp_json_iter again = models;
    struct trp_json model;
    cli_table_init(&l->table, &l->cli->arena, titles, ARRAY_LEN(titles));
    while (trp_json_next(&models, NULL, &model))
        count_reason(l, cli_field_text(model, "reason"));
    while (trp_json_next(&again, NULL, &model))
        add_model(l, model);
    if (l->models_n == 0)
        puts("no models: the repository is empty, or is still being listed");
    else
        cli_table_print(&l->table, stdout);
    print_notes(l);
}

static int print_json(struct cli *cli)
{
    const struct cli_request request = { .method = "GET", .path = "/api/models", .json_bytes = -1 };
    struct trp_error err = { 0 };
    struct cli_reply reply;
    if (trp_failed(cli_ask(cli, &request, &reply, &err)))
        return cli_fail_asking(cli, &err);
    printf("%.*s\n", TRP_STR(reply.body));
    return CLI_OK;
}

static int run(struct cli *cli)
{
    struct trp_error err = { 0 };
    struct trp_json_parser *parser;
    struct trp_json_iter models;
    struct listing l = { .cli = cli };
    if (cli_flag(cli, "json"))
        return print_json(cli);
    const trp_status st = cli_ask_models(cli, &parser, &models, &err);
    if (!trp_failed(st))
        print_models(&l, models);
    trp_json_parser_destroy(parser);
    return trp_failed(st) ? cli_fail_asking(cli, &err) : CLI_OK;
}

const struct cli_command cmd_ls = {
    .name = "ls",
    .operands = "",
    .help = "list the models of a running server, their states and reasons",
    .details =
        "STATE is READY, LOADING, WARMING (runs before it is ready), DRAINING (on its way out), "
        "FAILED\n"
        "(REASON says why), COLD (the next request has it loaded), UNLOADED (nobody asked for it) "
        "or\nWAITING (its turn comes soon).\n"
        "ANSWERED counts rows of batches, as Triton does.",
    .example = "troupe ls\n"
               "troupe ls --json | jq '.models[].name'",
    .options = options,
    .options_n = ARRAY_LEN(options),
    .run = run,
};

/* cli/cmd_store.c - troupe store: what lies in a store, whether it is whole, and what may go. */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/places.h"
#include "cli/settings_options.h"
#include "store/obsolete.h"
#include "store/sweeper.h"

#define KEY_SHOWN 12u

static const struct cli_option options[] = {
    { "store", 0, CLI_TEXT, "DIR", "the store; default: the setting store.path" },
    { "dry-run", 'n', CLI_FLAG, NULL, "verify, gc: remove nothing, only tell" },
    { "repository", 0, CLI_LIST, "DIR",
      "gc: what was prepared of models that are not in it goes; any number of times" },
    { "max-bytes", 0, CLI_TEXT, "BYTES", "gc: as the setting store.max_bytes, such as 20GiB" },
    { "rate", 0, CLI_TEXT, "BYTES", "verify: read no more than so much a second" },
    CLI_SET_OPTIONS,
    { "json", 'j', CLI_FLAG, NULL, "print JSON" },
};

struct asking {
    struct cli *cli;
    struct trp_store *store;
    struct trp_settings *settings;
    struct cli_table table;
    struct trp_buf json;
    uint32_t rows_n;
    bool is_json, is_dry;
};

/* --- what is common --------------------------------------------------------------------------- */

static struct trp_str time_text(struct cli *cli, int64_t ns)
{
    const time_t seconds = (time_t)(ns / 1000000000);
    struct tm utc;
    char text[32];
    if (!gmtime_r(&seconds, &utc) || strftime(text, sizeof text, "%Y-%m-%d %H:%M:%SZ", &utc) == 0)
        return TRP_STR_LIT("-");
    return trp_arena_dup(&cli->arena, trp_str_of(text));
}

static void begin_row(struct asking *a, const struct trp_stored *what)
{
    char key[TRP_SHA256_TEXT];
    trp_sha256_format(&what->key, key);
    trp_buf_addf(&a->json, "%s\n  {\"key\": \"%s\", \"source\": ", a->rows_n ? "," : "", key);
    trp_json_write_str(&a->json, trp_str_of(what->source));
    a->rows_n++;
}

static struct trp_str key_cell(struct asking *a, const struct trp_stored *what)
{
    char key[TRP_SHA256_TEXT];
    trp_sha256_format(&what->key, key);
    return trp_arena_dup(&a->cli->arena, trp_str_make(key, KEY_SHOWN));
}

static void print_rows(struct asking *a)
{
    if (!a->is_json && a->rows_n) {
        cli_table_print(&a->table, stdout);
        putchar('\n');
    }
}

/* Ends the list, adds the totals, prints. */
static int print_json(struct asking *a, const char *totals)
{
    trp_buf_addf(&a->json, "],\n %s}\n", totals);
    if (a->json.failed)
        return fputs("troupe store: no memory to print\n", stderr), CLI_FAILED;
    fwrite(a->json.ptr, 1, a->json.len, stdout);
    return CLI_OK;
}

/* No server is asked here: what is not available now is a failure. */
static int fail(struct asking *a, const struct trp_error *err)
{
    const int code = cli_fail(a->cli, err, NULL);
    return code == CLI_UNREACHABLE ? CLI_FAILED : code;
}

/* --- ls --------------------------------------------------------------------------------------- */

static trp_status list_one(void *user, const struct trp_stored *what, struct trp_error *err)
{
    struct asking *a = user;
    struct cli *cli = a->cli;
    const bool is_damaged = trp_failed(what->damage.status);
    const uint64_t all_bytes = what->skeleton_bytes + what->blob_bytes;
    const struct trp_str cells[] = { key_cell(a, what),
                                     trp_str_of(cli_bytes_text(cli, all_bytes)),
                                     trp_str_of(cli_bytes_text(cli, what->own_bytes)),
                                     trp_arena_format(&cli->arena, "%u", what->blobs_n),
                                     time_text(cli, what->used_ns),
                                     trp_str_of(is_damaged      ? "damaged"
                                                : what->is_held ? "in use"
                                                                : ""),
                                     trp_str_of(what->made_by),
                                     trp_str_of(what->source) };
    (void)err;
    cli_table_row(&a->table, cells);
    begin_row(a, what);
    trp_buf_add_text(&a->json, ", \"made_by\": ");
    trp_json_write_str(&a->json, trp_str_of(what->made_by));
    trp_buf_addf(&a->json,
                 ", \"skeleton_bytes\": %llu, \"blob_bytes\": %llu, \"own_bytes\": %llu, "
                 "\"blobs\": %u, \"used\": %.3f, \"in_use\": %s, \"damaged\": %s}",
                 (unsigned long long)what->skeleton_bytes, (unsigned long long)what->blob_bytes,
                 (unsigned long long)what->own_bytes, what->blobs_n, (double)what->used_ns / 1e9,
                 what->is_held ? "true" : "false", is_damaged ? "true" : "false");
    return trp_ok();
}

static int list(struct asking *a)
{
    static const char *const titles[] = { "KEY",       ">BYTES", ">OWN",    ">BLOBS",
                                          "LAST USED", "STATE",  "MADE BY", "MODEL" };
    const struct trp_gc_opts look = { .only_tell = true };
    struct trp_error err = { 0 };
    struct trp_swept all;
    char totals[128];
    cli_table_init(&a->table, &a->cli->arena, titles, ARRAY_LEN(titles));
    if (trp_failed(trp_sweeper_list(a->store, list_one, a, &err)) ||
        trp_failed(trp_sweeper_gc(a->store, &look, &all, &err)))
        return fail(a, &err);
    (void)snprintf(totals, sizeof totals, "\"bytes\": %llu, \"unneeded_bytes\": %llu",
                   (unsigned long long)all.kept_bytes, (unsigned long long)all.freed_bytes);
    if (a->is_json)
        return print_json(a, totals);
    print_rows(a);
    printf("%u prepared models, %s", all.artefacts_n, cli_bytes_text(a->cli, all.kept_bytes));
    if (all.freed_bytes)
        printf("; %s that nobody needs: troupe store gc", cli_bytes_text(a->cli, all.freed_bytes));
    putchar('\n');
    return CLI_OK;
}

/* --- verify ----------------------------------------------------------------------------------- */

static void tell_damage(void *user, const struct trp_stored *what, const char *why)
{
    struct asking *a = user;
    const struct trp_str cells[] = { key_cell(a, what), trp_str_of(what->source), trp_str_of(why) };
    cli_table_row(&a->table, cells);
    begin_row(a, what);
    trp_buf_add_text(&a->json, ", \"damage\": ");
    trp_json_write_str(&a->json, trp_str_of(why));
    trp_buf_add_char(&a->json, '}');
}

static void draw(void *user, uint64_t bytes, uint64_t of)
{
    (void)user;
    fprintf(stderr, "\r%3.0f %%\033[K", of ? 100 * (double)bytes / (double)of : 100);
}

static int verify(struct asking *a)
{
    static const char *const titles[] = { "KEY", "MODEL", "DAMAGE" };
    const char *rate = cli_text(a->cli, "rate", NULL);
    struct trp_verify_opts opts = { .clock = trp_clock_system(),
                                    .only_tell = a->is_dry,
                                    .on_damage = tell_damage,
                                    .on_progress = isatty(STDERR_FILENO) ? draw : NULL,
                                    .user = a };
    struct trp_error err = { 0 };
    struct trp_verified v;
    char totals[192];
    if (rate && !trp_setting_parse_bytes(trp_str_of(rate), &opts.bytes_per_second))
        return cli_usage(a->cli, "--rate is a number of bytes, such as 50MiB, not '%s'", rate);
    cli_table_init(&a->table, &a->cli->arena, titles, ARRAY_LEN(titles));
    const trp_status st = trp_sweeper_verify(a->store, &opts, &v, &err);
    if (opts.on_progress)
        fputs("\r\033[K", stderr);
    if (trp_failed(st))
        return fail(a, &err);
    (void)snprintf(totals, sizeof totals,
                   "\"artefacts\": %u, \"damaged_artefacts\": %u, \"blobs\": %u, \"bytes\": %llu",
                   v.artefacts_n, v.damaged_n, v.blobs_n, (unsigned long long)v.bytes);
    print_rows(a);
    const int code = a->is_json ? print_json(a, totals) : CLI_OK;
    if (!a->is_json)
        printf("%u prepared models, %s in %u blobs: %u damaged%s\n", v.artefacts_n,
               cli_bytes_text(a->cli, v.bytes), v.blobs_n, v.damaged_n,
               v.damaged_n && !a->is_dry ? " and removed; they are prepared anew when they are "
                                           "needed, or by: troupe prepare"
                                         : "");
    return v.damaged_n ? CLI_FAILED : code;
}

/* --- gc --------------------------------------------------------------------------------------- */

static void tell_removal(void *user, const struct trp_stored *what, const char *why)
{
    struct asking *a = user;
    const struct trp_str cells[] = { key_cell(a, what), time_text(a->cli, what->used_ns),
                                     trp_str_of(what->source), trp_str_of(why) };
    cli_table_row(&a->table, cells);
    begin_row(a, what);
    trp_buf_add_text(&a->json, ", \"reason\": ");
    trp_json_write_str(&a->json, trp_str_of(why));
    trp_buf_add_char(&a->json, '}');
}

/* Whose models stay: --repository, repository.paths; without either, this folder's, when the
 * settings lie in it. */
static uint32_t find_folders(const struct asking *a, const char *folders[CLI_PLACES_MAX],
                             bool *out_are_named)
{
    const uint32_t listed_n = trp_settings_list_n(a->settings, TRP_SETTING_ID_REPOSITORIES);
    const char *folder;
    uint32_t n = 0;
    for (; n < CLI_PLACES_MAX && (folder = cli_list(a->cli, "repository", n)); n++)
        folders[n] = folder;
    for (uint32_t i = 0; n < CLI_PLACES_MAX && i < listed_n; i++)
        folders[n++] = trp_settings_list_at(a->settings, TRP_SETTING_ID_REPOSITORIES, i);
    *out_are_named = n > 0;
    if (n == 0 && !cli_text(a->cli, "config", NULL) && access("troupe.yaml", F_OK) == 0)
        folders[n++] = ".";
    return n;
}

static trp_status find_obsolete(const struct asking *a, struct trp_obsolete **out,
                                struct trp_error *err)
{
    const char *folders[CLI_PLACES_MAX];
    bool are_named;
    const uint32_t n = find_folders(a, folders, &are_named);
    *out = NULL;
    for (uint32_t i = 0; i < n; i++)
        TRP_CHECK(cli_check_repository(folders[i], err));
    if (n == 0)
        return trp_ok();
    const trp_status st = trp_obsolete_find(a->store, folders, n, out, err);
    /* Where nobody named a repository, this folder may be none. */
    return st.code == TRP_FAILED_PRECONDITION && !are_named ? trp_ok() : st;
}

static void print_swept(const struct asking *a, const struct trp_swept *s, bool has_looked)
{
    printf("%s %u prepared models, %u blobs, %u left-overs: %s\n",
           a->is_dry ? "would remove" : "removed", s->removed_n, s->blobs_n, s->temporaries_n,
           cli_bytes_text(a->cli, s->freed_bytes));
    printf("%u prepared models stay, %u of them in use: %s\n", s->artefacts_n - s->removed_n,
           s->held_n, cli_bytes_text(a->cli, s->kept_bytes));
    if (!has_looked && s->artefacts_n > s->removed_n)
        puts("whether there is still a model of each was not asked: --repository DIR");
    else if (has_looked && s->nameless_n)
        printf("%u do not say of which model they are, and stay: an older troupe made them\n",
               s->nameless_n);
}

static int collect(struct asking *a)
{
    static const char *const titles[] = { "KEY", "LAST USED", "MODEL", "REASON" };
    const char *most = cli_text(a->cli, "max-bytes", NULL);
    struct trp_gc_opts opts = { .bytes_max =
                                    trp_settings_u64(a->settings, TRP_SETTING_ID_STORE_BYTES),
                                .only_tell = a->is_dry,
                                .on_removal = tell_removal,
                                .user = a };
    struct trp_error err = { 0 };
    struct trp_swept s;
    struct trp_obsolete *obsolete;
    char totals[512];
    if (most && !trp_setting_parse_bytes(trp_str_of(most), &opts.bytes_max))
        return cli_usage(a->cli, "--max-bytes is a number of bytes, such as 20GiB, not '%s'", most);
    cli_table_init(&a->table, &a->cli->arena, titles, ARRAY_LEN(titles));
    trp_status st = find_obsolete(a, &obsolete, &err);
    const bool has_looked = obsolete != NULL;
    opts.obsolete = obsolete;
    if (!trp_failed(st))
        st = trp_sweeper_gc(a->store, &opts, &s, &err);
    trp_obsolete_destroy(obsolete);
    if (trp_failed(st))
        return fail(a, &err);
    (void)snprintf(
        totals, sizeof totals,
        "\"removed_artefacts\": %u, \"removed_blobs\": %u, \"removed_temporaries\": %u, "
        "\"removed_notes\": %u, \"freed_bytes\": %llu, \"kept_artefacts\": %u, "
        "\"kept_bytes\": %llu, \"in_use\": %u, \"obsolete\": %u, \"of_unknown_models\": %u",
        s.removed_n, s.blobs_n, s.temporaries_n, s.notes_n, (unsigned long long)s.freed_bytes,
        s.artefacts_n - s.removed_n, (unsigned long long)s.kept_bytes, s.held_n, s.obsolete_n,
        s.nameless_n);
    if (a->is_json)
        return print_json(a, totals);
    print_rows(a);
    print_swept(a, &s, has_looked);
    return CLI_OK;
}

/* --- the command ------------------------------------------------------------------------------ */

struct action {
    const char *name, *list; /* what its JSON calls the list */
    int (*run)(struct asking *a);
    bool looks_only;
};

static int ask(struct asking *a, const char *path, const struct action *action)
{
    const bool look_only = action->looks_only || a->is_dry;
    const struct trp_store_opts opts = { .path = path, .look_only = look_only };
    const struct trp_store_opts look = { .path = path, .look_only = true };
    struct trp_error err = { 0 };
    /* Looked at first: a store that is not there is a slip, and is not to be made. */
    trp_status st = trp_store_open(trp_heap(), &look, &a->store, &err);
    if (!trp_failed(st) && !look_only) {
        trp_store_close(a->store);
        st = trp_store_open(trp_heap(), &opts, &a->store, &err);
    }
    if (st.code == TRP_NOT_FOUND)
        trp_error_within(&err, "%s is no store", path);
    if (trp_failed(st))
        return fail(a, &err);
    trp_buf_init(&a->json, trp_heap(), (size_t)1 << 30);
    trp_buf_addf(&a->json, "{\"%s\": [", action->list);
    const int code = action->run(a);
    trp_buf_deinit(&a->json);
    trp_store_close(a->store);
    return code;
}

static int run(struct cli *cli)
{
    static const struct action actions[] = { { "ls", "artefacts", list, true },
                                             { "verify", "damaged", verify, false },
                                             { "gc", "removed", collect, false } };
    struct asking a = { .cli = cli,
                        .is_json = cli_flag(cli, "json"),
                        .is_dry = cli_flag(cli, "dry-run") };
    struct trp_error err = { 0 };
    int code = -1;
    if (trp_failed(cli_settings(cli, ".", &a.settings, &err)))
        return cli_fail_settings(cli, &err);
    const char *path =
        cli_text(cli, "store", trp_settings_text(a.settings, TRP_SETTING_ID_STORE_PATH));
    for (size_t i = 0; i < ARRAY_LEN(actions) && *path; i++) {
        if (strcmp(cli->operands[0], actions[i].name) == 0)
            code = ask(&a, path, &actions[i]);
    }
    if (!*path)
        code = cli_usage(cli, "which store?  --store DIR, or the setting store.path");
    else if (code < 0)
        code = cli_usage(cli, "'%s' is none of ls, verify, gc", cli->operands[0]);
    trp_settings_destroy(a.settings);
    return code;
}

const struct cli_command cmd_store = {
    .name = "store",
    .operands = "ls|verify|gc",
    .help = "list, verify or clean the store of prepared models",
    .details =
        "ls      what is prepared, how big it is, of which nobody else has OWN, and when it was "
        "used last.\n"
        "verify  reads every byte; what is damaged is named and removed, so that it is prepared "
        "anew; 1 then.\n"
        "gc      removes weights that no prepared model names, what dead processes left, what was "
        "prepared\n"
        "        of models that are in no repository any more (--repository, or "
        "repository.paths), and what\n"
        "        was not used for longest when the store is larger than store.max_bytes; never "
        "what "
        "a\n"
        "        process uses.\n"
        "All may run beside servers.  Settings are read from ./troupe.yaml, unless --config says "
        "otherwise.",
    .example = "troupe store ls --store /var/lib/troupe\n"
               "troupe store verify --store /var/lib/troupe --rate 50MiB\n"
               "troupe store gc --store /var/lib/troupe --repository models --dry-run\n"
               "troupe store gc --store /var/lib/troupe --max-bytes 20GiB",
    .advise = cli_advise_setting,
    .options = options,
    .options_n = ARRAY_LEN(options),
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};

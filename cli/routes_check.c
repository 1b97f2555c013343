/* cli/routes_check.c - see routes_check.h. */
#include "cli/routes_check.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "catalog/circles.h"
#include "compose/cookbook.h"
#include "route/key_list.h"
#include "route/route_file.h"

/* What is written is read; whether it fits the models is checked by the server, which knows
 * them. */
static trp_status take_section(void *book, const struct trp_node *at, struct trp_route_file *file,
                               struct trp_error *err)
{
    return trp_cookbook_read_section(book, at, file, err);
}

/* What can be told of the names without their models: that none leads back to itself. */
static trp_status check_names(struct trp_arena *arena, const struct trp_route_file *file,
                              const struct trp_cookbook *book, struct trp_error *err)
{
    const uint32_t routes_n = trp_route_file_count(file), made_n = trp_cookbook_count(book);
    struct trp_directory_item *items =
        trp_arena_zeroed(arena, (size_t)routes_n + made_n + 1, sizeof *items);
    if (!items)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%u routes and compositions", routes_n + made_n);
    for (uint32_t i = 0; i < routes_n; i++)
        items[i] = trp_route_item(trp_route_file_at(file, i));
    for (uint32_t i = 0; i < made_n; i++)
        items[routes_n + i] = trp_composition_item(trp_cookbook_at(book, i));
    return trp_circles_check(arena, items, routes_n + made_n, NULL, NULL, err);
}

static trp_status read_file(struct trp_route_file_opts *opts, struct trp_arena *arena,
                            struct trp_error *err)
{
    const struct trp_cookbook_opts cookbook = { .alloc = trp_heap() };
    struct trp_route_file *file = NULL;
    struct trp_cookbook *book;
    TRP_CHECK(trp_cookbook_create(&cookbook, &book, err));
    opts->section_user = book;
    trp_status st = trp_route_file_read(trp_heap(), opts, &file, err);
    if (!trp_failed(st))
        st = check_names(arena, file, book, err);
    trp_route_file_unref(file);
    trp_cookbook_destroy(book);
    return st;
}

/* Its lists are opened as a server would, and let go afterwards: here nobody else waits. */
static void close_lists(struct trp_key_reading *reading)
{
    for (uint32_t i = 0; i < reading->paths_n; i++)
        trp_key_list_close(reading->lists[i]);
}

static void lists_are_open(struct trp_key_reading *reading)
{
    (void)reading;
}

static trp_status read_with_lists(struct trp_route_file_opts *opts, struct trp_key_lists *lists,
                                  struct trp_arena *arena, struct trp_error *err)
{
    struct trp_key_reading reading = { .done = lists_are_open };
    uint32_t n;
    TRP_CHECK(trp_route_file_list_paths(opts, arena, &reading.paths, &n, err));
    reading.lists = trp_arena_zeroed(arena, n + (size_t)1, sizeof(struct trp_key_list *));
    reading.errors = trp_arena_zeroed(arena, n + (size_t)1, sizeof *reading.errors);
    if (!reading.lists || !reading.errors)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "routes: %u lists", n);
    reading.paths_n = n;
    trp_key_lists_read(lists, &reading);
    opts->lists = &reading;
    const trp_status st = read_file(opts, arena, err);
    opts->lists = NULL;
    close_lists(&reading);
    return st;
}

static trp_status read_text(const char *path, struct trp_str text, struct trp_error *err)
{
    char folder[4096] = ".";
    const char *slash = strrchr(path, '/');
    const struct trp_route_source source = { path, text };
    const struct trp_route_env env = { .clock = trp_clock_system() };
    const struct trp_key_lists_opts lists_opts = { .clock = trp_clock_system() };
    struct trp_key_lists *lists;
    struct trp_arena arena;
    struct trp_route_file_opts opts = {
        .path = path, .text = text, .env = &env, .folder = folder, .section = take_section
    };
    if (slash)
        (void)snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    TRP_CHECK(trp_key_lists_create(trp_heap(), &lists_opts, &lists, err));
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    const trp_status st = read_with_lists(&opts, lists, &arena, err);
    trp_arena_deinit(&arena);
    trp_key_lists_destroy(lists);
    if (trp_failed(st))
        trp_route_source_point(&source, err);
    return st;
}

trp_status cli_check_routes(const struct trp_settings *settings, const char *repository,
                            struct trp_error *err)
{
    char path[4096];
    char *text;
    size_t len;
    const char *named = trp_settings_text(settings, TRP_SETTING_ID_ROUTES_PATH);
    const uint64_t bytes_max = trp_settings_u64(settings, TRP_SETTING_ID_FILE_BYTES);
    (void)snprintf(path, sizeof path, "%s%s", *named ? named : repository,
                   *named ? "" : "/routes.yaml");
    trp_status st = trp_file_read(trp_heap(), path, (size_t)bytes_max, &text, &len, err);
    if (st.code == TRP_NOT_FOUND && !*named)
        return trp_ok();
    TRP_CHECK(st);
    st = read_text(path, trp_str_make(text, len), err);
    trp_alloc_free(trp_heap(), text);
    return st;
}

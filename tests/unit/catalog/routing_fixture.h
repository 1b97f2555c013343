/* A routing without a life: tests list folders, and answer what it asks about models. */
#ifndef TRP_ROUTING_FIXTURE_H
#define TRP_ROUTING_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "catalog/routing.h"
#include "route/key_list.h"
#include "scratch.h"
#include "unit/base/scarce.h"

#ifdef TRP_TORTURE
#define MANY 20u /* each allocation of all this fails in turn */
#elif defined(TRP_SANITIZED)
#define MANY 2000u /* what must not be done for each of all shows in seconds */
#else
#define MANY TRP_DIRECTORY_MAX
#endif
#define ORDERS_MAX (2 * MANY + 32)

struct folder {
    const char *name, *yaml; /* NULL: nothing that could be read */
};

static struct {
    struct trp_clock clock;
    int64_t now_ns, settle_ns;
    struct trp_loop *control, *loop;
    struct trp_directories directories;
    struct trp_canary_watch canaries;
    struct trp_metrics *metrics;
    struct trp_registry *registry;
    struct trp_load_view load;
    struct trp_route_env env;
    struct trp_cookbook_opts book;
    struct scarce memory; /* of the routing and what it makes */
    char folder[SCRATCH_PATH_MAX],
        path[SCRATCH_PATH_MAX + 16]; /* of routes.yaml, if a test has one */
    struct trp_routing *routing;
    struct trp_key_lists *lists;          /* NULL: there are none */
    struct trp_arena arena;               /* of the last listing */
    int watches['z' + 1];                 /* by the first letter of a model */
    struct trp_order *orders[ORDERS_MAX]; /* that wait, in between NULL: answered */
    uint32_t orders_first, orders_n;
    int reconsidered, answered;
    bool is_watched; /* nobody has asked for the listing */
    bool is_there;
    struct trp_error error;
} fx;

/* ---- what the routing asks ---- */

static inline void submit(void *user, struct trp_order *order)
{
    (void)user;
    assert_true(fx.orders_n < ORDERS_MAX);
    fx.orders[fx.orders_n++] = order;
}

static inline void reconsider(void *user)
{
    (void)user;
    fx.reconsidered++;
}

static inline trp_status watch(void *user, struct trp_str name, struct trp_error *err)
{
    (void)user;
    (void)err;
    fx.watches[(unsigned char)name.ptr[0]]++;
    return trp_ok();
}

static inline void unwatch(void *user, struct trp_str name)
{
    (void)user;
    fx.watches[(unsigned char)name.ptr[0]]--;
}

static inline int64_t now(void *user)
{
    (void)user;
    return fx.now_ns;
}

/* Answers the oldest order of this kind. */
static inline bool answer(int kind)
{
    for (uint32_t i = fx.orders_first; i < fx.orders_n; i++) {
        struct trp_order *order = fx.orders[i];
        if (!order || (int)order->kind != kind)
            continue;
        fx.orders[i] = NULL;
        while (fx.orders_first < fx.orders_n && !fx.orders[fx.orders_first])
            fx.orders_first++;
        if (fx.orders_first == fx.orders_n)
            fx.orders_first = fx.orders_n = 0;
        order->done(order, order->user);
        return true;
    }
    return false;
}

static inline void end_reading(void)
{
    while (answer(TRP_ORDER_SURVEY))
        ;
}

/* Lists folders; they are read, but for what is asked of the models. */
static inline void list(const struct folder *folders, uint32_t n)
{
    struct trp_error err = { 0 };
    trp_arena_reset(&fx.arena);
    struct trp_repo_model **all =
        trp_arena_zeroed(&fx.arena, n + (size_t)1, sizeof(struct trp_repo_model *));
    assert_non_null(all);
    for (uint32_t i = 0; i < n; i++) {
        struct trp_node *tree;
        all[i] = trp_arena_zeroed(&fx.arena, 1, sizeof *all[i]);
        assert_non_null(all[i]);
        *all[i] = (struct trp_repo_model){ .name = trp_str_of(folders[i].name),
                                           .folder = trp_str_of(folders[i].name),
                                           .root = "/nowhere" };
        if (!folders[i].yaml) {
            (void)trp_fail(&all[i]->error, TRP_INVALID_ARGUMENT, "half of a file");
            continue;
        }
        const struct trp_str file = trp_arena_format(&fx.arena, "%s/model.yaml", folders[i].name);
        if (trp_failed(trp_node_from_yaml(&fx.arena, trp_str_of(folders[i].yaml), file.ptr, 1000,
                                          &tree, &err)))
            fail_msg("%s", err.text);
        all[i]->definition = tree;
        all[i]->definition_text = trp_str_of(folders[i].yaml);
    }
    const struct trp_repo_listing listing = { all, n };
    trp_routing_listed(fx.routing, &listing, fx.is_watched);
}

static inline void read_two(const char *x, const char *y)
{
    const struct folder folders[] = { { "x", x }, { "y", y } };
    list(folders, y ? 2 : 1);
    end_reading();
}

static inline const struct trp_directory_item *item(const char *name)
{
    return trp_directory_find(fx.directories.newest, trp_str_of(name));
}

static inline void is_taken_up(const char *name)
{
    assert_non_null(item(name));
    if (item(name)->reason.len)
        fail_msg("%.*s", TRP_STR(item(name)->reason));
    assert_non_null(item(name)->target);
}

/* The reason has these words, and what served goes on. */
static inline void goes_on(const char *name, const struct trp_target *as, const char *words)
{
    assert_non_null(item(name));
    if (!strstr(item(name)->reason.len ? item(name)->reason.ptr : "", words))
        fail_msg("%s: %.*s", name, TRP_STR(item(name)->reason));
    assert_ptr_equal(item(name)->target, as);
}

/* ---- before and after each ---- */

static inline void add_model(const char *name)
{
    const struct trp_entry entry = { .name = trp_str_of(name) };
    assert_false(trp_failed(trp_registry_put(fx.registry, &entry, NULL)));
}

static inline void make_models(void)
{
    assert_false(trp_failed(trp_registry_create(trp_heap(), 0, &fx.registry, NULL)));
    add_model("a");
    add_model("b");
    add_model("c");
    trp_routing_published(fx.routing, trp_registry_publish(fx.registry));
}

static inline void begin(void)
{
    const struct trp_loop_opts loop = { .name = "test" };
    fx.now_ns = TRP_S(1);
    (void)scarce_init(&fx.memory, UINT64_MAX);
    fx.clock = (struct trp_clock){ now, now, NULL };
    const struct trp_loop_opts control = { .name = "test",
                                           .clock = fx.settle_ns ? &fx.clock : NULL };
    assert_false(trp_failed(trp_loop_create(trp_heap(), &control, &fx.control, NULL)));
    assert_false(trp_failed(trp_loop_create(trp_heap(), &loop, &fx.loop, NULL)));
    assert_false(trp_failed(
        trp_directories_init(&fx.directories, trp_heap(), &fx.loop, 1, fx.control, NULL)));
    assert_false(trp_failed(trp_metrics_create(trp_heap(), 1, &fx.metrics, NULL)));
    trp_arena_init(&fx.arena, trp_heap(), 4096, 0);
    fx.canaries = (struct trp_canary_watch){ .clock = &fx.clock, .metrics = fx.metrics };
    fx.load = (struct trp_load_view){ .watch = watch, .unwatch = unwatch };
    fx.env = (struct trp_route_env){ .clock = &fx.clock, .load = &fx.load, .loops_n = 1 };
    fx.book = (struct trp_cookbook_opts){
        .alloc = &fx.memory.alloc,
        .env = { .metrics = fx.metrics, .clock = &fx.clock, .load = &fx.load }
    };
    scratch_folder(fx.folder, "routing");
    (void)snprintf(fx.path, sizeof fx.path, "%s/routes.yaml", fx.folder);
    const struct trp_routing_opts opts = { .path = fx.path,
                                           .folder = fx.folder,
                                           .bytes_max = 1 << 20,
                                           .env = &fx.env,
                                           .cookbook = &fx.book,
                                           .lists = fx.lists,
                                           .control = fx.control,
                                           .clock = &fx.clock,
                                           .settle_ns = fx.settle_ns,
                                           .directories = &fx.directories,
                                           .canaries = &fx.canaries,
                                           .metrics = fx.metrics };
    const struct trp_routing_life life = { NULL, submit, reconsider };
    assert_false(trp_failed(trp_routing_create(&fx.memory.alloc, &opts, &fx.routing, NULL)));
    trp_routing_set_life(fx.routing, &life);
    make_models();
}

static inline int set_up(void **state)
{
    (void)state;
    memset(&fx, 0, sizeof fx);
    begin();
    return 0;
}

/* What changes has to stay the same for a while. */
static inline int set_up_settling(void **state)
{
    (void)state;
    memset(&fx, 0, sizeof fx);
    fx.settle_ns = TRP_MS(500);
    begin();
    assert_false(trp_failed(trp_loop_turn(fx.control, 0, NULL))); /* this thread is its own */
    return 0;
}

/* With a thread that reads lists. */
static inline int set_up_lists(void **state)
{
    const struct trp_key_lists_opts opts = { .clock = trp_clock_system() };
    (void)state;
    memset(&fx, 0, sizeof fx);
    assert_false(trp_failed(trp_key_lists_create(trp_heap(), &opts, &fx.lists, NULL)));
    assert_false(trp_failed(trp_key_lists_start(fx.lists, NULL)));
    begin();
    assert_false(trp_failed(trp_loop_turn(fx.control, 0, NULL))); /* this thread is its own */
    return 0;
}

static inline void put(const char *name, const char *text)
{
    char path[SCRATCH_PATH_MAX + 32];
    struct trp_error err = { 0 };
    (void)snprintf(path, sizeof path, "%s/%s", fx.folder, name);
    if (text && trp_failed(trp_file_replace(path, text, strlen(text), &err)))
        fail_msg("%s", err.text);
    if (!text)
        (void)unlink(path);
}

static inline int tear_down(void **state)
{
    (void)state;
    if (fx.lists)
        trp_key_lists_stop(fx.lists);
    trp_routing_stop(fx.routing);
    trp_directories_close(&fx.directories);
    trp_loop_destroy(fx.control);
    trp_loop_destroy(fx.loop);
    trp_directories_deinit(&fx.directories);
    trp_routing_destroy(fx.routing);
    trp_registry_destroy(fx.registry);
    trp_key_lists_destroy(fx.lists);
    trp_arena_deinit(&fx.arena);
    trp_metrics_destroy(fx.metrics);
    assert_int_equal(trp_counter_get(&fx.memory.out), 0);
    for (const char *const *name = (const char *const[]){ "routes.yaml", "gold", "late", NULL };
         fx.folder[0] && *name; name++)
        put(*name, NULL);
    if (fx.folder[0])
        assert_int_equal(rmdir(fx.folder), 0);
    return 0;
}

/* ---- what tests share besides ---- */

static inline void write_file(const char *yaml)
{
    assert_false(trp_failed(trp_file_replace(fx.path, yaml, strlen(yaml), NULL)));
}

static inline void is_of_file(const char *name, const char *kind)
{
    is_taken_up(name);
    assert_string_equal(item(name)->kind, kind);
    assert_true(trp_str_starts_with(item(name)->place, trp_str_of(fx.path)));
}

static inline void told(struct trp_routing_order *order)
{
    fx.answered++;
    fx.is_there = order->is_there;
    fx.error = order->error;
}

#define AND_LISTS(test) cmocka_unit_test_setup_teardown(test, set_up_lists, tear_down)
#define SETTLING(test) cmocka_unit_test_setup_teardown(test, set_up_settling, tear_down)
#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif

/* What is declared, read again and again: what goes on in place of a folder that is wrong is
 * part of what serves. */
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
#include "route/route_canary.h"
#include "scratch.h"
#include "unit/base/scarce.h"

#ifdef TRP_TORTURE
#define MANY 20u /* each allocation of all this fails in turn */
#else
#define MANY TRP_DIRECTORY_MAX
#endif
#define ORDERS_MAX (2 * MANY + 32)

struct folder {
    const char *name, *yaml;
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

static void submit(void *user, struct trp_order *order)
{
    (void)user;
    assert_true(fx.orders_n < ORDERS_MAX);
    fx.orders[fx.orders_n++] = order;
}

static void reconsider(void *user)
{
    (void)user;
    fx.reconsidered++;
}

static trp_status watch(void *user, struct trp_str name, struct trp_error *err)
{
    (void)user;
    (void)err;
    fx.watches[(unsigned char)name.ptr[0]]++;
    return trp_ok();
}

static void unwatch(void *user, struct trp_str name)
{
    (void)user;
    fx.watches[(unsigned char)name.ptr[0]]--;
}

static int64_t now(void *user)
{
    (void)user;
    return fx.now_ns;
}

/* Answers the oldest order of this kind. */
static bool answer(int kind)
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

static void end_reading(void)
{
    while (answer(TRP_ORDER_SURVEY))
        ;
}

/* Lists folders; they are read, but for what is asked of the models. */
static void list(const struct folder *folders, uint32_t n)
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
        const struct trp_str file = trp_arena_format(&fx.arena, "%s/model.yaml", folders[i].name);
        if (trp_failed(trp_node_from_yaml(&fx.arena, trp_str_of(folders[i].yaml), file.ptr, 1000,
                                          &tree, &err)))
            fail_msg("%s", err.text);
        *all[i] = (struct trp_repo_model){ .name = trp_str_of(folders[i].name),
                                           .folder = trp_str_of(folders[i].name),
                                           .root = "/nowhere",
                                           .definition = tree,
                                           .definition_text = trp_str_of(folders[i].yaml) };
    }
    const struct trp_repo_listing listing = { all, n };
    trp_routing_listed(fx.routing, &listing, fx.is_watched);
}

static void read_two(const char *x, const char *y)
{
    const struct folder folders[] = { { "x", x }, { "y", y } };
    list(folders, y ? 2 : 1);
    end_reading();
}

static const struct trp_directory_item *item(const char *name)
{
    return trp_directory_find(fx.directories.newest, trp_str_of(name));
}

static void is_taken_up(const char *name)
{
    assert_non_null(item(name));
    if (item(name)->reason.len)
        fail_msg("%.*s", TRP_STR(item(name)->reason));
    assert_non_null(item(name)->target);
}

/* The reason has these words, and what served goes on. */
static void goes_on(const char *name, const struct trp_target *as, const char *words)
{
    assert_non_null(item(name));
    if (!strstr(item(name)->reason.len ? item(name)->reason.ptr : "", words))
        fail_msg("%s: %.*s", name, TRP_STR(item(name)->reason));
    assert_ptr_equal(item(name)->target, as);
}

/* ---- before and after each ---- */

static void add_model(const char *name)
{
    const struct trp_entry entry = { .name = trp_str_of(name) };
    assert_false(trp_failed(trp_registry_put(fx.registry, &entry, NULL)));
}

static void make_models(void)
{
    assert_false(trp_failed(trp_registry_create(trp_heap(), 0, &fx.registry, NULL)));
    add_model("a");
    add_model("b");
    add_model("c");
    trp_routing_published(fx.routing, trp_registry_publish(fx.registry));
}

static void begin(void)
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

static int set_up(void **state)
{
    (void)state;
    memset(&fx, 0, sizeof fx);
    begin();
    return 0;
}

/* What changes has to stay the same for a while. */
static int set_up_settling(void **state)
{
    (void)state;
    memset(&fx, 0, sizeof fx);
    fx.settle_ns = TRP_MS(500);
    begin();
    assert_false(trp_failed(trp_loop_turn(fx.control, 0, NULL))); /* this thread is its own */
    return 0;
}

/* With a thread that reads lists. */
static int set_up_lists(void **state)
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

static void put(const char *name, const char *text)
{
    char path[SCRATCH_PATH_MAX + 32];
    struct trp_error err = { 0 };
    (void)snprintf(path, sizeof path, "%s/%s", fx.folder, name);
    if (text && trp_failed(trp_file_replace(path, text, strlen(text), &err)))
        fail_msg("%s", err.text);
    if (!text)
        (void)unlink(path);
}

static int tear_down(void **state)
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

/* ---- nobody leads back to what goes on ---- */

/* x asked y; now y asks x, and the file of x is wrong. */
static void turn_round(const char *x, const char *y, const char *new_y, const char *way)
{
    read_two(x, y);
    is_taken_up("x");
    is_taken_up("y");
    const struct trp_target *old_x = item("x")->target, *old_y = item("y")->target;
    read_two("pipeline: { stepps: [] }\n", new_y);
    goes_on("x", old_x, "stepps");
    goes_on("y", old_y, way);
    read_two("route: [ { use: a } ]\n", new_y);
    is_taken_up("x");
    is_taken_up("y");
}

static void a_composition_may_not_ask_one_that_goes_on_and_asks_it(void **state)
{
    (void)state;
    turn_round("ensemble: { members: [a, y] }\n", "ensemble: { members: [a, b] }\n",
               "ensemble: { members: [a, x] }\n", "'y' asks 'x', which asks 'y'");
}

static void a_route_may_not_ask_one_that_goes_on_and_asks_it(void **state)
{
    (void)state;
    turn_round("route: [ { use: y } ]\n", "route: [ { use: a } ]\n",
               "route: [ { when: params.n == 1, use: x }, { use: a } ]\n", "leads back to itself");
}

static void nor_may_a_route_and_a_composition_ask_each_other(void **state)
{
    (void)state;
    turn_round("route: [ { use: y } ]\n", "ensemble: { members: [a, b] }\n",
               "ensemble: { members: [a, x] }\n", "'x' asks 'y', which asks 'x'");
}

/* ---- a name is one's alone ---- */

static void write_file(const char *yaml)
{
    assert_false(trp_failed(trp_file_replace(fx.path, yaml, strlen(yaml), NULL)));
}

static void is_of_file(const char *name, const char *kind)
{
    is_taken_up(name);
    assert_string_equal(item(name)->kind, kind);
    assert_true(trp_str_starts_with(item(name)->place, trp_str_of(fx.path)));
}

static void a_folder_gives_way_to_the_file_that_has_its_name(void **state)
{
    (void)state;
    write_file("routes: { x: [ { use: a } ], r: [ { use: b } ] }\n"
               "ensembles: { y: { members: [a, b] } }\n");
    read_two("ensemble: { members: [b, c] }\n", "route: [ { use: c } ]\n");
    is_of_file("x", "route");
    is_of_file("y", "ensemble");
    is_of_file("r", "route");
    assert_int_equal(trp_directory_count(fx.directories.newest), 3);
    write_file("{}\n");
    read_two("ensemble: { members: [b, c] }\n", "route: [ { use: c } ]\n");
    is_taken_up("x");
    assert_string_equal(item("x")->kind, "ensemble");
    is_taken_up("y");
    assert_string_equal(item("y")->kind, "route");
    assert_int_equal(trp_directory_count(fx.directories.newest), 2);
}

static void two_of_one_name_in_the_file_are_nobodys_but_the_files_fault(void **state)
{
    (void)state;
    write_file("routes: { r: [ { use: a } ] }\nensembles: { r: { members: [a, b] } }\n");
    read_two("route: [ { use: c } ]\n", NULL);
    is_taken_up("x"); /* while nothing of the file serves, folders do without it */
    goes_on("r", NULL, "'r' is there already: the route of");
    assert_non_null(strstr(trp_directory_trouble(fx.directories.newest).ptr,
                           "'r' is there already: the route of"));
}

/* The second mistake was told with the words of the first. */
static void what_is_wrong_now_is_told_and_not_what_was(void **state)
{
    (void)state;
    write_file("routes: { r: [ { use: a } ] }\n");
    list(NULL, 0);
    end_reading();
    is_taken_up("r");
    const struct trp_target *const serves = item("r")->target;
    static const char *const wrong[] = { "nobody_1", "nobody_2" };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char yaml[80];
        (void)snprintf(yaml, sizeof yaml, "routes: { r: [ { use: %s } ] }\n", wrong[i]);
        write_file(yaml);
        list(NULL, 0);
        end_reading();
        goes_on("r", serves, wrong[i]);
    }
}

/* ---- what goes on is looked after ---- */

static void the_load_that_it_asks_for_is_watched_as_long_as_it_serves(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        read_two("route: [ { when: 'models.a.queue > 3', use: b }, { use: c } ]\n", NULL);
        is_taken_up("x");
        assert_int_equal(fx.watches['a'], 1);
        read_two("route: [ { usee: b } ]\n", "route: [ { use: a } ]\n");
        goes_on("x", item("x")->target, "usee");
        assert_int_equal(fx.watches['a'], 1);
    }
    read_two("route: [ { when: 'models.b.queue > 3', use: b }, { use: c } ]\n", NULL);
    assert_int_equal(fx.watches['a'], 0);
    assert_int_equal(fx.watches['b'], 1);
    read_two("route: [ { usee: b } ]\n", NULL);
    assert_int_equal(fx.watches['b'], 1);
    list(NULL, 0); /* it is gone */
    end_reading();
    assert_null(item("x"));
    assert_int_equal(fx.watches['b'], 0);
}

#define CANARY "route: [ { use: a, canary: { use: b, steps: [10%, 100%] } } ]\n"

static const struct trp_route_canary *canary(void)
{
    return trp_route_plan_of(trp_route_of(item("x")->target))->rules[0].canary;
}

static void its_canaries_are_looked_at_and_go_on_when_it_is_mended(void **state)
{
    (void)state;
    read_two(CANARY, NULL);
    is_taken_up("x");
    const struct trp_target *old = item("x")->target;
    const int64_t since_ns = canary()->canary.since_ns;
    fx.now_ns += TRP_S(5);
    read_two("route: [ { usee: b } ]\n", "route: [ { use: a } ]\n");
    goes_on("x", old, "usee");
    assert_int_equal(trp_route_file_count(fx.canaries.file), 2);
    assert_ptr_equal(trp_route_target(trp_route_file_at(fx.canaries.file, 1)), old);
    assert_int_equal(canary()->canary.since_ns, since_ns);
    fx.now_ns += TRP_S(5);
    read_two(CANARY, NULL);
    is_taken_up("x");
    assert_ptr_not_equal(item("x")->target, old);
    assert_int_equal(canary()->canary.since_ns, since_ns);
}

static void versions_that_it_could_not_follow_are_held_back(void **state)
{
    static const struct trp_io x = {
        .name = { "x", 1 }, .dtype = TROUPE_FP32, .rank = 1, .dims = { 3 }
    };
    static const struct trp_io z = {
        .name = { "z", 1 }, .dtype = TROUPE_FP32, .rank = 1, .dims = { 3 }
    };
    static const struct trp_io y = {
        .name = { "y", 1 }, .dtype = TROUPE_FP32, .rank = 1, .dims = { 3 }
    };
    const struct trp_signature takes_x = { &x, &y, 1, 1, .batch_max = 0 };
    const struct trp_signature takes_z = { &z, &y, 1, 1, .batch_max = 0 };
    const struct trp_proposed_version same = { 1, &takes_x }, other = { 2, &takes_z };
    const struct trp_proposal before = { TRP_STR_LIT("a"), &same, 1, NULL, 0 };
    const struct trp_proposal after = { TRP_STR_LIT("a"), &other, 1, NULL, 0 };
    struct trp_error err = { 0 };
    (void)state;
    read_two(
        "route: { rules: [ { use: far } ], targets: { far: { model: a, inputs: { sent: x } } } }\n",
        NULL);
    is_taken_up("x");
    read_two("route: [ { usee: b } ]\n", "route: [ { use: b } ]\n");
    goes_on("x", item("x")->target, "usee");
    assert_false(trp_failed(trp_routing_fits(fx.routing, &before, &before, &err)));
    assert_int_equal(trp_routing_fits(fx.routing, &after, &before, &err).code,
                     TRP_FAILED_PRECONDITION);
    if (!strstr(err.text, "it would break route 'x'"))
        fail_msg("%s", err.text);
}

/* ---- all that is wrong is told at once ---- */

static void the_word_that_is_wrong_is_shown_in_a_text_that_is_not_read_again(void **state)
{
    (void)state;
    read_two("route:\n  - { use: a, tmo: 3s }\n", "ensemble:\n  members: [a, zz]\n");
    goes_on("x", NULL, "x/model.yaml:2");
    goes_on("x", NULL, "\n    - { use: a, tmo: 3s }\n                ^");
    goes_on("y", NULL, "y/model.yaml:2:16: there is no model, route or composition 'zz'");
    goes_on("y", NULL, "\n    members: [a, zz]\n                 ^");
}

static void who_asks_one_that_is_wrong_is_not_blamed_for_it(void **state)
{
    static const struct folder right[] = { { "p", "route: [ { use: q } ]\n" },
                                           { "q", "route: [ { use: a } ]\n" },
                                           { "r", "route: [ { use: p } ]\n" },
                                           { "s", "ensemble: { members: [r, b] }\n" } };
    static const struct folder round_[] = { { "p", "route: [ { use: q } ]\n" },
                                            { "q", "route: [ { use: t } ]\n" },
                                            { "r", "route: [ { use: p } ]\n" },
                                            { "s", "ensemble: { members: [r, b] }\n" },
                                            { "t", "route: [ { use: q } ]\n" } };
    static const struct folder both[] = {
        { "p", "route: [ { use: zz } ]\n" },
        { "q", "route: [ { use: yy } ]\n" },
        { "r", "route: [ { when: params.n == 1, use: p }, { use: xx } ]\n" },
        { "s", "ensemble: { members: [r, b, ww] }\n" }
    };
    (void)state;
    list(right, ARRAY_LEN(right));
    end_reading();
    for (uint32_t i = 0; i < ARRAY_LEN(right); i++)
        is_taken_up(right[i].name);
    const struct trp_target *const q = item("q")->target;
    list(round_, ARRAY_LEN(round_)); /* of those that lead to q, none can be followed to an end */
    end_reading();
    goes_on("q", q, "leads back to itself");
    is_taken_up("p");
    is_taken_up("r");
    is_taken_up("s");
    is_taken_up("t");
    const struct trp_target *const p = item("p")->target, *const r = item("r")->target;
    list(both, ARRAY_LEN(both)); /* p and q first, then r without p, then s without r */
    end_reading();
    goes_on("p", p, "'zz'");
    goes_on("q", q, "'yy'");
    goes_on("r", r, "'xx'");
    goes_on("s", item("s")->target, "'ww'");
    assert_non_null(item("s")->target);
}

/* Each pair is a circle of its own, of which one gives way; and a chain that is too long has one
 * end. */
static void each_circle_is_told_with_its_way(void **state)
{
    static const struct folder pairs[] = {
        { "e1", "ensemble: { members: [a, f1] }\n" }, { "e2", "ensemble: { members: [a, f2] }\n" },
        { "f1", "ensemble: { members: [b, e1] }\n" }, { "f2", "ensemble: { members: [b, e2] }\n" },
        { "g", "ensemble: { members: [e1, e2] }\n" }, { "h", "ensemble: { members: [a, b] }\n" }
    };
    (void)state;
    list(pairs, ARRAY_LEN(pairs));
    end_reading();
    goes_on(
        "e1", NULL,
        "e1/model.yaml:1:26: ensemble 'e1' leads back to itself: 'e1' asks 'f1', which asks 'e1'");
    goes_on("e2", NULL, "ensemble 'e2' leads back to itself: 'e2' asks 'f2', which asks 'e2'");
    is_taken_up("f1");
    is_taken_up("f2");
    is_taken_up("g");
    is_taken_up("h");
}

/* Of each five one is right, two ask each other, and two ask nobody: whoever read everything
 * again for each of them would not end. */
static void thousands_that_are_wrong_are_told_in_a_few_readings(void **state)
{
    static const char *const texts[] = { "route: [ { use: a } ]\n",
                                         "ensemble: { members: [a, x%06u] }\n",
                                         "ensemble: { members: [b, x%06u] }\n",
                                         "route: [ { use: zz } ]\n",
                                         "ensemble: { members: [a, zz] }\n" };
    struct folder *folders = calloc(MANY, sizeof *folders);
    struct {
        char name[16], text[48];
    } *own = calloc(MANY, sizeof *own);
    (void)state;
    assert_true(folders && own);
    for (uint32_t i = 0; i < MANY; i++) {
        (void)snprintf(own[i].name, sizeof own[i].name, "x%06u", i);
        (void)snprintf(own[i].text, sizeof own[i].text, texts[i % 5], i % 5 == 1 ? i + 1 : i - 1);
        folders[i] = (struct folder){ own[i].name, own[i].text };
    }
    list(folders, MANY);
    end_reading();
    for (uint32_t i = 0; i < MANY; i++) {
        if (i % 5 == 0 || i % 5 == 2)
            is_taken_up(own[i].name);
        else
            goes_on(own[i].name, NULL,
                    i % 5 == 1 ? "leads back to itself"
                               : "there is no model, route or composition 'zz'");
    }
    free(folders);
    free(own);
}

/* Read again once, not once for each: else this would take hours. */
static void all_that_have_a_name_of_the_file_give_way_at_once(void **state)
{
    enum { TWINS = MANY / 4 };
    static char names[TWINS][16];
    static struct folder folders[TWINS];
    struct trp_buf file;
    (void)state;
    trp_buf_init(&file, trp_heap(), 1 << 20);
    trp_buf_add_text(&file, "routes:\n");
    for (uint32_t i = 0; i < TWINS; i++) {
        (void)snprintf(names[i], sizeof names[i], "x%06u", i);
        folders[i] = (struct folder){ names[i], i % 2 ? "route: [ { use: b } ]\n"
                                                      : "ensemble: { members: [b, c] }\n" };
        trp_buf_addf(&file, "  %s: [ { use: a } ]\n", names[i]);
    }
    assert_non_null(trp_buf_text(&file));
    write_file(trp_buf_text(&file));
    trp_buf_deinit(&file);
    list(folders, TWINS);
    end_reading();
    for (uint32_t i = 0; i < TWINS; i++)
        is_of_file(names[i], "route");
    assert_int_equal(trp_directory_count(fx.directories.newest), TWINS);
    assert_int_equal(trp_metrics_get(fx.metrics, TRP_METRIC_ROUTES_READ), 1);
    assert_int_equal(trp_metrics_get(fx.metrics, TRP_METRIC_ROUTES_REFUSED), 1); /* they are told */
}

/* ---- lists are read by somebody else ---- */

#define WITH_LISTS(lists, last)                                                           \
    "lists: { " lists " }\nroutes:\n  r: [ { when: params.user in lists.gold, use: a }, " \
    "{ use: " last " } ]\n"

/* Turns the control loop until the reading that is under way has asked for its models, or was
 * refused, and lets it end. */
static void read_lists(void)
{
    for (int i = 0; i < 3000 && !answer(TRP_ORDER_SURVEY); i++) {
        if (trp_directory_trouble(fx.directories.newest).len > 0)
            return;
        assert_false(trp_failed(trp_loop_turn(fx.control, TRP_MS(1), NULL)));
    }
    end_reading();
}

static void what_has_lists_is_taken_up_when_they_are_there_and_what_serves_goes_on(void **state)
{
    (void)state;
    put("gold", "ann\n");
    put("routes.yaml", WITH_LISTS("gold: gold", "b"));
    list(NULL, 0);
    assert_int_equal(fx.orders_n, 0); /* nothing was read on this thread */
    assert_null(item("r"));
    read_lists();
    is_taken_up("r");
    const struct trp_target *old = item("r")->target;
    put("routes.yaml", WITH_LISTS("gold: gold, late: { file: late }", "c"));
    list(NULL, 0);
    assert_ptr_equal(item("r")->target, old);
    read_lists();
    goes_on("r", old, "routes.yaml:1:22: list 'late': ");
    goes_on("r", old, "No such file");
    put("late", "bob\n");
    list(NULL, 0); /* what was wrong is tried again */
    assert_ptr_equal(item("r")->target, old);
    for (int i = 0; i < 3000 && item("r")->target == old; i++) {
        end_reading();
        assert_false(trp_failed(trp_loop_turn(fx.control, TRP_MS(1), NULL)));
    }
    is_taken_up("r");
    assert_ptr_not_equal(item("r")->target, old);
}

static void what_is_read_when_life_goes_is_not_taken_up(void **state)
{
    (void)state;
    put("gold", "ann\n");
    put("routes.yaml", WITH_LISTS("gold: gold", "b"));
    list(NULL, 0);
    trp_routing_stop(fx.routing);
    trp_key_lists_stop(fx.lists);
    for (int i = 0; i < 3; i++)
        assert_false(trp_failed(trp_loop_turn(fx.control, 0, NULL)));
    list(NULL, 0);
    assert_int_equal(fx.orders_n, 0);
    assert_null(item("r"));
}

static void answer_all(void)
{
    while (answer(TRP_ORDER_SURVEY) || answer(TRP_ORDER_RESCAN))
        ;
}

static void a_storm_of_listings_ends_with_the_newest(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < MANY && i < 60; i++) {
        put("gold", i % 2 ? "ann\n" : "bob\n");
        put(i % 3 ? "late" : "gold", "eve\n");
        put("routes.yaml",
            i % 5 == 0 ? WITH_LISTS("gold: gold, late: late", "b") : WITH_LISTS("gold: gold", "c"));
        list(NULL, 0);
        if (i % 4 == 0)
            assert_false(trp_failed(trp_loop_turn(fx.control, 0, NULL)));
        if (i % 7 == 0)
            answer_all();
    }
    put("routes.yaml", WITH_LISTS("gold: gold", "a"));
    for (int i = 0; i < 10; i++) { /* whoever listed meanwhile asks for another look, and so on */
        list(NULL, 0);
        for (int k = 0; k < 3; k++)
            assert_false(trp_failed(trp_loop_turn(fx.control, TRP_MS(1), NULL)));
        answer_all();
    }
    is_taken_up("r");
    const struct trp_route_plan *p = trp_route_plan_of(trp_route_of(item("r")->target));
    assert_true(trp_str_is(p->goals[p->rules[1].choices[0].goal].model, "a"));
}

/* ---- who asks for it is told of what lies on disk ---- */

static void told(struct trp_routing_order *order)
{
    fx.answered++;
    fx.is_there = order->is_there;
    fx.error = order->error;
}

static const struct folder before[] = { { "x", "route: [ { use: a } ]\n" } };
static const struct folder after[] = { { "x", "route: [ { use: b } ]\n" },
                                       { "y", "route: [ { use: c } ]\n" } };

/* A listing of before is read when that of the request comes; the request ends before the
 * reading or after it. */
static void ask_while_it_is_read(bool ends_first)
{
    struct trp_routing_order order = { .name = TRP_STR_LIT("y"), .done = told };
    trp_routing_reload(fx.routing, &order);
    list(before, ARRAY_LEN(before)); /* somebody else's, of before the change */
    list(after, ARRAY_LEN(after));
    if (ends_first)
        assert_true(answer(TRP_ORDER_RESCAN));
    end_reading();
    if (!ends_first)
        assert_true(answer(TRP_ORDER_RESCAN));
    assert_int_equal(fx.answered, 0); /* of what it asks about nothing has been read */
    list(after, ARRAY_LEN(after));
    assert_true(answer(TRP_ORDER_RESCAN));
    end_reading();
    assert_int_equal(fx.answered, 1);
    assert_true(fx.is_there);
    is_taken_up("y");
    assert_false(answer(TRP_ORDER_RESCAN));
}

static void a_request_is_not_answered_from_an_older_listing_that_ends_late(void **state)
{
    (void)state;
    ask_while_it_is_read(true);
}

static void a_request_is_not_answered_from_an_older_listing_that_ends_early(void **state)
{
    (void)state;
    ask_while_it_is_read(false);
}

/* A model that takes calls, each of an x of this type. */
static void arrive(const char *model, enum troupe_dtype dtype)
{
    static const struct trp_io y = {
        .name = { "y", 1 }, .dtype = TROUPE_FP32, .rank = 1, .dims = { 3 }
    };
    const struct trp_version_opts opts = { .model = trp_str_of(model), .number = 1 };
    struct trp_version *v;
    struct trp_io *x;
    assert_false(trp_failed(trp_version_create(trp_heap(), &opts, &v, NULL)));
    x = trp_arena_zeroed(&v->arena, 1, sizeof *x);
    assert_non_null(x);
    *x = (struct trp_io){ .name = { "x", 1 }, .dtype = dtype, .rank = 1, .dims = { 3 } };
    v->signature = (struct trp_signature){ x, &y, 1, 1, .batch_max = 0 };
    v->has_signature = true;
    for (int state = TRP_MODEL_LOADING; state <= TRP_MODEL_READY; state++)
        assert_false(trp_failed(trp_lifecycle_move(&v->life, state, state, NULL)));
    const struct trp_entry entry = { .name = trp_str_of(model), .versions = &v, .versions_n = 1 };
    const trp_status st = trp_registry_put(fx.registry, &entry, NULL);
    trp_version_unref(v); /* the registry has its own */
    assert_false(trp_failed(st));
    trp_routing_published(fx.routing, trp_registry_publish(fx.registry));
}

/* Answers the load of a model, which is the only one that waits; `code` OK: it is there. */
static void answer_load(const char *model, enum trp_code code)
{
    struct trp_order *load = NULL;
    for (uint32_t i = fx.orders_first; i < fx.orders_n; i++) {
        if (!fx.orders[i] || fx.orders[i]->kind != TRP_ORDER_LOAD)
            continue;
        assert_null(load);
        load = fx.orders[i];
    }
    if (!load || !trp_str_is(load->model, model)) {
        fail_msg("'%s' is not loaded", model);
        return;
    }
    if (code == TRP_OK)
        arrive(model, TROUPE_FP32);
    else
        (void)trp_fail(&load->error, code, "no luck today");
    assert_true(answer(TRP_ORDER_LOAD));
}

/* The models of the test have no version that takes calls before they are loaded. */
static void who_loads_a_composition_has_its_models_loaded_one_after_the_other(void **state)
{
    (void)state;
    static const struct folder folders[] = {
        { "r", "route: [ { use: c } ]\n" },
        { "x", "ensemble: { members: [ a, y ] }\n" },
        { "y", "ensemble: { members: [ b, r, a ] }\n" },
    };
    static const struct {
        const char *name;
        bool loads;
        const char *models[4];
        enum trp_code last;
        const char *error;
    } rows[] = {
        { "x", true, { "a", "b", "c" }, TRP_OK, "" },
        { "x", true, { "a", "b" }, TRP_NOT_FOUND, "'x': no luck today" },
        { "r", true, { NULL }, TRP_OK, "" }, /* it goes on without some of its targets */
        { "x", false, { NULL }, TRP_OK, "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct trp_routing_order order = { .name = trp_str_of(rows[i].name),
                                           .loads = rows[i].loads,
                                           .done = told };
        fx.answered = 0;
        add_model("a");
        add_model("b");
        add_model("c");
        trp_routing_published(fx.routing, trp_registry_publish(fx.registry));
        trp_routing_reload(fx.routing, &order);
        list(folders, ARRAY_LEN(folders));
        assert_true(answer(TRP_ORDER_RESCAN));
        end_reading();
        for (uint32_t m = 0; rows[i].models[m]; m++) {
            assert_int_equal(fx.answered, 0);
            answer_load(rows[i].models[m], rows[i].models[m + 1] ? TRP_OK : rows[i].last);
        }
        assert_int_equal(fx.answered, 1);
        assert_false(answer(TRP_ORDER_LOAD));
        assert_true(fx.is_there);
        assert_string_equal(fx.error.text, rows[i].error);
    }
}

/* What they take is known only then.  `is_late`: while other files are read, which have nothing to
 * do with it. */
static void load_unlike_models(bool is_late)
{
    static const struct folder folders[] = { { "x", "ensemble: { members: [ a, b ] }\n" },
                                             { "y", "route: [ { use: c } ]\n" } };
    struct trp_routing_order order = { .name = TRP_STR_LIT("x"), .loads = true, .done = told };
    trp_routing_reload(fx.routing, &order);
    list(folders, 1);
    assert_true(answer(TRP_ORDER_RESCAN));
    end_reading();
    answer_load("a", TRP_OK);
    assert_int_equal(fx.answered, 0);
    if (is_late)
        list(folders, 2);
    arrive("b", TROUPE_INT64);
    assert_true(answer(TRP_ORDER_LOAD));
    assert_int_equal(fx.answered, !is_late);
    end_reading();
    assert_int_equal(fx.answered, 1);
    assert_true(fx.is_there);
    assert_int_equal(fx.error.status.code, TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(fx.error.text, "x/model.yaml"));
    assert_non_null(strstr(fx.error.text, "INT64"));
}

static void a_load_fails_when_the_models_that_it_brought_do_not_fit(void **state)
{
    (void)state;
    load_unlike_models(false);
}

static void nor_does_a_load_succeed_that_ends_while_files_are_read(void **state)
{
    (void)state;
    load_unlike_models(true);
}

static void what_was_listed_meanwhile_is_read_without_being_asked_for(void **state)
{
    (void)state;
    list(before, ARRAY_LEN(before));
    list(after, ARRAY_LEN(after));
    end_reading();
    assert_null(item("y"));
    list(after, ARRAY_LEN(after));
    assert_true(answer(TRP_ORDER_RESCAN));
    end_reading();
    is_taken_up("y");
    assert_false(answer(TRP_ORDER_RESCAN));
}

/* ---- a model that leaves ---- */

static void leave(const char *name)
{
    assert_false(trp_failed(trp_registry_remove(fx.registry, trp_str_of(name), NULL)));
    trp_routing_published(fx.routing, trp_registry_publish(fx.registry));
}

static const char *reason_of(const char *name)
{
    struct trp_target_state state;
    item(name)->target->ops->state(item(name)->target, &state);
    return state.reason.len ? state.reason.ptr : "";
}

/* What goes on without it would hide that until it fails, or is read again. */
static void whoever_asks_a_model_that_leaves_says_so(void **state)
{
    (void)state;
    write_file("routes:\n  r: [ { use: a, fallback: b } ]\n  s: { missing: allow, rules: [ { use: "
               "b } ] }\n"
               "  t: [ { use: a } ]\n"
               "ensembles:\n  e: { members: [a, b, c], vote: mean, quorum: 1 }\n");
    list(NULL, 0);
    end_reading();
    assert_string_equal(reason_of("r"), "");
    leave("b");
    assert_non_null(strstr(reason_of("r"), "routes.yaml:2:28: 'b' is not there any more"));
    assert_string_equal(reason_of("s"), ""); /* it may be away */
    assert_string_equal(reason_of("t"), "");
    add_model("b");
    trp_routing_published(fx.routing, trp_registry_publish(fx.registry));
    assert_string_equal(reason_of("r"), "");
}

static const char *gone_of(const char *name)
{
    return trp_composition_gone(trp_composition_of(item(name)->target)).ptr;
}

/* Also when another one has come with the same picture, so that they are as many as before. */
static void a_composition_is_told_of_names_that_come_and_go(void **state)
{
    (void)state;
    write_file("ensembles:\n  e: { members: [a, b, c], vote: mean, quorum: 1 }\n");
    list(NULL, 0);
    end_reading();
    assert_string_equal(gone_of("e"), "");
    leave("b");
    assert_string_equal(gone_of("e"), "'b', which it asks, is not there any more");
    add_model("b");
    trp_routing_published(fx.routing, trp_registry_publish(fx.registry));
    assert_string_equal(gone_of("e"), "");
    list(NULL, 0); /* it takes one away and brings another: published behind it */
    add_model("d");
    leave("c");
    assert_string_equal(gone_of("e"), "'c', which it asks, is not there any more");
    add_model("c");
    leave("d"); /* nobody was told of a listing */
    list(NULL, 0);
    assert_string_equal(gone_of("e"), "");
}

/* ---- a file that is wrong from the beginning ---- */

/* Names of models are theirs, and names of folders the folders'. */
static void names_of_a_file_that_never_served_are_there_and_not_ready(void **state)
{
    (void)state;
    static const struct folder folders[] = { { "x", "ensemble: { members: [r, a], vote: mean }\n" },
                                             { "y", "route: [ { use: nobody } ]\n" } };
    write_file("routes:\n  r: [ { use: nobody } ]\n  x: [ { use: a } ]\n  y: [ { use: a } ]\n");
    list(folders, 2);
    end_reading();
    goes_on("r", NULL, "no model, route or composition 'nobody'");
    assert_string_equal(item("r")->kind, "route");
    assert_true(trp_str_starts_with(item("r")->place, trp_str_of(fx.path)));
    is_taken_up("x"); /* who asks one that is wrong is not blamed for it */
    goes_on("y", NULL, "y/model.yaml");
    assert_false(trp_directory_is_whole(fx.directories.newest));
    write_file("routes: { r: [ { use: a } ] }\n");
    read_two("ensemble: { members: [r, a], vote: mean }\n", NULL);
    is_of_file("r", "route");
    assert_true(trp_directory_is_whole(fx.directories.newest));
    write_file(
        "routes: { r: 7, s: [ { use: a } ] }\n"); /* what serves goes on, and nothing is missing */
    read_two("ensemble: { members: [r, a], vote: mean }\n", NULL);
    goes_on("r", item("r")->target, "routes.yaml:1");
    assert_null(item("s"));
    assert_true(trp_directory_is_whole(fx.directories.newest));
}

static bool is_made(const char *name)
{
    return trp_routing_is_made(fx.routing, trp_str_of(name));
}

/* Whether a file is right or wrong, and from the moment when it is listed. */
static void a_name_that_is_declared_is_no_models(void **state)
{
    (void)state;
    static const struct folder folders[] = { { "x", "ensemble: { members: [r, a], vote: mean }\n" },
                                             { "y", "route: [ { usee: a } ]\n" } };
    static const char *const files[] = { "routes: { r: [ { use: a } ] }\n",
                                         "routes: { r: [ { use: a } ], s: [ { use: b } ] }\n",
                                         "routes:\n  r: 7\n  t: 7\n" };
    assert_false(is_made("r"));
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        write_file(files[i]);
        list(folders, 2);
        assert_true(is_made("r") && is_made("x") && is_made("y"));
        assert_false(is_made("a"));
        end_reading();
        assert_true(is_made("r") && is_made("x") && is_made("y"));
        assert_int_equal(is_made("s"), i > 0);
        assert_false(is_made("a"));
    }
}

/* The same where none of it ever served. */
static void nor_is_a_name_of_a_file_that_is_wrong_from_the_beginning(void **state)
{
    (void)state;
    write_file("routes: { r: [ { use: nobody } ]\n");
    list(NULL, 0);
    end_reading();
    assert_false(is_made("r")); /* a name that no line begins with */
    write_file("routes:\n  r: [ { use: nobody } ]\nlists: 7\n");
    list(NULL, 0);
    end_reading();
    assert_true(is_made("r"));
}

static void a_model_is_reached_though_a_wrong_file_has_its_name(void **state)
{
    (void)state;
    struct trp_repo_model model = { .name = TRP_STR_LIT("m"), .root = "/nowhere" };
    struct trp_repo_model *all[] = { &model };
    const struct trp_repo_listing listing = { all, 1 };
    write_file("routes:\n  l: [\n  m: [\n  n: [\n");
    trp_routing_listed(fx.routing, &listing, false);
    end_reading();
    assert_null(item("m"));
    goes_on("l", NULL, "routes.yaml:");
    goes_on("n", NULL, "routes.yaml:");
    list(NULL, 0); /* the model goes, and comes again */
    end_reading();
    goes_on("m", NULL, "routes.yaml:");
    trp_routing_listed(fx.routing, &listing, false);
    end_reading();
    assert_null(item("m"));
}

static void nothing_can_be_told_of_a_file_that_nobody_can_read(void **state)
{
    (void)state;
    assert_false(trp_directory_is_whole(fx.directories.newest)); /* nobody has looked */
    assert_int_equal(mkdir(fx.path, 0700), 0);
    list(NULL, 0);
    end_reading();
    assert_true(trp_directory_trouble(fx.directories.newest).len > 0);
    assert_false(trp_directory_is_whole(fx.directories.newest));
    assert_int_equal(remove(fx.path), 0);
    list(NULL, 0);
    end_reading();
    assert_true(trp_directory_is_whole(fx.directories.newest));
}

/* ---- a file that is being written ---- */

/* So much later. */
static void pass(int64_t ms)
{
    fx.now_ns += TRP_MS(ms);
    assert_false(trp_failed(trp_loop_turn(fx.control, 0, NULL)));
}

/* The routing has asked for another look by itself, and nobody else had to. */
static void look_is_due(void)
{
    assert_int_equal(fx.orders_n, 1);
    assert_int_equal(fx.orders[0]->kind, TRP_ORDER_RESCAN);
    assert_true(fx.orders[0]->is_patient);
    fx.is_watched = true;
    list(NULL, 0);
    end_reading();
    assert_true(answer(TRP_ORDER_RESCAN));
}

static const struct trp_target *serve_one(void)
{
    write_file("routes: { r: [ { use: a } ] }\n");
    list(NULL, 0);
    end_reading();
    is_of_file("r", "route");
    return item("r")->target;
}

static void a_half_of_a_file_is_neither_read_nor_refused(void **state)
{
    (void)state;
    const struct trp_target *old = serve_one();
    fx.is_watched = true;
    write_file("routes: { r: [ { us");
    list(NULL, 0);
    assert_ptr_equal(item("r")->target, old);
    pass(499);
    assert_int_equal(fx.orders_n, 0);
    write_file("routes: { s: [ { use: b } ] }\n");
    pass(1);
    look_is_due(); /* it is another one */
    goes_on("r", old, "");
    pass(500);
    look_is_due();
    is_of_file("s", "route");
    assert_null(item("r"));
    assert_int_equal(trp_metrics_get(fx.metrics, TRP_METRIC_ROUTES_REFUSED), 0);
    pass(5000);
    assert_int_equal(fx.orders_n, 0);
}

static void an_empty_file_takes_nothing_away(void **state)
{
    (void)state;
    const struct trp_target *old = serve_one();
    struct trp_routing_order order = { .name = TRP_STR_LIT("r"), .done = told };
    write_file("");
    trp_routing_reload(fx.routing, &order);
    list(NULL, 0);
    assert_true(answer(TRP_ORDER_RESCAN));
    assert_int_equal(fx.answered, 0); /* somebody may be writing it */
    pass(500);
    look_is_due();
    assert_int_equal(fx.answered, 1);
    assert_true(fx.is_there);
    assert_non_null(strstr(fx.error.text, "is empty"));
    goes_on("r", old, "is empty");
    write_file("routes: { r: [ { use: a } ] }\n");
    fx.is_watched = false;
    list(NULL, 0);
    end_reading();
    is_of_file("r", "route");
    write_file("routes: {}\n");
    list(NULL, 0);
    end_reading();
    assert_null(item("r"));
}

static void a_file_that_is_taken_away_and_put_back_was_never_away(void **state)
{
    (void)state;
    const struct trp_target *old = serve_one();
    assert_int_equal(remove(fx.path), 0);
    list(NULL, 0);
    write_file("routes: { r: [ { use: a } ] }\n");
    pass(500);
    look_is_due();
    goes_on("r", old, "");
    assert_int_equal(remove(fx.path), 0);
    list(NULL, 0);
    goes_on("r", old, "");
    pass(500);
    look_is_due();
    assert_null(item("r"));
}

/* The timer has found a look under way, of which it hears nothing more. */
static void nobody_waits_for_ever_for_a_file_that_is_not_whole(void **state)
{
    (void)state;
    struct trp_routing_order order = { .name = TRP_STR_LIT("r"), .done = told };
    (void)serve_one();
    fx.is_watched = true;
    write_file("routes: { s");
    list(NULL, 0);
    assert_int_equal(remove(fx.path), 0);
    trp_routing_reload(fx.routing, &order);
    list(NULL, 0);
    pass(500);
    assert_true(answer(TRP_ORDER_RESCAN));
    assert_int_equal(fx.answered, 0);
    pass(500);
    look_is_due();
    assert_int_equal(fx.answered, 1);
    assert_false(fx.is_there);
}

static void when_life_goes_nobody_looks_again(void **state)
{
    (void)state;
    const struct trp_target *old = serve_one();
    fx.is_watched = true;
    write_file("routes: { s: [ { use: b } ] }\n");
    list(NULL, 0);
    trp_routing_stop(fx.routing);
    pass(5000);
    assert_int_equal(fx.orders_n, 0);
    assert_ptr_equal(item("r")->target, old);
}

/* ---- memory that is short ---- */

/* Whatever piece is lacking: all of it is taken up, or nothing. */
static void without_memory_nothing_is_taken_up_and_what_served_goes_on(void **state)
{
    (void)state;
    read_two("route: [ { use: a } ]\n", "ensemble: { members: [a, x] }\n");
    const struct trp_target *old_x = item("x")->target, *old_y = item("y")->target;
    for (uint64_t left = 0; item("x")->target == old_x; left++) {
        assert_ptr_equal(item("y")->target, old_y);
        trp_counter_set(&fx.memory.left, left);
        read_two("route: [ { when: 'models.a.queue > 3', use: b }, { use: c } ]\n",
                 "ensemble: { members: [b, x, c] }\n");
        trp_counter_set(&fx.memory.left, UINT64_MAX);
        assert_true(left < 1000);
    }
    is_taken_up("x");
    is_taken_up("y");
    assert_ptr_not_equal(item("y")->target, old_y);
    assert_int_equal(fx.watches['a'], 1);
}

/* ---- as many as there may be ---- */

static void make_many_models(void)
{
    char name[16];
    for (uint32_t i = 0; i < 2 * MANY; i++) {
        (void)snprintf(name, sizeof name, "%c%u", i % 2 ? 'k' : 'm', i / 2);
        add_model(name);
    }
    trp_routing_published(fx.routing, trp_registry_publish(fx.registry));
}

/* Routes and ensembles in turn, each of two models that nobody else asks; every so many of them
 * are wrong (0: none). */
static void list_many(uint32_t wrong_every)
{
    static char names[MANY][16], texts[MANY][96];
    static struct folder folders[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        const bool is_wrong = wrong_every && i / 2 % wrong_every == 0;
        const char *form = i % 2 ? "ensemble: { members: [m%u, k%u]%s }\n"
                                 : "route: [ { when: params.n == 1, use: m%u }, { use: k%u%s } ]\n";
        (void)snprintf(names[i], sizeof names[i], "n%06u", i);
        (void)snprintf(texts[i], sizeof texts[i], form, i, i, is_wrong ? ", fits: 1" : "");
        folders[i] = (struct folder){ names[i], texts[i] };
    }
    list(folders, MANY);
}

/* Each name is looked up, none is looked for: else this would take minutes. */
static void ten_thousand_names_that_ask_twenty_thousand_are_read_again_and_again(void **state)
{
    char name[16];
    (void)state;
    make_many_models();
    list_many(0);
    assert_int_equal(fx.orders_n, 2 * MANY); /* each is asked about once */
    end_reading();
    assert_int_equal(trp_directory_count(fx.directories.newest), MANY);
    list_many(3);
    assert_int_equal(fx.orders_n, 2 * MANY);
    end_reading();
    assert_int_equal(trp_directory_count(fx.directories.newest), MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "n%06u", i);
        if (i / 2 % 3 == 0)
            goes_on(name, item(name)->target, "fits");
        else
            is_taken_up(name);
    }
    list_many(0);
    end_reading();
    for (uint32_t i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "n%06u", i);
        is_taken_up(name);
    }
}

#define AND_LISTS(test) cmocka_unit_test_setup_teardown(test, set_up_lists, tear_down)
#define SETTLING(test) cmocka_unit_test_setup_teardown(test, set_up_settling, tear_down)
#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(a_composition_may_not_ask_one_that_goes_on_and_asks_it),
        WITH_FIXTURE(a_route_may_not_ask_one_that_goes_on_and_asks_it),
        WITH_FIXTURE(nor_may_a_route_and_a_composition_ask_each_other),
        WITH_FIXTURE(a_folder_gives_way_to_the_file_that_has_its_name),
        WITH_FIXTURE(two_of_one_name_in_the_file_are_nobodys_but_the_files_fault),
        WITH_FIXTURE(what_is_wrong_now_is_told_and_not_what_was),
        WITH_FIXTURE(the_load_that_it_asks_for_is_watched_as_long_as_it_serves),
        WITH_FIXTURE(its_canaries_are_looked_at_and_go_on_when_it_is_mended),
        WITH_FIXTURE(versions_that_it_could_not_follow_are_held_back),
        WITH_FIXTURE(the_word_that_is_wrong_is_shown_in_a_text_that_is_not_read_again),
        WITH_FIXTURE(who_asks_one_that_is_wrong_is_not_blamed_for_it),
        WITH_FIXTURE(each_circle_is_told_with_its_way),
        WITH_FIXTURE(thousands_that_are_wrong_are_told_in_a_few_readings),
        WITH_FIXTURE(all_that_have_a_name_of_the_file_give_way_at_once),
        AND_LISTS(what_has_lists_is_taken_up_when_they_are_there_and_what_serves_goes_on),
        AND_LISTS(what_is_read_when_life_goes_is_not_taken_up),
        AND_LISTS(a_storm_of_listings_ends_with_the_newest),
        WITH_FIXTURE(a_request_is_not_answered_from_an_older_listing_that_ends_late),
        WITH_FIXTURE(a_request_is_not_answered_from_an_older_listing_that_ends_early),
        WITH_FIXTURE(who_loads_a_composition_has_its_models_loaded_one_after_the_other),
        WITH_FIXTURE(a_load_fails_when_the_models_that_it_brought_do_not_fit),
        WITH_FIXTURE(nor_does_a_load_succeed_that_ends_while_files_are_read),
        WITH_FIXTURE(what_was_listed_meanwhile_is_read_without_being_asked_for),
        WITH_FIXTURE(whoever_asks_a_model_that_leaves_says_so),
        WITH_FIXTURE(a_composition_is_told_of_names_that_come_and_go),
        WITH_FIXTURE(names_of_a_file_that_never_served_are_there_and_not_ready),
        WITH_FIXTURE(a_name_that_is_declared_is_no_models),
        WITH_FIXTURE(nor_is_a_name_of_a_file_that_is_wrong_from_the_beginning),
        WITH_FIXTURE(a_model_is_reached_though_a_wrong_file_has_its_name),
        WITH_FIXTURE(nothing_can_be_told_of_a_file_that_nobody_can_read),
        SETTLING(a_half_of_a_file_is_neither_read_nor_refused),
        SETTLING(an_empty_file_takes_nothing_away),
        SETTLING(a_file_that_is_taken_away_and_put_back_was_never_away),
        SETTLING(nobody_waits_for_ever_for_a_file_that_is_not_whole),
        SETTLING(when_life_goes_nobody_looks_again),
        WITH_FIXTURE(without_memory_nothing_is_taken_up_and_what_served_goes_on),
        WITH_FIXTURE(ten_thousand_names_that_ask_twenty_thousand_are_read_again_and_again),
    };
    return cmocka_run_group_tests_name("routing", tests, NULL, NULL);
}

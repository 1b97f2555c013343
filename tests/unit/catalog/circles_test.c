/* Routes and compositions that ask each other: a way back to where one came from is a mistake,
 * told with the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "catalog/circles.h"
#include "compose/cookbook.h"
#include "route/route_file.h"

#define ITEMS_MAX 32

static struct {
    struct trp_cookbook_opts book_opts;
    struct trp_route_env env;
    struct trp_cookbook *book;
    struct trp_route_file *file;
    struct trp_arena arena;
    struct trp_error err;
} fx;

static trp_status section(void *user, const struct trp_node *at, struct trp_route_file *file,
                          struct trp_error *err)
{
    (void)user;
    return trp_cookbook_read_section(fx.book, at, file, err);
}

static uint32_t collect(struct trp_directory_item items[ITEMS_MAX])
{
    const uint32_t routes_n = trp_route_file_count(fx.file), made_n = trp_cookbook_count(fx.book);
    assert_in_range(routes_n + made_n, 0, ITEMS_MAX);
    for (uint32_t i = 0; i < routes_n; i++) {
        struct trp_router *route = trp_route_file_at(fx.file, i);
        items[i] = (struct trp_directory_item){ .name = trp_route_plan_of(route)->name,
                                                .kind = "route",
                                                .place = trp_route_plan_of(route)->place,
                                                .target = trp_route_target(route) };
    }
    for (uint32_t i = 0; i < made_n; i++) {
        struct trp_composition *c = trp_cookbook_at(fx.book, i);
        items[routes_n + i] = (struct trp_directory_item){ .name = trp_composition_target(c)->name,
                                                           .kind = trp_composition_kind(c),
                                                           .place = trp_composition_place(c),
                                                           .target = trp_composition_target(c) };
    }
    return routes_n + made_n;
}

static trp_status check(const char *yaml)
{
    struct trp_directory_item items[ITEMS_MAX];
    const struct trp_alloc *heap = trp_heap();
    fx.err = (struct trp_error){ 0 };
    fx.book_opts = (struct trp_cookbook_opts){ .alloc = heap };
    fx.env = (struct trp_route_env){ .clock = trp_clock_system(), .loops_n = 1 };
    const struct trp_route_file_opts opts = {
        .path = "routes.yaml", .text = trp_str_of(yaml), .env = &fx.env, .section = section
    };
    trp_arena_init(&fx.arena, heap, 1024, 0);
    trp_status st = trp_cookbook_create(&fx.book_opts, &fx.book, &fx.err);
    if (!trp_failed(st))
        st = trp_route_file_read(heap, &opts, &fx.file, &fx.err);
    if (!trp_failed(st)) {
        const uint32_t n = collect(items);
        st = trp_circles_check(&fx.arena, items, n, NULL, NULL, &fx.err);
    }
    trp_route_file_unref(fx.file);
    trp_cookbook_destroy(fx.book);
    fx.file = NULL;
    fx.book = NULL;
    trp_arena_deinit(&fx.arena);
    return st;
}

static void passes(const char *yaml)
{
    if (trp_failed(check(yaml)))
        fail_msg("%s", fx.err.text);
}

static void fails(const char *yaml, const char *words)
{
    assert_int_equal(check(yaml).code, TRP_INVALID_ARGUMENT);
    if (!strstr(fx.err.text, words))
        fail_msg("%s", fx.err.text);
}

static void who_asks_only_models_or_the_same_twice_is_no_circle(void **state)
{
    (void)state;
    passes("{}");
    passes("routes: { r: [ { use: m } ] }\n");
    passes("routes: { r: [ { when: 'params.a > 1', use: e }, { use: f, fallback: e } ] }\n"
           "ensembles: { e: { members: [q, m] }, f: { members: [q, e] } }\n"
           "cascades: { q: { steps: [m, n], threshold: 0.5 } }\n");
}

static void a_route_that_asks_what_asks_it_is_told_with_the_way(void **state)
{
    (void)state;
    fails("routes: { r: [ { use: e } ] }\n"
          "ensembles: { e: { members: [m, r] } }\n",
          "routes.yaml:1: route 'r' leads back to itself: 'r' asks 'e', which asks 'r'");
    fails("routes:\n"
          "  way: [ { use: m } ]\n"
          "  r: [ { when: 'params.a > 1', use: way }, { use: m, fallback: [way, e] } ]\n"
          "ensembles:\n"
          "  e: { members: [m, c] }\n"
          "cascades:\n"
          "  c: { steps: [m, r], threshold: 0.5 }\n",
          "routes.yaml:3: route 'r' leads back to itself: 'r' asks 'e', which asks 'c', which asks "
          "'r'");
    fails("routes: { r: [ { use: m, shadow: e } ] }\n"
          "ensembles: { e: { members: [m, r] } }\n",
          "leads back to itself");
    fails("ensembles: { e: { members: [m, e] } }\n",
          "ensemble 'e' leads back to itself: 'e' asks 'e'");
}

static void more_compositions_behind_each_other_than_a_request_may_pass_are_refused(void **state)
{
    char yaml[1024];
    size_t len = 0;
    (void)state;
    len += (size_t)snprintf(yaml, sizeof yaml, "routes: { w: [ { use: e3 } ] }\nensembles:\n");
    for (int i = 1; i <= 8; i++) /* the second goes on to the third by way of a route */
        len += (size_t)snprintf(yaml + len, sizeof yaml - len, "  e%d: { members: [m, %c%d] }\n", i,
                                i == 2  ? 'w'
                                : i < 8 ? 'e'
                                        : 'm',
                                i + 1);
    for (char *c = yaml; (c = strstr(c, "w3")); c++)
        c[1] = ' ';
    passes(yaml);
    (void)snprintf(yaml + len, sizeof yaml - len, "  e0: { members: [e1] }\n");
    fails(yaml, "more than 8 compositions stand behind each other, from ensemble 'e0' on");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_asks_only_models_or_the_same_twice_is_no_circle),
        cmocka_unit_test(a_route_that_asks_what_asks_it_is_told_with_the_way),
        cmocka_unit_test(more_compositions_behind_each_other_than_a_request_may_pass_are_refused),
    };
    return cmocka_run_group_tests_name("circles", tests, NULL, NULL);
}

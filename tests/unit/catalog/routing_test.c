/* What is declared, read again and again. */
#include "unit/catalog/routing_fixture.h"

/* ---- a name is one's alone ---- */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(a_folder_gives_way_to_the_file_that_has_its_name),
        WITH_FIXTURE(two_of_one_name_in_the_file_are_nobodys_but_the_files_fault),
        WITH_FIXTURE(what_is_wrong_now_is_told_and_not_what_was),
        AND_LISTS(what_has_lists_is_taken_up_when_they_are_there_and_what_serves_goes_on),
        AND_LISTS(what_is_read_when_life_goes_is_not_taken_up),
        AND_LISTS(a_storm_of_listings_ends_with_the_newest),
        WITH_FIXTURE(names_of_a_file_that_never_served_are_there_and_not_ready),
        WITH_FIXTURE(a_name_that_is_declared_is_no_models),
        WITH_FIXTURE(nor_is_a_name_of_a_file_that_is_wrong_from_the_beginning),
        WITH_FIXTURE(a_model_is_reached_though_a_wrong_file_has_its_name),
        WITH_FIXTURE(nothing_can_be_told_of_a_file_that_nobody_can_read),
        WITH_FIXTURE(without_memory_nothing_is_taken_up_and_what_served_goes_on),
        WITH_FIXTURE(ten_thousand_names_that_ask_twenty_thousand_are_read_again_and_again),
    };
    return cmocka_run_group_tests_name("routing", tests, NULL, NULL);
}

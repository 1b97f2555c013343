/* All that is wrong is told at once, and nobody is blamed for others. */
#include "unit/catalog/routing_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(the_word_that_is_wrong_is_shown_in_a_text_that_is_not_read_again),
        WITH_FIXTURE(who_asks_one_that_is_wrong_is_not_blamed_for_it),
        WITH_FIXTURE(each_circle_is_told_with_its_way),
        WITH_FIXTURE(thousands_that_are_wrong_are_told_in_a_few_readings),
        WITH_FIXTURE(all_that_have_a_name_of_the_file_give_way_at_once),
    };
    return cmocka_run_group_tests_name("suspects", tests, NULL, NULL);
}

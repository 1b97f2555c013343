/* Which of a model's run slots a run takes, where they are not all alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf/model_schema.h"
#include "model/slot_groups.h"

struct fixture {
    struct trp_arena arena;
    struct trp_error err;
    const struct trp_node *tree;
    const struct trp_cores *cores;
    const struct trp_slot_groups *groups;
};

static void set_up(struct fixture *f)
{
    *f = (struct fixture){ .cores = NULL };
    trp_arena_init(&f->arena, trp_heap(), 4096, 1 << 20);
}

static enum trp_code take(struct fixture *f, const char *yaml)
{
    struct trp_node *written;
    const trp_status st =
        trp_model_config_parse(&f->arena, trp_str_of(yaml), "model.yaml", &written, NULL, &f->err);
    if (trp_failed(st))
        fail_msg("%s", f->err.text);
    f->tree = written;
    return (enum trp_code)trp_slot_groups_take(&f->arena, written, &f->cores, &f->groups, &f->err)
        .code;
}

static void assert_cores(const struct trp_cores *cores, const char *want)
{
    char text[TRP_CORES_TEXT_MAX];
    trp_cores_format(cores, text, sizeof text);
    assert_string_equal(text, want);
}

static void groups_that_are_alike_are_no_groups(void **state)
{
    (void)state;
    static const struct row {
        const char *yaml, *cores;
    } rows[] = {
        { "name: m", NULL },
        { "instance_group: [{count: 2}, {}]", NULL },
        { "cores: 0-2", "0-2" },
        { "cores: 0-2\ninstance_group: [{count: 1}, {count: 2}]", "0-2" },
        { "instance_group: [{cores: 5}, {count: 1, cores: 5-5}]", "5" },
        { "cores: 5\ninstance_group: [{count: 1}, {cores: 5}]", "5" },
        { "cores: 1\ninstance_group: [{cores: 2}]", "2" },
    };
    struct fixture f;
    set_up(&f);
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("%s\n", r->yaml);
        assert_int_equal(take(&f, r->yaml), TRP_OK);
        assert_null(f.groups);
        assert_int_equal(f.cores != NULL, r->cores != NULL);
        if (r->cores)
            assert_cores(f.cores, r->cores);
    }
    trp_arena_deinit(&f.arena);
}

static void each_of_unlike_groups_has_its_cores_and_its_count(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    assert_int_equal(take(&f, "cores: 0-3\ninstance_group:\n- {count: 2, cores: 1}\n"
                              "- {count: 3}\n- {count: 1, cores: \"2,4\"}\n"),
                     TRP_OK);
    assert_null(f.cores);
    assert_int_equal(f.groups->groups_n, 3);
    assert_int_equal(f.groups->count, 6);
    assert_cores(&f.groups->groups[0].cores, "1");
    assert_cores(&f.groups->groups[1].cores, "0-3");
    assert_cores(&f.groups->groups[2].cores, "2,4");
    assert_int_equal(take(&f, "instance_group: [{count: 1, cores: 1}, {count: 1}]"), TRP_OK);
    assert_true(f.groups->groups[0].is_bound);
    assert_false(f.groups->groups[1].is_bound);
    trp_arena_deinit(&f.arena);
}

static void what_cannot_be_is_told_with_its_line(void **state)
{
    (void)state;
    static const struct row {
        const char *yaml, *want;
    } rows[] = {
        { "cores: all", "model.yaml:1: cores is \"all\"; it is a list of cores" },
        { "instance_group:\n- {count: 1, cores: 1}\n- {count: 1, cores: x}",
          "model.yaml:3: cores is \"x\"; it is a list of cores" },
        { "instance_group:\n- {count: 1, cores: 1}\n- {cores: 2}",
          "model.yaml:3: instance_group: where groups have unlike cores, each says" },
        { "instance_group: [{cores: 1}, {count: 2}]", "count is missing" },
    };
    struct fixture f;
    char many[4096] = "instance_group: [{count: 1, cores: 1}";
    set_up(&f);
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        assert_int_equal(take(&f, r->yaml), TRP_INVALID_ARGUMENT);
        print_message("%s\n", f.err.text);
        assert_non_null(strstr(f.err.text, r->want));
    }
    for (uint32_t i = 0; i < TRP_SLOT_GROUPS_MAX; i++) {
        const size_t used = strlen(many);
        (void)snprintf(many + used, sizeof many - used, ", {count: 1, cores: 2}");
    }
    many[strlen(many)] = ']';
    assert_int_equal(take(&f, many), TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(f.err.text, "65 groups with cores of their own; at most 64"));
    trp_arena_deinit(&f.arena);
}

static void cores_that_may_not_be_used_are_found_in_any_group(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_cores allowed;
    set_up(&f);
    assert_true(trp_cores_parse(TRP_STR_LIT("0-3"), &allowed));
    assert_int_equal(take(&f, "instance_group:\n- {count: 1, cores: 1}\n- {count: 1, cores: 3-4}"),
                     TRP_OK);
    assert_int_equal(trp_slot_groups_check(f.tree, &allowed, &f.err).code, TRP_INVALID_ARGUMENT);
    assert_non_null(
        strstr(f.err.text, "model.yaml:3: cores is \"3-4\"; this server may run on 0-3"));
    assert_int_equal(take(&f, "cores: 0\ninstance_group: [{count: 1, cores: 1}]"), TRP_OK);
    assert_int_equal(trp_slot_groups_check(f.tree, &allowed, &f.err).code, TRP_OK);
    trp_arena_deinit(&f.arena);
}

/* 2, 3 and 1 of 6 slots. */
static const struct trp_slot_groups *take_six(struct fixture *f)
{
    set_up(f);
    assert_int_equal(take(f, "instance_group: [{count: 2, cores: 0}, {count: 3, cores: 1}, "
                             "{count: 1, cores: 2}]"),
                     TRP_OK);
    return f->groups;
}

static void another_number_is_dealt_in_proportion(void **state)
{
    (void)state;
    struct fixture f;
    const struct trp_slot_groups *g = take_six(&f);
    static const uint32_t rows[][4] = { { 6, 2, 3, 1 }, { 12, 4, 6, 2 }, { 1, 1, 0, 0 },
                                        { 2, 1, 1, 0 }, { 3, 1, 2, 0 },  { 5, 2, 3, 0 },
                                        { 7, 3, 3, 1 } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (uint32_t k = 0; k < 3; k++)
            assert_int_equal(trp_slot_groups_share(g, rows[i][0], k), rows[i][1 + k]);
    for (uint32_t slots = 1; slots < 2000; slots++) {
        uint32_t sum = 0;
        for (uint32_t k = 0; k < 3; k++)
            sum += trp_slot_groups_share(g, slots, k);
        assert_int_equal(sum, slots);
    }
    assert_int_equal(trp_slot_groups_share(g, UINT32_MAX, 0), UINT32_MAX / 3);
    trp_arena_deinit(&f.arena);
}

static void runs_are_spread_by_what_is_free(void **state)
{
    (void)state;
    struct fixture f;
    const struct trp_slot_groups *g = take_six(&f);
    static const uint32_t order[] = { 0, 1, 2, 1, 0, 1 };
    uint32_t busy[3] = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        const uint32_t group = trp_slot_groups_choose(g, busy, 6, UINT32_MAX);
        assert_int_equal(group, order[i]);
        busy[group]++;
    }
    for (uint32_t k = 0; k < 3; k++) { /* whatever comes back is what is taken next */
        busy[k]--;
        assert_int_equal(trp_slot_groups_choose(g, busy, 6, UINT32_MAX), k);
        busy[k]++;
    }
    trp_arena_deinit(&f.arena);
}

static void among_equals_a_thread_stays_where_it_is(void **state)
{
    (void)state;
    struct fixture f;
    const struct trp_slot_groups *g = take_six(&f);
    const uint32_t none[3] = { 0 }, first[3] = { 1, 0, 0 };
    assert_int_equal(trp_slot_groups_choose(g, none, 6, 2), 2);
    assert_int_equal(trp_slot_groups_choose(g, none, 6, 1), 1);
    assert_int_equal(trp_slot_groups_choose(g, first, 6, 0), 1);
    trp_arena_deinit(&f.arena);
}

static void with_fewer_slots_than_runs_the_least_overfull_group_is_taken(void **state)
{
    (void)state;
    struct fixture f;
    const struct trp_slot_groups *g = take_six(&f);
    const uint32_t full[3] = { 2, 3, 1 }, last[3] = { 2, 2, 1 };
    assert_int_equal(trp_slot_groups_choose(g, full, 6, UINT32_MAX), 0);
    assert_int_equal(trp_slot_groups_choose(g, full, 3, UINT32_MAX), 0); /* 1, 2 and 0 are there */
    assert_int_equal(trp_slot_groups_choose(g, last, 3, UINT32_MAX), 1);
    trp_arena_deinit(&f.arena);
}

static void every_failed_allocation_is_told(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_node *written;
    static const char *const texts[] = { "cores: 1",
                                         "instance_group: [{count: 1, cores: 1}, {count: 1}]" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct trp_arena none;
        set_up(&f);
        assert_int_equal(trp_model_config_parse(&f.arena, trp_str_of(texts[i]), "model.yaml",
                                                &written, NULL, &f.err)
                             .code,
                         TRP_OK);
        trp_arena_init(&none, trp_heap(), 16, 16);
        assert_int_equal(trp_slot_groups_take(&none, written, &f.cores, &f.groups, &f.err).code,
                         TRP_OUT_OF_MEMORY);
        trp_arena_deinit(&none);
        trp_arena_deinit(&f.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_that_are_alike_are_no_groups),
        cmocka_unit_test(each_of_unlike_groups_has_its_cores_and_its_count),
        cmocka_unit_test(what_cannot_be_is_told_with_its_line),
        cmocka_unit_test(cores_that_may_not_be_used_are_found_in_any_group),
        cmocka_unit_test(another_number_is_dealt_in_proportion),
        cmocka_unit_test(runs_are_spread_by_what_is_free),
        cmocka_unit_test(among_equals_a_thread_stays_where_it_is),
        cmocka_unit_test(with_fewer_slots_than_runs_the_least_overfull_group_is_taken),
        cmocka_unit_test(every_failed_allocation_is_told),
    };
    return cmocka_run_group_tests_name("slot_groups", tests, NULL, NULL);
}

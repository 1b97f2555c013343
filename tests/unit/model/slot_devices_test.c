/* On which devices the run slots of a model are, and how many on each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/slot_devices.h"

struct fixture {
    struct trp_arena arena;
    struct trp_error err;
    struct trp_device_list there;
    struct trp_model_config config;
};

/* A backend with GPUs 0, 1, ... */
static void set_up(struct fixture *f, uint32_t gpus)
{
    *f = (struct fixture){ .config = { .batch_max = 0 } };
    trp_arena_init(&f->arena, trp_heap(), 4096, 1 << 20);
    assert_int_equal(trp_device_list_init(&f->there, &f->arena, &f->err).code, TRP_OK);
    for (uint32_t i = 0; i < gpus; i++) {
        const struct troupe_device d = { .struct_size = sizeof d, .id = { TROUPE_DEVICE_GPU, i } };
        trp_device_list_tell(&f->there, &d);
    }
}

static void read_config(struct fixture *f, const char *yaml)
{
    struct trp_node *written;
    trp_status st =
        trp_model_config_parse(&f->arena, trp_str_of(yaml), "model.yaml", &written, NULL, &f->err);
    if (!trp_failed(st))
        st = trp_model_config_peek(&f->arena, written, &f->config, &f->err);
    if (trp_failed(st))
        fail_msg("%s", f->err.text);
}

static int32_t take(struct fixture *f, const char *yaml)
{
    read_config(f, yaml);
    return trp_slot_devices_take(&f->arena, &f->there, &f->config, &f->err).code;
}

/* "2 gpu0, 1 cpu": slots, and where, a group each. */
static void format(const struct trp_model_config *c, char *out, size_t size)
{
    char name[TRP_DEVICE_TEXT_MAX];
    out[0] = '\0';
    for (uint32_t i = 0; c->devices_n > 0 && i < c->groups->groups_n; i++) {
        const struct trp_slot_group *g = &c->groups->groups[i];
        const size_t used = strlen(out);
        trp_device_format(c->devices[g->device], name);
        (void)snprintf(out + used, size - used, "%s%u %s", i > 0 ? ", " : "", g->count, name);
    }
}

static void kind_and_gpus_say_where(void **state)
{
    (void)state;
    static const struct row {
        const char *yaml, *want; /* "": on the CPU, as if nothing was written */
        uint32_t instances;
    } rows[] = {
        { "backend: echo", "", 0 },
        { "instance_group: [{count: 3}]", "", 3 },
        { "instance_group: [{count: 3, kind: KIND_CPU}]", "", 3 },
        { "instance_group: [{count: 3, kind: KIND_CPU, gpus: [1]}]", "", 3 },
        { "instance_group: [{count: 3, kind: KIND_MODEL}]", "", 3 },
        { "instance_group: [{kind: KIND_GPU}]", "1 gpu0, 1 gpu1, 1 gpu2", 3 },
        { "instance_group: [{count: 2, kind: KIND_GPU}]", "2 gpu0, 2 gpu1, 2 gpu2", 6 },
        { "instance_group: [{count: 2, kind: KIND_GPU, gpus: [2, 0]}]", "2 gpu2, 2 gpu0", 4 },
        { "instance_group: [{count: 1, kind: KIND_GPU, gpus: [1]}]", "1 gpu1", 1 },
        { "instance_group: [{kind: KIND_AUTO}]", "1 gpu0, 1 gpu1, 1 gpu2", 3 },
        { "instance_group: [{kind: KIND_AUTO, gpus: [1]}]", "1 gpu1", 1 },
        { "instance_group: [{count: 2, kind: KIND_AUTO, gpus: [1, 7]}]", "", 2 },
        { "instance_group: [{count: 2, gpus: [1]}]", "2 gpu1", 2 },
        { "instance_group: [{count: 2, kind: KIND_GPU, gpus: [0]}, {count: 3, kind: KIND_CPU}]",
          "2 gpu0, 3 cpu", 5 },
        { "instance_group: [{kind: KIND_CPU}, {count: 2, kind: KIND_GPU, gpus: [0]}]",
          "1 cpu, 2 gpu0", 3 },
        { "instance_group: [{count: 1, kind: KIND_GPU, gpus: [0, 1]}, "
          "{count: 4, kind: KIND_GPU, gpus: [1]}]",
          "1 gpu0, 1 gpu1, 4 gpu1", 6 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        char text[256];
        set_up(&f, 3);
        print_message("%s\n", r->yaml);
        assert_int_equal(take(&f, r->yaml), TRP_OK);
        format(&f.config, text, sizeof text);
        assert_string_equal(text, r->want);
        assert_int_equal(f.config.instances, r->instances);
        assert_true(f.config.devices_n == 0 || f.config.groups->count == r->instances);
        trp_arena_deinit(&f.arena);
    }
}

static void devices_are_looked_for_where_a_group_may_be_on_one(void **state)
{
    (void)state;
    static const struct row {
        const char *yaml;
        bool want;
    } rows[] = {
        { "backend: echo", false },
        { "instance_group: []", false },
        { "instance_group: [{count: 2}, {kind: KIND_CPU, gpus: [0]}]", false },
        { "instance_group: [{kind: KIND_MODEL}]", false },
        { "instance_group: [{count: 2}, {kind: KIND_GPU}]", true },
        { "instance_group: [{kind: KIND_AUTO}]", true },
        { "instance_group: [{count: 1, gpus: [0]}]", true },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        set_up(&f, 0);
        print_message("%s\n", r->yaml);
        read_config(&f, r->yaml);
        assert_int_equal(trp_slot_devices_is_asked_for(f.config.tree), r->want);
        trp_arena_deinit(&f.arena);
    }
}

static void each_device_is_named_once(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 2);
    assert_int_equal(take(&f, "instance_group: [{kind: KIND_GPU, gpus: [1]}, {kind: KIND_CPU}, "
                              "{kind: KIND_GPU}, {kind: KIND_CPU}]"),
                     TRP_OK);
    assert_int_equal(f.config.devices_n, 3);
    assert_int_equal(f.config.devices[0].ordinal, 1);
    assert_int_equal(f.config.devices[1].kind, TROUPE_DEVICE_CPU);
    assert_int_equal(f.config.devices[2].ordinal, 0);
    assert_int_equal(f.config.groups->groups_n, 5);
    trp_arena_deinit(&f.arena);
}

static void cores_go_with_a_group_to_each_of_its_devices(void **state)
{
    (void)state;
    struct fixture f;
    char text[TRP_CORES_TEXT_MAX];
    set_up(&f, 2);
    assert_int_equal(take(&f, "cores: 5\ninstance_group: [{kind: KIND_GPU}]"), TRP_OK);
    assert_null(f.config.cores);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(f.config.groups->groups[i].is_bound);
        trp_cores_format(&f.config.groups->groups[i].cores, text, sizeof text);
        assert_string_equal(text, "5");
    }
    trp_arena_deinit(&f.arena);
}

static void slots_are_dealt_to_devices_in_turn(void **state)
{
    (void)state;
    struct fixture f;
    static const uint32_t rows[][4] = { { 1, 1, 0, 0 }, { 2, 1, 1, 0 }, { 3, 1, 1, 1 },
                                        { 4, 2, 1, 1 }, { 5, 2, 2, 1 }, { 7, 3, 2, 2 } };
    set_up(&f, 3);
    assert_int_equal(take(&f, "instance_group: [{kind: KIND_GPU}]"), TRP_OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (uint32_t k = 0; k < 3; k++)
            assert_int_equal(trp_slot_groups_share(f.config.groups, rows[i][0], k), rows[i][1 + k]);
    trp_arena_deinit(&f.arena);
}

static void what_is_not_there_is_told_with_its_line_and_what_is(void **state)
{
    (void)state;
    static const struct row {
        const char *yaml, *want;
    } rows[] = {
        { "backend: echo\ninstance_group:\n- {kind: KIND_GPU, gpus: [1, 3]}",
          "model.yaml:3: instance_group wants GPU 3; echo has 0, 1" },
        { "backend: echo\ninstance_group:\n- kind: KIND_GPU\n  gpus: -1",
          "model.yaml:4: instance_group wants GPU -1; echo has 0, 1" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        set_up(&f, 2);
        assert_int_equal(take(&f, r->yaml), TRP_INVALID_ARGUMENT);
        print_message("%s\n", f.err.text);
        assert_string_equal(f.err.text, r->want);
        assert_int_equal(f.config.devices_n, 0);
        trp_arena_deinit(&f.arena);
    }
}

static void more_groups_than_can_be_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 33);
    assert_int_equal(take(&f, "instance_group: [{kind: KIND_GPU}, {kind: KIND_GPU}]"),
                     TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(f.err.text, "66 groups, each device of each counted; at most 64"));
    assert_int_equal(take(&f, "instance_group: [{kind: KIND_GPU}, {count: 1}]"), TRP_OK);
    assert_int_equal(f.config.groups->groups_n, 34);
    trp_arena_deinit(&f.arena);
}

static void without_a_gpu_all_is_on_the_cpu_and_the_first_who_asks_is_known(void **state)
{
    (void)state;
    static const struct row {
        const char *yaml, *key; /* NULL: nobody asks */
        uint32_t line, instances;
    } rows[] = {
        { "backend: echo", NULL, 0, 0 },
        { "instance_group:\n- {count: 2, kind: KIND_CPU, gpus: [0]}", NULL, 0, 2 },
        { "instance_group:\n- {count: 2, kind: KIND_AUTO, gpus: [0]}\n- {kind: KIND_MODEL}", NULL,
          0, 0 },
        { "instance_group:\n- {count: 2, kind: KIND_GPU}", "kind", 2, 2 },
        { "instance_group:\n- {count: 2}\n- count: 1\n  gpus: [7]\n- {kind: KIND_GPU}", "gpus", 4,
          0 },
        { "instance_group:\n- kind: KIND_GPU\n  gpus: [7]", "gpus", 3, 0 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        set_up(&f, 0);
        print_message("%s\n", r->yaml);
        assert_int_equal(take(&f, r->yaml), TRP_OK);
        assert_int_equal(f.config.devices_n, 0);
        assert_null(f.config.groups);
        assert_int_equal(f.config.instances, r->instances);
        const struct trp_node *n = trp_slot_devices_in_vain(&f.there, f.config.tree);
        assert_int_equal(n != NULL, r->key != NULL);
        assert_true(!n || (trp_str_is(n->key, r->key) && n->line == r->line));
        trp_arena_deinit(&f.arena);
    }
}

static void with_a_gpu_only_who_names_another_asks_in_vain(void **state)
{
    (void)state;
    static const struct row {
        const char *yaml;
        uint32_t line; /* of "gpus"; 0: nobody asks in vain */
    } rows[] = {
        { "backend: echo", 0 },
        { "instance_group: [{kind: KIND_GPU}]", 0 },
        { "instance_group: [{kind: KIND_AUTO}, {count: 2}, {gpus: [0, 1]}]", 0 },
        { "instance_group: [{kind: KIND_CPU, gpus: [7]}]", 0 },
        { "instance_group:\n- gpus: [0]\n- gpus: [7]", 3 },
        { "instance_group:\n- kind: KIND_AUTO\n  gpus: [0, 7]", 3 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct fixture f;
        set_up(&f, 2);
        print_message("%s\n", r->yaml);
        read_config(&f, r->yaml);
        const struct trp_node *n = trp_slot_devices_in_vain(&f.there, f.config.tree);
        assert_int_equal(n ? n->line : 0, r->line);
        assert_true(!n || trp_str_is(n->key, "gpus"));
        trp_arena_deinit(&f.arena);
    }
}

static void every_failed_allocation_is_told(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_arena none;
    set_up(&f, 2);
    read_config(&f, "instance_group: [{kind: KIND_GPU}]");
    trp_arena_init(&none, trp_heap(), 16, 16);
    const trp_status st = trp_slot_devices_take(&none, &f.there, &f.config, &f.err);
    trp_arena_deinit(&none);
    assert_int_equal(st.code, TRP_OUT_OF_MEMORY);
    assert_int_equal(f.config.devices_n, 0);
    trp_arena_deinit(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kind_and_gpus_say_where),
        cmocka_unit_test(devices_are_looked_for_where_a_group_may_be_on_one),
        cmocka_unit_test(each_device_is_named_once),
        cmocka_unit_test(cores_go_with_a_group_to_each_of_its_devices),
        cmocka_unit_test(slots_are_dealt_to_devices_in_turn),
        cmocka_unit_test(what_is_not_there_is_told_with_its_line_and_what_is),
        cmocka_unit_test(more_groups_than_can_be_are_refused),
        cmocka_unit_test(without_a_gpu_all_is_on_the_cpu_and_the_first_who_asks_is_known),
        cmocka_unit_test(with_a_gpu_only_who_names_another_asks_in_vain),
        cmocka_unit_test(every_failed_allocation_is_told),
    };
    return cmocka_run_group_tests_name("slot_devices", tests, NULL, NULL);
}

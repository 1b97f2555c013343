/* tests/unit/backend/device_list_test.c - what a backend tells of its devices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backend/device_list.h"

struct fixture {
    struct trp_arena arena;
    struct trp_device_list list;
    struct trp_error err;
};

static int set_up(void **state)
{
    static struct fixture f; /* cmocka runs one test at a time */
    f = (struct fixture){ .list = { .n = 0 } };
    *state = &f;
    trp_arena_init(&f.arena, trp_heap(), 4096, 0);
    const trp_status st = trp_device_list_init(&f.list, &f.arena, &f.err);
    if (trp_failed(st))
        trp_arena_deinit(&f.arena); /* nobody tears down what was not set up */
    return st.code;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    trp_arena_deinit(&f->arena);
    return 0;
}

static void tell(struct fixture *f, int32_t kind, uint32_t ordinal, const char *name)
{
    const struct troupe_device d = {
        .struct_size = sizeof d, .id = { kind, ordinal }, .name = name, .memory_bytes = 1000
    };
    trp_device_list_tell(&f->list, &d);
}

static void what_is_told_is_kept_in_its_order(void **state)
{
    struct fixture *f = *state;
    char name[] = "a card";
    tell(f, TROUPE_DEVICE_GPU, 3, name);
    tell(f, TROUPE_DEVICE_GPU, 1, NULL);
    memset(name, 'x', sizeof name - 1); /* it was the plugin's */
    assert_int_equal(trp_device_list_check(&f->list, &f->err).code, TRP_OK);
    assert_int_equal(f->list.n, 2);
    assert_int_equal(f->list.all[0].id.ordinal, 3);
    assert_string_equal(f->list.all[0].name, "a card");
    assert_int_equal(f->list.all[0].memory_bytes, 1000);
    assert_string_equal(f->list.all[1].name, "");
    const struct troupe_device_id one = { TROUPE_DEVICE_GPU, 1 }, two = { TROUPE_DEVICE_GPU, 2 };
    assert_ptr_equal(trp_device_list_find(&f->list, one), &f->list.all[1]);
    assert_null(trp_device_list_find(&f->list, two));
}

static void kinds_that_nobody_here_knows_are_passed_over(void **state)
{
    struct fixture *f = *state;
    tell(f, TROUPE_DEVICE_CPU, 0, "it is always there");
    tell(f, 77, 0, "of a later ABI");
    assert_int_equal(trp_device_list_check(&f->list, &f->err).code, TRP_OK);
    assert_int_equal(f->list.n, 0);
}

/* An older plugin's struct ends earlier: what stands behind it is not looked at. */
static void nothing_is_read_past_the_size_that_is_told(void **state)
{
    struct fixture *f = *state;
    const struct troupe_device d = { .struct_size = offsetof(struct troupe_device, name),
                                     .id = { TROUPE_DEVICE_GPU, 0 },
                                     .name = (const char *)1,
                                     .memory_bytes = 5 };
    trp_device_list_tell(&f->list, &d);
    assert_int_equal(trp_device_list_check(&f->list, &f->err).code, TRP_OK);
    assert_int_equal(f->list.n, 1);
    assert_string_equal(f->list.all[0].name, "");
    assert_int_equal(f->list.all[0].memory_bytes, 0);
}

static void the_same_twice_or_too_many_are_a_fault(void **state)
{
    struct fixture *f = *state;
    tell(f, TROUPE_DEVICE_GPU, 0, NULL);
    tell(f, TROUPE_DEVICE_GPU, 0, NULL);
    assert_int_equal(trp_device_list_check(&f->list, &f->err).code, TRP_INTERNAL);
    assert_string_equal(f->err.text, "it names a device twice");
    f->list.fault = NULL;
    for (uint32_t i = 1; i <= TROUPE_DEVICES_MAX; i++)
        tell(f, TROUPE_DEVICE_GPU, i, NULL);
    assert_int_equal(f->list.n, TROUPE_DEVICES_MAX);
    assert_int_equal(trp_device_list_check(&f->list, &f->err).code, TRP_INTERNAL);
    assert_string_equal(f->err.text, "it names too many devices");
}

static void a_name_that_finds_no_memory_is_told(void **state)
{
    struct fixture *f = *state;
    static char long_name[8192];
    struct trp_arena small;
    struct trp_device_list none;
    memset(long_name, 'x', sizeof long_name - 1);
    trp_arena_init(&small, trp_heap(), 4096, 6000);
    const trp_status made = trp_device_list_init(&none, &small, &f->err);
    if (!trp_failed(made)) {
        const struct troupe_device d = { .struct_size = sizeof d,
                                         .id = { TROUPE_DEVICE_GPU, 0 },
                                         .name = long_name };
        trp_device_list_tell(&none, &d);
    }
    const trp_status st = trp_failed(made) ? made : trp_device_list_check(&none, &f->err);
    trp_arena_deinit(&small);
    assert_int_equal(st.code, TRP_OUT_OF_MEMORY);
    trp_arena_init(&small, trp_heap(), 16, 16);
    const trp_status empty = trp_device_list_init(&none, &small, &f->err);
    trp_arena_deinit(&small);
    assert_int_equal(empty.code, TRP_OUT_OF_MEMORY);
}

static void devices_have_short_names(void **state)
{
    (void)state;
    static const struct troupe_device_id ids[] = { { TROUPE_DEVICE_CPU, 0 },
                                                   { TROUPE_DEVICE_GPU, 0 },
                                                   { TROUPE_DEVICE_GPU, UINT32_MAX } };
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 4096);
    trp_device_add_names(&b, ids, 3, ", ");
    const char *text = trp_buf_text(&b);
    const bool is_right = text && strcmp(text, "cpu, gpu0, gpu4294967295") == 0;
    trp_buf_deinit(&b);
    assert_true(is_right);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_told_is_kept_in_its_order),
        TEST(kinds_that_nobody_here_knows_are_passed_over),
        TEST(nothing_is_read_past_the_size_that_is_told),
        TEST(the_same_twice_or_too_many_are_a_fault),
        TEST(a_name_that_finds_no_memory_is_told),
        TEST(devices_have_short_names),
    };
    return cmocka_run_group_tests_name("device_list", tests, NULL, NULL);
}

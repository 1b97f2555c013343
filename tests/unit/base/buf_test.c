/* Growing buffers: what is written, where they stop, and that the first failure sticks. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "unit/base/scarce.h"

static void everything_is_appended_in_order(void **state)
{
    (void)state;
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 1000);
    assert_int_equal(trp_buf_str(&b).len, 0);
    trp_buf_add(&b, NULL, 0);
    trp_buf_add_text(&b, "a");
    trp_buf_add_str(&b, TRP_STR_LIT("bc"));
    trp_buf_add_char(&b, ' ');
    trp_buf_add_u64(&b, 0);
    trp_buf_add_u64(&b, UINT64_MAX);
    trp_buf_add_i64(&b, INT64_MIN);
    trp_buf_addf(&b, "%s%03d", "x", 7);
    assert_string_equal(trp_buf_text(&b), "abc 018446744073709551615-9223372036854775808x007");
    assert_int_equal(trp_buf_check(&b, "reply", NULL).code, TRP_OK);
    char *before = b.ptr;
    trp_buf_reset(&b);
    trp_buf_add_text(&b, "again");
    assert_ptr_equal(b.ptr, before);
    assert_true(trp_str_is(trp_buf_str(&b), "again"));
    trp_buf_deinit(&b);
}

static void a_buffer_grows_to_its_maximum_and_stops(void **state)
{
    (void)state;
    struct trp_buf b;
    struct trp_error err = { 0 };
    trp_buf_init(&b, trp_heap(), 1000);
    for (int i = 0; i < 1000; i++)
        trp_buf_add_char(&b, 'x');
    assert_int_equal(b.failed, TRP_OK);
    assert_int_equal(b.len, 1000);
    trp_buf_add_char(&b, 'x');
    assert_int_equal(b.failed, TRP_TOO_LARGE);
    trp_buf_add_text(&b, ""); /* the failure sticks */
    assert_null(trp_buf_room(&b, 0));
    assert_null(trp_buf_text(&b));
    assert_int_equal(b.len, 1000);
    assert_int_equal(trp_buf_check(&b, "reply", &err).code, TRP_TOO_LARGE);
    assert_string_equal(err.text, "reply: larger than 1000 bytes");
    trp_buf_reset(&b);
    assert_null(trp_buf_room(&b, SIZE_MAX));
    trp_buf_deinit(&b);
}

static void room_is_used_as_far_as_it_was_filled(void **state)
{
    (void)state;
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 1 << 20);
    trp_buf_add_text(&b, "head ");
    char *room = trp_buf_room(&b, 5000);
    memcpy(room, "tail", 4);
    trp_buf_added(&b, 4);
    assert_string_equal(trp_buf_text(&b), "head tail");
    assert_true(b.capacity >= 5005);
    trp_buf_deinit(&b);
}

static void lack_of_memory_sticks_as_well(void **state)
{
    (void)state;
    struct scarce scarce;
    struct trp_buf b;
    struct trp_error err = { 0 };
    trp_buf_init(&b, scarce_init(&scarce, 1), 1 << 20);
    trp_buf_add_text(&b, "kept");
    trp_buf_addf(&b, "%5000s", "");
    assert_int_equal(b.failed, TRP_OUT_OF_MEMORY);
    assert_true(trp_str_is(trp_buf_str(&b), "kept"));
    assert_int_equal(trp_buf_check(&b, "reply", &err).code, TRP_OUT_OF_MEMORY);
    trp_buf_deinit(&b);
    assert_int_equal(trp_counter_get(&scarce.out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_appended_in_order),
        cmocka_unit_test(a_buffer_grows_to_its_maximum_and_stops),
        cmocka_unit_test(room_is_used_as_far_as_it_was_filled),
        cmocka_unit_test(lack_of_memory_sticks_as_well),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}

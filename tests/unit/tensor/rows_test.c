/* Rows of tensors: laid behind one another, and cut apart again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tensor/rows.h"

#define ALL(text) (void *)(uintptr_t)(text), sizeof(text) - 1

static struct troupe_tensor strings(int64_t rows, int64_t columns, void *data, uint64_t bytes)
{
    return (struct troupe_tensor){
        .dtype = TROUPE_BYTES, .rank = 2, .shape = { rows, columns }, .data = data, .bytes = bytes
    };
}

static void numbers_are_joined_and_cut_again(void **state)
{
    (void)state;
    float a[] = { 1, 2, 3, 4 }, b[] = { 5, 6 }, room[6];
    const struct troupe_tensor
        two = { .dtype = TROUPE_FP32, .rank = 2, .shape = { 2, 2 }, .data = a, .bytes = 16 },
        one = { .dtype = TROUPE_FP32, .rank = 2, .shape = { 1, 2 }, .data = b, .bytes = 8 };
    struct troupe_tensor joined = two, view;
    joined.data = room;
    joined.bytes = 0;
    joined.shape[0] = 0;
    assert_true(trp_rows_alike(&two, &one));
    trp_rows_append(&joined, &two);
    trp_rows_append(&joined, &one);
    assert_int_equal(joined.shape[0], 3);
    assert_int_equal(joined.bytes, 24);
    struct trp_rows_cursor at = { 0 };
    assert_true(trp_rows_cut(&joined, 2, &at, &view));
    assert_int_equal(view.shape[0], 2);
    assert_int_equal(view.bytes, 16);
    assert_memory_equal(view.data, a, 16);
    assert_true(trp_rows_cut(&joined, 1, &at, &view));
    assert_memory_equal(view.data, b, 8);
    assert_false(trp_rows_cut(&joined, 1, &at, &view)); /* there is no fourth */
}

static void strings_bring_their_lengths(void **state)
{
    (void)state;
    char room[64];
    const struct troupe_tensor first = strings(1, 2, ALL("\2\0\0\0ab\0\0\0\0")),
                               second = strings(2, 2, ALL("\1\0\0\0c\3\0\0\0def\0\0\0\0\1\0\0\0g"));
    struct troupe_tensor joined = strings(0, 2, room, 0), view;
    struct trp_rows_cursor at = { 0 };
    trp_rows_append(&joined, &first);
    trp_rows_append(&joined, &second);
    assert_true(trp_rows_cut(&joined, 1, &at, &view));
    assert_int_equal(view.bytes, first.bytes);
    assert_memory_equal(view.data, first.data, first.bytes);
    assert_true(trp_rows_cut(&joined, 2, &at, &view));
    assert_int_equal(view.bytes, second.bytes);
    assert_memory_equal(view.data, second.data, second.bytes);
}

static void what_does_not_fill_its_rows_is_not_cut(void **state)
{
    (void)state;
    struct troupe_tensor view, t = strings(2, 1, ALL("\1\0\0\0c\377\0\0\0d"));
    struct trp_rows_cursor at = { 0 };
    assert_true(trp_rows_cut(&t, 1, &at, &view));
    assert_false(trp_rows_cut(&t, 1, &at, &view)); /* a string that is longer than what is left */
    float few[3] = { 0 };
    t = (struct troupe_tensor){
        .dtype = TROUPE_FP32, .rank = 1, .shape = { 4 }, .data = few, .bytes = 12
    };
    at = (struct trp_rows_cursor){ 0 };
    assert_true(trp_rows_cut(&t, 3, &at, &view));
    assert_false(trp_rows_cut(&t, 1, &at, &view));
}

static void rows_of_no_elements_are_rows(void **state)
{
    (void)state;
    char nothing[1];
    struct troupe_tensor view, t = strings(3, 0, nothing, 0);
    struct trp_rows_cursor at = { 0 };
    assert_int_equal(trp_rows_count(&t), 3);
    assert_true(trp_rows_cut(&t, 2, &at, &view));
    assert_int_equal(view.shape[0], 2);
    assert_int_equal(view.bytes, 0);
}

/* A backend's word for a shape is not yet a size: in 64 bits a row of these has no bytes. */
static void rows_of_more_bytes_than_there_are_are_not_cut(void **state)
{
    (void)state;
    double x[2] = { 1, 2 };
    const struct troupe_tensor t = { .dtype = TROUPE_FP64,
                                     .rank = 2,
                                     .shape = { 2, INT64_C(1) << 61 },
                                     .data = x,
                                     .bytes = sizeof x };
    struct trp_rows_cursor at = { 0 };
    struct troupe_tensor view;
    assert_false(trp_rows_cut(&t, 1, &at, &view));
}

static void unlike_rows_are_told_apart(void **state)
{
    (void)state;
    float x[8];
    const struct troupe_tensor a = {
        .dtype = TROUPE_FP32, .rank = 2, .shape = { 2, 3 }, .data = x, .bytes = 24
    };
    struct troupe_tensor b = a;
    b.shape[0] = 1;
    assert_true(trp_rows_alike(&a, &b));
    b.shape[1] = 2;
    assert_false(trp_rows_alike(&a, &b));
    b = a;
    b.dtype = TROUPE_INT32;
    assert_false(trp_rows_alike(&a, &b));
    b = a;
    b.data = NULL; /* an optional one that one of them did not send */
    assert_false(trp_rows_alike(&a, &b));
    assert_true(trp_rows_alike(&b, &b));
    b = a;
    b.rank = 0;
    assert_false(trp_rows_alike(&b, &b));
    assert_int_equal(trp_rows_count(&b), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_joined_and_cut_again),
        cmocka_unit_test(strings_bring_their_lengths),
        cmocka_unit_test(what_does_not_fill_its_rows_is_not_cut),
        cmocka_unit_test(rows_of_no_elements_are_rows),
        cmocka_unit_test(rows_of_more_bytes_than_there_are_are_not_cut),
        cmocka_unit_test(unlike_rows_are_told_apart),
    };
    return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}

/* Sizes that strangers send: products, texts, and the layout of strings. */
#include "tensor/shape.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MANY ((int64_t)1 << 40)

static void elements_and_bytes_are_counted_without_overflow(void **state)
{
    (void)state;
    static const struct row {
        int64_t shape[4];
        uint32_t rank;
        bool counts, fits;
        uint64_t elements;
    } rows[] = {
        { { 0 }, 0, true, true, 1 },
        { { 2, 3, 4 }, 3, true, true, 24 },
        { { 5, 0, 7 }, 3, true, true, 0 },
        { { -1, 3 }, 2, false, false, 0 },
        { { 0, -1 }, 2, false, false, 0 },
        { { MANY, MANY }, 2, false, false, 0 },
        { { MANY, MANY, 0 }, 3, true, true, 0 },
        { { 0, MANY, MANY }, 3, true, true, 0 },
        { { INT64_MAX }, 1, true, false, INT64_MAX },
        { { INT64_MAX, 1, 1 }, 3, true, false, INT64_MAX },
        { { INT64_MAX, 2 }, 2, false, false, 0 },
        { { INT64_MAX / 4, 1 }, 2, true, true, INT64_MAX / 4 },
        { { INT64_MAX / 4 + 1 }, 1, true, false, INT64_MAX / 4 + 1 },
        { { (int64_t)1 << 32, (int64_t)1 << 32, 1 }, 3, false, false, 0 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        uint64_t n = 99;
        char text[100];
        print_message("%s\n", trp_shape_format(r->shape, r->rank, text, sizeof text));
        assert_int_equal(trp_shape_elements(r->shape, r->rank, &n), r->counts);
        assert_int_equal(n, r->counts ? r->elements : 99);
        n = 99;
        assert_int_equal(trp_shape_bytes(r->shape, r->rank, TROUPE_FP32, &n), r->fits);
        assert_int_equal(n, r->fits ? r->elements * 4 : 99);
    }
}

static void bytes_of_types_without_a_width_are_unknown(void **state)
{
    (void)state;
    const int64_t shape[] = { 2 };
    uint64_t n;
    assert_false(trp_shape_bytes(shape, 1, TROUPE_BYTES, &n));
    assert_false(trp_shape_bytes(shape, 1, TROUPE_NO_DTYPE, &n));
    assert_true(trp_shape_bytes(shape, 1, TROUPE_BOOL, &n) && n == 2);
    assert_true(trp_shape_bytes(shape, 1, TROUPE_INT64, &n) && n == 16);
}

static void a_shape_prints_without_spaces_and_never_beyond_its_room(void **state)
{
    (void)state;
    const int64_t shape[] = { -1, 16, INT64_MIN };
    char text[64];
    assert_string_equal(trp_shape_format(shape, 0, text, sizeof text), "[]");
    assert_string_equal(trp_shape_format(shape, 1, text, sizeof text), "[-1]");
    assert_string_equal(trp_shape_format(shape, 3, text, sizeof text),
                        "[-1,16,-9223372036854775808]");
    for (size_t size = 1; size < 30; size++) {
        memset(text, 'x', sizeof text);
        (void)trp_shape_format(shape, 3, text, size);
        assert_int_equal(strlen(text), size - 1 < 28 ? size - 1 : 28);
        assert_int_equal(text[size], 'x');
    }
}

static void strings_must_fill_their_bytes_exactly(void **state)
{
    (void)state;
    static const char good[] = "\2\0\0\0ab\0\0\0\0\1\0\0\0c";
    static const struct row {
        uint64_t bytes, elements;
        const char *want; /* NULL: fine */
    } rows[] = {
        { 15, 3, NULL },
        { 0, 0, NULL },
        { 10, 2, NULL },
        { 15, 2, "5 bytes behind the last of 2 elements, at byte 10" },
        { 15, 4, "element 3 of 4 at byte 15: no room for a length, 0 bytes left" },
        { 14, 3, "element 2 of 3 at byte 10: 1 bytes long, 0 left" },
        { 13, 3, "element 2 of 3 at byte 10: no room for a length, 3 bytes left" },
        { 3, 1, "element 0 of 1 at byte 0: no room for a length, 3 bytes left" },
        { 15, UINT64_MAX,
          "element 3 of 18446744073709551615 at byte 15: no room for a length, 0 bytes left" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_error err = { 0 };
        const trp_status st = trp_bytes_check(good, r->bytes, r->elements, &err);
        print_message("%s\n", r->want ? r->want : "fine");
        assert_int_equal(st.code, r->want ? TRP_INVALID_ARGUMENT : TRP_OK);
        assert_string_equal(err.text, r->want ? r->want : "");
    }
    static const unsigned char huge[] = { 0xff, 0xff, 0xff, 0xff, 'a' };
    assert_int_equal(trp_bytes_check(huge, sizeof huge, 1, NULL).code, TRP_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_and_bytes_are_counted_without_overflow),
        cmocka_unit_test(bytes_of_types_without_a_width_are_unknown),
        cmocka_unit_test(a_shape_prints_without_spaces_and_never_beyond_its_room),
        cmocka_unit_test(strings_must_fill_their_bytes_exactly),
    };
    return cmocka_run_group_tests_name("shape", tests, NULL, NULL);
}

/* The wire format: values at their edges, hostile bytes, and the writers against the reader. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/pbwire.h"

static struct trp_buf new_buf(void)
{
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 1 << 20);
    return b;
}

static struct trp_pb_reader reader(const struct trp_buf *b)
{
    return trp_pb_reader_of(trp_buf_str(b));
}

static void varints_at_every_edge_read_back_as_written(void **state)
{
    (void)state;
    static const struct row {
        uint64_t v;
        uint32_t bytes;
    } rows[] = {
        { 0, 1 },
        { 1, 1 },
        { 127, 1 },
        { 128, 2 },
        { 16383, 2 },
        { 16384, 3 },
        { UINT32_MAX, 5 },
        { (uint64_t)INT64_MAX, 9 },
        { (uint64_t)INT64_MAX + 1, 10 },
        { UINT64_MAX, 10 },
    };
    for (const struct row *row = rows; row < rows + ARRAY_LEN(rows); row++) {
        struct trp_buf b = new_buf();
        trp_pb_write_varint(&b, row->v);
        assert_int_equal(b.failed, TRP_OK);
        assert_int_equal(b.len, row->bytes);
        assert_int_equal(trp_pb_varint_bytes(row->v), row->bytes);
        struct trp_pb_reader r = reader(&b);
        uint64_t got = 0;
        assert_true(trp_pb_take_varint(&r, &got));
        assert_true(got == row->v);
        assert_ptr_equal(r.at, r.end);
        assert_false(trp_pb_take_varint(&r, &got));
        trp_buf_deinit(&b);
    }
}

static void every_kind_of_field_reads_back_as_written(void **state)
{
    (void)state;
    struct trp_buf b = new_buf();
    trp_pb_write_u64(&b, 1, 300);
    trp_pb_write_i64(&b, 2, -1);
    trp_pb_write_bool(&b, 3, true);
    trp_pb_write_float(&b, 15, 1.5f);
    trp_pb_write_double(&b, 16, -0.0);
    trp_pb_write_str(&b, TRP_PB_NUMBER_MAX, TRP_STR_LIT("abc"));
    struct trp_pb_reader r = reader(&b);
    struct trp_pb_field f;
    assert_int_equal(trp_pb_next(&r, &f), TRP_PB_FIELD);
    assert_true(f.number == 1 && f.type == TRP_PB_VARINT && f.scalar == 300);
    assert_int_equal(trp_pb_next(&r, &f), TRP_PB_FIELD);
    assert_true(f.number == 2 && (int64_t)f.scalar == -1);
    assert_int_equal(trp_pb_next(&r, &f), TRP_PB_FIELD);
    assert_true(f.number == 3 && f.scalar == 1);
    assert_int_equal(trp_pb_next(&r, &f), TRP_PB_FIELD);
    assert_true(f.number == 15 && f.type == TRP_PB_FIXED32 && trp_pb_float(f.scalar) == 1.5f);
    assert_int_equal(trp_pb_next(&r, &f), TRP_PB_FIELD);
    assert_true(f.number == 16 && f.type == TRP_PB_FIXED64 && signbit(trp_pb_double(f.scalar)));
    assert_int_equal(trp_pb_next(&r, &f), TRP_PB_FIELD);
    assert_true(f.number == TRP_PB_NUMBER_MAX && trp_str_is(f.bytes, "abc"));
    assert_int_equal(trp_pb_next(&r, &f), TRP_PB_END);
    assert_int_equal(trp_pb_next(&r, &f), TRP_PB_END);
    trp_buf_deinit(&b);
}

static void an_empty_message_is_at_its_end(void **state)
{
    (void)state;
    struct trp_pb_reader r = trp_pb_reader_of(trp_str_make(NULL, 0));
    struct trp_pb_field f;
    assert_int_equal(trp_pb_next(&r, &f), TRP_PB_END);
}

static void hostile_bytes_are_corrupt_and_stay_so(void **state)
{
    (void)state;
#define ROW(literal)                 \
    {                                \
        literal, sizeof(literal) - 1 \
    }
    static const struct row {
        const char *bytes;
        size_t len;
    } rows[] = {
        ROW("\x08"),                                             /* no value */
        ROW("\x08\x80"),                                         /* value cut */
        ROW("\x80"),                                             /* tag cut */
        ROW("\x00\x01"),                                         /* field 0 */
        ROW("\x80\x80\x80\x80\x10\x01"),                         /* field 2^29 */
        ROW("\x0e\x01"),                                         /* type 6 */
        ROW("\x0f\x01"),                                         /* type 7 */
        ROW("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),     /* 65 bits */
        ROW("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* 11 bytes */
        ROW("\x09\x01\x02\x03\x04\x05\x06\x07"),                 /* fixed64 of 7 */
        ROW("\x0d\x01\x02\x03"),                                 /* fixed32 of 3 */
        ROW("\x0a\x05"
            "abcd"),                                         /* 5 bytes, 4 there */
        ROW("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* 2^64 - 1 bytes */
        ROW("\x0b"),                                         /* group without end */
        ROW("\x0b\x14"),                                     /* group 1 ends as 2 */
        ROW("\x0c"),                                         /* end without group */
        ROW("\x0b\x08\x0c"),                                 /* cut inside a group */
    };
#undef ROW
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct trp_pb_reader r = trp_pb_reader_of(trp_str_make(rows[i].bytes, rows[i].len));
        struct trp_pb_field f;
        print_message("row %zu\n", i);
        assert_int_equal(trp_pb_next(&r, &f), TRP_PB_CORRUPT);
        assert_int_equal(trp_pb_next(&r, &f), TRP_PB_CORRUPT);
        assert_ptr_equal(r.at, rows[i].bytes);
    }
}

static void groups_are_passed_over_whole(void **state)
{
    (void)state;
    static const char bytes[] = "\x0b\x13\x08\x01\x14\x0c\x18\x07"; /* 1 { 2 { 1: 1 } } 3: 7 */
    struct trp_pb_reader r = trp_pb_reader_of(trp_str_make(bytes, sizeof bytes - 1));
    struct trp_pb_field f;
    assert_int_equal(trp_pb_next(&r, &f), TRP_PB_FIELD);
    assert_true(f.number == 1 && f.type == TRP_PB_GROUP && f.bytes.len == 4);
    assert_int_equal(trp_pb_next(&r, &f), TRP_PB_FIELD);
    assert_true(f.number == 3 && f.scalar == 7);
    assert_int_equal(trp_pb_next(&r, &f), TRP_PB_END);
}

static void groups_nest_only_to_a_limit(void **state)
{
    (void)state;
    for (uint32_t depth = TRP_PB_GROUP_DEPTH_MAX; depth <= TRP_PB_GROUP_DEPTH_MAX + 1; depth++) {
        struct trp_buf b = new_buf();
        for (uint32_t i = 0; i < depth; i++)
            trp_buf_add_char(&b, 0x0b);
        for (uint32_t i = 0; i < depth; i++)
            trp_buf_add_char(&b, 0x0c);
        struct trp_pb_reader r = reader(&b);
        struct trp_pb_field f;
        assert_int_equal(trp_pb_next(&r, &f),
                         depth > TRP_PB_GROUP_DEPTH_MAX ? TRP_PB_CORRUPT : TRP_PB_FIELD);
        trp_buf_deinit(&b);
    }
}

static void nested_messages_of_any_length_read_back_as_written(void **state)
{
    (void)state;
    static const size_t lengths[] = { 0, 1, 125, 126, 127, 128, 16380, 16384, 300000 };
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct trp_buf b = new_buf();
        const size_t outer = trp_pb_begin(&b, 2);
        const size_t inner = trp_pb_begin(&b, 1000);
        for (size_t k = 0; k < lengths[i]; k++)
            trp_buf_add_char(&b, (char)k);
        trp_pb_end(&b, inner);
        trp_pb_write_u64(&b, 5, 7);
        trp_pb_end(&b, outer);
        assert_int_equal(b.failed, TRP_OK);
        struct trp_pb_reader r = reader(&b);
        struct trp_pb_field f;
        assert_int_equal(trp_pb_next(&r, &f), TRP_PB_FIELD);
        assert_ptr_equal(r.at, r.end);
        assert_int_equal(trp_pb_field_bytes(f.number, f.bytes.len), b.len);
        r = trp_pb_reader_of(f.bytes);
        assert_int_equal(trp_pb_next(&r, &f), TRP_PB_FIELD);
        assert_true(f.number == 1000 && f.bytes.len == lengths[i]);
        for (size_t k = 0; k < lengths[i]; k++)
            assert_int_equal(f.bytes.ptr[k], (char)k);
        assert_int_equal(trp_pb_next(&r, &f), TRP_PB_FIELD);
        assert_true(f.number == 5 && f.scalar == 7);
        assert_int_equal(trp_pb_next(&r, &f), TRP_PB_END);
        trp_buf_deinit(&b);
    }
}

static void packed_values_end_cleanly_or_show_the_rest(void **state)
{
    (void)state;
    struct trp_buf b = new_buf();
    trp_pb_write_fixed32(&b, 0x01020304);
    trp_pb_write_fixed64(&b, UINT64_C(0x1122334455667788));
    trp_buf_add_char(&b, 9);
    struct trp_pb_reader r = reader(&b);
    uint32_t v32 = 0;
    uint64_t v64 = 0;
    assert_true(trp_pb_take_fixed32(&r, &v32));
    assert_int_equal(v32, 0x01020304);
    assert_true(trp_pb_take_fixed64(&r, &v64));
    assert_true(v64 == UINT64_C(0x1122334455667788));
    assert_false(trp_pb_take_fixed32(&r, &v32));
    assert_false(trp_pb_take_fixed64(&r, &v64));
    assert_ptr_not_equal(r.at, r.end);
    trp_buf_deinit(&b);
}

static void a_full_buffer_fails_without_writing_outside(void **state)
{
    (void)state;
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 200);
    const size_t mark = trp_pb_begin(&b, 1);
    for (int i = 0; i < 198; i++)
        trp_buf_add_char(&b, 'x');
    trp_pb_end(&b, mark); /* would need one byte more for a length of two */
    assert_int_equal(b.failed, TRP_TOO_LARGE);
    trp_pb_end(&b, mark);
    trp_buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_at_every_edge_read_back_as_written),
        cmocka_unit_test(every_kind_of_field_reads_back_as_written),
        cmocka_unit_test(an_empty_message_is_at_its_end),
        cmocka_unit_test(hostile_bytes_are_corrupt_and_stay_so),
        cmocka_unit_test(groups_are_passed_over_whole),
        cmocka_unit_test(groups_nest_only_to_a_limit),
        cmocka_unit_test(nested_messages_of_any_length_read_back_as_written),
        cmocka_unit_test(packed_values_end_cleanly_or_show_the_rest),
        cmocka_unit_test(a_full_buffer_fails_without_writing_outside),
    };
    return cmocka_run_group_tests_name("pbwire", tests, NULL, NULL);
}

/* Sizes of tensors in every spelling, and what is refused. */
#include "onnx_build.h"

/* One initialiser `w` of two dims, with or without packed dims, raw data of raw_n bytes (-1:
 * none). */
static trp_status read_tensor(struct build *b, int32_t elem, int64_t d0, int64_t d1, bool packed,
                              int64_t raw_n)
{
    build_start(b, 8);
    const size_t graph = begin(b, GRAPH);
    const size_t tensor = begin(b, INITIALIZER);
    if (packed) {
        const size_t dims = begin(b, 1);
        trp_pb_write_varint(&b->bytes, (uint64_t)d0);
        trp_pb_write_varint(&b->bytes, (uint64_t)d1);
        end(b, dims);
    } else {
        number(b, 1, d0);
        number(b, 1, d1);
    }
    number(b, 2, elem);
    text(b, 8, "w");
    if (raw_n >= 0) {
        trp_pb_write_head(&b->bytes, 9, (uint64_t)raw_n);
        for (int64_t i = 0; i < raw_n; i++)
            trp_buf_add_char(&b->bytes, '\0');
    }
    end(b, tensor);
    end(b, graph);
    return build_read(b);
}

static void counts_elements_and_bytes_of_every_width(void **state)
{
    (void)state;
    static const struct row {
        int32_t elem;
        int64_t d0, d1;
        uint64_t elements, bytes;
    } rows[] = {
        { TRP_ONNX_FLOAT, 2, 3, 6, 24 },  { TRP_ONNX_DOUBLE, 2, 3, 6, 48 },
        { TRP_ONNX_BOOL, 2, 3, 6, 6 },    { TRP_ONNX_COMPLEX128, 1, 1, 1, 16 },
        { 22 /* int4 */, 3, 3, 9, 5 },    { 25 /* uint2 */, 3, 3, 9, 3 },
        { TRP_ONNX_FLOAT, 0, 3, 0, 0 },   { TRP_ONNX_BFLOAT16, 5, 1, 5, 10 },
        { 99 /* unknown */, 2, 2, 4, 0 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        for (int packed = 0; packed < 2; packed++) {
            struct build b;
            assert_int_equal(read_tensor(&b, r->elem, r->d0, r->d1, packed, (int64_t)r->bytes).code,
                             TRP_OK);
            assert_int_equal(b.model.total.tensors, 1);
            assert_int_equal(b.model.total.elements, r->elements);
            assert_int_equal(b.model.total.bytes, r->bytes);
            build_drop(&b);
        }
    }
}

static void refuses_shapes_and_sizes_that_cannot_be(void **state)
{
    (void)state;
    static const struct row {
        int32_t elem;
        int64_t d0, d1, raw_n;
        int32_t code;
    } rows[] = {
        { TRP_ONNX_FLOAT, -1, 3, -1, TRP_INVALID_ARGUMENT },
        { TRP_ONNX_FLOAT, INT64_MAX, 2, -1, TRP_INVALID_ARGUMENT },
        { TRP_ONNX_FLOAT, INT64_MAX / 2, 1, -1, TRP_OK }, /* fits 64 bits; no data is checked */
        { TRP_ONNX_DOUBLE, INT64_MAX, 1, -1, TRP_INVALID_ARGUMENT },
        { TRP_ONNX_FLOAT, 1, 1, 3, TRP_INVALID_ARGUMENT },
        { TRP_ONNX_FLOAT, 1, 1, 0, TRP_INVALID_ARGUMENT },
        { TRP_ONNX_FLOAT, 1, 1, -1, TRP_OK }, /* typed data instead, or none: not looked at */
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct build b;
        assert_int_equal(read_tensor(&b, r->elem, r->d0, r->d1, false, r->raw_n).code, r->code);
        build_drop(&b);
    }
}

static void parameters_that_together_overflow_are_refused(void **state)
{
    (void)state;
    struct build b;
    build_start(&b, 8);
    const size_t graph = begin(&b, GRAPH);
    for (int i = 0; i < 3; i++) {
        const size_t tensor = begin(&b, INITIALIZER);
        number(&b, 1, INT64_MAX);
        number(&b, 2, TRP_ONNX_INT8);
        end(&b, tensor);
    }
    end(&b, graph);
    assert_int_equal(build_read(&b).code, TRP_INVALID_ARGUMENT);
    assert_string_equal(b.err.text, "the parameters together pass 2^64 bytes");
    build_drop(&b);
}

static void entry(struct build *b, const char *key, const char *v)
{
    const size_t e = begin(b, 13);
    text(b, 1, key);
    text(b, 2, v);
    end(b, e);
}

static void external_places_are_checked_for_sense(void **state)
{
    (void)state;
    static const struct row {
        const char *location, *offset, *length; /* NULL: left out */
        int32_t code;
        uint64_t want_length;
    } rows[] = {
        { "w.bin", NULL, NULL, TRP_OK, 16 },
        { "w.bin", "4096", "20", TRP_OK, 20 },
        { NULL, "0", "16", TRP_INVALID_ARGUMENT, 0 },
        { "w.bin", "-1", "16", TRP_INVALID_ARGUMENT, 0 },
        { "w.bin", "12x", "16", TRP_INVALID_ARGUMENT, 0 },
        { "w.bin", "9223372036854775807", "16", TRP_INVALID_ARGUMENT, 0 },
        { "w.bin", "0", "9223372036854775808", TRP_INVALID_ARGUMENT, 0 },
        { "w.bin", "0", "", TRP_INVALID_ARGUMENT, 0 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct build b;
        build_start(&b, 8);
        const size_t graph = begin(&b, GRAPH);
        const size_t tensor = begin(&b, INITIALIZER);
        number(&b, 1, 4);
        number(&b, 2, TRP_ONNX_FLOAT);
        if (r->location)
            entry(&b, "location", r->location);
        if (r->offset)
            entry(&b, "offset", r->offset);
        if (r->length)
            entry(&b, "length", r->length);
        entry(&b, "checksum", "ignored");
        number(&b, 14, 1);
        end(&b, tensor);
        end(&b, graph);
        assert_int_equal(build_read(&b).code, r->code);
        if (r->code == TRP_OK)
            assert_int_equal(b.model.externals[0].length, r->want_length);
        build_drop(&b);
    }
}

static void types_have_names_widths_and_a_place_in_the_protocols(void **state)
{
    (void)state;
    assert_string_equal(trp_onnx_elem_name(TRP_ONNX_FLOAT), "float");
    assert_string_equal(trp_onnx_elem_name(-1), "unknown");
    assert_string_equal(trp_onnx_elem_name(1000), "unknown");
    assert_int_equal(trp_onnx_elem_dtype(TRP_ONNX_STRING), TROUPE_BYTES);
    assert_int_equal(trp_onnx_elem_dtype(TRP_ONNX_COMPLEX64), TROUPE_NO_DTYPE);
    for (int32_t e = 1; e < TRP_ONNX_ELEMS; e++)
        assert_true(e == TRP_ONNX_STRING || trp_onnx_elem_bits(e) > 0);
    assert_true(trp_onnx_elem_is_integer(TRP_ONNX_UINT8));
    assert_true(trp_onnx_elem_is_unsigned(TRP_ONNX_UINT8));
    assert_false(trp_onnx_elem_is_integer(TRP_ONNX_BOOL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_elements_and_bytes_of_every_width),
        cmocka_unit_test(refuses_shapes_and_sizes_that_cannot_be),
        cmocka_unit_test(parameters_that_together_overflow_are_refused),
        cmocka_unit_test(external_places_are_checked_for_sense),
        cmocka_unit_test(types_have_names_widths_and_a_place_in_the_protocols),
    };
    return cmocka_run_group_tests_name("onnx_tensor", tests, NULL, NULL);
}

/* Inference replies in JSON, classification included. */
#include "unit/wire/oip_fixture.h"

struct encoded {
    struct trp_reply reply;
    struct trp_str all;
};

static trp_status encode(struct fixture *f, struct encoded *e)
{
    memset(e, 0, sizeof *e);
    trp_buf_init(&e->reply.text, trp_heap(), 1 << 16);
    const trp_status st = trp_oip_encode_http(&f->codec, f->call, &e->reply, &f->err);
    if (!trp_failed(st))
        e->all = fixture_join(&e->reply);
    return st;
}

static void drop(struct encoded *e)
{
    free((char *)(uintptr_t)e->all.ptr);
    trp_buf_deinit(&e->reply.text);
}

struct data_row {
    int32_t dtype;
    uint32_t rank;
    int64_t shape[2];
    const char *raw;
    size_t raw_len;
    const char *datatype_and_shape, *data;
};

#define RAW(literal) literal, sizeof(literal) - 1

static const struct data_row data_rows[] = {
    { TROUPE_BOOL, 1, { 2 }, RAW("\1\0"), "\"BOOL\",\"shape\":[2]", "true,false" },
    { TROUPE_UINT8, 1, { 2 }, RAW("\1\xff"), "\"UINT8\",\"shape\":[2]", "1,255" },
    { TROUPE_INT16, 1, { 1 }, RAW("\xfe\xff"), "\"INT16\",\"shape\":[1]", "-2" },
    { TROUPE_UINT64,
      1,
      { 1 },
      RAW("\xff\xff\xff\xff\xff\xff\xff\xff"),
      "\"UINT64\",\"shape\":[1]",
      "18446744073709551615" },
    { TROUPE_INT64,
      1,
      { 1 },
      RAW("\x00\x00\x00\x00\x00\x00\x00\x80"),
      "\"INT64\",\"shape\":[1]",
      "-9223372036854775808" },
    { TROUPE_FP16, 1, { 2 }, RAW("\x00\x3c\x00\xb8"), "\"FP16\",\"shape\":[2]", "1,-0.5" },
    { TROUPE_BF16, 1, { 2 }, RAW("\x80\x3f\x00\xbf"), "\"BF16\",\"shape\":[2]", "1,-0.5" },
    { TROUPE_FP32, 1, { 1 }, RAW("\xcd\xcc\xcc\x3d"), "\"FP32\",\"shape\":[1]", "0.1" },
    { TROUPE_FP32,
      1,
      { 3 },
      RAW("\x00\x00\x80\x7f\x00\x00\x80\xff\x00\x00\xc0\x7f"),
      "\"FP32\",\"shape\":[3]",
      "\"Infinity\",\"-Infinity\",\"NaN\"" },
    { TROUPE_BYTES,
      1,
      { 3 },
      RAW("\2\0\0\0a\"\0\0\0\0\1\0\0\0\xff"),
      "\"BYTES\",\"shape\":[3]",
      "\"a\\\"\",\"\",\"\xef\xbf\xbd\"" },
    { TROUPE_UINT8, 0, { 0 }, RAW("\7"), "\"UINT8\",\"shape\":[]", "7" },
    { TROUPE_UINT8, 2, { 0, 4 }, RAW(""), "\"UINT8\",\"shape\":[0,4]", "" },
    { TROUPE_UINT8, 2, { 2, 2 }, RAW("\1\2\3\4"), "\"UINT8\",\"shape\":[2,2]", "1,2,3,4" },
};

static void every_datatype_goes_out_as_a_flat_array(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    for (const struct data_row *r = data_rows; r < data_rows + ARRAY_LEN(data_rows); r++) {
        struct encoded e;
        char want[512];
        _Alignas(16) char data[64];
        struct trp_call *const call = fixture_call(&f);
        memcpy(data, r->raw, r->raw_len);
        fixture_outputs(call, 1);
        fixture_fill(call, 0, r->dtype, r->rank, r->shape, data, r->raw_len);
        assert_int_equal(encode(&f, &e).code, TRP_OK);
        snprintf(want, sizeof want,
                 "{\"model_name\":\"m\",\"model_version\":\"0\",\"outputs\":[{\"name\":\"OUT0\","
                 "\"datatype\":%s,\"data\":[%s]}]}",
                 r->datatype_and_shape, r->data);
        assert_string_equal(e.all.ptr, want);
        assert_int_equal(e.reply.json_bytes, -1);
        drop(&e);
    }
    fixture_close(&f);
}

static void a_reply_says_what_else_is_to_be_said_of_it(void **state)
{
    (void)state;
    struct fixture f;
    struct encoded e;
    static const struct trp_param notes[] = {
        { .name = { "partial", 7 }, .kind = TRP_PARAM_BOOL, .v.b = true },
        { .name = { "missing", 7 }, .kind = TRP_PARAM_STR, .v.s = { "a\"b", 3 } },
        { .name = { "i", 1 }, .kind = TRP_PARAM_INT, .v.i = -2 },
        { .name = { "u", 1 }, .kind = TRP_PARAM_UINT, .v.u = 3 },
        { .name = { "d", 1 }, .kind = TRP_PARAM_DOUBLE, .v.d = 0.5 },
    };
    fixture_open(&f);
    struct trp_call *const call = fixture_call(&f);
    call->notes = notes;
    call->notes_n = ARRAY_LEN(notes);
    assert_int_equal(encode(&f, &e).code, TRP_OK);
    assert_string_equal(e.all.ptr,
                        "{\"model_name\":\"m\",\"model_version\":\"0\",\"parameters\":"
                        "{\"partial\":true,\"missing\":\"a\\\"b\",\"i\":-2,\"u\":3,\"d\":0.5},"
                        "\"outputs\":[]}");
    drop(&e);
    call->answered_why = trp_str_of("because");
    call->notes_n = 1;
    assert_int_equal(encode(&f, &e).code, TRP_OK);
    assert_non_null(strstr(
        e.all.ptr, "\"parameters\":{\"troupe_choice\":\"because\",\"partial\":true},\"outputs\""));
    drop(&e);
    fixture_close(&f);
}

static void binary_and_json_outputs_mix(void **state)
{
    (void)state;
    struct fixture f;
    struct encoded e;
    static const int64_t shape[] = { 2 };
    fixture_open(&f);
    struct trp_call *const call = fixture_call(&f);
    fixture_outputs(call, 3);
    call->wanted_named = true;
    for (uint32_t i = 0; i < 3; i++)
        fixture_fill(call, i, TROUPE_UINT8, 1, shape, i == 1 ? "cd" : "ab", 2);
    call->wanted[0].binary = call->wanted[0].binary_set = true;
    call->wanted[2].binary = call->wanted[2].binary_set = true;
    call->binary_default = true; /* says nothing about outputs that were named */
    call->id = trp_str_of("x\"y");
    call->version = 3;
    call->answered_by = trp_str_of("other");
    assert_int_equal(encode(&f, &e).code, TRP_OK);
    static const char want[] =
        "{\"id\":\"x\\\"y\",\"model_name\":\"other\",\"model_version\":\"3\",\"outputs\":["
        "{\"name\":\"OUT0\",\"datatype\":\"UINT8\",\"shape\":[2],\"parameters\":"
        "{\"binary_data_size\":2}},"
        "{\"name\":\"OUT1\",\"datatype\":\"UINT8\",\"shape\":[2],\"data\":[99,100]},"
        "{\"name\":\"OUT2\",\"datatype\":\"UINT8\",\"shape\":[2],\"parameters\":"
        "{\"binary_data_size\":2}}]}abab";
    assert_string_equal(e.all.ptr, want);
    assert_int_equal(e.reply.json_bytes, sizeof want - 5);
    assert_ptr_equal(e.reply.parts[1].ptr, call->outputs[0].tensor.data);
    drop(&e);
    fixture_close(&f);
}

static void binary_data_output_counts_when_no_output_was_named(void **state)
{
    (void)state;
    struct fixture f;
    struct encoded e;
    static const int64_t shape[] = { 1 }, nothing[] = { 0 };
    fixture_open(&f);
    struct trp_call *call = fixture_call(&f);
    fixture_outputs(call, 1);
    fixture_fill(call, 0, TROUPE_UINT8, 1, shape, "a", 1);
    call->binary_default = true;
    assert_int_equal(encode(&f, &e).code, TRP_OK);
    assert_true(e.reply.json_bytes > 0);
    drop(&e);
    call = fixture_call(&f);
    fixture_outputs(call, 1);
    fixture_fill(call, 0, TROUPE_UINT8, 1, nothing, "", 0);
    call->binary_default = true;
    assert_int_equal(encode(&f, &e).code, TRP_OK);
    assert_non_null(strstr(e.all.ptr, "\"binary_data_size\":0"));
    assert_int_equal(e.reply.json_bytes, -1); /* no bytes behind the JSON: it is plain JSON */
    drop(&e);
    fixture_close(&f);
}

static void an_output_in_shared_memory_has_neither_data_nor_size(void **state)
{
    (void)state;
    struct fixture f;
    struct encoded e;
    static const int64_t shape[] = { 2 };
    char memory[2] = { 0 };
    fixture_open(&f);
    for (int in_place = 0; in_place <= 1; in_place++) {
        struct trp_call *const call = fixture_call(&f);
        fixture_outputs(call, 1);
        fixture_fill(call, 0, TROUPE_UINT8, 1, shape, in_place ? memory : "ab", 2);
        call->wanted[0].region = trp_str_of("r");
        call->wanted[0].memory = memory;
        call->wanted[0].memory_bytes = 2;
        f.codec.copied_bytes = 0;
        assert_int_equal(encode(&f, &e).code, TRP_OK);
        assert_non_null(strstr(e.all.ptr, "\"shape\":[2]}]}"));
        assert_memory_equal(memory, "ab", 2);
        assert_int_equal(f.codec.copied_bytes, in_place ? 0 : 2);
        drop(&e);
    }
    f.call->wanted[0].memory_bytes = 1;
    assert_int_equal(encode(&f, &e).code, TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(f.err.text, "output 'OUT0' has 2 bytes"));
    drop(&e);
    fixture_close(&f);
}

static void a_backend_that_lies_about_an_output_is_caught(void **state)
{
    (void)state;
    static const struct {
        int32_t dtype;
        int64_t n;
        const char *raw;
        size_t raw_len;
    } rows[] = {
        { TROUPE_FP32, 2, RAW("1234") },
        { TROUPE_UINT8, -1, RAW("1") },
        { TROUPE_BYTES, 1, RAW("\5\0\0\0ab") },
        { TROUPE_BYTES, 2, RAW("\1\0\0\0a") },
    };
    struct fixture f;
    fixture_open(&f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct encoded e;
        struct trp_call *const call = fixture_call(&f);
        fixture_outputs(call, 1);
        fixture_fill(call, 0, rows[i].dtype, 1, &rows[i].n, rows[i].raw, rows[i].raw_len);
        assert_int_equal(encode(&f, &e).code, TRP_BACKEND_FAILED);
        assert_int_equal(f.err.status.code, TRP_BACKEND_FAILED);
        drop(&e);
        if (i > 0)
            continue;
        call->outputs[0].tensor.data = NULL;
        assert_int_equal(encode(&f, &e).code, TRP_BACKEND_FAILED);
        drop(&e);
        call->outputs[0].tensor.data = call;
        call->outputs[0].tensor.rank = TROUPE_RANK_MAX + 1;
        assert_int_equal(encode(&f, &e).code, TRP_BACKEND_FAILED);
        drop(&e);
    }
    fixture_close(&f);
}

/* ---- classification -------------------------------------------------------------------------- */

struct class_row {
    const char *what;
    int32_t dtype, batch_max;
    uint32_t n, rank;
    int64_t shape[2];
    uint64_t values[6]; /* bits of the elements */
    uint32_t width;
    const char *want;
};

#define F_NAN 0x7fc00000

static const struct class_row class_rows[] = {
    { "largest first, with labels",
      TROUPE_FP32,
      0,
      2,
      1,
      { 3 },
      { 0x3dcccccd, 0x3f19999a, 0x3e99999a },
      4,
      "\"shape\":[2],\"data\":[\"0.600000:1:dog\",\"0.300000:2\"]" },
    { "more than there are",
      TROUPE_FP32,
      0,
      9,
      1,
      { 2 },
      { 0, 0x3f800000 },
      4,
      "\"shape\":[2],\"data\":[\"1.000000:1:dog\",\"0.000000:0:cat\"]" },
    { "equal ones by index",
      TROUPE_INT8,
      0,
      2,
      1,
      { 3 },
      { 5, 5, 5 },
      1,
      "\"shape\":[2],\"data\":[\"5:0:cat\",\"5:1:dog\"]" },
    { "NaN last",
      TROUPE_FP32,
      0,
      3,
      1,
      { 3 },
      { F_NAN, 0xff800000, F_NAN },
      4,
      "\"shape\":[3],\"data\":[\"-inf:1:dog\",\"nan:0:cat\",\"nan:2\"]" },
    { "for each item of a batch",
      TROUPE_INT32,
      8,
      1,
      2,
      { 2, 2 },
      { 1, 2, 9, 8 },
      4,
      "\"shape\":[2,1],\"data\":[\"2:1:dog\",\"9:0:cat\"]" },
    { "without a batch all elements are one item",
      TROUPE_INT32,
      0,
      1,
      2,
      { 2, 2 },
      { 1, 2, 9, 8 },
      4,
      "\"shape\":[1],\"data\":[\"9:2\"]" },
    { "64 bits exactly",
      TROUPE_UINT64,
      0,
      2,
      1,
      { 2 },
      { 18446744073709551614u, 18446744073709551615u },
      8,
      "\"shape\":[2],\"data\":[\"18446744073709551615:1:dog\",\"18446744073709551614:0:cat\"]" },
    { "signed",
      TROUPE_INT64,
      0,
      2,
      1,
      { 2 },
      { (uint64_t)-5, 3 },
      8,
      "\"shape\":[2],\"data\":[\"3:1:dog\",\"-5:0:cat\"]" },
    { "no items", TROUPE_INT32, 8, 2, 2, { 0, 2 }, { 0 }, 4, "\"shape\":[0,0],\"data\":[]" },
};

static void the_best_classes_come_as_text(void **state)
{
    (void)state;
    static const struct trp_str labels[] = { { "cat", 3 }, { "dog", 3 }, { "", 0 } };
    const struct trp_io io = { .name = { "OUT0", 4 }, .labels = labels, .labels_n = 3 };
    struct fixture f;
    struct fixture_target target = { .signature = { .outputs = &io, .outputs_n = 1 } };
    fixture_open(&f);
    for (const struct class_row *r = class_rows; r < class_rows + ARRAY_LEN(class_rows); r++) {
        struct encoded e;
        _Alignas(8) char data[48];
        size_t elements = 1;
        print_message("%s\n", r->what);
        struct trp_call *const call = fixture_call(&f);
        target.signature.batch_max = r->batch_max;
        fixture_pin(&target, call);
        for (uint32_t d = 0; d < r->rank; d++)
            elements *= (size_t)r->shape[d];
        for (size_t i = 0; i < elements; i++)
            memcpy(data + i * r->width, &r->values[i], r->width);
        fixture_outputs(call, 1);
        fixture_fill(call, 0, r->dtype, r->rank, r->shape, data, elements * r->width);
        call->wanted[0].classification = r->n;
        const trp_status st = encode(&f, &e);
        assert_string_equal(f.err.text, "");
        assert_int_equal(st.code, TRP_OK);
        assert_non_null(strstr(e.all.ptr, "\"datatype\":\"BYTES\""));
        if (!strstr(e.all.ptr, r->want))
            print_error("%s\n", e.all.ptr);
        assert_non_null(strstr(e.all.ptr, r->want));
        drop(&e);
    }
    fixture_close(&f);
}

static void classes_can_travel_as_binary_too(void **state)
{
    (void)state;
    struct fixture f;
    struct encoded e;
    static const int64_t shape[] = { 2 };
    fixture_open(&f);
    struct trp_call *const call = fixture_call(&f);
    fixture_outputs(call, 1);
    fixture_fill(call, 0, TROUPE_UINT8, 1, shape, "\1\2", 2);
    call->wanted[0].classification = 1;
    call->wanted[0].binary = call->wanted[0].binary_set = true;
    assert_int_equal(encode(&f, &e).code, TRP_OK);
    assert_memory_equal(e.all.ptr + e.reply.json_bytes,
                        "\3\0\0\0"
                        "2:1",
                        7);
    drop(&e);
    fixture_close(&f);
}

static void what_has_no_order_is_not_classified(void **state)
{
    (void)state;
    static const int32_t dtypes[] = { TROUPE_BOOL, TROUPE_FP16, TROUPE_BF16, TROUPE_BYTES };
    static const int64_t shape[] = { 1 };
    struct fixture f;
    fixture_open(&f);
    for (size_t i = 0; i < ARRAY_LEN(dtypes); i++) {
        struct encoded e;
        struct trp_call *const call = fixture_call(&f);
        fixture_outputs(call, 1);
        fixture_fill(call, 0, dtypes[i], 1, shape, "\0\0\0\0", 4);
        call->wanted[0].classification = 1;
        assert_int_equal(encode(&f, &e).code, TRP_INVALID_ARGUMENT);
        assert_non_null(strstr(f.err.text, "unsupported type"));
        drop(&e);
    }
    fixture_close(&f);
}

static void the_best_of_many_are_in_order(void **state)
{
    (void)state;
    struct fixture f;
    struct encoded e;
    static int32_t values[1000];
    static const int64_t shape[] = { 1000 };
    uint32_t seed = 7;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (int32_t)(seed >> 20);
    }
    fixture_open(&f);
    struct trp_call *const call = fixture_call(&f);
    fixture_outputs(call, 1);
    fixture_fill(call, 0, TROUPE_INT32, 1, shape, values, sizeof values);
    call->wanted[0].classification = 1000;
    assert_int_equal(encode(&f, &e).code, TRP_OK);
    const char *at = strstr(e.all.ptr, "\"data\":[") + 8;
    long last_value = 1 << 30, last_index = -1;
    for (int i = 0; i < 1000; i++) {
        char *end;
        assert_int_equal(*at, '"');
        const long value = strtol(at + 1, &end, 10), index = strtol(end + 1, &end, 10);
        assert_true(value < last_value || (value == last_value && index > last_index));
        assert_int_equal(values[index], value);
        last_value = value;
        last_index = index;
        at = end + 2; /* the quote and the comma */
    }
    drop(&e);
    fixture_close(&f);
}

static void an_error_is_an_object_with_its_words(void **state)
{
    (void)state;
    struct trp_buf b;
    const struct trp_error err = { .text = "input 'a\"' \xff" };
    trp_buf_init(&b, trp_heap(), 1024);
    trp_oip_encode_error(&err, &b);
    assert_non_null(trp_buf_text(&b));
    assert_string_equal(trp_buf_text(&b), "{\"error\":\"input 'a\\\"' \xef\xbf\xbd\"}");
    trp_buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_datatype_goes_out_as_a_flat_array),
        cmocka_unit_test(a_reply_says_what_else_is_to_be_said_of_it),
        cmocka_unit_test(binary_and_json_outputs_mix),
        cmocka_unit_test(binary_data_output_counts_when_no_output_was_named),
        cmocka_unit_test(an_output_in_shared_memory_has_neither_data_nor_size),
        cmocka_unit_test(a_backend_that_lies_about_an_output_is_caught),
        cmocka_unit_test(the_best_classes_come_as_text),
        cmocka_unit_test(classes_can_travel_as_binary_too),
        cmocka_unit_test(what_has_no_order_is_not_classified),
        cmocka_unit_test(the_best_of_many_are_in_order),
        cmocka_unit_test(an_error_is_an_object_with_its_words),
    };
    return cmocka_run_group_tests_name("oip_json_encode", tests, NULL, NULL);
}

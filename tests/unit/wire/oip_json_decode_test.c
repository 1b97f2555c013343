/* Inference requests in JSON: what is understood, what is refused and in which words. */
#include "unit/wire/oip_fixture.h"

#define HEAD "{\"inputs\":[{\"name\":\"A\",\"shape\":"
#define RAW(literal) literal, sizeof(literal) - 1

/* ---- data in JSON ---------------------------------------------------------------------------- */

struct data_row {
    const char *shape, *datatype, *data;
    int32_t dtype;
    uint32_t rank;
    const char *raw;
    size_t raw_len;
};

static const struct data_row data_rows[] = {
    { "[2]", "BOOL", "[true,false]", TROUPE_BOOL, 1, RAW("\1\0") },
    { "[2]", "UINT8", "[0,255]", TROUPE_UINT8, 1, RAW("\x00\xff") },
    { "[2]", "UINT16", "[1,65535]", TROUPE_UINT16, 1, RAW("\x01\x00\xff\xff") },
    { "[1]", "UINT32", "[4294967295]", TROUPE_UINT32, 1, RAW("\xff\xff\xff\xff") },
    { "[1]", "UINT64", "[18446744073709551615]", TROUPE_UINT64, 1,
      RAW("\xff\xff\xff\xff\xff\xff\xff\xff") },
    { "[1]", "UINT64", "[9007199254740993]", TROUPE_UINT64, 1,
      RAW("\x01\x00\x00\x00\x00\x00\x20\x00") },
    { "[2]", "INT8", "[-128,127]", TROUPE_INT8, 1, RAW("\x80\x7f") },
    { "[1]", "INT16", "[-2]", TROUPE_INT16, 1, RAW("\xfe\xff") },
    { "[1]", "INT32", "[-2147483648]", TROUPE_INT32, 1, RAW("\x00\x00\x00\x80") },
    { "[1]", "INT64", "[-9223372036854775808]", TROUPE_INT64, 1,
      RAW("\x00\x00\x00\x00\x00\x00\x00\x80") },
    { "[2]", "FP16", "[1,-0.5]", TROUPE_FP16, 1, RAW("\x00\x3c\x00\xb8") },
    { "[2]", "BF16", "[1,-0.5]", TROUPE_BF16, 1, RAW("\x80\x3f\x00\xbf") },
    { "[1]", "FP32", "[1.5]", TROUPE_FP32, 1, RAW("\x00\x00\xc0\x3f") },
    { "[1]", "FP64", "[1.5]", TROUPE_FP64, 1, RAW("\x00\x00\x00\x00\x00\x00\xf8\x3f") },
    { "[2]", "FP32", "[\"Infinity\",\"-Infinity\"]", TROUPE_FP32, 1,
      RAW("\x00\x00\x80\x7f\x00\x00\x80\xff") },
    { "[2]", "FP32", "[Infinity,-Infinity]", TROUPE_FP32, 1,
      RAW("\x00\x00\x80\x7f\x00\x00\x80\xff") },
    { "[2]", "BYTES", "[\"ab\",\"\"]", TROUPE_BYTES, 1, RAW("\2\0\0\0ab\0\0\0\0") },
    { "[1]", "BYTES", "[\"\\u00e9\\n\"]", TROUPE_BYTES, 1, RAW("\3\0\0\0\xc3\xa9\n") },
    /* nested or flat, scalars, nothing at all */
    { "[2,2]", "UINT8", "[[1,2],[3,4]]", TROUPE_UINT8, 2, RAW("\1\2\3\4") },
    { "[2,2]", "UINT8", "[1,2,3,4]", TROUPE_UINT8, 2, RAW("\1\2\3\4") },
    { "[2,1]", "BYTES", "[[\"x\"],[\"y\"]]", TROUPE_BYTES, 2, RAW("\1\0\0\0x\1\0\0\0y") },
    { "[]", "UINT8", "[7]", TROUPE_UINT8, 0, RAW("\7") },
    { "[]", "UINT8", "7", TROUPE_UINT8, 0, RAW("\7") },
    { "[]", "BYTES", "\"x\"", TROUPE_BYTES, 0, RAW("\1\0\0\0x") },
    { "[0,5]", "FP32", "[]", TROUPE_FP32, 2, RAW("") },
    { "[0]", "BYTES", "[]", TROUPE_BYTES, 1, RAW("") },
};

static trp_status decode_json(struct fixture *f, const char *json)
{
    struct trp_call *const call = fixture_call(f);
    return trp_oip_decode_http(&f->codec, call, trp_str_of(json), false, -1, &f->err);
}

static void every_datatype_comes_in_as_json(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    for (const struct data_row *r = data_rows; r < data_rows + ARRAY_LEN(data_rows); r++) {
        char json[512];
        snprintf(json, sizeof json, HEAD "%s,\"datatype\":\"%s\",\"data\":%s}]}", r->shape,
                 r->datatype, r->data);
        print_message("%s\n", json);
        const trp_status st = decode_json(&f, json);
        assert_string_equal(f.err.text, "");
        assert_int_equal(st.code, TRP_OK);
        assert_int_equal(f.call->inputs_n, 1);
        const struct trp_call_tensor *const in = &f.call->inputs[0];
        assert_true(trp_str_is(in->name, "A"));
        assert_int_equal(in->tensor.dtype, r->dtype);
        assert_int_equal(in->tensor.rank, r->rank);
        assert_int_equal(in->tensor.bytes, r->raw_len);
        assert_non_null(in->tensor.data);
        assert_memory_equal(in->tensor.data, r->raw, r->raw_len);
        assert_ptr_equal(in->account, trp_heap());
    }
    fixture_close(&f);
}

static void nan_comes_in_as_a_token_and_as_a_string(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    assert_int_equal(
        decode_json(&f, HEAD "[2],\"datatype\":\"FP32\",\"data\":[NaN,\"NaN\"]}]}").code, TRP_OK);
    const float *const v = f.call->inputs[0].tensor.data;
    assert_true(v[0] != v[0] && v[1] != v[1]);
    fixture_close(&f);
}

static void large_tensors_are_leased_and_come_home(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    char json[8192] = HEAD "[3000],\"datatype\":\"UINT8\",\"data\":[0";
    size_t len = strlen(json);
    for (int i = 1; i < 3000; i++)
        len += (size_t)snprintf(json + len, sizeof json - len, ",%d", i % 10);
    snprintf(json + len, sizeof json - len, "]}]}");
    assert_int_equal(decode_json(&f, json).code, TRP_OK);
    assert_int_equal(((const uint8_t *)f.call->inputs[0].tensor.data)[2999], 9);
    assert_true(trp_pool_leased_bytes(f.pool) >= 3000);
    fixture_call(&f);
    struct trp_lease *const other = trp_pool_acquire(f.pool, 1); /* lets the pool count */
    assert_int_equal(trp_pool_leased_bytes(f.pool), other->capacity);
    trp_lease_release(other);
    fixture_close(&f);
}

/* ---- refusals -------------------------------------------------------------------------------- */

struct bad_row {
    const char *json;
    int code;
    const char *words;
};

#define BAD(tail, words)                       \
    {                                          \
        HEAD tail, TRP_INVALID_ARGUMENT, words \
    }
#define BAD_OUTPUT(output, words)                                               \
    {                                                                           \
        "{\"inputs\":[],\"outputs\":[" output "]}", TRP_INVALID_ARGUMENT, words \
    }
#define BAD_PARAM(param, words)                                                   \
    {                                                                             \
        "{\"inputs\":[],\"parameters\":{" param "}}", TRP_INVALID_ARGUMENT, words \
    }
#define BAD_PLACE(place, words) \
    BAD("[1],\"datatype\":\"FP32\",\"parameters\":{" place "}}]}", words)

static const struct bad_row bad_rows[] = {
    { "", TRP_INVALID_ARGUMENT, "Unable to parse the request" },
    { "{", TRP_INVALID_ARGUMENT, "Unable to parse the request" },
    { "[]", TRP_INVALID_ARGUMENT, "expected an object, got an array" },
    { "{}", TRP_INVALID_ARGUMENT, "the request has no 'inputs'" },
    { "{\"inputs\":null}", TRP_INVALID_ARGUMENT, "the request has no 'inputs'" },
    { "{\"inputs\":{}}", TRP_INVALID_ARGUMENT, "Unable to parse 'inputs': expected an array" },
    { "{\"inputs\":[1]}", TRP_INVALID_ARGUMENT, "expected an array of objects" },
    { "{\"id\":7,\"inputs\":[]}", TRP_INVALID_ARGUMENT, "Unable to parse 'id'" },
    { "{\"inputs\":[],\"parameters\":[]}", TRP_INVALID_ARGUMENT, "Unable to parse 'parameters'" },
    { "{\"inputs\":[],\"outputs\":{}}", TRP_INVALID_ARGUMENT, "Unable to parse 'outputs'" },
    { "{\"inputs\":[{}]}", TRP_INVALID_ARGUMENT, "lacks its 'name'" },
    { "{\"inputs\":[{\"name\":\"A\"}]}", TRP_INVALID_ARGUMENT, "lacks its 'shape'" },
    { "{\"inputs\":[{\"name\":7,\"shape\":[1],\"datatype\":\"FP32\"}]}", TRP_INVALID_ARGUMENT,
      "Unable to parse 'name'" },
    { "{\"inputs\":[{},{},{},{},{},{},{},{},{}]}", TRP_TOO_LARGE, "9 inputs in one request" },
    BAD("[1]}]}", "lacks its 'datatype'"),
    BAD("[1],\"datatype\":7,\"data\":[1]}]}", "Unable to parse 'datatype'"),
    BAD("[1],\"datatype\":\"fp32\",\"data\":[1]}]}", "unknown datatype 'fp32'"),
    BAD("1,\"datatype\":\"FP32\",\"data\":[1]}]}", "Unable to parse 'shape'"),
    BAD("[\"1\"],\"datatype\":\"FP32\",\"data\":[1]}]}", "Unable to parse 'shape'"),
    BAD("[1.5],\"datatype\":\"FP32\",\"data\":[1]}]}", "Unable to parse 'shape'"),
    BAD("[-1],\"datatype\":\"FP32\",\"data\":[1]}]}", "dimension 0 is -1"),
    BAD("[9223372036854775808],\"datatype\":\"FP32\",\"data\":[1]}]}", "below 2^63"),
    BAD("[4294967296,4294967296],\"datatype\":\"FP32\",\"data\":[1]}]}",
        "[4294967296,4294967296] has a negative size or more elements"),
    BAD("[4611686018427387904],\"datatype\":\"FP32\",\"data\":[1]}]}", "more elements"),
    BAD("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],\"datatype\":\"FP32\",\"data\":[1]}]}",
        "17 dimensions"),
    BAD("[100000000],\"datatype\":\"FP32\",\"data\":[1]}]}", "too short to hold 100000000"),
    /* what does not fill the shape, or does not fit the type */
    BAD("[2],\"datatype\":\"FP32\",\"data\":[1]}]}", "Unable to parse 'data': input 'A'"),
    BAD("[1],\"datatype\":\"FP32\",\"data\":[1,2]}]}", "Unable to parse 'data'"),
    BAD("[1],\"datatype\":\"FP32\",\"data\":{}}]}", "Unable to parse 'data'"),
    BAD("[1],\"datatype\":\"FP32\",\"data\":[\"x\"]}]}", "Unable to parse 'data'"),
    BAD("[1],\"datatype\":\"FP32\",\"data\":[1e39]}]}", "Unable to parse 'data'"),
    BAD("[1],\"datatype\":\"INT32\",\"data\":[99999999999]}]}", "Unable to parse 'data'"),
    BAD("[1],\"datatype\":\"INT32\",\"data\":[1.5]}]}", "Unable to parse 'data'"),
    BAD("[1],\"datatype\":\"UINT8\",\"data\":[-1]}]}", "Unable to parse 'data'"),
    BAD("[1],\"datatype\":\"BOOL\",\"data\":[2]}]}", "Unable to parse 'data'"),
    BAD("[2],\"datatype\":\"BYTES\",\"data\":[\"x\"]}]}", "expected 2 strings, got 1"),
    BAD("[1],\"datatype\":\"BYTES\",\"data\":[1]}]}", "Unable to parse 'data'"),
    /* one source of data */
    BAD("[1],\"datatype\":\"FP32\"}]}", "But no field is set"),
    BAD("[1],\"datatype\":\"FP32\",\"data\":null}]}", "But no field is set"),
    BAD("[1],\"datatype\":\"FP32\",\"data\":[1],\"parameters\":{\"binary_data_size\":4}}]}",
        "But set 'data' 'binary_data_size'"),
    BAD_PLACE("\"binary_data_size\":4", "must specify valid 'Inference-Header-Content-Length'"),
    BAD_PLACE("\"binary_data_size\":-4", "Unable to parse 'binary_data_size'"),
    BAD_PLACE("\"binary_data_size\":\"4\"", "expected a non-negative integer, got a string"),
    BAD_PLACE("\"binary_data_size\":[4]", "expected a string, a number or a boolean"),
    BAD("[1],\"datatype\":\"FP32\",\"parameters\":7}]}", "Unable to parse 'parameters'"),
    BAD_PLACE("\"shared_memory_region\":\"r\"", "needs 'shared_memory_byte_size'"),
    BAD_PLACE("\"shared_memory_region\":7,\"shared_memory_byte_size\":4", "expected a string"),
    BAD_PLACE("\"shared_memory_region\":\"\",\"shared_memory_byte_size\":4", "is empty"),
    BAD_PLACE("\"shared_memory_byte_size\":4,\"binary_data_size\":4",
              "needs 'shared_memory_region'"),
    BAD_PLACE("\"shared_memory_region\":\"r\",\"shared_memory_byte_size\":8",
              "'shared_memory_byte_size' is 8 bytes, but shape [1] of FP32 needs 4"),
    /* outputs */
    BAD_OUTPUT("1", "expected an array of objects"),
    BAD_OUTPUT("{}", "lacks its 'name'"),
    BAD_OUTPUT("{\"name\":1}", "Unable to parse 'name'"),
    BAD_OUTPUT("{\"name\":\"Y\",\"parameters\":{\"binary_data\":1}}", "expected a boolean"),
    BAD_OUTPUT("{\"name\":\"Y\",\"parameters\":{\"classification\":0}}", "expected 1 to"),
    BAD_OUTPUT("{\"name\":\"Y\",\"parameters\":{\"classification\":-1}}", "a non-negative integer"),
    BAD_OUTPUT("{\"name\":\"Y\",\"parameters\":{\"classification\":1,"
               "\"shared_memory_region\":\"r\",\"shared_memory_byte_size\":4}}",
               "can't set both 'shared_memory_region' and 'classification'"),
    BAD_OUTPUT("{\"name\":\"Y\",\"parameters\":{\"binary_data\":true,"
               "\"shared_memory_region\":\"r\",\"shared_memory_byte_size\":4}}",
               "can't set both 'shared_memory_region' and 'binary_data'"),
    /* parameters */
    BAD_PARAM("\"triton_x\":1", "starting with 'triton_' are reserved"),
    BAD_PARAM("\"triton_enable_empty_final_response\":1", "expected a boolean, got an integer"),
    BAD_PARAM("\"sequence_id\":-1", "expected a non-negative integer, got a negative integer"),
    BAD_PARAM("\"sequence_id\":true", "got a boolean"),
    BAD_PARAM("\"sequence_start\":1", "expected a boolean"),
    BAD_PARAM("\"sequence_end\":\"x\"", "expected a boolean"),
    BAD_PARAM("\"priority\":1.5", "got a number with a fraction"),
    BAD_PARAM("\"timeout\":\"5\"", "parameter 'timeout': expected a non-negative integer"),
    BAD_PARAM("\"binary_data_output\":\"true\"", "expected a boolean"),
    BAD_PARAM("\"own\":{}", "parameter 'own': expected a string, a number or a boolean"),
    { "{\"inputs\":[],\"parameters\":{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1}}", TRP_TOO_LARGE,
      "5 parameters in one request, at most 4" },
};

static void a_clients_mistake_is_named(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    for (const struct bad_row *r = bad_rows; r < bad_rows + ARRAY_LEN(bad_rows); r++) {
        print_message("%s\n", r->json);
        const trp_status st = decode_json(&f, r->json);
        if (!strstr(f.err.text, r->words))
            print_error("got: %s\n", f.err.text);
        assert_int_equal(st.code, r->code);
        assert_non_null(strstr(f.err.text, r->words));
        assert_int_equal(f.err.status.code, r->code);
    }
    fixture_close(&f);
}

static void more_bytes_than_allowed_are_refused_before_memory_is_taken(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    f.codec.bytes_max = 7;
    assert_int_equal(decode_json(&f, HEAD "[2],\"datatype\":\"FP32\",\"data\":[1,2]}]}").code,
                     TRP_TOO_LARGE);
    assert_int_equal(decode_json(&f, HEAD "[1],\"datatype\":\"BYTES\",\"data\":[\"abcd\"]}]}").code,
                     TRP_TOO_LARGE);
    assert_int_equal(decode_json(&f, HEAD "[1],\"datatype\":\"FP32\",\"data\":[1]}]}").code,
                     TRP_OK);
    fixture_close(&f);
}

/* ---- binary tensors -------------------------------------------------------------------------- */

#define BINARY(name, datatype, size)                                \
    "{\"name\":\"" name "\",\"shape\":[1],\"datatype\":\"" datatype \
    "\",\"parameters\":{\"binary_data_size\":" size "}}"

/* Decodes [json | block], placed so that the block is `skew` bytes off a multiple of 64. */
static trp_status decode_binary(struct fixture *f, const char *json, struct trp_str block,
                                size_t skew, bool lease)
{
    static char storage[4096];
    struct trp_call *const call = fixture_call(f);
    const size_t json_len = strlen(json);
    struct trp_lease *const body = lease ? trp_pool_acquire(f->pool, sizeof storage) : NULL;
    char *const base = body ? body->ptr : storage;
    const size_t before = (64 - ((uintptr_t)base + json_len) % 64) % 64 + skew;
    memcpy(base + before, json, json_len);
    memcpy(base + before + json_len, block.ptr, block.len);
    call->body = body;
    return trp_oip_decode_http(&f->codec, call, trp_str_make(base + before, json_len + block.len),
                               true, (int64_t)json_len, &f->err);
}

static void aligned_blocks_become_views_that_hold_the_body(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    const trp_status st = decode_binary(
        &f, "{\"inputs\":[" BINARY("A", "FP32", "4") "," BINARY("B", "UINT8", "1") "]}",
        TRP_STR_LIT("\0\0\x80\x3f\7"), 0, true);
    assert_string_equal(f.err.text, "");
    assert_int_equal(st.code, TRP_OK);
    const struct troupe_tensor *const a = &f.call->inputs[0].tensor, *const b =
                                                                         &f.call->inputs[1].tensor;
    assert_true(*(const float *)a->data == 1.0f);
    assert_int_equal(*(const uint8_t *)b->data, 7);
    assert_ptr_equal((const char *)a->data + 4, b->data);
    assert_ptr_equal(a->release_user, f.call->body);
    assert_int_equal(f.codec.copied_bytes, 0);
    fixture_close(&f); /* the pool asserts that every lease came home */
}

static void a_block_that_is_not_aligned_is_copied_and_counted(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    const trp_status st = decode_binary(&f, "{\"inputs\":[" BINARY("A", "FP32", "4") "]}",
                                        TRP_STR_LIT("\0\0\x80\x3f"), 1, false);
    assert_int_equal(st.code, TRP_OK);
    assert_true(*(const float *)f.call->inputs[0].tensor.data == 1.0f);
    assert_int_equal((uintptr_t)f.call->inputs[0].tensor.data % 4, 0);
    assert_int_equal(f.codec.copied_bytes, 4);
    fixture_close(&f);
}

static void json_and_binary_inputs_mix(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    const trp_status st = decode_binary(
        &f,
        "{\"inputs\":[" BINARY("A", "UINT8", "1") ",{\"name\":\"B\",\"shape\":[1],\"datatype\":"
                                                  "\"UINT8\",\"data\":[2]}," BINARY("C", "BYTES",
                                                                                    "5") "]}",
        TRP_STR_LIT("\1\1\0\0\0x"), 0, false);
    assert_string_equal(f.err.text, "");
    assert_int_equal(st.code, TRP_OK);
    assert_int_equal(*(const uint8_t *)f.call->inputs[0].tensor.data, 1);
    assert_int_equal(*(const uint8_t *)f.call->inputs[1].tensor.data, 2);
    assert_memory_equal(f.call->inputs[2].tensor.data, "\1\0\0\0x", 5);
    fixture_close(&f);
}

static void binary_sizes_must_add_up(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        struct trp_str block;
        const char *words;
    } rows[] = {
        { "{\"inputs\":[" BINARY("A", "FP32", "4") "]}",
          { "\0\0\0", 3 },
          "unexpected size for input 'A', expecting 1 additional bytes for model 'm'" },
        { "{\"inputs\":[" BINARY("A", "FP32", "4") "]}",
          { "\0\0\0\0\0", 5 },
          "unexpected additional input data for model 'm'" },
        { "{\"inputs\":[" BINARY("A", "FP32", "5") "]}",
          { "\0\0\0\0\0", 5 },
          "'binary_data_size' is 5 bytes, but shape [1] of FP32 needs 4" },
        { "{\"inputs\":[" BINARY("A", "BYTES", "18446744073709551615") "]}",
          { "\0", 1 },
          "more than 1048576 bytes" },
        { "{\"inputs\":[]}", { "\0", 1 }, "unexpected additional input data for model 'm'" },
    };
    struct fixture f;
    fixture_open(&f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        print_message("%s\n", rows[i].json);
        const trp_status st = decode_binary(&f, rows[i].json, rows[i].block, 0, i % 2 == 0);
        if (!strstr(f.err.text, rows[i].words))
            print_error("got: %s\n", f.err.text);
        assert_true(trp_failed(st));
        assert_non_null(strstr(f.err.text, rows[i].words));
    }
    fixture_close(&f);
}

static void the_header_may_span_the_whole_body_and_no_more(void **state)
{
    (void)state;
    struct fixture f;
    const struct trp_str json = TRP_STR_LIT(HEAD "[1],\"datatype\":\"UINT8\",\"data\":[1]}]}");
    const int64_t len = (int64_t)json.len;
    fixture_open(&f);
    assert_int_equal(trp_oip_decode_http(&f.codec, fixture_call(&f), json, false, len, &f.err).code,
                     TRP_OK);
    assert_int_equal(
        trp_oip_decode_http(&f.codec, fixture_call(&f), json, false, len + 1, &f.err).code,
        TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(f.err.text, "Inference-Header-Content-Length is"));
    assert_int_equal(trp_oip_decode_http(&f.codec, fixture_call(&f), json, false, -2, &f.err).code,
                     TRP_INVALID_ARGUMENT);
    assert_int_equal(
        trp_oip_decode_http(&f.codec, fixture_call(&f), json, false, len - 1, &f.err).code,
        TRP_INVALID_ARGUMENT);
    fixture_close(&f);
}

static void a_raw_request_is_one_nameless_input_and_binary_outputs(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    _Alignas(8) static const char body[] = "12345678";
    struct trp_call *call = fixture_call(&f);
    assert_int_equal(
        trp_oip_decode_http(&f.codec, call, trp_str_make(body, 8), false, 0, &f.err).code, TRP_OK);
    assert_int_equal(call->inputs_n, 1);
    assert_int_equal(call->inputs[0].name.len, 0);
    assert_int_equal(call->inputs[0].tensor.dtype, TROUPE_NO_DTYPE);
    assert_int_equal(call->inputs[0].tensor.bytes, 8);
    assert_ptr_equal(call->inputs[0].tensor.data, body);
    assert_true(call->binary_default);
    call = fixture_call(&f); /* an odd address: whatever the type is, it must be aligned */
    assert_int_equal(
        trp_oip_decode_http(&f.codec, call, trp_str_make(body + 1, 7), false, 0, &f.err).code,
        TRP_OK);
    assert_int_equal((uintptr_t)call->inputs[0].tensor.data % 8, 0);
    assert_int_equal(f.codec.copied_bytes, 7);
    f.codec.bytes_max = 6;
    call = fixture_call(&f);
    assert_int_equal(
        trp_oip_decode_http(&f.codec, call, trp_str_make(body, 8), false, 0, &f.err).code,
        TRP_TOO_LARGE);
    fixture_close(&f);
}

/* ---- the rest of the request ----------------------------------------------------------------- */

static void ids_parameters_and_wishes_arrive(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct trp_call *const call = fixture_call(&f);
    call->stamps_ns[TRP_PHASE_ARRIVED] = 1000;
    const struct trp_str json = TRP_STR_LIT(
        "{\"id\":\"4\\u00e9\",\"unknown\":[1],\"parameters\":{\"sequence_id\":\"s\","
        "\"sequence_start\":true,\"timeout\":5,\"own\":-2},\"inputs\":[{\"name\":\"A\",\"shape\":"
        "[2],\"datatype\":\"FP32\",\"x\":1,\"parameters\":{\"shared_memory_region\":\"r\","
        "\"shared_memory_offset\":16,\"shared_memory_byte_size\":8,\"none\":null}}],"
        "\"outputs\":[{\"name\":\"Y\",\"parameters\":{\"binary_data\":true,\"classification\":3}},"
        "{\"name\":\"Z\",\"parameters\":{\"shared_memory_region\":\"q\",\"shared_memory_byte_"
        "size\":"
        "4}},{\"name\":\"W\",\"parameters\":null}]}");
    assert_int_equal(trp_oip_decode_http(&f.codec, call, json, false, -1, &f.err).code, TRP_OK);
    assert_true(trp_str_is(call->id, "4\xc3\xa9"));
    assert_true(trp_str_is(call->sequence_text, "s"));
    assert_true(call->sequence_start && !call->sequence_end);
    assert_int_equal(call->deadline_ns, 6000);
    assert_int_equal(call->params_n, 1);
    assert_int_equal(trp_call_param(call, trp_str_of("own"))->v.i, -2);
    const struct trp_call_tensor *const in = &call->inputs[0];
    assert_true(trp_str_is(in->region, "r"));
    assert_int_equal(in->region_offset, 16);
    assert_int_equal(in->region_bytes, 8);
    assert_int_equal(in->tensor.bytes, 8);
    assert_null(in->tensor.data);
    assert_int_equal(call->wanted_n, 3);
    assert_true(call->wanted_named);
    assert_true(call->wanted[0].binary && call->wanted[0].binary_set);
    assert_int_equal(call->wanted[0].classification, 3);
    assert_true(trp_str_is(call->wanted[1].region, "q"));
    assert_int_equal(call->wanted[1].region_bytes, 4);
    assert_true(!call->wanted[2].binary_set);
    fixture_close(&f);
}

static void parameters_of_every_kind_are_kept_the_last_of_a_name(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    assert_int_equal(decode_json(&f,
                                 "{\"parameters\":{\"a\":1,\"a\":18446744073709551615,\"b\":1.5,"
                                 "\"c\":\"x\"},\"inputs\":[],\"outputs\":[]}")
                         .code,
                     TRP_OK);
    assert_int_equal(f.call->params_n, 3);
    assert_int_equal(trp_call_param(f.call, trp_str_of("a"))->kind, TRP_PARAM_UINT);
    assert_true(trp_call_param(f.call, trp_str_of("b"))->v.d == 1.5);
    assert_true(trp_str_is(trp_call_param(f.call, trp_str_of("c"))->v.s, "x"));
    assert_false(f.call->wanted_named);
    assert_int_equal(decode_json(&f, "{\"parameters\":{\"sequence_id\":7,\"sequence_end\":true,"
                                     "\"priority\":2,\"binary_data_output\":true},\"inputs\":[],"
                                     "\"id\":null,\"outputs\":null}")
                         .code,
                     TRP_OK);
    assert_int_equal(f.call->sequence_number, 7);
    assert_true(f.call->sequence_end && f.call->binary_default);
    assert_int_equal(f.call->priority, 2);
    assert_int_equal(decode_json(&f, "{\"parameters\":{\"triton_enable_empty_final_response\":true,"
                                     "\"gone\":null},\"inputs\":[]}")
                         .code,
                     TRP_OK);
    assert_true(trp_call_param(f.call, trp_str_of("triton_enable_empty_final_response"))->v.b);
    fixture_close(&f);
}

static void the_earlier_deadline_wins_and_none_overflows(void **state)
{
    (void)state;
    static const struct {
        int64_t arrived, before;
        const char *timeout;
        int64_t want;
    } rows[] = {
        { 10, 0, "0", 0 },
        { 10, 0, "3", 3010 },
        { 10, 2000, "3", 2000 },
        { 10, 5000, "3", 3010 },
        { 10, 0, "18446744073709551615", INT64_MAX },
        { 10, 0, "9223372036854775", INT64_MAX },
        { 10, 7, "9223372036854775807", 7 },
    };
    struct fixture f;
    fixture_open(&f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char json[128];
        struct trp_call *const call = fixture_call(&f);
        call->stamps_ns[TRP_PHASE_ARRIVED] = rows[i].arrived;
        call->deadline_ns = rows[i].before;
        snprintf(json, sizeof json, "{\"inputs\":[],\"parameters\":{\"timeout\":%s}}",
                 rows[i].timeout);
        assert_int_equal(
            trp_oip_decode_http(&f.codec, call, trp_str_of(json), false, -1, &f.err).code, TRP_OK);
        assert_int_equal(call->deadline_ns, rows[i].want);
    }
    fixture_close(&f);
}

static void a_request_to_be_explained_says_how_it_would_come(void **state)
{
    (void)state;
    static const struct row {
        const char *protocol, *error; /* NULL: it is understood */
        enum trp_protocol explained;
    } rows[] = {
        { "", NULL, TRP_PROTOCOL_HTTP2 },
        { ",\"protocol\":null", NULL, TRP_PROTOCOL_HTTP2 },
        { ",\"protocol\":\"http\"", NULL, TRP_PROTOCOL_HTTP1 },
        { ",\"protocol\":\"grpc\"", NULL, TRP_PROTOCOL_GRPC },
        { ",\"protocol\":\"internal\"", NULL, TRP_PROTOCOL_INTERNAL },
        { ",\"protocol\":\"GRPC\"",
          "Unable to parse 'protocol': 'GRPC' is not http, grpc or internal", 0 },
        { ",\"protocol\":2", "Unable to parse 'protocol': expected a string, got an integer", 0 },
    };
    struct fixture f;
    fixture_open(&f);
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        char json[256];
        (void)snprintf(json, sizeof json, "{\"inputs\":[]%s}", r->protocol);
        struct trp_call *call = fixture_call(&f);
        call->protocol = TRP_PROTOCOL_HTTP2;
        trp_status st =
            trp_oip_decode_explained(&f.codec, call, trp_str_of(json), false, -1, &f.err);
        assert_string_equal(trp_failed(st) ? f.err.text : "", r->error ? r->error : "");
        if (!r->error)
            assert_int_equal(call->protocol, r->explained);
        call = fixture_call(&f);
        call->protocol = TRP_PROTOCOL_HTTP2;
        st = trp_oip_decode_http(&f.codec, call, trp_str_of(json), false, -1, &f.err);
        assert_false(trp_failed(st)); /* of one that is answered nobody asks */
        assert_int_equal(call->protocol, TRP_PROTOCOL_HTTP2);
    }
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_datatype_comes_in_as_json),
        cmocka_unit_test(nan_comes_in_as_a_token_and_as_a_string),
        cmocka_unit_test(large_tensors_are_leased_and_come_home),
        cmocka_unit_test(a_clients_mistake_is_named),
        cmocka_unit_test(more_bytes_than_allowed_are_refused_before_memory_is_taken),
        cmocka_unit_test(aligned_blocks_become_views_that_hold_the_body),
        cmocka_unit_test(a_block_that_is_not_aligned_is_copied_and_counted),
        cmocka_unit_test(json_and_binary_inputs_mix),
        cmocka_unit_test(binary_sizes_must_add_up),
        cmocka_unit_test(the_header_may_span_the_whole_body_and_no_more),
        cmocka_unit_test(a_raw_request_is_one_nameless_input_and_binary_outputs),
        cmocka_unit_test(ids_parameters_and_wishes_arrive),
        cmocka_unit_test(parameters_of_every_kind_are_kept_the_last_of_a_name),
        cmocka_unit_test(the_earlier_deadline_wins_and_none_overflows),
        cmocka_unit_test(a_request_to_be_explained_says_how_it_would_come),
    };
    return cmocka_run_group_tests_name("oip_json_decode", tests, NULL, NULL);
}

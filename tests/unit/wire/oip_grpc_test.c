/* inference.ModelInferRequest and ModelInferResponse: read and written by hand. */
#include "base/pbwire.h"
#include "unit/wire/oip_fixture.h"

#define RAW(literal)                 \
    {                                \
        literal, sizeof(literal) - 1 \
    }

/* ---- building requests ----------------------------------------------------------------------- */

struct message {
    struct trp_buf b;
    _Alignas(64) char placed[4096 + 64]; /* where it is decoded, at a chosen distance from 64 */
};

static void open_message(struct message *m)
{
    trp_buf_init(&m->b, trp_heap(), 1 << 20);
}

static void add_shape(struct message *m, uint32_t rank, const int64_t *shape, bool packed)
{
    const size_t run = packed ? trp_pb_begin(&m->b, 3) : 0;
    for (uint32_t i = 0; i < rank; i++) {
        if (packed)
            trp_pb_write_varint(&m->b, (uint64_t)shape[i]);
        else
            trp_pb_write_i64(&m->b, 3, shape[i]);
    }
    if (packed)
        trp_pb_end(&m->b, run);
}

static size_t begin_input(struct message *m, const char *name, const char *datatype, int64_t n)
{
    const size_t input = trp_pb_begin(&m->b, 5);
    trp_pb_write_str(&m->b, 1, trp_str_of(name));
    trp_pb_write_str(&m->b, 2, trp_str_of(datatype));
    add_shape(m, 1, &n, true);
    return input;
}

/* An entry of a parameter map: kind is the member of the oneof. */
static void add_param(struct message *m, uint32_t map, const char *name, uint32_t kind,
                      const char *text, uint64_t number)
{
    const size_t entry = trp_pb_begin(&m->b, map);
    trp_pb_write_str(&m->b, 1, trp_str_of(name));
    const size_t value = trp_pb_begin(&m->b, 2);
    if (kind == 3)
        trp_pb_write_str(&m->b, 3, trp_str_of(text));
    else if (kind == 4)
        trp_pb_write_double(&m->b, 4, (double)number / 2);
    else if (kind != 0)
        trp_pb_write_u64(&m->b, kind, number);
    trp_pb_end(&m->b, value);
    trp_pb_end(&m->b, entry);
}

static void add_region(struct message *m, uint32_t map, const char *region, uint64_t bytes)
{
    add_param(m, map, "shared_memory_region", 3, region, 0);
    add_param(m, map, "shared_memory_byte_size", 2, "", bytes);
}

/* Decodes what was built, `skew` bytes off a multiple of 64, and empties the message. */
static trp_status decode(struct fixture *f, struct message *m, size_t skew)
{
    struct trp_call *const call = fixture_call(f);
    call->model = (struct trp_str){ 0 };
    const struct trp_str bytes = trp_buf_str(&m->b);
    assert_int_equal(m->b.failed, TRP_OK);
    assert_true(bytes.len <= 4096);
    if (bytes.len > 0)
        memcpy(m->placed + skew, bytes.ptr, bytes.len);
    trp_buf_reset(&m->b);
    return trp_oip_decode_grpc(&f->codec, call, trp_str_make(m->placed + skew, bytes.len), &f->err);
}

/* Decodes with the first raw payload where it is aligned. */
static trp_status decode_aligned(struct fixture *f, struct message *m)
{
    const int64_t offset = trp_oip_raw_offset(trp_buf_str(&m->b));
    return decode(f, m, offset < 0 ? 0 : (64 - (size_t)offset % 64) % 64);
}

/* ---- requests -------------------------------------------------------------------------------- */

static void a_raw_tensor_is_a_view_when_it_is_aligned(void **state)
{
    (void)state;
    struct fixture f;
    struct message m;
    const float values[2] = { 1.5f, -2.0f };
    fixture_open(&f);
    open_message(&m);
    for (int aligned = 0; aligned <= 1; aligned++) {
        trp_pb_write_str(&m.b, 1, trp_str_of("model"));
        trp_pb_write_str(&m.b, 2, trp_str_of("3"));
        trp_pb_write_str(&m.b, 3, trp_str_of("id-1"));
        trp_pb_end(&m.b, begin_input(&m, "A", "FP32", 2));
        trp_pb_write_str(&m.b, 7, trp_str_make((const char *)values, sizeof values));
        const size_t odd = (64 - (size_t)trp_oip_raw_offset(trp_buf_str(&m.b)) % 64) % 64 + 1;
        f.codec.copied_bytes = 0;
        assert_int_equal((aligned ? decode_aligned(&f, &m) : decode(&f, &m, odd % 64)).code,
                         TRP_OK);
        const struct troupe_tensor *const t = &f.call->inputs[0].tensor;
        assert_true(trp_str_is(f.call->model, "model"));
        assert_int_equal(f.call->version, 3);
        assert_true(trp_str_is(f.call->id, "id-1"));
        assert_true(trp_str_is(f.call->inputs[0].name, "A"));
        assert_int_equal(t->dtype, TROUPE_FP32);
        assert_int_equal(t->rank, 1);
        assert_int_equal(t->shape[0], 2);
        assert_memory_equal(t->data, values, sizeof values);
        assert_int_equal(f.codec.copied_bytes, aligned ? 0 : sizeof values);
        const bool inside =
            (const char *)t->data >= m.placed && (const char *)t->data < m.placed + sizeof m.placed;
        assert_int_equal(inside, aligned);
    }
    trp_buf_deinit(&m.b);
    fixture_close(&f);
}

static void raw_contents_skip_inputs_in_shared_memory_and_may_come_first(void **state)
{
    (void)state;
    struct fixture f;
    struct message m;
    fixture_open(&f);
    open_message(&m);
    trp_pb_write_str(&m.b, 7, trp_str_of("a"));
    trp_pb_write_str(&m.b, 7, trp_str_of("c"));
    trp_pb_end(&m.b, begin_input(&m, "A", "UINT8", 1));
    const size_t b = begin_input(&m, "B", "UINT8", 1);
    add_region(&m, 4, "r", 1);
    trp_pb_end(&m.b, b);
    trp_pb_end(&m.b, begin_input(&m, "C", "UINT8", 1));
    assert_int_equal(decode(&f, &m, 0).code, TRP_OK);
    assert_int_equal(*(const char *)f.call->inputs[0].tensor.data, 'a');
    assert_null(f.call->inputs[1].tensor.data);
    assert_true(trp_str_is(f.call->inputs[1].region, "r"));
    assert_int_equal(f.call->inputs[1].region_bytes, 1);
    assert_int_equal(*(const char *)f.call->inputs[2].tensor.data, 'c');
    trp_buf_deinit(&m.b);
    fixture_close(&f);
}

static void a_message_of_many_fields_is_read_whole(void **state)
{
    (void)state;
    struct fixture f;
    struct message m;
    static const char names[8][2] = { "A", "B", "C", "D", "E", "F", "G", "H" };
    fixture_open(&f);
    open_message(&m);
    for (int i = 0; i < 8; i++) {
        const size_t output = trp_pb_begin(&m.b, 6);
        trp_pb_write_str(&m.b, 1, trp_str_of(names[i]));
        trp_pb_end(&m.b, output);
        trp_pb_end(&m.b, begin_input(&m, names[i], "UINT8", 1));
        trp_pb_write_str(&m.b, 7, trp_str_of(names[i]));
        trp_pb_write_str(&m.b, 99, trp_str_of("unknown"));
    }
    for (uint64_t i = 0; i < 4; i++)
        add_param(&m, 4, i % 2 ? "odd" : "even", 2, "", i);
    trp_pb_write_str(&m.b, 1, trp_str_of("model"));
    assert_int_equal(decode(&f, &m, 0).code, TRP_OK);
    assert_true(trp_str_is(f.call->model, "model"));
    assert_int_equal(f.call->inputs_n, 8);
    assert_int_equal(f.call->wanted_n, 8);
    for (int i = 0; i < 8; i++) {
        assert_true(trp_str_is(f.call->inputs[i].name, names[i]));
        assert_true(trp_str_is(f.call->wanted[i].name, names[i]));
        assert_int_equal(*(const char *)f.call->inputs[i].tensor.data, names[i][0]);
    }
    assert_int_equal(f.call->params_n, 2); /* the last of a name counts */
    assert_int_equal(trp_call_param(f.call, trp_str_of("odd"))->v.i, 3);
    trp_buf_deinit(&m.b);
    fixture_close(&f);
}

/* ---- typed contents -------------------------------------------------------------------------- */

struct typed_row {
    const char *datatype;
    uint32_t list;
    uint64_t values[2]; /* varints, or the bits of floats */
    struct trp_str raw;
};

static const struct typed_row typed_rows[] = {
    { "BOOL", 1, { 1, 0 }, RAW("\1\0") },
    { "INT8", 2, { (uint64_t)-128, 127 }, RAW("\x80\x7f") },
    { "INT16", 2, { (uint64_t)-2, 32767 }, RAW("\xfe\xff\xff\x7f") },
    { "INT32", 2, { (uint64_t)-2, 1 }, RAW("\xfe\xff\xff\xff\x01\x00\x00\x00") },
    { "INT64",
      3,
      { (uint64_t)INT64_MIN, 1 },
      RAW("\x00\x00\x00\x00\x00\x00\x00\x80\x01\x00\x00\x00\x00\x00\x00\x00") },
    { "UINT8", 4, { 0, 255 }, RAW("\x00\xff") },
    { "UINT16", 4, { 1, 65535 }, RAW("\x01\x00\xff\xff") },
    { "UINT32", 4, { 1, 4294967295 }, RAW("\x01\x00\x00\x00\xff\xff\xff\xff") },
    { "UINT64",
      5,
      { 1, UINT64_MAX },
      RAW("\x01\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff") },
    { "FP32", 6, { 0x3f800000, 0x7f800000 }, RAW("\x00\x00\x80\x3f\x00\x00\x80\x7f") },
    { "FP64",
      7,
      { 0x3ff0000000000000, 0 },
      RAW("\x00\x00\x00\x00\x00\x00\xf0\x3f\x00\x00\x00\x00\x00\x00\x00\x00") },
};

static void write_value(struct trp_buf *b, const struct typed_row *r, uint32_t i, bool packed)
{
    if (!packed)
        trp_pb_write_varint(b, r->list << 3 | (r->list == 6 ? 5 : r->list == 7 ? 1 : 0));
    if (r->list == 6)
        trp_pb_write_fixed32(b, (uint32_t)r->values[i]);
    else if (r->list == 7)
        trp_pb_write_fixed64(b, r->values[i]);
    else
        trp_pb_write_varint(b, r->values[i]);
}

/* 0: one packed run; 1: not packed; 2: half packed, half not; 3: two contents messages, which
 * protobuf merges */
static void write_contents(struct message *m, const struct typed_row *r, int how)
{
    for (uint32_t part = 0; part < (how == 3 ? 2 : 1); part++) {
        const size_t contents = trp_pb_begin(&m->b, 5);
        for (uint32_t i = 0; i < 2; i++) {
            const bool packed = how == 0 || how == 3 || (how == 2 && i == 0);
            if (how == 3 && i != part)
                continue;
            const size_t run = packed && (how != 0 || i == 0) ? trp_pb_begin(&m->b, r->list) : 0;
            write_value(&m->b, r, i, packed);
            if (how == 0 && i == 0)
                write_value(&m->b, r, ++i, true);
            if (packed)
                trp_pb_end(&m->b, run);
        }
        trp_pb_end(&m->b, contents);
    }
}

static void typed_contents_become_raw_packed_or_not(void **state)
{
    (void)state;
    struct fixture f;
    struct message m;
    fixture_open(&f);
    open_message(&m);
    for (const struct typed_row *r = typed_rows; r < typed_rows + ARRAY_LEN(typed_rows); r++)
        for (int how = 0; how < 4; how++) {
            print_message("%s, way %d\n", r->datatype, how);
            const size_t input = begin_input(&m, "A", r->datatype, 2);
            write_contents(&m, r, how);
            trp_pb_end(&m.b, input);
            const trp_status st = decode(&f, &m, 0);
            assert_string_equal(f.err.text, "");
            assert_int_equal(st.code, TRP_OK);
            assert_int_equal(f.call->inputs[0].tensor.bytes, r->raw.len);
            assert_memory_equal(f.call->inputs[0].tensor.data, r->raw.ptr, r->raw.len);
        }
    trp_buf_deinit(&m.b);
    fixture_close(&f);
}

static void strings_and_empty_tensors_come_typed_too(void **state)
{
    (void)state;
    struct fixture f;
    struct message m;
    fixture_open(&f);
    open_message(&m);
    size_t input = begin_input(&m, "A", "BYTES", 2);
    const size_t contents = trp_pb_begin(&m.b, 5);
    trp_pb_write_str(&m.b, 8, trp_str_of("ab"));
    trp_pb_write_str(&m.b, 8, trp_str_of(""));
    trp_pb_end(&m.b, contents);
    trp_pb_end(&m.b, input);
    trp_pb_end(&m.b, begin_input(&m, "B", "FP32", 0)); /* proto3 does not send what is empty */
    assert_int_equal(decode(&f, &m, 0).code, TRP_OK);
    assert_int_equal(f.call->inputs[0].tensor.bytes, 10);
    assert_memory_equal(f.call->inputs[0].tensor.data, "\2\0\0\0ab\0\0\0\0", 10);
    assert_int_equal(f.call->inputs[1].tensor.bytes, 0);
    assert_non_null(f.call->inputs[1].tensor.data);
    trp_buf_deinit(&m.b);
    fixture_close(&f);
}

/* ---- refusals -------------------------------------------------------------------------------- */

enum {
    BAD_NO_DATA,
    BAD_MIX,
    BAD_RAW_TOO_MANY,
    BAD_RAW_TOO_FEW,
    BAD_RAW_LEFT,
    BAD_RAW_SIZE,
    BAD_INT8,
    BAD_UINT8,
    BAD_INT32,
    BAD_LIST,
    BAD_FP16,
    BAD_COUNT,
    BAD_PACKED,
    BAD_DTYPE,
    BAD_NEGATIVE,
    BAD_PRODUCT,
    BAD_RANK,
    BAD_VERSION,
    BAD_ID,
    BAD_RESERVED,
    BAD_UNSET,
    BAD_TIMEOUT,
    BAD_CLASSES,
    BAD_REGION_AND_CONTENTS,
    BAD_WIRE_TYPE,
    BAD_TRUNCATED,
    BAD_INPUTS_N,
    BAD_PARAMS_N,
    BADS
};

static const struct {
    int code;
    const char *words;
} bads[BADS] = {
    [BAD_NO_DATA] = { TRP_INVALID_ARGUMENT, "input 'A' for model 'm' has no data" },
    [BAD_MIX] = { TRP_INVALID_ARGUMENT,
                  "contents field must not be specified when using raw_input_contents for 'A'" },
    [BAD_RAW_TOO_MANY] = { TRP_INVALID_ARGUMENT, "expected at most 1 raw_input_contents" },
    [BAD_RAW_TOO_FEW] = { TRP_INVALID_ARGUMENT, "input 'B': expected more than 1 raw_input" },
    [BAD_RAW_LEFT] = { TRP_INVALID_ARGUMENT, "expected 0 raw_input_contents" },
    [BAD_RAW_SIZE] = { TRP_INVALID_ARGUMENT,
                       "'raw_input_contents' is 3 bytes, but shape [1] of FP32 needs 4" },
    [BAD_INT8] = { TRP_INVALID_ARGUMENT, "element 0 of int_contents: 128 does not fit INT8" },
    [BAD_UINT8] = { TRP_INVALID_ARGUMENT, "element 0 of uint_contents: 256 does not fit UINT8" },
    [BAD_INT32] = { TRP_INVALID_ARGUMENT, "99999999999 does not fit INT32" },
    [BAD_LIST] = { TRP_INVALID_ARGUMENT, "fp32_contents given, but INT8 is sent in int_contents" },
    [BAD_FP16] = { TRP_INVALID_ARGUMENT,
                   "fp32_contents given, but FP16 is sent in raw_input_contents" },
    [BAD_COUNT] = { TRP_INVALID_ARGUMENT, "int_contents holds 1 elements, shape [2] needs 2" },
    [BAD_PACKED] = { TRP_INVALID_ARGUMENT, "fp32_contents: malformed protobuf" },
    [BAD_DTYPE] = { TRP_INVALID_ARGUMENT, "input 'A': unknown datatype 'FP33'" },
    [BAD_NEGATIVE] = { TRP_INVALID_ARGUMENT, "shape [-1] has a negative size" },
    [BAD_PRODUCT] = { TRP_INVALID_ARGUMENT, "more elements than can be counted" },
    [BAD_RANK] = { TRP_INVALID_ARGUMENT, "more than 16 dimensions" },
    [BAD_VERSION] = { TRP_INVALID_ARGUMENT, "specified version string '1st'" },
    [BAD_ID] = { TRP_INVALID_ARGUMENT, "id: not UTF-8" },
    [BAD_RESERVED] = { TRP_INVALID_ARGUMENT, "starting with 'triton_' are reserved" },
    [BAD_UNSET] = { TRP_INVALID_ARGUMENT, "invalid value type for 'x' parameter" },
    [BAD_TIMEOUT] = { TRP_INVALID_ARGUMENT, "parameter 'timeout': expected a non-negative" },
    [BAD_CLASSES] = { TRP_INVALID_ARGUMENT, "'classification' is 0" },
    [BAD_REGION_AND_CONTENTS] = { TRP_INVALID_ARGUMENT, "must not set 'contents' together" },
    [BAD_WIRE_TYPE] = { TRP_INVALID_ARGUMENT, "ModelInferRequest: field 1 has a wrong wire type" },
    [BAD_TRUNCATED] = { TRP_INVALID_ARGUMENT, "ModelInferRequest: malformed protobuf" },
    [BAD_INPUTS_N] = { TRP_TOO_LARGE, "9 inputs in one request, at most 8" },
    [BAD_PARAMS_N] = { TRP_TOO_LARGE, "5 parameters in one request, at most 4" },
};

/* An input with one element of a contents list. */
static void add_typed(struct message *m, const char *datatype, int64_t n, uint32_t list, uint64_t v)
{
    const struct typed_row row = { .list = list, .values = { v } };
    const size_t input = begin_input(m, "A", datatype, n), contents = trp_pb_begin(&m->b, 5);
    write_value(&m->b, &row, 0, false);
    trp_pb_end(&m->b, contents);
    trp_pb_end(&m->b, input);
}

static void build_bad_input(struct message *m, int bad)
{
    static const int64_t product[] = { (int64_t)1 << 32, (int64_t)1 << 32 };
    static const int64_t rank[17] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    const size_t input =
        begin_input(m, "A", bad == BAD_DTYPE ? "FP33" : "FP32", bad == BAD_NEGATIVE ? -1 : 1);
    if (bad == BAD_PRODUCT)
        add_shape(m, 2, product, false);
    if (bad == BAD_RANK)
        add_shape(m, 17, rank, true);
    if (bad == BAD_REGION_AND_CONTENTS)
        add_region(m, 4, "r", 4);
    if (bad == BAD_PACKED || bad == BAD_REGION_AND_CONTENTS) {
        const size_t contents = trp_pb_begin(&m->b, 5);
        trp_pb_write_str(&m->b, 6, trp_str_of("\1\2\3"));
        trp_pb_end(&m->b, contents);
    }
    trp_pb_end(&m->b, input);
    if (bad == BAD_NEGATIVE || bad == BAD_PRODUCT || bad == BAD_DTYPE)
        trp_pb_write_str(&m->b, 7, trp_str_of("1234"));
}

static void build_bad_raw(struct message *m, int bad)
{
    if (bad == BAD_RAW_LEFT) {
        const size_t input = begin_input(m, "A", "FP32", 1);
        add_region(m, 4, "r", 4);
        trp_pb_end(&m->b, input);
    } else {
        trp_pb_end(&m->b, begin_input(m, "A", "FP32", 1));
    }
    if (bad == BAD_RAW_TOO_FEW)
        trp_pb_end(&m->b, begin_input(m, "B", "FP32", 1));
    trp_pb_write_str(&m->b, 7, trp_str_of(bad == BAD_RAW_SIZE ? "123" : "1234"));
    if (bad == BAD_RAW_TOO_MANY)
        trp_pb_write_str(&m->b, 7, trp_str_of("1234"));
}

static void build_bad_rest(struct message *m, int bad)
{
    if (bad == BAD_VERSION)
        trp_pb_write_str(&m->b, 2, trp_str_of("1st"));
    else if (bad == BAD_ID)
        trp_pb_write_str(&m->b, 3, trp_str_of("\xff"));
    else if (bad == BAD_RESERVED)
        add_param(m, 4, "triton_x", 1, "", 1);
    else if (bad == BAD_UNSET)
        add_param(m, 4, "x", 0, "", 0);
    else if (bad == BAD_TIMEOUT)
        add_param(m, 4, "timeout", 2, "", (uint64_t)-5);
    else if (bad == BAD_WIRE_TYPE)
        trp_pb_write_u64(&m->b, 1, 7);
    else if (bad == BAD_TRUNCATED)
        trp_buf_add(&m->b, "\x0a\x05", 2);
    for (int i = 0; i < 9 && bad == BAD_INPUTS_N; i++)
        trp_pb_end(&m->b, begin_input(m, "A", "FP32", 1));
    for (int i = 0; i < 5 && bad == BAD_PARAMS_N; i++)
        add_param(m, 4, "x", 1, "", 1);
    if (bad == BAD_CLASSES) {
        const size_t output = trp_pb_begin(&m->b, 6);
        add_param(m, 2, "classification", 2, "", 0);
        trp_pb_end(&m->b, output);
    }
}

static void build_bad(struct message *m, int bad)
{
    if (bad != BAD_WIRE_TYPE)
        trp_pb_write_str(&m->b, 1, trp_str_of("m"));
    switch (bad) {
    case BAD_NO_DATA:
        trp_pb_end(&m->b, begin_input(m, "A", "FP32", 1));
        return;
    case BAD_MIX:
        add_typed(m, "FP32", 1, 6, 0);
        trp_pb_write_str(&m->b, 7, trp_str_of("1234"));
        return;
    case BAD_INT8:
        add_typed(m, "INT8", 1, 2, 128);
        return;
    case BAD_UINT8:
        add_typed(m, "UINT8", 1, 4, 256);
        return;
    case BAD_INT32:
        add_typed(m, "INT32", 1, 2, 99999999999);
        return;
    case BAD_LIST:
        add_typed(m, "INT8", 1, 6, 0);
        return;
    case BAD_FP16:
        add_typed(m, "FP16", 1, 6, 0);
        return;
    case BAD_COUNT:
        add_typed(m, "INT8", 2, 2, 1);
        return;
    default:
        break;
    }
    if (bad <= BAD_RAW_SIZE)
        build_bad_raw(m, bad);
    else if (bad < BAD_VERSION || bad == BAD_REGION_AND_CONTENTS)
        build_bad_input(m, bad);
    else
        build_bad_rest(m, bad);
}

static void a_clients_mistake_is_named(void **state)
{
    (void)state;
    struct fixture f;
    struct message m;
    fixture_open(&f);
    open_message(&m);
    for (int bad = 0; bad < BADS; bad++) {
        build_bad(&m, bad);
        const trp_status st = decode(&f, &m, 0);
        if (!strstr(f.err.text, bads[bad].words))
            print_error("row %d: %s\n", bad, f.err.text);
        assert_int_equal(st.code, bads[bad].code);
        assert_non_null(strstr(f.err.text, bads[bad].words));
    }
    trp_buf_deinit(&m.b);
    fixture_close(&f);
}

static void parameters_and_wishes_arrive(void **state)
{
    (void)state;
    struct fixture f;
    struct message m;
    fixture_open(&f);
    open_message(&m);
    add_param(&m, 4, "sequence_id", 2, "", 42);
    add_param(&m, 4, "sequence_start", 1, "", 1);
    add_param(&m, 4, "priority", 5, "", 3);
    add_param(&m, 4, "own", 4, "", 3);
    size_t output = trp_pb_begin(&m.b, 6);
    trp_pb_write_str(&m.b, 1, trp_str_of("Y"));
    add_param(&m, 2, "classification", 2, "", 5);
    trp_pb_end(&m.b, output);
    output = trp_pb_begin(&m.b, 6);
    trp_pb_write_str(&m.b, 1, trp_str_of("Z"));
    add_region(&m, 2, "r", 16);
    add_param(&m, 2, "shared_memory_offset", 2, "", 64);
    trp_pb_end(&m.b, output);
    assert_int_equal(decode(&f, &m, 0).code, TRP_OK);
    assert_int_equal(f.call->sequence_number, 42);
    assert_true(f.call->sequence_start);
    assert_int_equal(f.call->priority, 3);
    assert_true(trp_call_param(f.call, trp_str_of("own"))->v.d == 1.5);
    assert_int_equal(f.call->wanted_n, 2);
    assert_int_equal(f.call->wanted[0].classification, 5);
    assert_true(trp_str_is(f.call->wanted[1].region, "r"));
    assert_int_equal(f.call->wanted[1].region_bytes, 16);
    assert_int_equal(f.call->wanted[1].region_offset, 64);
    trp_buf_deinit(&m.b);
    fixture_close(&f);
}

static void the_raw_payload_is_found_in_the_beginning_of_a_message(void **state)
{
    (void)state;
    static const struct {
        struct trp_str head;
        int64_t want;
    } rows[] = {
        { RAW("\x0a\x01m\x3a\x04"), 5 }, /* the payload itself has not come yet */
        { RAW("\x3a\x80\x80\x04xx"), 4 },
        { RAW("\x08\x96\x01\x15"
              "1234"
              "\x19"
              "12345678"
              "\x3a\x01z"),
          19 },
        { RAW("\x0a\x01m"), -1 },
        { RAW("\x0a\x7fm"), -1 }, /* the head ends inside an earlier field */
        { RAW("\x3a"), -1 },
        { RAW("\x3a\x80"), -1 },
        { RAW("\x3b"), -1 },
        { RAW(""), -1 },
        { RAW("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), -1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(trp_oip_raw_offset(rows[i].head), rows[i].want);
}

/* ---- replies --------------------------------------------------------------------------------- */

struct reply {
    struct trp_str model, version, id, message;
    struct trp_str outputs[4], raw[4], params[6];
    uint32_t outputs_n, raw_n, params_n;
};

static void read_reply(struct trp_str bytes, struct reply *out)
{
    struct trp_pb_reader reader = trp_pb_reader_of(bytes);
    struct trp_pb_field field;
    enum trp_pb_next next;
    memset(out, 0, sizeof *out);
    while ((next = trp_pb_next(&reader, &field)) == TRP_PB_FIELD) {
        assert_int_equal(field.type, TRP_PB_BYTES);
        if (field.number == 1)
            out->model = field.bytes;
        else if (field.number == 2)
            out->version = field.bytes;
        else if (field.number == 3)
            out->id = field.bytes;
        else if (field.number == 4)
            out->params[out->params_n++] = field.bytes;
        else if (field.number == 5)
            out->outputs[out->outputs_n++] = field.bytes;
        else if (field.number == 6)
            out->raw[out->raw_n++] = field.bytes;
    }
    assert_int_equal(next, TRP_PB_END);
}

static void a_reply_has_one_raw_entry_for_each_output(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_reply reply = { 0 };
    struct reply read;
    static const float floats[] = { 1, 2 };
    static const int64_t shape[] = { 1, 2 }, nothing[] = { 0 };
    char region[8] = { 0 };
    fixture_open(&f);
    trp_buf_init(&reply.text, trp_heap(), 1 << 16);
    struct trp_call *const call = fixture_call(&f);
    fixture_outputs(call, 4);
    fixture_fill(call, 0, TROUPE_FP32, 2, shape, floats, 8);
    fixture_fill(call, 1, TROUPE_FP32, 2, shape, floats, 8);
    fixture_fill(call, 2, TROUPE_UINT8, 1, nothing, "", 0);
    fixture_fill(call, 3, TROUPE_UINT8, 0, NULL, "z", 1);
    call->wanted[1].region = trp_str_of("r");
    call->wanted[1].memory = region;
    call->wanted[1].memory_bytes = sizeof region;
    call->id = trp_str_of("7");
    call->answered_version = 12;
    assert_int_equal(trp_oip_encode_grpc(&f.codec, call, false, false, &reply, &f.err).code,
                     TRP_OK);
    assert_int_equal(reply.json_bytes, -1);
    assert_ptr_equal(reply.parts[1].ptr, floats); /* where it lies */
    const struct trp_str all = fixture_join(&reply);
    read_reply(all, &read);
    assert_true(trp_str_is(read.model, "m"));
    assert_true(trp_str_is(read.version, "12"));
    assert_true(trp_str_is(read.id, "7"));
    assert_int_equal(read.params_n, 0);
    assert_int_equal(read.outputs_n, 4);
    assert_memory_equal(read.outputs[0].ptr,
                        "\x0a\x04OUT0\x12\x04"
                        "FP32\x1a\x02\x01\x02",
                        16);
    assert_int_equal(read.raw_n, 4);
    assert_int_equal(read.raw[0].len, 8);
    assert_memory_equal(read.raw[0].ptr, floats, 8);
    assert_int_equal(read.raw[1].len, 0);
    assert_memory_equal(region, floats, 8);
    assert_int_equal(read.raw[2].len, 0);
    assert_true(trp_str_is(read.raw[3], "z"));
    free((char *)(uintptr_t)all.ptr);
    trp_buf_deinit(&reply.text);
    fixture_close(&f);
}

static void a_reply_says_what_else_is_to_be_said_of_it(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_reply reply = { 0 };
    struct reply read;
    static const struct trp_param notes[] = {
        { .name = { "b", 1 }, .kind = TRP_PARAM_BOOL, .v.b = true },
        { .name = { "i", 1 }, .kind = TRP_PARAM_INT, .v.i = 7 },
        { .name = { "s", 1 }, .kind = TRP_PARAM_STR, .v.s = { "x", 1 } },
        { .name = { "d", 1 }, .kind = TRP_PARAM_DOUBLE, .v.d = 1 },
        { .name = { "u", 1 }, .kind = TRP_PARAM_UINT, .v.u = 9 },
    };
    static const char *const want[] = { "\x0a\x01"
                                        "b\x12\x02\x08\x01",
                                        "\x0a\x01"
                                        "i\x12\x02\x10\x07",
                                        "\x0a\x01"
                                        "s\x12\x03\x1a\x01x",
                                        NULL,
                                        "\x0a\x01"
                                        "u\x12\x02\x28\x09" };
    fixture_open(&f);
    trp_buf_init(&reply.text, trp_heap(), 1 << 16);
    struct trp_call *const call = fixture_call(&f);
    call->notes = notes;
    call->notes_n = ARRAY_LEN(notes);
    assert_int_equal(trp_oip_encode_grpc(&f.codec, call, false, false, &reply, &f.err).code,
                     TRP_OK);
    const struct trp_str all = fixture_join(&reply);
    read_reply(all, &read);
    assert_int_equal(read.params_n, ARRAY_LEN(notes));
    for (uint32_t i = 0; i < ARRAY_LEN(want); i++)
        assert_true(!want[i] || trp_str_is(read.params[i], want[i]));
    free((char *)(uintptr_t)all.ptr);
    trp_buf_deinit(&reply.text);
    fixture_close(&f);
}

static void a_stream_reply_is_wrapped_whatever_its_size(void **state)
{
    (void)state;
    static const uint64_t sizes[] = { 0, 1, 80, 200, 20000, 300000 };
    static uint8_t bytes[300000];
    struct fixture f;
    fixture_open(&f);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct trp_reply reply = { 0 };
        struct trp_pb_field field;
        struct reply read;
        const int64_t shape[] = { (int64_t)sizes[i] };
        trp_buf_init(&reply.text, trp_heap(), 1 << 16);
        trp_buf_add_text(&reply.text, "here"); /* the caller's; stays in front */
        struct trp_call *const call = fixture_call(&f);
        fixture_outputs(call, 1);
        fixture_fill(call, 0, TROUPE_UINT8, 1, shape, bytes, sizes[i]);
        assert_int_equal(trp_oip_encode_grpc(&f.codec, call, true, true, &reply, &f.err).code,
                         TRP_OK);
        const struct trp_str all = fixture_join(&reply);
        struct trp_pb_reader reader = trp_pb_reader_of(all);
        assert_int_equal(trp_pb_next(&reader, &field), TRP_PB_FIELD);
        assert_int_equal(field.number, 2);
        read_reply(field.bytes, &read);
        assert_int_equal(trp_pb_next(&reader, &field), TRP_PB_END);
        assert_int_equal(read.params_n, 1);
        assert_int_equal(read.params[0].len, 27);
        assert_memory_equal(read.params[0].ptr, "\x0a\x15triton_final_response\x12\x02\x08\x01",
                            27);
        assert_int_equal(read.raw[0].len, sizes[i]);
        assert_memory_equal(reply.text.ptr, "here", 4);
        free((char *)(uintptr_t)all.ptr);
        trp_buf_deinit(&reply.text);
    }
    fixture_close(&f);
}

static void an_error_in_a_stream_is_a_message_with_the_requests_id(void **state)
{
    (void)state;
    struct trp_buf b;
    struct trp_error err = { .text = "no \xff" };
    trp_buf_init(&b, trp_heap(), 1024);
    trp_oip_encode_grpc_stream_error(trp_str_of("9"), &err, &b);
    assert_int_equal(b.len, 11);
    assert_memory_equal(b.ptr,
                        "\x0a\x04no ?\x12\x03\x1a\x01"
                        "9",
                        11);
    trp_buf_deinit(&b);
}

static void a_reply_that_is_too_large_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_reply reply = { 0 };
    static const int64_t shape[] = { 1 };
    fixture_open(&f);
    trp_buf_init(&reply.text, trp_heap(), 16);
    struct trp_call *const call = fixture_call(&f);
    fixture_outputs(call, 1);
    fixture_fill(call, 0, TROUPE_UINT8, 1, shape, "z", 1);
    assert_int_equal(trp_oip_encode_grpc(&f.codec, call, true, false, &reply, &f.err).code,
                     TRP_TOO_LARGE);
    trp_buf_deinit(&reply.text);
    fixture_close(&f);
}

/* ---- short of memory ------------------------------------------------------------------------- */

static const char rich_json[] =
    "{\"id\":\"1\",\"parameters\":{\"own\":\"x\"},\"inputs\":[{\"name\":\"A\",\"shape\":[2],"
    "\"datatype\":\"FP32\",\"data\":[1,2]},{\"name\":\"B\",\"shape\":[1],\"datatype\":\"BYTES\","
    "\"data\":[\"x\"]}],\"outputs\":[{\"name\":\"Y\"}]}";

static trp_status decode_and_echo(struct fixture *f, struct trp_call *call, struct trp_str grpc)
{
    struct trp_reply reply = { 0 };
    trp_status st = grpc.len > 0 ? trp_oip_decode_grpc(&f->codec, call, grpc, &f->err)
                                 : trp_oip_decode_http(&f->codec, call, trp_str_of(rich_json),
                                                       false, -1, &f->err);
    if (trp_failed(st))
        return st;
    call->outputs = call->inputs;
    call->outputs_n = 1;
    call->wanted[0].classification = 2;
    trp_buf_init(&reply.text, trp_heap(), 1 << 16);
    st = grpc.len > 0 ? trp_oip_encode_grpc(&f->codec, call, true, true, &reply, &f->err)
                      : trp_oip_encode_http(&f->codec, call, &reply, &f->err);
    trp_buf_deinit(&reply.text);
    call->outputs = NULL;
    call->outputs_n = 0;
    return st;
}

static void without_memory_a_request_is_refused_and_lets_everything_go(void **state)
{
    (void)state;
    struct message m;
    open_message(&m);
    const size_t input = begin_input(&m, "A", "INT8", 2), contents = trp_pb_begin(&m.b, 5);
    trp_pb_write_u64(&m.b, 2, 1);
    trp_pb_write_u64(&m.b, 2, 2);
    trp_pb_end(&m.b, contents);
    trp_pb_end(&m.b, input);
    add_param(&m, 4, "own", 1, "", 1);
    trp_pb_end(&m.b, trp_pb_begin(&m.b, 6));
    for (int grpc = 0; grpc <= 1; grpc++) {
        trp_status st = { TRP_OUT_OF_MEMORY };
        uint32_t refused = 0;
        for (size_t limit = 64; trp_failed(st); limit += 32) {
            struct fixture f;
            fixture_open(&f);
            trp_call_pool_destroy(f.calls);
            assert_int_equal(
                trp_call_pool_create(trp_heap(), NULL, 64, limit, 1, &f.calls, &f.err).code,
                TRP_OK);
            struct trp_call *const call = fixture_call(&f);
            const struct trp_str message = trp_buf_str(&m.b);
            st = decode_and_echo(&f, call, grpc ? message : trp_str_make(NULL, 0));
            assert_true(st.code == TRP_OK || st.code == TRP_OUT_OF_MEMORY);
            refused += trp_failed(st);
            fixture_close(&f);
        }
        assert_true(refused > 8); /* it failed in many places before it went through */
    }
    trp_buf_deinit(&m.b);
}

static void a_pool_without_room_is_out_of_memory(void **state)
{
    (void)state;
    struct fixture f;
    struct message m;
    static const char bytes[2000];
    fixture_open(&f);
    open_message(&m);
    trp_pool_destroy(f.pool);
    const struct trp_pool_opts opts = { .bytes_max = 1 };
    assert_int_equal(trp_pool_create(trp_heap(), &opts, &f.pool, &f.err).code, TRP_OK);
    f.codec.pool = f.pool;
    trp_pb_end(&m.b, begin_input(&m, "A", "UINT16", 1000));
    trp_pb_write_str(&m.b, 7, trp_str_make(bytes, sizeof bytes));
    const size_t odd = (64 - (size_t)trp_oip_raw_offset(trp_buf_str(&m.b)) % 64) % 64 + 1;
    assert_int_equal(decode(&f, &m, odd % 64).code, TRP_OUT_OF_MEMORY);
    assert_non_null(strstr(f.err.text, "input 'A': no memory for 2000 bytes"));
    trp_buf_deinit(&m.b);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_raw_tensor_is_a_view_when_it_is_aligned),
        cmocka_unit_test(raw_contents_skip_inputs_in_shared_memory_and_may_come_first),
        cmocka_unit_test(a_message_of_many_fields_is_read_whole),
        cmocka_unit_test(typed_contents_become_raw_packed_or_not),
        cmocka_unit_test(strings_and_empty_tensors_come_typed_too),
        cmocka_unit_test(a_clients_mistake_is_named),
        cmocka_unit_test(parameters_and_wishes_arrive),
        cmocka_unit_test(the_raw_payload_is_found_in_the_beginning_of_a_message),
        cmocka_unit_test(a_reply_has_one_raw_entry_for_each_output),
        cmocka_unit_test(a_reply_says_what_else_is_to_be_said_of_it),
        cmocka_unit_test(a_stream_reply_is_wrapped_whatever_its_size),
        cmocka_unit_test(an_error_in_a_stream_is_a_message_with_the_requests_id),
        cmocka_unit_test(a_reply_that_is_too_large_is_refused),
        cmocka_unit_test(without_memory_a_request_is_refused_and_lets_everything_go),
        cmocka_unit_test(a_pool_without_room_is_out_of_memory),
    };
    return cmocka_run_group_tests_name("oip_grpc", tests, NULL, NULL);
}

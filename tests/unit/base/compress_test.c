/* Bodies packed and unpacked: what comes back, and where a bad or hostile stream stops. */
#include "base/compress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unit/base/scarce.h"

static struct trp_buf buf(size_t max)
{
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), max);
    return b;
}

static void names_are_read_in_any_case(void **state)
{
    (void)state;
    static const struct row {
        const char *text;
        enum trp_coding want;
    } rows[] = {
        { "identity", TRP_CODING_IDENTITY }, { "gzip", TRP_CODING_GZIP },
        { "GZip", TRP_CODING_GZIP },         { "x-gzip", TRP_CODING_GZIP },
        { "deflate", TRP_CODING_DEFLATE },   { "br", TRP_CODING_UNKNOWN },
        { "", TRP_CODING_UNKNOWN },          { "gzip ", TRP_CODING_UNKNOWN },
        { "unknown", TRP_CODING_UNKNOWN },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("'%s'\n", r->text);
        assert_int_equal(trp_coding_parse(trp_str_of(r->text)), r->want);
    }
    assert_string_equal(trp_coding_name(TRP_CODING_GZIP), "gzip");
    assert_string_equal(trp_coding_name(TRP_CODING_UNKNOWN), "unknown");
}

static char *make_text(size_t len)
{
    char *text = malloc(len ? len : 1);
    uint64_t v = 1;
    for (size_t i = 0; i < len; i++) { /* compressible, but not to nothing */
        v = v * 6364136223846793005u + 1;
        text[i] = (char)('a' + (v >> 61));
    }
    return text;
}

static void what_was_packed_comes_back(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 1023, 1024, 65536, 65537, 1000000 };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (int c = TRP_CODING_IDENTITY; c < TRP_CODING_UNKNOWN; c++) {
            char *text = make_text(sizes[i]);
            struct trp_error err = { 0 };
            struct trp_buf packed = buf(2 << 20), out = buf(sizes[i]);
            print_message("%s of %zu bytes\n", trp_coding_name((enum trp_coding)c), sizes[i]);
            assert_int_equal(
                trp_coding_pack((enum trp_coding)c, trp_str_make(text, sizes[i]), &packed, &err)
                    .code,
                TRP_OK);
            assert_int_equal(
                trp_coding_unpack((enum trp_coding)c, trp_buf_str(&packed), &out, &err).code,
                TRP_OK);
            assert_int_equal(out.len, sizes[i]);
            if (sizes[i])
                assert_memory_equal(out.ptr, text, sizes[i]);
            if (c != TRP_CODING_IDENTITY && sizes[i] > 1000)
                assert_true(packed.len < sizes[i] * 3 / 4);
            trp_buf_deinit(&packed);
            trp_buf_deinit(&out);
            free(text);
        }
}

static void a_result_is_put_behind_what_was_there(void **state)
{
    (void)state;
    struct trp_buf packed = buf(1000), out = buf(1000);
    assert_int_equal(trp_coding_pack(TRP_CODING_GZIP, TRP_STR_LIT("world"), &packed, NULL).code,
                     TRP_OK);
    trp_buf_add_text(&out, "hello ");
    assert_int_equal(trp_coding_unpack(TRP_CODING_GZIP, trp_buf_str(&packed), &out, NULL).code,
                     TRP_OK);
    assert_string_equal(trp_buf_text(&out), "hello world");
    trp_buf_deinit(&packed);
    trp_buf_deinit(&out);
}

static void deflate_is_read_with_and_without_a_zlib_header(void **state)
{
    (void)state;
    static const char wrapped[] = "\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15";
    struct trp_buf out = buf(100);
    assert_int_equal(
        trp_coding_unpack(TRP_CODING_DEFLATE, trp_str_make(wrapped, 13), &out, NULL).code, TRP_OK);
    assert_int_equal(
        trp_coding_unpack(TRP_CODING_DEFLATE, trp_str_make(wrapped + 2, 7), &out, NULL).code,
        TRP_OK);
    assert_string_equal(trp_buf_text(&out), "hellohello");
    trp_buf_deinit(&out);
}

static void a_bomb_stops_at_the_buffers_maximum(void **state)
{
    (void)state;
    const size_t len = 10 << 20;
    char *zeros = calloc(1, len);
    struct trp_error err = { 0 };
    struct trp_buf packed = buf(1 << 20), out = buf(100000);
    assert_int_equal(trp_coding_pack(TRP_CODING_GZIP, trp_str_make(zeros, len), &packed, &err).code,
                     TRP_OK);
    assert_true(packed.len < 100000);
    assert_int_equal(trp_coding_unpack(TRP_CODING_GZIP, trp_buf_str(&packed), &out, &err).code,
                     TRP_TOO_LARGE);
    assert_string_equal(err.text, "gzip: larger than 100000 bytes");
    assert_true(out.capacity <= 100000);
    trp_buf_deinit(&packed);
    trp_buf_deinit(&out);
    free(zeros);
}

static void one_byte_too_little_room_is_too_little(void **state)
{
    (void)state;
    struct trp_buf packed = buf(1000), exact, out;
    char *text = make_text(500);
    const struct trp_str in = trp_str_make(text, 500);
    assert_int_equal(trp_coding_pack(TRP_CODING_DEFLATE, in, &packed, NULL).code, TRP_OK);
    for (size_t missing = 0; missing < 2; missing++) {
        exact = buf(packed.len - missing);
        assert_int_equal(trp_coding_pack(TRP_CODING_DEFLATE, in, &exact, NULL).code,
                         missing ? TRP_TOO_LARGE : TRP_OK);
        out = buf(500 - missing);
        assert_int_equal(
            trp_coding_unpack(TRP_CODING_DEFLATE, trp_buf_str(&packed), &out, NULL).code,
            missing ? TRP_TOO_LARGE : TRP_OK);
        trp_buf_deinit(&exact);
        trp_buf_deinit(&out);
    }
    trp_buf_deinit(&packed);
    free(text);
}

static void every_truncation_is_noticed(void **state)
{
    (void)state;
    struct trp_buf packed = buf(1000);
    assert_int_equal(
        trp_coding_pack(TRP_CODING_GZIP, TRP_STR_LIT("a text to cut"), &packed, NULL).code, TRP_OK);
    for (size_t len = 0; len < packed.len; len++) {
        struct trp_error err = { 0 };
        struct trp_buf out = buf(1000);
        assert_int_equal(
            trp_coding_unpack(TRP_CODING_GZIP, trp_str_make(packed.ptr, len), &out, &err).code,
            TRP_INVALID_ARGUMENT);
        assert_non_null(strstr(err.text, "gzip: cut off after"));
        trp_buf_deinit(&out);
    }
    trp_buf_deinit(&packed);
}

static void every_flipped_bit_is_noticed_or_harmless(void **state)
{
    (void)state;
    static const char text[] = "the quick brown fox jumps over the lazy dog";
    struct trp_buf packed = buf(1000);
    assert_int_equal(trp_coding_pack(TRP_CODING_GZIP, trp_str_of(text), &packed, NULL).code,
                     TRP_OK);
    for (size_t bit = 0; bit < packed.len * 8; bit++) {
        struct trp_error err = { 0 };
        struct trp_buf out = buf(1000);
        packed.ptr[bit / 8] = (char)(packed.ptr[bit / 8] ^ (1 << (bit % 8)));
        const trp_status st = trp_coding_unpack(TRP_CODING_GZIP, trp_buf_str(&packed), &out, &err);
        if (!trp_failed(st)) /* a bit of the header: time, system */
            assert_true(trp_str_is(trp_buf_str(&out), text));
        else
            assert_int_equal(st.code, TRP_INVALID_ARGUMENT);
        packed.ptr[bit / 8] = (char)(packed.ptr[bit / 8] ^ (1 << (bit % 8)));
        trp_buf_deinit(&out);
    }
    trp_buf_deinit(&packed);
}

static void bytes_behind_the_end_are_refused(void **state)
{
    (void)state;
    struct trp_error err = { 0 };
    struct trp_buf packed = buf(1000), out = buf(1000);
    assert_int_equal(trp_coding_pack(TRP_CODING_GZIP, TRP_STR_LIT("x"), &packed, NULL).code,
                     TRP_OK);
    trp_buf_add_text(&packed, "GET");
    assert_int_equal(trp_coding_unpack(TRP_CODING_GZIP, trp_buf_str(&packed), &out, &err).code,
                     TRP_INVALID_ARGUMENT);
    assert_string_equal(err.text, "gzip: 3 bytes behind the end");
    trp_buf_deinit(&packed);
    trp_buf_deinit(&out);
}

static void unknown_codings_and_lack_of_memory_are_errors(void **state)
{
    (void)state;
    struct scarce scarce;
    struct trp_buf out;
    trp_buf_init(&out, scarce_init(&scarce, 0), 1000);
    assert_int_equal(trp_coding_pack(TRP_CODING_UNKNOWN, TRP_STR_LIT("x"), &out, NULL).code,
                     TRP_UNSUPPORTED_MEDIA);
    assert_int_equal(trp_coding_unpack(TRP_CODING_UNKNOWN, TRP_STR_LIT("x"), &out, NULL).code,
                     TRP_UNSUPPORTED_MEDIA);
    for (uint64_t blocks = 0; blocks < 4; blocks++) {
        trp_buf_init(&out, scarce_init(&scarce, blocks), 1000);
        assert_int_equal(trp_coding_pack(TRP_CODING_GZIP, TRP_STR_LIT("x"), &out, NULL).code,
                         TRP_OUT_OF_MEMORY);
        trp_buf_deinit(&out);
        assert_int_equal(trp_counter_get(&scarce.out), 0);
    }
    trp_buf_init(&out, scarce_init(&scarce, 1), 1000);
    assert_int_equal(trp_coding_unpack(TRP_CODING_GZIP, TRP_STR_LIT("\x1f\x8b"), &out, NULL).code,
                     TRP_OUT_OF_MEMORY);
    trp_buf_deinit(&out);
    assert_int_equal(trp_counter_get(&scarce.out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_in_any_case),
        cmocka_unit_test(what_was_packed_comes_back),
        cmocka_unit_test(a_result_is_put_behind_what_was_there),
        cmocka_unit_test(deflate_is_read_with_and_without_a_zlib_header),
        cmocka_unit_test(a_bomb_stops_at_the_buffers_maximum),
        cmocka_unit_test(one_byte_too_little_room_is_too_little),
        cmocka_unit_test(every_truncation_is_noticed),
        cmocka_unit_test(every_flipped_bit_is_noticed_or_harmless),
        cmocka_unit_test(bytes_behind_the_end_are_refused),
        cmocka_unit_test(unknown_codings_and_lack_of_memory_are_errors),
    };
    return cmocka_run_group_tests_name("compress", tests, NULL, NULL);
}

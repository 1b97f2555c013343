/* Bodies packed and unpacked, in steps of any size: what comes back, and what a bad stream is
 * told. */
#include "base/compress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unit/base/coding.h"
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

static const struct coding_pieces all_sizes[] = {
    { SIZE_MAX / 2, 65536 }, { 1, 65536 }, { SIZE_MAX / 2, 1 }, { 7, 11 }
};

static void check_round_trip(enum trp_coding c, size_t len, struct coding_pieces pieces)
{
    char *text = make_text(len);
    struct trp_error err = { 0 };
    struct trp_buf packed = buf(4 << 20), out = buf(4 << 20);
    print_message("%s of %zu bytes, %zu in, %zu out\n", trp_coding_name(c), len, pieces.in,
                  pieces.out);
    const struct trp_str in = trp_str_make(text, len);
    assert_int_equal(coding_run(c, TRP_CODER_PACK, in, pieces, &packed, &err).code, TRP_OK);
    assert_int_equal(coding_run(c, TRP_CODER_UNPACK, trp_buf_str(&packed), pieces, &out, &err).code,
                     TRP_OK);
    assert_int_equal(out.len, len);
    assert_memory_equal(out.ptr, text, len);
    if (len > 1000)
        assert_true(packed.len < len * 3 / 4);
    trp_buf_deinit(&packed);
    trp_buf_deinit(&out);
    free(text);
}

static void what_was_packed_comes_back(void **state)
{
    (void)state;
    static const size_t lengths[] = { 0, 1, 1023, 1024, 65536, 65537, 300000 };
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
        for (int c = TRP_CODING_GZIP; c <= TRP_CODING_DEFLATE; c++)
            for (size_t p = 0; p < ARRAY_LEN(all_sizes); p++)
                check_round_trip((enum trp_coding)c, lengths[i], all_sizes[p]);
}

static void deflate_is_read_with_and_without_a_zlib_header(void **state)
{
    (void)state;
    static const char wrapped[] = "\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15";
    for (size_t p = 0; p < ARRAY_LEN(all_sizes); p++) {
        struct trp_buf out = buf(1 << 20);
        assert_int_equal(coding_run(TRP_CODING_DEFLATE, TRP_CODER_UNPACK, trp_str_make(wrapped, 13),
                                    all_sizes[p], &out, NULL)
                             .code,
                         TRP_OK);
        assert_int_equal(coding_run(TRP_CODING_DEFLATE, TRP_CODER_UNPACK,
                                    trp_str_make(wrapped + 2, 7), all_sizes[p], &out, NULL)
                             .code,
                         TRP_OK);
        assert_string_equal(trp_buf_text(&out), "hellohello");
        trp_buf_deinit(&out);
    }
}

static void a_step_makes_no_more_than_there_is_room_for(void **state)
{
    (void)state;
    enum { LEN = 10 << 20, ROOM = 1000 };
    char *zeros = calloc(1, LEN), out[ROOM];
    struct trp_buf packed = buf(1 << 20);
    struct trp_coder *k;
    struct trp_coder_step step;
    assert_int_equal(coding_pack(TRP_CODING_GZIP, trp_str_make(zeros, LEN), &packed).code, TRP_OK);
    assert_true(packed.len < 100000);
    assert_int_equal(trp_coder_create(trp_heap(), TRP_CODING_GZIP, TRP_CODER_UNPACK, &k, NULL).code,
                     TRP_OK);
    assert_int_equal(
        trp_coder_step(k, trp_buf_str(&packed), true, out, sizeof out, &step, NULL).code, TRP_OK);
    assert_true(step.made == ROOM && !step.is_over);
    trp_coder_destroy(k); /* in the middle */
    trp_coder_destroy(NULL);
    trp_buf_deinit(&packed);
    free(zeros);
}

static void a_packer_says_how_much_it_can_make(void **state)
{
    (void)state;
    enum { LEN = 100000 };
    char *noise = malloc(LEN);
    uint64_t v = 1;
    for (size_t i = 0; i < LEN; i++) {
        v = v * 6364136223846793005u + 1442695040888963407u;
        noise[i] = (char)(v >> 56);
    }
    struct trp_buf packed = buf(1 << 20);
    struct trp_coder *k;
    assert_int_equal(trp_coder_create(trp_heap(), TRP_CODING_GZIP, TRP_CODER_PACK, &k, NULL).code,
                     TRP_OK);
    assert_int_equal(coding_pack(TRP_CODING_GZIP, trp_str_make(noise, LEN), &packed).code, TRP_OK);
    assert_true(packed.len > LEN && packed.len <= trp_coder_bound(k, LEN));
    trp_coder_destroy(k);
    trp_buf_deinit(&packed);
    free(noise);
}

static void every_truncation_is_noticed(void **state)
{
    (void)state;
    struct trp_buf packed = buf(10000);
    assert_int_equal(coding_pack(TRP_CODING_GZIP, TRP_STR_LIT("a text to cut"), &packed).code,
                     TRP_OK);
    for (size_t len = 0; len < packed.len; len++) {
        struct trp_error err = { 0 };
        struct trp_buf out = buf(1000);
        const struct coding_pieces pieces = { 3, 5 };
        assert_int_equal(coding_run(TRP_CODING_GZIP, TRP_CODER_UNPACK,
                                    trp_str_make(packed.ptr, len), pieces, &out, &err)
                             .code,
                         TRP_INVALID_ARGUMENT);
        char want[64];
        (void)snprintf(want, sizeof want, "gzip: cut off after %zu bytes", len);
        assert_string_equal(err.text, want);
        trp_buf_deinit(&out);
    }
    trp_buf_deinit(&packed);
}

static void every_flipped_bit_is_noticed_or_harmless(void **state)
{
    (void)state;
    static const char text[] = "the quick brown fox jumps over the lazy dog";
    struct trp_buf packed = buf(10000);
    assert_int_equal(coding_pack(TRP_CODING_GZIP, trp_str_of(text), &packed).code, TRP_OK);
    for (size_t bit = 0; bit < packed.len * 8; bit++) {
        struct trp_buf out = buf(10000);
        packed.ptr[bit / 8] = (char)(packed.ptr[bit / 8] ^ (1 << (bit % 8)));
        const trp_status st = coding_unpack(TRP_CODING_GZIP, trp_buf_str(&packed), &out);
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
    struct trp_buf packed = buf(10000), out = buf(10000);
    const struct coding_pieces pieces = { 10, 10 };
    assert_int_equal(coding_pack(TRP_CODING_GZIP, TRP_STR_LIT("x"), &packed).code, TRP_OK);
    trp_buf_add_text(&packed, "GET");
    assert_int_equal(
        coding_run(TRP_CODING_GZIP, TRP_CODER_UNPACK, trp_buf_str(&packed), pieces, &out, &err)
            .code,
        TRP_INVALID_ARGUMENT);
    assert_string_equal(err.text, "gzip: 3 bytes behind the end");
    trp_buf_deinit(&packed);
    trp_buf_deinit(&out);
}

static void unknown_codings_and_lack_of_memory_are_errors(void **state)
{
    (void)state;
    struct scarce scarce;
    struct trp_coder *k;
    struct trp_coder_step step;
    static const enum trp_coding none[] = { TRP_CODING_IDENTITY, TRP_CODING_UNKNOWN };
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_int_equal(trp_coder_create(trp_heap(), none[i], TRP_CODER_PACK, &k, NULL).code,
                         TRP_UNSUPPORTED_MEDIA);
    for (uint64_t blocks = 0; blocks < 4; blocks++) {
        assert_int_equal(trp_coder_create(scarce_init(&scarce, blocks), TRP_CODING_GZIP,
                                          TRP_CODER_PACK, &k, NULL)
                             .code,
                         TRP_OUT_OF_MEMORY);
        assert_null(k);
        assert_int_equal(trp_counter_get(&scarce.out), 0);
    }
    char out[10];
    assert_int_equal(
        trp_coder_create(scarce_init(&scarce, 1), TRP_CODING_GZIP, TRP_CODER_UNPACK, &k, NULL).code,
        TRP_OK);
    assert_int_equal(
        trp_coder_step(k, TRP_STR_LIT("\x1f\x8b"), true, out, sizeof out, &step, NULL).code,
        TRP_OUT_OF_MEMORY);
    trp_coder_destroy(k);
    assert_int_equal(trp_counter_get(&scarce.out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_in_any_case),
        cmocka_unit_test(what_was_packed_comes_back),
        cmocka_unit_test(deflate_is_read_with_and_without_a_zlib_header),
        cmocka_unit_test(a_step_makes_no_more_than_there_is_room_for),
        cmocka_unit_test(a_packer_says_how_much_it_can_make),
        cmocka_unit_test(every_truncation_is_noticed),
        cmocka_unit_test(every_flipped_bit_is_noticed_or_harmless),
        cmocka_unit_test(bytes_behind_the_end_are_refused),
        cmocka_unit_test(unknown_codings_and_lack_of_memory_are_errors),
    };
    return cmocka_run_group_tests_name("compress", tests, NULL, NULL);
}

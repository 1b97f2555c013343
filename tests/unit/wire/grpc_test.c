#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/accept.h"
#include "wire/grpc.h"

/* Reads everything and writes what happened: "<5,0:" begins, bytes, ">" ends. */
static trp_status read_all(struct trp_grpc_reader *r, struct trp_str in, struct trp_buf *out,
                           struct trp_error *err)
{
    for (;;) {
        enum trp_grpc_event event;
        struct trp_str data;
        TRP_CHECK(trp_grpc_read(r, &in, &event, &data, err));
        if (event == TRP_GRPC_MORE)
            return trp_ok();
        if (event == TRP_GRPC_BEGIN)
            trp_buf_addf(out, "<%u,%d:", r->length, r->is_compressed);
        else if (event == TRP_GRPC_DATA)
            trp_buf_add_str(out, data);
        else
            trp_buf_add_char(out, '>');
    }
}

static void messages_are_the_same_however_they_are_cut(void **state)
{
    (void)state;
    static const char in[] = "\0\0\0\0\5hello\1\0\0\0\2hi\0\0\0\0\0\0\0\0\0\1x";
    const size_t len = sizeof in - 1;
    for (size_t cut = 0; cut <= len; cut++)
        for (size_t second = cut; second <= len; second++) {
            struct trp_grpc_reader r = { 0 };
            struct trp_buf out;
            trp_buf_init(&out, trp_heap(), 1000);
            assert_int_equal(read_all(&r, trp_str_make(in, cut), &out, NULL).code, TRP_OK);
            assert_int_equal(read_all(&r, trp_str_make(in + cut, second - cut), &out, NULL).code,
                             TRP_OK);
            assert_int_equal(read_all(&r, trp_str_make(in + second, len - second), &out, NULL).code,
                             TRP_OK);
            assert_string_equal(trp_buf_text(&out), "<5,0:hello><2,1:hi><0,0:><1,0:x>");
            assert_true(trp_grpc_is_between(&r));
            trp_buf_deinit(&out);
        }
}

static void the_reader_knows_when_it_is_inside_a_message(void **state)
{
    (void)state;
    struct trp_grpc_reader r = { 0 };
    struct trp_buf out;
    trp_buf_init(&out, trp_heap(), 100);
    assert_true(trp_grpc_is_between(&r));
    assert_int_equal(read_all(&r, trp_str_make("\0\0", 2), &out, NULL).code, TRP_OK);
    assert_false(trp_grpc_is_between(&r));
    assert_int_equal(read_all(&r, trp_str_make("\0\0\2a", 4), &out, NULL).code, TRP_OK);
    assert_false(trp_grpc_is_between(&r));
    assert_int_equal(read_all(&r, trp_str_make("b", 1), &out, NULL).code, TRP_OK);
    assert_true(trp_grpc_is_between(&r));
    trp_buf_deinit(&out);
}

static void an_unknown_flag_is_refused(void **state)
{
    (void)state;
    struct trp_grpc_reader r = { 0 };
    struct trp_error err = { 0 };
    assert_int_equal(read_all(&r, trp_str_make("\2\0\0\0\0", 5), NULL, &err).code,
                     TRP_INVALID_ARGUMENT);
    assert_string_equal(err.text, "gRPC frame with flag 2");
}

static void a_prefix_reads_back(void **state)
{
    (void)state;
    static const uint32_t lengths[] = { 0, 1, 255, 256, 65536, 0x01020304, UINT32_MAX };
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        char prefix[TRP_GRPC_PREFIX];
        struct trp_grpc_reader r = { 0 };
        enum trp_grpc_event event;
        struct trp_str data;
        trp_grpc_write_prefix(i % 2 != 0, lengths[i], prefix);
        struct trp_str in = trp_str_make(prefix, sizeof prefix);
        assert_int_equal(trp_grpc_read(&r, &in, &event, &data, NULL).code, TRP_OK);
        assert_int_equal(event, TRP_GRPC_BEGIN);
        assert_int_equal(r.length, lengths[i]);
        assert_int_equal(r.is_compressed, i % 2 != 0);
    }
}

static void timeouts_have_digits_and_a_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns; /* -1: refused */
    } rows[] = {
        { "1n", 1 },
        { "20u", 20000 },
        { "300m", 300000000 },
        { "5S", INT64_C(5000000000) },
        { "2M", INT64_C(120000000000) },
        { "1H", INT64_C(3600000000000) },
        { "99999999H", INT64_MAX },
        { "0n", 0 },
        { "", -1 },
        { "1", -1 },
        { "S", -1 },
        { "1s", -1 },
        { "-1S", -1 },
        { "1.5S", -1 },
        { "123456789S", -1 },
        { " 1S", -1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t ns = -1;
        const trp_status st = trp_grpc_parse_timeout(trp_str_of(rows[i].text), &ns, NULL);
        assert_int_equal(st.code, rows[i].ns < 0 ? TRP_INVALID_ARGUMENT : TRP_OK);
        if (rows[i].ns >= 0)
            assert_int_equal(ns, rows[i].ns);
    }
}

static void status_words_are_percent_encoded(void **state)
{
    (void)state;
    struct trp_buf out;
    trp_buf_init(&out, trp_heap(), 100);
    trp_grpc_encode_message(TRP_STR_LIT("100% of 'a/1'\n\xc3\xa9~\x7f"), &out);
    assert_string_equal(trp_buf_text(&out), "100%25 of 'a/1'%0A%C3%A9~%7F");
    trp_buf_deinit(&out);
}

static void content_types_of_grpc_are_told_apart(void **state)
{
    (void)state;
    static const char *const yes[] = { "application/grpc", "application/grpc+proto",
                                       "Application/GRPC; x=y", "application/grpc ;a" };
    static const char *const no[] = { "application/grpc-web", "application/json", "",
                                      "application/grp" };
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        assert_true(trp_grpc_is_content_type(trp_str_of(yes[i])));
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        assert_false(trp_grpc_is_content_type(trp_str_of(no[i])));
}

static void the_best_quality_chooses_the_coding(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        enum trp_coding coding;
    } rows[] = {
        { "", TRP_CODING_IDENTITY },
        { "gzip", TRP_CODING_GZIP },
        { "deflate", TRP_CODING_DEFLATE },
        { "gzip, deflate", TRP_CODING_GZIP },
        { "deflate, gzip", TRP_CODING_GZIP },
        { "gzip;q=0.5, deflate", TRP_CODING_DEFLATE },
        { "GZIP;Q=0.5 , deflate ; q=0.4", TRP_CODING_GZIP },
        { "gzip;q=0", TRP_CODING_IDENTITY },
        { "gzip;q=0, *", TRP_CODING_DEFLATE },
        { "*", TRP_CODING_GZIP },
        { "*;q=0", TRP_CODING_IDENTITY },
        { "identity", TRP_CODING_IDENTITY },
        { "identity, gzip;q=0.9", TRP_CODING_IDENTITY },
        { "identity;q=0.1, gzip;q=0.9", TRP_CODING_GZIP },
        { "br, zstd", TRP_CODING_IDENTITY },
        { "br;q=1.0, gzip;q=0.8", TRP_CODING_GZIP },
        { "gzip;q=2", TRP_CODING_IDENTITY },
        { "gzip;q=x", TRP_CODING_IDENTITY },
        { "gzip;q=", TRP_CODING_IDENTITY },
        { "gzip;q=1.001", TRP_CODING_IDENTITY },
        { ",,;q=1,gzip,", TRP_CODING_GZIP },
        { "gzip;q=0.001", TRP_CODING_GZIP },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (trp_accept_coding(trp_str_of(rows[i].accept)) != rows[i].coding)
            fail_msg("'%s' chose %s", rows[i].accept,
                     trp_coding_name(trp_accept_coding(trp_str_of(rows[i].accept))));
    assert_true(trp_accept_has(TRP_STR_LIT("identity, GZIP"), TRP_STR_LIT("gzip")));
    assert_false(trp_accept_has(TRP_STR_LIT("identity,xgzip"), TRP_STR_LIT("gzip")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_the_same_however_they_are_cut),
        cmocka_unit_test(the_reader_knows_when_it_is_inside_a_message),
        cmocka_unit_test(an_unknown_flag_is_refused),
        cmocka_unit_test(a_prefix_reads_back),
        cmocka_unit_test(timeouts_have_digits_and_a_unit),
        cmocka_unit_test(status_words_are_percent_encoded),
        cmocka_unit_test(content_types_of_grpc_are_told_apart),
        cmocka_unit_test(the_best_quality_chooses_the_coding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

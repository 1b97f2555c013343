/* Lists of what a version must consist of: right ones, and all the ways in which they are wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sha256.h"
#include "repo/manifest.h"
#include "scratch.h"

struct fixture {
    char base[SCRATCH_PATH_MAX];
    char abc[TRP_SHA256_TEXT], xyz[TRP_SHA256_TEXT]; /* SHA-256 of these texts */
    struct trp_flag stop;
    struct trp_error error;
};

static void digits_of(const char *text, char out[TRP_SHA256_TEXT])
{
    struct trp_sha256 digest;
    assert_int_equal(trp_sha256_memory(text, strlen(text), &digest, NULL).code, TRP_OK);
    trp_sha256_format(&digest, out);
}

static void put(struct fixture *f, const char *name, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", f->base, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char path[512];
    scratch_folder(f->base, "manifest");
    digits_of("abc", f->abc);
    digits_of("xyz", f->xyz);
    put(f, "model.onnx", "abc");
    (void)snprintf(path, sizeof path, "%s/data", f->base);
    assert_int_equal(mkdir(path, 0755), 0);
    put(f, "data/weights", "xyz");
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    (void)nftw(f->base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

/* Checks a manifest of this name and text. */
static int32_t check(struct fixture *f, const char *name, const char *text)
{
    char manifest[512], model[512];
    (void)snprintf(manifest, sizeof manifest, "%s/%s", f->base, name);
    (void)snprintf(model, sizeof model, "%s/model.onnx", f->base);
    put(f, name, text);
    const struct trp_manifest_opts opts = { .manifest = trp_str_of(manifest),
                                            .model_file = trp_str_of(model),
                                            .bytes_max = 4096,
                                            .stop = &f->stop,
                                            .alloc = trp_heap() };
    f->error = (struct trp_error){ 0 };
    return trp_manifest_check(&opts, &f->error).code;
}

static void files_that_are_what_the_manifest_says_pass(void **state)
{
    struct fixture *f = *state;
    char text[1024];
    (void)snprintf(text, sizeof text,
                   "{\"files\": {\"model.onnx\": \"%s\", \"data/weights\": \"%s\"}, \"by\": 1}",
                   f->abc, f->xyz);
    assert_int_equal(check(f, "manifest.json", text), TRP_OK);
    (void)snprintf(text, sizeof text, "%s  model.onnx\r\n\n# ours\n%s *./data/weights", f->abc,
                   f->xyz);
    assert_int_equal(check(f, "SHA256SUMS", text), TRP_OK);
}

static void what_is_missing_or_another_file_is_named(void **state)
{
    struct fixture *f = *state;
    char text[1024];
    (void)snprintf(text, sizeof text, "%s  model.onnx\n%s  later\n", f->abc, f->xyz);
    assert_int_equal(check(f, "SHA256SUMS", text), TRP_DATA_LOSS);
    assert_string_equal(f->error.text, "SHA256SUMS: 'later' is not there (yet)");
    (void)snprintf(text, sizeof text, "{\"files\": {\"model.onnx\": \"%s\"}}", f->xyz);
    assert_int_equal(check(f, "manifest.json", text), TRP_DATA_LOSS);
    assert_non_null(strstr(f->error.text, "manifest.json: 'model.onnx' is not whole"));
    assert_non_null(strstr(f->error.text, f->abc)); /* what it is */
    (void)snprintf(text, sizeof text, "{\"files\": {\"data/weights\": \"%s\"}}", f->xyz);
    assert_int_equal(check(f, "manifest.json", text), TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.text, "does not name 'model.onnx'"));
}

static void what_is_no_manifest_says_what_was_expected(void **state)
{
    struct fixture *f = *state;
    static const struct row {
        const char *name, *text, *words;
    } rows[] = {
        { "manifest.json", "", "manifest.json: " },
        { "manifest.json", "{\"files\": {\"model.onnx\": \"ab",
          "manifest.json: " }, /* half of it */
        { "manifest.json", "[]", "expected {\"files\"" },
        { "manifest.json", "{\"file\": {}}", "expected {\"files\"" },
        { "manifest.json", "{\"files\": []}", "not an object" },
        { "manifest.json", "{\"files\": {\"model.onnx\": 5}}", "not a text" },
        { "manifest.json", "{\"files\": {\"model.onnx\": \"ABC\"}}", "64 lower-case" },
        { "manifest.json", "{\"files\": {}}", "does not name" },
        { "SHA256SUMS", "", "does not name" },
        { "SHA256SUMS", "model.onnx\n", "not of the form" },
        { "SHA256SUMS", "0123456789  model.onnx\n", "not of the form" },
        { "SHA256SUMS",
          "\\0123456789012345678901234567890123456789012345678901234567890123  a\\nb\n",
          "not of the form" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("%s: %s\n", r->name, r->text);
        assert_int_equal(check(f, r->name, r->text), TRP_INVALID_ARGUMENT);
        assert_non_null(strstr(f->error.text, r->words));
    }
}

static void a_file_outside_is_not_looked_at(void **state)
{
    struct fixture *f = *state;
    char text[1024];
    (void)snprintf(text, sizeof text, "%s  ../model.onnx\n", f->abc);
    assert_int_equal(check(f, "SHA256SUMS", text), TRP_INVALID_ARGUMENT);
    (void)snprintf(text, sizeof text, "%s  /etc/passwd\n", f->abc);
    assert_int_equal(check(f, "SHA256SUMS", text), TRP_INVALID_ARGUMENT);
    (void)snprintf(text, sizeof text, "%s  data\n", f->abc);
    assert_int_equal(check(f, "SHA256SUMS", text), TRP_INVALID_ARGUMENT);
}

static void it_has_limits_and_gives_up_when_told(void **state)
{
    struct fixture *f = *state;
    char text[8192], line[256];
    memset(text, '#', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(check(f, "SHA256SUMS", text), TRP_TOO_LARGE);
    assert_int_equal(f->error.limit, TRP_LIMIT_CONFIG);
    assert_non_null(strstr(f->error.text, "limits.config_bytes"));
    trp_flag_raise(&f->stop);
    (void)snprintf(line, sizeof line, "%s  model.onnx\n", f->abc);
    assert_int_equal(check(f, "SHA256SUMS", line), TRP_CANCELLED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_that_are_what_the_manifest_says_pass),
        TEST(what_is_missing_or_another_file_is_named),
        TEST(what_is_no_manifest_says_what_was_expected),
        TEST(a_file_outside_is_not_looked_at),
        TEST(it_has_limits_and_gives_up_when_told),
    };
    return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}

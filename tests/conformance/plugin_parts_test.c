/* tests/conformance/plugin_parts_test.c - the parts of the ONNX Runtime plugin that need no
 * runtime: its words, and its walk over model files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../plugins/onnxruntime/ort_file.h"
#include "../../plugins/onnxruntime/ort_words.h"
#include "onnx_writer.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define DIMS(...)     \
    (const int64_t[]) \
    {                 \
        __VA_ARGS__   \
    }

/* --- words ------------------------------------------------------------------------------------ */

static void texts_lose_paths_signatures_colours_and_line_ends(void **state)
{
    (void)state;
    static const struct row {
        const char *from, *to;
    } rows[] = {
        { "", "" },
        { "plain words", "plain words" },
        { "  two\n\nlines\t here ", "two lines here" },
        { "\033[1;31mred\033[0m ink", "red ink" },
        { "\033[no colour", "\033[no colour" },
        { "/onnxruntime_src/onnxruntime/core/x/reshape_helper.h:47 "
          "onnxruntime::ReshapeHelper::ReshapeHelper(const TensorShape&, std::vector<int>&, bool) "
          "sizes differ",
          "sizes differ" },
        { "Status Message: /src/a/gather.cc:12 void f(int) const [with T = long (int)] out of "
          "range",
          "Status Message: out of range" },
        { "/a/b.cc:9 ns::Locale::Locale(const std::string&)::<lambda()> Failed", "Failed" },
        { "/a/b.cc:9 no signature here. (a remark)", "no signature here. (a remark)" },
        { "see /etc/hosts and /tmp/m.onnx", "see /etc/hosts and /tmp/m.onnx" },
        { "/a/b.cc: no line", "/a/b.cc: no line" },
        { "/a/b.cc:7 f(unclosed", "f(unclosed" },
        { "/a/b.cc:7", "" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        char out[256];
        ort_words_clean(r->from, out, sizeof out);
        print_message("'%s'\n", out);
        assert_string_equal(out, r->to);
    }
}

static void a_long_text_is_cut_and_terminated(void **state)
{
    (void)state;
    char out[8];
    for (size_t size = 1; size <= sizeof out; size++) {
        memset(out, 'x', sizeof out);
        ort_words_clean("ab cdefghijkl", out, size);
        assert_true(strlen(out) < size);
    }
}

/* A runtime that only knows how to fail. */
struct OrtStatus {
    int32_t code;
    const char *text;
    int released;
};
static int32_t code_of(const struct OrtStatus *s)
{
    return s->code;
}
static const char *text_of(const struct OrtStatus *s)
{
    return s->text;
}
static void release(struct OrtStatus *s)
{
    s->released++;
}

static void failures_get_codes_by_phase_and_words(void **state)
{
    (void)state;
    static const struct row {
        int32_t from;
        const char *text;
        enum ort_phase phase;
        int32_t code;
        const char *words;
    } rows[] = {
        { ORT_INVALID_ARGUMENT, "bad dims", ORT_PHASE_RUN, TROUPE_INVALID_ARGUMENT, "bad dims" },
        { ORT_RUNTIME_EXCEPTION, "boom", ORT_PHASE_RUN, TROUPE_BACKEND_FAILED, "boom" },
        { ORT_FAIL, "boom", ORT_PHASE_RUN, TROUPE_BACKEND_FAILED, "boom" },
        { ORT_FAIL, "Exiting due to terminate flag being set to true.", ORT_PHASE_RUN,
          TROUPE_CANCELLED, "cancelled" },
        { ORT_RUNTIME_EXCEPTION, "std::bad_alloc", ORT_PHASE_RUN, TROUPE_OUT_OF_MEMORY,
          "bad_alloc" },
        { ORT_NOT_IMPLEMENTED, "no kernel", ORT_PHASE_LOAD, TROUPE_UNIMPLEMENTED, "no kernel" },
        { ORT_INVALID_PROTOBUF, "parse", ORT_PHASE_LOAD, TROUPE_INVALID_ARGUMENT, "parse" },
        { ORT_INVALID_GRAPH, "cycle", ORT_PHASE_LOAD, TROUPE_INVALID_ARGUMENT, "cycle" },
        { ORT_NO_SUCHFILE, "gone", ORT_PHASE_LOAD, TROUPE_NOT_FOUND, "gone" },
        { ORT_MODEL_LOAD_CANCELED, "stop", ORT_PHASE_LOAD, TROUPE_CANCELLED, "cancelled" },
        { 4711, "new", ORT_PHASE_LOAD, TROUPE_INTERNAL, "new" },
        { 4711, "new", ORT_PHASE_RUN, TROUPE_BACKEND_FAILED, "new" },
        { ORT_RUNTIME_EXCEPTION, "Failed to construct locale with name:en_US.UTF-8", ORT_PHASE_LOAD,
          TROUPE_FAILED_PRECONDITION, "en_US.UTF-8; StringNormalizer needs that locale" },
        { ORT_FAIL,
          "Non-zero status code returned while running Gather node. Name:'pick' Status Message: "
          "indices element out of data bounds",
          ORT_PHASE_RUN, TROUPE_BACKEND_FAILED, "Gather 'pick': indices element out" },
        { ORT_FAIL,
          "Non-zero status code returned while running If node. Name:'a' Status Message: Non-zero "
          "status code returned while running LSTM node. Name:'b' Status Message: bad shape",
          ORT_PHASE_RUN, TROUPE_BACKEND_FAILED, "If 'a': LSTM 'b': bad shape" },
        { ORT_FAIL,
          "Non-zero status code returned while running Add node. Name:'' Status Message: no",
          ORT_PHASE_RUN, TROUPE_BACKEND_FAILED, "Add: no" },
    };
    struct OrtApi api = { .GetErrorCode = code_of,
                          .GetErrorMessage = text_of,
                          .ReleaseStatus = release };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct OrtStatus status = { r->from, r->text, 0 };
        struct troupe_error error = { 0 };
        assert_int_equal(ort_words_of_status(&api, &status, r->phase, &error), r->code);
        print_message("%s\n", error.text);
        assert_int_equal(error.code, r->code);
        assert_non_null(strstr(error.text, r->words));
        assert_int_equal(status.released, 1);
    }
}

/* --- the walk over a file --------------------------------------------------------------------- */

/* A scalar, a tensor of undeclared rank, 20 KB of weights to step over, and two ZipMaps. */
static void write_file(const char *path)
{
    static const float weights[5000];
    const char *const texts[] = { "cat", "", "dog" };
    struct onnx g = { 0 }, packed = { 0 };
    struct onnx a = onnx_node("ZipMap", "ai.onnx.ml", "s", "by_text");
    struct onnx b = onnx_node("ZipMap", "ai.onnx.ml", "s", "by_number");
    struct onnx c = onnx_node("ZipMap", "ai.onnx.ml", "s", "by_packed");
    struct onnx d = onnx_node("ZipMap", "ai.onnx.ml", "s", "keyless");
    onnx_initializer(&g, "w", ONNX_FLOAT, 1, DIMS(5000), weights, sizeof weights);
    onnx_attr_ints(&a, "classlabels_int64s", NULL, 0);
    onnx_attr_strings(&a, "classlabels_strings", texts, 3);
    onnx_attr_ints(&b, "classlabels_int64s", DIMS(-7, 300), 2);
    onnx_text(&packed, 1, "classlabels_int64s");
    onnx_bytes(&packed, 8, "\x01\xac\x02", 3); /* 1, 300 */
    onnx_part(&c, 5, &packed);
    onnx_part(&g, 1, &a);
    onnx_part(&g, 1, &b);
    onnx_part(&g, 1, &c);
    onnx_part(&g, 1, &d);
    onnx_input(&g, "scalar", ONNX_FLOAT, 0, NULL);
    onnx_input(&g, "any", ONNX_FLOAT, ONNX_ANY_RANK, NULL);
    onnx_output(&g, "flat", ONNX_FLOAT, 1, DIMS(-1));
    onnx_save(&g, path);
}

/* A file in memory: it goes with the descriptor. */
static int make_path(char *path, size_t size)
{
    const int fd = memfd_create("model", 0);
    assert_true(fd >= 0);
    snprintf(path, size, "/proc/self/fd/%d", fd);
    return fd;
}

static void expect_keys(struct ort_file *f, const char *name, bool are_integers, uint32_t n,
                        const char *const *texts)
{
    struct ort_file_keys keys;
    assert_true(ort_file_zipmap_keys(f, name, &keys));
    assert_int_equal(keys.n, n);
    assert_int_equal(keys.are_integers, are_integers);
    for (uint32_t i = 0; i < n; i++)
        assert_string_equal(keys.texts[i], texts[i]);
    ort_file_free_keys(&keys);
}

static void a_file_tells_shapes_and_keys(void **state)
{
    (void)state;
    char path[32];
    struct ort_file_keys keys;
    const int fd = make_path(path, sizeof path);
    write_file(path);
    struct ort_file *f = ort_file_open(path);
    assert_non_null(f);
    assert_true(ort_file_has_shape(f, "scalar"));
    assert_false(ort_file_has_shape(f, "any"));
    assert_true(ort_file_has_shape(f, "flat"));
    assert_false(ort_file_has_shape(f, "nobody"));
    expect_keys(f, "by_text", false, 3, (const char *const[]){ "cat", "", "dog" });
    expect_keys(f, "by_number", true, 2, (const char *const[]){ "-7", "300" });
    expect_keys(f, "by_packed", true, 2, (const char *const[]){ "1", "300" });
    assert_false(ort_file_zipmap_keys(f, "keyless", &keys));
    assert_false(ort_file_zipmap_keys(f, "nobody", &keys));
    ort_file_close(f);
    close(fd);
    assert_null(ort_file_open("/nowhere/m.onnx"));
    ort_file_close(NULL);
}

static void ask_everything(const char *path)
{
    struct ort_file_keys keys;
    struct ort_file *f = ort_file_open(path);
    assert_non_null(f);
    (void)ort_file_has_shape(f, "scalar");
    (void)ort_file_has_shape(f, "any");
    static const char *const names[] = { "by_text", "by_number", "by_packed", "keyless" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (ort_file_zipmap_keys(f, names[i], &keys))
            ort_file_free_keys(&keys);
    ort_file_close(f);
}

static void put_file(const char *path, const unsigned char *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

/* Cut at every place of the structure, and with every byte of it changed: no answer matters, only
 * that the walk ends within the file (the address sanitizer watches). */
static void nonsense_ends_the_walk(void **state)
{
    (void)state;
    char path[32];
    static unsigned char bytes[32768];
    const int fd = make_path(path, sizeof path);
    write_file(path);
    FILE *f = fopen(path, "rb");
    const size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    assert_true(n > 20000 && n < sizeof bytes);
    for (size_t at = 0; at<n; at += at> 64 && at < n - 500 ? 499 : 1) {
        const unsigned char kept = bytes[at];
        put_file(path, bytes, at);
        ask_everything(path);
        for (int bit = 0; bit < 8; bit += 7) {
            bytes[at] = (unsigned char)(kept ^ (1 << bit));
            put_file(path, bytes, n);
            ask_everything(path);
        }
        bytes[at] = kept;
    }
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_lose_paths_signatures_colours_and_line_ends),
        cmocka_unit_test(a_long_text_is_cut_and_terminated),
        cmocka_unit_test(failures_get_codes_by_phase_and_words),
        cmocka_unit_test(a_file_tells_shapes_and_keys),
        cmocka_unit_test(nonsense_ends_the_walk),
    };
    return cmocka_run_group_tests_name("plugin_parts", tests, NULL, NULL);
}

/* The report, for people and for programs. */
#include "onnx_build.h"

#include "base/json.h"
#include "onnx/onnx_report.h"

/* Something of everything. */
static void write_rich(struct build *b)
{
    static const int64_t numbers[] = { 1, 2, 3 };
    build_start(b, 8);
    text(b, 2, "maker");
    text(b, 3, "1.0");
    text(b, 6, "first line\nsecond \x1b[31mline");
    const size_t opset = begin(b, 8);
    number(b, 2, 17);
    end(b, opset);
    const size_t graph = begin(b, GRAPH);
    text(b, 2, "g");
    const size_t n = node_begin(b, "Div x,y>z");
    text(b, 3, "divide");
    end(b, n);
    node(b, "Add x,w>v");
    node(b, "Add v,w>u");
    ints(b, INITIALIZER, "w", TRP_ONNX_INT64, numbers, 3);
    const size_t tensor = begin(b, INITIALIZER);
    number(b, 1, 1000000);
    number(b, 2, TRP_ONNX_FLOAT);
    text(b, 8, "far");
    const size_t entry = begin(b, 13);
    text(b, 1, "location");
    text(b, 2, "../far.bin");
    end(b, entry);
    number(b, 14, 1);
    end(b, tensor);
    value(b, INPUT, "x", TRP_ONNX_INT64, DIMS(-1, 3));
    value(b, INPUT, "a longer name", TRP_ONNX_INT64, DIMS(3));
    value(b, INPUT, "w", TRP_ONNX_INT64, DIMS(3));
    value(b, OUTPUT, "u", TRP_ONNX_INT64, NULL);
    value(b, OUTPUT, "c", TRP_ONNX_COMPLEX64, DIMS(NO_MORE));
    end(b, graph);
    const size_t meta = begin(b, 14);
    text(b, 1, "key");
    text(b, 2, "quote \" and tab\t");
    end(b, meta);
}

static const char *const want = "dir/m.onnx\n"
                                "\n"
                                "model\n"
                                "  size           %zu bytes\n"
                                "  IR version     8\n"
                                "  operator sets  ai.onnx 17\n"
                                "  producer       maker 1.0\n"
                                "  graph          g\n"
                                "  about          first line second ?[31mline\n"
                                "\n"
                                "inputs\n"
                                "  x              INT64  [-1, 3]\n"
                                "  a longer name  INT64  [3]\n"
                                "  w              INT64  [3]      optional\n"
                                "\n"
                                "outputs\n"
                                "  u  INT64  any\n"
                                "  c  -      []   tensor(complex64), not served\n"
                                "\n"
                                "operators\n"
                                "  2  Add\n"
                                "  1  Div\n"
                                "\n"
                                "parameters\n"
                                "  in initializers  1,000,003   3.8 MiB  in 2 tensors\n"
                                "  of type float    1,000,000   3.8 MiB  in 1 tensor\n"
                                "  of type int64            3  24 bytes  in 1 tensor\n"
                                "\n"
                                "external files\n"
                                "  ../far.bin  3.8 MiB  for 1 tensor\n"
                                "\n"
                                "hazards\n"
                                "  DANGER  Div on int64, node 'divide': the divisor 'y' may be -1; "
                                "the smallest integer divided "
                                "by -1 ends the whole process\n"
                                "  note    tensor 'far': its data is said to lie in '../far.bin', "
                                "outside the model's folder; it "
                                "will not load\n"
                                "\n"
                                "metadata\n"
                                "  key  quote \" and tab \n";

static void people_see_aligned_columns(void **state)
{
    (void)state;
    struct build b;
    struct trp_buf out;
    char expected[4096];
    write_rich(&b);
    build_read_ok(&b);
    trp_buf_init(&out, trp_heap(), 1u << 20);
    trp_onnx_report_text(&b.model, TRP_STR_LIT("dir/m.onnx"), &out);
    snprintf(expected, sizeof expected, want, b.bytes.len);
    assert_string_equal(trp_buf_text(&out), expected);
    trp_buf_deinit(&out);
    build_drop(&b);
}

static uint64_t number_of(struct trp_json object, const char *key)
{
    struct trp_json v;
    uint64_t n = 0;
    assert_true(trp_json_find(object, key, &v));
    assert_true(trp_json_as_u64(v, &n));
    return n;
}

static struct trp_json member(struct trp_json object, const char *key)
{
    struct trp_json v;
    if (!trp_json_find(object, key, &v))
        fail_msg("no key '%s'", key);
    return v;
}

static struct trp_json first(struct trp_json array)
{
    struct trp_json_iter it;
    struct trp_json v;
    assert_true(trp_json_begin(array, &it));
    assert_true(trp_json_next(&it, NULL, &v));
    return v;
}

static void assert_text(struct trp_json object, const char *key, const char *expected)
{
    struct trp_str s;
    assert_true(trp_json_as_str(member(object, key), &s));
    assert_true(trp_str_is(s, expected));
}

static void programs_get_json_that_says_the_same(void **state)
{
    (void)state;
    struct build b;
    struct trp_buf out;
    struct trp_json_parser *parser = NULL;
    struct trp_json root;
    write_rich(&b);
    build_read_ok(&b);
    trp_buf_init(&out, trp_heap(), 1u << 20);
    trp_onnx_report_json(&b.model, TRP_STR_LIT("dir/m.onnx"), &out);
    assert_int_equal(trp_json_parser_create(1u << 20, 16, &parser, &b.err).code, TRP_OK);
    if (trp_failed(trp_json_parse(parser, trp_buf_str(&out), false, &root, &b.err)))
        fail_msg("%s", b.err.text);
    assert_text(root, "path", "dir/m.onnx");
    assert_text(root, "doc", "first line\nsecond \x1b[31mline");
    assert_int_equal(number_of(root, "bytes"), b.bytes.len);
    assert_int_equal(number_of(root, "nodes"), 3);
    assert_int_equal(trp_json_count(member(root, "inputs")), 3);
    assert_int_equal(trp_json_count(member(root, "outputs")), 2);
    assert_text(first(member(root, "inputs")), "datatype", "INT64");
    assert_text(first(member(root, "operators")), "name", "Add");
    assert_int_equal(number_of(member(root, "parameters"), "count"), 1000003);
    const struct trp_json places = member(member(root, "parameters"), "by_place");
    assert_int_equal(number_of(member(places, "initializers"), "tensors"), 2);
    assert_int_equal(number_of(first(member(root, "external_files")), "end"), 4000000);
    assert_int_equal(number_of(root, "hazards_total"), 2);
    assert_text(first(member(root, "hazards")), "kind", "int-division");
    assert_text(first(member(root, "metadata")), "value", "quote \" and tab\t");
    trp_json_parser_destroy(parser);
    trp_buf_deinit(&out);
    build_drop(&b);
}

static void a_report_that_does_not_fit_says_so(void **state)
{
    (void)state;
    struct build b;
    write_rich(&b);
    build_read_ok(&b);
    for (size_t max = 0; max < 900; max += 50) {
        struct trp_buf out;
        trp_buf_init(&out, trp_heap(), max);
        trp_onnx_report_text(&b.model, TRP_STR_LIT("m"), &out);
        assert_int_equal(out.failed, TRP_TOO_LARGE);
        trp_buf_deinit(&out);
        trp_buf_init(&out, trp_heap(), max);
        trp_onnx_report_json(&b.model, TRP_STR_LIT("m"), &out);
        assert_int_equal(out.failed, TRP_TOO_LARGE);
        trp_buf_deinit(&out);
    }
    build_drop(&b);
}

static void long_texts_and_many_labels_are_shortened_for_people(void **state)
{
    (void)state;
    struct trp_str labels[10];
    char letters[300];
    memset(letters, 'x', sizeof letters);
    for (size_t i = 0; i < ARRAY_LEN(labels); i++)
        labels[i] = TRP_STR_LIT("l");
    const struct trp_onnx_io io = { .io = { .name = TRP_STR_LIT("p"),
                                            .dtype = TROUPE_FP32,
                                            .labels = labels,
                                            .labels_n = ARRAY_LEN(labels),
                                            .any_rank = true },
                                    .zipmap = true };
    const struct trp_onnx_model m = { .doc = trp_str_make(letters, sizeof letters),
                                      .outputs = &io,
                                      .outputs_n = 1 };
    struct trp_buf out;
    trp_buf_init(&out, trp_heap(), 1u << 16);
    trp_onnx_report_text(&m, TRP_STR_LIT("m"), &out);
    const char *const text_out = trp_buf_text(&out);
    assert_non_null(strstr(text_out, "10 classes: l, l, l, l, l, l, ...\n"));
    assert_non_null(strstr(text_out, "xxx...\n"));
    assert_null(strstr(text_out, "inputs\n  p"));
    assert_non_null(strstr(text_out, "inputs\n  none\n"));
    trp_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(people_see_aligned_columns),
        cmocka_unit_test(programs_get_json_that_says_the_same),
        cmocka_unit_test(a_report_that_does_not_fit_says_so),
        cmocka_unit_test(long_texts_and_many_labels_are_shortened_for_people),
    };
    return cmocka_run_group_tests_name("onnx_report", tests, NULL, NULL);
}

/* Which divisions are reported, and in which words. */
#include "onnx_build.h"

/* a and b of `elem`, one node of `op`, b possibly an initialiser. */
struct division {
    const char *op;
    int32_t elem;
    int64_t ir_version;
    bool b_is_input;
    const int64_t *constant; /* NULL: none */
    uint32_t constant_n;
    int64_t fmod;
};

static void write_division(struct build *b, const struct division *d)
{
    build_start(b, d->ir_version ? d->ir_version : 8);
    const size_t graph = begin(b, GRAPH);
    char spec[64];
    snprintf(spec, sizeof spec, "%s a,b>y", d->op);
    const size_t n = node_begin(b, spec);
    text(b, 3, "the node");
    if (d->fmod)
        attribute_int(b, "fmod", d->fmod);
    end(b, n);
    value(b, INPUT, "a", d->elem, DIMS(-1));
    if (d->b_is_input)
        value(b, INPUT, "b", d->elem, DIMS(-1));
    if (d->constant)
        ints(b, INITIALIZER, "b", d->elem, d->constant, d->constant_n);
    end(b, graph);
}

static void reports_integer_division_unless_the_divisor_is_safe(void **state)
{
    (void)state;
    static const int64_t three[] = { 3 }, zero[] = { 4, 0 }, minus[] = { 2, -1 };
    enum { NONE = -1 };
    static const struct row {
        const char *what;
        struct division d;
        int want; /* kind, or NONE */
    } rows[] = {
        { "int64 by input", { "Div", TRP_ONNX_INT64, 8, true, NULL, 0, 0 }, TRP_ONNX_INT_DIVISION },
        { "int32 by input", { "Div", TRP_ONNX_INT32, 8, true, NULL, 0, 0 }, TRP_ONNX_INT_DIVISION },
        { "Mod by input", { "Mod", TRP_ONNX_INT64, 8, true, NULL, 0, 0 }, TRP_ONNX_INT_DIVISION },
        { "fmod", { "Mod", TRP_ONNX_INT64, 8, true, NULL, 0, 1 }, NONE },
        { "float", { "Div", TRP_ONNX_FLOAT, 8, true, NULL, 0, 0 }, NONE },
        { "int16 has room", { "Div", TRP_ONNX_INT16, 8, true, NULL, 0, 0 }, NONE },
        { "unsigned", { "Div", TRP_ONNX_UINT64, 8, true, NULL, 0, 0 }, NONE },
        { "by 3", { "Div", TRP_ONNX_INT64, 8, false, three, 1, 0 }, NONE },
        { "by 3, int32", { "Div", TRP_ONNX_INT32, 8, false, three, 1, 0 }, NONE },
        { "by -1", { "Div", TRP_ONNX_INT64, 8, false, minus, 2, 0 }, TRP_ONNX_INT_DIVISION },
        { "by -1, int32", { "Div", TRP_ONNX_INT32, 8, false, minus, 2, 0 }, TRP_ONNX_INT_DIVISION },
        { "by 0", { "Div", TRP_ONNX_INT64, 8, false, zero, 2, 0 }, TRP_ONNX_ZERO_DIVISION },
        { "default 3", { "Div", TRP_ONNX_INT64, 8, true, three, 1, 0 }, TRP_ONNX_INT_DIVISION },
        { "old file", { "Div", TRP_ONNX_INT64, 3, true, three, 1, 0 }, NONE },
        { "Mul", { "Mul", TRP_ONNX_INT64, 8, true, NULL, 0, 0 }, NONE },
        { "not ours", { "my.domain:Div", TRP_ONNX_INT64, 8, true, NULL, 0, 0 }, NONE },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("%s\n", r->what);
        struct build b;
        write_division(&b, &r->d);
        build_read_ok(&b);
        assert_int_equal(b.model.hazards_total, r->want == NONE ? 0 : 1);
        if (r->want != NONE) {
            assert_int_equal(b.model.hazards[0].kind, r->want);
            assert_false(b.model.hazards[0].possible);
            assert_int_equal(trp_onnx_hazard_is_fatal(&b.model.hazards[0]),
                             r->want == TRP_ONNX_INT_DIVISION);
        }
        build_drop(&b);
    }
}

/* The nodes of a graph with int64 inputs a and b, float f; the last divides. */
static uint64_t hazards_of(const char *const *specs, bool *out_possible)
{
    struct build b;
    build_start(&b, 8);
    const size_t graph = begin(&b, GRAPH);
    for (; *specs; specs++) {
        const size_t n = node_begin(&b, *specs);
        if (strncmp(*specs, "Cast64", 6) == 0) { /* spelled so in the table below */
            text(&b, 4, "Cast");
            attribute_int(&b, "to", TRP_ONNX_INT64);
        } else if (strncmp(*specs, "Cast32", 6) == 0) {
            text(&b, 4, "Cast");
            attribute_int(&b, "to", TRP_ONNX_INT32);
        } else if (strncmp(*specs, "Constant ", 9) == 0) {
            attribute_int(&b, "value_int", 5);
        }
        end(&b, n);
    }
    value(&b, INPUT, "a", TRP_ONNX_INT64, DIMS(-1));
    value(&b, INPUT, "b", TRP_ONNX_INT64, DIMS(-1));
    value(&b, INPUT, "f", TRP_ONNX_FLOAT, DIMS(-1));
    value(&b, INPUT, "u", TRP_ONNX_UINT8, DIMS(-1));
    value(&b, INPUT, "k", TRP_ONNX_INT32, DIMS(-1));
    value(&b, VALUE_INFO, "declared", TRP_ONNX_FLOAT, NULL);
    end(&b, graph);
    build_read_ok(&b);
    const uint64_t n = b.model.hazards_total;
    *out_possible = n > 0 && b.model.hazards[0].possible;
    build_drop(&b);
    return n;
}

static void follows_values_through_the_graph(void **state)
{
    (void)state;
    static const struct row {
        const char *const nodes[6];
        int want; /* 0 none, 1 certain, 2 possible */
    } rows[] = {
        { { "Shape a>s", "Div a,s>y" }, 0 },
        { { "Shape a>s", "Gather s,a>g", "Squeeze g>q", "Div a,q>y" }, 0 },
        { { "Shape a>s", "Shape b>t", "Concat s,t>c", "Div a,c>y" }, 0 },
        { { "Shape a>s", "Concat s,s,s,s,b>c", "Div a,c>y" }, 1 },
        { { "Shape a>s", "Sub s,b>d", "Div a,d>y" }, 1 },
        { { "Shape a>s", "Div s,b>y" }, 0 }, /* no dividend below 0 */
        { { "Constant >c", "Div c,b>y" }, 0 },
        { { "Constant >c", "Expand c,a>e", "Div a,e>y" }, 0 },
        { { "Constant >c", "Neg c>e", "Div a,e>y" }, 1 },
        { { "Cast64 f>i", "Div a,i>y" }, 1 },
        { { "Cast64 u>i", "Div a,i>y" }, 0 },
        { { "Shape a>s", "Cast32 s>i", "Div k,i>y" }, 1 }, /* 2^32 - 1 becomes -1 */
        { { "Mystery a>m", "Div m,m>y" }, 2 },
        { { "Mystery a>declared", "Div declared,declared>y" }, 0 },
        { { "Mystery a>m", "Div m,f>y" }, 0 }, /* both sides are of one type */
        { { "Equal a,b>e", "Where e,a,b>w", "Div w,w>y" }, 1 },
        { { "TopK a,b>v,i", "Div a,i>y" }, 0 },
        { { "TopK a,b>v,i", "Div a,v>y" }, 1 },
        { { "Div a,later>y", "Shape a>later" }, 1 }, /* out of order: nothing is proven */
        { { "Div a,>y" }, 1 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        bool possible = false;
        print_message("%s %s\n", r->nodes[0], r->nodes[1] ? r->nodes[1] : "");
        const uint64_t n = hazards_of(r->nodes, &possible);
        assert_int_equal(n, r->want > 0);
        assert_int_equal(possible, r->want == 2);
    }
}

static void a_function_of_the_default_domain_makes_every_rule_void(void **state)
{
    (void)state;
    struct build b;
    build_start(&b, 8);
    const size_t graph = begin(&b, GRAPH);
    node(&b, "Shape a>s");
    node(&b, "Div a,s>y");
    value(&b, INPUT, "a", TRP_ONNX_INT64, DIMS(-1));
    end(&b, graph);
    const size_t function = begin(&b, 25); /* this Shape answers -1 */
    text(&b, 1, "Shape");
    const size_t n = begin(&b, 7);
    text(&b, 4, "Identity");
    end(&b, n);
    end(&b, function);
    build_read_ok(&b);
    assert_int_equal(b.model.hazards_total, 1);
    build_drop(&b);
}

static void an_inner_graph_sees_outer_names_and_its_own_are_forgotten(void **state)
{
    (void)state;
    struct build b;
    build_start(&b, 8);
    const size_t graph = begin(&b, GRAPH);
    static const int64_t three[] = { 3 }, minus[] = { -1 };
    ints(&b, INITIALIZER, "three", TRP_ONNX_INT64, three, 1);
    const size_t n = node_begin(&b, "If a>y");
    text(&b, 3, "choice");
    const size_t branch = begin(&b, 5);
    text(&b, 1, "then_branch");
    const size_t inner = begin(&b, 6);
    ints(&b, INITIALIZER, "local", TRP_ONNX_INT64, minus, 1);
    node(&b, "Div a,three>p"); /* safe */
    node(&b, "Div a,local>q"); /* not safe */
    end(&b, inner);
    end(&b, branch);
    end(&b, n);
    node(&b, "Div a,local>z"); /* here `local` is nothing */
    value(&b, INPUT, "a", TRP_ONNX_INT64, DIMS(-1));
    end(&b, graph);
    build_read_ok(&b);
    assert_int_equal(b.model.hazards_total, 2);
    assert_int_equal(b.model.subgraphs, 1);
    assert_true(trp_str_is(b.model.hazards[0].where, "If 'choice'"));
    assert_true(trp_str_is(b.model.hazards[1].where, ""));
    build_drop(&b);
}

/* A constant tensor of int32, its numbers written in one of the ways that protobuf allows. */
static uint64_t hazards_of_typed(int64_t v, bool packed, bool narrow_varint, int64_t dim)
{
    struct build b;
    build_start(&b, 8);
    const size_t graph = begin(&b, GRAPH);
    const size_t tensor = begin(&b, INITIALIZER);
    number(&b, 1, dim);
    number(&b, 2, TRP_ONNX_INT32);
    text(&b, 8, "c");
    const uint64_t varint = narrow_varint ? (uint32_t)v : (uint64_t)v;
    if (packed) {
        const size_t list = begin(&b, 5);
        trp_pb_write_varint(&b.bytes, varint);
        end(&b, list);
    } else {
        trp_pb_write_u64(&b.bytes, 5, varint);
    }
    end(&b, tensor);
    node(&b, "Div a,c>y");
    value(&b, INPUT, "a", TRP_ONNX_INT32, DIMS(-1));
    end(&b, graph);
    build_read_ok(&b);
    const uint64_t n = b.model.hazards_total;
    build_drop(&b);
    return n;
}

static void reads_constants_in_every_spelling(void **state)
{
    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        for (int narrow = 0; narrow < 2; narrow++) {
            assert_int_equal(hazards_of_typed(7, packed, narrow, 1), 0);
            assert_int_equal(hazards_of_typed(-1, packed, narrow, 1), 1);
            assert_int_equal(hazards_of_typed(7, packed, narrow, 2), 1); /* a number is missing */
        }
    }
}

static void says_what_is_wrong_in_one_sentence(void **state)
{
    (void)state;
    const struct trp_onnx_hazard rows[] = {
        { .kind = TRP_ONNX_INT_DIVISION,
          .elem = TRP_ONNX_INT64,
          .op = TRP_STR_LIT("Div"),
          .node = TRP_STR_LIT("n\x1b[2J\xc2\x9b"),
          .value = TRP_STR_LIT("b"),
          .where = TRP_STR_LIT("If 'x'") },
        { .kind = TRP_ONNX_INT_DIVISION, .possible = true, .op = TRP_STR_LIT("Mod") },
        { .kind = TRP_ONNX_ZERO_DIVISION, .op = TRP_STR_LIT("Div"), .value = TRP_STR_LIT("z") },
        { .kind = TRP_ONNX_OUTSIDE_PATH,
          .node = TRP_STR_LIT("w"),
          .value = TRP_STR_LIT("../w.bin") },
        { .kind = TRP_ONNX_LOCALE, .op = TRP_STR_LIT("StringNormalizer") },
    };
    static const char *const want[] = {
        "Div on int64, node 'n?[2J?', inside If 'x': the divisor 'b' may be -1; "
        "the smallest integer divided by -1 ends the whole process",
        "Mod: the divisor '' may be -1 if these are integers (the type is not known); "
        "the smallest integer divided by -1 ends the whole process",
        "Div: the constant divisor 'z' holds 0; it will not load, or fail when it runs",
        "tensor 'w': its data is said to lie in '../w.bin', outside the model's folder; "
        "it will not load",
        "StringNormalizer: loads only where the locale en_US.UTF-8 is installed",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct trp_buf b;
        trp_buf_init(&b, trp_heap(), 4096);
        trp_onnx_hazard_format(&rows[i], &b);
        assert_string_equal(trp_buf_text(&b), want[i]);
        trp_buf_deinit(&b);
    }
    assert_string_equal(trp_onnx_hazard_name(TRP_ONNX_LOCALE), "locale");
    assert_string_equal(trp_onnx_hazard_name(99), "unknown");
}

static void counts_all_but_keeps_only_some(void **state)
{
    (void)state;
    struct build b;
    build_start(&b, 8);
    const size_t graph = begin(&b, GRAPH);
    for (int i = 0; i < 10; i++)
        node(&b, "StringNormalizer a>y");
    end(&b, graph);
    const struct trp_onnx_opts opts = { .hazards_max = 3 };
    assert_int_equal(build_read_with(&b, &opts).code, TRP_OK);
    assert_int_equal(b.model.hazards_total, 10);
    assert_int_equal(b.model.hazards_n, 3);
    build_drop(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_integer_division_unless_the_divisor_is_safe),
        cmocka_unit_test(follows_values_through_the_graph),
        cmocka_unit_test(a_function_of_the_default_domain_makes_every_rule_void),
        cmocka_unit_test(an_inner_graph_sees_outer_names_and_its_own_are_forgotten),
        cmocka_unit_test(reads_constants_in_every_spelling),
        cmocka_unit_test(says_what_is_wrong_in_one_sentence),
        cmocka_unit_test(counts_all_but_keeps_only_some),
    };
    return cmocka_run_group_tests_name("onnx_hazard", tests, NULL, NULL);
}

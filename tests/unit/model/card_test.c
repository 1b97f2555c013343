/* What a model is for: from its configuration, from its file, and both together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf/model_schema.h"
#include "model/card.h"
#include "unit/base/scarce.h"

struct fixture {
    struct trp_arena arena;
    struct trp_error err;
    struct trp_card card;
};

static void open_fixture(struct fixture *f)
{
    *f = (struct fixture){ 0 };
    trp_arena_init(&f->arena, trp_heap(), 4096, 1 << 20);
}

static void close_fixture(struct fixture *f)
{
    trp_arena_deinit(&f->arena);
}

static const struct trp_node *written(struct fixture *f, const char *yaml)
{
    struct trp_node *tree;
    const trp_status st =
        trp_model_config_parse(&f->arena, trp_str_of(yaml), "model.yaml", &tree, NULL, &f->err);
    if (trp_failed(st))
        print_message("%s\n", f->err.text);
    assert_int_equal(st.code, TRP_OK);
    return tree;
}

#define WHOLE                                                                     \
    "task: classification\ntags: [shop, beta-2]\ndescription: Finds the aisle.\n" \
    "quality: {name: accuracy, value: 0.97}\ninput_kinds: {x: image}\n"           \
    "input: [{name: y, format: FORMAT_NHWC}, {name: z}]\n"

static void a_configuration_says_it_all(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    assert_int_equal(trp_card_from_config(&f.arena, written(&f, WHOLE), &f.card, &f.err).code,
                     TRP_OK);
    assert_true(trp_str_is(f.card.task, "classification"));
    assert_int_equal(f.card.tags_n, 2);
    assert_true(trp_str_is(f.card.tags[1], "beta-2"));
    assert_true(trp_str_is(f.card.description, "Finds the aisle."));
    assert_true(trp_str_is(f.card.quality.name, "accuracy"));
    assert_true(f.card.quality.value == 0.97);
    assert_false(f.card.quality.lower_is_better);
    bool is_derived;
    struct trp_io io = { .name = TRP_STR_LIT("x"), .dtype = TROUPE_FP32, .any_rank = true };
    assert_int_equal(trp_card_kind_of(&f.card, &io, &is_derived), TRP_INPUT_IMAGE);
    assert_false(is_derived);
    io.name = TRP_STR_LIT("y");
    assert_int_equal(trp_card_kind_of(&f.card, &io, &is_derived), TRP_INPUT_IMAGE);
    assert_false(is_derived);
    io.name = TRP_STR_LIT("z");
    assert_int_equal(trp_card_kind_of(&f.card, &io, &is_derived), TRP_INPUT_TENSOR);
    assert_true(is_derived);
    close_fixture(&f);
}

static void nothing_written_is_an_empty_card(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    assert_int_equal(trp_card_from_config(&f.arena, NULL, &f.card, &f.err).code, TRP_OK);
    assert_int_equal(f.card.task.len, 0);
    assert_int_equal(f.card.tags_n, 0);
    assert_int_equal(f.card.quality.name.len, 0);
    close_fixture(&f);
}

static void what_is_wrong_is_refused_with_its_line(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "\ntask: Image Classification\n", "model.yaml:2: task is \"Image Classification\"" },
        { "tags: [ok, 'not ok']\n", "model.yaml:1: a tag is \"not ok\"" },
        { "quality: {name: accuracy}\n", "model.yaml:1: quality has a name and a value" },
        { "quality: {value: 1}\n", "model.yaml:1: quality has a name and a value" },
        { "quality: {name: accuracy, value: .inf}\n", "model.yaml:1: " },
        { "input_kinds: {x: picture}\n", "input_kinds: \"picture\" is none of image" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        struct trp_node *tree;
        open_fixture(&f);
        print_message("%s", rows[i][0]);
        trp_status st = trp_model_config_parse(&f.arena, trp_str_of(rows[i][0]), "model.yaml",
                                               &tree, NULL, &f.err);
        if (!trp_failed(st))
            st = trp_card_from_config(&f.arena, tree, &f.card, &f.err);
        print_message("  %s\n", f.err.text);
        assert_int_equal(st.code, TRP_INVALID_ARGUMENT);
        assert_non_null(strstr(f.err.text, rows[i][1]));
        close_fixture(&f);
    }
}

static void kinds_of_inputs_that_are_not_there_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    const struct trp_io x = { .name = TRP_STR_LIT("x"), .dtype = TROUPE_FP32 };
    const struct trp_signature signature = { .inputs = &x, .inputs_n = 1 };
    const struct trp_node *tree = written(&f, "input_kinds: {x: image, pixels: image}\n");
    assert_int_equal(trp_card_from_config(&f.arena, tree, &f.card, &f.err).code, TRP_OK);
    assert_int_equal(trp_card_check(&f.card, tree, &signature, &f.err).code, TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(f.err.text, "no input \"pixels\""));
    close_fixture(&f);
}

#define TEXT(literal)                \
    {                                \
        literal, sizeof(literal) - 1 \
    }
#define ENTRY(key, value)      \
    {                          \
        TEXT(key), TEXT(value) \
    }

static void a_file_says_it_in_the_words_of_its_exporter(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    static const struct trp_onnx_entry entries[] = {
        ENTRY("author", "somebody"),        ENTRY("Task", " detect "),
        ENTRY("tags", "Street Signs, , a"), ENTRY("quality", "mAP50 = 0.61"),
        ENTRY("description", "Signs."),
    };
    static const struct trp_onnx_io inputs[] = {
        { .io = { .name = { "images", 6 } }, .denotation = { "IMAGE", 5 } },
        { .io = { .name = { "more", 4 } }, .denotation = { "GRAPH", 5 } },
    };
    const struct trp_onnx_model m = { .metadata = entries,
                                      .metadata_n = ARRAY_LEN(entries),
                                      .inputs = inputs,
                                      .inputs_n = ARRAY_LEN(inputs),
                                      .doc = TRP_STR_LIT("not this") };
    assert_int_equal(trp_card_from_file(&f.arena, &m, &f.card, &f.err).code, TRP_OK);
    assert_true(trp_str_is(f.card.task, "detection"));
    assert_int_equal(f.card.tags_n, 2);
    assert_true(trp_str_is(f.card.tags[0], "street-signs"));
    assert_true(trp_str_is(f.card.tags[1], "a"));
    assert_true(trp_str_is(f.card.quality.name, "map50"));
    assert_true(f.card.quality.value == 0.61);
    assert_true(trp_str_is(f.card.description, "Signs."));
    assert_int_equal(f.card.kinds_n, 1);
    assert_true(trp_str_is(f.card.kinds[0].input, "images"));
    close_fixture(&f);
}

static void what_a_file_says_badly_is_passed_over(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    static const struct trp_onnx_entry entries[] = {
        ENTRY("task", "find \"things\""),
        ENTRY("quality", "high"),
        ENTRY("tags", "\x80,,/"),
    };
    const struct trp_onnx_model m = { .metadata = entries,
                                      .metadata_n = ARRAY_LEN(entries),
                                      .doc = TRP_STR_LIT("bad \x80 text") };
    assert_int_equal(trp_card_from_file(&f.arena, &m, &f.card, &f.err).code, TRP_OK);
    assert_int_equal(f.card.task.len, 0);
    assert_int_equal(f.card.tags_n, 0);
    assert_int_equal(f.card.quality.name.len, 0);
    assert_int_equal(f.card.description.len, 0);
    close_fixture(&f);
}

static void a_long_text_is_cut_between_characters(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    char text[TRP_CARD_TEXT_MAX + 2];
    memset(text, 'a', sizeof text);
    memcpy(text + TRP_CARD_TEXT_MAX - 1, "\xc3\xa4", 2); /* two bytes, one too many */
    const struct trp_onnx_model m = { .doc = trp_str_make(text, sizeof text) };
    assert_int_equal(trp_card_from_file(&f.arena, &m, &f.card, &f.err).code, TRP_OK);
    assert_int_equal(f.card.description.len, TRP_CARD_TEXT_MAX - 1);
    close_fixture(&f);
}

static void the_owner_comes_before_the_file(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    static const struct trp_str tags[] = { { "old", 3 } };
    static const struct trp_card_kind kinds[] = { { { "x", 1 }, TRP_INPUT_AUDIO },
                                                  { { "w", 1 }, TRP_INPUT_TEXT } };
    const struct trp_card file = { .task = TRP_STR_LIT("ranking"),
                                   .description = TRP_STR_LIT("From the file."),
                                   .tags = tags,
                                   .tags_n = 1,
                                   .quality = { TRP_STR_LIT("loss"), 3, true },
                                   .kinds = kinds,
                                   .kinds_n = 2 };
    bool is_derived;
    struct trp_io io = { .name = TRP_STR_LIT("x") };
    assert_int_equal(trp_card_from_config(&f.arena,
                                          written(&f, "task: text\ninput_kinds: {x: image}\n"),
                                          &f.card, &f.err)
                         .code,
                     TRP_OK);
    assert_int_equal(trp_card_complete(&f.arena, &file, &f.card, &f.err).code, TRP_OK);
    assert_true(trp_str_is(f.card.task, "text"));
    assert_true(trp_str_is(f.card.description, "From the file."));
    assert_int_equal(f.card.tags_n, 1);
    assert_true(trp_str_is(f.card.quality.name, "loss"));
    assert_true(f.card.quality.lower_is_better);
    assert_int_equal(trp_card_kind_of(&f.card, &io, &is_derived), TRP_INPUT_IMAGE);
    io.name = TRP_STR_LIT("w");
    assert_int_equal(trp_card_kind_of(&f.card, &io, &is_derived), TRP_INPUT_TEXT);
    close_fixture(&f);
}

/* Whatever runs out, nothing is half there. */
static void without_memory_it_is_said(void **state)
{
    (void)state;
    static const struct trp_onnx_entry entries[] = { ENTRY("task", "pose"), ENTRY("tags", "a,b"),
                                                     ENTRY("quality", "ap=1") };
    const struct trp_onnx_model m = { .metadata = entries, .metadata_n = ARRAY_LEN(entries) };
    struct fixture f;
    open_fixture(&f);
    const struct trp_node *tree = written(&f, WHOLE);
    bool has_failed = true;
    for (uint64_t blocks = 0; has_failed && blocks < 200; blocks++) {
        struct scarce scarce;
        struct trp_arena arena;
        struct trp_card file, card;
        trp_arena_init(&arena, scarce_init(&scarce, blocks), 16, 0);
        trp_status st = trp_card_from_file(&arena, &m, &file, &f.err);
        if (!trp_failed(st))
            st = trp_card_from_config(&arena, tree, &card, &f.err);
        if (!trp_failed(st))
            st = trp_card_complete(&arena, &file, &card, &f.err);
        has_failed = trp_failed(st);
        if (has_failed)
            assert_int_equal(st.code, TRP_OUT_OF_MEMORY);
        trp_arena_deinit(&arena);
    }
    assert_false(has_failed);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_configuration_says_it_all),
        cmocka_unit_test(nothing_written_is_an_empty_card),
        cmocka_unit_test(what_is_wrong_is_refused_with_its_line),
        cmocka_unit_test(kinds_of_inputs_that_are_not_there_are_refused),
        cmocka_unit_test(a_file_says_it_in_the_words_of_its_exporter),
        cmocka_unit_test(what_a_file_says_badly_is_passed_over),
        cmocka_unit_test(a_long_text_is_cut_between_characters),
        cmocka_unit_test(the_owner_comes_before_the_file),
        cmocka_unit_test(without_memory_it_is_said),
    };
    return cmocka_run_group_tests_name("card", tests, NULL, NULL);
}

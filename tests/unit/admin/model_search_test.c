/* The list of models, narrowed and in pages: what is found, where a page ends, and what is said
 * of a question that is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "admin/admin_internal.h"
#include "life/life_parts.h"
#include "unit/base/scarce.h"

static const struct trp_io input = {
    .name = { "x", 1 }, .dtype = TROUPE_FP32, .rank = 2, .dims = { -1, 4 }
};

struct fixture {
    struct trp_registry *registry;
    struct trp_admin admin;
    struct trp_life life; /* asked whether its first look is over */
    struct trp_arena arena;
    struct trp_control control;
    struct trp_node *query;
    struct trp_error err;
    struct scarce memory;
};

static const struct trp_snapshot *snapshot(void *user, uint32_t loop_index)
{
    (void)loop_index;
    return trp_registry_current(((struct fixture *)user)->registry);
}

static void begin(struct fixture *f)
{
    trp_arena_reset(&f->arena);
    f->query = trp_node_new(&f->arena, TRP_NODE_MAP);
    assert_non_null(f->query);
    f->control = (struct trp_control){ .arena = &f->arena, .request = f->query };
    f->err = (struct trp_error){ 0 };
}

static int set_up(void **state)
{
    static struct fixture f; /* one test at a time */
    f = (struct fixture){ .err = { .status = { TRP_OK } } };
    f.admin.alloc = scarce_init(&f.memory, UINT64_MAX / 2);
    f.admin.opts.life = &f.life;
    f.admin.opts.snapshot = snapshot;
    f.admin.opts.snapshot_user = &f;
    trp_arena_init(&f.arena, trp_heap(), 4096, 1u << 20);
    assert_false(trp_failed(trp_registry_create(trp_heap(), 0, &f.registry, NULL)));
    begin(&f);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    trp_registry_destroy(f->registry);
    trp_arena_deinit(&f->arena);
    assert_int_equal(trp_counter_get(&f->memory.out), 0);
    return 0;
}

/* A cold model of so many versions; 0: one that says why it has none. */
static void put(struct fixture *f, const char *name, const char *task, uint32_t versions_n)
{
    struct trp_version *versions[3];
    for (uint32_t i = 0; i < versions_n; i++) {
        const struct trp_version_opts opts = { .model = trp_str_of(name), .number = i + 1 };
        assert_false(trp_failed(trp_version_create(trp_heap(), &opts, &versions[i], NULL)));
        versions[i]->signature = (struct trp_signature){ .inputs = &input, .inputs_n = 1 };
        versions[i]->has_signature = versions[i]->is_cold = true;
        versions[i]->config.card.task = trp_str_of(task);
        trp_version_say(versions[i], TRP_STR_LIT("on demand"));
    }
    const struct trp_entry e = { .name = trp_str_of(name),
                                 .versions = versions,
                                 .versions_n = versions_n,
                                 .reason = versions_n ? NULL : "its configuration is broken" };
    assert_false(trp_failed(trp_registry_put(f->registry, &e, NULL)));
    for (uint32_t i = 0; i < versions_n; i++)
        trp_version_unref(versions[i]);
    (void)trp_registry_publish(f->registry);
}

static void with(struct fixture *f, const char *key, const char *value)
{
    assert_non_null(trp_node_add_str(&f->arena, f->query, key, trp_str_of(value)));
}

static const char *answer(struct fixture *f)
{
    if (trp_failed(trp_answer_api_models(&f->admin, &f->control, &f->err)))
        fail_msg("%s", f->err.text);
    assert_string_equal(f->control.raw_type, "application/json");
    return trp_arena_format(&f->arena, "%.*s", TRP_STR(f->control.raw)).ptr;
}

static void refused(struct fixture *f, const char *key, const char *value, const char *words)
{
    begin(f);
    with(f, key, value);
    assert_int_equal(trp_answer_api_models(&f->admin, &f->control, &f->err).code,
                     TRP_INVALID_ARGUMENT);
    if (!strstr(f->err.text, words))
        fail_msg("%s", f->err.text);
}

static void what_there_is_is_told_in_order(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(answer(f), "{\"models\":[],\"listed\":false}");
    trp_flag_raise(&f->life.listed);
    begin(f);
    assert_string_equal(answer(f), "{\"models\":[],\"listed\":true}");
    put(f, "b", "ranking", 2);
    put(f, "a", NULL, 1);
    put(f, "c", NULL, 0);
    begin(f);
    const char *text = answer(f);
    const char *a = strstr(text, "\"name\":\"a\""), *b = strstr(text, "\"name\":\"b\"");
    const char *c = strstr(text, "\"name\":\"c\"");
    assert_true(a && b && c && a < b && b < c);
    assert_non_null(strstr(text, "\"version\":2,\"state\":\"COLD\",\"reason\":\"on demand\""));
    assert_non_null(strstr(text, "\"task\":\"ranking\""));
    assert_non_null(strstr(text, "\"shape\":[-1,4],\"kind\":\"tensor\""));
    assert_non_null(strstr(c, "\"state\":\"FAILED\",\"reason\":\"its configuration is broken\""));
    assert_null(strstr(text, "next_page_token"));
}

static void a_wish_narrows_it(void **state)
{
    struct fixture *f = *state;
    put(f, "ranker", "ranking", 1);
    put(f, "other", NULL, 1);
    put(f, "broken", NULL, 0);
    static const struct row {
        const char *key, *value, *want;
    } rows[] = { { "task", "ranking", "ranker" }, { "name", "oth*", "other" },
                 { "state", "failed", "broken" }, { "state", "READY", NULL },
                 { "dtype", "INT8", NULL },       { "shape", "4", NULL } };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("%s=%s\n", r->key, r->value);
        begin(f);
        with(f, r->key, r->value);
        const char *text = answer(f);
        static const char *const names[] = { "ranker", "other", "broken" };
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            const bool is_wanted = r->want && strcmp(r->want, names[i]) == 0;
            assert_int_equal(strstr(text, names[i]) != NULL, is_wanted);
        }
    }
}

/* By what is the case, whatever its words are. */
static void the_state_of_what_is_not_loaded_is_told_for_whoever_has_to_act(void **state)
{
    struct fixture *f = *state;
    static const struct row {
        const char *reason; /* of the model; NULL: none */
        bool has_version, is_unloaded, wanted;
        int32_t failure; /* of its version */
        const char *want;
    } rows[] = {
        { "its files are wrong", false, false, false, 0, "FAILED" },
        { "its files are wrong", false, true, false, 0, "UNLOADED" },
        { "unloaded", false, false, false, 0, "FAILED" },
        { NULL, true, false, false, TRP_INVALID_ARGUMENT, "FAILED" },
        { NULL, true, true, false, TRP_INVALID_ARGUMENT, "UNLOADED" },
        { NULL, true, true, false, 0, "UNLOADED" },
        { NULL, true, false, false, 0, "UNLOADED" },
        { NULL, true, false, true, 0, "WAITING" },
        { NULL, false, false, true, 0, "WAITING" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        const struct trp_version_opts opts = { .model = TRP_STR_LIT("m"), .number = 1 };
        struct trp_version *v;
        assert_false(trp_failed(trp_version_create(trp_heap(), &opts, &v, NULL)));
        v->failure = r->failure;
        trp_version_say(v, TRP_STR_LIT("unloaded"));
        const struct trp_entry e = { .name = TRP_STR_LIT("m"),
                                     .versions = &v,
                                     .versions_n = r->has_version,
                                     .reason = r->reason,
                                     .wanted = r->wanted,
                                     .is_unloaded = r->is_unloaded };
        assert_false(trp_failed(trp_registry_put(f->registry, &e, NULL)));
        trp_version_unref(v);
        (void)trp_registry_publish(f->registry);
        begin(f);
        const char *want = trp_arena_format(&f->arena, "\"state\":\"%s\"", r->want).ptr;
        const char *text = answer(f);
        if (!strstr(text, want))
            fail_msg("row %d: no %s in %s", (int)(r - rows), want, text);
    }
}

/* Also when what a page began with has gone meanwhile. */
static void pages_follow_each_other_without_gap_or_double(void **state)
{
    struct fixture *f = *state;
    put(f, "a", NULL, 3);
    put(f, "dir/b", NULL, 2);
    put(f, "z", NULL, 0);
    char seen[64] = "", token[64] = "";
    for (int page = 0; page < 10; page++) {
        begin(f);
        with(f, "limit", "2");
        with(f, "page_token", token);
        const char *text = answer(f), *next = strstr(text, "\"next_page_token\":\"");
        for (const char *at = text; (at = strstr(at, "{\"name\":\"")) != NULL; at += 9)
            if (at[9] != 'x') /* an input's */
                (void)snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%c",
                               *strpbrk(at + 9, "abz"));
        if (!next)
            break;
        assert_int_equal(sscanf(next, "\"next_page_token\":\"%60[^\"]", token), 1);
    }
    assert_string_equal(seen, "aaabbz");
    begin(f);
    with(f, "page_token", "c/7");
    assert_null(strstr(answer(f), "\"name\":\"a\""));
}

static void what_is_no_question_is_refused(void **state)
{
    struct fixture *f = *state;
    refused(f, "input", "smell", "input 'smell' is none of image");
    refused(f, "dtype", "FP31", "dtype 'FP31' is none of");
    refused(f, "state", "TIRED", "state 'TIRED' is none of");
    refused(f, "limit", "0", "no number from 1 to 1000");
    refused(f, "limit", "1001", "no number from 1 to 1000");
    refused(f, "limit", "many", "no number from 1 to 1000");
    refused(f, "page_token", "a", "none that a page named");
    refused(f, "page_token", "/1", "none that a page named");
    refused(f, "page_token", "a/b", "none that a page named");
    refused(f, "shape", "2,x", "shape");
}

static void a_page_without_memory_is_told(void **state)
{
    struct fixture *f = *state;
    put(f, "a", NULL, 3);
    (void)scarce_init(&f->memory, 0);
    assert_int_equal(trp_answer_api_models(&f->admin, &f->control, &f->err).code,
                     TRP_OUT_OF_MEMORY);
    assert_int_equal(trp_counter_get(&f->memory.out), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_there_is_is_told_in_order),
        TEST(a_wish_narrows_it),
        TEST(the_state_of_what_is_not_loaded_is_told_for_whoever_has_to_act),
        TEST(pages_follow_each_other_without_gap_or_double),
        TEST(what_is_no_question_is_refused),
        TEST(a_page_without_memory_is_told),
    };
    return cmocka_run_group_tests_name("model_search", tests, NULL, NULL);
}

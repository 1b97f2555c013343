/* What stands behind the question mark, and what is refused there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "unit/base/scarce.h"
#include "wire/query.h"

static const struct trp_query_key keys[] = { { "task", false },
                                             { "tag", true },
                                             { "page_token", false } };

static void queries_become_trees_or_are_refused(void **state)
{
    (void)state;
    static const struct row {
        const char *query;
        int code;
        const char *want; /* the tree, or part of the words */
    } rows[] = {
        { "", TRP_OK, "{}" },
        { "&&", TRP_OK, "{}" },
        { "task=a", TRP_OK, "{\"task\":\"a\"}" },
        { "task=", TRP_OK, "{}" },
        { "task", TRP_OK, "{}" },
        { "t%61sk=a%20b+c%2B", TRP_OK, "{\"task\":\"a b c+\"}" },
        { "tag=x&task=t&tag=y", TRP_OK, "{\"tag\":[\"x\",\"y\"],\"task\":\"t\"}" },
        { "page_token=a%2Fb%3D/3=4", TRP_OK, "{\"page_token\":\"a/b=/3=4\"}" },
        { "task=a&task=b", TRP_INVALID_ARGUMENT, "'task' comes twice" },
        { "tsk=a", TRP_INVALID_ARGUMENT, "unknown parameter 'tsk'; did you mean 'task'?" },
        { "pagetoken=a", TRP_INVALID_ARGUMENT, "did you mean 'page_token'?" },
        { "something=a", TRP_INVALID_ARGUMENT, "known are task, tag, page_token" },
        { "=a", TRP_INVALID_ARGUMENT, "unknown parameter ''; known are" },
        { "task=%4", TRP_INVALID_ARGUMENT, "bad percent-encoding in '%4'" },
        { "task=%zz", TRP_INVALID_ARGUMENT, "bad percent-encoding" },
        { "task=%00", TRP_INVALID_ARGUMENT, "control character" },
        { "task=%ff", TRP_INVALID_ARGUMENT, "not UTF-8" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_arena arena;
        struct trp_buf out;
        struct trp_error err = { 0 };
        trp_arena_init(&arena, trp_heap(), 4096, 0);
        trp_buf_init(&out, trp_heap(), 4096);
        struct trp_node *root = trp_node_new(&arena, TRP_NODE_MAP);
        assert_non_null(root);
        print_message("'%s'\n", r->query);
        const trp_status st =
            trp_query_read(&arena, trp_str_of(r->query), keys, ARRAY_LEN(keys), root, &err);
        assert_int_equal(st.code, r->code);
        trp_node_write_json(&out, root);
        if (r->code == TRP_OK)
            assert_string_equal(trp_buf_text(&out), r->want);
        else if (!strstr(err.text, r->want))
            fail_msg("%s", err.text);
        trp_buf_deinit(&out);
        trp_arena_deinit(&arena);
    }
}

static void more_values_than_anybody_needs_are_refused(void **state)
{
    (void)state;
    struct trp_arena arena;
    struct trp_buf query;
    struct trp_error err = { 0 };
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    trp_buf_init(&query, trp_heap(), 1 << 16);
    for (uint32_t i = 0; i <= TRP_QUERY_VALUES_MAX; i++)
        trp_buf_addf(&query, "tag=t%u&", i);
    struct trp_node *root = trp_node_new(&arena, TRP_NODE_MAP);
    assert_non_null(root);
    assert_int_equal(
        trp_query_read(&arena, trp_buf_str(&query), keys, ARRAY_LEN(keys), root, &err).code,
        TRP_INVALID_ARGUMENT);
    trp_buf_deinit(&query);
    trp_arena_deinit(&arena);
}

static void without_memory_it_is_said(void **state)
{
    (void)state;
    struct trp_node root = { .kind = TRP_NODE_MAP };
    bool has_failed = true;
    for (uint64_t blocks = 0; has_failed && blocks < 50; blocks++) {
        struct scarce scarce;
        struct trp_arena arena;
        struct trp_error err = { 0 };
        root = (struct trp_node){ .kind = TRP_NODE_MAP };
        trp_arena_init(&arena, scarce_init(&scarce, blocks), 16, 0);
        const trp_status st =
            trp_query_read(&arena, TRP_STR_LIT("task=a&tag=b"), keys, ARRAY_LEN(keys), &root, &err);
        has_failed = trp_failed(st);
        if (has_failed)
            assert_int_equal(st.code, TRP_OUT_OF_MEMORY);
        trp_arena_deinit(&arena);
    }
    assert_false(has_failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_become_trees_or_are_refused),
        cmocka_unit_test(more_values_than_anybody_needs_are_refused),
        cmocka_unit_test(without_memory_it_is_said),
    };
    return cmocka_run_group_tests_name("query", tests, NULL, NULL);
}

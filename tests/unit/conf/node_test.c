/* Trees built by hand: looking up, copying, finding keys that stand twice, failing with the
 * place. */
#include "tree.h"

#include <math.h>
#include <string.h>

static struct trp_node *sample(struct trp_arena *a)
{
    struct trp_node *map = trp_node_new(a, TRP_NODE_MAP);
    trp_node_add_str(a, map, "name", TRP_STR_LIT("resnet"));
    trp_node_add_i64(a, map, "less", -5);
    trp_node_add_u64(a, map, "more", UINT64_MAX);
    trp_node_add_u64(a, map, "some", 7);
    trp_node_add_bool(a, map, "yes", true);
    struct trp_node *list = trp_node_add_list(a, map, "list");
    trp_node_add_i64(a, list, NULL, 1);
    trp_node_add_i64(a, list, NULL, 2);
    trp_node_add_str(a, trp_node_add_map(a, map, "map"), "k", TRP_STR_LIT("v"));
    struct trp_node *half = trp_node_add(a, map, TRP_STR_LIT("half"), TRP_NODE_FLOAT);
    assert_non_null(half);
    half->v.d = 0.5;
    return map;
}

static void values_are_found_under_their_keys(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    const struct trp_node *n = sample(&f.arena);
    assert_true(trp_str_is(trp_node_str(n, "name", TRP_STR_LIT("")), "resnet"));
    assert_int_equal(trp_node_i64(n, "less", 0), -5);
    assert_true(trp_node_u64(n, "more", 0) == UINT64_MAX);
    assert_int_equal(trp_node_u64(n, "some", 0), 7);
    assert_int_equal(trp_node_i64(n, "some", 0), 7);
    assert_true(trp_node_bool(n, "yes", false));
    assert_true(trp_node_f64(n, "half", 0) == 0.5);
    assert_true(trp_node_f64(n, "less", 0) == -5.0);
    assert_true(trp_node_f64(n, "more", 0) == 18446744073709551615.0);
    assert_int_equal(trp_node_get(n, "list")->children_n, 2);
    assert_non_null(trp_node_get_str(n, TRP_STR_LIT("map")));
    assert_string_equal(fixture_json(&f, n),
                        "{\"name\":\"resnet\",\"less\":-5,\"more\":18446744073709551615,\"some\":7,"
                        "\"yes\":true,\"list\":[1,2],\"map\":{\"k\":\"v\"},\"half\":0.5}");
    fixture_deinit(&f);
}

static void what_is_absent_or_of_another_kind_gives_the_default(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    const struct trp_node *n = sample(&f.arena);
    assert_true(trp_str_is(trp_node_str(n, "less", TRP_STR_LIT("d")), "d"));
    assert_int_equal(trp_node_i64(n, "more", 3), 3); /* does not fit */
    assert_int_equal(trp_node_i64(n, "name", 3), 3);
    assert_int_equal(trp_node_u64(n, "less", 3), 3); /* negative */
    assert_true(trp_node_bool(n, "name", true));
    assert_true(trp_node_f64(n, "name", 1.5) == 1.5);
    assert_null(trp_node_get(NULL, "x"));
    assert_null(trp_node_get(trp_node_get(n, "list"), "x"));
    assert_true(trp_node_f64(NULL, "x", 1.5) == 1.5);
    fixture_deinit(&f);
}

static void a_builder_need_not_check_every_step(void **state)
{
    (void)state;
    struct trp_arena a;
    trp_arena_init(&a, trp_heap(), 64, 64); /* room for no node at all */
    struct trp_node *map = trp_node_new(&a, TRP_NODE_MAP);
    assert_null(map);
    struct trp_node *list = trp_node_add_list(&a, map, "x");
    assert_null(trp_node_add_map(&a, list, "y"));
    assert_null(trp_node_add_str(&a, map, "y", TRP_STR_LIT("z")));
    assert_null(trp_node_add_bool(&a, map, "y", true));
    assert_null(trp_node_add_u64(&a, map, "y", UINT64_MAX));
    trp_arena_deinit(&a);
}

static void a_copy_shares_nothing_with_its_original(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_arena other;
    fixture_init(&f);
    trp_arena_init(&other, trp_heap(), 4096, 0);
    char text[] = "text", key[] = "key";
    struct trp_node *map = sample(&other);
    struct trp_node *n = trp_node_add(&other, map, trp_str_of(key), TRP_NODE_WORD);
    assert_non_null(n);
    n->v.s = trp_str_of(text);
    n->file = "f.yaml";
    n->line = 3;
    const struct trp_node *copy = trp_node_dup(&f.arena, map);
    text[0] = key[0] = '?';
    trp_arena_deinit(&other);
    const struct trp_node *c = trp_node_get(copy, "key");
    assert_non_null(c);
    assert_true(trp_str_is(c->v.s, "text"));
    assert_string_equal(c->file, "f.yaml");
    assert_int_equal(c->line, 3);
    assert_int_equal(copy->children_n, 9);
    fixture_deinit(&f);
}

static void twins_are_found_among_few_and_many(void **state)
{
    (void)state;
    for (int n = 2; n <= 3000; n = n * 3 + 1) {
        struct fixture f;
        fixture_init(&f);
        struct trp_node *map = trp_node_new(&f.arena, TRP_NODE_MAP);
        for (int i = 0; i < n; i++) {
            const struct trp_str key = trp_arena_format(&f.arena, "k%d", i);
            struct trp_node *child = trp_node_add(&f.arena, map, key, TRP_NODE_INT);
            assert_non_null(child);
            child->v.i = i;
        }
        const struct trp_node *first, *second;
        assert_works(&f, trp_node_find_twin(&f.arena, map, &first, &second, &f.err));
        assert_null(second);
        trp_node_add_i64(&f.arena, map, "k1", 1000);
        assert_works(&f, trp_node_find_twin(&f.arena, map, &first, &second, &f.err));
        assert_int_equal(first->v.i, 1);
        assert_int_equal(second->v.i, 1000);
        assert_works(&f, trp_node_drop_twins(&f.arena, map, &f.err));
        assert_int_equal(map->children_n, n);
        assert_int_equal(trp_node_i64(map, "k1", 0), 1000); /* the last one stays */
        assert_int_equal(trp_node_i64(map, "k0", 7), 0);
        assert_ptr_equal(map->last, trp_node_get(map, "k1"));
        fixture_deinit(&f);
    }
}

static void failures_carry_the_place(void **state)
{
    (void)state;
    static const struct row {
        const char *file;
        uint32_t line;
        const char *want;
    } rows[] = {
        { "config.pbtxt", 12, "config.pbtxt:12: no 7" },
        { "override", 0, "override: no 7" },
        { NULL, 0, "no 7" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_error err = { 0 };
        const struct trp_node n = { .file = r->file, .line = r->line };
        const trp_status st = trp_node_fail(&n, &err, TRP_OUT_OF_RANGE, "no %d", 7);
        assert_int_equal(st.code, TRP_OUT_OF_RANGE);
        assert_string_equal(err.text, r->want);
    }
    struct trp_error err = { 0 };
    assert_int_equal(trp_node_fail(NULL, &err, TRP_NOT_FOUND, "gone").code, TRP_NOT_FOUND);
    assert_string_equal(err.text, "gone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_found_under_their_keys),
        cmocka_unit_test(what_is_absent_or_of_another_kind_gives_the_default),
        cmocka_unit_test(a_builder_need_not_check_every_step),
        cmocka_unit_test(a_copy_shares_nothing_with_its_original),
        cmocka_unit_test(twins_are_found_among_few_and_many),
        cmocka_unit_test(failures_carry_the_place),
    };
    return cmocka_run_group_tests_name("node", tests, NULL, NULL);
}

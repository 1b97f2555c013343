/* Where a word of a text stands in the file, whatever YAML has made of what was written. */
#include "tree.h"

#include <stdio.h>
#include <string.h>

#include "conf/node_written.h"

/* The first scalar of a tree that knows how it is written. */
static const struct trp_node *written_one(const struct trp_node *n)
{
    if (n->written)
        return n;
    for (const struct trp_node *c = n->first; c; c = c->next) {
        const struct trp_node *found = written_one(c);
        if (found)
            return found;
    }
    return NULL;
}

/* X stands once in the file, and once in the text. */
static void each_word_is_found_where_it_stands(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "a: |\n  X two\n  lines\n",
        "a: |\n  one\n  twoX\n",
        "a: |-\n  one\n\n\n  two X\n",
        "a: |\n\n  X\n",
        "a: |2\n    deeper\n  X\n",
        "a: |\n  one\n    deeper X\n",
        "a:\n  b:\n  - c: |\n      one &&\n      X == 2\n    d: 1\n",
        "a: | # a remark\n  one\n  X\n",
        "a: |\r\n  one\r\n  X\r\n",
        "a: >\n  one\n  X two\n",
        "a: >-\n  one\n\n  two\n\n\n  X\n",
        "a: >\n  one\n    deeper\n  X\n",
        "a: >\n\n  X\n",
        "a: one\n  X two\n",
        "a: one\n\n  two\n  X\n",
        "a: [one\n  X, two]\n",
        "a: 'it''s X'\n",
        "a: 'one\n  X'\n",
        "a: 'one\n\n  X ''two'' '\n",
        "a: \"\\\"one\\\" X\"\n",
        "a: \"\\x41\\u00e9\\U0001F600\\n\\tX\"\n",
        "a: \"one \\\n  X\"\n",
        "a: \"one\n  two\n\n  \\u00e9 X\"\n",
        "\xc3\xa9: \"\xc3\xa9\\n\xc3\xa9 X\"\n",
        "- |\n one \xc3\xa9 X\n",
        "{ a: \"\\\\X\", b: 1 }",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        struct trp_node *root;
        uint32_t line = 0, column = 0, want_line = 1, want_column = 1;
        fixture_init(&f);
        assert_works(
            &f, trp_node_from_yaml(&f.arena, trp_str_of(rows[i]), "m.yaml", 100, &root, &f.err));
        const struct trp_node *n = written_one(trp_node_dup(&f.arena, root));
        assert_non_null(n);
        for (const char *c = rows[i]; *c != 'X'; c++) {
            want_line += *c == '\n';
            want_column = *c == '\n' ? 1 : want_column + (((unsigned char)*c & 0xc0u) != 0x80u);
        }
        const char *word = memchr(n->v.s.ptr, 'X', n->v.s.len);
        assert_non_null(word);
        if (!trp_node_written_at(n, (size_t)(word - n->v.s.ptr), &line, &column) ||
            line != want_line || column != want_column)
            fail_msg("%s: it is %u:%u, not %u:%u", rows[i], want_line, want_column, line, column);
        /* Every other byte has a place, too, none of them before one that came earlier. */
        uint32_t last = 0;
        for (size_t at = 0; at <= n->v.s.len; at++)
            if (trp_node_written_at(n, at, &line, &column)) {
                assert_true(line >= last);
                last = line;
            }
        assert_false(trp_node_written_at(n, n->v.s.len + 1, &line, &column));
        fixture_deinit(&f);
    }
}

static void what_stands_there_as_it_is_keeps_nothing(void **state)
{
    (void)state;
    static const char *const rows[] = { "a: one two\n", "a: 'one two'\n", "a: \"one\"\n",
                                        "a: [1, two]\n", "a:\n" };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        struct trp_node *root;
        uint32_t line = 7, column = 7;
        fixture_init(&f);
        assert_works(
            &f, trp_node_from_yaml(&f.arena, trp_str_of(rows[i]), "m.yaml", 100, &root, &f.err));
        assert_null(written_one(root));
        assert_false(trp_node_written_at(root->first, 0, &line, &column));
        assert_false(trp_node_written_at(NULL, 0, &line, &column));
        assert_true(line == 7 && column == 7);
        fixture_deinit(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_word_is_found_where_it_stands),
        cmocka_unit_test(what_stands_there_as_it_is_keeps_nothing),
    };
    return cmocka_run_group_tests_name("node_written", tests, NULL, NULL);
}

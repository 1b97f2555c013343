/* tests/unit/conf/tree.h - an arena, an error and trees as JSON, for the tests of this room. */
#ifndef TRP_TEST_TREE_H
#define TRP_TEST_TREE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conf/node.h"

struct fixture {
    struct trp_arena arena;
    struct trp_error err;
    struct trp_buf out;
};

static inline void fixture_init(struct fixture *f)
{
    *f = (struct fixture){ 0 };
    trp_arena_init(&f->arena, trp_heap(), 4096, 64u << 20);
    trp_buf_init(&f->out, trp_heap(), 16u << 20);
}

static inline void fixture_deinit(struct fixture *f)
{
    trp_arena_deinit(&f->arena);
    trp_buf_deinit(&f->out);
}

/* The tree as compact JSON; valid until the next call. */
static inline const char *fixture_json(struct fixture *f, const struct trp_node *n)
{
    assert_non_null(n);
    trp_buf_reset(&f->out);
    trp_node_write_json(&f->out, n);
    const char *text = trp_buf_text(&f->out);
    assert_non_null(text);
    return text;
}

static inline void assert_fails(const struct fixture *f, trp_status st, enum trp_code code,
                                const char *text)
{
    assert_string_equal(f->err.text, text);
    assert_int_equal(st.code, code);
}

static inline void assert_works(const struct fixture *f, trp_status st)
{
    if (trp_failed(st))
        print_error("%s\n", f->err.text);
    assert_int_equal(st.code, TRP_OK);
}

#endif

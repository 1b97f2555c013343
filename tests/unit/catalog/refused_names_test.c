/* Which names a file would declare, however wrong it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "catalog/refused_names.h"

/* All of them, as "kind name:line, ...". */
static const char *names_in(const char *text, char out[512])
{
    struct trp_arena arena;
    struct trp_refused_names names;
    size_t len = 0;
    out[0] = '\0';
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    assert_false(trp_failed(trp_refused_names_read(&arena, trp_str_of(text), &names, NULL)));
    for (uint32_t i = 0; i < names.n; i++) {
        const struct trp_refused_name *name = &names.items[i];
        assert_ptr_equal(trp_refused_names_find(&names, name->name), name);
        len += (size_t)snprintf(out + len, 512 - len, "%s%s %.*s:%u", i ? ", " : "", name->kind,
                                TRP_STR(name->name), name->line);
    }
    assert_null(trp_refused_names_find(&names, TRP_STR_LIT("nobody")));
    trp_arena_deinit(&arena);
    return out;
}

static void names_are_read_of_whatever_can_be_read(void **state)
{
    (void)state;
    static const struct row {
        const char *text, *want;
    } rows[] = {
        { "", "" },
        { "routes: { b: 7, a: [] }\nensembles: { c: { members: [x] } }",
          "route a:1, route b:1, ensemble c:2" },
        { "cascades:\n  s: {}\npipelines:\n  p: {}\nlists:\n  l: x\nroutess: { t: {} }\n",
          "pipeline p:4, cascade s:2" },
        { "routes: { a: [] }\npipelines: { a: {} }\n", "route a:1" },
        { "routes: [ a, b ]\n", "" },
        { "- routes\n", "" },
        /* no YAML from here on */
        { "routes:\n  a:\n    - use: x: y\n  'b c': [ { use: z } ]\n\n  # d:\n  \"e\" :\n",
          "route a:2, route b c:4, route e:7" },
        { "routes:\n    a:\n  b:\n    c: {\n", "route a:2" },
        { "ensembles:\r\n  e: { members: [x\r\n", "ensemble e:2" },
        { "lists:\n  l: {\nroutes:\n  - a: x\n  ? b\n  http://c\n  d\n  e: [ {\n", "route e:8" },
        { "routes: { r: [ {", "" },
        { "  a: {\nroutes:\n  : {\n", "" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        char got[512];
        print_message("%s\n", r->text);
        assert_string_equal(names_in(r->text, got), r->want);
    }
}

static void there_may_be_more_than_there_is_room_for(void **state)
{
    (void)state;
    struct trp_arena arena;
    struct trp_refused_names names;
    struct trp_buf text;
    char line[32];
    trp_buf_init(&text, trp_heap(), 1 << 24);
    trp_buf_add_text(&text, "routes:\n");
    for (uint32_t i = 0; i < TRP_REFUSED_NAMES_MAX + 5; i++) {
        (void)snprintf(line, sizeof line, "  n%06u: [\n", i);
        trp_buf_add_text(&text, line);
    }
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    assert_false(trp_failed(trp_refused_names_read(&arena, trp_buf_str(&text), &names, NULL)));
    assert_int_equal(names.n, TRP_REFUSED_NAMES_MAX);
    trp_arena_deinit(&arena);
    trp_buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_of_whatever_can_be_read),
        cmocka_unit_test(there_may_be_more_than_there_is_room_for),
    };
    return cmocka_run_group_tests_name("refused_names", tests, NULL, NULL);
}

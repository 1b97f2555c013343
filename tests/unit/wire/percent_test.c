/* %XX, there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unit/base/scarce.h"
#include "wire/percent.h"

static void a_header_has_printable_ascii_only(void **state)
{
    (void)state;
    static const struct {
        const char *text, *field;
    } rows[] = {
        { "", "" },
        { "route r, rule 1 -> a/1", "route r, rule 1 -> a/1" },
        { "a\r\nX: 1", "a%0D%0AX: 1" },
        { "gr\xc3\xbc\xc3\x9f"
          "e",
          "gr%C3%BC%C3%9Fe" },
        { "100 %", "100 %25" },
        { "\x7f\t~", "%7F%09~" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct trp_arena arena;
        char back[64];
        trp_arena_init(&arena, trp_heap(), 256, 1024);
        const struct trp_str text = trp_str_of(rows[i].text);
        const struct trp_str field = trp_percent_field(text, &arena);
        assert_true(trp_str_is(field, rows[i].field));
        assert_true((field.ptr == text.ptr) == (strcmp(rows[i].text, rows[i].field) == 0));
        size_t len = field.len;
        memcpy(back, field.ptr, len);
        assert_true(trp_percent_decode(back, &len));
        assert_true(trp_str_is_equal(trp_str_make(back, len), text));
        trp_arena_deinit(&arena);
    }
}

static void without_memory_it_is_empty(void **state)
{
    (void)state;
    struct trp_arena arena;
    char text[100];
    memset(text, '%', sizeof text);
    trp_arena_init(&arena, trp_heap(), 64, 64);
    assert_int_equal(trp_percent_field(trp_str_make(text, sizeof text), &arena).len, 0);
    trp_arena_deinit(&arena);
}

static void what_is_no_number_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = { "%", "%4", "a%4g", "%%41", "%-1" };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[8];
        size_t len = strlen(rows[i]);
        memcpy(text, rows[i], len);
        assert_false(trp_percent_decode(text, &len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_has_printable_ascii_only),
        cmocka_unit_test(without_memory_it_is_empty),
        cmocka_unit_test(what_is_no_number_is_refused),
    };
    return cmocka_run_group_tests_name("percent", tests, NULL, NULL);
}

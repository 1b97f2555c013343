/* The table of sections: who reads the file, who reads what is made of models, and who reads only
 * names all ask it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "route/route_section.h"

static void each_section_says_what_its_names_are(void **state)
{
    (void)state;
    static const struct {
        const char *key, *kind;
        bool is_composed;
    } rows[] = {
        { "routes", "route", false },    { "ensembles", "ensemble", true },
        { "cascades", "cascade", true }, { "pipelines", "pipeline", true },
        { "lists", NULL, false },        { "time_zone", NULL, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct trp_route_section *s = trp_route_section_find(trp_str_of(rows[i].key));
        assert_non_null(s);
        assert_true(trp_str_is(s->key, rows[i].key));
        assert_int_equal(s->is_composed, rows[i].is_composed);
        if (rows[i].kind)
            assert_string_equal(s->kind, rows[i].kind);
        else
            assert_null(s->kind);
    }
    assert_null(trp_route_section_find(trp_str_of("ensemble")));
    assert_null(trp_route_section_find(trp_str_of("")));
}

static void a_key_that_is_near_is_named(void **state)
{
    (void)state;
    char hint[TRP_ROUTE_HINT_MAX];
    trp_route_section_hint(hint, trp_str_of("pipeline"));
    assert_string_equal(hint, "; did you mean 'pipelines'?");
    trp_route_section_hint(hint, trp_str_of("timezone"));
    assert_string_equal(hint, "; did you mean 'time_zone'?");
    trp_route_section_hint(hint, trp_str_of("something"));
    assert_string_equal(hint, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_section_says_what_its_names_are),
        cmocka_unit_test(a_key_that_is_near_is_named),
    };
    return cmocka_run_group_tests_name("route_section", tests, NULL, NULL);
}

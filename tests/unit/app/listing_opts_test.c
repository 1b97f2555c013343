/* What a listing is given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/listing_opts.h"

static void limits_are_those_of_the_settings_and_the_first_path_comes_first(void **state)
{
    static const char *const paths[] = { "one", "two", "three" };
    struct trp_settings *set;
    (void)state;
    assert_false(trp_failed(trp_settings_create(trp_heap(), &set, NULL)));
    struct trp_repo_opts opts = trp_listing_opts_make(set, paths, 1);
    assert_string_equal(opts.path, "one");
    assert_int_equal(opts.further_n, 0);
    assert_int_equal(opts.models_max, trp_settings_u64(set, TRP_SETTING_ID_MODELS_MAX));
    assert_int_equal(opts.versions_max, trp_settings_u64(set, TRP_SETTING_ID_VERSIONS_MAX));
    assert_int_equal(opts.config_bytes_max, trp_settings_u64(set, TRP_SETTING_ID_FILE_BYTES));
    opts = trp_listing_opts_make(set, paths, 3);
    assert_string_equal(opts.path, "one");
    assert_int_equal(opts.further_n, 2);
    assert_string_equal(opts.further[1], "three");
    trp_settings_destroy(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_are_those_of_the_settings_and_the_first_path_comes_first),
    };
    return cmocka_run_group_tests_name("listing_opts", tests, NULL, NULL);
}

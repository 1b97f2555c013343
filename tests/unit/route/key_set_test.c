/* Sets of keys from files. */
#include "route/key_set.h"

#include "base/clock.h"
#include "scratch.h"

static const struct trp_key_set_limits no_limits = { 0 };

struct fixture {
    char path[SCRATCH_PATH_MAX];
};

static int make_file(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    close(scratch_file(f->path, "keys"));
    *state = f;
    return 0;
}

static int drop_file(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    free(f);
    return 0;
}

static struct trp_key_set *load(struct fixture *f, const char *text, size_t len)
{
    struct trp_error err = { .text = "" };
    struct trp_key_set *set;
    if (trp_failed(trp_file_replace(f->path, text, len, &err)) ||
        trp_failed(trp_key_set_load(trp_heap(), f->path, &no_limits, &set, &err)))
        fail_msg("%s", err.text);
    return set;
}

static bool has(const struct trp_key_set *set, const char *key)
{
    return trp_key_set_has(set, trp_str_of(key));
}

static void a_line_is_a_key_but_for_blanks_and_remarks(void **state)
{
    static const char text[] = "\xef\xbb\xbf"
                               "alice\n  bob \t\r\n\n# carol\n   \nd e\nalice\n\r\nlast";
    struct trp_key_set *set = load(*state, text, sizeof text - 1);
    static const char *const in[] = { "alice", "bob", "d e", "last" };
    static const char *const out[] = { "",      "carol", "# carol", "Alice", "alic", "alicee",
                                       " bob ", "d",     "e",       "\n",    "las",  "alice\nbob" };
    assert_int_equal(trp_key_set_count(set), 4);
    for (uint32_t i = 0; i < ARRAY_LEN(in); i++)
        assert_true(has(set, in[i]));
    for (uint32_t i = 0; i < ARRAY_LEN(out); i++)
        assert_false(has(set, out[i]));
    assert_int_equal(trp_key_set_source(set)->bytes, sizeof text - 1);
    assert_true(trp_key_set_bytes(set) > sizeof text);
    trp_key_set_unref(set);
}

static void a_file_without_keys_is_an_empty_set(void **state)
{
    static const char *const texts[] = { "", "\n", "\n\n \n", "#", "\xef\xbb\xbf", "\r" };
    for (uint32_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct trp_key_set *set = load(*state, texts[i], strlen(texts[i]));
        assert_int_equal(trp_key_set_count(set), 0);
        assert_false(has(set, ""));
        assert_false(has(set, "a"));
        trp_key_set_unref(set);
    }
}

static void keys_may_be_any_bytes_but_ends_of_lines(void **state)
{
    static const char text[] = "a\0b\n\xff\xfe\n\1\n";
    struct trp_key_set *set = load(*state, text, sizeof text - 1);
    assert_int_equal(trp_key_set_count(set), 3);
    assert_true(trp_key_set_has(set, trp_str_make("a\0b", 3)));
    assert_false(trp_key_set_has(set, trp_str_make("a\0c", 3)));
    assert_false(trp_key_set_has(set, trp_str_make("a", 1)));
    assert_true(has(set, "\xff\xfe"));
    trp_key_set_unref(set);
}

/* Keys of few letters, so that many are drawn twice; what a set of all of them would say is kept
 * beside. */
static void many_keys_are_found_and_their_neighbours_are_not(void **state)
{
    enum { SPACE = 200000, DRAWN = 100000 };
    struct trp_random r = { 5 };
    unsigned char *is_in = calloc(SPACE, 1);
    char *text = malloc(DRAWN * 12);
    size_t len = 0;
    uint64_t unique = 0;
    assert_non_null(is_in);
    assert_non_null(text);
    for (uint32_t i = 0; i < DRAWN; i++) {
        const uint64_t key = trp_random_next(&r) % SPACE;
        unique += !is_in[key];
        is_in[key] = 1;
        len += (size_t)snprintf(text + len, 12, "u%llu\n", (unsigned long long)key);
    }
    struct trp_key_set *set = load(*state, text, len);
    assert_int_equal(trp_key_set_count(set), unique);
    for (uint32_t key = 0; key < SPACE; key++) {
        char name[16];
        (void)snprintf(name, sizeof name, "u%u", key);
        assert_int_equal(has(set, name), is_in[key]);
    }
    trp_key_set_unref(set);
    free(text);
    free(is_in);
}

static void limits_are_kept_and_named(void **state)
{
    struct fixture *f = *state;
    struct trp_error err = { .text = "" };
    struct trp_key_set *set = load(f, "a\nb\nc\n", 6);
    trp_key_set_unref(set);
    const struct trp_key_set_limits two_keys = { .keys_max = 2 }, three = { .keys_max = 3 },
                                    five_bytes = { .bytes_max = 5 };
    assert_int_equal(trp_key_set_load(trp_heap(), f->path, &two_keys, &set, &err).code,
                     TRP_TOO_LARGE);
    assert_null(set);
    assert_non_null(strstr(err.text, "3 keys, the limit is 2"));
    assert_int_equal(trp_key_set_load(trp_heap(), f->path, &five_bytes, &set, &err).code,
                     TRP_TOO_LARGE);
    assert_int_equal(trp_key_set_load(trp_heap(), f->path, &three, &set, &err).code, TRP_OK);
    trp_key_set_ref(set);
    trp_key_set_unref(set);
    assert_true(has(set, "c"));
    trp_key_set_unref(set);
    trp_key_set_unref(NULL);
}

static void a_file_that_is_not_there_or_a_folder_is_a_failure(void **state)
{
    struct fixture *f = *state;
    struct trp_key_set *set;
    assert_int_equal(trp_key_set_load(trp_heap(), "/tmp", &no_limits, &set, NULL).code, TRP_IO);
    assert_null(set);
    unlink(f->path);
    assert_int_equal(trp_key_set_load(trp_heap(), f->path, &no_limits, &set, NULL).code,
                     TRP_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_is_a_key_but_for_blanks_and_remarks, make_file,
                                        drop_file),
        cmocka_unit_test_setup_teardown(a_file_without_keys_is_an_empty_set, make_file, drop_file),
        cmocka_unit_test_setup_teardown(keys_may_be_any_bytes_but_ends_of_lines, make_file,
                                        drop_file),
        cmocka_unit_test_setup_teardown(many_keys_are_found_and_their_neighbours_are_not, make_file,
                                        drop_file),
        cmocka_unit_test_setup_teardown(limits_are_kept_and_named, make_file, drop_file),
        cmocka_unit_test_setup_teardown(a_file_that_is_not_there_or_a_folder_is_a_failure,
                                        make_file, drop_file),
    };
    return cmocka_run_group_tests_name("key_set", tests, NULL, NULL);
}

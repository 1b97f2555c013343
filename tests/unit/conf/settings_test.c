/* The server's options: every source, every type, every limit, and who said what. */
#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/machine.h"
#include "conf/settings.h"
#include "scratch.h"
#include "unit/base/scarce.h"

static struct trp_settings *new_settings(void)
{
    struct trp_settings *s;
    struct trp_error err = { 0 };
    const trp_status st = trp_settings_create(trp_heap(), &s, &err);
    if (trp_failed(st))
        print_error("%s\n", err.text);
    assert_int_equal(st.code, TRP_OK);
    return s;
}

static trp_status set(struct trp_settings *s, const char *assignment, struct trp_error *err)
{
    return trp_settings_set(s, trp_str_of(assignment), "--set", err);
}

static void assert_value(const struct trp_settings *s, enum trp_setting id, const char *want)
{
    struct trp_buf out;
    trp_buf_init(&out, trp_heap(), 4096);
    trp_settings_value_text(s, id, &out);
    assert_string_equal(trp_buf_text(&out) ? trp_buf_text(&out) : "", want);
    trp_buf_deinit(&out);
}

static void every_default_is_valid_and_says_so(void **state)
{
    (void)state;
    struct trp_settings *s = new_settings();
    for (int i = 0; i < TRP_SETTINGS; i++) {
        const struct trp_setting_row *row = trp_setting_row((enum trp_setting)i);
        assert_string_equal(trp_settings_source(s, (enum trp_setting)i), "default");
        assert_non_null(row->doc);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(trp_setting_row((enum trp_setting)k)->key, row->key);
    }
    assert_int_equal(trp_settings_list_n(s, TRP_SETTING_ID_LISTEN), 3);
    assert_string_equal(trp_settings_list_at(s, TRP_SETTING_ID_LISTEN, 1), "127.0.0.1:8001");
    assert_string_equal(trp_settings_list(s, TRP_SETTING_ID_LISTEN)[2], "127.0.0.1:8002");
    assert_int_equal(trp_settings_list_n(s, TRP_SETTING_ID_CORS), 0);
    assert_string_equal(trp_settings_text(s, TRP_SETTING_ID_MODELS_LOAD), "on_demand");
    assert_int_equal(trp_settings_u64(s, TRP_SETTING_ID_BODY_BYTES), 256u << 20);
    assert_int_equal(trp_settings_u64(s, TRP_SETTING_ID_POLL), 15 * 1000000000LL);
    assert_false(trp_settings_bool(s, TRP_SETTING_ID_ADMIN_REMOTE));
    trp_settings_destroy(s);
    trp_settings_destroy(NULL);
}

static void values_are_read_and_printed_in_people_s_units(void **state)
{
    (void)state;
    static const struct row {
        const char *assignment;
        enum trp_setting id;
        const char *want;
    } rows[] = {
        { "limits.body_bytes=64MiB", TRP_SETTING_ID_BODY_BYTES, "64MiB" },
        { "limits.body_bytes=1.5GiB", TRP_SETTING_ID_BODY_BYTES, "1536MiB" },
        { "limits.body_bytes=1GB", TRP_SETTING_ID_BODY_BYTES, "1000000000" },
        { "limits.body_bytes=4096", TRP_SETTING_ID_BODY_BYTES, "4KiB" },
        { "limits.body_bytes=5000B", TRP_SETTING_ID_BODY_BYTES, "5000" },
        { "limits.shared_memory_bytes=0", TRP_SETTING_ID_SHM_BYTES, "0" },
        { "timeouts.idle=250ms", TRP_SETTING_ID_IDLE, "250ms" },
        { "timeouts.idle=1.5s", TRP_SETTING_ID_IDLE, "1500ms" },
        { "timeouts.idle=90s", TRP_SETTING_ID_IDLE, "90s" },
        { "timeouts.idle=24h", TRP_SETTING_ID_IDLE, "1d" },
        { "timeouts.drain=0", TRP_SETTING_ID_DRAIN, "0s" },
        { "threads.loops=8", TRP_SETTING_ID_LOOPS, "8" },
        { "memory.budget=50%", TRP_SETTING_ID_MEMORY_BUDGET, "50%" },
        { "memory.budget=100%", TRP_SETTING_ID_MEMORY_BUDGET, "100%" },
        { "memory.budget=1.5GiB", TRP_SETTING_ID_MEMORY_BUDGET, "1.5GiB" },
        { "memory.budget=0", TRP_SETTING_ID_MEMORY_BUDGET, "0" },
        { "admin.remote=true", TRP_SETTING_ID_ADMIN_REMOTE, "true" },
        { "repository.watch=notify", TRP_SETTING_ID_WATCH, "notify" },
        { "server.name=", TRP_SETTING_ID_SERVER_NAME, "" },
        { "server.name=a=b", TRP_SETTING_ID_SERVER_NAME, "a=b" },
        { "listen=unix:/tmp/x, [::1]:9", TRP_SETTING_ID_LISTEN, "unix:/tmp/x,[::1]:9" },
        { "listen=", TRP_SETTING_ID_LISTEN, "" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_settings *s = new_settings();
        struct trp_error err = { 0 };
        print_message("%s\n", r->assignment);
        assert_int_equal(set(s, r->assignment, &err).code, TRP_OK);
        assert_value(s, r->id, r->want);
        assert_string_equal(trp_settings_source(s, r->id), "--set");
        trp_settings_destroy(s);
    }
}

static void offsets_are_durations_ahead_or_behind(void **state)
{
    (void)state;
    static const struct row {
        const char *text;
        bool want;
        int64_t ns;
    } rows[] = {
        { "0s", true, 0 },
        { "0", true, 0 },
        { "3h", true, INT64_C(10800000000000) },
        { "+3h", true, INT64_C(10800000000000) },
        { "-90m", true, INT64_C(-5400000000000) },
        { "-1.5s", true, -1500000000 },
        { "36525d", true, INT64_C(36525) * 86400 * 1000000000 },
        { "36526d", false, 0 },
        { "-36526d", false, 0 },
        { "", false, 0 },
        { "-", false, 0 },
        { "--3h", false, 0 },
        { "3", false, 0 },
        { "3x", false, 0 },
        { "forever", false, 0 },
        { "99999999999999999999h", false, 0 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        int64_t ns = 77;
        print_message("'%s'\n", r->text);
        assert_int_equal(trp_setting_parse_offset(trp_str_of(r->text), &ns), r->want);
        assert_true(ns == (r->want ? r->ns : 77));
    }
}

static void what_is_not_allowed_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const struct row {
        const char *assignment, *want;
    } rows[] = {
        { "limits.body_bytes=64Mib",
          "--set: limits.body_bytes: expected bytes, such as 64MiB, 1GB or 4096, found "
          "\"64Mib\"" },
        { "limits.body_bytes=",
          "--set: limits.body_bytes: expected bytes, such as 64MiB, 1GB or 4096, found \"\"" },
        { "limits.body_bytes=-1",
          "--set: limits.body_bytes: expected bytes, such as 64MiB, 1GB or 4096, found \"-1\"" },
        { "limits.body_bytes=0.3B",
          "--set: limits.body_bytes: expected bytes, such as 64MiB, 1GB or 4096, found "
          "\"0.3B\"" },
        { "limits.body_bytes=1.2.3MiB",
          "--set: limits.body_bytes: expected bytes, such as 64MiB, 1GB or 4096, found "
          "\"1.2.3MiB\"" },
        { "limits.body_bytes=18446744073709551615TiB",
          "--set: limits.body_bytes: expected bytes, such as 64MiB, 1GB or 4096, found "
          "\"18446744073709551615TiB\"" },
        { "limits.body_bytes=1",
          "--set: limits.body_bytes: expected a value from 1KiB to 4GiB, found \"1\"" },
        { "timeouts.idle=5",
          "--set: timeouts.idle: 5 has no unit; write 5s for seconds, or 5ms, 5m, 5h" },
        { "timeouts.idle=1us",
          "--set: timeouts.idle: expected a value from 1ms to 1d, found \"1us\"" },
        { "limits.json_depth=5000",
          "--set: limits.json_depth: expected a value from 4 to 1024, found \"5000\"" },
        { "threads.loops=two", "--set: threads.loops: expected a whole number, found \"two\"" },
        { "admin.remote=yes", "--set: admin.remote: expected true or false, found \"yes\"" },
        { "repository.watch=inotify",
          "--set: repository.watch: expected one of off|poll|notify, found \"inotify\"" },
        { "listen=a,,b", "--set: listen: expected texts that are not empty, found \"a,,b\"" },
        { "limit.body_bytes=1",
          "--set: unknown key \"limit.body_bytes\"; did you mean \"limits.body_bytes\"?" },
        { "completely_different=1", "--set: unknown key \"completely_different\"" },
        { "listen", "--set: expected key=value, found \"listen\"" },
    };
    struct trp_settings *s = new_settings();
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_error err = { 0 };
        assert_int_equal(set(s, r->assignment, &err).code, TRP_INVALID_ARGUMENT);
        assert_string_equal(err.text, r->want);
    }
    for (int i = 0; i < TRP_SETTINGS; i++)
        assert_string_equal(trp_settings_source(s, (enum trp_setting)i), "default");
    assert_int_equal(trp_settings_list_n(s, TRP_SETTING_ID_LISTEN), 3);
    trp_settings_destroy(s);
}

static void a_repeated_flag_replaces_the_default_and_then_adds(void **state)
{
    (void)state;
    struct trp_settings *s = new_settings();
    struct trp_error err = { 0 };
    const enum trp_setting id = TRP_SETTING_ID_LISTEN;
    assert_int_equal(trp_settings_append(s, id, TRP_STR_LIT("a:1"), "--listen", &err).code, TRP_OK);
    assert_value(s, id, "a:1");
    assert_int_equal(trp_settings_append(s, id, TRP_STR_LIT("b:2"), "--listen", &err).code, TRP_OK);
    assert_value(s, id, "a:1,b:2");
    assert_string_equal(trp_settings_source(s, id), "--listen");
    assert_int_equal(trp_settings_append(s, id, TRP_STR_LIT(""), "--listen", &err).code,
                     TRP_INVALID_ARGUMENT);
    assert_value(s, id, "a:1,b:2");
    trp_settings_destroy(s);
}

static void the_environment_speaks_in_capitals(void **state)
{
    (void)state;
    struct trp_settings *s = new_settings();
    struct trp_error err = { 0 };
    char *environment[] = { "HOME=/",
                            "TROUPE_LIMITS_BODY_BYTES=1MiB",
                            "TROUPE_SERVER=h:1",
                            "TROUPE_ONNXRUNTIME=/lib.so",
                            "TROUPE_LISTEN=x:1,y:2",
                            "TROUPE_SERVICE_PORT=80",
                            "TROUPE_NOTHING",
                            NULL };
    assert_int_equal(trp_settings_read_env(s, environment, &err).code, TRP_OK);
    assert_value(s, TRP_SETTING_ID_BODY_BYTES, "1MiB");
    assert_string_equal(trp_settings_source(s, TRP_SETTING_ID_BODY_BYTES),
                        "TROUPE_LIMITS_BODY_BYTES");
    assert_value(s, TRP_SETTING_ID_LISTEN, "x:1,y:2");
    char *wrong[] = { "TROUPE_LIMITS_BODY_BITES=1MiB", NULL };
    assert_int_equal(trp_settings_read_env(s, wrong, &err).code, TRP_INVALID_ARGUMENT);
    assert_string_equal(err.text, "environment: unknown \"TROUPE_LIMITS_BODY_BITES\"; did you mean "
                                  "\"TROUPE_LIMITS_BODY_BYTES\"?");
    char *bad[] = { "TROUPE_THREADS_LOOPS=x", NULL };
    assert_int_equal(trp_settings_read_env(s, bad, &err).code, TRP_INVALID_ARGUMENT);
    assert_string_equal(err.text, "TROUPE_THREADS_LOOPS: threads.loops: expected a whole number, "
                                  "found \"x\"");
    assert_int_equal(trp_settings_read_env(s, NULL, &err).code, TRP_OK);
    trp_settings_destroy(s);
}

/* Reads a text as a file of its own; the words have "F" in place of its path. */
static trp_status read_text(struct trp_settings *s, const char *text, struct trp_error *err,
                            char *out_words, size_t words_size)
{
    char path[SCRATCH_PATH_MAX];
    const int fd = scratch_file(path, "settings");
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    const trp_status st = trp_settings_read_file(s, path, err);
    unlink(path);
    if (out_words && strncmp(err->text, path, strlen(path)) == 0)
        snprintf(out_words, words_size, "F%s", err->text + strlen(path));
    return st;
}

static void a_file_may_nest_its_keys_or_not(void **state)
{
    (void)state;
    struct trp_settings *s = new_settings();
    struct trp_error err = { 0 };
    const trp_status st = read_text(s,
                                    "# the team's server\n"
                                    "listen: [127.0.0.1:9000, \"unix:/run/t,1\"]\n"
                                    "limits:\n  body_bytes: 1MiB\n  json_depth: 50\n"
                                    "timeouts.idle: 5s\n"
                                    "backends: {onnxruntime: {threads: 3}}\n"
                                    "http: {cors: \"*\"}\n"
                                    "server.name: ~\n",
                                    &err, NULL, 0);
    if (trp_failed(st))
        print_error("%s\n", err.text);
    assert_int_equal(st.code, TRP_OK);
    assert_int_equal(trp_settings_list_n(s, TRP_SETTING_ID_LISTEN), 2);
    assert_string_equal(trp_settings_list_at(s, TRP_SETTING_ID_LISTEN, 1), "unix:/run/t,1");
    assert_value(s, TRP_SETTING_ID_BODY_BYTES, "1MiB");
    assert_value(s, TRP_SETTING_ID_JSON_DEPTH, "50");
    assert_value(s, TRP_SETTING_ID_IDLE, "5s");
    assert_value(s, TRP_SETTING_ID_ORT_THREADS, "3");
    assert_value(s, TRP_SETTING_ID_CORS, "*");
    assert_value(s, TRP_SETTING_ID_SERVER_NAME, "troupe");
    const char *source = trp_settings_source(s, TRP_SETTING_ID_JSON_DEPTH);
    assert_string_equal(source + strlen(source) - 2, ":5");
    trp_settings_destroy(s);
}

static void mistakes_in_a_file_are_named_with_their_line(void **state)
{
    (void)state;
    static const struct row {
        const char *text, *want;
    } rows[] = {
        { "limits:\n  body_byte: 1\n",
          "F:2: unknown key \"limits.body_byte\"; did you mean \"limits.body_bytes\"?" },
        { "limits: 5\n", "F:1: unknown key \"limits\"" },
        { "\nlimits.json_depth: x\n",
          "F:2: limits.json_depth: expected a whole number, found \"x\"" },
        { "limits.json_depth: [1]\n", "F:1: limits.json_depth: expected one value, found a list" },
        { "limits.json_depth: {a: 1}\n",
          "F:1: limits.json_depth: expected a value, found a map of keys" },
        { "listen:\n- [a]\n", "F:2: listen: expected texts, found a list" },
        { "- 1\n", "F:1: expected a map of keys, found a list" },
        { "a: 1\na: 2\n", "F:2: key \"a\" is there twice (first in line 1)" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_settings *s = new_settings();
        struct trp_error err = { 0 };
        char words[256] = "";
        print_message("%s", r->text);
        const trp_status st = read_text(s, r->text, &err, words, sizeof words);
        assert_int_equal(st.code, TRP_INVALID_ARGUMENT);
        assert_string_equal(words, r->want);
        trp_settings_destroy(s);
    }
    struct trp_settings *s = new_settings();
    struct trp_error err = { 0 };
    assert_int_equal(trp_settings_read_file(s, "/nonexistent/troupe.yaml", &err).code,
                     TRP_NOT_FOUND);
    trp_settings_destroy(s);
}

static void later_sources_win(void **state)
{
    (void)state;
    struct trp_settings *s = new_settings();
    struct trp_error err = { 0 };
    char *environment[] = { "TROUPE_LIMITS_JSON_DEPTH=20", NULL };
    assert_int_equal(read_text(s, "limits.json_depth: 10\n", &err, NULL, 0).code, TRP_OK);
    assert_value(s, TRP_SETTING_ID_JSON_DEPTH, "10");
    assert_int_equal(trp_settings_read_env(s, environment, &err).code, TRP_OK);
    assert_value(s, TRP_SETTING_ID_JSON_DEPTH, "20");
    assert_int_equal(set(s, "limits.json_depth=30", &err).code, TRP_OK);
    assert_value(s, TRP_SETTING_ID_JSON_DEPTH, "30");
    trp_settings_destroy(s);
}

static void too_little_memory_is_said_wherever_it_ends(void **state)
{
    (void)state;
    trp_status st;
    uint64_t blocks = 0;
    do {
        struct scarce scarce;
        struct trp_settings *s;
        struct trp_error err = { 0 };
        st = trp_settings_create(scarce_init(&scarce, blocks++), &s, &err);
        if (!trp_failed(st))
            st = read_text(s, "limits: {json_depth: 10, body_bytes: 1MiB}\nlisten: [a, b]\n", &err,
                           NULL, 0);
        if (!trp_failed(st))
            st = trp_settings_append(s, TRP_SETTING_ID_LISTEN, TRP_STR_LIT("c"), "--listen", &err);
        assert_true(!trp_failed(st) || st.code == TRP_OUT_OF_MEMORY);
        assert_int_equal(st.code, err.status.code);
        trp_settings_destroy(s);
        assert_int_equal(trp_counter_get(&scarce.out), 0);
    } while (trp_failed(st));
    assert_true(blocks > 3);
}

static void a_share_is_a_part_of_what_the_machine_has(void **state)
{
    (void)state;
    struct trp_settings *s = new_settings();
    struct trp_error err = { 0 };
    const uint64_t has = trp_machine_memory("");
    assert_int_equal(trp_settings_u64(s, TRP_SETTING_ID_MEMORY_BUDGET), has / 100 * 80);
    assert_int_equal(set(s, "memory.budget=25%", &err).code, TRP_OK);
    assert_int_equal(trp_settings_u64(s, TRP_SETTING_ID_MEMORY_BUDGET), has / 100 * 25);
    assert_int_equal(set(s, "memory.budget=2GiB", &err).code, TRP_OK);
    assert_int_equal(trp_settings_u64(s, TRP_SETTING_ID_MEMORY_BUDGET), UINT64_C(2) << 30);
    static const char *const wrong[] = { "memory.budget=0%",  "memory.budget=101%",
                                         "memory.budget=%",   "memory.budget=much",
                                         "memory.budget=-1%", "memory.budget=2PiB" };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        print_message("%s\n", wrong[i]);
        assert_int_equal(set(s, wrong[i], &err).code, TRP_INVALID_ARGUMENT);
        assert_int_equal(trp_settings_u64(s, TRP_SETTING_ID_MEMORY_BUDGET), UINT64_C(2) << 30);
    }
    trp_settings_destroy(s);
}

static void says_which_values_an_option_takes(void **state)
{
    (void)state;
    static const struct {
        enum trp_setting id;
        const char *allowed;
    } table[] = {
        { TRP_SETTING_ID_WATCH, "off, poll, notify" },
        { TRP_SETTING_ID_LOOPS, "0 to 256" },
        { TRP_SETTING_ID_SPIN, "0s to 1s" },
        { TRP_SETTING_ID_BODY_BYTES, "1KiB to 4GiB" },
        { TRP_SETTING_ID_MEMORY_BUDGET, "1% to 100%, 0 to 1024TiB" },
        { TRP_SETTING_ID_READY_STRICT, "true, false" },
        { TRP_SETTING_ID_SERVER_NAME, "" },
    };
    struct trp_buf text;
    trp_buf_init(&text, trp_heap(), 256);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        trp_buf_reset(&text);
        trp_setting_allowed_text(table[i].id, &text);
        assert_true(trp_str_is(trp_buf_str(&text), table[i].allowed));
    }
    trp_buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_default_is_valid_and_says_so),
        cmocka_unit_test(values_are_read_and_printed_in_people_s_units),
        cmocka_unit_test(offsets_are_durations_ahead_or_behind),
        cmocka_unit_test(what_is_not_allowed_is_refused_and_changes_nothing),
        cmocka_unit_test(a_repeated_flag_replaces_the_default_and_then_adds),
        cmocka_unit_test(the_environment_speaks_in_capitals),
        cmocka_unit_test(a_file_may_nest_its_keys_or_not),
        cmocka_unit_test(mistakes_in_a_file_are_named_with_their_line),
        cmocka_unit_test(later_sources_win),
        cmocka_unit_test(a_share_is_a_part_of_what_the_machine_has),
        cmocka_unit_test(says_which_values_an_option_takes),
        cmocka_unit_test(too_little_memory_is_said_wherever_it_ends),
    };
    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}

/* Log and trace settings: what is set acts, what is refused changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/admin_internal.h"

struct fixture {
    struct trp_admin admin;
    struct trp_arena arena;
    struct trp_control control;
    struct trp_node *settings; /* of the request */
    struct trp_error err;
};

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){ 0 };
    trp_arena_init(&f.arena, trp_heap(), 4096, 1u << 20);
    f.control.arena = &f.arena;
    assert_int_equal(
        trp_log_create(trp_heap(), trp_clock_system(), STDERR_FILENO, &f.admin.opts.log, &f.err)
            .code,
        TRP_OK);
    const struct trp_trace_opts trace = { .file = "" };
    assert_int_equal(trp_trace_create(trp_heap(), &trace, &f.admin.opts.trace, &f.err).code,
                     TRP_OK);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    trp_trace_destroy(f->admin.opts.trace);
    trp_log_destroy(f->admin.opts.log);
    trp_arena_deinit(&f->arena);
    return 0;
}

static void begin_request(struct fixture *f)
{
    struct trp_node *root = trp_node_new(&f->arena, TRP_NODE_MAP);
    f->settings = trp_node_add_map(&f->arena, root, "settings");
    f->control.request = root;
    assert_non_null(f->settings);
}

static struct trp_node *setting(struct fixture *f, const char *key)
{
    return trp_node_add_map(&f->arena, f->settings, key);
}

static void log_text(struct fixture *f, const char *key, const char *value)
{
    assert_non_null(
        trp_node_add_str(&f->arena, setting(f, key), "string_param", trp_str_of(value)));
}

static void log_bool(struct fixture *f, const char *key, bool value)
{
    assert_non_null(trp_node_add_bool(&f->arena, setting(f, key), "bool_param", value));
}

static void trace_value(struct fixture *f, const char *key, const char *value)
{
    struct trp_node *list = trp_node_add_list(&f->arena, setting(f, key), "value");
    assert_non_null(list);
    if (value)
        assert_non_null(trp_node_add_str(&f->arena, list, "", trp_str_of(value)));
}

static int32_t set_log(struct fixture *f)
{
    return trp_answer_log_set(&f->admin, &f->control, &f->err).code;
}

static int32_t set_trace(struct fixture *f)
{
    return trp_answer_trace_set(&f->admin, &f->control, &f->err).code;
}

static struct trp_trace_settings trace_now(struct fixture *f)
{
    struct trp_trace_settings s;
    trp_trace_get(f->admin.opts.trace, trp_str_make(NULL, 0), &s);
    return s;
}

static void log_settings_act_at_once(void **state)
{
    struct fixture *f = *state;
    begin_request(f);
    log_bool(f, "log_info", false);
    log_text(f, "log_format", "ISO8601");
    assert_non_null(
        trp_node_add_u64(&f->arena, setting(f, "log_verbose_level"), "uint32_param", 2));
    assert_int_equal(set_log(f), TRP_OK);
    const struct trp_log *log = f->admin.opts.log;
    assert_false(trp_log_is_enabled(log, TRP_LOG_INFO));
    assert_true(trp_log_is_enabled(log, TRP_LOG_ERROR));
    assert_int_equal(trp_log_get_format(log), TRP_LOG_FORMAT_ISO8601);
    assert_int_equal(trp_log_verbose(log), 2);
    const struct trp_node *reply = trp_node_get(f->control.reply, "settings");
    assert_false(trp_node_bool(trp_node_get(reply, "log_info"), "bool_param", true));
}

static void one_bad_log_setting_keeps_the_good_ones_out(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[][3] = { { "log_format", "XML", "log_format 'XML'" },
                                          { "log_info", "not a bool", "log_info" },
                                          { "log_verbose_level", "many", "log_verbose_level" },
                                          { "log_file", "/tmp/elsewhere", "log file" },
                                          { "log_colour", "red", "log_colour" } };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        begin_request(f);
        log_bool(f, "log_warning", false);
        log_text(f, bad[i][0], bad[i][1]);
        assert_int_not_equal(set_log(f), TRP_OK);
        assert_non_null(strstr(f->err.text, bad[i][2]));
        assert_true(trp_log_is_enabled(f->admin.opts.log, TRP_LOG_WARNING));
        assert_int_equal(trp_log_get_format(f->admin.opts.log), TRP_LOG_FORMAT_DEFAULT);
    }
}

static void trace_settings_act_and_an_empty_value_puts_the_default_back(void **state)
{
    struct fixture *f = *state;
    begin_request(f);
    trace_value(f, "trace_level", "TIMESTAMPS");
    trace_value(f, "trace_rate", "3");
    trace_value(f, "trace_count", "7");
    trace_value(f, "log_frequency", "2");
    assert_int_equal(set_trace(f), TRP_OK);
    struct trp_trace_settings s = trace_now(f);
    assert_true(s.timestamps && !s.tensors && s.rate == 3 && s.count == 7 && s.log_frequency == 2);
    begin_request(f);
    trace_value(f, "trace_level", NULL);
    trace_value(f, "trace_rate", NULL);
    trace_value(f, "trace_count", NULL);
    trace_value(f, "log_frequency", NULL);
    assert_int_equal(set_trace(f), TRP_OK);
    s = trace_now(f);
    assert_true(!s.timestamps && !s.tensors && s.rate == 1000 && s.count == -1 &&
                s.log_frequency == 0);
}

static void one_bad_trace_setting_keeps_the_good_ones_out(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[][2] = {
        { "trace_level", "EVERYTHING" },   { "trace_rate", "0" },     { "trace_rate", "x" },
        { "trace_count", "-2" },           { "log_frequency", "-1" }, { "trace_file", "/x" },
        { "log_frequency", "4294967296" }, { "trace_speed", "1" }
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        begin_request(f);
        trace_value(f, "trace_level", "TENSORS");
        trace_value(f, bad[i][0], bad[i][1]);
        assert_int_not_equal(set_trace(f), TRP_OK);
        assert_false(trace_now(f).tensors);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(log_settings_act_at_once),
        T(one_bad_log_setting_keeps_the_good_ones_out),
        T(trace_settings_act_and_an_empty_value_puts_the_default_back),
        T(one_bad_trace_setting_keeps_the_good_ones_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

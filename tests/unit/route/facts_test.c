/* What rules see of a request, of load and of time; whatever the request is like. */
#include "rules.h"

#include "route/key_list.h"
#include "scratch.h"

#define CHECK(r, rows) rules_check(r, rows, ARRAY_LEN(rows))

static void begin(struct rules *r)
{
    rules_init(r);
    r->env.purpose = TRP_EXPR_VALUE;
}

static void a_request_is_seen_as_it_came(void **state)
{
    (void)state;
    struct rules r;
    static const float numbers[] = { 1, 2, 3 };
    begin(&r);
    r.call.protocol = TRP_PROTOCOL_GRPC;
    r.call.priority_class = TRP_PRIORITY_INTERACTIVE;
    r.call.priority = 2;
    r.call.tenant = TRP_STR_LIT("gold");
    (void)rules_input(&r, "x", TROUPE_FP32, 3, numbers, sizeof numbers);
    static const struct rules_row rows[] = {
        { "request.protocol", "\"grpc\"" },
        { "request.rows", "3" },
        { "request.bytes", "12" },
        { "request.class", "\"interactive\"" },
        { "request.priority", "2" },
        { "request.tenant", "\"gold\"" },
        { "request.tenant in ['gold', 'silver']", "true" },
        { "request.id", "unknown: request.id is missing" },
        { "request.model", "\"shop\"" },
    };
    CHECK(&r, rows);
    r.call.protocol = TRP_PROTOCOL_HTTP2;
    r.call.inputs_n = 0;
    static const struct rules_row others[] = {
        { "request.protocol", "\"http\"" },
        { "request.rows", "unknown: request.rows is missing" },
        { "request.bytes", "0" },
    };
    CHECK(&r, others);
    rules_deinit(&r);
}

static void tensors_have_features(void **state)
{
    (void)state;
    struct rules r;
    static const float scores[] = { 0.5f, -1.0f, 2.0f, 0.0f };
    static const int64_t large[] = { INT64_C(9007199254740993), -5 };
    static const uint64_t huge[] = { UINT64_MAX };
    static const uint8_t flags[] = { 0, 1 };
    static const char texts[] = "\x05\0\0\0hello\x00\0\0\0\x03\0\0\0a b";
    static const char picture[] = "\x0c\0\0\0\x89PNG\r\n\x1a\n\0\0\0\x0d";
    begin(&r);
    struct troupe_tensor *t = rules_input(&r, "score", TROUPE_FP32, 2, scores, sizeof scores);
    t->rank = 2;
    t->shape[1] = 2;
    (void)rules_input(&r, "large", TROUPE_INT64, 2, large, sizeof large);
    (void)rules_input(&r, "huge", TROUPE_UINT64, 1, huge, sizeof huge);
    (void)rules_input(&r, "flag", TROUPE_BOOL, 2, flags, sizeof flags);
    (void)rules_input(&r, "text", TROUPE_BYTES, 3, texts, sizeof texts - 1);
    (void)rules_input(&r, "picture", TROUPE_BYTES, 1, picture, sizeof picture - 1);
    static const struct rules_row rows[] = {
        { "inputs.score.dtype", "\"FP32\"" },
        { "inputs.score.shape[1]", "2" },
        { "inputs.score.rows", "2" },
        { "inputs.score.bytes", "16" },
        { "inputs.score.min", "-1" },
        { "inputs.score.max", "2" },
        { "inputs.score.mean", "0.375" },
        { "inputs.score.nonzero", "3" },
        { "inputs.score.kind", "\"tensor\"" },
        { "inputs.score[2]", "2" },
        { "inputs.score[inputs.score.rows]", "2" },
        { "inputs.score[4]", "unknown: inputs.score[4] has no such element" },
        { "inputs.large[0]", "9007199254740993" },
        { "inputs.large[1] == -5", "true" },
        { "inputs.huge[0]", "unknown: inputs.huge[0] is beyond 64 bits" },
        { "inputs.flag[1]", "true" },
        { "inputs.flag[0] ? 1 : 2", "2" },
        { "inputs.text[0]", "\"hello\"" },
        { "inputs.text[1]", "\"\"" },
        { "inputs.text[2].contains(' ')", "true" },
        { "inputs.text[3]", "unknown: inputs.text[3] has no such element" },
        { "inputs.text.kind", "\"text\"" },
        { "inputs.text.min", "unknown: inputs.text.min has no numbers" },
        { "inputs.picture.kind == 'image'", "true" },
        { "inputs['picture'].rows", "1" },
    };
    CHECK(&r, rows);
    rules_deinit(&r);
}

/* Nothing was checked when a route is asked: what does not fit is unknown, and nothing is read
 * beyond the end. */
static void broken_tensors_are_unknown(void **state)
{
    (void)state;
    struct rules r;
    static const float scores[] = { 0.5f };
    static const char lying[] = "\xff\xff\xff\xff"
                                "abc";
    begin(&r);
    (void)rules_input(&r, "short", TROUPE_FP32, 1000, scores, sizeof scores);
    struct troupe_tensor *t = rules_input(&r, "negative", TROUPE_FP32, -1, scores, sizeof scores);
    t = rules_input(&r, "wide", TROUPE_FP32, INT64_MAX, scores, sizeof scores);
    t->rank = 2;
    t->shape[1] = INT64_MAX;
    (void)rules_input(&r, "empty", TROUPE_FP32, 0, scores, 0);
    (void)rules_input(&r, "lying", TROUPE_BYTES, 1, lying, sizeof lying - 1);
    (void)rules_input(&r, "vast", TROUPE_FP32, 1 << 21, scores, UINT64_C(4) << 21);
    (void)rules_input(&r, "texts", TROUPE_BYTES, 1 << 20, lying, sizeof lying - 1);
    rules_input(&r, "absent", TROUPE_FP32, 1, scores, sizeof scores)->data = NULL;
    static const struct rules_row rows[] = {
        { "inputs.short.mean", "unknown: inputs.short.mean has bytes that do not fit its shape" },
        { "inputs.short[0]", "unknown: inputs.short[0] has bytes that do not fit its shape" },
        { "inputs.negative.min",
          "unknown: inputs.negative.min has bytes that do not fit its shape" },
        { "inputs.wide.max", "unknown: inputs.wide.max has bytes that do not fit its shape" },
        { "size(inputs.wide)", "unknown: size(inputs.wide) has bytes that do not fit its shape" },
        { "inputs.empty.mean", "unknown: inputs.empty.mean has no numbers" },
        { "inputs.empty.nonzero", "0" },
        { "inputs.lying[0]", "unknown: inputs.lying[0] has bytes that do not fit its shape" },
        { "inputs.lying.kind", "unknown: inputs.lying.kind has bytes that do not fit its shape" },
        { "inputs.vast.mean", "unknown: inputs.vast.mean is larger than rules look at" },
        { "inputs.texts[5000]", "unknown: inputs.texts[5000] is larger than rules look at" },
        { "has(inputs.absent)", "false" },
    };
    CHECK(&r, rows);
    rules_deinit(&r);
}

static void load_is_what_was_told(void **state)
{
    (void)state;
    struct rules r;
    begin(&r);
    static const struct rules_row rows[] = {
        { "models.fast.ready", "true" },
        { "models.slow.ready", "false" },
        { "models.none.ready", "false" },
        { "models.slow.queue", "40" },
        { "models.slow.wait > 200ms", "true" },
        { "models.fast.p50", "\"2ms\"" },
        { "models.slow.p99", "\"900ms\"" },
        { "models.slow.errors > 0.2", "true" },
        { "models.fast.busy", "1" },
        { "models.fast.bytes == 64MiB", "true" },
        { "server.cpu", "0.75" },
        { "server.memory <= 0.5", "true" },
        { "server.in_flight", "12" },
        { "models.a.ready || models.b.ready || models.c.ready || models.d.ready || models.e.ready "
          "|| "
          "models.fast.ready && models.slow.queue == 40",
          "true" },
    };
    CHECK(&r, rows);
    rules_deinit(&r);
}

static void nobody_telling_the_load_leaves_it_unknown(void **state)
{
    (void)state;
    struct rules r;
    struct trp_fact v;
    begin(&r);
    trp_facts_init(&r.facts, &r.call, 0, &rules_clock);
    struct trp_fact_ref ref = { .what = TRP_FACT_SERVER_CPU };
    trp_facts_read(&r.facts, &ref, &v);
    assert_int_equal(v.kind, TRP_FACT_UNKNOWN);
    ref = (struct trp_fact_ref){ .what = TRP_FACT_MODEL_READY, .name = TRP_STR_LIT("fast") };
    trp_facts_read(&r.facts, &ref, &v);
    assert_int_equal(v.kind, TRP_FACT_BOOL);
    assert_false(v.v.b);
    rules_deinit(&r);
}

static void time_is_what_the_clock_on_the_wall_says(void **state)
{
    (void)state;
    struct rules r;
    begin(&r);
    static const struct rules_row rows[] = {
        { "time.hour", "4" },
        { "time.minute", "30" },
        { "time.weekday", "\"thu\"" },
        { "time.day", "26" },
        { "time.month", "11" },
        { "time.year", "2026" },
        { "time.date", "\"2026-11-26\"" },
        { "time.date >= '2026-11-01' && time.date < '2026-12-01'", "true" },
        { "time.within('* 1-4 * * mon-fri')", "true" },
        { "time.within('* 1-4 * * sat,sun')", "false" },
        { "time.hour * 60 + time.minute", "270" },
    };
    CHECK(&r, rows);
    rules_deinit(&r);
}

static void lists_are_asked_by_text_and_by_digits(void **state)
{
    (void)state;
    struct rules r;
    struct trp_fact out, key = trp_fact_int(42);
    struct trp_key_lists *lists;
    struct trp_key_list *list;
    char path[SCRATCH_PATH_MAX];
    const struct trp_key_lists_opts opts = { .clock = trp_clock_system() };
    static struct trp_str names[] = { { "known", 5 } };
    begin(&r);
    const int fd = scratch_file(path, "facts");
    assert_int_equal(write(fd, "anna\n42\n", 8), 8);
    assert_int_equal(close(fd), 0);
    assert_int_equal(trp_key_lists_create(trp_heap(), &opts, &lists, &r.err).code, TRP_OK);
    assert_int_equal(trp_key_list_open(lists, path, &list, &r.err).code, TRP_OK);
    struct trp_key_list *const table[] = { list };
    r.env.lists = names;
    r.env.lists_n = 1;
    struct trp_expr *e = rules_compile(&r, "(params.user in lists.known) == true");
    assert_non_null(e);
    static const struct {
        struct trp_param param;
        const char *want;
    } rows[] = {
        { { { "user", 4 }, TRP_PARAM_STR, { .s = { "anna", 4 } } }, "true" },
        { { { "user", 4 }, TRP_PARAM_STR, { .s = { "ann", 3 } } }, "false" },
        { { { "user", 4 }, TRP_PARAM_INT, { .i = 42 } }, "true" },
        { { { "user", 4 }, TRP_PARAM_INT, { .i = 4 } }, "false" },
        { { { "user", 4 }, TRP_PARAM_DOUBLE, { .d = 42 } }, "null" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        r.params[0] = rows[i].param;
        r.call.params_n = 1;
        rules_begin(&r);
        r.facts.lists = table;
        r.facts.lists_n = 1;
        trp_expr_value(e, &r.facts, &out);
        trp_buf_reset(&r.out);
        trp_fact_write_json(&out, &r.out);
        assert_string_equal(rules_text(&r), rows[i].want);
    }
    trp_facts_in_list(&r.facts, 1, &key, &out); /* there is only one */
    assert_int_equal(out.kind, TRP_FACT_UNKNOWN);
    trp_expr_destroy(e);
    trp_key_list_close(list);
    trp_key_lists_destroy(lists);
    (void)unlink(path);
    rules_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_seen_as_it_came),
        cmocka_unit_test(tensors_have_features),
        cmocka_unit_test(broken_tensors_are_unknown),
        cmocka_unit_test(load_is_what_was_told),
        cmocka_unit_test(nobody_telling_the_load_leaves_it_unknown),
        cmocka_unit_test(time_is_what_the_clock_on_the_wall_says),
        cmocka_unit_test(lists_are_asked_by_text_and_by_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/route/rules.h - a request, a load and a rule, for the tests of the rule language. */
#ifndef TRP_TEST_RULES_H
#define TRP_TEST_RULES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "route/expr.h"

#define RULES_MAX 12

struct rules {
    struct trp_call call;
    struct trp_param params[RULES_MAX];
    struct trp_header headers[RULES_MAX];
    struct trp_call_tensor inputs[RULES_MAX];
    struct trp_facts facts;
    struct trp_load_view load;
    struct trp_expr_env env;
    struct trp_error err;
    struct trp_buf out;
    struct trp_matcher *matcher;
};

/* Two models are watched: `fast` serves, `slow` answers badly; nothing was answered by `idle` so
 * far. */
static inline bool rules_model(void *user, uint32_t loop_index, struct trp_str name,
                               struct trp_model_load *out)
{
    (void)user;
    (void)loop_index;
    const bool fast = trp_str_is(name, "fast"), slow = trp_str_is(name, "slow");
    if (!fast && !slow && !trp_str_is(name, "idle"))
        return false;
    *out = (struct trp_model_load){ .ready = !slow,
                                    .queued = slow ? 40 : 2,
                                    .busy = 1,
                                    .wait_ns = slow ? 300000000 : 1000000,
                                    .p50_ns = fast || slow ? 2000000 : -1,
                                    .p99_ns = fast   ? 9000000
                                              : slow ? 900000000
                                                     : -1,
                                    .error_ratio = slow ? 0.25 : 0,
                                    .bytes = 64u << 20 };
    return true;
}

static inline void rules_server(void *user, struct trp_server_load *out)
{
    (void)user;
    *out = (struct trp_server_load){ .cpu_ratio = 0.75, .memory_ratio = 0.5, .in_flight = 12 };
}

static inline void rules_init(struct rules *r)
{
    memset(r, 0, sizeof *r);
    r->load = (struct trp_load_view){ .model = rules_model, .server = rules_server };
    trp_buf_init(&r->out, trp_heap(), 1u << 20);
    r->call.params = r->params;
    r->call.headers = r->headers;
    r->call.inputs = r->inputs;
    r->call.model = TRP_STR_LIT("shop");
    assert_int_equal(trp_matcher_create(trp_heap(), &r->matcher, &r->err).code, TRP_OK);
}

static inline void rules_deinit(struct rules *r)
{
    trp_matcher_destroy(r->matcher);
    trp_buf_deinit(&r->out);
}

static inline struct trp_param *rules_param(struct rules *r, const char *name,
                                            enum trp_param_kind kind)
{
    struct trp_param *p = &r->params[r->call.params_n++];
    *p = (struct trp_param){ .name = trp_str_of(name), .kind = kind };
    return p;
}

static inline void rules_header(struct rules *r, const char *name, const char *value)
{
    r->headers[r->call.headers_n++] =
        (struct trp_header){ .name = trp_str_of(name), .value = trp_str_of(value) };
}

/* A tensor of one dimension over memory that is somebody else's. */
static inline struct troupe_tensor *rules_input(struct rules *r, const char *name, int32_t dtype,
                                                int64_t n, const void *data, uint64_t bytes)
{
    struct trp_call_tensor *t = &r->inputs[r->call.inputs_n++];
    union {
        const void *constant;
        void *plain;
    } memory = { .constant = data };
    *t = (struct trp_call_tensor){ .name = trp_str_of(name) };
    t->tensor = (struct troupe_tensor){
        .dtype = dtype, .rank = 1, .shape = { n }, .data = memory.plain, .bytes = bytes
    };
    return &t->tensor;
}

/* 2026-11-26 04:30:00 UTC, a Thursday. */
#define RULES_NOW_NS INT64_C(1795667400000000000)

static inline int64_t rules_wall_ns(void *user)
{
    (void)user;
    return RULES_NOW_NS;
}

static const struct trp_clock rules_clock = { .wall_ns = rules_wall_ns };

static inline void rules_begin(struct rules *r)
{
    trp_facts_init(&r->facts, &r->call, 0, &rules_clock);
    r->facts.load = &r->load;
    r->facts.matcher = r->matcher;
}

static inline struct trp_expr *rules_compile(struct rules *r, const char *text)
{
    static const struct trp_expr_place place = { "routes.yaml", 7, 13, NULL };
    struct trp_expr *e;
    r->err = (struct trp_error){ 0 };
    const trp_status st =
        trp_expr_compile(trp_heap(), trp_str_of(text), &place, &r->env, &e, &r->err);
    assert_int_equal(st.code, r->err.status.code);
    assert_int_equal(trp_failed(st), e == NULL);
    return e;
}

/* What was written. */
static inline const char *rules_text(struct rules *r)
{
    const char *text = trp_buf_text(&r->out);
    assert_non_null(text);
    return text;
}

/* The value of a rule as JSON, or why there is none; or why it does not compile. */
static inline const char *rules_value(struct rules *r, const char *text)
{
    struct trp_fact v;
    struct trp_expr *e = rules_compile(r, text);
    trp_buf_reset(&r->out);
    if (!e)
        return r->err.text;
    rules_begin(r);
    trp_expr_value(e, &r->facts, &v);
    if (v.kind == TRP_FACT_UNKNOWN) {
        trp_buf_add_text(&r->out, "unknown: ");
        trp_expr_why(e, &v, &r->out);
    } else {
        trp_fact_write_json(&v, &r->out);
    }
    trp_expr_destroy(e);
    return rules_text(r);
}

struct rules_row {
    const char *text, *want;
};

static inline void rules_check(struct rules *r, const struct rules_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *got = rules_value(r, rows[i].text);
        if (strcmp(got, rows[i].want) != 0)
            print_error("rule: %s\n", rows[i].text);
        assert_string_equal(got, rows[i].want);
    }
}

/* The words of an error without its place: "routes.yaml:7:13: words". */
static inline void rules_check_refused(struct rules *r, const struct rules_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct trp_expr *e = rules_compile(r, rows[i].text);
        const char *words = strstr(r->err.text, ": ");
        char got[300] = "";
        if (words)
            (void)snprintf(got, sizeof got, "%.*s", (int)strcspn(words + 2, "\n"), words + 2);
        if (e || strcmp(got, rows[i].want) != 0)
            print_error("rule: %s\n", rows[i].text);
        assert_null(e);
        assert_string_equal(got, rows[i].want);
    }
}

#endif

/* fuzz/rule.c - any text as a rule, and any request below it: what compiles is evaluated and
 * explained, and both say the same.
 *
 * The text ends at the first zero byte; what follows is the request: its first bytes choose the
 * parameters, the rest is the memory of a tensor that nobody has checked. */
#include "route/expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TENSORS = 3 };

struct asked {
    struct trp_call call;
    struct trp_param params[4];
    struct trp_header headers[1];
    struct trp_call_tensor inputs[TENSORS];
};

static uint8_t byte_at(struct trp_str rest, size_t at)
{
    return at < rest.len ? (uint8_t)rest.ptr[at] : 0;
}

static void make_params(struct asked *a, struct trp_str rest)
{
    static const char *const names[] = { "a", "b", "c", "d" };
    for (uint32_t i = 0; i < 4; i++) {
        struct trp_param *p = &a->params[i];
        *p = (struct trp_param){ .name = trp_str_of(names[i]),
                                 .kind = (enum trp_param_kind)(byte_at(rest, i) % 5) };
        p->v.s = rest;
        if (p->kind == TRP_PARAM_BOOL)
            p->v.b = byte_at(rest, i + 4) % 2;
        else if (p->kind == TRP_PARAM_DOUBLE)
            p->v.d = byte_at(rest, i + 4) / 7.0;
        else if (p->kind != TRP_PARAM_STR)
            p->v.i = (int64_t)byte_at(rest, i + 4) - 100;
    }
}

static void make_request(struct asked *a, struct trp_str rest)
{
    static const char *const names[TENSORS] = { "x", "text", "y" };
    union {
        const void *constant;
        void *plain;
    } memory = { .constant = rest.len ? rest.ptr : "" };
    *a = (struct asked){ 0 };
    make_params(a, rest);
    a->headers[0] = (struct trp_header){ TRP_STR_LIT("x-h"), rest };
    for (uint32_t i = 0; i < TENSORS; i++) {
        struct troupe_tensor *t = &a->inputs[i].tensor;
        a->inputs[i].name = trp_str_of(names[i]);
        t->dtype = i == 1 ? TROUPE_BYTES : 1 + byte_at(rest, 8 + i) % (TROUPE_DTYPES - 1);
        t->rank = byte_at(rest, 12 + i) % 3;
        t->shape[0] = (int8_t)byte_at(rest, 16 + i);
        t->shape[1] = byte_at(rest, 20 + i);
        t->data = memory.plain;
        t->bytes = rest.len;
    }
    a->call = (struct trp_call){ .headers = a->headers,
                                 .params = a->params,
                                 .inputs = a->inputs,
                                 .headers_n = 1,
                                 .params_n = 4,
                                 .inputs_n = TENSORS };
}

static int64_t noon_ns(void *user)
{
    (void)user;
    return INT64_C(1795694400000000000);
}

static const struct trp_clock noon = { .wall_ns = noon_ns };

/* What the tensors below are said to be, whatever they are: types only refuse. */
static const struct trp_io declared[] = {
    { .name = { "x", 1 }, .dtype = TROUPE_FP32, .rank = 1, .dims = { -1 } },
    { .name = { "text", 4 }, .dtype = TROUPE_BYTES, .rank = 1, .dims = { -1 } },
    { .name = { "y", 1 }, .dtype = TROUPE_INT64, .rank = 2, .dims = { -1, 3 } },
};
static const struct trp_signature takes = { .inputs = declared, .inputs_n = ARRAY_LEN(declared) };
static const struct trp_signature *const signatures[] = { &takes };

/* Whoever passes with the types of its tensors passes without, and is told where it is wrong. */
static void check_types(struct trp_str text, const struct trp_expr_place *place,
                        struct trp_expr_env env, bool passes_without)
{
    struct trp_error err = { 0 };
    struct trp_expr *e;
    env.signatures = signatures;
    env.signatures_n = 1;
    const trp_status st = trp_expr_compile(trp_heap(), text, place, &env, &e, &err);
    TRP_ASSERT(trp_failed(st) == (e == NULL));
    TRP_ASSERT(passes_without || trp_failed(st));
    TRP_ASSERT(!trp_failed(st) || strncmp(err.text, "fuzz.yaml:", 10) == 0);
    trp_expr_destroy(e);
}

/* Evaluated twice it is the same, and so is the first line of what explains it. */
static void check_rule(const struct trp_expr *e, const struct asked *a)
{
    struct trp_facts facts;
    struct trp_fact once, twice;
    struct trp_buf first, second;
    struct trp_matcher *matcher;
    struct trp_error err = { 0 };
    trp_buf_init(&first, trp_heap(), 64u << 20);
    trp_buf_init(&second, trp_heap(), 64u << 20);
    TRP_ASSERT(!trp_failed(trp_matcher_create(trp_heap(), &matcher, &err)));
    trp_facts_init(&facts, &a->call, 0, &noon);
    facts.matcher = matcher;
    trp_expr_value(e, &facts, &once);
    trp_fact_write_json(&once, &first);
    trp_expr_why(e, &once, &first);
    trp_facts_init(&facts, &a->call, 0, &noon);
    facts.matcher = matcher;
    trp_expr_value(e, &facts, &twice);
    trp_fact_write_json(&twice, &second);
    trp_expr_why(e, &twice, &second);
    TRP_ASSERT(trp_str_is_equal(trp_buf_str(&first), trp_buf_str(&second)));
    trp_buf_reset(&first);
    trp_expr_explain(e, &facts, &first);
    trp_matcher_destroy(matcher);
    trp_buf_deinit(&first);
    trp_buf_deinit(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct trp_expr_place place = { "fuzz.yaml", 3, 5, NULL };
    static const struct trp_str lists[] = { { "known", 5 } };
    const uint8_t *zero = size > 0 ? memchr(data, 0, size) : NULL;
    const size_t n = zero ? (size_t)(zero - data) : size;
    const char *text = (const char *)data;
    struct trp_expr_env env = { .lists = lists, .lists_n = 1 };
    struct trp_error err = { 0 };
    struct trp_expr *e;
    struct asked a;
    make_request(&a, zero ? trp_str_make(text + n + 1, size - n - 1) : trp_str_make("", 0));
    for (int purpose = 0; purpose < 2; purpose++) {
        env.purpose = (enum trp_expr_purpose)purpose;
        const trp_status st =
            trp_expr_compile(trp_heap(), trp_str_make(text, n), &place, &env, &e, &err);
        TRP_ASSERT(trp_failed(st) == (e == NULL));
        TRP_ASSERT(!trp_failed(st) || st.code == err.status.code);
        if (e)
            check_rule(e, &a);
        check_types(trp_str_make(text, n), &place, env, e != NULL);
        trp_expr_destroy(e);
    }
    return 0;
}

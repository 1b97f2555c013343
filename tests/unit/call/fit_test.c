/* Whether a call could be bound: a row per way to fit, or not; what binds, fits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "call/fit.h"

#define TEXT(literal)                \
    {                                \
        literal, sizeof(literal) - 1 \
    }

static const struct trp_io ins[] = {
    { .name = TEXT("a"), .dtype = TROUPE_FP32, .rank = 2, .dims = { -1, 2 } },
    { .name = TEXT("b"), .dtype = TROUPE_INT64, .rank = 2, .dims = { -1, 1 }, .optional = true },
};
static const struct trp_io outs[] = {
    { .name = TEXT("x"), .dtype = TROUPE_FP32, .any_rank = true }
};
static const struct trp_signature free_one = {
    .inputs = ins, .inputs_n = 2, .outputs = outs, .outputs_n = 1
};
static const struct trp_signature batched = {
    .inputs = ins, .inputs_n = 2, .outputs = outs, .outputs_n = 1, .batch_max = 4
};
static const struct trp_signature single = {
    .inputs = ins, .inputs_n = 1, .outputs = outs, .outputs_n = 1
};

struct sent {
    const char *name;
    int32_t dtype;
    uint32_t rank;
    int64_t shape[3];
};
struct row {
    const char *what;
    struct sent sent[3];
    uint32_t n;
    const char *wanted; /* an output; NULL: all */
    const struct trp_signature *s;
    bool want;
};

static const struct row rows[] = {
    { "both",
      { { "a", TROUPE_FP32, 2, { 3, 2 } }, { "b", TROUPE_INT64, 2, { 3, 1 } } },
      2,
      NULL,
      &free_one,
      true },
    { "the other way round",
      { { "b", TROUPE_INT64, 2, { 3, 1 } }, { "a", TROUPE_FP32, 2, { 3, 2 } } },
      2,
      NULL,
      &free_one,
      true },
    { "without the optional one", { { "a", TROUPE_FP32, 2, { 3, 2 } } }, 1, "x", &free_one, true },
    { "without the other", { { "b", TROUPE_INT64, 2, { 3, 1 } } }, 1, NULL, &free_one, false },
    { "nothing", { { 0 } }, 0, NULL, &free_one, false },
    { "a name that there is not",
      { { "a", TROUPE_FP32, 2, { 3, 2 } }, { "c", TROUPE_FP32, 1, { 1 } } },
      2,
      NULL,
      &free_one,
      false },
    { "another type", { { "a", TROUPE_FP64, 2, { 3, 2 } } }, 1, NULL, &free_one, false },
    { "another size", { { "a", TROUPE_FP32, 2, { 3, 3 } } }, 1, NULL, &free_one, false },
    { "another rank", { { "a", TROUPE_FP32, 1, { 2 } } }, 1, NULL, &free_one, false },
    { "another output", { { "a", TROUPE_FP32, 2, { 3, 2 } } }, 1, "y", &free_one, false },
    { "a batch", { { "a", TROUPE_FP32, 2, { 4, 2 } } }, 1, NULL, &batched, true },
    { "too large a batch", { { "a", TROUPE_FP32, 2, { 5, 2 } } }, 1, NULL, &batched, false },
    { "two batches",
      { { "a", TROUPE_FP32, 2, { 3, 2 } }, { "b", TROUPE_INT64, 2, { 2, 1 } } },
      2,
      NULL,
      &batched,
      false },
    { "raw bytes", { { "", TROUPE_NO_DTYPE, 0, { 0 } } }, 1, NULL, &single, true },
    { "raw bytes for two", { { "", TROUPE_NO_DTYPE, 0, { 0 } } }, 1, NULL, &free_one, false },
};

static char memory[64];

static void fill(struct trp_call *call, const struct row *r)
{
    static const uint32_t width[] = { [TROUPE_FP32] = 4, [TROUPE_FP64] = 8, [TROUPE_INT64] = 8 };
    call->inputs = trp_arena_zeroed(&call->arena, r->n + 1, sizeof *call->inputs);
    call->inputs_n = r->n;
    for (uint32_t i = 0; i < r->n; i++) {
        struct troupe_tensor *t = &call->inputs[i].tensor;
        call->inputs[i].name = trp_str_of(r->sent[i].name);
        t->dtype = r->sent[i].dtype;
        t->rank = r->sent[i].rank;
        t->bytes = t->dtype == TROUPE_NO_DTYPE ? 8 : width[t->dtype];
        for (uint32_t d = 0; d < t->rank; d++) {
            t->shape[d] = r->sent[i].shape[d];
            t->bytes *= (uint64_t)t->shape[d];
        }
        t->data = memory;
    }
    if (!r->wanted)
        return;
    call->wanted = trp_arena_zeroed(&call->arena, 1, sizeof *call->wanted);
    call->wanted_n = 1;
    call->wanted[0].name = trp_str_of(r->wanted);
}

static void what_binds_fits_and_nothing_else(void **state)
{
    (void)state;
    struct trp_loop *loop;
    struct trp_call_pool *pool;
    assert_false(
        trp_failed(trp_loop_create(trp_heap(), &(struct trp_loop_opts){ 0 }, &loop, NULL)));
    assert_false(trp_failed(trp_call_pool_create(trp_heap(), loop, 4096, 1 << 20, 3, &pool, NULL)));
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_error err = { 0 };
        struct trp_call *call = trp_call_take(pool);
        assert_non_null(call);
        print_message("%s\n", r->what);
        fill(call, r);
        assert_int_equal(trp_call_fits(call, r->s), r->want);
        assert_int_equal(!trp_failed(trp_call_bind(call, r->s, &err)), r->want);
        trp_call_give_back(call);
    }
    trp_call_pool_destroy(pool);
    trp_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_binds_fits_and_nothing_else) };
    return cmocka_run_group_tests_name("fit", tests, NULL, NULL);
}

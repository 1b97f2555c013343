/* What the tests of the inference codec share: a codec with its pool, and calls without a loop. */
#ifndef OIP_FIXTURE_H
#define OIP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "call/target.h"
#include "wire/oip_codec.h"

struct fixture {
    struct trp_json_parser *json;
    struct trp_pool *pool;
    struct trp_call_pool *calls;
    struct trp_oip_codec codec;
    struct trp_call *call;
    struct trp_error err;
};

static inline void fixture_open(struct fixture *f)
{
    const struct trp_pool_opts opts = { 0 };
    memset(f, 0, sizeof *f);
    assert_int_equal(trp_json_parser_create(1 << 20, 100, &f->json, &f->err).code, TRP_OK);
    assert_int_equal(trp_pool_create(trp_heap(), &opts, &f->pool, &f->err).code, TRP_OK);
    assert_int_equal(
        trp_call_pool_create(trp_heap(), NULL, 4096, 64 << 20, 16, &f->calls, &f->err).code,
        TRP_OK);
    f->codec = (struct trp_oip_codec){ .json = f->json,
                                       .pool = f->pool,
                                       .account = trp_heap(),
                                       .tensors_max = 8,
                                       .params_max = 4,
                                       .bytes_max = 1 << 20 };
}

/* A fresh call for model "m"; the one before goes back. */
static inline struct trp_call *fixture_call(struct fixture *f)
{
    if (f->call)
        trp_call_give_back(f->call);
    f->call = trp_call_take(f->calls);
    assert_non_null(f->call);
    f->call->model = trp_str_of("m");
    f->err = (struct trp_error){ 0 };
    return f->call;
}

static inline void fixture_close(struct fixture *f)
{
    if (f->call)
        trp_call_give_back(f->call);
    trp_call_pool_destroy(f->calls);
    trp_pool_destroy(f->pool);
    trp_json_parser_destroy(f->json);
}

/* A target that only has a signature. */
struct fixture_target {
    struct trp_target target;
    struct trp_signature signature;
};

static inline const struct trp_signature *fixture_signature(const struct trp_target *t)
{
    return &((const struct fixture_target *)(const void *)t)->signature;
}

static inline void fixture_release(struct trp_target *t)
{
    (void)t;
}

static inline void fixture_pin(struct fixture_target *t, struct trp_call *call)
{
    static const struct trp_target_ops ops = { .signature = fixture_signature };
    t->target.ops = &ops;
    trp_call_pin(call, &t->target, fixture_release);
}

/* Gives the call outputs, one for each name; fill call->outputs[i].tensor afterwards. */
static inline struct troupe_tensor *fixture_outputs(struct trp_call *call, uint32_t n)
{
    static const char *const names[] = { "OUT0", "OUT1", "OUT2", "OUT3" };
    call->outputs = trp_arena_zeroed(&call->arena, n, sizeof *call->outputs);
    call->wanted = trp_arena_zeroed(&call->arena, n, sizeof *call->wanted);
    assert_non_null(call->outputs);
    assert_non_null(call->wanted);
    call->outputs_n = call->wanted_n = n;
    for (uint32_t i = 0; i < n; i++) {
        call->outputs[i].name = call->wanted[i].name = trp_str_of(names[i]);
        call->wanted[i].index = i;
    }
    return &call->outputs[0].tensor;
}

static inline void fixture_fill(struct trp_call *call, uint32_t i, int32_t dtype, uint32_t rank,
                                const int64_t *shape, const void *data, uint64_t bytes)
{
    struct troupe_tensor *const t = &call->outputs[i].tensor;
    t->dtype = dtype;
    t->rank = rank;
    for (uint32_t d = 0; d < rank; d++)
        t->shape[d] = shape[d];
    t->data = (void *)(uintptr_t)data;
    t->bytes = bytes;
}

/* The parts of a reply as one text; freed by the caller. */
static inline struct trp_str fixture_join(const struct trp_reply *reply)
{
    char *const all = malloc((size_t)reply->bytes + 1);
    size_t len = 0;
    assert_non_null(all);
    for (uint32_t i = 0; i < reply->parts_n; i++) {
        memcpy(all + len, reply->parts[i].ptr, reply->parts[i].len);
        len += reply->parts[i].len;
    }
    assert_int_equal(len, reply->bytes);
    all[len] = '\0';
    return trp_str_make(all, len);
}

#endif

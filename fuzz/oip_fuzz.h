/* fuzz/oip_fuzz.h - what the fuzz targets of the inference codec share. */
#ifndef OIP_FUZZ_H
#define OIP_FUZZ_H

#include "base/pbwire.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"
#include "wire/oip_codec.h"

struct oip_fuzz {
    struct trp_json_parser *json;
    struct trp_pool *pool;
    struct trp_call_pool *calls;
    struct trp_oip_codec codec;
};

static inline struct oip_fuzz *oip_fuzz_open(void)
{
    const struct trp_pool_opts opts = { 0 };
    struct oip_fuzz *const f = trp_alloc_zeroed(trp_heap(), 1, sizeof *f);
    TRP_ASSERT(f);
    TRP_ASSERT(!trp_failed(trp_json_parser_create(1 << 20, 100, &f->json, NULL)));
    TRP_ASSERT(!trp_failed(trp_pool_create(trp_heap(), &opts, &f->pool, NULL)));
    TRP_ASSERT(
        !trp_failed(trp_call_pool_create(trp_heap(), NULL, 4096, 16 << 20, 4, &f->calls, NULL)));
    f->codec = (struct trp_oip_codec){ .json = f->json,
                                       .pool = f->pool,
                                       .account = trp_heap(),
                                       .tensors_max = 64,
                                       .params_max = 64,
                                       .bytes_max = 4 << 20 };
    return f;
}

static inline void oip_fuzz_close(struct oip_fuzz *f)
{
    trp_call_pool_destroy(f->calls);
    trp_pool_destroy(f->pool);
    trp_json_parser_destroy(f->json);
    trp_alloc_free(trp_heap(), f);
}

/* Touches every byte that an input claims to have. */
static inline void oip_fuzz_check(const struct trp_call *call, struct trp_str body)
{
    for (uint32_t i = 0; i < call->inputs_n; i++) {
        const struct troupe_tensor *const t = &call->inputs[i].tensor;
        const uint8_t *const at = t->data;
        uint64_t bytes = 0;
        volatile uint8_t sum = 0;
        if (call->inputs[i].region.len > 0) {
            TRP_ASSERT(!t->data);
            continue;
        }
        TRP_ASSERT(at);
        for (uint64_t b = 0; b < t->bytes; b++)
            sum = (uint8_t)(sum + at[b]);
        if (t->dtype == TROUPE_NO_DTYPE) {
            TRP_ASSERT(t->bytes == body.len);
            continue;
        }
        if (t->dtype == TROUPE_BYTES)
            continue; /* its layout is checked when the call is bound */
        TRP_ASSERT(trp_shape_bytes(t->shape, t->rank, t->dtype, &bytes) && bytes == t->bytes);
        TRP_ASSERT((uintptr_t)at % trp_dtype_bytes(t->dtype) == 0);
    }
}

static inline uint64_t oip_fuzz_length(const struct trp_reply *reply)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < reply->parts_n; i++)
        n += reply->parts[i].len;
    return n;
}

/* Answers with the inputs, as an echo would, in every encoding. */
static inline void oip_fuzz_echo(struct oip_fuzz *f, struct trp_call *call)
{
    struct trp_call_tensor *const outputs =
        trp_arena_zeroed(&call->arena, call->inputs_n + 1, sizeof *outputs);
    TRP_ASSERT(outputs);
    uint32_t n = 0;
    for (uint32_t i = 0; i < call->inputs_n; i++)
        if (call->inputs[i].tensor.data && call->inputs[i].tensor.dtype != TROUPE_NO_DTYPE) {
            outputs[n] = call->inputs[i];
            outputs[n++].tensor.release = NULL; /* borrowed from the input */
        }
    for (uint32_t i = 0; i < call->wanted_n; i++)
        call->wanted[i].region = (struct trp_str){ 0 }; /* nothing is mapped here */
    call->outputs = outputs;
    call->outputs_n = n;
    for (int how = 0; how < 3; how++) {
        struct trp_reply reply = { 0 };
        struct trp_error err = { 0 };
        trp_buf_init(&reply.text, trp_heap(), 16 << 20);
        const trp_status st =
            how == 0 ? trp_oip_encode_http(&f->codec, call, &reply, &err)
                     : trp_oip_encode_grpc(&f->codec, call, how == 2, how == 2, &reply, &err);
        TRP_ASSERT(st.code == err.status.code);
        if (!trp_failed(st))
            TRP_ASSERT(oip_fuzz_length(&reply) == reply.bytes);
        trp_buf_deinit(&reply.text);
    }
}

#endif

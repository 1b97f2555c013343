/* tests/unit/onnx/onnx_build.h - writes small models for the tests, field by field.
 * Each function opens or writes a message of onnx.proto; `end` closes it.  Memory comes from one
 * buffer per test. */
#ifndef TRP_TEST_ONNX_BUILD_H
#define TRP_TEST_ONNX_BUILD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/pbwire.h"
#include "onnx/onnx_reader.h"

struct build {
    struct trp_buf bytes;
    struct trp_arena arena;
    struct trp_error err;
    struct trp_onnx_model model;
};

/* `b` is what every test writes into. */
static inline void build_start(struct build *b, int64_t ir_version)
{
    *b = (struct build){ 0 };
    trp_buf_init(&b->bytes, trp_heap(), 1u << 26);
    trp_arena_init(&b->arena, trp_heap(), 1024, 0);
    trp_pb_write_i64(&b->bytes, 1, ir_version);
}

static inline void build_drop(struct build *b)
{
    trp_buf_deinit(&b->bytes);
    trp_arena_deinit(&b->arena);
}

static inline size_t begin(struct build *b, uint32_t number)
{
    return trp_pb_begin(&b->bytes, number);
}

static inline void end(struct build *b, size_t mark)
{
    trp_pb_end(&b->bytes, mark);
}

static inline void text(struct build *b, uint32_t number, const char *terminated)
{
    trp_pb_write_str(&b->bytes, number, trp_str_of(terminated));
}

static inline void number(struct build *b, uint32_t field, int64_t v)
{
    trp_pb_write_i64(&b->bytes, field, v);
}

enum { GRAPH = 7, NODE = 1, INITIALIZER = 5, INPUT = 11, OUTPUT = 12, VALUE_INFO = 13 };

/* A dense value; dims end at 0xdead; a dim of -1 is left open.  NULL: no shape. */
#define NO_MORE 0xdead
static inline void value(struct build *b, uint32_t field, const char *name, int32_t elem,
                         const int64_t *dims)
{
    const size_t io = begin(b, field);
    text(b, 1, name);
    const size_t type = begin(b, 2), tensor = begin(b, 1);
    number(b, 1, elem);
    if (dims) {
        const size_t shape = begin(b, 2);
        for (; *dims != NO_MORE; dims++) {
            const size_t dim = begin(b, 1);
            if (*dims != -1)
                number(b, 1, *dims);
            end(b, dim);
        }
        end(b, shape);
    }
    end(b, tensor);
    end(b, type);
    end(b, io);
}

/* A tensor of int64 or int32 as raw bytes. */
static inline void ints(struct build *b, uint32_t field, const char *name, int32_t elem,
                        const int64_t *v, uint32_t n)
{
    const size_t tensor = begin(b, field);
    number(b, 1, n);
    number(b, 2, elem);
    text(b, 8, name);
    trp_pb_write_head(&b->bytes, 9, (uint64_t)n * (elem == TRP_ONNX_INT64 ? 8 : 4));
    for (uint32_t i = 0; i < n; i++) {
        if (elem == TRP_ONNX_INT64)
            trp_pb_write_fixed64(&b->bytes, (uint64_t)v[i]);
        else
            trp_pb_write_fixed32(&b->bytes, (uint32_t)v[i]);
    }
    end(b, tensor);
}

/* Opens a node "op a,b>y" with no attributes yet; "domain:op" outside the default domain. */
static inline size_t node_begin(struct build *b, const char *spec)
{
    const size_t node = begin(b, NODE);
    char copy[256];
    assert_true(trp_str_copy(trp_str_of(spec), copy, sizeof copy));
    char *const space = strchr(copy, ' ');
    *space = '\0';
    char *const colon = strchr(copy, ':');
    if (colon) {
        *colon = '\0';
        text(b, 7, copy);
    }
    text(b, 4, colon ? colon + 1 : copy);
    uint32_t field = 1; /* inputs, then outputs */
    char *at = space + 1;
    while (*at) {
        const size_t len = strcspn(at, ",>");
        const char stop = at[len];
        trp_pb_write_str(&b->bytes, field, trp_str_make(at, len));
        if (stop == '>')
            field = 2;
        at += len + (stop ? 1 : 0);
    }
    return node;
}

static inline void node(struct build *b, const char *spec)
{
    end(b, node_begin(b, spec));
}

static inline void attribute_int(struct build *b, const char *name, int64_t v)
{
    const size_t a = begin(b, 5);
    text(b, 1, name);
    number(b, 3, v);
    end(b, a);
}

static inline trp_status build_read_with(struct build *b, const struct trp_onnx_opts *opts)
{
    assert_int_equal(b->bytes.failed, TRP_OK);
    char *const exact = malloc(b->bytes.len ? b->bytes.len : 1); /* a sanitizer sees overruns */
    memcpy(exact, b->bytes.ptr, b->bytes.len);
    const trp_status st =
        trp_onnx_read(trp_str_make(exact, b->bytes.len), opts, &b->arena, &b->model, &b->err);
    free(exact); /* nothing in the model may point there */
    return st;
}

static inline trp_status build_read(struct build *b)
{
    return build_read_with(b, NULL);
}

static inline void build_read_ok(struct build *b)
{
    if (trp_failed(build_read(b)))
        fail_msg("%s", b->err.text);
}

#define DIMS(...) ((const int64_t[]){ __VA_ARGS__, NO_MORE })

#endif

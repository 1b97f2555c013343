/* What the tests of HTTP/2 share: a line with a client on it, and the messages of gRPC. */
#ifndef FRONT_LINE_H
#define FRONT_LINE_H

#include "unit/front/front_fixture.h"

#include "base/pbwire.h"
#include "unit/wire/h2_client.h"
#include "wire/grpc.h"

#define GRPC(path)                               \
    ":method: POST\n:scheme: http\n:path: " path \
    "\n:authority: localhost\ncontent-type: application/grpc\nte: trailers\n"
#define INFER GRPC("/inference.GRPCInferenceService/ModelInfer")
#define STREAM GRPC("/inference.GRPCInferenceService/ModelStreamInfer")
#define JSON_BODY \
    "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[1,2.5]}]}"

/* One connection with a client on it. */
struct line {
    struct fixture *f;
    struct client client;
    int fd;
    struct trp_buf unsaid; /* what push() could not get rid of */
    size_t unsaid_at;
};

static inline void line_open_client(struct line *l, int32_t window)
{
    trp_buf_init(&l->unsaid, trp_heap(), 1 << 28);
    l->unsaid_at = 0;
    client_open(&l->client, window);
}

static inline void line_open(struct line *l, struct fixture *f)
{
    l->f = f;
    l->fd = fixture_connect(f, true);
    line_open_client(l, 1 << 20);
}

static inline void line_close(struct line *l)
{
    close(l->fd);
    client_close(&l->client);
    trp_buf_deinit(&l->unsaid);
}

/* A server with one connection, and the end of both. */
static inline void line_begin(struct line *l, struct fixture *f)
{
    fixture_begin(f);
    line_open(l, f);
}

static inline void line_end(struct line *l)
{
    line_close(l);
    fixture_close(l->f);
}

/* Whether the socket took something of what the client has to say. */
static inline bool say(struct line *l)
{
    const uint8_t *bytes;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(l->client.session, &bytes)) > 0)
        trp_buf_add(&l->unsaid, (const char *)bytes, (size_t)n);
    assert_int_equal(l->unsaid.failed, TRP_OK);
    const size_t left = l->unsaid.len - l->unsaid_at;
    n = left ? send(l->fd, l->unsaid.ptr + l->unsaid_at, left, MSG_NOSIGNAL) : 0;
    l->unsaid_at += n > 0 ? (size_t)n : 0;
    if (l->unsaid_at == l->unsaid.len) {
        trp_buf_reset(&l->unsaid);
        l->unsaid_at = 0;
    }
    return n > 0;
}

/* Carries bytes both ways until both are silent. */
static inline void carry(struct line *l)
{
    static char in[1 << 16];
    for (int i = 0, silent = 0; i < 10000 && silent < 3; i++) {
        ssize_t n;
        silent = say(l) ? 0 : silent + 1;
        fixture_turns(l->f, 1);
        while ((n = recv(l->fd, in, sizeof in, MSG_DONTWAIT)) > 0) {
            assert_int_equal(nghttp2_session_mem_recv(l->client.session, (uint8_t *)in, (size_t)n),
                             n);
            silent = 0;
        }
    }
}

/* A framed ModelInferRequest for `model` with the FP32 tensor x of shape [1, n]. */
static inline struct trp_buf message(const char *model, const char *id, const float *values,
                                     size_t n)
{
    struct trp_buf input, body, out;
    trp_buf_init(&input, trp_heap(), 1 << 24);
    trp_buf_init(&body, trp_heap(), 1 << 24);
    trp_buf_init(&out, trp_heap(), 1 << 24);
    trp_buf_add(&input,
                "\x0a\x01x\x12\x04"
                "FP32\x18\x01\x18",
                12);
    trp_pb_write_varint(&input, n);
    trp_pb_write_str(&body, 1, trp_str_of(model));
    trp_pb_write_str(&body, 3, trp_str_of(id));
    trp_pb_write_str(&body, 5, trp_buf_str(&input));
    trp_pb_write_str(&body, 7, trp_str_make((const char *)values, n * sizeof *values));
    char prefix[TRP_GRPC_PREFIX];
    trp_grpc_write_prefix(false, (uint32_t)body.len, prefix);
    trp_buf_add(&out, prefix, sizeof prefix);
    trp_buf_add_str(&out, trp_buf_str(&body));
    trp_buf_deinit(&input);
    trp_buf_deinit(&body);
    assert_int_equal(out.failed, TRP_OK);
    return out;
}

static const float two[] = { 1, 2.5F };

/* Whether the last bytes of a stream's data are `values`: raw_output_contents comes last. */
static inline bool ends_with(const struct client_stream *s, const void *values, size_t bytes)
{
    return s->data_n >= bytes && memcmp(s->data + s->data_n - bytes, values, bytes) == 0;
}

/* The messages in a stream's data; `out` gets where each begins. */
static inline uint32_t split(const struct client_stream *s, const char *out[], uint32_t max)
{
    uint32_t n = 0;
    for (size_t at = 0; at + TRP_GRPC_PREFIX <= s->data_n; n++) {
        const unsigned char *p = (const unsigned char *)s->data + at;
        const size_t length = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
        if (n < max)
            out[n] = s->data + at + TRP_GRPC_PREFIX;
        at += TRP_GRPC_PREFIX + length;
        assert_true(at <= s->data_n);
    }
    return n;
}

static inline bool says(const struct client_stream *s, const char *words)
{
    return strstr(s->fields, words) != NULL;
}

/* Takes what the client has to say to the server; the client reads nothing.  What the server
 * does not take either is kept. */
static inline void push(struct line *l)
{
    for (int silent = 0; silent < 5; fixture_turns(l->f, 1))
        silent = say(l) ? 0 : silent + 1;
}

#endif

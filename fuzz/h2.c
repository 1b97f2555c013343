/* fuzz/h2.c - the HTTP/2 session: any frames behind the preface must do no harm.
 * The first byte says how the server behaves: whether it answers, and in pieces of which size it
 * reads. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/h2.h"

struct stream {
    int32_t id;
    bool is_open;
    struct trp_h2_body body;
};
struct server {
    struct trp_h2 *h2;
    struct stream streams[16];
    uint8_t mode;
    uint64_t bytes;
};

static const struct trp_header fields[] = { { { ":status", 7 }, { "200", 3 } } };
static const struct trp_header trailers[] = { { { "grpc-status", 11 }, { "0", 1 } } };
static char large[10000];
static const struct trp_part parts[] = { { "prefix", 6 }, { large, sizeof large } };

static void *on_begin(void *user, int32_t id)
{
    struct server *s = user;
    for (size_t i = 0; i < 16; i++) {
        if (s->streams[i].is_open)
            continue;
        s->streams[i] = (struct stream){ .id = id, .is_open = true };
        return &s->streams[i];
    }
    return NULL;
}
static void on_header(void *user, void *stream, struct trp_str name, struct trp_str value)
{
    struct server *s = user;
    (void)stream;
    for (size_t i = 0; i < name.len; i++)
        s->bytes += (uint8_t)name.ptr[i];
    s->bytes += value.len;
}
static void on_head(void *user, void *stream)
{
    struct server *s = user;
    struct stream *x = stream;
    if (!(s->mode & 1))
        return;
    x->body = (struct trp_h2_body){ .parts = parts,
                                    .parts_n = 2,
                                    .left = 6 + sizeof large,
                                    .is_last = (s->mode & 2) != 0,
                                    .trailers = trailers,
                                    .trailers_n = 1,
                                    .stream = x };
    (void)trp_h2_respond(s->h2, x->id, fields, 1, (s->mode & 4) ? NULL : &x->body, NULL);
}
static void on_data(void *user, void *stream, struct trp_str bytes)
{
    struct server *s = user;
    struct stream *x = stream;
    for (size_t i = 0; i < bytes.len; i++)
        s->bytes += (uint8_t)bytes.ptr[i];
    trp_h2_consume(s->h2, 0, bytes.len);
    trp_h2_consume(s->h2, x->id, bytes.len);
}
static void on_end(void *user, void *stream)
{
    struct server *s = user;
    struct stream *x = stream;
    if (s->mode & 8)
        trp_h2_reset(s->h2, x->id, TRP_H2_CANCEL);
}
static void on_closed(void *user, void *stream, uint32_t error)
{
    (void)user;
    (void)error;
    if (!((struct stream *)stream)->is_open)
        abort();
    ((struct stream *)stream)->is_open = false;
}
static bool on_refill(void *user, void *stream, struct trp_h2_body *body)
{
    (void)user;
    (void)stream;
    body->is_last = true;
    return false;
}
static void on_output(void *user, const void *ptr, size_t len, bool is_borrowed)
{
    struct server *s = user;
    (void)is_borrowed;
    for (size_t i = 0; i < len; i++)
        s->bytes += ((const uint8_t *)ptr)[i];
}
static const struct trp_h2_events events = { on_begin, on_header, on_head,   on_data,
                                             on_end,   on_closed, on_refill, on_output };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct trp_h2_opts opts = { .streams_max = 8,
                                             .header_bytes_max = 1024,
                                             .stream_window = 1 << 16,
                                             .connection_window = 1 << 17,
                                             .resets_burst = 10,
                                             .resets_per_s = 1 };
    struct server s = { 0 };
    if (size == 0)
        return 0;
    s.mode = data[0];
    const size_t step = (s.mode >> 4) ? (size_t)(s.mode >> 4) * 5 : size;
    if (trp_failed(trp_h2_create(trp_heap(), &opts, &events, &s, &s.h2, NULL)))
        abort();
    (void)trp_h2_receive(s.h2, TRP_STR_LIT(TRP_H2_PREFACE), NULL);
    for (size_t at = 1; at < size && trp_h2_is_alive(s.h2);) {
        const size_t n = size - at < step ? size - at : step;
        if (trp_failed(trp_h2_receive(s.h2, trp_str_make((const char *)data + at, n), NULL)))
            break;
        if (trp_failed(trp_h2_send(s.h2, 1 << 16, NULL)))
            break;
        at += n;
    }
    (void)trp_h2_send(s.h2, 1 << 16, NULL);
    trp_h2_destroy(s.h2);
    return 0;
}

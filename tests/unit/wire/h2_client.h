/* A small HTTP/2 client over nghttp2, for tests: bytes in, bytes out, and what each stream got
 * as text. */
#ifndef H2_CLIENT_H
#define H2_CLIENT_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

#define CLIENT_STREAMS 64
#define CLIENT_FIELDS 16

struct client_stream {
    char fields[1024]; /* "name: value\n", trailers behind a "--\n" */
    char *data;
    size_t data_n;
    int blocks;       /* of header fields */
    int closed;       /* 1 + error code; 0: open */
    int reset;        /* 1 + error code of a RST_STREAM; 0: none came */
    bool has_ended;   /* END_STREAM was seen */
    const char *body; /* to send */
    size_t body_n, body_at;
    bool body_goes_on; /* more will come: defer at the end */
};

struct client {
    nghttp2_session *session;
    struct client_stream streams[CLIENT_STREAMS]; /* by (id - 1) / 2 */
    bool goaway;
    bool no_window_updates;
};

static inline struct client_stream *client_at(struct client *c, int32_t id)
{
    return &c->streams[(id - 1) / 2];
}

static inline int client_on_header(nghttp2_session *session, const nghttp2_frame *frame,
                                   const uint8_t *name, size_t name_n, const uint8_t *value,
                                   size_t value_n, uint8_t flags, void *user)
{
    struct client_stream *s = client_at(user, frame->hd.stream_id);
    const size_t n = strlen(s->fields);
    (void)session;
    (void)flags;
    snprintf(s->fields + n, sizeof s->fields - n, "%.*s: %.*s\n", (int)name_n, (const char *)name,
             (int)value_n, (const char *)value);
    return 0;
}

static inline int client_on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct client_stream *s = client_at(user, frame->hd.stream_id);
    (void)session;
    if (s->blocks++)
        strcat(s->fields, "--\n");
    return 0;
}

static inline int client_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct client *c = user;
    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        c->goaway = true;
    if (frame->hd.stream_id && frame->hd.type == NGHTTP2_RST_STREAM)
        client_at(c, frame->hd.stream_id)->reset = 1 + (int)frame->rst_stream.error_code;
    if (frame->hd.stream_id &&
        (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        client_at(c, frame->hd.stream_id)->has_ended = true;
    return 0;
}

static inline int client_on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                                 const uint8_t *data, size_t n, void *user)
{
    struct client_stream *s = client_at(user, id);
    (void)session;
    (void)flags;
    s->data = realloc(s->data, s->data_n + n + 1);
    memcpy(s->data + s->data_n, data, n);
    s->data_n += n;
    s->data[s->data_n] = '\0';
    return 0;
}

static inline int client_on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    (void)session;
    client_at(user, id)->closed = 1 + (int)error;
    return 0;
}

static inline ssize_t client_on_read(nghttp2_session *session, int32_t id, uint8_t *out, size_t n,
                                     uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct client_stream *s = client_at(user, id);
    (void)session;
    (void)source;
    if (n > s->body_n - s->body_at)
        n = s->body_n - s->body_at;
    if (n == 0 && s->body_goes_on)
        return NGHTTP2_ERR_DEFERRED;
    if (n)
        memcpy(out, s->body + s->body_at, n);
    s->body_at += n;
    if (s->body_at == s->body_n && !s->body_goes_on)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static inline void client_open(struct client *c, int32_t window)
{
    memset(c, 0, sizeof *c);
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, client_on_header);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, client_on_begin);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, client_on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, client_on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, client_on_close);
    nghttp2_session_client_new(&c->session, callbacks, c);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry window_entry = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
                                                  (uint32_t)window };
    nghttp2_submit_settings(c->session, 0, &window_entry, window ? 1 : 0);
}

static inline void client_close(struct client *c)
{
    for (int i = 0; i < CLIENT_STREAMS; i++)
        free(c->streams[i].data);
    nghttp2_session_del(c->session);
}

/* `fields` is "name: value\n..."; pseudo fields first.  body NULL: none, ends with the header. */
static inline int32_t client_request(struct client *c, const char *fields, const char *body,
                                     size_t body_n, bool goes_on)
{
    nghttp2_nv nv[CLIENT_FIELDS];
    size_t n = 0;
    for (const char *at = fields; *at; n++) {
        const char *end = strchr(at, '\n'), *colon = strchr(at + 1, ':');
        nv[n] =
            (nghttp2_nv){ (uint8_t *)(uintptr_t)at, (uint8_t *)(uintptr_t)(colon + 2),
                          (size_t)(colon - at), (size_t)(end - colon - 2), NGHTTP2_NV_FLAG_NONE };
        at = end + 1;
    }
    const nghttp2_data_provider provider = { .read_callback = client_on_read };
    const int32_t id =
        nghttp2_submit_request(c->session, NULL, nv, n, body ? &provider : NULL, NULL);
    struct client_stream *s = client_at(c, id);
    s->body = body;
    s->body_n = body_n;
    s->body_goes_on = goes_on;
    return id;
}

static inline void client_more(struct client *c, int32_t id, const char *body, size_t n,
                               bool goes_on)
{
    struct client_stream *s = client_at(c, id);
    s->body = body;
    s->body_n = n;
    s->body_at = 0;
    s->body_goes_on = goes_on;
    nghttp2_session_resume_data(c->session, id);
}

#endif

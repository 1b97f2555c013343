/* wire/h2.c - the only file that knows nghttp2.
 *
 * Written against 1.52, whose API also stands in later versions.  Windows are given back by hand,
 * because flow control is the back-pressure of streaming calls.  Frames are 16 KB unless a large
 * body waits and the client takes more. */
#include "wire/h2.h"

#include <nghttp2/nghttp2.h>
#include <string.h>

#define FIELDS_MAX 24u
#define COPY_MAX 4096u          /* up to here copying is cheaper than an iovec */
#define FRAME_BYTES 16384u      /* every peer takes these */
#define FRAME_BYTES_MAX 262144u /* more brings nothing */
#define CONTINUATIONS_MAX 8u

struct trp_h2 {
    const struct trp_alloc *alloc;
    const struct trp_h2_events *events;
    void *user;
    nghttp2_session *session;
    struct trp_h2_memory own_memory, *memory;
    size_t put_out;  /* bytes in this trp_h2_send() */
    int32_t near_id; /* the stream that was looked up last: its frames come together */
    void *near;
    uint32_t streams_n, streams_max;
    struct trp_h2_refused refused;
};

static void *stream_of(struct trp_h2 *h2, int32_t id)
{
    if (h2->near_id != id) {
        h2->near_id = id;
        h2->near = nghttp2_session_get_stream_user_data(h2->session, id);
    }
    return h2->near;
}

/* ---- input ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct trp_h2 *h2 = user;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    void *stream = h2->events->begin(h2->user, frame->hd.stream_id);
    if (!stream)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    h2->streams_n++;
    h2->near_id = frame->hd.stream_id;
    h2->near = stream;
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream) == 0
               ? 0
               : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    struct trp_h2 *h2 = user;
    (void)session;
    (void)flags;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0; /* trailers say nothing that we need */
    void *stream = stream_of(h2, frame->hd.stream_id);
    if (stream)
        h2->events->header(h2->user, stream, trp_str_make((const char *)name, name_len),
                           trp_str_make((const char *)value, value_len));
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct trp_h2 *h2 = user;
    (void)session;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    void *stream = stream_of(h2, frame->hd.stream_id);
    if (!stream)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        h2->events->head(h2->user, stream);
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        h2->events->end(h2->user, stream);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *user)
{
    struct trp_h2 *h2 = user;
    (void)flags;
    void *stream = stream_of(h2, id);
    if (stream)
        h2->events->data(h2->user, stream, trp_str_make((const char *)data, len));
    else
        nghttp2_session_consume(session, id, len);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    struct trp_h2 *h2 = user;
    void *stream = stream_of(h2, id);
    if (stream) {
        nghttp2_session_set_stream_user_data(session, id, NULL);
        h2->near = NULL;
        h2->streams_n--;
        h2->events->closed(h2->user, stream, error);
    }
    return 0;
}

/* nghttp2 answers what breaks the protocol by itself; before the client has acknowledged our
 * settings, a stream too many is refused alone, afterwards it is an error of the connection. */
static void note_refused(struct trp_h2 *h2, bool is_connection, uint32_t error)
{
    switch (error) {
    case NGHTTP2_NO_ERROR:
    case NGHTTP2_CANCEL:
        break;
    case NGHTTP2_INTERNAL_ERROR: /* what 1.52 says to a flood, later versions the next one */
    case NGHTTP2_ENHANCE_YOUR_CALM:
        h2->refused.floods += is_connection;
        break;
    case NGHTTP2_REFUSED_STREAM:
        h2->refused.streams++;
        break;
    default:
        if (is_connection && error == NGHTTP2_PROTOCOL_ERROR && h2->streams_n >= h2->streams_max)
            h2->refused.streams++;
        else
            h2->refused.malformed++;
    }
}

/* An answer that came before the question had ended: RST_STREAM(NO_ERROR) tells the client to stop
 * sending, and it must follow the last frame, or clients take the call for failed. */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct trp_h2 *h2 = user;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        note_refused(h2, true, frame->goaway.error_code);
    else if (frame->hd.type == NGHTTP2_RST_STREAM)
        note_refused(h2, false, frame->rst_stream.error_code);
    if ((frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) ||
        !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    if (nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) == 0)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                  NGHTTP2_NO_ERROR);
    return 0;
}

/* ---- output ---- */

static void skip_empty(struct trp_h2_body *b)
{
    while (b->at < b->parts_n && b->off >= b->parts[b->at].len) {
        b->at++;
        b->off = 0;
    }
}

/* Takes the next range of at most `max` bytes. */
static struct trp_str take(struct trp_h2_body *b, size_t max)
{
    skip_empty(b);
    TRP_ASSERT(b->at <
               b->parts_n); /* fewer bytes than were promised: a bug, and no end otherwise */
    const struct trp_part *part = &b->parts[b->at];
    const size_t n = part->len - b->off < max ? part->len - b->off : max;
    const struct trp_str range = trp_str_make((const char *)part->ptr + b->off, n);
    b->off += n;
    return range;
}

static void copy_out(struct trp_h2_body *b, uint8_t *out, size_t len)
{
    b->left -= len;
    b->copied_bytes += len;
    while (len) {
        const struct trp_str range = take(b, len);
        memcpy(out, range.ptr, range.len);
        out += range.len;
        len -= range.len;
    }
}

static void make_fields(const struct trp_header *fields, uint32_t n, nghttp2_nv *out)
{
    for (uint32_t i = 0; i < n; i++) /* nghttp2's pointers are only not const */
        out[i] = (nghttp2_nv){ (uint8_t *)(uintptr_t)fields[i].name.ptr,
                               (uint8_t *)(uintptr_t)fields[i].value.ptr, fields[i].name.len,
                               fields[i].value.len,
                               NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE };
}

static int end_body(struct trp_h2 *h2, int32_t id, const struct trp_h2_body *b, uint32_t *flags)
{
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (b->trailers_n == 0)
        return 0;
    nghttp2_nv fields[FIELDS_MAX];
    TRP_ASSERT(b->trailers_n <= FIELDS_MAX);
    make_fields(b->trailers, b->trailers_n, fields);
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    const int rv = nghttp2_submit_trailer(h2->session, id, fields, b->trailers_n);
    return nghttp2_is_fatal(rv) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* Fills one DATA frame: small pieces are copied, together when several messages wait; a large
 * one is named. */
static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
                       uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct trp_h2 *h2 = user;
    struct trp_h2_body *b = source->ptr;
    (void)session;
    size_t n = 0;
    for (;;) {
        if (b->left == 0 && !b->is_last && !h2->events->refill(h2->user, b->stream, b) &&
            !b->is_last) {
            if (n == 0)
                return NGHTTP2_ERR_DEFERRED;
            break;
        }
        if (b->left == 0 && b->is_last)
            break;
        size_t piece = b->left < room - n ? (size_t)b->left : room - n;
        if (n == 0 && piece > COPY_MAX) {
            *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
            b->left -= piece;
            b->borrowed_bytes += piece;
            n = piece;
            break;
        }
        if (piece > COPY_MAX || piece == 0)
            break; /* the large one gets a frame of its own */
        copy_out(b, out + n, piece);
        n += piece;
    }
    if (b->left == 0 && b->is_last && end_body(h2, id, b, flags) != 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return (ssize_t)n;
}

static void put_out(struct trp_h2 *h2, const void *ptr, size_t len, bool is_borrowed)
{
    h2->put_out += len;
    h2->events->output(h2->user, ptr, len, is_borrowed);
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                        size_t len, nghttp2_data_source *source, void *user)
{
    struct trp_h2 *h2 = user;
    struct trp_h2_body *b = source->ptr;
    (void)session;
    TRP_ASSERT(frame->data.padlen == 0);
    put_out(h2, head, 9, false);
    while (len) {
        const struct trp_str range = take(b, len);
        put_out(h2, range.ptr, range.len, true);
        len -= range.len;
    }
    return 0;
}

static ssize_t on_read_length(nghttp2_session *session, uint8_t type, int32_t id,
                              int32_t session_window, int32_t stream_window,
                              uint32_t remote_frame_max, void *user)
{
    (void)session;
    (void)type;
    (void)id;
    (void)user;
    int64_t n = session_window < stream_window ? session_window : stream_window;
    if (n > remote_frame_max)
        n = remote_frame_max;
    return n > FRAME_BYTES_MAX ? FRAME_BYTES_MAX : n > 0 ? (ssize_t)n : 1;
}

/* ---- life ---- */

static void *get(size_t bytes, void *memory)
{
    return trp_h2_memory_get(memory, bytes);
}

static void *get_zeroed(size_t count, size_t size, void *memory)
{
    size_t bytes = 0;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *block = trp_h2_memory_get(memory, bytes);
    if (block)
        memset(block, 0, bytes);
    return block;
}

static void give(void *block, void *memory)
{
    trp_h2_memory_give(memory, block);
}

static void *resize(void *block, size_t bytes, void *memory)
{
    return trp_h2_memory_resize(memory, block, bytes);
}

static int make_session(struct trp_h2 *h2, const struct trp_h2_opts *opts)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0) {
        nghttp2_session_callbacks_del(callbacks);
        return -1;
    }
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
    nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, on_read_length);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_continuations(option, CONTINUATIONS_MAX);
    nghttp2_option_set_stream_reset_rate_limit(option, opts->resets_burst, opts->resets_per_s);
    nghttp2_mem memory = { h2->memory, get, give, get_zeroed, resize }; /* is copied */
    const int rv = nghttp2_session_server_new3(&h2->session, callbacks, h2, option, &memory);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return rv;
}

static int announce(struct trp_h2 *h2, const struct trp_h2_opts *opts)
{
    const nghttp2_settings_entry entries[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, opts->streams_max },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, opts->stream_window },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, opts->header_bytes_max },
        { NGHTTP2_SETTINGS_MAX_FRAME_SIZE, FRAME_BYTES_MAX },
        { NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
    };
    const int rv = nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, entries,
                                           sizeof entries / sizeof entries[0]);
    if (rv != 0)
        return rv;
    return nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
                                                 (int32_t)opts->connection_window);
}

trp_status trp_h2_create(const struct trp_alloc *alloc, const struct trp_h2_opts *opts,
                         const struct trp_h2_events *events, void *user, struct trp_h2 **out_h2,
                         struct trp_error *err)
{
    *out_h2 = NULL;
    struct trp_h2 *h2 = trp_alloc_zeroed(alloc, 1, sizeof *h2);
    if (!h2)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "HTTP/2 session");
    h2->alloc = alloc;
    h2->events = events;
    h2->user = user;
    h2->streams_max = opts->streams_max;
    h2->memory = opts->memory ? opts->memory : &h2->own_memory;
    trp_h2_memory_init(&h2->own_memory, alloc);
    if (make_session(h2, opts) != 0 || announce(h2, opts) != 0) {
        trp_h2_destroy(h2);
        return trp_fail(err, TRP_OUT_OF_MEMORY, "HTTP/2 session");
    }
    *out_h2 = h2;
    return trp_ok();
}

void trp_h2_destroy(struct trp_h2 *h2)
{
    if (!h2)
        return;
    nghttp2_session_del(h2->session); /* calls nothing back */
    trp_h2_memory_deinit(&h2->own_memory);
    trp_alloc_free(h2->alloc, h2);
}

trp_status trp_h2_receive(struct trp_h2 *h2, struct trp_str bytes, struct trp_error *err)
{
    const ssize_t n = nghttp2_session_mem_recv(h2->session, (const uint8_t *)bytes.ptr, bytes.len);
    if (n < 0) {
        if (n == NGHTTP2_ERR_FLOODED || n == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
            h2->refused.floods++;
        else
            h2->refused.malformed++;
        return trp_fail(err, TRP_INVALID_ARGUMENT, "HTTP/2: %s", nghttp2_strerror((int)n));
    }
    return trp_ok();
}

trp_status trp_h2_send(struct trp_h2 *h2, size_t bytes_max, struct trp_error *err)
{
    h2->put_out = 0;
    while (h2->put_out < bytes_max) {
        const uint8_t *bytes = NULL;
        const size_t before = h2->put_out;
        const ssize_t n = nghttp2_session_mem_send(h2->session, &bytes);
        if (n < 0)
            return trp_fail(err, TRP_OUT_OF_MEMORY, "HTTP/2: %s", nghttp2_strerror((int)n));
        if (n > 0)
            put_out(h2, bytes, (size_t)n, false);
        else if (h2->put_out == before)
            break;
    }
    return trp_ok();
}

trp_status trp_h2_respond(struct trp_h2 *h2, int32_t id, const struct trp_header *fields,
                          uint32_t fields_n, struct trp_h2_body *body, struct trp_error *err)
{
    nghttp2_nv nv[FIELDS_MAX];
    TRP_ASSERT(fields_n <= FIELDS_MAX);
    make_fields(fields, fields_n, nv);
    const nghttp2_data_provider provider = { .source = { .ptr = body }, .read_callback = on_read };
    const int rv = nghttp2_submit_response(h2->session, id, nv, fields_n, body ? &provider : NULL);
    if (nghttp2_is_fatal(rv))
        return trp_fail(err, TRP_OUT_OF_MEMORY, "HTTP/2: %s", nghttp2_strerror(rv));
    return trp_ok();
}

void trp_h2_resume(struct trp_h2 *h2, int32_t id)
{
    (void)nghttp2_session_resume_data(h2->session, id); /* nothing waits: nothing to do */
}

void trp_h2_reset(struct trp_h2 *h2, int32_t id, enum trp_h2_error error)
{
    (void)nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, id, (uint32_t)error);
}

void trp_h2_consume(struct trp_h2 *h2, int32_t id, size_t bytes)
{
    if (id)
        (void)nghttp2_session_consume_stream(h2->session, id, bytes);
    else
        (void)nghttp2_session_consume_connection(h2->session, bytes);
}

void trp_h2_goaway(struct trp_h2 *h2, bool is_final)
{
    if (is_final)
        (void)nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
                                    nghttp2_session_get_last_proc_stream_id(h2->session),
                                    NGHTTP2_NO_ERROR, NULL, 0);
    else
        (void)nghttp2_submit_shutdown_notice(h2->session);
}

bool trp_h2_is_alive(const struct trp_h2 *h2)
{
    return nghttp2_session_want_read(h2->session) || nghttp2_session_want_write(h2->session);
}

bool trp_h2_has_output(const struct trp_h2 *h2)
{
    return nghttp2_session_want_write(h2->session) != 0;
}

struct trp_h2_refused trp_h2_take_refused(struct trp_h2 *h2)
{
    const struct trp_h2_refused refused = h2->refused;
    h2->refused = (struct trp_h2_refused){ 0 };
    return refused;
}

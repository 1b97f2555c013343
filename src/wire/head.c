#include "wire/head.h"

#define FIRST_FIELDS 16u
#define FIELD_OVERHEAD 4u /* ": " and CRLF, so that many empty fields count too */

static const struct trp_str known_names[TRP_HEADERS_KNOWN] = {
#define X(id, name) [TRP_HEADER_##id] = { name, sizeof(name) - 1 },
    TRP_KNOWN_HEADERS(X)
#undef X
};

void trp_head_init(struct trp_head *h, const struct trp_alloc *alloc, size_t bytes_max,
                   uint32_t headers_max)
{
    *h = (struct trp_head){ .alloc = alloc, .headers_max = headers_max };
    trp_buf_init(&h->text, alloc, bytes_max);
}

void trp_head_deinit(struct trp_head *h)
{
    trp_buf_deinit(&h->text);
    trp_alloc_free(h->alloc, h->headers);
    trp_alloc_free(h->alloc, h->spans);
    h->headers = NULL;
    h->spans = NULL;
    h->capacity = h->headers_n = 0;
}

void trp_head_reset(struct trp_head *h)
{
    trp_buf_reset(&h->text);
    memset(h->known_at, 0, sizeof h->known_at);
    h->method = h->target = h->path = h->query = h->authority = (struct trp_str){ 0 };
    h->repeated = 0;
    h->headers_n = 0;
    h->target_len = 0;
    h->too_many = false;
}

void trp_head_add_target(struct trp_head *h, const char *ptr, size_t len)
{
    if (h->target_len == 0)
        h->target_at = (uint32_t)h->text.len;
    trp_buf_add(&h->text, ptr, len);
    h->target_len = (uint32_t)h->text.len - h->target_at;
}

static bool grow(struct trp_head *h)
{
    const uint32_t capacity = h->capacity ? h->capacity * 2 : FIRST_FIELDS;
    struct trp_header *headers = trp_alloc_get(h->alloc, capacity, sizeof *headers);
    struct trp_head_span *spans = trp_alloc_get(h->alloc, capacity, sizeof *spans);
    if (!headers || !spans) {
        trp_alloc_free(h->alloc, headers);
        trp_alloc_free(h->alloc, spans);
        h->text.failed = TRP_OUT_OF_MEMORY;
        return false;
    }
    if (h->headers_n)
        memcpy(spans, h->spans, h->headers_n * sizeof *spans);
    trp_alloc_free(h->alloc, h->headers);
    trp_alloc_free(h->alloc, h->spans);
    h->headers = headers;
    h->spans = spans;
    h->capacity = capacity;
    return true;
}

void trp_head_begin_field(struct trp_head *h)
{
    if (h->headers_n >= h->headers_max)
        h->too_many = true;
    if (h->too_many || (h->headers_n == h->capacity && !grow(h)))
        return;
    h->spans[h->headers_n++] = (struct trp_head_span){ .name_at = (uint32_t)h->text.len,
                                                       .value_at = (uint32_t)h->text.len };
}

static bool is_open(const struct trp_head *h)
{
    return h->headers_n > 0 && !h->too_many && h->text.failed == TRP_OK;
}

void trp_head_add_name(struct trp_head *h, const char *ptr, size_t len)
{
    if (!is_open(h))
        return;
    char *out = trp_buf_room(&h->text, len);
    if (!out)
        return;
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)ptr[i];
        out[i] = (char)(c | ((c >= 'A' && c <= 'Z') ? 0x20 : 0));
    }
    trp_buf_added(&h->text, len);
    struct trp_head_span *s = &h->spans[h->headers_n - 1];
    s->name_len += (uint32_t)len;
    s->value_at = (uint32_t)h->text.len;
}

void trp_head_add_value(struct trp_head *h, const char *ptr, size_t len)
{
    if (!is_open(h))
        return;
    trp_buf_add(&h->text, ptr, len);
    h->spans[h->headers_n - 1].value_len += (uint32_t)len;
}

/* One reservation for both: this is the path of every field of HTTP/2, whose names are in lower
 * case already. */
void trp_head_add(struct trp_head *h, struct trp_str name, struct trp_str value)
{
    trp_head_begin_field(h);
    char *out = is_open(h) ? trp_buf_room(&h->text, name.len + value.len) : NULL;
    if (!out)
        return;
    memcpy(out, name.ptr, name.len);
    if (value.len)
        memcpy(out + name.len, value.ptr, value.len);
    trp_buf_added(&h->text, name.len + value.len);
    struct trp_head_span *s = &h->spans[h->headers_n - 1];
    s->name_len = (uint32_t)name.len;
    s->value_at = s->name_at + s->name_len;
    s->value_len = (uint32_t)value.len;
}

trp_status trp_head_check(const struct trp_head *h, struct trp_error *err)
{
    if (h->text.failed == TRP_OUT_OF_MEMORY)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the header fields");
    if (h->too_many)
        return trp_fail_limit(err, TRP_HEADERS_TOO_LARGE, TRP_LIMIT_HEADERS,
                              "more than %u header fields", h->headers_max);
    const size_t bytes = h->text.len + (size_t)h->headers_n * FIELD_OVERHEAD;
    if (h->text.failed == TRP_OK && bytes <= h->text.max)
        return trp_ok();
    if (h->headers_n == 0)
        return trp_fail_limit(err, TRP_URI_TOO_LONG, TRP_LIMIT_HEADER,
                              "the request target is longer than %zu bytes", h->text.max);
    return trp_fail_limit(err, TRP_HEADERS_TOO_LARGE, TRP_LIMIT_HEADER,
                          "request line and header fields pass %zu bytes", h->text.max);
}

/* Which known names have a length, so that a field is compared with one or two of them. */
#define BIT(id) (1u << TRP_HEADER_##id)
static uint32_t candidates(size_t len)
{
    static const uint32_t of_length[32] = {
        [4] = BIT(HOST),
        [6] = BIT(ORIGIN) | BIT(EXPECT),
        [11] = BIT(TRACEPARENT),
        [12] = BIT(CONTENT_TYPE) | BIT(GRPC_TIMEOUT),
        [13] = BIT(GRPC_ENCODING) | BIT(TENANT),
        [14] = BIT(CONTENT_LENGTH),
        [15] = BIT(PRIORITY) | BIT(ACCEPT_ENCODING),
        [16] = BIT(CONTENT_ENCODING),
        [17] = BIT(TRANSFER_ENCODING) | BIT(STREAM_STATUS) | BIT(TIMEOUT),
        [20] = BIT(GRPC_ACCEPT),
        [29] = BIT(CORS_METHOD),
        [31] = BIT(INFERENCE_LENGTH),
    };
    return len < 32 ? of_length[len] : 0;
}

static void note_known(struct trp_head *h, uint32_t index)
{
    const struct trp_header *field = &h->headers[index];
    for (uint32_t bits = candidates(field->name.len); bits; bits &= bits - 1) {
        const uint32_t id = (uint32_t)__builtin_ctz(bits);
        if (memcmp(field->name.ptr, known_names[id].ptr, field->name.len) != 0)
            continue;
        if (h->known_at[id])
            h->repeated |= 1u << id;
        else
            h->known_at[id] = (uint16_t)(index + 1);
        return;
    }
}

static struct trp_str trim(const char *ptr, size_t len)
{
    while (len && (ptr[0] == ' ' || ptr[0] == '\t')) {
        ptr++;
        len--;
    }
    while (len && (ptr[len - 1] == ' ' || ptr[len - 1] == '\t'))
        len--;
    return trp_str_make(ptr, len);
}

/* origin-form, absolute-form or asterisk-form; RFC 9112 section 3.2. */
static trp_status split_target(struct trp_head *h, struct trp_error *err)
{
    struct trp_str rest = h->target;
    if (rest.len && rest.ptr[0] != '/' && !trp_str_is(rest, "*")) {
        const char *colon = memchr(rest.ptr, ':', rest.len);
        const size_t scheme = colon ? (size_t)(colon - rest.ptr) : 0;
        if (scheme == 0 || rest.len < scheme + 4 || memcmp(colon, "://", 3) != 0)
            return trp_fail(err, TRP_INVALID_ARGUMENT, "the request target is no path: '%.*s'",
                            (int)(rest.len < 80 ? rest.len : 80), rest.ptr);
        rest = trp_str_make(colon + 3, rest.len - scheme - 3);
        size_t end = 0;
        while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?')
            end++;
        h->authority = trp_str_make(rest.ptr, end);
        rest = trp_str_make(rest.ptr + end, rest.len - end);
        if (rest.len == 0 || rest.ptr[0] == '?')
            rest = TRP_STR_LIT("/");
    }
    const char *end = rest.len ? memchr(rest.ptr, '?', rest.len) : NULL;
    h->path = trp_str_make(rest.ptr, end ? (size_t)(end - rest.ptr) : rest.len);
    if (end)
        h->query = trp_str_make(end + 1, rest.len - h->path.len - 1);
    if (h->path.len == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "request target is empty");
    return trp_ok();
}

trp_status trp_head_seal(struct trp_head *h, struct trp_error *err)
{
    const char *base = h->text.ptr;
    for (uint32_t i = 0; i < h->headers_n; i++) {
        const struct trp_head_span *s = &h->spans[i];
        h->headers[i] = (struct trp_header){ .name = trp_str_make(base + s->name_at, s->name_len),
                                             .value = trim(base + s->value_at, s->value_len) };
        note_known(h, i);
    }
    h->target = trp_str_make(base + h->target_at, h->target_len);
    TRP_CHECK(split_target(h, err));
    if (!h->authority.ptr)
        h->authority = trp_head_get(h, TRP_HEADER_HOST);
    return trp_ok();
}

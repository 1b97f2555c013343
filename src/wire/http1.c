/* wire/http1.c - llhttp, and what it lets through.
 *
 * The danger with HTTP/1 is a proxy that reads the same bytes as other requests than we do (request
 * smuggling).  llhttp in its strict form refuses most of that: Content-Length beside
 * Transfer-Encoding, two Content-Lengths, a space before the colon.  It accepts a bare LF in
 * several places, obs-fold, and HTTP/0.9.  So everything outside bodies runs through a second look
 * (`check_lines`): LF only behind CR, CR only before LF, no line that begins with white space.
 *
 * The parser is driven by pauses: each callback that is an event returns HPE_PAUSED, so a feed
 * gives one event and the caller never runs inside llhttp.  Messages without a chunked body end at
 * their header: the parser is reset and the caller, who wants to receive the body elsewhere, counts
 * its bytes.
 *
 *  1. The result does not depend on how the bytes were cut.
 *  2. After an error nothing more is read. */
#include "wire/http1.h"

#include <llhttp.h>

struct trp_http1 {
    const struct trp_alloc *alloc;
    llhttp_t parser;
    struct trp_head *head;
    struct trp_http1_request request;
    bool head_done;   /* what comes as a field now is a trailer */
    bool has_name;    /* the field that is being read has one */
    size_t outside;   /* bytes since the last body byte */
    char last;        /* the byte before the input, outside bodies; 0: none */
    const char *seen; /* up to where check_lines() has looked in this feed */
    struct trp_str body;
    enum trp_http1_event event;
    struct trp_error error; /* set by callbacks */
};

static struct trp_http1 *self(llhttp_t *parser)
{
    return parser->data;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct trp_http1 *p = self(parser);
    trp_head_add_target(p->head, at, len);
    return trp_failed(trp_head_check(p->head, &p->error)) ? -1 : 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct trp_http1 *p = self(parser);
    if (p->head_done || len == 0)
        return 0; /* trailers have no meaning here; their size is limited by `outside` */
    if (!p->has_name)
        trp_head_begin_field(p->head);
    p->has_name = true;
    trp_head_add_name(p->head, at, len);
    return trp_failed(trp_head_check(p->head, &p->error)) ? -1 : 0;
}

/* llhttp lets ": value" through, which would lengthen the field before it. */
static int refuse_nameless(struct trp_http1 *p)
{
    (void)trp_fail(&p->error, TRP_INVALID_ARGUMENT, "a header field without a name");
    return -1;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct trp_http1 *p = self(parser);
    if (p->head_done)
        return 0;
    if (!p->has_name)
        return refuse_nameless(p);
    trp_head_add_value(p->head, at, len);
    return trp_failed(trp_head_check(p->head, &p->error)) ? -1 : 0;
}

static int on_value_complete(llhttp_t *parser)
{
    struct trp_http1 *p = self(parser);
    if (!p->has_name && !p->head_done)
        return refuse_nameless(p);
    p->has_name = false;
    return 0;
}

static trp_status check_framing(struct trp_http1 *p)
{
    const struct trp_head *h = p->head;
    const struct trp_str coding = trp_head_get(h, TRP_HEADER_TRANSFER_ENCODING);
    if (coding.ptr) {
        if (p->request.minor == 0)
            return trp_fail(&p->error, TRP_INVALID_ARGUMENT, "Transfer-Encoding in HTTP/1.0");
        if (trp_head_has(h, TRP_HEADER_CONTENT_LENGTH))
            return trp_fail(&p->error, TRP_INVALID_ARGUMENT,
                            "Content-Length beside Transfer-Encoding");
        if (trp_head_is_repeated(h, TRP_HEADER_TRANSFER_ENCODING) ||
            !trp_str_is_equal_nocase(coding, TRP_STR_LIT("chunked")))
            return trp_fail(&p->error, TRP_UNIMPLEMENTED,
                            "transfer coding '%.*s'; only 'chunked' is supported", TRP_STR(coding));
    }
    if (trp_head_is_repeated(h, TRP_HEADER_CONTENT_LENGTH))
        return trp_fail(&p->error, TRP_INVALID_ARGUMENT, "more than one Content-Length");
    if (trp_head_has(h, TRP_HEADER_CONTENT_LENGTH) &&
        !trp_str_parse_u64(trp_head_get(h, TRP_HEADER_CONTENT_LENGTH), &p->request.content_length))
        return trp_fail(&p->error, TRP_INVALID_ARGUMENT, "Content-Length '%.*s' is no number",
                        TRP_STR(trp_head_get(h, TRP_HEADER_CONTENT_LENGTH)));
    return trp_ok();
}

static trp_status check_head(struct trp_http1 *p)
{
    const struct trp_head *h = p->head;
    if (p->parser.http_major != 1)
        return trp_fail(&p->error, TRP_VERSION_NOT_SUPPORTED,
                        "HTTP/%u.%u; HTTP/1.0, HTTP/1.1 and HTTP/2 are supported",
                        p->parser.http_major, p->parser.http_minor);
    if (p->parser.method == HTTP_TRACE || p->parser.method == HTTP_CONNECT)
        return trp_fail(&p->error, TRP_METHOD_NOT_ALLOWED, "method %.*s is not served",
                        TRP_STR(h->method));
    TRP_CHECK(trp_head_seal(p->head, &p->error));
    if (trp_str_is(h->path, "*") && p->parser.method != HTTP_OPTIONS)
        return trp_fail(&p->error, TRP_INVALID_ARGUMENT, "target '*' is for OPTIONS only");
    if (trp_head_is_repeated(h, TRP_HEADER_HOST))
        return trp_fail(&p->error, TRP_INVALID_ARGUMENT, "more than one Host");
    if (p->request.minor >= 1 && !trp_head_has(h, TRP_HEADER_HOST))
        return trp_fail(&p->error, TRP_INVALID_ARGUMENT, "no Host in an HTTP/1.1 request");
    TRP_CHECK(check_framing(p));
    const struct trp_str expect = trp_head_get(h, TRP_HEADER_EXPECT);
    if (!expect.ptr || p->request.minor == 0)
        return trp_ok();
    if (!trp_str_is_equal_nocase(expect, TRP_STR_LIT("100-continue")))
        return trp_fail(&p->error, TRP_EXPECTATION_FAILED, "expectation '%.*s' is not supported",
                        TRP_STR(expect));
    p->request.is_expected = true;
    return trp_ok();
}

static int on_headers_complete(llhttp_t *parser)
{
    struct trp_http1 *p = self(parser);
    p->head_done = true;
    p->head->method = trp_str_of(llhttp_method_name((llhttp_method_t)parser->method));
    p->request = (struct trp_http1_request){
        .minor = parser->http_minor,
        .keep_alive = llhttp_should_keep_alive(parser) != 0,
        .is_chunked = (parser->flags & F_CHUNKED) != 0,
    };
    if (trp_failed(check_head(p)))
        return -1;
    parser->upgrade = 0; /* an offer that we do not take up: the request stands as it is */
    p->event = TRP_HTTP1_HEAD;
    return HPE_PAUSED;
}

/* RFC 9112 section 2.2: a recipient may read a bare LF as a line end; who does and who does not is
 * what smuggling is made of.  Section 5.2: obs-fold must be refused or replaced. */
static trp_status check_lines(struct trp_http1 *p, const char *end)
{
    const char *at = p->seen;
    p->seen = end;
    p->outside += (size_t)(end - at);
    char last = p->last;
    while (at < end) {
        const bool after_line = last == '\n', after_cr = last == '\r';
        if ((*at == '\n') != after_cr)
            return trp_fail(&p->error, TRP_INVALID_ARGUMENT, "CR and LF must stand together");
        if (after_line && (*at == ' ' || *at == '\t'))
            return trp_fail(&p->error, TRP_INVALID_ARGUMENT,
                            "a header line begins with white space");
        if (*at != '\r' && *at != '\n') { /* to the next line end */
            const size_t left = (size_t)(end - at);
            const char *lf = memchr(at, '\n', left);
            const char *cr = memchr(at, '\r', lf ? (size_t)(lf - at) : left);
            at = cr ? cr : lf ? lf : end;
            last = at[-1];
            continue;
        }
        last = *at++;
    }
    p->last = last;
    if (p->outside > p->head->text.max * 2)
        return trp_fail_limit(&p->error, TRP_HEADERS_TOO_LARGE, TRP_LIMIT_HEADER,
                              "more than %zu bytes outside the body", p->head->text.max * 2);
    return trp_ok();
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct trp_http1 *p = self(parser);
    if (trp_failed(check_lines(p, at)))
        return -1;
    p->seen = at + len;
    p->last = 0;
    p->outside = 0;
    p->body = trp_str_make(at, len);
    p->event = TRP_HTTP1_BODY;
    return HPE_PAUSED;
}

static int on_message_complete(llhttp_t *parser)
{
    self(parser)->event = TRP_HTTP1_END;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

static void start_over(struct trp_http1 *p)
{
    llhttp_init(&p->parser, HTTP_REQUEST, &settings);
    p->parser.data = p;
}

trp_status trp_http1_create(const struct trp_alloc *alloc, struct trp_http1 **out_parser,
                            struct trp_error *err)
{
    *out_parser = NULL;
    struct trp_http1 *p = trp_alloc_zeroed(alloc, 1, sizeof *p);
    if (!p)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "HTTP/1 parser");
    p->alloc = alloc;
    start_over(p);
    *out_parser = p;
    return trp_ok();
}

void trp_http1_destroy(struct trp_http1 *p)
{
    if (p)
        trp_alloc_free(p->alloc, p);
}

void trp_http1_begin(struct trp_http1 *p, struct trp_head *head)
{
    trp_head_reset(head);
    p->head = head;
    p->head_done = p->has_name = false;
    p->outside = 0;
    p->last = 0;
    p->error.status = trp_ok();
}

const struct trp_http1_request *trp_http1_request(const struct trp_http1 *p)
{
    return &p->request;
}

/* llhttp's reason in our code and words; a callback's own comes first, then a line end that is
 * none, which llhttp's versions give different names. */
static trp_status explain(struct trp_http1 *p, llhttp_errno_t code, struct trp_str in,
                          struct trp_error *err)
{
    const char *const at = llhttp_get_error_pos(&p->parser), *const end = in.ptr + in.len;
    if (!trp_failed(p->error.status) && at && at >= p->seen)
        (void)check_lines(p, at < end ? at + 1 : end); /* the byte that it stumbled over, too */
    if (trp_failed(p->error.status)) {
        if (err)
            *err = p->error;
        return p->error.status;
    }
    const char *reason = llhttp_get_error_reason(&p->parser);
    if (code == HPE_INVALID_VERSION)
        return trp_fail(err, TRP_VERSION_NOT_SUPPORTED, "malformed or unsupported HTTP version");
    return trp_fail(err, TRP_INVALID_ARGUMENT, "malformed request: %s",
                    reason && *reason ? reason : llhttp_errno_name(code));
}

trp_status trp_http1_feed(struct trp_http1 *p, struct trp_str in, struct trp_http1_step *step,
                          struct trp_error *err)
{
    *step = (struct trp_http1_step){ .event = TRP_HTTP1_MORE };
    p->event = TRP_HTTP1_MORE;
    p->seen = in.ptr;
    const llhttp_errno_t code = llhttp_execute(&p->parser, in.ptr, in.len);
    if (code != HPE_OK && code != HPE_PAUSED)
        return explain(p, code, in, err);
    step->used = code == HPE_OK ? in.len : (size_t)(llhttp_get_error_pos(&p->parser) - in.ptr);
    if (in.ptr + step->used > p->seen && trp_failed(check_lines(p, in.ptr + step->used)))
        return explain(p, HPE_STRICT, in, err);
    step->event = p->event;
    step->body = p->body;
    if (code == HPE_PAUSED)
        llhttp_resume(&p->parser);
    if (p->event == TRP_HTTP1_END || (p->event == TRP_HTTP1_HEAD && !p->request.is_chunked))
        start_over(p);
    return trp_ok();
}

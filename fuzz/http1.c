/* fuzz/http1.c - the HTTP/1 parser: any bytes, cut in two ways, must give the same messages. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/http1.h"

/* What a reading saw, as a hash of its events. */
struct account {
    uint64_t hash;
    int32_t code;
};

static void note(struct account *a, const void *ptr, size_t len)
{
    const unsigned char *bytes = ptr;
    for (size_t i = 0; i < len; i++)
        a->hash = (a->hash ^ bytes[i]) * UINT64_C(0x100000001b3);
}

static void note_head(struct account *a, const struct trp_head *head)
{
    note(a, head->path.ptr, head->path.len);
    for (uint32_t i = 0; i < head->headers_n; i++) {
        note(a, head->headers[i].name.ptr, head->headers[i].name.len);
        note(a, ":", 1);
        note(a, head->headers[i].value.ptr, head->headers[i].value.len);
        note(a, "\n", 1);
    }
}

/* Reads messages until the input ends or is refused; `step` bytes at a time. */
static struct account read_all(const uint8_t *data, size_t size, size_t step)
{
    struct account a = { .hash = 1 };
    struct trp_head head;
    struct trp_http1 *p = NULL;
    trp_head_init(&head, trp_heap(), 512, 8);
    if (trp_failed(trp_http1_create(trp_heap(), &p, NULL)))
        abort();
    trp_http1_begin(p, &head);
    for (size_t at = 0; at < size && a.code == TRP_OK;) {
        const size_t n = size - at < step ? size - at : step;
        char *exact = malloc(n);
        struct trp_http1_step got;
        memcpy(exact, data + at, n);
        a.code = trp_http1_feed(p, trp_str_make(exact, n), &got, NULL).code;
        if (a.code == TRP_OK && got.used > n)
            abort();
        if (a.code == TRP_OK && got.event == TRP_HTTP1_BODY)
            note(&a, got.body.ptr, got.body.len);
        free(exact);
        if (a.code != TRP_OK)
            break;
        at += got.used;
        bool is_over = got.event == TRP_HTTP1_END;
        if (got.event == TRP_HTTP1_HEAD) {
            const struct trp_http1_request *r = trp_http1_request(p);
            note_head(&a, &head);
            is_over = !r->is_chunked;
            at += r->is_chunked                   ? 0
                  : r->content_length < size - at ? (size_t)r->content_length
                                                  : size - at;
        }
        if (is_over) {
            note(&a, ";", 1);
            trp_http1_begin(p, &head);
        }
    }
    trp_http1_destroy(p);
    trp_head_deinit(&head);
    return a;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct account whole = read_all(data, size, size ? size : 1);
    const struct account bytes = read_all(data, size, 1);
    const struct account pieces = read_all(data, size, 7);
    if ((whole.code == TRP_OK) != (bytes.code == TRP_OK) ||
        (whole.code == TRP_OK) != (pieces.code == TRP_OK))
        abort();
    if (whole.code == TRP_OK && (whole.hash != bytes.hash || whole.hash != pieces.hash))
        abort();
    return 0;
}

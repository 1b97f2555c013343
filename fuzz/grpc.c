/* fuzz/grpc.c - gRPC's framing: any bytes, cut in two ways, must give the same messages;
 * timeouts and coding lists too. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/accept.h"
#include "wire/grpc.h"

static uint64_t read_all(const uint8_t *data, size_t size, size_t step, int32_t *out_code)
{
    struct trp_grpc_reader r = { 0 };
    uint64_t hash = 1;
    *out_code = TRP_OK;
    for (size_t at = 0; at < size;) {
        const size_t n = size - at < step ? size - at : step;
        struct trp_str in = trp_str_make((const char *)data + at, n);
        at += n;
        for (;;) {
            enum trp_grpc_event event;
            struct trp_str got;
            *out_code = trp_grpc_read(&r, &in, &event, &got, NULL).code;
            if (*out_code != TRP_OK)
                return hash;
            for (size_t i = 0; i < got.len; i++)
                hash = (hash ^ (uint8_t)got.ptr[i]) * UINT64_C(0x100000001b3);
            if (event == TRP_GRPC_BEGIN)
                hash += r.length * 31u + r.is_compressed;
            if (event == TRP_GRPC_END)
                hash = hash * 7 + 1;
            if (event == TRP_GRPC_MORE)
                break;
        }
    }
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct trp_str text = trp_str_make((const char *)data, size);
    int32_t whole_code, bytes_code;
    const uint64_t whole = read_all(data, size, size ? size : 1, &whole_code);
    const uint64_t bytes = read_all(data, size, 1, &bytes_code);
    if (whole_code != bytes_code || whole != bytes)
        abort();
    int64_t ns = 0;
    if (!trp_failed(trp_grpc_parse_timeout(text, &ns, NULL)) && ns < 0)
        abort();
    (void)trp_grpc_is_content_type(text);
    if (trp_accept_coding(text) >= TRP_CODING_UNKNOWN)
        abort();
    struct trp_buf out;
    trp_buf_init(&out, trp_heap(), 1 << 20);
    trp_grpc_encode_message(text, &out);
    for (size_t i = 0; i < out.len; i++)
        if (out.ptr[i] < 0x20 || out.ptr[i] > 0x7e)
            abort();
    trp_buf_deinit(&out);
    return 0;
}

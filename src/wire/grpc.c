#include "wire/grpc.h"

static void read_prefix(struct trp_grpc_reader *r, struct trp_str *in)
{
    while (r->prefix_n < TRP_GRPC_PREFIX && in->len) {
        r->prefix[r->prefix_n++] = (uint8_t)*in->ptr++;
        in->len--;
    }
}

static trp_status begin(struct trp_grpc_reader *r, struct trp_error *err)
{
    if (r->prefix[0] > 1)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "gRPC frame with flag %u", r->prefix[0]);
    r->is_compressed = r->prefix[0] == 1;
    r->length = (uint32_t)r->prefix[1] << 24 | (uint32_t)r->prefix[2] << 16 |
                (uint32_t)r->prefix[3] << 8 | (uint32_t)r->prefix[4];
    r->left = r->length;
    r->in_message = true;
    r->prefix_n = 0;
    return trp_ok();
}

trp_status trp_grpc_read(struct trp_grpc_reader *r, struct trp_str *in,
                         enum trp_grpc_event *out_event, struct trp_str *out_data,
                         struct trp_error *err)
{
    *out_data = (struct trp_str){ 0 };
    *out_event = TRP_GRPC_MORE;
    if (!r->in_message) {
        read_prefix(r, in);
        if (r->prefix_n < TRP_GRPC_PREFIX)
            return trp_ok();
        TRP_CHECK(begin(r, err));
        *out_event = TRP_GRPC_BEGIN;
        return trp_ok();
    }
    if (r->left == 0) {
        r->in_message = false;
        *out_event = TRP_GRPC_END;
        return trp_ok();
    }
    if (in->len == 0)
        return trp_ok();
    const uint32_t n = in->len < r->left ? (uint32_t)in->len : r->left;
    *out_data = trp_str_make(in->ptr, n);
    in->ptr += n;
    in->len -= n;
    r->left -= n;
    *out_event = TRP_GRPC_DATA;
    return trp_ok();
}

void trp_grpc_write_prefix(bool is_compressed, uint32_t length, char out[TRP_GRPC_PREFIX])
{
    out[0] = is_compressed ? 1 : 0;
    out[1] = (char)(length >> 24);
    out[2] = (char)(length >> 16 & 0xff);
    out[3] = (char)(length >> 8 & 0xff);
    out[4] = (char)(length & 0xff);
}

bool trp_grpc_is_content_type(struct trp_str content_type)
{
    const struct trp_str grpc = TRP_STR_LIT("application/grpc");
    if (trp_str_is_equal(content_type, grpc))
        return true; /* what nearly all of them say */
    if (content_type.len < grpc.len ||
        !trp_str_is_equal_nocase(trp_str_make(content_type.ptr, grpc.len), grpc))
        return false;
    if (content_type.len == grpc.len)
        return true;
    const char next = content_type.ptr[grpc.len];
    return next == '+' || next == ';' || next == ' ';
}

trp_status trp_grpc_parse_timeout(struct trp_str text, int64_t *out_ns, struct trp_error *err)
{
    uint64_t n = 0;
    if (text.len < 2 || text.len > 9 ||
        !trp_str_parse_u64(trp_str_make(text.ptr, text.len - 1), &n))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "grpc-timeout '%.*s' is not digits and a unit",
                        TRP_STR(text));
    int64_t unit_ns = 0;
    switch (text.ptr[text.len - 1]) {
    case 'n':
        unit_ns = 1;
        break;
    case 'u':
        unit_ns = 1000;
        break;
    case 'm':
        unit_ns = 1000000;
        break;
    case 'S':
        unit_ns = 1000000000;
        break;
    case 'M':
        unit_ns = 60 * INT64_C(1000000000);
        break;
    case 'H':
        unit_ns = 3600 * INT64_C(1000000000);
        break;
    default:
        return trp_fail(err, TRP_INVALID_ARGUMENT, "grpc-timeout '%.*s' has an unknown unit",
                        TRP_STR(text));
    }
    if (__builtin_mul_overflow((int64_t)n, unit_ns, out_ns))
        *out_ns = INT64_MAX;
    return trp_ok();
}

void trp_grpc_encode_message(struct trp_str words, struct trp_buf *out)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < words.len; i++) {
        const unsigned char c = (unsigned char)words.ptr[i];
        if (c >= 0x20 && c <= 0x7e && c != '%') {
            trp_buf_add_char(out, (char)c);
            continue;
        }
        const char escaped[3] = { '%', hex[c >> 4], hex[c & 15] };
        trp_buf_add(out, escaped, sizeof escaped);
    }
}

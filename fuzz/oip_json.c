/* fuzz/oip_json.c - an HTTP infer body: [2 bytes: where the JSON ends | body]. Whatever is accepted
 * must hold what it says: byte counts that fit shape and dtype, views inside the body or memory
 * with a lender; and it must be answerable. */
#include "oip_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct oip_fuzz *const f = oip_fuzz_open();
    struct trp_call *const call = trp_call_take(f->calls);
    struct trp_error err = { 0 };
    const int64_t split = size >= 2 ? (int64_t)(data[0] | data[1] << 8) - 1 : -1;
    const struct trp_str body =
        size >= 2 ? trp_str_make((const char *)data + 2, size - 2) : trp_str_make("", 0);
    const bool is_explained = body.len % 2 == 1;
    const trp_status st = (is_explained ? trp_oip_decode_explained : trp_oip_decode_http)(
        &f->codec, call, body, false, split, &err);
    TRP_ASSERT(st.code == err.status.code);
    TRP_ASSERT(!trp_failed(st) || trp_code_http(st.code) < 500 || st.code == TRP_OUT_OF_MEMORY);
    if (!trp_failed(st)) {
        oip_fuzz_check(call, body);
        oip_fuzz_echo(f, call);
    }
    trp_call_give_back(call);
    oip_fuzz_close(f);
    return 0;
}

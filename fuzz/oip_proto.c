/* fuzz/oip_proto.c - a ModelInferRequest.  What is accepted must hold what it says and be
 * answerable; the offset of the first raw payload that is found in any beginning of the message is
 * the one found in the whole. */
#include "oip_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct oip_fuzz *const f = oip_fuzz_open();
    struct trp_call *const call = trp_call_take(f->calls);
    struct trp_error err = { 0 };
    const struct trp_str bytes = trp_str_make((const char *)data, size);
    const int64_t offset = trp_oip_raw_offset(bytes);
    const int64_t early = trp_oip_raw_offset(trp_str_make((const char *)data, size / 2));
    TRP_ASSERT(offset <= (int64_t)size);
    TRP_ASSERT(early == -1 || early == offset);
    const trp_status st = trp_oip_decode_grpc(&f->codec, call, bytes, &err);
    TRP_ASSERT(st.code == err.status.code);
    TRP_ASSERT(!trp_failed(st) || trp_code_http(st.code) < 500 || st.code == TRP_OUT_OF_MEMORY);
    if (!trp_failed(st)) {
        oip_fuzz_check(call, bytes);
        oip_fuzz_echo(f, call);
    }
    trp_call_give_back(call);
    oip_fuzz_close(f);
    return 0;
}

#include "front/pack.h"

#include "front/front_state.h"

#define ALIGN 16u /* what trp_buf's memory has */

trp_status trp_pack_parts(struct trp_exchange *x, enum trp_coding coding,
                          const struct trp_part *parts, uint32_t parts_n, uint64_t bytes)
{
    trp_buf_reset(&x->packed);
    if (parts_n == 1)
        return trp_coding_pack(coding, trp_str_make(parts[0].ptr, parts[0].len), &x->packed, NULL);
    struct trp_body whole = { 0 };
    TRP_CHECK(trp_body_reserve(&whole, x->front->opts.pool, (size_t)bytes, 0, NULL));
    trp_status st = trp_ok();
    for (uint32_t i = 0; i < parts_n && !trp_failed(st); i++)
        st = trp_body_append(&whole, x->front->opts.pool, trp_str_make(parts[i].ptr, parts[i].len),
                             bytes, NULL);
    if (!trp_failed(st))
        st = trp_coding_pack(coding, trp_str_make(whole.ptr, whole.len), &x->packed, NULL);
    trp_front_count(x->front, TRP_METRIC_BYTES_COPIED, whole.len);
    trp_body_release(&whole);
    return st;
}

trp_status trp_pack_open(struct trp_exchange *x, enum trp_coding coding, uint64_t aligned_at)
{
    static const char zeros[ALIGN];
    const uint64_t limit = x->front->opts.limits.body_bytes;
    const size_t shift = (size_t)((ALIGN - aligned_at % ALIGN) % ALIGN);
    trp_buf_reset(&x->unpacked);
    trp_buf_add(&x->unpacked, zeros, shift);
    TRP_TRY(trp_coding_unpack(coding, x->bytes, &x->unpacked, &x->error), &x->error, "%s body",
            trp_coding_name(coding));
    const size_t len = x->unpacked.len - shift;
    trp_front_count(x->front, TRP_METRIC_BYTES_COPIED, len);
    if (len > limit)
        return trp_fail(&x->error, TRP_TOO_LARGE,
                        "the body is larger than %llu bytes when unpacked (limits.body_bytes)",
                        (unsigned long long)limit);
    x->is_padded = trp_buf_room(&x->unpacked, TRP_JSON_PADDING) != NULL;
    x->unpacked.failed = TRP_OK; /* no room for padding is no failure */
    x->bytes = trp_str_make(x->unpacked.ptr + shift, len);
    trp_body_release(&x->body);
    return trp_ok();
}

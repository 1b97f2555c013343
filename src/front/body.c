#include "front/body.h"

#define FIRST_ROOM 4096u

/* By how much a buffer that lies on a boundary has to be moved for this byte of it to lie on
 * one. */
static size_t shift_of(uint64_t aligned_at)
{
    return (size_t)((TRP_BODY_ALIGN - aligned_at % TRP_BODY_ALIGN) % TRP_BODY_ALIGN);
}

trp_status trp_body_reserve(struct trp_body *b, struct trp_pool *pool, size_t bytes,
                            uint64_t aligned_at, struct trp_error *err)
{
    const size_t shift = shift_of(aligned_at);
    b->lease = trp_pool_acquire(pool, bytes + shift);
    if (!b->lease)
        return trp_fail_limit(err, TRP_OUT_OF_MEMORY, TRP_LIMIT_MEMORY,
                              "no memory for a body of %zu bytes (limits.request_memory)", bytes);
    b->ptr = b->lease->ptr + shift;
    b->room = b->lease->capacity - shift;
    b->len = 0;
    return trp_ok();
}

void trp_body_align(struct trp_body *b, uint64_t aligned_at)
{
    const size_t shift = shift_of((uintptr_t)b->ptr + aligned_at);
    TRP_ASSERT(b->len + shift <= b->room);
    memmove(b->ptr + shift, b->ptr, b->len);
    b->ptr += shift;
    b->room -= shift;
}

static trp_status grow(struct trp_body *b, struct trp_pool *pool, size_t bytes,
                       struct trp_error *err)
{
    const uint64_t shift = b->lease ? (uint64_t)(b->ptr - b->lease->ptr) : 0;
    struct trp_body larger = { .copied_bytes = b->copied_bytes + b->len };
    TRP_CHECK(trp_body_reserve(&larger, pool, bytes, TRP_BODY_ALIGN - shift, err));
    if (b->len)
        memcpy(larger.ptr, b->ptr, b->len);
    larger.len = b->len;
    trp_lease_release(b->lease);
    *b = larger;
    return trp_ok();
}

trp_status trp_body_append(struct trp_body *b, struct trp_pool *pool, struct trp_str bytes,
                           uint64_t bytes_max, struct trp_error *err)
{
    if (bytes.len > bytes_max || b->len > bytes_max - bytes.len)
        return trp_fail_limit(err, TRP_TOO_LARGE, TRP_LIMIT_BODY,
                              "the body is larger than %llu bytes (limits.body_bytes)",
                              (unsigned long long)bytes_max);
    if (b->len + bytes.len > b->room) {
        size_t room = b->room ? b->room * 2 : FIRST_ROOM;
        while (room < b->len + bytes.len)
            room *= 2;
        TRP_CHECK(grow(b, pool, room, err));
    }
    if (bytes.len)
        memcpy(b->ptr + b->len, bytes.ptr, bytes.len);
    b->len += bytes.len;
    b->copied_bytes += bytes.len;
    return trp_ok();
}

void trp_body_release(struct trp_body *b)
{
    trp_lease_release(b->lease);
    *b = (struct trp_body){ 0 };
}

struct trp_lease *trp_body_take_lease(struct trp_body *b)
{
    struct trp_lease *lease = b->lease;
    b->lease = NULL;
    return lease;
}

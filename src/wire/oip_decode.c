/* wire/oip_decode.c - see oip_decode.h.
 *
 * Whatever is refused here leaves the call in a state that trp_call_give_back() can clean up: an
 * input holds either nothing or memory whose lender is named. */
#include "wire/oip_decode.h"

#include "tensor/dtype.h"
#include "tensor/shape.h"

#define ARENA_BYTES_MAX 512 /* a decoded tensor this small lies in the call's arena */
#define SHOWN_MAX 200       /* bytes of a client's text in a message */
#define NS_PER_US 1000

static int shown(struct trp_str s)
{
    return (int)(s.len < SHOWN_MAX ? s.len : SHOWN_MAX);
}

/* ---- room ---------------------------------------------------------------------------------- */

static trp_status no_memory(struct trp_oip_decoding *d)
{
    return trp_fail(d->err, TRP_OUT_OF_MEMORY, "request: out of memory");
}

static trp_status make(struct trp_oip_decoding *d, size_t n, enum trp_limit limit, size_t size,
                       const char *what, void **out)
{
    const uint32_t max = limit == TRP_LIMIT_PARAMS ? d->codec->params_max : d->codec->tensors_max;
    *out = NULL;
    if (n > max)
        return trp_fail_limit(d->err, TRP_TOO_LARGE, limit,
                              "%zu %s in one request, at most %u are allowed", n, what, max);
    if (n > 0 && !(*out = trp_arena_zeroed(&d->call->arena, n, size)))
        return no_memory(d);
    return trp_ok();
}

trp_status trp_oip_make_inputs(struct trp_oip_decoding *d, size_t n)
{
    void *made = NULL;
    TRP_CHECK(make(d, n, TRP_LIMIT_TENSORS, sizeof *d->call->inputs, "inputs", &made));
    d->call->inputs = made;
    d->call->inputs_n = (uint32_t)n;
    return trp_ok();
}

trp_status trp_oip_make_wanted(struct trp_oip_decoding *d, size_t n)
{
    void *made = NULL;
    TRP_CHECK(make(d, n, TRP_LIMIT_TENSORS, sizeof *d->call->wanted, "outputs", &made));
    d->call->wanted = made;
    d->call->wanted_n = (uint32_t)n;
    d->call->wanted_named = n > 0;
    return trp_ok();
}

trp_status trp_oip_make_params(struct trp_oip_decoding *d, size_t n)
{
    void *made = NULL;
    TRP_CHECK(make(d, n, TRP_LIMIT_PARAMS, sizeof *d->call->params, "parameters", &made));
    d->call->params = made;
    d->call->params_n = 0;
    d->params_room = (uint32_t)n;
    return trp_ok();
}

/* ---- parameters of the request --------------------------------------------------------------- */

enum known {
    SEQUENCE_ID,
    SEQUENCE_START,
    SEQUENCE_END,
    PRIORITY,
    TIMEOUT,
    BINARY_DATA_OUTPUT,
    EMPTY_FINAL_RESPONSE,
    UNKNOWN
};

static enum known find_known(struct trp_str name)
{
    static const char *const names[] = {
        [SEQUENCE_ID] = "sequence_id",
        [SEQUENCE_START] = "sequence_start",
        [SEQUENCE_END] = "sequence_end",
        [PRIORITY] = "priority",
        [TIMEOUT] = "timeout",
        [BINARY_DATA_OUTPUT] = "binary_data_output",
        [EMPTY_FINAL_RESPONSE] = "triton_enable_empty_final_response",
    };
    for (uint32_t i = 0; i < ARRAY_LEN(names); i++)
        if (trp_str_is(name, names[i]))
            return (enum known)i;
    return UNKNOWN;
}

static const char *kind_name(const struct trp_param *p)
{
    switch (p->kind) {
    case TRP_PARAM_BOOL:
        return "a boolean";
    case TRP_PARAM_INT:
        return p->v.i < 0 ? "a negative integer" : "an integer";
    case TRP_PARAM_UINT:
        return "an integer";
    case TRP_PARAM_DOUBLE:
        return "a number with a fraction";
    case TRP_PARAM_STR:
        return "a string";
    }
    return "something else";
}

static trp_status wrong(struct trp_oip_decoding *d, const struct trp_param *p, const char *expected)
{
    return trp_fail(d->err, TRP_INVALID_ARGUMENT,
                    "Unable to parse '%.*s': parameter '%.*s': expected %s, got %s", shown(p->name),
                    p->name.ptr, shown(p->name), p->name.ptr, expected, kind_name(p));
}

static trp_status take_u64(struct trp_oip_decoding *d, const struct trp_param *p, uint64_t *out)
{
    if (p->kind == TRP_PARAM_UINT)
        *out = p->v.u;
    else if (p->kind == TRP_PARAM_INT && p->v.i >= 0)
        *out = (uint64_t)p->v.i;
    else
        return wrong(d, p, "a non-negative integer");
    return trp_ok();
}

static trp_status take_bool(struct trp_oip_decoding *d, const struct trp_param *p, bool *out)
{
    if (p->kind != TRP_PARAM_BOOL)
        return wrong(d, p, "a boolean");
    *out = p->v.b;
    return trp_ok();
}

/* `timeout` counts from the request's arrival; 0 means none, and a deadline that came with the
 * protocol stays when it is the earlier one. */
static trp_status take_timeout(struct trp_oip_decoding *d, const struct trp_param *p)
{
    uint64_t us = 0;
    TRP_CHECK(take_u64(d, p, &us));
    struct trp_call *const call = d->call;
    const int64_t arrived = call->stamps_ns[TRP_PHASE_ARRIVED];
    if (us == 0)
        return trp_ok();
    const uint64_t room = (uint64_t)(INT64_MAX - (arrived > 0 ? arrived : 0)) / NS_PER_US;
    const int64_t deadline = us < room ? arrived + (int64_t)us * NS_PER_US : INT64_MAX;
    if (call->deadline_ns == 0 || deadline < call->deadline_ns)
        call->deadline_ns = deadline;
    return trp_ok();
}

static trp_status keep(struct trp_oip_decoding *d, const struct trp_param *p)
{
    struct trp_param *const params = (struct trp_param *)d->call->params; /* made here, see above */
    for (uint32_t i = 0; i < d->call->params_n; i++)
        if (trp_str_is_equal(params[i].name, p->name)) {
            params[i] = *p;
            return trp_ok();
        }
    TRP_ASSERT(d->call->params_n < d->params_room);
    params[d->call->params_n++] = *p;
    return trp_ok();
}

trp_status trp_oip_take_param(struct trp_oip_decoding *d, const struct trp_param *p)
{
    struct trp_call *const call = d->call;
    bool flag = false;
    switch (find_known(p->name)) {
    case SEQUENCE_ID:
        if (p->kind != TRP_PARAM_STR)
            return take_u64(d, p, &call->sequence_number);
        call->sequence_text = p->v.s;
        return trp_ok();
    case SEQUENCE_START:
        return take_bool(d, p, &call->sequence_start);
    case SEQUENCE_END:
        return take_bool(d, p, &call->sequence_end);
    case PRIORITY:
        return take_u64(d, p, &call->priority);
    case TIMEOUT:
        return take_timeout(d, p);
    case BINARY_DATA_OUTPUT:
        return take_bool(d, p, &call->binary_default);
    case EMPTY_FINAL_RESPONSE:
        TRP_CHECK(take_bool(d, p, &flag));
        return keep(d, p);
    case UNKNOWN:
        break;
    }
    if (trp_str_starts_with(p->name, TRP_STR_LIT("triton_")))
        return trp_fail(d->err, TRP_INVALID_ARGUMENT,
                        "parameter keys starting with 'triton_' are reserved for Triton usage and "
                        "should not be specified: '%.*s'",
                        shown(p->name), p->name.ptr);
    return keep(d, p);
}

/* ---- parameters of tensors ------------------------------------------------------------------- */

trp_status trp_oip_take_place(struct trp_oip_decoding *d, const struct trp_param *p,
                              struct trp_oip_place *place)
{
    if (trp_str_is(p->name, "binary_data_size")) {
        place->has_size = true;
        return take_u64(d, p, &place->size);
    }
    if (trp_str_is(p->name, "binary_data")) {
        place->has_binary = true;
        return take_bool(d, p, &place->binary);
    }
    if (trp_str_is(p->name, "classification")) {
        place->has_classification = true;
        return take_u64(d, p, &place->classification);
    }
    if (trp_str_is(p->name, "shared_memory_region")) {
        if (p->kind != TRP_PARAM_STR)
            return wrong(d, p, "a string");
        place->region = p->v.s;
        place->has_region = true;
    } else if (trp_str_is(p->name, "shared_memory_offset")) {
        place->has_offset = true;
        return take_u64(d, p, &place->offset);
    } else if (trp_str_is(p->name, "shared_memory_byte_size")) {
        place->has_bytes = true;
        return take_u64(d, p, &place->bytes);
    }
    return trp_ok();
}

static trp_status check_region(struct trp_oip_decoding *d, const struct trp_oip_place *place)
{
    if (place->has_region && place->region.len == 0)
        return trp_fail(d->err, TRP_INVALID_ARGUMENT, "'shared_memory_region' is empty");
    if (place->has_region && !place->has_bytes)
        return trp_fail(d->err, TRP_INVALID_ARGUMENT,
                        "'shared_memory_region' needs 'shared_memory_byte_size'");
    if (!place->has_region && (place->has_bytes || place->has_offset))
        return trp_fail(d->err, TRP_INVALID_ARGUMENT, "'%s' needs 'shared_memory_region'",
                        place->has_bytes ? "shared_memory_byte_size" : "shared_memory_offset");
    return trp_ok();
}

trp_status trp_oip_place_wanted(struct trp_oip_decoding *d, const struct trp_oip_place *place,
                                struct trp_wanted *wanted)
{
    const struct trp_str name = wanted->name;
    TRP_TRY(check_region(d, place), d->err, "output '%.*s'", shown(name), name.ptr);
    if (place->has_region && place->has_classification)
        return trp_fail(d->err, TRP_INVALID_ARGUMENT,
                        "Output can't set both 'shared_memory_region' and 'classification': output "
                        "'%.*s'",
                        shown(name), name.ptr);
    if (place->has_region && place->binary)
        return trp_fail(d->err, TRP_INVALID_ARGUMENT,
                        "Output can't set both 'shared_memory_region' and 'binary_data': output "
                        "'%.*s'",
                        shown(name), name.ptr);
    if (place->has_classification &&
        (place->classification == 0 || place->classification > UINT32_MAX))
        return trp_fail(d->err, TRP_INVALID_ARGUMENT,
                        "output '%.*s': 'classification' is %llu, expected 1 to %u", shown(name),
                        name.ptr, (unsigned long long)place->classification, UINT32_MAX);
    wanted->binary = place->binary;
    wanted->binary_set = place->has_binary;
    wanted->classification = (uint32_t)place->classification;
    wanted->region = place->region;
    wanted->region_offset = place->offset;
    wanted->region_bytes = place->has_region ? place->bytes : 0;
    return trp_ok();
}

trp_status trp_oip_place_input(struct trp_oip_decoding *d, const struct trp_oip_place *place,
                               struct trp_call_tensor *input)
{
    const struct trp_str name = input->name;
    TRP_TRY(check_region(d, place), d->err, "input '%.*s'", shown(name), name.ptr);
    if (!place->has_region)
        return trp_ok();
    TRP_CHECK(trp_oip_expect_bytes(d, input, place->bytes, "shared_memory_byte_size"));
    input->region = place->region;
    input->region_offset = place->offset;
    input->region_bytes = place->bytes;
    input->tensor.bytes = place->bytes;
    return trp_ok();
}

/* ---- sizes ----------------------------------------------------------------------------------- */

trp_status trp_oip_read_dtype(struct trp_oip_decoding *d, struct trp_str name,
                              struct trp_call_tensor *input)
{
    input->tensor.dtype = (int32_t)trp_dtype_parse(name);
    if (input->tensor.dtype != TROUPE_NO_DTYPE)
        return trp_ok();
    return trp_fail(d->err, TRP_INVALID_ARGUMENT,
                    "input '%.*s': unknown datatype '%.*s', expected one of BOOL, UINT8, UINT16, "
                    "UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, FP32, FP64, BF16, BYTES",
                    shown(input->name), input->name.ptr, shown(name), name.ptr);
}

trp_status trp_oip_measure(struct trp_oip_decoding *d, const struct trp_call_tensor *input,
                           uint64_t *out_elements, uint64_t *out_bytes)
{
    const struct troupe_tensor *const t = &input->tensor;
    const bool fixed = t->dtype != TROUPE_BYTES;
    char shape[200];
    *out_bytes = 0;
    if (!trp_shape_elements(t->shape, t->rank, out_elements) ||
        (fixed && !trp_shape_bytes(t->shape, t->rank, t->dtype, out_bytes)))
        return trp_fail(d->err, TRP_INVALID_ARGUMENT,
                        "input '%.*s': shape %s has a negative size or more elements than can be "
                        "counted",
                        shown(input->name), input->name.ptr,
                        trp_shape_format(t->shape, t->rank, shape, sizeof shape));
    return trp_ok();
}

/* Adds to what all inputs take together. */
static trp_status count(struct trp_oip_decoding *d, const struct trp_call_tensor *input,
                        uint64_t bytes)
{
    if (bytes > d->codec->bytes_max - d->bytes) /* the sum never passes the maximum */
        return trp_fail_limit(d->err, TRP_TOO_LARGE, TRP_LIMIT_BODY,
                              "input '%.*s': the inputs hold more than %llu bytes together",
                              shown(input->name), input->name.ptr,
                              (unsigned long long)d->codec->bytes_max);
    d->bytes += bytes;
    return trp_ok();
}

trp_status trp_oip_expect_bytes(struct trp_oip_decoding *d, const struct trp_call_tensor *input,
                                uint64_t bytes, const char *what)
{
    const struct troupe_tensor *const t = &input->tensor;
    uint64_t elements = 0, expected = 0;
    char shape[200];
    TRP_CHECK(trp_oip_measure(d, input, &elements, &expected));
    if (t->dtype != TROUPE_BYTES && bytes != expected)
        return trp_fail(d->err, TRP_INVALID_ARGUMENT,
                        "input '%.*s': '%s' is %llu bytes, but shape %s of %s needs %llu",
                        shown(input->name), input->name.ptr, what, (unsigned long long)bytes,
                        trp_shape_format(t->shape, t->rank, shape, sizeof shape),
                        trp_dtype_name(t->dtype), (unsigned long long)expected);
    return count(d, input, bytes);
}

/* ---- memory ---------------------------------------------------------------------------------- */

trp_status trp_oip_give_memory(struct trp_oip_decoding *d, struct trp_call_tensor *input,
                               uint64_t bytes)
{
    struct troupe_tensor *const t = &input->tensor;
    input->account = d->codec->account;
    if (bytes <= ARENA_BYTES_MAX) {
        t->data = trp_arena_get(&d->call->arena, bytes > 0 ? (size_t)bytes : 1);
    } else {
        struct trp_lease *const lease = trp_pool_acquire(d->codec->pool, (size_t)bytes);
        if (!lease)
            return trp_fail(d->err, TRP_OUT_OF_MEMORY,
                            "input '%.*s': no memory for %llu bytes of request data",
                            shown(input->name), input->name.ptr, (unsigned long long)bytes);
        t->data = lease->ptr;
        t->release = trp_lease_release_tensor;
        t->release_user = lease;
    }
    if (!t->data)
        return no_memory(d);
    t->bytes = bytes;
    return trp_ok();
}

trp_status trp_oip_give_view(struct trp_oip_decoding *d, struct trp_call_tensor *input,
                             const void *ptr, uint64_t bytes)
{
    struct troupe_tensor *const t = &input->tensor;
    const uint32_t width = trp_dtype_bytes(t->dtype); /* 0: BYTES, read byte by byte */
    if (bytes == 0)
        return trp_oip_give_memory(d, input, 0); /* an address that is not NULL */
    if (width > 1 && ((uintptr_t)ptr & (width - 1)) != 0) {
        TRP_CHECK(trp_oip_give_memory(d, input, bytes));
        memcpy(t->data, ptr, (size_t)bytes);
        d->codec->copied_bytes += bytes;
        return trp_ok();
    }
    input->account = d->codec->account;
    t->data =
        (void *)(uintptr_t)ptr; /* inputs are never written; troupe_tensor serves outputs too */
    t->bytes = bytes;
    if (d->call->body) {
        trp_lease_ref(d->call->body);
        t->release = trp_lease_release_tensor;
        t->release_user = d->call->body;
    }
    return trp_ok();
}

/* front/infer.c - the infer path, the same for REST, gRPC and streams.
 *
 *   bytes -> decode -> find -> regions -> bind -> start ... done -> encode -> answer ... written ->
 *   statistics, trace
 *
 * The call outlives the answer when time was up first: whoever runs it still writes to its memory,
 * so the exchange keeps it until `done`, and says nothing more. */
#include "front/infer.h"

#include "call/call_child.h"
#include "call/call_trace.h"
#include "call/target.h"
#include "front/conn.h"
#include "tensor/dtype.h"

static void fail_call(struct trp_exchange *x)
{
    x->call->error = x->error; /* for the statistics of the target */
    x->ops->answer(x);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(const char *text, uint8_t *out, size_t bytes)
{
    bool is_zero = true;
    for (size_t i = 0; i < bytes; i++) {
        const int high = hex_digit(text[i * 2]), low = hex_digit(text[i * 2 + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
        is_zero = is_zero && out[i] == 0;
    }
    return !is_zero;
}

/* W3C trace context, version 00; a malformed one is ignored, as the recommendation asks. */
static void read_trace_context(struct trp_call *call, struct trp_str text)
{
    enum { LENGTH = 55 };
    uint8_t trace_id[16], parent_id[8], version = 0, flags = 0;
    if (text.len < LENGTH || text.ptr[2] != '-' || text.ptr[35] != '-' || text.ptr[52] != '-')
        return;
    (void)parse_hex(text.ptr, &version, 1);
    if (version == 0xff || !parse_hex(text.ptr + 3, trace_id, 16) ||
        !parse_hex(text.ptr + 36, parent_id, 8))
        return;
    (void)parse_hex(text.ptr + 53, &flags, 1);
    memcpy(call->trace_context.trace_id, trace_id, sizeof trace_id);
    memcpy(call->trace_context.parent_id, parent_id, sizeof parent_id);
    call->trace_context.flags = flags;
}

static int64_t earlier(int64_t a_ns, int64_t b_ns)
{
    if (a_ns == 0 || b_ns == 0)
        return a_ns ? a_ns : b_ns;
    return a_ns < b_ns ? a_ns : b_ns;
}

static bool parse_timeout(struct trp_str text, int64_t *out_ns)
{
    uint64_t ms = 0;
    if (!trp_str_parse_u64(text, &ms) || ms == 0 || ms > INT64_MAX / 2000000)
        return false;
    *out_ns = TRP_MS((int64_t)ms);
    return true;
}

static trp_status read_timeout(struct trp_exchange *x)
{
    const struct trp_str text = trp_head_get(&x->head, TRP_HEADER_TIMEOUT);
    int64_t timeout_ns = 0;
    if (!text.ptr)
        return trp_ok();
    if (!parse_timeout(text, &timeout_ns))
        return trp_fail(&x->error, TRP_INVALID_ARGUMENT,
                        "troupe-timeout-ms '%.*s' is no number of milliseconds >= 1",
                        TRP_STR(text));
    if (!x->grpc.is_stream)
        x->deadline_ns = earlier(x->deadline_ns, x->arrived_ns + timeout_ns);
    return trp_ok();
}

/* A class by its name, or a number, which names none.  False: neither. */
static bool parse_priority(struct trp_str text, enum trp_priority_class *out_class,
                           bool *out_is_named, uint64_t *out_number)
{
    static const char *const names[] = {
        [TRP_PRIORITY_NORMAL] = "normal",
        [TRP_PRIORITY_INTERACTIVE] = "interactive",
        [TRP_PRIORITY_BATCH] = "batch",
    };
    for (uint32_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!trp_str_is_equal_nocase(text, trp_str_of(names[i])))
            continue;
        *out_class = (enum trp_priority_class)i;
        *out_is_named = true;
        return true;
    }
    return trp_str_parse_u64(text, out_number);
}

trp_status trp_infer_read_urgency(struct trp_exchange *x)
{
    const struct trp_str text = trp_head_get(&x->head, TRP_HEADER_PRIORITY);
    enum trp_priority_class class;
    bool is_named;
    uint64_t number;
    TRP_CHECK(read_timeout(x));
    if (text.ptr && !parse_priority(text, &class, &is_named, &number))
        return trp_fail(&x->error, TRP_INVALID_ARGUMENT,
                        "troupe-priority '%.*s' is not interactive, normal, batch or a number",
                        TRP_STR(text));
    return trp_ok();
}

/* What the header says about the call; a message of a stream has its stream's. */
static void read_context(struct trp_exchange *x, struct trp_call *call)
{
    const struct trp_head *head = x->parent ? &x->parent->head : &x->head;
    call->protocol = x->protocol;
    call->headers = head->headers;
    call->headers_n = head->headers_n;
    call->stamps_ns[TRP_PHASE_ARRIVED] = x->arrived_ns;
    call->stamps_ns[TRP_PHASE_RECEIVED] = trp_front_now_ns(x->front);
    call->deadline_ns = x->deadline_ns;
    int64_t timeout_ns;
    if (x->parent && parse_timeout(trp_head_get(head, TRP_HEADER_TIMEOUT), &timeout_ns))
        call->deadline_ns = earlier(call->deadline_ns, x->arrived_ns + timeout_ns);
    if (trp_head_has(head, TRP_HEADER_TENANT))
        call->tenant = trp_head_get(head, TRP_HEADER_TENANT);
    if (trp_head_has(head, TRP_HEADER_PRIORITY))
        (void)parse_priority(trp_head_get(head, TRP_HEADER_PRIORITY), &call->priority_class,
                             &call->is_class_named, &call->priority); /* it was looked at before */
    if (trp_head_has(head, TRP_HEADER_TRACEPARENT))
        read_trace_context(call, trp_head_get(head, TRP_HEADER_TRACEPARENT));
}

static trp_status decode(struct trp_exchange *x, struct trp_call *call)
{
    struct trp_front *f = x->front;
    trp_status st;
    if (x->protocol == TRP_PROTOCOL_GRPC) {
        st = trp_oip_decode_grpc(&f->codec, call, x->bytes, &x->error);
    } else {
        call->model = x->route.model;
        call->version = x->route.version;
        st = (x->route.kind == TRP_ROUTE_EXPLAIN ? trp_oip_decode_explained : trp_oip_decode_http)(
            &f->codec, call, x->bytes, x->is_padded, x->json_bytes, &x->error);
    }
    trp_front_count(f, TRP_METRIC_BYTES_COPIED, f->codec.copied_bytes);
    f->codec.copied_bytes = 0;
    call->stamps_ns[TRP_PHASE_DECODED] = trp_loop_clock_ns(f->loop);
    return st;
}

static trp_status find_target(struct trp_exchange *x, struct trp_call *call)
{
    const struct trp_handlers *h = &x->front->opts.handlers;
    struct trp_target *target = NULL;
    void (*release)(struct trp_target *) = NULL;
    const struct trp_sought sought = { call->model, call->version, call };
    TRP_CHECK(h->find(h->user, x->front->opts.loop_index, &sought, &target, &release, &x->error));
    trp_call_pin(call, target, release);
    return trp_ok();
}

/* Backends are promised elements at their alignment, and strings whose lengths were checked: an
 * offset may be odd, and a client may change a length after we have looked at it. */
static bool is_safe_in_place(const struct troupe_tensor *t)
{
    const uint32_t width = trp_dtype_bytes(t->dtype);
    if (t->dtype == TROUPE_BYTES)
        return t->bytes == 0;
    return width <= 1 || (uintptr_t)t->data % width == 0;
}

static void free_copy(void *alloc, void *copy)
{
    trp_alloc_free(alloc, copy);
}

/* The region is let go; the request's own memory takes its place. */
static trp_status copy_input(struct trp_exchange *x, struct trp_call_tensor *in)
{
    struct troupe_tensor *t = &in->tensor;
    const struct trp_alloc *alloc = x->front->opts.requests;
    void *copy = trp_alloc_aligned(alloc, t->bytes, TRP_BODY_ALIGN);
    if (!copy)
        return trp_fail_limit(&x->error, TRP_OUT_OF_MEMORY, TRP_LIMIT_MEMORY,
                              "input '%.*s': no memory for %llu bytes (limits.request_memory)",
                              TRP_STR(in->name), (unsigned long long)t->bytes);
    memcpy(copy, t->data, t->bytes);
    trp_front_count(x->front, TRP_METRIC_BYTES_COPIED, t->bytes);
    t->release(t->release_user, t->data);
    t->data = copy;
    t->release = free_copy;
    t->release_user = (void *)(uintptr_t)alloc;
    return trp_ok();
}

static trp_status map_input(struct trp_exchange *x, struct trp_call_tensor *in)
{
    const struct trp_handlers *h = &x->front->opts.handlers;
    void *hold = NULL;
    TRP_TRY(h->region(h->user, in->region, in->region_offset, in->region_bytes, &in->tensor.data,
                      &hold, &x->error),
            &x->error, "input '%.*s'", TRP_STR(in->name));
    in->tensor.bytes = in->region_bytes;
    in->tensor.release = h->region_release;
    in->tensor.release_user = hold;
    return is_safe_in_place(&in->tensor) ? trp_ok() : copy_input(x, in);
}

/* Tensors in shared memory become pointers that hold their region. */
static trp_status map_regions(struct trp_exchange *x, struct trp_call *call)
{
    const struct trp_handlers *h = &x->front->opts.handlers;
    for (uint32_t i = 0; i < call->inputs_n; i++)
        if (call->inputs[i].region.len > 0)
            TRP_CHECK(map_input(x, &call->inputs[i]));
    for (uint32_t i = 0; i < call->wanted_n; i++) {
        struct trp_wanted *out = &call->wanted[i];
        if (out->region.len == 0)
            continue;
        TRP_TRY(h->region(h->user, out->region, out->region_offset, out->region_bytes, &out->memory,
                          &out->hold, &x->error),
                &x->error, "output '%.*s'", TRP_STR(out->name));
        out->memory_bytes = out->region_bytes;
        out->hold_release = h->region_release;
    }
    return trp_ok();
}

/* The last of its children has ended. */
static void on_free(struct trp_call *call, void *user)
{
    (void)call;
    trp_exchange_settle(user);
}

static void on_done(struct trp_call *call, void *user)
{
    struct trp_exchange *x = user;
    struct trp_front *f = x->front;
    x->is_call_out = false;
    if (trp_failed(call->error.status))
        trp_front_count_error(f, &call->error); /* also when nobody is told any more */
    if (!x->conn || x->is_answered) {
        trp_exchange_settle(x);
        return;
    }
    (void)trp_call_try_done(call);
    if (trp_oneshot_get(&call->outcome) == TRP_OUTCOME_EXPIRED && !trp_failed(call->error.status))
        (void)trp_fail(&call->error, TRP_DEADLINE_EXCEEDED, "deadline exceeded");
    if (trp_failed(call->error.status)) {
        x->error = call->error;
        x->has_run_error = true;
        x->ops->answer(x);
        return;
    }
    trp_buf_reset(&x->reply.text);
    x->reply.parts_n = 0;
    const bool is_stream = x->parent != NULL;
    if (x->protocol == TRP_PROTOCOL_GRPC)
        (void)trp_oip_encode_grpc(&f->codec, call, is_stream, is_stream, &x->reply, &x->error);
    else
        (void)trp_oip_encode_http(&f->codec, call, &x->reply, &x->error);
    call->stamps_ns[TRP_PHASE_ENCODED] = trp_loop_clock_ns(f->loop);
    if (trp_failed(x->error.status))
        call->error = x->error;
    x->ops->answer(x);
}

/* Whoever misspelt a model is told that, and not what else is wrong: other servers of this protocol
 * look the name up first. Here it costs nothing until something is wrong. */
static trp_status prefer_unknown_model(struct trp_exchange *x, const struct trp_call *call)
{
    const struct trp_handlers *h = &x->front->opts.handlers;
    struct trp_target *target = NULL;
    void (*release)(struct trp_target *) = NULL;
    struct trp_error err = { 0 };
    if (call->model.len == 0)
        return x->error.status;
    const struct trp_sought sought = { call->model, call->version, NULL };
    if (trp_failed(h->find(h->user, x->front->opts.loop_index, &sought, &target, &release, &err)))
        x->error = err;
    else if (release)
        release(target);
    return x->error.status;
}

/* What the model says of requests that name no time holds for those that name a later one, too:
 * nobody gets more than its owner gives. */
static void heed_model(struct trp_call *call)
{
    const int64_t end_ns = trp_call_patience_end_ns(call, call->stamps_ns[TRP_PHASE_ARRIVED]);
    call->deadline_ns = earlier(call->deadline_ns, end_ns);
}

static trp_status prepare(struct trp_exchange *x, struct trp_call *call)
{
    if (trp_failed(decode(x, call)))
        return prefer_unknown_model(x, call);
    TRP_CHECK(find_target(x, call));
    heed_model(call);
    TRP_CHECK(map_regions(x, call));
    const struct trp_signature *signature = trp_target_signature(call->target);
    call->is_unbound = !signature; /* it is not loaded: bound when it is started on what is */
    return signature ? trp_call_bind(call, signature, &x->error) : trp_ok();
}

static void refuse_call(struct trp_exchange *x)
{
    struct trp_front *f = x->front;
    (void)trp_exchange_dispatch(x);
    if (trp_call_pool_out(f->calls) >= f->opts.limits.calls_n)
        (void)trp_fail_limit(&x->error, TRP_QUEUE_FULL, TRP_LIMIT_CALLS,
                             "more than %u calls in flight (limits.calls)", f->opts.limits.calls_n);
    else
        (void)trp_fail_limit(&x->error, TRP_OUT_OF_MEMORY, TRP_LIMIT_MEMORY,
                             "no memory for the call (limits.request_memory)");
    x->ops->answer(x);
}

void trp_infer_start(struct trp_exchange *x)
{
    struct trp_front *f = x->front;
    struct trp_call *call = trp_call_take(f->calls);
    if (!call) {
        refuse_call(x);
        return;
    }
    x->call = call;
    call->on_free = on_free;
    call->on_free_user = x;
    call->body = trp_body_take_lease(&x->body);
    read_context(x, call);
    const trp_status st = prepare(x, call);
    /* The header's, the body's (Triton's `timeout`) and the model's: the earliest. */
    x->deadline_ns = call->deadline_ns = earlier(call->deadline_ns, x->deadline_ns);
    const trp_status dispatched = trp_exchange_dispatch(x);
    if (trp_failed(st) || trp_failed(dispatched)) {
        fail_call(x);
        return;
    }
    call->trace = trp_trace_begin(f->opts.trace, call->model, &call->trace_tensors);
    trp_call_push(call, on_done, x);
    x->is_call_out = true;
    trp_target_start(call->target, call);
}

trp_status trp_infer_explain(struct trp_exchange *x)
{
    struct trp_front *f = x->front;
    const struct trp_handlers *h = &f->opts.handlers;
    struct trp_call *call = trp_call_take(f->calls);
    if (!call)
        return trp_fail_limit(&x->error, TRP_QUEUE_FULL, TRP_LIMIT_CALLS,
                              "more than %u calls in flight (limits.calls)",
                              f->opts.limits.calls_n);
    x->call = call; /* given back with the exchange, and counted nowhere: it has no target */
    call->body = trp_body_take_lease(&x->body);
    read_context(x, call);
    if (!h->explain)
        return trp_fail(&x->error, TRP_UNIMPLEMENTED, "there are no routes here");
    TRP_CHECK(decode(x, call));
    TRP_CHECK(map_regions(x, call));
    trp_buf_reset(&x->reply.text);
    return h->explain(h->user, f->opts.loop_index, call, &x->reply.text, &x->error);
}

static void wake_target(struct trp_call *call)
{
    if (call->target && call->target->ops->cancel)
        call->target->ops->cancel(call->target, call);
}

bool trp_infer_cancel(struct trp_exchange *x)
{
    if (!trp_call_try_cancel(x->call))
        return false;
    wake_target(x->call);
    return true;
}

bool trp_infer_expire(struct trp_exchange *x)
{
    if (!trp_call_try_expire(x->call))
        return false;
    wake_target(x->call);
    return true;
}

static void write_trace(struct trp_exchange *x, struct trp_call *call)
{
    const int64_t *at = call->stamps_ns;
    const bool is_grpc = call->protocol == TRP_PROTOCOL_GRPC;
    const struct trp_call_trace_way way = {
        .in = { { is_grpc ? "GRPC_WAITREAD_START" : "HTTP_RECV_START", at[TRP_PHASE_ARRIVED] },
                { is_grpc ? "GRPC_WAITREAD_END" : "HTTP_RECV_END", at[TRP_PHASE_RECEIVED] } },
        .out = { { is_grpc ? "GRPC_SEND_START" : "HTTP_SEND_START", x->answered_ns },
                 { is_grpc ? "GRPC_SEND_END" : "HTTP_SEND_END", at[TRP_PHASE_SENT] } },
    };
    trp_call_trace_write(x->front->opts.trace, call, &way);
}

void trp_infer_end(struct trp_exchange *x)
{
    struct trp_call *call = x->call;
    if (!call)
        return;
    x->call = NULL;
    int64_t *end_ns = &call->stamps_ns[TRP_PHASE_ENCODED];
    if (*end_ns == 0) /* it failed, was late, or nobody waits for it: it took time all the same */
        *end_ns = x->answered_ns ? x->answered_ns : trp_front_now_ns(x->front);
    const struct trp_handlers *h = &x->front->opts.handlers;
    if (call->target) {
        if (h->finished)
            h->finished(h->user, x->front->opts.loop_index, call);
        if (call->trace)
            write_trace(x, call);
    }
    trp_call_give_back(call);
}

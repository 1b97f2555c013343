/* route/route_cast.c - see route_cast.h.
 *
 * Memory is made on the loop and written to by a helper, whose faults it are then.  A helper has
 * copies of what it looks at, but for the tensors, which stay while the call is out. */
#include "route/route_cast.h"

#include <math.h>

#include "base/half.h"
#include "call/call_memory.h"
#include "exec/crew.h"
#include "tensor/dtype.h"
#include "tensor/reduce.h"
#include "tensor/shape.h"

#define AT_ONCE 16384u /* elements between two looks at whether somebody still waits */

/* ---- numbers ---- */

bool trp_route_cast_int(int32_t dtype, int64_t v, void *at)
{
#define HOLD(type, low, high)                      \
    {                                              \
        const type held = (type)v;                 \
        memcpy(at, &held, sizeof held);            \
        return v >= (int64_t)(low) && v <= (high); \
    }
    switch (dtype) {
    case TROUPE_BOOL:
        HOLD(uint8_t, 0, 1)
    case TROUPE_UINT8:
        HOLD(uint8_t, 0, UINT8_MAX)
    case TROUPE_UINT16:
        HOLD(uint16_t, 0, UINT16_MAX)
    case TROUPE_UINT32:
        HOLD(uint32_t, 0, UINT32_MAX)
    case TROUPE_UINT64:
        HOLD(uint64_t, 0, INT64_MAX)
    case TROUPE_INT8:
        HOLD(int8_t, INT8_MIN, INT8_MAX)
    case TROUPE_INT16:
        HOLD(int16_t, INT16_MIN, INT16_MAX)
    case TROUPE_INT32:
        HOLD(int32_t, INT32_MIN, INT32_MAX)
    case TROUPE_INT64:
        HOLD(int64_t, INT64_MIN, INT64_MAX)
    default:
        return false;
    }
#undef HOLD
}

bool trp_route_cast_double(int32_t dtype, double v, void *at)
{
    const float f = (float)v;
    uint16_t h;
    switch (dtype) {
    case TROUPE_FP64:
        memcpy(at, &v, sizeof v);
        return true;
    case TROUPE_FP32:
        memcpy(at, &f, sizeof f);
        return true;
    case TROUPE_FP16:
    case TROUPE_BF16:
        h = dtype == TROUPE_FP16 ? trp_fp16_of(f) : trp_bf16_of(f);
        memcpy(at, &h, sizeof h);
        return true;
    default: /* an integer: only what is one */
        if (!(v >= -9223372036854775808.0 && v < 9223372036854775808.0) || trunc(v) != v)
            return false;
        return trp_route_cast_int(dtype, (int64_t)v, at);
    }
}

/* ---- one tensor ---- */

struct piece {
    struct trp_call_tensor *one;
    struct troupe_tensor from;
    int32_t dtype;
    uint64_t elements;
    void *to;
    uint64_t bytes;
};

struct job { /* in the call's arena */
    struct trp_route_casting how;
    struct trp_call *call;
    bool is_output;
    struct piece *pieces;
    uint32_t pieces_n;
    uint64_t bytes; /* read or written, whatever is more */
    struct trp_error err;
    struct trp_cancel token; /* below the call's */
    struct trp_crew_job errand;
};

/* An input that cannot be cast is the client's mistake, an output its target's. */
static enum trp_code fault_of(const struct job *j)
{
    return j->is_output ? TRP_BACKEND_FAILED : TRP_INVALID_ARGUMENT;
}

static const char *word_of(const struct job *j)
{
    return j->is_output ? "output" : "input";
}

static bool convert_element(const struct piece *p, uint64_t i)
{
    char *to = (char *)p->to + i * trp_dtype_bytes(p->dtype);
    int64_t whole;
    double real;
    if (trp_reduce_element_int(&p->from, i, &whole) && p->dtype <= TROUPE_INT64)
        return trp_route_cast_int(p->dtype, whole, to);
    return trp_reduce_element(&p->from, i, &real) && trp_route_cast_double(p->dtype, real, to);
}

static trp_status convert(const struct job *j, const struct piece *p, struct trp_error *err)
{
    for (uint64_t i = 0; i < p->elements; i++) {
        if (i % AT_ONCE == 0 && trp_cancel_is_raised(&j->token))
            return trp_fail(err, TRP_CANCELLED, "the request was cancelled");
        if (!convert_element(p, i))
            return trp_fail(err, fault_of(j), "%s '%.*s': element %llu of %s cannot become %s",
                            word_of(j), TRP_STR(p->one->name), (unsigned long long)i,
                            trp_dtype_name(p->from.dtype), trp_dtype_name(p->dtype));
    }
    return trp_ok();
}

static trp_status convert_all(struct job *j, struct trp_error *err)
{
    for (uint32_t i = 0; i < j->pieces_n; i++)
        TRP_CHECK(convert(j, &j->pieces[i], err));
    return trp_ok();
}

/* What was cast takes the place of what it was made of. */
static void land(struct job *j)
{
    for (uint32_t i = 0; i < j->pieces_n; i++) {
        const struct piece *p = &j->pieces[i];
        struct troupe_tensor *t = &p->one->tensor;
        if (t->release)
            t->release(t->release_user, t->data);
        t->release = NULL;
        t->release_user = NULL;
        t->dtype = p->dtype;
        t->data = p->to;
        t->bytes = p->bytes;
    }
}

/* ---- what is to be done ---- */

static trp_status plan(struct job *j, struct trp_call_tensor *one, int32_t dtype,
                       struct trp_error *err)
{
    const struct troupe_tensor *t = &one->tensor;
    struct piece *p = &j->pieces[j->pieces_n];
    if (t->dtype == dtype)
        return trp_ok();
    *p = (struct piece){ .one = one, .from = *t, .dtype = dtype };
    if (!trp_shape_elements(t->shape, t->rank, &p->elements) ||
        !trp_shape_bytes(t->shape, t->rank, dtype, &p->bytes) || t->dtype == TROUPE_BYTES)
        return trp_fail(err, fault_of(j), "%s '%.*s' of %s cannot become %s", word_of(j),
                        TRP_STR(one->name), trp_dtype_name(t->dtype), trp_dtype_name(dtype));
    j->bytes += p->bytes > t->bytes ? p->bytes : t->bytes;
    j->pieces_n++;
    return trp_ok();
}

static trp_status take_memory(struct job *j, struct trp_error *err)
{
    for (uint32_t i = 0; i < j->pieces_n; i++) {
        struct piece *p = &j->pieces[i];
        const struct trp_alloc *alloc =
            !j->is_output && p->one->account ? p->one->account : j->call->arena.alloc;
        p->to = trp_call_memory_get(j->call, alloc, p->bytes);
        if (!p->to)
            return trp_fail_limit(err, TRP_OUT_OF_MEMORY, TRP_LIMIT_MEMORY,
                                  "no memory for %llu bytes of %s '%.*s' as %s "
                                  "(limits.request_memory)",
                                  (unsigned long long)p->bytes, word_of(j), TRP_STR(p->one->name),
                                  trp_dtype_name(p->dtype));
    }
    return trp_ok();
}

/* ---- by a helper ---- */

static void do_aside(struct trp_crew_job *errand)
{
    struct job *j = TRP_CONTAINER_OF(errand, struct job, errand);
    (void)convert_all(j, &j->err);
}

static void withdraw(struct trp_cancel *token)
{
    struct job *j = TRP_CONTAINER_OF(token, struct job, token);
    trp_crew_withdraw(j->how.crew, &j->errand);
}

/* Who moved the outcome decides; the words are ours, who hold the call. */
static trp_status fail_unwanted(const struct trp_call *call, struct trp_error *err)
{
    return trp_oneshot_get(&call->outcome) == TRP_OUTCOME_EXPIRED
               ? trp_fail(err, TRP_DEADLINE_EXCEEDED, "Request timeout expired")
               : trp_fail(err, TRP_CANCELLED, "the request was cancelled");
}

/* Of an answered call the outcome is decided now; of one that is to be started, by whom it asks. */
static bool is_wanted(const struct job *j)
{
    return j->is_output ? trp_call_try_done(j->call)
                        : trp_oneshot_get(&j->call->outcome) == TRP_OUTCOME_OPEN;
}

static void come_back(struct trp_crew_job *errand)
{
    struct job *j = TRP_CONTAINER_OF(errand, struct job, errand);
    struct trp_call *call = j->call;
    trp_cancel_detach(&j->token);
    if (!is_wanted(j))
        (void)fail_unwanted(call, &call->error);
    else if (errand->is_shed)
        (void)trp_crew_fail_full(j->how.crew, &call->error);
    else if (trp_failed(j->err.status))
        call->error = j->err;
    else
        land(j);
    trp_call_finish(call);
}

/* A helper has it.  Until it is back its client may go, and its time may be up: an answer that was
 * there is none yet. */
static trp_status send(struct job *j, struct trp_error *err)
{
    struct trp_call *call = j->call;
    j->errand = (struct trp_crew_job){ .work = do_aside,
                                       .back = come_back,
                                       .loop = call->loop,
                                       .priority_class = call->priority_class,
                                       .is_aside = call->is_aside,
                                       .tenant = call->tenant,
                                       .deadline_ns = call->deadline_ns };
    TRP_CHECK(trp_crew_push(j->how.crew, &j->errand, err));
    if (j->is_output)
        trp_oneshot_reset(&call->outcome); /* we hold it: no other thread sees it */
    else
        call->exec_slot = NULL; /* of an earlier attempt: who is woken now has not begun */
    j->token.on_raise = withdraw;
    trp_cancel_attach(&call->cancel, &j->token);
    trp_call_push(call, j->how.then, j->how.user);
    return trp_ok();
}

/* Of an answer that is on its way already nobody can take the outcome any more; it may be late. */
static bool is_in_time(const struct trp_call *call, bool is_output)
{
    const uint32_t wanted = is_output ? TRP_OUTCOME_DONE : TRP_OUTCOME_OPEN;
    return trp_oneshot_get(&call->outcome) == wanted;
}

static trp_status do_all(struct job *j, bool *out_is_away, struct trp_error *err)
{
    struct trp_call *call = j->call;
    const bool is_much = j->how.crew && j->bytes > TRP_CREW_ASIDE_BYTES;
    if (j->pieces_n == 0)
        return trp_ok();
    if (is_much && !is_in_time(call, j->is_output))
        return fail_unwanted(call, err);
    if (is_much && call->deadline_ns != 0 && call->deadline_ns <= trp_loop_now_ns(call->loop))
        return trp_fail(err, TRP_DEADLINE_EXCEEDED, "Request timeout expired");
    TRP_CHECK(take_memory(j, err));
    if (is_much) {
        TRP_CHECK(send(j, err));
        *out_is_away = true;
        return trp_ok();
    }
    TRP_CHECK(convert_all(j, err));
    land(j);
    return trp_ok();
}

static struct job *make(const struct trp_route_casting *how, struct trp_call *call, uint32_t n,
                        bool is_output, struct trp_error *err)
{
    struct job *j = trp_arena_zeroed(&call->arena, 1, sizeof *j);
    if (j)
        j->pieces = trp_arena_zeroed(&call->arena, n + (size_t)1, sizeof *j->pieces);
    if (!j || !j->pieces) {
        (void)trp_fail(err, TRP_OUT_OF_MEMORY, "no memory to cast a tensor in a route");
        return NULL;
    }
    j->how = *how;
    j->call = call;
    j->is_output = is_output;
    return j;
}

trp_status trp_route_cast_inputs(const struct trp_route_casting *how, struct trp_call *call,
                                 uint32_t n, bool *out_is_away, struct trp_error *err)
{
    const struct trp_route_fit *fit = how->fit;
    *out_is_away = false;
    if (!fit || fit->casts_n == 0)
        return trp_ok();
    struct job *j = make(how, call, n, false, err);
    if (!j)
        return err->status;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < fit->casts_n; k++)
            if (trp_str_is_equal(fit->casts[k].name, call->inputs[i].name)) {
                TRP_CHECK(plan(j, &call->inputs[i], fit->casts[k].dtype, err));
                break;
            }
    return do_all(j, out_is_away, err);
}

/* Whether it is an input that `cast` means. */
static bool is_input(const struct trp_call *call, struct trp_str name)
{
    for (uint32_t i = 0; i < call->inputs_n; i++)
        if (trp_str_is_equal(call->inputs[i].name, name))
            return true;
    return false;
}

/* Who gave it may have left its name to the wish. */
static struct trp_str name_of(const struct trp_call *call, uint32_t output)
{
    const struct trp_str name = call->outputs[output].name;
    return name.len > 0 || output >= call->wanted_n ? name : call->wanted[output].name;
}

trp_status trp_route_cast_outputs(const struct trp_route_casting *how, struct trp_call *call,
                                  bool *out_is_away, struct trp_error *err)
{
    const struct trp_route_fit *fit = how->fit;
    *out_is_away = false;
    if (!fit || fit->casts_n == 0)
        return trp_ok();
    struct job *j = make(how, call, call->outputs_n, true, err);
    if (!j)
        return err->status;
    for (uint32_t i = 0; i < call->outputs_n; i++)
        for (uint32_t k = 0; k < fit->casts_n; k++)
            if (trp_str_is_equal(fit->casts[k].name, name_of(call, i)) &&
                !is_input(call, fit->casts[k].name)) {
                TRP_CHECK(plan(j, &call->outputs[i], fit->casts[k].dtype, err));
                break;
            }
    return do_all(j, out_is_away, err);
}

/* exec/admission.c - see admission.h. */
#include "exec/admission.h"

#include "exec/run.h"
#include "model/version.h"

#define GUESS_BYTES (UINT64_C(1) << 20)

static struct trp_version *version_of(const struct trp_call *call)
{
    return trp_version_of(call->target);
}

bool trp_admission_is_free(const struct trp_admission *a, const struct trp_call *call)
{
    return !a || !a->headrooms ||
           trp_headroom_is_small(&version_of(call)->headroom, trp_run_input_bytes(call));
}

/* Before the first run: some copies of what comes in, and activations in a usual proportion to the
 * weights (an eighth to a quarter in networks for images and texts).  Wrong once at most: the
 * first run tells. */
static uint64_t guess(uint64_t input_bytes, uint64_t weights_bytes)
{
    const uint64_t inputs = input_bytes < UINT64_MAX / 8 ? 4 * input_bytes : input_bytes;
    return GUESS_BYTES + inputs + weights_bytes / 4;
}

/* What was reserved may be too little, and is known to be a guess at first: nobody minds more
 * while it is there. */
static uint64_t most_of(const struct trp_admission *a, const struct trp_headroom_pass *pass)
{
    struct trp_budget b;
    uint64_t most;
    trp_ledger_look(a->ledger, &b);
    const uint64_t left = trp_budget_left(&b).of[TRP_RESOURCE_BYTES];
    return __builtin_add_overflow(pass->bytes, left, &most) ? 0 : most;
}

enum trp_reserve trp_admission_ask(const struct trp_admission *a, struct trp_version *v,
                                   const struct trp_admission_wish *wish, int64_t now_ns,
                                   struct trp_admitted *out)
{
    *out = (struct trp_admitted){ .size = wish->size };
    if (!a || !a->headrooms ||
        (wish->least_bytes == 0 && trp_headroom_is_small(&v->headroom, wish->size)))
        return TRP_RESERVE_DONE;
    const uint64_t weights = trp_counter_get(&v->weights.bytes);
    const struct trp_headroom_ask ask = { .account = &v->activations,
                                          .size = wish->size,
                                          .guess_bytes = guess(wish->size, weights),
                                          .beside_bytes = weights,
                                          .now_ns = now_ns,
                                          .is_part = wish->is_part,
                                          .is_try = wish->is_try,
                                          .least_bytes = wish->least_bytes,
                                          .kept_bytes = wish->kept_bytes };
    const enum trp_reserve r =
        trp_headroom_begin(a->headrooms, &v->headroom, &ask, &out->pass, &out->need);
    if (r == TRP_RESERVE_DONE && out->pass.is_counted)
        out->bytes_max = most_of(a, &out->pass);
    if (r == TRP_RESERVE_DONE && out->pass.ends_wait)
        trp_ledger_tell_served(a->ledger); /* before the next who waits is called to ask again */
    return r;
}

void trp_admission_end(const struct trp_admission *a, struct trp_version *v,
                       struct trp_admitted *admitted, uint64_t peak_bytes)
{
    if (admitted->pass.is_counted)
        trp_headroom_end(a->headrooms, &v->headroom, admitted->size, peak_bytes, &admitted->pass);
}

trp_status trp_admission_refuse(const struct trp_admission *a, const struct trp_version *v,
                                const struct trp_admitted *asked, struct trp_error *err)
{
    const trp_status st = trp_ledger_refuse(a->ledger, asked->need, err);
    trp_error_within(err, "model '%s': a run", v->id);
    err->limit = TRP_LIMIT_BUDGET;
    return st;
}

void trp_admission_ask_room(const struct trp_admission *a, const struct trp_admitted *asked)
{
    trp_ledger_ask_room(a->ledger, asked->need);
}

/* ---- a call's ---- */

enum trp_reserve trp_admission_begin(const struct trp_admission *a, struct trp_call *call,
                                     const struct trp_admission_wish *wish,
                                     struct trp_metrics_shard *metrics, int64_t now_ns,
                                     struct trp_admitted *out)
{
    struct trp_version *v = version_of(call);
    enum trp_reserve r = trp_admission_ask(a, v, wish, now_ns, out);
    if (r == TRP_RESERVE_NOT_NOW) {
        trp_metric_add(metrics, TRP_METRIC_RUNS_SHORT, 1);
        if (call->short_since_ns == 0)
            call->short_since_ns = now_ns;
        if (now_ns - call->short_since_ns >= a->wait_ns)
            r = TRP_RESERVE_NEVER;
    } else if (r == TRP_RESERVE_NEVER) {
        out->is_hopeless = true;
    }
    if (r == TRP_RESERVE_NEVER)
        (void)trp_admission_refuse(a, v, out, &call->error);
    return r;
}

bool trp_admission_try(const struct trp_admission *a, struct trp_call *call, int64_t now_ns,
                       struct trp_admitted *out)
{
    const struct trp_admission_wish wish = { .size = trp_run_input_bytes(call), .is_try = true };
    return trp_admission_ask(a, version_of(call), &wish, now_ns, out) == TRP_RESERVE_DONE;
}

/* What the backend does not tell is at least its outputs.  0: a run that failed half-way says
 * little. */
static uint64_t peak_of(const struct trp_call *call)
{
    uint64_t bytes = 1;
    if (trp_failed(call->error.status))
        return call->run_peak_bytes;
    for (uint32_t i = 0; i < call->outputs_n; i++)
        if (call->outputs[i].tensor.release)
            bytes += call->outputs[i].tensor.bytes;
    return call->run_peak_bytes > bytes ? call->run_peak_bytes : bytes;
}

bool trp_admission_fell_short(const struct trp_admission *a, struct trp_call *call,
                              struct trp_admitted *admitted, uint64_t kept_bytes)
{
    struct trp_version *v = version_of(call);
    const bool is_counted = admitted->pass.is_counted;
    const uint64_t all = admitted->pass.bytes, had = all > kept_bytes ? all - kept_bytes : 0;
    const bool was_expected = is_counted && call->run_peak_bytes <= had;
    /* What it asks for the next time; so that it ends soon, and when it was small until now, so
     * that it asks, and waits. */
    const uint64_t more = is_counted ? had + had / 4 : GUESS_BYTES;
    if (!was_expected && call->run_peak_bytes < more)
        call->run_peak_bytes = more;
    admitted->pass.is_short = true;
    if (is_counted)
        trp_admission_end(a, v, admitted, was_expected ? 0 : call->run_peak_bytes);
    else
        trp_headroom_learn(a->headrooms, &v->headroom, &v->activations, admitted->size,
                           call->run_peak_bytes);
    return !was_expected;
}

void trp_admission_end_call(const struct trp_admission *a, struct trp_call *call,
                            struct trp_admitted *admitted)
{
    if (admitted->pass.is_counted)
        trp_admission_end(a, version_of(call), admitted, peak_of(call));
}

/* call/fit.c - see fit.h.  The rules are those of bind.c, which has the words for each of them. */
#include "call/fit.h"

#include "tensor/reshape.h"

#define NONE UINT32_MAX

static bool is_raw(const struct trp_call *call)
{
    return call->inputs_n == 1 && call->inputs[0].name.len == 0 &&
           call->inputs[0].tensor.dtype == TROUPE_NO_DTYPE;
}

static bool is_batch_right(const struct trp_signature *s, const struct troupe_tensor *t,
                           int64_t *batch)
{
    if (s->batch_max <= 0)
        return true;
    if (t->rank == 0 || t->shape[0] < 1 || t->shape[0] > s->batch_max ||
        (*batch && *batch != t->shape[0]))
        return false;
    *batch = t->shape[0];
    return true;
}

static bool are_inputs_right(const struct trp_call *call, const struct trp_signature *s)
{
    int64_t batch = 0;
    uint32_t required = 0, required_found = 0;
    for (uint32_t i = 0; i < s->inputs_n; i++)
        required += !s->inputs[i].optional;
    for (uint32_t i = 0; i < call->inputs_n; i++) {
        const struct troupe_tensor *t = &call->inputs[i].tensor;
        const uint32_t at = trp_signature_place(s->inputs, s->inputs_n, call->inputs[i].name, i);
        if (at == NONE || t->dtype != s->inputs[at].dtype || t->rank > TROUPE_RANK_MAX ||
            !is_batch_right(s, t, &batch) || !trp_reshape_fits(&s->inputs[at], t))
            return false;
        required_found += !s->inputs[at].optional;
    }
    return required_found == required;
}

bool trp_call_fits(const struct trp_call *call, const struct trp_signature *signature)
{
    if (is_raw(call) ? signature->inputs_n != 1 : !are_inputs_right(call, signature))
        return false;
    for (uint32_t i = 0; i < call->wanted_n; i++)
        if (trp_signature_place(signature->outputs, signature->outputs_n, call->wanted[i].name,
                                i) == NONE)
            return false;
    return true;
}

/* wire/oip_encode.c - see oip_encode.h. */
#include "wire/oip_encode.h"

#include "call/target.h"
#include "wire/oip_classification.h"

struct trp_str trp_oip_answered_model(const struct trp_call *call)
{
    return call->answered_by.len > 0 ? call->answered_by : call->model;
}

int64_t trp_oip_answered_version(const struct trp_call *call)
{
    if (call->answered_version > 0)
        return call->answered_version;
    if (call->version > 0)
        return call->version;
    return call->target ? call->target->version : 0;
}

/* An output of a signature; NULL when there is none (no target: a call that was made up). */
static const struct trp_io *io_of(const struct trp_call *call, uint32_t index, bool *out_batched)
{
    *out_batched = false;
    const struct trp_signature *s = trp_call_answer_signature(call);
    if (!s)
        return NULL;
    *out_batched = s->batch_max > 0;
    return index < s->outputs_n ? &s->outputs[index] : NULL;
}

static trp_status classify(struct trp_oip_codec *codec, struct trp_call *call, uint32_t index,
                           struct trp_oip_output *out, struct trp_error *err)
{
    bool batched = false;
    const struct trp_wanted *const wanted = &call->wanted[index];
    const struct trp_call_tensor *const own = &call->outputs[index];
    const struct trp_io *const io = io_of(call, wanted->index, &batched);
    struct trp_classes classes = { .dtype = out->dtype,
                                   .rank = out->rank,
                                   .shape = out->shape,
                                   .data = out->data,
                                   .bytes = out->bytes,
                                   .labels = own->labels ? own->labels
                                             : io        ? io->labels
                                                         : NULL,
                                   .labels_n = own->labels ? own->labels_n
                                               : io        ? io->labels_n
                                                           : 0,
                                   .batched = batched,
                                   .n = wanted->classification };
    struct trp_str text;
    TRP_TRY(trp_classes_format(&classes, codec->account, &call->arena, &text, err), err,
            "output '%.*s'", TRP_STR(out->name));
    out->dtype = TROUPE_BYTES;
    out->rank = batched ? 2 : 1;
    out->shape[0] = batched ? (int64_t)classes.items : (int64_t)classes.n;
    out->shape[1] = batched ? (int64_t)classes.n : 0;
    out->data = text.ptr;
    out->bytes = text.len;
    return trp_ok();
}

/* The backend may have written there already; otherwise the output is copied now. */
static trp_status put_into_region(struct trp_oip_codec *codec, const struct trp_wanted *wanted,
                                  struct trp_oip_output *out, struct trp_error *err)
{
    if (out->bytes > wanted->memory_bytes)
        return trp_fail(
            err, TRP_INVALID_ARGUMENT,
            "output '%.*s' has %llu bytes, but its place in shared memory region '%.*s' "
            "has %llu",
            TRP_STR(out->name), (unsigned long long)out->bytes, TRP_STR(wanted->region),
            (unsigned long long)wanted->memory_bytes);
    if (out->data != wanted->memory && out->bytes > 0) {
        memmove(wanted->memory, out->data, (size_t)out->bytes);
        codec->copied_bytes += out->bytes;
    }
    out->in_region = true;
    return trp_ok();
}

trp_status trp_oip_prepare_output(struct trp_oip_codec *codec, struct trp_call *call,
                                  uint32_t index, struct trp_oip_output *out, struct trp_error *err)
{
    const struct troupe_tensor *const t = &call->outputs[index].tensor;
    const struct trp_wanted *const wanted = index < call->wanted_n ? &call->wanted[index] : NULL;
    out->name =
        call->outputs[index].name.len > 0 || !wanted ? call->outputs[index].name : wanted->name;
    out->dtype = t->dtype;
    if (t->rank > TROUPE_RANK_MAX || (t->bytes > 0 && !t->data))
        return trp_fail(err, TRP_BACKEND_FAILED, "output '%.*s' of rank %u has %s",
                        TRP_STR(out->name), t->rank, t->data ? "too many dimensions" : "no data");
    out->rank = t->rank;
    memcpy(out->shape, t->shape, out->rank * sizeof out->shape[0]);
    out->data = t->data;
    out->bytes = t->bytes;
    out->in_region = false;
    if (wanted && wanted->classification > 0)
        return classify(codec, call, index, out, err);
    if (wanted && wanted->region.len > 0)
        return put_into_region(codec, wanted, out, err);
    return trp_ok();
}

/* ---- parts ----------------------------------------------------------------------------------- */

trp_status trp_oip_parts_begin(struct trp_oip_parts *p, struct trp_call *call, uint32_t capacity,
                               struct trp_reply *reply, struct trp_error *err)
{
    *p = (struct trp_oip_parts){
        .reply = reply, .begin = reply->text.len, .end = reply->text.len, .capacity = capacity
    };
    reply->parts_n = 0;
    reply->bytes = 0;
    reply->json_bytes = -1;
    reply->parts = trp_arena_get(&call->arena, capacity * sizeof *reply->parts);
    if (!reply->parts)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "reply: out of memory");
    return trp_ok();
}

static void add(struct trp_oip_parts *p, const void *ptr, size_t len)
{
    TRP_ASSERT(p->reply->parts_n < p->capacity);
    p->reply->parts[p->reply->parts_n++] = (struct trp_part){ ptr, len };
}

void trp_oip_parts_add_text(struct trp_oip_parts *p)
{
    const size_t len = p->reply->text.len - p->end;
    if (len > 0)
        add(p, NULL, len); /* the text may still move: NULL stands for it */
    p->end = p->reply->text.len;
}

void trp_oip_parts_add_tensor(struct trp_oip_parts *p, const void *data, uint64_t bytes)
{
    if (bytes > 0)
        add(p, data, (size_t)bytes);
}

trp_status trp_oip_parts_finish(struct trp_oip_parts *p, struct trp_error *err)
{
    struct trp_reply *const reply = p->reply;
    trp_oip_parts_add_text(p);
    TRP_CHECK(trp_buf_check(&reply->text, "reply", err));
    size_t at = p->begin;
    for (uint32_t i = 0; i < reply->parts_n; i++) {
        struct trp_part *const part = &reply->parts[i];
        reply->bytes += part->len;
        if (part->ptr)
            continue;
        part->ptr = reply->text.ptr + at;
        at += part->len;
    }
    return trp_ok();
}

/* route/facts.c - reading what a rule names.  See facts.h. */
#include "route/facts.h"

#include <stdio.h>

#include "route/key_list.h"
#include "route/sniff.h"
#include "tensor/dtype.h"
#include "tensor/reduce.h"
#include "tensor/shape.h"

static const char *const weekdays[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };

const char *trp_fact_kind_name(uint32_t kind)
{
    static const char *const names[TRP_FACT_KINDS] = { "unknown",  "a bool", "an int",
                                                       "a double", "a text", "a duration",
                                                       "a list" };
    return kind < TRP_FACT_KINDS ? names[kind] : "unknown";
}

const char *trp_unknown_words(enum trp_unknown_why why)
{
    static const char *const words[TRP_UNKNOWN_WHYS] = {
        [TRP_UNKNOWN_MISSING] = "is missing",
        [TRP_UNKNOWN_NO_ELEMENT] = "has no such element",
        [TRP_UNKNOWN_BAD_TENSOR] = "has bytes that do not fit its shape",
        [TRP_UNKNOWN_TOO_LARGE] = "is larger than rules look at",
        [TRP_UNKNOWN_NO_VALUES] = "has no numbers",
        [TRP_UNKNOWN_NOT_TOLD] = "is not measured, or not yet",
        [TRP_UNKNOWN_MISMATCH] = "has another type than it is used as",
        [TRP_UNKNOWN_CONVERSION] = "cannot be converted",
        [TRP_UNKNOWN_OVERFLOW] = "is beyond 64 bits",
        [TRP_UNKNOWN_ZERO] = "divides by zero",
        [TRP_UNKNOWN_LIMIT] = "takes longer to match than it may",
        [TRP_UNKNOWN_LATER] = "is not known before other steps are done",
    };
    return (uint32_t)why < TRP_UNKNOWN_WHYS ? words[why] : "is unknown";
}

static struct trp_fact unsigned_fact(uint64_t u)
{
    return u <= INT64_MAX ? trp_fact_int((int64_t)u) : trp_fact_unknown(TRP_UNKNOWN_OVERFLOW);
}

/* ---- the request ---- */

/* Names of like length differ in their first letter more often than not. */
static inline bool is_same_name(struct trp_str a, struct trp_str b)
{
    return a.len == b.len &&
           (a.len == 0 || (a.ptr[0] == b.ptr[0] && memcmp(a.ptr, b.ptr, a.len) == 0));
}

static void read_param(const struct trp_call *call, struct trp_str name, struct trp_fact *out)
{
    const struct trp_param *p = call->params, *const end = p + call->params_n;
    while (p < end && !is_same_name(p->name, name))
        p++;
    if (p == end) {
        *out = trp_fact_unknown(TRP_UNKNOWN_MISSING);
        return;
    }
    switch (p->kind) {
    case TRP_PARAM_BOOL:
        *out = trp_fact_bool(p->v.b);
        break;
    case TRP_PARAM_INT:
        *out = trp_fact_int(p->v.i);
        break;
    case TRP_PARAM_UINT:
        *out = unsigned_fact(p->v.u);
        break;
    case TRP_PARAM_DOUBLE:
        *out = trp_fact_double(p->v.d);
        break;
    default:
        *out = trp_fact_text(p->v.s);
        break;
    }
}

static void read_header(const struct trp_call *call, struct trp_str name, struct trp_fact *out)
{
    const struct trp_header *h = call->headers, *const end = h + call->headers_n;
    while (h < end && !is_same_name(h->name, name))
        h++;
    *out = h < end ? trp_fact_text(h->value) : trp_fact_unknown(TRP_UNKNOWN_MISSING);
}

/* An attempt with a time of its own, a hedge and a shadow see the request that they were made
 * for. */
static const struct trp_call *as_it_came(const struct trp_call *call)
{
    while (call->stands_in && call->parent)
        call = call->parent;
    return call;
}

/* As the request says it: a class from a number is the model's business, which is not chosen
 * yet. */
static const char *class_of(const struct trp_call *call)
{
    static const char *const names[] = { [TRP_PRIORITY_NORMAL] = "normal",
                                         [TRP_PRIORITY_INTERACTIVE] = "interactive",
                                         [TRP_PRIORITY_BATCH] = "batch" };
    return names[call->priority_class];
}

static struct trp_fact rows_of(const struct troupe_tensor *t)
{
    return trp_fact_int(t->rank > 0 ? t->shape[0] : 1);
}

static struct trp_fact request_rows(const struct trp_call *call)
{
    for (uint32_t i = 0; i < call->inputs_n; i++)
        if (call->inputs[i].tensor.data)
            return rows_of(&call->inputs[i].tensor);
    return trp_fact_unknown(TRP_UNKNOWN_MISSING);
}

static struct trp_fact request_bytes(const struct trp_call *call)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < call->inputs_n; i++)
        bytes += call->inputs[i].tensor.bytes;
    return unsigned_fact(bytes);
}

/* What may be empty when nobody sent it. */
static struct trp_fact text_or_missing(struct trp_str s)
{
    return s.len > 0 ? trp_fact_text(s) : trp_fact_unknown(TRP_UNKNOWN_MISSING);
}

static struct trp_fact read_request(const struct trp_facts *f, enum trp_fact_what what)
{
    const struct trp_call *call = f->call;
    switch (what) {
    case TRP_FACT_REQUEST_PROTOCOL:
        return trp_fact_text(trp_str_of(trp_call_protocol_name(as_it_came(call)->protocol)));
    case TRP_FACT_REQUEST_ROWS:
        return f->later_n ? trp_fact_unknown(TRP_UNKNOWN_LATER) : request_rows(call);
    case TRP_FACT_REQUEST_BYTES:
        return f->later_n ? trp_fact_unknown(TRP_UNKNOWN_LATER) : request_bytes(call);
    case TRP_FACT_REQUEST_CLASS:
        return trp_fact_text(trp_str_of(class_of(as_it_came(call))));
    case TRP_FACT_REQUEST_PRIORITY:
        return unsigned_fact(as_it_came(call)->priority);
    case TRP_FACT_REQUEST_TENANT:
        return text_or_missing(call->tenant);
    case TRP_FACT_REQUEST_ID:
        return text_or_missing(call->id);
    default:
        return trp_fact_text(as_it_came(call)->model);
    }
}

/* ---- inputs ---- */

static const struct troupe_tensor *tensor_of(const struct trp_call *call, struct trp_str name)
{
    for (uint32_t i = 0; i < call->inputs_n; i++)
        if (is_same_name(call->inputs[i].name, name))
            return call->inputs[i].tensor.data ? &call->inputs[i].tensor : NULL;
    return NULL;
}

/* Why a tensor of numbers has no such number. */
static struct trp_fact no_number(const struct troupe_tensor *t)
{
    uint64_t bytes, elements;
    if (t->dtype == TROUPE_BYTES)
        return trp_fact_unknown(TRP_UNKNOWN_NO_VALUES);
    if (!trp_shape_bytes(t->shape, t->rank, t->dtype, &bytes) || bytes != t->bytes)
        return trp_fact_unknown(TRP_UNKNOWN_BAD_TENSOR);
    return trp_shape_elements(t->shape, t->rank, &elements) && elements == 0
               ? trp_fact_unknown(TRP_UNKNOWN_NO_VALUES)
               : trp_fact_unknown(TRP_UNKNOWN_NO_ELEMENT);
}

static struct trp_fact reduce(const struct troupe_tensor *t, enum trp_fact_what what)
{
    uint64_t elements, nonzero;
    double d;
    if (!trp_shape_elements(t->shape, t->rank, &elements))
        return trp_fact_unknown(TRP_UNKNOWN_BAD_TENSOR);
    if (elements > TRP_FACTS_ELEMENTS_MAX)
        return trp_fact_unknown(TRP_UNKNOWN_TOO_LARGE);
    if (what == TRP_FACT_INPUT_NONZERO)
        return trp_reduce_count_nonzero(t, &nonzero) ? unsigned_fact(nonzero) : no_number(t);
    const bool known = what == TRP_FACT_INPUT_MIN   ? trp_reduce_min(t, &d)
                       : what == TRP_FACT_INPUT_MAX ? trp_reduce_max(t, &d)
                                                    : trp_reduce_mean(t, &d);
    return known ? trp_fact_double(d) : no_number(t);
}

static struct trp_fact reduce_once(struct trp_facts *f, const struct troupe_tensor *t,
                                   enum trp_fact_what what)
{
    for (uint32_t i = 0; i < f->reductions_n; i++)
        if (f->reductions[i].tensor == t && f->reductions[i].what == what)
            return f->reductions[i].value;
    const struct trp_fact value = reduce(t, what);
    if (f->reductions_n < TRP_FACTS_REDUCTIONS_KEPT) {
        f->reductions[f->reductions_n].tensor = t;
        f->reductions[f->reductions_n].what = what;
        f->reductions[f->reductions_n++].value = value;
    }
    return value;
}

static struct trp_fact text_element(const struct troupe_tensor *t, uint64_t index)
{
    uint64_t elements;
    struct trp_str s;
    if (index >= TRP_FACTS_TEXTS_MAX)
        return trp_fact_unknown(TRP_UNKNOWN_TOO_LARGE);
    if (!trp_shape_elements(t->shape, t->rank, &elements))
        return trp_fact_unknown(TRP_UNKNOWN_BAD_TENSOR);
    if (index >= elements)
        return trp_fact_unknown(TRP_UNKNOWN_NO_ELEMENT);
    return trp_reduce_string(t, index, &s) ? trp_fact_text(s)
                                           : trp_fact_unknown(TRP_UNKNOWN_BAD_TENSOR);
}

static bool is_integer(int32_t dtype)
{
    return dtype >= TROUPE_UINT8 && dtype <= TROUPE_INT64;
}

static struct trp_fact element(const struct troupe_tensor *t, int64_t index)
{
    double d;
    int64_t i;
    if (index < 0)
        return trp_fact_unknown(TRP_UNKNOWN_NO_ELEMENT);
    if (t->dtype == TROUPE_BYTES)
        return text_element(t, (uint64_t)index);
    if (!trp_reduce_element(t, (uint64_t)index, &d))
        return no_number(t);
    if (t->dtype == TROUPE_BOOL)
        return trp_fact_bool(d != 0);
    if (!is_integer(t->dtype))
        return trp_fact_double(d);
    return trp_reduce_element_int(t, (uint64_t)index, &i) ? trp_fact_int(i)
                                                          : trp_fact_unknown(TRP_UNKNOWN_OVERFLOW);
}

static struct trp_fact shape_of(const struct troupe_tensor *t)
{
    struct trp_fact list = { .kind = TRP_FACT_LIST, .n = t->rank };
    list.v.list = t->shape;
    return list;
}

/* Only encoded content, in a text, has a kind. */
static struct trp_fact content_of(const struct troupe_tensor *t)
{
    if (t->dtype != TROUPE_BYTES)
        return trp_fact_text(TRP_STR_LIT("tensor"));
    const struct trp_fact first = text_element(t, 0);
    if (first.kind != TRP_FACT_TEXT)
        return first;
    return trp_fact_text(trp_str_of(trp_content_name(trp_sniff(first.v.s.ptr, first.v.s.len))));
}

static struct trp_fact elements_of(const struct troupe_tensor *t)
{
    uint64_t n;
    return trp_shape_elements(t->shape, t->rank, &n) ? unsigned_fact(n)
                                                     : trp_fact_unknown(TRP_UNKNOWN_BAD_TENSOR);
}

static struct trp_fact no_input(const struct trp_facts *f, struct trp_str name)
{
    for (uint32_t i = 0; i < f->later_n; i++)
        if (is_same_name(f->later[i], name))
            return trp_fact_unknown(TRP_UNKNOWN_LATER);
    return trp_fact_unknown(TRP_UNKNOWN_MISSING);
}

static struct trp_fact read_input(struct trp_facts *f, const struct trp_fact_ref *ref)
{
    const struct troupe_tensor *t = tensor_of(f->call, ref->name);
    if (!t)
        return no_input(f, ref->name);
    switch (ref->what) {
    case TRP_FACT_INPUT_DTYPE:
        return trp_fact_text(trp_str_of(trp_dtype_name(t->dtype)));
    case TRP_FACT_INPUT_SHAPE:
        return shape_of(t);
    case TRP_FACT_INPUT_ROWS:
        return rows_of(t);
    case TRP_FACT_INPUT_BYTES:
        return unsigned_fact(t->bytes);
    case TRP_FACT_INPUT_SIZE:
        return elements_of(t);
    case TRP_FACT_INPUT_KIND:
        return content_of(t);
    case TRP_FACT_INPUT_ELEMENT:
        return element(t, ref->index);
    case TRP_FACT_INPUT:
        return trp_fact_bool(true); /* has() asks for no more than that */
    default:
        return reduce_once(f, t, ref->what);
    }
}

/* ---- load ---- */

static const struct trp_model_load *model_load(struct trp_facts *f, struct trp_str name)
{
    for (uint32_t i = 0; i < f->models_n; i++)
        if (is_same_name(f->models[i].name, name))
            return f->models[i].is_told ? &f->models[i].load : NULL;
    /* The last place is anybody's once all are taken. */
    const uint32_t at =
        f->models_n < TRP_FACTS_MODELS_KEPT ? f->models_n++ : TRP_FACTS_MODELS_KEPT - 1;
    f->models[at].name = name;
    f->models[at].is_told =
        f->load && f->load->model(f->load->user, f->loop_index, name, &f->models[at].load);
    return f->models[at].is_told ? &f->models[at].load : NULL;
}

static struct trp_fact duration(int64_t ns)
{
    return ns < 0 ? trp_fact_unknown(TRP_UNKNOWN_NOT_TOLD)
                  : (struct trp_fact){ .kind = TRP_FACT_DURATION, .v = { .i = ns } };
}

/* What nobody knows of cannot answer. */
static bool is_ready(const struct trp_facts *f, struct trp_str name, const struct trp_model_load *m)
{
    if (!m || !m->is_composed)
        return m && m->ready;
    return f->load->ready && f->load->ready(f->load->user, f->loop_index, name);
}

static bool is_of_models_only(enum trp_fact_what what)
{
    return what == TRP_FACT_MODEL_QUEUE || what == TRP_FACT_MODEL_WAIT ||
           what == TRP_FACT_MODEL_BUSY || what == TRP_FACT_MODEL_BYTES;
}

static struct trp_fact read_model(struct trp_facts *f, const struct trp_fact_ref *ref)
{
    const struct trp_model_load *m = model_load(f, ref->name);
    if (ref->what == TRP_FACT_MODEL_READY)
        return trp_fact_bool(is_ready(f, ref->name, m));
    if (!m || (m->is_composed && is_of_models_only(ref->what)))
        return trp_fact_unknown(TRP_UNKNOWN_NOT_TOLD);
    switch (ref->what) {
    case TRP_FACT_MODEL_QUEUE:
        return trp_fact_int(m->queued);
    case TRP_FACT_MODEL_WAIT:
        return duration(m->wait_ns);
    case TRP_FACT_MODEL_P50:
        return duration(m->p50_ns);
    case TRP_FACT_MODEL_P99:
        return duration(m->p99_ns);
    case TRP_FACT_MODEL_ERRORS:
        return trp_fact_double(m->error_ratio);
    case TRP_FACT_MODEL_BUSY:
        return trp_fact_int(m->busy);
    default:
        return unsigned_fact(m->bytes);
    }
}

static struct trp_fact read_server(struct trp_facts *f, enum trp_fact_what what)
{
    if (!f->has_server && f->load)
        f->load->server(f->load->user, &f->server);
    f->has_server = true;
    if (!f->load)
        return trp_fact_unknown(TRP_UNKNOWN_NOT_TOLD);
    switch (what) {
    case TRP_FACT_SERVER_CPU:
        return trp_fact_double(f->server.cpu_ratio);
    case TRP_FACT_SERVER_MEMORY:
        return trp_fact_double(f->server.memory_ratio);
    default:
        return trp_fact_int(f->server.in_flight);
    }
}

/* ---- time ---- */

static const struct trp_civil *civil_of(struct trp_facts *f)
{
    if (!f->has_civil) {
        trp_zone_civil(f->zone, trp_clock_wall_ns(f->clock), &f->civil);
        f->has_civil = true;
        f->date[0] = '\0';
    }
    return &f->civil;
}

static struct trp_fact date_of(struct trp_facts *f, const struct trp_civil *c)
{
    if (!f->date[0])
        (void)snprintf(f->date, sizeof f->date, "%04d-%02u-%02u", (int)c->year, c->month, c->day);
    return trp_fact_text(trp_str_of(f->date));
}

static struct trp_fact read_time(struct trp_facts *f, const struct trp_fact_ref *ref)
{
    const struct trp_civil *c = civil_of(f);
    switch (ref->what) {
    case TRP_FACT_TIME_HOUR:
        return trp_fact_int(c->hour);
    case TRP_FACT_TIME_MINUTE:
        return trp_fact_int(c->minute);
    case TRP_FACT_TIME_WEEKDAY:
        return trp_fact_text(trp_str_of(weekdays[c->weekday % 7]));
    case TRP_FACT_TIME_DAY:
        return trp_fact_int(c->day);
    case TRP_FACT_TIME_MONTH:
        return trp_fact_int(c->month);
    case TRP_FACT_TIME_YEAR:
        return trp_fact_int(c->year);
    case TRP_FACT_TIME_DATE:
        return date_of(f, c);
    default:
        return trp_fact_bool(trp_cron_holds(ref->cron, c));
    }
}

void trp_facts_read(struct trp_facts *f, const struct trp_fact_ref *ref, struct trp_fact *out)
{
    if (ref->what == TRP_FACT_PARAM)
        read_param(f->call, ref->name, out);
    else if (ref->what == TRP_FACT_HEADER)
        read_header(f->call, ref->name, out);
    else if (ref->what <= TRP_FACT_INPUT_ELEMENT)
        *out = read_input(f, ref);
    else if (ref->what <= TRP_FACT_REQUEST_MODEL)
        *out = read_request(f, ref->what);
    else if (ref->what <= TRP_FACT_MODEL_BYTES)
        *out = read_model(f, ref);
    else if (ref->what <= TRP_FACT_SERVER_IN_FLIGHT)
        *out = read_server(f, ref->what);
    else
        *out = read_time(f, ref);
}

void trp_facts_in_list(struct trp_facts *f, uint32_t list, const struct trp_fact *key,
                       struct trp_fact *out)
{
    char digits[24];
    struct trp_str text = key->v.s;
    if (key->kind == TRP_FACT_INT)
        text = trp_str_make(digits,
                            (size_t)snprintf(digits, sizeof digits, "%lld", (long long)key->v.i));
    else if (key->kind != TRP_FACT_TEXT) {
        *out = trp_fact_unknown(TRP_UNKNOWN_MISMATCH);
        return;
    }
    *out = list < f->lists_n && f->lists[list]
               ? trp_fact_bool(trp_key_list_has(f->lists[list], text))
               : trp_fact_unknown(TRP_UNKNOWN_NOT_TOLD);
}

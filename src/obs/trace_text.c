/* obs/trace_text.c - see trace_text.h.  Data and shape are texts with commas, because Triton's
 * are. */
#include "obs/trace_text.h"

#include <inttypes.h>

#include "base/json.h"

#define DATA_BYTES_MAX ((size_t)4 << 20)

/* What a simulator needs to send such a request again: members that Triton does not have, and
 * its readers do not look at. */
static void add_wish(struct trp_buf *b, const struct trp_trace_record *r)
{
    if (r->rows > 0)
        trp_buf_addf(b, ",\"rows\":%" PRIu64, r->rows);
    if (r->priority) {
        trp_buf_add_text(b, ",\"priority\":");
        trp_json_write_str(b, trp_str_of(r->priority));
    }
    if (r->tenant.len > 0) {
        trp_buf_add_text(b, ",\"tenant\":");
        trp_json_write_str(b, r->tenant);
    }
    if (r->timeout_ns > 0)
        trp_buf_addf(b, ",\"timeout_us\":%" PRId64, r->timeout_ns / 1000);
}

void trp_trace_text_identity(struct trp_buf *b, const struct trp_trace_record *r)
{
    trp_buf_addf(b, ",\n{\"id\":%" PRIu64 ",\"model_name\":", r->id);
    trp_json_write_str(b, r->model);
    trp_buf_addf(b, ",\"model_version\":%" PRId64 ",\"request_id\":", r->version);
    trp_json_write_str(b, r->request_id);
    if (r->parent_id > 0)
        trp_buf_addf(b, ",\"parent_id\":%" PRIu64, r->parent_id);
    if (r->step.len > 0) {
        trp_buf_add_text(b, ",\"step\":");
        trp_json_write_str(b, r->step);
    }
    add_wish(b, r);
    trp_buf_add_char(b, '}');
}

void trp_trace_text_stamps(struct trp_buf *b, const struct trp_trace_record *r)
{
    trp_buf_addf(b, ",\n{\"id\":%" PRIu64 ",\"timestamps\":[", r->id);
    for (uint32_t i = 0; i < r->stamps_n; i++) {
        trp_buf_add_text(b, i ? ",{\"name\":" : "{\"name\":");
        trp_json_write_str(b, trp_str_of(r->stamps[i].name));
        trp_buf_addf(b, ",\"ns\":%" PRId64 "}", r->stamps[i].at_ns);
    }
    trp_buf_add_text(b, "]}");
}

void trp_trace_text_missing(struct trp_buf *b, uint64_t id, uint32_t steps)
{
    trp_buf_addf(b, ",\n{\"id\":%" PRIu64 ",\"steps_missing\":%" PRIu32 "}", id, steps);
}

struct dtype_facts {
    const char *name;
    uint32_t bytes;
};

static struct dtype_facts facts_of(int32_t dtype)
{
    static const struct dtype_facts facts[TROUPE_DTYPES] = {
        [TROUPE_NO_DTYPE] = { "", 0 },
#define X(name, config_name, bytes) [TROUPE_##name] = { #name, bytes },
#include "troupe/dtype.def"
#undef X
    };
    return facts[dtype > 0 && dtype < TROUPE_DTYPES ? dtype : TROUPE_NO_DTYPE];
}

/* Steps over one string of a BYTES tensor; false at the end, and before what does not fit the
 * layout. */
static bool next_string(const struct troupe_tensor *tensor, uint64_t *at, struct trp_str *out)
{
    const unsigned char *p = (const unsigned char *)tensor->data + *at;
    const uint64_t left = tensor->bytes - *at;
    if (left < 4)
        return false;
    const uint64_t len =
        (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24;
    if (len > left - 4)
        return false;
    *out = trp_str_make((const char *)p + 4, (size_t)len);
    *at += 4 + len;
    return true;
}

uint64_t trp_trace_text_bytes(const struct troupe_tensor *tensor)
{
    if (!tensor->data)
        return 0;
    if (tensor->dtype != TROUPE_BYTES) {
        const uint64_t most = (uint64_t)facts_of(tensor->dtype).bytes * TRP_TRACE_ELEMENTS_MAX;
        return tensor->bytes < most ? tensor->bytes : most;
    }
    uint64_t at = 0;
    struct trp_str s;
    for (uint32_t i = 0; i < TRP_TRACE_ELEMENTS_MAX && at < DATA_BYTES_MAX; i++)
        if (!next_string(tensor, &at, &s))
            break;
    return at;
}

static void add_strings(struct trp_buf *b, const struct troupe_tensor *tensor)
{
    uint64_t at = 0;
    struct trp_str s;
    for (uint32_t i = 0; i < TRP_TRACE_ELEMENTS_MAX && next_string(tensor, &at, &s); i++) {
        if (i)
            trp_buf_add_char(b, ',');
        trp_buf_add_str(b, s);
    }
}

static void add_elements(struct trp_buf *b, const struct troupe_tensor *tensor)
{
    const uint32_t width = facts_of(tensor->dtype).bytes;
    if (!tensor->data)
        return;
    if (tensor->dtype == TROUPE_BYTES) {
        add_strings(b, tensor);
    } else if (width) {
        const uint64_t n = tensor->bytes / width;
        trp_json_write_values(b, tensor->dtype, tensor->data,
                              n < TRP_TRACE_ELEMENTS_MAX ? n : TRP_TRACE_ELEMENTS_MAX);
    }
}

void trp_trace_text_tensor(struct trp_buf *b, uint64_t id, const char *activity,
                           struct trp_str name, const struct troupe_tensor *tensor)
{
    struct trp_buf data;
    trp_buf_init(&data, b->alloc, DATA_BYTES_MAX);
    add_elements(&data, tensor);
    trp_buf_addf(b, ",\n{\"id\":%" PRIu64 ",\"activity\":", id);
    trp_json_write_str(b, trp_str_of(activity));
    trp_buf_add_text(b, ",\"tensor\":{\"name\":");
    trp_json_write_str(b, name);
    trp_buf_add_text(b, ",\"data\":");
    trp_json_write_str(b, trp_buf_str(&data));
    trp_buf_add_text(b, ",\"shape\":\"");
    for (uint32_t i = 0; i < tensor->rank; i++)
        trp_buf_addf(b, "%s%" PRId64, i ? "," : "", tensor->shape[i]);
    trp_buf_addf(b, "\",\"dtype\":\"%s\"}}", facts_of(tensor->dtype).name);
    if (data.failed)
        b->failed = data.failed;
    trp_buf_deinit(&data);
}

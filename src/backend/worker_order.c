/* backend/worker_order.c - see worker_order.h.
 *
 * A text is its length and its bytes, NULL the length NONE.  What comes from a worker is read as if
 * anybody had written it: every length is compared with what is there. */
#include "backend/worker_order.h"

#define NONE UINT32_MAX
#define ITEMS_MAX 65536u /* options, names of classes */

/* ---- writing ---- */

static void put_number(struct trp_buf *b, uint64_t n)
{
    trp_buf_add(b, &n, sizeof n);
}

static void put_str(struct trp_buf *b, struct trp_str s)
{
    put_number(b, s.len);
    trp_buf_add_str(b, s);
}

static void put_text(struct trp_buf *b, const char *text)
{
    if (text)
        put_str(b, trp_str_of(text));
    else
        put_number(b, NONE);
}

static void put_options(struct trp_buf *b, const struct troupe_option *options, uint32_t n)
{
    put_number(b, n);
    for (uint32_t i = 0; i < n; i++) {
        put_text(b, options[i].key);
        put_text(b, options[i].value);
    }
}

void trp_worker_order_encode(const struct trp_worker_order *o, struct trp_buf *b)
{
    const struct troupe_model_desc *d = &o->desc;
    put_text(b, o->backend);
    put_text(b, o->plugins);
    put_options(b, o->options, o->options_n);
    put_number(b, (uint64_t)o->nice);
    put_number(b, (uint64_t)o->log_format);
    put_number(b, o->log_levels);
    put_text(b, d->name);
    put_text(b, d->path);
    put_text(b, d->skeleton);
    put_text(b, d->blobs);
    put_options(b, d->options, d->options_n);
    put_number(b, (uint64_t)d->thread_mode);
    put_number(b, (uint64_t)d->packed);
    put_number(b, d->devices_n);
    for (uint32_t i = 0; i < d->devices_n; i++) {
        put_number(b, (uint64_t)d->devices[i].kind);
        put_number(b, d->devices[i].ordinal);
    }
}

static void put_io(struct trp_buf *b, const struct trp_io *io)
{
    put_str(b, io->name);
    put_number(b, (uint64_t)io->dtype);
    put_number(b, io->rank);
    trp_buf_add(b, io->dims, sizeof io->dims);
    for (uint32_t i = 0; i < TROUPE_RANK_MAX; i++)
        put_str(b, io->dim_names && i < io->rank ? io->dim_names[i] : (struct trp_str){ 0 });
    put_number(b, io->optional);
    put_number(b, io->any_rank);
    put_number(b, io->labels_n);
    for (uint32_t i = 0; i < io->labels_n; i++)
        put_str(b, io->labels[i]);
}

void trp_worker_order_encode_face(const struct trp_signature *s, struct trp_buf *b)
{
    put_number(b, s->inputs_n);
    put_number(b, s->outputs_n);
    for (uint32_t i = 0; i < s->inputs_n; i++)
        put_io(b, &s->inputs[i]);
    for (uint32_t i = 0; i < s->outputs_n; i++)
        put_io(b, &s->outputs[i]);
    put_str(b, s->platform);
}

/* ---- reading ---- */

struct reader {
    struct trp_str rest;
    struct trp_arena *arena;
    bool is_bad, is_short_of_memory;
};

static uint64_t get_number(struct reader *r)
{
    uint64_t n = 0;
    if (r->rest.len < sizeof n) {
        r->is_bad = true;
        return 0;
    }
    memcpy(&n, r->rest.ptr, sizeof n);
    r->rest = trp_str_make(r->rest.ptr + sizeof n, r->rest.len - sizeof n);
    return n;
}

static uint32_t get_count(struct reader *r, uint32_t most)
{
    const uint64_t n = get_number(r);
    if (n > most)
        r->is_bad = true;
    return r->is_bad ? 0 : (uint32_t)n;
}

/* Terminated; NULL: there is none, or it is bad. */
static const char *get_text(struct reader *r)
{
    const uint64_t n = get_number(r);
    if (r->is_bad || n == NONE)
        return NULL;
    if (n > r->rest.len) {
        r->is_bad = true;
        return NULL;
    }
    const char *text = trp_arena_dup(r->arena, trp_str_make(r->rest.ptr, n)).ptr;
    r->rest = trp_str_make(r->rest.ptr + n, r->rest.len - n);
    r->is_short_of_memory = r->is_short_of_memory || !text;
    return text;
}

static trp_status check(const struct reader *r, struct trp_error *err)
{
    if (r->is_short_of_memory)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for what a worker process said");
    if (r->is_bad)
        return trp_fail(err, TRP_DATA_LOSS, "what a worker process said makes no sense");
    return trp_ok();
}

static const struct troupe_option *get_options(struct reader *r, uint32_t *out_n)
{
    const uint32_t n = get_count(r, ITEMS_MAX);
    struct troupe_option *options = trp_arena_zeroed(r->arena, (size_t)n + 1, sizeof *options);
    *out_n = 0;
    r->is_short_of_memory = r->is_short_of_memory || !options;
    for (uint32_t i = 0; options && i < n; i++) {
        options[i].key = get_text(r);
        options[i].value = get_text(r);
        *out_n = i + 1;
    }
    return options;
}

static const struct troupe_device_id *get_devices(struct reader *r, uint32_t *out_n)
{
    const uint32_t n = get_count(r, TROUPE_DEVICES_MAX + 1); /* and the CPU */
    struct troupe_device_id *ids = n ? trp_arena_zeroed(r->arena, n, sizeof *ids) : NULL;
    r->is_short_of_memory = r->is_short_of_memory || (n && !ids);
    *out_n = ids ? n : 0;
    for (uint32_t i = 0; i < *out_n; i++) {
        ids[i].kind = (int32_t)get_number(r);
        ids[i].ordinal = get_count(r, UINT32_MAX);
    }
    return ids;
}

trp_status trp_worker_order_decode(struct trp_str bytes, struct trp_arena *arena,
                                   struct trp_worker_order *out, struct trp_error *err)
{
    struct reader r = { .rest = bytes, .arena = arena };
    struct troupe_model_desc *d = &out->desc;
    *out = (struct trp_worker_order){ .desc.struct_size = sizeof out->desc };
    out->backend = get_text(&r);
    out->plugins = get_text(&r);
    out->options = get_options(&r, &out->options_n);
    out->nice = (int32_t)get_number(&r);
    out->log_format = (int32_t)get_number(&r);
    out->log_levels = (uint32_t)get_number(&r);
    d->name = get_text(&r);
    d->path = get_text(&r);
    d->skeleton = get_text(&r);
    d->blobs = get_text(&r);
    d->options = get_options(&r, &d->options_n);
    d->thread_mode = (int32_t)get_number(&r);
    d->packed = (int32_t)get_number(&r);
    d->devices = get_devices(&r, &d->devices_n);
    r.is_bad = r.is_bad || (!out->backend && !r.is_short_of_memory);
    return check(&r, err);
}

static void get_labels(struct reader *r, struct troupe_io *io)
{
    const uint32_t n = get_count(r, ITEMS_MAX);
    const char **labels = n ? trp_arena_zeroed(r->arena, n, sizeof *labels) : NULL;
    r->is_short_of_memory = r->is_short_of_memory || (n && !labels);
    for (uint32_t i = 0; labels && i < n; i++) {
        labels[i] = get_text(r);
        r->is_bad = r->is_bad || (!labels[i] && !r->is_short_of_memory);
    }
    io->labels = labels;
    io->labels_n = labels ? n : 0;
}

static void get_io(struct reader *r, struct troupe_io *io)
{
    io->name = get_text(r);
    io->dtype = (int32_t)get_number(r);
    io->rank = get_count(r, TROUPE_RANK_MAX);
    if (r->rest.len < sizeof io->dims) {
        r->is_bad = true;
        return;
    }
    memcpy(io->dims, r->rest.ptr, sizeof io->dims);
    r->rest = trp_str_make(r->rest.ptr + sizeof io->dims, r->rest.len - sizeof io->dims);
    for (uint32_t i = 0; i < TROUPE_RANK_MAX; i++) {
        const char *name = get_text(r);
        io->dim_names[i] = name && *name ? name : NULL;
    }
    io->optional = get_number(r) != 0;
    io->any_rank = get_number(r) != 0;
    get_labels(r, io);
    r->is_bad = r->is_bad || (!io->name && !r->is_short_of_memory);
}

static void tell(struct reader *r, uint32_t n, void (*to)(void *user, const struct troupe_io *io),
                 void *user)
{
    for (uint32_t i = 0; i < n && !r->is_bad && !r->is_short_of_memory; i++) {
        struct troupe_io io = { .name = NULL };
        get_io(r, &io);
        if (!r->is_bad && !r->is_short_of_memory)
            to(user, &io);
    }
}

trp_status trp_worker_order_tell_face(struct trp_str bytes, struct trp_arena *arena,
                                      const struct troupe_sink *sink, struct trp_error *err)
{
    struct reader r = { .rest = bytes, .arena = arena };
    const uint32_t inputs_n = get_count(&r, TRP_IO_MAX), outputs_n = get_count(&r, TRP_IO_MAX);
    tell(&r, inputs_n, sink->input, sink->user);
    tell(&r, outputs_n, sink->output, sink->user);
    const char *platform = get_text(&r);
    TRP_CHECK(check(&r, err));
    if (platform)
        sink->platform(sink->user, platform);
    return trp_ok();
}

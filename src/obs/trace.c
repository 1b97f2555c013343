/* obs/trace.c - who is traced, and the file.
 *
 * Settings and file have a lock each, so that a slow disk never delays the decision for another
 * request. The file's lock is held across its one write: two records must not meet at the closing
 * bracket.  That is the price of a file that is valid JSON whenever somebody looks; tracing is off
 * unless somebody asks.
 *
 * A file is "[", records with "," between, "]".  The next record is written over the bracket and
 * brings a new one, in one pwrite(); after a failure the file is cut back to what it was. */
#include "obs/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/table.h"
#include "base/thread.h"

#define MODELS_MAX 1000
#define RECORD_BYTES_MAX ((size_t)8 << 20)
#define TAIL "\n]\n"
#define RATE_DEFAULT 1000

/* The settings of one model, or the global ones. */
struct rule {
    struct trp_trace_settings set;
    uint64_t seen; /* requests since they were set */
};

struct sink {
    int fd;         /* -1: not open */
    uint64_t end;   /* where the tail begins */
    uint64_t index; /* of the next file, when files rotate */
    uint64_t traces;
};

struct trp_trace {
    const struct trp_alloc *alloc;
    struct trp_counter armed; /* rules that may trace something */
    struct trp_counter lost;
    struct trp_lock rules_lock; /* guards the next three */
    struct rule global;
    struct trp_table *models; /* name -> struct rule */
    uint64_t last_id;
    struct trp_lock file_lock; /* guards the next two */
    struct sink whole, rotating;
    struct sink *current; /* where the last trace went: its tensors follow it */
    char file[sizeof((struct trp_trace_settings *)NULL)->file];
};

/* ---- construction ---------------------------------------------------------------------------- */

trp_status trp_trace_create(const struct trp_alloc *alloc, const char *file,
                            struct trp_trace **out_trace, struct trp_error *err)
{
    *out_trace = NULL;
    struct trp_trace *t = trp_alloc_zeroed(alloc, 1, sizeof *t);
    if (!t)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "tracer");
    t->alloc = alloc;
    t->global.set.rate = RATE_DEFAULT;
    t->global.set.count = -1;
    t->whole.fd = t->rotating.fd = -1;
    t->current = &t->whole;
    trp_lock_init(&t->rules_lock, TRP_LOCK_TRACE);
    trp_lock_init(&t->file_lock, TRP_LOCK_TRACE_FILE);
    trp_status st = trp_table_create(alloc, MODELS_MAX, &t->models, err);
    if (!trp_failed(st) && !trp_str_copy(trp_str_of(file), t->file, sizeof t->file))
        st = trp_fail(err, TRP_TOO_LARGE, "trace file: a name of more than %zu bytes",
                      sizeof t->file - 1);
    if (trp_failed(st)) {
        trp_trace_destroy(t);
        return st;
    }
    (void)trp_str_copy(trp_str_of(t->file), t->global.set.file, sizeof t->global.set.file);
    *out_trace = t;
    return trp_ok();
}

static void close_sink(struct sink *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

void trp_trace_destroy(struct trp_trace *t)
{
    if (!t)
        return;
    uint32_t cursor = 0;
    struct trp_str model;
    void *rule;
    while (t->models && trp_table_next(t->models, &cursor, &model, &rule))
        trp_alloc_free(t->alloc, rule);
    trp_table_destroy(t->models);
    close_sink(&t->whole);
    close_sink(&t->rotating);
    trp_lock_deinit(&t->file_lock);
    trp_lock_deinit(&t->rules_lock);
    trp_alloc_free(t->alloc, t);
}

/* ---- settings -------------------------------------------------------------------------------- */

static struct rule *rule_of(struct trp_trace *t, struct trp_str model)
{
    struct rule *own = model.len ? trp_table_get(t->models, model) : NULL;
    return own ? own : &t->global;
}

static bool is_armed(const struct rule *r)
{
    return (r->set.timestamps || r->set.tensors) && r->set.count != 0;
}

static void count_armed(struct trp_trace *t)
{
    uint64_t n = is_armed(&t->global);
    uint32_t cursor = 0;
    struct trp_str model;
    void *rule;
    while (trp_table_next(t->models, &cursor, &model, &rule))
        n += is_armed(rule);
    trp_counter_set(&t->armed, n);
}

static struct trp_trace_settings settings_of(struct trp_trace *t, struct trp_str model)
{
    trp_lock_enter(&t->rules_lock);
    const struct trp_trace_settings set = rule_of(t, model)->set;
    trp_lock_leave(&t->rules_lock);
    return set;
}

void trp_trace_get(struct trp_trace *t, struct trp_str model, struct trp_trace_settings *out)
{
    *out = settings_of(t, model);
}

/* The model's own rule, made when there is none; under the lock. */
static trp_status own_rule(struct trp_trace *t, struct trp_str model, struct rule **out,
                           struct trp_error *err)
{
    struct rule *rule = model.len ? trp_table_get(t->models, model) : &t->global;
    if (!rule && model.len) {
        rule = trp_alloc_zeroed(t->alloc, 1, sizeof *rule);
        if (!rule)
            return trp_fail(err, TRP_OUT_OF_MEMORY, "trace settings");
        const trp_status st = trp_table_put(t->models, model, rule, NULL, err);
        if (trp_failed(st)) {
            trp_alloc_free(t->alloc, rule);
            trp_error_within(err, "trace settings of model '%.*s'", TRP_STR(model));
            return st;
        }
    }
    *out = rule;
    return trp_ok();
}

trp_status trp_trace_set(struct trp_trace *t, struct trp_str model,
                         const struct trp_trace_settings *s, struct trp_error *err)
{
    if (s->rate == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "trace rate: 0, at least 1 is expected");
    struct rule *rule = NULL;
    trp_lock_enter(&t->rules_lock);
    const trp_status st = own_rule(t, model, &rule, err);
    if (!trp_failed(st)) {
        rule->set = *s;
        rule->seen = 0;
        (void)trp_str_copy(trp_str_of(t->file), rule->set.file, sizeof rule->set.file);
        count_armed(t);
    }
    trp_lock_leave(&t->rules_lock);
    return st;
}

void trp_trace_clear(struct trp_trace *t, struct trp_str model)
{
    trp_lock_enter(&t->rules_lock);
    trp_alloc_free(t->alloc, trp_table_take(t->models, model));
    count_armed(t);
    trp_lock_leave(&t->rules_lock);
}

uint64_t trp_trace_begin(struct trp_trace *t, struct trp_str model, bool *out_tensors)
{
    *out_tensors = false;
    if (!t || trp_counter_get(&t->armed) == 0)
        return 0;
    uint64_t id = 0;
    trp_lock_enter(&t->rules_lock);
    struct rule *rule = rule_of(t, model);
    if (is_armed(rule) && ++rule->seen % rule->set.rate == 0) {
        id = ++t->last_id;
        *out_tensors = rule->set.tensors;
        if (rule->set.count > 0 && --rule->set.count == 0)
            count_armed(t);
    }
    trp_lock_leave(&t->rules_lock);
    return id;
}

/* ---- the file -------------------------------------------------------------------------------- */

static bool write_at(int fd, struct trp_str s, uint64_t at)
{
    while (s.len) {
        const ssize_t n = pwrite(fd, s.ptr, s.len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        s = trp_str_make(s.ptr + n, s.len - (size_t)n);
        at += (uint64_t)n;
    }
    return true;
}

static bool open_sink(struct trp_trace *t, struct sink *s)
{
    char path[sizeof t->file + 24];
    if (s == &t->rotating)
        (void)snprintf(path, sizeof path, "%s.%" PRIu64, t->file, s->index++);
    else
        (void)snprintf(path, sizeof path, "%s", t->file);
    s->end = s->traces = 0;
    return t->file[0] &&
           !trp_failed(trp_file_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644, &s->fd, NULL));
}

/* Appends "<mark>record<TAIL>"; the record begins with a byte for the mark.  Under the file's
 * lock. */
static bool append(struct trp_trace *t, struct sink *s, struct trp_buf *record)
{
    if (record->failed || (s->fd < 0 && !open_sink(t, s)))
        return false;
    record->ptr[0] = s->end ? ',' : '[';
    if (write_at(s->fd, trp_buf_str(record), s->end)) {
        s->end += record->len - strlen(TAIL);
        return true;
    }
    const struct trp_str tail = s->end ? TRP_STR_LIT(TAIL) : TRP_STR_LIT("[" TAIL);
    if (ftruncate(s->fd, (off_t)s->end) != 0 || !write_at(s->fd, tail, s->end))
        close_sink(s); /* beyond repair: the next record begins the file anew */
    return false;
}

static void begin_record(struct trp_trace *t, struct trp_buf *b)
{
    trp_buf_init(b, t->alloc, RECORD_BYTES_MAX);
    trp_buf_add_text(b, " \n"); /* the blank becomes the mark */
}

static void end_record(struct trp_trace *t, struct trp_buf *b, bool written)
{
    if (!written)
        trp_counter_add(&t->lost, 1);
    trp_buf_deinit(b);
}

uint64_t trp_trace_lost(const struct trp_trace *t)
{
    return trp_counter_get(&t->lost);
}

/* ---- records --------------------------------------------------------------------------------- */

static void add_identity(struct trp_buf *b, const struct trp_trace_record *r)
{
    trp_buf_addf(b, "{\"id\":%" PRIu64 ",\"model_name\":", r->id);
    trp_json_write_str(b, r->model);
    trp_buf_addf(b, ",\"model_version\":%" PRId64 ",\"request_id\":", r->version);
    trp_json_write_str(b, r->request_id);
    trp_buf_add_char(b, '}');
}

static void add_stamps(struct trp_buf *b, const struct trp_trace_record *r)
{
    trp_buf_addf(b, ",\n{\"id\":%" PRIu64 ",\"timestamps\":[", r->id);
    for (uint32_t i = 0; i < r->stamps_n; i++) {
        trp_buf_add_text(b, i ? ",{\"name\":" : "{\"name\":");
        trp_json_write_str(b, trp_str_of(r->stamps[i].name));
        trp_buf_addf(b, ",\"ns\":%" PRId64 "}", r->stamps[i].at_ns);
    }
    trp_buf_add_text(b, "]}");
}

void trp_trace_write(struct trp_trace *t, const struct trp_trace_record *r)
{
    const struct trp_trace_settings set = settings_of(t, r->model);
    struct trp_buf b;
    begin_record(t, &b);
    add_identity(&b, r);
    if (set.timestamps)
        add_stamps(&b, r);
    trp_buf_add_text(&b, TAIL);
    trp_lock_enter(&t->file_lock);
    struct sink *s = t->current = set.log_frequency ? &t->rotating : &t->whole;
    if (set.log_frequency && s->traces >= set.log_frequency)
        close_sink(s); /* only now: the last trace's tensors belong to its file */
    const bool written = append(t, s, &b);
    s->traces++;
    trp_lock_leave(&t->file_lock);
    end_record(t, &b, written);
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

/* The strings of a BYTES tensor with commas between; stops at whatever does not fit the layout. */
static void add_strings(struct trp_buf *b, const struct troupe_tensor *tensor)
{
    const unsigned char *p = tensor->data;
    uint64_t left = tensor->bytes;
    for (uint32_t i = 0; i < TRP_TRACE_ELEMENTS_MAX && left >= 4; i++) {
        const uint64_t len =
            (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24;
        if (len > left - 4)
            break;
        if (i)
            trp_buf_add_char(b, ',');
        trp_buf_add(b, p + 4, len);
        p += 4 + len;
        left -= 4 + len;
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

/* Data and shape are texts with commas, because Triton's are. */
void trp_trace_write_tensor(struct trp_trace *t, uint64_t id, const char *activity,
                            struct trp_str name, const struct troupe_tensor *tensor)
{
    struct trp_buf b, data;
    trp_buf_init(&data, t->alloc, RECORD_BYTES_MAX / 2);
    add_elements(&data, tensor);
    begin_record(t, &b);
    trp_buf_addf(&b, "{\"id\":%" PRIu64 ",\"activity\":", id);
    trp_json_write_str(&b, trp_str_of(activity));
    trp_buf_add_text(&b, ",\"tensor\":{\"name\":");
    trp_json_write_str(&b, name);
    trp_buf_add_text(&b, ",\"data\":");
    trp_json_write_str(&b, trp_buf_str(&data));
    trp_buf_add_text(&b, ",\"shape\":\"");
    for (uint32_t i = 0; i < tensor->rank; i++)
        trp_buf_addf(&b, "%s%" PRId64, i ? "," : "", tensor->shape[i]);
    trp_buf_addf(&b, "\",\"dtype\":\"%s\"}}" TAIL, facts_of(tensor->dtype).name);
    trp_lock_enter(&t->file_lock);
    const bool written = !data.failed && append(t, t->current, &b);
    trp_lock_leave(&t->file_lock);
    trp_buf_deinit(&data);
    end_record(t, &b, written);
}

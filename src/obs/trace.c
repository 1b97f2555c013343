/* obs/trace.c - who is traced, and what is handed to the writer.
 *
 * The decision takes a lock for some instructions.  What is traced becomes a letter, which moves to
 * the writer's thread (trace_writer.c): text that is short is made here, tensors are copied and
 * become text there. */
#include "obs/trace.h"

#include "base/atomic.h"
#include "base/table.h"
#include "base/thread.h"
#include "obs/trace_text.h"
#include "obs/trace_writer.h"

#define MODELS_MAX 1000
#define RATE_DEFAULT 1000

/* The settings of one model, or the global ones. */
struct rule {
    struct trp_trace_settings set;
    uint64_t seen; /* requests since they were set */
};

struct trp_trace {
    const struct trp_alloc *alloc;
    struct trp_counter armed;   /* rules that may trace something */
    struct trp_lock rules_lock; /* guards the next three */
    struct rule global;
    struct trp_table *models; /* name -> struct rule */
    uint64_t last_id;
    struct trp_trace_writer *writer;
    char file[sizeof((struct trp_trace_settings *)NULL)->file];
};

/* ---- construction ---------------------------------------------------------------------------- */

trp_status trp_trace_create(const struct trp_alloc *alloc, const struct trp_trace_opts *opts,
                            struct trp_trace **out_trace, struct trp_error *err)
{
    *out_trace = NULL;
    struct trp_trace *t = trp_alloc_zeroed(alloc, 1, sizeof *t);
    if (!t)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "tracer");
    t->alloc = alloc;
    t->global.set.rate = RATE_DEFAULT;
    t->global.set.count = -1;
    trp_lock_init(&t->rules_lock, TRP_LOCK_TRACE);
    trp_status st = trp_table_create(alloc, MODELS_MAX, &t->models, err);
    if (!trp_failed(st))
        st = trp_trace_writer_create(alloc, opts, &t->writer, err);
    if (trp_failed(st)) {
        trp_trace_destroy(t);
        return st;
    }
    (void)trp_str_copy(trp_str_of(opts->file), t->file, sizeof t->file); /* the writer's fits */
    (void)trp_str_copy(trp_str_of(t->file), t->global.set.file, sizeof t->global.set.file);
    *out_trace = t;
    return trp_ok();
}

void trp_trace_destroy(struct trp_trace *t)
{
    if (!t)
        return;
    trp_trace_writer_destroy(t->writer);
    uint32_t cursor = 0;
    struct trp_str model;
    void *rule;
    while (t->models && trp_table_next(t->models, &cursor, &model, &rule))
        trp_alloc_free(t->alloc, rule);
    trp_table_destroy(t->models);
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

/* ---- letters --------------------------------------------------------------------------------- */

struct trp_trace_mail *trp_trace_open(struct trp_trace *t, const struct trp_trace_record *r)
{
    const bool is_full = trp_trace_writer_is_full(t->writer);
    struct trp_trace_mail *m = is_full ? NULL : trp_alloc_zeroed(t->alloc, 1, sizeof *m);
    if (!m) {
        trp_trace_writer_lose(t->writer, TRP_TRACE_LOST_FULL, 1);
        return NULL;
    }
    const struct trp_trace_settings set = settings_of(t, r->rules.len ? r->rules : r->model);
    m->alloc = t->alloc;
    m->id = r->id;
    m->bytes = sizeof *m;
    m->log_frequency = set.log_frequency;
    m->end = &m->first;
    trp_buf_init(&m->text, t->alloc, TRP_TRACE_TEXT_MAX);
    trp_trace_text_identity(&m->text, r);
    if (set.timestamps)
        trp_trace_text_stamps(&m->text, r);
    return m;
}

void trp_trace_add(struct trp_trace_mail *m, const char *activity, struct trp_str name,
                   const struct troupe_tensor *tensor)
{
    if (!m || m->text.failed)
        return;
    const uint64_t data_bytes = trp_trace_text_bytes(tensor);
    const uint64_t bytes = sizeof(struct trp_trace_copy) + data_bytes + name.len;
    struct trp_trace_copy *c = trp_alloc_get(m->alloc, 1, (size_t)bytes);
    if (!c) {
        m->text.failed = TRP_OUT_OF_MEMORY;
        return;
    }
    char *data = (char *)(c + 1), *own_name = data + data_bytes;
    if (data_bytes)
        memcpy(data, tensor->data, (size_t)data_bytes);
    if (name.len)
        memcpy(own_name, name.ptr, name.len);
    *c = (struct trp_trace_copy){ .tensor = *tensor,
                                  .activity = activity,
                                  .name = trp_str_make(own_name, name.len) };
    c->tensor.data = tensor->data ? data : NULL;
    c->tensor.bytes = data_bytes;
    *m->end = c;
    m->end = &c->next;
    m->bytes += bytes;
}

uint64_t trp_trace_number(struct trp_trace *t)
{
    trp_lock_enter(&t->rules_lock);
    const uint64_t id = ++t->last_id;
    trp_lock_leave(&t->rules_lock);
    return id;
}

void trp_trace_collect(struct trp_trace *t, struct trp_trace_mail **list, struct trp_trace_mail *m)
{
    struct trp_trace_mail *const first = *list;
    if (m && !trp_trace_writer_pay(t->writer, m, first ? first->steps_bytes : 0)) {
        trp_trace_writer_lose(t->writer, TRP_TRACE_LOST_FULL, 1);
        trp_trace_mail_free(m);
        m = NULL;
    }
    if (!m) {
        if (first)
            first->missing++;
        return;
    }
    m->steps_bytes = m->paid_bytes + (first ? first->steps_bytes : 0);
    m->missing = first ? first->missing : 0;
    m->step = first;
    *list = m;
}

void trp_trace_join(struct trp_trace_mail *m, struct trp_trace_mail **list)
{
    if (m && *list && (*list)->missing > 0)
        trp_trace_text_missing(&m->text, m->id, (*list)->missing);
    if (m)
        m->step = *list;
    else
        trp_trace_mail_free(*list);
    *list = NULL;
}

void trp_trace_post(struct trp_trace *t, struct trp_trace_mail *m)
{
    if (m)
        trp_trace_writer_post(t->writer, m);
}

void trp_trace_flush(struct trp_trace *t, struct trp_trace_flush *flush)
{
    trp_trace_writer_flush(t->writer, flush);
}

uint64_t trp_trace_lost(const struct trp_trace *t, enum trp_trace_loss loss)
{
    return trp_trace_writer_lost(t->writer, loss);
}

/* admin/observation_answers.c - trace and log settings.  What is set acts at once.
 *
 * Triton's settings are text: a trace setting is a list of strings, a log setting a bool, number
 * or string. */
#include <inttypes.h>

#include "admin/admin_internal.h"

static const struct trp_str nothing = { NULL, 0 };

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the reply");
}

/* -- trace -- */

static bool add_values(struct trp_arena *arena, struct trp_node *settings, const char *key,
                       const struct trp_str *values, uint32_t n)
{
    struct trp_node *entry = trp_node_add_map(arena, settings, key);
    struct trp_node *list = entry ? trp_node_add_list(arena, entry, "value") : NULL;
    bool ok = list != NULL;
    for (uint32_t i = 0; ok && i < n; i++)
        ok = values[i].ptr && trp_node_add_str(arena, list, "", values[i]);
    return ok;
}

static trp_status reply_trace(struct trp_admin *a, struct trp_control *c, struct trp_str model,
                              struct trp_error *err)
{
    struct trp_trace_settings s;
    trp_trace_get(a->opts.trace, model, &s);
    struct trp_node *root = trp_node_new(c->arena, TRP_NODE_MAP);
    struct trp_node *settings = trp_node_add_map(c->arena, root, "settings");
    const struct trp_str off = TRP_STR_LIT("OFF"), mode = TRP_STR_LIT("triton");
    struct trp_str levels[2] = { off, off };
    uint32_t levels_n = 0;
    if (s.timestamps)
        levels[levels_n++] = TRP_STR_LIT("TIMESTAMPS");
    if (s.tensors)
        levels[levels_n++] = TRP_STR_LIT("TENSORS");
    const struct trp_str file = trp_arena_dup(c->arena, trp_str_of(s.file));
    const struct trp_str rate = trp_arena_format(c->arena, "%" PRIu64, s.rate);
    const struct trp_str count = trp_arena_format(c->arena, "%" PRId64, s.count);
    const struct trp_str frequency = trp_arena_format(c->arena, "%" PRIu32, s.log_frequency);
    if (!settings ||
        !add_values(c->arena, settings, "trace_level", levels, levels_n ? levels_n : 1) ||
        !add_values(c->arena, settings, "trace_rate", &rate, 1) ||
        !add_values(c->arena, settings, "trace_count", &count, 1) ||
        !add_values(c->arena, settings, "log_frequency", &frequency, 1) ||
        !add_values(c->arena, settings, "trace_file", &file, 1) ||
        !add_values(c->arena, settings, "trace_mode", &mode, 1))
        return no_memory(err);
    c->reply = root;
    return trp_ok();
}

/* A model, route or composition that is asked for must exist; the name comes in the path (HTTP) or
 * in the message (gRPC). */
static trp_status trace_model(struct trp_admin *a, struct trp_control *c, struct trp_str *out,
                              struct trp_error *err)
{
    const struct trp_entry *e;
    *out = c->model.len ? c->model : trp_node_str(c->request, "model_name", nothing);
    if (out->len == 0 || trp_directory_find(trp_admin_directory(a, c->loop_index), *out))
        return trp_ok();
    return trp_admin_entry(a, c, *out, &e, err);
}

trp_status trp_answer_trace_get(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    struct trp_str model;
    TRP_CHECK(trace_model(a, c, &model, err));
    return reply_trace(a, c, model, err);
}

static struct trp_str value_at(const struct trp_node *setting, uint32_t index)
{
    const struct trp_node *list = trp_node_get(setting, "value");
    const struct trp_node *v = list ? list->first : NULL;
    while (v && index--)
        v = v->next;
    return v && (v->kind == TRP_NODE_STR || v->kind == TRP_NODE_WORD) ? v->v.s : nothing;
}

static trp_status set_levels(const struct trp_node *setting, struct trp_trace_settings *s,
                             struct trp_error *err)
{
    s->timestamps = s->tensors = false;
    for (uint32_t i = 0;; i++) {
        const struct trp_str level = value_at(setting, i);
        if (!level.len)
            return trp_ok();
        if (trp_str_is(level, "TIMESTAMPS"))
            s->timestamps = true;
        else if (trp_str_is(level, "TENSORS"))
            s->tensors = true;
        else if (trp_str_is(level, "MIN") || trp_str_is(level, "MAX"))
            s->timestamps = true; /* Triton's old names */
        else if (!trp_str_is(level, "OFF"))
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "trace_level '%.*s' is not known: OFF, TIMESTAMPS, TENSORS",
                            TRP_STR(level));
    }
}

static trp_status set_number(const struct trp_node *setting, int64_t least, int64_t *out,
                             struct trp_error *err)
{
    const struct trp_str text = value_at(setting, 0);
    int64_t v;
    if (!trp_str_parse_i64(text, &v) || v < least)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "%.*s: '%.*s' is not a whole number of at least %" PRId64,
                        TRP_STR(setting->key), TRP_STR(text), least);
    *out = v;
    return trp_ok();
}

/* One setting; an empty list of values puts the setting of `inherited` back. */
static trp_status set_trace(const struct trp_node *setting,
                            const struct trp_trace_settings *inherited,
                            struct trp_trace_settings *s, struct trp_error *err)
{
    const bool clear = value_at(setting, 0).len == 0;
    int64_t v = 0;
    if (trp_str_is(setting->key, "trace_level")) {
        TRP_CHECK(set_levels(setting, s, err));
        if (clear) {
            s->timestamps = inherited->timestamps;
            s->tensors = inherited->tensors;
        }
    } else if (trp_str_is(setting->key, "trace_rate")) {
        if (!clear)
            TRP_CHECK(set_number(setting, 1, &v, err));
        s->rate = clear ? inherited->rate : (uint64_t)v;
    } else if (trp_str_is(setting->key, "trace_count")) {
        if (!clear)
            TRP_CHECK(set_number(setting, -1, &v, err));
        s->count = clear ? inherited->count : v;
    } else if (trp_str_is(setting->key, "log_frequency")) {
        if (!clear)
            TRP_CHECK(set_number(setting, 0, &v, err));
        if (v > UINT32_MAX)
            return trp_fail(err, TRP_INVALID_ARGUMENT, "log_frequency: %" PRId64 " is too large",
                            v);
        s->log_frequency = clear ? inherited->log_frequency : (uint32_t)v;
    } else if (trp_str_is(setting->key, "trace_file")) {
        return trp_fail(err, TRP_UNIMPLEMENTED,
                        "trace file location can not be updated through network protocol");
    } else if (!trp_str_is(setting->key, "trace_mode")) {
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "trace setting '%.*s' is not known: trace_level, trace_rate, trace_count, "
                        "log_frequency",
                        TRP_STR(setting->key));
    }
    return trp_ok();
}

trp_status trp_answer_trace_set(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    struct trp_str model;
    struct trp_trace_settings inherited, s;
    TRP_CHECK(trace_model(a, c, &model, err));
    const struct trp_node *settings = trp_node_get(c->request, "settings");
    if (!model.len && settings && settings->children_n == 0)
        return reply_trace(a, c, model, err);
    trp_trace_get(a->opts.trace, nothing, &inherited);
    trp_trace_get(a->opts.trace, model, &s);
    if (!model.len) /* clearing a global setting puts the default back */
        inherited = (struct trp_trace_settings){ .rate = 1000, .count = -1 };
    for (const struct trp_node *n = settings ? settings->first : NULL; n; n = n->next)
        TRP_CHECK(set_trace(n, &inherited, &s, err));
    TRP_CHECK(trp_trace_set(a->opts.trace, model, &s, err));
    return reply_trace(a, c, model, err);
}

/* -- log -- */

static bool add_log_bool(struct trp_arena *arena, struct trp_node *settings, const char *key,
                         bool v)
{
    struct trp_node *entry = trp_node_add_map(arena, settings, key);
    return entry && trp_node_add_bool(arena, entry, "bool_param", v);
}

static const char *format_name(enum trp_log_format f)
{
    return f == TRP_LOG_FORMAT_ISO8601 ? "ISO8601" : f == TRP_LOG_FORMAT_JSON ? "JSON" : "default";
}

trp_status trp_answer_log_get(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    const struct trp_log *log = a->opts.log;
    struct trp_arena *arena = c->arena;
    struct trp_node *root = trp_node_new(arena, TRP_NODE_MAP), *entry;
    struct trp_node *settings = trp_node_add_map(arena, root, "settings");
    const bool ok =
        settings && (entry = trp_node_add_map(arena, settings, "log_file")) &&
        trp_node_add_str(arena, entry, "string_param", TRP_STR_LIT("")) &&
        add_log_bool(arena, settings, "log_info", trp_log_is_enabled(log, TRP_LOG_INFO)) &&
        add_log_bool(arena, settings, "log_warning", trp_log_is_enabled(log, TRP_LOG_WARNING)) &&
        add_log_bool(arena, settings, "log_error", trp_log_is_enabled(log, TRP_LOG_ERROR)) &&
        (entry = trp_node_add_map(arena, settings, "log_verbose_level")) &&
        trp_node_add_u64(arena, entry, "uint32_param", trp_log_verbose(log)) &&
        (entry = trp_node_add_map(arena, settings, "log_format")) &&
        trp_node_add_str(arena, entry, "string_param",
                         trp_str_of(format_name(trp_log_get_format(log))));
    if (!ok)
        return no_memory(err);
    c->reply = root;
    return trp_ok();
}

static trp_status set_log_format(struct trp_log *log, const struct trp_node *n, bool apply,
                                 struct trp_error *err)
{
    const struct trp_str name = trp_node_str(n, "string_param", nothing);
    for (int f = TRP_LOG_FORMAT_DEFAULT; f <= TRP_LOG_FORMAT_JSON; f++) {
        if (trp_str_is(name, format_name((enum trp_log_format)f))) {
            if (apply)
                trp_log_set_format(log, (enum trp_log_format)f);
            return trp_ok();
        }
    }
    return trp_fail(err, TRP_INVALID_ARGUMENT,
                    "log_format '%.*s' is not known: default, ISO8601, JSON", TRP_STR(name));
}

static trp_status set_log(struct trp_log *log, const struct trp_node *n, bool apply,
                          struct trp_error *err)
{
    static const struct {
        const char *key;
        enum trp_log_level level;
    } levels[] = { { "log_info", TRP_LOG_INFO },
                   { "log_warning", TRP_LOG_WARNING },
                   { "log_error", TRP_LOG_ERROR } };
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        if (!trp_str_is(n->key, levels[i].key))
            continue;
        if (!trp_node_get(n, "bool_param"))
            return trp_fail(err, TRP_INVALID_ARGUMENT, "%s must be true or false", levels[i].key);
        if (apply)
            trp_log_enable(log, levels[i].level, trp_node_bool(n, "bool_param", true));
        return trp_ok();
    }
    if (trp_str_is(n->key, "log_verbose_level")) {
        if (!trp_node_get(n, "uint32_param"))
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "log_verbose_level must be a number of at least 0");
        if (apply)
            trp_log_set_verbose(log, (uint32_t)trp_node_u64(n, "uint32_param", 0));
        return trp_ok();
    }
    if (trp_str_is(n->key, "log_format"))
        return set_log_format(log, n, apply, err);
    if (trp_str_is(n->key, "log_file"))
        return trp_fail(err, TRP_UNIMPLEMENTED,
                        "log file location can not be updated through network protocol");
    return trp_fail(err, TRP_INVALID_ARGUMENT,
                    "log setting '%.*s' is not known: log_info, log_warning, log_error, "
                    "log_verbose_level, log_format",
                    TRP_STR(n->key));
}

/* All or nothing: everything is checked before the first is applied. */
trp_status trp_answer_log_set(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    const struct trp_node *settings = trp_node_get(c->request, "settings");
    const struct trp_node *first = settings ? settings->first : NULL;
    for (const struct trp_node *n = first; n; n = n->next)
        TRP_CHECK(set_log(a->opts.log, n, false, err));
    for (const struct trp_node *n = first; n; n = n->next)
        TRP_CHECK(set_log(a->opts.log, n, true, err));
    return trp_answer_log_get(a, c, err);
}

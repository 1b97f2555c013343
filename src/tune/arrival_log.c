/* tune/arrival_log.c - see arrival_log.h. */
#include "tune/arrival_log.h"

#include "base/file.h"
#include "base/json.h"

#define FILE_BYTES_MAX ((size_t)4 << 30)
#define DEPTH_MAX 16

/* ---- CSV ---- */

enum column { AT_S, AT_MS, AT_US, AT_NS, MODEL, CLASS, TENANT, ROWS, TIMEOUT_MS, COLUMNS };

static const char *const column_names[COLUMNS] = { "at_s",  "at_ms",  "at_us", "at_ns",     "model",
                                                   "class", "tenant", "rows",  "timeout_ms" };
static const double at_units[] = { [AT_S] = 1e9, [AT_MS] = 1e6, [AT_US] = 1e3, [AT_NS] = 1 };

struct csv {
    struct trp_workload *w;
    struct trp_str rest;
    uint32_t line;
    enum column columns[COLUMNS];
    uint32_t columns_n;
};

static struct trp_str trimmed(struct trp_str s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = trp_str_make(s.ptr + 1, s.len - 1);
    while (s.len > 0 && strchr(" \t\r", s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* Cuts what comes before a character off a text; all of it when it is not there. */
static struct trp_str cut(struct trp_str *rest, char at)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, at, rest->len) : NULL;
    const struct trp_str part = end ? trp_str_make(rest->ptr, (size_t)(end - rest->ptr)) : *rest;
    const size_t gone = end ? part.len + 1 : part.len;
    *rest = trp_str_make(gone > 0 ? rest->ptr + gone : rest->ptr, rest->len - gone);
    return trimmed(part);
}

/* The next line with something in it; false at the end.  A line that begins with # is a comment. */
static bool next_line(struct csv *c, struct trp_str *out)
{
    while (c->rest.len > 0) {
        *out = cut(&c->rest, '\n');
        c->line++;
        if (out->len > 0 && out->ptr[0] != '#')
            return true;
    }
    return false;
}

static trp_status read_names(struct csv *c, struct trp_str line, struct trp_error *err)
{
    bool has_at = false, has_model = false, seen[COLUMNS] = { false };
    while (line.len > 0) {
        const struct trp_str name = cut(&line, ',');
        enum column i = 0;
        while (i < COLUMNS && !trp_str_is(name, column_names[i]))
            i++;
        if (i == COLUMNS)
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "line %u: a column '%.*s'; these are known: at_s (or at_ms, at_us, "
                            "at_ns), model, class, tenant, rows, timeout_ms",
                            c->line, TRP_STR(name));
        if (seen[i] || (i <= AT_NS && has_at))
            return trp_fail(err, TRP_INVALID_ARGUMENT, "line %u: '%s' stands twice", c->line,
                            i <= AT_NS ? "at" : column_names[i]);
        seen[i] = true;
        has_at |= i <= AT_NS;
        has_model |= i == MODEL;
        c->columns[c->columns_n++] = i;
    }
    if (has_at && has_model)
        return trp_ok();
    return trp_fail(err, TRP_INVALID_ARGUMENT,
                    "line %u: no column '%s'; the first line names the columns, as in: "
                    "at_s,model,class",
                    c->line, has_at ? "model" : "at_s");
}

static trp_status bad_field(const struct csv *c, enum column column, struct trp_str field,
                            struct trp_error *err)
{
    return trp_fail(err, TRP_INVALID_ARGUMENT, "line %u: %s: '%.*s'%s", c->line,
                    column_names[column], TRP_STR(field),
                    column == CLASS ? "; there are interactive, normal and batch" : "");
}

static bool parse_moment(struct trp_str field, double unit, int64_t *out)
{
    double number;
    if (unit == 1 && trp_str_parse_i64(field, out))
        return *out >= 0;
    if (!trp_str_parse_f64(field, &number) || !(number >= 0 && number * unit < 9e18))
        return false;
    *out = (int64_t)(number * unit + 0.5);
    return true;
}

static bool parse_rows(struct trp_str field, uint32_t *out)
{
    uint64_t rows;
    if (!trp_str_parse_u64(field, &rows) || rows == 0 || rows > TRP_WORKLOAD_ROWS_MAX)
        return false;
    *out = (uint32_t)rows;
    return true;
}

static trp_status read_field(struct csv *c, enum column column, struct trp_str field,
                             struct trp_arrival *a, struct trp_error *err)
{
    bool is_good = true;
    switch (column) {
    case MODEL:
        return trp_workload_model(c->w, field, &a->model, err);
    case TENANT:
        return trp_workload_tenant(c->w, field, &a->tenant, err);
    case CLASS:
        is_good = trp_workload_parse_class(field, &a->class);
        break;
    case ROWS:
        is_good = parse_rows(field, &a->rows);
        break;
    case TIMEOUT_MS:
        is_good = parse_moment(field, 1e6, &a->timeout_ns);
        break;
    default:
        is_good = parse_moment(field, at_units[column], &a->at_ns);
        break;
    }
    return is_good ? trp_ok() : bad_field(c, column, field, err);
}

static trp_status read_line(struct csv *c, struct trp_str line, struct trp_error *err)
{
    struct trp_arrival a = { .rows = 1 };
    for (uint32_t i = 0; i < c->columns_n; i++) {
        const enum column column = c->columns[i];
        const struct trp_str field = cut(&line, ',');
        if (field.len > 0)
            TRP_CHECK(read_field(c, column, field, &a, err));
        else if (column <= MODEL)
            return trp_fail(err, TRP_INVALID_ARGUMENT, "line %u: %s is missing", c->line,
                            column_names[column]);
    }
    if (line.len > 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "line %u: more fields than columns: '%.*s'",
                        c->line, TRP_STR(line));
    return trp_workload_add(c->w, &a, err);
}

static trp_status parse_csv(struct trp_workload *w, struct trp_str text, struct trp_error *err)
{
    struct csv c = { .w = w, .rest = text };
    struct trp_str line;
    if (!next_line(&c, &line))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "it is empty");
    TRP_CHECK(read_names(&c, line, err));
    while (next_line(&c, &line))
        TRP_CHECK(read_line(&c, line, err));
    return trp_ok();
}

/* ---- a trace file ---- */

/* The request whose objects are being read: one after the other, in one place (obs/README.md). */
struct traced {
    struct trp_arrival arrival;
    uint64_t id;
    bool is_open, has_moment;
};

static trp_status close_traced(struct trp_workload *w, struct traced *t, struct trp_error *err)
{
    const bool is_arrival = t->is_open && t->has_moment;
    t->is_open = false;
    return is_arrival ? trp_workload_add(w, &t->arrival, err) : trp_ok();
}

/* Who asks, and for what; members that are not there, or are none of ours, are left as they are
 * by default. */
static trp_status open_traced(struct trp_workload *w, struct traced *t, struct trp_json object,
                              struct trp_str model, struct trp_error *err)
{
    struct trp_json v;
    struct trp_str text;
    uint64_t number;
    struct trp_arrival *a = &t->arrival;
    *a = (struct trp_arrival){ .rows = 1 };
    t->has_moment = false;
    t->is_open = !trp_json_find(object, "parent_id", &v); /* a step of another request */
    if (!t->is_open)
        return trp_ok();
    TRP_CHECK(trp_workload_model(w, model, &a->model, err));
    if (trp_json_find(object, "tenant", &v) && trp_json_as_str(v, &text) && text.len > 0)
        TRP_CHECK(trp_workload_tenant(w, text, &a->tenant, err));
    if (trp_json_find(object, "priority", &v) && trp_json_as_str(v, &text))
        (void)trp_workload_parse_class(text, &a->class);
    if (trp_json_find(object, "rows", &v) && trp_json_as_u64(v, &number) && number > 0)
        a->rows = number < TRP_WORKLOAD_ROWS_MAX ? (uint32_t)number : TRP_WORKLOAD_ROWS_MAX;
    if (trp_json_find(object, "timeout_us", &v) && trp_json_as_u64(v, &number) &&
        number < INT64_MAX / 1000)
        a->timeout_ns = (int64_t)number * 1000;
    return trp_ok();
}

static void read_moments(struct traced *t, struct trp_json stamps)
{
    struct trp_json stamp, v;
    struct trp_json_iter it;
    int64_t ns;
    bool more = trp_json_begin(stamps, &it);
    while (more && trp_json_next(&it, NULL, &stamp)) {
        if (!trp_json_find(stamp, "ns", &v) || !trp_json_as_i64(v, &ns) || ns < 0)
            continue;
        if (!t->has_moment || ns < t->arrival.at_ns)
            t->arrival.at_ns = ns;
        t->has_moment = true;
    }
}

static trp_status read_object(struct trp_workload *w, struct traced *t, struct trp_json object,
                              struct trp_error *err)
{
    struct trp_json v;
    struct trp_str model;
    uint64_t id;
    if (!trp_json_find(object, "id", &v) || !trp_json_as_u64(v, &id))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "an entry without id: no trace file");
    if (t->is_open && id != t->id)
        TRP_CHECK(close_traced(w, t, err));
    if (trp_json_find(object, "model_name", &v) && trp_json_as_str(v, &model)) {
        TRP_CHECK(close_traced(w, t, err));
        TRP_CHECK(open_traced(w, t, object, model, err));
        t->id = id;
    }
    if (t->is_open && trp_json_find(object, "timestamps", &v))
        read_moments(t, v);
    return trp_ok();
}

static trp_status read_trace(struct trp_workload *w, struct trp_json root, struct trp_error *err)
{
    struct traced t = { .id = 0 };
    struct trp_json object;
    struct trp_json_iter it;
    bool more = trp_json_begin(root, &it);
    while (more && trp_json_next(&it, NULL, &object))
        TRP_CHECK(read_object(w, &t, object, err));
    return close_traced(w, &t, err);
}

static trp_status parse_trace(struct trp_workload *w, struct trp_str text, struct trp_error *err)
{
    struct trp_json_parser *parser;
    struct trp_json root;
    TRP_CHECK(trp_json_parser_create(FILE_BYTES_MAX, DEPTH_MAX, &parser, err));
    trp_status st = trp_json_parse(parser, text, false, &root, err);
    if (!trp_failed(st))
        st = read_trace(w, root, err);
    trp_json_parser_destroy(parser);
    return st;
}

/* ---- either ---- */

trp_status trp_arrival_log_parse(struct trp_workload *w, struct trp_str text, struct trp_error *err)
{
    size_t at = 0;
    while (at < text.len && strchr(" \t\r\n", text.ptr[at]) && text.ptr[at])
        at++;
    return at < text.len && text.ptr[at] == '[' ? parse_trace(w, text, err)
                                                : parse_csv(w, text, err);
}

trp_status trp_arrival_log_read(struct trp_workload *w, const char *path, struct trp_error *err)
{
    char *text;
    size_t len;
    TRP_CHECK(trp_file_read(w->alloc, path, FILE_BYTES_MAX, &text, &len, err));
    const trp_status st = trp_arrival_log_parse(w, trp_str_make(text, len), err);
    trp_alloc_free(w->alloc, text);
    if (trp_failed(st))
        trp_error_within(err, "%s", path);
    return st;
}

/* conf/settings.c - see settings.h.
 *
 * A value comes from four places, each winning over the ones before: the default in settings.def,
 * troupe.yaml, the environment, the command line.  All of them are texts, so there is one reader
 * for each type, and one place where limits are checked.  Invariants: every option always holds a
 * valid value; every value knows its source; texts live in an arena that only grows, so a
 * borrowed text stays valid until the settings are destroyed. */
#include "conf/settings.h"

#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/machine.h"

#define FILE_BYTES_MAX (1u << 20)
#define FILE_NODES_MAX 10000u
#define LIST_ITEMS_MAX 1024u
#define KEY_BYTES_MAX 64u
#define OFFSET_NS_MAX (UINT64_C(36525) * 86400 * 1000000000) /* a hundred years */

static const struct trp_setting_row rows[TRP_SETTINGS] = {
#define X(id, key, type, otherwise, choices, minimum, maximum, doc) \
    { key, TRP_SETTING_##type, otherwise, choices, minimum, maximum, doc },
#include "conf/settings.def"
#undef X
};

struct value {
    bool b;
    uint64_t u;
    const char *text;
    const char **items;
    uint32_t items_n;
    const char *source;
};

struct trp_settings {
    const struct trp_alloc *alloc;
    struct trp_arena arena;
    struct value values[TRP_SETTINGS];
};

/* What a value was written as: one text, or a list of texts.  Borrowed from whoever wrote it. */
struct written {
    struct trp_str text;
    const struct trp_str *items; /* NULL: split `text` at commas */
    uint32_t items_n;
    const char *source;
};

const struct trp_setting_row *trp_setting_row(enum trp_setting id)
{
    return &rows[id];
}

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the settings");
}

static trp_status expected(const struct trp_setting_row *row, const struct written *w,
                           const char *what, struct trp_error *err)
{
    const size_t n = w->text.len < 60 ? w->text.len : 60;
    return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: %s: expected %s, found \"%.*s\"", w->source,
                    row->key, what, (int)n, n ? w->text.ptr : "");
}

/* ---- numbers with units ---- */

struct scale {
    const char *name;
    uint64_t factor;
};

static const struct scale byte_scales[] = {
    { "TiB", UINT64_C(1) << 40 },
    { "GiB", 1u << 30 },
    { "MiB", 1u << 20 },
    { "KiB", 1u << 10 },
    { "TB", UINT64_C(1000000000000) },
    { "GB", 1000000000 },
    { "MB", 1000000 },
    { "kB", 1000 },
    { "KB", 1000 },
    { "B", 1 },
};

static const struct scale time_scales[] = {
    { "d", UINT64_C(86400000000000) },
    { "h", UINT64_C(3600000000000) },
    { "m", UINT64_C(60000000000) },
    { "s", 1000000000 },
    { "ms", 1000000 },
    { "us", 1000 },
    { "ns", 1 },
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads "1.5GiB"; without a unit the factor is `bare` (0: the unit must be there). */
static bool parse_scaled(struct trp_str s, const struct scale *scales, size_t scales_n,
                         uint64_t bare, uint64_t *out)
{
    size_t n = 0;
    while (n < s.len && (is_digit(s.ptr[n]) || s.ptr[n] == '.'))
        n++;
    const struct trp_str number = trp_str_make(s.ptr, n);
    const struct trp_str unit = trp_str_make(s.len ? s.ptr + n : NULL, s.len - n);
    uint64_t factor = unit.len == 0 ? bare : 0, whole;
    double d;
    for (size_t i = 0; i < scales_n; i++) {
        if (trp_str_is(unit, scales[i].name))
            factor = scales[i].factor;
    }
    if (trp_str_parse_u64(number, &whole) && (factor > 0 || (unit.len == 0 && whole == 0)))
        return !__builtin_mul_overflow(whole, factor, out);
    if (factor == 0 || !trp_str_parse_f64(number, &d))
        return false;
    d *= (double)factor;
    if (!(d < 9007199254740992.0) || d != trunc(d)) /* exact, or not at all */
        return false;
    *out = (uint64_t)d;
    return true;
}

bool trp_setting_parse_bytes(struct trp_str text, uint64_t *out)
{
    return text.len > 0 && parse_scaled(text, byte_scales, ARRAY_LEN(byte_scales), 1, out);
}

bool trp_setting_parse_stay(struct trp_str text, int64_t *out)
{
    uint64_t ns = 0;
    if (trp_str_is(text, "forever")) {
        *out = TRP_SETTING_FOREVER;
        return true;
    }
    if (text.len == 0 || !parse_scaled(text, time_scales, ARRAY_LEN(time_scales), 0, &ns) ||
        ns > INT64_MAX)
        return false;
    *out = (int64_t)ns;
    return true;
}

bool trp_setting_parse_offset(struct trp_str text, int64_t *out)
{
    const bool is_behind = text.len > 0 && text.ptr[0] == '-';
    const bool has_sign = is_behind || (text.len > 0 && text.ptr[0] == '+');
    const struct trp_str digits = has_sign ? trp_str_make(text.ptr + 1, text.len - 1) : text;
    uint64_t ns = 0;
    if (digits.len == 0 || !parse_scaled(digits, time_scales, ARRAY_LEN(time_scales), 0, &ns) ||
        ns > OFFSET_NS_MAX)
        return false;
    *out = is_behind ? -(int64_t)ns : (int64_t)ns;
    return true;
}

/* Prints a duration with the largest unit that divides it. */
static void write_scaled(struct trp_buf *out, uint64_t v, const struct scale *scales,
                         size_t scales_n)
{
    for (size_t i = 0; i < scales_n && v > 0; i++) {
        if (v % scales[i].factor == 0) {
            trp_buf_add_u64(out, v / scales[i].factor);
            trp_buf_add_text(out, scales[i].name);
            return;
        }
    }
    trp_buf_add_u64(out, v);
    trp_buf_add_text(out, v > 0 ? scales[scales_n - 1].name : "s");
}

/* Binary units only: 1000000 bytes read better as such than as 1MB beside 1MiB. */
#define BINARY_SCALES 4u

static void write_bytes(struct trp_buf *out, uint64_t v)
{
    for (size_t i = 0; i < BINARY_SCALES && v > 0; i++) {
        if (v % byte_scales[i].factor == 0) {
            trp_buf_add_u64(out, v / byte_scales[i].factor);
            trp_buf_add_text(out, byte_scales[i].name);
            return;
        }
    }
    trp_buf_add_u64(out, v);
}

static void write_number(struct trp_buf *out, const struct trp_setting_row *row, uint64_t v)
{
    if (row->type == TRP_SETTING_BYTES || row->type == TRP_SETTING_SHARE)
        write_bytes(out, v);
    else if (row->type == TRP_SETTING_DURATION)
        write_scaled(out, v, time_scales, ARRAY_LEN(time_scales));
    else
        trp_buf_add_u64(out, v);
}

static trp_status out_of_range(const struct trp_setting_row *row, const struct written *w,
                               const struct trp_alloc *alloc, struct trp_error *err)
{
    struct trp_buf range;
    trp_buf_init(&range, alloc, 256);
    trp_buf_add_text(&range, "a value from ");
    write_number(&range, row, row->minimum);
    trp_buf_add_text(&range, " to ");
    write_number(&range, row, row->maximum);
    const char *text = trp_buf_text(&range);
    const trp_status st = expected(row, w, text ? text : "a value in range", err);
    trp_buf_deinit(&range);
    return st;
}

/* A bare number is what people write first: say which unit makes it what they most likely mean. */
static trp_status expected_duration(const struct trp_setting_row *row, const struct written *w,
                                    struct trp_error *err)
{
    uint64_t v;
    if (w->text.len > 20 || !trp_str_parse_u64(w->text, &v))
        return expected(row, w, "a duration, such as 250ms, 2s or 1m", err);
    return trp_fail(err, TRP_INVALID_ARGUMENT,
                    "%s: %s: %.*s has no unit; write %.*ss for seconds, or %.*sms, %.*sm, %.*sh",
                    w->source, row->key, TRP_STR(w->text), TRP_STR(w->text), TRP_STR(w->text),
                    TRP_STR(w->text), TRP_STR(w->text));
}

static trp_status set_number(struct trp_settings *s, enum trp_setting id, const struct written *w,
                             struct trp_error *err)
{
    const struct trp_setting_row *row = &rows[id];
    uint64_t v = 0;
    if (row->type == TRP_SETTING_BYTES &&
        !parse_scaled(w->text, byte_scales, ARRAY_LEN(byte_scales), 1, &v))
        return expected(row, w, "bytes, such as 64MiB, 1GB or 4096", err);
    if (row->type == TRP_SETTING_DURATION &&
        !parse_scaled(w->text, time_scales, ARRAY_LEN(time_scales), 0, &v))
        return expected_duration(row, w, err);
    if (row->type == TRP_SETTING_COUNT && !trp_str_parse_u64(w->text, &v))
        return expected(row, w, "a whole number", err);
    if (v < row->minimum || (row->maximum > 0 && v > row->maximum))
        return out_of_range(row, w, s->alloc, err);
    s->values[id].u = v;
    return trp_ok();
}

/* "80%" of memory; false: it is none. */
static bool parse_percent(struct trp_str s, uint64_t *out)
{
    uint64_t percent;
    if (s.len < 2 || s.ptr[s.len - 1] != '%' ||
        !trp_str_parse_u64(trp_str_make(s.ptr, s.len - 1), &percent) || percent < 1 ||
        percent > 100)
        return false;
    *out = trp_machine_memory("") / 100 * percent;
    return true;
}

/* ---- words and lists ---- */

static trp_status set_bool(struct trp_settings *s, enum trp_setting id, const struct written *w,
                           struct trp_error *err)
{
    const bool is_true = trp_str_is(w->text, "true");
    if (!is_true && !trp_str_is(w->text, "false"))
        return expected(&rows[id], w, "true or false", err);
    s->values[id].b = is_true;
    return trp_ok();
}

static trp_status set_text(struct trp_settings *s, enum trp_setting id, const struct written *w,
                           struct trp_error *err)
{
    if (w->text.len > 0 && memchr(w->text.ptr, 0, w->text.len))
        return expected(&rows[id], w, "a text without zero bytes", err);
    const struct trp_str copy = trp_arena_dup(&s->arena, w->text);
    if (!copy.ptr)
        return no_memory(err);
    s->values[id].text = copy.ptr;
    return trp_ok();
}

/* The text is kept, because a share is told as it was written. */
static trp_status set_share(struct trp_settings *s, enum trp_setting id, const struct written *w,
                            struct trp_error *err)
{
    const struct trp_setting_row *row = &rows[id];
    uint64_t v = 0;
    const bool is_percent = parse_percent(w->text, &v);
    if (!is_percent && !trp_setting_parse_bytes(w->text, &v))
        return expected(row, w, "bytes, such as 64MiB, 1GB or 4096, or 1% to 100%", err);
    if (!is_percent && (v < row->minimum || v > row->maximum))
        return out_of_range(row, w, s->alloc, err);
    s->values[id].u = v;
    return set_text(s, id, w, err);
}

/* Takes the piece up to `separator` off the front of *rest; false when nothing is left. */
static bool take_piece(struct trp_str *rest, char separator, struct trp_str *out)
{
    if (!rest->ptr)
        return false;
    const char *end = rest->len ? memchr(rest->ptr, separator, rest->len) : NULL;
    *out = trp_str_make(rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len);
    *rest = end ? trp_str_make(end + 1, rest->len - out->len - 1) : (struct trp_str){ 0 };
    return true;
}

static trp_status set_choice(struct trp_settings *s, enum trp_setting id, const struct written *w,
                             struct trp_error *err)
{
    struct trp_str rest = trp_str_of(rows[id].choices), choice;
    while (take_piece(&rest, '|', &choice)) {
        if (trp_str_is_equal(choice, w->text))
            return set_text(s, id, w, err);
    }
    char what[128];
    snprintf(what, sizeof what, "one of %s", rows[id].choices);
    return expected(&rows[id], w, what, err);
}

static trp_status add_item(struct trp_settings *s, enum trp_setting id, struct trp_str item,
                           const struct written *w, struct trp_error *err)
{
    struct value *v = &s->values[id];
    const struct trp_str copy = trp_arena_dup(&s->arena, item);
    const char **items = trp_arena_get(&s->arena, (v->items_n + 1u) * sizeof *items);
    if (v->items_n == LIST_ITEMS_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "%s: %s: more than %u values", w->source, rows[id].key,
                        LIST_ITEMS_MAX);
    if (item.len == 0 || memchr(item.ptr, 0, item.len))
        return expected(&rows[id], w, "texts that are not empty", err);
    if (!copy.ptr || !items)
        return no_memory(err);
    if (v->items_n > 0)
        memcpy(items, v->items, v->items_n * sizeof *items);
    items[v->items_n++] = copy.ptr;
    v->items = items;
    return trp_ok();
}

static struct trp_str trimmed(struct trp_str s)
{
    while (s.len > 0 && s.ptr[0] == ' ')
        s = trp_str_make(s.ptr + 1, s.len - 1);
    while (s.len > 0 && s.ptr[s.len - 1] == ' ')
        s.len--;
    return s;
}

static trp_status set_list(struct trp_settings *s, enum trp_setting id, const struct written *w,
                           struct trp_error *err)
{
    struct trp_str rest = w->text, item;
    s->values[id].items = NULL;
    s->values[id].items_n = 0;
    for (uint32_t i = 0; w->items && i < w->items_n; i++)
        TRP_CHECK(add_item(s, id, w->items[i], w, err));
    while (!w->items && w->text.len > 0 && take_piece(&rest, ',', &item))
        TRP_CHECK(add_item(s, id, trimmed(item), w, err));
    return trp_ok();
}

/* Sets one option; it keeps its old value when this fails. */
static trp_status set(struct trp_settings *s, enum trp_setting id, const struct written *w,
                      struct trp_error *err)
{
    const struct value before = s->values[id];
    const struct trp_str source = trp_arena_dup(&s->arena, trp_str_of(w->source));
    trp_status st;
    if (w->items && rows[id].type != TRP_SETTING_LIST)
        st = trp_fail(err, TRP_INVALID_ARGUMENT, "%s: %s: expected one value, found a list",
                      w->source, rows[id].key);
    else if (rows[id].type == TRP_SETTING_BOOL)
        st = set_bool(s, id, w, err);
    else if (rows[id].type == TRP_SETTING_TEXT)
        st = set_text(s, id, w, err);
    else if (rows[id].type == TRP_SETTING_CHOICE)
        st = set_choice(s, id, w, err);
    else if (rows[id].type == TRP_SETTING_LIST)
        st = set_list(s, id, w, err);
    else if (rows[id].type == TRP_SETTING_SHARE)
        st = set_share(s, id, w, err);
    else
        st = set_number(s, id, w, err);
    if (!trp_failed(st) && !source.ptr)
        st = no_memory(err);
    if (trp_failed(st))
        s->values[id] = before;
    else
        s->values[id].source = source.ptr;
    return st;
}

/* ---- life ---- */

trp_status trp_settings_create(const struct trp_alloc *alloc, struct trp_settings **out_settings,
                               struct trp_error *err)
{
    *out_settings = NULL;
    struct trp_settings *s = trp_alloc_zeroed(alloc, 1, sizeof *s);
    if (!s)
        return no_memory(err);
    s->alloc = alloc;
    trp_arena_init(&s->arena, alloc, 4096, 64u << 20);
    for (int i = 0; i < TRP_SETTINGS; i++) {
        const struct written w = { .text = trp_str_of(rows[i].otherwise), .source = "default" };
        const trp_status st = set(s, (enum trp_setting)i, &w, err);
        if (trp_failed(st)) {
            trp_settings_destroy(s);
            return st;
        }
    }
    *out_settings = s;
    return trp_ok();
}

void trp_settings_destroy(struct trp_settings *s)
{
    if (!s)
        return;
    trp_arena_deinit(&s->arena);
    trp_alloc_free(s->alloc, s);
}

/* ---- sources ---- */

static bool find_row(struct trp_str key, enum trp_setting *out)
{
    for (int i = 0; i < TRP_SETTINGS; i++) {
        if (trp_str_is(key, rows[i].key)) {
            *out = (enum trp_setting)i;
            return true;
        }
    }
    return false;
}

static const char *nearest_key(struct trp_str key)
{
    const char *best = NULL;
    uint32_t limit = 4;
    for (int i = 0; i < TRP_SETTINGS; i++) {
        const uint32_t distance = trp_str_distance(key, trp_str_of(rows[i].key), limit - 1);
        if (distance < limit) {
            best = rows[i].key;
            limit = distance;
        }
        if (limit == 0)
            break;
    }
    return best;
}

static trp_status unknown_key(const char *source, struct trp_str key, struct trp_error *err)
{
    const char *nearest = nearest_key(key);
    const size_t n = key.len < KEY_BYTES_MAX ? key.len : KEY_BYTES_MAX;
    return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: unknown key \"%.*s\"%s%s%s", source, (int)n,
                    n ? key.ptr : "", nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                    nearest ? "\"?" : "");
}

trp_status trp_settings_set(struct trp_settings *s, struct trp_str assignment, const char *source,
                            struct trp_error *err)
{
    const char *equals = assignment.len ? memchr(assignment.ptr, '=', assignment.len) : NULL;
    enum trp_setting id;
    if (!equals)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: expected key=value, found \"%.*s\"", source,
                        TRP_STR(assignment));
    const struct trp_str key = trp_str_make(assignment.ptr, (size_t)(equals - assignment.ptr));
    const struct written w = { .text = trp_str_make(equals + 1, assignment.len - key.len - 1),
                               .source = source };
    return find_row(key, &id) ? set(s, id, &w, err) : unknown_key(source, key, err);
}

trp_status trp_settings_append(struct trp_settings *s, enum trp_setting id, struct trp_str value,
                               const char *source, struct trp_error *err)
{
    const struct written w = { .text = value, .source = source };
    TRP_ASSERT(rows[id].type == TRP_SETTING_LIST);
    const struct value before = s->values[id];
    const struct trp_str copy = trp_arena_dup(&s->arena, trp_str_of(source));
    if (!copy.ptr)
        return no_memory(err);
    if (strcmp(before.source, source) != 0) { /* what another source said is replaced */
        s->values[id].items = NULL;
        s->values[id].items_n = 0;
    }
    const trp_status st = add_item(s, id, value, &w, err);
    if (trp_failed(st))
        s->values[id] = before;
    else
        s->values[id].source = copy.ptr;
    return st;
}

/* "limits.body_bytes" gives "TROUPE_LIMITS_BODY_BYTES". */
static void environment_name(const char *key, char *out, size_t out_size)
{
    size_t n = (size_t)snprintf(out, out_size, "TROUPE_");
    for (; *key && n + 1 < out_size; key++, n++) {
        if (*key == '.')
            out[n] = '_';
        else
            out[n] = *key >= 'a' && *key <= 'z' ? (char)(*key - 'a' + 'A') : *key;
    }
    out[n] = '\0';
}

/* Other programs, and our own tools, use names with our prefix; only one that is nearly an
 * option's is a mistake. */
#define NEAR_NAME 2u

static trp_status set_from_variable(struct trp_settings *s, struct trp_str name, const char *value,
                                    struct trp_error *err)
{
    const char *near = NULL;
    for (int i = 0; i < TRP_SETTINGS; i++) {
        char known[KEY_BYTES_MAX + 8];
        environment_name(rows[i].key, known, sizeof known);
        if (trp_str_is(name, known)) {
            const struct written w = { .text = trp_str_of(value), .source = known };
            return set(s, (enum trp_setting)i, &w, err);
        }
        if (trp_str_distance(name, trp_str_of(known), NEAR_NAME) <= NEAR_NAME)
            near = rows[i].key;
    }
    if (!near)
        return trp_ok();
    char known[KEY_BYTES_MAX + 8];
    environment_name(near, known, sizeof known);
    return trp_fail(err, TRP_INVALID_ARGUMENT,
                    "environment: unknown \"%.*s\"; did you mean \"%s\"?", TRP_STR(name), known);
}

trp_status trp_settings_read_env(struct trp_settings *s, char *const *environment,
                                 struct trp_error *err)
{
    for (; environment && *environment; environment++) {
        const char *equals = strchr(*environment, '=');
        if (!equals || strncmp(*environment, "TROUPE_", 7) != 0)
            continue;
        const struct trp_str name = trp_str_make(*environment, (size_t)(equals - *environment));
        TRP_CHECK(set_from_variable(s, name, equals + 1, err));
    }
    return trp_ok();
}

/* ---- the file ---- */

struct file_reader {
    struct trp_settings *settings;
    struct trp_arena *scratch;
    struct trp_error *err;
};

static bool is_scalar(const struct trp_node *n)
{
    return n->kind == TRP_NODE_STR || n->kind == TRP_NODE_WORD;
}

static trp_status set_from_node(const struct file_reader *r, enum trp_setting id,
                                const struct trp_node *n)
{
    const struct trp_str source = trp_arena_format(r->scratch, "%s:%u", n->file, n->line);
    struct trp_str *items = trp_arena_get(r->scratch, (n->children_n + 1u) * sizeof *items);
    struct written w = { .source = source.ptr };
    if (!source.ptr || !items)
        return no_memory(r->err);
    if (is_scalar(n)) {
        w.text = n->v.s;
        return set(r->settings, id, &w, r->err);
    }
    if (n->kind == TRP_NODE_MAP)
        return trp_node_fail(n, r->err, TRP_INVALID_ARGUMENT,
                             "%s: expected a value, found a map of keys", rows[id].key);
    w.items = items;
    for (const struct trp_node *c = n->first; c; c = c->next) {
        if (!is_scalar(c))
            return trp_node_fail(c, r->err, TRP_INVALID_ARGUMENT, "%s: expected texts, found %s",
                                 rows[id].key, trp_node_kind_name(c->kind));
        items[w.items_n++] = c->v.s;
    }
    return set(r->settings, id, &w, r->err);
}

/* Sets what stands under `prefix`; `a: {b: 1}` and `a.b: 1` say the same. */
static trp_status set_from_map(const struct file_reader *r, struct trp_str prefix,
                               const struct trp_node *map)
{
    for (const struct trp_node *n = map->first; n; n = n->next) {
        const struct trp_str key = trp_arena_format(r->scratch, "%.*s%s%.*s", TRP_STR(prefix),
                                                    prefix.len ? "." : "", TRP_STR(n->key));
        enum trp_setting id;
        if (!key.ptr)
            return no_memory(r->err);
        if (n->kind == TRP_NODE_NULL && (find_row(key, &id)))
            continue; /* `key: null` leaves what was there */
        if (find_row(key, &id)) {
            TRP_CHECK(set_from_node(r, id, n));
        } else if (n->kind == TRP_NODE_MAP) {
            TRP_CHECK(set_from_map(r, key, n));
        } else {
            const struct trp_str place = trp_arena_format(r->scratch, "%s:%u", n->file, n->line);
            return unknown_key(place.ptr ? place.ptr : n->file, key, r->err);
        }
    }
    return trp_ok();
}

static trp_status set_from_text(struct trp_settings *s, struct trp_str text, const char *path,
                                struct trp_error *err)
{
    struct trp_arena scratch;
    struct trp_node *root;
    trp_arena_init(&scratch, s->alloc, 16384, 64u << 20);
    const struct file_reader r = { s, &scratch, err };
    trp_status st = trp_node_from_yaml(&scratch, text, path, FILE_NODES_MAX, &root, err);
    if (!trp_failed(st) && root->kind != TRP_NODE_MAP)
        st = trp_node_fail(root, err, TRP_INVALID_ARGUMENT, "expected a map of keys, found %s",
                           trp_node_kind_name(root->kind));
    if (!trp_failed(st))
        st = set_from_map(&r, (struct trp_str){ 0 }, root);
    trp_arena_deinit(&scratch);
    return st;
}

trp_status trp_settings_read_file(struct trp_settings *s, const char *path, struct trp_error *err)
{
    char *text;
    size_t len;
    TRP_CHECK(trp_file_read(s->alloc, path, FILE_BYTES_MAX, &text, &len, err));
    const trp_status st = set_from_text(s, trp_str_make(text, len), path, err);
    trp_alloc_free(s->alloc, text);
    return st;
}

/* ---- values ---- */

bool trp_settings_bool(const struct trp_settings *s, enum trp_setting id)
{
    TRP_ASSERT(rows[id].type == TRP_SETTING_BOOL);
    return s->values[id].b;
}

uint64_t trp_settings_u64(const struct trp_settings *s, enum trp_setting id)
{
    TRP_ASSERT(rows[id].type == TRP_SETTING_COUNT || rows[id].type == TRP_SETTING_BYTES ||
               rows[id].type == TRP_SETTING_SHARE || rows[id].type == TRP_SETTING_DURATION);
    return s->values[id].u;
}

const char *trp_settings_text(const struct trp_settings *s, enum trp_setting id)
{
    TRP_ASSERT(rows[id].type == TRP_SETTING_TEXT || rows[id].type == TRP_SETTING_CHOICE);
    return s->values[id].text;
}

uint32_t trp_settings_list_n(const struct trp_settings *s, enum trp_setting id)
{
    TRP_ASSERT(rows[id].type == TRP_SETTING_LIST);
    return s->values[id].items_n;
}

const char *const *trp_settings_list(const struct trp_settings *s, enum trp_setting id)
{
    TRP_ASSERT(rows[id].type == TRP_SETTING_LIST);
    return s->values[id].items;
}

const char *trp_settings_list_at(const struct trp_settings *s, enum trp_setting id, uint32_t index)
{
    TRP_ASSERT(index < trp_settings_list_n(s, id));
    return s->values[id].items[index];
}

const char *trp_settings_source(const struct trp_settings *s, enum trp_setting id)
{
    return s->values[id].source;
}

void trp_setting_allowed_text(enum trp_setting id, struct trp_buf *out)
{
    const struct trp_setting_row *row = &rows[id];
    struct trp_str rest = trp_str_of(row->choices ? row->choices : ""), choice;
    if (row->type == TRP_SETTING_BOOL) {
        trp_buf_add_text(out, "true, false");
    } else if (row->type == TRP_SETTING_CHOICE) {
        for (bool first = true; take_piece(&rest, '|', &choice); first = false) {
            trp_buf_add_text(out, first ? "" : ", ");
            trp_buf_add_str(out, choice);
        }
    } else if (row->maximum > 0) {
        if (row->type == TRP_SETTING_SHARE)
            trp_buf_add_text(out, "1% to 100%, ");
        write_number(out, row, row->minimum);
        trp_buf_add_text(out, " to ");
        write_number(out, row, row->maximum);
    }
}

void trp_settings_value_text(const struct trp_settings *s, enum trp_setting id, struct trp_buf *out)
{
    const struct value *v = &s->values[id];
    switch (rows[id].type) {
    case TRP_SETTING_BOOL:
        trp_buf_add_text(out, v->b ? "true" : "false");
        return;
    case TRP_SETTING_COUNT:
    case TRP_SETTING_BYTES:
    case TRP_SETTING_DURATION:
        write_number(out, &rows[id], v->u);
        return;
    case TRP_SETTING_TEXT:
    case TRP_SETTING_CHOICE:
    case TRP_SETTING_SHARE:
        trp_buf_add_text(out, v->text);
        return;
    case TRP_SETTING_LIST:
        for (uint32_t i = 0; i < v->items_n; i++) {
            trp_buf_add_text(out, i ? "," : "");
            trp_buf_add_text(out, v->items[i]);
        }
    }
}

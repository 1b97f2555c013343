/* tune/price_list.c - see price_list.h. */
#include "tune/price_list.h"

#include "base/json.h"
#include "tune/span.h"

#define ARENA_BLOCK_BYTES 65536
#define JSON_BYTES_MAX ((size_t)256 << 20)
#define DEPTH_MAX 16
#define RUNS_ENOUGH 4 /* that a size counts, when others do */
#define TAUGHT 4      /* times, until a curve takes a point for known */

void trp_price_list_init(struct trp_price_list *l, const struct trp_alloc *alloc)
{
    *l = (struct trp_price_list){ .n = 0 };
    trp_arena_init(&l->arena, alloc, ARENA_BLOCK_BYTES, 0);
}

void trp_price_list_deinit(struct trp_price_list *l)
{
    trp_arena_deinit(&l->arena);
}

struct trp_price *trp_price_list_find(const struct trp_price_list *l, struct trp_str name)
{
    for (struct trp_price *p = l->first; p; p = p->next)
        if (trp_str_is_equal(p->name, name))
            return p;
    return NULL;
}

static trp_status find_or_make(struct trp_price_list *l, struct trp_str name,
                               struct trp_price **out, struct trp_error *err)
{
    *out = trp_price_list_find(l, name);
    if (*out)
        return trp_ok();
    if (l->n == TRP_PRICE_MODELS_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "more than %u models", TRP_PRICE_MODELS_MAX);
    struct trp_price *p = trp_arena_zeroed(&l->arena, 1, sizeof *p);
    if (p)
        p->name = trp_arena_dup(&l->arena, name);
    if (!p || !p->name.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "costs of %u models", l->n + 1);
    if (l->last)
        l->last->next = p;
    else
        l->first = p;
    l->last = p;
    l->n++;
    *out = p;
    return trp_ok();
}

/* Keeps points in order of rows; of one number of rows the last one counts. */
static bool add_point(struct trp_price_points *p, const struct trp_price_point *point)
{
    uint32_t i = 0;
    while (i < p->n && p->at[i].rows < point->rows)
        i++;
    if (i == p->n || p->at[i].rows != point->rows) {
        if (p->n == TRP_PRICE_POINTS_MAX)
            return false;
        memmove(p->at + i + 1, p->at + i, (p->n - i) * sizeof *p->at);
        p->n++;
    }
    p->at[i] = *point;
    return true;
}

/* ---- JSON ---- */

/* A whole number, when it is there; false: it is there and none, or does not fit. */
static bool read_count(struct trp_json object, const char *key, uint64_t max, uint64_t *out)
{
    struct trp_json v;
    return !trp_json_find(object, key, &v) || (trp_json_as_u64(v, out) && *out <= max);
}

static bool read_point(struct trp_json v, const char *time, struct trp_price_point *out,
                       uint64_t *out_runs)
{
    uint64_t rows = 0, run_ns = 0;
    *out_runs = RUNS_ENOUGH;
    if (!read_count(v, "rows", UINT32_MAX, &rows) || !read_count(v, time, INT64_MAX, &run_ns) ||
        !read_count(v, "runs", UINT64_MAX, out_runs) || rows == 0 || run_ns == 0)
        return false;
    *out = (struct trp_price_point){ .rows = (uint32_t)rows, .run_ns = (int64_t)run_ns };
    return true;
}

/* Sizes that were hardly ever run say little: they count only where no other does. */
static trp_status read_points(struct trp_price_points *p, struct trp_json list, const char *time,
                              struct trp_error *err)
{
    p->n = 0;
    for (uint64_t enough = RUNS_ENOUGH;; enough = 0) {
        struct trp_json v;
        struct trp_json_iter it;
        uint64_t runs;
        bool more = trp_json_begin(list, &it);
        while (more && trp_json_next(&it, NULL, &v)) {
            struct trp_price_point point;
            if (!read_point(v, time, &point, &runs))
                return trp_fail(err, TRP_INVALID_ARGUMENT,
                                "a point needs rows and %s, both above 0", time);
            if (runs >= enough && !add_point(p, &point))
                return trp_fail(err, TRP_TOO_LARGE, "more than %u points", TRP_PRICE_POINTS_MAX);
        }
        if (p->n > 0 || enough == 0)
            return trp_ok();
    }
}

/* "on", "off", "auto" or true, false; words may follow: "off: rows depend on each other". */
static bool is_joined(struct trp_json model)
{
    struct trp_json v;
    struct trp_str word;
    bool on = false;
    if (!trp_json_find(model, "batching", &v))
        return true;
    if (trp_json_as_bool(v, &on))
        return on;
    return trp_json_as_str(v, &word) && !trp_str_starts_with(word, TRP_STR_LIT("off"));
}

static bool is_forced(struct trp_json model)
{
    struct trp_json v;
    bool on = false;
    return trp_json_find(model, "forced", &v) && trp_json_as_bool(v, &on) && on;
}

static trp_status read_preferred(struct trp_price *p, struct trp_json model, struct trp_error *err)
{
    struct trp_json list, v;
    struct trp_json_iter it;
    uint64_t rows;
    bool more = trp_json_find(model, "preferred_rows", &list) && trp_json_begin(list, &it);
    while (more && trp_json_next(&it, NULL, &v)) {
        if (!trp_json_as_u64(v, &rows) || rows == 0 || rows > UINT32_MAX ||
            p->rules.preferred_n == TRP_BATCHING_PREFERRED)
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "model '%.*s': preferred_rows: up to %d numbers above 0",
                            TRP_STR(p->name), TRP_BATCHING_PREFERRED);
        p->rules.preferred[p->rules.preferred_n++] = (uint32_t)rows;
    }
    return trp_ok();
}

static trp_status read_model(struct trp_price_list *l, struct trp_json model, struct trp_error *err)
{
    struct trp_json v;
    struct trp_str name;
    struct trp_price *p;
    uint64_t instances = 0, rows_max = 0, delay_ns = 0;
    if (!trp_json_find(model, "name", &v) || !trp_json_as_str(v, &name))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "a model without a name");
    if (!trp_json_find(model, "points", &v) || trp_json_type(v) != TRP_JSON_ARRAY ||
        trp_json_count(v) == 0)
        return trp_ok(); /* it has not run yet */
    TRP_CHECK(find_or_make(l, name, &p, err));
    TRP_TRY(read_points(&p->points, v, "run_ns", err), err, "model '%.*s'", TRP_STR(p->name));
    if (trp_json_find(model, "measured", &v))
        TRP_TRY(read_points(&p->measured, v, "mean_ns", err), err, "model '%.*s'",
                TRP_STR(p->name));
    if (!read_count(model, "instances", UINT32_MAX, &instances) ||
        !read_count(model, "rows_max", UINT32_MAX, &rows_max) ||
        !read_count(model, "delay_ns", INT64_MAX, &delay_ns))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "model '%.*s': instances, rows_max and delay_ns are whole numbers",
                        TRP_STR(p->name));
    p->slots = (uint32_t)instances;
    p->rules = (struct trp_batching_rules){ .delay_ns = (int64_t)delay_ns };
    if (is_joined(model))
        p->rules.rows_max = (uint32_t)rows_max;
    p->rules.is_forced = is_forced(model);
    return read_preferred(p, model, err);
}

static trp_status read_models(struct trp_price_list *l, struct trp_json root, struct trp_error *err)
{
    struct trp_json list, model;
    struct trp_json_iter it;
    if (!trp_json_find(root, "models", &list) || trp_json_type(list) != TRP_JSON_ARRAY)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "no list \"models\": what is expected is what GET /api/cost answers");
    bool more = trp_json_begin(list, &it);
    while (more && trp_json_next(&it, NULL, &model))
        TRP_CHECK(read_model(l, model, err));
    return trp_ok();
}

trp_status trp_price_list_parse(struct trp_price_list *l, struct trp_str json,
                                struct trp_error *err)
{
    struct trp_json_parser *parser;
    struct trp_json root;
    TRP_CHECK(trp_json_parser_create(JSON_BYTES_MAX, DEPTH_MAX, &parser, err));
    trp_status st = trp_json_parse(parser, json, false, &root, err);
    if (!trp_failed(st))
        st = read_models(l, root, err);
    trp_json_parser_destroy(parser);
    return st;
}

/* ---- by hand ---- */

static bool parse_point(struct trp_str text, struct trp_price_point *out)
{
    const char *colon = text.len > 0 ? memchr(text.ptr, ':', text.len) : NULL;
    const size_t rows_len = colon ? (size_t)(colon - text.ptr) : 0;
    uint64_t rows = 1;
    int64_t ns;
    if (colon && (!trp_str_parse_u64(trp_str_make(text.ptr, rows_len), &rows) || rows == 0 ||
                  rows > UINT32_MAX))
        return false;
    if (colon)
        text = trp_str_make(colon + 1, text.len - rows_len - 1);
    if (!trp_span_parse(text, &ns) || ns == 0)
        return false;
    *out = (struct trp_price_point){ .rows = (uint32_t)rows, .run_ns = ns };
    return true;
}

trp_status trp_price_list_set(struct trp_price_list *l, struct trp_str name, struct trp_str points,
                              struct trp_error *err)
{
    struct trp_price *p;
    TRP_CHECK(find_or_make(l, name, &p, err));
    p->points.n = p->measured.n = 0;
    for (size_t at = 0; at <= points.len;) {
        const char *comma = at < points.len ? memchr(points.ptr + at, ',', points.len - at) : NULL;
        const size_t end = comma ? (size_t)(comma - points.ptr) : points.len;
        struct trp_price_point point;
        if (!parse_point(trp_str_make(points.ptr + at, end - at), &point) ||
            !add_point(&p->points, &point))
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "'%.*s' is no cost; 5ms is, and 1:5ms,8:12ms for runs of 1 and of 8 "
                            "rows",
                            TRP_STR(points));
        at = end + 1;
    }
    return trp_ok();
}

/* ---- what it is for ---- */

int64_t trp_price_run_ns(const struct trp_price *p, uint32_t rows)
{
    const struct trp_price_points *points = p->measured.n > 0 ? &p->measured : &p->points;
    const struct trp_price_point *below = NULL;
    for (uint32_t i = 0; i < points->n; i++) {
        const struct trp_price_point *at = &points->at[i];
        if (at->rows >= rows && (!below || at->rows == rows))
            return at->run_ns;
        if (at->rows >= rows) {
            const double share = (double)(rows - below->rows) / (double)(at->rows - below->rows);
            return below->run_ns + (int64_t)((double)(at->run_ns - below->run_ns) * share);
        }
        below = at;
    }
    TRP_ASSERT(below); /* a price without a point is none */
    const double ns = (double)below->run_ns * ((double)rows / (double)below->rows);
    return ns < 9e18 ? (int64_t)ns : INT64_MAX;
}

void trp_price_teach(const struct trp_price *p, struct trp_cost_curve *curve)
{
    for (uint32_t i = 0; i < p->points.n; i++)
        for (uint32_t times = 0; times < TAUGHT; times++)
            trp_cost_curve_learn(curve, p->points.at[i].rows, p->points.at[i].run_ns);
}

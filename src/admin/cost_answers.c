/* admin/cost_answers.c - what runs of a model take, and whether requests share them.
 * From the snapshot of the asking loop and what executors have learned; a version that is not
 * READY is not told of. */
#include "admin/admin_internal.h"
#include "base/json_members.h"
#include "exec/exec.h"

#define BYTES_MAX ((size_t)64 << 20)

struct cost_page {
    struct trp_buf text;
    uint32_t models_n;
};

/* "on: its rows are independent" is a word and a reason. */
static void add_batching(struct trp_buf *b, struct trp_str said)
{
    const char *const colon = said.len ? memchr(said.ptr, ':', said.len) : NULL;
    const size_t at = colon ? (size_t)(colon - said.ptr) : said.len;
    struct trp_str why = trp_str_make(said.ptr + at, said.len - at);
    while (why.len && (*why.ptr == ':' || *why.ptr == ' '))
        why = trp_str_make(why.ptr + 1, why.len - 1);
    trp_json_add_str(b, "batching", said.len ? trp_str_make(said.ptr, at) : TRP_STR_LIT("unknown"));
    trp_json_add_str(b, "batching_reason",
                     said.len ? why : TRP_STR_LIT("no two requests have waited together yet"));
}

static void add_points(struct trp_buf *b, const struct trp_cost_curve *curve)
{
    bool is_first = true;
    trp_json_add_key(b, "points");
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; i < TRP_COST_CURVE_POINTS; i++) {
        if (curve->points[i].run_ns <= 0)
            continue;
        trp_buf_add_text(b, is_first ? "{" : ",{");
        is_first = false;
        trp_json_add_i64(b, "rows", (curve->points[i].milli_rows + 500) / 1000);
        trp_json_add_i64(b, "run_ns", curve->points[i].run_ns);
        trp_json_add_u64(b, "runs", curve->points[i].runs);
        trp_buf_add_char(b, '}');
    }
    trp_buf_add_char(b, ']');
}

/* What runs took in the mean: the points are what a run takes when nothing disturbs it, and the
 * simulator needs both. */
static void add_measured(struct trp_buf *b, const struct trp_cost_curve *curve)
{
    bool is_first = true;
    trp_json_add_key(b, "measured");
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; i < TRP_COST_CURVE_POINTS; i++) {
        const uint32_t runs = curve->points[i].runs;
        if (runs == 0)
            continue;
        trp_buf_add_text(b, is_first ? "{" : ",{");
        is_first = false;
        trp_json_add_u64(b, "rows", (curve->points[i].all_rows + runs / 2) / runs);
        trp_json_add_i64(b, "mean_ns", curve->points[i].all_ns / runs);
        trp_json_add_u64(b, "runs", runs);
        trp_buf_add_char(b, '}');
    }
    trp_buf_add_char(b, ']');
}

static void add_preferred(struct trp_buf *b, const struct trp_joining_wishes *w)
{
    trp_json_add_key(b, "preferred_rows");
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; w && i < w->preferred_n; i++)
        trp_buf_addf(b, "%s%u", i ? "," : "", w->preferred[i]);
    trp_buf_add_char(b, ']');
}

static void add_version(struct cost_page *p, const struct trp_version *v)
{
    struct trp_buf *b = &p->text;
    const struct trp_joining_wishes *w = v->config.joining;
    struct trp_exec_cost cost;
    trp_exec_cost(v, &cost);
    trp_buf_add_text(b, p->models_n++ ? ",{" : "{");
    trp_json_add_str(b, "name", v->target.name);
    trp_json_add_i64(b, "version", v->target.version);
    trp_json_add_u64(b, "instances", cost.slots);
    add_batching(b, trp_version_batching(v));
    trp_json_add_u64(b, "rows_max", cost.rows_max);
    trp_json_add_u64(b, "rows_best", cost.rows_best);
    trp_json_add_i64(b, "delay_ns", w ? w->delay_ns : 0);
    add_preferred(b, w);
    trp_json_add_bool(b, "forced", v->config.batching == TRP_BATCHING_ON);
    add_points(b, &cost.curve);
    add_measured(b, &cost.curve);
    trp_buf_add_char(b, '}');
}

static void add_entry(void *user, const struct trp_entry *e)
{
    for (uint32_t i = 0; i < e->versions_n; i++)
        if (trp_lifecycle_get(&e->versions[i]->life) == TRP_MODEL_READY && e->versions[i]->model)
            add_version(user, e->versions[i]);
}

trp_status trp_answer_cost(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    const struct trp_snapshot *s = trp_admin_snapshot(a, c);
    const struct trp_entry *e = NULL;
    struct cost_page page = { .models_n = 0 };
    if (c->model.len)
        TRP_CHECK(trp_admin_entry(a, c, c->model, &e, err));
    trp_buf_init(&page.text, c->arena->alloc, BYTES_MAX);
    trp_buf_add_text(&page.text, "{\"models\":[");
    if (e)
        add_entry(&page, e);
    else
        trp_snapshot_each(s, add_entry, &page);
    trp_buf_add_text(&page.text, "]}");
    return trp_control_reply_take(c, &page.text, "costs", err);
}

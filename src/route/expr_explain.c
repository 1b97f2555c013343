/* route/expr_explain.c - a rule's parts and what each of them is for one request.  See expr.h.
 *
 * Each part is run alone, by the evaluator itself: what is told is what was done. */
#include <stdio.h>

#include "base/json.h"
#include "route/expr_program.h"

static struct trp_str text_of(const struct trp_expr *e, const struct trp_expr_part *p)
{
    return trp_str_make(e->text.ptr + p->from, p->to - p->from);
}

/* A rule over several lines is one line here. */
static void write_flat(struct trp_buf *b, struct trp_str s)
{
    bool was_blank = false;
    for (size_t i = 0; i < s.len; i++) {
        const bool blank =
            s.ptr[i] == '\n' || s.ptr[i] == '\r' || s.ptr[i] == '\t' || s.ptr[i] == ' ';
        if (!blank)
            trp_buf_add_char(b, s.ptr[i]);
        else if (!was_blank)
            trp_buf_add_char(b, ' ');
        was_blank = blank;
    }
}

static void write_duration(struct trp_buf *b, int64_t ns)
{
    static const struct {
        int64_t ns;
        const char *name;
    } units[] = { { 1000000000, "s" }, { 1000000, "ms" }, { 1000, "us" }, { 1, "ns" } };
    size_t u = 0;
    while (u + 1 < ARRAY_LEN(units) && ns < units[u].ns)
        u++;
    trp_buf_addf(b, "%.6g%s", (double)ns / (double)units[u].ns, units[u].name);
}

void trp_fact_write_json(const struct trp_fact *v, struct trp_buf *b)
{
    switch (v->kind) {
    case TRP_FACT_BOOL:
        trp_buf_add_text(b, v->v.b ? "true" : "false");
        break;
    case TRP_FACT_INT:
        trp_buf_add_i64(b, v->v.i);
        break;
    case TRP_FACT_DOUBLE:
        trp_json_write_f64(b, v->v.d);
        break;
    case TRP_FACT_TEXT:
        trp_json_write_str(b, v->v.s);
        break;
    case TRP_FACT_DURATION:
        trp_buf_add_char(b, '"');
        write_duration(b, v->v.i);
        trp_buf_add_char(b, '"');
        break;
    case TRP_FACT_LIST:
        for (uint32_t i = 0; i < v->n; i++) {
            trp_buf_add_char(b, i == 0 ? '[' : ',');
            trp_buf_add_i64(b, v->v.list[i]);
        }
        trp_buf_add_text(b, v->n == 0 ? "[]" : "]");
        break;
    default:
        trp_buf_add_text(b, "null");
        break;
    }
}

void trp_expr_why(const struct trp_expr *e, const struct trp_fact *unknown, struct trp_buf *b)
{
    if (unknown->kind != TRP_FACT_UNKNOWN || unknown->n >= e->parts_n)
        return;
    write_flat(b, text_of(e, &e->parts[unknown->n]));
    if (unknown->v.why != TRP_UNKNOWN_MISMATCH)
        trp_buf_addf(b, " %s", trp_unknown_words(unknown->v.why));
    else if (unknown->v.right)
        trp_buf_addf(b, " has %s and %s", trp_fact_kind_name(unknown->v.left),
                     trp_fact_kind_name(unknown->v.right));
    else
        trp_buf_addf(b, " got %s", trp_fact_kind_name(unknown->v.left));
}

static void part_value(const struct trp_expr *e, const struct trp_expr_part *p, struct trp_facts *f,
                       struct trp_fact *out)
{
    f->scratch_n = 0;
    if (p->code_to > p->code_from) {
        trp_expr_run(e, p->code_from, p->code_to, f, out);
        return;
    }
    trp_facts_read(f, &e->facts[p->fact].ref, out); /* its comparison has read it without code */
    if (out->kind == TRP_FACT_UNKNOWN)
        out->n = e->facts[p->fact].part;
}

/* Long texts are no explanation. */
#define SHOWN_MAX 320u

/* "value": ..., and "why" where there is none. */
static void write_members(const struct trp_expr *e, const struct trp_fact *v, struct trp_buf *b)
{
    struct trp_buf why;
    struct trp_fact cut = *v;
    if (v->kind == TRP_FACT_TEXT && v->v.s.len > SHOWN_MAX)
        cut.v.s.len = SHOWN_MAX;
    trp_buf_add_text(b, "\"value\":");
    trp_fact_write_json(&cut, b);
    if (v->kind != TRP_FACT_UNKNOWN)
        return;
    trp_buf_init(&why, b->alloc, 1u << 20);
    trp_expr_why(e, v, &why);
    trp_buf_add_text(b, ",\"why\":");
    if (why.failed && !b->failed)
        b->failed = why.failed;
    trp_json_write_str(b, trp_buf_str(&why));
    trp_buf_deinit(&why);
}

void trp_expr_explain(const struct trp_expr *e, struct trp_facts *f, struct trp_buf *b)
{
    struct trp_fact v, why;
    bool first = true;
    trp_buf_add_text(b, "{\"rule\":");
    trp_json_write_str(b, e->text);
    trp_buf_add_char(b, ',');
    trp_expr_value(e, f, &v);
    if (e->is_condition && trp_expr_holds(e, f, &why) == TRP_TRUTH_UNKNOWN)
        v = why;
    write_members(e, &v, b);
    trp_buf_add_text(b, ",\"parts\":[");
    for (uint32_t i = 1; i < e->parts_n; i++) {
        const struct trp_expr_part *p = &e->parts[i];
        if (!p->is_told)
            continue;
        trp_buf_add_text(b, first ? "{\"text\":" : ",{\"text\":");
        trp_json_write_str(b, text_of(e, p));
        trp_buf_addf(b, ",\"depth\":%u,", p->depth);
        part_value(e, p, f, &v);
        write_members(e, &v, b);
        trp_buf_add_char(b, '}');
        first = false;
    }
    trp_buf_add_text(b, "]}");
}

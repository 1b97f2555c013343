/* admin/route_answers.c - which routes there are, and what they have decided: /api/routes. */
#include "admin/admin_internal.h"
#include "base/json_members.h"
#include "call/target.h"
#include "compose/composition.h"
#include "route/route.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

static void write_tensors(struct trp_buf *b, const char *key, const struct trp_io *ios, uint32_t n)
{
    char shape[512];
    trp_json_add_key(b, key);
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; i < n; i++) {
        trp_buf_add_text(b, i ? ",{" : "{");
        trp_json_add_str(b, "name", ios[i].name);
        trp_json_add_str(b, "datatype", trp_str_of(trp_dtype_name(ios[i].dtype)));
        trp_json_add_key(b, "shape");
        trp_buf_add_text(b, trp_shape_format(ios[i].dims, ios[i].any_rank ? 0 : ios[i].rank, shape,
                                             sizeof shape));
        if (ios[i].any_rank)
            trp_json_add_bool(b, "any_rank", true);
        trp_buf_add_char(b, '}');
    }
    trp_buf_add_char(b, ']');
}

/* Whom a composition asks; a route's rules say it. */
static void write_members(struct trp_buf *b, const struct trp_composition *composition)
{
    struct trp_str name;
    uint32_t cursor = 0;
    trp_json_add_key(b, "asks");
    trp_buf_add_char(b, '[');
    while (trp_composition_next_name(composition, &cursor, &name)) {
        trp_buf_add_text(b, cursor > 1 ? "," : "");
        trp_json_write_str(b, name);
    }
    trp_buf_add_char(b, ']');
}

/* Of a cascade, how often each step was needed. */
static void write_steps(struct trp_buf *b, const struct trp_target *cascade)
{
    struct trp_composition_step step;
    uint32_t cursor = 0;
    while (trp_composition_next_step(cascade, &cursor, &step)) {
        if (cursor == 1)
            trp_json_add_key(b, "steps");
        trp_buf_add_text(b, cursor == 1 ? "[{" : ",{");
        trp_json_add_str(b, "name", step.name);
        trp_json_add_u64(b, "asked", step.asked);
        trp_json_add_u64(b, "answered", step.answered);
        trp_buf_add_char(b, '}');
    }
    if (cursor > 0)
        trp_buf_add_char(b, ']');
}

static uint64_t rows_answered(struct trp_target *t)
{
    const struct trp_stats *s = t ? t->ops->stats(t) : NULL;
    return s ? trp_counter_get(&s->inference_count) : 0;
}

static void write_item(struct trp_buf *b, const struct trp_directory_item *item,
                       const struct trp_control *c, int64_t now_ns)
{
    struct trp_error why = { 0 };
    struct trp_signature s = { 0 };
    const struct trp_router *route = item->target ? trp_route_of(item->target) : NULL;
    const struct trp_composition *composition =
        item->target ? trp_composition_of(item->target) : NULL;
    struct trp_learner *learner = item->target ? trp_composition_learner(item->target) : NULL;
    const bool is_ready = !trp_failed(trp_composed_describe(item, c, NULL, &why));
    trp_buf_add_char(b, '{');
    trp_json_add_str(b, "name", item->name);
    trp_json_add_str(b, "kind", trp_str_of(item->kind));
    trp_json_add_str(b, "place", item->place);
    trp_json_add_bool(b, "ready", is_ready);
    trp_json_add_str(b, "reason", trp_composed_reason(item, is_ready, &why));
    trp_json_add_u64(b, "inferences", rows_answered(item->target));
    if (!trp_failed(trp_composed_describe(item, c, &s, NULL))) {
        write_tensors(b, "inputs", s.inputs, s.inputs_n);
        write_tensors(b, "outputs", s.outputs, s.outputs_n);
    }
    if (composition)
        write_members(b, composition);
    if (composition)
        write_steps(b, item->target);
    if (learner) {
        trp_json_add_key(b, "learned");
        trp_learner_write_json(learner, b);
    }
    if (route)
        trp_route_write_json(route, now_ns, b);
    trp_buf_add_char(b, '}');
}

static trp_status write_all(const struct trp_directory *d, const struct trp_control *c,
                            int64_t now_ns, struct trp_buf *b, struct trp_error *err)
{
    bool is_first = true;
    trp_buf_add_text(b, "{\"routes\":[");
    for (uint32_t i = 0; i < trp_directory_count(d); i++) {
        const struct trp_directory_item *item = trp_directory_at(d, i);
        if (c->model.len && !trp_str_is_equal(c->model, item->name))
            continue;
        if (!is_first)
            trp_buf_add_char(b, ',');
        is_first = false;
        write_item(b, item, c, now_ns);
    }
    if (is_first && c->model.len)
        return trp_fail(err, TRP_NOT_FOUND, "'%.*s' is no route, ensemble, cascade or pipeline",
                        TRP_STR(c->model));
    trp_buf_add_text(b, "],\"trouble\":");
    trp_json_write_str(b, trp_directory_trouble(d));
    trp_json_add_bool(b, "read", d != NULL); /* a loop has none before the first reading ended */
    trp_buf_add_char(b, '}');
    return trp_buf_check(b, "reply", err);
}

trp_status trp_answer_routes(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    enum { BYTES_MAX = 64 << 20 };
    struct trp_buf b;
    trp_buf_init(&b, c->arena->alloc, BYTES_MAX);
    trp_status st = write_all(trp_admin_directory(a, c->loop_index), c,
                              trp_clock_now_ns(a->opts.clock), &b, err);
    if (!trp_failed(st))
        st = trp_control_reply_json(c, &b, err);
    trp_buf_deinit(&b);
    return st;
}

/* ---- explain ---- */

trp_status trp_admin_explain(void *user, uint32_t loop_index, const struct trp_call *call,
                             struct trp_buf *out, struct trp_error *err)
{
    enum { NAMES_MAX = 256 }; /* that are looked behind: some milliseconds of the loop */
    const struct trp_directory_item *item =
        trp_directory_find(trp_admin_directory(user, loop_index), call->model);
    uint32_t left = NAMES_MAX;
    const struct trp_target_question q = { .call = call, .loop_index = loop_index, .left = &left };
    if (!item)
        return trp_fail(err, TRP_NOT_FOUND, "'%.*s' is no route, ensemble, cascade or pipeline",
                        TRP_STR(call->model));
    if (!item->target)
        return trp_fail(err, TRP_NOT_READY, "'%.*s' is not at ready state: %.*s",
                        TRP_STR(call->model), TRP_STR(item->reason));
    item->target->ops->explain(item->target, &q, out);
    return trp_buf_check(out, "reply", err);
}

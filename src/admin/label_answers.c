/* admin/label_answers.c - which versions the labels of a model stand for, and where an operator
 * moves them. */
#include "admin/admin_internal.h"

trp_status trp_answer_labels(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    const struct trp_entry *e;
    struct trp_buf text;
    TRP_CHECK(trp_admin_entry(a, c, c->model, &e, err));
    trp_buf_init(&text, c->arena->alloc, SIZE_MAX / 2);
    trp_buf_add_text(&text, "{\"labels\":{");
    for (uint32_t i = 0; i < e->labels_n; i++) {
        trp_buf_add_text(&text, i ? "," : "");
        trp_json_write_str(&text, e->labels[i].name);
        trp_buf_add_char(&text, ':');
        trp_buf_add_i64(&text, e->labels[i].version);
    }
    trp_buf_add_text(&text, "}}");
    return trp_control_reply_take(c, &text, "labels", err);
}

trp_status trp_label_order_read(struct trp_control *c, struct trp_order *order,
                                struct trp_error *err)
{
    const struct trp_node *map = trp_node_get(c->request, "labels");
    const uint32_t n = map ? map->children_n : 0;
    struct trp_version_label *labels = trp_arena_zeroed(c->arena, (size_t)n + 1, sizeof *labels);
    order->kind = TRP_ORDER_LABEL;
    if (!labels)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "labels of '%.*s'", TRP_STR(c->model));
    for (const struct trp_node *l = map ? map->first : NULL; l; l = l->next)
        labels[order->labels_n++] = (struct trp_version_label){ l->key, l->v.i };
    order->labels = labels;
    order->is_forced = trp_node_bool(c->request, "force", false);
    c->raw = TRP_STR_LIT("{}"); /* the answer when all goes well */
    c->raw_type = "application/json";
    return trp_ok();
}

/* admin/instance_answers.c - how many runs of a model may go on at once, and who said so. */
#include "admin/admin_internal.h"
#include "backend/device_list.h"
#include "base/json_members.h"

/* Of a version whose slots are not all alike: how many there are of each kind. */
static void add_groups(struct trp_buf *b, const struct trp_model_config *c, uint32_t slots)
{
    const struct trp_slot_groups *const g = c->groups;
    char text[TRP_CORES_TEXT_MAX], device[TRP_DEVICE_TEXT_MAX];
    trp_json_add_key(b, "groups");
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; i < g->groups_n; i++) {
        trp_buf_add_text(b, i > 0 ? ",{" : "{");
        trp_json_add_u64(b, "instances", trp_slot_groups_share(g, slots, i));
        if (g->groups[i].is_bound) {
            trp_cores_format(&g->groups[i].cores, text, sizeof text);
            trp_json_add_str(b, "cores", trp_str_of(text));
        }
        if (c->devices_n > 0) {
            trp_device_format(c->devices[g->groups[i].device], device);
            trp_json_add_str(b, "device", trp_str_of(device));
        }
        trp_buf_add_char(b, '}');
    }
    trp_buf_add_char(b, ']');
}

/* What is open has slots; of the others only what will be asked of them is known. */
static void add_version(struct trp_buf *b, const struct trp_version *v)
{
    const struct trp_version *face = trp_version_face(v);
    const bool is_open = trp_lifecycle_is_serving(&v->life);
    const int64_t set = trp_gauge_get(&v->instances);
    const uint32_t configured = face ? face->config.instances : 0;
    const uint32_t wanted = set > 0 ? (uint32_t)set : configured;
    const uint32_t now = is_open ? trp_exec_instances(v) : wanted;
    const char *const why = now != wanted ? "its backend makes one run at a time"
                            : set > 0     ? "an operator said so"
                            : face        ? "its configuration says so"
                                          : "its configuration has not been read yet";
    trp_buf_add_char(b, '{');
    trp_json_add_i64(b, "version", v->target.version);
    trp_json_add_u64(b, "instances", now);
    if (face)
        trp_json_add_u64(b, "configured", configured);
    trp_json_add_u64(b, "in_flight", trp_stats_calls(trp_version_counts(v)));
    trp_json_add_str(b, "why", trp_str_of(why));
    if (is_open && v->config.groups)
        add_groups(b, &v->config, now);
    trp_buf_add_char(b, '}');
}

static trp_status write_answer(const struct trp_entry *e, const struct trp_control *c,
                               struct trp_buf *b, struct trp_error *err)
{
    uint32_t shown_n = 0;
    trp_buf_add_char(b, '{');
    trp_json_add_str(b, "name", e->name);
    trp_json_add_key(b, "versions");
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; i < e->versions_n; i++) {
        if (c->version != 0 && e->versions[i]->target.version != c->version)
            continue;
        trp_buf_add_text(b, shown_n++ ? "," : "");
        add_version(b, e->versions[i]);
    }
    trp_buf_add_text(b, "]}");
    if (c->version != 0 && shown_n == 0)
        return trp_fail(err, TRP_NOT_FOUND,
                        "Request for unknown model: '%.*s' version %lld is not found",
                        TRP_STR(c->model), (long long)c->version);
    return trp_buf_check(b, "instances", err);
}

trp_status trp_answer_instances(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    const struct trp_entry *e;
    struct trp_buf text;
    TRP_CHECK(trp_admin_entry(a, c, c->model, &e, err));
    trp_buf_init(&text, c->arena->alloc, SIZE_MAX / 2);
    trp_status st = write_answer(e, c, &text, err);
    if (!trp_failed(st))
        st = trp_control_reply_json(c, &text, err);
    trp_buf_deinit(&text);
    return st;
}

void trp_instance_order_read(struct trp_control *c, struct trp_order *order)
{
    order->kind = TRP_ORDER_SCALE;
    order->version = c->version;
    order->instances = (uint32_t)trp_node_i64(c->request, "count", 0);
}

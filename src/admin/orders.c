/* admin/orders.c - load, unload, moving labels, instances, and what must be looked up first: over
 * to the control thread, and back.
 *
 *   loop: order_begin --mail--> control: trp_life_submit ... order_done --mail--> loop: finish
 *                                                             (survey, instances) --mail--> loop: answer, finish
 *
 * The order lives in the request's arena; the loop does not touch the arena while the order is
 * away. */
#include "admin/admin_internal.h"

#define SECONDS_MAX (INT64_MAX / TRP_S(1))

struct order {
    struct trp_order order; /* first */
    struct trp_admin *admin;
    struct trp_control *control;
    struct trp_mail there, back;
    struct trp_routing_order reload;
};

/* How long it stays: seconds as a number (less than none: forever), or "5m" or "forever". */
static bool read_stay(const struct trp_node *param, struct trp_order *order)
{
    const struct trp_node *text = trp_node_get(param, "string_param");
    const struct trp_node *number = trp_node_get(param, "int64_param");
    const int64_t seconds = trp_node_i64(param, "int64_param", 0);
    order->has_keep_alive = true;
    if (text)
        return trp_setting_parse_stay(trp_node_str(param, "string_param", trp_str_make(NULL, 0)),
                                      &order->keep_alive_ns);
    if (!number || seconds > SECONDS_MAX)
        return false;
    order->keep_alive_ns = seconds < 0 ? TRP_SETTING_FOREVER : TRP_S(seconds);
    return true;
}

static trp_status read_load(struct trp_control *c, struct trp_order *order, struct trp_error *err)
{
    const struct trp_node *params = trp_node_get(c->request, "parameters");
    order->kind = TRP_ORDER_LOAD;
    if (!params || params->children_n == 0)
        return trp_ok();
    order->files = trp_arena_zeroed(c->arena, params->children_n, sizeof *order->files);
    if (!order->files)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "load of '%.*s'", TRP_STR(c->model));
    static const struct trp_str file_prefix = { "file:", 5 };
    for (const struct trp_node *p = params->first; p; p = p->next) {
        const struct trp_str none = { NULL, 0 };
        const struct trp_node *text = trp_node_get(p, "string_param");
        const struct trp_node *bytes = trp_node_get(p, "bytes_param");
        if (trp_str_is(p->key, "config") && text) {
            order->config = trp_node_str(p, "string_param", none);
        } else if (trp_str_starts_with(p->key, file_prefix) && (bytes || text)) {
            order->files[order->files_n++] = (struct trp_order_file){
                trp_str_make(p->key.ptr + file_prefix.len, p->key.len - file_prefix.len),
                trp_node_str(p, bytes ? "bytes_param" : "string_param", none)
            };
        } else if (trp_str_is(p->key, "force") && trp_node_get(p, "bool_param")) {
            order->is_forced = trp_node_bool(p, "bool_param", false);
        } else if (!trp_str_is(p->key, "keep_alive") || !read_stay(p, order)) {
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "load of '%.*s': parameter '%.*s' is not known, or of a wrong type; "
                            "known are 'config' (string), 'file:<version>/<path>' (bytes), "
                            "'keep_alive' (seconds, or a text such as 5m or forever) and 'force' "
                            "(boolean)",
                            TRP_STR(c->model), TRP_STR(p->key));
        }
    }
    if (order->files_n && !order->config.len)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "load of '%.*s': 'file:' parameters need 'config' as well",
                        TRP_STR(c->model));
    return trp_ok();
}

/* Pin, unpin, evict: nothing but the name. */
static bool read_keeping(struct trp_control *c, struct trp_order *order)
{
    if (c->op == TRP_CONTROL_API_PIN)
        order->kind = TRP_ORDER_PIN;
    else if (c->op == TRP_CONTROL_API_UNPIN)
        order->kind = TRP_ORDER_UNPIN;
    else if (c->op == TRP_CONTROL_API_EVICT)
        order->kind = TRP_ORDER_EVICT;
    else
        return false;
    c->raw = TRP_STR_LIT("{}"); /* the answer when all goes well */
    c->raw_type = "application/json";
    return true;
}

static trp_status read_order(struct trp_control *c, struct trp_order *order, struct trp_error *err)
{
    if (trp_node_str(c->request, "repository_name", trp_str_make(NULL, 0)).len)
        return trp_fail(err, TRP_UNIMPLEMENTED, "'repository_name' specification is not supported");
    order->model = c->model;
    if (c->op == TRP_CONTROL_API_LABELS_SET)
        return trp_label_order_read(c, order, err);
    if (c->op == TRP_CONTROL_MODEL_LOAD)
        return read_load(c, order, err);
    if (c->op == TRP_CONTROL_API_INSTANCES_SET)
        trp_instance_order_read(c, order);
    else if (c->op == TRP_CONTROL_MODEL_UNLOAD)
        order->kind = TRP_ORDER_UNLOAD; /* unload_dependents: nothing depends on a model yet */
    else if (!read_keeping(c, order))
        order->kind = TRP_ORDER_SURVEY;
    return trp_ok();
}

/* On the loop: it holds the snapshot that has what was looked up, or changed. */
static void answer(struct trp_mail *mail)
{
    struct order *o = TRP_CONTAINER_OF(mail, struct order, back);
    struct trp_control *c = o->control;
    c->error.status = trp_admin_answer(o->admin, c);
    c->done(c, c->done_user);
}

/* On the control thread: what was no model may be declared by a file that was not read yet, or
 * be missing because that is wrong. */
static void reloaded(struct trp_routing_order *request)
{
    struct order *o = TRP_CONTAINER_OF(request, struct order, reload);
    struct trp_error *err = &o->control->error;
    const struct trp_error own = *err;
    const enum trp_code code = (enum trp_code)own.status.code;
    if (request->is_there)
        *err = request->error;
    else if (trp_failed(request->error.status) &&
             (code == TRP_NOT_FOUND || code == TRP_FAILED_PRECONDITION)) /* a folder's route */
        (void)trp_fail(err, code, "%s; routes are not as they are written, because: %s", own.text,
                       request->error.text);
    trp_control_finish_from(o->control);
}

static bool may_be_composed(const struct order *o, const struct trp_order *done)
{
    const int32_t code = done->error.status.code;
    return o->admin->opts.reload && o->control->op == TRP_CONTROL_MODEL_LOAD &&
           (code == TRP_NOT_FOUND || code == TRP_FAILED_PRECONDITION);
}

/* On the control thread. */
static void order_done(struct trp_order *done, void *user)
{
    struct order *o = user;
    o->control->error = done->error;
    o->control->error.limit = TRP_LIMIT_NONE; /* life has counted it */
    const bool is_answered_there = done->kind == TRP_ORDER_SURVEY || done->kind == TRP_ORDER_SCALE;
    if (is_answered_there && !trp_failed(done->error.status)) {
        o->back.deliver = answer;
        trp_loop_post(o->control->loop, &o->back);
        return;
    }
    if (may_be_composed(o, done)) {
        o->reload = (struct trp_routing_order){ .name = o->control->model,
                                                .loads = true,
                                                .done = reloaded };
        o->admin->opts.reload(o->admin->opts.directory_user, &o->reload);
        return;
    }
    trp_control_finish_from(o->control);
}

/* On the control thread. */
static void submit(struct trp_mail *mail)
{
    struct order *o = TRP_CONTAINER_OF(mail, struct order, there);
    trp_life_submit(o->admin->opts.life, &o->order);
}

void trp_order_begin(struct trp_admin *a, struct trp_control *c)
{
    struct order *o = trp_arena_zeroed(c->arena, 1, sizeof *o);
    c->error.status =
        o ? read_order(c, &o->order, &c->error)
          : trp_fail(&c->error, TRP_OUT_OF_MEMORY, "order for '%.*s'", TRP_STR(c->model));
    if (!trp_failed(c->error.status) && trp_flag_is_up(&a->draining))
        c->error.status = trp_fail(&c->error, TRP_UNAVAILABLE, "Server not ready: it is stopping");
    if (trp_failed(c->error.status)) {
        trp_control_finish_soon(c);
        return;
    }
    o->admin = a;
    o->control = c;
    o->order.done = order_done;
    o->order.user = o;
    o->there.deliver = submit;
    trp_loop_post(a->opts.control, &o->there);
}

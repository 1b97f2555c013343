/* admin/admin.c - see admin.h.  One table says which function answers which operation; all but
 * load, unload and metrics are answered at once, on the loop that asked, from its own snapshot;
 * those about tracing then wait for the traces before them. */
#include "admin/admin.h"

#include "admin/admin_internal.h"
#include "call/call_trace.h"
#include "model/stats.h"

static const trp_answer_fn answers[TRP_CONTROLS] = {
    [TRP_CONTROL_SERVER_LIVE] = trp_answer_server_live,
    [TRP_CONTROL_SERVER_READY] = trp_answer_server_ready,
    [TRP_CONTROL_SERVER_METADATA] = trp_answer_server_metadata,
    [TRP_CONTROL_MODEL_READY] = trp_answer_model_ready,
    [TRP_CONTROL_MODEL_METADATA] = trp_answer_model_metadata,
    [TRP_CONTROL_MODEL_CONFIG] = trp_answer_model_config,
    [TRP_CONTROL_MODEL_STATISTICS] = trp_answer_statistics,
    [TRP_CONTROL_REPOSITORY_INDEX] = trp_answer_repository_index,
    [TRP_CONTROL_SHM_STATUS] = trp_answer_shm_status,
    [TRP_CONTROL_SHM_REGISTER] = trp_answer_shm_register,
    [TRP_CONTROL_SHM_UNREGISTER] = trp_answer_shm_unregister,
    [TRP_CONTROL_CUDA_SHM_STATUS] = trp_answer_cuda_status,
    [TRP_CONTROL_CUDA_SHM_REGISTER] = trp_answer_cuda_register,
    [TRP_CONTROL_CUDA_SHM_UNREGISTER] = trp_answer_cuda_unregister,
    [TRP_CONTROL_TRACE_GET] = trp_answer_trace_get,
    [TRP_CONTROL_TRACE_SET] = trp_answer_trace_set,
    [TRP_CONTROL_LOG_GET] = trp_answer_log_get,
    [TRP_CONTROL_LOG_SET] = trp_answer_log_set,
    [TRP_CONTROL_API_MODELS] = trp_answer_api_models,
    [TRP_CONTROL_API_OPENAPI] = trp_answer_openapi,
    [TRP_CONTROL_API_LABELS_GET] = trp_answer_labels,
    [TRP_CONTROL_API_COST] = trp_answer_cost,
    [TRP_CONTROL_API_ROUTES] = trp_answer_routes,
    [TRP_CONTROL_API_INSTANCES_GET] = trp_answer_instances,
    [TRP_CONTROL_API_INSTANCES_SET] = trp_answer_instances,
    [TRP_CONTROL_API_TIME_GET] = trp_answer_time_get,
    [TRP_CONTROL_API_TIME_SET] = trp_answer_time_set,
    [TRP_CONTROL_API_FEEDBACK] = trp_answer_feedback,
};

static trp_status make_tasks(struct trp_admin *a, struct trp_error *err)
{
    const uint32_t n = a->opts.loops_n;
    a->tasks = trp_alloc_zeroed(a->alloc, n + (size_t)1, sizeof(struct trp_task_names *));
    if (!a->tasks)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "admin");
    for (uint32_t i = 0; i < n; i++)
        TRP_CHECK(trp_task_names_create(a->alloc, a->opts.clock, &a->tasks[i], err));
    return trp_ok();
}

trp_status trp_admin_create(const struct trp_alloc *alloc, const struct trp_admin_opts *opts,
                            struct trp_admin **out_admin, struct trp_error *err)
{
    *out_admin = NULL;
    struct trp_admin *a = trp_alloc_zeroed(alloc, 1, sizeof *a);
    if (!a)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "admin");
    a->alloc = alloc;
    a->opts = *opts;
    trp_status st = trp_regions_create(
        alloc, trp_settings_u64(opts->settings, TRP_SETTING_ID_SHM_BYTES),
        (uint32_t)trp_settings_u64(opts->settings, TRP_SETTING_ID_SHM_REGIONS), &a->regions, err);
    if (!trp_failed(st))
        st = make_tasks(a, err);
    if (trp_failed(st)) {
        trp_admin_destroy(a);
        return st;
    }
    *out_admin = a;
    return st;
}

void trp_admin_destroy(struct trp_admin *a)
{
    if (!a)
        return;
    for (uint32_t i = 0; a->tasks && i < a->opts.loops_n; i++)
        trp_task_names_destroy(a->tasks[i]);
    trp_alloc_free(a->alloc, a->tasks);
    trp_regions_destroy(a->regions);
    trp_alloc_free(a->alloc, a);
}

void trp_admin_set_draining(struct trp_admin *a)
{
    trp_flag_raise(&a->draining);
}

const struct trp_snapshot *trp_admin_snapshot(const struct trp_admin *a,
                                              const struct trp_control *c)
{
    return a->opts.snapshot(a->opts.snapshot_user, c->loop_index);
}

trp_status trp_admin_entry(const struct trp_admin *a, const struct trp_control *c,
                           struct trp_str model, const struct trp_entry **out_entry,
                           struct trp_error *err)
{
    *out_entry = trp_snapshot_find(trp_admin_snapshot(a, c), model);
    return *out_entry ? trp_ok()
                      : trp_fail(err, TRP_NOT_FOUND,
                                 "Request for unknown model: '%.*s' is not found", TRP_STR(model));
}

static void finish_task(struct trp_task *task)
{
    struct trp_control *c = TRP_CONTAINER_OF(task, struct trp_control, task);
    c->done(c, c->done_user);
}

static void finish_mail(struct trp_mail *mail)
{
    struct trp_control *c = TRP_CONTAINER_OF(mail, struct trp_control, mail);
    c->done(c, c->done_user);
}

trp_status trp_control_reply_json(struct trp_control *c, const struct trp_buf *text,
                                  struct trp_error *err)
{
    c->raw = trp_arena_dup(c->arena, trp_buf_str(text));
    c->raw_type = "application/json";
    return c->raw.ptr ? trp_ok() : trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the reply");
}

trp_status trp_control_reply_take(struct trp_control *c, struct trp_buf *text, const char *what,
                                  struct trp_error *err)
{
    trp_status st = trp_buf_check(text, what, err);
    if (!trp_failed(st))
        st = trp_control_reply_json(c, text, err);
    trp_buf_deinit(text);
    return st;
}

void trp_control_finish_soon(struct trp_control *c)
{
    c->task.run = finish_task;
    trp_loop_ready(c->loop, &c->task);
}

void trp_control_finish_from(struct trp_control *c)
{
    c->mail.deliver = finish_mail;
    trp_loop_post(c->loop, &c->mail);
}

trp_status trp_admin_answer(struct trp_admin *a, struct trp_control *c)
{
    const trp_answer_fn answer = answers[c->op];
    TRP_ASSERT(answer != NULL);
    return answer(a, c, &c->error);
}

/* A label of the path becomes the number that it stands for now: what answers knows numbers
 * only. */
static trp_status resolve_label(const struct trp_admin *a, struct trp_control *c)
{
    c->error.status =
        trp_snapshot_number(trp_admin_snapshot(a, c), c->model, c->version, &c->version, &c->error);
    return c->error.status;
}

static bool is_order(enum trp_control_op op)
{
    return op == TRP_CONTROL_MODEL_LOAD || op == TRP_CONTROL_MODEL_UNLOAD ||
           op == TRP_CONTROL_API_LABELS_SET || op == TRP_CONTROL_API_PIN ||
           op == TRP_CONTROL_API_UNPIN || op == TRP_CONTROL_API_EVICT ||
           op == TRP_CONTROL_API_INSTANCES_SET;
}

void trp_admin_control(void *user, struct trp_control *control)
{
    struct trp_admin *a = user;
    if (control->op == TRP_CONTROL_MODEL_LOAD && trp_admin_composed(a, control)) {
        trp_composed_reload_begin(a, control);
        return;
    }
    if (trp_composed_answer(a, control)) {
        trp_control_finish_soon(control);
        return;
    }
    if (control->version < 0 && trp_failed(resolve_label(a, control))) {
        trp_control_finish_soon(control);
        return;
    }
    if (is_order(control->op) || trp_answer_needs_survey(a, control)) {
        trp_order_begin(a, control);
        return;
    }
    if (control->op == TRP_CONTROL_API_RESIDENCY) {
        trp_residency_begin(a, control);
        return;
    }
    if (control->op == TRP_CONTROL_METRICS) {
        trp_scrape_begin(a, control);
        return;
    }
    control->error.status = trp_admin_answer(a, control);
    const bool is_trace =
        control->op == TRP_CONTROL_TRACE_GET || control->op == TRP_CONTROL_TRACE_SET;
    if (is_trace && !trp_failed(control->error.status))
        trp_trace_flush_begin(a, control);
    else
        trp_control_finish_soon(control);
}

trp_status trp_admin_pick(struct trp_admin *a, uint32_t loop_index, const struct trp_sought *sought,
                          struct trp_version **out_version, struct trp_error *err)
{
    const struct trp_snapshot *s = a->opts.snapshot(a->opts.snapshot_user, loop_index);
    const struct trp_str task = trp_task_of_name(sought->model);
    struct trp_call *call = sought->call;
    if (task.len == 0)
        return trp_snapshot_pick(s, sought->model, sought->version, out_version, err);
    if (sought->version)
        return trp_fail(
            err, TRP_NOT_FOUND,
            "Request for unknown model: '%.*s' version %lld is not found: a task has no "
            "versions",
            TRP_STR(sought->model), (long long)sought->version);
    TRP_CHECK(trp_task_names_pick(a->tasks[loop_index], s, task, call, out_version,
                                  call ? &call->answered_why : NULL, err));
    if (!call)
        return trp_ok();
    call->answered_by = trp_arena_dup(&call->arena, (*out_version)->target.name);
    if (call->answered_by.ptr)
        return trp_ok();
    trp_version_unref(*out_version);
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the request");
}

trp_status trp_admin_find(void *user, uint32_t loop_index, const struct trp_sought *sought,
                          struct trp_target **out_target, void (**out_release)(struct trp_target *),
                          struct trp_error *err)
{
    struct trp_version *v = NULL;
    const struct trp_directory *d = trp_admin_directory(user, loop_index);
    TRP_CHECK(trp_directory_pick(d, sought->model, sought->version, out_target, out_release, err));
    if (*out_target)
        return trp_ok();
    TRP_CHECK(trp_admin_pick(user, loop_index, sought, &v, err));
    *out_target = &v->target;
    *out_release = trp_version_release_target;
    return trp_ok();
}

trp_status trp_admin_region(void *user, struct trp_str name, uint64_t offset, uint64_t bytes,
                            void **out_ptr, void **out_hold, struct trp_error *err)
{
    struct trp_admin *a = user;
    return trp_regions_hold(a->regions, name, offset, bytes, out_ptr, out_hold, err);
}

void trp_admin_region_release(void *hold, void *ptr)
{
    trp_region_release(hold, ptr);
}

static int64_t between(const struct trp_call *call, enum trp_phase from, enum trp_phase to)
{
    const int64_t a = call->stamps_ns[from], b = call->stamps_ns[to];
    return a && b > a ? b - a : 0;
}

static uint64_t tensor_bytes(const struct trp_call_tensor *tensors, uint32_t n)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < n; i++)
        bytes += tensors[i].tensor.data ? tensors[i].tensor.bytes : 0;
    return bytes;
}

/* Success and failure as the client saw them; what happened in between was counted by exec. */
void trp_admin_finished(void *user, uint32_t loop_index, struct trp_call *call)
{
    struct trp_admin *a = user;
    struct trp_stats *s = call->target->ops->stats(call->target);
    const int64_t total = between(call, TRP_PHASE_ARRIVED, TRP_PHASE_ENCODED);
    (void)loop_index;
    if (call->parent || call->is_attempt)
        trp_call_trace_step(a->opts.trace, call);
    if (!s)
        return;
    trp_histogram_add(&s->total, total);
    trp_counter_set(&s->last_asked_ns, (uint64_t)call->stamps_ns[TRP_PHASE_ENCODED]);
    trp_counter_add(&s->bytes_in, tensor_bytes(call->inputs, call->inputs_n));
    if (trp_failed(call->error.status)) {
        const int32_t code = call->error.status.code;
        trp_duration_add(&s->fail, total);
        trp_counter_add(&s->errors[code > 0 && code < TRP_CODES ? code : TRP_UNKNOWN], 1);
        return;
    }
    trp_duration_add(&s->success, total);
    trp_histogram_add(&s->decode, between(call, TRP_PHASE_ARRIVED, TRP_PHASE_DECODED));
    trp_histogram_add(&s->wait, between(call, TRP_PHASE_QUEUED, TRP_PHASE_RUN_START));
    trp_histogram_add(&s->compute, between(call, TRP_PHASE_INPUT_END, TRP_PHASE_OUTPUT_START));
    trp_histogram_add(&s->encode, between(call, TRP_PHASE_RUN_END, TRP_PHASE_ENCODED));
    trp_counter_add(&s->bytes_out, tensor_bytes(call->outputs, call->outputs_n));
    trp_counter_set(&s->last_inference_ns, (uint64_t)call->stamps_ns[TRP_PHASE_ENCODED]);
}

/* model/version.c - see version.h.
 *
 * Who may look at what, and when.  A version is published while it is still NEW or LOADING, so that
 * the index can show it; its fields therefore have a rule each, and no lock:
 *
 *  1. Identity (target.name, target.version, id, path, digest) is set before the version is first
 *     published.
 *  2. `config`, `signature`, `file_signature`, `model` and `reason` are written by the control
 *     thread before the state moves to READY or FAILED, or before a NEW version is first published.
 *     They are read after an acquire of the state that says so, and never change afterwards.
 *  3. `arena` belongs to whoever prepares the version (a loader thread, until its result was
 *     taken); once READY it is exec's, under exec's lock.
 *  4. Statistics, residency and accounts are counters; anybody, any time. */
#include "model/version.h"

#include "call/call.h"

#define ARENA_BLOCK_BYTES 192              /* names and a path: most versions are never loaded */
#define ARENA_BYTES_MAX ((size_t)64 << 20) /* labels and configuration of one version */

/* A survey reads what the file declares; only the open model says what follows from it, and
 * calls are bound to that. */
static const char nothing[] = "", no_memory[] = "there is no memory for the reason";

const struct trp_signature *trp_version_get_signature(const struct trp_target *t)
{
    const struct trp_version *v = (const struct trp_version *)t;
    return trp_lifecycle_is_serving(&v->life) ? &v->signature : NULL;
}

const struct trp_signature *trp_version_get_face(const struct trp_target *t)
{
    const struct trp_version *face = trp_version_face((const struct trp_version *)t);
    return face && face->has_signature ? &face->signature : NULL;
}

const struct trp_node *trp_version_get_config(const struct trp_target *t)
{
    return ((const struct trp_version *)t)->config.tree;
}

int64_t trp_version_get_patience_ns(const struct trp_target *t, const struct trp_call *call)
{
    const struct trp_version *face = trp_version_face((const struct trp_version *)t);
    return face ? trp_queue_rules_timeout_ns(face->config.queue, call->priority) : 0;
}

void trp_version_get_state(const struct trp_target *t, struct trp_target_state *out)
{
    const struct trp_version *v = (const struct trp_version *)t;
    const enum trp_model_state state = trp_lifecycle_get(&v->life);
    out->ready = trp_version_counts_as_ready(v);
    out->state = trp_model_state_wire_name(out->ready ? TRP_MODEL_READY : state);
    out->reason = trp_version_reason(v);
}

struct trp_stats *trp_version_get_stats(struct trp_target *t)
{
    return trp_version_of(t)->stats;
}

void trp_version_get_cost(const struct trp_target *t, struct trp_target_cost *out)
{
    const struct trp_version *v = (const struct trp_version *)t;
    const int64_t queued = trp_gauge_get(&trp_version_counts(v)->queued);
    out->run_ns = trp_version_run_ns(v);
    out->queued = queued > 0 ? (uint32_t)queued : 0;
}

/* What a version that is loaded counts, in one block. */
struct counts {
    struct trp_stats stats;
    struct trp_stats_row told;
};

static bool make_stats(struct trp_version *v, const struct trp_alloc *alloc,
                       struct trp_stats *shared)
{
    v->stats = shared;
    v->has_own_stats = !shared;
    if (shared)
        return true;
    struct counts *counts = trp_alloc_zeroed(alloc, 1, sizeof *counts);
    if (!counts)
        return false;
    v->stats = &counts->stats;
    v->told = &counts->told;
    return true;
}

const struct trp_stats *trp_version_counts(const struct trp_version *v)
{
    static const struct trp_stats none;
    return v->has_own_stats ? v->stats : &none;
}

static void set_up(struct trp_version *v, const struct trp_version_opts *opts)
{
    static const struct trp_target_ops nobodys = TRP_VERSION_OPS(NULL, NULL);
    v->target.ops = opts->ops ? opts->ops : &nobodys;
    v->target.version = opts->number;
    v->runner = opts->runner;
    v->on_unused = opts->on_unused;
    v->on_unused_user = opts->on_unused_user;
    trp_refs_init(&v->refs);
    trp_account_init(&v->weights, TRP_ACCOUNT_WEIGHTS, opts->weights_parent, 0);
    trp_account_init(&v->activations, TRP_ACCOUNT_ACTIVATIONS, opts->activations_parent, 0);
    v->reason = nothing;
}

static bool is_static(const char *reason)
{
    return reason == nothing || reason == no_memory;
}

void trp_version_say(struct trp_version *v, struct trp_str text)
{
    const struct trp_alloc *alloc = v->arena.alloc;
    char *copy = text.len ? trp_alloc_text(alloc, text.ptr, text.len) : NULL;
    if (!is_static(v->reason))
        trp_alloc_free(alloc, (char *)(uintptr_t)v->reason);
    v->reason = copy ? copy : text.len ? no_memory : nothing;
}

trp_status trp_version_create(const struct trp_alloc *alloc, const struct trp_version_opts *opts,
                              struct trp_version **out_version, struct trp_error *err)
{
    *out_version = NULL;
    struct trp_version *v = trp_alloc_zeroed(alloc, 1, sizeof *v);
    if (!v)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "version of '%.*s'", TRP_STR(opts->model));
    set_up(v, opts);
    trp_arena_init(&v->arena, alloc, ARENA_BLOCK_BYTES, ARENA_BYTES_MAX);
    v->target.name = trp_arena_dup(&v->arena, opts->model);
    v->id =
        trp_arena_format(&v->arena, "%.*s/%lld", TRP_STR(opts->model), (long long)opts->number).ptr;
    if (!v->target.name.ptr || !v->id || !make_stats(v, alloc, opts->shared_stats)) {
        trp_version_destroy(v);
        return trp_fail(err, TRP_OUT_OF_MEMORY, "version of '%.*s'", TRP_STR(opts->model));
    }
    *out_version = v;
    return trp_ok();
}

void trp_version_destroy(struct trp_version *v)
{
    if (!v)
        return;
    TRP_ASSERT(!v->model); /* whoever opened it closes it */
    const struct trp_alloc *alloc = v->arena.alloc;
    trp_version_unref(v->before);
    trp_version_unref(v->successor);
    trp_headroom_close(&v->headroom);
    trp_account_deinit(&v->weights);
    trp_account_deinit(&v->activations);
    if (!is_static(v->reason))
        trp_alloc_free(alloc, (char *)(uintptr_t)v->reason);
    if (v->has_own_stats)
        trp_alloc_free(alloc, v->stats); /* with `told` */
    trp_arena_deinit(&v->arena);
    trp_alloc_free(alloc, v);
}

void trp_version_ref(struct trp_version *v)
{
    trp_refs_up(&v->refs);
}

void trp_version_unref(struct trp_version *v)
{
    if (!v || !trp_refs_down(&v->refs))
        return;
    if (v->on_unused)
        v->on_unused(v, v->on_unused_user);
    else
        trp_version_destroy(v);
}

void trp_version_release_target(struct trp_target *t)
{
    trp_version_unref(trp_version_of(t));
}

struct trp_str trp_version_reason(const struct trp_version *v)
{
    switch (trp_lifecycle_get(&v->life)) {
    case TRP_MODEL_LOADING:
    case TRP_MODEL_WARMING:
        return (struct trp_str){ 0 }; /* being written, perhaps */
    default:
        return trp_str_of(v->reason);
    }
}

bool trp_version_takes_calls(const struct trp_version *v)
{
    switch (trp_lifecycle_get(&v->life)) {
    case TRP_MODEL_READY:
    case TRP_MODEL_DRAINING:
        return true;
    case TRP_MODEL_NEW:
    case TRP_MODEL_LOADING:
    case TRP_MODEL_WARMING:
        return v->is_cold;
    case TRP_MODEL_FAILED:
        return trp_flag_is_up(&v->may_retry);
    case TRP_MODEL_GONE:
    case TRP_MODEL_STATES:
    default:
        return false;
    }
}

bool trp_version_counts_as_ready(const struct trp_version *v)
{
    const enum trp_model_state state = trp_lifecycle_get(&v->life);
    return state == TRP_MODEL_READY || (state == TRP_MODEL_NEW && v->is_cold && v->failure == 0);
}

const struct trp_version *trp_version_face(const struct trp_version *v)
{
    const enum trp_model_state state = trp_lifecycle_get(&v->life);
    if (state == TRP_MODEL_NEW || trp_lifecycle_is_serving(&v->life))
        return v->has_signature ? v : NULL;
    return v->before;
}

void trp_version_take_times(struct trp_version *v, const struct trp_version *from)
{
    struct trp_gauge *run_ns = v->has_own_stats ? &v->stats->run_ns : &v->cold_run_ns;
    trp_gauge_set(&v->load_ns, trp_gauge_get(&from->load_ns));
    trp_gauge_set(run_ns, trp_version_run_ns(from));
}

int64_t trp_version_run_ns(const struct trp_version *v)
{
    return trp_gauge_get(v->has_own_stats ? &v->stats->run_ns : &v->cold_run_ns);
}

/* Labels are for answers: whoever gives some has read them himself. */
static bool take_signature(struct trp_version *v, const struct trp_signature *from)
{
    struct trp_signature_builder b;
    trp_signature_builder_init(&b, &v->arena);
    for (uint32_t i = 0; i < from->inputs_n + from->outputs_n; i++) {
        const bool is_output = i >= from->inputs_n;
        struct trp_io io = is_output ? from->outputs[i - from->inputs_n] : from->inputs[i];
        io.labels = NULL;
        io.labels_n = 0;
        trp_signature_builder_add(&b, is_output, &io);
    }
    b.platform = trp_arena_dup(&v->arena, from->platform);
    if (!b.platform.ptr || trp_failed(trp_signature_build(&b, &v->signature, NULL)))
        return false;
    v->signature.batch_max = from->batch_max;
    return true;
}

/* What is shown of it; what a backend is told comes from the files again. */
static bool take_config(struct trp_version *v, const struct trp_model_config *from)
{
    struct trp_model_config config = { .name = v->target.name,
                                       .batch_max = from->batch_max,
                                       .load = from->load,
                                       .keeping = from->keeping,
                                       .instances = from->instances };
    config.tree = from->tree ? trp_node_dup(&v->arena, from->tree) : NULL;
    if (!config.tree || trp_failed(trp_card_complete(&v->arena, &from->card, &config.card, NULL)) ||
        !trp_queue_rules_dup(&v->arena, from->queue, &config.queue))
        return false;
    v->config = config;
    return true;
}

bool trp_version_take_face(struct trp_version *v, const struct trp_version *from)
{
    trp_version_take_times(v, from);
    if (!from->has_signature)
        return false;
    v->has_signature = take_signature(v, &from->signature) && take_config(v, &from->config);
    if (!v->has_signature)
        v->signature = (struct trp_signature){ 0 };
    return v->has_signature;
}

struct trp_str trp_version_opening(const struct trp_version *v)
{
    const char *text = trp_pointer_get(&v->opening);
    return text ? trp_str_of(text) : (struct trp_str){ 0 };
}

struct trp_str trp_version_batching(const struct trp_version *v)
{
    const char *text = v->company ? trp_pointer_get(&v->company->words) : NULL;
    return text ? trp_str_of(text) : (struct trp_str){ 0 };
}

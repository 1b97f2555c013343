/* compose/composition.c - see composition.h: the target. */
#include "compose/composition.h"

#include <stdio.h>

#include "base/json_members.h"
#include "compose/ensemble.h"
#include "compose/explanation.h"
#include "compose/pipeline.h"
#include "compose/recipe_change.h"
#include "repo/digest.h"
#include "route/route_file.h"
#include "tensor/dtype.h"

#define KEPT_BYTES 2048u
#define ARENA_BYTES 16384u
#define ARENA_MAX ((size_t)16 << 20) /* of one: a guard */
#define PLACE_MAX 512

struct trp_composition {
    struct trp_target target; /* first: a composition is a target */
    struct trp_refs refs;
    const struct trp_alloc *alloc;
    const struct trp_cook_env *env;
    struct trp_arena arena; /* of what stays: names, the tree as it was written, reasons */
    const char *kind;
    const struct trp_node *at, *labels; /* the latter: NULL: none */
    struct trp_str place;
    struct trp_str *names;
    struct trp_node *names_at; /* only places: what Triton's form is read into does not stay */
    uint32_t names_n;
    const char **gone_texts; /* for each name what is said when it is gone; NULL: never was */
    struct trp_pointer gone; /* one of these, or NULL */
    struct trp_str *loads;
    struct trp_node *loads_at;
    uint32_t loads_n;
    struct trp_route_file *file; /* NULL: none */
    struct trp_str text;         /* of the file of its own; empty: it has none */
    struct trp_learner *learner; /* NULL: its weights are as they are written */

    /* of the last check; constant once is_checked is up */
    struct trp_arena work;
    struct trp_recipe recipe;
    struct trp_ensemble ensemble; /* of ensembles and cascades */
    const struct trp_node *config;
    struct trp_flag is_checked;
    struct trp_pointer reason; /* why it is not ready; a text, or NULL */
    uint64_t said;             /* digest of the error that it tells; 0: none */
    struct trp_pointer rows;   /* what is wrong with the rows that they take; a text, or NULL */
    bool is_rows_taken;
    int64_t *rows_max; /* by step: how many its model takes, when it was last looked at */
    struct trp_stats stats;
    struct trp_counter *asked;   /* of a cascade, by step: rows; NULL: it is none */
    struct trp_counter *missing; /* of an ensemble: as the recipe's */
    struct trp_gauge *took;      /* as the recipe's */
};

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for what is made of models");
}

static struct trp_composition *of(const struct trp_target *t)
{
    return TRP_CONTAINER_OF((struct trp_target *)(uintptr_t)t, struct trp_composition, target);
}

/* ---- the target's functions ---- */

static const struct trp_signature *get_signature(const struct trp_target *t)
{
    return trp_composition_signature(of(t));
}

static const struct trp_node *get_config(const struct trp_target *t)
{
    return trp_flag_is_up(&of(t)->is_checked) ? of(t)->config : NULL;
}

/* Whether the model of a step could answer now.  Names of one picture lead nowhere back, so
 * asking those behind it ends. */
static trp_status find_member(const struct trp_composition *c, const struct trp_recipe_step *step,
                              uint32_t loop_index, struct trp_error *err)
{
    const struct trp_sought sought = { step->model, step->version, NULL };
    const struct trp_finder_wish wish = { .out = NULL };
    return trp_finder_describe(&c->env->finder, loop_index, &sought, &wish, err);
}

/* Who answers must be there; who may fail need not, if enough of the others are: then nothing is
 * said of it. */
static trp_status find_members(const struct trp_composition *c, uint32_t loop_index,
                               struct trp_error *err)
{
    uint32_t found = 0, optional = 0, quorum = 0;
    struct trp_error last = { 0 };
    for (uint32_t i = 0; i < c->recipe.steps_n; i++) {
        const struct trp_recipe_step *step = &c->recipe.steps[i];
        struct trp_error own = { 0 };
        quorum = step->quorum > quorum ? step->quorum : quorum;
        if (step->act != TRP_RECIPE_MODEL)
            continue;
        const trp_status st = find_member(c, step, loop_index, &own);
        optional += step->may_fail;
        found += !trp_failed(st) && step->may_fail;
        if (trp_failed(st))
            last = own;
        if (trp_failed(st) && !step->may_fail) {
            *err = own;
            return st;
        }
    }
    if (optional == 0 || found >= quorum)
        return trp_ok();
    *err = last;
    return last.status;
}

static struct trp_str reason_of(const struct trp_composition *c)
{
    const char *reason = trp_pointer_get(&c->reason);
    return trp_str_of(reason ? reason : "its models were not looked at yet");
}

static trp_status fail_unchecked(const struct trp_composition *c, struct trp_error *err)
{
    return trp_fail(err, TRP_NOT_READY,
                    "Request for unknown model: '%.*s' is not at ready state: %.*s",
                    TRP_STR(c->target.name), TRP_STR(reason_of(c)));
}

static trp_status describe(const struct trp_target *t, uint32_t loop_index, struct trp_arena *arena,
                           struct trp_signature *out, struct trp_error *err)
{
    const struct trp_composition *c = of(t);
    struct trp_error own = { 0 };
    struct trp_error *words = err ? err : &own;
    if (!trp_flag_is_up(&c->is_checked) && !out) /* the reason of the index: no words for clients */
        return trp_fail(words, TRP_NOT_READY, "%.*s", TRP_STR(reason_of(c)));
    if (!trp_flag_is_up(&c->is_checked))
        return fail_unchecked(c, words);
    if (out)
        return trp_signature_dup(&c->recipe.signature, arena, out, words);
    return find_members(c, loop_index, words);
}

static uint64_t rows_of(const struct trp_composition *c, const struct trp_call *call)
{
    for (uint32_t i = 0; c->recipe.signature.batch_max > 0 && i < call->inputs_n; i++)
        if (call->inputs[i].tensor.data && call->inputs[i].tensor.rank > 0)
            return (uint64_t)call->inputs[i].tensor.shape[0];
    return 1;
}

static int64_t between(const struct trp_call *call, enum trp_phase from, enum trp_phase to)
{
    return call->stamps_ns[to] - call->stamps_ns[from];
}

/* What its models have done is counted with them; here it is one run. */
static void count_answer(struct trp_call *call, void *user)
{
    struct trp_composition *c = user;
    struct trp_stats *s = &c->stats;
    trp_gauge_add(&s->in_flight, -1);
    if (!trp_failed(call->error.status)) {
        const uint64_t rows = rows_of(c, call);
        const int64_t ns = between(call, TRP_PHASE_INPUT_END, TRP_PHASE_OUTPUT_START);
        trp_duration_add(&s->queue, 0);
        trp_duration_add(&s->compute_input, 0);
        trp_duration_add(&s->compute_infer, ns);
        trp_duration_add(&s->compute_output, 0);
        trp_counter_add(&s->inference_count, rows);
        trp_counter_add(&s->execution_count, 1);
        trp_stats_add_batch(s, rows, 0, ns, 0);
        trp_stats_learn_run(s, ns);
    }
    trp_call_finish(call);
}

static void start(struct trp_target *t, struct trp_call *call)
{
    struct trp_composition *c = of(t);
    trp_gauge_add(&c->stats.in_flight, 1);
    trp_call_push(call, count_answer, c);
    if (!trp_flag_is_up(&c->is_checked))
        (void)fail_unchecked(c, &call->error);
    else if (call->is_unbound)
        (void)trp_call_bind(call, &c->recipe.signature, &call->error);
    if (trp_failed(call->error.status)) {
        (void)trp_call_try_done(call);
        trp_call_finish_soon(call);
        return;
    }
    call->is_unbound = false;
    trp_cook_start(&c->recipe, c->env, call);
}

static void cancel(struct trp_target *t, struct trp_call *call)
{
    (void)t;
    trp_cook_cancel(call);
}

static struct trp_str rows_of_models(const struct trp_composition *c)
{
    const char *rows = trp_pointer_get(&c->rows);
    return trp_str_of(rows ? rows : "");
}

/* Of one that serves: a member that is not there concerns every request. */
static struct trp_str doubt_of(const struct trp_composition *c)
{
    const struct trp_str gone = trp_composition_gone(c);
    if (!trp_flag_is_up(&c->is_checked))
        return trp_str_make(NULL, 0);
    return gone.len > 0 ? gone : rows_of_models(c);
}

static void state(const struct trp_target *t, struct trp_target_state *out)
{
    *out = (struct trp_target_state){ .ready = true, .state = "READY", .reason = doubt_of(of(t)) };
    if (!trp_flag_is_up(&of(t)->is_checked))
        *out = (struct trp_target_state){ .state = "UNAVAILABLE", .reason = reason_of(of(t)) };
}

static struct trp_stats *stats(struct trp_target *t)
{
    return &of(t)->stats;
}

static void cost(const struct trp_target *t, struct trp_target_cost *out)
{
    *out = (struct trp_target_cost){ .run_ns = trp_gauge_get(&of(t)->stats.run_ns) };
}

static void explain(const struct trp_target *t, const struct trp_target_question *q,
                    struct trp_buf *out)
{
    const struct trp_composition *c = of(t);
    const bool is_ready = trp_flag_is_up(&c->is_checked);
    const struct trp_str doubt = doubt_of(c); /* once: it may change meanwhile */
    trp_buf_add_char(out, '{');
    trp_json_add_str(out, "composition", t->name);
    trp_json_add_str(out, "kind", trp_str_of(trp_composition_kind(c)));
    trp_json_add_str(out, "place", c->place);
    trp_json_add_bool(out, "ready", is_ready);
    trp_json_add_str(out, "reason", is_ready ? trp_str_make(NULL, 0) : reason_of(c));
    if (doubt.len > 0)
        trp_json_add_str(out, "doubt", doubt);
    if (is_ready)
        trp_explanation_write(&c->recipe, c->env, q, out);
    trp_buf_add_char(out, '}');
}

static const struct trp_target_ops ops = { .signature = get_signature,
                                           .config = get_config,
                                           .describe = describe,
                                           .start = start,
                                           .cancel = cancel,
                                           .state = state,
                                           .stats = stats,
                                           .cost = cost,
                                           .explain = explain };

/* ---- making it ---- */

static void forget(struct trp_composition *c)
{
    trp_recipe_drop(&c->recipe);
    trp_arena_reset(&c->work);
    c->recipe = (struct trp_recipe){ .steps = NULL };
    c->ensemble = (struct trp_ensemble){ .recipe = NULL };
    c->rows_max = NULL;
}

static trp_status read(struct trp_composition *c, struct trp_error *err)
{
    struct trp_recipe *r = &c->recipe;
    const bool is_triton = strcmp(c->kind, "ensemble_scheduling") == 0;
    const char *kind = is_triton ? "ensemble" : c->kind;
    TRP_CHECK(trp_recipe_init(r, &c->work, kind, c->target.name, c->at, err));
    if (c->file) {
        r->common = trp_route_file_common(c->file);
        r->lists = trp_route_file_lists(c->file, &r->lists_n);
    }
    r->labels = c->labels;
    if (is_triton)
        return trp_pipeline_read_triton(r, c->at, err);
    if (strcmp(kind, "ensemble") == 0)
        return trp_ensemble_read(r, c->at, &c->ensemble, err);
    if (strcmp(kind, "cascade") == 0)
        return trp_cascade_read(r, c->at, &c->ensemble, err);
    return trp_pipeline_read(r, c->alloc, c->at, err);
}

static trp_status copy_order(struct trp_composition *c, const struct trp_composition_order *order,
                             struct trp_error *err)
{
    char place[PLACE_MAX];
    (void)snprintf(place, sizeof place, "%s:%u", order->at->file ? order->at->file : "",
                   order->at->line);
    c->kind = order->kind;
    c->target.name = trp_arena_dup(&c->arena, order->name);
    c->place = trp_arena_dup(&c->arena, trp_str_of(place));
    c->text = trp_arena_dup(&c->arena, order->text);
    struct trp_node *copy = trp_node_dup(&c->arena, order->at);
    c->at = copy;
    c->labels = order->labels ? trp_node_dup(&c->arena, order->labels) : NULL;
    if (!c->target.name.ptr || !c->place.ptr || !c->text.ptr || !copy ||
        (order->labels && !c->labels))
        return no_memory(err);
    copy->next = NULL;
    return trp_ok();
}

static struct trp_node place_of(const struct trp_composition *c, const struct trp_node *at)
{
    return (struct trp_node){ .file = c->at->file, .line = at ? at->line : c->at->line };
}

static void add_name(struct trp_composition *c, struct trp_str name, const struct trp_node *at)
{
    c->names_at[c->names_n] = place_of(c, at);
    c->names[c->names_n++] = name;
}

/* Whom it asks: the models of its steps, and the one that is stacked upon them. */
static trp_status keep_names(struct trp_composition *c, struct trp_error *err)
{
    const struct trp_recipe *r = &c->recipe;
    struct trp_str stack;
    int64_t version;
    c->names = trp_arena_zeroed(&c->arena, r->steps_n + (size_t)2, sizeof *c->names);
    c->names_at = trp_arena_zeroed(&c->arena, r->steps_n + (size_t)2, sizeof *c->names_at);
    if (!c->names || !c->names_at)
        return no_memory(err);
    for (uint32_t i = 0; i < r->steps_n; i++)
        if (r->steps[i].act == TRP_RECIPE_MODEL)
            add_name(c, r->steps[i].model, r->steps[i].at);
    if (c->ensemble.stack.len > 0 && trp_route_goal_parse(c->ensemble.stack, &stack, &version))
        add_name(c, stack, trp_node_get(c->at, "stack"));
    for (uint32_t i = 0; i < c->names_n; i++) {
        c->names[i] = trp_arena_dup(&c->arena, c->names[i]);
        if (!c->names[i].ptr)
            return no_memory(err);
    }
    return trp_ok();
}

static uint32_t count_loads(const struct trp_recipe *r)
{
    struct trp_str name;
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->steps_n; i++)
        for (uint32_t cursor = 0;
             r->steps[i].when && trp_expr_next_model(r->steps[i].when, &cursor, &name);)
            n++;
    return n;
}

/* Conditions are compiled anew by each check; these names stay. */
static trp_status keep_loads(struct trp_composition *c, struct trp_error *err)
{
    const struct trp_recipe *r = &c->recipe;
    const uint32_t n = count_loads(r);
    struct trp_str name;
    c->loads = trp_arena_zeroed(&c->arena, n + (size_t)1, sizeof *c->loads);
    c->loads_at = trp_arena_zeroed(&c->arena, n + (size_t)1, sizeof *c->loads_at);
    if (!c->loads || !c->loads_at)
        return no_memory(err);
    for (uint32_t i = 0; i < r->steps_n; i++) {
        uint32_t cursor = 0;
        while (r->steps[i].when && trp_expr_next_model(r->steps[i].when, &cursor, &name)) {
            c->loads_at[c->loads_n] = place_of(c, r->steps[i].when_at);
            c->loads[c->loads_n] = trp_arena_dup(&c->arena, name);
            if (!c->loads[c->loads_n++].ptr)
                return no_memory(err);
        }
    }
    return trp_ok();
}

static trp_status make_counters(struct trp_composition *c, struct trp_error *err)
{
    c->took = trp_arena_zeroed(&c->arena, TRP_RECIPE_STEPS_MAX, sizeof *c->took);
    if (!c->took)
        return no_memory(err);
    if (strcmp(c->kind, "ensemble") == 0) {
        c->missing = trp_arena_zeroed(&c->arena, TRP_RECIPE_STEPS_MAX + 1, sizeof *c->missing);
        return c->missing ? trp_ok() : no_memory(err);
    }
    if (strcmp(c->kind, "cascade") != 0)
        return trp_ok();
    c->asked = trp_arena_zeroed(&c->arena, TRP_RECIPE_STEPS_MAX, sizeof *c->asked);
    return c->asked ? trp_ok() : no_memory(err);
}

/* From the first reading on, so that what was learned is not let go while the models are looked
 * at. */
static trp_status take_learner(struct trp_composition *c, struct trp_error *err)
{
    const struct trp_ensemble *e = &c->ensemble;
    struct trp_str members[TRP_VOTE_MEMBERS_MAX];
    if (!e->learns || !c->env->feedback)
        return trp_ok();
    for (uint32_t i = 0; i < e->members_n; i++)
        members[i] = c->recipe.steps[i].name;
    const struct trp_learner_order order = { .name = c->target.name,
                                             .vote = e->vote_name,
                                             .members = members,
                                             .weights = e->weights,
                                             .members_n = e->members_n,
                                             .rate = e->rate,
                                             .floor = e->floor };
    return trp_feedback_learner(c->env->feedback, &order, &c->learner, err);
}

static void destroy(struct trp_composition *c)
{
    trp_learner_unref(c->learner);
    trp_recipe_drop(&c->recipe);
    trp_arena_deinit(&c->work);
    trp_arena_deinit(&c->arena);
    if (c->file)
        trp_route_file_let_go(c->file);
    trp_alloc_free(c->alloc, c);
}

trp_status trp_composition_create(const struct trp_alloc *alloc, const struct trp_cook_env *env,
                                  const struct trp_composition_order *order,
                                  struct trp_composition **out_composition, struct trp_error *err)
{
    *out_composition = NULL;
    struct trp_composition *c = trp_alloc_zeroed(alloc, 1, sizeof *c);
    if (!c)
        return no_memory(err);
    c->alloc = alloc;
    c->env = env;
    c->file = order->file;
    if (c->file)
        trp_route_file_retain(c->file);
    c->target = (struct trp_target){ .ops = &ops, .version = 1 };
    trp_refs_init(&c->refs);
    trp_arena_init(&c->arena, alloc, KEPT_BYTES, ARENA_MAX);
    trp_arena_init(&c->work, alloc, ARENA_BYTES, ARENA_MAX);
    trp_status st = copy_order(c, order, err);
    if (!trp_failed(st))
        st = read(c, err);
    if (!trp_failed(st))
        st = keep_names(c, err);
    if (!trp_failed(st))
        st = keep_loads(c, err);
    if (!trp_failed(st))
        st = take_learner(c, err);
    if (!trp_failed(st))
        st = make_counters(c, err);
    forget(c);
    if (trp_failed(st)) {
        destroy(c);
        return st;
    }
    *out_composition = c;
    return st;
}

trp_status trp_composition_again(const struct trp_composition *c,
                                 struct trp_composition **out_composition, struct trp_error *err)
{
    const struct trp_composition_order order = { c->target.name, c->kind, c->at,
                                                 c->file,        c->text, c->labels };
    return trp_composition_create(c->alloc, c->env, &order, out_composition, err);
}

/* ---- checking it ---- */

static bool add_io(struct trp_arena *a, struct trp_node *list, const struct trp_io *io,
                   bool has_batch)
{
    struct trp_node *n = trp_node_add(a, list, (struct trp_str){ NULL, 0 }, TRP_NODE_MAP);
    struct trp_node *dtype = n && trp_node_add_str(a, n, "name", io->name)
                                 ? trp_node_add(a, n, TRP_STR_LIT("data_type"), TRP_NODE_WORD)
                                 : NULL;
    struct trp_node *dims = dtype ? trp_node_add_list(a, n, "dims") : NULL;
    bool ok = dims != NULL;
    if (dtype)
        dtype->v.s = trp_str_of(trp_dtype_config_name(io->dtype));
    for (uint32_t i = has_batch; ok && !io->any_rank && i < io->rank; i++)
        ok = trp_node_add_i64(a, dims, NULL, io->dims[i]) != NULL;
    return ok && (!io->optional || trp_node_add_bool(a, n, "optional", true));
}

static bool add_ios(struct trp_arena *a, struct trp_node *root, const char *key,
                    const struct trp_io *ios, uint32_t n, bool has_batch)
{
    struct trp_node *list = trp_node_add_list(a, root, key);
    bool ok = list != NULL;
    for (uint32_t i = 0; ok && i < n; i++)
        ok = add_io(a, list, &ios[i], has_batch);
    return ok;
}

static bool add_key(struct trp_arena *a, struct trp_node *root, const char *key,
                    const struct trp_node *tree)
{
    const struct trp_node *n = trp_node_get(tree, key);
    return !n || trp_node_add_copy(a, root, n);
}

/* What /config shows: Triton's keys in the order of their numbers. */
static trp_status make_config(struct trp_composition *c, struct trp_error *err)
{
    struct trp_arena *a = &c->work;
    const struct trp_recipe *r = &c->recipe;
    const struct trp_signature *s = &r->signature;
    const bool has_batch = s->batch_max > 0;
    struct trp_node *root = trp_node_new(a, TRP_NODE_MAP);
    const bool ok = root && trp_node_add_str(a, root, "name", c->target.name) &&
                    trp_node_add_str(a, root, "platform", s->platform) &&
                    trp_node_add_i64(a, root, "max_batch_size", s->batch_max) &&
                    add_ios(a, root, "input", s->inputs, s->inputs_n, has_batch) &&
                    add_ios(a, root, "output", s->outputs, s->outputs_n, has_batch) &&
                    (!r->declared || (add_key(a, root, "parameters", r->declared) &&
                                      add_key(a, root, "ensemble_scheduling", r->declared)));
    c->config = root;
    return ok ? trp_ok() : no_memory(err);
}

/* Triton's own word for its own form; clients that know it look for the steps there. */
static struct trp_str platform_of(const struct trp_composition *c)
{
    if (c->recipe.declared)
        return TRP_STR_LIT("ensemble");
    if (strcmp(c->recipe.kind, "ensemble") == 0)
        return TRP_STR_LIT("troupe_ensemble");
    return strcmp(c->recipe.kind, "cascade") == 0 ? TRP_STR_LIT("troupe_cascade")
                                                  : TRP_STR_LIT("troupe_pipeline");
}

/* How many rows a step takes; 0: nobody can say.  Row by row it is any number. */
static int64_t rows_of_step(const struct trp_recipe_step *step)
{
    if (step->act != TRP_RECIPE_MODEL)
        return 0;
    return step->each_row ? INT64_MAX : trp_signature_rows_max(step->signature);
}

static trp_status note_rows(struct trp_composition *c, struct trp_error *err)
{
    const struct trp_recipe *r = &c->recipe;
    c->rows_max = trp_arena_zeroed(&c->work, r->steps_n + (size_t)1, sizeof *c->rows_max);
    for (uint32_t i = 0; c->rows_max && i < r->steps_n; i++)
        c->rows_max[i] = rows_of_step(&r->steps[i]);
    return c->rows_max ? trp_ok() : no_memory(err);
}

static trp_status check(struct trp_composition *c, const struct trp_recipe_lookup *lookup,
                        struct trp_error *err)
{
    struct trp_recipe *r = &c->recipe;
    trp_status st = read(c, err);
    if (trp_failed(st))
        return st;
    c->ensemble.learner = c->learner;
    if (strcmp(r->kind, "cascade") == 0)
        st = trp_cascade_settle(&c->ensemble, lookup, err);
    else if (strcmp(c->kind, "ensemble") == 0)
        st = trp_ensemble_settle(&c->ensemble, lookup, err);
    else if (!r->declared)
        st = trp_pipeline_settle(r, c->at, lookup, err);
    TRP_CHECK(st);
    TRP_CHECK(trp_recipe_check(r, lookup, err));
    if (r->declared)
        TRP_CHECK(trp_pipeline_declare(r, err));
    r->signature.platform = platform_of(c);
    r->asked = c->asked;
    r->missing = c->missing;
    r->took = c->took;
    TRP_CHECK(note_rows(c, err));
    return make_config(c, err);
}

void trp_composition_point(const struct trp_composition *c, struct trp_error *err)
{
    const struct trp_route_source own = { c->at->file, c->text };
    const bool is_own = own.file && own.text.len > 0;
    if (is_own || c->file)
        trp_route_source_point(is_own ? &own : trp_route_file_source(c->file), err);
}

/* Said once: the same reason is not kept twice.  Without memory for the words there is a plainer
 * one. */
static void say(struct trp_composition *c, const struct trp_error *err)
{
    const uint64_t digest = trp_digest_add_str(1, trp_str_of(err->text));
    struct trp_error pointed = *err;
    if (digest == c->said)
        return;
    if (err->status.code != TRP_NOT_READY) /* nobody has written anything wrong */
        trp_composition_point(c, &pointed);
    const struct trp_str text = trp_arena_dup(&c->arena, trp_str_of(pointed.text));
    trp_pointer_put(&c->reason, text.ptr);
    c->said = text.ptr ? digest : 0;
}

/* "'cnn' takes at most 8 rows, and 'gbdt' more", or what the whole says, where that has a maximum.
 * False: nothing is wrong with them. */
static bool describe_rows(const struct trp_composition *c, struct trp_error *out_words)
{
    const struct trp_recipe *r = &c->recipe;
    const int64_t whole = r->signature.batch_max;
    uint32_t least = UINT32_MAX, most = UINT32_MAX;
    for (uint32_t i = 0; i < r->steps_n; i++) {
        if (c->rows_max[i] <= 0)
            continue;
        least = least == UINT32_MAX || c->rows_max[i] < c->rows_max[least] ? i : least;
        most = most == UINT32_MAX || c->rows_max[i] > c->rows_max[most] ? i : most;
    }
    if (least == UINT32_MAX || c->rows_max[least] >= (whole > 0 ? whole : c->rows_max[most]))
        return false;
    const struct trp_recipe_step *step = &r->steps[least];
    char more[32] = "more";
    if (whole > 0)
        (void)snprintf(more, sizeof more, "says %lld", (long long)whole);
    (void)trp_node_fail(step->at, out_words, TRP_INVALID_ARGUMENT,
                        "'%.*s' takes at most %lld rows, and '%.*s' %s: %s", TRP_STR(step->name),
                        (long long)c->rows_max[least],
                        TRP_STR(whole > 0 ? c->target.name : r->steps[most].name), more,
                        step->may_fail ? "a request of more is answered without it"
                                       : "a request of more fails where it meets it");
    trp_composition_point(c, out_words);
    return true;
}

/* Models that answer together take the same request.  Where all of them have a maximum, the least
 * is the whole one's, which says so to clients; else more rows lose the one that takes fewer, and
 * so they do when another version of it takes fewer than it did. */
static void doubt_rows(struct trp_composition *c)
{
    struct trp_error words = { 0 };
    if (strcmp(c->recipe.kind, "pipeline") == 0 || c->recipe.declared)
        return;
    const bool is_doubted = describe_rows(c, &words);
    if (trp_str_is(rows_of_models(c), words.text))
        return;
    c->is_rows_taken = false;
    if (!is_doubted) {
        trp_pointer_put(&c->rows, NULL);
        return;
    }
    const struct trp_str text = trp_arena_dup(&c->arena, trp_str_of(words.text));
    trp_pointer_put(&c->rows, text.ptr ? text.ptr : "its models take unlike numbers of rows");
}

void trp_composition_look_at_rows(struct trp_composition *c,
                                  const struct trp_composition_rows *rows)
{
    const struct trp_recipe *r = &c->recipe;
    bool has_changed = false;
    if (!trp_flag_is_up(&c->is_checked))
        return;
    for (uint32_t i = 0; i < r->steps_n; i++) {
        const struct trp_recipe_step *step = &r->steps[i];
        if (step->act != TRP_RECIPE_MODEL || step->each_row)
            continue;
        const int64_t now = rows->most(rows->user, step->model, step->version);
        has_changed |= now >= 0 && now != c->rows_max[i];
        c->rows_max[i] = now >= 0 ? now : c->rows_max[i];
    }
    if (has_changed)
        doubt_rows(c);
}

trp_status trp_composition_check(struct trp_composition *c, const struct trp_recipe_lookup *lookup,
                                 struct trp_error *err)
{
    if (trp_flag_is_up(&c->is_checked))
        return trp_ok();
    forget(c);
    const trp_status st = check(c, lookup, err);
    if (trp_failed(st)) {
        say(c, err);
        return st;
    }
    doubt_rows(c);
    trp_flag_raise(&c->is_checked);
    return st;
}

struct trp_str trp_composition_take_rows(struct trp_composition *c)
{
    const struct trp_str rows = rows_of_models(c);
    const bool is_new = rows.len > 0 && !c->is_rows_taken;
    c->is_rows_taken |= is_new;
    return is_new ? rows : trp_str_make(NULL, 0);
}

trp_status trp_composition_goes_on(const struct trp_composition *c,
                                   const struct trp_composition *again, struct trp_error *err)
{
    if (!trp_flag_is_up(&c->is_checked) || !trp_flag_is_up(&again->is_checked))
        return trp_ok();
    const trp_status st = trp_recipe_goes_on(&c->recipe, &again->recipe, err);
    if (trp_failed(st))
        trp_error_within(err, "%.*s", TRP_STR(c->place));
    return st;
}

/* ---- what others see ---- */

void trp_composition_retain(struct trp_target *t)
{
    trp_refs_up(&of(t)->refs);
}

void trp_composition_release(struct trp_target *t)
{
    struct trp_composition *c = of(t);
    if (trp_refs_down(&c->refs))
        destroy(c);
}

struct trp_directory_item trp_composition_item(struct trp_composition *c)
{
    return (struct trp_directory_item){ .name = trp_composition_target(c)->name,
                                        .kind = trp_composition_kind(c),
                                        .place = trp_composition_place(c),
                                        .target = trp_composition_target(c),
                                        .retain = trp_composition_retain,
                                        .release = trp_composition_release };
}

struct trp_target *trp_composition_target(struct trp_composition *c)
{
    return &c->target;
}

const char *trp_composition_kind(const struct trp_composition *c)
{
    return strcmp(c->kind, "ensemble_scheduling") == 0 ? "ensemble" : c->kind;
}

struct trp_learner *trp_composition_learner(const struct trp_target *t)
{
    return t->ops == &ops ? of(t)->learner : NULL;
}

struct trp_str trp_composition_place(const struct trp_composition *c)
{
    return c->place;
}

const struct trp_signature *trp_composition_signature(const struct trp_composition *c)
{
    return trp_flag_is_up(&c->is_checked) ? &c->recipe.signature : NULL;
}

struct trp_composition *trp_composition_of(struct trp_target *t)
{
    return t->ops == &ops ? of(t) : NULL;
}

struct trp_str trp_composition_gone(const struct trp_composition *c)
{
    const char *gone = trp_pointer_get(&c->gone);
    return trp_str_of(gone ? gone : "");
}

bool trp_composition_set_gone(struct trp_composition *c, uint32_t index)
{
    const char *text = NULL;
    if (index < c->names_n && !c->gone_texts)
        c->gone_texts = trp_arena_zeroed(&c->arena, c->names_n, sizeof *c->gone_texts);
    if (index < c->names_n && !c->gone_texts)
        return false;
    if (index < c->names_n) {
        if (!c->gone_texts[index])
            c->gone_texts[index] =
                trp_arena_format(&c->arena, "'%.*s', which it asks, is not there any more",
                                 TRP_STR(c->names[index]))
                    .ptr;
        text = c->gone_texts[index];
        if (!text)
            return false;
    }
    if (text == trp_pointer_get(&c->gone))
        return false;
    trp_pointer_put(&c->gone, text);
    return true;
}

bool trp_composition_next_name(const struct trp_composition *c, uint32_t *cursor,
                               struct trp_str *out_name)
{
    if (*cursor >= c->names_n)
        return false;
    *out_name = c->names[(*cursor)++];
    return true;
}

bool trp_composition_next_load(const struct trp_composition *c, uint32_t *cursor,
                               struct trp_str *out_name, const struct trp_node **out_at)
{
    if (*cursor >= c->loads_n)
        return false;
    if (out_at)
        *out_at = &c->loads_at[*cursor];
    *out_name = c->loads[(*cursor)++];
    return true;
}

const struct trp_node *trp_composition_name_at(const struct trp_composition *c, uint32_t cursor)
{
    return cursor > 0 ? &c->names_at[cursor - 1] : c->at;
}

void trp_composition_carry(struct trp_target *now, struct trp_target *before)
{
    struct trp_composition *to = of(now);
    const struct trp_composition *from = of(before);
    if (strcmp(to->kind, from->kind) != 0 || !trp_node_is_same(to->alloc, to->at, from->at))
        return;
    to->is_rows_taken =
        trp_str_is_equal(rows_of_models(to), rows_of_models(from)) && from->is_rows_taken;
    trp_stats_carry(&to->stats, &from->stats);
    for (uint32_t i = 0; to->asked && from->asked && i < TRP_RECIPE_STEPS_MAX; i++)
        trp_counter_set(&to->asked[i], trp_counter_get(&from->asked[i]));
    for (uint32_t i = 0; to->missing && from->missing && i <= TRP_RECIPE_STEPS_MAX; i++)
        trp_counter_set(&to->missing[i], trp_counter_get(&from->missing[i]));
    for (uint32_t i = 0; to->took && from->took && i < TRP_RECIPE_STEPS_MAX; i++)
        trp_gauge_set(&to->took[i], trp_gauge_get(&from->took[i]));
}

bool trp_composition_next_step(const struct trp_target *t, uint32_t *cursor,
                               struct trp_composition_step *out)
{
    const struct trp_composition *c = t->ops == &ops ? of(t) : NULL;
    if (!c || !c->asked || !trp_flag_is_up(&c->is_checked) || *cursor >= c->recipe.steps_n)
        return false;
    const uint32_t i = (*cursor)++;
    const uint64_t next = i + 1 < c->recipe.steps_n ? trp_counter_get(&c->asked[i + 1]) : 0;
    const uint64_t asked = trp_counter_get(&c->asked[i]);
    *out = (struct trp_composition_step){ c->recipe.steps[i].name, asked,
                                          asked > next ? asked - next : 0 };
    return true;
}

/* The members of an ensemble that may be missing; NULL: it is none. */
static const struct trp_composition *lenient(const struct trp_target *t)
{
    const struct trp_composition *c = t->ops == &ops ? of(t) : NULL;
    return c && c->missing && trp_flag_is_up(&c->is_checked) ? c : NULL;
}

bool trp_composition_next_absence(const struct trp_target *t, uint32_t *cursor,
                                  struct trp_composition_absence *out)
{
    const struct trp_composition *c = lenient(t);
    while (c && *cursor < c->recipe.steps_n) {
        const uint32_t i = (*cursor)++;
        if (!c->recipe.steps[i].may_fail)
            continue;
        *out = (struct trp_composition_absence){ c->recipe.steps[i].name,
                                                 trp_counter_get(&c->missing[i]) };
        return true;
    }
    return false;
}

uint64_t trp_composition_partial(const struct trp_target *t)
{
    const struct trp_composition *c = lenient(t);
    return c ? trp_counter_get(&c->missing[TRP_RECIPE_STEPS_MAX]) : 0;
}

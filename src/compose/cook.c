/* compose/cook.c - see cook.h: which step is next.
 *
 *   WAITS --its tensors are there--> RUNS --its children are back--> DONE
 *     |                               |
 *     +--not wanted, or a tensor of---+--it failed, and may; or came too late--> ABSENT
 *        an ABSENT step is missing
 *
 * All of it happens on the call's loop.  A call that was finished may be given back at once, and
 * the cook with it: so a step in the middle only says that it is over, and whoever was called by
 * the loop tells it, last of all. */
#include "compose/cook.h"

#include <stdio.h>

#include "compose/cook_missing.h"
#include "route/route.h"

#define UNKNOWN_WORDS_MAX 256

static void count(const struct trp_cook *k, enum trp_metric id)
{
    if (k->metrics)
        trp_metric_add(k->metrics, id, 1);
}

/* ---- the end ---- */

static void stop_part(const struct trp_cook *k, const struct trp_cook_part *p)
{
    (void)trp_call_child_cancel(p->child);
    if (p->job)
        trp_crew_withdraw(k->env->crew, &p->job->errand);
}

/* Children that are out come back sooner, and are let go then; those that are back are let go
 * now. */
static void drop_parts(struct trp_cook *k, struct trp_cook_step *s)
{
    for (uint32_t i = 0; i < s->parts_n; i++) {
        struct trp_cook_part *p = &s->parts[i];
        if (!p->child)
            continue;
        if (p->is_back)
            trp_call_child_end(p->child, &k->env->finder);
        else
            stop_part(k, p);
        p->child = NULL;
    }
}

static void write_outcome(struct trp_call *call)
{
    if (trp_call_try_done(call))
        return;
    if (trp_oneshot_get(&call->outcome) == TRP_OUTCOME_EXPIRED)
        (void)trp_fail(&call->error, TRP_DEADLINE_EXCEEDED, "Request timeout expired");
    else if (trp_oneshot_get(&call->outcome) == TRP_OUTCOME_CANCELLED)
        (void)trp_fail(&call->error, TRP_CANCELLED, "the request was cancelled");
}

static void end(struct trp_cook *k)
{
    struct trp_call *call = k->call;
    const int64_t now_ns = trp_loop_clock_ns(call->loop);
    k->is_over = true;
    trp_timer_disarm(call->loop, &k->timer);
    trp_timer_disarm(call->loop, &k->row_timer);
    for (uint32_t i = 0; i < k->recipe->steps_n; i++) {
        if (k->steps[i].state != TRP_COOK_RUNS)
            continue;
        trp_cook_learn_time(k, i);
        drop_parts(k, &k->steps[i]);
    }
    call->stamps_ns[TRP_PHASE_OUTPUT_START] = now_ns;
    call->stamps_ns[TRP_PHASE_RUN_END] = now_ns;
    write_outcome(call);
}

static void fail(struct trp_cook *k, const struct trp_recipe_step *step,
                 const struct trp_error *why)
{
    k->call->error = *why;
    if (step)
        trp_error_within(&k->call->error, "step '%.*s'", TRP_STR(step->name));
    end(k);
}

/* ---- steps ---- */

enum there { THERE, COMING, MISSING };

static enum there look_at(const struct trp_cook *k, uint32_t tensor)
{
    const uint32_t maker = k->recipe->tensors[tensor].maker;
    if (k->tensors[tensor])
        return THERE;
    if (maker == TRP_RECIPE_NONE || k->steps[maker].state == TRP_COOK_ABSENT ||
        k->steps[maker].state == TRP_COOK_DONE)
        return MISSING;
    return COMING;
}

static void leave_out(struct trp_cook *k, uint32_t i, bool has_failed)
{
    k->steps[i].state = TRP_COOK_ABSENT;
    k->steps[i].has_failed = has_failed;
}

/* What failed in words that may go into a reply: they may quote a client's bytes, cut anywhere. */
static struct trp_str words_of(struct trp_cook *k, const struct trp_error *why)
{
    char text[sizeof why->text];
    (void)trp_str_copy(trp_str_of(why->text), text, sizeof text);
    for (size_t at = 0, left = strlen(text); left > 0;) {
        size_t n = trp_str_utf8_length(text + at, left);
        if (n == 0) {
            text[at] = '?';
            n = 1;
        }
        at += n;
        left -= n;
    }
    return trp_arena_dup(&k->call->arena, trp_str_of(text));
}

/* What has failed, and may, is left out; otherwise that is the answer. */
static void lose(struct trp_cook *k, uint32_t i, const struct trp_error *why)
{
    const struct trp_recipe_step *step = &k->recipe->steps[i];
    drop_parts(k, &k->steps[i]);
    count(k, TRP_METRIC_COMPOSED_FAILED);
    leave_out(k, i, true);
    if (!step->may_fail || trp_oneshot_get(&k->call->outcome) != TRP_OUTCOME_OPEN) {
        fail(k, step, why);
        return;
    }
    k->steps[i].why = words_of(k, why);
    if (!trp_failed(k->lost.status)) {
        k->lost = *why;
        trp_error_within(&k->lost, "'%.*s'", TRP_STR(step->name));
    }
}

void trp_cook_step_done(struct trp_cook *k, uint32_t step, enum trp_metric how)
{
    k->steps[step].state = TRP_COOK_DONE;
    trp_cook_learn_time(k, step);
    count(k, how);
}

void trp_cook_step_failed(struct trp_cook *k, uint32_t step, const struct trp_error *why)
{
    lose(k, step, why);
}

static void set_out(struct trp_cook *k, uint32_t i)
{
    k->steps[i].state = TRP_COOK_RUNS;
    k->steps[i].begun_ns = trp_loop_now_ns(k->call->loop);
}

static void begin(struct trp_cook *k, uint32_t i)
{
    struct trp_error err = { 0 };
    trp_status st;
    set_out(k, i);
    switch (k->recipe->steps[i].act) {
    case TRP_RECIPE_MODEL:
        st = trp_cook_ask(k, i, &err);
        break;
    case TRP_RECIPE_OP:
        st = trp_cook_do_op(k, i, &err);
        break;
    default:
        st = trp_cook_do_vote(k, i, &err);
        break;
    }
    if (trp_failed(st))
        lose(k, i, &err);
}

/* A condition that nobody can tell does not hold; the first is told to who misses what its step
 * would have made. */
static void note_unknown(struct trp_cook *k, const struct trp_recipe_step *step,
                         const struct trp_fact *why)
{
    struct trp_buf words;
    count(k, TRP_METRIC_COMPOSED_UNKNOWN);
    if (trp_failed(k->untold.status))
        return;
    trp_buf_init(&words, k->call->arena.alloc, UNKNOWN_WORDS_MAX);
    trp_expr_why(step->when, why, &words);
    const struct trp_str said = trp_buf_str(&words);
    (void)trp_fail(&k->untold, TRP_FAILED_PRECONDITION,
                   "whether step '%.*s' is wanted cannot be told: %.*s", TRP_STR(step->name),
                   TRP_STR(said));
    trp_buf_deinit(&words);
}

void trp_cook_see(const struct trp_cook *k, const struct trp_recipe_step *step,
                  struct trp_call *seen, struct trp_facts *out)
{
    seen->inputs_n = 0;
    for (uint32_t i = 0; seen->inputs && i < step->uses_n; i++) {
        const struct trp_call_tensor *t = k->tensors[step->uses[i].tensor];
        if (!t)
            continue;
        seen->inputs[seen->inputs_n] = *t;
        seen->inputs[seen->inputs_n++].name = k->recipe->tensors[step->uses[i].tensor].name;
    }
    const uint32_t loop_index = trp_call_loop_index(k->call);
    trp_facts_init(out, seen, loop_index, k->env->clock);
    out->matcher = k->env->matchers ? k->env->matchers[loop_index] : NULL;
    out->load = k->env->load;
    if (k->recipe->common) {
        out->zone = k->recipe->common->zone;
        out->lists = k->recipe->common->lists;
        out->lists_n = k->recipe->common->lists_n;
    }
}

static bool holds(struct trp_cook *k, const struct trp_recipe_step *step)
{
    struct trp_call seen = *k->call;
    struct trp_fact why = trp_fact_unknown(TRP_UNKNOWN_MISSING);
    struct trp_facts facts;
    seen.inputs = trp_arena_zeroed(&k->call->arena, step->uses_n + 1, sizeof *seen.inputs);
    trp_cook_see(k, step, &seen, &facts);
    const enum trp_truth truth = trp_expr_holds(step->when, &facts, &why);
    if (truth == TRP_TRUTH_UNKNOWN)
        note_unknown(k, step, &why);
    return truth == TRP_TRUTH_TRUE;
}

/* "small is sure: max 0.95, threshold 0.9"; or that it is not, of how many rows where others
 * are, and who is asked for that. */
static void say_sure(struct trp_cook *k, const struct trp_recipe_step *step,
                     const struct trp_cook_step *state, double least)
{
    const struct trp_recipe_tensor *t = &k->recipe->tensors[step->doubt.tensor];
    const bool is_sure = state->rows_n == 0;
    char rows[64] = "";
    if (step->doubt.by_row && state->rows_n > 0 && state->rows_n < state->rows_all)
        (void)snprintf(rows, sizeof rows, " of %llu of %llu rows",
                       (unsigned long long)state->rows_n, (unsigned long long)state->rows_all);
    k->call->answered_why = trp_arena_format(
        &k->call->arena, "%.*s is %ssure%s: %s %.4g, threshold %g%s%.*s",
        TRP_STR(k->recipe->steps[t->maker].name), is_sure ? "" : "not ", rows,
        trp_confidence_name(step->doubt.kind), least, step->doubt.threshold,
        is_sure ? "" : "; asked: ", is_sure ? 0 : (int)step->name.len, step->name.ptr);
}

/* Of a step whose tensors are there, and whose doubt, if there is any, was measured. */
static void begin_if_wanted(struct trp_cook *k, uint32_t i)
{
    const struct trp_recipe_step *step = &k->recipe->steps[i];
    if (step->when && !holds(k, step))
        leave_out(k, i, false);
    else
        begin(k, i);
}

void trp_cook_weighed(struct trp_cook *k, uint32_t step, double least)
{
    say_sure(k, &k->recipe->steps[step], &k->steps[step], least);
    if (k->steps[step].rows_n > 0)
        begin_if_wanted(k, step);
    else
        leave_out(k, step, false);
}

static void weigh(struct trp_cook *k, uint32_t i)
{
    struct trp_error err = { 0 };
    set_out(k, i);
    if (trp_failed(trp_cook_weigh(k, i, &err)))
        lose(k, i, &err);
}

/* All that a step waits for, as one. */
static enum there look_at_uses(const struct trp_cook *k, const struct trp_recipe_step *step)
{
    const enum there doubt =
        step->doubt.tensor == TRP_RECIPE_NONE ? THERE : look_at(k, step->doubt.tensor);
    if (doubt != THERE)
        return doubt;
    for (uint32_t u = 0; u < step->uses_n; u++) {
        const uint32_t tensor = step->uses[u].tensor;
        const enum there is = look_at(k, tensor);
        /* A model may do without what the client may leave out. */
        const bool is_optional =
            step->act == TRP_RECIPE_MODEL && k->recipe->tensors[tensor].maker == TRP_RECIPE_NONE;
        if (is == COMING || (is == MISSING && !is_optional))
            return is;
    }
    return THERE;
}

/* True when something has changed. */
static bool consider(struct trp_cook *k, uint32_t i)
{
    const struct trp_recipe_step *step = &k->recipe->steps[i];
    const bool is_needed = (k->needed >> i & 1) != 0;
    const enum there uses = is_needed ? look_at_uses(k, step) : MISSING;
    if (uses == COMING)
        return false;
    if (uses == MISSING)
        leave_out(k, i, false);
    else if (step->doubt.tensor != TRP_RECIPE_NONE)
        weigh(k, i);
    else
        begin_if_wanted(k, i);
    return true;
}

/* Whoever has not spoken when the vote is taken is not waited for any more. */
static void leave_late_out(struct trp_cook *k, const struct trp_recipe_step *join)
{
    for (uint32_t i = 0; i < join->uses_n; i++) {
        const uint32_t maker = k->recipe->tensors[join->uses[i].tensor].maker;
        if (look_at(k, join->uses[i].tensor) != COMING)
            continue;
        drop_parts(k, &k->steps[maker]);
        leave_out(k, maker, true);
        k->steps[maker].why = join->deadline_ns > 0 ? TRP_STR_LIT("it did not answer in time")
                                                    : TRP_STR_LIT("it was not waited for");
        count(k, TRP_METRIC_COMPOSED_LATE);
    }
}

static void fail_quorum(struct trp_cook *k, const struct trp_recipe_step *join, uint32_t most)
{
    struct trp_error err = { 0 };
    const bool has_words = trp_failed(k->lost.status);
    (void)trp_fail(&err, has_words ? (enum trp_code)k->lost.status.code : TRP_UNAVAILABLE,
                   "%u of %u members can answer, %u must (quorum)%s%s", most, join->uses_n,
                   join->quorum, has_words ? "; " : "", k->lost.text);
    err.limit = k->lost.limit;
    err.retry_after_ms = k->lost.retry_after_ms;
    fail(k, NULL, &err);
}

static bool consider_vote(struct trp_cook *k, uint32_t i)
{
    const struct trp_recipe_step *step = &k->recipe->steps[i];
    uint32_t spoken = 0, coming = 0;
    if ((k->needed >> i & 1) == 0) {
        leave_out(k, i, false);
        return true;
    }
    for (uint32_t u = 0; u < step->uses_n; u++) {
        const enum there is = look_at(k, step->uses[u].tensor);
        spoken += is == THERE;
        coming += is == COMING;
    }
    if (spoken + coming < step->quorum) {
        fail_quorum(k, step, spoken + coming);
        return true;
    }
    if (coming > 0 && (spoken < step->quorum || (step->deadline_ns > 0 && !k->is_late)))
        return false;
    leave_late_out(k, step);
    if (spoken < step->uses_n)
        trp_cook_note_missing(k, step);
    begin(k, i);
    return true;
}

/* ---- the answer ---- */

/* The first candidate that was made.  COMING: nobody knows yet. */
static enum there choose(const struct trp_cook *k, const struct trp_recipe_output *o,
                         uint32_t *out_tensor)
{
    for (uint32_t i = 0; i < o->candidates_n; i++) {
        const enum there is = look_at(k, o->candidates[i]);
        *out_tensor = o->candidates[i];
        if (is != MISSING)
            return is;
    }
    return MISSING;
}

static void fail_output(struct trp_cook *k, const struct trp_recipe_output *o)
{
    struct trp_error err = k->lost;
    if (!trp_failed(err.status))
        (void)trp_fail(&err, TRP_FAILED_PRECONDITION,
                       "no step has made output '%.*s': the conditions of those that make it do "
                       "not hold%s%s",
                       TRP_STR(o->name), trp_failed(k->untold.status) ? "; " : "", k->untold.text);
    fail(k, NULL, &err);
}

/* Triton's ensembles may name them, whatever their steps' models say. */
static void name_own_classes(const struct trp_cook *k, uint32_t output, struct trp_call_tensor *out)
{
    const struct trp_io *io = &k->recipe->signature.outputs[output];
    if (io->labels_n == 0 || !k->recipe->labels)
        return;
    out->labels = io->labels;
    out->labels_n = io->labels_n;
}

/* Every wanted output, as a view of what lies in a kept child. */
static void answer(struct trp_cook *k)
{
    struct trp_call *call = k->call;
    struct trp_call_tensor *outputs =
        trp_arena_zeroed(&call->arena, call->wanted_n + (size_t)1, sizeof *outputs);
    if (!outputs) {
        (void)trp_fail(&call->error, TRP_OUT_OF_MEMORY, "%u outputs", call->wanted_n);
        end(k);
        return;
    }
    for (uint32_t i = 0; i < call->wanted_n; i++) {
        const struct trp_wanted *w = &call->wanted[i];
        uint32_t tensor = 0;
        (void)choose(k, &k->recipe->outputs[w->index], &tensor);
        outputs[i] = *k->tensors[tensor];
        outputs[i].name = w->name;
        outputs[i].tensor.release = NULL;
        name_own_classes(k, w->index, &outputs[i]);
        outputs[i].region = w->region;
        outputs[i].region_offset = w->region_offset;
        outputs[i].region_bytes = w->region_bytes;
    }
    call->outputs = outputs;
    call->outputs_n = call->wanted_n;
    end(k);
}

/* Ends it when all that was asked for is there, or cannot come any more. */
static void conclude(struct trp_cook *k)
{
    for (uint32_t i = 0; i < k->call->wanted_n; i++) {
        const struct trp_recipe_output *o = &k->recipe->outputs[k->call->wanted[i].index];
        uint32_t tensor;
        switch (choose(k, o, &tensor)) {
        case COMING:
            return;
        case MISSING:
            fail_output(k, o);
            return;
        case THERE:
            break;
        }
    }
    answer(k);
}

static void advance(struct trp_cook *k)
{
    bool has_changed = true;
    while (has_changed && !k->is_over) {
        has_changed = false;
        for (uint32_t i = 0; i < k->recipe->steps_n && !k->is_over; i++) {
            const enum trp_recipe_act act = k->recipe->steps[i].act;
            if (k->steps[i].state != TRP_COOK_WAITS)
                continue;
            has_changed |= act == TRP_RECIPE_VOTE || act == TRP_RECIPE_RANK ? consider_vote(k, i)
                                                                            : consider(k, i);
        }
    }
    if (!k->is_over)
        conclude(k);
}

/* Last of all: the cook may be gone afterwards. */
static void go_on(struct trp_cook *k)
{
    if (!k->is_over)
        advance(k);
    if (!k->is_over || k->is_told)
        return;
    k->is_told = true;
    trp_call_finish(k->call);
}

void trp_cook_child_back(struct trp_call *child, void *cook)
{
    struct trp_cook *k = cook;
    const struct trp_finder *finder = &k->env->finder;
    const uint32_t i = child->step;
    struct trp_cook_step *s = &k->steps[i];
    struct trp_cook_part *part = &s->parts[child->attempt];
    struct trp_error err = { 0 };
    s->out_n--;
    if (k->is_over || s->state != TRP_COOK_RUNS) {
        trp_call_child_end(child, finder);
        return;
    }
    if (trp_failed(child->error.status)) {
        part->child = NULL; /* dropping the others leaves it to us */
        lose(k, i, &child->error);
        trp_call_child_end(child, finder);
        go_on(k);
        return;
    }
    trp_cook_note_partial(k, child);
    part->is_back = true;
    if (s->out_n == 0 && s->begun_n == s->parts_n && trp_failed(trp_cook_take(k, i, &err)))
        lose(k, i, &err);
    go_on(k);
}

/* One that nobody waits for any more touches nothing but its own. */
void trp_cook_job_back(struct trp_cook_job *j)
{
    struct trp_cook *k = j->cook;
    const uint32_t step = j->step;
    struct trp_cook_step *s = &k->steps[step];
    struct trp_error err = j->err; /* the job goes with its maker */
    s->out_n--;
    if (k->is_over || s->state != TRP_COOK_RUNS) {
        trp_cook_job_drop(j);
        return;
    }
    s->one.child = NULL;
    trp_cook_job_let_go(j);
    if (trp_failed(err.status) || trp_failed(j->kind->land(j, &err))) {
        trp_cook_job_drop(j);
        lose(k, step, &err);
    }
    go_on(k);
}

/* The next of the rows that a step is asked for one by one. */
static void ask_more(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_cook *k = TRP_CONTAINER_OF(timer, struct trp_cook, row_timer);
    (void)now_ns;
    for (uint32_t i = 0; i < k->recipe->steps_n && !k->is_over; i++) {
        struct trp_cook_step *s = &k->steps[i];
        struct trp_error err = { 0 };
        if (s->state == TRP_COOK_RUNS && s->begun_n < s->parts_n &&
            trp_failed(trp_cook_ask_more(k, i, &err)))
            lose(k, i, &err);
    }
    go_on(k);
}

static void be_late(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_cook *k = TRP_CONTAINER_OF(timer, struct trp_cook, timer);
    (void)now_ns;
    k->is_late = true;
    go_on(k);
}

/* ---- the beginning ---- */

static struct trp_cook *make(const struct trp_recipe *r, const struct trp_cook_env *env,
                             struct trp_call *call)
{
    struct trp_cook *k = trp_arena_zeroed(&call->arena, 1, sizeof *k);
    if (!k)
        return NULL;
    *k = (struct trp_cook){ .recipe = r, .env = env, .call = call };
    k->timer.due = be_late;
    k->row_timer.due = ask_more;
    k->steps = trp_arena_zeroed(&call->arena, r->steps_n, sizeof *k->steps);
    k->tensors =
        trp_arena_zeroed(&call->arena, r->tensors_n, sizeof(const struct trp_call_tensor *));
    if (!k->steps || !k->tensors)
        return NULL;
    if (env->metrics)
        k->metrics = trp_metrics_shard(env->metrics, trp_call_loop_index(call));
    for (uint32_t i = 0; i < call->inputs_n; i++)
        if (call->inputs[i].tensor.data)
            k->tensors[r->inputs[i]] = &call->inputs[i];
    for (uint32_t i = 0; i < call->wanted_n; i++)
        k->needed |= r->outputs[call->wanted[i].index].needs;
    return k;
}

/* How long members are waited for.  Without memory for the timer they are waited for without an
 * end. */
static void arm(struct trp_cook *k, int64_t now_ns)
{
    for (uint32_t i = 0; i < k->recipe->steps_n; i++)
        if (k->recipe->steps[i].deadline_ns > 0 && (k->needed >> i & 1) != 0)
            (void)trp_timer_arm(k->call->loop, &k->timer, trp_cook_late_ns(k, i, now_ns), NULL);
}

void trp_cook_start(const struct trp_recipe *r, const struct trp_cook_env *env,
                    struct trp_call *call)
{
    const int64_t now_ns = trp_loop_clock_ns(call->loop);
    struct trp_cook *k = make(r, env, call);
    call->exec_slot = k;
    call->stamps_ns[TRP_PHASE_QUEUED] = call->stamps_ns[TRP_PHASE_RUN_START] = now_ns;
    call->stamps_ns[TRP_PHASE_INPUT_END] = now_ns;
    if (!k) {
        (void)trp_fail_limit(&call->error, TRP_OUT_OF_MEMORY, TRP_LIMIT_MEMORY,
                             "no memory for the steps of the request");
        write_outcome(call);
        trp_call_finish_soon(call);
        return;
    }
    count(k, TRP_METRIC_COMPOSED);
    trp_cook_reckon(k);
    arm(k, now_ns);
    advance(k);
    if (!k->is_over)
        return;
    k->is_told = true;
    trp_call_finish_soon(call); /* never from inside */
}

void trp_cook_cancel(struct trp_call *call)
{
    struct trp_cook *k = call->exec_slot;
    if (!k || k->is_over)
        return;
    for (uint32_t i = 0; i < k->recipe->steps_n; i++) {
        struct trp_cook_step *s = &k->steps[i];
        for (uint32_t p = 0; s->state == TRP_COOK_RUNS && p < s->parts_n; p++)
            if (s->parts[p].child && !s->parts[p].is_back)
                stop_part(k, &s->parts[p]);
    }
}

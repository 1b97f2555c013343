/* compose/cook_vote.c - see cook_state.h: what several models say together.
 *
 * The tensors are copied into the job, not what they lie in: a call that has failed may be bound to
 * another target while the helper still looks at them. */
#include "compose/cook_state.h"
#include "tensor/shape.h"

struct vote_job {
    struct trp_cook_job job; /* first */
    enum trp_recipe_act act;
    bool ranks_lists;
    struct trp_vote_opts vote;
    struct trp_rank_opts rank;
    int32_t dtype;               /* of what comes out */
    struct troupe_tensor *given; /* one for each member */
    struct trp_vote_member *members;
    uint32_t members_n;
    const struct troupe_tensor *first; /* that somebody gave */
};

static struct vote_job *vote_of(struct trp_cook_job *j)
{
    return TRP_CONTAINER_OF(j, struct vote_job, job);
}

/* An output of the shape of the members', of the type that was promised.  On the loop: it has a
 * pool. */
static trp_status make_like(struct vote_job *v, struct trp_error *err)
{
    struct troupe_tensor *out = &v->job.maker->outputs[0].tensor;
    uint64_t bytes;
    *out = (struct troupe_tensor){ .dtype = v->dtype, .rank = v->first->rank };
    memcpy(out->shape, v->first->shape, sizeof out->shape);
    if (!trp_shape_bytes(out->shape, out->rank, out->dtype, &bytes))
        return trp_fail(err, TRP_TOO_LARGE, "the members' answers are too large");
    return trp_cook_memory(&v->job, out, bytes, err);
}

static trp_status run_vote(struct vote_job *v, struct trp_error *err)
{
    void *scratch;
    struct troupe_tensor *out = &v->job.maker->outputs[0].tensor;
    const uint64_t bytes = trp_vote_scratch(&v->vote, v->members_n, out);
    if (bytes == UINT64_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "the members' answers are too large");
    TRP_CHECK(trp_cook_scratch(v->job.env, bytes, &scratch, err));
    const trp_status st = trp_vote_run(&v->vote, v->members, v->members_n, out, scratch, NULL, err);
    trp_alloc_free(v->job.env->requests, scratch);
    return st;
}

static trp_status rank_scores(struct vote_job *v, struct trp_error *err)
{
    void *scratch;
    const int64_t items = v->first->rank > 0 ? v->first->shape[v->first->rank - 1] : 0;
    TRP_CHECK(trp_cook_scratch(v->job.env, trp_rank_scores_scratch(items > 0 ? (uint64_t)items : 0),
                               &scratch, err));
    const trp_status st = trp_rank_scores(&v->rank, v->members, v->members_n,
                                          &v->job.maker->outputs[0].tensor, scratch, err);
    trp_alloc_free(v->job.env->requests, scratch);
    return st;
}

static trp_status rank_lists(struct vote_job *v, struct trp_error *err)
{
    struct trp_rank_room room;
    void *scratch;
    struct trp_call *maker = v->job.maker;
    struct troupe_tensor *ids = &maker->outputs[0].tensor, *scores = &maker->outputs[1].tensor;
    TRP_CHECK(trp_rank_lists_plan(&v->rank, v->members, v->members_n, &room, err));
    TRP_CHECK(trp_cook_memory(&v->job, ids, room.ids_bytes, err));
    TRP_CHECK(trp_cook_memory(&v->job, scores, room.scores_bytes, err));
    TRP_CHECK(trp_cook_scratch(v->job.env, room.scratch_bytes, &scratch, err));
    const trp_status st =
        trp_rank_lists(&v->rank, v->members, v->members_n, ids, scores, scratch, err);
    trp_alloc_free(v->job.env->requests, scratch);
    return st;
}

static trp_status work(struct trp_cook_job *j, struct trp_error *err)
{
    struct vote_job *v = vote_of(j);
    if (v->act == TRP_RECIPE_VOTE)
        return run_vote(v, err);
    return v->ranks_lists ? rank_lists(v, err) : rank_scores(v, err);
}

/* Somebody may say later what was right. */
static void remember(const struct vote_job *v, const struct trp_recipe_step *s)
{
    const struct trp_cook *k = v->job.cook;
    if (!s->learner)
        return;
    const struct trp_feedback_answer answer = { .id = k->call->id,
                                                .learner = s->learner,
                                                .vote = &v->vote,
                                                .is_ranking = v->act == TRP_RECIPE_RANK,
                                                .members = v->members,
                                                .members_n = v->members_n,
                                                .now_ns = trp_loop_clock_ns(k->call->loop) };
    trp_feedback_keep(k->env->feedback, &answer);
}

static trp_status land(struct trp_cook_job *j, struct trp_error *err)
{
    struct trp_cook *k = j->cook;
    (void)err;
    remember(vote_of(j), &k->recipe->steps[j->step]);
    trp_cook_made(k, j->step, j->maker);
    trp_cook_step_done(k, j->step, TRP_METRIC_COMPOSED_BUILTIN);
    return trp_ok();
}

static uint64_t places_of(const struct trp_recipe_step *s, const struct vote_job *v)
{
    int64_t places = s->places;
    for (uint32_t i = 0; s->places == 0 && i < v->members_n; i++) {
        const struct troupe_tensor *t = v->members[i].tensor;
        if (t && t->rank == 2 && t->shape[1] > places)
            places = t->shape[1];
    }
    return places > 0 ? (uint64_t)places : 1;
}

/* Returns how many bytes the members gave. */
static uint64_t collect(const struct trp_cook *k, const struct trp_recipe_step *s,
                        struct vote_job *v)
{
    uint64_t bytes = 0;
    v->members_n = s->uses_n;
    for (uint32_t i = 0; i < s->uses_n; i++) {
        const struct trp_call_tensor *t = k->tensors[s->uses[i].tensor];
        v->members[i].weight = s->learner ? trp_learner_weight(s->learner, i) : s->weights[i];
        if (!t)
            continue;
        v->given[i] = t->tensor;
        v->members[i].tensor = &v->given[i];
        bytes += t->tensor.bytes;
        if (!v->first)
            v->first = &v->given[i];
    }
    TRP_ASSERT(v->first != NULL); /* a quorum is one at least */
    return bytes;
}

static const struct trp_cook_job_kind vote_kind = { sizeof(struct vote_job), work, land };

trp_status trp_cook_do_vote(struct trp_cook *k, uint32_t step, struct trp_error *err)
{
    const struct trp_recipe_step *s = &k->recipe->steps[step];
    struct trp_cook_job *j;
    TRP_CHECK(trp_cook_job_make(k, step, s->gives_n, &vote_kind, &j, err));
    struct vote_job *v = vote_of(j);
    v->act = s->act;
    v->ranks_lists = s->ranks_lists;
    v->vote = s->vote;
    v->rank = s->rank;
    v->dtype = k->recipe->tensors[s->gives[0].tensor].io.dtype;
    v->given = trp_arena_zeroed(&j->maker->arena, s->uses_n, sizeof *v->given);
    v->members = trp_arena_zeroed(&j->maker->arena, s->uses_n, sizeof *v->members);
    if (!v->given || !v->members)
        return trp_cook_job_starve(j, err);
    const uint64_t bytes = collect(k, s, v);
    v->rank.places = s->ranks_lists ? places_of(s, v) : v->rank.places;
    const trp_status st = v->ranks_lists ? trp_ok() : make_like(v, err);
    if (!trp_failed(st))
        return trp_cook_job_do(j, bytes, err);
    trp_cook_job_drop(j);
    return st;
}

/* compose/cook_job.c - see cook_state.h: work of a step, here or by a helper.
 *
 * What would hold up a loop for longer than a model that runs inline may goes to the crew: there
 * and back.  What a job makes lies in a child call that was never started: so memory that steps
 * make and memory that models make have one owner and one end, the call's; and the call stays
 * until the child is over, however early it was answered. */
#include "compose/cook_state.h"

#define SMALL_BYTES 16384u /* what lies in the call's own arena */
#define ALIGNMENT 64u
#define SCRATCH_ALIGNMENT 16u

static void free_block(void *alloc, void *block)
{
    trp_alloc_free(alloc, block);
}

/* A fresh block would be page faults, as many as it has pages, in front of whoever writes there. */
static void take_pooled(struct trp_pool *pool, struct troupe_tensor *t)
{
    struct trp_lease *lease = trp_pool_acquire(pool, (size_t)t->bytes);
    t->data = lease ? lease->ptr : NULL;
    t->release = lease ? trp_lease_release_tensor : NULL;
    t->release_user = lease;
}

static void take_fresh(const struct trp_alloc *alloc, struct troupe_tensor *t)
{
    t->data = trp_alloc_aligned(alloc, (size_t)t->bytes, ALIGNMENT);
    t->release = t->data ? free_block : NULL;
    t->release_user = (void *)(uintptr_t)alloc;
}

trp_status trp_cook_memory(const struct trp_cook_job *j, struct troupe_tensor *t, uint64_t bytes,
                           struct trp_error *err)
{
    const uint64_t most = j->env->output_bytes;
    if (most != 0 && bytes > most)
        return trp_fail_limit(err, TRP_TOO_LARGE, TRP_LIMIT_OUTPUT,
                              "an output of %llu bytes; limits.output_bytes is %llu",
                              (unsigned long long)bytes, (unsigned long long)most);
    t->bytes = bytes;
    t->release = NULL;
    if (bytes <= SMALL_BYTES) {
        t->data = trp_arena_get(&j->maker->arena, bytes + 1);
    } else if (j->pool) {
        take_pooled(j->pool, t);
    } else {
        take_fresh(j->env->requests, t);
    }
    if (!t->data)
        return trp_fail_limit(err, TRP_OUT_OF_MEMORY, TRP_LIMIT_MEMORY,
                              "no memory for %llu bytes of a step (limits.request_memory)",
                              (unsigned long long)bytes);
    return trp_ok();
}

trp_status trp_cook_scratch(const struct trp_cook_env *env, uint64_t bytes, void **out,
                            struct trp_error *err)
{
    *out = trp_alloc_aligned(env->requests, (size_t)bytes + 1, SCRATCH_ALIGNMENT);
    return *out ? trp_ok()
                : trp_fail_limit(err, TRP_OUT_OF_MEMORY, TRP_LIMIT_MEMORY,
                                 "no memory for a step of the request (limits.request_memory)");
}

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for a step of the request");
}

trp_status trp_cook_job_make(struct trp_cook *k, uint32_t step, uint32_t outputs_n,
                             const struct trp_cook_job_kind *kind, struct trp_cook_job **out_job,
                             struct trp_error *err)
{
    *out_job = NULL;
    struct trp_call *maker = trp_call_child(k->call, step, err);
    if (!maker)
        return (trp_status){ err->status.code };
    struct trp_cook_job *j = trp_arena_zeroed(&maker->arena, 1, kind->size);
    maker->outputs = trp_arena_zeroed(&maker->arena, outputs_n + (size_t)1, sizeof *maker->outputs);
    if (!j || !maker->outputs) {
        trp_call_child_end(maker, &k->env->finder);
        return no_memory(err);
    }
    maker->outputs_n = outputs_n;
    j->kind = kind;
    j->env = k->env;
    j->cook = k;
    j->maker = maker;
    j->step = step;
    j->pool = k->env->pools ? k->env->pools[trp_call_loop_index(maker)] : NULL;
    *out_job = j;
    return trp_ok();
}

void trp_cook_job_let_go(struct trp_cook_job *j)
{
    if (j->lends_names && j->parts_n > 0)
        trp_call_child_keep(j->parts[0].child, &j->env->finder);
    for (uint32_t i = j->lends_names ? 1 : 0; i < j->parts_n; i++)
        trp_call_child_end(j->parts[i].child, &j->env->finder);
    j->parts_n = 0;
}

void trp_cook_job_drop(struct trp_cook_job *j)
{
    trp_cook_job_let_go(j);
    trp_call_child_end(j->maker, &j->env->finder);
}

trp_status trp_cook_job_starve(struct trp_cook_job *j, struct trp_error *err)
{
    trp_cook_job_drop(j);
    return no_memory(err);
}

/* On a helper's thread. */
static void do_aside(struct trp_crew_job *errand)
{
    struct trp_cook_job *j = TRP_CONTAINER_OF(errand, struct trp_cook_job, errand);
    if (trp_cancel_is_raised(&j->maker->cancel))
        (void)trp_fail(&j->err, TRP_CANCELLED, "the request was cancelled");
    else
        (void)j->kind->work(j, &j->err);
}

static void come_back(struct trp_crew_job *errand)
{
    struct trp_cook_job *j = TRP_CONTAINER_OF(errand, struct trp_cook_job, errand);
    if (errand->is_shed)
        (void)trp_crew_fail_full(j->env->crew, &j->err);
    else if (errand->is_withdrawn)
        (void)trp_fail(&j->err, TRP_CANCELLED, "the request was cancelled");
    trp_cook_job_back(j);
}

static trp_status send(struct trp_cook_job *j, struct trp_error *err)
{
    struct trp_cook_step *s = &j->cook->steps[j->step];
    j->errand = (struct trp_crew_job){ .work = do_aside,
                                       .back = come_back,
                                       .loop = j->maker->loop,
                                       .priority_class = j->maker->priority_class,
                                       .is_aside = j->maker->is_aside,
                                       .tenant = j->maker->tenant,
                                       .deadline_ns = j->maker->deadline_ns };
    s->parts = &s->one;
    s->parts_n = s->out_n = s->begun_n = 1;
    s->one = (struct trp_cook_part){ .child = j->maker, .job = j };
    j->pool = NULL;
    const trp_status st = trp_crew_push(j->env->crew, &j->errand, err);
    if (!trp_failed(st))
        return st;
    s->one.child = NULL;
    s->out_n = 0;
    return st;
}

trp_status trp_cook_job_do(struct trp_cook_job *j, uint64_t bytes, struct trp_error *err)
{
    trp_status st;
    if (j->env->crew && bytes > TRP_CREW_ASIDE_BYTES) {
        st = send(j, err);
        if (!trp_failed(st))
            return st;
    } else {
        st = j->kind->work(j, err);
        trp_cook_job_let_go(j);
        if (!trp_failed(st))
            st = j->kind->land(j, err);
    }
    if (trp_failed(st))
        trp_cook_job_drop(j);
    return st;
}

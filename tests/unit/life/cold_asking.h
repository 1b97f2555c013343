/* tests/unit/life/cold_asking.h - calls as front makes them, on the control loop: it is the only
 * one here. */
#ifndef TRP_COLD_ASKING_H
#define TRP_COLD_ASKING_H

#include "life_asking.h"

#define CALLS_MAX 64

struct asking {
    struct fixture *f;
    struct trp_call_pool *pool;
    uint32_t done_n;
};

static struct asking asking; /* outlives a test that fails */

static inline void begin_asking(struct fixture *f)
{
    asking = (struct asking){ .f = f };
    struct trp_error err = { 0 };
    must(trp_exec_attach(f->exec, 0, f->loop, &err), &err);
    must(trp_exec_start(f->exec, &err), &err);
    must(trp_call_pool_create(trp_heap(), f->loop, 4096, 1 << 20, CALLS_MAX, &asking.pool, &err),
         &err);
}

static inline int end_asking(void **state)
{
    struct fixture *f = *state;
    if (f->life)
        stop(f);
    trp_exec_stop(f->exec);
    for (int i = 0; i < 5; i++)
        turn(f);
    if (asking.pool)
        assert_int_equal(trp_call_pool_out(asking.pool), 0);
    trp_call_pool_destroy(asking.pool);
    asking.pool = NULL;
    return tear_down(state);
}

struct question {
    struct trp_call *call; /* until it has come back */
    struct trp_error error;
    int64_t answered_by;
    bool is_done;
};

static inline void note_answer(struct trp_call *call, void *user)
{
    struct question *q = user;
    assert_false(q->is_done);
    q->is_done = true;
    q->error = call->error;
    q->answered_by = call->target->version;
    q->call = NULL;
    trp_call_give_back(call);
    asking.done_n++;
}

/* Asks as front does; false: the name is not picked, and q->error says why. */
static inline bool ask_version(struct question *q, const char *model, int64_t number)
{
    static float value = 1;
    struct fixture *f = asking.f;
    struct trp_version *v;
    *q = (struct question){ 0 };
    if (trp_failed(trp_snapshot_pick(trp_registry_current(f->life->registry), trp_str_of(model),
                                     number, &v, &q->error)))
        return false;
    struct trp_call *call = q->call = trp_call_take(asking.pool);
    assert_non_null(call);
    call->version = number;
    call->inputs = trp_arena_zeroed(&call->arena, 1, sizeof *call->inputs);
    call->inputs_n = 1;
    call->inputs[0].name = TRP_STR_LIT("X");
    call->inputs[0].tensor = (struct troupe_tensor){
        .dtype = TROUPE_FP32, .rank = 1, .shape = { 1 }, .data = &value, .bytes = 4
    };
    call->is_unbound = !trp_target_signature(&v->target);
    trp_call_pin(call, &v->target, trp_version_release_target);
    if (!call->is_unbound)
        must(trp_call_bind(call, &v->signature, &q->error), &q->error);
    trp_call_push(call, note_answer, q);
    trp_target_start(&v->target, call);
    return true;
}

static inline void answers(struct fixture *f, const char *model)
{
    struct question q;
    assert_true(ask_version(&q, model, 0));
    pump(f, q.is_done);
    if (trp_failed(q.error.status))
        fail_msg("%s", q.error.text);
    trp_counter_set(&highest(f, model)->stats->last_asked_ns, (uint64_t)f->now_ns); /* as admin */
}

static inline void fails(struct fixture *f, struct question *q, int32_t code, const char *words)
{
    pump(f, q->is_done);
    if (q->error.status.code != code || !strstr(q->error.text, words))
        fail_msg("%s: %s", trp_code_name(q->error.status.code), q->error.text);
}

static inline void start_on_demand(struct fixture *f)
{
    f->opts.repo.load_default = TRP_LOAD_ON_DEMAND;
    start(f);
    pump(f, f->life->has_listed);
    begin_asking(f);
}

#endif

#include "front/front.h"

#include <time.h>
#include <unistd.h>

#include "front/conn.h"
#include "front/front_state.h"
#include "front/pack.h"

#define CALL_ARENA_BYTES 8192u
#define CALL_ARENA_MAX ((size_t)64 << 20)
#define CALL_NUMBER_BITS 48   /* numbers of one loop; the bits above say which loop */
#define OWED_TELL_NS TRP_S(5) /* how often the log hears what is waited for */

static void turn_end(struct trp_hook *hook)
{
    struct trp_front *f = TRP_CONTAINER_OF(hook, struct trp_front, hook);
    trp_conn_turn_end(f);
    trp_pack_turn_end(f);
}

/* What a burst of requests left behind goes when nobody came for it. */
static void arm_age(struct trp_front *f)
{
    struct trp_error err;
    if (f->opts.age_ns <= 0)
        return;
    if (trp_failed(
            trp_timer_arm(f->loop, &f->age_timer, trp_front_now_ns(f) + f->opts.age_ns, &err)))
        TRP_WARN(f->opts.log, "front", "memory of requests is kept from now on: %s", err.text);
}

static void age(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_front *f = TRP_CONTAINER_OF(timer, struct trp_front, age_timer);
    (void)now_ns;
    trp_exchange_age(f);
    trp_call_pool_age(f->calls);
    trp_pool_age(f->opts.pool);
    trp_json_parser_age(f->codec.json);
    arm_age(f);
}

static void tell_drained(struct trp_task *task)
{
    struct trp_front *f = TRP_CONTAINER_OF(task, struct trp_front, drained_task);
    void (*done)(void *user) = f->drained;
    f->drained = NULL;
    if (done)
        done(f->drained_user);
}

void trp_front_check_drained(struct trp_front *f)
{
    if (f->drained && !f->conns && f->exchanges_n == 0)
        trp_loop_ready(f->loop, &f->drained_task);
}

static trp_status make_parts(struct trp_front *f, struct trp_error *err)
{
    const struct trp_front_limits *l = &f->opts.limits;
    f->codec = (struct trp_oip_codec){ .pool = f->opts.pool,
                                       .account = f->opts.requests,
                                       .tensors_max = l->tensors_n,
                                       .params_max = l->params_n,
                                       .bytes_max = l->body_bytes };
    TRP_CHECK(trp_json_parser_create(l->body_bytes, l->json_depth, &f->codec.json, err));
    TRP_CHECK(trp_call_pool_create(f->opts.requests, f->loop, CALL_ARENA_BYTES, CALL_ARENA_MAX,
                                   l->calls_n, &f->calls, err));
    trp_call_pool_set_index(f->calls, f->opts.loop_index);
    trp_call_pool_number_from(f->calls, ((uint64_t)f->opts.loop_index << CALL_NUMBER_BITS) + 1);
    f->scratch = trp_pool_acquire(f->opts.pool, TRP_SCRATCH_BYTES);
    if (!f->scratch)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "read buffer of a loop");
    return trp_ok();
}

trp_status trp_front_create(const struct trp_alloc *alloc, const struct trp_front_opts *opts,
                            struct trp_front **out_front, struct trp_error *err)
{
    *out_front = NULL;
    struct trp_front *f = trp_alloc_zeroed(alloc, 1, sizeof *f);
    if (!f)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "front");
    f->alloc = alloc;
    f->opts = *opts;
    f->loop = opts->loop;
    f->metrics = opts->metrics;
    f->hook.turn_end = turn_end;
    trp_h2_memory_init(&f->h2_memory, opts->requests);
    f->drained_task.run = tell_drained;
    const trp_status st = make_parts(f, err);
    if (trp_failed(st)) {
        trp_front_destroy(f);
        return st;
    }
    trp_loop_hook(f->loop, &f->hook);
    f->age_timer.due = age;
    arm_age(f);
    *out_front = f;
    return trp_ok();
}

/* Runs that are out write to memory of ours: however long they take, they are waited for, as they
 * were told to stop.  False: the loop is broken, so that nothing can come back. */
static bool await_owed(struct trp_front *f)
{
    int64_t tell_ns = trp_front_now_ns(f) + OWED_TELL_NS;
    while (f->exchanges_n || f->dead) {
        struct trp_error err = { 0 };
        if (trp_failed(trp_loop_turn(f->loop, OWED_TELL_NS, &err))) {
            TRP_ERROR_LOG(f->opts.log, "front", "%u requests can never come back: %s",
                          f->exchanges_n, err.text);
            return false;
        }
        if (trp_front_now_ns(f) < tell_ns)
            continue;
        TRP_WARN(f->opts.log, "front", "the end waits for %u requests that are still at work",
                 f->exchanges_n);
        tell_ns = trp_front_now_ns(f) + OWED_TELL_NS;
    }
    return true;
}

void trp_front_destroy(struct trp_front *f)
{
    if (!f)
        return;
    f->drained = NULL;
    while (f->conns)
        trp_conn_close(f->conns);
    if (!await_owed(f))
        return; /* freeing what a run writes to would be worse than losing it */
    trp_timer_disarm(f->loop, &f->age_timer);
    trp_exchange_free_idle(f);
    trp_h2_memory_deinit(&f->h2_memory);
    trp_call_pool_destroy(f->calls);
    trp_json_parser_destroy(f->codec.json);
    trp_lease_release(f->scratch);
    trp_alloc_free(f->alloc, f);
}

void trp_front_take(struct trp_front *f, int fd, bool is_local)
{
    trp_conn_open(f, fd, is_local);
}

void trp_front_drain(struct trp_front *f, void (*done)(void *user), void *user)
{
    f->is_draining = true;
    f->drained = done;
    f->drained_user = user;
    for (struct trp_conn *c = f->conns, *next = NULL; c; c = next) {
        next = c->next;
        trp_conn_drain(c);
    }
    trp_front_check_drained(f);
}

void trp_front_give_up(struct trp_front *f)
{
    while (f->conns)
        trp_conn_close(f->conns);
}

uint32_t trp_front_connections(const struct trp_front *f)
{
    return (uint32_t)trp_counter_get(&f->conns_n);
}

struct trp_str trp_front_date(struct trp_front *f)
{
    const int64_t now_ns = trp_front_now_ns(f);
    if (now_ns >= f->date_until_ns || f->date_len == 0) {
        const int64_t wall_ns = trp_clock_wall_ns(f->opts.clock);
        const time_t seconds = (time_t)(wall_ns / TRP_S(1));
        struct tm tm;
        gmtime_r(&seconds, &tm);
        f->date_len = strftime(f->date, sizeof f->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        f->date_until_ns = now_ns + TRP_S(1) - wall_ns % TRP_S(1);
    }
    return trp_str_make(f->date, f->date_len);
}

void trp_front_count_error(struct trp_front *f, struct trp_error *err)
{
    trp_metric_hit(f->metrics, err);
    err->limit = TRP_LIMIT_NONE;
}

/* exec/crew.c - see crew.h. */
#include "exec/crew.h"

#include <xxhash.h>

#include "base/thread.h"
#include "sched/sched.h"
#include "sched/sorted.h"

#define TURN 1000u /* permille: a class that is owed so much is owed a turn */
#define SHARES_N \
    64u /* places of tenants in a class, that have a share at one time; beyond that some have one
         * together */
#define LOOKS 8u      /* places that a tenant may have */
#define WORTH 1000000 /* of a turn in a tenant's time, for a weight of one */

/* What a tenant has waiting in a class.  Its place stays its own when nothing does, until somebody
 * else needs it: so nobody comes anew after each job. */
struct trp_crew_share {
    struct trp_queue_spot turn; /* among those with jobs; key: `time` */
    struct trp_queue_rows jobs;
    uint64_t tenant; /* a hash */
    int64_t time;    /* turns that it has had, by weight */
    uint32_t jobs_n, weight;
};

struct way {
    struct trp_crew_share shares[SHARES_N];
    struct trp_queue_rows turns;
    int64_t time; /* that of whoever had the last turn: newcomers begin there */
};

struct trp_crew {
    const struct trp_alloc *alloc;
    struct trp_crew_opts opts;
    struct trp_lock lock; /* of what follows, but for the threads */
    struct trp_signal wake;
    struct way ways[TRP_SCHED_WAYS];
    uint32_t owed_permille[TRP_SCHED_WAYS]; /* by the floors */
    uint32_t jobs_n;
    int64_t arrivals;
    bool is_stopping;
    struct trp_thread *threads;
};

trp_status trp_crew_create(const struct trp_alloc *alloc, const struct trp_crew_opts *opts,
                           struct trp_crew **out_crew, struct trp_error *err)
{
    *out_crew = NULL;
    struct trp_crew *c = trp_alloc_zeroed(alloc, 1, sizeof *c);
    struct trp_thread *threads =
        trp_alloc_zeroed(alloc, opts->threads_n + (size_t)1, sizeof *threads);
    if (!c || !threads) {
        trp_alloc_free(alloc, c);
        trp_alloc_free(alloc, threads);
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%u helpers of compositions", opts->threads_n);
    }
    c->alloc = alloc;
    c->opts = *opts;
    c->threads = threads;
    trp_lock_init(&c->lock, TRP_LOCK_CREW);
    trp_signal_init(&c->wake);
    *out_crew = c;
    return trp_ok();
}

void trp_crew_destroy(struct trp_crew *c)
{
    if (!c)
        return;
    trp_crew_stop(c);
    TRP_ASSERT(c->jobs_n == 0);
    trp_signal_deinit(&c->wake);
    trp_lock_deinit(&c->lock);
    trp_alloc_free(c->alloc, c->threads);
    trp_alloc_free(c->alloc, c);
}

/* ---- shares of tenants: the lock is held, from here on to "there and back" ---- */

static uint32_t way_of(const struct trp_crew_job *job)
{
    return job->is_aside ? TRP_SCHED_ASIDE : trp_sched_way_of(job->priority_class);
}

static struct trp_crew_share *share_in(struct trp_queue_spot *turn)
{
    return turn ? TRP_CONTAINER_OF(turn, struct trp_crew_share, turn) : NULL;
}

static struct trp_crew_job *job_in(struct trp_queue_spot *spot)
{
    return TRP_CONTAINER_OF(spot, struct trp_crew_job, spot);
}

/* Its own place, or one where nothing waits and that was used least, or one that it shares. */
static struct trp_crew_share *place_of(struct way *w, uint64_t tenant)
{
    struct trp_crew_share *empty = NULL;
    for (uint32_t i = 0; i < LOOKS; i++) {
        struct trp_crew_share *const s = &w->shares[(tenant + i) % SHARES_N];
        if (s->tenant == tenant && s->weight > 0)
            return s;
        if (s->jobs_n == 0 && (!empty || s->time < empty->time))
            empty = s;
    }
    return empty ? empty : &w->shares[tenant % SHARES_N];
}

static struct trp_crew_share *share_of(struct trp_crew *c, const struct trp_crew_job *job)
{
    struct way *const w = &c->ways[way_of(job)];
    const uint64_t tenant =
        XXH3_64bits_withSeed(job->tenant.len ? job->tenant.ptr : "", job->tenant.len, c->opts.seed);
    struct trp_crew_share *const s = place_of(w, tenant);
    if (s->jobs_n == 0 && (s->tenant != tenant || s->weight == 0)) {
        s->tenant = tenant;
        s->time = 0;
        s->weight = trp_tenant_weight(c->opts.tenant_rules, c->opts.tenant_rules_n, job->tenant);
    }
    return s;
}

static void take_a_turn(struct trp_crew *c, struct way *w, struct trp_crew_share *s)
{
    s->turn = (struct trp_queue_spot){ .key = s->time, .arrival = c->arrivals++ };
    trp_sorted_push(&w->turns, &s->turn);
}

static void put_in(struct trp_crew *c, struct trp_crew_job *job, struct trp_crew_share *s)
{
    struct way *const w = &c->ways[way_of(job)];
    trp_sorted_push(&s->jobs, &job->spot);
    job->share = s;
    job->is_waiting = true;
    c->jobs_n++;
    if (s->jobs_n++ > 0)
        return;
    s->time = s->time > w->time ? s->time : w->time;
    take_a_turn(c, w, s);
}

static void take_out(struct trp_crew *c, struct trp_crew_job *job)
{
    struct trp_crew_share *const s = job->share;
    trp_sorted_remove(&s->jobs, &job->spot);
    job->is_waiting = false;
    c->jobs_n--;
    if (--s->jobs_n == 0)
        trp_sorted_remove(&c->ways[way_of(job)].turns, &s->turn);
}

/* The share's turn is over. */
static void charge(struct trp_crew *c, struct way *w, struct trp_crew_share *s)
{
    w->time = s->time;
    s->time += WORTH / s->weight;
    if (s->jobs_n == 0)
        return;
    trp_sorted_remove(&w->turns, &s->turn);
    take_a_turn(c, w, s);
}

/* ---- who makes room ---- */

static uint64_t load_of(const struct trp_crew_share *s, uint32_t jobs_n)
{
    return (uint64_t)jobs_n * WORTH / s->weight;
}

/* The job that can be done without for one more of a share; NULL: that one. */
static struct trp_crew_job *least_needed(struct trp_crew *c, uint32_t way_of_new,
                                         const struct trp_crew_share *share_of_new)
{
    uint32_t way = TRP_SCHED_WAYS - 1;
    while (way > 0 && !trp_sorted_first(&c->ways[way].turns))
        way--;
    if (way_of_new > way)
        return NULL;
    const struct trp_crew_share *found = NULL;
    uint64_t most = way_of_new == way ? load_of(share_of_new, share_of_new->jobs_n + 1) : 0;
    for (uint32_t i = 0; i < SHARES_N; i++) {
        const struct trp_crew_share *const s = &c->ways[way].shares[i];
        if (s->jobs_n == 0 || load_of(s, s->jobs_n) <= most)
            continue;
        found = s;
        most = load_of(s, s->jobs_n);
    }
    return found ? job_in(trp_sorted_last(&found->jobs)) : NULL;
}

/* ---- who is next ---- */

static uint32_t floor_of(const struct trp_crew *c, uint32_t way)
{
    if (way == trp_sched_way_of(TRP_PRIORITY_BATCH))
        return c->opts.floor_batch_permille;
    return way == trp_sched_way_of(TRP_PRIORITY_NORMAL) ? c->opts.floor_normal_permille : 0;
}

/* The most urgent class, but one that is owed a turn goes before it; TRP_SCHED_WAYS: nothing
 * waits. */
static uint32_t next_way(const struct trp_crew *c)
{
    uint32_t first = TRP_SCHED_WAYS;
    for (uint32_t way = TRP_SCHED_WAYS; way-- > 0;)
        if (trp_sorted_first(&c->ways[way].turns))
            first = way;
    for (uint32_t way = 0; way < TRP_SCHED_WAYS; way++)
        if (c->owed_permille[way] >= TURN && trp_sorted_first(&c->ways[way].turns))
            return way;
    return first;
}

/* Each class that waits is owed its floor of this turn; the one that gets it was paid. */
static void bill(struct trp_crew *c, uint32_t served)
{
    for (uint32_t way = 0; way < TRP_SCHED_WAYS; way++)
        if (trp_sorted_first(&c->ways[way].turns))
            c->owed_permille[way] += floor_of(c, way);
    uint32_t *const owed = &c->owed_permille[served];
    *owed = *owed > TURN ? *owed - TURN : 0;
}

/* NULL: nothing waits. */
static struct trp_crew_job *take_next(struct trp_crew *c)
{
    const uint32_t way = next_way(c);
    if (way == TRP_SCHED_WAYS)
        return NULL;
    struct way *const w = &c->ways[way];
    struct trp_crew_share *const share = share_in(trp_sorted_first(&w->turns));
    struct trp_crew_job *const job = job_in(trp_sorted_first(&share->jobs));
    bill(c, way);
    take_out(c, job);
    charge(c, w, share);
    return job;
}

/* ---- there and back ---- */

static void deliver(struct trp_mail *mail)
{
    struct trp_crew_job *job = TRP_CONTAINER_OF(mail, struct trp_crew_job, mail);
    job->back(job);
}

static void send_back(struct trp_crew_job *job)
{
    job->mail.deliver = deliver;
    trp_loop_post(job->loop, &job->mail);
}

static void do_job(struct trp_crew_job *job)
{
    job->work(job);
    send_back(job);
}

/* One without a deadline has a place, too: else it would wait for as long as others with one
 * come. */
static int64_t key_of(const struct trp_crew_job *job)
{
    return job->deadline_ns ? job->deadline_ns : trp_loop_now_ns(job->loop) + TRP_CREW_PATIENCE_NS;
}

trp_status trp_crew_fail_full(const struct trp_crew *c, struct trp_error *err)
{
    return trp_fail_limit(err, TRP_QUEUE_FULL, TRP_LIMIT_QUEUE,
                          "%u steps of compositions wait for a helper (%s)", c->opts.jobs_max,
                          c->opts.limit);
}

trp_status trp_crew_push(struct trp_crew *c, struct trp_crew_job *job, struct trp_error *err)
{
    struct trp_crew_job *shed = NULL;
    trp_lock_enter(&c->lock);
    struct trp_crew_share *const share = share_of(c, job);
    if (c->jobs_n >= c->opts.jobs_max)
        shed = least_needed(c, way_of(job), share);
    if (shed)
        take_out(c, shed);
    const bool has_room = c->jobs_n < c->opts.jobs_max;
    if (has_room) {
        job->spot = (struct trp_queue_spot){ .key = key_of(job), .arrival = c->arrivals++ };
        put_in(c, job, share);
        trp_signal_one(&c->wake);
    }
    trp_lock_leave(&c->lock);
    if (shed) {
        shed->is_shed = true;
        send_back(shed);
    }
    return has_room ? trp_ok() : trp_crew_fail_full(c, err);
}

void trp_crew_withdraw(struct trp_crew *c, struct trp_crew_job *job)
{
    trp_lock_enter(&c->lock);
    const bool was_waiting = job->is_waiting;
    if (was_waiting)
        take_out(c, job);
    trp_lock_leave(&c->lock);
    if (!was_waiting)
        return;
    job->is_withdrawn = true;
    send_back(job);
}

bool trp_crew_do_one(struct trp_crew *c)
{
    trp_lock_enter(&c->lock);
    struct trp_crew_job *job = take_next(c);
    trp_lock_leave(&c->lock);
    if (job)
        do_job(job);
    return job != NULL;
}

/* ---- threads ---- */

/* NULL: there will be none any more. */
static struct trp_crew_job *wait_for_one(struct trp_crew *c)
{
    struct trp_crew_job *job;
    trp_lock_enter(&c->lock);
    while (!(job = take_next(c)) && !c->is_stopping)
        trp_signal_wait(&c->wake, &c->lock);
    trp_lock_leave(&c->lock);
    return job;
}

static void help(void *user)
{
    struct trp_crew *c = user;
    struct trp_crew_job *job;
    trp_thread_yield_to_others(c->opts.nice);
    while ((job = wait_for_one(c)) != NULL)
        do_job(job);
}

trp_status trp_crew_start(struct trp_crew *c, struct trp_error *err)
{
    for (uint32_t i = 0; i < c->opts.threads_n; i++)
        TRP_CHECK(trp_thread_start(&c->threads[i], "helper", help, c, err));
    return trp_ok();
}

void trp_crew_stop(struct trp_crew *c)
{
    trp_lock_enter(&c->lock);
    c->is_stopping = true;
    trp_signal_all(&c->wake);
    trp_lock_leave(&c->lock);
    for (uint32_t i = 0; i < c->opts.threads_n; i++)
        trp_thread_join(&c->threads[i]);
}

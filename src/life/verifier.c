/* life/verifier.c - see verifier.h.
 *
 * Several servers may share a store; one of them reads it, and the time of STORE/verified says when
 * that was.  Each looks at that time, and whoever finds it long ago and gets the lock reads, at
 * store.verify_rate, on a thread that yields to all others.
 *
 *   timer ──► job: lock, is it time? ──► read all ──► remove what nobody needs ──► write the time
 *     ▲                                                                              │
 *     └───────────── control: versions that have damaged weights are opened anew ◄───┘ */
#include "life/verifier.h"
#include "life/life_parts.h"
#include "life/tenure.h"

#include <time.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/file.h"
#include "store/sweeper.h"

#define VERIFIER_NICE 15
#define FIRST_LOOK_NS TRP_S(60)
#define DAMAGED_KEPT 256

struct trp_verifier {
    struct trp_job job; /* first */
    struct trp_timer timer;
    struct trp_life *life;
    struct trp_loaders *loaders;
    struct trp_flag stop;
    /* the job's */
    int64_t wait_ns; /* until the next look */
    bool has_read;
    struct trp_verified seen;
    struct trp_swept swept;
    struct trp_sha256 damaged[DAMAGED_KEPT];
    uint32_t damaged_n;
    struct trp_error error;
};

static int64_t wall_ns(void)
{
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &now); /* as the file system's times are */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* How long it is until somebody should read; 0: not at all. */
static int64_t time_left(const struct trp_verifier *v)
{
    char path[TRP_STORE_PATH_MAX];
    struct trp_file_stat st;
    const int64_t every = v->life->opts.store_verify_ns;
    if (!trp_store_part(v->life->opts.store, "verified", NULL, path) ||
        trp_failed(trp_file_stat(path, &st, NULL)))
        return 0;
    const int64_t since = wall_ns() - st.mtime_ns;
    return since < 0 || since >= every ? 0 : every - since;
}

static void note_damage(void *user, const struct trp_stored *what, const char *why)
{
    struct trp_verifier *v = user;
    char key[TRP_SHA256_TEXT];
    trp_sha256_format(&what->key, key);
    TRP_WARN(v->life->opts.log, "store", "what was prepared of %s is damaged and goes: %s (%.12s)",
             what->source, why, key);
    if (v->damaged_n < DAMAGED_KEPT)
        v->damaged[v->damaged_n++] = what->key;
}

static trp_status read_all(struct trp_verifier *v, struct trp_error *err)
{
    const struct trp_life_opts *o = &v->life->opts;
    const struct trp_verify_opts verify = { .bytes_per_second = o->store_verify_rate,
                                            .clock = o->clock,
                                            .cancel = trp_flag_word(&v->stop),
                                            .on_damage = note_damage,
                                            .user = v };
    const struct trp_gc_opts gc = { .bytes_max = o->store_bytes_max };
    TRP_CHECK(trp_sweeper_verify(o->store, &verify, &v->seen, err));
    v->has_read = true;
    TRP_CHECK(trp_sweeper_gc(o->store, &gc, &v->swept, err));
    return trp_store_replace(o->store, "verified", NULL, TRP_STR_LIT("troupe verified\n"), err);
}

static void work(struct trp_job *job)
{
    struct trp_verifier *v = (struct trp_verifier *)job;
    char path[TRP_STORE_PATH_MAX];
    int lock = -1;
    v->has_read = false;
    v->damaged_n = 0;
    v->error = (struct trp_error){ 0 };
    v->wait_ns = time_left(v);
    if (v->wait_ns > 0)
        return;
    v->wait_ns = v->life->opts.store_verify_ns;
    v->error.status = trp_store_is_there(v->life->opts.store, &v->error);
    if (trp_failed(v->error.status))
        return;
    if (!trp_store_part(v->life->opts.store, "verifying", NULL, path) ||
        trp_disk_lock(path, &lock, &v->error).code == TRP_UNAVAILABLE) {
        v->error = (struct trp_error){ 0 }; /* another server is at it */
        return;
    }
    if (lock >= 0) {
        v->error.status = read_all(v, &v->error);
        close(lock);
    }
}

static bool is_damaged(const struct trp_verifier *v, const struct trp_sha256 *key)
{
    for (uint32_t i = 0; key && i < v->damaged_n; i++)
        if (memcmp(&v->damaged[i], key, sizeof *key) == 0)
            return true;
    return false;
}

/* They keep what they have mapped, which is what is damaged. */
static void open_anew(struct trp_verifier *v)
{
    for (struct trp_member *m = v->life->members, *next; m; m = next) {
        next = m->next;
        bool has_any = false;
        for (uint32_t i = 0; i < m->serving.n; i++) {
            struct trp_version *served = m->serving.items[i];
            if (!is_damaged(v, trp_tenure_key(served)))
                continue;
            trp_flag_raise(&served->is_damaged);
            has_any = true;
        }
        const struct trp_op op = { .kind = TRP_OP_MEND };
        if (has_any)
            trp_member_push(m, &op);
    }
}

static void arm(struct trp_verifier *v, int64_t wait_ns)
{
    struct trp_loop *control = v->life->opts.control;
    struct trp_error err;
    if (v->life->is_stopping)
        return;
    if (trp_failed(trp_timer_arm(control, &v->timer, trp_loop_now_ns(control) + wait_ns, &err)))
        TRP_ERROR_LOG(v->life->opts.log, "store", "it is not verified any more: %s", err.text);
}

static void done(struct trp_job *job)
{
    struct trp_verifier *v = (struct trp_verifier *)job;
    const struct trp_life_opts *o = &v->life->opts;
    if (v->has_read) {
        trp_metrics_add(o->metrics, TRP_METRIC_VERIFIED_WHOLE,
                        v->seen.artefacts_n - v->seen.damaged_n);
        trp_metrics_add(o->metrics, TRP_METRIC_VERIFIED_DAMAGED, v->seen.damaged_n);
        TRP_INFO(o->log, "store", "verified %u prepared models, %llu bytes: %u are damaged",
                 v->seen.artefacts_n, (unsigned long long)v->seen.bytes, v->seen.damaged_n);
    }
    if (trp_failed(v->error.status) && v->error.status.code != TRP_CANCELLED)
        TRP_WARN(o->log, "store", "it was not verified: %s", v->error.text);
    if (!v->life->is_stopping && v->damaged_n)
        open_anew(v);
    arm(v, v->wait_ns);
}

static void due(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_verifier *v = TRP_CONTAINER_OF(timer, struct trp_verifier, timer);
    (void)now_ns;
    trp_loaders_submit(v->loaders, TRP_LANE_CHORE, &v->job);
}

trp_status trp_verifier_create(struct trp_life *l, struct trp_verifier **out_verifier,
                               struct trp_error *err)
{
    /* No thread that takes loads: reading must not be waited for. */
    const struct trp_loaders_opts opts = { .nice = VERIFIER_NICE, .control = l->opts.control };
    *out_verifier = NULL;
    if (!l->opts.store || l->opts.store_verify_ns == 0)
        return trp_ok();
    struct trp_verifier *v = trp_alloc_zeroed(l->alloc, 1, sizeof *v);
    if (!v)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "verifier");
    v->life = l;
    v->job.work = work;
    v->job.done = done;
    v->timer.due = due;
    const trp_status st = trp_loaders_create(l->alloc, &opts, &v->loaders, err);
    if (trp_failed(st)) {
        trp_alloc_free(l->alloc, v);
        return st;
    }
    *out_verifier = v;
    return st;
}

void trp_verifier_destroy(struct trp_verifier *v)
{
    if (!v)
        return;
    trp_loaders_destroy(v->loaders);
    trp_alloc_free(v->life->alloc, v);
}

void trp_verifier_start(struct trp_verifier *v)
{
    if (v)
        arm(v, v->life->opts.store_verify_ns < FIRST_LOOK_NS ? v->life->opts.store_verify_ns
                                                             : FIRST_LOOK_NS);
}

void trp_verifier_stop(struct trp_verifier *v)
{
    if (!v)
        return;
    trp_flag_raise(&v->stop);
    trp_timer_disarm(v->life->opts.control, &v->timer);
}

bool trp_verifier_is_busy(const struct trp_verifier *v)
{
    return v && trp_loaders_are_busy(v->loaders);
}

void trp_verifier_on_idle(struct trp_verifier *v, void (*idle)(void *user), void *user)
{
    if (v)
        trp_loaders_on_idle(v->loaders, idle, user);
}

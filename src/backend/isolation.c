/* backend/isolation.c - see isolation.h. */
#include "backend/isolation.h"

#include "backend/passage.h"

#define STINTS_AT_ONCE 64u

/* A model's handle. */
struct isolated {
    struct trp_isolation *isolation;
    struct trp_worker *worker;
};

void trp_isolation_init(struct trp_isolation *i, const struct trp_worker_env *env,
                        const struct troupe_backend *inner, void *inner_self)
{
    *i = (struct trp_isolation){ .env = *env, .inner = inner, .inner_self = inner_self };
    trp_lock_init(&i->lock, TRP_LOCK_BACKEND);
}

void trp_isolation_deinit(struct trp_isolation *i)
{
    TRP_ASSERT(!i->first); /* close the models first */
    trp_lock_deinit(&i->lock);
}

static void stop(void *self)
{
    (void)self; /* the plugin is stopped by its own entry in the table */
}

static int32_t probe(void *self, const struct troupe_model_desc *desc,
                     const struct troupe_sink *sink, uint32_t *out_capabilities,
                     struct troupe_error *error)
{
    const struct trp_isolation *i = self;
    return i->inner->probe(i->inner_self, desc, sink, out_capabilities, error);
}

static int32_t prepare(void *self, const struct troupe_model_desc *desc,
                       const struct troupe_blob_sink *sink, struct troupe_error *error)
{
    const struct trp_isolation *i = self;
    return i->inner->prepare(i->inner_self, desc, sink, error);
}

static const char *fingerprint(void *self)
{
    const struct trp_isolation *i = self;
    return i->inner->fingerprint(i->inner_self);
}

static void devices(void *self, void (*tell)(void *user, const struct troupe_device *device),
                    void *user)
{
    const struct trp_isolation *i = self;
    i->inner->devices(i->inner_self, tell, user);
}

static const char *why_no_device(void *self)
{
    const struct trp_isolation *i = self;
    return i->inner->why_no_device(i->inner_self);
}

static void link_worker(struct trp_isolation *i, struct trp_worker *w)
{
    trp_lock_enter(&i->lock);
    *trp_worker_next(w) = i->first;
    i->first = w;
    trp_lock_leave(&i->lock);
}

static void unlink_worker(struct trp_isolation *i, struct trp_worker *w)
{
    trp_lock_enter(&i->lock);
    struct trp_worker **at = &i->first;
    while (*at != w)
        at = trp_worker_next(*at);
    *at = *trp_worker_next(w);
    trp_lock_leave(&i->lock);
}

/* Hibernating is not passed on. */
static uint32_t capabilities_of(uint32_t there)
{
    return (there & (TROUPE_CAN_CANCEL | TROUPE_CAN_CONCURRENT | TROUPE_CAN_PREPARE)) |
           TROUPE_CAN_GIVEN_OUT | TROUPE_RUNS_ELSEWHERE;
}

static int32_t open_model(void *self, const struct troupe_model_desc *desc,
                          const struct troupe_sink *sink, void **out_model,
                          uint32_t *out_capabilities, struct troupe_error *error)
{
    struct trp_isolation *i = self;
    struct isolated *m = trp_alloc_zeroed(trp_heap(), 1, sizeof *m);
    uint32_t there = 0;
    if (!m)
        return trp_passage_fail(error, TROUPE_OUT_OF_MEMORY, "a worker");
    m->isolation = i;
    const int32_t code = trp_worker_open(&i->env, desc, sink, &m->worker, &there, error);
    if (code != TROUPE_OK) {
        trp_alloc_free(trp_heap(), m);
        return code;
    }
    link_worker(i, m->worker);
    *out_capabilities = capabilities_of(there);
    *out_model = m;
    return TROUPE_OK;
}

static void close_model(void *model)
{
    struct isolated *m = model;
    if (!m)
        return;
    unlink_worker(m->isolation, m->worker);
    trp_worker_close(m->worker);
    trp_alloc_free(trp_heap(), m);
}

static int32_t run(void *model, const struct troupe_run *given, const struct troupe_tensor *inputs,
                   struct troupe_tensor *outputs)
{
    const struct isolated *m = model;
    return trp_worker_run(m->worker, given, inputs, outputs);
}

static int32_t cancel(void *model, uint64_t run_id)
{
    const struct isolated *m = model;
    struct trp_stint *s = trp_worker_stint(m->worker);
    if (s)
        trp_stint_cancel(s, run_id);
    trp_stint_unref(s);
    return TROUPE_OK;
}

/* What the process has for itself; mapped files are shared, and counted where they are known. */
static int32_t memory(void *model, struct troupe_memory *out)
{
    const struct isolated *m = model;
    out->weights_bytes = trp_worker_private_bytes(m->worker);
    out->shared_bytes = out->arena_bytes = 0;
    return out->weights_bytes ? TROUPE_OK : TROUPE_UNAVAILABLE;
}

/* Some at a time, the list is let go meanwhile: who comes after them is found by counting, so one
 * that was opened or closed meanwhile is trimmed twice, or the next time. */
static void trim(void *self)
{
    struct trp_isolation *i = self;
    struct trp_stint *some[STINTS_AT_ONCE];
    uint32_t done = 0, n, seen;
    do {
        n = seen = 0;
        trp_lock_enter(&i->lock);
        for (struct trp_worker *w = i->first; w && n < STINTS_AT_ONCE; w = *trp_worker_next(w)) {
            if (seen++ < done)
                continue;
            some[n++] = trp_worker_stint(w);
        }
        trp_lock_leave(&i->lock);
        done += n;
        for (uint32_t k = 0; k < n; k++) {
            if (some[k])
                trp_stint_trim(some[k]);
            trp_stint_unref(some[k]);
        }
    } while (n == STINTS_AT_ONCE);
}

uint32_t trp_isolation_pids(struct trp_isolation *i, pid_t *out, uint32_t max)
{
    uint32_t n = 0;
    trp_lock_enter(&i->lock);
    for (struct trp_worker *w = i->first; w && n < max; w = *trp_worker_next(w)) {
        const pid_t pid = trp_worker_pid(w);
        if (pid)
            out[n++] = pid;
    }
    trp_lock_leave(&i->lock);
    return n;
}

uint32_t trp_isolation_retry_ms(void *model)
{
    const struct isolated *m = model;
    return trp_worker_retry_ms(m->worker);
}

struct troupe_backend trp_isolation_api(const struct troupe_backend *inner)
{
    return (struct troupe_backend){
        .abi = TROUPE_BACKEND_ABI,
        .struct_size = sizeof(struct troupe_backend),
        .name = inner->name,
        .version = inner->version,
        .stop = stop,
        .probe = probe,
        .open = open_model,
        .run = run,
        .close = close_model,
        .cancel = cancel,
        .prepare = inner->prepare ? prepare : NULL,
        .trim = trim,
        .memory = memory,
        .fingerprint = inner->fingerprint ? fingerprint : NULL,
        .devices = inner->devices ? devices : NULL,
        .why_no_device = inner->why_no_device ? why_no_device : NULL,
    };
}

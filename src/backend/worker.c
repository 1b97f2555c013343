/* backend/worker.c - see worker.h.
 *
 *     STARTING ──opened──► SERVING ──ended──► RESTING ──after a while──► STARTING
 *        │ the first one did not open            │ closed
 *        └──────────────► OVER ◄─────────────────┘
 *
 *  1. The thread that minds a process is its parent: the process ends when that thread does.
 *  2. A process that ended is followed by another at once.  When that one has not lived for
 *     LIVED_NS, the next comes after 100 ms, 200, 400, ... 10 s: a request that kills it must not
 *     keep the machine busy with starting.
 *  3. While there is none, one run waits for it.  More would keep all executors from other models.
 *  4. A process that did not open what was prepared of the model, or found it cut short, is
 *     followed by one that opens the model as it is; not one that lacked memory or time, or that
 *     somebody ended: the files are well.
 *  5. What the model takes and gives must be what the first process said; another one is not let
 *     in. */
#include "backend/worker.h"

#include <stdio.h>
#include <time.h>

#include "backend/passage.h"
#include "backend/worker_order.h"
#include "base/footprint.h"
#include "base/talk.h"

#define LOOKS_NS TRP_MS(20) /* whether it is still wanted */
#define END_NS TRP_S(5)     /* to give back what it holds; then it is killed */
#define START_NS TRP_S(120) /* of one that is not the first; the first is the loader's matter */
#define WAIT_NS TRP_S(10)   /* of a run, for another process */
#define LIVED_NS TRP_S(10)
#define REST_NS TRP_MS(100)
#define REST_NS_MAX TRP_S(10)
#define FACE_BLOCK_BYTES 4096u

enum state { STARTING, SERVING, RESTING, OVER };

struct trp_worker {
    const struct trp_worker_env *env;
    struct trp_worker *next;
    struct trp_arena arena; /* of what was asked for */
    struct troupe_model_desc desc;
    struct trp_thread minder;
    struct trp_flag is_closing;
    struct trp_buf face; /* what the first one said; constant once it serves */
    uint32_t capabilities;
    bool is_plain;                 /* the minder's: what was prepared is of no use */
    uint32_t failures;             /* the minder's: how many ended one after the other */
    uint64_t grown_bytes;          /* the minder's: charged beyond what was told */
    struct trp_counter told_bytes; /* of its own; 0: nobody has asked */

    struct trp_lock lock; /* what follows */
    struct trp_signal changed;
    enum state state;
    bool has_served;
    struct trp_stint *stint; /* SERVING */
    bool is_waited_for;      /* by a run */
    struct trp_error why;    /* OVER, RESTING */
    int64_t begins_ns;       /* when the next one begins or began */
    int64_t opens_ns;        /* how long the last one took to have the model open */
};

/* ---- the order ---- */

static const char *keep(struct trp_worker *w, const char *text, bool *is_short)
{
    const char *copy = text ? trp_arena_dup(&w->arena, trp_str_of(text)).ptr : NULL;
    *is_short = *is_short || (text && !copy);
    return copy;
}

static const struct troupe_device_id *
keep_devices(struct trp_worker *w, const struct troupe_model_desc *desc, bool *is_short)
{
    const size_t bytes = desc->devices_n * sizeof *desc->devices;
    struct troupe_device_id *ids = bytes ? trp_arena_get(&w->arena, bytes) : NULL;
    *is_short = *is_short || (bytes && !ids);
    if (ids)
        memcpy(ids, desc->devices, bytes);
    return ids;
}

static bool keep_desc(struct trp_worker *w, const struct troupe_model_desc *desc)
{
    bool is_short = false;
    struct troupe_option *options =
        trp_arena_zeroed(&w->arena, (size_t)desc->options_n + 1, sizeof *options);
    w->desc = *desc;
    w->desc.name = keep(w, desc->name, &is_short);
    w->desc.path = keep(w, desc->path, &is_short);
    w->desc.skeleton = keep(w, desc->skeleton, &is_short);
    w->desc.blobs = keep(w, desc->blobs, &is_short);
    w->desc.devices = keep_devices(w, desc, &is_short);
    for (uint32_t i = 0; options && i < desc->options_n; i++) {
        options[i].key = keep(w, desc->options[i].key, &is_short);
        options[i].value = keep(w, desc->options[i].value, &is_short);
    }
    w->desc.options = options;
    return options && !is_short;
}

static uint32_t log_levels(struct trp_log *log)
{
    uint32_t levels = 0;
    for (int i = TRP_LOG_ERROR; log && i <= TRP_LOG_DEBUG; i++)
        if (trp_log_is_enabled(log, (enum trp_log_level)i))
            levels |= 1u << i;
    return levels;
}

static trp_status send_order(struct trp_worker *w, struct trp_stint *s, struct trp_error *err)
{
    const struct trp_worker_env *env = w->env;
    struct trp_worker_order order = {
        .backend = env->backend,
        .plugins = env->plugins,
        .options = env->options,
        .options_n = env->options_n,
        .nice = env->nice,
        .log_format = env->log ? (int32_t)trp_log_get_format(env->log) : 0,
        .log_levels = log_levels(env->log),
        .desc = w->desc,
    };
    struct trp_buf b;
    if (w->is_plain)
        order.desc.skeleton = order.desc.blobs = NULL;
    trp_buf_init(&b, trp_heap(), TRP_WORKER_ORDER_BYTES_MAX);
    trp_worker_order_encode(&order, &b);
    trp_status st = trp_buf_check(&b, "a worker's order", err);
    if (!trp_failed(st))
        st = trp_stint_order(s, trp_buf_str(&b), err);
    trp_buf_deinit(&b);
    return st;
}

/* ---- a process begins ---- */

static int64_t now_ns(const struct trp_worker *w)
{
    return trp_clock_now_ns(w->env->clock);
}

static trp_status wait_until_open(struct trp_worker *w, struct trp_stint *s,
                                  struct trp_worker_message *out, struct trp_error *err)
{
    const bool is_first = !w->has_served;
    const int64_t until_ns = now_ns(w) + START_NS;
    enum trp_talk got = TRP_TALK_NOT_YET;
    int fds[TRP_TALK_FDS_MAX];
    trp_talk_set_patience(s->control, LOOKS_NS);
    while (got == TRP_TALK_NOT_YET) {
        got = trp_talk_receive(s->control, out, sizeof *out, fds);
        if (trp_flag_is_up(&w->is_closing) || (is_first && trp_flag_word_is_up(w->desc.cancel)))
            return trp_fail(err, TRP_CANCELLED, "the load was given up");
        if (!is_first && now_ns(w) > until_ns)
            return trp_fail(err, TRP_UNAVAILABLE, "its worker process did not open it in time");
    }
    trp_talk_set_patience(s->control, 0);
    if (got == TRP_TALK_OVER)
        return trp_fail(err, TRP_UNAVAILABLE, "its worker process ended while it opened the model");
    if (out->code == TROUPE_OK)
        return trp_ok();
    out->of.text[sizeof out->of.text - 1] = '\0';
    return trp_fail(err,
                    out->code > 0 && out->code < (int32_t)TRP_CODES ? (enum trp_code)out->code
                                                                    : TRP_INTERNAL,
                    "%s", out->of.text);
}

/* The first one's face is kept; another's must be the same. */
static trp_status look_at_face(struct trp_worker *w, const struct trp_stint *s,
                               const struct trp_worker_message *m, struct trp_error *err)
{
    if (!trp_yard_has(&s->theirs, m->at, m->bytes) || m->bytes > TRP_WORKER_ORDER_BYTES_MAX)
        return trp_fail(err, TRP_INTERNAL, "its worker process named memory that there is not");
    const char *face = s->theirs.ptr + m->at;
    if (w->has_served) {
        const bool is_same = m->bytes == w->face.len && m->capabilities == w->capabilities &&
                             memcmp(face, w->face.ptr, w->face.len) == 0;
        return is_same ? trp_ok()
                       : trp_fail(err, TRP_FAILED_PRECONDITION,
                                  "its files are not those any more that it was loaded from");
    }
    trp_buf_reset(&w->face);
    trp_buf_add(&w->face, face, m->bytes);
    w->capabilities = m->capabilities;
    return trp_buf_check(&w->face, "a model's face", err);
}

/* Without commons it costs a copy of each input; no model fails for that. */
static void open_commons(const struct trp_worker *w)
{
    struct trp_error why;
    if (w->env->commons && trp_failed(trp_commons_open(w->env->commons, &why)))
        TRP_WARN(w->env->log, "worker", "inputs are copied for worker processes: %s", why.text);
}

static void note_commons(const struct trp_worker *w, struct trp_stint *s,
                         const struct trp_worker_message *m)
{
    s->sees_commons = s->commons && trp_commons_is_open(s->commons) && m->n != 0;
    if (s->commons && trp_commons_is_open(s->commons) && !s->sees_commons)
        TRP_WARN(w->env->log, "worker",
                 "'%s': its worker process has no room for a view of the server's memory; inputs "
                 "are copied for it",
                 w->desc.name);
}

static trp_status begin(struct trp_worker *w, struct trp_stint **out, struct trp_error *err)
{
    static const char *const argv[] = { "troupe", "worker", NULL };
    struct trp_worker_message m;
    open_commons(w);
    TRP_CHECK(
        trp_stint_begin(argv, w->env->program, w->env->commons, w->env->yard_bytes, out, err));
    TRP_CHECK(send_order(w, *out, err));
    TRP_CHECK(wait_until_open(w, *out, &m, err));
    note_commons(w, *out, &m);
    return look_at_face(w, *out, &m, err);
}

/* ---- the thread that minds it ---- */

static void set_growth(struct trp_worker *w, uint64_t bytes)
{
    const struct troupe_account *a = w->desc.account;
    if (!a || a->struct_size < sizeof *a || !a->charge || !a->discharge)
        return;
    if (bytes < w->grown_bytes)
        a->discharge(a->user, w->grown_bytes - bytes);
    else if (bytes > w->grown_bytes && !a->charge(a->user, bytes - w->grown_bytes))
        return; /* the process has it all the same: the meter counts what no account has */
    w->grown_bytes = bytes;
}

/* What its process has taken for itself since it was told. */
static void count_growth(struct trp_worker *w, const struct trp_stint *s)
{
    struct trp_footprint f;
    const uint64_t told = trp_counter_get(&w->told_bytes);
    if (told > 0 && trp_footprint_glance_of("", s->pid, &f))
        set_growth(w, f.private_bytes > told ? f.private_bytes - told : 0);
}

/* After a trim. */
static void take_count(struct trp_worker *w, struct trp_stint *s,
                       const struct trp_worker_message *m)
{
    if (m->kind != TRP_WORKER_KEPT)
        return;
    (void)trp_stint_charge(s, NULL, m->bytes); /* less than before, as a rule */
    count_growth(w, s);
}

static void serve(struct trp_worker *w, struct trp_stint *s)
{
    struct trp_worker_message m;
    int fds[TRP_TALK_FDS_MAX];
    if (w->env->metrics)
        trp_metrics_add(w->env->metrics, TRP_METRIC_WORKERS, 1);
    trp_lock_enter(&w->lock);
    w->state = SERVING;
    w->has_served = true;
    w->stint = s;
    trp_signal_all(&w->changed);
    trp_lock_leave(&w->lock);
    if (!trp_flag_is_up(&w->is_closing))
        while (trp_talk_receive(s->control, &m, sizeof m, fds) == TRP_TALK_MESSAGE)
            take_count(w, s, &m);
    if (w->env->metrics)
        trp_metrics_add(w->env->metrics, TRP_METRIC_WORKERS, UINT64_MAX);
    trp_lock_enter(&w->lock);
    w->state = RESTING;
    w->stint = NULL;
    (void)trp_fail(&w->why, TRP_UNAVAILABLE, "ended");
    trp_lock_leave(&w->lock);
}

/* How long there is none, after one that lived so long. */
static int64_t rest_ns_of(struct trp_worker *w, int64_t lived_ns)
{
    if (lived_ns >= LIVED_NS)
        w->failures = 0;
    const uint32_t before = w->failures++;
    if (before == 0)
        return 0;
    return before > 7 ? REST_NS_MAX : REST_NS << (before - 1);
}

bool trp_worker_blames_files(enum trp_code opening, const char *words)
{
    static const char *const crashes[] = { "SIGSEGV", "SIGABRT", "SIGILL", "SIGFPE" };
    switch (opening) {
    case TRP_OK:
    case TRP_OUT_OF_MEMORY:
    case TRP_OVER_BUDGET:
    case TRP_TOO_LARGE:
    case TRP_CANCELLED:
    case TRP_DEADLINE_EXCEEDED:
        return strstr(words, "SIGBUS") != NULL; /* a file has become shorter, whatever it did */
    case TRP_UNAVAILABLE:
        for (size_t i = 0; i < ARRAY_LEN(crashes); i++)
            if (strstr(words, crashes[i]))
                return true;
        return strstr(words, "SIGBUS") != NULL;
    default:
        return true; /* it said so */
    }
}

/* For the next one's sake and for people. */
static void learn_from_end(struct trp_worker *w, const struct trp_error *why, const char *words,
                           int64_t rest_ns)
{
    const bool has_failed = trp_failed(why->status);
    trp_lock_enter(&w->lock);
    if (has_failed)
        w->why = *why;
    else
        (void)trp_fail(&w->why, TRP_UNAVAILABLE, "%s", words);
    trp_lock_leave(&w->lock);
    if (trp_flag_is_up(&w->is_closing) || !w->has_served)
        return;
    TRP_WARN(w->env->log, "worker",
             "'%s': its worker process %s%s%s; another is started in %lld ms", w->desc.name, words,
             has_failed ? ": " : "", has_failed ? why->text : "", (long long)(rest_ns / 1000000));
    if (w->env->metrics)
        trp_metrics_add(w->env->metrics, TRP_METRIC_WORKER_RESTARTS, 1);
}

/* For those who are told to come back. */
static void note_times(struct trp_worker *w, int64_t begins_ns, int64_t opens_ns)
{
    trp_lock_enter(&w->lock);
    w->begins_ns = begins_ns;
    w->opens_ns = opens_ns;
    trp_lock_leave(&w->lock);
}

/* One process, from its start to its end; false: there will be no other. */
static bool live(struct trp_worker *w)
{
    struct trp_error why = { 0 };
    struct trp_stint *s = NULL;
    const int64_t begun_ns = now_ns(w);
    char words[TRP_CHILD_WORDS_MAX] = "was not started";
    const trp_status st = begin(w, &s, &why);
    if (!trp_failed(st)) {
        note_times(w, begun_ns, now_ns(w) - begun_ns);
        serve(w, s);
    }
    if (s) {
        trp_stint_end(s, trp_failed(st) && st.code != TRP_UNAVAILABLE ? 0 : END_NS);
        trp_stint_wait_end(s, words);
        trp_stint_unref(s);
        w->is_plain = w->is_plain || trp_worker_blames_files((enum trp_code)st.code, words);
    }
    if (st.code == TRP_UNAVAILABLE && s)
        (void)trp_fail(&why, w->has_served ? TRP_UNAVAILABLE : TRP_INTERNAL,
                       "its worker process %s while it opened the model", words);
    const int64_t rest_ns = rest_ns_of(w, now_ns(w) - begun_ns);
    learn_from_end(w, &why, words, rest_ns);
    if (!w->has_served)
        return false;
    note_times(w, now_ns(w) + rest_ns, w->opens_ns);
    for (const int64_t until_ns = now_ns(w) + rest_ns;
         now_ns(w) < until_ns && !trp_flag_is_up(&w->is_closing);) {
        const struct timespec look = { .tv_nsec = LOOKS_NS };
        (void)nanosleep(&look, NULL);
    }
    return !trp_flag_is_up(&w->is_closing);
}

static void mind(void *user)
{
    struct trp_worker *w = user;
    while (live(w)) {
        trp_lock_enter(&w->lock);
        w->state = STARTING;
        trp_lock_leave(&w->lock);
    }
    trp_lock_enter(&w->lock);
    w->state = OVER;
    trp_signal_all(&w->changed);
    trp_lock_leave(&w->lock);
}

/* ---- opening and closing ---- */

static void destroy(struct trp_worker *w)
{
    trp_thread_join(&w->minder);
    set_growth(w, 0);
    trp_buf_deinit(&w->face);
    trp_signal_deinit(&w->changed);
    trp_lock_deinit(&w->lock);
    trp_arena_deinit(&w->arena);
    trp_alloc_free(trp_heap(), w);
}

static trp_status start_minder(struct trp_worker *w, struct trp_error *err)
{
    char name[16];
    (void)snprintf(name, sizeof name, "mind %.9s", w->desc.name ? w->desc.name : "");
    TRP_CHECK(trp_nursery_start(w->env->nursery, &w->minder, name, mind, w, err));
    trp_lock_enter(&w->lock);
    while (!w->has_served && w->state == STARTING)
        trp_signal_wait(&w->changed, &w->lock);
    const bool has_served = w->has_served;
    if (!has_served)
        *err = w->why;
    trp_lock_leave(&w->lock);
    return has_served ? trp_ok() : err->status;
}

static trp_status tell_face(struct trp_worker *w, const struct troupe_sink *sink,
                            struct trp_error *err)
{
    struct trp_arena arena;
    if (!sink)
        return trp_ok();
    trp_arena_init(&arena, trp_heap(), FACE_BLOCK_BYTES, 0);
    const trp_status st = trp_worker_order_tell_face(trp_buf_str(&w->face), &arena, sink, err);
    trp_arena_deinit(&arena);
    return st;
}

int32_t trp_worker_open(const struct trp_worker_env *env, const struct troupe_model_desc *desc,
                        const struct troupe_sink *sink, struct trp_worker **out_worker,
                        uint32_t *out_capabilities, struct troupe_error *error)
{
    struct trp_error err = { 0 };
    *out_worker = NULL;
    struct trp_worker *w = trp_alloc_zeroed(trp_heap(), 1, sizeof *w);
    if (!w)
        return trp_passage_fail(error, TROUPE_OUT_OF_MEMORY, "a worker");
    w->env = env;
    trp_arena_init(&w->arena, trp_heap(), 1024, 0);
    trp_buf_init(&w->face, trp_heap(), TRP_WORKER_ORDER_BYTES_MAX);
    trp_lock_init(&w->lock, TRP_LOCK_WORKER);
    trp_signal_init(&w->changed);
    trp_status st = keep_desc(w, desc) ? trp_ok() : trp_fail(&err, TRP_OUT_OF_MEMORY, "a worker");
    if (!trp_failed(st))
        st = start_minder(w, &err);
    if (!trp_failed(st))
        st = tell_face(w, sink, &err);
    if (trp_failed(st)) {
        trp_worker_close(w);
        return trp_passage_fail(error, st.code, "%s", err.text);
    }
    *out_worker = w;
    *out_capabilities = w->capabilities;
    return TROUPE_OK;
}

void trp_worker_close(struct trp_worker *w)
{
    if (!w)
        return;
    trp_flag_raise(&w->is_closing);
    struct trp_stint *s = trp_worker_stint(w);
    if (s)
        trp_talk_hang_up(s->control);
    trp_stint_unref(s);
    destroy(w);
}

struct trp_worker **trp_worker_next(struct trp_worker *w)
{
    return &w->next;
}

/* ---- asking and running ---- */

struct trp_stint *trp_worker_stint(struct trp_worker *w)
{
    trp_lock_enter(&w->lock);
    struct trp_stint *s = w->stint;
    if (s)
        trp_stint_ref(s);
    trp_lock_leave(&w->lock);
    return s;
}

pid_t trp_worker_pid(struct trp_worker *w)
{
    trp_lock_enter(&w->lock);
    const pid_t pid = w->stint ? w->stint->pid : 0;
    trp_lock_leave(&w->lock);
    return pid;
}

uint64_t trp_worker_private_bytes(struct trp_worker *w)
{
    struct trp_footprint f;
    const pid_t pid = trp_worker_pid(w);
    if (pid == 0 || !trp_footprint_glance_of("", pid, &f))
        return 0;
    trp_counter_set(&w->told_bytes, f.private_bytes);
    return f.private_bytes;
}

/* One waits, until there is a process or it is not worth it any more: nobody signals that a run
 * was cancelled, so it looks. */
static struct trp_stint *wait_for_stint(struct trp_worker *w, const struct troupe_run *run)
{
    int64_t until_ns = now_ns(w) + WAIT_NS;
    struct trp_stint *s = NULL;
    if (run->deadline_ns && run->deadline_ns < until_ns)
        until_ns = run->deadline_ns;
    trp_lock_enter(&w->lock);
    if (!w->is_waited_for) {
        w->is_waited_for = true;
        for (int64_t left_ns = until_ns - now_ns(w);
             !w->stint && w->state != OVER && left_ns > 0 && !trp_flag_word_is_up(run->cancel);
             left_ns = until_ns - now_ns(w))
            trp_signal_wait_for(&w->changed, &w->lock, left_ns < LOOKS_NS ? left_ns : LOOKS_NS);
        w->is_waited_for = false;
        s = w->stint;
        if (s)
            trp_stint_ref(s);
    }
    trp_lock_leave(&w->lock);
    return s;
}

static int32_t fail_without(struct trp_worker *w, const struct troupe_run *run)
{
    trp_lock_enter(&w->lock);
    const struct trp_error why = w->why;
    trp_lock_leave(&w->lock);
    if (trp_flag_word_is_up(run->cancel))
        return trp_passage_fail(run->error, TROUPE_CANCELLED, "the run was cancelled");
    return trp_passage_fail(run->error, TROUPE_UNAVAILABLE,
                            "its worker process %s; another is being started",
                            why.text[0] ? why.text : "has ended");
}

uint32_t trp_worker_retry_ms(struct trp_worker *w)
{
    trp_lock_enter(&w->lock);
    const bool is_coming = w->state == RESTING || w->state == STARTING;
    const int64_t due_ns = w->begins_ns + w->opens_ns - now_ns(w);
    trp_lock_leave(&w->lock);
    const int64_t ms = due_ns / TRP_MS(1) + 1;
    return !is_coming ? 0 : due_ns <= 0 ? 1 : ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

int32_t trp_worker_run(struct trp_worker *w, const struct troupe_run *run,
                       const struct troupe_tensor *inputs, struct troupe_tensor *outputs)
{
    struct trp_stint *s = trp_worker_stint(w);
    if (!s)
        s = wait_for_stint(w, run);
    if (!s)
        return fail_without(w, run);
    struct trp_passage_seen seen;
    const int32_t code =
        trp_passage_run(s, w->desc.name ? w->desc.name : "?", run, inputs, outputs, &seen);
    if (seen.copied_bytes > 0 && w->env->metrics)
        trp_metrics_add(w->env->metrics, TRP_METRIC_BYTES_COPIED, seen.copied_bytes);
    if (seen.refused > 0 && w->env->metrics)
        trp_metrics_add(w->env->metrics, TRP_METRIC_LIMIT_WORKER, seen.refused);
    trp_stint_unref(s);
    return code;
}

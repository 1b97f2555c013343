/* life/joining.c - see joining.h.
 *
 *   executor: two calls wait ──mail──► control ──job──► note of the store, or proof ──► control: the version's company
 *
 * The job holds the version, so that its model stays open, and gives up when it is to be let go.
 * When it hibernates meanwhile the job gives up as well, and begins anew when the model was
 * woken. */
#include "life/joining.h"

#include <stdio.h>
#include <time.h>

#include "exec/admission.h"
#include "life/life_parts.h"
#include "life/preparer.h"
#include "life/tenure.h"
#include "store/maker.h"
#include "store/row_note.h"
#include "store/row_proof.h"

#define ARENA_BLOCK 4096
#define ARENA_MAX (1u << 20)
#define ASKS_AGAIN_NS INT64_C(5000000)
#define REST_NS \
    TRP_S(30) /* after a proof that came to nothing; twice as long after each further one */
#define REST_DOUBLINGS 6u

struct finding {
    struct trp_job job; /* first */
    struct trp_life *life;
    struct trp_version *version; /* held */
    struct trp_joining *joining; /* its */
    struct trp_arena arena;      /* what desc points to */
    struct troupe_model_desc desc;
    struct trp_sha256 key;
    bool has_key, is_noted;
    bool was_shut;              /* the door, so that it could not run */
    struct trp_admitted room;   /* of the run under way */
    char why[TRP_ROW_NOTE_MAX]; /* empty: they are independent */
    struct trp_error error;
};

static int64_t rows_of(const struct trp_version *v)
{
    return v->config.batch_max > 0 ? v->config.batch_max : (int64_t)TRP_BATCH_ROWS;
}

static void say(struct trp_joining *j, const char *what, const char *why)
{
    TRP_ASSERT(j->words_n < ARRAY_LEN(j->words)); /* the older ones may be being read */
    char *const words = j->words[j->words_n++];
    (void)snprintf(words, TRP_JOINING_WORDS, "%s%s", what, why);
    trp_pointer_put(&j->company.words, words);
}

/* ---- finding out ---- */

static bool is_leaving(void *user)
{
    const struct finding *f = user;
    return trp_lifecycle_get(&f->version->life) != TRP_MODEL_READY ||
           trp_flag_is_up(&f->life->stop_preparing);
}

/* Its runs count as requests do, so that it is not hibernated under them. */
static bool enter(struct finding *f)
{
    struct trp_version *v = f->version;
    f->was_shut = !trp_door_try_enter(&v->door, &v->stats->in_flight);
    if (!f->was_shut)
        trp_gauge_add(&v->stats->own_runs, 1);
    return !f->was_shut;
}

static void leave(struct finding *f)
{
    struct trp_stats *s = f->version->stats;
    trp_gauge_add(&s->own_runs, -1);
    trp_door_leave(&s->in_flight);
}

/* This is a thread that may wait; but nobody has to leave for a proof. */
static bool rest(int64_t *left_ns)
{
    const struct timespec turn = { .tv_nsec = ASKS_AGAIN_NS };
    (void)nanosleep(&turn, NULL);
    *left_ns -= ASKS_AGAIN_NS;
    return *left_ns > 0;
}

static trp_status may_run(void *user, uint64_t input_bytes, uint64_t *bytes_max,
                          struct trp_error *err)
{
    struct finding *f = user;
    const struct trp_admission *a = trp_exec_admission(f->life->opts.exec);
    const struct trp_admission_wish wish = { .size = input_bytes, .is_try = true };
    int64_t left_ns = a ? a->wait_ns : 0;
    enum trp_reserve r;
    do {
        if (is_leaving(user) || !enter(f))
            return trp_fail(err, TRP_CANCELLED, "given up");
        r = trp_admission_ask(a, f->version, &wish, trp_clock_now_ns(trp_clock_system()), &f->room);
        if (r == TRP_RESERVE_DONE) {
            if (f->room.bytes_max && (*bytes_max == 0 || f->room.bytes_max < *bytes_max))
                *bytes_max = f->room.bytes_max;
            return trp_ok();
        }
        leave(f); /* while it rests it does not keep its model busy */
    } while (r == TRP_RESERVE_NOT_NOW && rest(&left_ns));
    return trp_admission_refuse(a, f->version, &f->room, err);
}

static void has_run(void *user, uint64_t peak_bytes)
{
    struct finding *f = user;
    trp_admission_end(trp_exec_admission(f->life->opts.exec), f->version, &f->room, peak_bytes);
    leave(f);
}

/* Under which key the store knows this model; what was opened plainly may have to be read for
 * it. */
static void find_key(struct finding *f)
{
    struct trp_making making = { .store = f->life->opts.store, .desc = &f->desc };
    struct trp_error ignored;
    if (f->has_key || !making.store || /* what was shown on one device is not noted for others */
        f->version->config.devices_n > 0 ||
        trp_failed(trp_backends_get(f->life->opts.backends, f->version->config.backend,
                                    &making.backend, &ignored)) ||
        !trp_backend_can_prepare(making.backend))
        return;
    f->has_key = !trp_failed(trp_making_key(&making, &f->key, &ignored));
}

static trp_status prove(struct finding *f, struct trp_error *err)
{
    struct trp_version *v = f->version;
    const struct trp_row_proof proof = { .model = v->model,
                                         .signature = &v->file_signature,
                                         .account = &v->activations.plugin,
                                         .rows_max = rows_of(v),
                                         .memory_bytes_max = f->life->opts.run_bytes_max,
                                         .clock = trp_clock_system(),
                                         .may_run = may_run,
                                         .cancel = f->desc.cancel,
                                         .ran = has_run,
                                         .user = f };
    return trp_row_proof_run(&proof, err);
}

static void work(struct trp_job *job)
{
    struct finding *f = (struct finding *)job;
    f->error = (struct trp_error){ 0 };
    find_key(f);
    f->is_noted = f->has_key && trp_row_note_get(f->life->opts.store, &f->key, f->why);
    if (f->is_noted)
        return;
    const trp_status st = prove(f, &f->error);
    if (st.code != TRP_OK && st.code != TRP_FAILED_PRECONDITION && st.code != TRP_UNIMPLEMENTED)
        return;
    if (trp_failed(st))
        (void)snprintf(f->why, sizeof f->why, "%.*s", TRP_ROW_NOTE_MAX - 1, f->error.text);
    f->error.status = trp_ok();
    if (f->has_key)
        trp_row_note_put(f->life->opts.store, &f->key, f->why);
}

static void may_ask_again(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_joining *j = TRP_CONTAINER_OF(timer, struct trp_joining, rest);
    (void)now_ns;
    trp_oneshot_reopen(&j->company.asked);
}

/* There was no memory for it just then: whoever waits together after a while has it tried again. */
static void rest_for_long(struct trp_joining *j)
{
    struct trp_loop *control = j->life->opts.control;
    const uint32_t doublings = j->failures < REST_DOUBLINGS ? j->failures : REST_DOUBLINGS;
    const int64_t until_ns = trp_loop_now_ns(control) + (REST_NS << doublings);
    j->failures++;
    j->rest.due = may_ask_again;
    if (!j->life->is_stopping && trp_failed(trp_timer_arm(control, &j->rest, until_ns, NULL)))
        trp_oneshot_reopen(&j->company.asked); /* no memory for that either: then sooner */
}

static void tell_failure(const struct finding *f)
{
    struct trp_joining *j = f->joining;
    rest_for_long(j);
    if (j->words_n > 0)
        return;
    if (f->error.status.code != TRP_CANCELLED)
        TRP_WARN(f->life->opts.log, "life", "'%s': whether requests can be joined is not known: %s",
                 f->version->id, f->error.text);
    say(j, "off: it could not be found out yet: ", f->error.text);
}

static void tell(const struct finding *f)
{
    struct trp_version *v = f->version;
    struct trp_log *log = f->life->opts.log;
    if (trp_failed(f->error.status)) {
        tell_failure(f);
        return;
    }
    if (f->why[0]) {
        TRP_INFO(log, "life", "'%s': requests are not joined: %s", v->id, f->why);
        say(f->joining, "off: ", f->why);
        return;
    }
    TRP_INFO(log, "life", "'%s': requests that wait are joined: its rows are independent", v->id);
    say(f->joining, "on: its rows are independent", "");
    trp_gauge_set(&f->joining->company.rows_max, rows_of(v));
}

static void free_finding(struct finding *f)
{
    struct trp_version *v = f->version;
    trp_arena_deinit(&f->arena);
    trp_alloc_free(f->life->alloc, f);
    trp_version_unref(v);
}

static void done(struct trp_job *job)
{
    struct finding *f = (struct finding *)job;
    struct trp_version *v = f->version;
    f->joining->is_put_off = f->was_shut && f->error.status.code == TRP_CANCELLED;
    if (!f->joining->is_put_off)
        tell(f);
    else if (!trp_door_is_shut(&v->door)) /* it was woken before this was told */
        trp_joining_go_on(v);
    free_finding(f);
}

/* Without memory each call runs alone, as before, and somebody asks again later. */
static void begin(struct trp_joining *j)
{
    struct trp_life *l = j->life;
    struct trp_version *v = j->version;
    struct finding *f = trp_alloc_zeroed(l->alloc, 1, sizeof *f);
    const struct trp_sha256 *key = trp_tenure_key(v);
    if (!f) {
        rest_for_long(j);
        trp_version_unref(v);
        return;
    }
    f->life = l;
    f->version = v;
    f->joining = j;
    f->job.work = work;
    f->job.done = done;
    f->has_key = l->opts.store && key;
    if (f->has_key)
        f->key = *key;
    trp_arena_init(&f->arena, l->alloc, ARENA_BLOCK, ARENA_MAX);
    if (trp_preparer_describe(l, v, &f->arena, &f->desc))
        trp_loaders_submit(l->preparers ? l->preparers : l->loaders, TRP_LANE_BACKGROUND, &f->job);
    else {
        rest_for_long(j);
        free_finding(f);
    }
}

void trp_joining_end(struct trp_life *l, struct trp_joining *j)
{
    trp_timer_disarm(l->opts.control, &j->rest);
}

void trp_joining_go_on(struct trp_version *v)
{
    struct trp_joining *j = trp_tenure_joining(v);
    if (!j->is_put_off || j->life->is_stopping)
        return;
    j->is_put_off = false;
    trp_version_ref(v);
    begin(j);
}

/* ---- who asks ---- */

static void hear(struct trp_mail *mail)
{
    struct trp_joining *j = TRP_CONTAINER_OF(mail, struct trp_joining, asked);
    if (j->life->is_stopping || trp_lifecycle_get(&j->version->life) != TRP_MODEL_READY)
        trp_version_unref(j->version);
    else
        begin(j);
}

/* On any thread that holds a call; once, and once more after each rest. */
static void ask(struct trp_version *v)
{
    struct trp_joining *j = (struct trp_joining *)v->company;
    trp_version_ref(v);
    trp_loop_post(j->life->opts.control, &j->asked);
}

/* Without max_batch_size a `reshape` may move rows into another axis. */
static const struct trp_io *find_reshaped(const struct trp_io *seen, uint32_t n,
                                          const struct trp_io *file, uint32_t file_n)
{
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t at = trp_signature_place(file, file_n, seen[i].name, i);
        if (at == UINT32_MAX || file[at].rank != seen[i].rank)
            return &seen[i];
    }
    return NULL;
}

/* The first that has no rows, of those that the file declares and those that clients see. */
static const struct trp_io *without_rows(const struct trp_version *v)
{
    const struct trp_signature *file = &v->file_signature, *seen = &v->signature;
    const struct trp_io *io = trp_model_config_fixed(file);
    if (!io)
        io = trp_model_config_fixed(seen);
    if (!io && v->config.batch_max == 0)
        io = find_reshaped(seen->inputs, seen->inputs_n, file->inputs, file->inputs_n);
    if (!io && v->config.batch_max == 0)
        io = find_reshaped(seen->outputs, seen->outputs_n, file->outputs, file->outputs_n);
    return io;
}

void trp_joining_settle(struct trp_life *l, struct trp_version *v, struct trp_joining *j)
{
    *j = (struct trp_joining){ .asked.deliver = hear, .version = v, .life = l };
    v->company = &j->company;
    if (v->config.batching == TRP_BATCHING_ON) {
        say(j, "on: its configuration says so", "");
        trp_gauge_set(&j->company.rows_max, rows_of(v));
        return;
    }
    if (v->config.batching == TRP_BATCHING_OFF || v->config.batch_max == 1) {
        say(j, "off: its configuration says so", "");
        return;
    }
    const struct trp_io *io = without_rows(v);
    if (io) {
        char name[128];
        (void)snprintf(name, sizeof name, "'%.*s' has no free first axis", TRP_STR(io->name));
        say(j, "off: ", name);
        return;
    }
    j->company.ask = ask;
}

/* backend/worker_main.c - see worker_main.h.
 *
 *   control ── main thread: order, lanes, cancel, release, trim; over: the lanes are too, the model is closed
 *   lane    ── a thread each: frame ─► trp_backend_run() ─► frame
 *
 * What a run allocates comes from this process's yard, which the server has mapped.  So an output
 * need not be copied, wherever the plugin has put it; what lies elsewhere all the same is copied
 * there.  An output stays until the server gives it back.
 *
 * The server is trusted here: it is the one that started this process.  The other way round it
 * is not so (passage.c). */
#include "backend/worker_main.h"

#include <stdio.h>
#include <unistd.h>

#include "backend/backend_host.h"
#include "backend/worker_frame.h"
#include "backend/worker_order.h"
#include "base/child.h"
#include "base/talk.h"
#include "base/thread.h"
#include "tensor/yard.h"

#define HELD_MAX 65536u
#define PLACES_FIRST 64u

/* An output that the server has not given back yet. */
struct held {
    void (*release)(void *user, void *data);
    void *user, *data;
    struct trp_plot *plot; /* or a copy of one */
    uint32_t next_free;    /* place + 1; 0: none */
    bool is_taken;
};

struct worker {
    int control;
    struct trp_shm servers; /* its yard */
    struct trp_shm commons; /* to look at; not mapped: there are none, or there was no room */
    struct trp_yard yard;   /* ours */
    uint64_t base_bytes;    /* of it, that no run holds */
    struct troupe_account runs, weights;
    struct trp_backends *backends;
    struct trp_backend_model *model;
    struct trp_log *log;
    int32_t nice;
    struct lane *lanes[TRP_WORKER_LANES_MAX];
    uint32_t lanes_n;
    struct trp_lock lock; /* what follows */
    struct held *held;
    uint32_t held_n, held_capacity, first_free;
};

struct lane {
    struct worker *worker;
    int fd;
    struct trp_thread thread;
    struct trp_cores home, cores;  /* where it may be; where it is kept */
    uint64_t turn_ns;              /* on the processor; 0: as long as everybody's */
    struct troupe_tensor *tensors; /* of a run; as many as were ever needed */
    uint32_t tensors_n;
    uint64_t id;            /* worker->lock; of the run; 0: none */
    struct trp_flag cancel; /* changed under that lock as well */
};

/* ---- memory ---- */

/* In front of a block, right before what its owner sees. */
struct block_head {
    struct trp_plot *plot;
};

static void *yard_alloc(void *user, uint64_t bytes, uint64_t align)
{
    struct worker *w = user;
    const uint64_t head = align > 64 ? align : 64;
    if (bytes > UINT64_MAX - head || align > 4096)
        return NULL;
    const uint64_t whole = bytes + head;
    struct trp_plot *p = trp_yard_take(&w->yard, align > 64 && whole < 4096 ? 4096 : whole);
    if (!p)
        return NULL;
    struct block_head *at = (struct block_head *)(void *)(p->ptr + head) - 1;
    at->plot = p;
    return p->ptr + head;
}

static void yard_free(void *user, void *block, uint64_t bytes)
{
    struct worker *w = user;
    (void)bytes;
    trp_yard_give(&w->yard, ((struct block_head *)block - 1)->plot);
}

static void *heap_alloc(void *user, uint64_t bytes, uint64_t align)
{
    (void)user;
    return trp_alloc_aligned(trp_heap(), bytes, align > 16 ? align : 16);
}

static void heap_free(void *user, void *block, uint64_t bytes)
{
    (void)user, (void)bytes;
    trp_alloc_free(trp_heap(), block);
}

/* ---- outputs that the server has ---- */

/* Finds a place.  The lock is held. */
static uint32_t free_place(struct worker *w)
{
    if (w->first_free) {
        const uint32_t place = w->first_free - 1;
        w->first_free = w->held[place].next_free;
        return place;
    }
    if (w->held_n == w->held_capacity) {
        const uint32_t more = w->held_capacity ? w->held_capacity * 2 : PLACES_FIRST;
        struct held *grown = more > HELD_MAX ? NULL
                                             : trp_alloc_resize(trp_heap(), w->held,
                                                                w->held_capacity * sizeof *grown,
                                                                more * sizeof *grown);
        if (!grown)
            return UINT32_MAX;
        w->held = grown;
        w->held_capacity = more;
    }
    return w->held_n++;
}

/* 0: no memory. */
static uint64_t hold(struct worker *w, struct held what)
{
    trp_lock_enter(&w->lock);
    const uint32_t place = free_place(w);
    if (place != UINT32_MAX) {
        what.is_taken = true;
        w->held[place] = what;
    }
    trp_lock_leave(&w->lock);
    return place == UINT32_MAX ? 0 : (uint64_t)place + 1;
}

static void let_go(struct worker *w, const struct held *h)
{
    if (h->release)
        h->release(h->user, h->data);
    trp_yard_give(&w->yard, h->plot);
}

static void release(struct worker *w, uint64_t token)
{
    struct held h = { .is_taken = false };
    trp_lock_enter(&w->lock);
    if (token >= 1 && token <= w->held_n && w->held[token - 1].is_taken) {
        h = w->held[token - 1];
        w->held[token - 1] = (struct held){ .next_free = w->first_free };
        w->first_free = (uint32_t)token;
    }
    trp_lock_leave(&w->lock);
    if (h.is_taken)
        let_go(w, &h);
}

/* ---- a run ---- */

static void take_input(const struct worker *w, const struct trp_worker_tensor *from,
                       struct troupe_tensor *to)
{
    *to = (struct troupe_tensor){ .dtype = from->dtype, .rank = from->rank, .bytes = from->bytes };
    memcpy(to->shape, from->shape, sizeof to->shape);
    if (from->place != TRP_WORKER_ABSENT)
        to->data = (from->place == TRP_WORKER_COMMONS ? w->commons.ptr : w->servers.ptr) + from->at;
}

/* Wherever it lies, the server must see it. */
static bool copy_output(struct worker *w, struct troupe_tensor *t, struct held *out)
{
    out->plot = trp_yard_take(&w->yard, t->bytes);
    if (!out->plot)
        return false;
    if (t->bytes)
        memcpy(out->plot->ptr, t->data, t->bytes);
    if (t->release)
        t->release(t->release_user, t->data);
    t->release = NULL;
    t->data = out->plot->ptr;
    return true;
}

static bool give_output(struct worker *w, struct troupe_tensor *t, struct trp_worker_tensor *out)
{
    struct held h = { .plot = NULL };
    uint64_t at = 0;
    uint32_t place = TRP_WORKER_WORKERS_YARD;
    if (trp_yard_find(&w->servers, t->data, t->bytes, &at))
        place = TRP_WORKER_SERVERS_YARD; /* a view of an input */
    else if (w->commons.ptr && trp_yard_find(&w->commons, t->data, t->bytes, &at))
        place = TRP_WORKER_COMMONS; /* of one that nobody has copied */
    else if (!trp_yard_find(&w->yard.shm, t->data, t->bytes, &at) &&
             (!copy_output(w, t, &h) || !trp_yard_find(&w->yard.shm, t->data, t->bytes, &at)))
        return false;
    h.release = t->release;
    h.user = t->release_user;
    h.data = t->data;
    const bool is_owned = h.release || h.plot;
    const uint64_t token = is_owned ? hold(w, h) : 0;
    if (is_owned && token == 0) {
        trp_yard_give(&w->yard, h.plot);
        return false;
    }
    t->release = NULL; /* it is held now */
    *out = (struct trp_worker_tensor){ .dtype = t->dtype,
                                       .rank = t->rank,
                                       .at = at,
                                       .bytes = t->bytes,
                                       .token = token,
                                       .place = place };
    memcpy(out->shape, t->shape, sizeof out->shape);
    return true;
}

/* All of them, or none. */
static trp_status give_outputs(struct worker *w, struct troupe_tensor *outputs, uint32_t n,
                               struct trp_worker_tensor *out, struct trp_error *err)
{
    uint32_t given = 0;
    while (given < n && give_output(w, &outputs[given], &out[given]))
        given++;
    if (given == n)
        return trp_ok();
    for (uint32_t i = 0; i < given; i++)
        release(w, out[i].token);
    for (uint32_t i = given; i < n; i++)
        if (outputs[i].release)
            outputs[i].release(outputs[i].release_user, outputs[i].data);
    return trp_fail(err, TRP_OUT_OF_MEMORY,
                    "no memory for the outputs in the worker process (limits.worker_bytes)");
}

static bool has_room(struct lane *l, uint32_t n)
{
    if (n <= l->tensors_n)
        return true;
    struct troupe_tensor *more = trp_alloc_resize(
        trp_heap(), l->tensors, l->tensors_n * sizeof *more, (size_t)n * sizeof *more);
    if (!more)
        return false;
    l->tensors = more;
    l->tensors_n = n;
    return true;
}

static trp_status run_frame(struct lane *l, struct trp_worker_frame *f, struct trp_error *err)
{
    struct worker *w = l->worker;
    const uint32_t n = f->inputs_n + f->outputs_n;
    struct trp_worker_tensor *shared = trp_worker_frame_tensors(f);
    if (!has_room(l, n))
        return trp_fail(err, TRP_OUT_OF_MEMORY, "a run of %u tensors", n);
    struct troupe_tensor *inputs = l->tensors, *outputs = l->tensors + f->inputs_n;
    struct troupe_run run = {
        .struct_size = sizeof run,
        .inputs_n = f->inputs_n,
        .outputs_n = f->outputs_n,
        .id = f->id,
        .deadline_ns = f->deadline_ns,
        .cancel = trp_flag_word(&l->cancel),
        .account = &w->runs,
        .output_bytes_max = f->output_bytes_max,
        .output_index = trp_worker_frame_indices(f, n),
        .memory_bytes_max = f->memory_bytes_max,
        .out_peak_bytes = &f->peak_bytes,
        .device = f->device,
    };
    for (uint32_t i = 0; i < f->inputs_n; i++)
        take_input(w, &shared[i], &inputs[i]);
    for (uint32_t i = 0; i < f->outputs_n; i++)
        outputs[i] = (struct troupe_tensor){ 0 };
    TRP_CHECK(trp_backend_run(w->model, &run, inputs, outputs, err));
    return give_outputs(w, outputs, f->outputs_n, shared + f->inputs_n, err);
}

/* Outputs that the server has, and what the plugin keeps for the next run. */
static uint64_t kept_bytes(const struct worker *w)
{
    const uint64_t taken = trp_counter_get(&w->yard.taken);
    return taken > w->base_bytes ? taken - w->base_bytes : 0;
}

/* From here on the lane is known by its run.  With the lock, or an order to cancel the run before
 * could reach this one.
 *
 * Besides, a plot goes from one lane to another by way of the server, which orders what they write
 * there.  Whoever looks at this process alone, as the thread sanitizer does, sees that order
 * only because all of them take the lock before and after. */
static void begin_run(struct lane *l, const struct trp_worker_frame *f)
{
    trp_lock_enter(&l->worker->lock);
    trp_flag_lower(&l->cancel);
    l->id = f->id;
    trp_lock_leave(&l->worker->lock);
}

static void end_run(struct lane *l)
{
    trp_lock_enter(&l->worker->lock);
    l->id = 0;
    trp_lock_leave(&l->worker->lock);
}

/* A run goes where its model wants it, or home; refused, it goes on here. */
static void go_to_cores(struct lane *l, const struct trp_worker_frame *f)
{
    static const struct trp_cores anywhere = { 0 };
    const struct trp_cores *const to =
        trp_cores_is_equal(&f->cores, &anywhere) ? &l->home : &f->cores;
    if (!trp_cores_is_equal(to, &l->cores) && trp_cores_keep_thread(to))
        l->cores = *to;
}

/* A run that nobody waits for is none here either: who asks has long turns for it. */
static void take_turns(struct lane *l, const struct trp_worker_frame *f)
{
    if (f->turn_ns == l->turn_ns)
        return;
    trp_thread_take_turns(f->turn_ns);
    l->turn_ns = f->turn_ns;
}

static void run_lane(void *user)
{
    struct lane *l = user;
    struct worker *w = l->worker;
    struct trp_worker_call call;
    int fds[TRP_TALK_FDS_MAX];
    trp_thread_yield_to_others(w->nice);
    (void)trp_cores_of_thread(&l->home);
    l->cores = l->home;
    while (trp_talk_receive(l->fd, &call, sizeof call, fds) == TRP_TALK_MESSAGE) {
        struct trp_worker_frame *f = (struct trp_worker_frame *)(void *)(w->servers.ptr + call.at);
        struct trp_error err = { 0 };
        begin_run(l, f);
        for (uint32_t i = 0; i < f->releases_n && i < TRP_WORKER_RELEASES_MAX; i++)
            release(w, f->releases[i]);
        go_to_cores(l, f);
        take_turns(l, f);
        const trp_status st = run_frame(l, f, &err);
        f->kept_bytes = kept_bytes(w);
        f->refused = trp_counter_get(&w->yard.refused);
        const struct trp_worker_answer answer = { .code = st.code };
        if (trp_failed(st))
            (void)snprintf(f->text, sizeof f->text, "%s", err.text);
        end_run(l);
        if (!trp_talk_send(l->fd, &answer, sizeof answer, NULL, 0))
            return;
    }
}

/* ---- control ---- */

/* A lane that nobody can wait at is no sign that this process has ended: its run is told so.  What
 * came before the end is taken out, or the kernel would drop the answer for it. */
static void refuse_lane(int fd)
{
    const struct trp_worker_answer answer = { .code = TRP_UNAVAILABLE, .is_refused = 1 };
    struct trp_worker_call call;
    int fds[TRP_TALK_FDS_MAX];
    (void)trp_talk_send(fd, &answer, sizeof answer, NULL, 0); /* one that has gone asks nothing */
    trp_talk_hang_up(fd);
    while (trp_talk_receive(fd, &call, sizeof call, fds) == TRP_TALK_MESSAGE)
        ;
    close(fd);
}

static void add_lane(struct worker *w, int fd)
{
    struct lane *l =
        w->lanes_n < TRP_WORKER_LANES_MAX ? trp_alloc_zeroed(trp_heap(), 1, sizeof *l) : NULL;
    struct trp_error err;
    char name[16];
    if (!l) {
        refuse_lane(fd);
        return;
    }
    *l = (struct lane){ .worker = w, .fd = fd };
    (void)snprintf(name, sizeof name, "lane-%u", w->lanes_n % 100);
    if (trp_failed(trp_thread_start(&l->thread, name, run_lane, l, &err))) {
        refuse_lane(fd);
        trp_alloc_free(trp_heap(), l);
        return;
    }
    w->lanes[w->lanes_n++] = l;
}

/* The server asks again until the run has ended, so one that has not begun is none of ours. */
static void cancel(struct worker *w, uint64_t id)
{
    bool is_running = false;
    trp_lock_enter(&w->lock);
    for (uint32_t i = 0; i < w->lanes_n; i++) {
        if (w->lanes[i]->id != id)
            continue;
        trp_flag_raise(&w->lanes[i]->cancel);
        is_running = true;
    }
    trp_lock_leave(&w->lock);
    if (is_running)
        trp_backend_cancel(w->model, id);
}

static void trim(struct worker *w)
{
    trp_backend_trim(w->backends);
    trp_yard_trim(&w->yard);
    trp_heap_trim();
    const struct trp_worker_message m = { .kind = TRP_WORKER_KEPT, .bytes = kept_bytes(w) };
    (void)trp_talk_send(w->control, &m, sizeof m, NULL, 0); /* one that has gone does not count */
}

static void obey(struct worker *w, const struct trp_worker_message *m, int fd)
{
    switch (m->kind) {
    case TRP_WORKER_LANE:
        add_lane(w, fd);
        return;
    case TRP_WORKER_CANCEL:
        cancel(w, m->at);
        break;
    case TRP_WORKER_RELEASE:
        for (uint32_t i = 0; i < m->n && i < TRP_WORKER_RELEASES_MAX; i++)
            release(w, m->of.tokens[i]);
        break;
    case TRP_WORKER_TRIM:
        trim(w);
        break;
    default:
        break;
    }
    if (fd >= 0)
        close(fd);
}

static void serve(struct worker *w)
{
    struct trp_worker_message m;
    int fds[TRP_TALK_FDS_MAX];
    while (trp_talk_receive(w->control, &m, sizeof m, fds) == TRP_TALK_MESSAGE)
        obey(w, &m, fds[0]);
    for (uint32_t i = 0; i < w->lanes_n; i++) {
        struct lane *l = w->lanes[i];
        trp_flag_raise(&l->cancel);
        trp_talk_hang_up(l->fd);
        trp_thread_join(&l->thread);
        close(l->fd);
        trp_alloc_free(trp_heap(), l->tensors);
        trp_alloc_free(trp_heap(), l);
    }
}

/* ---- the beginning and the end ---- */

static trp_status make_log(struct worker *w, const struct trp_worker_order *o,
                           struct trp_error *err)
{
    TRP_CHECK(trp_log_create(trp_heap(), trp_clock_system(), STDERR_FILENO, &w->log, err));
    trp_log_set_format(w->log, (enum trp_log_format)o->log_format);
    for (int i = TRP_LOG_ERROR; i <= TRP_LOG_INFO; i++)
        trp_log_enable(w->log, (enum trp_log_level)i, (o->log_levels >> i & 1u) != 0);
    trp_log_set_verbose(w->log, o->log_levels >> TRP_LOG_DEBUG & 1u);
    return trp_ok();
}

static trp_status open_model(struct worker *w, const struct trp_worker_order *o,
                             struct trp_arena *arena, struct trp_signature *out,
                             struct trp_error *err)
{
    struct trp_backend *backend;
    struct troupe_model_desc desc = o->desc;
    TRP_CHECK(make_log(w, o, err));
    const struct trp_backends_opts opts = { .path = o->plugins,
                                            .clock = trp_clock_system(),
                                            .log = w->log,
                                            .options = o->options,
                                            .options_n = o->options_n,
                                            .account = &w->weights };
    w->nice = o->nice;
    desc.account = &w->weights;
    TRP_CHECK(trp_backends_create(trp_heap(), &opts, &w->backends, err));
    TRP_CHECK(trp_backends_get(w->backends, trp_str_of(o->backend), &backend, err));
    return trp_backend_open(backend, &desc, arena, &w->model, out, err);
}

/* Where the server will read it; the plot stays until the end. */
static trp_status show_face(struct worker *w, const struct trp_signature *signature,
                            struct trp_worker_message *m, struct trp_error *err)
{
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), TRP_WORKER_ORDER_BYTES_MAX);
    trp_worker_order_encode_face(signature, &b);
    trp_status st = trp_buf_check(&b, "a model's face", err);
    struct trp_plot *p = trp_failed(st) ? NULL : trp_yard_take(&w->yard, b.len);
    if (!trp_failed(st) && !p)
        st = trp_fail(err, TRP_OUT_OF_MEMORY, "a model's face");
    if (p) {
        memcpy(p->ptr, b.ptr, b.len);
        m->at = p->at;
        m->bytes = b.len;
        m->capabilities = trp_backend_capabilities(w->model);
        (void)hold(w, (struct held){ .plot = p });
        w->base_bytes = trp_counter_get(&w->yard.taken);
    }
    trp_buf_deinit(&b);
    return st;
}

static trp_status begin(struct worker *w, const struct trp_worker_message *order,
                        struct trp_worker_message *answer, struct trp_error *err)
{
    struct trp_arena arena;
    struct trp_worker_order o;
    struct trp_signature signature;
    trp_arena_init(&arena, trp_heap(), 16384, 0);
    trp_status st = trp_worker_order_decode(trp_str_make(w->servers.ptr + order->at, order->bytes),
                                            &arena, &o, err);
    if (!trp_failed(st))
        st = open_model(w, &o, &arena, &signature, err);
    if (!trp_failed(st))
        st = show_face(w, &signature, answer, err);
    trp_arena_deinit(&arena);
    return st;
}

static void end(struct worker *w)
{
    for (uint32_t i = 0; i < w->held_n; i++)
        if (w->held[i].is_taken)
            let_go(w, &w->held[i]);
    trp_alloc_free(trp_heap(), w->held);
    trp_backend_close(w->model);
    trp_backends_destroy(w->backends);
    trp_log_destroy(w->log);
    trp_yard_deinit(&w->yard);
    trp_shm_close(&w->servers);
    trp_shm_close(&w->commons);
    trp_lock_deinit(&w->lock);
}

static bool map_yards(struct worker *w, const struct trp_worker_message *m, const int *fds)
{
    struct trp_shm ours;
    if (trp_failed(trp_shm_adopt(fds[0], m->yards[0], &w->servers, NULL)))
        return false;
    if (trp_failed(trp_shm_adopt(fds[1], m->yards[1], &ours, NULL))) {
        trp_shm_close(&w->servers);
        return false;
    }
    trp_yard_init(&w->yard, &ours);
    return true;
}

/* False: the server has to copy what it wants looked at. */
static bool map_commons(struct worker *w, const struct trp_worker_message *m, int fd)
{
    if (fd < 0)
        return false;
    if (!trp_failed(trp_shm_look(fd, m->commons, &w->commons, NULL)))
        return true;
    close(fd);
    return false;
}

int trp_worker_main_run(int control)
{
    struct trp_worker_message order, answer = { .kind = TRP_WORKER_OPENED };
    int fds[TRP_TALK_FDS_MAX];
    struct trp_error err = { 0 };
    struct worker w = { .control = control };
    trp_child_follow_parent();
    if (trp_talk_receive(control, &order, sizeof order, fds) != TRP_TALK_MESSAGE ||
        order.kind != TRP_WORKER_ORDER || fds[0] < 0 || fds[1] < 0 || !map_yards(&w, &order, fds)) {
        fputs("troupe worker: only a server starts this\n", stderr);
        return 1;
    }
    w.runs = (struct troupe_account){
        .struct_size = sizeof w.runs, .user = &w, .alloc = yard_alloc, .free = yard_free
    };
    w.weights = (struct troupe_account){
        .struct_size = sizeof w.weights, .user = &w, .alloc = heap_alloc, .free = heap_free
    };
    trp_lock_init(&w.lock, TRP_LOCK_WORKER);
    answer.n = map_commons(&w, &order, fds[2]) ? 1 : 0;
    const trp_status st = begin(&w, &order, &answer, &err);
    answer.code = st.code;
    if (trp_failed(st))
        (void)snprintf(answer.of.text, sizeof answer.of.text, "%s", err.text);
    if (trp_talk_send(control, &answer, sizeof answer, NULL, 0) && !trp_failed(st))
        serve(&w);
    end(&w);
    close(control);
    return 0;
}

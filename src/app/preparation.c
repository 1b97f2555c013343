/* app/preparation.c - see preparation.h.
 *
 * A version is one piece of work; threads take the next that is left.  What goes wrong with a model
 * is kept with it; what goes wrong with the store (no room, no right to write) goes wrong for all,
 * so the rest is given up.  Each artefact is held until all are done: nobody's removal takes the
 * first while the last is made. */
#include "app/preparation.h"

#include "app/backend_set.h"
#include "app/listing_opts.h"
#include "base/file.h"
#include "base/machine.h"
#include "base/table.h"
#include "base/thread.h"
#include "memory/account.h"
#include "onnx/onnx_reader.h"
#include "store/maker.h"
#include "store/store_lease.h"
#include "store/sweeper.h"

#define BLOCK_BYTES 65536u
#define SCRATCH_MAX ((size_t)256 << 20)
#define BLOBS_MAX 100000000u
#define BACKEND "onnxruntime"

struct piece {
    struct trp_prepared *out;
    const struct trp_repo_model *model;
    const char *path;
    struct trp_sha256 key;
    struct trp_store_hold hold;
    struct piece *next; /* among those that are done and not told of */
};

struct works {
    struct trp_preparation *p;
    const struct trp_preparation_opts *opts;
    struct trp_account account;
    struct trp_backends *backends;
    struct trp_backend *backend;
    struct trp_store *store;
    struct piece *pieces;
    struct trp_counter taken;
    struct trp_flag give_up;
    struct trp_lock lock;
    struct trp_signal changed;
    struct piece *done;     /* lock */
    uint32_t ended_n;       /* lock: threads */
    struct trp_error error; /* lock: of the store */
};

const char *trp_prepared_state_name(enum trp_prepared_state state)
{
    static const char *const names[TRP_PREPARED_STATES] = {
        [TRP_PREPARED_NOT_YET] = "not yet",      [TRP_PREPARED_NOW] = "prepared",
        [TRP_PREPARED_BEFORE] = "already there", [TRP_PREPARED_REFUSED] = "refused",
        [TRP_PREPARED_FAILED] = "failed",
    };
    return names[state];
}

/* --- one version ------------------------------------------------------------------------------ */

/* What a model names must lie beside it, before anybody reads it. */
static trp_status check_files(const struct piece *piece, struct trp_error *err)
{
    static const struct trp_onnx_opts opts = { 0 };
    const char *slash = strrchr(piece->path, '/');
    const struct trp_str folder =
        slash ? trp_str_make(piece->path, (size_t)(slash - piece->path)) : TRP_STR_LIT(".");
    struct trp_onnx_model model;
    struct trp_arena scratch;
    struct trp_str place;
    trp_arena_init(&scratch, trp_heap(), BLOCK_BYTES, SCRATCH_MAX);
    trp_status st = trp_onnx_read_file(piece->path, &opts, &scratch, &model, err);
    for (uint32_t i = 0; !trp_failed(st) && i < model.files_n; i++) {
        st = trp_repo_inside(folder, model.files[i].path, &scratch, &place, err);
        if (trp_failed(st))
            trp_error_within(err, "external data");
    }
    trp_arena_deinit(&scratch);
    return st;
}

/* The store says no, whatever the model: there is no room, or no right. */
static bool is_the_stores(int32_t code)
{
    return code == TRP_IO || code == TRP_PERMISSION_DENIED || code == TRP_NOT_FOUND ||
           code == TRP_UNAVAILABLE;
}

static void give_up(struct works *w, const struct trp_error *why)
{
    trp_lock_enter(&w->lock);
    if (!trp_failed(w->error.status))
        w->error = *why;
    trp_lock_leave(&w->lock);
    trp_flag_raise(&w->give_up);
}

static void conclude(struct piece *piece, trp_status st, enum trp_prepared_state when_ok)
{
    piece->out->state = !trp_failed(st)                      ? when_ok
                        : st.code == TRP_FAILED_PRECONDITION ? TRP_PREPARED_REFUSED
                                                             : TRP_PREPARED_FAILED;
}

static void make(struct works *w, struct piece *piece, const struct trp_making *making)
{
    struct trp_error *why = &piece->out->why;
    struct trp_artefact found;
    trp_status st = trp_store_lease_hold(w->store, &piece->key, &piece->hold, why);
    if (!trp_failed(st))
        st = trp_artefact_get(w->store, &piece->key, &found, why);
    if (!trp_failed(st)) {
        trp_artefact_deinit(&found);
        conclude(piece, st, TRP_PREPARED_BEFORE);
        return;
    }
    if (st.code == TRP_NOT_FOUND || st.code == TRP_DATA_LOSS)
        st = trp_making_run(making, &piece->key, why);
    if (is_the_stores(st.code))
        give_up(w, why);
    conclude(piece, st, TRP_PREPARED_NOW);
    if (st.code == TRP_CANCELLED)
        piece->out->state = TRP_PREPARED_NOT_YET;
}

static void prepare(struct works *w, struct piece *piece)
{
    const struct trp_model_config *config = &piece->model->peek;
    struct trp_account account;
    trp_account_init(&account, TRP_ACCOUNT_WEIGHTS, &w->account, 0);
    const struct troupe_model_desc desc = { .struct_size = sizeof desc,
                                            .name = piece->out->id.ptr,
                                            .path = piece->path,
                                            .options = config->options,
                                            .options_n = config->options_n,
                                            .thread_mode = TROUPE_THREADS_ONE,
                                            .account = &account.plugin,
                                            .cancel = trp_flag_word(&w->give_up) };
    const struct trp_making making = {
        .store = w->store,
        .backend = w->backend,
        .desc = &desc,
        .memory_bytes_max = trp_machine_memory("") / 2,
    };
    trp_status st = check_files(piece, &piece->out->why);
    if (!trp_failed(st))
        st = trp_making_key(&making, &piece->key, &piece->out->why);
    if (trp_failed(st))
        piece->out->state = TRP_PREPARED_FAILED;
    else
        make(w, piece, &making);
    trp_account_deinit(&account);
}

static void work(void *user)
{
    struct works *w = user;
    uint64_t i;
    while (!trp_flag_is_up(&w->give_up) && (i = trp_counter_add(&w->taken, 1) - 1) < w->p->n) {
        struct piece *piece = &w->pieces[i];
        if (!trp_failed(piece->out->why.status)) /* its configuration is readable */
            prepare(w, piece);
        trp_lock_enter(&w->lock);
        piece->next = w->done;
        w->done = piece;
        trp_signal_one(&w->changed);
        trp_lock_leave(&w->lock);
    }
    trp_lock_enter(&w->lock);
    w->ended_n++;
    trp_signal_one(&w->changed);
    trp_lock_leave(&w->lock);
}

/* --- all of them ------------------------------------------------------------------------------ */

/* Tells of what is done until all threads have ended. */
static void attend(struct works *w, uint32_t threads_n)
{
    uint32_t done = 0;
    bool are_ended = false;
    while (!are_ended) {
        trp_lock_enter(&w->lock);
        while (!w->done && w->ended_n < threads_n)
            trp_signal_wait(&w->changed, &w->lock);
        struct piece *list = w->done;
        w->done = NULL;
        are_ended = !list;
        trp_lock_leave(&w->lock);
        for (; list; list = list->next) {
            done++;
            if (w->opts->on_progress)
                w->opts->on_progress(w->opts->user, done, w->p->n, list->out);
        }
    }
}

static trp_status run_threads(struct works *w, struct trp_error *err)
{
    const uint32_t wanted = w->opts->jobs < w->p->n ? w->opts->jobs : w->p->n;
    struct trp_thread *threads = trp_alloc_zeroed(trp_heap(), wanted + 1, sizeof *threads);
    uint32_t n = 0;
    trp_status st = threads ? trp_ok() : trp_fail(err, TRP_OUT_OF_MEMORY, "%u threads", wanted);
    while (!trp_failed(st) && n < wanted) {
        st = trp_thread_start(&threads[n], "prepare", work, w, err);
        n += !trp_failed(st);
    }
    if (trp_failed(st))
        trp_flag_raise(&w->give_up);
    attend(w, n);
    for (uint32_t i = 0; i < n; i++)
        trp_thread_join(&threads[i]);
    trp_alloc_free(trp_heap(), threads);
    if (trp_failed(st) || !trp_failed(w->error.status))
        return st;
    if (err)
        *err = w->error;
    return w->error.status;
}

static trp_status count_blobs(struct works *w, const struct piece *piece, struct trp_table *seen,
                              struct trp_error *err)
{
    struct trp_artefact a;
    trp_status st = trp_artefact_read(w->store, &piece->key, &a, err);
    if (trp_failed(st))
        return st;
    for (uint32_t i = 0; i < a.blobs_n && !trp_failed(st); i++) {
        void *old = NULL;
        st = trp_table_put(seen, trp_str_of(a.blobs[i].name), w, &old, err);
        w->p->weights_bytes += a.blobs[i].bytes;
        w->p->stored_bytes += old ? 0 : a.blobs[i].bytes;
    }
    trp_artefact_deinit(&a);
    return st;
}

static trp_status sum_up(struct works *w, struct trp_error *err)
{
    struct trp_table *seen;
    trp_status st = trp_table_create(trp_heap(), BLOBS_MAX, &seen, err);
    for (uint32_t i = 0; i < w->p->n; i++) {
        const enum trp_prepared_state state = w->p->items[i].state;
        w->p->counts[state]++;
        if (!trp_failed(st) && (state == TRP_PREPARED_NOW || state == TRP_PREPARED_BEFORE))
            st = count_blobs(w, &w->pieces[i], seen, err);
    }
    trp_table_destroy(seen);
    return st;
}

static void release_all(struct works *w)
{
    for (uint32_t i = 0; w->pieces && i < w->p->n; i++)
        trp_store_lease_release(w->store, &w->pieces[i].hold);
}

static trp_status make_it_fit(struct works *w, struct trp_error *err)
{
    const struct trp_gc_opts opts = { .bytes_max = trp_settings_u64(w->opts->settings,
                                                                    TRP_SETTING_ID_STORE_BYTES) };
    struct trp_swept swept = { 0 };
    release_all(w);
    if (!opts.bytes_max)
        return trp_ok();
    TRP_CHECK(trp_sweeper_gc(w->store, &opts, &swept, err));
    w->p->removed_n = swept.removed_n;
    return trp_ok();
}

/* --- what there is ---------------------------------------------------------------------------- */

static bool is_for_us(const struct trp_repo_model *m)
{
    return trp_failed(m->error.status) || trp_str_is(m->peek.backend, BACKEND);
}

static uint32_t versions_of(const struct trp_repo_model *m)
{
    return trp_failed(m->error.status) ? 1 : m->versions_n;
}

static trp_status add(struct works *w, const struct trp_repo_model *m, uint32_t version,
                      struct trp_error *err)
{
    struct trp_preparation *p = w->p;
    struct trp_prepared *out = &p->items[p->n];
    w->pieces[p->n] = (struct piece){ .out = out, .model = m };
    p->n++;
    if (trp_failed(m->error.status)) {
        out->id = m->name;
        out->state = TRP_PREPARED_FAILED;
        out->why = m->error;
        return trp_ok();
    }
    w->pieces[p->n - 1].path = m->versions[version].path.ptr;
    out->id = trp_arena_format(&p->arena, "%.*s/%lld", TRP_STR(m->name),
                               (long long)m->versions[version].number);
    return out->id.ptr ? trp_ok() : trp_fail(err, TRP_OUT_OF_MEMORY, "list of models");
}

static trp_status list(struct works *w, struct trp_error *err)
{
    const struct trp_repo_opts opts =
        trp_listing_opts_make(w->opts->settings, w->opts->repositories, w->opts->repositories_n);
    struct trp_repo_listing all = { .models_n = 0 };
    size_t n = 0;
    TRP_CHECK(trp_repo_list(&opts, &w->p->arena, &all, err));
    for (uint32_t i = 0; i < all.models_n; i++)
        n += versions_of(all.models[i]);
    w->pieces = trp_arena_zeroed(&w->p->arena, n + 1, sizeof *w->pieces);
    w->p->items = trp_arena_zeroed(&w->p->arena, n + 1, sizeof *w->p->items);
    if (!w->pieces || !w->p->items)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "list of %zu models", n);
    for (uint32_t i = 0; i < all.models_n; i++) {
        const struct trp_repo_model *m = all.models[i];
        w->p->others_n += !is_for_us(m);
        for (uint32_t k = 0; is_for_us(m) && k < versions_of(m); k++)
            TRP_CHECK(add(w, m, k, err));
    }
    return trp_ok();
}

static trp_status open_parts(struct works *w, struct trp_error *err)
{
    const struct trp_store_opts store = { .path = w->opts->store, .log = w->opts->log };
    const struct trp_backend_set_opts set = { .settings = w->opts->settings,
                                              .log = w->opts->log,
                                              .account = &w->account.plugin };
    TRP_CHECK(trp_backend_set_create(trp_heap(), &set, &w->backends, err));
    TRP_CHECK(trp_backends_get(w->backends, TRP_STR_LIT(BACKEND), &w->backend, err));
    TRP_TRY(trp_store_open(trp_heap(), &store, &w->store, err), err, "store");
    return trp_ok();
}

static trp_status run(struct works *w, struct trp_error *err)
{
    TRP_CHECK(list(w, err));
    if (w->p->n == 0)
        return trp_ok();
    TRP_CHECK(open_parts(w, err));
    const trp_status st = run_threads(w, err);
    const trp_status summed = sum_up(w, trp_failed(st) ? NULL : err);
    if (trp_failed(st) || trp_failed(summed))
        return trp_failed(st) ? st : summed;
    return make_it_fit(w, err);
}

trp_status trp_preparation_run(struct trp_preparation *p, const struct trp_preparation_opts *opts,
                               struct trp_error *err)
{
    struct works w = { .p = p, .opts = opts };
    *p = (struct trp_preparation){ .n = 0 };
    trp_arena_init(&p->arena, trp_heap(), BLOCK_BYTES, 0);
    trp_account_init(&w.account, TRP_ACCOUNT_BACKEND, NULL, 0);
    trp_lock_init(&w.lock, TRP_LOCK_PREPARE);
    trp_signal_init(&w.changed);
    const trp_status st = run(&w, err);
    if (w.store)
        release_all(&w);
    trp_store_close(w.store);
    trp_backends_destroy(w.backends);
    trp_signal_deinit(&w.changed);
    trp_lock_deinit(&w.lock);
    trp_account_deinit(&w.account);
    return st;
}

void trp_preparation_deinit(struct trp_preparation *p)
{
    trp_arena_deinit(&p->arena);
}

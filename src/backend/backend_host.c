/* backend/backend_host.c - see backend_host.h.
 *
 * The host stands between the server and code that somebody else compiled, perhaps against another
 * version of include/troupe/backend.h.
 *
 *  1. A plugin's table is copied, never past the size that it states; what it does not know is
 *     NULL, and NULL means the default that the header names.
 *  2. A plugin is started once.  Whoever asks meanwhile waits; a failure is kept with its words, so
 *     that a thousand models of a missing backend cost one look at the disk.
 *  3. The lock guards the table and the state of its entries; it is never held while a plugin runs.
 *     Entries are never removed before the table is, so a pointer to one stays good.
 *  4. A run that worked with pages of a file that is not whole any more gives nothing out, and the
 *     model runs no more: whoever watches it opens another.
 *  5. After a successful run every output holds memory, has a known type and as many bytes as its
 *     shape says, and all are within the limit: checked here, so that nobody above has to distrust
 *     a plugin.
 *
 *     IDLE --get--> STARTING --ok--> READY
 *       ^              |
 *       |            error
 *       |              v
 *       +--forget-- FAILED */
#include "backend/backend_host.h"

#include <dlfcn.h>
#include <stdio.h>

#include "backend/isolation.h"
#include "base/arena.h"
#include "base/atomic.h"
#include "base/cxx_heap.h"
#include "base/file.h"
#include "base/map_loss.h"
#include "base/thread.h"
#include "base/torture.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define NAME_MAX_BYTES 64
#define PATH_MAX_BYTES 4096
#define LOST_NAME_MAX 160

enum state { IDLE, STARTING, READY, FAILED };

struct trp_backend {
    struct trp_backend *next; /* constant once it is in the table */
    struct trp_backends *table;
    char name[NAME_MAX_BYTES];

    enum state state;         /* table->lock */
    struct trp_error failure; /* table->lock; why FAILED */

    void *library; /* of dlopen(); NULL: built in */
    struct troupe_host host;
    struct troupe_option *options; /* what stands behind "<name>." */
    uint32_t options_n;
    struct troupe_backend api; /* our copy */
    void *self;
    struct trp_counter models;
    struct trp_backend *isolated;    /* table->lock; the same in processes of its own, once asked */
    struct trp_isolation *isolation; /* this is that one; not found by name */
    struct trp_backend *inner;       /* what that one stands for */
    struct trp_told_device told[TROUPE_DEVICES_MAX]; /* table->lock; what it told last */
    uint32_t told_n;                                 /* table->lock */
};

struct trp_backends {
    const struct trp_alloc *alloc;
    const struct trp_clock *clock;
    struct trp_log *log;
    struct trp_arena arena; /* the options' texts */
    const char *path;       /* NULL: no folder */
    const struct troupe_account *account;
    const struct troupe_option *options;
    uint32_t options_n;

    struct trp_worker_env workers; /* of no backend yet; no program: nor is there a nursery */
    struct trp_nursery nursery;
    struct trp_lock lock;
    struct trp_signal changed;
    struct trp_backend *first;
};

struct trp_backend_model {
    struct trp_backend *backend;
    void *model;
    uint32_t capabilities;
    struct trp_device_use *devices; /* NULL: the CPU alone */
    uint32_t devices_n;
    const struct troupe_account *account; /* its own; NULL: it has none, or one that cannot count */
    uint64_t heap_bytes;  /* that opening it has left in the heap; the account has them */
    struct trp_lock lock; /* the rest serves plugins that are not re-entrant */
    struct trp_signal idle;
    bool busy;
    struct trp_backend_watch watch;  /* constant once it runs */
    struct trp_oneshot loss_is_told; /* whoever leaves 0 writes `lost` */
    char lost[LOST_NAME_MAX];        /* the end of the path; constant once is_lost is up */
    struct trp_flag is_lost;
    struct trp_mark losses_seen; /* up to which it was looked whether they are this model's */
};

static const struct builtin {
    const char *name;
    const struct troupe_backend *(*query)(void);
} builtins[] = { { "null", trp_builtin_null }, { "echo", trp_builtin_echo } };

/* --- the table -------------------------------------------------------------------------------- */

static bool copy_options(struct trp_backends *b, const struct trp_backends_opts *opts)
{
    struct troupe_option *copy =
        trp_arena_zeroed(&b->arena, opts->options_n + 1, sizeof *copy); /* + 1: never empty */
    if (!copy)
        return false;
    for (uint32_t i = 0; i < opts->options_n; i++) {
        copy[i].key = trp_arena_dup(&b->arena, trp_str_of(opts->options[i].key)).ptr;
        copy[i].value = trp_arena_dup(&b->arena, trp_str_of(opts->options[i].value)).ptr;
        if (!copy[i].key || !copy[i].value)
            return false;
    }
    b->options = copy;
    b->options_n = opts->options_n;
    if (opts->path && *opts->path)
        b->path = trp_arena_dup(&b->arena, trp_str_of(opts->path)).ptr;
    return b->path || !opts->path || !*opts->path;
}

static trp_status begin_workers(struct trp_backends *b, const struct trp_backends_opts *opts,
                                struct trp_error *err)
{
    b->workers = (struct trp_worker_env){ .program = opts->worker_program,
                                          .plugins = b->path,
                                          .options = b->options,
                                          .options_n = b->options_n,
                                          .nice = opts->worker_nice,
                                          .clock = b->clock,
                                          .log = b->log,
                                          .metrics = opts->metrics,
                                          .nursery = &b->nursery,
                                          .commons = opts->commons,
                                          .yard_bytes = opts->worker_bytes };
    return trp_nursery_init(&b->nursery, err);
}

trp_status trp_backends_create(const struct trp_alloc *alloc, const struct trp_backends_opts *opts,
                               struct trp_backends **out_backends, struct trp_error *err)
{
    *out_backends = NULL;
    struct trp_backends *b = trp_alloc_zeroed(alloc, 1, sizeof *b);
    if (!b)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "table of backends");
    b->alloc = alloc;
    b->clock = opts->clock;
    b->log = opts->log;
    b->account = opts->account;
    trp_arena_init(&b->arena, alloc, 1024, 0);
    trp_lock_init(&b->lock, TRP_LOCK_BACKEND);
    trp_signal_init(&b->changed);
    trp_status st = trp_ok();
    if (!copy_options(b, opts))
        st = trp_fail(err, TRP_OUT_OF_MEMORY, "options of the backends");
    else if (opts->worker_program)
        st = begin_workers(b, opts, err);
    if (trp_failed(st)) {
        trp_backends_destroy(b);
        return st;
    }
    *out_backends = b;
    return trp_ok();
}

/* Undoes start_backend() as far as it came. */
static void stop_backend(struct trp_backend *b)
{
    if (b->api.stop && b->self)
        b->api.stop(b->self);
    if (b->library)
        dlclose(b->library);
    if (b->isolation) {
        trp_isolation_deinit(b->isolation);
        trp_alloc_free(b->table->alloc, b->isolation);
    }
    trp_alloc_free(b->table->alloc, b->options);
    b->self = NULL;
    b->library = NULL;
    b->options = NULL;
    b->options_n = 0;
    b->api = (struct troupe_backend){ 0 };
}

void trp_backends_destroy(struct trp_backends *b)
{
    if (!b)
        return;
    for (struct trp_backend *at = b->first, *next; at; at = next) {
        next = at->next;
        TRP_ASSERT(trp_counter_get(&at->models) == 0); /* close the models first */
        stop_backend(at); /* an isolated one stands before the one that it stands for */
        trp_alloc_free(b->alloc, at);
    }
    if (b->workers.program)
        trp_nursery_deinit(&b->nursery);
    trp_signal_deinit(&b->changed);
    trp_lock_deinit(&b->lock);
    trp_arena_deinit(&b->arena);
    trp_alloc_free(b->alloc, b);
}

/* --- starting a plugin ------------------------------------------------------------------------ */

static void host_log(void *user, int32_t level, const char *category, const char *text)
{
    const struct trp_backend *b = user;
    const bool is_known = level >= TROUPE_LOG_ERROR && level <= TROUPE_LOG_DEBUG;
    trp_log_write(b->table->log, is_known ? (enum trp_log_level)level : TRP_LOG_WARNING,
                  category ? category : b->name, "%s", text);
}

static int64_t host_now_ns(void *user)
{
    const struct trp_backend *b = user;
    return trp_clock_now_ns(b->table->clock);
}

/* Turns a plugin's answer into ours. */
static trp_status from_plugin(const struct trp_backend *b, int32_t code,
                              const struct troupe_error *words, struct trp_error *err)
{
    if (code <= TROUPE_OK || code >= (int32_t)TRP_CODES)
        return trp_fail(err, TRP_INTERNAL, "backend '%s' answered with unknown code %d", b->name,
                        code);
    const int len = (int)strnlen(words->text, sizeof words->text);
    if (len == 0)
        return trp_fail(err, (enum trp_code)code, "%s", trp_code_text(code));
    return trp_fail(err, (enum trp_code)code, "%.*s", len, words->text);
}

static trp_status find_library(struct trp_backend *b, const struct troupe_backend **out_api,
                               struct trp_error *err)
{
    char path[PATH_MAX_BYTES];
    struct trp_file_stat stat;
    const struct troupe_backend *(*query)(uint32_t);
    const char *folder = b->table->path;
    if (!folder)
        return trp_fail(err, TRP_NOT_FOUND,
                        "no backend '%s': it is not built in, and no folder of plugins is set",
                        b->name);
    const int len = snprintf(path, sizeof path, "%s/troupe_backend_%s.so", folder, b->name);
    if (len < 0 || (size_t)len >= sizeof path)
        return trp_fail(err, TRP_NOT_FOUND, "no backend '%s': the path of its folder is too long",
                        b->name);
    if (trp_failed(trp_file_stat(path, &stat, NULL)) || stat.kind != 'f')
        return trp_fail(err, TRP_NOT_FOUND, "no backend '%s': looked for %s", b->name, path);
    b->library = TRP_TORTURE_FAILS("open") ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!b->library) {
        const char *why = dlerror();
        return trp_fail(err, TRP_IO, "backend '%s': %s", b->name, why ? why : "cannot be opened");
    }
    *(void **)&query = dlsym(b->library, "troupe_backend_query"); /* POSIX blesses this cast */
    if (!query)
        return trp_fail(err, TRP_UNIMPLEMENTED, "%s does not export troupe_backend_query", path);
    *out_api = query(TROUPE_BACKEND_ABI);
    return trp_ok();
}

static trp_status find_api(struct trp_backend *b, const struct troupe_backend **out_api,
                           struct trp_error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(builtins); i++) {
        if (strcmp(builtins[i].name, b->name) == 0) {
            *out_api = builtins[i].query();
            return trp_ok();
        }
    }
    return find_library(b, out_api, err);
}

/* Copies the table as far as the plugin knows it. */
static trp_status adopt_api(struct trp_backend *b, const struct troupe_backend *api,
                            struct trp_error *err)
{
    if (!api || api->abi != TROUPE_BACKEND_ABI)
        return trp_fail(err, TRP_UNIMPLEMENTED,
                        "backend '%s' does not speak plugin ABI %u of this server", b->name,
                        TROUPE_BACKEND_ABI);
    const size_t size = api->struct_size < sizeof b->api ? api->struct_size : sizeof b->api;
    if (size < offsetof(struct troupe_backend, cancel))
        return trp_fail(err, TRP_UNIMPLEMENTED, "backend '%s': its table of %u bytes is too short",
                        b->name, api->struct_size);
    memcpy(&b->api, api, size);
    const struct troupe_backend *a = &b->api;
    if (!a->start || !a->stop || !a->probe || !a->open || !a->run || !a->close)
        return trp_fail(err, TRP_UNIMPLEMENTED, "backend '%s' lacks a required function", b->name);
    return trp_ok();
}

/* What stands behind "<name>." is this plugin's. */
static trp_status pick_options(struct trp_backend *b, struct trp_error *err)
{
    const struct trp_backends *t = b->table;
    const size_t prefix = strlen(b->name);
    b->options = trp_alloc_zeroed(t->alloc, t->options_n + 1, sizeof *b->options);
    if (!b->options)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "options of backend '%s'", b->name);
    for (uint32_t i = 0; i < t->options_n; i++) {
        const char *key = t->options[i].key;
        if (strncmp(key, b->name, prefix) == 0 && key[prefix] == '.')
            b->options[b->options_n++] =
                (struct troupe_option){ key + prefix + 1, t->options[i].value };
    }
    return trp_ok();
}

static trp_status start_backend(struct trp_backend *b, struct trp_error *err)
{
    const struct troupe_backend *api = NULL;
    struct troupe_error words = { 0 };
    TRP_CHECK(find_api(b, &api, err));
    TRP_CHECK(adopt_api(b, api, err));
    TRP_CHECK(pick_options(b, err));
    b->host = (struct troupe_host){
        .abi = TROUPE_BACKEND_ABI,
        .struct_size = sizeof b->host,
        .user = b,
        .log = host_log,
        .now_ns = host_now_ns,
        .account = b->table->account,
    };
    const int32_t code = TRP_TORTURE_FAILS("backend")
                             ? TROUPE_BACKEND_FAILED
                             : b->api.start(&b->host, b->options, b->options_n, &b->self, &words);
    if (code == TROUPE_OK)
        return trp_ok();
    b->self = NULL;
    const trp_status st = from_plugin(b, code, &words, err);
    trp_error_within(err, "backend '%s'", b->name);
    return st;
}

/* --- finding one ------------------------------------------------------------------------------ */

static bool is_name(struct trp_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return name.len > 0 && name.len < NAME_MAX_BYTES;
}

/* Finds or adds the entry.  The lock is held. */
static struct trp_backend *entry_of(struct trp_backends *t, struct trp_str name)
{
    for (struct trp_backend *b = t->first; b; b = b->next)
        if (!b->isolation && trp_str_is(name, b->name))
            return b;
    struct trp_backend *b = trp_alloc_zeroed(t->alloc, 1, sizeof *b);
    if (!b)
        return NULL;
    trp_str_copy(name, b->name, sizeof b->name);
    b->table = t;
    b->next = t->first;
    t->first = b;
    return b;
}

/* Starts an entry that this thread found IDLE.  The lock is held, and let go meanwhile. */
static void start_entry(struct trp_backends *t, struct trp_backend *b)
{
    struct trp_error failure = { 0 };
    b->state = STARTING;
    trp_lock_leave(&t->lock);
    const trp_status st = start_backend(b, &failure);
    if (trp_failed(st))
        stop_backend(b);
    trp_lock_enter(&t->lock);
    b->state = trp_failed(st) ? FAILED : READY;
    b->failure = failure;
    trp_signal_all(&t->changed);
}

trp_status trp_backends_get(struct trp_backends *t, struct trp_str name,
                            struct trp_backend **out_backend, struct trp_error *err)
{
    *out_backend = NULL;
    if (!is_name(name))
        return trp_fail(err, TRP_NOT_FOUND, "'%.*s' cannot be the name of a backend",
                        TRP_STR(name));
    trp_lock_enter(&t->lock);
    struct trp_backend *b = entry_of(t, name);
    if (!b) {
        trp_lock_leave(&t->lock);
        return trp_fail(err, TRP_OUT_OF_MEMORY, "backend '%.*s'", TRP_STR(name));
    }
    while (b->state == STARTING)
        trp_signal_wait(&t->changed, &t->lock);
    if (b->state == IDLE)
        start_entry(t, b);
    const bool is_ready = b->state == READY;
    const struct trp_error failure = b->failure;
    trp_lock_leave(&t->lock);
    if (!is_ready)
        return trp_fail(err, (enum trp_code)failure.status.code, "%s", failure.text);
    *out_backend = b;
    return trp_ok();
}

void trp_backends_forget_failures(struct trp_backends *t)
{
    trp_lock_enter(&t->lock);
    for (struct trp_backend *b = t->first; b; b = b->next)
        if (b->state == FAILED)
            b->state = IDLE;
    trp_lock_leave(&t->lock);
}

/* --- in processes of their own
 * ----------------------------------------------------------------- */

/* An entry that stands for `inner`, not in the table yet. */
static struct trp_backend *make_isolated(struct trp_backends *t, struct trp_backend *inner)
{
    struct trp_backend *b = trp_alloc_zeroed(t->alloc, 1, sizeof *b);
    struct trp_isolation *i = trp_alloc_zeroed(t->alloc, 1, sizeof *i);
    if (!b || !i) {
        trp_alloc_free(t->alloc, b);
        trp_alloc_free(t->alloc, i);
        return NULL;
    }
    struct trp_worker_env env = t->workers;
    env.backend = inner->name;
    trp_isolation_init(i, &env, &inner->api, inner->self);
    trp_str_copy(trp_str_of(inner->name), b->name, sizeof b->name);
    b->table = t;
    b->isolation = i;
    b->inner = inner;
    b->self = i;
    b->api = trp_isolation_api(&inner->api);
    b->state = READY;
    return b;
}

trp_status trp_backends_isolate(struct trp_backends *t, struct trp_backend *b,
                                struct trp_backend **out_isolated, struct trp_error *err)
{
    *out_isolated = NULL;
    if (!t->workers.program)
        return trp_fail(err, TRP_UNIMPLEMENTED,
                        "isolation: process needs the troupe command, which starts itself as a "
                        "worker process");
    trp_lock_enter(&t->lock);
    if (!b->isolated && !b->isolation) {
        b->isolated = make_isolated(t, b);
        if (b->isolated) {
            b->isolated->next = t->first;
            t->first = b->isolated;
        }
    }
    *out_isolated = b->isolation ? b : b->isolated;
    trp_lock_leave(&t->lock);
    return *out_isolated ? trp_ok() : trp_fail(err, TRP_OUT_OF_MEMORY, "backend '%s'", b->name);
}

bool trp_backends_can_isolate(const struct trp_backends *t)
{
    return t->workers.program != NULL;
}

uint32_t trp_backends_pids(struct trp_backends *t, pid_t *out, uint32_t max)
{
    uint32_t n = 0;
    trp_lock_enter(&t->lock);
    struct trp_backend *b = t->first; /* what stands behind it stays as it is */
    trp_lock_leave(&t->lock);
    for (; b; b = b->next)
        if (b->isolation)
            n += trp_isolation_pids(b->isolation, out + n, max - n);
    return n;
}

const char *trp_backend_name(const struct trp_backend *b)
{
    return b->name;
}

const char *trp_backend_version(const struct trp_backend *b)
{
    return b->api.version ? b->api.version : "";
}

/* In processes of their own they are the same ones. */
static void note_devices(struct trp_backend *b, const struct trp_device_list *l)
{
    struct trp_backend *of = b->inner ? b->inner : b;
    trp_lock_enter(&of->table->lock);
    for (uint32_t i = 0; i < l->n; i++)
        of->told[i] = (struct trp_told_device){ of->name, l->all[i].id, l->all[i].memory_bytes };
    of->told_n = l->n;
    trp_lock_leave(&of->table->lock);
}

uint32_t trp_backends_told_devices(struct trp_backends *t, struct trp_told_device *out,
                                   uint32_t max)
{
    uint32_t n = 0;
    trp_lock_enter(&t->lock);
    for (const struct trp_backend *b = t->first; b; b = b->next)
        for (uint32_t i = 0; i < b->told_n && n < max; i++)
            out[n++] = b->told[i];
    trp_lock_leave(&t->lock);
    return n;
}

trp_status trp_backend_devices(struct trp_backend *b, struct trp_arena *arena,
                               struct trp_device_list *out, struct trp_error *err)
{
    TRP_CHECK(trp_device_list_init(out, arena, err));
    if (!b->api.devices)
        return trp_ok();
    b->api.devices(b->self, trp_device_list_tell, out);
    const trp_status st = trp_device_list_check(out, err);
    if (st.code == TRP_INTERNAL) /* its fault, and not this process's */
        trp_error_within(err, "backend '%s' broke its contract", b->name);
    if (!trp_failed(st))
        note_devices(b, out);
    return st;
}

const char *trp_backend_why_no_device(const struct trp_backend *b)
{
    const char *why = b->api.why_no_device ? b->api.why_no_device(b->self) : NULL;
    return why ? why : "";
}

void trp_backend_trim(struct trp_backends *t)
{
    trp_lock_enter(&t->lock);
    struct trp_backend *b = t->first;
    trp_lock_leave(&t->lock);
    for (; b; b = b->next) {
        trp_lock_enter(&t->lock);
        const bool is_ready = b->state == READY;
        trp_lock_leave(&t->lock);
        if (is_ready && b->api.trim)
            b->api.trim(b->self);
    }
}

static const struct troupe_error no_words; /* of functions that answer with a code alone */

/* --- models ----------------------------------------------------------------------------------- */

/* Ends a signature that a plugin has told; a plugin that names no platform is its own. */
static trp_status finish_signature(const struct trp_backend *b, struct trp_signature_builder *told,
                                   struct trp_signature *out, struct trp_error *err)
{
    TRP_CHECK(trp_signature_build(told, out, err));
    if (out->platform.len == 0)
        out->platform = trp_arena_dup(told->arena, trp_str_of(b->name));
    return out->platform.ptr ? trp_ok() : trp_fail(err, TRP_OUT_OF_MEMORY, "signature");
}

trp_status trp_backend_probe(struct trp_backend *b, const struct troupe_model_desc *desc,
                             struct trp_arena *arena, struct trp_signature *out_signature,
                             uint32_t *out_capabilities, struct trp_error *err)
{
    struct troupe_error words = { 0 };
    struct trp_signature_builder told;
    struct troupe_model_desc sized = *desc;
    uint32_t capabilities = 0;
    sized.struct_size = sizeof sized;
    trp_signature_builder_init(&told, arena);
    const struct troupe_sink sink = trp_signature_sink(&told);
    const int32_t code = TRP_TORTURE_FAILS("backend")
                             ? TROUPE_BACKEND_FAILED
                             : b->api.probe(b->self, &sized, &sink, &capabilities, &words);
    if (code != TROUPE_OK)
        return from_plugin(b, code, &words, err);
    TRP_CHECK(finish_signature(b, &told, out_signature, err));
    if (out_capabilities)
        *out_capabilities = capabilities;
    return trp_ok();
}

static bool can_count(const struct troupe_account *a)
{
    return a && a->struct_size >= sizeof *a && a->charge && a->discharge;
}

static bool count_heap(void *user, int64_t change)
{
    const struct troupe_account *const a = user;
    if (change > 0)
        return a->charge(a->user, (uint64_t)change) != 0;
    a->discharge(a->user, (uint64_t)-change);
    return true;
}

/* A library may take memory in nobody's name, and a graph as it is read is as large as its weights:
 * the model's account has it while it is there. */
static int32_t open_counted(struct trp_backend *b, const struct troupe_model_desc *desc,
                            const struct troupe_sink *sink, struct trp_backend_model *m,
                            struct troupe_error *words)
{
    struct trp_cxx_payer payer = { .count = count_heap, .user = (void *)(uintptr_t)m->account };
    if (TRP_TORTURE_FAILS("backend"))
        return TROUPE_BACKEND_FAILED;
    if (!m->account)
        return b->api.open(b->self, desc, sink, &m->model, &m->capabilities, words);
    trp_cxx_heap_begin(&payer);
    const int32_t code = b->api.open(b->self, desc, sink, &m->model, &m->capabilities, words);
    m->heap_bytes = (uint64_t)trp_cxx_heap_end(&payer);
    return code;
}

/* False: no memory. */
static bool count_devices(struct trp_backend_model *m, const struct troupe_model_desc *desc)
{
    const struct trp_alloc *alloc = m->backend->table->alloc;
    if (desc->devices_n == 0)
        return true;
    m->devices = trp_alloc_zeroed(alloc, desc->devices_n, sizeof *m->devices);
    for (uint32_t i = 0; m->devices && i < desc->devices_n; i++)
        m->devices[i].id = desc->devices[i];
    m->devices_n = m->devices ? desc->devices_n : 0;
    return m->devices != NULL;
}

trp_status trp_backend_open(struct trp_backend *b, const struct troupe_model_desc *desc,
                            struct trp_arena *arena, struct trp_backend_model **out_model,
                            struct trp_signature *out_signature, struct trp_error *err)
{
    struct troupe_error words = { 0 };
    struct trp_signature_builder told;
    struct troupe_model_desc sized = *desc;
    *out_model = NULL;
    sized.struct_size = sizeof sized;
    trp_signature_builder_init(&told, arena);
    const struct troupe_sink sink = trp_signature_sink(&told);
    struct trp_backend_model *m = trp_alloc_zeroed(b->table->alloc, 1, sizeof *m);
    if (!m)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "handle of a model");
    m->backend = b;
    trp_mark_raise(&m->losses_seen, trp_map_loss_count());
    trp_lock_init(&m->lock, TRP_LOCK_BACKEND);
    trp_signal_init(&m->idle);
    trp_counter_add(&b->models, 1);
    m->account = can_count(desc->account) ? desc->account : NULL;
    if (!count_devices(m, desc)) {
        trp_backend_close(m);
        return trp_fail(err, TRP_OUT_OF_MEMORY, "handle of a model");
    }
    const int32_t code = open_counted(b, &sized, &sink, m, &words);
    trp_status st;
    if (code != TROUPE_OK) {
        m->model = NULL;
        st = from_plugin(b, code, &words, err);
    } else {
        st = finish_signature(b, &told, out_signature, err);
    }
    if (trp_failed(st)) {
        trp_backend_close(m);
        return st;
    }
    *out_model = m;
    return trp_ok();
}

bool trp_backend_can_prepare(const struct trp_backend *b)
{
    return b->api.prepare != NULL;
}

trp_status trp_backend_prepare(struct trp_backend *b, const struct troupe_model_desc *desc,
                               const struct troupe_blob_sink *sink, struct trp_error *err)
{
    struct troupe_error words = { 0 };
    struct troupe_model_desc sized = *desc;
    struct troupe_blob_sink sized_sink = *sink;
    if (!b->api.prepare)
        return trp_fail(err, TRP_UNIMPLEMENTED, "backend '%s' cannot prepare models", b->name);
    sized.struct_size = sizeof sized;
    sized_sink.struct_size = sizeof sized_sink;
    const int32_t code = TRP_TORTURE_FAILS("backend")
                             ? TROUPE_BACKEND_FAILED
                             : b->api.prepare(b->self, &sized, &sized_sink, &words);
    return code == TROUPE_OK ? trp_ok() : from_plugin(b, code, &words, err);
}

const char *trp_backend_fingerprint(const struct trp_backend *b)
{
    const char *told = b->api.fingerprint ? b->api.fingerprint(b->self) : NULL;
    return told ? told : trp_backend_version(b);
}

void trp_backend_close(struct trp_backend_model *m)
{
    if (!m)
        return;
    struct trp_backend *b = m->backend;
    if (m->model)
        b->api.close(m->model);
    if (m->account && m->heap_bytes > 0)
        m->account->discharge(m->account->user, m->heap_bytes);
    trp_signal_deinit(&m->idle);
    trp_lock_deinit(&m->lock);
    trp_alloc_free(b->table->alloc, m->devices);
    trp_alloc_free(b->table->alloc, m);
    trp_counter_sub(&b->models, 1);
}

uint32_t trp_backend_device_uses(const struct trp_backend_model *m,
                                 const struct trp_device_use **out_uses)
{
    *out_uses = m->devices;
    return m->devices_n;
}

uint32_t trp_backend_capabilities(const struct trp_backend_model *m)
{
    return m->capabilities;
}

bool trp_backend_memory(const struct trp_backend_model *m, struct troupe_memory *out)
{
    *out = (struct troupe_memory){ .struct_size = sizeof *out };
    return m->backend->api.memory && m->backend->api.memory(m->model, out) == TROUPE_OK;
}

trp_status trp_backend_hibernate(struct trp_backend_model *m, struct trp_error *err)
{
    const struct trp_backend *b = m->backend;
    if (!b->api.hibernate)
        return trp_fail(err, TRP_UNIMPLEMENTED, "backend '%s' cannot hibernate models", b->name);
    const int32_t code =
        TRP_TORTURE_FAILS("backend") ? TROUPE_BACKEND_FAILED : b->api.hibernate(m->model);
    return code == TROUPE_OK ? trp_ok() : from_plugin(b, code, &no_words, err);
}

trp_status trp_backend_wake(struct trp_backend_model *m, struct trp_error *err)
{
    const struct trp_backend *b = m->backend;
    const int32_t code = !b->api.wake                   ? TROUPE_OK
                         : TRP_TORTURE_FAILS("backend") ? TROUPE_BACKEND_FAILED
                                                        : b->api.wake(m->model);
    return code == TROUPE_OK ? trp_ok() : from_plugin(b, code, &no_words, err);
}

/* --- files that are gone ---------------------------------------------------------------------- */

void trp_backend_watch(struct trp_backend_model *m, const struct trp_backend_watch *watch)
{
    m->watch = *watch;
}

static void tell_loss(struct trp_backend_model *m, const char *path)
{
    const size_t n = strlen(path), cut = n < LOST_NAME_MAX ? 0 : n - LOST_NAME_MAX + 1;
    if (!trp_oneshot_try(&m->loss_is_told, 1))
        return;
    (void)trp_str_copy(trp_str_of(path + cut), m->lost, sizeof m->lost);
    trp_flag_raise(&m->is_lost);
    m->watch.on_loss(m->watch.user, path);
}

/* Were some of them this model's?  One whose name is forgotten may have been. */
static void look_at_losses(struct trp_backend_model *m, uint64_t seen, uint64_t now)
{
    char path[TRP_MAP_LOSS_PATH_MAX];
    for (uint64_t n = seen + 1; m->watch.is_mine && n <= now; n++) {
        if (!trp_map_loss_path(n, path))
            tell_loss(m, "a mapped file");
        else if (m->watch.is_mine(m->watch.user, path))
            tell_loss(m, path);
    }
    trp_mark_raise(&m->losses_seen, now);
}

/* Asked before a run and after it: what is gone may be noticed by another run, or another model,
 * first. */
static bool has_lost(struct trp_backend_model *m)
{
    const uint64_t now = trp_map_loss_count(), seen = trp_mark_get(&m->losses_seen);
    if (now != seen)
        look_at_losses(m, seen, now);
    return trp_flag_is_up(&m->is_lost);
}

static trp_status fail_lost(const struct trp_backend_model *m, struct troupe_tensor *outputs,
                            uint32_t n, struct trp_error *err)
{
    for (struct troupe_tensor *t = outputs; t < outputs + n; t++)
        *t = (struct troupe_tensor){ 0 };
    return trp_fail(err, TRP_DATA_LOSS, "%s was cut short while it was mapped", m->lost);
}

/* --- running ---------------------------------------------------------------------------------- */

/* A plugin that is not re-entrant runs one at a time.  A flag, not the lock, is held meanwhile. */
static void take_turn(struct trp_backend_model *m)
{
    trp_lock_enter(&m->lock);
    while (m->busy)
        trp_signal_wait(&m->idle, &m->lock);
    m->busy = true;
    trp_lock_leave(&m->lock);
}

static void end_turn(struct trp_backend_model *m)
{
    trp_lock_enter(&m->lock);
    m->busy = false;
    trp_signal_one(&m->idle);
    trp_lock_leave(&m->lock);
}

static void release_outputs(struct troupe_tensor *outputs, uint32_t n)
{
    for (struct troupe_tensor *t = outputs; t < outputs + n; t++) {
        if (t->release)
            t->release(t->release_user, t->data);
        *t = (struct troupe_tensor){ 0 };
    }
}

/* NULL, or what is wrong with an output that a plugin gave. */
static const char *fault_of(struct troupe_tensor *t)
{
    static const char nothing[1] = "";
    uint64_t bytes, elements;
    if (t->rank > TROUPE_RANK_MAX)
        return "its rank is too high";
    if (t->dtype == TROUPE_BYTES) {
        if (!trp_shape_elements(t->shape, t->rank, &elements))
            return "its shape is impossible";
        if (t->bytes / 4 < elements) /* each element has a length of four bytes */
            return "it holds fewer strings than its shape says";
    } else if (trp_dtype_bytes(t->dtype) == 0) {
        return "its type is unknown";
    } else if (!trp_shape_bytes(t->shape, t->rank, t->dtype, &bytes) || bytes != t->bytes) {
        return "its size is not that of its shape";
    }
    if (!t->data) {
        if (t->bytes)
            return "it has no memory";
        t->data = (void *)(uintptr_t)nothing; /* empty, but there: NULL means absent */
    }
    return NULL;
}

static trp_status check_outputs(const struct trp_backend *b, const struct troupe_run *run,
                                struct troupe_tensor *outputs, struct trp_error *err)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < run->outputs_n; i++) {
        const char *fault = fault_of(&outputs[i]);
        if (fault) {
            release_outputs(outputs, run->outputs_n);
            return trp_fail(err, TRP_INTERNAL, "backend '%s' broke its contract: output %u: %s",
                            b->name, run->output_index ? run->output_index[i] : i, fault);
        }
        bytes += outputs[i].bytes; /* cannot wrap: it is memory that exists */
    }
    if (run->output_bytes_max == 0 || bytes <= run->output_bytes_max)
        return trp_ok();
    release_outputs(outputs, run->outputs_n);
    return trp_fail(err, TRP_TOO_LARGE, "the outputs have %llu bytes; at most %llu are allowed",
                    (unsigned long long)bytes, (unsigned long long)run->output_bytes_max);
}

trp_status trp_backend_run(struct trp_backend_model *m, struct troupe_run *run,
                           const struct troupe_tensor *inputs, struct troupe_tensor *outputs,
                           struct trp_error *err)
{
    const struct trp_backend *b = m->backend;
    struct troupe_error words; /* not zeroed whole: this is the hot path */
    if (has_lost(m))
        return fail_lost(m, outputs, run->outputs_n, err);
    words.code = TROUPE_OK;
    words.text[0] = '\0';
    run->struct_size = sizeof *run;
    run->error = &words;
    for (struct troupe_tensor *t = outputs; t < outputs + run->outputs_n; t++) {
        t->release = NULL;
        t->release_user = NULL;
    }
    TRP_DEBUG_ASSERT(run->device < (m->devices_n ? m->devices_n : 1));
    if (m->devices_n > 0)
        trp_counter_add(&m->devices[run->device].runs, 1);
    const bool is_alone = !(m->capabilities & TROUPE_CAN_CONCURRENT);
    if (is_alone)
        take_turn(m);
    const int32_t code = TRP_TORTURE_FAILS("backend") ? TROUPE_BACKEND_FAILED
                                                      : b->api.run(m->model, run, inputs, outputs);
    if (is_alone)
        end_turn(m);
    run->error = NULL;
    if (has_lost(m)) {
        if (code == TROUPE_OK)
            release_outputs(outputs, run->outputs_n);
        return fail_lost(m, outputs, run->outputs_n, err);
    }
    if (code == TROUPE_OK)
        return check_outputs(b, run, outputs, err);
    for (struct troupe_tensor *t = outputs; t < outputs + run->outputs_n; t++)
        *t = (struct troupe_tensor){ 0 };
    const trp_status st = from_plugin(b, code, &words, err);
    if (err && b->isolation && st.code == TRP_UNAVAILABLE)
        err->retry_after_ms = trp_isolation_retry_ms(m->model);
    return st;
}

void trp_backend_cancel(struct trp_backend_model *m, uint64_t run_id)
{
    if (m->backend->api.cancel)
        (void)m->backend->api.cancel(m->model, run_id); /* a run that has ended is no failure */
}

/* A repository in a temporary folder, a control loop on a clock of our own, and the built-in backends.
 * Loader threads are real; pump() turns the loop until something holds. */
#ifndef TRP_LIFE_FIXTURE_H
#define TRP_LIFE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "life/life_parts.h"

#define READERS 2

struct fixture {
    char base[64], root[80], log_path[80];
    int log_fd;
    int64_t now_ns;
    struct trp_clock clock;
    struct trp_loop *loop;
    struct trp_log *log;
    struct trp_metrics *metrics;
    struct trp_backends *backends;
    struct trp_exec *exec;
    struct trp_account weights, activations;
    struct trp_life_opts opts;
    struct trp_life *life;
    bool readers_sleep; /* snapshots are not acknowledged */
    uint64_t published; /* epoch */
    bool stopped;
};

static inline int64_t fixture_now(void *user)
{
    return ((struct fixture *)user)->now_ns;
}

static inline void must(trp_status st, const struct trp_error *err)
{
    if (trp_failed(st))
        fail_msg("%s", err->text);
}

static inline void acknowledge(struct fixture *f)
{
    for (uint32_t i = 0; i < READERS; i++)
        trp_life_seen(f->life, i, f->published);
}

static inline void note_published(void *user, const struct trp_snapshot *s)
{
    struct fixture *f = user;
    assert_true(trp_snapshot_epoch(s) > f->published);
    f->published = trp_snapshot_epoch(s);
}

static inline int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct trp_error err = { 0 };
    (void)snprintf(f->base, sizeof f->base, "/tmp/troupe-life-XXXXXX");
    assert_non_null(mkdtemp(f->base));
    (void)snprintf(f->root, sizeof f->root, "%s/repo", f->base);
    (void)snprintf(f->log_path, sizeof f->log_path, "%s/log", f->base);
    assert_int_equal(mkdir(f->root, 0755), 0);
    f->log_fd = open(f->log_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    f->now_ns = TRP_S(1000);
    f->clock = (struct trp_clock){ .now_ns = fixture_now, .wall_ns = fixture_now, .user = f };
    const struct trp_loop_opts loop = { .name = "control", .clock = &f->clock };
    must(trp_loop_create(trp_heap(), &loop, &f->loop, &err), &err);
    must(trp_log_create(trp_heap(), &f->clock, f->log_fd, &f->log, &err), &err);
    must(trp_metrics_create(trp_heap(), 4, &f->metrics, &err), &err);
    const struct trp_backends_opts backends = { .clock = trp_clock_system(), .log = f->log };
    must(trp_backends_create(trp_heap(), &backends, &f->backends, &err), &err);
    const struct trp_exec_opts exec = { .executors_n = 1,
                                        .loops_n = 1,
                                        .queue_max = 10,
                                        .model_queue_max = 10,
                                        .clock = &f->clock,
                                        .metrics = f->metrics };
    must(trp_exec_create(trp_heap(), &exec, &f->exec, &err), &err);
    trp_account_init(&f->weights, TRP_ACCOUNT_WEIGHTS, NULL, 0);
    trp_account_init(&f->activations, TRP_ACCOUNT_ACTIVATIONS, NULL, 0);
    f->opts = (struct trp_life_opts){ .repo = { .path = f->root,
                                                .models_max = 5000,
                                                .versions_max = 20,
                                                .config_bytes_max = 1 << 16 },
                                      .loaders_n = 2,
                                      .load_ns_max = TRP_S(600),
                                      .poll_ns = TRP_S(15),
                                      .settle_ns = TRP_MS(500),
                                      .clock = &f->clock,
                                      .control = f->loop,
                                      .backends = f->backends,
                                      .exec = f->exec,
                                      .log = f->log,
                                      .metrics = f->metrics,
                                      .weights = &f->weights,
                                      .activations = &f->activations,
                                      .readers_n = READERS,
                                      .publish = note_published,
                                      .publish_user = f };
    *state = f;
    return 0;
}

/* Life with the options as they are now; nothing is listed yet. */
static inline void create(struct fixture *f)
{
    struct trp_error err = { 0 };
    must(trp_life_create(trp_heap(), &f->opts, &f->life, &err), &err);
    f->published = 1;
}

static inline void turn(struct fixture *f)
{
    struct trp_error err = { 0 };
    f->now_ns += TRP_MS(1);
    must(trp_loop_turn(f->loop, TRP_MS(1), &err), &err);
    if (f->life && !f->readers_sleep)
        acknowledge(f);
}

/* Turns until `condition` holds; some ten seconds of real time are the limit. */
#define pump(f, condition)                                   \
    do {                                                     \
        int turns_ = 0;                                      \
        while (!(condition)) {                               \
            turn(f);                                         \
            if (++turns_ > 10000)                            \
                fail_msg("never came true: %s", #condition); \
        }                                                    \
    } while (0)

static inline void start(struct fixture *f)
{
    create(f);
    trp_life_start(f->life);
    pump(f, trp_life_is_started(f->life));
}

static inline void note_stopped(void *user)
{
    ((struct fixture *)user)->stopped = true;
}

static inline void stop(struct fixture *f)
{
    trp_life_stop(f->life, note_stopped, f);
    pump(f, f->stopped);
    trp_life_destroy(f->life);
    f->life = NULL;
}

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->life)
        stop(f);
    assert_int_equal(trp_counter_get(&f->weights.bytes), 0);
    assert_int_equal(trp_counter_get(&f->activations.bytes), 0);
    trp_account_deinit(&f->weights);
    trp_account_deinit(&f->activations);
    trp_exec_destroy(f->exec);
    trp_backends_destroy(f->backends);
    trp_metrics_destroy(f->metrics);
    trp_log_destroy(f->log);
    trp_loop_destroy(f->loop);
    (void)close(f->log_fd);
    (void)nftw(f->base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

/* Writes a file of the repository, folders included. */
static inline void put(struct fixture *f, const char *path, const char *text)
{
    char full[512];
    (void)snprintf(full, sizeof full, "%s/%s", f->root, path);
    for (char *slash = full + strlen(f->root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *out = fopen(full, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static inline void take_away(struct fixture *f, const char *path)
{
    char full[512];
    (void)snprintf(full, sizeof full, "%s/%s", f->root, path);
    assert_int_equal(nftw(full, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* ---- what the index says ---- */

static inline const struct trp_entry *entry(const struct fixture *f, const char *name)
{
    return trp_snapshot_find(trp_registry_current(f->life->registry), trp_str_of(name));
}

/* The state of a model's highest version ("-": no version, "?": no entry). */
static inline const char *state_of(const struct fixture *f, const char *name)
{
    const struct trp_entry *e = entry(f, name);
    if (!e)
        return "?";
    return e->versions_n
               ? trp_model_state_name(trp_lifecycle_get(&e->versions[e->versions_n - 1]->life))
               : "-";
}

static inline bool is(const struct fixture *f, const char *name, const char *state)
{
    return strcmp(state_of(f, name), state) == 0;
}

static inline struct trp_version *highest(const struct fixture *f, const char *name)
{
    const struct trp_entry *e = entry(f, name);
    return e && e->versions_n ? e->versions[e->versions_n - 1] : NULL;
}

static inline struct trp_version *pin(const struct fixture *f, const char *name, int64_t version)
{
    struct trp_version *v;
    struct trp_error err = { 0 };
    must(trp_snapshot_pick(trp_registry_current(f->life->registry), trp_str_of(name), version, &v,
                           &err),
         &err);
    return v;
}

static inline int64_t metric(const struct fixture *f, enum trp_metric id)
{
    return trp_metrics_get(f->metrics, id);
}

static inline bool log_says(const struct fixture *f, const char *words)
{
    char *text;
    size_t len;
    assert_false(trp_failed(trp_file_read(trp_heap(), f->log_path, 1 << 20, &text, &len, NULL)));
    const bool does = strstr(text, words) != NULL;
    trp_alloc_free(trp_heap(), text);
    return does;
}

/* ---- orders ---- */

struct wish {
    struct trp_order order;
    bool is_done;
    uint32_t place; /* among those that were done */
};

static inline void note_done(struct trp_order *order, void *user)
{
    struct wish *w = TRP_CONTAINER_OF(order, struct wish, order);
    assert_false(w->is_done);
    w->is_done = true;
    if (user)
        w->place = (*(uint32_t *)user)++;
}

static inline void submit_load(struct fixture *f, struct wish *w, const char *model)
{
    w->order.kind = TRP_ORDER_LOAD;
    w->order.model = trp_str_of(model);
    w->order.done = note_done;
    trp_life_submit(f->life, &w->order);
    assert_false(w->is_done); /* never from inside */
}

static inline void submit_unload(struct fixture *f, struct wish *w, const char *model)
{
    *w = (struct wish){ .order = { .kind = TRP_ORDER_UNLOAD,
                                   .model = trp_str_of(model),
                                   .done = note_done,
                                   .user = w->order.user } };
    trp_life_submit(f->life, &w->order);
    assert_false(w->is_done);
}

static inline void check_order(struct fixture *f, struct wish *w, int32_t code, const char *words)
{
    pump(f, w->is_done);
    if (w->order.error.status.code != code || !strstr(w->order.error.text, words))
        fail_msg("%s: %s", trp_code_name(w->order.error.status.code), w->order.error.text);
}

static inline void load(struct fixture *f, const char *model, int32_t code, const char *words)
{
    struct wish w = { 0 };
    submit_load(f, &w, model);
    check_order(f, &w, code, words);
}

static inline void unload(struct fixture *f, const char *model)
{
    struct wish w = { 0 };
    submit_unload(f, &w, model);
    check_order(f, &w, TRP_OK, "");
}

static inline void rescan(struct fixture *f)
{
    struct wish w = { .order = { .kind = TRP_ORDER_RESCAN, .done = note_done } };
    trp_life_submit(f->life, &w.order);
    check_order(f, &w, TRP_OK, "");
}

#define WITH_LIFE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif

/* A repository in a temporary folder, a control loop on a clock of our own, and the built-in
 * backends.
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
#include "life/demand.h"
#include "scratch.h"

#define READERS 2
#ifdef TRP_TORTURE
#define TURNS_MAX 2000 /* half of the conditions never come true there */
#else
#define TURNS_MAX 10000
#endif

struct fixture {
    char base[SCRATCH_PATH_MAX], root[80], log_path[80];
    int log_fd;
    _Atomic int64_t now_ns; /* loader threads read it */
    struct trp_clock clock;
    struct trp_loop *loop;
    struct trp_log *log;
    struct trp_metrics *metrics;
    struct trp_backends *backends;
    struct trp_exec *exec;
    struct trp_account weights, activations;
    uint64_t budget_bytes; /* of the ledger; 0: no limit */
    struct trp_ledger *ledger;
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

static inline trp_status make_parts(struct fixture *f, struct trp_error *err)
{
    const struct trp_alloc *heap = trp_heap();
    const struct trp_loop_opts loop = { .name = "control", .clock = &f->clock };
    TRP_CHECK(trp_loop_create(heap, &loop, &f->loop, err));
    /* Loaders write, too: the log's clock is the system's. */
    TRP_CHECK(trp_log_create(heap, trp_clock_system(), f->log_fd, &f->log, err));
    TRP_CHECK(trp_metrics_create(heap, 4, &f->metrics, err));
    static const struct troupe_option two = { "echo.devices", "2" };
    const struct trp_backends_opts backends = {
        .clock = trp_clock_system(), .log = f->log, .options = &two, .options_n = 1
    };
    TRP_CHECK(trp_backends_create(heap, &backends, &f->backends, err));
    /* Executors look at the time on threads of their own. */
    const struct trp_exec_opts exec = { .executors_n = 1,
                                        .loops_n = 1,
                                        .queue_max = 10,
                                        .model_queue_max = 10,
                                        .clock = trp_clock_system(),
                                        .metrics = f->metrics };
    return trp_exec_create(heap, &exec, &f->exec, err);
}

static inline int tear_down(void **state);

static inline int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct trp_error err = { 0 };
    scratch_folder(f->base, "life");
    (void)snprintf(f->root, sizeof f->root, "%s/repo", f->base);
    (void)snprintf(f->log_path, sizeof f->log_path, "%s/log", f->base);
    assert_int_equal(mkdir(f->root, 0755), 0);
    f->log_fd = open(f->log_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    f->now_ns = TRP_S(1000);
    f->clock = (struct trp_clock){ .now_ns = fixture_now, .wall_ns = fixture_now, .user = f };
    trp_account_init(&f->weights, TRP_ACCOUNT_WEIGHTS, NULL, 0);
    trp_account_init(&f->activations, TRP_ACCOUNT_ACTIVATIONS, NULL, 0);
    f->opts = (struct trp_life_opts){ .repo = { .path = f->root,
                                                .models_max = 5000,
                                                .versions_max = 20,
                                                .config_bytes_max = 1 << 16,
                                                .load_default = TRP_LOAD_STARTUP },
                                      .loaders_n = 2,
                                      .load_ns_max = TRP_S(600),
                                      .warmup_input_bytes_max = 1 << 20,
                                      .poll_ns = TRP_S(15),
                                      .settle_ns = TRP_MS(500),
                                      .stay_ns = TRP_S(10),
                                      .clock = &f->clock,
                                      .weights = &f->weights,
                                      .activations = &f->activations,
                                      .readers_n = READERS,
                                      .publish = note_published,
                                      .publish_user = f };
    *state = f;
    if (!trp_failed(make_parts(f, &err)))
        return 0;
    (void)tear_down(state); /* cmocka does not, after a set-up that failed */
    return -1;
}

static inline void create_on(struct fixture *f, const struct trp_alloc *alloc)
{
    struct trp_error err = { 0 };
    const struct trp_ledger_opts ledger = { .limit = { { f->budget_bytes } } };
    must(trp_ledger_create(trp_heap(), &ledger, &f->ledger, &err), &err);
    f->opts.ledger = f->ledger;
    f->opts.control = f->loop;
    f->opts.backends = f->backends;
    f->opts.exec = f->exec;
    f->opts.log = f->log;
    f->opts.metrics = f->metrics;
    must(trp_life_create(alloc, &f->opts, &f->life, &err), &err);
    f->published = 1;
}

/* Life with the options as they are now; nothing is listed yet. */
static inline void create(struct fixture *f)
{
    create_on(f, trp_heap());
}

static inline void turn(struct fixture *f)
{
    struct trp_error err = { 0 };
    f->now_ns += TRP_MS(1);
    must(trp_loop_turn(f->loop, TRP_MS(1), &err), &err);
    if (f->life && !f->readers_sleep)
        acknowledge(f);
}

/* Turns until `condition` holds; TURNS_MAX milliseconds of real time, or a little more, are the
 * limit. */
#define pump(f, condition)                                   \
    do {                                                     \
        int turns_ = 0;                                      \
        while (!(condition)) {                               \
            turn(f);                                         \
            if (++turns_ > TURNS_MAX)                        \
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
    if (f->ledger) {
        struct trp_budget budget;
        trp_ledger_look(f->ledger, &budget);
        assert_int_equal(trp_budget_used(&budget).of[TRP_RESOURCE_BYTES], 0);
    }
    trp_ledger_destroy(f->ledger);
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

#define WITH_LIFE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif

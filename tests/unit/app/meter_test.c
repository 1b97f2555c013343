/* The meter: what the process uses beyond its accounts counts against the budget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/meter.h"
#include "scratch.h"

#define MIB (UINT64_C(1) << 20)

struct world {
    char root[SCRATCH_PATH_MAX];
    int64_t now_ns;
    struct trp_clock clock;
    struct trp_ledger *ledger;
    struct trp_headrooms *headrooms;
    struct trp_account accounts[TRP_ACCOUNT_KINDS], *list[TRP_ACCOUNT_KINDS];
    struct trp_usage usage;
    struct trp_meter meter;
    struct trp_amounts asked; /* the last time */
    int asked_n;
};

static int64_t now_ns(void *user)
{
    return ((struct world *)user)->now_ns;
}

static void keep_asked(void *user, struct trp_amounts need)
{
    ((struct world *)user)->asked = need;
    ((struct world *)user)->asked_n++;
}

static void put(const struct world *w, const char *name, const char *text)
{
    char path[SCRATCH_PATH_MAX + 64];
    (void)snprintf(path, sizeof path, "%s/proc", w->root);
    (void)mkdir(path, 0755);
    (void)snprintf(path, sizeof path, "%s/proc/self", w->root);
    (void)mkdir(path, 0755);
    (void)snprintf(path, sizeof path, "%s/proc/self/%s", w->root, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

/* The process takes so much: private pages, those of files, and these in parts. */
static void take(const struct world *w, uint64_t private_mib, uint64_t file_mib, uint64_t share_mib)
{
    char text[256];
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), pages = MIB / page;
    (void)snprintf(text, sizeof text, "99999 %llu %llu 1 0 1 0\n",
                   (unsigned long long)((private_mib + file_mib) * pages),
                   (unsigned long long)(file_mib * pages));
    put(w, "statm", text);
    (void)snprintf(text, sizeof text, "[rollup]\nRss: 1 kB\nPss: %llu kB\n",
                   (unsigned long long)((private_mib + share_mib) * 1024));
    put(w, "smaps_rollup", text);
}

static int set_up(void **state)
{
    static struct world w;
    w = (struct world){ .now_ns = TRP_S(1) };
    w.clock = (struct trp_clock){ now_ns, now_ns, &w };
    scratch_folder(w.root, "meter");
    for (int i = 0; i < TRP_ACCOUNT_KINDS; i++) {
        trp_account_init(&w.accounts[i], (enum trp_account_kind)i, NULL, 0);
        w.list[i] = &w.accounts[i];
    }
    const struct trp_ledger_opts limits = { .limit = { { 100 * MIB } } };
    assert_false(trp_failed(trp_ledger_create(trp_heap(), &limits, &w.ledger, NULL)));
    trp_ledger_count(w.ledger, &w.accounts[TRP_ACCOUNT_REQUEST], 2 * MIB);
    trp_ledger_on_short(w.ledger, keep_asked, &w);
    const struct trp_headrooms_opts runs = { .ledger = w.ledger };
    assert_false(trp_failed(trp_headrooms_create(trp_heap(), &runs, &w.headrooms, NULL)));
    const struct trp_meter_opts opts = { .root = w.root,
                                         .interval_ns = TRP_MS(10),
                                         .clock = &w.clock,
                                         .ledger = w.ledger,
                                         .headrooms = w.headrooms,
                                         .accounts = w.list,
                                         .usage = &w.usage };
    assert_false(trp_failed(trp_meter_init(&w.meter, trp_heap(), &opts, NULL)));
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    static const char *const names[] = { "/proc/self/statm", "/proc/self/smaps_rollup",
                                         "/proc/self", "/proc", "" };
    trp_meter_deinit(&w->meter);
    trp_headrooms_destroy(w->headrooms);
    trp_ledger_destroy(w->ledger);
    for (int i = 0; i < TRP_ACCOUNT_KINDS; i++)
        trp_account_deinit(&w->accounts[i]);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[SCRATCH_PATH_MAX + 64];
        (void)snprintf(path, sizeof path, "%s%s", w->root, names[i]);
        (void)remove(path);
    }
    return 0;
}

static uint64_t fixed(struct world *w)
{
    struct trp_budget b;
    trp_ledger_look(w->ledger, &b);
    return b.fixed.of[TRP_RESOURCE_BYTES];
}

static void look(struct world *w)
{
    w->now_ns += TRP_S(1);
    trp_meter_look(&w->meter);
}

static void what_no_account_knows_counts_as_fixed(void **state)
{
    struct world *w = *state;
    assert_true(trp_account_try_charge(&w->accounts[TRP_ACCOUNT_WEIGHTS], 20 * MIB));
    take(w, 50, 0, 0);
    look(w);
    assert_int_equal(fixed(w), 32 * MIB); /* 30 of the program's own, 2 kept for requests */
    assert_int_equal(trp_counter_get(&w->usage.unaccounted_bytes), 30 * MIB);
    assert_true(trp_account_try_charge(&w->accounts[TRP_ACCOUNT_REQUEST], 5 * MIB));
    assert_int_equal(fixed(w), 35 * MIB); /* at once, without a look */
    assert_true(trp_account_try_charge(&w->accounts[TRP_ACCOUNT_ACTIVATIONS], 3 * MIB));
    take(w, 58, 0, 0);
    look(w);
    assert_int_equal(fixed(w), 38 * MIB); /* runs that asked nobody */
    assert_int_equal(w->asked_n, 0);
    trp_account_discharge(&w->accounts[TRP_ACCOUNT_WEIGHTS], 20 * MIB);
    trp_account_discharge(&w->accounts[TRP_ACCOUNT_REQUEST], 5 * MIB);
    trp_account_discharge(&w->accounts[TRP_ACCOUNT_ACTIVATIONS], 3 * MIB);
}

static void mapped_weights_that_nobody_has_read_hide_nothing_private(void **state)
{
    struct world *w = *state;
    assert_true(trp_account_try_charge(&w->accounts[TRP_ACCOUNT_WEIGHTS], 10 * MIB));
    assert_true(trp_account_try_charge(&w->accounts[TRP_ACCOUNT_SHARED], 60 * MIB));
    take(w, 30, 10, 10);
    look(w);
    assert_int_equal(fixed(w), 22 * MIB); /* 20 of the program's own, 2 kept for requests */
    trp_account_discharge(&w->accounts[TRP_ACCOUNT_WEIGHTS], 10 * MIB);
    trp_account_discharge(&w->accounts[TRP_ACCOUNT_SHARED], 60 * MIB);
}

static void whoever_can_make_room_hears_when_there_is_too_much(void **state)
{
    struct world *w = *state;
    take(w, 150, 0, 0);
    look(w);
    assert_int_equal(w->asked_n, 1);
    assert_true(trp_amounts_is_zero(w->asked)); /* how much it is, the ledger says */
}

/* What the log says, in `text`. */
static void read_log(int fd, char *text, size_t size)
{
    const ssize_t n = pread(fd, text, size - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
}

static void a_budget_that_the_process_fills_is_told_once(void **state)
{
    struct world *w = *state;
    char text[2048];
    const int fd = memfd_create("log", 0);
    assert_true(fd >= 0);
    if (trp_failed(trp_log_create(trp_heap(), &w->clock, fd, &w->meter.opts.log, NULL))) {
        (void)close(fd);
        return;
    }
    trp_log_enable(w->meter.opts.log, TRP_LOG_WARNING, true);
    assert_true(trp_account_try_charge(&w->accounts[TRP_ACCOUNT_WEIGHTS], 60 * MIB));
    take(w, 120, 0, 0); /* of models, most of it: too much, but not hopeless */
    look(w);
    read_log(fd, text, sizeof text);
    assert_string_equal(text, "");
    take(w, 160, 0, 0);
    for (int i = 0; i < 2 * TRP_USAGE_SAMPLES; i++) /* a moment's excess is not believed */
        look(w);
    read_log(fd, text, sizeof text);
    const char *said = strstr(text, "memory.budget is too small: it is 104857600 bytes, and the "
                                    "process itself takes 106954752;");
    assert_non_null(said);
    assert_null(strstr(said + 1, "memory.budget"));
    trp_account_discharge(&w->accounts[TRP_ACCOUNT_WEIGHTS], 60 * MIB);
    trp_log_destroy(w->meter.opts.log);
    w->meter.opts.log = NULL;
    (void)close(fd);
}

static void pages_that_are_shared_count_in_parts(void **state)
{
    struct world *w = *state;
    take(w, 10, 40, 20); /* two processes have the files */
    look(w);
    assert_int_equal(trp_counter_get(&w->usage.process_bytes), 30 * MIB);
    w->meter.next_measure_ns = INT64_MAX; /* no look at every page for now */
    take(w, 10, 80, 80);
    look(w);
    assert_int_equal(trp_counter_get(&w->usage.process_bytes), 50 * MIB); /* in proportion */
}

static void a_kernel_that_says_nothing_leaves_the_accounts(void **state)
{
    struct world *w = *state;
    look(w); /* no files at all */
    assert_int_equal(fixed(w), 2 * MIB);
}

static void the_thread_looks_by_itself(void **state)
{
    struct world *w = *state;
    struct trp_meter_opts opts = w->meter.opts;
    opts.root = "";
    opts.clock = trp_clock_system();
    trp_meter_deinit(&w->meter);
    if (trp_failed(trp_meter_init(&w->meter, trp_heap(), &opts, NULL)))
        return;
    if (trp_failed(trp_meter_start(&w->meter, NULL)))
        return;
    for (int i = 0; i < 3000 && trp_counter_get(&w->usage.process_bytes) == 0; i++)
        usleep(10000);
    trp_meter_stop(&w->meter);
    trp_meter_stop(&w->meter); /* a second time there is nothing to do */
    assert_true(trp_counter_get(&w->usage.process_bytes) > 0);
}

int main(void)
{
#define METER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        METER_TEST(what_no_account_knows_counts_as_fixed),
        METER_TEST(mapped_weights_that_nobody_has_read_hide_nothing_private),
        METER_TEST(whoever_can_make_room_hears_when_there_is_too_much),
        METER_TEST(a_budget_that_the_process_fills_is_told_once),
        METER_TEST(pages_that_are_shared_count_in_parts),
        METER_TEST(a_kernel_that_says_nothing_leaves_the_accounts),
        METER_TEST(the_thread_looks_by_itself),
    };
    return cmocka_run_group_tests_name("meter", tests, NULL, NULL);
}

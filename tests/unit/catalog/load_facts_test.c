/* What rules see of models and of the server: from counters, over time. */
#include "catalog/load_facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/thread.h"

struct world {
    int64_t now_ns, used_ns;
    struct trp_clock clock;
    struct trp_loop *control;
    struct trp_metrics *metrics;
    struct trp_ledger *ledger;
    struct trp_registry *registry;
    struct trp_load_facts *facts;
    const struct trp_load_view *view;
    struct trp_version *versions[8];
    uint32_t versions_n;
    struct trp_directory_seat seat;
    struct trp_directories directories;
};

static int64_t now(void *user)
{
    return ((struct world *)user)->now_ns;
}

static int64_t used(void *user)
{
    return ((struct world *)user)->used_ns;
}

#define OK(call)                      \
    do {                              \
        struct trp_error err = { 0 }; \
        if (trp_failed(call))         \
            fail_msg("%s", err.text); \
    } while (0)

static int begin(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    *state = w;
    w->now_ns = TRP_S(100);
    w->clock = (struct trp_clock){ now, now, w };
    const struct trp_ledger_opts ledger = { .limit = { { 1000 } }, .fixed = { { 250 } } };
    const struct trp_loop_opts loop = { .name = "control", .clock = &w->clock };
    OK(trp_loop_create(trp_heap(), &loop, &w->control, &err));
    OK(trp_metrics_create(trp_heap(), 1, &w->metrics, &err));
    OK(trp_ledger_create(trp_heap(), &ledger, &w->ledger, &err));
    OK(trp_registry_create(trp_heap(), 0, &w->registry, &err));
    const struct trp_load_facts_opts opts = { .control = w->control,
                                              .clock = &w->clock,
                                              .interval_ns = TRP_MS(100),
                                              .processors = 2,
                                              .ledger = w->ledger,
                                              .metrics = w->metrics,
                                              .directories = &w->directories,
                                              .used_ns = used,
                                              .user = w };
    OK(trp_load_facts_create(trp_heap(), &opts, &w->facts, &err));
    w->view = trp_load_facts_view(w->facts);
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    trp_load_facts_destroy(w->facts);
    trp_registry_destroy(w->registry);
    for (uint32_t i = 0; i < w->versions_n; i++)
        trp_version_unref(w->versions[i]);
    trp_ledger_destroy(w->ledger);
    trp_metrics_destroy(w->metrics);
    trp_loop_destroy(w->control);
    free(w);
    return 0;
}

static struct trp_version *make_version(struct world *w, int64_t number)
{
    const struct trp_version_opts opts = { .model = TRP_STR_LIT("m"), .number = number };
    struct trp_version *v;
    OK(trp_version_create(trp_heap(), &opts, &v, &err));
    w->versions[w->versions_n++] = v;
    OK(trp_lifecycle_move(&v->life, TRP_MODEL_LOADING, 1, &err));
    OK(trp_lifecycle_move(&v->life, TRP_MODEL_WARMING, 2, &err));
    OK(trp_lifecycle_move(&v->life, TRP_MODEL_READY, 3, &err));
    return v;
}

static void show(struct world *w, struct trp_version *const *versions, uint32_t n)
{
    const struct trp_entry e = { .name = TRP_STR_LIT("m"), .versions = versions, .versions_n = n };
    OK(trp_registry_put(w->registry, &e, &err));
    trp_load_facts_show(w->facts, trp_registry_publish(w->registry));
}

static void answer(struct trp_version *v, uint32_t n, int64_t ns, int32_t code)
{
    for (uint32_t i = 0; i < n; i++) {
        trp_histogram_add(&v->stats->total, ns);
        trp_duration_add(code == TRP_OK ? &v->stats->success : &v->stats->fail, ns);
        if (code != TRP_OK)
            trp_counter_add(&v->stats->errors[code], 1);
    }
}

static struct trp_model_load look(struct world *w)
{
    struct trp_model_load m;
    trp_load_facts_look(w->facts);
    assert_true(w->view->model(w->view->user, 0, TRP_STR_LIT("m"), &m));
    return m;
}

static void watch(struct world *w, const char *name)
{
    OK(w->view->watch(w->view->user, trp_str_of(name), &err));
}

static bool is_near(double a, double b)
{
    return fabs(a - b) < 1e-5;
}

static void a_window_forgets_what_is_older(void **state)
{
    struct world *w = *state;
    struct trp_version *v = make_version(w, 1);
    show(w, &v, 1);
    answer(v, 500, TRP_MS(700), TRP_INTERNAL); /* before anybody asked */
    watch(w, "m");
    struct trp_model_load m = look(w);
    assert_true(m.ready);
    assert_int_equal(m.requests, 0);
    assert_true(m.p50_ns < 0 && m.p99_ns < 0);
    assert_true(m.error_ratio == 0);
    answer(v, 90, TRP_MS(3), TRP_OK);  /* bucket 2..5 ms */
    answer(v, 10, TRP_MS(30), TRP_OK); /* 20..50 ms */
    m = look(w);
    assert_int_equal(m.requests, 100);
    assert_in_range(m.p50_ns, TRP_MS(2), TRP_MS(5));
    assert_in_range(m.p99_ns, TRP_MS(40), TRP_MS(50)); /* nine of ten of the bucket's */
    w->now_ns += TRP_S(5);
    answer(v, 100, TRP_US(3), TRP_OK);
    m = look(w);
    assert_int_equal(m.requests, 200);
    assert_true(m.p50_ns <= TRP_US(5));
    w->now_ns += TRP_S(6);
    m = look(w); /* the first hundred are older than ten seconds and one */
    assert_int_equal(m.requests, 100);
    assert_true(m.p99_ns <= TRP_US(5));
    w->now_ns += TRP_S(3600);
    m = look(w);
    assert_int_equal(m.requests, 0);
    assert_true(m.p99_ns < 0);
}

static void errors_are_those_that_the_server_answers_for(void **state)
{
    struct world *w = *state;
    struct trp_version *v = make_version(w, 1);
    show(w, &v, 1);
    watch(w, "m");
    answer(v, 60, TRP_MS(1), TRP_OK);
    answer(v, 20, TRP_MS(1), TRP_INVALID_ARGUMENT); /* the client's own */
    answer(v, 10, TRP_MS(1), TRP_INTERNAL);
    answer(v, 10, TRP_MS(1), TRP_QUEUE_FULL);
    const struct trp_model_load m = look(w);
    assert_int_equal(m.requests, 100);
    assert_true(is_near(m.error_ratio, 0.2));
}

static void versions_count_together_and_may_be_replaced(void **state)
{
    struct world *w = *state;
    struct trp_version *both[2] = { make_version(w, 1), make_version(w, 2) };
    show(w, both, 1);
    watch(w, "m");
    answer(both[0], 10, TRP_MS(1), TRP_OK);
    show(w, both, 2);
    answer(both[1], 7, TRP_MS(1), TRP_OK); /* it is new: all of its counts are of the window */
    assert_int_equal(look(w).requests, 17);
    show(w, both + 1, 1); /* the old one goes, and what it has counted stays */
    answer(both[1], 3, TRP_MS(1), TRP_OK);
    assert_int_equal(look(w).requests, 20);
    assert_true(trp_account_try_charge(&both[1]->weights, 4096));
    assert_int_equal(look(w).bytes, 4096);
    trp_account_discharge(&both[1]->weights, 4096);
}

static void a_label_or_a_number_means_one_version(void **state)
{
    struct world *w = *state;
    struct trp_version *both[2] = { make_version(w, 1), make_version(w, 2) };
    const struct trp_version_label canary = { .name = TRP_STR_LIT("canary"), .version = 2 };
    const struct trp_entry e = { .name = TRP_STR_LIT("m"),
                                 .versions = both,
                                 .versions_n = 2,
                                 .labels = &canary,
                                 .labels_n = 1 };
    static const struct row {
        const char *name;
        uint64_t want;
        bool is_known;
    } rows[] = { { "m", 12, true },         { "m@canary", 5, true }, { "m@1", 7, true },
                 { "m@2", 5, true },        { "m@3", 0, false },     { "m@stable", 0, false },
                 { "m@", 0, false },        { "@canary", 0, false }, { "n@canary", 0, false },
                 { "m@c@canary", 0, false } };
    OK(trp_registry_put(w->registry, &e, &err));
    trp_load_facts_show(w->facts, trp_registry_publish(w->registry));
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++)
        watch(w, r->name);
    answer(both[0], 7, TRP_MS(1), TRP_OK);
    answer(both[1], 5, TRP_MS(1), TRP_OK);
    trp_load_facts_look(w->facts);
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_model_load m = { .requests = 0 };
        print_message("'%s'\n", r->name);
        assert_int_equal(w->view->model(w->view->user, 0, trp_str_of(r->name), &m), r->is_known);
        assert_int_equal(m.requests, r->want);
    }
}

static void what_is_not_watched_or_not_there_is_not_known(void **state)
{
    struct world *w = *state;
    struct trp_version *v = make_version(w, 1);
    struct trp_model_load m;
    const struct trp_str name = TRP_STR_LIT("m");
    show(w, &v, 1);
    trp_load_facts_look(w->facts);
    assert_false(w->view->model(w->view->user, 0, name, &m));
    watch(w, "m");
    assert_true(w->view->model(w->view->user, 0, name, &m)); /* at once */
    watch(w, "n");
    assert_false(w->view->model(w->view->user, 0, TRP_STR_LIT("n"), &m));
    assert_false(w->view->model(w->view->user, 0, TRP_STR_LIT(""), &m));
    watch(w, "m");
    w->view->unwatch(w->view->user, name);
    assert_true(w->view->model(w->view->user, 0, name, &m)); /* one of two is left */
    w->view->unwatch(w->view->user, name);
    assert_false(w->view->model(w->view->user, 0, name, &m));
    answer(v, 5, TRP_MS(1), TRP_OK);
    watch(w, "m"); /* again: from here on */
    assert_int_equal(look(w).requests, 0);
    OK(trp_registry_remove(w->registry, name, &err));
    trp_load_facts_show(w->facts, trp_registry_publish(w->registry));
    trp_load_facts_look(w->facts);
    assert_false(w->view->model(w->view->user, 0, name, &m));
}

static void there_is_room_for_so_many_names(void **state)
{
    struct world *w = *state;
    struct trp_error err = { .text = "" };
    char name[16];
    for (uint32_t i = 0; i < TRP_LOAD_VIEW_MODELS_MAX; i++) {
        (void)snprintf(name, sizeof name, "m%u", i);
        watch(w, name);
    }
    assert_int_equal(w->view->watch(w->view->user, TRP_STR_LIT("more"), &err).code, TRP_TOO_LARGE);
    assert_non_null(strstr(err.text, "no room for 'more'"));
    watch(w, "m77"); /* who is there stays */
}

static struct trp_server_load server(struct world *w)
{
    struct trp_server_load s;
    trp_load_facts_look(w->facts);
    w->view->server(w->view->user, &s);
    return s;
}

static void the_server_tells_its_last_second(void **state)
{
    struct world *w = *state;
    assert_true(server(w).cpu_ratio == 0);
    assert_true(is_near(server(w).memory_ratio, 0.25));
    for (int i = 0; i < 30; i++) { /* three seconds with one of two processors busy */
        w->now_ns += TRP_MS(100);
        w->used_ns += TRP_MS(100);
        (void)server(w);
    }
    assert_true(is_near(server(w).cpu_ratio, 0.5));
    for (int i = 0; i < 20; i++) { /* the second of it that counts is idle */
        w->now_ns += TRP_MS(100);
        (void)server(w);
    }
    assert_true(server(w).cpu_ratio == 0);
    w->now_ns += TRP_MS(100);
    w->used_ns += TRP_S(1000); /* two clocks are not one: never more than all */
    assert_true(server(w).cpu_ratio <= 1);
    w->used_ns = 0; /* a worker has gone, with all that it had used */
    w->now_ns += TRP_S(2);
    assert_true(server(w).cpu_ratio == 0);
    trp_metrics_add(w->metrics, TRP_METRIC_IN_FLIGHT, 3);
    assert_int_equal(server(w).in_flight, 3);
}

static void looks_are_made_by_time(void **state)
{
    struct world *w = *state;
    struct trp_version *v = make_version(w, 1);
    struct trp_model_load m;
    show(w, &v, 1);
    watch(w, "m");
    OK(trp_load_facts_start(w->facts, &err));
    answer(v, 5, TRP_MS(1), TRP_OK);
    w->now_ns += TRP_MS(101);
    OK(trp_loop_turn(w->control, 0, &err));
    assert_true(w->view->model(w->view->user, 0, TRP_STR_LIT("m"), &m));
    assert_int_equal(m.requests, 5);
    trp_load_facts_stop(w->facts);
}

/* A composition, which is ready while somebody says so. */
static struct {
    struct trp_target target;
    struct trp_stats stats;
    bool is_ready;
} pair;

static struct trp_stats *pair_stats(struct trp_target *t)
{
    (void)t;
    return &pair.stats;
}

static trp_status pair_describe(const struct trp_target *t, uint32_t loop_index,
                                struct trp_arena *arena, struct trp_signature *out,
                                struct trp_error *err)
{
    (void)t;
    (void)loop_index;
    (void)arena;
    assert_null(out);
    return pair.is_ready ? trp_ok() : trp_fail(err, TRP_NOT_READY, "one is not there");
}

static void hold(struct trp_target *t)
{
    assert_ptr_equal(t, &pair.target);
}

static void a_composition_has_times_and_errors_but_no_queue(void **state)
{
    static const struct trp_target_ops ops = { .stats = pair_stats, .describe = pair_describe };
    struct world *w = *state;
    struct trp_version *v = make_version(w, 1);
    struct trp_directory_item item = { .name = TRP_STR_LIT("m"),
                                       .kind = "ensemble",
                                       .target = &pair.target,
                                       .retain = hold,
                                       .release = hold };
    struct trp_model_load m;
    show(w, &v, 1); /* is hidden by the composition of its name */
    answer(v, 5, TRP_MS(700), TRP_INTERNAL);
    pair.target = (struct trp_target){ .ops = &ops, .name = item.name, .version = 1 };
    OK(trp_directory_build(trp_heap(), &item, 1, trp_str_of(""), &w->seat.held, &err));
    w->directories = (struct trp_directories){ .seats = &w->seat, .n = 1, .newest = w->seat.held };
    watch(w, "m");
    trp_histogram_add(&pair.stats.total, TRP_MS(20));
    trp_duration_add(&pair.stats.success, TRP_MS(20));
    trp_duration_add(&pair.stats.fail, TRP_MS(20));
    trp_counter_add(&pair.stats.errors[TRP_INTERNAL], 1);
    m = look(w);
    assert_true(m.is_composed);
    assert_true(is_near(m.error_ratio, 0.5));
    assert_true(m.p99_ns > TRP_MS(10) && m.p99_ns < TRP_MS(40));
    assert_false(w->view->ready(w->view->user, 0, item.name));
    pair.is_ready = true;
    assert_true(w->view->ready(w->view->user, 0, item.name));
    assert_false(w->view->ready(w->view->user, 0, TRP_STR_LIT("nobody")));
    trp_directory_unref(w->seat.held);
    w->directories = (struct trp_directories){ .n = 0 }; /* it has gone: the model is seen */
    m = look(w);
    assert_false(m.is_composed);
}

struct reader {
    struct trp_thread thread;
    const struct trp_load_view *view;
    struct trp_flag stop;
};

static void read_on(void *user)
{
    struct reader *r = user;
    struct trp_model_load m;
    struct trp_server_load s;
    while (!trp_flag_is_up(&r->stop)) {
        (void)r->view->model(r->view->user, 1, TRP_STR_LIT("m"), &m);
        (void)r->view->model(r->view->user, 1, TRP_STR_LIT("m17"), &m);
        r->view->server(r->view->user, &s);
    }
}

static void loops_read_while_control_looks_and_watches(void **state)
{
    struct world *w = *state;
    struct reader r = { .view = w->view };
    struct trp_version *v = make_version(w, 1);
    char name[16];
    OK(trp_thread_start(&r.thread, "reader", read_on, &r, &err));
    show(w, &v, 1);
    for (uint32_t i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof name, "m%u", i);
        watch(w, i == 150 ? "m" : name);
        answer(v, 1, TRP_MS(1), TRP_OK);
        w->now_ns += TRP_MS(50);
        trp_load_facts_look(w->facts);
    }
    trp_flag_raise(&r.stop);
    trp_thread_join(&r.thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_window_forgets_what_is_older, begin, end),
        cmocka_unit_test_setup_teardown(errors_are_those_that_the_server_answers_for, begin, end),
        cmocka_unit_test_setup_teardown(versions_count_together_and_may_be_replaced, begin, end),
        cmocka_unit_test_setup_teardown(a_label_or_a_number_means_one_version, begin, end),
        cmocka_unit_test_setup_teardown(what_is_not_watched_or_not_there_is_not_known, begin, end),
        cmocka_unit_test_setup_teardown(there_is_room_for_so_many_names, begin, end),
        cmocka_unit_test_setup_teardown(the_server_tells_its_last_second, begin, end),
        cmocka_unit_test_setup_teardown(a_composition_has_times_and_errors_but_no_queue, begin,
                                        end),
        cmocka_unit_test_setup_teardown(looks_are_made_by_time, begin, end),
        cmocka_unit_test_setup_teardown(loops_read_while_control_looks_and_watches, begin, end),
    };
    return cmocka_run_group_tests_name("load_facts", tests, NULL, NULL);
}

/* The page of metrics: written in steps, so that a thousand models that are asked hold nobody
 * up; the same whatever the steps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "admin/admin_internal.h"
#include "model/registry.h"
#include "unit/base/scarce.h"

#define MODELS 1000u
#define HISTOGRAMS 5u
#define NAMES 30u

/* A route, as far as a page of metrics knows one. */
struct fake_name {
    struct trp_target target; /* first */
    struct trp_stats stats;
    char text[16];
    uint32_t held_n;
};

struct fixture {
    struct trp_admin admin;
    struct trp_clock clock;
    int64_t now_ns, step_ns; /* a clock that moves on whenever it is read */
    struct trp_loop *loop;
    struct trp_registry *registry;
    struct trp_directory *directory; /* NULL: no routes */
    struct fake_name names[NAMES];
    struct trp_arena arena;
    struct trp_control control;
    struct scarce memory; /* of the request */
    uint32_t done_n;
    struct trp_buf text;
    char *page; /* in it, terminated */
    size_t page_n;
    int32_t code;
};

static int64_t now(void *user)
{
    struct fixture *f = user;
    return f->now_ns += f->step_ns;
}

static const struct trp_snapshot *current(void *user, uint32_t loop_index)
{
    (void)loop_index;
    return trp_registry_current(((struct fixture *)user)->registry);
}

static const struct trp_directory *directory_of(void *user, uint32_t loop_index)
{
    (void)loop_index;
    return ((struct fixture *)user)->directory;
}

static struct trp_stats *name_stats(struct trp_target *t)
{
    return &((struct fake_name *)t)->stats;
}

static void retain_name(struct trp_target *t)
{
    ((struct fake_name *)t)->held_n++;
}

static void release_name(struct trp_target *t)
{
    struct fake_name *n = (struct fake_name *)t;
    assert_true(n->held_n > 0);
    n->held_n--;
}

static const struct trp_target_ops name_ops = { .stats = name_stats };

/* Routes name-00, name-01, ...: the first was answered once, the second twice, ...; and a name
 * that nothing answers. */
static void add_names(struct fixture *f, uint32_t n)
{
    struct trp_directory_item items[NAMES + 1];
    assert_true(n <= NAMES);
    for (uint32_t i = 0; i < n; i++) {
        struct fake_name *name = &f->names[i];
        (void)snprintf(name->text, sizeof name->text, "name-%02u", i);
        name->target =
            (struct trp_target){ .name = trp_str_of(name->text), .version = 1, .ops = &name_ops };
        for (uint32_t k = 0; k <= i; k++) {
            trp_duration_add(&name->stats.success, TRP_MS(3));
            trp_histogram_add(&name->stats.total, TRP_MS(3));
        }
        trp_stats_add_batch(&name->stats, 2, 0, 0, 0);
        items[i] = (struct trp_directory_item){ .name = name->target.name,
                                                .kind = "route",
                                                .target = &name->target,
                                                .retain = retain_name,
                                                .release = release_name };
    }
    items[n] = (struct trp_directory_item){ .name = TRP_STR_LIT("broken"),
                                            .kind = "pipeline",
                                            .reason = TRP_STR_LIT("it is wrong") };
    assert_int_equal(trp_directory_build(trp_heap(), items, n + 1, (struct trp_str){ "", 0 },
                                         &f->directory, NULL)
                         .code,
                     TRP_OK);
}

static void drop_names(struct fixture *f)
{
    trp_directory_unref(f->directory);
    f->directory = NULL;
}

static void drop_page(struct fixture *f)
{
    if (f->text.alloc)
        trp_buf_deinit(&f->text);
    f->page = NULL;
}

static void take_page(struct trp_control *c, void *user)
{
    struct fixture *f = user;
    f->done_n++;
    f->code = c->error.status.code;
    if (f->code != TRP_OK)
        return;
    trp_buf_add_char(c->page, '\0');
    f->text = *c->page; /* as an encoder does: no copy */
    f->page = f->text.ptr;
    f->page_n = f->text.len - 1;
    trp_buf_init(c->page, f->text.alloc, f->text.max);
}

/* As many histograms as the version has, with a sample in every bucket. */
static void use_version(struct trp_version *v, int64_t now_ns)
{
    trp_counter_set(&v->stats->last_asked_ns, (uint64_t)now_ns);
    struct trp_histogram *all[HISTOGRAMS] = { &v->stats->decode, &v->stats->wait,
                                              &v->stats->compute, &v->stats->encode,
                                              &v->stats->total };
    for (uint32_t i = 0; i < HISTOGRAMS; i++)
        for (uint32_t bucket = 0; bucket < TRP_HISTOGRAM_BUCKETS; bucket++)
            trp_counter_add(&all[i]->buckets[bucket], 1);
    trp_stats_add_batch(v->stats, 3, 0, 0, 0);
    trp_duration_add(&v->stats->success, TRP_MS(1));
    trp_duration_add(&v->stats->fail, TRP_MS(1));
    trp_counter_add(&v->stats->errors[TRP_QUEUE_FULL], 2);
}

static struct trp_version *add_model(struct fixture *f, uint32_t i, bool is_ready)
{
    char name[32];
    struct trp_version *v = NULL;
    const int64_t now_ns = trp_clock_now_ns(f->admin.opts.clock);
    snprintf(name, sizeof name, "model-%04u", i);
    const struct trp_version_opts opts = { .model = trp_str_of(name), .number = 1 };
    assert_int_equal(trp_version_create(trp_heap(), &opts, &v, NULL).code, TRP_OK);
    if (is_ready) {
        static const enum trp_model_state way[] = { TRP_MODEL_LOADING, TRP_MODEL_WARMING,
                                                    TRP_MODEL_READY };
        for (size_t n = 0; n < ARRAY_LEN(way); n++)
            assert_int_equal(trp_lifecycle_move(&v->life, way[n], now_ns, NULL).code, TRP_OK);
        use_version(v, now_ns);
    }
    struct trp_version *const versions[] = { v };
    const struct trp_entry e = { .name = trp_str_of(name), .versions = versions, .versions_n = 1 };
    assert_int_equal(trp_registry_put(f->registry, &e, NULL).code, TRP_OK);
    trp_version_unref(v); /* the registry's now */
    return v;
}

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){ 0 };
    f.clock = (struct trp_clock){ now, now, &f };
    const struct trp_loop_opts loop = { .name = "test" };
    const struct trp_trace_opts trace = { .file = "" };
    struct trp_admin_opts *o = &f.admin.opts;
    assert_int_equal(trp_loop_create(trp_heap(), &loop, &f.loop, NULL).code, TRP_OK);
    assert_int_equal(trp_metrics_create(trp_heap(), 1, &o->metrics, NULL).code, TRP_OK);
    assert_int_equal(trp_trace_create(trp_heap(), &trace, &o->trace, NULL).code, TRP_OK);
    assert_int_equal(trp_registry_create(trp_heap(), 0, &f.registry, NULL).code, TRP_OK);
    f.admin.alloc = trp_heap();
    o->clock = &f.clock;
    o->metrics_models_max = MODELS;
    o->snapshot = current;
    o->snapshot_user = &f;
    o->directory = directory_of;
    o->directory_user = &f;
    trp_arena_init(&f.arena, scarce_init(&f.memory, UINT64_MAX), 4096, 1u << 20);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    drop_page(f);
    drop_names(f);
    for (uint32_t i = 0; i < NAMES; i++)
        assert_int_equal(f->names[i].held_n, 0);
    trp_arena_deinit(&f->arena);
    assert_int_equal(trp_counter_get(&f->memory.out), 0);
    trp_registry_destroy(f->registry);
    trp_trace_destroy(f->admin.opts.trace);
    trp_metrics_destroy(f->admin.opts.metrics);
    trp_loop_destroy(f->loop);
    return 0;
}

static void ask(struct fixture *f)
{
    drop_page(f);
    f->done_n = 0;
    f->control = (struct trp_control){ .op = TRP_CONTROL_METRICS,
                                       .loop = f->loop,
                                       .arena = &f->arena,
                                       .done = take_page,
                                       .done_user = f };
    trp_admin_control(&f->admin, &f->control);
    assert_int_equal(f->done_n, 0); /* never from inside the handler */
}

/* Time of this thread alone: others may have the processor meanwhile. */
static int64_t cpu_ns(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
    return TRP_S((int64_t)t.tv_sec) + t.tv_nsec;
}

/* Turns until the page is there; returns how many, and how long the longest took. */
static uint32_t turn(struct fixture *f, int64_t *out_longest_ns)
{
    uint32_t n = 0;
    *out_longest_ns = 0;
    for (; f->done_n == 0 && n < 1000000; n++) {
        const int64_t begun_ns = cpu_ns();
        assert_int_equal(trp_loop_turn(f->loop, 0, NULL).code, TRP_OK);
        const int64_t took_ns = cpu_ns() - begun_ns;
        *out_longest_ns = took_ns > *out_longest_ns ? took_ns : *out_longest_ns;
    }
    assert_int_equal(f->done_n, 1);
    return n;
}

/* As strstr() and memmem(), which look at all of the page each time under a sanitizer: memchr()
 * stops at what it finds. */
static const char *find(const char *from, const char *end, const char *what)
{
    const size_t len = strlen(what);
    for (const char *at = from; (at = memchr(at, what[0], (size_t)(end - at))) != NULL; at++)
        if (len <= (size_t)(end - at) && memcmp(at, what, len) == 0)
            return at;
    return NULL;
}

static uint32_t count(const struct fixture *f, const char *what)
{
    uint32_t n = 0;
    const char *const end = f->page + f->page_n;
    for (const char *at = f->page; (at = find(at, end, what)) != NULL; at += strlen(what))
        n++;
    return n;
}

static void a_page_of_a_thousand_models_is_written_over_many_turns(void **state)
{
    struct fixture *f = *state;
    int64_t longest_ns;
    f->admin.opts.clock = trp_clock_system();
    for (uint32_t i = 0; i < MODELS; i++)
        add_model(f, i, true);
    trp_registry_publish(f->registry);
    const int64_t begun_ns = cpu_ns();
    ask(f);
    const int64_t asked_ns = cpu_ns() - begun_ns;
    const uint32_t turns = turn(f, &longest_ns);
    print_message("%zu bytes for %u models: %lld us to begin, then %u turns, the longest %lld us\n",
                  f->page_n, MODELS, (long long)asked_ns / 1000, turns,
                  (long long)longest_ns / 1000);
    assert_true(turns > 5); /* how long one took is the machine's; the rows below are ours */
    assert_int_equal(count(f, "_seconds_count{"), HISTOGRAMS * MODELS);
    assert_int_equal(count(f, "le=\"+Inf\""), (HISTOGRAMS + 1) * MODELS);
    assert_int_equal(count(f, ",le=\"2\"} 0\n"), MODELS); /* a run of three rows */
    assert_int_equal(count(f, ",le=\"4\"} 1\n"), MODELS);
    assert_int_equal(count(f, "\ntroupe_run_rows_sum{"), MODELS);
    assert_int_equal(count(f, "\nnv_inference_request_success{"), MODELS);
    assert_int_equal(count(f, "reason=\"QUEUE_FULL\"} 2\n"), MODELS);
    assert_int_equal(count(f, "# TYPE troupe_queue_duration_seconds histogram\n"), 1);
}

static void the_page_is_the_same_whatever_a_turn_has_time_for(void **state)
{
    struct fixture *f = *state;
    int64_t longest_ns;
    for (uint32_t i = 0; i < 20; i++)
        add_model(f, i, i % 4 != 3); /* some are not loaded: no rows */
    trp_registry_publish(f->registry);
    ask(f); /* a clock that stands still: all in one turn */
    assert_int_equal(turn(f, &longest_ns), 1);
    struct trp_buf whole = f->text;
    const char *rows = strstr(whole.ptr, "# HELP nv_inference_request_success");
    f->text = (struct trp_buf){ 0 };
    assert_non_null(rows);
    for (int64_t step_ns = TRP_US(100); step_ns <= TRP_S(1); step_ns *= 10) {
        f->step_ns = step_ns;
        ask(f);
        assert_true(turn(f, &longest_ns) > 20);
        assert_string_equal(strstr(f->page, "# HELP nv_inference_request_success"), rows);
    }
    assert_int_equal(count(f, "\nnv_inference_count{"), 15);
    trp_buf_deinit(&whole);
}

/* The number that a row ends with; the row must be there. */
static uint64_t value_of(const struct fixture *f, const char *row)
{
    const char *at = find(f->page, f->page + f->page_n, row);
    if (!at)
        fail_msg("no row '%s'", row);
    return strtoull(at + strlen(row), NULL, 10);
}

static void write_page(struct fixture *f)
{
    int64_t longest_ns;
    ask(f);
    (void)turn(f, &longest_ns);
}

static void only_so_many_models_have_series_and_the_rest_is_one_sum(void **state)
{
    struct fixture *f = *state;
    f->admin.opts.metrics_models_max = 200;
    for (uint32_t i = 0; i < MODELS; i++) {
        struct trp_version *v = add_model(f, i, true);
        if (i % 5 == 0) /* 200 of them are asked more */
            trp_counter_add(&v->stats->success.count, 2);
        trp_gauge_set(&v->stats->queued, 3);
    }
    trp_registry_publish(f->registry);
    write_page(f);
    assert_int_equal(count(f, "\nnv_inference_request_success{"), 201);
    assert_int_equal(count(f, "_seconds_count{"), HISTOGRAMS * 201);
    assert_int_equal(count(f, "\nnv_inference_request_success{model=\"model-0005\""), 1);
    assert_int_equal(count(f, "model=\"model-0004\""), 0);
#define OTHERS "{model=\"(others)\",version=\"\"} "
    assert_int_equal(value_of(f, "\nnv_inference_request_success" OTHERS), 800);
    assert_int_equal(value_of(f, "\nnv_inference_pending_request_count" OTHERS), 2400);
    assert_int_equal(value_of(f, "\ntroupe_request_duration_seconds_count" OTHERS),
                     800 * TRP_HISTOGRAM_BUCKETS);
    assert_int_equal(value_of(f, "reason=\"QUEUE_FULL\"} "), 2);
    assert_int_equal(value_of(f, "(others)\",version=\"\",reason=\"QUEUE_FULL\"} "), 1600);
    assert_int_equal(value_of(f, "\ntroupe_metrics_versions_summed "), 800);
}

/* A rate taken from the sum would jump otherwise, up or down. */
static void the_sum_of_the_others_counts_each_request_once_and_never_goes_down(void **state)
{
    struct fixture *f = *state;
    f->admin.opts.metrics_models_max = 1;
    struct trp_version *a = add_model(f, 0, true), *b = add_model(f, 1, true);
    trp_counter_set(&a->stats->success.count, 10); /* a has series, b is in the sum */
    trp_registry_publish(f->registry);
    write_page(f);
    assert_int_equal(value_of(f, "\nnv_inference_request_success" OTHERS), 1);
    write_page(f); /* nothing new */
    assert_int_equal(value_of(f, "\nnv_inference_request_success" OTHERS), 1);
    trp_counter_set(&b->stats->success.count, 21); /* now b has; what it counted before stays */
    write_page(f);
    assert_int_equal(value_of(f, "model=\"model-0001\",version=\"1\"} "), 21);
    assert_int_equal(value_of(f, "\nnv_inference_request_success" OTHERS), 1);
    trp_counter_set(&a->stats->success.count, 14); /* 4 while it has none */
    write_page(f);
    assert_int_equal(value_of(f, "\nnv_inference_request_success" OTHERS), 5);
    trp_counter_set(&a->stats->success.count, 30); /* it has its own again: all of it is there */
    write_page(f);
    assert_int_equal(value_of(f, "model=\"model-0000\",version=\"1\"} "), 30);
    assert_int_equal(value_of(f, "\nnv_inference_request_success" OTHERS), 5);
    assert_int_equal(trp_registry_remove(f->registry, TRP_STR_LIT("model-0001"), NULL).code,
                     TRP_OK);
    trp_registry_publish(f->registry);
    write_page(f); /* nobody is in the sum, and it is what it was */
    assert_int_equal(value_of(f, "\nnv_inference_request_success" OTHERS), 5);
}

static void a_model_that_nobody_asked_for_an_hour_has_no_series(void **state)
{
    struct fixture *f = *state;
    add_model(f, 0, true);
    f->now_ns += TRP_S(3000);
    struct trp_version *late = add_model(f, 1, true);
    trp_registry_publish(f->registry);
    write_page(f);
    assert_int_equal(count(f, "model=\"(others)\""), 0);
    f->now_ns += TRP_S(1000);
    write_page(f);
    assert_int_equal(count(f, "model=\"model-0000\""), 0);
    assert_int_equal(count(f, "\nnv_inference_count{model=\"model-0001\""), 1);
    f->now_ns += TRP_S(3000);
    write_page(f);
    assert_int_equal(count(f, "model=\"model-0001\""), 0);
    trp_counter_set(&late->stats->last_asked_ns, (uint64_t)f->now_ns);
    write_page(f);
    assert_int_equal(count(f, "\nnv_inference_count{model=\"model-0001\""), 1);
}

/* What is being written about is held: it may be unloaded, and the snapshot replaced, between
 * two turns. */
static void models_may_go_while_they_are_told_of(void **state)
{
    struct fixture *f = *state;
    int64_t longest_ns;
    for (uint32_t i = 0; i < 10; i++)
        add_model(f, i, true);
    trp_registry_publish(f->registry);
    f->step_ns = TRP_S(1); /* a row a turn */
    ask(f);
    for (int i = 0; i < 3; i++)
        assert_int_equal(trp_loop_turn(f->loop, 0, NULL).code, TRP_OK);
    for (uint32_t i = 0; i < 10; i++) {
        char name[32];
        snprintf(name, sizeof name, "model-%04u", i);
        assert_int_equal(trp_registry_remove(f->registry, trp_str_of(name), NULL).code, TRP_OK);
    }
    trp_registry_publish(f->registry);
    (void)turn(f, &longest_ns);
    assert_int_equal(count(f, "\nnv_inference_count{"), 10);
    ask(f);
    (void)turn(f, &longest_ns);
    assert_int_equal(count(f, "\nnv_inference_count{"), 0);
}

#define OF_NAME "\",version=\"1\",kind=\"route\""

/* Clients ask for the route: its success and its times are what somebody promised. */
static void a_route_has_series_of_its_own_name_and_kind(void **state)
{
    struct fixture *f = *state;
    add_model(f, 0, true);
    add_names(f, 3);
    trp_duration_add(&f->names[2].stats.fail, TRP_MS(1));
    trp_counter_add(&f->names[2].stats.errors[TRP_NOT_READY], 1);
    trp_registry_publish(f->registry);
    write_page(f);
    assert_int_equal(value_of(f, "\nnv_inference_request_success{model=\"name-02" OF_NAME "} "), 3);
    assert_int_equal(value_of(f, "\nnv_inference_request_failure{model=\"name-02" OF_NAME "} "), 1);
    assert_int_equal(value_of(f, "\nnv_inference_request_duration_us{model=\"name-02" OF_NAME "} "),
                     9000);
    assert_int_equal(
        value_of(f, "\ntroupe_request_duration_seconds_count{model=\"name-02" OF_NAME "} "), 3);
    assert_int_equal(value_of(f, "\ntroupe_request_errors_total{model=\"name-02" OF_NAME
                                 ",reason=\"NOT_READY\"} "),
                     1);
    /* What only models have, and models as before: one request is in both. */
    assert_int_equal(count(f, "\ntroupe_model_in_flight{"), 1);
    assert_int_equal(count(f, "\nnv_inference_pending_request_count{"), 1);
    assert_int_equal(count(f, "\ntroupe_run_rows_count{"), 1);
    assert_int_equal(
        count(f, "\nnv_inference_request_success{model=\"model-0000\",version=\"1\"} "), 1);
    assert_int_equal(count(f, "broken"), 0);
    assert_int_equal(value_of(f, "\ntroupe_metrics_names_left_out "), 0);
}

static void only_so_many_routes_have_series_those_that_are_asked_most(void **state)
{
    struct fixture *f = *state;
    f->admin.opts.metrics_models_max = 10;
    add_names(f, NAMES);
    trp_registry_publish(f->registry);
    write_page(f);
    assert_int_equal(count(f, "\nnv_inference_request_success{"), 10);
    assert_int_equal(count(f, "\nnv_inference_request_success{model=\"name-20" OF_NAME "} 21\n"),
                     1);
    assert_int_equal(count(f, "name-19"), 0);
    assert_int_equal(value_of(f, "\ntroupe_metrics_names_left_out "), NAMES - 10);
    f->admin.opts.metrics_models_max = 0;
    write_page(f);
    assert_int_equal(count(f, "name-"), 0);
    assert_int_equal(value_of(f, "\ntroupe_metrics_names_left_out "), NAMES);
}

static void routes_may_go_while_they_are_told_of(void **state)
{
    struct fixture *f = *state;
    int64_t longest_ns;
    add_names(f, 5);
    trp_registry_publish(f->registry);
    f->step_ns = TRP_S(1); /* a row a turn */
    ask(f);
    for (int i = 0; i < 3; i++)
        assert_int_equal(trp_loop_turn(f->loop, 0, NULL).code, TRP_OK);
    drop_names(f);
    assert_int_equal(f->names[0].held_n, 1); /* by the page */
    (void)turn(f, &longest_ns);
    assert_int_equal(f->names[0].held_n, 0);
    assert_int_equal(count(f, "\nnv_inference_count{"), 5);
}

static void a_page_without_memory_is_an_error(void **state)
{
    struct fixture *f = *state;
    int64_t longest_ns;
    add_model(f, 0, true);
    add_names(f, 2);
    trp_registry_publish(f->registry);
    trp_counter_set(&f->memory.left, 0);
    ask(f);
    (void)turn(f, &longest_ns);
    assert_int_equal(f->code, TRP_OUT_OF_MEMORY);
    assert_null(f->page);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_page_of_a_thousand_models_is_written_over_many_turns),
        TEST(the_page_is_the_same_whatever_a_turn_has_time_for),
        TEST(only_so_many_models_have_series_and_the_rest_is_one_sum),
        TEST(the_sum_of_the_others_counts_each_request_once_and_never_goes_down),
        TEST(a_model_that_nobody_asked_for_an_hour_has_no_series),
        TEST(models_may_go_while_they_are_told_of),
        TEST(a_route_has_series_of_its_own_name_and_kind),
        TEST(only_so_many_routes_have_series_those_that_are_asked_most),
        TEST(routes_may_go_while_they_are_told_of),
        TEST(a_page_without_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

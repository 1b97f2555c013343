/* The way into the queue: shares of tenants, what cannot be in time, who makes room, and what a
 * model's rules leave. */
#include "exec/quota.h"
#include "exec/runqueue.h"
#include "exec/waiting.h"
#include "unit/exec/exec_fixture.h"

#define X_ONLY "input x FP32 [-1]\noutput y FP32 [-1]\n"

static struct world w;
static struct trp_runqueue queue;
static struct trp_call *answered[CALLS_MAX]; /* refused, or shed */
static uint32_t answered_n;

static int set_up_for(uint32_t queue_max, bool forecasts, const struct trp_tenant_rule *rules,
                      uint32_t rules_n)
{
    make_world(&w, NULL);
    trp_runqueue_init(&queue, queue_max, queue_max);
    const struct trp_intake_opts opts = {
        .clock = &w.time.clock,
        .metrics = w.metrics,
        .executors_n = 1,
        .forecasts = forecasts,
        .tenants = { .tenants_max = 8, .rules = rules, .rules_n = rules_n, .metrics = w.metrics },
    };
    if (trp_failed(trp_intake_init(&queue.intake, trp_heap(), &opts, &queue.sched, &queue.lock)))
        fail_msg("no memory");
    answered_n = 0;
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    return set_up_for(200, true, NULL, 0);
}

static int set_up_small(void **state)
{
    (void)state;
    return set_up_for(4, true, NULL, 0);
}

static int set_up_blind(void **state)
{
    (void)state;
    return set_up_for(200, false, NULL, 0);
}

static void keep(struct trp_call *call)
{
    trp_quota_end(call);
    call->done_n = 0;
    w.finished[w.finished_n++] = call; /* given back by the fixture */
}

static int tear_down(void **state)
{
    struct trp_call_list left = { 0 };
    struct trp_call *call;
    (void)state;
    trp_runqueue_drain(&queue, &left);
    while ((call = trp_call_list_pop(&left)) != NULL)
        keep(call);
    for (uint32_t i = 0; i < answered_n; i++)
        keep(answered[i]);
    drop_world(&w);
    trp_runqueue_deinit(&queue);
    return 0;
}

static struct trp_call *make(struct trp_version *v, const char *tenant,
                             enum trp_priority_class class)
{
    struct trp_call *call = make_call(&w, v);
    call->tenant = trp_str_of(tenant);
    call->priority_class = class;
    return call;
}

/* How many were answered for it. */
static uint32_t push(struct trp_call *call)
{
    struct trp_call_list calls = { 0 }, refused = { 0 };
    const uint32_t before = answered_n;
    trp_call_list_push(&calls, call);
    trp_runqueue_push(&queue, &calls, &refused);
    while ((call = trp_call_list_pop(&refused)) != NULL)
        answered[answered_n++] = call;
    return answered_n - before;
}

static struct trp_call *take(struct trp_version *ended)
{
    struct trp_call over = { .target = ended ? &ended->target : NULL };
    struct trp_call_list expired = { 0 }, calls;
    assert_true(trp_runqueue_take(&queue, &w.time.clock, ended ? &over : NULL, &calls, &expired));
    assert_null(expired.first);
    assert_true(calls.count <= 1);
    return calls.first;
}

static int64_t metric(enum trp_metric id)
{
    return trp_metrics_get(w.metrics, id);
}

static void tenants_are_served_in_turn_whatever_they_ask_for(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    uint32_t of_few = 0;
    for (int i = 0; i < 40; i++)
        assert_int_equal(push(make(v, "many", TRP_PRIORITY_NORMAL)), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(push(make(v, "few", TRP_PRIORITY_NORMAL)), 0);
    for (int i = 0; i < 20; i++) {
        struct trp_call *call = take(i == 0 ? NULL : v);
        of_few += trp_str_is(call->tenant, "few");
        keep(call);
    }
    assert_int_equal(of_few, 10);
    trp_runqueue_end(&queue, v);
}

static void floors_let_a_lesser_class_have_its_part(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    uint32_t of_batch = 0;
    trp_sched_set_floor(&queue.sched, TRP_PRIORITY_BATCH, 100);
    for (int i = 0; i < 90; i++)
        assert_int_equal(push(make(v, "", i < 60 ? TRP_PRIORITY_INTERACTIVE : TRP_PRIORITY_BATCH)),
                         0);
    for (int i = 0; i < 50; i++) {
        struct trp_call *call = take(i == 0 ? NULL : v);
        of_batch += call->priority_class == TRP_PRIORITY_BATCH;
        keep(call);
    }
    assert_in_range(of_batch, 4, 6);
    trp_runqueue_end(&queue, v);
}

static struct trp_call *make_due(struct trp_version *v, int64_t in_ns)
{
    struct trp_call *call = make(v, "", TRP_PRIORITY_NORMAL);
    call->deadline_ns = w.time.now_ns + in_ns;
    return call;
}

static void what_cannot_be_in_time_is_refused_at_once(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    struct trp_call *running = make_due(v, TRP_S(10));
    assert_int_equal(push(make_due(v, TRP_MS(1))), 0); /* nobody knows what it costs */
    keep(take(NULL));
    trp_gauge_set(&v->stats->run_ns, TRP_MS(10));
    trp_gauge_set(&v->stats->run_bytes, 16);
    assert_int_equal(push(running), 0);
    assert_ptr_equal(take(v), running);
    trp_intake_tell_run(&queue.intake, 0, running, w.time.now_ns); /* 10 ms from now */
    assert_int_equal(push(make_due(v, TRP_MS(15))), 1);            /* it would take 20 */
    assert_int_equal(answered[0]->error.status.code, TRP_UNAVAILABLE);
    assert_in_range(answered[0]->error.retry_after_ms, 6, 8);
    assert_int_equal(metric(TRP_METRIC_REFUSED_DEADLINE), 1);
    assert_int_equal(push(make_due(v, TRP_MS(22))), 0);
    assert_int_equal(push(make_due(v, TRP_MS(25))), 1); /* behind that one */
    assert_int_equal(push(make_due(v, TRP_MS(33))), 0);
    assert_int_equal(push(make(v, "", TRP_PRIORITY_NORMAL)), 0); /* has no deadline */
    trp_intake_tell_end(&queue.intake, 0, w.time.now_ns);
    keep(running);
    trp_runqueue_end(&queue, v);
}

static struct trp_intake_load look(struct trp_version *v)
{
    struct trp_intake_load load;
    trp_runqueue_look(&queue, v, w.time.now_ns, &load);
    return load;
}

static void a_look_tells_when_a_run_would_begin(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    struct trp_call *running = make(v, "", TRP_PRIORITY_NORMAL);
    trp_gauge_set(&v->stats->run_ns, TRP_MS(10));
    trp_gauge_set(&v->stats->run_bytes, 16);
    assert_int_equal(look(v).wait_ns, 0); /* no call has come yet */
    assert_int_equal(push(running), 0);
    assert_int_equal(look(v).queued, 1);
    assert_ptr_equal(take(NULL), running);
    trp_intake_tell_run(&queue.intake, 0, running, w.time.now_ns); /* 10 ms from now */
    assert_int_equal(look(v).running, 1);
    assert_int_equal(look(v).queued, 0);
    assert_int_equal(look(v).wait_ns, TRP_MS(10));
    assert_int_equal(push(make(v, "", TRP_PRIORITY_NORMAL)), 0);
    assert_int_equal(push(make(v, "", TRP_PRIORITY_INTERACTIVE)), 0);
    assert_int_equal(look(v).queued, 2);
    assert_int_equal(look(v).wait_ns, TRP_MS(30));
    w.time.now_ns += TRP_MS(4);
    assert_int_equal(look(v).wait_ns, TRP_MS(26));
    trp_intake_tell_end(&queue.intake, 0, w.time.now_ns);
    keep(running);
    trp_runqueue_end(&queue, v);
}

static void a_model_that_is_idle_is_given_a_chance(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    trp_gauge_set(&v->stats->run_ns, TRP_S(5)); /* its first run was slow */
    trp_gauge_set(&v->stats->run_bytes, 16);
    assert_int_equal(push(make_due(v, TRP_MS(100))), 0);
    assert_int_equal(push(make_due(v, TRP_MS(100))), 1); /* one is enough to find out */
}

static void runs_that_take_longer_than_they_compute_are_expected_to(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    struct trp_call *running = make(v, "", TRP_PRIORITY_NORMAL);
    trp_gauge_set(&v->stats->run_ns, TRP_MS(10));
    trp_gauge_set(&v->stats->run_bytes, 16);
    assert_int_equal(push(running), 0);
    assert_ptr_equal(take(NULL), running);
    for (int i = 0; i < 40;
         i++) { /* others want the processor, too: a run has it a quarter of the time */
        trp_intake_tell_run(&queue.intake, 0, running, w.time.now_ns);
        trp_intake_tell_end(&queue.intake, 0, w.time.now_ns + TRP_MS(40));
    }
    assert_int_equal(push(make_due(v, TRP_MS(30))), 1);
    assert_int_equal(push(make_due(v, TRP_MS(45))), 0);
    trp_intake_tell_run(&queue.intake, 0, running, w.time.now_ns);
    trp_intake_tell_end(&queue.intake, 0, w.time.now_ns); /* it was cancelled: only one sample */
    assert_int_equal(push(make_due(v, TRP_MS(60))), 1);   /* behind the one that waits */
    keep(running);
    trp_runqueue_end(&queue, v);
}

static void without_forecasts_nobody_is_refused_for_his_deadline(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    trp_gauge_set(&v->stats->run_ns, TRP_S(5));
    trp_gauge_set(&v->stats->run_bytes, 16);
    for (int i = 0; i < 3; i++)
        assert_int_equal(push(make_due(v, TRP_MS(1))), 0);
}

static void a_full_queue_lets_go_of_the_least_urgent_newest_first(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    struct trp_call *batch[4];
    for (int i = 0; i < 4; i++) {
        batch[i] = make(v, "", TRP_PRIORITY_BATCH);
        assert_int_equal(push(batch[i]), 0);
    }
    assert_int_equal(push(make(v, "", TRP_PRIORITY_BATCH)), 1); /* no better than they are */
    assert_int_equal(metric(TRP_METRIC_REFUSED_QUEUE), 1);
    assert_int_equal(push(make(v, "", TRP_PRIORITY_INTERACTIVE)), 1);
    assert_ptr_equal(answered[1], batch[3]);
    assert_int_equal(push(make(v, "", TRP_PRIORITY_NORMAL)), 1);
    assert_ptr_equal(answered[2], batch[2]);
    assert_int_equal(metric(TRP_METRIC_REFUSED_SHED), 2);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(answered[i]->error.status.code, TRP_QUEUE_FULL);
        assert_int_equal(answered[i]->error.limit, TRP_LIMIT_QUEUE);
        assert_true(answered[i]->error.retry_after_ms > 0);
    }
    assert_int_equal(trp_gauge_get(&v->stats->queued), 4);
    assert_int_equal(trp_gauge_get(&queue.queued), 4);
}

static void who_floods_a_full_queue_makes_room_for_others(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(push(make(v, "many", TRP_PRIORITY_NORMAL)), 0);
    assert_int_equal(push(make(v, "few", TRP_PRIORITY_NORMAL)), 1);
    assert_true(trp_str_is(answered[0]->tenant, "many"));
}

static void a_model_has_as_many_places_as_its_rules_say(void **state)
{
    (void)state;
    static const struct trp_queue_level levels[] = { { .level = 1, .policy = { .calls_max = 1 } } };
    static const struct trp_queue_rules rules = {
        .levels = 3, .usual = 2, .policy = { .calls_max = 2 }, .of_level = levels, .of_level_n = 1
    };
    struct trp_version *v = make_version(&w, X_ONLY, NULL), *other = make_version(&w, X_ONLY, NULL);
    v->config.queue = &rules;
    struct trp_call *first = make(v, "", TRP_PRIORITY_INTERACTIVE),
                    *second = make(v, "", TRP_PRIORITY_INTERACTIVE);
    first->priority = second->priority = 1;
    assert_int_equal(push(first), 0);
    assert_int_equal(push(second), 1); /* one of level 1 */
    assert_int_equal(push(make(v, "", TRP_PRIORITY_NORMAL)), 0);
    assert_int_equal(push(make(v, "", TRP_PRIORITY_NORMAL)), 1); /* two of the model */
    assert_int_equal(push(make(other, "", TRP_PRIORITY_NORMAL)), 0);
}

/* ---- quotas ---- */

static void nobody_wants(void *user)
{
    (void)user;
}

static const struct trp_tenant_rule rationed[] = {
    { .name = { "small", 5 }, .weight = 1, .calls_max = 1 },
};

static int set_up_rationed(void **state)
{
    (void)state;
    return set_up_for(200, true, rationed, 1);
}

static trp_status begin(struct trp_call *call)
{
    answered[answered_n++] = call;
    return trp_quota_begin(&queue.intake.tenants, call, w.time.now_ns);
}

static void a_tenant_has_so_many_calls_at_once(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    struct trp_call *first = make(v, "small", TRP_PRIORITY_NORMAL),
                    *second = make(v, "small", TRP_PRIORITY_NORMAL);
    assert_int_equal(begin(first).code, TRP_OK);
    assert_int_equal(trp_quota_begin(&queue.intake.tenants, first, w.time.now_ns).code,
                     TRP_OK); /* started again on another version: counted once */
    assert_int_equal(begin(second).code, TRP_QUEUE_FULL);
    assert_non_null(strstr(second->error.text, "small"));
    assert_int_equal(metric(TRP_METRIC_REFUSED_CALLS), 1);
    assert_int_equal(begin(make(v, "large", TRP_PRIORITY_NORMAL)).code, TRP_OK);
    assert_int_equal(begin(make(v, "", TRP_PRIORITY_NORMAL)).code, TRP_OK);
    trp_quota_end(first);
    assert_int_equal(begin(make(v, "small", TRP_PRIORITY_NORMAL)).code, TRP_OK);
}

static void all_versions_of_a_model_have_one_limit(void **state)
{
    (void)state;
    static const struct trp_queue_rules rules = { .requests_per_second = 2 };
    struct trp_version *one = make_version(&w, X_ONLY, NULL), *two = make_version(&w, X_ONLY, NULL);
    const struct trp_waiting_opts opts = {
        .calls_max = 1, .control = w.loop, .metrics = w.metrics, .wanted = nobody_wants
    };
    struct trp_waiting *room;
    struct trp_error err;
    assert_int_equal(trp_waiting_create(trp_heap(), &opts, &room, &err).code, TRP_OK);
    one->room = two->room = room;
    one->config.queue = two->config.queue = &rules;
    assert_int_equal(begin(make(one, "", TRP_PRIORITY_NORMAL)).code, TRP_OK);
    assert_int_equal(begin(make(two, "", TRP_PRIORITY_NORMAL)).code, TRP_OK);
    struct trp_call *late = make(one, "", TRP_PRIORITY_NORMAL);
    assert_int_equal(begin(late).code, TRP_QUEUE_FULL);
    assert_int_equal(late->error.retry_after_ms, 500);
    assert_int_equal(metric(TRP_METRIC_REFUSED_REQUESTS), 1);
    w.time.now_ns += TRP_MS(500);
    assert_int_equal(begin(make(two, "", TRP_PRIORITY_NORMAL)).code, TRP_OK);
    for (uint32_t i = 0; i < answered_n; i++)
        trp_quota_end(answered[i]);
    one->room = two->room = NULL;
    trp_waiting_unref(room);
}

int main(void)
{
#define INTAKE_TEST(name, set_up) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        INTAKE_TEST(tenants_are_served_in_turn_whatever_they_ask_for, set_up),
        INTAKE_TEST(floors_let_a_lesser_class_have_its_part, set_up),
        INTAKE_TEST(what_cannot_be_in_time_is_refused_at_once, set_up),
        INTAKE_TEST(a_look_tells_when_a_run_would_begin, set_up),
        INTAKE_TEST(a_model_that_is_idle_is_given_a_chance, set_up),
        INTAKE_TEST(runs_that_take_longer_than_they_compute_are_expected_to, set_up),
        INTAKE_TEST(without_forecasts_nobody_is_refused_for_his_deadline, set_up_blind),
        INTAKE_TEST(a_full_queue_lets_go_of_the_least_urgent_newest_first, set_up_small),
        INTAKE_TEST(who_floods_a_full_queue_makes_room_for_others, set_up_small),
        INTAKE_TEST(a_model_has_as_many_places_as_its_rules_say, set_up),
        INTAKE_TEST(a_tenant_has_so_many_calls_at_once, set_up_rationed),
        INTAKE_TEST(all_versions_of_a_model_have_one_limit, set_up),
    };
    return cmocka_run_group_tests_name("intake", tests, NULL, NULL);
}

/* Long runs of many rows that executors share which have nothing to do: what comes back is what one
 * run would have given.  Real threads; a run of the model takes as long as its rows are many,
 * and how many executors are idle is known before each run. */
#include "exec/executor.h"
#include "unit/exec/books_fixture.h"

#define EXECUTORS 4u
#define SLOW_ROWS "input x FP32 [-1,2]\noutput y FP32 [-1,2]\nsleep_row 2ms\n"
#define SLOW_WIDE "input x FP32 [-1,-1]\noutput y FP32 [-1,-1]\nsleep_row 2ms\n"
#define SLOW_TEXTS "input x BYTES [-1]\noutput y BYTES [-1]\nsleep_row 2ms\n"
#define STUCK_ROWS "input x FP32 [-1,2]\noutput y FP32 [-1,2]\nsleep_row 100ms\n"
#define ROWS 40

static struct world w;
static struct trp_exec *x;
static struct books books;

static int set_up_for(int64_t split_part_ns)
{
    make_world(&w, trp_clock_system());
    make_books(&books, 0);
    x = start_exec_with(&w, &books,
                        &(struct trp_exec_opts){ .executors_n = EXECUTORS,
                                                 .split_part_ns = split_part_ns,
                                                 .room_wait_ns = TRP_S(60) });
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    return set_up_for(TRP_MS(1));
}

/* No run is long enough. */
static int set_up_whole(void **state)
{
    (void)state;
    return set_up_for(TRP_S(100));
}

static int tear_down(void **state)
{
    (void)state;
    end_world_with(&w, x, &books);
    return 0;
}

static int64_t metric(enum trp_metric id)
{
    return trp_metrics_get(w.metrics, id);
}

static struct trp_version *make_apart_on(const char *script, uint32_t devices_n)
{
    static struct trp_company companies[VERSIONS_MAX];
    struct trp_company *c = &companies[w.versions_n];
    struct trp_version *v = make_version_on(&w, script, x, devices_n);
    *c = (struct trp_company){ .ask = NULL };
    trp_gauge_set(&c->rows_max, 64);
    v->company = c;
    return v;
}

static struct trp_version *make_apart(const char *script)
{
    return make_apart_on(script, 0);
}

/* Some 60 s without it is a failure. */
#define turn_until(condition)                          \
    do {                                               \
        for (int turns_ = 0; !(condition); turns_++) { \
            assert_true(turns_ < 12000);               \
            turn_loop(&w, TRP_MS(5));                  \
        }                                              \
    } while (0)

static struct trp_call *bound(struct trp_version *v, struct trp_call *call)
{
    trp_version_ref(v);
    trp_call_pin(call, &v->target, trp_version_release_target);
    assert_false(trp_failed(trp_call_bind(call, &v->signature, NULL)));
    trp_call_push(call, keep_finished, &w);
    return call;
}

static struct trp_call *make_input(struct trp_version *v, struct troupe_tensor tensor)
{
    struct trp_call *call = trp_call_take(w.pool);
    assert_non_null(call);
    call->inputs = trp_arena_zeroed(&call->arena, 1, sizeof *call->inputs);
    assert_non_null(call->inputs);
    call->inputs_n = 1;
    call->inputs[0].name = v->signature.inputs[0].name;
    call->inputs[0].tensor = tensor;
    return bound(v, call);
}

static struct trp_call *make_rows(struct trp_version *v, int64_t rows)
{
    static float values[1024];
    for (uint32_t i = 0; i < ARRAY_LEN(values); i++)
        values[i] = (float)i;
    return make_input(v, (struct troupe_tensor){ .dtype = TROUPE_FP32,
                                                 .rank = 2,
                                                 .shape = { rows, 2 },
                                                 .data = values,
                                                 .bytes = (uint64_t)rows * 2 * sizeof *values });
}

static struct trp_call *make_texts(struct trp_version *v, uint32_t rows)
{
    static char raw[4096];
    uint32_t used = 0;
    for (uint32_t i = 0; i < rows; i++) {
        const uint32_t length = i % 5; /* of unlike lengths */
        memcpy(raw + used, &length, sizeof length);
        memset(raw + used + sizeof length, 'a' + (int)i % 26, length);
        used += (uint32_t)sizeof length + length;
    }
    return make_input(
        v, (struct troupe_tensor){
               .dtype = TROUPE_BYTES, .rank = 1, .shape = { rows }, .data = raw, .bytes = used });
}

static void check_echo(const struct trp_call *call)
{
    const struct troupe_tensor *in = &call->inputs[0].tensor, *out = &call->outputs[0].tensor;
    print_message("%s\n", call->error.text);
    assert_int_equal(call->error.status.code, TRP_OK);
    assert_int_equal(trp_oneshot_get(&call->outcome), TRP_OUTCOME_DONE);
    assert_int_equal(call->outputs_n, 1);
    assert_int_equal(out->rank, in->rank);
    assert_memory_equal(out->shape, in->shape, in->rank * sizeof *in->shape);
    assert_int_equal(out->bytes, in->bytes);
    assert_memory_equal(out->data, in->data, in->bytes);
}

/* Starts one when so many executors are idle. */
static struct trp_call *start(struct trp_call *call, uint32_t idle)
{
    turn_until(trp_exec_idle(x) == idle);
    trp_target_start(call->target, call);
    return call;
}

static struct trp_call *answer(struct trp_call *call, uint32_t idle)
{
    const uint32_t before = w.finished_n;
    start(call, idle);
    turn_until(w.finished_n > before);
    return call;
}

static void a_long_run_is_shared_and_answers_as_one_would(void **state)
{
    (void)state;
    struct trp_version *v = make_apart(SLOW_ROWS);
    check_echo(answer(make_rows(v, ROWS), EXECUTORS)); /* nobody knows yet what it costs */
    assert_int_equal(metric(TRP_METRIC_FANOUTS), 0);
    check_echo(answer(make_rows(v, ROWS), EXECUTORS));
    assert_int_equal(metric(TRP_METRIC_FANOUTS), 1);
    assert_int_equal(metric(TRP_METRIC_FANOUT_PARTS), EXECUTORS);
    assert_int_equal(metric(TRP_METRIC_EXECUTOR_RUNS), 1 + EXECUTORS);
    check_echo(answer(make_rows(v, ROWS - 1), EXECUTORS)); /* unlike parts */
    const struct trp_stats *s = v->stats;
    assert_int_equal(trp_counter_get(&s->execution_count), 3); /* as its clients see it */
    assert_int_equal(trp_counter_get(&s->inference_count), 3);
    assert_int_equal(trp_counter_get(&s->compute_infer.count), 3);
    assert_int_equal(trp_gauge_get(&s->in_flight), 0);
}

static void what_is_learned_of_costs_are_the_parts(void **state)
{
    (void)state;
    struct trp_version *v = make_apart(SLOW_ROWS);
    for (int i = 0; i < 6; i++)
        check_echo(answer(make_rows(v, ROWS), EXECUTORS));
    assert_true(metric(TRP_METRIC_FANOUTS) > 0);
    assert_true(trp_gauge_get(&v->stats->run_bytes) < ROWS * 8); /* not how long its client waits */
}

static void outputs_of_unknown_size_are_laid_together(void **state)
{
    (void)state;
    struct trp_version *v = make_apart(SLOW_WIDE);
    for (int i = 0; i < 2; i++)
        check_echo(answer(make_rows(v, ROWS), EXECUTORS));
    assert_int_equal(metric(TRP_METRIC_FANOUTS), 1);
}

static void strings_are_shared_as_well(void **state)
{
    (void)state;
    struct trp_version *v = make_apart(SLOW_TEXTS);
    for (int i = 0; i < 2; i++)
        check_echo(answer(make_texts(v, ROWS), EXECUTORS));
    assert_int_equal(metric(TRP_METRIC_FANOUTS), 1);
}

static void only_executors_that_are_idle_share_it(void **state)
{
    (void)state;
    struct trp_version *v = make_apart(SLOW_ROWS), *other = make_apart(STUCK_ROWS);
    answer(make_rows(v, ROWS), EXECUTORS);
    struct trp_call *busy[EXECUTORS];
    for (uint32_t i = 0; i < EXECUTORS - 1; i++)
        busy[i] = start(make_rows(other, 400), EXECUTORS - i); /* 40 s */
    check_echo(answer(make_rows(v, ROWS), 1));
    assert_int_equal(metric(TRP_METRIC_FANOUTS), 0);
    for (uint32_t i = 0; i < EXECUTORS - 1; i++) {
        assert_true(trp_call_try_cancel(busy[i]));
        trp_exec_cancel_call(&other->target, busy[i]);
        if (i > 0)
            continue;
        turn_until(w.finished_n == 3);
        check_echo(answer(make_rows(v, ROWS), 2));
        assert_int_equal(metric(TRP_METRIC_FANOUT_PARTS), 2);
    }
    turn_until(w.finished_n == 3 + EXECUTORS - 1);
}

static void parts_have_slots_of_their_version(void **state)
{
    (void)state;
    struct trp_version *v = make_apart(SLOW_ROWS);
    v->config.instances = 2;
    for (int i = 0; i < 2; i++)
        check_echo(answer(make_rows(v, ROWS), EXECUTORS));
    assert_int_equal(metric(TRP_METRIC_FANOUT_PARTS), 2);
    struct trp_version *one = make_apart(SLOW_ROWS);
    one->config.instances = 1;
    for (int i = 0; i < 2; i++)
        check_echo(answer(make_rows(one, ROWS), EXECUTORS));
    assert_int_equal(metric(TRP_METRIC_FANOUTS), 1);
}

static void parts_are_made_on_all_devices(void **state)
{
    (void)state;
    struct trp_version *v = make_apart_on(SLOW_ROWS "device where\n", 2);
    struct trp_call *call = answer(make_rows(v, ROWS), EXECUTORS);
    assert_int_equal(call->error.status.code, TRP_OK);
    call = answer(make_rows(v, ROWS), EXECUTORS);
    assert_int_equal(call->error.status.code, TRP_OK);
    assert_int_equal(metric(TRP_METRIC_FANOUT_PARTS), 2); /* as many as there are slots */
    assert_int_equal(call->outputs_n, 2);
    const int32_t *where = call->outputs[1].tensor.data;
    assert_int_equal(call->outputs[1].tensor.shape[0], ROWS);
    for (int row = 0; row < ROWS; row++)
        assert_int_equal(where[row], row < ROWS / 2 ? where[0] : where[ROWS - 1]);
    assert_int_equal(where[0] + where[ROWS - 1], 1); /* GPU 0, and GPU 1 */
    const struct trp_lines *l = v->exec_slot;
    assert_int_equal(l->busy[0] + l->busy[1], 0);
}

static void single_rows_are_left_whole(void **state)
{
    (void)state;
    struct trp_version *v = make_apart(SLOW_ROWS);
    for (int i = 0; i < 4; i++)
        check_echo(answer(make_rows(v, 1), EXECUTORS));
    assert_int_equal(metric(TRP_METRIC_FANOUTS), 0);
}

static void short_runs_are_left_whole(void **state)
{
    (void)state;
    struct trp_version *v = make_apart(SLOW_ROWS);
    for (int i = 0; i < 4; i++)
        check_echo(answer(make_rows(v, ROWS), EXECUTORS));
    assert_int_equal(metric(TRP_METRIC_FANOUTS), 0);
}

static void rows_that_may_depend_on_each_other_are_not_divided_but_asked_about(void **state)
{
    (void)state;
    struct trp_version *v = make_apart(SLOW_ROWS);
    trp_gauge_set(&v->company->rows_max, 0);
    for (int i = 0; i < 3; i++)
        check_echo(answer(make_rows(v, ROWS), EXECUTORS));
    assert_int_equal(metric(TRP_METRIC_FANOUTS), 0);
    struct trp_version *sequence = make_apart(SLOW_ROWS);
    for (int i = 0; i < 3; i++) {
        struct trp_call *call = make_rows(sequence, ROWS);
        call->sequence_number = 7;
        check_echo(answer(call, EXECUTORS));
    }
    assert_int_equal(metric(TRP_METRIC_FANOUTS), 0);
}

static int asked;
static void ask(struct trp_version *v)
{
    (void)v;
    asked++;
}

static void who_can_find_out_is_asked_when_it_would_pay(void **state)
{
    (void)state;
    struct trp_version *v = make_apart(SLOW_ROWS);
    trp_gauge_set(&v->company->rows_max, 0);
    v->company->ask = ask;
    asked = 0;
    answer(make_rows(v, ROWS), EXECUTORS);
    assert_int_equal(asked, 0); /* it may have been a short one */
    answer(make_rows(v, ROWS), EXECUTORS);
    assert_int_equal(asked, 1);
}

static void a_part_that_fails_fails_the_run_and_stops_the_others(void **state)
{
    (void)state;
    struct trp_version *v =
        make_apart(SLOW_ROWS "fail BACKEND_FAILED the fan stopped\nfail_every 3\n");
    check_echo(answer(make_rows(v, ROWS), EXECUTORS));
    const struct trp_call *call = answer(make_rows(v, ROWS), EXECUTORS); /* runs 2 to 5 */
    assert_int_equal(call->error.status.code, TRP_BACKEND_FAILED);
    assert_non_null(strstr(call->error.text, "model 'm/1': the fan stopped"));
    assert_int_equal(call->outputs_n, 0);
    assert_int_equal(metric(TRP_METRIC_FANOUTS), 0);
}

static void cancelling_stops_every_part(void **state)
{
    (void)state;
    struct trp_version *v = make_apart(STUCK_ROWS);
    check_echo(answer(make_rows(v, 1), EXECUTORS));
    struct trp_call *call = start(make_rows(v, 500), EXECUTORS); /* 50 s, parts of 12 */
    turn_until(metric(TRP_METRIC_EXECUTOR_RUNS) == 1 + EXECUTORS);
    const int64_t begun_ns = trp_clock_now_ns(trp_clock_system());
    assert_true(trp_call_try_cancel(call));
    trp_exec_cancel_call(&v->target, call);
    turn_until(w.finished_n == 2);
    assert_int_equal(call->error.status.code, TRP_CANCELLED);
    assert_true(trp_clock_now_ns(trp_clock_system()) - begun_ns < TRP_S(8)); /* no part ran on */
}

static void stopping_ends_what_is_shared(void **state)
{
    (void)state;
    struct trp_version *v = make_apart(SLOW_ROWS);
    check_echo(answer(make_rows(v, ROWS), EXECUTORS));
    struct trp_call *call = start(make_rows(v, ROWS), EXECUTORS);
    turn_until(metric(TRP_METRIC_EXECUTOR_RUNS) > 1);
    trp_exec_stop(x);
    turn_until(w.finished_n == 2);
    check_echo(call);
}

static void outputs_go_into_the_memory_that_was_given(void **state)
{
    (void)state;
    static float region[ROWS * 2 + 1];
    struct trp_version *v = make_apart(SLOW_ROWS);
    check_echo(answer(make_rows(v, ROWS), EXECUTORS));
    for (uint32_t i = 0; i < 2; i++) {
        struct trp_call *call = make_rows(v, ROWS);
        call->wanted[0].memory = region;
        call->wanted[0].memory_bytes = i == 0 ? sizeof region : sizeof region - 8;
        answer(call, EXECUTORS);
    }
    check_echo(w.finished[1]);
    assert_ptr_equal(w.finished[1]->outputs[0].tensor.data, region);
    assert_int_equal(w.finished[2]->error.status.code, TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(w.finished[2]->error.text, "needs 320 bytes, region has 316"));
}

static void an_output_over_its_own_input_is_whole(void **state)
{
    (void)state;
    static float region[ROWS * 2 + 2];
    struct trp_version *v = make_apart(SLOW_ROWS);
    check_echo(answer(make_rows(v, ROWS), EXECUTORS));
    struct trp_call *call = make_rows(v, ROWS);
    for (int i = 0; i < ROWS * 2; i++)
        region[i] = (float)i;
    call->inputs[0].tensor.data = region;
    call->wanted[0].memory = region + 2; /* the next row's place */
    call->wanted[0].memory_bytes = sizeof region - 2 * sizeof *region;
    answer(call, EXECUTORS);
    assert_int_equal(call->error.status.code, TRP_OK);
    assert_int_equal(metric(TRP_METRIC_FANOUTS), 1);
    for (int i = 0; i < ROWS * 2; i++)
        assert_true(region[2 + i] == (float)i);
}

static void rows_that_are_not_its_inputs_end_it(void **state)
{
    (void)state;
    struct trp_version *v = make_apart(SLOW_ROWS "grow 2\n");
    for (int i = 0; i < 3; i++) {
        const struct trp_call *call = answer(make_rows(v, ROWS), EXECUTORS);
        assert_int_equal(call->error.status.code, TRP_OK);
        assert_int_equal(call->outputs[0].tensor.shape[0], 2 * ROWS);
    }
    assert_int_equal(trp_gauge_get(&v->company->rows_max), 0);
    assert_int_equal(metric(TRP_METRIC_FANOUTS), 0);
    assert_int_equal(metric(TRP_METRIC_BATCHES_BROKEN), 1);
}

static void a_part_without_room_runs_after_the_others(void **state)
{
    (void)state;
    struct trp_version *v = make_apart(SLOW_ROWS "holds 41943040\n"); /* 40 of 100 MiB, any run */
    for (int i = 0; i < 2; i++)
        check_echo(answer(make_rows(v, ROWS), EXECUTORS));
    assert_int_equal(metric(TRP_METRIC_FANOUTS), 1);
    assert_true(trp_counter_get(&v->activations.peak) <= 100 * MIB);
}

/* Two executors around a queue of their own; the test's thread is a third, which has formed a
 * batch. */
struct crew {
    struct trp_runqueue queue;
    struct trp_run_place place;
    struct trp_executor executors[2];
    struct trp_fanout fanout;
};

static struct trp_flag is_held_up;

/* As if it had waited for a processor for ten seconds since it was last asked. */
static int64_t fake_waited_ns(void)
{
    static struct trp_counter times;
    if (!trp_flag_is_up(&is_held_up))
        return 0;
    trp_counter_add(&times, 1);
    return (int64_t)trp_counter_get(&times) * TRP_S(10);
}

static void init_fanout(struct crew *c, struct trp_fanout *f)
{
    *f = (struct trp_fanout){ .queue = &c->queue, .alloc = trp_heap(), .part_min_ns = TRP_MS(1) };
    trp_fanout_init(f);
}

/* `of` as many: with a core of its own for each where there are so many cores. */
static void start_crew_of(struct crew *c, uint32_t of)
{
    memset(c, 0, sizeof *c);
    trp_runqueue_init(&c->queue, 100, 100);
    c->place = (struct trp_run_place){ .clock = trp_clock_system(),
                                       .metrics = trp_metrics_shard(w.metrics, 1),
                                       .runs = TRP_METRIC_EXECUTOR_RUNS,
                                       .waited_ns = fake_waited_ns,
                                       .fanout = &c->fanout };
    init_fanout(c, &c->fanout);
    for (uint32_t i = 0; i < ARRAY_LEN(c->executors); i++) {
        struct trp_executor *e = &c->executors[i];
        e->queue = &c->queue;
        e->index = i;
        e->of = of;
        e->place = c->place;
        e->place.metrics = trp_metrics_shard(w.metrics, 2 + i);
        e->place.fanout = &e->fanout;
        trp_batch_init(&e->batch, trp_heap());
        init_fanout(c, &e->fanout);
        assert_false(trp_failed(trp_executor_start(e, i, NULL)));
    }
}

static void start_crew(struct crew *c)
{
    start_crew_of(c, 0);
}

static void stop_crew(struct crew *c)
{
    trp_runqueue_stop(&c->queue);
    for (uint32_t i = 0; i < ARRAY_LEN(c->executors); i++) {
        trp_executor_join(&c->executors[i]);
        trp_batch_deinit(&c->executors[i].batch);
        trp_fanout_deinit(&c->executors[i].fanout);
    }
    trp_fanout_deinit(&c->fanout);
    trp_runqueue_deinit(&c->queue);
}

/* As a loop makes it ready for the queue. */
static struct trp_call *enter(struct trp_version *v, int64_t rows)
{
    struct trp_call *call = make_rows(v, rows);
    assert_true(trp_door_try_enter(&v->door, &v->stats->in_flight));
    trp_batch_mark(call);
    return call;
}

static void a_batch_that_was_formed_is_shared_and_each_gets_its_rows(void **state)
{
    (void)state;
    static struct crew crew;
    static struct trp_batch b;
    struct trp_version *v = make_apart(SLOW_ROWS);
    struct trp_call_list first = { 0 }, refused = { 0 }, unwanted = { 0 };
    start_crew(&crew);
    turn_until(trp_gauge_get(&crew.queue.idle) == 2);
    trp_call_list_push(&first, enter(v, ROWS)); /* what it costs is learned */
    trp_runqueue_push(&crew.queue, &first, &refused);
    turn_until(w.finished_n == 1 && trp_gauge_get(&crew.queue.idle) == 2);
    trp_batch_init(&b, trp_heap());
    for (int64_t rows = 10; rows <= 30; rows += 10)
        trp_call_list_push(&b.members, enter(v, rows));
    assert_false(trp_failed(trp_batch_lay_out(&b, NULL)));
    int64_t now_ns = trp_clock_now_ns(trp_clock_system());
    assert_true(trp_runqueue_seal(&crew.queue, &b, now_ns, &unwanted));
    const enum trp_batch_end end = trp_batch_run(&crew.place, &b, UINT64_MAX, &now_ns);
    trp_runqueue_part(&crew.queue, &b);
    for (struct trp_call *call; (call = trp_call_list_pop(&b.members)) != NULL;)
        trp_call_finish_from(call);
    trp_batch_deinit(&b);
    turn_until(w.finished_n == 4);
    stop_crew(&crew);
    assert_int_equal(end, TRP_BATCH_DONE);
    for (uint32_t i = 1; i < 4; i++)
        check_echo(w.finished[i]);
    assert_int_equal(metric(TRP_METRIC_FANOUT_PARTS), 3);
    assert_int_equal(metric(TRP_METRIC_BATCHED_CALLS), 3);
    assert_int_equal(trp_counter_get(&v->stats->execution_count), 2);
}

static void parts_are_learned_without_the_time_that_they_had_no_processor(void **state)
{
    (void)state;
    static struct crew crew;
    struct trp_version *v = make_apart(SLOW_ROWS);
    struct trp_call_list first = { 0 }, refused = { 0 };
    uint32_t seen[2] = { 0 };
    start_crew(&crew);
    turn_until(trp_gauge_get(&crew.queue.idle) == 2);
    for (uint32_t i = 0; i < 3;
         i++) { /* the first one tells what it costs, the others are shared */
        if (i == 2)
            trp_flag_raise(&is_held_up);
        trp_call_list_push(&first, enter(v, ROWS));
        trp_runqueue_push(&crew.queue, &first, &refused);
        turn_until(w.finished_n == i + 1 && trp_gauge_get(&crew.queue.idle) == 2);
        if (i > 0)
            seen[i - 1] = ((struct trp_lines *)v->exec_slot)->curve.points[4].seen; /* 20 rows */
    }
    trp_flag_lower(&is_held_up);
    stop_crew(&crew);
    assert_int_equal(metric(TRP_METRIC_FANOUTS), 2);
    assert_int_equal(seen[0], 2);
    assert_int_equal(seen[1], 2); /* nothing that could be told apart from waiting */
}

/* The runs themselves are not interrupted: what they wait for is to begin. */
static void who_finds_another_on_its_core_goes_where_there_is_room(void **state)
{
    (void)state;
    static struct crew crew;
    struct trp_cores all;
    struct trp_call_list first = { 0 }, refused = { 0 };
    assert_true(trp_cores_of_thread(&all));
    const uint32_t cores = trp_cores_count(&all);
    if (cores < ARRAY_LEN(crew.executors))
        skip();
    struct trp_version *v = make_apart("input x FP32 [-1,2]\noutput y FP32 [-1,2]\n");
    start_crew_of(&crew, cores);
    turn_until(trp_gauge_get(&crew.queue.idle) == 2);
    const int64_t at_home = metric(TRP_METRIC_CORES_MOVED);
    trp_flag_raise(&is_held_up);
    for (uint32_t i = 0; i < 5; i++) { /* one of the two has three of them */
        trp_call_list_push(&first, enter(v, 1));
        trp_runqueue_push(&crew.queue, &first, &refused);
        turn_until(w.finished_n == i + 1 && trp_gauge_get(&crew.queue.idle) == 2);
        if (i == 1)
            assert_int_equal(metric(TRP_METRIC_CORES_MOVED), at_home);
    }
    trp_flag_lower(&is_held_up);
    stop_crew(&crew);
    assert_true(metric(TRP_METRIC_CORES_MOVED) > at_home);
}

int main(void)
{
#define FANOUT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        FANOUT_TEST(a_long_run_is_shared_and_answers_as_one_would),
        FANOUT_TEST(what_is_learned_of_costs_are_the_parts),
        FANOUT_TEST(outputs_of_unknown_size_are_laid_together),
        FANOUT_TEST(strings_are_shared_as_well),
        FANOUT_TEST(only_executors_that_are_idle_share_it),
        FANOUT_TEST(parts_have_slots_of_their_version),
        FANOUT_TEST(parts_are_made_on_all_devices),
        FANOUT_TEST(single_rows_are_left_whole),
        cmocka_unit_test_setup_teardown(short_runs_are_left_whole, set_up_whole, tear_down),
        FANOUT_TEST(rows_that_may_depend_on_each_other_are_not_divided_but_asked_about),
        FANOUT_TEST(who_can_find_out_is_asked_when_it_would_pay),
        FANOUT_TEST(a_part_that_fails_fails_the_run_and_stops_the_others),
        FANOUT_TEST(cancelling_stops_every_part),
        FANOUT_TEST(stopping_ends_what_is_shared),
        FANOUT_TEST(outputs_go_into_the_memory_that_was_given),
        FANOUT_TEST(an_output_over_its_own_input_is_whole),
        FANOUT_TEST(rows_that_are_not_its_inputs_end_it),
        FANOUT_TEST(a_part_without_room_runs_after_the_others),
        FANOUT_TEST(a_batch_that_was_formed_is_shared_and_each_gets_its_rows),
        FANOUT_TEST(parts_are_learned_without_the_time_that_they_had_no_processor),
        FANOUT_TEST(who_finds_another_on_its_core_goes_where_there_is_room),
    };
    return cmocka_run_group_tests_name("fanout", tests, NULL, NULL);
}

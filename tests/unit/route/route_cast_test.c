/* Casts of many bytes: a helper does them, and nobody does them for whom nobody waits any more. */
#include "routes.h"

#include "exec/crew.h"
#include "route/route_cast.h"

static struct trp_crew *crew; /* without threads: the test does the work */

static int set_up(void **state)
{
    static struct routes r; /* one test at a time */
    const struct trp_crew_opts opts = { .jobs_max = 1, .limit = "sched.queue_max" };
    routes_init(&r);
    struct model *m = routes_add(&r, "theirs");
    m->input = (struct trp_io){
        .name = TRP_STR_LIT("pixels"), .dtype = TROUPE_INT64, .rank = 1, .dims = { -1 }
    };
    m->output.name = TRP_STR_LIT("top");
    (void)routes_add(&r, "ours");
    assert_false(trp_failed(trp_crew_create(trp_heap(), &opts, &crew, NULL)));
    r.env.crew = crew;
    r.elements = ELEMENTS_MAX;
    *state = &r;
    return 0;
}

static int tear_down(void **state)
{
    routes_deinit(*state);
    trp_crew_destroy(crew);
    return 0;
}

static const char *const rules[] = { "{ use: t }", "{ use: t, fallback: ours }",
                                     "{ use: t, timeout: 5s }", "{ use: t, hedge: 5s }" };

static void serve(struct routes *r, const char *rule)
{
    char text[400];
    (void)snprintf(text, sizeof text,
                   "routes: { r: { targets: { t: { model: theirs, inputs: { x: pixels }, "
                   "outputs: { y: top }, cast: { pixels: INT64, top: FP32 } } }, rules: [ %s ] } }",
                   rule);
    routes_read_ok(r, text);
}

static void turns(struct routes *r)
{
    for (int i = 0; i < 10; i++)
        routes_turn(r);
}

/* As front does when the client has gone, or its time is up. */
static void give_up(struct trp_call *call, bool is_late)
{
    assert_true(is_late ? trp_call_try_expire(call) : trp_call_try_cancel(call));
    if (call->target->ops->cancel)
        call->target->ops->cancel(call->target, call);
}

static void much_is_cast_by_a_helper_there_and_back(void **state)
{
    struct routes *r = *state;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        serve(r, rules[i]);
        routes_model(r, "theirs")->asked = 0;
        struct trp_call *call = routes_start(r, "r");
        turns(r);
        assert_int_equal(routes_model(r, "theirs")->asked, 0);
        assert_true(trp_crew_do_one(crew));
        turns(r);
        assert_int_equal(routes_model(r, "theirs")->asked, 1);
        assert_null(r->answered);
        assert_true(trp_crew_do_one(crew));
        turns(r);
        assert_ptr_equal(r->answered, call);
        assert_false(trp_crew_do_one(crew));
        assert_int_equal(call->error.status.code, TRP_OK);
        assert_true(trp_str_is(call->outputs[0].name, "y"));
        const struct troupe_tensor *y = &call->outputs[0].tensor;
        assert_int_equal(y->dtype, TROUPE_FP32);
        assert_int_equal(y->bytes, ELEMENTS_MAX * sizeof(float));
        assert_memory_equal(y->data, call->inputs[0].tensor.data, y->bytes);
        if (i < 2) /* else it is its child's */
            assert_int_equal(trp_oneshot_get(&call->outcome), TRP_OUTCOME_DONE);
        routes_end(r, call);
    }
}

/* Before its inputs are cast, and before its outputs are. */
static void nothing_is_cast_for_whom_nobody_waits(void **state)
{
    struct routes *r = *state;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        for (int way = 0; way < 4; way++) {
            const bool is_late = way % 2, is_output = way / 2;
            serve(r, rules[i]);
            routes_model(r, "theirs")->asked = 0;
            struct trp_call *call = routes_start(r, "r");
            if (is_output) {
                assert_true(trp_crew_do_one(crew));
                turns(r);
            }
            give_up(call, is_late);
            assert_null(r->answered); /* never from inside */
            turns(r);
            assert_ptr_equal(r->answered, call);
            assert_int_equal(routes_model(r, "theirs")->asked, is_output);
            assert_int_equal(call->error.status.code,
                             i < 2 && is_late ? TRP_DEADLINE_EXCEEDED : TRP_CANCELLED);
            assert_false(trp_crew_do_one(crew));
            routes_end(r, call);
        }
    }
}

/* It is at work when the client goes: it stops there, and the call waits for it. */
static void who_has_gone_meanwhile_gets_nothing(void **state)
{
    struct routes *r = *state;
    serve(r, "{ use: t }");
    struct trp_call *call = routes_start(r, "r");
    assert_true(trp_crew_do_one(crew)); /* it is on its way back */
    give_up(call, false);
    turns(r);
    assert_ptr_equal(r->answered, call);
    assert_int_equal(call->error.status.code, TRP_CANCELLED);
    assert_int_equal(routes_model(r, "theirs")->asked, 0);
    routes_end(r, call);
}

static void an_answer_that_is_late_is_not_cast(void **state)
{
    struct routes *r = *state;
    struct model *m = routes_model(r, "theirs");
    m->keeps = true;
    r->deadline_ns = r->now_ns + TRP_S(1);
    serve(r, "{ use: t }");
    struct trp_call *call = routes_start(r, "r");
    assert_true(trp_crew_do_one(crew));
    turns(r);
    r->now_ns += TRP_S(1);
    model_answer(m, m->kept);
    turns(r);
    assert_ptr_equal(r->answered, call);
    assert_int_equal(call->error.status.code, TRP_DEADLINE_EXCEEDED);
    assert_false(trp_crew_do_one(crew));
    routes_end(r, call);
}

static void an_attempt_ends_with_its_time_while_it_is_cast(void **state)
{
    struct routes *r = *state;
    for (int is_output = 0; is_output <= 1; is_output++) {
        serve(r, "{ use: t, timeout: 1s, fallback: ours }");
        struct trp_call *call = routes_start(r, "r");
        if (is_output)
            assert_true(trp_crew_do_one(crew));
        turns(r);
        r->now_ns += TRP_S(1);
        turns(r);
        assert_ptr_equal(r->answered, call);
        assert_int_equal(call->error.status.code, TRP_OK);
        assert_false(trp_crew_do_one(crew));
        routes_end(r, call);
        assert_string_equal(r->model_name, "ours");
    }
}

static void its_owners_time_counts_from_when_it_is_asked(void **state)
{
    struct routes *r = *state;
    struct model *m = routes_model(r, "theirs");
    m->keeps = true;
    m->patience_ns = TRP_S(2);
    serve(r, "{ use: t, timeout: 5s, fallback: ours }");
    struct trp_call *call = routes_start(r, "r");
    assert_true(trp_crew_do_one(crew));
    turns(r);
    assert_int_equal(m->asked, 1);
    r->now_ns += TRP_S(2);
    turns(r);
    assert_ptr_equal(r->answered, call);
    assert_int_equal(call->error.status.code, TRP_OK);
    model_answer(m, m->kept);
    turns(r);
    routes_end(r, call);
    assert_string_equal(r->model_name, "ours");
}

static void what_cannot_be_cast_is_told_by_the_helper(void **state)
{
    struct routes *r = *state;
    static const struct row {
        const char *cast, *rule, *want;
        int32_t code;
    } rows[] = {
        { "pixels: INT64, top: BOOL", "{ use: t }", NULL, TRP_OK },
        { "pixels: INT64, top: INT8", "{ use: t }",
          "output 'top': element 0 of INT64 cannot become INT8", TRP_BACKEND_FAILED },
        { "pixels: INT64, top: INT8", "{ use: t, timeout: 5s }",
          "output 'top': element 0 of INT64 cannot become INT8", TRP_BACKEND_FAILED },
        { "pixels: INT64, top: INT8", "{ use: t, fallback: ours }", NULL, TRP_OK },
    };
    for (const struct row *w = rows; w < rows + ARRAY_LEN(rows); w++) {
        char text[400];
        (void)snprintf(text, sizeof text,
                       "routes: { r: { targets: { t: { model: theirs, inputs: { x: pixels }, cast: "
                       "{ %s } } }, rules: [ %s ] } }",
                       w->cast, w->rule);
        routes_read_ok(r, text);
        struct model *m = routes_model(r, "theirs");
        m->keeps = true;
        struct trp_call *call = routes_start(r, "r");
        assert_true(trp_crew_do_one(crew));
        turns(r);
        int64_t *first = m->kept->inputs[0].tensor.data;
        *first = w == rows ? 1 : 1000;
        model_answer(m, m->kept);
        turns(r);
        assert_true(trp_crew_do_one(crew));
        turns(r);
        assert_ptr_equal(r->answered, call);
        assert_int_equal(call->error.status.code, w->code);
        if (w->want)
            assert_non_null(strstr(call->error.text, w->want));
        routes_end(r, call);
    }
}

static void no_work(struct trp_crew_job *job)
{
    (void)job;
}

static void too_many_that_wait_are_refused(void **state)
{
    struct routes *r = *state;
    struct trp_crew_job first = { .work = no_work,
                                  .back = no_work,
                                  .loop = r->loop,
                                  .priority_class = TRP_PRIORITY_INTERACTIVE };
    for (int is_output = 0; is_output <= 1; is_output++) {
        serve(r, "{ use: t }");
        struct model *m = routes_model(r, "theirs");
        m->keeps = true;
        struct trp_call *call;
        if (is_output) {
            call = routes_start(r, "r");
            assert_true(trp_crew_do_one(crew));
            turns(r);
            assert_false(trp_failed(trp_crew_push(crew, &first, &r->err)));
            model_answer(m, m->kept);
        } else {
            assert_false(trp_failed(trp_crew_push(crew, &first, &r->err)));
            call = routes_start(r, "r");
        }
        turns(r);
        assert_ptr_equal(r->answered, call);
        assert_int_equal(call->error.status.code, TRP_QUEUE_FULL);
        assert_int_equal(call->error.limit, TRP_LIMIT_QUEUE);
        assert_int_equal(trp_oneshot_get(&call->outcome),
                         is_output ? TRP_OUTCOME_DONE : TRP_OUTCOME_OPEN);
        assert_true(trp_crew_do_one(crew));
        turns(r);
        routes_end(r, call);
    }
}

/* Each that waits makes room for one that is more urgent. */
static void one_that_makes_room_is_refused_as_well(void **state)
{
    struct routes *r = *state;
    struct trp_crew_job other = { .work = no_work,
                                  .back = no_work,
                                  .loop = r->loop,
                                  .priority_class = TRP_PRIORITY_INTERACTIVE };
    serve(r, "{ use: t }");
    struct trp_call *call = routes_start(r, "r");
    assert_false(trp_failed(trp_crew_push(crew, &other, &r->err)));
    turns(r);
    assert_ptr_equal(r->answered, call);
    assert_int_equal(call->error.status.code, TRP_QUEUE_FULL);
    assert_true(trp_crew_do_one(crew));
    turns(r);
    routes_end(r, call);
}

static void its_memory_is_counted(void **state)
{
    struct routes *r = *state;
    struct scarce memory;
    r->account = scarce_init(&memory, 0);
    serve(r, "{ use: t }");
    struct trp_call *call = routes_start(r, "r");
    turns(r);
    assert_ptr_equal(r->answered, call);
    assert_int_equal(call->error.status.code, TRP_OUT_OF_MEMORY);
    assert_int_equal(call->error.limit, TRP_LIMIT_MEMORY);
    assert_non_null(strstr(call->error.text,
                           "no memory for 800000 bytes of input 'pixels' as INT64 "
                           "(limits.request_memory)"));
    routes_end(r, call);
    trp_counter_set(&memory.left, 100);
    call = routes_start(r, "r");
    assert_int_equal(trp_counter_get(&memory.out), 1);
    give_up(call, false);
    turns(r);
    assert_int_equal(trp_counter_get(&memory.out), 0);
    routes_end(r, call);
    r->account = NULL;
}

/* Nobody waits for it: it is cast behind all others, and compared when that is done. */
static void a_shadows_answer_is_cast_as_well(void **state)
{
    struct routes *r = *state;
    serve(r, "{ use: ours, shadow: t }");
    const struct trp_route_rule *rule = &trp_route_plan_of(trp_route_file_at(r->file, 0))->rules[0];
    struct trp_call *call = routes_start(r, "r");
    turns(r);
    assert_ptr_equal(r->answered, call);
    assert_int_equal(call->lent_n, 1);
    assert_true(trp_crew_do_one(crew));
    turns(r);
    assert_int_equal(routes_model(r, "theirs")->asked, 1);
    assert_true(trp_crew_do_one(crew));
    turns(r);
    assert_int_equal(trp_gauge_get(&rule->shadows_out), 0);
    assert_int_equal(trp_counter_get(&rule->shadows_dropped), 0);
    routes_end(r, call);
    call = routes_start(r, "r");
    turns(r);
    r->now_ns += TRP_S(10); /* its time is up */
    turns(r);
    assert_false(trp_crew_do_one(crew));
    assert_int_equal(trp_gauge_get(&rule->shadows_out), 0);
    assert_int_equal(trp_counter_get(&rule->shadows_dropped), 1);
    routes_end(r, call);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(much_is_cast_by_a_helper_there_and_back),
        TEST(nothing_is_cast_for_whom_nobody_waits),
        TEST(who_has_gone_meanwhile_gets_nothing),
        TEST(an_answer_that_is_late_is_not_cast),
        TEST(an_attempt_ends_with_its_time_while_it_is_cast),
        TEST(its_owners_time_counts_from_when_it_is_asked),
        TEST(what_cannot_be_cast_is_told_by_the_helper),
        TEST(too_many_that_wait_are_refused),
        TEST(one_that_makes_room_is_refused_as_well),
        TEST(its_memory_is_counted),
        TEST(a_shadows_answer_is_cast_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

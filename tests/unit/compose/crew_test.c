/* The threads that do long steps: in which order, how many wait, and that all come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compose/crew.h"

struct errand {
    struct trp_crew_job job;
    char name;
};

static struct trp_loop *loop;
static struct trp_crew *crew;
static char done[16]; /* by a test's own thread */
static uint32_t done_n, back_n, withdrawn_n;
static struct trp_counter worked;

static void work(struct trp_crew_job *job)
{
    done[done_n++] = TRP_CONTAINER_OF(job, struct errand, job)->name;
}

static void work_anywhere(struct trp_crew_job *job)
{
    (void)job;
    trp_counter_add(&worked, 1);
}

static void back(struct trp_crew_job *job)
{
    back_n++;
    withdrawn_n += job->is_withdrawn;
}

static void make_with_floors(uint32_t threads_n, uint32_t jobs_max, uint32_t normal, uint32_t batch)
{
    const struct trp_crew_opts opts = { .threads_n = threads_n,
                                        .jobs_max = jobs_max,
                                        .floor_normal_permille = normal,
                                        .floor_batch_permille = batch,
                                        .limit = "sched.queue_max" };
    const struct trp_loop_opts l = { .name = "test" };
    done_n = back_n = withdrawn_n = 0;
    trp_counter_set(&worked, 0);
    assert_false(trp_failed(trp_loop_create(trp_heap(), &l, &loop, NULL)));
    assert_false(trp_failed(trp_loop_turn(loop, 0, NULL)));
    assert_false(trp_failed(trp_crew_create(trp_heap(), &opts, &crew, NULL)));
}

static void make(uint32_t threads_n, uint32_t jobs_max)
{
    make_with_floors(threads_n, jobs_max, 0, 0);
}

static void unmake(void)
{
    trp_crew_destroy(crew);
    trp_loop_destroy(loop);
}

static trp_status push(struct errand *e, char name, enum trp_priority_class class,
                       int64_t deadline_ns)
{
    struct trp_error err = { 0 };
    *e = (struct errand){ .job = { .work = work,
                                   .back = back,
                                   .loop = loop,
                                   .priority_class = class,
                                   .deadline_ns = deadline_ns },
                          .name = name };
    return trp_crew_push(crew, &e->job, &err);
}

static void classes_go_first_then_deadlines_then_arrivals(void **state)
{
    (void)state;
    static struct errand e[6];
    make(0, 6);
    assert_false(trp_failed(push(&e[0], 'f', TRP_PRIORITY_BATCH, 1)));
    assert_false(trp_failed(push(&e[1], 'd', TRP_PRIORITY_NORMAL, 0)));
    assert_false(trp_failed(push(&e[2], 'e', TRP_PRIORITY_NORMAL, 0)));
    assert_false(trp_failed(push(&e[3], 'c', TRP_PRIORITY_NORMAL, 90)));
    assert_false(trp_failed(push(&e[4], 'b', TRP_PRIORITY_NORMAL, 50)));
    assert_false(trp_failed(push(&e[5], 'a', TRP_PRIORITY_INTERACTIVE, 0)));
    while (trp_crew_do_one(crew))
        continue;
    assert_memory_equal(done, "abcdef", 6);
    assert_int_equal(back_n, 0); /* they come by mail */
    assert_false(trp_failed(trp_loop_turn(loop, 0, NULL)));
    assert_int_equal(back_n, 6);
    unmake();
}

static void do_all_and_turn(void)
{
    while (trp_crew_do_one(crew))
        continue;
    assert_false(trp_failed(trp_loop_turn(loop, 0, NULL)));
}

static void less_urgent_classes_get_their_floors(void **state)
{
    (void)state;
    static struct errand e[14];
    make_with_floors(0, ARRAY_LEN(e), 250, 200);
    for (uint32_t i = 0; i < 10; i++)
        assert_false(trp_failed(push(&e[i], 'i', TRP_PRIORITY_INTERACTIVE, 0)));
    for (uint32_t i = 10; i < 12; i++)
        assert_false(trp_failed(push(&e[i], 'n', TRP_PRIORITY_NORMAL, 0)));
    for (uint32_t i = 12; i < 14; i++)
        assert_false(trp_failed(push(&e[i], 'b', TRP_PRIORITY_BATCH, 0)));
    do_all_and_turn();
    assert_memory_equal(done, "iiiinbiinibiii", 14);
    assert_int_equal(back_n, 14);
    unmake();
}

static void one_without_a_deadline_does_not_wait_for_ever(void **state)
{
    (void)state;
    static struct errand e[3];
    make(0, ARRAY_LEN(e));
    const int64_t now_ns = trp_loop_now_ns(loop);
    assert_false(trp_failed(
        push(&e[0], 'c', TRP_PRIORITY_NORMAL, now_ns + TRP_CREW_PATIENCE_NS + TRP_S(9))));
    assert_false(trp_failed(push(&e[1], 'b', TRP_PRIORITY_NORMAL, 0)));
    assert_false(trp_failed(push(&e[2], 'a', TRP_PRIORITY_NORMAL, now_ns + TRP_S(9))));
    do_all_and_turn();
    assert_memory_equal(done, "abc", 3);
    unmake();
}

static void one_too_many_is_refused(void **state)
{
    (void)state;
    static struct errand e[3];
    make(0, 2);
    assert_false(trp_failed(push(&e[0], 'a', TRP_PRIORITY_NORMAL, 0)));
    assert_false(trp_failed(push(&e[1], 'b', TRP_PRIORITY_NORMAL, 0)));
    assert_int_equal(push(&e[2], 'c', TRP_PRIORITY_NORMAL, 0).code, TRP_QUEUE_FULL);
    assert_true(trp_crew_do_one(crew));
    assert_false(trp_failed(push(&e[2], 'c', TRP_PRIORITY_NORMAL, 0)));
    while (trp_crew_do_one(crew))
        continue;
    assert_false(trp_failed(trp_loop_turn(loop, 0, NULL)));
    assert_int_equal(back_n, 3);
    unmake();
}

static void one_that_is_withdrawn_comes_back_as_it_went(void **state)
{
    (void)state;
    static struct errand e[2];
    make(0, 2);
    assert_false(trp_failed(push(&e[0], 'a', TRP_PRIORITY_NORMAL, 0)));
    assert_false(trp_failed(push(&e[1], 'b', TRP_PRIORITY_NORMAL, 0)));
    trp_crew_withdraw(crew, &e[0].job);
    assert_true(trp_crew_do_one(crew));
    trp_crew_withdraw(crew, &e[1].job); /* too late: it is on its way */
    assert_false(trp_crew_do_one(crew));
    assert_false(trp_failed(trp_loop_turn(loop, 0, NULL)));
    assert_int_equal(back_n, 2);
    assert_int_equal(withdrawn_n, 1);
    assert_memory_equal(done, "b", 1);
    unmake();
}

static void threads_do_all_of_it_before_they_stop(void **state)
{
    (void)state;
    static struct errand e[1000];
    make(3, 1000);
    assert_false(trp_failed(trp_crew_start(crew, NULL)));
    for (uint32_t i = 0; i < 1000; i++) {
        e[i].job = (struct trp_crew_job){ .work = work_anywhere, .back = back, .loop = loop };
        assert_false(trp_failed(trp_crew_push(crew, &e[i].job, NULL)));
        if (i % 7 == 0)
            trp_crew_withdraw(crew, &e[i].job);
    }
    trp_crew_stop(crew);
    assert_false(trp_failed(trp_loop_turn(loop, 0, NULL)));
    assert_int_equal(back_n, 1000);
    assert_int_equal(trp_counter_get(&worked), 1000 - withdrawn_n);
    unmake();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_go_first_then_deadlines_then_arrivals),
        cmocka_unit_test(less_urgent_classes_get_their_floors),
        cmocka_unit_test(one_without_a_deadline_does_not_wait_for_ever),
        cmocka_unit_test(one_too_many_is_refused),
        cmocka_unit_test(one_that_is_withdrawn_comes_back_as_it_went),
        cmocka_unit_test(threads_do_all_of_it_before_they_stop),
    };
    return cmocka_run_group_tests_name("crew", tests, NULL, NULL);
}

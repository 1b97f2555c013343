/* The threads that do long steps: in which order, how many wait, and that all come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "exec/crew.h"

struct errand {
    struct trp_crew_job job;
    char name;
    uint32_t worked_n, back_n;
};

static struct trp_loop *loop;
static struct trp_crew *crew;
static char done[16]; /* by a test's own thread */
static uint32_t done_n, back_n, withdrawn_n, shed_n;
static const struct trp_tenant_rule rules[] = { { .name = { "gold", 4 }, .weight = 3 },
                                                { .name = { "*", 1 }, .weight = 1 } };
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
    shed_n += job->is_shed;
}

static void make_with_floors(uint32_t threads_n, uint32_t jobs_max, uint32_t normal, uint32_t batch)
{
    const struct trp_crew_opts opts = { .threads_n = threads_n,
                                        .jobs_max = jobs_max,
                                        .floor_normal_permille = normal,
                                        .floor_batch_permille = batch,
                                        .tenant_rules = rules,
                                        .tenant_rules_n = ARRAY_LEN(rules),
                                        .seed = 7,
                                        .limit = "sched.queue_max" };
    const struct trp_loop_opts l = { .name = "test" };
    done_n = back_n = withdrawn_n = shed_n = 0;
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

static trp_status push_of(struct errand *e, const char *tenant, char name,
                          enum trp_priority_class class, int64_t deadline_ns)
{
    struct trp_error err = { 0 };
    *e = (struct errand){ .job = { .work = work,
                                   .back = back,
                                   .loop = loop,
                                   .priority_class = class,
                                   .deadline_ns = deadline_ns,
                                   .tenant = trp_str_of(tenant) },
                          .name = name };
    return trp_crew_push(crew, &e->job, &err);
}

static trp_status push(struct errand *e, char name, enum trp_priority_class class,
                       int64_t deadline_ns)
{
    return push_of(e, "", name, class, deadline_ns);
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

/* ---- tenants ---- */

static void push_many(struct errand *e, uint32_t n, const char *tenant, char name)
{
    for (uint32_t i = 0; i < n; i++)
        assert_false(trp_failed(push_of(&e[i], tenant, name, TRP_PRIORITY_NORMAL, 0)));
}

static void tenants_take_turns(void **state)
{
    (void)state;
    static struct errand e[9];
    make(0, ARRAY_LEN(e));
    push_many(&e[0], 5, "a", 'a');
    push_many(&e[5], 2, "b", 'b');
    push_many(&e[7], 2, "", 'n'); /* nobody in particular is one more */
    do_all_and_turn();
    assert_memory_equal(done, "abnabnaaa", 9);
    assert_int_equal(back_n, 9);
    unmake();
}

static void by_their_weights(void **state)
{
    (void)state;
    static struct errand e[9];
    make(0, ARRAY_LEN(e));
    push_many(&e[0], 6, "gold", 'g');
    push_many(&e[6], 3, "b", 'b');
    do_all_and_turn();
    assert_memory_equal(done, "gbgggbggb", 9);
    unmake();
}

/* Of a tenant the earliest deadline goes first; among tenants it makes no difference. */
static void deadlines_count_within_a_tenant(void **state)
{
    (void)state;
    static struct errand e[4];
    make(0, ARRAY_LEN(e));
    assert_false(trp_failed(push_of(&e[0], "a", '2', TRP_PRIORITY_NORMAL, 90)));
    assert_false(trp_failed(push_of(&e[1], "a", '1', TRP_PRIORITY_NORMAL, 50)));
    assert_false(trp_failed(push_of(&e[2], "b", 'x', TRP_PRIORITY_NORMAL, 1)));
    assert_false(trp_failed(push_of(&e[3], "b", 'y', TRP_PRIORITY_NORMAL, 2)));
    do_all_and_turn();
    assert_memory_equal(done, "1x2y", 4);
    unmake();
}

/* One that always has a single job is no newcomer each time. */
static void whoever_comes_back_has_had_his_turn(void **state)
{
    (void)state;
    static struct errand a[6], b[12];
    make(0, 20);
    push_many(a, 6, "a", 'a');
    push_many(b, 1, "b", 'b');
    for (uint32_t n = 1; n < 12; n++) {
        assert_true(trp_crew_do_one(crew));
        if (done[done_n - 1] == 'b')
            push_many(&b[n], 1, "b", 'b');
    }
    assert_memory_equal(done, "abababababa", 11);
    do_all_and_turn();
    unmake();
}

/* And one that was away has saved nothing. */
static void whoever_was_idle_has_saved_nothing(void **state)
{
    (void)state;
    static struct errand a[10], b[4];
    make(0, 20);
    push_many(b, 1, "b", 'b');
    push_many(a, 10, "a", 'a');
    for (uint32_t i = 0; i < 7; i++)
        assert_true(trp_crew_do_one(crew));
    push_many(&b[1], 3, "b", 'b');
    do_all_and_turn();
    assert_memory_equal(done, "baaaaaabababaa", 14);
    unmake();
}

/* Four wait at most. */
static void whoever_floods_it_makes_room_for_others(void **state)
{
    (void)state;
    static struct errand a[5], b[3];
    make(0, 4);
    push_many(a, 4, "a", 'a');
    assert_int_equal(push_of(&a[4], "a", 'x', TRP_PRIORITY_NORMAL, 0).code, TRP_QUEUE_FULL);
    assert_int_equal(shed_n, 0); /* the newest of who has most is the one that has just come */
    push_many(b, 2, "b", 'b');
    assert_false(trp_failed(trp_loop_turn(loop, 0, NULL)));
    assert_int_equal(shed_n, 2);
    assert_true(a[2].job.is_shed && a[3].job.is_shed && !a[2].job.is_withdrawn);
    assert_int_equal(push_of(&b[2], "b", 'x', TRP_PRIORITY_NORMAL, 0).code, TRP_QUEUE_FULL);
    do_all_and_turn();
    assert_memory_equal(done, "abab", 4);
    assert_int_equal(back_n, 6);
    unmake();
}

static void the_least_urgent_class_makes_room_first(void **state)
{
    (void)state;
    static struct errand e[7];
    make(0, 3);
    assert_false(trp_failed(push_of(&e[0], "a", 'n', TRP_PRIORITY_NORMAL, 0)));
    assert_false(trp_failed(push_of(&e[1], "a", 'n', TRP_PRIORITY_NORMAL, 0)));
    assert_false(trp_failed(push_of(&e[2], "b", 'b', TRP_PRIORITY_BATCH, 0)));
    assert_int_equal(push_of(&e[3], "c", 'x', TRP_PRIORITY_BATCH, 0).code, TRP_QUEUE_FULL);
    assert_false(trp_failed(push_of(&e[4], "a", 'n', TRP_PRIORITY_NORMAL, 0)));
    assert_false(trp_failed(trp_loop_turn(loop, 0, NULL)));
    assert_true(e[2].job.is_shed);
    assert_int_equal(push_of(&e[5], "d", 'x', TRP_PRIORITY_BATCH, 0).code, TRP_QUEUE_FULL);
    assert_false(trp_failed(push_of(&e[6], "a", 'i', TRP_PRIORITY_INTERACTIVE, 0)));
    do_all_and_turn();
    assert_true(e[4].job.is_shed);
    assert_memory_equal(done, "inn", 3);
    unmake();
}

static void note_work(struct trp_crew_job *job)
{
    TRP_CONTAINER_OF(job, struct errand, job)->worked_n++;
}

static void note_back(struct trp_crew_job *job)
{
    TRP_CONTAINER_OF(job, struct errand, job)->back_n++;
}

/* Whatever comes and goes, of more tenants than there are places: each that was taken comes back
 * once, worked on once or not at all. */
static void nothing_is_lost_or_done_twice(void **state)
{
    (void)state;
    enum { ERRANDS = 4000, TENANTS = 300 };
    static struct errand e[ERRANDS];
    static bool is_taken[ERRANDS];
    uint64_t random = 20261126;
    make(0, 100);
    for (uint32_t i = 0; i < ERRANDS; i++) {
        char tenant[16];
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        (void)snprintf(tenant, sizeof tenant, "t%u", (uint32_t)(random >> 33) % TENANTS);
        e[i] = (struct errand){ .job = { .work = note_work,
                                         .back = note_back,
                                         .loop = loop,
                                         .priority_class =
                                             (enum trp_priority_class)((random >> 20) % 3),
                                         .deadline_ns = (int64_t)((random >> 25) % 4),
                                         .tenant = trp_str_of(tenant) } };
        is_taken[i] = !trp_failed(trp_crew_push(crew, &e[i].job, NULL));
        if (i > 50 && (random >> 40) % 5 == 0 && is_taken[i - 50] && e[i - 50].back_n == 0)
            trp_crew_withdraw(crew, &e[i - 50].job);
        if ((random >> 45) % 3 == 0)
            (void)trp_crew_do_one(crew);
        if ((random >> 50) % 7 == 0)
            assert_false(trp_failed(trp_loop_turn(loop, 0, NULL)));
    }
    do_all_and_turn();
    uint32_t shed = 0;
    for (uint32_t i = 0; i < ERRANDS; i++) {
        assert_int_equal(e[i].back_n, is_taken[i]);
        assert_int_equal(e[i].worked_n, is_taken[i] && !e[i].job.is_withdrawn && !e[i].job.is_shed);
        shed += e[i].job.is_shed;
    }
    assert_true(shed > 100);
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
        cmocka_unit_test(tenants_take_turns),
        cmocka_unit_test(by_their_weights),
        cmocka_unit_test(deadlines_count_within_a_tenant),
        cmocka_unit_test(whoever_comes_back_has_had_his_turn),
        cmocka_unit_test(whoever_was_idle_has_saved_nothing),
        cmocka_unit_test(whoever_floods_it_makes_room_for_others),
        cmocka_unit_test(the_least_urgent_class_makes_room_first),
        cmocka_unit_test(nothing_is_lost_or_done_twice),
        cmocka_unit_test(one_that_is_withdrawn_comes_back_as_it_went),
        cmocka_unit_test(threads_do_all_of_it_before_they_stop),
    };
    return cmocka_run_group_tests_name("crew", tests, NULL, NULL);
}

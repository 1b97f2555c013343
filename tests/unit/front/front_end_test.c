/* How a front ends: what is out is waited for, however long it takes. */
#include "unit/front/front_line.h"

#define HELD                                                     \
    "POST /v2/models/held/infer HTTP/1.1\r\nHost: localhost\r\n" \
    "Content-Length: 72\r\n\r\n" JSON_BODY

/* A run that comes back after so many turns of the loop, each of which takes `step_ns`. */
struct late {
    struct trp_timer timer;
    struct fixture *f;
    uint32_t turns_left;
    int64_t step_ns;
};

static void come_later(struct trp_timer *timer, int64_t now_ns)
{
    struct late *late = TRP_CONTAINER_OF(timer, struct late, timer);
    late->f->now_ns += late->step_ns;
    if (late->turns_left-- == 0)
        fixture_release(late->f, 0);
    else
        assert_int_equal(trp_timer_arm(late->f->loop, timer, now_ns, NULL).code, TRP_OK);
}

static void open_with_a_late_run(struct fixture *f, struct late *late)
{
    fixture_start(f);
    const int fd = fixture_connect(f, true);
    fixture_send(fd, HELD, sizeof HELD - 1);
    fixture_turns(f, 2);
    assert_int_equal(f->held_n, 1);
    close(fd);
    late->timer.due = come_later;
    late->f = f;
    assert_int_equal(trp_timer_arm(f->loop, &late->timer, 0, NULL).code, TRP_OK);
}

/* After 2,000 turns the front used to be given up with the memory of its requests, and then their
 * pool asserted that nothing of it was lent: a slow run ended the process by abort(). */
static void a_run_that_takes_its_time_is_waited_for(void **state)
{
    (void)state;
    struct fixture f;
    struct late late = { .turns_left = 10000 };
    fixture_open(&f);
    open_with_a_late_run(&f, &late);
    fixture_close(&f);
    assert_int_equal(f.cancelled_n, 1); /* it was told that nobody waits for its answer */
    assert_int_equal(f.finished_n, 1);
}

static void what_is_waited_for_is_told_now_and_then(void **state)
{
    (void)state;
    struct fixture f;
    struct late late = { .turns_left = 170, .step_ns = TRP_MS(100) };
    struct trp_error err = { 0 };
    char lines[4096] = "";
    int told[2];
    fixture_open(&f);
    assert_int_equal(pipe2(told, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(trp_log_create(trp_heap(), &f.clock, told[1], &f.log, &err).code, TRP_OK);
    open_with_a_late_run(&f, &late);
    fixture_close(&f);
    const ssize_t n = read(told[0], lines, sizeof lines - 1);
    assert_true(n > 0);
    int count = 0;
    for (const char *at = lines; (at = strstr(at, "waits for 1 requests")) != NULL; at++)
        count++;
    assert_int_equal(count, 3); /* in 17 seconds */
    trp_log_destroy(f.log);
    close(told[0]);
    close(told[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_that_takes_its_time_is_waited_for),
        cmocka_unit_test(what_is_waited_for_is_told_now_and_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

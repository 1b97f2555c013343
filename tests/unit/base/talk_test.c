/* tests/unit/base/talk_test.c - messages between two processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/talk.h"
#include "base/thread.h"

static void a_message_comes_whole_with_its_descriptors(void **state)
{
    int ends[2], pipe_ends[2], fds[TRP_TALK_FDS_MAX];
    char got[6] = "";
    (void)state;
    assert_int_equal(trp_talk_pair(ends, NULL).code, TRP_OK);
    assert_int_equal(pipe(pipe_ends), 0);
    assert_true(trp_talk_send(ends[0], "hello", 6, &pipe_ends[1], 1));
    assert_int_equal(trp_talk_receive(ends[1], got, sizeof got, fds), TRP_TALK_MESSAGE);
    assert_string_equal(got, "hello");
    assert_true(fds[0] >= 0);
    assert_int_equal(fds[1], -1);
    assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
    assert_int_equal(write(fds[0], "x", 1), 1);
    assert_int_equal(read(pipe_ends[0], got, 1), 1);
    close(fds[0]);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    close(ends[0]);
    close(ends[1]);
}

static void who_has_gone_is_noticed(void **state)
{
    int ends[2], fds[TRP_TALK_FDS_MAX];
    char got[6];
    (void)state;
    assert_int_equal(trp_talk_pair(ends, NULL).code, TRP_OK);
    trp_talk_set_patience(ends[0], 1000000);
    assert_int_equal(trp_talk_receive(ends[0], got, sizeof got, fds), TRP_TALK_NOT_YET);
    close(ends[1]);
    assert_int_equal(trp_talk_receive(ends[0], got, sizeof got, fds), TRP_TALK_OVER);
    assert_false(trp_talk_send(ends[0], "hello", 6, NULL, 0));
    close(ends[0]);
}

static void another_length_ends_the_talk(void **state)
{
    int ends[2], fds[TRP_TALK_FDS_MAX];
    char got[6];
    (void)state;
    assert_int_equal(trp_talk_pair(ends, NULL).code, TRP_OK);
    assert_true(trp_talk_send(ends[0], "one", 3, &ends[0], 1));
    assert_int_equal(trp_talk_receive(ends[1], got, sizeof got, fds), TRP_TALK_OVER);
    assert_true(trp_talk_send(ends[0], "hello, you", 10, NULL, 0));
    assert_int_equal(trp_talk_receive(ends[1], got, sizeof got, fds), TRP_TALK_OVER);
    close(ends[0]);
    close(ends[1]);
}

static void hang_up(void *user)
{
    trp_talk_hang_up(*(const int *)user);
}

static void hanging_up_wakes_who_waits(void **state)
{
    int ends[2], fds[TRP_TALK_FDS_MAX];
    char got[6];
    struct trp_thread thread;
    (void)state;
    assert_int_equal(trp_talk_pair(ends, NULL).code, TRP_OK);
    assert_int_equal(trp_thread_start(&thread, "hangs up", hang_up, &ends[0], NULL).code, TRP_OK);
    assert_int_equal(trp_talk_receive(ends[0], got, sizeof got, fds), TRP_TALK_OVER);
    trp_thread_join(&thread);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_comes_whole_with_its_descriptors),
        cmocka_unit_test(who_has_gone_is_noticed),
        cmocka_unit_test(another_length_ends_the_talk),
        cmocka_unit_test(hanging_up_wakes_who_waits),
    };
    return cmocka_run_group_tests_name("talk", tests, NULL, NULL);
}

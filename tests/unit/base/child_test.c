/* tests/unit/base/child_test.c - a process that this one starts: this program again, told by its
 * argument what to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/talk.h"
#include "mortal.h"

#define LONG_NS TRP_S(60)

static int be_child(const char *what)
{
    int fds[TRP_TALK_FDS_MAX];
    char got[1];
    trp_child_follow_parent();
    if (strcmp(what, "exit") == 0)
        return 7;
    if (strcmp(what, "trap") == 0)
        raise(SIGFPE);
    if (strcmp(what, "wait") == 0) /* for its parent to hang up */
        return trp_talk_receive(3, got, sizeof got, fds) == TRP_TALK_OVER ? 0 : 1;
    for (;;)
        pause();
}

static struct trp_child start(const char *what, int fd)
{
    const char *const argv[] = { "child_test", "child", what, NULL };
    struct trp_child c;
    struct trp_error err;
    const trp_status st = trp_child_start("/proc/self/exe", argv, fd, &c, &err);
    if (trp_failed(st))
        print_message("%s\n", err.text);
    assert_int_equal(st.code, TRP_OK);
    return c;
}

static void how_it_ended_is_said(void **state)
{
    char words[TRP_CHILD_WORDS_MAX];
    (void)state;
    struct trp_child c = start("exit", STDERR_FILENO);
    assert_true(trp_child_wait(&c, LONG_NS, words));
    assert_string_equal(words, "ended with 7");
    assert_int_equal(c.pid, 0);
    c = start("trap", STDERR_FILENO);
    assert_true(trp_child_wait(&c, LONG_NS, words));
    assert_non_null(strstr(words, "SIGFPE"));
}

static void it_stays_until_it_is_killed(void **state)
{
    char words[TRP_CHILD_WORDS_MAX];
    (void)state;
    struct trp_child c = start("stay", STDERR_FILENO);
    assert_false(trp_child_wait(&c, TRP_MS(20), words));
    trp_child_kill(&c);
    assert_true(trp_child_wait(&c, LONG_NS, words));
    assert_non_null(strstr(words, "SIGKILL"));
}

static void it_has_the_descriptor_that_it_was_given(void **state)
{
    char words[TRP_CHILD_WORDS_MAX];
    int ends[2];
    (void)state;
    assert_int_equal(trp_talk_pair(ends, NULL).code, TRP_OK);
    struct trp_child c = start("wait", ends[1]);
    close(ends[1]);
    trp_talk_hang_up(ends[0]);
    close(ends[0]);
    assert_true(trp_child_wait(&c, LONG_NS, words));
    assert_string_equal(words, "ended with 0");
}

static void a_program_that_is_not_there_is_refused(void **state)
{
    const char *const argv[] = { "nobody", NULL };
    struct trp_child c;
    struct trp_error err;
    (void)state;
    assert_int_equal(trp_child_start("/nonexistent", argv, STDERR_FILENO, &c, &err).code,
                     TRP_NOT_FOUND);
    assert_int_equal(c.pid, 0);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "child") == 0)
        return be_child(argv[2]);
    let_children_die();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(how_it_ended_is_said),
        cmocka_unit_test(it_stays_until_it_is_killed),
        cmocka_unit_test(it_has_the_descriptor_that_it_was_given),
        cmocka_unit_test(a_program_that_is_not_there_is_refused),
    };
    return cmocka_run_group_tests_name("child", tests, NULL, NULL);
}

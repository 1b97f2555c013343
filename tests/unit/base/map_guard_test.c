/* A mapped file that becomes shorter while somebody reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/map_guard.h"
#include "base/thread.h"
#include "unit/base/cut_file.h"

static void a_whole_file_is_read_as_it_is(void **state)
{
    struct file *f = *state;
    struct trp_map_guard g;
    trp_map_guard_enter(&g, &f->map);
    for (size_t i = 0; i < PAGES; i++)
        assert_int_equal(byte_of_page(f, i), 'x');
    assert_false(trp_map_guard_leave(&g));
}

static void read_a_cut_file(struct file *f)
{
    struct trp_map_guard g;
    trp_map_guard_enter(&g, &f->map);
    assert_int_equal(truncate(f->path, (off_t)(3 * f->page)), 0);
    assert_int_equal(byte_of_page(f, 2), 'x');
    for (size_t i = 3; i < PAGES; i++)
        assert_int_equal(byte_of_page(f, i), 0);
    assert_int_equal(byte_of_page(f, 3), 0); /* it stays so */
    assert_true(trp_map_guard_leave(&g));
}

static void what_is_gone_reads_as_zeros_and_is_told(void **state)
{
    read_a_cut_file(*state);
}

static void run_in_thread(void *user)
{
    read_a_cut_file(user);
}

/* Loader threads are made with every signal blocked, and a blocked SIGBUS ends the process
 * whatever its handler. */
static void a_thread_of_ours_is_guarded_too(void **state)
{
    struct trp_thread thread = { 0 };
    assert_false(trp_failed(trp_thread_start(&thread, "reader", run_in_thread, *state, NULL)));
    trp_thread_join(&thread);
}

static void outside_of_a_guard_it_ends_the_process_as_ever(void **state)
{
    struct file *f = *state;
    struct trp_map_guard g;
    const pid_t child = fork();
    if (child == 0) {
        trp_map_guard_enter(&g, &f->map);
        (void)trp_map_guard_leave(&g);
        (void)truncate(f->path, 0);
        _exit(byte_of_page(f, 1));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGBUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(a_whole_file_is_read_as_it_is),
        WITH_FILE(what_is_gone_reads_as_zeros_and_is_told),
        WITH_FILE(a_thread_of_ours_is_guarded_too),
        WITH_FILE(outside_of_a_guard_it_ends_the_process_as_ever),
    };
    return cmocka_run_group_tests_name("map_guard", tests, NULL, NULL);
}

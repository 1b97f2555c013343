/* A mapping that somebody cuts short while several threads work with it. */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/map_loss.h"
#include "base/thread.h"
#include "unit/base/cut_file.h"

#define READERS 4

static void watch(const struct file *f)
{
    struct trp_error err;
    if (trp_failed(trp_map_loss_watch(f->folder, &err)))
        fail_msg("%s", err.text);
}

static void expect_last_loss(const struct file *f)
{
    char path[TRP_MAP_LOSS_PATH_MAX], real[4096];
    assert_true(trp_map_loss_path(trp_map_loss_count(), path));
    assert_non_null(realpath(f->folder, real));
    assert_int_equal(strncmp(path, real, strlen(real)), 0);
    assert_string_equal(path + strlen(real), "/file");
}

static void what_is_gone_reads_as_zeros_and_is_counted_with_its_name(void **state)
{
    struct file *f = *state;
    const uint64_t before = trp_map_loss_count();
    watch(f);
    assert_int_equal(byte_of_page(f, 2), 'x');
    assert_int_equal(truncate(f->path, (off_t)(3 * f->page)), 0);
    assert_int_equal(byte_of_page(f, 2), 'x');
    assert_int_equal(trp_map_loss_count(), before);
    for (size_t i = PAGES; i-- > 3;)
        assert_int_equal(byte_of_page(f, i), 0);
    assert_int_equal(trp_map_loss_count(), before + 1); /* all of it at once */
    expect_last_loss(f);
    trp_map_loss_unwatch(f->folder);
}

static void a_file_without_a_name_keeps_the_one_it_had(void **state)
{
    struct file *f = *state;
    char path[SCRATCH_PATH_MAX + 32];
    watch(f);
    (void)snprintf(path, sizeof path, "%s/again", f->folder);
    assert_int_equal(link(f->path, path), 0);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(byte_of_page(f, 1), 0);
    expect_last_loss(f);
    assert_int_equal(unlink(path), 0);
    trp_map_loss_unwatch(f->folder);
}

struct readers {
    struct file *file;
    struct trp_flag is_cut;
    struct trp_counter zeros, begun;
};

static void read_all(void *user)
{
    struct readers *r = user;
    trp_counter_add(&r->begun, 1);
    while (!trp_flag_is_up(&r->is_cut))
        assert_int_equal(byte_of_page(r->file, 0), 'x');
    for (size_t i = 0; i < PAGES; i++)
        trp_counter_add(&r->zeros, byte_of_page(r->file, i) == 0);
}

/* Threads of ours start with every other signal blocked. */
static void many_threads_find_zeros_and_one_loss(void **state)
{
    struct readers r = { .file = *state };
    struct trp_thread threads[READERS];
    const uint64_t before = trp_map_loss_count();
    watch(r.file);
    for (int i = 0; i < READERS; i++)
        assert_false(trp_failed(trp_thread_start(&threads[i], "reader", read_all, &r, NULL)));
    while (trp_counter_get(&r.begun) < READERS)
        sched_yield();
    trp_flag_raise(&r.is_cut);
    for (int i = 0; i < READERS; i++)
        trp_thread_join(&threads[i]);
    assert_int_equal(trp_counter_get(&r.zeros), 0);
    assert_int_equal(truncate(r.file->path, 0), 0);
    for (int i = 0; i < READERS; i++)
        assert_false(trp_failed(trp_thread_start(&threads[i], "reader", read_all, &r, NULL)));
    for (int i = 0; i < READERS; i++)
        trp_thread_join(&threads[i]);
    assert_int_equal(trp_counter_get(&r.zeros), READERS * PAGES);
    assert_int_equal(trp_map_loss_count(), before + 1);
    trp_map_loss_unwatch(r.file->folder);
}

static void expect_end_by_signal(struct file *f)
{
    const pid_t child = fork();
    if (child == 0) {
        (void)truncate(f->path, 0);
        _exit(byte_of_page(f, 1));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGBUS);
}

static void elsewhere_it_ends_the_process_as_ever(void **state)
{
    struct file *f = *state;
    watch(f);
    watch(f);
    trp_map_loss_unwatch(f->folder);
    trp_map_loss_unwatch(f->folder);
    expect_end_by_signal(f);
}

static void a_mapping_that_others_see_too_is_left_alone(void **state)
{
    struct file *f = *state;
    void *shared;
    int fd = -1;
    watch(f);
    assert_false(trp_failed(trp_file_open(f->path, O_RDONLY, 0, &fd, NULL)));
    shared = mmap(NULL, PAGES * f->page, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(shared != MAP_FAILED);
    close(fd);
    const struct trp_map own = f->map;
    f->map.ptr = shared;
    expect_end_by_signal(f);
    f->map = own;
    assert_int_equal(munmap(shared, PAGES * f->page), 0);
    trp_map_loss_unwatch(f->folder);
}

static void there_is_a_limit_of_folders_and_a_folder_must_be_there(void **state)
{
    struct file *f = *state;
    char path[SCRATCH_PATH_MAX + 32];
    struct trp_error err;
    (void)snprintf(path, sizeof path, "%s/nowhere", f->folder);
    assert_int_equal(trp_map_loss_watch(path, &err).code, TRP_NOT_FOUND);
    int n = 0;
    trp_status st = trp_ok();
    for (; !trp_failed(st) && n <= TRP_MAP_LOSS_FOLDERS; n++) {
        (void)snprintf(path, sizeof path, "%s/%d", f->folder, n);
        assert_int_equal(mkdir(path, 0755), 0);
        st = trp_map_loss_watch(path, &err);
    }
    assert_int_equal(st.code, TRP_OVER_BUDGET);
    assert_int_equal(n, TRP_MAP_LOSS_FOLDERS + 1);
    for (int i = 0; i < n; i++) {
        (void)snprintf(path, sizeof path, "%s/%d", f->folder, i);
        trp_map_loss_unwatch(path);
        assert_int_equal(rmdir(path), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(what_is_gone_reads_as_zeros_and_is_counted_with_its_name),
        WITH_FILE(a_file_without_a_name_keeps_the_one_it_had),
        WITH_FILE(many_threads_find_zeros_and_one_loss),
        WITH_FILE(elsewhere_it_ends_the_process_as_ever),
        WITH_FILE(a_mapping_that_others_see_too_is_left_alone),
        WITH_FILE(there_is_a_limit_of_folders_and_a_folder_must_be_there),
    };
    return cmocka_run_group_tests_name("map_loss", tests, NULL, NULL);
}

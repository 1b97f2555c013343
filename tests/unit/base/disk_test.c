/* Folders, files and locks that outlive a crash, or their owner. */
#include "base/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "scratch.h"

struct fixture {
    char folder[SCRATCH_PATH_MAX], path[256], other[256];
    struct trp_error err;
};

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){ 0 };
    scratch_folder(f.folder, "disk");
    (void)snprintf(f.path, sizeof f.path, "%s/a", f.folder);
    (void)snprintf(f.other, sizeof f.other, "%s/b", f.folder);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(trp_disk_remove(f->folder, &f->err).code, TRP_OK);
    assert_int_equal(access(f->folder, F_OK), -1);
    return 0;
}

static void expect_text(struct fixture *f, const char *path, const char *text)
{
    char *got = NULL;
    size_t n = 0;
    assert_int_equal(trp_file_read(trp_heap(), path, 1000, &got, &n, &f->err).code, TRP_OK);
    assert_string_equal(got, text);
    trp_alloc_free(trp_heap(), got);
}

static void folders_are_made_with_all_that_is_above_them(void **state)
{
    struct fixture *f = *state;
    char deep[300];
    (void)snprintf(deep, sizeof deep, "%s/b/c", f->path);
    assert_int_equal(trp_disk_make_folder(deep, &f->err).code, TRP_OK);
    assert_int_equal(trp_disk_make_folder(deep, &f->err).code, TRP_OK);
    assert_int_equal(trp_disk_write(f->other, "x", 1, 0644, &f->err).code, TRP_OK);
    assert_int_equal(trp_disk_make_folder(f->other, &f->err).code, TRP_NOT_FOUND);
    assert_non_null(strstr(f->err.text, "Not a directory"));
    assert_int_equal(trp_disk_make_folder("", &f->err).code, TRP_NOT_FOUND);
    assert_int_equal(trp_disk_remove(f->path, &f->err).code, TRP_OK);
    assert_int_equal(trp_disk_remove(f->path, &f->err).code,
                     TRP_OK); /* it is not there, as was asked */
}

static void a_file_is_written_once_and_published_over_another(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(trp_disk_write(f->path, "new", 3, 0444, &f->err).code, TRP_OK);
    assert_int_equal(trp_disk_write(f->path, "again", 5, 0444, &f->err).code, TRP_ALREADY_EXISTS);
    assert_int_equal(trp_disk_write(f->other, "old", 3, 0444, &f->err).code, TRP_OK);
    assert_int_equal(trp_disk_publish(f->path, f->other, &f->err).code, TRP_OK);
    expect_text(f, f->other, "new");
    assert_int_equal(trp_disk_publish(f->path, f->other, &f->err).code, TRP_NOT_FOUND);
    assert_int_equal(trp_disk_move(f->other, f->path, &f->err).code, TRP_OK);
    assert_int_equal(trp_disk_move(f->other, f->path, &f->err).code, TRP_NOT_FOUND);
    expect_text(f, f->path, "new");
}

static void a_dated_file_is_of_its_date_until_somebody_writes_to_it(void **state)
{
    struct fixture *f = *state;
    struct trp_file_stat st;
    const char *path = f->path;
    assert_int_equal(trp_disk_write_dated(path, "text", 4, 0644, 946684800, &f->err).code, TRP_OK);
    assert_int_equal(trp_file_stat(path, &st, &f->err).code, TRP_OK);
    assert_true(st.mtime_ns == INT64_C(946684800000000000));
    expect_text(f, path, "text");
    assert_int_equal(truncate(path, 3), 0);
    assert_int_equal(trp_file_stat(path, &st, &f->err).code, TRP_OK);
    assert_true(st.mtime_ns > INT64_C(946684800000000000));
    assert_int_equal(trp_disk_write_dated(path, "text", 4, 0644, 1, &f->err).code,
                     TRP_ALREADY_EXISTS);
}

static void a_folder_does_not_replace_one_that_holds_something(void **state)
{
    struct fixture *f = *state;
    char in[300], in_other[300];
    (void)snprintf(in, sizeof in, "%s/x", f->path);
    (void)snprintf(in_other, sizeof in_other, "%s/x", f->other);
    assert_int_equal(trp_disk_make_folder(f->path, &f->err).code, TRP_OK);
    assert_int_equal(trp_disk_make_folder(f->other, &f->err).code, TRP_OK);
    assert_int_equal(trp_disk_write(in, "1", 1, 0644, &f->err).code, TRP_OK);
    assert_int_equal(trp_disk_write(in_other, "2", 1, 0644, &f->err).code, TRP_OK);
    assert_int_equal(trp_disk_publish(f->path, f->other, &f->err).code, TRP_ALREADY_EXISTS);
    expect_text(f, in_other, "2");
}

static void a_piece_is_written_where_it_belongs(void **state)
{
    struct fixture *f = *state;
    int fd = -1;
    assert_int_equal(trp_file_open(f->path, O_WRONLY | O_CREAT, 0644, &fd, &f->err).code, TRP_OK);
    assert_int_equal(trp_disk_write_at(fd, "cd", 2, 2, &f->err).code, TRP_OK);
    assert_int_equal(trp_disk_write_at(fd, "ab", 2, 0, &f->err).code, TRP_OK);
    close(fd);
    expect_text(f, f->path, "abcd");
    assert_true(trp_failed(trp_disk_write_at(fd, "ab", 2, 0, &f->err)));
}

static void a_lock_is_one_and_goes_with_its_owner(void **state)
{
    struct fixture *f = *state;
    int mine = -1, other = -1, status = 0;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) /* dies with it */
        _exit(trp_disk_lock(f->path, &other, NULL).code == TRP_OK ? 7 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_int_equal(trp_disk_lock(f->path, &mine, &f->err).code, TRP_OK);
    assert_int_equal(trp_disk_lock(f->path, &other, &f->err).code, TRP_UNAVAILABLE);
    close(mine);
}

static void some_share_a_lock_and_who_wants_it_alone_waits_for_them(void **state)
{
    struct fixture *f = *state;
    int one = -1, two = -1, alone = -1;
    assert_int_equal(trp_disk_lock_wait(f->path, false, 0, &one, &f->err).code, TRP_OK);
    assert_int_equal(trp_disk_lock_wait(f->path, false, 0, &two, &f->err).code, TRP_OK);
    assert_int_equal(trp_disk_lock_wait(f->path, true, TRP_MS(3), &alone, &f->err).code,
                     TRP_UNAVAILABLE);
    close(one);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) { /* leaves in a moment, and with it the second */
        const struct timespec moment = { .tv_nsec = 20000000 };
        (void)nanosleep(&moment, NULL);
        _exit(0);
    }
    close(two);
    assert_int_equal(trp_disk_lock_wait(f->path, true, TRP_S(20), &alone, &f->err).code, TRP_OK);
    close(alone);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(folders_are_made_with_all_that_is_above_them),
        TEST(a_file_is_written_once_and_published_over_another),
        TEST(a_dated_file_is_of_its_date_until_somebody_writes_to_it),
        TEST(a_folder_does_not_replace_one_that_holds_something),
        TEST(a_piece_is_written_where_it_belongs),
        TEST(a_lock_is_one_and_goes_with_its_owner),
        TEST(some_share_a_lock_and_who_wants_it_alone_waits_for_them),
    };
    return cmocka_run_group_tests_name("disk", tests, NULL, NULL);
}

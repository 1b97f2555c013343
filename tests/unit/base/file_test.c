/* Files and folders: read, replaced, mapped, listed; and what is said when they cannot be. */
#include "base/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "scratch.h"
#include "unit/base/scarce.h"

struct fixture {
    char folder[SCRATCH_PATH_MAX], path[128];
};

static const char *in(struct fixture *f, const char *name)
{
    (void)snprintf(f->path, sizeof f->path, "%s/%s", f->folder, name);
    return f->path;
}

static int make_folder(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    scratch_folder(f->folder, "file");
    *state = f;
    return 0;
}

static trp_status remove_entry(void *user, const char *name, struct trp_error *err)
{
    (void)err;
    assert_int_equal(remove(in(user, name)), 0);
    return trp_ok();
}

static int drop_folder(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(trp_dir_each(f->folder, 100, remove_entry, f, NULL).code, TRP_OK);
    assert_int_equal(rmdir(f->folder), 0);
    free(f);
    return 0;
}

static void put(const char *path, const char *text)
{
    struct trp_error err = { 0 };
    if (trp_failed(trp_file_replace(path, text, strlen(text), &err)))
        fail_msg("%s", err.text);
}

static void a_file_is_replaced_whole_and_read_back(void **state)
{
    struct fixture *f = *state;
    char *ptr;
    size_t len;
    put(in(f, "a"), "first");
    put(in(f, "a"), "second one");
    assert_int_equal(trp_file_read(trp_heap(), in(f, "a"), 10, &ptr, &len, NULL).code, TRP_OK);
    assert_int_equal(len, 10);
    assert_string_equal(ptr, "second one"); /* terminated */
    trp_alloc_free(trp_heap(), ptr);
    put(in(f, "a"), "");
    assert_int_equal(trp_file_read(trp_heap(), in(f, "a"), 0, &ptr, &len, NULL).code, TRP_OK);
    assert_string_equal(ptr, "");
    trp_alloc_free(trp_heap(), ptr);
}

static void files_are_read_to_their_end_whatever_stat_says(void **state)
{
    (void)state;
    char *ptr;
    size_t len;
    struct trp_error err = { 0 };
    assert_int_equal(trp_file_read(trp_heap(), "/proc/self/status", 1 << 20, &ptr, &len, &err).code,
                     TRP_OK);
    assert_true(len > 100 && strlen(ptr) == len);
    trp_alloc_free(trp_heap(), ptr);
    assert_int_equal(trp_file_read(trp_heap(), "/dev/zero", 100000, &ptr, &len, &err).code,
                     TRP_TOO_LARGE);
    assert_null(ptr);
}

static void what_cannot_be_read_says_why(void **state)
{
    struct fixture *f = *state;
    char *ptr;
    size_t len;
    struct trp_error err = { 0 };
    struct scarce scarce;
    assert_int_equal(trp_file_read(trp_heap(), in(f, "none"), 10, &ptr, &len, &err).code,
                     TRP_NOT_FOUND);
    assert_non_null(strstr(err.text, "none: No such file"));
    assert_int_equal(trp_file_read(trp_heap(), f->folder, 10, &ptr, &len, &err).code, TRP_IO);
    put(in(f, "a"), "12345");
    assert_int_equal(trp_file_read(trp_heap(), in(f, "a"), 4, &ptr, &len, &err).code,
                     TRP_TOO_LARGE);
    assert_non_null(strstr(err.text, "5 bytes, the limit is 4"));
    assert_int_equal(trp_file_read(scarce_init(&scarce, 0), in(f, "a"), 10, &ptr, &len, &err).code,
                     TRP_OUT_OF_MEMORY);
    assert_int_equal(trp_file_replace(in(f, "no/such/folder"), "", 0, &err).code, TRP_NOT_FOUND);
    char endless[5000];
    memset(endless, 'x', sizeof endless);
    endless[sizeof endless - 1] = '\0';
    assert_int_equal(trp_file_replace(endless, "", 0, &err).code, TRP_INVALID_ARGUMENT);
}

static void a_path_is_a_file_a_folder_or_something_else(void **state)
{
    struct fixture *f = *state;
    struct trp_file_stat st;
    put(in(f, "a"), "12345");
    assert_int_equal(trp_file_stat(in(f, "a"), &st, NULL).code, TRP_OK);
    assert_true(st.kind == 'f' && st.bytes == 5 && st.inode != 0 && st.mtime_ns > 0);
    assert_int_equal(trp_file_stat(f->folder, &st, NULL).code, TRP_OK);
    assert_int_equal(st.kind, 'd');
    assert_int_equal(trp_file_stat("/dev/null", &st, NULL).code, TRP_OK);
    assert_int_equal(st.kind, 'o');
    assert_int_equal(trp_file_stat(in(f, "none"), &st, NULL).code, TRP_NOT_FOUND);
}

static void a_descriptor_does_not_survive_exec(void **state)
{
    struct fixture *f = *state;
    int fd = -1;
    assert_int_equal(trp_file_open(in(f, "a"), O_RDWR | O_CREAT, 0600, &fd, NULL).code, TRP_OK);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    close(fd);
    assert_int_equal(trp_file_open(in(f, "b"), O_RDONLY, 0, &fd, NULL).code, TRP_NOT_FOUND);
}

static void a_file_is_mapped(void **state)
{
    struct fixture *f = *state;
    struct trp_map map;
    struct trp_error err = { 0 };
    put(in(f, "a"), "mapped");
    assert_int_equal(trp_map_file(in(f, "a"), &map, &err).code, TRP_OK);
    assert_int_equal(map.len, 6);
    assert_memory_equal(map.ptr, "mapped", 6);
    trp_unmap(&map);
    assert_null(map.ptr);
    trp_unmap(&map);
    put(in(f, "a"), "");
    assert_int_equal(trp_map_file(in(f, "a"), &map, &err).code, TRP_OK);
    assert_true(map.ptr == NULL && map.len == 0);
    trp_unmap(&map);
    assert_int_equal(trp_map_file(f->folder, &map, &err).code, TRP_INVALID_ARGUMENT);
    assert_int_equal(trp_map_file(in(f, "none"), &map, &err).code, TRP_NOT_FOUND);
}

static trp_status join(void *user, const char *name, struct trp_error *err)
{
    struct trp_buf *b = user;
    trp_buf_addf(b, "%s,", name);
    return strcmp(name, "stop") == 0 ? trp_fail(err, TRP_CANCELLED, "stopped") : trp_ok();
}

static void a_folder_is_listed_in_order_up_to_a_limit(void **state)
{
    struct fixture *f = *state;
    struct trp_buf b;
    struct trp_error err = { 0 };
    trp_buf_init(&b, trp_heap(), 1000);
    static const char *const names[] = { "b", "10", "a", "9", ".hidden" };
    assert_int_equal(trp_dir_each(f->folder, 0, join, &b, &err).code, TRP_OK);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        put(in(f, names[i]), "");
    assert_int_equal(trp_dir_each(f->folder, 5, join, &b, &err).code, TRP_OK);
    assert_string_equal(trp_buf_text(&b), ".hidden,10,9,a,b,");
    assert_int_equal(trp_dir_each(f->folder, 4, join, &b, &err).code, TRP_TOO_LARGE);
    assert_non_null(strstr(err.text, "more than 4 entries"));
    trp_buf_reset(&b);
    put(in(f, "stop"), "");
    put(in(f, "z"), "");
    assert_int_equal(trp_dir_each(f->folder, 9, join, &b, &err).code, TRP_CANCELLED);
    assert_string_equal(trp_buf_text(&b), ".hidden,10,9,a,b,stop,");
    assert_int_equal(trp_dir_each(in(f, "none"), 9, join, &b, &err).code, TRP_NOT_FOUND);
    trp_buf_deinit(&b);
}

static void a_long_folder_is_listed_whole(void **state)
{
    struct fixture *f = *state;
    struct trp_buf b;
    char name[16];
    trp_buf_init(&b, trp_heap(), 10000);
    for (int i = 0; i < 90; i++) {
        (void)snprintf(name, sizeof name, "m%02d", i);
        put(in(f, name), "");
    }
    assert_int_equal(trp_dir_each(f->folder, 90, join, &b, NULL).code, TRP_OK);
    assert_int_equal(b.len, 90 * strlen("m00,"));
    trp_buf_deinit(&b);
}

#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_folder, drop_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_file_is_replaced_whole_and_read_back),
        cmocka_unit_test(files_are_read_to_their_end_whatever_stat_says),
        IN_FOLDER(what_cannot_be_read_says_why),
        IN_FOLDER(a_path_is_a_file_a_folder_or_something_else),
        IN_FOLDER(a_descriptor_does_not_survive_exec),
        IN_FOLDER(a_file_is_mapped),
        IN_FOLDER(a_folder_is_listed_in_order_up_to_a_limit),
        IN_FOLDER(a_long_folder_is_listed_whole),
    };
    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}

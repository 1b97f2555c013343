/* What the kernel says of a process, from faked files and from this one. */
#include "base/footprint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "scratch.h"

static void put(const char *root, const char *path, const char *text)
{
    char whole[SCRATCH_PATH_MAX + 64];
    (void)snprintf(whole, sizeof whole, "%s/proc", root);
    (void)mkdir(whole, 0755);
    (void)snprintf(whole, sizeof whole, "%s/proc/self", root);
    (void)mkdir(whole, 0755);
    (void)snprintf(whole, sizeof whole, "%s%s", root, path);
    FILE *f = fopen(whole, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static void drop(const char *root)
{
    static const char *const paths[] = { "/proc/self/statm", "/proc/self/smaps_rollup",
                                         "/proc/self", "/proc", "" };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char whole[SCRATCH_PATH_MAX + 64];
        (void)snprintf(whole, sizeof whole, "%s%s", root, paths[i]);
        (void)remove(whole);
    }
}

static void numbers_are_read_as_the_kernel_writes_them(void **state)
{
    (void)state;
    char root[SCRATCH_PATH_MAX];
    struct trp_footprint now = { 1, 2 };
    uint64_t bytes = 3;
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    scratch_folder(root, "footprint");
    assert_false(trp_footprint_glance(root, &now)); /* no /proc */
    assert_false(trp_footprint_measure(root, &bytes));
    put(root, "/proc/self/statm", "1000 300 100 5 0 200 0\n");
    put(root, "/proc/self/smaps_rollup",
        "00400000-7fff00000000 ---p 00000000 00:00 0 [rollup]\n"
        "Rss:                1200 kB\nPss:                 900 kB\nPss_Dirty: 8 kB\n");
    const bool is_read = trp_footprint_glance(root, &now); /* false when memory is short */
    assert_true(!is_read || (now.private_bytes == 200 * page && now.file_bytes == 100 * page));
    assert_true(!trp_footprint_measure(root, &bytes) || bytes == 900 * 1024);
    put(root, "/proc/self/statm", "few");
    put(root, "/proc/self/smaps_rollup", "[rollup]\nRss: 1 kB\n");
    bytes = 7;
    assert_false(trp_footprint_glance(root, &now));
    assert_false(trp_footprint_measure(root, &bytes));
    assert_int_equal(bytes, 7);
    drop(root);
}

#ifdef __SANITIZE_THREAD__
#define SHADOW 4 /* the thread sanitizer remembers who wrote to it, in memory of the process */
#else
#define SHADOW 1
#endif

static void memory_that_is_written_to_is_seen(void **state)
{
    (void)state;
    const size_t n = 64u << 20;
    struct trp_footprint before, after;
    uint64_t pss;
    char *block = malloc(n);
    if (!block || !trp_footprint_glance("", &before)) {
        free(block);
        return;
    }
    for (size_t i = 0; i < n; i += 4096)
        ((volatile char *)block)[i] = 1; /* or the compiler sees that nobody reads it */
    if (trp_footprint_glance("", &after))
        assert_in_range(after.private_bytes - before.private_bytes, n - n / 8, n * SHADOW + n / 8);
    if (trp_footprint_measure("", &pss))
        assert_true(pss > n - n / 8);
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_as_the_kernel_writes_them),
        cmocka_unit_test(memory_that_is_written_to_is_seen),
    };
    return cmocka_run_group_tests_name("footprint", tests, NULL, NULL);
}

/* What a machine and the containers on it say about memory. */
#include "base/machine.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/str.h"
#include "scratch.h"

#define GIB (UINT64_C(1) << 30)
#define MEMINFO "MemTotal:       16777216 kB\nMemFree:        1000 kB\n" /* 16 GiB */

/* Writes a file below `root` and the folders on the way. */
static void put(const char *root, const char *path, const char *text)
{
    char whole[512];
    assert_true(snprintf(whole, sizeof whole, "%s%s", root, path) < (int)sizeof whole);
    for (char *at = whole + strlen(root) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        (void)mkdir(whole, 0755);
        *at = '/';
    }
    FILE *f = fopen(whole, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static int drop(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

struct row {
    const char *name, *meminfo, *groups;
    struct {
        const char *path, *text;
    } limits[3];
    uint64_t want;
    const char *mounts; /* NULL: there is no such file */
};

#define V2(begins) \
    "29 23 0:26 " begins " /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1(begins, options) \
    "35 31 0:32 " begins " /sys/fs/cgroup/mem rw - cgroup cgroup rw," options "\n"

static const struct row rows[] = {
    { "no group", MEMINFO, NULL, { { NULL, NULL } }, 16 * GIB, NULL },
    { "nothing at all", NULL, NULL, { { NULL, NULL } }, 0, NULL },
    { "meminfo without a total", "MemFree: 1 kB\n", NULL, { { NULL, NULL } }, 0, NULL },
    { "version 2, own group",
      MEMINFO,
      "0::/shop/troupe\n",
      { { "/sys/fs/cgroup/shop/troupe/memory.max", "2147483648\n" } },
      2 * GIB,
      NULL },
    { "version 2, a group above",
      MEMINFO,
      "0::/shop/troupe\n",
      { { "/sys/fs/cgroup/shop/memory.max", "1073741824\n" },
        { "/sys/fs/cgroup/shop/troupe/memory.max", "max\n" } },
      GIB,
      NULL },
    { "version 2, none",
      MEMINFO,
      "0::/\n",
      { { "/sys/fs/cgroup/memory.max", "max\n" } },
      16 * GIB,
      NULL },
    { "version 2 inside a container: the path is the host's, the mount is ours",
      MEMINFO,
      "0::/docker/0123\n",
      { { "/sys/fs/cgroup/memory.max", "4294967296\n" } },
      4 * GIB,
      NULL },
    { "version 1",
      MEMINFO,
      "4:memory:/docker/0123\n1:cpu:/\n0::/\n",
      { { "/sys/fs/cgroup/memory/docker/0123/memory.limit_in_bytes", "3221225472\n" } },
      3 * GIB,
      NULL },
    { "version 1 without a limit is a very large number",
      MEMINFO,
      "4:memory:/\n",
      { { "/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n" } },
      16 * GIB,
      NULL },
    { "a limit and no meminfo",
      NULL,
      "0::/a\n",
      { { "/sys/fs/cgroup/a/memory.max", "1073741824" } },
      GIB,
      NULL },
    { "version 2 inside a container, a group of its own in it",
      MEMINFO,
      "0::/docker/0123/job\n",
      { { "/sys/fs/cgroup/job/memory.max", "2147483648\n" },
        { "/sys/fs/cgroup/memory.max", "4294967296\n" } },
      2 * GIB,
      V2("/docker/0123") },
    { "version 2, a group whose name only begins like the mount's",
      MEMINFO,
      "0::/docker/01234\n",
      { { "/sys/fs/cgroup/memory.max", "4294967296\n" },
        { "/sys/fs/cgroup/4/memory.max", "1073741824\n" } },
      4 * GIB,
      V2("/docker/0123") },
    { "version 2, a group beside the mount: only the mount is asked",
      MEMINFO,
      "0::/../other\n",
      { { "/sys/fs/cgroup/memory.max", "4294967296\n" },
        { "/sys/fs/cgroup/other/memory.max", "1073741824\n" } },
      4 * GIB,
      V2("/docker/0123") },
    { "version 2 nested four deep, the least in the middle",
      MEMINFO,
      "0::/a/b/c/d\n",
      { { "/sys/fs/cgroup/a/memory.max", "3221225472\n" },
        { "/sys/fs/cgroup/a/b/memory.max", "1073741824\n" },
        { "/sys/fs/cgroup/a/b/c/d/memory.max", "2147483648\n" } },
      GIB,
      V2("/") },
    { "version 1 mounted elsewhere, together with others, inside a container",
      MEMINFO,
      "4:cpu,memory:/docker/0123/job\n",
      { { "/sys/fs/cgroup/mem/job/memory.limit_in_bytes", "3221225472\n" },
        { "/sys/fs/cgroup/mem/memory.limit_in_bytes", "9223372036854771712\n" } },
      3 * GIB,
      V1("/docker/0123", "cpu,memory") },
    { "both versions: memory is version 1's",
      MEMINFO,
      "4:memory:/a\n0::/a\n",
      { { "/sys/fs/cgroup/mem/a/memory.limit_in_bytes", "1073741824\n" } },
      GIB,
      "38 31 0:35 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n" V1("/", "memory") },
    { "mounts of other things, and broken ones",
      MEMINFO,
      "0::/a\n",
      { { "/sys/fs/cgroup/a/memory.max", "1073741824\n" } },
      GIB,
      "x\n1 2 3\n20 1 0:5 / /proc rw - proc proc rw\n" V1("/", "cpu") "no end - cgroup2" },
    { "broken lines say nothing",
      MEMINFO,
      "x\n0:\n:::\nmemory:/\n",
      { { "/sys/fs/cgroup/memory/memory.limit_in_bytes", "soon\n" } },
      16 * GIB,
      NULL },
};

static void the_least_of_what_is_installed_and_allowed_counts(void **state)
{
    (void)state;
    char folder[SCRATCH_PATH_MAX], root[SCRATCH_PATH_MAX + 16];
    scratch_folder(folder, "machine");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        print_message("%s\n", r->name);
        (void)snprintf(root, sizeof root, "%s/%zu", folder, i);
        assert_int_equal(mkdir(root, 0755), 0);
        if (r->meminfo)
            put(root, "/proc/meminfo", r->meminfo);
        if (r->groups)
            put(root, "/proc/self/cgroup", r->groups);
        if (r->mounts)
            put(root, "/proc/self/mountinfo", r->mounts);
        for (size_t k = 0; k < ARRAY_LEN(r->limits) && r->limits[k].path; k++)
            put(root, r->limits[k].path, r->limits[k].text);
        assert_int_equal(trp_machine_memory(root), r->want);
    }
    assert_int_equal(nftw(folder, drop, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void a_group_may_have_a_part_of_the_processors(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double want; /* 0: all that there are */
    } shares[] = { { "max 100000\n", 0 }, { "50000 100000\n", 0.5 }, { "100000 200000\n", 0.5 },
                   { "0 100000\n", 0 },   { "1000 0\n", 0 },         { "soon\n", 0 } };
    const double all = trp_machine_processors("/nowhere");
    char folder[SCRATCH_PATH_MAX], root[SCRATCH_PATH_MAX + 16];
    assert_true(all >= 1);
    scratch_folder(folder, "share");
    for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
        print_message("%s", shares[i].text);
        (void)snprintf(root, sizeof root, "%s/%zu", folder, i);
        assert_int_equal(mkdir(root, 0755), 0);
        put(root, "/proc/self/cgroup", "0::/a/b\n");
        put(root, "/sys/fs/cgroup/a/cpu.max", shares[i].text);
        const double got = trp_machine_processors(root), want = shares[i].want;
        assert_true(got == (want > 0 ? want : all));
    }
    assert_int_equal(nftw(folder, drop, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void mappings_are_what_the_kernel_says(void **state)
{
    (void)state;
    char folder[SCRATCH_PATH_MAX];
    scratch_folder(folder, "mappings");
    assert_int_equal(trp_machine_mappings(folder), 0);
    put(folder, "/proc/sys/vm/max_map_count", "65530\n");
    assert_int_equal(trp_machine_mappings(folder), 65530);
    put(folder, "/proc/sys/vm/max_map_count", "many\n");
    assert_int_equal(trp_machine_mappings(folder), 0);
    assert_int_equal(nftw(folder, drop, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void this_machine_has_some(void **state)
{
    (void)state;
    unsigned long long mappings = 0;
    FILE *f = fopen("/proc/sys/vm/max_map_count", "rb");
    if (f && fscanf(f, "%llu", &mappings) == 1)
        assert_int_equal(trp_machine_mappings(""), mappings); /* read in one go, or cut */
    if (f)
        fclose(f);
    assert_in_range(trp_machine_memory(""), 1 << 20, UINT64_C(1) << 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_of_what_is_installed_and_allowed_counts),
        cmocka_unit_test(a_group_may_have_a_part_of_the_processors),
        cmocka_unit_test(mappings_are_what_the_kernel_says),
        cmocka_unit_test(this_machine_has_some),
    };
    return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}

/* Shared memory regions: real POSIX segments, made and removed by the tests. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/regions.h"
#include "unit/base/scarce.h"

#define BYTES_MAX (1u << 20)
#define REGIONS_MAX 4

struct fixture {
    struct trp_regions *regions;
    char key[64];
    char *memory;
    struct trp_error err;
};

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){ 0 };
    snprintf(f.key, sizeof f.key, "/troupe_test_%d", (int)getpid());
    shm_unlink(f.key); /* of a process with our number that crashed */
    const int fd = shm_open(f.key, O_CREAT | O_RDWR | O_EXCL, 0600);
    if (fd < 0 || ftruncate(fd, 4096) != 0)
        return -1;
    f.memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    *state = &f;
    return trp_regions_create(trp_heap(), BYTES_MAX, REGIONS_MAX, &f.regions, &f.err).code;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    trp_regions_destroy(f->regions);
    munmap(f->memory, 4096);
    shm_unlink(f->key);
    return 0;
}

static int32_t add(struct fixture *f, const char *name, const char *key, uint64_t offset,
                   uint64_t bytes)
{
    return trp_regions_add(f->regions, trp_str_of(name), trp_str_of(key), offset, bytes, &f->err)
        .code;
}

static int32_t hold(struct fixture *f, const char *name, uint64_t offset, uint64_t bytes,
                    void **ptr, void **h)
{
    return trp_regions_hold(f->regions, trp_str_of(name), offset, bytes, ptr, h, &f->err).code;
}

static void a_region_is_a_window_on_the_segment(void **state)
{
    struct fixture *f = *state;
    void *ptr, *h;
    memcpy(f->memory + 100, "hello", 5);
    assert_int_equal(add(f, "in", f->key, 96, 64), TRP_OK);
    assert_int_equal(hold(f, "in", 4, 5, &ptr, &h), TRP_OK);
    assert_memory_equal(ptr, "hello", 5);
    memcpy(ptr, "world", 5);
    assert_memory_equal(f->memory + 100, "world", 5);
    trp_region_release(h, ptr);
}

static void ranges_that_leave_the_region_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint64_t offset, bytes;
        int32_t want;
    } rows[] = { { 0, 64, TRP_OK },
                 { 64, 0, TRP_OK },
                 { 0, 65, TRP_INVALID_ARGUMENT },
                 { 65, 0, TRP_INVALID_ARGUMENT },
                 { 60, 5, TRP_INVALID_ARGUMENT },
                 { UINT64_MAX, 2, TRP_INVALID_ARGUMENT },
                 { 1, UINT64_MAX, TRP_INVALID_ARGUMENT } };
    assert_int_equal(add(f, "in", f->key, 0, 64), TRP_OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        void *ptr = NULL, *h = NULL;
        print_message("offset %llu, bytes %llu\n", (unsigned long long)rows[i].offset,
                      (unsigned long long)rows[i].bytes);
        assert_int_equal(hold(f, "in", rows[i].offset, rows[i].bytes, &ptr, &h), rows[i].want);
        if (rows[i].want == TRP_OK)
            trp_region_release(h, ptr);
    }
}

static void a_region_in_use_outlives_its_name(void **state)
{
    struct fixture *f = *state;
    void *ptr, *h, *other;
    assert_int_equal(add(f, "in", f->key, 0, 64), TRP_OK);
    assert_int_equal(hold(f, "in", 0, 64, &ptr, &h), TRP_OK);
    trp_regions_remove(f->regions, trp_str_of("in"));
    assert_int_equal(hold(f, "in", 0, 1, &other, &other), TRP_NOT_FOUND);
    memset(ptr, 7, 64); /* still mapped */
    assert_int_equal(f->memory[63], 7);
    trp_region_release(h, ptr);
}

static void registrations_that_make_no_sense_say_why(void **state)
{
    struct fixture *f = *state;
    const struct {
        const char *name, *key;
        uint64_t offset, bytes;
        int32_t want;
        const char *says;
    } rows[] = {
        { "", f->key, 0, 8, TRP_INVALID_ARGUMENT, "needs a name" },
        { "a", "", 0, 8, TRP_INVALID_ARGUMENT, "needs a name" },
        { "a", f->key, 0, 0, TRP_INVALID_ARGUMENT, "byte_size 0" },
        { "a", f->key, 0, 4097, TRP_INVALID_ARGUMENT, "holds 4096 bytes" },
        { "a", f->key, 4096, 1, TRP_INVALID_ARGUMENT, "holds 4096 bytes" },
        { "a", f->key, 0, BYTES_MAX + 1u, TRP_INVALID_ARGUMENT, "holds 4096 bytes" },
        { "a", f->key, UINT64_MAX, 2, TRP_INVALID_ARGUMENT, "below 2^64" },
        { "a", "/troupe_nobody_made_this", 0, 8, TRP_NOT_FOUND, "No such file" },
        { "a", "/../etc/passwd", 0, 8, TRP_INVALID_ARGUMENT, "not a name" },
        { "a", "/a/b", 0, 8, TRP_INVALID_ARGUMENT, "not a name" },
        { "triton_python_backend_shm_region_1", f->key, 0, 8, TRP_INVALID_ARGUMENT, "reserved" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        print_message("row %zu\n", i);
        assert_int_equal(add(f, rows[i].name, rows[i].key, rows[i].offset, rows[i].bytes),
                         rows[i].want);
        assert_non_null(strstr(f->err.text, rows[i].says));
    }
}

static void names_and_limits_hold(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(add(f, "a", f->key, 0, 8), TRP_OK);
    assert_int_equal(add(f, "a", f->key, 0, 8), TRP_ALREADY_EXISTS);
    assert_int_equal(add(f, "b", f->key, 0, 8), TRP_OK);
    assert_int_equal(add(f, "c", f->key, 0, 8), TRP_OK);
    assert_int_equal(add(f, "d", f->key, 0, 8), TRP_OK);
    assert_int_equal(add(f, "e", f->key, 0, 8), TRP_TOO_LARGE);
    trp_regions_remove(f->regions, trp_str_of("nobody"));
    trp_regions_remove(f->regions, trp_str_of("b"));
    assert_int_equal(add(f, "e", f->key, 0, 8), TRP_OK);
}

static void more_bytes_than_allowed_are_not_mapped(void **state)
{
    struct fixture *f = *state;
    struct trp_regions *small;
    assert_int_equal(trp_regions_create(trp_heap(), 100, 4, &small, &f->err).code, TRP_OK);
    assert_int_equal(
        trp_regions_add(small, trp_str_of("a"), trp_str_of(f->key), 0, 60, &f->err).code, TRP_OK);
    assert_int_equal(
        trp_regions_add(small, trp_str_of("b"), trp_str_of(f->key), 0, 60, &f->err).code,
        TRP_TOO_LARGE);
    assert_non_null(strstr(f->err.text, "at most 100"));
    trp_regions_destroy(small);
}

static void a_segment_that_was_cut_short_is_not_touched(void **state)
{
    struct fixture *f = *state;
    void *ptr, *h;
    assert_int_equal(add(f, "in", f->key, 0, 4096), TRP_OK);
    const int fd = shm_open(f->key, O_RDWR, 0600);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(hold(f, "in", 0, 16, &ptr, &h), TRP_FAILED_PRECONDITION);
    assert_int_equal(ftruncate(fd, 4096), 0);
    close(fd);
}

static void count_one(void *user, const struct trp_region_facts *facts)
{
    assert_int_equal(facts->bytes, 8);
    ++*(int *)user;
}

static int32_t each(struct fixture *f, const char *name,
                    void (*fn)(void *user, const struct trp_region_facts *facts), void *user)
{
    return trp_regions_each(f->regions, trp_str_of(name), fn, user, &f->err).code;
}

static void the_status_lists_one_or_all(void **state)
{
    struct fixture *f = *state;
    int n = 0;
    assert_int_equal(each(f, "", count_one, &n), TRP_OK);
    assert_int_equal(n, 0);
    assert_int_equal(add(f, "a", f->key, 0, 8), TRP_OK);
    assert_int_equal(add(f, "b", f->key, 8, 8), TRP_OK);
    assert_int_equal(each(f, "", count_one, &n), TRP_OK);
    assert_int_equal(n, 2);
    assert_int_equal(each(f, "a", count_one, &n), TRP_OK);
    assert_int_equal(n, 3);
    assert_int_equal(each(f, "z", count_one, &n), TRP_NOT_FOUND);
    trp_regions_remove(f->regions, trp_str_of(""));
    assert_int_equal(each(f, "", count_one, &n), TRP_OK);
    assert_int_equal(n, 3);
}

/* As rude as a visitor can be: he takes down what he is shown round in. */
static void demolish(void *user, const struct trp_region_facts *facts)
{
    struct fixture *f = user;
    trp_regions_remove(f->regions, trp_str_of(""));
    assert_int_equal(add(f, "new", f->key, 16, 8), TRP_OK);
    assert_int_equal(facts->bytes, 8); /* still what it was when the walk began */
    assert_true(trp_str_is(facts->name, facts->offset ? "b" : "a"));
    assert_true(trp_str_is(facts->key, f->key));
}

static void a_visitor_may_change_the_table(void **state)
{
    struct fixture *f = *state;
    int n = 0;
    assert_int_equal(add(f, "a", f->key, 0, 8), TRP_OK);
    assert_int_equal(add(f, "b", f->key, 8, 8), TRP_OK);
    assert_int_equal(each(f, "", demolish, f), TRP_OK);
    assert_int_equal(each(f, "", count_one, &n), TRP_OK);
    assert_int_equal(n, 1);
    assert_int_equal(each(f, "new", count_one, &n), TRP_OK);
}

static void a_status_without_memory_says_so(void **state)
{
    struct fixture *f = *state;
    struct scarce memory;
    struct trp_regions *r;
    int n = 0;
    assert_int_equal(trp_regions_create(scarce_init(&memory, UINT64_MAX), 100, 4, &r, &f->err).code,
                     TRP_OK);
    assert_int_equal(trp_regions_add(r, trp_str_of("a"), trp_str_of(f->key), 0, 8, &f->err).code,
                     TRP_OK);
    trp_counter_set(&memory.left, 0);
    assert_int_equal(trp_regions_each(r, trp_str_of(""), count_one, &n, &f->err).code,
                     TRP_OUT_OF_MEMORY);
    assert_int_equal(n, 0);
    trp_regions_destroy(r);
    assert_int_equal(trp_counter_get(&memory.out), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_region_is_a_window_on_the_segment),
        TEST(ranges_that_leave_the_region_are_refused),
        TEST(a_region_in_use_outlives_its_name),
        TEST(registrations_that_make_no_sense_say_why),
        TEST(names_and_limits_hold),
        TEST(more_bytes_than_allowed_are_not_mapped),
        TEST(a_segment_that_was_cut_short_is_not_touched),
        TEST(the_status_lists_one_or_all),
        TEST(a_visitor_may_change_the_table),
        TEST(a_status_without_memory_says_so),
    };
    return cmocka_run_group_tests_name("regions", tests, NULL, NULL);
}

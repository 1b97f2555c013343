/* tests/unit/tensor/commons_test.c - memory that worker processes may look at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tensor/commons.h"
#include "unit/tensor/purse.h"

struct fixture {
    struct trp_commons *commons;
    struct purse purse;
};

static int set_up(void **state)
{
    static struct fixture f; /* cmocka runs one test at a time */
    f = (struct fixture){ .commons = NULL };
    purse_init(&f.purse, UINT64_MAX);
    *state = &f;
    return trp_commons_create(trp_heap(), UINT64_C(1) << 36, &f.commons, NULL).code;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    trp_commons_destroy(f->commons);
    return 0;
}

static void nothing_is_taken_before_it_is_open(void **state)
{
    struct fixture *f = *state;
    uint64_t at;
    int fd;
    assert_false(trp_commons_is_open(f->commons));
    assert_null(trp_commons_take(f->commons, &f->purse.account, 100));
    assert_false(trp_commons_find(f->commons, f, 1, &at));
    assert_int_equal(trp_commons_bytes(f->commons, &fd), 0);
    assert_int_equal(fd, -1);
    assert_int_equal(trp_counter_get(&f->purse.bytes), 0);
    trp_commons_destroy(NULL);
}

static void what_is_taken_is_paid_for_and_found(void **state)
{
    struct fixture *f = *state;
    uint64_t at;
    assert_int_equal(trp_commons_open(f->commons, NULL).code, TRP_OK);
    assert_int_equal(trp_commons_open(f->commons, NULL).code, TRP_OK); /* as often as one likes */
    struct trp_plot *p = trp_commons_take(f->commons, &f->purse.account, 100000);
    assert_non_null(p);
    assert_int_equal(trp_counter_get(&f->purse.bytes), 100000);
    assert_int_equal(trp_commons_paid_bytes(f->commons), 100000);
    assert_true(trp_commons_find(f->commons, p->ptr + 10, 99990, &at));
    assert_int_equal(at, p->at + 10);
    assert_ptr_equal(trp_commons_at(f->commons, at), p->ptr + 10);
    assert_false(trp_commons_find(f->commons, f, 1, &at));
    trp_commons_give(f->commons, &f->purse.account, p, 100000);
    assert_int_equal(trp_counter_get(&f->purse.bytes), 0);
    assert_int_equal(trp_commons_paid_bytes(f->commons), 0);
}

static void a_refusal_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(trp_commons_open(f->commons, NULL).code, TRP_OK);
    f->purse.most = 1000;
    assert_null(trp_commons_take(f->commons, &f->purse.account, 1001));
    f->purse.most = UINT64_MAX;
    assert_null(trp_commons_take(f->commons, &f->purse.account, UINT64_C(1) << 41)); /* no room */
    assert_int_equal(trp_counter_get(&f->purse.bytes), 0);
    assert_int_equal(trp_commons_paid_bytes(f->commons), 0);
}

static void others_can_look_and_not_write(void **state)
{
    struct fixture *f = *state;
    struct trp_shm theirs;
    int fd;
    assert_int_equal(trp_commons_open(f->commons, NULL).code, TRP_OK);
    struct trp_plot *p = trp_commons_take(f->commons, &f->purse.account, 5000);
    assert_non_null(p);
    p->ptr[4999] = 'x';
    const uint64_t bytes = trp_commons_bytes(f->commons, &fd);
    assert_true(bytes >= 5000);
    assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    assert_int_equal(write(fd, "y", 1), -1);
    assert_int_equal(trp_shm_look(dup(fd), bytes, &theirs, NULL).code, TRP_OK);
    assert_int_equal(theirs.ptr[p->at + 4999], 'x');
    assert_int_equal(mprotect(theirs.ptr, 4096, PROT_READ | PROT_WRITE), -1);
    trp_shm_close(&theirs);
    trp_commons_give(f->commons, &f->purse.account, p, 5000);
}

static uint64_t pages_of(const struct trp_commons *c)
{
    struct stat st;
    int fd;
    (void)trp_commons_bytes(c, &fd);
    assert_int_equal(fstat(fd, &st), 0);
    return (uint64_t)st.st_blocks * 512 / 4096;
}

static void what_comes_back_is_given_back_to_the_system(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(trp_commons_open(f->commons, NULL).code, TRP_OK);
    struct trp_plot *p = trp_commons_take(f->commons, &f->purse.account, 1 << 20);
    assert_non_null(p);
    assert_int_equal(pages_of(f->commons), 0);
    for (int i = 0; i < 1 << 20; i += 4096)
        p->ptr[i] = 1;
    assert_int_equal(pages_of(f->commons), 256);
    trp_commons_give(f->commons, &f->purse.account, p, 1 << 20);
    assert_int_equal(pages_of(f->commons), 0);
}

static void what_finds_no_room_is_counted(void **state)
{
    struct fixture *f = *state;
    struct trp_commons *small;
    assert_int_equal(trp_commons_create(trp_heap(), 1 << 20, &small, NULL).code, TRP_OK);
    assert_int_equal(trp_commons_look(small).limit_bytes, 1 << 20);
    assert_int_equal(trp_commons_open(small, NULL).code, TRP_OK);
    struct trp_plot *p = trp_commons_take(small, &f->purse.account, 600000);
    assert_non_null(p);
    const struct trp_commons_use before = trp_commons_look(small);
    assert_true(before.bytes >= 600000 && before.bytes <= 1 << 20);
    assert_int_equal(before.refused, 0);
    for (int i = 0; i < 2; i++)
        assert_null(trp_commons_take(small, &f->purse.account, 600000));
    assert_int_equal(trp_counter_get(&f->purse.bytes),
                     600000); /* nobody pays for what he has not */
    assert_int_equal(trp_commons_look(small).refused, 2);
    trp_commons_give(small, &f->purse.account, p, 600000);
    assert_int_equal(trp_commons_look(small).bytes, 0);
    p = trp_commons_take(small, NULL, 600000); /* there is room for it again */
    assert_non_null(p);
    trp_commons_give(small, NULL, p, 0);
    trp_commons_destroy(small);
}

#define COMMONS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        COMMONS(nothing_is_taken_before_it_is_open),
        COMMONS(what_is_taken_is_paid_for_and_found),
        COMMONS(a_refusal_leaves_nothing_behind),
        COMMONS(others_can_look_and_not_write),
        COMMONS(what_finds_no_room_is_counted),
        COMMONS(what_comes_back_is_given_back_to_the_system),
    };
    return cmocka_run_group_tests_name("commons", tests, NULL, NULL);
}

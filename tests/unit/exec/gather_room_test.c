/* tests/unit/exec/gather_room_test.c - where the rows of a batch lie. */
#include "exec/gather_room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#define LARGE ((uint64_t)3 << 20) /* more than is kept */

struct fixture {
    struct trp_gather_room room;
    struct trp_commons *commons;
    struct trp_account account;
};

static int set_up(void **state)
{
    static struct fixture f; /* cmocka runs one test at a time */
    *state = &f;
    f = (struct fixture){ .commons = NULL };
    trp_account_init(&f.account, TRP_ACCOUNT_ACTIVATIONS, NULL, (uint64_t)8 << 20);
    trp_gather_room_init(&f.room, trp_heap());
    return trp_commons_create(trp_heap(), UINT64_C(1) << 36, &f.commons, NULL).code;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    trp_gather_room_deinit(&f->room);
    trp_commons_destroy(f->commons);
    trp_account_deinit(&f->account);
    return 0;
}

static bool is_common(const struct fixture *f, const struct trp_gathered *g, uint64_t bytes)
{
    uint64_t at;
    return trp_commons_find(f->commons, g->ptr, bytes, &at);
}

static struct trp_gathered take(struct fixture *f, struct trp_commons *commons, uint64_t bytes)
{
    struct trp_gathered g;
    assert_true(trp_gather_room_take(&f->room, commons, &f->account, bytes, &g));
    assert_int_equal((uintptr_t)g.ptr % 64, 0);
    memset(g.ptr, 1, bytes);
    return g;
}

static void what_is_not_too_large_lies_where_the_last_lay(void **state)
{
    struct fixture *f = *state;
    struct trp_gathered g = take(f, NULL, 100000);
    const void *first = g.ptr;
    assert_int_equal(trp_counter_get(&f->account.bytes), 100000);
    trp_gather_room_give(&f->room, &g);
    assert_null(g.ptr);
    assert_int_equal(trp_counter_get(&f->account.bytes), 0);
    g = take(f, NULL, 50000);
    assert_ptr_equal(g.ptr, first);
    trp_gather_room_give(&f->room, &g);
    g = take(f, NULL, LARGE);
    assert_true(trp_counter_get(&f->account.bytes) >= LARGE);
    trp_gather_room_give(&f->room, &g);
    assert_int_equal(trp_counter_get(&f->account.bytes), 0);
}

static void what_is_kept_is_not_handed_out_again(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(trp_commons_open(f->commons, NULL).code, TRP_OK);
    struct trp_commons *const where[] = { NULL, f->commons };
    for (int i = 0; i < 2; i++) {
        struct trp_gathered kept = take(f, where[i], 100000);
        trp_gather_room_keep(&f->room, &kept);
        struct trp_gathered g = take(f, where[i], 100000);
        assert_ptr_not_equal(g.ptr, kept.ptr);
        trp_gather_room_give(&f->room, &g);
        trp_gather_room_give(NULL, &kept);
        assert_int_equal(trp_counter_get(&f->account.bytes), 0);
    }
}

static void for_other_processes_it_lies_in_the_commons(void **state)
{
    struct fixture *f = *state;
    struct trp_gathered g = take(f, f->commons, 1000); /* which are not open yet */
    assert_false(is_common(f, &g, 1000));
    trp_gather_room_give(&f->room, &g);
    assert_int_equal(trp_commons_open(f->commons, NULL).code, TRP_OK);
    g = take(f, f->commons, 1000);
    assert_true(is_common(f, &g, 1000));
    assert_int_equal(trp_counter_get(&f->account.bytes), 1000);
    trp_gather_room_give(&f->room, &g);
    g = take(f, f->commons, 100000); /* the place for more takes the other's place */
    const void *more = g.ptr;
    assert_true(is_common(f, &g, 100000));
    trp_gather_room_give(&f->room, &g);
    g = take(f, f->commons, LARGE);
    assert_true(is_common(f, &g, LARGE));
    assert_ptr_not_equal(g.ptr, more);
    trp_gather_room_give(&f->room, &g);
    g = take(f, f->commons, 1000);
    assert_ptr_equal(g.ptr, more);
    trp_gather_room_give(&f->room, &g);
    g = take(f, NULL, 1000); /* another model's */
    assert_false(is_common(f, &g, 1000));
    trp_gather_room_give(&f->room, &g);
    assert_int_equal(trp_counter_get(&f->account.bytes), 0);
}

static void an_account_that_refuses_gets_everything_back(void **state)
{
    struct fixture *f = *state;
    struct trp_gathered g;
    assert_int_equal(trp_commons_open(f->commons, NULL).code, TRP_OK);
    assert_true(trp_account_try_charge(&f->account, (uint64_t)8 << 20));
    assert_false(trp_gather_room_take(&f->room, f->commons, &f->account, 1000, &g));
    assert_false(trp_gather_room_take(&f->room, f->commons, &f->account, LARGE, &g));
    assert_false(trp_gather_room_take(&f->room, NULL, &f->account, 1000, &g));
    assert_false(trp_gather_room_take(&f->room, NULL, &f->account, LARGE, &g));
    assert_null(g.ptr);
    trp_account_discharge(&f->account, (uint64_t)8 << 20);
    assert_int_equal(trp_counter_get(&f->account.bytes), 0);
}

#define ROOM(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOM(what_is_not_too_large_lies_where_the_last_lay),
        ROOM(what_is_kept_is_not_handed_out_again),
        ROOM(for_other_processes_it_lies_in_the_commons),
        ROOM(an_account_that_refuses_gets_everything_back),
    };
    return cmocka_run_group_tests_name("gather_room", tests, NULL, NULL);
}

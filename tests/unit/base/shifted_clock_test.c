/* A clock whose wall is moved. */
#include "base/shifted_clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int64_t now(void *user)
{
    (void)user;
    return TRP_S(5);
}

static int64_t wall(void *user)
{
    return *(int64_t *)user;
}

static void only_the_wall_is_moved(void **state)
{
    (void)state;
    int64_t wall_ns = TRP_S(1000);
    const struct trp_clock below = { now, wall, &wall_ns };
    struct trp_shifted_clock c;
    trp_shifted_clock_init(&c, &below, 0);
    assert_int_equal(trp_clock_wall_ns(&c.clock), TRP_S(1000));
    trp_shifted_clock_shift(&c, TRP_S(-30));
    assert_int_equal(trp_clock_wall_ns(&c.clock), TRP_S(970));
    assert_int_equal(trp_shifted_clock_offset(&c), TRP_S(-30));
    wall_ns = TRP_S(2000); /* it goes on */
    assert_int_equal(trp_clock_wall_ns(&c.clock), TRP_S(1970));
    assert_int_equal(trp_clock_now_ns(&c.clock), TRP_S(5));
}

static void a_moment_beyond_all_time_is_its_end(void **state)
{
    (void)state;
    int64_t wall_ns = TRP_S(1000);
    const struct trp_clock below = { now, wall, &wall_ns };
    struct trp_shifted_clock c;
    trp_shifted_clock_init(&c, &below, INT64_MAX);
    assert_true(trp_clock_wall_ns(&c.clock) == INT64_MAX);
    wall_ns = TRP_S(-1000);
    trp_shifted_clock_shift(&c, INT64_MIN);
    assert_true(trp_clock_wall_ns(&c.clock) == INT64_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_wall_is_moved),
        cmocka_unit_test(a_moment_beyond_all_time_is_its_end),
    };
    return cmocka_run_group_tests_name("shifted_clock", tests, NULL, NULL);
}

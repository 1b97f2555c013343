/* Time and chance. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int64_t answer(void *user)
{
    return *(int64_t *)user;
}

static void the_systems_clock_never_goes_back(void **state)
{
    (void)state;
    const struct trp_clock *c = trp_clock_system();
    int64_t last = trp_clock_now_ns(c);
    for (int i = 0; i < 1000; i++) {
        const int64_t now = trp_clock_now_ns(c);
        assert_true(now >= last);
        last = now;
    }
    assert_true(trp_clock_wall_ns(c) > TRP_S(1700000000)); /* after 2023 */
}

static void a_clock_can_be_replaced(void **state)
{
    (void)state;
    int64_t now = TRP_MS(3) + TRP_US(2);
    const struct trp_clock c = { answer, answer, &now };
    assert_int_equal(trp_clock_now_ns(&c), 3002000);
    assert_int_equal(trp_clock_wall_ns(&c), 3002000);
}

static void chance_follows_its_seed(void **state)
{
    (void)state;
    /* The first outputs of the reference implementation for seed 1234567. */
    static const uint64_t want[] = { 6457827717110365317u, 3203168211198807973u,
                                     9817491932198370423u, 4593380528125082431u,
                                     16408922859458223821u };
    struct trp_random r = { 1234567 };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_true(trp_random_next(&r) == want[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_systems_clock_never_goes_back),
        cmocka_unit_test(a_clock_can_be_replaced),
        cmocka_unit_test(chance_follows_its_seed),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}

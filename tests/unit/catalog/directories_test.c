/* Pictures of names on their way to the loops: the newest arrives, the old ones go home, and
 * nothing is left at the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "catalog/directories.h"
#include "unit/call/counted_target.h"

struct world {
    struct trp_loop *control, *loops[2];
    struct trp_directories d;
};

static void make(struct world *w)
{
    const struct trp_loop_opts opts = { .name = "test" };
    assert_false(trp_failed(trp_loop_create(trp_heap(), &opts, &w->control, NULL)));
    for (int i = 0; i < 2; i++)
        assert_false(trp_failed(trp_loop_create(trp_heap(), &opts, &w->loops[i], NULL)));
    assert_false(
        trp_failed(trp_directories_init(&w->d, trp_heap(), w->loops, 2, w->control, NULL)));
}

static void end(struct world *w)
{
    trp_directories_close(&w->d);
    trp_loop_destroy(w->control);
    for (int i = 0; i < 2; i++)
        trp_loop_destroy(w->loops[i]);
    trp_directories_deinit(&w->d);
}

static void publish(struct world *w, struct counted *c)
{
    struct trp_directory *d;
    const struct trp_directory_item item = counted_item("r", "route", c);
    assert_false(trp_failed(trp_directory_build(trp_heap(), &item, 1, TRP_STR_LIT(""), &d, NULL)));
    trp_directories_publish(&w->d, d);
    trp_directory_unref(d);
}

static void turn(struct trp_loop *loop)
{
    assert_false(trp_failed(trp_loop_turn(loop, 0, NULL)));
}

static const struct trp_target *seen(const struct world *w, uint32_t loop)
{
    const struct trp_directory_item *item =
        trp_directory_find(trp_directories_of(&w->d, loop), TRP_STR_LIT("r"));
    return item ? item->target : NULL;
}

static void each_loop_gets_the_newest_and_the_old_one_goes(void **state)
{
    (void)state;
    struct world w;
    struct counted all[3] = { { .refs = 0 } };
    make(&w);
    assert_null(seen(&w, 0));
    publish(&w, &all[0]);
    turn(w.loops[0]);
    assert_ptr_equal(seen(&w, 0), &all[0].target);
    assert_null(seen(&w, 1));
    publish(&w, &all[1]); /* both mails are away: they bring it on their second way */
    publish(&w, &all[2]);
    turn(w.loops[1]);
    assert_ptr_equal(seen(&w, 1), &all[0].target);
    for (int i = 0; i < 3; i++) {
        turn(w.control);
        turn(w.loops[0]);
        turn(w.loops[1]);
    }
    turn(w.control);
    for (uint32_t i = 0; i < 2; i++)
        assert_ptr_equal(seen(&w, i), &all[2].target);
    assert_int_equal(all[0].refs, 0);
    assert_int_equal(all[1].refs, 0);
    assert_int_equal(all[2].refs, 1);
    end(&w);
    assert_int_equal(all[2].refs, 0);
}

static void what_still_travels_at_the_end_is_let_go(void **state)
{
    (void)state;
    struct world w;
    struct counted all[2] = { { .refs = 0 } };
    make(&w);
    publish(&w, &all[0]);
    turn(w.loops[0]); /* one is on its way back, one has not arrived */
    publish(&w, &all[1]);
    end(&w);
    assert_int_equal(all[0].refs, 0);
    assert_int_equal(all[1].refs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_loop_gets_the_newest_and_the_old_one_goes),
        cmocka_unit_test(what_still_travels_at_the_end_is_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

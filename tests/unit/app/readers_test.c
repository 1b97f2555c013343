/* Snapshots on their way to the loops and back: real loops, turned by the test itself, so that
 * every order can be tried. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "app/readers.h"

struct fixture {
    struct trp_loop *control;
    struct trp_registry *registry;
    struct trp_readers readers;
    uint64_t seen[2];
    struct trp_error err;
};

static void note_seen(void *user, uint32_t index, uint64_t epoch)
{
    struct fixture *f = user;
    assert_true(epoch >= f->seen[index]);
    f->seen[index] = epoch;
    trp_registry_seen(f->registry, index, epoch);
}

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){ 0 };
    const struct trp_loop_opts opts = { .name = "test" };
    assert_int_equal(trp_loop_create(trp_heap(), &opts, &f.control, &f.err).code, TRP_OK);
    assert_int_equal(trp_registry_create(trp_heap(), 2, &f.registry, &f.err).code, TRP_OK);
    assert_int_equal(
        trp_readers_init(&f.readers, trp_heap(), 2, &opts, trp_registry_current(f.registry), &f.err)
            .code,
        TRP_OK);
    f.readers.control = f.control;
    f.readers.seen = note_seen;
    f.readers.user = &f;
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    trp_readers_stop(&f->readers);
    trp_loop_destroy(f->control);
    trp_readers_deinit(&f->readers);
    trp_registry_destroy(f->registry);
    return 0;
}

static void turn(struct trp_loop *loop)
{
    struct trp_error err = { 0 };
    assert_int_equal(trp_loop_turn(loop, 0, &err).code, TRP_OK);
}

static const struct trp_snapshot *publish(struct fixture *f, const char *name)
{
    const struct trp_entry entry = { .name = trp_str_of(name) };
    assert_int_equal(trp_registry_put(f->registry, &entry, &f->err).code, TRP_OK);
    const struct trp_snapshot *s = trp_registry_publish(f->registry);
    trp_readers_publish(&f->readers, s);
    return s;
}

static bool sees(const struct fixture *f, uint32_t index, const char *name)
{
    return trp_snapshot_find(f->readers.items[index].snapshot, trp_str_of(name)) != NULL;
}

static void a_loop_sees_a_snapshot_after_its_turn(void **state)
{
    struct fixture *f = *state;
    publish(f, "a");
    assert_false(sees(f, 0, "a"));
    turn(f->readers.items[0].loop);
    assert_true(sees(f, 0, "a"));
    assert_false(sees(f, 1, "a")); /* it has not turned yet */
    turn(f->control);
    assert_true(f->seen[0] > 0);
    assert_int_equal(f->seen[1], 0);
}

static void of_many_a_loop_takes_the_newest(void **state)
{
    struct fixture *f = *state;
    publish(f, "a");
    publish(f, "b");
    const struct trp_snapshot *last = publish(f, "c"); /* both mails are on their way */
    turn(f->readers.items[0].loop);
    assert_ptr_equal(f->readers.items[0].snapshot, last);
    turn(f->control);
    assert_int_equal(f->seen[0], trp_snapshot_epoch(last));
}

struct answer {
    struct trp_mail mail;
    struct fixture *f;
    const char *tells_of;
    bool is_true;
};

static void arrive(struct trp_mail *mail)
{
    struct answer *a = TRP_CONTAINER_OF(mail, struct answer, mail);
    a->is_true = sees(a->f, 0, a->tells_of);
}

/* A call's answer, say: whoever has it and looks into the index finds what it told of. */
static void what_is_posted_after_a_snapshot_arrives_behind_it(void **state)
{
    struct fixture *f = *state;
    struct answer b = { .mail.deliver = arrive, .f = f, .tells_of = "b" };
    struct answer c = { .mail.deliver = arrive, .f = f, .tells_of = "c" };
    publish(f, "a");
    turn(f->readers.items[0].loop); /* its mail is on the way back, and nobody has taken it out */
    publish(f, "b");
    trp_loop_post(f->readers.items[0].loop, &b.mail);
    publish(f, "c");
    trp_loop_post(f->readers.items[0].loop, &c.mail);
    turn(f->readers.items[0].loop);
    assert_true(b.is_true);
    assert_true(c.is_true);
}

static void who_was_behind_is_sent_the_newest_when_a_mail_is_back(void **state)
{
    struct fixture *f = *state;
    publish(f, "a");
    turn(f->readers.items[0].loop);
    publish(f, "b");
    turn(f->readers.items[0].loop); /* both on the way back */
    publish(f, "c");
    turn(f->readers.items[0].loop);
    assert_false(sees(f, 0, "c"));
    turn(f->control);
    turn(f->readers.items[0].loop);
    assert_true(sees(f, 0, "c"));
    turn(f->control);
    assert_false(f->readers.items[0].is_behind);
}

static void a_slow_loop_keeps_its_picture_readable(void **state)
{
    struct fixture *f = *state;
    publish(f, "a");
    turn(f->readers.items[0].loop);
    turn(f->readers.items[1].loop);
    turn(f->control);
    for (int i = 0; i < 50; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", i);
        publish(f, name);
        turn(f->readers.items[0].loop); /* loop 1 does not turn */
        turn(f->control);
    }
    assert_true(sees(f, 0, "m49"));
    assert_true(sees(f, 1, "a")); /* freed memory would show under a sanitizer */
    assert_false(sees(f, 1, "m49"));
    turn(f->readers.items[1].loop);
    assert_true(sees(f, 1, "m49"));
    turn(f->control);
}

static void mail_on_its_way_at_the_end_is_let_go(void **state)
{
    struct fixture *f = *state;
    publish(f, "a");
    turn(f->readers.items[0].loop); /* loop 0's mail lies in control's box, loop 1's in its own */
    publish(f, "b");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_loop_sees_a_snapshot_after_its_turn),
        TEST(of_many_a_loop_takes_the_newest),
        TEST(what_is_posted_after_a_snapshot_arrives_behind_it),
        TEST(who_was_behind_is_sent_the_newest_when_a_mail_is_back),
        TEST(a_slow_loop_keeps_its_picture_readable),
        TEST(mail_on_its_way_at_the_end_is_let_go),
    };
    return cmocka_run_group_tests_name("readers", tests, NULL, NULL);
}

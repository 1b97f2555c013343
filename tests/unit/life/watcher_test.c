/* Changed folders, noticed by polling and by the kernel. */
#include "life_asking.h"

#define ECHO "input X FP32 [-1]\n"
#define OTHER "input Other FP32 [-1]\n"

static bool takes(const struct fixture *f, const char *model, const char *input)
{
    const struct trp_version *v = highest(f, model);
    return v && trp_lifecycle_get(&v->life) == TRP_MODEL_READY && v->signature.inputs_n &&
           trp_str_is(v->signature.inputs[0].name, input);
}

/* Lets time pass in steps that are shorter than anything that waits. */
static void pass(struct fixture *f, int64_t ns)
{
    for (const int64_t end = f->now_ns + ns; f->now_ns < end;) {
        f->now_ns += TRP_MS(49);
        turn(f);
    }
    pump(f, !trp_loaders_are_busy(f->life->loaders));
}

static void off_means_off(void **state)
{
    struct fixture *f = *state;
    put(f, "m/1/model.echo", ECHO);
    start(f);
    put(f, "m/1/model.echo", OTHER);
    pass(f, TRP_S(40));
    assert_true(takes(f, "m", "X"));
    rescan(f); /* somebody who asks need not wait until it settles */
    pump(f, takes(f, "m", "Other"));
}

static void a_poll_takes_up_new_changed_and_vanished_models(void **state)
{
    struct fixture *f = *state;
    f->opts.watch = TRP_WATCH_POLL;
    put(f, "changes/1/model.echo", ECHO);
    put(f, "goes.echo", ECHO);
    start(f);
    pump(f, is(f, "goes", "READY"));
    put(f, "changes/1/model.echo", OTHER);
    put(f, "comes.echo", ECHO);
    take_away(f, "goes.echo");
    pass(f, TRP_S(14));
    assert_true(takes(f, "changes", "X"));
    pass(f, TRP_S(2));
    pump(f, takes(f, "changes", "Other"));
    pump(f, is(f, "comes", "READY"));
    pump(f, entry(f, "goes") == NULL);
    assert_int_equal(metric(f, TRP_METRIC_UNLOADS), 2);
}

static void what_is_still_being_written_is_left_alone(void **state)
{
    struct fixture *f = *state;
    f->opts.watch = TRP_WATCH_POLL;
    f->opts.poll_ns = TRP_MS(100);
    f->opts.settle_ns = TRP_S(2);
    put(f, "m/1/model.echo", ECHO);
    start(f);
    for (int i = 0; i < 10; i++) { /* ten seconds of copying */
        char text[64];
        (void)snprintf(text, sizeof text, "%s#%*d\n", OTHER, i + 2, i);
        put(f, "m/1/model.echo", text);
        pass(f, TRP_S(1));
        assert_true(takes(f, "m", "X"));
    }
    assert_int_equal(metric(f, TRP_METRIC_LOADS_OK), 1);
    pass(f, TRP_S(3));
    pump(f, takes(f, "m", "Other"));
    assert_int_equal(metric(f, TRP_METRIC_LOADS_OK), 2);
}

static void a_broken_change_is_tried_once_and_the_old_one_serves(void **state)
{
    struct fixture *f = *state;
    f->opts.watch = TRP_WATCH_POLL;
    f->opts.poll_ns = TRP_MS(100);
    put(f, "m/1/model.echo", ECHO);
    start(f);
    put(f, "m/1/model.echo", "load_fail half a file\n");
    pass(f, TRP_S(5));
    assert_true(takes(f, "m", "X"));
    assert_non_null(strstr(entry(f, "m")->reason, "half a file"));
    assert_int_equal(metric(f, TRP_METRIC_LOADS_FAILED), 1);
    put(f, "m/1/model.echo", OTHER);
    pass(f, TRP_S(2));
    pump(f, takes(f, "m", "Other"));
    assert_null(entry(f, "m")->reason);
}

static void a_loaded_explicit_model_is_replaced_and_an_unloaded_one_is_not(void **state)
{
    struct fixture *f = *state;
    f->opts.watch = TRP_WATCH_POLL;
    f->opts.poll_ns = TRP_MS(100);
    f->opts.repo.load_default = TRP_LOAD_EXPLICIT;
    put(f, "used.echo", ECHO);
    put(f, "idle.echo", ECHO);
    start(f);
    load(f, "used", TRP_OK, "");
    put(f, "used.echo", OTHER);
    put(f, "idle.echo", OTHER);
    pass(f, TRP_S(2));
    pump(f, takes(f, "used", "Other"));
    assert_true(is(f, "idle", "NEW"));
    pump(f, trp_str_is(highest(f, "idle")->signature.inputs[0].name, "Other"));
}

static void the_kernel_tells_of_new_changed_and_vanished_models(void **state)
{
    struct fixture *f = *state;
    f->opts.watch = TRP_WATCH_NOTIFY;
    put(f, "changes/1/model.echo", ECHO);
    put(f, "goes.echo", ECHO);
    start(f);
    pass(f, TRP_S(2)); /* everything is covered now */
    put(f, "changes/1/model.echo", OTHER);
    pass(f, TRP_S(2));
    pump(f, takes(f, "changes", "Other"));
    put(f, "comes/4/model.echo", ECHO); /* folders that nobody watches yet */
    pass(f, TRP_S(3));
    pump(f, is(f, "comes", "READY"));
    put(f, "comes/4/model.echo", OTHER);
    pass(f, TRP_S(2));
    pump(f, takes(f, "comes", "Other"));
    put(f, "comes/5/model.echo", ECHO);
    pass(f, TRP_S(3));
    pump(f, highest(f, "comes")->target.version == 5);
    take_away(f, "goes.echo");
    pass(f, TRP_S(2));
    pump(f, entry(f, "goes") == NULL);
}

static void files_that_are_back_before_their_leaving_was_done_are_taken_up(void **state)
{
    struct fixture *f = *state;
    put(f, "m.echo", "load_sleep 300ms\n" ECHO);
    create(f);
    trp_life_start(f->life);
    pump(f, is(f, "m", "LOADING")); /* the leaving waits behind this load */
    take_away(f, "m.echo");
    rescan(f);
    put(f, "m.echo", OTHER);
    rescan(f);
    pump(f, takes(f, "m", "Other"));
}

/* Somebody moves a new repository into the place of the old one; in between there is none, and
 * the kernel tells of the old one. */
static void a_repository_that_was_away_for_a_moment_is_found_again(void **state)
{
    struct fixture *f = *state;
    char away[128];
    (void)snprintf(away, sizeof away, "%s/away", f->base);
    f->opts.watch = TRP_WATCH_NOTIFY;
    put(f, "old.echo", ECHO);
    start(f);
    pass(f, TRP_S(2));
    assert_int_equal(rename(f->root, away), 0);
    pass(f, TRP_S(2));
    assert_true(log_says(f, "cannot list the repository"));
    assert_true(is(f, "old", "READY")); /* that it cannot be seen does not say that it has gone */
    assert_int_equal(mkdir(f->root, 0755), 0);
    put(f, "new.echo", ECHO);
    pass(f, TRP_S(17));
    pump(f, is(f, "new", "READY") && !entry(f, "old"));
    put(f, "newer.echo", ECHO); /* and the kernel tells of the new one */
    pass(f, TRP_S(3));
    pump(f, is(f, "newer", "READY"));
}

static void nothing_happens_while_nothing_changes(void **state)
{
    struct fixture *f = *state;
    f->opts.watch = TRP_WATCH_NOTIFY;
    put(f, "m/1/model.echo", ECHO);
    start(f);
    pass(f, TRP_S(2));
    const uint32_t looks = f->life->round;
    const uint64_t published = f->published;
    pass(f, TRP_S(20));
    assert_int_equal(f->life->round, looks);
    assert_int_equal(f->published, published);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LIFE(off_means_off),
        WITH_LIFE(a_poll_takes_up_new_changed_and_vanished_models),
        WITH_LIFE(what_is_still_being_written_is_left_alone),
        WITH_LIFE(a_broken_change_is_tried_once_and_the_old_one_serves),
        WITH_LIFE(a_loaded_explicit_model_is_replaced_and_an_unloaded_one_is_not),
        WITH_LIFE(the_kernel_tells_of_new_changed_and_vanished_models),
        WITH_LIFE(files_that_are_back_before_their_leaving_was_done_are_taken_up),
        WITH_LIFE(a_repository_that_was_away_for_a_moment_is_found_again),
        WITH_LIFE(nothing_happens_while_nothing_changes),
    };
    return cmocka_run_group_tests_name("watcher", tests, NULL, NULL);
}

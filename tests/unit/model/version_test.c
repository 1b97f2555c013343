/* A version's owners, and what it answers as a target. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "model/version.h"

static uint32_t unused_n, started_n;

static void note_unused(struct trp_version *v, void *user)
{
    assert_ptr_equal(user, &unused_n);
    unused_n++;
    trp_version_destroy(v);
}

static void note_start(struct trp_target *t, struct trp_call *call)
{
    (void)call;
    assert_int_equal(trp_version_of(t)->target.version, 3);
    started_n++;
}

static const struct trp_target_ops ops = TRP_VERSION_OPS(note_start, NULL);

static struct trp_version *make_version(const char *model, struct trp_account *parent)
{
    const struct trp_version_opts opts = { .model = trp_str_of(model),
                                           .number = 3,
                                           .ops = &ops,
                                           .weights_parent = parent,
                                           .activations_parent = parent,
                                           .on_unused = note_unused,
                                           .on_unused_user = &unused_n };
    struct trp_version *v;
    assert_false(trp_failed(trp_version_create(trp_heap(), &opts, &v, NULL)));
    return v;
}

static void move(struct trp_version *v, enum trp_model_state to)
{
    assert_false(trp_failed(trp_lifecycle_move(&v->life, to, 1, NULL)));
}

static void the_last_owner_is_who_reports_it_unused(void **state)
{
    (void)state;
    unused_n = 0;
    struct trp_version *v = make_version("resnet50", NULL);
    trp_version_ref(v);
    trp_version_release_target(&v->target);
    assert_int_equal(unused_n, 0);
    trp_version_unref(v);
    assert_int_equal(unused_n, 1);
    trp_version_unref(NULL);
}

static void it_is_named_and_answers_as_a_target(void **state)
{
    (void)state;
    struct trp_version *v = make_version("resnet50", NULL);
    struct trp_target *t = &v->target;
    assert_string_equal(v->id, "resnet50/3");
    assert_true(trp_str_is(t->name, "resnet50"));
    assert_null(trp_target_signature(t)); /* what calls are bound to is known when it is open */
    assert_false(trp_failed(trp_lifecycle_move(&v->life, TRP_MODEL_LOADING, 1, NULL)));
    assert_false(trp_failed(trp_lifecycle_move(&v->life, TRP_MODEL_WARMING, 2, NULL)));
    assert_false(trp_failed(trp_lifecycle_move(&v->life, TRP_MODEL_READY, 3, NULL)));
    assert_ptr_equal(trp_target_signature(t), &v->signature);
    assert_ptr_equal(t->ops->stats(t), v->stats);
    started_n = 0;
    trp_target_start(t, NULL);
    assert_int_equal(started_n, 1);

    trp_gauge_set(&v->stats->run_ns, 42);
    trp_gauge_set(&v->stats->queued, -1); /* two threads may count down before one counted up */
    struct trp_target_cost cost;
    t->ops->cost(t, &cost);
    assert_int_equal(cost.run_ns, 42);
    assert_int_equal(cost.queued, 0);
    trp_version_unref(v);
}

static void its_reason_is_not_shown_while_it_may_be_written(void **state)
{
    (void)state;
    struct trp_version *v = make_version("m", NULL);
    struct trp_target_state s;
    move(v, TRP_MODEL_LOADING);
    trp_version_say(v, TRP_STR_LIT("no such operator"));
    v->target.ops->state(&v->target, &s);
    assert_string_equal(s.state, "LOADING");
    assert_int_equal(s.reason.len, 0);
    move(v, TRP_MODEL_FAILED);
    v->target.ops->state(&v->target, &s);
    assert_false(s.ready);
    assert_string_equal(s.state, "UNAVAILABLE");
    assert_true(trp_str_is(s.reason, "no such operator"));
    trp_version_unref(v);
}

static void only_ready_is_ready(void **state)
{
    (void)state;
    struct trp_version *v = make_version("m", NULL);
    static const enum trp_model_state road[] = { TRP_MODEL_LOADING, TRP_MODEL_WARMING,
                                                 TRP_MODEL_READY, TRP_MODEL_DRAINING,
                                                 TRP_MODEL_GONE };
    for (size_t i = 0; i < ARRAY_LEN(road); i++) {
        struct trp_target_state s;
        move(v, road[i]);
        v->target.ops->state(&v->target, &s);
        assert_int_equal(s.ready, road[i] == TRP_MODEL_READY);
    }
    trp_version_unref(v);
}

static void its_memory_counts_for_the_process_too(void **state)
{
    (void)state;
    struct trp_account parent;
    trp_account_init(&parent, TRP_ACCOUNT_WEIGHTS, NULL, 0);
    struct trp_version *v = make_version("m", &parent);
    assert_true(trp_account_try_charge(&v->weights, 100));
    assert_int_equal(trp_counter_get(&parent.bytes), 100);
    trp_account_discharge(&v->weights, 100);
    trp_version_unref(v);
    trp_account_deinit(&parent);
}

static void a_long_name_is_kept_whole_in_its_id_too(void **state)
{
    (void)state;
    char name[300];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct trp_version *v = make_version(name, NULL);
    assert_int_equal(v->target.name.len, sizeof name - 1);
    assert_int_equal(strlen(v->id), sizeof name - 1 + 2);
    trp_version_unref(v);
}

/* Ten thousand versions that only stand in the index count nothing of their own. */
static void one_that_is_never_loaded_shares_what_it_counts(void **state)
{
    (void)state;
    static struct trp_stats shared;
    const struct trp_version_opts opts = { .model = TRP_STR_LIT("m"),
                                           .number = 1,
                                           .shared_stats = &shared };
    struct trp_version *v;
    if (trp_failed(trp_version_create(trp_heap(), &opts, &v, NULL)))
        fail_msg("no version");
    assert_ptr_equal(v->target.ops->stats(&v->target), &shared);
    trp_counter_add(&v->stats->fail.count, 1);
    assert_int_equal(trp_counter_get(&trp_version_counts(v)->fail.count), 0);
    assert_true(sizeof *v <= 1136); /* a cold model is to cost 4 KB in all */
    trp_version_unref(v);
}

static void its_reason_may_be_said_again(void **state)
{
    (void)state;
    struct trp_version *v = make_version("m", NULL);
    assert_int_equal(trp_version_reason(v).len, 0);
    trp_version_say(v, TRP_STR_LIT("the first"));
    trp_version_say(v, TRP_STR_LIT("the second"));
    assert_true(trp_str_is(trp_version_reason(v), "the second"));
    trp_version_say(v, TRP_STR_LIT(""));
    assert_int_equal(trp_version_reason(v).len, 0);
    trp_version_unref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_owner_is_who_reports_it_unused),
        cmocka_unit_test(it_is_named_and_answers_as_a_target),
        cmocka_unit_test(its_reason_is_not_shown_while_it_may_be_written),
        cmocka_unit_test(only_ready_is_ready),
        cmocka_unit_test(its_memory_counts_for_the_process_too),
        cmocka_unit_test(a_long_name_is_kept_whole_in_its_id_too),
        cmocka_unit_test(one_that_is_never_loaded_shares_what_it_counts),
        cmocka_unit_test(its_reason_may_be_said_again),
    };
    return cmocka_run_group_tests_name("version", tests, NULL, NULL);
}

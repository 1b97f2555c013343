/* What an operator says of who stays: pinned, unpinned, evicted, one order after the other; and
 * what is told of who is in memory. */
#include "life_asking.h"

#include "life/presence.h"

#define ECHO "input X FP32 [-1]\noutput Y FP32 [-1]\n"

static struct trp_member *member(struct fixture *f, const char *name)
{
    return trp_member_get(f->life, trp_str_of(name));
}

static void order(struct fixture *f, struct wish *w, int kind, const char *name, int code,
                  const char *words)
{
    *w = (struct wish){ .order = { .model = trp_str_of(name), .done = note_done } };
    w->order.kind = kind;
    trp_life_submit(f->life, &w->order);
    assert_false(w->is_done);
    check_order(f, w, code, words);
}

struct seen {
    uint32_t n, pinned_n, gone_n;
    char kept[128], gone[64], why[128];
};

static void see(void *user, const struct trp_presence *p)
{
    struct seen *s = user;
    s->n++;
    s->pinned_n += p->is_pinned;
    (void)snprintf(s->kept, sizeof s->kept, "%s", p->kept);
    assert_non_null(p->version);
    assert_int_equal(p->blobs_n, 0);
}

static void see_gone(void *user, const struct trp_departure *d)
{
    struct seen *s = user;
    if (s->gone_n++)
        return; /* the last one comes first */
    (void)snprintf(s->gone, sizeof s->gone, "%.*s", (int)d->name.len, d->name.ptr);
    (void)snprintf(s->why, sizeof s->why, "%s", d->why);
}

static struct seen look_around(struct fixture *f)
{
    struct seen s = { .n = 0 };
    trp_presence_each(f->life, see, &s);
    trp_presence_each_gone(f->life, see_gone, &s);
    return s;
}

static void a_pin_loads_and_holds_until_it_is_taken_back(void **state)
{
    struct fixture *f = *state;
    struct wish w;
    put(f, "m.echo", ECHO);
    f->opts.repo.load_default = TRP_LOAD_ON_DEMAND;
    start(f);
    pump(f, f->life->has_listed);
    assert_int_equal(look_around(f).n, 0);
    order(f, &w, TRP_ORDER_PIN, "m", TRP_OK, "");
    assert_true(is(f, "m", "READY"));
    struct seen s = look_around(f);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.pinned_n, 1);
    assert_string_equal(s.kept, "pinned by an operator");
    order(f, &w, TRP_ORDER_EVICT, "m", TRP_FAILED_PRECONDITION, "'m' is pinned");
    order(f, &w, TRP_ORDER_UNPIN, "m", TRP_OK, "");
    s = look_around(f);
    assert_int_equal(s.pinned_n, 0);
    assert_string_equal(s.kept, "until its room is wanted");
    order(f, &w, TRP_ORDER_PIN, "m", TRP_OK, ""); /* what is loaded is only marked */
    assert_true(trp_idle_is_pinned(member(f, "m")));
    assert_int_equal(metric(f, TRP_METRIC_LOADS_OK), 1);
}

static void an_eviction_is_told_of_and_the_model_stays_known(void **state)
{
    struct fixture *f = *state;
    struct wish w;
    put(f, "m.echo", ECHO);
    f->opts.repo.load_default = TRP_LOAD_STARTUP;
    start(f);
    pump(f, f->life->has_listed);
    pump(f, is(f, "m", "READY"));
    order(f, &w, TRP_ORDER_EVICT, "m", TRP_OK, "");
    struct seen s = look_around(f);
    assert_int_equal(s.n, 0);
    assert_int_equal(s.gone_n, 1);
    assert_string_equal(s.gone, "m");
    assert_string_equal(s.why, "an operator asked for it");
    assert_true(is(f, "m", "NEW"));              /* ready, to clients */
    assert_true(highest(f, "m")->has_signature); /* without a look at its files */
    assert_int_equal(highest(f, "m")->signature.inputs_n, 1);
    order(f, &w, TRP_ORDER_EVICT, "m", TRP_OK, "");
    assert_int_equal(look_around(f).gone_n, 1); /* it was not there */
}

static void the_configuration_pins_unless_an_operator_says_otherwise(void **state)
{
    struct fixture *f = *state;
    struct wish w;
    put(f, "m/model.echo", ECHO);
    put(f, "m/model.yaml", "pin: true\nload: startup\n");
    start(f);
    pump(f, f->life->has_listed);
    pump(f, is(f, "m", "READY"));
    assert_string_equal(look_around(f).kept, "pinned by its configuration");
    order(f, &w, TRP_ORDER_EVICT, "m", TRP_FAILED_PRECONDITION, "'m' is pinned");
    order(f, &w, TRP_ORDER_UNPIN, "m", TRP_OK, "");
    order(f, &w, TRP_ORDER_EVICT, "m", TRP_OK, "");
    order(f, &w, TRP_ORDER_PIN, "m", TRP_OK, "");
    assert_string_equal(look_around(f).kept, "pinned by an operator");
}

static void nobody_is_kept_who_is_not_there(void **state)
{
    struct fixture *f = *state;
    struct wish w;
    put(f, "broken.echo", "nonsense\n");
    f->opts.repo.load_default = TRP_LOAD_ON_DEMAND;
    start(f);
    pump(f, f->life->has_listed);
    order(f, &w, TRP_ORDER_PIN, "nobody", TRP_NOT_FOUND, "'nobody' is not found");
    order(f, &w, TRP_ORDER_UNPIN, "nobody", TRP_NOT_FOUND, "'nobody' is not found");
    order(f, &w, TRP_ORDER_EVICT, "nobody", TRP_NOT_FOUND, "'nobody' is not found");
    order(f, &w, TRP_ORDER_PIN, "broken", TRP_INVALID_ARGUMENT, "nonsense");
    assert_int_equal(look_around(f).n, 0);
}

static void a_pin_that_is_refused_leaves_things_as_they_were(void **state)
{
    struct fixture *f = *state;
    struct wish w;
    put(f, "m.echo", ECHO "load_fail no luck\n");
    f->opts.repo.load_default = TRP_LOAD_ON_DEMAND;
    start(f);
    pump(f, f->life->has_listed);
    order(f, &w, TRP_ORDER_PIN, "m", TRP_INVALID_ARGUMENT, "no luck");
    assert_false(trp_idle_is_pinned(member(f, "m")));
    put(f, "m.echo", ECHO);
    w = (struct wish){ .order = { .has_keep_alive = true, .keep_alive_ns = -1 } };
    submit_load(f, &w, "m"); /* as a call would */
    check_order(f, &w, TRP_OK, "");
    assert_string_equal(look_around(f).kept, "until its room is wanted");
}

static void only_the_last_departures_are_kept(void **state)
{
    struct fixture *f = *state;
    put(f, "m.echo", ECHO);
    f->opts.repo.load_default = TRP_LOAD_ON_DEMAND;
    start(f);
    pump(f, f->life->has_listed);
    for (uint32_t i = 0; i < TRP_DEPARTURES_MAX + 3; i++) {
        char why[32];
        (void)snprintf(why, sizeof why, "reason %u", i);
        trp_presence_note(member(f, "m"), why);
    }
    const struct seen s = look_around(f);
    assert_int_equal(s.gone_n, TRP_DEPARTURES_MAX);
    assert_string_equal(s.why, "reason 66");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_pin_loads_and_holds_until_it_is_taken_back),
        TEST(an_eviction_is_told_of_and_the_model_stays_known),
        TEST(the_configuration_pins_unless_an_operator_says_otherwise),
        TEST(nobody_is_kept_who_is_not_there),
        TEST(a_pin_that_is_refused_leaves_things_as_they_were),
        TEST(only_the_last_departures_are_kept),
    };
    return cmocka_run_group_tests_name("keeping", tests, NULL, NULL);
}

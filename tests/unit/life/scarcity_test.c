/* Memory that is short for a moment: what changed meanwhile is taken up later. */
#include "life_asking.h"

/* Fails one request, the n-th from when it was told to; loader threads ask as well. */
struct flaky {
    struct trp_alloc alloc;
    struct trp_gauge left; /* 0: never */
};

static void *flaky_alloc(const struct trp_alloc *a, size_t bytes, size_t align)
{
    struct flaky *k = a->user;
    if (trp_gauge_get(&k->left) > 0) {
        trp_gauge_add(&k->left, -1);
        if (trp_gauge_get(&k->left) == 0)
            return NULL;
    }
    return trp_alloc_aligned(trp_heap(), bytes, align < 16 ? 16 : align);
}

static void flaky_free(const struct trp_alloc *a, void *block)
{
    (void)a;
    trp_alloc_free(trp_heap(), block);
}

static struct flaky flaky; /* outlives a test that fails */

static void start_with_flaky(struct fixture *f)
{
    struct flaky *k = &flaky;
    *k = (struct flaky){ .alloc = { .alloc = flaky_alloc, .free = flaky_free, .name = "flaky" } };
    k->alloc.user = k;
    create_on(f, &k->alloc);
    trp_life_start(f->life);
    pump(f, trp_life_is_started(f->life));
}

static void look(struct fixture *f)
{
    struct wish w = { .order = { .kind = TRP_ORDER_RESCAN, .done = note_done } };
    trp_life_submit(f->life, &w.order);
    pump(f, w.is_done);
    pump(f, !trp_loaders_are_busy(f->life->loaders));
}

/* What could not be shown is tried again after 25 ms. */
static void wait_for_the_index(struct fixture *f)
{
    f->now_ns += TRP_MS(30);
    for (int i = 0; i < 3; i++)
        turn(f);
}

static bool takes(const struct fixture *f, const char *input)
{
    const struct trp_version *v = highest(f, "m");
    return v && trp_lifecycle_get(&v->life) == TRP_MODEL_READY &&
           trp_str_is(v->signature.inputs[0].name, input);
}

/* More than each asks for. */
#define POINTS_OF_A_CHANGE 40
#define POINTS_OF_A_LEAVING 12

static void a_change_is_taken_up_by_the_next_look(void **state)
{
    struct fixture *f = *state;
    put(f, "m.echo", "input Start FP32 [-1]\n");
    start_with_flaky(f);
    for (int i = 1; i <= POINTS_OF_A_CHANGE; i++) {
        char text[64], name[16];
        (void)snprintf(name, sizeof name, "Input%d", i);
        (void)snprintf(text, sizeof text, "input %s FP32 [-1]\n%*s", name, i, "");
        put(f, "m.echo", text);
        trp_gauge_set(&flaky.left, i);
        look(f);
        trp_gauge_set(&flaky.left, 0);
        look(f);
        wait_for_the_index(f);
        const char *why = entry(f, "m")->reason;
        print_message("%d: %s\n", i, takes(f, name) ? "" : why);
        if (!takes(f, name)) { /* then it was tried, and the index says so */
            assert_non_null(why);
            assert_non_null(strstr(why, "memory"));
            load(f, "m", TRP_OK, "");
        }
        assert_true(takes(f, name));
        assert_null(entry(f, "m")->reason);
    }
}

static void a_model_that_leaves_is_gone_by_the_next_look(void **state)
{
    struct fixture *f = *state;
    start_with_flaky(f);
    for (int i = 1; i <= POINTS_OF_A_LEAVING; i++) {
        put(f, "m.echo", "input X FP32 [-1]\n");
        look(f);
        pump(f, is(f, "m", "READY"));
        take_away(f, "m.echo");
        trp_gauge_set(&flaky.left, i);
        look(f);
        trp_gauge_set(&flaky.left, 0);
        look(f);
        wait_for_the_index(f);
        print_message("%d: %s\n", i, state_of(f, "m"));
        pump(f, is(f, "m", "?"));
    }
}

/* Both leave no place for the name; only one of them can be mended by `limits.models`. */
static void lack_of_memory_is_not_called_a_limit(void **state)
{
    struct fixture *f = *state;
    start_with_flaky(f);
    trp_gauge_set(&flaky.left, 1);
    load(f, "nobody", TRP_OUT_OF_MEMORY, "no memory for one more model");
    assert_int_equal(metric(f, TRP_METRIC_LIMIT_MODELS), 0);
    load(f, "nobody", TRP_NOT_FOUND, "no model 'nobody'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LIFE(a_change_is_taken_up_by_the_next_look),
        WITH_LIFE(a_model_that_leaves_is_gone_by_the_next_look),
        WITH_LIFE(lack_of_memory_is_not_called_a_limit),
    };
    return cmocka_run_group_tests_name("scarcity", tests, NULL, NULL);
}

/* A thousand random steps of orders that overlap, of files that change and break, of versions that
 * somebody holds: against a small model of what must be there.  TROUPE_SEED and TROUPE_STEPS
 * choose others. */
#include "life_asking.h"

#include "life/hibernation.h"

#define MODELS 5
#define WISHES 4 /* at once, of one model */
#define HELD 8

/* What one model's files hold, and what was last loaded of them; 0: nothing. */
struct subject {
    char name[8];
    uint32_t content, loaded;
    bool is_broken, has_failed;
    struct wish wishes[WISHES];
    uint32_t wishes_n;
};

/* A version that a request could be running on. */
struct held {
    struct trp_version *version;
    uint32_t content;
};

struct steps {
    struct fixture *f;
    struct trp_random random;
    struct subject subjects[MODELS];
    struct held held[HELD];
    uint32_t contents_n, loads_n, failures_n, sleeps_n;
};

static uint32_t below(struct steps *s, uint32_t n)
{
    return (uint32_t)(trp_random_next(&s->random) % n);
}

static uint64_t chosen(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/* ---- files ---- */

/* The name of its input tells which content it is. */
static void write_content(struct steps *s, struct subject *m, bool is_broken)
{
    char path[32], text[128];
    m->content = ++s->contents_n;
    m->is_broken = is_broken;
    (void)snprintf(path, sizeof path, "%s/1/model.echo", m->name);
    (void)snprintf(text, sizeof text, "input X%u FP32 [-1]\nweighs 1000\nhibernates\n%s%s%s",
                   m->content, below(s, 4) ? "" : "load_sleep 3ms\n",
                   below(s, 4) ? "" : "wake_sleep 3ms\n", is_broken ? "load_fail gone\n" : "");
    put(s->f, path, text);
}

static bool is_content(const struct trp_version *v, uint32_t content)
{
    char name[16];
    (void)snprintf(name, sizeof name, "X%u", content);
    return trp_str_is(v->signature.inputs[0].name, name);
}

/* ---- orders ---- */

static void expect_load(struct steps *s, struct subject *m, const struct wish *w)
{
    if (!m->is_broken) {
        assert_int_equal(w->order.error.status.code, TRP_OK);
        s->loads_n += m->loaded != m->content;
        m->loaded = m->content;
        m->has_failed = false;
        return;
    }
    assert_int_equal(w->order.error.status.code, TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(w->order.error.text, m->name));
    s->failures_n++;
    m->has_failed = !m->loaded;
}

static void expect_unload(struct subject *m, const struct wish *w)
{
    assert_int_equal(w->order.error.status.code, TRP_OK);
    m->loaded = 0;
    m->has_failed = false;
}

/* All orders of a model are done: in the order in which they came. */
static void finish(struct steps *s, struct subject *m)
{
    for (uint32_t i = 0; i < m->wishes_n; i++) {
        struct wish *w = &m->wishes[i];
        pump(s->f, w->is_done);
        if (w->order.kind == TRP_ORDER_LOAD)
            expect_load(s, m, w);
        else
            expect_unload(m, w);
    }
    m->wishes_n = 0;
    assert_true(is(s->f, m->name, m->loaded ? "READY" : m->has_failed ? "FAILED" : "NEW"));
    if (m->loaded)
        assert_true(is_content(highest(s->f, m->name), m->loaded));
}

static void wish(struct steps *s, struct subject *m)
{
    if (m->wishes_n == WISHES)
        finish(s, m);
    struct wish *w = &m->wishes[m->wishes_n++];
    *w = (struct wish){ 0 };
    if (below(s, 3))
        submit_load(s->f, w, m->name);
    else
        submit_unload(s->f, w, m->name);
}

/* ---- holding ---- */

static void let_go(struct held *h)
{
    if (!h->version)
        return;
    assert_true(is_content(h->version, h->content)); /* whole as long as it is held */
    trp_version_unref(h->version);
    h->version = NULL;
}

static void hold(struct steps *s, struct subject *m)
{
    struct held *h = &s->held[below(s, HELD)];
    finish(s, m);
    let_go(h);
    if (m->loaded)
        *h = (struct held){ pin(s->f, m->name, 0), m->loaded };
}

/* ---- hibernating ---- */

/* Whatever is ordered next finds it on its way to sleep, or asleep. */
static void put_to_sleep(struct steps *s, struct subject *m)
{
    struct trp_member *member = trp_member_get(s->f->life, trp_str_of(m->name));
    finish(s, m);
    s->sleeps_n += member && trp_hibernation_begin(member, "a step");
    if (below(s, 2))
        pump(s->f, !member || !member->op);
}

/* ---- what must hold ---- */

static uint32_t live_n(const struct steps *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < MODELS; i++)
        n += s->subjects[i].loaded != 0;
    return n;
}

/* Of the versions that were loaded, those that serve or are held live; all others are closed. */
static uint32_t held_n(const struct steps *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < HELD; i++) {
        bool counts = s->held[i].version;
        for (uint32_t k = 0; counts && k < i; k++)
            counts = s->held[k].version != s->held[i].version;
        for (uint32_t k = 0; counts && k < MODELS; k++)
            counts =
                !s->subjects[k].loaded || highest(s->f, s->subjects[k].name) != s->held[i].version;
        n += counts;
    }
    return n;
}

static void look(struct steps *s)
{
    for (uint32_t i = 0; i < MODELS; i++)
        finish(s, &s->subjects[i]);
    assert_int_equal(metric(s->f, TRP_METRIC_LOADS_OK), s->loads_n);
    assert_int_equal(metric(s->f, TRP_METRIC_LOADS_FAILED), s->failures_n);
    const int64_t closed = (int64_t)s->loads_n - live_n(s) - held_n(s);
    pump(s->f, metric(s->f, TRP_METRIC_UNLOADS) == closed);
}

static void step(struct steps *s)
{
    struct subject *m = &s->subjects[below(s, MODELS)];
    const uint32_t what = below(s, 100);
    if (what < 55)
        wish(s, m);
    else if (what < 65)
        turn(s->f);
    else if (what < 75)
        hold(s, m);
    else if (what < 82)
        put_to_sleep(s, m);
    else if (what < 95) {
        finish(s, m); /* files change between orders, so that it is known which one saw them */
        write_content(s, m, below(s, 4) == 0);
    } else
        look(s);
}

static void random_steps_leave_what_a_model_of_them_says(void **state)
{
    static struct steps s; /* orders point into it */
#ifdef TRP_TORTURE
    const uint64_t n = 0; /* an order that lacks memory fails, rightly */
#else
    const uint64_t n = chosen("TROUPE_STEPS", 1000);
#endif
    const uint64_t seed = chosen("TROUPE_SEED", 1);
    print_message("TROUPE_SEED=%llu TROUPE_STEPS=%llu\n", (unsigned long long)seed,
                  (unsigned long long)n);
    s = (struct steps){ .f = *state, .random = { seed } };
    s.f->opts.hibernated_bytes_max = 1 << 20;
    for (uint32_t i = 0; i < MODELS; i++) {
        (void)snprintf(s.subjects[i].name, sizeof s.subjects[i].name, "m%u", i);
        write_content(&s, &s.subjects[i], false);
        s.subjects[i].loaded = s.subjects[i].content;
    }
    start(s.f);
    for (uint32_t i = 0; i < MODELS; i++)
        pump(s.f, is(s.f, s.subjects[i].name, "READY"));
    s.loads_n = MODELS;
    for (uint64_t i = 0; i < n; i++)
        step(&s);
    look(&s);
    assert_true(n < 500 || s.sleeps_n > 10);
    for (uint32_t i = 0; i < HELD; i++)
        let_go(&s.held[i]);
    for (uint32_t i = 0; i < MODELS; i++) {
        submit_unload(s.f, &s.subjects[i].wishes[0], s.subjects[i].name);
        s.subjects[i].wishes_n = 1;
    }
    look(&s);
    pump(s.f, trp_counter_get(&s.f->weights.bytes) == 0);
    pump(s.f, trp_counter_get(&s.f->activations.bytes) == 0); /* surveys go on for a moment */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LIFE(random_steps_leave_what_a_model_of_them_says),
    };
    return cmocka_run_group_tests_name("steps", tests, NULL, NULL);
}

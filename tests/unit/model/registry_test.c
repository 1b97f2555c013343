/* The persistent tree: what a change costs, what readers see, and the words for what is not
 * there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "model/registry.h"

/* An allocator that counts, and fails at the n-th request. */
struct counting {
    struct trp_alloc alloc;
    uint64_t taken, live;
    uint64_t fail_at; /* 0: never */
};

static void *counting_alloc(const struct trp_alloc *a, size_t bytes, size_t align)
{
    struct counting *c = a->user;
    c->taken++;
    if (c->fail_at && c->taken >= c->fail_at)
        return NULL;
    c->live++;
    return trp_alloc_aligned(trp_heap(), bytes, align < 16 ? 16 : align);
}

static void counting_free(const struct trp_alloc *a, void *block)
{
    struct counting *c = a->user;
    if (block)
        c->live--;
    trp_alloc_free(trp_heap(), block);
}

static void counting_init(struct counting *c)
{
    *c = (struct counting){
        .alloc = { .alloc = counting_alloc, .free = counting_free, .user = c, .name = "counting" }
    };
}

static struct trp_registry *make_registry(const struct trp_alloc *alloc, uint32_t readers_n)
{
    struct trp_registry *r;
    assert_false(trp_failed(trp_registry_create(alloc, readers_n, &r, NULL)));
    return r;
}

static struct trp_str name_at(uint32_t i, char *out, size_t size)
{
    return trp_str_make(out, (size_t)snprintf(out, size, "model-%06u", i));
}

static void put_name(struct trp_registry *r, uint32_t i, bool wanted)
{
    char text[32];
    const struct trp_entry e = { .name = name_at(i, text, sizeof text), .wanted = wanted };
    assert_false(trp_failed(trp_registry_put(r, &e, NULL)));
}

static bool has(const struct trp_snapshot *s, uint32_t i)
{
    char text[32];
    return trp_snapshot_find(s, name_at(i, text, sizeof text)) != NULL;
}

struct walk {
    uint32_t n;
    char last[32];
};
static void check_order(void *user, const struct trp_entry *e)
{
    struct walk *w = user;
    assert_true(w->n == 0 || trp_str_compare(trp_str_of(w->last), e->name) < 0);
    assert_true(trp_str_copy(e->name, w->last, sizeof w->last));
    w->n++;
}

static uint32_t walk(const struct trp_snapshot *s)
{
    struct walk w = { 0 };
    trp_snapshot_each(s, check_order, &w);
    return w.n;
}

#define MANY 100000u
#define DEPTH_MAX 80u /* some 2.9 log2(100,000) is usual for the deepest; the mean is near 20 */

static void one_change_among_a_hundred_thousand_copies_one_path(void **state)
{
    (void)state;
    struct counting c;
    counting_init(&c);
    struct trp_registry *r = make_registry(&c.alloc, 1);
    for (uint32_t i = 0; i < MANY; i++)
        put_name(r, i, false);
    const struct trp_snapshot *before = trp_registry_publish(r);
    assert_int_equal(trp_snapshot_count(before), MANY);
    assert_int_equal(walk(before), MANY);

    uint64_t most = 0, all = 0;
    struct trp_random random = { 1 };
    for (uint32_t i = 0; i < 1000; i++) {
        const uint64_t start = c.taken;
        put_name(r, (uint32_t)(trp_random_next(&random) % MANY), true);
        const uint64_t cost = c.taken - start;
        most = cost > most ? cost : most;
        all += cost;
    }
    assert_true(most <= DEPTH_MAX);
    assert_true(all / 1000 <= 40);
    most = 0;
    for (uint32_t i = 1; i < MANY; i += 100) { /* taking a name out, and putting it back */
        char text[32];
        const uint64_t start = c.taken;
        assert_false(trp_failed(trp_registry_remove(r, name_at(i, text, sizeof text), NULL)));
        put_name(r, i, false);
        most = c.taken - start > most ? c.taken - start : most;
    }
    assert_true(most <= 3 * DEPTH_MAX);
    assert_int_equal(trp_snapshot_count(before), MANY); /* what was published is as it was */
    assert_int_equal(walk(before), MANY);

    const uint64_t live = c.live, start = c.taken;
    for (uint32_t i = 0; i < MANY; i += 97)
        assert_true(has(before, i));
    assert_int_equal(c.taken, start); /* looking takes no memory */
    assert_int_equal(c.live, live);
    trp_registry_destroy(r);
    assert_int_equal(c.live, 0);
}

static void a_reader_keeps_its_picture_until_it_has_seen_a_newer_one(void **state)
{
    (void)state;
    struct counting c;
    counting_init(&c);
    struct trp_registry *r = make_registry(&c.alloc, 2);
    for (uint32_t i = 0; i < 100; i++)
        put_name(r, i, false);
    const struct trp_snapshot *old = trp_registry_publish(r);
    trp_registry_seen(r, 0, trp_snapshot_epoch(old));
    trp_registry_seen(r, 1, trp_snapshot_epoch(old));

    char text[32];
    for (uint32_t i = 0; i < 50; i++)
        assert_false(trp_failed(trp_registry_remove(r, name_at(i, text, sizeof text), NULL)));
    const struct trp_snapshot *fresh = trp_registry_publish(r);
    assert_int_equal(trp_snapshot_epoch(fresh), trp_snapshot_epoch(old) + 1);
    trp_registry_seen(r, 0, trp_snapshot_epoch(fresh));
    assert_int_equal(trp_registry_oldest_seen(r), trp_snapshot_epoch(old));

    assert_int_equal(walk(old), 100); /* reader 1 still looks at it */
    assert_int_equal(walk(fresh), 50);
    assert_true(has(old, 0) && !has(fresh, 0) && has(fresh, 99));
    const uint64_t held = c.live;
    trp_registry_seen(r, 1, trp_snapshot_epoch(fresh));
    assert_true(c.live <= held - 50); /* the entries that only the old one had */
    trp_registry_seen(r, 1, 1);       /* an older word changes nothing */
    assert_int_equal(trp_registry_oldest_seen(r), trp_snapshot_epoch(fresh));
    trp_registry_destroy(r);
    assert_int_equal(c.live, 0);
}

static void nothing_is_visible_before_it_is_published(void **state)
{
    (void)state;
    struct trp_registry *r = make_registry(trp_heap(), 0);
    const struct trp_snapshot *first = trp_registry_current(r);
    assert_int_equal(trp_snapshot_epoch(first), 1);
    assert_ptr_equal(trp_registry_publish(r), first); /* no change, no new one */
    put_name(r, 1, false);
    assert_false(has(trp_registry_current(r), 1));
    assert_true(has(trp_registry_publish(r), 1));
    assert_int_equal(trp_registry_oldest_seen(r), 2);
    trp_registry_destroy(r);
}

static void changes_agree_with_a_plain_table(void **state)
{
    (void)state;
    enum { NAMES = 200, STEPS = 5000 };
    bool there[NAMES] = { false };
    struct counting c;
    counting_init(&c);
    struct trp_registry *r = make_registry(&c.alloc, 0);
    struct trp_random random = { 7 };
    uint32_t count = 0;
    for (uint32_t i = 0; i < STEPS; i++) {
        const uint32_t k = (uint32_t)(trp_random_next(&random) % NAMES);
        char text[32];
        if (trp_random_next(&random) % 3 == 0) {
            assert_false(trp_failed(trp_registry_remove(r, name_at(k, text, sizeof text), NULL)));
            count -= there[k];
            there[k] = false;
        } else {
            put_name(r, k, i & 1);
            count += !there[k];
            there[k] = true;
        }
        if (i % 50)
            continue;
        const struct trp_snapshot *s = trp_registry_publish(r);
        assert_int_equal(walk(s), count);
        assert_int_equal(trp_snapshot_count(s), count);
        for (uint32_t n = 0; n < NAMES; n++)
            assert_int_equal(has(s, n), there[n]);
    }
    trp_registry_destroy(r);
    assert_int_equal(c.live, 0);
}

static void a_change_without_memory_changes_nothing(void **state)
{
    (void)state;
    struct counting c;
    counting_init(&c);
    struct trp_registry *r = make_registry(&c.alloc, 0);
    for (uint32_t i = 0; i < 64; i++)
        put_name(r, i, false);
    (void)trp_registry_publish(r);
    for (uint32_t k = 1; k < 200; k++) { /* fail the first, the second, ... until it succeeds */
        char text[32];
        struct trp_entry e = { .name = name_at(30, text, sizeof text), .wanted = true };
        struct trp_error err = { 0 };
        const uint64_t live = c.live;
        c.fail_at = c.taken + k;
        const trp_status put = trp_registry_put(r, &e, &err);
        const bool spare = c.live > live; /* the snapshot that a later change will need */
        c.fail_at = 0;
        if (!trp_failed(put))
            break;
        assert_int_equal(put.code, TRP_OUT_OF_MEMORY);
        assert_true(c.live <= live + spare);
        assert_int_equal(walk(trp_registry_current(r)), 64);
    }
    const struct trp_snapshot *s = trp_registry_publish(r);
    char text[32];
    assert_true(trp_snapshot_find(s, name_at(30, text, sizeof text))->wanted);
    c.fail_at = c.taken + 2;
    assert_int_equal(trp_registry_remove(r, name_at(30, text, sizeof text), NULL).code,
                     TRP_OUT_OF_MEMORY);
    c.fail_at = 0;
    assert_ptr_equal(trp_registry_publish(r), s);
    trp_registry_destroy(r);
    assert_int_equal(c.live, 0);
}

static struct trp_version *make_version(int64_t number, enum trp_model_state to)
{
    const struct trp_version_opts opts = { .model = TRP_STR_LIT("m"), .number = number };
    struct trp_version *v;
    assert_false(trp_failed(trp_version_create(trp_heap(), &opts, &v, NULL)));
    static const enum trp_model_state road[] = { TRP_MODEL_LOADING, TRP_MODEL_WARMING,
                                                 TRP_MODEL_READY, TRP_MODEL_DRAINING };
    if (to == TRP_MODEL_FAILED) {
        assert_false(trp_failed(trp_lifecycle_move(&v->life, TRP_MODEL_LOADING, 1, NULL)));
        trp_version_say(v, TRP_STR_LIT("file is cut off"));
        assert_false(trp_failed(trp_lifecycle_move(&v->life, TRP_MODEL_FAILED, 1, NULL)));
        return v;
    }
    for (size_t i = 0; i < ARRAY_LEN(road) && trp_lifecycle_get(&v->life) != to; i++)
        assert_false(trp_failed(trp_lifecycle_move(&v->life, road[i], 1, NULL)));
    return v;
}

struct pick_row {
    const char *what;
    enum trp_model_state states[3]; /* of versions 1, 2, 3 */
    uint32_t versions_n;
    const char *reason;
    int64_t ask;
    int64_t want; /* version, or 0 */
    enum trp_code code;
    const char *text;
};

static void check_pick(const struct pick_row *row)
{
    print_message("%s\n", row->what);
    struct trp_registry *r = make_registry(trp_heap(), 0);
    struct trp_version *versions[3];
    for (uint32_t i = 0; i < row->versions_n; i++)
        versions[i] = make_version(i + 1, row->states[i]);
    const struct trp_entry e = { .name = TRP_STR_LIT("m"),
                                 .versions = versions,
                                 .versions_n = row->versions_n,
                                 .reason = row->reason };
    assert_false(trp_failed(trp_registry_put(r, &e, NULL)));
    for (uint32_t i = 0; i < row->versions_n; i++)
        trp_version_unref(versions[i]); /* the entry holds them now */

    struct trp_version *picked;
    struct trp_error err = { 0 };
    const trp_status st =
        trp_snapshot_pick(trp_registry_publish(r), TRP_STR_LIT("m"), row->ask, &picked, &err);
    assert_int_equal(st.code, row->code);
    if (row->want) {
        assert_int_equal(picked->target.version, row->want);
        trp_registry_destroy(r); /* the pick outlives the registry */
        r = NULL;
        trp_version_unref(picked);
    } else {
        assert_null(picked);
        assert_string_equal(err.text, row->text);
    }
    trp_registry_destroy(r);
}

#define SAYS "Request for unknown model: 'm'"
#define NOT_LOADED                                               \
    " has no available versions; to load it: troupe load m, or " \
    "POST /v2/repository/models/m/load"
static void a_pick_gives_the_highest_ready_version_or_the_words_that_clients_match(void **state)
{
    (void)state;
    static const struct pick_row rows[] = {
        { "highest", { TRP_MODEL_READY, TRP_MODEL_READY }, 2, NULL, 0, 2, TRP_OK, NULL },
        { "the asked one", { TRP_MODEL_READY, TRP_MODEL_READY }, 2, NULL, 1, 1, TRP_OK, NULL },
        { "passes over what is not ready",
          { TRP_MODEL_READY, TRP_MODEL_LOADING, TRP_MODEL_FAILED },
          3,
          NULL,
          0,
          1,
          TRP_OK,
          NULL },
        { "not loaded", { 0 }, 0, NULL, 0, 0, TRP_NOT_FOUND, SAYS NOT_LOADED },
        { "not loaded, with its signature",
          { TRP_MODEL_NEW },
          1,
          NULL,
          0,
          0,
          TRP_NOT_FOUND,
          SAYS NOT_LOADED },
        { "broken",
          { 0 },
          0,
          "no model file",
          2,
          0,
          TRP_NOT_FOUND,
          SAYS " has no available versions: no model file" },
        { "absent version",
          { TRP_MODEL_READY },
          1,
          NULL,
          9,
          0,
          TRP_NOT_FOUND,
          SAYS " version 9 is not found" },
        { "a label that it has not",
          { TRP_MODEL_READY },
          1,
          NULL,
          -1,
          0,
          TRP_NOT_FOUND,
          SAYS " has no version of this label; it has no labels" },
        { "loading",
          { TRP_MODEL_LOADING },
          1,
          NULL,
          1,
          0,
          TRP_NOT_READY,
          SAYS " version 1 is not at ready state" },
        { "warming, default",
          { TRP_MODEL_WARMING },
          1,
          NULL,
          0,
          0,
          TRP_NOT_READY,
          SAYS " version 1 is not at ready state" },
        { "draining, and this reader has not seen what comes next",
          { TRP_MODEL_DRAINING },
          1,
          NULL,
          1,
          1,
          TRP_OK,
          "" },
        { "draining, default", { TRP_MODEL_READY, TRP_MODEL_DRAINING }, 2, NULL, 0, 2, TRP_OK, "" },
        { "failed",
          { TRP_MODEL_READY, TRP_MODEL_FAILED },
          2,
          NULL,
          2,
          0,
          TRP_NOT_READY,
          SAYS " version 2 is not at ready state: file is cut off" },
        { "failed, default",
          { TRP_MODEL_FAILED },
          1,
          NULL,
          0,
          0,
          TRP_NOT_READY,
          SAYS " version 1 is not at ready state: file is cut off" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_pick(&rows[i]);
}

/* Triton knows no loads by demand and no budget: nobody matches its words there, and the name is
 * known. */
static void what_only_we_say_begins_with_what_went_wrong(void **state)
{
    (void)state;
    struct trp_error err = { 0 };
    struct trp_version *v = make_version(3, TRP_MODEL_FAILED);
    const struct trp_str m = TRP_STR_LIT("m");
    v->is_cold = true;
    assert_int_equal(trp_version_refuse(v, m, &err).code, TRP_NOT_READY);
    assert_string_equal(err.text, "model 'm' version 3 cannot be loaded: file is cut off");
    v->is_cold = false;
    v->failure = TRP_OVER_BUDGET;
    assert_int_equal(trp_version_refuse(v, m, &err).code, TRP_OVER_BUDGET);
    assert_string_equal(err.text, "model 'm' version 3 cannot be loaded: file is cut off");
    trp_version_unref(v);
    v = make_version(3, TRP_MODEL_LOADING);
    v->is_cold = true;
    assert_int_equal(trp_version_refuse(v, m, &err).code, TRP_NOT_READY);
    assert_string_equal(err.text, SAYS " version 3 is not at ready state");
    trp_version_unref(v);
}

static void an_unknown_name_is_named(void **state)
{
    (void)state;
    struct trp_registry *r = make_registry(trp_heap(), 0);
    struct trp_version *v;
    struct trp_error err = { 0 };
    assert_int_equal(trp_snapshot_pick(trp_registry_current(r), TRP_STR_LIT("x"), 0, &v, &err).code,
                     TRP_NOT_FOUND);
    assert_string_equal(err.text, "Request for unknown model: 'x' is not found");
    trp_registry_destroy(r);
}

struct some {
    char seen[256];
    uint32_t most;
};
static bool note_name(void *user, const struct trp_entry *e)
{
    struct some *s = user;
    const size_t used = strlen(s->seen);
    (void)snprintf(s->seen + used, sizeof s->seen - used, "%.*s ", (int)e->name.len, e->name.ptr);
    return --s->most > 0;
}

static void a_walk_begins_at_a_name_and_ends_when_told(void **state)
{
    (void)state;
    struct trp_registry *r = make_registry(trp_heap(), 0);
    static const char *const names[] = { "f", "b", "d", "a", "e", "c" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct trp_entry e = { .name = trp_str_of(names[i]) };
        assert_false(trp_failed(trp_registry_put(r, &e, NULL)));
    }
    const struct trp_snapshot *snapshot = trp_registry_publish(r);
    static const struct {
        const char *from;
        uint32_t most;
        const char *want;
    } rows[] = {
        { "", 9, "a b c d e f " }, { "c", 9, "c d e f " }, { "c", 2, "c d " },
        { "bb", 2, "c d " },       { "f", 9, "f " },       { "g", 9, "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct some some = { .most = rows[i].most };
        trp_snapshot_walk(snapshot, trp_str_of(rows[i].from), note_name, &some);
        assert_string_equal(some.seen, rows[i].want);
    }
    trp_registry_destroy(r);
}

static void a_put_replaces_the_entry_of_its_name(void **state)
{
    (void)state;
    struct trp_registry *r = make_registry(trp_heap(), 0);
    struct trp_entry e = { .name = TRP_STR_LIT("m"), .reason = "first" };
    assert_false(trp_failed(trp_registry_put(r, &e, NULL)));
    e.reason = NULL;
    e.wanted = true;
    assert_false(trp_failed(trp_registry_put(r, &e, NULL)));
    const struct trp_snapshot *s = trp_registry_publish(r);
    assert_int_equal(trp_snapshot_count(s), 1);
    const struct trp_entry *found = trp_snapshot_find(s, TRP_STR_LIT("m"));
    assert_true(found->wanted);
    assert_null(found->reason);
    assert_false(trp_failed(trp_registry_remove(r, TRP_STR_LIT("absent"), NULL)));
    trp_registry_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_change_among_a_hundred_thousand_copies_one_path),
        cmocka_unit_test(a_reader_keeps_its_picture_until_it_has_seen_a_newer_one),
        cmocka_unit_test(nothing_is_visible_before_it_is_published),
        cmocka_unit_test(changes_agree_with_a_plain_table),
        cmocka_unit_test(a_change_without_memory_changes_nothing),
        cmocka_unit_test(a_pick_gives_the_highest_ready_version_or_the_words_that_clients_match),
        cmocka_unit_test(what_only_we_say_begins_with_what_went_wrong),
        cmocka_unit_test(an_unknown_name_is_named),
        cmocka_unit_test(a_walk_begins_at_a_name_and_ends_when_told),
        cmocka_unit_test(a_put_replaces_the_entry_of_its_name),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}

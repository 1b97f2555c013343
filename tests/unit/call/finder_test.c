/* Whoever is asked for by name is found, described and let go of, whatever comes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "call/finder.h"
#include "unit/base/scarce.h"
#include "unit/call/counted_target.h"

static struct world {
    struct counted one;
    bool is_ready;
    const struct trp_signature *signature, *face;
} world;

static const struct trp_io x = {
    .name = { "x", 1 }, .dtype = TROUPE_FP32, .rank = 1, .dims = { -1 }
};
static const struct trp_signature takes_x = { &x, &x, 1, 1, .batch_max = 0 };

static const struct trp_signature *signature(const struct trp_target *t)
{
    (void)t;
    return world.signature;
}

static const struct trp_signature *face(const struct trp_target *t)
{
    (void)t;
    return world.face;
}

static void state(const struct trp_target *t, struct trp_target_state *out)
{
    (void)t;
    *out = (struct trp_target_state){ .ready = world.is_ready, .reason = TRP_STR_LIT("it rains") };
}

static trp_status made_of_others(const struct trp_target *t, uint32_t loop_index,
                                 struct trp_arena *arena, struct trp_signature *out,
                                 struct trp_error *err)
{
    (void)t;
    (void)arena;
    assert_int_equal(loop_index, 3);
    assert_null(out);
    return world.is_ready ? trp_ok() : trp_fail(err, TRP_NOT_READY, "one of them is not there");
}

static const struct trp_target_ops model = { .signature = signature, .face = face, .state = state };
static const struct trp_target_ops made = { .describe = made_of_others };

static trp_status find(void *user, uint32_t loop_index, const struct trp_sought *sought,
                       struct trp_target **out_target, void (**out_release)(struct trp_target *),
                       struct trp_error *err)
{
    (void)user;
    assert_int_equal(loop_index, 3);
    if (!trp_str_is_equal(sought->model, world.one.target.name))
        return trp_fail(err, TRP_NOT_FOUND, "Request for unknown model: '%.*s' is not found",
                        TRP_STR(sought->model));
    counted_retain(&world.one.target);
    *out_target = &world.one.target;
    *out_release = counted_release;
    return trp_ok();
}

static const struct trp_finder finder = { .find = find };

static bool yes(struct trp_target *t)
{
    return t == &world.one.target;
}

static void begin(const struct trp_target_ops *ops)
{
    world = (struct world){ .one = { .target = { .ops = ops, .name = TRP_STR_LIT("one") } },
                            .signature = &takes_x };
}

static void whether_it_could_answer_is_told_in_its_own_words(void **unused)
{
    (void)unused;
    static const struct {
        const struct trp_target_ops *ops;
        const char *name, *says;
        bool is_ready, is_enough;
    } rows[] = {
        { &model, "one", "", true, false },
        { &model, "one", "'one' is not ready: it rains", false, false },
        { &model, "one", "", false, true },
        { &made, "one", "", true, false },
        { &made, "one", "one of them is not there", false, false },
        { &made, "one", "", false, true },
        { &model, "two", "'two' is not found", true, true },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct trp_sought sought = { trp_str_of(rows[i].name), 0, NULL };
        const struct trp_finder_wish wish = { .is_enough = rows[i].is_enough ? yes : NULL };
        struct trp_error err = { 0 };
        begin(rows[i].ops);
        world.is_ready = rows[i].is_ready;
        const trp_status st = trp_finder_describe(&finder, 3, &sought, &wish, &err);
        assert_int_equal(st.code, rows[i].says[0] ? TRP_NOT_READY : TRP_OK);
        assert_string_equal(err.text, rows[i].says);
        assert_int_equal(world.one.refs, 0);
    }
}

static void what_it_takes_is_told_by_its_files_while_it_is_not_loaded(void **unused)
{
    (void)unused;
    const struct trp_sought sought = { TRP_STR_LIT("one"), 0, NULL };
    struct trp_signature out = { .inputs = NULL };
    struct trp_error err = { 0 };
    struct trp_arena arena;
    struct scarce memory;
    trp_arena_init(&arena, scarce_init(&memory, UINT64_MAX), 4096, 0);
    const struct trp_finder_wish wish = { .arena = &arena, .out = &out };
    begin(&model); /* and not ready: that is not asked */
    assert_int_equal(trp_finder_describe(&finder, 3, &sought, &wish, &err).code, TRP_OK);
    assert_true(trp_str_is(out.inputs[0].name, "x"));
    assert_ptr_not_equal(out.inputs, &x); /* whoever has it may go now */
    world.signature = NULL;
    out.inputs = &x;
    world.face = &takes_x;
    assert_int_equal(trp_finder_describe(&finder, 3, &sought, &wish, &err).code, TRP_OK);
    assert_true(trp_str_is(out.inputs[0].name, "x"));
    assert_ptr_not_equal(out.inputs, &x);
    world.face = NULL;
    assert_int_equal(trp_finder_describe(&finder, 3, &sought, &wish, &err).code, TRP_NOT_READY);
    assert_non_null(strstr(err.text, "what 'one' takes is not known before it is loaded"));
    world.face = &takes_x;
    trp_arena_deinit(&arena);
    trp_counter_set(&memory.left, 0);
    trp_arena_init(&arena, &memory.alloc, 4096, 0);
    assert_int_equal(trp_finder_describe(&finder, 3, &sought, &wish, &err).code, TRP_OUT_OF_MEMORY);
    trp_arena_deinit(&arena);
    assert_int_equal(world.one.refs, 0);
    assert_int_equal(trp_counter_get(&memory.out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whether_it_could_answer_is_told_in_its_own_words),
        cmocka_unit_test(what_it_takes_is_told_by_its_files_while_it_is_not_loaded),
    };
    return cmocka_run_group_tests_name("finder", tests, NULL, NULL);
}

/* What folders declare, without what is being written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalog/settled_folders.h"
#include "conf/model_schema.h"
#include "unit/base/scarce.h"

struct written {
    const char *name, *yaml; /* NULL: no definition */
};

static struct {
    struct scarce memory;
    struct trp_settled_folders *folders;
    struct trp_arena arena; /* of the last listing */
    struct trp_repo_listing shown;
    bool waits;
    int64_t now_ns;
} fx;

static int set_up(void **state)
{
    (void)state;
    memset(&fx, 0, sizeof fx);
    fx.now_ns = 1000;
    trp_arena_init(&fx.arena, trp_heap(), 4096, 0);
    assert_false(trp_failed(
        trp_settled_folders_create(scarce_init(&fx.memory, UINT64_MAX), &fx.folders, NULL)));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    trp_settled_folders_destroy(fx.folders);
    trp_arena_deinit(&fx.arena);
    assert_int_equal(trp_counter_get(&fx.memory.out), 0);
    return 0;
}

static trp_status look_after(int64_t passed_ns, bool is_patient, const struct written *all,
                             uint32_t n)
{
    struct trp_node *tree, *definition;
    trp_arena_reset(&fx.arena); /* what is shown must not be of an older listing */
    struct trp_repo_model **models =
        trp_arena_zeroed(&fx.arena, n + (size_t)1, sizeof(struct trp_repo_model *));
    assert_non_null(models);
    for (uint32_t i = 0; i < n; i++) {
        models[i] = trp_arena_zeroed(&fx.arena, 1, sizeof *models[i]);
        assert_non_null(models[i]);
        const struct trp_str name = trp_arena_dup(&fx.arena, trp_str_of(all[i].name));
        const struct trp_str place = trp_arena_format(&fx.arena, "%s/model.yaml", all[i].name);
        *models[i] = (struct trp_repo_model){ .name = name, .folder = name, .root = "/nowhere" };
        if (!all[i].yaml)
            continue;
        models[i]->definition_text = trp_arena_dup(&fx.arena, trp_str_of(all[i].yaml));
        assert_false(trp_failed(trp_model_file_parse(&fx.arena, models[i]->definition_text,
                                                     place.ptr, &tree, &definition, NULL, NULL)));
        models[i]->definition = definition;
    }
    const struct trp_repo_listing listing = { models, n };
    fx.now_ns += passed_ns;
    const struct trp_settled_folders_look look = {
        .listing = &listing, .is_patient = is_patient, .settle_ns = 100, .now_ns = fx.now_ns
    };
    return trp_settled_folders_look(fx.folders, &look, &fx.shown, &fx.waits, NULL);
}

/* Shown are these, in this order. */
static void shows(const struct written *all, uint32_t n, bool waits)
{
    assert_int_equal(fx.shown.models_n, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct trp_repo_model *m = fx.shown.models[i];
        assert_true(trp_str_is(m->name, all[i].name));
        assert_int_equal(m->definition != NULL, all[i].yaml != NULL);
        if (!all[i].yaml)
            continue;
        assert_true(trp_str_is(m->definition_text, all[i].yaml));
        assert_true(trp_str_is(trp_str_make(m->definition->first->file, m->name.len), all[i].name));
    }
    assert_int_equal(fx.waits, waits);
}

#define LOOK(passed, patient, all) \
    assert_false(trp_failed(look_after(passed, patient, all, ARRAY_LEN(all))))
#define SHOWS(all, waits) shows(all, ARRAY_LEN(all), waits)

#define A "route: [ { use: a } ]\n"
#define B "ensemble: { members: [a, b] }\n"

static const struct written first[] = { { "m", NULL }, { "p", A }, { "r", B } };

static void what_is_found_first_is_taken_as_it_is(void **state)
{
    (void)state;
    LOOK(0, false, first);
    SHOWS(first, false);
    LOOK(1, true, first);
    SHOWS(first, false);
}

static void what_changes_is_shown_as_it_was_until_it_has_stayed(void **state)
{
    static const struct written next[] = { { "m", A }, { "p", NULL }, { "q", B }, { "r", A } };
    static const struct written kept[] = { { "p", A }, { "r", B } };
    (void)state;
    LOOK(0, false, first);
    LOOK(0, true, next);
    SHOWS(kept, true); /* m is no model any more, and no composition yet */
    LOOK(99, true, next);
    SHOWS(kept, true);
    LOOK(1, true, next);
    SHOWS(next, false);
}

static void what_is_gone_is_shown_until_it_has_stayed_away(void **state)
{
    static const struct written gone[] = { { "m", NULL } };
    (void)state;
    LOOK(0, false, first);
    LOOK(0, true, gone);
    SHOWS(first, true);
    LOOK(60, true, first);
    SHOWS(first, false);
    LOOK(60, true, gone);
    SHOWS(first, true);
    LOOK(100, true, gone);
    SHOWS(gone, false);
}

static void what_was_there_for_a_moment_leaves_nothing_behind(void **state)
{
    static const struct written more[] = { { "m", NULL }, { "p", A }, { "r", B }, { "s", A } };
    (void)state;
    LOOK(0, false, first);
    LOOK(0, true, more);
    SHOWS(first, true);
    LOOK(100, true, first);
    SHOWS(first, false);
    LOOK(0, true, more); /* for the first time */
    SHOWS(first, true);
    LOOK(100, true, more);
    SHOWS(more, false);
}

static void whoever_asks_does_not_wait(void **state)
{
    static const struct written next[] = { { "p", B }, { "q", A } };
    (void)state;
    LOOK(0, false, first);
    LOOK(0, true, next);
    SHOWS(((const struct written[]){ { "p", A }, { "r", B } }), true);
    LOOK(0, false, next);
    SHOWS(next, false);
    LOOK(0, true, next);
    SHOWS(next, false);
}

static void without_memory_what_counted_before_still_does(void **state)
{
    static const struct written next[] = { { "m", A }, { "p", NULL }, { "q", B }, { "r", A } };
    static const struct written kept[] = { { "p", A }, { "r", B } };
    (void)state;
    LOOK(0, false, first);
    for (int patient = 1; patient >= 0; patient--) {
        trp_status st;
        uint64_t left = 0;
        do {
            assert_true(left < 1000);
            trp_counter_set(&fx.memory.left, left++);
            st = look_after(0, patient, next, ARRAY_LEN(next));
            trp_counter_set(&fx.memory.left, UINT64_MAX);
            if (trp_failed(st)) {
                assert_int_equal(st.code, TRP_OUT_OF_MEMORY);
                LOOK(0, true, next);
                SHOWS(kept, true);
            }
        } while (trp_failed(st));
        if (patient)
            SHOWS(kept, true);
        else
            SHOWS(next, false);
    }
}

#define WITH_FOLDERS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDERS(what_is_found_first_is_taken_as_it_is),
        WITH_FOLDERS(what_changes_is_shown_as_it_was_until_it_has_stayed),
        WITH_FOLDERS(what_is_gone_is_shown_until_it_has_stayed_away),
        WITH_FOLDERS(what_was_there_for_a_moment_leaves_nothing_behind),
        WITH_FOLDERS(whoever_asks_does_not_wait),
        WITH_FOLDERS(without_memory_what_counted_before_still_does),
    };
    return cmocka_run_group_tests_name("settled_folders", tests, NULL, NULL);
}

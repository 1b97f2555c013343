/* What a server would say of routes and compositions, told before there is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/foresight.h"
#include "base/file.h"
#include "scratch.h"
#include "unit/base/scarce.h"

#define X_TO_Y "input x FP32 [-1]\noutput y FP32 [-1]\n"
#define X_TO_Z "input x FP32 [-1]\noutput z FP32 [-1]\n"
#define FOLDERS_MAX 8

static struct {
    char root[SCRATCH_PATH_MAX];
    char paths[4 * FOLDERS_MAX][SCRATCH_PATH_MAX + 64]; /* that were made, in their order */
    uint32_t paths_n;
    struct scarce memory;
    struct trp_settings *settings;
    struct trp_foresight f;
    bool has_run;
} fx;

static const char *path_of(const char *name)
{
    char *path = fx.paths[fx.paths_n];
    for (uint32_t i = 0; i < fx.paths_n; i++)
        if (strcmp(fx.paths[i] + strlen(fx.root) + 1, name) == 0)
            return fx.paths[i];
    assert_true(fx.paths_n < ARRAY_LEN(fx.paths));
    char root[sizeof fx.root]; /* compilers do not see that the two are apart */
    memcpy(root, fx.root, sizeof root);
    (void)snprintf(path, sizeof fx.paths[0], "%s/%s", root, name);
    fx.paths_n++;
    return path;
}

static void put(const char *name, const char *text)
{
    const char *path = path_of(name);
    assert_false(trp_failed(trp_file_replace(path, text, strlen(text), NULL)));
}

static void put_in(const char *folder, const char *name, const char *text)
{
    char path[64];
    (void)mkdir(path_of(folder), 0700);
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    put(path, text);
}

static int set_up(void **state)
{
    (void)state;
    memset(&fx, 0, sizeof fx);
    (void)scarce_init(&fx.memory, UINT64_MAX);
    scratch_folder(fx.root, "foresight");
    assert_false(trp_failed(trp_settings_create(trp_heap(), &fx.settings, NULL)));
    put_in("a", "model.echo", X_TO_Y);
    put_in("b", "model.echo", X_TO_Y);
    put_in("other", "model.echo", X_TO_Z);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (fx.has_run)
        trp_foresight_deinit(&fx.f);
    trp_settings_destroy(fx.settings);
    assert_int_equal(trp_counter_get(&fx.memory.out), 0);
    while (fx.paths_n > 0)
        (void)remove(fx.paths[--fx.paths_n]);
    return rmdir(fx.root);
}

static trp_status run(struct trp_error *err)
{
    const char *const repositories[] = { fx.root };
    const struct trp_foresight_opts opts = { .settings = fx.settings,
                                             .repositories = repositories,
                                             .repositories_n = 1 };
    if (fx.has_run)
        trp_foresight_deinit(&fx.f);
    fx.has_run = true;
    return trp_foresight_run(&fx.f, &fx.memory.alloc, &opts, err);
}

/* What there is to tell, and the words of each. */
static void tells(const char *const *words, uint32_t n)
{
    struct trp_error err = { 0 };
    if (trp_failed(run(&err)))
        fail_msg("%s", err.text);
    for (uint32_t i = 0; i < fx.f.n || i < n; i++)
        if (i >= n || i >= fx.f.n || !strstr(fx.f.items[i].text, words[i]))
            fail_msg("%u: '%s' and not '%s'", i, i < fx.f.n ? fx.f.items[i].text : "nothing",
                     i < n ? words[i] : "nothing");
}

#define TELLS(...) \
    tells((const char *const[]){ __VA_ARGS__ }, ARRAY_LEN(((const char *const[]){ __VA_ARGS__ })))

static void is_doubt(uint32_t index, bool is)
{
    assert_int_equal(fx.f.items[index].is_doubt, is);
}

static void what_is_right_is_told_nothing_of(void **state)
{
    (void)state;
    tells(NULL, 0);
    put("routes.yaml", "routes: { r: [ { use: a, fallback: b } ] }\n"
                       "ensembles: { e: { members: [a, b], vote: mean } }\n"
                       "cascades: { c: { steps: [a, b], threshold: 0.5 } }\n"
                       "pipelines: { p: { steps: [ { model: r, inputs: { x: x },"
                       " outputs: { y: z } } ], outputs: [z] } }\n");
    put_in("folder", "model.yaml", "route: [ { use: e } ]\n");
    tells(NULL, 0);
}

static void a_name_that_nobody_has_is_told_with_the_nearest_one(void **state)
{
    static const char *const files[] = {
        "routes: { r: [ { use: othr } ] }\n",
        "routes: { r: [ { use: a, fallback: othr } ] }\n",
        "ensembles: { e: { members: [a, othr], vote: mean } }\n",
        "cascades: { c: { steps: [a, othr], threshold: 0.5 } }\n",
        "pipelines: { p: { steps: [ { model: othr, inputs: { x: x }, outputs: { y: z } } ],"
        " outputs: [z] } }\n",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        put("routes.yaml", files[i]);
        TELLS("there is no model, route or composition 'othr'; did you mean 'other'?");
        assert_non_null(strstr(fx.f.items[0].text, "routes.yaml:1:"));
        is_doubt(0, false);
    }
}

static void what_models_do_not_take_or_give_is_told(void **state)
{
    static const struct {
        const char *file, *words;
    } rows[] = {
        { "routes: { r: [ { when: 'inputs.q.rows > 1', use: a }, { use: b } ] }\n", "'q'" },
        { "routes: { r: [ { use: a, fallback: other } ] }\n", "cannot stand in for the other" },
        { "pipelines: { p: { steps: [ { model: a, inputs: { xx: x }, outputs: { y: z } } ],"
          " outputs: [z] } }\n",
          "'a' has no input \"xx\"" },
        { "routes: { r: [ { use: 'a@2' } ] }\n", "no such version" },
        { "routes: { a: [ { use: b } ] }\n", "the repository has a model 'a'" },
        { "routes: { r: [ { use: s } ], s: [ { use: r } ] }\n", "leads back" },
        { "lists: { l: keys.txt }\nroutes: { r: [ { when: params.u in lists.l, use: a } ] }\n",
          "keys.txt: No such file" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        put("routes.yaml", rows[i].file);
        TELLS(rows[i].words);
        is_doubt(0, false);
    }
    put("keys.txt", "ann\n");
    tells(NULL, 0);
}

static void all_folders_that_are_wrong_are_told_and_the_file(void **state)
{
    (void)state;
    put("routes.yaml", "routes: { r: [ { use: nobody } ] }\n");
    put_in("one", "model.yaml", "route: [ { use: nowho } ]\n");
    put_in("two", "model.yaml", "ensemble: { members: [a, none], vote: mean }\n");
    TELLS("'nobody'", "'nowho'", "'none'");
}

static void labels_stand_for_versions_that_are_there(void **state)
{
    (void)state;
    put_in("many", "model.yaml", "backend: echo\nlabels: { stable: 1 }\n");
    (void)mkdir(path_of("many/1"), 0700);
    put_in("many/1", "model.echo", X_TO_Y);
    put("routes.yaml", "routes: { r: [ { use: 'many@stable' } ] }\n");
    tells(NULL, 0);
    put("routes.yaml", "routes: { r: [ { use: 'many@canary' } ] }\n");
    TELLS("'many' has no such version or label");
}

static void models_that_cannot_be_loaded_are_doubts_of_who_names_them(void **state)
{
    (void)state;
    put("cut.onnx", "\x08");
    put_in("typo", "model.echo", X_TO_Y);
    put_in("typo", "model.yaml", "max_batchsize: 3\n");
    tells(NULL, 0); /* nobody names them */
    put("routes.yaml", "routes: { r: [ { use: a, fallback: typo } ] }\n"
                       "cascades: { c: { steps: [a, cut], threshold: 0.5 } }\n");
    TELLS("model 'typo' cannot be loaded: typo/model.yaml:1: unknown key",
          "model 'cut/1' cannot be loaded: ", "cascade 'c' is not ready: ");
    for (uint32_t i = 0; i < fx.f.n; i++)
        is_doubt(i, true);
}

static void a_path_of_routes_that_somebody_wrote_is_meant(void **state)
{
    struct trp_error err = { 0 };
    char path[SCRATCH_PATH_MAX + 32];
    (void)state;
    (void)snprintf(path, sizeof path, "routes.path=%s/nowhere", fx.root);
    assert_false(trp_failed(trp_settings_set(fx.settings, trp_str_of(path), "a test", &err)));
    assert_int_equal(run(&err).code, TRP_NOT_FOUND);
    assert_non_null(strstr(err.text, "nowhere"));
}

/* Without memory it says so; it never says that all is well. */
static void whatever_memory_there_is_nothing_wrong_is_passed_over(void **state)
{
    struct trp_error err = { 0 };
    uint64_t blocks = 0;
    (void)state;
    put("routes.yaml", "routes: { r: [ { use: nobody } ] }\n");
    put_in("two", "model.yaml", "ensemble: { members: [a, none], vote: mean }\n");
    for (bool is_over = false; !is_over; blocks++) {
        assert_true(blocks < 5000);
        trp_counter_set(&fx.memory.left, blocks);
        const trp_status st = run(&err);
        if (trp_failed(st)) {
            assert_int_equal(st.code, TRP_OUT_OF_MEMORY);
            continue;
        }
        assert_true(fx.f.n > 0);
        is_doubt(0, false);
        is_over = fx.f.n == 2 && strstr(fx.f.items[0].text, "'nobody'") &&
                  strstr(fx.f.items[1].text, "'none'");
    }
    trp_counter_set(&fx.memory.left, UINT64_MAX);
    assert_true(blocks > 10);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(what_is_right_is_told_nothing_of),
        WITH_FIXTURE(a_name_that_nobody_has_is_told_with_the_nearest_one),
        WITH_FIXTURE(what_models_do_not_take_or_give_is_told),
        WITH_FIXTURE(all_folders_that_are_wrong_are_told_and_the_file),
        WITH_FIXTURE(labels_stand_for_versions_that_are_there),
        WITH_FIXTURE(models_that_cannot_be_loaded_are_doubts_of_who_names_them),
        WITH_FIXTURE(a_path_of_routes_that_somebody_wrote_is_meant),
        WITH_FIXTURE(whatever_memory_there_is_nothing_wrong_is_passed_over),
    };
    return cmocka_run_group_tests_name("foresight", tests, NULL, NULL);
}

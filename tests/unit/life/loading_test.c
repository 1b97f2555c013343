/* Model files as they are found in the wild, looked into and loaded without any runtime: everything
 * that is refused must be refused before one would have opened it. */
#include "life_asking.h"

#define MODELS "tests/models/" /* tests run in the source folder */

static void use_models(struct fixture *f, const char *folder)
{
    f->opts.repo.path = folder;
}

static void every_good_model_shows_what_it_takes_without_a_runtime(void **state)
{
    struct fixture *f = *state;
    use_models(f, MODELS "good");
    f->opts.repo.load_default = TRP_LOAD_EXPLICIT;
    start(f);
    pump(f, !trp_loaders_are_busy(f->life->loaders));
    for (int i = 0; i < 50; i++)
        turn(f); /* results are published in company */
    uint32_t models = 0;
    for (const struct trp_member *m = f->life->members; m; m = m->next) {
        const struct trp_entry *e =
            trp_snapshot_find(trp_registry_current(f->life->registry), m->name);
        assert_non_null(e);
        if (e->versions_n != 1 || e->versions[0]->reason[0])
            fail_msg("%.*s: %s", TRP_STR(m->name),
                     e->versions_n ? e->versions[0]->reason : "no version");
        assert_true(e->versions[0]->signature.outputs_n > 0);
        assert_null(e->versions[0]->config.tree); /* kept when somebody asks for it */
        models++;
    }
    assert_true(models > 40);
    struct wish w = { .order = { .kind = TRP_ORDER_SURVEY,
                                 .model = TRP_STR_LIT("zipmap_int64"),
                                 .done = note_done } };
    trp_life_submit(f->life, &w.order);
    check_order(f, &w, TRP_OK, "");
    const struct trp_version *v = highest(f, "zipmap_int64");
    assert_non_null(v->config.tree);
    assert_int_equal(v->signature.outputs_n, 2);
}

static void what_a_model_may_not_name_is_refused_before_anything_opens_it(void **state)
{
    struct fixture *f = *state;
    static const struct row {
        const char *model, *words;
    } rows[] = {
        { "external_parent", "leaves the model's folder" },
        { "external_absolute", "leaves the model's folder" },
        { "external_link", "leaves the" },
        { "external_missing", "No such file" },
        { "external_short", "'weights.bin' has 100 bytes, the model's tensors end at" },
        { "truncated", "truncated.onnx" },
        { "corrupt", "corrupt.onnx" },
        { "sequence_input", "sequence" },
        { "text", "text.onnx" },
    };
    use_models(f, MODELS "bad");
    start(f);
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        const struct trp_version *v = highest(f, r->model);
        const struct trp_entry *e = entry(f, r->model);
        const char *why = v ? v->reason : e->reason;
        if (!why || !strstr(why, r->words))
            fail_msg("%s: '%s' does not say '%s'", r->model, why ? why : "", r->words);
        assert_false(is(f, r->model, "READY"));
    }
}

/* One version, loaded on this thread. */
static void load_here(struct fixture *f, const char *path, struct trp_loading *l)
{
    static const struct trp_repo_model source = { .peek.backend = { "onnxruntime", 11 } };
    const struct trp_version_opts opts = { .model = TRP_STR_LIT("m"), .number = 1 };
    *l = (struct trp_loading){ .env = &f->life->env, .source = &source };
    struct trp_error err = { 0 };
    must(trp_version_create(trp_heap(), &opts, &l->version, &err), &err);
    l->version->path = trp_str_of(path);
    trp_loading_work(l);
}

static void a_division_that_can_end_the_process_is_a_warning(void **state)
{
    struct fixture *f = *state;
    struct trp_loading l;
    create(f);
    load_here(f, MODELS "good/div_int64.onnx", &l);
    print_message("%s\n", l.loaded.warning);
    assert_non_null(strstr(l.loaded.warning, "Div"));
    trp_version_unref(l.version);
    load_here(f, MODELS "good/div_safe.onnx", &l);
    assert_string_equal(l.loaded.warning, "");
    trp_version_unref(l.version);
}

/* What a survey read is gone when it ends; once the names of the file's signature still pointed
 * there. */
static void a_survey_keeps_what_clients_see_and_nothing_of_the_file(void **state)
{
    struct fixture *f = *state;
    static const struct trp_repo_model source = { .peek.backend = { "onnxruntime", 11 } };
    const struct trp_version_opts opts = { .model = TRP_STR_LIT("m"), .number = 1 };
    create(f);
    struct trp_loading l = { .env = &f->life->env, .source = &source, .survey = true };
    must(trp_version_create(trp_heap(), &opts, &l.version, NULL), NULL);
    l.version->path = TRP_STR_LIT(MODELS "good/two_outputs.onnx");
    trp_loading_work(&l);
    must(l.loaded.error.status, &l.loaded.error);
    assert_int_equal(l.loaded.signature.outputs_n, 2);
    assert_true(l.loaded.signature.outputs[0].name.len > 0);
    assert_int_equal(l.loaded.file_signature.inputs_n + l.loaded.file_signature.outputs_n, 0);
    assert_int_equal(trp_counter_get(&l.version->activations.bytes), 0);
    assert_int_not_equal(trp_counter_get(&l.version->activations.peak), 0); /* it was in its name */
    trp_version_unref(l.version);
}

static void a_load_that_was_given_up_before_it_began_opens_nothing(void **state)
{
    struct fixture *f = *state;
    static const struct trp_repo_model source = { .peek.backend = { "echo", 4 } };
    const struct trp_version_opts opts = { .model = TRP_STR_LIT("m"), .number = 1 };
    create(f);
    struct trp_loading l = { .env = &f->life->env, .source = &source };
    must(trp_version_create(trp_heap(), &opts, &l.version, NULL), NULL);
    trp_flag_raise(&l.version->stop);
    trp_loading_work(&l);
    assert_int_equal(l.loaded.error.status.code, TRP_CANCELLED);
    assert_null(l.loaded.model);
    trp_version_unref(l.version);
}

static void external_data_beside_a_model_is_accepted(void **state)
{
    struct fixture *f = *state;
    static const char *const models[] = { "external_data", "external_subfolder" };
    use_models(f, MODELS "good");
    start(f);
    for (size_t i = 0; i < ARRAY_LEN(models);
         i++) /* gets as far as the runtime that is not there */
        assert_non_null(strstr(highest(f, models[i])->reason, "onnxruntime"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LIFE(every_good_model_shows_what_it_takes_without_a_runtime),
        WITH_LIFE(what_a_model_may_not_name_is_refused_before_anything_opens_it),
        WITH_LIFE(a_division_that_can_end_the_process_is_a_warning),
        WITH_LIFE(a_survey_keeps_what_clients_see_and_nothing_of_the_file),
        WITH_LIFE(a_load_that_was_given_up_before_it_began_opens_nothing),
        WITH_LIFE(external_data_beside_a_model_is_accepted),
    };
    return cmocka_run_group_tests_name("loading", tests, NULL, NULL);
}

/* The road of models from a folder to READY and back: orders, failures, replacement, the end. */
#include "life_asking.h"

#define ECHO "input X FP32 [-1]\n"
#define BROKEN "load_fail the weights are missing\n"

static void everything_is_loaded_at_the_start_and_what_is_broken_says_why(void **state)
{
    struct fixture *f = *state;
    put(f, "a.echo", ECHO);
    put(f, "b/3/model.echo", ECHO);
    put(f, "bad.echo", BROKEN);
    put(f, "empty/readme.txt", "x");
    create(f);
    assert_false(trp_life_is_started(f->life));
    trp_life_start(f->life);
    pump(f, trp_life_is_started(f->life));
    pump(f, is(f, "a", "READY"));
    assert_true(is(f, "b", "READY"));
    assert_true(is(f, "bad", "FAILED"));
    assert_true(is(f, "empty", "-"));
    assert_false(trp_life_is_settled(f->life)); /* two are not as they should be */
    assert_non_null(strstr(highest(f, "bad")->reason, "the weights are missing"));
    assert_non_null(strstr(entry(f, "empty")->reason, "expected empty/model.onnx"));
    assert_int_equal(metric(f, TRP_METRIC_LOADS_OK), 2);
    assert_int_equal(metric(f, TRP_METRIC_LOADS_FAILED), 1);
    assert_true(log_says(f, "loaded 'a/1' in"));
    assert_true(log_says(f, "failed to load 'bad/1'"));

    struct trp_version *v = pin(f, "b", 0);
    assert_int_equal(v->target.version, 3);
    assert_int_equal(v->signature.inputs_n, 1);
    assert_true(trp_str_is(v->config.backend, "echo"));
    assert_int_equal(trp_gauge_get(&v->residency), TRP_RESIDENCY_MAPPED);
    assert_int_equal(trp_gauge_get(&highest(f, "bad")->residency), TRP_RESIDENCY_NONE);
    trp_version_unref(v);
}

static void a_mended_model_settles_the_server(void **state)
{
    struct fixture *f = *state;
    put(f, "bad.echo", BROKEN);
    start(f);
    assert_false(trp_life_is_settled(f->life));
    put(f, "bad.echo", ECHO);
    load(f, "bad", TRP_OK, "");
    assert_true(is(f, "bad", "READY"));
    assert_true(trp_life_is_settled(f->life));
}

static void a_load_of_what_is_loaded_changes_nothing(void **state)
{
    struct fixture *f = *state;
    put(f, "a.echo", ECHO);
    start(f);
    pump(f, is(f, "a", "READY"));
    struct trp_version *before = pin(f, "a", 0);
    load(f, "a", TRP_OK, "");
    assert_ptr_equal(highest(f, "a"), before);
    assert_int_equal(metric(f, TRP_METRIC_LOADS_OK), 1);
    trp_version_unref(before);
}

static void changed_files_are_ready_before_the_old_version_leaves(void **state)
{
    struct fixture *f = *state;
    put(f, "m/1/model.echo", ECHO);
    start(f);
    pump(f, is(f, "m", "READY"));
    struct trp_version *old = pin(f, "m", 0); /* a request in flight */
    put(f, "m/1/model.echo", "load_sleep 50ms\ninput Y INT64 [2]\n");
    struct wish w = { 0 };
    submit_load(f, &w, "m");
    for (int i = 0; i < 5; i++) {
        turn(f);
        assert_true(is(f, "m", "READY")); /* at every moment */
    }
    check_order(f, &w, TRP_OK, "");
    struct trp_version *fresh = pin(f, "m", 0);
    assert_ptr_not_equal(fresh, old);
    assert_true(trp_str_is(fresh->signature.inputs[0].name, "Y"));
    assert_int_equal(trp_lifecycle_get(&old->life), TRP_MODEL_DRAINING);
    assert_true(trp_str_is(old->signature.inputs[0].name, "X")); /* whole as long as it is held */
    assert_int_equal(metric(f, TRP_METRIC_UNLOADS), 0);
    trp_version_unref(old);
    pump(f, metric(f, TRP_METRIC_UNLOADS) == 1);
    assert_true(log_says(f, "replaced 'm/1'"));
    assert_true(log_says(f, "unloaded 'm/1'"));
    trp_version_unref(fresh);
}

static void a_failed_reload_leaves_the_old_one_serving_and_says_why(void **state)
{
    struct fixture *f = *state;
    put(f, "m/1/model.echo", ECHO);
    start(f);
    pump(f, is(f, "m", "READY"));
    struct trp_version *old = highest(f, "m");
    put(f, "m/1/model.echo", BROKEN);
    load(f, "m", TRP_INVALID_ARGUMENT,
         "load failed for model 'm': version 1 is at UNAVAILABLE state: ");
    assert_ptr_equal(highest(f, "m"), old);
    assert_true(is(f, "m", "READY"));
    assert_non_null(strstr(entry(f, "m")->reason, "the weights are missing"));
    put(f, "m/config.pbtxt", "max_batch_sise: 3\n");
    load(f, "m", TRP_INVALID_ARGUMENT, "failed to load 'm', failed to poll from model repository");
    assert_ptr_equal(highest(f, "m"), old);
    assert_non_null(strstr(entry(f, "m")->reason, "max_batch_size"));
    take_away(f, "m/config.pbtxt");
    put(f, "m/1/model.echo", ECHO);
    load(f, "m", TRP_OK, "");
    assert_null(entry(f, "m")->reason);
}

static void the_versions_of_a_model_become_ready_together_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    put(f, "m/config.pbtxt", "version_policy { all { } }");
    put(f, "m/1/model.echo", ECHO);
    put(f, "m/2/model.echo", BROKEN);
    put(f, "m/3/model.echo", ECHO);
    start(f);
    const struct trp_entry *e = entry(f, "m");
    assert_int_equal(e->versions_n, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(trp_lifecycle_get(&e->versions[i]->life), TRP_MODEL_FAILED);
    assert_non_null(strstr(e->versions[0]->reason, "another version"));
    put(f, "m/2/model.echo", ECHO);
    load(f, "m", TRP_OK, "");
    for (int64_t n = 1; n <= 3; n++)
        trp_version_unref(pin(f, "m", n));

    struct trp_version *first = pin(f, "m", 1);
    put(f, "m/4/model.echo", ECHO); /* an unchanged version is not loaded again */
    load(f, "m", TRP_OK, "");
    struct trp_version *again = pin(f, "m", 1);
    assert_ptr_equal(first, again);
    assert_int_equal(entry(f, "m")->versions_n, 4);
    trp_version_unref(first);
    trp_version_unref(again);
    take_away(f, "m/2");
    load(f, "m", TRP_OK, "");
    assert_int_equal(entry(f, "m")->versions_n, 3);
    pump(f, metric(f, TRP_METRIC_UNLOADS) == 1);
}

static void an_unloaded_model_stays_in_the_index_with_its_signature(void **state)
{
    struct fixture *f = *state;
    put(f, "m.echo", ECHO);
    start(f);
    pump(f, is(f, "m", "READY"));
    unload(f, "m");
    assert_true(is(f, "m", "NEW"));
    assert_string_equal(highest(f, "m")->reason, "unloaded");
    pump(f, metric(f, TRP_METRIC_UNLOADS) == 1);
    pump(f, highest(f, "m")->signature.inputs_n == 1);
    assert_string_equal(highest(f, "m")->reason, "unloaded");
    assert_true(trp_life_is_settled(f->life)); /* as the operator wants it */

    struct trp_version *v;
    struct trp_error err = { 0 };
    assert_int_equal(
        trp_snapshot_pick(trp_registry_current(f->life->registry), TRP_STR_LIT("m"), 0, &v, &err)
            .code,
        TRP_NOT_FOUND);
    assert_string_equal(
        err.text,
        "Request for unknown model: 'm' has no available versions; to load it: troupe load "
        "m, or POST /v2/repository/models/m/load");
    rescan(f); /* what an operator unloaded is not loaded again by a look at the disk */
    assert_true(is(f, "m", "NEW"));
    load(f, "m", TRP_OK, "");
    assert_true(is(f, "m", "READY"));
}

/* What the next looks find is told, and does not hide that an operator unloaded it; a load that
 * is asked for is another matter. */
static void what_was_unloaded_stays_so_when_its_files_turn_out_wrong(void **state)
{
    struct fixture *f = *state;
    put(f, "m/1/model.echo", ECHO);
    start(f);
    pump(f, is(f, "m", "READY"));
    unload(f, "m");
    put(f, "m/model.yaml", "max_batchsize: 3\n");
    rescan(f);
    pump(f, entry(f, "m")->versions_n == 0);
    const char *const lead = "unloaded; its files are wrong: ";
    assert_non_null(entry(f, "m")->reason);
    assert_int_equal(strncmp(entry(f, "m")->reason, lead, strlen(lead)), 0);
    assert_non_null(strstr(entry(f, "m")->reason, "max_batchsize"));
    assert_true(entry(f, "m")->is_unloaded);
    load(f, "m", TRP_INVALID_ARGUMENT, "max_batchsize");
    assert_int_not_equal(strncmp(entry(f, "m")->reason, lead, strlen(lead)), 0);
    assert_false(entry(f, "m")->is_unloaded);
    unload(f, "m");
    assert_true(entry(f, "m")->is_unloaded);
    take_away(f, "m/model.yaml");
    load(f, "m", TRP_OK, "");
    assert_false(entry(f, "m")->is_unloaded);
    assert_true(is(f, "m", "READY"));
}

static void an_unload_forgets_a_failure(void **state)
{
    struct fixture *f = *state;
    put(f, "m.echo", BROKEN);
    start(f);
    assert_true(is(f, "m", "FAILED"));
    unload(f, "m");
    assert_true(is(f, "m", "NEW"));
    assert_string_equal(highest(f, "m")->reason, "unloaded");
    assert_true(trp_life_is_settled(f->life));
}

static void what_is_not_there_is_unloaded_and_cannot_be_loaded(void **state)
{
    struct fixture *f = *state;
    start(f);
    unload(f, "nobody");
    load(f, "nobody", TRP_NOT_FOUND,
         "failed to load 'nobody', failed to poll from model repository: no model 'nobody'");
    load(f, "../etc", TRP_INVALID_ARGUMENT, "no name of a model");
    load(f, "", TRP_INVALID_ARGUMENT, "empty");
    assert_null(entry(f, "nobody"));
    assert_int_equal(trp_snapshot_count(trp_registry_current(f->life->registry)), 0);
}

static void orders_for_one_model_are_done_in_the_order_of_arrival(void **state)
{
    struct fixture *f = *state;
    put(f, "m.echo", "load_sleep 20ms\n" ECHO);
    f->opts.repo.load_default = TRP_LOAD_EXPLICIT;
    start(f);
    uint32_t places = 0;
    struct wish w[5] = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(w); i++) {
        w[i].order.user = &places;
        if (i % 2)
            submit_unload(f, &w[i], "m");
        else
            submit_load(f, &w[i], "m");
    }
    for (size_t i = 0; i < ARRAY_LEN(w); i++) {
        check_order(f, &w[i], TRP_OK, "");
        assert_int_equal(w[i].place, i);
    }
    assert_true(is(f, "m", "READY"));
    assert_int_equal(metric(f, TRP_METRIC_LOADS_OK), 3);
}

static void a_slow_model_keeps_nobody_waiting(void **state)
{
    struct fixture *f = *state;
    put(f, "slow.echo", "load_sleep 30s\n" ECHO);
    put(f, "quick.echo", ECHO);
    put(f, "gone.echo", ECHO);
    create(f);
    trp_life_start(f->life);
    pump(f, is(f, "quick", "READY") && is(f, "gone", "READY"));
    assert_true(is(f, "slow", "LOADING"));
    unload(f, "gone");
    struct trp_error err = { 0 };
    struct trp_version *v;
    assert_int_equal(
        trp_snapshot_pick(trp_registry_current(f->life->registry), TRP_STR_LIT("slow"), 0, &v, &err)
            .code,
        TRP_NOT_READY);
    assert_false(trp_life_is_started(f->life));
    stop(f); /* gives the load up */
}

static void a_load_that_takes_too_long_fails_with_a_clear_reason(void **state)
{
    struct fixture *f = *state;
    put(f, "slow.echo", "load_sleep 30s\n" ECHO);
    f->opts.load_ns_max = TRP_MS(50);
    start(f);
    assert_true(is(f, "slow", "FAILED"));
    assert_string_equal(highest(f, "slow")->reason,
                        "the load did not end within 50 ms (timeouts.load)");
    load(f, "slow", TRP_DEADLINE_EXCEEDED, "did not end within 50 ms");
}

static void an_override_forces_a_load_and_a_load_without_it_reverts(void **state)
{
    struct fixture *f = *state;
    put(f, "m.echo", "input X FP32 [-1,4]\n");
    start(f);
    pump(f, is(f, "m", "READY"));
    struct wish w = { .order.config = TRP_STR_LIT("{\"max_batch_size\": \"16\"}") };
    submit_load(f, &w, "m");
    check_order(f, &w, TRP_OK, "");
    assert_int_equal(highest(f, "m")->config.batch_max, 16);
    struct trp_version *first = highest(f, "m");
    struct wish again = { .order.config = w.order.config };
    submit_load(f, &again, "m");
    check_order(f, &again, TRP_OK, "");
    assert_ptr_not_equal(highest(f, "m"), first); /* the same override loads anew, too */
    rescan(f);                                    /* its files did not change */
    assert_int_equal(highest(f, "m")->config.batch_max, 16);
    load(f, "m", TRP_OK, "");
    assert_int_equal(highest(f, "m")->config.batch_max, 0);

    struct wish bad = { .order.config = TRP_STR_LIT("{\"max_batch_sise\": 16}") };
    submit_load(f, &bad, "m");
    check_order(f, &bad, TRP_INVALID_ARGUMENT, "Invalid config override");
    assert_true(is(f, "m", "READY"));
}

static void files_sent_along_replace_the_folder_for_one_load(void **state)
{
    struct fixture *f = *state;
    (void)setenv("TMPDIR", f->base, 1);
    put(f, "m/1/model.echo", ECHO);
    start(f);
    pump(f, is(f, "m", "READY"));
    struct trp_order_file files[] = {
        { TRP_STR_LIT("7/model.echo"), TRP_STR_LIT("input Z UINT8 [3]\n") },
        { TRP_STR_LIT("labels/names.txt"), TRP_STR_LIT("cat\r\ndog\n\n") },
    };
    struct wish w = { .order = { .config = TRP_STR_LIT(
                                     "{\"output\": [{\"name\": \"OUTPUT0\", \"data_type\": "
                                     "\"TYPE_UINT8\", \"dims\": [3], \"label_filename\": "
                                     "\"labels/names.txt\"}]}"),
                                 .files = files,
                                 .files_n = ARRAY_LEN(files) } };
    submit_load(f, &w, "m");
    check_order(f, &w, TRP_OK, "");
    const struct trp_version *v = highest(f, "m");
    assert_int_equal(v->target.version, 7);
    assert_int_equal(v->signature.outputs[0].labels_n, 2);
    assert_true(trp_str_is(v->signature.outputs[0].labels[0], "cat"));
    pump(f, !trp_loaders_are_busy(f->life->loaders));
    char command[128];
    (void)snprintf(command, sizeof command, "ls -d %s/troupe-load-* >/dev/null 2>&1", f->base);
    assert_int_not_equal(system(command), 0); /* nothing is left */
    load(f, "m", TRP_OK, "");
    assert_int_equal(highest(f, "m")->target.version, 1);
    (void)unsetenv("TMPDIR");
}

static void files_that_would_lie_elsewhere_are_refused(void **state)
{
    struct fixture *f = *state;
    (void)setenv("TMPDIR", f->base, 1);
    put(f, "m.echo", ECHO);
    start(f);
    pump(f, is(f, "m", "READY"));
    char long_path[300];
    memset(long_path, 'a', sizeof long_path);
    const struct trp_str paths[] = {
        TRP_STR_LIT(""),
        TRP_STR_LIT("/etc/passwd"),
        TRP_STR_LIT("../x"),
        TRP_STR_LIT("1/../../x"),
        TRP_STR_LIT("1//x"),
        TRP_STR_LIT("./x"),
        TRP_STR_LIT("1/x/"),
        trp_str_make("1/a\0b", 5),
        trp_str_make(long_path, sizeof long_path),
    };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct trp_order_file file = { paths[i], TRP_STR_LIT("x") };
        struct wish w = { .order = { .config = TRP_STR_LIT("{}"), .files = &file, .files_n = 1 } };
        submit_load(f, &w, "m");
        check_order(f, &w, TRP_INVALID_ARGUMENT, "failed to poll from model repository");
    }
    struct trp_order_file twice[] = { { TRP_STR_LIT("1/x"), TRP_STR_LIT("x") },
                                      { TRP_STR_LIT("1/x"), TRP_STR_LIT("x") } };
    struct wish w = { .order = { .config = TRP_STR_LIT("{}"), .files = twice, .files_n = 2 } };
    submit_load(f, &w, "m");
    check_order(f, &w, TRP_ALREADY_EXISTS, "1/x");
    struct wish bare = { .order = { .files = twice, .files_n = 1 } };
    submit_load(f, &bare, "m");
    check_order(f, &bare, TRP_INVALID_ARGUMENT, "'config'");
    assert_true(is(f, "m", "READY"));
    (void)unsetenv("TMPDIR");
}

static void explicit_models_are_shown_with_inputs_and_outputs_before_they_are_loaded(void **state)
{
    struct fixture *f = *state;
    f->opts.repo.load_default = TRP_LOAD_EXPLICIT;
    put(f, "a.echo", ECHO);
    put(f, "b.echo", "input what\n");
    put(f, "c/1/model.echo", ECHO);
    put(f, "c/config.pbtxt", "");
    start(f);
    pump(f, highest(f, "a") && highest(f, "b") && highest(f, "c"));
    assert_true(is(f, "a", "NEW"));
    pump(f, highest(f, "a")->has_signature && highest(f, "c")->has_signature &&
                highest(f, "b")->reason[0]);
    assert_int_equal(highest(f, "a")->signature.inputs_n, 1);
    assert_int_equal(highest(f, "c")->signature.outputs_n, 1);
    assert_string_equal(highest(f, "a")->reason, ""); /* never loaded, and nothing wrong */
    assert_int_not_equal(highest(f, "b")->reason[0], '\0');
    assert_int_equal(metric(f, TRP_METRIC_LOADS_OK), 0);
    assert_true(trp_life_is_settled(f->life));
    load(f, "a", TRP_OK, "");
    assert_true(is(f, "a", "READY"));
}

static void a_thousand_explicit_models_are_in_the_index_with_signatures(void **state)
{
    struct fixture *f = *state;
    enum { MODELS = 1000 };
    f->opts.repo.load_default = TRP_LOAD_EXPLICIT;
    for (int i = 0; i < MODELS; i++) {
        char path[32];
        (void)snprintf(path, sizeof path, "m%03d.echo", i);
        put(f, path, ECHO);
    }
    const int64_t start_ns = trp_clock_now_ns(trp_clock_system());
    start(f);
    for (int i = 0; i < MODELS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "m%03d", i);
        pump(f, highest(f, name) && highest(f, name)->signature.inputs_n == 1);
    }
    print_message("index of 1,000 models complete after %lld ms\n",
                  (long long)(trp_clock_now_ns(trp_clock_system()) - start_ns) / 1000000);
}

static void names_to_load_at_the_start_are_loaded_and_missing_ones_named(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = { "b", "nobody" };
    f->opts.repo.load_default = TRP_LOAD_EXPLICIT;
    f->opts.load_at_start = names;
    f->opts.load_at_start_n = ARRAY_LEN(names);
    put(f, "a.echo", ECHO);
    put(f, "b.echo", ECHO);
    start(f);
    pump(f, is(f, "b", "READY"));
    assert_false(is(f, "a", "READY"));
    assert_non_null(strstr(entry(f, "nobody")->reason, "no model 'nobody'"));
    assert_false(trp_life_is_settled(f->life));
}

static bool is_an_ensemble(void *user, struct trp_str name)
{
    (void)user;
    return trp_str_is(name, "both");
}

/* Such a name waits for no model of its own. */
static void what_is_made_of_models_is_none_though_it_is_named_for_the_start(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = { "b", "both" };
    f->opts.repo.load_default = TRP_LOAD_EXPLICIT;
    f->opts.load_at_start = names;
    f->opts.load_at_start_n = ARRAY_LEN(names);
    f->opts.is_made = is_an_ensemble;
    put(f, "b.echo", ECHO);
    start(f);
    pump(f, is(f, "b", "READY") && trp_life_is_started(f->life));
    assert_null(entry(f, "both"));
    assert_true(trp_life_is_settled(f->life));
}

static void a_model_says_for_itself_whether_it_is_loaded(void **state)
{
    struct fixture *f = *state;
    put(f, "later/1/model.echo", ECHO);
    put(f, "later/model.yaml", "load: explicit\n");
    put(f, "now.echo", ECHO);
    start(f);
    pump(f, is(f, "now", "READY") && is(f, "later", "NEW"));
}

static void an_order_is_answered_when_every_reader_has_seen_its_result(void **state)
{
    struct fixture *f = *state;
    put(f, "m.echo", ECHO);
    f->opts.repo.load_default = TRP_LOAD_EXPLICIT;
    start(f);
    f->readers_sleep = true;
    struct wish w = { 0 };
    submit_load(f, &w, "m");
    pump(f, is(f, "m", "READY"));
    for (int i = 0; i < 20; i++)
        turn(f);
    assert_false(w.is_done);
    trp_life_seen(f->life, 0, f->published);
    turn(f);
    assert_false(w.is_done); /* the other reader could still say "unknown model" */
    trp_life_seen(f->life, 1, f->published);
    turn(f);
    assert_true(w.is_done);
    f->readers_sleep = false;
}

/* Who is told that the first look is over finds all that it has found. */
static void the_first_listing_is_over_when_every_reader_has_seen_it(void **state)
{
    struct fixture *f = *state;
    put(f, "m.echo", ECHO);
    put(f, "n.echo", ECHO);
    create(f);
    f->readers_sleep = true;
    trp_life_start(f->life);
    assert_false(trp_life_is_listed(f->life));
    pump(f, entry(f, "n") && trp_life_is_started(f->life));
    trp_life_seen(f->life, 0, f->published);
    turn(f);
    assert_false(trp_life_is_listed(f->life)); /* the other reader knows of nothing yet */
    acknowledge(f);
    turn(f);
    assert_true(trp_life_is_listed(f->life));
    f->readers_sleep = false;
}

static void labels_must_lie_in_the_models_folder(void **state)
{
    struct fixture *f = *state;
#define LABELS(file)                                                                             \
    "output { name: \"OUTPUT0\" data_type: TYPE_FP32 dims: [ -1 ] label_filename: \"" file "\" " \
    "}\n"
    put(f, "secret.txt", "x\n");
    put(f, "good/config.pbtxt", LABELS("labels.txt"));
    put(f, "good/labels.txt", "one\ntwo\nthree");
    put(f, "good/1/model.echo", ECHO);
    put(f, "out/config.pbtxt", LABELS("../secret.txt"));
    put(f, "out/1/model.echo", ECHO);
    put(f, "none/config.pbtxt", LABELS("labels.txt"));
    put(f, "none/1/model.echo", ECHO);
    start(f);
    pump(f, is(f, "good", "READY"));
    assert_int_equal(highest(f, "good")->signature.outputs[0].labels_n, 3);
    assert_true(trp_str_is(highest(f, "good")->signature.outputs[0].labels[2], "three"));
    assert_non_null(strstr(highest(f, "out")->reason, "leaves the model's folder"));
    assert_non_null(strstr(highest(f, "none")->reason, "labels.txt"));
}

static void a_backend_that_is_not_there_is_named(void **state)
{
    struct fixture *f = *state;
    put(f, "m/config.pbtxt", "backend: \"tensorflow\" default_model_filename: \"net.pb\"\n");
    put(f, "m/1/net.pb", "x");
    start(f);
    assert_true(is(f, "m", "FAILED"));
    assert_non_null(strstr(highest(f, "m")->reason, "tensorflow"));
}

static void the_end_waits_for_calls_in_flight_and_answers_everybody(void **state)
{
    struct fixture *f = *state;
    put(f, "a.echo", ECHO);
    put(f, "slow.echo", "load_sleep 30s\n" ECHO);
    create(f);
    trp_life_start(f->life);
    pump(f, is(f, "a", "READY") && is(f, "slow", "LOADING"));
    struct trp_version *v = pin(f, "a", 0);
    struct wish queued = { 0 }, late = { 0 };
    submit_load(f, &queued, "slow");
    trp_life_stop(f->life, note_stopped, f);
    submit_load(f, &late, "a");
    check_order(f, &late, TRP_UNAVAILABLE, "stopping");
    check_order(f, &queued, TRP_UNAVAILABLE, "stopping");
    for (int i = 0; i < 20; i++)
        turn(f);
    assert_false(f->stopped);
    trp_version_unref(v);
    pump(f, f->stopped);
    assert_int_equal(metric(f, TRP_METRIC_UNLOADS), 1);
    assert_int_equal(trp_snapshot_count(trp_registry_current(f->life->registry)), 0);
    trp_life_destroy(f->life);
    f->life = NULL;
}

static void a_life_that_never_started_ends_at_once(void **state)
{
    struct fixture *f = *state;
    create(f);
    stop(f);
}

static void a_repository_that_is_not_there_is_an_empty_one(void **state)
{
    struct fixture *f = *state;
    f->opts.repo.path = "/nonexistent/models";
    start(f);
    assert_true(log_says(f, "/nonexistent/models"));
    pump(f, trp_life_is_listed(f->life)); /* there is nothing to wait for */
    struct wish w = { .order = { .kind = TRP_ORDER_RESCAN, .done = note_done } };
    trp_life_submit(f->life, &w.order);
    check_order(f, &w, TRP_NOT_FOUND, "/nonexistent/models");
    load(f, "m", TRP_NOT_FOUND, "failed to load 'm'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LIFE(everything_is_loaded_at_the_start_and_what_is_broken_says_why),
        WITH_LIFE(a_mended_model_settles_the_server),
        WITH_LIFE(a_load_of_what_is_loaded_changes_nothing),
        WITH_LIFE(changed_files_are_ready_before_the_old_version_leaves),
        WITH_LIFE(a_failed_reload_leaves_the_old_one_serving_and_says_why),
        WITH_LIFE(the_versions_of_a_model_become_ready_together_or_not_at_all),
        WITH_LIFE(an_unloaded_model_stays_in_the_index_with_its_signature),
        WITH_LIFE(an_unload_forgets_a_failure),
        WITH_LIFE(what_was_unloaded_stays_so_when_its_files_turn_out_wrong),
        WITH_LIFE(what_is_not_there_is_unloaded_and_cannot_be_loaded),
        WITH_LIFE(orders_for_one_model_are_done_in_the_order_of_arrival),
        WITH_LIFE(a_slow_model_keeps_nobody_waiting),
        WITH_LIFE(a_load_that_takes_too_long_fails_with_a_clear_reason),
        WITH_LIFE(an_override_forces_a_load_and_a_load_without_it_reverts),
        WITH_LIFE(files_sent_along_replace_the_folder_for_one_load),
        WITH_LIFE(files_that_would_lie_elsewhere_are_refused),
        WITH_LIFE(explicit_models_are_shown_with_inputs_and_outputs_before_they_are_loaded),
        WITH_LIFE(a_thousand_explicit_models_are_in_the_index_with_signatures),
        WITH_LIFE(names_to_load_at_the_start_are_loaded_and_missing_ones_named),
        WITH_LIFE(what_is_made_of_models_is_none_though_it_is_named_for_the_start),
        WITH_LIFE(a_model_says_for_itself_whether_it_is_loaded),
        WITH_LIFE(an_order_is_answered_when_every_reader_has_seen_its_result),
        WITH_LIFE(the_first_listing_is_over_when_every_reader_has_seen_it),
        WITH_LIFE(labels_must_lie_in_the_models_folder),
        WITH_LIFE(a_backend_that_is_not_there_is_named),
        WITH_LIFE(the_end_waits_for_calls_in_flight_and_answers_everybody),
        WITH_LIFE(a_life_that_never_started_ends_at_once),
        WITH_LIFE(a_repository_that_is_not_there_is_an_empty_one),
    };
    return cmocka_run_group_tests_name("life", tests, NULL, NULL);
}

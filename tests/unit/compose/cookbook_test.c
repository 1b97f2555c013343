/* What is made of models, when one of these takes or gives something else: what goes on, and
 * what would not. */
#include "compose_fixture.h"

static const struct trp_io other_x = FAKE_ROWS("x", TROUPE_FP64, 3);
static const struct trp_io wide_x = FAKE_ROWS("x", TROUPE_FP32, 4);
static const struct trp_io free_x = FAKE_ROWS("x", TROUPE_FP32, -1);
static const struct trp_io with_k[] = {
    { .name = { "x", 1 }, .dtype = TROUPE_FP32, .rank = 2, .dims = { -1, 3 } },
    { .name = { "k", 1 }, .dtype = TROUPE_INT64, .rank = 1, .dims = { 1 } }
};
static const struct trp_io with_spare_k[] = {
    { .name = { "x", 1 }, .dtype = TROUPE_FP32, .rank = 2, .dims = { -1, 3 } },
    { .name = { "k", 1 }, .dtype = TROUPE_INT64, .rank = 1, .dims = { 1 }, .optional = true }
};
static const struct trp_io other_y = FAKE_ROWS("y", TROUPE_INT32, 3);
static const struct trp_io called_z = FAKE_ROWS("z", TROUPE_FP32, 3);

static const struct trp_signature takes_doubles = { &other_x, &fake_y, 1, 1, .batch_max = 8 };
static const struct trp_signature takes_four = { &wide_x, &fake_y, 1, 1, .batch_max = 8 };
static const struct trp_signature takes_any = { &free_x, &fake_y, 1, 1, .batch_max = 8 };
static const struct trp_signature needs_k = { with_k, &fake_y, 2, 1, .batch_max = 8 };
static const struct trp_signature may_take_k = { with_spare_k, &fake_y, 2, 1, .batch_max = 8 };
static const struct trp_signature gives_integers = { &fake_x, &other_y, 1, 1, .batch_max = 8 };
static const struct trp_signature takes_z = { &called_z, &fake_y, 1, 1, .batch_max = 8 };
static const struct trp_signature gives_z = { &fake_x, &called_z, 1, 1, .batch_max = 8 };

/* As the fixture's, but for model a; NULL: nobody knows. */
static const struct trp_signature *next_of_a, *now_of_a;

static const struct trp_signature *next_signature(void *user, struct trp_str name, int64_t version)
{
    if (trp_str_is(name, "a"))
        return next_of_a;
    return fixture_signature(user, name, version);
}

static const struct trp_signature *now_signature(void *user, struct trp_str name, int64_t version)
{
    if (trp_str_is(name, "a"))
        return now_of_a;
    return fixture_signature(user, name, version);
}

/* Routes: to a; to b, which they call by other names and give k; to the ensemble e. */
static const struct trp_route_rename fit_inputs[] = { { { "sent", 4 }, { "x", 1 } } };
static const struct trp_route_rename fit_outputs[] = { { { "got", 3 }, { "y", 1 } } };
static const struct trp_route_constant fit_constants[] = { { .name = { "k", 1 } } };
static const struct trp_route_fit fit = { fit_inputs,    fit_outputs,    .constants = fit_constants,
                                          .inputs_n = 1, .outputs_n = 1, .constants_n = 1 };
static const struct trp_route_goal way = { .model = { "a", 1 } };
static const struct trp_route_goal renamed = { .model = { "a", 1 }, .fit = &fit };
static const struct trp_route_goal ensemble = { .model = { "e", 1 } };

static const struct trp_route_goal *lead(void *user, struct trp_str name)
{
    (void)user;
    return trp_str_is(name, "way")       ? &way
           : trp_str_is(name, "renamed") ? &renamed
           : trp_str_is(name, "to_e")    ? &ensemble
                                         : NULL;
}

static bool known(void *user, struct trp_str name, int64_t version)
{
    return lead(user, name) || fixture_known(user, name, version);
}

static const struct trp_route_check now = { .known = known,
                                            .signature = now_signature,
                                            .lead = lead };
static const struct trp_route_check next = { .known = known,
                                             .signature = next_signature,
                                             .lead = lead };

/* What the composition of this name takes, once it has been checked. */
static const struct trp_signature *signature_of(const char *name)
{
    const struct trp_composition *c = trp_cookbook_find(fx.book, trp_str_of(name));
    return c ? trp_composition_signature(c) : NULL;
}

/* The name of the first that would not go on; NULL: all do.  Its reason is in fx.err. */
static const char *judge(const struct trp_signature *s)
{
    static char name[32];
    const struct trp_route_trial trial = { TRP_STR_LIT("a"), &next, &now };
    struct trp_composition *broken;
    next_of_a = s;
    fx.err = (struct trp_error){ 0 };
    if (!trp_failed(trp_cookbook_judge(fx.book, &trial, &broken, &fx.err)))
        return NULL;
    (void)snprintf(name, sizeof name, "%.*s", TRP_STR(trp_composition_target(broken)->name));
    return name;
}

static void serve(const char *yaml)
{
    struct trp_node *root;
    add_fake("a", 1);
    add_fake("b", 2);
    now_of_a = now_of_a ? now_of_a : &fake_signature;
    assert_false(trp_failed(
        trp_node_from_yaml(&fx.arena, trp_str_of(yaml), "routes.yaml", 10000, &root, &fx.err)));
    for (const struct trp_node *n = root->first; n; n = n->next)
        assert_false(trp_failed(trp_cookbook_read_section(fx.book, n, NULL, &fx.err)));
    if (trp_failed(trp_cookbook_check(fx.book, &now, &fx.err)))
        fail_msg("%s", fx.err.text);
}

static void sections_that_are_not_made_of_models_are_somebody_elses(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *want;
    } rows[] = {
        { "routes: {}\n", "routes.yaml:1: section 'routes' has nothing that is made of models" },
        { "ensemble: {}\n", "routes.yaml:1: section 'ensemble' has nothing that is made of models; "
                            "did you mean 'ensembles'?" },
        { "cascades: 7\n", "routes.yaml:1: cascades are names, each with what it is" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct trp_node *root;
        fx.err = (struct trp_error){ 0 };
        assert_false(trp_failed(trp_node_from_yaml(&fx.arena, trp_str_of(rows[i].yaml),
                                                   "routes.yaml", 10000, &root, &fx.err)));
        assert_int_equal(trp_cookbook_read_section(fx.book, root->first, NULL, &fx.err).code,
                         TRP_INVALID_ARGUMENT);
        assert_string_equal(fx.err.text, rows[i].want);
    }
    assert_int_equal(trp_cookbook_count(fx.book), 0);
}

static void says(const char *words)
{
    if (!strstr(fx.err.text, words))
        fail_msg("%s", fx.err.text);
}

static void an_ensemble_goes_on_only_with_what_it_gives_and_takes(void **state)
{
    (void)state;
    serve("ensembles: { e: { members: { a: 1, b: 1 }, vote: mean } }\n");
    assert_null(judge(&fake_signature));
    assert_null(judge(&takes_any));
    assert_null(judge(&may_take_k));
    assert_null(judge(NULL)); /* nobody knows: nobody can say */
    assert_string_equal(judge(&takes_doubles), "e");
    says("routes.yaml:1: ");
    says("FP64 [-1,3]");
    assert_string_equal(judge(&takes_four), "e");
    assert_string_equal(judge(&needs_k), "e");
    says("would need the input \"k\", and is not given it");
    assert_string_equal(judge(&takes_z), "e");
    says("uses the input \"x\" of 'a', which would have none");
    assert_string_equal(judge(&gives_z), "e");
    assert_string_equal(judge(&gives_integers), "e");
}

static void nobody_else_is_asked(void **state)
{
    (void)state;
    serve("ensembles: { e: { members: { b: 1 }, vote: mean } }\n");
    assert_null(judge(&takes_z));
}

static void who_asks_by_a_detour_is_found(void **state)
{
    (void)state;
    serve("pipelines:\n"
          "  outer: { steps: [ { model: inner, inputs: { x: x }, outputs: { y: h } }, "
          "{ model: b, inputs: { x: h }, outputs: { y: y } } ], outputs: [y] }\n"
          "  inner: { steps: [ { model: way, inputs: { x: x }, outputs: { y: y } } ], outputs: [y] "
          "}\n"
          "  aside: { steps: [ { model: b, inputs: { x: x }, outputs: { y: y } } ], outputs: [y] "
          "}\n");
    assert_null(judge(&may_take_k));
    assert_string_equal(judge(&takes_z), "inner");
    says("routes.yaml:3: ");
    assert_non_null(judge(&gives_integers));
}

static void a_route_as_a_step_takes_what_it_leads_to_does(void **state)
{
    (void)state;
    now_of_a = &needs_k;
    serve("ensembles: { e: { members: { b: 1 }, vote: mean } }\n"
          "pipelines:\n"
          "  p: { steps: [ { model: to_e, inputs: { x: x }, outputs: { y: h } }, "
          "{ model: renamed, inputs: { sent: h }, outputs: { got: z } } ], outputs: [z] }\n");
    const struct trp_signature *s = signature_of("p");
    assert_non_null(s);
    assert_int_equal(s->inputs_n, 1);
    assert_true(trp_str_is(s->inputs[0].name, "x"));
    assert_int_equal(s->inputs[0].dtype, TROUPE_FP32);
    assert_true(trp_str_is(s->outputs[0].name, "z"));
    assert_null(signature_of("to_e"));
    assert_null(judge(&needs_k));
    assert_string_equal(judge(&takes_z), "p"); /* through the route and its names */
}

static void what_does_not_work_now_cannot_be_broken(void **state)
{
    (void)state;
    serve("ensembles: { e: { members: { a: 1, b: 1 }, vote: mean } }\n");
    now_of_a = &takes_z; /* somebody has forced it */
    assert_null(judge(&needs_k));
    assert_null(judge(&fake_signature));
    now_of_a = NULL;
    assert_null(judge(&needs_k));
}

static void a_cascade_and_conditions_are_read_again(void **state)
{
    (void)state;
    serve("cascades: { c: { steps: [b, a], confidence: max, threshold: 0.9 } }\n"
          "pipelines: { p: { steps: [ { model: b, inputs: { x: x }, outputs: { y: h } }, "
          "{ model: a, when: 'inputs.h.max > 0.5', inputs: { x: h }, outputs: { y: y } } ], "
          "outputs: [y] } }\n");
    assert_null(judge(&takes_any));
    assert_string_equal(judge(&gives_z), "c");
    assert_non_null(judge(&takes_doubles));
}

/* The next reading: with what this one has of a name. */
static void read_next_with(const char *name, const char *yaml)
{
    struct trp_node *root;
    struct trp_cookbook *old = fx.book;
    struct trp_composition *kept = trp_cookbook_find(old, trp_str_of(name));
    assert_false(trp_failed(trp_cookbook_create(&fx.opts, &fx.book, &fx.err)));
    assert_false(trp_failed(
        trp_node_from_yaml(&fx.arena, trp_str_of(yaml), "routes.yaml", 10000, &root, &fx.err)));
    for (const struct trp_node *n = root->first; n; n = n->next)
        assert_false(trp_failed(trp_cookbook_read_section(fx.book, n, NULL, &fx.err)));
    if (kept)
        assert_false(
            trp_failed(trp_cookbook_adopt(fx.book, trp_composition_target(kept), &fx.err)));
    trp_cookbook_destroy(old);
}

/* Writes down for whom a check has failed; the file's own, whose names begin with f, are not
 * spared. */
static bool write_down(void *user, struct trp_str name, const struct trp_error *why)
{
    assert_true(trp_failed(why->status));
    trp_buf_addf(user, " %.*s", TRP_STR(name));
    return name.ptr[0] != 'f';
}

static void was_told(struct trp_buf *told, const char *names)
{
    const char *text = trp_buf_text(told);
    assert_non_null(text);
    assert_string_equal(text, names);
}

static void all_that_are_wrong_are_told_and_who_asks_them_is_not(void **state)
{
    struct trp_route_check sparing = now;
    struct trp_buf told;
    (void)state;
    trp_buf_init(&told, trp_heap(), 1000);
    add_fake("a", 1);
    add_fake("b", 2);
    sparing.spare = write_down;
    sparing.spare_user = &told;
    now_of_a = &fake_signature;
    read_next_with("", "ensembles:\n"
                       "  asks: { members: { gone: 1, good: 1 }, vote: mean }\n"
                       "  gone: { members: { zz: 1, b: 1 }, vote: mean }\n"
                       "  good: { members: { a: 1, b: 1 }, vote: mean }\n"
                       "  late: { members: { type: 1, b: 1 }, vote: mean }\n"
                       "  type: { members: { a: { output: zz }, b: 1 }, vote: mean }\n");
    assert_false(trp_failed(trp_cookbook_check(fx.book, &sparing, &fx.err)));
    was_told(&told, " gone type");
    assert_non_null(signature_of("good"));
    assert_null(signature_of("asks"));
    trp_buf_reset(&told);
    read_next_with("", "ensembles:\n"
                       "  asks: { members: { file: 1, b: 1 }, vote: mean }\n"
                       "  file: { members: { a: { output: zz }, b: 1 }, vote: mean }\n");
    assert_true(trp_failed(trp_cookbook_check(fx.book, &sparing, &fx.err)));
    was_told(&told, " file"); /* asks is wrong for its sake only */
    assert_non_null(strstr(fx.err.text, "zz"));
    trp_buf_deinit(&told);
}

static void one_that_goes_on_is_asked_and_judged_but_not_checked(void **state)
{
    struct trp_route_check sparing = now;
    struct trp_buf told;
    (void)state;
    trp_buf_init(&told, trp_heap(), 1000);
    sparing.spare = write_down;
    sparing.spare_user = &told;
    serve("ensembles: { e: { members: { a: 1, b: 1 }, vote: mean } }\n");
    now_of_a = &takes_z; /* it would not be taken up any more, and goes on all the same */
    read_next_with("e", "ensembles: { f: { members: { e: 1, b: 1 }, vote: mean } }\n");
    assert_false(trp_failed(trp_cookbook_check(fx.book, &sparing, &fx.err)));
    assert_int_equal(told.len, 0);
    trp_buf_deinit(&told);
    assert_non_null(signature_of("e"));
    assert_non_null(signature_of("f"));
    now_of_a = &fake_signature;
    assert_null(judge(&takes_any));
    assert_string_equal(judge(&takes_doubles), "e");
}

static void no_news(void *user, const struct trp_error *why)
{
    (void)user;
    fail_msg("%s", why->text);
}

static void none_is_gone(void *user, struct trp_composition *c, const char *doubt)
{
    (void)user;
    fail_msg("%.*s: %s", TRP_STR(trp_composition_target(c)->name), doubt);
}

static void one_that_goes_on_unchecked_becomes_ready_with_the_reading_that_serves(void **state)
{
    (void)state;
    now_of_a = NULL;
    add_fake("a", 1);
    add_fake("b", 2);
    read_next_with("", "ensembles: { e: { members: { a: 1, b: 1 }, vote: mean } }\n");
    assert_false(trp_failed(trp_cookbook_check(fx.book, &now, &fx.err)));
    assert_null(signature_of("e")); /* nobody knows what a takes */
    now_of_a = &fake_signature;
    read_next_with("e", "ensembles: { f: { members: { e: 1, b: 1 }, vote: mean } }\n");
    assert_false(trp_failed(trp_cookbook_check(fx.book, &now, &fx.err)));
    assert_null(signature_of("e")); /* it might still be refused */
    assert_null(signature_of("f"));
    const struct trp_cookbook_news news = { NULL, no_news, none_is_gone };
    trp_cookbook_look_again(fx.book, &now, &news);
    assert_non_null(signature_of("e"));
    assert_non_null(signature_of("f"));
}

static void count_news(void *user, const struct trp_error *why)
{
    assert_non_null(strstr(why->text, "routes.yaml:"));
    ++*(uint32_t *)user;
}

static void each_that_turns_out_wrong_is_told_once(void **state)
{
    uint32_t n = 0;
    const struct trp_cookbook_news news = { &n, count_news, none_is_gone };
    (void)state;
    add_fake("a", 1);
    add_fake("b", 2);
    read_next_with("", "ensembles:\n  e: { members: { a: 1, b: 1 }, vote: mean }\n"
                       "  f: { members: { b: 1, a: 1 }, vote: mean }\n");
    assert_false(trp_failed(trp_cookbook_check(fx.book, &now, &fx.err)));
    trp_cookbook_look_again(fx.book, &now, &news);
    assert_int_equal(n, 0);
    now_of_a = &takes_doubles;
    trp_cookbook_look_again(fx.book, &now, &news);
    assert_int_equal(n, 2);
    trp_cookbook_look_again(fx.book, &now, &news);
    assert_int_equal(n, 2);
}

static void keep_news(void *user, const struct trp_error *why)
{
    *(struct trp_error *)user = *why;
}

static trp_status take_section(void *user, const struct trp_node *at, struct trp_route_file *file,
                               struct trp_error *err)
{
    (void)user;
    return trp_cookbook_read_section(fx.book, at, file, err);
}

/* What is written in routes.yaml, or in the file of a folder. */
static void read_written(const char *text, bool is_folder)
{
    const struct trp_route_env env = { .clock = &fx.clock };
    const struct trp_route_file_opts opts = { .path = "routes.yaml",
                                              .text = trp_str_of(is_folder ? "" : text),
                                              .env = &env,
                                              .folder = ".",
                                              .section = take_section };
    struct trp_route_file *file;
    struct trp_node *tree;
    trp_cookbook_destroy(fx.book);
    assert_false(trp_failed(trp_cookbook_create(&fx.opts, &fx.book, &fx.err)));
    assert_false(trp_failed(trp_route_file_read(trp_heap(), &opts, &file, &fx.err)));
    if (is_folder) {
        assert_false(trp_failed(
            trp_node_from_yaml(&fx.arena, trp_str_of(text), "e/model.yaml", 1000, &tree, &fx.err)));
        const struct trp_cookbook_folder folder = { .name = TRP_STR_LIT("e"),
                                                    .tree = tree,
                                                    .text = trp_str_of(text) };
        assert_false(trp_failed(trp_cookbook_read_folder(fx.book, &folder, file, &fx.err)));
    }
    trp_route_file_unref(file);
}

/* The word, its line, and a caret: while it is not ready, in the log, and where it would be
 * broken. */
static void what_becomes_known_later_is_shown_where_it_is_written(void **state)
{
    static const struct {
        const char *text;
        bool is_folder;
        const char *says;
    } rows[] = {
        { "ensembles:\n  e: { members: { a: 1, b: 1 }, vote: mean }\n", false,
          "routes.yaml:2:25: step 'b': " },
        { "ensemble:\n  members: { a: 1, b: 1 }\n  vote: mean\n", true,
          "e/model.yaml:2:20: step 'b': " },
        { "pipeline:\n  steps:\n    - { model: b, outputs: { y: c } }\n"
          "    - { model: a, inputs: { x: c }, outputs: { y: d } }\n  outputs: { y: d }\n",
          true, "e/model.yaml:4:16: step 'a'" },
    };
    (void)state;
    add_fake("a", 1);
    add_fake("b", 2);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct trp_error why = { 0 };
        struct trp_target_state seen;
        const struct trp_cookbook_news news = { &why, keep_news, none_is_gone };
        now_of_a = NULL;
        read_written(rows[i].text, rows[i].is_folder);
        assert_false(trp_failed(trp_cookbook_check(fx.book, &now, &fx.err)));
        now_of_a = &takes_doubles;
        trp_cookbook_look_again(fx.book, &now, &news);
        struct trp_target *t = fixture_target("e");
        t->ops->state(t, &seen);
        if (strncmp(why.text, rows[i].says, strlen(rows[i].says)) != 0 || !strchr(why.text, '^'))
            fail_msg("'%s' gave '%s'", rows[i].text, why.text);
        assert_false(seen.ready);
        assert_string_equal(seen.reason.ptr, why.text);
        now_of_a = &fake_signature;
        trp_cookbook_look_again(fx.book, &now, &news);
        assert_non_null(signature_of("e"));
        assert_string_equal(judge(&takes_doubles), "e");
        assert_string_equal(fx.err.text, why.text);
    }
}

static uint32_t reads_n; /* names that checks have asked for */

static const struct trp_route_goal *count_read(void *user, struct trp_str name)
{
    (void)user;
    (void)name;
    reads_n++;
    return NULL;
}

/* So often, because models that are nobody's concern here come one after the other. */
static uint32_t reads_of(const struct trp_route_check *check, const struct trp_cookbook_news *news)
{
    reads_n = 0;
    for (int i = 0; i < 5; i++)
        trp_cookbook_look_again(fx.book, check, news);
    return reads_n;
}

static void what_could_not_be_checked_is_read_again_when_its_answers_change(void **state)
{
    uint32_t n = 0;
    const struct trp_route_check later = { .known = known,
                                           .signature = now_signature,
                                           .lead = count_read };
    const struct trp_cookbook_news news = { &n, count_news, none_is_gone };
    (void)state;
    add_fake("a", 1);
    add_fake("b", 2);
    now_of_a = NULL;
    read_next_with("", "ensembles:\n  d: { members: { e: 1, b: 1 }, vote: mean }\n"
                       "  e: { members: { b: 1, a: 1 }, vote: mean }\n"
                       "  f: { members: { b: 1 }, vote: mean }\n");
    assert_false(trp_failed(trp_cookbook_check(fx.book, &later, &fx.err)));
    (void)reads_of(&later, &news); /* as it serves, names may have other answers */
    assert_int_equal(reads_of(&later, &news), 0);
    now_of_a = &takes_doubles;
    assert_true(reads_of(&later, &news) > 0);
    assert_int_equal(n, 2); /* d, for the sake of e, and e */
    assert_int_equal(reads_of(&later, &news), 0);
    now_of_a = &takes_four;
    assert_true(reads_of(&later, &news) > 0);
    assert_int_equal(n, 2);
    assert_int_equal(reads_of(&later, &news), 0);
    assert_null(signature_of("e"));
    now_of_a = &fake_signature;
    assert_true(reads_of(&later, &news) > 0);
    assert_non_null(signature_of("d"));
    assert_non_null(signature_of("e"));
    assert_int_equal(reads_of(&later, &news), 0);
}

static const char *absent; /* a model that has left */
static uint32_t look_ups;

static bool known_but_one(void *user, struct trp_str name, int64_t version)
{
    look_ups++;
    return !trp_str_is(name, absent) && known(user, name, version);
}

static void note_gone(void *user, struct trp_composition *c, const char *doubt)
{
    char *out = user;
    const size_t len = strlen(out);
    (void)snprintf(out + len, 256 - len, "%.*s: %s\n", TRP_STR(trp_composition_target(c)->name),
                   doubt ? doubt : "-");
}

static void whoever_asks_a_name_that_is_gone_says_so_as_long_as_it_is(void **state)
{
    const struct trp_route_check later = { .known = known_but_one, .signature = now_signature };
    char told[256] = "";
    const struct trp_cookbook_news news = { told, no_news, note_gone };
    struct trp_target_state seen;
    (void)state;
    now_of_a = &fake_signature;
    add_fake("a", 1);
    add_fake("b", 2);
    read_next_with("", "ensembles:\n  e: { members: { a: 1, b: 1 }, vote: mean, quorum: 1 }\n"
                       "  f: { members: { a: 1, e: 1 }, vote: mean }\n");
    assert_false(trp_failed(trp_cookbook_check(fx.book, &now, &fx.err)));
    absent = "nobody";
    trp_cookbook_look_at_members(fx.book, &later, &news, 100);
    assert_string_equal(told, "");
    absent = "b";
    trp_cookbook_look_at_members(fx.book, &later, &news, 100);
    trp_cookbook_look_at_members(fx.book, &later, &news, 100);
    assert_string_equal(told, "e: 'b', which it asks, is not there any more\n");
    struct trp_target *e = trp_composition_target(trp_cookbook_find(fx.book, TRP_STR_LIT("e")));
    e->ops->state(e, &seen);
    if (!seen.ready)
        fail_msg("%.*s", TRP_STR(seen.reason));
    assert_string_equal(seen.reason.ptr, "'b', which it asks, is not there any more");
    absent = "nobody";
    told[0] = '\0';
    trp_cookbook_look_at_members(fx.book, &later, &news, 100);
    assert_string_equal(told, "e: -\n");
    e->ops->state(e, &seen);
    assert_int_equal(seen.reason.len, 0);
}

/* Models are loaded one after the other, and each time everybody looks again. */
static void who_is_checked_costs_no_look_up_when_others_look_again(void **state)
{
    const struct trp_route_check later = { .known = known_but_one, .signature = now_signature };
    const struct trp_cookbook_news news = { NULL, no_news, none_is_gone };
    (void)state;
    now_of_a = &fake_signature;
    absent = "nobody";
    add_fake("a", 1);
    add_fake("b", 2);
    read_next_with("", "ensembles:\n  e: { members: { a: 1, b: 1 }, vote: mean }\n");
    assert_false(trp_failed(trp_cookbook_check(fx.book, &later, &fx.err)));
    look_ups = 0;
    trp_cookbook_look_again(fx.book, &later, &news);
    assert_int_equal(look_ups, 0);
    trp_cookbook_look_at_members(fx.book, &later, &news, 100);
    assert_int_equal(look_ups, 2);
}

static void of_many_the_next_ones_are_looked_at_each_time(void **state)
{
    const struct trp_route_check later = { .known = known_but_one, .signature = now_signature };
    char told[256] = "";
    const struct trp_cookbook_news news = { told, no_news, note_gone };
    (void)state;
    now_of_a = &fake_signature;
    add_fake("a", 1);
    add_fake("b", 2);
    read_next_with("", "ensembles:\n"
                       "  e: { members: { a: 1, b: 1 }, vote: mean, quorum: 1 }\n"
                       "  f: { members: { a: 1 }, vote: mean }\n"
                       "  g: { members: { a: 1, b: 1 }, vote: mean, quorum: 1 }\n");
    assert_false(trp_failed(trp_cookbook_check(fx.book, &now, &fx.err)));
    absent = "b";
    trp_cookbook_look_at_members(fx.book, &later, &news, 1);
    assert_string_equal(told, "e: 'b', which it asks, is not there any more\n");
    trp_cookbook_look_at_members(fx.book, &later, &news, 1);
    told[0] = '\0';
    trp_cookbook_look_at_members(fx.book, &later, &news, 2); /* and the first one again */
    assert_string_equal(told, "g: 'b', which it asks, is not there any more\n");
}

static void rows_are_doubted_by_what_another_version_takes(void **state)
{
    static const struct trp_signature takes_4 = { &fake_x, &fake_y, 1, 1, .batch_max = 4 };
    static const struct trp_signature takes_16 = { &fake_x, &fake_y, 1, 1, .batch_max = 16 };
    static const char e_says[] = "routes.yaml:2: 'a' takes at most 4 rows, and 'e' says 8: a "
                                 "request of more is answered without it";
    static const char f_says[] = "routes.yaml:3: 'way' takes at most 4 rows, and 'f' says 8: a "
                                 "request of more fails where it meets it";
    static const struct {
        const struct trp_signature *a;
        bool is_doubted, is_told;
    } turns[] = {
        { &fake_signature, false, false }, { &takes_4, true, true },
        { &takes_4, true, false },         { NULL, true, false }, /* nobody knows */
        { &takes_16, false, false },       { &takes_4, true, true },
    };
    const struct trp_cookbook_news news = { NULL, no_news, none_is_gone };
    (void)state;
    now_of_a = &fake_signature;
    add_fake("a", 1);
    add_fake("b", 2);
    read_next_with("", "ensembles:\n"
                       "  e: { members: { b: 1, a: 1 }, vote: mean, quorum: 1 }\n"
                       "  f: { members: { way: 1, b: 1 }, vote: mean }\n");
    assert_false(trp_failed(trp_cookbook_check(fx.book, &now, &fx.err)));
    for (size_t i = 0; i < 2 * ARRAY_LEN(turns); i++) {
        struct trp_composition *c = trp_cookbook_at(fx.book, (uint32_t)(i % 2));
        const char *says = i % 2 == 0 ? e_says : f_says;
        struct trp_target_state seen;
        now_of_a = turns[i / 2].a;
        trp_cookbook_look_at_members(fx.book, &now, &news, 100);
        trp_composition_target(c)->ops->state(trp_composition_target(c), &seen);
        assert_true(seen.ready);
        if (!trp_str_is(seen.reason, turns[i / 2].is_doubted ? says : ""))
            fail_msg("turn %zu: %.*s", i, TRP_STR(seen.reason));
        assert_int_equal(trp_composition_take_rows(c).len > 0, turns[i / 2].is_told);
    }
}

static int set_up(void **state)
{
    now_of_a = NULL;
    return fixture_set_up(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sections_that_are_not_made_of_models_are_somebody_elses),
        TEST(an_ensemble_goes_on_only_with_what_it_gives_and_takes),
        TEST(nobody_else_is_asked),
        TEST(who_asks_by_a_detour_is_found),
        TEST(a_route_as_a_step_takes_what_it_leads_to_does),
        TEST(what_does_not_work_now_cannot_be_broken),
        TEST(a_cascade_and_conditions_are_read_again),
        TEST(all_that_are_wrong_are_told_and_who_asks_them_is_not),
        TEST(one_that_goes_on_is_asked_and_judged_but_not_checked),
        TEST(each_that_turns_out_wrong_is_told_once),
        TEST(what_becomes_known_later_is_shown_where_it_is_written),
        TEST(what_could_not_be_checked_is_read_again_when_its_answers_change),
        TEST(whoever_asks_a_name_that_is_gone_says_so_as_long_as_it_is),
        TEST(who_is_checked_costs_no_look_up_when_others_look_again),
        TEST(of_many_the_next_ones_are_looked_at_each_time),
        TEST(rows_are_doubted_by_what_another_version_takes),
        TEST(one_that_goes_on_unchecked_becomes_ready_with_the_reading_that_serves),
    };
    return cmocka_run_group_tests_name("cookbook", tests, NULL, NULL);
}

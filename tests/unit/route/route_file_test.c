/* What may be written in a file of routes, and what each mistake is told; and whether routes can
 * be followed. */
#include "routes.h"

#include "route/route_parts.h"

static int set_up(void **state)
{
    static struct routes r; /* one test at a time */
    routes_init(&r);
    (void)routes_add(&r, "a");
    (void)routes_add(&r, "b");
    (void)routes_add(&r, "popularity");
    *state = &r;
    return 0;
}

struct mistake {
    const char *text, *words;
};

static bool known(void *user, struct trp_str name, int64_t version)
{
    for (uint32_t i = 0; i < ((struct routes *)user)->models_n; i++)
        if (trp_str_is_equal(((struct routes *)user)->models[i].target.name, name))
            return version <= 3;
    return false;
}

static const struct trp_signature *signature(void *user, struct trp_str name, int64_t version)
{
    (void)version;
    for (uint32_t i = 0; i < ((struct routes *)user)->models_n; i++)
        if (trp_str_is_equal(((struct routes *)user)->models[i].target.name, name))
            return &((struct routes *)user)->models[i].signature;
    return NULL;
}

static void nearest(void *user, struct trp_str name, char hint[TRP_ROUTE_HINT_MAX])
{
    struct trp_str names[MODELS_MAX];
    struct routes *r = user;
    for (uint32_t i = 0; i < r->models_n; i++)
        names[i] = r->models[i].target.name;
    trp_route_hint(hint, name, names, r->models_n);
}

static void versions(void *user, struct trp_str name, char out[TRP_ROUTE_VERSIONS_MAX])
{
    assert_true(trp_str_is(name, "a") && ((struct routes *)user)->models_n > 0);
    (void)snprintf(out, TRP_ROUTE_VERSIONS_MAX, "1, 2, 3, stable");
}

static trp_status check(struct routes *r)
{
    const struct trp_route_check how = {
        .user = r, .known = known, .signature = signature, .nearest = nearest, .versions = versions
    };
    return trp_route_file_check(r->file, &how, &r->err);
}

static void each_mistake_is_told_with_its_place(void **state)
{
    struct routes *r = *state;
    static const struct mistake mistakes[] = {
        { "routes: 3", "routes.yaml:1:1: routes: expected names" },
        { "routes: { r: [ { name: \"a\\r\\nb\", use: a } ] }",
          "routes.yaml:1:18: name: expected a text without control characters" },
        { "routes:\n  r:\n    - when: |\n        params.n == 1 &&\n        paramz.m == 2\n      "
          "use: a\n    - "
          "use: b\n",
          "routes.yaml:5:9: no name 'paramz'" },
        { "routes: { r: [ { use: a, fallback_on: error } ] }",
          "fallback_on belongs to a rule with a fallback" },
        { "routes: { r: [ { use: a, fallback: b, fallback_on: [error, client] } ] }",
          "fallback_on: expected some of error, timeout, not_ready, overload" },
        { "rotues: {}", "unknown key 'rotues'; did you mean 'routes'?" },
        { "routes:\n  r: 7", "routes.yaml:2:3: route 'r' is" },
        { "routes: { r: [] }", "route 'r' has no rules" },
        { "routes: { r: [ a ] }", "a rule of route 'r' is" },
        { "routes: { r: [ {} ] }", "a rule needs one of 'use' and 'split'" },
        { "routes: { r: [ { use: a, split: { a: 1 } } ] }",
          "routes.yaml:1:26: a rule has either 'use' or 'split', not both" },
        { "routes: { r: { use: a } }",
          "routes.yaml:1:16: 'use' belongs to a rule, and a route is a list of rules: [ { use: "
          "TARGET } ], or '- use: TARGET'" },
        { "routes: { r: { when: 1 == 1, use: a } }", "'when' belongs to a rule" },
        { "routes: { r: [ { split: { a: 95%, b: 5% } } ] }",
          "routes.yaml:1:27: the weight of 'a' is no number from 0 to 1000000, such as 95 (without "
          "a %: weights are shares of their sum)" },
        { "routes:\n  r:\n    - use: a\n      fallbak: b\n",
          "routes.yaml:4:7: unknown key 'fallbak' of a rule; did you mean 'fallback'?\n"
          "        fallbak: b\n        ^" },
        { "routes: { r: [ { use: [] } ] }", "expected the name of a model" },
        { "routes: { r: [ { use: a@0 } ] }", "'a@0' is no target" },
        { "routes: { r: [ { use: r } ] }", "route 'r' leads to itself" },
        { "routes: { r: [ { split: {} } ] }", "split: expected 1 to 64 targets" },
        { "routes: { r: [ { split: { a: x } } ] }", "the weight of 'a' is no number" },
        { "routes: { r: [ { split: { a: 0 } } ] }", "all weights are 0" },
        { "routes: { r: [ { use: a, timeout: 0s } ] }", "timeout: expected a duration" },
        { "routes: { r: [ { use: a, timeout: 30 } ] }",
          "routes.yaml:1:35: timeout: expected a duration such as 30ms; 30 has no unit: 30ms or "
          "30s?" },
        { "routes: { r: [ { use: a, timeout: 30 ms } ] }", "30ms; without the space" },
        { "routes: { r: [ { use: a, timeout: 30msec } ] }",
          "units are ns, us, ms, s, m, h and d, not 'msec'" },
        { "routes: { r: [ { use: a, timeout: 0 } ] }", "it is longer than 0" },
        { "routes: { r: [ { use: a, timeout: -5ms } ] }", "1:35: timeout: expected a duration such "
                                                          "as 30ms; it is longer than 0" },
        { "routes: { r: [ { use: a, hedge: 20 } ] }", "20 has no unit: 20ms or 20s?" },
        { "routes: { r: [ { model: a } ] }",
          "routes.yaml:1:18: unknown key 'model' of a rule; did you mean 'use'?" },
        { "routes: { r: [ { target: a } ] }", "'target' of a rule; did you mean 'use'?" },
        { "routes: { r: [ { if: 1 == 1, use: a } ] }", "did you mean 'when'?" },
        { "routes: { r: [ { use: a, retries: 99 } ] }", "retries: expected a number from 0 to 10" },
        { "routes: { r: [ { use: a, fallback: [] } ] }", "fallback: expected a target" },
        { "routes: { r: [ { use: a, fallback: a } ] }",
          "routes.yaml:1:23: 'a' is a fallback of itself; `retries: 1` asks the same target "
          "again" },
        { "routes: { r: [ { use: a, fallback: [b, a] } ] }", "'a' is a fallback of itself" },
        { "routes: { r: [ { use: a, canary: b, fallback: [a, b, a] } ] }",
          "fallback: 'a' stands there twice" },
        { "routes: { r: [ { use: a, name: '' } ] }", "name: expected a text" },
        { "routes: { r: [ { use: a, when: 1 == 1, name: x }, { use: a, name: x } ] }",
          "a rule before this one has the name 'x'" },
        { "routes: { r: [ { use: a, when: 1 == 1, name: '2' }, { use: a } ] }",
          "a rule before this one has the name '2'" },
        { "routes: { r: [ { use: a, when: '' } ] }", "when: expected an expression" },
        { "routes: { r: [ { use: a, when: params.n + 'x' == 3 } ] }", "routes.yaml:1:43: " },
        { "routes: { r: [ { use: a, when: 1 + 2 } ] }", "routes.yaml:1:32: " },
        { "routes: { r: [ { use: a, sticky: params.u } ] }", "sticky belongs to a split" },
        { "routes: { r: [ { use: a }, { use: b } ] }",
          "no request comes here: rule 1 has no 'when'" },
        { "routes: { r: { ruls: [] } }", "unknown key 'ruls' of a route; did you mean 'rules'?" },
        { "routes: { r: { targets: 3, rules: [ { use: a } ] } }", "targets: expected names" },
        { "routes: { r: { missing: maybe, rules: [ { use: a } ] } }", "missing: expected allow" },
        { "routes: { r: { targets: { t: { modl: a } }, rules: [ { use: t } ] } }",
          "unknown key 'modl' of a target; did you mean 'model'?" },
        { "routes: { r: { targets: { t: { cast: { x: BYTES } } }, rules: [ { use: t } ] } }",
          "cast: 'x' cannot become that" },
        { "routes: { r: { targets: { t: { constants: { k: { type: INT8, value: 300 } } } }, rules: "
          "[ { "
          "use: t } ] } }",
          "value 1 of 'k' is no INT8" },
        { "routes: { r: [ { use: a, shadow: { use: b, share: 0.1 } } ] }",
          "routes.yaml:1:51: share: expected more than 0% and at most 100%, such as 10%" },
        { "routes: { r: [ { use: a, shadow: { use: b, share: 10 } } ] }", "share: expected" },
        { "routes: { r: [ { use: a, shadow: { use: b, share: 0% } } ] }", "share: expected" },
        { "routes: { r: [ { use: a, shadow: { use: b, share: 101% } } ] }", "share: expected" },
        { "routes: { r: [ { use: a, shadow: { use: b, share: nan% } } ] }", "share: expected" },
        { "routes: { r: [ { use: a, canary: [1%] } ] }", "canary: expected a target" },
        { "routes: { r: [ { split: { a: 1, b: 1 }, canary: c } ] }",
          "a canary belongs to a rule with one target" },
        { "routes: { r: { breaker: maybe, rules: [ { use: a } ] } }", "breaker: expected" },
        { "routes: { r: { budget: all, rules: [ { use: a } ] } }", "budget: expected" },
        { "time_zone: Nowhere/Town", "time_zone: " },
        { "lists: { l: x.txt }", "lists cannot be read here" },
        { "pipelines: {}", "'pipelines' cannot be served here" },
        { "routes: { a/b: [ { use: a } ] }", "'a/b' is no name for a route" },
        { "routes: [", "routes.yaml" },
    };
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        assert_true(trp_failed(routes_read(r, mistakes[i].text)));
        if (!strstr(r->err.text, mistakes[i].words))
            fail_msg("'%s' gave '%s', not '%s'", mistakes[i].text, r->err.text, mistakes[i].words);
    }
}

static void an_error_with_a_line_is_shown_where_it_is(void **state)
{
    (void)state;
    const struct trp_route_source source = { "f.yaml",
                                             TRP_STR_LIT("e:\n  vote: meen\n  k: 'x'\n") };
    static const struct mistake mistakes[] = {
        { "f.yaml:2: 'meen' is no vote",
          "f.yaml:2:9: 'meen' is no vote\n    vote: meen\n          ^" },
        { "f.yaml:3: the vote's 'k' is none",
          "f.yaml:3:3: the vote's 'k' is none\n    k: 'x'\n    ^" },
        { "f.yaml:2: it's wrong, isn't it",
          "f.yaml:2:3: it's wrong, isn't it\n    vote: meen\n    ^" },
        { "f.yaml:2:7: told already", "f.yaml:2:7: told already" },
        { "f.yaml:99: no such line", "f.yaml:99: no such line" },
        { "f.yaml:0: none", "f.yaml:0: none" },
        { "f.yaml: as a whole", "f.yaml: as a whole" },
        { "other.yaml:2: 'meen'", "other.yaml:2: 'meen'" },
    };
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        struct trp_error err = { 0 };
        (void)trp_fail(&err, TRP_NOT_FOUND, "%s", mistakes[i].text);
        trp_route_source_point(&source, &err);
        assert_string_equal(err.text, mistakes[i].words);
        assert_int_equal(err.status.code, TRP_NOT_FOUND);
    }
}

static void what_cannot_be_followed_is_told_with_its_place(void **state)
{
    struct routes *r = *state;
    struct model *b = routes_model(r, "b");
    b->input.dtype = TROUPE_INT64;
    routes_model(r, "popularity")->input.name = TRP_STR_LIT("z");
    static const struct mistake mistakes[] = {
        { "routes:\n  r:\n    - use: populrity\n",
          "routes.yaml:3:12: there is no model, route or composition 'populrity'; did you mean "
          "'popularity'?" },
        { "routes: { r: [ { when: models.bb.ready, use: b } ] }",
          "routes.yaml:1:31: there is no model, route or composition 'bb'; did you mean 'b'?" },
        { "routes: { r: [ { use: a@7 } ] }",
          "'a' has no such version or label; it has 1, 2, 3, stable" },
        { "routes: { r: [ { use: q@7 } ], q: [ { use: a } ] }", "route 'q' has no versions" },
        { "routes: { r: [ { use: q } ], q: [ { use: r } ] }", "leads back to itself by 'q'" },
        { "routes: { r1: [ { use: r2 } ], r2: [ { use: r3 } ], r3: [ { use: r4 } ], r4: [ { use: "
          "r5 } "
          "], r5: [ { use: a } ] }",
          "more than 4 routes stand behind each other" },
        { "routes: { r: [ { use: a, fallback: b } ] }",
          "'a' takes FP32 for 'x', and 'b' takes INT64: one cannot stand in for the other" },
        { "routes: { r: [ { split: { a: 1, popularity: 1 } } ] }",
          "'a' needs the input 'x', and 'popularity' does not take it" },
        { "routes: { r: { targets: { t: { model: a, inputs: { q: xx } } }, rules: [ { use: t } ] } "
          "}",
          "'a' has no input 'xx', which the route names; did you mean 'x'?" },
        { "routes: { r: { targets: { t: { model: a, outputs: { q: z } } }, rules: [ { use: t } ] } "
          "}",
          "'a' has no output 'z'" },
        { "routes: { r: { targets: { t: { model: a, cast: { x: INT8 } } }, rules: [ { use: t } ] } "
          "}",
          "'a' takes FP32 for input 'x', not INT8" },
        { "routes: { r: { targets: { t: { model: b, constants: { x: 1.5 } } }, rules: [ { use: t } "
          "] "
          "} }",
          "the constant is of FP32" },
        { "routes: { r: [ { when: has(inputs.xx), use: a } ] }",
          "no input 'xx'; did you mean 'x'?" },
        { "routes: { r: [ { when: 'inputs.x[0] == \"a\"', use: a } ] }", "routes.yaml:1:" },
    };
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        if (trp_failed(routes_read(r, mistakes[i].text)))
            fail_msg("'%s' was not read: %s", mistakes[i].text, r->err.text);
        assert_true(trp_failed(check(r)));
        if (!strstr(r->err.text, mistakes[i].words))
            fail_msg("'%s' gave '%s', not '%s'", mistakes[i].text, r->err.text, mistakes[i].words);
    }
}

/* Not where the same name stands for the first time, which may be right there. */
static void a_mistake_is_told_where_it_was_made(void **state)
{
    struct routes *r = *state;
    routes_model(r, "b")->input.dtype = TROUPE_INT64;
#define FIRST "routes:\n  r:\n    - { when: params.n == 1, use: b }\n"
#define TARGET "routes:\n  r:\n    targets:\n      t:\n        model: a\n"
    static const struct mistake mistakes[] = {
        { FIRST "    - use: a\n      fallback: b\n", "routes.yaml:5:17: 'a' takes FP32" },
        { FIRST "    - use: a\n      fallback:\n        - popularity\n        - b\n",
          "routes.yaml:7:11: 'a' takes FP32" },
        { FIRST "    - split:\n        a: 1\n        b: 1\n", "routes.yaml:6:9: 'a' takes FP32" },
        { FIRST "    - use: a\n      canary:\n        use: b\n", "routes.yaml:6:14: 'a' takes" },
        { FIRST "    - use: a\n      hedge:\n        use: b\n        after: 5ms\n",
          "routes.yaml:6:14: 'a' takes FP32" },
        { FIRST "    - use: a\n      hedge: 5ms\n      shadow: b\n",
          "routes.yaml:6:15: 'a' takes FP32" },
        { "routes:\n  r:\n    targets:\n      t: { model: nobody }\n    rules: [ { use: t } ]\n",
          "routes.yaml:4:19: there is no model, route or composition 'nobody'" },
        { TARGET "        inputs: { q: xx }\n    rules: [ { use: t } ]\n",
          "routes.yaml:6:22: 'a' has no input 'xx'" },
        { TARGET "        outputs:\n          q: yy\n    rules: [ { use: t } ]\n",
          "routes.yaml:7:14: 'a' has no output 'yy'" },
        { TARGET "        cast: { x: INT8 }\n    rules: [ { use: t } ]\n",
          "routes.yaml:6:17: 'a' takes FP32 for input 'x', not INT8" },
        { "routes:\n  r:\n    - when: params.n == 1 &&\n        models.nobody.ready\n      use: "
          "a\n    - "
          "use: b\n",
          "routes.yaml:4:16: there is no model, route or composition 'nobody'" },
        { "routes:\n  r:\n    - use: a\n      when: >-\n        params.n >\n        inputs.z[0]\n  "
          "  - use: "
          "a\n",
          "routes.yaml:6:16: no input 'z'" },
        { TARGET "        constants: { zz: 1 }\n    rules: [ { use: t } ]\n",
          "routes.yaml:6:22: 'a' has no input 'zz'" },
    };
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        routes_read_ok(r, mistakes[i].text);
        assert_true(trp_failed(check(r)));
        if (!trp_str_starts_with(trp_str_of(r->err.text), trp_str_of(mistakes[i].words)))
            fail_msg("'%s' gave '%s', not '%s'", mistakes[i].text, r->err.text, mistakes[i].words);
    }
}

/* A folder that is wrong is left out where its reader says so; the check says who is to blame. */
static trp_status leave_out(void *user, struct trp_str folder, const struct trp_error *why,
                            struct trp_error *err)
{
    (void)err;
    assert_true(trp_str_is(folder, "bad"));
    assert_non_null(strstr(why->text, "bad/model.yaml"));
    ++*(uint32_t *)user;
    return trp_ok();
}

/* Writes down for whom a check has failed, and spares those that are called so. */
static bool write_down(void *user, struct trp_str name, const struct trp_error *why)
{
    assert_true(trp_failed(why->status));
    *(struct trp_str *)user = name;
    return trp_str_starts_with(name, TRP_STR_LIT("spared"));
}

static void all_routes_are_checked_when_those_that_fail_are_spared(void **state)
{
    struct routes *r = *state;
    struct trp_str last = { NULL, 0 };
    const struct trp_route_check how = {
        .user = r, .known = known, .signature = signature, .spare = write_down, .spare_user = &last
    };
    struct trp_route_env env = { .clock = trp_clock_system() };
    struct trp_route_file_opts opts = { .path = "routes.yaml",
                                        .text = TRP_STR_LIT(
                                            "routes: { spared1: [ { use: nobody } ], r: [ { use: a "
                                            "} ], spared2: [ { use: nobody } ] }"),
                                        .env = &env,
                                        .folder = "." };
    struct trp_route_file *file;
    assert_false(trp_failed(trp_route_file_read(trp_heap(), &opts, &file, NULL)));
    assert_false(trp_failed(trp_route_file_check(file, &how, &r->err)));
    assert_true(trp_str_is(last, "spared2"));
    trp_route_file_unref(file);
    opts.text = TRP_STR_LIT("routes: { r: [ { use: nobody } ], spared: [ { use: nobody } ] }");
    assert_false(trp_failed(trp_route_file_read(trp_heap(), &opts, &file, NULL)));
    assert_int_equal(trp_route_file_check(file, &how, &r->err).code, TRP_INVALID_ARGUMENT);
    assert_true(trp_str_is(last, "r"));
    trp_route_file_unref(file);
}

/* What the target b takes, and whether anybody knows. */
static const struct trp_signature *late;
static const struct trp_io io_x = {
    .name = { "x", 1 }, .dtype = TROUPE_FP32, .rank = 1, .dims = { -1 }
};
static const struct trp_io io_z = {
    .name = { "z", 1 }, .dtype = TROUPE_FP32, .rank = 1, .dims = { -1 }
};
static const struct trp_signature takes_x = { &io_x, &io_x, 1, 1, .batch_max = 0 };
static const struct trp_signature takes_z = { &io_z, &io_x, 1, 1, .batch_max = 0 };

static const struct trp_signature *signature_of_late(void *user, struct trp_str name,
                                                     int64_t version)
{
    (void)user;
    (void)version;
    return trp_str_is(name, "b") ? late : &takes_x;
}

static void count_news(void *user, const struct trp_router *route, const char *doubt)
{
    assert_string_equal(doubt ? doubt : "", trp_route_doubt(route).ptr);
    ++*(uint32_t *)user;
}

static void what_becomes_known_later_is_checked_then(void **state)
{
    struct routes *r = *state;
    const struct trp_route_check how = { .user = r,
                                         .known = known,
                                         .signature = signature_of_late };
    struct trp_route_env env = { .clock = trp_clock_system() };
    const struct trp_route_file_opts opts = {
        .path = "routes.yaml",
        .text = TRP_STR_LIT("routes:\n"
                            "  r: [ { when: inputs.z.max > 1, use: b }, { use: a } ]\n"
                            "  f: [ { use: a, fallback: b } ]\n"
                            "  s: [ { when: inputs.x.max > 1, use: a }, { use: a } ]\n"),
        .env = &env,
        .folder = "."
    };
    struct trp_route_file *file;
    uint32_t news = 0;
    late = NULL;
    assert_false(trp_failed(trp_route_file_read(trp_heap(), &opts, &file, NULL)));
    assert_false(trp_failed(trp_route_file_check(file, &how, &r->err)));
    const struct trp_router *rules = trp_route_file_at(file, 0),
                            *fallback = trp_route_file_at(file, 1);
    trp_route_file_look_again(file, &how, count_news, &news);
    assert_int_equal(news, 0);
    late = &takes_x; /* nobody takes z */
    trp_route_file_look_again(file, &how, count_news, &news);
    assert_int_equal(news, 1);
    if (!strstr(trp_route_doubt(rules).ptr, "routes.yaml:2:23: no input 'z'"))
        fail_msg("%s", trp_route_doubt(rules).ptr);
    assert_int_equal(trp_route_doubt(fallback).len, 0);
    const char *first = trp_route_doubt(rules).ptr;
    struct trp_target_state now;
    trp_route_target(trp_route_file_at(file, 0))
        ->ops->state(trp_route_target(trp_route_file_at(file, 0)), &now);
    assert_true(now.ready);
    assert_ptr_equal(now.reason.ptr, first);
    trp_route_file_look_again(file, &how, count_news, &news);
    assert_int_equal(news, 1); /* it is told once */
    late = &takes_z;           /* but not x, as a does */
    trp_route_file_look_again(file, &how, count_news, &news);
    assert_int_equal(trp_route_doubt(rules).len, 0);
    assert_non_null(
        strstr(trp_route_doubt(fallback).ptr, "'a' needs the input 'x', and 'b' does not"));
    assert_int_equal(news, 3);
    late = &takes_x;
    trp_route_file_look_again(file, &how, count_news, &news);
    assert_ptr_equal(trp_route_doubt(rules).ptr, first); /* it may come back */
    assert_int_equal(trp_route_doubt(fallback).len, 0);
    assert_int_equal(news, 5);
    trp_route_file_unref(file);
}

/* Of a folder's file as of routes.yaml: the word, its line, and a caret. */
static void what_becomes_known_later_is_shown_where_it_is_written(void **state)
{
    struct routes *r = *state;
    static const struct {
        const char *rest, *says;
    } rows[] = {
        { "  - { when: inputs.z.max > 1, use: b }\n  - { use: a }\n",
          "f/model.yaml:2:20: no input 'z'" },
        { "  - { use: a, fallback: b }\n",
          "f/model.yaml:2:25: 'a' needs the input 'x', and 'b' does not take it: one cannot stand "
          "in "
          "for the other\n    - { use: a, fallback: b }\n                          ^" },
        { "  rules: [ { use: t } ]\n  targets:\n    t: { model: b, cast: { z: INT32 } }\n",
          "f/model.yaml:4:28: 'b' takes FP32 for input 'z', not INT32" },
        { "  rules: [ { use: t } ]\n  targets: { t: { model: b, inputs: { u: v } } }\n",
          "f/model.yaml:3:42: 'b' has no input 'v', which the route names; did you mean 'z'?\n"
          "    targets: { t: { model: b, inputs: { u: v } } }\n"
          "                                           ^" },
    };
    const struct trp_route_check how = { .user = r,
                                         .known = known,
                                         .signature = signature_of_late };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct trp_arena arena;
        struct trp_node *tree;
        struct trp_route_file *file;
        char text[300];
        uint32_t news = 0;
        trp_arena_init(&arena, trp_heap(), 4096, 0);
        (void)snprintf(text, sizeof text, "route:\n%s", rows[i].rest);
        assert_false(trp_failed(
            trp_node_from_yaml(&arena, trp_str_of(text), "f/model.yaml", 1000, &tree, NULL)));
        const struct trp_route_folder folder = { TRP_STR_LIT("f"), tree, trp_str_of(text) };
        const struct trp_route_file_opts opts = { .path = "routes.yaml",
                                                  .text = TRP_STR_LIT(""),
                                                  .folders = &folder,
                                                  .folders_n = 1,
                                                  .env = &r->env,
                                                  .folder = "." };
        late = NULL;
        if (trp_failed(trp_route_file_read(trp_heap(), &opts, &file, &r->err)))
            fail_msg("%s", r->err.text);
        trp_arena_deinit(&arena); /* it keeps what it needs */
        assert_false(trp_failed(trp_route_file_check(file, &how, &r->err)));
        late = i == 0 ? &takes_x : &takes_z;
        trp_route_file_look_again(file, &how, count_news, &news);
        const struct trp_str doubt = trp_route_doubt(trp_route_file_at(file, 0));
        assert_int_equal(news, 1);
        if (!strstr(doubt.ptr, rows[i].says) || !strstr(doubt.ptr, "^"))
            fail_msg("'%s' gave '%s'", rows[i].rest, doubt.ptr);
        trp_route_file_unref(file);
    }
}

/* Types that differ are refused; shapes are doubted, of whoever stands in and of a shadow. */
static void shapes_that_cannot_be_the_same_are_doubted(void **state)
{
    struct routes *r = *state;
    static const struct {
        const char *text, *says; /* NULL: nothing */
        int64_t in[2], out[2];   /* of b; a takes [-1,4] and gives [-1,2] */
    } rows[] = {
        { "routes: { r: [ { use: a, fallback: b } ] }", NULL, { -1, 4 }, { -1, 2 } },
        { "routes: { r: [ { use: a, fallback: b } ] }", NULL, { 1, -1 }, { 3, 2 } },
        { "routes: { r: [ { use: a, fallback: b } ] }",
          "routes.yaml:1:36: 'a' takes [-1,4] for 'x', and 'b' [-1,5]: no request fits both",
          { -1, 5 },
          { -1, 2 } },
        { "routes: { r: [ { use: a, shadow: b } ] }",
          "routes.yaml:1:34: 'a' gives [-1,2] for 'y', and 'b' [-1,3]: one does not give what the "
          "other does",
          { -1, 4 },
          { -1, 3 } },
        { "routes: { r: [ { split: { a: 1, b: 1 } } ] }", "'b' [-1,5]", { -1, 5 }, { -1, 2 } },
        { "routes: { r: [ { when: params.n == 1, use: a }, { use: b } ] }",
          NULL,
          { -1, 5 },
          { 0 } },
    };
    struct model *a = routes_model(r, "a"), *b = routes_model(r, "b");
    const struct trp_route_check how = { .user = r, .known = known, .signature = signature };
    a->input.rank = a->output.rank = b->input.rank = b->output.rank = 2;
    a->input.dims[1] = 4;
    a->output.dims[1] = 2;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint32_t news = 0;
        memcpy(b->input.dims, rows[i].in, sizeof rows[i].in);
        memcpy(b->output.dims, rows[i].out, sizeof rows[i].out);
        routes_read_ok(r, rows[i].text);
        assert_false(trp_failed(check(r)));
        trp_route_file_look_again(r->file, &how, count_news, &news);
        const struct trp_str doubt = trp_route_doubt(trp_route_file_at(r->file, 0));
        assert_int_equal(news, rows[i].says != NULL);
        if (rows[i].says ? doubt.len == 0 || !strstr(doubt.ptr, rows[i].says) : doubt.len > 0)
            fail_msg("'%s' gave '%.*s'", rows[i].text, TRP_STR(doubt));
        b->input.dims[1] = b->output.dims[1] = -1; /* another version */
        trp_route_file_look_again(r->file, &how, count_news, &news);
        assert_int_equal(trp_route_doubt(trp_route_file_at(r->file, 0)).len, 0);
        assert_int_equal(news, rows[i].says ? 2 : 0);
        memcpy(b->input.dims, rows[i].in, sizeof rows[i].in); /* and back: from good to bad */
        memcpy(b->output.dims, rows[i].out, sizeof rows[i].out);
        trp_route_file_look_again(r->file, &how, count_news, &news);
        trp_route_file_look_again(r->file, &how, count_news, &news);
        assert_int_equal(trp_route_doubt(trp_route_file_at(r->file, 0)).len > 0,
                         rows[i].says != NULL);
        assert_int_equal(news, rows[i].says ? 3 : 0); /* it is told once */
    }
    b->input.rank = 1;
    routes_read_ok(r, "routes: { r: [ { use: a, fallback: b } ] }");
    assert_false(trp_failed(check(r)));
    uint32_t news = 0;
    trp_route_file_look_again(r->file, &how, count_news, &news);
    assert_int_equal(news, 1); /* more dimensions */
    b->input.any_rank = true;
    trp_route_file_look_again(r->file, &how, count_news, &news);
    assert_int_equal(news, 2);
}

/* Models come and go for a year: each time it is something else that does not fit. */
static void doubts_that_have_no_room_are_counted_and_still_told_apart(void **state)
{
    struct routes *r = *state;
    char words[1000];
    struct trp_buf json;
    routes_read_ok(r, "routes: { r: [ { use: a } ] }");
    struct trp_router *route = trp_route_file_at(r->file, 0);
    memset(words, '-', sizeof words);
    words[sizeof words - 1] = '\0';
    for (int i = 0; i < 100; i++) {
        words[0] = (char)('0' + i % 10);
        words[1] = (char)('0' + i / 10);
        assert_true(trp_route_set_doubt(route, words));
        assert_false(trp_route_set_doubt(route, words)); /* it is told once */
        if (trp_counter_get(&route->doubts_cut) == 0)
            assert_string_equal(trp_route_doubt(route).ptr, words);
    }
    assert_in_range(trp_counter_get(&route->doubts_cut), 30, 50);
    assert_non_null(strstr(trp_route_doubt(route).ptr, "the log says why"));
    trp_buf_init(&json, trp_heap(), 1 << 20);
    trp_route_write_json(route, 0, &json);
    assert_non_null(trp_buf_text(&json));
    assert_non_null(strstr(trp_buf_text(&json), "\"doubts_cut\":3"));
    trp_buf_deinit(&json);
    assert_true(trp_route_set_doubt(route, NULL));
    assert_false(trp_route_set_doubt(route, NULL));
    assert_int_equal(trp_route_doubt(route).len, 0);
}

static void a_folder_that_is_wrong_is_left_out_and_counts_are_carried(void **state)
{
    struct routes *r = *state;
    struct trp_arena arena;
    struct trp_node *bad, *good;
    uint32_t refused_n = 0;
    struct trp_str guilty = { NULL, 0 };
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    assert_false(trp_failed(
        trp_node_from_yaml(&arena, TRP_STR_LIT("route: [ { usse: a } ]"), "f", 1000, &bad, NULL)));
    assert_false(trp_failed(trp_node_from_yaml(&arena, TRP_STR_LIT("route: [ { use: nobody } ]"),
                                               "f", 1000, &good, NULL)));
    const struct trp_route_folder folders[] = { { .name = TRP_STR_LIT("bad"), .tree = bad },
                                                { .name = TRP_STR_LIT("good"), .tree = good } };
    struct trp_route_env env = { .clock = trp_clock_system() };
    const struct trp_route_file_opts opts = { .path = "routes.yaml",
                                              .text = TRP_STR_LIT("routes: { r: [ { use: a } ] }"),
                                              .folders = folders,
                                              .folders_n = 2,
                                              .env = &env,
                                              .folder = ".",
                                              .refused = leave_out,
                                              .section_user = &refused_n };
    struct trp_route_file *before, *now;
    assert_false(trp_failed(trp_route_file_read(trp_heap(), &opts, &before, NULL)));
    assert_false(trp_failed(trp_route_file_read(trp_heap(), &opts, &now, NULL)));
    assert_int_equal(refused_n, 2);
    assert_int_equal(trp_route_file_count(now), 2);
    const struct trp_route_check how = { .user = r,
                                         .known = known,
                                         .signature = signature,
                                         .nearest = nearest,
                                         .spare = write_down,
                                         .spare_user = &guilty };
    assert_int_equal(trp_route_file_check(now, &how, &r->err).code, TRP_INVALID_ARGUMENT);
    assert_true(trp_str_is(guilty, "good"));
    struct trp_router *old = trp_route_file_at(before, 0), *fresh = trp_route_file_at(now, 0);
    trp_counter_add(&trp_route_plan_of(old)->goals[0].asked, 5);
    trp_counter_add(&trp_route_plan_of(old)->rules[0].matched, 6);
    trp_route_carry(fresh, old);
    assert_int_equal(trp_counter_get(&trp_route_plan_of(fresh)->goals[0].asked), 5);
    assert_int_equal(trp_counter_get(&trp_route_plan_of(fresh)->rules[0].matched), 6);
    trp_route_carry(trp_route_file_at(now, 1), old); /* says something else */
    assert_int_equal(
        trp_counter_get(&trp_route_plan_of(trp_route_file_at(now, 1))->rules[0].matched), 0);
    trp_route_file_unref(before);
    trp_route_file_unref(now);
    trp_arena_deinit(&arena);
}

/* Routes of an earlier file that go on: found and led through, checked by their index only, by
 * their own lists. */
static void routes_that_go_on_outlive_their_file(void **state)
{
    struct routes *r = *state;
    const struct trp_route_check how = {
        .user = r, .known = known, .signature = signature, .nearest = nearest
    };
    struct trp_route_env env = { .clock = trp_clock_system() };
    struct trp_route_file_opts opts = { .path = "routes.yaml",
                                        .text =
                                            TRP_STR_LIT("routes: { p: [ { use: nobody } ], "
                                                        "q: [ { use: p } ], s: [ { use: a } ] }"),
                                        .env = &env,
                                        .folder = "." };
    struct trp_route_file *before, *now;
    assert_false(trp_failed(trp_route_file_read(trp_heap(), &opts, &before, NULL)));
    opts.text = TRP_STR_LIT("routes: { r: [ { use: s } ], t: [ { use: q } ] }");
    assert_false(trp_failed(trp_route_file_read(trp_heap(), &opts, &now, NULL)));
    for (uint32_t i = 0; i < trp_route_file_count(before); i++)
        assert_false(trp_failed(trp_route_file_adopt(now, trp_route_file_at(before, i), &r->err)));
    trp_route_file_unref(before);
    assert_int_equal(trp_route_file_count(now), 5);
    assert_ptr_equal(trp_route_file_find(now, TRP_STR_LIT("s")), trp_route_file_at(now, 4));
    assert_ptr_equal(trp_route_file_find(now, TRP_STR_LIT("t")), trp_route_file_at(now, 1));
    assert_null(trp_route_file_find(now, TRP_STR_LIT("nobody")));
    assert_true(trp_str_is(trp_route_plan_of(trp_route_file_at(now, 2))->name, "p"));
    assert_false(trp_failed(trp_route_file_check(now, &how, &r->err))); /* nobody asks p's target */
    assert_int_equal(trp_route_file_check_one(now, 2, &how, &r->err).code, TRP_INVALID_ARGUMENT);
    assert_false(trp_failed(trp_route_file_check_one(now, 4, &how, &r->err)));
    trp_route_file_unref(now);
}

/* Whom it fails for leads back by one that goes on. */
static void nobody_leads_back_through_what_goes_on(void **state)
{
    struct routes *r = *state;
    struct trp_str guilty = { NULL, 0 };
    const struct trp_route_check how = { .user = r,
                                         .known = known,
                                         .signature = signature,
                                         .nearest = nearest,
                                         .spare = write_down,
                                         .spare_user = &guilty };
    struct trp_route_env env = { .clock = trp_clock_system() };
    struct trp_route_file_opts opts = { .path = "routes.yaml",
                                        .text = TRP_STR_LIT(
                                            "routes: { p: [ { use: q } ], q: [ { use: a } ] }"),
                                        .env = &env,
                                        .folder = "." };
    struct trp_route_file *before, *now;
    assert_false(trp_failed(trp_route_file_read(trp_heap(), &opts, &before, NULL)));
    opts.text = TRP_STR_LIT("routes: { q: [ { use: p } ] }");
    assert_false(trp_failed(trp_route_file_read(trp_heap(), &opts, &now, NULL)));
    assert_false(trp_failed(trp_route_file_adopt(now, trp_route_file_at(before, 0), &r->err)));
    assert_int_equal(trp_route_file_check(now, &how, &r->err).code, TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(r->err.text, "leads back to itself"));
    assert_true(trp_str_is(guilty, "q"));
    trp_route_file_unref(before);
    trp_route_file_unref(now);
}

static void what_can_be_followed_is_taken(void **state)
{
    struct routes *r = *state;
    routes_model(r, "b")->input.dtype = TROUPE_INT64;
    static const char *const texts[] = {
        "",
        "routes: {}",
        "routes: { r: [ { use: a@3 } ] }",
        "routes: { r: { missing: allow, rules: [ { use: nobody } ] } }",
        "routes: { r: { missing: allow, rules: [ { when: models.nobody.ready, use: a } ] } }",
        "routes:\n  r:\n    - when: models.r.ready && models['b@2'].ready\n      use: a\n",
        "routes: { r1: [ { use: r2 } ], r2: [ { use: r3 } ], r3: [ { use: r4 } ], r4: [ { use: a } "
        "] }",
        "routes: { r: { targets: { t: { model: b, cast: { x: INT64 } } }, rules: [ { use: a, "
        "fallback: "
        "t } ] } }",
        "routes: { r: [ { when: inputs.x.max > 3 && has(inputs.x), use: a }, { use: a } ] }",
        "time_zone: UTC\nroutes: { r: [ { when: time.hour == 3, use: a }, { use: popularity } ] }",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (trp_failed(routes_read(r, texts[i])) || trp_failed(check(r)))
            fail_msg("'%s' was refused: %s", texts[i], r->err.text);
    }
}

static void who_stands_in_gives_the_same_outputs_and_a_shadow_takes_the_same(void **state)
{
    struct routes *r = *state;
    routes_model(r, "b")->output.name = TRP_STR_LIT("other");
    struct model *c = routes_add(r, "c"), *d = routes_add(r, "d");
    routes_add(r, "e")->output.dtype = TROUPE_BYTES;
    c->output.dtype = TROUPE_INT64;
    d->input.name = TRP_STR_LIT("z");
    static const struct mistake mistakes[] = {
        { "routes: { r: [ { use: a, fallback: b } ] }",
          "'a' has the output 'y', and 'b' does not: one cannot stand in for the other; a pipeline "
          "of one step with fewer `outputs` can, or `constant_outputs`" },
        { "routes: { r: { targets: { t: { model: b, constant_outputs: { y: 1 } } }, rules: [ { "
          "use: "
          "a, fallback: t } ] } }",
          "'a' gives FP32 for 'y', and 't' gives INT64" },
        { "routes: { r: { targets: { t: { model: b, constant_outputs: { other: 1.5 } } }, rules: [ "
          "{ "
          "use: t } ] } }",
          "'b' gives the output 'other' itself" },
        { "routes: { r: { targets: { t: { model: a, constant_outputs: { sure: 1.5 } } }, rules: [ "
          "{ "
          "use: t, fallback: a } ] } }",
          "'t' has the output 'sure', and 'a' does not" },
        { "routes: { r: [ { use: a, fallback: c } ] }",
          "'a' gives FP32 for 'y', and 'c' gives INT64: one cannot stand in for the other; `cast` "
          "of an output can change that" },
        { "routes: { r: { targets: { t: { model: c, cast: { y: FP64 } } }, rules: [ { use: a, "
          "fallback: t } ] } }",
          "'a' gives FP32 for 'y', and 't' gives FP64" },
        { "routes: { r: { targets: { t: { model: c, cast: { yy: FP64 } } }, rules: [ { use: t } ] "
          "} }",
          "'c' has no input or output 'yy', which the route names; did you mean 'y'?" },
        { "routes: { r: { targets: { t: { model: e, cast: { y: FP32 } } }, rules: [ { use: t } ] "
          "} }",
          "'e' gives texts (BYTES) for output 'y', which cannot become FP32" },
        { "routes: { r: [ { use: a, hedge: { use: b, after: 5ms } } ] }", "'b' does not" },
        { "routes: { r: [ { use: a, canary: b } ] }", "'b' does not" },
        { "routes: { r: [ { use: a, shadow: d } ] }", "'d' does not take it" },
        { "routes: { r: [ { use: a, hedge: 5ms, shadow: d } ] }", "'d' does not take it" },
    };
    static const char *const good[] = {
        "routes: { r: [ { use: a, shadow: b } ] }",
        "routes: { r: [ { use: a, hedge: 5ms, canary: popularity, fallback: a, shadow: b } ] }",
        "routes: { r: { targets: { t: { model: b, outputs: { y: other } } }, rules: [ { use: a, "
        "fallback: t } ] } }",
        "routes: { r: { targets: { t: { model: c, cast: { y: FP32 } } }, rules: [ { use: a, "
        "fallback: t } ] } }",
        "routes: { r: { targets: { t: { model: b, constant_outputs: { y: 1.5 } } }, rules: [ { "
        "use: "
        "a, fallback: t } ] } }",
    };
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        routes_read_ok(r, mistakes[i].text);
        assert_int_equal(check(r).code, TRP_INVALID_ARGUMENT);
        if (!strstr(r->err.text, mistakes[i].words))
            fail_msg("'%s': %s", mistakes[i].text, r->err.text);
    }
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        routes_read_ok(r, good[i]);
        if (trp_failed(check(r)))
            fail_msg("'%s' was refused: %s", good[i], r->err.text);
    }
}

/* A route is what its targets are, where they are alike; where they are not, only its own rules
 * know. */
static void a_route_behind_a_route_is_checked_like_its_targets(void **state)
{
    struct routes *r = *state;
    routes_model(r, "b")->input.dtype = TROUPE_INT64;
    routes_model(r, "popularity")->input.name = TRP_STR_LIT("z");
    static const struct mistake mistakes[] = {
        { "routes: { r: [ { use: q, fallback: b } ], q: [ { use: a } ] }",
          "'q' takes FP32 for 'x', and 'b' takes INT64: one cannot stand in for the other" },
        { "routes: { r: [ { use: a, fallback: q } ], q: [ { use: s } ], s: [ { use: popularity } ] "
          "}",
          "'a' needs the input 'x', and 'q' does not take it" },
        { "routes: { r: [ { when: has(inputs.xx), use: q } ], q: [ { use: a } ] }",
          "no input 'xx'; did you mean 'x'?" },
        { "routes: { r: [ { use: a, fallback: q } ], q: { targets: { t: { model: a, inputs: { i: x "
          "} } }, rules: [ { use: t } ] } }",
          "'a' needs the input 'x', and 'q' does not take it" },
    };
    static const char *const good[] = {
        "routes: { r: [ { use: a, fallback: q } ], q: [ { when: params.n == 1, use: a }, { use: a "
        "} ] }",
        "routes: { r: [ { use: a, fallback: q } ], q: [ { when: params.n == 1, use: b }, { use: a "
        "} ] }",
        "routes: { r: [ { use: a, fallback: q } ], q: { targets: { t: { model: b, cast: { x: INT64 "
        "} } }, rules: [ { use: t } ] } }",
    };
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        routes_read_ok(r, mistakes[i].text);
        if (!trp_failed(check(r)) || !strstr(r->err.text, mistakes[i].words))
            fail_msg("'%s': %s", mistakes[i].text, r->err.text);
    }
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        routes_read_ok(r, good[i]);
        if (trp_failed(check(r)))
            fail_msg("'%s' was refused: %s", good[i], r->err.text);
    }
}

static void without_memory_nothing_is_kept(void **state)
{
    struct routes *r = *state;
    static const char text[] =
        "routes:\n  r:\n    targets: { t: { model: b, inputs: { x: x }, "
        "constants: { k: [1, 2] } } }\n"
        "    rules:\n      - { when: 'params.n in [1, 2]', split: { a: 1, t: "
        "2 }, sticky: params.n }\n"
        "      - { use: a, fallback: [ b ], timeout: 3ms }\n";
    for (uint64_t left = 0;; left++) {
        struct scarce memory;
        struct trp_route_file *file;
        const struct trp_route_file_opts opts = {
            .path = "routes.yaml", .text = trp_str_of(text), .env = &r->env, .folder = "."
        };
        (void)scarce_init(&memory, left);
        const trp_status st = trp_route_file_read(&memory.alloc, &opts, &file, &r->err);
        if (!trp_failed(st))
            trp_route_file_unref(file);
        assert_int_equal(trp_counter_get(&memory.out), 0);
        if (!trp_failed(st))
            break;
        if (st.code != TRP_OUT_OF_MEMORY)
            fail_msg("%s", r->err.text);
    }
}

/* More rows than one of them takes are refused by him and fall back nowhere: of a canary so many
 * requests in a hundred. */
static void targets_of_a_rule_that_take_unlike_numbers_of_rows_are_doubted(void **state)
{
    struct routes *r = *state;
    static const struct {
        const char *text, *says; /* NULL: nothing */
        int32_t a, b;            /* rows; 0: any number */
    } rows[] = {
        { "routes: { r: [ { use: a, canary: b, fallback: a } ] }", NULL, 64, 64 },
        { "routes: { r: [ { use: a, canary: b } ] }",
          "routes.yaml:1:34: 'b' takes at most 64 rows, and 'a' any number: a request of more is "
          "refused where it meets 'b'",
          0, 64 },
        { "routes: { r: [ { use: a, fallback: b } ] }",
          "routes.yaml:1:23: 'a' takes at most 8 rows, and 'b' 64", 8, 64 },
        { "routes: { r: [ { split: { a: 1, b: 1 } } ] }", "'a' takes at most 8 rows", 8, 0 },
        { "routes: { r: [ { use: a, hedge: { use: b, after: 1ms } } ] }", "'b' takes at most 8", 0,
          8 },
        { "routes: { r: [ { use: a, shadow: b } ] }", NULL, 64, 8 }, /* nobody gets its answer */
        { "routes: { r: [ { when: params.n == 1, use: a }, { use: b } ] }", NULL, 64, 8 },
        { "routes: { s: [ { when: params.n == 1, use: a }, { use: b } ], r: [ { use: s, fallback: "
          "a "
          "} ] }",
          "'s' takes at most 8 rows, and 'a' 64", 64, 8 },
        { "routes: { s: [ { use: a, shadow: b } ], r: [ { use: s, fallback: a } ] }", NULL, 64, 8 },
    };
    const struct trp_route_check how = { .user = r, .known = known, .signature = signature };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint32_t news = 0;
        routes_model(r, "a")->signature.batch_max = rows[i].a;
        routes_model(r, "b")->signature.batch_max = rows[i].b;
        routes_read_ok(r, rows[i].text);
        assert_false(trp_failed(check(r)));
        trp_route_file_look_again(r->file, &how, count_news, &news);
        const struct trp_str doubt = trp_route_doubt(routes_route(r, TRP_STR_LIT("r")));
        assert_int_equal(news, rows[i].says != NULL);
        if (rows[i].says ? doubt.len == 0 || !strstr(doubt.ptr, rows[i].says) : doubt.len > 0)
            fail_msg("'%s' gave '%.*s'", rows[i].text, TRP_STR(doubt));
        routes_model(r, "a")->signature.batch_max = rows[i].b; /* another version */
        trp_route_file_look_again(r->file, &how, count_news, &news);
        assert_int_equal(trp_route_doubt(routes_route(r, TRP_STR_LIT("r"))).len, 0);
    }
}

/* Clients are shown one rule's outputs, and may ask for any of them by name. */
static void rules_that_give_other_outputs_are_doubted(void **state)
{
    struct routes *r = *state;
    static const struct trp_io two[] = {
        { .name = { "y", 1 }, .dtype = TROUPE_FP32, .rank = 1, .dims = { -1 } },
        { .name = { "label", 5 }, .dtype = TROUPE_INT64, .rank = 1, .dims = { -1 } }
    };
    static const struct {
        const char *text, *says; /* NULL: nothing */
    } rows[] = {
        { "routes: { r: [ { when: params.n == 1, use: b }, { use: popularity } ] }", NULL },
        { "routes: { r: [ { when: params.n == 1, use: a }, { use: b } ] }",
          "routes.yaml:1:44: 'a' gives 'label', and 'b' of another rule does not: clients are told "
          "of what the last rule gives" },
        { "routes: { r: [ { when: params.n == 1, use: b }, { use: a } ] }",
          "routes.yaml:1:44: 'a' gives 'label', and 'b' of another rule does not" },
        { "routes: { r: [ { use: b, fallback: a } ] }", NULL }, /* what is more hurts nobody */
        { "routes: { r: { targets: { t: { model: b, outputs: { z: y } } }, rules: [ { when: "
          "params.n == 1, use: t }, { use: b } ] } }",
          "'b' gives 'y', and 't' of another rule does not" },
        { "routes: { r: [ { when: params.n == 1, use: ints }, { use: b } ] }",
          "'b' gives FP32 for 'y', and 'ints' of another rule INT64" },
    };
    const struct trp_route_check how = { .user = r, .known = known, .signature = signature };
    struct model *a = routes_model(r, "a");
    a->signature.outputs = two;
    a->signature.outputs_n = ARRAY_LEN(two);
    routes_add(r, "ints")->output.dtype = TROUPE_INT64;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint32_t news = 0;
        routes_read_ok(r, rows[i].text);
        assert_false(trp_failed(check(r)));
        trp_route_file_look_again(r->file, &how, count_news, &news);
        const struct trp_str doubt = trp_route_doubt(trp_route_file_at(r->file, 0));
        if (rows[i].says ? doubt.len == 0 || !strstr(doubt.ptr, rows[i].says) : doubt.len > 0)
            fail_msg("'%s' gave '%.*s'", rows[i].text, TRP_STR(doubt));
    }
}

/* Of what both give, so that it can be taken as it stands. */
static void who_lacks_an_output_is_told_what_to_write(void **state)
{
    struct routes *r = *state;
    struct trp_io three[] = {
        { .name = TRP_STR_LIT("y"), .dtype = TROUPE_FP32, .rank = 1, .dims = { -1 } },
        { .name = TRP_STR_LIT("label"), .dtype = TROUPE_INT64, .rank = 1, .dims = { -1 } },
        { .name = TRP_STR_LIT("z"), .dtype = TROUPE_FP32, .rank = 1, .dims = { -1 } }
    };
    struct trp_io two[] = { three[0], three[2] };
    struct model *a = routes_model(r, "a"), *b = routes_model(r, "b");
    a->signature.outputs = three;
    a->signature.outputs_n = ARRAY_LEN(three);
    b->signature.outputs = two;
    b->signature.outputs_n = ARRAY_LEN(two);
    routes_read_ok(r, "routes: { r: [ { use: a, canary: b } ] }");
    assert_true(trp_failed(check(r)));
    if (!strstr(
            r->err.text,
            "`constant_outputs`: pipelines: { NAME: { steps: [ { model: a } ], outputs: [ y, z ] "
            "} }\n"))
        fail_msg("%s", r->err.text);
    two[0].name = two[1].name = TRP_STR_LIT("q"); /* nothing */
    assert_true(trp_failed(check(r)));
    assert_non_null(strstr(r->err.text, "or `constant_outputs`\n"));
    char name[80]; /* more than a message has room for */
    memset(name, 'n', sizeof name);
    two[0].name = three[0].name = trp_str_make(name, sizeof name);
    assert_true(trp_failed(check(r)));
    assert_non_null(strstr(r->err.text, "with fewer `outputs` can"));
    assert_null(strstr(r->err.text, "pipelines: {"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, routes_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_mistake_is_told_with_its_place),
        TEST(an_error_with_a_line_is_shown_where_it_is),
        TEST(what_cannot_be_followed_is_told_with_its_place),
        TEST(a_mistake_is_told_where_it_was_made),
        TEST(what_can_be_followed_is_taken),
        TEST(all_routes_are_checked_when_those_that_fail_are_spared),
        TEST(what_becomes_known_later_is_checked_then),
        TEST(what_becomes_known_later_is_shown_where_it_is_written),
        TEST(shapes_that_cannot_be_the_same_are_doubted),
        TEST(doubts_that_have_no_room_are_counted_and_still_told_apart),
        TEST(a_folder_that_is_wrong_is_left_out_and_counts_are_carried),
        TEST(routes_that_go_on_outlive_their_file),
        TEST(nobody_leads_back_through_what_goes_on),
        TEST(who_stands_in_gives_the_same_outputs_and_a_shadow_takes_the_same),
        TEST(a_route_behind_a_route_is_checked_like_its_targets),
        TEST(without_memory_nothing_is_kept),
        TEST(targets_of_a_rule_that_take_unlike_numbers_of_rows_are_doubted),
        TEST(rules_that_give_other_outputs_are_doubted),
        TEST(who_lacks_an_output_is_told_what_to_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

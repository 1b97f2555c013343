/* cli/explain_print.c - see explain_print.h. */
#include "cli/explain_print.h"

#include <stdio.h>

#include "base/buf.h"

static struct trp_str text_of(struct trp_json object, const char *key)
{
    struct trp_json v;
    struct trp_str text = { NULL, 0 };
    if (trp_json_find(object, key, &v))
        (void)trp_json_as_str(v, &text);
    return text;
}

static bool is_true(struct trp_json object, const char *key)
{
    struct trp_json v;
    bool value = false;
    return trp_json_find(object, key, &v) && trp_json_as_bool(v, &value) && value;
}

/* A stranger's bytes must not move the cursor. */
static void print_text(struct trp_str text)
{
    putchar('\'');
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == 0x7f)
            printf("\\x%02x", c);
        else
            putchar(c);
    }
    putchar('\'');
}

/* A shape. */
static void print_list(struct trp_json list)
{
    struct trp_json one;
    struct trp_json_iter it;
    double number;
    const char *between = "";
    putchar('[');
    for (bool more = trp_json_begin(list, &it); more && trp_json_next(&it, NULL, &one);
         between = ", ")
        if (trp_json_as_f64(one, &number))
            printf("%s%.10g", between, number);
    putchar(']');
}

/* true, false, 3, "x", or what is not known. */
static void print_value(struct trp_json of)
{
    struct trp_json v;
    struct trp_str text;
    bool truth;
    double number;
    if (!trp_json_find(of, "value", &v) || trp_json_type(v) == TRP_JSON_NULL) {
        text = text_of(of, "why");
        printf("unknown%s%.*s", text.len ? ": " : "", TRP_STR(text));
    } else if (trp_json_as_bool(v, &truth)) {
        fputs(truth ? "true" : "false", stdout);
    } else if (trp_json_as_f64(v, &number)) {
        printf("%.10g", number);
    } else if (trp_json_as_str(v, &text)) {
        print_text(text);
    } else {
        print_list(v);
    }
}

/* "params.x > 3  is  true", and each of its parts below. */
static void print_condition(struct trp_json when)
{
    struct trp_json parts, part;
    struct trp_json_iter it;
    const struct trp_str text = text_of(when, "rule");
    printf("%.*s  is  ", TRP_STR(text));
    print_value(when);
    putchar('\n');
    bool more = trp_json_find(when, "parts", &parts) && trp_json_begin(parts, &it);
    while (more && trp_json_next(&it, NULL, &part)) {
        const struct trp_str piece = text_of(part, "text");
        printf("        %.*s = ", TRP_STR(piece));
        print_value(part);
        putchar('\n');
    }
}

static void print_rule(struct trp_json rule)
{
    struct trp_json when;
    const bool is_chosen = is_true(rule, "chosen");
    const struct trp_str name = text_of(rule, "name");
    printf("%s rule %.*s%s  ", is_chosen ? "->" : "  ", TRP_STR(name),
           is_true(rule, "asked") || is_chosen ? "" : " (not asked)");
    if (!trp_json_find(rule, "when", &when) || trp_json_type(when) == TRP_JSON_NULL) {
        puts("always");
        return;
    }
    print_condition(when);
}

/* "a 95 %, b 5 %": what a key, or chance, has chosen among. */
static void print_shares(struct trp_json chosen)
{
    struct trp_json shares, target, share;
    struct trp_json_iter it;
    const char *between = ": ";
    double weight;
    bool more = trp_json_find(chosen, "shares", &shares) && trp_json_begin(shares, &it);
    while (more && trp_json_next(&it, NULL, &target)) {
        const struct trp_str name = text_of(target, "target");
        if (!trp_json_find(target, "share", &share) || !trp_json_as_f64(share, &weight))
            continue;
        printf("%s%.*s %.4g %%", between, TRP_STR(name), weight * 100);
        between = ", ";
    }
}

/* "a is passed by: its breaker is open", "b cannot answer: ...", then whom that leaves. */
static void print_order(struct trp_json chosen)
{
    const struct trp_str answers = text_of(chosen, "answers");
    struct trp_json order, one;
    struct trp_json_iter it;
    bool is_met = false;
    bool more = trp_json_find(chosen, "order", &order) && trp_json_begin(order, &it);
    while (more && trp_json_next(&it, NULL, &one)) {
        const struct trp_str name = text_of(one, "target"), breaker = text_of(one, "breaker"),
                             trouble = text_of(one, "trouble");
        if (is_true(one, "passed_by"))
            printf("%.*s is passed by: its breaker is %.*s\n", TRP_STR(name), TRP_STR(breaker));
        else if (trouble.len > 0)
            printf("%.*s cannot answer now: %.*s\n", TRP_STR(name), TRP_STR(trouble));
        else if (is_met)
            printf("if that fails: %.*s\n", TRP_STR(name));
        else if (trp_str_is_equal(name, answers) &&
                 !trp_str_is_equal(name, text_of(chosen, "target")))
            printf("so %.*s is asked\n", TRP_STR(name));
        is_met = is_met || trp_str_is_equal(name, answers);
    }
    if (answers.len == 0)
        puts("so such a request fails");
}

/* "c is asked as well, about 10 % of such requests, and nobody gets its answer" */
static void print_shadow(struct trp_json chosen)
{
    struct trp_json shadow, v;
    double share = 1;
    if (!trp_json_find(chosen, "shadow", &shadow) || trp_json_type(shadow) != TRP_JSON_OBJECT)
        return;
    const struct trp_str name = text_of(shadow, "target"), trouble = text_of(shadow, "trouble");
    printf("%.*s is asked as well", TRP_STR(name));
    if (trp_json_find(shadow, "share", &v) && trp_json_as_f64(v, &share) && share < 1)
        printf(", for %.4g %% of such requests", share * 100);
    puts(", and its answer is compared only (a shadow)");
    if (trouble.len > 0)
        printf("%.*s cannot answer now: %.*s\n", TRP_STR(name), TRP_STR(trouble));
}

static void print_limits(struct trp_json chosen)
{
    struct trp_json v, hedge;
    double ms, wait_ms;
    if (trp_json_find(chosen, "timeout_ms", &v) && trp_json_as_f64(v, &ms))
        printf("each attempt has %.10g ms\n", ms);
    if (!trp_json_find(chosen, "hedge", &hedge) || trp_json_type(hedge) != TRP_JSON_OBJECT ||
        !trp_json_find(hedge, "wait_ms", &v) || !trp_json_as_f64(v, &wait_ms))
        return;
    if (wait_ms > 0)
        printf("another one is asked as well after %.10g ms\n", wait_ms);
    else
        puts("another one is asked as well once it is known how long answers take");
}

static void print_key(struct trp_json chosen)
{
    struct trp_json key;
    if (!trp_json_find(chosen, "key", &key) || trp_json_type(key) != TRP_JSON_OBJECT)
        return;
    const struct trp_str text = text_of(key, "rule");
    printf("the key %.*s is ", TRP_STR(text));
    print_value(key);
    putchar('\n');
}

/* A canary that gets nothing more is not among the shares. */
static void print_canary(struct trp_json chosen)
{
    struct trp_json canary;
    if (!trp_json_find(chosen, "canary", &canary) || trp_json_type(canary) != TRP_JSON_OBJECT ||
        !trp_str_is(text_of(canary, "state"), "rolled_back"))
        return;
    const struct trp_str target = text_of(canary, "target"), reason = text_of(canary, "reason");
    printf("%.*s, the canary, was taken back: %.*s\n", TRP_STR(target), TRP_STR(reason));
}

static void print_chosen(struct trp_json chosen)
{
    const struct trp_str target = text_of(chosen, "target"), reason = text_of(chosen, "reason"),
                         by = text_of(chosen, "by");
    printf("%.*s %s (%.*s", TRP_STR(target),
           trp_str_is_equal(target, text_of(chosen, "answers")) ? "answers" : "is chosen",
           TRP_STR(reason));
    if (!trp_str_is(by, "rule")) {
        printf("; by %.*s", TRP_STR(by));
        print_shares(chosen);
    }
    puts(")");
    if (trp_str_is(by, "chance"))
        puts("the next such request may get another one: there was no key");
    print_key(chosen);
    print_canary(chosen);
    print_order(chosen);
    print_shadow(chosen);
    print_limits(chosen);
}

/* One decision. */
static trp_status print_decision(struct trp_json root, struct trp_error *err)
{
    struct trp_json rules, rule, chosen;
    struct trp_json_iter it;
    if (!trp_json_find(root, "rules", &rules) || !trp_json_begin(rules, &it))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "the server's answer is no decision");
    const struct trp_str doubt = text_of(root, "doubt");
    if (doubt.len > 0)
        printf("it may not fit its targets: %.*s\n", TRP_STR(doubt));
    while (trp_json_next(&it, NULL, &rule))
        print_rule(rule);
    const struct trp_str open = text_of(root, "undecided");
    if (trp_json_find(root, "chosen", &chosen) && trp_json_type(chosen) == TRP_JSON_OBJECT)
        print_chosen(chosen);
    else if (open.len > 0)
        printf("what rule %.*s looks at is not known before other steps are done\n", TRP_STR(open));
    else
        puts("no rule matches: such a request is refused");
    return trp_ok();
}

/* ---- compositions ---- */

static bool is_object(struct trp_json of, const char *key, struct trp_json *out)
{
    return trp_json_find(of, key, out) && trp_json_type(*out) == TRP_JSON_OBJECT;
}

static bool number_of(struct trp_json of, const char *key, double *out)
{
    struct trp_json v;
    return trp_json_find(of, key, &v) && trp_json_as_f64(v, out);
}

/* "a soft vote of at least 2; the others are waited for 20 ms" */
static void print_join(struct trp_json root)
{
    struct trp_json learned;
    const struct trp_str vote = text_of(root, "vote");
    double quorum, ms, outcomes;
    if (vote.len > 0 && number_of(root, "quorum", &quorum)) {
        printf("a vote (%.*s) of %.10g", TRP_STR(vote), quorum);
        if (number_of(root, "deadline_ms", &ms))
            printf(" or more; the others are waited for %.10g ms", ms);
        putchar('\n');
    }
    if (is_object(root, "learned", &learned) && number_of(learned, "outcomes", &outcomes))
        printf("its weights were learned from %.10g outcomes\n", outcomes);
}

/* `takes`: what to give; NULL: nobody would know. */
static void print_missing(struct trp_json root, const char *takes)
{
    struct trp_json missing, name;
    struct trp_json_iter it;
    const bool has_any = trp_json_find(root, "missing", &missing) && trp_json_begin(missing, &it);
    while (has_any && trp_json_next(&it, NULL, &name)) {
        struct trp_str text = { NULL, 0 };
        if (trp_json_as_str(name, &text))
            printf("such a request is refused: there is no input '%.*s'\n", TRP_STR(text));
    }
    if (has_any && takes)
        printf("  %s\n", takes);
}

static void print_doubt(struct trp_json step)
{
    struct trp_json doubt;
    double threshold;
    if (!is_object(step, "unless_sure", &doubt) || !number_of(doubt, "threshold", &threshold))
        return;
    const struct trp_str before = text_of(doubt, "step"), kind = text_of(doubt, "confidence");
    printf("        where %.*s is less sure than %.10g (%.*s, by %.*s)\n", TRP_STR(before),
           threshold, TRP_STR(kind), TRP_STR(text_of(doubt, "per")));
}

static void print_names(struct trp_json of, const char *key)
{
    struct trp_json names, name;
    struct trp_json_iter it;
    const char *between = "";
    bool more = trp_json_find(of, key, &names) && trp_json_begin(names, &it);
    while (more && trp_json_next(&it, NULL, &name)) {
        struct trp_str text = { NULL, 0 };
        (void)trp_json_as_str(name, &text);
        printf("%s%.*s", between, TRP_STR(text));
        between = ", ";
    }
}

/* Of a pipeline: "  x, h -> z" */
static void print_flow(struct trp_json step)
{
    fputs("  ", stdout);
    print_names(step, "takes");
    fputs(" -> ", stdout);
    print_names(step, "gives");
}

static void print_step(struct trp_json step, bool is_flow_told)
{
    struct trp_json when, doubt;
    double weight, now;
    const struct trp_str name = text_of(step, "name"), done = text_of(step, "done"),
                         asks = text_of(step, "asks"), does = text_of(step, "does"),
                         why = text_of(step, "why"), trouble = text_of(step, "trouble");
    printf("%s step %.*s",
           trp_str_is(done, "yes")  ? "->"
           : trp_str_is(done, "no") ? "  "
                                    : " ?",
           TRP_STR(name));
    if (asks.len > 0 && !trp_str_is_equal(asks, name))
        printf("  asks %.*s", TRP_STR(asks));
    if (does.len > 0 && !trp_str_is_equal(does, name))
        printf("  (%.*s)", TRP_STR(does));
    if (is_flow_told)
        print_flow(step);
    if (number_of(step, "weight", &weight) && number_of(step, "weight_now", &now)) {
        printf("  weight %.4g", weight);
        if (weight < now || now < weight)
            printf(", learned %.4g", now);
    }
    puts(is_true(step, "each_row") ? "  once for each row" : "");
    print_doubt(step);
    if (is_object(step, "when", &when)) {
        fputs("        when ", stdout);
        print_condition(when);
    }
    if (trp_str_is(done, "no"))
        printf("        not done: %.*s\n", TRP_STR(why));
    else if (why.len > 0 && !is_object(step, "unless_sure", &doubt)) /* which was told */
        printf("        it depends: %.*s\n", TRP_STR(why));
    if (trouble.len > 0)
        printf("        %s%.*s\n", is_true(step, "may_fail") ? "it may fail, and would: " : "",
               TRP_STR(trouble));
}

/* "scores comes from the first that is made: step large, step small" */
static void print_output(struct trp_json output)
{
    struct trp_json from, one;
    struct trp_json_iter it;
    const struct trp_str name = text_of(output, "name");
    uint32_t n = 0;
    bool more = trp_json_find(output, "from", &from) && trp_json_begin(from, &it);
    const bool has_choice = more && trp_json_count(from) > 1;
    printf("%.*s comes from%s", TRP_STR(name), has_choice ? " the first that is made:" : "");
    while (more && trp_json_next(&it, NULL, &one)) {
        const struct trp_str step = text_of(one, "step"), tensor = text_of(one, "tensor");
        const bool is_made = !trp_str_is(text_of(one, "made"), "no");
        printf("%s %s%.*s%s", n++ ? "," : "", step.len ? "step " : "the request's ",
               TRP_STR(step.len ? step : tensor), is_made ? "" : " (not made)");
    }
    putchar('\n');
}

static void print_composition(struct trp_json root, const char *takes)
{
    struct trp_json list, one;
    struct trp_json_iter it;
    const struct trp_str name = text_of(root, "composition"), kind = text_of(root, "kind"),
                         place = text_of(root, "place"), reason = text_of(root, "reason");
    printf("%.*s %.*s (%.*s)\n", TRP_STR(kind), TRP_STR(name), TRP_STR(place));
    if (!is_true(root, "ready")) {
        printf("it is not ready: %.*s\n", TRP_STR(reason));
        return;
    }
    const struct trp_str doubt = text_of(root, "doubt");
    if (doubt.len > 0)
        printf("it is in doubt: %.*s\n", TRP_STR(doubt));
    print_missing(root, takes);
    print_join(root);
    bool more = trp_json_find(root, "steps", &list) && trp_json_begin(list, &it);
    while (more && trp_json_next(&it, NULL, &one))
        print_step(one, trp_str_is(kind, "pipeline"));
    more = trp_json_find(root, "outputs", &list) && trp_json_begin(list, &it);
    while (more && trp_json_next(&it, NULL, &one))
        print_output(one);
}

/* ---- one behind the other ---- */

static trp_status print_any(struct trp_json root, const char *takes, struct trp_error *err);

/* What stands behind a target, or a step. */
static trp_status print_inner(struct trp_json of, struct trp_error *err)
{
    struct trp_json inner;
    const struct trp_str trouble = text_of(of, "trouble");
    if (trouble.len > 0 && text_of(of, "rule").len > 0) /* steps have told theirs */
        printf("  (%.*s)\n", TRP_STR(trouble));
    if (!is_object(of, "then", &inner))
        return trp_ok();
    putchar('\n');
    const struct trp_str route = text_of(inner, "route");
    if (route.len > 0)
        printf("route %.*s\n", TRP_STR(route));
    return print_any(inner, NULL, err);
}

/* As deep as the parser lets a text be. */
static trp_status print_any(struct trp_json root, const char *takes, struct trp_error *err)
{
    struct trp_json inner, one;
    struct trp_json_iter it;
    if (text_of(root, "composition").len == 0) {
        TRP_CHECK(print_decision(root, err));
        return is_object(root, "chosen", &inner) ? print_inner(inner, err) : trp_ok();
    }
    print_composition(root, takes);
    bool more = trp_json_find(root, "steps", &inner) && trp_json_begin(inner, &it);
    while (more && trp_json_next(&it, NULL, &one))
        TRP_CHECK(print_inner(one, err));
    return trp_ok();
}

trp_status cli_print_explained(struct trp_json_parser *parser, struct trp_str body,
                               const char *takes, struct trp_error *err)
{
    struct trp_json root;
    TRP_CHECK(trp_json_parse(parser, body, false, &root, err));
    return print_any(root, takes, err);
}

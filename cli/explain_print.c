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
        printf("'%.*s'", TRP_STR(text));
    } else {
        fputs("a list", stdout);
    }
}

static void print_rule(struct trp_json rule)
{
    struct trp_json when, parts, part;
    struct trp_json_iter it;
    const bool is_chosen = is_true(rule, "chosen");
    const struct trp_str name = text_of(rule, "name");
    printf("%s rule %.*s%s  ", is_chosen ? "->" : "  ", TRP_STR(name),
           is_true(rule, "asked") || is_chosen ? "" : " (not asked)");
    if (!trp_json_find(rule, "when", &when) || trp_json_type(when) == TRP_JSON_NULL) {
        puts("always");
        return;
    }
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

/* "a is passed by: its breaker is open", then whom that leaves. */
static void print_order(struct trp_json chosen)
{
    struct trp_json order, one;
    struct trp_json_iter it;
    uint32_t n = 0;
    bool more = trp_json_find(chosen, "order", &order) && trp_json_begin(order, &it);
    while (more && trp_json_next(&it, NULL, &one)) {
        const struct trp_str name = text_of(one, "target"), breaker = text_of(one, "breaker");
        if (is_true(one, "passed_by"))
            printf("%.*s is passed by: its breaker is %.*s\n", TRP_STR(name), TRP_STR(breaker));
        else if (n++ > 0)
            printf("if that fails: %.*s\n", TRP_STR(name));
        else if (!trp_str_is_equal(name, text_of(chosen, "target")))
            printf("so %.*s is asked\n", TRP_STR(name));
    }
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

static void print_chosen(struct trp_json chosen)
{
    const struct trp_str target = text_of(chosen, "target"), reason = text_of(chosen, "reason"),
                         by = text_of(chosen, "by");
    printf("%.*s answers (%.*s", TRP_STR(target), TRP_STR(reason));
    if (!trp_str_is(by, "rule")) {
        printf("; by %.*s", TRP_STR(by));
        print_shares(chosen);
    }
    puts(")");
    if (trp_str_is(by, "chance"))
        puts("the next such request may get another one: there was no key");
    print_key(chosen);
    print_order(chosen);
    print_limits(chosen);
}

/* One decision; *out_inner: that of a route behind it, if there is one. */
static trp_status print_decision(struct trp_json root, struct trp_json *out_inner, bool *out_has,
                                 struct trp_error *err)
{
    struct trp_json rules, rule, chosen;
    struct trp_json_iter it;
    *out_has = false;
    if (!trp_json_find(root, "rules", &rules) || !trp_json_begin(rules, &it))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "the server's answer is no decision");
    while (trp_json_next(&it, NULL, &rule))
        print_rule(rule);
    if (!trp_json_find(root, "chosen", &chosen) || trp_json_type(chosen) != TRP_JSON_OBJECT) {
        puts("no rule matches: such a request is refused");
        return trp_ok();
    }
    print_chosen(chosen);
    *out_has =
        trp_json_find(chosen, "then", out_inner) && trp_json_type(*out_inner) == TRP_JSON_OBJECT;
    return trp_ok();
}

trp_status cli_print_explained(struct trp_json_parser *parser, struct trp_str body,
                               struct trp_error *err)
{
    struct trp_json decision, inner;
    bool has_inner;
    TRP_CHECK(trp_json_parse(parser, body, false, &decision, err));
    for (;;) {
        TRP_CHECK(print_decision(decision, &inner, &has_inner, err));
        if (!has_inner)
            return trp_ok();
        const struct trp_str name = text_of(inner, "route");
        printf("\nroute %.*s\n", TRP_STR(name));
        decision = inner;
    }
}

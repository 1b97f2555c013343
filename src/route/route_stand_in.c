/* route/route_stand_in.c - see route_stand_in.h. */
#include "route/route_stand_in.h"

#include <stdio.h>

#include "route/route_canary.h"
#include "route/route_face.h"
#include "route/route_fit.h"
#include "route/route_hedge.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

struct party { /* a target of a rule, and what it takes */
    const struct trp_route_goal *goal;
    const struct trp_signature *signature;
    const struct trp_node *at; /* where the rule names it */
};

/* The element type that clients get for an output; NO_DTYPE: it is not given. */
static int32_t dtype_given(const struct party *by, struct trp_str name)
{
    const struct trp_route_fit *fit = by->goal->fit;
    for (uint32_t i = 0; i < by->signature->outputs_n; i++)
        if (trp_str_is_equal(
                trp_route_fit_output_name(by->goal->fit, by->signature->outputs[i].name), name))
            return trp_route_fit_dtype_given(fit, by->signature, &by->signature->outputs[i]);
    for (uint32_t i = 0; fit && i < fit->given_n; i++)
        if (trp_str_is_equal(fit->given[i].name, name))
            return fit->given[i].tensor.dtype;
    return TROUPE_NO_DTYPE;
}

/* How clients of the route call an input of a target; false: the route gives it. */
static bool client_name(const struct trp_route_goal *g, struct trp_str name, struct trp_str *out)
{
    const struct trp_route_fit *fit = g->fit;
    *out = name;
    for (uint32_t i = 0; fit && i < fit->constants_n; i++)
        if (trp_str_is_equal(fit->constants[i].name, name))
            return false;
    for (uint32_t i = 0; fit && i < fit->inputs_n; i++)
        if (trp_str_is_equal(fit->inputs[i].theirs, name))
            *out = fit->inputs[i].ours;
    return true;
}

/* The input of a target that clients of the route call so; NULL: it has none. */
static const struct trp_io *input_called(const struct trp_route_goal *g,
                                         const struct trp_signature *s, struct trp_str ours)
{
    for (uint32_t i = 0; i < s->inputs_n; i++) {
        struct trp_str name;
        if (client_name(g, s->inputs[i].name, &name) && trp_str_is_equal(name, ours))
            return &s->inputs[i];
    }
    return NULL;
}

/* Each input that one needs the other must take, and of the same type: one request goes to
 * either. */
static trp_status check_needs(const struct trp_route_checking *c, const struct trp_route_plan *p,
                              const struct party *needing, const struct party *taking,
                              const struct party *blamed)
{
    const struct trp_route_goal *from = needing->goal, *to = taking->goal;
    const struct trp_signature *needs = needing->signature, *takes = taking->signature;
    for (uint32_t i = 0; i < needs->inputs_n; i++) {
        const struct trp_io *io = &needs->inputs[i];
        struct trp_str name;
        if (io->optional || !client_name(from, io->name, &name))
            continue;
        const struct trp_io *other = input_called(to, takes, name);
        if (!other)
            return trp_route_source_fail(p->source, blamed->at, blamed->goal->text, c->err,
                                         "'%.*s' needs the input '%.*s', and '%.*s' does not take "
                                         "it: one cannot stand in for the other",
                                         TRP_STR(from->text), TRP_STR(name), TRP_STR(to->text));
        if (other->dtype != io->dtype && !trp_route_fit_is_cast(from->fit, io->name) &&
            !trp_route_fit_is_cast(to->fit, other->name))
            return trp_route_source_fail(p->source, blamed->at, blamed->goal->text, c->err,
                                         "'%.*s' takes %s for '%.*s', and '%.*s' takes %s: one "
                                         "cannot stand in for the other",
                                         TRP_STR(from->text), trp_dtype_name(io->dtype),
                                         TRP_STR(name), TRP_STR(to->text),
                                         trp_dtype_name(other->dtype));
    }
    return trp_ok();
}

#define GIVEN_MAX 64u /* bytes of the names of outputs in a message */

/* The names of outputs that both give: what the first one could do with.  Empty: none, or more
 * than a message has room for. */
static const char *list_common(const struct party *first, const struct party *other,
                               char out[GIVEN_MAX])
{
    const struct trp_signature *s = first->signature;
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < s->outputs_n; i++) {
        const struct trp_str name = trp_route_fit_output_name(first->goal->fit, s->outputs[i].name);
        const bool is_common = dtype_given(first, name) == dtype_given(other, name);
        if (is_common && used + name.len + sizeof ", " > GIVEN_MAX)
            return "";
        if (is_common)
            used += (size_t)snprintf(out + used, GIVEN_MAX - used, "%s%.*s", used ? ", " : "",
                                     TRP_STR(name));
    }
    return out;
}

/* With what can be written to help it. */
static trp_status lacks_output(const struct trp_route_checking *c, const struct trp_route_plan *p,
                               const struct party *first, const struct party *other,
                               struct trp_str name)
{
    const struct trp_route_goal *from = first->goal, *to = other->goal;
    char common[GIVEN_MAX], way[200] = "";
    if (!from->fit && list_common(first, other, common)[0] && from->text.len < 40)
        (void)snprintf(way, sizeof way,
                       ": pipelines: { NAME: { steps: [ { model: %.*s } ], outputs: [ %s ] } }",
                       TRP_STR(from->text), common);
    return trp_route_source_fail(p->source, other->at, to->text, c->err,
                                 "'%.*s' has the output '%.*s', and '%.*s' does not: one cannot "
                                 "stand in for the other; a pipeline of one step with fewer "
                                 "`outputs` can, or `constant_outputs`%s",
                                 TRP_STR(from->text), TRP_STR(name), TRP_STR(to->text), way);
}

/* Each output of the first choice is one of who stands in for it, and of the same type: clients
 * may ask for any of them by name. */
static trp_status check_gives(const struct trp_route_checking *c, const struct trp_route_plan *p,
                              const struct party *first, const struct party *other)
{
    const struct trp_route_goal *from = first->goal, *to = other->goal;
    const uint32_t own_n = first->signature->outputs_n;
    const uint32_t all_n = own_n + (from->fit ? from->fit->given_n : 0);
    for (uint32_t i = 0; i < all_n; i++) {
        const struct trp_str name =
            i < own_n ? trp_route_fit_output_name(from->fit, first->signature->outputs[i].name)
                      : from->fit->given[i - own_n].name;
        const int32_t given = dtype_given(first, name), given_too = dtype_given(other, name);
        if (given_too == TROUPE_NO_DTYPE)
            return lacks_output(c, p, first, other, name);
        if (given != given_too)
            return trp_route_source_fail(p->source, other->at, to->text, c->err,
                                         "'%.*s' gives %s for '%.*s', and '%.*s' gives %s: one "
                                         "cannot stand in for the other; `cast` of an output can "
                                         "change that",
                                         TRP_STR(from->text), trp_dtype_name(given), TRP_STR(name),
                                         TRP_STR(to->text), trp_dtype_name(given_too));
    }
    return trp_ok();
}

static const struct trp_node *nth(const struct trp_node *at, uint32_t i)
{
    const bool has_many = at && (at->kind == TRP_NODE_LIST || at->kind == TRP_NODE_MAP);
    const struct trp_node *n = has_many ? at->first : at;
    for (; has_many && n && i > 0; i--)
        n = n->next;
    return n;
}

/* "b", or { use: b, ... } */
static const struct trp_node *used(const struct trp_node *at)
{
    return at && at->kind == TRP_NODE_MAP ? trp_node_get(at, "use") : at;
}

/* The targets of a rule, one after the other: choices, fallbacks, the canary, the hedge, the
 * shadow; and where it names them. */
static uint32_t goal_of(const struct trp_route_rule *rule, uint32_t i,
                        const struct trp_node **out_at)
{
    const struct trp_node *use = trp_node_get(rule->at, "use");
    if (i < rule->choices_n) {
        *out_at = use ? use : nth(trp_node_get(rule->at, "split"), i);
        return rule->choices[i].goal;
    }
    i -= rule->choices_n;
    if (i < rule->fallback_n) {
        *out_at = nth(trp_node_get(rule->at, "fallback"), i);
        return rule->fallback[i];
    }
    i -= rule->fallback_n;
    if (rule->canary && i-- == 0) {
        *out_at = used(trp_node_get(rule->at, "canary"));
        return rule->canary->goal;
    }
    const bool is_hedge = i == 0 && rule->hedge && rule->hedge->goal;
    *out_at = used(trp_node_get(rule->at, is_hedge ? "hedge" : "shadow"));
    return is_hedge ? rule->hedge->goal - 1 : rule->shadow - 1;
}

static uint32_t count_goals(const struct trp_route_rule *rule)
{
    return rule->choices_n + rule->fallback_n + (rule->canary ? 1 : 0) +
           (rule->hedge && rule->hedge->goal ? 1 : 0) + (rule->shadow ? 1 : 0);
}

/* One of them; its signature is NULL where nobody knows (yet) what it takes. */
static trp_status find_party(const struct trp_route_checking *c, const struct trp_route_plan *p,
                             const struct trp_route_rule *rule, uint32_t i, struct party *out)
{
    out->goal = &p->goals[goal_of(rule, i, &out->at)];
    out->at = out->at ? out->at : out->goal->at;
    return trp_route_face_signature(c, out->goal, &out->signature);
}

/* The targets of one rule get the same requests. */
trp_status trp_route_stand_in_check(const struct trp_route_checking *c,
                                    const struct trp_route_plan *p,
                                    const struct trp_route_rule *rule)
{
    const uint32_t n = count_goals(rule);
    struct party one, two;
    TRP_CHECK(find_party(c, p, rule, 0, &one));
    for (uint32_t i = 1; one.signature && i < n; i++) {
        TRP_CHECK(find_party(c, p, rule, i, &two));
        if (!two.signature)
            continue;
        TRP_CHECK(check_needs(c, p, &one, &two, &two));
        TRP_CHECK(check_needs(c, p, &two, &one, &two));
        if (i + 1 < n || !rule->shadow) /* nobody gets a shadow's answer */
            TRP_CHECK(check_gives(c, p, &one, &two));
    }
    return trp_ok();
}

/* ---- shapes ---- */

/* Whether some tensor has both shapes. */
static bool can_be_both(const struct trp_io *a, const struct trp_io *b)
{
    const bool is_any = a->any_rank || b->any_rank || a->shape_unchecked || b->shape_unchecked;
    bool can = is_any || a->rank == b->rank;
    for (uint32_t i = 0; can && !is_any && i < a->rank; i++)
        can = a->dims[i] == b->dims[i] || a->dims[i] < 0 || b->dims[i] < 0;
    return can;
}

static trp_status tell_shapes(const struct trp_route_checking *c, const struct trp_route_plan *p,
                              const struct party *one, const struct trp_io *a,
                              const struct party *two, const struct trp_io *b)
{
    const bool is_taken = trp_signature_input(one->signature, a->name) == a;
    char first[160], second[160];
    return trp_route_source_fail(
        p->source, two->at, two->goal->text, c->err, "'%.*s' %s %s for '%.*s', and '%.*s' %s: %s",
        TRP_STR(one->goal->text), is_taken ? "takes" : "gives",
        trp_shape_format(a->dims, a->rank, first, sizeof first), TRP_STR(a->name),
        TRP_STR(two->goal->text), trp_shape_format(b->dims, b->rank, second, sizeof second),
        is_taken ? "no request fits both" : "one does not give what the other does");
}

/* Of what both take, and of what both give, under the names that clients of the route have for
 * it. */
static trp_status compare_shapes(const struct trp_route_checking *c, const struct trp_route_plan *p,
                                 const struct party *one, const struct party *two)
{
    const struct trp_signature *a = one->signature, *b = two->signature;
    for (uint32_t i = 0; i < a->inputs_n; i++) {
        struct trp_str name;
        const struct trp_io *io = client_name(one->goal, a->inputs[i].name, &name)
                                      ? input_called(two->goal, b, name)
                                      : NULL;
        if (io && !can_be_both(&a->inputs[i], io))
            return tell_shapes(c, p, one, &a->inputs[i], two, io);
    }
    for (uint32_t i = 0; i < a->outputs_n; i++) {
        const struct trp_str name = trp_route_fit_output_name(one->goal->fit, a->outputs[i].name);
        for (uint32_t k = 0; k < b->outputs_n; k++)
            if (trp_str_is_equal(trp_route_fit_output_name(two->goal->fit, b->outputs[k].name),
                                 name) &&
                !can_be_both(&a->outputs[i], &b->outputs[k]))
                return tell_shapes(c, p, one, &a->outputs[i], two, &b->outputs[k]);
    }
    return trp_ok();
}

/* Shapes that cannot be the same are no mistake, as types are: what a file says of them may be
 * looser or stricter than what is asked. They are doubted. */
static trp_status check_shapes(const struct trp_route_checking *c, const struct trp_route_plan *p)
{
    struct party one, two;
    for (uint32_t r = 0; r < p->rules_n; r++) {
        const uint32_t n = count_goals(&p->rules[r]);
        TRP_CHECK(find_party(c, p, &p->rules[r], 0, &one));
        for (uint32_t i = 1; one.signature && i < n; i++) {
            TRP_CHECK(find_party(c, p, &p->rules[r], i, &two));
            if (two.signature)
                TRP_CHECK(compare_shapes(c, p, &one, &two));
        }
    }
    return trp_ok();
}

/* ---- rows ---- */

struct measured { /* a target of a rule, and how many rows it takes */
    struct party party;
    int64_t rows; /* 0: none was found */
};

static trp_status tell_rows(const struct trp_route_checking *c, const struct trp_route_plan *p,
                            const struct measured *least, const struct measured *most)
{
    char other[32] = "any number";
    if (most->rows < INT64_MAX)
        (void)snprintf(other, sizeof other, "%lld", (long long)most->rows);
    return trp_route_source_fail(p->source, least->party.at, least->party.goal->text, c->err,
                                 "'%.*s' takes at most %lld rows, and '%.*s' %s: a request of more "
                                 "is refused where it meets '%.*s'",
                                 TRP_STR(least->party.goal->text), (long long)least->rows,
                                 TRP_STR(most->party.goal->text), other,
                                 TRP_STR(least->party.goal->text));
}

/* Too many rows are the client's own mistake, which falls back nowhere: whether a request is
 * answered must not hang on whom it meets.  Nobody gets a shadow's answer. */
static trp_status compare_rows(const struct trp_route_checking *c, const struct trp_route_plan *p,
                               const struct trp_route_rule *rule)
{
    const uint32_t n = count_goals(rule) - (rule->shadow ? 1 : 0);
    struct measured least = { .rows = 0 }, most = { .rows = 0 };
    for (uint32_t i = 0; i < n; i++) {
        struct measured m = { .rows = 0 };
        TRP_CHECK(find_party(c, p, rule, i, &m.party));
        m.rows = m.party.signature ? trp_signature_rows_max(m.party.signature) : 0;
        if (m.rows > 0 && (least.rows == 0 || m.rows < least.rows))
            least = m;
        if (m.rows > most.rows)
            most = m;
    }
    return least.rows < most.rows ? tell_rows(c, p, &least, &most) : trp_ok();
}

/* ---- what rules give ---- */

/* Each output of one is the other's, too; of `of` it is told, whoever that is. */
static trp_status compare_outputs(const struct trp_route_checking *c,
                                  const struct trp_route_plan *p, const struct party *one,
                                  const struct party *two, const struct party *of)
{
    const struct trp_route_fit *fit = one->goal->fit;
    const uint32_t own_n = one->signature->outputs_n, all_n = own_n + (fit ? fit->given_n : 0);
    for (uint32_t i = 0; i < all_n; i++) {
        const struct trp_str name =
            i < own_n ? trp_route_fit_output_name(one->goal->fit, one->signature->outputs[i].name)
                      : fit->given[i - own_n].name;
        const int32_t given = dtype_given(one, name), other = dtype_given(two, name);
        if (other == TROUPE_NO_DTYPE)
            return trp_route_source_fail(p->source, of->at, of->goal->text, c->err,
                                         "'%.*s' gives '%.*s', and '%.*s' of another rule does "
                                         "not: clients are told of what the last rule gives",
                                         TRP_STR(one->goal->text), TRP_STR(name),
                                         TRP_STR(two->goal->text));
        if (other != given)
            return trp_route_source_fail(p->source, of->at, of->goal->text, c->err,
                                         "'%.*s' gives %s for '%.*s', and '%.*s' of another rule "
                                         "%s: clients are told of what the last rule gives",
                                         TRP_STR(one->goal->text), trp_dtype_name(given),
                                         TRP_STR(name), TRP_STR(two->goal->text),
                                         trp_dtype_name(other));
    }
    return trp_ok();
}

/* The last rule's is what clients are shown: what another one gives more, or does not give, they
 * see only when it answers. */
static trp_status compare_rules(const struct trp_route_checking *c, const struct trp_route_plan *p)
{
    struct party shown, other;
    TRP_CHECK(find_party(c, p, &p->rules[p->rules_n - 1], 0, &shown));
    for (uint32_t i = 0; shown.signature && i + 1 < p->rules_n; i++) {
        TRP_CHECK(find_party(c, p, &p->rules[i], 0, &other));
        if (!other.signature)
            continue;
        TRP_CHECK(compare_outputs(c, p, &shown, &other, &other));
        TRP_CHECK(compare_outputs(c, p, &other, &shown, &other));
    }
    return trp_ok();
}

/* All that is told and keeps nobody from serving. */
trp_status trp_route_stand_in_doubt(const struct trp_route_checking *c,
                                    const struct trp_route_plan *p)
{
    TRP_CHECK(check_shapes(c, p));
    for (uint32_t i = 0; i < p->rules_n; i++)
        TRP_CHECK(compare_rows(c, p, &p->rules[i]));
    return compare_rules(c, p);
}

/* route/expr_parse.c - a rule's text as a tree.  See expr_tree.h.
 *
 * CEL's grammar, by recursive descent with one token ahead; loops where it is left-recursive, so
 * that depth is spent on brackets, `?:` and signs only:
 *
 *     expr     = or ["?" or ":" expr]
 *     or       = and {"||" and}             and   = relation {"&&" relation}
 *     relation = sum {("==" | "!=" | "<" | "<=" | ">" | ">=" | "in") sum}
 *     sum      = product {("+" | "-") product}    product = unary {("*" | "/" | "%") unary}
 *     unary    = {"!" | "-"} member
 *     member   = primary {"." NAME ["(" [list] ")"] | "[" expr "]"}
 *     primary  = CONST | NAME ["(" [list] ")"] | "(" expr ")" | "[" [list] "]" */
#include "route/expr_tree.h"

#define DEPTH_MAX 64u

static struct trp_expr_node *parse_expr(struct trp_expr_work *w);

struct trp_expr_node *trp_expr_node_new(struct trp_expr_work *w, enum trp_expr_op op, uint32_t from,
                                        uint32_t to)
{
    if (++w->nodes_n > TRP_EXPR_NODES_MAX) {
        (void)trp_expr_too_large(w, from, "the rule has too many parts");
        return NULL;
    }
    struct trp_expr_node *n = trp_arena_zeroed(w->arena, 1, sizeof *n);
    if (!n) {
        (void)trp_expr_no_memory(w);
        return NULL;
    }
    n->op = op;
    n->from = from;
    n->to = to;
    n->height = 1;
    return n;
}

bool trp_expr_node_add(struct trp_expr_work *w, struct trp_expr_node *parent,
                       struct trp_expr_node *kid)
{
    if (!kid)
        return false;
    if (parent->last)
        parent->last->next = kid;
    else
        parent->first = kid;
    parent->last = kid;
    parent->kids_n++;
    if (parent->height <= kid->height)
        parent->height = kid->height + 1;
    return parent->height <= TRP_EXPR_HEIGHT_MAX ||
           trp_expr_too_large(w, kid->from, "the rule is nested too deep, or a chain is too long");
}

static bool is_punct(const struct trp_expr_work *w, uint32_t punct)
{
    return w->token.kind == TRP_TOKEN_PUNCT && w->token.punct == punct;
}

static bool is_name(const struct trp_expr_work *w, const char *name)
{
    return w->token.kind == TRP_TOKEN_NAME && trp_str_is(w->token.name, name);
}

/* What other languages write as words; NULL: the token is none of these. */
static const char *meant_by(const struct trp_expr_work *w)
{
    static const char *const words[][2] = {
        { "and", "&&" }, { "AND", "&&" }, { "or", "||" },
        { "OR", "||" },  { "not", "!" },  { "NOT", "!" },
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (is_name(w, words[i][0]))
            return words[i][1];
    return NULL;
}

static bool refuse_token(struct trp_expr_work *w, const char *wanted)
{
    if (w->token.kind == TRP_TOKEN_END)
        return trp_expr_refuse(w, w->token.from, "expected %s, but the rule ends here", wanted);
    const uint32_t n = w->token.to - w->token.from;
    const char *meant = meant_by(w);
    return trp_expr_refuse(w, w->token.from, "expected %s, found %.*s%s%s", wanted,
                           (int)(n < 40 ? n : 40), w->text.ptr + w->token.from,
                           meant ? "; write " : "", meant ? meant : "");
}

static bool expect(struct trp_expr_work *w, char punct)
{
    const char wanted[] = { '\'', punct, '\'', '\0' };
    return is_punct(w, (uint32_t)(unsigned char)punct) ? trp_expr_lex(w) : refuse_token(w, wanted);
}

/* The expressions up to a closing bracket, as kids. */
static bool parse_list(struct trp_expr_work *w, struct trp_expr_node *parent, char close)
{
    bool more = !is_punct(w, (uint32_t)(unsigned char)close);
    while (more) {
        if (!trp_expr_node_add(w, parent, parse_expr(w)))
            return false;
        more = is_punct(w, ',');
        if (more && !trp_expr_lex(w))
            return false;
        if (is_punct(w, (uint32_t)(unsigned char)close))
            more = false; /* a comma at the end is allowed, as in CEL */
    }
    parent->to = w->token.to;
    return expect(w, close);
}

static struct trp_expr_node *parse_const(struct trp_expr_work *w)
{
    struct trp_expr_node *n = trp_expr_node_new(w, TRP_OP_CONST, w->token.from, w->token.to);
    if (!n)
        return NULL;
    n->value = w->token.value;
    n->type = n->value.kind;
    return trp_expr_lex(w) ? n : NULL;
}

/* The token is its name; parentheses behind it make it a call. */
static struct trp_expr_node *parse_named(struct trp_expr_work *w, struct trp_expr_node *n,
                                         bool is_method)
{
    n->name = w->token.name;
    if (!trp_expr_lex(w))
        return NULL;
    if (!is_punct(w, '('))
        return n;
    n->op = TRP_OP_CALL;
    n->is_method = is_method;
    return trp_expr_lex(w) && parse_list(w, n, ')') ? n : NULL;
}

static struct trp_expr_node *parse_name(struct trp_expr_work *w)
{
    struct trp_expr_node *n = trp_expr_node_new(w, TRP_OP_NAME, w->token.from, w->token.to);
    return n ? parse_named(w, n, false) : NULL;
}

static struct trp_expr_node *parse_primary(struct trp_expr_work *w)
{
    const uint32_t from = w->token.from;
    struct trp_expr_node *n;
    if (w->token.kind == TRP_TOKEN_CONST)
        return parse_const(w);
    if (w->token.kind == TRP_TOKEN_NAME && !is_name(w, "in"))
        return parse_name(w);
    if (is_punct(w, '(')) {
        if (!trp_expr_lex(w))
            return NULL;
        n = parse_expr(w);
        if (!n || !expect(w, ')'))
            return NULL;
        return n;
    }
    if (is_punct(w, '[')) {
        n = trp_expr_node_new(w, TRP_OP_ITEMS, from, from);
        return n && trp_expr_lex(w) && parse_list(w, n, ']') ? n : NULL;
    }
    (void)refuse_token(w, "a value");
    return NULL;
}

static struct trp_expr_node *parse_dot(struct trp_expr_work *w, struct trp_expr_node *of)
{
    if (!trp_expr_lex(w))
        return NULL;
    if (is_punct(w, '?')) {
        (void)trp_expr_refuse(w, w->token.from, "no '?' is needed: write x.name.orValue(...)");
        return NULL;
    }
    if (w->token.kind != TRP_TOKEN_NAME) {
        (void)refuse_token(w, "a name after '.'");
        return NULL;
    }
    struct trp_expr_node *n = trp_expr_node_new(w, TRP_OP_MEMBER, of->from, w->token.to);
    return n && trp_expr_node_add(w, n, of) ? parse_named(w, n, true) : NULL;
}

static struct trp_expr_node *parse_index(struct trp_expr_work *w, struct trp_expr_node *of)
{
    struct trp_expr_node *n = trp_expr_node_new(w, TRP_OP_INDEX, of->from, of->to);
    if (!n || !trp_expr_node_add(w, n, of) || !trp_expr_lex(w) ||
        !trp_expr_node_add(w, n, parse_expr(w)))
        return NULL;
    n->to = w->token.to;
    return expect(w, ']') ? n : NULL;
}

static struct trp_expr_node *parse_member(struct trp_expr_work *w)
{
    struct trp_expr_node *n = parse_primary(w);
    while (n && (is_punct(w, '.') || is_punct(w, '[')))
        n = is_punct(w, '.') ? parse_dot(w, n) : parse_index(w, n);
    return n;
}

static struct trp_expr_node *parse_unary(struct trp_expr_work *w)
{
    const bool is_not = is_punct(w, '!');
    if (!is_not && !is_punct(w, '-'))
        return parse_member(w);
    if (++w->depth > DEPTH_MAX) {
        (void)trp_expr_too_large(w, w->token.from, "nested too deep");
        return NULL;
    }
    struct trp_expr_node *n =
        trp_expr_node_new(w, is_not ? TRP_OP_NOT : TRP_OP_NEG, w->token.from, w->token.to);
    if (!n || !trp_expr_lex(w) || !trp_expr_node_add(w, n, parse_unary(w)))
        return NULL;
    n->to = n->first->to;
    w->depth--;
    return n;
}

/* ---- operators of two, by level ---- */

static const struct binary {
    uint32_t punct; /* 0: the word `in` */
    enum trp_expr_op op;
    uint32_t level;
} binaries[] = {
    { TRP_PUNCT2('|', '|'), TRP_OP_OR, 0 },
    { TRP_PUNCT2('&', '&'), TRP_OP_AND, 1 },
    { TRP_PUNCT2('=', '='), TRP_OP_EQ, 2 },
    { TRP_PUNCT2('!', '='), TRP_OP_NE, 2 },
    { TRP_PUNCT2('<', '='), TRP_OP_LE, 2 },
    { TRP_PUNCT2('>', '='), TRP_OP_GE, 2 },
    { '<', TRP_OP_LT, 2 },
    { '>', TRP_OP_GT, 2 },
    { 0, TRP_OP_IN, 2 },
    { '+', TRP_OP_ADD, 3 },
    { '-', TRP_OP_SUB, 3 },
    { '*', TRP_OP_MUL, 4 },
    { '/', TRP_OP_DIV, 4 },
    { '%', TRP_OP_MOD, 4 },
};
#define LEVELS 5u

static const struct binary *binary_at(const struct trp_expr_work *w, uint32_t level)
{
    for (const struct binary *b = binaries; b < binaries + ARRAY_LEN(binaries); b++)
        if (b->level == level && (b->punct ? is_punct(w, b->punct) : is_name(w, "in")))
            return b;
    return NULL;
}

static struct trp_expr_node *parse_level(struct trp_expr_work *w, uint32_t level)
{
    if (level == LEVELS)
        return parse_unary(w);
    struct trp_expr_node *left = parse_level(w, level + 1);
    for (const struct binary *b; left && (b = binary_at(w, level)) != NULL;) {
        struct trp_expr_node *n = trp_expr_node_new(w, b->op, left->from, left->to);
        if (!n || !trp_expr_node_add(w, n, left) || !trp_expr_lex(w) ||
            !trp_expr_node_add(w, n, parse_level(w, level + 1)))
            return NULL;
        n->to = n->last->to;
        left = n;
    }
    return left;
}

static struct trp_expr_node *parse_condition(struct trp_expr_work *w)
{
    struct trp_expr_node *cond = parse_level(w, 0);
    if (!cond || !is_punct(w, '?'))
        return cond;
    struct trp_expr_node *n = trp_expr_node_new(w, TRP_OP_IF, cond->from, cond->to);
    if (!n || !trp_expr_node_add(w, n, cond) || !trp_expr_lex(w) ||
        !trp_expr_node_add(w, n, parse_level(w, 0)) || !expect(w, ':') ||
        !trp_expr_node_add(w, n, parse_expr(w)))
        return NULL;
    n->to = n->last->to;
    return n;
}

static struct trp_expr_node *parse_expr(struct trp_expr_work *w)
{
    if (++w->depth > DEPTH_MAX) {
        (void)trp_expr_too_large(w, w->token.from, "nested too deep");
        return NULL;
    }
    struct trp_expr_node *n = parse_condition(w);
    w->depth--;
    return n;
}

struct trp_expr_node *trp_expr_parse(struct trp_expr_work *w)
{
    if (!trp_expr_lex(w))
        return NULL;
    struct trp_expr_node *n = parse_expr(w);
    if (n && w->token.kind != TRP_TOKEN_END) {
        if (n->op == TRP_OP_NAME &&
            trp_str_is(trp_str_make(w->text.ptr + n->from, n->to - n->from), "not"))
            (void)trp_expr_refuse(w, n->from, "there is no 'not'; write !");
        else
            (void)refuse_token(w, "an operator or the end");
        return NULL;
    }
    return n;
}

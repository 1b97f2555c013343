/* route/expr.c - from a rule's text to its program.  See expr.h. */
#include "route/expr.h"

#include "route/expr_program.h"

/* ---- emitting: tables as large as they can become, then copied as large as they are ---- */

struct emitter {
    struct trp_expr_work *w;
    struct trp_expr_instr *code;
    struct trp_fact *consts;
    struct trp_expr_fact *facts;
    struct trp_expr_set *sets;
    const struct trp_pattern **patterns;
    struct trp_expr_part *parts;
    uint32_t code_n, consts_n, facts_n, sets_n, patterns_n, parts_n;
    uint32_t stack, stack_max;
};

static bool emit(struct emitter *m, const struct trp_expr_node *n, uint32_t depth, bool is_told);

/* One operation, which takes some values of the stack and leaves one.  A program has at most
 * three for each node, and jumps. */
static struct trp_expr_instr *put(struct emitter *m, enum trp_expr_op op, uint32_t part,
                                  uint32_t taken)
{
    struct trp_expr_instr *i = &m->code[m->code_n++];
    *i = (struct trp_expr_instr){ .op = (uint8_t)op, .part = (uint16_t)part };
    m->stack = m->stack - taken + 1;
    if (m->stack > m->stack_max)
        m->stack_max = m->stack;
    return i;
}

static uint32_t add_const(struct emitter *m, struct trp_fact v)
{
    m->consts[m->consts_n] = v;
    return m->consts_n++;
}

static uint32_t add_fact(struct emitter *m, const struct trp_expr_node *n, uint32_t part)
{
    m->facts[m->facts_n] = (struct trp_expr_fact){ .ref = n->ref, .part = part };
    m->parts[part].fact = n->op == TRP_OP_FACT ? m->facts_n : TRP_EXPR_NONE;
    return m->facts_n++;
}

static uint32_t add_part(struct emitter *m, const struct trp_expr_node *n, uint32_t depth,
                         bool is_told)
{
    m->parts[m->parts_n] = (struct trp_expr_part){
        .from = n->from,
        .to = n->to,
        .code_from = m->code_n,
        .code_to = m->code_n,
        .fact = TRP_EXPR_NONE,
        .depth = (uint16_t)depth,
        .is_told = is_told && n->op != TRP_OP_CONST,
    };
    return m->parts_n++;
}

/* What `5 < x` is as a comparison of x. */
static enum trp_expr_op turned(enum trp_expr_op op)
{
    switch (op) {
    case TRP_OP_LT:
        return TRP_OP_GT;
    case TRP_OP_LE:
        return TRP_OP_GE;
    case TRP_OP_GT:
        return TRP_OP_LT;
    case TRP_OP_GE:
        return TRP_OP_LE;
    default:
        return op;
    }
}

/* Most rules compare a fact with a constant: one operation, without the stack. */
static bool emit_compare(struct emitter *m, const struct trp_expr_node *n, uint32_t part,
                         uint32_t depth)
{
    const bool is_turned = n->first->op == TRP_OP_CONST;
    const struct trp_expr_node *fact = is_turned ? n->last : n->first;
    const struct trp_expr_node *constant = is_turned ? n->first : n->last;
    if (fact->op != TRP_OP_FACT || constant->op != TRP_OP_CONST)
        return false;
    const uint32_t fact_part = add_part(m, fact, depth + 1, m->parts[part].is_told);
    struct trp_expr_instr *i = put(m, TRP_OP_COMPARE, part, 0);
    i->sub = (uint8_t)(is_turned ? turned(n->op) : n->op);
    i->a = add_fact(m, fact, fact_part);
    i->b = add_const(m, constant->value);
    return true;
}

static bool emit_kids(struct emitter *m, const struct trp_expr_node *n, uint32_t part,
                      uint32_t depth)
{
    const bool is_told = m->parts[part].is_told && n->op != TRP_OP_HAS;
    for (const struct trp_expr_node *k = n->first; k; k = k->next)
        if (!emit(m, k, depth + 1, is_told))
            return false;
    return true;
}

/* a && b: a, then b unless a has decided. */
static bool emit_either(struct emitter *m, const struct trp_expr_node *n, uint32_t part,
                        uint32_t depth)
{
    const bool is_told = m->parts[part].is_told;
    if (!emit(m, n->first, depth + 1, is_told))
        return false;
    const uint32_t skip = m->code_n;
    if (n->op == TRP_OP_OR_VALUE) {
        (void)put(m, TRP_OP_SKIP_KNOWN, part, 1);
        m->stack--; /* what is unknown is dropped */
        if (!emit(m, n->last, depth + 1, is_told))
            return false;
    } else {
        (void)put(m, n->op == TRP_OP_AND ? TRP_OP_SKIP_FALSE : TRP_OP_SKIP_TRUE, part, 1);
        if (!emit(m, n->last, depth + 1, is_told))
            return false;
        (void)put(m, n->op, part, 2);
    }
    m->code[skip].a = m->code_n;
    return true;
}

static bool emit_if(struct emitter *m, const struct trp_expr_node *n, uint32_t part, uint32_t depth)
{
    const bool is_told = m->parts[part].is_told;
    if (!emit(m, n->first, depth + 1, is_told))
        return false;
    const uint32_t branch = m->code_n;
    (void)put(m, TRP_OP_BRANCH, part, 1);
    m->stack--; /* the condition is gone */
    if (!emit(m, n->first->next, depth + 1, is_told))
        return false;
    const uint32_t jump = m->code_n;
    (void)put(m, TRP_OP_JUMP, part, 1);
    m->stack--; /* one of the two values, not both */
    m->code[branch].a = m->code_n;
    if (!emit(m, n->last, depth + 1, is_told))
        return false;
    m->code[branch].b = m->code[jump].a = m->code_n;
    return true;
}

static bool emit_node(struct emitter *m, const struct trp_expr_node *n, uint32_t part,
                      uint32_t depth)
{
    if (n->op == TRP_OP_CONST) {
        put(m, n->op, part, 0)->a = add_const(m, n->value);
        return true;
    }
    if (n->op == TRP_OP_FACT) {
        put(m, n->op, part, 0)->a = add_fact(m, n, part);
        return true;
    }
    if (n->op == TRP_OP_AND || n->op == TRP_OP_OR || n->op == TRP_OP_OR_VALUE)
        return emit_either(m, n, part, depth);
    if (n->op == TRP_OP_IF)
        return emit_if(m, n, part, depth);
    if (n->op >= TRP_OP_EQ && n->op <= TRP_OP_GE && emit_compare(m, n, part, depth))
        return true;
    if (!emit_kids(m, n, part, depth))
        return false;
    uint32_t a = 0;
    if (n->op == TRP_OP_ELEMENT)
        a = add_fact(m, n, part);
    else if (n->op == TRP_OP_IN_FILE)
        a = n->list;
    else if (n->op == TRP_OP_MATCHES)
        m->patterns[a = m->patterns_n++] = n->pattern;
    else if (n->op == TRP_OP_IN_SET &&
             !trp_expr_set_make(m->w, n->items, &m->sets[a = m->sets_n++]))
        return false;
    put(m, n->op, part, n->kids_n)->a = a;
    return true;
}

static bool emit(struct emitter *m, const struct trp_expr_node *n, uint32_t depth, bool is_told)
{
    const uint32_t part = add_part(m, n, depth, is_told);
    if (!emit_node(m, n, part, depth))
        return false;
    m->parts[part].code_to = m->code_n;
    return true;
}

/* ---- tables ---- */

static const void *kept(struct trp_expr_work *w, const void *table, uint32_t n, size_t size)
{
    void *copy = trp_arena_get(w->keep, n > 0 ? n * size : size);
    if (!copy)
        (void)trp_expr_no_memory(w);
    else if (n > 0)
        memcpy(copy, table, n * size);
    return copy;
}

static bool keep_tables(const struct emitter *m, struct trp_expr *e)
{
    e->code = kept(m->w, m->code, e->code_n = m->code_n, sizeof *m->code);
    e->consts = kept(m->w, m->consts, e->consts_n = m->consts_n, sizeof *m->consts);
    e->facts = kept(m->w, m->facts, e->facts_n = m->facts_n, sizeof *m->facts);
    e->sets = kept(m->w, m->sets, e->sets_n = m->sets_n, sizeof *m->sets);
    e->patterns = kept(m->w, m->patterns, e->patterns_n = m->patterns_n, sizeof(void *));
    e->parts = kept(m->w, m->parts, e->parts_n = m->parts_n, sizeof *m->parts);
    return e->code && e->consts && e->facts && e->sets && e->patterns && e->parts;
}

/* Makes the program of a checked tree; false: w->err says why. */
static bool emit_all(struct trp_expr_work *w, struct trp_expr_node *root, struct trp_expr *e)
{
    const uint32_t n = w->nodes_n;
    struct emitter m = {
        .w = w,
        .code = trp_arena_zeroed(w->arena, 3 * (size_t)n, sizeof *m.code),
        .consts = trp_arena_zeroed(w->arena, n, sizeof *m.consts),
        .facts = trp_arena_zeroed(w->arena, n, sizeof *m.facts),
        .sets = trp_arena_zeroed(w->arena, n, sizeof *m.sets),
        .patterns = trp_arena_zeroed(w->arena, n, sizeof(void *)),
        .parts = trp_arena_zeroed(w->arena, n, sizeof *m.parts),
    };
    if (!m.code || !m.consts || !m.facts || !m.sets || !m.patterns || !m.parts)
        return trp_expr_no_memory(w);
    if (!emit(&m, root, 0, true))
        return false;
    if (m.stack_max > TRP_EXPR_STACK_MAX)
        return trp_expr_too_large(w, 0, "the rule is nested too deep");
    return keep_tables(&m, e);
}

/* ---- the whole way ---- */

static bool is_blank(struct trp_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!strchr(" \t\r\n", s.ptr[i]) || s.ptr[i] == '\0')
            return false;
    return true;
}

static bool check_purpose(struct trp_expr_work *w, const struct trp_expr_node *n)
{
    const bool is_condition = w->env->purpose == TRP_EXPR_CONDITION;
    if (is_condition)
        return !trp_expr_is_never_bool(n) ||
               trp_expr_refuse(w, n->from, "a rule is true or false; this is %s",
                               trp_expr_type_words(n));
    return n->type != TRP_FACT_LIST || trp_expr_refuse(w, n->from, "one value is wanted here");
}

static bool compile(struct trp_expr_work *w, struct trp_expr *e)
{
    if (w->text.len > TRP_EXPR_BYTES_MAX)
        return trp_expr_too_large(w, 0, "the rule is too long");
    if (is_blank(w->text))
        return trp_expr_refuse(w, 0, "the rule is empty");
    if (!trp_str_is_utf8(w->text))
        return trp_expr_refuse(w, 0, "the rule is not UTF-8");
    struct trp_expr_node *root = trp_expr_parse(w);
    return root && trp_expr_check(w, root) && check_purpose(w, root) && emit_all(w, root, e);
}

trp_status trp_expr_compile(const struct trp_alloc *alloc, struct trp_str text,
                            const struct trp_expr_place *place, const struct trp_expr_env *env,
                            struct trp_expr **out_expr, struct trp_error *err)
{
    struct trp_arena tree;
    struct trp_error own = { 0 };
    *out_expr = NULL;
    struct trp_expr *e = trp_alloc_zeroed(alloc, 1, sizeof *e);
    if (!e)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%s:%u: no memory for the rule", place->file,
                        place->line);
    e->alloc = alloc;
    e->is_condition = env->purpose == TRP_EXPR_CONDITION;
    trp_arena_init(&e->arena, alloc, 1024, 16u << 20);
    trp_arena_init(&tree, alloc, 8192, 64u << 20);
    e->text = trp_arena_dup(&e->arena, text.len > 0 ? text : TRP_STR_LIT(""));
    struct trp_expr_work w = { .arena = &tree,
                               .keep = &e->arena,
                               .alloc = alloc,
                               .text = e->text,
                               .place = place,
                               .env = env,
                               .err = &own };
    const bool good = e->text.ptr ? compile(&w, e) : trp_expr_no_memory(&w);
    e->owned = w.patterns;
    trp_arena_deinit(&tree);
    if (!good) {
        trp_expr_destroy(e);
        if (err)
            *err = own;
        return own.status;
    }
    *out_expr = e;
    return trp_ok();
}

void trp_expr_destroy(struct trp_expr *e)
{
    if (!e)
        return;
    trp_pattern_free(e->owned);
    trp_arena_deinit(&e->arena);
    trp_alloc_free(e->alloc, e);
}

struct trp_str trp_expr_text(const struct trp_expr *e)
{
    return e->text;
}

bool trp_expr_next_model(const struct trp_expr *e, uint32_t *cursor, struct trp_str *out_name)
{
    while (*cursor < e->facts_n) {
        const struct trp_fact_ref *ref = &e->facts[(*cursor)++].ref;
        if (ref->what < TRP_FACT_MODEL_READY || ref->what > TRP_FACT_MODEL_BYTES)
            continue;
        *out_name = ref->name;
        return true;
    }
    return false;
}

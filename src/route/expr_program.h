/* route/expr_program.h - a compiled rule.
 * Answers "what does the evaluator run?".  Private to this room: expr.c makes it, expr_eval.c runs
 * it, expr_explain.c runs each part of it alone.
 *
 * Code for a machine with a stack, in the order of a walk that visits kids first.  So the code of a
 * part stands together, begins with nothing of its own on the stack and leaves one value: a part
 * can be run alone, and what explains a rule is what runs it.  Jumps go forward only, and never
 * out of their part. */
#ifndef TRP_EXPR_PROGRAM_H
#define TRP_EXPR_PROGRAM_H

#include "route/expr_tree.h"

#define TRP_EXPR_NONE UINT32_MAX

struct trp_expr_instr {
    uint8_t op, sub; /* enum trp_expr_op; of COMPARE: which comparison */
    uint16_t part;   /* whose unknown it makes */
    uint32_t a, b;   /* places in the tables below, or in the code */
};

struct trp_expr_part {
    uint32_t from, to;           /* in the text */
    uint32_t code_from, code_to; /* equal: it has none of its own */
    uint32_t fact;               /* what it reads; TRP_EXPR_NONE */
    uint16_t depth;
    bool is_told; /* by explain: not of a constant, and not what has() asks for */
};

struct trp_expr_fact {
    struct trp_fact_ref ref;
    uint32_t part;
};

/* Constants behind `in`.  Numbers: whole ones in order as ints, others in order as doubles;
 * texts by their hash. */
struct trp_expr_set {
    bool is_texts;
    const int64_t *ints;
    const double *doubles;
    const struct trp_str *texts; /* texts_n places, a power of two; ptr NULL: free */
    uint32_t ints_n, doubles_n, texts_n;
    uint64_t bits; /* of ints that all lie in 0..63: no search */
    bool is_bits;
};

struct trp_expr {
    const struct trp_alloc *alloc;
    struct trp_arena arena;
    struct trp_str text;
    const struct trp_expr_instr *code;
    const struct trp_fact *consts;
    const struct trp_expr_fact *facts;
    const struct trp_expr_set *sets;
    const struct trp_pattern *const *patterns;
    const struct trp_expr_part *parts;
    struct trp_pattern *owned; /* all patterns */
    uint32_t code_n, consts_n, facts_n, sets_n, patterns_n, parts_n;
    bool is_condition; /* what is neither true nor false is unknown */
};

/* A set of constants (expr_set.c). */
bool trp_expr_set_make(struct trp_expr_work *w, const struct trp_expr_node *items,
                       struct trp_expr_set *out);
struct trp_fact trp_expr_set_has(const struct trp_expr_set *s, const struct trp_fact *v);
/* Runs code from..to. */
void trp_expr_run(const struct trp_expr *e, uint32_t from, uint32_t to, struct trp_facts *f,
                  struct trp_fact *out);

#endif

/* route/expr.h - a rule: a small typed expression, compiled once, evaluated for each request.
 * Answers "does this rule hold for this request, and if nobody can tell, why not?".  The language
 * is a total subset of CEL's (docs/rules.md): no loops, no side effects, no allocation, and every
 * program ends after at most as many steps as it has operators.
 *
 *     text ──lexer, parser──> tree ──names, types──> tree ──constants folded──> flat program
 *                                                                                   │ + struct trp_facts
 *                                                                                   v
 *                                                                       true, false, or unknown:
 *                                                                       why
 *
 *  1. Nothing turns into another type in silence: '5' is never 5.  What cannot be told is unknown,
 *     not false: a missing parameter, another type than the rule expects, a division by zero.  A
 *     rule that ends unknown does not match.
 *  2. `&&`, `||`, `?:` are Kleene's: false && unknown is false, true || unknown is true, in either
 *     order.
 *  3. A program is constant: any number of loops may evaluate it at once, each with facts and a
 *     matcher of its own. */
#ifndef TRP_EXPR_H
#define TRP_EXPR_H

#include "base/alloc.h"
#include "base/buf.h"
#include "base/status.h"
#include "route/facts.h"

struct trp_expr;
struct trp_node;

#define TRP_EXPR_BYTES_MAX (64u * 1024)
#define TRP_EXPR_NODES_MAX 8192u
#define TRP_EXPR_HEIGHT_MAX 200u /* of the tree; a chain of && is as high as it is long */
#define TRP_EXPR_STACK_MAX 32u

/* Where a text was written; `line` and `column` count from 1.  column 0: not known, the text's
 * own is told.  `node`: whose text it is, which knows it better where it has several lines; NULL:
 * nobody does. */
struct trp_expr_place {
    const char *file;
    uint32_t line, column;
    const struct trp_node *node;
};

enum trp_expr_purpose {
    TRP_EXPR_CONDITION, /* must be true or false */
    TRP_EXPR_VALUE      /* any scalar: what a split is sticky by */
};

/* What may be named.  All is borrowed for the compilation. */
struct trp_expr_env {
    enum trp_expr_purpose purpose;
    const struct trp_signature *const
        *signatures; /* of all that may be asked: an input is one of theirs, and of the type */
    uint32_t signatures_n;       /* that they agree on; 0: any input, of any type */
    const char *input_words;     /* what a message calls one; NULL: "input" */
    const struct trp_str *lists; /* names; a list's place is that in trp_facts.lists */
    uint32_t lists_n;
    const struct trp_str *models; /* NULL: any model */
    uint32_t models_n;
};

/* Compiles a rule.
 *   Owns  : the caller destroys; `text` and `env` are borrowed for the call, `alloc` until
 *           destroyed.
 *   Thread: any.
 *   Cost  : tens of microseconds; a pattern is compiled to machine code where that is allowed.
 *   Errors: INVALID_ARGUMENT: "file:line:column: words", the line, a caret below; TOO_LARGE: longer
 *           or deeper than it may be; OUT_OF_MEMORY. */
trp_status trp_expr_compile(const struct trp_alloc *alloc, struct trp_str text,
                            const struct trp_expr_place *place, const struct trp_expr_env *env,
                            struct trp_expr **out_expr, struct trp_error *err);
void trp_expr_destroy(struct trp_expr *e); /* accepts NULL */

/* The rule as it was written.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
struct trp_str trp_expr_text(const struct trp_expr *e);

enum trp_truth { TRP_TRUTH_FALSE, TRP_TRUTH_TRUE, TRP_TRUTH_UNKNOWN };

/* Does it hold?  The condition's value; or, of any purpose, the value itself.
 *   Owns  : *out_why (may be NULL) is set when it is UNKNOWN, for trp_expr_why(); texts of *out are
 *           borrowed from the call, the program or `f`.
 *   Thread: loop.
 *   Blocks: never.
 *   Cost  : tens of ns for a few names; no allocation.
 *   Errors: none. */
enum trp_truth trp_expr_holds(const struct trp_expr *e, struct trp_facts *f,
                              struct trp_fact *out_why);
void trp_expr_value(const struct trp_expr *e, struct trp_facts *f, struct trp_fact *out);

/* Writes why a value is unknown: "params.purchases is missing".
 *   Owns  : copied.
 *   Thread: any.
 *   Errors: see b->failed. */
void trp_expr_why(const struct trp_expr *e, const struct trp_fact *unknown, struct trp_buf *b);

/* Writes a rule's value and that of each part which is not a constant, as the evaluator itself has
 * them: a JSON object {"rule", "value", "why", "parts": [{"text", "depth", "value", "why"}]}, where
 * unknown is null and `why` is there.
 *   Owns  : copied.
 *   Thread: loop.
 *   Errors: see b->failed. */
void trp_expr_explain(const struct trp_expr *e, struct trp_facts *f, struct trp_buf *b);

/* Writes a value as JSON; unknown is null, a duration its text ("30ms").
 *   Owns  : copied.
 *   Thread: any.
 *   Errors: see b->failed. */
void trp_fact_write_json(const struct trp_fact *v, struct trp_buf *b);

/* Walks the models whose load the rule asks for, each once or more often; `*cursor` starts at 0.
 *   Owns  : *out_name is borrowed from the program.
 *   Thread: any.
 *   Errors: false: there is no further one. */
bool trp_expr_next_model(const struct trp_expr *e, uint32_t *cursor, struct trp_str *out_name);

/* What matches() works with; one for each loop.
 *   Owns  : the caller destroys; destroy accepts NULL.
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_matcher_create(const struct trp_alloc *alloc, struct trp_matcher **out_matcher,
                              struct trp_error *err);
void trp_matcher_destroy(struct trp_matcher *m);

#endif

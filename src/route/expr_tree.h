/* route/expr_tree.h - a rule between its text and its program.
 * Answers "what do the parts of a rule hand to each other?".  Private to this room: expr_lex.c
 * makes tokens of the text, expr_parse.c a tree of them, expr_check.c and expr_names.c find out
 * what names and types mean, and expr.c makes the program (expr_program.h). */
#ifndef TRP_EXPR_TREE_H
#define TRP_EXPR_TREE_H

#include "route/expr.h"

/* What a node of the tree is; what an instruction does, as far as it does the same. */
enum trp_expr_op {
    /* only until names are resolved */
    TRP_OP_NAME,   /* name */
    TRP_OP_MEMBER, /* first.name */
    TRP_OP_CALL,   /* name(first, ...), or first.name(...) with `is_method` */
    TRP_OP_ITEMS,  /* [first, ...] */
    /* leaves */
    TRP_OP_CONST,
    TRP_OP_FACT,
    TRP_OP_ELEMENT, /* of an input, at `first` */
    /* of one */
    TRP_OP_NOT,
    TRP_OP_NEG,
    TRP_OP_HAS,
    TRP_OP_SIZE,
    TRP_OP_INT,
    TRP_OP_DOUBLE,
    TRP_OP_STRING,
    TRP_OP_ABS,
    TRP_OP_MATCHES, /* of a pattern */
    TRP_OP_IN_SET,  /* of constants */
    TRP_OP_IN_FILE, /* a list by name */
    /* of two */
    TRP_OP_INDEX, /* first[second] */
    TRP_OP_ADD,
    TRP_OP_SUB,
    TRP_OP_MUL,
    TRP_OP_DIV,
    TRP_OP_MOD,
    TRP_OP_EQ,
    TRP_OP_NE,
    TRP_OP_LT,
    TRP_OP_LE,
    TRP_OP_GT,
    TRP_OP_GE,
    TRP_OP_IN, /* a list's */
    TRP_OP_STARTS,
    TRP_OP_ENDS,
    TRP_OP_CONTAINS,
    TRP_OP_MIN,
    TRP_OP_MAX,
    /* that may leave something out */
    TRP_OP_AND,
    TRP_OP_OR,
    TRP_OP_OR_VALUE,
    TRP_OP_IF, /* first ? second : third */
    /* of programs only */
    TRP_OP_COMPARE, /* a fact with a constant, by the comparison in `sub` */
    TRP_OP_SKIP_FALSE,
    TRP_OP_SKIP_TRUE,
    TRP_OP_SKIP_KNOWN,
    TRP_OP_BRANCH,
    TRP_OP_JUMP,
    TRP_OPS
};

struct trp_expr_node {
    enum trp_expr_op op;
    uint32_t type; /* enum trp_fact_kind; UNKNOWN: whatever comes */
    bool is_method;
    uint32_t from, to; /* in the text */
    uint32_t height, kids_n;
    struct trp_expr_node *first, *last, *next; /* kids, sibling */
    struct trp_str name;
    struct trp_fact value;       /* CONST */
    struct trp_fact_ref ref;     /* FACT, ELEMENT */
    uint32_t list;               /* IN_FILE */
    struct trp_expr_node *items; /* IN_SET: the constants, by `next` */
    struct trp_pattern *pattern; /* MATCHES */
    uint32_t number;             /* among the parts of the program */
};

enum trp_token_kind {
    TRP_TOKEN_END,
    TRP_TOKEN_NAME,
    TRP_TOKEN_CONST,
    TRP_TOKEN_PUNCT /* `punct` */
};

/* Two characters are one number: '=' << 8 | '='. */
#define TRP_PUNCT2(a, b) ((uint32_t)(a) << 8 | (uint32_t)(b))

struct trp_token {
    enum trp_token_kind kind;
    uint32_t from, to;
    uint32_t punct;
    struct trp_str name;
    struct trp_fact value;
};

/* What one compilation works with. */
struct trp_expr_work {
    struct trp_arena *arena; /* of the tree: goes when the program is made */
    struct trp_arena *keep;  /* of the program */
    const struct trp_alloc *alloc;
    struct trp_str text;
    const struct trp_expr_place *place;
    const struct trp_expr_env *env;
    struct trp_error *err;
    struct trp_token token;
    uint32_t at, nodes_n, depth;
    struct trp_pattern *patterns; /* by their `next`; go to the program, or are freed */
};

/* Each returns false (NULL) when it failed, with the words in `err`. */

/* Words with the place, the line and a caret below `at`. */
bool trp_expr_refuse(struct trp_expr_work *w, uint32_t at, const char *format, ...)
    TRP_PRINTF(3, 4);
bool trp_expr_no_memory(struct trp_expr_work *w);
bool trp_expr_too_large(struct trp_expr_work *w, uint32_t at, const char *what);

/* Reads the next token into w->token. */
bool trp_expr_lex(struct trp_expr_work *w);

struct trp_expr_node *trp_expr_node_new(struct trp_expr_work *w, enum trp_expr_op op, uint32_t from,
                                        uint32_t to);
bool trp_expr_node_add(struct trp_expr_work *w, struct trp_expr_node *parent,
                       struct trp_expr_node *kid);
struct trp_expr_node *trp_expr_parse(struct trp_expr_work *w);

/* Finds types, resolves names, folds constants. */
bool trp_expr_check(struct trp_expr_work *w, struct trp_expr_node *n);
/* Of a checked one: whether it can be neither true nor false, whatever comes; and what it is. */
bool trp_expr_is_never_bool(const struct trp_expr_node *n);
const char *trp_expr_type_words(const struct trp_expr_node *n);

/* What a path of names stands for. */
enum trp_expr_thing {
    TRP_THING_VALUE, /* the node itself, checked */
    TRP_THING_INPUT, /* n->ref.name; has() and size() take it */
    TRP_THING_MODEL,
    TRP_THING_LIST, /* n->list: its place */
    TRP_THING_ROOT  /* n->list: which */
};
bool trp_expr_resolve(struct trp_expr_work *w, struct trp_expr_node *n,
                      enum trp_expr_thing *out_thing);
bool trp_expr_refuse_thing(struct trp_expr_work *w, const struct trp_expr_node *n,
                           enum trp_expr_thing thing);
/* The words that such a fact may be; NULL: any. */
const char *const *trp_expr_words_of(enum trp_fact_what what);
/* From which to which number it goes; false: any. */
bool trp_expr_range_of(enum trp_fact_what what, double *out_least, double *out_most);
/* The nearest of some names, for "did you mean"; NULL: none is near. */
const char *trp_expr_nearest(struct trp_str name, const char *const *names, uint32_t names_n);

/* "30ms" and "1.5GiB": the number's value with its unit; false: no such unit, or beyond 64 bits. */
bool trp_expr_scale(struct trp_str number, struct trp_str unit, struct trp_fact *out);

/* Patterns (expr_pattern.c). */
struct trp_pattern {
    struct trp_pattern *next;
    void *code; /* pcre2_code */
    bool is_anchored;
};
bool trp_pattern_compile(struct trp_expr_work *w, uint32_t at, struct trp_str pattern,
                         struct trp_pattern **out);
void trp_pattern_free(struct trp_pattern *first); /* and all behind it */
struct trp_fact trp_pattern_matches(const struct trp_pattern *p, struct trp_matcher *m,
                                    struct trp_str subject);

/* What operators do with values (expr_ops.c); UNKNOWN operands are the caller's business. */
struct trp_fact trp_expr_apply1(enum trp_expr_op op, const struct trp_fact *a);
struct trp_fact trp_expr_apply2(enum trp_expr_op op, const struct trp_fact *a,
                                const struct trp_fact *b);

#endif

/* route/facts.h - what a rule can see, and how it is read at the moment of a decision.
 * Answers "what is true of this request, of the models, of the server, of the hour?".
 *
 * A rule names facts (`params.purchases`, `inputs.image.kind`, `models.ranker.p99`, `time.hour`);
 * when it is compiled each name becomes a `trp_fact_ref`, once; when it is evaluated the ref is
 * read from a `trp_facts`, which knows the call, the clock and who tells the load.  Reading
 * allocates nothing; what costs something (civil time, the least and greatest of a tensor) is kept
 * for the next rule that asks.  A fact that is not there is not an error: it is unknown, with the
 * reason why.
 *
 * The call is decoded but not yet bound: nothing about its tensors was checked, so everything is
 * checked here. */
#ifndef TRP_FACTS_H
#define TRP_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/str.h"
#include "call/call.h"
#include "route/cron.h"
#include "route/load_view.h"
#include "route/zone.h"

struct trp_key_list;
struct trp_matcher;

enum trp_fact_kind {
    TRP_FACT_UNKNOWN,
    TRP_FACT_BOOL,
    TRP_FACT_INT,
    TRP_FACT_DOUBLE,
    TRP_FACT_TEXT,
    TRP_FACT_DURATION, /* i: ns */
    TRP_FACT_LIST,     /* of int: a shape */
    TRP_FACT_KINDS
};

/* Why something is not known. */
enum trp_unknown_why {
    TRP_UNKNOWN_MISSING,    /* the request does not have it */
    TRP_UNKNOWN_NO_ELEMENT, /* no element at that place */
    TRP_UNKNOWN_BAD_TENSOR, /* its bytes do not fit its shape */
    TRP_UNKNOWN_TOO_LARGE,  /* more than a rule looks at */
    TRP_UNKNOWN_NO_VALUES,  /* of a tensor of texts, or without elements */
    TRP_UNKNOWN_NOT_TOLD,   /* nobody measures it, or not yet */
    TRP_UNKNOWN_MISMATCH,   /* of another type than what it is used as */
    TRP_UNKNOWN_CONVERSION, /* int('x') */
    TRP_UNKNOWN_OVERFLOW,   /* beyond 64 bits */
    TRP_UNKNOWN_ZERO,       /* divided by zero */
    TRP_UNKNOWN_LIMIT,      /* a pattern took longer than it may */
    TRP_UNKNOWN_LATER,      /* it may well be there once it is asked for in earnest */
    TRP_UNKNOWN_WHYS
};

struct trp_fact {
    uint32_t kind; /* enum trp_fact_kind */
    uint32_t n;    /* list: its length; unknown: where (expr's) */
    union {
        bool b;
        int64_t i;
        double d;
        struct trp_str s;
        const int64_t *list;
        struct {
            enum trp_unknown_why why;
            uint32_t left, right; /* MISMATCH: the kinds that met; right 0: only one */
        };
    } v;
};

/* Which fact.  The order is that of the table in facts.c. */
enum trp_fact_what {
    TRP_FACT_PARAM,
    TRP_FACT_HEADER,
    TRP_FACT_INPUT, /* alone in has() only */
    TRP_FACT_INPUT_DTYPE,
    TRP_FACT_INPUT_SHAPE,
    TRP_FACT_INPUT_ROWS,
    TRP_FACT_INPUT_BYTES,
    TRP_FACT_INPUT_SIZE, /* elements */
    TRP_FACT_INPUT_KIND, /* what the first text is: route/sniff.h */
    TRP_FACT_INPUT_MIN,
    TRP_FACT_INPUT_MAX,
    TRP_FACT_INPUT_MEAN,
    TRP_FACT_INPUT_NONZERO,
    TRP_FACT_INPUT_ELEMENT, /* index */
    TRP_FACT_REQUEST_PROTOCOL,
    TRP_FACT_REQUEST_ROWS,
    TRP_FACT_REQUEST_BYTES,
    TRP_FACT_REQUEST_CLASS,
    TRP_FACT_REQUEST_PRIORITY,
    TRP_FACT_REQUEST_TENANT,
    TRP_FACT_REQUEST_ID,
    TRP_FACT_REQUEST_MODEL,
    TRP_FACT_MODEL_READY,
    TRP_FACT_MODEL_QUEUE,
    TRP_FACT_MODEL_WAIT,
    TRP_FACT_MODEL_P50,
    TRP_FACT_MODEL_P99,
    TRP_FACT_MODEL_ERRORS,
    TRP_FACT_MODEL_BUSY,
    TRP_FACT_MODEL_BYTES,
    TRP_FACT_SERVER_CPU,
    TRP_FACT_SERVER_MEMORY,
    TRP_FACT_SERVER_IN_FLIGHT,
    TRP_FACT_TIME_HOUR,
    TRP_FACT_TIME_MINUTE,
    TRP_FACT_TIME_WEEKDAY,
    TRP_FACT_TIME_DAY,
    TRP_FACT_TIME_MONTH,
    TRP_FACT_TIME_YEAR,
    TRP_FACT_TIME_DATE,
    TRP_FACT_TIME_WITHIN, /* cron */
    TRP_FACT_WHATS
};

/* One fact that a rule names, resolved when the rule was compiled. */
struct trp_fact_ref {
    enum trp_fact_what what;
    struct trp_str name; /* of the parameter, header (lower case), input, model */
    int64_t index;       /* of an element */
    const struct trp_cron *cron;
};

#define TRP_FACTS_ELEMENTS_MAX (1u << 20) /* of a tensor whose least, greatest, mean is asked */
#define TRP_FACTS_TEXTS_MAX 4096u         /* texts[i] of BYTES: walked one by one */
#define TRP_FACTS_MODELS_KEPT 4u
#define TRP_FACTS_REDUCTIONS_KEPT 8u

/* What rules see in one decision.  The caller fills the first part and leaves the rest to
 * trp_facts_init(). */
struct trp_facts {
    const struct trp_call *call;
    uint32_t loop_index;
    const struct trp_load_view *load;  /* NULL: nobody tells */
    const struct trp_clock *clock;     /* its wall clock is looked at by the first rule that asks */
    const struct trp_zone *zone;       /* NULL: UTC */
    struct trp_key_list *const *lists; /* in the order of the names that rules were compiled with */
    uint32_t lists_n;
    struct trp_matcher *matcher; /* this loop's (route/expr.h); NULL: matches() is unknown */
    const struct trp_str
        *later; /* inputs that nobody knows yet: only when something is explained */
    uint32_t later_n;

    /* kept between the rules of one decision */
    bool has_civil, has_server;
    uint8_t models_n, reductions_n, scratch_n;
    struct trp_civil civil;
    char date[12];
    struct trp_server_load server;
    struct {
        struct trp_str name;
        bool is_told;
        struct trp_model_load load;
    } models[TRP_FACTS_MODELS_KEPT];
    struct {
        const struct troupe_tensor *tensor;
        enum trp_fact_what what;
        struct trp_fact value;
    } reductions[TRP_FACTS_REDUCTIONS_KEPT];
    char scratch[224]; /* what string() wrote */
};

/* Begins a decision: forgets what was kept of another one.
 *   Owns  : all is borrowed while rules are evaluated.
 *   Thread: loop.
 *   Cost  : a few stores.
 *   Errors: none. */
static inline void trp_facts_init(struct trp_facts *f, const struct trp_call *call,
                                  uint32_t loop_index, const struct trp_clock *clock)
{
    f->call = call;
    f->loop_index = loop_index;
    f->clock = clock;
    f->load = NULL;
    f->zone = NULL;
    f->lists = NULL;
    f->lists_n = 0;
    f->matcher = NULL;
    f->later_n = 0;
    f->has_civil = f->has_server = false;
    f->models_n = f->reductions_n = f->scratch_n = 0;
}

/* Reads one fact.
 *   Owns  : texts and lists are borrowed from the call, the ref or `f`.
 *   Thread: loop.
 *   Blocks: never.
 *   Cost  : tens of ns; the first look at a tensor's values is a pass over at most
 *           TRP_FACTS_ELEMENTS_MAX of them.
 *   Errors: none; what is not there is UNKNOWN with the reason. */
void trp_facts_read(struct trp_facts *f, const struct trp_fact_ref *ref, struct trp_fact *out);

/* Is this key in the list at that place of `lists`?  Integers are looked up by their decimal
 * digits.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none; UNKNOWN when there is no such list, or `key` is neither text nor integer. */
void trp_facts_in_list(struct trp_facts *f, uint32_t list, const struct trp_fact *key,
                       struct trp_fact *out);

/* What a fact's kind and a reason are called in messages: "an int"; "is missing".
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const char *trp_fact_kind_name(uint32_t kind);
const char *trp_unknown_words(enum trp_unknown_why why);

static inline struct trp_fact trp_fact_unknown(enum trp_unknown_why why)
{
    return (struct trp_fact){ .kind = TRP_FACT_UNKNOWN, .v = { .why = why } };
}
static inline struct trp_fact trp_fact_bool(bool b)
{
    return (struct trp_fact){ .kind = TRP_FACT_BOOL, .v = { .b = b } };
}
static inline struct trp_fact trp_fact_int(int64_t i)
{
    return (struct trp_fact){ .kind = TRP_FACT_INT, .v = { .i = i } };
}
static inline struct trp_fact trp_fact_double(double d)
{
    return (struct trp_fact){ .kind = TRP_FACT_DOUBLE, .v = { .d = d } };
}
static inline struct trp_fact trp_fact_text(struct trp_str s)
{
    return (struct trp_fact){ .kind = TRP_FACT_TEXT, .v = { .s = s } };
}

#endif

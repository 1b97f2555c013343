/* route/expr_names.c - what a path of names stands for.  See expr_tree.h.
 *
 * `params.user`, `headers['x-tier']`, `inputs.image.shape[1]`, `models['ranker@canary'].p99`,
 * `server.cpu`, `time.hour`, `lists.known`: each path becomes one node with a resolved ref.  A
 * wrong name is told with the nearest right one. */
#include <stdio.h>

#include "route/expr_tree.h"
#include "tensor/dtype.h"

enum root { PARAMS, HEADERS, INPUTS, MODELS, REQUEST, SERVER, TIME, LISTS, ROOTS };

static const char *const roots[ROOTS] = { "params",  "headers", "inputs", "models",
                                          "request", "server",  "time",   "lists" };

struct member {
    const char *name;
    enum trp_fact_what what;
    enum trp_fact_kind type;
};

static const struct member input_members[] = {
    { "dtype", TRP_FACT_INPUT_DTYPE, TRP_FACT_TEXT },
    { "shape", TRP_FACT_INPUT_SHAPE, TRP_FACT_LIST },
    { "rows", TRP_FACT_INPUT_ROWS, TRP_FACT_INT },
    { "bytes", TRP_FACT_INPUT_BYTES, TRP_FACT_INT },
    { "kind", TRP_FACT_INPUT_KIND, TRP_FACT_TEXT },
    { "min", TRP_FACT_INPUT_MIN, TRP_FACT_DOUBLE },
    { "max", TRP_FACT_INPUT_MAX, TRP_FACT_DOUBLE },
    { "mean", TRP_FACT_INPUT_MEAN, TRP_FACT_DOUBLE },
    { "nonzero", TRP_FACT_INPUT_NONZERO, TRP_FACT_INT },
};

static const struct member model_members[] = {
    { "ready", TRP_FACT_MODEL_READY, TRP_FACT_BOOL },
    { "queue", TRP_FACT_MODEL_QUEUE, TRP_FACT_INT },
    { "wait", TRP_FACT_MODEL_WAIT, TRP_FACT_DURATION },
    { "p50", TRP_FACT_MODEL_P50, TRP_FACT_DURATION },
    { "p99", TRP_FACT_MODEL_P99, TRP_FACT_DURATION },
    { "errors", TRP_FACT_MODEL_ERRORS, TRP_FACT_DOUBLE },
    { "busy", TRP_FACT_MODEL_BUSY, TRP_FACT_INT },
    { "bytes", TRP_FACT_MODEL_BYTES, TRP_FACT_INT },
};

static const struct member request_members[] = {
    { "protocol", TRP_FACT_REQUEST_PROTOCOL, TRP_FACT_TEXT },
    { "rows", TRP_FACT_REQUEST_ROWS, TRP_FACT_INT },
    { "bytes", TRP_FACT_REQUEST_BYTES, TRP_FACT_INT },
    { "class", TRP_FACT_REQUEST_CLASS, TRP_FACT_TEXT },
    { "priority", TRP_FACT_REQUEST_PRIORITY, TRP_FACT_INT },
    { "tenant", TRP_FACT_REQUEST_TENANT, TRP_FACT_TEXT },
    { "id", TRP_FACT_REQUEST_ID, TRP_FACT_TEXT },
    { "model", TRP_FACT_REQUEST_MODEL, TRP_FACT_TEXT },
};

static const struct member server_members[] = {
    { "cpu", TRP_FACT_SERVER_CPU, TRP_FACT_DOUBLE },
    { "memory", TRP_FACT_SERVER_MEMORY, TRP_FACT_DOUBLE },
    { "in_flight", TRP_FACT_SERVER_IN_FLIGHT, TRP_FACT_INT },
};

static const struct member time_members[] = {
    { "hour", TRP_FACT_TIME_HOUR, TRP_FACT_INT },
    { "minute", TRP_FACT_TIME_MINUTE, TRP_FACT_INT },
    { "weekday", TRP_FACT_TIME_WEEKDAY, TRP_FACT_TEXT },
    { "day", TRP_FACT_TIME_DAY, TRP_FACT_INT },
    { "month", TRP_FACT_TIME_MONTH, TRP_FACT_INT },
    { "year", TRP_FACT_TIME_YEAR, TRP_FACT_INT },
    { "date", TRP_FACT_TIME_DATE, TRP_FACT_TEXT },
};

/* ---- words that a fact may be ---- */

static const char *const kind_words[] = { "text", "image", "audio",  "video",
                                          "pdf",  "other", "tensor", NULL };
static const char *const protocol_words[] = { "http", "grpc", "internal", NULL };
static const char *const class_words[] = { "normal", "interactive", "batch", NULL };
static const char *const weekday_words[] = {
    "mon", "tue", "wed", "thu", "fri", "sat", "sun", NULL
};
static const char *const dtype_words[] = {
#define X(name, config_name, bytes) #name,
#include "troupe/dtype.def"
#undef X
    NULL
};

const char *const *trp_expr_words_of(enum trp_fact_what what)
{
    switch (what) {
    case TRP_FACT_INPUT_KIND:
        return kind_words;
    case TRP_FACT_INPUT_DTYPE:
        return dtype_words;
    case TRP_FACT_REQUEST_PROTOCOL:
        return protocol_words;
    case TRP_FACT_REQUEST_CLASS:
        return class_words;
    case TRP_FACT_TIME_WEEKDAY:
        return weekday_words;
    default:
        return NULL;
    }
}

bool trp_expr_range_of(enum trp_fact_what what, double *out_least, double *out_most)
{
    static const struct {
        enum trp_fact_what what;
        double least, most;
    } ranges[] = {
        { TRP_FACT_TIME_HOUR, 0, 23 },   { TRP_FACT_TIME_MINUTE, 0, 59 },
        { TRP_FACT_TIME_DAY, 1, 31 },    { TRP_FACT_TIME_MONTH, 1, 12 },
        { TRP_FACT_SERVER_CPU, 0, 1 },   { TRP_FACT_SERVER_MEMORY, 0, 1 },
        { TRP_FACT_MODEL_ERRORS, 0, 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        if (ranges[i].what != what)
            continue;
        *out_least = ranges[i].least;
        *out_most = ranges[i].most;
        return true;
    }
    return false;
}

/* ---- the nearest name ---- */

#define NAME_SHOWN 60u

static struct trp_str shown(struct trp_str name)
{
    return trp_str_make(name.ptr, name.len < NAME_SHOWN ? name.len : NAME_SHOWN);
}

struct nearest {
    struct trp_str wanted, best;
    uint32_t limit;
    bool found;
};

/* A third of the letters may be wrong, and one at least; of a single letter none, which would be
 * another name. */
static struct nearest nearest_to(struct trp_str name)
{
    const uint32_t letters = name.len < 64 ? (uint32_t)name.len : 64u;
    return (struct nearest){ .wanted = name,
                             .limit = letters < 2   ? 0
                                      : letters < 6 ? 1
                                                    : letters / 3 };
}

static void consider(struct nearest *n, struct trp_str known)
{
    const uint32_t distance = trp_str_distance(n->wanted, known, n->limit);
    if (distance > n->limit || (n->found && distance == n->limit))
        return;
    n->best = known;
    n->limit = distance;
    n->found = true;
}

const char *trp_expr_nearest(struct trp_str name, const char *const *names, uint32_t names_n)
{
    struct nearest n = nearest_to(name);
    for (uint32_t i = 0; i < names_n; i++)
        consider(&n, trp_str_of(names[i]));
    return n.found ? n.best.ptr : NULL;
}

/* "no <what> 'x'", and which is meant, or which there are. */
static bool refuse_name(struct trp_expr_work *w, uint32_t at, const char *what,
                        const struct nearest *n, const char *otherwise)
{
    const struct trp_str name = shown(n->wanted), best = shown(n->best);
    if (n->found)
        return trp_expr_refuse(w, at, "no %s '%.*s'; did you mean '%.*s'?", what, TRP_STR(name),
                               TRP_STR(best));
    return trp_expr_refuse(w, at, "no %s '%.*s'%s%s", what, TRP_STR(name), otherwise ? "; " : "",
                           otherwise ? otherwise : "");
}

/* Where the last name of a path begins. */
static uint32_t name_at(const struct trp_expr_node *n)
{
    return n->op == TRP_OP_MEMBER ? n->to - (uint32_t)n->name.len
           : n->last              ? n->last->from
                                  : n->from;
}

static bool take_member(struct trp_expr_work *w, struct trp_expr_node *n,
                        const struct member *members, uint32_t members_n, const char *what)
{
    struct nearest near = nearest_to(n->name);
    char all[160];
    size_t used = 0;
    for (const struct member *m = members; m < members + members_n; m++) {
        if (trp_str_is(n->name, m->name)) {
            n->op = TRP_OP_FACT;
            n->ref.what = m->what;
            n->type = m->type;
            return true;
        }
        consider(&near, trp_str_of(m->name));
        const int more =
            snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "there are ", m->name);
        if (more > 0 && (size_t)more < sizeof all - used)
            used += (size_t)more;
    }
    return refuse_name(w, name_at(n), what, &near, all);
}

/* ---- what stands behind each root ---- */

static bool take_param(struct trp_expr_node *n, struct trp_str name)
{
    n->op = TRP_OP_FACT;
    n->ref = (struct trp_fact_ref){ .what = TRP_FACT_PARAM, .name = name };
    n->type = TRP_FACT_UNKNOWN;
    return true;
}

/* Names of headers come in lower case, whatever the client wrote. */
static bool take_header(struct trp_expr_work *w, struct trp_expr_node *n, struct trp_str name)
{
    char *lower = trp_arena_get(w->keep, name.len + 1);
    if (!lower)
        return trp_expr_no_memory(w);
    for (size_t i = 0; i < name.len; i++)
        lower[i] =
            (char)(name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? name.ptr[i] + 32 : name.ptr[i]);
    n->op = TRP_OP_FACT;
    n->ref =
        (struct trp_fact_ref){ .what = TRP_FACT_HEADER, .name = trp_str_make(lower, name.len) };
    n->type = TRP_FACT_TEXT;
    return true;
}

/* Which type the models that may be asked have agreed on for an input; NO_DTYPE: on none.
 * False: none of them takes it. */
static bool declared_dtype(const struct trp_expr_env *env, struct trp_str name, int32_t *out_dtype)
{
    bool found = false;
    *out_dtype = TROUPE_NO_DTYPE;
    for (uint32_t i = 0; i < env->signatures_n; i++) {
        const struct trp_io *io = trp_signature_input(env->signatures[i], name);
        if (io && found && io->dtype != *out_dtype)
            *out_dtype = TROUPE_NO_DTYPE;
        else if (io && !found)
            *out_dtype = io->dtype;
        found = found || io;
    }
    return found;
}

/* Whether one of the signatures before has the same input. */
static bool is_listed(const struct trp_expr_env *env, uint32_t before, struct trp_str name)
{
    for (uint32_t i = 0; i < before; i++)
        if (trp_signature_input(env->signatures[i], name))
            return true;
    return false;
}

/* "there are a, b": those that have room. */
static size_t list_name(char *all, size_t size, size_t used, struct trp_str name)
{
    const int more = snprintf(all + used, size - used, "%s%.*s", used ? ", " : "there are ",
                              TRP_STR(shown(name)));
    if (more > 0 && (size_t)more < size - used)
        return used + (size_t)more;
    all[used] = '\0';
    return used;
}

static bool take_input(struct trp_expr_work *w, struct trp_expr_node *n, struct trp_str name)
{
    const struct trp_expr_env *env = w->env;
    char all[160] = "there is none";
    size_t used = 0;
    int32_t dtype;
    n->ref = (struct trp_fact_ref){ .what = TRP_FACT_INPUT, .name = name };
    if (env->signatures_n == 0 || declared_dtype(env, name, &dtype))
        return true;
    struct nearest near = nearest_to(name);
    for (uint32_t i = 0; i < env->signatures_n; i++) {
        const struct trp_signature *s = env->signatures[i];
        for (uint32_t k = 0; k < s->inputs_n; k++) {
            const struct trp_str known = s->inputs[k].name;
            consider(&near, known);
            used = is_listed(env, i, known) ? used : list_name(all, sizeof all, used, known);
        }
    }
    return refuse_name(w, name_at(n), env->input_words ? env->input_words : "input", &near, all);
}

static bool take_model(struct trp_expr_work *w, struct trp_expr_node *n, struct trp_str name)
{
    struct nearest near = nearest_to(name);
    n->ref = (struct trp_fact_ref){ .name = name };
    if (!w->env->models)
        return true;
    for (uint32_t i = 0; i < w->env->models_n; i++) {
        if (trp_str_is_equal(w->env->models[i], name))
            return true;
        consider(&near, w->env->models[i]);
    }
    return refuse_name(w, name_at(n), "model", &near, NULL);
}

static bool take_list(struct trp_expr_work *w, struct trp_expr_node *n, struct trp_str name)
{
    struct nearest near = nearest_to(name);
    for (uint32_t i = 0; i < w->env->lists_n; i++) {
        n->list = i;
        if (trp_str_is_equal(w->env->lists[i], name))
            return true;
        consider(&near, w->env->lists[i]);
    }
    return refuse_name(w, name_at(n), "list", &near, w->env->lists_n ? NULL : "none is declared");
}

/* The name behind a root: `.name`, or ['any text']. */
static bool name_of(struct trp_expr_work *w, struct trp_expr_node *n, const char *root,
                    struct trp_str *out)
{
    *out = n->name;
    if (n->op == TRP_OP_MEMBER)
        return true;
    const struct trp_expr_node *key = n->last;
    if (key->op != TRP_OP_CONST || key->value.kind != TRP_FACT_TEXT)
        return trp_expr_refuse(w, key->from, "%s[...] takes a constant text", root);
    *out = key->value.v.s;
    return true;
}

static bool take_root(struct trp_expr_work *w, struct trp_expr_node *n, enum root root,
                      enum trp_expr_thing *out_thing)
{
    struct trp_str name;
    if (!name_of(w, n, roots[root], &name))
        return false;
    n->name = name;
    *out_thing = TRP_THING_VALUE;
    switch (root) {
    case PARAMS:
        return take_param(n, name);
    case HEADERS:
        return take_header(w, n, name);
    case INPUTS:
        *out_thing = TRP_THING_INPUT;
        return take_input(w, n, name);
    case MODELS:
        *out_thing = TRP_THING_MODEL;
        return take_model(w, n, name);
    case LISTS:
        *out_thing = TRP_THING_LIST;
        return take_list(w, n, name);
    case REQUEST:
        return take_member(w, n, request_members, ARRAY_LEN(request_members), "request fact");
    case SERVER:
        return take_member(w, n, server_members, ARRAY_LEN(server_members), "server fact");
    default:
        return take_member(w, n, time_members, ARRAY_LEN(time_members), "time fact");
    }
}

/* ---- tensors ---- */

static enum trp_fact_kind type_of_dtype(int32_t dtype)
{
    switch (dtype) {
    case TROUPE_BYTES:
        return TRP_FACT_TEXT;
    case TROUPE_BOOL:
        return TRP_FACT_BOOL;
    case TROUPE_FP16:
    case TROUPE_BF16:
    case TROUPE_FP32:
    case TROUPE_FP64:
        return TRP_FACT_DOUBLE;
    case TROUPE_NO_DTYPE:
        return TRP_FACT_UNKNOWN;
    default:
        return TRP_FACT_INT;
    }
}

static bool take_input_member(struct trp_expr_work *w, struct trp_expr_node *n)
{
    const struct trp_str input = n->first->ref.name;
    const struct trp_str name = shown(input);
    int32_t dtype;
    if (!take_member(w, n, input_members, ARRAY_LEN(input_members), "fact of a tensor"))
        return false;
    n->ref.name = input;
    if (declared_dtype(w->env, input, &dtype) && dtype == TROUPE_BYTES &&
        n->ref.what >= TRP_FACT_INPUT_MIN)
        return trp_expr_refuse(w, name_at(n), "input '%.*s' is of texts (BYTES) and has no %.*s",
                               TRP_STR(name), TRP_STR(n->name));
    return true;
}

static bool take_element(struct trp_expr_work *w, struct trp_expr_node *n)
{
    const struct trp_str input = n->first->ref.name;
    struct trp_expr_node *at = n->last;
    int32_t dtype;
    if (!trp_expr_check(w, at))
        return false;
    if (at->type != TRP_FACT_INT && at->type != TRP_FACT_UNKNOWN)
        return trp_expr_refuse(w, at->from, "the place of an element is an int, not %s",
                               trp_fact_kind_name(at->type));
    (void)declared_dtype(w->env, input, &dtype);
    n->type = type_of_dtype(dtype);
    n->ref = (struct trp_fact_ref){ .what = TRP_FACT_INPUT_ELEMENT, .name = input };
    if (at->op != TRP_OP_CONST) {
        n->op = TRP_OP_ELEMENT;
        n->first = n->last = at;
        n->kids_n = 1;
        return true;
    }
    if (at->value.v.i < 0)
        return trp_expr_refuse(w, at->from, "elements are counted from 0");
    n->op = TRP_OP_FACT;
    n->ref.index = at->value.v.i;
    return true;
}

/* ---- paths ---- */

static bool resolve_name(struct trp_expr_work *w, struct trp_expr_node *n)
{
    struct nearest near = nearest_to(n->name);
    const struct trp_str name = shown(n->name);
    for (uint32_t i = 0; i < ROOTS; i++) {
        n->list = i;
        if (trp_str_is(n->name, roots[i]))
            return true;
        consider(&near, trp_str_of(roots[i]));
    }
    if (near.found)
        return refuse_name(w, n->from, "name", &near, NULL);
    return trp_expr_refuse(w, n->from,
                           "no name '%.*s'; a text needs quotes, and a parameter is params.%.*s",
                           TRP_STR(name), TRP_STR(name));
}

static bool refuse_member(struct trp_expr_work *w, const struct trp_expr_node *n)
{
    const struct trp_str name = shown(n->name);
    if (n->op == TRP_OP_MEMBER)
        return trp_expr_refuse(w, name_at(n), "%s has no member '%.*s'",
                               n->first->type ? trp_fact_kind_name(n->first->type) : "a value",
                               TRP_STR(name));
    return trp_expr_refuse(w, n->first->to, "%s has no elements",
                           n->first->type ? trp_fact_kind_name(n->first->type) : "a value");
}

static bool resolve_value(struct trp_expr_work *w, struct trp_expr_node *n)
{
    if (n->op == TRP_OP_MEMBER || n->first->type != TRP_FACT_LIST)
        return refuse_member(w, n);
    if (!trp_expr_check(w, n->last))
        return false;
    if (n->last->type != TRP_FACT_INT && n->last->type != TRP_FACT_UNKNOWN)
        return trp_expr_refuse(w, n->last->from, "the place of an element is an int, not %s",
                               trp_fact_kind_name(n->last->type));
    n->type = TRP_FACT_INT;
    return true;
}

static bool resolve(struct trp_expr_work *w, struct trp_expr_node *n,
                    enum trp_expr_thing *out_thing)
{
    enum trp_expr_thing of;
    *out_thing = TRP_THING_VALUE;
    if (n->op == TRP_OP_NAME) {
        *out_thing = TRP_THING_ROOT;
        return resolve_name(w, n);
    }
    if (n->op != TRP_OP_MEMBER && n->op != TRP_OP_INDEX)
        return trp_expr_check(w, n);
    if (!trp_expr_resolve(w, n->first, &of)) /* as deep as the tree, which is limited */
        return false;
    switch (of) {
    case TRP_THING_ROOT:
        return take_root(w, n, (enum root)n->first->list, out_thing);
    case TRP_THING_INPUT:
        return n->op == TRP_OP_MEMBER ? take_input_member(w, n) : take_element(w, n);
    case TRP_THING_MODEL:
        if (n->op == TRP_OP_INDEX)
            return trp_expr_refuse(w, n->first->to, "a model has no elements");
        if (!take_member(w, n, model_members, ARRAY_LEN(model_members), "fact of a model"))
            return false;
        n->ref.name = n->first->ref.name;
        return true;
    case TRP_THING_LIST:
        return trp_expr_refuse(w, n->first->to, "a list is for 'in': x in lists.name");
    default:
        return resolve_value(w, n);
    }
}

bool trp_expr_resolve(struct trp_expr_work *w, struct trp_expr_node *n,
                      enum trp_expr_thing *out_thing)
{
    if (!resolve(w, n, out_thing))
        return false;
    if (n->op == TRP_OP_FACT) { /* the path is in its ref now */
        n->first = n->last = NULL;
        n->kids_n = 0;
    }
    return true;
}

bool trp_expr_refuse_thing(struct trp_expr_work *w, const struct trp_expr_node *n,
                           enum trp_expr_thing thing)
{
    static const char *const named[ROOTS] = { "params.name or params['name']",
                                              "headers.name or headers['x-name']",
                                              "inputs.name.shape",
                                              "models.name.ready",
                                              "request.rows",
                                              "server.cpu",
                                              "time.hour",
                                              "x in lists.name" };
    if (thing == TRP_THING_ROOT)
        return trp_expr_refuse(w, n->from, "'%s' is no value: write %s", roots[n->list],
                               named[n->list]);
    if (thing == TRP_THING_LIST)
        return trp_expr_refuse(w, n->from, "a list is for 'in': x in lists.name");
    if (thing == TRP_THING_MODEL)
        return trp_expr_refuse(w, n->from,
                               "a model is no value: ask for its ready, queue, wait, "
                               "p50, p99, errors, busy or bytes");
    return trp_expr_refuse(
        w, n->from,
        "a tensor is no value: ask for its kind, dtype, shape, rows, bytes, min, "
        "max, mean, nonzero, or an element [0]");
}

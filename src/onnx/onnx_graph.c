/* onnx/onnx_graph.c - see onnx_graph.h.
 *
 * A graph's fields come in any order, usually nodes first, and nodes need what initialisers and
 * inputs say.  So each graph is passed over three times: declared values, initialisers, nodes.
 * Passing over a field costs one comparison however long it is, and only nodes are opened twice.
 * An inner graph is walked when the attribute that holds it is met, with the names of the outer
 * one in scope. */
#include "onnx/onnx_graph.h"

#include <stdio.h>

#include "onnx/onnx_tensor.h"
#include "onnx/onnx_value.h"

/* ---- nodes ---------------------------------------------------------------------------------- */

bool trp_onnx_domain_is_default(struct trp_str domain)
{
    return domain.len == 0 || trp_str_is(domain, "ai.onnx");
}

void trp_onnx_node_read(struct trp_onnx_walk *w, struct trp_str message, struct trp_onnx_node *node)
{
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    *node = (struct trp_onnx_node){ .message = message };
    while (trp_onnx_next(w, &r, "a node", &f)) {
        switch (trp_onnx_field_of(&f)) {
        case ONNX_NODE_INPUT:
            if (node->inputs_n < TRP_ONNX_NODE_INPUTS)
                node->inputs[node->inputs_n] = f.bytes;
            node->inputs_n++;
            break;
        case ONNX_NODE_NAME:
            node->name = f.bytes;
            break;
        case ONNX_NODE_OP:
            node->op = f.bytes;
            break;
        case ONNX_NODE_DOMAIN:
            node->domain = f.bytes;
            break;
        default:
            break;
        }
    }
    if (trp_onnx_domain_is_default(node->domain))
        node->domain = (struct trp_str){ 0 };
}

static struct trp_onnx_op *add_op(struct trp_onnx_walk *w, struct trp_str key)
{
    if (trp_table_count(w->ops) >= w->opts.ops_max) {
        trp_onnx_stop(w, TRP_TOO_LARGE, "more than %u different operators", w->opts.ops_max);
        return NULL;
    }
    struct trp_onnx_op *const op = trp_arena_zeroed(&w->scratch, 1, sizeof *op);
    if (!op) {
        trp_onnx_stop(w, TRP_OUT_OF_MEMORY, "an operator");
        return NULL;
    }
    op->name = trp_onnx_keep_name(w, key, "an operator");
    if (!trp_failed(w->status))
        w->status = trp_table_put(w->ops, op->name, op, NULL, w->err);
    return op;
}

static void count_op(struct trp_onnx_walk *w, const struct trp_onnx_node *node)
{
    char key[256];
    const int len = node->domain.len == 0 ? snprintf(key, sizeof key, "%.*s", TRP_STR(node->op))
                                          : snprintf(key, sizeof key, "%.*s:%.*s",
                                                     TRP_STR(node->domain), TRP_STR(node->op));
    if (node->op.len == 0 || len < 0 || (size_t)len >= sizeof key) {
        trp_onnx_stop(w, TRP_INVALID_ARGUMENT, "node at byte %zu has %s operator name",
                      trp_onnx_offset(w, node->message.ptr), node->op.len ? "too long an" : "no");
        return;
    }
    struct trp_onnx_op *op = trp_table_get(w->ops, trp_str_make(key, (size_t)len));
    if (!op)
        op = add_op(w, trp_str_make(key, (size_t)len));
    if (op)
        op->count++;
}

/* ---- attributes ----------------------------------------------------------------------------- */

static enum trp_onnx_place place_of(const struct trp_onnx_frame *frame, enum trp_onnx_place main)
{
    if (frame->in_function)
        return TRP_ONNX_IN_FUNCTIONS;
    return frame->kind == TRP_ONNX_SUBGRAPH_FRAME ? TRP_ONNX_IN_SUBGRAPHS : main;
}

/* What one attribute says, nested messages aside. */
struct attribute {
    struct trp_str name, message;
    uint64_t floats_n, ints_n;
    int64_t number; /* `i` */
    bool has_number, has_float;
    int32_t tensor_elem;
    struct trp_str tensor;
};

static bool is_constant(const struct trp_onnx_node *node)
{
    return node->domain.len == 0 && trp_str_is(node->op, "Constant");
}

static void take_subgraph(struct trp_onnx_walk *w, const struct trp_onnx_frame *frame,
                          const struct trp_onnx_node *node, struct trp_str graph)
{
    const struct trp_onnx_frame inner = { .kind = TRP_ONNX_SUBGRAPH_FRAME,
                                          .op = node->op,
                                          .name = node->name,
                                          .in_function = frame->in_function };
    w->model.subgraphs++;
    if (!trp_onnx_enter(w, graph.ptr, "a graph"))
        return;
    trp_onnx_graph_walk(w, graph, &inner);
    w->depth--;
}

static void take_tensor(struct trp_onnx_walk *w, enum trp_onnx_place place, struct trp_str message,
                        bool is_sparse, struct attribute *a)
{
    struct trp_onnx_tensor tensor;
    if (is_sparse) {
        trp_onnx_sparse_count(w, message, place, &tensor);
    } else {
        trp_onnx_tensor_read(w, message, &tensor);
        trp_onnx_tensor_count(w, &tensor, place);
        a->tensor = message;
    }
    a->tensor_elem = tensor.elem;
}

static uint64_t packed_count(struct trp_onnx_walk *w, struct trp_str packed)
{
    struct trp_pb_reader r = trp_pb_reader_of(packed);
    uint64_t n = 0, v;
    while (trp_pb_take_varint(&r, &v))
        n++;
    if (r.at != r.end)
        trp_onnx_stop(w, TRP_DATA_LOSS, "corrupt numbers of an attribute at byte %zu",
                      trp_onnx_offset(w, r.at));
    return n;
}

static void read_attribute_fields(struct trp_onnx_walk *w, const struct trp_onnx_frame *frame,
                                  const struct trp_onnx_node *node, struct attribute *a)
{
    const enum trp_onnx_place place =
        place_of(frame, is_constant(node) ? TRP_ONNX_IN_CONSTANTS : TRP_ONNX_IN_ATTRIBUTES);
    struct trp_pb_reader r = trp_pb_reader_of(a->message);
    struct trp_pb_field f;
    while (trp_onnx_next(w, &r, "an attribute", &f)) {
        switch (trp_onnx_field_of(&f)) {
        case ONNX_ATTRIBUTE_NAME:
            a->name = f.bytes;
            break;
        case ONNX_ATTRIBUTE_INT:
            a->number = (int64_t)f.scalar;
            a->has_number = true;
            break;
        case ONNX_ATTRIBUTE_FLOAT:
            a->has_float = true;
            break;
        case ONNX_ATTRIBUTE_FLOATS:
            a->floats_n++;
            break;
        case ONNX_ATTRIBUTE_FLOATS_PACKED:
            a->floats_n += f.bytes.len / sizeof(float);
            break;
        case ONNX_ATTRIBUTE_INTS:
            a->ints_n++;
            break;
        case ONNX_ATTRIBUTE_INTS_PACKED:
            a->ints_n += packed_count(w, f.bytes);
            break;
        case ONNX_ATTRIBUTE_TENSOR:
        case ONNX_ATTRIBUTE_TENSORS:
            take_tensor(w, place, f.bytes, false, a);
            break;
        case ONNX_ATTRIBUTE_SPARSE:
        case ONNX_ATTRIBUTE_SPARSES:
            take_tensor(w, place, f.bytes, true, a);
            break;
        case ONNX_ATTRIBUTE_GRAPH:
        case ONNX_ATTRIBUTE_GRAPHS:
            take_subgraph(w, frame, node, f.bytes);
            break;
        default:
            break;
        }
    }
}

/* Lists of numbers are parameters in two cases: ai.onnx.ml keeps whole forests in them, and
 * Constant may. */
static void count_numbers(struct trp_onnx_walk *w, const struct trp_onnx_frame *frame,
                          const struct trp_onnx_node *node, const struct attribute *a)
{
    const bool constant = is_constant(node);
    if (!constant && !trp_str_is(node->domain, TRP_ONNX_ML_DOMAIN))
        return;
    const enum trp_onnx_place place =
        place_of(frame, constant ? TRP_ONNX_IN_CONSTANTS : TRP_ONNX_IN_ATTRIBUTES);
    const uint64_t floats = a->floats_n + (constant && a->has_float);
    const uint64_t ints = a->ints_n + (constant && a->has_number);
    if (floats > 0)
        trp_onnx_numbers_count(w, TRP_ONNX_FLOAT, floats, place);
    if (ints > 0)
        trp_onnx_numbers_count(w, TRP_ONNX_INT64, ints, place);
}

/* The values of Constant and ConstantOfShape: `value`, `sparse_value`, `value_int`,
 * `value_floats`, ... */
static void remember_constant(struct trp_onnx_node *node, const struct attribute *a)
{
    if (trp_str_is(a->name, "value") || trp_str_is(a->name, "sparse_value")) {
        node->constant_elem = a->tensor_elem;
        if (a->tensor.len > 0)
            node->constant = (struct trp_onnx_constant){ TRP_ONNX_TENSOR_CONSTANT, a->tensor };
    } else if (trp_str_is(a->name, "value_int") || trp_str_is(a->name, "value_ints")) {
        node->constant_elem = TRP_ONNX_INT64;
        node->constant = (struct trp_onnx_constant){ TRP_ONNX_ATTRIBUTE_CONSTANT, a->message };
    } else if (trp_str_starts_with(a->name, TRP_STR_LIT("value_float"))) {
        node->constant_elem = TRP_ONNX_FLOAT;
    } else if (trp_str_starts_with(a->name, TRP_STR_LIT("value_string"))) {
        node->constant_elem = TRP_ONNX_STRING;
    }
}

static int32_t elem_of(int64_t number)
{
    return number > 0 && number < TRP_ONNX_ELEMS ? (int32_t)number : TRP_ONNX_NO_ELEM;
}

static void read_attribute(struct trp_onnx_walk *w, const struct trp_onnx_frame *frame,
                           struct trp_onnx_node *node, struct trp_str message)
{
    struct attribute a = { .message = message };
    read_attribute_fields(w, frame, node, &a);
    count_numbers(w, frame, node, &a);
    if (trp_str_is(a.name, "to"))
        node->to = elem_of(a.number);
    else if (trp_str_is(a.name, "dtype"))
        node->dtype = elem_of(a.number);
    else if (trp_str_is(a.name, "fmod"))
        node->fmod = a.number != 0;
    else if (trp_str_starts_with(a.name, TRP_STR_LIT("value")) ||
             trp_str_is(a.name, "sparse_value"))
        remember_constant(node, &a);
}

/* ---- facts ---------------------------------------------------------------------------------- */

static void put_fact(struct trp_onnx_walk *w, struct trp_str name, const struct trp_onnx_fact *fact)
{
    if (name.len > 0 && !trp_failed(w->status))
        w->status = trp_onnx_names_put(&w->names, name, fact, w->err);
}

/* A declared type is kept where inference has nothing to say: the runtime checks that it is
 * true. */
static void put_outputs(struct trp_onnx_walk *w, const struct trp_onnx_node *node)
{
    struct trp_pb_reader r = trp_pb_reader_of(node->message);
    struct trp_pb_field f;
    uint32_t index = 0;
    while (trp_onnx_next(w, &r, "a node", &f)) {
        if (trp_onnx_field_of(&f) != ONNX_NODE_OUTPUT)
            continue;
        struct trp_onnx_fact declared = { 0 };
        struct trp_onnx_fact fact = { 0 };
        if (!w->has_default_functions)
            fact = trp_onnx_infer(&w->names, node, index);
        index++;
        if (fact.elem == TRP_ONNX_NO_ELEM && trp_onnx_names_is_local(&w->names, f.bytes, &declared))
            fact.elem = declared.elem;
        put_fact(w, f.bytes, &fact);
    }
}

static void walk_node(struct trp_onnx_walk *w, const struct trp_onnx_frame *frame,
                      struct trp_str message)
{
    struct trp_onnx_node node;
    if (++w->model.nodes > w->opts.nodes_max) {
        trp_onnx_stop(w, TRP_TOO_LARGE, "more than %u nodes", w->opts.nodes_max);
        return;
    }
    trp_onnx_node_read(w, message, &node);
    if (!trp_failed(w->status))
        count_op(w, &node);
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    while (trp_onnx_next(w, &r, "a node", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_NODE_ATTRIBUTE)
            read_attribute(w, frame, &node, f.bytes);
    }
    if (trp_failed(w->status))
        return;
    trp_onnx_hazard_check(w, frame, &node);
    put_outputs(w, &node);
}

static void declare_value(struct trp_onnx_walk *w, struct trp_str message, bool is_input)
{
    struct trp_str name;
    struct trp_onnx_fact fact = { .is_input = is_input };
    struct trp_onnx_fact old;
    trp_onnx_value_peek(w, message, &name, &fact.elem);
    if (trp_onnx_names_is_local(&w->names, name, &old) && old.is_input)
        return; /* an input that is an output as well */
    put_fact(w, name, &fact);
}

static void take_initializer(struct trp_onnx_walk *w, const struct trp_onnx_frame *frame,
                             struct trp_str message, bool is_sparse)
{
    struct trp_onnx_tensor tensor;
    struct trp_onnx_fact fact = { 0 }, old = { 0 };
    if (is_sparse) {
        trp_onnx_sparse_count(w, message, place_of(frame, TRP_ONNX_IN_SPARSE), &tensor);
    } else {
        trp_onnx_tensor_read(w, message, &tensor);
        trp_onnx_tensor_count(w, &tensor, place_of(frame, TRP_ONNX_IN_INITIALIZERS));
    }
    fact.elem = tensor.elem;
    const bool overridable = trp_onnx_names_is_local(&w->names, tensor.name, &old) &&
                             old.is_input && w->model.ir_version >= TRP_ONNX_IR_OVERRIDABLE;
    fact.is_input = old.is_input;
    if (!is_sparse && !overridable) /* a sparse one holds zeros besides its values */
        fact.constant = (struct trp_onnx_constant){ TRP_ONNX_TENSOR_CONSTANT, tensor.message };
    put_fact(w, tensor.name, &fact);
}

void trp_onnx_graph_walk(struct trp_onnx_walk *w, struct trp_str graph,
                         const struct trp_onnx_frame *frame)
{
    const uint32_t outer = trp_onnx_names_open(&w->names);
    struct trp_pb_field f;
    for (struct trp_pb_reader r = trp_pb_reader_of(graph); trp_onnx_next(w, &r, "a graph", &f);) {
        const uint32_t field = trp_onnx_field_of(&f);
        if (field == ONNX_GRAPH_INPUT || field == ONNX_GRAPH_OUTPUT ||
            field == ONNX_GRAPH_VALUE_INFO)
            declare_value(w, f.bytes, field == ONNX_GRAPH_INPUT);
    }
    for (struct trp_pb_reader r = trp_pb_reader_of(graph); trp_onnx_next(w, &r, "a graph", &f);) {
        const uint32_t field = trp_onnx_field_of(&f);
        if (field == ONNX_GRAPH_INITIALIZER || field == ONNX_GRAPH_SPARSE)
            take_initializer(w, frame, f.bytes, field == ONNX_GRAPH_SPARSE);
    }
    for (struct trp_pb_reader r = trp_pb_reader_of(graph); trp_onnx_next(w, &r, "a graph", &f);) {
        if (trp_onnx_field_of(&f) == ONNX_GRAPH_NODE)
            walk_node(w, frame, f.bytes);
    }
    trp_onnx_names_close(&w->names, outer);
}

void trp_onnx_function_walk(struct trp_onnx_walk *w, struct trp_str function)
{
    struct trp_onnx_frame frame = { .kind = TRP_ONNX_FUNCTION_FRAME, .in_function = true };
    const uint32_t outer = trp_onnx_names_open(&w->names);
    struct trp_pb_field f;
    w->model.functions++;
    for (struct trp_pb_reader r = trp_pb_reader_of(function);
         trp_onnx_next(w, &r, "a function", &f);) {
        if (trp_onnx_field_of(&f) == ONNX_FUNCTION_NAME)
            frame.name = f.bytes;
        else if (trp_onnx_field_of(&f) == ONNX_FUNCTION_VALUE_INFO)
            declare_value(w, f.bytes, false);
    }
    for (struct trp_pb_reader r = trp_pb_reader_of(function);
         trp_onnx_next(w, &r, "a function", &f);) {
        if (trp_onnx_field_of(&f) == ONNX_FUNCTION_NODE)
            walk_node(w, &frame, f.bytes);
    }
    trp_onnx_names_close(&w->names, outer);
}

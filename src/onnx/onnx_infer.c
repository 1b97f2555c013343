/* onnx/onnx_infer.c - see onnx_infer.h.
 *
 * Two facts matter to who asks (onnx_hazard.c): the element type, and whether a value can be -1.
 * The latter follows from where a value comes from: sizes and indices are not negative, and
 * operators that only choose and move elements cannot make new ones.  Narrowing casts can, so
 * they keep nothing: a request may carry the shape [0, 2^32 - 1]. */
#include "onnx/onnx_infer.h"

#include <stdlib.h>
#include <string.h>

#include "onnx/onnx_proto.h"
#include "onnx/onnx_type.h"

enum how {
    HOW_LIKE_FIRST,  /* element type of input 0 */
    HOW_LIKE_SECOND, /* of input 1 */
    HOW_LIKE_THIRD,  /* of input 2 */
    HOW_MOVES,       /* every element is one of input 0 */
    HOW_JOINS,       /* every element is one of some input */
    HOW_INDEX,       /* int64, not negative */
    HOW_BOOL,
    HOW_INT32,
    HOW_CAST,
    HOW_DTYPE,  /* attribute `dtype`, default float */
    HOW_FILLED, /* ConstantOfShape: attribute `value`, default float */
    HOW_CONSTANT
};

enum rest { REST_UNKNOWN, REST_SAME, REST_INDEX, REST_BOOL }; /* outputs but the first */

/* Sorted by name; default domain only. */
static const struct rule {
    const char *op;
    uint8_t how, rest;
} rules[] = {
    { "Abs", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Add", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "And", HOW_BOOL, REST_UNKNOWN },
    { "ArgMax", HOW_INDEX, REST_UNKNOWN },
    { "ArgMin", HOW_INDEX, REST_UNKNOWN },
    { "AveragePool", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "BatchNormalization", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "BitShift", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "BitwiseAnd", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "BitwiseNot", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "BitwiseOr", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "BitwiseXor", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Cast", HOW_CAST, REST_UNKNOWN },
    { "CastLike", HOW_LIKE_SECOND, REST_UNKNOWN },
    { "Ceil", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Clip", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Compress", HOW_MOVES, REST_UNKNOWN },
    { "Concat", HOW_JOINS, REST_UNKNOWN },
    { "Constant", HOW_CONSTANT, REST_UNKNOWN },
    { "ConstantOfShape", HOW_FILLED, REST_UNKNOWN },
    { "Conv", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "ConvInteger", HOW_INT32, REST_UNKNOWN },
    { "ConvTranspose", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Cos", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "CumSum", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "DepthToSpace", HOW_MOVES, REST_UNKNOWN },
    { "DequantizeLinear", HOW_LIKE_SECOND, REST_UNKNOWN },
    { "Div", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Dropout", HOW_LIKE_FIRST, REST_BOOL },
    { "Einsum", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Elu", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Equal", HOW_BOOL, REST_UNKNOWN },
    { "Erf", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Exp", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Expand", HOW_MOVES, REST_UNKNOWN },
    { "Flatten", HOW_MOVES, REST_UNKNOWN },
    { "Floor", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "GRU", HOW_LIKE_FIRST, REST_SAME },
    { "Gather", HOW_MOVES, REST_UNKNOWN },
    { "GatherElements", HOW_MOVES, REST_UNKNOWN },
    { "GatherND", HOW_MOVES, REST_UNKNOWN },
    { "Gelu", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Gemm", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "GlobalAveragePool", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "GlobalMaxPool", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Greater", HOW_BOOL, REST_UNKNOWN },
    { "GreaterOrEqual", HOW_BOOL, REST_UNKNOWN },
    { "GroupNormalization", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "HardSigmoid", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "HardSwish", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Identity", HOW_MOVES, REST_UNKNOWN },
    { "InstanceNormalization", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "IsInf", HOW_BOOL, REST_UNKNOWN },
    { "IsNaN", HOW_BOOL, REST_UNKNOWN },
    { "LRN", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "LSTM", HOW_LIKE_FIRST, REST_SAME },
    { "LayerNormalization", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "LeakyRelu", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Less", HOW_BOOL, REST_UNKNOWN },
    { "LessOrEqual", HOW_BOOL, REST_UNKNOWN },
    { "Log", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "LogSoftmax", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "MatMul", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "MatMulInteger", HOW_INT32, REST_UNKNOWN },
    { "Max", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "MaxPool", HOW_LIKE_FIRST, REST_INDEX },
    { "Mean", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Min", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Mod", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Mul", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Neg", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "NonMaxSuppression", HOW_INDEX, REST_UNKNOWN },
    { "NonZero", HOW_INDEX, REST_UNKNOWN },
    { "Not", HOW_BOOL, REST_UNKNOWN },
    { "OneHot", HOW_LIKE_THIRD, REST_UNKNOWN },
    { "Or", HOW_BOOL, REST_UNKNOWN },
    { "PRelu", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Pad", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Pow", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "RNN", HOW_LIKE_FIRST, REST_SAME },
    { "RandomNormal", HOW_DTYPE, REST_UNKNOWN },
    { "RandomUniform", HOW_DTYPE, REST_UNKNOWN },
    { "Range", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Reciprocal", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "ReduceL1", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "ReduceL2", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "ReduceLogSumExp", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "ReduceMax", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "ReduceMean", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "ReduceMin", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "ReduceProd", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "ReduceSum", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "ReduceSumSquare", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Relu", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Reshape", HOW_MOVES, REST_UNKNOWN },
    { "Resize", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "ReverseSequence", HOW_MOVES, REST_UNKNOWN },
    { "Round", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Scatter", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "ScatterElements", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "ScatterND", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Selu", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Shape", HOW_INDEX, REST_UNKNOWN },
    { "Sigmoid", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Sign", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Sin", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Size", HOW_INDEX, REST_UNKNOWN },
    { "Slice", HOW_MOVES, REST_UNKNOWN },
    { "Softmax", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Softplus", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "SpaceToDepth", HOW_MOVES, REST_UNKNOWN },
    { "Split", HOW_MOVES, REST_SAME },
    { "Sqrt", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Squeeze", HOW_MOVES, REST_UNKNOWN },
    { "Sub", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Sum", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Tanh", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Tile", HOW_MOVES, REST_UNKNOWN },
    { "TopK", HOW_MOVES, REST_INDEX },
    { "Transpose", HOW_MOVES, REST_UNKNOWN },
    { "Trilu", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Unique", HOW_MOVES, REST_INDEX },
    { "Unsqueeze", HOW_MOVES, REST_UNKNOWN },
    { "Upsample", HOW_LIKE_FIRST, REST_UNKNOWN },
    { "Where", HOW_LIKE_SECOND, REST_UNKNOWN },
    { "Xor", HOW_BOOL, REST_UNKNOWN },
};

static int compare(const void *key, const void *item)
{
    const struct trp_str *const op = key;
    const struct rule *const rule = item;
    return trp_str_compare(*op, trp_str_of(rule->op));
}

static struct trp_onnx_fact of_elem(int32_t elem)
{
    return (struct trp_onnx_fact){ .elem = elem };
}

static struct trp_onnx_fact of_index(void)
{
    return (struct trp_onnx_fact){ .elem = TRP_ONNX_INT64, .nonnegative = true };
}

static struct trp_onnx_fact input(const struct trp_onnx_names *names,
                                  const struct trp_onnx_node *node, uint32_t index)
{
    struct trp_onnx_fact fact = trp_onnx_names_get(names, node->inputs[index]);
    fact.is_input = false;
    return fact;
}

/* Casts between integers that keep every value keep what is known of it. */
static struct trp_onnx_fact cast(struct trp_onnx_fact from, int32_t to)
{
    const bool is_integer = trp_onnx_elem_is_integer(from.elem) && trp_onnx_elem_is_integer(to);
    const bool is_wider = trp_onnx_elem_bits(from.elem) < trp_onnx_elem_bits(to);
    const bool is_unsigned = trp_onnx_elem_is_unsigned(from.elem);
    struct trp_onnx_fact fact = of_elem(to);
    if (from.elem == to || (is_integer && is_wider && !trp_onnx_elem_is_unsigned(to))) {
        fact.nonnegative = from.nonnegative || is_unsigned;
        fact.constant = from.constant;
    } else if (from.elem == TRP_ONNX_BOOL) {
        fact.nonnegative = true;
    }
    return fact;
}

/* All inputs are looked at, also those that the node struct has no place for. */
static bool all_nonnegative(const struct trp_onnx_names *names, const struct trp_onnx_node *node)
{
    struct trp_pb_reader r = trp_pb_reader_of(node->message);
    struct trp_pb_field f;
    while (trp_pb_next(&r, &f) == TRP_PB_FIELD) {
        if (trp_onnx_field_of(&f) == ONNX_NODE_INPUT &&
            !trp_onnx_names_get(names, f.bytes).nonnegative)
            return false;
    }
    return true;
}

static struct trp_onnx_fact first_output(const struct trp_onnx_names *names,
                                         const struct trp_onnx_node *node, enum how how)
{
    struct trp_onnx_fact fact;
    switch (how) {
    case HOW_LIKE_FIRST:
        return of_elem(input(names, node, 0).elem);
    case HOW_LIKE_SECOND:
        return of_elem(input(names, node, 1).elem);
    case HOW_LIKE_THIRD:
        return of_elem(input(names, node, 2).elem);
    case HOW_MOVES:
        return input(names, node, 0);
    case HOW_JOINS:
        fact = of_elem(input(names, node, 0).elem);
        fact.nonnegative = all_nonnegative(names, node);
        return fact;
    case HOW_INDEX:
        return of_index();
    case HOW_BOOL:
        return of_elem(TRP_ONNX_BOOL);
    case HOW_INT32:
        return of_elem(TRP_ONNX_INT32);
    case HOW_CAST:
        return cast(input(names, node, 0), node->to);
    case HOW_DTYPE:
        return of_elem(node->dtype ? node->dtype : TRP_ONNX_FLOAT);
    case HOW_FILLED:
    case HOW_CONSTANT:
        fact = of_elem(node->constant_elem);
        fact.constant = node->constant;
        if (how == HOW_FILLED && node->constant.kind == TRP_ONNX_NO_CONSTANT)
            fact.elem = TRP_ONNX_FLOAT;
        return fact;
    default:
        return of_elem(TRP_ONNX_NO_ELEM);
    }
}

struct trp_onnx_fact trp_onnx_infer(const struct trp_onnx_names *names,
                                    const struct trp_onnx_node *node, uint32_t index)
{
    if (node->domain.len > 0)
        return of_elem(TRP_ONNX_NO_ELEM);
    const struct rule *const rule =
        bsearch(&node->op, rules, ARRAY_LEN(rules), sizeof rules[0], compare);
    if (!rule)
        return of_elem(TRP_ONNX_NO_ELEM);
    if (index == 0 || rule->rest == REST_SAME)
        return first_output(names, node, (enum how)rule->how);
    switch (rule->rest) {
    case REST_INDEX:
        return of_index();
    case REST_BOOL:
        return of_elem(TRP_ONNX_BOOL);
    default:
        return of_elem(TRP_ONNX_NO_ELEM);
    }
}

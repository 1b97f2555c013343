/* onnx/onnx_hazard.c - see onnx_hazard.h.
 *
 * Only 32- and 64-bit signed division traps: narrower operands are computed as int, where -128 / -1
 * has room, and unsigned ones have no -1 (measured with ONNX Runtime 1.30 and 1.32: Div kills the
 * process, Mod did in some versions).  A Div or Mod is safe when one of these is proven, else it is
 * reported:
 *   1. its elements are floats, unsigned, or narrow;
 *   2. no divisor is -1: a constant without it, or a value that cannot be negative;
 *   3. no dividend is the smallest number: likewise.
 * A constant counts only when the request cannot replace it (onnx_graph.c keeps overridable ones
 * apart). */
#include "onnx/onnx_hazard.h"

#include "onnx/onnx_graph.h"
#include "onnx/onnx_tensor.h"

#define CONSTANT_BYTES_MAX \
    (64u << 20) /* looked at per model: many nodes may divide by one large constant */

static const char *const names[TRP_ONNX_HAZARDS] = {
    [TRP_ONNX_INT_DIVISION] = "int-division",
    [TRP_ONNX_ZERO_DIVISION] = "zero-division",
    [TRP_ONNX_OUTSIDE_PATH] = "outside-path",
    [TRP_ONNX_LOCALE] = "locale",
};

const char *trp_onnx_hazard_name(int32_t kind)
{
    return kind >= 0 && kind < TRP_ONNX_HAZARDS ? names[kind] : "unknown";
}

bool trp_onnx_hazard_is_fatal(const struct trp_onnx_hazard *h)
{
    return h->kind == TRP_ONNX_INT_DIVISION;
}

/* ---- finding -------------------------------------------------------------------------------- */

static struct trp_str place_text(struct trp_onnx_walk *w, const struct trp_onnx_frame *frame)
{
    struct trp_str text = { 0 };
    if (frame->kind == TRP_ONNX_MAIN_FRAME)
        return text;
    if (frame->name.len > w->opts.name_max)
        return trp_onnx_keep_name(w, frame->name, "a name"); /* says which limit */
    text =
        frame->kind == TRP_ONNX_FUNCTION_FRAME
            ? trp_arena_format(w->arena, "function '%.*s'", TRP_STR(frame->name))
            : trp_arena_format(w->arena, "%.*s '%.*s'", TRP_STR(frame->op), TRP_STR(frame->name));
    if (!text.ptr)
        trp_onnx_stop(w, TRP_OUT_OF_MEMORY, "a text");
    return text;
}

/* Counts every hazard, keeps the first few. */
static struct trp_onnx_hazard *add(struct trp_onnx_walk *w, enum trp_onnx_hazard_kind kind)
{
    w->model.hazards_total++;
    if (w->hazards.n >= w->opts.hazards_max)
        return NULL;
    struct trp_onnx_hazard *const h =
        trp_onnx_list_add(w, &w->hazards, sizeof *h, w->opts.hazards_max, "hazards");
    if (h)
        h->kind = kind;
    return h;
}

static void report(struct trp_onnx_walk *w, const struct trp_onnx_frame *frame,
                   const struct trp_onnx_node *node, enum trp_onnx_hazard_kind kind, int32_t elem)
{
    struct trp_onnx_hazard *const h = add(w, kind);
    if (!h)
        return;
    h->elem = elem;
    h->possible = elem == TRP_ONNX_NO_ELEM && kind == TRP_ONNX_INT_DIVISION;
    h->op = trp_onnx_keep_name(w, node->op, "an operator");
    h->node = trp_onnx_keep_name(w, node->name, "the name of a node");
    h->value = trp_onnx_keep_name(w, node->inputs[1], "the name of a value");
    h->where = place_text(w, frame);
}

static bool traps(int32_t elem)
{
    return elem == TRP_ONNX_NO_ELEM || elem == TRP_ONNX_INT32 || elem == TRP_ONNX_INT64;
}

static struct trp_onnx_ints look_at(struct trp_onnx_walk *w, const struct trp_onnx_constant *c,
                                    int32_t elem)
{
    if (c->bytes.len > CONSTANT_BYTES_MAX - w->constant_bytes)
        return (struct trp_onnx_ints){ 0 }; /* not known: reported */
    w->constant_bytes += c->bytes.len;
    return trp_onnx_constant_ints(c, elem);
}

static void check_division(struct trp_onnx_walk *w, const struct trp_onnx_frame *frame,
                           const struct trp_onnx_node *node)
{
    const struct trp_onnx_fact dividend = trp_onnx_names_get(&w->names, node->inputs[0]);
    const struct trp_onnx_fact divisor = trp_onnx_names_get(&w->names, node->inputs[1]);
    const int32_t elem = dividend.elem ? dividend.elem : divisor.elem; /* the two must be equal */
    if (!traps(elem))
        return;
    const struct trp_onnx_ints by = look_at(w, &divisor.constant, elem);
    if (by.known && by.has_zero)
        report(w, frame, node, TRP_ONNX_ZERO_DIVISION, elem);
    if (divisor.nonnegative || (by.known && !by.has_minus_one))
        return;
    const struct trp_onnx_ints of = look_at(w, &dividend.constant, elem);
    if (dividend.nonnegative || (of.known && !of.has_min))
        return;
    report(w, frame, node, TRP_ONNX_INT_DIVISION, elem);
}

void trp_onnx_hazard_check(struct trp_onnx_walk *w, const struct trp_onnx_frame *frame,
                           const struct trp_onnx_node *node)
{
    if (node->domain.len > 0)
        return;
    if (trp_str_is(node->op, "Div") || (trp_str_is(node->op, "Mod") && !node->fmod))
        check_division(w, frame, node);
    else if (trp_str_is(node->op, "StringNormalizer"))
        report(w, frame, node, TRP_ONNX_LOCALE, TRP_ONNX_STRING);
}

/* By the text alone; links are for who knows the folder. */
static bool leaves_folder(struct trp_str path)
{
    if (path.len > 0 && path.ptr[0] == '/')
        return true;
    for (size_t i = 0; i + 1 < path.len; i++) {
        const bool starts = i == 0 || path.ptr[i - 1] == '/';
        const bool ends = i + 2 == path.len || path.ptr[i + 2] == '/';
        if (starts && ends && path.ptr[i] == '.' && path.ptr[i + 1] == '.')
            return true;
    }
    return false;
}

void trp_onnx_hazard_check_paths(struct trp_onnx_walk *w)
{
    const struct trp_onnx_external *const externals = w->externals.items;
    for (uint32_t i = 0; i < w->externals.n; i++) {
        if (!leaves_folder(externals[i].path))
            continue;
        struct trp_onnx_hazard *const h = add(w, TRP_ONNX_OUTSIDE_PATH);
        if (h) {
            h->node = externals[i].tensor;
            h->value = externals[i].path;
        }
    }
}

/* ---- saying --------------------------------------------------------------------------------- */

static void add_quoted(struct trp_buf *b, struct trp_str name)
{
    trp_buf_add_char(b, '\'');
    trp_onnx_name_format(name, b);
    trp_buf_add_char(b, '\'');
}

static void add_node(struct trp_buf *b, const struct trp_onnx_hazard *h)
{
    trp_onnx_name_format(h->op, b);
    if (h->elem != TRP_ONNX_NO_ELEM)
        trp_buf_addf(b, " on %s", trp_onnx_elem_name(h->elem));
    if (h->node.len > 0) {
        trp_buf_add_text(b, ", node ");
        add_quoted(b, h->node);
    }
    if (h->where.len > 0) {
        trp_buf_add_text(b, ", inside ");
        trp_onnx_name_format(h->where, b);
    }
}

void trp_onnx_hazard_format(const struct trp_onnx_hazard *h, struct trp_buf *b)
{
    switch (h->kind) {
    case TRP_ONNX_INT_DIVISION:
        add_node(b, h);
        trp_buf_add_text(b, ": the divisor ");
        add_quoted(b, h->value);
        trp_buf_add_text(b, h->possible ? " may be -1 if these are integers (the type is not known)"
                                        : " may be -1");
        trp_buf_add_text(b, "; the smallest integer divided by -1 ends the whole process");
        break;
    case TRP_ONNX_ZERO_DIVISION:
        add_node(b, h);
        trp_buf_add_text(b, ": the constant divisor ");
        add_quoted(b, h->value);
        trp_buf_add_text(b, " holds 0; it will not load, or fail when it runs");
        break;
    case TRP_ONNX_OUTSIDE_PATH:
        trp_buf_add_text(b, "tensor ");
        add_quoted(b, h->node);
        trp_buf_add_text(b, ": its data is said to lie in ");
        add_quoted(b, h->value);
        trp_buf_add_text(b, ", outside the model's folder; it will not load");
        break;
    default:
        add_node(b, h);
        trp_buf_add_text(b, ": loads only where the locale en_US.UTF-8 is installed");
        break;
    }
}

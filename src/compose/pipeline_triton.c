/* compose/pipeline_triton.c - see pipeline.h: Triton's `ensemble_scheduling`, as its config.pbtxt
 * has it.
 *
 * There input_map is { the model's input: the ensemble's tensor }, and inputs and outputs of the
 * whole are declared, with types and shapes, which must agree with what the steps take and give. */
#include <inttypes.h>

#include "compose/pipeline.h"
#include "conf/model_schema.h"
#include "life/labels.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define SHAPE_MAX 256
static const struct trp_str nothing = { NULL, 0 };

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for what is made of models");
}

static trp_status read_map(struct trp_recipe *r, struct trp_recipe_step *step,
                           const struct trp_node *map, bool is_input, struct trp_error *err)
{
    for (const struct trp_node *n = map ? map->first : NULL; n; n = n->next)
        TRP_CHECK(is_input ? trp_recipe_use(r, step, n->v.s, n->key, n, err)
                           : trp_recipe_give(r, step, n->v.s, n->key, n, err));
    return trp_ok();
}

static trp_status read_step(struct trp_recipe *r, const struct trp_node *n, struct trp_error *err)
{
    const struct trp_str model = trp_node_str(n, "model_name", nothing);
    const int64_t version = trp_node_i64(n, "model_version", -1);
    if (model.len == 0)
        return trp_node_fail(n, err, TRP_INVALID_ARGUMENT, "a step without a model_name");
    struct trp_recipe_step *step;
    TRP_CHECK(trp_recipe_add_step(r, TRP_RECIPE_MODEL, model, n, &step, err));
    step->asks = step->model = model;
    step->version = version > 0 ? version : 0; /* -1: the highest, which is the default one */
    if (version > 0)
        step->asks = trp_arena_format(r->arena, "%.*s@%" PRId64, TRP_STR(model), version);
    if (!step->asks.ptr)
        return no_memory(err);
    const struct trp_node *inputs = trp_node_get(n, "input_map"),
                          *outputs = trp_node_get(n, "output_map");
    if (!inputs || !inputs->first || !outputs || !outputs->first)
        return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                             "step '%.*s' needs an input_map and an output_map", TRP_STR(model));
    TRP_CHECK(read_map(r, step, inputs, true, err));
    return read_map(r, step, outputs, false, err);
}

trp_status trp_pipeline_read_triton(struct trp_recipe *r, const struct trp_node *written,
                                    struct trp_error *err)
{
    struct trp_node *tree;
    TRP_CHECK(
        trp_schema_normalise(r->arena, &trp_model_config_message, written, NULL, NULL, &tree, err));
    const struct trp_node *scheduling = trp_node_get(tree, "ensemble_scheduling");
    const struct trp_node *steps = trp_node_get(scheduling, "step");
    const struct trp_str name = trp_node_str(tree, "name", r->name);
    r->declared = tree;
    if (!steps || !steps->first)
        return trp_node_fail(written, err, TRP_INVALID_ARGUMENT,
                             "ensemble '%.*s' has no ensemble_scheduling with steps",
                             TRP_STR(r->name));
    if (!trp_str_is_equal(name, r->name))
        return trp_node_fail(trp_node_get(tree, "name"), err, TRP_INVALID_ARGUMENT,
                             "the configuration's name is \"%.*s\", the folder's '%.*s'",
                             TRP_STR(name), TRP_STR(r->name));
    for (const struct trp_node *n = steps->first; n; n = n->next)
        TRP_CHECK(read_step(r, n, err));
    const struct trp_node *outputs = trp_node_get(tree, "output");
    for (const struct trp_node *n = outputs ? outputs->first : NULL; n; n = n->next) {
        const struct trp_str output = trp_node_str(n, "name", nothing);
        TRP_CHECK(trp_recipe_answer(r, output, &output, 1, n, err));
    }
    return trp_ok();
}

/* ---- what is declared ---- */

/* A declared tensor as clients see it: with the batch dimension in front. */
static trp_status read_io(const struct trp_node *n, int32_t batch_max, struct trp_io *out,
                          struct trp_error *err)
{
    const struct trp_node *dims = trp_node_get(n, "dims");
    *out = (struct trp_io){ .name = trp_node_str(n, "name", nothing),
                            .dtype = trp_dtype_parse_config(trp_node_str(n, "data_type", nothing)),
                            .optional = trp_node_bool(n, "optional", false) };
    if (out->name.len == 0 || out->dtype == TROUPE_NO_DTYPE)
        return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                             "\"%.*s\": an ensemble's tensors have a name and a data_type",
                             TRP_STR(out->name));
    if (batch_max > 0)
        out->dims[out->rank++] = -1;
    for (const struct trp_node *d = dims ? dims->first : NULL; d; d = d->next) {
        if (out->rank == TROUPE_RANK_MAX || d->kind != TRP_NODE_INT || d->v.i < -1)
            return trp_node_fail(d, err, TRP_INVALID_ARGUMENT,
                                 "\"%.*s\": a dimension is a size, or -1 for any, and there are at "
                                 "most %d",
                                 TRP_STR(out->name), TROUPE_RANK_MAX);
        out->dims[out->rank++] = d->v.i;
    }
    return trp_ok();
}

static bool is_within(const struct trp_io *declared, const struct trp_io *is)
{
    if (declared->dtype != is->dtype)
        return false;
    if (is->any_rank)
        return true;
    if (declared->rank != is->rank)
        return false;
    for (uint32_t i = 0; i < is->rank; i++)
        if (declared->dims[i] >= 0 && is->dims[i] >= 0 && declared->dims[i] != is->dims[i])
            return false;
    return true;
}

static trp_status fail_declared(const struct trp_node *n, const struct trp_io *declared,
                                const struct trp_io *is, struct trp_error *err)
{
    char said[SHAPE_MAX], shape[SHAPE_MAX];
    return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                         "\"%.*s\" is declared as %s %s, but for the steps it is %s %s (with the "
                         "batch dimension, if there is one)",
                         TRP_STR(declared->name), trp_dtype_name(declared->dtype),
                         trp_shape_format(declared->dims, declared->rank, said, sizeof said),
                         trp_dtype_name(is->dtype),
                         trp_shape_format(is->dims, is->rank, shape, sizeof shape));
}

/* Where the declaration leaves a size open that the steps fix, clients are held to that as well. */
static void merge(struct trp_io *declared, const struct trp_io *is, bool has_batch)
{
    for (uint32_t i = has_batch; !is->any_rank && i < declared->rank; i++)
        if (declared->dims[i] < 0)
            declared->dims[i] = is->dims[i];
}

static trp_status declare_side(struct trp_recipe *r, const struct trp_node *list, int32_t batch_max,
                               bool is_input, struct trp_error *err)
{
    const struct trp_signature *s = &r->signature;
    const uint32_t n = is_input ? s->inputs_n : s->outputs_n;
    const struct trp_io *known = is_input ? s->inputs : s->outputs;
    struct trp_io *ios = trp_arena_zeroed(r->arena, n + (size_t)1, sizeof *ios);
    uint32_t *tensors = trp_arena_zeroed(r->arena, n + (size_t)1, sizeof *tensors), ios_n = 0;
    if (!ios || !tensors)
        return no_memory(err);
    for (const struct trp_node *at = list ? list->first : NULL; at; at = at->next) {
        struct trp_io io;
        TRP_CHECK(read_io(at, batch_max, &io, err));
        const uint32_t place = trp_signature_place(known, n, io.name, ios_n);
        if (place == UINT32_MAX || ios_n == n)
            return trp_node_fail(at, err, TRP_INVALID_ARGUMENT, "no step %s \"%.*s\"",
                                 is_input ? "takes input" : "makes output", TRP_STR(io.name));
        if (!is_within(&io, &known[place]))
            return fail_declared(at, &io, &known[place], err);
        merge(&io, &known[place], batch_max > 0);
        const struct trp_node *labels =
            is_input || !r->labels ? NULL : trp_node_get_str(r->labels, io.name);
        if (labels)
            TRP_CHECK(trp_labels_split(r->arena, labels->v.s, &io, err));
        tensors[ios_n] = is_input ? r->inputs[place] : 0;
        ios[ios_n++] = io;
    }
    for (uint32_t i = 0; i < n; i++)
        if (trp_signature_place(ios, ios_n, known[i].name, i) == UINT32_MAX)
            return trp_node_fail(r->at, err, TRP_INVALID_ARGUMENT,
                                 "the steps use \"%.*s\", which no step makes and no input "
                                 "declares",
                                 TRP_STR(known[i].name));
    if (is_input) {
        r->signature.inputs = ios;
        r->inputs = tensors;
    } else {
        r->signature.outputs = ios;
    }
    return trp_ok();
}

trp_status trp_pipeline_declare(struct trp_recipe *r, struct trp_error *err)
{
    const int64_t batch_max = trp_node_i64(r->declared, "max_batch_size", 0);
    const int32_t batch = batch_max > 0 && batch_max < INT32_MAX ? (int32_t)batch_max : 0;
    TRP_CHECK(declare_side(r, trp_node_get(r->declared, "input"), batch, true, err));
    TRP_CHECK(declare_side(r, trp_node_get(r->declared, "output"), batch, false, err));
    if (batch == 0 || r->signature.batch_max == 0 || batch < r->signature.batch_max)
        r->signature.batch_max = batch;
    return trp_ok();
}

/* onnx/onnx_report_json.c - the report for programs; see onnx_report.h. */
#include "base/json.h"
#include "onnx/onnx_report.h"
#include "tensor/dtype.h"

/* `,"key":` but for the first of an object. */
static void key(struct trp_buf *b, const char *name, bool first)
{
    trp_buf_addf(b, "%s\"%s\":", first ? "" : ",", name);
}

static void text_member(struct trp_buf *b, const char *name, struct trp_str v, bool first)
{
    key(b, name, first);
    trp_json_write_str(b, v);
}

static void number_member(struct trp_buf *b, const char *name, uint64_t v, bool first)
{
    key(b, name, first);
    trp_buf_add_u64(b, v);
}

static void int_member(struct trp_buf *b, const char *name, int64_t v, bool first)
{
    key(b, name, first);
    trp_buf_add_i64(b, v);
}

static void bool_member(struct trp_buf *b, const char *name, bool v, bool first)
{
    key(b, name, first);
    trp_buf_add_text(b, v ? "true" : "false");
}

static void head(const struct trp_onnx_model *m, struct trp_str path, struct trp_buf *b)
{
    text_member(b, "path", path, true);
    number_member(b, "bytes", m->file_bytes, false);
    int_member(b, "ir_version", m->ir_version, false);
    int_member(b, "model_version", m->model_version, false);
    text_member(b, "producer", m->producer, false);
    text_member(b, "producer_version", m->producer_version, false);
    text_member(b, "domain", m->domain, false);
    text_member(b, "doc", m->doc, false);
    text_member(b, "graph", m->graph_name, false);
    text_member(b, "graph_doc", m->graph_doc, false);
    key(b, "opsets", false);
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; i < m->opsets_n; i++) {
        trp_buf_add_text(b, i ? ",{" : "{");
        text_member(b, "domain", m->opsets[i].domain, true);
        int_member(b, "version", m->opsets[i].version, false);
        trp_buf_add_char(b, '}');
    }
    trp_buf_add_char(b, ']');
}

static void shape(const struct trp_io *io, struct trp_buf *b)
{
    key(b, "shape", false);
    if (io->any_rank) {
        trp_buf_add_text(b, "null,\"dim_names\":null");
        return;
    }
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; i < io->rank; i++) {
        trp_buf_add_text(b, i ? "," : "");
        trp_buf_add_i64(b, io->dims[i]);
    }
    trp_buf_add_char(b, ']');
    key(b, "dim_names", false);
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; i < io->rank; i++) {
        trp_buf_add_text(b, i ? "," : "");
        if (io->dim_names && io->dim_names[i].len > 0)
            trp_json_write_str(b, io->dim_names[i]);
        else
            trp_buf_add_text(b, "null");
    }
    trp_buf_add_char(b, ']');
}

static void io_object(const struct trp_onnx_io *io, struct trp_buf *b)
{
    text_member(b, "name", io->io.name, true);
    key(b, "type", false);
    trp_buf_add_char(b, '"');
    trp_onnx_type_format(&io->type, b); /* holds nothing that JSON escapes */
    trp_buf_add_char(b, '"');
    bool_member(b, "served", trp_onnx_io_is_served(io), false);
    if (trp_onnx_io_is_served(io))
        text_member(b, "datatype", trp_str_of(trp_dtype_name(io->io.dtype)), false);
    shape(&io->io, b);
    bool_member(b, "optional", io->io.optional, false);
    if (io->io.labels_n == 0)
        return;
    key(b, "labels", false);
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; i < io->io.labels_n; i++) {
        trp_buf_add_text(b, i ? "," : "");
        trp_json_write_str(b, io->io.labels[i]);
    }
    trp_buf_add_char(b, ']');
}

static void ios(const char *name, const struct trp_onnx_io *list, uint32_t n, struct trp_buf *b)
{
    key(b, name, false);
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; i < n; i++) {
        trp_buf_add_text(b, i ? ",{" : "{");
        io_object(&list[i], b);
        trp_buf_add_char(b, '}');
    }
    trp_buf_add_char(b, ']');
}

static void operators(const struct trp_onnx_model *m, struct trp_buf *b)
{
    number_member(b, "nodes", m->nodes, false);
    number_member(b, "subgraphs", m->subgraphs, false);
    number_member(b, "functions", m->functions, false);
    key(b, "operators", false);
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; i < m->ops_n; i++) {
        trp_buf_add_text(b, i ? ",{" : "{");
        text_member(b, "name", m->ops[i].name, true);
        number_member(b, "count", m->ops[i].count, false);
        trp_buf_add_char(b, '}');
    }
    trp_buf_add_char(b, ']');
}

static void sum(const struct trp_onnx_sum *s, bool first, struct trp_buf *b)
{
    number_member(b, "count", s->elements, first);
    number_member(b, "bytes", s->bytes, false);
    number_member(b, "tensors", s->tensors, false);
}

/* Only what there is. */
static void sums(const char *name, const struct trp_onnx_sum *list, int32_t n,
                 const char *(*name_of)(int32_t), struct trp_buf *b)
{
    bool first = true;
    key(b, name, false);
    trp_buf_add_char(b, '{');
    for (int32_t i = 0; i < n; i++) {
        if (list[i].tensors == 0)
            continue;
        key(b, name_of(i), first);
        trp_buf_add_char(b, '{');
        sum(&list[i], true, b);
        trp_buf_add_char(b, '}');
        first = false;
    }
    trp_buf_add_char(b, '}');
}

static void parameters(const struct trp_onnx_model *m, struct trp_buf *b)
{
    key(b, "parameters", false);
    trp_buf_add_char(b, '{');
    sum(&m->total, true, b);
    sums("by_place", m->places, TRP_ONNX_PLACES, trp_onnx_place_name, b);
    sums("by_type", m->elems, TRP_ONNX_ELEMS, trp_onnx_elem_name, b);
    trp_buf_add_char(b, '}');
}

static void files(const struct trp_onnx_model *m, struct trp_buf *b)
{
    key(b, "external_files", false);
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; i < m->files_n; i++) {
        trp_buf_add_text(b, i ? ",{" : "{");
        text_member(b, "path", m->files[i].path, true);
        number_member(b, "tensors", m->files[i].tensors, false);
        number_member(b, "bytes", m->files[i].bytes, false);
        number_member(b, "end", m->files[i].end, false);
        trp_buf_add_char(b, '}');
    }
    trp_buf_add_char(b, ']');
}

static void hazard_object(const struct trp_onnx_hazard *h, struct trp_buf *b)
{
    struct trp_buf words;
    trp_buf_init(&words, b->alloc, 1u << 16);
    trp_onnx_hazard_format(h, &words);
    text_member(b, "kind", trp_str_of(trp_onnx_hazard_name((int32_t)h->kind)), true);
    bool_member(b, "fatal", trp_onnx_hazard_is_fatal(h), false);
    bool_member(b, "possible", h->possible, false);
    text_member(b, "operator", h->op, false);
    text_member(b, "node", h->node, false);
    text_member(b, "value", h->value, false);
    text_member(b, "where", h->where, false);
    text_member(b, "text", trp_buf_str(&words), false);
    if (words.failed != TRP_OK && b->failed == TRP_OK)
        b->failed = words.failed;
    trp_buf_deinit(&words);
}

static void hazards(const struct trp_onnx_model *m, struct trp_buf *b)
{
    number_member(b, "hazards_total", m->hazards_total, false);
    key(b, "hazards", false);
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; i < m->hazards_n; i++) {
        trp_buf_add_text(b, i ? ",{" : "{");
        hazard_object(&m->hazards[i], b);
        trp_buf_add_char(b, '}');
    }
    trp_buf_add_char(b, ']');
}

/* Pairs, not an object: a file may give a key twice. */
static void metadata(const struct trp_onnx_model *m, struct trp_buf *b)
{
    key(b, "metadata", false);
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; i < m->metadata_n; i++) {
        trp_buf_add_text(b, i ? ",{" : "{");
        text_member(b, "key", m->metadata[i].key, true);
        text_member(b, "value", m->metadata[i].value, false);
        trp_buf_add_char(b, '}');
    }
    trp_buf_add_char(b, ']');
}

void trp_onnx_report_json(const struct trp_onnx_model *model, struct trp_str path,
                          struct trp_buf *b)
{
    trp_buf_add_char(b, '{');
    head(model, path, b);
    ios("inputs", model->inputs, model->inputs_n, b);
    ios("outputs", model->outputs, model->outputs_n, b);
    operators(model, b);
    parameters(model, b);
    files(model, b);
    hazards(model, b);
    metadata(model, b);
    trp_buf_add_text(b, "}\n");
}

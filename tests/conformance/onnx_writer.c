/* tests/conformance/onnx_writer.c - see onnx_writer.h.  Field numbers are those of onnx.proto3. */
#include "onnx_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct onnx *o, const void *ptr, size_t n)
{
    if (o->n + n > o->capacity) {
        o->capacity = 2 * (o->n + n) + 64;
        o->ptr = realloc(o->ptr, o->capacity);
        if (!o->ptr)
            abort();
    }
    if (n)
        memcpy(o->ptr + o->n, ptr, n);
    o->n += n;
}

static void add_varint(struct onnx *o, uint64_t v)
{
    do {
        const unsigned char byte = (unsigned char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        add(o, &byte, 1);
        v >>= 7;
    } while (v);
}

void onnx_free(struct onnx *o)
{
    free(o->ptr);
    *o = (struct onnx){ 0 };
}

void onnx_int(struct onnx *o, uint32_t field, uint64_t value)
{
    add_varint(o, (uint64_t)field << 3);
    add_varint(o, value);
}

void onnx_bytes(struct onnx *o, uint32_t field, const void *ptr, size_t n)
{
    add_varint(o, (uint64_t)field << 3 | 2);
    add_varint(o, n);
    add(o, ptr, n);
}

void onnx_text(struct onnx *o, uint32_t field, const char *text)
{
    onnx_bytes(o, field, text, strlen(text));
}

void onnx_part(struct onnx *o, uint32_t field, struct onnx *part)
{
    onnx_bytes(o, field, part->ptr, part->n);
    onnx_free(part);
}

/* --- attributes ------------------------------------------------------------------------------- */

static struct onnx attribute(const char *name, int type)
{
    struct onnx a = { 0 };
    onnx_text(&a, 1, name);
    onnx_int(&a, 20, (uint64_t)type);
    return a;
}

void onnx_attr_int(struct onnx *node, const char *name, int64_t value)
{
    struct onnx a = attribute(name, 2);
    onnx_int(&a, 3, (uint64_t)value);
    onnx_part(node, 5, &a);
}

void onnx_attr_text(struct onnx *node, const char *name, const char *text)
{
    struct onnx a = attribute(name, 3);
    onnx_text(&a, 4, text);
    onnx_part(node, 5, &a);
}

void onnx_attr_ints(struct onnx *node, const char *name, const int64_t *values, size_t n)
{
    struct onnx a = attribute(name, 7);
    for (size_t i = 0; i < n; i++)
        onnx_int(&a, 8, (uint64_t)values[i]);
    onnx_part(node, 5, &a);
}

void onnx_attr_strings(struct onnx *node, const char *name, const char *const *texts, size_t n)
{
    struct onnx a = attribute(name, 8);
    for (size_t i = 0; i < n; i++)
        onnx_text(&a, 9, texts[i]);
    onnx_part(node, 5, &a);
}

void onnx_attr_graph(struct onnx *node, const char *name, struct onnx *graph)
{
    struct onnx a = attribute(name, 5);
    onnx_text(graph, 2, "body");
    onnx_part(&a, 6, graph);
    onnx_part(node, 5, &a);
}

/* --- nodes and values ------------------------------------------------------------------------- */

static void add_names(struct onnx *node, uint32_t field, const char *names)
{
    while (*names) {
        const size_t n = strcspn(names, " ");
        onnx_bytes(node, field, names, n);
        names += n + (names[n] == ' ');
    }
}

struct onnx onnx_node(const char *op, const char *domain, const char *inputs, const char *outputs)
{
    struct onnx node = { 0 };
    add_names(&node, 1, inputs);
    add_names(&node, 2, outputs);
    onnx_text(&node, 4, op);
    onnx_text(&node, 7, domain);
    return node;
}

void onnx_simple(struct onnx *graph, const char *op, const char *inputs, const char *outputs)
{
    struct onnx node = onnx_node(op, "", inputs, outputs);
    onnx_part(graph, 1, &node);
}

static void add_value(struct onnx *graph, uint32_t field, const char *name, int type, int rank,
                      const int64_t *dims)
{
    struct onnx value = { 0 }, holder = { 0 }, tensor = { 0 }, shape = { 0 };
    onnx_int(&tensor, 1, (uint64_t)type);
    for (int i = 0; rank != ONNX_ANY_RANK && i < rank; i++) {
        struct onnx dim = { 0 };
        char free_name[16];
        snprintf(free_name, sizeof free_name, "d%d", i);
        if (dims[i] >= 0)
            onnx_int(&dim, 1, (uint64_t)dims[i]);
        else
            onnx_text(&dim, 2, free_name);
        onnx_part(&shape, 1, &dim);
    }
    if (rank != ONNX_ANY_RANK)
        onnx_part(&tensor, 2, &shape);
    onnx_part(&holder, 1, &tensor);
    onnx_text(&value, 1, name);
    onnx_part(&value, 2, &holder);
    onnx_part(graph, field, &value);
}

void onnx_input(struct onnx *graph, const char *name, int type, int rank, const int64_t *dims)
{
    add_value(graph, 11, name, type, rank, dims);
}

void onnx_output(struct onnx *graph, const char *name, int type, int rank, const int64_t *dims)
{
    add_value(graph, 12, name, type, rank, dims);
}

static struct onnx tensor_of(const char *name, int type, int rank, const int64_t *dims)
{
    struct onnx tensor = { 0 };
    for (int i = 0; i < rank; i++)
        onnx_int(&tensor, 1, (uint64_t)dims[i]);
    onnx_int(&tensor, 2, (uint64_t)type);
    onnx_text(&tensor, 8, name);
    return tensor;
}

struct onnx onnx_tensor(const char *name, int type, int rank, const int64_t *dims, const void *raw,
                        size_t bytes)
{
    struct onnx tensor = tensor_of(name, type, rank, dims);
    onnx_bytes(&tensor, 9, raw, bytes);
    return tensor;
}

struct onnx onnx_external(const char *name, int type, int rank, const int64_t *dims,
                          const char *location)
{
    struct onnx tensor = tensor_of(name, type, rank, dims), entry = { 0 };
    onnx_text(&entry, 1, "location");
    onnx_text(&entry, 2, location);
    onnx_part(&tensor, 13, &entry);
    onnx_int(&tensor, 14, 1);
    return tensor;
}

void onnx_initializer(struct onnx *graph, const char *name, int type, int rank, const int64_t *dims,
                      const void *raw, size_t bytes)
{
    struct onnx tensor = onnx_tensor(name, type, rank, dims, raw, bytes);
    onnx_part(graph, 5, &tensor);
}

void onnx_attr_tensor(struct onnx *node, const char *name, struct onnx *tensor)
{
    struct onnx a = attribute(name, 4);
    onnx_part(&a, 5, tensor);
    onnx_part(node, 5, &a);
}

/* --- the model -------------------------------------------------------------------------------- */

static void add_opset(struct onnx *model, const char *domain, uint64_t version)
{
    struct onnx opset = { 0 };
    onnx_text(&opset, 1, domain);
    onnx_int(&opset, 2, version);
    onnx_part(model, 8, &opset);
}

void onnx_save(struct onnx *graph, const char *path)
{
    struct onnx model = { 0 };
    onnx_text(graph, 2, "test");
    onnx_int(&model, 1, 8); /* IR version: initialisers may be overridden */
    onnx_text(&model, 2, "troupe");
    onnx_part(&model, 7, graph);
    add_opset(&model, "", 17);
    add_opset(&model, "ai.onnx.ml", 3);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(model.ptr, 1, model.n, f) != model.n || fclose(f) != 0)
        abort();
    onnx_free(&model);
}

/* tests/conformance/onnx_writer.h - writes small ONNX models, so that the tests need no binary
 * files and no Python.  Only what the tests use of the format; every failure aborts the test
 * program. */
#ifndef TRP_TEST_ONNX_WRITER_H
#define TRP_TEST_ONNX_WRITER_H

#include <stddef.h>
#include <stdint.h>

/* TensorProto.DataType. */
enum {
    ONNX_FLOAT = 1,
    ONNX_UINT8 = 2,
    ONNX_INT8 = 3,
    ONNX_UINT16 = 4,
    ONNX_INT16 = 5,
    ONNX_INT32 = 6,
    ONNX_INT64 = 7,
    ONNX_STRING = 8,
    ONNX_BOOL = 9,
    ONNX_FLOAT16 = 10,
    ONNX_DOUBLE = 11,
    ONNX_UINT32 = 12,
    ONNX_UINT64 = 13,
    ONNX_COMPLEX64 = 14,
    ONNX_BFLOAT16 = 16
};

#define ONNX_ANY_RANK 1000 /* as a rank: no shape is written */

/* Growing bytes of one message. */
struct onnx {
    unsigned char *ptr;
    size_t n, capacity;
};
void onnx_free(struct onnx *o);

/* Raw fields. */
void onnx_int(struct onnx *o, uint32_t field, uint64_t value);
void onnx_bytes(struct onnx *o, uint32_t field, const void *ptr, size_t n);
void onnx_text(struct onnx *o, uint32_t field, const char *text);
void onnx_part(struct onnx *o, uint32_t field, struct onnx *part); /* frees the part */

/* Attributes of a node. */
void onnx_attr_int(struct onnx *node, const char *name, int64_t value);
void onnx_attr_text(struct onnx *node, const char *name, const char *text);
void onnx_attr_ints(struct onnx *node, const char *name, const int64_t *values, size_t n);
void onnx_attr_strings(struct onnx *node, const char *name, const char *const *texts, size_t n);
void onnx_attr_graph(struct onnx *node, const char *name, struct onnx *graph); /* frees the graph */
void onnx_attr_tensor(struct onnx *node, const char *name, struct onnx *tensor); /* likewise */

/* A TensorProto with its bytes, or with the place where they lie. */
struct onnx onnx_tensor(const char *name, int type, int rank, const int64_t *dims, const void *raw,
                        size_t bytes);
struct onnx onnx_external(const char *name, int type, int rank, const int64_t *dims,
                          const char *location);

/* A node; `inputs` and `outputs` are names separated by blanks, "" for none.  Add attributes, then
 * add it to a graph with onnx_part(graph, 1, &node). */
struct onnx onnx_node(const char *op, const char *domain, const char *inputs, const char *outputs);
void onnx_simple(struct onnx *graph, const char *op, const char *inputs, const char *outputs);

/* Inputs and outputs of a graph; a dimension of -1 is free. */
void onnx_input(struct onnx *graph, const char *name, int type, int rank, const int64_t *dims);
void onnx_output(struct onnx *graph, const char *name, int type, int rank, const int64_t *dims);
void onnx_initializer(struct onnx *graph, const char *name, int type, int rank, const int64_t *dims,
                      const void *raw, size_t bytes);

/* Wraps the graph (and frees it) and writes the model to a file. */
void onnx_save(struct onnx *graph, const char *path);

#endif

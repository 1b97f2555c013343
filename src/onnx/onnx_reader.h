/* onnx/onnx_reader.h - what a model file says about itself.
 * Answers "what is inside this model file?".  A pure reader of the ONNX wire format: no protobuf
 * library, no runtime.  It never touches the bytes of weights (but for small integer constants that
 * something is divided by), so a mapped file of gigabytes is read in the time that its node list
 * takes.  The file is input: whatever it holds, the answer is a model or an error with an
 * offset. */
#ifndef TRP_ONNX_READER_H
#define TRP_ONNX_READER_H

#include "base/arena.h"
#include "base/status.h"
#include "onnx/onnx_hazard.h"
#include "onnx/onnx_type.h"
#include "tensor/signature.h"

/* An input or output.
 *   Shape : `io.dims` has -1 where no size is declared; a named one keeps its name as a hint.
 *           `io.any_rank` when no shape is declared.  A ZipMap output is described as it is served:
 *           FP32 [-1, classes], the keys as labels, when the ZipMap node is found. */
struct trp_onnx_io {
    struct trp_io io; /* dtype NO_DTYPE: see trp_onnx_io_is_served() */
    struct trp_onnx_type type;
    bool zipmap;               /* io is the dense form of a sequence of maps */
    struct trp_str denotation; /* "IMAGE", "TEXT", ...: what it carries; empty: not said */
};

/* Where parameters were found. */
enum trp_onnx_place {
    TRP_ONNX_IN_INITIALIZERS,
    TRP_ONNX_IN_SPARSE,     /* sparse initialisers; only what is stored counts */
    TRP_ONNX_IN_CONSTANTS,  /* Constant nodes */
    TRP_ONNX_IN_ATTRIBUTES, /* other tensors in attributes; number lists of ai.onnx.ml (trees,
                             * linear models) */
    TRP_ONNX_IN_SUBGRAPHS,  /* all of the above inside If, Loop, Scan */
    TRP_ONNX_IN_FUNCTIONS,  /* all of the above inside local functions, each once */
    TRP_ONNX_PLACES
};

/* "initializers" and so on.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const char *trp_onnx_place_name(int32_t place);

struct trp_onnx_sum {
    uint64_t tensors, elements, bytes; /* bytes as in memory, external data included */
};

struct trp_onnx_opset {
    struct trp_str domain; /* "ai.onnx" for the default one */
    int64_t version;
};

struct trp_onnx_op {
    struct trp_str name; /* "Conv"; "ai.onnx.ml:ZipMap" outside the default domain */
    uint64_t count;
};

struct trp_onnx_entry {
    struct trp_str key, value;
};

/* A tensor whose bytes lie in another file.  Nothing has been checked but that the numbers do not
 * overflow: whether `path` stays inside the model's folder, exists and is long enough is for
 * whoever knows the folder. */
struct trp_onnx_external {
    struct trp_str tensor, path; /* as written */
    uint64_t offset, length;
};

/* The same by file. */
struct trp_onnx_file {
    struct trp_str path;
    uint64_t tensors, bytes; /* sum of lengths */
    uint64_t end;            /* the file must be at least this long */
};

struct trp_onnx_model {
    int64_t ir_version, model_version;
    struct trp_str producer, producer_version, domain, doc, graph_name, graph_doc;
    uint64_t file_bytes;
    const struct trp_onnx_opset *opsets;
    uint32_t opsets_n;
    const struct trp_onnx_entry *metadata;
    uint32_t metadata_n;
    /* Inputs that must be given, in the file's order; then those that an initialiser stands behind
     * (io.optional).  The latter exist from IR version 4 on; before it, an initialiser is a
     * constant and hides the input of its name. */
    const struct trp_onnx_io *inputs, *outputs;
    uint32_t inputs_n, outputs_n;

    /* The rest is zero after a reading with `signature_only`. */
    uint64_t nodes; /* in all graphs and functions */
    uint32_t subgraphs, functions;
    const struct trp_onnx_op *ops; /* most frequent first, then by name */
    uint32_t ops_n;
    struct trp_onnx_sum places[TRP_ONNX_PLACES];
    struct trp_onnx_sum elems[TRP_ONNX_ELEMS]; /* the same numbers by element type */
    struct trp_onnx_sum total;
    const struct trp_onnx_external *externals;
    uint32_t externals_n;
    const struct trp_onnx_file *files; /* by path */
    uint32_t files_n;
    const struct trp_onnx_hazard *hazards; /* the first `hazards_max` of hazards_total */
    uint32_t hazards_n;
    uint64_t hazards_total;
};

/* Zero means the default in brackets. */
struct trp_onnx_opts {
    bool signature_only;  /* inputs, outputs and the head: what an index of many models needs */
    uint32_t depth_max;   /* graphs inside graphs, types inside types [32] */
    uint32_t nodes_max;   /* in all graphs [1,000,000] */
    uint32_t tensors_max; /* in all graphs [1,000,000] */
    uint32_t names_max;   /* values in scope at once [4,000,000] */
    uint32_t ops_max;     /* distinct operators [4,096] */
    uint32_t entries_max; /* metadata properties, operator sets: each [4,096] */
    uint32_t name_max;    /* bytes of a name; other texts may be 16 times as long and are cut there
                   * [4,096] */
    uint32_t hazards_max; /* hazards kept [256] */
};

/* Reads a model.
 *   Owns  : `file` is borrowed for the call; everything in *out lives in `arena`.
 *   Thread: any.
 *   Cost  : linear in the number of fields outside weights; signature_only: in the number of nodes
 *           and initialisers.
 *   Errors: DATA_LOSS (cut off or corrupt, with the offset), INVALID_ARGUMENT (well-formed, but no
 *           valid model: what and where), TOO_LARGE (which limit), OUT_OF_MEMORY.  *out is
 *           untouched then.
 *   Source: onnx.proto; IR.md. */
trp_status trp_onnx_read(struct trp_str file, const struct trp_onnx_opts *opts,
                         struct trp_arena *arena, struct trp_onnx_model *out,
                         struct trp_error *err);

/* Reads a model file: small ones into memory, large ones mapped.
 *   Owns  : everything in *out lives in `arena`; no mapping is left behind.
 *   Thread: loader.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(), and as trp_onnx_read(), with the path in front; DATA_LOSS also
 *           when the file becomes shorter while it is read. */
trp_status trp_onnx_read_file(const char *path, const struct trp_onnx_opts *opts,
                              struct trp_arena *arena, struct trp_onnx_model *out,
                              struct trp_error *err);

/* True when the server can carry it: a tensor of a served element type, or a ZipMap whose dense
 * form is known.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
bool trp_onnx_io_is_served(const struct trp_onnx_io *io);

/* Makes the signature that the model will have when it is loaded.
 *   Owns  : everything in *out lives in `arena`; texts are shared with `model`.
 *   Thread: any.
 *   Errors: UNIMPLEMENTED: which input or output cannot be served and why; OUT_OF_MEMORY. */
trp_status trp_onnx_signature(const struct trp_onnx_model *model, struct trp_arena *arena,
                              struct trp_signature *out, struct trp_error *err);

#endif

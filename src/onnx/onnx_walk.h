/* onnx/onnx_walk.h - what the parts of the reader share during one reading.
 * Answers "where are we in the file, and has it failed already?".  The first failure sticks: loops
 * over fields end, and nobody passes a status up by hand.  Private to this room. */
#ifndef TRP_ONNX_WALK_H
#define TRP_ONNX_WALK_H

#include "base/table.h"
#include "onnx/onnx_names.h"
#include "onnx/onnx_proto.h"
#include "onnx/onnx_reader.h"

/* A list that grows in the scratch memory of the walk. */
struct trp_onnx_list {
    void *items;
    uint32_t n, capacity;
};

struct trp_onnx_walk {
    struct trp_str file;
    struct trp_onnx_opts opts; /* no zeros left */
    struct trp_arena *arena;   /* what stays */
    struct trp_arena scratch;  /* what goes when the file has been read */
    struct trp_onnx_model model;
    struct trp_onnx_names names;
    struct trp_table *ops; /* "domain:op" to struct trp_onnx_op */
    struct trp_onnx_list externals, hazards;
    uint64_t tensors;
    uint64_t constant_bytes; /* of constants that were looked at */
    uint32_t depth;
    bool has_default_functions; /* a local function may stand behind any operator's name */
    trp_status status;
    struct trp_error *err;
};

/* Which graph a node stands in; lives on the stack of its walk. */
struct trp_onnx_frame {
    enum { TRP_ONNX_MAIN_FRAME, TRP_ONNX_SUBGRAPH_FRAME, TRP_ONNX_FUNCTION_FRAME } kind;
    struct trp_str op, name; /* the node that holds a subgraph; the function */
    bool in_function;
};

/* Sets up and tears down; opts may be NULL.
 *   Owns  : `file` and `arena` are borrowed; what lives in `arena` stays.
 *   Thread: owner.
 *   Errors: w->status. */
void trp_onnx_walk_init(struct trp_onnx_walk *w, struct trp_str file,
                        const struct trp_onnx_opts *opts, struct trp_arena *arena,
                        struct trp_error *err);
void trp_onnx_walk_deinit(struct trp_onnx_walk *w);

/* Records a failure, unless one stands already.
 *   Owns  : as trp_fail().
 *   Thread: owner.
 *   Errors: sets w->status. */
void trp_onnx_stop(struct trp_onnx_walk *w, enum trp_code code, const char *format, ...)
    TRP_PRINTF(3, 4);

/* Reads the next field of a message; false at its end, and after any failure of the walk.
 *   Owns  : f->bytes is borrowed from the file.
 *   Thread: owner.
 *   Errors: sets w->status: DATA_LOSS with `what` and the offset. */
bool trp_onnx_next(struct trp_onnx_walk *w, struct trp_pb_reader *r, const char *what,
                   struct trp_pb_field *f);

/* Offset of a place in the file.
 *   Units : bytes.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
size_t trp_onnx_offset(const struct trp_onnx_walk *w, const void *at);

/* Copy a name or a text into the arena.
 *   Owns  : lives in w->arena.
 *   Thread: owner.
 *   Errors: sets w->status: TOO_LARGE (a name; a text is cut), OUT_OF_MEMORY; empty then. */
struct trp_str trp_onnx_keep_name(struct trp_onnx_walk *w, struct trp_str name, const char *what);
struct trp_str trp_onnx_keep_text(struct trp_onnx_walk *w, struct trp_str text);

/* Appends a zeroed item; moves the list into the arena when it is complete.
 *   Owns  : borrowed until the next add; lives in w->arena (keep).
 *   Thread: owner.
 *   Errors: NULL and w->status: TOO_LARGE, OUT_OF_MEMORY. */
void *trp_onnx_list_add(struct trp_onnx_walk *w, struct trp_onnx_list *list, size_t item_bytes,
                        uint32_t max, const char *what);
const void *trp_onnx_list_keep(struct trp_onnx_walk *w, const struct trp_onnx_list *list,
                               size_t item_bytes);

/* Enters a graph or type inside another; false when that is too deep.  Leave with depth--.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: false and w->status: TOO_LARGE. */
bool trp_onnx_enter(struct trp_onnx_walk *w, const void *at, const char *what);

#endif

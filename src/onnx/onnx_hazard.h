/* onnx/onnx_hazard.h - what in a model can go wrong when it runs.
 * Answers "what should somebody know before this model is served?".  The one that matters:
 * INT64_MIN / -1 traps in the processor, so a request whose numbers reach an integer division
 * can end the whole process. */
#ifndef TRP_ONNX_HAZARD_H
#define TRP_ONNX_HAZARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum trp_onnx_hazard_kind {
    TRP_ONNX_INT_DIVISION,  /* Div or Mod on integers whose divisor may be -1: can kill the
                            * process */
    TRP_ONNX_ZERO_DIVISION, /* the divisor is a constant that holds 0: an error, the process
                             * lives */
    TRP_ONNX_OUTSIDE_PATH,  /* external data by an absolute path, or one that goes up: will be
                            * refused */
    TRP_ONNX_LOCALE,        /* StringNormalizer: loads only where the locale en_US.UTF-8 exists */
    TRP_ONNX_HAZARDS
};

struct trp_onnx_hazard {
    enum trp_onnx_hazard_kind kind;
    bool possible;        /* element type unknown: nothing to fear when it is a float */
    int32_t elem;         /* enum trp_onnx_elem of the operands */
    struct trp_str op;    /* "Div"; empty for OUTSIDE_PATH */
    struct trp_str node;  /* name of the node (may be empty), or of the tensor */
    struct trp_str value; /* name of the divisor, or the path */
    struct trp_str where; /* "" main graph, "function f", "If 'name'" ... */
};

/* "int-division" and so on, for programs.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const char *trp_onnx_hazard_name(int32_t kind);

/* True for what can take the process down, as against what only fails or is refused.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
bool trp_onnx_hazard_is_fatal(const struct trp_onnx_hazard *h);

/* Appends one sentence for people; names are quoted, control characters in them replaced.
 *   Owns  : copied into `b`.
 *   Thread: any.
 *   Errors: see b->failed. */
void trp_onnx_hazard_format(const struct trp_onnx_hazard *h, struct trp_buf *b);

#endif

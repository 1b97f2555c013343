/* tensor/dtype.h - element types, their names and widths.
 * Answers "how is one element stored?". */
#ifndef TRP_DTYPE_H
#define TRP_DTYPE_H

#include "base/str.h"
#include "troupe/tensor.h"

/* "FP32" to TROUPE_FP32 and back; TROUPE_NO_DTYPE (and "") when unknown.  The config spellings are
 * "TYPE_FP32" and "TYPE_STRING" for BYTES.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
enum troupe_dtype trp_dtype_parse(struct trp_str name);
const char *trp_dtype_name(int32_t dtype);
enum troupe_dtype trp_dtype_parse_config(struct trp_str name);
const char *trp_dtype_config_name(int32_t dtype);

/* The type that somebody means who has another library's word for it: "float32", "double", "int64",
 * "TYPE_FP32"; case says nothing.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: TROUPE_NO_DTYPE: none. */
enum troupe_dtype trp_dtype_guess(struct trp_str name);

/* Bytes of one element; 0 for BYTES and unknown.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
uint32_t trp_dtype_bytes(int32_t dtype);

#endif

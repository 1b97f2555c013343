/* base/json_text.h - the parts of JSON that simdjson leaves open.
 * Answers "what is wrong with this text, and can it be read all the same?".  Internal to
 * base/json.h; it is only asked after simdjson has refused a text, so it is written for clarity. */
#ifndef TRP_JSON_TEXT_H
#define TRP_JSON_TEXT_H

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TRP_JSON_DEPTH_MAX 1024

/* Walks a text by JSON's grammar.  Bare NaN, Infinity and -Infinity get quotes, and integers
 * beyond 64 bits get ".0", so that they are read as the nearest float; when there was any, `out`
 * holds the whole text with these changes and *out_changed is true.
 *   Units : depth_max at most TRP_JSON_DEPTH_MAX.
 *   Owns  : copied; `out` is the caller's.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT with what is wrong and the byte where; TOO_LARGE, OUT_OF_MEMORY of
 *           `out`.
 *   Source: RFC 8259. */
trp_status trp_json_mend(struct trp_str text, uint32_t depth_max, struct trp_buf *out,
                         bool *out_changed, struct trp_error *err);

#ifdef __cplusplus
}
#endif

#endif

/* base/json.h - reading JSON, and printing its numbers and strings.
 * Answers "what does this JSON text say?".  A thin C face over simdjson (base/json.cc, the only
 * C++ of the core); all limits are checked here.  Bare NaN, Infinity and -Infinity are read as the
 * strings of that name, which count as numbers; integers beyond 64 bits as the nearest float. */
#ifndef TRP_JSON_H
#define TRP_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TRP_JSON_PADDING 64 /* readable bytes needed behind a text */

enum trp_json_type {
    TRP_JSON_NULL,
    TRP_JSON_BOOL,
    TRP_JSON_INT,  /* fits int64 */
    TRP_JSON_UINT, /* above INT64_MAX, fits uint64 */
    TRP_JSON_FLOAT,
    TRP_JSON_STRING,
    TRP_JSON_ARRAY,
    TRP_JSON_OBJECT
};

struct trp_json_parser; /* owns the parsed document; reusable; one thread at a time */

/* A place in a parsed document; valid until the parser parses again or is destroyed. */
struct trp_json {
    const void *doc;
    size_t at;
};

/* Makes a parser.
 *   Units : bytes_max is the largest text; depth_max the deepest nesting (at most 1024).
 *   Owns  : the caller destroys.
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_json_parser_create(size_t bytes_max, uint32_t depth_max,
                                  struct trp_json_parser **out_parser, struct trp_error *err);
void trp_json_parser_destroy(struct trp_json_parser *p);

/* Gives back what only a far larger text than any since the last call needed; values of the last
 * text are gone afterwards.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none; without memory for less it keeps what it has. */
void trp_json_parser_age(struct trp_json_parser *p);

/* Parses a text.  When `padded`, TRP_JSON_PADDING bytes behind it may be read (whatever they hold).
 *   Owns  : `text` is borrowed for the call; *out_root is borrowed from the parser.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT with what is wrong and roughly where, TOO_LARGE, OUT_OF_MEMORY. */
trp_status trp_json_parse(struct trp_json_parser *p, struct trp_str text, bool padded,
                          struct trp_json *out_root, struct trp_error *err);

/* Look at a value.  The `_as_` forms return false when the type is another or the value does not
 * fit.
 *   Owns  : borrowed from the parser.
 *   Thread: owner.
 *   Errors: none. */
enum trp_json_type trp_json_type(struct trp_json v);
const char *trp_json_type_name(enum trp_json_type t); /* "an array" */
bool trp_json_as_bool(struct trp_json v, bool *out);
bool trp_json_as_i64(struct trp_json v, int64_t *out);
bool trp_json_as_u64(struct trp_json v, uint64_t *out);
bool trp_json_as_f64(struct trp_json v,
                     double *out); /* integers too; "NaN", "Infinity", "-Infinity" too */
bool trp_json_as_str(struct trp_json v, struct trp_str *out);

/* Walk arrays and objects: begin() sets up the walk, each next() gives one child; both are false
 * when there is no (further) child, and for any other type.  For objects *out_key is set (NULL
 * allowed for arrays).
 *   Owns  : borrowed from the parser.
 *   Thread: owner.
 *   Errors: none. */
struct trp_json_iter {
    const void *doc;
    size_t at, end;
    bool is_object;
};
bool trp_json_begin(struct trp_json v, struct trp_json_iter *it);
bool trp_json_next(struct trp_json_iter *it, struct trp_str *out_key, struct trp_json *out_value);
bool trp_json_find(struct trp_json object, const char *key,
                   struct trp_json *out); /* the last of duplicates */
size_t trp_json_count(struct trp_json v); /* direct children of an array or object */

/* Writes all numbers (or booleans) of a nested or flat array, or one scalar, in row-major order to
 * `out` as `dtype` (enum troupe_dtype, not BYTES).  Exactly `count` elements must be there.
 *   Shape : out is count elements of dtype, little-endian.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT: an element of a wrong type, one that does not fit, too few, too
 *           many. */
trp_status trp_json_fill(struct trp_json v, int32_t dtype, void *out, size_t count,
                         struct trp_error *err);

/* Visits all strings of a nested or flat array, or one scalar, in row-major order (for BYTES).
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT when an element is no string, or what `each` returned. */
trp_status trp_json_each_string(struct trp_json v,
                                trp_status (*each)(void *user, struct trp_str s,
                                                   struct trp_error *err),
                                void *user, struct trp_error *err);

/* Append numbers with the fewest digits that read back the same; non-finite ones as the strings
 * "NaN", "Infinity", "-Infinity".  `trp_json_write_values` appends `count` elements of `dtype`
 * (not BYTES) with commas.
 *   Owns  : copied into `b`.
 *   Thread: any.
 *   Errors: see b->failed. */
void trp_json_write_f64(struct trp_buf *b, double v);
void trp_json_write_f32(struct trp_buf *b, float v);
void trp_json_write_values(struct trp_buf *b, int32_t dtype, const void *values, size_t count);

/* Appends a string with quotes, escaping as JSON asks; bytes that are not UTF-8 become U+FFFD.
 *   Owns  : copied into `b`.
 *   Thread: any.
 *   Errors: see b->failed. */
void trp_json_write_str(struct trp_buf *b, struct trp_str s);

#ifdef __cplusplus
}
#endif

#endif

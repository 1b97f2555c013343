/* base/str.h - a range of bytes with a length.
 * Answers "what is a text that nobody terminated?".  Never owns; terminated strings stop at
 * configuration and command line. */
#ifndef TRP_STR_H
#define TRP_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct trp_str {
    const char *ptr; /* may be NULL when len == 0 */
    size_t len;
};

#define TRP_STR(s) (int)(s).len, (s).ptr /* for "%.*s" */
#define TRP_STR_LIT(literal) ((struct trp_str){ "" literal, sizeof(literal) - 1 })
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define TRP_CONTAINER_OF(member_ptr, type, member) \
    ((type *)(void *)((char *)(member_ptr)-offsetof(type, member)))

static inline struct trp_str trp_str_of(const char *terminated)
{
    return (struct trp_str){ terminated, terminated ? strlen(terminated) : 0 };
}
static inline struct trp_str trp_str_make(const char *ptr, size_t len)
{
    return (struct trp_str){ ptr, len };
}
static inline bool trp_str_is_equal(struct trp_str a, struct trp_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
static inline bool trp_str_is(struct trp_str a, const char *terminated)
{
    return trp_str_is_equal(a, trp_str_of(terminated));
}
static inline bool trp_str_starts_with(struct trp_str s, struct trp_str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}
static inline bool trp_str_ends_with(struct trp_str s, struct trp_str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

/* Compares ASCII letters without their case.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
bool trp_str_is_equal_nocase(struct trp_str a, struct trp_str b);

/* Orders by bytes: < 0, 0, > 0.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
int trp_str_compare(struct trp_str a, struct trp_str b);

/* Parses decimal digits only; true when all of `s` is one number that fits.
 *   Owns  : borrowed; *out is untouched on false.
 *   Thread: any.
 *   Errors: none. */
bool trp_str_parse_u64(struct trp_str s, uint64_t *out);
bool trp_str_parse_i64(struct trp_str s, int64_t *out);

#define TRP_STR_DIGITS 20u /* of the largest number */

/* Writes a number's digits, the last of them at the end of `room`.
 *   Owns  : borrowed from room.
 *   Thread: any.
 *   Errors: none. */
struct trp_str trp_str_of_u64(uint64_t v, char room[TRP_STR_DIGITS]);

/* Parses a floating-point number in the C locale; true when all of `s` is one.
 *   Owns  : borrowed; *out is untouched on false.
 *   Thread: any.
 *   Errors: none. */
bool trp_str_parse_f64(struct trp_str s, double *out);

/* Copies to a terminated buffer, cutting at its size; returns false when it was cut.
 *   Owns  : `out` is the caller's, out_size >= 1.
 *   Thread: any.
 *   Errors: none. */
bool trp_str_copy(struct trp_str s, char *out, size_t out_size);

/* Levenshtein distance, at most `limit` + 1; both sides are looked at up to 64 bytes.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
uint32_t trp_str_distance(struct trp_str a, struct trp_str b, uint32_t limit);

/* True when every byte sequence is well-formed UTF-8 (no surrogates, no overlong forms).
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none.
 *   Source: Unicode 15, table 3-7. */
bool trp_str_is_utf8(struct trp_str s);

/* How many bytes from `from` on are ASCII, no control character, and neither `a` nor `b`: what may
 * be copied as it is where those two are written otherwise.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
size_t trp_str_plain_run(struct trp_str s, size_t from, char a, char b);

/* Length of the UTF-8 sequence at `ptr`, which has `left` >= 1 bytes; 0 when it is malformed.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
size_t trp_str_utf8_length(const char *ptr, size_t left);

/* Writes a character as UTF-8, as many bytes as it takes: 1 to 4.  What is no character (a
 * surrogate) is for the caller to refuse.
 *   Units : code <= 0x10ffff.
 *   Owns  : `out` has room for 4.
 *   Thread: any.
 *   Errors: none. */
size_t trp_str_put_utf8(char *out, uint32_t code);

#endif

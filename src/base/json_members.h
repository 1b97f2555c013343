/* base/json_members.h - members of a JSON object, one after the other.
 * Answers "does a comma stand before this one?".  Keys are literals of ours. */
#ifndef TRP_JSON_MEMBERS_H
#define TRP_JSON_MEMBERS_H

#include "base/buf.h"
#include "base/json.h"

/* Append a key, or a key and its value, with a comma unless it is the first of its object.
 *   Owns  : copied.
 *   Thread: owner.
 *   Errors: see b->failed. */
static inline void trp_json_add_key(struct trp_buf *b, const char *key)
{
    const char last = b->len ? b->ptr[b->len - 1] : '{';
    trp_buf_addf(b, "%s\"%s\":", last == '{' || last == '[' ? "" : ",", key);
}
static inline void trp_json_add_str(struct trp_buf *b, const char *key, struct trp_str s)
{
    trp_json_add_key(b, key);
    trp_json_write_str(b, s);
}
static inline void trp_json_add_i64(struct trp_buf *b, const char *key, int64_t v)
{
    trp_json_add_key(b, key);
    trp_buf_add_i64(b, v);
}
static inline void trp_json_add_u64(struct trp_buf *b, const char *key, uint64_t v)
{
    trp_json_add_key(b, key);
    trp_buf_add_u64(b, v);
}
static inline void trp_json_add_bool(struct trp_buf *b, const char *key, bool v)
{
    trp_json_add_key(b, key);
    trp_buf_add_text(b, v ? "true" : "false");
}

#endif

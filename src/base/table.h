/* base/table.h - names to pointers, for tables that one thread changes.
 * Answers "what is kept under this name?".  Open addressing, XXH3 with a seed; keys are copied. */
#ifndef TRP_TABLE_H
#define TRP_TABLE_H

#include "base/alloc.h"
#include "base/status.h"
#include "base/str.h"

struct trp_table;

/* Makes an empty table.
 *   Owns  : the caller destroys; values stay the caller's.
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_table_create(const struct trp_alloc *alloc, uint32_t entries_max,
                            struct trp_table **out_table, struct trp_error *err);
void trp_table_destroy(struct trp_table *t);

/* Puts a value (not NULL) under a key; a value that was there is replaced and returned in *out_old.
 *   Owns  : the key is copied; out_old may be NULL.
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY, TOO_LARGE (entries_max reached); unchanged then. */
trp_status trp_table_put(struct trp_table *t, struct trp_str key, void *value, void **out_old,
                         struct trp_error *err);

/* Looks up, or takes out; NULL when absent.
 *   Owns  : borrowed (get), the caller's (take).
 *   Thread: owner.
 *   Errors: none. */
void *trp_table_get(const struct trp_table *t, struct trp_str key);
void *trp_table_take(struct trp_table *t, struct trp_str key);
uint32_t trp_table_count(const struct trp_table *t);

/* Walks: `*cursor` starts at 0; false at the end.  Order is undefined; do not change the table
 * meanwhile.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Errors: none. */
bool trp_table_next(const struct trp_table *t, uint32_t *cursor, struct trp_str *out_key,
                    void **out_value);

#endif

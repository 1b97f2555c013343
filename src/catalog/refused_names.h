/* catalog/refused_names.h - names that a file of routes would declare, though it is wrong.
 * Answers "what would be there, if this were right?": whoever asks for such a name is told why it
 * is not there, and not that nobody knows it.  Pure. */
#ifndef TRP_REFUSED_NAMES_H
#define TRP_REFUSED_NAMES_H

#include "base/arena.h"
#include "base/status.h"

#define TRP_REFUSED_NAMES_MAX 10000u

struct trp_refused_name {
    struct trp_str name;
    const char *kind; /* static: "route", "ensemble", "cascade", "pipeline" */
    uint32_t line;
};

struct trp_refused_names { /* sorted by name, each once: the first in the file */
    struct trp_refused_name *items;
    uint32_t n;
};

/* Reads them: from the tree, or, where the text is no YAML, line by line, of sections whose names
 * stand each on a line of its own.  Names after TRP_REFUSED_NAMES_MAX are left out.
 *   Owns  : everything lives in `arena`; the text is borrowed for the call.
 *   Thread: any.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_refused_names_read(struct trp_arena *arena, struct trp_str text,
                                  struct trp_refused_names *out, struct trp_error *err);

/* The one of this name.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Cost  : O(log names).
 *   Errors: NULL: there is none. */
struct trp_refused_name *trp_refused_names_find(const struct trp_refused_names *names,
                                                struct trp_str name);

#endif

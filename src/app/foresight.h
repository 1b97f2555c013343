/* app/foresight.h - routes and compositions of repositories, before a server has them.
 * Answers "what would a server say of what is written there?": it is read, and checked against the
 * models that lie there, by the functions of the server; nothing is loaded. */
#ifndef TRP_FORESIGHT_H
#define TRP_FORESIGHT_H

#include "base/arena.h"
#include "conf/settings.h"

struct trp_foreseen {
    const char *text; /* with file:line where there is such a place; may have several lines */
    bool is_doubt;    /* a server would take it up all the same, and say so */
};

struct trp_foresight {
    struct trp_arena arena;
    struct trp_foreseen *items; /* refusals before doubts */
    uint32_t n;
};

struct trp_foresight_opts {
    const struct trp_settings *settings;
    const char *const *repositories; /* folders; the first that has a name has the model */
    uint32_t repositories_n;         /* one or more */
};

/* Reads and checks all that a server with these settings would.  Models that are named are looked
 * into as far as that needs no runtime: their ONNX files, those of built-in backends, and
 * what other backends tell of a file.
 *   Owns  : `opts` is borrowed; the caller deinits `f`, also after a failure.
 *   Thread: owner.
 *   Blocks: disk.
 *   Errors: as trp_repo_list(); NOT_FOUND: routes.path names no file; OUT_OF_MEMORY, IO.  What is
 *           wrong with what is written is none of them: it is in `f`. */
trp_status trp_foresight_run(struct trp_foresight *f, const struct trp_alloc *alloc,
                             const struct trp_foresight_opts *opts, struct trp_error *err);
void trp_foresight_deinit(struct trp_foresight *f);

#endif

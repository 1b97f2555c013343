/* repo/repo_path.h - a walk through the folders of a repository that never leaves it.
 * Answers "what lies at this place, and may it be looked at?".  Private to this room. */
#ifndef TRP_REPO_PATH_H
#define TRP_REPO_PATH_H

#include <limits.h>

#include "base/file.h"
#include "repo/repo.h"

/* Where the walk stands.  `real` is the repository with all links followed: what a link may
 * point into. */
struct trp_repo_walk {
    const struct trp_repo_opts *opts;
    struct trp_arena *arena;
    char real[PATH_MAX];
    char path[PATH_MAX]; /* always terminated */
    size_t len, root_len;
};

/* Starts at the folder of one repository.
 *   Owns  : `opts`, `root` and `arena` are borrowed.
 *   Thread: loader.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(); INVALID_ARGUMENT when it is no folder, or its path is too long. */
trp_status trp_repo_walk_init(struct trp_repo_walk *w, const struct trp_repo_opts *opts,
                              const char *root, struct trp_arena *arena, struct trp_error *err);

/* Goes one name down; trp_repo_walk_pop() goes back to the length that was noted before.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT when the path becomes too long; unchanged then. */
trp_status trp_repo_walk_push(struct trp_repo_walk *w, const char *name, struct trp_error *err);
void trp_repo_walk_pop(struct trp_repo_walk *w, size_t len);

/* Where the walk stands, below the repository ("m/1/model.onnx"), for messages.
 *   Owns  : borrowed until the walk moves.
 *   Thread: owner.
 *   Errors: none. */
const char *trp_repo_walk_place(const struct trp_repo_walk *w);

/* Looks at the place, following a link only to where it stays inside the repository.
 *   Owns  : nothing.
 *   Thread: loader.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(); PERMISSION_DENIED when a link leaves the repository. */
trp_status trp_repo_walk_look(const struct trp_repo_walk *w, struct trp_file_stat *out,
                              struct trp_error *err);

/* True for ".git", "." and "..".
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
static inline bool trp_repo_is_hidden(const char *name)
{
    return name[0] == '.';
}

#endif

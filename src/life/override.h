/* life/override.h - files that somebody sent along with a load.
 * Answers "where do they lie while they are loaded, and can they reach anything else?".  Private
 * to this room. */
#ifndef TRP_OVERRIDE_H
#define TRP_OVERRIDE_H

#include "life/life.h"

/* Writes the files of an order into a fresh folder of its own, as a repository that holds this one
 * model.
 *   Owns  : *out_root lives in `arena`; the caller removes the folder with trp_override_remove().
 *   Thread: loader.
 *   Blocks: disk.
 *   Errors: INVALID_ARGUMENT: a path that is empty, absolute, longer than 255 bytes, holds "." or
 *           ".." or a zero byte, or is there twice; as trp_fail_errno().  Nothing is left behind
 *           then. */
trp_status trp_override_write(const struct trp_order *order, struct trp_arena *arena,
                              struct trp_str *out_root, struct trp_error *err);

/* Removes the folder and everything in it, following no link; an empty `root` is nothing to do.
 *   Owns  : nothing.
 *   Thread: loader.
 *   Blocks: disk.
 *   Errors: none; what cannot be removed stays. */
void trp_override_remove(struct trp_str root);

#endif

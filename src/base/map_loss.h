/* base/map_loss.h - mapped files that somebody cuts short while the process works with them.
 * Answers "is what we map still there, and if not, what was it?".  The pages behind a file's new
 * end are gone, and touching one ends the process (SIGBUS).  Below folders that are watched a
 * mapping that lost pages is replaced by zeros instead, and counted: whoever has worked with it
 * compares the count before and after, and throws away what he has made of zeros.  For looking
 * into a file once there is map_guard.h. */
#ifndef TRP_MAP_LOSS_H
#define TRP_MAP_LOSS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define TRP_MAP_LOSS_FOLDERS 64
#define TRP_MAP_LOSS_KEPT 64
#define TRP_MAP_LOSS_PATH_MAX 1024

/* Watches private mappings of files below a folder, from then on, in all threads that let SIGBUS
 * through (trp_thread_start() does); as often as it is watched it must be let alone.
 *   Owns  : copied.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(), OVER_BUDGET (that many folders, or so long a path); it is not
 *           watched then. */
trp_status trp_map_loss_watch(const char *folder, struct trp_error *err);
void trp_map_loss_unwatch(const char *folder);

/* How many mappings were lost so far.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : one load.
 *   Errors: none. */
uint64_t trp_map_loss_count(void);

/* The path of the n-th lost one, as the kernel names it (links resolved); the first is 1, the last
 * TRP_MAP_LOSS_KEPT are kept.
 *   Owns  : `out` is the caller's.
 *   Thread: any.
 *   Errors: false: none of that number, or it is not kept any more. */
bool trp_map_loss_path(uint64_t n, char out[TRP_MAP_LOSS_PATH_MAX]);

/* For the handler of SIGBUS (map_guard.c): puts zeros where `at` lies, if that is a mapping that is
 * watched.
 *   Owns  : nothing.
 *   Thread: any, in a signal handler.
 *   Errors: false: it is none of ours. */
bool trp_map_loss_mend(const void *at);

#endif

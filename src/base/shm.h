/* base/shm.h - POSIX shared memory that somebody else made.
 * Answers "what lies in this segment, and is it still there?". */
#ifndef TRP_SHM_H
#define TRP_SHM_H

#include "base/status.h"

struct trp_shm {
    int fd;
    char *ptr;      /* of the segment's first byte */
    uint64_t bytes; /* mapped */
};

/* Opens a segment by its shm_open() name and maps its first `bytes` for reading and writing.
 *   Units : bytes, >= 1.
 *   Owns  : the caller closes.
 *   Thread: any.
 *   Blocks: device.
 *   Errors: INVALID_ARGUMENT (name, or the segment is smaller: both sizes are named), NOT_FOUND, PERMISSION_DENIED, OUT_OF_MEMORY. */
trp_status trp_shm_open(const char *key, uint64_t bytes, struct trp_shm *out,
                        struct trp_error *err);
void trp_shm_close(struct trp_shm *s); /* accepts a closed one (ptr NULL) */

/* True while the segment is still as large as what was mapped: touching pages behind a segment's end would kill the process.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
bool trp_shm_is_whole(const struct trp_shm *s);

#endif

/* base/shm.h - memory that several processes have mapped.
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
 *   Errors: INVALID_ARGUMENT (name, or the segment is smaller: both sizes are named), NOT_FOUND,
 *           PERMISSION_DENIED, OUT_OF_MEMORY. */
trp_status trp_shm_open(const char *key, uint64_t bytes, struct trp_shm *out,
                        struct trp_error *err);
void trp_shm_close(struct trp_shm *s); /* accepts a closed one (ptr NULL) */

/* Makes memory that has no name, to be handed to another process as a descriptor; and maps what
 * another one handed over.  Only pages that somebody writes to are taken, so it may be much larger
 * than memory.  Its size is sealed: who was handed it cannot cut pages off that this process reads,
 * which would end this process.
 *   Units : bytes, >= 1; create: fewer where files may not grow as large (out->bytes says).
 *   Owns  : the caller closes; adopt: `fd` is the callee's when it succeeds.
 *   Thread: any.
 *   Errors: create: as trp_fail_errno(); adopt: INVALID_ARGUMENT (it is smaller), OUT_OF_MEMORY. */
trp_status trp_shm_create(const char *name, uint64_t bytes, struct trp_shm *out,
                          struct trp_error *err);
trp_status trp_shm_adopt(int fd, uint64_t bytes, struct trp_shm *out, struct trp_error *err);

/* The same for another process that may look and not write: a descriptor that lets nobody write
 * through it, however it is mapped; and what that process does with it.
 *   Units : bytes, as trp_shm_adopt().
 *   Owns  : out_fd: the caller closes; look: as trp_shm_adopt().
 *   Thread: any.
 *   Blocks: disk (the kernel's own files).
 *   Errors: as trp_fail_errno(); look: as trp_shm_adopt(). */
trp_status trp_shm_open_reader(const struct trp_shm *s, int *out_fd, struct trp_error *err);
trp_status trp_shm_look(int fd, uint64_t bytes, struct trp_shm *out, struct trp_error *err);

/* Gives the whole pages of a range back to the system; they read as zeros then, for everybody.
 *   Units : bytes.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none; it is a courtesy. */
void trp_shm_forget(const struct trp_shm *s, uint64_t at, uint64_t bytes);

/* True while the segment is still as large as what was mapped: touching pages behind a segment's
 * end would kill the process.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
bool trp_shm_is_whole(const struct trp_shm *s);

#endif

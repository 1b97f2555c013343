/* base/disk.h - changes to folders and files that outlive a crash.
 * Answers "is it there, whole, after the power went?".  What must be seen whole or not at all is
 * written under a temporary name, synced, and renamed; the folder that holds the name is synced
 * as well. */
#ifndef TRP_DISK_H
#define TRP_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"

/* Makes a folder and the missing ones above it; one that is there is left as it is.
 *   Owns  : nothing.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(). */
trp_status trp_disk_make_folder(const char *path, struct trp_error *err);

/* Writes a new file and syncs it (soon: lets the system do that when it likes, for what can be told
 * from its bytes to be whole); removes what was written when that fails.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: ALREADY_EXISTS, else as trp_fail_errno(). */
trp_status trp_disk_write(const char *path, const void *data, size_t bytes, mode_t mode,
                          struct trp_error *err);
trp_status trp_disk_write_soon(const char *path, const void *data, size_t bytes, mode_t mode,
                               struct trp_error *err);

/* As trp_disk_write(), and the file says that it is of a certain date: whoever writes to it later
 * changes that.
 *   Units : seconds since 1970.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: as trp_disk_write(). */
trp_status trp_disk_write_dated(const char *path, const void *data, size_t bytes, mode_t mode,
                                int64_t date_s, struct trp_error *err);

/* Renames, replacing a file that is there, and syncs the folder of the new name.  A folder does not
 * replace one that holds something.
 *   Owns  : nothing.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: ALREADY_EXISTS (a folder that is not empty), else as trp_fail_errno(); nothing is
 *           renamed then, or the sync failed. */
trp_status trp_disk_publish(const char *from, const char *to, struct trp_error *err);

/* Renames without a sync: for what may come back after a crash.
 *   Owns  : nothing.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(). */
trp_status trp_disk_move(const char *from, const char *to, struct trp_error *err);

/* Writes all of a piece at an offset of an open file, without a sync.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(); some of it may have been written. */
trp_status trp_disk_write_at(int fd, const void *data, size_t bytes, uint64_t at,
                             struct trp_error *err);

/* Removes a file, or a folder with all that is in it, without following links; what is not there is
 * removed.
 *   Owns  : nothing.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(), with the first that could not be removed. */
trp_status trp_disk_remove(const char *path, struct trp_error *err);

/* Opens a file, making it if need be, and takes the one lock on it, which the kernel drops with the
 * process.
 *   Owns  : the caller closes *out_fd, and so unlocks.
 *   Thread: any.
 *   Blocks: never.
 *   Errors: UNAVAILABLE (somebody else has it), else as trp_fail_errno(). */
trp_status trp_disk_lock(const char *path, int *out_fd, struct trp_error *err);

/* Likewise, but waits for others to leave; any number may hold it together when none of them is
 * `alone`.
 *   Units : wait_ns from now.
 *   Owns  : the caller closes *out_fd, and so unlocks.
 *   Thread: any; also two threads of one process exclude each other.
 *   Blocks: until it is free, or wait_ns have passed: who holds it may be stopped.
 *   Errors: UNAVAILABLE (waited in vain), else as trp_fail_errno(). */
trp_status trp_disk_lock_wait(const char *path, bool alone, int64_t wait_ns, int *out_fd,
                              struct trp_error *err);

#endif

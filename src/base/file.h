/* base/file.h - files, read whole or mapped.
 * Answers "what is in this file?".  Every open, read and mmap of ours goes through here, so a test
 * build can fail any one of them. */
#ifndef TRP_FILE_H
#define TRP_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/alloc.h"
#include "base/status.h"
#include "base/str.h"

/* What a path is.  `kind` is 'f' file, 'd' folder, 'o' other. */
struct trp_file_stat {
    char kind;
    uint64_t bytes, inode, device;
    int64_t mtime_ns;
};

/* Looks at a path (following links).
 *   Owns  : `path` is borrowed.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(). */
trp_status trp_file_stat(const char *path, struct trp_file_stat *out, struct trp_error *err);

/* Opens; returns a descriptor with O_CLOEXEC in *out_fd.
 *   Owns  : the caller closes.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(). */
trp_status trp_file_open(const char *path, int flags, mode_t mode, int *out_fd,
                         struct trp_error *err);

/* Reads a file whole; the result is terminated (not counted).  Reads to its end, whatever stat
 * says.
 *   Units : max in bytes.
 *   Owns  : the caller frees with trp_alloc_free(alloc, *out_ptr).
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(), TOO_LARGE, OUT_OF_MEMORY. */
trp_status trp_file_read(const struct trp_alloc *alloc, const char *path, size_t max,
                         char **out_ptr, size_t *out_len, struct trp_error *err);

/* Writes all of it, however often the kernel takes a part.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: returns the errno; 0: it is written. */
int trp_file_write_all(int fd, const void *bytes, size_t len);

/* Writes a file by temporary name, sync and rename, so a reader sees the old or the new one whole.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(). */
trp_status trp_file_replace(const char *path, const void *ptr, size_t len, struct trp_error *err);

/* The text of a small file of the kernel's below `root` ("": the machine's own), terminated.
 *   Owns  : the caller frees with trp_alloc_free(trp_heap(), ...).
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: NULL: it is not there, or longer than 64 KB. */
char *trp_kernel_text(const char *root, const char *path);

/* Maps a file for reading.  An empty file maps to ptr == NULL, len == 0.
 *   Owns  : the caller unmaps.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(). */
struct trp_map {
    const void *ptr;
    size_t len;
};
trp_status trp_map_file(const char *path, struct trp_map *out, struct trp_error *err);
void trp_unmap(struct trp_map *map); /* accepts an empty one; zeroes it */

/* Calls `each` for every entry of a folder but "." and "..", sorted by name; stops at the first
 * failure.
 *   Owns  : `name` is borrowed for the call.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(), TOO_LARGE (more than entries_max), or what `each` returned. */
trp_status trp_dir_each(const char *path, uint32_t entries_max,
                        trp_status (*each)(void *user, const char *name, struct trp_error *err),
                        void *user, struct trp_error *err);

#endif

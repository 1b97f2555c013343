/* base/disk.c - see disk.h. */
#include "base/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/torture.h"

#define PATH_BYTES 4096
#define FOLDERS_OPEN 16
#define WAIT_TURN_NS 1000000

/* --- folders ---------------------------------------------------------------------------------- */

static int make_one(const char *path)
{
    struct stat st;
    if (TRP_TORTURE_FAILS("mkdir"))
        return EIO;
    if (mkdir(path, 0755) == 0)
        return 0;
    const int failed = errno;
    if (failed != EEXIST || stat(path, &st) != 0)
        return failed;
    return S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
}

trp_status trp_disk_make_folder(const char *path, struct trp_error *err)
{
    char folder[PATH_BYTES];
    const size_t n = strlen(path);
    if (n == 0 || n >= sizeof folder)
        return trp_fail_errno(err, n ? ENAMETOOLONG : ENOENT, "%s", path);
    memcpy(folder, path, n + 1);
    for (char *at = folder + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        const int failed = make_one(folder);
        if (failed)
            return trp_fail_errno(err, failed, "%s", folder);
        *at = '/';
    }
    const int failed = make_one(folder);
    return failed ? trp_fail_errno(err, failed, "%s", folder) : trp_ok();
}

/* Makes a new name in a folder outlive a crash; 0 or an errno. */
static int sync_folder_of(const char *path)
{
    char folder[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    const size_t n = slash == path ? 1 : slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof folder)
        return ENAMETOOLONG;
    memcpy(folder, path, n);
    folder[n] = '\0';
    const int fd = open(n ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    const int failed = fsync(fd) != 0 ? errno : 0;
    close(fd);
    return failed;
}

/* --- files ------------------------------------------------------------------------------------ */

struct manner {
    mode_t mode;
    bool is_synced, is_dated;
    int64_t date_s;
};

/* The date comes before the sync, which makes it last too. */
static int finish(int fd, const struct manner *how)
{
    const struct timespec dates[] = { { .tv_sec = (time_t)how->date_s },
                                      { .tv_sec = (time_t)how->date_s } };
    if (how->is_dated && TRP_TORTURE_FAILS("date"))
        return EIO;
    if (how->is_dated && futimens(fd, dates) != 0)
        return errno;
    return how->is_synced && fsync(fd) != 0 ? errno : 0;
}

static trp_status write_new(const char *path, const void *data, size_t bytes,
                            const struct manner *how, struct trp_error *err)
{
    const int fd = TRP_TORTURE_FAILS("open")
                       ? (errno = EMFILE, -1)
                       : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, how->mode);
    if (fd < 0)
        return trp_fail_errno(err, errno, "%s", path);
    int failed = trp_file_write_all(fd, data, bytes);
    if (!failed)
        failed = finish(fd, how);
    if (close(fd) != 0 && !failed)
        failed = errno;
    if (!failed)
        return trp_ok();
    unlink(path);
    return trp_fail_errno(err, failed, "%s: %zu bytes", path, bytes);
}

trp_status trp_disk_write(const char *path, const void *data, size_t bytes, mode_t mode,
                          struct trp_error *err)
{
    const struct manner how = { .mode = mode, .is_synced = true };
    return write_new(path, data, bytes, &how, err);
}

trp_status trp_disk_write_dated(const char *path, const void *data, size_t bytes, mode_t mode,
                                int64_t date_s, struct trp_error *err)
{
    const struct manner how = {
        .mode = mode, .is_synced = true, .is_dated = true, .date_s = date_s
    };
    return write_new(path, data, bytes, &how, err);
}

trp_status trp_disk_write_soon(const char *path, const void *data, size_t bytes, mode_t mode,
                               struct trp_error *err)
{
    const struct manner how = { .mode = mode };
    return write_new(path, data, bytes, &how, err);
}

trp_status trp_disk_publish(const char *from, const char *to, struct trp_error *err)
{
    int failed = TRP_TORTURE_FAILS("rename") ? EIO : rename(from, to) == 0 ? 0 : errno;
    if (failed == ENOTEMPTY)
        failed = EEXIST;
    if (!failed)
        failed = sync_folder_of(to);
    return failed ? trp_fail_errno(err, failed, "%s", to) : trp_ok();
}

trp_status trp_disk_move(const char *from, const char *to, struct trp_error *err)
{
    const int failed = TRP_TORTURE_FAILS("rename") ? EIO : rename(from, to) == 0 ? 0 : errno;
    return failed ? trp_fail_errno(err, failed, "%s", from) : trp_ok();
}

trp_status trp_disk_write_at(int fd, const void *data, size_t bytes, uint64_t at,
                             struct trp_error *err)
{
    const char *from = data;
    for (size_t done = 0; done < bytes;) {
        const ssize_t n = TRP_TORTURE_FAILS("write")
                              ? (errno = ENOSPC, -1)
                              : pwrite(fd, from + done, bytes - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return trp_fail_errno(err, errno, "%zu bytes", bytes);
        done += (size_t)n;
    }
    return trp_ok();
}

/* --- removing --------------------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return TRP_TORTURE_FAILS("remove") ? (errno = EIO, -1) : remove(path);
}

trp_status trp_disk_remove(const char *path, struct trp_error *err)
{
    if (nftw(path, remove_entry, FOLDERS_OPEN, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT)
        return trp_ok();
    return trp_fail_errno(err, errno, "%s", path);
}

/* --- locks ------------------------------------------------------------------------------------ */

/* 0, or an errno: EWOULDBLOCK when somebody is in the way. */
static int lock_once(int fd, int kind)
{
    int failed;
    do {
        failed = flock(fd, kind | LOCK_NB) == 0 ? 0 : errno;
    } while (failed == EINTR);
    return failed;
}

static trp_status lock_at(const char *path, int kind, int64_t wait_ns, int *out_fd,
                          struct trp_error *err)
{
    const struct timespec turn = { .tv_nsec = WAIT_TURN_NS };
    const int fd = TRP_TORTURE_FAILS("open") ? (errno = EMFILE, -1)
                                             : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return trp_fail_errno(err, errno, "%s", path);
    int failed = lock_once(fd, kind);
    for (int64_t waited = 0; failed == EWOULDBLOCK && waited < wait_ns; waited += WAIT_TURN_NS) {
        (void)nanosleep(&turn, NULL);
        failed = lock_once(fd, kind);
    }
    if (!failed) {
        *out_fd = fd;
        return trp_ok();
    }
    close(fd);
    if (failed == EWOULDBLOCK)
        return trp_fail(err, TRP_UNAVAILABLE, "%s: another process has it", path);
    return trp_fail_errno(err, failed, "%s", path);
}

trp_status trp_disk_lock(const char *path, int *out_fd, struct trp_error *err)
{
    return lock_at(path, LOCK_EX, 0, out_fd, err);
}

/* In turns and not in the kernel, which would wait for ever. */
trp_status trp_disk_lock_wait(const char *path, bool alone, int64_t wait_ns, int *out_fd,
                              struct trp_error *err)
{
    return lock_at(path, alone ? LOCK_EX : LOCK_SH, wait_ns, out_fd, err);
}

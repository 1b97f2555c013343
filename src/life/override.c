/* life/override.c - see override.h.
 *
 * The paths come from a client.  Each is checked name by name before anything is written, and every
 * file is created anew (O_EXCL) below a folder that only we can write to, so there is nothing
 * that a path could run into. */
#include "life/override.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define FILE_PATH_MAX 255u

static bool is_plain_name(struct trp_str name)
{
    return name.len && !trp_str_is(name, ".") && !trp_str_is(name, "..") &&
           !memchr(name.ptr, '\0', name.len);
}

static trp_status check_path(struct trp_str path, struct trp_error *err)
{
    if (path.len > FILE_PATH_MAX)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "file '%.40s...': longer than %u bytes",
                        path.ptr, FILE_PATH_MAX);
    size_t start = 0;
    for (size_t i = 0; i <= path.len; i++) {
        if (i < path.len && path.ptr[i] != '/')
            continue;
        if (!is_plain_name(trp_str_make(path.ptr ? path.ptr + start : "", i - start)))
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "file '%.*s': not a path inside the model's folder", TRP_STR(path));
        start = i + 1;
    }
    return trp_ok();
}

static trp_status make_folders(char *path, size_t from, struct trp_error *err)
{
    for (char *slash = path + from; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        const int failed = mkdir(path, 0700) != 0 && errno != EEXIST ? errno : 0;
        if (failed)
            return trp_fail_errno(err, failed, "%s", path);
        *slash = '/';
    }
    return trp_ok();
}

static trp_status write_bytes(const char *path, struct trp_str bytes, struct trp_error *err)
{
    int fd;
    TRP_CHECK(trp_file_open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, &fd, err));
    int failed = 0;
    while (bytes.len && !failed) {
        const ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0)
            failed = errno == EINTR ? 0 : errno;
        else
            bytes = trp_str_make(bytes.ptr + n, bytes.len - (size_t)n);
    }
    if (close(fd) != 0 && !failed)
        failed = errno;
    return failed ? trp_fail_errno(err, failed, "%s", path) : trp_ok();
}

static trp_status write_file(const struct trp_order *order, const struct trp_order_file *file,
                             struct trp_arena *arena, struct trp_str root, struct trp_error *err)
{
    const struct trp_str path = trp_arena_format(arena, "%.*s/%.*s/%.*s", TRP_STR(root),
                                                 TRP_STR(order->model), TRP_STR(file->path));
    if (!path.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "file '%.*s'", TRP_STR(file->path));
    TRP_CHECK(make_folders((char *)(uintptr_t)path.ptr, root.len + 1, err));
    return write_bytes(path.ptr, file->bytes, err);
}

trp_status trp_override_write(const struct trp_order *order, struct trp_arena *arena,
                              struct trp_str *out_root, struct trp_error *err)
{
    const char *base = getenv("TMPDIR");
    *out_root = (struct trp_str){ 0 };
    if (!is_plain_name(order->model) || memchr(order->model.ptr, '/', order->model.len))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "'%.*s' is no name of a model",
                        TRP_STR(order->model));
    for (uint32_t i = 0; i < order->files_n; i++)
        TRP_CHECK(check_path(order->files[i].path, err));
    const struct trp_str root =
        trp_arena_format(arena, "%s/troupe-load-XXXXXX", base && *base ? base : "/tmp");
    if (!root.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "folder for the files of a load");
    if (!mkdtemp((char *)(uintptr_t)root.ptr))
        return trp_fail_errno(err, errno, "%s", root.ptr);
    for (uint32_t i = 0; i < order->files_n; i++) {
        const trp_status st = write_file(order, &order->files[i], arena, root, err);
        if (trp_failed(st)) {
            trp_override_remove(root);
            return st;
        }
    }
    *out_root = root;
    return trp_ok();
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    (void)remove(path);
    return 0;
}

void trp_override_remove(struct trp_str root)
{
    if (root.len)
        (void)nftw(root.ptr, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

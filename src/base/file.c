/* base/file.c - see file.h. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/torture.h"

trp_status trp_file_stat(const char *path, struct trp_file_stat *out, struct trp_error *err)
{
    struct stat st;
    if (TRP_TORTURE_FAILS("stat"))
        return trp_fail_errno(err, EIO, "%s", path);
    if (stat(path, &st) != 0)
        return trp_fail_errno(err, errno, "%s", path);
    *out = (struct trp_file_stat){ .kind = S_ISREG(st.st_mode)   ? 'f'
                                           : S_ISDIR(st.st_mode) ? 'd'
                                                                 : 'o',
                                   .bytes = (uint64_t)st.st_size,
                                   .inode = (uint64_t)st.st_ino,
                                   .device = (uint64_t)st.st_dev,
                                   .mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 +
                                               st.st_mtim.tv_nsec };
    return trp_ok();
}

trp_status trp_file_open(const char *path, int flags, mode_t mode, int *out_fd,
                         struct trp_error *err)
{
    const int fd =
        TRP_TORTURE_FAILS("open") ? (errno = EMFILE, -1) : open(path, flags | O_CLOEXEC, mode);
    if (fd < 0)
        return trp_fail_errno(err, errno, "%s", path);
    *out_fd = fd;
    return trp_ok();
}

static ssize_t read_some(int fd, void *ptr, size_t len)
{
    ssize_t n;
    if (TRP_TORTURE_FAILS("read"))
        return errno = EIO, -1;
    do {
        n = read(fd, ptr, len);
    } while (n < 0 && errno == EINTR);
    return n;
}

/* Files of the kernel's own say that they are empty, and some of them (/proc/sys) give all that
 * they have to the first read and nothing to a second one. */
#define UNSIZED_BYTES 4096u
#define KERNEL_TEXT_MAX 65536u

static trp_status read_all(const struct trp_alloc *alloc, int fd, size_t first, size_t max,
                           struct trp_str *out, struct trp_error *err)
{
    size_t capacity = first > 0 ? first + 1 : UNSIZED_BYTES, len = 0;
    char *ptr = trp_alloc_get(alloc, 1, capacity);
    while (ptr) {
        const ssize_t n = read_some(fd, ptr + len, capacity - len);
        if (n < 0) {
            const int failed = errno;
            trp_alloc_free(alloc, ptr);
            return trp_fail_errno(err, failed, "read");
        }
        len += (size_t)n;
        if (len > max) {
            trp_alloc_free(alloc, ptr);
            return trp_fail(err, TRP_TOO_LARGE, "larger than %zu bytes", max);
        }
        if (n == 0)
            break;
        if (len == capacity) { /* one spare byte is always kept for the terminator */
            char *grown = trp_alloc_resize(alloc, ptr, len, capacity * 2);
            if (!grown)
                trp_alloc_free(alloc, ptr);
            ptr = grown;
            capacity *= 2;
        }
    }
    if (!ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for %zu bytes", capacity);
    ptr[len] = '\0';
    *out = trp_str_make(ptr, len);
    return trp_ok();
}

trp_status trp_file_read(const struct trp_alloc *alloc, const char *path, size_t max,
                         char **out_ptr, size_t *out_len, struct trp_error *err)
{
    int fd = -1;
    struct stat st;
    struct trp_str text = { NULL, 0 };
    *out_ptr = NULL;
    TRP_CHECK(trp_file_open(path, O_RDONLY, 0, &fd, err));
    const int failed = fstat(fd, &st) != 0 ? errno : S_ISDIR(st.st_mode) ? EISDIR : 0;
    if (failed) {
        close(fd);
        return trp_fail_errno(err, failed, "%s", path);
    }
    const size_t size = st.st_size > 0 ? (size_t)st.st_size : 0;
    if (size > max) {
        close(fd);
        return trp_fail(err, TRP_TOO_LARGE, "%s: %zu bytes, the limit is %zu", path, size, max);
    }
    const trp_status status = read_all(alloc, fd, size, max, &text, err);
    close(fd);
    TRP_TRY(status, err, "%s", path);
    *out_ptr = (char *)(uintptr_t)text.ptr;
    *out_len = text.len;
    return trp_ok();
}

char *trp_kernel_text(const char *root, const char *path)
{
    char whole[PATH_MAX];
    char *text = NULL;
    size_t len = 0;
    if (snprintf(whole, sizeof whole, "%s%s", root, path) >= (int)sizeof whole)
        return NULL;
    if (trp_failed(trp_file_read(trp_heap(), whole, KERNEL_TEXT_MAX, &text, &len, NULL)))
        return NULL;
    return text;
}

int trp_file_write_all(int fd, const void *bytes, size_t len)
{
    const char *ptr = bytes;
    while (len) {
        const ssize_t n = TRP_TORTURE_FAILS("write") ? (errno = ENOSPC, -1) : write(fd, ptr, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        ptr += n;
        len -= (size_t)n;
    }
    return 0;
}

trp_status trp_file_replace(const char *path, const void *ptr, size_t len, struct trp_error *err)
{
    char temporary[4096];
    const int n = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    if (n < 0 || (size_t)n >= sizeof temporary)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: path too long", path);
    const int fd =
        TRP_TORTURE_FAILS("open") ? (errno = EMFILE, -1) : mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return trp_fail_errno(err, errno, "%s", temporary);
    int failed = trp_file_write_all(fd, ptr, len);
    if (!failed && fsync(fd) != 0)
        failed = errno;
    if (close(fd) != 0 && !failed)
        failed = errno;
    if (!failed && rename(temporary, path) != 0)
        failed = errno;
    if (!failed)
        return trp_ok();
    unlink(temporary);
    return trp_fail_errno(err, failed, "%s", path);
}

trp_status trp_map_file(const char *path, struct trp_map *out, struct trp_error *err)
{
    int fd = -1;
    struct stat st;
    TRP_CHECK(trp_file_open(path, O_RDONLY, 0, &fd, err));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: not a file", path);
    }
    void *ptr = NULL;
    if (st.st_size > 0) {
        ptr = TRP_TORTURE_FAILS("mmap")
                  ? (errno = ENOMEM, MAP_FAILED)
                  : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    const int failed = ptr == MAP_FAILED ? errno : 0;
    close(fd);
    if (failed)
        return trp_fail_errno(err, failed, "%s: mmap of %lld bytes", path, (long long)st.st_size);
    *out = (struct trp_map){ ptr, (size_t)st.st_size };
    return trp_ok();
}

void trp_unmap(struct trp_map *map)
{
    if (map->len)
        munmap((void *)(uintptr_t)map->ptr, map->len);
    *map = (struct trp_map){ NULL, 0 };
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
    char **items;
    uint32_t n, capacity;
};

static void free_names(struct names *names)
{
    for (uint32_t i = 0; i < names->n; i++)
        trp_alloc_free(trp_heap(), names->items[i]);
    trp_alloc_free(trp_heap(), names->items);
}

static trp_status add_name(struct names *names, const char *name, struct trp_error *err)
{
    if (names->n == names->capacity) {
        const uint32_t capacity = names->capacity ? names->capacity * 2 : 32;
        char **items = trp_alloc_resize(trp_heap(), names->items, names->n * sizeof *items,
                                        capacity * sizeof *items);
        if (!items)
            return trp_fail(err, TRP_OUT_OF_MEMORY, "folder of %u entries", names->n);
        names->items = items;
        names->capacity = capacity;
    }
    char *copy = trp_alloc_text(trp_heap(), name, strlen(name));
    if (!copy)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "folder of %u entries", names->n);
    names->items[names->n++] = copy;
    return trp_ok();
}

static trp_status list_names(const char *path, uint32_t entries_max, struct names *names,
                             struct trp_error *err)
{
    trp_status st = trp_ok();
    DIR *dir = TRP_TORTURE_FAILS("opendir") ? (errno = EMFILE, NULL) : opendir(path);
    if (!dir)
        return trp_fail_errno(err, errno, "%s", path);
    for (struct dirent *entry; !trp_failed(st) && (entry = readdir(dir));) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        st = names->n == entries_max
                 ? trp_fail(err, TRP_TOO_LARGE, "%s: more than %u entries", path, entries_max)
                 : add_name(names, name, err);
    }
    closedir(dir);
    return st;
}

trp_status trp_dir_each(const char *path, uint32_t entries_max,
                        trp_status (*each)(void *user, const char *name, struct trp_error *err),
                        void *user, struct trp_error *err)
{
    struct names names = { NULL, 0, 0 };
    trp_status st = list_names(path, entries_max, &names, err);
    if (!trp_failed(st) && names.n)
        qsort(names.items, names.n, sizeof *names.items, compare_names);
    for (uint32_t i = 0; !trp_failed(st) && i < names.n; i++)
        st = each(user, names.items[i], err);
    free_names(&names);
    return st;
}

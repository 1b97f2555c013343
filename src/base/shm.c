/* base/shm.c - see shm.h. */
#include "base/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/torture.h"

#define KEY_BYTES_MAX 255
#define TO_WRITE (PROT_READ | PROT_WRITE)

static bool is_key(const char *key)
{
    const char *name = key[0] == '/' ? key + 1 : key;
    const size_t len = strlen(name);
    return len > 0 && len <= KEY_BYTES_MAX && !strchr(name, '/') && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

static trp_status map_segment(struct trp_shm *s, const char *key, int rights, struct trp_error *err)
{
    struct stat st;
    if (fstat(s->fd, &st) != 0)
        return trp_fail_errno(err, errno, "shared memory '%s'", key);
    if (!S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size < s->bytes)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "shared memory '%s' holds %lld bytes, offset and byte_size ask for %llu",
                        key, (long long)st.st_size, (unsigned long long)s->bytes);
    void *ptr = TRP_TORTURE_FAILS("mmap")
                    ? (errno = ENOMEM, MAP_FAILED)
                    : mmap(NULL, s->bytes, rights, MAP_SHARED | MAP_NORESERVE, s->fd, 0);
    if (ptr == MAP_FAILED)
        return trp_fail_errno(err, errno, "shared memory '%s': mapping %llu bytes", key,
                              (unsigned long long)s->bytes);
    s->ptr = ptr;
    return trp_ok();
}

trp_status trp_shm_open(const char *key, uint64_t bytes, struct trp_shm *out, struct trp_error *err)
{
    struct trp_shm s = { .fd = -1, .bytes = bytes };
    if (!is_key(key))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "shared memory key '%.64s' is not a name that shm_open() takes", key);
    s.fd = TRP_TORTURE_FAILS("open") ? (errno = EMFILE, -1) : shm_open(key, O_RDWR, 0);
    if (s.fd < 0)
        return trp_fail_errno(err, errno, "shared memory '%s'", key);
    const trp_status st = map_segment(&s, key, TO_WRITE, err);
    if (trp_failed(st)) {
        close(s.fd);
        return st;
    }
    *out = s;
    return st;
}

trp_status trp_shm_create(const char *name, uint64_t bytes, struct trp_shm *out,
                          struct trp_error *err)
{
    struct rlimit largest;
    struct trp_shm s = { .fd = -1, .bytes = bytes };
    if (getrlimit(RLIMIT_FSIZE, &largest) == 0 && largest.rlim_cur < s.bytes)
        s.bytes = largest.rlim_cur; /* more would be SIGXFSZ */
    s.fd = TRP_TORTURE_FAILS("open") ? (errno = EMFILE, -1)
                                     : memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (s.fd < 0)
        return trp_fail_errno(err, errno, "shared memory '%s'", name);
    const bool is_fixed = ftruncate(s.fd, (off_t)s.bytes) == 0 &&
                          fcntl(s.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
    trp_status st = is_fixed ? map_segment(&s, name, TO_WRITE, err)
                             : trp_fail_errno(err, errno, "shared memory '%s'", name);
    if (trp_failed(st)) {
        close(s.fd);
        return st;
    }
    *out = s;
    return st;
}

trp_status trp_shm_adopt(int fd, uint64_t bytes, struct trp_shm *out, struct trp_error *err)
{
    struct trp_shm s = { .fd = fd, .bytes = bytes };
    TRP_CHECK(map_segment(&s, "handed over", TO_WRITE, err));
    *out = s;
    return trp_ok();
}

trp_status trp_shm_open_reader(const struct trp_shm *s, int *out_fd, struct trp_error *err)
{
    char path[32];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", s->fd);
    *out_fd = TRP_TORTURE_FAILS("open") ? (errno = EMFILE, -1) : open(path, O_RDONLY | O_CLOEXEC);
    return *out_fd < 0 ? trp_fail_errno(err, errno, "shared memory, for reading") : trp_ok();
}

trp_status trp_shm_look(int fd, uint64_t bytes, struct trp_shm *out, struct trp_error *err)
{
    struct trp_shm s = { .fd = fd, .bytes = bytes };
    TRP_CHECK(map_segment(&s, "handed over", PROT_READ, err));
    *out = s;
    return trp_ok();
}

void trp_shm_forget(const struct trp_shm *s, uint64_t at, uint64_t bytes)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    const uint64_t first = (at + page - 1) / page * page, end = (at + bytes) / page * page;
    if (first < end)
        (void)madvise(s->ptr + first, end - first, MADV_REMOVE);
}

void trp_shm_close(struct trp_shm *s)
{
    if (!s->ptr)
        return;
    munmap(s->ptr, s->bytes);
    close(s->fd);
    *s = (struct trp_shm){ .fd = -1 };
}

bool trp_shm_is_whole(const struct trp_shm *s)
{
    struct stat st;
    return fstat(s->fd, &st) == 0 && st.st_size >= 0 && (uint64_t)st.st_size >= s->bytes;
}

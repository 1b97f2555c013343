/* base/map_loss.c - see map_loss.h.
 *
 * Nobody tells us what a library maps, and keeping a list of mappings would cost every load
 * something for what hardly ever happens. So the list that the kernel keeps is read when it has
 * happened: /proc/self/maps says which file lies behind the address.
 *
 *  1. What runs in the handler is allowed there: it calls the kernel, and touches static memory and
 *     its own stack.
 *  2. All of a mapping is replaced at once.  What it held is no whole any more, and one fault is
 *     enough.
 *  3. Two threads may touch one mapping; the second finds zeros where it looks again, and goes on.
 *  4. The lock turns instead of sleeping, because a handler may take it.  It is held for some
 *     microseconds by who watches or asks, and for as long as the kernel's list takes to read by
 *     a handler.  Nobody who holds it touches a mapped file. */
#include "base/map_loss.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/map_guard.h"

#define LINE_BYTES (TRP_MAP_LOSS_PATH_MAX + 128)

struct folder {
    char path[TRP_MAP_LOSS_PATH_MAX];
    size_t len; /* 0: free */
    uint32_t watchers;
};

struct range {
    uintptr_t start, end;
};

static struct trp_oneshot turn; /* 0: free */
static struct folder folders[TRP_MAP_LOSS_FOLDERS];
static char paths[TRP_MAP_LOSS_KEPT][TRP_MAP_LOSS_PATH_MAX];
static struct range mended[TRP_MAP_LOSS_KEPT];
static char chunk[4096], line[LINE_BYTES];
static struct trp_mark losses; /* how many */

static void lock(void)
{
    while (!trp_oneshot_try(&turn, 1))
        sched_yield();
}

static void unlock(void)
{
    atomic_store_explicit(&turn.state, 0, memory_order_release);
}

/* --- folders ---------------------------------------------------------------------------------- */

static struct folder *find_folder(const char *path, size_t len)
{
    for (struct folder *f = folders; f < folders + TRP_MAP_LOSS_FOLDERS; f++)
        if (f->len == len && memcmp(f->path, path, len) == 0)
            return f;
    return NULL;
}

static bool add_folder(const char *path, size_t len)
{
    lock();
    struct folder *f = find_folder(path, len);
    if (!f && (f = find_folder("", 0))) {
        memcpy(f->path, path, len);
        f->len = len;
        f->watchers = 0;
    }
    if (f)
        f->watchers++;
    unlock();
    return f != NULL;
}

trp_status trp_map_loss_watch(const char *folder, struct trp_error *err)
{
    char real[PATH_MAX];
    if (!realpath(folder, real))
        return trp_fail_errno(err, errno, "%s", folder);
    const size_t len = strlen(real);
    if (len >= TRP_MAP_LOSS_PATH_MAX || !add_folder(real, len))
        return trp_fail(err, TRP_OVER_BUDGET, "%s: too many folders to watch, or too long a path",
                        folder);
    trp_map_guard_arm();
    return trp_ok();
}

void trp_map_loss_unwatch(const char *folder)
{
    char real[PATH_MAX];
    if (!realpath(folder, real))
        return; /* gone: nothing below it is mapped any more, and its place stays taken */
    lock();
    struct folder *f = find_folder(real, strlen(real));
    if (f && --f->watchers == 0)
        f->len = 0;
    unlock();
}

/* --- the kernel's list ------------------------------------------------------------------------ */

struct mapping {
    uintptr_t start, end;
    int protection;
    bool is_private, is_code;
    const char *path; /* in `line`; "": nameless */
};

static const char *read_hex(const char *at, uintptr_t *out)
{
    uintptr_t value = 0;
    for (;; at++) {
        if (*at >= '0' && *at <= '9')
            value = value << 4 | (uintptr_t)(*at - '0');
        else if (*at >= 'a' && *at <= 'f')
            value = value << 4 | (uintptr_t)(*at - 'a' + 10);
        else
            break;
    }
    *out = value;
    return at;
}

/* "7f0000000000-7f0000001000 r--p 00000000 08:01 1234     /path"; false: some other line. */
static bool read_line(struct mapping *out)
{
    const char *at = read_hex(line, &out->start);
    if (*at != '-')
        return false;
    at = read_hex(at + 1, &out->end);
    if (*at != ' ' || strlen(at) < 6)
        return false;
    out->protection = (at[1] == 'r' ? PROT_READ : 0) | (at[2] == 'w' ? PROT_WRITE : 0);
    out->is_code = at[3] == 'x';
    out->is_private = at[4] == 'p';
    at += 5;
    for (int i = 0; i < 3; i++) { /* offset, device, inode */
        while (*at == ' ')
            at++;
        while (*at && *at != ' ')
            at++;
    }
    while (*at == ' ')
        at++;
    out->path = at;
    return true;
}

/* Takes a chunk apart into lines; what does not fit of a line is dropped.  True when one of them
 * is wanted. */
static bool scan(ssize_t n, size_t *line_n, uintptr_t at, struct mapping *out)
{
    for (ssize_t i = 0; i < n; i++) {
        if (chunk[i] != '\n') {
            if (*line_n < LINE_BYTES - 1)
                line[(*line_n)++] = chunk[i];
            continue;
        }
        line[*line_n] = '\0';
        *line_n = 0;
        if (read_line(out) && at >= out->start && at < out->end)
            return true;
    }
    return false;
}

static bool find_mapping(uintptr_t at, struct mapping *out)
{
    size_t line_n = 0;
    ssize_t n = 0;
    bool is_found = false;
    const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    while (!is_found && (n = read(fd, chunk, sizeof chunk)) != 0) {
        if (n < 0 && errno != EINTR)
            break;
        is_found = scan(n, &line_n, at, out);
    }
    close(fd);
    return is_found;
}

/* --- mending ---------------------------------------------------------------------------------- */

static bool is_watched(const struct mapping *m)
{
    if (!m->is_private || m->is_code || m->path[0] != '/')
        return false;
    for (const struct folder *f = folders; f < folders + TRP_MAP_LOSS_FOLDERS; f++)
        if (f->len && strncmp(m->path, f->path, f->len) == 0 &&
            (m->path[f->len] == '/' || f->len == 1))
            return true;
    return false;
}

static bool was_mended(uintptr_t at)
{
    for (const struct range *r = mended; r < mended + TRP_MAP_LOSS_KEPT; r++)
        if (at >= r->start && at < r->end)
            return true;
    return false;
}

/* A file that has no name any more ends in " (deleted)". */
static void note_path(const char *path, uint64_t slot)
{
    static const char gone[] = " (deleted)";
    const size_t tail = sizeof gone - 1;
    size_t len = strnlen(path, TRP_MAP_LOSS_PATH_MAX - 1);
    if (len > tail && memcmp(path + len - tail, gone, tail) == 0)
        len -= tail;
    memcpy(paths[slot], path, len);
    paths[slot][len] = '\0';
}

static bool replace(const struct mapping *m)
{
    const uint64_t before = trp_map_loss_count(), slot = before % TRP_MAP_LOSS_KEPT;
    /* Not mmap(): a sanitizer would take it for a write that races with whoever else reads
     * there, who sees the old or the new. */
    if (syscall(SYS_mmap, m->start, m->end - m->start, m->protection,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == -1)
        return false;
    mended[slot] = (struct range){ m->start, m->end };
    note_path(m->path, slot);
    trp_mark_raise(&losses, before + 1);
    return true;
}

bool trp_map_loss_mend(const void *address)
{
    const uintptr_t at = (uintptr_t)address;
    struct mapping m = { .path = "" };
    bool is_ours = false;
    lock();
    if (find_mapping(at, &m))
        is_ours = is_watched(&m) ? replace(&m) : m.path[0] == '\0' && was_mended(at);
    unlock();
    return is_ours;
}

uint64_t trp_map_loss_count(void)
{
    return trp_mark_get(&losses);
}

bool trp_map_loss_path(uint64_t n, char out[TRP_MAP_LOSS_PATH_MAX])
{
    lock();
    const uint64_t count = trp_map_loss_count();
    const bool is_kept = n >= 1 && n <= count && count - n < TRP_MAP_LOSS_KEPT;
    if (is_kept)
        memcpy(out, paths[(n - 1) % TRP_MAP_LOSS_KEPT], TRP_MAP_LOSS_PATH_MAX);
    unlock();
    return is_kept;
}

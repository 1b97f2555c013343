/* base/machine.c - see machine.h.
 *
 * /proc/self/cgroup has a line for each hierarchy: "0::/a/b" is version 2, "4:memory:/a/b" is
 * version 1's for memory.  A limit of any folder on the way up counts for us as well.
 * /proc/self/mountinfo tells where a hierarchy is mounted, and from which of its groups on: inside
 * a container the path may be the host's ("/docker/0123/job") and the mount begin at
 * "/docker/0123", so that our folder is "job" in it.  A path that does not lie below the mount's
 * beginning leads nowhere: then only the mount itself is asked.  Folders that are not there say
 * nothing. */
#include "base/machine.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/utsname.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/str.h"

#define PATH_BYTES 4096

static uint64_t installed(const char *root)
{
    unsigned long long kib = 0;
    char *text = trp_kernel_text(root, "/proc/meminfo");
    const char *line = text ? strstr(text, "MemTotal:") : NULL;
    if (line && sscanf(line, "MemTotal: %llu kB", &kib) != 1)
        kib = 0;
    trp_alloc_free(trp_heap(), text);
    return kib * 1024;
}

/* What a group is asked: a file of version 2; a controller of version 1 and its file (NULL: that
 * is not asked); what the text says. */
struct question {
    const char *v2_file, *controller, *v1_file;
    uint64_t (*read)(const char *text); /* UINT64_MAX: there is no limit */
};

/* Of version 1 it is a very large number. */
static uint64_t read_bytes(const char *text)
{
    unsigned long long limit;
    return sscanf(text, "%llu", &limit) == 1 ? limit : UINT64_MAX;
}

/* "150000 100000": so many of so many microseconds; in thousandths of a processor. */
static uint64_t read_share(const char *text)
{
    unsigned long long quota, period;
    if (sscanf(text, "%llu %llu", &quota, &period) != 2 || period == 0 || quota > UINT32_MAX)
        return UINT64_MAX;
    return quota * 1000 / period;
}

static const struct question memory = { "memory.max", "memory", "memory.limit_in_bytes",
                                        read_bytes };
static const struct question processors = { "cpu.max", NULL, NULL, read_share };

/* A group's own limit; UINT64_MAX: none. */
static uint64_t limit_in(const char *root, const char *folder, const char *file,
                         const struct question *q)
{
    char path[PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/%s", folder, file) >= (int)sizeof path)
        return UINT64_MAX;
    char *text = trp_kernel_text(root, path);
    const uint64_t limit = text ? q->read(text) : UINT64_MAX;
    trp_alloc_free(trp_heap(), text);
    return limit;
}

/* The least limit from a group up to the mount. */
static uint64_t least_limit(const char *root, const char *mount, struct trp_str group,
                            const char *file, const struct question *q)
{
    char folder[PATH_BYTES];
    const size_t mount_n = strlen(mount);
    uint64_t least = limit_in(root, mount, file, q);
    if (snprintf(folder, sizeof folder, "%s%.*s", mount, TRP_STR(group)) >= (int)sizeof folder)
        return least;
    for (char *end = folder + strlen(folder); end > folder + mount_n;) {
        const uint64_t limit = limit_in(root, folder, file, q);
        least = limit < least ? limit : least;
        while (end > folder + mount_n && *--end != '/')
            ;
        *end = '\0';
    }
    return least;
}

/* Where a hierarchy is mounted, and which of its groups that is. */
struct mount {
    char point[PATH_BYTES], begins[PATH_BYTES];
};
struct mounts {
    struct mount v1, v2; /* of memory */
};

/* Whether a word is among those of a list with commas. */
static bool has_word(struct trp_str list, const char *word)
{
    const size_t n = strlen(word);
    for (size_t at = 0; at < list.len;) {
        const char *comma = memchr(list.ptr + at, ',', list.len - at);
        const size_t end = comma ? (size_t)(comma - list.ptr) : list.len;
        if (end - at == n && memcmp(list.ptr + at, word, n) == 0)
            return true;
        at = end + 1;
    }
    return false;
}

/* "31 23 0:29 /docker/0123 /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup
 * rw,memory": the first of each kind. */
static void take_mount(struct mounts *out, char *line)
{
    char begins[PATH_BYTES], point[PATH_BYTES], kind[32], options[512];
    const char *tail = strstr(line, " - ");
    if (!tail || sscanf(line, "%*s %*s %*s %4095s %4095s", begins, point) != 2 ||
        sscanf(tail, " - %31s %*s %511s", kind, options) != 2)
        return;
    struct mount *m = NULL;
    if (strcmp(kind, "cgroup2") == 0)
        m = &out->v2;
    else if (strcmp(kind, "cgroup") == 0 &&
             has_word(trp_str_make(options, strlen(options)), "memory"))
        m = &out->v1;
    if (!m || m->point[0])
        return;
    (void)snprintf(m->point, sizeof m->point, "%s", point);
    (void)snprintf(m->begins, sizeof m->begins, "%s", strcmp(begins, "/") == 0 ? "" : begins);
}

/* Without the file, where they usually are. */
static void find_mounts(const char *root, struct mounts *out)
{
    *out = (struct mounts){ .v1 = { .point = "" } };
    char *text = trp_kernel_text(root, "/proc/self/mountinfo");
    for (char *line = text; line && *line;) {
        const size_t len = strcspn(line, "\n");
        const bool has_more = line[len] != '\0';
        line[len] = '\0';
        take_mount(out, line);
        line += len + has_more;
    }
    trp_alloc_free(trp_heap(), text);
    if (!out->v1.point[0])
        (void)snprintf(out->v1.point, sizeof out->v1.point, "/sys/fs/cgroup/memory");
    if (!out->v2.point[0])
        (void)snprintf(out->v2.point, sizeof out->v2.point, "/sys/fs/cgroup");
}

static uint64_t limit_below(const char *root, const struct mount *m, struct trp_str group,
                            const char *file, const struct question *q)
{
    const size_t skip = strlen(m->begins);
    if (group.len < skip || memcmp(group.ptr, m->begins, skip) != 0 ||
        (group.len > skip && group.ptr[skip] != '/'))
        return least_limit(root, m->point, trp_str_make(NULL, 0), file, q);
    return least_limit(root, m->point, trp_str_make(group.ptr + skip, group.len - skip), file, q);
}

/* Whether a line of /proc/self/cgroup names the hierarchy that limits this, and which version it
 * is. */
static uint64_t limit_of_line(const char *root, const struct mounts *mounts, const char *line,
                              size_t len, const struct question *q)
{
    const char *first = memchr(line, ':', len);
    const char *second = first ? memchr(first + 1, ':', len - (size_t)(first + 1 - line)) : NULL;
    if (!second)
        return UINT64_MAX;
    const struct trp_str names = { first + 1, (size_t)(second - first - 1) };
    const struct trp_str group = { second + 1, len - (size_t)(second + 1 - line) };
    if (names.len == 0)
        return limit_below(root, &mounts->v2, group, q->v2_file, q);
    if (q->controller && has_word(names, q->controller))
        return limit_below(root, &mounts->v1, group, q->v1_file, q);
    return UINT64_MAX;
}

static uint64_t contained(const char *root, const struct question *q)
{
    uint64_t least = UINT64_MAX;
    struct mounts mounts;
    find_mounts(root, &mounts);
    char *text = trp_kernel_text(root, "/proc/self/cgroup");
    for (const char *line = text; line && *line;) {
        const size_t len = strcspn(line, "\n");
        const uint64_t limit = limit_of_line(root, &mounts, line, len, q);
        least = limit < least ? limit : least;
        line += len + (line[len] == '\n');
    }
    trp_alloc_free(trp_heap(), text);
    return least;
}

uint64_t trp_machine_mappings(const char *root)
{
    unsigned long long most = 0;
    char *text = trp_kernel_text(root, "/proc/sys/vm/max_map_count");
    if (text && sscanf(text, "%llu", &most) != 1)
        most = 0;
    trp_alloc_free(trp_heap(), text);
    return most;
}

/* What the kernels of numeric libraries are chosen by. */
static void add_features(char *out, size_t size)
{
#if defined(__x86_64__)
    const struct feature {
        const char *name;
        bool has;
    } features[] = {
        { " sse4.1", __builtin_cpu_supports("sse4.1") != 0 },
        { " avx", __builtin_cpu_supports("avx") != 0 },
        { " avx2", __builtin_cpu_supports("avx2") != 0 },
        { " fma", __builtin_cpu_supports("fma") != 0 },
        { " avx512f", __builtin_cpu_supports("avx512f") != 0 },
        { " avx512bw", __builtin_cpu_supports("avx512bw") != 0 },
        { " avx512vnni", __builtin_cpu_supports("avx512vnni") != 0 },
    };
    for (const struct feature *f = features; f < features + ARRAY_LEN(features); f++) {
        const size_t used = strlen(out);
        if (f->has)
            (void)snprintf(out + used, size - used, "%s", f->name);
    }
#else
    const size_t used = strlen(out);
    (void)snprintf(out + used, size - used, " %lx %lx", getauxval(AT_HWCAP), getauxval(AT_HWCAP2));
#endif
}

void trp_machine_processor(char *out, size_t size)
{
    struct utsname told;
    (void)snprintf(out, size, "%s", uname(&told) == 0 ? told.machine : "unknown");
    add_features(out, size);
}

uint64_t trp_machine_memory(const char *root)
{
    const uint64_t has = installed(root), may = contained(root, &memory);
    if (may == UINT64_MAX)
        return has;
    return has && has < may ? has : may;
}

double trp_machine_processors(const char *root)
{
    cpu_set_t set;
    const int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    const uint64_t may = contained(root, &processors);
    const double own = n > 0 ? n : 1, share = (double)may / 1000;
    return may == 0 || share > own ? own : share;
}

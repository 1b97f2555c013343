/* base/footprint.c - see footprint.h. */
#include "base/footprint.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"

/* /proc/self/NAME, or of process `pid`. */
static char *text_of(const char *root, pid_t pid, const char *name)
{
    char path[64];
    if (pid == 0)
        (void)snprintf(path, sizeof path, "/proc/self/%s", name);
    else
        (void)snprintf(path, sizeof path, "/proc/%lld/%s", (long long)pid, name);
    return trp_kernel_text(root, path);
}

bool trp_footprint_glance_of(const char *root, pid_t pid, struct trp_footprint *out)
{
    unsigned long long total, resident, shared;
    char *text = text_of(root, pid, "statm");
    const bool is_read = text && sscanf(text, "%llu %llu %llu", &total, &resident, &shared) == 3;
    trp_alloc_free(trp_heap(), text);
    if (!is_read)
        return false;
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    *out = (struct trp_footprint){
        .private_bytes = (resident > shared ? resident - shared : 0) * page,
        .file_bytes = shared * page,
    };
    return true;
}

bool trp_footprint_glance(const char *root, struct trp_footprint *out)
{
    return trp_footprint_glance_of(root, 0, out);
}

bool trp_footprint_measure_of(const char *root, pid_t pid, uint64_t *out_bytes)
{
    unsigned long long kib;
    char *text = text_of(root, pid, "smaps_rollup");
    const char *line = text ? strstr(text, "\nPss:") : NULL;
    const bool is_read = line && sscanf(line, "\nPss: %llu kB", &kib) == 1;
    trp_alloc_free(trp_heap(), text);
    if (is_read)
        *out_bytes = kib * 1024;
    return is_read;
}

bool trp_footprint_measure(const char *root, uint64_t *out_bytes)
{
    return trp_footprint_measure_of(root, 0, out_bytes);
}

/* base/footprint.c - see footprint.h. */
#include "base/footprint.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"

bool trp_footprint_glance(const char *root, struct trp_footprint *out)
{
    unsigned long long total, resident, shared;
    char *text = trp_kernel_text(root, "/proc/self/statm");
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

bool trp_footprint_measure(const char *root, uint64_t *out_bytes)
{
    unsigned long long kib;
    char *text = trp_kernel_text(root, "/proc/self/smaps_rollup");
    const char *line = text ? strstr(text, "\nPss:") : NULL;
    const bool is_read = line && sscanf(line, "\nPss: %llu kB", &kib) == 1;
    trp_alloc_free(trp_heap(), text);
    if (is_read)
        *out_bytes = kib * 1024;
    return is_read;
}

/* base/footprint.h - what this process takes of the machine, or another one.
 * Answers "how much memory do we really use?".  Two ways: a glance, which costs some microseconds,
 * and a look at every page, after which pages that several processes share count in parts. */
#ifndef TRP_FOOTPRINT_H
#define TRP_FOOTPRINT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct trp_footprint {
    uint64_t private_bytes; /* resident, of nobody else: heap, stacks, what was written to */
    uint64_t file_bytes;    /* resident, of files and shared memory, each page whole */
};

/* A glance.
 *   Units : bytes.
 *   Owns  : `root` as in trp_machine_memory().
 *   Thread: any.
 *   Blocks: disk (the kernel's own files).
 *   Cost  : some microseconds.
 *   Errors: false when the kernel does not say; nothing is written.
 *   Source: proc(5), /proc/self/statm. */
bool trp_footprint_glance(const char *root, struct trp_footprint *out);
bool trp_footprint_glance_of(const char *root, pid_t pid,
                             struct trp_footprint *out); /* another process */

/* The proportional set size: a page that n processes share counts 1/n.
 *   Units : bytes.
 *   Owns  : `root` as above.
 *   Thread: any; not one that somebody waits for.
 *   Blocks: disk (the kernel's own files).
 *   Cost  : each resident page is looked at, with the lock of the process's mappings: milliseconds
 *           a GiB.
 *   Errors: false as above.
 *   Source: the kernel's documentation of /proc/PID/smaps_rollup. */
bool trp_footprint_measure(const char *root, uint64_t *out_bytes);
bool trp_footprint_measure_of(const char *root, pid_t pid, uint64_t *out_bytes);

#endif

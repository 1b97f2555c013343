/* base/machine.h - what this machine, or the container around us, has.
 * Answers "how much is there at all?". */
#ifndef TRP_MACHINE_H
#define TRP_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/* Tells the memory that this process may use: what is installed, or a control group's limit
 * (version 1 or 2, of any group from ours to the root) where that is less.
 *   Units : bytes.
 *   Owns  : `root` is put before /proc and /sys, so that a test can build a machine; "" is the real
 *           one.
 *   Thread: any.
 *   Blocks: disk (the kernel's own files).
 *   Errors: 0 when nothing could be read.
 *   Source: proc(5), also for mountinfo; the kernel's documentation of cgroup-v2 (memory.max)
 *           and cgroup-v1 (memory.limit_in_bytes). */
uint64_t trp_machine_memory(const char *root);

/* Tells how many processors this process may keep busy: those that it may run on, or a control
 * group's share (version 2) where that is less.
 *   Units : processors; 1.5 is one and a half.
 *   Owns  : `root` as above, for the groups.
 *   Thread: any.
 *   Blocks: disk (the kernel's own files).
 *   Errors: none: more than 0.
 *   Source: sched_getaffinity(2); the kernel's documentation of cgroup-v2 (cpu.max). */
double trp_machine_processors(const char *root);

/* Tells how many mappings a process may have.
 *   Units : mappings.
 *   Owns  : `root` as above.
 *   Thread: any.
 *   Blocks: disk (the kernel's own files).
 *   Errors: 0 when it could not be read.
 *   Source: the kernel's documentation of vm.max_map_count. */
uint64_t trp_machine_mappings(const char *root);

/* Writes what kind of processor this is, as far as compiled code depends on it: "x86_64 avx2
 * avx512f ...".  Machines that write the same can use the same code.
 *   Owns  : `out` is the caller's, size >= 1; always terminated.
 *   Thread: any.
 *   Errors: none; cut at its end. */
void trp_machine_processor(char *out, size_t size);

#endif

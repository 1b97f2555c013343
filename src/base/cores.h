/* base/cores.h - sets of processor cores.
 * Answers "where may this thread run?". */
#ifndef TRP_CORES_H
#define TRP_CORES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define TRP_CORES_MAX 1024u /* numbers from 0 on */
#define TRP_CORES_TEXT_MAX 64u

/* Zeros: none. */
struct trp_cores {
    uint64_t words[TRP_CORES_MAX / 64];
};

/* Reads a list such as "0-3,6"; writes one, cut with "..." where it is longer than `size`.
 *   Owns  : nothing; `out` has size >= 8 and is always terminated.
 *   Thread: any.
 *   Errors: parse: false: no such list, or it names no core, or one from TRP_CORES_MAX on. */
bool trp_cores_parse(struct trp_str text, struct trp_cores *out);
void trp_cores_format(const struct trp_cores *c, char *out, size_t size);

/* Whether two are the same; whether one has no core that the other lacks.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
bool trp_cores_is_equal(const struct trp_cores *a, const struct trp_cores *b);
bool trp_cores_is_within(const struct trp_cores *part, const struct trp_cores *whole);

/* How many there are; the one of them that stands at `index`, counted from 0, alone (none: there
 * are fewer).
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
uint32_t trp_cores_count(const struct trp_cores *c);
struct trp_cores trp_cores_at(const struct trp_cores *c, uint32_t index);

/* Tells on which cores the process may run (its first thread); the calling thread; has the calling
 * thread run on those only.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : a system call.
 *   Errors: false: the system does not say, or refuses; nothing has changed then. */
bool trp_cores_of_process(struct trp_cores *out);
bool trp_cores_of_thread(struct trp_cores *out);
bool trp_cores_keep_thread(const struct trp_cores *c);

/* Notes on which cores the calling thread's work has to be done (NULL: on any), wherever the thread
 * itself is kept; tells it to whoever has that work done by another thread, in another process.
 *   Owns  : copied.
 *   Thread: any; each has its own.
 *   Errors: of_work: false: on any. */
void trp_cores_bind_work(const struct trp_cores *c);
bool trp_cores_of_work(struct trp_cores *out);

#endif

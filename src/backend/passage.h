/* backend/passage.h - one run, through a worker process.
 * Answers "how do inputs get there, and outputs back?". */
#ifndef TRP_PASSAGE_H
#define TRP_PASSAGE_H

#include "backend/stint.h"

/* What was copied, of inputs and outputs; how often there was no room for something in the
 * memory that both see. */
struct trp_passage_seen {
    uint64_t copied_bytes, refused;
};

/* Runs in a worker process; as troupe_backend.run.  Outputs are views of memory that the worker
 * shares, until they are released, which may be after it has ended; where memory is given they are
 * copied there.
 *   Owns  : inputs that lie in the commons are lent, and live until outputs were released; others
 *           are copied once, into memory that both see.  Outputs have a release function, but for
 *           views of inputs that were lent.
 *   Units : bytes.
 *   Thread: executor; any number at once.
 *   Blocks: until the run has ended, or the process has.
 *   Errors: enum troupe_code with words in run->error: the worker's; OUT_OF_MEMORY; TOO_LARGE:
 *           inputs that never have room; INTERNAL: the process ended while it ran;
 *           UNAVAILABLE: it had ended before. */
int32_t trp_passage_run(struct trp_stint *stint, const char *model, const struct troupe_run *run,
                        const struct troupe_tensor *inputs, struct troupe_tensor *outputs,
                        struct trp_passage_seen *out);

/* Writes words for whoever reads the failure, and returns the code.
 *   Owns  : `error` may be NULL.
 *   Thread: any.
 *   Errors: returns `code`. */
int32_t trp_passage_fail(struct troupe_error *error, int32_t code, const char *format, ...)
    TRP_PRINTF(3, 4);

#endif

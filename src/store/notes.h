/* store/notes.h - the small notes that only spare work: seen/, bad/ and rows/.
 * Answers "which of them can nobody need any more?". */
#ifndef TRP_NOTES_H
#define TRP_NOTES_H

#include "store/store.h"

#define TRP_NOTES_BAD_DAYS 30

/* Removes notes of files that are gone (seen/), and refusals (bad/) and findings (rows/) that
 * nobody has looked at for TRP_NOTES_BAD_DAYS: their model, ONNX Runtime or processor is another by
 * now.  To be wrong costs a reading, or another try.
 *   Owns  : nothing; *out_n is how many went, or would.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(), OUT_OF_MEMORY. */
trp_status trp_notes_sweep(const struct trp_store *s, bool only_tell, uint32_t *out_n,
                           struct trp_error *err);

#endif

/* store/obsolete.h - what was prepared of models that are gone.
 * Answers "is there still a model that this was made of?".  By what is in the files, and never by
 * where they lie: a store may be prepared on one machine and used on another, and models are moved
 * and copied.  There is still one when
 *
 *   - a model that was read before, wherever it lies, is as it was (STORE/seen), whichever server
 *     has it;
 *   - or a file in one of the repositories holds the same, under whatever name; it is read only
 *     when its size says that it may.
 *
 * What does not say of what it was made (an older server made it) is never one of these. */
#ifndef TRP_OBSOLETE_H
#define TRP_OBSOLETE_H

#include "store/store.h"

struct trp_obsolete;

/* Looks through the repositories for what was prepared.
 *   Owns  : the caller destroys *out; folders and store are borrowed for the call.
 *   Thread: any.
 *   Blocks: disk; a look at each file in the folders and all below, and reads those models that may
 *   be what was prepared.
 *   Errors: FAILED_PRECONDITION (one of the repositories holds no model at all: its file system may
 *           be missing), UNAVAILABLE (files change just now), TOO_LARGE, OUT_OF_MEMORY, as
 *           trp_fail_errno(): of what cannot be looked at nothing is known. */
trp_status trp_obsolete_find(struct trp_store *s, const char *const *folders, uint32_t folders_n,
                             struct trp_obsolete **out, struct trp_error *err);
void trp_obsolete_destroy(struct trp_obsolete *o); /* accepts NULL */

/* Whether what lies under this key was made of a model that is gone; not what was used since the
 * look.
 *   Units : used_ns on the wall clock, see trp_stored.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
bool trp_obsolete_has(const struct trp_obsolete *o, const struct trp_sha256 *key, int64_t used_ns);

#endif

/* life/tenure.h - what is known of the model that a version has open.
 * Answers "how was it opened, and is what it has mapped still whole?".  Private to this room; the rest of tenure.c stands in
 * life_parts.h. */
#ifndef TRP_TENURE_H
#define TRP_TENURE_H

#include "life/mapping.h"
#include "model/version.h"

/* Says which files its open model has mapped, so that its loss is noticed: the version is damaged then, and loaded anew.
 *   Owns  : borrowed; the mapping's blobs stay as long as the model is open.
 *   Thread: loader, before the model runs.
 *   Errors: none. */
void trp_tenure_watch(struct trp_version *v, struct trp_backend_model *model,
                      const struct trp_mapping *mapping);

/* Under which key what it has open lies in the store; NULL: it was opened plainly.
 *   Owns  : borrowed from the version.
 *   Thread: control.
 *   Errors: none. */
const struct trp_sha256 *trp_tenure_key(const struct trp_version *v);

/* Says something of how it was opened that was not known then; once.
 *   Owns  : `words` is copied.
 *   Thread: control.
 *   Errors: none. */
void trp_tenure_explain(struct trp_version *v, const char *words);

#endif

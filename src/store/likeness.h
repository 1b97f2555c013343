/* store/likeness.h - whether two answers are one.
 * Answers "may these differ so?".  Two ways to compute the same may round differently; nothing
 * else may differ. */
#ifndef TRP_LIKENESS_H
#define TRP_LIKENESS_H

#include "base/status.h"
#include "tensor/signature.h"

/* Compares one output.  Numbers with a fraction may differ by 1e-4 of their size and 1e-5 (more for
 * the half types, whose own steps are larger); all others are equal.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: FAILED_PRECONDITION: which element differs, and by how much. */
trp_status trp_likeness_check(const struct trp_io *io, const struct troupe_tensor *want,
                              const struct troupe_tensor *got, struct trp_error *err);

#endif

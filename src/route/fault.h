/* route/fault.h - what a code says about whoever gave it.
 * Answers "whose fault is it, and would another one do better?".  One table over all codes: a
 * client's own mistakes are answered as they are, everything else may be asked of the next
 * target of a chain. */
#ifndef TRP_FAULT_H
#define TRP_FAULT_H

#include <stdbool.h>

#include "base/status.h"
#include "base/str.h"

enum trp_fault {
    TRP_FAULT_NONE,      /* it answered */
    TRP_FAULT_CLIENT,    /* the question is wrong or not allowed: nobody answers it */
    TRP_FAULT_GONE,      /* the client does not want it any more */
    TRP_FAULT_ERROR,     /* it failed, or cannot do such things */
    TRP_FAULT_TIMEOUT,   /* it took too long */
    TRP_FAULT_NOT_READY, /* it is not there, not loaded, or does not fit */
    TRP_FAULT_OVERLOAD,  /* it has too much to do */
    TRP_FAULTS
};

/* Those that another target may make good, as bits `1u << fault`. */
#define TRP_FAULT_BIT(fault) (1u << (fault))
#define TRP_FAULTS_CURABLE                                               \
    (TRP_FAULT_BIT(TRP_FAULT_ERROR) | TRP_FAULT_BIT(TRP_FAULT_TIMEOUT) | \
     TRP_FAULT_BIT(TRP_FAULT_NOT_READY) | TRP_FAULT_BIT(TRP_FAULT_OVERLOAD))

/* The fault of a code; the curable fault of a name: "error", "timeout", "not_ready", "overload".
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: an unknown code counts as ERROR; false: no curable fault of that name, *out
 *           unchanged. */
enum trp_fault trp_fault_of(int32_t code);
bool trp_fault_parse(struct trp_str name, enum trp_fault *out);

#endif

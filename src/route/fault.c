/* route/fault.c - see fault.h. */
#include "route/fault.h"

/* Zero is NONE, so a code that is not listed would be an answer; the assertion below makes
 * whoever appends one look here. */
static const uint8_t faults[TRP_CODES] = {
    [TRP_OK] = TRP_FAULT_NONE,
    [TRP_CANCELLED] = TRP_FAULT_GONE,
    [TRP_UNKNOWN] = TRP_FAULT_ERROR,
    [TRP_INVALID_ARGUMENT] = TRP_FAULT_CLIENT,
    [TRP_DEADLINE_EXCEEDED] = TRP_FAULT_TIMEOUT,
    [TRP_NOT_FOUND] = TRP_FAULT_NOT_READY, /* a model or version that is not there (yet) */
    [TRP_ALREADY_EXISTS] = TRP_FAULT_CLIENT,
    [TRP_PERMISSION_DENIED] = TRP_FAULT_CLIENT,
    [TRP_QUEUE_FULL] = TRP_FAULT_OVERLOAD,
    [TRP_FAILED_PRECONDITION] = TRP_FAULT_CLIENT,
    [TRP_OUT_OF_MEMORY] = TRP_FAULT_OVERLOAD,
    [TRP_OUT_OF_RANGE] = TRP_FAULT_CLIENT,
    [TRP_UNIMPLEMENTED] = TRP_FAULT_ERROR, /* another one may be able to */
    [TRP_INTERNAL] = TRP_FAULT_ERROR,
    [TRP_UNAVAILABLE] = TRP_FAULT_NOT_READY,
    [TRP_DATA_LOSS] = TRP_FAULT_ERROR,
    [TRP_UNAUTHENTICATED] = TRP_FAULT_CLIENT,
    [TRP_TOO_LARGE] = TRP_FAULT_CLIENT,
    [TRP_OVER_BUDGET] = TRP_FAULT_NOT_READY,
    [TRP_NOT_READY] = TRP_FAULT_NOT_READY,
    [TRP_METHOD_NOT_ALLOWED] = TRP_FAULT_CLIENT,
    [TRP_UNSUPPORTED_MEDIA] = TRP_FAULT_CLIENT,
    [TRP_REQUEST_TIMEOUT] = TRP_FAULT_CLIENT, /* the client was slow, not the target */
    [TRP_HEADERS_TOO_LARGE] = TRP_FAULT_CLIENT,
    [TRP_URI_TOO_LONG] = TRP_FAULT_CLIENT,
    [TRP_VERSION_NOT_SUPPORTED] = TRP_FAULT_CLIENT,
    [TRP_LENGTH_REQUIRED] = TRP_FAULT_CLIENT,
    [TRP_EXPECTATION_FAILED] = TRP_FAULT_CLIENT,
    [TRP_MISDIRECTED] = TRP_FAULT_CLIENT,
    [TRP_IO] = TRP_FAULT_ERROR,
    [TRP_BACKEND_FAILED] = TRP_FAULT_ERROR,
};
_Static_assert(TRP_CODES == TRP_BACKEND_FAILED + 1, "a new code needs a fault");

/* Of those that may be cured by somebody else. */
static const char *const names[TRP_FAULTS] = {
    [TRP_FAULT_ERROR] = "error",
    [TRP_FAULT_TIMEOUT] = "timeout",
    [TRP_FAULT_NOT_READY] = "not_ready",
    [TRP_FAULT_OVERLOAD] = "overload",
};

enum trp_fault trp_fault_of(int32_t code)
{
    return code >= 0 && code < TRP_CODES ? (enum trp_fault)faults[code] : TRP_FAULT_ERROR;
}

bool trp_fault_parse(struct trp_str name, enum trp_fault *out)
{
    for (int f = 0; f < TRP_FAULTS; f++)
        if (names[f] && trp_str_is(name, names[f])) {
            *out = (enum trp_fault)f;
            return true;
        }
    return false;
}

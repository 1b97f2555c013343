/* troupe/status.h - the codes that a backend plugin returns and a client sees.
 * Answers "how can a call end?".  Each code has one gRPC and one HTTP status; see status.def. */
#ifndef TROUPE_STATUS_H
#define TROUPE_STATUS_H

#include <stdint.h>

enum troupe_code {
#define X(number, name, grpc, http, retryable, text) TROUPE_##name = (number),
#include "troupe/status.def"
#undef X
};

#endif

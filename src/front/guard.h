/* front/guard.h - who may change something, and who may look from a browser.
 * Answers "is this caller allowed to?".  Pure.  Calls that change state are served to this machine
 * only, unless told otherwise, and never to a name or an origin that a hostile web page could
 * have brought us. */
#ifndef TRP_GUARD_H
#define TRP_GUARD_H

#include "base/status.h"
#include "base/str.h"
#include "front/front.h"

/* Checks a call that changes state.  `is_local`: the peer is loopback or a Unix socket.
 * `authority`: Host or
 * :authority, empty when absent; `origin`: ptr NULL when absent.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: PERMISSION_DENIED, with the setting that would allow it. */
trp_status trp_guard_check(const struct trp_front_limits *limits, bool is_local,
                           struct trp_str authority, struct trp_str origin, struct trp_error *err);

/* True when CORS lets `origin` in; then *out_value is what Access-Control-Allow-Origin says.
 *   Owns  : borrowed from `origin` or static.
 *   Thread: any.
 *   Errors: none. */
bool trp_guard_allows_origin(const struct trp_front_limits *limits, struct trp_str origin,
                             struct trp_str *out_value);

#endif

/* wire/oip_route.h - which operation a path means.
 * Answers "what does this request line ask for?".
 * Pure; the paths of the Open Inference Protocol over REST with Triton's extensions, of gRPC's
 * services, and of our own under /api/. */
#ifndef TRP_OIP_ROUTE_H
#define TRP_OIP_ROUTE_H

#include "base/arena.h"
#include "base/status.h"
#include "call/control.h"

enum trp_route_kind {
    TRP_ROUTE_INFER,        /* POST .../infer, or ModelInfer */
    TRP_ROUTE_STREAM_INFER, /* ModelStreamInfer */
    TRP_ROUTE_EXPLAIN,      /* POST /api/routes/R/explain: an inference that is not made */
    TRP_ROUTE_CONTROL,      /* `op` */
    TRP_ROUTE_HEALTH_CHECK, /* grpc.health.v1.Health/Check */
    TRP_ROUTE_HEALTH_WATCH, /* grpc.health.v1.Health/Watch */
    TRP_ROUTE_REFLECTION /* grpc.reflection.v1 and v1alpha ServerReflection/ServerReflectionInfo */
};

struct trp_route {
    enum trp_route_kind kind;
    enum trp_control_op op;
    struct trp_str model;  /* percent-decoded, in the arena; empty: none */
    int64_t version;       /* 0: none; below: a label's key */
    struct trp_str region; /* shared memory region in the path; empty: none */
    struct trp_str query;  /* of the request, set by whoever has it; our own operations read it */
    const char *allow;     /* "GET, HEAD": what the path allows; set also with METHOD_NOT_ALLOWED */
};

/* Reads a method and a raw path (no query).  HEAD counts as GET.
 *   Owns  : names live in `arena`.
 *   Thread: any.
 *   Errors: NOT_FOUND, METHOD_NOT_ALLOWED (out->allow is set), INVALID_ARGUMENT (bad
 *           percent-encoding, a name with control characters or not UTF-8, a version that is no
 *           number from 1 on), UNIMPLEMENTED (a path of Triton's that is not served, by name),
 *           OUT_OF_MEMORY. */
trp_status trp_oip_route_http(struct trp_str method, struct trp_str path, struct trp_arena *arena,
                              struct trp_route *out, struct trp_error *err);

/* Reads a gRPC path, "/inference.GRPCInferenceService/ModelInfer".  TraceSetting and LogSettings
 * are the _GET operations here; trp_control_decode_grpc() turns them into _SET when the message
 * carries settings.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: UNIMPLEMENTED "unknown service ..." / "unknown method ...". */
trp_status trp_oip_route_grpc(struct trp_str path, struct trp_route *out, struct trp_error *err);

#endif

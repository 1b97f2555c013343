/* backend/worker_order.h - what a worker process is told to open, and what it says of it, as bytes.
 * Answers "which model, how, and what does it take?". */
#ifndef TRP_WORKER_ORDER_H
#define TRP_WORKER_ORDER_H

#include "base/buf.h"
#include "tensor/signature.h"
#include "troupe/backend.h"

#define TRP_WORKER_ORDER_BYTES_MAX \
    ((size_t)64 << 20) /* also of a face, with the names of its classes */

struct trp_worker_order {
    const char *backend, *plugins;       /* its name; the folder of plugins, NULL: none */
    const struct troupe_option *options; /* of all backends */
    uint32_t options_n;
    int32_t nice;        /* of the threads that run */
    int32_t log_format;  /* enum trp_log_format */
    uint32_t log_levels; /* a bit for each enum trp_log_level */
    struct troupe_model_desc desc;
};

/* Appends it; reads it back.
 *   Owns  : what decode gives lives in `arena`.
 *   Thread: any.
 *   Errors: see b->failed (encode); DATA_LOSS: these are no such bytes, OUT_OF_MEMORY (decode). */
void trp_worker_order_encode(const struct trp_worker_order *order, struct trp_buf *b);
trp_status trp_worker_order_decode(struct trp_str bytes, struct trp_arena *arena,
                                   struct trp_worker_order *out, struct trp_error *err);

/* A model's face: its signature, with the names of classes.  Telling it is what a plugin does when
 * it opens a model.
 *   Owns  : `sink` is told what lives in `arena`.
 *   Thread: any.
 *   Errors: as above. */
void trp_worker_order_encode_face(const struct trp_signature *s, struct trp_buf *b);
trp_status trp_worker_order_tell_face(struct trp_str bytes, struct trp_arena *arena,
                                      const struct troupe_sink *sink, struct trp_error *err);

#endif

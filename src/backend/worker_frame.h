/* backend/worker_frame.h - what the server and a worker process say to each other.
 * Answers "which bytes mean what?".  Both are the same program, so numbers are in the machine's
 * order and no version is kept.
 *
 *   control   messages; the first one begins a worker, the talk's end ends it
 *   lane      one run after the other: {where its frame lies} there, {its code} back
 *   yards     two pieces of shared memory: in the server's lie frames and copies of inputs, in the worker's what a run allocates,
 *             outputs among it
 *   commons   where the server keeps large bodies (tensor/commons.h): inputs that lie there are looked at there */
#ifndef TRP_WORKER_FRAME_H
#define TRP_WORKER_FRAME_H

#include <stdint.h>

#include "base/cores.h"
#include "troupe/tensor.h"

#define TRP_WORKER_FD 3             /* of the control talk, in the worker */
#define TRP_WORKER_LANES_MAX 64u    /* runs at once; more wait */
#define TRP_WORKER_RELEASES_MAX 32u /* outputs that are given back with one message */
#define TRP_WORKER_TEXT_MAX 1024u   /* of a failure's words */

enum trp_worker_kind {
    TRP_WORKER_ORDER,   /* to the worker, with both yards and the commons: open the model that is
                       * described at `at` */
    TRP_WORKER_OPENED,  /* from it, once: `code`, and the model's face at `at` in its yard, or why
                        * not in `text`; `n`: it sees the commons */
    TRP_WORKER_LANE,    /* with a descriptor: runs come on that one too */
    TRP_WORKER_CANCEL,  /* the run `at` */
    TRP_WORKER_RELEASE, /* `n` outputs: `tokens` */
    TRP_WORKER_TRIM,
    TRP_WORKER_KEPT /* from it, after a trim: its runs hold `bytes` */
};

struct trp_worker_message {
    uint32_t kind, n; /* enum trp_worker_kind */
    int32_t code;     /* enum troupe_code */
    uint32_t capabilities;
    uint64_t at, bytes; /* of the yard: the server's in an order, else the worker's */
    uint64_t yards[2];  /* order: the sizes of both */
    uint64_t commons;   /* order: their size; 0: there are none */
    union {
        uint64_t tokens[TRP_WORKER_RELEASES_MAX];
        char text[TRP_WORKER_TEXT_MAX];
    } of;
};

enum trp_worker_place {
    TRP_WORKER_ABSENT,
    TRP_WORKER_SERVERS_YARD,
    TRP_WORKER_WORKERS_YARD,
    TRP_WORKER_COMMONS
};

struct trp_worker_tensor {
    int32_t dtype;
    uint32_t rank;
    int64_t shape[TROUPE_RANK_MAX];
    uint64_t at, bytes;
    uint64_t token; /* an output's, to be given back; 0: nothing to give back */
    uint32_t place; /* enum trp_worker_place */
    uint32_t unused;
};

/* Stands at the beginning of a run's plot in the server's yard.  Behind it: inputs_n and outputs_n
 * tensors, outputs_n indices of outputs, then the bytes of inputs that are copied. */
struct trp_worker_frame {
    uint64_t id, output_bytes_max, memory_bytes_max;
    int64_t deadline_ns;
    uint64_t peak_bytes, kept_bytes; /* the worker writes them: of this run; after it, of all */
    uint64_t refused;                /* and how often its yard had no room so far */
    uint32_t inputs_n, outputs_n, releases_n;
    uint32_t device;                            /* of those that the model was opened on */
    struct trp_cores cores;                     /* where the run has to be done; none: anywhere */
    uint64_t turn_ns;                           /* of who asks, on the processor; 0: nobody knows */
    uint64_t releases[TRP_WORKER_RELEASES_MAX]; /* of runs before */
    char text[TRP_WORKER_TEXT_MAX];             /* the worker writes it, when the run fails */
};

static inline struct trp_worker_tensor *trp_worker_frame_tensors(struct trp_worker_frame *f)
{
    return (struct trp_worker_tensor *)(void *)(f + 1);
}
static inline uint32_t *trp_worker_frame_indices(struct trp_worker_frame *f, uint32_t tensors_n)
{
    return (uint32_t *)(void *)(trp_worker_frame_tensors(f) + tensors_n);
}
static inline uint64_t trp_worker_frame_bytes(uint32_t inputs_n, uint32_t outputs_n)
{
    return sizeof(struct trp_worker_frame) +
           ((uint64_t)inputs_n + outputs_n) * sizeof(struct trp_worker_tensor) +
           (uint64_t)outputs_n * sizeof(uint32_t);
}

struct trp_worker_call {
    uint64_t at; /* of the frame, in the server's yard */
};
struct trp_worker_answer {
    int32_t code; /* enum troupe_code */
    int32_t
        is_refused; /* nobody there takes runs from this lane: this one was not begun, and no other
                     * will be */
};

#endif

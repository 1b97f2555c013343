/* bench/floors/floor_session.h - one ONNX Runtime session, with as little around it as can be.
 * Answers "what does one OrtRun cost without a server?".  Inputs are zeros in the model's own
 * shapes (a free batch is 1, other free sizes are what the caller says), made once; outputs are
 * ONNX Runtime's, released after each run. */
#ifndef TRP_FLOOR_SESSION_H
#define TRP_FLOOR_SESSION_H

#include <stdint.h>

struct floor_session;

/* Opens `model` with one thread a run and no spinning; the library is TROUPE_ONNXRUNTIME. */
struct floor_session *floor_session_open(const char *model, int64_t free_size);
/* What is special; zero: one row, other free sizes 1, on the CPU. */
struct floor_session_opts {
    int64_t rows, free_size;
    const char *gpu; /* its number; NULL or empty: on the CPU */
};
struct floor_session *floor_session_open_as(const char *model,
                                            const struct floor_session_opts *opts);
/* A model behind the last one: it takes that one's outputs, in their order, and its own are the
 * run's. */
void floor_session_append(struct floor_session *s, const char *model);
void floor_session_run(struct floor_session *s); /* re-entrant */

#endif

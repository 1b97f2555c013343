/* onnxruntime/ort_words.h - ONNX Runtime's failures in our words.
 * Answers "what does this mean for whoever asked?". */
#ifndef TRP_ORT_WORDS_H
#define TRP_ORT_WORDS_H

#include "ort.h"
#include "troupe/backend.h"

enum ort_phase { ORT_PHASE_LOAD, ORT_PHASE_RUN };

/* Writes words for whoever reads the failure, and returns the code.
 *   Owns  : `error` may be NULL.
 *   Thread: any.
 *   Errors: returns `code`. */
int32_t ort_words_fail(struct troupe_error *error, int32_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Turns a status that is not NULL into a code and words, and releases it.
 *   Owns  : moves `status`.
 *   Thread: any.
 *   Errors: by phase and ONNX Runtime's code; see the table in the .c file. */
int32_t ort_words_of_status(const struct OrtApi *api, struct OrtStatus *status,
                            enum ort_phase phase, struct troupe_error *error);

/* Copies a text without colours, line ends, source paths and C++ signatures.
 *   Owns  : `out` is the caller's, out_size >= 1; always terminated, cut at its end.
 *   Thread: any.
 *   Errors: none. */
void ort_words_clean(const char *text, char *out, size_t out_size);

#endif

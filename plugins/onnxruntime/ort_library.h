/* onnxruntime/ort_library.h - the ONNX Runtime library itself.
 * Answers "where is it, and is it new enough?". */
#ifndef TRP_ORT_LIBRARY_H
#define TRP_ORT_LIBRARY_H

#include "ort.h"
#include "troupe/backend.h"

struct ort_library {
    const struct OrtApi *api;
    uint32_t api_version; /* ORT_API_NEEDED or ORT_API_WANTED: how far the table reaches */
    char path[512];       /* as it was found */
    char
        folder[512]; /* where its providers are looked for, with its last slash; empty: it cannot be
                * told */
    char version[32];
};

/* Finds and opens the library: `wanted` (option `library`), else the environment
 * TROUPE_ONNXRUNTIME, else beside this plugin, else on the linker's path.  What is named must be
 * there: nothing else is tried then. Before its first call ONNX Runtime is told to send no
 * telemetry.
 *   Units : api_max: the newest API to ask for; a library may have only an older one.
 *   Owns  : it stays open until the process ends: its own threads and destructors need its code.
 *   Thread: loader.
 *   Blocks: disk.
 *   Errors: NOT_FOUND with every place that was looked at, IO (found, but cannot be opened),
 *   UNIMPLEMENTED
 *           (not ONNX Runtime, or older than 1.23). */
int32_t ort_library_open(const char *wanted, uint32_t api_max, struct ort_library *out,
                         struct troupe_error *error);

#endif
